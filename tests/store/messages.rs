//! Messages by this server alone: octets, flags, keywords, copies and moves.

use super::spool::{Spool, change, flags, keyword, name, octets, picture, set, uid, uids};
use restante::mailbox::backend::{Error, FlagChange, Intake};
use restante::mailbox::flag::{FlagAction, NamedFlags, SystemFlag};
use restante::mailbox::uid_set::UidSet;
use std::fs;
use std::path::Path;

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
