//! Tables of whole commands, good and bad.

use super::*;
use crate::imap::types::command::AppendMessage;
use crate::imap::types::fetch::{FetchItem, SectionText};
use crate::imap::types::list::StatusItem;
use crate::imap::types::search::{DateKind, DateTest, SearchKey};
use crate::mailbox::flag::{FlagAction, SystemFlag};
use crate::mailbox::id::ModSeq;

/// Parses one line without its end.
fn parse(line: &str) -> Result<CommandBody, String> {
    command(format!("a1 {line}\r\n").as_bytes())
        .map(|command| {
            assert_eq!(command.tag.as_str(), "a1");
            command.body
        })
        .map_err(|error| {
            assert_eq!(error.tag.as_ref().map(Tag::as_str), Some("a1"));
            assert!(error.text.bytes().all(|b| (b' '..0x7f).contains(&b)));
            error.text.into_owned()
        })
}

fn debug(line: &str) -> String {
    match parse(line) {
        Ok(body) => format!("{body:?}"),
        Err(text) => format!("BAD {text}"),
    }
}

/// Commands and what they mean; `<text>` stands for octets.
const GOOD: &[(&str, &str)] = &[
    ("CAPABILITY", "Capability"),
    ("noop  ", "Noop"),
    ("Logout", "Logout"),
    ("STARTTLS", "StartTls"),
    ("COMPRESS deflate", "Compress"),
    ("unauthenticate", "Unauthenticate"),
    ("NAMESPACE", "Namespace"),
    ("IDLE", "Idle"),
    ("CHECK", "Check"),
    ("CLOSE", "Close"),
    ("UNSELECT", "Unselect"),
    ("EXPUNGE", "Expunge"),
    (
        "SELECT INBOX",
        "Select(Select { mailbox: MailboxArg(<INBOX>), condstore: false, qresync: None })",
    ),
    (
        "EXAMINE  \"a b\"",
        "Examine(Select { mailbox: MailboxArg(<a b>), condstore: false, qresync: None })",
    ),
    (
        "EXAMINE a (condstore)",
        "Examine(Select { mailbox: MailboxArg(<a>), condstore: true, qresync: None })",
    ),
    ("notify none", "Notify(None)"),
    (
        "NOTIFY SET STATUS (selected (MessageNew (uid flags) messageexpunge)) (subtree Lists (MessageNew FlagChange MessageExpunge))",
        "Notify(Set(NotifySet { status: true, selected: Some(SelectedEvents { delayed: false, \
         messages: Some(MessageEvents { flags: false }), items: [Uid, Flags] }), \
         groups: [EventGroup { filter: Subtree([MailboxArg(<Lists>)]), messages: Some(MessageEvents { flags: true }), \
         names: false, subscriptions: false }], unsupported: false }))",
    ),
    (
        "NOTIFY SET (selected-delayed NONE) (mailboxes (a \"b c\") (MailboxName SubscriptionChange)) (personal NONE)",
        "Notify(Set(NotifySet { status: false, selected: Some(SelectedEvents { delayed: true, messages: None, items: [] }), \
         groups: [EventGroup { filter: Mailboxes([MailboxArg(<a>), MailboxArg(<b c>)]), messages: None, names: true, \
         subscriptions: true }, EventGroup { filter: Personal, messages: None, names: false, subscriptions: false }], \
         unsupported: false }))",
    ),
    (
        "NOTIFY SET (inboxes (ServerMetadataChange))",
        "Notify(Set(NotifySet { status: false, selected: None, groups: [EventGroup { filter: Inboxes, messages: None, \
         names: false, subscriptions: false }], unsupported: true }))",
    ),
    ("CANCELUPDATE \"A1\" \"A2\"", "CancelUpdate([<A1>, <A2>])"),
    (
        "uidbatches 2000",
        "UidBatches(UidBatches { messages: 2000, batches: None })",
    ),
    (
        "UIDBATCHES 500 4:1",
        "UidBatches(UidBatches { messages: 500, batches: Some((4, 1)) })",
    ),
    ("DELETE {3}\r\na b", "Delete(MailboxArg(<a b>))"),
    ("SUBSCRIBE a]b", "Subscribe(MailboxArg(<a]b>))"),
    ("UNSUBSCRIBE \"\"", "Unsubscribe(MailboxArg(<>))"),
    (
        "RENAME a \"b c\"",
        "Rename { from: MailboxArg(<a>), to: MailboxArg(<b c>) }",
    ),
    (
        "CREATE Sent (USE (\\Sent))",
        "Create { mailbox: MailboxArg(<Sent>), special_use: [Sent], unknown_use: false }",
    ),
    (
        "CREATE x (USE (\\drafts \\Foo))",
        "Create { mailbox: MailboxArg(<x>), special_use: [Drafts], unknown_use: true }",
    ),
    (
        "CREATE x",
        "Create { mailbox: MailboxArg(<x>), special_use: [], unknown_use: false }",
    ),
    (
        "STATUS INBOX (messages UIDNEXT HIGHESTMODSEQ MESSAGES)",
        "Status { mailbox: MailboxArg(<INBOX>), items: [Messages, UidNext, HighestModSeq] }",
    ),
    (
        "ENABLE imap4rev2 UTF8=ACCEPT",
        "Enable([\"IMAP4REV2\", \"UTF8=ACCEPT\"])",
    ),
    ("ID NIL", "Id([])"),
    ("ID ()", "Id([])"),
    ("ID (\"name\" NIL)", "Id([(<name>, None)])"),
    (
        "AUTHENTICATE PLAIN",
        "Authenticate { mechanism: \"PLAIN\", initial_response: None }",
    ),
    (
        "authenticate plain =",
        "Authenticate { mechanism: \"PLAIN\", initial_response: Some(<=>) }",
    ),
    (
        "LOGIN joe@example.com pa%s*s\\word",
        "Login { user: <joe@example.com>, password: Secret(…) }",
    ),
    (
        "LOGIN \"joe\" {4}\r\na\"\\b",
        "Login { user: <joe>, password: Secret(…) }",
    ),
];

