//! The Maildir store as connections use it: with other programs at work in the spool, several processes, and what a crash leaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "a test may"
)]

mod store {
    //! Parts of this test.
    pub(crate) mod dovecot;
    pub(crate) mod spool;
}

use restante::mailbox::backend::{Account, Error, FlagChange, Intake, Mailbox};
use restante::mailbox::flag::{FlagAction, NamedFlags, SystemFlag};
use restante::mailbox::id::Uid;
use restante::mailbox::uid_set::UidSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use store::spool::{Spool, flags, keyword, name, octets, picture, set, uid, uids};

fn change(action: FlagAction, flags: NamedFlags) -> FlagChange {
    FlagChange {
        action,
        flags,
        unchanged_since: None,
    }
}

#[test]
fn what_is_appended_is_what_is_read() {
    let spool = Spool::new();
    let account = spool.account();
    for (text, stored, crlf_octets) in [
        (
            &b"Subject: a\r\n\r\nbody\r\n"[..],
            &b"Subject: a\n\nbody\n"[..],
            20,
        ),
        (b"a\r\r\nb\rc\nd\r", b"a\r\r\nb\rc\nd\r", 11),
        (b"\r\n\r\r\r\n", b"\n\r\r\r\n", 6),
        (b"no end", b"no end", 6),
        (b"", b"", 0),
    ] {
        // whole, and octet by octet
        for chunk in [text.len().max(1), 1] {
            let mut upload = account.upload(&name("INBOX")).unwrap();
            for octets in text.chunks(chunk) {
                upload.write(octets).unwrap();
            }
            upload
                .finish(&flags(&[SystemFlag::Seen]), Some(1_000_000_007))
                .unwrap();
            let placed = account.deliver(&name("INBOX"), vec![upload]).unwrap();
            let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
            let uid = placed.uids[0];
            assert_eq!(octets(&*inbox, uid), stored, "{text:?}");
            assert_eq!(inbox.size(uid).unwrap(), crlf_octets, "{text:?}");
            assert_eq!(inbox.internal_date(uid).unwrap(), 1_000_000_007);
            // another process has to find it out
            let other = spool.account();
            let inbox = other.open(&name("INBOX"), Intake::Take).unwrap();
            assert_eq!(inbox.size(uid).unwrap(), crlf_octets, "{text:?}");
        }
    }
    assert_eq!(spool.files("tmp"), Vec::<String>::new());
}

#[test]
fn uploads_that_are_not_delivered_leave_nothing() {
    let spool = Spool::new();
    let account = spool.account();
    let mut unfinished = account.upload(&name("INBOX")).unwrap();
    unfinished.write(b"some").unwrap();
    let mut finished = account.upload(&name("INBOX")).unwrap();
    finished.finish(&NamedFlags::default(), None).unwrap();
    assert_eq!(spool.files("tmp").len(), 2);
    drop(finished);
    // one that is not finished keeps all from being delivered
    let mut whole = account.upload(&name("INBOX")).unwrap();
    whole.finish(&NamedFlags::default(), None).unwrap();
    assert!(
        account
            .deliver(&name("INBOX"), vec![whole, unfinished])
            .is_err()
    );
    for directory in ["tmp", "new", "cur"] {
        assert_eq!(spool.files(directory), Vec::<String>::new(), "{directory}");
    }
}

#[test]
fn many_at_once_get_uids_in_order() {
    let spool = Spool::new();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let uploads = (0..20)
        .map(|n: u32| {
            let mut upload = account.upload(&name("INBOX")).unwrap();
            upload.write(format!("{n}").as_bytes()).unwrap();
            let seen = if n.is_multiple_of(2) {
                vec![SystemFlag::Seen]
            } else {
                vec![]
            };
            upload.finish(&flags(&seen), None).unwrap();
            upload
        })
        .collect();
    let placed = account.deliver(&name("INBOX"), uploads).unwrap();
    assert_eq!(placed.uids, (1..=20).map(uid).collect::<Vec<_>>());
    for n in 0..20_u32 {
        assert_eq!(octets(&*inbox, uid(n + 1)), format!("{n}").as_bytes());
    }
    // without flags others see it as new mail
    assert_eq!(
        (spool.files("new").len(), spool.files("cur").len()),
        (10, 10)
    );
    assert_eq!(inbox.read().recent().len(), 20);
}

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
}

