//! The inputs of a run: `--input` values and the items, all checked before anything starts.

use super::super::exit::{Exit, Stop};
use super::super::stream;
use super::super::terminal::Terminal;
use super::Launch;
use crate::adapter::contract;
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::disk::{Folder, Named, read_at_most};
use crate::event::Values;
use crate::graph::{Graph, Part, Upstream, ValueId};
use crate::history::{ItemsFrom, PIPED, RunOptions};
use crate::items::{self, Checked, Files, Given, ItemProblems, Items, Shape, Source};
use crate::runtime::NewItem;
use crate::value::words;
use crate::value::{Object, Type, Value, json};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The inputs of a run.
pub struct Work {
    kind: WorkKind,
    /// The values of `--input`, by name.
    pub given: Object,
    /// The names of stubbed values of steps that are not run, which have no `--input`.
    pub stubbed: Vec<String>,
}

enum WorkKind {
    Items(Box<Checked>),
    /// All of these are in the run's journal, and none is read again.
    Recorded(u64),
    /// No items: the workflow runs once.
    Once(Shape),
}

impl Work {
    pub fn total(&self) -> u64 {
        match &self.kind {
            WorkKind::Items(items) => items.total,
            WorkKind::Recorded(total) => *total,
            WorkKind::Once(_) => 1,
        }
    }

    /// Stores items that cannot be read again in the run's folder; returns the record by which the items are
    /// recognised.
    ///
    /// # Errors
    /// When they cannot be read or stored.
    pub fn store(&mut self, home: &Path) -> anyhow::Result<Option<ItemsFrom>> {
        let WorkKind::Items(items) = &mut self.kind else { return Ok(None) };
        let total = items.total;
        let source = items.source();
        let kept = Folder::open(home)
            .and_then(|home| source.keep_in(&home, PIPED))
            .context("cannot store the items in the run's folder")?;
        Ok(Some(ItemsFrom { name: source.name.clone(), kept, hash: source.digest()?, total }))
    }

    /// Whether the items are those of this record.
    ///
    /// # Errors
    /// Stops if they have changed, or when they cannot be read.
    pub fn same(&mut self, items: Option<&ItemsFrom>) -> anyhow::Result<()> {
        let WorkKind::Items(now) = &mut self.kind else { return Ok(()) };
        let source = now.source();
        let hash = source.digest()?;
        if items.is_some_and(|items| items.hash == hash) {
            return Ok(());
        }
        let message = format!(
            "the items in {} have changed since the run began; nothing was run",
            visible(&source.name)
        );
        let help = "restore the original items, or start a new run";
        Err(Stop::new(Exit::Changed, message).help(help).into())
    }

    /// Streams the items after the first `skip`, which have been admitted before.
    ///
    /// # Errors
    /// When the items cannot be read again.
    pub fn stream(
        &self,
        admitted: u64,
    ) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<NewItem>> + '_>> {
        let admitted = usize::try_from(admitted).unwrap_or(usize::MAX);
        Ok(Box::new(self.all()?.skip(admitted)))
    }

    fn all(&self) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<NewItem>> + '_>> {
        Ok(match &self.kind {
            WorkKind::Items(items) => Box::new(Counted { items: items.stream()?, left: items.total }),
            WorkKind::Recorded(_) => Box::new(std::iter::empty()),
            WorkKind::Once(shape) => {
                let item = NewItem { key: "1".into(), inputs: shape.without_item() };
                Box::new(std::iter::once(Ok(item)))
            }
        })
    }
}

/// Items that were counted before, and must be unchanged.
struct Counted<I> {
    items: I,
    left: u64,
}

impl<I: Iterator<Item = anyhow::Result<(Arc<str>, Values)>>> Iterator for Counted<I> {
    type Item = anyhow::Result<NewItem>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.next();
        let change = match &item {
            Some(Ok(_)) if self.left == 0 => "there are more items than when they were checked".to_owned(),
            None if self.left > 0 => format!("{} items are gone since they were checked", self.left),
            Some(Err(error)) if !error.chain().any(|cause| cause.is::<std::io::Error>()) => error.to_string(),
            _ => {
                self.left = self.left.saturating_sub(1);
                return item.map(|item| item.map(|(key, inputs)| NewItem { key, inputs }));
            }
        };
        self.left = 0;
        let help = "let the file be while a run reads it";
        Some(Err(Stop::new(Exit::Changed, change).help(help).into()))
    }
}

