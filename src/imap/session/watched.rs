//! What a client that used NOTIFY hears of mailboxes other than the selected one (RFC 5465 §3.1, §5).
//!
//! Each mailbox is held open and watched before it is looked at, so that nothing falls between; the names are watched before they are
//! listed. A wake-up leads to a look at the disk for those mailboxes only that are not current, and to one at most; what has changed since
//! the client was told is then seen in memory.

use super::Dialect;
use super::choices::Choices;
use super::listing::{Difference, Listing, OwnChange};
use super::reply::{CommandError, Responses};
use crate::imap::commands::Context;
use crate::imap::commands::status::status_items;
use crate::imap::types::event_groups::MessageEvents;
use crate::imap::types::list::{ListAttribute, StatusItem};
use crate::imap::types::response::{Code, ListEntry, Untagged};
use crate::mailbox::backend::{Error, Intake, Mailbox, Status, Waker, Watch};
use crate::mailbox::id::{ModSeq, Uid, UidValidity};
use crate::mailbox::messages::{ChangeKind, Counts, Messages};
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Most mailboxes that one connection watches: each is held open while it does.
pub(super) const MAX_WATCHED: usize = 256;

/// Most messages of all mailboxes together that one connection watches: some 150 octets are held of each, once for all connections.
const MAX_WATCHED_MESSAGES: usize = 1_000_000;

/// Most names of an account that a connection keeps in mind, to tell what becomes of them.
const MAX_NAMES: usize = 4096;

/// What NOTIFY SET tells of mailboxes at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// STATUS was given.
    pub(super) status: bool,
    /// CONDSTORE is offered: with FlagChange, HIGHESTMODSEQ is told (§3.1).
    pub(super) mod_seqs: bool,
}

/// There is too much to be told.
pub(super) const OVERFLOW: CommandError =
    CommandError::no(Code::NotificationOverflow, "too many mailboxes to watch");

/// A mailbox that is watched.
#[derive(Debug)]
struct Watched {
    mailbox: Arc<dyn Mailbox>,
    /// Wakes the connection.
    _watch: Box<dyn Watch>,
    events: MessageEvents,
    /// What the client was told last, or would have known had it asked for STATUS.
    told: Status,
    /// Messages that the client itself put there since.
    own: UidSet,
}

impl Watched {
    /// True if there is nothing to tell; found out without counting anything.
    fn is_told(&self, messages: &Messages) -> bool {
        let told = &self.told;
        told.uid_validity == messages.uid_validity()
            && told.uid_next == messages.uid_next()
            && told.highest_mod_seq == messages.highest_mod_seq()
    }

    /// True if all that has happened is what the client did itself.
    fn is_own(&self, messages: &Messages) -> bool {
        let told = &self.told;
        told.uid_validity == messages.uid_validity()
            && !self.own.is_empty()
            && are_all(
                messages,
                told.highest_mod_seq,
                ChangeKind::Arrived,
                &self.own,
            )
    }

    /// What is to be told, if anything has changed.
    fn news(&self, present: &Status, tells_mod_seqs: bool) -> Vec<StatusItem> {
        let told = &self.told;
        let mut items = Vec::new();
        if present.uid_validity != told.uid_validity {
            items.push(StatusItem::UidValidity);
        }
        if !items.is_empty()
            || present.uid_next != told.uid_next
            || present.counts.messages != told.counts.messages
        {
            items.extend([StatusItem::UidNext, StatusItem::Messages]);
        }
        let has_changed = present.highest_mod_seq != told.highest_mod_seq;
        if self.events.flags {
            if present.counts.unseen != told.counts.unseen {
                items.push(StatusItem::Unseen);
            }
            if tells_mod_seqs && has_changed && !items.contains(&StatusItem::UidValidity) {
                items.push(StatusItem::UidValidity);
            }
        }
        if tells_mod_seqs && (self.events.flags && has_changed || !items.is_empty()) {
            items.push(StatusItem::HighestModSeq);
        }
        items
    }
}

/// The mailboxes that a connection watches besides the selected one.
#[derive(Debug, Default)]
pub(super) struct Others {
    choices: Choices,
    listing: Listing,
    /// Wakes the connection when names or subscriptions change.
    names: Option<Box<dyn Watch>>,
    watched: BTreeMap<MailboxName, Watched>,
    /// UIDVALIDITY of mailboxes that were watched and are gone: another one of the same name is to be told apart.
    gone: BTreeMap<MailboxName, UidValidity>,
    /// Those that could not be opened.
    barred: BTreeSet<MailboxName>,
    /// What is still to be told by LIST.
    lists: VecDeque<ListEntry>,
}

