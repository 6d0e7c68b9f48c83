//! Plays the conversations in `tests/transcripts/pop3`, each three times: with commands handed over whole, line by line, octet by octet.
//!
//! The notation is that of `transcripts.rs` as far as it fits. A head of `key: value` lines says how things stand at the start:
//!
//! | key | value | default |
//! |---|---|---|
//! | `connections` | how many | 1 |
//! | `state` | `authorization` or `transaction` | `transaction` |
//! | `messages` | how many lie in INBOX: number n has n lines of body and `n: n` in its header | 0 |
//! | `set` | name and value of a setting; may be repeated | none |
//! | `tls` | `yes` or `no` | `yes` |
//!
//! Then come steps, each with the number of a connection before it (1 if none), and after it the lines expected of it:
//!
//! | step | what happens |
//! |---|---|
//! | `ok` or `err`, perhaps `[CODE]`, then a line | it is sent, and the first line that comes back must be `+OK` or `-ERR` with just this code |
//! | the same without a line | the first line that has come back must be so |
//! | `begin` and a line, `send {{{` | sent as it stands |
//! | `poll` | nothing is sent |
//! | `closed`, `drop` | the server must have hung up; the client does |
//! | `deliver {{{`, `vanish UID` | an MTA brings, another program removes a message |
//! | `stored UID ID`, `order UID N`, `file UID NAME` | what another server had noted of a message |
//! | `holds UID…` | these messages are in INBOX, and no others |
//! | `seen UID…` | these are `\Seen`, and no others |
//! | `fail N KIND`, `refuse yes` or `no` | after N operations of the store, one fails; the volume takes no work |
//! | `hold`, `decide`, `admit TEXT`, `time SECONDS`, `interrupt REASON` | as there |
//!
//! Expectations: `= line` (after the one before), `! line` (does not come), `!*` (no other line). In lines, `$name` is a word that is
//! bound by its first use and then compared, `$` is any word, and `...` is the rest of the line.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "support/script.rs"]
mod script;
#[path = "support/shell.rs"]
mod shell;

use restante::mailbox::backend::{Error, Mailbox};
use restante::mailbox::flag::SystemFlag;
use restante::mailbox::id::Uid;
use restante::mailbox::memory::{Mail, Memory, Pop3Fields, START};
use restante::pop3::{RecentLogins, Services, Session, Settings};
use restante::protocol::Interrupt;
use script::{Kind, Played, Script, Step};
use shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn pop3_transcripts_play() {
    script::play_all("pop3", |script, cut| {
        World::new(script, cut).and_then(|mut world| world.play(script))
    });
}

/// Everything that a transcript plays in.
struct World {
    memory: Memory,
    settings: Arc<Settings>,
    authenticator: Arc<TestAuthenticator>,
    recent_logins: Arc<RecentLogins>,
    clock: Clock,
    hosts: Vec<Arc<TestHost>>,
    /// None: the client has hung up.
    clients: Vec<Option<Connection>>,
    /// What each client has heard and no step has looked at.
    heard: Vec<String>,
    variables: HashMap<String, String>,
}

impl World {
    fn new(script: &Script, cut: Cut) -> Result<Self, String> {
        let head = |key: &str, default: &str| {
            let found = script.head.iter().find(|(known, _)| known == key);
            found.map_or(default, |(_, value)| value).to_owned()
        };
        let mut settings = Settings::default();
        for (key, value) in &script.head {
            match key.as_str() {
                "set" => set(&mut settings, value)?,
                "connections" | "state" | "messages" | "tls" => {}
                other => return Err(format!("unknown key {other} in the head")),
            }
        }
        let memory = Memory::new();
        for number in 1..=head("messages", "0").parse::<usize>().unwrap() {
            let body = "body\r\n".repeat(number);
            let mail = format!("n: {number}\r\n\r\n{body}");
            memory.inbox("anna").add(Mail::new(mail));
        }
        let mut world = Self {
            memory,
            settings: Arc::new(settings),
            authenticator: Arc::default(),
            recent_logins: Arc::default(),
            clock: Clock::new(),
            hosts: Vec::new(),
            clients: Vec::new(),
            heard: Vec::new(),
            variables: HashMap::new(),
        };
        for number in 0..head("connections", "1").parse::<u64>().unwrap() {
            world.connect(number, head("tls", "yes") == "yes", cut);
        }
        if head("state", "transaction") == "transaction" {
            for client in 0..world.clients.len() {
                world.send(client, b"USER anna\r\nPASS secret\r\n")?;
            }
            world.settle();
            for heard in &mut world.heard {
                assert!(heard.starts_with("+OK"), "{heard}");
                heard.clear();
            }
        }
        Ok(world)
    }

    fn connect(&mut self, number: u64, tls: bool, cut: Cut) {
        let host = TestHost::at(START);
        let services = Services {
            backend: Arc::new(self.memory.clone()),
            authenticator: self.authenticator.clone(),
            host: host.clone(),
            recent_logins: Arc::clone(&self.recent_logins),
        };
        let peer = Connection::peer(number, tls);
        let session = Box::new(Session::new(Arc::clone(&self.settings), services, peer));
        let mut connection = Connection::new(session, host.clone(), cut);
        connection.run(self.clock.now());
        self.hosts.push(host);
        self.clients.push(Some(connection));
        self.heard.push(String::new());
    }

