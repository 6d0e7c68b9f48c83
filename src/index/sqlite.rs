//! The index in SQLite: one database for each account, in one directory outside the spools.
//!
//! - Nothing is synced when it is written, as nothing here must outlive a power cut: a database that the machine's last run did not
//!   close in order is begun anew. The last connection to close one syncs it and says so in it (`about.boot`).
//! - The journal is a rollback journal. A write-ahead log would need a file that is mapped into memory, and whoever truncates such a
//!   file ends the processes that have it mapped.
//! - A database that is damaged is removed and begun anew; one that was removed or replaced while it was open is noticed by its
//!   inode. A record that is damaged is begun anew alone.
//! - A database that cannot be used (locked for long, no room, no permission) is left alone for `RETRY_AFTER`; the server goes on
//!   from memory.
//! - Few are open at a time (`MAX_OPEN`), so that an account that only waits costs neither memory nor files.

use super::codec::{NOTHING, Reader, Writer};
use super::codec::{decode, decode_delta, encode_delta, replay, sum};
use super::record::{State, seed};
use super::{Change, Delta, Found, Index, Key, Record, Result, StatusNote, Unavailable, Version};
use crate::mailbox::id::ModSeq;
use crate::mailbox::remembered::Remembered;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The tables.
const SCHEMA: &str = include_str!("schema.sql");

/// `user_version` of databases with these tables. Another one is begun anew.
const FORMAT: i32 = 1;

/// How long to wait for another process's change.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a database that could not be used is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How often trouble is told, over all accounts.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Most databases open at a time: two files and some 100 KiB each.
const MAX_OPEN: usize = 256;

/// Memory for pages of one database, in KiB.
const CACHE_KIB: i32 = 256;

/// Longest readable part of a database's name, in octets.
const MAX_NAME_OCTETS: usize = 100;

/// Where Linux tells which run of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a database did not do it.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// What it holds is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be used now.
    #[error("{0}")]
    Failed(String),
    /// It was damaged, and the change was run already.
    #[error("damaged while a change was made")]
    TooLate,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen,
            ) => Self::Failed(error.to_string()),
            // damage of its first page makes a database read-only, or longer than its file
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The indexes of all accounts, in one directory.
#[derive(Debug)]
pub struct Databases {
    directory: PathBuf,
    boot: String,
    /// By the sum over the account's place, the one used last at the end.
    open: Mutex<Vec<(u64, Arc<Mutex<Slot>>)>>,
    /// When trouble was told last.
    told: Mutex<Option<Instant>>,
}

/// One account's database.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    database: Option<Database>,
    retry_at: Option<Instant>,
}

/// An open database.
#[derive(Debug)]
struct Database {
    connection: Connection,
    /// Device and inode.
    identity: (u64, u64),
    /// It was written to.
    is_dirty: bool,
}

impl Databases {
    /// In a directory, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        make_directory(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            boot: fs::read_to_string(BOOT_ID)
                .map_or_else(|_| "-".to_owned(), |id| id.trim().to_owned()),
            open: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Closes all databases in order, for the end of the process. What somebody is still at is closed when that ends.
    pub fn close(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        drop(open);
    }

    /// The database of an account: its place in readable form, and a sum that tells places apart.
    pub fn path(&self, account: &Path) -> PathBuf {
        let readable = |octet: &u8| match octet {
            b'/' => '-',
            b'.' | b'@' | b'_' | b'+' => char::from(*octet),
            _ if octet.is_ascii_alphanumeric() => char::from(*octet),
            _ => '_',
        };
        let place = account.as_os_str().as_bytes();
        let start = place.len().saturating_sub(MAX_NAME_OCTETS);
        let end: String = place.iter().skip(start).map(readable).collect();
        let end = end.trim_start_matches(['-', '.']);
        self.directory
            .join(format!("{end}-{:016x}.sqlite", sum(NOTHING, place)))
    }

    /// The slot of an account. Those used longest ago are let go.
    fn slot(&self, account: &Path) -> Arc<Mutex<Slot>> {
        let id = sum(NOTHING, account.as_os_str().as_bytes());
        let mut open = lock(&self.open);
        if let Some(at) = open.iter().rposition(|(known, _)| *known == id) {
            let used = open.remove(at);
            let slot = Arc::clone(&used.1);
            open.push(used);
            return slot;
        }
        let slot = Arc::new(Mutex::new(Slot {
            path: self.path(account),
            database: None,
            retry_at: None,
        }));
        let let_go = (open.len() >= MAX_OPEN).then(|| open.remove(0));
        open.push((id, Arc::clone(&slot)));
        drop(open);
        // closed without the lock, since that syncs
        drop(let_go);
        slot
    }

