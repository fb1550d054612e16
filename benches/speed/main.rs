//! How fast orderflow is, beside what the machine can do at best. `cargo bench` measures; `cargo test` runs the
//! same with tiny sizes, to see that it works. docs/speed.md says what the figures mean.

mod document;
mod durable;
mod journal;
mod keystrokes;
mod memory;
mod pair;
mod pipeline;
mod processes;
mod trace;

use pair::{Case, Measured};
use std::path::Path;
use std::time::Instant;

/// How much work each case does.
pub struct Sizes {
    /// Counted runs of each pair.
    repetitions: usize,
    /// Items with one process each.
    processes: usize,
    /// Steps with one process each, one after the other.
    chain: usize,
    /// Orders of six steps, in process.
    orders: u64,
    /// The same in runs that are kept.
    durable_orders: u64,
    /// Orders whose steps are committed one by one.
    single_commits: u64,
    /// Orders of the run whose memory is measured; the floor is a tenth of it.
    many_orders: u64,
    /// Orders in the session file.
    recorded: u64,
    /// Bytes of a document.
    document: usize,
    /// Copies of the document that are checked.
    copies: usize,
    /// Steps of a document.
    steps: usize,
    /// Keystrokes in each document.
    keystrokes: usize,
}

const FULL: Sizes = Sizes {
    repetitions: 5,
    processes: 2_000,
    chain: 1_000,
    orders: 10_000,
    durable_orders: 3_000,
    single_commits: 300,
    many_orders: 200_000,
    recorded: 200_000,
    document: 1_000_000,
    copies: 8,
    steps: 10_000,
    keystrokes: 50,
};

const TINY: Sizes = Sizes {
    repetitions: 1,
    processes: 3,
    chain: 3,
    orders: 20,
    durable_orders: 20,
    single_commits: 5,
    many_orders: 20,
    recorded: 20,
    document: 2_000,
    copies: 2,
    steps: 20,
    keystrokes: 3,
};

/// What cargo and the user ask for.
#[derive(Default)]
struct Asked {
    measure: bool,
    json: bool,
    list: bool,
    words: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [flag @ (memory::RUN | memory::STATS), of] => return memory::child(flag, of),
        // A large trace for other purposes.
        ["--record", orders, path, ..] => return trace::record(orders.parse()?, Path::new(path)),
        _ => {}
    }
    let asked = asked(arguments)?;
    let sizes = if asked.measure { &FULL } else { &TINY };
    if asked.list {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let cases = [
        processes::cases(sizes, folder.path())?,
        pipeline::cases(sizes)?,
        journal::cases(sizes, folder.path())?,
        durable::cases(sizes, folder.path())?,
        memory::cases(sizes, folder.path()),
        trace::cases(sizes, folder.path())?,
        document::cases(sizes, folder.path())?,
        keystrokes::cases(sizes, folder.path()),
    ];
    let wanted = |case: &Case<'_>| {
        asked.words.is_empty() || asked.words.iter().any(|word| case.name.contains(word.as_str()))
    };
    let begin = Instant::now();
    let mut all = Vec::new();
    for mut case in cases.into_iter().flatten().filter(wanted) {
        all.push(pair::measure(&mut case, sizes.repetitions)?);
    }
    show(&asked, &all);
    if !asked.json {
        println!("\n{} pairs each, {:.0} s in all", sizes.repetitions, begin.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Cargo says `--bench` where measuring is meant; `cargo test` passes on what is meant for its own harness.
fn asked(arguments: Vec<String>) -> anyhow::Result<Asked> {
    let measure = arguments.iter().any(|argument| argument == "--bench");
    let mut asked = Asked { measure, ..Asked::default() };
    for argument in arguments {
        match argument.as_str() {
            "--bench" => {}
            "--json" => asked.json = true,
            "--list" => asked.list = true,
            option if option.starts_with('-') && measure => {
                anyhow::bail!("unknown option {option}; there are --json and words from the names of cases")
            }
            option if option.starts_with('-') => {}
            _ => asked.words.push(argument),
        }
    }
    Ok(asked)
}

fn show(asked: &Asked, all: &[Measured]) {
    if asked.json {
        let rows: Vec<_> = all.iter().map(Measured::json).collect();
        println!("{:#}", serde_json::Value::Array(rows));
        return;
    }
    println!("{:<36} {:>18} {:>18} {:>7}  floor", "", "ours", "floor", "ratio");
    all.iter().for_each(|measured| println!("{measured}"));
}
