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

use super::failure::{failed, noted};
use super::files::NewFile;
use super::join::{Ground, Joined, join};
use super::open_mailbox::{Disk, OpenMailbox};
use super::scan::{BaseIndex, FINE_TICK, Listing, Stamp};
use super::spool::{Place, Spool, move_file};
use super::uidlist::{Edit, NewRecord, Record, UidList};
use super::uidlist_file::Look;
use super::{clock, doubles};
use crate::mailbox::backend::{Error, Intake, Result};
use crate::mailbox::flag::{Flags, KeywordTable};
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Most readings for one look until one is sure.
const MAX_READINGS: usize = 4;

/// The same for the first look, after which a message not seen is taken for gone: a file that is renamed all the time is missed by one
/// reading in four or so, by all of these hardly ever.
const MAX_FIRST_READINGS: usize = 12;

/// How often a look begins again because others gave UIDs meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// Most messages that one look moves out of `new/`: some 30 ms of renames. The next look goes on.
const MAX_MOVES: usize = 5000;

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
struct Found {
    listing: Listing,
    index: BaseIndex,
    joined: Joined,
    whole: bool,
    /// What is missing is gone.
    is_settled: bool,
}

impl OpenMailbox {
    /// Looks at the disk, as far as necessary.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if the mailbox is gone, [`Error::Unavailable`] and so on.
    pub(super) fn look(&self, intake: Intake) -> Result<()> {
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
        self.look_at_list(disk, &spool, plan)?;
        self.look_at_keywords(disk, &spool)?;
        let stamp = |place| Stamp::of(spool.place(place)).map_err(|e| self.lost(&spool, &e));
        let (new, cur) = (stamp(Place::New)?, stamp(Place::Cur)?);
        let now = clock::since_epoch(clock::now());
        let whole =
            plan.whole || !disk.is_loaded || disk.joined == 0 || disk.cur.needs_reading(&cur, now);
        if whole || disk.new.needs_reading(&new, now) {
            self.find_and_admit(disk, &spool, whole, plan)?;
            if plan.admit {
                self.tidy_list(disk, &spool);
                self.import_keywords(disk);
            }
        }
        if plan.intake == Intake::Take && self.files().in_new() > 0 {
            self.take_new(disk, &spool);
        }
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
        failed("read the mailbox", spool.directory(), cause)
    }

    /// Reads what is new in the UID list; makes one if there is none.
    fn look_at_list(&self, disk: &mut Disk, spool: &Spool, plan: Plan) -> Result<()> {
        let look = disk.list.look().map_err(|error| self.lost(spool, &error))?;
        if matches!(look, Look::Replaced | Look::Missing) {
            disk.joined = 0;
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
            let changed = self.write().set_flags(flags);
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
            let began = clock::since_epoch(clock::now());
            let (new, cur, mut listing) = self
                .read_places(spool, whole)
                .map_err(|error| self.lost(spool, &error))?;
            let after = Stamp::of(spool.place(Place::Cur)).map_err(|e| self.lost(spool, &e))?;
            let is_sure = whole && after == cur && cur.settles_in(began).is_none();
            if let Some(earlier) = earlier.take().filter(|_| !is_sure) {
                listing.fill_up(&earlier);
            }
            let mut index = BaseIndex::new(&listing);
            if !index.doubles().is_empty() {
                doubles::part(self, spool, &mut listing, &index);
                index = BaseIndex::new(&listing);
            }
            let mut joined = self.compare(disk, &listing, &index, whole)?;
            if !whole && (joined.needs_whole || !joined.is_complete()) {
                whole = true;
                continue;
            }
            let is_settled = joined.is_complete() || is_sure;
            if !is_settled {
                if reading < max_readings {
                    wait_for_tick(&cur);
                    earlier = Some(listing);
                    continue;
                }
                if disk.is_loaded {
                    joined.put_off();
                }
            }
            disk.new.was_read(new, began);
            if whole {
                disk.cur.was_read(cur, began);
            }
            if !is_settled {
                self.unsure(disk);
            }
            return Ok(Found {
                listing,
                index,
                joined,
                whole,
                is_settled,
            });
        }
        Err(Error::Unavailable)
    }

