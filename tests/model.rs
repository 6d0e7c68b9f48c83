//! Random operations on the store in memory and on Maildirs, which must agree after every one of them.
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

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use restante::index::sqlite::Databases;
use restante::mailbox::backend::{Account, Backend, Error, FlagChange, Intake, Listed, Mailbox};
use restante::mailbox::flag::{FlagAction, Flags, Keyword, NamedFlags, SystemFlag};
use restante::mailbox::id::Uid;
use restante::mailbox::memory::Memory;
use restante::mailbox::name::MailboxName;
use restante::mailbox::uid_set::UidSet;
use restante::store::{Layout, Settings, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

const NAMES: [&str; 6] = [
    "INBOX",
    "Letters",
    "Work",
    "Work/a.b",
    "Work/Müll & Co",
    "INBOX/x",
];
const KEYWORDS: [&str; 4] = ["$Forwarded", "NonJunk", "$label1", "z"];

/// One thing that a client may do. Messages are named by their place among those there are.
#[derive(Debug, Clone)]
enum Operation {
    Append {
        mailbox: usize,
        flags: u8,
        octets: Vec<u8>,
        date: i64,
    },
    Store {
        mailbox: usize,
        messages: u8,
        action: u8,
        flags: u8,
    },
    Expunge {
        mailbox: usize,
        messages: u8,
    },
    Copy {
        mailbox: usize,
        messages: u8,
        target: usize,
    },
    Move {
        mailbox: usize,
        messages: u8,
        target: usize,
    },
    Create {
        mailbox: usize,
    },
    Delete {
        mailbox: usize,
    },
    Rename {
        mailbox: usize,
        target: usize,
    },
    Subscribe {
        mailbox: usize,
        on: bool,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let mailbox = 0..NAMES.len();
    let octets = proptest::collection::vec(
        prop_oneof![
            Just(b'\n'),
            Just(b'\r'),
            Just(b'a'),
            Just(b':'),
            any::<u8>()
        ],
        0..80,
    );
    prop_oneof![
        6 => (mailbox.clone(), any::<u8>(), octets, 0..2_000_000_000_i64)
            .prop_map(|(mailbox, flags, octets, date)| Operation::Append { mailbox, flags, octets, date }),
        5 => (mailbox.clone(), any::<u8>(), 0..3_u8, any::<u8>())
            .prop_map(|(mailbox, messages, action, flags)| Operation::Store { mailbox, messages, action, flags }),
        2 => (mailbox.clone(), any::<u8>()).prop_map(|(mailbox, messages)| Operation::Expunge { mailbox, messages }),
        3 => (mailbox.clone(), any::<u8>(), mailbox.clone())
            .prop_map(|(mailbox, messages, target)| Operation::Copy { mailbox, messages, target }),
        3 => (mailbox.clone(), any::<u8>(), mailbox.clone())
            .prop_map(|(mailbox, messages, target)| Operation::Move { mailbox, messages, target }),
        3 => mailbox.clone().prop_map(|mailbox| Operation::Create { mailbox }),
        1 => mailbox.clone().prop_map(|mailbox| Operation::Delete { mailbox }),
        1 => (mailbox.clone(), mailbox.clone()).prop_map(|(mailbox, target)| Operation::Rename { mailbox, target }),
        1 => (mailbox, any::<bool>()).prop_map(|(mailbox, on)| Operation::Subscribe { mailbox, on }),
    ]
}

fn name(index: usize) -> MailboxName {
    MailboxName::parse(NAMES[index], '/').unwrap()
}

/// The low five bits are system flags, the others keywords.
fn named(bits: u8) -> NamedFlags {
    let system = SystemFlag::ALL
        .into_iter()
        .filter(|flag| bits & (1 << *flag as u8) != 0)
        .collect::<Flags>();
    let chosen = usize::from(bits >> 5);
    let keywords = KEYWORDS
        .iter()
        .take(chosen.min(KEYWORDS.len()))
        .map(|text| Keyword::new(text).unwrap())
        .collect();
    NamedFlags { system, keywords }
}

/// Those messages of a mailbox whose place has its bit set, by place modulo eight.
fn chosen(mailbox: &dyn Mailbox, bits: u8) -> UidSet {
    let messages = mailbox.messages().read().unwrap();
    messages
        .uids()
        .iter()
        .enumerate()
        .filter(|(at, _)| bits & (1 << (at % 8)) != 0)
        .map(|(_, uid)| *uid)
        .collect()
}

/// What an operation gave, made comparable: UIDVALIDITY differs between stores.
type Outcome = Result<Vec<u32>, Error>;

/// Does an operation; texts of errors are each store's own.
fn perform(account: &dyn Account, operation: &Operation) -> Outcome {
    attempt(account, operation).map_err(|error| match error {
        Error::InUse(_) => Error::InUse(String::new()),
        Error::Cannot(_) => Error::Cannot(String::new()),
        Error::Limit(_) => Error::Limit(String::new()),
        other => other,
    })
}

fn attempt(account: &dyn Account, operation: &Operation) -> Outcome {
    let numbers = |uids: &UidSet| uids.iter().map(Uid::value).collect::<Vec<_>>();
    match operation {
        Operation::Append {
            mailbox,
            flags,
            octets,
            date,
        } => {
            let mut upload = account.upload(&name(*mailbox))?;
            let (first, second) = octets.split_at(octets.len() / 2);
            upload.write(first)?;
            upload.write(second)?;
            upload.finish(&named(*flags), Some(*date))?;
            let placed = account.deliver(&name(*mailbox), vec![upload])?;
            Ok(placed.uids.iter().map(|uid| uid.value()).collect())
        }
        Operation::Store {
            mailbox,
            messages,
            action,
            flags,
        } => {
            let mailbox = account.open(&name(*mailbox), Intake::Take)?;
            let action =
                [FlagAction::Replace, FlagAction::Add, FlagAction::Remove][usize::from(*action)];
            let change = FlagChange {
                action,
                flags: named(*flags),
                unchanged_since: None,
            };
            let stored = mailbox.store(&chosen(&*mailbox, *messages), &change)?;
            Ok(numbers(&stored.missing))
        }
        Operation::Expunge { mailbox, messages } => {
            let mailbox = account.open(&name(*mailbox), Intake::Take)?;
            Ok(numbers(&mailbox.expunge(&chosen(&*mailbox, *messages))?))
        }
        Operation::Copy {
            mailbox,
            messages,
            target,
        } => {
            let mailbox = account.open(&name(*mailbox), Intake::Take)?;
            let done = mailbox.copy(&chosen(&*mailbox, *messages), &name(*target))?;
            Ok(done
                .pairs
                .iter()
                .flat_map(|(from, to)| [from.value(), to.value()])
                .collect())
        }
        Operation::Move {
            mailbox,
            messages,
            target,
        } => {
            let mailbox = account.open(&name(*mailbox), Intake::Take)?;
            let done = mailbox.move_to(&chosen(&*mailbox, *messages), &name(*target))?;
            Ok(done
                .pairs
                .iter()
                .flat_map(|(from, to)| [from.value(), to.value()])
                .collect())
        }
        Operation::Create { mailbox } => account.create(&name(*mailbox), &[]).map(|()| Vec::new()),
        Operation::Delete { mailbox } => account.delete(&name(*mailbox)).map(|()| Vec::new()),
        Operation::Rename { mailbox, target } => account
            .rename(&name(*mailbox), &name(*target))
            .map(|()| Vec::new()),
        Operation::Subscribe { mailbox, on } => account
            .set_subscribed(&name(*mailbox), *on)
            .map(|()| Vec::new()),
    }
}

/// One message as a client sees it: UID, flags and keywords by name, size, date, octets with CRLF.
type Seen = (u32, Vec<String>, u64, i64, Vec<u8>);

/// Everything that a client can see of an account.
fn picture(
    account: &dyn Account,
) -> (
    Vec<Listed>,
    Vec<MailboxName>,
    BTreeMap<MailboxName, Vec<Seen>>,
) {
    let listed = account.mailboxes().unwrap();
    let mut mailboxes = BTreeMap::new();
    for listed in listed.iter().filter(|listed| listed.selectable) {
        let mailbox = account.open(&listed.name, Intake::Take).unwrap();
        let uids = mailbox.messages().read().unwrap().uids().to_vec();
        let seen = uids.into_iter().map(|uid| see(&*mailbox, uid)).collect();
        mailboxes.insert(listed.name.clone(), seen);
    }
    (
        listed,
        account.subscriptions().unwrap().into_iter().collect(),
        mailboxes,
    )
}

fn see(mailbox: &dyn Mailbox, uid: Uid) -> Seen {
    let stored = mailbox.message(uid).unwrap().read_all().unwrap();
    let mut octets = Vec::new();
    for (at, octet) in stored.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || stored[at - 1] != b'\r') {
            octets.push(b'\r');
        }
        octets.push(*octet);
    }
    let (size, date) = (
        mailbox.size(uid).unwrap(),
        mailbox.internal_date(uid).unwrap(),
    );
    assert_eq!(size, octets.len() as u64, "size of {uid}");
    let messages = mailbox.messages().read().unwrap();
    let flags = messages.flags(uid).unwrap();
    let mut names: Vec<String> = flags
        .system_flags()
        .map(|flag| flag.as_str().to_owned())
        .collect();
    names.extend(
        flags
            .keyword_indexes()
            .map(|index| messages.keywords().keyword(index).unwrap().to_string()),
    );
    names.sort();
    (uid.value(), names, size, date, octets)
}

