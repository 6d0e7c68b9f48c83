//! Which file holds which message: names as they are on disk, in one block of memory, by UID.

use super::filename::FileName;
use super::spool::Place;
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Hashes base names; with a key, since senders of mail might have a say in names.
#[derive(Debug, Clone, Default)]
pub(super) struct NameHasher(RandomState);

impl NameHasher {
    /// The hash of a base name.
    #[expect(clippy::cast_possible_truncation, reason = "half a hash is a hash")]
    pub(super) fn hash(&self, base: &[u8]) -> u32 {
        self.0.hash_one(base) as u32
    }
}

/// Where one name lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    octets: u16,
    base_octets: u16,
    place: Place,
}

/// The files of one mailbox, UIDs rising. 20 octets a message besides its name.
#[derive(Debug, Default)]
pub(super) struct Files {
    uids: Vec<Uid>,
    entries: Vec<Entry>,
    hashes: Vec<u32>,
    names: Vec<u8>,
    /// Octets of `names` that no entry uses any more.
    unused: usize,
    in_new: usize,
    orders: BTreeMap<Uid, u32>,
}

/// A file's name and what is known of it without looking at the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewFile<'a> {
    /// UID, above all there are.
    pub(super) uid: Uid,
    /// Name in its directory.
    pub(super) name: &'a [u8],
    /// Octets of the base name.
    pub(super) base_octets: usize,
    /// Hash of the base name.
    pub(super) hash: u32,
    /// Its directory.
    pub(super) place: Place,
}

/// As [`NewFile`], with a name that lies in the block of memory given with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredFile {
    /// UID.
    pub(super) uid: Uid,
    /// Where the name begins.
    pub(super) start: u32,
    /// Octets of the name.
    pub(super) octets: u16,
    /// Octets of the base name.
    pub(super) base_octets: u16,
    /// Hash of the base name.
    pub(super) hash: u32,
    /// Its directory.
    pub(super) place: Place,
}

impl Files {
    /// All messages at once, by rising UID; what does not rise is passed over. Their names follow by [`Files::put_names`].
    pub(super) fn of(files: impl ExactSizeIterator<Item = Option<StoredFile>>) -> Self {
        let mut all = Self {
            uids: Vec::with_capacity(files.len()),
            entries: Vec::with_capacity(files.len()),
            hashes: Vec::with_capacity(files.len()),
            ..Self::default()
        };
        for file in files.flatten() {
            if all.uids.last().is_none_or(|last| *last < file.uid) {
                all.add(file);
            }
        }
        all
    }

    /// Puts the block of names there, which has the names of all files, and maybe others.
    pub(super) fn put_names(&mut self, names: Vec<u8>) {
        let used = |octets, entry: &Entry| octets + usize::from(entry.octets);
        let used = self.entries.iter().fold(0, used);
        self.unused = names.len().saturating_sub(used);
        self.names = names;
    }

    /// How many messages there are.
    pub(super) const fn len(&self) -> usize {
        self.uids.len()
    }

    /// How many of them lie in `new/`.
    pub(super) const fn in_new(&self) -> usize {
        self.in_new
    }

    /// Position of a message. Constant time where UIDs have no gaps.
    pub(super) fn position(&self, uid: Uid) -> Option<usize> {
        let first = self.uids.first()?;
        let guess = uid.value().checked_sub(first.value())? as usize;
        if self.uids.get(guess) == Some(&uid) {
            return Some(guess);
        }
        self.uids.binary_search(&uid).ok()
    }

    /// UID of the message at a position.
    pub(super) fn uid(&self, at: usize) -> Option<Uid> {
        self.uids.get(at).copied()
    }

    /// UIDs of all messages, rising.
    pub(super) fn uids(&self) -> &[Uid] {
        &self.uids
    }

    /// Hashes of the base names, by position.
    pub(super) fn hashes(&self) -> &[u32] {
        &self.hashes
    }

    /// Name of the file at a position; empty if there is none.
    pub(super) fn name(&self, at: usize) -> &[u8] {
        self.part(at, |entry| entry.octets)
    }

    /// Base name of the file at a position; empty if there is none.
    pub(super) fn base(&self, at: usize) -> &[u8] {
        self.part(at, |entry| entry.base_octets)
    }

