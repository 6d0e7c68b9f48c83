//! The index in SQLite: what is remembered, and when it is not believed.

use super::sqlite::{Databases, MAX_OPEN, REST_AFTER};
use super::{
    Delta, Found, Index, Key, Record, StatusNote, Unavailable, Version, What, encode, now,
};
use crate::mailbox::flag::{Flags, SystemFlag};
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::{Counts, Messages};
use crate::mailbox::notes::{Kind, Page, PageNumber};
use rusqlite::Connection;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SEEN: Flags = Flags::NONE.with(SystemFlag::Seen);

const KEY: Key = Key {
    guid: [7; 16],
    uid_validity: match UidValidity::new(1000) {
        Some(value) => value,
        None => panic!("not zero"),
    },
    directory: 99,
};

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

/// A directory for the index, and an account's place.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn databases(&self) -> Databases {
        Databases::new(&self.0.path().join("index")).unwrap()
    }

    fn account(&self) -> PathBuf {
        PathBuf::from("/var/mail/anna")
    }

    fn file(&self) -> PathBuf {
        self.databases().path(&self.account())
    }

    /// Remembers a mailbox of three messages; the version of it.
    fn remember(&self, databases: &Databases) -> Version {
        let messages = three();
        let whole = |found, wants_whole| {
            assert!(matches!(found, Found::Nothing) && wants_whole);
            Record::Whole(encode(&messages))
        };
        change(databases, &self.account(), None, whole)
            .unwrap()
            .unwrap()
    }

    /// True if there is nothing new for somebody who knows this version.
    fn is_current(&self, databases: &Databases, known: Version) -> bool {
        let mut is_current = false;
        change(databases, &self.account(), Some(known), |found, _| {
            is_current = matches!(found, Found::Missed(missed) if missed.is_empty());
            Record::Nothing
        })
        .unwrap();
        is_current
    }

    /// What is remembered, as somebody hears who knows nothing: the highest mod-sequence, if it is.
    fn remembered(&self, databases: &Databases) -> Option<ModSeq> {
        let mut highest = None;
        change(databases, &self.account(), None, |found, _| {
            if let Found::Whole(remembered) = found {
                highest = Some(remembered.highest_mod_seq);
            }
            Record::Nothing
        })
        .unwrap();
        highest
    }
}

/// Three messages, the last change being 101.
fn three() -> Messages {
    let mut messages = Messages::new(KEY.uid_validity, uid(1), ModSeq(100));
    messages.arrive((1..=3).map(|n| (uid(n), Flags::NONE, None)));
    messages
}

fn change(
    databases: &Databases,
    account: &Path,
    known: Option<Version>,
    change: impl FnOnce(Found, bool) -> Record,
) -> super::Result<Option<Version>> {
    let mut change = Some(change);
    databases.change(account, &KEY, known, &mut |found, wants_whole| {
        change.take().unwrap()(found, wants_whole)
    })
}

#[test]
fn who_knows_a_version_hears_of_what_came_after_it() {
    let place = Place::new();
    let (one, other) = (place.databases(), place.databases());
    let first = place.remember(&one);
    let mut messages = three();
    messages.set_flags([(uid(2), SEEN)]);
    messages.expunge(&[uid(3)].into_iter().collect());
    let deltas = Delta::since(&messages, ModSeq(101)).unwrap();
    let second = change(&one, &place.account(), Some(first), |found, wants_whole| {
        assert!(matches!(found, Found::Missed(missed) if missed.is_empty()));
        assert!(!wants_whole);
        Record::Deltas(deltas.clone())
    });
    let second = second.unwrap().unwrap();
    let heard = change(&other, &place.account(), Some(first), |found, _| {
        assert!(matches!(found, Found::Missed(missed) if missed == deltas));
        Record::Nothing
    });
    assert_eq!(heard, Ok(Some(second)));
    assert_eq!(place.remembered(&other), Some(ModSeq(103)));
}

