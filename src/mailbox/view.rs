//! What one connection believes of a mailbox: which message has which sequence number, and up to which change it has been told.
//!
//! A view changes only in [`View::sync`]. Messages that are gone keep their numbers until the connection may be told
//! (RFC 9051 §7.5.1); so sequence numbers of the client and of the server never disagree.

use super::flag::Flags;
use super::id::{ModSeq, SeqNum, Uid};
use super::messages::{ChangeKind, MAX_CHANGES, Messages};
use super::uid_set::UidSet;
use std::collections::BTreeSet;

/// Whether this moment allows to tell of messages that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// They may be told.
    Tell,
    /// A command with sequence numbers is in progress (RFC 9051 §7.5.1): they stay in the view.
    Hold,
}

/// What of a selected mailbox a connection wants to hear unasked (NOTIFY, RFC 5465 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Events {
    /// Nothing: the view stands still, but for what the connection does itself.
    None,
    /// Which messages come and go, and nothing of flags.
    Messages,
    /// These and flags.
    #[default]
    All,
}

/// What a connection has to be told to be up to date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Gone messages: number at the time when this one is told, and UID. Falling, so that each number is also the one before.
    pub expunged: Vec<(SeqNum, Uid)>,
    /// The new number of messages, if messages arrived.
    pub exists: Option<u32>,
    /// The new number of recent messages, if it is not what it was, or if messages arrived.
    pub recent: Option<u32>,
    /// Messages whose flags changed, rising.
    pub flags: Vec<(SeqNum, Uid)>,
    /// Messages whose flags changed without a word to this connection: it did that itself, or wants no word of flags.
    pub silent: UidSet,
}

impl Changes {
    /// True if there is nothing to tell.
    pub const fn is_empty(&self) -> bool {
        self.expunged.is_empty()
            && self.exists.is_none()
            && self.recent.is_none()
            && self.flags.is_empty()
    }
}

/// A run of UIDs without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    last: u32,
    /// Messages in the runs before this one.
    before: u32,
}

/// One connection's view of a mailbox.
#[derive(Debug, Clone, Default)]
pub struct View {
    runs: Vec<Run>,
    /// What it wants to hear.
    events: Events,
    /// Arrivals up to here are told.
    told: ModSeq,
    /// Expunges up to here are told; never later than `told`.
    told_expunges: ModSeq,
    /// Flag changes up to here are told; never later than `told`.
    told_flags: ModSeq,
    /// Changes made by this connection of which it needs no word (STORE … .SILENT).
    silenced: BTreeSet<ModSeq>,
    /// Messages whose flags are to be told once more.
    due: UidSet,
    /// Messages that this connection removed itself while it wants to hear of nothing else.
    removed: UidSet,
    recent: UidSet,
}

impl View {
    /// A view of everything there is now. The recent messages go to this connection if it `claims` them (SELECT, not EXAMINE).
    pub fn open(messages: &mut Messages, claims: bool) -> Self {
        let mut view = Self {
            told: messages.highest_mod_seq(),
            told_expunges: messages.highest_mod_seq(),
            told_flags: messages.highest_mod_seq(),
            ..Self::default()
        };
        view.push_all(messages.uids());
        view.recent = if claims {
            messages.claim_recent()
        } else {
            messages.recent().clone()
        };
        view
    }

    /// How many messages this connection knows.
    pub fn len(&self) -> u32 {
        self.runs
            .last()
            .map_or(0, |run| run.before + (run.last - run.first) + 1)
    }

    /// True if it knows none.
    pub const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many messages this connection shows as `\Recent`.
    pub fn recent_count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// True if this connection shows the message as `\Recent`.
    pub fn is_recent(&self, uid: Uid) -> bool {
        !self.recent.is_empty() && self.recent.contains(uid)
    }

    /// The mod-sequence up to which this connection knows arrivals, and flags if it wants to hear of them.
    pub const fn told(&self) -> ModSeq {
        self.told
    }

