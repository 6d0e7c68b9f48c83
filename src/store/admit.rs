//! Taking over what a look at the disk found: UIDs for new files, the table of files, what connections see, `new/` to `cur/`.

use super::failure::{failed, noted};
use super::files::Files;
use super::join::Joined;
use super::listing::Listing;
use super::open_mailbox::{Disk, FlagReader, OpenMailbox};
use super::remember::FirstLook;
use super::scan::LARGE;
use super::spool::{Place, Spool, move_file};
use super::sync::Found;
use super::uidlist::{Edit, NewRecord, Record, UidList};
use super::uidlist_file::Look;
use crate::mailbox::backend::{Error, Result};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;
use crate::mailbox::messages::Messages;
use crate::mailbox::remembered::FoundMessage;
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Most messages that one look moves out of `new/`: some 30 ms of renames. The next look goes on.
const MAX_MOVES: usize = 5000;

/// What a look found to have changed.
#[derive(Debug)]
struct Seen {
    gone: UidSet,
    flags: Vec<(Uid, Flags)>,
    arrivals: Vec<FoundMessage>,
    recent: Vec<Uid>,
    /// Messages that were recent when they came, if they are still there.
    fresh: UidSet,
    uid_next: Uid,
}

/// Marks recent messages.
fn mark(messages: &mut Messages, recent: Vec<Uid>, fresh: &UidSet) {
    messages.mark_recent(recent);
    let is_there = |uid: &Uid| messages.position(*uid).is_some();
    let fresh: Vec<Uid> = fresh.iter().filter(is_there).collect();
    messages.mark_recent(fresh);
}

/// Files that are new here, and what connections see of them.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// By rising UID.
    files: Vec<(Uid, usize)>,
    messages: Vec<FoundMessage>,
    /// Those that nobody has taken out of `new/`.
    recent: Vec<Uid>,
    /// All of them as a table without the names, at the first look.
    table: Option<Files>,
}

impl Arrivals {
    /// Those that have UIDs in the list, and those that are `given` one, above all others.
    fn of(
        listing: &Listing,
        joined: &Joined,
        given: impl Iterator<Item = (Uid, usize)>,
        flags: FlagReader<'_>,
        is_first: bool,
    ) -> Self {
        let files: Vec<(Uid, usize)> = joined.recorded.iter().copied().chain(given).collect();
        let message = |(uid, i): &(Uid, usize)| {
            let flags = flags.of(listing.letters(*i), listing.base(*i));
            (*uid, flags, None)
        };
        let in_new = |(_, i): &&(Uid, usize)| listing.place(*i) == Place::New;
        let table = || Files::of(files.iter().map(|(uid, i)| listing.stored(*i, *uid)));
        Self {
            messages: files.iter().map(message).collect(),
            recent: (files.iter().filter(in_new).map(|(uid, _)| *uid)).collect(),
            table: is_first.then(table),
            files,
        }
    }

    /// As [`Arrivals::of`], where none is given a UID.
    pub(super) fn recorded(disk: &Disk, found: &Found) -> Self {
        let (listing, joined) = (&found.read.listing, &found.joined);
        let given = std::iter::empty();
        Self::of(listing, joined, given, disk.flag_reader(), !disk.is_loaded)
    }
}

impl OpenMailbox {
    /// Gives UIDs to the files that have none. Others may have done so meanwhile: then all is compared again, and if a file is not among
    /// those found, nothing is done and there is no answer: the directories have to be read again.
    pub(super) fn give_uids(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        found: &mut Found,
    ) -> Result<Option<Arrivals>> {
        let told = disk.is_loaded.then(|| self.read().uid_validity());
        let problem = |error: &io::Error| failed("give UIDs to messages", spool.directory(), error);
        let (joined, like) = (&mut disk.joined, &disk.like);
        let flags = FlagReader {
            keywords: &disk.keywords,
            map: &disk.map,
        };
        let mut locked = Disk::lock_list(&mut disk.list, joined, like, self.lock_timeout())
            .map_err(|error| problem(&error))?;
        let list = locked.list().ok_or(Error::Unavailable)?;
        if told.is_some_and(|told| told != list.uid_validity()) {
            return Err(Error::Unavailable);
        }
        if *locked.look() != Look::Unchanged {
            found.read.fill_up(self)?;
            let again = self.compare_with(*joined, disk.is_loaded, list, &found.read, found.whole);
            if !found.whole || again.unmatched.is_some() {
                return Ok(None);
            }
            // which messages are missing for sure was found out before
            let missing = std::mem::replace(&mut found.joined, again).missing;
            found.joined.missing = missing;
        }
        let listing = &found.read.listing;
        let field = |i: &usize| {
            let entry = disk.courier_ids.get(listing.base(*i))?;
            Some(format!("P{}", entry.unique_id).into_bytes())
        };
        let unknown = &found.joined.unknown;
        let fields: Vec<Option<Vec<u8>>> = if disk.courier_ids.is_empty() {
            Vec::new()
        } else {
            unknown.iter().map(field).collect()
        };
        let records = unknown.iter().enumerate().map(|(n, i)| NewRecord {
            base: listing.base(*i),
            fields: fields.get(n).and_then(Option::as_deref).unwrap_or_default(),
        });
        let given = locked.next_uids().zip(unknown.iter().copied());
        let mut arrivals = Arrivals::default();
        let find_out = || {
            arrivals = Arrivals::of(listing, &found.joined, given, flags, !disk.is_loaded);
        };
        let appended = if unknown.len() >= LARGE {
            let helpers = &self.account.store.helpers;
            helpers.beside(|| locked.append(records), find_out)
        } else {
            find_out();
            locked.append(records)
        };
        appended.map_err(|error| problem(&error))?;
        Ok(Some(arrivals))
    }

