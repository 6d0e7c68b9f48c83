//! What the store in memory promises.

use super::{Mail, Memory, Pop3Fields, START};
use crate::mailbox::backend::{Backend, Error, FlagChange, Intake, Mailbox};
use crate::mailbox::flag::{FlagAction, Flags, Keyword, MAX_KEYWORDS, NamedFlags, SystemFlag};
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

fn uids(values: &[u32]) -> UidSet {
    values.iter().filter_map(|v| Uid::new(*v)).collect()
}

fn values(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.value()).collect()
}

fn add_flags(system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
    FlagChange {
        action: FlagAction::Add,
        flags: NamedFlags {
            system: system.iter().copied().collect(),
            keywords: keywords.iter().map(|k| Keyword::new(k).unwrap()).collect(),
        },
        unchanged_since: None,
    }
}

#[test]
fn mailboxes_are_made_renamed_and_removed() {
    let memory = Memory::new();
    let account = memory.open_account(&memory.locate("anna", None)).unwrap();
    for made in ["a/b", "B", "INBOX/x"] {
        account.create(&name(made), &[]).unwrap();
    }
    let listed = |expected: &[(&str, bool)]| {
        let list: Vec<(String, bool)> = account
            .mailboxes()
            .unwrap()
            .into_iter()
            .map(|listed| (listed.name.join('/'), listed.selectable))
            .collect();
        let expected: Vec<(String, bool)> = expected
            .iter()
            .map(|(n, s)| ((*n).to_owned(), *s))
            .collect();
        assert_eq!(list, expected);
    };
    listed(&[
        ("INBOX", true),
        ("B", true),
        ("INBOX/x", true),
        ("a", false),
        ("a/b", true),
    ]);
    assert_eq!(account.create(&name("B"), &[]), Err(Error::AlreadyExists));
    assert!(matches!(account.delete(&name("a")), Err(Error::InUse(_))));
    assert!(matches!(
        account.delete(&name("INBOX")),
        Err(Error::Cannot(_))
    ));
    assert_eq!(account.delete(&name("c")), Err(Error::NonExistent));
    assert_eq!(
        account.rename(&name("c"), &name("d")),
        Err(Error::NonExistent)
    );
    assert_eq!(account.rename(&name("a"), &name("B/c")), Ok(()));
    assert!(matches!(
        account.rename(&name("B"), &name("B/c/d")),
        Err(Error::Cannot(_))
    ));
    assert_eq!(
        account.rename(&name("B/c/b"), &name("INBOX")),
        Err(Error::AlreadyExists)
    );
    listed(&[
        ("INBOX", true),
        ("B", true),
        ("B/c", false),
        ("B/c/b", true),
        ("INBOX/x", true),
    ]);

    let before = account.status(&name("B"), false).unwrap().uid_validity;
    account.delete(&name("B")).unwrap();
    account.create(&name("B"), &[]).unwrap();
    assert!(account.status(&name("B"), false).unwrap().uid_validity > before);
}

#[test]
fn renaming_inbox_moves_its_messages_only() {
    let memory = Memory::new();
    memory.inbox("anna").add(Mail::new("one\n"));
    let account = memory.open_account(&memory.locate("anna", None)).unwrap();
    account.rename(&MailboxName::inbox(), &name("old")).unwrap();
    let messages = |n: &str| account.status(&name(n), true).unwrap();
    assert_eq!(messages("INBOX").counts.messages, 0);
    assert_eq!(messages("INBOX").uid_next.value(), 2);
    assert_eq!(messages("old").counts.messages, 1);
    assert_eq!(messages("old").size, Some(5));
}

