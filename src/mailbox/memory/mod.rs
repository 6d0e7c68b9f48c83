//! A store in memory: the reference that real stores are compared with, and what tests and fuzz targets run sessions on.
//!
//! It does what [`super::backend`] asks for and nothing of its own: time is what [`Memory::set_now`] says, mailboxes and messages come
//! from the calls below, and any operation can be made to fail ([`Memory::fail_after`]) or to hang ([`Memory::hang`]).
//! Mail comes in two ways: [`MemoryMailbox::add`] puts a message there at once, [`MemoryMailbox::deliver`] lays it down as an MTA
//! does, unseen until somebody looks ([`super::backend::Mailbox::refresh`]).

mod account;
mod mailbox;
mod message;
mod watchers;

pub use account::MemoryAccount;
pub use mailbox::{MemoryMailbox, Pop3Fields};
pub use message::Mail;

use super::backend::{Account, Backend, Error, Owner, Result};
use super::name::MailboxName;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The moment at which the clock of a new [`Memory`] stands, in seconds since 1970: 2026-01-01 00:00 UTC.
pub const START: i64 = 1_767_225_600;

/// A store of many accounts, in memory. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    accounts: Arc<Mutex<BTreeMap<Arc<str>, Arc<MemoryAccount>>>>,
    conditions: Arc<Conditions>,
}

impl Memory {
    /// An empty store, with the clock at [`START`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock, in seconds since 1970.
    pub fn set_now(&self, now: i64) {
        self.conditions.now.store(now, Ordering::Relaxed);
    }

    /// Reads give at most so many octets at a time, as a busy file system may.
    pub fn limit_reads(&self, octets: usize) {
        self.conditions
            .read_octets
            .store(octets.max(1), Ordering::Relaxed);
    }

    /// Messages may be read ahead by other threads from now on.
    pub fn have_helpers(&self) {
        self.conditions.has_helpers.store(true, Ordering::Relaxed);
    }

    /// After so many more operations that went well, one fails with this error.
    pub fn fail_after(&self, operations: usize, error: Error) {
        lock(&self.conditions.faults).failure = Some((operations, error));
    }

    /// Every operation that may touch a disk blocks from now on, until what is returned is dropped.
    pub fn hang(&self) -> Hang {
        lock(&self.conditions.faults).hangs += 1;
        Hang(Arc::clone(&self.conditions))
    }

    /// The account of a user, made if it is not there, with an INBOX.
    pub fn account(&self, user: &str) -> Arc<MemoryAccount> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(user) {
            return Arc::clone(account);
        }
        let account = MemoryAccount::new(user, &self.conditions);
        accounts.insert(user.into(), Arc::clone(&account));
        account
    }

    /// A mailbox of a user; user and mailbox are made if they are not there.
    pub fn mailbox(&self, user: &str, name: &MailboxName) -> Arc<MemoryMailbox> {
        self.account(user).find_or_create(name)
    }

    /// The INBOX of a user, who is made if not there.
    pub fn inbox(&self, user: &str) -> Arc<MemoryMailbox> {
        self.mailbox(user, &MailboxName::inbox())
    }
}

impl Backend for Memory {
    fn locate(&self, user: &str, spool: Option<&Path>) -> Owner {
        Owner {
            user: user.into(),
            spool: spool.map_or_else(|| place_of(user), Path::to_owned),
        }
    }

    fn open_account(&self, owner: &Owner) -> Result<Arc<dyn Account>> {
        self.conditions.enter()?;
        Ok(self.account(&owner.user))
    }
}

/// Where the mail of a user is said to lie.
fn place_of(user: &str) -> PathBuf {
    Path::new("/memory").join(user)
}

/// While it lives, every operation hangs. See [`Memory::hang`].
#[derive(Debug)]
pub struct Hang(Arc<Conditions>);

impl Drop for Hang {
    fn drop(&mut self) {
        lock(&self.0.faults).hangs -= 1;
        self.0.released.notify_all();
    }
}

/// Clock and troubles, shared by everything in one [`Memory`].
#[derive(Debug)]
struct Conditions {
    /// Seconds since 1970.
    now: AtomicI64,
    /// Most octets that one read gives.
    read_octets: AtomicUsize,
    /// There are other threads that may read.
    has_helpers: AtomicBool,
    faults: Mutex<Faults>,
    /// Told when a [`Hang`] ends.
    released: Condvar,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            now: AtomicI64::new(START),
            read_octets: AtomicUsize::new(usize::MAX),
            has_helpers: AtomicBool::new(false),
            faults: Mutex::default(),
            released: Condvar::new(),
        }
    }
}

/// What is to go wrong.
#[derive(Debug, Default)]
struct Faults {
    /// Operations that still go well, and the error after them.
    failure: Option<(usize, Error)>,
    /// How many [`Hang`]s there are.
    hangs: usize,
}

impl Conditions {
    /// Passed by every operation that would touch a disk.
    fn enter(&self) -> Result<()> {
        let mut faults = lock(&self.faults);
        while faults.hangs > 0 {
            faults = self
                .released
                .wait(faults)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match faults.failure.take() {
            Some((0, error)) => Err(error),
            Some((operations, error)) => {
                faults.failure = Some((operations - 1, error));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The time, in seconds since 1970.
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

/// Locks, also after a panic of another holder: the test that panicked has failed anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
