//! The fold over rows to statistics. Several inputs are summed; each has its own items and times.

use super::group::{GroupTally, PhaseTimes, add_tokens, mean, nanoseconds};
use super::items::{RowMark, Trail};
use super::left_out::AllLeftOut;
use super::model::{By, Dimension, Figure, Group, Judged, LeftOut, RunStats, Slowest, Stats};
use super::names::Names;
use crate::event::{ItemState, Status};
use crate::session::{self, Layout, Row, RowRef, Session, link, read_session};
use crate::value::Object;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::sync::Arc;

/// The number of the row's name in each dimension, of which there are at most four.
type Key = [u32; 4];

/// Rows on their way to statistics: each is counted once, and none is stored.
pub struct Fold {
    /// The dimensions that are shown.
    by: By,
    /// Whether the statistics of every step and of all rows are also needed.
    judged: bool,
    /// The dimensions by which rows are distinguished: the union of all that are needed.
    apart: By,
    groups: HashMap<Key, GroupTally>,
    /// The same of the rows of documents that steps ran, which only statistics by step show: the rows of these steps
    /// have counted them in the totals.
    nested: HashMap<Key, GroupTally>,
    /// All rows so far.
    seen: u64,
    names: Names,
    /// By the number of its name.
    phases: HashMap<u32, PhaseTimes>,
    rows: u64,
    executions: u64,
    sequential: Option<u128>,
    tokens_used: Option<u64>,
    inputs: u64,
    totals: Totals,
    /// The layout of all inputs, if they agree.
    layout: Option<Layout>,
    /// The phases of all inputs that have a layout.
    known: BTreeSet<Arc<str>>,
}

/// Items and times; `None` as soon as one input does not have them.
struct Totals {
    items: Option<u64>,
    states: Option<[u64; ItemState::ALL.len()]>,
    not_started: u64,
    left_out: AllLeftOut,
    wall: Option<u64>,
    elapsed: Option<u128>,
    /// The same of the items that have settled; `None` if it is unknown which have.
    settled: Option<u128>,
    /// Items that had not settled when the rows ended.
    in_flight: u64,
    /// The time of the steps that ran once after all items.
    once: Option<u128>,
    /// Settled items whose elapsed time is known.
    timed: u64,
    /// Of the items whose rows show that they succeeded.
    succeeded_elapsed: u128,
    succeeded: u64,
}

/// The same of one input while it is read.
pub(super) struct FoldInput {
    totals: Totals,
    /// First start and last end; `None` as soon as one row lacks them. Rows show their last attempts: where there were
    /// earlier ones, the run's own start counts.
    span: Option<(u64, u64)>,
    rows: u64,
    /// The rows of the steps that ran once after all items.
    pub once: Trail,
}

impl FoldInput {
    pub fn new() -> FoldInput {
        FoldInput {
            totals: Totals {
                items: Some(0),
                states: Some([0; ItemState::ALL.len()]),
                not_started: 0,
                left_out: AllLeftOut::default(),
                wall: None,
                elapsed: Some(0),
                settled: Some(0),
                in_flight: 0,
                once: Some(0),
                timed: 0,
                succeeded_elapsed: 0,
                succeeded: 0,
            },
            span: Some((u64::MAX, 0)),
            once: Trail::default(),
            rows: 0,
        }
    }

    /// Counts a row's time.
    pub fn mark(&mut self, mark: &RowMark) {
        self.rows += 1;
        self.span = match (self.span, mark.whole_interval()) {
            (Some((first, last)), Some((start, end))) => Some((first.min(start), last.max(end))),
            _ => None,
        };
    }

    /// Counts the steps that an item did not run; `once` for those of the run.
    pub fn left_out(&mut self, left_out: &[session::LeftOut], once: bool) {
        for session::LeftOut { phase, critical, because, decided } in left_out {
            self.totals.left_out.add(LeftOut {
                phase: Arc::clone(phase),
                critical: *critical,
                items: (!once).then_some(1),
                because: because.clone(),
                decided: *decided,
            });
        }
    }

