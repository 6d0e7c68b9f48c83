//! Giving up root, and the limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Group, Uid, User, getuid, initgroups, setgid, setgroups, setuid};
use std::ffi::CString;

/// Why privileges could not be given up. All of it stops the start.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error("there is no user {0}")]
    NoUser(String),
    /// No such group.
    #[error("there is no group {0}")]
    NoGroup(String),
    /// A user given by number that has no entry needs a group.
    #[error("user {0} has no entry in the user database: name a group too")]
    NoPrimaryGroup(String),
    /// The system refused.
    #[error("cannot {operation}")]
    Refused {
        /// What.
        operation: &'static str,
        /// Why.
        source: nix::Error,
    },
}

/// Becomes another user, given by name or number, with that user's groups, or with one group if it is named. For good: saved ids go too.
///
/// Does nothing and says so by `false` when the process is not root.
///
/// # Errors
/// [`PrivilegeError`]
pub fn give_up(user: &str, group: Option<&str>) -> Result<bool, PrivilegeError> {
    let (uid, entry) = find_user(user)?;
    let named = group.map(find_group).transpose()?;
    let Some(gid) = named.or_else(|| entry.as_ref().map(|entry| entry.gid)) else {
        return Err(PrivilegeError::NoPrimaryGroup(user.to_owned()));
    };
    if !getuid().is_root() {
        return Ok(false);
    }
    let refused = |operation| move |source| PrivilegeError::Refused { operation, source };
    match entry.and_then(|entry| CString::new(entry.name).ok()) {
        Some(name) if named.is_none() => initgroups(&name, gid),
        _ => setgroups(&[gid]),
    }
    .map_err(refused("set the supplementary groups"))?;
    setgid(gid).map_err(refused("change the group"))?;
    setuid(uid).map_err(refused("change the user"))?;
    Ok(true)
}

/// Raises the limit of open files as far as this process may, and says how far that is.
///
/// # Errors
/// [`PrivilegeError::Refused`]
pub fn raise_open_files() -> Result<u64, PrivilegeError> {
    let refused = |operation| move |source| PrivilegeError::Refused { operation, source };
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(refused("read the limit of open files"))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .map_err(refused("raise the limit of open files"))?;
    }
    Ok(hard)
}

fn find_user(name: &str) -> Result<(Uid, Option<User>), PrivilegeError> {
    let refused = |source| PrivilegeError::Refused {
        operation: "read the user database",
        source,
    };
    if let Ok(number) = name.parse() {
        let uid = Uid::from_raw(number);
        return Ok((uid, User::from_uid(uid).map_err(refused)?));
    }
    let entry = User::from_name(name)
        .map_err(refused)?
        .ok_or_else(|| PrivilegeError::NoUser(name.to_owned()))?;
    Ok((entry.uid, Some(entry)))
}

fn find_group(name: &str) -> Result<Gid, PrivilegeError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let entry = Group::from_name(name).map_err(|source| PrivilegeError::Refused {
        operation: "read the group database",
        source,
    })?;
    entry
        .map(|entry| entry.gid)
        .ok_or_else(|| PrivilegeError::NoGroup(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{PrivilegeError, find_group, find_user, give_up, raise_open_files};

    #[test]
    fn users_and_groups_go_by_name_or_number() {
        assert_eq!(find_user("root").unwrap().0.as_raw(), 0);
        assert_eq!(find_user("0").unwrap().1.unwrap().name, "root");
        assert_eq!(find_group("0").unwrap().as_raw(), 0);
        assert!(find_user("4294967000").unwrap().1.is_none());
    }

    #[test]
    fn what_does_not_exist_is_refused_before_anything_changes() {
        assert!(matches!(
            give_up("no such user", None),
            Err(PrivilegeError::NoUser(_))
        ));
        assert!(matches!(
            give_up("0", Some("no such group")),
            Err(PrivilegeError::NoGroup(_))
        ));
        assert!(matches!(
            give_up("4294967000", None),
            Err(PrivilegeError::NoPrimaryGroup(_))
        ));
    }

    #[test]
    fn open_files_can_be_raised_to_the_hard_limit() {
        assert!(raise_open_files().unwrap() > 0);
    }
}
