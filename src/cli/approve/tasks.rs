//! A file of approvals: a list of tasks, as in a pull request. A ticked one approves the gate with its text.

use super::super::stream;
use super::Wanted;
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::history::GateLog;
use crate::spec::title;
use anyhow::Context;
use std::io::Read;
use std::path::Path;

/// The largest file, in bytes.
const LARGEST: u64 = 1 << 20;

/// The texts of the ticked tasks.
pub struct Tasks(Vec<String>);

/// Reads a file of tasks.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read(file: &Path) -> anyhow::Result<Tasks> {
    let name = || format!("cannot read {}", visible(&file.display().to_string()));
    let mut text = String::new();
    stream::open(file).with_context(name)?.take(LARGEST + 1).read_to_string(&mut text).with_context(name)?;
    if text.len() as u64 > LARGEST {
        return Err(anyhow::anyhow!("it is larger than {} MiB", LARGEST >> 20)).with_context(name);
    }
    Ok(Tasks(text.lines().filter_map(ticked).collect()))
}

/// The text of a ticked task.
fn ticked(line: &str) -> Option<String> {
    let line = line.trim_start_matches(['>', ' ', '\t']);
    let rest = line.strip_prefix(['-', '*', '+'])?.trim_start();
    let rest = rest.strip_prefix("[x]").or_else(|| rest.strip_prefix("[X]"))?;
    Some(rest.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Tasks {
    /// The gates that are approved, and the texts that no gate has. A text with values approves the items of which it is
    /// the question.
    pub fn wanted(&self, graph: &Graph, log: &GateLog) -> (Vec<Wanted>, Vec<String>) {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut unmatched = Vec::new();
        for text in &self.0 {
            let key = title::key(text);
            let is = |said: &str| !said.is_empty() && title::key(said) == key;
            let gates = graph.gates.iter().zip(0..).map(|(gate, id)| (gate, crate::event::GateId(id)));
            let all = gates.filter(|(gate, _)| is(&gate.question.text()) || is(&graph.gated(gate)));
            let all: Vec<_> = all.map(|(_, gate)| Wanted { gate, items: None }).collect();
            if !all.is_empty() {
                wanted.extend(all);
                continue;
            }
            let asked: Vec<_> = log.waiting.iter().filter(|one| is(&one.question)).collect();
            if asked.is_empty() {
                // The file was read before, and the items have passed the gate.
                let answered = log.answered(is);
                if answered.is_empty() {
                    unmatched.push(text.clone());
                }
                let answered = answered.into_iter().map(|(gate, keys)| Wanted { gate, items: Some(keys) });
                wanted.extend(answered);
            }
            for one in asked {
                match wanted.iter_mut().find(|known| known.gate == one.gate) {
                    Some(Wanted { items: Some(items), .. }) => items.push(one.key.to_string()),
                    Some(_) => {}
                    None => {
                        wanted.push(Wanted { gate: one.gate, items: Some(vec![one.key.to_string()]) });
                    }
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        wanted.retain(|one| one.items.is_some() || seen.insert(one.gate));
        (wanted, unmatched)
    }
}

#[cfg(test)]
mod tests {
    use super::ticked;

    #[test]
    fn only_ticked_tasks_count() {
        let is = |line: &str, text: Option<&str>| assert_eq!(ticked(line).as_deref(), text, "{line}");
        is("- [x] Needs sign-off by ops", Some("Needs sign-off by ops"));
        is("  * [X]  Deploy ", Some("Deploy"));
        is("> + [x] Deploy", Some("Deploy"));
        is("- [ ] Deploy", None);
        is("- [x]", None);
        is("[x] Deploy", None);
        is("Deploy", None);
    }
}