/// A resumed run, as far as its items are concerned.
pub struct Before<'a> {
    pub home: &'a Path,
    pub items: Option<ItemsFrom>,
    /// The journal has all items, so that they need not be read again.
    pub has_all: bool,
    /// It was cancelled, so its items do not have to be recognised.
    pub begins_nothing: bool,
}

/// Finds and checks the inputs of the run.
///
/// # Errors
/// When they cannot be read, or stops after showing all their problems.
pub fn work(
    launch: &Launch,
    part: &Part,
    before: Option<&Before<'_>>,
    allowed: impl FnOnce(&mut Terminal) -> anyhow::Result<()>,
    terminal: &mut Terminal,
) -> anyhow::Result<Work> {
    let mut given = match before {
        Some(_) => given_before(launch, &part.graph)?,
        None => given(&launch.inputs, part)?,
    };
    let named = given.iter().map(|(id, value)| (part.graph.value(*id).name.clone(), (**value).clone()));
    let named: Object = named.collect();
    let stubbed = stubbed(launch, part, &mut given)?;
    allowed(terminal)?;
    let key = launch.options.key.clone().or_else(|| part.graph.settings.key.clone());
    let shape = Shape::new(&part.graph, given, key);
    let place = place(launch, part, &shape, !named.is_empty(), before);
    let shape = shape.with(Files { base: Some(base(place.as_ref(), before)?), checked: before.is_none() });
    let kind = match before
        .filter(|before| before.has_all)
        .and_then(|before| Some((before, before.items.as_ref()?)))
    {
        Some((before, items))
            if before.begins_nothing || place.as_ref().is_some_and(|named| !Source::is_there(named)) =>
        {
            WorkKind::Recorded(items.total)
        }
        _ => kind(launch, part, shape, place, terminal)?,
    };
    Ok(Work { kind, given: named, stubbed })
}

/// The inputs from the command that began the run. The types may be those of a later document.
fn given_before(launch: &Launch, graph: &Graph) -> anyhow::Result<Given> {
    let given = launch.options.given_in(graph);
    for (id, value) in &given {
        let info = graph.value(*id);
        if let Some(misfits) = info.ty.as_ref().and_then(|ty| ty.fits(value).err()) {
            let message =
                format!("the run was started with --input {}; nothing was run", misfits.at(&info.name));
            let help = "restore its type in the document, or start a new run";
            return Err(Stop::new(Exit::Changed, message).help(help).into());
        }
    }
    Ok(given)
}

/// Stubs values of steps that are not run, unless they are given.
fn stubbed(launch: &Launch, part: &Part, given: &mut Given) -> anyhow::Result<Vec<String>> {
    let open = |upstream: &&Upstream| !given.iter().any(|(id, _)| *id == upstream.value);
    let open: Vec<&Upstream> = part.upstream.iter().filter(open).collect();
    let name = |upstream: &Upstream| part.graph.value(upstream.value).name.clone();
    if launch.options.stub {
        for upstream in &open {
            let ty = part.graph.value(upstream.value).ty.as_ref().unwrap_or(&Type::String);
            given.push((upstream.value, Arc::new(ty.sample())));
        }
        return Ok(open.into_iter().map(name).collect());
    }
    let missing: Vec<&Upstream> = open.into_iter().filter(|upstream| !upstream.optional).collect();
    let Some(first) = missing.first() else { return Ok(Vec::new()) };
    let lacks =
        missing.iter().map(|upstream| format!("`{}` from {}", name(upstream), visible(&upstream.maker)));
    let message = format!("no value for {}; nothing was run", lacks.collect::<Vec<_>>().join(", "));
    let help = format!("give --input {}=VALUE, or --stub for a stubbed value", name(first));
    Err(Stop::new(Exit::Invalid, message).help(help).into())
}

/// The source of the items; `None` for a run without items.
fn place(
    launch: &Launch,
    part: &Part,
    shape: &Shape,
    given: bool,
    before: Option<&Before<'_>>,
) -> Option<Named> {
    let options = &launch.options;
    let wanted = !given || !options.item.is_empty() || !shape.lacking().is_empty();
    if let Some(before) = before.filter(|before| before.items.as_ref().is_some_and(|items| items.kept)) {
        return Some(Named::by_document(before.home, Path::new(PIPED)));
    }
    match (&options.items, &part.graph.settings.items) {
        (Some(path), _) => Some(Named::by_user(path)),
        (None, Some(named)) if wanted && named == "-" => Some(Named::by_user(named)),
        // A path in the document is relative to it; if all inputs are given, items are not needed.
        (None, Some(named)) if wanted => {
            Some(Named::by_document(options.file.parent().unwrap_or(Path::new("")), Path::new(named)))
        }
        _ => None,
    }
}

