//! What is remembered of a mailbox beyond the life of a process, and how it becomes [`Messages`] again.
//!
//! The mailbox is the truth, the memory may be old: what was found there goes before what is remembered. Where both agree, a message
//! keeps its mod-sequence; whatever differs counts as changed now.
//!
//! Two processes that have the same mailbox open learn each other's changes through the memory they share, with the mod-sequences
//! they were given, so that "what changed after n" has no gap in either (RFC 7162 §3.1).

use super::expunged::Expunged;
use super::flag::{Flags, KeywordTable};
use super::id::{ModSeq, Uid, UidValidity};
use super::messages::{ChangeKind, Messages, UNKNOWN, retain};
use super::uid_set::UidSet;

/// A mailbox as it was when it was last seen. The columns have the same length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The UID that the next message was to have.
    pub uid_next: Uid,
    /// The last change.
    pub highest_mod_seq: ModSeq,
    /// What the keywords of `flags` are.
    pub keywords: KeywordTable,
    /// The messages, rising.
    pub uids: Vec<Uid>,
    /// Their flags.
    pub flags: Vec<Flags>,
    /// When they were last changed.
    pub mod_seqs: Vec<ModSeq>,
    /// Messages that are gone.
    pub expunged: Expunged,
    /// Later changes may have been told and not remembered.
    pub may_lack: bool,
}

impl Remembered {
    /// Sets flags and mod-sequence of a message; one that is not there is added if it is above all others.
    pub fn set(&mut self, uid: Uid, flags: Flags, mod_seq: ModSeq) {
        if self.uids.last().is_none_or(|last| *last < uid) {
            self.uids.push(uid);
            self.flags.push(flags);
            self.mod_seqs.push(mod_seq);
        } else if let Ok(at) = self.uids.binary_search(&uid)
            && let (Some(old), Some(old_mod_seq)) =
                (self.flags.get_mut(at), self.mod_seqs.get_mut(at))
        {
            (*old, *old_mod_seq) = (flags, mod_seq);
        }
    }

    /// Removes messages.
    pub fn remove(&mut self, uids: &UidSet) {
        if uids.is_empty() {
            return;
        }
        let keep: Vec<bool> = self.uids.iter().map(|uid| !uids.contains(*uid)).collect();
        retain(&mut self.uids, &keep);
        retain(&mut self.flags, &keep);
        retain(&mut self.mod_seqs, &keep);
    }
}

/// A message as it was found: UID, flags, size if known.
pub type FoundMessage = (Uid, Flags, Option<u64>);

/// Flags with positions of one table as flags with positions of another; keywords that it does not have are left out.
pub fn translate(flags: Flags, from: &KeywordTable, to: &KeywordTable) -> Flags {
    flags
        .keyword_indexes()
        .filter_map(|at| to.position(from.keyword(at)?))
        .fold(flags.system(), Flags::with_keyword)
}

/// True if the flags mean the same in both tables, as they do unless letters of keywords were given anew.
fn same_positions(flags: Flags, from: &KeywordTable, to: &KeywordTable) -> bool {
    flags
        .keyword_indexes()
        .all(|at| from.keyword(at).is_some() && from.keyword(at) == to.keyword(at))
}

/// Gives the flags of a whole column the positions of another table.
pub fn translate_all(column: &mut [Flags], from: &KeywordTable, to: &KeywordTable) {
    let all = column
        .iter()
        .fold(Flags::NONE, |all, flags| all.union(flags.keywords()));
    if same_positions(all, from, to) {
        return;
    }
    for flags in column {
        *flags = translate(*flags, from, to);
    }
}

