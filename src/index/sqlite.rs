//! The index in SQLite: one database for each account, in one directory outside the spools.
//!
//! - Nothing is synced when it is written, as nothing here must outlive a power cut: a database that the machine's last run did not
//!   close in order is begun anew. The last connection to close one syncs it and says so in it (`about.boot`).
//! - The journal is a rollback journal. A write-ahead log would need a file that is mapped into memory, and whoever truncates such a
//!   file ends the processes that have it mapped.
//! - A database that is damaged is removed and begun anew; one that was removed or replaced while it was open is noticed by its
//!   inode. A record that is damaged is begun anew alone.
//! - A database that cannot be used (locked for long, no room, no permission) is left alone for `RETRY_AFTER`; the server goes on
//!   from memory.
//! - Few are open at a time (`MAX_OPEN`), and one that nobody has used for `REST_AFTER`, or that was opened long before others, *rests*: it is
//!   closed without a sync and without a word in it, as it will be used again. So an account that only waits costs neither memory nor files.

use super::codec::{NOTHING, Reader, Writer, seal_wide, sum};
use super::committer::Committer;
use super::database::{Database, Trouble, make_directory};
use super::record::{seed, seed_of};
use super::{Change, Index, Key, Result, StatusNote, Unavailable, Version, now};
use crate::mailbox::id::ModSeq;
use crate::mailbox::notes::{Page, PageId};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How long a database that could not be used is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How often trouble is told, over all accounts.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Time without use after which a database rests: longer than the pauses between the commands of one synchronisation.
pub(super) const REST_AFTER: Duration = Duration::from_secs(1);

/// Databases that may be open without being used: two files and some 200 KiB each, which the allocator does not give back.
const FEW_OPEN: usize = 16;

/// Time without use after which a database may rest where more are open: some pauses of a client that is at work are shorter.
const SOON: Duration = Duration::from_millis(20);

/// Most databases open at a time, those in use apart.
pub(super) const MAX_OPEN: usize = 256;

/// How many databases are looked at for each that is opened: two, so that they become fewer again.
const LOOKED_AT: usize = 2;

/// Most databases that are open or rest; others are closed in order, which syncs.
const MAX_KNOWN: usize = 1024;

/// How many threads close databases at the end, most of the time of which is waiting for the disk.
const CLOSERS: usize = 16;

/// Longest readable part of a database's name, in octets.
const MAX_NAME_OCTETS: usize = 100;

/// The indexes of all accounts, in one directory.
#[derive(Debug)]
pub struct Databases {
    directory: PathBuf,
    /// By the sum over the account's place, the one used last at the end.
    known: Mutex<Vec<(u64, Arc<Mutex<Slot>>)>>,
    /// Those that were opened last, the latest at the end; some may rest already.
    opened: Mutex<VecDeque<Weak<Mutex<Slot>>>>,
    committer: Committer,
    /// When trouble was told last.
    told: Mutex<Option<Instant>>,
}

/// One account's database.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    database: Option<Database>,
    retry_at: Option<Instant>,
    /// When it was used last.
    used_at: Instant,
    /// It rests, and is to be closed in order yet.
    is_dirty: bool,
    /// The committer comes to see whether it may rest.
    is_awaited: bool,
}

