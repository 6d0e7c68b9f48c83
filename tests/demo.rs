//! `restante demo` as a person runs it: it prints what to type, what is printed works, mail arrives, Ctrl-C leaves nothing behind.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that fails is a test that fails"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use support::client::{Client, TLS13, tls};

/// Held by each test: two demos that look for free ports at the same moment find the same.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A demo that runs.
struct Demo {
    process: Child,
    /// What it printed until clients could connect.
    printed: Vec<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        Self::start_logging_to(arguments, Stdio::null())
    }

    fn start_logging_to(arguments: &[&str], log: Stdio) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_restante"))
            .args(["demo", "--interval", "1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut printed = Vec::new();
        for line in output.lines() {
            printed.push(line.unwrap());
            if printed.last().unwrap().contains("c idle") {
                break;
            }
        }
        Self { process, printed }
    }

    /// The word after another one, in the first line that has it.
    fn word_after(&self, before: &str) -> String {
        let found = self.printed.iter().find_map(|line| {
            let (_, after) = line.split_once(before)?;
            Some(
                after
                    .split_whitespace()
                    .next()?
                    .trim_matches(',')
                    .to_owned(),
            )
        });
        found.unwrap_or_else(|| panic!("no {before:?} in {:#?}", self.printed))
    }

    fn address(&self, name: &str) -> SocketAddr {
        format!("127.0.0.1:{}", self.word_after(name))
            .parse()
            .unwrap()
    }

    fn directory(&self) -> PathBuf {
        self.word_after("everything lies in ").into()
    }

    /// Ctrl-C.
    fn interrupt(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Demo {
    /// A test that fails leaves no server behind.
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Reads up to and including a line that begins like this, and returns it.
fn line_with(client: &mut Client, beginning: &str) -> String {
    loop {
        let line = client.line();
        if line.starts_with(beginning) {
            return line;
        }
    }
}

#[test]
fn a_log_that_nobody_takes_hinders_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    // the reader of the log has gone; a full disk below it is the same
    let (reader, log) = std::io::pipe().unwrap();
    drop(reader);
    let demo = Demo::start_logging_to(&[], log.into());
    let address = demo.address("IMAPS ");
    let mut client = Client::tls(address, &tls(TLS13, &[]), "localhost").unwrap();
    line_with(&mut client, "* OK");
    client.send("a login anna wrong\r\nb noop\r\n");
    line_with(&mut client, "a NO");
    line_with(&mut client, "b OK");
    demo.interrupt();
}

#[test]
fn both_protocols_serve_and_mail_arrives() {
    let _alone = ONE_AT_A_TIME.lock();
    let demo = Demo::start(&[]);
    let password = demo.word_after("user anna     password ");
    let config = tls(TLS13, &[]);

    let mut imap = Client::tls(demo.address("IMAPS "), &config, "localhost").unwrap();
    line_with(&mut imap, "* OK");
    imap.send(&format!(
        "a login anna {password}\r\nb select inbox\r\nc idle\r\n"
    ));
    line_with(&mut imap, "a OK");
    let exists = |line: &str| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
    let mut count = 0;
    // SELECT tells how many there are, IDLE each one that arrives.
    for expected in ["b OK", "+ "] {
        loop {
            let line = imap.line();
            if line.ends_with("EXISTS") {
                count = exists(&line);
            }
            if line.starts_with(expected) {
                break;
            }
        }
    }
    assert!(count >= 10, "{count}");
    loop {
        let line = line_with(&mut imap, "* ");
        if line.ends_with("EXISTS") {
            assert!(exists(&line) > count);
            break;
        }
    }
    imap.send("DONE\r\nd logout\r\n");
    line_with(&mut imap, "* BYE");

    let mut pop3 = Client::tls(demo.address("POP3S "), &config, "localhost").unwrap();
    assert!(pop3.line().starts_with("+OK"));
    assert!(pop3.ask("USER anna").starts_with("+OK"));
    assert!(pop3.ask(&format!("PASS {password}")).starts_with("+OK"));
    assert!(pop3.ask("RETR 1").starts_with("+OK"));
    while pop3.line() != "." {}
    assert!(pop3.ask("QUIT").starts_with("+OK"));

    let directory = demo.directory();
    assert!(directory.is_dir());
    demo.interrupt();
    assert!(!directory.exists(), "{}", directory.display());
}

#[test]
fn a_directory_that_was_named_is_kept_and_used_again() {
    let _alone = ONE_AT_A_TIME.lock();
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("demo");
    let arguments = ["--dir", directory.to_str().unwrap()];
    let first = Demo::start(&arguments);
    assert_eq!(first.directory(), directory);
    first.interrupt();
    assert!(directory.join("restante.toml").is_file());

    let second = Demo::start(&arguments);
    let password = second.word_after("user bruno    password ");
    let mut client = Client::tls(second.address("POP3S "), &tls(TLS13, &[]), "localhost").unwrap();
    client.line();
    assert!(client.ask("USER bruno").starts_with("+OK"));
    assert!(client.ask(&format!("PASS {password}")).starts_with("+OK"));
    second.interrupt();
}

#[test]
fn sessions_end_when_their_account_or_the_server_does() {
    let _alone = ONE_AT_A_TIME.lock();
    let parent = tempfile::tempdir().unwrap();
    let demo = Demo::start(&["--dir", parent.path().to_str().unwrap()]);
    let config = tls(TLS13, &[]);
    let mut imap = Client::tls(demo.address("IMAPS "), &config, "localhost").unwrap();
    let anna = demo.word_after("user anna     password ");
    imap.send(&format!(
        "a login anna {anna}\r\nb select inbox\r\nc idle\r\n"
    ));
    line_with(&mut imap, "+ ");
    let mut pop3 = Client::tls(demo.address("POP3S "), &config, "localhost").unwrap();
    let bruno = demo.word_after("user bruno    password ");
    pop3.send(&format!("USER bruno\r\nPASS {bruno}\r\nSTAT\r\n"));
    for _greeting_user_pass_stat in 0..4 {
        assert!(pop3.line().starts_with("+OK"));
    }

    let disabled = Command::new(env!("CARGO_BIN_EXE_restante"))
        .args(["user", "disable", "anna", "--config"])
        .arg(parent.path().join("restante.toml"))
        .status()
        .unwrap();
    assert!(disabled.success());
    line_with(&mut imap, "* BYE");
    assert_eq!(imap.rest(), "");

    assert!(pop3.ask("NOOP").starts_with("+OK"));
    demo.interrupt();
    // the index was closed in order: it is believed after the machine's next start, too
    let databases: Vec<PathBuf> = std::fs::read_dir(parent.path().join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "sqlite"))
        .collect();
    assert_eq!(databases.len(), 2);
    for database in databases {
        let written_in: String = rusqlite::Connection::open(database)
            .unwrap()
            .query_row("SELECT boot FROM about", [], |row| row.get(0))
            .unwrap();
        assert_eq!(written_in, "");
    }
    assert!(pop3.line().starts_with("-ERR [SYS/TEMP]"));
    assert_eq!(pop3.rest(), "");
}
