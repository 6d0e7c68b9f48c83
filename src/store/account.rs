//! The mailboxes of one account: names, directories, and which of them are open.

use super::deliver::{self, MaildirUpload};
use super::failure::{failed, noted};
use super::first_list::new_guid;
use super::folders::{self, Folders, Layout};
use super::new_account::Ready;
use super::object_ids::hex;
use super::open_mailbox::OpenMailbox;
use super::special_use::SpecialUses;
use super::uidlist::UidList;
use super::uidlist_file::{self, UidListFile};
use super::watch::Signal;
use super::{StoreState, clock, subscriptions, uid_validity};
use crate::durable::Ownership;
use crate::mailbox::backend::{
    Account, Error, Intake, Listed, Mailbox, Placed, Result, Status, Upload, Waker, Watch,
};
use crate::mailbox::name::{MailboxName, SpecialUse};
use crate::mailbox::uid_set::UidSet;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

/// How often `tmp/` of a mailbox is swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// How soon the names are listed again where one of them was in the making.
const LIST_AGAIN: Duration = Duration::from_millis(300);

/// Most mailboxes of which it is remembered that they were INBOX; only until who wants to hear of it has listed them.
const MAX_FORMER_INBOXES: usize = 16;

/// What all connections of one account share.
#[derive(Debug)]
pub(super) struct AccountState {
    pub(super) store: Arc<StoreState>,
    pub(super) folders: Folders,
    open: Mutex<HashMap<MailboxName, Weak<OpenMailbox>>>,
    /// Tells of names and subscriptions.
    names: Arc<Signal>,
    /// Identifiers of the mailboxes that INBOX was renamed to last.
    former_inboxes: Mutex<VecDeque<String>>,
    /// When `tmp/` was swept last.
    swept: Mutex<HashMap<MailboxName, SystemTime>>,
    /// Held while the spool is made ready.
    pub(super) ready: Mutex<Ready>,
}

impl AccountState {
    /// For the spool at a place.
    pub(super) fn new(store: Arc<StoreState>, root: &Path) -> Self {
        let layout = store.settings.layout;
        Self {
            store,
            folders: Folders::new(root, layout),
            open: Mutex::default(),
            names: Arc::new(Signal::concerning(folders::is_of_names)),
            former_inboxes: Mutex::default(),
            swept: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    /// Owner and mode of what is made for the account.
    pub(super) fn like(&self) -> Result<Ownership> {
        let root = self.folders.root();
        Ownership::of(root).map_err(|error| failed("look at the spool", root, &error))
    }

    fn open_mailboxes(&self) -> MutexGuard<'_, HashMap<MailboxName, Weak<OpenMailbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailbox of a name if it is open.
    pub(super) fn if_open(&self, name: &MailboxName) -> Option<Arc<OpenMailbox>> {
        self.open_mailboxes()
            .get(name)
            .and_then(Weak::upgrade)
            .filter(|mailbox| !mailbox.is_gone())
    }

    /// The mailbox of a name; the same one for all who ask. It may not have been looked at yet.
    ///
    /// # Errors
    /// [`Error::NonExistent`] and so on.
    pub(super) fn mailbox(self: &Arc<Self>, name: &MailboxName) -> Result<Arc<OpenMailbox>> {
        if let Some(mailbox) = self.if_open(name) {
            return Ok(mailbox);
        }
        let directory = self.find(name)?.ok_or(Error::NonExistent)?;
        let mailbox = Arc::new(OpenMailbox::new(Arc::clone(self), &directory)?);
        let mut open = self.open_mailboxes();
        let faster = open.get(name).and_then(Weak::upgrade);
        if let Some(faster) = faster.filter(|mailbox| !mailbox.is_gone()) {
            return Ok(faster);
        }
        open.retain(|_, mailbox| mailbox.strong_count() > 0);
        open.insert(name.clone(), Arc::downgrade(&mailbox));
        Ok(mailbox)
    }

    /// Opens and looks. One that turns out to have been replaced by another of the same name is opened anew.
    pub(super) fn look_at(
        self: &Arc<Self>,
        name: &MailboxName,
        intake: Intake,
    ) -> Result<Arc<OpenMailbox>> {
        let mailbox = self.mailbox(name)?;
        let mailbox = match mailbox.look(intake) {
            Ok(()) => mailbox,
            Err(Error::NonExistent) => {
                let mailbox = self.mailbox(name)?;
                mailbox.look(intake)?;
                mailbox
            }
            Err(error) => return Err(error),
        };
        self.store.kept.used(&mailbox);
        Ok(mailbox)
    }

    /// Directory of a mailbox.
    fn find(&self, name: &MailboxName) -> Result<Option<PathBuf>> {
        self.folders
            .find(name)
            .map_err(|error| failed("look for a mailbox", self.folders.root(), &error))
    }

    /// Makes a mailbox with a UIDVALIDITY that this account never had.
    pub(super) fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<()> {
        self.create_with(name, special_use, self.new_guid()?)
    }

    /// A GUID for a mailbox.
    fn new_guid(&self) -> Result<[u8; 16]> {
        new_guid().map_err(|error| failed("make a mailbox", self.folders.root(), &error))
    }

    fn create_with(
        &self,
        name: &MailboxName,
        special_use: &[SpecialUse],
        guid: [u8; 16],
    ) -> Result<()> {
        if name.is_inbox() || self.find(name)?.is_some() {
            return Err(Error::AlreadyExists);
        }
        let like = self.like()?;
        let root = self.folders.root();
        self.try_create(name, &like, guid)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::AlreadyExists,
                io::ErrorKind::InvalidInput => {
                    Error::Cannot("this mail store cannot hold such a name".to_owned())
                }
                io::ErrorKind::InvalidFilename => super::failure::for_client(&error),
                _ => failed("make a mailbox", root, &error),
            })?;
        if !special_use.is_empty() {
            SpecialUses::update(root, &like, |uses| uses.set(name, special_use))
                .map_err(|error| failed("note what a mailbox is for", root, &error))?;
        }
        Ok(())
    }

