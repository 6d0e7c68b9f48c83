//! Bringing what is known of a mailbox up to date with the disk.
//!
//! - A message is given up only when a reading *for sure* does not show it: one of both directories in which `cur/` did not change, with
//!   a time stamp older than the file system's tick. Any program may rename in `cur/` at any time, and a file that is renamed
//!   while the directory is read may not be seen. Until a reading is sure, messages not found stay.
//! - `new/` is read before `cur/`, so that a file on its way is seen in one of them.
//! - A UID is in the list, durably, before anybody sees it.
//!
//! What a crash leaves, and what becomes of it: a file without record gets its UID at the next look; a record without file is left
//! out when the list is next written anew; a message in `new/` with a UID is moved by the next look that takes.

use super::admit::Arrivals;
use super::failure::failed;
use super::familiar::Familiar;
use super::join::{Finder, Ground, Joined, join};
use super::listing::{BaseIndex, Listing, Tools};
use super::open_mailbox::{Disk, OpenMailbox};
use super::scan::{FINE_TICK, LARGE, Stamp};
use super::spool::{Place, Spool};
use super::uidlist::UidList;
use super::uidlist_file::Look;
use super::{clock, doubles};
use crate::mailbox::backend::{Error, Intake, Result};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;
use std::io;
use std::time::Duration;

/// Most readings for one look until one is sure.
const MAX_READINGS: usize = 4;

/// The same for the first look, after which a message not seen is taken for gone: a file that is renamed all the time is missed by one
/// reading in four or so, by all of these hardly ever.
const MAX_FIRST_READINGS: usize = 12;

/// How often a look begins again because others gave UIDs meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// When to look again after a look that was not sure or not complete.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What one look shall do.
#[derive(Debug, Clone, Copy)]
struct Plan {
    intake: Intake,
    /// Both directories are read in any case.
    whole: bool,
    /// New files get UIDs. Without, no lock is taken.
    admit: bool,
}

/// What a reading found.
#[derive(Debug)]
pub(super) struct Read {
    /// Stamps of both directories before it began.
    new: Stamp,
    cur: Stamp,
    /// The files.
    pub(super) listing: Listing,
    /// Finds them by name.
    index: BaseIndex,
    /// Files that are where they were, beside the listing.
    familiar: Option<Familiar>,
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Found {
    /// What the last reading found.
    pub(super) read: Read,
    /// What the files mean.
    pub(super) joined: Joined,
    /// Both directories were read.
    pub(super) whole: bool,
    /// What is missing is gone.
    pub(super) is_settled: bool,
}

impl Read {
    /// Has all files in the listing, for a comparison with what was not there before.
    pub(super) fn fill_up(&mut self, mailbox: &OpenMailbox) -> Result<()> {
        if let Some(familiar) = self.familiar.take() {
            familiar
                .fill_up(&mailbox.files(), &mailbox.hasher, &mut self.listing)
                .map_err(|error| failed("read the mailbox", mailbox.spool().directory(), &error))?;
            self.index.extend(&self.listing);
        }
        Ok(())
    }
}

impl OpenMailbox {
    /// Looks at the disk, as far as necessary.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if the mailbox is gone, [`Error::Unavailable`] and so on.
    pub(super) fn look(&self, intake: Intake) -> Result<()> {
        let watcher = &self.account.store.watcher;
        watcher.watch_again(&self.signal, || self.spool().watched());
        self.signal.look_begins();
        let looked = self
            .disk()
            .and_then(|mut disk| self.load(&mut disk, intake));
        if looked.is_err() {
            self.signal.doubt();
        }
        looked
    }

    /// As [`OpenMailbox::look`], with the disk held.
    pub(super) fn load(&self, disk: &mut Disk, intake: Intake) -> Result<()> {
        self.sync(
            disk,
            Plan {
                intake,
                whole: false,
                admit: true,
            },
        )
    }

    /// Looks everywhere, after a name vanished.
    pub(super) fn find_again(&self, disk: &mut Disk) -> Result<()> {
        self.sync(
            disk,
            Plan {
                intake: Intake::Look,
                whole: true,
                admit: true,
            },
        )
    }

