//! An open folder. Its files are opened relative to it, even if its path is replaced meanwhile.

use super::owner::{is_accepted, refuse_unless};
use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The kind of an entry. Links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    /// A pipe, a device, a socket.
    Special,
}

impl Kind {
    fn of(about: &Metadata) -> Kind {
        let kind = about.file_type();
        match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_dir() => Kind::Folder,
            () if kind.is_symlink() => Kind::Link,
            () => Kind::Special,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "a file",
            Kind::Folder => "a folder",
            Kind::Link => "a symbolic link",
            Kind::Special => "a pipe, a device or a socket",
        }
    }
}

/// A folder of an accepted owner. Names are single: no method takes a path with a `/`.
#[derive(Debug)]
pub struct Folder {
    dir: Dir,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at a path of the user's own; links on the way are followed.
    ///
    /// # Errors
    /// It does not exist, is not a folder, or belongs to another user.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let path = std::path::absolute(path)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        Folder::checked(dir, path)
    }

    /// The same for any owner, for a folder in which only the user's own entries are read or created.
    ///
    /// # Errors
    /// It does not exist, or is not a folder.
    pub fn shared(path: &Path) -> io::Result<Folder> {
        let path = std::path::absolute(path)?;
        Ok(Folder { dir: Dir::open_ambient_dir(&path, ambient_authority())?, path })
    }

    /// The same as [`open`](Self::open), but creates it if missing, for this user alone, with its parent folders.
    ///
    /// # Errors
    /// It cannot be created, or belongs to another user.
    pub fn ensure(path: &Path) -> io::Result<Folder> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Folder::open(path)
    }

    /// The parent of the folder at `path`, with the name there.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn above(path: &Path) -> io::Result<(Folder, OsString)> {
        let path = std::path::absolute(path)?;
        match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) => Ok((Folder::open(above)?, name.to_owned())),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn checked(dir: Dir, path: PathBuf) -> io::Result<Folder> {
        refuse_unless(dir.dir_metadata()?.uid(), &path)?;
        Ok(Folder { dir, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file system and the inode of the folder itself.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let about = self.dir.dir_metadata()?;
        Ok((about.dev(), about.ino()))
    }

    /// The same folder as a file, to lock it.
    ///
    /// # Errors
    /// An error of the system.
    pub fn handle(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, ".", flags, Mode::empty())?.into())
    }

    /// Whether others than its owner may write into it.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn is_open_to_all(&self) -> io::Result<bool> {
        Ok(self.dir.dir_metadata()?.mode() & 0o002 != 0)
    }

    /// Rejects a folder that others could replace: `above` of its parents must have accepted owners, and in those that
    /// everybody may write to, only the owner of a name may change it (as in `/tmp`).
    ///
    /// # Errors
    /// The folder that is not so, or an error of the file system.
    pub fn refuse_replaceable(&self, above: usize) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        for path in self.path.ancestors().skip(1).take(above) {
            let about = path.symlink_metadata()?;
            refuse_unless(about.uid(), path)?;
            if about.mode() & 0o002 != 0 && about.mode() & 0o1000 == 0 {
                let path = path.display();
                let message =
                    format!("everybody may write into {path}; take that right away: chmod o-w {path}");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
        }
        Ok(())
    }

    /// When a file was created, in nanoseconds since 1970; `None` if the file system does not store it. Opens nothing.
    pub fn born(&self, name: impl AsRef<OsStr>) -> Option<u64> {
        birth(&self.dir.symlink_metadata(single(name.as_ref()).ok()?).ok()?)
    }

    /// When the folder itself was created, as for [`born`](Self::born).
    pub fn own_birth(&self) -> Option<u64> {
        birth(&self.dir.dir_metadata().ok()?)
    }

    /// A folder in it.
    ///
    /// # Errors
    /// It does not exist, is a link or not a folder, or belongs to another user.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Folder> {
        let name = single(name.as_ref())?;
        let path = self.path.join(name);
        match self.dir.open_dir_nofollow(name) {
            Ok(dir) => Folder::checked(dir, path),
            Err(error) => Err(self.explained(name, error)),
        }
    }

    /// A folder in it, created for this user alone if missing.
    ///
    /// # Errors
    /// As for [`folder`](Self::folder), or it cannot be created.
    pub fn make(&self, name: impl AsRef<OsStr>) -> io::Result<Folder> {
        match self.make_new(name.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.folder(name),
            made => made,
        }
    }

    /// A new folder in it.
    ///
    /// # Errors
    /// The name exists, or it cannot be created.
    pub fn make_new(&self, name: impl AsRef<OsStr>) -> io::Result<Folder> {
        self.add(name.as_ref())?;
        self.folder(name)
    }

    /// Creates a new folder in it for this user alone, without opening it.
    ///
    /// # Errors
    /// The name exists, or it cannot be created.
    pub fn add(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        self.dir.create_dir_with(single(name.as_ref())?, &builder)
    }

    /// Whether a folder in it is as [`add`](Self::add) makes one: empty, and for this user alone.
    pub fn is_as_made(&self, name: impl AsRef<OsStr>) -> bool {
        let Ok(folder) = self.folder(name) else { return false };
        let alone = folder.dir.dir_metadata().is_ok_and(|about| about.mode() & 0o7777 == 0o700);
        alone && folder.dir.entries().is_ok_and(|mut entries| entries.next().is_none())
    }

    /// A new folder in it under a name that cannot be guessed, with this beginning.
    ///
    /// # Errors
    /// As for [`make_new`](Self::make_new).
    pub fn make_unique(&self, beginning: &str) -> io::Result<Folder> {
        self.make_new(format!("{beginning}{}", unique()))
    }

    /// The kind of an entry; `None` if it does not exist.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Kind>> {
        match self.dir.symlink_metadata(single(name.as_ref())?) {
            Ok(about) => Ok(Some(Kind::of(&about))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an entry exists and has an accepted owner.
    pub fn owns(&self, name: impl AsRef<OsStr>) -> bool {
        let about = single(name.as_ref()).and_then(|name| self.dir.symlink_metadata(name));
        about.is_ok_and(|about| is_accepted(about.uid()))
    }

    /// Whether an entry is a regular file.
    pub fn has_file(&self, name: impl AsRef<OsStr>) -> bool {
        matches!(self.kind(name), Ok(Some(Kind::File)))
    }

    /// Rejects an entry that is not a regular file of an accepted owner, without opening it; a `written` one must have
    /// only this name, so that writing it does not change a file elsewhere. A missing entry is accepted.
    ///
    /// # Errors
    /// The problem of the entry.
    pub fn check(&self, name: impl AsRef<OsStr>, written: bool) -> io::Result<Option<(u64, u64)>> {
        let name = single(name.as_ref())?;
        let about = match self.dir.symlink_metadata(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            about => about?,
        };
        regular(&about, written, &self.path.join(name))?;
        Ok(Some((about.dev(), about.ino())))
    }

    /// The size of a file in bytes; links are not followed, and nothing is opened.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn length(&self, name: impl AsRef<OsStr>) -> io::Result<u64> {
        Ok(self.dir.symlink_metadata(single(name.as_ref())?)?.len())
    }

    /// The size of a file in bytes, and its modification time in nanoseconds since 1970; links are not followed, and
    /// nothing is opened.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn stamp(&self, name: impl AsRef<OsStr>) -> io::Result<(u64, i64)> {
        let about = self.dir.symlink_metadata(single(name.as_ref())?)?;
        Ok((about.len(), about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec())))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// It does not exist, is a link or not a regular file, belongs to another user, or has further names.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_with(name.as_ref(), OpenOptions::new().read(true))
    }

    /// Opens a file for reading and writing; creates it if missing.
    ///
    /// # Errors
    /// As for [`open_file`](Self::open_file).
    pub fn open_or_create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_with(name.as_ref(), OpenOptions::new().read(true).write(true).create(true).mode(0o600))
    }

    /// Creates a new file.
    ///
    /// # Errors
    /// The name exists, or it cannot be created.
    pub fn create_new(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_with(name.as_ref(), OpenOptions::new().write(true).create_new(true).mode(0o600))
    }

    fn open_with(&self, name: &OsStr, options: &mut OpenOptions) -> io::Result<File> {
        let name = single(name)?;
        // Without blocking: opening a pipe could wait forever.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let options = options.follow(FollowSymlinks::No).custom_flags(flags.bits() as i32);
        let file = match self.dir.open_with(name, options) {
            Ok(file) => file,
            Err(error) => return Err(self.explained(name, error)),
        };
        regular(&file.metadata()?, true, &self.path.join(name))?;
        Ok(file.into_std())
    }

    /// An error of opening, with the entry's kind if that is the reason.
    fn explained(&self, name: &OsStr, error: io::Error) -> io::Error {
        match self.kind(name) {
            Ok(Some(kind @ (Kind::Link | Kind::Special))) => refused(&self.path.join(name), kind.name()),
            _ => error,
        }
    }

    /// The content of a file of at most this many bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// As for [`open_file`](Self::open_file), or it is larger.
    pub fn read(&self, name: impl AsRef<OsStr>, most: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_file(name.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        super::read_at_most(file, most).map(Some)
    }

    /// Replaces any entry except a folder by a file, atomically and durably.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn replace(&self, name: impl AsRef<OsStr>, content: &[u8]) -> io::Result<()> {
        self.replace_by(name, |file| file.write_all(content))
    }

    /// The same with the content that `write` writes.
    ///
    /// # Errors
    /// An error of `write` or of the file system.
    pub fn replace_by(
        &self,
        name: impl AsRef<OsStr>,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let name = single(name.as_ref())?;
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(unique());
        let mut file = self.create_new(&draft)?;
        let written = write(&mut file)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.dir.rename(&draft, &self.dir, name))
            .and_then(|()| self.sync());
        if written.is_err() {
            let _ = self.dir.remove_file(&draft);
        }
        written
    }

    /// Renames an entry; replaces a file of the new name.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        self.dir.rename(single(from.as_ref())?, &self.dir, single(to.as_ref())?)
    }

    /// Moves an entry to another folder; its name must not exist there.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn move_to(&self, name: impl AsRef<OsStr>, to: &Folder, new: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, new) = (single(name.as_ref())?, single(new.as_ref())?);
        if to.kind(new)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.dir.rename(name, &to.dir, new)
    }

    /// Removes a file, a link or a pipe; returns whether it existed.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        match self.dir.remove_file(single(name.as_ref())?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an empty folder in it.
    ///
    /// # Errors
    /// It is not empty, or an error of the file system.
    pub fn remove_empty(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.dir.remove_dir(single(name.as_ref())?)
    }

    /// Removes any entry, with all below it; links are removed, not followed.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn remove_all(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = single(name.as_ref())?;
        match self.kind(name)? {
            None => Ok(()),
            Some(Kind::Folder) => self.dir.remove_dir_all(name),
            Some(Kind::File | Kind::Link | Kind::Special) => self.dir.remove_file(name),
        }
    }

    /// All entries with their kinds, sorted by name.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        self.entries_up_to(usize::MAX)
    }

    /// The same for a limited number of entries.
    ///
    /// # Errors
    /// An error of the file system, or there are more.
    pub fn entries_up_to(&self, most: usize) -> io::Result<Vec<(OsString, Kind)>> {
        let mut all = Vec::new();
        for entry in self.dir.entries()? {
            if all.len() == most {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many names to look at"));
            }
            let name = entry?.file_name();
            if let Some(kind) = self.kind(&name)? {
                all.push((name, kind));
            }
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(all)
    }

    /// The size of all files below it in bytes. Links are not followed.
    pub fn size(&self) -> u64 {
        let entries = self.dir.entries().into_iter().flatten().flatten();
        let size = entries.map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => self.folder(entry.file_name()).map_or(0, |below| below.size()),
            Ok(about) => about.len(),
            Err(_) => 0,
        });
        size.sum()
    }

    /// Makes its entries durable.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn sync(&self) -> io::Result<()> {
        self.handle()?.sync_all()
    }
}

/// A suffix that cannot be guessed.
fn unique() -> String {
    format!(".{:016x}", RandomState::new().build_hasher().finish())
}

/// In nanoseconds since 1970.
fn birth(about: &Metadata) -> Option<u64> {
    let since = about.created().ok()?.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// A name, if it is one and not a path.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(part)), None) if part == name => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")),
    }
}

fn refused(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{} is {what}; only a regular file or folder is opened here", path.display()))
}

fn regular(about: &Metadata, single: bool, path: &Path) -> io::Result<()> {
    match Kind::of(about) {
        Kind::File => {}
        other => return Err(refused(path, other.name())),
    }
    if single && about.nlink() > 1 {
        let message = format!("{} has further names (hard links); copy the folder first", path.display());
        return Err(io::Error::other(message));
    }
    refuse_unless(about.uid(), path)
}
