//! The shared state of one open mailbox: columns of messages in UID order, and a log of what changed.
//!
//! Invariants: UIDs rise strictly and lie below `uid_next`; every change raises `highest_mod_seq` and is in the log or older than the
//! log's floor. A change concerns a set of messages and has one mod-sequence.

use super::expunged::Expunged;
use super::flag::{Flags, KeywordTable};
use super::flag_column::FlagColumn;
use super::id::{ModSeq, Uid, UidValidity};
use super::uid_set::UidSet;
use std::collections::VecDeque;

/// Most changes remembered for connections that have not been told yet; one that is further behind compares everything.
pub const MAX_CHANGES: usize = 1024;

/// Size or date that is not known yet.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// What happened to the messages of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// They arrived.
    Arrived,
    /// Their flags changed.
    Flags,
    /// They are gone.
    Expunged,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its mod-sequence; the log is in this order.
    pub mod_seq: ModSeq,
    /// What happened.
    pub kind: ChangeKind,
    /// To which messages.
    pub uids: UidSet,
}

/// The messages of a mailbox, as all connections to it share them.
#[derive(Debug, Clone)]
pub struct Messages {
    pub(super) uid_validity: UidValidity,
    pub(super) uid_next: Uid,
    pub(super) highest_mod_seq: ModSeq,
    /// The next change gets a mod-sequence above this, too.
    pub(super) floor: ModSeq,
    pub(super) keywords: KeywordTable,
    pub(super) uids: Vec<Uid>,
    pub(super) flags: FlagColumn,
    pub(super) mod_seqs: Vec<ModSeq>,
    pub(super) sizes: Vec<u64>,
    pub(super) recent: UidSet,
    pub(super) changes: VecDeque<Change>,
    pub(super) changes_floor: ModSeq,
    pub(super) expunged: Expunged,
}

/// Counts that STATUS and SELECT tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages in all.
    pub messages: u32,
    /// Without `\Seen`.
    pub unseen: u32,
    /// With `\Deleted`.
    pub deleted: u32,
    /// Not yet seen as recent by any connection.
    pub recent: u32,
}

impl Messages {
    /// An empty mailbox. `mod_seq` lies above every mod-sequence that was ever told for it.
    pub fn new(uid_validity: UidValidity, uid_next: Uid, mod_seq: ModSeq) -> Self {
        Self {
            uid_validity,
            uid_next,
            highest_mod_seq: mod_seq,
            floor: mod_seq,
            keywords: KeywordTable::default(),
            uids: Vec::new(),
            flags: FlagColumn::default(),
            mod_seqs: Vec::new(),
            sizes: Vec::new(),
            recent: UidSet::new(),
            changes: VecDeque::new(),
            changes_floor: mod_seq,
            expunged: Expunged::new(mod_seq),
        }
    }

    /// UIDVALIDITY of the mailbox.
    pub const fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// The UID that the next message will have, or a later one.
    pub const fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// Raises the next UID, where another program has given out UIDs.
    pub fn raise_uid_next(&mut self, uid_next: Uid) {
        self.uid_next = self.uid_next.max(uid_next);
    }

    /// The mod-sequence of the last change.
    pub const fn highest_mod_seq(&self) -> ModSeq {
        self.highest_mod_seq
    }

    /// The keywords known.
    pub const fn keywords(&self) -> &KeywordTable {
        &self.keywords
    }

    /// The keywords known, to add some.
    pub const fn keywords_mut(&mut self) -> &mut KeywordTable {
        &mut self.keywords
    }