    fn part(&self, at: usize, octets: impl Fn(&Entry) -> u16) -> &[u8] {
        self.entries
            .get(at)
            .and_then(|entry| {
                let start = entry.start as usize;
                self.names.get(start..start + usize::from(octets(entry)))
            })
            .unwrap_or_default()
    }

    /// All names, and maybe others that no file has any more.
    pub(super) fn names(&self) -> &[u8] {
        &self.names
    }

    /// Where each name lies, by position.
    pub(super) fn stored(&self) -> impl Iterator<Item = StoredFile> + '_ {
        let columns = self.uids.iter().zip(&self.entries).zip(&self.hashes);
        columns.map(|((uid, entry), hash)| StoredFile {
            uid: *uid,
            start: entry.start,
            octets: entry.octets,
            base_octets: entry.base_octets,
            hash: *hash,
            place: entry.place,
        })
    }

    /// Positions in the order in which names were put into memory: for most that of the directory when it was read first.
    pub(super) fn in_order_of_names(&self) -> Vec<u32> {
        let mut order: Vec<(u32, u32)> = self
            .entries
            .iter()
            .map(|entry| entry.start)
            .zip(0..)
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, at)| at).collect()
    }

    /// Directory of the file at a position.
    pub(super) fn place(&self, at: usize) -> Place {
        self.entries.get(at).map_or(Place::Cur, |entry| entry.place)
    }

    /// POP3 order of a message, where it has one.
    pub(super) fn order(&self, uid: Uid) -> Option<u32> {
        self.orders.get(&uid).copied()
    }

    /// Notes the POP3 order of a message.
    pub(super) fn set_order(&mut self, uid: Uid, order: u32) {
        self.orders.insert(uid, order);
    }

    /// The letters for keywords that names hold, as flags of their positions.
    pub(super) fn letters(&self) -> Flags {
        let mut letters = Flags::NONE;
        for at in 0..self.len() {
            let info = FileName::parse(self.name(at)).map_or(&[][..], |name| name.info);
            for letter in info.iter().filter(|octet| octet.is_ascii_lowercase()) {
                letters = letters.with_keyword(usize::from(letter - b'a'));
            }
        }
        letters
    }

    /// Adds a message; false if its UID does not rise or its name is not one.
    pub(super) fn push(&mut self, file: NewFile<'_>) -> bool {
        if self.uids.last().is_some_and(|last| *last >= file.uid) {
            return false;
        }
        let (Ok(octets), Ok(base_octets)) = (
            u16::try_from(file.name.len()),
            u16::try_from(file.base_octets),
        ) else {
            return false;
        };
        let Some(start) = self.store_name(file.name) else {
            return false;
        };
        self.add(StoredFile {
            uid: file.uid,
            start,
            octets,
            base_octets,
            hash: file.hash,
            place: file.place,
        });
        true
    }

    /// Adds a message whose name is there.
    fn add(&mut self, file: StoredFile) {
        self.uids.push(file.uid);
        self.hashes.push(file.hash);
        self.entries.push(Entry {
            start: file.start,
            octets: file.octets,
            base_octets: file.base_octets.min(file.octets),
            place: file.place,
        });
        self.in_new += usize::from(file.place == Place::New);
    }

    /// Gives back the room for messages that have not come, after the first look.
    pub(super) fn shrink(&mut self) {
        self.uids.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.hashes.shrink_to_fit();
        self.names.shrink_to_fit();
    }

    /// Notes another name, with the same base name, for the message at a position.
    pub(super) fn rename(&mut self, at: usize, name: &[u8], place: Place) {
        let Ok(octets) = u16::try_from(name.len()) else {
            return;
        };
        let unchanged = self.name(at) == name;
        let start = if unchanged {
            None
        } else {
            self.store_name(name)
        };
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        self.in_new -= usize::from(entry.place == Place::New);
        self.in_new += usize::from(place == Place::New);
        entry.place = place;
        if let Some(start) = start {
            self.unused += usize::from(entry.octets);
            entry.start = start;
            entry.octets = octets;
            entry.base_octets = entry.base_octets.min(octets);
        }
    }

    /// Removes messages.
    pub(super) fn remove(&mut self, uids: &UidSet) {
        let keep: Vec<bool> = self.uids.iter().map(|uid| !uids.contains(*uid)).collect();
        for (entry, _) in self.entries.iter().zip(&keep).filter(|(_, keep)| !**keep) {
            self.unused += usize::from(entry.octets);
            self.in_new -= usize::from(entry.place == Place::New);
        }
        retain(&mut self.uids, &keep);
        retain(&mut self.entries, &keep);
        retain(&mut self.hashes, &keep);
        self.orders.retain(|uid, _| !uids.contains(*uid));
    }

    /// Puts a name into memory and returns where; none when there is no more room for 32-bit offsets.
    fn store_name(&mut self, name: &[u8]) -> Option<u32> {
        if self.unused > self.names.len() / 2 && self.unused > 4096 {
            self.compact();
        }
        let start = u32::try_from(self.names.len()).ok()?;
        self.names.extend_from_slice(name);
        Some(start)
    }

    /// Puts the names in use side by side.
    fn compact(&mut self) {
        let mut names = Vec::with_capacity(self.names.len() - self.unused);
        for entry in &mut self.entries {
            let from = entry.start as usize;
            let name = self
                .names
                .get(from..from + usize::from(entry.octets))
                .unwrap_or_default();
            entry.start = u32::try_from(names.len()).unwrap_or(u32::MAX);
            names.extend_from_slice(name);
        }
        self.names = names;
        self.unused = 0;
    }
}

