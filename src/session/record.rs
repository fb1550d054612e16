//! Records a run: stores every row, on disk if there are many, and finally writes the session file. Knows nothing of
//! how the rows were made.

use super::entries::Entry;
use super::layout::{Edge, Layout, Phase};
use super::nested::NestedRow;
use super::row::{Row, STANDARD, TAIL};
use super::spool::Spool;
use super::write::{self, Head};
use crate::disk::Target;
use crate::event::ItemId;
use crate::graph::Graph;
use crate::value::Object;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The rows of a run in the order of the session file: by admission of their items, then in graph order, those of
/// elements in the order of their list, then as they happened; before each those of the document that it ran.
pub struct Recorder {
    target: Target,
    layout: Layout,
    /// The rows of items that are not settled, with the places of their phases.
    in_flight: HashMap<ItemId, Vec<HeldRow>>,
    spool: Spool,
    columns: ColumnNames,
    rows: u64,
    /// The steps of documents, by their paths; their places follow those of the layout.
    nested: Vec<(Vec<usize>, Phase)>,
    nested_places: HashMap<Vec<usize>, usize>,
}

/// A row of an item in flight, with its sort keys.
struct HeldRow {
    /// The place of its phase.
    place: usize,
    element: Option<u32>,
    /// Its index in the record that is replayed.
    recorded: Option<usize>,
    row: Row,
    /// The rows of the documents that it ran.
    before: Vec<NestedRow>,
}

impl Recorder {
    /// Prepares to record a run of `graph` into the file `target`, which is unchanged until [`Recorder::finish`].
    ///
    /// # Errors
    /// When `target` cannot be a file, or its folder cannot contain a temporary one.
    pub fn new(graph: &Graph, target: &Path) -> io::Result<Recorder> {
        Recorder::into(graph, Target::of(target)?)
    }

    /// The same with a known `target`.
    ///
    /// # Errors
    /// When its folder cannot contain a temporary file.
    pub fn into(graph: &Graph, target: Target) -> io::Result<Recorder> {
        Ok(Recorder {
            layout: Layout::of(graph),
            in_flight: HashMap::new(),
            spool: Spool::new(target.spool()?),
            columns: ColumnNames::default(),
            rows: 0,
            nested: Vec::new(),
            nested_places: HashMap::new(),
            target,
        })
    }

    /// Stores a row; those of a settled item are moved to disk.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn take(&mut self, entry: Entry) -> io::Result<()> {
        match entry {
            Entry::Row { item, place, element, recorded, row } => {
                let held = HeldRow { place, element, recorded, row, before: Vec::new() };
                self.in_flight.entry(item).or_default().push(held);
                Ok(())
            }
            // Its steps may run again during the recording.
            Entry::Settled { item: ItemId::RUN, .. } => Ok(()),
            Entry::Settled { item, .. } => self.settle(item),
        }
    }

    /// Puts the rows of documents before the row that an item in flight got at this position; `None` is its last row.
    pub fn nest(&mut self, item: ItemId, position: Option<usize>, rows: Vec<NestedRow>) {
        let Some(held) = self.in_flight.get_mut(&item) else { return };
        let row = match position {
            Some(position) => held.get_mut(position),
            None => held.last_mut(),
        };
        if let Some(row) = row {
            row.before = rows;
        }
    }

    /// Writes the session file; returns its number of rows. Items that are still in flight are written too.
    ///
    /// # Errors
    /// An error of the file system; an older file is then unchanged.
    pub fn finish(mut self, head: &Head, summary: &Object) -> io::Result<u64> {
        let mut unsettled: Vec<ItemId> = self.in_flight.keys().copied().collect();
        unsettled.sort_unstable();
        for item in unsettled {
            self.settle(item)?;
        }
        // Steps of documents come before the step that runs them.
        let own = (0..self.layout.phases.len()).map(|place| vec![place]);
        let mut ranks: Vec<Vec<usize>> =
            own.chain(self.nested.iter().map(|(path, _)| path.clone())).collect();
        ranks.iter_mut().for_each(|rank| rank.push(usize::MAX));
        let order = self.columns.order(&ranks);
        let names: Vec<Arc<str>> = order.iter().map(|id| Arc::clone(&self.columns.names[*id])).collect();
        let (mut phases, edges) = (std::mem::take(&mut self.layout.phases), &self.layout.edges);
        phases.extend(std::mem::take(&mut self.nested).into_iter().map(|(_, phase)| phase));
        for (place, phase) in phases.iter_mut().enumerate() {
            let own = order.iter().filter(|id| self.columns.owned.contains(&(place, **id)));
            phase.fields = own.map(|id| Arc::clone(&self.columns.names[*id])).collect();
        }
        let layout = ordered(phases, edges, &ranks);
        let file = write::File { head, layout: &layout, columns: &names, rows: self.rows, summary };
        file.write(&self.target, |line| self.spool.drain(|bytes| write_rows(bytes, &order, line)))?;
        Ok(self.rows)
    }

    fn settle(&mut self, item: ItemId) -> io::Result<()> {
        let mut rows = self.in_flight.remove(&item).unwrap_or_default();
        rows.sort_by_key(|held| (held.place, held.element, held.recorded));
        let mut bytes = Vec::new();
        let mut count = 0;
        for HeldRow { place, row, before, .. } in rows {
            for NestedRow { row, phase, path } in before {
                let place = self.nested_place(path, phase);
                self.encode(&mut bytes, place, &row);
                count += 1;
            }
            self.encode(&mut bytes, place, &row);
            count += 1;
        }
        self.rows += count;
        self.spool.put(item.0, bytes)
    }

    /// The place of a step of a document.
    fn nested_place(&mut self, path: Vec<usize>, phase: Phase) -> usize {
        let next = self.layout.phases.len() + self.nested.len();
        let place = *self.nested_places.entry(path.clone()).or_insert(next);
        if place == next {
            self.nested.push((path, phase));
        }
        place
    }

    fn encode(&mut self, bytes: &mut Vec<u8>, place: usize, row: &Row) {
        let custom: Vec<(u32, String)> = row
            .columns
            .iter()
            .map(|(name, _)| {
                let mut encoded = String::new();
                row.cell(&mut encoded, name, ',');
                (self.columns.id(place, name), encoded)
            })
            .collect();
        encode(bytes, row, &custom);
    }
}