    /// The UIDs, rising.
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }

    /// How many messages there are.
    pub const fn len(&self) -> usize {
        self.uids.len()
    }

    /// True if there is no message.
    pub const fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    /// The place of a message in the columns. Constant time where UIDs have no gaps.
    pub fn position(&self, uid: Uid) -> Option<usize> {
        let first = self.uids.first()?;
        let guess = uid.value().checked_sub(first.value())? as usize;
        if self.uids.get(guess) == Some(&uid) {
            return Some(guess);
        }
        self.uids.binary_search(&uid).ok()
    }

    /// Flags of the message at a place.
    pub fn flags_at(&self, position: usize) -> Flags {
        self.flags.get(position).unwrap_or_default()
    }

    /// Flags of a message, if it is there.
    pub fn flags(&self, uid: Uid) -> Option<Flags> {
        self.flags.get(self.position(uid)?)
    }

    /// Mod-sequence of the message at a place.
    pub fn mod_seq_at(&self, position: usize) -> ModSeq {
        self.mod_seqs.get(position).copied().unwrap_or_default()
    }

    /// RFC822.SIZE of the message at a place, in octets with CRLF, if it is known.
    pub fn size_at(&self, position: usize) -> Option<u64> {
        self.sizes
            .get(position)
            .copied()
            .filter(|size| *size != UNKNOWN)
    }

    /// Notes the size of a message, in octets with CRLF.
    pub fn set_size(&mut self, uid: Uid, octets: u64) {
        if let Some(size) = self.position(uid).and_then(|at| self.sizes.get_mut(at)) {
            *size = octets;
        }
    }

    /// Adds messages that arrived together: UID, flags and size if known, by rising UID, each above all there are. What does not rise
    /// is passed over. Returns the mod-sequence of the arrival; none if nothing arrived.
    pub fn arrive(
        &mut self,
        arrivals: impl IntoIterator<Item = (Uid, Flags, Option<u64>)>,
    ) -> Option<ModSeq> {
        let mod_seq = self.next_mod_seq();
        let mut arrived = UidSet::new();
        let arrivals = arrivals.into_iter();
        let (count, _) = arrivals.size_hint();
        self.uids.reserve(count);
        self.flags.reserve(count);
        self.mod_seqs.reserve(count);
        self.sizes.reserve(count);
        for (uid, flags, size) in arrivals {
            if self.uids.last().is_some_and(|last| *last >= uid) {
                continue;
            }
            self.uids.push(uid);
            self.flags.push(flags);
            self.mod_seqs.push(mod_seq);
            self.sizes.push(size.unwrap_or(UNKNOWN));
            self.uid_next = self.uid_next.max(uid.next().unwrap_or(Uid::MAX));
            arrived.insert(uid);
        }
        self.note(ChangeKind::Arrived, mod_seq, arrived)
    }

    /// Sets flags of messages, in one change; those whose flags are so already, or that are not there, are not part of it. Returns the
    /// mod-sequence of the change; none if nothing changed.
    pub fn set_flags(
        &mut self,
        new_flags: impl IntoIterator<Item = (Uid, Flags)>,
    ) -> Option<ModSeq> {
        let mod_seq = self.next_mod_seq();
        let mut changed = UidSet::new();
        for (uid, flags) in new_flags {
            let Some(at) = self.position(uid) else {
                continue;
            };
            if self.flags_at(at) != flags
                && let Some(old_mod_seq) = self.mod_seqs.get_mut(at)
            {
                self.flags.set(at, flags);
                *old_mod_seq = mod_seq;
                changed.insert(uid);
            }
        }
        self.note(ChangeKind::Flags, mod_seq, changed)
    }

    /// Removes messages, in one change. Returns the mod-sequence of the change; none if none of them was there.
    pub fn expunge(&mut self, uids: &UidSet) -> Option<ModSeq> {
        let mod_seq = self.next_mod_seq();
        let gone = self.remove(uids);
        self.note(ChangeKind::Expunged, mod_seq, gone)
    }

    /// Takes messages out of the columns; returns those that were there.
    pub(super) fn remove(&mut self, uids: &UidSet) -> UidSet {
        // a set may have many more UIDs than there are messages
        let gone: UidSet = if uids.len() > self.len() {
            (self.uids.iter().copied())
                .filter(|uid| uids.contains(*uid))
                .collect()
        } else {
            (uids.iter())
                .filter(|uid| self.position(*uid).is_some())
                .collect()
        };
        if !gone.is_empty() {
            let keep: Vec<bool> = self.uids.iter().map(|uid| !gone.contains(*uid)).collect();
            retain(&mut self.uids, &keep);
            self.flags.retain(&keep);
            retain(&mut self.mod_seqs, &keep);
            retain(&mut self.sizes, &keep);
            if !self.recent.is_empty() {
                self.recent = self
                    .recent
                    .iter()
                    .filter(|uid| !gone.contains(*uid))
                    .collect();
            }
        }
        gone
    }

    /// Marks messages as not yet seen by any connection.
    pub fn mark_recent(&mut self, uids: impl IntoIterator<Item = Uid>) {
        self.recent.extend(uids);
    }

    /// The messages that no connection has seen yet.
    pub const fn recent(&self) -> &UidSet {
        &self.recent
    }

    /// Hands the recent messages to the one connection that will show them as `\Recent` (RFC 3501 §2.3.2).
    pub fn claim_recent(&mut self) -> UidSet {
        std::mem::take(&mut self.recent)
    }

    /// Counts for STATUS and SELECT.
    pub fn counts(&self) -> Counts {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Counts {
            messages: number(self.uids.len()),
            unseen: number(self.flags.unseen()),
            deleted: number(self.flags.deleted()),
            recent: number(self.recent.len()),
        }
    }

    /// The place of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        self.flags.first_unseen()
    }

    /// Sum of all sizes, if all are known.
    pub fn total_size(&self) -> Option<u64> {
        self.sizes.iter().try_fold(0_u64, |sum, size| {
            (*size != UNKNOWN).then(|| sum.saturating_add(*size))
        })
    }

    /// The changes after `since`, in order; none if the log does not reach back that far.
    pub fn changes_since(&self, since: ModSeq) -> Option<impl Iterator<Item = &Change>> {
        (since >= self.changes_floor).then(|| {
            let from = self
                .changes
                .partition_point(|change| change.mod_seq <= since);
            self.changes.range(from..)
        })
    }

    /// The mod-sequence before the first expunge after `since`, or of the last change if there is no such expunge; none if the log does
    /// not reach back that far.
    pub fn last_before_expunge(&self, since: ModSeq) -> Option<ModSeq> {
        let mut expunges = self
            .changes_since(since)?
            .filter(|change| change.kind == ChangeKind::Expunged);
        Some(expunges.next().map_or(self.highest_mod_seq, |expunge| {
            ModSeq(expunge.mod_seq.0.saturating_sub(1))
        }))
    }

    /// The messages expunged after `since`; none if that is not remembered: then all below the next UID that are not there.
    pub fn expunged_since(&self, since: ModSeq) -> Option<UidSet> {
        self.expunged.since(since)
    }

    /// The memory of expunged messages.
    pub const fn expunged(&self) -> &Expunged {
        &self.expunged
    }

    /// The next change gets a mod-sequence above this one, as others that count in the same mailbox have got as far.
    pub fn raise_floor(&mut self, mod_seq: ModSeq) {
        self.floor = self.floor.max(mod_seq);
    }

    /// The mod-sequence of the next change.
    pub fn next_mod_seq(&self) -> ModSeq {
        self.highest_mod_seq.max(self.floor).next()
    }

    /// Notes a change that was made; none if it concerns no message.
    pub(super) fn note(
        &mut self,
        kind: ChangeKind,
        mod_seq: ModSeq,
        uids: UidSet,
    ) -> Option<ModSeq> {
        if kind == ChangeKind::Expunged {
            self.expunged.note(mod_seq, uids.clone());
        }
        self.log(kind, mod_seq, uids)
    }

    /// Puts a change into the log; none if it concerns no message.
    pub(super) fn log(
        &mut self,
        kind: ChangeKind,
        mod_seq: ModSeq,
        uids: UidSet,
    ) -> Option<ModSeq> {
        if uids.is_empty() {
            return None;
        }
        self.highest_mod_seq = mod_seq;
        self.changes.push_back(Change {
            mod_seq,
            kind,
            uids,
        });
        if self.changes.len() > MAX_CHANGES
            && let Some(forgotten) = self.changes.pop_front()
        {
            self.changes_floor = forgotten.mod_seq;
        }
        Some(mod_seq)
    }
}

/// Keeps the elements whose mark is true.
pub(super) fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    let mut marks = keep.iter();
    column.retain(|_| marks.next().copied().unwrap_or(true));
}
