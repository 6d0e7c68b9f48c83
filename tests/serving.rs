//! The real sessions behind the I/O shell: TLS by command, a volume that hangs, an orderly stop.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a fixture that fails is a test that fails"
)]

#[path = "support/log.rs"]
mod log;
mod support;

use restante::server::{Service, Settings, TlsSettings};
use restante::storage::{self, Refused, Volumes};
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::client::{Client, TLS13, tls};
use support::mail::{PASSWORD, services};
use support::{House, certificate};
use tempfile::TempDir;

/// Disk threads of one volume.
const THREADS: usize = 2;

/// A server of mail with the volumes `one` and `two`.
struct Fixture {
    house: House,
    volumes: Arc<Volumes>,
    directory: TempDir,
}

impl Fixture {
    fn start(deadline: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = storage::Settings {
            threads: THREADS,
            deadline,
            ..storage::Settings::default()
        };
        let services = services(directory.path(), &["one", "two"], &settings);
        let pair = certificate(directory.path(), "a", &["localhost"]);
        Self {
            volumes: Arc::clone(&services.volumes),
            house: House::start(
                &Settings::default(),
                &TlsSettings::new(vec![pair]),
                services,
            ),
            directory,
        }
    }

    fn connect(&self, service: Service) -> Client {
        let address = match service {
            Service::Imap => self.house.imaps,
            Service::Pop3 => self.house.pop3s,
        };
        let mut client = Client::tls(address, &tls(TLS13, &[service.name()]), "localhost").unwrap();
        client.line();
        client
    }

    fn imap(&self, user: &str) -> Client {
        let mut client = self.connect(Service::Imap);
        let answer = client.ask(&format!("a login {user} {PASSWORD}"));
        assert!(answer.starts_with("a OK"), "{answer}");
        client
    }

    /// Keeps all threads of a volume busy until what it returns is dropped, and waits until the volume counts as hung.
    fn hang(&self, volume: &str) -> Sender<()> {
        let place: PathBuf = self.directory.path().join(volume);
        let (release, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for thread in 0..THREADS {
            let wait = Arc::clone(&wait);
            // The first to take the lock waits for the release, the others for the first.
            let job = Box::new(move |_: &_| drop(wait.lock().map(|wait| wait.recv())));
            self.volumes
                .run(&place, &format!("blocker{thread}"), job)
                .unwrap();
        }
        while self.volumes.check(&place, "somebody") != Err(Refused::VolumeHung) {
            std::thread::sleep(Duration::from_millis(5));
        }
        release
    }
}

/// Reads up to the tagged answer, and returns it.
fn tagged(client: &mut Client, command: &str) -> String {
    let (tag, _) = command.split_once(' ').unwrap();
    client.send(&format!("{command}\r\n"));
    loop {
        let line = client.line();
        if line.starts_with(&format!("{tag} ")) {
            return line;
        }
    }
}

#[test]
fn imap_forgets_what_was_injected_before_tls() {
    let fixture = Fixture::start(support::NEVER);
    let mut client = Client::plain(fixture.house.imap);
    assert!(client.line().contains("LOGINDISABLED"));
    client.send(&format!("s starttls\r\na login anna@one {PASSWORD}\r\nb "));
    assert!(client.line().starts_with("s OK"));
    let mut client = client
        .start_tls(&tls(TLS13, &["imap"]), "localhost")
        .unwrap();
    assert!(tagged(&mut client, "c select inbox").starts_with("c BAD"));
    let login = tagged(&mut client, &format!("d login anna@one {PASSWORD}"));
    assert!(login.starts_with("d OK"), "{login}");
}

#[test]
fn pop3_forgets_what_was_injected_before_tls() {
    let fixture = Fixture::start(support::NEVER);
    let mut client = Client::plain(fixture.house.pop3);
    client.line();
    client.send("STLS\r\nUSER anna@one\r\nCA");
    assert!(client.line().starts_with("+OK"));
    let mut client = client
        .start_tls(&tls(TLS13, &["pop3"]), "localhost")
        .unwrap();
    assert!(client.ask(&format!("PASS {PASSWORD}")).starts_with("-ERR"));
    assert!(client.ask("USER anna@one").starts_with("+OK"));
    assert!(client.ask(&format!("PASS {PASSWORD}")).starts_with("+OK"));
}

#[test]
fn a_volume_that_hangs_is_told_honestly_and_only_to_its_users() {
    let fixture = Fixture::start(Duration::from_secs(3));
    let mut anna = fixture.imap("anna@one");
    let mut bruno = fixture.imap("bruno@two");
    let release = fixture.hang("one");

    // Who is logged in, and who comes now.
    let answer = tagged(&mut anna, "b select inbox");
    assert!(answer.starts_with("b NO [UNAVAILABLE]"), "{answer}");
    let mut carla = fixture.connect(Service::Imap);
    let answer = tagged(&mut carla, &format!("a login carla@one {PASSWORD}"));
    assert!(answer.starts_with("a NO [UNAVAILABLE]"), "{answer}");
    let mut dora = fixture.connect(Service::Pop3);
    assert!(dora.ask("USER dora@one").starts_with("+OK"));
    let answer = dora.ask(&format!("PASS {PASSWORD}"));
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    // A wrong password stays a wrong password.
    let answer = tagged(&mut carla, "b login carla@one wrong");
    assert!(
        answer.starts_with("b NO [AUTHENTICATIONFAILED]"),
        "{answer}"
    );

    // Others notice nothing.
    let answer = tagged(&mut bruno, "b select inbox");
    assert!(answer.starts_with("b OK"), "{answer}");
    fixture.imap("emil@two");

    // And it recovers by itself.
    drop(release);
    while tagged(&mut anna, "c select inbox").starts_with("c NO") {}
    let answer = tagged(&mut anna, "d fetch 1:* flags");
    assert!(answer.starts_with("d "), "{answer}");
}

#[test]
fn a_job_that_hangs_is_told_to_its_user_and_logged() {
    let log = log::errors();
    let fixture = Fixture::start(Duration::from_secs(1));
    let mut anna = fixture.imap("anna@one");
    let mut bruno = fixture.imap("bruno@two");
    // a program that holds the lock of anna's UID list keeps the job that gives her new mail its UID waiting
    let spool = fixture.directory.path().join("one/anna");
    let lock = spool.join("dovecot-uidlist.lock");
    std::fs::write(&lock, "1:another-host").unwrap();
    let answer = tagged(&mut anna, "b select inbox");
    assert!(answer.starts_with("b NO [UNAVAILABLE]"), "{answer}");
    let bye = anna.line();
    assert!(bye.starts_with("* BYE [UNAVAILABLE]"), "{bye}");
    let lines = log.lines("disk_job_hung");
    let own: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("one/anna"))
        .collect();
    assert_eq!(own.len(), 1, "{lines:?}");
    assert!(own[0].contains("user=anna@one"), "{lines:?}");
    assert!(own[0].contains("deadline_secs=1"), "{lines:?}");

