//! A session for the fuzzer: any octets, in two ways of cutting them, must be borne and answered the same, in whole responses, and with
//! sequence numbers that a client can follow.

use super::{Services, Session};
use crate::auth::fuzzing::Doorkeeper;
use crate::imap::settings::Settings;
use crate::mailbox::memory::{Mail, Memory};
use crate::mailbox::name::MailboxName;
use crate::protocol::fuzzing::{Client, Shell};
use crate::protocol::{Peer, TlsInfo};
use std::sync::Arc;

/// What is sent before the input, by the lowest three bits of the first octet and its highest: each state, and each dialect.
const PRELUDES: [&str; 16] = [
    "",
    "p LOGIN a a\r\n",
    "p LOGIN a a\r\np SELECT INBOX\r\n",
    "p LOGIN a a\r\np EXAMINE INBOX\r\n",
    "p LOGIN a a\r\np ENABLE IMAP4rev2 UTF8=ACCEPT\r\np SELECT INBOX\r\n",
    "p LOGIN a a\r\np SELECT INBOX\r\np IDLE\r\n",
    "p LOGIN a a\r\np APPEND box (\\Seen) {10}\r\n",
    "p AUTHENTICATE LOGIN\r\n",
    "p LOGIN a a\r\np ENABLE QRESYNC\r\np SELECT INBOX\r\n",
    "p LOGIN a a\r\np ENABLE QRESYNC\r\np SELECT INBOX\r\np STORE 2:3 +FLAGS (\\Deleted)\r\n",
    "p LOGIN a a\r\np SELECT INBOX (CONDSTORE)\r\n",
    "p LOGIN a a\r\np ENABLE IMAP4rev2 QRESYNC\r\np EXAMINE INBOX\r\n",
    "p LOGIN a a\r\np ENABLE UIDONLY\r\np SELECT INBOX\r\n",
    "p LOGIN a a\r\np ENABLE UIDONLY QRESYNC IMAP4rev2\r\np SELECT INBOX\r\n",
    "p LOGIN a a\r\np ENABLE QRESYNC\r\np SELECT INBOX\r\np IDLE\r\n",
    "p LOGIN a a\r\np NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge)) (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))\r\np SELECT INBOX\r\n",
];

/// The first octet chooses state and settings, the second the size of the pieces; the rest is what the client sends.
///
/// # Panics
/// If a session does not keep what it promises.
pub(crate) fn session(octets: &[u8]) {
    let [choice, piece, input @ ..] = octets else {
        return;
    };
    let whole = converse(*choice, input, usize::MAX);
    let pieces = converse(*choice, input, usize::from(*piece).max(1));
    // who is notified hears of what there is whenever nothing else is to be done, and so by the cuts
    let is_notified = prelude(*choice).contains("NOTIFY")
        || input
            .windows(6)
            .any(|word| word.eq_ignore_ascii_case(b"NOTIFY"));
    assert!(whole == pieces || is_notified, "cuts matter");
    follow(&pieces);
    assert!(whole.starts_with(b"* OK "), "no greeting");
    follow(&whole);
}

/// What is sent before the input.
fn prelude(choice: u8) -> &'static str {
    let chosen = PRELUDES.get(usize::from(choice & 7 | choice >> 7 << 3));
    chosen.copied().unwrap_or_default()
}

/// Everything that a session says to this input, taken in pieces of so many octets.
fn converse(choice: u8, input: &[u8], piece_octets: usize) -> Vec<u8> {
    let is = |bit: u8| choice >> bit & 1 == 1;
    let settings = Settings {
        allow_plaintext: true,
        delimiter: if is(3) { '.' } else { '/' },
        literal_minus: is(4),
        inbox_alias: !is(5),
        ..Settings::default()
    };
    let memory = Memory::new();
    for mail in MAILS {
        memory.inbox("a").add(Mail::new(mail));
    }
    if let Ok(name) = MailboxName::parse("box/below", '/') {
        memory.mailbox("a", &name).deliver(Mail::new("x"));
    }
    let services = Services {
        backend: Arc::new(memory),
        authenticator: Arc::new(Doorkeeper),
        host: Arc::new(Shell::default()),
    };
    let peer = Peer {
        id: 0,
        remote: ([127, 0, 0, 1], 1).into(),
        local: ([127, 0, 0, 1], 143).into(),
        tls: is(6).then(TlsInfo::default),
        may_start_tls: !is(6),
    };
    let mut client = Client::connect(Session::new(Arc::new(settings), services, peer));
    client.feed(prelude(choice).as_bytes());
    for piece in input.chunks(piece_octets) {
        client.feed(piece);
    }
    client.into_heard()
}

/// Messages with line ends of all kinds, parts, nothing at all.
const MAILS: [&str; 4] = [
    "From: a@example.org\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\ntext\r\n",
    "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\neA==\n--b\n\ntwo\n--b--\n",
    "no header\0",
    "",
];

