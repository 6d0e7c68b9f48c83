//! The contract between the I/O shell and a protocol.
//!
//! A [`Protocol`] is a state machine without sockets, clock or threads: the shell hands it octets that came in
//! ([`Protocol::feed`]), asks what to do next ([`Protocol::step`]), and does as told. Both IMAP and POP3 sessions are one.
//! Work that may touch a disk is announced by [`Step::Work`]; the shell then calls [`Protocol::work`] on a thread of the volume
//! concerned, and no other method until that returns.
//!
//! What a session may ask of the shell goes through [`Host`].

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod output;

pub use output::Output;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Output above which a protocol returns [`Step::Write`] before it makes more, in octets.
///
/// One piece of a large answer; the design allows a few hundred KiB (`design.md` §3).
pub const HIGH_WATER_OCTETS: usize = 256 * 1024;

/// Time between two signs of life while a command takes long: within the 10 to 15 seconds of RFC 9585 §4.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// A connection's protocol, as a state machine over octets.
pub trait Protocol: Send + fmt::Debug {
    /// Takes octets that the client sent. The shell feeds again only after [`Step::Wait`].
    fn feed(&mut self, input: &[u8]);

    /// Does what can be done without waiting, appends what is to be sent to `output`, and says what comes next.
    ///
    /// The first call makes the greeting. `output` may already hold octets; the shell writes it all before it obeys a
    /// [`Step::Wait`], [`Step::StartTls`], [`Step::StartCompression`] or [`Step::Close`].
    fn step(&mut self, now: Instant, output: &mut Output) -> Step;

    /// Runs the work that the last [`Step::Work`] announced; may block on the disk. Then comes [`Protocol::step`] again.
    fn work(&mut self, output: &mut Output);

    /// The volume did not take the work announced: the command fails with a temporary error and the session goes on.
    fn work_refused(&mut self, output: &mut Output);

    /// TLS is up, after [`Step::StartTls`]. Everything fed before is forgotten (RFC 9051 §6.2.1, RFC 2595 §4).
    fn tls_started(&mut self, tls: TlsInfo);

    /// From now on both directions are compressed, after [`Step::StartCompression`]. Hands back what was fed and not used: the client has compressed
    /// it already. A protocol that never asks for compression has nothing to hand back.
    fn compression_started(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// The shell ends the session: appends the parting words of this protocol.
    fn interrupt(&mut self, reason: Interrupt, output: &mut Output);

    /// True from the moment when the client has logged in.
    fn is_authenticated(&self) -> bool;
}

/// What the shell shall do next.
#[derive(Debug)]
pub enum Step {
    /// Write the output, then call [`Protocol::step`] again.
    Write,
    /// Call [`Protocol::work`] on a thread of the volume that holds a path.
    Work(Work),
    /// Write the output, then wait for input, for a wake-up ([`Host::waker`]) or for the time-out.
    Wait(Wait),
    /// Write the output, then negotiate TLS, having thrown away any input that is waiting.
    StartTls,
    /// Write the output, then compress what is sent and inflate what comes in (RFC 4978 §3).
    StartCompression,
    /// Write the output and end the compression with it; what comes in is compressed up to where the client ended its own (RFC 8437 §4.1).
    StopCompression,
    /// Write the output, then close.
    Close,
}

/// Work for a volume's thread.
#[derive(Debug, Clone)]
pub struct Work {
    /// A path on the volume concerned: the account's spool.
    pub place: Arc<Path>,
    /// Who is concerned; an account whose earlier work hangs gets no further threads.
    pub account: Arc<str>,
    /// Sent before hanging up when the deadline of the volume passes.
    pub if_stuck: Vec<u8>,
    /// Sent again and again while the work goes on, after everything that was made before; empty if there is nothing to say.
    pub while_working: Vec<u8>,
}

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The next input is wanted. False while the answer to an earlier command is being waited for.
    pub input: bool,
    /// Call [`Protocol::step`] when this moment comes, without ending the session.
    pub at: Option<Instant>,
    /// Which of the shell's time-outs applies to silence of the client.
    pub patience: Patience,
}

