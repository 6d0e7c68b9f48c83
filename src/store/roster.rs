//! The roster of a large mailbox: which file holds which message. It is kept in the index when the mailbox goes out of memory, so that
//! a new process need not read a directory of many names, and compare each with the UID list, if nobody has changed them.
//!
//! It counts only if `cur/` and the UID list look as they did: directory, times of change to the nanosecond, size of the list. It is kept only of a
//! state that can be trusted ([`super::scan`]), so that any change after it changes what is seen. `new/` is read where it looks other than it did.

use super::admit::orders;
use super::clock;
use super::filename::FileName;
use super::files::{Files, NameHasher, StoredFile};
use super::helpers::Helpers;
use super::open_mailbox::{Disk, OpenMailbox};
use super::remember::FirstLook;
use super::scan::{LARGE, Stamp};
use super::spool::Place;
use super::uidlist::UidList;
use crate::mailbox::flag::Flags;
use crate::mailbox::id::Uid;

/// Most octets of a roster: some three million messages.
const MAX_OCTETS: usize = 256 << 20;

/// Octets that tell where a name lies and whose it is.
const ENTRY_OCTETS: usize = 13;

/// How many names a thread looks at at a time.
const LOOKED_AT_ONCE: usize = 1024;

/// Which file holds which message, and how `new/` looked then.
#[derive(Debug)]
struct Roster {
    new: Vec<u8>,
    files: Files,
}

impl Roster {
    /// As octets: all names, an entry for each message, how `new/` looked, and how much there is of each.
    fn write(new: &[u8], files: &Files) -> Option<Vec<u8>> {
        let (names, entries) = (files.names(), files.len().checked_mul(ENTRY_OCTETS)?);
        let octets = names.len().checked_add(entries)?;
        if octets > MAX_OCTETS {
            return None;
        }
        let mut out = Vec::with_capacity(octets + new.len() + 64);
        out.extend_from_slice(names);
        for file in files.stored() {
            out.extend_from_slice(&file.uid.value().to_le_bytes());
            out.extend_from_slice(&file.start.to_le_bytes());
            out.extend_from_slice(&file.octets.to_le_bytes());
            out.extend_from_slice(&file.base_octets.to_le_bytes());
            out.push(u8::from(file.place == Place::New));
        }
        out.extend_from_slice(new);
        for part in [names.len(), entries, new.len()] {
            out.extend_from_slice(&u32::try_from(part).ok()?.to_le_bytes());
        }
        Some(out)
    }

    /// From octets; none if they make no sense.
    fn read(mut octets: Vec<u8>, hasher: &NameHasher, helpers: &Helpers) -> Option<Self> {
        let (rest, lengths) = octets.split_last_chunk::<12>()?;
        let (lengths, _) = lengths.as_chunks::<4>();
        let mut lengths = lengths.iter().map(|length| u32::from_le_bytes(*length));
        let mut ends = [0; 3];
        let mut end = 0;
        for place in &mut ends {
            end += usize::try_from(lengths.next()?).ok()?;
            *place = end;
        }
        let [names, entries, new] = ends;
        if new != rest.len() {
            return None;
        }
        let new = rest.get(entries..new)?.to_vec();
        let (entries, _) = rest.get(names..entries)?.as_chunks::<ENTRY_OCTETS>();
        let mut files: Vec<Option<StoredFile>> = vec![None; entries.len()];
        let all = rest.get(..names)?;
        helpers.fill(&mut files, LOOKED_AT_ONCE, &|at| {
            entry(entries.get(at)?, all, hasher)
        });
        if files.iter().any(Option::is_none) {
            return None;
        }
        octets.truncate(names);
        let count = files.len();
        let mut files = Files::of(files.into_iter());
        files.put_names(octets);
        (files.len() == count).then_some(Self { new, files })
    }
}

/// One message's file; none if it is no such.
fn entry(octets: &[u8; ENTRY_OCTETS], names: &[u8], hasher: &NameHasher) -> Option<StoredFile> {
    let [u0, u1, u2, u3, s0, s1, s2, s3, o0, o1, b0, b1, place] = *octets;
    let (start, octets) = (
        u32::from_le_bytes([s0, s1, s2, s3]),
        u16::from_le_bytes([o0, o1]),
    );
    let from = usize::try_from(start).ok()?;
    let name = names.get(from..from.checked_add(usize::from(octets))?)?;
    let parsed = FileName::parse(name)?;
    let base_octets = u16::from_le_bytes([b0, b1]);
    (parsed.base.len() == usize::from(base_octets)).then_some(StoredFile {
        uid: Uid::new(u32::from_le_bytes([u0, u1, u2, u3]))?,
        start,
        octets,
        base_octets,
        hash: hasher.hash(parsed.base),
        place: if place == 0 { Place::Cur } else { Place::New },
    })
}

/// How `cur/` and the UID list look; none without a list.
fn look_of(disk: &Disk, cur: &Stamp) -> Option<Vec<u8>> {
    Some([cur.octets(), disk.list.stamp_octets()?].concat())
}