    /// Runs work on an account's database; a second time if it was damaged and had to be begun anew.
    fn run<T>(
        &self,
        account: &Path,
        mut work: impl FnMut(&mut Database) -> std::result::Result<T, Trouble>,
    ) -> Result<T> {
        let slot = self.slot(account);
        let mut slot = lock(&slot);
        if slot.retry_at.is_some_and(|retry_at| now() < retry_at) {
            return Err(Unavailable);
        }
        slot.retry_at = None;
        for is_last in [false, true] {
            let outcome = slot.database(&self.boot).and_then(&mut work);
            match outcome {
                Ok(value) => return Ok(value),
                Err(Trouble::Damaged(cause)) if !is_last && slot.begin_anew(&cause) => {}
                Err(Trouble::TooLate) => return Err(Unavailable),
                Err(trouble) => {
                    slot.close();
                    slot.retry_at = now().checked_add(RETRY_AFTER);
                    self.tell(&slot.path, &trouble);
                    return Err(Unavailable);
                }
            }
        }
        Err(Unavailable)
    }

    /// Tells of trouble, not too often.
    fn tell(&self, path: &Path, trouble: &Trouble) {
        let mut told = lock(&self.told);
        if told.is_some_and(|told| now().duration_since(told) < TELL_EVERY) {
            return;
        }
        *told = Some(now());
        tracing::warn!(
            path = ?path,
            cause = %trouble,
            advice = "mail is served without it; see who holds it, and the volume it lies on",
            "index_unavailable"
        );
    }
}

impl Slot {
    /// The database, opened if it is not, or not the one in its place any more.
    fn database(&mut self, boot: &str) -> std::result::Result<&mut Database, Trouble> {
        if let Some(open) = &self.database
            && identity(&self.path).is_none_or(|identity| identity != open.identity)
        {
            tracing::warn!(path = ?self.path, cause = "removed or replaced", "index_rebuilt");
            self.close();
        }
        match &mut self.database {
            Some(database) => Ok(database),
            closed => Ok(closed.insert(Database::open(&self.path, boot)?)),
        }
    }

    /// Closes the database without a word that it is in order.
    fn close(&mut self) {
        if let Some(mut database) = self.database.take() {
            database.is_dirty = false;
        }
    }

    /// Removes a database that is not to be believed; false if that cannot be done.
    fn begin_anew(&mut self, cause: &str) -> bool {
        self.close();
        for end in ["", "-journal", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(end);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(?path, %error, "index_not_removed");
                    return false;
                }
                Ok(()) | Err(_) => {}
            }
        }
        tracing::warn!(path = ?self.path, cause, "index_rebuilt");
        true
    }
}

impl Database {
    /// Opens the file, making it if it is missing.
    fn open(path: &Path, boot: &str) -> std::result::Result<Self, Trouble> {
        if let Some(directory) = path.parent() {
            make_directory(directory)?;
        }
        let mut options = fs::OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        let identity = identity(path)
            .ok_or_else(|| Trouble::Failed("removed while it was opened".to_owned()))?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        make_tables(&mut connection, identity.1)?;
        let (written_in, inode): (String, u64) =
            connection.query_row("SELECT boot, inode FROM about", [], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
        if inode != identity.1 {
            return Err(Trouble::Damaged("a copy of another one".to_owned()));
        }
        if !written_in.is_empty() && written_in != boot {
            let cause = "the machine stopped before it was closed";
            return Err(Trouble::Damaged(cause.to_owned()));
        }
        Ok(Self {
            connection,
            identity,
            is_dirty: false,
        })
    }

    /// Runs a change that no other process can be in the midst of.
    fn write<T>(
        &mut self,
        boot: &str,
        work: impl FnOnce(&Connection) -> std::result::Result<T, Trouble>,
    ) -> std::result::Result<T, Trouble> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = transaction.total_changes();
        let value = work(&transaction)?;
        if transaction.total_changes() == changes {
            return Ok(value);
        }
        let mut mark = transaction.prepare_cached("UPDATE about SET boot = ?1 WHERE boot <> ?1")?;
        mark.execute([boot])?;
        drop(mark);
        self.is_dirty = true;
        transaction.commit()?;
        Ok(value)
    }
}