impl Databases {
    /// In a directory, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        make_directory(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            known: Mutex::default(),
            opened: Mutex::default(),
            committer: Committer::default(),
            told: Mutex::default(),
        })
    }

    /// Closes all databases in order, for the end of the process. What somebody is still at is closed when that ends.
    pub fn close(&self) {
        let mut known = std::mem::take(&mut *lock(&self.known));
        let share = known.len().div_ceil(CLOSERS);
        thread::scope(|scope| {
            while !known.is_empty() {
                let part = known.split_off(known.len().saturating_sub(share));
                // without a thread it is done here
                let closer = thread::Builder::new().spawn_scoped(scope, move || drop(part));
                if let Err(error) = closer {
                    tracing::debug!(%error, "index_thread_refused");
                }
            }
        });
        self.committer.stop();
    }

    /// The database of an account: its place in readable form, and a sum that tells places apart.
    pub fn path(&self, account: &Path) -> PathBuf {
        let readable = |octet: &u8| match octet {
            b'/' => '-',
            b'.' | b'@' | b'_' | b'+' => char::from(*octet),
            _ if octet.is_ascii_alphanumeric() => char::from(*octet),
            _ => '_',
        };
        let place = account.as_os_str().as_bytes();
        let start = place.len().saturating_sub(MAX_NAME_OCTETS);
        let end: String = place.iter().skip(start).map(readable).collect();
        let end = end.trim_start_matches(['-', '.']);
        self.directory
            .join(format!("{end}-{:016x}.sqlite", sum(NOTHING, place)))
    }

    /// The slot of an account. Those used longest ago are let go.
    pub(super) fn slot(&self, account: &Path) -> Arc<Mutex<Slot>> {
        let id = sum(NOTHING, account.as_os_str().as_bytes());
        let mut known = lock(&self.known);
        if let Some(at) = known.iter().rposition(|(known, _)| *known == id) {
            let used = known.remove(at);
            let slot = Arc::clone(&used.1);
            known.push(used);
            return slot;
        }
        let slot = Arc::new(Mutex::new(Slot {
            path: self.path(account),
            database: None,
            retry_at: None,
            used_at: now(),
            is_dirty: false,
            is_awaited: false,
        }));
        let let_go = (known.len() >= MAX_KNOWN).then(|| known.remove(0));
        known.push((id, Arc::clone(&slot)));
        drop(known);
        // closed without the lock, since that syncs
        drop(let_go);
        slot
    }

    /// How many databases are looked after, so that they rest when nobody uses them.
    #[cfg(test)]
    pub(super) fn rests(&self) -> usize {
        self.committer.rests()
    }

    /// A database is about to be opened: if many are, those opened longest ago rest, unless somebody uses them.
    fn make_room(&self, opening: &Arc<Mutex<Slot>>) {
        let now = now();
        lock(&self.opened).push_back(Arc::downgrade(opening));
        for _ in 0..LOOKED_AT {
            let mut opened = lock(&self.opened);
            let are_too_many = opened.len() > MAX_OPEN;
            let first = (opened.len() > FEW_OPEN).then(|| opened.pop_front());
            drop(opened);
            let Some(first) = first.flatten().and_then(|slot| slot.upgrade()) else {
                continue;
            };
            let is_used = match first.try_lock() {
                Ok(mut slot) => {
                    let is_used = slot.is_used(SOON, now) && !are_too_many;
                    if !is_used {
                        slot.rest_now();
                    }
                    is_used
                }
                Err(_) => true,
            };
            if is_used {
                lock(&self.opened).push_back(Arc::downgrade(&first));
            }
        }
    }

    /// Runs work on an account's database; a second time if it was damaged and had to be begun anew.
    fn run<T>(
        &self,
        account: &Path,
        mut work: impl FnMut(&mut Database) -> std::result::Result<T, Trouble>,
    ) -> Result<T> {
        let shared = self.slot(account);
        let mut slot = lock(&shared);
        if slot.retry_at.is_some_and(|retry_at| now() < retry_at) {
            return Err(Unavailable);
        }
        slot.retry_at = None;
        slot.used_at = now();
        if slot.database.is_none() {
            self.make_room(&shared);
            slot.is_awaited = slot.is_awaited || self.committer.let_rest(&shared);
        }
        for is_last in [false, true] {
            let before = slot.turn_ends();
            let outcome = slot.database().and_then(&mut work);
            match outcome {
                Ok(value) => {
                    let begun = slot.turn_ends().filter(|_| before != slot.turn_ends());
                    if begun.is_some_and(|end| !self.committer.add(end, &shared)) {
                        slot.end_turn_now();
                    }
                    return Ok(value);
                }
                Err(Trouble::Damaged(cause)) if !is_last && slot.begin_anew(&cause) => {}
                Err(Trouble::TooLate) => {
                    slot.drop_if_lost();
                    return Err(Unavailable);
                }
                Err(trouble) => {
                    slot.drop_if_lost();
                    slot.close();
                    slot.retry_at = now().checked_add(RETRY_AFTER);
                    self.tell(&slot.path, &trouble);
                    return Err(Unavailable);
                }
            }
        }
        Err(Unavailable)
    }

    /// Tells of trouble, not too often.
    fn tell(&self, path: &Path, trouble: &Trouble) {
        let mut told = lock(&self.told);
        if told.is_some_and(|told| now().duration_since(told) < TELL_EVERY) {
            return;
        }
        *told = Some(now());
        tracing::warn!(
            path = ?path,
            cause = %trouble,
            advice = "mail is served without it; see who holds it, and the volume it lies on",
            "index_unavailable"
        );
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.close();
    }
}

impl Slot {
    /// The database, opened if it is not, or not the one in its place any more.
    fn database(&mut self) -> std::result::Result<&mut Database, Trouble> {
        if let Some(open) = &self.database
            && !open.is_at(&self.path)
        {
            tracing::warn!(path = ?self.path, cause = "removed or replaced", "index_rebuilt");
            self.close();
        }
        match &mut self.database {
            Some(database) => Ok(database),
            closed => {
                let mut database = Database::open(&self.path)?;
                if std::mem::take(&mut self.is_dirty) {
                    database.wake();
                }
                Ok(closed.insert(database))
            }
        }
    }

    /// When the turn of the database ends, if it has one.
    fn turn_ends(&self) -> Option<Instant> {
        self.database.as_ref().and_then(Database::turn_ends)
    }

    /// Ends the turn if it is time. What cannot be committed is lost, and found out by the next look at the mailbox.
    pub(super) fn end_turn(&mut self, now: Instant) {
        if self.turn_ends().is_some_and(|end| end <= now) {
            self.end_turn_now();
        }
    }

