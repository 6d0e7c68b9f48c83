//! `\Recent` of messages that come with flags, and so never lie in `new/` (RFC 3501 §2.3.2, §6.3.11).

use super::spool::{Spool, name, set, uid};
use restante::mailbox::backend::{Account, Intake};
use restante::mailbox::flag::SystemFlag;

/// What STATUS says of recent messages.
fn recent(account: &dyn Account, mailbox: &str) -> u32 {
    let status = account.status(&name(mailbox), false).unwrap();
    status.counts.recent
}

#[test]
fn an_append_with_flags_to_a_mailbox_that_nobody_has_open_is_recent() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"1", &[SystemFlag::Seen]);
    spool.append(&*account, "INBOX", b"2", &[]);
    assert_eq!(spool.files("cur").len(), 1);
    assert_eq!(recent(&*account, "INBOX"), 2);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(inbox.write().claim_recent(), set(&[1, 2]));
    assert_eq!(recent(&*account, "INBOX"), 0);
}

#[test]
fn a_copy_and_a_move_are_recent_where_they_come_to() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Box"), &[]).unwrap();
    for _ in 0..2 {
        spool.append(&*account, "INBOX", b"x", &[SystemFlag::Seen]);
    }
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    inbox.copy(&set(&[1]), &name("Box")).unwrap();
    inbox.move_to(&set(&[2]), &name("Box")).unwrap();
    account.rename(&name("Box"), &name("Other")).unwrap();
    assert_eq!(recent(&*account, "Other"), 2);
    // once told, no more
    let other = account.open(&name("Other"), Intake::Take).unwrap();
    assert_eq!(other.write().claim_recent().len(), 2);
    assert_eq!(recent(&*account, "Other"), 0);
}

#[test]
fn an_append_behind_uids_that_another_process_gave_is_recent() {
    let spool = Spool::new();
    let (ours, other) = (spool.account(), spool.account());
    let inbox = ours.open(&name("INBOX"), Intake::Take).unwrap();
    spool.append(&*other, "INBOX", b"1", &[SystemFlag::Seen]);
    let second = spool.append(&*ours, "INBOX", b"2", &[SystemFlag::Seen]);
    assert_eq!(second, uid(2));
    inbox.refresh(Intake::Take).unwrap();
    assert_eq!(inbox.read().len(), 2);
    assert_eq!(inbox.write().claim_recent(), set(&[2]));
}

#[test]
fn what_was_removed_before_it_was_told_of_is_not_recent() {
    let spool = Spool::new();
    let account = spool.account();
    spool.append(&*account, "INBOX", b"1", &[SystemFlag::Seen]);
    let file = spool.path("cur").join(&spool.files("cur")[0]);
    std::fs::remove_file(file).unwrap();
    assert_eq!(recent(&*account, "INBOX"), 0);
}