impl Others {
    /// Watches what a NOTIFY SET has chosen. On a thread of the volume.
    ///
    /// # Errors
    /// `NO [NOTIFICATIONOVERFLOW]` if there is too much; what the store gives, also if no mailbox at all can be opened.
    pub(super) fn new(
        choices: Choices,
        context: &Context<'_>,
        waker: &Waker,
    ) -> Result<Self, CommandError> {
        let mut others = Self {
            choices,
            ..Self::default()
        };
        if others.choices.is_empty() {
            return Ok(others);
        }
        others.names = Some(context.account.watch_names(Arc::clone(waker)));
        others.listing = others.list(context)?;
        let trouble = others.choose(None, context, waker)?;
        match trouble.filter(|_| others.watched.is_empty()) {
            Some(error) => Err(error.into()),
            None => Ok(others),
        }
    }

    /// The names and subscriptions of now.
    fn list(&self, context: &Context<'_>) -> Result<Listing, CommandError> {
        let with_ids = self.choices.tells_names();
        let listing = Listing::read(context.account, Some(&self.listing), with_ids)?;
        if listing.len() > MAX_NAMES {
            return Err(OVERFLOW);
        }
        Ok(listing)
    }

    /// Watches what is there to be watched, and no longer what is not. Mailboxes that `before` did not have are new to the client; of the
    /// others it is taken to know. Returns what went wrong with one of them.
    fn choose(
        &mut self,
        before: Option<&Listing>,
        context: &Context<'_>,
        waker: &Waker,
    ) -> Result<Option<Error>, CommandError> {
        let mut wanted = self.choices.watched(&self.listing);
        if wanted.len() > MAX_WATCHED {
            return Err(OVERFLOW);
        }
        self.watched.retain(|name, watched| {
            let events = wanted.remove(name);
            watched.events = events.unwrap_or(watched.events);
            events.is_some()
        });
        let mut trouble = None;
        let mut messages = self.watched_messages();
        for (name, events) in wanted {
            if messages > MAX_WATCHED_MESSAGES {
                break;
            }
            match open(&name, events, context, waker) {
                Ok(mut watched) => {
                    messages = messages.saturating_add(watched.mailbox.read().len());
                    let former = self.gone.remove(&name);
                    let is_new = before.is_some_and(|before| !before.has(&name));
                    if former.is_some() || is_new {
                        watched.told = nothing_of(former.unwrap_or(watched.told.uid_validity));
                    }
                    if self.barred.remove(&name) {
                        self.tell_list(&name, None, context);
                    }
                    self.watched.insert(name, watched);
                }
                // one that went away meanwhile is as one that never was
                Err(Error::NonExistent) => {}
                Err(error) => {
                    trouble = Some(error);
                    if self.barred.insert(name.clone()) {
                        self.tell_list(&name, None, context);
                    }
                }
            }
        }
        if messages > MAX_WATCHED_MESSAGES {
            return Err(OVERFLOW);
        }
        Ok(trouble)
    }

    /// How many messages all that is watched has.
    fn watched_messages(&self) -> usize {
        let watched = self.watched.values();
        watched.map(|watched| watched.mailbox.read().len()).sum()
    }

    /// Has a name told by LIST, if it can be written.
    fn tell_list(&mut self, name: &MailboxName, old: Option<&MailboxName>, context: &Context<'_>) {
        let Some(mailbox) = context.names.encode(name) else {
            return;
        };
        let mut attributes = self.listing.attributes(name);
        if self.barred.contains(name) {
            attributes.push(ListAttribute::NoAccess);
        }
        self.lists.push_back(ListEntry {
            lsub: false,
            attributes,
            delimiter: Some(context.names.delimiter),
            mailbox,
            child_info_subscribed: false,
            old_name: old.and_then(|old| context.names.encode(old)),
        });
    }

    /// Tells what is due by LIST. Returns false if there is more to tell when the output has been written.
    fn tell_lists(&mut self, dialect: Dialect, out: &mut Vec<u8>) -> bool {
        while let Some(entry) = self.lists.pop_front() {
            Responses::new(dialect, out).push(&Untagged::List(entry));
            if out.len() >= HIGH_WATER_OCTETS {
                return false;
            }
        }
        true
    }

