//! Which item each recorded row belongs to. The `item` cell shows it; without one, it is inferred from the labels of
//! inputs and outputs and the shape of the workflow, as far as possible.

use super::layout::{Layout, Phase};
use super::row::Row;
use crate::engine::Compensations;
use crate::event::{ItemState, Status};
use crate::graph::upstream;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// An item and its rows: indices into the rows that were linked, in graph order, then as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedItem {
    pub key: Arc<str>,
    pub rows: Vec<usize>,
}

/// Links rows to items. The rows of the first entry step make the items; if it has none, those of the first step with
/// rows. Every row of a known phase belongs to exactly one item, except rows of steps that run once for all items;
/// these and others belong to none.
pub fn link(layout: &Layout, rows: &[Row]) -> Vec<LinkedItem> {
    let places: Vec<Option<usize>> = rows.iter().map(|row| layout.place(&row.phase)).collect();
    let mut tables = vec![Vec::new(); layout.phases.len()];
    for (row, place) in places.iter().enumerate() {
        if let Some(place) = place.filter(|place| !layout.phases[*place].once) {
            tables[place].push(row);
        }
    }
    let free = |phase: &Phase| !phase.handler && !phase.once && phase.needs.is_empty();
    let entry = layout.phases.iter().position(free);
    let entry = entry.filter(|place| !tables[*place].is_empty());
    let Some(entry) = entry.or_else(|| tables.iter().position(|table| !table.is_empty())) else {
        return Vec::new();
    };
    let mut linker = Linker::new(layout, rows, &places, &tables);
    linker.make_items(&tables[entry]);
    for (place, table) in tables.iter().enumerate().filter(|(place, _)| *place != entry) {
        linker.serve(place, table);
    }
    linker.items
}

/// The history of one execution, as numbered by [`Layout::execution`]: its last status, and whether it ran more than
/// once.
pub type Fate = ((usize, u64), Status, bool);

/// How an item ended, inferred from the last status of each of its executions.
pub fn state(layout: &Layout, executions: impl IntoIterator<Item = Fate>) -> ItemState {
    let (mut state, mut undone, mut standing) = (ItemState::Succeeded, false, false);
    let mut again = false;
    let mut done = BTreeSet::new();
    for ((place, _), status, repeated) in executions {
        undone |= status == Status::Compensated;
        standing |= status == Status::CompensationFailed;
        let Some(phase) = layout.phases.get(place).filter(|phase| !phase.handler) else { continue };
        again |= repeated;
        done.extend((status == Status::Success).then_some(place));
        match status {
            _ if state == ItemState::Failed => {}
            Status::Failed | Status::Timeout if !phase.optional => state = ItemState::Failed,
            Status::Cancelled => state = ItemState::Cancelled,
            _ => {}
        }
    }
    // It was compensated once, and succeeded when it ran again.
    if state == ItemState::Succeeded && (again || !undone && !standing) {
        return state;
    }
    let kept = undone && keeps(layout, &done);
    ItemState::unsuccessful(
        state == ItemState::Failed,
        Compensations { any: undone, failed: standing, committed: kept },
    )
}

/// Whether an effect with a compensation remains, because an irreversible step follows it.
fn keeps(layout: &Layout, done: &BTreeSet<usize>) -> bool {
    let lasting = done.iter().copied().filter(|place| layout.phases[*place].irreversible);
    let kept = upstream(lasting, |place| layout.phases[place].needs.iter().map(|(need, _)| *need));
    kept.iter().any(|place| layout.phases[*place].undoable && done.contains(place))
}

/// Whether the steps before a step allow an item to reach it. `last` gives a step's last status for the item; a step
/// without any recorded rows does not prevent it.
pub(super) fn reachable(
    layout: &Layout,
    place: usize,
    recorded: &[bool],
    last: impl Fn(usize) -> Option<Status>,
) -> bool {
    let needs = layout.phases.get(place).map_or(&[][..], |phase| &phase.needs);
    needs.iter().filter(|(need, _)| recorded.get(*need) == Some(&true)).all(|(need, data)| {
        match last(*need) {
            Some(Status::Success) => true,
            Some(Status::Skipped) => !data,
            Some(status) => !data && status.is_failure() && layout.phases[*need].optional,
            None => false,
        }
    })
}