#[test]
fn unchanged_since_is_kept() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"1", &[]);
    spool.append(&*account, "INBOX", b"2", &[]);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let since = inbox.read().highest_mod_seq();
    let seen = change(FlagAction::Add, flags(&[SystemFlag::Seen]));
    inbox.store(&set(&[1]), &seen).unwrap();
    assert_eq!(inbox.store(&set(&[1]), &seen).unwrap().mod_seq, None);
    let conditional = FlagChange {
        unchanged_since: Some(since),
        ..change(FlagAction::Add, flags(&[SystemFlag::Flagged]))
    };
    let stored = inbox.store(&set(&[1, 2]), &conditional).unwrap();
    assert_eq!(stored.modified, set(&[1]));
    assert_eq!(
        picture(&*inbox),
        [(1, "\\Seen".to_owned()), (2, "\\Flagged".to_owned())]
    );
}

#[test]
fn more_keywords_than_letters() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"x", &[]);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let mut all = Vec::new();
    for n in 0..40 {
        let mut given = NamedFlags::default();
        given.keywords.push(keyword(&format!("kw{n:02}")));
        all.push(format!("kw{n:02}"));
        inbox
            .store(&set(&[1]), &change(FlagAction::Add, given))
            .unwrap();
    }
    let mut too_many = NamedFlags::default();
    for n in 0..30 {
        too_many.keywords.push(keyword(&format!("more{n}")));
    }
    assert!(matches!(
        inbox.store(&set(&[1]), &change(FlagAction::Add, too_many)),
        Err(Error::Limit(_))
    ));
    assert_eq!(picture(&*inbox), [(1, all.join(" "))]);
    // another process, and another mailbox with letters of its own
    let other = spool.account();
    other.create(&name("Other"), &[]).unwrap();
    let mut first = NamedFlags::default();
    first.keywords.push(keyword("Unrelated"));
    spool.append_with(&*other, "Other", b"y", &first);
    let inbox = other.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(picture(&*inbox), [(1, all.join(" "))]);
    inbox.copy(&set(&[1]), &name("Other")).unwrap();
    let copied = other.open(&name("Other"), Intake::Take).unwrap();
    let mut words: Vec<String> = picture(&*copied)[1]
        .1
        .split(' ')
        .map(str::to_owned)
        .collect();
    words.sort();
    assert_eq!(words, all);
    let mut gone = NamedFlags::default();
    gone.keywords.extend([keyword("KW39"), keyword("kw00")]);
    inbox
        .store(&set(&[1]), &change(FlagAction::Remove, gone))
        .unwrap();
    assert_eq!(picture(&*inbox), [(1, all[1..39].join(" "))]);
}

#[test]
fn copies_are_all_or_none_and_share_the_octets() {
    use std::os::unix::fs::MetadataExt;
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Target"), &[]).unwrap();
    for n in 0..5 {
        spool.append(
            &*account,
            "INBOX",
            format!("{n}\n").as_bytes(),
            &[SystemFlag::Flagged],
        );
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let target = account.open(&name("Target"), Intake::Take).unwrap();
    let moved = inbox.copy(&set(&[2, 4]), &name("Target")).unwrap();
    assert_eq!(moved.pairs, [(uid(2), uid(1)), (uid(4), uid(2))]);
    assert_eq!(moved.uid_validity, target.read().uid_validity());
    assert_eq!(octets(&*target, uid(2)), b"3\n");
    assert_eq!(
        target.internal_date(uid(1)).unwrap(),
        inbox.internal_date(uid(2)).unwrap()
    );
    assert_eq!(picture(&*target)[0].1, "\\Flagged");
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let file = target.base_name(uid(1));
    let copy = fs::read_dir(spool.path(".Target/cur"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().contains(&file))
        .unwrap();
    assert_eq!(inode(&copy), inode(&spool.file_of(&*inbox, uid(2))));

    fs::remove_file(spool.file_of(&*inbox, uid(5))).unwrap();
    assert_eq!(
        inbox.copy(&set(&[1, 5]), &name("Target")),
        Err(Error::Expunged)
    );
    assert_eq!(
        inbox.copy(&set(&[1]), &name("None")),
        Err(Error::NonExistent)
    );
    target.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*target), [1, 2]);
    assert_eq!(spool.files(".Target/tmp"), Vec::<String>::new());
    // to itself
    assert_eq!(
        inbox.copy(&set(&[1]), &name("INBOX")).unwrap().pairs,
        [(uid(1), uid(6))]
    );
}

