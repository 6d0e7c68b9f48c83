//! FETCH over the store in memory; every answer is checked against the grammar.

use super::section::Transfer;
use super::*;
use crate::imap::encode::grammar::{Fetched, fetches};
use crate::imap::parse;
use crate::imap::types::command::CommandBody;
use crate::mailbox::backend::{Mailbox, Message};
use crate::mailbox::memory::{Mail, Memory, MemoryMailbox};
use crate::mailbox::name::MailboxName;
use crate::mailbox::read_ahead::ReadAhead;
use crate::message::lines::push_crlf;
use proptest::prelude::*;
use std::sync::{Arc, RwLockReadGuard};
use std::thread;

/// One piece of output, with the largest message of these tests, which is sent from where it was made.
const MAX_PIECE_OCTETS: usize = HIGH_WATER_OCTETS + 2_100_000;

/// A mailbox with messages, and a connection that has selected it.
struct Bench {
    memory: Memory,
    inbox: Arc<MemoryMailbox>,
    selected: Selected,
    dialect: Dialect,
    /// Pieces of the last answer.
    pieces: usize,
    cursor_was_within_literal: bool,
}

impl Bench {
    fn new(messages: &[&[u8]]) -> Self {
        let memory = Memory::new();
        let inbox = memory.inbox("joe");
        for message in messages {
            inbox.add(Mail::new(*message).dated(760_686_745)).unwrap();
        }
        let mailbox: Arc<dyn Mailbox> = Arc::clone(&inbox) as _;
        let selected = Selected::open(mailbox, MailboxName::inbox(), false);
        Self {
            memory,
            inbox,
            selected,
            dialect: Dialect {
                rev2: true,
                utf8: false,
                ..Dialect::default()
            },
            pieces: 0,
            cursor_was_within_literal: false,
        }
    }

    /// Does a command; what was sent, and how it ended.
    fn run(&mut self, line: &str) -> (Vec<u8>, Result<(), CommandError>) {
        let command = parse::command(format!("a {line}\r\n").as_bytes()).unwrap();
        let CommandBody::Fetch {
            uid,
            set,
            items,
            modifiers,
        } = command.body
        else {
            panic!("{line}")
        };
        let mut out = Vec::new();
        self.pieces = 0;
        let cursor = FetchCursor::new(
            uid,
            &set,
            items,
            modifiers,
            &mut self.selected,
            &self.dialect,
        );
        let mut cursor = match cursor {
            Ok(cursor) => cursor,
            Err(error) => return (out, Err(error)),
        };
        loop {
            let mut piece = Output::default();
            let progress = cursor.advance(&mut self.selected, &self.dialect, &mut piece);
            assert!(piece.len() < MAX_PIECE_OCTETS, "{}", piece.len());
            self.pieces += 1;
            out.extend(piece.into_octets());
            self.cursor_was_within_literal = cursor.is_within_literal();
            match progress {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => return (out, Ok(())),
                Err(error) => return (out, Err(error)),
            }
        }
    }

    fn fetch(&mut self, line: &str) -> Vec<Fetched> {
        let (out, end) = self.run(line);
        assert_eq!(end, Ok(()), "{line}");
        fetches(&out).unwrap()
    }

    /// The one value of a FETCH of one item of the first message.
    fn value(&mut self, item: &str) -> Vec<u8> {
        let mut fetched = self.fetch(&format!("FETCH 1 {item}"));
        assert_eq!(fetched.len(), 1);
        let (_, value) = fetched.remove(0).items.pop_first().unwrap();
        value
    }

    fn text(&mut self, item: &str) -> String {
        String::from_utf8(self.value(item)).unwrap()
    }

    fn flags(&self, uid: u32) -> Flags {
        self.selected
            .mailbox
            .read()
            .flags(Uid::new(uid).unwrap())
            .unwrap()
    }
}

fn wire(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_crlf(octets, &mut 0, &mut out);
    out
}

