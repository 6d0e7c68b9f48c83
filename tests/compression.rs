//! COMPRESS=DEFLATE over real sockets (RFC 4978): plain and through TLS, with a protocol made for the purpose and with IMAP on a real spool.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a fixture that fails is a test that fails, and waiting has an end"
)]

mod support;

use flate2::FlushCompress;
use restante::server::{Services, Settings, TlsSettings};
use restante::storage;
use restante::telemetry::{self, Format};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use support::client::{Client, TLS13, tls};
use support::parrot::{Hub, PIECE};
use support::{House, SOON, certificate};
use tempfile::TempDir;

/// The log of all tests.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log, which all tests of this program share.
    fn of_all() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            telemetry::subscriber(Format::Json, "restante=debug", move || writer.clone())
                .map(tracing::subscriber::set_global_default)
                .unwrap()
                .unwrap();
            log
        })
    }

    /// Waits for a line that has all these parts.
    fn line(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(&log).into_owned();
            drop(log);
            let is_wanted = |line: &&str| parts.iter().all(|part| line.contains(part));
            if let Some(line) = text.lines().find(is_wanted) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no line with {parts:?}");
            std::thread::yield_now();
        }
    }
}

/// A server and its files.
struct Fixture {
    house: House,
    _directory: TempDir,
}

impl Fixture {
    fn new(services: impl FnOnce(&TempDir) -> Services) -> Self {
        Log::of_all();
        let directory = tempfile::tempdir().unwrap();
        let certificates = vec![certificate(directory.path(), "one", &["localhost"])];
        let services = services(&directory);
        let house = House::start(
            &Settings::default(),
            &TlsSettings::new(certificates),
            services,
        );
        Self {
            house,
            _directory: directory,
        }
    }

    /// A server of parrots.
    fn of_parrots() -> Self {
        Self::new(|_| Arc::new(Hub::default()).services(&storage::Settings::default()))
    }

    /// A server of mail.
    fn of_mail() -> Self {
        Self::new(|directory| {
            let spools = directory.path();
            std::fs::create_dir_all(spools.join("one/anna")).unwrap();
            support::mail::services(spools, &["one"], &storage::Settings::default())
        })
    }

    /// A client of the parrots' that compresses; plain or with TLS.
    fn compressed(&self, with_tls: bool) -> Client {
        let mut client = if with_tls {
            Client::tls(self.house.imaps, &tls(TLS13, &[]), "localhost").unwrap()
        } else {
            Client::plain(self.house.imap)
        };
        client.line();
        assert_eq!(client.ask("compress"), "squeezing");
        client.compress();
        client
    }

    /// A client of IMAP that has logged in over TLS and compresses.
    fn compressed_imap(&self) -> Client {
        let mut client = Client::tls(self.house.imaps, &tls(TLS13, &[]), "localhost").unwrap();
        client.line();
        let answer = client.ask("a login anna@one secret");
        assert!(answer.contains(" COMPRESS=DEFLATE"), "{answer}");
        assert_eq!(client.ask("b compress deflate"), "b OK DEFLATE active");
        client.compress();
        client
    }
}

/// Number of a line's field in the log.
fn number(line: &str, field: &str) -> u64 {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    json.get(field).and_then(serde_json::Value::as_u64).unwrap()
}

#[test]
fn every_answer_can_be_inflated_when_it_comes() {
    let fixture = Fixture::of_parrots();
    for with_tls in [false, true] {
        let mut client = fixture.compressed(with_tls);
        for round in 0..20 {
            let text = format!("round {round} {}", "round ".repeat(round));
            assert_eq!(client.ask(&format!("echo {text}")), text.trim_end());
        }
        client.send("echo one\necho two\nquit\n");
        assert_eq!(client.rest(), "one\r\ntwo\r\ngoodbye\r\n");
    }
}

#[test]
fn commands_may_come_octet_by_octet() {
    let fixture = Fixture::of_parrots();
    let mut client = fixture.compressed(false);
    for flush in [FlushCompress::Sync, FlushCompress::Partial] {
        for octet in client.packed("echo slow\necho client\n", flush) {
            client.send_octets(&[octet]);
        }
        assert_eq!(client.line(), "slow");
        assert_eq!(client.line(), "client");
    }
}

#[test]
fn what_comes_with_the_command_is_compressed_already() {
    let fixture = Fixture::of_parrots();
    let mut client = Client::plain(fixture.house.imap);
    client.line();
    client.compress();
    let eager = client.packed("echo eager\n", FlushCompress::Sync);
    client.send_octets(&[b"compress\n", eager.as_slice()].concat());
    // the answer to the command itself is not compressed
    let mut greeting = [0; 11];
    io::Read::read_exact(&mut client.tcp(), &mut greeting).unwrap();
    assert_eq!(&greeting, b"squeezing\r\n");
    assert_eq!(client.line(), "eager");
}

