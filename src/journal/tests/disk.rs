//! A disk for SQLite that fails on demand: it stands between SQLite and the real one, counts the calls of the
//! thread that asked for it, lets one of them fail or all from one on, and knows which bytes a loss of power
//! would have taken. Files that are made, renamed or removed keep that; only contents are lost.

#![allow(unsafe_code)]

use rusqlite::ffi;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call of this number, from 0.
    At(u64),
    /// It and all that follow.
    From(u64),
}

/// What the thread's disk has seen.
#[derive(Debug)]
pub struct Disk {
    fault: Fault,
    pub calls: u64,
    /// Calls that failed, by what they were.
    pub failed: BTreeMap<&'static str, u64>,
    files: BTreeMap<PathBuf, Shadow>,
}

/// A file as it would be after a loss of power, and what has been done to it since.
#[derive(Debug, Default)]
struct Shadow {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Runs `work` with a disk of this thread that fails as asked. Returns what it saw.
pub fn with<T>(fault: Fault, work: impl FnOnce() -> T) -> (T, Disk) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(install);
    let disk = Disk { fault, calls: 0, failed: BTreeMap::new(), files: BTreeMap::new() };
    DISK.set(Some(disk));
    let result = work();
    (result, DISK.take().expect("nobody else takes it"))
}

impl Disk {
    /// Leaves every file as a loss of power might: what was synced stands, of the rest any part, also of one write.
    /// `dice` gives a number below its argument.
    pub fn lose_power(self, mut dice: impl FnMut(u64) -> u64) {
        for (path, shadow) in self.files {
            let mut content = shadow.synced;
            for change in shadow.since {
                match (change, dice(4)) {
                    (_, 0) => {}
                    (Change::Truncate(length), _) => content.truncate(length),
                    (Change::Write(at, bytes), 1) => {
                        let sectors = bytes.len() / SECTOR;
                        write(&mut content, at, &bytes[..SECTOR * dice(sectors as u64 + 1) as usize]);
                    }
                    (Change::Write(at, bytes), _) => write(&mut content, at, &bytes),
                }
            }
            if path.exists() {
                std::fs::write(path, content).unwrap();
            }
        }
    }

    /// Whether everything written to a file is durable.
    pub fn is_synced(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(|file| file.since.is_empty())
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let length = content.len().max(at + bytes.len());
    content.resize(length, 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Counts a call of this thread and says whether it is to fail.
fn fails(what: &'static str) -> bool {
    DISK.with_borrow_mut(|disk| {
        let Some(disk) = disk else { return false };
        let number = disk.calls;
        disk.calls += 1;
        let fails = match disk.fault {
            Fault::At(fault) => number == fault,
            Fault::From(fault) => number >= fault,
        };
        if fails {
            *disk.failed.entry(what).or_default() += 1;
        }
        fails
    })
}

/// Notes what happens to a file that may lose power.
fn note(path: &Path, change: impl FnOnce(&mut Shadow)) {
    DISK.with_borrow_mut(|disk| {
        if let Some(shadow) = disk.as_mut().and_then(|disk| disk.files.get_mut(path)) {
            change(shadow);
        }
    });
}

/// Puts the layer in front of the disk, for all connections that are opened from now on.
fn install() {
    // SAFETY: the registered structure is a copy of the default one, lives forever and differs in three functions
    // with the signatures that SQLite asks for.
    unsafe {
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut layer = *real;
        layer.zName = c"faulty".as_ptr();
        layer.szOsFile += size_of::<File>() as c_int;
        layer.xOpen = Some(open);
        layer.xDelete = Some(delete);
        layer.xAccess = Some(access);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(layer)), 1);
    }
}

/// The layer's file; the real one stands behind it in the same memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    path: *mut PathBuf,
}

/// The disk behind the layer.
fn real_disk() -> *mut ffi::sqlite3_vfs {
    // SAFETY: both names are C strings; the default disk of this platform is called so.
    unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) }
}

unsafe fn real(file: *mut ffi::sqlite3_file) -> (*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods) {
    // SAFETY: SQLite hands over files that `open` has made: a `File`, then the real file, opened.
    unsafe {
        let behind = file.cast::<File>().add(1).cast::<ffi::sqlite3_file>();
        (behind, &*(*behind).pMethods)
    }
}

unsafe fn path<'a>(file: *mut ffi::sqlite3_file) -> &'a Path {
    // SAFETY: as above; the path lives until the file is closed.
    unsafe { &*(*file.cast::<File>()).path }
}

