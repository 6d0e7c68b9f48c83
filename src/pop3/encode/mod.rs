//! Everything that is sent: the only code that formats POP3.

pub(crate) mod body;

use super::texts::Language;
use super::types::{MessageNumber, Reply};
use crate::encoding::base64;

/// A status line (RFC 2449 §3): at most 512 octets, since all texts are short.
pub(crate) fn reply(reply: &Reply, language: Language, out: &mut Vec<u8>) {
    begin(reply, out);
    text(reply, language, out);
}

/// A status line with a word before its text: `LANG` answers with the tag of the language (RFC 6856 §3.2).
pub(crate) fn reply_with_tag(reply: &Reply, language: Language, out: &mut Vec<u8>) {
    begin(reply, out);
    out.extend_from_slice(language.tag().as_bytes());
    out.push(b' ');
    text(reply, language, out);
}

/// Status and response code.
fn begin(reply: &Reply, out: &mut Vec<u8>) {
    out.extend_from_slice(if reply.ok { b"+OK " } else { b"-ERR " });
    if let Some(code) = reply.code {
        out.push(b'[');
        out.extend_from_slice(code.as_str().as_bytes());
        out.extend_from_slice(b"] ");
    }
}

/// The text with its numbers, and the end of the line.
fn text(reply: &Reply, language: Language, out: &mut Vec<u8>) {
    let mut numbers = reply.numbers.iter();
    for (index, piece) in reply.text.in_language(language).split("{}").enumerate() {
        if index > 0
            && let Some(number) = numbers.next()
        {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        out.extend_from_slice(piece.as_bytes());
    }
    end_line(out);
}

/// `+OK n id`: UIDL of one message (RFC 1939 §7).
pub(crate) fn unique_id(number: MessageNumber, unique_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK ");
    listed_unique_id(number, unique_id, out);
}

/// A scan listing: number and octets (RFC 1939 §5).
pub(crate) fn scan_listing(number: MessageNumber, octets: u64, out: &mut Vec<u8>) {
    item(&format!("{} {octets}", number.0), out);
}

/// A unique-id listing: number and unique-id (RFC 1939 §7).
pub(crate) fn listed_unique_id(number: MessageNumber, unique_id: &str, out: &mut Vec<u8>) {
    item(&format!("{} {unique_id}", number.0), out);
}

/// A language listing (RFC 6856 §3.2).
pub(crate) fn language_listing(language: Language, out: &mut Vec<u8>) {
    item(
        &format!("{} {}", language.tag(), language.description()),
        out,
    );
}

/// One line of an answer of several lines. What we list never begins with a dot but where a unique-id of another server did, and
/// then a number stands before it.
pub(crate) fn item(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    end_line(out);
}

/// The end of an answer of several lines.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b".\r\n");
}

/// `continue-req = "+" SP [base64] CRLF` (RFC 5034 §5)
pub(crate) fn challenge(octets: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(base64::encode(octets).as_bytes());
    end_line(out);
}

/// CRLF
fn end_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::texts::Text;
    use crate::pop3::types::Code;

    fn sent(encode: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_their_forms() {
        let en = Language::English;
        let number = MessageNumber(7);
        for (expected, line) in [
            (
                "+OK goodbye\r\n",
                sent(|o| reply(&Reply::ok(Text::Bye), en, o)),
            ),
            (
                "-ERR [SYS/TEMP] server is shutting down, come again\r\n",
                sent(|o| reply(&Reply::coded(Code::SysTemp, Text::ShuttingDown), en, o)),
            ),
            (
                "+OK 2 Nachrichten (320 Oktette)\r\n",
                sent(|o| reply(&Reply::ok(Text::Totals).with([2, 320]), Language::German, o)),
            ),
            (
                "-ERR message 7 is marked as deleted\r\n",
                sent(|o| reply(&Reply::err(Text::IsDeleted).about(number), en, o)),
            ),
            (
                "+OK de Sprache gewählt\r\n",
                sent(|o| reply_with_tag(&Reply::ok(Text::LanguageChosen), Language::German, o)),
            ),
            ("+OK 7 abc\r\n", sent(|o| unique_id(number, "abc", o))),
            ("7 120\r\n", sent(|o| scan_listing(number, 120, o))),
            ("7 abc\r\n", sent(|o| listed_unique_id(number, "abc", o))),
            (
                "de Deutsch\r\n",
                sent(|o| language_listing(Language::German, o)),
            ),
            ("+ \r\n", sent(|o| challenge(b"", o))),
            ("+ VXNlcm5hbWU6\r\n", sent(|o| challenge(b"Username:", o))),
            (".\r\n", sent(end)),
        ] {
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn status_lines_are_short_enough() {
        // RFC 2449 §4: 512 octets with CRLF
        for text in Text::ALL {
            for language in Language::ALL {
                let longest = Reply::coded(Code::LoginDelay, *text).with([u64::MAX; 2]);
                assert!(sent(|o| reply(&longest, language, o)).len() <= 512);
            }
        }
    }
}