/// The folder where relative paths in items start: that of the items, or the current one.
fn base(place: Option<&Named>, before: Option<&Before<'_>>) -> anyhow::Result<PathBuf> {
    let stored = before.is_some_and(|before| before.items.as_ref().is_some_and(|items| items.kept));
    let named = place
        .map(Named::path)
        .filter(|path| !stored && *path != Path::new("-"))
        .map(std::path::absolute)
        .transpose();
    match named.context("cannot read the current folder")?.as_deref().and_then(Path::parent) {
        Some(folder) => Ok(folder.to_owned()),
        None => std::env::current_dir().context("cannot read the current folder"),
    }
}

fn kind(
    launch: &Launch,
    part: &Part,
    shape: Shape,
    place: Option<Named>,
    terminal: &mut Terminal,
) -> anyhow::Result<WorkKind> {
    let options = &launch.options;
    let Some(named) = place else { return once(options, shape) };
    let path = named.path();
    if !shape.takes_items() && !part.graph.inputs.is_empty() {
        let message = format!(
            "--input gives every input of the workflow, and nothing is left for the items of {} to bring; nothing was run",
            visible(&path.display().to_string())
        );
        let help = "leave out the items, or each --input that an item should bring";
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    let source = if path == Path::new("-") {
        if options.file == path {
            let message = "the document and its items cannot both come from standard input";
            return Err(Stop::new(Exit::Usage, message).into());
        }
        Source::keep("<stdin>", std::io::stdin().lock()).context("cannot read standard input")?
    } else {
        found(&named)?
    };
    let items = Items { source, shape, duplicates: options.duplicates, only: options.item.clone() };
    let checked = items.check()?;
    refuse(&checked, path, terminal)?;
    if checked.total == 0 {
        terminal.talk(&format!("warning: no items in {}\n", visible(&path.display().to_string())));
    }
    if checked.skipped > 0 && !launch.show.quiet {
        let (items, were) =
            (words::count(checked.skipped, "item"), words::by_count(checked.skipped, "was", "were"));
        let keys = words::by_count(checked.skipped, "its key is", "their keys are");
        terminal.talk(&format!("{items} {were} skipped: {keys} used by an earlier item\n"));
    }
    Ok(WorkKind::Items(Box::new(checked)))
}

fn found(named: &Named) -> anyhow::Result<Source> {
    Source::find(named).map_err(|error| {
        if error.chain().any(|cause| cause.is::<std::io::Error>()) {
            return error;
        }
        let forms = "items come as .jsonl, .json, .csv, .tsv or .toon, from a folder, a glob in quotes, or - for standard input";
        Stop::new(Exit::Invalid, format!("{error:#}; nothing was run")).help(forms).into()
    })
}

/// Stops if the items have problems, after showing them.
fn refuse(checked: &Checked, path: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let ItemProblems { count, .. } = checked.problems;
    if count > 0 {
        show(&checked.problems, terminal);
        let (wrong, items) = (words::count(count, "problem"), words::count(checked.read(), "item"));
        let message = format!("{wrong} in {}; 0 of {items} started", path.display());
        return Err(Stop::new(Exit::Invalid, message).into());
    }
    let Some((key, near)) = checked.unknown.first() else { return Ok(()) };
    let keys = words::or(checked.unknown.iter().map(|(key, _)| words::code(visible(key))));
    let message = format!("no item has the key {keys}; nothing was run");
    let help = match near {
        Some(near) => format!("did you mean `{}` for `{}`?", visible(near), visible(key)),
        None => format!(
            "keys are case-sensitive; {} holds {}",
            path.display(),
            words::count(checked.read(), "item")
        ),
    };
    Err(Stop::new(Exit::Invalid, message).help(help).into())
}

fn once(options: &RunOptions, shape: Shape) -> anyhow::Result<WorkKind> {
    if !options.item.is_empty() {
        let message = "--item chooses among items, and this run has none; nothing was run";
        return Err(Stop::new(Exit::Invalid, message).help("name them with --items").into());
    }
    let lacking: Vec<String> = shape.lacking().iter().map(|name| format!("`{name}`")).collect();
    if lacking.is_empty() {
        return Ok(WorkKind::Once(shape));
    }
    let message = format!("the workflow has no value for its input {}; nothing was run", lacking.join(", "));
    Err(Stop::new(Exit::Invalid, message)
        .help("give --items FILE, or --input NAME=VALUE for each input")
        .into())
}

fn show(problems: &ItemProblems, terminal: &mut Terminal) {
    for problem in &problems.first {
        let (file, line, column) = (visible(&problem.file), problem.line, problem.column);
        terminal.talk(&format!("{file}:{line}:{column}: {}\n", visible(&problem.message)));
    }
    let more = problems.count - problems.first.len() as u64;
    if more > 0 {
        terminal.talk(&format!("… and {more} more\n"));
    }
}

/// Reads `--input NAME=VALUE`.
fn given(texts: &[String], part: &Part) -> anyhow::Result<Given> {
    let graph = &part.graph;
    let inputs: Vec<ValueId> =
        graph.inputs.iter().copied().chain(part.upstream.iter().map(|upstream| upstream.value)).collect();
    let mut given = Given::new();
    let mut read: Vec<(&str, &str)> = Vec::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Stop::new(Exit::Usage, format!("--input {text}: write NAME=VALUE")))?;
        if let Some((_, first)) = read.iter().find(|(other, _)| *other == name) {
            let (first, second) = (words::excerpt(first), words::excerpt(value));
            let message = format!("--input {name} is given twice: `{first}` and `{second}`; nothing was run");
            return Err(Stop::new(Exit::Usage, message).help("leave out one of them").into());
        }
        read.push((name, value));
        let known = |id: &ValueId| graph.value(*id).name == name;
        let Some(id) = inputs.iter().copied().find(known) else {
            return Err(unknown(name, graph, &inputs).into());
        };
        let ty = graph.value(id).ty.as_ref();
        let mut value = value_of(name, value, ty)?;
        if let Some(ty) = ty {
            value = ty.admit(value).map_err(|misfits| {
                Stop::new(Exit::Invalid, format!("--input {}; nothing was run", misfits.at(name)))
            })?;
            let here = std::env::current_dir().context("cannot read the current folder")?;
            value = items::absolute(value, ty, &here, true).map_err(|why| {
                Stop::new(Exit::Invalid, format!("--input {name}: {}; nothing was run", visible(&why)))
            })?;
        }
        given.push((id, Arc::new(value)));
    }
    Ok(given)
}

