//! Near misses that are more than a line: steps as rows of a table or items of a list, values in a list below
//! `Inputs:`, and headings that are the branches of a decision.

use super::{Place, meant};
use crate::condition;
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use crate::spec::body::{Part, unmarked};
use crate::spec::decision::{self, Known};
use crate::spec::evidence::Role;
use crate::spec::markdown::{Block, Container, Holder, Kind, cells, lines};
use crate::spec::near::{self, Meant};
use crate::spec::{Port, signature};
use crate::value::Type;

/// Names of the column, or the setting, with the title of a step.
const TITLES: [&str; 9] = ["step", "steps", "task", "stage", "activity", "action", "name", "title", "id"];

/// Lines above such a table or list.
const LEADS: [&str; 5] = ["steps", "tasks", "jobs", "stages", "workflow"];

/// Settings of a step in other languages, beside those that have another name here.
const SETTINGS: [&str; 3] = ["uses", "run", "with"];

/// Words of a branch that is taken for a true answer, and for a false one.
const YES: [&str; 13] = [
    "yes",
    "true",
    "ok",
    "okay",
    "pass",
    "passed",
    "success",
    "succeeded",
    "approved",
    "accepted",
    "valid",
    "if-yes",
    "on-success",
];
const NO: [&str; 13] = [
    "no",
    "false",
    "not-ok",
    "fail",
    "failed",
    "failure",
    "rejected",
    "declined",
    "denied",
    "invalid",
    "if-no",
    "else",
    "otherwise",
];

/// A step as the heading that it should be, with what flows.
struct Meaning {
    heading: String,
    flow: String,
    /// Whether nothing that was said is lost.
    whole: bool,
}

impl Meaning {
    /// Of settings, each with its key and its value, if they name a title and more that a step has.
    fn of(hashes: &str, settings: &[(&str, &str)]) -> Option<(String, Meaning)> {
        let bare = |value: &str| value.trim().trim_matches(['"', '\'', '`', '*']).trim().replace("\\|", "|");
        let said = |key: &str| TITLES.contains(&near::plain(key).as_str());
        let title = settings.iter().find(|(key, value)| said(key) && !bare(value).is_empty())?;
        let title_of = bare(title.1);
        let (mut agent, mut fields, mut ports): (Option<String>, _, _) =
            (None, String::new(), [const { None }; 2]);
        let (mut whole, mut speaks) = (true, false);
        for setting in settings.iter().filter(|setting| *setting != title) {
            let (key, value) = (setting.0, bare(setting.1));
            if ["", "-", "\u{2013}", "\u{2014}", "none", "n/a"].contains(&value.as_str()) {
                continue;
            }
            match (near::meant(key), meant::right_key(key)) {
                (Some(Meant::Agent), _) => {
                    let name = near::actor(&value).map(str::to_owned);
                    whole &= name.is_some();
                    agent = name.or_else(|| as_name(&value)).or(agent);
                }
                (Some(Meant::Inputs), _) => ports[0] = Some(value),
                (Some(Meant::Outputs), _) => ports[1] = Some(value),
                (_, Some(field)) => match near::value(field, &value) {
                    Some(right) => fields.push_str(&format!(" [{field}:: {right}]")),
                    None => whole = false,
                },
                _ if SETTINGS.contains(&near::plain(key).as_str()) => whole = false,
                _ => {
                    whole = false;
                    continue;
                }
            }
            speaks = true;
        }
        let named = agent.is_some();
        let heading = format!("{hashes} {title_of} @{}{fields}", agent.as_deref().unwrap_or("agent"));
        let flow = match ports {
            [None, None] => String::new(),
            [inputs, outputs] => {
                let flow = format!("{} → {}", inputs.unwrap_or_default(), outputs.unwrap_or_default());
                flow.replace('`', "").trim().to_owned()
            }
        };
        let sound = flow.is_empty()
            || signature::read(&flow, Span::new(0, flow.len())).is_some_and(|arrow| arrow.read.is_ok());
        let meaning = Meaning { heading, flow, whole: whole && named && sound };
        speaks.then_some((title_of, meaning))
    }

    fn written(&self) -> String {
        if self.flow.is_empty() {
            format!("{}\n", self.heading)
        } else {
            format!("{}\n{}\n", self.heading, self.flow)
        }
    }
}

