//! The file `dovecot-uidlist` of one mailbox: read as it grows, changed under Dovecot's lock.
//!
//! Readers take no lock. A file that only grew is read from where the last look ended; anything else is read whole. A line without its
//! end is left for the next look, since its writer may be in the middle of it. What a crash can leave: the old list or the new one,
//! and lines at the end that no client was told of.
//!
//! The first line is kept a second time, in `restante-uidlist-header`, so that damage of that one line does not take UIDVALIDITY away.

use super::uidlist::{Damage, Edit, NewRecord, Record, UidList};
use crate::durable::{self, DotLock, LockFile, Ownership};
use crate::mailbox::id::{Uid, UidValidity};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A lock that was not touched for so long is of a dead process; Dovecot's value.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// Name of the copy of the first line.
const HEADER_COPY: &str = "restante-uidlist-header";

/// Name of the file that is linked as the lock.
const LOCK_FILE: &str = "restante-uidlist-lock";

/// How many UIDs are passed over when the next UID is known from the copy of the header alone: more than are given between two times
/// that it is written, which is whenever the list is written anew.
const LOST_UIDS: u32 = 1_000_000;

/// What a look at the file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// There is none.
    Missing,
    /// It is as it was.
    Unchanged,
    /// Records were added to those known; the records from this position on are new.
    Grown {
        /// Position of the first new record.
        from: usize,
    },
    /// It is another file now, or the first look.
    Replaced,
}

/// Which file was read, and how it looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Device and inode.
    identity: (u64, u64),
    /// Octets.
    size: u64,
    /// Time of the last change, in seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    /// Of a file.
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// What must outlive damage of the first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// UIDVALIDITY.
    uid_validity: UidValidity,
    /// The mailbox's GUID.
    guid: Option<[u8; 16]>,
    /// Above all UIDs given out, as far as is known; none when there is none left.
    uid_next: Option<Uid>,
}

impl Known {
    /// What is in a list.
    fn of(list: &UidList) -> Self {
        Self {
            uid_validity: list.uid_validity(),
            guid: list.guid(),
            uid_next: list.uid_next(),
        }
    }

    /// From the copy of the header: UIDs may have been given out since it was made.
    fn of_copy(text: Vec<u8>) -> Option<Self> {
        let (list, damage) = UidList::parse(text, None)?;
        let next = |uid: Uid| Uid::new(uid.value().saturating_add(LOST_UIDS).min(Uid::MAX.value()));
        (!damage.any()).then(|| Self {
            uid_next: list.uid_next().and_then(next),
            ..Self::of(&list)
        })
    }
}

/// Longest first line that is read by itself.
const MAX_HEADER_OCTETS: u16 = 4096;

/// UIDVALIDITY and GUID of the mailbox in a directory, from the first line of its list; none if that is damaged.
///
/// # Errors
/// What the system says.
pub(super) fn header(directory: &Path) -> io::Result<Option<(UidValidity, Option<[u8; 16]>)>> {
    let mut text = Vec::with_capacity(MAX_HEADER_OCTETS.into());
    durable::open(&directory.join("dovecot-uidlist"))?
        .take(MAX_HEADER_OCTETS.into())
        .read_to_end(&mut text)?;
    let end = memchr::memchr(b'\n', &text).unwrap_or(0);
    text.truncate(end);
    if !UidList::has_header(&text) {
        return Ok(None);
    }
    let parsed = UidList::parse(text, None);
    Ok(parsed.map(|(list, _)| (list.uid_validity(), list.guid())))
}

/// The list of one mailbox: what was last read, and how to read on.
#[derive(Debug)]
pub(super) struct UidListFile {
    /// The file.
    path: PathBuf,
    /// What is linked as its lock.
    lock_file: LockFile,
    /// What was read, if there was one.
    list: Option<UidList>,
    /// How the file looked then.
    stamp: Option<Stamp>,
    /// What was known of the list before, for one whose header is damaged.
    known: Option<Known>,
    /// The copy of the header has been looked at.
    is_copied: bool,
    /// Damage was found that the next rewrite mends.
    damaged: bool,
}