#[test]
fn the_whole_is_written_anew_when_there_are_many_changes() {
    let place = Place::new();
    let databases = place.databases();
    let mut known = place.remember(&databases);
    let mut messages = three();
    let mut written = Vec::new();
    for n in 0..2500 {
        let since = messages.highest_mod_seq();
        messages.set_flags([(uid(2), if n % 2 == 0 { SEEN } else { Flags::NONE })]);
        let next = change(
            &databases,
            &place.account(),
            Some(known),
            |_, wants_whole| {
                if wants_whole {
                    written.push(n);
                    return Record::Whole(encode(&messages));
                }
                Record::Deltas(Delta::since(&messages, since).unwrap())
            },
        );
        known = next.unwrap().unwrap();
    }
    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(
        place.remembered(&place.databases()),
        Some(messages.highest_mod_seq())
    );
}

#[test]
fn it_is_believed_after_an_orderly_end_and_in_the_same_run_of_the_machine() {
    let place = Place::new();
    place.remember(&place.databases());
    let written_in = || -> String {
        Connection::open(place.file())
            .unwrap()
            .query_row("SELECT boot FROM about", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(written_in(), "");
    assert_eq!(place.remembered(&place.databases()), Some(ModSeq(101)));
    // a process that is killed says nothing
    let killed = place.databases();
    let known = place.remember_more(&killed);
    let next = place.databases();
    assert!(place.is_current(&next, known));
    std::mem::forget(killed);
    assert_ne!(written_in(), "");
    // what the last turn of a process that is dead did may be missing: told once to whoever asks first
    let boot = written_in().split(' ').next().unwrap().to_owned();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    Connection::open(place.file())
        .unwrap()
        .execute(
            "UPDATE about SET boot = ?1",
            [format!("{boot} {} 1", dead.id())],
        )
        .unwrap();
    let last = place.databases();
    for may_lack in [true, false] {
        change(&last, &place.account(), None, |found, _| {
            assert!(matches!(found, Found::Whole(remembered) if remembered.may_lack == may_lack));
            Record::Nothing
        })
        .unwrap();
    }
}

impl Place {
    /// One change more.
    fn remember_more(&self, databases: &Databases) -> Version {
        let delta = Delta {
            mod_seq: ModSeq(500),
            uid_next: uid(4),
            what: What::Set(vec![(uid(1), SEEN)]),
            keywords: Default::default(),
        };
        let changed = change(databases, &self.account(), None, |found, _| {
            assert!(matches!(found, Found::Whole(_)));
            Record::Deltas(vec![delta])
        });
        changed.unwrap().unwrap()
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damage need not be durable")]
fn what_a_power_cut_or_a_restored_copy_left_is_not_believed() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 5] = [
        ("power cut", |file| {
            let connection = Connection::open(file).unwrap();
            connection
                .execute("UPDATE about SET boot = 'before'", [])
                .unwrap();
        }),
        ("copy", |file| {
            let copy = file.with_extension("copy");
            fs::write(&copy, fs::read(file).unwrap()).unwrap();
            fs::rename(copy, file).unwrap();
        }),
        ("newer format", |file| {
            let connection = Connection::open(file).unwrap();
            connection.pragma_update(None, "user_version", 4).unwrap();
        }),
        ("no database", |file| fs::write(file, [7; 8192]).unwrap()),
        ("no rows", |file| {
            let connection = Connection::open(file).unwrap();
            connection.execute("DELETE FROM change", []).unwrap();
        }),
    ];
    for (name, spoil) in spoils {
        let place = Place::new();
        place.remember(&place.databases());
        place.remember_more(&place.databases());
        spoil(&place.file());
        let databases = place.databases();
        assert_eq!(place.remembered(&databases), None, "{name}");
        // and it is of use again
        place.remember(&databases);
        assert_eq!(
            place.remembered(&place.databases()),
            Some(ModSeq(101)),
            "{name}"
        );
    }
}

#[test]
fn another_mailbox_of_the_same_guid_has_its_own_record() {
    let place = Place::new();
    let databases = place.databases();
    place.remember(&databases);
    let copy = Key {
        directory: 98,
        ..KEY
    };
    assert_eq!(databases.status(&place.account(), &copy), Ok(None));
    let heard = databases.change(&place.account(), &copy, None, &mut |found, _| {
        assert!(matches!(found, Found::Nothing));
        Record::Nothing
    });
    assert_eq!(heard, Ok(None));
}

#[test]
fn notes_for_status_go_with_the_mailbox() {
    let place = Place::new();
    let databases = place.databases();
    place.remember(&databases);
    let note = StatusNote {
        disk: b"stamps".to_vec(),
        counts: Counts {
            messages: 3,
            unseen: 2,
            deleted: 1,
            recent: 0,
        },
        uid_next: uid(4),
        size: Some(0),
    };
    let account = place.account();
    assert_eq!(databases.status(&account, &KEY), Ok(None));
    databases.note_status(&account, &KEY, &note).unwrap();
    assert_eq!(
        databases.status(&account, &KEY),
        Ok(Some((note, ModSeq(101))))
    );
    databases.forget(&account, &KEY.guid).unwrap();
    assert_eq!(databases.status(&account, &KEY), Ok(None));
}

#[test]
fn a_database_that_is_held_is_done_without() {
    let place = Place::new();
    let databases = place.databases();
    let known = place.remember(&databases);
    let holder = Connection::open(place.file()).unwrap();
    holder.busy_timeout(Duration::from_secs(60)).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = change(&databases, &place.account(), Some(known), |_, _| {
        panic!("run without the database")
    });
    assert_eq!(refused, Err(Unavailable));
    holder.execute_batch("ROLLBACK").unwrap();
    // it is left alone for a while, but nothing is lost
    let left_alone = change(&databases, &place.account(), Some(known), |_, _| {
        panic!("tried at once")
    });
    assert_eq!(left_alone, Err(Unavailable));
    assert!(place.is_current(&place.databases(), known));
}

#[test]
fn what_a_turn_did_is_taken_back_when_it_cannot_be_ended() {
    let place = Place::new();
    let databases = place.databases();
    let first = place.remember(&databases);
    assert!(place.is_current(&place.databases(), first));
    let second = place.remember_more(&databases);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        change(&databases, &place.account(), Some(second), |_, _| {
            panic!("amid a change")
        })
    }));
    panicked.unwrap_err();
    // if the first turn was over before, it was ended; else all that was told is given up, so that mod-sequences begin above it
    let remembered = place.remembered(&databases);
    assert!(
        matches!(remembered, None | Some(ModSeq(500))),
        "{remembered:?}"
    );
    assert_eq!(place.remembered(&place.databases()), remembered);
}

