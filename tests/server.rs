//! The I/O shell over real sockets, with a protocol made for the purpose (`support/parrot.rs`): TLS, limits, orders, time-outs, volumes.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails is a test that fails"
)]

mod support;

use restante::server::{LeastTls, LimitSettings, Settings, Timeouts, TlsSettings};
use restante::storage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::client::{Client, TLS12, TLS13, tls};
use support::parrot::{Hub, PIECE};
use support::{House, NEVER, certificate};
use tempfile::TempDir;
use tokio_rustls::rustls::HandshakeKind;

/// Short enough for a test to wait for.
const SHORT: Duration = Duration::from_millis(50);

/// A server of parrots.
struct Fixture {
    house: House,
    hub: Arc<Hub>,
    directory: TempDir,
}

/// What a test wants to be otherwise.
struct Setup {
    settings: Settings,
    storage: storage::Settings,
    names: Vec<&'static [&'static str]>,
    least: LeastTls,
    check: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings {
                limits: LimitSettings::default(),
                timeouts: Timeouts {
                    handshake: NEVER,
                    before_login: NEVER,
                    imap_idle: NEVER,
                    pop3_idle: NEVER,
                    command: NEVER,
                    write: NEVER,
                    shutdown: NEVER,
                    progress: NEVER,
                    keepalive: NEVER,
                },
            },
            storage: storage::Settings {
                threads: 2,
                deadline: NEVER,
                ..storage::Settings::default()
            },
            names: vec![&["localhost"]],
            least: LeastTls::V1_2,
            check: NEVER,
        }
    }
}

impl Setup {
    fn start(self) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let certificates = self.names.iter().enumerate();
        let certificates = certificates
            .map(|(number, names)| certificate(directory.path(), &number.to_string(), names))
            .collect();
        let hub = Arc::new(Hub::default());
        let tls = TlsSettings {
            certificates,
            least: self.least,
            check: self.check,
        };
        Fixture {
            house: House::start(&self.settings, &tls, hub.services(&self.storage)),
            hub,
            directory,
        }
    }
}

/// A plain client that has been greeted.
fn greeted(fixture: &Fixture) -> Client {
    let mut client = Client::plain(fixture.house.imap);
    assert_eq!(client.line(), "hello");
    client
}

fn logged_in(fixture: &Fixture, account: &str) -> Client {
    let mut client = greeted(fixture);
    assert_eq!(client.ask(&format!("login {account}")), "welcome");
    client
}

// ---- the way of a command ----

#[test]
fn commands_are_answered_in_order_in_one_go() {
    let fixture = Setup::default().start();
    let mut client = greeted(&fixture);
    client.send("echo a\necho b\nwork one\necho c\nqu");
    client.send("it\n");
    assert_eq!(client.rest(), "a\r\nb\r\nworked\r\nc\r\ngoodbye\r\n");
    fixture.house.wait_for_connections(0);
}

#[test]
fn a_client_that_has_sent_its_last_still_gets_its_answers() {
    let fixture = Setup::default().start();
    let gate = fixture.hub.gate("one-gate");
    let mut client = greeted(&fixture);
    client.send("work one-gate\necho after\n");
    client.tcp().shutdown(std::net::Shutdown::Write).unwrap();
    gate.started();
    drop(gate);
    assert_eq!(client.rest(), "worked\r\nafter\r\n");
}

#[test]
fn a_session_that_waits_is_woken_from_elsewhere() {
    let fixture = Setup::default().start();
    let mut client = greeted(&fixture);
    let waiting = fixture.hub.next_wait();
    client.send("wait\necho after\n");
    waiting.recv_timeout(support::SOON).unwrap();
    fixture.hub.wake();
    assert_eq!(client.line(), "woken");
    assert_eq!(client.line(), "after");
}

#[test]
fn a_broken_connection_is_noticed_while_nothing_is_read() {
    let fixture = Setup::default().start();
    let mut client = greeted(&fixture);
    let waiting = fixture.hub.next_wait();
    client.send("wait\n");
    waiting.recv_timeout(support::SOON).unwrap();
    // Closing with a zero linger time is a reset.
    socket2::SockRef::from(client.tcp())
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    fixture.house.wait_for_connections(0);
}

#[test]
fn a_large_answer_comes_whole_through_tls() {
    let fixture = Setup::default().start();
    let config = tls(TLS13, &[]);
    let mut client = Client::tls(fixture.house.imaps, &config, "localhost").unwrap();
    client.line();
    client.send("big 9\n");
    assert!(client.octets(9 * PIECE).iter().all(|&octet| octet == b'x'));
    assert_eq!(client.line(), "done");
}

