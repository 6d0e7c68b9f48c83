//! Removing messages, and forgetting what was known of them.

use super::failure::failed;
use super::open_mailbox::{Disk, MAX_LOOKUPS, OpenMailbox, sync_places};
use super::spool::Place;
use super::waiters::Job;
use crate::mailbox::backend::{Intake, Result};
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many files are named at once, by some 150 octets each.
const NAMED_AT_ONCE: usize = 16_384;

/// How many files a thread removes at a time: some 0.1 to 1 ms.
const REMOVED_AT_ONCE: usize = 32;

/// How many threads help to remove. Where the disk is told of each piece of room that is given back (`discard`), eight remove four times as much as
/// one; where it is not, two are as good as any more.
const REMOVERS: usize = 7;

/// One file of a message.
#[derive(Debug)]
struct Doomed {
    uid: Uid,
    place: Place,
    path: PathBuf,
    /// What came of removing it; none if it was not tried.
    outcome: Option<io::Result<()>>,
}

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
            let mut all = rest.iter().filter_map(|uid| {
                let (place, path) = self.file_of(uid)?;
                Some(Doomed {
                    uid,
                    place,
                    path,
                    outcome: None,
                })
            });
            while outcome.is_ok() {
                let files: Vec<Doomed> = all.by_ref().take(NAMED_AT_ONCE).collect();
                if files.is_empty() {
                    break;
                }
                for file in self.remove_files(files) {
                    match file.outcome {
                        None => {}
                        Some(Ok(())) => {
                            removed.insert(file.uid);
                            touched_new |= file.place == Place::New;
                            touched_cur |= file.place == Place::Cur;
                        }
                        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                            lost.insert(file.uid);
                        }
                        Some(Err(error)) => {
                            outcome = Err(failed("remove a message", &file.path, &error));
                        }
                    }
                }
            }
            drop(all);
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
        outcome.and(synced)?;
        Ok(removed)
    }

    /// Removes files, side by side where they are many: most of it is giving back what they took, and waiting for that. After one that cannot be
    /// removed no more are tried.
    fn remove_files(&self, mut files: Vec<Doomed>) -> Vec<Doomed> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut jobs: Vec<Job<Vec<Doomed>>> = Vec::new();
        while !files.is_empty() {
            let mut piece = files.split_off(files.len().saturating_sub(REMOVED_AT_ONCE));
            let is_over = Arc::clone(&is_over);
            jobs.push(Box::new(move || {
                for file in &mut piece {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let outcome = fs::remove_file(&file.path);
                    if matches!(&outcome, Err(error) if error.kind() != io::ErrorKind::NotFound) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    file.outcome = Some(outcome);
                }
                piece
            }));
        }
        jobs.reverse();
        let done = self.account.store.removers.do_all(jobs, REMOVERS);
        done.into_iter().flatten().flatten().collect()
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