    // others notice nothing, on the same volume and on another
    assert!(tagged(&mut bruno, "b select inbox").starts_with("b OK"));
    let mut carla = fixture.imap("carla@one");
    assert!(tagged(&mut carla, "b select inbox").starts_with("b OK"));

    // POP3 hears the same while it hangs
    let mut pop3 = fixture.connect(Service::Pop3);
    assert!(pop3.ask("USER anna@one").starts_with("+OK"));
    let answer = pop3.ask(&format!("PASS {PASSWORD}"));
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");

    // and it recovers by itself
    std::fs::remove_file(&lock).unwrap();
    let mut anna = loop {
        let mut client = fixture.connect(Service::Imap);
        let answer = tagged(&mut client, &format!("a login anna@one {PASSWORD}"));
        if answer.starts_with("a OK") {
            break client;
        }
        assert!(answer.starts_with("a NO [UNAVAILABLE]"), "{answer}");
    };
    assert!(tagged(&mut anna, "c select inbox").starts_with("c OK"));
}

#[test]
fn a_spool_robbed_of_its_messages_is_temporary_trouble() {
    let fixture = Fixture::start(support::NEVER);
    let mut anna = fixture.imap("anna@one");
    anna.send("b append inbox (\\seen) {3+}\r\nx\r\n\r\n");
    assert!(anna.line().starts_with("b OK [APPENDUID "));
    assert!(tagged(&mut anna, "c logout").starts_with("c OK"));
    let spool = fixture.directory.path().join("one/anna");
    std::fs::rename(spool.join("cur"), spool.join("away")).unwrap();

    let mut imap = fixture.connect(Service::Imap);
    let answer = tagged(&mut imap, &format!("a login anna@one {PASSWORD}"));
    assert!(answer.starts_with("a NO [UNAVAILABLE]"), "{answer}");
    let mut pop3 = fixture.connect(Service::Pop3);
    assert!(pop3.ask("USER anna@one").starts_with("+OK"));
    let answer = pop3.ask(&format!("PASS {PASSWORD}"));
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    assert!(!spool.join("cur").exists());

    std::fs::rename(spool.join("away"), spool.join("cur")).unwrap();
    let mut anna = fixture.imap("anna@one");
    assert!(tagged(&mut anna, "b select inbox").starts_with("b OK"));
    assert_eq!(
        anna.ask("c uid fetch 1 flags"),
        "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))"
    );
}