/// How long a silent client is borne with; the durations are settings of the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not logged in.
    Greeted,
    /// Logged in, no command in progress.
    Idle,
    /// In the middle of a command or literal.
    Command,
    /// No time-out: the session waits for something of ours.
    Ours,
}

/// Why the shell ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The server has its number of connections: instead of the greeting.
    Full,
    /// The server is stopping.
    Shutdown,
    /// Nothing came from the client for too long.
    Timeout,
    /// The account's slot is needed for a newer connection.
    Displaced,
    /// The account was disabled, removed, or its password changed.
    Revoked,
}

/// What is known of the TLS layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite's name.
    pub cipher: String,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
}

/// The two ends of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Number of the connection in this process, for the log.
    pub id: u64,
    /// The client.
    pub remote: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// TLS, where it is up from the start.
    pub tls: Option<TlsInfo>,
    /// True where TLS may be started by command (STARTTLS, STLS).
    pub may_start_tls: bool,
}

/// Called to have [`Protocol::step`] called again; from any thread, any number of times.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What a session may ask of the I/O shell.
pub trait Host: Send + Sync + fmt::Debug {
    /// Wakes this session's connection.
    fn waker(&self) -> Waker;

    /// Counts this connection against the account; counted once, however often it is called.
    ///
    /// # Errors
    /// The text for the client when the account has its number of connections and none could be closed to make room.
    fn admit(&self, account: &str) -> Result<(), String>;

    /// Takes the connection off the account: nobody is logged in any more (RFC 8437).
    fn withdraw(&self);

    /// Seconds since 1970, for what is told in terms of a day (SEARCH YOUNGER).
    fn unix_time(&self) -> i64;

    /// Numbers for the line that is logged when the connection ends.
    fn tally(&self) -> &Tally;
}

/// Counts of one connection, shared with the shell, which logs them at the end.
#[derive(Debug, Default)]
pub struct Tally {
    user: Mutex<Option<Arc<str>>>,
    commands: AtomicU64,
    messages_sent: AtomicU64,
    messages_removed: AtomicU64,
    messages_added: AtomicU64,
    parting: OnceLock<String>,
}

impl Tally {
    /// Notes who logged in.
    pub fn set_user(&self, user: &Arc<str>) {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(user));
    }

    /// Who logged in last.
    pub fn user(&self) -> Option<Arc<str>> {
        let user = self.user.lock();
        user.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes why the protocol itself ends the session; the first call counts.
    pub fn set_parting(&self, why: impl Into<String>) {
        drop(self.parting.set(why.into()));
    }

    /// Why the protocol itself ended the session.
    pub fn parting(&self) -> Option<&str> {
        self.parting.get().map(String::as_str)
    }

    /// One more command was read.
    pub fn count_command(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// A message's text was sent whole.
    pub fn count_sent(&self) {
        self.messages_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// So many messages were expunged or deleted.
    pub fn count_removed(&self, messages: u64) {
        self.messages_removed.fetch_add(messages, Ordering::Relaxed);
    }

    /// So many messages were appended or copied.
    pub fn count_added(&self, messages: u64) {
        self.messages_added.fetch_add(messages, Ordering::Relaxed);
    }

    /// Commands, messages sent, messages removed, messages added.
    pub fn totals(&self) -> [u64; 4] {
        [
            &self.commands,
            &self.messages_sent,
            &self.messages_removed,
            &self.messages_added,
        ]
        .map(|n| n.load(Ordering::Relaxed))
    }
}

impl Wait {
    /// Waits for the client's next octets.
    pub const fn for_input(patience: Patience) -> Self {
        Self {
            input: true,
            at: None,
            patience,
        }
    }

    /// True if nothing but octets of the client, or a wake-up, is waited for.
    #[must_use]
    pub const fn is_for_input_alone(&self) -> bool {
        self.input && self.at.is_none()
    }

    /// Waits until `now + delay`, reading nothing.
    pub fn for_delay(now: Instant, delay: Duration) -> Self {
        Self {
            input: false,
            at: now.checked_add(delay),
            patience: Patience::Ours,
        }
    }
}
