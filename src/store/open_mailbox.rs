//! One open mailbox, shared by all connections of this process.
//!
//! Three things with a lock each, taken in this order:
//!
//! - `disk`: held by whoever works on the directories, for as long as that takes. What is known of the files on disk beside their names.
//!   Two mailboxes at once only by [`lock_both`].
//! - `files`: which file holds which message. Changed only by the holder of `disk`; never held across a system call.
//! - `messages`: what connections see. Changed only by the holder of `disk` (but for sizes and recent messages); never held across a
//!   system call.

use super::account::AccountState;
use super::failure::{Lasting, failed};
use super::filename::{FileName, known_flags};
use super::files::{Files, NameHasher};
use super::keyword_map::KeywordMap;
use super::keywords::KeywordFiles;
use super::maildrop::Maildrop;
use super::notes::NotesOf;
use super::remember::Memory;
use super::scan::{DirectoryState, Stamp};
use super::spool::{Place, Spool};
use super::uidlist_file::{LockedUidList, Look, UidListFile};
use super::waiters::Pace;
use super::watch::Signal;
use super::{clock, courier};
use crate::durable::{self, Ownership};
use crate::mailbox::backend::{
    Error, Extent, FlagChange, Intake, Mailbox, MaildropLock, Message, Next, Reader, Result,
    Stored, Transferred, Waker, Watch,
};
use crate::mailbox::flag::{Flags, Keyword};
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use crate::mailbox::notes::{Kind, PageNumber, Row, Sheet};
use crate::mailbox::uid_set::UidSet;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// How often a name that vanished is looked for again before the message is left alone.
pub(super) const MAX_LOOKUPS: usize = 5;

/// One open mailbox.
#[derive(Debug)]
pub(super) struct OpenMailbox {
    pub(super) account: Arc<AccountState>,
    spool: RwLock<Spool>,
    messages: RwLock<Messages>,
    files: RwLock<Files>,
    disk: Mutex<Disk>,
    is_gone: AtomicBool,
    pub(super) signal: Arc<Signal>,
    pub(super) hasher: NameHasher,
    maildrop: Maildrop,
    pub(super) notes: NotesOf,
    /// The directories cannot be read.
    pub(super) trouble: Lasting,
    pub(super) sync_pace: Arc<Pace>,
}

/// What is known of a mailbox on disk beside the names of its files.
#[derive(Debug)]
pub(super) struct Disk {
    /// Owner and mode of what we make.
    pub(super) like: Ownership,
    pub(super) list: UidListFile,
    pub(super) keywords: KeywordFiles,
    pub(super) map: KeywordMap,
    /// The keywords were read anew, and `map` and the flags do not tell yet.
    pub(super) is_keywords_stale: bool,
    /// What is known of the mailbox's record in the index.
    pub(super) memory: Memory,
    /// How the disk looked when the roster was kept or recalled.
    pub(super) kept_roster: Option<Vec<u8>>,
    /// How many records of the list were compared with the files; zero: all have to be.
    pub(super) joined: usize,
    pub(super) new: DirectoryState,
    pub(super) cur: DirectoryState,
    /// The files were read once: `files` and `messages` tell what there is.
    pub(super) is_loaded: bool,
    /// Unique-ids that Courier told, for files that get their UID now.
    pub(super) courier_ids: HashMap<Vec<u8>, courier::Pop3Entry>,
    /// Keywords that Courier had for messages, not taken over yet.
    pub(super) courier_keywords: HashMap<Vec<u8>, Vec<Keyword>>,
    /// The operator was told that messages cannot be moved out of `new/`.
    pub(super) has_warned: bool,
    pub(super) renames: Renames,
}

/// How often a directory is synced while single messages get other flags one after the other.
const SYNC_FLAGS_EVERY: Duration = Duration::from_secs(1);

/// Tells what flags files have.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlagReader<'a> {
    pub(super) keywords: &'a KeywordFiles,
    pub(super) map: &'a KeywordMap,
}

impl FlagReader<'_> {
    /// The flags that the letters of a name and our record of keywords tell, as connections see them.
    pub(super) fn of(self, letters: Flags, base: &[u8]) -> Flags {
        let letters = known_flags(letters, self.keywords.table());
        self.map.to_shared(letters.union(self.keywords.extra(base)))
    }
}

impl Disk {
    /// Tells what flags files have.
    pub(super) const fn flag_reader(&self) -> FlagReader<'_> {
        FlagReader {
            keywords: &self.keywords,
            map: &self.map,
        }
    }

    /// Takes Dovecot's lock of the UID list. If the list is another file now, all records have to be compared again.
    pub(super) fn lock_list<'a>(
        list: &'a mut UidListFile,
        joined: &mut usize,
        like: &Ownership,
        timeout: Duration,
    ) -> io::Result<LockedUidList<'a>> {
        let locked = list.lock(like, timeout)?;
        if matches!(locked.look(), Look::Replaced | Look::Missing) {
            *joined = 0;
        }
        Ok(locked)
    }
}

