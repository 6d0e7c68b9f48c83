//! What a client that used NOTIFY hears of mailboxes other than the selected one (RFC 5465 §3.1, §5.1–5.3).
//!
//! Each mailbox is held open and watched before it is looked at, so that nothing falls between. A wake-up leads to a look at the disk for
//! those mailboxes only that are not current, and to one at most; what has changed since the client was told is then seen in memory.

use super::reply::{CommandError, Responses};
use crate::imap::commands::Context;
use crate::imap::commands::status::status_items;
use crate::imap::types::event_groups::{EventGroup, Filter, MessageEvents};
use crate::imap::types::list::StatusItem;
use crate::imap::types::response::{Code, Untagged};
use crate::mailbox::backend::{Error, Intake, Mailbox, Status, Waker, Watch};
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most mailboxes that one connection watches: each is held open while it does.
pub(super) const MAX_WATCHED: usize = 256;

/// A mailbox that is watched.
#[derive(Debug)]
struct Watched {
    mailbox: Arc<dyn Mailbox>,
    /// Wakes the connection.
    _watch: Box<dyn Watch>,
    events: MessageEvents,
    /// What the client was told last, or would have known had it asked for STATUS.
    told: Status,
}

impl Watched {
    /// How the mailbox is, as known in memory.
    fn present(&self) -> Status {
        status_of(&self.mailbox.read())
    }

