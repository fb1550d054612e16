//! Values for display.

use crate::event::ValueId;
use crate::graph::Graph;
use crate::runtime::by_name;
use crate::value::{Type, Value};
use std::borrow::Cow;

/// A value for display: a file by its name, a secret not at all.
pub fn presentable<'a>(id: ValueId, value: &'a Value, graph: &Graph) -> Cow<'a, Value> {
    let info = graph.value(id);
    if let Some(hidden) = info.ty.as_ref().and_then(|ty| ty.hidden(&info.name, value)) {
        return Cow::Owned(hidden);
    }
    match info.ty.as_ref().is_some_and(Type::holds_files) {
        true => Cow::Owned(by_name(value)),
        false => Cow::Borrowed(value),
    }
}
