//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3). HIGHESTMODSEQ is told to all (RFC 7162 §3.1.2).

use super::Context;
use super::list::attributes_of;
use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandError, Completed, Responses};
use crate::imap::session::sync::tell_flags;
use crate::imap::types::core::MailboxArg;
use crate::imap::types::response::{Code, ListEntry, Untagged};
use crate::mailbox::backend::Intake;
use crate::mailbox::flag::SystemFlag;
use crate::mailbox::id::SeqNum;
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use crate::mailbox::view::View;

/// Opens a mailbox and tells what is in it.
pub(crate) fn select(
    context: &Context<'_>,
    mailbox: &MailboxArg,
    read_only: bool,
    out: &mut Responses<'_>,
) -> Result<(Selected, Completed), CommandError> {
    let name = context.existing(mailbox)?;
    let intake = if read_only {
        Intake::Look
    } else {
        Intake::Take
    };
    let opened = context.account.open(&name, intake)?;
    if context.dialect.rev2 {
        out.push(&list_entry(context, mailbox, &name)?);
    }
    let selected = Selected::open_telling(opened, name, read_only, |messages, view| {
        tell_flags(messages, read_only, out);
        tell_numbers(messages, view, context.dialect.rev2, out);
        out.ok(Code::HighestModSeq(view.settled()), "Highest");
    });
    let code = if read_only {
        Code::ReadOnly
    } else {
        Code::ReadWrite
    };
    Ok((selected, Completed::with(code)))
}

fn tell_numbers(messages: &Messages, view: &View, rev2: bool, out: &mut Responses<'_>) {
    out.push(&Untagged::Exists(view.len()));
    if !rev2 {
        out.push(&Untagged::Recent(view.recent_count()));
        let unseen = |at: &usize| !messages.flags_at(*at).has(SystemFlag::Seen);
        if let Some(first) = (0..messages.len()).find(unseen) {
            out.ok(Code::Unseen(SeqNum::at(first)), "First unseen message");
        }
    }
    out.ok(Code::UidValidity(messages.uid_validity()), "UIDs valid");
    out.ok(Code::UidNext(messages.uid_next()), "Predicted next UID");
}

/// The LIST response that IMAP4rev2 wants, with the name that the client used if that is another one.
pub(crate) fn list_entry(
    context: &Context<'_>,
    mailbox: &MailboxArg,
    name: &MailboxName,
) -> Result<Untagged, CommandError> {
    let is_alias = context.names.decode(mailbox).as_ref() != Ok(name);
    Ok(Untagged::List(ListEntry {
        lsub: false,
        attributes: attributes_of(context.account, name)?,
        delimiter: Some(context.names.delimiter),
        mailbox: context
            .names
            .encode(name)
            .unwrap_or_else(|| mailbox.0.clone()),
        child_info_subscribed: false,
        old_name: is_alias.then(|| mailbox.0.clone()),
    }))
}
