//! Which names LIST answers with, and what it says of each.

use super::Line;
use super::pattern::{MAX_PATTERN_CHARS, Pattern};
use crate::encoding::net_unicode::normalize;
use crate::imap::session::Dialect;
use crate::imap::session::names::{Alias, Names};
use crate::imap::session::reply::CommandError;
use crate::imap::types::list::{List, ListAttribute};
use crate::imap::types::response::ListEntry;
use crate::mailbox::backend::{Account, Listed};
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

/// The patterns of a command, with the reference before each, for one way of writing names.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Patterns for names as they are. What is no text matches nothing.
    pub(super) fn plain(names: &Names, reference: &[u8], patterns: &[Vec<u8>]) -> Self {
        let texts = texts(names, reference, patterns);
        Self(
            texts
                .map(|text| Pattern::new(&text, names.delimiter))
                .collect(),
        )
    }

    /// Patterns for names under an alias: only those that begin with its prefix.
    pub(super) fn under(
        alias: Alias,
        names: &Names,
        reference: &[u8],
        patterns: &[Vec<u8>],
    ) -> Self {
        let texts = texts(names, reference, patterns);
        Self(
            texts
                .filter(|text| alias.strip(text).is_some())
                .map(|text| Pattern::new(&text, alias.delimiter))
                .collect(),
        )
    }

    /// True if no name can match.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if one of them matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name = normalize(name);
        self.0.iter().any(|pattern| pattern.matches(&name))
    }

    /// True if one of them ends in `%` and matches.
    pub(super) fn matches_level(&self, name: &str) -> bool {
        let name = normalize(name);
        let mut levels = self.0.iter().filter(|pattern| pattern.ends_within_level());
        levels.any(|pattern| pattern.matches(&name))
    }
}

/// The texts to match: reference and pattern, decoded. Empty patterns are passed over (RFC 9051 §6.3.9), as well as what exceeds the budget of all of
/// them.
fn texts<'a>(
    names: &'a Names,
    reference: &'a [u8],
    patterns: &'a [Vec<u8>],
) -> impl Iterator<Item = String> + 'a {
    let mut budget = MAX_PATTERN_CHARS;
    patterns
        .iter()
        .filter(|pattern| !pattern.is_empty())
        .take_while(move |pattern| {
            let cost = reference.len() + pattern.len();
            budget = budget.saturating_sub(cost);
            budget > 0
        })
        .filter_map(move |pattern| {
            let text = [reference, pattern].concat();
            names.text(&text).map(|text| normalize(&text).into_owned())
        })
}

/// All lines of a LIST, INBOX first, then by name, then those under an alias.
pub(super) fn lines(
    command: &List,
    names: &Names,
    dialect: Dialect,
    account: &dyn Account,
) -> Result<Vec<Line>, CommandError> {
    let subscriptions = if command.selection.subscribed || command.returns.subscribed {
        account.subscriptions()?
    } else {
        BTreeSet::new()
    };
    let catalogue = Catalogue {
        command,
        dialect,
        listed: account
            .mailboxes()?
            .into_iter()
            .map(|listed| (listed.name.clone(), listed))
            .collect(),
        subscriptions,
    };
    let reference = &command.reference.0;
    let patterns = Patterns::plain(names, reference, &command.patterns);
    let mut lines = Vec::new();
    let mut shown = HashSet::new();
    let plain = |name: &MailboxName| names.encode(name);
    let text = |name: &MailboxName| Some(name.join(names.delimiter));
    let style = Style {
        delimiter: names.delimiter,
        text: &text,
        wire: &plain,
    };
    catalogue.select(&patterns, &style, &mut shown, &mut lines);
    for alias in names.aliases() {
        let patterns = Patterns::under(alias, names, reference, &command.patterns);
        let wire = |name: &MailboxName| names.encode_alias(name, alias);
        let text = |name: &MailboxName| alias.text(name);
        let style = Style {
            delimiter: alias.delimiter,
            text: &text,
            wire: &wire,
        };
        if !patterns.is_empty() {
            catalogue.select(&patterns, &style, &mut shown, &mut lines);
        }
    }
    Ok(lines)
}

/// One way of writing names: what patterns are matched against, and what is sent.
struct Style<'a> {
    delimiter: char,
    text: &'a dyn Fn(&MailboxName) -> Option<String>,
    wire: &'a dyn Fn(&MailboxName) -> Option<Vec<u8>>,
}

/// What there is, and what is asked.
struct Catalogue<'a> {
    command: &'a List,
    dialect: Dialect,
    listed: BTreeMap<MailboxName, Listed>,
    subscriptions: BTreeSet<MailboxName>,
}

