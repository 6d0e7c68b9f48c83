//! The credential store: a trait, and its form on SQLite.
//!
//! One file, which the server reads and the command line writes at the same time (WAL). A change is seen by
//! [`CredentialStore::version`], which costs no look at the records. Whatever goes wrong with the file is trouble of ours
//! ([`StoreError`]) and never looks like a wrong password.

use super::credential::Credential;
use super::user_name::UserName;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long one statement waits for another process's write.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The form of the tables; a file with a higher number is of a newer restante and is not touched.
const SCHEMA_VERSION: i64 = 1;

/// Tables of version 1. `scram` and `app_passwords` are for what comes later, so that an older server reads a newer file.
const SCHEMA: &str = "
CREATE TABLE users (
    name          TEXT PRIMARY KEY NOT NULL,
    password_hash TEXT NOT NULL,
    enabled       INTEGER NOT NULL DEFAULT 1,
    spool         TEXT,
    created       INTEGER NOT NULL,
    changed       INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    last_login    INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE generation (
    id    INTEGER PRIMARY KEY CHECK (id = 0),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO generation VALUES (0, 0);
";

/// Columns of a record, in the order of [`read_record`].
const COLUMNS: &str =
    "name, password_hash, enabled, spool, created, changed, generation, last_login";

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, read or written, or is locked or damaged.
    #[error("credential database {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The directory for the file cannot be made.
    #[error("directory of credential database {path}: {source}")]
    Directory {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file was written by a newer version.
    #[error(
        "credential database {path} has format {found}, this program knows up to {SCHEMA_VERSION}"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// There is an account of that name already.
    #[error("user {0} exists already")]
    Exists(UserName),
    /// There is no account of that name.
    #[error("there is no user {0}")]
    Unknown(UserName),
}

/// What an operation of the store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A store of credentials. Calls may block on the disk.
pub trait CredentialStore: Send + Sync + fmt::Debug {
    /// A number that is another one after any other process's change.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    fn version(&self) -> Result<i64>;

    /// Looks an account up.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    fn find(&self, user: &UserName) -> Result<Option<Credential>>;

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    fn list(&self) -> Result<Vec<Credential>>;

    /// Makes an account; times in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Database`]
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
    /// [`StoreError::Unknown`], [`StoreError::Database`]
    fn set_password(&self, user: &UserName, password_hash: &str, now: i64) -> Result<()>;

    /// Lets an account log in, or not.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Database`]
    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> Result<()>;

    /// Removes an account; its mail stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Database`]
    fn remove(&self, user: &UserName) -> Result<()>;

    /// Notes logins, in seconds since 1970; does not count as a change of the records.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    fn note_logins(&self, logins: &[(UserName, i64)]) -> Result<()>;
}

/// The credential store in an SQLite file.
#[derive(Debug)]
pub struct Database {
    /// The file.
    path: PathBuf,
    /// Held for single statements only.
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file, making it and its directory if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Directory`], [`StoreError::TooNew`]
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(directory) = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|source| StoreError::Directory {
                    path: path.to_owned(),
                    source,
                })?;
        }
        if !path.exists() {
            keep_to_owner(path)?;
        }
        Self::open_existing(path)
    }

    /// Opens the file, which must be there.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::TooNew`]
    pub fn open_existing(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| StoreError::Database {
            path: path.to_owned(),
            source,
        };
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        let found = migrate(&mut connection).map_err(failed)?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::TooNew {
                path: path.to_owned(),
                found,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    /// Runs a statement or a transaction.
    fn with<T>(&self, action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        action(&mut connection).map_err(|source| StoreError::Database {
            path: self.path.clone(),
            source,
        })
    }

    /// Runs a change of one record, with a new generation; `false` from it means that there is no such record.
    fn change(
        &self,
        user: &UserName,
        action: impl FnOnce(&Connection, i64) -> rusqlite::Result<usize>,
    ) -> Result<()> {
        let changed = self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let generation = next_generation(&transaction)?;
            let changed = action(&transaction, generation)?;
            transaction.commit()?;
            Ok(changed)
        })?;
        if changed == 0 {
            Err(StoreError::Unknown(user.clone()))
        } else {
            Ok(())
        }
    }
}

/// Makes an empty file that only its owner can read, before anything is in it.
fn keep_to_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::Directory {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Settings of a connection: readers and one writer at a time, durable at each commit.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Makes the tables if there are none; returns the format found.
fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    if version(connection)? != 0 {
        return version(connection);
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    version(connection)
}

/// A number above every generation that any record ever had.
fn next_generation(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "UPDATE generation SET value = value + 1 RETURNING value",
        [],
        |row| row.get(0),
    )
}

/// A record from a row with [`COLUMNS`]; none for a name that we would not have written.
fn read_record(row: &Row<'_>) -> rusqlite::Result<Option<Credential>> {
    let Ok(user) = UserName::new(&row.get::<_, String>(0)?) else {
        return Ok(None);
    };
    Ok(Some(Credential {
        user,
        password_hash: row.get(1)?,
        enabled: row.get(2)?,
        spool: row.get::<_, Option<String>>(3)?.map(PathBuf::from),
        created: row.get(4)?,
        changed: row.get(5)?,
        generation: row.get(6)?,
        last_login: row.get(7)?,
    }))
}

impl CredentialStore for Database {
    fn version(&self) -> Result<i64> {
        self.with(|connection| {
            connection.query_row("SELECT value FROM generation", [], |row| row.get(0))
        })
    }

    fn find(&self, user: &UserName) -> Result<Option<Credential>> {
        self.with(|connection| {
            let mut statement = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"))?;
            Ok(statement
                .query_row([user.as_str()], read_record)
                .optional()?
                .flatten())
        })
    }

    fn list(&self) -> Result<Vec<Credential>> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY name"))?;
            let records = statement.query_map([], read_record)?;
            records.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    fn add(
        &self,
        user: &UserName,
        password_hash: &str,
        spool: Option<&Path>,
        now: i64,
    ) -> Result<()> {
        let spool = spool.map(|path| path.to_string_lossy().into_owned());
        let statement = "INSERT INTO users (name, password_hash, spool, created, changed, generation) VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT DO NOTHING";
        let added = self.change(user, |connection, generation| {
            connection.execute(
                statement,
                params![user.as_str(), password_hash, spool, now, generation],
            )
        });
        added.map_err(|error| match error {
            StoreError::Unknown(user) => StoreError::Exists(user),
            other => other,
        })
    }

    fn set_password(&self, user: &UserName, password_hash: &str, now: i64) -> Result<()> {
        let statement =
            "UPDATE users SET password_hash = ?2, changed = ?3, generation = ?4 WHERE name = ?1";
        self.change(user, |connection, generation| {
            connection.execute(
                statement,
                params![user.as_str(), password_hash, now, generation],
            )
        })
    }

    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> Result<()> {
        let statement =
            "UPDATE users SET enabled = ?2, changed = ?3, generation = ?4 WHERE name = ?1";
        self.change(user, |connection, generation| {
            connection.execute(statement, params![user.as_str(), enabled, now, generation])
        })
    }

    fn remove(&self, user: &UserName) -> Result<()> {
        self.change(user, |connection, _| {
            connection.execute("DELETE FROM users WHERE name = ?1", [user.as_str()])
        })
    }

    fn note_logins(&self, logins: &[(UserName, i64)]) -> Result<()> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for (user, at) in logins {
                transaction.execute(
                    "UPDATE users SET last_login = ?2 WHERE name = ?1",
                    params![user.as_str(), at],
                )?;
            }
            transaction.commit()
        })
    }
}

