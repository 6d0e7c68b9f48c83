//! Plays the conversations in `tests/transcripts/imap`, each three times: with commands handed over whole, line by line, octet by octet.
//!
//! The notation is imaptest's, with additions. A head of `key: value` lines says how things stand at the start:
//!
//! | key | value | default |
//! |---|---|---|
//! | `connections` | how many | 1 |
//! | `state` | `nonauth`, `auth` or `selected` (INBOX) | `selected` |
//! | `messages` | how many lie in INBOX | 0 |
//! | `mailbox` | name, then number of messages, then special uses; may be repeated | none |
//! | `set` | name and value of a setting; may be repeated | none |
//! | `disabled` | capabilities that are switched off for each account | none |
//! | `tls` | `yes` or `no` | `yes` |
//! | `greeting` | `yes` if it is to be looked at | `no` |
//!
//! Then come steps, each with the number of a connection before it (1 if none), and after it what is expected of it:
//!
//! | step | what happens |
//! |---|---|
//! | `ok`, `no` or `bad`, perhaps `[code …]`, then a command | it is sent, and must end so |
//! | the same without a command | the oldest command begun must have ended so by now |
//! | `begin` and a command | it is sent; its end is asked for later |
//! | `send` and a line or block | sent as it stands |
//! | `poll` | nothing is sent |
//! | `closed` | the server must have hung up |
//! | `deliver MAILBOX {{{`, `vanish MAILBOX UID` | an MTA brings, another program removes a message |
//! | `fail N KIND` | after N operations of the store, one fails |
//! | `refuse yes` or `no` | the volume takes no work |
//! | `slow SECONDS` | each piece of work of the volume takes so long |
//! | `hold`, `decide` | the authenticator waits, and decides |
//! | `admit TEXT` | the shell refuses logins with this text |
//! | `time SECONDS` | time passes |
//! | `interrupt REASON` | the shell ends the session |
//!
//! Expectations are `* response`, `*> response` (after the one before), `! response`, `!*` (no other), `+ text` and `= line`; see
//! `support/script.rs`. In responses `$name` is bound by its first use and then compared, `$` is anything, `...` ends a list of which the
//! rest does not matter, `$$` is a dollar. `{{{` to `}}}` is a literal, `{{{+` one that is not waited for.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says what is wrong by panicking"
)]

#[path = "support/imap_args.rs"]
mod imap_args;
#[path = "support/script.rs"]
mod script;
#[path = "support/shell.rs"]
mod shell;

use imap_args::{Arg, Variables, matches, parse};
use restante::imap::{Services, Session, Settings};
use restante::mailbox::backend::{Account, Error};
use restante::mailbox::id::Uid;
use restante::mailbox::memory::{Mail, Memory, START};
use restante::mailbox::name::{MailboxName, SpecialUse};
use restante::protocol::Interrupt;
use script::{Expectation, Kind, Played, Script, Step, Text};
use shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn imap_transcripts_play() {
    script::play_all("imap", |script, cut| {
        World::new(script, cut).and_then(|mut world| world.play(script))
    });
}

/// One client.
struct Client {
    connection: Connection,
    /// Tags of commands begun.
    begun: VecDeque<String>,
    tags: usize,
    /// Responses that no step has looked at.
    responses: Vec<Vec<u8>>,
    /// Tagged ones that came before they were asked for.
    ended: Vec<Vec<u8>>,
}

/// Everything that a transcript plays in.
struct World {
    memory: Memory,
    authenticator: Arc<TestAuthenticator>,
    clock: Clock,
    hosts: Vec<Arc<TestHost>>,
    clients: Vec<Client>,
    variables: Variables,
}

