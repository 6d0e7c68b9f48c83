//! Several IMAP sessions, an MTA and another program on one mailbox, at random: what each client concludes from the responses must
//! be what the server says when asked.
//!
//! Each client keeps what it knows: a list of messages by number, with UID and flags where they were told. EXPUNGE takes one out, EXISTS adds some,
//! FETCH tells. Beside it are the results of searches that the server keeps up to date (RFC 5267 §4.3), changed by the positions told, never by
//! a look at the messages. A response that contradicts this list is a fault, as is an EXPUNGE where none is allowed (RFC 9051 §7.5.1).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says what is wrong by panicking"
)]

#[expect(
    dead_code,
    reason = "shared with the transcripts, which compare and bind variables"
)]
#[path = "support/imap_args.rs"]
mod imap_args;
#[expect(dead_code, reason = "shared with the transcripts, which do more")]
#[path = "support/shell.rs"]
mod shell;

use imap_args::{Arg, parse};
use restante::imap::{Services, Session, Settings};
use restante::mailbox::backend::Mailbox;
use restante::mailbox::id::Uid;
use restante::mailbox::memory::{Mail, Memory, MemoryMailbox, START};
use shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many runs, each with its own numbers.
const RUNS: u64 = 60;

/// How many things happen in one run.
const STEPS: usize = 150;

#[test]
fn clients_and_server_agree() {
    for run in 1..=RUNS {
        World::new(run).play();
    }
}

/// Numbers that look random and are the same every time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % below
    }
}

/// What a client knows of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// Searches that are kept up to date: by UID or number, and what is looked for.
const SEARCHES: [(bool, &str); 5] = [
    (true, "FLAGGED"),
    (false, "UNSEEN"),
    (true, "KEYWORD Label"),
    (false, "SUBJECT new"),
    (true, "OR UID 25:* NOT (UNDELETED UNFLAGGED)"),
];

/// The results of a search, as a client knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Live {
    uid: bool,
    criteria: &'static str,
    list: Vec<u32>,
}

/// One client, and what it believes.
struct Client {
    connection: Connection,
    rev2: bool,
    tags: usize,
    messages: Vec<Known>,
    /// By the tags of the searches.
    live: BTreeMap<String, Live>,
    idles: bool,
    log: Vec<String>,
}

struct World {
    dice: Dice,
    clock: Clock,
    inbox: Arc<MemoryMailbox>,
    clients: Vec<Client>,
}