#[test]
fn a_slow_reader_holds_no_thread() {
    let mut setup = Setup::default();
    setup.storage.threads = 1;
    let fixture = setup.start();
    let mut slow = greeted(&fixture);
    // More than the sockets' buffers take.
    slow.send("big 400\n");
    slow.octets(PIECE);
    let mut other = greeted(&fixture);
    assert_eq!(other.ask("work one"), "worked");
    slow.octets(399 * PIECE);
    assert_eq!(slow.line(), "done");
}

#[test]
fn a_panic_ends_only_its_session() {
    let fixture = Setup::default().start();
    let mut other = greeted(&fixture);
    for command in ["panic\n", "panicwork\n"] {
        let mut client = greeted(&fixture);
        client.send(command);
        assert_eq!(client.rest(), "", "{command}");
        assert_eq!(other.ask("work one"), "worked");
    }
}

// ---- TLS ----

#[test]
fn both_versions_of_tls_are_spoken() {
    let fixture = Setup::default().start();
    for (versions, name) in [(TLS12, "TLSv1.2"), (TLS13, "TLSv1.3")] {
        for address in [fixture.house.imaps, fixture.house.pop3s] {
            let mut client = Client::tls(address, &tls(versions, &[]), "localhost").unwrap();
            assert_eq!(client.line(), format!("hello {name}"));
            assert_eq!(client.ask("echo x"), "x");
        }
    }
}

#[test]
fn the_least_version_is_held_to() {
    let setup = Setup {
        least: LeastTls::V1_3,
        ..Setup::default()
    };
    let fixture = setup.start();
    assert!(Client::tls(fixture.house.imaps, &tls(TLS12, &[]), "localhost").is_err());
    assert!(Client::tls(fixture.house.imaps, &tls(TLS13, &[]), "localhost").is_ok());
}

#[test]
fn another_protocols_clients_are_refused_by_alpn() {
    let fixture = Setup::default().start();
    let cases = [
        (fixture.house.imaps, &["imap"][..], true),
        (fixture.house.imaps, &["pop3"], false),
        (fixture.house.imaps, &["http/1.1", "imap"], true),
        (fixture.house.pop3s, &["pop3"], true),
        (fixture.house.pop3s, &["h2"], false),
        (fixture.house.imaps, &[], true),
    ];
    for (address, alpn, expected) in cases {
        let client = Client::tls(address, &tls(TLS13, alpn), "localhost");
        assert_eq!(client.is_ok(), expected, "{alpn:?}");
    }
}

#[test]
fn the_server_name_chooses_the_certificate() {
    let setup = Setup {
        names: vec![&["a.example"], &["b.example", "*.c.example"]],
        ..Setup::default()
    };
    let fixture = setup.start();
    let config = tls(TLS13, &[]);
    let seen = |name| {
        Client::tls(fixture.house.imaps, &config, name)
            .unwrap()
            .certificate()
    };
    assert_ne!(seen("a.example"), seen("b.example"));
    assert_eq!(seen("b.example"), seen("mail.c.example"));
    assert_eq!(seen("a.example"), seen("unknown.example"));
}

#[test]
fn sessions_are_resumed() {
    let fixture = Setup::default().start();
    for versions in [TLS12, TLS13] {
        let config = tls(versions, &["imap"]);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = Client::tls(fixture.house.imaps, &config, "localhost").unwrap();
            // Tickets of TLS 1.3 come with the first octets.
            client.line();
            assert_eq!(client.connection().handshake_kind(), Some(expected));
        }
    }
}

#[test]
fn tls_ends_with_its_farewell() {
    let mut fixture = Setup::default().start();
    for versions in [TLS12, TLS13] {
        let config = tls(versions, &[]);
        let mut client = Client::tls(fixture.house.imaps, &config, "localhost").unwrap();
        client.line();
        assert_eq!(client.ask("quit"), "goodbye");
        assert!(client.ends_with_farewell());
    }
    let config = tls(TLS13, &[]);
    let mut client = Client::tls(fixture.house.pop3s, &config, "localhost").unwrap();
    client.line();
    fixture.house.stop().join().unwrap();
    assert!(client.ends_with_farewell(), "at a stop too");
}

