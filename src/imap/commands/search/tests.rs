//! SEARCH over the store in memory.

use super::*;
use crate::imap::parse;
use crate::imap::types::command::CommandBody;
use crate::imap::types::response::Code;
use crate::mailbox::backend::Mailbox;
use crate::mailbox::flag::{Flags, Keyword, NamedFlags, SystemFlag};
use crate::mailbox::memory::{Mail, Memory, MemoryMailbox};
use crate::mailbox::name::MailboxName;
use std::sync::Arc;

const DAY: i64 = 86_400;

/// 2024-03-10 00:00 UTC
const MARCH_10: i64 = 1_710_028_800;

struct Bench {
    memory: Memory,
    inbox: Arc<MemoryMailbox>,
    selected: Selected,
    dialect: Dialect,
    pieces: usize,
}

fn mail(octets: &str, flags: &[SystemFlag], keyword: Option<&str>, date: i64) -> Mail {
    Mail::new(octets)
        .flagged(NamedFlags {
            system: flags.iter().copied().collect::<Flags>(),
            keywords: keyword.and_then(Keyword::new).into_iter().collect(),
        })
        .dated(date)
}

impl Bench {
    fn of(mails: Vec<Mail>) -> Self {
        let memory = Memory::new();
        let inbox = memory.inbox("joe");
        for mail in mails {
            inbox.add(mail).unwrap();
        }
        let mailbox: Arc<dyn Mailbox> = Arc::clone(&inbox) as _;
        let selected = Selected::open(mailbox, MailboxName::inbox(), false);
        Self {
            memory,
            inbox,
            selected,
            dialect: Dialect::default(),
            pieces: 0,
        }
    }

    /// Five messages with UIDs 2 to 6.
    fn new() -> Self {
        use SystemFlag::{Answered, Deleted, Draft, Flagged, Seen};
        let mut bench = Self::of(vec![
            mail("\n", &[], None, 0),
            mail(
                "From: Ann <ann@example.org>\nTo: joe@example.org\nSubject: Lunch\nDate: Sat, 9 Mar 2024 23:30:00 -0500\n\nAt noon?\n",
                &[Seen],
                None,
                MARCH_10 - 1,
            ),
            mail(
                "From: Bob <bob@example.org>\nCc: ann@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: Sun, 10 Mar 2024 12:00:00 +0000\nX-Empty:\n\nHallo Welt, Gr\u{fc}\u{df}e\n",
                &[Seen, Answered, Flagged],
                Some("$Junk"),
                MARCH_10,
            ),
            mail(
                "Subject: no date\n\nlunch is over",
                &[Deleted],
                None,
                MARCH_10 + DAY - 1,
            ),
            mail(
                &format!("Bcc: x@y\nDate: garbage\n\n{}", "x".repeat(5000)),
                &[Draft],
                Some("work"),
                MARCH_10 + DAY,
            ),
            mail(
                "Subject: parts\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: base64\n\nRvxyIGRpY2ggTHVuY2g=\n",
                &[],
                None,
                MARCH_10 + 30 * DAY,
            ),
        ]);
        let first: UidSet = [Uid::MIN].into_iter().collect();
        bench.inbox.expunge(&first).unwrap();
        let mailbox = Arc::clone(&bench.selected.mailbox);
        bench.selected = Selected::open(mailbox, MailboxName::inbox(), false);
        bench
    }

    fn run(&mut self, line: &str) -> (String, Result<(), CommandError>) {
        self.run_octets(line.as_bytes())
    }

    fn run_octets(&mut self, line: &[u8]) -> (String, Result<(), CommandError>) {
        let line = [b"a ", line, b"\r\n"].concat();
        let command = parse::command(&line).unwrap();
        let CommandBody::Search { uid, search } = command.body else {
            panic!("{}", line.escape_ascii())
        };
        let now = MARCH_10 + DAY;
        let cursor = SearchCursor::new(
            uid,
            &command.tag,
            *search,
            now,
            &mut self.selected,
            &self.dialect,
        );
        let mut cursor = match cursor {
            Ok(cursor) => cursor,
            Err(error) => return (String::new(), Err(error)),
        };
        let (mut out, mut piece) = (Vec::new(), Vec::new());
        self.pieces = 0;
        loop {
            let progress = cursor.advance(&mut self.selected, &self.dialect, &mut piece);
            assert!(piece.len() <= HIGH_WATER_OCTETS);
            self.pieces += 1;
            out.append(&mut piece);
            let end = match progress {
                Ok(Progress::More) => continue,
                Ok(Progress::Done) => Ok(()),
                Err(error) => Err(error),
            };
            assert!(!cursor.is_within_response());
            return (String::from_utf8(out).unwrap(), end);
        }
    }