#[test]
fn a_large_answer_is_small_on_the_wire() {
    let fixture = Fixture::of_parrots();
    let mut client = fixture.compressed(true);
    assert_eq!(client.ask("login large"), "welcome");
    client.send("big 40\n");
    assert!(client.octets(40 * PIECE).iter().all(|&octet| octet == b'x'));
    assert_eq!(client.line(), "done");
    client.send("quit\n");
    assert_eq!(client.rest(), "goodbye\r\n");
}

#[test]
fn what_compression_holds_is_given_back_and_it_goes_on() {
    let fixture = Fixture::of_mail();
    let mut client = fixture.compressed_imap();
    assert_eq!(client.ask("c noop"), "c OK NOOP completed");
    Log::of_all().line(&["compression_rested"]);
    assert_eq!(client.ask("d noop"), "d OK NOOP completed");
    // refers to what was sent before the rest
    assert_eq!(client.ask("c noop"), "c OK NOOP completed");
}

#[test]
fn messages_go_up_and_come_down_unchanged() {
    let fixture = Fixture::of_mail();
    let mut client = fixture.compressed_imap();
    let mut text = String::from("Subject: large\r\n\r\n");
    for number in 0..60_000_u32 {
        let digest = number.wrapping_mul(2_654_435_761);
        text.push_str(&format!("{digest:08x} is line {number}\r\n"));
    }
    client.send(&format!("c append inbox {{{}}}\r\n", text.len()));
    assert!(client.line().starts_with("+ "));
    client.send(&format!("{text}\r\n"));
    assert!(client.line().starts_with("c OK [APPENDUID"));
    client.send("d select inbox\r\n");
    while !client.line().starts_with("d OK") {}
    let answer = client.ask("e fetch 1 body.peek[]");
    assert_eq!(answer, format!("* 1 FETCH (BODY[] {{{}}}", text.len()));
    assert_eq!(client.octets(text.len()), text.as_bytes());
    assert_eq!(client.line(), ")");
    assert!(client.line().starts_with("e OK"));
    client.send("f logout\r\n");
    assert!(client.rest().starts_with("* BYE"));

    let line = Log::of_all().line(&["connection_finished", "anna@one", "\"sent\":1"]);
    let octets = text.len() as u64;
    assert!(number(&line, "plain_in") > octets && number(&line, "plain_out") > octets);
    assert!(number(&line, "octets_in") < octets * 2 / 3, "{line}");
    assert!(number(&line, "octets_out") < octets * 2 / 3, "{line}");
}

#[test]
fn what_is_not_compressed_ends_the_connection_with_a_line() {
    let fixture = Fixture::of_mail();
    let mut client = fixture.compressed_imap();
    client.send_octets(b"c noop\r\n");
    assert_eq!(client.rest(), "");
    Log::of_all().line(&["connection_finished", "not_deflate_data"]);
    assert!(fixture.compressed_imap().ask("c noop").starts_with("c OK"));
}

#[test]
fn compression_ends_with_the_account_and_may_begin_again() {
    let fixture = Fixture::of_mail();
    let mut client = fixture.compressed_imap();
    for (round, flush) in [FlushCompress::Sync, FlushCompress::Finish]
        .into_iter()
        .cycle()
        .take(4)
        .enumerate()
    {
        let mut wire = client.packed("c unauthenticate\r\n", flush);
        // the last command that is compressed, and the first that is not, perhaps at once
        if round % 2 == 0 {
            wire.extend_from_slice(b"d login anna@one secret\r\n");
            client.send_octets(&wire);
            assert!(client.line().starts_with("c OK [CAPABILITY "));
        } else {
            client.send_octets(&wire);
            assert!(client.line().starts_with("c OK [CAPABILITY "));
            assert!(!client.is_compressed());
            client.send("d login anna@one secret\r\n");
        }
        assert!(client.line().starts_with("d OK [CAPABILITY "));
        assert!(!client.is_compressed());
        assert_eq!(client.ask("e compress deflate"), "e OK DEFLATE active");
        client.compress();
        assert!(client.ask("f noop").starts_with("f OK"));
    }
    Log::of_all().line(&["client_unauthenticated", "anna@one"]);
}

#[test]
fn a_line_that_swells_is_refused_like_any_other() {
    let fixture = Fixture::of_mail();
    let mut client = fixture.compressed_imap();
    let bomb = format!("c {}\r\nd noop\r\n", "x".repeat(50_000_000));
    let wire = client.packed(&bomb, FlushCompress::Sync);
    assert!(wire.len() < 100_000);
    client.send_octets(&wire);
    let answer = client.line();
    assert!(answer.starts_with("c BAD [LIMIT]"), "{answer}");
    assert!(client.line().starts_with("d OK"));
}
