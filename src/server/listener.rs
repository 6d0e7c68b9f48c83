//! Listening sockets: made or taken over from systemd, and the loops that accept.
//!
//! A socket that systemd passed serves the configured listener of the same port; one without such a listener is refused, since nobody
//! would know which protocol it speaks. When the process has no file descriptors left, accepting pauses and goes on by itself.

use super::Shared;
use super::connection;
use super::limits::Admission;
use crate::protocol::Interrupt;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tracing::Instrument as _;

/// Connections that may wait to be accepted; the kernel lowers it to its own limit (`net.core.somaxconn`, usually 4096).
pub const DEFAULT_BACKLOG: i32 = 1024;

/// First and longest pause after an accept that failed for want of resources.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Questions for a sign of life that may go unanswered before a silent connection is given up.
const KEEPALIVE_RETRIES: u32 = 4;

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

impl Service {
    /// As it is logged; also its name in ALPN (RFC 7595's registry: `imap`, `pop3`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// When a listener's connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// From the first octet (RFC 8314).
    Implicit,
    /// When the client asks for it: STARTTLS, STLS.
    Start,
    /// Never.
    Off,
}

/// A place to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Address and port; an IPv6 address takes IPv6 only, so `0.0.0.0` and `[::]` go side by side.
    pub address: SocketAddr,
    /// What is spoken there.
    pub service: Service,
    /// How it is encrypted.
    pub tls: TlsMode,
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket from systemd is of no use.
    #[error("socket {number} passed by the service manager cannot be used")]
    Passed {
        /// Which, counted from 0.
        number: usize,
        /// Why.
        source: io::Error,
    },
    /// No listener has the port of a socket from systemd.
    #[error("no listener is configured for {address}, which the service manager passed")]
    Unexpected {
        /// Where it listens.
        address: SocketAddr,
    },
}

/// Sockets that listen but are not yet accepted from.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<(TcpListener, Listener)>,
}

impl Bound {
    /// Takes over what systemd passed and binds the rest of the listeners. To be called before there are other threads.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(listeners: &[Listener], backlog: i32) -> Result<Self, BindError> {
        let mut passed = passed_sockets()?;
        let mut sockets = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let taken = passed
                .iter()
                .position(|(_, address)| serves(*address, listener.address))
                .map(|index| passed.swap_remove(index));
            let (socket, address) = match taken {
                Some(taken) => taken,
                None => bind(listener.address, backlog).map_err(|source| BindError::Bind {
                    address: listener.address,
                    source,
                })?,
            };
            sockets.push((
                socket,
                Listener {
                    address,
                    ..*listener
                },
            ));
        }
        match passed.first() {
            Some(&(_, address)) => Err(BindError::Unexpected { address }),
            None => Ok(Self { sockets }),
        }
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners().map(|listener| listener.address).collect()
    }

    /// The listeners, with the ports that the system chose.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> + '_ {
        self.sockets.iter().map(|(_, listener)| *listener)
    }

    /// Starts a loop for each socket.
    pub(super) fn accept(self, shared: &Arc<Shared>) -> Result<Vec<AbortHandle>, BindError> {
        let tasks = self.sockets.into_iter().map(|(socket, listener)| {
            let socket = socket
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(socket))
                .map_err(|source| BindError::Bind {
                    address: listener.address,
                    source,
                })?;
            let task = accept(socket, listener, Arc::clone(shared));
            Ok(tokio::spawn(task).abort_handle())
        });
        tasks.collect()
    }
}

/// The sockets that systemd passed, with their addresses.
fn passed_sockets() -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..passed.len() {
        let failed = |source| BindError::Passed { number, source };
        if let Some(socket) = passed.take_tcp_listener(number).map_err(failed)? {
            let address = socket.local_addr().map_err(failed)?;
            sockets.push((socket, address));
        }
    }
    Ok(sockets)
}

