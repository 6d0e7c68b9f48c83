//! A directory that is open, so that many of its files are found without looking up the way to it each time.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::{Errno, retry_on_intr};
use std::cell::Cell;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Reading leaves the time of the last access as it is, which would be one more write for each file.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNNOTED: OFlags = OFlags::NOATIME;

/// Other systems have no such thing.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const UNNOTED: OFlags = OFlags::empty();

/// A directory, open.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
    /// [`UNNOTED`], until the system refuses it: only who owns a file may ask for it.
    unnoted: Cell<OFlags>,
}

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self {
            descriptor: opened,
            unnoted: Cell::new(UNNOTED),
        })
    }

    /// Opens a file in it to read it, without ever waiting for another program, and looks at it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is no regular file; what the system says.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<(File, Metadata)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || {
            let flags = flags | self.unnoted.get();
            retry_on_intr(|| openat(&self.descriptor, name, flags, Mode::empty()))
        };
        let opened = match open() {
            Err(Errno::PERM) if !self.unnoted.get().is_empty() => {
                self.unnoted.set(OFlags::empty());
                open()
            }
            opened => opened,
        };
        let file = File::from(opened?);
        let about = file.metadata()?;
        if about.is_file() {
            Ok((file, about))
        } else {
            Err(super::no_regular_file())
        }
    }

    /// When a file in it was modified, in seconds since 1970; none if it is no regular file.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn modified(&self, name: &[u8]) -> io::Result<Option<i64>> {
        let about = retry_on_intr(|| statat(&self.descriptor, name, AtFlags::empty()))?;
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some(about.st_mtime))
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;
    use rustix::fs::fcntl_getfl;

    #[test]
    fn times_of_access_stay_where_that_may_be_asked_for() {
        let root = tempfile::tempdir().unwrap();
        File::create(root.path().join("ours")).unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let flags = |file: &File| fcntl_getfl(file).unwrap();
        let (ours, _) = directory.open_file(b"ours").unwrap();
        assert!(flags(&ours).contains(OFlags::NOATIME));
        directory.unnoted.set(OFlags::empty());
        let (ours, _) = directory.open_file(b"ours").unwrap();
        assert!(!flags(&ours).contains(OFlags::NOATIME));
    }

    #[test]
    fn files_of_others_are_read_all_the_same() {
        // nobody but root owns these, and root may ask for all
        let others = Directory::open(Path::new("/etc")).unwrap();
        for _ in 0..2 {
            let (file, about) = others.open_file(b"passwd").unwrap();
            let may_ask = rustix::process::geteuid().is_root();
            let flags = fcntl_getfl(&file).unwrap();
            assert_eq!(flags.contains(OFlags::NOATIME), may_ask);
            assert!(about.is_file());
        }
        let asks = !others.unnoted.get().is_empty();
        assert_eq!(asks, rustix::process::geteuid().is_root());
    }
}