#[test]
fn tls_is_started_by_command() {
    let fixture = Setup::default().start();
    let mut client = greeted(&fixture);
    assert_eq!(client.ask("starttls"), "go");
    let mut client = client
        .start_tls(&tls(TLS13, &["imap"]), "localhost")
        .unwrap();
    assert_eq!(client.ask("echo safe"), "safe");
}

#[test]
fn what_was_injected_before_tls_is_forgotten() {
    let fixture = Setup::default().start();
    let mut client = greeted(&fixture);
    client.send("starttls\necho injected\necho ");
    assert_eq!(client.line(), "go");
    let mut client = client.start_tls(&tls(TLS13, &[]), "localhost").unwrap();
    assert_eq!(client.ask("echo safe"), "safe");
}

#[test]
fn renewed_certificates_come_into_use_under_load() {
    let setup = Setup {
        check: SHORT,
        ..Setup::default()
    };
    let fixture = setup.start();
    let config = || tls(TLS13, &[]);
    let address = fixture.house.imaps;
    let connect = move || Client::tls(address, &config(), "localhost").unwrap();
    let mut long_lived = connect();
    assert_eq!(long_lived.line(), "hello TLSv1.3");
    let old = long_lived.certificate();

    let over = Arc::new(AtomicBool::new(false));
    let handshakes = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let (over, handshakes) = (Arc::clone(&over), Arc::clone(&handshakes));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut client = connect();
                    client.line();
                    assert_eq!(client.ask("echo x"), "x");
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let directory = fixture.directory.path();
    let mut current = old.clone();
    for (round, order) in [["crt", "key"], ["key", "crt"]].into_iter().enumerate() {
        let name = format!("new{round}");
        certificate(directory, &name, &["localhost"]);
        let replace = |kind: &str| {
            std::fs::rename(
                directory.join(format!("{name}.{kind}")),
                directory.join(format!("0.{kind}")),
            )
            .unwrap();
        };
        replace(order[0]);
        // The half-replaced pair is looked at, and changes nothing.
        fixture.house.control().reload_certificates();
        let before = handshakes.load(Ordering::Relaxed);
        while handshakes.load(Ordering::Relaxed) < before + 5 {
            assert_eq!(connect().certificate(), current);
        }
        replace(order[1]);
        let mut tries = 0;
        while connect().certificate() == current {
            tries += 1;
            assert!(tries < 10_000, "the new certificate is not used");
        }
        current = connect().certificate();
    }
    over.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().unwrap();
    }
    assert_eq!(long_lived.ask("echo still here"), "still here");
    assert_eq!(long_lived.certificate(), old);
}

// ---- limits and orders ----

#[test]
fn connections_in_all_are_limited_and_the_client_is_told() {
    let mut setup = Setup::default();
    setup.settings.limits.connections = 2;
    let fixture = setup.start();
    let first = greeted(&fixture);
    let _second = greeted(&fixture);
    assert_eq!(Client::plain(fixture.house.imap).rest(), "bye Full\r\n");
    let mut third = Client::tls(fixture.house.imaps, &tls(TLS13, &[]), "localhost").unwrap();
    assert_eq!(third.line(), "bye Full");
    drop((first, third));
    fixture.house.wait_for_connections(1);
    greeted(&fixture);
}

#[test]
fn strangers_of_one_address_are_limited() {
    let mut setup = Setup::default();
    setup.settings.limits.before_login_per_address = 2;
    let fixture = setup.start();
    let _known = logged_in(&fixture, "anna");
    let _first = greeted(&fixture);
    let _second = greeted(&fixture);
    assert_eq!(Client::plain(fixture.house.imap).rest(), "bye Full\r\n");
}

#[test]
fn an_account_makes_room_by_closing_its_longest_silent_connection() {
    let mut setup = Setup::default();
    setup.settings.limits.per_account = 2;
    let fixture = setup.start();
    let mut first = logged_in(&fixture, "anna");
    std::thread::sleep(Duration::from_millis(2));
    let second = logged_in(&fixture, "anna");
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(first.ask("echo alive"), "alive");
    let other = logged_in(&fixture, "bruno");
    let mut third = logged_in(&fixture, "anna");
    assert_eq!(second.rest(), "bye Displaced\r\n");
    for mut client in [first, other] {
        assert_eq!(client.ask("echo x"), "x");
    }
    assert_eq!(third.ask("echo x"), "x");
}

#[test]
fn a_connection_nobody_reads_from_is_displaced_too() {
    let mut setup = Setup::default();
    setup.settings.limits.per_account = 1;
    let fixture = setup.start();
    let mut dead = logged_in(&fixture, "anna");
    dead.send("big 400\n");
    dead.octets(PIECE);
    let mut new = logged_in(&fixture, "anna");
    fixture.house.wait_for_connections(1);
    assert_eq!(new.ask("echo x"), "x");
}

