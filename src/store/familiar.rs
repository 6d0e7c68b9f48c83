//! Names that are what they were: of a large directory that is read again, nearly all, and in the order of the last time.

use super::files::{Files, NameHasher};
use super::listing::Listing;
use super::spool::Place;
use std::io;

/// How many names may be gone in a row.
const GONE_IN_A_ROW: usize = 16;

/// How many other names there may be, so that finding out whose they are is cheap.
const MAX_OTHERS: usize = 64;

/// Which of the files known were met under the names they have.
#[derive(Debug)]
pub(super) struct Familiar {
    /// Positions of the files known, in the order in which their names are expected.
    order: Vec<u32>,
    /// How far that has come.
    next: usize,
    /// Whether each file known was met, by position.
    met: Vec<bool>,
}

impl Familiar {
    /// None of them was met yet.
    pub(super) fn new(files: &Files) -> Self {
        Self {
            order: files.in_order_of_names(),
            next: 0,
            met: vec![false; files.len()],
        }
    }

    /// True if a name is that of a file known where it was, and not far beyond the last one.
    pub(super) fn meets(&mut self, files: &Files, place: Place, name: &[u8]) -> bool {
        let expected = self.order.get(self.next..).unwrap_or_default();
        let found = expected.iter().take(GONE_IN_A_ROW + 1).position(|at| {
            let at = *at as usize;
            files.name(at) == name && files.place(at) == place
        });
        let Some((ahead, at)) = found.and_then(|ahead| Some((ahead, expected.get(ahead)?))) else {
            return false;
        };
        if let Some(met) = self.met.get_mut(*at as usize) {
            *met = true;
        }
        self.next += ahead + 1;
        true
    }

    /// Whether each file known was met, by position.
    pub(super) fn met(&self) -> &[bool] {
        &self.met
    }

    /// True if the other names found are few, and none of a file that was met too.
    pub(super) fn is_enough(&self, files: &Files, others: &Listing) -> bool {
        others.len() <= MAX_OTHERS
            && (0..others.len()).all(|i| {
                let (hash, base) = (others.hash(i), others.base(i));
                let is_met = |at: usize| self.met.get(at).copied().unwrap_or_default();
                let mut hashes = files.hashes().iter().enumerate();
                !hashes.any(|(at, known)| *known == hash && is_met(at) && files.base(at) == base)
            })
    }

    /// Adds the files that were met to the others.
    ///
    /// # Errors
    /// There is no room for so many names.
    pub(super) fn fill_up(
        &self,
        files: &Files,
        hasher: &NameHasher,
        others: &mut Listing,
    ) -> io::Result<()> {
        let met = self.met.iter().enumerate().filter(|(_, met)| **met);
        for (at, _) in met {
            others.push(files.name(at), files.place(at), hasher)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::id::Uid;
    use crate::store::files::NewFile;

    /// Files `1:2,` and so on, with UIDs against the order of names.
    fn files(hasher: &NameHasher, count: u32) -> Files {
        let mut files = Files::default();
        for n in 1..=count {
            let (base, name) = (n.to_string(), format!("{n}:2,"));
            assert!(files.push(NewFile {
                uid: Uid::new(n).unwrap(),
                name: name.as_bytes(),
                base_octets: base.len(),
                hash: hasher.hash(base.as_bytes()),
                place: Place::Cur,
            }));
        }
        // goes to the end of the names
        files.rename(0, b"1:2,S", Place::Cur);
        files
    }

    #[test]
    fn names_are_met_in_order_with_some_gone_and_others_between() {
        let hasher = NameHasher::default();
        let files = files(&hasher, 100);
        let mut familiar = Familiar::new(&files);
        // (name, place, met?)
        for (name, place, expected) in [
            ("2:2,", Place::Cur, true),
            ("x:2,", Place::Cur, false),
            ("3:2,S", Place::Cur, false),
            ("4:2,", Place::New, false),
            ("4:2,", Place::Cur, true),
            ("4:2,", Place::Cur, false),
            ("21:2,", Place::Cur, true),
            ("39:2,", Place::Cur, false),
            ("38:2,", Place::Cur, true),
            ("37:2,", Place::Cur, false),
        ] {
            let met = familiar.meets(&files, place, name.as_bytes());
            assert_eq!(met, expected, "{name}");
        }
        let met = (0..).zip(familiar.met()).filter(|(_, met)| **met);
        let met: Vec<u32> = met.map(|(at, _)| at).collect();
        assert_eq!(met, [1, 3, 20, 37]);
        let mut listing = Listing::default();
        familiar.fill_up(&files, &hasher, &mut listing).unwrap();
        let names: Vec<&[u8]> = (0..4).map(|i| listing.name(i)).collect();
        assert_eq!(names, [b"2:2,", b"4:2,", &b"21:2,"[..], b"38:2,"]);
        for n in (39..=100).chain([1]) {
            let name = format!("{n}:2,{}", if n == 1 { "S" } else { "" });
            assert!(familiar.meets(&files, Place::Cur, name.as_bytes()));
        }
        assert!(!familiar.meets(&files, Place::Cur, b"1:2,S"));
    }

    #[test]
    fn few_others_are_enough_unless_one_is_the_second_of_its_name() {
        let hasher = NameHasher::default();
        let files = files(&hasher, 100);
        let mut familiar = Familiar::new(&files);
        assert!(familiar.meets(&files, Place::Cur, b"2:2,"));
        let mut others = Listing::default();
        others.push(b"new", Place::Cur, &hasher).unwrap();
        // of a file that was not met where it was
        others.push(b"3:2,S", Place::Cur, &hasher).unwrap();
        assert!(familiar.is_enough(&files, &others));
        others.push(b"2:2,S", Place::Cur, &hasher).unwrap();
        assert!(!familiar.is_enough(&files, &others));
        others.remove(2);
        for n in 0..MAX_OTHERS {
            let name = format!("other{n}");
            others.push(name.as_bytes(), Place::New, &hasher).unwrap();
        }
        assert!(!familiar.is_enough(&files, &others));
    }
}
