//! Changes of what connections see, with mod-sequences from the index ([`crate::index`]).
//!
//! Every change of [`Messages`] that has a mod-sequence is made by [`OpenMailbox::change`]. With an index it runs while no other process
//! makes one: what others did is taken over first, so that mod-sequences rise over all processes. Without, or while the index is not
//! available, mod-sequences are those of the clock, in microseconds since 1970, and what was changed meanwhile is written to the index
//! when it is there again.
//!
//! What other processes did is believed until the next look, which compares all flags; their arrivals are left to that look, since
//! only the disk tells the files.

use super::clock;
use super::failure::noted;
use super::open_mailbox::{Disk, OpenMailbox};
use super::scan::Stamp;
use super::spool::Place;
use crate::index::{Delta, Found, Index, Key, Record, StatusNote, Version, What, encode};
use crate::mailbox::backend::Result;
use crate::mailbox::flag::Flags;
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::Messages;
use crate::mailbox::remembered::{FoundMessage, Remembered, translate, translate_all};
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;

/// What is known of a mailbox's record in the index.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The version that agrees with what connections see; none if the record has to be written whole.
    version: Option<Version>,
    /// Inode of the directory of messages.
    directory: Option<u64>,
    /// What was noted for STATUS last.
    pub(super) noted: Option<StatusNote>,
    /// Flags were taken over from another process: the next look compares them all.
    pub(super) is_flags_suspect: bool,
}

impl Memory {
    /// True if nothing of the spool has to be looked at to tell what the mailbox is called in the index.
    pub(super) const fn is_placed(&self) -> bool {
        self.directory.is_some()
    }
}

/// What another process's changes mean for this one.
#[derive(Debug, Default)]
struct Learned {
    /// Messages that are gone.
    gone: UidSet,
    /// The mailbox has to be looked at.
    must_look: bool,
    /// Connections have something to be told.
    is_changed: bool,
}

/// The messages of a mailbox at the first look.
#[derive(Debug)]
pub(super) struct FirstLook {
    /// UIDVALIDITY of the list.
    pub(super) uid_validity: UidValidity,
    /// All messages, by rising UID.
    pub(super) found: Vec<FoundMessage>,
    /// The next UID of the list.
    pub(super) uid_next: Uid,
}

impl FirstLook {
    /// True if UIDs were given since.
    fn is_behind(&self, found: &Found) -> bool {
        matches!(found, Found::Whole(remembered) if remembered.uid_next > self.uid_next)
    }
}

impl OpenMailbox {
    /// The index, and what the mailbox is called in it.
    pub(super) fn indexed(&self, disk: &mut Disk) -> Option<(&dyn Index, Key)> {
        let index = self.account.store.index.as_deref()?;
        let list = disk.list.list()?;
        let (guid, uid_validity) = (list.guid()?, list.uid_validity());
        if disk.memory.directory.is_none() {
            let spool = self.spool();
            let cur = spool.place(Place::Cur);
            match Stamp::of(cur) {
                Ok(stamp) => disk.memory.directory = Some(stamp.inode()),
                Err(error) => noted("look at the mailbox", cur, &error),
            }
        }
        let key = Key {
            guid,
            uid_validity,
            directory: disk.memory.directory?,
        };
        Some((index, key))
    }

    /// Changes the messages. Only with the disk held, and when the mailbox is loaded.
    pub(super) fn change<T: Default>(
        &self,
        disk: &mut Disk,
        change: impl FnOnce(&mut Messages) -> T,
    ) -> T {
        let floor = clock_floor();
        let mut change = Some(change);
        let mut value = None;
        if let Some((index, key)) = self.indexed(disk) {
            let mut learned = Learned::default();
            let known = disk.memory.version;
            let changed = index.change(
                self.account.folders.root(),
                &key,
                known,
                &mut |found, wants_whole| {
                    let Some(change) = change.take() else {
                        return Record::Nothing;
                    };
                    let is_continued = matches!(found, Found::Missed(_));
                    let before = {
                        let mut messages = self.write();
                        messages.raise_floor(floor);
                        learned = Learned::from(&mut messages, found);
                        let before = messages.highest_mod_seq();
                        value = Some(change(&mut messages));
                        before
                    };
                    let messages = self.read();
                    if is_continued && messages.highest_mod_seq() == before {
                        return Record::Nothing;
                    }
                    match Delta::since(&messages, before) {
                        Some(deltas) if is_continued && !wants_whole => Record::Deltas(deltas),
                        Some(_) | None => Record::Whole(encode(&messages)),
                    }
                },
            );
            disk.memory.version = changed.ok().flatten();
            self.follow_others(disk, &learned);
        }
        if let Some(change) = change {
            let mut messages = self.write();
            messages.raise_floor(floor);
            value = Some(change(&mut messages));
        }
        // one of both places above has run it
        value.unwrap_or_default()
    }

    /// Does with files and connections what was learned of other processes.
    fn follow_others(&self, disk: &mut Disk, learned: &Learned) {
        if learned.must_look {
            disk.memory.is_flags_suspect = true;
            disk.new.doubt();
            disk.cur.doubt();
            self.signal.doubt();
        }
        self.forget(&learned.gone);
        if learned.is_changed {
            self.signal.wake();
        }
    }

    /// Takes over what other processes did since the last change or look.
    pub(super) fn catch_up(&self, disk: &mut Disk) {
        self.change(disk, |_| ());
    }