impl World {
    fn new(script: &Script, cut: Cut) -> Result<Self, String> {
        let head = |key: &str, default: &str| {
            let found = script.head.iter().find(|(known, _)| known == key);
            found.map_or(default, |(_, value)| value).to_owned()
        };
        let memory = Memory::new();
        let mut settings = Settings::default();
        for (key, value) in &script.head {
            match key.as_str() {
                "set" => set(&mut settings, value)?,
                "mailbox" => make_mailbox(&memory, value)?,
                "connections" | "state" | "messages" | "disabled" | "tls" | "greeting" => {}
                other => return Err(format!("unknown key {other} in the head")),
            }
        }
        fill(
            &memory,
            &MailboxName::inbox(),
            head("messages", "0").parse().unwrap(),
        );
        let mut world = Self {
            memory,
            authenticator: Arc::default(),
            clock: Clock::new(),
            hosts: Vec::new(),
            clients: Vec::new(),
            variables: Variables::new(),
        };
        let disabled = head("disabled", "");
        let disabled = disabled.split_whitespace().map(str::to_owned);
        *world.authenticator.disabled.lock().unwrap() = Arc::new(disabled.collect());
        let settings = Arc::new(settings);
        let tls = head("tls", "yes") == "yes";
        for number in 0..head("connections", "1").parse::<u64>().unwrap() {
            world.connect(number, &settings, tls, cut);
        }
        world.settle();
        let state = head("state", "selected");
        for client in 0..world.clients.len() {
            if state != "nonauth" {
                world.command(client, "login anna secret", &[]);
            }
            if state == "selected" {
                world.command(client, "select inbox", &[]);
            }
            world.settle();
            // what was begun is the business of the head
            world.clients[client].begun.clear();
            if head("greeting", "no") == "no" {
                world.clients[client].responses.clear();
            }
        }
        Ok(world)
    }

    fn connect(&mut self, number: u64, settings: &Arc<Settings>, tls: bool, cut: Cut) {
        let host = TestHost::at(START);
        let services = Services {
            backend: Arc::new(self.memory.clone()),
            authenticator: self.authenticator.clone(),
            host: host.clone(),
        };
        let peer = Connection::peer(number, tls);
        let session = Box::new(Session::new(Arc::clone(settings), services, peer));
        let mut connection = Connection::new(session, host.clone(), cut);
        connection.run(self.clock.now());
        self.hosts.push(host);
        self.clients.push(Client {
            connection,
            begun: VecDeque::new(),
            tags: 0,
            responses: Vec::new(),
            ended: Vec::new(),
        });
    }

    fn play(&mut self, script: &Script) -> Played {
        for step in &script.steps {
            let text = self.substitute(&step.text);
            let played = text.and_then(|text| self.play_step(step, &text));
            played.map_err(|failure| format!("line {}: {failure}", step.line))?;
        }
        Ok(())
    }

    fn play_step(&mut self, step: &Step, text: &Text) -> Played {
        let client = step.connection;
        if client >= self.clients.len() {
            return Err("no such connection".into());
        }
        let (word, rest) = text.line.split_once(' ').unwrap_or((&text.line, ""));
        let mut is_event = false;
        match word {
            "ok" | "no" | "bad" => {
                let (code, command) = split_code(rest);
                if !command.is_empty() {
                    self.command(client, command, &text.blocks);
                }
                self.settle();
                self.check_end(client, word, code)?;
            }
            "begin" => {
                self.command(client, rest, &text.blocks);
            }
            "send" => {
                let octets = match text.blocks.first() {
                    Some(block) => block.clone(),
                    None => format!("{rest}\r\n").into_bytes(),
                };
                let now = self.clock.now();
                self.clients[client].connection.send(&octets, now);
            }
            "poll" => {}
            "closed" => {}
            other => {
                is_event = true;
                self.happen(client, other, rest, text)?;
            }
        }
        self.settle();
        if word == "closed" && !self.clients[client].connection.closed {
            return Err("the connection is open".into());
        }
        if is_event && step.expectations.is_empty() {
            return Ok(());
        }
        let client = &mut self.clients[client];
        let responses = std::mem::take(&mut client.responses);
        let tagged = responses
            .iter()
            .filter(|response| response.starts_with(b"a"));
        client.ended.extend(tagged.cloned());
        check(&step.expectations, &responses, &mut self.variables)
            .map_err(|failure| format!("{failure}\n{}", show(&responses)))
    }