/// Puts octets as `Debug` shows them where `<text>` stands.
fn with_octets(expected: &str) -> String {
    let mut pieces = expected.split('<');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (octets, rest) = piece.split_once('>').unwrap();
        text += &format!("{:?}{rest}", octets.as_bytes());
    }
    text
}

#[test]
fn good_commands() {
    for (line, expected) in GOOD {
        assert_eq!(debug(line), with_octets(expected), "{line}");
    }
}

#[test]
fn passwords_are_taken_as_they_stand() {
    for (line, password) in [
        ("LOGIN a \"b c\"", &b"b c"[..]),
        ("LOGIN a \"\\\"\\\\\"", b"\"\\"),
        ("LOGIN a b*]%", b"b*]%"),
        ("LOGIN a {2}\r\n) ", b") "),
        ("LOGIN a \"\"", b""),
    ] {
        let Ok(CommandBody::Login {
            password: given, ..
        }) = parse(line)
        else {
            panic!("{line}")
        };
        assert_eq!(given.expose(), password, "{line}");
    }
}

/// Commands and what they are answered.
const BAD: &[(&str, &str)] = &[
    ("", "expected the name of a command after the tag"),
    ("FOO", "unknown command"),
    ("UID", "UID: expected the name of a command"),
    ("UID NOOP", "unknown command"),
    ("NOOP x", "NOOP: expected the end of the command"),
    ("SELECT", "SELECT: expected a blank"),
    ("SELECT ", "SELECT: expected a mailbox name"),
    ("SELECT a b", "SELECT: expected the end of the command"),
    ("SELECT \"a", "SELECT: expected a closing \""),
    ("LOGIN joe", "LOGIN: expected a blank"),
    (
        "LOGIN joe \"a\\b\"",
        "LOGIN: expected \" or \\ after a backslash",
    ),
    ("STATUS INBOX ()", "STATUS: expected a status item"),
    (
        "STATUS INBOX (FOO)",
        "STATUS: expected status items that are offered",
    ),
    ("CREATE a (FOO (\\Sent))", "CREATE: expected USE"),
    ("LIST \"\"", "LIST: expected a blank"),
    (
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST: expected SUBSCRIBED beside RECURSIVEMATCH",
    ),
    (
        "LIST (FOO) \"\" *",
        "LIST: expected selection options of LIST that are offered",
    ),
    ("FETCH FLAGS", "FETCH: expected a sequence set"),
    ("FETCH 1", "FETCH: expected a blank"),
    (
        "FETCH 1 FOO",
        "FETCH: expected a data item of FETCH that is offered",
    ),
    ("FETCH 1 (FLAGS", "FETCH: expected )"),
    ("FETCH 1 ()", "FETCH: expected a data item of FETCH"),
    (
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH: expected a header field name",
    ),
    ("FETCH 1 BODY[MIME]", "FETCH: expected a section or ]"),
    ("FETCH 1 BODY[0]", "FETCH: expected a section or ]"),
    (
        "FETCH 1 BODY[]<0.0>",
        "FETCH: expected a number of octets above 0",
    ),
    ("FETCH 1 BODY[]<0>", "FETCH: expected ."),
    ("FETCH 0 FLAGS", "FETCH: expected a sequence set"),
    (
        "STORE 1 FOO (\\Seen)",
        "STORE: expected FLAGS, +FLAGS or -FLAGS",
    ),
    (
        "STORE 1 FLAGS (\\Foo)",
        "STORE: expected \\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft or a keyword without backslash",
    ),
    ("NOTIFY", "NOTIFY: expected a blank"),
    ("NOTIFY some", "NOTIFY: expected SET or NONE"),
    ("NOTIFY SET", "NOTIFY: expected a blank"),
    (
        "NOTIFY SET selected NONE",
        "NOTIFY: expected an event group in parentheses",
    ),
    (
        "NOTIFY SET (everything NONE)",
        "NOTIFY: expected a choice of mailboxes",
    ),
    (
        "NOTIFY SET (selected MessageNew)",
        "NOTIFY: expected events in parentheses or NONE",
    ),
    (
        "NOTIFY SET (selected (MessageNew))",
        "NOTIFY: expected MessageNew and MessageExpunge together, and with changes of messages",
    ),
    (
        "NOTIFY SET (personal (FlagChange))",
        "NOTIFY: expected MessageNew and MessageExpunge together, and with changes of messages",
    ),
    (
        "NOTIFY SET (selected (MailboxName))",
        "NOTIFY: expected message events only for the selected mailbox",
    ),
    (
        "NOTIFY SET (personal (MessageNew (uid) MessageExpunge))",
        "NOTIFY: expected data items of FETCH for the selected mailbox only",
    ),
    (
        "NOTIFY SET (selected NONE) (selected-delayed NONE)",
        "NOTIFY: expected SELECTED or SELECTED-DELAYED once",
    ),
    ("CANCELUPDATE", "CANCELUPDATE: expected a blank"),
    ("CANCELUPDATE A1", "CANCELUPDATE: expected a tag in quotes"),
    ("UIDBATCHES", "UIDBATCHES: expected a blank"),
    ("UIDBATCHES 0", "UIDBATCHES: expected a number above 0"),
    (
        "UIDBATCHES 500 1",
        "UIDBATCHES: expected the end of the command",
    ),
    (
        "UIDBATCHES 500 1:*",
        "UIDBATCHES: expected the end of the command",
    ),
    ("UID UIDBATCHES 500", "unknown command"),
    ("SEARCH", "SEARCH: expected a blank"),
    ("SEARCH ", "SEARCH: expected a search criterion"),
    (
        "SEARCH FOO",
        "SEARCH: expected a search criterion that is offered",
    ),
    (
        "SEARCH NOT",
        "SEARCH: expected a search criterion that is offered",
    ),
    ("SEARCH OR SEEN", "SEARCH: expected a blank"),
    ("SEARCH (SEEN", "SEARCH: expected a blank"),
    ("SEARCH SEEN)", "SEARCH: expected a blank"),
    ("SEARCH ()", "SEARCH: expected a search criterion"),
    (
        "SEARCH SINCE 30-Feb-2024",
        "SEARCH: expected a date like 1-Jan-2026",
    ),
    (
        "SEARCH SINCE foo",
        "SEARCH: expected a date like 1-Jan-2026",
    ),
    (
        "SEARCH RETURN (FOO) ALL",
        "SEARCH: expected return options of SEARCH that are offered",
    ),
    ("UID EXPUNGE", "EXPUNGE: expected a blank"),
    ("APPEND INBOX", "APPEND: expected a blank"),
    (
        "APPEND INBOX \"mail\"",
        "APPEND: expected a date like \" 1-Jan-2026 10:00:00 +0100\"",
    ),
    (
        "APPEND INBOX mail",
        "APPEND: expected the message as a literal",
    ),
    (
        "APPEND INBOX (\\Recent) {3+}",
        "APPEND: expected flags without \\Recent, which only the server sets",
    ),
    (
        "APPEND INBOX (x \\Foo) {3+}",
        "APPEND: expected \\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft or a keyword without backslash",
    ),
    ("APPEND INBOX (\\Seen {3+}", "APPEND: expected a flag"),
    ("APPEND INBOX (\\) {3+}", "APPEND: expected an atom"),
    ("ENABLE", "ENABLE: expected a blank"),
    ("ID (\"a\")", "ID: expected a blank"),
    ("NOOP\0", "NOOP: expected the end of the command"),
    ("NOOP\rX", "NOOP: expected the end of the command"),
    (
        "SELECT INBOX (FOO)",
        "SELECT: expected parameters of SELECT that are offered",
    ),
    (
        "SELECT INBOX (CONDSTORE condstore)",
        "SELECT: expected each parameter once",
    ),
    ("SELECT INBOX ()", "SELECT: expected a parameter"),
    (
        "SELECT INBOX (QRESYNC (0 1))",
        "SELECT: expected UIDVALIDITY",
    ),
    (
        "SELECT INBOX (QRESYNC (1 9223372036854775808))",
        "SELECT: expected a mod-sequence",
    ),
    ("SELECT INBOX (QRESYNC (1 2 1:*))", "SELECT: expected )"),
    (
        "SELECT INBOX (QRESYNC (1 2 1:3 (2,1 3,4)))",
        "SELECT: expected )",
    ),
    ("FETCH 1 FLAGS ()", "FETCH: expected a modifier of FETCH"),
    (
        "FETCH 1 FLAGS (FOO 1)",
        "FETCH: expected modifiers of FETCH that are offered",
    ),
    (
        "FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        "FETCH: expected each modifier once",
    ),
    (
        "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
        "FETCH: expected a mod-sequence",
    ),
    (
        "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "FETCH: expected VANISHED in UID FETCH and beside CHANGEDSINCE only",
    ),
    (
        "UID FETCH 1 FLAGS (VANISHED)",
        "FETCH: expected VANISHED in UID FETCH and beside CHANGEDSINCE only",
    ),
    (
        "STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS ()",
        "STORE: expected UNCHANGEDSINCE once",
    ),
    (
        "STORE 1 (FOO) FLAGS ()",
        "STORE: expected a modifier of STORE that is offered",
    ),
    ("SEARCH MODSEQ", "SEARCH: expected a blank"),
    ("SEARCH MODSEQ x", "SEARCH: expected a mod-sequence"),
    (
        "SEARCH MODSEQ \"/flags/\" all 1",
        "SEARCH: expected the name of a flag's entry",
    ),
    (
        "SEARCH MODSEQ \"/flags/$x\" public 1",
        "SEARCH: expected priv, shared or all",
    ),
];