#[test]
fn changes_of_several_mailboxes_are_ended_together() {
    let place = Place::new();
    let (databases, other) = (place.databases(), place.databases());
    let keys: Vec<Key> = (0..20)
        .map(|n| Key {
            guid: [n; 16],
            ..KEY
        })
        .collect();
    let mut messages = three();
    let mut known: Vec<Option<Version>> = Vec::new();
    let write = |databases: &Databases, key: &Key, known: Option<Version>, record: Record| {
        let mut record = Some(record);
        databases
            .change(&place.account(), key, known, &mut |_, _| {
                record.take().unwrap()
            })
            .unwrap()
    };
    for key in &keys {
        let whole = Record::Whole(encode(&messages));
        known.push(write(&databases, key, None, whole));
    }
    for round in 0..10 {
        let since = messages.highest_mod_seq();
        messages.set_flags([(uid(2), if round % 2 == 0 { SEEN } else { Flags::NONE })]);
        for (key, known) in keys.iter().zip(&mut known) {
            let deltas = Delta::since(&messages, since).unwrap();
            *known = write(&databases, key, *known, Record::Deltas(deltas));
        }
    }
    for (key, known) in keys.iter().zip(&known) {
        let mut heard = None;
        let now = other.change(&place.account(), key, None, &mut |found, _| {
            heard = Some(found);
            Record::Nothing
        });
        assert_eq!(now, Ok(*known));
        let Some(Found::Whole(remembered)) = heard else {
            panic!("nothing remembered")
        };
        assert_eq!(remembered.highest_mod_seq, messages.highest_mod_seq());
    }
}