    /// What others than clients do.
    fn happen(&mut self, client: usize, word: &str, rest: &str, text: &Text) -> Played {
        let words: Vec<&str> = rest.split(' ').collect();
        match (word, words.as_slice()) {
            ("deliver", [mailbox, ..]) => {
                let octets = text.blocks.first().cloned().unwrap_or_default();
                self.memory
                    .mailbox("anna", &name(mailbox))
                    .deliver(Mail::new(octets));
            }
            ("vanish", [mailbox, uid]) => {
                let uid = Uid::new(uid.parse().unwrap()).unwrap();
                self.memory.mailbox("anna", &name(mailbox)).vanish(uid);
            }
            ("fail", [operations, kind]) => {
                let error = match *kind {
                    "nospace" => Error::NoSpace,
                    "nopermission" => Error::NoPermission,
                    "damaged" => Error::Damaged("r1".into()),
                    "unavailable" => Error::Unavailable,
                    other => return Err(format!("unknown failure {other}")),
                };
                self.memory.fail_after(operations.parse().unwrap(), error);
            }
            ("refuse", [answer]) => {
                self.clients[client].connection.refuses_work = *answer == "yes";
            }
            ("slow", [secs]) => {
                let takes = Duration::from_secs(secs.parse().unwrap());
                self.clients[client].connection.work_takes = takes;
            }
            ("hold", _) => self.authenticator.waits.store(true, Ordering::SeqCst),
            ("decide", _) => self.authenticator.decide(),
            ("admit", _) => {
                *self.hosts[client].refusal.lock().unwrap() =
                    (!rest.is_empty()).then(|| rest.to_owned());
            }
            ("time", [secs]) => {
                self.clock.pass(Duration::from_secs(secs.parse().unwrap()));
                for client in &mut self.clients {
                    client.connection.run(self.clock.now());
                }
            }
            ("interrupt", [reason]) => {
                let reason = match *reason {
                    "full" => Interrupt::Full,
                    "shutdown" => Interrupt::Shutdown,
                    "timeout" => Interrupt::Timeout,
                    "displaced" => Interrupt::Displaced,
                    "revoked" => Interrupt::Revoked,
                    other => return Err(format!("unknown reason {other}")),
                };
                self.clients[client].connection.interrupt(reason);
            }
            _ => return Err(format!("unknown step {word}")),
        }
        Ok(())
    }

    /// Sends a command under a new tag, its literals when they are asked for.
    fn command(&mut self, client: usize, command: &str, blocks: &[Vec<u8>]) {
        let now = self.clock.now();
        let client = &mut self.clients[client];
        client.tags += 1;
        let tag = format!("a{}", client.tags);
        client.begun.push_back(tag.clone());
        let mut octets = format!("{tag} ").into_bytes();
        let mut blocks = blocks.iter();
        for octet in command.bytes() {
            let Some(block) = matches!(octet, 1 | 2).then(|| blocks.next()).flatten() else {
                octets.push(octet);
                continue;
            };
            let plus = if octet == 2 { "+" } else { "" };
            octets.extend_from_slice(format!("{{{}{plus}}}\r\n", block.len()).as_bytes());
            if octet == 1 {
                client.connection.send(&octets, now);
                octets.clear();
                client.take_responses();
                if !client
                    .responses
                    .last()
                    .is_some_and(|last| last.starts_with(b"+ "))
                {
                    return;
                }
            }
            octets.extend_from_slice(block);
        }
        octets.extend_from_slice(b"\r\n");
        client.connection.send(&octets, now);
    }

    /// Lets everybody who was woken look, until nobody is.
    fn settle(&mut self) {
        while let Some(client) = self
            .clients
            .iter_mut()
            .find(|client| client.connection.is_woken())
        {
            client.connection.run(self.clock.now());
        }
        for client in &mut self.clients {
            client.take_responses();
        }
    }