#[test]
fn moves_leave_each_message_in_one_place() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Target"), &[]).unwrap();
    for n in 0..5 {
        spool.append(&*account, "INBOX", format!("{n}\n").as_bytes(), &[]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let target = account.open(&name("Target"), Intake::Take).unwrap();
    spool.rename_with_flags(&spool.file_of(&*inbox, uid(2)), "S");
    fs::remove_file(spool.file_of(&*inbox, uid(4))).unwrap();
    let moved = inbox.move_to(&set(&[2, 3, 4, 5]), &name("Target")).unwrap();
    assert_eq!(
        moved.pairs,
        [(uid(2), uid(1)), (uid(3), uid(2)), (uid(5), uid(3))]
    );
    assert_eq!(uids(&*inbox), [1]);
    assert_eq!(uids(&*target), [1, 2, 3]);
    assert_eq!(octets(&*target, uid(1)), b"1\n");
    assert_eq!(octets(&*target, uid(3)), b"4\n");
    let back = target.move_to(&set(&[3]), &name("INBOX")).unwrap();
    assert_eq!(back.pairs, [(uid(3), uid(6))]);
    let itself = inbox.move_to(&set(&[1]), &name("INBOX")).unwrap();
    assert_eq!(itself.pairs, [(uid(1), uid(7))]);
    assert_eq!(uids(&*inbox), [6, 7]);
    let gone = inbox.move_to(&set(&[1]), &name("Target")).unwrap();
    assert!(gone.pairs.is_empty());
    // another process sees the same
    let other = spool.account();
    assert_eq!(
        uids(&*other.open(&name("INBOX"), Intake::Look).unwrap()),
        [6, 7]
    );
    assert_eq!(
        uids(&*other.open(&name("Target"), Intake::Look).unwrap()),
        [1, 2]
    );
}

#[test]
fn moves_in_opposite_directions_do_not_wait_for_each_other() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Other"), &[]).unwrap();
    for _ in 0..10 {
        spool.append(&*account, "INBOX", b"a", &[]);
        spool.append(&*account, "Other", b"b", &[]);
    }
    let open = |which: &str| account.open(&name(which), Intake::Take).unwrap();
    let (inbox, other) = (open("INBOX"), open("Other"));
    let all: UidSet = (1..=400).map(uid).collect();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| inbox.move_to(&all, &name("Other")).unwrap());
            scope.spawn(|| other.move_to(&all, &name("INBOX")).unwrap());
        }
    });
    assert_eq!(inbox.read().len() + other.read().len(), 20);
}