    fn try_create(&self, name: &MailboxName, like: &Ownership, guid: [u8; 16]) -> io::Result<()> {
        let now = clock::since_epoch(clock::now()).as_secs();
        let floor = uid_validity::highest(&self.folders)?;
        let value = uid_validity::allocate(self.folders.root(), like, now, floor)?;
        let timeout = self.store.settings.lock_timeout;
        self.folders.create(name, like, |directory| {
            let mut list = UidListFile::new(directory);
            list.lock(like, timeout)?.create(&UidList::new(value, guid))
        })?;
        Ok(())
    }

    /// True if there are mailboxes below a name.
    fn has_children(&self, name: &MailboxName) -> Result<bool> {
        let folders = self
            .folders
            .list()
            .map_err(|error| failed("list mailboxes", self.folders.root(), &error))?;
        Ok(folders.iter().any(|folder| folder.name.is_below(name)))
    }

    /// Removes a mailbox.
    fn delete(&self, name: &MailboxName) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Cannot("INBOX cannot be deleted".to_owned()));
        }
        let Some(directory) = self.find(name)? else {
            return Err(if self.has_children(name)? {
                Error::InUse("mailbox has mailboxes below it".to_owned())
            } else {
                Error::NonExistent
            });
        };
        let root = self.folders.root();
        let like = self.like()?;
        let open = self.if_open(name);
        // whoever works on it finishes first
        let held = open.as_ref().map(|mailbox| mailbox.disk()).transpose()?;
        let header = uidlist_file::header(&directory).ok().flatten();
        let guid = header.and_then(|(_, guid)| guid);
        let removed =
            note_uid_validity(root, &like, &directory).and_then(|()| self.folders.remove(name));
        if let (Ok(()), Some(mailbox)) = (&removed, &open) {
            mailbox.vanish();
        }
        if removed.is_ok() {
            self.forget(guid);
        }
        drop(held);
        match removed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NonExistent);
            }
            Err(error) => return Err(failed("delete a mailbox", &directory, &error)),
        }
        self.update_uses(&like, |uses| uses.set(name, &[]));
        Ok(())
    }

    /// Forgets what is remembered of a mailbox that is gone. Trouble is told by the index.
    fn forget(&self, guid: Option<[u8; 16]>) {
        if let (Some(index), Some(guid)) = (&self.store.index, guid)
            && let Err(error) = index.forget(self.folders.root(), &guid)
        {
            tracing::debug!(%error, "mailbox_not_forgotten");
        }
    }

    /// Changes what mailboxes are for, as part of another change that is done already.
    fn update_uses(&self, like: &Ownership, change: impl FnOnce(&mut SpecialUses)) {
        let root = self.folders.root();
        let updated = match SpecialUses::read(root) {
            Ok(uses) if uses.is_empty() => Ok(()),
            Ok(_) => SpecialUses::update(root, like, change),
            Err(error) => Err(error),
        };
        if let Err(error) = updated {
            noted("note what mailboxes are for", root, &error);
        }
    }

    /// Renames a mailbox that is not INBOX, and all below it.
    fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let like = self.like()?;
        let mut affected = self.open_below(from);
        // in the order in which two mailboxes are always taken
        affected.sort_by_key(|(_, mailbox)| mailbox.spool().directory().to_owned());
        let mut held = Vec::new();
        for (name, mailbox) in &affected {
            match mailbox.disk() {
                Ok(disk) => held.push((name, mailbox, disk)),
                Err(Error::NonExistent) => {}
                Err(error) => return Err(error),
            }
        }
        self.folders
            .rename(from, to, &like)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::NonExistent,
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                    Error::AlreadyExists
                }
                io::ErrorKind::InvalidInput => {
                    Error::Cannot("a mailbox cannot be moved below itself".to_owned())
                }
                io::ErrorKind::InvalidFilename => super::failure::for_client(&error),
                _ => failed("rename a mailbox", self.folders.root(), &error),
            })?;
        for (name, mailbox, mut disk) in held {
            let new_name = name.moved(from, to).unwrap_or_else(|| to.clone());
            match self.find(&new_name) {
                Ok(Some(directory)) => {
                    mailbox.relocate(&mut disk, &directory);
                    let mut open = self.open_mailboxes();
                    open.remove(name);
                    open.insert(new_name, Arc::downgrade(mailbox));
                }
                Ok(None) | Err(_) => mailbox.vanish(),
            }
        }
        self.update_uses(&like, |uses| uses.rename(from, to));
        Ok(())
    }

    /// Passes on a change of names or subscriptions that is done, to those who want to hear of it.
    fn tell_names<Done>(&self, done: Result<Done>) -> Result<Done> {
        if done.is_ok() {
            self.names.wake();
        }
        done
    }

    /// The open mailboxes at and below a name.
    fn open_below(&self, name: &MailboxName) -> Vec<(MailboxName, Arc<OpenMailbox>)> {
        self.open_mailboxes()
            .iter()
            .filter(|(known, _)| *known == name || known.is_below(name))
            .filter_map(|(known, mailbox)| Some((known.clone(), mailbox.upgrade()?)))
            .collect()
    }

    /// INBOX keeps its name and loses its messages (RFC 9051 §6.3.6).
    fn rename_inbox(self: &Arc<Self>, to: &MailboxName) -> Result<()> {
        let guid = self.new_guid()?;
        {
            let mut former = self.former_inboxes();
            former.truncate(MAX_FORMER_INBOXES - 1);
            former.push_front(hex(guid));
        }
        self.create_with(to, &[], guid)?;
        let inbox = self.look_at(&MailboxName::inbox(), Intake::Look)?;
        let target = self.mailbox(to)?;
        let all: UidSet = inbox.read().uids().iter().copied().collect();
        inbox.move_into(&all, &target)?;
        Ok(())
    }

    fn former_inboxes(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.former_inboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sweeps `tmp/` of a mailbox if that was not done for a day.
    fn sweep(&self, name: &MailboxName, mailbox: &OpenMailbox) {
        let now = clock::now();
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = swept.get(name).is_none_or(|last| {
                now.duration_since(*last)
                    .is_ok_and(|since| since >= SWEEP_INTERVAL)
            });
            if !is_due {
                return;
            }
            swept.insert(name.clone(), now);
        }
        let spool = mailbox.spool();
        match spool.sweep_tmp(now, self.store.settings.tmp_age) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(path = ?spool.tmp(), removed, "tmp_swept"),
            Err(error) => noted("sweep unfinished deliveries", spool.tmp(), &error),
        }
    }
}