    /// The oldest command must have ended as said.
    fn check_end(&mut self, client: usize, result: &str, code: Option<&str>) -> Played {
        let client = &mut self.clients[client];
        let responses = &client.responses;
        let Some(tag) = client.begun.pop_front() else {
            return Err("no command was begun".into());
        };
        let is_end = |response: &&Vec<u8>| response.starts_with(format!("{tag} ").as_bytes());
        let Some(end) = responses.iter().chain(&client.ended).find(is_end) else {
            return Err(format!("{tag} has not ended\n{}", show(responses)));
        };
        let args = parse(end, &[]);
        let mut expected = vec![Arg::Atom(tag), Arg::Atom(result.to_owned())];
        expected.extend(
            code.map(|code| parse(code.as_bytes(), &[]))
                .into_iter()
                .flatten(),
        );
        expected.push(Arg::Atom("...".into()));
        if matches(&expected, &args, &mut self.variables) {
            Ok(())
        } else {
            Err(format!("ended otherwise\n{}", show(responses)))
        }
    }

    /// Puts values in the place of variables.
    fn substitute(&self, text: &Text) -> Result<Text, String> {
        let mut line = String::new();
        let mut rest = text.line.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            line.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                line.push('$');
                rest = after;
                continue;
            }
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            match self.variables.get(name) {
                Some(value) => line.push_str(value),
                None => line.extend(["$", name]),
            }
            rest = after;
        }
        line.push_str(rest);
        Ok(Text {
            line,
            blocks: text.blocks.clone(),
        })
    }
}

impl Client {
    /// Cuts what came into responses.
    fn take_responses(&mut self) {
        let output = std::mem::take(&mut self.connection.output).into_octets();
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let mut len = 0;
            loop {
                let line = rest[len..].iter().position(|octet| *octet == b'\n');
                let Some(line) = line else {
                    panic!("half a line: {:?}", String::from_utf8_lossy(rest));
                };
                let line = &rest[len..=len + line];
                assert!(line.ends_with(b"\r\n"), "bare LF: {line:?}");
                len += line.len();
                match literal(line) {
                    Some(octets) => len += octets,
                    None => break,
                }
            }
            let (response, left) = rest.split_at(len);
            self.responses.push(response.to_vec());
            rest = left;
        }
    }
}

/// The length of the literal that a line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}

/// Checks what came against what was expected.
fn check(expectations: &[Expectation], responses: &[Vec<u8>], variables: &mut Variables) -> Played {
    let mut used = vec![false; responses.len()];
    let mut last = None;
    let mut last_line = 0;
    for expectation in expectations {
        let wanted = parse(expectation.text.line.as_bytes(), &expectation.text.blocks);
        let failed = |what: &str| {
            let line = expectation.text.line.replace('\u{1}', "{{{ }}}");
            Err(format!("line {}: {what}: {line}", expectation.line))
        };
        let find = |from: usize, used: &[bool], variables: &mut Variables| {
            (from..responses.len()).find(|at| {
                !used[*at]
                    && responses[*at].starts_with(b"* ")
                    && matches_response(&wanted, &responses[*at], variables)
            })
        };
        match expectation.kind {
            Kind::Untagged | Kind::Then => {
                let from = match (expectation.kind, last) {
                    (Kind::Then, Some(last)) => last + 1,
                    _ => 0,
                };
                let Some(at) = find(from, &used, variables) else {
                    return failed("did not come");
                };
                used[at] = true;
                last = Some(at);
            }
            Kind::Never => {
                if find(0, &used, &mut variables.clone()).is_some() {
                    return failed("came");
                }
            }
            Kind::NothingElse => {
                let is_other = |at: &usize| !used[*at] && responses[*at].starts_with(b"* ");
                if (0..responses.len()).any(|at| is_other(&at)) {
                    return failed("something else came");
                }
            }
            Kind::Continuation | Kind::Line => {
                let mut wanted = expectation.text.line.clone();
                if expectation.kind == Kind::Continuation {
                    wanted.insert_str(0, "+ ");
                }
                let begins = |response: &Vec<u8>| {
                    let line = String::from_utf8_lossy(response).to_ascii_lowercase();
                    line.starts_with(wanted.trim_end().to_ascii_lowercase().as_str())
                };
                let found = responses.iter().skip(last_line).position(begins);
                let Some(at) = found else {
                    return failed("did not come");
                };
                last_line += at + 1;
            }
        }
    }
    Ok(())
}

