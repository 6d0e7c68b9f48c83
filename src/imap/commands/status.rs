//! STATUS (RFC 9051 §6.3.11, RFC 8438, RFC 7889, RFC 7162 §3.1.7, RFC 8474 §4.3).

use super::Context;
use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandResult, Completed, Responses};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::list::{StatusItem, StatusValue};
use crate::imap::types::response::Untagged;
use crate::mailbox::backend::{Account, Result, Status};
use crate::mailbox::name::MailboxName;

/// Tells of a mailbox, also of the selected one.
pub(crate) fn status(
    context: &Context<'_>,
    selected: Option<&Selected>,
    mailbox: &MailboxArg,
    items: &[StatusItem],
    out: &mut Responses<'_>,
) -> CommandResult {
    let name = context.existing(mailbox)?;
    let status = context.account.status(&name, wants_size(items))?;
    let id = wanted_id(items, context.account, &name)?;
    // what is recent for this connection is no longer recent for others
    let recent = selected
        .filter(|selected| selected.name == name)
        .map(|selected| selected.view.recent_count());
    out.push(&Untagged::MailboxStatus {
        mailbox: if name.is_inbox() {
            b"INBOX".to_vec()
        } else {
            mailbox.0.clone()
        },
        items: status_items(
            items,
            &status,
            recent,
            context.settings.append_limit_octets,
            id.as_deref(),
        ),
    });
    Ok(Completed::PLAIN)
}

/// True if the octets of all messages are asked for, which takes longer.
pub(crate) fn wants_size(items: &[StatusItem]) -> bool {
    items.contains(&StatusItem::Size)
}

/// The identifier of a mailbox, if it is asked for.
///
/// # Errors
/// As [`Account::mailbox_id`].
pub(crate) fn wanted_id(
    items: &[StatusItem],
    account: &dyn Account,
    name: &MailboxName,
) -> Result<Option<String>> {
    if items.contains(&StatusItem::MailboxId) {
        account.mailbox_id(name)
    } else {
        Ok(None)
    }
}

/// Items and values. What the store could not tell is left out.
pub(crate) fn status_items(
    items: &[StatusItem],
    status: &Status,
    recent: Option<u32>,
    append_limit: u64,
    mailbox_id: Option<&str>,
) -> Vec<(StatusItem, StatusValue)> {
    let value = |item: StatusItem| {
        Some(StatusValue::Number(match item {
            StatusItem::Messages => status.counts.messages.into(),
            StatusItem::Recent => recent.unwrap_or(status.counts.recent).into(),
            StatusItem::UidNext => status.uid_next.value().into(),
            StatusItem::UidValidity => status.uid_validity.value().into(),
            StatusItem::Unseen => status.counts.unseen.into(),
            StatusItem::Deleted => status.counts.deleted.into(),
            StatusItem::Size => status.size?,
            StatusItem::AppendLimit => append_limit,
            StatusItem::HighestModSeq => status.highest_mod_seq.0,
            StatusItem::MailboxId => return Some(StatusValue::ObjectId(mailbox_id?.to_owned())),
        }))
    };
    items
        .iter()
        .filter_map(|item| Some((*item, value(*item)?)))
        .collect()
}