impl Drop for Database {
    /// Has all on the disk, and says so.
    fn drop(&mut self) {
        if !self.is_dirty {
            return;
        }
        let closed = self
            .connection
            .pragma_update(None, "synchronous", "FULL")
            .and_then(|()| self.connection.execute("UPDATE about SET boot = ''", []));
        if let Err(error) = closed {
            tracing::debug!(%error, "index_not_closed_in_order");
        }
    }
}

/// Makes the tables of a new file.
fn make_tables(connection: &mut Connection, inode: u64) -> std::result::Result<(), Trouble> {
    let format = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))
    };
    if format(connection)? == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match format(&transaction)? {
        FORMAT => return Ok(()),
        0 => {}
        other => return Err(Trouble::Damaged(format!("format {other}"))),
    }
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO about (id, boot, inode) VALUES (0, '', ?1)",
        [inode.cast_signed()],
    )?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

impl Index for Databases {
    fn change(
        &self,
        account: &Path,
        key: &Key,
        known: Option<Version>,
        change: &mut Change<'_>,
    ) -> Result<Option<Version>> {
        let mut change = Some(change);
        self.run(account, |database| {
            database.write(&self.boot, |connection| {
                let state = read_state(connection, key)?;
                let (found, state) = find(connection, state, known)?;
                let wants_whole = state.as_ref().is_none_or(State::wants_whole);
                let record = match change.take() {
                    Some(change) => change(found, wants_whole),
                    None => return Err(Trouble::TooLate),
                };
                record_change(connection, key, state, record)
            })
        })
    }

    fn is_current(&self, account: &Path, key: &Key, known: Version) -> Result<bool> {
        self.run(account, |database| {
            let state = state_if_sound(&database.connection, key)?;
            Ok(state.is_some_and(|state| state.version == known))
        })
    }

    fn status(&self, account: &Path, key: &Key) -> Result<Option<(StatusNote, ModSeq)>> {
        self.run(account, |database| {
            let connection = &database.connection;
            let Some(state) = state_if_sound(connection, key)? else {
                return Ok(None);
            };
            let octets = blob(connection, "SELECT octets FROM status WHERE guid = ?1", key)?;
            let note = octets
                .and_then(|octets| StatusNote::read(&mut Reader::open(&octets, seed(&key.guid))?));
            Ok(note.map(|note| (note, state.highest_mod_seq)))
        })
    }

    fn note_status(&self, account: &Path, key: &Key, note: &StatusNote) -> Result<()> {
        let mut out = Writer::default();
        note.write(&mut out);
        let octets = out.sealed(seed(&key.guid));
        self.run(account, |database| {
            database.write(&self.boot, |connection| {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO status VALUES (?1, ?2)")?
                    .execute((key.guid, &octets))?;
                Ok(())
            })
        })
    }

    fn forget(&self, account: &Path, guid: &[u8; 16]) -> Result<()> {
        self.run(account, |database| {
            database.write(&self.boot, |connection| forget(connection, guid))
        })
    }
}

/// Removes all of a mailbox's rows.
fn forget(connection: &Connection, guid: &[u8; 16]) -> std::result::Result<(), Trouble> {
    for table in ["mailbox", "snapshot", "change", "status"] {
        connection.execute(&format!("DELETE FROM {table} WHERE guid = ?1"), [guid])?;
    }
    Ok(())
}

/// A mailbox's octets of one kind.
fn blob(connection: &Connection, statement: &str, key: &Key) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached(statement)?
        .query_row([key.guid], |row| row.get(0))
        .optional()
}

/// The state of a mailbox's record, if it is sound and of this very mailbox.
fn state_if_sound(connection: &Connection, key: &Key) -> rusqlite::Result<Option<State>> {
    let octets = blob(connection, "SELECT state FROM mailbox WHERE guid = ?1", key)?;
    Ok(octets
        .and_then(|octets| State::decode(&octets, key.guid))
        .filter(|state| state.key == *key))
}

/// As [`state_if_sound`]; a record that is damaged, or of another mailbox, is removed.
fn read_state(connection: &Connection, key: &Key) -> std::result::Result<Option<State>, Trouble> {
    let octets = blob(connection, "SELECT state FROM mailbox WHERE guid = ?1", key)?;
    let Some(octets) = octets else {
        return Ok(None);
    };
    match State::decode(&octets, key.guid) {
        Some(state) if state.key == *key => return Ok(Some(state)),
        Some(_) => tracing::debug!("index_of_another_mailbox"),
        None => tell_damage(connection),
    }
    forget(connection, &key.guid)?;
    Ok(None)
}

