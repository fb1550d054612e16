//! Journals that were made to lead SQLite astray, whatever their checksums say.

use super::*;

/// A rollback journal beside a run's journal, with the file that is to go with it: SQLite would play it back, so that
/// what is gone on with is not what was checked.
#[test]
fn no_rollback_journal_is_played_back() {
    let scene = Scene::new();
    let victim = scene.top.path().join("outside/file");
    let name = victim.to_str().unwrap().as_bytes();
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    // Its header, a sector long: no pages, of a database of one page, and the sizes of sectors and pages.
    let mut hot = magic.to_vec();
    for number in [0, 0, 1, 512, 4096] {
        hot.extend(u32::to_be_bytes(number));
    }
    hot.resize(512, 0);
    // The file that is to go with it, as SQLite writes it where a commit is one of several databases.
    hot.extend(u32::to_be_bytes(0x4000_0000 / 4096 + 1));
    hot.extend(name);
    hot.extend(u32::to_be_bytes(name.len() as u32));
    hot.extend(u32::to_be_bytes(name.iter().map(|byte| u32::from(*byte)).sum()));
    hot.extend(magic);
    fs::write(scene.path(".orderflow/runs/RUN/journal.db-journal"), hot).unwrap();
    let before = scene.outside();
    let journal = || fs::read(scene.path(".orderflow/runs/RUN/journal.db")).unwrap();
    let kept = journal();
    for command in ["show RUN", "resume --quiet RUN", "retry --quiet RUN", "cancel RUN"] {
        let (told, exit) = scene.say(command);
        assert!(scene.outside() == before && journal() == kept, "{command}: {told}");
        assert_eq!(exit, Some(7), "{command}: {told}");
        assert!(told.contains("a rollback journal of another program is next to it"), "{command}: {told}");
    }
}

/// Pages of a journal that lead to each other again and again: SQLite would read the names of its tables without end.
#[test]
fn pages_that_lead_to_each_other_are_no_tables() {
    const PAGE: usize = 4096;
    let scene = Scene::new();
    let database = scene.path(".orderflow/runs/RUN/journal.db");
    let lead = |page: &mut [u8], at: usize, children: &[u32]| {
        let (last, others) = children.split_last().unwrap();
        page[at] = 5;
        page[at + 3..at + 5].copy_from_slice(&(others.len() as u16).to_be_bytes());
        page[at + 5..at + 7].copy_from_slice(&((PAGE - 5 * others.len()) as u16).to_be_bytes());
        page[at + 8..at + 12].copy_from_slice(&last.to_be_bytes());
        for (index, child) in others.iter().enumerate() {
            let cell = PAGE - 5 * (index + 1);
            page[cell..cell + 4].copy_from_slice(&child.to_be_bytes());
            page[cell + 4] = 1;
            page[at + 12 + 2 * index..][..2].copy_from_slice(&(cell as u16).to_be_bytes());
        }
    };
    // A table of the schema as SQLite writes it, with an index; its second row again and again.
    let row = |rowid: u8, kind: &str, name: &str, root: u8, sql: &str| {
        let mut row = vec![0, rowid, 6];
        for text in [kind, name, "x"] {
            row.push(13 + 2 * text.len() as u8);
        }
        row.push(1);
        row.push(if sql.is_empty() { 0 } else { 13 + 2 * sql.len() as u8 });
        row.extend([kind, name, "x"].concat().bytes());
        row.push(root);
        row.extend(sql.bytes());
        row[0] = row.len() as u8 - 2;
        row
    };
    let leaf = |kind: u8, rows: &[Vec<u8>]| {
        let mut page = vec![0; PAGE];
        let mut end = PAGE;
        page[0] = kind;
        page[4] = rows.len() as u8;
        for (index, row) in rows.iter().enumerate() {
            end -= row.len();
            page[end..end + row.len()].copy_from_slice(row);
            page[8 + 2 * index..][..2].copy_from_slice(&(end as u16).to_be_bytes());
        }
        page[5..7].copy_from_slice(&(end as u16).to_be_bytes());
        page
    };
    let table = row(1, "table", "x", 2, "CREATE TABLE x(a UNIQUE)");
    let index = row(2, "index", "sqlite_autoindex_x_1", 3, "");
    let mut first = fs::read(&database).unwrap()[..100].to_vec();
    first.resize(PAGE, 0);
    let mut pages =
        vec![first, leaf(13, &[]), leaf(10, &[]), leaf(13, &[table, index.clone()]), leaf(13, &[index])];
    for child in 5..17 {
        let mut page = vec![0; PAGE];
        lead(&mut page, 0, &[child; 400]);
        pages.push(page);
    }
    lead(&mut pages[0], 100, &[4, 17]);
    let count = pages.len() as u32;
    pages[0][28..32].copy_from_slice(&count.to_be_bytes());
    for beside in ["-wal", "-shm"] {
        let _ = fs::remove_file(scene.path(&format!(".orderflow/runs/RUN/journal.db{beside}")));
    }
    fs::write(&database, pages.concat()).unwrap();
    for command in ["show RUN", "resume --explain RUN", "adopt --yes RUN", "resume RUN"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(7), "{command}: {told}");
        assert!(told.contains("is damaged: its tables are not those of a journal"), "{command}: {told}");
    }
    assert_eq!(scene.say("runs").1, Some(0));
}

