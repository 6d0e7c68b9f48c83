//! One Maildir directory: its three directories, moves between them, what is left over in `tmp/`.

use super::clock;
use super::watch::Places;
use crate::durable::{self, Ownership};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which of the two directories of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `new/`: delivered, not looked at by a mail program.
    New,
    /// `cur/`
    Cur,
}

/// The directories of one Maildir. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Spool(Arc<Directories>);

/// Their paths.
#[derive(Debug)]
struct Directories {
    directory: PathBuf,
    new: PathBuf,
    cur: PathBuf,
    tmp: PathBuf,
}

impl Spool {
    /// For the Maildir in a directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self(Arc::new(Directories {
            new: directory.join("new"),
            cur: directory.join("cur"),
            tmp: directory.join("tmp"),
            directory: directory.to_owned(),
        }))
    }

    /// The Maildir itself, where the UID list and the keywords lie.
    pub(super) fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// `new/` or `cur/`.
    pub(super) fn place(&self, place: Place) -> &Path {
        match place {
            Place::New => &self.0.new,
            Place::Cur => &self.0.cur,
        }
    }

    /// The directories of messages, to be watched.
    pub(super) fn watched(&self) -> Places {
        [Place::New, Place::Cur]
            .map(|place| self.place(place).to_owned())
            .into()
    }

    /// `tmp/`
    pub(super) fn tmp(&self) -> &Path {
        &self.0.tmp
    }

    /// Path of a message's file.
    pub(super) fn file(&self, place: Place, name: &[u8]) -> PathBuf {
        self.place(place).join(OsStr::from_bytes(name))
    }

    /// Makes `new/` and `tmp/` if they are missing beside `cur/`.
    ///
    /// # Errors
    /// What the system says; a missing `cur/` is not mended, since where messages were there may be a volume that is not mounted.
    pub(super) fn complete(&self, like: &Ownership) -> io::Result<()> {
        for directory in [self.place(Place::New), self.tmp()] {
            if !directory.try_exists()? && self.place(Place::Cur).is_dir() {
                match durable::create_dir(directory, like) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Removes what deliveries that never ended left in `tmp/`: files not touched for `age`. Returns how many.
    ///
    /// The time of the last change of the inode counts: the modification time of a file in `tmp/` may be an INTERNALDATE.
    ///
    /// # Errors
    /// The directory cannot be read. A file that cannot be removed is passed over.
    pub(super) fn sweep_tmp(&self, now: SystemTime, age: Duration) -> io::Result<usize> {
        let limit = clock::since_epoch(now).saturating_sub(age).as_secs();
        let mut removed = 0;
        for entry in fs::read_dir(self.tmp())? {
            let entry = entry?;
            let old = entry.metadata().is_ok_and(|about| {
                about.is_file() && u64::try_from(about.ctime()).is_ok_and(|changed| changed < limit)
            });
            if old && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Renames a message's file without ever putting it over another one.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] and what the system says.
pub(super) fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // file systems without this flag, for example NFS
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Makes the directories above a spool that are missing, owned like the nearest one that is there.
///
/// # Errors
/// What the system says.
pub(super) fn ensure_parents(directory: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut above = directory.parent();
    while let Some(path) = above.filter(|path| !path.as_os_str().is_empty()) {
        if path.is_dir() {
            break;
        }
        missing.push(path);
        above = path.parent();
    }
    for path in missing.into_iter().rev() {
        let like = Ownership::of(path.parent().unwrap_or(path))?;
        match durable::create_dir(path, &like) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if let Some(parent) = path.parent() {
            durable::sync_dir(parent)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_never_hits_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            directory.path().join("a"),
            directory.path().join("b"),
            directory.path().join("c"),
        );
        fs::File::create(&a).unwrap();
        fs::File::create(&b).unwrap();
        assert_eq!(
            move_file(&a, &b).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(
            move_file(&c, &a.with_file_name("d")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        move_file(&a, &c).unwrap();
        assert!(c.exists() && b.exists() && !a.exists());
    }

    #[test]
    fn sweeps_what_is_old_by_change_time_only() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        fs::create_dir(spool.tmp()).unwrap();
        let file = fs::File::create(spool.tmp().join("x")).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        file.set_times(fs::FileTimes::new().set_modified(long_ago))
            .unwrap();
        let age = Duration::from_secs(36 * 3600);
        assert_eq!(spool.sweep_tmp(clock::now(), age).unwrap(), 0);
        let later = clock::now() + age + Duration::from_secs(2);
        assert_eq!(spool.sweep_tmp(later, age).unwrap(), 1);
        assert!(!spool.tmp().join("x").exists());
    }
}