impl Catalogue<'_> {
    /// Adds a line for each name that matches, unless the same name was shown already.
    fn select(
        &self,
        patterns: &Patterns,
        style: &Style<'_>,
        shown: &mut HashSet<Vec<u8>>,
        lines: &mut Vec<Line>,
    ) {
        let matches =
            |name: &MailboxName| (style.text)(name).is_some_and(|text| patterns.matches(&text));
        let (parents, needed) = self.parents_of_selected(&matches);
        let mut found: Vec<&MailboxName> = self
            .universe()
            .chain(&parents)
            .filter(|name| self.is_selected(name) || needed.contains(*name))
            .filter(|name| matches(name))
            .collect();
        found.sort_by_key(|name| (!name.is_inbox(), *name));
        found.dedup();
        for name in found {
            let Some(mailbox) = (style.wire)(name).filter(|wire| shown.insert(wire.clone())) else {
                continue;
            };
            let is_selectable = self
                .listed
                .get(name)
                .is_some_and(|listed| listed.selectable);
            let wants_status = !self.command.returns.status.is_empty() && self.is_selected(name);
            lines.push(Line {
                entry: ListEntry {
                    lsub: false,
                    attributes: self.attributes(name),
                    delimiter: Some(style.delimiter),
                    mailbox,
                    child_info_subscribed: parents.contains(name),
                    old_name: None,
                },
                status_of: (is_selectable && wants_status).then(|| name.clone()),
            });
        }
    }

    /// All names that could be selected.
    fn universe(&self) -> impl Iterator<Item = &MailboxName> {
        let subscribed = self.command.selection.subscribed;
        let unlisted = self.subscriptions.iter().filter(move |_| subscribed);
        self.listed.keys().chain(unlisted)
    }

    /// True if the selection options let the name through.
    fn is_selected(&self, name: &MailboxName) -> bool {
        let selection = self.command.selection;
        let has_use = || {
            let listed = self.listed.get(name);
            listed.is_some_and(|listed| !listed.special_use.is_empty())
        };
        (!selection.subscribed || self.subscriptions.contains(name))
            && (!selection.special_use || has_use())
    }

    /// With RECURSIVEMATCH: the names with something selected below them (CHILDINFO); and those of which that must be told because a
    /// selected name below does not match itself (RFC 9051 §6.3.9.3).
    fn parents_of_selected(
        &self,
        matches: &dyn Fn(&MailboxName) -> bool,
    ) -> (BTreeSet<MailboxName>, BTreeSet<MailboxName>) {
        let mut parents = BTreeSet::new();
        let mut needed = BTreeSet::new();
        if !self.command.selection.recursive_match {
            return (parents, needed);
        }
        for name in self.universe().filter(|name| self.is_selected(name)) {
            if !matches(name) {
                needed.extend(name.ancestors());
            }
            parents.extend(name.ancestors());
        }
        (parents, needed)
    }

    fn attributes(&self, name: &MailboxName) -> Vec<ListAttribute> {
        let listed = self.listed.get(name);
        let mut attributes = Vec::new();
        if !listed.is_some_and(|listed| listed.selectable) {
            // clients of plain RFC 3501 know only \Noselect
            let knows_nonexistent = self.command.extended || self.dialect.rev2;
            attributes.push(if knows_nonexistent {
                ListAttribute::NonExistent
            } else {
                ListAttribute::NoSelect
            });
        }
        if !self.command.extended || self.command.returns.children {
            attributes.push(if has_children(&self.listed, name) {
                ListAttribute::HasChildren
            } else {
                ListAttribute::HasNoChildren
            });
        }
        if self.subscriptions.contains(name) {
            attributes.push(ListAttribute::Subscribed);
        }
        let uses = listed.map(|listed| listed.special_use.as_slice());
        attributes.extend(
            uses.unwrap_or_default()
                .iter()
                .map(|special_use| ListAttribute::SpecialUse(*special_use)),
        );
        attributes
    }
}

/// True if there is a name below this one: in the order of names, that would come next.
pub(crate) fn has_children(listed: &BTreeMap<MailboxName, Listed>, name: &MailboxName) -> bool {
    listed
        .range((Bound::Excluded(name), Bound::Unbounded))
        .next()
        .is_some_and(|(next, _)| next.is_below(name))
}

/// What SELECT says of a mailbox in IMAP4rev2: as a basic LIST would.
pub(crate) fn attributes_of(
    account: &dyn Account,
    name: &MailboxName,
) -> Result<Vec<ListAttribute>, CommandError> {
    let listed: BTreeMap<MailboxName, Listed> = account
        .mailboxes()?
        .into_iter()
        .map(|listed| (listed.name.clone(), listed))
        .collect();
    let children = if has_children(&listed, name) {
        ListAttribute::HasChildren
    } else {
        ListAttribute::HasNoChildren
    };
    let uses = listed.get(name).map(|listed| listed.special_use.as_slice());
    let uses = uses.unwrap_or_default().iter();
    Ok(std::iter::once(children)
        .chain(uses.map(|special_use| ListAttribute::SpecialUse(*special_use)))
        .collect())
}
