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
    /// The protocol ended it: the client said so, or there was reason to hang up, of which the client was told if that was possible.
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
        let parting = self.tally.parting();
        let reason = match (end, parting) {
            (End::BySession, Some(why)) => why.to_owned(),
            _ => end.to_string(),
        };
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
            duration_ms = super::millis(self.duration),
            reason,
            "connection_finished"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::listener::{Service, TlsMode};
    use super::*;
    use crate::telemetry::{self, Format};
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// Takes the lines.
    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<u8>>>);

    impl Write for Taken {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line that is logged, as JSON.
    fn logged(end: &End, parting: Option<&str>) -> serde_json::Value {
        let taken = Taken::default();
        let writer = taken.clone();
        let lines = telemetry::subscriber(Format::Json, "info", move || writer.clone()).unwrap();
        let tally = Tally::default();
        tally.set_user(&"anna".into());
        tally.count_command();
        tally.count_removed(3);
        if let Some(why) = parting {
            tally.set_parting(why);
        }
        let account = Account {
            id: 7,
            remote: "[2001:db8::1]:40000".parse().unwrap(),
            door: Door {
                address: "192.0.2.1:995".parse().unwrap(),
                service: Service::Pop3,
                tls: TlsMode::Implicit,
            },
            tls: Some("TLSv1.3"),
            octets: [11, 22],
            plain_octets: Some([33, 44]),
            duration: Duration::from_millis(1500),
            tally: &tally,
        };
        tracing::subscriber::with_default(lines, || account.close(end));
        let text = taken.0.lock().unwrap().clone();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn the_line_of_a_connection_tells_all() {
        let line = logged(&End::BySession, Some("logged_out"));
        for (field, value) in [
            ("message", serde_json::json!("connection_finished")),
            ("level", "INFO".into()),
            ("connection", 7.into()),
            ("protocol", "pop3".into()),
            ("remote", "2001:db8::1".into()),
            ("port", 40000.into()),
            ("local_port", 995.into()),
            ("tls", "TLSv1.3".into()),
            ("user", "anna".into()),
            ("octets_in", 11.into()),
            ("octets_out", 22.into()),
            ("plain_in", 33.into()),
            ("plain_out", 44.into()),
            ("commands", 1.into()),
            ("sent", 0.into()),
            ("removed", 3.into()),
            ("added", 0.into()),
            ("duration_ms", 1500.into()),
            ("reason", "logged_out".into()),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
    }

    #[test]
    fn the_reason_is_the_protocol_s_where_the_protocol_ended_it() {
        for (end, parting, reason) in [
            (End::BySession, None, "session_over"),
            (
                End::BySession,
                Some("hung_up: too many bad commands"),
                "hung_up: too many bad commands",
            ),
            // what the shell ends is parted from by the protocol too
            (
                End::Interrupted(Interrupt::Timeout),
                Some("hung_up: x"),
                "timeout",
            ),
            (End::ByClient, Some("logged_out"), "closed_by_client"),
        ] {
            assert_eq!(logged(&end, parting)["reason"], reason);
        }
    }
}