/// The phases in the order of their ranks, with the edges between them.
fn ordered(phases: Vec<Phase>, edges: &[Edge], ranks: &[Vec<usize>]) -> Layout {
    let mut phases: Vec<(usize, Phase)> = phases.into_iter().enumerate().collect();
    phases.sort_by(|(one, _), (other, _)| ranks.get(*one).cmp(&ranks.get(*other)));
    let mut places = vec![0; phases.len()];
    for (place, (before, _)) in phases.iter().enumerate() {
        places[*before] = place;
    }
    let edge = |edge: &Edge| Edge { from: places[edge.from], to: places[edge.to], value: edge.value.clone() };
    let edges = edges.iter().map(edge).collect();
    Layout::new(phases.into_iter().map(|(_, phase)| phase).collect(), edges)
}

/// The columns that agents reported, and the phases that reported them.
#[derive(Default)]
struct ColumnNames {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, usize>,
    /// By place of the phase and column.
    owned: BTreeSet<(usize, usize)>,
}

impl ColumnNames {
    fn id(&mut self, place: usize, name: &Arc<str>) -> u32 {
        let id = *self.ids.entry(Arc::clone(name)).or_insert_with(|| {
            self.names.push(Arc::clone(name));
            self.names.len() - 1
        });
        self.owned.insert((place, id));
        id as u32
    }

    /// In graph order of the first phase that has them, then as they were first seen: so the order in which items
    /// settle does not change the file.
    fn order(&self, ranks: &[Vec<usize>]) -> Vec<usize> {
        let mut first: Vec<Option<&Vec<usize>>> = vec![None; self.names.len()];
        for (place, id) in &self.owned {
            let rank = ranks.get(*place);
            if first[*id].is_none_or(|first| rank.is_some_and(|rank| rank < first)) {
                first[*id] = rank;
            }
        }
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by_key(|id| first[*id]);
        order
    }
}

/// Appends a row as three texts: the standard cells, the custom ones with their columns, the tail.
fn encode(bytes: &mut Vec<u8>, row: &Row, custom: &[(u32, String)]) {
    let cells = |columns: &[&str], first: &str| {
        let mut cells = String::new();
        for (index, column) in columns.iter().enumerate() {
            cells.push_str(if index == 0 { first } else { "," });
            row.cell(&mut cells, column, ',');
        }
        cells
    };
    let standard = cells(&STANDARD, "");
    let tail = cells(&TAIL, ",");
    put(bytes, &standard);
    bytes.extend_from_slice(&(custom.len() as u32).to_le_bytes());
    for (id, encoded) in custom {
        bytes.extend_from_slice(&id.to_le_bytes());
        put(bytes, encoded);
    }
    put(bytes, &tail);
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Writes rows from [`encode`] as lines with the columns in their final order.
fn write_rows(
    mut bytes: &[u8],
    order: &[usize],
    line: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut cells: Vec<&[u8]> = vec![b"null"; order.len()];
    let mut out = Vec::new();
    while !bytes.is_empty() {
        out.clear();
        out.extend_from_slice(take_text(&mut bytes)?);
        cells.fill(b"null");
        for _ in 0..take_number(&mut bytes)? {
            let id = take_number(&mut bytes)? as usize;
            let cell = take_text(&mut bytes)?;
            *cells.get_mut(id).ok_or(io::ErrorKind::InvalidData)? = cell;
        }
        for id in order {
            out.push(b',');
            out.extend_from_slice(cells.get(*id).ok_or(io::ErrorKind::InvalidData)?);
        }
        out.extend_from_slice(take_text(&mut bytes)?);
        line(&out)?;
    }
    Ok(())
}

fn take_number(bytes: &mut &[u8]) -> io::Result<u32> {
    let (number, rest) = bytes.split_first_chunk().ok_or(io::ErrorKind::InvalidData)?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let length = take_number(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or(io::ErrorKind::InvalidData)?;
    *bytes = rest;
    Ok(text)
}