impl Place<'_> {
    /// Tables and lists that are steps.
    pub(super) fn steps_in_blocks(&self, role: Role) -> impl Iterator<Item = Diagnostic> + '_ {
        let level = usize::from(self.head.level) + usize::from(role != Role::Step);
        let hashes = "#".repeat(level.min(6));
        self.part.blocks.iter().enumerate().filter_map(move |(index, block)| {
            let Kind::Container(container) = &block.kind else { return None };
            let (what, rows) = match container.holder {
                Holder::Table => ("table", self.rows(&hashes, block)?),
                Holder::List => ("list", self.items(&hashes, container)),
                Holder::Quote => return None,
            };
            let steps: Vec<&(String, Meaning)> = rows.iter().flatten().collect();
            // An overview of steps that there are is prose.
            if steps.iter().any(|(title, _)| self.titles.is_title(title)) {
                return None;
            }
            let (_, first) = steps.first()?;
            let report = problem::steps_in_a_block(block.span, what, &first.heading, &first.flow);
            let all = steps.len() == rows.len() && steps.iter().all(|(_, meaning)| meaning.whole);
            let right: Vec<String> = steps.iter().map(|(_, meaning)| meaning.written()).collect();
            // `steps:` above them.
            let lead = index.checked_sub(1).map(|before| self.part.blocks[before].span);
            let lead = lead.filter(|lead| {
                LEADS.contains(&near::plain(self.slice(*lead).trim_end_matches(':')).as_str())
            });
            let span = lead.map_or(block.span, |lead| lead.to(block.span));
            Some(if all { report.maybe(span, right.join("\n").trim_end()) } else { report })
        })
    }

    /// The rows of a table with a column for the steps' titles, but for empty ones: each as the step that it is, if any.
    fn rows(&self, hashes: &str, block: &Block) -> Option<Vec<Option<(String, Meaning)>>> {
        let mut rows = lines(self.text, block.span);
        let heads = cells(self.slice(rows.next()?));
        // A name or a title alone can be that of anything.
        heads.iter().find(|head| TITLES[..6].contains(&near::plain(head).as_str()))?;
        let rows = rows.skip(1).map(|line| cells(self.slice(line)));
        let filled = rows.filter(|row| row.iter().any(|cell| !cell.is_empty()));
        let steps = filled.map(|row| {
            let settings: Vec<(&str, &str)> = heads.iter().copied().zip(row).collect();
            Meaning::of(hashes, &settings)
        });
        Some(steps.collect())
    }

    /// The items of a list that are settings, as in YAML, but for empty ones: each as the step that it is, if any.
    fn items(&self, hashes: &str, list: &Container) -> Vec<Option<(String, Meaning)>> {
        let filled = list.items.iter().filter(|item| !self.slice(unmarked(self.text, **item)).is_empty());
        let steps = filled.map(|item| {
            let settings = lines(self.text, *item).map(|line| {
                let (key, value) = self.slice(unmarked(self.text, line)).split_once(':')?;
                Some((key.trim(), value.trim()))
            });
            Meaning::of(hashes, &settings.collect::<Option<Vec<_>>>()?)
        });
        steps.collect()
    }

    /// `Inputs:` and `Outputs:` above lists of values, or as headings of their own, where the step has no signature.
    pub(super) fn values_in_lists(&self, role: Role) -> Option<Diagnostic> {
        let written = self.part.arrows.iter().any(|arrow| arrow.read.is_ok());
        if written || self.head.outputs().next().is_some() {
            return None;
        }
        let own = std::iter::once(self.part).chain(self.below());
        let mut found: [Option<(Span, String)>; 2] = [const { None }; 2];
        for part in own {
            let title = part.head.as_ref().filter(|head| head.line != self.head.line).map(|head| head.whole);
            let mut before = title;
            for block in &part.blocks {
                let lead = before.take();
                match &block.kind {
                    Kind::Paragraph => before = lines(self.text, block.span).last(),
                    Kind::Container(list) if list.holder == Holder::List => {
                        let Some(lead) = lead else { continue };
                        let place = match near::meant(
                            self.slice(lead).trim_end_matches(['*', '_', ' ']).trim_end_matches(':'),
                        ) {
                            Some(Meant::Inputs) => &mut found[0],
                            Some(Meant::Outputs) => &mut found[1],
                            _ => continue,
                        };
                        let names =
                            list.items.iter().map(|item| Some(shown(&signature::bullet(self.text, *item)?)));
                        let names = names.collect::<Option<Vec<String>>>()?.join(", ");
                        place.get_or_insert((Span::new(lead.start, block.span.end), names));
                    }
                    _ => {}
                }
            }
        }
        let [inputs, outputs] = &found;
        // Without a step, it takes both to be sure.
        if role == Role::Section && (inputs.is_none() || outputs.is_none()) {
            return None;
        }
        let first =
            [inputs, outputs].into_iter().flatten().map(|(span, _)| *span).min_by_key(|span| span.start)?;
        let names = |side: &Option<(Span, String)>, none: &str| {
            side.as_ref().map_or(none.to_owned(), |(_, names)| names.clone())
        };
        let right = format!("{} → {}", names(inputs, ""), names(outputs, "result")).trim().to_owned();
        let line = lines(self.text, first).next().unwrap_or(first);
        let report = problem::near_annotation(line, &right);
        // Headings of their own may have more below them.
        let own = |side: &Option<(Span, String)>| {
            side.as_ref()
                .is_some_and(|(span, _)| self.part.blocks.iter().any(|block| block.span.end == span.end))
        };
        if !own(inputs) || !own(outputs) {
            return Some(report);
        }
        let changes = found.iter().flatten().map(|(span, _)| {
            if span.start == first.start {
                return Replacement { span: *span, text: right.clone() };
            }
            Replacement { span: self.removal(*span), text: String::new() }
        });
        Some(report.fixed(true, changes.collect()))
    }

    /// The sections directly below the step.
    fn below(&self) -> impl Iterator<Item = &Part<'_>> {
        let after = self.parts.iter().zip(self.roles).skip(self.index + 1);
        let level = self.head.level;
        after
            .take_while(move |(part, role)| part.level() > level && **role == Role::Section)
            .map(|(part, _)| part)
    }

    /// `### yes -> Ship`, below the step that decides.
    pub(super) fn branch(&self) -> Option<Diagnostic> {
        let said = self.slice(self.head.whole);
        let (asked, target) = said.split_once('→').or_else(|| said.split_once("->"))?;
        let asked = asked.trim();
        if asked.is_empty() {
            return None;
        }
        let mut above = self.parts[..self.index].iter().zip(&self.roles[..self.index]);
        let deciding = above.rfind(|(part, role)| **role == Role::Step && part.level() < self.head.level);
        let (deciding, _) = deciding?;
        let answers: Vec<&str> = deciding.answers().collect();
        let plain = near::plain(asked);
        let condition = match answers.as_slice() {
            [answer] if YES.contains(&plain.as_str()) => Some(format!("If {answer}")),
            [answer] if NO.contains(&plain.as_str()) => Some(format!("If not {answer}")),
            _ if ["else", "otherwise"].contains(&plain.as_str()) => Some("Otherwise".to_owned()),
            _ => {
                let asked = asked.strip_prefix("If ").or_else(|| asked.strip_prefix("if ")).unwrap_or(asked);
                let right = near::condition(asked).filter(|right| meant::is_known(right, self.titles));
                right.filter(|right| condition::parse(right).is_ok()).map(|right| format!("If {right}"))
            }
        };
        let target = decision::target(target, self.titles);
        // Without a step that it leads to, it takes a condition to be sure.
        if target.is_err() && condition.is_none() {
            return None;
        }
        let asks = condition.as_deref().unwrap_or("If …");
        let right = format!("{asks} → {}", target.as_deref().unwrap_or("Step Title"));
        let report = problem::branch_in_a_heading(self.head.whole, &right, target.as_ref().err());
        let certain = condition.is_some() && target.is_ok();
        Some(if certain { report.maybe(self.head.line, right) } else { report })
    }
}

/// An agent's name made from words: `warehouse team` is `warehouse-team`.
fn as_name(words: &str) -> Option<String> {
    let name = near::plain(words);
    near::actor(&name).map(str::to_owned)
}

impl Part<'_> {
    /// Its outputs that are true or false.
    fn answers(&self) -> impl Iterator<Item = &str> {
        let read = self.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
        let outputs = read.flat_map(|signature| &signature.outputs);
        let says = |ty: &str| ty.eq_ignore_ascii_case("boolean") || ty.eq_ignore_ascii_case("bool");
        let answers = outputs.filter(move |port| {
            port.ty.as_ref().is_some_and(|ty| ty.value.name().map_or(ty.value == Type::Boolean, says))
        });
        answers.map(|port| port.name.value.as_str())
    }
}

/// A value as a signature has it.
fn shown(port: &Port) -> String {
    let mark = if port.optional { "?" } else { "" };
    let ty = port.ty.as_ref().map(|ty| format!("::{}", ty.value)).unwrap_or_default();
    format!("{}{mark}{ty}", port.name.value)
}