    fn end_turn_now(&mut self) {
        if let Some(Err(trouble)) = self.database.as_mut().map(Database::commit) {
            tracing::debug!(path = ?self.path, cause = %trouble, "index_not_committed");
            self.drop_if_lost();
        }
    }

    /// Lets the database rest if it was not used for long enough; when to look again if it was. One whose last writer may have been killed
    /// stays open, as it knows which of its mailboxes are in doubt.
    pub(super) fn rest(&mut self, now: Instant) -> Option<Instant> {
        if self.is_used(REST_AFTER, now) {
            return self.used_at.checked_add(REST_AFTER);
        }
        self.is_awaited = false;
        self.rest_now();
        None
    }

    /// True if the database is open and was used that short a time ago.
    fn is_used(&self, within: Duration, now: Instant) -> bool {
        let ago = now.saturating_duration_since(self.used_at);
        self.database.is_some() && ago < within
    }

    /// Lets the database rest.
    fn rest_now(&mut self) {
        self.end_turn_now();
        if let Some(database) = self.database.take_if(|database| !database.is_in_doubt()) {
            self.is_dirty |= database.rest();
        }
    }

    /// Removes the database if changes were lost.
    fn drop_if_lost(&mut self) {
        if self.database.as_ref().is_some_and(Database::has_lost) {
            self.begin_anew("changes of it were lost");
        }
    }

    /// Closes the database without a word that it is in order.
    fn close(&mut self) {
        if let Some(database) = self.database.take() {
            database.abandon();
        }
    }

    /// Removes a database that is not to be believed; false if that cannot be done.
    fn begin_anew(&mut self, cause: &str) -> bool {
        self.close();
        for end in ["", "-journal", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(end);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(?path, %error, "index_not_removed");
                    return false;
                }
                Ok(()) | Err(_) => {}
            }
        }
        tracing::warn!(path = ?self.path, cause, "index_rebuilt");
        true
    }
}

impl Drop for Slot {
    /// Closes in order what rests.
    fn drop(&mut self) {
        if self.is_dirty
            && self.path.exists()
            && let Err(trouble) = self.database()
        {
            tracing::debug!(path = ?self.path, cause = %trouble, "index_not_closed_in_order");
        }
    }
}

impl Index for Databases {
    fn change(
        &self,
        account: &Path,
        key: &Key,
        known: Option<Version>,
        change: &mut Change<'_>,
    ) -> Result<Option<Version>> {
        let mut change = Some(change);
        self.run(account, |database| {
            database.write(|database| {
                let found = database.find(key, known)?;
                let wants_whole = database.state(key)?.is_none_or(|state| state.wants_whole());
                let record = match change.take() {
                    Some(change) => change(found, wants_whole),
                    None => return Err(Trouble::TooLate),
                };
                database.record(key, record)
            })
        })
    }

    fn status(&self, account: &Path, key: &Key) -> Result<Option<(StatusNote, ModSeq)>> {
        self.run(account, |database| {
            database.write(|database| {
                let Some(state) = database.state(key)? else {
                    return Ok(None);
                };
                let note = database.status(key)?.and_then(|octets| {
                    StatusNote::read(&mut Reader::open(&octets, seed(&key.guid))?)
                });
                Ok(note.map(|note| (note, state.highest_mod_seq)))
            })
        })
    }

    fn note_status(&self, account: &Path, key: &Key, note: &StatusNote) -> Result<()> {
        let mut out = Writer::default();
        note.write(&mut out);
        let octets = out.sealed(seed(&key.guid));
        self.run(account, |database| {
            database.write(|database| database.set_status(key, &octets))
        })
    }

    fn noted(&self, account: &Path, key: &Key) -> Result<Vec<PageId>> {
        self.run(account, |database| database.page_ids(key))
    }

    fn notes(&self, account: &Path, key: &Key, pages: &[PageId]) -> Result<Vec<Option<Page>>> {
        self.run(account, |database| database.pages(key, pages))
    }

    fn keep_notes(&self, account: &Path, key: &Key, pages: &[(PageId, Arc<Page>)]) -> Result<()> {
        self.run(account, |database| {
            database.write(|database| database.set_pages(key, pages))
        })
    }

    fn names(&self, account: &Path, key: &Key, disk: &[u8]) -> Result<Option<Vec<u8>>> {
        self.run(account, |database| database.names(key, disk))
    }

    fn keep_names(&self, account: &Path, key: &Key, disk: &[u8], mut names: Vec<u8>) -> Result<()> {
        seal_wide(&mut names, seed_of(key));
        self.run(account, |database| {
            database.write(|database| database.set_names(key, disk, &names))
        })
    }

    fn forget(&self, account: &Path, guid: &[u8; 16]) -> Result<()> {
        self.run(account, |database| {
            database.write(|database| database.forget(guid))
        })
    }
}

/// Takes a lock. What a panic left is whole: SQLite undoes a change that was not ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
