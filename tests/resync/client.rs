//! A client that believes the server: it keeps what it was told, and nothing else.

use super::house::{Fetched, House, Picture};
use crate::imap_args::{Arg, parse};
use crate::random::Random;
use crate::shell::{Clock, Connection};
use std::collections::{BTreeMap, BTreeSet};

/// What a client knows of IMAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 3501: after each SELECT it fetches all flags.
    Plain,
    /// Without QRESYNC: UIDs from SEARCH, flags by CHANGEDSINCE (RFC 7162 §3.1).
    CondStore,
    /// RFC 7162 §3.2.
    QResync,
}

/// Flags that clients set.
const FLAGS: [&str; 6] = [
    "\\Seen",
    "\\Flagged",
    "\\Deleted",
    "\\Answered",
    "$Forwarded",
    "todo",
];

/// A client with its cache of INBOX.
pub(crate) struct Client {
    dialect: Dialect,
    connection: Option<Connection>,
    /// Which server it is connected to.
    pub(crate) server: usize,
    clock: Clock,
    tag: usize,
    is_idle: bool,
    /// Between SELECT and its end: what is heard brings the cache up to date.
    is_opening: bool,
    /// The message of each sequence number; none for those whose UID it has not been told.
    numbers: Vec<Option<u32>>,
    flags: BTreeMap<u32, BTreeSet<String>>,
    uid_validity: Option<u64>,
    mod_seq: u64,
    /// How many messages the last EXISTS told.
    exists: usize,
    heard: Heard,
}

/// What came since the last tagged response.
#[derive(Debug, Default)]
struct Heard {
    /// The last HIGHESTMODSEQ.
    highest: Option<u64>,
    /// The greatest MODSEQ of a FETCH.
    mod_seq: u64,
    /// Messages whose flags were told.
    flags: BTreeSet<u32>,
    /// Messages that a STORE left alone (MODIFIED).
    modified: String,
    /// UIDs of a SEARCH.
    found: Vec<u32>,
    /// Number and UID of each FETCH.
    pairs: Vec<(usize, u32)>,
    status: String,
}