#[test]
fn bad_commands_say_why() {
    let answered: Vec<_> = BAD.iter().map(|(line, _)| (*line, debug(line))).collect();
    let expected: Vec<_> = BAD
        .iter()
        .map(|(line, text)| (*line, format!("BAD {text}")))
        .collect();
    assert_eq!(answered, expected);
}

#[test]
fn tags() {
    for (line, tag) in [
        ("a]1. NOOP\r\n", Some("a]1.")),
        ("* NOOP\r\n", None),
        ("+a NOOP\r\n", None),
        ("a+ NOOP\r\n", None),
        ("\r\n", None),
        ("(a) NOOP\n", None),
    ] {
        let parsed = command(line.as_bytes());
        let found = parsed
            .as_ref()
            .map_or_else(|e| e.tag.clone(), |c| Some(c.tag.clone()));
        assert_eq!(found.as_ref().map(Tag::as_str), tag, "{line}");
    }
    assert_eq!(command(b"\r\n").unwrap_err().text, "empty line");
    assert_eq!(tag(b"a1 SELECT {99999999"), Tag::new("a1"));
}

fn fetch_items(items: &str) -> Vec<FetchItem> {
    match parse(&format!("UID FETCH 1:* {items}")) {
        Ok(CommandBody::Fetch {
            uid: true, items, ..
        }) => items,
        other => panic!("{items}: {other:?}"),
    }
}