#[test]
fn mailboxes_come_and_go() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Work/2026"), &[]).unwrap();
    assert_eq!(
        account.create(&name("Work/2026"), &[]),
        Err(Error::AlreadyExists)
    );
    assert_eq!(
        account.create(&name("INBOX"), &[]),
        Err(Error::AlreadyExists)
    );
    assert_eq!(
        account.create(&name("inbox"), &[]),
        Err(Error::AlreadyExists)
    );
    assert!(matches!(
        account.delete(&name("INBOX")),
        Err(Error::Cannot(_))
    ));
    assert!(matches!(
        account.delete(&name("Work")),
        Err(Error::InUse(_))
    ));
    assert_eq!(account.delete(&name("Nothing")), Err(Error::NonExistent));
    spool.append(&*account, "Work/2026", b"x", &[]);
    let listed: Vec<(String, bool)> = account
        .mailboxes()
        .unwrap()
        .into_iter()
        .map(|listed| (listed.name.to_string(), listed.selectable))
        .collect();
    let expected = [("INBOX", true), ("Work", false), ("Work/2026", true)];
    assert_eq!(listed, expected.map(|(name, is)| (name.to_owned(), is)));

    // a rename under an open mailbox
    let open = account.open(&name("Work/2026"), Intake::Take).unwrap();
    let validity = open.read().uid_validity();
    account
        .rename(&name("Work"), &name("Archive/Work"))
        .unwrap();
    open.refresh(Intake::Take).unwrap();
    assert_eq!(octets(&*open, uid(1)), b"x");
    open.store(
        &set(&[1]),
        &change(FlagAction::Add, flags(&[SystemFlag::Seen])),
    )
    .unwrap();
    let status = account.status(&name("Archive/Work/2026"), false).unwrap();
    assert_eq!((status.uid_validity, status.counts.unseen), (validity, 0));
    assert_eq!(
        account.status(&name("Work/2026"), false),
        Err(Error::NonExistent)
    );

    // a name that is used again is another mailbox
    account.delete(&name("Archive/Work/2026")).unwrap();
    assert_eq!(open.refresh(Intake::Look), Err(Error::NonExistent));
    assert!(matches!(
        open.message(uid(1)),
        Err(Error::Expunged | Error::NonExistent)
    ));
    account.create(&name("Archive/Work/2026"), &[]).unwrap();
    let again = account.status(&name("Archive/Work/2026"), false).unwrap();
    assert!(again.uid_validity > validity);
    assert_eq!(again.counts.messages, 0);

    // INBOX keeps its name and its children
    account.create(&name("INBOX/Child"), &[]).unwrap();
    spool.append(&*account, "INBOX", b"in", &[SystemFlag::Seen]);
    account.rename(&name("INBOX"), &name("Old")).unwrap();
    assert_eq!(
        account
            .status(&name("INBOX"), false)
            .unwrap()
            .counts
            .messages,
        0
    );
    let old = account.open(&name("Old"), Intake::Take).unwrap();
    assert_eq!(octets(&*old, uid(1)), b"in");
    assert!(account.status(&name("INBOX/Child"), false).is_ok());
}

#[test]
fn a_new_account_has_its_mailboxes() {
    let spool = Spool::new();
    let account = spool.new_account();
    let listed = account.mailboxes().unwrap();
    let sent = listed
        .iter()
        .find(|listed| listed.name == name("Sent"))
        .unwrap();
    assert_eq!(
        sent.special_use,
        [restante::mailbox::name::SpecialUse::Sent]
    );
    assert_eq!(
        account.subscriptions().unwrap(),
        [name("Sent")].into_iter().collect()
    );
    account.delete(&name("Sent")).unwrap();
    assert!(account.subscriptions().unwrap().contains(&name("Sent")));
    // it is not new a second time
    let again = spool.new_account();
    assert!(
        again
            .mailboxes()
            .unwrap()
            .iter()
            .all(|listed| listed.name != name("Sent"))
    );
}

