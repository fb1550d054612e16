//! Every kind of file at every door: what is no regular file of ours is refused at once, and nothing outside changes.

use super::{Folder, Kind, Named, Target, real};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// A folder with one entry of each kind, and a file outside that must stay as it is.
fn places() -> (TempDir, Folder) {
    let top = tempfile::tempdir().unwrap();
    let inside = top.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(top.path().join("outside"), "untouched").unwrap();
    fs::write(inside.join("file"), "content").unwrap();
    fs::create_dir(inside.join("folder")).unwrap();
    symlink("../outside", inside.join("link")).unwrap();
    symlink("nowhere", inside.join("dangling")).unwrap();
    symlink("file", inside.join("within")).unwrap();
    symlink("/dev/zero", inside.join("device")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    fs::hard_link(top.path().join("outside"), inside.join("hard")).unwrap();
    let pipe = std::ffi::CString::new(inside.join("pipe").to_str().unwrap()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let folder = Folder::open(&inside).unwrap();
    (top, folder)
}

const REFUSED: [&str; 8] = ["folder", "link", "dangling", "within", "device", "up", "hard", "pipe"];

fn untouched(top: &TempDir) {
    assert_eq!(fs::read_to_string(top.path().join("outside")).unwrap(), "untouched");
    assert!(!top.path().join("inside/nowhere").exists());
}

#[test]
fn only_regular_files_are_opened() {
    let (top, folder) = places();
    for name in REFUSED {
        assert!(folder.open_file(name).is_err(), "{name}");
        assert!(folder.open_or_create(name).is_err(), "{name}");
        assert!(folder.create_new(name).is_err(), "{name}");
        assert!(folder.read(name, 100).is_err(), "{name}");
        assert!(folder.check(name, true).is_err(), "{name}");
    }
    assert_eq!(folder.read("file", 100).unwrap().unwrap(), b"content");
    assert_eq!(folder.read("file", 6).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert!(folder.read("missing", 100).unwrap().is_none());
    untouched(&top);
}

#[test]
fn names_are_no_paths() {
    let (_top, folder) = places();
    for name in ["../outside", "folder/x", "..", ".", "/etc/passwd", "", "file/"] {
        assert_eq!(folder.open_file(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        assert!(folder.remove(name).is_err() && folder.remove_all(name).is_err(), "{name:?}");
        assert!(folder.replace(name, b"x").is_err() && folder.make(name).is_err(), "{name:?}");
    }
}

#[test]
fn folders_are_opened_without_following_links() {
    let (top, folder) = places();
    for name in ["file", "link", "dangling", "device", "up", "hard", "pipe"] {
        assert!(folder.folder(name).is_err() && folder.make(name).is_err(), "{name}");
    }
    let below = folder.make("folder").unwrap();
    assert_eq!(below.path(), real(top.path()).unwrap().join("inside/folder"));
    untouched(&top);
}

#[test]
fn what_is_replaced_is_the_name_and_not_what_it_leads_to() {
    for name in ["file", "link", "dangling", "within", "device", "up", "hard", "pipe"] {
        let (top, folder) = places();
        folder.replace(name, b"new").unwrap();
        assert_eq!(folder.read(name, 100).unwrap().unwrap(), b"new", "{name}");
        assert_eq!(folder.kind(name).unwrap(), Some(Kind::File), "{name}");
        untouched(&top);
        assert_eq!(folder.entries().unwrap().len(), 9, "no draft is left");
    }
}

#[test]
fn what_is_removed_is_the_name_and_not_what_it_leads_to() {
    let (top, folder) = places();
    symlink(top.path(), folder.path().join("folder/out")).unwrap();
    for name in REFUSED {
        folder.remove_all(name).unwrap();
        assert_eq!(folder.kind(name).unwrap(), None, "{name}");
    }
    untouched(&top);
}

#[test]
fn what_a_document_names_must_not_lead_out_by_links() {
    let (top, folder) = places();
    let named = |path: &str| Named::by_document(folder.path(), Path::new(path)).read(1000);
    for name in ["link", "dangling", "device", "pipe", "up/outside", "folder", "/dev/zero", "/dev/tty"] {
        assert!(named(name).is_err(), "{name}");
    }
    assert_eq!(named("link").unwrap_err().kind(), ErrorKind::PermissionDenied);
    // A link within, and a way out that can be read in the document itself.
    assert_eq!(named("within").unwrap(), b"content");
    assert_eq!(named("./file").unwrap(), b"content");
    assert_eq!(named("../outside").unwrap(), b"untouched");
    assert_eq!(named(".././inside/../outside").unwrap(), b"untouched");
    // A `..` in a path that stays, or comes back, hides no link that leads further out.
    for name in ["folder/../link", "./folder/../link", "folder/../../outside", "folder/../up/outside"] {
        assert_eq!(named(name).unwrap_err().kind(), ErrorKind::PermissionDenied, "{name}");
    }
    symlink("/etc/passwd", folder.path().join("far")).unwrap();
    assert_eq!(named("../inside/far").unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(named("folder/../within").unwrap(), b"content");
    assert_eq!(Named::by_user(folder.path().join("link")).read(1000).unwrap(), b"untouched");
    untouched(&top);
}

#[test]
fn only_a_file_is_replaced_where_nobody_named_it() {
    let (top, folder) = places();
    let write = |target: Target| target.write(|file| file.write_all(b"trace"));
    for name in ["link", "dangling", "device", "pipe", "folder", "up"] {
        assert!(Target::unnamed(&folder.path().join(name)).is_err(), "{name}");
    }
    write(Target::unnamed(&folder.path().join("hard")).unwrap()).unwrap();
    write(Target::unnamed(&folder.path().join("fresh")).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("fresh")).unwrap(), "trace");
    untouched(&top);
    write(Target::of(&folder.path().join("link")).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(top.path().join("outside")).unwrap(), "trace", "the user named it");
}

#[test]
fn a_sparse_file_without_end_is_not_read() {
    let (_top, folder) = places();
    let huge = fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert_eq!(folder.read("huge", 1 << 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
    let named = Named::by_document(folder.path(), Path::new("huge"));
    assert_eq!(named.read(1 << 20).unwrap_err().to_string(), "larger than 1 MiB");
}

#[test]
fn what_another_user_owns_is_refused() {
    let (_top, folder) = places();
    let theirs = folder.path().join("file");
    if std::os::unix::fs::chown(&theirs, Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give a file to another user");
        return;
    }
    let refused = folder.open_file("file").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("ORDERFLOW_OWNERS=65534 accepts what is theirs"), "{refused}");
    assert!(folder.check("file", false).is_err() && !folder.owns("file"));
    std::os::unix::fs::chown(folder.path().join("folder"), Some(65_534), None).unwrap();
    assert!(folder.folder("folder").is_err() && folder.make("folder").is_err());
}

/// Each of eight threads adds its line to what it has read, as often as it comes too late.
#[test]
fn of_several_exchanges_at_once_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.md");
    std::fs::write(&path, "").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for line in 0..20 {
                    loop {
                        let old = std::fs::read_to_string(path).unwrap();
                        if super::exchange(path, &old, &format!("{old}{thread}.{line}\n")).unwrap() {
                            break;
                        }
                    }
                }
            });
        }
    });
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: std::collections::BTreeSet<&str> = text.lines().collect();
    assert_eq!((text.lines().count(), lines.len()), (160, 160));
}