impl UidListFile {
    /// For the mailbox in a directory; nothing is read yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join("dovecot-uidlist"),
            lock_file: LockFile::new(directory.join(LOCK_FILE)),
            list: None,
            stamp: None,
            known: None,
            is_copied: false,
            damaged: false,
        }
    }

    /// How the file looked when it was read, as octets; none if there was none.
    pub(super) fn stamp_octets(&self) -> Option<Vec<u8>> {
        let stamp = self.stamp?;
        let (device, inode) = stamp.identity;
        let (secs, nanos) = stamp.modified;
        let numbers = [
            device,
            inode,
            stamp.size,
            secs.cast_unsigned(),
            nanos.cast_unsigned(),
        ];
        Some(numbers.map(u64::to_le_bytes).concat())
    }

    /// The list as last read; none before the first look, or if there is none.
    pub(super) const fn list(&self) -> Option<&UidList> {
        self.list.as_ref()
    }

    /// True if Dovecot would write the list anew, given how many records are of files that are there.
    pub(super) fn wants_rewrite(&self, live: usize) -> bool {
        let Some(list) = self.list() else {
            return false;
        };
        let gone = list.len().saturating_sub(live);
        self.damaged || list.version() != 3 || (gone > 0 && gone.saturating_mul(4) >= list.len())
    }

    /// Reads what changed since the last look. Only what was added is read where that is all that changed. Damage is logged, once.
    ///
    /// # Errors
    /// What the system says; an unreadable file is an error, never an empty list.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        let about = std::fs::metadata(&self.path);
        if self.is_known(about.ok().filter(Metadata::is_file).as_ref()) {
            return Ok(Look::Unchanged);
        }
        self.look_closely()
    }

    /// True if this is the file that was read, and it looks as it did then.
    fn is_known(&self, about: Option<&Metadata>) -> bool {
        self.list.is_some() && self.stamp.is_some() && self.stamp == about.map(Stamp::of)
    }

    /// As [`UidListFile::look`], by opening the file: on a network file system that asks the server how it looks now.
    fn look_closely(&mut self) -> io::Result<Look> {
        let (mut file, about) = match durable::open_regular(&self.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.list, self.stamp) = (None, None);
                return Ok(Look::Missing);
            }
            Err(error) => return Err(error),
        };
        if self.is_known(Some(&about)) {
            return Ok(Look::Unchanged);
        }
        let stamp = Stamp::of(&about);
        if let Some(look) = self.read_on(&file, stamp)? {
            return Ok(look);
        }
        self.read_whole(&mut file, stamp)
    }

    /// Reads what was added, if the file is the one known and only longer.
    fn read_on(&mut self, file: &File, stamp: Stamp) -> io::Result<Option<Look>> {
        let (Some(list), Some(old)) = (&mut self.list, self.stamp) else {
            return Ok(None);
        };
        let known = list.octets();
        // no longer than before, but not as it was: written in place
        if old.identity != stamp.identity || stamp.size < known as u64 || stamp.size <= old.size {
            return Ok(None);
        }
        let overlap = list.last_octets().len();
        let mut first = vec![0; list.first_octets().len()];
        file.read_exact_at(&mut first, 0)?;
        let mut octets =
            vec![0; usize::try_from(stamp.size).unwrap_or(usize::MAX) - known + overlap];
        file.read_exact_at(&mut octets, (known - overlap) as u64)?;
        let (tail, added) = octets.split_at_checked(overlap).unwrap_or_default();
        if list.last_octets() != tail || list.first_octets() != first {
            return Ok(None);
        }
        let whole_lines = memchr::memrchr(b'\n', added).map_or(0, |at| at + 1);
        let from = list.len();
        let damage = list.extend(added.get(..whole_lines).unwrap_or_default());
        self.known = Some(Known::of(list));
        self.stamp = Some(stamp);
        if damage.any() {
            self.note_damage(&damage);
        }
        Ok(Some(if whole_lines == 0 {
            Look::Unchanged
        } else {
            Look::Grown { from }
        }))
    }

    /// Forgets the records that are only names, after all were compared with the files.
    pub(super) fn forget_plain(&mut self) {
        if let Some(list) = &mut self.list {
            list.forget_plain();
        }
    }

    /// Reads all of it again if records are missing in memory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remember_all(&mut self) -> io::Result<Look> {
        if self.list().is_some_and(|list| list.lacks(0)) {
            self.stamp = None;
        }
        self.look()
    }

    /// Reads all of it.
    fn read_whole(&mut self, file: &mut File, stamp: Stamp) -> io::Result<Look> {
        let mut text = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0));
        file.read_to_end(&mut text)?;
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1));
        let Some((list, damage)) = self.parse(text)? else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} has no readable UIDVALIDITY; put back a copy, or remove the file to have all messages downloaded anew",
                    self.path.display()
                ),
            ));
        };
        self.known = Some(Known::of(&list));
        self.list = Some(list);
        self.stamp = Some(stamp);
        self.damaged = false;
        if damage.any() {
            self.note_damage(&damage);
        }
        Ok(Look::Replaced)
    }

    /// Makes a list of the text, and of what is known besides where its header is damaged. The next UID never falls.
    fn parse(&self, text: Vec<u8>) -> io::Result<Option<(UidList, Damage)>> {
        let known = match self.known {
            None if !UidList::has_header(&text) => self.read_copy()?,
            known => known,
        };
        let Some((mut list, damage)) = UidList::parse(text, known.map(|known| known.uid_validity))
        else {
            return Ok(None);
        };
        if let Some(known) = known.filter(|known| known.uid_validity == list.uid_validity()) {
            list.raise_uid_next(known.uid_next.unwrap_or(Uid::MAX));
            if damage.header {
                list.restore_guid(known.guid);
            }
        }
        Ok(Some((list, damage)))
    }

    /// Reads the copy of the header; none if there is none that makes sense.
    fn read_copy(&self) -> io::Result<Option<Known>> {
        match durable::read(&self.path.with_file_name(HEADER_COPY)) {
            Ok(text) => Ok(Known::of_copy(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the header of the list a second time, if that is not done, in a file that `write` writes. Not being able to is no error: the
    /// list itself is sound.
    fn copy_header(
        &mut self,
        like: &Ownership,
        write: fn(&Path, &[u8], &Ownership) -> io::Result<()>,
    ) {
        if self.is_copied || self.damaged {
            return;
        }
        let Some(list) = &self.list else {
            return;
        };
        let path = self.path.with_file_name(HEADER_COPY);
        let kept = durable::read(&path).ok().and_then(Known::of_copy);
        let is_good = kept.is_some_and(|kept| {
            (kept.uid_validity, kept.guid) == (list.uid_validity(), list.guid())
                && kept.uid_next > list.uid_next()
        });
        if is_good {
            self.is_copied = true;
            return;
        }
        match write(&path, &list.print(|_| Edit::Drop), like) {
            Ok(()) => self.is_copied = true,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "uidlist_header_not_copied");
            }
        }
    }

    /// Logs damage and remembers that the list is to be written anew.
    fn note_damage(&mut self, damage: &Damage) {
        self.damaged = true;
        tracing::error!(
            path = %self.path.display(),
            lines = damage.lines,
            first_line = damage.first_line,
            header = damage.header,
            advice = "messages of the lines dropped get new UIDs; a copy is kept as dovecot-uidlist.damaged; look for a failing disk",
            "uidlist_damaged"
        );
    }

    /// Takes Dovecot's lock, and looks.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] and what the system says.
    pub(super) fn lock(
        &mut self,
        like: &Ownership,
        timeout: Duration,
    ) -> io::Result<LockedUidList<'_>> {
        let by = Some(&self.lock_file);
        let lock = DotLock::acquire_by(by, &self.path, like, timeout, STALE_AFTER)?;
        let mut look = self.look_closely()?;
        let end = self.list.as_ref().map_or(0, |list| list.octets() as u64);
        if self.stamp.is_some_and(|stamp| stamp.size > end) {
            // the last writer was cut off in the middle of a line: whatever UID it meant is not given again
            durable::append(&self.path, b"\n")?;
            look = match (look, self.look()?) {
                (Look::Unchanged, after) => after,
                (before, _) => before,
            };
        }
        self.copy_header(like, durable::replace);
        Ok(LockedUidList {
            file: self,
            look,
            lock,
            like: *like,
        })
    }
}

