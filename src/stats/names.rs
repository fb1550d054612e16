//! Names as small numbers, so that a row is counted without copying a text.

use std::collections::HashMap;
use std::sync::Arc;

/// Up to so many names are found faster by looking at each.
const FEW: usize = 16;

#[derive(Default)]
pub(super) struct Names {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name, in the order of first sight; 0 for none.
    pub fn id(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return 0 };
        let few = self.names.iter().take(FEW).position(|known| **known == *name);
        let found = few.and_then(|at| u32::try_from(at + 1).ok());
        if let Some(id) = found.or_else(|| self.ids.get(name).copied()) {
            return id;
        }
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.ids.insert(name, id);
        id
    }

    pub fn name(&self, id: u32) -> Option<&Arc<str>> {
        self.names.get(id.checked_sub(1)? as usize)
    }
}