    /// The UIDs found, with blanks between.
    fn find(&mut self, criteria: &str) -> String {
        let (out, end) = self.run(&format!("UID SEARCH {criteria}"));
        assert_eq!(end, Ok(()), "{criteria}");
        let found = out
            .strip_prefix("* SEARCH")
            .and_then(|o| o.strip_suffix("\r\n"));
        found.unwrap_or_else(|| panic!("{out}")).trim().to_owned()
    }
}

/// Criteria, and the UIDs that meet them.
const CASES: &[(&str, &str)] = &[
    ("ALL", "2 3 4 5 6"),
    ("SEEN", "2 3"),
    ("UNSEEN", "4 5 6"),
    ("ANSWERED FLAGGED", "3"),
    ("UNDRAFT UNDELETED", "2 3 6"),
    ("KEYWORD $junk", "3"),
    ("UNKEYWORD $Junk", "2 4 5 6"),
    ("KEYWORD never", ""),
    ("UNKEYWORD never", "2 3 4 5 6"),
    ("RECENT", ""),
    ("OLD", "2 3 4 5 6"),
    ("NEW", ""),
    ("1:2", "2 3"),
    ("*", "6"),
    ("5:1", "2 3 4 5 6"),
    ("UID 3:4,6", "3 4 6"),
    ("UID 1", ""),
    ("UID 100:*", "6"),
    ("NOT UID 3", "2 4 5 6"),
    ("BEFORE 10-Mar-2024", "2"),
    ("ON 10-Mar-2024", "3 4"),
    ("SINCE 10-Mar-2024", "3 4 5 6"),
    ("NOT BEFORE 10-Mar-2024", "3 4 5 6"),
    ("SENTBEFORE 10-Mar-2024", "2"),
    ("SENTON 9-Mar-2024", "2"),
    ("SENTON 10-Mar-2024", "3"),
    ("SENTSINCE 1-Jan-2024", "2 3"),
    ("OLDER 86400", "2 3"),
    ("YOUNGER 86400", "3 4 5 6"),
    ("LARGER 4000", "5"),
    ("SMALLER 4000", "2 3 4 6"),
    ("FROM ann", "2"),
    ("FROM EXAMPLE.ORG", "2 3"),
    ("TO joe CC ann", ""),
    ("OR TO joe CC ann", "2 3"),
    ("BCC x@", "5"),
    ("SUBJECT lunch", "2"),
    ("SUBJECT \"\"", "2 3 4 6"),
    ("HEADER X-Empty \"\"", "3"),
    ("HEADER Date \"\"", "2 3 5"),
    ("BODY lunch", "4 6"),
    ("TEXT lunch", "2 4 6"),
    ("TEXT example.org", "2 3"),
    ("BODY example.org", ""),
    ("BODY \"f\u{fc}r dich\"", "6"),
    ("CHARSET UTF-8 SUBJECT \"GR\u{dc}\u{df}E\"", "3"),
    ("CHARSET utf-8 BODY {7+}\r\ngr\u{fc}\u{df}e", "3"),
    ("OR OR SEEN DELETED DRAFT", "2 3 4 5"),
    ("NOT (SEEN ANSWERED)", "2 4 5 6"),
    ("(OR BODY lunch SEEN) NOT LARGER 100 UNSEEN", "4"),
    ("$", ""),
];

#[test]
fn criteria() {
    for (criteria, expected) in CASES {
        let mut bench = Bench::new();
        assert_eq!(bench.find(criteria), *expected, "{criteria}");
        // by number they are the same
        let numbers = expected.split_whitespace().map(|uid| {
            let uid: u32 = uid.parse().unwrap();
            format!(" {}", uid - 1)
        });
        let expected = format!("* SEARCH{}\r\n", numbers.collect::<String>());
        assert_eq!(bench.run(&format!("SEARCH {criteria}")), (expected, Ok(())));
    }
}

#[test]
fn other_charsets() {
    let mut bench = Bench::new();
    let (out, end) = bench.run_octets(b"UID SEARCH CHARSET ISO-8859-1 BODY {3+}\r\nf\xfcr");
    assert_eq!((out.as_str(), end), ("* SEARCH 6\r\n", Ok(())));
    let (out, end) = bench.run("SEARCH CHARSET X-FOO BODY a");
    assert_eq!(out, "");
    assert!(matches!(
        end,
        Err(CommandError::No(Some(Code::BadCharset(_)), _))
    ));
    bench.dialect.utf8 = true;
    let (_, end) = bench.run("SEARCH CHARSET UTF-8 ALL");
    assert!(matches!(end, Err(CommandError::Bad(..))));
}