#[test]
fn a_changed_account_loses_its_sessions() {
    let fixture = Setup::default().start();
    let anna = logged_in(&fixture, "anna");
    let mut bruno = logged_in(&fixture, "bruno");
    fixture.house.control().revoke("anna");
    assert_eq!(anna.rest(), "bye Revoked\r\n");
    assert_eq!(bruno.ask("echo x"), "x");
}

#[test]
fn an_orderly_stop_finishes_commands_and_takes_leave() {
    let mut fixture = Setup::default().start();
    let gate = fixture.hub.gate("one-gate");
    let idle = logged_in(&fixture, "anna");
    let mut busy = logged_in(&fixture, "bruno");
    let mut sending = logged_in(&fixture, "carla");
    busy.send("work one-gate\necho pipelined\n");
    sending.send("echo half");
    gate.started();
    let address = fixture.house.imap;
    let stopping = fixture.house.stop();
    assert_eq!(idle.rest(), "bye Shutdown\r\n");
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!stopping.is_finished());
    drop(gate);
    assert_eq!(busy.rest(), "worked\r\npipelined\r\nbye Shutdown\r\n");
    sending.send(" a line\n");
    assert_eq!(sending.rest(), "half a line\r\nbye Shutdown\r\n");
    stopping.join().unwrap();
}

#[test]
fn a_stop_ends_in_time_whatever_hangs() {
    let mut setup = Setup::default();
    setup.settings.timeouts.shutdown = SHORT;
    let mut fixture = setup.start();
    let gate = fixture.hub.gate("one-gate");
    let mut hung = logged_in(&fixture, "anna");
    hung.send("work one-gate\n");
    gate.started();
    let mut sending = logged_in(&fixture, "bruno");
    sending.send("echo half");
    fixture.house.stop().join().unwrap();
    assert_eq!(sending.rest(), "bye Shutdown\r\n");
    assert_eq!(hung.rest(), "");
}

// ---- time-outs ----

#[test]
fn silence_ends_a_session_with_a_word() {
    type Set = fn(&mut Timeouts);
    let cases: [(Set, &[&str]); 3] = [
        (|timeouts| timeouts.before_login = SHORT, &[]),
        (|timeouts| timeouts.imap_idle = SHORT, &["login anna\n"]),
        (
            |timeouts| timeouts.command = SHORT,
            &["login anna\n", "echo half"],
        ),
    ];
    for (set, said) in cases {
        let mut setup = Setup::default();
        set(&mut setup.settings.timeouts);
        let fixture = setup.start();
        let mut client = Client::plain(fixture.house.imap);
        for text in said {
            client.send(text);
        }
        assert!(client.rest().ends_with("bye Timeout\r\n"), "{said:?}");
    }
}

#[test]
fn the_time_before_login_is_not_prolonged_by_talking() {
    let mut setup = Setup::default();
    setup.settings.timeouts.before_login = Duration::from_millis(200);
    let fixture = setup.start();
    let mut client = greeted(&fixture);
    loop {
        match client.ask("echo x").as_str() {
            "x" => {}
            line => {
                assert_eq!(line, "bye Timeout");
                break;
            }
        }
    }
}

#[test]
fn the_time_before_login_begins_anew_when_nobody_is_logged_in_any_more() {
    let mut setup = Setup::default();
    setup.settings.timeouts.before_login = Duration::from_millis(500);
    let fixture = setup.start();
    let mut client = logged_in(&fixture, "anna");
    // when a later stranger's time is over, the client's first is too
    assert_eq!(greeted(&fixture).line(), "bye Timeout");
    assert_eq!(client.ask("leave"), "left");
    assert_eq!(client.ask("echo x"), "x");
    assert_eq!(client.line(), "bye Timeout");
}

#[test]
fn an_account_gets_its_slot_back() {
    let mut setup = Setup::default();
    setup.settings.limits.per_account = 1;
    setup.settings.limits.before_login_per_address = 2;
    let fixture = setup.start();
    let mut first = logged_in(&fixture, "anna");
    assert_eq!(first.ask("leave"), "left");
    let mut second = logged_in(&fixture, "anna");
    assert_eq!(first.ask("login bruno"), "welcome");
    assert_eq!(first.ask("leave"), "left");
    // a stranger again: with one more, their number is reached
    let _third = greeted(&fixture);
    assert_eq!(Client::plain(fixture.house.imap).line(), "bye Full");
    assert_eq!(second.ask("echo undisturbed"), "undisturbed");
}