    /// The mod-sequence up to which this connection knows everything: what HIGHESTMODSEQ may be said to be while expunges are held
    /// back (RFC 7162 §3.2), or flags.
    pub fn settled(&self) -> ModSeq {
        self.told_expunges.min(self.told_flags)
    }

    /// Sets what this connection wants to hear. What it did not want to hear before becomes due when it does.
    pub const fn want(&mut self, events: Events) {
        self.events = events;
    }

    /// Notes that this connection removed messages itself, and must hear that, whatever it wants to hear.
    pub fn lose(&mut self, uids: &UidSet) {
        if self.events == Events::None {
            self.removed.unite(uids);
        }
    }

    /// The number of a message in this view.
    pub fn seq_of(&self, uid: Uid) -> Option<SeqNum> {
        let value = uid.value();
        let run = self
            .runs
            .get(self.runs.partition_point(|run| run.last < value))?;
        (run.first <= value).then(|| SeqNum::at((run.before + (value - run.first)) as usize))
    }

    /// The UID of a message by its number in this view.
    pub fn uid_of(&self, seq_num: SeqNum) -> Option<Uid> {
        let index = u32::try_from(seq_num.index()).ok()?;
        let at = self
            .runs
            .partition_point(|run| run.before <= index)
            .checked_sub(1)?;
        let run = self.runs.get(at)?;
        let value = run.first.checked_add(index - run.before)?;
        (value <= run.last).then(|| Uid::new(value)).flatten()
    }

    /// The highest UID in this view.
    pub fn last_uid(&self) -> Option<Uid> {
        Uid::new(self.runs.last()?.last)
    }

    /// The UIDs of all messages.
    pub fn uid_set(&self) -> UidSet {
        self.runs.iter().map(|run| run.first..=run.last).collect()
    }