    /// Counts an item by its rows. Its state is inferred from them if not given.
    pub fn item(&mut self, layout: Option<&Layout>, trail: &Trail, state: Option<ItemState>) {
        let totals = &mut self.totals;
        totals.items = totals.items.map(|items| items + 1);
        let outcome = trail.outcome(layout);
        totals.states = totals.states.take().and_then(|mut states| {
            states[state.or(outcome)? as usize] += 1;
            Some(states)
        });
        if trail.is_empty() {
            return;
        }
        totals.timed += 1;
        let own = trail.elapsed(layout).map(u128::from);
        totals.elapsed = totals.elapsed.zip(own).map(|(sum, own)| sum + own);
        totals.settled = totals.settled.zip(own).map(|(sum, own)| sum + own);
        if let (Some(own), Some(ItemState::Succeeded)) = (own, outcome) {
            totals.succeeded += 1;
            totals.succeeded_elapsed += own;
        }
    }

    /// Counts the time of an item in flight: its rows are counted, so its time must be too.
    pub fn in_flight(&mut self, layout: Option<&Layout>, trail: &Trail) {
        let own = trail.elapsed(layout).map(u128::from);
        self.totals.elapsed = self.totals.elapsed.zip(own).map(|(sum, own)| sum + own);
    }

    /// Counts an item whose rows are complete, if there is one.
    fn end_of(&mut self, trail: &mut Trail, layout: Option<&Layout>) {
        if !trail.is_empty() {
            self.item(layout, &std::mem::take(trail), None);
        }
    }

    /// The rows have no items.
    fn unlinked(&mut self) {
        self.totals.items = None;
        self.totals.states = None;
        self.totals.elapsed = None;
        self.totals.settled = None;
    }

    /// Uses the items in a session's summary: it includes those that left no row and how each one ended.
    fn believe(&mut self, summary: &Object) {
        let (Some(items), Some(by_status)) =
            (summary.get("items").and_then(|items| items.as_u64()), summary.get("items_by_status"))
        else {
            return;
        };
        let states = ItemState::ALL
            .map(|state| by_status.get(state.name()).and_then(|count| count.as_u64()).unwrap_or(0));
        let sum = states.iter().try_fold(0, |sum: u64, count| sum.checked_add(*count));
        if sum == Some(items) {
            self.totals.items = Some(items);
            self.totals.states = Some(states);
            let left_out = summary.get("left_out").cloned().map(serde_json::from_value::<Vec<LeftOut>>);
            for one in left_out.and_then(Result::ok).into_iter().flatten() {
                self.totals.left_out.add(one);
            }
            let count = |name: &str| summary.get(name).and_then(|count| count.as_u64()).unwrap_or(0);
            self.totals.not_started = count("not_started");
            self.totals.in_flight = count("in_flight");
            if self.totals.in_flight > 0 {
                // The rows do not show which items these are.
                self.totals.settled = None;
            }
        }
    }
}

impl Fold {
    pub fn new(by: By) -> Fold {
        Fold {
            apart: by.clone(),
            by,
            judged: false,
            groups: HashMap::new(),
            nested: HashMap::new(),
            seen: 0,
            names: Names::default(),
            phases: HashMap::new(),
            rows: 0,
            executions: 0,
            sequential: None,
            tokens_used: None,
            inputs: 0,
            totals: Totals { wall: Some(0), ..FoldInput::new().totals },
            layout: None,
            known: BTreeSet::new(),
        }
    }

    /// Also computes the statistics of every step and of all rows, whatever is shown.
    pub fn judged(mut self) -> Fold {
        self.judged = true;
        if !self.apart.contains(&Dimension::Phase) {
            self.apart.push(Dimension::Phase);
        }
        self
    }