    /// Looks for known messages only, and takes no lock: for use with another mailbox's list locked.
    pub(super) fn find_known(&self, disk: &mut Disk) -> Result<()> {
        self.sync(
            disk,
            Plan {
                intake: Intake::Look,
                whole: true,
                admit: false,
            },
        )
    }

    fn sync(&self, disk: &mut Disk, plan: Plan) -> Result<()> {
        let spool = self.spool();
        if !disk.is_loaded {
            spool
                .complete(&disk.like)
                .map_err(|error| self.lost(&spool, &error))?;
        }
        self.look_at_list(disk, &spool, plan)?;
        self.look_at_keywords(disk, &spool)?;
        if disk.is_loaded {
            self.catch_up(disk);
        }
        let stamp = |place| Stamp::of(spool.place(place));
        let new = match stamp(Place::New) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                spool.complete(&disk.like).and_then(|()| stamp(Place::New))
            }
            outcome => outcome,
        }
        .map_err(|error| self.lost(&spool, &error))?;
        let cur = stamp(Place::Cur).map_err(|error| self.lost(&spool, &error))?;
        self.trouble.end();
        if !disk.is_loaded && !plan.whole {
            self.recall(disk, &new, &cur);
        }
        let now = clock::since_epoch(clock::now());
        let whole =
            plan.whole || !disk.is_loaded || disk.joined == 0 || disk.cur.needs_reading(&cur, now);
        let reads_new = whole || disk.new.needs_reading(&new, now);
        let put_off = [(&disk.cur, whole), (&disk.new, reads_new)]
            .into_iter()
            .filter(|(_, is_read)| !is_read)
            .filter_map(|(state, _)| state.is_put_off(now));
        if let Some(wait) = put_off.min() {
            self.look_after(wait);
        }
        if reads_new {
            self.find_and_admit(disk, &spool, whole, plan)?;
            if plan.admit {
                self.tidy_list(disk, &spool);
                self.import_keywords(disk);
            }
        }
        if plan.intake == Intake::Take && self.files().in_new() > 0 {
            self.take_new(disk, &spool);
        }
        if disk.list.list().map(UidList::len) == Some(disk.joined) {
            disk.list.forget_plain();
        }
        // trouble was told, and does not concern who looks
        drop(disk.renames.sync(&spool, true));
        Ok(())
    }

    /// A directory could not be looked at: the mailbox may be gone.
    fn lost(&self, spool: &Spool, cause: &io::Error) -> Error {
        let is_gone = cause.kind() == io::ErrorKind::NotFound
            && matches!(spool.directory().try_exists(), Ok(false));
        if is_gone {
            self.vanish();
            return Error::NonExistent;
        }
        self.trouble
            .failed("read the mailbox", spool.directory(), cause)
    }

    /// Reads what is new in the UID list; makes one if there is none.
    fn look_at_list(&self, disk: &mut Disk, spool: &Spool, plan: Plan) -> Result<()> {
        let look = disk.list.look().map_err(|error| self.lost(spool, &error))?;
        if matches!(look, Look::Replaced | Look::Missing) {
            disk.joined = 0;
        }
        if disk.list.list().is_some_and(|list| list.lacks(disk.joined)) {
            let read = disk.list.remember_all();
            read.map_err(|error| self.lost(spool, &error))?;
        }
        if disk.list.list().is_none() {
            if !plan.admit {
                return Err(Error::Unavailable);
            }
            self.create_list(disk, spool)?;
        }
        let uid_validity = disk.list.list().map(UidList::uid_validity);
        if disk.is_loaded && uid_validity != Some(self.read().uid_validity()) {
            tracing::warn!(path = ?spool.directory(), "mailbox_replaced");
            self.vanish();
            return Err(Error::NonExistent);
        }
        Ok(())
    }

    /// Reads what is new of the keywords; if something is, all flags may be other ones.
    pub(super) fn look_at_keywords(&self, disk: &mut Disk, spool: &Spool) -> Result<()> {
        let is_changed = disk
            .keywords
            .look()
            .map_err(|error| failed("read the keywords", spool.directory(), &error))?;
        if !is_changed && !disk.is_keywords_stale {
            return Ok(());
        }
        disk.is_keywords_stale = false;
        disk.map
            .follow(disk.keywords.table(), self.write().keywords_mut());
        if disk.is_loaded {
            let flags: Vec<(Uid, Flags)> = {
                let files = self.files();
                let each = files.uids().iter().enumerate();
                each.map(|(at, uid)| (*uid, Self::flags_of(disk, files.name(at))))
                    .collect()
            };
            let changed = self.change(disk, |messages| messages.set_flags(flags));
            if changed.is_some() {
                self.signal.wake();
            }
        }
        Ok(())
    }

    /// Reads the directories, again if necessary, and compares.
    fn find(&self, disk: &mut Disk, spool: &Spool, mut whole: bool) -> Result<Found> {
        let mut earlier: Option<Listing> = None;
        let max_readings = if disk.is_loaded {
            MAX_READINGS
        } else {
            MAX_FIRST_READINGS
        };
        for reading in 1.. {
            let known = (reading == 1 && whole).then(|| self.familiar(disk));
            let began = clock::since_epoch(clock::now());
            let mut read = self.read_places(spool, whole, known.flatten())?;
            let after = Stamp::of(spool.place(Place::Cur)).map_err(|e| self.lost(spool, &e))?;
            let is_sure = whole && after == read.cur && read.cur.settles_in(began).is_none();
            self.prepare(spool, &mut read, earlier.take().filter(|_| !is_sure))?;
            let mut joined = self.compare(disk, &read, whole)?;
            if !whole && (joined.needs_whole || !joined.is_complete()) {
                whole = true;
                continue;
            }
            let is_settled = joined.is_complete() || is_sure;
            if !is_settled {
                if reading < max_readings {
                    wait_for_tick(&read.cur);
                    read.fill_up(self)?;
                    earlier = Some(read.listing);
                    continue;
                }
                if disk.is_loaded {
                    joined.put_off();
                }
            }
            disk.new.was_read(read.new, began);
            if whole {
                disk.cur.was_read(read.cur, began);
            }
            if !is_settled {
                self.unsure(disk);
            }
            return Ok(Found {
                read,
                joined,
                whole,
                is_settled,
            });
        }
        Err(Error::Unavailable)
    }

    /// Adds the files of an earlier reading, where this one is not sure, and leaves one file of each base name.
    fn prepare(&self, spool: &Spool, read: &mut Read, earlier: Option<Listing>) -> Result<()> {
        if let Some(earlier) = earlier {
            read.listing.fill_up(&earlier);
        }
        let is_enough = |known: &Familiar| known.is_enough(&self.files(), &read.listing);
        if !read.familiar.as_ref().is_none_or(is_enough) {
            read.fill_up(self)?;
        }
        read.index.extend(&read.listing);
        if !read.index.doubles().is_empty() {
            doubles::part(self, spool, &mut read.listing, &read.index);
            read.index = BaseIndex::new(&read.listing);
        }
        Ok(())
    }

    /// The stamps of both directories, then their files, or those of `new/` alone.
    fn read_places(&self, spool: &Spool, whole: bool, familiar: Option<Familiar>) -> Result<Read> {
        let stamp = |place| Stamp::of(spool.place(place)).map_err(|error| self.lost(spool, &error));
        let mut read = Read {
            new: stamp(Place::New)?,
            cur: stamp(Place::Cur)?,
            listing: Listing::default(),
            index: BaseIndex::default(),
            familiar,
        };
        let tools = Tools {
            hasher: &self.hasher,
            helpers: &self.account.store.helpers,
            files: &|| self.files(),
        };
        let places: &[Place] = if whole {
            &[Place::New, Place::Cur]
        } else {
            &[Place::New]
        };
        for place in places {
            let (index, familiar) = (&mut read.index, &mut read.familiar);
            (read.listing)
                .read((spool, *place), tools, index, familiar)
                .map_err(|error| self.lost(spool, &error))?;
        }
        Ok(read)
    }

    /// The files known, if they are many and what the list has for each is known.
    fn familiar(&self, disk: &Disk) -> Option<Familiar> {
        let list = disk.list.list()?;
        let is_joined = disk.is_loaded && disk.joined > 0 && disk.joined == list.len();
        let files = self.files();
        (is_joined && files.len() >= LARGE).then(|| Familiar::new(&files))
    }

    /// A reading is put off: whoever waits for news looks again then, and whoever asks before looks as well.
    fn look_after(&self, wait: Duration) {
        self.signal.doubt();
        let watcher = &self.account.store.watcher;
        watcher.wake_later(&self.signal, wait);
    }

    /// Not everything could be found out: look again soon.
    pub(super) fn unsure(&self, disk: &mut Disk) {
        disk.new.doubt();
        disk.cur.doubt();
        self.signal.doubt();
        self.account
            .store
            .watcher
            .wake_later(&self.signal, LOOK_AGAIN);
    }

    /// Compares the files found with the messages known and the list.
    fn compare(&self, disk: &Disk, read: &Read, whole: bool) -> Result<Joined> {
        let list = disk.list.list().ok_or(Error::Unavailable)?;
        Ok(self.compare_with(disk.joined, disk.is_loaded, list, read, whole))
    }

    /// As [`OpenMailbox::compare`], with the list at hand.
    pub(super) fn compare_with(
        &self,
        joined: usize,
        is_loaded: bool,
        list: &UidList,
        read: &Read,
        whole: bool,
    ) -> Joined {
        let finder = Finder {
            listing: &read.listing,
            index: &read.index,
            hasher: &self.hasher,
            helpers: &self.account.store.helpers,
            met: read.familiar.as_ref().map_or(&[], Familiar::met),
        };
        let records: Vec<(Uid, &[u8])> = list
            .records_after(joined)
            .map(|record| (record.uid, record.base))
            .collect();
        let ground = Ground {
            whole,
            all_records: joined == 0,
            uid_next: is_loaded.then(|| self.read().uid_next()),
        };
        join(&self.files(), finder, &records, ground)
    }

    /// Reads, and takes over what was found; new files get their UIDs.
    fn find_and_admit(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        mut whole: bool,
        plan: Plan,
    ) -> Result<()> {
        let mut is_current = false;
        for _ in 0..MAX_ATTEMPTS {
            let mut found = self.find(disk, spool, whole)?;
            let arrivals = if found.joined.unknown.is_empty() {
                Ok(Some(Arrivals::recorded(disk, &found)))
            } else if plan.admit {
                self.give_uids(disk, spool, &mut found)
            } else {
                Err(Error::Unavailable)
            };
            match arrivals {
                Ok(Some(arrivals)) if disk.is_loaded => {
                    self.apply(disk, &found, arrivals);
                    return Ok(());
                }
                Ok(Some(arrivals)) => {
                    if self.apply_first(disk, &mut found, arrivals, is_current) {
                        return Ok(());
                    }
                    let look = disk.list.look().map_err(|error| self.lost(spool, &error))?;
                    is_current = look == Look::Unchanged;
                }
                Ok(None) => whole = true,
                Err(Error::NonExistent) => return Err(Error::NonExistent),
                // without a list there is no mailbox; with one it is served without its newest messages
                Err(error) if !disk.is_loaded && plan.admit => return Err(error),
                Err(_) => {
                    self.apply_known(disk, found)?;
                    return Ok(());
                }
            }
        }
        tracing::warn!(path = ?spool.directory(), "mailbox_too_busy");
        self.unsure(disk);
        if disk.is_loaded {
            Ok(())
        } else {
            Err(Error::Unavailable)
        }
    }

    /// Shows what was found of messages that have UIDs, where none could be given. The list may have been read since the comparison.
    fn apply_known(&self, disk: &mut Disk, mut found: Found) -> Result<()> {
        if disk.is_loaded {
            let is_other = disk.joined == 0;
            found.read.fill_up(self)?;
            found.joined = self.compare(disk, &found.read, found.whole)?;
            found.joined.put_off();
            found.is_settled = false;
            let arrivals = Arrivals::recorded(disk, &found);
            self.apply(disk, &found, arrivals);
            if is_other {
                disk.joined = 0;
            }
        } else {
            let arrivals = Arrivals::recorded(disk, &found);
            self.apply_first(disk, &mut found, arrivals, true);
        }
        self.unsure(disk);
        Ok(())
    }
}

/// Waits until a directory read now is read after the tick of its last change, where that is not long.
fn wait_for_tick(stamp: &Stamp) {
    if let Some(wait) = stamp
        .settles_in(clock::since_epoch(clock::now()))
        .filter(|wait| *wait <= FINE_TICK)
    {
        std::thread::sleep(wait);
    }
}