impl World {
    fn new(run: u64) -> Self {
        let memory = Memory::new();
        let inbox = memory.inbox("anna");
        for _ in 0..5 {
            inbox.add(Mail::new("Subject: x\r\n\r\ntext\r\n"));
        }
        let clock = Clock::new();
        let authenticator = Arc::new(TestAuthenticator::default());
        let settings = Arc::new(Settings::default());
        let clients = (0..3)
            .map(|id| {
                let host = TestHost::at(START);
                let services = Services {
                    backend: Arc::new(memory.clone()),
                    authenticator: authenticator.clone(),
                    host: host.clone(),
                };
                let session = Session::new(settings.clone(), services, Connection::peer(id, true));
                let connection = Connection::new(Box::new(session), host, Cut::Whole);
                let mut client = Client {
                    connection,
                    rev2: id == 2,
                    tags: 0,
                    messages: Vec::new(),
                    live: BTreeMap::new(),
                    idles: false,
                    log: vec![format!("run {run}, client {id}")],
                };
                client.command("LOGIN anna secret", &clock);
                if client.rev2 {
                    client.command("ENABLE IMAP4rev2", &clock);
                }
                client.select(&clock);
                client
            })
            .collect();
        Self {
            dice: Dice(run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            clock,
            inbox,
            clients,
        }
    }

    fn play(&mut self) {
        for _ in 0..STEPS {
            match self.dice.throw(10) {
                0 => self.inbox.deliver(Mail::new("Subject: new\r\n\r\nx\r\n")),
                1 => self.vanish(),
                _ => self.act(),
            }
            let client = &mut self.clients[self.dice.throw(3)];
            if !client.idles && self.dice.throw(4) == 0 {
                client.check(&self.clock);
            }
            for client in &mut self.clients {
                if client.connection.is_woken() {
                    client.connection.run(self.clock.now());
                    client.hear(None);
                }
            }
        }
        for client in &mut self.clients {
            client.end_idle(&self.clock);
            client.command("NOOP", &self.clock);
        }
        for client in &mut self.clients {
            client.check(&self.clock);
            let messages = self.inbox.messages().read().unwrap();
            let uids: Vec<Option<u32>> = messages
                .uids()
                .iter()
                .map(|uid| Some(uid.value()))
                .collect();
            let believed: Vec<Option<u32>> =
                client.messages.iter().map(|known| known.uid).collect();
            assert_eq!(believed, uids, "{}", client.log.join("\n"));
        }
    }

    /// Another program removes a message.
    fn vanish(&mut self) {
        let uids: Vec<Uid> = self.inbox.messages().read().unwrap().uids().to_vec();
        if !uids.is_empty() {
            self.inbox.vanish(uids[self.dice.throw(uids.len())]);
        }
    }

    /// A client does something.
    fn act(&mut self) {
        let dice = &mut self.dice;
        let client = &mut self.clients[dice.throw(3)];
        if client.idles {
            client.end_idle(&self.clock);
            return;
        }
        let messages = client.messages.len();
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "Label"][dice.throw(4)];
        let silent = ["", ".SILENT"][dice.throw(2)];
        let sign = ["+", "-", ""][dice.throw(3)];
        let uid = 1 + dice.throw(40);
        let some = if messages > 0 {
            let (from, to) = (1 + dice.throw(messages), 1 + dice.throw(messages));
            format!("{from}:{to}")
        } else {
            String::new()
        };
        let command = match dice.throw(14) {
            0 => "NOOP".to_owned(),
            1 => "CHECK".to_owned(),
            2 => "EXPUNGE".to_owned(),
            3 => format!("UID EXPUNGE {uid}:*"),
            4 => format!("UID STORE {uid} {sign}FLAGS{silent} ({flag})"),
            5 => format!("UID FETCH {uid}:* (FLAGS)"),
            6 => "UID SEARCH ALL".to_owned(),
            7 => {
                client.begin_idle(&self.clock);
                return;
            }
            8 => "APPEND INBOX {3+}\r\nabc".to_owned(),
            9 if dice.throw(4) == 0 => {
                client.select(&self.clock);
                return;
            }
            _ if some.is_empty() => "NOOP".to_owned(),
            9 => format!("COPY {some} INBOX"),
            10 => format!("FETCH {some} (UID FLAGS)"),
            11 => format!("STORE {some} {sign}FLAGS{silent} ({flag})"),
            12 => format!("FETCH {some} (BODY[TEXT])"),
            _ => format!("MOVE {some} INBOX"),
        };
        client.command(&command, &self.clock);
        if command.contains(".SILENT") {
            // what became of the flags the client would have to reckon itself
            for known in &mut client.messages {
                known.flags = None;
            }
        }
    }
}

impl Client {
    fn select(&mut self, clock: &Clock) {
        self.messages.clear();
        self.live.clear();
        self.command("SELECT INBOX", clock);
        for (uid, criteria) in SEARCHES {
            let tag = format!("a{}", self.tags + 1);
            let list = Vec::new();
            let live = Live {
                uid,
                criteria,
                list,
            };
            self.live.insert(tag, live);
            self.search(uid, "UPDATE ALL", criteria, clock);
        }
    }

    fn search(&mut self, uid: bool, options: &str, criteria: &str, clock: &Clock) {
        let name = if uid { "UID SEARCH" } else { "SEARCH" };
        self.command(&format!("{name} RETURN ({options}) {criteria}"), clock);
    }

