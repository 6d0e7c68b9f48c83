//! The flags of all messages of a mailbox, with what is asked of them at each SELECT and STATUS kept ready.

use super::flag::{Flags, SystemFlag};
use super::messages::retain;

/// One entry for each message, in the order of their UIDs.
///
/// Invariants: `unseen` and `deleted` count the entries; no entry before `first_unseen` lacks `\Seen`, and the one there does, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct FlagColumn {
    flags: Vec<Flags>,
    unseen: usize,
    deleted: usize,
    first_unseen: usize,
}

impl FlagColumn {
    /// The flags at a place.
    pub(super) fn get(&self, at: usize) -> Option<Flags> {
        self.flags.get(at).copied()
    }

    /// How many lack `\Seen`.
    pub(super) const fn unseen(&self) -> usize {
        self.unseen
    }

    /// How many have `\Deleted`.
    pub(super) const fn deleted(&self) -> usize {
        self.deleted
    }

    /// The first that lacks `\Seen`.
    pub(super) fn first_unseen(&self) -> Option<usize> {
        (self.first_unseen < self.flags.len()).then_some(self.first_unseen)
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, count: usize) {
        self.flags.reserve(count);
    }

    /// Adds flags at the end.
    pub(super) fn push(&mut self, flags: Flags) {
        self.count(flags);
        self.flags.push(flags);
        self.find_first_unseen();
    }

    /// Puts other flags at a place that is there; returns those that were there.
    pub(super) fn set(&mut self, at: usize, flags: Flags) -> Option<Flags> {
        let place = self.flags.get_mut(at)?;
        let old = std::mem::replace(place, flags);
        self.unseen -= usize::from(is_unseen(old));
        self.deleted -= usize::from(old.has(SystemFlag::Deleted));
        self.count(flags);
        if is_unseen(flags) {
            self.first_unseen = self.first_unseen.min(at);
        } else {
            self.find_first_unseen();
        }
        Some(old)
    }

    /// Keeps the entries whose mark is true.
    pub(super) fn retain(&mut self, keep: &[bool]) {
        retain(&mut self.flags, keep);
        (self.unseen, self.deleted, self.first_unseen) = (0, 0, 0);
        for at in 0..self.flags.len() {
            self.count(self.flags.get(at).copied().unwrap_or_default());
        }
        self.find_first_unseen();
    }

    /// Gives back memory beyond what is needed.
    pub(super) fn shrink_to_fit(&mut self) {
        self.flags.shrink_to_fit();
    }

    fn count(&mut self, flags: Flags) {
        self.unseen += usize::from(is_unseen(flags));
        self.deleted += usize::from(flags.has(SystemFlag::Deleted));
    }

    /// Goes on from where all before are seen.
    fn find_first_unseen(&mut self) {
        let rest = self.flags.get(self.first_unseen..).unwrap_or_default();
        let seen = rest.iter().position(|flags| is_unseen(*flags));
        self.first_unseen += seen.unwrap_or(rest.len());
    }
}

fn is_unseen(flags: Flags) -> bool {
    !flags.has(SystemFlag::Seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flags(bits: u8) -> Flags {
        let all = [SystemFlag::Seen, SystemFlag::Deleted, SystemFlag::Flagged];
        let set = all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        set.fold(Flags::NONE, |flags, (_, flag)| flags.with(*flag))
    }

    proptest! {
        #[test]
        fn what_is_kept_ready_is_what_is_there(
            steps in proptest::collection::vec((0_u8..4, any::<u8>(), 0_usize..40), 0..200),
        ) {
            let mut column = FlagColumn::default();
            for (kind, bits, at) in steps {
                let before = column.flags.get(at).copied();
                match kind {
                    0 | 1 => column.push(flags(bits)),
                    2 => prop_assert_eq!(column.set(at, flags(bits)), before),
                    _ => {
                        let keep: Vec<bool> = (0..column.flags.len()).map(|i| i % 7 != at % 7).collect();
                        column.retain(&keep);
                    }
                }
                let unseen = column.flags.iter().filter(|flags| is_unseen(**flags));
                prop_assert_eq!(column.unseen(), unseen.count());
                let deleted = column.flags.iter().filter(|flags| flags.has(SystemFlag::Deleted));
                prop_assert_eq!(column.deleted(), deleted.count());
                let first = column.flags.iter().position(|flags| is_unseen(*flags));
                prop_assert_eq!(column.first_unseen(), first);
            }
        }
    }
}
