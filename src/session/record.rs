//! Records a run: stores every row, on disk if there are many, and finally writes the session file. Knows nothing of
//! how the rows were made.

use super::entries::Entry;
use super::layout::Layout;
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
/// elements in the order of their list, then as they happened.
pub struct Recorder {
    target: Target,
    layout: Layout,
    /// The rows of items that are not settled, with the places of their phases.
    in_flight: HashMap<ItemId, Vec<HeldRow>>,
    spool: Spool,
    columns: ColumnNames,
    rows: u64,
}

/// A row of an item in flight, with its sort keys.
struct HeldRow {
    /// The place of its phase.
    place: usize,
    element: Option<u32>,
    /// Its index in the record that is replayed.
    recorded: Option<usize>,
    row: Row,
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
                self.in_flight.entry(item).or_default().push(HeldRow { place, element, recorded, row });
                Ok(())
            }
            // Its steps may run again during the recording.
            Entry::Settled { item: ItemId::RUN, .. } => Ok(()),
            Entry::Settled { item, .. } => self.settle(item),
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
        let order = self.columns.order();
        let names: Vec<Arc<str>> = order.iter().map(|id| Arc::clone(&self.columns.names[*id])).collect();
        for (place, phase) in self.layout.phases.iter_mut().enumerate() {
            let own = order.iter().filter(|id| self.columns.owned.contains(&(place, **id)));
            phase.fields = own.map(|id| Arc::clone(&self.columns.names[*id])).collect();
        }
        let file = write::File { head, layout: &self.layout, columns: &names, rows: self.rows, summary };
        file.write(&self.target, |line| self.spool.drain(|bytes| write_rows(bytes, &order, line)))?;
        Ok(self.rows)
    }

    fn settle(&mut self, item: ItemId) -> io::Result<()> {
        let mut rows = self.in_flight.remove(&item).unwrap_or_default();
        rows.sort_by_key(|held| (held.place, held.element, held.recorded));
        let mut bytes = Vec::new();
        for HeldRow { place, row, .. } in &rows {
            let custom: Vec<(u32, String)> = row
                .columns
                .iter()
                .map(|(name, _)| {
                    let mut encoded = String::new();
                    row.cell(&mut encoded, name, ',');
                    (self.columns.id(*place, name), encoded)
                })
                .collect();
            encode(&mut bytes, row, &custom);
        }
        self.rows += rows.len() as u64;
        self.spool.put(item.0, bytes)
    }
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
    fn order(&self) -> Vec<usize> {
        let mut first = vec![usize::MAX; self.names.len()];
        for (place, id) in &self.owned {
            first[*id] = first[*id].min(*place);
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
