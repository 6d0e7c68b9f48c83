//! The file of a UID list, in real directories.

use super::*;
use std::io::Write as _;

const TIMEOUT: Duration = Duration::from_secs(5);

fn record(base: &str) -> NewRecord<'_> {
    NewRecord {
        base: base.as_bytes(),
        fields: b"",
    }
}

fn values(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.value()).collect()
}

/// A directory with a list of one message, and the list as one process has it.
fn begun() -> (tempfile::TempDir, UidListFile, Ownership) {
    let directory = tempfile::tempdir().unwrap();
    let like = Ownership::of(directory.path()).unwrap();
    let mut file = UidListFile::new(directory.path());
    assert_eq!(file.look().unwrap(), Look::Missing);
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    locked
        .create(&UidList::new(UidValidity::new(77).unwrap(), [1; 16]))
        .unwrap();
    assert_eq!(values(&locked.append([record("a")]).unwrap()), [1]);
    drop(locked);
    (directory, file, like)
}

#[test]
fn what_was_forgotten_is_on_disk_still() {
    let (directory, mut file, like) = begun();
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    let sized = NewRecord {
        base: b"b",
        fields: b"W12",
    };
    locked.append([sized, record("c")]).unwrap();
    drop(locked);
    file.forget_plain();
    let list = file.list().unwrap();
    assert_eq!((list.len(), list.records().len()), (3, 1));
    assert!(list.lacks(0) && list.lacks(2) && !list.lacks(3));
    // another process adds, which is read on
    let mut second = UidListFile::new(directory.path());
    let mut locked = second.lock(&like, TIMEOUT).unwrap();
    assert_eq!(values(&locked.append([record("d")]).unwrap()), [4]);
    drop(locked);
    assert_eq!(file.look().unwrap(), Look::Grown { from: 3 });
    let added: Vec<_> = file.list().unwrap().records_after(3).collect();
    assert_eq!((added.len(), added[0].base), (1, &b"d"[..]));
    file.forget_plain();
    assert_eq!(file.list().unwrap().records_after(4).len(), 0);
    // a rewrite has them all
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    locked.rewrite(|_| Edit::Keep).unwrap();
    drop(locked);
    let bases: Vec<_> = file
        .list()
        .unwrap()
        .records()
        .map(|record| (record.base.to_vec(), record.fields().to_vec()))
        .collect();
    let expected = [("a", ""), ("b", "W12"), ("c", ""), ("d", "")];
    assert_eq!(
        bases,
        expected.map(|(base, fields)| (base.into(), fields.into()))
    );
}

#[test]
fn two_processes_never_give_one_uid_twice() {
    let (directory, mut first, like) = begun();
    let mut second = UidListFile::new(directory.path());
    assert_eq!(second.look().unwrap(), Look::Replaced);
    assert_eq!(
        values(
            &second
                .lock(&like, TIMEOUT)
                .unwrap()
                .append([record("b"), record("c")])
                .unwrap()
        ),
        [2, 3]
    );
    let mut locked = first.lock(&like, TIMEOUT).unwrap();
    assert_eq!(locked.look(), &Look::Grown { from: 1 });
    assert_eq!(values(&locked.append([record("d")]).unwrap()), [4]);
    locked
        .rewrite(|record| {
            if record.base == b"a" {
                Edit::Drop
            } else {
                Edit::Keep
            }
        })
        .unwrap();
    drop(locked);
    assert_eq!(second.look().unwrap(), Look::Replaced);
    assert_eq!(second.list().unwrap().len(), 3);
    assert_eq!(second.look().unwrap(), Look::Unchanged);
    assert_eq!(second.list().unwrap().uid_next().map(Uid::value), Some(5));
}

#[test]
fn a_line_cut_off_is_left_alone_and_its_uid_not_given_again() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    let mut dying = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    dying.write_all(b"2 :b").unwrap();
    assert_eq!(file.look().unwrap(), Look::Unchanged);
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    assert_eq!(values(&locked.append([record("c")]).unwrap()), [3]);
}

#[test]
fn what_others_add_without_the_lock_is_seen() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    let add = |line: &[u8]| {
        let mut list = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        list.write_all(line).unwrap();
    };
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    add(b"8 :other\n9 :others\n");
    let error = locked.append([record("b")]).unwrap_err();
    assert!(error.to_string().contains("without its lock"), "{error}");
    assert_eq!(values(&locked.append([record("b")]).unwrap()), [10]);
    // after the lines that are ours
    let given = locked.append_with([record("c")], |_| {
        add(b"12 :d\n");
        Ok(())
    });
    assert_eq!(values(&given.unwrap()), [11]);
    drop(locked);
    assert_eq!(file.look().unwrap(), Look::Grown { from: 5 });
    // nothing that could not be synced is known
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    let failed = locked.append_with([record("e")], |_| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    let list = locked.list().unwrap();
    assert_eq!(list.uid_next().map(Uid::value), Some(13));
    drop(locked);
    let mut second = UidListFile::new(directory.path());
    for file in [&mut file, &mut second] {
        assert_ne!(file.look().unwrap(), Look::Missing);
        let list = file.list().unwrap();
        let bases: Vec<_> = list.records().map(|record| record.base).collect();
        assert_eq!(bases, [&b"a"[..], b"other", b"others", b"b", b"c", b"d"]);
    }
}

