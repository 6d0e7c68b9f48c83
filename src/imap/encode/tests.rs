//! Responses, many of them from the examples of RFC 9051.

use super::fetch::FetchWriter;
use super::fuzzing::told as structure;
use super::grammar::fetches;
use super::*;
use crate::imap::parse;
use crate::imap::types::capability::Capability;
use crate::imap::types::command::CommandBody;
use crate::imap::types::core::Tag;
use crate::imap::types::fetch::{FetchItem, Section, SectionText};
use crate::imap::types::list::{ListAttribute, StatusItem, StatusValue};
use crate::imap::types::response::{
    Code, Condition, ContextUpdate, ESearch, FlagList, ListEntry, Moved, Text,
};
use crate::imap::types::sequence::PartialRange;
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, SystemFlag};
use crate::mailbox::id::{ModSeq, SeqNum, Uid, UidValidity};
use crate::mailbox::name::SpecialUse;
use crate::mailbox::uid_set::UidSet;
use proptest::prelude::*;
use std::num::NonZeroU32;

fn text(code: Option<Code>, text: &'static str) -> Text {
    Text {
        code,
        text: text.into(),
    }
}

fn shown(response: &Untagged, utf8: bool) -> String {
    let mut out = Vec::new();
    untagged(response, utf8, &mut out);
    String::from_utf8(out).unwrap()
}

fn uids(values: &[u32]) -> UidSet {
    values.iter().filter_map(|v| Uid::new(*v)).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn status_responses() {
    let validity = UidValidity::new(3_857_529_045).unwrap();
    for (condition, code, words, expected) in [
        (Condition::Ok, None, "Salutations", "* OK Salutations\r\n"),
        (
            Condition::Ok,
            Some(Code::UidValidity(validity)),
            "UIDs valid",
            "* OK [UIDVALIDITY 3857529045] UIDs valid\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::UidNext(Uid::new(4392).unwrap())),
            "Predicted next UID",
            "* OK [UIDNEXT 4392] Predicted next UID\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::PermanentFlags(vec![
                "\\Deleted".into(),
                "\\Seen".into(),
                "\\*".into(),
            ])),
            "Limited",
            "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::PermanentFlags(vec![])),
            "No permanent flags permitted",
            "* OK [PERMANENTFLAGS ()] No permanent flags permitted\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::CopyUid(
                validity,
                uids(&[304, 319, 320]),
                uids(&[3956, 3957, 3958]),
            )),
            "Done",
            "* OK [COPYUID 3857529045 304,319:320 3956:3958] Done\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::AppendUid(validity, uids(&[3955]))),
            "APPEND completed",
            "* OK [APPENDUID 3857529045 3955] APPEND completed\r\n",
        ),
        (
            Condition::No,
            Some(Code::BadCharset(vec!["UTF-8", "US-ASCII", "a b"])),
            "x",
            "* NO [BADCHARSET (UTF-8 US-ASCII \"a b\")] x\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::Capability(vec![
                Capability::Name("IMAP4rev1"),
                Capability::Auth("PLAIN"),
                Capability::AppendLimit(1000),
                Capability::MessageLimit(5000),
                Capability::SaveLimit(2000),
            ])),
            "Hi",
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN APPENDLIMIT=1000 MESSAGELIMIT=5000 SAVELIMIT=2000] Hi\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::ReadWrite),
            "x",
            "* OK [READ-WRITE] x\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::HighestModSeq(ModSeq(715_194_045_007))),
            "x",
            "* OK [HIGHESTMODSEQ 715194045007] x\r\n",
        ),
        (
            Condition::Ok,
            Some(Code::Unseen(SeqNum::at(16))),
            "x",
            "* OK [UNSEEN 17] x\r\n",
        ),
        (
            Condition::No,
            Some(Code::UnknownCte),
            "x",
            "* NO [UNKNOWN-CTE] x\r\n",
        ),
        // what must not be sent is not sent
        (Condition::Bad, None, "", "* BAD -\r\n"),
        (Condition::Ok, None, "[ALERT] x", "* OK - [ALERT] x\r\n"),
        (Condition::Bad, None, "ä\r\nb\0", "* BAD ???b?\r\n"),
    ] {
        assert_eq!(
            shown(&Untagged::Status(condition, text(code, words)), false),
            expected
        );
    }
}