const SIMPLE: &[u8] = b"Subject: one\nFrom: a@b\nX-A: 1\n 2\n\nbody\nline 2\0\r\nend";

#[test]
fn from_memory_alone() {
    let mut bench = Bench::new(&[SIMPLE, SIMPLE, SIMPLE]);
    let before = bench.memory.clone();
    before.fail_after(0, backend::Error::Unavailable);
    let (out, end) = bench.run("UID FETCH 2:* (FLAGS)");
    assert_eq!(end, Ok(()));
    assert_eq!(
        out,
        b"* 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 FLAGS ())\r\n"
    );
    let (out, _) = bench.run("FETCH 1 FLAGS");
    assert_eq!(out, b"* 1 FETCH (FLAGS ())\r\n");
    let cursor = FetchCursor::new(
        true,
        &SequenceSet::Saved,
        vec![FetchItem::Flags, FetchItem::Uid],
        FetchModifiers::default(),
        &mut bench.selected,
        &bench.dialect,
    );
    assert!(!cursor.unwrap().needs_disk());
}

#[test]
fn what_is_ready_needs_no_disk() {
    let texts: Vec<Vec<u8>> = (0..300_usize)
        .map(|number| [SIMPLE, &b"line\n".repeat(number * 31 % 3000)].concat())
        .collect();
    let messages: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    for (items, may_be_ready) in [
        ("(FLAGS BODY.PEEK[] INTERNALDATE RFC822.SIZE)", true),
        ("RFC822", false),
        ("(BODY.PEEK[] SAVEDATE)", false),
        ("(BODY.PEEK[] BODY.PEEK[TEXT])", false),
    ] {
        let line = format!("UID FETCH 1:* {items}");
        let (expected, _) = Bench::new(&messages).run(&line);
        let mut bench = Bench::new(&messages);
        bench.memory.have_helpers();
        let command = parse::command(format!("a {line}\r\n").as_bytes()).unwrap();
        let CommandBody::Fetch { set, items, .. } = command.body else {
            panic!("{line}")
        };
        let (selected, dialect) = (&mut bench.selected, bench.dialect);
        let none = FetchModifiers::default();
        let mut cursor = FetchCursor::new(true, &set, items, none, selected, &dialect).unwrap();
        let (mut out, mut quick) = (Vec::new(), 0);
        loop {
            let mut piece = Output::default();
            while cursor.ahead.as_ref().is_some_and(ReadAhead::is_helped) {
                thread::yield_now();
            }
            // as long as nothing is needed from it, the disk hangs
            let hang = (!cursor.needs_disk()).then(|| bench.memory.hang());
            quick += usize::from(hang.is_some());
            let progress = cursor.advance(selected, &dialect, &mut piece);
            assert!(!piece.is_empty() || progress == Ok(Progress::Done));
            assert!(piece.len() < MAX_PIECE_OCTETS);
            out.extend(piece.into_octets());
            if progress == Ok(Progress::Done) {
                break;
            }
        }
        assert_eq!(out, expected);
        assert_eq!(quick > 0, may_be_ready, "{line}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_item() {
    let mut bench = Bench::new(&[SIMPLE]);
    let whole = wire(SIMPLE);
    let (header, body) =
        whole.split_at(whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
    for (item, expected) in [
        ("UID", &b"1"[..]),
        ("FLAGS", b"()"),
        ("INTERNALDATE", b"\" 8-Feb-1994 05:52:25 +0000\""),
        ("RFC822.SIZE", whole.len().to_string().as_bytes()),
        ("BODY.PEEK[]", &whole),
        ("BODY.PEEK[HEADER]", header),
        ("BODY.PEEK[TEXT]", body),
        ("BODY.PEEK[1]", body),
        ("BODY.PEEK[1.MIME]", header),
        ("BODY.PEEK[2]", b"NIL"),
        ("BODY.PEEK[1.HEADER]", b"NIL"),
        ("BODY.PEEK[1.TEXT]", b"NIL"),
        ("BODY.PEEK[1.HEADER.FIELDS (subject)]", b"NIL"),
        (
            "BODY.PEEK[HEADER.FIELDS (x-a SUBJECT)]",
            b"Subject: one\r\nX-A: 1\r\n 2\r\n\r\n",
        ),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (x-a SUBJECT)]",
            b"From: a@b\r\n\r\n",
        ),
        ("BODY.PEEK[HEADER.FIELDS (none)]", b"\r\n"),
        ("BODY.PEEK[]<0.7>", b"Subject"),
        ("BODY.PEEK[]<11.4>", b"e\r\nF"),
        ("BODY.PEEK[]<12.1>", b"\r"),
        ("BODY.PEEK[]<13.1>", b"\n"),
        ("BODY.PEEK[]<1000.1>", b""),
        ("BODY.PEEK[]<9999999999.9999999999>", b""),
        ("BODY.PEEK[TEXT]<4.1000>", &body[4..]),
        ("BODY.PEEK[1]<4.2>", b"\r\n"),
        ("BODY.PEEK[HEADER.FIELDS (subject)]<9.3>", b"one"),
        ("BODY.PEEK[HEADER]<20.1000>", &header[20..]),
        ("BINARY.PEEK[1]", b"body\r\nline 2\0\r\nend"),
        ("BINARY.PEEK[1]<4.3>", b"\r\nl"),
        ("BINARY.SIZE[1]", b"18"),
        ("BINARY.SIZE[7]", b"0"),
        ("BINARY.PEEK[7]", b"NIL"),
        ("RFC822.HEADER", header),
        (
            "BODY",
            b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 18 2)",
        ),
    ] {
        assert_eq!(bench.value(item), expected, "{item}");
    }
    assert!(bench.flags(1).is_empty());
    assert!(
        bench
            .text("ENVELOPE")
            .starts_with("(NIL \"one\" ((NIL NIL \"a\" \"b\"))")
    );
    assert!(
        bench
            .text("BODYSTRUCTURE")
            .ends_with("18 2 NIL NIL NIL NIL)")
    );
    assert_eq!(bench.value("RFC822"), whole);
}

