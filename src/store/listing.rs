//! What reading `new/` and `cur/` finds: files by name, and how they are found again.
//!
//! A large directory is read by a helper while this thread looks at the names that have come; where halves of it can be told, each reads one.

use super::familiar::Familiar;
use super::filename::FileName;
use super::files::{Files, NameHasher, NewFile, StoredFile};
use super::helpers::Helpers;
use super::names::{Batch, Names};
use super::scan::LARGE;
use super::spool::{Place, Spool};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;
use std::io;
use std::sync::RwLockReadGuard;

/// Room for names of which there may be few.
const ROOM: usize = 32 * 1024;

/// Room for names of a large directory, which are handed over together.
const LARGE_ROOM: usize = 256 * 1024;

/// One file that may be a message.
#[derive(Debug, Clone, Copy)]
struct Listed {
    start: u32,
    octets: u16,
    base_octets: u16,
    hash: u32,
    place: Place,
    /// What the letters stand for.
    letters: Flags,
}

/// Names that were read, and what they are.
#[derive(Debug)]
struct Piece {
    batch: Batch,
    /// What they are, once that was looked at.
    files: Option<Vec<Listed>>,
}

impl Piece {
    /// Reads the next names.
    fn of(names: &mut Names, room: usize) -> io::Result<Self> {
        let batch = names.next_batch(room)?;
        Ok(Self { batch, files: None })
    }

    /// Looks at the names.
    fn take_apart(&mut self, place: Place, hasher: &NameHasher) {
        let mut files = Vec::with_capacity(self.batch.ends.len());
        let names = self.batch.names();
        files.extend(names.filter_map(|(start, name)| Listed::of(start, name, place, hasher)));
        self.files = Some(files);
    }
}

impl Listed {
    /// The file of a name that begins so far in the block of names; none if no message can have it.
    fn of(start: usize, name: &[u8], place: Place, hasher: &NameHasher) -> Option<Self> {
        let parsed = FileName::parse(name)?;
        Some(Self {
            start: u32::try_from(start).ok()?,
            octets: u16::try_from(name.len()).ok()?,
            base_octets: u16::try_from(parsed.base.len()).ok()?,
            hash: hasher.hash(parsed.base),
            place,
            letters: parsed.letter_flags(),
        })
    }
}

/// What reading needs.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    /// Hashes names.
    pub(super) hasher: &'a NameHasher,
    /// They read large directories ahead.
    pub(super) helpers: &'a Helpers,
    /// The files known, asked for anew for each piece that was read.
    pub(super) files: &'a dyn Fn() -> RwLockReadGuard<'a, Files>,
}

/// The files found in `new/` and `cur/`.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Vec<u8>,
    files: Vec<Listed>,
}

impl Listing {
    /// Reads a directory, also into the `index`: regular files whose names messages can have, but for those that are familiar. A large one is read
    /// by a helper, if one is free, while the names that have come are looked at.
    ///
    /// # Errors
    /// What the system says; an unreadable directory is never an empty one.
    pub(super) fn read(
        &mut self,
        directory: (&Spool, Place),
        tools: Tools<'_>,
        index: &mut BaseIndex,
        familiar: &mut Option<Familiar>,
    ) -> io::Result<()> {
        let (spool, place) = directory;
        let mut names = Names::of(spool.place(place))?;
        let mut count = 0;
        while count < LARGE {
            let mut piece = Piece::of(&mut names, ROOM)?;
            count += piece.batch.ends.len();
            self.take_up(&mut piece, place, tools, familiar)?;
            index.extend(self);
            if piece.batch.is_last {
                return Ok(());
            }
        }
        let is_familiar = familiar.is_some();
        let take_next = |piece: io::Result<Piece>| {
            let mut piece = piece?;
            self.take_up(&mut piece, place, tools, familiar)?;
            index.extend(self);
            Ok(!piece.batch.is_last)
        };
        match names.split_off(spool.place(place)) {
            Some(mut second) => {
                let second = || {
                    let mut piece = Piece::of(&mut second, LARGE_ROOM)?;
                    if !is_familiar {
                        piece.take_apart(place, tools.hasher);
                    }
                    Ok(piece)
                };
                let first = || Piece::of(&mut names, LARGE_ROOM);
                tools.helpers.read_beside(first, second, take_next)
            }
            None => (tools.helpers).read_ahead(|| Piece::of(&mut names, LARGE_ROOM), take_next),
        }
    }

