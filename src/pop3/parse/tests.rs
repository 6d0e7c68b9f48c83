//! Tables of lines and what they mean.

use super::super::types::{Command, MessageNumber, ParseError};
use super::{command, response};
use proptest::prelude::*;

/// What a line means, with secrets shown.
fn meaning(line: &[u8]) -> String {
    match command(line) {
        Ok(Command::Pass(password)) => {
            format!("Pass({:?})", String::from_utf8_lossy(password.expose()))
        }
        Ok(Command::Auth {
            mechanism,
            initial_response,
        }) => {
            let initial = initial_response
                .map(|initial| String::from_utf8_lossy(initial.expose()).into_owned());
            format!("Auth({mechanism:?}, {initial:?})")
        }
        Ok(command) => format!("{command:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// Lines and what they mean.
const LINES: &[(&str, &str)] = &[
    // RFC 1939 §4, §5
    ("QUIT", "Quit"),
    ("quit", "Quit"),
    ("QUIT  ", "Quit"),
    ("QUIT now", "Arguments"),
    ("STAT", "Stat"),
    ("NOOP", "Noop"),
    ("RSET", "Rset"),
    ("LIST", "List(None)"),
    ("LIST 2", "List(Some(MessageNumber(2)))"),
    ("list  2 ", "List(Some(MessageNumber(2)))"),
    ("LIST 0", "List(Some(MessageNumber(0)))"),
    ("LIST 007", "List(Some(MessageNumber(7)))"),
    ("LIST 1 2", "Arguments"),
    ("LIST -1", "Arguments"),
    ("LIST x", "Arguments"),
    ("LIST 1x", "Arguments"),
    (
        "LIST 99999999999999999999999",
        "List(Some(MessageNumber(4294967295)))",
    ),
    ("RETR 1", "Retr(MessageNumber(1))"),
    ("RETR", "Arguments"),
    ("RETR1", "UnknownCommand"),
    ("DELE 3", "Dele(MessageNumber(3))"),
    ("DELE", "Arguments"),
    // §7
    ("TOP 1 10", "Top(MessageNumber(1), 10)"),
    ("TOP 1 0", "Top(MessageNumber(1), 0)"),
    (
        "TOP 1 99999999999999999999999",
        "Top(MessageNumber(1), 18446744073709551615)",
    ),
    ("TOP 1", "Arguments"),
    ("TOP", "Arguments"),
    ("TOP 1 -1", "Arguments"),
    ("UIDL", "Uidl(None)"),
    ("UIDL 5", "Uidl(Some(MessageNumber(5)))"),
    ("USER anna", "User(\"anna\")"),
    ("USER anna b@example.org ", "User(\"anna b@example.org \")"),
    ("USER änne", "User(\"änne\")"),
    ("USER", "Arguments"),
    ("USER ", "Arguments"),
    ("USER a\tb", "Arguments"),
    ("PASS  two  words ", "Pass(\" two  words \")"),
    ("PASS ", "Pass(\"\")"),
    ("PASS", "Arguments"),
    ("APOP anna c4c9334bac560ecc979e58001b3e22fb", "Apop"),
    // RFC 2449, RFC 2595, RFC 6856
    ("CAPA", "Capa"),
    ("STLS", "Stls"),
    ("UTF8", "Utf8"),
    ("UTF8 USER", "Arguments"),
    ("LANG", "Lang(None)"),
    ("LANG *", "Lang(Some(\"*\"))"),
    ("LANG de-AT", "Lang(Some(\"de-AT\"))"),
    ("LANG de-", "Arguments"),
    ("LANG de at", "Arguments"),
    ("LANG d\u{e9}", "Arguments"),
    // RFC 5034 §4
    ("AUTH", "Mechanisms"),
    ("AUTH ", "Mechanisms"),
    ("AUTH PLAIN", "Auth(\"PLAIN\", None)"),
    ("AUTH plain ", "Auth(\"plain\", None)"),
    ("AUTH PLAIN =", "Auth(\"PLAIN\", Some(\"\"))"),
    ("AUTH PLAIN AGEAYg==", "Auth(\"PLAIN\", Some(\"\\0a\\0b\"))"),
    ("AUTH PLAIN =AAA", "NotBase64"),
    ("AUTH PLAIN AAA=BBB", "NotBase64"),
    ("AUTH PLAIN AGEAYg==x", "NotBase64"),
    ("AUTH PLAIN AGEAYg== x", "Arguments"),
    // no commands
    ("", "UnknownCommand"),
    (" QUIT", "UnknownCommand"),
    ("\u{16}\u{3}", "UnknownCommand"),
    ("LAST", "UnknownCommand"),
    ("XTND XMIT", "UnknownCommand"),
    ("EHLO example.org", "UnknownCommand"),
    ("GET / HTTP/1.1", "Http"),
    ("POST /x HTTP/1.1", "Http"),
];

#[test]
fn lines_mean_what_they_say() {
    for (line, expected) in LINES {
        assert_eq!(meaning(line.as_bytes()), *expected, "{line:?}");
    }
    assert_eq!(meaning(b"USER \xff"), "NotUtf8");
    assert_eq!(meaning(b"PASS \xe9"), "NotUtf8");
}

#[test]
fn responses_are_strict_base64() {
    for (text, expected) in [
        ("", Some("")),
        ("YQ==", Some("a")),
        ("YQ", None),
        ("YQ==\0", None),
        ("=", None),
        (" YQ==", None),
    ] {
        let decoded = response(text.as_bytes());
        assert_eq!(
            decoded.ok().map(|secret| secret.expose().to_vec()),
            expected.map(|text| text.as_bytes().to_vec()),
            "{text:?}"
        );
    }
    assert_eq!(response(b"*").err(), Some(ParseError::NotBase64));
}

#[test]
fn numbers_are_places() {
    assert_eq!(MessageNumber(0).index(), None);
    assert_eq!(MessageNumber(1).index(), Some(0));
    assert_eq!(MessageNumber::at(0), MessageNumber(1));
}

proptest! {
    #[test]
    fn any_octets_are_a_command_or_an_error(line in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(command(&line));
    }

    #[test]
    fn any_arguments_are_a_command_or_an_error(
        keyword in prop::sample::select(vec!["USER", "PASS", "AUTH", "LIST", "TOP", "LANG", "RETR"]),
        arguments in "[ -~]{0,30}",
    ) {
        drop(command(format!("{keyword} {arguments}").as_bytes()));
    }
}