#[test]
fn several_items_in_one_response() {
    let mut bench = Bench::new(&[SIMPLE]);
    let (out, end) = bench.run("UID FETCH 1 (BODY.PEEK[TEXT]<0.4> FLAGS BODY.PEEK[9] RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From)])");
    assert_eq!(end, Ok(()));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "* 1 FETCH (UID 1 BODY[TEXT]<0> {4}\r\nbody FLAGS () BODY[9] NIL RFC822.SIZE 57 \
         BODY[HEADER.FIELDS (From)] {13}\r\nFrom: a@b\r\n\r\n)\r\n"
    );
}

#[test]
fn seen_is_set_by_reading() {
    for (item, expected) in [
        ("BODY[]", true),
        ("BODY[TEXT]<0.1>", true),
        ("RFC822", true),
        ("RFC822.TEXT", true),
        ("BINARY[1]", true),
        ("BODY.PEEK[]", false),
        ("RFC822.HEADER", false),
        ("BINARY.SIZE[1]", false),
        ("(ENVELOPE BODYSTRUCTURE)", false),
    ] {
        let mut bench = Bench::new(&[SIMPLE, SIMPLE]);
        bench.fetch(&format!("FETCH 1 {item}"));
        assert_eq!(bench.flags(1).has(SystemFlag::Seen), expected, "{item}");
        assert!(bench.flags(2).is_empty());
        // the change is one that the session will tell of
        let view = bench.selected.view.told();
        assert_eq!(bench.inbox.read().highest_mod_seq() > view, expected);
    }
    let mut bench = Bench::new(&[SIMPLE]);
    bench.selected.read_only = true;
    bench.fetch("FETCH 1 BODY[]");
    assert!(bench.flags(1).is_empty());
}

