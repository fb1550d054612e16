//! Where a coding agent works: in the folder itself, in a copy of it, or in a worktree of its repository, whose changes
//! end on a branch. Knows nothing of what the agent does there.
//!
//! A copy and a worktree are in the scratch folder of the run, so they are removed with it, even after a kill. Every
//! attempt gets a new one: that of an earlier attempt is replaced, and so is its branch.

mod copied;

use super::program::{LINGER, Program, Start, Started, Tail, aside, hear};
use super::{Call, Stop, Urgency, contract};
use crate::event::{Cause, Failure, Outcome};
use copied::{Copied, store};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// The kind of folder that an agent works in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkFolder {
    /// The folder of the settings itself.
    #[default]
    Shared,
    /// A copy of it for each attempt, without what git ignores.
    Copy,
    /// A worktree of its repository for each attempt.
    Worktree,
}

/// The largest list of files and the largest diff that are read from git, in bytes.
const LARGEST: usize = contract::LARGEST;

/// One at a time: git locks the repository.
static GIT: Mutex<()> = Mutex::const_new(());

/// The variables of an agent that git gets, too.
const GIVEN: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Settings of the repository and the user that could run programs or ask questions.
const SETTINGS: [&str; 14] = [
    "-c",
    "diff.ignoreSubmodules=dirty",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
];

/// The time that each command of git has to store a change once a stop was asked for, and once it must be at once.
const STORING: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_secs(5);

/// A folder that is ready for an attempt.
#[derive(Debug)]
pub struct Place {
    /// Where the agent works.
    pub folder: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Shared,
    Copy(PathBuf, Stop),
    Worktree(Worktree),
}

#[derive(Debug)]
struct Worktree {
    git: Git,
    root: PathBuf,
    identity: (u64, u64),
    branch: String,
    /// The commit that it began with.
    base: String,
    /// What its file `.git` says, which the agent could have it say otherwise.
    link: String,
}

/// What an attempt has changed in its worktree.
#[derive(Debug)]
pub struct Change {
    pub branch: String,
    /// If it was asked for; an error if it cannot be an output.
    pub diff: Option<Result<String, String>>,
    /// Whether the branch has anything that its base has not.
    pub any: bool,
}

impl WorkFolder {
    /// Makes the folder of an attempt; `program` works in the folder of the settings.
    ///
    /// # Errors
    /// A failure without effects.
    pub async fn open(self, program: &Program, call: &Call, stop: &Stop) -> Result<Place, Box<Failure>> {
        let failure = |why: String| {
            let cause = if stop.urgency() > Urgency::None { Cause::Stopped } else { Cause::Start };
            let message = format!("cannot prepare the attempt: {why}");
            contract::failure(cause, message, Outcome::NotExecuted, true)
        };
        let root = std::path::absolute(call.scratch.join(format!("{}.work", call.attempt_id)));
        let root = root.map_err(|error| failure(error.to_string()))?;
        let git = Git {
            folder: program.folder.clone(),
            env: given(program),
            run: call.context.run.to_string(),
            stop: stop.clone(),
            stores: false,
        };
        let made = match self {
            WorkFolder::Shared => return Ok(Place { folder: program.folder.clone(), kind: Kind::Shared }),
            WorkFolder::Copy => git.copy(&root).await.map(|()| Kind::Copy(root.clone(), stop.clone())),
            WorkFolder::Worktree => git.worktree(&root, branch(call)).await.map(Kind::Worktree),
        };
        let kind = match made {
            Ok(kind) => kind,
            Err(why) => {
                git.unless_over(remove(root)).await;
                return Err(failure(why));
            }
        };
        let folder = match &kind {
            Kind::Worktree(tree) => tree.within().await,
            Kind::Shared | Kind::Copy(..) => root,
        };
        Ok(Place { folder, kind })
    }

    /// Whether an output of this name comes from the folder and not from the agent.
    pub fn makes(self, output: &str) -> bool {
        self == WorkFolder::Worktree && matches!(output, "branch" | "diff")
    }
}

impl Place {
    /// Commits what is left in a worktree to its branch, and removes the folder. With `keep`, a branch without any
    /// change stays, too; with `diff`, the change has one.
    ///
    /// # Errors
    /// Why the change could not be stored; the folder stays then.
    pub async fn close(self, call: &Call, keep: bool, diff: bool) -> Result<Option<Change>, String> {
        match self.kind {
            Kind::Shared => Ok(None),
            Kind::Copy(root, mut stop) => {
                tokio::select! {
                    () = remove(root) => {}
                    () = stop.asked(Urgency::Kill) => {}
                }
                Ok(None)
            }
            Kind::Worktree(tree) => tree.close(call, keep, diff).await.map(Some),
        }
    }
}

/// Removes a folder. What cannot be removed now is removed with the scratch folder.
async fn remove(folder: PathBuf) {
    drop(tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await);
}

