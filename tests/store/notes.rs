//! Reading many messages, and what is noted about them.

use super::spool::{Spool, name, octets, set, uid, uids};
use crate::log::logged;
use restante::mailbox::backend::{Error, Extent, Intake, Mailbox};
use restante::mailbox::id::Uid;
use restante::mailbox::notes::{Kind, PageNumber};
use std::fs;
use std::sync::{Arc, Mutex};

/// Messages of 1 to `count`, the first ones compressed or with long headers, some still in `new/`.
fn filled(spool: &Spool, count: usize) -> Arc<dyn Mailbox> {
    let account = spool.account();
    let mailbox = account.open(&name("INBOX"), Intake::Look).unwrap();
    for number in 1..=count {
        let place = if number % 10 == 0 { "new" } else { "cur" };
        let text = format!(
            "Subject: {number}\nX-Long: {}\n\nbody {number}\n{}",
            "x".repeat(if number == 2 { 40_000 } else { 10 }),
            "y\n".repeat(number * 100)
        );
        let file = spool.path(&format!("{place}/{number:05}.M1P1.host"));
        fs::write(file, text).unwrap();
    }
    mailbox.refresh(Intake::Look).unwrap();
    assert_eq!(uids(&*mailbox).len(), count);
    mailbox
}

/// What is read of each message: its date and its octets, in the order of the UIDs.
fn read(mailbox: &dyn Mailbox, uids: &[Uid], extent: Extent) -> Vec<Result<(i64, Vec<u8>), Error>> {
    let found = Mutex::new(vec![None; uids.len()]);
    mailbox.read_each(uids, extent, &|at, reading| {
        let reading = reading.map(|reading| (reading.date, reading.octets.to_vec()));
        let before = found.lock().unwrap()[at].replace(reading);
        assert!(before.is_none(), "message {at} was read twice");
    });
    let found = found.into_inner().unwrap();
    found.into_iter().map(|found| found.unwrap()).collect()
}

#[test]
fn many_messages_are_read_as_each_alone() {
    let spool = Spool::new();
    let mailbox = filled(&spool, 300);
    let all: Vec<Uid> = uids(&*mailbox).into_iter().map(uid).collect();
    // one that another program renamed, one that it took away
    let at = |number: usize| spool.path(&format!("cur/{number:05}.M1P1.host"));
    fs::rename(at(3), spool.path("cur/00003.M1P1.host:2,S")).unwrap();
    let gone = all[6];
    assert!(octets(&*mailbox, gone).starts_with(b"Subject: 7\n"));
    fs::remove_file(at(7)).unwrap();
    for extent in [Extent::Whole, Extent::Small, Extent::Header, Extent::Date] {
        let found = read(&*mailbox, &all, extent);
        for (uid, found) in all.iter().zip(found) {
            if *uid == gone {
                assert_eq!(found, Err(Error::Expunged));
                continue;
            }
            let (date, read) = found.unwrap();
            assert_eq!(date, mailbox.internal_date(*uid).unwrap());
            let whole = octets(&*mailbox, *uid);
            match extent {
                Extent::Date => assert!(read.is_empty()),
                Extent::Header => {
                    assert!(whole.starts_with(&read), "{uid}");
                    assert!(read.windows(2).any(|two| two == b"\n\n"), "{uid}");
                }
                Extent::Small | Extent::Whole => assert!(read == whole, "{uid}"),
            }
        }
    }
}

#[test]
fn notes_outlive_the_process_and_are_of_one_mailbox() {
    let spool = Spool::new();
    let mailbox = filled(&spool, 5);
    let kinds = [Kind::Envelope, Kind::Size];
    let page = PageNumber::of(uid(1));
    let rows = vec![
        (uid(1), vec![Some(b"one".to_vec()), None]),
        (uid(2), vec![Some(b"two".to_vec()), Some(b"2".to_vec())]),
    ];
    let kept = mailbox.keep_notes(&kinds, &[(page, rows)]);
    assert_eq!(kept[0].get(0, uid(2)), Some(b"two".as_slice()));
    drop(mailbox);
    let account = spool.account();
    let again = account.open(&name("INBOX"), Intake::Look).unwrap();
    let notes = again.notes(&kinds, &[PageNumber::of(uid(64)), page]);
    assert_eq!(notes[0].get(0, uid(64)), None);
    let found = |kind, number| notes[1].get(kind, uid(number));
    assert_eq!(found(0, 1), Some(b"one".as_slice()));
    assert_eq!(found(1, 1), None);
    assert_eq!(found(1, 2), Some(b"2".as_slice()));
    assert_eq!(found(0, 3), None);
    account.create(&name("Other"), &[]).unwrap();
    let other = account.open(&name("Other"), Intake::Look).unwrap();
    assert_eq!(other.notes(&kinds, &[page])[0].get(0, uid(1)), None);
    // and they say nothing of messages to come
    again.expunge(&set(&[1])).unwrap();
    assert_eq!(uids(&*again), [2, 3, 4, 5]);
}

#[test]
fn sizes_are_measured_once() {
    let spool = Spool::new();
    let mailbox = filled(&spool, 100);
    let all: Vec<Uid> = uids(&*mailbox).into_iter().map(uid).collect();
    fs::remove_file(spool.path("cur/00007.M1P1.host")).unwrap();
    let sizes = mailbox.sizes(&all);
    assert_eq!(sizes[6], Err(Error::Expunged));
    for (uid, size) in all.iter().zip(&sizes) {
        if let Ok(size) = size {
            let octets = octets(&*mailbox, *uid);
            let ends = octets.iter().filter(|octet| **octet == b'\n').count();
            assert_eq!(*size, (octets.len() + ends) as u64, "{uid}");
        }
    }
    drop(mailbox);
    // messages do not change; this one shows that it is not read again
    fs::write(spool.path("cur/00008.M1P1.host"), "").unwrap();
    let account = spool.account();
    let again = account.open(&name("INBOX"), Intake::Look).unwrap();
    assert_eq!(again.sizes(&[uid(8)]), [sizes[7].clone()]);
}

#[test]
fn an_operator_hears_of_damaged_notes() {
    let spool = Spool::new();
    let mailbox = filled(&spool, 3);
    let page = PageNumber::of(uid(1));
    let rows = vec![(uid(1), vec![Some(b"one".to_vec())])];
    mailbox.keep_notes(&[Kind::Envelope], &[(page, rows)]);
    drop(mailbox);
    let files = fs::read_dir(spool.index()).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "sqlite"));
    let database = rusqlite::Connection::open(file.unwrap()).unwrap();
    let damage = "UPDATE page SET octets = x'00'";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    let account = spool.account();
    let again = account.open(&name("INBOX"), Intake::Look).unwrap();
    let note = || {
        again.notes(&[Kind::Envelope], &[page])[0]
            .get(0, uid(1))
            .map(<[u8]>::to_vec)
    };
    let lines = logged(|| assert_eq!(note(), None));
    assert!(lines.contains("index_rebuilt"), "{lines}");
    assert!(lines.contains("notes about messages are damaged"));
    // once
    assert_eq!(logged(|| assert_eq!(note(), None)), "");
    assert_eq!(uids(&*again), [1, 2, 3]);
}