/// Reads the responses as a client does, and keeps count of the messages.
fn follow(mut heard: &[u8]) {
    let mut messages = 0;
    let mut is_uid_only = false;
    while !heard.is_empty() {
        let (response, rest) = heard.split_at(response_octets(heard));
        heard = rest;
        let line = String::from_utf8_lossy(response);
        let mut words = line.split(' ');
        let (star, first, second) = (words.next(), words.next(), words.next());
        let number = first.and_then(|word| word.parse::<u32>().ok());
        match (star, number, second.map(str::trim_end)) {
            (Some("*"), Some(number), Some("EXISTS")) => {
                assert!(number >= messages, "EXISTS takes messages away");
                messages = number;
            }
            (Some("*"), Some(number), Some("EXPUNGE")) => {
                assert!(!is_uid_only, "a message number");
                assert!(0 < number && number <= messages, "EXPUNGE of nothing");
                messages -= 1;
            }
            (Some("*"), Some(number), Some("FETCH")) => {
                assert!(!is_uid_only, "a message number");
                assert!(0 < number && number <= messages, "FETCH of nothing");
            }
            (Some("*"), None, Some(set)) if first == Some("VANISHED") && set != "(EARLIER)" => {
                let gone = uids_in(set);
                assert!(0 < gone && gone <= messages, "VANISHED of nothing");
                messages -= gone;
            }
            (Some("*"), None, Some(_)) if first == Some("ENABLED") => {
                is_uid_only |= line.contains("UIDONLY");
            }
            // SELECT begins anew
            (Some("*"), None, Some("[CLOSED]" | "[PERMANENTFLAGS")) if line.contains("CLOSED") => {
                messages = 0;
            }
            (Some(_), ..) | (None, ..) => {}
        }
        let left = ["UNSELECT completed\r\n", "CLOSE completed\r\n"];
        if first == Some("OK") && left.iter().any(|text| line.ends_with(text)) {
            messages = 0;
        }
    }
}

/// How many UIDs a set names.
fn uids_in(set: &str) -> u32 {
    let count = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let ends = first.parse::<u32>().ok().zip(last.parse::<u32>().ok());
        assert!(
            ends.is_some_and(|(first, last)| 0 < first && first <= last),
            "no set of UIDs"
        );
        ends.map_or(0, |(first, last)| last - first + 1)
    };
    set.split(',').map(count).sum()
}

/// How long the first response is, its literals included.
fn response_octets(heard: &[u8]) -> usize {
    let mut octets = 0;
    loop {
        let rest = heard.get(octets..).unwrap_or_default();
        let end = rest.iter().position(|octet| *octet == b'\n');
        assert!(end.is_some(), "half a line");
        let line = rest.get(..=end.unwrap_or_default()).unwrap_or_default();
        assert!(line.ends_with(b"\r\n"), "LF without CR");
        assert!(!line.contains(&0), "NUL in a line");
        octets += line.len();
        let Some(announced) = line.strip_suffix(b"}\r\n") else {
            return octets;
        };
        let digits = announced.rsplit(|octet| *octet == b'{').next();
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(literal) = digits.and_then(|digits| digits.parse::<usize>().ok()) else {
            return octets;
        };
        octets += literal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines that lead somewhere.
    const SEEDS: [&str; 15] = [
        "",
        "a CAPABILITY\r\nb LOGIN a a\r\nc LOGOUT\r\n",
        "a LOGIN a {1}\r\na\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY[])\r\n",
        "a AUTHENTICATE PLAIN AGEAYQ==\r\nb LIST \"\" *\r\nc STATUS box (MESSAGES)\r\n",
        "a STORE 1:2 +FLAGS (\\Deleted x)\r\nb EXPUNGE\r\nc NOOP\r\nd FETCH 1:* UID\r\n",
        "a UID MOVE 1:* box\r\nb UID COPY 1 INBOX\r\nc SEARCH RETURN (SAVE) ALL\r\nd FETCH $ ALL\r\n",
        "a APPEND INBOX {3+}\r\nabc {4+}\r\nabcd\r\nb APPEND nowhere {5}\r\nc NOOP\r\n",
        "a CREATE x/y\r\nb RENAME x INBOX.z\r\nc SELECT INBOX.z\r\nd DELETE z/y\r\ne LSUB \"\" %\r\n",
        "DONE\r\na IDLE\r\nDONE\r\nb CLOSE\r\nc UNSELECT\r\n",
        "0123456789 (\\Flagged) {2+}\r\nab\r\na STARTTLS\r\nb NOOP\r\n",
        "YQ==\r\nYQ==\r\na LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% box*) RETURN (CHILDREN STATUS (SIZE))\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "a SELECT INBOX (QRESYNC (1767225600 0 1:9 (1,3 1,3)))\r\nb UID FETCH 1:* FLAGS (CHANGEDSINCE 0 VANISHED)\r\n",
        "a UID STORE 1:* (UNCHANGEDSINCE 4) +FLAGS.SILENT (\\Deleted)\r\nb UID EXPUNGE 1:2\r\nc EXPUNGE\r\n",
        "a SEARCH RETURN (ALL MAX) MODSEQ \"/flags/\\\\Seen\" all 3\r\nb FETCH 1:2 (MODSEQ)\r\nc STATUS INBOX (HIGHESTMODSEQ)\r\n",
    ];

    proptest! {
        #[test]
        fn any_octets_are_borne(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            session(&octets);
        }

        #[test]
        fn damaged_seeds_are_borne(
            choice in any::<u8>(),
            piece in any::<u8>(),
            order in prop::collection::vec(0..SEEDS.len(), 1..4),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut octets = vec![choice, piece];
            for seed in order {
                octets.extend_from_slice(SEEDS[seed].as_bytes());
            }
            for (at, octet) in damage {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            session(&octets);
        }

        #[test]
        fn seeds_in_any_order_are_borne(
            choice in any::<u8>(),
            piece in any::<u8>(),
            order in prop::collection::vec(0..SEEDS.len(), 0..6),
        ) {
            let mut octets = vec![choice, piece];
            for seed in order {
                octets.extend_from_slice(SEEDS[seed].as_bytes());
            }
            session(&octets);
        }
    }

    #[test]
    fn seeds_are_borne() {
        for choice in 0..=255 {
            for seed in SEEDS {
                session(&[&[choice, 1], seed.as_bytes()].concat());
            }
        }
    }
}