#[test]
fn fetch() {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size, Uid};
    assert_eq!(fetch_items("FAST"), [Flags, InternalDate, Rfc822Size]);
    assert_eq!(
        fetch_items("all"),
        [Flags, InternalDate, Rfc822Size, Envelope]
    );
    assert_eq!(
        fetch_items("FULL"),
        [Flags, InternalDate, Rfc822Size, Envelope, Body]
    );
    assert_eq!(fetch_items("(UID FLAGS UID)"), [Uid, Flags]);
    assert_eq!(fetch_items("( UID  FLAGS )"), [Uid, Flags]);
    assert_eq!(fetch_items("RFC822.TEXT"), [FetchItem::Rfc822Text]);
    for (text, expected) in [
        (
            "BODY[]",
            "BodySection { peek: false, section: Section { part: [], text: Whole }, window: None }",
        ),
        (
            "body.peek[]<10.20>",
            "BodySection { peek: true, section: Section { part: [], text: Whole }, window: Some(OctetWindow { origin: 10, octets: 20 }) }",
        ),
        (
            "BODY[1.2.3]",
            "BodySection { peek: false, section: Section { part: [1, 2, 3], text: Whole }, window: None }",
        ),
        (
            "BODY[1.MIME]",
            "BodySection { peek: false, section: Section { part: [1], text: Mime }, window: None }",
        ),
        (
            "BODY[header]",
            "BodySection { peek: false, section: Section { part: [], text: Header }, window: None }",
        ),
        (
            "BODY[3.TEXT]",
            "BodySection { peek: false, section: Section { part: [3], text: Text }, window: None }",
        ),
        (
            "BINARY[1]",
            "Binary { peek: false, part: [1], window: None }",
        ),
        (
            "BINARY.PEEK[]<0.1>",
            "Binary { peek: true, part: [], window: Some(OctetWindow { origin: 0, octets: 1 }) }",
        ),
        ("BINARY.SIZE[2.1]", "BinarySize { part: [2, 1] }"),
        ("BODYSTRUCTURE", "BodyStructure"),
    ] {
        assert_eq!(format!("{:?}", fetch_items(text)[0]), expected);
    }
}

