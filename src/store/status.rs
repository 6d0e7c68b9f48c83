//! STATUS without opening the mailbox: what it tells is noted in the index together with how directories, UID list and keywords looked,
//! and is told again while they look the same.
//!
//! A note is made only of a state that can be trusted: directories whose stamps are older than the file system's tick
//! ([`super::scan`]), so that any change after it changes what is seen, and recent messages that are so on disk. The last mod-sequence is
//! not part of the note: the index has it in any case.

use super::account::AccountState;
use super::failure::noted;
use super::open_mailbox::OpenMailbox;
use super::scan::Stamp;
use super::spool::{Place, Spool};
use super::uidlist_file;
use crate::index::{Key, StatusNote};
use crate::mailbox::backend::{Error, Intake, Result, Status};
use crate::mailbox::id::Uid;
use crate::mailbox::name::MailboxName;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// The files whose looks count beside the directories.
const FILES: [&str; 3] = ["dovecot-uidlist", "dovecot-keywords", "restante-keywords"];

/// How a mailbox looks from outside.
#[derive(Debug)]
struct Outside {
    new: Stamp,
    cur: Stamp,
    /// All of it, as octets to be compared.
    octets: Vec<u8>,
}

impl Outside {
    /// Of the mailbox in a directory.
    fn of(spool: &Spool) -> io::Result<Self> {
        let (new, cur) = (
            Stamp::of(spool.place(Place::New))?,
            Stamp::of(spool.place(Place::Cur))?,
        );
        let mut octets = [new.octets(), cur.octets()].concat();
        for name in FILES {
            match fs::metadata(spool.directory().join(name)) {
                Ok(about) => {
                    for number in [about.dev(), about.ino(), about.size()] {
                        octets.extend(number.to_le_bytes());
                    }
                    for number in [about.mtime(), about.mtime_nsec()] {
                        octets.extend(number.to_le_bytes());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => octets.push(0),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { new, cur, octets })
    }

    /// Of a mailbox; none if it cannot be looked at, which is told by whoever opens it.
    fn if_there(spool: &Spool) -> Option<Self> {
        Self::of(spool).ok()
    }
}

impl AccountState {
    /// What STATUS tells of a mailbox.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Unavailable`]
    pub(super) fn status(self: &Arc<Self>, name: &MailboxName, with_size: bool) -> Result<Status> {
        if let Some(status) = self.noted_status(name, with_size) {
            return Ok(status);
        }
        let mailbox = self.mailbox(name)?;
        let before = Outside::if_there(&mailbox.spool());
        let mailbox = self.look_at(name, Intake::Look)?;
        let size = with_size.then(|| total_size(&mailbox)).transpose()?;
        let status = {
            let messages = mailbox.read();
            Status {
                counts: messages.counts(),
                uid_next: messages.uid_next(),
                uid_validity: messages.uid_validity(),
                highest_mod_seq: messages.highest_mod_seq(),
                size: size.or_else(|| messages.total_size()),
            }
        };
        if let Some(before) = before {
            mailbox.note_status(&before, &status);
        }
        Ok(Status { size, ..status })
    }

    /// What was noted of a mailbox that nobody has open, if it looks as it did then.
    fn noted_status(&self, name: &MailboxName, with_size: bool) -> Option<Status> {
        let index = self.store.index.as_deref()?;
        if self.if_open(name).is_some() {
            return None;
        }
        let directory = self.folders.find(name).ok()??;
        let outside = Outside::if_there(&Spool::new(&directory))?;
        let key = key_of(&directory, &outside)?;
        let (note, highest_mod_seq) = index.status(self.folders.root(), &key).ok()??;
        if note.disk != outside.octets || (with_size && note.size.is_none()) {
            return None;
        }
        Some(Status {
            counts: note.counts,
            uid_next: note.uid_next,
            uid_validity: key.uid_validity,
            highest_mod_seq,
            size: note.size.filter(|_| with_size),
        })
    }
}

/// What a mailbox is called in the index, without opening it.
fn key_of(directory: &Path, outside: &Outside) -> Option<Key> {
    match uidlist_file::header(directory) {
        Ok(header) => {
            let (uid_validity, guid) = header?;
            Some(Key {
                guid: guid?,
                uid_validity,
                directory: outside.cur.inode(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            noted("read the UID list", directory, &error);
            None
        }
    }
}

impl OpenMailbox {
    /// Notes what STATUS told, if the mailbox looked so `before` and still does, for sure.
    fn note_status(&self, before: &Outside, status: &Status) {
        let Ok(mut disk) = self.disk() else {
            return;
        };
        let in_new = self.files().in_new();
        let is_sure = disk.new.is_trusted(&before.new)
            && disk.cur.is_trusted(&before.cur)
            && usize::try_from(status.counts.recent).is_ok_and(|recent| recent == in_new);
        if !is_sure {
            return;
        }
        let note = StatusNote {
            disk: before.octets.clone(),
            counts: status.counts,
            uid_next: status.uid_next,
            size: status.size,
        };
        if disk.memory.noted.as_ref() == Some(&note) {
            return;
        }
        let root = self.account.folders.root();
        let is_noted = self
            .indexed(&mut disk)
            .is_some_and(|(index, key)| index.note_status(root, &key, &note).is_ok());
        if is_noted {
            disk.memory.noted = Some(note);
        }
    }
}

/// Octets of all messages with CRLF. Messages that vanish meanwhile count for nothing.
fn total_size(mailbox: &OpenMailbox) -> Result<u64> {
    if let Some(known) = mailbox.read().total_size() {
        return Ok(known);
    }
    let uids: Vec<Uid> = mailbox.read().uids().to_vec();
    let mut total: u64 = 0;
    for size in mailbox.crlf_sizes(&uids) {
        match size {
            Ok(size) => total = total.saturating_add(size),
            Err(Error::Expunged) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
