//! STORE: flags are letters in file names, changed by renaming within `cur/` under no lock, as every mail program does. Whoever loses
//! the race looks where the file is now and does it again on what is there.

use super::failure::failed;
use super::filename::FileName;
use super::keywords::LETTERS;
use super::open_mailbox::{Disk, MAX_LOOKUPS, OpenMailbox};
use super::spool::{Place, Spool, move_file};
use crate::mailbox::backend::{Error, FlagChange, Intake, Result, Stored};
use crate::mailbox::flag::{FlagAction, Flags, Keyword, NamedFlags};
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;
use std::io;

/// From how many messages on a change is synced in any case, since that costs little beside the change itself.
const MANY: usize = 16;

/// One round of changes.
#[derive(Debug, Default)]
struct Round {
    /// Messages that have other flags now.
    done: Vec<(Uid, Flags)>,
    /// Messages whose file was not where it was.
    lost: UidSet,
    touched_new: bool,
    touched_cur: bool,
}

impl OpenMailbox {
    /// Changes flags, durably.
    ///
    /// # Errors
    /// [`Error::Limit`] when there is no room for a keyword, [`Error::NoPermission`], [`Error::Unavailable`]
    pub(super) fn change_flags(&self, uids: &UidSet, change: &FlagChange) -> Result<Stored> {
        let mut disk = self.disk()?;
        if !disk.is_loaded {
            self.load(&mut disk, Intake::Look)?;
        }
        self.show_others(&mut disk)?;
        self.change_flags_with(&mut disk, uids, change)
    }