fn fresh(store: &dyn Backend) -> Arc<dyn Account> {
    store.open_account(&store.locate("anna", None)).unwrap()
}

#[test]
fn maildir_and_memory_agree() {
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let sequences = proptest::collection::vec(operation(), 1..40);
    let cases = (sequences, any::<bool>());
    let outcome = runner.run(&cases, |(operations, is_fs)| {
        let directory = tempfile::tempdir().unwrap();
        let spool = format!("{}/%{{user}}/Maildir", directory.path().display());
        let settings = Settings {
            spool,
            layout: if is_fs {
                Layout::Fs
            } else {
                Layout::MaildirPlusPlus
            },
            ..Settings::default()
        };
        // as the server has it: with an index beside the spools
        let open = || {
            let index = Databases::new(&directory.path().join("index")).unwrap();
            fresh(&Store::with_index(settings.clone(), Some(Arc::new(index))))
        };
        let memory = Memory::new();
        let model = fresh(&memory);
        let mut real = open();
        for (step, operation) in operations.iter().enumerate() {
            prop_assert_eq!(
                perform(&*real, operation),
                perform(&*model, operation),
                "{:?}",
                operation
            );
            prop_assert_eq!(picture(&*real), picture(&*model), "after {:?}", operation);
            if step % 5 == 4 {
                // another process on the same spool sees the same
                real = open();
                prop_assert_eq!(
                    picture(&*real),
                    picture(&*model),
                    "in a new process after {:?}",
                    operation
                );
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