    /// Folds a session file or any other tables of executions. Files of this program have the rows of an item
    /// together, so that only one item is in memory at a time; elsewhere rows of an item may be anywhere, and all
    /// items are.
    ///
    /// # Errors
    /// Read errors of the input. A session with problems has been counted only in part.
    pub fn session(&mut self, input: impl Read) -> io::Result<Session> {
        let mut of_input = FoldInput::new();
        let mut current = (String::new(), Trail::default());
        let mut scattered: HashMap<Box<str>, Trail> = HashMap::new();
        let mut linked = true;
        let session = read_session(input, |layout, row| {
            if row.is_nested() {
                self.nested(row);
                return;
            }
            let mark = RowMark::of(layout, row);
            self.row(row);
            of_input.mark(&mark);
            match (layout, row.item.as_deref()) {
                (Some(layout), _) if layout.is_of_run(row) => of_input.once.add(&mark),
                (_, None) => linked = false,
                (Some(_), Some(key)) => {
                    if key != current.0 {
                        of_input.end_of(&mut current.1, layout);
                        current.0.clear();
                        current.0.push_str(key);
                    }
                    current.1.add(&mark);
                }
                (None, Some(key)) => match scattered.get_mut(key) {
                    Some(trail) => trail.add(&mark),
                    None => scattered.entry(key.into()).or_default().add(&mark),
                },
            }
        })?;
        let layout = session.layout.as_ref();
        of_input.end_of(&mut current.1, layout);
        scattered.values().for_each(|trail| of_input.item(None, trail, None));
        if !linked || (layout.is_none() && session.rows == 0) {
            of_input.unlinked();
        }
        if layout.is_some() {
            of_input.believe(&session.summary);
        }
        self.end_input(of_input, layout);
        Ok(session)
    }

    /// Folds the rows of a document, linked to items as in replay.
    pub fn document(&mut self, layout: &Layout, rows: &[Row]) {
        let mut input = FoldInput::new();
        for row in rows.iter().map(Row::borrowed) {
            if row.is_nested() {
                self.nested(&row);
                continue;
            }
            self.row(&row);
            if layout.is_of_run(&row) {
                let mark = RowMark::of(Some(layout), &row);
                input.mark(&mark);
                input.once.add(&mark);
            }
        }
        for item in link(layout, rows) {
            let mut trail = Trail::default();
            for row in item.rows {
                let mark = RowMark::of(Some(layout), &rows[row].borrowed());
                input.mark(&mark);
                trail.add(&mark);
            }
            input.item(Some(layout), &trail, None);
        }
        self.end_input(input, Some(layout));
    }

    /// Counts one row; its item is counted separately.
    pub(super) fn row(&mut self, row: &RowRef<'_>) {
        self.rows += 1;
        self.executions += u64::from(row.status != Status::Skipped);
        let phase = self.names.id(Some(&row.phase));
        if let Some(milliseconds) = row.duration_ms {
            let spent = u128::from(nanoseconds(milliseconds));
            self.sequential = Some(self.sequential.unwrap_or(0) + spent);
            if row.status != Status::Skipped {
                self.phases.entry(phase).or_default().add(milliseconds, spent);
            }
        }
        add_tokens(&mut self.tokens_used, row.tokens_used);
        let key = self.key(row);
        self.seen += 1;
        self.groups.entry(key).or_default().add(row, self.seen);
    }

    /// Counts one row of a document that a step ran.
    pub(super) fn nested(&mut self, row: &RowRef<'_>) {
        let key = self.key(row);
        self.seen += 1;
        if self.apart.contains(&Dimension::Phase) {
            let tally = self.nested.entry(key).or_default();
            tally.nested = true;
            tally.add(row, self.seen);
        }
    }

    fn key(&mut self, row: &RowRef<'_>) -> Key {
        let mut key = Key::default();
        for (id, dimension) in key.iter_mut().zip(&self.apart) {
            *id = match dimension {
                Dimension::Phase => self.names.id(Some(&row.phase)),
                Dimension::Agent => self.names.id(row.agent.as_deref()),
                Dimension::Channel => self.names.id(row.channel.as_deref()),
                Dimension::Status => self.names.id(Some(row.status.name())),
            };
        }
        key
    }

