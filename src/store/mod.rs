//! Maildir behind the traits of [`crate::mailbox::backend`].
//!
//! ```text
//! Store ── AccountState (one per spool) ── OpenMailbox (one per mailbox) ── Mailbox, Message for the connections
//!                                            │ sync: disk → memory         scan, join: what is where
//!                                            │ flags, expunge, deliver, transfer: memory → disk
//!                                            │ remember: mod-sequences, over restarts and processes
//!                                            │ status: STATUS without opening
//!                                            └ watch: who is told
//! ```
//!
//! What holds throughout:
//!
//! - The spool is shared with delivery programs, other mail programs and other processes of this server. Nothing is assumed about names
//!   but what was just seen; a name that vanished is looked for again before anything is concluded.
//! - A UID is given under Dovecot's lock of the UID list and durable before anybody sees it.
//! - What is acknowledged is synced: the message, the directory that names it, the list that numbers it.
//! - No lock that connections need for a quick answer is held across a system call.
//!
//! ---
#![doc = include_str!("FORMATS.md")]

mod account;
mod admit;
mod clock;
mod compressed;
mod courier;
mod crew;
mod deliver;
mod doubles;
#[cfg(test)]
mod dovecot_tests;
mod expanded;
mod expunge;
mod failure;
mod familiar;
mod filename;
mod files;
mod first_list;
mod flags;
mod folders;
mod fresh;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod helpers;
mod join;
mod kept;
mod keyword_map;
mod keywords;
mod listing;
mod maildrop;
mod message_file;
mod names;
mod new_account;
mod notes;
mod object_ids;
mod open_mailbox;
#[cfg(any(test, feature = "bench"))]
pub(crate) mod pieces;
mod read_each;
mod remember;
mod roster;
mod scan;
mod scribe;
mod sizes;
mod special_use;
mod spool;
mod status;
mod subscriptions;
mod sync;
mod template;
mod transfer;
mod uid_validity;
mod uidlist;
mod uidlist_file;
mod waiters;
mod watch;

pub use folders::Layout;

use crate::index::Index;
use crate::mailbox::backend::{Account, Backend, Owner, Result};
use crate::mailbox::name::{MailboxName, SpecialUse};
use account::{AccountState, MaildirAccount};
use filename::NameMaker;
use fresh::Fresh;
use helpers::Helpers;
use kept::Kept;
use new_account::Readiness;
use notes::NoteCache;
use scribe::Scribe;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use waiters::Waiters;
use watch::Watcher;

/// What can be set of a store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where accounts lie that have no place of their own: a template with `%{user}`, `%{local}`, `%{domain}`.
    pub spool: String,
    /// How mailboxes lie in a spool.
    pub layout: Layout,
    /// Make the spool of an account that has none at its first login.
    pub create_spool: bool,
    /// Mailboxes that are made with a new spool.
    pub new_account: Vec<NewMailbox>,
    /// How long to wait for a lock that another program holds.
    pub lock_timeout: Duration,
    /// How old an unfinished delivery in `tmp/` must be to be removed: 36 hours by the custom of Maildir.
    pub tmp_age: Duration,
    /// Have the system tell of changes.
    pub watch: bool,
    /// How often watched mailboxes are looked at where the system does not tell.
    pub poll_interval: Duration,
    /// How many messages of mailboxes that nobody has open are kept in mind, over all accounts: 150 octets or so each.
    pub kept_messages: usize,
    /// How much memory notes about messages may take, over all accounts, in octets; more of them are in the index.
    pub notes_octets: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spool: "/var/mail/%{domain}/%{local}/Maildir".to_owned(),
            layout: Layout::MaildirPlusPlus,
            create_spool: true,
            new_account: Vec::new(),
            lock_timeout: Duration::from_secs(20),
            tmp_age: Duration::from_secs(36 * 3600),
            watch: true,
            poll_interval: Duration::from_secs(15),
            kept_messages: 500_000,
            notes_octets: 64 << 20,
        }
    }
}

/// A mailbox for new accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMailbox {
    /// Its name.
    pub name: MailboxName,
    /// What it is for.
    pub special_use: Vec<SpecialUse>,
    /// Subscribe to it.
    pub subscribe: bool,
}

