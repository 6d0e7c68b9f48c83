//! Reading `new/` and `cur/`: when it is needed, and what is found.
//!
//! A directory is read when its time stamp is not the one of the last reading, or when that stamp cannot be trusted:
//!
//! - A change in the same tick of the file system's clock as the last one leaves the stamp as it is. A stamp that was younger than one
//!   tick when the reading began is *suspect*: the next look reads again. Where stamps have nanoseconds a tick is at most
//!   [`FINE_TICK`] (the kernel's own clock steps by 1 to 10 ms); where the nanoseconds are zero, [`COARSE_TICK`]. A stamp in the
//!   future (another machine's clock) counts as suspect until it has been seen unchanged for [`COARSE_TICK`].
//! - Our own renames change the stamp. If it was the known one just before, the new one is taken over without reading. What another
//!   program did in the same moment would stay hidden, so such a directory is read at the first look after the tick of the last change of ours, or,
//!   where reading is long work ([`LARGE`]), after [`OWN_CHANGE_TRUST`]. Where mail is delivered (`new/`), and where ticks are long, it is read at the
//!   next look.

use super::familiar::Familiar;
use super::filename::FileName;
use super::files::{Files, NameHasher, NewFile, StoredFile};
use super::helpers::Helpers;
use super::spool::{Place, Spool};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, statat};
use rustix::io::retry_on_intr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::RwLockReadGuard;
use std::time::Duration;

/// Longest tick of a file system whose time stamps have nanoseconds: twice the 10 ms of a kernel with 100 Hz.
pub(super) const FINE_TICK: Duration = Duration::from_millis(20);

/// Longest tick of other file systems: the 2 s of FAT.
pub(super) const COARSE_TICK: Duration = Duration::from_secs(2);

/// How long a large directory that only we have changed, as far as we know, is not read again.
pub(super) const OWN_CHANGE_TRUST: Duration = Duration::from_secs(5);

/// From how many messages on a directory is large: reading fewer takes less than some 2 ms.
pub(super) const LARGE: usize = 2000;

/// How many names of a large directory are handed over at once.
const BATCH_NAMES: usize = 4096;

/// The state of a directory as far as `stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Duration,
    /// When what the system says of it was changed last: who sets `modified` changes this.
    changed: Duration,
    device: u64,
    inode: u64,
}

/// A time since 1970.
fn time(secs: i64, nanos: i64) -> Duration {
    Duration::new(
        u64::try_from(secs).unwrap_or(0),
        u32::try_from(nanos).unwrap_or(0),
    )
}

impl Stamp {
    /// Looks at a directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let about = fs::metadata(directory)?;
        if !about.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            modified: time(about.mtime(), about.mtime_nsec()),
            changed: time(about.ctime(), about.ctime_nsec()),
            device: about.dev(),
            inode: about.ino(),
        })
    }

    /// All of it.
    pub(super) fn octets(&self) -> Vec<u8> {
        [
            &self.device.to_le_bytes()[..],
            &self.inode.to_le_bytes(),
            &self.modified.as_nanos().to_le_bytes(),
            &self.changed.as_nanos().to_le_bytes(),
        ]
        .concat()
    }

    /// The directory's inode.
    pub(super) const fn inode(&self) -> u64 {
        self.inode
    }

    /// The file system's tick, judged by the stamp.
    const fn tick(&self) -> Duration {
        if self.modified.subsec_nanos() == 0 {
            COARSE_TICK
        } else {
            FINE_TICK
        }
    }

    /// When a reading is not in the stamp's tick any more, in time since 1970, if that is soon.
    fn settles_soon(&self, now: Duration) -> Option<Duration> {
        let is_soon = self.tick() == FINE_TICK && self.modified <= now;
        is_soon.then(|| self.modified + FINE_TICK)
    }

    /// How long from `now`, in time since 1970, until a reading is not in the stamp's tick any more; none if it is not now.
    pub(super) fn settles_in(&self, now: Duration) -> Option<Duration> {
        let settled = self.modified + self.tick();
        (now < settled).then(|| settled - now)
    }
}

/// How far the last reading of a directory may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// While the stamp stays.
    Full,
    /// Not at all: a change in the same tick may have followed.
    None,
    /// We changed it ourselves, and nobody else did as far as the stamp tells: until this time since 1970.
    Until(Duration),
}

/// What is known of a directory from its last reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryState {
    stamp: Option<Stamp>,
    /// When this stamp was seen first, in time since 1970.
    seen: Duration,
    trust: Trust,
}

impl DirectoryState {
    /// Never read.
    pub(super) const UNKNOWN: Self = Self {
        stamp: None,
        seen: Duration::ZERO,
        trust: Trust::None,
    };