/// `orderflow/<run>/<step>/<item>`, with the element if there is one.
fn branch(call: &Call) -> String {
    let context = &call.context;
    let element = context.element.map(|element| format!(".{element}")).unwrap_or_default();
    format!("orderflow/{}/{}/{}{element}", safe(&context.run), safe(&context.step), safe(&context.item))
}

/// A part of the name of a branch; one that had to be changed ends in a hash, so that it stays unique.
fn safe(name: &str) -> String {
    const LONGEST: usize = 60;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits) && !name.starts_with('-') {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LONGEST).map(|c| if fits(c) { c } else { '_' }).collect();
    // A name that stays as it is has no point.
    format!("{}.h{}", kept.trim_start_matches('-'), &blake3::hash(name.as_bytes()).to_hex()[..16])
}

fn given(program: &Program) -> Vec<(String, OsString)> {
    let fixed = [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "orderflow"),
        ("GIT_AUTHOR_EMAIL", "orderflow@localhost"),
        ("GIT_COMMITTER_NAME", "orderflow"),
        ("GIT_COMMITTER_EMAIL", "orderflow@localhost"),
        ("LC_ALL", "C.UTF-8"),
    ];
    let own = program.env.iter().filter(|(name, _)| GIVEN.contains(&name.as_str())).cloned();
    own.chain(fixed.into_iter().map(|(name, value)| (name.to_owned(), value.into()))).collect()
}

/// git in a folder.
#[derive(Clone, Debug)]
struct Git {
    folder: PathBuf,
    env: Vec<(String, OsString)>,
    run: String,
    stop: Stop,
    /// It stores a change, so it continues for a while after a stop.
    stores: bool,
}

impl Git {
    /// Returns once it must end.
    async fn over(&self) {
        let mut stop = self.stop.clone();
        stop.asked(Urgency::Terminate).await;
        if self.stores {
            let at_once = async {
                stop.asked(Urgency::Kill).await;
                tokio::time::sleep(AT_ONCE).await;
            };
            tokio::select! {
                () = at_once => {}
                () = tokio::time::sleep(STORING) => {}
            }
        }
    }

    /// What comes of work that can be dropped; `None` if it must end before.
    async fn unless_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.over() => None,
        }
    }

    async fn alone(&self) -> Result<MutexGuard<'static, ()>, String> {
        self.unless_over(GIT.lock()).await.ok_or_else(|| STOPPED.to_owned())
    }

    /// The output of a command of git.
    async fn bytes(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let words = ["git"].into_iter().chain(SETTINGS).chain(arguments.iter().copied());
        let program = Program {
            command: words.map(str::to_owned).collect(),
            folder: self.folder.clone(),
            env: self.env.clone(),
        };
        let started = program.start(&self.run, |_| ()).await;
        let started = started.map_err(|error| program.not_started(&error).message)?;
        let Started { mut child, tree, .. } = started;
        drop(child.stdin.take());
        let (mut out, mut log) = (Start::new(LARGEST + 1), Tail::new(1024));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            tokio::join!(
                child.wait(),
                hear(stdout, |chunk| out.take(chunk)),
                hear(stderr, |chunk| log.take(chunk))
            )
        };
        let status = self.unless_over(work).await.map(|(status, ..)| status);
        // In time git removes what it has begun.
        let (stopper, mut stop) = Stop::new();
        if status.is_some() {
            stopper.ask(Urgency::Kill);
        }
        tree.end(LINGER, &mut stop).await;
        let name = arguments.first().unwrap_or(&"");
        let Some(status) = status else { return Err(STOPPED.to_owned()) };
        match status {
            Ok(status) if status.success() && out.bytes.len() <= LARGEST => Ok(out.bytes),
            Ok(status) if status.success() => {
                Err(format!("git {name} wrote more than {} MiB", LARGEST >> 20))
            }
            Ok(_) => Err(format!("git {name}: {}", log.text().trim())),
            Err(error) => Err(format!("git {name}: {error}")),
        }
    }

    async fn text(&self, arguments: &[&str]) -> Result<String, String> {
        let text = String::from_utf8(self.bytes(arguments).await?);
        text.map(|text| text.trim_end().to_owned()).map_err(|_| "git wrote text that is not UTF-8".to_owned())
    }

    fn at(&self, folder: &Path) -> Git {
        Git { folder: folder.to_owned(), ..self.clone() }
    }

    /// Adds a worktree on its branch, in place of what an earlier attempt left.
    async fn worktree(&self, root: &Path, branch: String) -> Result<Worktree, String> {
        let path = root.to_str().ok_or("the path of the run's folder is not UTF-8")?;
        let _one = self.alone().await?;
        let base = self.text(&["rev-parse", "--verify", "HEAD^{commit}"]).await;
        let base = base.map_err(|why| format!("a worktree needs a repository with a commit: {why}"))?;
        self.text(&["worktree", "prune"]).await?;
        self.text(&["worktree", "add", "--quiet", "--force", "-B", &branch, path, &base]).await?;
        let link =
            std::fs::read_to_string(root.join(".git")).map_err(|error| format!("git worktree: {error}"))?;
        let identity = identity(root).map_err(|error| format!("git worktree: {error}"))?;
        let git = Git { stores: true, ..self.clone() };
        Ok(Worktree { git, root: root.to_owned(), identity, branch, base, link })
    }

    /// Copies the folder: in a repository what git does not ignore, else everything; never `.git`, `.orderflow` and
    /// where runs are stored.
    async fn copy(&self, to: &Path) -> Result<(), String> {
        let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
        let listed = match self.text(&["rev-parse", "--is-inside-work-tree"]).await {
            Ok(inside) if inside == "true" => Some(self.bytes(&listed).await?),
            _ => None,
        };
        let over = Arc::new(AtomicBool::new(false));
        let (from, to, is_over) = (self.folder.clone(), to.to_owned(), over.clone());
        let work = move || -> io::Result<()> {
            let copied = Copied { store: store(&from, &to), from, to, is_over };
            std::fs::create_dir(&copied.to)?;
            match listed {
                Some(listed) => {
                    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                    names.map(std::ffi::OsStr::from_bytes).try_for_each(|name| copied.one(Path::new(name)))
                }
                None => copied.all(),
            }
        };
        let mut work = tokio::task::spawn_blocking(work);
        let done = match self.unless_over(&mut work).await {
            Some(done) => done,
            None => {
                over.store(true, Ordering::Relaxed);
                work.await
            }
        };
        let shown = self.folder.display();
        match done {
            Ok(done) => done.map_err(|error| format!("cannot copy {shown}: {error}")),
            Err(_) => Err(format!("cannot copy {shown}")),
        }
    }
}

