//! One account's record.

use super::user_name::UserName;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is stored of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name.
    pub user: UserName,
    /// The password's hash as a PHC string (`$argon2id$v=19$…`).
    pub password_hash: String,
    /// False: nobody can log in.
    pub enabled: bool,
    /// Where the mail lies, if not where the template says.
    pub spool: Option<PathBuf>,
    /// Capabilities that its sessions do not announce, in capitals.
    pub disabled_capabilities: BTreeSet<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was last changed, in seconds since 1970.
    pub changed: i64,
    /// Rises with every change; part of what a remembered success depends on.
    pub generation: i64,
    /// When it was last used to log in, in seconds since 1970.
    pub last_login: Option<i64>,
}