impl Messages {
    /// The mailbox as remembered, with what was found in it now: `found` by rising UID, and the next UID. `keywords` are those of the
    /// flags found. Changes get mod-sequences above `floor`. Returns whether anything changed.
    pub fn restore(
        uid_validity: UidValidity,
        keywords: KeywordTable,
        mut remembered: Remembered,
        floor: ModSeq,
        found: impl IntoIterator<Item = FoundMessage>,
        uid_next: Uid,
    ) -> (Self, bool) {
        translate_all(&mut remembered.flags, &remembered.keywords, &keywords);
        let mut messages = Self::new(
            uid_validity,
            remembered.uid_next,
            remembered.highest_mod_seq,
        );
        messages.keywords = keywords;
        messages.expunged = remembered.expunged;
        messages.raise_floor(floor);
        let now = messages.next_mod_seq();
        let mut known = (remembered.uids.into_iter())
            .zip(remembered.flags)
            .zip(remembered.mod_seqs)
            .peekable();
        let (mut gone, mut returned) = (UidSet::new(), UidSet::new());
        let mut is_changed = false;
        for (uid, flags, size) in found {
            while let Some(((missing, _), _)) = known.next_if(|((before, _), _)| *before < uid) {
                gone.insert(missing);
            }
            let before = known.next_if(|((same, _), _)| *same == uid);
            let mod_seq = match before {
                Some(((_, before), mod_seq)) if before == flags => mod_seq,
                Some(_) => now,
                None => {
                    if uid < remembered.uid_next {
                        returned.insert(uid);
                    } else {
                        note_gap(&mut gone, messages.uid_next, uid);
                    }
                    now
                }
            };
            is_changed |= mod_seq == now;
            messages.push(uid, flags, mod_seq, size);
        }
        gone.extend(known.map(|((missing, _), _)| missing));
        note_gap(&mut gone, messages.uid_next, uid_next);
        is_changed |= uid_next > remembered.uid_next || remembered.may_lack;
        messages.raise_uid_next(uid_next);
        if !returned.is_empty() {
            messages.expunged.forget(&returned);
        }
        is_changed |= !gone.is_empty();
        if is_changed {
            messages.expunged.note(now, gone);
            messages.highest_mod_seq = now;
            messages.changes_floor = now;
        }
        (messages, is_changed)
    }

    /// Gives back memory that the columns have beyond their messages, after all were added.
    pub fn shrink(&mut self) {
        self.uids.shrink_to_fit();
        self.flags.shrink_to_fit();
        self.mod_seqs.shrink_to_fit();
        self.sizes.shrink_to_fit();
    }

    /// Adds a message above all there are.
    fn push(&mut self, uid: Uid, flags: Flags, mod_seq: ModSeq, size: Option<u64>) {
        if self.uids.last().is_some_and(|last| *last >= uid) {
            return;
        }
        self.uids.push(uid);
        self.flags.push(flags);
        self.mod_seqs.push(mod_seq);
        self.sizes.push(size.unwrap_or(UNKNOWN));
        self.raise_uid_next(uid.next().unwrap_or(Uid::MAX));
    }

    /// Lets the highest mod-sequence rise though nothing changed here, as others have been told of it.
    pub fn reach(&mut self, mod_seq: ModSeq) {
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
    }

    /// Counts UIDs from `first` on that no message has as expunged: they were given to messages that were gone before they were seen here,
    /// but others may have been told of them.
    pub fn note_unseen(&mut self, first: Uid) {
        let from = self.uids.partition_point(|uid| *uid < first);
        let there: UidSet = self.uids.iter().skip(from).copied().collect();
        let given: UidSet = [first.value()..=self.uid_next.value() - 1]
            .into_iter()
            .collect();
        let unseen = given.difference(&there);
        if !unseen.is_empty() {
            let mod_seq = self.next_mod_seq();
            self.expunged.note(mod_seq, unseen);
            // nobody here has to be told, so it is not in the log
            self.highest_mod_seq = mod_seq;
        }
    }

    /// Takes over a change of flags that another process made. False if not all messages were known with just these flags: then the
    /// mailbox has to be looked at.
    pub fn learn_flags(
        &mut self,
        mod_seq: ModSeq,
        changed: impl IntoIterator<Item = (Uid, Flags)>,
    ) -> bool {
        let mod_seq = self.learned(mod_seq);
        let mut is_known = true;
        let mut touched = UidSet::new();
        for (uid, flags) in changed {
            let at = self.position(uid);
            let place = at.and_then(|at| Some((at, self.mod_seqs.get_mut(at)?)));
            let Some((at, old_mod_seq)) = place else {
                is_known = false;
                continue;
            };
            is_known &= self.flags.set(at, flags) == Some(flags);
            *old_mod_seq = mod_seq;
            touched.insert(uid);
        }
        self.note(ChangeKind::Flags, mod_seq, touched);
        is_known
    }

