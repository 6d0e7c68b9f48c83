//! Writing files so that what is acknowledged survives a crash; locks with time-outs.
//!
//! Durable means: written, synced, renamed, directory synced. A function here that returns without error has done all of it; one that
//! fails has left the file as it was. What a crash in between can leave is said at each function.

mod directory;
mod dot_lock;

pub(crate) use directory::Directory;
pub(crate) use dot_lock::{DotLock, LockFile};

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Permission bits that are taken from a directory for those made in it: with set-group-id, without sticky and set-user-id.
const DIRECTORY_MODE_BITS: u32 = 0o2777;

/// Owner and mode for what is made in a directory, taken from that directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ownership {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// What was reached of the owner and group wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owned {
    /// The group is the one wanted, so its permissions may be given.
    Group,
    /// The group is another, to which the permissions of the wanted one must not go.
    OtherGroup,
}

impl Ownership {
    /// Takes them from a directory.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(directory)?;
        Ok(Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & DIRECTORY_MODE_BITS,
        })
    }

    /// Mode of a file: that of the directory without the right to execute, so 0770 gives 0660.
    pub(crate) const fn file_mode(&self) -> u32 {
        self.mode & 0o666
    }

    /// Gives a new file owner, group and mode, as far as our privileges go.
    fn give(&self, file: &File) -> io::Result<()> {
        let about = file.metadata()?;
        let owned = self.own(&about, |uid, gid| fchown(file, uid, gid))?;
        let mode = self.mode_for(self.file_mode(), owned, 0o600);
        if about.mode() & 0o7777 == mode {
            return Ok(());
        }
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Changes owner and group where they are not the wanted ones. Not being allowed to is no error.
    fn own(
        &self,
        metadata: &Metadata,
        change: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> io::Result<Owned> {
        let uid = (metadata.uid() != self.uid).then_some(self.uid);
        let gid = (metadata.gid() != self.gid).then_some(self.gid);
        if uid.is_none() && gid.is_none() {
            return Ok(Owned::Group);
        }
        match change(uid, gid) {
            Ok(()) => return Ok(Owned::Group),
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => {}
        }
        match gid.map(|gid| change(None, Some(gid))) {
            None | Some(Ok(())) => Ok(Owned::Group),
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Owned::OtherGroup)
            }
            Some(Err(error)) => Err(error),
        }
    }

    /// The mode to set: where the group is another, it gets no more than everybody. We always keep our own rights.
    const fn mode_for(&self, mode: u32, owned: Owned, own_rights: u32) -> u32 {
        let mode = match owned {
            Owned::Group => mode,
            Owned::OtherGroup => (mode & !0o2070) | ((mode & 0o007) << 3),
        };
        mode | own_rights
    }
}

/// Makes a file that must not exist yet, opened for reading and writing. Neither it nor its name is synced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] and what the system says.
pub(crate) fn create_new(path: &Path, like: &Ownership) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Err(error) = like.give(&file) {
        remove_quietly(path);
        return Err(error);
    }
    Ok(file)
}

/// Makes a directory that must not exist yet. Its name is not synced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] and what the system says.
pub(crate) fn create_dir(path: &Path, like: &Ownership) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let owned = like.own(&std::fs::symlink_metadata(path)?, |uid, gid| {
        chown(path, uid, gid)
    })?;
    let mode = like.mode_for(like.mode, owned, 0o700);
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Puts a file with these contents in place of whatever is there: durable when it returns, old or new contents after a crash.
///
/// The caller holds a lock, or is the only writer: the new file is first `<path>.tmp`. One that a crash left is overwritten here.
///
/// # Errors
/// What the system says; then the old file is as it was.
pub(crate) fn replace(path: &Path, contents: &[u8], like: &Ownership) -> io::Result<()> {
    put(path, contents, like)?;
    sync_dir(parent(path))
}

/// As [`replace`], but durable only when the caller has synced the directory: for several files of one directory, which one sync of it
/// makes durable together. Until then a crash leaves old or new contents of each.
///
/// # Errors
/// As [`replace`].
pub(crate) fn put(path: &Path, contents: &[u8], like: &Ownership) -> io::Result<()> {
    put_through(&beside(path, ".tmp"), path, contents, like)
}

/// As [`put`] for one of several writers without a lock, whose name for the new file is nobody else's.
///
/// # Errors
/// As [`replace`].
pub(crate) fn put_through(
    temporary: &Path,
    path: &Path,
    contents: &[u8],
    like: &Ownership,
) -> io::Result<()> {
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = create_new(temporary, like)?;
    let written = file
        .write_all(contents)
        .and_then(|()| file.sync_all())
        .and_then(|()| same_file(&file, temporary))
        .and_then(|()| std::fs::rename(temporary, path));
    if let Err(error) = written {
        remove_quietly(temporary);
        return Err(error);
    }
    Ok(())
}

/// Makes sure that nobody has taken a name from a file of ours.
fn same_file(file: &File, path: &Path) -> io::Result<()> {
    let (ours, theirs) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another program writes the same file without regard to its lock",
        ))
    }
}

/// Adds to the end of a file that exists: durable when it returns. After a crash a part of it may be there.
///
/// # Errors
/// What the system says; [`io::ErrorKind::NotFound`] if there is no such file. The file is then cut to its old length, if that is possible.
pub(crate) fn append(path: &Path, contents: &[u8]) -> io::Result<()> {
    append_with(path, contents, |file| file.sync_data()).map(drop)
}

