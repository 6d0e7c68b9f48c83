//! STATUS (RFC 9051 §6.3.11, RFC 8438, RFC 7889, RFC 7162 §3.1.7).

use super::Context;
use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandResult, Completed, Responses};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::list::StatusItem;
use crate::imap::types::response::Untagged;
use crate::mailbox::backend::Status;

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
        items: status_items(items, &status, recent, context.settings.append_limit_octets),
    });
    Ok(Completed::PLAIN)
}

/// True if the octets of all messages are asked for, which takes longer.
pub(crate) fn wants_size(items: &[StatusItem]) -> bool {
    items.contains(&StatusItem::Size)
}

/// Items and values. What the store could not tell is left out.
pub(crate) fn status_items(
    items: &[StatusItem],
    status: &Status,
    recent: Option<u32>,
    append_limit: u64,
) -> Vec<(StatusItem, u64)> {
    let value = |item: StatusItem| {
        Some(match item {
            StatusItem::Messages => status.counts.messages.into(),
            StatusItem::Recent => recent.unwrap_or(status.counts.recent).into(),
            StatusItem::UidNext => status.uid_next.value().into(),
            StatusItem::UidValidity => status.uid_validity.value().into(),
            StatusItem::Unseen => status.counts.unseen.into(),
            StatusItem::Deleted => status.counts.deleted.into(),
            StatusItem::Size => status.size?,
            StatusItem::AppendLimit => append_limit,
            StatusItem::HighestModSeq => status.highest_mod_seq.0,
        })
    };
    items
        .iter()
        .filter_map(|item| Some((*item, value(*item)?)))
        .collect()
}