    /// True if the directory has to be read, given its stamp and the time since 1970.
    pub(super) fn needs_reading(&self, stamp: &Stamp, now: Duration) -> bool {
        self.stamp.as_ref() != Some(stamp)
            || match self.trust {
                Trust::Full => false,
                Trust::None => true,
                Trust::Until(_) => self.is_put_off(now).is_none(),
            }
    }

    /// Notes a whole reading that began at this time since 1970, when the directory had this stamp.
    pub(super) fn was_read(&mut self, stamp: Stamp, began: Duration) {
        let is_ours = self.stamp == Some(stamp) && matches!(self.trust, Trust::Until(_));
        if self.stamp != Some(stamp) {
            self.seen = began;
        }
        self.stamp = Some(stamp);
        let old_in_our_eyes = began >= self.seen + COARSE_TICK;
        self.trust = if stamp.settles_in(began).is_none() || old_in_our_eyes {
            Trust::Full
        } else {
            let end = stamp.settles_soon(began).filter(|_| is_ours);
            end.map_or(Trust::None, Trust::Until)
        };
    }

    /// How long from `now`, in time since 1970, a reading is put off that our own change made necessary. A clock that was set back does not put it
    /// off further.
    pub(super) fn is_put_off(&self, now: Duration) -> Option<Duration> {
        match self.trust {
            Trust::Until(end) => {
                (end.checked_sub(now)).filter(|wait| !wait.is_zero() && *wait <= OWN_CHANGE_TRUST)
            }
            Trust::Full | Trust::None => None,
        }
    }

    /// The last reading is not to be trusted: something does not fit.
    pub(super) const fn doubt(&mut self) {
        self.trust = Trust::None;
    }

    /// Before a change of our own: true if nobody else has changed the directory since it was read, by its stamp.
    pub(super) fn is_known(&self, stamp: &Stamp) -> bool {
        self.stamp.as_ref() == Some(stamp)
    }

    /// True if the last reading tells all, given the directory's stamp: any change after it would change that.
    pub(super) fn is_trusted(&self, stamp: &Stamp) -> bool {
        self.trusted().as_ref() == Some(stamp)
    }

    /// The stamp of a reading that tells all: any change after it has changed the stamp.
    pub(super) fn trusted(&self) -> Option<Stamp> {
        self.stamp.filter(|_| self.trust == Trust::Full)
    }

    /// After a change of our own to a directory that was [`DirectoryState::is_known`] before, with `files` in it. Mail is `delivered` to some.
    pub(super) fn own_change(
        &mut self,
        stamp: Stamp,
        now: Duration,
        files: usize,
        delivered: bool,
    ) {
        self.seen = now;
        self.stamp = Some(stamp);
        let is_large = files >= LARGE;
        self.trust = match self.trust {
            Trust::Full if is_large => Trust::Until(now + OWN_CHANGE_TRUST),
            Trust::Full if !delivered => {
                (stamp.settles_soon(now)).map_or(Trust::None, Trust::Until)
            }
            Trust::Until(end) if is_large || !delivered => Trust::Until(end),
            Trust::Full | Trust::None | Trust::Until(_) => Trust::None,
        };
    }
}

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

/// A directory that is being read, or a part of it.
struct Names {
    directory: Dir,
    /// Where the next name lies, as far as that is known.
    position: i64,
    /// Where another part begins, if there is one.
    end: Option<i64>,
}

/// Where ext4 says that its files lie: positions in a large directory are hashes of names, below 2⁶³.
const EXT4: u64 = 0xEF53;

/// The position in the middle of those.
const MIDDLE: i64 = 1 << 62;

