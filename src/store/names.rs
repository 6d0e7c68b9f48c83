//! Names of the files in a directory, read piece by piece; those of a large one of ext4 by halves.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use rustix::io::retry_on_intr;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Where ext4 says that its files lie: positions in a large directory are hashes of names, below 2⁶³.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const EXT4: u64 = 0xEF53;

/// The position in the middle of those, or somewhat before: who reads the first half has more to do with what was read.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const MIDDLE: i64 = (1 << 62) / 8 * 7;

/// A directory that is being read, or a part of it.
pub(super) struct Names {
    entries: Entries,
    /// Where the next name lies, as far as that is known.
    position: i64,
    /// Where another part begins, if there is one.
    end: Option<i64>,
}

/// Names of files, one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// All of them.
    pub(super) octets: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    /// There are no more.
    pub(super) is_last: bool,
}

impl Batch {
    /// Each name, and where it begins.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let names = starts.zip(&self.ends);
        names.map(|(start, end)| (start, self.octets.get(start..*end).unwrap_or_default()))
    }
}

impl Names {
    /// At the beginning of a directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty()))?;
        Ok(Self {
            entries: Entries::of(opened)?,
            position: 0,
            end: None,
        })
    }

    /// Parts with the second half of the names, where halves can be told.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub(super) fn split_off(&mut self, directory: &Path) -> Option<Self> {
        let about = rustix::fs::fstatfs(&self.entries.directory).ok()?;
        if u64::try_from(about.f_type) != Ok(EXT4) || self.position >= MIDDLE {
            return None;
        }
        let mut second = Self::of(directory).ok()?;
        // a directory without hashes has no such position
        let middle = rustix::fs::SeekFrom::Start(MIDDLE.unsigned_abs());
        rustix::fs::seek(&second.entries.directory, middle).ok()?;
        second.position = MIDDLE;
        self.end = Some(MIDDLE);
        Some(second)
    }

    /// Parts with the second half of the names, where halves can be told.
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    pub(super) fn split_off(&mut self, _directory: &Path) -> Option<Self> {
        None
    }

    /// The next names of regular files that are not hidden: as many as the system has room for in so many octets.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn next_batch(&mut self, room: usize) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let (position, end) = (&mut self.position, self.end);
        let is_over = |at: i64| end.is_some_and(|end| at >= end);
        if is_over(*position) {
            batch.is_last = true;
            return Ok(batch);
        }
        let is_end = self.entries.read(room, &mut |directory, entry| {
            if is_over(*position) {
                return false;
            }
            *position = entry.next;
            let name = entry.name.to_bytes();
            if !name.starts_with(b".") && is_file(directory, &entry) {
                batch.octets.extend_from_slice(name);
                batch.ends.push(batch.octets.len());
            }
            true
        })?;
        batch.is_last = is_end || is_over(*position);
        Ok(batch)
    }
}

/// One name, as the system tells it.
struct Entry<'a> {
    name: &'a CStr,
    kind: FileType,
    /// Where the next one lies.
    next: i64,
}

