//! Messages that Dovecot's zlib plugin compressed: read by every way there is, copied as they lie.

use super::spool::{Spool, flags, name, octets, set, uid};
use crate::log::logged;
use restante::mailbox::backend::{Error, Intake};
use restante::mailbox::flag::SystemFlag;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// A message of some size that does not compress to nothing.
fn message(lines: u32) -> Vec<u8> {
    let mut message = b"Subject: compressed\n\n".to_vec();
    for n in 0..lines {
        message.extend(format!("line {} {n}\n", n.wrapping_mul(2_654_435_761)).bytes());
    }
    message
}

/// Octets with CRLF.
fn crlf_octets(message: &[u8]) -> u64 {
    let lines = message.iter().filter(|octet| **octet == b'\n').count();
    (message.len() + lines) as u64
}

/// Puts a file into `cur/`, as a delivery agent left it.
fn put(spool: &Spool, file_name: &str, octets: &[u8]) -> PathBuf {
    spool.account();
    let path = spool.path("cur").join(file_name);
    fs::write(&path, octets).unwrap();
    path
}

#[test]
fn a_compressed_message_is_read_at_any_place_and_has_its_own_size() {
    // small enough for memory, and not
    for lines in [10, 40_000] {
        let spool = Spool::new();
        let message = message(lines);
        let (stored, wire) = (message.len(), crlf_octets(&message));
        for name in [
            "1.a.host".to_owned(),
            format!("2.a.host,S={stored}"),
            format!("3.a.host,S={stored},W={wire}:2,S"),
            // sizes that cannot be are not believed
            format!("4.a.host,S={stored},W={}:2,S", stored - 1),
        ] {
            put(&spool, &name, &gzip(&message));
        }
        let account = spool.account();
        let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
        assert_eq!(inbox.read().len(), 4);
        for n in 1..=4 {
            assert_eq!(inbox.size(uid(n)).unwrap(), wire, "{n} of {lines} lines");
            let mut opened = inbox.message(uid(n)).unwrap();
            assert_eq!(opened.stored_octets(), stored as u64);
            // nothing lies about while it is open
            assert!(spool.files("tmp").is_empty());
            for at in [stored - 3, 0, stored / 2] {
                let mut piece = [0; 3];
                let read = opened.read_at(at as u64, &mut piece).unwrap();
                assert_eq!(piece[..read], message[at..at + 3], "{n} at {at}");
            }
            assert_eq!(opened.read_at(stored as u64, &mut [0; 3]), Ok(0));
            assert!(opened.read_all().unwrap() == message);
        }
        assert_eq!(
            account.status(&name("INBOX"), true).unwrap().size,
            Some(4 * wire)
        );
    }
}

#[test]
fn a_size_told_is_believed_without_reading() {
    let spool = Spool::new();
    let file = gzip(b"Subject: x\n\nbody\n");
    put(&spool, "1.a.host,S=1000,W=1020:2,S", &file);
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    assert_eq!(inbox.size(uid(1)), Ok(1020));
}

#[test]
fn copies_and_moves_leave_it_as_it_lies() {
    let spool = Spool::new();
    let message = message(10);
    let (stored, wire) = (message.len(), crlf_octets(&message));
    let file = gzip(&message);
    put(&spool, &format!("1.a.host,S={stored},W={wire}:2,S"), &file);
    let account = spool.account();
    account.create(&name("Box"), &[]).unwrap();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    inbox.copy(&set(&[1]), &name("Box")).unwrap();
    inbox.move_to(&set(&[1]), &name("Box")).unwrap();
    let target = account.open(&name("Box"), Intake::Take).unwrap();
    for (n, file_name) in spool.files(".Box/cur").iter().enumerate() {
        assert!(
            file_name.contains(&format!(",S={stored},W={wire}:2,S")),
            "{file_name}"
        );
        let path = spool.path(".Box/cur").join(file_name);
        assert_eq!(fs::read(path).unwrap(), file);
        let uid = uid(u32::try_from(n).unwrap() + 1);
        assert_eq!(octets(&*target, uid), message);
        assert_eq!(target.size(uid), Ok(wire));
    }
    assert_eq!(target.read().len(), 2);
}