#[test]
fn damage_is_mended_and_a_copy_kept() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"rubbish\n5 :e\n")
        .unwrap();
    let mut locked = file.lock(&like, TIMEOUT).unwrap();
    assert!(locked.wants_rewrite(2));
    locked.rewrite(|_| Edit::Keep).unwrap();
    assert!(!locked.wants_rewrite(2));
    drop(locked);
    assert_eq!(file.list().unwrap().uid_validity().value(), 77);
    assert_eq!(file.list().unwrap().len(), 2);
    let copy = std::fs::read(directory.path().join("dovecot-uidlist.damaged")).unwrap();
    assert!(copy.windows(7).any(|window| window == b"rubbish"));
}

#[test]
fn another_file_of_the_same_length_or_longer_is_noticed() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    durable::replace(
        &path,
        b"3 V78 N2 G01010101010101010101010101010101\n1 :x\n2 :y\n",
        &like,
    )
    .unwrap();
    assert_eq!(file.look().unwrap(), Look::Replaced);
    assert_eq!(file.list().unwrap().uid_validity().value(), 78);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file.look().unwrap(), Look::Missing);
    assert!(file.list().is_none());
}

#[test]
fn a_header_that_is_damaged_later_keeps_uidvalidity() {
    let (directory, mut file, like) = begun();
    durable::replace(
        &directory.path().join("dovecot-uidlist"),
        b"garbage\n1 :a\n",
        &like,
    )
    .unwrap();
    assert_eq!(file.look().unwrap(), Look::Replaced);
    assert_eq!(file.list().unwrap().uid_validity().value(), 77);
}

#[test]
fn a_damaged_header_keeps_uidvalidity_over_a_restart() {
    for text in [
        &b"garbage\n1 :a\n"[..],
        b"3 V7\x17 N9 G\n1 :a\n",
        b"",
        b"3 V77",
    ] {
        let (directory, _, like) = begun();
        let path = directory.path().join("dovecot-uidlist");
        durable::replace(&path, text, &like).unwrap();
        let mut later = UidListFile::new(directory.path());
        assert_eq!(later.look().unwrap(), Look::Replaced, "{text:?}");
        let list = later.list().unwrap();
        assert_eq!(list.uid_validity().value(), 77);
        assert_eq!(list.guid(), Some([1; 16]));
        let mut locked = later.lock(&like, TIMEOUT).unwrap();
        assert!(locked.wants_rewrite(1));
        let given = values(&locked.append([record("new")]).unwrap());
        assert!(
            given[0] > 100_000,
            "{given:?}: UIDs of lost records may be told"
        );
        locked.rewrite(|_| Edit::Keep).unwrap();
        drop(locked);
        let mut last = UidListFile::new(directory.path());
        last.look().unwrap();
        assert!(!last.damaged);
    }
    let (directory, _, like) = begun();
    durable::replace(
        &directory.path().join("dovecot-uidlist"),
        b"garbage\n",
        &like,
    )
    .unwrap();
    std::fs::remove_file(directory.path().join("restante-uidlist-header")).unwrap();
    assert!(
        UidListFile::new(directory.path()).look().is_err(),
        "without any knowledge it is an error, never a new UIDVALIDITY"
    );
}

#[test]
fn a_list_that_was_removed_is_made_again_with_its_guid() {
    let (directory, mut file, like) = begun();
    std::fs::remove_file(directory.path().join("dovecot-uidlist")).unwrap();
    assert_eq!(file.look().unwrap(), Look::Missing);
    let (list, _) = UidList::parse(b"3 V77 N1\n".to_vec(), None).unwrap();
    file.lock(&like, TIMEOUT).unwrap().create(&list).unwrap();
    let list = file.list().unwrap();
    assert_eq!(list.guid(), Some([1; 16]));
    assert_eq!(list.uid_next().map(Uid::value), Some(2));
}

#[test]
fn the_next_uid_never_falls_while_uidvalidity_stays() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    let more: Vec<NewRecord<'_>> = ["b", "c", "d"].iter().map(|b| record(b)).collect();
    file.lock(&like, TIMEOUT).unwrap().append(more).unwrap();
    durable::replace(
        &path,
        b"3 V77 N1 G01010101010101010101010101010101\n1 :a\n",
        &like,
    )
    .unwrap();
    file.look().unwrap();
    assert_eq!(file.list().unwrap().uid_next().map(Uid::value), Some(5));
    durable::replace(&path, b"3 V78 N1\n1 :a\n", &like).unwrap();
    file.look().unwrap();
    assert_eq!(file.list().unwrap().uid_next().map(Uid::value), Some(2));
}

#[test]
fn a_change_in_place_is_noticed() {
    let (directory, mut file, like) = begun();
    let path = directory.path().join("dovecot-uidlist");
    let many = vec![record("0000000"); 200];
    file.lock(&like, TIMEOUT).unwrap().append(many).unwrap();
    let text = std::fs::read(&path).unwrap();
    // in the middle, far from both ends
    let middle = text.len() / 2;
    let name = middle
        + text[middle..]
            .windows(7)
            .position(|window| window == b"0000000")
            .unwrap();
    let handle = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let before = handle.metadata().unwrap().modified().unwrap();
    handle.write_all_at(b"1111111", name as u64).unwrap();
    handle
        .set_modified(before + Duration::from_secs(1))
        .unwrap();
    assert_eq!(file.look().unwrap(), Look::Replaced);
    let changed = file.list().unwrap().records();
    assert_eq!(
        changed.filter(|record| record.base == b"1111111").count(),
        1
    );
}