impl OpenMailbox {
    /// For the mailbox in a directory. Nothing is read yet.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub(super) fn new(account: Arc<AccountState>, directory: &Path) -> Result<Self> {
        let like = Ownership::of(directory)
            .map_err(|error| failed("look at the mailbox", directory, &error))?;
        // stands in until the first look tells the true ones; nobody sees it before
        let nothing = Messages::new(
            UidValidity::from(std::num::NonZeroU32::MIN),
            Uid::MIN,
            ModSeq::ZERO,
        );
        let notes = account.store.notes.of_new_mailbox();
        Ok(Self {
            account,
            spool: RwLock::new(Spool::new(directory)),
            messages: RwLock::new(nothing),
            files: RwLock::default(),
            disk: Mutex::new(Disk {
                like,
                list: UidListFile::new(directory),
                keywords: KeywordFiles::new(directory),
                map: KeywordMap::default(),
                is_keywords_stale: false,
                memory: Memory::default(),
                kept_roster: None,
                joined: 0,
                new: DirectoryState::UNKNOWN,
                cur: DirectoryState::UNKNOWN,
                is_loaded: false,
                courier_ids: HashMap::new(),
                courier_keywords: HashMap::new(),
                has_warned: false,
                renames: Renames::default(),
            }),
            is_gone: AtomicBool::new(false),
            signal: Arc::default(),
            hasher: NameHasher::default(),
            maildrop: Maildrop::default(),
            notes,
            trouble: Lasting::default(),
            sync_pace: Arc::default(),
        })
    }

    /// Its directories.
    pub(super) fn spool(&self) -> Spool {
        self.spool
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The disk, for this thread alone.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if the mailbox is gone.
    pub(super) fn disk(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().unwrap_or_else(|poisoned| {
            // a panic in the middle of work: what is known of the directories may not be true
            let mut disk = poisoned.into_inner();
            disk.new.doubt();
            disk.cur.doubt();
            self.disk.clear_poison();
            disk
        });
        if self.is_gone() {
            return Err(Error::NonExistent);
        }
        Ok(disk)
    }

    /// The files.
    pub(super) fn files(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files, to change them. Only with the disk held.
    pub(super) fn files_mut(&self) -> RwLockWriteGuard<'_, Files> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Messages> {
        self.messages.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages, to change them. Only with the disk held.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Messages> {
        self.messages
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait for locks.
    pub(super) fn lock_timeout(&self) -> Duration {
        self.account.store.settings.lock_timeout
    }

    /// True if it was deleted, or replaced by another one.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Notes that it was deleted; its connections are told.
    pub(super) fn vanish(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.signal.doubt();
        self.signal.wake();
    }

    /// Follows a rename to another directory. `disk` must be this mailbox's own.
    pub(super) fn relocate(&self, disk: &mut Disk, directory: &Path) {
        let (old, new) = (self.spool(), Spool::new(directory));
        disk.list = UidListFile::new(directory);
        disk.keywords = KeywordFiles::new(directory);
        disk.joined = 0;
        disk.memory = Memory::default();
        disk.kept_roster = None;
        disk.new = DirectoryState::UNKNOWN;
        disk.cur = DirectoryState::UNKNOWN;
        *self.spool.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
        self.account
            .store
            .watcher
            .follow(&self.signal, &old.watched(), &new.watched());
        self.signal.doubt();
    }

    /// The disk, if nobody works on it: for what is not worth waiting for.
    pub(super) fn disk_at_rest(&self) -> Option<MutexGuard<'_, Disk>> {
        self.disk.try_lock().ok().filter(|_| !self.is_gone())
    }

    /// How many messages are in memory, as files or, of a mailbox that was not looked at, in its UID list.
    pub(super) fn weight(&self) -> usize {
        let files = self.files().len();
        if files > 0 {
            return files;
        }
        let disk = self.disk_at_rest();
        let list = disk.as_ref().and_then(|disk| disk.list.list());
        list.map_or(0, |list| list.records().len())
    }

    /// Path of a message's file as last seen; none if there is no such message.
    pub(super) fn path(&self, uid: Uid) -> Option<PathBuf> {
        let files = self.files();
        let at = files.position(uid)?;
        Some(self.spool().file(files.place(at), files.name(at)))
    }

    /// The flags that a file name and our record of keywords tell, as connections see them.
    pub(super) fn flags_of(disk: &Disk, name: &[u8]) -> Flags {
        FileName::parse(name).map_or(Flags::NONE, |parsed| {
            disk.flag_reader().of(parsed.letter_flags(), parsed.base)
        })
    }

    /// Looks at what the system says of a message's file, following it if it was renamed meanwhile.
    ///
    /// # Errors
    /// [`Error::Expunged`] if it is gone, [`Error::Unavailable`]
    pub(super) fn with_file<T>(
        &self,
        uid: Uid,
        operation: &'static str,
        work: impl Fn(&Path) -> io::Result<T>,
    ) -> Result<T> {
        for _ in 0..MAX_LOOKUPS {
            let path = self.path(uid).ok_or(Error::Expunged)?;
            match work(&path) {
                Ok(value) => return Ok(value),
                Err(error) if error.kind() == io::ErrorKind::NotFound || is_no_message(&path) => {
                    let mut disk = self.disk()?;
                    // another thread may have found it meanwhile
                    if self.path(uid).as_ref() == Some(&path) {
                        self.find_again(&mut disk)?;
                    }
                }
                Err(error) => return Err(failed(operation, &path, &error)),
            }
        }
        tracing::warn!(uid = uid.value(), path = ?self.spool().directory(), operation, "message_keeps_moving");
        Err(Error::Unavailable)
    }

    /// A change of our own to the directories begins.
    pub(super) fn own_change(&self, disk: &Disk) -> OwnChange {
        OwnChange {
            new: self.is_known(Place::New, &disk.new),
            ..self.own_rename(disk)
        }
    }

    /// As [`OpenMailbox::own_change`], for changes that leave `new/` alone unless a known message is in it.
    pub(super) fn own_rename(&self, disk: &Disk) -> OwnChange {
        OwnChange {
            new: self.files().in_new() > 0 && self.is_known(Place::New, &disk.new),
            cur: self.is_known(Place::Cur, &disk.cur),
        }
    }

    /// True if nobody has changed a directory since it was read.
    fn is_known(&self, place: Place, state: &DirectoryState) -> bool {
        Stamp::of(self.spool().place(place)).is_ok_and(|stamp| state.is_known(&stamp))
    }
}

/// True if what stands at a path is no regular file, so that a look at the directory does not take it for a message.
pub(super) fn is_no_message(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| !about.is_file())
}

