//! The credential store in one SQLite file, which several processes have open at the same time: the server, the command line, a
//! second server during a restart.
//!
//! - WAL: readers and a writer do not wait for each other. Two connections, so that no look-up waits for a write of our own either.
//! - Every change takes the next generation, in the same transaction. Generations never come again, also not for a name that was removed
//!   and made anew; names removed are kept with theirs, so that [`CredentialStore::changed_since`] can tell of them.
//! - A file put in the place of this one (a backup, restored by renaming) is noticed by [`CredentialStore::version`] and opened. If it
//!   cannot be, that is an error there, and look-ups go on in the old one.

use super::{Credential, CredentialStore, Result, StoreError, UserName, Version};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params,
};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one statement waits for another process's write.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two tries where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What brings a file from each version to the next; `user_version` counts what was done. App passwords and SCRAM keys will be tables
/// of their own beside these.
const MIGRATIONS: &[&str] = &[
    "
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
CREATE INDEX users_by_generation ON users (generation);
CREATE TABLE removed (
    generation INTEGER PRIMARY KEY,
    name       TEXT NOT NULL
) STRICT;
CREATE TABLE generation (
    id    INTEGER PRIMARY KEY CHECK (id = 0),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO generation VALUES (0, 0);
",
    "
-- names in capitals, each followed by a space
ALTER TABLE users ADD COLUMN disabled_capabilities TEXT NOT NULL DEFAULT '';
",
];

/// Columns of a record, in the order of [`read_record`].
const COLUMNS: &str = "name, password_hash, enabled, spool, created, changed, generation, last_login, disabled_capabilities";

/// The credential store in an SQLite file.
#[derive(Debug)]
pub struct Database {
    /// The file.
    path: PathBuf,
    /// For look-ups; held for single statements.
    reader: Mutex<Connection>,
    /// For changes.
    writer: Mutex<Connection>,
    /// Which file is open.
    opened: Mutex<Opened>,
}

/// Which file is open.
#[derive(Debug, Clone, Copy)]
struct Opened {
    /// Counts the files opened, from 0.
    number: u64,
    /// Device and inode.
    identity: (u64, u64),
}

impl Database {
    /// Opens the file, making it and its directory if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`], [`StoreError::TooNew`]
    pub fn open(path: &Path) -> Result<Self> {
        make(path).map_err(|source| StoreError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::open_existing(path)
    }

    /// Opens the file, which must be there.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`], [`StoreError::TooNew`]
    pub fn open_existing(path: &Path) -> Result<Self> {
        let identity = identity(path)?;
        let (reader, writer) = connect(path)?;
        Ok(Self {
            path: path.to_owned(),
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
            opened: Mutex::new(Opened {
                number: 0,
                identity,
            }),
        })
    }

    /// Looks for damage in all of the file, which costs the reading of it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Database`]
    pub fn check(&self) -> Result<()> {
        let what: String = self.read(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        })?;
        if what == "ok" {
            return Ok(());
        }
        Err(StoreError::Damaged {
            path: self.path.clone(),
            what,
        })
    }

    /// Opens the file anew if it is not the one that was opened; tells which it is.
    fn follow(&self) -> Result<u64> {
        let identity = identity(&self.path)?;
        let mut opened = lock(&self.opened);
        if opened.identity != identity {
            let (reader, writer) = connect(&self.path)?;
            *lock(&self.writer) = writer;
            *lock(&self.reader) = reader;
            opened.identity = identity;
            opened.number = opened.number.wrapping_add(1);
            tracing::info!(path = %self.path.display(), "credential_database_replaced");
        }
        Ok(opened.number)
    }

    /// Runs a look-up.
    fn read<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        action(&lock(&self.reader)).map_err(|source| failed(&self.path, source))
    }

    /// Runs a transaction.
    fn write<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = lock(&self.writer);
        let run = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = action(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run(&mut connection).map_err(|source| failed(&self.path, source))
    }

    /// Runs a change of one record, with a new generation. It tells how many records it changed: none is an unknown account.
    fn change(
        &self,
        user: &UserName,
        action: impl FnOnce(&Connection, i64) -> rusqlite::Result<usize>,
    ) -> Result<()> {
        let changed = self.write(|connection| {
            let generation = next_generation(connection)?;
            action(connection, generation)
        })?;
        match changed {
            0 => Err(StoreError::Unknown(user.clone())),
            _ => Ok(()),
        }
    }
}

/// Makes the file and its directory, for the owner alone, before anything is in it. As root, whoever owns the directory owns the
/// file, since that is whom the server will become.
fn make(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(file) => {
            let owner = std::fs::metadata(directory.unwrap_or_else(|| Path::new(".")))?;
            if file.metadata()?.uid() == 0 && owner.uid() != 0 {
                std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        }
    }
}

/// Device and inode of the file.
fn identity(path: &Path) -> Result<(u64, u64)> {
    let metadata = std::fs::metadata(path).map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok((metadata.dev(), metadata.ino()))
}

/// An error of SQLite's, with the file.
fn failed(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
            path,
            what: source.to_string(),
        },
        _ => StoreError::Database { path, source },
    }
}

/// Takes a lock; a statement that panicked was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection to read and one to write, with the tables up to date.
fn connect(path: &Path) -> Result<(Connection, Connection)> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        write_ahead(&connection)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    };
    let connect = || {
        let mut writer = open()?;
        let found = migrate(&mut writer)?;
        let reader = open()?;
        reader.pragma_update(None, "query_only", true)?;
        Ok((found, reader, writer))
    };
    let (found, reader, writer) = connect().map_err(|source| failed(path, source))?;
    let known = newest();
    if found > known {
        return Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok((reader, writer))
}