struct Linker<'a> {
    layout: &'a Layout,
    rows: &'a [Row],
    places: &'a [Option<usize>],
    /// Which phases have rows.
    recorded: Vec<bool>,
    items: Vec<LinkedItem>,
    by_key: HashMap<Arc<str>, usize>,
    /// The items that have a label.
    by_label: HashMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Linker<'a> {
    fn new(layout: &'a Layout, rows: &'a [Row], places: &'a [Option<usize>], tables: &[Vec<usize>]) -> Self {
        Linker {
            layout,
            rows,
            places,
            recorded: tables.iter().map(|table| !table.is_empty()).collect(),
            items: Vec::new(),
            by_key: HashMap::new(),
            by_label: HashMap::new(),
        }
    }

    fn make_items(&mut self, table: &[usize]) {
        let mut given = Vec::new();
        for row in table {
            let item = match &self.rows[*row].item {
                Some(key) => self.item_of(key),
                None => {
                    let label = self.rows[*row].input.as_deref().filter(|label| !label.is_empty());
                    let key = self.free_key(label.unwrap_or("item"));
                    self.item_of(&key)
                }
            };
            given.push((*row, item));
        }
        self.give(&given);
    }

    /// The item with this key, created if new.
    fn item_of(&mut self, key: &Arc<str>) -> usize {
        if let Some(item) = self.by_key.get(key) {
            return *item;
        }
        self.items.push(LinkedItem { key: Arc::clone(key), rows: Vec::new() });
        self.by_key.insert(Arc::clone(key), self.items.len() - 1);
        self.items.len() - 1
    }

    /// A key that no item has: items with the same label get a number.
    fn free_key(&self, label: &str) -> Arc<str> {
        let mut key = label.to_owned();
        let mut number = self.items.len() + 1;
        while self.by_key.contains_key(key.as_str()) {
            key = format!("{label}#{number}");
            number += 1;
        }
        Arc::from(key)
    }

    /// Assigns the rows of one step to items.
    fn serve(&mut self, place: usize, table: &[usize]) {
        let rows = self.rows;
        let mut given: Vec<(usize, usize)> = Vec::new();
        let mut served: BTreeSet<usize> = BTreeSet::new();
        for row in table {
            if let Some(key) = &rows[*row].item {
                let item = self.item_of(key);
                served.insert(item);
                given.push((*row, item));
            }
        }
        let mut waiting: HashMap<&str, std::vec::IntoIter<usize>> = HashMap::new();
        let mut left = Vec::new();
        for row in table.iter().filter(|row| rows[**row].item.is_none()) {
            let matching = rows[*row].input.as_deref().and_then(|label| {
                let queue = waiting.entry(label).or_insert_with(|| {
                    let items =
                        self.by_label.get(label).map(|items| items.iter().copied().collect::<Vec<_>>());
                    items.unwrap_or_default().into_iter()
                });
                queue.find(|item| !served.contains(item))
            });
            match matching {
                Some(item) => {
                    served.insert(item);
                    given.push((*row, item));
                }
                None => left.push(*row),
            }
        }
        let able: Vec<usize> = (0..self.items.len())
            .filter(|item| !served.contains(item) && self.could_reach(*item, place))
            .collect();
        let mut able = able.into_iter();
        for row in left {
            let item = able.next().inspect(|item| {
                served.insert(*item);
            });
            let last = item.or(served.last().copied()).unwrap_or(self.items.len().saturating_sub(1));
            given.push((row, last));
        }
        self.give(&given);
    }

    fn could_reach(&self, item: usize, place: usize) -> bool {
        let executions = || {
            self.items[item].rows.iter().filter_map(|row| Some((self.places[*row]?, self.rows[*row].status)))
        };
        if self.layout.phases[place].handler {
            let own_rows = self.items[item].rows.iter().map(|row| &self.rows[*row]);
            let mut last: BTreeMap<(usize, u64), (Status, bool)> = BTreeMap::new();
            for (execution, status) in
                own_rows.filter_map(|row| Some((self.layout.execution(&row.borrowed())?, row.status)))
            {
                let again = last.contains_key(&execution);
                last.insert(execution, (status, again));
            }
            let fates = last.into_iter().map(|(execution, (status, again))| (execution, status, again));
            return state(self.layout, fates).is_failure();
        }
        let last = |need| executions().rfind(|(place, _)| *place == need).map(|(_, status)| status);
        reachable(self.layout, place, &self.recorded, last)
    }

    /// Passes on a step's rows in recorded order, with their labels.
    fn give(&mut self, given: &[(usize, usize)]) {
        let mut given = given.to_vec();
        given.sort_unstable();
        let rows = self.rows;
        for (row, item) in given {
            self.items[item].rows.push(row);
            for label in [&rows[row].input, &rows[row].output].into_iter().flatten() {
                self.by_label.entry(label).or_default().insert(item);
            }
        }
    }
}