/// Notes the UIDVALIDITY of a mailbox that is going to be removed, so that it is never given again.
fn note_uid_validity(root: &Path, like: &Ownership, directory: &Path) -> io::Result<()> {
    let mut list = UidListFile::new(directory);
    list.look()?;
    match list.list() {
        Some(list) => uid_validity::note_used(root, like, list.uid_validity()),
        None => Ok(()),
    }
}

/// One user's access to an account.
#[derive(Debug)]
pub(super) struct MaildirAccount {
    user: Arc<str>,
    place: Arc<Path>,
    state: Arc<AccountState>,
}

impl MaildirAccount {
    /// For a user who has logged in.
    pub(super) fn new(user: &Arc<str>, state: Arc<AccountState>) -> Self {
        Self {
            user: Arc::clone(user),
            place: state.folders.root().into(),
            state,
        }
    }
}

impl Account for MaildirAccount {
    fn user(&self) -> &str {
        &self.user
    }

    fn place(&self) -> Arc<Path> {
        Arc::clone(&self.place)
    }

    fn mailboxes(&self) -> Result<Vec<Listed>> {
        let problem =
            |error: &io::Error| failed("list mailboxes", self.state.folders.root(), error);
        let names = &self.state.names;
        if names.has_wakers() {
            names.look_begins();
            if self.state.folders.is_growing(clock::now()) {
                self.state.store.watcher.wake_later(names, LIST_AGAIN);
            }
        }
        let folders = self.state.folders.list().map_err(|e| problem(&e))?;
        let uses = SpecialUses::read(&self.place).unwrap_or_else(|error| {
            noted("read what mailboxes are for", &self.place, &error);
            SpecialUses::default()
        });
        let selectable = folders.iter().filter(|folder| folder.directory.is_some());
        let mut assigned = uses.assign(selectable.map(|folder| &folder.name));
        let listed = folders.iter().map(|folder| Listed {
            name: folder.name.clone(),
            selectable: folder.directory.is_some(),
            special_use: assigned.remove(&folder.name).unwrap_or_default(),
        });
        Ok(listed.collect())
    }

