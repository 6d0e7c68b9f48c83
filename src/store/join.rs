//! Compares the files found with the messages known and the records of the UID list. Pure.

use super::filename::{arrival_order, leading_number};
use super::files::{Files, NameHasher};
use super::helpers::Helpers;
use super::listing::{BaseIndex, Listing};
use super::spool::Place;
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;

/// What the comparison takes for granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    /// Both directories were read; else `new/` alone.
    pub(super) whole: bool,
    /// The records are all there are, not only those added since the last time: a message without one has lost its UID.
    pub(super) all_records: bool,
    /// UIDs below this one were told as next UID already: they are not given to messages that were not there.
    pub(super) uid_next: Option<Uid>,
}

/// What has to be done. Indexes are those of the listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    /// Messages whose file has another name or lies elsewhere now: position in the table and file.
    pub(super) renamed: Vec<(usize, usize)>,
    /// Messages whose files were not found.
    pub(super) missing: UidSet,
    /// Messages whose file got another UID: gone under this one, whatever else is found.
    pub(super) renumbered: UidSet,
    /// New files that have a UID in the list: rising.
    pub(super) recorded: Vec<(Uid, usize)>,
    /// New files without UID, in the order in which they get one.
    pub(super) unknown: Vec<usize>,
    /// The first record of a UID that has no file.
    pub(super) unmatched: Option<Uid>,
    /// A file in `new/` has the base name of a message in `cur/`: both directories have to be read.
    pub(super) needs_whole: bool,
}

impl Joined {
    /// True if every message and every record has its file.
    pub(super) const fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unmatched.is_none()
    }

    /// Puts off what cannot be decided without a reading that is sure: no message is given up, and no UID above that of a record whose
    /// file was not found is shown, since UIDs must rise.
    pub(super) fn put_off(&mut self) {
        self.missing = UidSet::new();
        if let Some(limit) = self.unmatched {
            self.recorded.retain(|(uid, _)| *uid < limit);
            self.unknown.clear();
        }
    }
}

/// How many names a thread finds at a time.
const FOUND_AT_ONCE: usize = 1024;

/// Finds files by their base names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finder<'a> {
    /// The files.
    pub(super) listing: &'a Listing,
    /// Finds each of them.
    pub(super) index: &'a BaseIndex,
    /// Hashes names.
    pub(super) hasher: &'a NameHasher,
    /// They help where many are to be found.
    pub(super) helpers: &'a Helpers,
    /// Whether each message has its file under the name known, by position: such files are not among those found.
    pub(super) met: &'a [bool],
}

