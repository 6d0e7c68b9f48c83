//! A session for the fuzzer: any octets, in two ways of cutting them, must be borne and answered the same.

use super::{RecentLogins, Services, Session, Settings};
use crate::auth::fuzzing::Doorkeeper;
use crate::mailbox::memory::{Mail, Memory};
use crate::protocol::fuzzing::{Client, Shell};
use crate::protocol::{Peer, TlsInfo};
use std::sync::Arc;

/// The first octet chooses the state and the settings, the second the size of the pieces; the rest is what the client sends.
///
/// # Panics
/// If a session does not keep what it promises.
pub(crate) fn session(octets: &[u8]) {
    let [choice, piece, input @ ..] = octets else {
        return;
    };
    let whole = converse(*choice, input, usize::MAX);
    let pieces = converse(*choice, input, usize::from(*piece).max(1));
    assert!(whole == pieces, "cuts matter");
    assert!(whole.starts_with(b"+OK "), "no greeting");
    assert!(whole.ends_with(b"\r\n"), "half a line");
}

/// Everything that a session says to this input, taken in pieces of so many octets.
fn converse(choice: u8, input: &[u8], piece_octets: usize) -> Vec<u8> {
    let is = |bit: u8| choice >> bit & 1 == 1;
    let settings = Settings {
        allow_plaintext: is(1),
        mark_seen: is(2),
        refuse_utf8_headers: is(3),
        ..Settings::default()
    };
    let memory = Memory::new();
    for mail in ["a: b\n\n.\n..\nc", "\r\n\0\r\n", "a: \u{e4}\n", ""] {
        memory.inbox("a").deliver(Mail::new(mail));
    }
    let services = Services {
        backend: Arc::new(memory),
        authenticator: Arc::new(Doorkeeper),
        host: Arc::new(Shell::default()),
        recent_logins: Arc::new(RecentLogins::default()),
    };
    let peer = Peer {
        id: 0,
        remote: ([127, 0, 0, 1], 1).into(),
        local: ([127, 0, 0, 1], 110).into(),
        tls: is(4).then(TlsInfo::default),
        may_start_tls: !is(4),
    };
    let mut client = Client::connect(Session::new(Arc::new(settings), services, peer));
    if is(0) {
        client.feed(b"USER a\r\nPASS a\r\n");
    }
    for piece in input.chunks(piece_octets) {
        client.feed(piece);
    }
    client.into_heard()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_octets_are_borne(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            session(&octets);
        }
    }

    #[test]
    fn seeds_are_borne() {
        for choice in 0..32 {
            for input in [
                "",
                "CAPA\r\nUSER a\r\nPASS a\r\nSTAT\r\nRETR 1\r\nTOP 2 0\r\nDELE 3\r\nQUIT\r\n",
                "AUTH LOGIN\r\nYQ==\r\nYQ==\r\nUIDL\r\nLIST 4\r\n",
                "AUTH PLAIN\r\n*\r\nAUTH PLAIN AGEAYQ==\r\nLIST\r\nRSET\r\n",
                "UTF8\r\nLANG de\r\nUSER a\r\nPASS b\r\nSTLS\r\nCAPA\r\n",
                "GET / HTTP/1.0\r\n\r\n",
            ] {
                for piece in [1, 7] {
                    session(&[&[choice, piece], input.as_bytes()].concat());
                }
            }
        }
    }
}