    /// Adds files of a directory that are not familiar.
    fn take_up(
        &mut self,
        piece: &mut Piece,
        place: Place,
        tools: Tools<'_>,
        familiar: &mut Option<Familiar>,
    ) -> io::Result<()> {
        if let Some(familiar) = familiar {
            let files = (tools.files)();
            for (_, name) in piece.batch.names() {
                if !familiar.meets(&files, place, name) {
                    self.push(name, place, tools.hasher)?;
                }
            }
            return Ok(());
        }
        if piece.files.is_none() {
            piece.take_apart(place, tools.hasher);
        }
        let begin = self.names.len();
        let (Ok(begin), Ok(_)) = (
            u32::try_from(begin),
            u32::try_from(begin + piece.batch.octets.len()),
        ) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        self.names.extend_from_slice(&piece.batch.octets);
        let files = piece.files.iter().flatten();
        self.files.extend(files.map(|file| Listed {
            start: begin + file.start,
            ..*file
        }));
        Ok(())
    }

    /// Adds a file, unless no message can have its name.
    pub(super) fn push(
        &mut self,
        name: &[u8],
        place: Place,
        hasher: &NameHasher,
    ) -> io::Result<()> {
        let start = self.names.len();
        if u32::try_from(start).is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if let Some(file) = Listed::of(start, name, place, hasher) {
            self.names.extend_from_slice(name);
            self.files.push(file);
        }
        Ok(())
    }

    /// How many files.
    pub(super) const fn len(&self) -> usize {
        self.files.len()
    }

    /// Name of a file; empty if there is no such.
    pub(super) fn name(&self, index: usize) -> &[u8] {
        self.part(index, |file| file.octets)
    }

    /// Base name of a file; empty if there is no such.
    pub(super) fn base(&self, index: usize) -> &[u8] {
        self.part(index, |file| file.base_octets)
    }

    /// What the letters of a file's name stand for, as [`FileName::letter_flags`] tells.
    pub(super) fn letters(&self, index: usize) -> Flags {
        self.files
            .get(index)
            .map_or(Flags::NONE, |file| file.letters)
    }

    /// A file as a message.
    pub(super) fn message(&self, index: usize, uid: Uid) -> NewFile<'_> {
        NewFile {
            uid,
            name: self.name(index),
            base_octets: self.base(index).len(),
            hash: self.hash(index),
            place: self.place(index),
        }
    }

    /// A file as a message whose name lies where it lies here.
    pub(super) fn stored(&self, index: usize, uid: Uid) -> Option<StoredFile> {
        let file = self.files.get(index)?;
        Some(StoredFile {
            uid,
            start: file.start,
            octets: file.octets,
            base_octets: file.base_octets,
            hash: file.hash,
            place: file.place,
        })
    }

    /// Gives all names away, once they have been looked at.
    pub(super) fn take_names(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.names)
    }

    fn part(&self, index: usize, octets: impl Fn(&Listed) -> u16) -> &[u8] {
        self.files
            .get(index)
            .and_then(|file| {
                let start = file.start as usize;
                self.names.get(start..start + usize::from(octets(file)))
            })
            .unwrap_or_default()
    }

    /// Directory of a file.
    pub(super) fn place(&self, index: usize) -> Place {
        self.files.get(index).map_or(Place::Cur, |file| file.place)
    }

    /// Hash of a file's base name.
    pub(super) fn hash(&self, index: usize) -> u32 {
        self.files.get(index).map_or(0, |file| file.hash)
    }

    /// Takes a file out.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.files.len() {
            self.files.swap_remove(index);
        }
    }

    /// Adds the files of an earlier reading that are missing here: a file that is renamed while a directory is read may not be seen.
    pub(super) fn fill_up(&mut self, earlier: &Self) {
        let index = BaseIndex::new(self);
        let missing: Vec<usize> = (0..earlier.len())
            .filter(|i| {
                index
                    .find(self, earlier.hash(*i), earlier.base(*i))
                    .is_none()
            })
            .collect();
        for i in missing {
            if let (Some(file), Ok(start)) = (
                earlier.files.get(i).copied(),
                u32::try_from(self.names.len()),
            ) {
                self.names.extend_from_slice(earlier.name(i));
                self.files.push(Listed { start, ..file });
            }
        }
    }
}

/// Finds files of a [`Listing`] by base name: a hash table with open addresses, 16 to 32 octets a file.
#[derive(Debug)]
pub(super) struct BaseIndex {
    slots: Vec<Slot>,
    /// How many files are in it, the first ones of the listing.
    files: usize,
    /// Files whose base name another one has too, and that other one.
    doubles: Vec<(usize, usize)>,
}

/// Room for one file.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Index of the file plus one; zero for none.
    number: u32,
    /// Hash of its base name, so that most other names need not be looked at.
    hash: u32,
}

impl Default for BaseIndex {
    fn default() -> Self {
        Self {
            slots: vec![Slot::default()],
            files: 0,
            doubles: Vec::new(),
        }
    }
}

impl BaseIndex {
    /// For all files of a listing.
    pub(super) fn new(listing: &Listing) -> Self {
        let mut index = Self::default();
        index.extend(listing);
        index
    }