/// Rows that share the pages of their texts: a small file would hold any amount to read and to hash.
#[test]
fn rows_are_not_larger_than_their_file() {
    use orderflow::event::{ItemEvent, ItemId};
    use orderflow::journal::{self, Journal, Record, Store};
    const PAGE: usize = 4096;
    let scene = Scene::new();
    let (header, _) = journal::read(&scene.run).unwrap();
    let database = scene.run.join("journal.db");
    // The table's only page, a leaf: its cells end with the page on which their texts go on. How much of a text lies in
    // its cell depends on its length.
    let made = (0..9).find_map(|more| {
        fs::remove_dir_all(&scene.run).unwrap();
        fs::create_dir(&scene.run).unwrap();
        let mut store = Store::create(&scene.run, &header).unwrap();
        let record = |item| {
            let key = "x".repeat(1_000_000 + 450 * more).into();
            Record::Event(ItemEvent::Retried { key, inputs: None, attempt: None }.of(ItemId(item), 1))
        };
        store.append(&[record(0), record(1), record(2)]).unwrap();
        store.tidy().unwrap();
        drop(store);
        let file = fs::read(&database).unwrap();
        let root =
            (0..file.len() / PAGE).map(|page| page * PAGE).find(|at| file[*at..at + 5] == [13, 0, 0, 0, 3]);
        root.map(|root| (file, root))
    });
    let (mut file, root) = made.expect("a leaf with three rows");
    let cell = |file: &[u8], row: usize| {
        let at = root + 8 + 2 * row;
        root + usize::from(u16::from_be_bytes([file[at], file[at + 1]]))
    };
    // Cells are laid down from the page's end on, one after the other.
    let ends = [root + PAGE, cell(&file, 0), cell(&file, 1)];
    let first: [u8; 4] = file[ends[0] - 4..ends[0]].try_into().unwrap();
    let second = u32::from_be_bytes(file[ends[1] - 4..ends[1]].try_into().unwrap()) as usize;
    for end in &ends[1..] {
        file[end - 4..*end].copy_from_slice(&first);
    }
    // The pages of the other rows are not needed any more.
    file.truncate((second - 1) * PAGE);
    file[28..32].copy_from_slice(&((second - 1) as u32).to_be_bytes());
    fs::write(&database, file).unwrap();
    for command in ["show RUN", "resume --explain RUN", "adopt --yes RUN"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(7), "{command}: {told}");
        assert!(told.contains("is damaged at row 2: its rows are larger than its file"), "{command}: {told}");
    }
}