unsafe fn named(name: *const c_char) -> PathBuf {
    if name.is_null() {
        return PathBuf::new();
    }
    // SAFETY: SQLite hands over C strings.
    PathBuf::from(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `file` has room for a `File` and the real file behind it, as `szOsFile` asked for.
    unsafe {
        (*file).pMethods = std::ptr::null();
        if fails("open") {
            return ffi::SQLITE_CANTOPEN;
        }
        let path = named(name);
        let behind = file.cast::<File>().add(1).cast::<ffi::sqlite3_file>();
        let disk = real_disk();
        let code = (*disk).xOpen.unwrap()(disk, name, behind, flags, out);
        if code == ffi::SQLITE_OK {
            DISK.with_borrow_mut(|disk| {
                if let Some(disk) = disk
                    && !disk.files.contains_key(&path)
                {
                    // Before SQLite holds locks on it, which reading it in another way would lose.
                    let synced = std::fs::read(&path).unwrap_or_default();
                    disk.files.insert(path.clone(), Shadow { synced, since: Vec::new() });
                }
            });
            file.cast::<File>().write(File {
                base: ffi::sqlite3_file { pMethods: &METHODS },
                path: Box::into_raw(Box::new(path)),
            });
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if fails("delete") {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: handed on as it came.
    unsafe {
        let path = named(name);
        DISK.with_borrow_mut(|disk| disk.as_mut().map(|disk| disk.files.remove(&path)));
        let disk = real_disk();
        (*disk).xDelete.unwrap()(disk, name, sync)
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    if fails("access") {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    // SAFETY: handed on as it came.
    unsafe {
        let disk = real_disk();
        (*disk).xAccess.unwrap()(disk, name, flags, out)
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the calls of version 3: files are not mapped into memory.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write_at),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, and it is one of ours.
    unsafe {
        let (behind, methods) = real(file);
        let code = methods.xClose.unwrap()(behind);
        drop(Box::from_raw((*file.cast::<File>()).path));
        code
    }
}

unsafe extern "C" fn write_at(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite hands over `length` bytes and one of our files.
    unsafe {
        let fails = fails("write");
        // A write that fails has written some of it, but no part of a sector: disks do not.
        let done = if fails { length / 2 / SECTOR as c_int * SECTOR as c_int } else { length };
        let written = std::slice::from_raw_parts(bytes.cast::<u8>(), done as usize).to_vec();
        note(path(file), |shadow| shadow.since.push(Change::Write(at as usize, written)));
        let (behind, methods) = real(file);
        let code = methods.xWrite.unwrap()(behind, bytes, done, at);
        if fails { ffi::SQLITE_FULL } else { code }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    if fails("truncate") {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: one of our files.
    unsafe {
        note(path(file), |shadow| shadow.since.push(Change::Truncate(size as usize)));
        let (behind, methods) = real(file);
        methods.xTruncate.unwrap()(behind, size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    if fails("sync") {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: one of our files.
    unsafe {
        note(path(file), |shadow| {
            for change in shadow.since.drain(..) {
                match change {
                    Change::Write(at, bytes) => write(&mut shadow.synced, at, &bytes),
                    Change::Truncate(length) => shadow.synced.truncate(length),
                }
            }
        });
        let (behind, methods) = real(file);
        methods.xSync.unwrap()(behind, flags)
    }
}

/// Functions that fail with a code or hand on what they were given.
macro_rules! handed_on {
    ($($name:ident, $method:ident, $code:ident, ($($arg:ident: $ty:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $ty),*) -> c_int {
            if fails(stringify!($name)) {
                return ffi::$code;
            }
            // SAFETY: one of our files, and the rest as it came.
            unsafe {
                let (behind, methods) = real(file);
                methods.$method.unwrap()(behind, $($arg),*)
            }
        }
    )*};
}

handed_on! {
    read, xRead, SQLITE_IOERR_READ, (into: *mut c_void, length: c_int, at: ffi::sqlite3_int64);
    file_size, xFileSize, SQLITE_IOERR_FSTAT, (size: *mut ffi::sqlite3_int64);
    lock, xLock, SQLITE_IOERR_LOCK, (level: c_int);
    check_reserved_lock, xCheckReservedLock, SQLITE_IOERR_CHECKRESERVEDLOCK, (out: *mut c_int);
    shm_map, xShmMap, SQLITE_IOERR_SHMMAP, (page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
}

/// Functions that never fail: SQLite does not expect it, or asks for what need not be done.
macro_rules! harmless {
    ($($name:ident, $method:ident, ($($arg:ident: $ty:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $ty),*) -> c_int {
            // SAFETY: one of our files, and the rest as it came.
            unsafe {
                let (behind, methods) = real(file);
                methods.$method.unwrap()(behind, $($arg),*)
            }
        }
    )*};
}

harmless! {
    unlock, xUnlock, (level: c_int);
    file_control, xFileControl, (operation: c_int, argument: *mut c_void);
    sector_size, xSectorSize, ();
    device_characteristics, xDeviceCharacteristics, ();
    shm_unmap, xShmUnmap, (remove: c_int);
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    if flags & ffi::SQLITE_SHM_LOCK != 0 && fails("shm_lock") {
        return ffi::SQLITE_IOERR_SHMLOCK;
    }
    // SAFETY: one of our files, and the rest as it came.
    unsafe {
        let (behind, methods) = real(file);
        methods.xShmLock.unwrap()(behind, offset, count, flags)
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: one of our files.
    unsafe {
        let (behind, methods) = real(file);
        methods.xShmBarrier.unwrap()(behind);
    }
}