#[test]
fn what_an_mta_delivers_is_there_after_a_look() {
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let watch = inbox.watch(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    memory.set_now(START + 60);
    inbox.deliver(Mail::new("a\nb\r\n\r\nc"));
    assert!(woken.load(Ordering::Relaxed) > 0 && !inbox.is_current());
    assert_eq!(inbox.messages().read().unwrap().len(), 0);
    inbox.refresh(Intake::Look).unwrap();
    assert!(inbox.is_current());
    assert_eq!(values(inbox.messages().read().unwrap().uids()), [1]);
    assert_eq!(inbox.messages().read().unwrap().recent().len(), 1);
    assert_eq!(inbox.size(Uid::MIN), Ok(9));
    assert_eq!(inbox.internal_date(Uid::MIN), Ok(START + 60));

    drop(watch);
    let before = woken.load(Ordering::Relaxed);
    inbox.vanish(Uid::MIN);
    assert_eq!(woken.load(Ordering::Relaxed), before);
    assert_eq!(inbox.message(Uid::MIN).map(drop), Err(Error::Expunged));
    assert_eq!(inbox.messages().read().unwrap().len(), 1);
    inbox.refresh(Intake::Take).unwrap();
    assert!(inbox.messages().read().unwrap().is_empty());
}

#[test]
fn uploads_are_delivered_in_order_and_all_or_none() {
    let memory = Memory::new();
    let account = memory.open_account(&memory.locate("anna", None)).unwrap();
    let upload = |text: &str, keyword: &str| {
        let mut upload = account.upload(&MailboxName::inbox()).unwrap();
        for octet in text.as_bytes() {
            upload.write(&[*octet]).unwrap();
        }
        let flags = add_flags(&[SystemFlag::Draft], &[keyword]).flags;
        upload.finish(&flags, Some(7)).unwrap();
        upload
    };
    let placed = account
        .deliver(
            &MailboxName::inbox(),
            vec![upload("x", "k0"), upload("yy", "K0")],
        )
        .unwrap();
    assert_eq!(values(&placed.uids), [1, 2]);
    let inbox = memory.inbox("anna");
    assert_eq!(
        inbox.message(placed.uids[1]).unwrap().read_all().unwrap(),
        b"yy"
    );
    assert_eq!(inbox.internal_date(placed.uids[0]), Ok(7));

    let many = (1..=MAX_KEYWORDS)
        .map(|n| upload("z", &format!("k{n}")))
        .collect();
    assert!(matches!(
        account.deliver(&MailboxName::inbox(), many),
        Err(Error::Limit(_))
    ));
    assert_eq!(inbox.messages().read().unwrap().len(), 2);
    assert_eq!(
        inbox.messages().read().unwrap().keywords().iter().count(),
        1
    );
}

#[test]
fn store_tells_what_it_left_alone() {
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    for _ in 0..4 {
        inbox.add(Mail::new("x\n"));
    }
    let all = uids(&[1, 2, 3, 4, 9]);
    inbox.vanish(Uid::new(4).unwrap());
    let first = inbox
        .store(&uids(&[2]), &add_flags(&[SystemFlag::Seen], &["k"]))
        .unwrap();
    let conditional = FlagChange {
        unchanged_since: first.mod_seq.map(|mod_seq| ModSeq(mod_seq.0 - 1)),
        ..add_flags(&[SystemFlag::Deleted], &[])
    };
    let second = inbox.store(&all, &conditional).unwrap();
    assert_eq!(second.modified, uids(&[2]));
    assert_eq!(second.missing, uids(&[4, 9]));
    assert!(second.mod_seq > first.mod_seq);
    let flags = |uid| {
        inbox
            .messages()
            .read()
            .unwrap()
            .flags(Uid::new(uid).unwrap())
    };
    assert_eq!(flags(1), Some(Flags::NONE.with(SystemFlag::Deleted)));
    assert_eq!(
        flags(2),
        Some(Flags::NONE.with(SystemFlag::Seen).with_keyword(0))
    );
    // taking away a keyword that nobody knows adds none
    let remove = FlagChange {
        action: FlagAction::Remove,
        ..add_flags(&[SystemFlag::Deleted], &["unheard"])
    };
    inbox.store(&all, &remove).unwrap();
    assert_eq!(flags(1), Some(Flags::NONE));
    assert_eq!(
        inbox.messages().read().unwrap().keywords().iter().count(),
        1
    );
    assert_eq!(inbox.expunge(&all).unwrap(), uids(&[1, 2, 3]));
}

#[test]
fn copies_are_all_or_none_and_moves_leave_out_what_is_gone() {
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    for n in 0..3 {
        inbox.add(
            Mail::new(format!("{n}\n"))
                .dated(n)
                .flagged(add_flags(&[], &["k"]).flags),
        );
    }
    assert_eq!(
        inbox.copy(&uids(&[1]), &name("to")),
        Err(Error::NonExistent)
    );
    let to = memory.mailbox("anna", &name("to"));
    to.add(Mail::new("first").flagged(add_flags(&[], &["other"]).flags));
    assert_eq!(
        inbox.copy(&uids(&[1, 8]), &name("to")),
        Err(Error::Expunged)
    );
    let copied = inbox.copy(&uids(&[1, 2]), &name("to")).unwrap();
    let pairs = |pairs: &[(Uid, Uid)]| -> Vec<(u32, u32)> {
        pairs.iter().map(|(a, b)| (a.value(), b.value())).collect()
    };
    assert_eq!(pairs(&copied.pairs), [(1, 2), (2, 3)]);
    let second = Uid::new(3).unwrap();
    assert_eq!(to.internal_date(second), Ok(1));
    assert_eq!(
        to.messages().read().unwrap().flags(second),
        Some(Flags::NONE.with_keyword(1))
    );
    let moved = inbox.move_to(&uids(&[2, 3, 8]), &name("to")).unwrap();
    assert_eq!(pairs(&moved.pairs), [(2, 4), (3, 5)]);
    assert_eq!(values(inbox.messages().read().unwrap().uids()), [1]);
    inbox.copy(&uids(&[1]), &MailboxName::inbox()).unwrap();
    assert_eq!(values(inbox.messages().read().unwrap().uids()), [1, 4]);
}

#[test]
fn troubles_come_as_ordered() {
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    let uid = inbox.add(Mail::new("text")).unwrap();
    memory.fail_after(1, Error::NoSpace);
    assert!(inbox.refresh(Intake::Take).is_ok());
    assert_eq!(inbox.refresh(Intake::Take), Err(Error::NoSpace));
    assert!(inbox.refresh(Intake::Take).is_ok());

    memory.limit_reads(3);
    assert_eq!(inbox.message(uid).unwrap().read_at(0, &mut [0; 9]), Ok(3));
    assert_eq!(inbox.message(uid).unwrap().read_all().unwrap(), b"text");

    let hang = memory.hang();
    let hung = Arc::clone(&inbox);
    let thread = std::thread::spawn(move || hung.size(uid));
    assert!(!thread.is_finished());
    drop(hang);
    assert_eq!(thread.join().unwrap(), Ok(4));
}

#[test]
fn a_maildrop_is_for_one_session_and_remembers_what_others_noted() {
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    let uid = inbox.add(Mail::new("text")).unwrap();
    let held = inbox.lock_maildrop().unwrap();
    assert!(held.is_some());
    assert!(inbox.lock_maildrop().unwrap().is_none());
    drop(held);
    assert!(inbox.lock_maildrop().unwrap().is_some());

    assert_eq!(inbox.stored_unique_ids().unwrap(), []);
    inbox.set_pop3(
        uid,
        Pop3Fields {
            unique_id: Some("old".into()),
            order: Some(3),
            base_name: Some("1.x.host".into()),
        },
    );
    assert_eq!(
        inbox.stored_unique_ids().unwrap(),
        [(uid, "old".to_owned())]
    );
    assert_eq!(inbox.pop3_order(uid), Some(3));
    assert_eq!(inbox.base_name(uid), "1.x.host");
    assert_eq!(inbox.base_name(Uid::MAX), "");
}

#[test]
fn a_deleted_mailbox_says_so() {
    let memory = Memory::new();
    let gone = memory.mailbox("anna", &name("gone"));
    let account = memory.open_account(&memory.locate("anna", None)).unwrap();
    account.delete(&name("gone")).unwrap();
    assert_eq!(gone.refresh(Intake::Look), Err(Error::NonExistent));
    assert_eq!(
        account.upload(&name("gone")).map(drop),
        Err(Error::NonExistent)
    );
    assert_eq!(
        account.status(&name("gone"), false),
        Err(Error::NonExistent)
    );
}
