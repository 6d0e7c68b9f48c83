//! One mailbox, in memory.
//!
//! Locks are taken in this order: contents, then messages. Wakers are called with neither held.

use super::message::{MemoryMessage, wire_octets};
use super::watchers::Watchers;
use super::{Conditions, Mail, MemoryAccount, lock};
use crate::mailbox::backend::{
    Error, Extent, FlagChange, Intake, Mailbox, MaildropLock, Message, Next, Placed, Reader,
    Result, Status, Stored, Transferred, Waker, Watch,
};
use crate::mailbox::flag::{FlagAction, Flags, KeywordTable, NamedFlags};
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use crate::mailbox::notes::{Kind, Page, PageNumber, Row, Sheet, with_rows};
use crate::mailbox::uid_set::UidSet;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::thread;

/// One mailbox. See [`super::Memory::mailbox`].
#[derive(Debug)]
pub struct MemoryMailbox {
    messages: RwLock<Messages>,
    contents: Mutex<Contents>,
    notes: Mutex<HashMap<(Kind, PageNumber), Arc<Page>>>,
    watchers: Arc<Watchers>,
    /// A POP3 session has it alone.
    locked: Arc<AtomicBool>,
    conditions: Arc<Conditions>,
    account: Weak<MemoryAccount>,
}

/// What lies in the mailbox, whether it was looked at or not.
#[derive(Debug, Default)]
struct Contents {
    stored: BTreeMap<Uid, StoredMail>,
    /// Delivered since the last look.
    arrivals: Vec<Mail>,
    /// Something was taken away since the last look.
    vanished: bool,
    /// The mailbox was deleted.
    discarded: bool,
}

/// Whether the size of a message is known when it is first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    /// It came through us.
    Now,
    /// Another program brought it; [`Mailbox::size`] finds out.
    Later,
}

/// What is kept of a message besides flags.
#[derive(Debug)]
struct StoredMail {
    octets: Arc<[u8]>,
    internal_date: i64,
    save_date: i64,
    guid: Vec<u8>,
    unique_id: Option<String>,
    base_name: Option<String>,
    pop3_order: Option<u32>,
}

/// What is set for a message of a spool that came from another server. See [`MemoryMailbox::set_pop3`].
#[derive(Debug, Clone, Default)]
pub struct Pop3Fields {
    /// The stored unique-id (`P`).
    pub unique_id: Option<String>,
    /// The stored order (`O`).
    pub order: Option<u32>,
    /// The base name of the file.
    pub base_name: Option<String>,
}

impl MemoryMailbox {
    /// An empty mailbox.
    pub(super) fn new(
        uid_validity: UidValidity,
        conditions: &Arc<Conditions>,
        account: &Weak<MemoryAccount>,
    ) -> Arc<Self> {
        Arc::new(Self {
            messages: RwLock::new(Messages::new(uid_validity, Uid::MIN, ModSeq(1))),
            contents: Mutex::default(),
            notes: Mutex::default(),
            watchers: Arc::default(),
            locked: Arc::default(),
            conditions: Arc::clone(conditions),
            account: Weak::clone(account),
        })
    }

    /// Puts a message there and returns its UID; none if there is no room for its keywords or no UID left.
    pub fn add(&self, mail: Mail) -> Option<Uid> {
        self.place(vec![mail]).ok()?.uids.first().copied()
    }

    /// Lays a message down as an MTA does: it is there after the next look.
    pub fn deliver(&self, mail: Mail) {
        lock(&self.contents).arrivals.push(mail);
        self.watchers.wake();
    }

    /// Takes a message away as a foreign program does: it cannot be read any more, and is known to be gone after the next look.
    pub fn vanish(&self, uid: Uid) {
        let mut contents = lock(&self.contents);
        contents.vanished |= contents.stored.remove(&uid).is_some();
        drop(contents);
        self.watchers.wake();
    }

    /// Sets what another server had noted for POP3.
    pub fn set_pop3(&self, uid: Uid, fields: Pop3Fields) {
        if let Some(stored) = lock(&self.contents).stored.get_mut(&uid) {
            stored.unique_id = fields.unique_id;
            stored.pop3_order = fields.order;
            stored.base_name = fields.base_name;
        }
    }

    /// The UIDs of all messages known.
    pub(super) fn all_uids(&self) -> UidSet {
        self.read().uids().iter().copied().collect()
    }

    /// Notes that the mailbox was deleted; who has it open hears of it at the next look.
    pub(super) fn discard(&self) {
        lock(&self.contents).discarded = true;
        self.watchers.wake();
    }