/// True for regular files. The type comes with the name on most file systems; where it has to be asked for, the file may be gone by now.
fn is_file(directory: BorrowedFd<'_>, entry: &Entry<'_>) -> bool {
    let kind = match entry.kind {
        FileType::Unknown => statat(directory, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .map(|about| FileType::from_raw_mode(about.st_mode)),
        kind => Some(kind),
    };
    kind == Some(FileType::RegularFile)
}

/// What a directory holds, as the system tells it, without a copy of each name.
#[cfg(target_os = "linux")]
struct Entries {
    directory: OwnedFd,
    buffer: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Entries {
    fn of(directory: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            directory,
            buffer: Vec::new(),
        })
    }

    /// Gives the next ones to `take`, as long as it wants more; returns whether there are no more.
    fn read(
        &mut self,
        room: usize,
        take: &mut dyn FnMut(BorrowedFd<'_>, Entry<'_>) -> bool,
    ) -> io::Result<bool> {
        self.buffer.reserve(room);
        let directory = self.directory.as_fd();
        let mut entries = rustix::fs::RawDir::new(directory, self.buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let wants_more = take(
                directory,
                Entry {
                    name: entry.file_name(),
                    kind: entry.file_type(),
                    next: i64::try_from(entry.next_entry_cookie()).unwrap_or(i64::MAX),
                },
            );
            if !wants_more || entries.is_buffer_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a directory holds, as the C library tells it.
#[cfg(not(target_os = "linux"))]
struct Entries {
    entries: rustix::fs::Dir,
    directory: OwnedFd,
}

/// How many octets of room count for one name.
#[cfg(not(target_os = "linux"))]
const ENTRY_OCTETS: usize = 64;

#[cfg(not(target_os = "linux"))]
impl Entries {
    fn of(directory: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            entries: rustix::fs::Dir::read_from(&directory)?,
            directory,
        })
    }

    /// Gives the next ones to `take`, as long as it wants more; returns whether there are no more.
    fn read(
        &mut self,
        room: usize,
        take: &mut dyn FnMut(BorrowedFd<'_>, Entry<'_>) -> bool,
    ) -> io::Result<bool> {
        for _ in 0..room / ENTRY_OCTETS {
            let Some(entry) = self.entries.read() else {
                return Ok(true);
            };
            let entry = entry?;
            let wants_more = take(
                self.directory.as_fd(),
                Entry {
                    name: entry.file_name(),
                    kind: entry.file_type(),
                    next: 0,
                },
            );
            if !wants_more {
                break;
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// All names that are left.
    fn all(mut names: Names, room: usize) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let batch = names.next_batch(room).unwrap();
            let texts = batch
                .names()
                .map(|(_, name)| String::from_utf8(name.to_vec()));
            found.extend(texts.map(Result::unwrap));
            if batch.is_last {
                return found;
            }
        }
    }

    #[test]
    fn only_files_that_are_not_hidden_are_found() {
        let directory = tempfile::tempdir().unwrap();
        assert!(all(Names::of(directory.path()).unwrap(), 1024).is_empty());
        for n in 0..200 {
            // whole pieces of nothing but what is passed over
            fs::File::create(directory.path().join(format!(".hidden{n}"))).unwrap();
            fs::create_dir(directory.path().join(format!("directory{n}"))).unwrap();
        }
        fs::File::create(directory.path().join("file")).unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
        for room in [512, 32 * 1024] {
            assert_eq!(all(Names::of(directory.path()).unwrap(), room), ["file"]);
        }
        assert!(Names::of(&directory.path().join("file")).is_err());
        assert!(Names::of(&directory.path().join("none")).is_err());
    }

    #[test]
    fn halves_of_a_directory_are_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut expected: Vec<String> = (0..6000).map(|n| format!("{n}.x:2,")).collect();
        for name in &expected {
            fs::File::create(directory.path().join(name)).unwrap();
        }
        expected.sort();
        for room in [4096, 256 * 1024] {
            let mut first = Names::of(directory.path()).unwrap();
            let begun = first.next_batch(4096).unwrap();
            let second = first.split_off(directory.path());
            let about = rustix::fs::statfs(directory.path()).unwrap();
            let is_ext4 = cfg!(target_os = "linux") && u64::try_from(about.f_type) == Ok(0xEF53);
            assert_eq!(second.is_some(), is_ext4);
            let halves = [
                all(first, room),
                second.map(|second| all(second, room)).unwrap_or_default(),
            ];
            assert_eq!(halves.iter().all(|half| half.len() > 2000), is_ext4);
            let begun = begun
                .names()
                .map(|(_, name)| String::from_utf8(name.to_vec()));
            let begun = begun.map(Result::unwrap);
            let mut found: Vec<String> = begun.chain(halves.concat()).collect();
            found.sort();
            assert_eq!(found, expected);
        }
    }
}
