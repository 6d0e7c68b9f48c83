//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4–6.3.8, RFC 6154 §3).

use super::Context;
use super::select::list_entry;
use crate::imap::session::reply::{CommandError, Completed, Responses};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::response::Code;
use crate::mailbox::backend::Error;
use crate::mailbox::name::{MailboxName, SpecialUse};

/// Makes a mailbox of the name given: not under the alias, but in the normal form. Returns its name as well.
pub(crate) fn create(
    context: &Context<'_>,
    mailbox: &MailboxArg,
    special_use: &[SpecialUse],
    unknown_use: bool,
    out: &mut Responses<'_>,
) -> Result<(MailboxName, Completed), CommandError> {
    // \All and \Flagged are views of other mailboxes (RFC 6154 §2), which we do not have
    let virtual_use = special_use
        .iter()
        .any(|wanted| matches!(wanted, SpecialUse::All | SpecialUse::Flagged));
    if unknown_use || virtual_use {
        return Err(CommandError::no(
            Code::UseAttr,
            "a mailbox cannot have this special use",
        ));
    }
    let name = context.new_name(mailbox)?;
    if name.is_inbox() {
        return Err(Error::AlreadyExists.into());
    }
    context.account.create(&name, special_use)?;
    if context.dialect.rev2 && context.names.decode(mailbox).as_ref() != Ok(&name) {
        out.push(&list_entry(context, mailbox, &name)?);
    }
    // the mailbox is there, whatever becomes of its identifier
    let id = context.account.mailbox_id(&name).unwrap_or_default();
    let completed = Completed {
        code: id.map(Code::MailboxId),
        ..Completed::PLAIN
    };
    Ok((name, completed))
}

/// Removes a mailbox. Returns its name.
pub(crate) fn delete(
    context: &Context<'_>,
    mailbox: &MailboxArg,
) -> Result<MailboxName, CommandError> {
    let name = context.existing(mailbox)?;
    if name.is_inbox() {
        return Err(CommandError::no(Code::Cannot, "INBOX cannot be deleted"));
    }
    match context.account.delete(&name) {
        Ok(()) => Ok(name),
        Err(Error::InUse(text)) => Err(CommandError::No(Some(Code::HasChildren), text.into())),
        Err(error) => Err(error.into()),
    }
}

/// Renames a mailbox and what is below it. Returns both names.
pub(crate) fn rename(
    context: &Context<'_>,
    from: &MailboxArg,
    to: &MailboxArg,
) -> Result<(MailboxName, MailboxName), CommandError> {
    let from = context.existing(from)?;
    let to = context.new_name(to)?;
    if to.is_inbox() || to == from {
        return Err(Error::AlreadyExists.into());
    }
    if to.is_below(&from) && !from.is_inbox() {
        return Err(CommandError::no(
            Code::Cannot,
            "a mailbox cannot be moved below itself",
        ));
    }
    context.account.rename(&from, &to)?;
    Ok((from, to))
}

/// Subscribes to a name, whether there is a mailbox or not (RFC 9051 §6.3.7). Returns it.
pub(crate) fn subscribe(
    context: &Context<'_>,
    mailbox: &MailboxArg,
) -> Result<MailboxName, CommandError> {
    context.new_name(mailbox)?;
    let name = context.existing(mailbox)?;
    context.account.set_subscribed(&name, true)?;
    Ok(name)
}

/// Takes back a subscription, made under the literal name or under the one that the alias stands for. Returns that.
pub(crate) fn unsubscribe(
    context: &Context<'_>,
    mailbox: &MailboxArg,
) -> Result<MailboxName, CommandError> {
    let literal = context.new_name(mailbox)?;
    let candidates = context.names.candidates(mailbox);
    let name = if candidates.is_empty() {
        literal
    } else {
        let subscriptions = context.account.subscriptions()?;
        std::iter::once(&literal)
            .chain(&candidates)
            .find(|name| subscriptions.contains(*name))
            .cloned()
            .unwrap_or(literal)
    };
    context.account.set_subscribed(&name, false)?;
    Ok(name)
}
