//! Steps that items left out, counted by step and reason in time that hardly grows with the number of reasons.

use super::model::LeftOut;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct AllLeftOut {
    /// In the order in which they were first seen.
    pub all: Vec<LeftOut>,
    places: HashMap<(Arc<str>, String), usize>,
}

impl AllLeftOut {
    pub fn add(&mut self, one: LeftOut) {
        let place = *self.places.entry((one.phase.clone(), one.because.clone())).or_insert(self.all.len());
        match self.all.get_mut(place) {
            Some(known) => {
                known.items = known.items.zip(one.items).map(|(sum, own)| sum.saturating_add(own));
            }
            None => self.all.push(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// If each were compared with all before it, these would take minutes.
    #[test]
    fn many_reasons_are_counted_each_by_itself() {
        let begin = Instant::now();
        let mut left_out = AllLeftOut::default();
        for round in 0..2 {
            for reason in 0..100_000 {
                let (phase, because) = (Arc::from("A"), format!("needs v{reason}"));
                let items = if reason == 7 && round == 1 { None } else { Some(1) };
                left_out.add(LeftOut { phase, critical: false, items, because, decided: false });
            }
        }
        let counts: Vec<_> = left_out.all.iter().map(|one| one.items).collect();
        assert_eq!((counts.len(), counts[6], counts[7]), (100_000, Some(2), None));
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }
}
