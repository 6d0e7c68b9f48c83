//! Making the UID list of a mailbox that has none: a new one, Courier's, or, when it was removed while the mailbox is open, the one we know.

use super::failure::{failed, noted};
use super::open_mailbox::{Disk, OpenMailbox};
use super::spool::Spool;
use super::uidlist::{Edit, UidList};
use super::{clock, courier, uid_validity};
use crate::mailbox::backend::{Error, FlagChange, Result};
use crate::mailbox::flag::{FlagAction, Keyword, NamedFlags};
use crate::mailbox::uid_set::UidSet;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

impl OpenMailbox {
    /// Makes the list, durably.
    ///
    /// # Errors
    /// [`Error::NoPermission`], [`Error::NoSpace`], [`Error::Unavailable`]
    pub(super) fn create_list(&self, disk: &mut Disk, spool: &Spool) -> Result<()> {
        self.try_create_list(disk, spool).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound
                && matches!(spool.directory().try_exists(), Ok(false))
            {
                self.vanish();
                return Error::NonExistent;
            }
            failed("make the UID list", spool.directory(), &error)
        })
    }

    fn try_create_list(&self, disk: &mut Disk, spool: &Spool) -> io::Result<()> {
        let directory = spool.directory();
        let known = disk.is_loaded.then(|| self.known_list()).flatten();
        let Disk {
            list,
            joined,
            like,
            courier_ids,
            courier_keywords,
            ..
        } = disk;
        let mut locked = Disk::lock_list(list, joined, like, self.lock_timeout())?;
        if locked.list().is_some() {
            // another process was faster
            return Ok(());
        }
        if let Some(known) = known {
            tracing::warn!(path = ?directory, "uid_list_removed_and_restored");
            return locked.create(&known);
        }
        let guid = new_guid()?;
        let (list, is_couriers) = match courier::uid_list(directory, guid)? {
            Some(list) => (list, true),
            None => {
                let folders = &self.account.folders;
                let now = clock::since_epoch(clock::now()).as_secs();
                let floor = uid_validity::highest(folders)?;
                // the list in the root is durable by the same sync of the directory, before anybody learns its UIDVALIDITY
                let allocate = if directory == folders.root() {
                    uid_validity::allocate_before_sync
                } else {
                    uid_validity::allocate
                };
                let value = allocate(folders.root(), like, now, floor)?;
                (UidList::new(value, guid), false)
            }
        };
        locked.create(&list)?;
        if directory == self.account.folders.root() {
            *courier_ids = or_none(directory, courier::pop3_list(directory));
            if is_couriers && !courier_ids.is_empty() {
                locked.rewrite(|record| {
                    courier_ids.get(record.base).map_or(Edit::Keep, |entry| {
                        Edit::Fields(format!("P{}", entry.unique_id).into_bytes())
                    })
                })?;
            }
        }
        *courier_keywords = or_none(directory, courier::keywords(directory));
        Ok(())
    }

    /// The list as it must have been, from what is in memory.
    fn known_list(&self) -> Option<UidList> {
        let messages = self.read();
        let files = self.files();
        let mut text = Vec::new();
        let mut header = String::new();
        let (validity, next) = (messages.uid_validity(), messages.uid_next());
        write!(header, "3 V{validity} N{next}").ok()?;
        text.extend_from_slice(header.as_bytes());
        text.push(b'\n');
        for (at, uid) in files.uids().iter().enumerate() {
            text.extend_from_slice(uid.to_string().as_bytes());
            text.extend_from_slice(b" :");
            text.extend_from_slice(files.base(at));
            text.push(b'\n');
        }
        UidList::parse(text, Some(validity)).map(|(list, _)| list)
    }

    /// Takes over the keywords that Courier had.
    pub(super) fn import_keywords(&self, disk: &mut Disk) {
        if disk.courier_keywords.is_empty() {
            return;
        }
        let imported = std::mem::take(&mut disk.courier_keywords);
        let mut by_keywords: BTreeMap<Vec<&str>, (Vec<Keyword>, UidSet)> = BTreeMap::new();
        {
            let files = self.files();
            for (at, uid) in files.uids().iter().enumerate() {
                if let Some(keywords) = imported.get(files.base(at)) {
                    let words = keywords.iter().map(Keyword::as_str).collect();
                    let (_, uids) = by_keywords
                        .entry(words)
                        .or_insert_with(|| (keywords.clone(), UidSet::new()));
                    uids.insert(*uid);
                }
            }
        }
        for (keywords, uids) in by_keywords.into_values() {
            let change = FlagChange {
                action: FlagAction::Add,
                flags: NamedFlags {
                    keywords,
                    ..NamedFlags::default()
                },
                unchanged_since: None,
            };
            if let Err(error) = self.change_flags_with(disk, &uids, &change) {
                tracing::warn!(path = ?self.spool().directory(), cause = %error, "courier_keywords_not_imported");
            }
        }
    }
}

/// A GUID for a new mailbox.
///
/// # Errors
/// The system has no random octets.
pub(super) fn new_guid() -> io::Result<[u8; 16]> {
    let mut guid = [0; 16];
    getrandom::fill(&mut guid).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(guid)
}

/// What Courier left beside UIDs, or nothing: trouble with it must not keep anybody from their mail.
fn or_none<T: Default>(directory: &Path, read: io::Result<T>) -> T {
    read.unwrap_or_else(|error| {
        noted("read what Courier left", directory, &error);
        T::default()
    })
}
