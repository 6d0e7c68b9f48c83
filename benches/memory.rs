//! How much memory a large mailbox takes: octets for each message while it is opened, fetched and searched.
//!
//! ```sh
//! cargo bench --bench memory -- [--messages N] [--root DIR]
//! ```
//!
//! A Maildir with so many messages (a million) is made of links to a few files, opened through an IMAP session as a client does it, with an
//! index beside it as `serve` has one. After each command it is printed, for each message: what is allocated, the same without the name
//! of its file, the most that was allocated meanwhile, and the resident memory of this process, which also holds what the allocator has not
//! given back yet. `design.md` asks for at most 48 octets a message besides its name.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    clippy::let_underscore_must_use,
    dead_code,
    reason = "a program for the terminal, ended by the first error"
)]

#[path = "../tests/support/shell.rs"]
mod shell;

use peak_alloc::PeakAlloc;
use restante::imap::{Services, Session, Settings};
use restante::index::sqlite::Databases;
use restante::protocol::{Output, Peer, Protocol, Step, TlsInfo};
use restante::store::{self, Store};
use shell::{Clock, TestAuthenticator, TestHost};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Octets a message may take besides its name.
const TARGET_OCTETS: u64 = 48;

/// Names that one file may have: below the limit of ext4.
const LINKS: u64 = 60_000;

fn main() {
    let mut messages = 1_000_000;
    let mut root = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--messages" => messages = arguments.next().unwrap().parse().unwrap(),
            "--root" => root = arguments.next().map(PathBuf::from),
            // cargo adds it
            "--bench" => {}
            _ => panic!("unknown argument {argument}"),
        }
    }
    let root = root.unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(root).unwrap();
    let spool = directory.path().join("Maildir");
    let name_octets = generate(&spool, messages).unwrap();
    let settings = store::Settings {
        spool: spool.to_string_lossy().into_owned(),
        ..store::Settings::default()
    };
    let index = Databases::new(&directory.path().join("index")).unwrap();
    let store = Store::with_index(settings, Some(Arc::new(index)));
    let mut client = Client::new(store);
    client.command("a LOGIN anna secret");
    let (allocated, resident) = (ALLOCATOR.current_usage() as u64, resident_octets());
    println!("{messages} messages with names of {name_octets} octets");
    println!(
        "{:<28} {:>13} {:>9} {:>8} {:>9}",
        "octets a message", "with its name", "besides", "at most", "resident"
    );
    for command in [
        "b SELECT INBOX",
        "c FETCH 1:* (UID FLAGS)",
        "d SEARCH UNSEEN",
        "e UID SEARCH RETURN (COUNT) UID 1:* SEEN",
        "f NOOP",
    ] {
        ALLOCATOR.reset_peak_usage();
        client.command(command);
        let each = |octets: u64, before: u64| octets.saturating_sub(before) / messages;
        let now = each(ALLOCATOR.current_usage() as u64, allocated);
        println!(
            "{:<28} {:>13} {:>9} {:>8} {:>9}",
            command.split_at(2).1.chars().take(28).collect::<String>(),
            now,
            now.saturating_sub(name_octets),
            each(ALLOCATOR.peak_usage() as u64, allocated),
            each(resident_octets(), resident),
        );
    }
    println!("target: {TARGET_OCTETS} octets besides the name");
}

/// Makes a Maildir with so many messages; returns the octets of a file's name.
fn generate(spool: &Path, messages: u64) -> io::Result<u64> {
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(spool.join(name))?;
    }
    let mut octets = 0;
    let first = |number: u64| spool.join("tmp").join(format!("source{}", number / LINKS));
    for number in 0..messages {
        if number % LINKS == 0 {
            fs::write(first(number), "From: a@example.org\n\ntext\n")?;
        }
        let (second, micro) = (1_700_000_000 + number * 60, number * 7919 % 1_000_000);
        let flags = if number % 3 == 0 { "" } else { "S" };
        let name = format!("{second}.M{micro:06}P4711.mx1.example.org,S=26,W=29:2,{flags}");
        octets += name.len() as u64;
        fs::hard_link(first(number), spool.join("cur").join(name))?;
    }
    for number in (0..messages).step_by(LINKS as usize) {
        fs::remove_file(first(number))?;
    }
    Ok(octets / messages.max(1))
}

/// Resident memory of this process.
fn resident_octets() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() * 1024
}

/// A client that listens only for the end of its command.
struct Client {
    session: Session,
    clock: Clock,
}

impl Client {
    fn new(store: Store) -> Self {
        let services = Services {
            backend: Arc::new(store),
            authenticator: Arc::new(TestAuthenticator::default()),
            host: TestHost::at(1_700_000_000),
        };
        let peer = Peer {
            id: 1,
            remote: ([127, 0, 0, 1], 1).into(),
            local: ([127, 0, 0, 1], 993).into(),
            tls: Some(TlsInfo::default()),
            may_start_tls: false,
        };
        let mut client = Self {
            session: Session::new(Arc::new(Settings::default()), services, peer),
            clock: Clock::new(),
        };
        client.run();
        client
    }

    fn command(&mut self, command: &str) {
        self.session.feed(format!("{command}\r\n").as_bytes());
        let last = String::from_utf8_lossy(&self.run()).into_owned();
        let end = format!("{} OK", &command[..1]);
        assert!(last.lines().any(|line| line.starts_with(&end)), "{last}");
    }

    /// Steps until the session waits; returns the last piece that it said.
    fn run(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        let mut output = Output::default();
        loop {
            let step = self.session.step(self.clock.now(), &mut output);
            if matches!(step, Step::Work(_)) {
                self.session.work(&mut output);
            }
            if !output.is_empty() {
                last = std::mem::take(&mut output).into_octets();
            }
            match step {
                Step::Write | Step::Work(_) => {}
                Step::Wait(_) => return last,
                Step::StartTls | Step::StartCompression | Step::StopCompression | Step::Close => {
                    panic!("the session ended")
                }
            }
        }
    }
}