impl Client {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            connection: None,
            server: 0,
            clock: Clock::new(),
            tag: 0,
            is_idle: false,
            is_opening: false,
            numbers: Vec::new(),
            flags: BTreeMap::new(),
            uid_validity: None,
            mod_seq: 0,
            exists: 0,
            heard: Heard::default(),
        }
    }

    /// Connects, and resynchronises.
    pub(crate) fn connect(&mut self, house: &House, random: &mut Random) {
        self.clock = house.clock.clone();
        self.server = usize::try_from(random.below(2)).unwrap();
        self.connection = Some(house.connection(self.server));
        self.command("LOGIN anna secret");
        self.select();
        assert_eq!(self.heard.status, "OK");
    }

    /// The connection is lost, perhaps in the middle of an answer.
    pub(crate) fn disconnect(&mut self, random: &mut Random) {
        if !self.is_idle && random.below(2) == 0 {
            self.heard = Heard::default();
            let command = match random.below(3) {
                0 => format!("UID STORE {} +FLAGS (\\Seen)", self.some_uids(random)),
                1 => "EXPUNGE".to_owned(),
                _ => format!("UID MOVE {} Other", self.some_uids(random)),
            };
            let output = self.exchange(&format!("lost {command}\r\n"));
            let lines: Vec<&str> = output.lines().collect();
            let heard = random.below(lines.len() as u64 + 1);
            for line in &lines[..usize::try_from(heard).unwrap()] {
                self.hear(line);
            }
        }
        self.connection = None;
        self.is_idle = false;
        self.heard = Heard::default();
    }

    /// Opens INBOX and brings the cache up to date.
    fn select(&mut self) {
        match self.dialect {
            Dialect::Plain => self.select_plain(),
            Dialect::CondStore => self.select_condstore(),
            Dialect::QResync => self.select_qresync(),
        }
    }

    fn select_plain(&mut self) {
        (self.numbers, self.flags) = (Vec::new(), BTreeMap::new());
        self.open("SELECT INBOX");
        self.ask_for_unknown();
    }

    /// Selects; what comes until it is done is about the cache.
    fn open(&mut self, command: &str) {
        self.is_opening = true;
        self.exists = 0;
        self.command(command);
        self.is_opening = false;
        assert_eq!(self.heard.status, "OK", "{command}");
    }

    fn select_condstore(&mut self) {
        let cached = std::mem::take(&mut self.flags);
        let (known_validity, known_mod_seq) = (self.uid_validity, self.mod_seq);
        self.numbers = Vec::new();
        self.open("SELECT INBOX (CONDSTORE)");
        if self.uid_validity != known_validity || known_validity.is_none() {
            self.ask_for_unknown();
            return;
        }
        self.command("UID SEARCH ALL");
        let mut found = std::mem::take(&mut self.heard.found);
        found.sort_unstable();
        self.flags = cached;
        self.flags.retain(|uid, _| found.binary_search(uid).is_ok());
        assert_eq!(self.numbers.len(), found.len(), "EXISTS and SEARCH differ");
        self.numbers = found.into_iter().map(Some).collect();
        self.command(&format!(
            "UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known_mod_seq})"
        ));
        let missing: Vec<_> = self.numbers.iter().flatten().copied().collect();
        for uid in missing {
            assert!(
                self.flags.contains_key(&uid),
                "{uid} is new and was not told"
            );
        }
    }

    fn select_qresync(&mut self) {
        self.command("ENABLE QRESYNC");
        let Some(uid_validity) = self.uid_validity else {
            self.open("SELECT INBOX");
            self.numbers = vec![None; self.exists];
            self.ask_for_unknown();
            return;
        };
        let known = self.flags.keys().copied().collect::<Vec<_>>();
        let mut parameters = format!("{uid_validity} {}", self.mod_seq);
        if let (Some(last), true) = (known.last(), !self.mod_seq.is_multiple_of(3)) {
            parameters += &format!(" 1:{last}");
            if self.mod_seq % 3 > 1 {
                // some numbers with their UIDs, as they were
                let pairs = known.iter().enumerate().step_by(2);
                let numbers: Vec<_> = pairs.clone().map(|(at, _)| (at + 1).to_string()).collect();
                let uids: Vec<_> = pairs.map(|(_, uid)| uid.to_string()).collect();
                parameters += &format!(" ({} {})", numbers.join(","), uids.join(","));
            }
        }
        let is_all = known.is_empty() || !parameters.contains(" 1:");
        self.open(&format!("SELECT INBOX (QRESYNC ({parameters}))"));
        if self.uid_validity != Some(uid_validity) {
            (self.numbers, self.flags) = (vec![None; self.exists], BTreeMap::new());
            self.ask_for_unknown();
            return;
        }
        self.numbers = self.flags.keys().copied().map(Some).collect();
        let told = self.numbers.len();
        if is_all {
            assert_eq!(told, self.exists, "new messages are told with their UIDs");
        }
        // with UIDs that are known, it is told of no others
        assert!(told <= self.exists, "more than there are");
        self.numbers.resize(self.exists, None);
        for (number, uid) in std::mem::take(&mut self.heard.pairs) {
            assert_eq!(self.numbers[number - 1], Some(uid), "number {number}");
        }
        self.ask_for_unknown();
    }

    /// Does something that a user might.
    pub(crate) fn act(&mut self, random: &mut Random) {
        self.end_idle();
        let command = match random.below(14) {
            0..5 => return self.store(random),
            5 => "EXPUNGE".to_owned(),
            6 => format!("UID EXPUNGE {}", self.some_uids(random)),
            7 => format!("UID COPY {} INBOX", self.some_uids(random)),
            8 => format!("UID MOVE {} Other", self.some_uids(random)),
            9 => "APPEND INBOX (\\Flagged) {14+}\r\nSubject: a\r\n\r\n".to_owned(),
            10 if !self.numbers.is_empty() => {
                format!("FETCH {} (FLAGS)", self.some_numbers(random))
            }
            11 => "UNSELECT".to_owned(),
            12 => return self.idle(),
            _ => "NOOP".to_owned(),
        };
        self.command(&command);
        if command == "UNSELECT" {
            self.select();
        }
        self.ask_for_unknown();
    }

    fn store(&mut self, random: &mut Random) {
        let silent = random.pick(&["", ".SILENT"]);
        let sign = random.pick(&["+", "-", ""]);
        let flag = random.pick(&FLAGS);
        let condition = match self.dialect {
            Dialect::Plain => String::new(),
            _ if random.below(2) == 0 => String::new(),
            _ => format!("(UNCHANGEDSINCE {}) ", self.mod_seq - random.below(3)),
        };
        let by_number = !self.numbers.is_empty() && random.below(3) == 0;
        let (word, set) = if by_number {
            ("STORE", self.some_numbers(random))
        } else {
            ("UID STORE", self.some_uids(random))
        };
        let targets = self.members(&set, by_number);
        self.command(&format!(
            "{word} {set} {condition}{sign}FLAGS{silent} ({flag})"
        ));
        if !silent.is_empty() && self.heard.status == "OK" {
            let modified = self.heard.modified.clone();
            let left_alone = self.members(&modified, by_number);
            for uid in targets {
                if !left_alone.contains(&uid) && !self.heard.flags.contains(&uid) {
                    self.apply(uid, sign, flag);
                }
            }
        }
        self.ask_for_unknown();
    }

    fn apply(&mut self, uid: u32, sign: &str, flag: &str) {
        let Some(flags) = self.flags.get_mut(&uid) else {
            return;
        };
        let flag = flag.to_lowercase();
        match sign {
            "+" => drop(flags.insert(flag)),
            "-" => drop(flags.remove(&flag)),
            _ => *flags = [flag].into(),
        }
    }

    /// UIDs of a set of numbers or UIDs.
    fn members(&self, set: &str, by_number: bool) -> BTreeSet<u32> {
        let ranges = set.split(',').filter_map(|part| {
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
        });
        let numbers = ranges.flatten();
        if by_number {
            numbers
                .filter_map(|number| *self.numbers.get(number as usize - 1)?)
                .collect()
        } else {
            numbers.filter(|uid| self.flags.contains_key(uid)).collect()
        }
    }

    fn some_uids(&self, random: &mut Random) -> String {
        let last = self.flags.keys().last().copied().unwrap_or(0);
        let first = 1 + random.below(u64::from(last) + 2);
        format!("{first}:{}", first + random.below(3))
    }

    fn some_numbers(&self, random: &mut Random) -> String {
        let count = self.numbers.len() as u64;
        let first = 1 + random.below(count);
        format!("{first}:{}", (first + random.below(3)).min(count))
    }

    fn idle(&mut self) {
        self.tag += 1;
        self.heard = Heard::default();
        self.send(&format!("a{} IDLE\r\n", self.tag));
        self.is_idle = true;
    }

    fn end_idle(&mut self) {
        if std::mem::take(&mut self.is_idle) {
            self.send("DONE\r\n");
            assert_eq!(self.heard.status, "OK", "after IDLE");
            self.ask_for_unknown();
        }
    }

    /// Asks for what is new.
    pub(crate) fn catch_up(&mut self) {
        self.end_idle();
        self.command("NOOP");
        self.ask_for_unknown();
    }

    /// Asks for messages of which it knows only that they are there.
    fn ask_for_unknown(&mut self) {
        while let Some(first) = self.numbers.iter().position(Option::is_none) {
            let modifier = match self.dialect {
                Dialect::Plain => "",
                Dialect::CondStore | Dialect::QResync => " MODSEQ",
            };
            self.command(&format!(
                "FETCH {}:{} (UID FLAGS{modifier})",
                first + 1,
                self.numbers.len()
            ));
            let next = self.numbers.iter().position(Option::is_none);
            assert_ne!(next, Some(first), "what was asked for was not told");
        }
    }

    fn command(&mut self, command: &str) {
        self.heard = Heard::default();
        self.tag += 1;
        self.send(&format!("a{} {command}\r\n", self.tag));
        assert_ne!(self.heard.status, "", "no end of {command}");
        assert_ne!(self.heard.status, "BAD", "{command}");
    }

    /// Sends, and hears all that comes back.
    fn send(&mut self, octets: &str) {
        for line in self.exchange(octets).lines() {
            self.hear(line);
        }
    }

    fn exchange(&mut self, octets: &str) -> String {
        let connection = self.connection.as_mut().unwrap();
        connection.send(octets.as_bytes(), self.clock.now());
        assert!(!connection.closed, "hung up after {octets}");
        String::from_utf8(std::mem::take(&mut connection.output)).unwrap()
    }

    fn hear(&mut self, line: &str) {
        let args = parse(line.as_bytes(), &[]);
        let args: Vec<&str> = args
            .iter()
            .map(|arg| match arg {
                Arg::Atom(word) => word.as_str(),
                Arg::String(_) | Arg::List(_) | Arg::Code(_) => "",
            })
            .collect();
        self.hear_codes(line);
        let number = |at: usize| args.get(at).and_then(|word| word.parse::<usize>().ok());
        match (args[0], args.get(1).copied(), args.get(2).copied()) {
            ("*", Some(_), Some("EXISTS")) => {
                self.exists = number(1).unwrap();
                if !self.is_opening || self.dialect != Dialect::QResync {
                    assert!(self.exists >= self.numbers.len(), "{line}");
                    self.numbers.resize(self.exists, None);
                }
            }
            ("*", Some(_), Some("EXPUNGE")) => {
                assert_ne!(self.dialect, Dialect::QResync, "{line}");
                if let Some(uid) = self.numbers.remove(number(1).unwrap() - 1) {
                    self.flags.remove(&uid);
                }
            }
            ("*", Some(_), Some("FETCH")) => self.hear_fetch(number(1).unwrap(), line),
            ("*", Some("VANISHED"), _) => self.hear_vanished(line),
            ("*", Some("SEARCH"), _) => {
                self.heard.found = args[2..]
                    .iter()
                    .filter_map(|uid| uid.parse().ok())
                    .collect();
            }
            (tag, Some(status @ ("OK" | "NO" | "BAD")), _) if tag == format!("a{}", self.tag) => {
                self.heard.status = status.to_owned();
                self.note_mod_seq();
            }
            _ => {}
        }
    }

    /// As RFC 7162 §6 says: the HIGHESTMODSEQ told, even if lower ones were seen; else the greatest of the FETCH responses.
    fn note_mod_seq(&mut self) {
        self.mod_seq = match self.heard.highest {
            Some(highest) => highest,
            None => self.mod_seq.max(self.heard.mod_seq),
        };
    }

    fn hear_codes(&mut self, line: &str) {
        let code = |name: &str| {
            let rest = line.split_once(&format!("[{name} "))?.1;
            Some(rest.split([' ', ']']).next()?.to_owned())
        };
        if let Some(highest) = code("HIGHESTMODSEQ") {
            self.heard.highest = highest.parse().ok();
        }
        if let Some(validity) = code("UIDVALIDITY") {
            self.uid_validity = validity.parse().ok();
        }
        if let Some(modified) = code("MODIFIED") {
            self.heard.modified = modified;
        }
    }

    fn hear_fetch(&mut self, number: usize, line: &str) {
        let args = parse(line.as_bytes(), &[]);
        let Some(Arg::List(items)) = args.get(3) else {
            panic!("{line}");
        };
        let fetched = Fetched::of(items);
        self.heard.mod_seq = self.heard.mod_seq.max(fetched.mod_seq.unwrap_or(0));
        if let Some(uid) = fetched.uid {
            self.heard.pairs.push((number, uid));
            if !self.is_opening {
                let place = &mut self.numbers[number - 1];
                assert!(place.is_none_or(|known| known == uid), "{line}");
                *place = Some(uid);
            }
        }
        let known = self.numbers.get(number - 1).copied().flatten();
        let uid = fetched.uid.or(known);
        if let (Some(uid), Some(flags)) = (uid, fetched.flags) {
            self.heard.flags.insert(uid);
            self.flags.insert(uid, flags);
        }
    }

    fn hear_vanished(&mut self, line: &str) {
        assert_eq!(self.dialect, Dialect::QResync, "{line}");
        let is_earlier = line.contains("(EARLIER)");
        assert_eq!(is_earlier, self.is_opening, "{line}");
        for range in line.rsplit(' ').next().unwrap().split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
            if is_earlier {
                self.flags.retain(|uid, _| !(first..=last).contains(uid));
                continue;
            }
            for uid in first..=last {
                // one that was not asked for yet is one of the last
                let gone = Some(uid).filter(|uid| self.flags.remove(uid).is_some());
                let at = self.numbers.iter().rposition(|known| *known == gone);
                self.numbers
                    .remove(at.unwrap_or_else(|| panic!("{uid} in {line}")));
            }
        }
    }

    /// Compares with what a fresh client sees.
    pub(crate) fn check(&self, fresh: &Picture) {
        let seen: BTreeMap<u32, BTreeSet<String>> = fresh
            .iter()
            .map(|(uid, (flags, _))| (*uid, flags.clone()))
            .collect();
        assert_eq!(self.flags, seen, "{:?}: flags", self.dialect);
        let uids: Vec<Option<u32>> = seen.keys().copied().map(Some).collect();
        assert_eq!(self.numbers, uids, "{:?}: numbers", self.dialect);
    }
}
