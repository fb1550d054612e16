//! Files named by a path: by the user, who may name a pipe or a link to anywhere, or by a document or its settings,
//! which may not.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

/// A named file. It may be opened repeatedly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    path: PathBuf,
    /// The folder that links must not leave, and the path below it.
    below: Option<(PathBuf, PathBuf)>,
    /// Whether it may be a pipe or a device, which can block.
    special: bool,
}

impl Named {
    /// A path from the command line: links are followed, and it may be a pipe.
    pub fn by_user(path: impl Into<PathBuf>) -> Named {
        Named { path: path.into(), below: None, special: true }
    }

    /// A path that the user has given earlier, for a regular file: links are followed, and it must not block.
    pub fn file(path: impl Into<PathBuf>) -> Named {
        Named { path: path.into(), below: None, special: false }
    }

    /// A path in a document in `folder`, or in its settings. It must be a regular file. A relative path may begin with
    /// `..`; links must not leave the folder that this leads to, because readers of the document could not see that.
    pub fn by_document(folder: &Path, path: &Path) -> Named {
        let outward = |part: &Component<'_>| matches!(part, Component::ParentDir | Component::CurDir);
        let base: PathBuf = path.components().take_while(outward).collect();
        let rest: PathBuf = path.components().skip_while(outward).collect();
        let below = path.is_relative().then(|| (folder.join(base), rest));
        Named { path: folder.join(path), below, special: false }
    }

    /// A file that was found by this name, of a folder or a glob. A file that a document names must be below a folder:
    /// for a relative path the one of the name itself, for an absolute one `searched`, where the search began.
    ///
    /// # Errors
    /// It is not below that folder.
    pub fn found(&self, searched: &Path, path: PathBuf) -> io::Result<Named> {
        if self.special {
            return Ok(Named::file(path));
        }
        let folder = self.below.as_ref().map_or(searched, |(folder, _)| folder);
        match path.strip_prefix(folder) {
            Ok(rest) => {
                let below = Some((folder.to_owned(), rest.to_owned()));
                Ok(Named { path, below, special: false })
            }
            Err(_) => {
                let message = format!("{} is not below {}", path.display(), folder.display());
                Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the user has named it, and not a document.
    pub fn is_by_user(&self) -> bool {
        self.special
    }

    /// The metadata of its target; links are followed.
    ///
    /// # Errors
    /// It does not exist, or is not accessible.
    pub fn about(&self) -> io::Result<Metadata> {
        std::fs::metadata(&self.path)
    }

    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    pub fn is_folder(&self) -> bool {
        self.path.is_dir()
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// It does not exist, or is not of an allowed kind.
    pub fn open(&self) -> io::Result<File> {
        if self.special {
            return File::open(&self.path);
        }
        let file = match &self.below {
            Some((folder, path)) => {
                let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
                below(folder, path, OpenOptions::new().read(true).custom_flags(flags.bits() as i32))?
            }
            None => {
                let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
                File::options().read(true).custom_flags(flags.bits() as i32).open(&self.path)?
            }
        };
        regular(file)
    }

    /// Opens it for appending and reading, and creates it if it is missing.
    ///
    /// # Errors
    /// It cannot be created, or is not of an allowed kind.
    pub fn append(&self) -> io::Result<File> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = match &self.below {
            Some((folder, path)) => {
                let mut options = OpenOptions::new();
                below(folder, path, options.append(true).read(true).create(true).custom_flags(flags))?
            }
            None => {
                File::options().append(true).read(true).create(true).custom_flags(flags).open(&self.path)?
            }
        };
        regular(file)
    }

    /// Its content, up to this many bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open), or it is larger.
    pub fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        read_at_most(self.open()?, most)
    }
}

fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Creates a new file below a folder of the user's, with the folders above it; links must not lead out of the folder.
///
/// # Errors
/// The file exists, or it cannot be created.
pub fn create_new(folder: &Path, path: &Path) -> io::Result<File> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::create_dir_all(folder)?;
    let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        within(folder, path, dir.create_dir_all(above))?;
    }
    below(folder, path, OpenOptions::new().write(true).create_new(true))
}

fn below(folder: &Path, path: &Path, options: &OpenOptions) -> io::Result<File> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
    within(folder, path, dir.open_with(path, options)).map(cap_std::fs::File::into_std)
}

/// What was done with a path below a folder, with the reason if it leads out of it.
fn within<T>(folder: &Path, path: &Path, done: io::Result<T>) -> io::Result<T> {
    match done {
        // The kernel does not reject links that leave the folder; `cap-std` does.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() => {
            let what = match path.components().any(|part| part == Component::ParentDir) {
                true => "this path",
                false => "a symbolic link",
            };
            let message = format!("{what} leads out of {}", folder.display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
        }
        done => done,
    }
}

/// Reads to the end, up to this many bytes.
///
/// # Errors
/// An error of reading, or there is more.
pub fn read_at_most(from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {}", size(most)))),
        false => Ok(bytes),
    }
}

fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
