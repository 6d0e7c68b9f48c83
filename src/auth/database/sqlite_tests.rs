//! The database, opened several times as by several processes.

use super::*;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

/// A directory, the file's path in it, and two that have it open.
fn two() -> (tempfile::TempDir, PathBuf, Database, Database) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deeper/credentials.sqlite");
    let (one, other) = (
        Database::open(&path).unwrap(),
        Database::open(&path).unwrap(),
    );
    (directory, path, one, other)
}

#[test]
fn keeps_accounts_for_all_who_have_the_file_open() {
    let (_directory, _path, writer, reader) = two();
    let before = reader.version().unwrap();
    let spool = Path::new("/srv/anna");
    writer
        .add(&name("anna"), "$hash", Some(spool), 100)
        .unwrap();
    assert_ne!(reader.version().unwrap(), before);
    assert!(matches!(
        writer.add(&name("Anna"), "$other", None, 101),
        Err(StoreError::Exists(_))
    ));
    let first = reader.find(&name("anna")).unwrap().unwrap();
    assert_eq!(
        (first.password_hash.as_str(), first.enabled, first.created),
        ("$hash", true, 100)
    );
    assert_eq!(first.spool.as_deref(), Some(spool));

    writer.set_password(&name("anna"), "$new", 200).unwrap();
    writer.set_enabled(&name("anna"), false, 300).unwrap();
    let second = reader.find(&name("anna")).unwrap().unwrap();
    assert_eq!(
        (
            second.password_hash.as_str(),
            second.enabled,
            second.changed
        ),
        ("$new", false, 300)
    );
    assert!(second.generation > first.generation);

    writer.remove(&name("anna")).unwrap();
    assert!(reader.find(&name("anna")).unwrap().is_none());
    assert!(matches!(
        writer.remove(&name("anna")),
        Err(StoreError::Unknown(_))
    ));
    writer.add(&name("anna"), "$again", None, 500).unwrap();
    assert!(
        reader.find(&name("anna")).unwrap().unwrap().generation > second.generation,
        "a generation came again"
    );
}

#[test]
fn capabilities_are_switched_one_by_one() {
    let (_directory, _path, writer, reader) = two();
    writer.add(&name("anna"), "$hash", None, 100).unwrap();
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let disabled = || reader.find(&name("anna")).unwrap().unwrap();
    assert!(disabled().disabled_capabilities.is_empty());
    for (off, on, left) in [
        (
            &["IDLE", "UTF8=ACCEPT"][..],
            &[][..],
            &["IDLE", "UTF8=ACCEPT"][..],
        ),
        (&["MOVE"], &["IDLE", "NEVER-OFF"], &["MOVE", "UTF8=ACCEPT"]),
        (&[], &["MOVE", "UTF8=ACCEPT"], &[]),
    ] {
        let before = disabled();
        writer
            .switch_capabilities(&name("anna"), &set(off), &set(on), 200)
            .unwrap();
        let after = disabled();
        assert_eq!(after.disabled_capabilities, set(left));
        assert!(after.generation > before.generation && after.changed == 200);
    }
    assert!(matches!(
        writer.switch_capabilities(&name("nobody"), &set(&["IDLE"]), &set(&[]), 300),
        Err(StoreError::Unknown(_))
    ));
}

#[test]
fn a_file_of_the_first_format_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute(
        "INSERT INTO users (name, password_hash, created, changed, generation) VALUES ('anna', '$hash', 1, 1, 1)",
        [],
    )
    .unwrap();
    drop(old);
    let database = Database::open(&path).unwrap();
    let record = database.find(&name("anna")).unwrap().unwrap();
    assert_eq!(record.password_hash, "$hash");
    assert!(record.disabled_capabilities.is_empty());
    let idle = BTreeSet::from(["IDLE".to_owned()]);
    database
        .switch_capabilities(&name("anna"), &idle, &BTreeSet::new(), 2)
        .unwrap();
    drop(database);
    let again = Database::open_existing(&path).unwrap();
    let record = again.find(&name("anna")).unwrap().unwrap();
    assert_eq!(record.disabled_capabilities, idle);
}

#[test]
fn tells_which_accounts_changed() {
    let (_directory, _path, writer, reader) = two();
    for user in ["anna", "bruno", "carla"] {
        writer.add(&name(user), "$hash", None, 100).unwrap();
    }
    let seen = reader.version().unwrap();
    assert!(reader.changed_since(seen.generation).unwrap().is_empty());
    writer.set_enabled(&name("bruno"), false, 200).unwrap();
    writer.remove(&name("carla")).unwrap();
    writer.add(&name("dora"), "$hash", None, 200).unwrap();
    let now = reader.version().unwrap();
    assert!(now.file == seen.file && now.generation > seen.generation);
    assert_eq!(
        reader.changed_since(seen.generation).unwrap(),
        [name("bruno"), name("carla"), name("dora")]
    );
    // removed again and again, a name is kept once
    for _ in 0..3 {
        writer.add(&name("carla"), "$hash", None, 300).unwrap();
        writer.remove(&name("carla")).unwrap();
    }
    let removed: i64 = lock(&reader.reader)
        .query_row("SELECT count(*) FROM removed", [], |row| row.get(0))
        .unwrap();
    assert_eq!(removed, 1);
}

