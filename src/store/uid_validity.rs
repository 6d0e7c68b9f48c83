//! `dovecot-uidvalidity`: the last UIDVALIDITY handed out in an account.
//!
//! The file holds eight hex digits. Beside it lies an empty file `dovecot-uidvalidity.<the same digits>`, whose rename to the next
//! value allocates that value: of two who try, one finds it gone and looks again. After a crash between the two the greater one counts.

use super::folders::Folders;
use crate::durable::{self, Ownership};
use crate::mailbox::id::UidValidity;
use std::fs;
use std::io::{self, BufRead as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the file.
const NAME: &str = "dovecot-uidvalidity";

/// Tries to be quicker than others.
const ATTEMPTS: usize = 1000;

/// A UIDVALIDITY that no mailbox of the account has or had: above the last one handed out, above `floor`; with no record of the last one
/// also not below `now` in seconds since 1970. Durable when it returns.
///
/// # Errors
/// What the system says.
pub(super) fn allocate(
    root: &Path,
    like: &Ownership,
    now: u64,
    floor: Option<UidValidity>,
) -> io::Result<UidValidity> {
    let value = allocate_before_sync(root, like, now, floor)?;
    durable::sync_dir(root)?;
    Ok(value)
}

/// As [`allocate`], but durable only when the caller has synced `root`, which it does before anybody learns the value: for a mailbox
/// whose list lies there, too.
///
/// # Errors
/// What the system says.
pub(super) fn allocate_before_sync(
    root: &Path,
    like: &Ownership,
    now: u64,
    floor: Option<UidValidity>,
) -> io::Result<UidValidity> {
    let floor = floor.map_or(0, UidValidity::value);
    take(root, like, |recorded| {
        let least = if recorded.is_some() {
            0
        } else {
            u32::try_from(now).unwrap_or(u32::MAX)
        };
        recorded
            .unwrap_or(0)
            .max(floor)
            .saturating_add(1)
            .max(least)
    })
}

/// Notes, durably, that this value was in use, before its mailbox is removed.
///
/// # Errors
/// What the system says.
pub(super) fn note_used(root: &Path, like: &Ownership, used: UidValidity) -> io::Result<()> {
    match recorded(root)?.value {
        Some(value) if value >= used.value() => Ok(()),
        _ => take(root, like, |recorded| {
            recorded.unwrap_or(0).max(used.value())
        })
        .and_then(|_| durable::sync_dir(root)),
    }
}

/// What is recorded.
struct Recorded {
    /// The greatest value of the file and of the names beside it.
    value: Option<u32>,
    /// The file whose rename allocates the next value.
    token: Option<PathBuf>,
}

/// Reads the record.
fn recorded(root: &Path) -> io::Result<Recorded> {
    let in_file = match durable::read(&root.join(NAME)) {
        Ok(text) => parse(text.trim_ascii()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut greatest = greatest_token(root)?;
    if in_file.is_some() && greatest.is_none() {
        // a directory read while a name in it changes may show neither the old name nor the new one
        greatest = greatest_token(root)?;
    }
    let value = in_file.max(greatest.as_ref().map(|(value, _)| *value));
    Ok(Recorded {
        value,
        token: greatest.map(|(_, path)| path),
    })
}

/// The file beside the record whose name says the greatest value.
fn greatest_token(root: &Path) -> io::Result<Option<(u32, PathBuf)>> {
    let mut greatest = None;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let value = name
            .to_str()
            .and_then(|name| parse(name.strip_prefix(NAME)?.strip_prefix('.')?.as_bytes()));
        greatest = greatest.max(value.map(|value| (value, entry.path())));
    }
    Ok(greatest)
}

/// Eight hex digits.
fn parse(text: &[u8]) -> Option<u32> {
    (text.len() == 8).then(|| u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok())?
}

/// Takes the value that `choose` makes of the one recorded: durable when the caller has synced `root`.
fn take(
    root: &Path,
    like: &Ownership,
    choose: impl Fn(Option<u32>) -> u32,
) -> io::Result<UidValidity> {
    for _ in 0..ATTEMPTS {
        let before = recorded(root)?;
        let value = choose(before.value);
        let token = root.join(format!("{NAME}.{value:08x}"));
        let taken = match &before.token {
            Some(old) => fs::rename(old, &token),
            None => durable::create_new(&token, like)
                .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o444))),
        };
        match taken {
            Ok(()) => {
                // replaced as a whole, and durable with its directory, in which the token was renamed: before that a crash may leave either
                // of them as it was, and the greater one counts
                let digits = format!("{value:08x}");
                let temporary = root.join(format!("{NAME}.{digits}.tmp"));
                durable::put_through(&temporary, &root.join(NAME), digits.as_bytes(), like)?;
                return UidValidity::new(value)
                    .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
            }
            // somebody else was quicker
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// The highest UIDVALIDITY of the mailboxes on disk, from the first lines of their lists: the `floor` of [`allocate`].
///
/// # Errors
/// What the system says.
pub(super) fn highest(folders: &Folders) -> io::Result<Option<UidValidity>> {
    let mut highest = None;
    for directory in folders
        .list()?
        .into_iter()
        .filter_map(|folder| folder.directory)
    {
        let mut line = Vec::new();
        match durable::open(&directory.join("dovecot-uidlist")) {
            Ok(file) => io::BufReader::new(file).read_until(b'\n', &mut line)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let list = super::uidlist::UidList::parse(line, None);
        highest = highest.max(list.map(|(list, _)| list.uid_validity()));
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn files(root: &Path) -> BTreeSet<String> {
        fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn values_only_rise() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        let value = |now, floor| {
            allocate(root, &like, now, UidValidity::new(floor))
                .unwrap()
                .value()
        };
        assert_eq!(value(1000, 0), 1000);
        assert_eq!(value(5, 0), 1001, "the clock went back");
        assert_eq!(
            value(9_999_999, 0),
            1002,
            "one after the other, however late it is"
        );
        assert_eq!(value(0, 2000), 2001);
        note_used(root, &like, UidValidity::new(3000).unwrap()).unwrap();
        note_used(root, &like, UidValidity::new(7).unwrap()).unwrap();
        assert_eq!(value(0, 0), 3001);
        assert_eq!(
            files(root),
            ["dovecot-uidvalidity", "dovecot-uidvalidity.00000bb9"]
                .map(str::to_owned)
                .into()
        );
        assert_eq!(fs::read(root.join(NAME)).unwrap(), b"00000bb9");
    }

    #[test]
    fn many_at_once_get_different_ones() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        allocate(root, &like, 10, None).unwrap();
        let values: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..10)
                            .map(|_| allocate(root, &like, 10, None).unwrap().value())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 40);
        assert_eq!(files(root).len(), 2, "{:?}", files(root));
    }

    #[test]
    fn a_value_not_yet_synced_is_not_given_again() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        let value = allocate_before_sync(root, &like, 16, None).unwrap();
        assert_eq!(value.value(), 16);
        let after = allocate(root, &like, 0, None).unwrap();
        assert_eq!(after.value(), 17);
        // a crash may leave the name as it was and the file as it is
        fs::rename(
            root.join("dovecot-uidvalidity.00000011"),
            root.join("dovecot-uidvalidity.00000010"),
        )
        .unwrap();
        assert_eq!(allocate(root, &like, 0, None).unwrap().value(), 18);
    }

    #[test]
    fn a_crash_between_token_and_file_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        allocate(root, &like, 16, None).unwrap();
        fs::rename(
            root.join("dovecot-uidvalidity.00000010"),
            root.join("dovecot-uidvalidity.00000011"),
        )
        .unwrap();
        assert_eq!(allocate(root, &like, 0, None).unwrap().value(), 18);
        durable::replace(&root.join(NAME), b"rubbish", &like).unwrap();
        assert_eq!(allocate(root, &like, 0, None).unwrap().value(), 19);
    }
}