fn unknown(name: &str, graph: &Graph, inputs: &[ValueId]) -> Stop {
    let names: Vec<&str> = inputs.iter().map(|id| graph.value(*id).name.as_str()).collect();
    let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => words::did_you_mean(near),
        (None, true) => "this workflow has no inputs".to_owned(),
        (None, false) => format!("its inputs: {}", names.join(", ")),
    };
    Stop::new(Exit::Invalid, format!("the workflow has no input `{name}`; nothing was run")).help(help)
}

/// Reads text for a String, JSON for everything else; without a type, JSON if it is valid. `@FILE` is a file's
/// contents, and `@@` a text that begins with `@`.
fn value_of(name: &str, text: &str, ty: Option<&Type>) -> anyhow::Result<Value> {
    let text = match text.strip_prefix('@') {
        Some(literal) if literal.starts_with('@') => literal.to_owned(),
        Some(file) => {
            let help = format!("for the text @{file}, write --input {name}=@@{file}");
            let cannot = |error: std::io::Error| {
                let message = format!("--input {name}: cannot read {file}: {error}; nothing was run");
                Stop::new(Exit::Io, message).help(&help)
            };
            let text = stream::open(Path::new(file)).and_then(|from| read_at_most(from, contract::LARGEST));
            let text = text.map_err(cannot)?;
            let text = String::from_utf8(text).map_err(|error| cannot(std::io::Error::other(error)))?;
            text.trim_end_matches('\n').to_owned()
        }
        None => text.to_owned(),
    };
    let ty = ty.unwrap_or(&Type::Json);
    ty.read(&text).map_err(|error| {
        // An error in JSON is reported if the text begins like JSON.
        let why = match text.trim_start().starts_with(['{', '[']) {
            true => format!("invalid JSON: {}", json::problem(&error)),
            false => format!("expected {ty}, found `{}`", words::excerpt(&text)),
        };
        Stop::new(Exit::Invalid, format!("--input {name}: {why}; nothing was run")).into()
    })
}
