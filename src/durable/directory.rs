//! A directory that is open, so that many of its files are found without looking up the way to it each time.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::retry_on_intr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A directory, open.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self(opened))
    }

    /// Opens a file in it to read it, without ever waiting for another program, and looks at it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is no regular file; what the system says.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<(File, Metadata)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| openat(&self.0, name, flags, Mode::empty()))?;
        let file = File::from(opened);
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
        let about = retry_on_intr(|| statat(&self.0, name, AtFlags::empty()))?;
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some(about.st_mtime))
    }
}
