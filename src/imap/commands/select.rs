//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3). HIGHESTMODSEQ is told to all (RFC 7162 §3.1.2), and a client that was here before may be
//! told what changed since (§3.2.5).

use super::Context;
use super::fetch::FetchCursor;
use super::list::attributes_of;
use super::messages::vanished_since;
use crate::imap::session::reply::{CommandError, Completed, Responses};
use crate::imap::session::sync::tell_flags;
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::{Code, ListEntry, Untagged};
use crate::imap::types::select::{Known, MatchData, Select};
use crate::mailbox::backend::Intake;
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::View;

/// Opens a mailbox and tells what is in it. With QRESYNC, what changed since is what the cursor tells.
pub(crate) fn select(
    context: &Context<'_>,
    select: &Select,
    read_only: bool,
    out: &mut Responses<'_>,
) -> Result<(Selected, Option<FetchCursor>, Completed), CommandError> {
    let mailbox = &select.mailbox;
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
    let id = context.account.mailbox_id(&name)?;
    let mut news = None;
    let selected = Selected::open_telling(opened, name, read_only, |messages, view| {
        tell_flags(messages, read_only, out);
        tell_numbers(messages, view, context.dialect, out);
        out.ok(Code::HighestModSeq(view.settled()), "Highest");
        if let Some(id) = id {
            out.ok(Code::MailboxId(id), "Identifier of the mailbox");
        }
        let known = select.qresync.as_deref();
        // another UIDVALIDITY: the client will see that and forget what it knew
        let known = known.filter(|known| known.uid_validity == messages.uid_validity());
        news = known.map(|known| changed_since(known, messages, view, read_only, context.dialect));
    });
    let code = if read_only {
        Code::ReadOnly
    } else {
        Code::ReadWrite
    };
    Ok((selected, news, Completed::with(code)))
}

/// What a client is told of that knew the mailbox before (RFC 7162 §3.2.5.1).
fn changed_since(
    known: &Known,
    messages: &Messages,
    view: &View,
    read_only: bool,
    dialect: Dialect,
) -> FetchCursor {
    let mut gone = vanished_since(known.mod_seq, known.uids.as_ref(), messages, view);
    if let Some(matches) = &known.matches {
        gone = gone.difference(&known_to_be_gone(matches, view));
    }
    let is_known = |uid| known.uids.as_ref().is_none_or(|uids| uids.contains(uid));
    let changed = messages
        .uids()
        .iter()
        .enumerate()
        .filter(|(at, uid)| messages.mod_seq_at(*at) > known.mod_seq && is_known(**uid))
        .filter_map(|(_, uid)| Some((view.seq_of(*uid)?, *uid)))
        .collect();
    let items = vec![FetchItem::Flags, FetchItem::ModSeq];
    FetchCursor::of(true, changed, items, read_only, dialect).after_vanished(&gone)
}

/// The UIDs of whose fate a client knows: all up to the highest whose number it has right (RFC 7162 §3.2.5.2).
fn known_to_be_gone(matches: &MatchData, view: &View) -> UidSet {
    let is_right = |(number, uid): &(u32, u32)| {
        let found = SeqNum::new(*number).and_then(|seq_num| view.uid_of(seq_num));
        found.map(Uid::value) == Some(*uid)
    };
    let existing = matches
        .pairs()
        .take_while(|(number, _)| *number <= view.len());
    let highest = existing.filter(is_right).last();
    highest.map(|(_, uid)| 1..=uid).into_iter().collect()
}

fn tell_numbers(messages: &Messages, view: &View, dialect: Dialect, out: &mut Responses<'_>) {
    out.push(&Untagged::Exists(view.len()));
    if !dialect.rev2 {
        out.push(&Untagged::Recent(view.recent_count()));
        // UNSEEN is a message number
        if let Some(first) = messages.first_unseen().filter(|_| !dialect.uid_only) {
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
