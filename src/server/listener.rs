//! Listening sockets: made or taken over from systemd, and the loops that accept.
//!
//! A socket that systemd passed serves the listener that has its name or, without a name, its port; one without such a listener is
//! refused, since nobody would know which protocol it speaks. When the process has no file descriptors left, accepting pauses and goes on
//! by itself.

use super::Shared;
use super::connection;
use super::limits::Admission;
use crate::protocol::Interrupt;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Connections that may wait to be accepted; the kernel lowers it to its own limit (`net.core.somaxconn`, usually 4096).
pub const DEFAULT_BACKLOG: i32 = 1024;

/// First and longest pause after an accept that failed for want of resources.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The error of a kernel without IPv6.
const EAFNOSUPPORT: i32 = nix::errno::Errno::EAFNOSUPPORT as i32;

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
    /// As it is logged; also its name in ALPN (RFC 7301; registered for both by RFC 2595).
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

impl TlsMode {
    /// As it is logged.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Start => "starttls",
            Self::Off => "none",
        }
    }
}

/// A place to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub at: At,
    /// What is spoken there.
    pub service: Service,
    /// How it is encrypted.
    pub tls: TlsMode,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Address and port. `[::]` takes IPv4 as well, unless `0.0.0.0` has a listener of its own on that port; where there is no IPv6 it
    /// takes IPv4 alone.
    Address(SocketAddr),
    /// The socket that systemd passes by this name (systemd.socket(5), `FileDescriptorName=`).
    Passed(String),
}

/// A listening socket's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Where it listens, with the port that the system chose.
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
    /// No listener has the name or port of a socket from systemd.
    #[error("no listener is configured for {address} ({name:?}), which the service manager passed")]
    Unexpected {
        /// Where it listens.
        address: SocketAddr,
        /// Its name.
        name: String,
    },
    /// systemd did not pass what a listener wants.
    #[error("the service manager passed no socket of the name {name:?}")]
    NotPassed {
        /// The name.
        name: String,
    },
}

/// Sockets that listen but are not yet accepted from.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<(TcpListener, Door)>,
    /// Those whose connections have the options that they shall have.
    tuned: Vec<SocketAddr>,
}

impl Bound {
    /// Takes over what systemd passed and binds the rest of the listeners. To be called before there are other threads. A peer that vanished is noticed
    /// after a time of `keepalive`.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(
        listeners: &[Listener],
        backlog: i32,
        keepalive: Duration,
    ) -> Result<Self, BindError> {
        let mut passed = passed_sockets()?;
        let mut tuned = Vec::new();
        let mut sockets = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let taken = passed
                .iter()
                .position(|socket| socket.serves(&listener.at))
                .map(|index| passed.swap_remove(index));
            let (socket, address) = match (taken, &listener.at) {
                (Some(taken), _) => (taken.socket, taken.address),
                (None, At::Passed(name)) => {
                    return Err(BindError::NotPassed { name: name.clone() });
                }
                (None, &At::Address(address)) => {
                    let takes_ipv4 =
                        address.ip().is_unspecified() && !has_ipv4(listeners, address.port());
                    let (socket, address, is_tuned) = bind(address, takes_ipv4, backlog, keepalive)
                        .map_err(|source| BindError::Bind { address, source })?;
                    tuned.extend(is_tuned.then_some(address));
                    (socket, address)
                }
            };
            let door = Door {
                address,
                service: listener.service,
                tls: listener.tls,
            };
            sockets.push((socket, door));
        }
        match passed.pop() {
            Some(Passed { name, address, .. }) => Err(BindError::Unexpected { address, name }),
            None => Ok(Self { sockets, tuned }),
        }
    }

    /// Where it listens, in the order of the listeners.
    pub fn doors(&self) -> Vec<Door> {
        self.sockets.iter().map(|(_, door)| *door).collect()
    }

    /// Starts a loop for each socket.
    pub(super) fn accept(self, shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, BindError> {
        let tasks = self.sockets.into_iter().map(|(socket, door)| {
            let socket = socket
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(socket))
                .map_err(|source| BindError::Bind {
                    address: door.address,
                    source,
                })?;
            let is_tuned = self.tuned.contains(&door.address);
            let task = accept(socket, door, is_tuned, Arc::clone(shared));
            Ok(tokio::spawn(task))
        });
        tasks.collect()
    }
}