    /// Tells which cannot be opened, and how all others are, but for the selected one (§3.1).
    pub(super) fn tell_all(
        &mut self,
        context: &Context<'_>,
        selected: Option<&Arc<dyn Mailbox>>,
        asked: Asked,
        out: &mut Vec<u8>,
    ) {
        // what there is no room for follows when the command has ended
        self.tell_lists(context.dialect, out);
        if !asked.status {
            return;
        }
        let out = &mut Responses::new(context.dialect, out);
        for (name, watched) in &mut self.watched {
            if is_same(&watched.mailbox, selected) {
                continue;
            }
            let present = status_of(&watched.mailbox.read());
            let mut items = vec![
                StatusItem::Messages,
                StatusItem::UidNext,
                StatusItem::UidValidity,
            ];
            items.extend(watched.events.flags.then_some(StatusItem::Unseen));
            let is_due = context.dialect.tells_mod_seqs() || watched.events.flags && asked.mod_seqs;
            items.extend(is_due.then_some(StatusItem::HighestModSeq));
            tell(context, name, &items, &present, out);
            watched.told = present;
        }
    }

    /// True if something must be looked at on the disk.
    pub(super) fn needs_disk(&self, context: &Context<'_>) -> bool {
        let mut watched = self.watched.values();
        watched.any(|watched| !watched.mailbox.is_current())
            || self.names.is_some() && self.listing.version != context.account.names_version()
    }

    /// Looks at what may have changed. On a thread of the volume. Returns false if one mailbox could not be looked at.
    ///
    /// # Errors
    /// `NO [NOTIFICATIONOVERFLOW]` if there is too much; what the store gives.
    pub(super) fn look(
        &mut self,
        context: &Context<'_>,
        waker: &Waker,
    ) -> Result<bool, CommandError> {
        let mut is_well = true;
        let gone = self.watched.extract_if(.., |_, watched| {
            let seen = if watched.mailbox.is_current() {
                Ok(())
            } else {
                watched.mailbox.refresh(Intake::Look)
            };
            is_well &= matches!(seen, Ok(()) | Err(Error::NonExistent));
            seen == Err(Error::NonExistent)
        });
        let gone: Vec<(MailboxName, UidValidity)> = gone
            .map(|(name, watched)| (name, watched.told.uid_validity))
            .collect();
        let has_lost = !gone.is_empty();
        self.gone.extend(gone);
        while self.gone.len() > MAX_WATCHED {
            self.gone.pop_first();
        }
        if has_lost || self.listing.version != context.account.names_version() {
            self.list_again(context, waker)?;
        }
        if self.watched_messages() > MAX_WATCHED_MESSAGES {
            return Err(OVERFLOW);
        }
        Ok(is_well)
    }

    /// Finds out what became of the names, and watches what there is now.
    fn list_again(&mut self, context: &Context<'_>, waker: &Waker) -> Result<(), CommandError> {
        let after = self.list(context)?;
        let before = std::mem::replace(&mut self.listing, after);
        let difference = before.difference(&self.listing);
        self.follow(&difference);
        for name in self.choices.told(&difference, &before, &self.listing) {
            self.tell_list(&name, difference.old_name(&name), context);
        }
        self.choose(Some(&before), context, waker)?;
        Ok(())
    }

    /// Mailboxes that are watched have other names now.
    fn follow(&mut self, difference: &Difference) {
        let moved: Vec<(MailboxName, Watched)> = difference
            .renamed
            .iter()
            .filter(|(_, old)| !old.is_inbox())
            .filter_map(|(name, old)| Some((name.clone(), self.watched.remove(old)?)))
            .collect();
        self.watched.extend(moved);
    }

    /// Tells what has changed since it was told last, but for messages of the selected mailbox, of which SELECTED decides (§3.1). Returns
    /// false if there is more to tell when the output has been written.
    pub(super) fn tell_news(
        &mut self,
        context: &Context<'_>,
        selected: Option<&Arc<dyn Mailbox>>,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.tell_lists(context.dialect, out) {
            return false;
        }
        let out = &mut Responses::new(context.dialect, out);
        for (name, watched) in &mut self.watched {
            if is_same(&watched.mailbox, selected) {
                continue;
            }
            let present = {
                let messages = watched.mailbox.read();
                if watched.is_told(&messages) {
                    continue;
                }
                let present = status_of(&messages);
                if watched.is_own(&messages) {
                    watched.told = present;
                }
                present
            };
            let items = watched.news(&present, context.dialect.tells_mod_seqs());
            if !items.is_empty() {
                tell(context, name, &items, &present, out);
            }
            watched.told = present;
            watched.own = UidSet::new();
        }
        true
    }

