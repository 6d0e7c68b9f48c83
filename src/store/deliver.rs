//! Taking in messages: to `tmp/` as they come, then all or none into the mailbox.
//!
//! Order, and what a crash leaves at each point:
//!
//! 1. The file is written to `tmp/`, and all files of one command are synced: a crash leaves a file in `tmp/`, swept when it is 36 hours
//!    old.
//! 2. With the UID list locked, the files are renamed into `new/` (no flags: others see them as new mail) or `cur/`: a crash leaves
//!    messages without UID, which get one at the next look. Nobody was told that they are there.
//! 3. Their UIDs are written to the list, which is synced together with the directories: a crash leaves records without files, whose UIDs are
//!    not given again, or messages without UID.
//! 4. From here on they are delivered, and shown to connections.
//!
//! What fails before 4 is undone.

use super::compressed::{FIRST_OCTETS, Form};
use super::failure::{failed, noted};
use super::filename::with_sizes;
use super::files::NewFile;
use super::flags::without_letters;
use super::keywords::LETTERS;
use super::object_ids;
use super::open_mailbox::{Disk, OpenMailbox};
use super::spool::{Place, Spool, move_file};
use super::uidlist::NewRecord;
use super::uidlist_file::{LockedUidList, Look};
use super::waiters::Job;
use super::{clock, filename};
use crate::durable;
use crate::mailbox::backend::{Error, Placed, Result, Upload};
use crate::mailbox::flag::{Flags, MAX_KEYWORDS, NamedFlags};
use crate::mailbox::id::Uid;
use crate::message::lines::CrlfState;
use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Octets gathered before they are written.
const BUFFER_OCTETS: usize = 65_536;

/// A whole message in `tmp/` of the mailbox to which it shall go. Removed when dropped, unless it went there.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Its file; none once it was placed.
    pub(super) path: Option<PathBuf>,
    /// Base name that it will have.
    pub(super) base: String,
    /// Flags that it will have.
    pub(super) flags: NamedFlags,
    /// Octets with CRLF, if known for sure.
    pub(super) crlf_octets: Option<u64>,
    /// What named its octets where they came from; none for octets that are new.
    pub(super) guid: Option<Vec<u8>>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            discard(&path);
        }
    }
}

/// Removes a file that is not wanted any more.
fn discard(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            noted("remove an unfinished message", path, &error);
        }
        Ok(()) | Err(_) => {}
    }
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct MaildirUpload {
    mailbox: Arc<OpenMailbox>,
    unique: String,
    path: PathBuf,
    file: Arc<File>,
    buffer: Vec<u8>,
    /// A CR at the end of what was written, held back until it is known what follows.
    has_cr: bool,
    /// The octet before it.
    previous: u8,
    /// The first octets, which tell whether the message looks like a compressed file.
    first: Vec<u8>,
    stored_octets: u64,
    wire: CrlfState,
    /// Set by `finish`.
    incoming: Option<Incoming>,
}