#[test]
fn fetch_header_fields() {
    for (text, negate) in [
        (
            "BODY.PEEK[1.HEADER.FIELDS (Subject \"X-A\" {3}\r\nX-B)]",
            false,
        ),
        (
            "BODY.PEEK[1.HEADER.FIELDS.NOT (Subject \"X-A\" {3}\r\nX-B)]",
            true,
        ),
    ] {
        let items = fetch_items(text);
        let [FetchItem::BodySection { section, .. }] = items.as_slice() else {
            panic!("{text}")
        };
        let expected = vec![b"Subject".to_vec(), b"X-A".to_vec(), b"X-B".to_vec()];
        assert_eq!(
            section.text,
            if negate {
                SectionText::HeaderFieldsNot(expected)
            } else {
                SectionText::HeaderFields(expected)
            }
        );
    }
}

#[test]
fn store() {
    for (line, action, silent) in [
        ("STORE 1:3 FLAGS (\\Seen $Junk)", FlagAction::Replace, false),
        (
            "UID STORE 1:3 +flags.silent (\\seen $junk \\SEEN)",
            FlagAction::Add,
            true,
        ),
        ("STORE 1:3 -FLAGS \\Seen $JUNK", FlagAction::Remove, false),
    ] {
        let Ok(CommandBody::Store(store)) = parse(line) else {
            panic!("{line}")
        };
        assert_eq!((store.action, store.silent), (action, silent), "{line}");
        assert_eq!(store.uid, line.starts_with("UID"));
        assert!(!store.names_recent);
        assert!(store.flags.system.has(SystemFlag::Seen));
        assert_eq!(store.flags.keywords.len(), 1);
    }
    let Ok(CommandBody::Store(store)) = parse("STORE 1 FLAGS ()") else {
        panic!()
    };
    assert!(store.flags.system.is_empty() && store.flags.keywords.is_empty());
    let Ok(CommandBody::Store(store)) = parse("STORE $ +FLAGS (\\Recent)") else {
        panic!()
    };
    assert!(store.names_recent);
    assert_eq!(store.set, SequenceSet::Saved);
}

#[test]
fn modifiers() {
    let fetch = |line: &str| match parse(line) {
        Ok(CommandBody::Fetch { modifiers, .. }) => (
            modifiers.changed_since.map(|since| since.0),
            modifiers.vanished,
        ),
        other => panic!("{line}: {other:?}"),
    };
    for (line, expected) in [
        ("FETCH 1 FLAGS", (None, false)),
        ("FETCH 1 (FLAGS) (changedsince 0)", (Some(0), false)),
        (
            "UID FETCH 1:* ALL ( VANISHED  CHANGEDSINCE 9223372036854775807 )",
            (Some(i64::MAX as u64), true),
        ),
    ] {
        assert_eq!(fetch(line), expected, "{line}");
    }
    for (line, expected) in [
        ("STORE 1 FLAGS ()", None),
        (
            "UID STORE 1 (unchangedsince 0) +FLAGS.SILENT \\Seen",
            Some(0),
        ),
        (
            "STORE 1 (UNCHANGEDSINCE 320162338) -FLAGS ()",
            Some(320_162_338),
        ),
    ] {
        let Ok(CommandBody::Store(store)) = parse(line) else {
            panic!("{line}")
        };
        assert_eq!(
            store.unchanged_since.map(|since| since.0),
            expected,
            "{line}"
        );
    }
}

#[test]
fn known_states() {
    let known = |parameters: &str| match parse(&format!("SELECT a (QRESYNC ({parameters}))")) {
        Ok(CommandBody::Select(select)) => select.qresync.unwrap(),
        other => panic!("{parameters}: {other:?}"),
    };
    let state = known("67890007 90060115194045000 41:211,9,300:214,42");
    assert_eq!(state.uid_validity.value(), 67_890_007);
    assert_eq!(state.mod_seq.0, 90_060_115_194_045_000);
    let ranges: Vec<_> = state.uids.unwrap().ranges().collect();
    assert_eq!(ranges, [9..=9, 41..=211, 214..=300]);
    assert_eq!(state.matches, None);
    let state = known("1 2 (1,5:6 7,9,4294967295)");
    assert_eq!(state.uids, None);
    let pairs: Vec<_> = state.matches.unwrap().pairs().collect();
    assert_eq!(pairs, [(1, 7), (5, 9), (6, u32::MAX)]);
    let state = known("1 2 1:9 (1:3 4:6)");
    assert!(state.uids.is_some() && state.matches.is_some());
    for parameters in [
        "1",
        "1 2 3 4",
        "1 2 $",
        "1 2 (1 2,3)",
        "1 2 (1 1:*)",
        "1 2 (2:3,3 1:3)",
        "1 2 ()",
        "1 2 (1)",
    ] {
        let line = format!("SELECT a (QRESYNC ({parameters}))");
        assert!(parse(&line).is_err(), "{line}");
    }
}

