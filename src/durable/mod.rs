//! Writing files so that what is acknowledged survives a crash; locks with time-outs.
//!
//! Durable means: written, synced, renamed, directory synced.

mod dot_lock;

pub(crate) use dot_lock::DotLock;

use std::fs::File;
use std::io;
use std::path::Path;

/// Owner and mode for what is made in a directory, taken from that directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ownership {
    uid: u32,
    gid: u32,
    /// Permission bits of the directory, with set-group-id.
    mode: u32,
}

impl Ownership {
    /// Takes them from a directory.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub(crate) fn of(_directory: &Path) -> io::Result<Self> {
        todo!()
    }

    /// Mode of a file: that of the directory without the right to execute, so 0770 gives 0660.
    pub(crate) const fn file_mode(&self) -> u32 {
        self.mode & 0o666
    }
}

/// Makes a file that must not exist yet, opened for reading and writing. Neither it nor its name is synced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] and what the system says.
pub(crate) fn create_new(_path: &Path, _like: &Ownership) -> io::Result<File> {
    todo!()
}

/// Makes a directory that must not exist yet. Its name is not synced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] and what the system says.
pub(crate) fn create_dir(_path: &Path, _like: &Ownership) -> io::Result<()> {
    todo!()
}

/// Puts a file with these contents in place of whatever is there: durable when it returns, old or new contents after a crash.
///
/// # Errors
/// What the system says; then the old file is as it was.
pub(crate) fn replace(_path: &Path, _contents: &[u8], _like: &Ownership) -> io::Result<()> {
    todo!()
}

/// Adds to the end of a file that exists: durable when it returns. After a crash a part of it may be there.
///
/// # Errors
/// What the system says; [`io::ErrorKind::NotFound`] if there is no such file.
pub(crate) fn append(_path: &Path, _contents: &[u8]) -> io::Result<()> {
    todo!()
}

/// Renames within or across directories and syncs the directories.
///
/// # Errors
/// What the system says.
pub(crate) fn rename_synced(_from: &Path, _to: &Path) -> io::Result<()> {
    todo!()
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_dir(_directory: &Path) -> io::Result<()> {
    todo!()
}