    /// Asks for the results of searches again, and compares them with what was believed.
    fn check_searches(&mut self, clock: &Clock) {
        let believed: Vec<Live> = self.live.values().cloned().collect();
        for live in believed {
            let tag = format!("a{}", self.tags + 1);
            let fresh = Live {
                list: Vec::new(),
                ..live.clone()
            };
            self.live.insert(tag.clone(), fresh);
            self.search(live.uid, "ALL", live.criteria, clock);
            let fresh = self.live.remove(&tag).unwrap();
            assert_eq!(live, fresh, "{}", self.log.join("\n"));
        }
    }

    fn command(&mut self, command: &str, clock: &Clock) {
        self.tags += 1;
        let line = format!("a{} {command}\r\n", self.tags);
        self.log.push(format!("C: {line:?}"));
        self.connection.send(line.as_bytes(), clock.now());
        if command.starts_with("SELECT") {
            self.messages.clear();
        }
        self.hear(Some(command));
    }

    /// Asks for everything, and compares it with what was believed.
    fn check(&mut self, clock: &Clock) {
        self.command("NOOP", clock);
        self.check_searches(clock);
        let before = self.messages.clone();
        if before.is_empty() {
            return;
        }
        self.command("FETCH 1:* (UID FLAGS)", clock);
        for (before, now) in before.iter().zip(&self.messages) {
            let is_same = before.flags.is_none() || before.flags == now.flags;
            assert!(is_same, "{before:?} {now:?}\n{}", self.log.join("\n"));
        }
    }

    fn begin_idle(&mut self, clock: &Clock) {
        self.idles = true;
        self.tags += 1;
        self.log.push("C: IDLE".to_owned());
        let line = format!("a{} IDLE\r\n", self.tags);
        self.connection.send(line.as_bytes(), clock.now());
        self.hear(None);
    }

    fn end_idle(&mut self, clock: &Clock) {
        if std::mem::take(&mut self.idles) {
            self.log.push("C: DONE".to_owned());
            self.connection.send(b"DONE\r\n", clock.now());
            self.hear(None);
        }
    }