    /// Numbers and UIDs of all messages whose UID lies in a range, rising.
    pub fn uids_within(&self, first: u32, last: u32) -> impl Iterator<Item = (SeqNum, Uid)> + '_ {
        let from = self.runs.partition_point(|run| run.last < first);
        self.runs
            .iter()
            .skip(from)
            .take_while(move |run| run.first <= last)
            .flat_map(move |run| {
                (run.first.max(first)..=run.last.min(last)).filter_map(move |uid| {
                    Some((
                        SeqNum::at((run.before + (uid - run.first)) as usize),
                        Uid::new(uid)?,
                    ))
                })
            })
    }

    /// Numbers and UIDs of all messages whose number lies in a range, rising.
    pub fn numbered(&self, first: u32, last: u32) -> impl Iterator<Item = (SeqNum, Uid)> + '_ {
        let (first, last) = (first.max(1) - 1, last.min(self.len()));
        let from = self
            .runs
            .partition_point(|run| run.before <= first)
            .saturating_sub(1);
        self.runs
            .iter()
            .skip(from)
            .take_while(move |run| run.before < last)
            .flat_map(move |run| {
                let end = run.before + (run.last - run.first) + 1;
                (run.before.max(first)..end.min(last)).filter_map(move |index| {
                    let uid = Uid::new(run.first + (index - run.before))?;
                    Some((SeqNum::at(index as usize), uid))
                })
            })
    }

    /// Numbers and UIDs of all messages, rising.
    pub fn iter(&self) -> impl Iterator<Item = (SeqNum, Uid)> + '_ {
        self.uids_within(1, u32::MAX)
    }

    /// Notes that this connection made the change itself and is not to be told of it, only of what others did.
    pub fn silence(&mut self, mod_seq: ModSeq) {
        if mod_seq > self.told {
            self.silenced.insert(mod_seq);
        }
        // older ones are no longer in the log, so that nobody asks for them
        if self.silenced.len() > MAX_CHANGES {
            self.silenced.pop_first();
        }
    }

    /// Has the flags of messages told at the next [`View::sync`], changed or not.
    pub fn remind(&mut self, uids: &UidSet) {
        self.due.unite(uids);
    }

    /// True if [`View::sync`] would find nothing.
    pub fn is_current(&self, messages: &Messages, expunges: Expunges) -> bool {
        let highest = messages.highest_mod_seq();
        let is_told = match self.events {
            Events::None => true,
            Events::Messages => self.told == highest,
            Events::All => self.told == highest && self.told_flags == highest,
        };
        let is_held = expunges == Expunges::Hold || self.events == Events::None;
        is_told
            && (is_held || self.told_expunges == highest)
            && self.due.is_empty()
            && self.removed.is_empty()
    }

    /// Brings the view up to date, as far as `expunges` and [`View::want`] allow, and returns what the client must hear.
    ///
    /// The recent messages go to this connection if it `claims` them.
    pub fn sync(&mut self, messages: &mut Messages, expunges: Expunges, claims: bool) -> Changes {
        let mut changes = Changes::default();
        if self.is_current(messages, expunges) {
            return changes;
        }
        let known = self.last_uid().map_or(0, Uid::value);
        let recent_before = self.recent.len();
        let mut changed = std::mem::take(&mut self.due);
        if self.events == Events::None {
            let removed = std::mem::take(&mut self.removed);
            changes.expunged = self.remove_these(removed.iter());
        } else {
            self.sync_flags(messages, &mut changed, &mut changes);
            self.sync_expunges(messages, expunges, &mut changes);
            self.sync_arrivals(messages, claims, &mut changes);
        }
        changes.recent = (changes.exists.is_some() || self.recent.len() != recent_before)
            .then(|| self.recent_count());
        changes.flags = changed
            .iter()
            .filter(|uid| uid.value() <= known)
            .filter_map(|uid| Some((self.seq_of(uid)?, uid)))
            .filter(|(_, uid)| messages.position(*uid).is_some())
            .collect();
        changes
    }

    /// Finds out whose flags changed.
    fn sync_flags(&mut self, messages: &Messages, changed: &mut UidSet, changes: &mut Changes) {
        let is_wanted = self.events == Events::All;
        let since = if is_wanted {
            self.told_flags
        } else {
            self.told
        };
        let (others, own) = self.changed_flags(messages, since);
        changes.silent = own;
        if is_wanted {
            changed.unite(&others);
            self.told_flags = messages.highest_mod_seq();
            self.silenced.clear();
        } else {
            changes.silent.unite(&others);
            self.told_flags = self.last_before_flags(messages);
            self.silenced = self.silenced.split_off(&self.told_flags);
        }
    }

    /// Takes out of the view what is gone, if that may be told.
    fn sync_expunges(&mut self, messages: &Messages, expunges: Expunges, changes: &mut Changes) {
        if expunges == Expunges::Tell {
            changes.expunged = self.remove_expunged(messages);
            self.told_expunges = messages.highest_mod_seq();
            self.removed = UidSet::new();
        } else if let Some(told) = messages.last_before_expunge(self.told_expunges) {
            self.told_expunges = told;
        }
    }

    /// Takes into the view what is new.
    fn sync_arrivals(&mut self, messages: &mut Messages, claims: bool, changes: &mut Changes) {
        let known = self.last_uid().map_or(0, Uid::value);
        if claims {
            self.recent.unite(&messages.claim_recent());
        } else {
            self.recent.unite(messages.recent());
        }
        let before = self.len();
        let first_new = messages.uids().partition_point(|uid| uid.value() <= known);
        self.push_all(messages.uids().get(first_new..).unwrap_or_default());
        changes.exists = (self.len() > before).then(|| self.len());
        self.told = messages.highest_mod_seq();
    }

    /// The mod-sequence before the first flag change of others that was not told.
    fn last_before_flags(&self, messages: &Messages) -> ModSeq {
        let Some(mut changes) = messages.changes_since(self.told_flags) else {
            return self.told_flags;
        };
        let of_others = changes.find(|change| {
            change.kind == ChangeKind::Flags && !self.silenced.contains(&change.mod_seq)
        });
        match of_others {
            Some(change) => ModSeq(change.mod_seq.0.saturating_sub(1)),
            None => messages.highest_mod_seq(),
        }
    }

    /// Messages whose flags others changed since then, and those which this connection changed itself.
    fn changed_flags(&self, messages: &Messages, since: ModSeq) -> (UidSet, UidSet) {
        if let Some(changes) = messages.changes_since(since) {
            let (mut others, mut own) = (UidSet::new(), UidSet::new());
            for change in changes.filter(|change| change.kind == ChangeKind::Flags) {
                if self.silenced.contains(&change.mod_seq) {
                    own.unite(&change.uids);
                } else {
                    others.unite(&change.uids);
                }
            }
            return (others, own);
        }
        let changed = |at: &usize| messages.mod_seq_at(*at) > since;
        let uids = (0..messages.len())
            .filter(changed)
            .filter_map(|at| messages.uids().get(at).copied());
        (uids.collect(), UidSet::new())
    }

    /// Takes gone messages out of the view.
    fn remove_expunged(&mut self, messages: &Messages) -> Vec<(SeqNum, Uid)> {
        if let Some(changes) = messages.changes_since(self.told_expunges) {
            let mut uids = UidSet::new();
            for change in changes.filter(|change| change.kind == ChangeKind::Expunged) {
                uids.unite(&change.uids);
            }
            return self.remove_these(uids.iter());
        }
        let gone: Vec<Uid> = (self.iter())
            .map(|(_, uid)| uid)
            .filter(|uid| messages.position(*uid).is_none())
            .collect();
        self.remove_these(gone)
    }

    /// Takes messages out of the view; returns those that were in it with the numbers that they had, falling.
    fn remove_these(&mut self, uids: impl IntoIterator<Item = Uid>) -> Vec<(SeqNum, Uid)> {
        let gone: Vec<(SeqNum, Uid)> = (uids.into_iter())
            .filter_map(|uid| Some((self.seq_of(uid)?, uid)))
            .collect();
        if gone.is_empty() {
            return gone;
        }
        let gone_uids: UidSet = gone.iter().map(|(_, uid)| *uid).collect();
        self.remove(&gone_uids);
        gone.into_iter().rev().collect()
    }

    /// Takes messages out of the runs and out of the recent ones. All of them are in the view, so no range reaches over two runs.
    fn remove(&mut self, gone: &UidSet) {
        let mut ranges = gone.ranges().peekable();
        for run in std::mem::take(&mut self.runs) {
            let mut next = run.first;
            while let Some(range) = ranges.next_if(|range| *range.start() <= run.last) {
                if *range.start() > next {
                    self.push_run(next, *range.start() - 1);
                }
                next = next.max(range.end().saturating_add(1));
            }
            if next <= run.last {
                self.push_run(next, run.last);
            }
        }
        if !self.recent.is_empty() {
            self.recent = self
                .recent
                .iter()
                .filter(|uid| !gone.contains(*uid))
                .collect();
        }
    }

    /// Adds messages by rising UID, above all there are.
    fn push_all(&mut self, mut uids: &[Uid]) {
        while let (Some(first), Some((run, rest))) =
            (uids.first(), uids.split_at_checked(run_length(uids)))
        {
            let last = run.last().unwrap_or(first);
            self.push_run(first.value(), last.value());
            uids = rest;
        }
    }

    fn push_run(&mut self, first: u32, last: u32) {
        let before = self.len();
        match self.runs.last_mut() {
            Some(run) if run.last.saturating_add(1) == first => run.last = last,
            _ => self.runs.push(Run {
                first,
                last,
                before,
            }),
        }
    }
}