/// Keeps the elements whose mark is true.
fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    let mut marks = keep.iter();
    column.retain(|_| marks.next().copied().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn file(value: u32, name: &str, place: Place) -> NewFile<'_> {
        NewFile {
            uid: uid(value),
            name: name.as_bytes(),
            base_octets: name.find(':').unwrap_or(name.len()),
            hash: value,
            place,
        }
    }

    #[test]
    fn keeps_names_through_renames_removals_and_tidying() {
        let mut files = Files::default();
        for n in 1..=500_u32 {
            assert!(files.push(file(n * 2, &format!("name{n:04}"), Place::New)));
        }
        assert!(!files.push(file(1000, "late", Place::Cur)));
        for round in ["S", "FS", "DFS"] {
            for at in 0..files.len() {
                let name = [files.base(at), b":2,", round.as_bytes()].concat();
                files.rename(at, &name, Place::Cur);
            }
        }
        assert_eq!(files.in_new(), 0);
        files.remove(&(1..=400).map(|n| uid(n * 2)).collect());
        assert_eq!(files.len(), 100);
        for n in 401..=500 {
            let at = files.position(uid(n * 2)).unwrap();
            assert_eq!(files.name(at), format!("name{n:04}:2,DFS").as_bytes());
            assert_eq!(files.base(at), format!("name{n:04}").as_bytes());
        }
        assert_eq!(files.position(uid(801)), None);
        assert!(
            files.names.len() < 500 * 16 + 4096,
            "{} octets of names for 100 messages",
            files.names.len()
        );
    }

    #[test]
    fn takes_over_names_that_lie_side_by_side() {
        let stored = |value, start, octets, base_octets, place| {
            Some(StoredFile {
                uid: uid(value),
                start,
                octets,
                base_octets,
                hash: value,
                place,
            })
        };
        let all = [
            stored(1, 7, 5, 1, Place::Cur),
            stored(4, 0, 7, 3, Place::Cur),
            stored(4, 12, 4, 4, Place::Cur),
            None,
            stored(9, 16, 1, 1, Place::New),
        ];
        let mut files = Files::of(all.into_iter());
        files.put_names(b"old:2,Sa:2,Tjunkb".to_vec());
        assert_eq!((files.len(), files.in_new(), files.unused), (3, 1, 4));
        files.rename(2, b"b:2,", Place::Cur);
        let names: Vec<&[u8]> = (0..4).map(|at| files.name(at)).collect();
        assert_eq!(names, [&b"a:2,T"[..], b"old:2,S", b"b:2,", b""]);
        assert_eq!(files.base(1), b"old");
        assert_eq!((files.in_new(), files.unused), (0, 5));
    }
}
