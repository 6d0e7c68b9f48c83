//! The credential store: a trait, and its form on SQLite ([`Database`]).
//!
//! A change is seen by [`CredentialStore::version`], which costs no look at the records. Whatever goes wrong with the store is trouble of
//! ours ([`StoreError`]) and never looks like a wrong password.

mod sqlite;

pub use sqlite::{BUSY_TIMEOUT, Database};

use super::credential::Credential;
use super::user_name::UserName;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened, read or written, or is locked or damaged.
    #[error("credential database {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// What is in the file is not, or no longer, what SQLite wrote.
    #[error(
        "credential database {path} is damaged: {what}; put a backup in its place by renaming it, which a running server notices, \
         or rescue what can be read: sqlite3 {path} .recover | sqlite3 rescued.sqlite"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// The file, or the directory for it, cannot be made or looked at.
    #[error("file of the credential database {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file was written by a newer version.
    #[error("credential database {path} has format {found}, this program knows up to {known}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// There is an account of that name already.
    #[error("user {0} exists already")]
    Exists(UserName),
    /// There is no account of that name.
    #[error("there is no user {0}")]
    Unknown(UserName),
    /// A spool's path is not text.
    #[error("the spool's path {0:?} is not UTF-8")]
    SpoolNotText(PathBuf),
}

/// What comes of asking the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A state of all records; another one after any change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Which file it is of, counted from 0: another one was put in its place.
    pub file: u64,
    /// The highest generation given; rises with each change while the file is the same.
    pub generation: i64,
}

/// Where the accounts are kept. Every error is trouble of ours; calls may block on the disk.
pub trait CredentialStore: Send + Sync + fmt::Debug {
    /// The state of the records now, also after changes by other processes.
    ///
    /// # Errors
    /// [`StoreError`]
    fn version(&self) -> Result<Version>;

    /// Accounts made, changed or removed after a generation.
    ///
    /// # Errors
    /// [`StoreError`]
    fn changed_since(&self, generation: i64) -> Result<Vec<UserName>>;

    /// Looks an account up.
    ///
    /// # Errors
    /// [`StoreError`]
    fn find(&self, user: &UserName) -> Result<Option<Credential>>;

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`StoreError`]
    fn list(&self) -> Result<Vec<Credential>>;

    /// Makes an account; times in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::SpoolNotText`], or trouble
    fn add(
        &self,
        user: &UserName,
        password_hash: &str,
        spool: Option<&Path>,
        now: i64,
    ) -> Result<()>;

    /// Sets the password.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], or trouble
    fn set_password(&self, user: &UserName, password_hash: &str, now: i64) -> Result<()>;

    /// Puts a hash of the same password in an older one's place, if that is still there. No change of the record.
    ///
    /// # Errors
    /// [`StoreError`]
    fn replace_hash(&self, user: &UserName, old: &str, new: &str) -> Result<()>;

    /// Lets an account log in, or not.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], or trouble
    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> Result<()>;

    /// Switches capabilities off and on for an account; names in capitals. One in both sets is on afterwards.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], or trouble
    fn switch_capabilities(
        &self,
        user: &UserName,
        off: &BTreeSet<String>,
        on: &BTreeSet<String>,
        now: i64,
    ) -> Result<()>;

    /// Removes an account; its mail stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], or trouble
    fn remove(&self, user: &UserName) -> Result<()>;

    /// Notes logins, in seconds since 1970. No change of the records.
    ///
    /// # Errors
    /// [`StoreError`]
    fn note_logins(&self, logins: &[(UserName, i64)]) -> Result<()>;
}
