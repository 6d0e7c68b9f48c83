//! What transcripts cannot show of POP3 sessions: large answers in pieces, trouble in the middle of them, many messages, any input.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "support/shell.rs"]
#[expect(dead_code, reason = "each test uses its part of it")]
mod shell;

use proptest::prelude::*;
use restante::mailbox::backend::Error;
use restante::mailbox::memory::{Mail, Memory, START};
use restante::pop3::{Services, Session, Settings};
use restante::protocol::{HIGH_WATER_OCTETS, Host, Interrupt, Output, Protocol, Step};
use shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use std::sync::Arc;

/// Output that a session may hold at once: the mark, and what one piece adds.
const MAX_OUTPUT_OCTETS: usize = HIGH_WATER_OCTETS + 256 * 1024;

fn session(memory: &Memory, host: &Arc<TestHost>, settings: Settings) -> Box<Session> {
    let services = Services {
        backend: Arc::new(memory.clone()),
        authenticator: Arc::new(TestAuthenticator::default()),
        host: host.clone(),
        recent_logins: Arc::default(),
    };
    Box::new(Session::new(
        Arc::new(settings),
        services,
        Connection::peer(1, true),
    ))
}

/// A client that takes what it is sent in pieces, and looks at each.
struct Client {
    session: Box<Session>,
    host: Arc<TestHost>,
    clock: Clock,
    /// Everything heard so far.
    heard: Vec<u8>,
    closed: bool,
}

/// What a client lets happen.
#[derive(PartialEq, Eq)]
enum Until {
    /// The session waits.
    Idle,
    /// Something has been sent that is not all.
    FirstPiece,
}

impl Client {
    fn connect(memory: &Memory) -> Self {
        let host = TestHost::at(START);
        let mut client = Self {
            session: session(memory, &host, Settings::default()),
            host,
            clock: Clock::new(),
            heard: Vec::new(),
            closed: false,
        };
        client.run(&Until::Idle);
        client
    }

    fn log_in(memory: &Memory) -> Self {
        let mut client = Self::connect(memory);
        client.say("USER anna\r\nPASS secret\r\n");
        assert!(client.heard.starts_with(b"+OK"));
        client.heard.clear();
        client
    }