#[test]
fn a_handshake_must_come_in_time() {
    let mut setup = Setup::default();
    setup.settings.timeouts.handshake = SHORT;
    let fixture = setup.start();
    assert_eq!(Client::plain(fixture.house.imaps).rest(), "");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let mut setup = Setup::default();
    setup.settings.timeouts.write = SHORT;
    let fixture = setup.start();
    let mut client = greeted(&fixture);
    client.send("big 400\n");
    client.octets(1);
    fixture.house.wait_for_connections(0);
}

// ---- volumes ----

#[test]
fn a_hung_volume_is_told_and_leaves_the_others_alone() {
    let mut setup = Setup::default();
    setup.storage.deadline = SHORT;
    let fixture = setup.start();
    let gates = ["one-a", "one-b"].map(|name| (name, fixture.hub.gate(name)));
    for (name, gate) in &gates {
        let mut client = logged_in(&fixture, name);
        client.send(&format!("work {name}\n"));
        gate.started();
        assert_eq!(client.rest(), "stuck\r\n");
    }
    let mut one = logged_in(&fixture, "carla");
    let mut two = logged_in(&fixture, "dora");
    assert_eq!(one.ask("work one"), "refused");
    assert_eq!(two.ask("work two"), "worked");
    drop(gates);
    while one.ask("work one") == "refused" {}
    assert_eq!(one.ask("work one"), "worked");
}

#[test]
fn a_client_hears_of_work_that_takes_long_after_what_was_said_before() {
    let mut setup = Setup::default();
    setup.settings.timeouts.progress = Duration::from_millis(20);
    let fixture = setup.start();
    // said by the session, which is kept back, and by the thread that works
    for (account, command, answer) in [
        ("anna", "echo before", "before"),
        ("bruno", "work one", "worked"),
    ] {
        let gate = fixture.hub.gate("one-gate");
        let mut client = logged_in(&fixture, account);
        client.send(&format!("{command}\nwork one-gate\necho after\n"));
        gate.started();
        let heard: Vec<String> = (0..3).map(|_| client.line()).collect();
        assert_eq!(heard, [answer, "working", "working"]);
        drop(gate);
        let mut line = client.line();
        while line == "working" {
            line = client.line();
        }
        assert_eq!([line, client.line()], ["worked", "after"]);
    }
}

#[test]
fn nothing_is_said_within_an_answer() {
    let mut setup = Setup::default();
    setup.settings.timeouts.progress = Duration::from_millis(1);
    let fixture = setup.start();
    let gate = fixture.hub.gate("one-gate");
    let mut client = logged_in(&fixture, "anna");
    client.send("half one-gate\n");
    gate.started();
    assert_eq!(client.octets(5), b"half ");
    // once another has heard several signs of life, some were due here too
    let other_gate = fixture.hub.gate("two-gate");
    let mut other = logged_in(&fixture, "bruno");
    other.send("work two-gate\n");
    for _ in 0..9 {
        assert_eq!(other.line(), "working");
    }
    drop((gate, other_gate));
    assert_eq!(client.line(), "whole");
}

#[test]
fn a_thread_that_hangs_within_an_answer_ends_it_without_a_word() {
    let mut setup = Setup::default();
    setup.storage.deadline = SHORT;
    let fixture = setup.start();
    let gate = fixture.hub.gate("one-gate");
    let mut client = logged_in(&fixture, "anna");
    client.send("half one-gate\n");
    gate.started();
    assert_eq!(client.rest(), "half ");
    drop(gate);
}

#[test]
fn work_that_waits_for_a_hung_account_is_refused_in_time() {
    let mut setup = Setup::default();
    setup.storage.deadline = Duration::from_millis(300);
    let fixture = setup.start();
    let gate = fixture.hub.gate("one-a");
    let mut first = logged_in(&fixture, "anna");
    let mut second = logged_in(&fixture, "anna");
    first.send("work one-a\n");
    gate.started();
    // One of two threads is the account's share, so this waits in the queue until the deadline of the first.
    assert_eq!(second.ask("work one"), "refused");
    assert_eq!(first.rest(), "stuck\r\n");
    let mut other = logged_in(&fixture, "bruno");
    assert_eq!(other.ask("work one"), "worked");
    drop(gate);
    while second.ask("work one") == "refused" {}
}
