//! One account's mailboxes, in memory.

use super::message::MemoryUpload;
use super::watchers::Watchers;
use super::{Conditions, Mail, MemoryMailbox, lock};
use crate::mailbox::backend::{
    Account, Error, Intake, Listed, Mailbox, Placed, Result, Status, Upload, Waker, Watch,
};
use crate::mailbox::id::UidValidity;
use crate::mailbox::name::{MailboxName, SpecialUse};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// UIDVALIDITY of the first mailbox of an account; each later one has the next.
const FIRST_UID_VALIDITY: u32 = 1_767_225_600;

/// The mailboxes of one account. See [`super::Memory::account`].
#[derive(Debug)]
pub struct MemoryAccount {
    user: Arc<str>,
    place: Arc<Path>,
    conditions: Arc<Conditions>,
    state: Mutex<State>,
    watchers: Arc<Watchers>,
    /// Counts changes of names and subscriptions.
    names_version: AtomicU64,
    /// This account itself, for its mailboxes.
    this: Weak<Self>,
}

/// What changes in an account.
#[derive(Debug)]
struct State {
    mailboxes: BTreeMap<MailboxName, Entry>,
    subscriptions: BTreeSet<MailboxName>,
    /// Identifiers of mailboxes that INBOX was renamed to.
    former_inboxes: BTreeSet<String>,
    /// Of the next mailbox.
    uid_validity: u32,
}

/// A mailbox and what it is for.
#[derive(Debug, Clone)]
struct Entry {
    mailbox: Arc<MemoryMailbox>,
    special_use: Vec<SpecialUse>,
}

impl MemoryAccount {
    /// An account with an empty INBOX.
    pub(super) fn new(user: &str, conditions: &Arc<Conditions>) -> Arc<Self> {
        let account = Arc::new_cyclic(|this| Self {
            user: user.into(),
            place: super::place_of(user).into(),
            conditions: Arc::clone(conditions),
            state: Mutex::new(State {
                mailboxes: BTreeMap::new(),
                subscriptions: BTreeSet::new(),
                former_inboxes: BTreeSet::new(),
                uid_validity: FIRST_UID_VALIDITY,
            }),
            watchers: Arc::default(),
            names_version: AtomicU64::new(0),
            this: Weak::clone(this),
        });
        account.find_or_create(&MailboxName::inbox());
        account
    }

    /// A mailbox, made if it is not there.
    pub fn find_or_create(&self, name: &MailboxName) -> Arc<MemoryMailbox> {
        let mut state = lock(&self.state);
        if let Some(entry) = state.mailboxes.get(name) {
            return Arc::clone(&entry.mailbox);
        }
        let mailbox = self.add(&mut state, name, &[]);
        drop(state);
        self.tell_names();
        mailbox
    }

    /// Tells those who want to hear of names or subscriptions that some have changed.
    fn tell_names(&self) {
        self.names_version.fetch_add(1, Ordering::AcqRel);
        self.watchers.wake();
    }

    /// Finds a mailbox.
    pub(super) fn find(&self, name: &MailboxName) -> Result<Arc<MemoryMailbox>> {
        lock(&self.state)
            .mailboxes
            .get(name)
            .map(|entry| Arc::clone(&entry.mailbox))
            .ok_or(Error::NonExistent)
    }

    /// Adds an empty mailbox with a new UIDVALIDITY.
    fn add(
        &self,
        state: &mut State,
        name: &MailboxName,
        special_use: &[SpecialUse],
    ) -> Arc<MemoryMailbox> {
        let uid_validity =
            UidValidity::new(state.uid_validity).unwrap_or_else(|| NonZeroU32::MIN.into());
        state.uid_validity = state.uid_validity.saturating_add(1);
        let mailbox = MemoryMailbox::new(uid_validity, &self.conditions, &self.this);
        state.mailboxes.insert(
            name.clone(),
            Entry {
                mailbox: Arc::clone(&mailbox),
                special_use: special_use.to_vec(),
            },
        );
        mailbox
    }

    /// Moves all messages of INBOX to a new mailbox.
    fn rename_inbox(&self, to: &MailboxName) -> Result<()> {
        self.create(to, &[])?;
        let inbox = self.find(&MailboxName::inbox())?;
        let uids = inbox.all_uids();
        inbox.move_to(&uids, to)?;
        let id = self.find(to)?.mailbox_id();
        lock(&self.state).former_inboxes.insert(id);
        self.tell_names();
        Ok(())
    }
}

impl State {
    /// True if there is a mailbox below this name.
    fn has_children(&self, name: &MailboxName) -> bool {
        self.mailboxes.keys().any(|other| other.is_below(name))
    }
}

impl Account for MemoryAccount {
    fn user(&self) -> &str {
        &self.user
    }

    fn place(&self) -> Arc<Path> {
        Arc::clone(&self.place)
    }

