//! Clients that remember a mailbox and ask "what changed since" of one process or another, while both change it, other programs work in
//! the spool, processes end and begin, and the index is damaged: each client holds what a fresh reader sees.

use super::spool::{Spool, change, flags, keyword, name, picture, set};
use restante::mailbox::backend::{Account, Intake, Mailbox};
use restante::mailbox::flag::{FlagAction, NamedFlags, SystemFlag};
use restante::mailbox::id::{ModSeq, Uid};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A random sequence that begins anew from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        if things.is_empty() {
            return None;
        }
        things.get(self.below(things.len()))
    }
}

/// What a client holds of the mailbox.
#[derive(Default)]
struct Client {
    highest: ModSeq,
    messages: BTreeMap<u32, String>,
}

impl Client {
    /// Asks what changed since it asked last, and believes it.
    fn resynchronise(&mut self, mailbox: &dyn Mailbox) {
        let now: BTreeMap<u32, String> = picture(mailbox).into_iter().collect();
        let messages = mailbox.read();
        match messages.expunged_since(self.highest) {
            Some(vanished) => self
                .messages
                .retain(|uid, _| !vanished.contains(Uid::new(*uid).unwrap())),
            // not remembered: all that are not there vanished
            None => self.messages.retain(|uid, _| now.contains_key(uid)),
        }
        for (at, uid) in messages.uids().iter().enumerate() {
            if messages.mod_seq_at(at) > self.highest {
                let flags = now.get(&uid.value()).unwrap().clone();
                self.messages.insert(uid.value(), flags);
            }
        }
        assert!(
            messages.highest_mod_seq() >= self.highest,
            "told {} before, {} now",
            self.highest,
            messages.highest_mod_seq()
        );
        self.highest = messages.highest_mod_seq();
    }
}

/// Two processes and their clients.
struct World {
    spool: Spool,
    random: Random,
    processes: Vec<Arc<dyn Account>>,
    clients: Vec<Client>,
}

impl World {
    fn new(seed: u64) -> Self {
        let spool = Spool::new();
        let processes = vec![spool.account(), spool.account()];
        Self {
            spool,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            processes,
            clients: (0..4).map(|_| Client::default()).collect(),
        }
    }

    fn inbox(&mut self) -> Arc<dyn Mailbox> {
        let at = self.random.below(self.processes.len());
        self.processes[at]
            .open(&name("INBOX"), Intake::Look)
            .unwrap()
    }

    /// One message of the mailbox as it is open somewhere, which may be gone.
    fn message(&mut self, mailbox: &dyn Mailbox) -> Option<u32> {
        let uids: Vec<u32> = super::spool::uids(mailbox);
        self.random.of(&uids).copied()
    }