    /// The client has put messages into a mailbox itself: it needs no word of them (§5).
    pub(super) fn note_own(&mut self, name: &MailboxName, uids: &UidSet) {
        if let Some(watched) = self.watched.get_mut(name) {
            watched.own.unite(uids);
        }
    }

    /// The client has made, removed, renamed or subscribed to a mailbox itself: it needs no word of that (§5). On a thread of the volume.
    pub(super) fn note_own_change(&mut self, own: &OwnChange, context: &Context<'_>) {
        if self.names.is_none() {
            return;
        }
        match own {
            OwnChange::Name(name) => {
                self.watched.remove(name);
                self.gone.remove(name);
            }
            OwnChange::Rename(from, to) => {
                let watched = std::mem::take(&mut self.watched).into_iter();
                self.watched = watched
                    .map(|(name, watched)| (name.moved(from, to).unwrap_or(name), watched))
                    .collect();
            }
            OwnChange::Subscription(_) => {}
        }
        // if they cannot be listed now, the client hears what it knows
        if let Ok(later) = self.list(context) {
            self.listing.adopt(later, own);
        }
    }

    /// The client leaves a mailbox that was selected, knowing all up to a change, and having `removed` messages after it.
    pub(super) fn leave(&mut self, mailbox: &Arc<dyn Mailbox>, settled: ModSeq, removed: &UidSet) {
        let same = |watched: &&mut Watched| is_same(&watched.mailbox, Some(mailbox));
        if let Some(watched) = self.watched.values_mut().find(same) {
            let messages = mailbox.read();
            if are_all(&messages, settled, ChangeKind::Expunged, removed) {
                watched.told = status_of(&messages);
            }
        }
    }
}

/// Opens a mailbox and watches it.
fn open(
    name: &MailboxName,
    events: MessageEvents,
    context: &Context<'_>,
    waker: &Waker,
) -> Result<Watched, Error> {
    let mailbox = context.account.open(name, Intake::Look)?;
    let watch = mailbox.watch(Arc::clone(waker));
    mailbox.refresh(Intake::Look)?;
    let told = status_of(&mailbox.read());
    Ok(Watched {
        mailbox,
        _watch: watch,
        events,
        told,
        own: UidSet::new(),
    })
}

/// True if all that happened after a change is of one kind and concerns these messages only.
fn are_all(messages: &Messages, since: ModSeq, kind: ChangeKind, uids: &UidSet) -> bool {
    messages.changes_since(since).is_some_and(|mut changes| {
        changes.all(|change| change.kind == kind && change.uids.difference(uids).is_empty())
    })
}

/// True if this is the selected mailbox, under whatever name.
fn is_same(mailbox: &Arc<dyn Mailbox>, selected: Option<&Arc<dyn Mailbox>>) -> bool {
    selected.is_some_and(|selected| std::ptr::addr_eq(Arc::as_ptr(mailbox), Arc::as_ptr(selected)))
}

/// STATUS of a mailbox, if its name can be written.
fn tell(
    context: &Context<'_>,
    name: &MailboxName,
    items: &[StatusItem],
    status: &Status,
    out: &mut Responses<'_>,
) {
    if let Some(mailbox) = context.names.encode(name) {
        let limit = context.settings.append_limit_octets;
        let items = status_items(items, status, None, limit, None);
        out.push(&Untagged::MailboxStatus { mailbox, items });
    }
}

/// What STATUS tells of messages.
fn status_of(messages: &Messages) -> Status {
    Status {
        counts: messages.counts(),
        uid_next: messages.uid_next(),
        uid_validity: messages.uid_validity(),
        highest_mod_seq: messages.highest_mod_seq(),
        size: None,
    }
}

/// What a client knows of a mailbox that it has not heard of: that it was empty when it was made.
fn nothing_of(uid_validity: UidValidity) -> Status {
    Status {
        counts: Counts::default(),
        uid_next: Uid::MIN,
        uid_validity,
        highest_mod_seq: ModSeq::ZERO,
        size: None,
    }
}
