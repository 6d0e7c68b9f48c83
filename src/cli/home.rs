//! The directory of the credential database, as root: it must belong to the user that the server becomes (`[process]`), since SQLite keeps
//! files of its own beside the database.

use super::{ExitStatus, Failure};
use crate::config::{Config, Process};
use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::Path;

/// Where the index lies beside the database, unless it is configured to lie elsewhere.
const INDEX: &str = "index";

/// Makes the directory for the server's user if it is missing, and hands it over if it is root's and nothing else lies in it. Does nothing
/// unless this is root and the server becomes somebody else.
///
/// A directory that belongs to somebody else already is left alone, with all that is in it: whoever owns it could have put links there.
pub(super) fn make(config: &Config) -> Result<(), Failure> {
    if config.process.user.is_empty() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = owner(&config.process)?;
    let database = &config.auth.database;
    let Some(directory) = database.parent() else {
        return Ok(());
    };
    let has_index = config.index_directory() == directory.join(INDEX);
    hand_over(directory, database, has_index, owner).map_err(|error| {
        Failure::general(format!(
            "cannot give {} to user {}: {error}",
            directory.display(),
            config.process.user
        ))
    })
}

/// Does it; with `has_index`, the index is in the directory, too.
fn hand_over(
    directory: &Path,
    database: &Path,
    has_index: bool,
    (uid, gid): (u32, u32),
) -> io::Result<()> {
    let give = |path: &Path| lchown(path, Some(uid), Some(gid));
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(above) = directory.parent() {
                fs::create_dir_all(above)?;
            }
            fs::DirBuilder::new().mode(0o700).create(directory)?;
            give(directory)
        }
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() && metadata.uid() == 0 && uid != 0 => {
            let files: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
            let ours =
                |name: &OsStr| is_of(name, database.file_name()) || (has_index && name == INDEX);
            if files.iter().all(|file| ours(&file.file_name())) {
                // what was remembered as root, and may be lost
                if has_index && directory.join(INDEX).exists() {
                    fs::remove_dir_all(directory.join(INDEX))?;
                }
                let mut kept = files
                    .iter()
                    .filter(|file| is_of(&file.file_name(), database.file_name()));
                kept.try_for_each(|file| give(&file.path()))?;
                give(directory)?;
            }
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// True for the database's name and those of the files that SQLite keeps beside it.
fn is_of(name: &OsStr, database: Option<&OsStr>) -> bool {
    let beside = |end: &str| {
        let mut full = database.unwrap_or_default().to_owned();
        full.push(end);
        full == name
    };
    ["", "-wal", "-shm", "-journal"].into_iter().any(beside)
}

/// The user and group that the server becomes, given by name or number.
fn owner(process: &Process) -> Result<(u32, u32), Failure> {
    let unknown = |kind: &str, name: &str| {
        Failure::new(
            ExitStatus::Config,
            format!("process.{kind}: there is no {kind} {name}"),
        )
    };
    let number = process.user.parse::<u32>().ok();
    let entry = match number {
        Some(number) => User::from_uid(Uid::from_raw(number)),
        None => User::from_name(&process.user),
    };
    let entry = entry.map_err(Failure::general)?;
    let uid = number.or_else(|| entry.as_ref().map(|entry| entry.uid.as_raw()));
    let uid = uid.ok_or_else(|| unknown("user", &process.user))?;
    if process.group.is_empty() {
        let gid = entry.map(|entry| entry.gid.as_raw());
        return gid
            .map(|gid| (uid, gid))
            .ok_or_else(|| unknown("user", &process.user));
    }
    let gid = match process.group.parse::<u32>() {
        Ok(number) => Some(Gid::from_raw(number)),
        Err(_) => Group::from_name(&process.group)
            .map_err(Failure::general)?
            .map(|group| group.gid),
    };
    gid.map(|gid| (uid, gid.as_raw()))
        .ok_or_else(|| unknown("group", &process.group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_database_s_files() {
        let database = Some(OsStr::new("credentials.sqlite"));
        for (name, expected) in [
            ("credentials.sqlite", true),
            ("credentials.sqlite-wal", true),
            ("credentials.sqlite-shm", true),
            ("credentials.sqlite.old", false),
            ("passwd", false),
            ("-wal", false),
        ] {
            assert_eq!(is_of(OsStr::new(name), database), expected, "{name}");
        }
    }
}
