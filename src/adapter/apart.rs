//! Starts programs in sessions of their own. The standard library forks for that, which takes longer the more memory
//! this process has; on Linux, `posix_spawn` does the same without a copy.

use process_wrap::tokio::{CommandWrap, CommandWrapper, ProcessSession};
use std::fs::File;
use std::io;
use std::sync::LazyLock;
use tokio::process::Command;

#[cfg(target_os = "linux")]
pub use linux::{Held, start};

/// Whether this process has a terminal that its programs could reach.
pub fn is_at_terminal() -> bool {
    static TERMINAL: LazyLock<bool> = LazyLock::new(|| File::open("/dev/tty").is_ok());
    *TERMINAL
}

/// Makes a command start in a process group of its own, and at a terminal in a session of its own.
///
/// # Errors
/// Those of the system.
pub fn detach(command: &mut Command) -> io::Result<()> {
    if is_at_terminal() {
        return ProcessSession.pre_spawn(command, &CommandWrap::from(Command::new("")));
    }
    command.process_group(0);
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::sched::{CloneFlags, unshare};
    use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
    use nix::sys::signal::{SigSet, Signal};
    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, WaitOptions, kill_process, pidfd_open, pidfd_send_signal, waitpid,
    };
    use std::ffi::{CString, OsStr};
    use std::fs::Metadata;
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::ExitStatusExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitStatus};
    use std::sync::{LazyLock, mpsc};
    use tokio::io::unix::AsyncFd;
    use tokio::runtime::Handle;

    /// `POSIX_SPAWN_SETSID`, which glibc and musl number alike.
    const SESSION: PosixSpawnFlags = PosixSpawnFlags::from_bits_retain(0x80);

    /// A process that is known by a descriptor. It is killed when this is dropped.
    #[derive(Debug)]
    pub struct Held {
        pid: Pid,
        /// `None` once it has been waited for.
        process: Option<AsyncFd<OwnedFd>>,
        status: Option<ExitStatus>,
    }

    impl Held {
        pub fn id(&self) -> Option<Pid> {
            self.process.is_some().then_some(self.pid)
        }

        pub async fn wait(&mut self) -> io::Result<ExitStatus> {
            if let Some(status) = self.status {
                return Ok(status);
            }
            let Some(process) = &self.process else { return Err(io::ErrorKind::NotFound.into()) };
            let status = ended(self.pid, process).await?;
            (self.process, self.status) = (None, Some(status));
            Ok(status)
        }
    }

    async fn ended(pid: Pid, process: &AsyncFd<OwnedFd>) -> io::Result<ExitStatus> {
        loop {
            let mut readable = process.readable().await?;
            if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG)? {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            readable.clear_ready();
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let Some(process) = self.process.take() else { return };
            let _ = pidfd_send_signal(&process, rustix::process::Signal::KILL);
            if let Ok(runtime) = Handle::try_current() {
                let pid = self.pid;
                runtime.spawn(async move { ended(pid, &process).await });
            }
        }
    }

    /// What `posix_spawn` takes.
    struct Order {
        program: CString,
        arguments: Vec<CString>,
        environment: Vec<CString>,
        folder: PathBuf,
        /// The program's ends of its pipes.
        pipes: [OwnedFd; 3],
    }

    /// Starts a command in a session of its own, with three pipes. `None` if that is not possible here.
    pub fn start(command: &Command) -> Option<io::Result<(Held, [OwnedFd; 3])>> {
        static HOLDS: LazyLock<bool> =
            LazyLock::new(|| pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok());
        let folder = command.get_current_dir()?;
        // Another name is looked for in the command's own `PATH`, which only the standard library does.
        if !*HOLDS || !command.get_program().as_bytes().contains(&b'/') {
            return None;
        }
        let is_here = is_here(folder);
        if !is_here && ELSEWHERE.is_none() {
            return None;
        }
        let (order, ours) = match order(command, folder) {
            Ok(order) => order,
            Err(error) => return Some(Err(error)),
        };
        let started = match (is_here, &*ELSEWHERE) {
            (false, Some(elsewhere)) => {
                let (reply, replies) = mpsc::sync_channel(1);
                elsewhere.send((order, reply)).ok()?;
                replies.recv().ok()?
            }
            _ => spawn(order),
        };
        // A script without the name of its interpreter: the standard library may know what to do.
        let unknown = Some(Errno::NOEXEC.raw_os_error());
        if started.as_ref().is_err_and(|error| error.raw_os_error() == unknown) {
            return None;
        }
        Some(started.and_then(|pid| Ok((hold(pid)?, ours))))
    }

    #[allow(deprecated, reason = "unsound only for a descriptor that is closed elsewhere; this one is owned")]
    fn hold(pid: Pid) -> io::Result<Held> {
        match pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(AsyncFd::new) {
            Ok(process) => Ok(Held { pid, process: Some(process), status: None }),
            Err(error) => {
                let _ = kill_process(pid, rustix::process::Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
                Err(error)
            }
        }
    }

    fn is_here(folder: &Path) -> bool {
        let same = |one: Metadata, other: Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        match (folder.metadata(), Path::new(".").metadata()) {
            (Ok(one), Ok(other)) => same(one, other),
            _ => false,
        }
    }

    fn order(command: &Command, folder: &Path) -> io::Result<(Order, [OwnedFd; 3])> {
        let text = |text: &OsStr| Ok::<_, io::Error>(CString::new(text.as_bytes())?);
        let variable = |(name, value): (&OsStr, Option<&OsStr>)| {
            value.map(|value| text(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat())))
        };
        let arguments = std::iter::once(command.get_program()).chain(command.get_args()).map(text);
        let ((stdin, input), (output, stdout), (errors, stderr)) =
            (std::io::pipe()?, std::io::pipe()?, std::io::pipe()?);
        let order = Order {
            program: text(command.get_program())?,
            arguments: arguments.collect::<io::Result<_>>()?,
            environment: command.get_envs().filter_map(variable).collect::<io::Result<_>>()?,
            folder: folder.into(),
            pipes: [stdin.into(), stdout.into(), stderr.into()],
        };
        Ok((order, [input.into(), output.into(), errors.into()]))
    }

    fn spawn(order: Order) -> io::Result<Pid> {
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            SESSION | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
        )?;
        attributes.set_sigmask(&SigSet::empty())?;
        // Ignored in this process, as in every program in Rust; the program has to get it.
        attributes.set_sigdefault(&SigSet::from_iter([Signal::SIGPIPE]))?;
        let mut actions = PosixSpawnFileActions::init()?;
        for (pipe, standard) in order.pipes.iter().zip(0..) {
            actions.add_dup2(pipe.as_raw_fd(), standard)?;
        }
        let Order { program, arguments, environment, .. } = &order;
        let pid = posix_spawn(program.as_c_str(), &actions, &attributes, arguments, environment)?;
        Pid::from_raw(pid.as_raw()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    type Elsewhere = mpsc::Sender<(Order, mpsc::SyncSender<io::Result<Pid>>)>;

    /// A thread with a working directory of its own; `None` if the system does not allow that, as in some containers.
    static ELSEWHERE: LazyLock<Option<Elsewhere>> = LazyLock::new(|| {
        let (orders, received) = mpsc::channel::<(Order, mpsc::SyncSender<io::Result<Pid>>)>();
        let (ready, is_ready) = mpsc::sync_channel(1);
        let work = move || {
            let alone = unshare(CloneFlags::CLONE_FS).is_ok();
            let _ = ready.send(alone);
            if !alone {
                return;
            }
            for (order, reply) in received {
                let moved = rustix::process::chdir(&order.folder).map_err(io::Error::from);
                let started = moved.and_then(|()| spawn(order));
                let _ = reply.send(started);
            }
        };
        std::thread::Builder::new().name("starter".into()).spawn(work).ok()?;
        is_ready.recv().is_ok_and(|alone| alone).then_some(orders)
    });
}