    fn say(&mut self, text: &str) -> String {
        self.session.feed(text.as_bytes());
        self.heard.clear();
        self.run(&Until::Idle);
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    fn run(&mut self, until: &Until) {
        let mut output = Output::default();
        loop {
            let step = self.session.step(self.clock.now(), &mut output);
            assert!(output.len() <= MAX_OUTPUT_OCTETS, "{}", output.len());
            if let Step::Work(_) = step {
                self.session.work(&mut output);
                assert!(output.len() <= MAX_OUTPUT_OCTETS, "{}", output.len());
                continue;
            }
            self.heard.extend(std::mem::take(&mut output).into_octets());
            match step {
                Step::Write if *until == Until::FirstPiece => return,
                Step::Write => {}
                Step::Close => {
                    self.closed = true;
                    return;
                }
                Step::Wait(_) => return,
                Step::Work(_) | Step::StartTls | Step::StartCompression | Step::StopCompression => {
                    unreachable!("not here")
                }
            }
        }
    }
}

/// A message of many lines, some of which begin with dots.
fn large_message(lines: usize) -> Vec<u8> {
    let mut message = b"Subject: large\n\n".to_vec();
    for number in 0..lines {
        let dots = ".".repeat(number % 4);
        message.extend_from_slice(format!("{dots}line {number}\n").as_bytes());
    }
    message
}

/// What RETR sends of a message after its status line.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(text);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// The octets after the status line.
fn after_status(heard: &[u8]) -> &[u8] {
    let end = heard.iter().position(|octet| *octet == b'\n').unwrap();
    &heard[end + 1..]
}

#[test]
fn a_large_message_goes_out_in_pieces() {
    let memory = Memory::new();
    let message = large_message(200_000);
    memory.inbox("anna").add(Mail::new(message.clone()));
    for read_octets in [usize::MAX, 4093] {
        memory.limit_reads(read_octets);
        let mut client = Client::log_in(&memory);
        client.session.feed(b"RETR 1\r\nNOOP\r\n");
        client.run(&Until::Idle);
        let mut expected = on_the_wire(&message);
        expected.extend_from_slice(b"+OK nothing done\r\n");
        assert!(client.heard.starts_with(b"+OK "));
        assert!(
            after_status(&client.heard) == expected,
            "with {read_octets}"
        );
        assert_eq!(client.host.tally().totals()[1], 1);
    }
}

#[test]
fn what_breaks_in_the_middle_is_not_taken_for_the_end() {
    let memory = Memory::new();
    memory.inbox("anna").add(Mail::new(large_message(200_000)));
    type Trouble = fn(&mut Client, &Memory);
    let troubles: [(&str, Trouble); 3] = [
        ("a read fails", |client, memory| {
            memory.fail_after(1, Error::Unavailable);
            client.run(&Until::Idle);
        }),
        ("the volume takes no work", |client, _| {
            let mut output = Output::default();
            match client.session.step(client.clock.now(), &mut output) {
                Step::Work(work) => assert!(work.if_stuck.is_empty()),
                other => panic!("{other:?}"),
            }
            client.session.work_refused(&mut output);
            client.heard.extend(output.into_octets());
            client.run(&Until::Idle);
        }),
        ("the server stops", |client, _| {
            let mut output = Output::default();
            client.session.interrupt(Interrupt::Shutdown, &mut output);
            assert!(output.is_empty());
            client.run(&Until::Idle);
        }),
    ];
    for (name, trouble) in troubles {
        let mut client = Client::log_in(&memory);
        client.session.feed(b"RETR 1\r\nNOOP\r\n");
        client.run(&Until::FirstPiece);
        assert!(!client.closed && client.heard.len() >= HIGH_WATER_OCTETS);
        trouble(&mut client, &memory);
        assert!(client.closed, "{name}");
        let heard = String::from_utf8(client.heard).unwrap();
        assert!(
            !heard.contains("\r\n.\r\n"),
            "{name}: the answer has an end"
        );
        assert!(!heard.contains("-ERR"), "{name}: something else was said");
        assert_eq!(client.host.tally().totals()[1], 0);
    }
}

#[test]
fn a_stuck_disk_is_told_before_an_answer_begins() {
    let memory = Memory::new();
    memory.inbox("anna").add(Mail::new("text\n"));
    let mut client = Client::log_in(&memory);
    for command in ["RETR 1\r\n", "UIDL\r\n", "DELE 1\r\nQUIT\r\n"] {
        client.session.feed(command.as_bytes());
        let mut output = Output::default();
        let Step::Work(work) = client.session.step(client.clock.now(), &mut output) else {
            panic!("{command:?} touches the disk");
        };
        assert_eq!(&*work.account, "anna");
        assert!(work.place.ends_with("anna"));
        assert!(
            work.if_stuck.starts_with(b"-ERR [SYS/TEMP] "),
            "{command:?}"
        );
        client.session.work(&mut output);
    }
}

#[test]
fn many_messages_are_listed_in_pieces_and_quickly() {
    const MESSAGES: usize = 60_000;
    let memory = Memory::new();
    let inbox = memory.inbox("anna");
    for number in 0..MESSAGES {
        inbox.deliver(Mail::new(format!("n: {number}\n\n")));
    }
    let mut client = Client::log_in(&memory);
    assert!(
        client
            .say("STAT\r\n")
            .starts_with(&format!("+OK {MESSAGES} "))
    );
    for command in ["LIST\r\n", "UIDL\r\n"] {
        let answer = client.say(command);
        let lines: Vec<&str> = answer.lines().collect();
        assert_eq!(lines.len(), MESSAGES + 2);
        let numbers = lines.iter().skip(1).take(MESSAGES).enumerate();
        for (index, line) in numbers {
            assert!(line.starts_with(&format!("{} ", index + 1)), "{line}");
        }
        assert_eq!(lines.last(), Some(&"."));
    }
    // a client that reads nothing has the session wait in the middle, and then nothing may be said
    client.session.feed(b"UIDL\r\n");
    client.run(&Until::FirstPiece);
    let mut output = Output::default();
    client.session.interrupt(Interrupt::Shutdown, &mut output);
    assert!(output.is_empty());
}

#[test]
fn all_that_is_marked_is_removed_by_quit() {
    const MESSAGES: usize = 2500;
    let memory = Memory::new();
    for _ in 0..MESSAGES {
        memory.inbox("anna").add(Mail::new("x\n"));
    }
    let mut client = Client::log_in(&memory);
    let commands: String = (1..MESSAGES).map(|n| format!("DELE {n}\r\n")).collect();
    client.say(&commands);
    let answer = client.say("QUIT\r\n");
    assert!(answer.starts_with("+OK 2499 messages deleted"), "{answer}");
    assert!(client.closed);
    assert_eq!(client.host.tally().totals()[2], 2499);
    assert_eq!(Client::log_in(&memory).say("STAT\r\n"), "+OK 1 3\r\n");
}

/// Everything that a session says to this input, cut like this.
fn conversation(mails: &[Vec<u8>], input: &[u8], cut: Cut) -> Vec<u8> {
    let memory = Memory::new();
    for mail in mails {
        memory.inbox("anna").deliver(Mail::new(mail.clone()));
    }
    let host = TestHost::at(START);
    let session = session(&memory, &host, Settings::default());
    let mut connection = Connection::new(session, host, cut);
    connection.send(input, Clock::new().now());
    connection.output.into_octets()
}

fn line() -> impl Strategy<Value = String> {
    let commands = vec![
        "STAT",
        "LIST",
        "UIDL",
        "NOOP",
        "RSET",
        "CAPA",
        "LANG",
        "LANG de",
        "UTF8",
        "LIST 1",
        "UIDL 2",
        "RETR 1",
        "RETR 2",
        "RETR 9",
        "TOP 1 1",
        "TOP 2 0",
        "DELE 1",
        "DELE 2",
        "FOO",
        "USER anna",
        "PASS secret",
        "AUTH",
        "AUTH PLAIN",
        "QUIT",
    ];
    prop_oneof![9 => prop::sample::select(commands).prop_map(str::to_owned), 1 => "[ -~]{0,9}"]
}

fn mail() -> impl Strategy<Value = Vec<u8>> {
    let octets = prop::sample::select(b".a\r\n\n\0:\xe9".to_vec());
    prop::collection::vec(octets, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However the input comes, the answers are the same.
    #[test]
    fn cuts_do_not_matter(
        mails in prop::collection::vec(mail(), 0..3),
        lines in prop::collection::vec(line(), 0..12),
    ) {
        let input = format!("USER anna\r\nPASS secret\r\n{}\r\n", lines.join("\r\n"));
        let whole = conversation(&mails, input.as_bytes(), Cut::Whole);
        for cut in [Cut::Lines, Cut::Octets] {
            let other = conversation(&mails, input.as_bytes(), cut);
            prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&other));
        }
    }