/// Whether a passed socket is the one that a listener means: same port, and same address unless one of them is any.
fn serves(passed: SocketAddr, wanted: SocketAddr) -> bool {
    passed.port() == wanted.port()
        && (passed.ip() == wanted.ip()
            || passed.ip().is_unspecified()
            || wanted.ip().is_unspecified())
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Accepts for ever; every connection becomes a task of its own.
async fn accept(socket: tokio::net::TcpListener, listener: Listener, shared: Arc<Shared>) {
    let mut pause = PAUSE.0;
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => {
                pause = PAUSE.0;
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                welcome(stream, remote, listener, &shared);
            }
            // The client gave up while it waited.
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(
                    address = %listener.address,
                    %error,
                    pause_ms = pause.as_millis(),
                    "accept_failed: if it says too many open files, raise LimitNOFILE or lower the limit of connections"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// True for errors of the connection to be accepted, after which the next may be fine (accept(2)).
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

/// Seats a newcomer and starts its task.
fn welcome(
    stream: tokio::net::TcpStream,
    remote: SocketAddr,
    listener: Listener,
    shared: &Arc<Shared>,
) {
    let (seat, refusal) = match shared.registry.enter(remote) {
        Admission::Seated(seat) => (seat, None),
        Admission::TurnAway(seat) => (seat, Some(Interrupt::Full)),
        Admission::HangUp => return,
    };
    if let Err(error) = tune(&stream, shared.timeouts.keepalive) {
        tracing::debug!(%remote, %error, "socket_option_refused");
    }
    let span = tracing::info_span!(
        "connection",
        id = seat.handle.id,
        protocol = listener.service.name(),
        peer = %remote
    );
    let task = connection::serve(stream, remote, listener, seat, refusal, Arc::clone(shared));
    drop(tokio::spawn(task.instrument(span)));
}

/// Answers go out at once, and a peer that vanished is noticed.
fn tune(stream: &tokio::net::TcpStream, keepalive: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let interval = (keepalive / KEEPALIVE_RETRIES).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new()
        .with_time(keepalive)
        .with_interval(interval)
        .with_retries(KEEPALIVE_RETRIES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::{
        BindError, Bound, DEFAULT_BACKLOG, Listener, Service, TlsMode, is_of_the_peer, serves,
    };
    use std::io;
    use std::net::TcpStream;

    fn listener(address: &str) -> Listener {
        Listener {
            address: address.parse().unwrap(),
            service: Service::Imap,
            tls: TlsMode::Off,
        }
    }

    #[test]
    fn ipv4_and_ipv6_share_a_port() {
        let first = Bound::bind(&[listener("0.0.0.0:0")], DEFAULT_BACKLOG).unwrap();
        let port = first.addresses()[0].port();
        let second = Bound::bind(&[listener(&format!("[::]:{port}"))], DEFAULT_BACKLOG);
        assert!(second.is_ok(), "{second:?}");
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = Bound::bind(&[listener("127.0.0.1:0")], DEFAULT_BACKLOG).unwrap();
        let address = first.addresses()[0];
        let error = Bound::bind(&[listener(&address.to_string())], DEFAULT_BACKLOG).unwrap_err();
        assert!(matches!(error, BindError::Bind { address: named, .. } if named == address));
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }

    #[test]
    fn passed_sockets_are_matched_by_port_and_address() {
        let cases = [
            ("127.0.0.1:143", "127.0.0.1:143", true),
            ("[::]:143", "0.0.0.0:143", true),
            ("127.0.0.1:143", "127.0.0.2:143", false),
            ("127.0.0.1:143", "127.0.0.1:993", false),
        ];
        for (passed, wanted, expected) in cases {
            assert_eq!(
                serves(passed.parse().unwrap(), wanted.parse().unwrap()),
                expected,
                "{passed} {wanted}"
            );
        }
    }

    #[test]
    fn want_of_descriptors_is_not_the_peers_fault() {
        // EMFILE and ECONNABORTED have these numbers on Linux and FreeBSD alike or are mapped by kind.
        assert!(!is_of_the_peer(&io::Error::from_raw_os_error(24)));
        assert!(is_of_the_peer(&io::Error::from(
            io::ErrorKind::ConnectionAborted
        )));
    }
}