/// A socket that systemd passed.
#[derive(Debug)]
struct Passed {
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl Passed {
    /// Whether this is the one that a listener means: same name, or same port and same address unless one of them is any.
    fn serves(&self, at: &At) -> bool {
        match at {
            At::Passed(name) => self.name == *name,
            At::Address(wanted) => {
                let (own, wanted_ip) = (self.address.ip(), wanted.ip());
                self.address.port() == wanted.port()
                    && (own == wanted_ip || own.is_unspecified() || wanted_ip.is_unspecified())
            }
        }
    }
}

/// The sockets that systemd passed, with their names (`sd_listen_fds_with_names(3)`).
fn passed_sockets() -> Result<Vec<Passed>, BindError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..passed.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let failed = |source| BindError::Passed { number, source };
        if let Some(socket) = passed.take_tcp_listener(number).map_err(failed)? {
            let address = socket.local_addr().map_err(failed)?;
            sockets.push(Passed {
                name,
                address,
                socket,
            });
        }
    }
    Ok(sockets)
}

/// Whether any IPv4 address has a listener of its own on this port.
fn has_ipv4(listeners: &[Listener], port: u16) -> bool {
    listeners.iter().any(
        |other| matches!(other.at, At::Address(SocketAddr::V4(address)) if address.port() == port),
    )
}

/// A listening socket, its address, and whether its connections have the options that they shall have; `takes_ipv4` makes an IPv6 one take IPv4 as
/// well.
fn bind(
    address: SocketAddr,
    takes_ipv4: bool,
    backlog: i32,
    keepalive: Duration,
) -> io::Result<(TcpListener, SocketAddr, bool)> {
    let socket = match Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    ) {
        // A kernel without IPv6.
        Err(error)
            if takes_ipv4 && address.is_ipv6() && error.raw_os_error() == Some(EAFNOSUPPORT) =>
        {
            return bind(
                (Ipv4Addr::UNSPECIFIED, address.port()).into(),
                false,
                backlog,
                keepalive,
            );
        }
        socket => socket?,
    };
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!takes_ipv4)?;
    }
    // before the first client is in the queue
    let is_tuned = INHERITS_OPTIONS && tune(&socket, keepalive).is_ok();
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok((socket, address, is_tuned))
}

