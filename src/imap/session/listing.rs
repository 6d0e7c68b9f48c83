//! Which mailboxes a client that used NOTIFY knows of, and what becomes of them (RFC 5465 §5.4, §5.5).
//!
//! A listing is compared with the one before it, so that it does not matter who changed something, and how: this process, another, or a
//! hand on the disk. A mailbox that has another name now is known by its MAILBOXID.

use crate::imap::commands::list::has_children;
use crate::imap::types::list::ListAttribute;
use crate::mailbox::backend::{Account, Listed, Result};
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeMap, BTreeSet};

/// Names and subscriptions of an account at a moment.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// [`Account::names_version`] before it was read.
    pub(super) version: u64,
    mailboxes: BTreeMap<MailboxName, Listed>,
    /// MAILBOXID of those that can be selected, if renames are to be told.
    ids: BTreeMap<MailboxName, String>,
    /// Those that INBOX was renamed to.
    former_inboxes: BTreeSet<MailboxName>,
    pub(super) subscriptions: BTreeSet<MailboxName>,
}

/// What a client did itself, so that it needs no word of it.
#[derive(Debug)]
pub(super) enum OwnChange {
    /// CREATE or DELETE
    Name(MailboxName),
    /// RENAME
    Rename(MailboxName, MailboxName),
    /// SUBSCRIBE or UNSUBSCRIBE
    Subscription(MailboxName),
}

impl OwnChange {
    /// True if what became of a name follows from it. The names above come and go with it.
    fn explains_name(&self, name: &MailboxName) -> bool {
        match self {
            Self::Name(own) => name == own || own.is_below(name),
            Self::Rename(from, to) => [from, to]
                .into_iter()
                .any(|own| name == own || own.is_below(name) || name.is_below(own)),
            Self::Subscription(_) => false,
        }
    }

    /// True if the subscription to a name is its doing.
    fn explains_subscription(&self, name: &MailboxName) -> bool {
        matches!(self, Self::Subscription(own) if own == name)
    }
}

/// What differs between two listings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Names that were made or removed, and those directly above them.
    pub(super) affected: BTreeSet<MailboxName>,
    /// New names with those before; of mailboxes that only followed one above them, too.
    pub(super) renamed: BTreeMap<MailboxName, MailboxName>,
    /// Names of which the subscription changed.
    pub(super) subscriptions: BTreeSet<MailboxName>,
}

impl Difference {
    /// The former name of a mailbox that was renamed by itself, not with one above it.
    pub(super) fn old_name(&self, name: &MailboxName) -> Option<&MailboxName> {
        let old = self.renamed.get(name)?;
        let has_followed = name.ancestors().any(|above| {
            let old_above = self.renamed.get(&above);
            old_above.is_some_and(|from| old.moved(from, &above).as_ref() == Some(name))
        });
        (!has_followed).then_some(old)
    }
}