trait Read {
    fn read(&self) -> RwLockReadGuard<'_, Messages>;
}

impl Read for Arc<MemoryMailbox> {
    fn read(&self) -> RwLockReadGuard<'_, Messages> {
        self.messages().read().unwrap()
    }
}

#[test]
fn one_change_for_many_messages() {
    let messages = vec![SIMPLE; 100];
    let mut bench = Bench::new(&messages);
    let before = bench.inbox.read().highest_mod_seq();
    bench.fetch("FETCH 1:* BODY[TEXT]");
    assert_eq!(bench.inbox.read().highest_mod_seq(), before.next());
}

#[test]
fn messages_that_are_gone() {
    for (vanish, items) in [
        (false, "FLAGS"),
        (true, "BODY.PEEK[]"),
        (true, "INTERNALDATE"),
    ] {
        let mut bench = Bench::new(&[SIMPLE, SIMPLE, SIMPLE]);
        let gone = Uid::new(2).unwrap();
        if vanish {
            bench.inbox.vanish(gone);
        } else {
            bench.inbox.expunge(&[gone].into_iter().collect()).unwrap();
        }
        let (out, end) = bench.run(&format!("FETCH 1:3 {items}"));
        assert_eq!(end, Err(CommandError::Store(backend::Error::Expunged)));
        let numbers: Vec<u32> = fetches(&out).unwrap().iter().map(|f| f.seq_num).collect();
        assert_eq!(numbers, [1, 3], "{items}");
        assert_eq!(bench.fetch(&format!("UID FETCH 1:3 {items}")).len(), 2);
    }
}

#[test]
fn numbers_that_were_never_there() {
    let mut bench = Bench::new(&[SIMPLE]);
    assert!(matches!(
        bench.run("FETCH 2 FLAGS").1,
        Err(CommandError::Bad(..))
    ));
    assert_eq!(bench.fetch("UID FETCH 5 FLAGS"), []);
    assert_eq!(bench.fetch("UID FETCH 5:* FLAGS").len(), 1);
    let mut empty = Bench::new(&[]);
    assert!(empty.run("FETCH * FLAGS").1.is_err());
    assert_eq!(empty.fetch("UID FETCH 1:* FLAGS"), []);
}

#[test]
fn many_messages_are_answered_as_each_alone() {
    let large = [b"Subject: large\n\n".as_slice(), &b"line\n".repeat(300_000)].concat();
    let parts =
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\0\n--b\n\n.two\r\n--b--\n";
    let none: &[u8] = b"";
    let mut bench = Bench::new(&[SIMPLE, none, &large, parts, SIMPLE, parts, &large, SIMPLE]);
    for items in [
        "BODY.PEEK[]",
        "(UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])",
        "(BODY.PEEK[] RFC822.HEADER BODY.PEEK[])",
        "(BODY.PEEK[TEXT]<3.20> BODY.PEEK[1] BODYSTRUCTURE)",
        "(BINARY.PEEK[1] BINARY.SIZE[2] BODY.PEEK[2.MIME])",
        "(ENVELOPE BODY.PEEK[HEADER.FIELDS.NOT (X-A)])",
    ] {
        let alone: Vec<Fetched> = (1..=8)
            .flat_map(|number| bench.fetch(&format!("FETCH {number} {items}")))
            .collect();
        assert_eq!(alone.len(), 8);
        assert_eq!(bench.fetch(&format!("FETCH 1:* {items}")), alone, "{items}");
        assert_eq!(bench.fetch(&format!("FETCH 1:2,5:6 {items}")).len(), 4);
    }
    // one that another program takes away is missing alone
    bench.inbox.vanish(Uid::new(5).unwrap());
    let (out, end) = bench.run("FETCH 1:* BODY.PEEK[]");
    assert_eq!(end, Err(backend::Error::Expunged.into()));
    let numbers: Vec<u32> = fetches(&out)
        .unwrap()
        .iter()
        .map(|one| one.seq_num)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6, 7, 8]);
}