#[test]
fn recent_messages() {
    let mut bench = Bench::of(vec![]);
    bench.inbox.deliver(Mail::new("\n"));
    bench.inbox.refresh(backend::Intake::Take).unwrap();
    let mailbox = Arc::clone(&bench.selected.mailbox);
    bench.selected = Selected::open(mailbox, MailboxName::inbox(), false);
    assert_eq!(bench.find("RECENT"), "1");
    assert_eq!(bench.find("NEW"), "1");
    assert_eq!(bench.find("OLD"), "");
}

/// Commands, answers without the tag, and what is saved. The criteria find 2, 4, 5 of 2 to 6 or nothing.
const RETURNS: &[(&str, &str, &str)] = &[
    ("UID SEARCH RETURN () ?", " UID ALL 2,4:5", ""),
    ("SEARCH RETURN () ?", " ALL 1,3:4", ""),
    (
        "SEARCH RETURN (ALL COUNT MIN MAX) ?",
        " MIN 1 MAX 4 COUNT 3 ALL 1,3:4",
        "",
    ),
    ("SEARCH RETURN (MIN) ?", " MIN 1", ""),
    ("UID SEARCH RETURN (MAX) ?", " UID MAX 5", ""),
    ("SEARCH RETURN (MIN MAX) ?", " MIN 1 MAX 4", ""),
    ("SEARCH RETURN (MIN MAX) UID 4", " MIN 3 MAX 3", ""),
    ("SEARCH RETURN (COUNT) ?", " COUNT 3", ""),
    ("SEARCH RETURN (MIN MAX ALL COUNT) UID 1", " COUNT 0", ""),
    ("SEARCH RETURN (MIN) UID 1", "", ""),
    ("UID SEARCH RETURN (ALL) UID 1", " UID", ""),
    ("SEARCH RETURN (SAVE) ?", "-", "2 4 5"),
    ("SEARCH RETURN (SAVE) UID 1", "-", ""),
    ("SEARCH RETURN (SAVE MIN) ?", " MIN 1", "2"),
    ("SEARCH RETURN (SAVE MAX) ?", " MAX 4", "5"),
    (
        "UID SEARCH RETURN (SAVE MIN MAX) ?",
        " UID MIN 2 MAX 5",
        "2 5",
    ),
    (
        "SEARCH RETURN (SAVE MIN COUNT) ?",
        " MIN 1 COUNT 3",
        "2 4 5",
    ),
    ("SEARCH RETURN (ALL SAVE) ?", " ALL 1,3:4", "2 4 5"),
];

#[test]
fn result_options() {
    for (line, expected, saved) in RETURNS {
        for criteria in ["UID 2,4:5", "OR (SEEN UNANSWERED) OR DELETED BCC x"] {
            let mut bench = Bench::new();
            let (out, end) = bench.run(&line.replace('?', criteria));
            assert_eq!(end, Ok(()), "{line}");
            let expected = match *expected {
                "-" => String::new(),
                rest => format!("* ESEARCH (TAG \"a\"){rest}\r\n"),
            };
            assert_eq!(out, expected, "{line}");
            assert_eq!(bench.find("$"), *saved, "{line}");
        }
    }
}

#[test]
fn only_save_changes_what_is_saved() {
    let mut bench = Bench::new();
    bench.run("SEARCH RETURN (SAVE) UID 3:5").1.unwrap();
    bench.run("SEARCH UID 2").1.unwrap();
    assert!(bench.run("SEARCH RETURN (SAVE) 99").1.is_err());
    assert!(bench.run("SEARCH CHARSET X-FOO BODY a").1.is_err());
    assert_eq!(bench.find("$"), "3 4 5");
    // what is saved can be searched, and saved again
    bench.run("SEARCH RETURN (SAVE) $ NOT DELETED").1.unwrap();
    assert_eq!(bench.find("UID $"), "3 5");
    // NO empties it (RFC 9051 §6.4.4.1)
    assert!(
        bench
            .run("SEARCH RETURN (SAVE) CHARSET X-FOO BODY a")
            .1
            .is_err()
    );
    assert_eq!(bench.find("$"), "");
}