    /// As [`OpenMailbox::change_flags`], with the disk held.
    pub(super) fn change_flags_with(
        &self,
        disk: &mut Disk,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Result<Stored> {
        let given = self.given_flags(disk, change)?;
        let mut stored = Stored::default();
        let mut rest = self.take_modified(uids, change.unchanged_since, &mut stored);
        let spool = self.spool();
        let mut all = Round::default();
        let mut outcome = Ok(());
        for lookup in 0..MAX_LOOKUPS {
            let own = self.own_rename(disk);
            let (round, result) = self.change_once(disk, &spool, &rest, given, change.action);
            own.end(self, disk);
            all.done.extend(round.done);
            all.touched_new |= round.touched_new;
            all.touched_cur |= round.touched_cur;
            rest = round.lost;
            outcome = result;
            if outcome.is_err() || rest.is_empty() {
                break;
            }
            outcome = self.find_again(disk);
            if outcome.is_err() {
                break;
            }
            rest = self.take_modified(&rest, change.unchanged_since, &mut stored);
            if lookup + 1 == MAX_LOOKUPS && !rest.is_empty() {
                outcome = Err(Error::Unavailable);
            }
        }
        disk.renames.add(all.touched_new, all.touched_cur);
        let synced = disk.renames.sync(&spool, all.done.len() < MANY);
        stored.mod_seq = self.change(disk, |messages| {
            // also those that were found to be gone meanwhile
            let is_missing = |uid: &Uid| messages.position(*uid).is_none();
            stored.missing = uids.iter().filter(is_missing).collect();
            messages.set_flags(all.done)
        });
        if stored.mod_seq.is_some() {
            self.signal.wake();
        }
        outcome.and(synced)?;
        Ok(stored)
    }

    /// Notes which messages fail UNCHANGEDSINCE, and returns the others, without those that are gone.
    fn take_modified(
        &self,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
        stored: &mut Stored,
    ) -> UidSet {
        let messages = self.read();
        let mut rest = UidSet::new();
        for uid in uids.iter() {
            let Some(at) = messages.position(uid) else {
                continue;
            };
            if unchanged_since.is_some_and(|since| messages.mod_seq_at(at) > since) {
                stored.modified.insert(uid);
            } else {
                rest.insert(uid);
            }
        }
        rest
    }

    /// The flags of a change as positions; keywords that are new here get one, unless they are to be removed.
    fn given_flags(&self, disk: &mut Disk, change: &FlagChange) -> Result<Flags> {
        if change.action != FlagAction::Remove {
            let on_disk = self.disk_flags(disk, &[&change.flags])?;
            let on_disk = on_disk.into_iter().next().unwrap_or_default();
            return Ok(disk.map.to_shared(on_disk));
        }
        let messages = self.read();
        let known = change
            .flags
            .keywords
            .iter()
            .filter_map(|keyword| messages.keywords().position(keyword));
        Ok(known.fold(change.flags.system, Flags::with_keyword))
    }

    /// Flags as positions on disk, for each set. Keywords that are new here are added, all or none.
    ///
    /// # Errors
    /// [`Error::Limit`] when there is no room for them.
    pub(super) fn disk_flags(&self, disk: &mut Disk, sets: &[&NamedFlags]) -> Result<Vec<Flags>> {
        if sets.iter().all(|set| set.keywords.is_empty()) {
            return Ok(sets.iter().map(|set| set.system).collect());
        }
        let spool = self.spool();
        let problem = |error: &io::Error| failed("note keywords", spool.directory(), error);
        disk.is_keywords_stale |= disk.keywords.look().map_err(|error| problem(&error))?;
        let mut new: Vec<Keyword> = Vec::new();
        for keyword in sets.iter().flat_map(|set| &set.keywords) {
            if disk.keywords.table().position(keyword).is_none() && !new.contains(keyword) {
                new.push(keyword.clone());
            }
        }
        if !new.is_empty() {
            if !disk.is_loaded {
                // which letters are in use is known only then
                self.load(disk, Intake::Look)?;
            }
            let used = self.files().letters();
            let Disk {
                list,
                joined,
                like,
                keywords,
                is_keywords_stale,
                ..
            } = &mut *disk;
            let _locked = Disk::lock_list(list, joined, like, self.lock_timeout())
                .map_err(|error| problem(&error))?;
            keywords.look().map_err(|error| problem(&error))?;
            *is_keywords_stale = true;
            keywords
                .add(&new, used, like)
                .map_err(|error| problem(&error))?
                .ok_or_else(|| Error::Limit("too many keywords in this mailbox".to_owned()))?;
        }
        self.look_at_keywords(disk, &spool)?;
        let table = disk.keywords.table();
        let position = |keyword: &Keyword| table.position(keyword);
        Ok(sets
            .iter()
            .map(|set| {
                let keywords = set.keywords.iter().filter_map(position);
                keywords.fold(set.system, Flags::with_keyword)
            })
            .collect())
    }

    /// Changes the flags of messages where their files are thought to be.
    fn change_once(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        uids: &UidSet,
        given: Flags,
        action: FlagAction,
    ) -> (Round, Result<()>) {
        let mut round = Round::default();
        let wanted: Vec<(Uid, Flags)> = {
            let messages = self.read();
            uids.iter()
                .filter_map(|uid| {
                    let before = messages.flags(uid)?;
                    let after = action.apply(before, given);
                    (after != before).then_some((uid, after))
                })
                .collect()
        };
        if let Err(error) = self.set_extra(disk, spool, &wanted) {
            return (round, Err(error));
        }
        for (uid, flags) in wanted {
            if let Err(error) = self.change_one(disk, spool, uid, flags, &mut round) {
                return (round, Err(error));
            }
        }
        (round, Ok(()))
    }

    /// Renames one file to have these flags.
    fn change_one(
        &self,
        disk: &Disk,
        spool: &Spool,
        uid: Uid,
        flags: Flags,
        round: &mut Round,
    ) -> Result<()> {
        let (at, place, name) = {
            let files = self.files();
            let Some(at) = files.position(uid) else {
                return Ok(());
            };
            (at, files.place(at), files.name(at).to_vec())
        };
        let Some(parsed) = FileName::parse(&name) else {
            return Ok(());
        };
        let letters = disk.map.to_disk(flags);
        let table = disk.keywords.table();
        let new_name = parsed.with_flags(letters, table);
        if parsed.with_flags(parsed.flags(table), table) == new_name {
            // no letter changes: a keyword without letter, or a name with unusual order
            round.done.push((uid, flags));
            return Ok(());
        }
        let from = spool.file(place, &name);
        match move_file(&from, &spool.file(Place::Cur, &new_name)) {
            Ok(()) => {
                round.done.push((uid, flags));
                round.touched_new |= place == Place::New;
                round.touched_cur = true;
                self.files_mut().rename(at, &new_name, Place::Cur);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) =>
            {
                round.lost.insert(uid);
                Ok(())
            }
            Err(error) => Err(failed("set flags", &from, &error)),
        }
    }

    /// Records the keywords that have no letter.
    fn set_extra(&self, disk: &mut Disk, spool: &Spool, wanted: &[(Uid, Flags)]) -> Result<()> {
        let mut changes: BTreeMap<Vec<u8>, Flags> = BTreeMap::new();
        {
            let files = self.files();
            for (uid, flags) in wanted {
                let Some(at) = files.position(*uid) else {
                    continue;
                };
                let base = files.base(at);
                let after = without_letters(disk.map.to_disk(*flags));
                if after != without_letters(disk.keywords.extra(base)) {
                    changes.insert(base.to_vec(), after);
                }
            }
        }
        self.write_extra(disk, spool, &changes)
    }

    /// Writes the record of keywords that have no letter.
    pub(super) fn write_extra(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        changes: &BTreeMap<Vec<u8>, Flags>,
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let Disk {
            list,
            joined,
            like,
            keywords,
            is_keywords_stale,
            ..
        } = disk;
        Disk::lock_list(list, joined, like, self.lock_timeout())
            .and_then(|_locked| {
                *is_keywords_stale |= keywords.look()?;
                keywords.set_extra(changes, like)
            })
            .map_err(|error| failed("note keywords", spool.directory(), &error))
    }
}

/// Those keywords that have no letter in file names.
pub(super) fn without_letters(flags: Flags) -> Flags {
    flags
        .keyword_indexes()
        .filter(|at| *at >= LETTERS)
        .fold(Flags::NONE, Flags::with_keyword)
}