/// How a file looked before and after something was added to it.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Before.
    pub(crate) before: Metadata,
    /// After.
    pub(crate) after: Metadata,
}

/// As [`append`], where `sync` makes what was added durable, and whatever else has to be.
///
/// # Errors
/// As [`append`], and what `sync` says.
pub(crate) fn append_with(
    path: &Path,
    contents: &[u8],
    sync: impl FnOnce(&Arc<File>) -> io::Result<()>,
) -> io::Result<Appended> {
    let mut file = Arc::new(OpenOptions::new().append(true).open(path)?);
    let before = file.metadata()?;
    let length = before.len();
    let written = file.write_all(contents).and_then(|()| {
        let after = file.metadata()?;
        sync(&file).map(|()| Appended { before, after })
    });
    if written.is_err()
        && let Err(error) = file.set_len(length)
    {
        tracing::debug!(path = %path.display(), %error, "append_not_undone");
    }
    written
}

/// Renames within or across directories and syncs the directories.
///
/// # Errors
/// What the system says.
pub(crate) fn rename_synced(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_dir(parent(to))?;
    if parent(from) != parent(to) {
        sync_dir(parent(from))?;
    }
    Ok(())
}

/// Opens a file to read it, a regular one only: whoever owns a directory could let a named pipe stand there, whose opening waits for ever.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no regular file, and what the system says.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_regular(path).map(|(file, _)| file)
}

/// As [`open`], with what the system says of the file.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(descriptor) => File::from(descriptor),
        // another program gives up its lease of the file meanwhile
        Err(rustix::io::Errno::WOULDBLOCK) => File::open(path)?,
        Err(error) => return Err(error.into()),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(no_regular_file());
    }
    Ok((file, about))
}

/// The error for what is no regular file.
fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a regular file")
}

/// Reads a whole file as [`open`] opens it.
///
/// # Errors
/// As [`open`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, about) = open_regular(path)?;
    let mut text = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_dir(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // some network file systems cannot sync a directory, since each change of it is durable by itself
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// The directory of a file, also for a name without one.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// A path with something added to its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file of ours that is of no use any more, where an error before matters more than one now.
fn remove_quietly(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "leftover_not_removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn modes_follow_the_directory() {
        let root = tempfile::tempdir().unwrap();
        for (directory, file) in [
            (0o700, 0o600),
            (0o770, 0o660),
            (0o755, 0o644),
            (0o2770, 0o660),
            (0o500, 0o600),
        ] {
            let inside = root.path().join(format!("{directory:o}"));
            fs::create_dir(&inside).unwrap();
            fs::set_permissions(&inside, Permissions::from_mode(directory)).unwrap();
            let like = Ownership::of(&inside).unwrap();
            create_new(&root.path().join("new"), &like).unwrap();
            assert_eq!(mode(&root.path().join("new")), file, "{directory:o}");
            fs::remove_file(root.path().join("new")).unwrap();
            create_dir(&root.path().join("dir"), &like).unwrap();
            assert_eq!(mode(&root.path().join("dir")), directory | 0o700);
            fs::remove_dir(root.path().join("dir")).unwrap();
        }
    }

    #[test]
    fn another_group_gets_no_more_than_everybody() {
        let like = Ownership {
            uid: 1,
            gid: 1,
            mode: 0o2770,
        };
        assert_eq!(like.mode_for(0o660, Owned::Group, 0o600), 0o660);
        assert_eq!(like.mode_for(0o660, Owned::OtherGroup, 0o600), 0o600);
        assert_eq!(like.mode_for(0o664, Owned::OtherGroup, 0o600), 0o644);
        assert_eq!(like.mode_for(0o2770, Owned::OtherGroup, 0o700), 0o700);
    }

    #[test]
    fn several_files_are_put_before_their_directory_is_synced() {
        let root = tempfile::tempdir().unwrap();
        let like = Ownership::of(root.path()).unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        replace(&first, b"old", &like).unwrap();
        create_new(&root.path().join("first.tmp"), &like).unwrap();
        put(&first, b"new", &like).unwrap();
        put(&second, b"beside", &like).unwrap();
        sync_dir(root.path()).unwrap();
        assert_eq!(fs::read(&first).unwrap(), b"new");
        assert_eq!(fs::read(&second).unwrap(), b"beside");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn replaces_and_appends() {
        let root = tempfile::tempdir().unwrap();
        let like = Ownership::of(root.path()).unwrap();
        let path = root.path().join("file");
        assert_eq!(
            append(&path, b"x").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        File::create(root.path().join("file.tmp")).unwrap();
        replace(&path, b"one\n", &like).unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        replace(&path, b"three\n", &like).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three\n");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let root = tempfile::tempdir().unwrap();
        let like = Ownership::of(root.path()).unwrap();
        let path = root.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("inside")).unwrap();
        assert!(replace(&path, b"x", &like).is_err());
        assert!(path.join("inside").is_dir());
        assert!(!root.path().join("taken.tmp").exists());
    }

    #[test]
    fn renames_across_directories() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        File::create(root.path().join("a/x")).unwrap();
        rename_synced(&root.path().join("a/x"), &root.path().join("b/y")).unwrap();
        assert!(root.path().join("b/y").exists());
    }
}
