//! Removing messages, and forgetting what was known of them.

use super::failure::failed;
use super::open_mailbox::{Disk, MAX_LOOKUPS, OpenMailbox, sync_places};
use super::spool::Place;
use crate::mailbox::backend::{Intake, Result};
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;
use std::fs;
use std::io;
use std::path::PathBuf;

impl OpenMailbox {
    /// Removes messages, durably. Returns those that were removed by this call.
    ///
    /// # Errors
    /// [`crate::mailbox::backend::Error::NoPermission`], [`crate::mailbox::backend::Error::Unavailable`]
    pub(super) fn remove(&self, uids: &UidSet) -> Result<UidSet> {
        let mut disk = self.disk()?;
        if !disk.is_loaded {
            self.load(&mut disk, Intake::Look)?;
        }
        self.show_others(&mut disk)?;
        let spool = self.spool();
        let mut removed = UidSet::new();
        let mut rest = uids.clone();
        let (mut touched_new, mut touched_cur) = (false, false);
        let mut outcome = Ok(());
        for _ in 0..MAX_LOOKUPS {
            let own = self.own_change(&disk);
            let mut lost = UidSet::new();
            for uid in rest.iter() {
                let Some((place, path)) = self.file_of(uid) else {
                    continue;
                };
                match fs::remove_file(&path) {
                    Ok(()) => {
                        removed.insert(uid);
                        touched_new |= place == Place::New;
                        touched_cur |= place == Place::Cur;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => lost.insert(uid),
                    Err(error) => {
                        outcome = Err(failed("remove a message", &path, &error));
                        break;
                    }
                }
            }
            self.forget(&removed);
            own.end(self, &mut disk);
            rest = lost;
            if outcome.is_err() || rest.is_empty() {
                break;
            }
            // another program renamed or removed them
            outcome = self.find_again(&mut disk);
            if outcome.is_err() {
                break;
            }
        }
        let synced = sync_places(&spool, touched_new, touched_cur);
        self.show_removed(&mut disk, &removed);
        self.tidy_list(&mut disk, &spool);
        outcome.and(synced)?;
        Ok(removed)
    }

    /// Place and path of a message's file.
    pub(super) fn file_of(&self, uid: Uid) -> Option<(Place, PathBuf)> {
        let files = self.files();
        let at = files.position(uid)?;
        let place = files.place(at);
        Some((place, self.spool().file(place, files.name(at))))
    }

    /// Takes messages out of the table of files. Only with the disk held.
    pub(super) fn forget(&self, uids: &UidSet) {
        if !uids.is_empty() {
            self.files_mut().remove(uids);
        }
    }

    /// Shows connections that messages are gone. Only with the disk held.
    pub(super) fn show_removed(&self, disk: &mut Disk, uids: &UidSet) {
        if uids.is_empty() {
            return;
        }
        let is_changed = self.change(disk, |messages| messages.expunge(uids).is_some());
        if is_changed {
            self.signal.wake();
        }
    }
}
