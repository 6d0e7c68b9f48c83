//! Other programs and other processes at work in the same spool.

use super::spool::{Spool, change, flags, name, octets, picture, set, uid, uids};
use restante::mailbox::backend::{Account, Error, FlagChange, Intake, Mailbox};
use restante::mailbox::flag::{FlagAction, SystemFlag};
use restante::mailbox::id::Uid;
use restante::mailbox::uid_set::UidSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn deliveries_are_taken_by_select_only() {
    let spool = Spool::new();
    let account = spool.account();
    spool.deliver("INBOX", b"one\n");
    let inbox = account.open(&name("INBOX"), Intake::Look).unwrap();
    assert_eq!(uids(&*inbox), [1]);
    assert_eq!(spool.files("new").len(), 1);
    assert_eq!(account.status(&name("INBOX"), true).unwrap().size, Some(5));
    assert_eq!(
        account.status(&name("INBOX"), false).unwrap().counts.recent,
        1
    );
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(spool.files("new").len(), 0);
    assert!(spool.files("cur")[0].ends_with(":2,"));
    assert_eq!(inbox.write().claim_recent().len(), 1);
    spool.deliver("INBOX", b"two\n");
    spool.deliver("INBOX", b"three\n");
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1, 2, 3]);
    assert_eq!(inbox.read().recent().len(), 2);
    assert_eq!(octets(&*inbox, uid(2)), b"two\n");
}

#[test]
fn a_delivery_right_after_a_look_is_seen() {
    // in the same tick of the file system's clock the time stamp stays
    let spool = Spool::new();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    for n in 1..=200 {
        spool.deliver("INBOX", b"x");
        inbox.refresh(Intake::Take).unwrap();
        assert_eq!(inbox.read().len(), n);
    }
    for n in (0..200).rev() {
        let file = spool.files("cur").pop().unwrap();
        fs::remove_file(spool.path("cur").join(file)).unwrap();
        inbox.refresh(Intake::Look).unwrap();
        assert_eq!(inbox.read().len(), n);
    }
}