impl<'a> Finder<'a> {
    /// The file of each of so many base names, which have these hashes.
    fn find(
        &self,
        count: usize,
        name: impl Fn(usize) -> Option<(&'a [u8], u32)> + Sync,
    ) -> Vec<Option<u32>> {
        let mut found = vec![None; count];
        self.helpers.fill(&mut found, FOUND_AT_ONCE, &|at| {
            let (base, hash) = name(at)?;
            u32::try_from(self.index.find(self.listing, hash, base)?).ok()
        });
        found
    }
}

/// Compares. `records` are UIDs and base names, rising; of two with one name the later counts.
pub(super) fn join(
    files: &Files,
    finder: Finder<'_>,
    records: &[(Uid, &[u8])],
    ground: Ground,
) -> Joined {
    let listing = finder.listing;
    let mut joined = Joined::default();
    let column = |is_needed: bool| if is_needed { listing.len() } else { 0 };
    let mut owners: Vec<Option<u32>> = vec![None; column(files.len() > 0)];
    let is_met = |at: usize| finder.met.get(at).copied().unwrap_or_default();
    let known = finder.find(files.len(), |at| {
        let hash = files.hashes().get(at).filter(|_| !is_met(at))?;
        Some((files.base(at), *hash))
    });
    for (at, found) in known.into_iter().enumerate() {
        if is_met(at) {
            continue;
        }
        match found.and_then(|i| owners.get_mut(i as usize)) {
            Some(owner) => *owner = u32::try_from(at).ok(),
            None if ground.whole || files.place(at) == Place::New => {
                joined.missing.extend(files.uid(at));
            }
            None => {}
        }
    }
    let mut claims: Vec<Option<Uid>> = vec![None; column(!records.is_empty())];
    let recorded = finder.find(records.len(), |at| {
        let (_, base) = records.get(at)?;
        Some((*base, finder.hasher.hash(base)))
    });
    for ((uid, _), found) in records.iter().zip(recorded) {
        match found.and_then(|i| claims.get_mut(i as usize)) {
            Some(claim) => *claim = Some(*uid),
            None => joined.unmatched = joined.unmatched.or(Some(*uid)),
        }
    }
    for i in 0..listing.len() {
        let owner = owners.get(i).copied().flatten();
        let claim = claims.get(i).copied().flatten();
        let known = owner.and_then(|at| Some((at as usize, files.uid(at as usize)?)));
        joined.place(files, listing, i, known, claim, ground);
    }
    joined.recorded.sort_unstable();
    sort_by_arrival(listing, &mut joined.unknown);
    joined
}

impl Joined {
    /// Decides on one file: the message that has its base name, and the UID that the list has for it.
    fn place(
        &mut self,
        files: &Files,
        listing: &Listing,
        i: usize,
        known: Option<(usize, Uid)>,
        claim: Option<Uid>,
        ground: Ground,
    ) {
        if let Some((at, uid)) = known {
            self.needs_whole |= !ground.whole && files.place(at) == Place::Cur;
            let keeps = claim.map_or(!ground.all_records, |claim| claim == uid);
            if keeps {
                if files.place(at) != listing.place(i) || files.name(at) != listing.name(i) {
                    self.renamed.push((at, i));
                }
                return;
            }
            self.renumbered.insert(uid);
        }
        match claim {
            Some(uid) if ground.uid_next.is_none_or(|next| uid >= next) => {
                self.recorded.push((uid, i));
            }
            Some(_) | None => self.unknown.push(i),
        }
    }
}

/// Sorts files by [`arrival_order`]; the leading number of most names decides without another look at the name.
fn sort_by_arrival(listing: &Listing, files: &mut [usize]) {
    // number and file side by side, compared as one; numbers beyond 32 bits count as equal here, names then decide
    let mut keyed: Vec<u64> = files
        .iter()
        .map(|i| {
            let number = leading_number(listing.base(*i)).0.min(u32::MAX.into());
            number << 32 | *i as u64
        })
        .collect();
    keyed.sort_unstable();
    let number = |key: &u64| key >> 32;
    for (place, key) in files.iter_mut().zip(&keyed) {
        *place = usize::try_from(key & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    }
    let mut rest = files;
    for equal in keyed.chunk_by(|a, b| number(a) == number(b)) {
        let (these, others) = rest.split_at_mut(equal.len());
        if equal.len() > 1 {
            these.sort_unstable_by(|a, b| {
                arrival_order(listing.base(*a), listing.base(*b)).then(a.cmp(b))
            });
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::NewFile;

    /// Files as `place/name`.
    fn listing(hasher: &NameHasher, names: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            let (place, name) = split(name);
            listing.push(name.as_bytes(), place, hasher).unwrap();
        }
        listing
    }

    fn split(name: &str) -> (Place, &str) {
        name.strip_prefix("new/").map_or_else(
            || (Place::Cur, name.strip_prefix("cur/").unwrap()),
            |name| (Place::New, name),
        )
    }

    fn base(name: &str) -> &str {
        name.split(':').next().unwrap()
    }

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn uids(values: &[u32]) -> UidSet {
        values.iter().map(|value| uid(*value)).collect()
    }

    /// Joins known files, files found and records.
    fn run(
        known: &[(u32, &str)],
        found: &[&str],
        records: &[(u32, &str)],
        ground: Ground,
    ) -> Joined {
        let hasher = NameHasher::default();
        let mut files = Files::default();
        for (value, name) in known {
            let (place, name) = split(name);
            assert!(files.push(NewFile {
                uid: uid(*value),
                name: name.as_bytes(),
                base_octets: base(name).len(),
                hash: hasher.hash(base(name).as_bytes()),
                place,
            }));
        }
        let listing = listing(&hasher, found);
        let index = BaseIndex::new(&listing);
        let records: Vec<(Uid, &[u8])> = records
            .iter()
            .map(|(value, name)| (uid(*value), name.as_bytes()))
            .collect();
        let finder = Finder {
            listing: &listing,
            index: &index,
            hasher: &hasher,
            helpers: &Helpers::default(),
            met: &[],
        };
        join(&files, finder, &records, ground)
    }

    const WHOLE: Ground = Ground {
        whole: true,
        all_records: false,
        uid_next: Uid::new(10),
    };

    #[test]
    fn a_first_look_takes_uids_from_the_list() {
        let ground = Ground {
            whole: true,
            all_records: true,
            uid_next: None,
        };
        let joined = run(
            &[],
            &["cur/b:2,S", "new/300.x", "cur/a:2,", "new/20.x"],
            &[(1, "a"), (2, "gone"), (3, "b"), (7, "a")],
            ground,
        );
        assert_eq!(
            joined,
            Joined {
                recorded: vec![(uid(3), 0), (uid(7), 2)],
                unknown: vec![3, 1],
                unmatched: Some(uid(2)),
                ..Joined::default()
            }
        );
    }

    #[test]
    fn sees_renames_arrivals_and_losses() {
        let joined = run(
            &[(1, "cur/a:2,"), (2, "new/b"), (3, "cur/c:2,S")],
            &["cur/a:2,", "cur/b:2,S", "new/d"],
            &[],
            WHOLE,
        );
        assert_eq!(
            joined,
            Joined {
                renamed: vec![(1, 1)],
                missing: uids(&[3]),
                unknown: vec![2],
                ..Joined::default()
            }
        );
    }

    #[test]
    fn a_look_at_new_alone_does_not_miss_what_is_in_cur() {
        let new_only = Ground {
            whole: false,
            ..WHOLE
        };
        let joined = run(
            &[(1, "cur/a:2,"), (2, "new/b")],
            &["new/c"],
            &[(10, "c"), (11, "elsewhere")],
            new_only,
        );
        assert_eq!(
            joined,
            Joined {
                missing: uids(&[2]),
                recorded: vec![(uid(10), 0)],
                unmatched: Some(uid(11)),
                ..Joined::default()
            }
        );
        assert!(run(&[(1, "cur/a:2,")], &["new/a"], &[], new_only).needs_whole);
    }

    #[test]
    fn uids_above_one_that_was_not_found_are_put_off() {
        let records = [(10, "a"), (11, "b"), (12, "c")];
        let mut joined = run(
            &[(3, "cur/x:2,")],
            &["cur/a:2,", "cur/c:2,", "new/d"],
            &records,
            WHOLE,
        );
        joined.put_off();
        assert_eq!(
            joined,
            Joined {
                recorded: vec![(uid(10), 0)],
                unmatched: Some(uid(11)),
                ..Joined::default()
            }
        );
    }

    #[test]
    fn a_uid_below_the_next_is_never_given_again() {
        // the name of UID 4 was expunged and came back: the old record does not count
        let joined = run(&[], &["cur/a:2,"], &[(4, "a")], WHOLE);
        assert_eq!(joined.unknown, [0]);
        assert!(joined.recorded.is_empty());
    }

    #[test]
    fn numbers_of_any_size_are_in_order() {
        let files = [
            "cur/99999999999999999999999.M1.x:2,",
            "cur/4294967296.M5.x:2,",
            "new/4294967295.M7.x",
            "cur/18446744073709551615.M1.x:2,",
            "cur/4294967294.M9.x:2,",
            "cur/4294967296.M4.x:2,",
            "cur/x:2,",
        ];
        let joined = run(&[], &files, &[], WHOLE);
        assert_eq!(joined.unknown, [6, 4, 2, 5, 1, 3, 0]);
    }

    #[test]
    fn another_program_that_renumbered_is_followed() {
        let joined = run(
            &[(4, "cur/a:2,"), (5, "cur/b:2,"), (6, "cur/c:2,")],
            &["cur/a:2,", "cur/b:2,", "cur/c:2,"],
            &[(5, "b"), (12, "a")],
            Ground {
                all_records: true,
                ..WHOLE
            },
        );
        assert_eq!(joined.renumbered, uids(&[4, 6]));
        assert_eq!(joined.recorded, [(uid(12), 0)]);
        assert_eq!(joined.unknown, [2]);
        assert!(joined.is_complete());
    }
}