impl<T: CredentialStore + ?Sized> CredentialStore for std::sync::Arc<T> {
    fn version(&self) -> Result<i64> {
        (**self).version()
    }
    fn find(&self, user: &UserName) -> Result<Option<Credential>> {
        (**self).find(user)
    }
    fn list(&self) -> Result<Vec<Credential>> {
        (**self).list()
    }
    fn add(
        &self,
        user: &UserName,
        password_hash: &str,
        spool: Option<&Path>,
        now: i64,
    ) -> Result<()> {
        (**self).add(user, password_hash, spool, now)
    }
    fn set_password(&self, user: &UserName, password_hash: &str, now: i64) -> Result<()> {
        (**self).set_password(user, password_hash, now)
    }
    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> Result<()> {
        (**self).set_enabled(user, enabled, now)
    }
    fn remove(&self, user: &UserName) -> Result<()> {
        (**self).remove(user)
    }
    fn note_logins(&self, logins: &[(UserName, i64)]) -> Result<()> {
        (**self).note_logins(logins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    #[test]
    fn keeps_accounts_for_all_who_have_the_file_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deeper/credentials.sqlite");
        let (writer, reader) = (
            Database::open(&path).unwrap(),
            Database::open(&path).unwrap(),
        );
        let before = reader.version().unwrap();
        writer
            .add(&name("anna"), "$hash", Some(Path::new("/srv/anna")), 100)
            .unwrap();
        assert_ne!(reader.version().unwrap(), before);
        assert!(matches!(
            writer.add(&name("Anna"), "$other", None, 101),
            Err(StoreError::Exists(_))
        ));
        let first = reader.find(&name("anna")).unwrap().unwrap();
        assert_eq!(
            (first.password_hash.as_str(), first.enabled, first.created),
            ("$hash", true, 100)
        );
        assert_eq!(first.spool.as_deref(), Some(Path::new("/srv/anna")));

        writer.set_password(&name("anna"), "$new", 200).unwrap();
        writer.set_enabled(&name("anna"), false, 300).unwrap();
        let second = reader.find(&name("anna")).unwrap().unwrap();
        assert_eq!(
            (
                second.password_hash.as_str(),
                second.enabled,
                second.changed
            ),
            ("$new", false, 300)
        );
        assert!(second.generation > first.generation);

        writer
            .note_logins(&[(name("anna"), 400), (name("nobody"), 400)])
            .unwrap();
        assert_eq!(
            reader
                .list()
                .unwrap()
                .iter()
                .map(|c| c.last_login)
                .collect::<Vec<_>>(),
            [Some(400)]
        );
        writer.remove(&name("anna")).unwrap();
        assert!(reader.find(&name("anna")).unwrap().is_none());
        assert!(matches!(
            writer.remove(&name("anna")),
            Err(StoreError::Unknown(_))
        ));
        writer.add(&name("anna"), "$again", None, 500).unwrap();
        assert!(
            reader.find(&name("anna")).unwrap().unwrap().generation > second.generation,
            "a generation came again"
        );
    }

    #[test]
    fn only_its_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.sqlite");
        drop(Database::open(&path).unwrap());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn damage_and_newer_formats_are_errors_of_ours() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("damaged.sqlite");
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &[7; 8192]))
            .unwrap();
        assert!(matches!(
            Database::open(&path),
            Err(StoreError::Database { .. })
        ));
        let path = directory.path().join("newer.sqlite");
        drop(Database::open(&path).unwrap());
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        assert!(matches!(
            Database::open(&path),
            Err(StoreError::TooNew { found: 99, .. })
        ));
    }
}