#[test]
fn uids_outlive_the_process_and_the_messages() {
    let spool = Spool::new();
    let account = spool.account();
    for _ in 0..3 {
        spool.append(&*account, "INBOX", b"x", &[]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let kept = spool.path("cur").join(&spool.files("cur")[2]);
    let octets_of_last = fs::read(&kept).unwrap();
    assert_eq!(inbox.expunge(&set(&[1, 2, 3, 9])).unwrap(), set(&[1, 2, 3]));
    assert!(inbox.expunge(&set(&[1])).unwrap().is_empty());
    assert_eq!(spool.files("cur").len(), 0);
    let validity = inbox.read().uid_validity();
    let other = spool.account();
    let again = other.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(again.read().uid_validity(), validity);
    assert_eq!(again.read().uid_next(), uid(4));
    // an expunged name that comes back is another message
    fs::write(&kept, octets_of_last).unwrap();
    inbox.refresh(Intake::Look).unwrap();
    assert_eq!(uids(&*inbox), [4]);
    again.refresh(Intake::Look).unwrap();
    assert_eq!(uids(&*again), [4]);
}

#[test]
fn what_others_did_in_a_large_mailbox_is_what_a_first_look_finds() {
    let spool = Spool::new();
    let account = spool.account();
    let cur = spool.path("cur");
    let file = |n: u32, letters: &str| cur.join(format!("{n}.x:2,{letters}"));
    for n in 1..=2500 {
        fs::write(file(n, "S"), b"x").unwrap();
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let rename = |n: u32, letters: &str| {
        let from = spool.file_of(&*inbox, uid(n));
        fs::rename(from, file(n, letters)).unwrap();
    };
    let remove = |n: u32| fs::remove_file(spool.file_of(&*inbox, uid(n))).unwrap();
    let add = |n: u32| fs::write(file(n, "F"), b"x").unwrap();
    let changes: [(&str, &dyn Fn()); 8] = [
        ("one is renamed", &|| rename(7, "RS")),
        ("some are renamed, removed and new", &|| {
            (10..40).for_each(|n| rename(n, "T"));
            (40..60).for_each(remove);
            (2501..2520).for_each(add);
        }),
        ("more are removed than are looked for", &|| {
            (100..400).for_each(remove);
        }),
        ("more are renamed than are told apart", &|| {
            (500..700).for_each(|n| rename(n, "F"));
        }),
        ("one has a second name", &|| {
            fs::hard_link(spool.file_of(&*inbox, uid(800)), file(800, "FR")).unwrap();
        }),
        ("one is moved back to new", &|| {
            let to = spool.path("new").join("900.x");
            fs::rename(spool.file_of(&*inbox, uid(900)), to).unwrap();
        }),
        ("one goes as another with its name comes", &|| {
            remove(1000);
            fs::write(spool.path("new").join("1000.x"), b"y").unwrap();
        }),
        ("all are gone but one", &|| {
            let kept = spool.file_of(&*inbox, uid(2000));
            for name in spool.files("cur") {
                let path = cur.join(name);
                if path != kept {
                    fs::remove_file(path).unwrap();
                }
            }
        }),
    ];
    for (what, change) in changes {
        change();
        inbox.refresh(Intake::Look).unwrap();
        let other = spool.account();
        let first = other.open(&name("INBOX"), Intake::Look).unwrap();
        assert_eq!(picture(&*inbox), picture(&*first), "{what}");
    }
    assert_eq!(inbox.read().len(), 3);
}

#[test]
fn other_programs_may_rename_and_remove() {
    let spool = Spool::new();
    let account = spool.account();
    for n in 0..4 {
        spool.append(&*account, "INBOX", format!("{n}").as_bytes(), &[]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let before = inbox.read().highest_mod_seq();
    let path = |n: u32| spool.file_of(&*inbox, uid(n));
    spool.rename_with_flags(&path(1), "FS");
    fs::remove_file(path(2)).unwrap();
    // reading and changing find the file again, without a look in between
    assert_eq!(octets(&*inbox, uid(1)), b"0");
    assert!(matches!(inbox.message(uid(2)), Err(Error::Expunged)));
    spool.rename_with_flags(&path(3), "R");
    let stored = inbox
        .store(
            &set(&[2, 3, 4]),
            &change(FlagAction::Add, flags(&[SystemFlag::Deleted])),
        )
        .unwrap();
    assert_eq!(stored.missing, set(&[2]));
    assert!(stored.mod_seq.unwrap() > before);
    assert_eq!(
        picture(&*inbox),
        [
            (1, "\\Flagged \\Seen".to_owned()),
            (3, "\\Answered \\Deleted".to_owned()),
            (4, "\\Deleted".to_owned()),
        ]
    );
    // on condition that nobody has changed them, what another program has just renamed is left alone
    let seen = change(FlagAction::Add, flags(&[SystemFlag::Seen]));
    let conditional = FlagChange {
        unchanged_since: Some(inbox.read().highest_mod_seq()),
        ..seen
    };
    spool.rename_with_flags(&path(4), "FT");
    let stored = inbox.store(&set(&[4]), &conditional).unwrap();
    assert_eq!((stored.modified, stored.mod_seq), (set(&[4]), None));
    assert_eq!(picture(&*inbox)[2], (4, "\\Flagged \\Deleted".to_owned()));
    // unknown letters stay
    spool.rename_with_flags(&path(4), "PTx");
    inbox
        .store(
            &set(&[4]),
            &change(FlagAction::Replace, flags(&[SystemFlag::Seen])),
        )
        .unwrap();
    assert!(
        path(4).to_str().unwrap().ends_with(":2,PSx"),
        "{:?}",
        path(4)
    );
    assert_eq!(inbox.expunge(&set(&[3])).unwrap(), set(&[3]));
    // one that is found to be gone by the change itself
    fs::remove_file(path(4)).unwrap();
    let answered = change(FlagAction::Add, flags(&[SystemFlag::Answered]));
    let stored = inbox.store(&set(&[1, 4]), &answered).unwrap();
    assert_eq!(stored.missing, set(&[4]));
}

#[test]
fn two_names_for_one_message() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let file = spool.file_of(&*inbox, uid(1));
    // a hard link counts once
    fs::hard_link(&file, spool.path("new").join(inbox.base_name(uid(1)))).unwrap();
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1]);
    fs::remove_file(spool.path("new").join(inbox.base_name(uid(1)))).unwrap();
    // another file of that name is another message
    fs::write(spool.path("new").join(inbox.base_name(uid(1))), b"other").unwrap();
    inbox.refresh(Intake::Take).unwrap();
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1, 2]);
    assert_eq!(octets(&*inbox, uid(1)), b"x");
    assert_eq!(octets(&*inbox, uid(2)), b"other");
}

