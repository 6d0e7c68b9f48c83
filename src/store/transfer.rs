//! COPY and MOVE between mailboxes of an account.
//!
//! A copy is a hard link in the target's `tmp/` (or, where there are none, a real copy), then delivered like any other message: all or
//! none, and no two mailboxes are held at once. A move renames across, so that a message is in one place at every moment; a crash
//! before the target's list is written leaves messages in the target that get their UIDs at the next look.

use super::clock;
use super::deliver::{Arrival, Incoming};
use super::failure::{failed, noted};
use super::filename::{FileName, with_sizes};
use super::open_mailbox::{Disk, MAX_LOOKUPS, OpenMailbox, is_no_message, lock_both, sync_places};
use super::spool::{Place, Spool, move_file};
use crate::durable::{self, Ownership};
use crate::mailbox::backend::{Error, Result, Transferred};
use crate::mailbox::flag::{Flags, NamedFlags};
use crate::mailbox::id::Uid;
use crate::mailbox::messages::Messages;
use crate::mailbox::uid_set::UidSet;
use std::fs::{self, FileTimes};
use std::io;
use std::path::{Path, PathBuf};

impl OpenMailbox {
    /// Copies messages: all or none.
    ///
    /// # Errors
    /// [`Error::Expunged`] if one of them is gone, [`Error::NoSpace`] and so on.
    pub(super) fn copy_to(&self, uids: &UidSet, target: &Self) -> Result<Transferred> {
        let like = target.disk()?.like;
        let tmp = target.spool().tmp().to_owned();
        let mut incoming = Vec::new();
        for uid in uids.iter() {
            let (flags, crlf_octets) = {
                let messages = self.read();
                let at = messages.position(uid).ok_or(Error::Expunged)?;
                (
                    named(&messages, messages.flags_at(at)),
                    messages.size_at(at),
                )
            };
            let guid = self.guid_of(&*self.disk()?, uid);
            let names = &self.account.store.names;
            let unique = names.unique(clock::since_epoch(clock::now()));
            let path = tmp.join(&unique);
            let base = self.with_file(uid, "copy a message", |from| {
                link_or_copy(from, &path, &like)?;
                Ok(fresh_base(from, &unique))
            })?;
            incoming.push(Incoming {
                path: Some(path),
                base,
                flags,
                crlf_octets,
                guid,
            });
        }
        let placed = target.place_all(incoming)?;
        Ok(Transferred {
            uid_validity: placed.uid_validity,
            pairs: uids.iter().zip(placed.uids).collect(),
        })
    }

    /// Moves messages; those that are gone are left out. On error each message is in one of both places.
    ///
    /// # Errors
    /// As [`OpenMailbox::copy_to`], but for messages that are gone.
    pub(super) fn move_into(&self, uids: &UidSet, target: &Self) -> Result<Transferred> {
        if std::ptr::eq(self, target) || !self.shares_volume_with(target)? {
            return self.copy_and_remove(uids, target);
        }
        let (mut source_disk, mut target_disk) = lock_both(self, target)?;
        self.show_others(&mut source_disk)?;
        let mut transfer = Transfer {
            source: self,
            target,
            moved: Vec::new(),
        };
        transfer.run(&mut source_disk, &mut target_disk, uids)
    }

    /// True if messages can be renamed from here to there.
    fn shares_volume_with(&self, target: &Self) -> Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let device = |mailbox: &Self| {
            let spool = mailbox.spool();
            let cur = spool.place(Place::Cur);
            fs::metadata(cur)
                .map(|about| about.dev())
                .map_err(|error| failed("look at the mailbox", cur, &error))
        };
        Ok(device(self)? == device(target)?)
    }

    /// Moves by copying; a crash in between leaves messages in both places.
    fn copy_and_remove(&self, uids: &UidSet, target: &Self) -> Result<Transferred> {
        let there: UidSet = {
            let messages = self.read();
            let is_there = |uid: &Uid| messages.position(*uid).is_some();
            uids.iter().filter(is_there).collect()
        };
        let transferred = self.copy_to(&there, target)?;
        self.remove(&there)?;
        Ok(transferred)
    }
}

