//! LSUB (RFC 3501 §6.3.9), which some clients use and nothing else.

use super::plan::Patterns;
use crate::imap::commands::Context;
use crate::imap::session::reply::{CommandResult, Completed, Responses};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::list::ListAttribute;
use crate::imap::types::response::{ListEntry, Untagged};
use crate::mailbox::backend::Listed;
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeMap, BTreeSet};

/// Tells of subscriptions, and for a pattern that ends in `%` also of the levels above those that it does not match itself.
///
/// Special uses are told as well: Outlook asks by LSUB alone and wants to know them.
pub(crate) fn lsub(
    context: &Context<'_>,
    reference: &MailboxArg,
    pattern: &[u8],
    out: &mut Responses<'_>,
) -> CommandResult {
    let names = context.names;
    if pattern.is_empty() {
        out.push(&Untagged::List(entry(
            vec![ListAttribute::NoSelect],
            names.delimiter,
            Vec::new(),
        )));
        return Ok(Completed::PLAIN);
    }
    let subscriptions = context.account.subscriptions()?;
    let listed: BTreeMap<MailboxName, Listed> = context
        .account
        .mailboxes()?
        .into_iter()
        .map(|listed| (listed.name.clone(), listed))
        .collect();
    let pattern = [pattern.to_vec()];
    let mut shown = BTreeSet::new();
    let plain = Patterns::plain(&names, &reference.0, &pattern);
    for (name, is_subscribed) in select(&subscriptions, |name| name.join(names.delimiter), &plain) {
        if let Some(mailbox) = names
            .encode(&name)
            .filter(|wire| shown.insert(wire.clone()))
        {
            let attributes = attributes(&listed, &name, is_subscribed);
            out.push(&Untagged::List(entry(attributes, names.delimiter, mailbox)));
        }
    }
    for alias in names.aliases() {
        let patterns = Patterns::under(alias, &names, &reference.0, &pattern);
        let text = |name: &MailboxName| alias.text(name).unwrap_or_default();
        for (name, is_subscribed) in select(&subscriptions, text, &patterns) {
            let wire = names.encode_alias(&name, alias);
            if let Some(mailbox) = wire.filter(|wire| shown.insert(wire.clone())) {
                let attributes = attributes(&listed, &name, is_subscribed);
                out.push(&Untagged::List(entry(attributes, alias.delimiter, mailbox)));
            }
        }
    }
    Ok(Completed::PLAIN)
}

/// Names that match, and whether each is subscribed itself; INBOX first.
fn select(
    subscriptions: &BTreeSet<MailboxName>,
    text: impl Fn(&MailboxName) -> String,
    patterns: &Patterns,
) -> BTreeMap<MailboxName, bool> {
    let mut found = BTreeMap::new();
    if patterns.is_empty() {
        return found;
    }
    for name in subscriptions {
        if patterns.matches(&text(name)) {
            found.insert(name.clone(), true);
            continue;
        }
        for above in name.ancestors() {
            if patterns.matches_level(&text(&above)) {
                found.entry(above).or_insert(false);
            }
        }
    }
    found
}

fn attributes(
    listed: &BTreeMap<MailboxName, Listed>,
    name: &MailboxName,
    is_subscribed: bool,
) -> Vec<ListAttribute> {
    if !is_subscribed {
        return vec![ListAttribute::NoSelect];
    }
    let uses = listed.get(name).map(|listed| listed.special_use.as_slice());
    let uses = uses.unwrap_or_default().iter();
    uses.map(|special_use| ListAttribute::SpecialUse(*special_use))
        .collect()
}

fn entry(attributes: Vec<ListAttribute>, delimiter: char, mailbox: Vec<u8>) -> ListEntry {
    ListEntry {
        lsub: true,
        attributes,
        delimiter: Some(delimiter),
        mailbox,
        child_info_subscribed: false,
        old_name: None,
    }
}