#[test]
fn last_logins_and_hashes_made_anew_are_no_change() {
    let (_directory, _path, writer, reader) = two();
    writer.add(&name("anna"), "$old", None, 100).unwrap();
    let seen = reader.version().unwrap();
    writer
        .note_logins(&[(name("anna"), 400), (name("nobody"), 400)])
        .unwrap();
    writer.replace_hash(&name("anna"), "$old", "$new").unwrap();
    writer.replace_hash(&name("anna"), "$old", "$late").unwrap();
    assert_eq!(reader.version().unwrap(), seen);
    let record = reader.find(&name("anna")).unwrap().unwrap();
    assert_eq!(
        (record.last_login, record.password_hash.as_str()),
        (Some(400), "$new")
    );
}

#[test]
fn no_look_up_waits_for_a_write() {
    let (_directory, _path, writer, reader) = two();
    writer.add(&name("anna"), "$hash", None, 100).unwrap();
    let held = lock(&writer.writer);
    held.execute_batch("BEGIN EXCLUSIVE; UPDATE users SET enabled = 0;")
        .unwrap();
    assert!(writer.find(&name("anna")).unwrap().unwrap().enabled);
    assert!(reader.find(&name("anna")).unwrap().unwrap().enabled);
    held.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn only_its_owner_can_read_the_file_and_its_directory() {
    let (_directory, path, ..) = two();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn damage_and_newer_formats_are_errors_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.sqlite");
    File::create(&path).unwrap().write_all(&[7; 8192]).unwrap();
    assert!(matches!(
        Database::open(&path),
        Err(StoreError::Damaged { .. })
    ));
    let path = directory.path().join("newer.sqlite");
    drop(Database::open(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        Database::open(&path),
        Err(StoreError::TooNew { found: 99, .. })
    ));
    assert!(matches!(
        Database::open_existing(&directory.path().join("missing.sqlite")),
        Err(StoreError::File { .. })
    ));
}

#[test]
fn a_file_destroyed_under_us_never_makes_an_account_unknown() {
    let (_directory, path, database, other) = two();
    for number in 0..200 {
        let user = name(&format!("user{number}"));
        database.add(&user, &"$".repeat(200), None, 100).unwrap();
    }
    drop(other);
    lock(&database.writer)
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    // a reader that has cached nothing yet
    let database = Database::open_existing(&path).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(&vec![0xA5; usize::try_from(length).unwrap()])
        .unwrap();
    for number in 0..200 {
        let found = database.find(&name(&format!("user{number}")));
        assert!(
            !matches!(found, Ok(None)),
            "trouble looks like an unknown user"
        );
    }
}

#[test]
fn another_file_put_in_its_place_is_followed() {
    let (directory, path, database, other) = two();
    drop(other);
    database.add(&name("anna"), "$hash", None, 100).unwrap();
    let before = database.version().unwrap();
    let backup = directory.path().join("backup.sqlite");
    Database::open(&backup)
        .unwrap()
        .add(&name("bruno"), "$hash", None, 100)
        .unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut file = path.clone().into_os_string();
        file.push(suffix);
        std::fs::remove_file(file).unwrap();
    }
    std::fs::rename(&backup, &path).unwrap();
    let after = database.version().unwrap();
    assert_ne!(after.file, before.file);
    assert!(database.find(&name("bruno")).unwrap().is_some());
    assert!(database.find(&name("anna")).unwrap().is_none());

    // garbage in its place: the last good one goes on answering
    let garbage = directory.path().join("garbage");
    File::create(&garbage)
        .unwrap()
        .write_all(&[7; 8192])
        .unwrap();
    std::fs::rename(&garbage, &path).unwrap();
    assert!(database.version().is_err());
    assert!(database.find(&name("bruno")).unwrap().is_some());
}

#[test]
fn several_that_make_the_file_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.sqlite");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let database = Database::open(path).unwrap();
                for turn in 0..5 {
                    let user = name(&format!("user{number}.{turn}"));
                    database.add(&user, "$hash", None, 100).unwrap();
                }
            });
        }
    });
    let database = Database::open(&path).unwrap();
    assert_eq!(database.list().unwrap().len(), 20);
    assert_eq!(database.version().unwrap().generation, 20);
}

#[test]
fn many_may_make_the_file_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.sqlite");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    drop(Database::open(&path).unwrap());
                });
            }
        });
    }
}

#[test]
fn damage_of_a_part_is_found_and_the_rest_is_read() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.sqlite");
    let database = Database::open(&path).unwrap();
    let hash = "x".repeat(500);
    for n in 0..200 {
        let user = name(&format!("user{n:03}"));
        database.add(&user, &hash, None, 1).unwrap();
    }
    database.check().unwrap();
    drop(database);
    // the last page is one of many with accounts
    let file = File::options().write(true).open(&path).unwrap();
    let octets = file.metadata().unwrap().len();
    assert!(octets > 20 * 4096);
    file.write_all_at(&[0xa5; 4096], octets - 4096).unwrap();
    let database = Database::open(&path).unwrap();
    database.version().unwrap();
    let error = database.check().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let found = (0..200).filter(|n| database.find(&name(&format!("user{n:03}"))).is_ok());
    assert!((150..200).contains(&found.count()));
}