impl MaildirUpload {
    /// Begins a message for a mailbox.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoPermission`], [`Error::Unavailable`]
    pub(super) fn begin(mailbox: Arc<OpenMailbox>) -> Result<Self> {
        let like = mailbox.disk()?.like;
        let store = &mailbox.account.store;
        let unique = store.names.unique(clock::since_epoch(clock::now()));
        let spool = mailbox.spool();
        let path = spool.tmp().join(&unique);
        let file = match durable::create_new(&path, &like) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (spool.complete(&like)).and_then(|()| durable::create_new(&path, &like))
            }
            outcome => outcome,
        };
        let file = file.map_err(|error| failed("begin a message", &path, &error))?;
        Ok(Self {
            mailbox,
            unique,
            path,
            file: Arc::new(file),
            buffer: Vec::with_capacity(BUFFER_OCTETS),
            has_cr: false,
            previous: 0,
            first: Vec::new(),
            stored_octets: 0,
            wire: CrlfState::default(),
            incoming: None,
        })
    }

    /// Adds octets, sooner or later to the file.
    fn put(&mut self, octets: &[u8]) -> Result<()> {
        let Some(last) = octets.last() else {
            return Ok(());
        };
        self.previous = *last;
        if self.buffer.len() + octets.len() > BUFFER_OCTETS {
            self.flush()?;
        }
        if octets.len() >= BUFFER_OCTETS {
            return self.store(octets);
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.store(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    /// Adds octets to the file.
    fn store(&mut self, octets: &[u8]) -> Result<()> {
        let missing = FIRST_OCTETS.saturating_sub(self.first.len());
        self.first.extend(octets.iter().take(missing));
        self.stored_octets += octets.len() as u64;
        self.wire.feed(octets);
        self.file
            .write_all(octets)
            .map_err(|error| failed("write a message", &self.path, &error))
    }

    /// Gives the file its date.
    fn date(&self, internal_date: Option<i64>) -> io::Result<()> {
        match internal_date.and_then(clock::from_unix) {
            Some(date) => self.file.set_times(FileTimes::new().set_modified(date)),
            None => Ok(()),
        }
    }
}

impl Upload for MaildirUpload {
    /// Line ends are stored as LF, as MTAs do. A CRLF after a CR stays as it is, so that the octets that are read are those that came.
    fn write(&mut self, octets: &[u8]) -> Result<()> {
        let mut rest = octets;
        while !rest.is_empty() {
            if self.has_cr {
                self.has_cr = false;
                if rest.first() != Some(&b'\n') || self.previous == b'\r' {
                    self.put(b"\r")?;
                }
            }
            let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(end);
            self.put(plain)?;
            self.has_cr = !after.is_empty();
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, flags: &NamedFlags, internal_date: Option<i64>) -> Result<()> {
        if flags.keywords.len() > MAX_KEYWORDS {
            return Err(Error::Limit("too many keywords".to_owned()));
        }
        if std::mem::take(&mut self.has_cr) {
            self.put(b"\r")?;
        }
        self.flush()?;
        self.buffer = Vec::new();
        if Form::of(&self.first) != Form::Plain {
            let text =
                "what begins as a compressed or encrypted file cannot be stored as a message";
            return Err(Error::Cannot(text.to_owned()));
        }
        self.date(internal_date)
            .map_err(|error| failed("date a message", &self.path, &error))?;
        self.incoming = Some(Incoming {
            path: Some(self.path.clone()),
            base: with_sizes(&self.unique, self.stored_octets, self.wire.octets()),
            flags: flags.clone(),
            crlf_octets: Some(self.wire.octets()),
            guid: None,
        });
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl Drop for MaildirUpload {
    fn drop(&mut self) {
        if self.incoming.is_none() && !self.path.as_os_str().is_empty() {
            discard(&self.path);
        }
    }
}

/// Puts uploads into the mailbox for which they were begun.
///
/// # Errors
/// As [`OpenMailbox::place_all`].
pub(super) fn deliver(target: &OpenMailbox, uploads: Vec<Box<dyn Upload>>) -> Result<Placed> {
    let uploads: Vec<Box<MaildirUpload>> = uploads
        .into_iter()
        .map(|upload| upload.into_any().downcast().map_err(drop))
        .collect::<std::result::Result<_, ()>>()
        .or(Err(Error::Unavailable))?;
    let is_elsewhere = |mailbox| !std::ptr::eq(Arc::as_ptr(mailbox), target);
    if uploads.iter().any(|upload| is_elsewhere(&upload.mailbox)) {
        return Err(Error::NonExistent);
    }
    let syncs = uploads.iter().map(|upload| -> Job<io::Result<()>> {
        let file = Arc::clone(&upload.file);
        Box::new(move || file.sync_all())
    });
    let waiters = &target.account.store.waiters;
    let synced = waiters.sync(syncs.collect(), &target.sync_pace);
    let synced: io::Result<()> = synced.into_iter().collect();
    synced.map_err(|error| failed("sync messages", target.spool().tmp(), &error))?;
    let mut incoming = Vec::with_capacity(uploads.len());
    for mut upload in uploads {
        let finished = upload.incoming.take().ok_or(Error::Unavailable)?;
        // the file belongs to `finished` now
        upload.path = PathBuf::new();
        incoming.push(finished);
    }
    target.place_all(incoming)
}

/// A message that was put into a mailbox and has no UID yet.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Its directory.
    pub(super) place: Place,
    /// Name of its file.
    pub(super) name: Vec<u8>,
    /// Octets of its base name.
    pub(super) base_octets: usize,
    /// Its flags, as positions on disk.
    pub(super) flags: Flags,
    /// Octets with CRLF, if known for sure.
    pub(super) crlf_octets: Option<u64>,
    /// What named its octets where they came from; none for octets that are new.
    pub(super) guid: Option<Vec<u8>>,
}

impl Arrival {
    /// For a base name with flags (positions on disk): what its file will be called.
    pub(super) fn new(disk: &Disk, base: &str, flags: Flags, crlf_octets: Option<u64>) -> Self {
        let has_letters =
            !flags.system().is_empty() || flags.keyword_indexes().any(|at| at < LETTERS);
        let name = match filename::FileName::parse(base.as_bytes()) {
            Some(parsed) if has_letters => parsed.with_flags(flags, disk.keywords.table()),
            _ => base.as_bytes().to_vec(),
        };
        Self {
            place: if has_letters { Place::Cur } else { Place::New },
            name,
            base_octets: base.len(),
            flags,
            crlf_octets,
            guid: None,
        }
    }

    /// With the name of its octets.
    pub(super) fn named(self, guid: Option<Vec<u8>>) -> Self {
        Self { guid, ..self }
    }

    /// The base name.
    pub(super) fn base(&self) -> &[u8] {
        self.name.get(..self.base_octets).unwrap_or(&self.name)
    }
}

impl OpenMailbox {
    /// Puts whole messages into this mailbox: all or none, durable when this returns.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::NoSpace`], [`Error::NoPermission`], [`Error::Limit`], [`Error::Unavailable`]
    pub(super) fn place_all(&self, mut incoming: Vec<Incoming>) -> Result<Placed> {
        let mut disk = self.disk()?;
        let disk = &mut *disk;
        let sets: Vec<&NamedFlags> = incoming.iter().map(|one| &one.flags).collect();
        let flags = self.disk_flags(disk, &sets)?;
        let arrivals: Vec<Arrival> = incoming
            .iter()
            .zip(flags)
            .map(|(one, flags)| {
                Arrival::new(disk, &one.base, flags, one.crlf_octets).named(one.guid.clone())
            })
            .collect();
        let spool = self.spool();
        let own = self.own_change(disk);
        let like = disk.like;
        let placed = self.give_places(disk, &spool, &arrivals, || {
            for (one, arrival) in incoming.iter_mut().zip(&arrivals) {
                let to = spool.file(arrival.place, &arrival.name);
                let from = one.path.as_deref().unwrap_or(&to);
                let moved = match move_file(from, &to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        spool.complete(&like).and_then(|()| move_file(from, &to))
                    }
                    outcome => outcome,
                };
                moved.map_err(|error| failed("deliver a message", &to, &error))?;
                one.path = Some(to);
            }
            Ok(())
        });
        // on failure dropping `incoming` removes the files from wherever they are by now
        let placed = placed?;
        for one in &mut incoming {
            one.path = None;
        }
        self.show_arrivals(disk, &arrivals, &placed);
        own.end(self, disk);
        Ok(placed.placed)
    }

    /// With the list locked: has files put into the mailbox, makes that durable, and gives them UIDs.
    ///
    /// # Errors
    /// As [`OpenMailbox::place_all`]; then no UID was told, and what `put` did has to be undone.
    pub(super) fn give_places(
        &self,
        disk: &mut Disk,
        spool: &Spool,
        arrivals: &[Arrival],
        put: impl FnOnce() -> Result<()>,
    ) -> Result<Given> {
        let problem = |error: &io::Error| failed("give UIDs to messages", spool.directory(), error);
        let look = disk.list.look().map_err(|error| problem(&error))?;
        if matches!(look, Look::Replaced | Look::Missing) {
            disk.joined = 0;
        }
        if disk.list.list().is_none() {
            self.create_list(disk, spool)?;
        }
        let Disk {
            list,
            joined,
            like,
            keywords,
            is_keywords_stale,
            is_loaded,
            ..
        } = disk;
        let mut locked = Disk::lock_list(list, joined, like, self.lock_timeout())
            .map_err(|error| problem(&error))?;
        let known = locked.list().ok_or(Error::Unavailable)?;
        let uid_validity = known.uid_validity();
        let is_direct = *is_loaded && *joined == known.len();
        put()?;
        let extra: BTreeMap<Vec<u8>, Flags> = arrivals
            .iter()
            .filter(|arrival| !without_letters(arrival.flags).is_empty())
            .map(|arrival| (arrival.base().to_vec(), without_letters(arrival.flags)))
            .collect();
        if !extra.is_empty() {
            *is_keywords_stale |= keywords.look().map_err(|error| problem(&error))?;
            keywords
                .set_extra(&extra, like)
                .map_err(|error| problem(&error))?;
        }
        let uids = self.number(&mut locked, spool, arrivals)?;
        if is_direct {
            *joined = locked.list().map_or(0, |list| list.len());
        }
        Ok(Given {
            placed: Placed { uid_validity, uids },
            is_direct,
        })
    }

    /// Gives UIDs to files that were put into the mailbox: durable when this returns, and so are their names.
    fn number(
        &self,
        locked: &mut LockedUidList<'_>,
        spool: &Spool,
        arrivals: &[Arrival],
    ) -> Result<Vec<Uid>> {
        let fields: Vec<Vec<u8>> = arrivals
            .iter()
            .map(|arrival| object_ids::field(arrival.guid.as_deref()))
            .collect();
        let each = arrivals.iter().zip(&fields);
        let records = each.map(|(arrival, fields)| NewRecord {
            base: arrival.base(),
            fields,
        });
        let touched = [Place::New, Place::Cur]
            .into_iter()
            .filter(|place| arrivals.iter().any(|arrival| arrival.place == *place));
        let directories: Vec<&Path> = touched.map(|place| spool.place(place)).collect();
        let mut named = Ok(());
        let uids = locked
            .append_with(records, |list| {
                let synced = self.sync_with(list, &directories);
                named = synced.names;
                synced.list
            })
            .map_err(|error| failed("give UIDs to messages", spool.directory(), &error))?;
        // the records stay: somebody may have read them, so their UIDs are not given again
        named.map_err(|error| failed("sync the directory", spool.directory(), &error))?;
        Ok(uids)
    }

    /// Makes the end of the list durable together with the names in these directories.
    fn sync_with(&self, list: &Arc<File>, directories: &[&Path]) -> Synced {
        let list = Arc::clone(list);
        let list: Job<io::Result<()>> = Box::new(move || list.sync_data());
        let names = directories.iter().map(|directory| -> Job<io::Result<()>> {
            let directory = directory.to_path_buf();
            Box::new(move || durable::sync_dir(&directory))
        });
        let all = std::iter::once(list).chain(names).collect();
        let waiters = &self.account.store.waiters;
        let mut outcomes = waiters.sync(all, &self.sync_pace).into_iter();
        Synced {
            list: outcomes.next().unwrap_or(Ok(())),
            names: outcomes.collect(),
        }
    }

    /// Shows connections the messages that were put into this mailbox, if there are any connections.
    pub(super) fn show_arrivals(&self, disk: &mut Disk, arrivals: &[Arrival], given: &Given) {
        if !disk.is_loaded || !given.is_direct {
            let Placed { uid_validity, uids } = &given.placed;
            let root = self.account.folders.root();
            self.account.store.fresh.note(root, *uid_validity, uids);
        }
        if !disk.is_loaded {
            return;
        }
        if !given.is_direct {
            // others gave UIDs since we last looked: theirs come first
            match self.find_again(disk) {
                Ok(()) | Err(Error::NonExistent) => {}
                Err(_) => self.unsure(disk),
            }
            return;
        }
        let uids = &given.placed.uids;
        {
            let mut files = self.files_mut();
            for (uid, arrival) in uids.iter().zip(arrivals) {
                files.push(NewFile {
                    uid: *uid,
                    name: &arrival.name,
                    base_octets: arrival.base_octets,
                    hash: self.hasher.hash(arrival.base()),
                    place: arrival.place,
                });
            }
        }
        let new: Vec<(Uid, Flags, Option<u64>)> = uids
            .iter()
            .zip(arrivals)
            .map(|(uid, arrival)| (*uid, disk.map.to_shared(arrival.flags), arrival.crlf_octets))
            .collect();
        self.change(disk, |messages| {
            let uid_next = messages.uid_next();
            messages.mark_recent(uids.iter().copied());
            messages.arrive(new);
            messages.note_unseen(uid_next);
        });
        self.signal.wake();
    }
}

/// What came of syncing the list and the names of files.
struct Synced {
    list: io::Result<()>,
    names: io::Result<()>,
}

/// UIDs that were given.
#[derive(Debug)]
pub(super) struct Given {
    /// What the client hears.
    pub(super) placed: Placed,
    /// Nobody else gave UIDs since the mailbox was last compared with its list.
    pub(super) is_direct: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::{Account, Backend};
    use crate::mailbox::name::MailboxName;
    use crate::store::{Settings, Store};

    /// An upload whose file takes nothing, as on a full volume.
    fn without_room(account: &dyn Account) -> Box<MaildirUpload> {
        let upload = account.upload(&MailboxName::inbox()).unwrap();
        let mut upload = upload.into_any().downcast::<MaildirUpload>().unwrap();
        let full = File::options().write(true).open("/dev/full");
        upload.file = Arc::new(full.unwrap());
        upload
    }

    #[test]
    fn directories_that_are_missing_are_made() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(Settings {
            spool: format!("{}/%{{user}}", directory.path().display()),
            ..Settings::default()
        });
        let account = store.open_account(&store.locate("anna", None)).unwrap();
        for missing in [&["tmp"][..], &["new"], &["tmp", "new"]] {
            for name in missing {
                fs::remove_dir_all(directory.path().join("anna").join(name)).unwrap();
            }
            let mut upload = account.upload(&MailboxName::inbox()).unwrap();
            upload.write(b"Subject: x\r\n").unwrap();
            upload.finish(&NamedFlags::default(), None).unwrap();
            let placed = account.deliver(&MailboxName::inbox(), vec![upload]);
            assert_eq!(placed.unwrap().uids.len(), 1, "{missing:?}");
        }
    }

    #[test]
    fn a_full_volume_takes_nothing_and_keeps_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(Settings {
            spool: format!("{}/%{{user}}", directory.path().display()),
            ..Settings::default()
        });
        let account = store.open_account(&store.locate("anna", None)).unwrap();
        let mut large = without_room(&*account);
        assert_eq!(large.write(&[b'x'; 2 * BUFFER_OCTETS]), Err(Error::NoSpace));
        let mut small = without_room(&*account);
        small.write(b"Subject: x\r\n").unwrap();
        let finished = small.finish(&NamedFlags::default(), None);
        assert_eq!(finished, Err(Error::NoSpace));
        let uploads: Vec<Box<dyn Upload>> = vec![small];
        account.deliver(&MailboxName::inbox(), uploads).unwrap_err();
        drop(large);
        for place in ["tmp", "new", "cur"] {
            let left = fs::read_dir(directory.path().join("anna").join(place)).unwrap();
            assert_eq!(left.count(), 0, "{place}");
        }
    }
}