/// Status responses carry a text, of which a transcript says as much as it likes.
fn matches_response(wanted: &[Arg], response: &[u8], variables: &mut Variables) -> bool {
    let args = parse(response, &[]);
    let args = &args[1..];
    let is_status = matches!(args.first(), Some(Arg::Atom(word))
        if ["OK", "NO", "BAD", "BYE"].contains(&word.as_str()));
    let mut wanted = wanted.to_vec();
    if is_status {
        wanted.push(Arg::Atom("...".into()));
    }
    matches(&wanted, args, variables)
}

fn show(responses: &[Vec<u8>]) -> String {
    let lines = responses
        .iter()
        .map(|response| String::from_utf8_lossy(response));
    format!("came:\n{}", lines.collect::<String>())
}

/// Takes `[code …]` off.
fn split_code(text: &str) -> (Option<&str>, &str) {
    if !text.starts_with('[') {
        return (None, text);
    }
    let end = text.find(']').map_or(text.len(), |at| at + 1);
    (Some(&text[..end]), text[end..].trim_start())
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

fn set(settings: &mut Settings, line: &str) -> Played {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    let number = || value.parse::<u32>().unwrap_or_default();
    match key {
        "delimiter" => settings.delimiter = value.chars().next().unwrap_or('/'),
        "inbox_alias" => settings.inbox_alias = value == "yes",
        "offer_rev2" => settings.offer_rev2 = value == "yes",
        "literal_minus" => settings.literal_minus = value == "yes",
        "allow_plaintext" => settings.allow_plaintext = value == "yes",
        "disable" => drop(settings.disabled_capabilities.insert(value.to_owned())),
        "max_bad_commands" => settings.max_bad_commands = number(),
        "max_bad_commands_before_login" => settings.max_bad_commands_before_login = number(),
        "max_failed_logins" => settings.max_failed_logins = number(),
        "max_append_messages" => settings.max_append_messages = number() as usize,
        "message_limit" => settings.message_limit = Some(number()),
        "save_limit" => settings.save_limit = Some(number()),
        "append_limit" => settings.append_limit_octets = number().into(),
        "idle_keep_alive" => {
            settings.idle_keep_alive = (number() > 0).then(|| Duration::from_secs(number().into()));
        }
        "line_octets" => {
            settings.budgets.line_octets = number() as usize;
            settings.budgets_before_login.line_octets = number() as usize;
        }
        other => return Err(format!("unknown setting {other}")),
    }
    Ok(())
}

fn make_mailbox(memory: &Memory, line: &str) -> Played {
    let mut words = line.split(' ');
    let (Some(mailbox), messages) = (words.next(), words.next().unwrap_or("0")) else {
        return Err("a mailbox has a name".into());
    };
    let uses: Vec<SpecialUse> = words
        .map(|word| SpecialUse::from_name(word).ok_or_else(|| format!("unknown use {word}")))
        .collect::<Result<_, _>>()?;
    let mailbox = name(mailbox);
    if !mailbox.is_inbox() {
        memory
            .account("anna")
            .create(&mailbox, &uses)
            .map_err(|error| error.to_string())?;
    }
    fill(memory, &mailbox, messages.parse().unwrap());
    Ok(())
}

/// Puts messages there, each a little different.
fn fill(memory: &Memory, mailbox: &MailboxName, messages: u32) {
    let mailbox = memory.mailbox("anna", mailbox);
    for n in 1..=messages {
        let text = format!(
            "From: Sender {n} <sender{n}@example.org>\r\nTo: anna@example.org\r\nSubject: Message {n}\r\n\
             Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <m{n}@example.org>\r\n\r\nText {n}\r\n"
        );
        mailbox.add(Mail::new(text.into_bytes()).dated(START + i64::from(n) * 60));
    }
}