#[test]
fn a_removed_list_is_restored_from_memory() {
    let spool = Spool::new();
    let account = spool.account();
    for _ in 0..3 {
        spool.append(&*account, "INBOX", b"x", &[]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    inbox.expunge(&set(&[1])).unwrap();
    let validity = inbox.read().uid_validity();
    fs::remove_file(spool.path("dovecot-uidlist")).unwrap();
    spool.deliver("INBOX", b"y");
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [2, 3, 4]);
    let other = spool.account();
    let other = other.open(&name("INBOX"), Intake::Look).unwrap();
    assert_eq!(uids(&*other), [2, 3, 4]);
    assert_eq!(other.read().uid_validity(), validity);
}

#[test]
fn an_unreadable_directory_is_not_an_empty_mailbox() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    fs::rename(spool.path("cur"), spool.path("away")).unwrap();
    fs::File::create(spool.path("cur")).unwrap();
    assert_eq!(inbox.refresh(Intake::Look), Err(Error::Unavailable));
    assert_eq!(uids(&*inbox), [1]);
    fs::remove_file(spool.path("cur")).unwrap();
    assert_eq!(inbox.refresh(Intake::Look), Err(Error::Unavailable));
    fs::rename(spool.path("away"), spool.path("cur")).unwrap();
    inbox.refresh(Intake::Look).unwrap();
    assert_eq!(octets(&*inbox, uid(1)), b"x");
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
fn one_pop3_session_at_a_time() {
    let spool = Spool::new();
    let (one, two) = (spool.account(), spool.account());
    let first = one.open(&name("INBOX"), Intake::Take).unwrap();
    let second = two.open(&name("INBOX"), Intake::Take).unwrap();
    let lock = first.lock_maildrop().unwrap().unwrap();
    assert!(first.lock_maildrop().unwrap().is_none());
    assert!(second.lock_maildrop().unwrap().is_none());
    drop(lock);
    assert!(second.lock_maildrop().unwrap().is_some());
    assert!(first.lock_maildrop().unwrap().is_some());
}

#[test]
fn watchers_hear_of_deliveries_and_of_each_other() {
    const LONG: Duration = Duration::from_secs(20);
    let spool = Spool::new();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let (sender, woken) = mpsc::channel();
    let watch = inbox.watch(Arc::new(move || sender.send(()).unwrap_or_default()));
    woken.recv_timeout(LONG).unwrap();
    inbox.refresh(Intake::Take).unwrap();
    assert!(inbox.is_current());
    spool.deliver("INBOX", b"x");
    woken.recv_timeout(LONG).unwrap();
    assert!(!inbox.is_current());
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1]);
    // events of our own move may still come
    while woken.recv_timeout(Duration::from_millis(200)).is_ok() {
        inbox.refresh(Intake::Take).unwrap();
    }
    let same = account.open(&name("INBOX"), Intake::Take).unwrap();
    let before = inbox.read().highest_mod_seq();
    same.store(
        &set(&[1]),
        &change(FlagAction::Add, flags(&[SystemFlag::Seen])),
    )
    .unwrap();
    woken.recv_timeout(LONG).unwrap();
    assert!(inbox.read().highest_mod_seq() > before);
    drop(watch);
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
fn couriers_numbers_are_taken_over() {
    let spool = Spool::new();
    for directory in ["cur", "new", "tmp", "courierimapkeywords"] {
        fs::create_dir_all(spool.path(directory)).unwrap();
    }
    fs::write(spool.path("cur/100.a.host,S=2:2,S"), b"a\n").unwrap();
    fs::write(spool.path("cur/101.b.host:2,"), b"b\n").unwrap();
    fs::write(spool.path("new/102.c.host"), b"c\n").unwrap();
    fs::write(
        spool.path("courierimapuiddb"),
        "1 721823000 31\n7 100.a.host,S=2\n30 101.b.host\n",
    )
    .unwrap();
    fs::write(spool.path("courierimapsubscribed"), "INBOX.Sent\n").unwrap();
    fs::write(
        spool.path("courierimapkeywords/:list"),
        "$Label1\nNonJunk\n\n101.b.host:0 1\n",
    )
    .unwrap();
    fs::write(
        spool.path("courierpop3dsizelist"),
        "/3 44 721823666\n100.a.host,S=2:2,S 3 28:721823666:0\n102.c.host 3 29:721823666:0\n",
    )
    .unwrap();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(inbox.read().uid_validity().value(), 721_823_000);
    assert_eq!(
        picture(&*inbox),
        [
            (7, "\\Seen".to_owned()),
            (30, "$Label1 NonJunk".to_owned()),
            (31, String::new())
        ]
    );
    let stored: Vec<u32> = inbox
        .stored_unique_ids()
        .unwrap()
        .into_iter()
        .map(|(uid, _)| uid.value())
        .collect();
    assert_eq!(stored, [7, 31]);
    assert_eq!(account.subscriptions().unwrap().len(), 1);
}