    /// Takes in what the server says, while a command is in progress or not.
    fn hear(&mut self, command: Option<&str>) {
        let output = std::mem::take(&mut self.connection.output).into_octets();
        let mut rest = output.as_slice();
        while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
            let mut len = end + 1;
            if rest[..len].ends_with(b"}\r\n") {
                let open = rest[..len]
                    .iter()
                    .rposition(|octet| *octet == b'{')
                    .unwrap();
                let octets = std::str::from_utf8(&rest[open + 1..len - 3]).unwrap();
                len += octets.parse::<usize>().unwrap();
                len += rest[len..]
                    .iter()
                    .position(|octet| *octet == b'\n')
                    .unwrap()
                    + 1;
            }
            let (response, left) = rest.split_at(len);
            self.log
                .push(format!("S: {:?}", String::from_utf8_lossy(response)));
            self.take(&parse(response, &[]), command);
            rest = left;
        }
        assert!(
            rest.is_empty() && !self.connection.closed,
            "{}",
            self.log.join("\n")
        );
    }

    fn take(&mut self, response: &[Arg], command: Option<&str>) {
        if matches!(response.get(1), Some(Arg::Atom(name)) if name == "ESEARCH") {
            return self.take_results(response);
        }
        let (Some(Arg::Atom(star)), Some(Arg::Atom(number)), Some(Arg::Atom(what))) =
            (response.first(), response.get(1), response.get(2))
        else {
            return;
        };
        let (true, Ok(number)) = (star == "*", number.parse::<usize>()) else {
            let is_bad = star != "*" && number == "BAD";
            assert!(!is_bad, "{}", self.log.join("\n"));
            return;
        };
        match what.as_str() {
            "EXPUNGE" => {
                let holds = ["FETCH", "STORE", "SEARCH"];
                let is_held = command
                    .is_some_and(|command| holds.iter().any(|name| command.starts_with(name)));
                assert!(
                    !is_held,
                    "EXPUNGE in time of {command:?}\n{}",
                    self.log.join("\n")
                );
                assert!(number <= self.messages.len(), "{}", self.log.join("\n"));
                self.messages.remove(number - 1);
                self.renumber(u32::try_from(number).unwrap());
            }
            "EXISTS" => {
                assert!(number >= self.messages.len(), "{}", self.log.join("\n"));
                self.messages.resize(number, Known::default());
            }
            "FETCH" => self.take_fetch(number, response),
            "RECENT" => assert!(!self.rev2, "{}", self.log.join("\n")),
            _ => {}
        }
    }

    /// A message is gone; results by number have lost it before that.
    fn renumber(&mut self, gone: u32) {
        for live in self.live.values_mut().filter(|live| !live.uid) {
            assert!(!live.list.contains(&gone), "{}", self.log.join("\n"));
            for number in live.list.iter_mut().filter(|number| **number > gone) {
                *number -= 1;
            }
        }
    }

    /// Results of a search, or what became of them.
    fn take_results(&mut self, response: &[Arg]) {
        let Some(Arg::List(correlator)) = response.get(2) else {
            panic!("{}", self.log.join("\n"));
        };
        let Some(Arg::String(tag)) = correlator.get(1) else {
            panic!("{}", self.log.join("\n"));
        };
        let tag = String::from_utf8(tag.clone()).unwrap();
        let Some(live) = self.live.get_mut(&tag) else {
            return;
        };
        let is_uid = |arg: &&Arg| !matches!(arg, Arg::Atom(name) if name == "UID");
        let data: Vec<&Arg> = response[3..].iter().filter(is_uid).collect();
        for pair in data.chunks(2) {
            match pair {
                [Arg::Atom(name), Arg::Atom(set)] if name == "ALL" => live.list = numbers(set),
                [Arg::Atom(name), Arg::List(places)] => live.follow(name == "ADDTO", places),
                other => panic!("{other:?}"),
            }
        }
        let is_rising = live.list.is_sorted_by(|one, next| one < next);
        assert!(is_rising, "{live:?}\n{}", self.log.join("\n"));
    }

    fn take_fetch(&mut self, number: usize, response: &[Arg]) {
        assert!(number <= self.messages.len(), "{}", self.log.join("\n"));
        let Some(Arg::List(items)) = response.get(3) else {
            panic!("{}", self.log.join("\n"));
        };
        let known = &mut self.messages[number - 1];
        for pair in items.chunks(2) {
            match pair {
                [Arg::Atom(name), Arg::Atom(value)] if name == "UID" => {
                    let uid = Some(value.parse().unwrap());
                    assert!(
                        known.uid.is_none() || known.uid == uid,
                        "{}",
                        self.log.join("\n")
                    );
                    known.uid = uid;
                }
                [Arg::Atom(name), Arg::List(flags)] if name == "FLAGS" => {
                    let flags = flags.iter().filter_map(|flag| match flag {
                        Arg::Atom(flag) => Some(flag.clone()),
                        _ => None,
                    });
                    known.flags = Some(flags.collect());
                }
                _ => {}
            }
        }
    }
}

impl Live {
    /// Puts results where they are said to be, or takes them away.
    fn follow(&mut self, added: bool, places: &[Arg]) {
        for pair in places.chunks(2) {
            let [Arg::Atom(position), Arg::Atom(set)] = pair else {
                panic!("{places:?}");
            };
            let at = position.parse::<usize>().unwrap() - 1;
            for (offset, number) in numbers(set).into_iter().enumerate() {
                if added {
                    self.list.insert(at + offset, number);
                } else {
                    assert_eq!(self.list.remove(at), number);
                }
            }
        }
    }
}

/// The numbers of a set.
fn numbers(set: &str) -> Vec<u32> {
    let ranges = set.split(',').map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    });
    ranges.flatten().collect()
}