/// A folder itself, whatever its name leads to later: its device and its number there.
fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let about = std::fs::symlink_metadata(folder)?;
    Ok((about.dev(), about.ino()))
}

/// Why work has ended early.
const STOPPED: &str = "it was stopped";

impl Worktree {
    /// The folder in it that corresponds to that of the settings.
    async fn within(&self) -> PathBuf {
        let prefix = self.git.text(&["rev-parse", "--show-prefix"]).await.unwrap_or_default();
        let folder = self.root.join(prefix.trim_end_matches('/'));
        // A folder without committed files is not in the worktree.
        if folder.is_dir() { folder } else { self.root.clone() }
    }

    /// Makes it the repository's again, whatever the agent has made of its file `.git`: settings of another repository
    /// could run programs. A command of git that was killed may have left a lock.
    ///
    /// # Errors
    /// Another folder, or a link, is in its place: nothing there is ours.
    fn restore(&self) -> io::Result<()> {
        if identity(&self.root).ok() != Some(self.identity) {
            return Err(io::Error::other("the agent has replaced the folder that it worked in"));
        }
        let file = self.root.join(".git");
        let removed = match std::fs::symlink_metadata(&file) {
            Ok(about) if about.is_dir() => std::fs::remove_dir_all(&file),
            Ok(_) => std::fs::remove_file(&file),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        std::fs::write(&file, &self.link)?;
        if let Some(own) = self.link.trim_end().strip_prefix("gitdir: ") {
            for lock in ["index.lock", "HEAD.lock"] {
                drop(std::fs::remove_file(Path::new(own).join(lock)));
            }
        }
        Ok(())
    }

    async fn close(self, call: &Call, keep: bool, diff: bool) -> Result<Change, String> {
        aside(|| self.restore()).map_err(|error| error.to_string())?;
        let inside = self.git.at(&self.root);
        let branch = format!("refs/heads/{}", self.branch);
        inside.text(&["add", "--all"]).await?;
        if inside.text(&["diff", "--cached", "--quiet"]).await.is_err() {
            let context = &call.context;
            let message = format!("{} of {}, attempt {}", context.step, context.item, context.attempt);
            inside.text(&["commit", "--quiet", "--no-verify", "--message", &message]).await?;
        }
        // The agent may have left the branch.
        let head = inside.text(&["rev-parse", "--verify", "HEAD"]).await?;
        self.git.text(&["update-ref", &branch, &head]).await?;
        let diff = if diff { Some(self.diff(&head).await) } else { None };
        let any = head != self.base;
        let _one = self.git.alone().await?;
        let path = self.root.to_string_lossy();
        self.git.text(&["worktree", "remove", "--force", &path]).await?;
        if !any && !keep {
            self.git.text(&["update-ref", "-d", &branch]).await?;
        }
        Ok(Change { branch: self.branch, diff, any })
    }

    /// In the form that `git apply` takes, which does not depend on the settings of the user.
    async fn diff(&self, head: &str) -> Result<String, String> {
        let form = ["diff-tree", "-r", "-p", "-M", "--binary", "--full-index", "--no-color", "--no-ext-diff"];
        let of = ["--no-textconv", &self.base, head];
        let arguments: Vec<&str> = form.into_iter().chain(of).collect();
        Ok(String::from_utf8_lossy(&self.git.bytes(&arguments).await?).into_owned())
    }
}