/// A file of a repository or an archive may be larger than the disk, and is copied as fast as what it holds.
#[test]
fn holes_stay_holes_in_a_copy() {
    let top = tempfile::tempdir().unwrap();
    let (from, to) = (top.path().join("from"), top.path().join("to"));
    let file = fs::File::create(&from).unwrap();
    file.set_len(1 << 36).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", 1 << 35).unwrap();
    if file.metadata().unwrap().blocks() > 1 << 12 {
        eprintln!("skipped: this file system has no holes");
        return;
    }
    super::copy(&fs::File::open(&from).unwrap(), &fs::File::create(&to).unwrap()).unwrap();
    let copied = fs::File::open(&to).unwrap();
    let read = |at: u64, bytes: &mut [u8]| copied.read_exact_at(bytes, at).unwrap();
    let (mut begin, mut middle) = ([0; 6], [0; 7]);
    read(0, &mut begin);
    read(1 << 35, &mut middle);
    assert_eq!((&begin, &middle), (b"begin\0", b"middle\0"));
    let about = copied.metadata().unwrap();
    assert!(about.len() == 1 << 36 && about.blocks() < 1 << 12, "{} blocks", about.blocks());

    let whole: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
    fs::write(&from, &whole).unwrap();
    super::copy(&fs::File::open(&from).unwrap(), &fs::File::create(&to).unwrap()).unwrap();
    assert!(fs::read(&to).unwrap() == whole);
}
