//! The hot inner pieces, for `benches/pieces.rs` to time: present with feature `bench` and in unit tests alone, and no part of what
//! the crate offers.
//!
//! Each function is one piece and returns what keeps a compiler from leaving it out; the tests below hold it to what it claims.

use crate::message::envelope::Envelope;
use crate::message::lines::{CrlfState, push_crlf};
use crate::message::structure::Message;
use std::io;
use std::path::Path;

/// Takes a stream of lines in pieces of so many octets, as a socket gives them; returns how many lines it had.
#[must_use]
pub fn framed(stream: &[u8], piece_octets: usize) -> usize {
    crate::imap::pieces::framed(stream, piece_octets)
}

/// Parses one IMAP command; true if it is one.
#[must_use]
pub fn parsed(command: &[u8]) -> bool {
    crate::imap::parse::command(command).is_ok()
}

/// Encodes `* n FETCH (UID n FLAGS (…))` of so many messages, with every combination of system flags in turn and one keyword.
pub fn encode_flags(messages: u32, out: &mut Vec<u8>) {
    crate::imap::pieces::encode_flags(messages, out);
}

/// Counts the octets that a message has on the wire.
#[must_use]
pub fn crlf_octets(message: &[u8]) -> u64 {
    let mut counted = CrlfState::default();
    counted.feed(message);
    counted.octets()
}

/// Converts a message to what it is on the wire.
pub fn convert(message: &[u8], out: &mut Vec<u8>) {
    push_crlf(message, &mut 0, out);
}

/// Parses the MIME structure of a message; returns how many parts it has.
#[must_use]
pub fn parts(message: &[u8]) -> usize {
    Message::parse(message).parts().count()
}

/// Parses a UID list; returns how many messages it has.
#[must_use]
pub fn uid_list(text: Vec<u8>) -> usize {
    crate::store::pieces::uid_list(text)
}

/// Lists the message files in `cur/` of a Maildir; returns how many there are.
///
/// # Errors
/// What the system says.
pub fn listed(maildir: &Path) -> io::Result<usize> {
    crate::store::pieces::listed(maildir)
}

/// A parsed message, to be told of.
#[derive(Debug)]
pub struct Parsed {
    message: Message,
    envelope: Envelope,
}

impl Parsed {
    /// Parses a message.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        let message = Message::parse(octets);
        let header = octets.get(message.root.header.clone()).unwrap_or_default();
        Self {
            envelope: Envelope::parse(header),
            message,
        }
    }

    /// Encodes `* 1 FETCH (ENVELOPE …)`.
    pub fn encode_envelope(&self, out: &mut Vec<u8>) {
        crate::imap::pieces::encode_envelope(&self.envelope, out);
    }

    /// Encodes `* 1 FETCH (BODYSTRUCTURE …)`.
    pub fn encode_structure(&self, out: &mut Vec<u8>) {
        crate::imap::pieces::encode_structure(&self.message, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MESSAGE: &[u8] = b"Subject: a piece\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n";

    #[test]
    fn protocol_pieces_do_their_work() {
        let stream = b"a NOOP\r\nb FETCH 1:* (FLAGS)\r\nc LOGOUT\r\n";
        for octets in [1, 7, 4096] {
            assert_eq!(framed(stream, octets), 3);
        }
        assert!(parsed(b"b FETCH 1:* (FLAGS)\r\n"));
        assert!(!parsed(b"b FETCH 1:* (FLAGS\r\n"));
        let mut out = Vec::new();
        encode_flags(2, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "* 1 FETCH (UID 1 FLAGS ($label1))");
        assert!(lines[1].starts_with("* 2 FETCH (UID 2 FLAGS (\\"), "{text}");
    }

    #[test]
    fn message_pieces_do_their_work() {
        let mut out = Vec::new();
        convert(MESSAGE, &mut out);
        assert_eq!(crlf_octets(MESSAGE), out.len() as u64);
        assert!(!out.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r'));
        assert_eq!(parts(MESSAGE), 3);
        let parsed = Parsed::new(MESSAGE);
        let mut told = Vec::new();
        parsed.encode_envelope(&mut told);
        assert!(told.starts_with(b"* 1 FETCH (ENVELOPE (NIL \"a piece\" "));
        told.clear();
        parsed.encode_structure(&mut told);
        assert!(told.starts_with(b"* 1 FETCH (BODYSTRUCTURE ((\"text\" \"plain\""));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test need not be durable")]
    fn store_pieces_do_their_work() {
        let text = b"3 V1 N3 G00000000000000000000000000000001\n1 :a.b\n2 :c.d\n";
        assert_eq!(uid_list(text.to_vec()), 2);
        let maildir = tempfile::tempdir().unwrap();
        let cur = maildir.path().join("cur");
        fs::create_dir(&cur).unwrap();
        for name in ["1.a.b:2,S", "2.a.b:2,", ".hidden"] {
            fs::write(cur.join(name), MESSAGE).unwrap();
        }
        assert_eq!(listed(maildir.path()).unwrap(), 2);
    }
}
