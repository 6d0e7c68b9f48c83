//! What is remembered over a restart, what several processes learn of each other, and what damage of the index does: nothing.

use super::spool::{Spool, change, flags, name, set, uid, uids};
use restante::mailbox::backend::{Account, Intake, Mailbox};
use restante::mailbox::flag::{FlagAction, SystemFlag};
use restante::mailbox::id::ModSeq;
use std::fs;
use std::sync::Arc;

const SEEN: &[SystemFlag] = &[SystemFlag::Seen];

fn inbox(account: &dyn Account) -> Arc<dyn Mailbox> {
    account.open(&name("INBOX"), Intake::Look).unwrap()
}

fn mod_seqs(mailbox: &dyn Mailbox) -> Vec<ModSeq> {
    let messages = mailbox.read();
    (0..messages.len())
        .map(|at| messages.mod_seq_at(at))
        .collect()
}

fn highest(mailbox: &dyn Mailbox) -> ModSeq {
    mailbox.read().highest_mod_seq()
}

fn add_seen(mailbox: &dyn Mailbox, uid: u32) -> ModSeq {
    let change = change(FlagAction::Add, flags(SEEN));
    mailbox
        .store(&set(&[uid]), &change)
        .unwrap()
        .mod_seq
        .unwrap()
}

/// A spool with five messages.
fn five(spool: &Spool) -> Arc<dyn Account> {
    let account = spool.account();
    for n in 0..5 {
        spool.append(
            &*account,
            "INBOX",
            format!("Subject: {n}\n\n").as_bytes(),
            &[],
        );
    }
    account
}

#[test]
fn mod_sequences_and_expunged_uids_outlive_the_process() {
    let spool = Spool::new();
    let account = five(&spool);
    let mailbox = inbox(&*account);
    add_seen(&*mailbox, 2);
    let since = highest(&*mailbox);
    mailbox.expunge(&set(&[3])).unwrap();
    add_seen(&*mailbox, 4);
    let (before, last) = (mod_seqs(&*mailbox), highest(&*mailbox));
    drop((mailbox, account));

    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(mod_seqs(&*mailbox), before);
    assert_eq!(highest(&*mailbox), last);
    assert_eq!(mailbox.read().expunged_since(since), Some(set(&[3])));
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[])));
}

#[test]
fn what_others_changed_while_nobody_looked_changed_at_the_next_look() {
    let spool = Spool::new();
    let account = five(&spool);
    let mailbox = inbox(&*account);
    let (before, last) = (mod_seqs(&*mailbox), highest(&*mailbox));
    let files: Vec<_> = (1..=5).map(|n| spool.file_of(&*mailbox, uid(n))).collect();
    drop((mailbox, account));

    spool.rename_with_flags(&files[0], "S");
    fs::remove_file(&files[2]).unwrap();
    spool.deliver("INBOX", b"Subject: new\n\n");
    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(uids(&*mailbox), [1, 2, 4, 5, 6]);
    let now = mod_seqs(&*mailbox);
    assert_eq!(now[1..4], [before[1], before[3], before[4]]);
    assert!(now[0] > last && now[4] > last, "{now:?} after {last}");
    assert_eq!(highest(&*mailbox), now[0].max(now[4]));
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[3])));
}

#[test]
fn messages_that_came_and_went_while_nobody_looked_are_expunged() {
    let spool = Spool::new();
    let account = five(&spool);
    let last = highest(&*inbox(&*account));
    drop(account);

    // a process without index shows 6 to 8 to a client, and expunges 6 and 7
    let without = spool.account_without_index();
    let mailbox = inbox(&*without);
    for _ in 0..3 {
        spool.append(&*without, "INBOX", b"\n", &[]);
    }
    mailbox.expunge(&set(&[6, 7])).unwrap();
    drop((mailbox, without));

    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(uids(&*mailbox), [1, 2, 3, 4, 5, 8]);
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[6, 7])));
}