#[test]
fn a_compressed_message_is_served_in_both_protocols() {
    let fixture = Fixture::start(support::NEVER);
    let mut anna = fixture.imap("anna@one");
    let cur = fixture.directory.path().join("one/anna/cur");
    let file = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"Subject: packed\n\nneedle in a body\n")
            .unwrap();
        gzip.finish().unwrap()
    };
    std::fs::write(cur.join("1.a.host:2,S"), &file).unwrap();
    std::fs::write(cur.join("2.a.host:2,S"), &file[..file.len() - 4]).unwrap();
    assert!(tagged(&mut anna, "b select inbox").starts_with("b OK"));
    anna.send("c search body needle\r\n");
    assert_eq!(anna.line(), "* SEARCH 1");
    let answer = anna.line();
    assert!(answer.starts_with("c NO [CORRUPTION]"), "{answer}");
    anna.send("d fetch 1:2 (rfc822.size body.peek[])\r\n");
    assert_eq!(anna.line(), "* 1 FETCH (RFC822.SIZE 37 BODY[] {37}");
    assert_eq!(
        anna.octets(37),
        b"Subject: packed\r\n\r\nneedle in a body\r\n"
    );
    assert_eq!(anna.line(), ")");
    let answer = anna.line();
    assert!(answer.starts_with("d NO [CORRUPTION]"), "{answer}");

    let mut pop3 = fixture.connect(Service::Pop3);
    assert!(pop3.ask("USER anna@one").starts_with("+OK"));
    assert!(pop3.ask(&format!("PASS {PASSWORD}")).starts_with("+OK"));
    assert_eq!(pop3.ask("LIST 1"), "+OK 1 37");
    assert!(pop3.ask("STAT").starts_with("+OK 2 "));
    assert!(pop3.ask("RETR 1").starts_with("+OK"));
    assert_eq!(
        pop3.octets(40),
        b"Subject: packed\r\n\r\nneedle in a body\r\n.\r\n"
    );
    let answer = pop3.ask("RETR 2");
    assert!(
        answer.starts_with("-ERR [SYS/PERM] message 2 cannot be read"),
        "{answer}"
    );
    assert!(pop3.ask("NOOP").starts_with("+OK"));
}

/// Longest that the system may take to tell of a change; a timer would take longer (`poll_interval`).
const TOLD_AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn notify_tells_what_mtas_and_other_programs_do() {
    let fixture = Fixture::start(support::NEVER);
    let mut anna = fixture.imap("anna@one");
    assert!(tagged(&mut anna, "b create Work").starts_with("b OK"));
    let set = "c notify set (personal (messagenew messageexpunge flagchange mailboxname subscriptionchange))";
    assert!(tagged(&mut anna, set).starts_with("c OK"));
    let spool = fixture.directory.path().join("one/anna");
    let work = spool.join(".Work");
    let begun = std::time::Instant::now();

    std::fs::write(work.join("tmp/1.a.host"), "Subject: new\n\n").unwrap();
    std::fs::rename(work.join("tmp/1.a.host"), work.join("new/1.a.host")).unwrap();
    assert_eq!(anna.line(), "* STATUS Work (UIDNEXT 2 MESSAGES 1 UNSEEN 1)");
    std::fs::rename(work.join("new/1.a.host"), work.join("cur/1.a.host:2,S")).unwrap();
    assert_eq!(anna.line(), "* STATUS Work (UNSEEN 0)");

    // piece by piece, as other programs make them
    for part in ["", "new", "tmp", "cur"] {
        std::fs::create_dir(spool.join(".Made").join(part)).unwrap();
    }
    assert_eq!(anna.line(), "* LIST (\\HasNoChildren) \"/\" Made");
    std::fs::rename(spool.join(".Made"), spool.join(".Renamed")).unwrap();
    assert_eq!(
        anna.line(),
        "* LIST (\\HasNoChildren) \"/\" Renamed (\"OLDNAME\" (Made))"
    );
    std::fs::write(spool.join("subscriptions.new"), "V\t2\n\nWork\n").unwrap();
    std::fs::rename(spool.join("subscriptions.new"), spool.join("subscriptions")).unwrap();
    assert_eq!(
        anna.line(),
        "* LIST (\\HasNoChildren \\Subscribed) \"/\" Work"
    );
    assert!(begun.elapsed() < TOLD_AT_ONCE, "{:?}", begun.elapsed());
}

#[test]
fn a_stop_says_good_bye_in_both_protocols() {
    let mut fixture = Fixture::start(support::NEVER);
    let mut idling = fixture.imap("anna@one");
    idling.send("b select inbox\r\nc idle\r\n");
    while !idling.line().starts_with('+') {}
    let mut pop3 = fixture.connect(Service::Pop3);
    assert!(pop3.ask("USER bruno@two").starts_with("+OK"));
    assert!(pop3.ask(&format!("PASS {PASSWORD}")).starts_with("+OK"));
    fixture.house.stop().join().unwrap();
    let said = idling.rest();
    assert!(said.starts_with("* BYE [UNAVAILABLE]"), "{said:?}");
    let said = pop3.rest();
    assert!(said.starts_with("-ERR [SYS/TEMP]"), "{said:?}");
}

#[test]
fn a_client_that_never_pauses_hears_that_it_is_over() {
    let fixture = Fixture::start(support::NEVER);
    let mut client = fixture.imap("anna@one");
    for command in 0..100_000 {
        if command == 500 {
            fixture.house.control().revoke("anna@one");
        }
        client.send("b status inbox (messages)\r\n");
        loop {
            let line = client.line();
            if line.starts_with("* BYE") {
                return;
            }
            if line.starts_with("b ") {
                break;
            }
        }
        assert!(command < 600, "a hundred commands were done for it since");
    }
}
