//! A run beside another one: which items ended otherwise, which steps were changed, and which figures differ.

use super::agents;
use super::collect::figures;
use super::data::PageData;
use super::gates::moment;
use super::glyphs::glyph;
use super::list::whole_seconds;
use super::needs::{encoded, word};
use super::past;
use crate::diag::render::visible;
use crate::event::{EventKind, ItemEvent, ItemId, ItemState};
use crate::history::History;
use crate::stats::{self, Change, Group, Measure, Threshold};
use crate::value::words;
use crate::view::stats::{Report, code};
use crate::view::{count, milliseconds, percent};
use maud::{Markup, html};
use std::collections::{BTreeMap, HashMap};

/// The most keys that are shown of items that differ in the same way, and the most in a summary.
const KEYS: usize = 20;
const FEW: usize = 5;

/// Another run beside that of the page.
pub struct Compared {
    /// What commands call it.
    pub name: String,
    /// Whether it ended without any failure.
    pub good: bool,
    /// RFC 3339.
    started: String,
    /// The path of its document, if that is another one.
    path: Option<String>,
    items: Vec<Differing>,
    /// Items that both have.
    shared: u64,
    /// Steps that have another meaning now.
    changed: Vec<String>,
    /// Agents that were set otherwise; `None` if one of the runs has not stored that.
    agents: Option<Vec<String>>,
    /// Its figures by step.
    groups: Vec<Group>,
    differences: Vec<Change>,
}

/// Items that differ in the same way.
struct Differing {
    way: Way,
    count: u64,
    /// Some of their keys.
    keys: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Broken,
    Mended,
    BothFailed,
    OnlyHere,
    OnlyThere,
}

impl Way {
    /// The sign and what is said of the items.
    fn said(self) -> (&'static str, &'static str) {
        match self {
            Way::Broken => ("bad", "failed here and succeeded there"),
            Way::Mended => ("ok", "succeeded here and failed there"),
            Way::BothFailed => ("bad", "failed in both"),
            Way::OnlyHere => ("none", "only here"),
            Way::OnlyThere => ("none", "only there"),
        }
    }

    /// `None` if they are alike, or one of them has not ended.
    fn of(now: Option<ItemState>, then: Option<ItemState>) -> Option<Way> {
        match (now?, then?) {
            (ItemState::Succeeded, then) if then.is_failure() => Some(Way::Mended),
            (now, ItemState::Succeeded) if now.is_failure() => Some(Way::Broken),
            (now, then) if now.is_failure() && then.is_failure() => Some(Way::BothFailed),
            _ => None,
        }
    }
}

impl Compared {
    /// The run of `data`, which `history` is, beside `other`; `name` is what commands call the other one.
    ///
    /// # Errors
    /// The journal of the other one is damaged.
    pub fn of(data: &PageData, history: &History, other: &History, name: &str) -> anyhow::Result<Compared> {
        let (then, _) = figures(other)?;
        let own = |groups: &[Group]| -> Vec<Group> {
            groups.iter().filter(|group| !group.nested).cloned().collect()
        };
        let groups = own(&then.groups);
        // Below these, times differ by chance.
        let threshold = Threshold { percent: 10.into(), executions: 5, milliseconds: 50.into() };
        let differences = stats::changes(&groups, &own(&data.stats.groups), Some(&threshold)).all;
        let path = &other.header().document.path;
        let (items, shared) = items(data, other)?;
        Ok(Compared {
            name: visible(name),
            good: past::is_good(other)?,
            started: visible(&other.header().started),
            path: (*path != history.header().document.path).then(|| visible(path)),
            items,
            shared,
            changed: past::changed(&past::definition(other), history),
            agents: agents::changed(other.options.agents.as_deref(), history),
            groups,
            differences,
        })
    }

    /// The items and steps that differ, for a pull request. All names are code.
    pub fn markdown(&self) -> String {
        let mut out = format!("### Compared with {}\n\n", code(&self.name));
        for one in &self.items {
            let keys: Vec<String> = one.keys.iter().take(FEW).map(|key| code(key)).collect();
            let more = one.count.saturating_sub(keys.len() as u64);
            let more = if more > 0 { format!(" and {} more", count(more)) } else { String::new() };
            let (_, said) = one.way.said();
            out.push_str(&format!(
                "- {} {said}: {}{more}\n",
                words::count(one.count, "item"),
                keys.join(" ")
            ));
        }
        if self.items.is_empty() {
            out.push_str(&format!("- {} in both; none ended otherwise\n", words::count(self.shared, "item")));
        }
        let changed: Vec<String> = self.changed.iter().map(|step| code(step)).collect();
        match changed.is_empty() {
            true => out.push_str("- no step was changed\n"),
            false => out.push_str(&format!("- changed since then: {}\n", changed.join(" "))),
        }
        for agent in self.agents.iter().flatten() {
            out.push_str(&format!("- {}\n", code(agent)));
        }
        out.push('\n');
        out
    }

