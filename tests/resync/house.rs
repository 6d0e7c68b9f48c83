//! The server over one spool, and the programs beside it.

use crate::imap_args::{Arg, parse};
use crate::random::Random;
use crate::shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use restante::imap::{Services, Session, Settings};
use restante::index::sqlite::Databases;
use restante::store::{self, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Flags by UID, without `\Recent`, and mod-sequences.
pub(crate) type Picture = BTreeMap<u32, (BTreeSet<String>, u64)>;

/// Two servers on one spool and one index, as while one takes over from the other; an MTA and a program that meddles.
pub(crate) struct House {
    directory: tempfile::TempDir,
    stores: [Arc<Store>; 2],
    pub(crate) clock: Clock,
    deliveries: u64,
}

impl House {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(directory.path().join("anna").join(name)).unwrap();
        }
        let stores = [open(&directory), open(&directory)];
        let mut house = Self {
            directory,
            stores,
            clock: Clock::new(),
            deliveries: 0,
        };
        house.fresh_session(0, &["CREATE Other"]);
        house.deliveries = 1;
        house
    }

    /// Ends the servers, in order or as a crash would, and starts them again; sometimes the index is lost.
    pub(crate) fn restart(&mut self, random: &mut Random) {
        let nothing = Arc::new(Store::new(store::Settings::default()));
        for place in &mut self.stores {
            // what it held goes before the next one begins
            let store = std::mem::replace(place, Arc::clone(&nothing));
            if random.below(2) == 0 {
                std::mem::forget(store);
            }
        }
        if random.below(4) == 0 {
            drop(fs::remove_dir_all(self.directory.path().join("index")));
        }
        self.stores = [open(&self.directory), open(&self.directory)];
    }

    /// A connection to one of the servers that has not logged in.
    pub(crate) fn connection(&self, server: usize) -> Connection {
        let host = TestHost::at(1_700_000_000);
        let services = Services {
            backend: self.stores[server].clone(),
            authenticator: Arc::new(TestAuthenticator::default()),
            host: host.clone(),
        };
        let session = Session::new(
            Arc::new(Settings::default()),
            services,
            Connection::peer(1, true),
        );
        let mut connection = Connection::new(Box::new(session), host, Cut::Whole);
        connection.run(self.clock.now());
        connection.output.clear();
        connection
    }

    /// Says these commands on a connection of its own; returns all that is answered.
    fn fresh_session(&self, server: usize, commands: &[&str]) -> Vec<u8> {
        let mut connection = self.connection(server);
        for command in ["LOGIN anna secret"].iter().chain(commands) {
            connection.send(format!("x {command}\r\n").as_bytes(), self.clock.now());
        }
        std::mem::take(&mut connection.output)
    }

    /// What a client sees that knows nothing.
    pub(crate) fn fresh(&self, server: usize) -> Picture {
        let output = self.fresh_session(server, &["EXAMINE INBOX", "UID FETCH 1:* (FLAGS MODSEQ)"]);
        let mut picture = Picture::new();
        for line in String::from_utf8(output).unwrap().lines() {
            if let [_, _, Arg::Atom(word), Arg::List(items)] = &parse(line.as_bytes(), &[])[..]
                && word == "FETCH"
            {
                let fetched = Fetched::of(items);
                let flags = fetched.flags.unwrap();
                picture.insert(fetched.uid.unwrap(), (flags, fetched.mod_seq.unwrap()));
            }
        }
        picture
    }

    /// The MTA delivers.
    pub(crate) fn deliver(&mut self, random: &mut Random) {
        self.deliveries += 1;
        let name = format!(
            "{}.M{}P7.mta",
            1_700_000_000 + self.deliveries,
            random.below(1_000_000)
        );
        let text = format!("Subject: {}\n\ntext\n", self.deliveries);
        fs::write(self.path("tmp").join(&name), text).unwrap();
        fs::rename(self.path("tmp").join(&name), self.path("new").join(&name)).unwrap();
    }

    /// Another program marks, unmarks or removes a message, or takes one out of `new/`.
    pub(crate) fn meddle(&self, random: &mut Random) {
        let place = random.pick(&["cur", "cur", "cur", "new"]);
        let mut names: Vec<String> = fs::read_dir(self.path(place))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        if names.is_empty() {
            return;
        }
        let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
        let from = self.path(place).join(name);
        if random.below(4) == 0 {
            fs::remove_file(from).unwrap();
            return;
        }
        let base = name.split(':').next().unwrap();
        let flags = random.pick(&["", "S", "F", "FS", "RS", "T", "DFRST"]);
        fs::rename(from, self.path("cur").join(format!("{base}:2,{flags}"))).unwrap();
    }

    fn path(&self, place: &str) -> PathBuf {
        self.directory.path().join("anna").join(place)
    }
}

fn open(directory: &tempfile::TempDir) -> Arc<Store> {
    let path = directory.path();
    let settings = store::Settings {
        spool: path.join("%{user}").to_string_lossy().into_owned(),
        // servers that crash here leave what they opened behind
        watch: false,
        ..store::Settings::default()
    };
    let index = Databases::new(&path.join("index")).unwrap();
    Arc::new(Store::with_index(settings, Some(Arc::new(index))))
}

/// The items of a FETCH response that matter here.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<BTreeSet<String>>,
    pub(crate) mod_seq: Option<u64>,
}

impl Fetched {
    pub(crate) fn of(items: &[Arg]) -> Self {
        let mut fetched = Self::default();
        for pair in items.chunks(2) {
            match pair {
                [Arg::Atom(name), Arg::Atom(value)] if name == "UID" => {
                    fetched.uid = value.parse().ok();
                }
                [Arg::Atom(name), Arg::List(values)] if name == "FLAGS" => {
                    let words = values.iter().map(|value| match value {
                        Arg::Atom(word) => word.to_lowercase(),
                        other => panic!("{other:?} is no flag"),
                    });
                    fetched.flags = Some(words.filter(|word| word != "\\recent").collect());
                }
                [Arg::Atom(name), Arg::List(values)] if name == "MODSEQ" => match &values[..] {
                    [Arg::Atom(value)] => fetched.mod_seq = value.parse().ok(),
                    other => panic!("{other:?} is no mod-sequence"),
                },
                other => panic!("{other:?} was not asked for"),
            }
        }
        fetched
    }
}