    fn file(&mut self) -> Option<PathBuf> {
        let files = self.spool.files("cur");
        let file = self.random.of(&files)?;
        Some(self.spool.path("cur").join(file))
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..4 => self.change_flags(),
            4..6 => {
                let at = self.random.below(self.processes.len());
                let given: &[SystemFlag] = if self.random.below(2) == 0 {
                    &[]
                } else {
                    &[SystemFlag::Flagged]
                };
                let account = Arc::clone(&self.processes[at]);
                self.spool.append(&*account, "INBOX", b"\n", given);
            }
            6..8 => {
                let mailbox = self.inbox();
                if let Some(uid) = self.message(&*mailbox) {
                    mailbox.expunge(&set(&[uid])).unwrap();
                }
            }
            8 => {
                if let Some(file) = self.file() {
                    let letters = ["", "S", "FS", "R"][self.random.below(4)];
                    self.spool.rename_with_flags(&file, letters);
                }
            }
            9 => {
                if let Some(file) = self.file() {
                    fs::remove_file(file).unwrap();
                }
            }
            10 => self.spool.deliver("INBOX", b"\n"),
            11 => {
                let at = self.random.below(self.processes.len());
                self.processes[at] = self.spool.account();
            }
            _ => self.check(),
        }
    }

    fn change_flags(&mut self) {
        let mailbox = self.inbox();
        let Some(uid) = self.message(&*mailbox) else {
            return;
        };
        let given = match self.random.below(3) {
            0 => flags(&[SystemFlag::Seen]),
            1 => flags(&[SystemFlag::Answered]),
            _ => NamedFlags {
                keywords: vec![keyword(["$Work", "$Home"][self.random.below(2)])],
                ..NamedFlags::default()
            },
        };
        let action = [FlagAction::Add, FlagAction::Remove][self.random.below(2)];
        mailbox.store(&set(&[uid]), &change(action, given)).unwrap();
    }

    /// A client asks, and has what a reader has who sees the mailbox for the first time.
    fn check(&mut self) {
        let mailbox = self.inbox();
        let at = self.random.below(self.clients.len());
        let client = &mut self.clients[at];
        client.resynchronise(&*mailbox);
        let fresh = self.spool.account_without_index();
        let truth = picture(&*fresh.open(&name("INBOX"), Intake::Look).unwrap());
        let held: Vec<(u32, String)> = client.messages.clone().into_iter().collect();
        assert_eq!(sorted(held), sorted(truth));
    }

    /// Damages a file of the index.
    fn damage(&mut self) {
        let mut files: Vec<PathBuf> = fs::read_dir(self.spool.index())
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        // the only file in a mailbox that is made of another one
        files.push(self.spool.path("restante-uidlist-header"));
        let Some(file) = self.random.of(&files).cloned() else {
            return;
        };
        let kind = self.random.below(6);
        let Ok(mut octets) = fs::read(&file) else {
            return;
        };
        match kind {
            // journals come and go meanwhile
            0 => drop(fs::remove_file(&file)),
            1 => {
                while fs::remove_dir_all(self.spool.index())
                    .is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty)
                {
                }
            }
            2 => {
                // in place, as a bad disk would
                let length = self.random.below(octets.len() + 1);
                if let Ok(opened) = fs::File::options().write(true).open(&file) {
                    opened.set_len(length as u64).unwrap();
                }
            }
            3 => {
                let mut journal = file.into_os_string();
                journal.push("-journal");
                let garbage: Vec<u8> = (0..2000).map(|_| self.octet()).collect();
                fs::write(journal, garbage).unwrap();
            }
            _ if octets.is_empty() => {}
            _ => {
                for _ in 0..=self.random.below(20) {
                    let at = self.random.below(octets.len());
                    octets[at] ^= 1 << self.random.below(8);
                }
                // in place: the same file for whoever has it open
                fs::write(&file, octets).unwrap();
            }
        }
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.random.below(256)).unwrap()
    }
}

/// Keywords in the order of the alphabet, since positions are no two processes' alike.
fn sorted(rows: Vec<(u32, String)>) -> Vec<(u32, String)> {
    let sort = |words: String| {
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.sort_unstable();
        words.join(" ")
    };
    rows.into_iter()
        .map(|(uid, words)| (uid, sort(words)))
        .collect()
}

/// Seeds to play: one given in the environment to repeat it, else some that differ from run to run.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("INDEX_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
            let first = now.as_secs() * 1000;
            (first..first + count).collect()
        }
    }
}

/// Tells the seed of a world that came to an end before its time.
struct Telling(u64);

#[expect(clippy::print_stderr, reason = "what is needed to repeat it")]
impl Drop for Telling {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with INDEX_SEED={}", self.0);
        }
    }
}

#[test]
fn no_client_misses_a_change_of_either_process() {
    for seed in seeds(8) {
        let _telling = Telling(seed);
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.check();
    }
}

#[test]
fn no_damage_of_the_index_is_seen_by_clients() {
    for seed in seeds(8) {
        let _telling = Telling(seed);
        let mut world = World::new(seed);
        for _ in 0..150 {
            if world.random.below(6) == 0 {
                world.damage();
            }
            world.step();
        }
        world.check();
    }
}