    /// The same report with the figures that differ.
    pub fn report<'a>(&'a self, report: Report<'a>) -> Report<'a> {
        Report { changes: Some(&self.differences), baseline: &self.name, ..report }
    }

    /// How many items failed that succeeded there.
    pub fn broken(&self) -> u64 {
        self.items.iter().filter(|one| one.way == Way::Broken).map(|one| one.count).sum()
    }
}

/// The items that differ, and how many both have.
fn items(data: &PageData, other: &History) -> anyhow::Result<(Vec<Differing>, u64)> {
    let mut then: HashMap<ItemId, (String, Option<ItemState>)> = HashMap::new();
    other.replay(|event| {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => {
                then.insert(*item, (visible(key), None));
            }
            EventKind::Item(item, ItemEvent::Settled { end, .. }) => {
                if let Some((_, state)) = then.get_mut(item) {
                    *state = Some(end.state);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut then: HashMap<String, Option<ItemState>> = then.into_values().collect();
    let mut now: Vec<Option<ItemState>> = vec![None; data.items.keys.len()];
    for (item, state) in data.items.item.iter().zip(&data.items.state) {
        let ended = usize::from(*state).checked_sub(1).and_then(|state| ItemState::ALL.get(state));
        if let Some(known) = usize::try_from(*item).ok().and_then(|item| now.get_mut(item)) {
            *known = ended.copied();
        }
    }
    let mut found: BTreeMap<Way, Differing> = BTreeMap::new();
    let mut add = |way: Way, key: &str| {
        let one = found.entry(way).or_insert(Differing { way, count: 0, keys: Vec::new() });
        one.count += 1;
        if one.keys.len() < KEYS {
            one.keys.push(key.to_owned());
        }
    };
    let mut shared = 0;
    for (key, state) in data.items.keys.iter().zip(now) {
        match then.remove(key) {
            None => add(Way::OnlyHere, key),
            Some(before) => {
                shared += 1;
                if let Some(way) = Way::of(state, before) {
                    add(way, key);
                }
            }
        }
    }
    let mut gone: Vec<String> = then.into_keys().collect();
    gone.sort_unstable();
    gone.iter().for_each(|key| add(Way::OnlyThere, key));
    Ok((found.into_values().collect(), shared))
}

/// The comparison as a view of the page; `served` with links to compare with other runs.
pub fn view(data: &PageData, served: bool) -> Markup {
    let Some(compared) = &data.compared else {
        return html! {
            @if !data.others.is_empty() {
                h2 id="_compare-title" { "Compare" }
                p.dim { "An active run is compared with the run that you choose, as far as it has come." }
                (others(data, None, served))
            }
        };
    };
    let differs = compared.items.iter().any(|one| one.way != Way::BothFailed);
    html! {
        h2 id="_compare-title" { "Compared with " span.mono { (compared.name) } }
        p.dim {
            "It began at " (moment(&whole_seconds(&compared.started))) @if let Some(path) = &compared.path { ", runs " code { (path) } }
            @if compared.good { " and ended without a failure" } ". Here is " span.mono { (data.run.name) } ", there is " span.mono { (compared.name) } "."
        }
        h3 { "Items" }
        @if !differs { p { (words::count(compared.shared, "item")) " in both; none ended otherwise" } }
        @for one in &compared.items { (items_line(one)) }
        h3 { "Steps and agents" }
        @if compared.changed.is_empty() { p { "No step was changed." } }
        @else { p { "Changed since then: " (compared.changed.join(", ")) } }
        @match compared.agents.as_deref() {
            Some([]) => @if data.graph.steps.iter().any(|step| step.agent.is_some()) { p { "No agent was set otherwise." } },
            Some(agents) => @for agent in agents { p { "Changed since then: " (agent) } },
            None => p.dim { "How the agents were set is not stored with one of the runs." },
        }
        (steps(data, compared))
        (others(data, Some(compared), served))
    }
}

fn items_line(one: &Differing) -> Markup {
    let (icon, said) = one.way.said();
    let more = one.count.saturating_sub(one.keys.len() as u64);
    html! {
        p {
            (glyph(icon)) " " b { (words::count(one.count, "item")) } " " (said) ": "
            @for (at, key) in one.keys.iter().enumerate() {
                @if at > 0 { ", " }
                @if one.way == Way::OnlyThere { span.mono { (key) } }
                @else { a.mono href={ "#item=" (encoded(key)) } { (key) } }
            }
            @if more > 0 { " and " (count(more)) " more" }
        }
    }
}

/// The figures of all steps that ran in either, with those that differ as `there → here`.
fn steps(data: &PageData, compared: &Compared) -> Markup {
    let now: Vec<&Group> = data.stats.groups.iter().filter(|group| !group.nested).collect();
    let gone = compared.groups.iter().filter(|then| !now.iter().any(|now| now.phase() == then.phase()));
    let rows: Vec<(Option<&Group>, Option<&Group>)> = now
        .iter()
        .map(|now| (compared.groups.iter().find(|then| then.phase() == now.phase()), Some(*now)))
        .chain(gone.map(|then| (Some(then), None)))
        .collect();
    let tokens = rows.iter().any(|(then, now)| {
        [then, now].into_iter().flatten().any(|group| group.tokens_used.is_some_and(|tokens| tokens > 0))
    });
    html! {
        @if !rows.is_empty() {
            div.wide tabindex="0" role="group" aria-label="Figures of each step, there and here" {
                table.figures {
                    thead { tr {
                        th scope="col" { "step" }
                        @for name in ["count", "success", "p50", "p95"] { th.n scope="col" { (name) } }
                        @if tokens { th.n scope="col" { "tokens" } }
                    } }
                    tbody {
                        @for (then, now) in rows {
                            tr {
                                th scope="row" { (title(data, then, now)) }
                                @for measure in [Measure::Count, Measure::Success, Measure::P50, Measure::P95] {
                                    (cell(compared, measure, then, now))
                                }
                                @if tokens { td.n { (both(then.and_then(|group| group.tokens_used).map(count), now.and_then(|group| group.tokens_used).map(count))) } }
                            }
                        }
                    }
                }
            }
            p.dim { "What differs is shown as there → here. Worse is a success rate or a p95 that is worse by more than 10 %; a p95 by 50 ms at least, over 5 executions or more." }
        }
    }
}

fn title(data: &PageData, then: Option<&Group>, now: Option<&Group>) -> Markup {
    let phase = now.or(then).and_then(Group::phase).map(|phase| &**phase).unwrap_or_default();
    let step =
        data.graph.steps.iter().position(|step| *step.phase == *phase).and_then(|at| data.steps.get(at));
    html! {
        @match step { Some(step) => a href={ "#step=" (step.phase) } { (step.title) }, None => (visible(phase)) }
        @if now.is_none() { " " span.dim { "only there" } } @else if then.is_none() { " " span.dim { "only here" } }
    }
}

fn cell(compared: &Compared, measure: Measure, then: Option<&Group>, now: Option<&Group>) -> Markup {
    let phase = now.or(then).and_then(Group::phase);
    let mut own = compared.differences.iter();
    let worse = own.any(|one| one.worse && one.figure == measure && one.phase.as_ref() == phase);
    let text = |group: Option<&Group>| {
        let group = group?;
        match measure {
            Measure::Count => Some(count(group.count)),
            Measure::Success => group.success_rate.map(|share| percent(share.0)),
            Measure::Mean => group.mean_ms.map(|time| milliseconds(time.0)),
            Measure::P50 => group.p50_ms.map(|time| milliseconds(time.0)),
            Measure::P95 => group.p95_ms.map(|time| milliseconds(time.0)),
        }
    };
    html! { td.n.bad[worse] { (both(text(then), text(now))) @if worse { " worse" } } }
}

fn both(then: Option<String>, now: Option<String>) -> Markup {
    let shown = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let (then, now) = (shown(then), shown(now));
    html! { @if then == now { span.dim { (now) } } @else { (then) " → " (now) } }
}

/// With which runs it can be compared besides.
fn others(data: &PageData, compared: Option<&Compared>, served: bool) -> Markup {
    let is_other = |name: &str| compared.is_none_or(|compared| compared.name != name);
    let others = data.others.iter().rev().filter(|run| is_other(&run.name));
    let first = others.clone().next().map_or_else(|| "RUN".to_owned(), |run| word(&run.name));
    html! {
        @if !served {
            p.cmd { span.dim { "with another run: " } code { "orderflow report " (data.run.name) " --baseline " (first) } }
        } @else if others.clone().next().is_some() {
            @if compared.is_some() { h3 { "Compare with another run" } }
            @for run in others {
                p {
                    a.mono href={ "?baseline=" (encoded(&run.name)) "#view=compare" } { (run.name) }
                    " " span.dim { (moment(&whole_seconds(&run.started))) @if run.good { ", without a failure" } }
                }
            }
        }
    }
}