/// The format that this program writes.
fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Switches to the write-ahead log. Of several processes that make the file at the same moment SQLite refuses all but one at once,
/// whatever its time-out: so we wait here, [`BUSY_TIMEOUT`] in all.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && waited < BUSY_TIMEOUT => {
                std::thread::sleep(BUSY_PAUSE);
                waited += BUSY_PAUSE;
            }
            result => return result,
        }
    }
}

/// True if another process has the file at this moment.
fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Brings the tables up to date; returns the format that the file then has.
fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    let missing = |found: i64| {
        usize::try_from(found)
            .ok()
            .and_then(|n| MIGRATIONS.get(n..))
    };
    let found = version(connection)?;
    if missing(found).is_none_or(<[_]>::is_empty) {
        return Ok(found);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // another process may have been faster
    let found = version(&transaction)?;
    for step in missing(found).unwrap_or_default() {
        transaction.execute_batch(step)?;
    }
    if found < newest() {
        transaction.pragma_update(None, "user_version", newest())?;
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
        disabled_capabilities: names(&row.get::<_, String>(8)?),
    }))
}

/// The names that a column holds.
fn names(column: &str) -> BTreeSet<String> {
    column.split_whitespace().map(str::to_owned).collect()
}

/// The column that holds these names.
fn column(names: &BTreeSet<String>) -> String {
    names.iter().flat_map(|name| [name, " "]).collect()
}

impl CredentialStore for Database {
    fn version(&self) -> Result<Version> {
        let file = self.follow()?;
        let generation = self.read(|connection| {
            connection
                .prepare_cached("SELECT value FROM generation")?
                .query_row([], |row| row.get(0))
        })?;
        Ok(Version { file, generation })
    }

    fn changed_since(&self, generation: i64) -> Result<Vec<UserName>> {
        let names: Vec<String> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT name FROM users WHERE generation > ?1
                     UNION SELECT name FROM removed WHERE generation > ?1",
                )?
                .query_map([generation], |row| row.get(0))?
                .collect()
        })?;
        let names = names.iter().filter_map(|name| UserName::new(name).ok());
        Ok(names.collect())
    }

    fn find(&self, user: &UserName) -> Result<Option<Credential>> {
        self.read(|connection| {
            let found = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"))?
                .query_row([user.as_str()], read_record)
                .optional()?;
            Ok(found.flatten())
        })
    }

    fn list(&self) -> Result<Vec<Credential>> {
        self.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY name"))?
                .query_map([], read_record)?
                .filter_map(rusqlite::Result::transpose)
                .collect()
        })
    }

    fn add(
        &self,
        user: &UserName,
        password_hash: &str,
        spool: Option<&Path>,
        now: i64,
    ) -> Result<()> {
        let text = |path: &Path| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(StoreError::SpoolNotText(path.to_owned())),
        };
        let spool = spool.map(text).transpose()?;
        let added = self.change(user, |connection, generation| {
            connection.execute(
                "INSERT INTO users (name, password_hash, spool, created, changed, generation)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT DO NOTHING",
                params![user.as_str(), password_hash, spool, now, generation],
            )
        });
        added.map_err(|error| match error {
            StoreError::Unknown(user) => StoreError::Exists(user),
            other => other,
        })
    }

    fn set_password(&self, user: &UserName, password_hash: &str, now: i64) -> Result<()> {
        self.change(user, |connection, generation| {
            connection.execute(
                "UPDATE users SET password_hash = ?2, changed = ?3, generation = ?4 WHERE name = ?1",
                params![user.as_str(), password_hash, now, generation],
            )
        })
    }

    fn replace_hash(&self, user: &UserName, old: &str, new: &str) -> Result<()> {
        self.write(|connection| {
            connection.execute(
                "UPDATE users SET password_hash = ?3 WHERE name = ?1 AND password_hash = ?2",
                [user.as_str(), old, new],
            )
        })
        .map(drop)
    }

    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> Result<()> {
        self.change(user, |connection, generation| {
            connection.execute(
                "UPDATE users SET enabled = ?2, changed = ?3, generation = ?4 WHERE name = ?1",
                params![user.as_str(), enabled, now, generation],
            )
        })
    }

    fn switch_capabilities(
        &self,
        user: &UserName,
        off: &BTreeSet<String>,
        on: &BTreeSet<String>,
        now: i64,
    ) -> Result<()> {
        self.change(user, |connection, generation| {
            let before: Option<String> = connection
                .query_row(
                    "SELECT disabled_capabilities FROM users WHERE name = ?1",
                    [user.as_str()],
                    |row| row.get(0),
                )
                .optional()?;
            let mut disabled = names(&before.unwrap_or_default());
            disabled.extend(off.iter().cloned());
            disabled.retain(|name| !on.contains(name));
            connection.execute(
                "UPDATE users SET disabled_capabilities = ?2, changed = ?3, generation = ?4 WHERE name = ?1",
                params![user.as_str(), column(&disabled), now, generation],
            )
        })
    }

    fn remove(&self, user: &UserName) -> Result<()> {
        self.change(user, |connection, generation| {
            connection.execute("DELETE FROM removed WHERE name = ?1", [user.as_str()])?;
            connection.execute(
                "INSERT INTO removed (generation, name) SELECT ?1, name FROM users WHERE name = ?2",
                params![generation, user.as_str()],
            )?;
            connection.execute("DELETE FROM users WHERE name = ?1", [user.as_str()])
        })
    }

    fn note_logins(&self, logins: &[(UserName, i64)]) -> Result<()> {
        self.write(|connection| {
            let mut statement =
                connection.prepare_cached("UPDATE users SET last_login = ?2 WHERE name = ?1")?;
            for (user, at) in logins {
                statement.execute(params![user.as_str(), at])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