    /// The stamps of both directories, then their files, or those of `new/` alone.
    fn read_places(&self, spool: &Spool, whole: bool) -> io::Result<(Stamp, Stamp, Listing)> {
        let new = Stamp::of(spool.place(Place::New))?;
        let cur = Stamp::of(spool.place(Place::Cur))?;
        let mut listing = Listing::default();
        listing.read(spool, Place::New, &self.hasher)?;
        if whole {
            listing.read(spool, Place::Cur, &self.hasher)?;
        }
        Ok((new, cur, listing))
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
    fn compare(
        &self,
        disk: &Disk,
        listing: &Listing,
        index: &BaseIndex,
        whole: bool,
    ) -> Result<Joined> {
        let list = disk.list.list().ok_or(Error::Unavailable)?;
        Ok(self.compare_with(disk.joined, disk.is_loaded, list, listing, index, whole))
    }

    /// As [`OpenMailbox::compare`], with the list at hand.
    fn compare_with(
        &self,
        joined: usize,
        is_loaded: bool,
        list: &UidList,
        listing: &Listing,
        index: &BaseIndex,
        whole: bool,
    ) -> Joined {
        let records = list
            .records()
            .skip(joined)
            .map(|record| (record.uid, record.base, self.hasher.hash(record.base)));
        let ground = Ground {
            whole,
            all_records: joined == 0,
            uid_next: is_loaded.then(|| self.read().uid_next()),
        };
        join(&self.files(), listing, index, records, ground)
    }

    /// Reads, and takes over what was found; new files get their UIDs.
    fn find_and_admit(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        mut whole: bool,
        plan: Plan,
    ) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let mut found = self.find(disk, spool, whole)?;
            let given = if found.joined.unknown.is_empty() {
                Ok(Some(Vec::new()))
            } else if plan.admit {
                self.give_uids(disk, spool, &mut found)
            } else {
                Err(Error::Unavailable)
            };
            match given {
                Ok(Some(given)) => {
                    self.apply(disk, &found, given);
                    return Ok(());
                }
                Ok(None) => whole = true,
                Err(Error::NonExistent) => return Err(Error::NonExistent),
                // without a list there is no mailbox; with one it is served without its newest messages
                Err(error) if !disk.is_loaded && plan.admit => return Err(error),
                Err(_) => {
                    self.apply(disk, &found, Vec::new());
                    self.unsure(disk);
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

    /// Gives UIDs to the files that have none. Others may have done so meanwhile: then all is compared again, and if a file is not among
    /// those found, nothing is done and there is no answer: the directories have to be read again.
    fn give_uids(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        found: &mut Found,
    ) -> Result<Option<Vec<(Uid, usize)>>> {
        let told = disk.is_loaded.then(|| self.read().uid_validity());
        let problem = |error: &io::Error| failed("give UIDs to messages", spool.directory(), error);
        let (joined, like) = (&mut disk.joined, &disk.like);
        let mut locked = Disk::lock_list(&mut disk.list, joined, like, self.lock_timeout())
            .map_err(|error| problem(&error))?;
        let list = locked.list().ok_or(Error::Unavailable)?;
        if told.is_some_and(|told| told != list.uid_validity()) {
            return Err(Error::Unavailable);
        }
        if *locked.look() != Look::Unchanged {
            let (listing, index) = (&found.listing, &found.index);
            let again =
                self.compare_with(*joined, disk.is_loaded, list, listing, index, found.whole);
            if !found.whole || again.unmatched.is_some() {
                return Ok(None);
            }
            // which messages are missing for sure was found out before
            let missing = std::mem::replace(&mut found.joined, again).missing;
            found.joined.missing = missing;
        }
        let listing = &found.listing;
        let fields: Vec<Vec<u8>> = found
            .joined
            .unknown
            .iter()
            .map(|i| match disk.courier_ids.get(listing.base(*i)) {
                Some(entry) => format!("P{}", entry.unique_id).into_bytes(),
                None => Vec::new(),
            })
            .collect();
        let records: Vec<NewRecord<'_>> = found
            .joined
            .unknown
            .iter()
            .zip(&fields)
            .map(|(i, fields)| NewRecord {
                base: listing.base(*i),
                fields,
            })
            .collect();
        let uids = locked.append(&records).map_err(|error| problem(&error))?;
        let unknown = found.joined.unknown.iter().copied();
        Ok(Some(uids.into_iter().zip(unknown).collect()))
    }

    /// Shows what was found.
    fn apply(&self, disk: &mut Disk, found: &Found, given: Vec<(Uid, usize)>) {
        let Some(list) = disk.list.list() else {
            return;
        };
        let (listing, joined) = (&found.listing, &found.joined);
        let mut arrived: Vec<(Uid, usize)> = joined.recorded.iter().copied().chain(given).collect();
        arrived.sort_unstable();
        let mut gone = joined.missing.clone();
        gone.extend(joined.renumbered.iter());
        let renamed = self.note_files(disk, list, found, &arrived, &gone);
        let arrivals: Vec<(Uid, Flags, Option<u64>)> = arrived
            .iter()
            .map(|(uid, i)| (*uid, Self::flags_of(disk, listing.name(*i)), None))
            .collect();
        let recent: Vec<Uid> = arrived
            .iter()
            .filter(|(_, i)| listing.place(*i) == Place::New)
            .map(|(uid, _)| *uid)
            .collect();
        // without a reading that is sure, a record whose file was not found and those after it wait for the next look
        let put_off = joined
            .unmatched
            .filter(|_| disk.is_loaded && !found.is_settled);
        let uid_next = put_off.or_else(|| list.uid_next()).unwrap_or(Uid::MAX);
        let is_changed = {
            let mut messages = self.write();
            if !disk.is_loaded {
                *messages = first_messages(list, messages.keywords().clone());
            }
            let expunged = messages.expunge(&gone);
            let flagged = messages.set_flags(renamed);
            messages.mark_recent(recent);
            let added = messages.arrive(arrivals);
            messages.raise_uid_next(uid_next);
            expunged.or(flagged).or(added).is_some()
        };
        let later = put_off.map_or(0, |limit| {
            let is_later = |record: &Record<'_>| record.uid >= limit;
            list.records().rev().take_while(is_later).count()
        });
        disk.joined = list.records().len() - later;
        disk.is_loaded = true;
        if is_changed {
            self.signal.wake();
        }
    }

    /// Changes the table of files; returns the flags of messages whose names are other ones.
    fn note_files(
        &self,
        disk: &Disk,
        list: &UidList,
        found: &Found,
        arrived: &[(Uid, usize)],
        gone: &UidSet,
    ) -> Vec<(Uid, Flags)> {
        let (listing, joined) = (&found.listing, &found.joined);
        let orders: Vec<(Uid, u32)> = list
            .records()
            .skip(disk.joined)
            .filter(|record| !record.fields().is_empty())
            .filter_map(|record| Some((record.uid, number(record.field(b'O')?)?)))
            .collect();
        let mut files = self.files_mut();
        let mut renamed = Vec::with_capacity(joined.renamed.len());
        for (at, i) in &joined.renamed {
            files.rename(*at, listing.name(*i), listing.place(*i));
            let flags = Self::flags_of(disk, listing.name(*i));
            renamed.extend(files.uid(*at).map(|uid| (uid, flags)));
        }
        if !gone.is_empty() {
            files.remove(gone);
        }
        for (uid, i) in arrived {
            files.push(NewFile {
                uid: *uid,
                name: listing.name(*i),
                base_octets: listing.base(*i).len(),
                hash: listing.hash(*i),
                place: listing.place(*i),
            });
        }
        for (uid, order) in orders {
            files.set_order(uid, order);
        }
        renamed
    }

    /// Moves messages from `new/` to `cur/`. What cannot be moved is served from where it lies.
    fn take_new(&self, disk: &mut Disk, spool: &Spool) {
        let own = self.own_change(disk);
        let waiting: Vec<(usize, Vec<u8>)> = {
            let files = self.files();
            (0..files.len())
                .filter(|at| files.place(*at) == Place::New)
                .map(|at| (at, files.name(at).to_vec()))
                .take(MAX_MOVES)
                .collect()
        };
        let mut moved = Vec::with_capacity(waiting.len());
        for (at, name) in waiting {
            let in_cur = if name.contains(&b':') {
                name.clone()
            } else {
                [&name, &b":2,"[..]].concat()
            };
            let from = spool.file(Place::New, &name);
            match move_file(&from, &spool.file(Place::Cur, &in_cur)) {
                Ok(()) => moved.push((at, in_cur)),
                // another program was faster: the next look finds out
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                    ) =>
                {
                    self.unsure(disk);
                }
                Err(error) => {
                    if !disk.has_warned {
                        disk.has_warned = true;
                        noted("move messages from new to cur", &from, &error);
                    }
                    break;
                }
            }
        }
        {
            let mut files = self.files_mut();
            for (at, name) in moved {
                files.rename(at, &name, Place::Cur);
            }
        }
        own.end(self, disk);
        if self.files().in_new() > 0 && !disk.has_warned {
            self.signal.doubt();
        }
    }

    /// Writes the list anew when too many of its records are of files that are gone.
    pub(super) fn tidy_list(&self, disk: &mut Disk, spool: &Spool) {
        let live = self.files().len();
        let records = disk.list.list().map_or(0, |list| list.records().len());
        if disk.joined != records || records.saturating_sub(live) * 4 < records.max(1) {
            return;
        }
        match self.rewrite_list(disk, live) {
            Ok(()) => {}
            // somebody is at it; there is time
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => noted("write the UID list anew", spool.directory(), &error),
        }
    }

    fn rewrite_list(&self, disk: &mut Disk, live: usize) -> io::Result<()> {
        let Disk {
            list,
            keywords,
            joined,
            like,
            is_keywords_stale,
            ..
        } = disk;
        let mut locked = Disk::lock_list(list, joined, like, Duration::ZERO)?;
        let known = *joined;
        // records that others have just added were not compared with the files yet
        let is_compared =
            known > 0 && locked.list().map(|list| list.records().len()) == Some(known);
        if !is_compared || !locked.wants_rewrite(live) {
            return Ok(());
        }
        let mut forgotten: BTreeMap<Vec<u8>, Flags> = BTreeMap::new();
        {
            let files = self.files();
            locked.rewrite(|record| match files.position(record.uid) {
                Some(_) => Edit::Keep,
                None => {
                    if !keywords.extra(record.base).is_empty() {
                        forgotten.insert(record.base.to_vec(), Flags::NONE);
                    }
                    Edit::Drop
                }
            })?;
        }
        *joined = locked.list().map_or(0, |list| list.records().len());
        if !forgotten.is_empty() {
            *is_keywords_stale |= keywords.look()?;
            keywords.set_extra(&forgotten, like)?;
        }
        Ok(())
    }
}

/// The state of a mailbox before its messages are added. The clock makes mod-sequences that rise from one process to the next.
fn first_messages(list: &UidList, keywords: KeywordTable) -> Messages {
    let micros = clock::since_epoch(clock::now()).as_micros();
    let mod_seq = ModSeq(u64::try_from(micros).unwrap_or(u64::MAX >> 1));
    let mut messages = Messages::new(list.uid_validity(), Uid::MIN, mod_seq);
    *messages.keywords_mut() = keywords;
    messages
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

/// A decimal number.
fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