/// Accepts for ever; every connection becomes a task of its own.
async fn accept(socket: tokio::net::TcpListener, door: Door, is_tuned: bool, shared: Arc<Shared>) {
    let mut pause = PAUSE.0;
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => {
                pause = PAUSE.0;
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                if !is_tuned && let Err(error) = tune(&stream, shared.timeouts.keepalive) {
                    tracing::debug!(%remote, %error, "socket_option_refused");
                }
                welcome(stream, remote, door, &shared);
            }
            // The client gave up while it waited.
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(
                    address = %door.address,
                    %error,
                    pause_ms = super::millis(pause),
                    advice = "if it says too many open files, raise LimitNOFILE or lower the limit of connections",
                    "accept_failed"
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
fn welcome(stream: tokio::net::TcpStream, remote: SocketAddr, door: Door, shared: &Arc<Shared>) {
    let (seat, refusal) = match shared.registry.enter(remote) {
        Admission::Seated(seat) => (seat, None),
        Admission::TurnAway(seat) => (seat, Some(Interrupt::Full)),
        Admission::HangUp => return,
    };
    let span = tracing::info_span!(
        "connection",
        id = seat.handle.id,
        protocol = door.service.name(),
        peer = %remote
    );
    let task = connection::serve(stream, remote, door, seat, refusal, Arc::clone(shared));
    drop(tokio::spawn(task.instrument(span)));
}

/// Connections have the options of the socket that accepted them; elsewhere each is given them.
const INHERITS_OPTIONS: bool = cfg!(target_os = "linux");

/// Answers go out at once, and a peer that vanished is noticed.
fn tune(socket: &impl AsFd, keepalive: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let interval = (keepalive / KEEPALIVE_RETRIES).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new()
        .with_time(keepalive)
        .with_interval(interval)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::{
        At, BindError, Bound, DEFAULT_BACKLOG, Listener, Passed, Service, TlsMode, is_of_the_peer,
    };
    use socket2::SockRef;
    use std::io;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn listener(address: &str) -> Listener {
        Listener {
            at: At::Address(address.parse().unwrap()),
            service: Service::Imap,
            tls: TlsMode::Off,
        }
    }

    fn bind(listeners: &[Listener]) -> Result<Bound, BindError> {
        Bound::bind(listeners, DEFAULT_BACKLOG, Duration::from_secs(120))
    }

    #[test]
    fn any_ipv6_address_takes_ipv4_too() {
        let bound = bind(&[listener("[::]:0")]).unwrap();
        TcpStream::connect(("127.0.0.1", bound.doors()[0].address.port())).unwrap();
    }

    #[test]
    fn any_address_of_both_families_goes_side_by_side() {
        // A port that is free at this moment.
        let port = bind(&[listener("0.0.0.0:0")]).unwrap().doors()[0]
            .address
            .port();
        let both = [
            listener(&format!("[::]:{port}")),
            listener(&format!("0.0.0.0:{port}")),
        ];
        let bound = bind(&both);
        assert!(bound.is_ok(), "{bound:?}");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = bind(&[listener("127.0.0.1:0")]).unwrap();
        let address = first.doors()[0].address;
        let error = bind(&[listener(&address.to_string())]).unwrap_err();
        assert!(matches!(error, BindError::Bind { address: named, .. } if named == address));
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }

    #[test]
    fn a_socket_that_is_not_passed_is_missed() {
        let wanted = Listener {
            at: At::Passed("imaps".to_owned()),
            ..listener("127.0.0.1:0")
        };
        assert!(matches!(bind(&[wanted]), Err(BindError::NotPassed { name }) if name == "imaps"));
    }

    #[test]
    fn passed_sockets_are_matched_by_name_or_by_port_and_address() {
        let cases = [
            ("127.0.0.1:143", "127.0.0.1:143", true),
            ("[::]:143", "0.0.0.0:143", true),
            ("127.0.0.1:143", "127.0.0.2:143", false),
            ("127.0.0.1:143", "127.0.0.1:993", false),
        ];
        for (own, wanted, expected) in cases {
            let passed = Passed {
                name: "imap".to_owned(),
                address: own.parse().unwrap(),
                socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            };
            let at = At::Address(wanted.parse().unwrap());
            assert_eq!(passed.serves(&at), expected, "{own} {wanted}");
            assert!(passed.serves(&At::Passed("imap".to_owned())));
            assert!(!passed.serves(&At::Passed("imaps".to_owned())));
        }
    }

    #[test]
    fn want_of_descriptors_is_not_the_peers_fault() {
        assert!(!is_of_the_peer(&io::Error::from(nix::errno::Errno::EMFILE)));
        assert!(is_of_the_peer(&io::Error::from(
            io::ErrorKind::ConnectionAborted
        )));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn connections_have_the_options_of_their_listener() {
        let bound = bind(&[listener("127.0.0.1:0")]).unwrap();
        let (socket, door) = &bound.sockets[0];
        assert_eq!(bound.tuned, [door.address]);
        let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        drop(client);
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        let time = accepted.tcp_keepalive_time().unwrap();
        assert_eq!(time, Duration::from_secs(120));
    }
}