#[test]
fn the_form_of_rev2() {
    let mut bench = Bench::new();
    bench.dialect.rev2 = true;
    assert_eq!(
        bench.run("SEARCH SEEN").0,
        "* ESEARCH (TAG \"a\") ALL 1:2\r\n"
    );
    assert_eq!(
        bench.run("UID SEARCH KEYWORD never").0,
        "* ESEARCH (TAG \"a\") UID\r\n"
    );
}

#[test]
fn an_empty_mailbox() {
    let mut bench = Bench::of(vec![]);
    for criteria in ["ALL", "1:*", "*", "UID 1:*", "NOT 1", "TEXT a"] {
        assert_eq!(bench.find(criteria), "", "{criteria}");
    }
    let mut bench = Bench::new();
    assert!(matches!(
        bench.run("SEARCH 6").1,
        Err(CommandError::Bad(..))
    ));
    assert!(matches!(
        bench.run("SEARCH NOT 6:*").1,
        Err(CommandError::Bad(..))
    ));
}

#[test]
fn the_disk_is_left_alone_where_memory_decides() {
    for (criteria, expected) in [
        ("SEEN 1:3", "2 3"),
        ("LARGER 4000", "5"),
        ("OR RECENT KEYWORD work", "5"),
        // what memory has refused is not opened
        ("BODY lunch RECENT", ""),
        ("OR (ALL) TEXT foo", "2 3 4 5 6"),
    ] {
        let mut bench = Bench::new();
        bench.memory.fail_after(0, backend::Error::Unavailable);
        assert_eq!(bench.find(criteria), expected, "{criteria}");
    }
}

#[test]
fn messages_that_cannot_be_read_match_nothing() {
    let mut bench = Bench::new();
    bench.inbox.vanish(Uid::new(4).unwrap());
    assert_eq!(bench.find("BODY lunch"), "6");
    let mut bench = Bench::new();
    bench.run("SEARCH RETURN (SAVE) ALL").1.unwrap();
    bench.memory.fail_after(0, backend::Error::Unavailable);
    let (out, end) = bench.run("UID SEARCH RETURN (ALL SAVE) BODY lunch");
    assert_eq!(end, Err(CommandError::UNAVAILABLE));
    assert_eq!(out, "* ESEARCH (TAG \"a\") UID ALL 4,6\r\n");
    assert!(bench.selected.saved.is_empty());
    // one that others have expunged is still in the view
    let gone: UidSet = [Uid::new(3).unwrap()].into_iter().collect();
    bench.inbox.expunge(&gone).unwrap();
    assert_eq!(bench.run("SEARCH ALL").0, "* SEARCH 1 3 4 5\r\n");
}

#[test]
fn long_searches_and_answers_come_in_pieces() {
    let mails = (0..2000)
        .map(|n| mail("Subject: x\n\nbody", &[], None, n))
        .collect();
    let mut bench = Bench::of(mails);
    assert_eq!(bench.find("BODY body").split(' ').count(), 2000);
    assert!(bench.pieces > 5);
    let mut found: UidSet = UidSet::new();
    found.extend((1..=100_000).filter_map(|n| Uid::new(n * 2)));
    let mut out = Vec::new();
    encode::untagged(
        &Untagged::Search(found.iter().map(Uid::value).collect(), None),
        false,
        &mut out,
    );
    let whole = out.clone();
    let mut answer = Some(Answer {
        octets: out,
        sent: 0,
    });
    let mut sent = Vec::new();
    let mut pieces = 0;
    while let Some(rest) = answer {
        let mut piece = Vec::new();
        answer = rest.send(&mut piece);
        assert!(piece.len() <= HIGH_WATER_OCTETS);
        sent.extend(piece);
        pieces += 1;
    }
    assert!(pieces > 1 && sent == whole);
}

#[test]
fn one_end_is_enough_for_min_and_max() {
    let mails = (0..1000)
        .map(|n| mail("Subject: x\n\nbody", &[], None, n))
        .collect();
    for (option, expected) in [
        ("MIN", "MIN 1"),
        ("MAX", "MAX 1000"),
        ("MIN MAX", "MIN 1 MAX 1000"),
    ] {
        let mut bench = Bench::of(Vec::clone(&mails));
        // few messages are opened
        bench.memory.fail_after(20, backend::Error::Unavailable);
        let (out, end) = bench.run(&format!("SEARCH RETURN ({option}) BODY body"));
        assert_eq!(
            (out, end),
            (format!("* ESEARCH (TAG \"a\") {expected}\r\n"), Ok(()))
        );
    }
}
