//! Files that are written completely or not at all: to a temporary file beside the target first, then renamed.

use super::Folder;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most symbolic links on the way to a file, as in the kernel.
const LINKS: usize = 40;

/// The target of a write.
pub enum Target {
    /// The file behind all symbolic links, to be replaced; the links remain.
    File(PathBuf),
    /// A pipe or a device, to be written to; it is never replaced.
    Stream(PathBuf),
    /// A file in a run's folder, to be replaced whatever its kind. The folder is opened only to write, because a run
    /// has few file descriptors to spare.
    Within(PathBuf, &'static str),
    /// An open file, such as standard output.
    Open(File),
}

impl Target {
    /// The target of a path from the user.
    ///
    /// # Errors
    /// When it can be neither.
    pub fn of(path: &Path) -> io::Result<Target> {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(about) if about.file_type().is_socket() => return Err(io::Error::other("it is a socket")),
            Ok(about) if !about.is_file() => return Ok(Target::Stream(path.to_owned())),
            Ok(_) => {}
            // A link may lead to a file that does not exist yet; circular links are counted below.
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_circle(&error) => {}
            Err(error) => return Err(error),
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if path.file_name().is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match fs::read_link(&path) {
                Ok(next) => path = folder(&path).join(next),
                Err(_) => return Ok(Target::File(path)),
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }

    /// The target of a default path: only a regular file is replaced there.
    ///
    /// # Errors
    /// The path is something else.
    pub fn unnamed(path: &Path) -> io::Result<Target> {
        match fs::symlink_metadata(path) {
            Ok(about) if !about.is_file() => {
                let what = match about.is_symlink() {
                    true => "a symbolic link",
                    false => "no regular file",
                };
                Err(io::Error::other(format!("{} is {what}", path.display())))
            }
            Ok(_) => Ok(Target::File(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Target::File(path.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// An unnamed file for data that is not to be visible there yet.
    ///
    /// # Errors
    /// When its folder cannot contain one.
    pub fn spool(&self) -> io::Result<File> {
        match self {
            Target::File(path) => tempfile::tempfile_in(folder(path)),
            Target::Within(folder, _) => tempfile::tempfile_in(folder),
            Target::Stream(_) | Target::Open(_) => tempfile::tempfile(),
        }
    }

    /// Checks that the file can be created; changes nothing. A pipe is not opened: that would wait for its reader.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self) -> io::Result<()> {
        if let Target::Stream(path) = self {
            rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?;
        }
        self.spool().map(drop)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// An error of `write` or of the file system.
    pub fn write(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let path = match self {
            Target::File(path) => path,
            Target::Stream(path) => return write(&mut File::options().write(true).open(path)?),
            Target::Within(folder, name) => return Folder::open(folder)?.replace_by(name, write),
            Target::Open(file) => return write(&mut file.try_clone()?),
        };
        let mut builder = tempfile::Builder::new();
        // Like any new file: the umask decides who may read it.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".session-").tempfile_in(folder(path))?;
        // A replaced file keeps its permissions.
        if let Ok(about) = fs::metadata(path) {
            let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777;
            file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        }
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder(path))?.sync_all()
    }
}

/// Copies a file into an empty one. Holes stay holes: a file may be larger than the disk, and an archive or a repository
/// may bring it.
///
/// # Errors
/// An error of the file system.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    let (mut reader, mut writer, mut at) = (from, to, 0);
    while at < length {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // The rest is a hole.
            Err(Errno::NXIO) => break,
            // The file system knows no holes.
            Err(_) => at,
        };
        let end = seek(from, SeekFrom::Hole(start)).unwrap_or(length);
        seek(from, SeekFrom::Start(start))?;
        seek(to, SeekFrom::Start(start))?;
        let copied = io::copy(&mut (&mut reader).take(end - start), &mut writer)?;
        // It has become shorter meanwhile.
        if copied == 0 {
            break;
        }
        at = end;
    }
    to.set_len(length)
}

/// The number of bytes that a test of free room writes.
const TRIED: usize = 256 << 10;

/// Checks that a file, or those beside it with these suffixes, can grow. Nothing remains.
///
/// # Errors
/// The disk or a quota is full, files may not be that large, or no file can be created there.
pub fn try_room(path: &Path, beside: &[&str]) -> io::Result<()> {
    let length = |end: &&str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        fs::symlink_metadata(Path::new(&name)).map_or(0, |about| about.len())
    };
    let largest = beside.iter().chain([&""]).map(length).max().unwrap_or(0);
    if getrlimit(Resource::Fsize).current.is_some_and(|most| most < largest.saturating_add(TRIED as u64)) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut file = tempfile::tempfile_in(folder(path))?;
    file.write_all(&vec![0; TRIED])?;
    file.sync_all()
}

fn is_circle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// The folder that contains a file.
fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How often a file that another process replaces or locks is tried, and the pause between tries.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// Replaces the text of a file, completely or not at all; returns false and changes nothing if its text is no longer
/// `old`. Of several processes that do this at once with one old text, exactly one replaces it.
///
/// # Errors
/// An error of the file system, the path is not a file, or another process keeps it locked.
pub fn exchange(path: &Path, old: &str, new: &str) -> io::Result<bool> {
    let Target::File(path) = Target::of(path)? else {
        return Err(io::Error::other("this is not a regular file"));
    };
    let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(folder(&path))?;
    file.write_all(new.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    // The lock is held until the file is replaced. Programs that do not lock can still come between, but hardly.
    let locked = locked(&path)?;
    let held = super::read_at_most(&locked, old.len());
    if !held.is_ok_and(|held| held == old.as_bytes()) {
        return Ok(false);
    }
    file.persist(&path).map_err(|error| error.error)?;
    File::open(folder(&path))?.sync_all()?;
    Ok(true)
}

/// The file at a path, open and locked. A file that was replaced while its lock was awaited is opened again.
fn locked(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let file = File::open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(PAUSE);
                continue;
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
        let (own, now) = (file.metadata()?, fs::metadata(path)?);
        if (own.dev(), own.ino()) == (now.dev(), now.ino()) {
            return Ok(file);
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps it locked"))
}
