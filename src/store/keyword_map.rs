//! Positions of keywords in the files of a mailbox, and in the memory that connections share.
//!
//! They are the same unless another program gave a letter to another keyword while the mailbox was open: the shared positions never
//! change their keyword ([`KeywordTable`]), those on disk may.

use crate::mailbox::flag::{Flags, KeywordTable, MAX_KEYWORDS};

/// Translates flags between the two.
#[derive(Debug, Clone, Default)]
pub(super) struct KeywordMap {
    /// Shared position by position on disk.
    shared: Vec<Option<usize>>,
    is_identity: bool,
}

impl KeywordMap {
    /// Follows the keywords on disk; those that are new get a shared position. A keyword for which there is no room is not shown.
    pub(super) fn follow(&mut self, on_disk: &KeywordTable, shared: &mut KeywordTable) {
        self.shared = vec![None; MAX_KEYWORDS];
        for (at, keyword) in on_disk.iter() {
            let place = if shared.set(at, keyword.clone()) {
                Some(at)
            } else {
                shared.insert(keyword)
            };
            if let Some(slot) = self.shared.get_mut(at) {
                *slot = place;
            }
        }
        self.is_identity = self
            .shared
            .iter()
            .enumerate()
            .all(|(at, place)| place.is_none_or(|place| place == at));
    }

    /// Flags as connections see them.
    pub(super) fn to_shared(&self, flags: Flags) -> Flags {
        if self.is_identity || flags.keywords().is_empty() {
            return flags;
        }
        flags
            .keyword_indexes()
            .filter_map(|at| self.shared.get(at).copied().flatten())
            .fold(flags.system(), Flags::with_keyword)
    }

    /// Flags as they are on disk.
    pub(super) fn to_disk(&self, flags: Flags) -> Flags {
        if self.is_identity || flags.keywords().is_empty() {
            return flags;
        }
        flags
            .keyword_indexes()
            .filter_map(|place| self.shared.iter().position(|known| *known == Some(place)))
            .fold(flags.system(), Flags::with_keyword)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::flag::{Keyword, SystemFlag};

    fn table(words: &[(usize, &str)]) -> KeywordTable {
        let mut table = KeywordTable::default();
        for (at, word) in words {
            assert!(table.set(*at, Keyword::new(word).unwrap()));
        }
        table
    }

    #[test]
    fn follows_letters_that_change_their_meaning() {
        let mut shared = KeywordTable::default();
        let mut map = KeywordMap::default();
        map.follow(&table(&[(0, "Work"), (2, "$Junk")]), &mut shared);
        let both = Flags::NONE
            .with(SystemFlag::Seen)
            .with_keyword(0)
            .with_keyword(2);
        assert_eq!(map.to_shared(both), both);

        map.follow(
            &table(&[(0, "$Junk"), (1, "work"), (2, "New")]),
            &mut shared,
        );
        let on_disk = Flags::NONE.with_keyword(0).with_keyword(1).with_keyword(2);
        let seen = map.to_shared(on_disk);
        let words: Vec<&str> = seen
            .keyword_indexes()
            .map(|at| shared.keyword(at).unwrap().as_str())
            .collect();
        assert_eq!(words, ["Work", "New", "$Junk"]);
        assert_eq!(map.to_disk(seen), on_disk);
        assert_eq!(
            map.to_shared(Flags::NONE.with(SystemFlag::Seen)),
            Flags::NONE.with(SystemFlag::Seen)
        );
    }
}
