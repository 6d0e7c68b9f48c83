//! Sets of UIDs as ranges: what a view holds, what a change concerns, what COPYUID and ESEARCH name.

use super::id::Uid;
use std::ops::RangeInclusive;

/// A set of UIDs, kept as rising, non-touching ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a UID; cheapest when UIDs come in rising order.
    pub fn insert(&mut self, uid: Uid) {
        let value = uid.value();
        match self.0.last_mut() {
            Some((_, last)) if value == last.saturating_add(1) => *last = value,
            Some((_, last)) if value > *last => self.0.push((value, value)),
            None => self.0.push((value, value)),
            Some(_) => self.insert_inside(value),
        }
    }

    fn insert_inside(&mut self, value: u32) {
        // `at`: the first range that ends at or after the place of `value`
        let at = self.0.partition_point(|&(_, last)| last < value);
        if self.0.get(at).is_some_and(|&(first, _)| first <= value) {
            return;
        }
        self.0.insert(at, (value, value));
        self.join(at);
        if let Some(before) = at.checked_sub(1) {
            self.join(before);
        }
    }

    /// Joins the range at `at` with the one after it, if they touch.
    fn join(&mut self, at: usize) {
        if let (Some(&(first, last)), Some(&(next_first, next_last))) =
            (self.0.get(at), self.0.get(at + 1))
            && last.saturating_add(1) >= next_first
        {
            self.0.remove(at + 1);
            if let Some(range) = self.0.get_mut(at) {
                *range = (first, next_last.max(last));
            }
        }
    }

    /// Adds a range that lies above all there is; does nothing if it does not, or is empty.
    pub fn push_range(&mut self, range: RangeInclusive<u32>) {
        let (first, last) = range.into_inner();
        let end = self.0.last().map_or(0, |&(_, last)| last);
        if first <= end || last < first {
            return;
        }
        match self.0.last_mut() {
            Some((_, end)) if first == *end + 1 => *end = last,
            Some(_) | None => self.0.push((first, last)),
        }
    }

    /// Adds all of another set, in time linear in the ranges of both.
    pub fn unite(&mut self, other: &Self) {
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(one), Some(two)) if one <= two => left.next(),
                (_, Some(_)) => right.next(),
                (_, None) => left.next(),
            };
            let Some(&(first, last)) = next else { break };
            match all.last_mut() {
                Some((_, end)) if first <= u32::saturating_add(*end, 1) => *end = last.max(*end),
                Some(_) | None => all.push((first, last)),
            }
        }
        self.0 = all;
    }

    /// The UIDs that are in both sets, in time linear in the ranges of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(first, last)), Some(&&(other_first, other_last))) =
            (left.peek(), right.peek())
        {
            let (from, to) = (first.max(other_first), last.min(other_last));
            if from <= to {
                both.push((from, to));
            }
            if last < other_last {
                left.next();
            } else {
                right.next();
            }
        }
        Self(both)
    }

    /// The UIDs that are not in the other set, in time linear in the ranges of both.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// All others from 1 to 2^32-1.
    fn complement(&self) -> Self {
        let mut others = Vec::with_capacity(self.0.len() + 1);
        let mut from = 1;
        for &(first, last) in &self.0 {
            if from < first {
                others.push((from, first - 1));
            }
            let Some(after) = last.checked_add(1) else {
                return Self(others);
            };
            from = after;
        }
        others.push((from, u32::MAX));
        Self(others)
    }

    /// True if the UID is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let value = uid.value();
        let at = self.0.partition_point(|&(_, last)| last < value);
        self.0.get(at).is_some_and(|&(first, _)| first <= value)
    }

    /// True if there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many UIDs are in it.
    pub fn len(&self) -> usize {
        self.0
            .iter()
            .map(|&(first, last)| (last - first) as usize + 1)
            .sum()
    }

    /// The ranges, rising, never touching.
    pub fn ranges(
        &self,
    ) -> impl DoubleEndedIterator<Item = RangeInclusive<u32>> + ExactSizeIterator {
        self.0.iter().map(|&(first, last)| first..=last)
    }

    /// The UIDs, rising.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Uid> {
        self.ranges().flatten().filter_map(Uid::new)
    }
}

impl FromIterator<RangeInclusive<u32>> for UidSet {
    /// The UIDs of ranges in any order.
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u32>>>(ranges: I) -> Self {
        let pairs = ranges
            .into_iter()
            .map(|range| (*range.start(), *range.end()))
            .filter(|(first, last)| first <= last);
        let mut pairs: Vec<(u32, u32)> = pairs.collect();
        pairs.sort_unstable();
        let mut set = Self::new();
        set.unite(&Self(pairs));
        set
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        for uid in uids {
            set.insert(uid);
        }
        set
    }
}

impl Extend<Uid> for UidSet {
    fn extend<I: IntoIterator<Item = Uid>>(&mut self, uids: I) {
        for uid in uids {
            self.insert(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn holds_what_a_tree_set_holds() {
        // every order of inserting six values from a small range
        let values = [5_u32, 3, 4, 9, 1, 8];
        for rotation in 0..values.len() {
            for step in [1, 5] {
                let order: Vec<u32> = (0..values.len())
                    .map(|i| values[(rotation + i * step) % values.len()])
                    .collect();
                let set: UidSet = order.iter().filter_map(|&v| Uid::new(v)).collect();
                let tree: BTreeSet<u32> = order.iter().copied().collect();
                assert_eq!(
                    set.iter().map(Uid::value).collect::<Vec<_>>(),
                    tree.iter().copied().collect::<Vec<_>>(),
                    "{order:?}"
                );
                assert_eq!(set.len(), tree.len());
                assert_eq!(
                    set.ranges()
                        .map(|r| (*r.start(), *r.end()))
                        .collect::<Vec<_>>(),
                    [(1, 1), (3, 5), (8, 9)]
                );
                for v in 1..12 {
                    assert_eq!(set.contains(Uid::new(v).unwrap()), tree.contains(&v));
                }
            }
        }
    }

    #[test]
    fn is_made_of_ranges_in_any_order() {
        let set: UidSet = [9..=12, 1..=1, 4..=6, 2..=2, 5..=7, 6..=6]
            .into_iter()
            .collect();
        let ranges: Vec<_> = set.ranges().collect();
        assert_eq!(ranges, [1..=2, 4..=7, 9..=12]);
    }

    #[test]
    fn reaches_to_the_highest_uid() {
        let all: UidSet = [1..=u32::MAX].into_iter().collect();
        let middle: UidSet = [5..=9].into_iter().collect();
        let ranges: Vec<_> = all.difference(&middle).ranges().collect();
        assert_eq!(ranges, [1..=4, 10..=u32::MAX]);
        assert!(middle.difference(&all).is_empty());
        assert_eq!(all.difference(&UidSet::new()), all);
    }

    #[test]
    fn unites_intersects_and_differs_like_tree_sets() {
        // every pair of subsets of seven values
        let set = |bits: u32| -> UidSet {
            (1..8)
                .filter(|v| bits >> v & 1 == 1)
                .filter_map(Uid::new)
                .collect()
        };
        for (left, right) in (0..256).flat_map(|l| (0..256).map(move |r| (l, r))) {
            let mut united = set(left);
            united.unite(&set(right));
            assert_eq!(united, set(left | right), "{left:b} {right:b}");
            let (one, other) = (set(left), set(right));
            assert_eq!(
                one.intersection(&other),
                set(left & right),
                "{left:b} {right:b}"
            );
            assert_eq!(
                one.difference(&other),
                set(left & !right),
                "{left:b} {right:b}"
            );
        }
    }
}