    /// What is to be told, if anything has changed.
    fn news(&self, present: &Status, tells_mod_seqs: bool) -> Vec<StatusItem> {
        let told = &self.told;
        let mut items = Vec::new();
        if present.uid_validity != told.uid_validity {
            items.extend([
                StatusItem::UidValidity,
                StatusItem::UidNext,
                StatusItem::Messages,
            ]);
        } else if present.uid_next != told.uid_next {
            items.extend([StatusItem::UidNext, StatusItem::Messages]);
        } else if present.counts.messages != told.counts.messages {
            items.push(StatusItem::Messages);
        }
        let has_changed = present.highest_mod_seq != told.highest_mod_seq;
        if self.events.flags {
            if present.counts.unseen != told.counts.unseen {
                items.push(StatusItem::Unseen);
            }
            if tells_mod_seqs && has_changed && items.first() != Some(&StatusItem::UidValidity) {
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
    groups: Vec<(Choice, MessageEvents)>,
    watched: BTreeMap<MailboxName, Watched>,
}

/// A filter with its names as mailboxes.
#[derive(Debug)]
enum Choice {
    /// INBOXES and PERSONAL
    All,
    /// SUBSCRIBED
    Subscribed,
    /// SUBTREE
    Subtree(Vec<MailboxName>),
    /// MAILBOXES
    Named(Vec<MailboxName>),
}

impl Choice {
    /// The mailboxes that a filter speaks of. What cannot be a name is passed over, as a mailbox that is not there (§3.1).
    fn of(filter: &Filter, context: &Context<'_>) -> Result<Self, CommandError> {
        let names = |arguments: &[_]| {
            let mut names = Vec::new();
            for argument in arguments {
                match context.existing(argument) {
                    Ok(name) => names.push(name),
                    Err(CommandError::Store(Error::NonExistent)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(names)
        };
        Ok(match filter {
            Filter::Inboxes | Filter::Personal => Self::All,
            Filter::Subscribed => Self::Subscribed,
            Filter::Subtree(arguments) => Self::Subtree(names(arguments)?),
            Filter::Mailboxes(arguments) => Self::Named(names(arguments)?),
        })
    }

    /// True if a mailbox is among them.
    fn contains(&self, name: &MailboxName, subscriptions: &BTreeSet<MailboxName>) -> bool {
        match self {
            Self::All => true,
            Self::Subscribed => subscriptions.contains(name),
            Self::Subtree(roots) => roots.iter().any(|root| name == root || name.is_below(root)),
            Self::Named(names) => names.contains(name),
        }
    }
}

impl Others {
    /// For the groups of a NOTIFY SET; nothing is watched yet.
    ///
    /// # Errors
    /// What the store gives where names must be looked up.
    pub(super) fn new(groups: &[EventGroup], context: &Context<'_>) -> Result<Self, CommandError> {
        let mut chosen = Vec::new();
        for group in groups {
            if let Some(events) = group.messages {
                chosen.push((Choice::of(&group.filter, context)?, events));
            }
        }
        Ok(Self {
            groups: chosen,
            watched: BTreeMap::new(),
        })
    }

    /// Watches what is there to be watched, and no longer what is not. On a thread of the volume.
    ///
    /// # Errors
    /// `NO [NOTIFICATIONOVERFLOW]` if there are too many; what the store gives.
    pub(super) fn choose(
        &mut self,
        context: &Context<'_>,
        waker: &Waker,
    ) -> Result<(), CommandError> {
        let mut wanted = self.wanted(context)?;
        if wanted.len() > MAX_WATCHED {
            return Err(CommandError::no(
                Code::NotificationOverflow,
                "too many mailboxes to watch",
            ));
        }
        self.watched.retain(|name, watched| {
            wanted
                .remove(name)
                .map(|events| watched.events = events)
                .is_some()
        });
        for (name, events) in wanted {
            // one that went away meanwhile is as one that never was
            let mailbox = match context.account.open(&name, Intake::Look) {
                Ok(mailbox) => mailbox,
                Err(Error::NonExistent) => continue,
                Err(error) => return Err(error.into()),
            };
            let watch = mailbox.watch(Arc::clone(waker));
            match mailbox.refresh(Intake::Look) {
                Ok(()) => {}
                Err(Error::NonExistent) => continue,
                Err(error) => return Err(error.into()),
            }
            let told = status_of(&mailbox.read());
            let watched = Watched {
                mailbox,
                _watch: watch,
                events,
                told,
            };
            self.watched.insert(name, watched);
        }
        Ok(())
    }

    /// The mailboxes to be watched, each with what all its groups together ask for.
    fn wanted(
        &self,
        context: &Context<'_>,
    ) -> Result<BTreeMap<MailboxName, MessageEvents>, CommandError> {
        let mut wanted = BTreeMap::new();
        if self.groups.is_empty() {
            return Ok(wanted);
        }
        let needs_subscriptions = |(choice, _): &(Choice, _)| matches!(choice, Choice::Subscribed);
        let subscriptions = if self.groups.iter().any(needs_subscriptions) {
            context.account.subscriptions()?
        } else {
            BTreeSet::new()
        };
        for listed in context.account.mailboxes()? {
            let named = self
                .groups
                .iter()
                .filter(|(choice, _)| choice.contains(&listed.name, &subscriptions));
            let events = named.map(|(_, events)| *events).reduce(|one, two| {
                let flags = one.flags || two.flags;
                MessageEvents { flags }
            });
            if let Some(events) = events.filter(|_| listed.selectable) {
                wanted.insert(listed.name, events);
            }
        }
        Ok(wanted)
    }

    /// Tells how all of them are, but for the selected one (§3.1).
    pub(super) fn tell_all(
        &mut self,
        context: &Context<'_>,
        selected: Option<&MailboxName>,
        out: &mut Responses<'_>,
    ) {
        let tells_mod_seqs = context.dialect.tells_mod_seqs();
        for (name, watched) in &mut self.watched {
            let present = watched.present();
            let mut items = vec![
                StatusItem::Messages,
                StatusItem::UidNext,
                StatusItem::UidValidity,
            ];
            items.extend(watched.events.flags.then_some(StatusItem::Unseen));
            items.extend(tells_mod_seqs.then_some(StatusItem::HighestModSeq));
            if selected != Some(name) {
                tell(context, name, &items, &present, out);
            }
            watched.told = present;
        }
    }

    /// True if one of them must be looked at on the disk.
    pub(super) fn needs_disk(&self) -> bool {
        self.watched
            .values()
            .any(|watched| !watched.mailbox.is_current())
    }

    /// Looks at those that may have changed. On a thread of the volume. Returns false if one could not be looked at.
    pub(super) fn look(&mut self) -> bool {
        let mut is_well = true;
        self.watched.retain(|_, watched| {
            if watched.mailbox.is_current() {
                return true;
            }
            let seen = watched.mailbox.refresh(Intake::Look);
            is_well &= matches!(seen, Ok(()) | Err(Error::NonExistent));
            seen != Err(Error::NonExistent)
        });
        is_well
    }

    /// Tells what has changed since it was told last, but for the selected mailbox, of which SELECTED decides (§3.1).
    pub(super) fn tell_news(
        &mut self,
        context: &Context<'_>,
        selected: Option<&MailboxName>,
        out: &mut Responses<'_>,
    ) {
        let tells_mod_seqs = context.dialect.tells_mod_seqs();
        for (name, watched) in &mut self.watched {
            let present = watched.present();
            let items = watched.news(&present, tells_mod_seqs);
            if selected != Some(name) && !items.is_empty() {
                tell(context, name, &items, &present, out);
            }
            watched.told = present;
        }
    }
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
        let items = status_items(items, status, None, context.settings.append_limit_octets);
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