#[test]
fn few_databases_are_open_at_a_time() {
    let place = Place::new();
    let databases = place.databases();
    let messages = three();
    let account = |n: usize| PathBuf::from(format!("/var/mail/user{n}"));
    for n in (0..300).chain(0..300) {
        change(&databases, &account(n), None, |_, _| {
            Record::Whole(encode(&messages))
        })
        .unwrap();
    }
    let open = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| {
            target.starts_with(place.0.path())
                && target.extension().is_some_and(|end| end == "sqlite")
        })
        .count();
    // one more is being opened, and the thread that ends turns may have one in its hands
    assert!((1..=MAX_OPEN + 2).contains(&open), "{open}");
    // those that were opened again are not looked after twice
    assert!(databases.rests() <= 300, "{}", databases.rests());
    // the others rest, and are closed in order at the end
    let written_in = || -> Vec<String> {
        let read = |n| {
            let file = Connection::open(databases.path(&account(n))).unwrap();
            file.query_row("SELECT boot FROM about", [], |row| row.get(0))
                .unwrap()
        };
        (0..300).map(read).collect()
    };
    assert!(written_in().iter().all(|boot| !boot.is_empty()));
    databases.close();
    assert!(written_in().iter().all(String::is_empty));
}

#[test]
fn one_that_nobody_has_used_for_a_while_rests_and_is_closed_in_order_at_the_end() {
    let place = Place::new();
    let databases = place.databases();
    let known = place.remember(&databases);
    let rest = |at: Instant| {
        let slot = databases.slot(&place.account());
        slot.lock().unwrap().rest(at)
    };
    let used = now();
    let due = rest(used).unwrap();
    assert!(used < due && due <= used + REST_AFTER);
    let state = || {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let mut open = files.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let is_open = open.any(|target| target == place.file());
        let written_in: String = Connection::open(place.file())
            .unwrap()
            .query_row("SELECT boot FROM about", [], |row| row.get(0))
            .unwrap();
        (is_open, written_in.is_empty())
    };
    assert_eq!(rest(used + REST_AFTER), None);
    assert_eq!(state(), (false, false));
    // it is opened again, and nothing is lost
    assert!(place.is_current(&databases, known));
    assert!(state().0);
    let known = place.remember_more(&databases);
    assert_eq!(rest(now() + REST_AFTER), None);
    assert_eq!(state(), (false, false));
    databases.close();
    assert_eq!(state(), (false, true));
    assert!(place.is_current(&place.databases(), known));
}