/// Maildir spools of many accounts.
#[derive(Debug)]
pub struct Store {
    state: Arc<StoreState>,
    accounts: Mutex<Accounts>,
}

/// How many accounts are kept in mind that nobody uses, so that one whose clients come and go is not looked at anew each time.
const KEPT_ACCOUNTS: usize = 256;

/// The accounts that are in use, or were lately.
#[derive(Debug, Default)]
struct Accounts {
    known: HashMap<PathBuf, Weak<AccountState>>,
    /// Those that came last, the latest at the end.
    kept: VecDeque<Arc<AccountState>>,
}

/// What all accounts share.
#[derive(Debug)]
struct StoreState {
    settings: Settings,
    names: NameMaker,
    watcher: Arc<Watcher>,
    kept: Kept,
    notes: NoteCache,
    helpers: Helpers,
    waiters: Waiters,
    /// Others of them, so that what is removed keeps nobody from syncing.
    removers: Waiters,
    fresh: Fresh,
    index: Option<Arc<dyn Index>>,
    scribe: Scribe,
}

impl Store {
    /// A store without an index; touches no disk.
    pub fn new(settings: Settings) -> Self {
        Self::with_index(settings, None)
    }

    /// A store that remembers in an index what can be remembered there.
    pub fn with_index(settings: Settings, index: Option<Arc<dyn Index>>) -> Self {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        // without random octets the time in names still tells processes apart
        let first = getrandom::u32().unwrap_or_default();
        let to = index.clone();
        let scribe = Scribe::new(move |pages| {
            if let Some(index) = &to {
                notes::write(&**index, pages);
            }
        });
        Self {
            state: Arc::new(StoreState {
                names: NameMaker::new(&host, std::process::id(), first),
                watcher: Watcher::new(settings.watch, settings.poll_interval),
                kept: Kept::new(settings.kept_messages),
                notes: NoteCache::new(settings.notes_octets),
                helpers: Helpers::default(),
                waiters: Waiters::default(),
                removers: Waiters::default(),
                fresh: Fresh::default(),
                index,
                scribe,
                settings,
            }),
            accounts: Mutex::default(),
        }
    }

    /// Starts the threads that help to read, for a process that will have readers.
    pub fn start(&self) {
        self.state.helpers.start();
    }

    /// Notes what a next process need not find out anew, for the end of this one. Takes some 0.2 ms for each thousand messages in memory.
    pub fn rest(&self) {
        self.state.scribe.finish();
        self.state.kept.rest();
    }

    /// Opens an account when so much of it is ready.
    fn open(&self, owner: &Owner, wanted: Readiness) -> Result<Arc<dyn Account>> {
        let state = self.account(&owner.spool);
        state.make_ready(&owner.user, wanted)?;
        Ok(Arc::new(MaildirAccount::new(&owner.user, state)))
    }

    /// What is shared by all who use a spool.
    fn account(&self, root: &Path) -> Arc<AccountState> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Accounts { known, kept } = &mut *accounts;
        if let Some(account) = known.get(root).and_then(Weak::upgrade) {
            return account;
        }
        let account = Arc::new(AccountState::new(Arc::clone(&self.state), root));
        let let_go = (kept.len() >= KEPT_ACCOUNTS)
            .then(|| kept.pop_front())
            .flatten();
        kept.push_back(Arc::clone(&account));
        // those that nobody uses any more go when the table would grow
        if known.len() == known.capacity() {
            known.retain(|_, account| account.strong_count() > 0);
        }
        known.insert(root.to_owned(), Arc::downgrade(&account));
        drop(accounts);
        drop(let_go);
        account
    }
}

impl Backend for Store {
    fn locate(&self, user: &str, spool: Option<&Path>) -> Owner {
        Owner {
            user: user.into(),
            spool: spool.map_or_else(
                || template::expand(&self.state.settings.spool, user),
                Path::to_owned,
            ),
        }
    }

    fn open_account(&self, owner: &Owner) -> Result<Arc<dyn Account>> {
        self.open(owner, Readiness::Mailboxes)
    }

    fn open_maildrop(&self, owner: &Owner) -> Result<Arc<dyn Account>> {
        self.open(owner, Readiness::Inbox)
    }
}