    /// Takes over that another process found messages gone; those that are remembered as gone since then are known. Returns those that
    /// were here until now.
    pub fn learn_expunged(&mut self, mod_seq: ModSeq, uids: &UidSet) -> UidSet {
        let gone = self.remove(uids);
        let before = ModSeq(mod_seq.0.saturating_sub(1));
        let known = self.expunged.since(before).unwrap_or_default();
        let new = uids.difference(&known);
        if !new.is_empty() || !gone.is_empty() {
            let mod_seq = self.learned(mod_seq);
            self.expunged.note(mod_seq, new);
            self.highest_mod_seq = mod_seq;
            self.log(ChangeKind::Expunged, mod_seq, gone.clone());
        }
        self.raise_floor(mod_seq);
        gone
    }

    /// The mod-sequence under which a change of another process is noted: its own, unless it comes too late for that.
    fn learned(&mut self, mod_seq: ModSeq) -> ModSeq {
        self.raise_floor(mod_seq);
        if mod_seq > self.highest_mod_seq {
            mod_seq
        } else {
            self.next_mod_seq()
        }
    }
}

/// UIDs that were given to messages nobody has seen: from `first` up to the one before `end`.
fn note_gap(gone: &mut UidSet, first: Uid, end: Uid) {
    gone.push_range(first.value()..=end.value() - 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::flag::{Keyword, SystemFlag};

    const SEEN: Flags = Flags::NONE.with(SystemFlag::Seen);

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn uids(values: &[u32]) -> UidSet {
        values.iter().map(|value| uid(*value)).collect()
    }

    /// Messages 1, 2, 4 with mod-sequences 101, 102, 104; 3 expunged at 105; next UID 5.
    fn remembered() -> Remembered {
        let mut expunged = Expunged::new(ModSeq(100));
        expunged.note(ModSeq(105), uids(&[3]));
        Remembered {
            uid_next: uid(5),
            highest_mod_seq: ModSeq(105),
            keywords: KeywordTable::default(),
            uids: vec![uid(1), uid(2), uid(4)],
            flags: vec![Flags::NONE, SEEN, Flags::NONE],
            mod_seqs: vec![ModSeq(101), ModSeq(102), ModSeq(104)],
            expunged,
            may_lack: false,
        }
    }

    #[test]
    fn what_may_lack_something_is_continued_above_all_that_was_told() {
        let restore = |may_lack| {
            let found = [(1, Flags::NONE), (2, SEEN), (4, Flags::NONE)];
            Messages::restore(
                UidValidity::new(7).unwrap(),
                KeywordTable::default(),
                Remembered {
                    may_lack,
                    ..remembered()
                },
                ModSeq(900),
                found.map(|(value, flags)| (uid(value), flags, None)),
                uid(5),
            )
        };
        let (messages, is_changed) = restore(false);
        assert_eq!(
            (messages.highest_mod_seq(), is_changed),
            (ModSeq(105), false)
        );
        let (messages, is_changed) = restore(true);
        assert!(is_changed && messages.highest_mod_seq() > ModSeq(900));
        assert_eq!(messages.mod_seq_at(2), ModSeq(104));
    }

    fn restore(found: &[(u32, Flags)], uid_next: u32) -> (Messages, bool) {
        Messages::restore(
            UidValidity::new(7).unwrap(),
            KeywordTable::default(),
            remembered(),
            ModSeq(900),
            found
                .iter()
                .map(|(value, flags)| (uid(*value), *flags, None)),
            uid(uid_next),
        )
    }

    fn mod_seqs(messages: &Messages) -> Vec<u64> {
        (0..messages.len())
            .map(|at| messages.mod_seq_at(at).0)
            .collect()
    }

    #[test]
    fn what_did_not_change_keeps_its_mod_sequences() {
        let (messages, is_changed) = restore(&[(1, Flags::NONE), (2, SEEN), (4, Flags::NONE)], 5);
        assert!(!is_changed);
        assert_eq!(messages.highest_mod_seq(), ModSeq(105));
        assert_eq!(mod_seqs(&messages), [101, 102, 104]);
        assert_eq!(messages.expunged_since(ModSeq(100)), Some(uids(&[3])));
        assert_eq!(messages.expunged_since(ModSeq(99)), None);
        assert_eq!(messages.changes_since(ModSeq(105)).unwrap().count(), 0);
    }

    #[test]
    fn what_changed_meanwhile_changed_now() {
        // 1 got a flag, 2 is gone, 5 came and went, 6 came
        let (messages, is_changed) = restore(&[(1, SEEN), (4, Flags::NONE), (6, SEEN)], 9);
        assert!(is_changed);
        assert_eq!(messages.highest_mod_seq(), ModSeq(901));
        assert_eq!(mod_seqs(&messages), [901, 104, 901]);
        assert_eq!(
            messages.expunged_since(ModSeq(105)),
            Some(uids(&[2, 5, 7, 8]))
        );
        assert_eq!(
            messages.expunged_since(ModSeq(100)),
            Some(uids(&[2, 3, 5, 7, 8]))
        );
        assert_eq!(messages.uid_next(), uid(9));
    }

    #[test]
    fn a_message_that_returned_is_not_expunged() {
        let found = [(1, Flags::NONE), (2, SEEN), (3, SEEN), (4, Flags::NONE)];
        let (messages, is_changed) = restore(&found, 5);
        assert!(is_changed);
        assert_eq!(mod_seqs(&messages), [101, 102, 901, 104]);
        assert_eq!(messages.expunged_since(ModSeq(100)), Some(uids(&[])));
    }

    #[test]
    fn keywords_are_compared_by_their_names() {
        let table = |words: &[(usize, &str)]| {
            let mut table = KeywordTable::default();
            for (at, word) in words {
                assert!(table.set(*at, Keyword::new(word).unwrap()));
            }
            table
        };
        let (before, now) = (table(&[(0, "Work"), (1, "Home")]), table(&[(1, "work")]));
        let mut column = [SEEN.with_keyword(0), Flags::NONE.with_keyword(1)];
        translate_all(&mut column, &before, &now);
        assert_eq!(column, [SEEN.with_keyword(1), Flags::NONE]);
    }

    #[test]
    fn changes_of_others_keep_their_mod_sequences() {
        let (mut messages, _) = restore(&[(1, Flags::NONE), (2, SEEN), (4, Flags::NONE)], 5);
        assert!(messages.learn_flags(ModSeq(300), [(uid(2), SEEN)]));
        assert!(!messages.learn_flags(ModSeq(301), [(uid(1), SEEN), (uid(8), SEEN)]));
        assert_eq!(
            messages.learn_expunged(ModSeq(302), &uids(&[3, 4])),
            uids(&[4])
        );
        assert_eq!(mod_seqs(&messages), [301, 300]);
        assert_eq!(messages.highest_mod_seq(), ModSeq(302));
        let changes = messages.changes_since(ModSeq(300)).unwrap();
        let kinds: Vec<_> = changes
            .map(|change| (change.mod_seq.0, change.kind))
            .collect();
        assert_eq!(
            kinds,
            [(301, ChangeKind::Flags), (302, ChangeKind::Expunged)]
        );
        // told twice
        assert!(
            messages
                .learn_expunged(ModSeq(302), &uids(&[3, 4]))
                .is_empty()
        );
        assert_eq!(messages.highest_mod_seq(), ModSeq(302));
        // too late for its own mod-sequence
        assert!(messages.learn_flags(ModSeq(200), [(uid(2), SEEN)]));
        assert_eq!(messages.mod_seq_at(1), ModSeq(901));
        assert_eq!(messages.highest_mod_seq(), ModSeq(901));
    }
}
