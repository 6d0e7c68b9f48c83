//! A session for the fuzzer: any octets, in two ways of cutting them, must be borne and answered the same.

use super::{RecentLogins, Services, Session, Settings};
use crate::auth::{Accepted, Attempt, Authenticator, Denial, Denied, Outcome};
use crate::mailbox::memory::{Mail, Memory};
use crate::protocol::{HIGH_WATER_OCTETS, Host, Peer, Protocol, Step, Tally, TlsInfo, Waker};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most octets that a session may add to its output beyond the mark before it lets them be written.
const MAX_EXCESS_OCTETS: usize = 256 * 1024;

/// More steps than this for one piece of input are an endless loop.
const MAX_STEPS: usize = 100_000;

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
    let mut client = Client {
        session: Session::new(Arc::new(settings), services, peer),
        heard: Vec::new(),
        is_open: true,
    };
    client.run();
    if is(0) {
        client.feed(b"USER a\r\nPASS a\r\n");
    }
    for piece in input.chunks(piece_octets) {
        client.feed(piece);
    }
    client.heard
}

/// The far end.
struct Client {
    session: Session,
    heard: Vec<u8>,
    is_open: bool,
}

impl Client {
    /// Sends octets, if the session still listens.
    fn feed(&mut self, octets: &[u8]) {
        if self.is_open {
            self.session.feed(octets);
            self.run();
        }
    }

    /// Does what the session asks for until it waits.
    fn run(&mut self) {
        let now = moment();
        for _ in 0..MAX_STEPS {
            let heard = self.heard.len();
            let mut output = Vec::new();
            let step = self.session.step(now, &mut output);
            if matches!(step, Step::Work(_)) {
                self.session.work(&mut output);
            }
            self.heard.append(&mut output);
            assert!(self.heard.len() - heard <= HIGH_WATER_OCTETS + MAX_EXCESS_OCTETS);
            match step {
                Step::Write | Step::Work(_) => {}
                // how much of what follows in clear is thrown away depends on the cuts
                Step::StartTls | Step::Close => {
                    self.is_open = false;
                    return;
                }
                Step::Wait(_) => return,
            }
        }
        assert!(!self.is_open, "neither waits nor ends");
    }
}

/// A moment; time stands still.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise, and no difference of two is looked at"
)]
fn moment() -> Instant {
    Instant::now()
}

/// Lets in whose password is his name.
#[derive(Debug)]
struct Doorkeeper;

impl Authenticator for Doorkeeper {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let credentials = &attempt.credentials;
        done(
            if credentials.password.expose() == credentials.authcid.as_bytes() {
                Ok(Accepted {
                    user: credentials.authcid.as_str().into(),
                    spool: None,
                })
            } else {
                Err(Denied {
                    reason: Denial::WrongCredentials,
                    detail: "fuzzing",
                    delay: Duration::ZERO,
                })
            },
        );
    }
}

/// A shell that nobody wakes.
#[derive(Debug, Default)]
struct Shell(Tally);

impl Host for Shell {
    fn waker(&self) -> Waker {
        Arc::new(|| {})
    }

    fn admit(&self, _account: &str) -> Result<(), String> {
        Ok(())
    }

    fn unix_time(&self) -> i64 {
        0
    }

    fn tally(&self) -> &Tally {
        &self.0
    }
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