impl OpenMailbox {
    /// Takes over the roster in place of the first look, if it tells what a look would find.
    pub(super) fn recall(&self, disk: &mut Disk, new: &Stamp, cur: &Stamp) {
        // of a small one there is none
        if disk.list.list().is_none_or(|list| list.len() < LARGE) {
            return;
        }
        let began = clock::since_epoch(clock::now());
        let (hasher, helpers) = (&self.hasher, &self.account.store.helpers);
        let Some(place) = look_of(disk, cur).filter(|_| cur.settles_in(began).is_none()) else {
            return;
        };
        let root = self.account.folders.root();
        let kept =
            (self.indexed(disk)).and_then(|(index, key)| index.names(root, &key, &place).ok()?);
        let roster = kept.and_then(|octets| Roster::read(octets, hasher, helpers));
        let Some(roster) = roster else {
            return;
        };
        let Some(list) = disk.list.list() else {
            return;
        };
        let mut files = roster.files;
        for (uid, order) in orders(list, 0) {
            files.set_order(uid, order);
        }
        let mut flags = vec![Flags::NONE; files.len()];
        {
            let disk: &Disk = disk;
            helpers.fill(&mut flags, LOOKED_AT_ONCE, &|at| {
                Self::flags_of(disk, files.name(at))
            });
        }
        let first = FirstLook {
            uid_validity: list.uid_validity(),
            found: (files.uids().iter().zip(flags))
                .map(|(uid, flags)| (*uid, flags, None))
                .collect(),
            uid_next: list.uid_next().unwrap_or(Uid::MAX),
        };
        if !self.begin(disk, &first, false) {
            return;
        }
        let in_new = (0..files.len()).filter(|at| files.place(*at) == Place::New);
        let recent: Vec<Uid> = in_new.filter_map(|at| files.uid(at)).collect();
        *self.files_mut() = files;
        self.end_first_look(disk, recent);
        disk.cur.was_read(*cur, began);
        if roster.new == new.octets() {
            disk.new.was_read(*new, began);
        }
        disk.kept_roster = Some(place);
    }

    /// Keeps the roster if the mailbox is large, nobody works on it, and what is known of it can be trusted. The mailbox goes out of memory, maybe for
    /// the sake of another account: its volume is not touched, and trouble is of no interest.
    pub(super) fn keep_roster(&self) {
        if self.files().len() < LARGE {
            return;
        }
        let Some(mut disk) = self.disk_at_rest() else {
            return;
        };
        let (Some(new), Some(cur)) = (disk.new.trusted(), disk.cur.trusted()) else {
            return;
        };
        let is_known = disk.is_loaded
            && disk.memory.is_placed()
            && disk.list.list().map(UidList::len) == Some(disk.joined);
        let place = look_of(&disk, &cur).filter(|_| is_known);
        let Some(place) = place.filter(|place| disk.kept_roster.as_ref() != Some(place)) else {
            return;
        };
        let octets = Roster::write(&new.octets(), &self.files());
        let root = self.account.folders.root();
        if let (Some(octets), Some((index, key))) = (octets, self.indexed(&mut disk))
            && index.keep_names(root, &key, &place, octets).is_ok()
        {
            disk.kept_roster = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::NewFile;

    fn files(hasher: &NameHasher) -> Files {
        let mut files = Files::default();
        for (uid, base, letters, place) in [
            (3, "one", ":2,S", Place::Cur),
            (5, "two", ":2,", Place::Cur),
            (9, "three", "", Place::New),
        ] {
            assert!(files.push(NewFile {
                uid: Uid::new(uid).unwrap(),
                name: [base, letters].concat().as_bytes(),
                base_octets: base.len(),
                hash: hasher.hash(base.as_bytes()),
                place,
            }));
        }
        files.rename(0, b"one:2,RS", Place::Cur);
        files
    }

    #[test]
    fn a_roster_is_read_as_written() {
        let (hasher, helpers) = (NameHasher::default(), Helpers::default());
        let files = files(&hasher);
        let octets = Roster::write(b"new", &files).unwrap();
        let read = Roster::read(octets, &hasher, &helpers).unwrap();
        assert_eq!(read.new, b"new");
        assert_eq!(read.files.uids(), files.uids());
        assert_eq!(read.files.hashes(), files.hashes());
        assert_eq!(read.files.in_new(), 1);
        for at in 0..3 {
            assert_eq!(read.files.name(at), files.name(at));
            assert_eq!(read.files.base(at), files.base(at));
        }
        assert_eq!(read.files.in_order_of_names(), [1, 2, 0]);
    }

    #[test]
    fn what_is_no_roster_is_none() {
        let (hasher, helpers) = (NameHasher::default(), Helpers::default());
        let octets = Roster::write(b"new", &files(&hasher)).unwrap();
        for end in 0..octets.len() {
            let cut = octets[..end].to_vec();
            assert!(Roster::read(cut, &hasher, &helpers).is_none(), "{end}");
        }
        // any octet another one: none, or a roster that makes sense
        for at in 0..octets.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut octets = octets.clone();
                octets[at] = value;
                if let Some(read) = Roster::read(octets, &hasher, &helpers) {
                    assert!(read.files.uids().is_sorted());
                    assert!((0..read.files.len()).all(|at| !read.files.name(at).is_empty()));
                }
            }
        }
    }
}