    fn play(&mut self, script: &Script) -> Played {
        for step in &script.steps {
            self.play_step(step)
                .map_err(|failure| format!("line {}: {failure}", step.line))?;
        }
        Ok(())
    }

    fn play_step(&mut self, step: &Step) -> Played {
        let client = step.connection;
        let block = step.text.blocks.first().cloned().unwrap_or_default();
        let line = step.text.line.trim_end_matches(['\u{1}', '\u{2}']);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ok" | "err" => {
                let (code, command) = split_code(rest);
                if !command.is_empty() {
                    self.send(client, format!("{command}\r\n").as_bytes())?;
                }
                self.settle();
                self.check_status(client, word, code)?;
            }
            "begin" => self.send(client, format!("{rest}\r\n").as_bytes())?,
            "send" => self.send(client, &block)?,
            "poll" => {}
            "closed" => {
                self.settle();
                if !self.client(client)?.closed {
                    return Err("the connection is open".into());
                }
            }
            "drop" => self.clients[client] = None,
            other => self.happen(client, other, rest, block)?,
        }
        self.settle();
        let heard = std::mem::take(&mut self.heard[client]);
        self.check(step, &heard)
            .map_err(|failure| format!("{failure}, but:\n{heard}"))
    }

    /// What others than clients do.
    fn happen(&mut self, client: usize, word: &str, rest: &str, block: Vec<u8>) -> Played {
        let words: Vec<&str> = rest.split(' ').filter(|word| !word.is_empty()).collect();
        let inbox = self.memory.inbox("anna");
        match (word, words.as_slice()) {
            ("deliver", _) => inbox.deliver(Mail::new(block)),
            ("vanish", [number]) => inbox.vanish(uid(number)),
            ("stored" | "order" | "file", [number, value]) => {
                inbox.set_pop3(uid(number), noted(word, value));
            }
            ("holds", numbers) => {
                let there: Vec<String> = self.uids(|_| true);
                if there != *numbers {
                    return Err(format!("INBOX holds {there:?}"));
                }
            }
            ("seen", numbers) => {
                let seen = self.uids(|flags| flags.has(SystemFlag::Seen));
                if seen != *numbers {
                    return Err(format!("seen are {seen:?}"));
                }
            }
            ("fail", [operations, kind]) => {
                let error = match *kind {
                    "damaged" => Error::Damaged("r1".into()),
                    "unavailable" => Error::Unavailable,
                    other => return Err(format!("unknown failure {other}")),
                };
                self.memory.fail_after(operations.parse().unwrap(), error);
            }
            ("refuse", [answer]) => self.client(client)?.refuses_work = *answer == "yes",
            ("hold", _) => self.authenticator.waits.store(true, Ordering::SeqCst),
            ("decide", _) => self.authenticator.decide(),
            ("admit", _) => {
                *self.hosts[client].refusal.lock().unwrap() =
                    (!rest.is_empty()).then(|| rest.to_owned());
            }
            ("time", [secs]) => {
                let time = Duration::from_secs_f64(secs.parse().unwrap());
                self.clock.pass(time);
                for client in self.clients.iter_mut().flatten() {
                    client.run(self.clock.now());
                }
            }
            ("interrupt", [reason]) => {
                let reason = interruption(reason)?;
                self.client(client)?.interrupt(reason);
            }
            _ => return Err(format!("unknown step {word}")),
        }
        Ok(())
    }

    /// UIDs of the messages in INBOX whose flags are as wanted.
    fn uids(&self, wanted: impl Fn(restante::mailbox::flag::Flags) -> bool) -> Vec<String> {
        let inbox: Arc<dyn Mailbox> = self.memory.inbox("anna");
        let messages = inbox.read();
        let uids = messages.uids().iter();
        uids.filter(|uid| messages.flags(**uid).is_some_and(&wanted))
            .map(Uid::to_string)
            .collect()
    }

    fn client(&mut self, client: usize) -> Result<&mut Connection, String> {
        self.clients
            .get_mut(client)
            .and_then(Option::as_mut)
            .ok_or_else(|| "no such connection".to_owned())
    }

    fn send(&mut self, client: usize, octets: &[u8]) -> Played {
        let now = self.clock.now();
        self.client(client)?.send(octets, now);
        Ok(())
    }

    /// Lets everybody who was woken look, until nobody is, and takes what was said.
    fn settle(&mut self) {
        let now = self.clock.now();
        while let Some(client) = self
            .clients
            .iter_mut()
            .flatten()
            .find(|client| client.is_woken())
        {
            client.run(now);
        }
        for (client, heard) in self.clients.iter_mut().zip(&mut self.heard) {
            if let Some(client) = client {
                let output = std::mem::take(&mut client.output);
                heard.push_str(&String::from_utf8_lossy(&output.into_octets()));
            }
        }
    }

    /// The first line heard, or the last one after the answer to commands sent before, must be as said.
    fn check_status(&self, client: usize, result: &str, code: Option<&str>) -> Played {
        let heard = &self.heard[client];
        let line = heard.lines().next().unwrap_or_default();
        let status = if result == "ok" { "+OK" } else { "-ERR" };
        let text = line.strip_prefix(status).and_then(|t| t.strip_prefix(' '));
        let Some(text) = text else {
            return Err(format!("no {status} comes, but:\n{heard}"));
        };
        let has = text
            .strip_prefix('[')
            .and_then(|text| Some(text.split_once(']')?.0));
        if has == code {
            Ok(())
        } else {
            Err(format!("the code is {has:?}:\n{heard}"))
        }
    }

    /// The lines heard must be as expected.
    fn check(&mut self, step: &Step, heard: &str) -> Played {
        if !heard
            .split_inclusive('\n')
            .all(|line| line.ends_with("\r\n"))
        {
            return Err("every line ends with CRLF".into());
        }
        let lines: Vec<&str> = heard.split("\r\n").collect();
        let mut next = 0;
        let mut expected = 0;
        for expectation in &step.expectations {
            let wanted = expectation.text.line.as_str();
            let failure = |text: &str| Err(format!("line {}: {text}", expectation.line));
            let rest = lines.get(next..).unwrap_or_default();
            match expectation.kind {
                Kind::Line => {
                    let found = rest.iter().position(|line| self.matches(wanted, line));
                    let Some(at) = found else {
                        return failure(&format!("{wanted:?} does not come"));
                    };
                    next += at + 1;
                    expected += 1;
                }
                Kind::Never => {
                    if lines.iter().any(|line| self.matches(wanted, line)) {
                        return failure(&format!("{wanted:?} comes"));
                    }
                }
                Kind::NothingElse => {
                    if expected != lines.len() - 1 {
                        return failure("other lines come");
                    }
                }
                Kind::Untagged | Kind::Then | Kind::Continuation => {
                    return failure("no such expectation in POP3");
                }
            }
        }
        Ok(())
    }

    /// True if a line is as wanted; binds variables.
    fn matches(&mut self, wanted: &str, line: &str) -> bool {
        let mut bound = Vec::new();
        let mut words = line.split(' ');
        for want in wanted.split(' ') {
            if want == "..." {
                break;
            }
            let Some(word) = words.next() else {
                return false;
            };
            match want.strip_prefix('$') {
                None if want != word => return false,
                None | Some("") => {}
                Some(name) => match self.variables.get(name) {
                    Some(value) if value != word => return false,
                    Some(_) => {}
                    None => bound.push((name.to_owned(), word.to_owned())),
                },
            }
        }
        let whole = wanted.ends_with("...") || words.next().is_none();
        if whole {
            self.variables.extend(bound);
        }
        whole
    }
}