    fn subscriptions(&self) -> Result<BTreeSet<MailboxName>> {
        subscriptions::read(&self.place, self.state.folders.layout())
            .map_err(|error| failed("read subscriptions", &self.place, &error))
    }

    fn set_subscribed(&self, name: &MailboxName, subscribed: bool) -> Result<()> {
        let like = self.state.like()?;
        let layout = self.state.folders.layout();
        let changed =
            subscriptions::change(&self.place, layout, &like, &[(name.clone(), subscribed)])
                .map_err(|error| failed("change subscriptions", &self.place, &error));
        self.state.tell_names(changed)
    }

    fn names_version(&self) -> u64 {
        self.state.names.version()
    }

    fn watch_names(&self, waker: Waker) -> Box<dyn Watch> {
        let watcher = &self.state.store.watcher;
        if self.state.folders.layout() == Layout::Fs {
            // below the first level only the timer tells
            watcher.poll(&self.state.names);
        }
        let root: Arc<[PathBuf]> = [self.state.folders.root().to_owned()].into();
        watcher.watch(&self.state.names, &root, &waker)
    }

    fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<()> {
        self.state.tell_names(self.state.create(name, special_use))
    }

    fn delete(&self, name: &MailboxName) -> Result<()> {
        self.state.tell_names(self.state.delete(name))
    }

    fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let renamed = if from.is_inbox() {
            self.state.rename_inbox(to)
        } else {
            self.state.rename(from, to)
        };
        self.state.tell_names(renamed)
    }

    fn status(&self, name: &MailboxName, with_size: bool) -> Result<Status> {
        self.state.status(name, with_size)
    }

    fn mailbox_id(&self, name: &MailboxName) -> Result<Option<String>> {
        if let Some(id) = self.state.noted_identifier(name) {
            return Ok(Some(id));
        }
        let mailbox = self.state.look_at(name, Intake::Look)?;
        mailbox.identifier()
    }

    fn was_inbox(&self, mailbox_id: &str) -> bool {
        self.state
            .former_inboxes()
            .iter()
            .any(|id| id == mailbox_id)
    }

    fn open(&self, name: &MailboxName, intake: Intake) -> Result<Arc<dyn Mailbox>> {
        let mailbox = self.state.look_at(name, intake)?;
        self.state.sweep(name, &mailbox);
        Ok(mailbox)
    }

    fn upload(&self, name: &MailboxName) -> Result<Box<dyn Upload>> {
        let mailbox = self.state.mailbox(name)?;
        Ok(Box::new(MaildirUpload::begin(mailbox)?))
    }

    fn deliver(&self, name: &MailboxName, uploads: Vec<Box<dyn Upload>>) -> Result<Placed> {
        let mailbox = self.state.mailbox(name)?;
        let placed = deliver::deliver(&mailbox, uploads);
        // the next message finds its list read
        self.state.store.kept.used(&mailbox);
        placed
    }
}