/// A file that was renamed to the target.
#[derive(Debug)]
struct Moved {
    uid: Uid,
    /// Where it was.
    from: PathBuf,
    from_place: Place,
    arrival: Arrival,
}

/// A move at work, with both disks held.
#[derive(Debug)]
struct Transfer<'a> {
    source: &'a OpenMailbox,
    target: &'a OpenMailbox,
    moved: Vec<Moved>,
}

impl Transfer<'_> {
    fn run(
        &mut self,
        source_disk: &mut Disk,
        target_disk: &mut Disk,
        uids: &UidSet,
    ) -> Result<Transferred> {
        let there: Vec<Uid> = {
            let messages = self.source.read();
            let is_there = |uid: &Uid| messages.position(*uid).is_some();
            uids.iter().filter(is_there).collect()
        };
        let target_flags = self.target_flags(target_disk, &there)?;
        let (source_own, target_own) = (
            self.source.own_change(source_disk),
            self.target.own_change(target_disk),
        );
        let renamed = self.rename_all(source_disk, target_disk, &there, &target_flags);
        self.moved.sort_unstable_by_key(|moved| moved.uid);
        let moved = std::mem::take(&mut self.moved);
        let (uids, arrivals): (Vec<_>, Vec<_>) = moved
            .into_iter()
            .map(|one| ((one.uid, one.from, one.from_place), one.arrival))
            .unzip();
        let spool = self.target.spool();
        let given = match self
            .target
            .give_places(target_disk, &spool, &arrivals, || Ok(()))
        {
            Ok(given) => given,
            Err(error) => {
                self.undo(source_disk, &uids, &arrivals);
                return Err(error);
            }
        };
        target_own.end(self.target, target_disk);
        self.target.show_arrivals(target_disk, &arrivals, &given);
        let gone: UidSet = uids.iter().map(|(uid, ..)| *uid).collect();
        let touches = |place| uids.iter().any(|(_, _, from)| *from == place);
        let synced = sync_places(
            &self.source.spool(),
            touches(Place::New),
            touches(Place::Cur),
        );
        self.source.forget(&gone);
        source_own.end(self.source, source_disk);
        self.source.show_removed(source_disk, &gone);
        renamed.and(synced)?;
        Ok(Transferred {
            uid_validity: given.placed.uid_validity,
            pairs: gone.iter().zip(given.placed.uids).collect(),
        })
    }

    /// The flags of messages as positions in the target.
    fn target_flags(&self, target_disk: &mut Disk, uids: &[Uid]) -> Result<Vec<Flags>> {
        let named: Vec<NamedFlags> = {
            let messages = self.source.read();
            uids.iter()
                .map(|uid| named(&messages, messages.flags(*uid).unwrap_or_default()))
                .collect()
        };
        let sets: Vec<&NamedFlags> = named.iter().collect();
        self.target.disk_flags(target_disk, &sets)
    }

    /// Renames all files that can be found.
    fn rename_all(
        &mut self,
        source_disk: &mut Disk,
        target_disk: &Disk,
        uids: &[Uid],
        flags: &[Flags],
    ) -> Result<()> {
        let mut rest: Vec<(Uid, Flags)> = uids.iter().copied().zip(flags.iter().copied()).collect();
        for _ in 0..MAX_LOOKUPS {
            let mut lost = Vec::new();
            for (uid, flags) in rest {
                if !self.rename_one(source_disk, target_disk, uid, flags)? {
                    lost.push((uid, flags));
                }
            }
            if lost.is_empty() {
                return Ok(());
            }
            let gone: UidSet = self.moved.iter().map(|moved| moved.uid).collect();
            self.source.forget(&gone);
            self.source.find_known(source_disk)?;
            rest = lost;
        }
        Ok(())
    }

    /// Renames one file; false if it is not where it was.
    fn rename_one(
        &mut self,
        source_disk: &Disk,
        target_disk: &Disk,
        uid: Uid,
        flags: Flags,
    ) -> Result<bool> {
        let Some((from_place, from)) = self.source.file_of(uid) else {
            // gone: left out
            return Ok(true);
        };
        if is_no_message(&from) {
            return Ok(false);
        }
        let names = &self.source.account.store.names;
        let unique = names.unique(clock::since_epoch(clock::now()));
        let crlf_octets = {
            let messages = self.source.read();
            messages.position(uid).and_then(|at| messages.size_at(at))
        };
        let base = fresh_base(&from, &unique);
        let guid = self.source.guid_of(source_disk, uid);
        let arrival = Arrival::new(target_disk, &base, flags, crlf_octets).named(guid);
        let to = self.target.spool().file(arrival.place, &arrival.name);
        match move_file(&from, &to) {
            Ok(()) => {
                self.moved.push(Moved {
                    uid,
                    from,
                    from_place,
                    arrival,
                });
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("move a message", &from, &error)),
        }
    }

    /// Puts the files back. One that cannot be put back stays in the target, where the next look finds it.
    fn undo(&self, source_disk: &mut Disk, uids: &[(Uid, PathBuf, Place)], arrivals: &[Arrival]) {
        let spool: Spool = self.target.spool();
        for ((_, from, _), arrival) in uids.iter().zip(arrivals) {
            let to = spool.file(arrival.place, &arrival.name);
            if let Err(error) = move_file(&to, from) {
                noted("move a message back", &to, &error);
            }
        }
        self.source.unsure(source_disk);
    }
}