/// Tells that one mailbox's record is begun anew.
fn tell_damage(connection: &Connection) {
    tracing::warn!(path = ?connection.path(), cause = "a mailbox's record is damaged", "index_rebuilt");
}

/// What the record has for somebody who knows a version of it. A record that is damaged is removed.
fn find(
    connection: &Connection,
    state: Option<State>,
    known: Option<Version>,
) -> std::result::Result<(Found, Option<State>), Trouble> {
    let Some(state) = state else {
        return Ok((Found::Nothing, None));
    };
    if let Some(known) = known.filter(|known| known.generation >= state.snapshot)
        && let Some(missed) = deltas(connection, &state, known)?
    {
        return Ok((Found::Missed(missed), Some(state)));
    }
    if let Some(whole) = whole(connection, &state)? {
        return Ok((Found::Whole(Box::new(whole)), Some(state)));
    }
    tell_damage(connection);
    forget(connection, &state.key.guid)?;
    Ok((Found::Nothing, None))
}

/// The changes after a version; none if they do not lead to the state.
fn deltas(
    connection: &Connection,
    state: &State,
    mut known: Version,
) -> std::result::Result<Option<Vec<Delta>>, Trouble> {
    let mut deltas = Vec::new();
    if known == state.version {
        return Ok(Some(deltas));
    }
    let mut statement = connection.prepare_cached(
        "SELECT octets FROM change WHERE guid = ?1 AND generation > ?2 ORDER BY generation",
    )?;
    let mut rows = statement.query((state.key.guid, known.generation.cast_signed()))?;
    while let Some(row) = rows.next()? {
        let octets: Vec<u8> = row.get(0)?;
        let Some(delta) = decode_delta(&octets, known.sum) else {
            return Ok(None);
        };
        deltas.push(delta);
        known = known.after(&octets);
    }
    Ok((known == state.version).then_some(deltas))
}

/// The whole of a record; none if it is damaged.
fn whole(
    connection: &Connection,
    state: &State,
) -> std::result::Result<Option<Remembered>, Trouble> {
    let snapshot = blob(
        connection,
        "SELECT octets FROM snapshot WHERE guid = ?1",
        &state.key,
    )?;
    let Some(octets) = snapshot else {
        return Ok(None);
    };
    let Some(snapshot) = decode(&octets) else {
        return Ok(None);
    };
    let version = Version {
        generation: state.snapshot,
        sum: sum(NOTHING, &octets),
    };
    Ok(deltas(connection, state, version)?.map(|deltas| replay(snapshot, deltas)))
}

/// Writes what shall be remembered; returns the version that there is now.
fn record_change(
    connection: &Connection,
    key: &Key,
    state: Option<State>,
    record: Record,
) -> std::result::Result<Option<Version>, Trouble> {
    let state = match (record, state) {
        (Record::Nothing, state) => return Ok(state.map(|state| state.version)),
        // changes of what is not remembered are of no use
        (Record::Deltas(_), None) => return Ok(None),
        (Record::Deltas(deltas), Some(mut state)) => {
            let mut statement =
                connection.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3)")?;
            for delta in deltas {
                let octets = encode_delta(&delta, state.version.sum);
                state.add(&octets, delta.mod_seq);
                let generation = state.version.generation.cast_signed();
                statement.execute((key.guid, generation, &octets))?;
            }
            state
        }
        (Record::Whole(snapshot), state) => {
            let (octets, highest) = (snapshot.octets, snapshot.highest_mod_seq);
            connection
                .prepare_cached("INSERT OR REPLACE INTO snapshot VALUES (?1, ?2)")?
                .execute((key.guid, &octets))?;
            connection
                .prepare_cached("DELETE FROM change WHERE guid = ?1")?
                .execute([key.guid])?;
            State::of_snapshot(*key, state.as_ref(), &octets, highest)
        }
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO mailbox VALUES (?1, ?2)")?
        .execute((key.guid, state.encode()))?;
    Ok(Some(state.version))
}

/// Makes a directory for the owner alone.
fn make_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Device and inode of a file, if it is there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Takes a lock. What a panic left is whole: SQLite undoes a change that was not ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that only goes forward.
#[expect(
    clippy::disallowed_methods,
    reason = "what could not be used is tried again after a while"
)]
fn now() -> Instant {
    Instant::now()
}