impl Listing {
    /// Reads it from the disk; with identifiers, those that are known are not read again.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn read(
        account: &dyn Account,
        known: Option<&Self>,
        with_ids: bool,
    ) -> Result<Self> {
        let version = account.names_version();
        let mut listing = Self {
            version,
            mailboxes: BTreeMap::new(),
            ids: BTreeMap::new(),
            former_inboxes: BTreeSet::new(),
            subscriptions: account.subscriptions()?,
        };
        for listed in account.mailboxes()? {
            if with_ids && listed.selectable {
                let id = match known.and_then(|known| known.ids.get(&listed.name)) {
                    Some(id) => Some(id.clone()),
                    // a mailbox without one is taken for another under each name
                    None => account.mailbox_id(&listed.name).unwrap_or_default(),
                };
                if id.as_deref().is_some_and(|id| account.was_inbox(id)) {
                    listing.former_inboxes.insert(listed.name.clone());
                }
                listing.ids.extend(id.map(|id| (listed.name.clone(), id)));
            }
            listing.mailboxes.insert(listed.name.clone(), listed);
        }
        Ok(listing)
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.mailboxes.len()
    }

    /// Names of the mailboxes that can be selected.
    pub(super) fn selectable(&self) -> impl Iterator<Item = &MailboxName> {
        let selectable = self.mailboxes.values().filter(|listed| listed.selectable);
        selectable.map(|listed| &listed.name)
    }

    /// True if there is a mailbox of this name.
    pub(super) fn has(&self, name: &MailboxName) -> bool {
        let listed = self.mailboxes.get(name);
        listed.is_some_and(|listed| listed.selectable)
    }

    /// What LIST says of a name, there or not.
    pub(super) fn attributes(&self, name: &MailboxName) -> Vec<ListAttribute> {
        let mut attributes = Vec::new();
        if !self.has(name) {
            attributes.push(ListAttribute::NonExistent);
        }
        if has_children(&self.mailboxes, name) {
            attributes.push(ListAttribute::HasChildren);
        } else if self.has(name) {
            attributes.push(ListAttribute::HasNoChildren);
        }
        if self.subscriptions.contains(name) {
            attributes.push(ListAttribute::Subscribed);
        }
        let uses = self.mailboxes.get(name);
        let uses = uses.map(|listed| listed.special_use.as_slice());
        let uses = uses.unwrap_or_default().iter();
        attributes.extend(uses.map(|special_use| ListAttribute::SpecialUse(*special_use)));
        attributes
    }

    /// What is otherwise in a later listing.
    pub(super) fn difference(&self, later: &Self) -> Difference {
        let gone: BTreeSet<&MailboxName> =
            self.selectable().filter(|name| !later.has(name)).collect();
        let come: BTreeSet<&MailboxName> =
            later.selectable().filter(|name| !self.has(name)).collect();
        let by_id: BTreeMap<&String, &MailboxName> = gone
            .iter()
            .filter_map(|name| Some((self.ids.get(*name)?, *name)))
            .collect();
        let mut difference = Difference::default();
        for name in &come {
            let moved = later.ids.get(*name).and_then(|id| by_id.get(id));
            let old = match moved {
                Some(old) => Some((*old).clone()),
                // INBOX stays, and nothing is said of it (§5.4)
                None => (later.former_inboxes.contains(*name)).then(MailboxName::inbox),
            };
            difference
                .renamed
                .extend(old.map(|old| ((*name).clone(), old)));
        }
        let moved: BTreeSet<&MailboxName> = difference.renamed.values().collect();
        let removed = gone.into_iter().filter(|name| !moved.contains(name));
        let made = come
            .into_iter()
            .filter(|name| !difference.renamed.contains_key(*name));
        let affected = removed
            .chain(made)
            .flat_map(|name| [Some(name.clone()), name.parent()]);
        difference.affected = affected.flatten().collect();
        difference.subscriptions = self
            .subscriptions
            .symmetric_difference(&later.subscriptions)
            .cloned()
            .collect();
        difference
    }

    /// Takes over from a later listing what the client did itself.
    pub(super) fn adopt(&mut self, mut later: Self, own: &OwnChange) {
        self.mailboxes.retain(|name, _| !own.explains_name(name));
        self.ids.retain(|name, _| !own.explains_name(name));
        self.subscriptions
            .retain(|name| !own.explains_subscription(name));
        later.mailboxes.retain(|name, _| own.explains_name(name));
        later.ids.retain(|name, _| own.explains_name(name));
        later
            .subscriptions
            .retain(|name| own.explains_subscription(name));
        self.mailboxes.extend(later.mailboxes);
        self.ids.extend(later.ids);
        self.subscriptions.extend(later.subscriptions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text, '/').unwrap()
    }

    /// A listing of mailboxes with their identifiers.
    fn listing(mailboxes: &[(&str, &str)]) -> Listing {
        let mut listing = Listing::default();
        for (text, id) in mailboxes {
            let listed = Listed {
                name: name(text),
                selectable: true,
                special_use: Vec::new(),
            };
            listing.ids.insert(name(text), (*id).to_owned());
            listing.mailboxes.insert(name(text), listed);
        }
        listing
    }

    #[test]
    fn what_comes_and_goes_concerns_the_name_above() {
        let before = listing(&[("a", "1"), ("a/b", "2")]);
        let after = listing(&[("a", "1"), ("c", "3")]);
        let difference = before.difference(&after);
        let affected = ["a", "a/b", "c"].map(name);
        assert_eq!(difference.affected, affected.into());
        assert!(difference.renamed.is_empty());
    }

    #[test]
    fn a_mailbox_takes_those_below_it_along() {
        let before = listing(&[("a", "1"), ("a/b", "2"), ("x", "3")]);
        let after = listing(&[("n", "1"), ("n/b", "2"), ("y", "3")]);
        let difference = before.difference(&after);
        assert!(difference.affected.is_empty());
        assert_eq!(difference.renamed.len(), 3);
        assert_eq!(difference.old_name(&name("n")), Some(&name("a")));
        assert_eq!(difference.old_name(&name("n/b")), None);
        assert_eq!(difference.old_name(&name("y")), Some(&name("x")));
    }

    #[test]
    fn own_changes_make_no_difference_and_those_of_others_do() {
        let mut known = listing(&[("a", "1")]);
        let later = || listing(&[("a", "1"), ("own/b", "2"), ("other", "3")]);
        known.adopt(later(), &OwnChange::Name(name("own/b")));
        let difference = known.difference(&later());
        assert_eq!(difference.affected, [name("other")].into());
    }
}