#[test]
fn a_damaged_one_is_told_as_such_and_costs_itself_only() {
    let spool = Spool::new();
    let file = gzip(&message(10));
    let path = put(&spool, "1.a.host:2,S", &file[..file.len() - 9]);
    put(&spool, "2.a.host:2,S", b"CRYPTED\x03\x07\x02\0\0\0\0secret");
    put(&spool, "3.a.host:2,S", b"Subject: sound\n\nbody\n");
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let log = logged(|| {
        assert_eq!(inbox.message(uid(1)).err(), Some(Error::Corrupt));
    });
    assert!(log.contains("storage_failed"), "{log}");
    assert!(log.contains(path.to_str().unwrap()), "{log}");
    assert!(log.contains("backup"), "{log}");
    let log = logged(|| {
        let error = inbox.message(uid(2)).err();
        assert!(matches!(error, Some(Error::Cannot(_))), "{error:?}");
    });
    assert!(log.contains("mail_crypt"), "{log}");
    // POP3's STAT needs all sizes
    assert_eq!(inbox.size(uid(1)), Ok(file.len() as u64 - 9));
    assert!(account.status(&name("INBOX"), true).unwrap().size > Some(0));
    assert_eq!(octets(&*inbox, uid(3)), b"Subject: sound\n\nbody\n");
}

#[test]
fn sizes_measured_together_are_those_measured_one_by_one() {
    let spool = Spool::new();
    let (sound, large) = (message(10), vec![b'\n'; 3 << 20]);
    let (stored, wire) = (sound.len(), crlf_octets(&sound));
    let file = gzip(&sound);
    let files: [(String, &[u8], u64); 7] = [
        ("1.a.host:2,S".to_owned(), &sound, wire),
        (
            format!("2.a.host,S={stored},W={}:2,S", wire + 1),
            &sound,
            wire + 1,
        ),
        (format!("3.a.host,S=1,W={}:2,S", wire + 1), &sound, wire),
        ("4.a.host:2,S".to_owned(), &file, wire),
        (
            format!("5.a.host,S={stored},W={}:2,S", wire + 1),
            &file,
            wire + 1,
        ),
        (
            "6.a.host:2,S".to_owned(),
            &file[..file.len() - 9],
            file.len() as u64 - 9,
        ),
        ("7.a.host:2,S".to_owned(), &large, 6 << 20),
    ];
    for (file_name, octets, _) in &files {
        put(&spool, file_name, octets);
    }
    // without an index nothing is noted for the second one
    let (together, single) = (spool.account_without_index(), spool.account_without_index());
    let inbox = together.open(&name("INBOX"), Intake::Take).unwrap();
    let all: Vec<_> = (1..=7).map(uid).collect();
    let sizes = inbox.sizes(&all);
    let inbox = single.open(&name("INBOX"), Intake::Take).unwrap();
    for ((uid, size), (file_name, _, expected)) in all.iter().zip(sizes).zip(&files) {
        assert_eq!(size, Ok(*expected), "{file_name}");
        assert_eq!(inbox.size(*uid), Ok(*expected), "{file_name}");
    }
}

#[test]
fn nobody_can_append_what_would_be_read_otherwise() {
    let spool = Spool::new();
    let account = spool.account();
    for (text, is_taken) in [
        (&gzip(b"Subject: x\n\n")[..], false),
        (b"CRYPTED\x03\x07 and so on", false),
        (b"\x1f\x8b", true),
        (b"Subject: x\r\n\r\n\x1f\x8b\x08", true),
    ] {
        // whole, and octet by octet
        for chunk in [text.len(), 1] {
            let mut upload = account.upload(&name("INBOX")).unwrap();
            for octets in text.chunks(chunk) {
                upload.write(octets).unwrap();
            }
            let finished = upload.finish(&flags(&[SystemFlag::Seen]), None);
            assert_eq!(finished.is_ok(), is_taken, "{text:?}");
            if !is_taken {
                assert!(matches!(finished, Err(Error::Cannot(_))), "{finished:?}");
            }
        }
    }
    assert!(spool.files("tmp").is_empty());
}
