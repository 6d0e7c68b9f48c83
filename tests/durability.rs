//! `kill -9` at random moments: what was acknowledged is there afterwards, and no UID ever belongs to another message.
//!
//! Several clients append, flag, copy, move and expunge; the server is killed after a random number of their commands was
//! acknowledged, with others in flight; then it starts again and everything acknowledged is checked. The seed is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "a test may"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

const ROUNDS: usize = 20;
const CLIENTS: usize = 3;

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(base: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = base.join("restante.toml");
        let text = format!(
            "[storage]\nspool = \"{0}/spool/%{{user}}\"\n[auth]\ndatabase = \"{0}/credentials.sqlite\"\nallow_plaintext = true\n\
             argon2_memory = \"1 MiB\"\n[[listeners]]\naddress = \"127.0.0.1:{port}\"\nprotocol = \"imap\"\ntls = \"none\"\n",
            base.display()
        );
        std::fs::write(&config, text).unwrap();
        if !base.join("credentials.sqlite").exists() {
            let mut add = restante(base, &["user", "add", "anna", "--stdin"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            add.stdin.take().unwrap().write_all(b"secret\n").unwrap();
            assert!(add.wait().unwrap().success());
        }
        let process = restante(base, &["serve"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, port };
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            assert!(
                server.process.try_wait().unwrap().is_none(),
                "the server ended"
            );
            thread::yield_now();
        }
        server
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn restante(base: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command
        .args(arguments)
        .arg("--config")
        .arg(base.join("restante.toml"))
        .stdout(Stdio::null());
    command
}

/// A connection; every call gives `None` once the server is gone.
struct Client {
    reader: BufReader<TcpStream>,
    tag: usize,
}

impl Client {
    fn connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut client = Self {
            reader: BufReader::new(stream),
            tag: 0,
        };
        client.line()?;
        client.command("LOGIN anna secret")?;
        Some(client)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok()?;
        line.ends_with(b"\r\n")
            .then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn send(&mut self, octets: &[u8]) -> Option<()> {
        self.reader.get_mut().write_all(octets).ok()
    }

    /// Sends a command and collects the lines of its answer, the tagged one last.
    fn command(&mut self, text: &str) -> Option<Vec<String>> {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(format!("{tag}{text}\r\n").as_bytes())?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let done = line.starts_with(&tag);
            lines.push(line);
            if done {
                let last = lines.last().unwrap();
                assert!(
                    last.starts_with(&format!("{tag}OK")) || last.contains("EXPUNGEISSUED"),
                    "{text}: {last}"
                );
                return Some(lines);
            }
        }
    }
}

/// What was acknowledged of one message: where it is, by which marker it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    marker: String,
    flagged: bool,
    /// An expunge or move of it was acknowledged, or was asked for and may have happened.
    gone: Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    No,
    Perhaps,
    Yes,
}

/// Acknowledged messages by mailbox and UID; and UIDVALIDITY of each mailbox.
#[derive(Debug, Default)]
struct Ledger {
    messages: BTreeMap<(String, u32), Fact>,
    validity: BTreeMap<String, u32>,
}

impl Ledger {
    fn place(&mut self, mailbox: &str, validity: u32, uid: u32, marker: &str, flagged: bool) {
        assert_eq!(
            *self.validity.entry(mailbox.to_owned()).or_insert(validity),
            validity,
            "UIDVALIDITY of {mailbox} changed"
        );
        let fact = Fact {
            marker: marker.to_owned(),
            flagged,
            gone: Gone::No,
        };
        if let Some(before) = self.messages.insert((mailbox.to_owned(), uid), fact) {
            panic!("UID {uid} of {mailbox} was given to {before:?} before");
        }
    }
}

/// The numbers after a response code's name: `[APPENDUID 1 2]`.
fn code(line: &str, name: &str) -> Vec<u32> {
    let at = line
        .find(name)
        .unwrap_or_else(|| panic!("no {name} in {line}"))
        + name.len();
    let end = at + line[at..].find(']').unwrap();
    line[at..end]
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

fn work(
    port: u16,
    who: usize,
    mut random: Random,
    ledger: &Mutex<Ledger>,
    acknowledged: &mpsc::Sender<()>,
    serial: &AtomicUsize,
) -> Option<()> {
    let mut client = Client::connect(port)?;
    let own = if who == 0 { "INBOX" } else { "Drafts" };
    client.command(&format!("SELECT {own}"))?;
    loop {
        let chosen = {
            let ledger = ledger.lock().unwrap();
            let mine: Vec<_> = ledger
                .messages
                .iter()
                .filter(|((mailbox, _), fact)| mailbox == own && fact.gone == Gone::No)
                .collect();
            (!mine.is_empty())
                .then(|| mine[random.next(mine.len())])
                .map(|((_, uid), fact)| (*uid, fact.clone()))
        };
        // what another client appended counts for this connection only once it has been told of it
        client.command("NOOP")?;
        match (random.next(6), chosen) {
            (0, Some((uid, _))) => {
                client.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Flagged)"))?;
                if let Some(fact) = ledger
                    .lock()
                    .unwrap()
                    .messages
                    .get_mut(&(own.to_owned(), uid))
                {
                    fact.flagged = true;
                }
            }
            (1, Some((uid, _))) if who != 2 => {
                ledger
                    .lock()
                    .unwrap()
                    .messages
                    .get_mut(&(own.to_owned(), uid))
                    .unwrap()
                    .gone = Gone::Perhaps;
                client.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
                client.command(&format!("UID EXPUNGE {uid}"))?;
                ledger
                    .lock()
                    .unwrap()
                    .messages
                    .get_mut(&(own.to_owned(), uid))
                    .unwrap()
                    .gone = Gone::Yes;
            }
            (2, Some((uid, fact))) => {
                let lines = client.command(&format!("UID COPY {uid} Archive"))?;
                let last = lines.last().unwrap();
                if last.contains("COPYUID") {
                    let numbers = code(last, "COPYUID");
                    ledger.lock().unwrap().place(
                        "Archive",
                        numbers[0],
                        numbers[2],
                        &fact.marker,
                        false,
                    );
                }
            }
            (3, Some((uid, fact))) if who == 0 => {
                ledger
                    .lock()
                    .unwrap()
                    .messages
                    .get_mut(&(own.to_owned(), uid))
                    .unwrap()
                    .gone = Gone::Perhaps;
                let lines = client.command(&format!("UID MOVE {uid} Sent"))?;
                if let Some(line) = lines.iter().find(|line| line.contains("COPYUID")) {
                    let numbers = code(line, "COPYUID");
                    let mut ledger = ledger.lock().unwrap();
                    ledger.place("Sent", numbers[0], numbers[2], &fact.marker, false);
                    ledger
                        .messages
                        .get_mut(&(own.to_owned(), uid))
                        .unwrap()
                        .gone = Gone::Yes;
                }
            }
            _ => {
                let marker = format!("marker-{}", serial.fetch_add(1, Ordering::Relaxed));
                let message = format!(
                    "Subject: {marker}\r\n\r\n{}\r\n",
                    "x".repeat(random.next(20_000))
                );
                let lines = client.command(&format!(
                    "APPEND {own} () {{{}+}}\r\n{message}",
                    message.len()
                ))?;
                let numbers = code(lines.last().unwrap(), "APPENDUID");
                ledger
                    .lock()
                    .unwrap()
                    .place(own, numbers[0], numbers[1], &marker, false);
            }
        }
        acknowledged.send(()).ok()?;
    }
}

/// Compares what is there with the ledger.
fn check(port: u16, ledger: &Mutex<Ledger>, seed: u64) {
    let ledger = ledger.lock().unwrap();
    let mut client = Client::connect(port).expect("a login after the crash");
    for mailbox in ["INBOX", "Drafts", "Archive", "Sent"] {
        let lines = client.command(&format!("EXAMINE {mailbox}")).unwrap();
        if let Some(validity) = ledger.validity.get(mailbox) {
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains(&format!("[UIDVALIDITY {validity}]"))),
                "seed {seed}: {mailbox}: {lines:?}"
            );
        }
        let mut there = BTreeMap::new();
        let mut current: Option<(u32, bool)> = None;
        for line in client
            .command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            .unwrap()
        {
            if let Some(at) = line.find("UID ").filter(|_| line.starts_with("* ")) {
                let digits: String = line[at + 4..]
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                current = Some((digits.parse().unwrap(), line.contains("\\Flagged")));
            } else if let (Some(marker), Some((uid, flagged))) =
                (line.strip_prefix("Subject: "), current)
            {
                there.insert(uid, (marker.to_owned(), flagged));
            }
        }
        for ((_, uid), fact) in ledger
            .messages
            .iter()
            .filter(|((name, _), _)| name == mailbox)
        {
            match (there.get(uid), fact.gone) {
                (Some((marker, flagged)), gone) => {
                    assert_eq!(
                        marker, &fact.marker,
                        "seed {seed}: UID {uid} of {mailbox} belongs to another message"
                    );
                    assert!(
                        gone != Gone::Yes,
                        "seed {seed}: UID {uid} of {mailbox} came back"
                    );
                    assert!(
                        *flagged || !fact.flagged,
                        "seed {seed}: a flag of UID {uid} in {mailbox} was lost"
                    );
                }
                (None, Gone::No) => {
                    panic!("seed {seed}: {fact:?}, UID {uid} of {mailbox}, was lost")
                }
                (None, _) => {}
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill() {
    let seed = std::env::var("RESTANTE_SEED")
        .ok()
        .map_or(0x1234_5678_9abc_def1, |seed| seed.parse().unwrap());
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let serial = Arc::new(AtomicUsize::new(0));
    let ever = AtomicBool::new(false);
    for _ in 0..ROUNDS {
        let server = Server::start(directory.path());
        check(server.port, &ledger, seed);
        let (sender, acknowledged) = mpsc::channel();
        let workers: Vec<_> = (0..CLIENTS)
            .map(|who| {
                let (ledger, sender, serial) =
                    (Arc::clone(&ledger), sender.clone(), Arc::clone(&serial));
                let (port, random) = (
                    server.port,
                    Random(random.0 ^ (who as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                );
                thread::spawn(move || work(port, who, random, &ledger, &sender, &serial))
            })
            .collect();
        drop(sender);
        for _ in 0..10 + random.next(40) {
            ever.fetch_or(acknowledged.recv().is_ok(), Ordering::Relaxed);
        }
        server.kill();
        for worker in workers {
            worker.join().unwrap();
        }
    }
    assert!(
        ever.load(Ordering::Relaxed),
        "no command was ever acknowledged"
    );
    let server = Server::start(directory.path());
    check(server.port, &ledger, seed);
    server.kill();
}