/// Which directories nobody else had changed before we did.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnChange {
    new: bool,
    cur: bool,
}

impl OwnChange {
    /// The change is done: the directories need not be read for it.
    pub(super) fn end(self, mailbox: &OpenMailbox, disk: &mut Disk) {
        let spool = mailbox.spool();
        let now = clock::since_epoch(clock::now());
        let (in_new, all) = {
            let files = mailbox.files();
            (files.in_new(), files.len())
        };
        for (place, is_known, state, files) in [
            (Place::New, self.new, &mut disk.new, in_new),
            (Place::Cur, self.cur, &mut disk.cur, all - in_new),
        ] {
            if is_known
                && let Ok(stamp) = Stamp::of(spool.place(place))
                && !state.is_known(&stamp)
            {
                state.own_change(stamp, now, files, place == Place::New);
            }
        }
    }
}

/// Changes of flags whose directories were not synced yet.
///
/// What STORE changed outlives the end of the process at once, and a power cut as well unless there was another STORE within
/// [`SYNC_FLAGS_EVERY`]: then up to so much of what changed is synced with the next look or STORE, or by the system some seconds later.
#[derive(Debug, Default)]
pub(super) struct Renames {
    new: bool,
    cur: bool,
    /// When they were synced last, in time since 1970.
    synced: Duration,
}

impl Renames {
    /// Notes changes.
    pub(super) const fn add(&mut self, new: bool, cur: bool) {
        self.new |= new;
        self.cur |= cur;
    }

    /// Makes them durable, unless that was done just now and there are `few`.
    ///
    /// # Errors
    /// As [`sync_places`].
    pub(super) fn sync(&mut self, spool: &Spool, few: bool) -> Result<()> {
        if !self.new && !self.cur {
            return Ok(());
        }
        let now = clock::since_epoch(clock::now());
        // a clock that was set back must not put it off
        let is_recent = now >= self.synced && now - self.synced < SYNC_FLAGS_EVERY;
        if few && is_recent {
            return Ok(());
        }
        self.synced = now;
        let (new, cur) = (std::mem::take(&mut self.new), std::mem::take(&mut self.cur));
        sync_places(spool, new, cur)
    }
}