    /// Before a change that is no look: shows what other processes did. A client of ours must not be told of a mod-sequence above that of a
    /// message that it has not been shown, or it would miss the message when it resynchronises with the other process.
    ///
    /// # Errors
    /// As [`OpenMailbox::look`].
    pub(super) fn show_others(&self, disk: &mut Disk) -> Result<()> {
        if disk.is_loaded {
            self.catch_up(disk);
        }
        if disk.memory.is_flags_suspect {
            self.find_again(disk)?;
        }
        Ok(())
    }

    /// Makes the messages of what the first look found and what is remembered. False, and nothing is made, if another process has given
    /// UIDs since the look read the list: what they were given to would pass for gone. A UID is in the list before it is in the index,
    /// so looking again helps, unless the list `is_current`: then it was set back.
    pub(super) fn begin(&self, disk: &mut Disk, first: &FirstLook, is_current: bool) -> bool {
        let floor = clock_floor();
        let (mut is_done, mut is_behind) = (false, false);
        if let Some((index, key)) = self.indexed(disk) {
            let begun = index.change(self.account.folders.root(), &key, None, &mut |found, _| {
                is_behind = !is_current && first.is_behind(&found);
                if is_behind {
                    return Record::Nothing;
                }
                let is_changed = self.begin_with(first, found, floor);
                is_done = true;
                if is_changed {
                    Record::Whole(encode(&self.read()))
                } else {
                    Record::Nothing
                }
            });
            if is_behind {
                return false;
            }
            disk.memory.version = begun.ok().flatten();
        }
        if !is_done {
            self.begin_with(first, Found::Nothing, floor);
        }
        true
    }

    /// As [`OpenMailbox::begin`], with what is remembered; returns whether that was all true.
    fn begin_with(&self, first: &FirstLook, remembered: Found, floor: ModSeq) -> bool {
        let keywords = self.read().keywords().clone();
        let found = first.found.iter().copied();
        let (mut messages, is_changed) = match remembered {
            Found::Whole(remembered) => Messages::restore(
                first.uid_validity,
                keywords,
                *remembered,
                floor,
                found,
                first.uid_next,
            ),
            Found::Nothing | Found::Missed(_) => {
                let mut messages = Messages::new(first.uid_validity, Uid::MIN, floor);
                *messages.keywords_mut() = keywords;
                messages.arrive(found);
                messages.raise_uid_next(first.uid_next);
                (messages, true)
            }
        };
        messages.shrink();
        *self.write() = messages;
        is_changed
    }
}

impl Learned {
    /// Takes over what the index has beyond what is known here.
    fn from(messages: &mut Messages, found: Found) -> Self {
        let before = messages.highest_mod_seq();
        let mut learned = Self::default();
        match found {
            // what others were told is lost: it was not above the floor
            Found::Nothing => messages.reach(messages.next_mod_seq()),
            Found::Missed(deltas) => {
                for delta in deltas {
                    learned.add(messages, delta);
                }
            }
            Found::Whole(remembered) => learned.compare(messages, *remembered),
        }
        learned.is_changed = messages.highest_mod_seq() != before;
        learned
    }

    /// Takes over one change.
    fn add(&mut self, messages: &mut Messages, delta: Delta) {
        let mod_seq = delta.mod_seq;
        match delta.what {
            What::Set(mut set) => {
                for (_, flags) in &mut set {
                    *flags = translate(*flags, &delta.keywords, messages.keywords());
                }
                self.must_look |= !messages.learn_flags(delta.mod_seq, set);
            }
            What::Expunged(uids) => {
                let gone = messages.learn_expunged(delta.mod_seq, &uids);
                self.must_look |= !gone.is_empty();
                self.gone.unite(&gone);
            }
        }
        messages.reach(mod_seq);
    }

    /// Takes over what a whole record tells beyond what is known here.
    fn compare(&mut self, messages: &mut Messages, mut remembered: Remembered) {
        translate_all(
            &mut remembered.flags,
            &remembered.keywords,
            messages.keywords(),
        );
        let highest = messages.highest_mod_seq();
        let mut changed: BTreeMap<ModSeq, Vec<(Uid, Flags)>> = BTreeMap::new();
        let columns = remembered.uids.iter().zip(&remembered.flags);
        for ((uid, flags), mod_seq) in columns.zip(&remembered.mod_seqs) {
            let known = messages
                .position(*uid)
                .map(|at| messages.mod_seq_at(at))
                .unwrap_or(highest);
            if *mod_seq > known {
                changed.entry(*mod_seq).or_default().push((*uid, *flags));
            }
        }
        for (mod_seq, set) in changed {
            self.must_look |= !messages.learn_flags(mod_seq, set);
        }
        for (mod_seq, uids) in remembered.expunged.entries() {
            if mod_seq > highest {
                let gone = messages.learn_expunged(mod_seq, uids);
                self.must_look |= !gone.is_empty();
                self.gone.unite(&gone);
            }
        }
        messages.reach(remembered.highest_mod_seq);
    }
}

/// The next mod-sequence is above the clock in microseconds, so that it is above all that were told by whoever knew more than the index
/// does.
fn clock_floor() -> ModSeq {
    let micros = clock::since_epoch(clock::now()).as_micros();
    ModSeq(
        u64::try_from(micros)
            .unwrap_or(u64::MAX >> 2)
            .min(u64::MAX >> 2),
    )
}
