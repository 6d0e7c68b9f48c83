//! What names mailboxes and messages for ever: over renames, copies, moves and restarts, and without the index.

use super::spool::{Spool, name, set, uid};
use restante::mailbox::backend::{Intake, Mailbox};
use restante::mailbox::flag::SystemFlag;
use std::fs;

#[test]
fn a_mailbox_keeps_its_identifier() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Work"), &[]).unwrap();
    let id = account.mailbox_id(&name("Work")).unwrap().unwrap();
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_ne!(account.mailbox_id(&name("INBOX")).unwrap().unwrap(), id);
    account.rename(&name("Work"), &name("Done")).unwrap();
    assert_eq!(account.mailbox_id(&name("Done")).unwrap(), Some(id.clone()));
    let again = spool.account();
    assert_eq!(again.mailbox_id(&name("Done")).unwrap(), Some(id.clone()));
    // another mailbox of the old name is another mailbox
    again.create(&name("Work"), &[]).unwrap();
    assert_ne!(again.mailbox_id(&name("Work")).unwrap(), Some(id));
}

#[test]
fn a_list_without_identifier_gets_one() {
    let spool = Spool::new();
    drop(spool.account());
    fs::write(
        spool.path("dovecot-uidlist"),
        "3 V77 N3\n1 :1700000000.M1P1.mta\n",
    )
    .unwrap();
    fs::write(spool.path("cur").join("1700000000.M1P1.mta:2,S"), "x").unwrap();
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let id = account.mailbox_id(&name("INBOX")).unwrap().unwrap();
    let list = fs::read_to_string(spool.path("dovecot-uidlist")).unwrap();
    assert!(list.starts_with(&format!("3 V77 N3 G{id}\n")), "{list}");
    assert!(list.contains("\n1 :1700000000.M1P1.mta\n"), "{list}");
    assert_eq!(inbox.save_date(uid(1)), Ok(1_700_000_000));
}

#[test]
fn a_name_with_a_blank_goes_with_the_octets_too() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Work"), &[]).unwrap();
    fs::write(spool.path("new").join("1700000000.M1P1.my mta"), "x").unwrap();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let guid = inbox.guid(uid(1)).unwrap();
    inbox.copy(&set(&[1]), &name("Work")).unwrap();
    inbox.move_to(&set(&[1]), &name("Work")).unwrap();
    let work = spool.account().open(&name("Work"), Intake::Take).unwrap();
    assert_eq!(work.guid(uid(1)), Ok(guid.clone()));
    assert_eq!(work.guid(uid(2)), Ok(guid));
}

#[test]
fn copies_have_the_name_of_the_octets_and_a_date_of_their_own() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Work"), &[]).unwrap();
    fs::write(spool.path("new").join("1700000000.M1P1.mta"), "x").unwrap();
    spool.append(&*account, "INBOX", b"y", &[SystemFlag::Seen]);
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let guid = |mailbox: &dyn Mailbox, n: u32| mailbox.guid(uid(n)).unwrap();
    assert_eq!(guid(&*inbox, 2), b"1700000000.M1P1.mta");
    assert_ne!(guid(&*inbox, 1), guid(&*inbox, 2));
    let copied = inbox.copy(&set(&[2]), &name("Work")).unwrap();
    assert_eq!(copied.pairs, [(uid(2), uid(1))]);
    inbox.move_to(&set(&[1, 2]), &name("Work")).unwrap();
    // a copy of a copy, to the same mailbox, in another process
    let account = spool.account();
    let work = account.open(&name("Work"), Intake::Take).unwrap();
    work.copy(&set(&[1]), &name("Work")).unwrap();
    for n in [1, 3, 4] {
        assert_eq!(guid(&*work, n), b"1700000000.M1P1.mta", "{n}");
        assert!(work.save_date(uid(n)).unwrap() > 1_700_000_000, "{n}");
    }
    assert_ne!(guid(&*work, 2), guid(&*work, 1));
    // the list alone tells, as it does to Dovecot
    let list = fs::read_to_string(spool.path(".Work/dovecot-uidlist")).unwrap();
    assert_eq!(list.matches(" G1700000000.M1P1.mta :").count(), 3, "{list}");
}