#[test]
fn lists() {
    let Ok(CommandBody::List(list)) = parse("LIST \"\" %") else {
        panic!()
    };
    assert!(!list.extended);
    assert_eq!(list.patterns, [b"%".to_vec()]);
    let Ok(CommandBody::List(list)) = parse(
        "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX \"a b*\" c/%]) RETURN (CHILDREN STATUS (SIZE UIDNEXT) SPECIAL-USE)",
    ) else {
        panic!()
    };
    assert!(list.extended && list.selection.subscribed && list.selection.recursive_match);
    assert_eq!(
        list.patterns,
        [b"INBOX".to_vec(), b"a b*".to_vec(), b"c/%]".to_vec()]
    );
    assert!(list.returns.children && list.returns.special_use && !list.returns.subscribed);
    assert_eq!(list.returns.status, [StatusItem::Size, StatusItem::UidNext]);
    for line in [
        "LIST () \"\" \"\"",
        "LIST \"\" * RETURN ()",
        "LIST \"\" (*)",
        "LIST (SPECIAL-USE) \"\" *",
        "LIST (REMOTE) ref {1}\r\n*",
    ] {
        assert!(
            matches!(parse(line), Ok(CommandBody::List(list)) if list.extended),
            "{line}"
        );
    }
    assert!(matches!(
        parse("LSUB \"\" \"*\""),
        Ok(CommandBody::Lsub(..))
    ));
}

fn search_key(criteria: &str) -> SearchKey {
    match parse(&format!("SEARCH {criteria}")) {
        Ok(CommandBody::Search { uid: false, search }) => search.key,
        other => panic!("{criteria}: {other:?}"),
    }
}

#[test]
fn search() {
    let seen = SearchKey::Flag(SystemFlag::Seen, true);
    assert_eq!(search_key("SEEN"), seen);
    assert_eq!(search_key("((SEEN))"), seen);
    assert_eq!(search_key("NOT NOT SEEN"), seen);
    assert_eq!(
        search_key("undeleted"),
        SearchKey::Flag(SystemFlag::Deleted, false)
    );
    assert_eq!(
        search_key("SEEN (ALL (NEW OLD))"),
        SearchKey::And(vec![
            seen.clone(),
            SearchKey::All,
            SearchKey::New,
            SearchKey::Old
        ])
    );
    assert_eq!(
        search_key("NOT (SEEN ALL) RECENT"),
        SearchKey::And(vec![
            SearchKey::Not(Box::new(SearchKey::And(vec![seen, SearchKey::All]))),
            SearchKey::Recent
        ])
    );
    let SearchKey::Or(keys) = search_key("OR OR SEEN ALL OR NOT NEW (OLD)") else {
        panic!()
    };
    assert_eq!(keys.len(), 4);
}

#[test]
fn search_arguments() {
    for (criteria, key) in [
        (
            "FROM smith",
            SearchKey::Header(b"FROM".to_vec(), b"smith".to_vec()),
        ),
        (
            "header X-A \"\"",
            SearchKey::Header(b"X-A".to_vec(), vec![]),
        ),
        ("BODY {2}\r\na)", SearchKey::Body(b"a)".to_vec())),
        ("LARGER 0", SearchKey::Larger(0)),
        (
            "OLDER 60",
            SearchKey::Within {
                older: true,
                secs: 60,
            },
        ),
        ("MODSEQ 0", SearchKey::ModSeq(ModSeq::ZERO)),
        (
            "modseq \"/flags/\\\\draft\" ALL 620162338",
            SearchKey::ModSeq(ModSeq(620_162_338)),
        ),
        (
            "MODSEQ \"/flags/$x\" priv 9223372036854775807",
            SearchKey::ModSeq(ModSeq(i64::MAX as u64)),
        ),
        ("UID $", SearchKey::Uid(SequenceSet::Saved)),
        ("$", SearchKey::Sequence(SequenceSet::Saved)),
    ] {
        assert_eq!(search_key(criteria), key, "{criteria}");
    }
    assert!(matches!(
        search_key("SENTSINCE \"1-Feb-1994\""),
        SearchKey::Date(DateKind::Sent, DateTest::Since, _)
    ));
    assert!(matches!(
        search_key("on 1-feb-1994"),
        SearchKey::Date(DateKind::Internal, DateTest::On, _)
    ));
    assert!(matches!(search_key("1:3,*"), SearchKey::Sequence(_)));
    assert!(matches!(
        search_key("UNKEYWORD $Junk"),
        SearchKey::Keyword(_, false)
    ));
}

