//! The other side of a session for the fuzzer: a client that sends, a shell that nobody wakes, and time that stands still.

use super::{HIGH_WATER_OCTETS, Host, Output, Protocol, Step, Tally, Waker};
use std::sync::Arc;
use std::time::Instant;

/// Most octets that a session may add to its output beyond the mark before it lets them be written.
const MAX_EXCESS_OCTETS: usize = 512 * 1024;

/// More steps than this for one piece of input are an endless loop.
const MAX_STEPS: usize = 100_000;

/// The time for all sessions, in seconds since 1970.
const NOW: i64 = 1_767_225_600;

/// The client of a session.
#[derive(Debug)]
pub(crate) struct Client<P> {
    session: P,
    heard: Vec<u8>,
    is_open: bool,
}

impl<P: Protocol> Client<P> {
    /// Connects, and hears the greeting.
    ///
    /// # Panics
    /// As [`Client::feed`].
    pub(crate) fn connect(session: P) -> Self {
        let mut client = Self {
            session,
            heard: Vec::new(),
            is_open: true,
        };
        client.run();
        client
    }

    /// Sends octets, if the session still listens.
    ///
    /// # Panics
    /// If the session says too much at once, or neither waits nor ends.
    pub(crate) fn feed(&mut self, octets: &[u8]) {
        if self.is_open {
            self.session.feed(octets);
            self.run();
        }
    }

    /// Everything that the session said.
    pub(crate) fn into_heard(self) -> Vec<u8> {
        self.heard
    }

    /// Does what the session asks for until it waits.
    fn run(&mut self) {
        let now = moment();
        for _ in 0..MAX_STEPS {
            let mut output = Output::default();
            let step = self.session.step(now, &mut output);
            if matches!(step, Step::Work(_)) {
                self.session.work(&mut output);
            }
            assert!(output.len() <= HIGH_WATER_OCTETS + MAX_EXCESS_OCTETS);
            self.heard.extend(output.into_octets());
            match step {
                Step::Write | Step::Work(_) | Step::StopCompression => {}
                // how much of what follows in clear is thrown away depends on the cuts
                Step::StartTls | Step::Close => {
                    self.is_open = false;
                    return;
                }
                // to the session it is all the same
                Step::StartCompression => {
                    let waiting = self.session.compression_started();
                    self.session.feed(&waiting);
                }
                Step::Wait(_) => return,
            }
        }
        assert!(!self.is_open, "neither waits nor ends");
    }
}

/// A moment.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise, and no difference of two is looked at"
)]
fn moment() -> Instant {
    Instant::now()
}

/// A shell that nobody wakes.
#[derive(Debug, Default)]
pub(crate) struct Shell(Tally);

impl Host for Shell {
    fn waker(&self) -> Waker {
        Arc::new(|| {})
    }

    fn admit(&self, _account: &str) -> Result<(), String> {
        Ok(())
    }

    fn withdraw(&self) {}

    fn unix_time(&self) -> i64 {
        NOW
    }

    fn tally(&self) -> &Tally {
        &self.0
    }
}