    fn mailboxes(&self) -> Result<Vec<Listed>> {
        self.conditions.enter()?;
        let state = lock(&self.state);
        let mut names: BTreeSet<(bool, MailboxName)> = BTreeSet::new();
        for name in state.mailboxes.keys() {
            for name in name.ancestors().chain([name.clone()]) {
                names.insert((name != MailboxName::inbox(), name));
            }
        }
        Ok(names
            .into_iter()
            .map(|(_, name)| {
                let entry = state.mailboxes.get(&name);
                Listed {
                    selectable: entry.is_some(),
                    special_use: entry
                        .map(|entry| entry.special_use.clone())
                        .unwrap_or_default(),
                    name,
                }
            })
            .collect())
    }

    fn subscriptions(&self) -> Result<BTreeSet<MailboxName>> {
        self.conditions.enter()?;
        Ok(lock(&self.state).subscriptions.clone())
    }

    fn set_subscribed(&self, name: &MailboxName, subscribed: bool) -> Result<()> {
        self.conditions.enter()?;
        let mut state = lock(&self.state);
        if subscribed {
            state.subscriptions.insert(name.clone());
        } else {
            state.subscriptions.remove(name);
        }
        drop(state);
        self.tell_names();
        Ok(())
    }

    fn names_version(&self) -> u64 {
        self.names_version.load(Ordering::Acquire)
    }

    fn watch_names(&self, waker: Waker) -> Box<dyn Watch> {
        self.watchers.add(waker)
    }

    fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<()> {
        self.conditions.enter()?;
        let mut state = lock(&self.state);
        if state.mailboxes.contains_key(name) {
            return Err(Error::AlreadyExists);
        }
        self.add(&mut state, name, special_use);
        drop(state);
        self.tell_names();
        Ok(())
    }

    fn delete(&self, name: &MailboxName) -> Result<()> {
        self.conditions.enter()?;
        if *name == MailboxName::inbox() {
            return Err(Error::Cannot("INBOX cannot be deleted".to_owned()));
        }
        let mut state = lock(&self.state);
        match state.mailboxes.remove(name) {
            Some(entry) => {
                drop(state);
                entry.mailbox.discard();
                self.tell_names();
                Ok(())
            }
            None if state.has_children(name) => {
                Err(Error::InUse("mailbox has mailboxes below it".to_owned()))
            }
            None => Err(Error::NonExistent),
        }
    }

    fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        self.conditions.enter()?;
        if *from == MailboxName::inbox() {
            return self.rename_inbox(to);
        }
        let mut state = lock(&self.state);
        let moves: Vec<(MailboxName, MailboxName)> = state
            .mailboxes
            .keys()
            .filter_map(|name| Some((name.clone(), name.moved(from, to)?)))
            .collect();
        if moves.is_empty() {
            return Err(Error::NonExistent);
        }
        if to.is_below(from) {
            return Err(Error::Cannot(
                "a mailbox cannot be moved below itself".to_owned(),
            ));
        }
        let is_taken = |name: &MailboxName| state.mailboxes.contains_key(name);
        if is_taken(to) || moves.iter().any(|(_, to)| is_taken(to)) {
            return Err(Error::AlreadyExists);
        }
        for (from, to) in moves {
            if let Some(entry) = state.mailboxes.remove(&from) {
                state.mailboxes.insert(to, entry);
            }
        }
        drop(state);
        self.tell_names();
        Ok(())
    }

    fn status(&self, name: &MailboxName, with_size: bool) -> Result<Status> {
        let mailbox = self.find(name)?;
        mailbox.refresh(Intake::Look)?;
        mailbox.status(with_size)
    }

    fn mailbox_id(&self, name: &MailboxName) -> Result<Option<String>> {
        Ok(Some(self.find(name)?.mailbox_id()))
    }

    fn was_inbox(&self, mailbox_id: &str) -> bool {
        lock(&self.state).former_inboxes.contains(mailbox_id)
    }

    fn open(&self, name: &MailboxName, intake: Intake) -> Result<Arc<dyn Mailbox>> {
        let mailbox = self.find(name)?;
        mailbox.refresh(intake)?;
        Ok(mailbox)
    }

    fn upload(&self, name: &MailboxName) -> Result<Box<dyn Upload>> {
        self.conditions.enter()?;
        self.find(name)?;
        Ok(Box::new(MemoryUpload {
            mail: Mail::default(),
            conditions: Arc::clone(&self.conditions),
        }))
    }

    fn deliver(&self, name: &MailboxName, uploads: Vec<Box<dyn Upload>>) -> Result<Placed> {
        self.conditions.enter()?;
        let mailbox = self.find(name)?;
        let mails = uploads
            .into_iter()
            .map(
                |upload| match upload.into_any().downcast::<MemoryUpload>() {
                    Ok(upload) => Ok(upload.mail),
                    Err(_other) => Err(Error::Damaged("an upload of another store".to_owned())),
                },
            )
            .collect::<Result<Vec<Mail>>>()?;
        mailbox.place(mails)
    }
}