#[test]
fn tagged_and_continuation() {
    let mut out = Vec::new();
    tagged(
        &Tagged {
            tag: Tag::new("a001").unwrap(),
            condition: Condition::No,
            text: text(Some(Code::TryCreate), "No such mailbox"),
        },
        &mut out,
    );
    continuation("OK", &mut out);
    continuation("", &mut out);
    continuation("dGVzdA==", &mut out);
    assert_eq!(
        out,
        b"a001 NO [TRYCREATE] No such mailbox\r\n+ OK\r\n+ \r\n+ dGVzdA==\r\n"
    );
}

fn entry(attributes: Vec<ListAttribute>, delimiter: Option<char>, mailbox: &str) -> ListEntry {
    ListEntry {
        lsub: false,
        attributes,
        delimiter,
        mailbox: mailbox.into(),
        child_info_subscribed: false,
        old_name: None,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mailbox_responses() {
    let table = [
        (
            Untagged::Bye(text(None, "Autologout; idle for too long")),
            "* BYE Autologout; idle for too long\r\n",
        ),
        (
            Untagged::Capability(vec![
                Capability::Name("STARTTLS"),
                Capability::Auth("GSSAPI"),
                Capability::Name("IMAP4rev2"),
            ]),
            "* CAPABILITY STARTTLS AUTH=GSSAPI IMAP4rev2\r\n",
        ),
        (Untagged::Enabled(vec![]), "* ENABLED\r\n"),
        (
            Untagged::Enabled(vec!["IMAP4rev2", "UTF8=ACCEPT"]),
            "* ENABLED IMAP4rev2 UTF8=ACCEPT\r\n",
        ),
        (
            Untagged::List(entry(
                vec![ListAttribute::NoSelect],
                Some('/'),
                "~/Mail/foo",
            )),
            "* LIST (\\Noselect) \"/\" ~/Mail/foo\r\n",
        ),
        (
            Untagged::List(entry(vec![ListAttribute::NoSelect], Some('/'), "")),
            "* LIST (\\Noselect) \"/\" \"\"\r\n",
        ),
        (
            Untagged::List(entry(vec![], None, "INBOX")),
            "* LIST () NIL INBOX\r\n",
        ),
        (
            Untagged::List(entry(vec![], Some('\\'), "a b")),
            "* LIST () \"\\\\\" \"a b\"\r\n",
        ),
        (
            Untagged::List(ListEntry {
                lsub: true,
                ..entry(
                    vec![
                        ListAttribute::SpecialUse(SpecialUse::Sent),
                        ListAttribute::HasNoChildren,
                    ],
                    Some('.'),
                    "Sent",
                )
            }),
            "* LSUB (\\Sent \\HasNoChildren) \".\" Sent\r\n",
        ),
        (
            Untagged::List(ListEntry {
                child_info_subscribed: true,
                ..entry(vec![], Some('/'), "foo2")
            }),
            "* LIST () \"/\" foo2 (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
        ),
        (
            Untagged::List(ListEntry {
                child_info_subscribed: true,
                old_name: Some(b"OldMailbox".to_vec()),
                ..entry(vec![], Some('/'), "NewMailbox")
            }),
            "* LIST () \"/\" NewMailbox (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (OldMailbox))\r\n",
        ),
        (
            Untagged::Namespace {
                prefix: vec![],
                delimiter: '/',
            },
            "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
        ),
        (
            Untagged::MailboxStatus {
                mailbox: b"blurdybloop".to_vec(),
                items: vec![
                    (StatusItem::Messages, StatusValue::Number(231)),
                    (StatusItem::UidNext, StatusValue::Number(44292)),
                    (
                        StatusItem::MailboxId,
                        StatusValue::ObjectId("F1-a_".to_owned()),
                    ),
                ],
            },
            "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F1-a_))\r\n",
        ),
        (
            Untagged::Flags(vec!["\\Answered".into(), "$Junk".into()]),
            "* FLAGS (\\Answered $Junk)\r\n",
        ),
        (Untagged::Search(vec![2, 3, 6], None), "* SEARCH 2 3 6\r\n"),
        (Untagged::Search(vec![], None), "* SEARCH\r\n"),
        (
            Untagged::Search(vec![2, 5], Some(ModSeq(917_162_500))),
            "* SEARCH 2 5 (MODSEQ 917162500)\r\n",
        ),
        (
            Untagged::Vanished {
                earlier: false,
                uids: vec![405..=405, 407..=410],
            },
            "* VANISHED 405,407:410\r\n",
        ),
        (
            Untagged::Vanished {
                earlier: true,
                uids: vec![1..=4_294_967_295],
            },
            "* VANISHED (EARLIER) 1:4294967295\r\n",
        ),
        (Untagged::Exists(23), "* 23 EXISTS\r\n"),
        (Untagged::Recent(0), "* 0 RECENT\r\n"),
        (Untagged::Expunge(SeqNum::at(43)), "* 44 EXPUNGE\r\n"),
        (Untagged::Id(vec![]), "* ID NIL\r\n"),
        (
            Untagged::Id(vec![("name", "restante".into()), ("x", "ä\"".into())]),
            "* ID (\"name\" \"restante\" \"x\" {3}\r\nä\")\r\n",
        ),
    ];
    for (response, expected) in table {
        assert_eq!(shown(&response, false), expected);
    }
    let umlaut = Untagged::List(entry(vec![], Some('/'), "Entwürfe"));
    assert_eq!(shown(&umlaut, true), "* LIST () \"/\" \"Entwürfe\"\r\n");
    assert_eq!(shown(&umlaut, false), "* LIST () \"/\" {9}\r\nEntwürfe\r\n");
}

#[test]
fn signs_of_life() {
    let shown = |tag, measure| {
        let tag = Tag::new(tag).unwrap();
        let code = Some(Code::InProgress { tag, measure });
        let text = "Still working".into();
        shown(&Untagged::Status(Condition::Ok, Text { code, text }), false)
    };
    assert_eq!(
        shown("A1", Some((175, 1000))),
        "* OK [INPROGRESS (\"A1\" 175 1000)] Still working\r\n"
    );
    assert_eq!(
        shown("A1", None),
        "* OK [INPROGRESS (\"A1\" NIL NIL)] Still working\r\n"
    );
    assert_eq!(
        shown("a]b", Some((0, 1))),
        "* OK [INPROGRESS (NIL 0 1)] Still working\r\n"
    );
}

#[test]
fn context_updates() {
    let moved = |position, messages| Moved { position, messages };
    let update = |uid, removed, added| {
        Untagged::ContextUpdate(ContextUpdate {
            tag: Tag::new("B01").unwrap(),
            uid,
            removed,
            added,
        })
    };
    let both = update(
        false,
        vec![moved(2, vec![7..=7])],
        vec![moved(1, vec![2..=3, 9..=9]), moved(8, vec![12..=12])],
    );
    assert_eq!(
        shown(&both, false),
        "* ESEARCH (TAG \"B01\") REMOVEFROM (2 7) ADDTO (1 2:3,9 8 12)\r\n"
    );
    let added = update(true, Vec::new(), vec![moved(1, vec![32768..=32769])]);
    assert_eq!(
        shown(&added, false),
        "* ESEARCH (TAG \"B01\") UID ADDTO (1 32768:32769)\r\n"
    );
    let refused = Text {
        code: Some(Code::NoUpdate(Tag::new("B02").unwrap())),
        text: "Too many".into(),
    };
    let refused = Untagged::Status(Condition::No, refused);
    assert_eq!(
        shown(&refused, false),
        "* NO [NOUPDATE \"B02\"] Too many\r\n"
    );
}

#[test]
fn uid_batches_responses() {
    let uid = |value| Uid::new(value).unwrap();
    let cases = [
        (vec![], "* UIDBATCHES (TAG \"a1\")\r\n"),
        (
            vec![(uid(900), uid(401)), (uid(400), uid(1))],
            "* UIDBATCHES (TAG \"a1\") 900:401,400:1\r\n",
        ),
        (vec![(uid(1), uid(1))], "* UIDBATCHES (TAG \"a1\") 1:1\r\n"),
    ];
    for (batches, expected) in cases {
        let tag = Tag::new("a1").unwrap();
        let response = Untagged::UidBatches { tag, batches };
        assert_eq!(shown(&response, false), expected);
    }
}

#[test]
fn esearch_responses() {
    let tag = Tag::new("A282");
    let window = |from_end| PartialRange {
        from_end,
        first: NonZeroU32::new(1).unwrap(),
        last: NonZeroU32::new(3).unwrap(),
    };
    let empty = ESearch {
        tag,
        ..ESearch::default()
    };
    for (response, expected) in [
        (empty.clone(), "* ESEARCH (TAG \"A282\")\r\n"),
        (
            ESearch {
                min: Some(2),
                count: Some(3),
                ..empty.clone()
            },
            "* ESEARCH (TAG \"A282\") MIN 2 COUNT 3\r\n",
        ),
        (
            ESearch {
                all: vec![2..=2, 10..=11],
                ..empty.clone()
            },
            "* ESEARCH (TAG \"A282\") ALL 2,10:11\r\n",
        ),
        (
            ESearch {
                uid: true,
                min: Some(7),
                max: Some(3800),
                ..empty.clone()
            },
            "* ESEARCH (TAG \"A282\") UID MIN 7 MAX 3800\r\n",
        ),
        (
            ESearch {
                partial: Some((window(true), vec![5..=6, 9..=9])),
                ..empty.clone()
            },
            "* ESEARCH (TAG \"A282\") PARTIAL (-1:-3 5:6,9)\r\n",
        ),
        (
            ESearch {
                partial: Some((window(false), Vec::new())),
                ..empty
            },
            "* ESEARCH (TAG \"A282\") PARTIAL (1:3 NIL)\r\n",
        ),
    ] {
        assert_eq!(shown(&Untagged::ESearch(response), false), expected);
    }
}

#[test]
fn fetch_items() {
    let mut keywords = KeywordTable::default();
    keywords.insert(&Keyword::new("$Junk").unwrap());
    let mut out = Vec::new();
    let mut writer = FetchWriter::new(SeqNum::at(22), &mut out);
    writer.flags(FlagList {
        flags: Flags::NONE.with(SystemFlag::Seen).with_keyword(0),
        recent: true,
        keywords: &keywords,
    });
    writer.uid(Uid::new(4_827_313).unwrap());
    writer.rfc822_size(44_827);
    writer.internal_date(0);
    writer.finish();
    let mut writer = FetchWriter::new(SeqNum::at(0), &mut out);
    writer.flags(FlagList {
        flags: Flags::NONE,
        recent: false,
        keywords: &keywords,
    });
    writer.finish();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "* 23 FETCH (FLAGS (\\Seen \\Recent $Junk) UID 4827313 RFC822.SIZE 44827 \
         INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\")\r\n* 1 FETCH (FLAGS ())\r\n"
    );
}

/// Items as a client writes them, and the names under which they are told.
const NAMES: &[(&str, &str)] = &[
    ("BODY[]", "BODY[]"),
    ("body.peek[]<10.20>", "BODY[]<10>"),
    ("BODY[1.2.mime]", "BODY[1.2.MIME]"),
    ("BODY[text]", "BODY[TEXT]"),
    ("BODY[1.HEADER]", "BODY[1.HEADER]"),
    (
        "BODY.PEEK[HEADER.FIELDS (Subject \"x y\")]<0.9>",
        "BODY[HEADER.FIELDS (Subject \"x y\")]<0>",
    ),
    (
        "BODY[4.HEADER.FIELDS.NOT (a)]",
        "BODY[4.HEADER.FIELDS.NOT (a)]",
    ),
    ("BINARY.PEEK[1]<5.6>", "BINARY[1]<5>"),
    ("BINARY.SIZE[]", "BINARY.SIZE[]"),
    ("RFC822.HEADER", "RFC822.HEADER"),
    ("RFC822", "RFC822"),
];

#[test]
fn names_of_items() {
    for (asked, told) in NAMES {
        let line = format!("a FETCH 1 {asked}\r\n");
        let Ok(CommandBody::Fetch { items, .. }) = parse::command(line.as_bytes()).map(|c| c.body)
        else {
            panic!("{asked}")
        };
        let mut out = Vec::new();
        let mut writer = FetchWriter::new(SeqNum::at(0), &mut out);
        writer.item(&items[0]);
        writer.nil();
        writer.finish();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("* 1 FETCH ({told} NIL)\r\n")
        );
    }
}

