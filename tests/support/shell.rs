//! An I/O shell without I/O: drives sessions over a store in memory, with time as the test says, and work done at once.

use restante::auth::secret::Secret;
use restante::auth::{Accepted, Attempt, Authenticator, Denial, Denied, Outcome};
use restante::protocol::{
    Host, Interrupt, Output, PROGRESS_INTERVAL, Peer, Protocol, Step, Tally, TlsInfo, Waker,
};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// More steps than this without waiting are an endless loop.
const MAX_STEPS: usize = 1_000_000;

/// How octets are handed to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As they were sent.
    Whole,
    /// Line by line.
    Lines,
    /// Octet by octet.
    Octets,
}

/// The time of a test.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Instant,
    passed: Duration,
}

impl Clock {
    /// A clock that stands.
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant cannot be made otherwise; only differences to it are used"
    )]
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            passed: Duration::ZERO,
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        self.start + self.passed
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.passed += time;
    }
}

/// What a session asks of its shell.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    woken: Arc<AtomicBool>,
    /// What [`Host::admit`] refuses with.
    pub(crate) refusal: Mutex<Option<String>>,
    unix_time: AtomicI64,
    tally: Tally,
}

impl Host for TestHost {
    fn waker(&self) -> Waker {
        let woken = Arc::clone(&self.woken);
        Arc::new(move || woken.store(true, Ordering::SeqCst))
    }

    fn admit(&self, _account: &str) -> Result<(), String> {
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn withdraw(&self) {}

    fn unix_time(&self) -> i64 {
        self.unix_time.load(Ordering::SeqCst)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl TestHost {
    /// A host whose clock shows this time.
    pub(crate) fn at(unix_time: i64) -> Arc<Self> {
        Arc::new(Self {
            unix_time: AtomicI64::new(unix_time),
            ..Self::default()
        })
    }
}

/// Knows everybody by the password `secret`, except users of these names: `nobody` is unknown, `trouble` cannot be looked up.
#[derive(Default)]
pub(crate) struct TestAuthenticator {
    /// Decide only when told to.
    pub(crate) waits: AtomicBool,
    /// Capabilities switched off for everybody's account.
    pub(crate) disabled: Mutex<Arc<BTreeSet<String>>>,
    waiting: Mutex<Vec<Verdict>>,
}

/// A decision to be told, and whom to tell.
type Verdict = (Outcome, Box<dyn FnOnce(Outcome) + Send>);

impl fmt::Debug for TestAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAuthenticator").finish_non_exhaustive()
    }
}

impl Authenticator for TestAuthenticator {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let credentials = &attempt.credentials;
        let is_right = credentials.password.expose() == Secret::new("secret").expose();
        let denied = |reason, secs| {
            Err(Denied {
                reason,
                detail: "test",
                delay: Duration::from_secs(secs),
            })
        };
        let outcome = match credentials.authcid.as_str() {
            "trouble" => denied(Denial::Unavailable, 0),
            "nobody" => denied(Denial::WrongCredentials, 0),
            _ if !is_right => denied(Denial::WrongCredentials, 2),
            user if credentials.authzid.is_empty() || credentials.authzid == user => Ok(Accepted {
                user: user.into(),
                disabled_capabilities: Arc::clone(&self.disabled.lock().unwrap()),
                ..Accepted::default()
            }),
            _ => denied(Denial::NotAuthorized, 0),
        };
        if self.waits.load(Ordering::SeqCst) {
            self.waiting.lock().unwrap().push((outcome, done));
        } else {
            done(outcome);
        }
    }
}

impl TestAuthenticator {
    /// Tells what was held back.
    pub(crate) fn decide(&self) {
        for (outcome, done) in self.waiting.lock().unwrap().drain(..) {
            done(outcome);
        }
    }
}

/// A client's connection, as the server sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    session: Box<dyn Protocol>,
    host: Arc<TestHost>,
    cut: Cut,
    input: VecDeque<Vec<u8>>,
    /// What the server sent and nobody has taken yet.
    pub(crate) output: Output,
    /// The server has closed.
    pub(crate) closed: bool,
    /// TLS was started by command.
    pub(crate) tls_started: bool,
    /// The volume takes no work.
    pub(crate) refuses_work: bool,
    /// How long a piece of work takes.
    pub(crate) work_takes: Duration,
    /// How long all work has taken.
    worked: Duration,
}

impl Connection {
    /// Connects.
    pub(crate) fn new(session: Box<dyn Protocol>, host: Arc<TestHost>, cut: Cut) -> Self {
        Self {
            session,
            host,
            cut,
            input: VecDeque::new(),
            output: Output::default(),
            closed: false,
            tls_started: false,
            refuses_work: false,
            work_takes: Duration::ZERO,
            worked: Duration::ZERO,
        }
    }

    /// Where the client comes from, with TLS or without.
    pub(crate) fn peer(id: u64, tls: bool) -> Peer {
        Peer {
            id,
            remote: "192.0.2.7:40000".parse().unwrap(),
            local: "192.0.2.1:143".parse().unwrap(),
            tls: tls.then(tls_info),
            may_start_tls: !tls,
        }
    }

    /// The client sends.
    pub(crate) fn send(&mut self, octets: &[u8], now: Instant) {
        match self.cut {
            Cut::Whole => self.input.push_back(octets.to_vec()),
            Cut::Lines => self
                .input
                .extend(octets.split_inclusive(|o| *o == b'\n').map(<[u8]>::to_vec)),
            Cut::Octets => self.input.extend(octets.chunks(1).map(<[u8]>::to_vec)),
        }
        self.run(now);
    }

    /// True if something happened that this connection wants to look at.
    pub(crate) fn is_woken(&self) -> bool {
        self.host.woken.load(Ordering::SeqCst) && !self.closed
    }

    /// Goes on until the session waits for something that is not there.
    pub(crate) fn run(&mut self, now: Instant) {
        self.host.woken.store(false, Ordering::SeqCst);
        for _ in 0..MAX_STEPS {
            if self.closed {
                return;
            }
            let now = now + self.worked;
            match self.session.step(now, &mut self.output) {
                Step::Write | Step::StopCompression => {}
                Step::Work(_) if self.refuses_work => self.session.work_refused(&mut self.output),
                Step::Work(work) => {
                    let mut left = self.work_takes;
                    while left >= PROGRESS_INTERVAL {
                        self.output.extend_from_slice(&work.while_working);
                        left -= PROGRESS_INTERVAL;
                    }
                    self.worked += self.work_takes;
                    self.session.work(&mut self.output);
                }
                Step::Wait(wait) if wait.input => match self.input.pop_front() {
                    Some(octets) => self.session.feed(&octets),
                    None => return,
                },
                Step::Wait(_) => return,
                Step::StartTls => {
                    // what came before the handshake was not protected
                    self.input.clear();
                    self.tls_started = true;
                    self.session.tls_started(tls_info());
                }
                // to the session it is all the same
                Step::StartCompression => {
                    let waiting = self.session.compression_started();
                    if !waiting.is_empty() {
                        self.input.push_front(waiting);
                    }
                }
                Step::Close => self.closed = true,
            }
        }
        panic!("the session neither waits nor ends: {:?}", self.session);
    }

    /// The shell ends the session.
    pub(crate) fn interrupt(&mut self, reason: Interrupt) {
        self.session.interrupt(reason, &mut self.output);
        self.closed = true;
    }
}

fn tls_info() -> TlsInfo {
    TlsInfo {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        server_name: None,
    }
}