/// `[CODE] rest`, or the rest alone.
fn split_code(text: &str) -> (Option<&str>, &str) {
    match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((code, rest)) => (Some(code), rest.trim_start()),
        None => (None, text),
    }
}

/// What another server had noted of a message.
fn noted(word: &str, value: &str) -> Pop3Fields {
    Pop3Fields {
        unique_id: (word == "stored").then(|| value.to_owned()),
        order: (word == "order").then(|| value.parse().unwrap()),
        base_name: (word == "file").then(|| value.to_owned()),
    }
}

fn interruption(reason: &str) -> Result<Interrupt, String> {
    match reason {
        "full" => Ok(Interrupt::Full),
        "shutdown" => Ok(Interrupt::Shutdown),
        "timeout" => Ok(Interrupt::Timeout),
        "displaced" => Ok(Interrupt::Displaced),
        "revoked" => Ok(Interrupt::Revoked),
        other => Err(format!("unknown reason {other}")),
    }
}

fn uid(text: &str) -> Uid {
    Uid::new(text.parse().unwrap()).unwrap()
}

/// Changes a setting.
fn set(settings: &mut Settings, text: &str) -> Played {
    let (name, value) = text.split_once(' ').ok_or("a setting has a value")?;
    let number = || value.parse::<u32>().map_err(|error| error.to_string());
    let seconds = || number().map(|secs| Duration::from_secs(secs.into()));
    match name {
        "allow_plaintext" => settings.allow_plaintext = value == "true",
        "exclusive" => settings.exclusive = value == "true",
        "lock_patience" => settings.lock_patience = seconds()?,
        "mark_seen" => settings.mark_seen = value == "true",
        "unique_id_format" => {
            settings.unique_id_format = value.parse().map_err(|e| format!("{e}"))?;
        }
        "login_delay" => settings.login_delay = seconds()?,
        "expire_days" => settings.expire_days = Some(number()?),
        "language" => settings.language = value.parse().map_err(|e| format!("{e}"))?,
        "refuse_utf8_headers" => settings.refuse_utf8_headers = value == "true",
        "max_bad_commands" => settings.max_bad_commands = number()?,
        "max_failed_logins" => settings.max_failed_logins = number()?,
        other => return Err(format!("unknown setting {other}")),
    }
    Ok(())
}