/// The list while we alone may change it. The lock is given back when it is dropped.
#[derive(Debug)]
pub(super) struct LockedUidList<'a> {
    /// The list.
    file: &'a mut UidListFile,
    /// What was found at first.
    look: Look,
    /// Dovecot's lock.
    lock: DotLock,
    /// Owner and mode of what is written.
    like: Ownership,
}

impl LockedUidList<'_> {
    /// What was found when the lock was taken.
    pub(super) const fn look(&self) -> &Look {
        &self.look
    }

    /// The list; none if there is none yet: then [`LockedUidList::create`] makes one.
    pub(super) const fn list(&self) -> Option<&UidList> {
        self.file.list()
    }

    /// Puts this list there, durably (a new one, or Courier's).
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn create(&mut self, list: &UidList) -> io::Result<()> {
        let mut list = list.clone();
        // one that was removed while the mailbox is open is made again from what is known, which is here
        if let Some(known) = self
            .file
            .known
            .filter(|known| known.uid_validity == list.uid_validity())
        {
            list.restore_guid(known.guid);
            list.raise_uid_next(known.uid_next.unwrap_or(Uid::MAX));
        }
        self.write(&list.print(|_| Edit::Keep))
    }

    /// Gives the list a GUID, durably, if it has none.
    ///
    /// # Errors
    /// As [`LockedUidList::rewrite`].
    pub(super) fn give_guid(&mut self, guid: [u8; 16]) -> io::Result<()> {
        self.file.remember_all()?;
        if let Some(list) = &mut self.file.list {
            list.restore_guid(Some(guid));
        }
        self.rewrite(|_| Edit::Keep)
    }

    /// The UIDs that [`LockedUidList::append`] gives, as far as there are any.
    pub(super) fn next_uids(&self) -> impl Iterator<Item = Uid> + use<> {
        let next = self.file.list().and_then(UidList::uid_next);
        std::iter::successors(next, |uid| uid.next())
    }

    /// Gives the next UIDs to files in this order: durable when it returns. The records are at the end of the list.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no list, [`io::ErrorKind::QuotaExceeded`] if no UID is left, and what the system says; then
    /// no UID was given.
    pub(super) fn append<'a>(
        &mut self,
        records: impl IntoIterator<Item = NewRecord<'a>, IntoIter: ExactSizeIterator>,
    ) -> io::Result<Vec<Uid>> {
        self.append_with(records, |list| list.sync_data())
    }

    /// As [`LockedUidList::append`], where `sync` makes what was added to the file durable, and whatever else has to be.
    ///
    /// # Errors
    /// As [`LockedUidList::append`], and what `sync` says.
    pub(super) fn append_with<'a>(
        &mut self,
        records: impl IntoIterator<Item = NewRecord<'a>, IntoIter: ExactSizeIterator>,
        sync: impl FnOnce(&Arc<File>) -> io::Result<()>,
    ) -> io::Result<Vec<Uid>> {
        let list = self.file.list.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if list.version() != 3 {
            self.rewrite(|_| Edit::Keep)?;
        }
        self.lock.touch()?;
        let list = self.file.list.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let known = list.octets() as u64;
        let added = list.add(records).ok_or(io::ErrorKind::QuotaExceeded)?;
        let lines = list.lines_of(&added);
        let appended = durable::append_with(&self.file.path, lines, sync);
        let is_ours = appended.as_ref().is_ok_and(|appended| {
            self.file.stamp == Some(Stamp::of(&appended.before))
                && appended.before.len() == known
                && appended.after.len() == known + lines.len() as u64
        });
        if !is_ours {
            list.take_back(&added);
        }
        let appended = appended?;
        if is_ours {
            self.file.known = Some(Known::of(list));
            self.file.stamp = Some(Stamp::of(&appended.after));
            return Ok(added.uids);
        }
        self.file.look()?;
        let list = self.file.list();
        if list.is_some_and(|list| list.has_row(&added.uids)) {
            Ok(added.uids)
        } else {
            Err(io::Error::other(
                "another program changed the UID list without its lock",
            ))
        }
    }

    /// True if the list should be written anew: [`UidListFile::wants_rewrite`].
    pub(super) fn wants_rewrite(&self, live: usize) -> bool {
        self.file.wants_rewrite(live)
    }

    /// Writes the list anew, durably.
    ///
    /// # Errors
    /// What the system says; then the old list is as it was.
    pub(super) fn rewrite(&mut self, edit: impl FnMut(&Record<'_>) -> Edit) -> io::Result<()> {
        self.file.remember_all()?;
        let list = self.file.list.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if list.lacks(0) {
            return Err(io::Error::other("not all records are in memory"));
        }
        let text = list.print(edit);
        if self.file.damaged {
            let damaged = durable::read(&self.file.path)?;
            durable::replace(
                &self.file.path.with_extension("damaged"),
                &damaged,
                &self.like,
            )?;
        }
        self.write(&text)
    }

    /// Replaces the file and reads it again. One sync of the directory makes the list and the copy of its header durable.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.lock.touch()?;
        durable::put(&self.file.path, text, &self.like)?;
        let look = self.file.look();
        if look.is_ok() {
            self.file.is_copied = false;
            self.file.copy_header(&self.like, durable::put);
        }
        durable::sync_dir(self.file.path.parent().unwrap_or_else(|| Path::new(".")))?;
        look.map(drop)
    }
}

#[cfg(test)]
#[path = "uidlist_file_tests.rs"]
mod tests;