    pub(super) fn end_input(&mut self, input: FoldInput, layout: Option<&Layout>) {
        let wall = input.span.filter(|_| input.rows > 0).map(|(first, last)| last.saturating_sub(first));
        let (sum, own) = (&mut self.totals, input.totals);
        sum.items = sum.items.zip(own.items).and_then(|(sum, own)| sum.checked_add(own));
        sum.states = sum.states.zip(own.states).and_then(|(mut sum, own)| {
            for (sum, own) in sum.iter_mut().zip(own) {
                *sum = sum.checked_add(own)?;
            }
            Some(sum)
        });
        sum.not_started = sum.not_started.saturating_add(own.not_started);
        sum.in_flight = sum.in_flight.saturating_add(own.in_flight);
        own.left_out.all.into_iter().for_each(|one| sum.left_out.add(one));
        sum.wall = sum.wall.zip(wall).map(|(sum, own)| sum.saturating_add(own));
        sum.elapsed = sum.elapsed.zip(own.elapsed).map(|(sum, own)| sum + own);
        sum.settled = sum.settled.zip(own.settled).map(|(sum, own)| sum + own);
        let once = input.once.elapsed(layout).map(u128::from);
        sum.once = sum.once.zip(once).map(|(sum, own)| sum + own);
        sum.timed += own.timed;
        sum.succeeded += own.succeeded;
        sum.succeeded_elapsed += own.succeeded_elapsed;
        let phases = layout.iter().flat_map(|layout| &layout.phases);
        self.known.extend(phases.map(|phase| Arc::clone(&phase.name)));
        self.layout = match (self.inputs, &self.layout, layout) {
            (0, _, layout) => layout.cloned(),
            (_, Some(known), Some(layout)) if known.same(layout) => self.layout.take(),
            _ => None,
        };
        self.inputs += 1;
    }

    pub fn finish(self) -> Stats {
        self.finish_judged().0
    }

    /// The statistics to show and those to judge, which are empty without [`Fold::judged`].
    pub fn finish_judged(self) -> (Stats, Judged) {
        let stats = Stats { run: self.run(), groups: self.groups(&self.by) };
        let wanted = |by: By| if self.judged { self.groups(&by) } else { Vec::new() };
        let (steps, all) = (wanted(vec![Dimension::Phase]), wanted(Vec::new()).pop());
        (stats, Judged { steps, all, known: self.known })
    }

    /// Groups the rows by `by`, a part of the dimensions that distinguish them. One group at a time is combined, so
    /// that memory does not depend on the number of calls.
    fn groups(&self, by: &By) -> Vec<Group> {
        let mut together: HashMap<Key, Vec<&GroupTally>> = HashMap::new();
        let nested = self.nested.iter().filter(|_| by.contains(&Dimension::Phase));
        for (key, tally) in self.groups.iter().chain(nested) {
            let mut own = Key::default();
            for (id, dimension) in own.iter_mut().zip(by) {
                let place = self.apart.iter().position(|apart| apart == dimension);
                *id = place.and_then(|place| key.get(place)).copied().unwrap_or_default();
            }
            together.entry(own).or_default().push(tally);
        }
        let mut groups: Vec<_> = together.into_iter().collect();
        groups.sort_by_key(|(key, _)| (self.rank(by, key), *key));
        let groups = groups.into_iter().map(|(key, tallies)| {
            let by = by.iter().zip(key).map(|(dimension, id)| (*dimension, self.names.name(id).cloned()));
            GroupTally::together(tallies).finish(by.collect())
        });
        groups.collect()
    }

    /// Groups are in graph order, statuses in their own, all else as first seen.
    fn rank(&self, by: &By, key: &Key) -> [usize; 4] {
        let mut rank = key.map(|id| id as usize);
        for (dimension, id) in by.iter().zip(&mut rank) {
            let Some(name) = self.names.name(*id as u32) else { continue };
            let place = match dimension {
                Dimension::Phase => self.layout.as_ref().and_then(|layout| layout.rank(name)),
                Dimension::Status => Status::parse(name).map(|status| status as usize),
                Dimension::Agent | Dimension::Channel => None,
            };
            *id = place.unwrap_or(*id);
        }
        rank
    }

