//! The system's information about processes: their parents, groups and starts. Knows nothing of calls. Without
//! `/proc`, as outside of Linux, no processes are visible.

use rustix::process::{Pid, Signal};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

/// The variable that identifies a process as started here, even when all other evidence is gone.
pub const MARK: &str = "ORDERFLOW_PROCESS";

/// How long a process may take to execute another program.
const MOMENT: Duration = Duration::from_millis(1);
const MOMENTS: u32 = 1000;

/// A process id with the process's start, in clock ticks since the system's: an id alone is reused.
pub type Id = (Pid, u64);

/// A process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub id: Id,
    parent: Option<Pid>,
    pub group: Option<Pid>,
    state: u8,
}

impl Seen {
    pub fn pid(&self) -> Pid {
        self.id.0
    }

    /// It has ended, but its parent has not reaped it.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Whether no information about processes is available.
pub fn is_blind() -> bool {
    static BLIND: LazyLock<bool> = LazyLock::new(|| see(rustix::process::getpid()).is_none());
    *BLIND
}

/// Identifies the current boot; `None` if unknown.
pub fn boot() -> Option<Arc<str>> {
    static BOOT: LazyLock<Option<Arc<str>>> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().into())
    });
    BOOT.clone()
}

/// A process id from a number; a process that is just ending has a group of -1.
pub fn pid(number: i32) -> Option<Pid> {
    if number > 0 { Pid::from_raw(number) } else { None }
}

pub fn see(of: Pid) -> Option<Seen> {
    // The system writes the whole line at once.
    let mut line = [0; 1024];
    let length = File::open(folder(of).join("stat")).ok()?.read(&mut line).ok()?;
    let stat = line.get(..length)?;
    // The name in parentheses may contain any characters.
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(name + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let mut number = || fields.next().and_then(|field| pid(field.parse().ok()?));
    let (parent, group) = (number(), number());
    Some(Seen { id: (of, fields.nth(16)?.parse().ok()?), parent, group, state })
}

/// The mark with which a process was started. It remains whatever happens to its parents.
pub fn mark(pid: Pid) -> Option<String> {
    let value = |entry: &[u8]| Some(entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?.to_vec());
    environment(pid)?.split(|byte| *byte == 0).find_map(value).and_then(|mark| String::from_utf8(mark).ok())
}

/// The environment with which a process was started. It is empty at the moment when the process executes another
/// program; that is waited for, so that the process is not taken for one without a mark.
fn environment(pid: Pid) -> Option<Vec<u8>> {
    let folder = folder(pid);
    let is_empty = |file: &str| std::fs::read(folder.join(file)).is_ok_and(|bytes| bytes.is_empty());
    // A thread of the kernel is not a program.
    let becoming = || is_empty("cmdline") && folder.join("exe").read_link().is_ok();
    for _ in 0..MOMENTS {
        let environment = std::fs::read(folder.join("environ")).ok()?;
        if !environment.is_empty() || !becoming() {
            return Some(environment);
        }
        std::thread::sleep(MOMENT);
    }
    None
}

/// Makes all processes that are started from here identifiable by more than their environment, so that they can be
/// distinguished from children that this process had before. The brand is a bit of the core dump filter without effect
/// on ordinary memory; every process inherits it, whatever happens to its environment, session and parents.
pub fn brand() {
    const BIT: u32 = 1 << 8;
    let me = rustix::process::getpid();
    if let Some(before) = filter(me)
        && std::fs::write(folder(me).join("coredump_filter"), format!("{:#x}", before ^ BIT)).is_ok()
    {
        let _ = BRAND.set(before ^ BIT);
    }
}

static BRAND: OnceLock<u32> = OnceLock::new();

/// Whether a process was started from here, directly or not; false without a brand.
pub fn is_branded(pid: Pid) -> bool {
    BRAND.get().is_some_and(|brand| filter(pid) == Some(*brand))
}

fn filter(pid: Pid) -> Option<u32> {
    let text = std::fs::read_to_string(folder(pid).join("coredump_filter")).ok()?;
    u32::from_str_radix(text.trim(), 16).ok()
}

/// Every visible process.
pub fn all() -> Vec<Seen> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: std::fs::DirEntry| pid(entry.file_name().to_str()?.parse().ok()?);
    entries.flatten().filter_map(|entry| see(number(entry)?)).collect()
}

/// The children of this process.
pub fn children(parent: Pid) -> Vec<Seen> {
    static LISTED: LazyLock<bool> =
        LazyLock::new(|| std::fs::exists("/proc/thread-self/children").unwrap_or(false));
    if !*LISTED {
        return all().into_iter().filter(|seen| seen.parent == Some(parent)).collect();
    }
    // A list for each thread.
    let Ok(threads) = std::fs::read_dir(folder(parent).join("task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<Pid> = lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .filter_map(pid)
        .collect();
    pids.into_iter().filter_map(see).collect()
}

/// Whether this process certainly has no orphan, running or ended: the system gives orphans to its first thread. False
/// if the system does not list the children of threads.
pub fn has_no_orphan() -> bool {
    static LIST: LazyLock<PathBuf> = LazyLock::new(|| {
        let first = rustix::process::getpid().as_raw_nonzero();
        PathBuf::from(format!("/proc/self/task/{first}/children"))
    });
    File::open(&*LIST).and_then(|mut list| list.read(&mut [0])).is_ok_and(|length| length == 0)
}

/// These processes with all their descendants, each once, parents first.
pub fn families(roots: Vec<Seen>, children: impl Fn(Pid) -> Vec<Seen>) -> Vec<Seen> {
    let (mut known, mut all): (HashSet<Id>, Vec<Seen>) = Default::default();
    let mut open = roots;
    while let Some(seen) = open.pop() {
        if known.insert(seen.id) {
            open.extend(children(seen.pid()));
            all.push(seen);
        }
    }
    all
}

/// Sends a signal to this process and to no other, even if its id was reused meanwhile.
pub fn signal(seen: &Seen, signal: Signal) {
    let same = || see(seen.pid()).is_some_and(|now| now.id == seen.id);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
        // A held process keeps its id while it is inspected.
        if let Ok(held) = pidfd_open(seen.pid(), PidfdFlags::empty()) {
            if same() {
                let _ = pidfd_send_signal(held, signal);
            }
            return;
        }
    }
    if same() {
        let _ = rustix::process::kill_process(seen.pid(), signal);
    }
}

fn folder(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()))
}

/// The children of every process, to look up many families at once.
pub fn children_among(all: &[Seen]) -> impl Fn(Pid) -> Vec<Seen> {
    |parent| all.iter().filter(|seen| seen.parent == Some(parent)).copied().collect()
}
/// The sockets that listen on this TCP port, as links of `/proc/PID/fd` name them; `None` if the system does not say.
pub fn listeners(port: u16) -> Option<Vec<String>> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).ok());
    if tables.iter().all(Option::is_none) {
        return None;
    }
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, own) = fields.get(1)?.rsplit_once(':')?;
        let listens = fields.get(3) == Some(&"0A") && u16::from_str_radix(own, 16) == Ok(port);
        listens.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
    };
    Some(tables.iter().flatten().flat_map(|table| table.lines().filter_map(socket)).collect())
}

/// Whether a process has one of these open.
pub fn holds(pid: Pid, links: &[String]) -> bool {
    let open =
        std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let mut open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    open.any(|link| link.to_str().is_some_and(|link| links.iter().any(|known| known == link)))
}