#[test]
fn names_of_databases_tell_the_account() {
    let place = Place::new();
    let name = |account: &str| {
        let path = place.databases().path(Path::new(account));
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert!(
        name("/var/mail/example.org/anna/Maildir")
            .starts_with("var-mail-example.org-anna-Maildir-")
    );
    assert_ne!(name("/a/b"), name("/a-b"));
    assert!(name(&format!("/{}", "ä/".repeat(1000))).len() < 150);
}

#[test]
fn notes_are_kept_as_long_as_there_are_messages() {
    let place = Place::new();
    let databases = place.databases();
    let account = place.account();
    let page = |number, note: &[u8]| {
        let id = (Kind::Envelope, PageNumber::new(number));
        let page = Page::default().with([(uid(number * 64 + 1), note)]);
        (id, Arc::new(page))
    };
    let pages = [page(0, b"a"), page(5, b"b"), page(9, b"c")];
    // nothing is remembered of the mailbox, so nothing is noted about it
    databases.keep_notes(&account, &KEY, &pages).unwrap();
    assert_eq!(databases.noted(&account, &KEY), Ok(Vec::new()));
    let version = place.remember(&databases);
    databases.keep_notes(&account, &KEY, &pages).unwrap();
    drop(databases);
    let databases = place.databases();
    let ids = pages.map(|(id, _)| id);
    let mut noted = databases.noted(&account, &KEY).unwrap();
    noted.sort_unstable();
    assert_eq!(noted, ids);
    let found = |databases: &Databases, key: &Key| {
        let found = databases.notes(&account, key, &ids).unwrap();
        found.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(found(&databases, &KEY), [true; 3]);
    let other = Key {
        directory: 100,
        ..KEY
    };
    assert_eq!(found(&databases, &other), [false; 3]);
    // messages on the first and the last of these pages are left
    let mut messages = three();
    messages.arrive([(uid(9 * 64), Flags::NONE, None)]);
    let whole = |_, _| Record::Whole(encode(&messages));
    change(&databases, &account, Some(version), whole).unwrap();
    assert_eq!(found(&databases, &KEY), [true, false, true]);
    databases.forget(&account, &KEY.guid).unwrap();
    assert_eq!(found(&databases, &KEY), [false; 3]);
}

#[test]
fn damaged_notes_go_alone() {
    let place = Place::new();
    let databases = place.databases();
    let account = place.account();
    place.remember(&databases);
    let ids = [0, 1].map(|number| (Kind::Envelope, PageNumber::new(number)));
    let page = Arc::new(Page::default().with([(uid(1), b"a".as_slice())]));
    let pages = ids.map(|id| (id, Arc::clone(&page)));
    databases.keep_notes(&account, &KEY, &pages).unwrap();
    databases.close();
    let file = Connection::open(place.file()).unwrap();
    let damage = "UPDATE page SET octets = x'00' WHERE number = 1";
    assert_eq!(file.execute(damage, []).unwrap(), 1);
    drop(file);
    let databases = place.databases();
    let found = databases.notes(&account, &KEY, &ids).unwrap();
    assert_eq!(found, [Some((*page).clone()), None]);
    assert_eq!(databases.noted(&account, &KEY), Ok(vec![ids[0]]));
    assert!(place.remembered(&databases).is_some());
}

#[test]
fn names_are_of_one_mailbox_and_whole() {
    let place = Place::new();
    let databases = place.databases();
    let account = place.account();
    // a mailbox that is not remembered has none
    databases
        .keep_names(&account, &KEY, b"disk", vec![1])
        .unwrap();
    assert_eq!(databases.names(&account, &KEY, b"disk"), Ok(None));
    place.remember(&databases);
    for octets in [vec![], vec![7; 5], vec![9; 1 << 20]] {
        databases
            .keep_names(&account, &KEY, b"disk", octets.clone())
            .unwrap();
        assert_eq!(databases.names(&account, &KEY, b"disk"), Ok(Some(octets)));
    }
    let moved = Key {
        directory: KEY.directory + 1,
        ..KEY
    };
    assert_eq!(databases.names(&account, &moved, b"disk"), Ok(None));
    assert_eq!(databases.names(&account, &KEY, b"other"), Ok(None));
    drop(databases);
    let connection = Connection::open(place.file()).unwrap();
    let damage = "UPDATE names SET octets = CAST(zeroblob(16) || substr(octets, 17) AS BLOB)";
    assert_eq!(connection.execute(damage, []).unwrap(), 1);
    drop(connection);
    let databases = place.databases();
    assert_eq!(databases.names(&account, &KEY, b"disk"), Ok(None));
    databases
        .keep_names(&account, &KEY, b"disk", vec![3])
        .unwrap();
    assert_eq!(databases.names(&account, &KEY, b"disk"), Ok(Some(vec![3])));
    databases.forget(&account, &KEY.guid).unwrap();
    assert_eq!(databases.names(&account, &KEY, b"disk"), Ok(None));
}

#[test]
fn a_database_without_names_is_gone_on_with() {
    let place = Place::new();
    place.remember(&place.databases());
    let connection = Connection::open(place.file()).unwrap();
    connection.execute("DROP TABLE names", []).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let databases = place.databases();
    assert_eq!(place.remembered(&databases), Some(ModSeq(101)));
    databases
        .keep_names(&place.account(), &KEY, b"disk", vec![3])
        .unwrap();
    assert_eq!(
        databases.names(&place.account(), &KEY, b"disk"),
        Ok(Some(vec![3]))
    );
}