/// Names of files, one after the other.
#[derive(Debug, Default)]
struct Batch {
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Names {
    /// At the beginning of a directory.
    fn of(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty()))?;
        Ok(Self {
            directory: Dir::new(opened)?,
            position: 0,
            end: None,
        })
    }

    /// Parts with the second half of the names, where halves can be told.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn split_off(&mut self, directory: &Path) -> Option<Self> {
        let is_ext4 = |about: rustix::fs::StatFs| u64::try_from(about.f_type) == Ok(EXT4);
        let about = rustix::fs::fstatfs(self.directory.fd().ok()?).ok()?;
        if !is_ext4(about) || self.position >= MIDDLE {
            return None;
        }
        let mut second = Self::of(directory).ok()?;
        // a directory without hashes has no such position
        second.directory.seek(MIDDLE).ok()?;
        second.position = MIDDLE;
        self.end = Some(MIDDLE);
        Some(second)
    }

    /// Parts with the second half of the names, where halves can be told.
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    fn split_off(&mut self, _directory: &Path) -> Option<Self> {
        None
    }

    /// The next names of regular files that are not hidden; fewer than `most` at the end.
    fn next_batch(&mut self, most: usize) -> io::Result<Batch> {
        let mut batch = Batch::default();
        while batch.ends.len() < most
            && self.end.is_none_or(|end| self.position < end)
            && let Some(entry) = self.directory.read()
        {
            let entry = entry?;
            self.position = entry.offset();
            let name = entry.file_name();
            if !name.to_bytes().starts_with(b".") && self.is_file(&entry) {
                batch.octets.extend_from_slice(name.to_bytes());
                batch.ends.push(batch.octets.len());
            }
        }
        Ok(batch)
    }

    /// True for regular files. The type comes with the name on most file systems; where it has to be asked for, the file may be gone by
    /// now.
    fn is_file(&self, entry: &DirEntry) -> bool {
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let about = (self.directory.fd().ok()).and_then(|directory| {
                    statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).ok()
                });
                about.map(|about| FileType::from_raw_mode(about.st_mode))
            }
            kind => Some(kind),
        };
        kind == Some(FileType::RegularFile)
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
        let first = names.next_batch(LARGE)?;
        self.push_all(&first, place, tools, familiar)?;
        index.extend(self);
        if first.ends.len() < LARGE {
            return Ok(());
        }
        let take_up = |batch: io::Result<Batch>| {
            let batch = batch?;
            self.push_all(&batch, place, tools, familiar)?;
            index.extend(self);
            Ok(!batch.ends.is_empty())
        };
        match names.split_off(spool.place(place)) {
            Some(mut second) => tools.helpers.read_beside(
                || names.next_batch(BATCH_NAMES),
                || second.next_batch(BATCH_NAMES),
                take_up,
            ),
            None => (tools.helpers).read_ahead(|| names.next_batch(BATCH_NAMES), take_up),
        }
    }

    /// Adds files of a directory that are not familiar.
    fn push_all(
        &mut self,
        batch: &Batch,
        place: Place,
        tools: Tools<'_>,
        familiar: &mut Option<Familiar>,
    ) -> io::Result<()> {
        let mut familiar = familiar
            .as_mut()
            .map(|familiar| (familiar, (tools.files)()));
        let mut start = 0;
        for end in &batch.ends {
            let name = batch.octets.get(start..*end).unwrap_or_default();
            start = *end;
            if let Some((familiar, files)) = &mut familiar
                && familiar.meets(files, place, name)
            {
                continue;
            }
            self.push(name, place, tools.hasher)?;
        }
        Ok(())
    }

    /// Adds a file, unless no message can have its name.
    pub(super) fn push(
        &mut self,
        name: &[u8],
        place: Place,
        hasher: &NameHasher,
    ) -> io::Result<()> {
        let Some(parsed) = FileName::parse(name) else {
            return Ok(());
        };
        let (Ok(octets), Ok(base_octets)) =
            (u16::try_from(name.len()), u16::try_from(parsed.base.len()))
        else {
            return Ok(());
        };
        let Ok(start) = u32::try_from(self.names.len()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        self.names.extend_from_slice(name);
        self.files.push(Listed {
            start,
            octets,
            base_octets,
            hash: hasher.hash(parsed.base),
            place,
            letters: parsed.letter_flags(),
        });
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

    const fn stamp(secs: u64, nanos: u32) -> Stamp {
        Stamp {
            modified: Duration::new(secs, nanos),
            changed: Duration::new(secs, nanos),
            device: 1,
            inode: 1,
        }
    }

    const fn at(secs: u64, millis: u32) -> Duration {
        Duration::new(secs, millis * 1_000_000)
    }

    #[test]
    fn stamps_are_trusted_when_they_are_older_than_a_tick() {
        // (stamp, when the reading began, a later look, must read again?)
        for (stamp, began, look, expected) in [
            (stamp(100, 500_000_000), at(100, 530), at(100, 531), false),
            (stamp(100, 500_000_000), at(100, 505), at(100, 531), true),
            (stamp(100, 0), at(101, 900), at(200, 0), true),
            (stamp(100, 0), at(102, 0), at(200, 0), false),
            // a clock elsewhere that is ahead
            (stamp(900, 7), at(100, 0), at(101, 0), true),
        ] {
            let mut state = DirectoryState::UNKNOWN;
            assert!(state.needs_reading(&stamp, began));
            state.was_read(stamp, began);
            assert_eq!(state.needs_reading(&stamp, look), expected, "{stamp:?}");
        }
        let ahead = stamp(900, 7);
        let mut state = DirectoryState::UNKNOWN;
        state.was_read(ahead, at(100, 0));
        state.was_read(ahead, at(102, 0));
        assert!(!state.needs_reading(&ahead, at(103, 0)));
        assert!(state.needs_reading(&stamp(900, 8), at(103, 0)));
    }

    #[test]
    fn own_changes_are_read_again_at_leisure_where_that_is_long_work() {
        let (old, new, newer) = (stamp(100, 1), stamp(200, 1), stamp(203, 1));
        for (files, delivered, expected) in [
            (LARGE, true, [false, false, true]),
            (LARGE, false, [false, false, true]),
            (LARGE - 1, true, [true, true, true]),
        ] {
            let mut state = DirectoryState::UNKNOWN;
            state.was_read(old, at(150, 0));
            assert!(state.is_known(&old));
            state.own_change(new, at(200, 1), files, delivered);
            state.own_change(newer, at(203, 1), files, delivered);
            let looks = [at(203, 2), at(205, 0), at(205, 1)];
            assert_eq!(
                looks.map(|look| state.needs_reading(&newer, look)),
                expected
            );
        }
    }

    #[test]
    fn own_changes_are_read_again_after_their_tick() {
        let mut state = DirectoryState::UNKNOWN;
        state.was_read(stamp(100, 1), at(150, 0));
        // (our change, a look before its tick is over, one after)
        let first = stamp(200, 1);
        state.own_change(first, at(200, 1), 10, false);
        assert!(!state.needs_reading(&first, at(200, 19)));
        assert_eq!(
            state.is_put_off(at(200, 19)),
            Some(Duration::new(0, 1_000_001))
        );
        // a clock that was set back does not put it off
        assert!(state.needs_reading(&first, at(100, 0)));
        // another change does not put it off further
        let second = stamp(200, 10_000_000);
        state.own_change(second, at(200, 11), 10, false);
        assert!(!state.needs_reading(&second, at(200, 19)));
        assert!(state.needs_reading(&second, at(200, 21)));
        assert_eq!(state.is_put_off(at(200, 21)), None);
        // read within the tick of the second: once more after that
        state.was_read(second, at(200, 21));
        assert!(!state.needs_reading(&second, at(200, 29)));
        assert!(state.needs_reading(&second, at(200, 31)));
        state.was_read(second, at(200, 31));
        assert!(state.is_trusted(&second));
        // what somebody else changed is read at once, and again while that is young
        let theirs = stamp(201, 1);
        state.own_change(stamp(200, 999_000_000), at(200, 999), 10, false);
        assert!(state.needs_reading(&theirs, at(201, 1)));
        state.was_read(theirs, at(201, 1));
        assert!(state.needs_reading(&theirs, at(201, 2)));
        // long ticks, and clocks that are ahead
        for odd in [stamp(300, 0), stamp(900, 7)] {
            let mut state = DirectoryState::UNKNOWN;
            state.was_read(stamp(100, 1), at(150, 0));
            state.own_change(odd, at(300, 1), 10, false);
            assert!(state.needs_reading(&odd, at(300, 2)), "{odd:?}");
        }
    }

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
    fn halves_of_a_directory_are_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        fs::create_dir(spool.place(Place::Cur)).unwrap();
        let mut expected: Vec<String> = (0..LARGE * 3).map(|n| format!("{n}.x:2,")).collect();
        for name in &expected {
            fs::File::create(spool.file(Place::Cur, name.as_bytes())).unwrap();
        }
        fs::create_dir(spool.file(Place::Cur, b"directory")).unwrap();
        expected.sort();
        let all = |mut names: Names| -> Vec<String> {
            let mut found = Vec::new();
            loop {
                let batch = names.next_batch(1000).unwrap();
                if batch.ends.is_empty() {
                    return found;
                }
                let starts = [0].into_iter().chain(batch.ends.iter().copied());
                for (start, end) in starts.zip(&batch.ends) {
                    found.push(String::from_utf8(batch.octets[start..*end].to_vec()).unwrap());
                }
            }
        };
        let mut first = Names::of(spool.place(Place::Cur)).unwrap();
        let begun = first.next_batch(LARGE).unwrap().ends.len();
        let second = first.split_off(spool.place(Place::Cur));
        let about = rustix::fs::statfs(directory.path()).unwrap();
        let is_ext4 = cfg!(target_os = "linux") && u64::try_from(about.f_type) == Ok(EXT4);
        assert_eq!(second.is_some(), is_ext4);
        let halves = [all(first), second.map(all).unwrap_or_default()];
        assert_eq!(halves.iter().all(|half| half.len() > LARGE / 2), is_ext4);
        assert_eq!(begun + halves[0].len() + halves[1].len(), expected.len());
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
