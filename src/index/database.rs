//! One account's database, open: records of its mailboxes, read and changed in turns with other processes.
//!
//! Changes are committed together: the first one begins a *turn*, in which no other process can make one, and which ends
//! [`TURN`] later, or earlier when much is to be written. What a turn has not committed yet is in memory only. Whoever kills the
//! process loses it, as a power cut loses what was not synced: the next look at the mailbox finds what changed and counts it anew, above
//! all that was told.
//! Who reads takes a turn too, so that nobody hears less than was told by another process before.

use super::codec::{NOTHING, decode, decode_delta, encode_delta, open_wide, replay, sum};
use super::record::{State, seed_of};
use super::run::{THIS, Writer};
use super::{Delta, Found, Key, Record, Version, notes};
use crate::mailbox::notes::{Kind, Page, PageId, PageNumber};
use crate::mailbox::remembered::Remembered;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long other processes may have to wait for a turn of this one.
pub(super) const TURN: Duration = Duration::from_millis(20);

/// Octets of changes after which a turn ends early.
const TURN_OCTETS: usize = 512 << 10;

/// The tables.
const SCHEMA: &str = include_str!("schema.sql");

/// `user_version` of databases with these tables. Another one is begun anew.
const FORMAT: i32 = 3;

/// The same of those that lack only tables.
const FORMAT_WITHOUT_NAMES: i32 = 2;

/// How long to wait for another process's change.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Memory for pages of one database, in KiB.
const CACHE_KIB: i32 = 256;

/// What is told of a mailbox whose record cannot be read.
const DAMAGED_RECORD: &str = "a mailbox's record is damaged";

/// Why a database did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
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

/// What comes of asking a database.
type Outcome<T> = Result<T, Trouble>;

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    /// Device and inode.
    identity: (u64, u64),
    /// It was written to.
    is_dirty: bool,
    turn: Option<Turn>,
    /// Changes were not committed.
    has_lost: bool,
    /// If the process that wrote it last may have been killed in its turn: mailboxes that have been looked at since.
    in_doubt: Option<BTreeSet<[u8; 16]>>,
    /// Work is under way; if it is when other work begins, it has panicked.
    is_at_work: bool,
}

/// Changes that are not committed yet.
#[derive(Debug)]
struct Turn {
    /// When it is to end.
    end: Instant,
    /// Something is to be committed.
    is_changed: bool,
    /// States of mailboxes, as nobody else can change them now.
    states: Vec<Known>,
    /// Changes that are not written yet.
    rows: Vec<Row>,
    /// Octets of them.
    octets: usize,
}

/// What is known of a mailbox's state during a turn.
#[derive(Debug)]
struct Known {
    guid: [u8; 16],
    state: Option<State>,
    /// It is not written yet.
    is_changed: bool,
}

/// A change that is not written yet.
#[derive(Debug)]
struct Row {
    guid: [u8; 16],
    generation: u64,
    octets: Vec<u8>,
}

impl Turn {
    /// True if it is to end now, so that committing does not take long.
    const fn is_long(&self) -> bool {
        self.octets > TURN_OCTETS
    }
}