    /// Takes over what the first look found. False, and nothing is done, as [`OpenMailbox::begin`] says, unless the list `is_current`.
    pub(super) fn apply_first(
        &self,
        disk: &mut Disk,
        found: &mut Found,
        arrivals: Arrivals,
        is_current: bool,
    ) -> bool {
        let Some(list) = disk.list.list() else {
            return true;
        };
        let first = FirstLook {
            uid_validity: list.uid_validity(),
            found: arrivals.messages,
            uid_next: list.uid_next().unwrap_or(Uid::MAX),
        };
        if !self.begin(disk, &first, is_current) {
            return false;
        }
        if let Some(mut table) = arrivals.table {
            table.put_names(found.read.listing.take_names());
            if let Some(list) = disk.list.list() {
                for (uid, order) in orders(list, 0) {
                    table.set_order(uid, order);
                }
            }
            *self.files_mut() = table;
        }
        self.end_first_look(disk, arrivals.recent);
        true
    }

    /// Files and messages are there: what else belongs to the first look.
    pub(super) fn end_first_look(&self, disk: &mut Disk, recent: Vec<Uid>) {
        let Some(list) = disk.list.list() else {
            return;
        };
        self.files_mut().shrink();
        let fresh = self.fresh(list);
        mark(&mut self.write(), recent, &fresh);
        disk.joined = list.len();
        disk.is_loaded = true;
        self.signal.wake();
    }

    /// Shows what a later look found.
    pub(super) fn apply(&self, disk: &mut Disk, found: &Found, arrivals: Arrivals) {
        let Some(list) = disk.list.list() else {
            return;
        };
        let mut gone = found.joined.missing.clone();
        gone.extend(found.joined.renumbered.iter());
        let renamed = self.note_files(disk, list, found, &arrivals.files, &gone);
        // without a reading that is sure, a record whose file was not found and those after it wait for the next look
        let put_off = found.joined.unmatched.filter(|_| !found.is_settled);
        let later = put_off.map_or(0, |limit| {
            let is_later = |record: &Record<'_>| record.uid >= limit;
            list.records().rev().take_while(is_later).count()
        });
        let seen = Seen {
            gone,
            flags: renamed,
            arrivals: arrivals.messages,
            recent: arrivals.recent,
            fresh: self.fresh(list),
            uid_next: put_off.or_else(|| list.uid_next()).unwrap_or(Uid::MAX),
        };
        disk.joined = list.len() - later;
        disk.memory.is_flags_suspect = false;
        self.show(disk, seen);
    }

    /// Messages that were put here by this process while nobody looked.
    fn fresh(&self, list: &UidList) -> UidSet {
        let root = self.account.folders.root();
        self.account.store.fresh.take(root, list.uid_validity())
    }

    /// Shows connections what changed.
    fn show(&self, disk: &mut Disk, seen: Seen) {
        let is_nothing = seen.gone.is_empty()
            && seen.flags.is_empty()
            && seen.arrivals.is_empty()
            && seen.uid_next <= self.read().uid_next();
        if is_nothing {
            mark(&mut self.write(), Vec::new(), &seen.fresh);
            return;
        }
        let is_changed = self.change(disk, |messages| {
            let expunged = messages.expunge(&seen.gone);
            let flagged = messages.set_flags(seen.flags);
            let uid_next = messages.uid_next();
            let added = messages.arrive(seen.arrivals);
            mark(messages, seen.recent, &seen.fresh);
            messages.raise_uid_next(seen.uid_next);
            messages.note_unseen(uid_next);
            expunged.or(flagged).or(added).is_some()
        });
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
        let mut files = self.files_mut();
        let listing = &found.read.listing;
        let mut renamed = Vec::with_capacity(found.joined.renamed.len());
        for (at, i) in &found.joined.renamed {
            files.rename(*at, listing.name(*i), listing.place(*i));
            let flags = (disk.flag_reader()).of(listing.letters(*i), listing.base(*i));
            renamed.extend(files.uid(*at).map(|uid| (uid, flags)));
        }
        if !gone.is_empty() {
            files.remove(gone);
        }
        for (uid, i) in arrived {
            files.push(listing.message(*i, *uid));
        }
        for (uid, order) in orders(list, disk.joined) {
            files.set_order(uid, order);
        }
        if disk.memory.is_flags_suspect {
            let each = files.uids().iter().enumerate();
            return each
                .map(|(at, uid)| (*uid, Self::flags_of(disk, files.name(at))))
                .collect();
        }
        renamed
    }

    /// Moves messages from `new/` to `cur/`. What cannot be moved is served from where it lies.
    pub(super) fn take_new(&self, disk: &mut Disk, spool: &Spool) {
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
        if !moved.is_empty() {
            disk.has_warned = false;
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
        let records = disk.list.list().map_or(0, |list| list.len());
        if disk.joined != records || !disk.list.wants_rewrite(live) {
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
        let is_compared = known > 0 && locked.list().map(|list| list.len()) == Some(known);
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
        *joined = locked.list().map_or(0, |list| list.len());
        if !forgotten.is_empty() {
            *is_keywords_stale |= keywords.look()?;
            keywords.set_extra(&forgotten, like)?;
        }
        Ok(())
    }
}

/// The POP3 orders that the list tells of messages after so many.
pub(super) fn orders(list: &UidList, joined: usize) -> impl Iterator<Item = (Uid, u32)> + '_ {
    list.records_after(joined)
        .filter(|record| !record.fields().is_empty())
        .filter_map(|record| Some((record.uid, number(record.field(b'O')?)?)))
}

/// A decimal number.
fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