    fn run(&self) -> RunStats {
        let totals = &self.totals;
        let whole = |nanoseconds: Option<u128>| nanoseconds.map(Figure::milliseconds);
        let states = totals.states.map(|states| {
            let counted = ItemState::ALL.into_iter().map(|state| (state, states[state as usize]));
            counted.filter(|(_, count)| *count > 0).collect()
        });
        let elapsed = totals.elapsed.zip(totals.once).map(|(items, once)| items + once);
        let saved = self.sequential.zip(elapsed).map(|(all, own)| all.saturating_sub(own));
        // Among equals the first in graph order, so that the order of rows does not matter.
        let slowest = self.phases.iter().filter_map(|(phase, spent)| {
            let name = self.names.name(*phase)?;
            let place = self.layout.as_ref().and_then(|layout| layout.place(name));
            Some((spent.mean()?, std::cmp::Reverse(place.unwrap_or(*phase as usize)), name))
        });
        let slowest = slowest.max_by(|one, other| one.0.0.total_cmp(&other.0.0).then(one.1.cmp(&other.1)));
        let mut left_out = totals.left_out.all.clone();
        let place = |one: &LeftOut| self.layout.as_ref().and_then(|layout| layout.place(&one.phase));
        left_out.sort_by(|a, b| (a.decided, place(a), &a.because).cmp(&(b.decided, place(b), &b.because)));
        RunStats {
            left_out,
            rows: self.rows,
            executions: self.executions,
            items: totals.items,
            items_by_status: states,
            in_flight: (totals.in_flight > 0).then_some(totals.in_flight),
            not_started: (totals.not_started > 0).then_some(totals.not_started),
            wall_ms: whole(totals.wall.map(u128::from)),
            sequential_ms: whole(self.sequential),
            elapsed_ms: whole(totals.elapsed),
            saved_ms: whole(saved),
            mean_item_ms: totals.settled.and_then(|sum| mean(sum, totals.timed)),
            mean_succeeded_item_ms: totals
                .settled
                .and_then(|_| mean(totals.succeeded_elapsed, totals.succeeded)),
            critical_path: self.layout.as_ref().and_then(|layout| self.critical_path(layout)),
            slowest_step: slowest.map(|(mean_ms, _, phase)| Slowest { phase: Arc::clone(phase), mean_ms }),
            tokens_used: self.tokens_used,
        }
    }

    /// `None` if no duration is known. Among equally long paths the one with more steps is chosen, so that steps
    /// without time are included; those without a duration are not.
    fn critical_path(&self, layout: &Layout) -> Option<Vec<Arc<str>>> {
        let means: HashMap<&str, u128> = self
            .phases
            .iter()
            .filter_map(|(phase, spent)| {
                let mean = spent.nanoseconds.checked_div(u128::from(spent.count))?;
                Some((&**self.names.name(*phase)?, mean))
            })
            .collect();
        let mean = |phase: &session::Phase| means.get(&*phase.name).filter(|_| !phase.handler).copied();
        let mut best: Vec<((u128, u64), Option<usize>)> = Vec::with_capacity(layout.phases.len());
        for phase in &layout.phases {
            let mut longest = ((0, 0), None);
            for (need, _) in &phase.needs {
                if let Some((length, _)) = best.get(*need).filter(|(length, _)| *length > longest.0) {
                    longest = (*length, Some(*need));
                }
            }
            let ((time, steps), before) = longest;
            let own = mean(phase);
            best.push(((time + own.unwrap_or(0), steps + u64::from(own.is_some())), before));
        }
        let last = (0..best.len()).rev().max_by_key(|place| best[*place].0)?;
        let mut path = Vec::new();
        let mut at = Some(last);
        while let Some(place) = at {
            let phase = &layout.phases[place];
            path.extend(mean(phase).map(|_| Arc::clone(&phase.name)));
            at = best[place].1;
        }
        path.reverse();
        (!path.is_empty()).then_some(path)
    }
}