    /// STATUS of what is known.
    pub(super) fn status(&self, with_size: bool) -> Result<Status> {
        if with_size {
            for uid in self.all_uids().iter() {
                match self.size(uid) {
                    Ok(_) | Err(Error::Expunged) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let messages = self.read();
        Ok(Status {
            counts: messages.counts(),
            uid_next: messages.uid_next(),
            uid_validity: messages.uid_validity(),
            highest_mod_seq: messages.highest_mod_seq(),
            size: with_size.then(|| messages.total_size()).flatten(),
        })
    }

    /// Puts messages there, all or none, as recent ones.
    pub(super) fn place(&self, mails: Vec<Mail>) -> Result<Placed> {
        let mut contents = lock(&self.contents);
        if contents.discarded {
            return Err(Error::NonExistent);
        }
        let mut messages = self.write();
        let placed = self.place_in(&mut contents, &mut messages, mails, Measured::Now)?;
        drop((messages, contents));
        self.watchers.wake();
        Ok(placed)
    }

    /// As [`Self::place`], with the locks held.
    fn place_in(
        &self,
        contents: &mut Contents,
        messages: &mut Messages,
        mails: Vec<Mail>,
        measured: Measured,
    ) -> Result<Placed> {
        let mut table = messages.keywords().clone();
        let mut arrivals = Vec::with_capacity(mails.len());
        let mut next = Some(messages.uid_next());
        for mail in &mails {
            let flags = resolve(&mail.flags, &mut table)?;
            let uid = next.ok_or_else(|| Error::Limit("no UID is left".to_owned()))?;
            let octets = (measured == Measured::Now).then(|| wire_octets(&mail.octets));
            arrivals.push((uid, flags, octets));
            next = uid.next();
        }
        *messages.keywords_mut() = table;
        let uids: Vec<Uid> = arrivals.iter().map(|(uid, ..)| *uid).collect();
        messages.arrive(arrivals);
        messages.mark_recent(uids.iter().copied());
        for (uid, mail) in uids.iter().zip(mails) {
            let stored = StoredMail {
                octets: mail.octets.into(),
                internal_date: mail.internal_date.unwrap_or_else(|| self.conditions.now()),
                save_date: self.conditions.now(),
                guid: mail
                    .guid
                    .unwrap_or_else(|| new_guid(messages.uid_validity(), *uid)),
                unique_id: None,
                base_name: None,
                pop3_order: None,
            };
            contents.stored.insert(*uid, stored);
        }
        Ok(Placed {
            uid_validity: messages.uid_validity(),
            uids,
        })
    }

    /// MAILBOXID: no two mailboxes of an account have or had one UIDVALIDITY.
    pub(super) fn mailbox_id(&self) -> String {
        format!("M{}", self.read().uid_validity())
    }

    /// Reads something of a stored message.
    fn stored<T>(&self, uid: Uid, read: impl FnOnce(&StoredMail) -> T) -> Result<T> {
        lock(&self.contents)
            .stored
            .get(&uid)
            .map(read)
            .ok_or(Error::Expunged)
    }

    /// Copies of messages as they would be put elsewhere, with their UIDs here; those gone are left out.
    fn duplicates(&self, uids: &UidSet) -> Vec<(Uid, Mail)> {
        let contents = lock(&self.contents);
        let messages = self.read();
        uids.iter()
            .filter_map(|uid| {
                let stored = contents.stored.get(&uid)?;
                let flags = messages.flags(uid)?;
                let mail = Mail {
                    octets: stored.octets.to_vec(),
                    flags: named(flags, messages.keywords()),
                    internal_date: Some(stored.internal_date),
                    guid: Some(stored.guid.clone()),
                };
                Some((uid, mail))
            })
            .collect()
    }

    /// Finds another mailbox of the account.
    fn neighbour(&self, name: &MailboxName) -> Result<Arc<Self>> {
        self.account.upgrade().ok_or(Error::Unavailable)?.find(name)
    }

    /// Puts copies into a target.
    fn transfer(target: &Self, copies: Vec<(Uid, Mail)>) -> Result<Transferred> {
        let (sources, mails): (Vec<Uid>, Vec<Mail>) = copies.into_iter().unzip();
        let placed = target.place(mails)?;
        Ok(Transferred {
            uid_validity: placed.uid_validity,
            pairs: sources.into_iter().zip(placed.uids).collect(),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Messages> {
        (self as &dyn Mailbox).read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Messages> {
        (self as &dyn Mailbox).write()
    }
}

impl Mailbox for MemoryMailbox {
    fn messages(&self) -> &RwLock<Messages> {
        &self.messages
    }

    fn is_current(&self) -> bool {
        let contents = lock(&self.contents);
        contents.arrivals.is_empty() && !contents.vanished && !contents.discarded
    }

    fn refresh(&self, _intake: Intake) -> Result<()> {
        self.conditions.enter()?;
        let mut contents = lock(&self.contents);
        if contents.discarded {
            return Err(Error::NonExistent);
        }
        let mut messages = self.write();
        let before = messages.highest_mod_seq();
        if std::mem::take(&mut contents.vanished) {
            let gone: UidSet = messages
                .uids()
                .iter()
                .copied()
                .filter(|uid| !contents.stored.contains_key(uid))
                .collect();
            messages.expunge(&gone);
        }
        let arrivals = contents.arrivals.clone();
        let placed = self.place_in(&mut contents, &mut messages, arrivals, Measured::Later);
        if placed.is_ok() {
            contents.arrivals.clear();
        }
        let changed = messages.highest_mod_seq() != before;
        drop((messages, contents));
        if changed {
            self.watchers.wake();
        }
        placed.map(drop)
    }

    fn watch(&self, waker: Waker) -> Box<dyn Watch> {
        self.watchers.add(waker)
    }

    fn store(&self, uids: &UidSet, change: &FlagChange) -> Result<Stored> {
        self.conditions.enter()?;
        let contents = lock(&self.contents);
        let mut messages = self.write();
        let before = messages.highest_mod_seq();
        let mut table = messages.keywords().clone();
        let given = match change.action {
            FlagAction::Remove => known(&change.flags, &table),
            FlagAction::Add | FlagAction::Replace => resolve(&change.flags, &mut table)?,
        };
        let mut done = Stored::default();
        let mut new_flags = Vec::new();
        for uid in uids.iter() {
            match messages.position(uid) {
                Some(at) if contents.stored.contains_key(&uid) => {
                    if change
                        .unchanged_since
                        .is_some_and(|since| messages.mod_seq_at(at) > since)
                    {
                        done.modified.insert(uid);
                    } else {
                        new_flags.push((uid, change.action.apply(messages.flags_at(at), given)));
                    }
                }
                Some(_) | None => done.missing.insert(uid),
            }
        }
        *messages.keywords_mut() = table;
        done.mod_seq = messages.set_flags(new_flags);
        let changed = messages.highest_mod_seq() != before;
        drop((messages, contents));
        if changed {
            self.watchers.wake();
        }
        Ok(done)
    }

    fn expunge(&self, uids: &UidSet) -> Result<UidSet> {
        self.conditions.enter()?;
        let mut contents = lock(&self.contents);
        let gone: UidSet = uids
            .iter()
            .filter(|uid| contents.stored.remove(uid).is_some())
            .collect();
        // those that others took away are now known to be gone too
        self.write().expunge(uids);
        drop(contents);
        self.watchers.wake();
        Ok(gone)
    }

    fn copy(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred> {
        self.conditions.enter()?;
        let target = self.neighbour(target)?;
        let copies = self.duplicates(uids);
        if copies.len() != uids.len() {
            return Err(Error::Expunged);
        }
        Self::transfer(&target, copies)
    }

    fn move_to(&self, uids: &UidSet, target: &MailboxName) -> Result<Transferred> {
        self.conditions.enter()?;
        let target = self.neighbour(target)?;
        let transferred = Self::transfer(&target, self.duplicates(uids))?;
        self.expunge(&transferred.pairs.iter().map(|(from, _)| *from).collect())?;
        Ok(transferred)
    }

    fn message(&self, uid: Uid) -> Result<Box<dyn Message>> {
        self.conditions.enter()?;
        let octets = self.stored(uid, |stored| Arc::clone(&stored.octets))?;
        Ok(Box::new(MemoryMessage {
            octets,
            conditions: Arc::clone(&self.conditions),
        }))
    }

    fn internal_date(&self, uid: Uid) -> Result<i64> {
        self.conditions.enter()?;
        self.stored(uid, |stored| stored.internal_date)
    }

    fn save_date(&self, uid: Uid) -> Result<i64> {
        self.conditions.enter()?;
        self.stored(uid, |stored| stored.save_date)
    }

    fn guid(&self, uid: Uid) -> Result<Vec<u8>> {
        self.stored(uid, |stored| stored.guid.clone())
    }

    fn size(&self, uid: Uid) -> Result<u64> {
        self.conditions.enter()?;
        let octets = self.stored(uid, |stored| wire_octets(&stored.octets))?;
        self.write().set_size(uid, octets);
        Ok(octets)
    }

    fn read_each(&self, uids: &[Uid], extent: Extent, reader: &Reader<'_>) {
        for (at, uid) in uids.iter().enumerate() {
            (self as &dyn Mailbox).read_one(at, *uid, extent, reader);
        }
    }

    fn read_while(&self, extent: Extent, next: &Next<'_>, reader: &Reader<'_>) {
        while let Some((at, uid)) = next() {
            (self as &dyn Mailbox).read_one(at, uid, extent, reader);
        }
    }

    fn have_helped(&self, reading: Box<dyn FnOnce() + Send>) -> bool {
        let has_helpers = self.conditions.has_helpers.load(Ordering::Relaxed);
        has_helpers && thread::Builder::new().spawn(reading).is_ok()
    }

    fn notes(&self, kinds: &[Kind], pages: &[PageNumber]) -> Vec<Sheet> {
        let notes = lock(&self.notes);
        let sheet = |number: &PageNumber| {
            let page = |kind: &Kind| notes.get(&(*kind, *number)).cloned().unwrap_or_default();
            Sheet::new(kinds.iter().map(page).collect())
        };
        pages.iter().map(sheet).collect()
    }

    fn keep_notes(&self, kinds: &[Kind], rows: &[(PageNumber, Vec<Row>)]) -> Vec<Sheet> {
        let pages: Vec<PageNumber> = rows.iter().map(|(number, _)| *number).collect();
        let mut sheets = self.notes(kinds, &pages);
        let mut notes = lock(&self.notes);
        for (sheet, (number, rows)) in sheets.iter_mut().zip(rows) {
            *sheet = with_rows(sheet, rows);
            for (kind, page) in kinds.iter().zip(sheet.pages()) {
                notes.insert((*kind, *number), Arc::clone(page));
            }
        }
        sheets
    }

    fn stored_unique_ids(&self) -> Result<Vec<(Uid, String)>> {
        self.conditions.enter()?;
        Ok(lock(&self.contents)
            .stored
            .iter()
            .filter_map(|(uid, stored)| Some((*uid, stored.unique_id.clone()?)))
            .collect())
    }

    fn base_name(&self, uid: Uid) -> String {
        self.stored(uid, |stored| {
            stored
                .base_name
                .clone()
                .unwrap_or_else(|| format!("{}.M{uid}P1.memory", stored.internal_date))
        })
        .unwrap_or_default()
    }

    fn pop3_order(&self, uid: Uid) -> Option<u32> {
        self.stored(uid, |stored| stored.pop3_order).ok().flatten()
    }

    fn lock_maildrop(&self) -> Result<Option<Box<dyn MaildropLock>>> {
        self.conditions.enter()?;
        let taken = self.locked.swap(true, Ordering::AcqRel);
        Ok((!taken).then(|| Box::new(Locked(Arc::clone(&self.locked))) as Box<dyn MaildropLock>))
    }
}

/// A name for octets that come first to the mailbox of this UIDVALIDITY.
fn new_guid(uid_validity: UidValidity, uid: Uid) -> Vec<u8> {
    format!("{uid_validity}.{uid}").into_bytes()
}

/// The flags as bits; keywords not known yet are added to the table.
fn resolve(flags: &NamedFlags, table: &mut KeywordTable) -> Result<Flags> {
    flags
        .keywords
        .iter()
        .try_fold(flags.system.system(), |bits, keyword| {
            table
                .insert(keyword)
                .map(|index| bits.with_keyword(index))
                .ok_or_else(|| Error::Limit("too many keywords in this mailbox".to_owned()))
        })
}

/// The flags as bits, without keywords that are not known.
fn known(flags: &NamedFlags, table: &KeywordTable) -> Flags {
    flags
        .keywords
        .iter()
        .filter_map(|keyword| table.position(keyword))
        .fold(flags.system.system(), Flags::with_keyword)
}

/// The flags by name.
fn named(flags: Flags, table: &KeywordTable) -> NamedFlags {
    NamedFlags {
        system: flags.system(),
        keywords: flags
            .keyword_indexes()
            .filter_map(|index| table.keyword(index).cloned())
            .collect(),
    }
}

/// Keeps a mailbox locked while it lives.
#[derive(Debug)]
struct Locked(Arc<AtomicBool>);

impl MaildropLock for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