impl Database {
    /// Opens the file, making it if it is missing.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
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
        let writer = (!written_in.is_empty()).then(|| THIS.writer(&written_in));
        if writer == Some(Writer::Past) {
            let cause = "the machine stopped before it was closed";
            return Err(Trouble::Damaged(cause.to_owned()));
        }
        Ok(Self {
            connection,
            identity,
            is_dirty: false,
            turn: None,
            has_lost: false,
            in_doubt: (writer == Some(Writer::Killed)).then(BTreeSet::new),
            is_at_work: false,
        })
    }

    /// True if it is what stands at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        identity(path) == Some(self.identity)
    }

    /// True if what a killed process told of some of its mailboxes may be missing.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.in_doubt.is_some()
    }

    /// Closes it for now; true if it is to be closed in order later, by whoever [wakes](Self::wake) it.
    pub(super) fn rest(mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    /// It rested: to be closed in order, though nothing was changed since.
    pub(super) const fn wake(&mut self) {
        self.is_dirty = true;
    }

    /// Leaves it without a word that it is in order.
    pub(super) fn abandon(mut self) {
        self.turn = None;
        self.is_dirty = false;
    }

    /// When the turn is to end; none if there is none.
    pub(super) fn turn_ends(&self) -> Option<Instant> {
        self.turn.as_ref().map(|turn| turn.end)
    }

    /// Runs a change that no other process can be in the midst of.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.is_at_work {
            self.take_back();
            if self.has_lost {
                return Err(Trouble::Damaged("a change was not ended".to_owned()));
            }
        }
        if self.turn.is_none() {
            self.begin()?;
        }
        self.is_at_work = true;
        let outcome = work(self);
        self.is_at_work = false;
        let turn = self.turn.as_ref();
        if outcome.is_err() || !turn.is_some_and(|turn| turn.is_changed) {
            self.take_back();
        } else if turn.is_some_and(Turn::is_long) {
            self.commit()?;
        }
        outcome
    }

    /// Begins a turn.
    fn begin(&mut self) -> Outcome<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let now = super::now();
        self.turn = Some(Turn {
            end: now.checked_add(TURN).unwrap_or(now),
            is_changed: false,
            states: Vec::new(),
            rows: Vec::new(),
            octets: 0,
        });
        Ok(())
    }

    /// Ends a turn, and nothing of it was.
    fn take_back(&mut self) {
        self.is_at_work = false;
        let Some(turn) = self.turn.take() else {
            return;
        };
        self.has_lost |= turn.is_changed;
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            // SQLite did it already where it had to
            tracing::debug!(%error, "index_not_rolled_back");
        }
    }

    /// True if changes were lost that clients may have been told of. Nothing here is to be believed then, as others would give the same
    /// mod-sequences again.
    pub(super) const fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// Ends the turn: what was changed is there for all to see.
    pub(super) fn commit(&mut self) -> Outcome<()> {
        if !self.turn.as_ref().is_some_and(|turn| turn.is_changed) {
            self.take_back();
            return Ok(());
        }
        let committed = self.flush().and_then(|()| {
            let mut mark = self
                .connection
                .prepare_cached("UPDATE about SET boot = ?1 WHERE boot <> ?1")?;
            mark.execute([THIS.to_string()])?;
            drop(mark);
            Ok(self.connection.execute_batch("COMMIT")?)
        });
        if committed.is_err() {
            self.take_back();
        }
        self.turn = None;
        self.is_dirty = true;
        committed
    }

    /// Writes what is in memory only, so that statements see it.
    fn flush(&mut self) -> Outcome<()> {
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3)")?;
        for row in turn.rows.drain(..) {
            insert.execute((row.guid, row.generation.cast_signed(), row.octets))?;
        }
        let mut replace = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO mailbox VALUES (?1, ?2)")?;
        for known in turn.states.iter_mut().filter(|known| known.is_changed) {
            if let Some(state) = &known.state {
                replace.execute((known.guid, state.encode()))?;
            }
            known.is_changed = false;
        }
        Ok(())
    }

    /// What a mailbox's state is known to be in this turn.
    fn known(&mut self, guid: &[u8; 16]) -> Option<&mut Known> {
        let turn = self.turn.as_mut()?;
        turn.states.iter_mut().find(|known| known.guid == *guid)
    }

    /// Notes a mailbox's state for the rest of the turn.
    fn note(&mut self, guid: [u8; 16], state: Option<State>, is_changed: bool) {
        if let Some(known) = self.known(&guid) {
            known.state = state;
            known.is_changed |= is_changed;
        } else if let Some(turn) = &mut self.turn {
            turn.states.push(Known {
                guid,
                state,
                is_changed,
            });
        }
        self.is_changed(is_changed);
    }

    /// Something is to be committed.
    fn is_changed(&mut self, is_changed: bool) {
        if let Some(turn) = &mut self.turn {
            turn.is_changed |= is_changed;
        }
    }

    /// The state of a mailbox's record, during a change. A record that is damaged, or of another mailbox, is removed.
    pub(super) fn state(&mut self, key: &Key) -> Outcome<Option<State>> {
        let state = match self.known(&key.guid) {
            Some(known) => known.state,
            None => {
                let octets = self.blob("SELECT state FROM mailbox WHERE guid = ?1", key)?;
                let Some(octets) = octets else {
                    self.note(key.guid, None, false);
                    return Ok(None);
                };
                let state = State::decode(&octets, key.guid);
                if state.is_none() {
                    self.tell_damage(DAMAGED_RECORD);
                    self.forget(&key.guid)?;
                }
                state
            }
        };
        if state.is_some_and(|state| state.key != *key) {
            tracing::debug!("index_of_another_mailbox");
            self.forget(&key.guid)?;
            return Ok(None);
        }
        self.note(key.guid, state, false);
        Ok(state)
    }

    /// What the record has for somebody who knows a version of it. A record that is damaged is removed.
    pub(super) fn find(&mut self, key: &Key, known: Option<Version>) -> Outcome<Found> {
        let Some(state) = self.state(key)? else {
            return Ok(Found::Nothing);
        };
        if known == Some(state.version) {
            return Ok(Found::Missed(Vec::new()));
        }
        self.flush()?;
        if let Some(known) = known.filter(|known| known.generation >= state.snapshot)
            && let Some(missed) = self.deltas(&state, known)?
        {
            return Ok(Found::Missed(missed));
        }
        if let Some(mut whole) = self.whole(&state)? {
            whole.may_lack = known.is_none()
                && (self.in_doubt.as_mut()).is_some_and(|looked_at| looked_at.insert(key.guid));
            return Ok(Found::Whole(Box::new(whole)));
        }
        self.tell_damage(DAMAGED_RECORD);
        self.forget(&key.guid)?;
        Ok(Found::Nothing)
    }

    /// Takes up what shall be remembered; returns the version that there is now.
    pub(super) fn record(&mut self, key: &Key, record: Record) -> Outcome<Option<Version>> {
        let before = self.state(key)?;
        let state = match (record, before) {
            (Record::Nothing, state) => return Ok(state.map(|state| state.version)),
            // changes of what is not remembered are of no use
            (Record::Deltas(_), None) => return Ok(None),
            (Record::Deltas(deltas), Some(state)) => self.add(state, &deltas),
            (Record::Whole(snapshot), state) => {
                let (octets, highest) = (snapshot.octets, snapshot.highest_mod_seq);
                if let Some(turn) = &mut self.turn {
                    turn.rows.retain(|row| row.guid != key.guid);
                    turn.octets = turn.octets.saturating_add(octets.len());
                }
                self.connection
                    .prepare_cached("INSERT OR REPLACE INTO snapshot VALUES (?1, ?2)")?
                    .execute((key.guid, &octets))?;
                self.connection
                    .prepare_cached("DELETE FROM change WHERE guid = ?1")?
                    .execute([key.guid])?;
                self.drop_pages_beside(&key.guid, &snapshot.pages)?;
                State::of_snapshot(*key, state.as_ref(), &octets, highest)
            }
        };
        self.note(key.guid, Some(state), true);
        Ok(Some(state.version))
    }

    /// Adds changes to a record.
    fn add(&mut self, mut state: State, deltas: &[Delta]) -> State {
        let Some(turn) = &mut self.turn else {
            return state;
        };
        for delta in deltas {
            let octets = encode_delta(delta, state.version.sum);
            state.add(&octets, delta.mod_seq);
            turn.octets = turn.octets.saturating_add(octets.len());
            turn.rows.push(Row {
                guid: state.key.guid,
                generation: state.version.generation,
                octets,
            });
        }
        state
    }

    /// What is noted for STATUS.
    pub(super) fn status(&self, key: &Key) -> Outcome<Option<Vec<u8>>> {
        self.blob("SELECT octets FROM status WHERE guid = ?1", key)
    }

    /// Notes something for STATUS.
    pub(super) fn set_status(&mut self, key: &Key, octets: &[u8]) -> Outcome<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO status VALUES (?1, ?2)")?
            .execute((key.guid, octets))?;
        self.is_changed(true);
        Ok(())
    }

    /// Which file holds which message, as it was kept of this state of the disk.
    pub(super) fn names(&self, key: &Key, disk: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let octets = self
            .connection
            .prepare_cached("SELECT octets FROM names WHERE guid = ?1 AND disk = ?2")?
            .query_row((key.guid, disk), |row| row.get(0))
            .optional()?;
        let Some(mut octets): Option<Vec<u8>> = octets else {
            return Ok(None);
        };
        let is_whole = open_wide(&mut octets, seed_of(key));
        if !is_whole {
            self.tell_damage("the names of a mailbox's files are damaged");
        }
        Ok(is_whole.then_some(octets))
    }

    /// Keeps which file holds which message, if the mailbox has a record.
    pub(super) fn set_names(&mut self, key: &Key, disk: &[u8], octets: &[u8]) -> Outcome<()> {
        if self.state(key)?.is_none() {
            return Ok(());
        }
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3)")?
            .execute((key.guid, disk, octets))?;
        if let Some(turn) = &mut self.turn {
            turn.octets = turn.octets.saturating_add(octets.len());
        }
        self.is_changed(true);
        Ok(())
    }

    /// Removes all of a mailbox's rows.
    pub(super) fn forget(&mut self, guid: &[u8; 16]) -> Outcome<()> {
        if let Some(turn) = &mut self.turn {
            turn.rows.retain(|row| row.guid != *guid);
        }
        for table in ["mailbox", "snapshot", "change", "status", "page", "names"] {
            self.connection
                .execute(&format!("DELETE FROM {table} WHERE guid = ?1"), [guid])?;
        }
        self.note(*guid, None, true);
        Ok(())
    }

    /// Which pages of notes there are.
    pub(super) fn page_ids(&self, key: &Key) -> Outcome<Vec<PageId>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT kind, number FROM page WHERE guid = ?1")?;
        let ids = select.query_map([key.guid], |row| {
            let kind = Kind::of_code(row.get(0)?);
            Ok(kind.zip(row.get(1).map(PageNumber::new).map(Some)?))
        })?;
        Ok(ids
            .filter_map(rusqlite::Result::transpose)
            .collect::<rusqlite::Result<_>>()?)
    }

    /// Pages of notes, in the order in which they are named. What is damaged is removed.
    pub(super) fn pages(&mut self, key: &Key, pages: &[PageId]) -> Outcome<Vec<Option<Page>>> {
        let mut damaged = Vec::new();
        let mut found = Vec::with_capacity(pages.len());
        for (id, page) in pages.iter().zip(self.read_pages(key, pages)?) {
            found.push(page.unwrap_or_else(|notes::Damaged| {
                damaged.push(*id);
                None
            }));
        }
        if !damaged.is_empty() {
            self.write(|database| database.drop_damaged(key, &damaged))?;
        }
        Ok(found)
    }

    /// Reads pages of notes.
    fn read_pages(
        &self,
        key: &Key,
        pages: &[PageId],
    ) -> Outcome<Vec<Result<Option<Page>, notes::Damaged>>> {
        let transaction = match &self.turn {
            Some(_) => None,
            None => Some(self.connection.unchecked_transaction()?),
        };
        let mut select = self.connection.prepare_cached(
            "SELECT octets FROM page WHERE guid = ?1 AND number = ?2 AND kind = ?3",
        )?;
        let mut found = Vec::with_capacity(pages.len());
        for (kind, number) in pages {
            let page = select
                .query_row((key.guid, number.value(), kind.code()), |row| {
                    let octets = row.get_ref(0)?.as_blob()?;
                    Ok(notes::decode(key, *kind, *number, octets))
                })
                .optional()?;
            found.push(page.unwrap_or(Ok(None)));
        }
        drop(select);
        if let Some(transaction) = transaction {
            transaction.finish()?;
        }
        Ok(found)
    }

    /// Removes pages of notes that are damaged, and tells; pages of another mailbox stay.
    fn drop_damaged(&mut self, key: &Key, pages: &[PageId]) -> Outcome<()> {
        let state = match self.known(&key.guid) {
            Some(known) => known.state,
            None => self
                .blob("SELECT state FROM mailbox WHERE guid = ?1", key)?
                .and_then(|octets| State::decode(&octets, key.guid)),
        };
        if state.is_none_or(|state| state.key != *key) {
            return Ok(());
        }
        self.tell_damage("notes about messages are damaged");
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM page WHERE guid = ?1 AND number = ?2 AND kind = ?3")?;
        for (kind, number) in pages {
            delete.execute((key.guid, number.value(), kind.code()))?;
        }
        drop(delete);
        self.is_changed(true);
        Ok(())
    }

    /// Writes pages of notes, if the mailbox has a record.
    pub(super) fn set_pages(&mut self, key: &Key, pages: &[(PageId, Arc<Page>)]) -> Outcome<()> {
        if self.state(key)?.is_none() {
            return Ok(());
        }
        let mut replace = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO page VALUES (?1, ?2, ?3, ?4)")?;
        let mut written = 0;
        for ((kind, number), page) in pages {
            let octets = notes::encode(key, *kind, *number, page);
            replace.execute((key.guid, number.value(), kind.code(), &octets))?;
            written += octets.len();
        }
        drop(replace);
        if let Some(turn) = &mut self.turn {
            turn.octets = turn.octets.saturating_add(written);
        }
        self.is_changed(true);
        Ok(())
    }

    /// Removes pages of notes but those with these numbers, which rise.
    fn drop_pages_beside(&self, guid: &[u8; 16], numbers: &[RangeInclusive<u32>]) -> Outcome<()> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM page WHERE guid = ?1 AND number BETWEEN ?2 AND ?3")?;
        let mut next = 0;
        for range in numbers {
            if next < *range.start() {
                delete.execute((guid, next, range.start() - 1))?;
            }
            next = range.end().saturating_add(1);
        }
        delete.execute((guid, next, u32::MAX))?;
        Ok(())
    }

    /// A mailbox's octets of one kind.
    fn blob(&self, statement: &str, key: &Key) -> Outcome<Option<Vec<u8>>> {
        let octets = self
            .connection
            .prepare_cached(statement)?
            .query_row([key.guid], |row| row.get(0))
            .optional()?;
        Ok(octets)
    }

    /// Tells that a part of one mailbox's record is begun anew.
    fn tell_damage(&self, cause: &'static str) {
        tracing::warn!(path = ?self.connection.path(), cause, "index_rebuilt");
    }

    /// The changes after a version; none if they do not lead to the state.
    fn deltas(&self, state: &State, mut known: Version) -> Outcome<Option<Vec<Delta>>> {
        let mut deltas = Vec::new();
        if known == state.version {
            return Ok(Some(deltas));
        }
        let mut statement = self.connection.prepare_cached(
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
    fn whole(&self, state: &State) -> Outcome<Option<Remembered>> {
        let snapshot = self.blob("SELECT octets FROM snapshot WHERE guid = ?1", &state.key)?;
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
        Ok(self
            .deltas(state, version)?
            .map(|deltas| replay(snapshot, deltas)))
    }
}

impl Drop for Database {
    /// Has all on the disk, and says so.
    fn drop(&mut self) {
        if self.is_at_work {
            self.take_back();
        }
        if let Err(error) = self.commit() {
            tracing::debug!(%error, "index_not_committed");
        }
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
fn make_tables(connection: &mut Connection, inode: u64) -> Outcome<()> {
    let format = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))
    };
    if format(connection)? == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match format(&transaction)? {
        FORMAT => return Ok(()),
        0 | FORMAT_WITHOUT_NAMES => {}
        other => return Err(Trouble::Damaged(format!("format {other}"))),
    }
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT OR IGNORE INTO about (id, boot, inode) VALUES (0, '', ?1)",
        [inode.cast_signed()],
    )?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// Makes a directory for the owner alone.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
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
