//! A spool that is not as it was: directories gone, files that are no messages any more.

use super::spool::{Spool, name, set, uid, uids};
use crate::log::logged;
use restante::mailbox::backend::{Error, Intake, Mailbox};
use restante::mailbox::flag::SystemFlag;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Puts a named pipe in a file's place.
fn pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    );
    made.unwrap();
}

/// Puts a directory in a file's place.
fn directory(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[test]
fn a_spool_robbed_of_cur_is_refused_until_it_is_whole() {
    let spool = Spool::new();
    let account = spool.account();
    let kept = spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    drop(account);
    fs::rename(spool.path("cur"), spool.path("away")).unwrap();
    let log = logged(|| {
        assert_eq!(spool.try_account().err(), Some(Error::Unavailable));
    });
    assert!(log.contains("spool_incomplete"), "{log}");
    assert!(log.contains("anna/cur"), "{log}");
    assert!(log.contains("dovecot-uidlist"), "{log}");
    assert!(!spool.path("cur").exists());
    // it comes back, and nothing is downloaded anew
    fs::rename(spool.path("away"), spool.path("cur")).unwrap();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(uids(&*inbox), [kept.value()]);
}

#[test]
fn a_spool_without_cur_that_never_had_messages_is_made() {
    let spool = Spool::new();
    drop(spool.account().open(&name("INBOX"), Intake::Take).unwrap());
    fs::remove_dir(spool.path("cur")).unwrap();
    assert!(spool.path("dovecot-uidlist").exists());
    spool.account();
    assert!(spool.path("cur").is_dir());
}

#[test]
fn a_mailbox_taken_away_is_logged_once_for_all_its_messages() {
    let spool = Spool::new();
    let account = spool.account();
    for _ in 0..20 {
        spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    fs::rename(spool.path("cur"), spool.path("away")).unwrap();
    let read_all = |inbox: &dyn Mailbox| {
        for value in 1..=20 {
            assert_eq!(inbox.message(uid(value)).err(), Some(Error::Unavailable));
            assert_eq!(inbox.internal_date(uid(value)), Err(Error::Unavailable));
        }
    };
    let log = logged(|| read_all(&*inbox));
    assert_eq!(log.matches("storage_failed").count(), 1, "{log}");
    // trouble that comes again is told again
    fs::rename(spool.path("away"), spool.path("cur")).unwrap();
    inbox.refresh(Intake::Look).unwrap();
    fs::rename(spool.path("cur"), spool.path("away")).unwrap();
    let log = logged(|| read_all(&*inbox));
    assert_eq!(log.matches("storage_failed").count(), 1, "{log}");
}

#[test]
fn a_mailbox_that_went_before_it_was_watched_is_no_trouble() {
    for gone in [".Box", ".Box/new", ".Box/cur"] {
        let spool = Spool::new();
        let account = spool.account();
        account.create(&name("Box"), &[]).unwrap();
        let mailbox = account.open(&name("Box"), Intake::Look).unwrap();
        fs::remove_dir_all(spool.path(gone)).unwrap();
        let log = logged(|| drop(mailbox.watch(Arc::new(|| {}))));
        assert_eq!(log, "", "{gone}");
    }
}

#[test]
fn a_message_that_became_something_else_is_gone() {
    for (what, spoil) in [("pipe", pipe as fn(&Path)), ("directory", directory)] {
        let spool = Spool::new();
        let account = spool.account();
        account.create(&name("Box"), &[]).unwrap();
        for _ in 0..4 {
            spool.append(&*account, "INBOX", b"x\n", &[SystemFlag::Seen]);
        }
        // sizes and files are not known to this process
        let account = spool.account();
        let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
        let files: Vec<_> = (1..=4).map(|n| spool.file_of(&*inbox, uid(n))).collect();

        spoil(&files[0]);
        assert_eq!(inbox.message(uid(1)).err(), Some(Error::Expunged), "{what}");
        spoil(&files[1]);
        assert_eq!(
            inbox.copy(&set(&[2]), &name("Box")),
            Err(Error::Expunged),
            "{what}"
        );
        spoil(&files[2]);
        assert_eq!(inbox.internal_date(uid(3)), Err(Error::Expunged), "{what}");
        assert_eq!(inbox.size(uid(3)), Err(Error::Expunged), "{what}");
        spoil(&files[3]);
        let moved = inbox.move_to(&set(&[4]), &name("Box")).unwrap();
        assert!(moved.pairs.is_empty(), "{what}");

        assert!(uids(&*inbox).is_empty(), "{what}");
        let target = account.open(&name("Box"), Intake::Take).unwrap();
        assert!(uids(&*target).is_empty(), "{what}");
        for directory in [".Box/tmp", ".Box/new", ".Box/cur"] {
            assert!(spool.files(directory).is_empty(), "{what} in {directory}");
        }
        assert!(files.iter().all(|file| file.exists()), "{what}");
    }
}