#[test]
fn failures_of_the_disk() {
    // before the response: the others are served, the command fails
    let mut bench = Bench::new(&[SIMPLE, SIMPLE]);
    bench.memory.fail_after(0, backend::Error::Unavailable);
    let (out, end) = bench.run("FETCH 1:2 BODY.PEEK[]");
    assert_eq!(end, Err(CommandError::UNAVAILABLE));
    assert_eq!(fetches(&out).unwrap().len(), 1);
    assert!(!bench.cursor_was_within_literal);
    // within a literal: nothing more can be said
    let large = vec![b'x'; 1_000_000];
    let mut bench = Bench::new(&[&large]);
    bench.memory.fail_after(25, backend::Error::Unavailable);
    let (out, end) = bench.run("FETCH 1 BODY[]");
    assert_eq!(end, Err(CommandError::UNAVAILABLE));
    assert!(out.starts_with(b"* 1 FETCH (BODY[] {1000000}\r\nxxx") && out.len() < 1_000_000);
    assert!(bench.cursor_was_within_literal);
    assert!(bench.flags(1).is_empty());
}

/// A file that becomes shorter after it was opened.
#[derive(Debug)]
struct Shrinking {
    octets: Vec<u8>,
    reads: usize,
}

impl Message for Shrinking {
    fn stored_octets(&self) -> u64 {
        self.octets.len() as u64
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> backend::Result<usize> {
        self.reads += 1;
        if self.reads > 5 {
            return Ok(0);
        }
        let from = usize::try_from(position).unwrap();
        let rest = &self.octets[from.min(self.octets.len())..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

/// A file that is never to be asked for no octets.
#[derive(Debug)]
struct Asked(Vec<u8>);

impl Message for Asked {
    fn stored_octets(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> backend::Result<usize> {
        assert!(!buffer.is_empty(), "nothing read at {position}");
        let from = usize::try_from(position).unwrap();
        let read = buffer.len().min(self.0.len() - from);
        buffer[..read].copy_from_slice(&self.0[from..from + read]);
        Ok(read)
    }
}

#[test]
fn no_read_is_in_vain() {
    for octets in [0, 1, 40_000, 300_000] {
        let file = Asked(vec![b'\n'; octets]);
        let mut message = OpenMessage::of_file(Box::new(file), Uid::MIN);
        let range = 0..octets as u64;
        let place = message.place(&range, None, 0, u64::MAX).unwrap();
        assert_eq!(place.octets, 2 * octets as u64);
        assert_eq!(message.octets(&range).unwrap().len(), octets);
    }
}

#[test]
fn a_file_that_is_cut_short_breaks_the_literal_off() {
    let file = Shrinking {
        octets: vec![b'a'; 400_000],
        reads: 0,
    };
    let mut message = OpenMessage::of_file(Box::new(file), Uid::MIN);
    let place = message
        .place(&(0..400_000), Some(400_000), 0, u64::MAX)
        .unwrap();
    assert_eq!(place.octets, 400_000);
    let mut transfer = Transfer::of_place(place);
    let (mut scratch, mut out) = (Vec::new(), Output::default());
    let end = loop {
        match transfer.advance(Some(&mut message), &mut scratch, &mut out) {
            Ok(()) => assert!(transfer.left() > 0),
            Err(error) => break error,
        }
    };
    assert_eq!(end, backend::Error::Unavailable);
    assert_eq!(out.len() as u64 + transfer.left(), 400_000);
}

#[test]
fn large_messages_come_in_pieces() {
    let line = b"0123456789abcdef\n0123456789\r\nabc\n";
    let large = [b"Subject: x\n\n".as_slice(), &line.repeat(60_000)].concat();
    let expected = wire(&large);
    let mut bench = Bench::new(&[&large, SIMPLE]);
    for limit in [usize::MAX, 3_333] {
        bench.memory.limit_reads(limit);
        let fetched = bench.fetch("FETCH 1:2 (RFC822.SIZE BODY.PEEK[])");
        assert!(bench.pieces > 5);
        assert_eq!(
            fetched[0].items["RFC822.SIZE"],
            expected.len().to_string().as_bytes()
        );
        assert_eq!(fetched[0].items["BODY[]"], expected);
        assert_eq!(fetched[1].items["BODY[]"], wire(SIMPLE));
        assert_eq!(bench.value("BODY.PEEK[TEXT]"), expected[14..]);
        assert_eq!(bench.value("BODY.PEEK[1]"), expected[14..]);
        assert_eq!(bench.value("BINARY.PEEK[1]"), expected[14..]);
    }
}

#[test]
fn windows_of_large_messages_put_together_are_the_message() {
    let large = [
        b"S: x\n\n".as_slice(),
        &b"0123456789abcdef\nxyz\r\n".repeat(20_000),
    ]
    .concat();
    let expected = wire(&large);
    let mut bench = Bench::new(&[&large]);
    for (item, expected, step) in [
        ("BODY.PEEK[]", &expected[..], 7_777),
        ("BODY.PEEK[TEXT]", &expected[8..], 100_000),
        ("BODY.PEEK[1]", &expected[8..], 33_333),
        ("BINARY.PEEK[1]", &expected[8..], 99_999),
    ] {
        let mut got = Vec::new();
        loop {
            let window = bench.value(&format!("{item}<{}.{step}>", got.len()));
            if window.is_empty() {
                break;
            }
            got.extend(window);
        }
        assert!(got == expected, "{item}");
    }
    // and in any order
    for origin in [400_000, 3, 200_000, 199_999, expected.len() - 1] {
        let window = bench.value(&format!("BODY.PEEK[]<{origin}.10>"));
        let end = expected.len().min(origin + 10);
        assert_eq!(window, expected[origin..end]);
    }
}

#[test]
fn the_last_message_is_kept_for_windows_only() {
    let mut bench = Bench::new(&[SIMPLE, SIMPLE]);
    bench.fetch("FETCH 1 BODY.PEEK[]<0.10>");
    assert!(bench.selected.last_message.0.is_some());
    // nothing is opened again
    bench.memory.fail_after(0, backend::Error::Unavailable);
    assert_eq!(bench.value("BODY.PEEK[]<0.7>"), b"Subject");
    bench
        .memory
        .fail_after(usize::MAX, backend::Error::Unavailable);
    bench.fetch("FETCH 2 BODY.PEEK[]");
    assert!(bench.selected.last_message.0.is_none());
    bench.fetch("FETCH 2 BODYSTRUCTURE");
    bench.selected.last_message.release();
    assert!(bench.selected.last_message.0.is_none());
    // one that is gone is not served
    bench.fetch("FETCH 1 BODY.PEEK[]<0.10>");
    bench
        .inbox
        .expunge(&[Uid::MIN].into_iter().collect())
        .unwrap();
    assert!(bench.run("FETCH 1 BODY.PEEK[]<0.7>").1.is_err());
}

#[test]
fn a_wrong_size_is_put_right_by_what_is_sent() {
    let mut bench = Bench::new(&[SIMPLE]);
    bench.selected.mailbox.write().set_size(Uid::MIN, 7);
    assert_eq!(bench.value("RFC822.SIZE"), b"7");
    bench.value("BODY.PEEK[]<0.20>");
    assert_eq!(bench.value("RFC822.SIZE"), b"7");
    let fetched = bench.fetch("FETCH 1 (RFC822.SIZE BODY.PEEK[])");
    assert_eq!(fetched[0].items["RFC822.SIZE"], b"57");
    assert_eq!(bench.value("RFC822.SIZE"), b"57");
}

#[test]
fn flags_of_many_messages_come_in_pieces() {
    let messages = vec![&b"\n"[..]; 20_000];
    let mut bench = Bench::new(&messages);
    let fetched = bench.fetch("UID FETCH 1:* (UID FLAGS RFC822.SIZE)");
    assert_eq!(fetched.len(), 20_000);
    assert!(bench.pieces >= 3);
    assert!(fetched.iter().zip(1..).all(|(f, n)| f.seq_num == n));
}

#[test]
fn unknown_transfer_encoding() {
    let message = b"Content-Transfer-Encoding: x-foo\n\nabc";
    let mut bench = Bench::new(&[message]);
    let (out, end) = bench.run("FETCH 1 (BINARY[1] BINARY.SIZE[1] FLAGS)");
    assert!(matches!(
        end,
        Err(CommandError::No(Some(Code::UnknownCte), _))
    ));
    assert_eq!(
        out,
        b"* 1 FETCH (BINARY[1] NIL BINARY.SIZE[1] 0 FLAGS ())\r\n"
    );
}

#[test]
fn binary_is_decoded() {
    let message = b"Content-Transfer-Encoding: base64\n\nAAECAw==\n";
    let mut bench = Bench::new(&[message]);
    let (out, _) = bench.run("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1] BINARY.PEEK[1]<1.2>)");
    assert_eq!(
        out,
        b"* 1 FETCH (BINARY[1] ~{4}\r\n\0\x01\x02\x03 BINARY.SIZE[1] 4 BINARY[1]<1> {2}\r\n\x01\x02)\r\n"
    );
}

#[test]
fn messages_as_they_are_found_in_the_wild() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        seen += 1;
        let message = std::fs::read(&path).unwrap();
        let expected = wire(&message);
        let mut bench = Bench::new(&[&message]);
        bench.dialect = Dialect::default();
        let fetched = bench.fetch(
            "FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] ENVELOPE BODY BODYSTRUCTURE)",
        );
        let items = &fetched[0].items;
        assert!(items["BODY[]"] == expected, "{}", path.display());
        assert_eq!(
            items["RFC822.SIZE"],
            expected.len().to_string().into_bytes()
        );
        assert!([&items["BODY[HEADER]"][..], &items["BODY[TEXT]"]].concat() == expected);
    }
    assert!(seen > 0, "no messages in {folder}");
}

proptest! {
    /// RFC822.SIZE is the length of BODY[]; header and text make the whole; parts have the sizes that BODYSTRUCTURE tells.
    #[test]
    fn pieces_of_a_message_agree(
        lines in prop::collection::vec(
            prop_oneof![
                Just(&b"Content-Type: multipart/mixed; boundary=a\n"[..]),
                Just(&b"Content-Type: message/rfc822\r\n"[..]),
                Just(&b"Subject: x\n"[..]), Just(&b" y\r\n"[..]), Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"\r"[..]),
                Just(&b"--a\n"[..]), Just(&b"--a--\r\n"[..]), Just(&b"text\0"[..]),
            ],
            0..30,
        ),
    ) {
        let message = lines.concat();
        let expected = wire(&message);
        let mut bench = Bench::new(&[&message]);
        let (out, end) = bench.run("FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODYSTRUCTURE ENVELOPE)");
        prop_assert_eq!(end, Ok(()));
        let fetched = fetches(&out).unwrap();
        let items = &fetched[0].items;
        prop_assert_eq!(&items["BODY[]"], &expected);
        prop_assert_eq!(&items["RFC822.SIZE"], &expected.len().to_string().into_bytes());
        prop_assert_eq!([items["BODY[HEADER]"].as_slice(), &items["BODY[TEXT]"]].concat(), expected);
        let structure = crate::message::structure::Message::parse(&message);
        let first = std::num::NonZeroU32::MIN;
        if let Some(part) = structure.part(&[first]) {
            prop_assert_eq!(items["BODY[1]"].len() as u64, part.body_octets);
        }
        let header = bench.value("BODY.PEEK[HEADER]");
        prop_assert_eq!(header.len() as u64, structure.root.header_octets);
    }
}