#[test]
fn fetch_modifiers() {
    let modifiers = |text: &str| match parse(&format!("UID FETCH 1:* (FLAGS) {text}")) {
        Ok(CommandBody::Fetch { modifiers, .. }) => Ok(modifiers),
        Ok(other) => panic!("{other:?}"),
        Err(text) => Err(text),
    };
    let window = modifiers("(partial -1:-30)").unwrap().partial.unwrap();
    assert!(window.from_end && window.size() == 30);
    for (text, expected) in [
        ("()", "FETCH: expected a modifier of FETCH"),
        (
            "(FOO)",
            "FETCH: expected modifiers of FETCH that are offered",
        ),
        ("(PARTIAL)", "FETCH: expected a blank"),
        (
            "(PARTIAL x)",
            "FETCH: expected a window such as 1:500 or -1:-500",
        ),
        ("(PARTIAL 1:*)", "FETCH: expected a number"),
        (
            "(PARTIAL 1:2 PARTIAL 3:4)",
            "FETCH: expected each modifier once",
        ),
    ] {
        assert_eq!(modifiers(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn windows_of_search() {
    let returns = |options: &str| match parse(&format!("SEARCH RETURN ({options}) ALL")) {
        Ok(CommandBody::Search { search, .. }) => Ok(search.returns.unwrap()),
        Ok(other) => panic!("{other:?}"),
        Err(text) => Err(text),
    };
    let asked = returns("MIN partial 500:1 SAVE").unwrap();
    assert!(asked.min && asked.save && !asked.all);
    assert_eq!(asked.partial.unwrap().of(700), 0..500);
    for (options, expected) in [
        ("PARTIAL", "SEARCH: expected a blank"),
        ("PARTIAL 1:-2", "SEARCH: expected a number"),
        ("PARTIAL 1:2 PARTIAL 1:2", "SEARCH: expected PARTIAL once"),
        ("ALL PARTIAL 1:2", "SEARCH: expected either PARTIAL or ALL"),
        ("PARTIAL 1:2 ALL", "SEARCH: expected either PARTIAL or ALL"),
    ] {
        assert_eq!(returns(options).unwrap_err(), expected, "{options}");
    }
}

#[test]
fn search_options() {
    let Ok(CommandBody::Search { uid: true, search }) =
        parse("UID SEARCH RETURN (MIN SAVE) CHARSET UTF-8 ALL")
    else {
        panic!()
    };
    let returns = search.returns.unwrap();
    assert!(returns.min && returns.save && !returns.all);
    assert_eq!(search.charset.as_deref(), Some(&b"UTF-8"[..]));
    let plain = parse("SEARCH RETURN () ALL");
    assert!(matches!(plain, Ok(CommandBody::Search { search, .. }) if search.returns.is_some()));
}

#[test]
fn updates_of_search_with_data_items() {
    for (options, expected) in [
        ("UPDATE", &[][..]),
        ("UPDATE(UID)", &[FetchItem::Uid]),
        (
            "UPDATE (uid FLAGS uid) COUNT",
            &[FetchItem::Uid, FetchItem::Flags],
        ),
    ] {
        let Ok(CommandBody::Search { search, .. }) =
            parse(&format!("SEARCH RETURN ({options}) ALL"))
        else {
            panic!("{options}")
        };
        assert!(search.returns.unwrap().update);
        assert_eq!(search.update_items, expected, "{options}");
    }
    for options in ["UPDATE (", "UPDATE ()", "UPDATE (all)", "UPDATE  (uid)"] {
        assert!(
            parse(&format!("SEARCH RETURN ({options}) ALL")).is_err(),
            "{options}"
        );
    }
}

#[test]
fn search_nests_within_bounds() {
    let nested = |n| "NOT (ALL ".repeat(n) + "SEEN" + &")".repeat(n);
    assert!(parse(&format!("SEARCH {}", nested(25))).is_ok());
    assert_eq!(
        parse(&format!("SEARCH {}", nested(500))).map(drop),
        Err("SEARCH: expected criteria that nest less deeply".into())
    );
    // a chain is no nesting
    let chain = "OR SEEN ".repeat(2000) + "ALL";
    assert!(matches!(search_key(&chain), SearchKey::Or(keys) if keys.len() == 2001));
    for many in [
        "(".repeat(100_000),
        "NOT ".repeat(5000),
        "OR ".repeat(5000),
        "ALL ".repeat(5000),
        "1:* ".repeat(129),
    ] {
        assert!(parse(&format!("SEARCH {many}")).is_err());
    }
}

#[test]
fn append() {
    let parse = |line: &str| match command(format!("a1 APPEND {line}\r\n").as_bytes()) {
        Ok(Command {
            body: CommandBody::Append { mailbox, message },
            ..
        }) => Ok((mailbox.0, message)),
        other => Err(format!("{other:?}")),
    };
    let literal = |octets, non_synchronizing, binary| LiteralHeader {
        octets,
        non_synchronizing,
        binary,
    };
    let (mailbox, message) = parse("INBOX {310}").unwrap();
    assert_eq!(mailbox, b"INBOX");
    assert_eq!(message.literal, literal(310, false, false));
    let (_, message) = parse("{3}\r\na b (\\Seen x) \" 7-Feb-1994 21:52:25 -0800\" ~{0+}").unwrap();
    assert_eq!(message.literal, literal(0, true, true));
    assert_eq!(message.internal_date, Some(760_686_745));
    assert!(message.flags.system.has(SystemFlag::Seen));
    assert_eq!(message.flags.keywords.len(), 1);
    let (_, message) = parse("x () UTF8 (~{5}").unwrap();
    assert!(message.utf8 && message.literal.binary);
    for line in [
        "x UTF8 ({5}",
        "x CATENATE (TEXT {5}",
        "x (\\Seen",
        "x (\\Seen \\Recent) {3}",
        "x (\\Foo) {3}",
        "x \"foo\" {3}",
        "x {5}\r\nhello",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    for (line, expected) in [
        ("APPEND INBOX {3}\r\n", true),
        ("append {5}\r\n", false),
        ("append {5}\r\nINBOX {3+}\r\n", true),
        ("append x foo {3+}\r\n", true),
        ("SEARCH TEXT {3+}\r\n", false),
    ] {
        assert_eq!(
            announces_message(format!("a {line}").as_bytes()),
            expected,
            "{line}"
        );
    }
}

#[test]
fn after_a_message() {
    assert_eq!(append_next(b"\r\n", false), Ok(AppendNext::End));
    assert_eq!(append_next(b" \n", false), Ok(AppendNext::End));
    assert_eq!(append_next(b")\r\n", true), Ok(AppendNext::End));
    assert!(append_next(b"\r\n", true).is_err());
    assert!(append_next(b")\r\n", false).is_err());
    assert!(append_next(b" foo\r\n", false).is_err());
    assert!(matches!(
        append_next(b" (\\Seen) {3}\r\n", false),
        Ok(AppendNext::Message(AppendMessage { utf8: false, .. }))
    ));
    assert_eq!(
        append_next(b" (\\recent) {3}\r\n", false).unwrap_err().text,
        "APPEND: expected flags without \\Recent, which only the server sets"
    );
    assert!(matches!(
        append_next(b") UTF8 (~{3+}\r\n", true),
        Ok(AppendNext::Message(AppendMessage { utf8: true, .. }))
    ));
}

#[test]
fn announced_literals() {
    for (line, expected) in [
        (&b"a {3}\r\n"[..], Some((3, false, false))),
        (b"a ~{3+}\n", Some((3, true, true))),
        (b"{0}\r\n", Some((0, false, false))),
        (b"a {3} \r\n", None),
        (b"a {3\r\n", None),
        (b"a {x}\r\n", None),
        (b"a {99999999999999999999}\r\n", None),
        (b"a\r\n", None),
        (b"a {3}", None),
    ] {
        let found = announced_literal(line).map(|h| (h.octets, h.non_synchronizing, h.binary));
        assert_eq!(found, expected, "{line:?}");
    }
}

#[test]
fn no_prefix_of_a_command_panics() {
    for line in [
        "a1 UID FETCH 1:*,4 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS.NOT (A \"b\")]<0.10> BINARY[1])\r\n",
        "a1 SEARCH RETURN (MIN) CHARSET x OR (NOT FROM {1}\r\na) SINCE 1-Jan-2020 KEYWORD b\r\n",
        "a1 LIST (SUBSCRIBED) \"\" (a b) RETURN (STATUS (SIZE))\r\n",
        "a1 APPEND x (\\Seen) \" 1-Jan-2026 10:00:00 +0100\" UTF8 (~{3+}\r\n",
        "a1 CREATE x (USE (\\Sent))\r\n",
        "a1 ID (\"a\" \"b\" \"c\" NIL)\r\n",
    ] {
        assert!(command(line.as_bytes()).is_ok(), "{line}");
        for end in 0..line.len() {
            let cut = &line.as_bytes()[..end];
            drop(command(cut));
            drop(command(&[cut, b"\0\xff"].concat()));
            drop(append_next(cut, true));
            let _announced = announced_literal(cut);
        }
    }
}
