//! Why a connection ended, and the line that is logged then.

use super::deflate::Damaged;
use super::listener::Door;
use crate::protocol::{Interrupt, Tally};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client hung up.
    ByClient,
    /// The session was over: the client said so, or the protocol saw reason to hang up, having told the client.
    BySession,
    /// The shell ended it.
    Interrupted(Interrupt),
    /// The client took nothing of what it was sent.
    NotReading,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The TLS handshake failed.
    Handshake(io::Error),
    /// TLS is wanted where there is none.
    NoTls,
    /// Reading or writing failed.
    Io(io::Error),
    /// What the client sent after COMPRESS was not compressed.
    NotDeflate,
    /// The volume did not answer in time.
    VolumeHung,
    /// A bug of ours.
    Panicked,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByClient => "closed_by_client",
            Self::BySession => "session_over",
            Self::Interrupted(Interrupt::Full) => "limit_reached",
            Self::Interrupted(Interrupt::Shutdown) => "shutdown",
            Self::Interrupted(Interrupt::Timeout) => "timeout",
            Self::Interrupted(Interrupt::Displaced) => "displaced_by_newer_connection",
            Self::Interrupted(Interrupt::Revoked) => "account_changed",
            Self::NotReading => "client_not_reading",
            Self::HandshakeTimeout => "tls_handshake_timeout",
            Self::Handshake(error) => return write!(f, "tls_handshake_failed: {error}"),
            Self::NoTls => "tls_not_configured",
            Self::Io(error) => return write!(f, "connection_lost: {error}"),
            Self::NotDeflate => "not_deflate_data",
            Self::VolumeHung => "storage_hung",
            Self::Panicked => "internal_error",
        })
    }
}

impl From<io::Error> for End {
    /// An end without TLS's farewell is common among mail programs and harms no line-based protocol.
    fn from(error: io::Error) -> Self {
        if error.get_ref().is_some_and(|error| error.is::<Damaged>()) {
            return Self::NotDeflate;
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::ByClient,
            _ => Self::Io(error),
        }
    }
}

/// What is known of a connection when it is over.
#[derive(Debug)]
pub(super) struct Account<'a> {
    /// Its number.
    pub(super) id: u64,
    /// The client.
    pub(super) remote: SocketAddr,
    /// Where it came in.
    pub(super) door: Door,
    /// The TLS version, if TLS was up.
    pub(super) tls: Option<&'a str>,
    /// Octets, compressed or not, without TLS: received and sent.
    pub(super) octets: [u64; 2],
    /// What these would have been without compression, if there was any.
    pub(super) plain_octets: Option<[u64; 2]>,
    /// How long it lasted.
    pub(super) duration: std::time::Duration,
    /// The session's counts.
    pub(super) tally: &'a Tally,
}

impl Account<'_> {
    /// Logs the end of the connection.
    pub(super) fn close(&self, end: &End) {
        let [commands, sent, removed, added] = self.tally.totals();
        tracing::info!(
            connection = self.id,
            protocol = self.door.service.name(),
            remote = %self.remote.ip(),
            port = self.remote.port(),
            local_port = self.door.address.port(),
            tls = self.tls,
            user = self.tally.user().as_deref(),
            octets_in = self.octets[0],
            octets_out = self.octets[1],
            plain_in = self.plain_octets.map(|octets| octets[0]),
            plain_out = self.plain_octets.map(|octets| octets[1]),
            commands,
            sent,
            removed,
            added,
            duration_ms = self.duration.as_millis(),
            reason = %end,
            "connection_finished"
        );
    }
}
