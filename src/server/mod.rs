//! The I/O shell: sockets, TLS, timers, limits. Everything asynchronous is here.
//!
//! ```text
//! Bound::bind ─► privileges::give_up ─► Tls::load ─► start ─► Running
//!                                                     │ accept loop per listener (listener.rs)
//!                                                     └ one task per connection (connection.rs), each with a seat in the registry
//! ```
//!
//! The order matters: ports are taken while we may still be root, and certificates are read after that is given up, so that a key which
//! the service cannot read is found at the start and not at the first renewal.
//!
//! A connection drives one [`Protocol`] and knows nothing of mail. What ends it from outside — shutdown, a newer connection of the same
//! account, a changed account — goes through the registry (`limits.rs`).

mod connection;
mod deflate;
mod end;
mod limits;
mod listener;
mod loan;
mod privileges;
mod shutdown;
mod socket;
mod stream;
mod tls;
mod work;
mod working;

#[cfg(any(test, fuzzing))]
pub(crate) use deflate::fuzzing::body as fuzz_deflate;
pub use limits::{DEFAULT_CONNECTIONS, DEFAULT_PER_ACCOUNT, DEFAULT_PER_ADDRESS, LimitSettings};
pub use listener::{At, BindError, Bound, DEFAULT_BACKLOG, Door, Listener, Service, TlsMode};
pub use privileges::{PrivilegeError, give_up, raise_open_files};
pub use shutdown::{Control, Signals};
pub use tls::{CertificateError, CertificateFiles, DEFAULT_CHECK, LeastTls, Tls, TlsSettings};

use crate::protocol::{Host, Peer, Protocol};
use crate::storage::Volumes;
use deflate::Spares;
use limits::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Time for a TLS handshake: a few round trips on the worst mobile network.
pub const DEFAULT_HANDSHAKE: Duration = Duration::from_secs(30);

/// Time from connecting to being logged in, whatever the client does meanwhile: somebody typing the commands by hand makes it.
pub const DEFAULT_BEFORE_LOGIN: Duration = Duration::from_secs(180);

/// Silence of an IMAP client; RFC 9051 §5.4 wants at least 30 minutes.
pub const DEFAULT_IMAP_IDLE: Duration = Duration::from_secs(31 * 60);

/// Silence of a POP3 client; RFC 1939 §3 wants at least 10 minutes.
pub const DEFAULT_POP3_IDLE: Duration = Duration::from_secs(10 * 60);

/// Silence in the middle of a command or literal.
pub const DEFAULT_COMMAND: Duration = Duration::from_secs(5 * 60);

/// Time in which a client that is sent something takes none of it.
pub const DEFAULT_WRITE: Duration = Duration::from_secs(5 * 60);

/// Time that an orderly stop may take; below the 90 seconds after which systemd kills.
pub const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(20);

/// Time until the kernel asks a silent client's machine whether it is still there; keeps the entries of address translators alive.
pub const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(5 * 60);

/// How the shell behaves. Listeners and certificates are apart ([`Bound`], [`Tls`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Ceilings.
    pub limits: LimitSettings,
    /// Time-outs.
    pub timeouts: Timeouts,
}

/// How long the shell waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From connecting to being logged in.
    pub before_login: Duration,
    /// For the next command of a logged-in IMAP client.
    pub imap_idle: Duration,
    /// For the next command of a logged-in POP3 client.
    pub pop3_idle: Duration,
    /// For the rest of a command or literal.
    pub command: Duration,
    /// For a client to take anything of what it is sent.
    pub write: Duration,
    /// For an orderly stop.
    pub shutdown: Duration,
    /// Between two signs of life while work for a client goes on.
    pub progress: Duration,
    /// Until TCP asks a silent peer for a sign of life.
    pub keepalive: Duration,
}

impl Timeouts {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            handshake: DEFAULT_HANDSHAKE,
            before_login: DEFAULT_BEFORE_LOGIN,
            imap_idle: DEFAULT_IMAP_IDLE,
            pop3_idle: DEFAULT_POP3_IDLE,
            command: DEFAULT_COMMAND,
            write: DEFAULT_WRITE,
            shutdown: DEFAULT_SHUTDOWN,
            progress: crate::protocol::PROGRESS_INTERVAL,
            keepalive: DEFAULT_KEEPALIVE,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the session of a new connection.
pub type Open = Arc<dyn Fn(Peer, Arc<dyn Host>) -> Box<dyn Protocol> + Send + Sync>;

/// What the shell serves.
#[derive(Clone)]
pub struct Services {
    /// Where disk work is run.
    pub volumes: Arc<Volumes>,
    /// Makes an IMAP session.
    pub imap: Open,
    /// Makes a POP3 session.
    pub pop3: Open,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    timeouts: Timeouts,
    services: Services,
    tls: Option<Arc<Tls>>,
    registry: Arc<Registry>,
    spares: Arc<Spares>,
}

/// A server at work; dropping it closes the listeners but not the connections.
#[derive(Debug)]
pub struct Running {
    doors: Vec<Door>,
    control: Control,
    /// The accept loops, and the watch over the certificates.
    tasks: Vec<JoinHandle<()>>,
    timeout: Duration,
}

/// Begins to accept connections. To be called within a tokio runtime, in which the server then lives.
///
/// # Errors
/// [`BindError`] if a socket cannot be handed to the runtime.
pub fn start(
    bound: Bound,
    tls: Option<Tls>,
    settings: &Settings,
    services: Services,
) -> Result<Running, BindError> {
    let registry = Registry::new(settings.limits);
    let tls = tls.map(Arc::new);
    let shared = Arc::new(Shared {
        timeouts: settings.timeouts,
        services,
        tls: tls.clone(),
        registry: Arc::clone(&registry),
        spares: Arc::default(),
    });
    let doors = bound.doors();
    let accepting = bound.accept(&shared)?;
    let reload = Arc::new(tokio::sync::Notify::new());
    let watch = tls.map(|tls| tokio::spawn(tls::watch(tls, Arc::clone(&reload))));
    Ok(Running {
        doors,
        control: Control::new(registry, reload),
        tasks: accepting.into_iter().chain(watch).collect(),
        timeout: settings.timeouts.shutdown,
    })
}

impl Running {
    /// Where it listens, in the order of the listeners.
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// What may be asked of it meanwhile.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops: listeners close, commands in progress finish, clients are told; ends at the latest when the time-out has passed.
    pub async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // The socket closes when the task is gone.
            if task.await.is_err_and(|error| error.is_panic()) {
                tracing::error!("accept_loop_panicked");
            }
        }
        self.control.stop(self.timeout).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell is where time is read and handed to the protocols"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A time as it is logged: as a number in JSON too, which a `u128` is not.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell is where time is read and handed to the protocols"
)]
fn unix_time() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}
