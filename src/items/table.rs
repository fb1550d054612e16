//! Items in the first table of a TOON file, or in the executions of a session file. Cells have their TOON types,
//! except for inputs that are declared as text.

use super::raw::{Fault, Raw, SourcePlace};
use super::shape::{Column, Shape};
use crate::toon::{self, Node, Reader, Scalar};
use crate::value::{Object, Value};
use std::fs::File;

pub(super) struct Rows<'a> {
    reader: Reader<File>,
    shape: &'a Shape,
    /// The name of the table with the items; `None` while it is not known.
    name: Option<Option<String>>,
    columns: Vec<Column<'a>>,
    /// Whether rows belong to that table.
    inside: bool,
    /// Whether the absence of items has already been explained.
    excused: bool,
    /// Problems of the header that are not yet reported.
    header: std::vec::IntoIter<Fault>,
    /// Whether the header lacks a column. Then only the header is reported, not its rows.
    lacks: bool,
}

impl<'a> Rows<'a> {
    pub fn open(file: File, shape: &'a Shape) -> Self {
        Rows {
            reader: Reader::new(file),
            shape,
            name: None,
            columns: Vec::new(),
            inside: false,
            excused: false,
            header: Vec::new().into_iter(),
            lacks: false,
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = anyhow::Result<Raw>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(fault) = self.header.next() {
                return Some(Ok(Raw::Fault(fault)));
            }
            match self.reader.next() {
                Err(error) => return Some(Err(error.into())),
                Ok(None) if self.name.is_none() && !std::mem::replace(&mut self.excused, true) => {
                    let message =
                        "the file has no table; write a header such as orders[2]{id,total}: above the rows";
                    return Some(Ok(Raw::Fault(SourcePlace::line(1).fault(message))));
                }
                Ok(None) => return None,
                Ok(Some(Err(problem))) => {
                    self.excused = true;
                    return Some(Ok(refused(&problem, self.inside)));
                }
                Ok(Some(Ok(Node::Field(field)))) => {
                    // Session files begin with this field; their items are the inputs of executions.
                    if field.key.as_deref() == Some("orderflow") && self.name.is_none() {
                        self.name = Some(Some("execution".to_owned()));
                    }
                }
                Ok(Some(Ok(Node::Table(table)))) => {
                    let name = self.name.get_or_insert_with(|| table.key.clone());
                    self.inside = *name == table.key;
                    if self.inside {
                        let names = table.columns.iter().map(|column| column.name()).collect::<Vec<_>>();
                        let lacking = self.shape.lacking_columns(&names).into_iter();
                        let fault = |(_, message)| SourcePlace::line(table.line).fault(message);
                        self.header = lacking.map(fault).collect::<Vec<_>>().into_iter();
                        self.lacks |= self.header.len() > 0;
                        self.columns =
                            table.columns.iter().map(|column| self.shape.column(column.name())).collect();
                    }
                }
                Ok(Some(Ok(Node::Row(row)))) if self.inside => {
                    return Some(Ok(item(row, &self.columns, self.lacks)));
                }
                Ok(Some(Ok(Node::Row(_)))) => {}
            }
        }
    }
}

fn item(row: toon::Row<'_>, columns: &[Column<'_>], lacks: bool) -> Raw {
    let mut object = Object::new();
    let mut faults = Vec::new();
    for (at, (cell, column)) in row.cells().zip(columns).enumerate() {
        let read = match cell.scalar() {
            // A text may look like a number, such as a postal code.
            Scalar::Number(_) | Scalar::Bool(_) if column.is_text() => Ok(Some(Value::from(cell.raw()))),
            scalar => column.value(scalar.value()),
        };
        match read {
            Ok(Some(value)) => drop(object.insert(column.name.clone(), value)),
            Ok(None) => {}
            Err(message) => faults.push(place(row.line, row.text, row.span(at).start).fault(message)),
        }
    }
    let value = if faults.is_empty() && !lacks { Ok(Value::Object(object)) } else { Err(faults) };
    Raw::item(SourcePlace::line(row.line), value)
}

fn refused(problem: &toon::Problem, inside: bool) -> Raw {
    let fault = place(problem.line, &problem.text, problem.span.start).fault(match problem.fault.help() {
        Some(help) => format!("{}; {help}", problem.fault),
        None => problem.fault.to_string(),
    });
    if inside && is_row(&problem.fault) {
        return Raw::item(fault.place, Err(vec![fault]));
    }
    Raw::Fault(fault)
}

fn place(line: u64, text: &str, byte: usize) -> SourcePlace {
    let column = text.char_indices().take_while(|(at, _)| *at < byte).count() as u64 + 1;
    SourcePlace::At { line, column }
}

/// Whether the fault concerns only one row.
fn is_row(fault: &toon::Fault) -> bool {
    use toon::Fault;
    match fault {
        Fault::NotUtf8
        | Fault::TooLong(_)
        | Fault::Tab
        | Fault::Indent { .. }
        | Fault::Width { .. }
        | Fault::ColonFirst
        | Fault::OpenQuote
        | Fault::AfterQuote
        | Fault::Escape => true,
        Fault::Stray
        | Fault::NoKey
        | Fault::NotAlone
        | Fault::Header(_)
        | Fault::DuplicateColumn(_)
        | Fault::DuplicateField(_)
        | Fault::Count { .. }
        | Fault::Blank
        | Fault::Field(_) => false,
    }
}
