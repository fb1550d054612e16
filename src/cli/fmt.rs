//! `orderflow fmt`: writes documents in the usual layout.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::fix::FixedDocument;
use super::help::with_exits;
use super::stream;
use super::terminal::Terminal;
use crate::diag::render::visible;
use crate::spec;
use crate::value::words;
use std::path::PathBuf;

/// Write documents in the usual layout
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow fmt workflow.md            write it in the usual layout
  orderflow fmt --check docs/*.md      only say which files differ; exit code 1 if one does
  orderflow fmt --diff workflow.md     show the changes as a patch; write nothing
  orderflow fmt - < workflow.md        from standard input to standard output

Empty lines, spaces, arrows, fields and tables get one form. Neither the meaning of a document changes nor its problems, \
prose, programs and recorded executions: what would change one of them stays as it is.", &[Exit::Failed, Exit::Invalid, Exit::Io]))]
pub struct Args {
    /// Documents; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; exit with 1 if a document has another layout
    #[arg(long)]
    check: bool,
    /// Write nothing; show the changes as a patch
    #[arg(long, conflicts_with = "check")]
    diff: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let Args { files, check, diff } = args;
    let writes = !check && !diff;
    if writes && files.len() > 1 && files.iter().any(|file| stream::is_standard(file)) {
        let message = "a document from standard input goes to standard output, which is for one document";
        return Err(Stop::new(Exit::Usage, message).help("format it alone").into());
    }
    let (mut changed, mut failed) = (0, None);
    for file in &files {
        let fixed = Document::read(file).and_then(|document| FixedDocument::by(document, spec::laid_out));
        let fixed = match fixed {
            Ok(fixed) => fixed,
            Err(error) => {
                terminal.error(&error);
                failed = Some(Exit::of(&error));
                continue;
            }
        };
        let differs = fixed.count > 0;
        changed += usize::from(differs);
        if diff {
            terminal.data(&fixed.difference());
        } else if check && differs {
            terminal.talk(&format!("{}: another layout\n", visible(&fixed.document.source.name)));
        } else if writes && let Err(error) = fixed.write(file) {
            terminal.error(&error);
            failed = Some(Exit::of(&error));
        }
    }
    if writes && changed > 0 && !files.iter().any(|file| stream::is_standard(file)) {
        terminal.talk(&format!("{} written in the usual layout\n", words::count(changed, "document")));
    }
    if check && changed > 0 {
        terminal.talk("  help: orderflow fmt writes them in the usual layout\n");
    }
    terminal.finish()?;
    Ok(match failed {
        Some(exit) => exit,
        None if check && changed > 0 => Exit::Failed,
        None => Exit::Ok,
    })
}
