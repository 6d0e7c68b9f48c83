//! Mailboxes and accounts: made, renamed, deleted, watched, imported, damaged.

use super::spool::{Spool, change, flags, name, octets, picture, set, uid, uids};
use restante::mailbox::backend::{Backend as _, Error, Intake, Result, Waker};
use restante::mailbox::flag::{FlagAction, SystemFlag};
use std::fs;
use std::sync::{Arc, mpsc};
use std::time::Duration;

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

/// Names of all mailboxes, as one who may see them finds them at a login.
fn names_at_login(spool: &Spool) -> Vec<String> {
    let listed = spool.new_account().mailboxes().unwrap();
    listed
        .iter()
        .map(|listed| listed.name.to_string())
        .collect()
}

#[test]
fn pop3_leaves_the_mailboxes_of_a_new_account_to_the_first_login_that_sees_them() {
    let spool = Spool::new();
    for _ in 0..2 {
        let maildrop = spool.new_maildrop();
        maildrop.open(&name("INBOX"), Intake::Look).unwrap();
    }
    assert!(spool.path("dovecot-uidlist").exists() && !spool.path(".Sent").exists());
    assert!(spool.path("restante-new-account").exists());
    assert_eq!(names_at_login(&spool), ["INBOX", "Sent"]);
    assert!(!spool.path("restante-new-account").exists());
    // whatever is deleted after that stays away, though POP3 comes again
    spool.account().delete(&name("Sent")).unwrap();
    for rest in ["subscriptions", "restante-special-use"] {
        fs::remove_file(spool.path(rest)).unwrap();
    }
    spool.new_maildrop();
    assert_eq!(names_at_login(&spool), ["INBOX"]);
}

#[test]
fn the_mailboxes_come_while_pop3_has_the_account_open() {
    let spool = Spool::new();
    let (store, owner) = spool.new_store();
    let maildrop = store.open_maildrop(&owner).unwrap();
    assert_eq!(maildrop.mailboxes().unwrap().len(), 1);
    let account = store.open_account(&owner).unwrap();
    assert_eq!(account.mailboxes().unwrap().len(), 2);
    assert!(!spool.path("restante-new-account").exists());
}

#[test]
fn a_spool_put_in_place_of_another_between_two_logins_is_made_ready() {
    let spool = Spool::new();
    let (store, owner) = spool.new_store();
    drop(store.open_account(&owner).unwrap());
    // in the order of the server they get the inodes of those that were removed, where the file system is so inclined
    for directories in [&["tmp", "new", "cur"][..], &["new"]] {
        fs::remove_dir_all(spool.path("")).unwrap();
        for directory in directories {
            fs::create_dir_all(spool.path(directory)).unwrap();
        }
        let account = store.open_account(&owner).unwrap();
        assert_eq!(account.mailboxes().unwrap().len(), 2, "{directories:?}");
        assert!(spool.path("tmp").is_dir() && spool.path("cur").is_dir());
    }
}

#[test]
fn what_another_program_had_since_pop3_came_is_not_new() {
    for other in ["subscriptions", "courierimapuiddb", ".Drafts/cur"] {
        let spool = Spool::new();
        spool.new_maildrop();
        if other.ends_with("cur") {
            fs::create_dir_all(spool.path(other)).unwrap();
        } else {
            fs::write(spool.path(other), "").unwrap();
        }
        assert!(
            !names_at_login(&spool).contains(&"Sent".to_owned()),
            "{other}"
        );
        assert!(!spool.path("restante-new-account").exists(), "{other}");
    }
    // and one that another program began was never new
    let spool = Spool::new();
    spool.account().open(&name("INBOX"), Intake::Look).unwrap();
    for rest in ["subscriptions", "restante-special-use"] {
        drop(fs::remove_file(spool.path(rest)));
    }
    spool.new_maildrop();
    assert!(!spool.path("restante-new-account").exists());
    assert_eq!(names_at_login(&spool), ["INBOX"]);
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
fn a_damaged_list_costs_the_damaged_lines_and_is_mended() {
    let spool = Spool::new();
    let account = spool.account();
    for _ in 0..4 {
        spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    }
    let validity = account.status(&name("INBOX"), false).unwrap().uid_validity;
    let list = spool.path("dovecot-uidlist");
    let text = fs::read_to_string(&list).unwrap();
    let damaged: Vec<String> = text
        .lines()
        .map(|line| line.replace("2 :", "2\u{0} "))
        .collect();
    fs::write(&list, damaged.join("\n") + "\n").unwrap();
    let other = spool.account();
    let inbox = other.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1, 3, 4, 5]);
    assert_eq!(inbox.read().uid_validity(), validity);
    let mended = fs::read_to_string(&list).unwrap();
    assert!(!mended.contains('\0'), "{mended}");
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [1, 3, 4, 5]);
}

#[test]
fn directories_that_are_missing_are_made() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Work"), &[]).unwrap();
    fs::remove_dir(spool.path(".Work/new")).unwrap();
    fs::remove_dir(spool.path(".Work/tmp")).unwrap();
    let work = account.open(&name("Work"), Intake::Take).unwrap();
    assert!(uids(&*work).is_empty());
    assert_eq!(
        spool.append(&*account, "Work", b"x", &[]),
        restante::mailbox::id::Uid::MIN
    );
}

#[test]
fn whoever_waits_for_names_is_woken_by_each_change() {
    let spool = Spool::new();
    let account = spool.account();
    let (sender, woken) = mpsc::channel();
    let waker: Waker = Arc::new(move || sender.send(()).unwrap_or_default());
    let _watch = account.watch_names(waker);
    let work = name("Work");
    let changes: [(&str, &dyn Fn() -> Result<()>); 5] = [
        ("create", &|| account.create(&work, &[])),
        ("rename", &|| account.rename(&work, &name("Play"))),
        ("subscribe", &|| account.set_subscribed(&work, true)),
        ("rename INBOX", &|| {
            account.rename(&name("INBOX"), &name("Old"))
        }),
        ("delete", &|| account.delete(&name("Play"))),
    ];
    for (what, change) in changes {
        account.mailboxes().unwrap();
        let before = account.names_version();
        while woken.try_recv().is_ok() {}
        change().unwrap();
        assert_ne!(account.names_version(), before, "{what}");
        assert_eq!(woken.try_recv(), Ok(()), "{what}");
    }
    let id = account.mailbox_id(&name("Old")).unwrap().unwrap();
    assert!(account.was_inbox(&id));
    let id = account.mailbox_id(&name("INBOX")).unwrap().unwrap();
    assert!(!account.was_inbox(&id));
}