    /// Whatever comes, something sensible is said.
    #[test]
    fn any_input_is_borne(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let said = conversation(&[], &input, Cut::Whole);
        prop_assert!(said.starts_with(b"+OK "));
        prop_assert!(said.ends_with(b"\r\n"));
    }

    /// LIST tells the octets that RETR sends, without doubled dots, the added line end and the last dot.
    #[test]
    fn sizes_are_exact(mail in mail()) {
        let memory = Memory::new();
        memory.inbox("anna").deliver(Mail::new(mail.clone()));
        let mut client = Client::log_in(&memory);
        let listing = client.say("LIST 1\r\n");
        let listed: usize = listing.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        client.say("RETR 1\r\n");
        let status = format!("+OK {listed} octets\r\n");
        prop_assert!(client.heard.starts_with(status.as_bytes()));
        let sent = after_status(&client.heard);
        let mut octets = 0;
        for line in sent.split_inclusive(|octet| *octet == b'\n') {
            prop_assert!(line.ends_with(b"\r\n"));
            octets += line.len() - usize::from(line.starts_with(b".."));
        }
        let lacks_end = !mail.is_empty() && !mail.ends_with(b"\n");
        prop_assert_eq!(octets - b".\r\n".len() - if lacks_end { 2 } else { 0 }, listed);
    }
}