/// How many of the first of these rising UIDs have no gap between them, found in logarithmic time.
fn run_length(uids: &[Uid]) -> usize {
    let Some(first) = uids.first() else {
        return 0;
    };
    let distance = |uid: &Uid| uid.value().checked_sub(first.value()).map(|d| d as usize);
    let is_of_run = |at: usize| uids.get(at).and_then(distance) == Some(at);
    let mut end = 1;
    while is_of_run(end) {
        end *= 2;
    }
    // the one at half of it is of the run
    let (mut last, mut end) = (end / 2, end.min(uids.len()));
    while end - last > 1 {
        let middle = last.midpoint(end);
        if is_of_run(middle) {
            last = middle;
        } else {
            end = middle;
        }
    }
    last + 1
}

/// The flags of a message as this connection sees them, `\Recent` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenFlags {
    /// System flags and keywords.
    pub flags: Flags,
    /// `\Recent`
    pub recent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::flag::SystemFlag;
    use crate::mailbox::id::UidValidity;
    use proptest::prelude::*;

    fn messages(uids: &[u32]) -> Messages {
        let mut messages = Messages::new(UidValidity::new(1).unwrap(), Uid::MIN, ModSeq::ZERO);
        messages.arrive(
            uids.iter()
                .map(|uid| (Uid::new(*uid).unwrap(), Flags::NONE, None)),
        );
        messages
    }

    fn numbers(found: impl Iterator<Item = (SeqNum, Uid)>) -> Vec<(u32, u32)> {
        found
            .map(|(seq_num, uid)| (seq_num.value(), uid.value()))
            .collect()
    }

    proptest! {
        #[test]
        fn runs_are_as_long_as_they_can_be(uids in proptest::collection::btree_set(1_u32..300, 0..250)) {
            let uids: Vec<Uid> = uids.into_iter().filter_map(Uid::new).collect();
            let one_by_one = uids.windows(2).take_while(|two| two[0].value() + 1 == two[1].value());
            let expected = one_by_one.count() + usize::from(!uids.is_empty());
            prop_assert_eq!(run_length(&uids), expected);
            let mut view = View::default();
            view.push_all(&uids);
            prop_assert!(view.iter().map(|(_, uid)| uid).eq(uids));
        }
    }

    #[test]
    fn finds_messages_by_number_and_by_uid() {
        let uids = [2, 3, 4, 7, 9, 10];
        let view = View::open(&mut messages(&uids), false);
        let all: Vec<(u32, u32)> = (1..).zip(uids).collect();
        for first in 0..12 {
            for last in 0..12 {
                let within = |n: u32| first <= n && n <= last;
                assert_eq!(
                    numbers(view.numbered(first, last)),
                    all.iter()
                        .copied()
                        .filter(|(n, _)| within(*n))
                        .collect::<Vec<_>>()
                );
                assert_eq!(
                    numbers(view.uids_within(first, last)),
                    all.iter()
                        .copied()
                        .filter(|(_, uid)| within(*uid))
                        .collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn holds_expunges_and_tells_them_later() {
        let mut messages = messages(&[1, 2, 3, 4]);
        let mut view = View::open(&mut messages, false);
        messages.expunge(&[2, 3].iter().filter_map(|uid| Uid::new(*uid)).collect());
        assert!(!view.is_current(&messages, Expunges::Tell));
        let seen = Flags::NONE.with(SystemFlag::Seen);
        messages.set_flags([(Uid::new(4).unwrap(), seen)]);
        let changes = view.sync(&mut messages, Expunges::Hold, false);
        assert_eq!(numbers(changes.flags.into_iter()), [(4, 4)]);
        assert!(view.is_current(&messages, Expunges::Hold));
        assert_eq!((view.settled(), view.told()), (ModSeq(1), ModSeq(3)));
        assert_eq!(view.len(), 4);
        let changes = view.sync(&mut messages, Expunges::Tell, false);
        assert_eq!(numbers(changes.expunged.into_iter()), [(3, 3), (2, 2)]);
        assert_eq!(numbers(view.iter()), [(1, 1), (2, 4)]);
        assert!(view.is_current(&messages, Expunges::Tell));
        assert_eq!(view.settled(), ModSeq(3));
    }

    #[test]
    fn what_is_no_expunge_settles_at_once() {
        let mut messages = messages(&[1, 2]);
        let mut view = View::open(&mut messages, false);
        let seen = Flags::NONE.with(SystemFlag::Seen);
        messages.set_flags([(Uid::MIN, seen)]);
        view.sync(&mut messages, Expunges::Hold, false);
        assert_eq!(view.settled(), messages.highest_mod_seq());
        assert!(view.is_current(&messages, Expunges::Tell));
    }

    #[test]
    fn flags_that_are_due_are_told_once() {
        let mut messages = messages(&[1, 2]);
        let mut view = View::open(&mut messages, false);
        view.remind(&[Uid::MIN].into_iter().collect());
        assert!(!view.is_current(&messages, Expunges::Hold));
        let changes = view.sync(&mut messages, Expunges::Hold, false);
        assert_eq!(numbers(changes.flags.into_iter()), [(1, 1)]);
        assert!(view.sync(&mut messages, Expunges::Hold, false).is_empty());
    }

    #[test]
    fn flags_that_nobody_wants_to_hear_of_do_not_settle() {
        let mut messages = messages(&[1, 2, 3]);
        let mut view = View::open(&mut messages, false);
        view.want(Events::Messages);
        let seen = Flags::NONE.with(SystemFlag::Seen);
        let own = messages.set_flags([(Uid::MIN, seen)]).unwrap();
        view.silence(own);
        assert_eq!(
            view.sync(&mut messages, Expunges::Tell, false).silent.len(),
            1
        );
        assert_eq!(view.settled(), own);
        let others = messages.set_flags([(Uid::new(2).unwrap(), seen)]).unwrap();
        messages.expunge(&[3].iter().filter_map(|uid| Uid::new(*uid)).collect());
        let changes = view.sync(&mut messages, Expunges::Tell, false);
        assert_eq!(numbers(changes.expunged.into_iter()), [(3, 3)]);
        assert!(changes.flags.is_empty());
        assert!(view.settled() < others);
        assert!(view.is_current(&messages, Expunges::Tell));
        view.want(Events::All);
        let changes = view.sync(&mut messages, Expunges::Tell, false);
        assert_eq!(numbers(changes.flags.into_iter()), [(2, 2)]);
        assert_eq!(view.settled(), messages.highest_mod_seq());
    }

    #[test]
    fn a_view_that_wants_nothing_stands_still_but_for_its_own_doing() {
        let mut messages = messages(&[1, 2, 3]);
        let mut view = View::open(&mut messages, false);
        let before = view.settled();
        view.want(Events::None);
        let gone = |uid| Uid::new(uid).into_iter().collect::<UidSet>();
        messages.expunge(&gone(1));
        messages.expunge(&gone(2));
        messages.arrive([(Uid::new(4).unwrap(), Flags::NONE, None)]);
        assert!(view.is_current(&messages, Expunges::Tell));
        view.lose(&gone(2));
        let changes = view.sync(&mut messages, Expunges::Tell, false);
        assert_eq!(numbers(changes.expunged.into_iter()), [(2, 2)]);
        assert_eq!(
            (changes.exists, view.len(), view.settled()),
            (None, 2, before)
        );
        view.want(Events::All);
        let changes = view.sync(&mut messages, Expunges::Tell, false);
        assert_eq!(numbers(changes.expunged.into_iter()), [(1, 1)]);
        assert_eq!((changes.exists, view.len()), (Some(2), 2));
    }

    #[test]
    fn keeps_own_changes_to_itself_and_tells_those_of_others() {
        let mut messages = messages(&[1, 2, 3]);
        let mut view = View::open(&mut messages, false);
        let set = |messages: &mut Messages, uid: u32, flag| {
            let flags = Flags::NONE.with(flag);
            messages.set_flags([(Uid::new(uid).unwrap(), flags)])
        };
        let others = set(&mut messages, 1, SystemFlag::Seen);
        let own = set(&mut messages, 2, SystemFlag::Seen);
        assert!(others < own);
        assert_eq!(set(&mut messages, 2, SystemFlag::Seen), None);
        view.silence(own.unwrap());
        let changes = view.sync(&mut messages, Expunges::Hold, false);
        assert_eq!(numbers(changes.flags.into_iter()), [(1, 1)]);
    }
}
