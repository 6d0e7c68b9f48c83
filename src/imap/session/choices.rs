//! Which mailboxes the event groups of a NOTIFY speak of (RFC 5465 §6.2–6.6).

use super::listing::{Difference, Listing};
use super::reply::CommandError;
use crate::imap::commands::Context;
use crate::imap::types::event_groups::{EventGroup, Filter, MessageEvents};
use crate::mailbox::backend::Error;
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeMap, BTreeSet};

/// All groups of a NOTIFY but that of the selected mailbox.
#[derive(Debug, Default)]
pub(super) struct Choices(Vec<Choice>);

/// One group.
#[derive(Debug)]
struct Choice {
    mailboxes: Mailboxes,
    messages: Option<MessageEvents>,
    names: bool,
    subscriptions: bool,
}

/// A filter with its names as mailboxes.
#[derive(Debug)]
enum Mailboxes {
    /// INBOXES and PERSONAL
    All,
    /// SUBSCRIBED
    Subscribed,
    /// SUBTREE
    Subtree(Vec<MailboxName>),
    /// MAILBOXES
    Named(BTreeSet<MailboxName>),
}

impl Mailboxes {
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
            Filter::Mailboxes(arguments) => Self::Named(names(arguments)?.into_iter().collect()),
        })
    }

    /// True if a name is among them.
    fn contains(&self, name: &MailboxName, listing: &Listing) -> bool {
        match self {
            Self::All => true,
            Self::Subscribed => listing.subscriptions.contains(name),
            Self::Subtree(roots) => roots.iter().any(|root| name == root || name.is_below(root)),
            Self::Named(names) => names.contains(name),
        }
    }
}

impl Choices {
    /// Those of a NOTIFY SET.
    ///
    /// # Errors
    /// What the store gives where names must be looked up.
    pub(super) fn new(groups: &[EventGroup], context: &Context<'_>) -> Result<Self, CommandError> {
        let choice = |group: &EventGroup| {
            Ok::<_, CommandError>(Choice {
                mailboxes: Mailboxes::of(&group.filter, context)?,
                messages: group.messages,
                names: group.names,
                subscriptions: group.subscriptions,
            })
        };
        let is_wanted =
            |group: &&EventGroup| group.messages.is_some() || group.names || group.subscriptions;
        let wanted = groups.iter().filter(is_wanted);
        Ok(Self(wanted.map(choice).collect::<Result<_, _>>()?))
    }

    /// True if there is nothing to tell of any mailbox.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if renames are to be told.
    pub(super) fn tells_names(&self) -> bool {
        self.0.iter().any(|choice| choice.names)
    }

    /// The mailboxes of whose messages something is to be told, each with what all its groups together ask for.
    pub(super) fn watched(&self, listing: &Listing) -> BTreeMap<MailboxName, MessageEvents> {
        let events_of = |name: &MailboxName| {
            let covering = self.0.iter().filter(|choice| {
                choice.messages.is_some() && choice.mailboxes.contains(name, listing)
            });
            covering
                .filter_map(|choice| choice.messages)
                .reduce(|one, two| MessageEvents {
                    flags: one.flags || two.flags,
                })
        };
        listing
            .selectable()
            .filter_map(|name| Some((name.clone(), events_of(name)?)))
            .collect()
    }

    /// The names that are to be told by LIST, after `before` has become `after`.
    pub(super) fn told(
        &self,
        difference: &Difference,
        before: &Listing,
        after: &Listing,
    ) -> BTreeSet<MailboxName> {
        let covers = |choice: &Choice, name: &MailboxName| {
            [before, after]
                .into_iter()
                .any(|listing| choice.mailboxes.contains(name, listing))
        };
        let names = difference
            .affected
            .iter()
            .filter(|name| (self.0.iter()).any(|choice| choice.names && covers(choice, name)));
        let renamed = difference.renamed.keys().filter(|name| {
            difference.old_name(name).is_some_and(|old| {
                let either = |choice: &Choice| covers(choice, name) || covers(choice, old);
                self.0.iter().any(|choice| choice.names && either(choice))
            })
        });
        let subscriptions = difference.subscriptions.iter().filter(|name| {
            (self.0.iter()).any(|choice| choice.subscriptions && covers(choice, name))
        });
        names.chain(renamed).chain(subscriptions).cloned().collect()
    }
}
