//! The memory of expunged UIDs, from which a client that was away learns what vanished (RFC 7162 §3.2.6).
//!
//! It is bounded. What lies before its floor is forgotten, and whoever asks from there is told so: every UID below UIDNEXT that no message
//! has then counts as vanished, which is more than the client needs and never less (RFC 7162 §3.2.5.2).

use super::id::ModSeq;
use super::uid_set::UidSet;
use std::collections::VecDeque;

/// Most ranges of UIDs remembered for one mailbox; eight octets each.
pub const MAX_EXPUNGED_RANGES: usize = 16_384;

/// Which messages were expunged, and when, in the order of their mod-sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expunged {
    floor: ModSeq,
    entries: VecDeque<(ModSeq, UidSet)>,
    ranges: usize,
}

impl Expunged {
    /// Remembers nothing of what was before `floor`.
    pub fn new(floor: ModSeq) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    /// The mod-sequence up to which it is forgotten what was expunged.
    pub const fn floor(&self) -> ModSeq {
        self.floor
    }

    /// What is remembered, in the order of mod-sequences.
    pub fn entries(&self) -> impl Iterator<Item = (ModSeq, &UidSet)> {
        self.entries.iter().map(|(mod_seq, uids)| (*mod_seq, uids))
    }

    /// Remembers messages that were expunged in one change.
    pub fn note(&mut self, mod_seq: ModSeq, uids: UidSet) {
        if uids.is_empty() {
            return;
        }
        self.ranges += uids.ranges().count();
        // mostly the end: only what another process did may be heard of late
        let at = self
            .entries
            .partition_point(|(earlier, _)| *earlier <= mod_seq);
        self.entries.insert(at, (mod_seq, uids));
        while self.ranges > MAX_EXPUNGED_RANGES
            && let Some((forgotten, uids)) = self.entries.pop_front()
        {
            self.ranges -= uids.ranges().count();
            self.floor = forgotten;
        }
    }

    /// Forgets messages that turned out to be there.
    pub fn forget(&mut self, uids: &UidSet) {
        self.ranges = 0;
        for (_, entry) in &mut self.entries {
            *entry = entry.difference(uids);
            self.ranges += entry.ranges().count();
        }
    }

    /// The UIDs expunged after `since`; none if that is not remembered.
    pub fn since(&self, since: ModSeq) -> Option<UidSet> {
        (since >= self.floor).then(|| {
            let from = self
                .entries
                .partition_point(|(mod_seq, _)| *mod_seq <= since);
            let mut expunged = UidSet::new();
            for (_, uids) in self.entries.range(from..) {
                expunged.unite(uids);
            }
            expunged
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::id::Uid;

    fn uids(values: &[u32]) -> UidSet {
        values.iter().filter_map(|uid| Uid::new(*uid)).collect()
    }

    const fn at(n: u64) -> ModSeq {
        ModSeq(n)
    }

    #[test]
    fn tells_what_vanished_after_a_moment() {
        let mut expunged = Expunged::new(at(2));
        expunged.note(at(3), uids(&[1, 2]));
        expunged.note(at(5), uids(&[7]));
        assert_eq!(expunged.since(at(1)), None);
        assert_eq!(expunged.since(at(2)), Some(uids(&[1, 2, 7])));
        assert_eq!(expunged.since(at(3)), Some(uids(&[7])));
        assert_eq!(expunged.since(at(9)), Some(uids(&[])));
    }

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let mut expunged = Expunged::new(ModSeq::ZERO);
        let gaps: Vec<u32> = (0..8192).map(|n| 2 * n + 1).collect();
        for n in 1..=3 {
            expunged.note(at(n), uids(&gaps));
        }
        assert_eq!(expunged.floor(), at(1));
        assert_eq!(expunged.since(ModSeq::ZERO), None);
        assert_eq!(expunged.since(at(1)), Some(uids(&gaps)));
    }
}