#[test]
fn literals() {
    let mut out = Vec::new();
    let mut writer = FetchWriter::new(SeqNum::at(0), &mut out);
    writer.item(&FetchItem::Rfc822);
    writer.literal(2);
    out.extend_from_slice(b"ab");
    let mut writer = FetchWriter::resume(&mut out);
    writer.item(&FetchItem::Rfc822Text);
    writer.literal(0);
    writer.item(&FetchItem::Rfc822Header);
    writer.literal8(1);
    out.push(0);
    FetchWriter::resume(&mut out).finish();
    assert_eq!(
        out,
        b"* 1 FETCH (RFC822 {2}\r\nab RFC822.TEXT {0}\r\n RFC822.HEADER ~{1}\r\n\0)\r\n"
    );
}

/// RFC 9051 §8: the message of the sample session, shortened.
const SAMPLE: &[u8] = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
    From: Terry Gray <gray@cac.washington.edu>\r\n\
    Subject: IMAP4rev2 WG mtg summary and minutes\r\n\
    To: imap@cac.washington.edu\r\n\
    cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
    Message-Id: <B27397-0100000@cac.washington.ed>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\nhi\r\n";

#[test]
fn the_sample_of_the_rfc() {
    let gray = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
    let envelope = format!(
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" {gray} {gray} {gray} \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
         (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.ed>\")"
    );
    let body = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 4 1";
    assert_eq!(
        String::from_utf8(structure(SAMPLE, false)).unwrap(),
        format!(
            "* 1 FETCH (ENVELOPE {envelope} BODY {body}) BODYSTRUCTURE {body} NIL NIL NIL NIL))\r\n"
        )
    );
}

#[test]
fn structure_of_parts() {
    let message = b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/html\nContent-Language: de, en\n\n<p>\n\
        --a\nContent-Type: message/rfc822\nContent-Disposition: attachment; filename=\"x y\"\n\nSubject: in\n\nbody\n\
        --a\nContent-Type: image/png\nContent-Transfer-Encoding: base64\nContent-ID: <1>\n\nAAAA\n--a--\n";
    let out = structure(message, false);
    let fetched = fetches(&out).unwrap();
    assert_eq!(
        String::from_utf8(fetched[0].items["BODYSTRUCTURE"].clone()).unwrap(),
        "((\"text\" \"html\" NIL NIL NIL \"7bit\" 3 0 NIL NIL (\"de\" \"en\") NIL)\
         (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 19 \
         (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4 0 NIL NIL NIL NIL) 2 \
         NIL (\"attachment\" (\"filename\" \"x y\")) NIL NIL)\
         (\"image\" \"png\" NIL \"<1>\" NIL \"base64\" 4 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"
    );
}

/// Messages that are broken in ways seen in the wild.
const BROKEN: &[&[u8]] = &[
    b"",
    b"\n",
    b"no header at all",
    b"Content-Type: multipart/mixed\n\nno boundary",
    b"Content-Type: multipart/mixed; boundary=a\n\nnothing",
    b"Content-Type: multipart/mixed; boundary=a\n\n--a--\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: message/rfc822",
    b"Content-Type: message/global; a=\"\n\nSubject",
    b"Content-Type: /\n\n",
    b"Content-Type: text\n\n",
    b"Content-Type: text/plain; name*0*=utf-8''%e4; name=\"a\\\"\\\\\"\n\n",
    b"From: a@b, \"c\\\"\" <d>, group: e@f;, <>, @\n\n",
    b"Subject: \xe4\xf6\xfc\0\r\nFrom: \xff\xfe <\xe4@\xf6>\n\n",
    b"Subject: =?utf-8?q?=c3=a4?=\n\n",
    b"Content-Disposition: ;x=y\nContent-Language: ,,\nContent-MD5:\nContent-ID:\nContent-Type:\n\n",
    b"Content-Type: multipart/\xe4; boundary=\"a\"\n\n--a\n\n--a\nContent-Type: message/rfc822\n\n--a--",
];

#[test]
fn structure_is_legal_for_broken_messages() {
    for message in BROKEN {
        for utf8 in [false, true] {
            let out = structure(message, utf8);
            let checked = fetches(&out);
            assert!(checked.is_ok(), "{}: {checked:?}", message.escape_ascii());
        }
    }
    let deep: Vec<u8> = b"Content-Type: message/rfc822\n\n".repeat(3000);
    assert!(fetches(&structure(&deep, false)).is_ok());
}

/// Any section.
fn sections() -> impl Strategy<Value = Section> {
    let names = || prop::collection::vec(prop::collection::vec(1_u8.., 1..6), 1..4);
    let text = prop_oneof![
        Just(SectionText::Whole),
        Just(SectionText::Header),
        Just(SectionText::Text),
        Just(SectionText::Mime),
        names().prop_map(SectionText::HeaderFields),
        names().prop_map(SectionText::HeaderFieldsNot),
    ];
    let numbers = prop::collection::vec((1_u32..).prop_filter_map("zero", NonZeroU32::new), 0..4);
    (numbers, text).prop_map(|(part, text)| match text {
        SectionText::Mime if part.is_empty() => Section::default(),
        text => Section { part, text },
    })
}

proptest! {
    #[test]
    fn the_name_of_a_section_is_what_was_asked_for(section in sections()) {
        let item = FetchItem::BodySection { peek: false, section, window: None };
        let mut line = b"a FETCH 1 ".to_vec();
        let start = line.len();
        FetchWriter::resume(&mut line).item(&item);
        line[start] = b' ';
        line.extend_from_slice(b"\r\n");
        let parsed = parse::command(&line).map(|command| command.body);
        prop_assert!(matches!(&parsed, Ok(CommandBody::Fetch { items, .. }) if items.as_slice() == std::slice::from_ref(&item)), "{:?}", parsed);
    }

    #[test]
    fn structure_is_legal_for_any_message(
        lines in prop::collection::vec(
            prop_oneof![
                Just(&b"Content-Type: multipart/mixed; boundary=a\n"[..]),
                Just(&b"Content-Type: message/rfc822\n"[..]),
                Just(&b"Content-Type: text/plain; charset=\"x\\\n"[..]),
                Just(&b"Content-Disposition: attachment; filename=\xe4\n"[..]),
                Just(&b"Content-Language: a (b\n"[..]),
                Just(&b"From: a:b <c>;d@,;\n"[..]),
                Just(&b"Subject: \0\xe4\r\n"[..]),
                Just(&b"--a\n"[..]), Just(&b"--a--\n"[..]), Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b" x\n"[..]),
            ],
            0..40,
        ),
    ) {
        let out = structure(&lines.concat(), false);
        prop_assert!(fetches(&out).is_ok(), "{:?}", fetches(&out));
    }
}