    /// Adds the files that have been added to the listing.
    pub(super) fn extend(&mut self, listing: &Listing) {
        self.grow((listing.len() * 2).next_power_of_two());
        for (i, file) in listing.files.iter().enumerate().skip(self.files) {
            match self.slot_of(listing, file.hash, listing.base(i)) {
                Ok(first) => self.doubles.push((i, first)),
                Err(free) => self.fill(free, i, file.hash),
            }
        }
        self.files = listing.len();
    }

    /// Puts a file into a free slot.
    fn fill(&mut self, free: usize, i: usize, hash: u32) {
        if let (Some(slot), Ok(number)) = (self.slots.get_mut(free), u32::try_from(i + 1)) {
            *slot = Slot { number, hash };
        }
    }

    /// Makes room for half as many files as `size`.
    fn grow(&mut self, size: usize) {
        if size <= self.slots.len() {
            return;
        }
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        let mask = size - 1;
        for slot in before.into_iter().filter(|slot| slot.number > 0) {
            let mut at = slot.hash as usize & mask;
            while let Some(place) = self.slots.get_mut(at) {
                if place.number == 0 {
                    *place = slot;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }

    /// The file with a base name.
    pub(super) fn find(&self, listing: &Listing, hash: u32, base: &[u8]) -> Option<usize> {
        self.slot_of(listing, hash, base).ok()
    }

    /// Files whose base name an earlier one (the second) has too.
    pub(super) fn doubles(&self) -> &[(usize, usize)] {
        &self.doubles
    }

    /// The file with a base name, or the free slot where it would be. At least half of the slots are free.
    fn slot_of(&self, listing: &Listing, hash: u32, base: &[u8]) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at).copied().unwrap_or_default();
            let Some(i) = (slot.number as usize).checked_sub(1) else {
                return Err(at);
            };
            if slot.hash == hash && listing.base(i) == base {
                return Ok(i);
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn finds_names_and_doubles() {
        let hasher = NameHasher::default();
        let mut listing = Listing::default();
        for n in 0..1000 {
            let name = format!("{n}.host:2,S");
            listing.push(name.as_bytes(), Place::Cur, &hasher).unwrap();
        }
        listing.push(b"7.host", Place::New, &hasher).unwrap();
        listing.push(b".hidden", Place::New, &hasher).unwrap();
        let index = BaseIndex::new(&listing);
        assert_eq!(index.doubles(), [(1000, 7)]);
        for n in 0..1000 {
            let base = format!("{n}.host");
            let found = index.find(&listing, hasher.hash(base.as_bytes()), base.as_bytes());
            assert_eq!(found, Some(n));
        }
        assert_eq!(index.find(&listing, hasher.hash(b"no"), b"no"), None);
        let empty = Listing::default();
        assert_eq!(BaseIndex::new(&empty).find(&empty, 1, b"x"), None);
    }

    #[test]
    fn a_large_directory_is_found_whole() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        fs::create_dir(spool.place(Place::Cur)).unwrap();
        let mut expected: Vec<String> = (0..LARGE * 3).map(|n| format!("{n}.x:2,")).collect();
        for name in &expected {
            fs::File::create(spool.file(Place::Cur, name.as_bytes())).unwrap();
        }
        fs::File::create(spool.file(Place::Cur, b":no message")).unwrap();
        expected.sort();
        let hasher = NameHasher::default();
        let files = std::sync::RwLock::new(Files::default());
        let tools = Tools {
            hasher: &hasher,
            helpers: &Helpers::default(),
            files: &|| files.read().unwrap(),
        };
        let (mut listing, mut index) = (Listing::default(), BaseIndex::default());
        listing
            .read((&spool, Place::Cur), tools, &mut index, &mut None)
            .unwrap();
        assert!(index.doubles().is_empty());
        for i in 0..listing.len() {
            assert_eq!(listing.hash(i), hasher.hash(listing.base(i)));
            assert_eq!(
                index.find(&listing, listing.hash(i), listing.base(i)),
                Some(i)
            );
        }
        let names = (0..listing.len()).map(|i| String::from_utf8(listing.name(i).to_vec()));
        let mut names: Vec<String> = names.map(Result::unwrap).collect();
        names.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn fills_up_from_an_earlier_reading() {
        let hasher = NameHasher::default();
        let mut earlier = Listing::default();
        earlier.push(b"a:2,", Place::Cur, &hasher).unwrap();
        earlier.push(b"b:2,", Place::Cur, &hasher).unwrap();
        let mut later = Listing::default();
        later.push(b"a:2,S", Place::Cur, &hasher).unwrap();
        later.fill_up(&earlier);
        let names: Vec<&[u8]> = (0..later.len()).map(|i| later.name(i)).collect();
        assert_eq!(names, [&b"a:2,S"[..], b"b:2,"]);
    }
}