/// Makes names in these directories durable.
///
/// # Errors
/// As [`failed`].
pub(super) fn sync_places(spool: &Spool, new: bool, cur: bool) -> Result<()> {
    for (place, wanted) in [(Place::New, new), (Place::Cur, cur)] {
        if wanted {
            let directory = spool.place(place);
            durable::sync_dir(directory)
                .map_err(|error| failed("sync the directory", directory, &error))?;
        }
    }
    Ok(())
}

/// Takes the disks of two mailboxes, always in the same order, so that two moves in opposite directions do not wait for each other.
///
/// # Errors
/// [`Error::NonExistent`] if one of them is gone.
pub(super) fn lock_both<'a>(
    first: &'a OpenMailbox,
    second: &'a OpenMailbox,
) -> Result<(MutexGuard<'a, Disk>, MutexGuard<'a, Disk>)> {
    if first.spool().directory() <= second.spool().directory() {
        let disk = first.disk()?;
        Ok((disk, second.disk()?))
    } else {
        let disk = second.disk()?;
        Ok((first.disk()?, disk))
    }
}

impl Mailbox for OpenMailbox {
    fn messages(&self) -> &RwLock<Messages> {
        &self.messages
    }

    fn is_current(&self) -> bool {
        !self.is_gone() && self.signal.is_current()
    }

    fn refresh(&self, intake: Intake) -> Result<()> {
        self.look(intake)
    }

    fn watch(&self, waker: Waker) -> Box<dyn Watch> {
        self.account
            .store
            .watcher
            .watch(&self.signal, &self.spool().watched(), &waker)
    }

    fn store(&self, uids: &UidSet, change: &FlagChange) -> Result<Stored> {
        self.change_flags(uids, change)
    }

    fn expunge(&self, uids: &UidSet) -> Result<UidSet> {
        self.remove(uids)
    }

    fn copy(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred> {
        let target = self.account.mailbox(target)?;
        self.copy_to(uids, &target)
    }

    fn move_to(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred> {
        let target = self.account.mailbox(target)?;
        self.move_into(uids, &target)
    }

    fn message(&self, uid: Uid) -> Result<Box<dyn Message>> {
        self.maildrop.keep_alive();
        self.open_message(uid)
    }

    fn internal_date(&self, uid: Uid) -> Result<i64> {
        self.date(uid)
    }

    fn save_date(&self, uid: Uid) -> Result<i64> {
        self.date_of_arrival(uid)
    }

    fn guid(&self, uid: Uid) -> Result<Vec<u8>> {
        let disk = self.disk()?;
        self.guid_of(&disk, uid).ok_or(Error::Expunged)
    }

    fn size(&self, uid: Uid) -> Result<u64> {
        self.crlf_size(uid)
    }

    fn sizes(&self, uids: &[Uid]) -> Vec<Result<u64>> {
        self.crlf_sizes(uids)
    }

    fn read_each(&self, uids: &[Uid], extent: Extent, reader: &Reader<'_>) {
        self.maildrop.keep_alive();
        self.read_many(uids, extent, reader);
    }

    fn read_while(&self, extent: Extent, next: &Next<'_>, reader: &Reader<'_>) {
        self.maildrop.keep_alive();
        self.read_one_by_one(extent, next, reader);
    }

    fn have_helped(&self, reading: Box<dyn FnOnce() + Send>) -> bool {
        self.account.store.helpers.take_on(reading)
    }

    fn notes(&self, kinds: &[Kind], pages: &[PageNumber]) -> Vec<Sheet> {
        self.find_notes(kinds, pages)
    }

    fn keep_notes(&self, kinds: &[Kind], rows: &[(PageNumber, Vec<Row>)]) -> Vec<Sheet> {
        self.add_notes(kinds, rows)
    }

    fn stored_unique_ids(&self) -> Result<Vec<(Uid, String)>> {
        let disk = self.disk()?;
        let files = self.files();
        let Some(list) = disk.list.list() else {
            return Ok(Vec::new());
        };
        let stored = list.records().filter_map(|record| {
            let unique_id = match record.field(b'P')? {
                b"" => record.base,
                given => given,
            };
            files.position(record.uid)?;
            Some((record.uid, String::from_utf8_lossy(unique_id).into_owned()))
        });
        Ok(stored.collect())
    }

    fn base_name(&self, uid: Uid) -> String {
        let files = self.files();
        files.position(uid).map_or_else(String::new, |at| {
            String::from_utf8_lossy(files.base(at)).into_owned()
        })
    }

    fn pop3_order(&self, uid: Uid) -> Option<u32> {
        self.files().order(uid)
    }

    fn lock_maildrop(&self) -> Result<Option<Box<dyn MaildropLock>>> {
        let like = self.disk()?.like;
        self.maildrop.lock(self.spool().directory(), &like)
    }
}