/// Flags by their names.
fn named(messages: &Messages, flags: Flags) -> NamedFlags {
    NamedFlags {
        system: flags.system(),
        keywords: flags
            .keyword_indexes()
            .filter_map(|at| messages.keywords().keyword(at).cloned())
            .collect(),
    }
}

/// A base name for the same octets under another unique name: the sizes of the old name go with it.
fn fresh_base(from: &Path, unique: &str) -> String {
    use std::os::unix::ffi::OsStrExt;
    let name = from.file_name().map_or(&[][..], OsStrExt::as_bytes);
    let sizes = FileName::parse(name).map(|parsed| (parsed.size(), parsed.crlf_size()));
    match sizes {
        Some((Some(stored), Some(crlf))) => with_sizes(unique, stored, crlf),
        Some((Some(stored), None)) => format!("{unique},S={stored}"),
        Some((None, _)) | None => unique.to_owned(),
    }
}

/// Makes a second name for a file's octets, or where the file system has none, a second file with the same date.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if it is no regular file by now, and what the system says.
fn link_or_copy(from: &Path, to: &Path, like: &Ownership) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) if is_no_message(to) => {
            fs::remove_file(to)?;
            Err(io::ErrorKind::NotFound.into())
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::CrossesDevices
                    | io::ErrorKind::TooManyLinks
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
            ) =>
        {
            copy_octets(from, to, like)
        }
        outcome => outcome,
    }
}

/// Copies octets and date, durably; leaves nothing behind on failure.
fn copy_octets(from: &Path, to: &Path, like: &Ownership) -> io::Result<()> {
    let mut source = durable::open(from)?;
    let date = source.metadata()?.modified()?;
    let mut copy = durable::create_new(to, like)?;
    let copied = io::copy(&mut source, &mut copy)
        .and_then(|_| copy.set_times(FileTimes::new().set_modified(date)))
        .and_then(|()| copy.sync_all());
    if copied.is_err() && fs::remove_file(to).is_err() {
        tracing::debug!(path = ?to, "left_for_the_sweep");
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_with_the_octets() {
        for (from, expected) in [
            ("/x/cur/1.a.b,S=12,W=14:2,S", "u,S=12,W=14"),
            ("/x/cur/1.a.b,S=12:2,S", "u,S=12"),
            ("/x/cur/1.a.b:2,S", "u"),
            ("/x/new/1.a.b,S=1x", "u"),
        ] {
            assert_eq!(fresh_base(Path::new(from), "u"), expected, "{from}");
        }
    }

    #[test]
    fn a_real_copy_keeps_octets_and_date() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let like = Ownership::of(directory.path()).unwrap();
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        let mut file = fs::File::create(&from).unwrap();
        file.write_all(b"octets").unwrap();
        let date = clock::from_unix(1_000_000).unwrap();
        file.set_times(FileTimes::new().set_modified(date)).unwrap();
        copy_octets(&from, &to, &like).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"octets");
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), date);
    }
}