#[test]
fn two_processes_agree_on_uids() {
    let spool = Spool::new();
    let accounts: Vec<Arc<dyn Account>> = (0..3).map(|_| spool.account()).collect();
    let known: Vec<BTreeMap<u32, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = accounts
            .iter()
            .map(|account| {
                let spool = &spool;
                scope.spawn(move || {
                    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
                    let mut known: BTreeMap<u32, String> = BTreeMap::new();
                    for n in 0..30 {
                        if n % 3 == 0 {
                            spool.deliver("INBOX", b"delivered");
                        }
                        spool.append(&**account, "INBOX", b"appended", &[SystemFlag::Seen]);
                        inbox.refresh(Intake::Take).unwrap();
                        for uid in inbox.read().uids() {
                            let base = inbox.base_name(*uid);
                            let before = known.insert(uid.value(), base.clone());
                            assert!(before.is_none_or(|before| before == base));
                        }
                    }
                    known
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let mut all: BTreeMap<u32, String> = BTreeMap::new();
    for (value, base) in known.into_iter().flatten() {
        let before = all.insert(value, base.clone());
        assert!(
            before.is_none_or(|before| before == base),
            "UID {value} twice"
        );
    }
    let bases: BTreeSet<&String> = all.values().collect();
    assert_eq!(bases.len(), all.len(), "a message has two UIDs");
    for account in &accounts {
        let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
        assert_eq!(inbox.read().len(), 120);
    }
}

/// Delivery, a mail reader that renames, one that removes, and several connections of ours at once.
#[test]
fn a_storm_loses_nothing_and_numbers_nothing_twice() {
    let spool = Spool::new();
    let account = spool.account();
    for n in 0..60 {
        spool.append(
            &*account,
            "INBOX",
            format!("{n}").as_bytes(),
            &[SystemFlag::Seen],
        );
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let is_over = AtomicBool::new(false);
    let identity: BTreeMap<Uid, String> = (1..=60)
        .map(|n| (uid(n), inbox.base_name(uid(n))))
        .collect();
    std::thread::scope(|scope| {
        let renamer = |letters: &'static str| {
            while !is_over.load(Ordering::Relaxed) {
                for file in spool.files("cur") {
                    let path = spool.path("cur").join(&file);
                    let base = file.split(':').next().unwrap();
                    // loses races, as renaming readers do
                    fs::rename(path, spool.path("cur").join(format!("{base}:2,{letters}")))
                        .unwrap_or_default();
                }
            }
        };
        scope.spawn(move || renamer("S"));
        scope.spawn(move || renamer("FS"));
        let deliverer = scope.spawn(|| {
            for _ in 0..100 {
                spool.deliver("INBOX", b"delivered");
            }
        });
        let other = spool.account();
        let second = scope.spawn(move || {
            let inbox = other.open(&name("INBOX"), Intake::Take).unwrap();
            for _ in 0..30 {
                inbox.refresh(Intake::Take).unwrap();
            }
        });
        for round in 0..60_u32 {
            inbox.refresh(Intake::Take).unwrap();
            let messages = uids(&*inbox);
            assert!(
                identity.keys().all(|uid| messages.contains(&uid.value())),
                "round {round}: a message was given up: {messages:?}"
            );
            match octets_or_error(&*inbox, uid(round + 1)) {
                Ok(octets) => assert_eq!(octets, format!("{round}").as_bytes()),
                Err(error) => assert_eq!(error, Error::Unavailable),
            }
        }
        deliverer.join().unwrap();
        second.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
    });
    // everything settles
    for connection in [
        inbox,
        spool.account().open(&name("INBOX"), Intake::Take).unwrap(),
    ] {
        connection.refresh(Intake::Take).unwrap();
        assert_eq!(connection.read().len(), 160);
        assert_eq!(connection.read().uid_next(), uid(161));
        for (uid, base) in &identity {
            assert_eq!(&connection.base_name(*uid), base);
        }
    }
}

fn octets_or_error(mailbox: &dyn Mailbox, uid: Uid) -> Result<Vec<u8>, Error> {
    mailbox.message(uid)?.read_all()
}

#[test]
fn expunges_by_others_are_told_once() {
    let spool = Spool::new();
    let (one, two) = (spool.account(), spool.account());
    for _ in 0..40 {
        spool.append(&*one, "INBOX", b"x", &[]);
    }
    let open = |account: &Arc<dyn Account>| account.open(&name("INBOX"), Intake::Take).unwrap();
    let (first, second) = (open(&one), open(&two));
    let removed: Vec<UidSet> = std::thread::scope(|scope| {
        let all: UidSet = (1..=40).map(uid).collect();
        let worker = |mailbox: Arc<dyn Mailbox>| {
            let all = all.clone();
            scope.spawn(move || mailbox.expunge(&all).unwrap())
        };
        let workers = [worker(Arc::clone(&first)), worker(Arc::clone(&second))];
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let total: usize = removed.iter().map(UidSet::len).sum();
    assert_eq!(total, 40);
    for mailbox in [first, second] {
        mailbox.refresh(Intake::Look).unwrap();
        assert!(mailbox.read().is_empty());
        assert_eq!(mailbox.read().uid_next(), uid(41));
    }
}

#[test]
fn directories_removed_under_an_open_mailbox_are_made_again() {
    let spool = Spool::new();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    spool.append(&*account, "INBOX", b"one\n", &[]);
    for directory in ["new", "tmp"] {
        inbox.refresh(Intake::Take).unwrap();
        fs::remove_dir(spool.path(directory)).unwrap();
        spool.append(&*account, "INBOX", b"more\n", &[]);
        assert!(spool.path(directory).is_dir(), "{directory}");
    }
    inbox.refresh(Intake::Take).unwrap();
    fs::remove_dir(spool.path("new")).unwrap();
    inbox.refresh(Intake::Look).unwrap();
    assert_eq!(uids(&*inbox), [1, 2, 3]);
}

#[test]
fn a_named_pipe_is_an_error_and_no_wait() {
    let make = |path: &std::path::Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    let spool = Spool::new();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let one = spool.append(&*account, "INBOX", b"one\n", &[]);
    let file = spool.file_of(&*inbox, one);
    fs::remove_file(&file).unwrap();
    make(&file);
    assert!(matches!(
        octets_or_error(&*inbox, one),
        Err(Error::Unavailable | Error::Expunged)
    ));
    fs::remove_file(&file).unwrap();
    for record in ["dovecot-keywords", "dovecot-uidlist"] {
        let (path, away) = (spool.path(record), spool.path("away"));
        let is_there = fs::rename(&path, &away).is_ok();
        make(&path);
        assert_eq!(
            inbox.refresh(Intake::Take),
            Err(Error::Unavailable),
            "{record}"
        );
        fs::remove_file(&path).unwrap();
        if is_there {
            fs::rename(&away, &path).unwrap();
        }
        inbox.refresh(Intake::Take).unwrap();
    }
    let subscriptions = spool.path("subscriptions");
    if subscriptions.exists() {
        fs::remove_file(&subscriptions).unwrap();
    }
    make(&subscriptions);
    assert!(account.subscriptions().is_err());
}
