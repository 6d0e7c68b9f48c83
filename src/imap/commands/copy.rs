//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8, RFC 6851), with COPYUID (RFC 4315 §3).

use super::messages::resolve_uids;
use super::{Context, READ_ONLY};
use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandError, CommandResult, Completed, Responses};
use crate::imap::types::core::MailboxArg;
use crate::imap::types::response::Code;
use crate::imap::types::sequence::SequenceSet;
use crate::mailbox::backend::Transferred;
use crate::mailbox::uid_set::UidSet;

/// Copies messages: all or none, also where they are more than one command may copy.
pub(crate) fn copy(
    context: &Context<'_>,
    selected: &mut Selected,
    uid: bool,
    set: &SequenceSet,
    mailbox: &MailboxArg,
) -> CommandResult {
    let uids = resolve_uids(set, uid, selected)?;
    let target = context.existing(mailbox)?;
    if uids.is_empty() {
        return Ok(nothing_found());
    }
    selected.limits.check_copy(&uids)?;
    let copied = selected
        .mailbox
        .copy(&uids, &target)
        .map_err(CommandError::Target)?;
    context.tally.count_added(count(&copied));
    selected.placed = Some((target, placed(&copied)));
    Ok(Completed {
        code: copy_uid(&copied),
        text: None,
    })
}

/// Moves messages. COPYUID comes before the EXPUNGE responses of the next sync (RFC 6851 §4.3).
pub(crate) fn move_messages(
    context: &Context<'_>,
    selected: &mut Selected,
    uid: bool,
    set: &SequenceSet,
    mailbox: &MailboxArg,
    out: &mut Responses<'_>,
) -> CommandResult {
    if selected.read_only {
        return Err(READ_ONLY);
    }
    let uids = resolve_uids(set, uid, selected)?;
    let uids = selected.limits.cut_set(uids);
    let target = context.existing(mailbox)?;
    if uids.is_empty() {
        return Ok(nothing_found());
    }
    let moved = selected
        .mailbox
        .move_to(&uids, &target)
        .map_err(CommandError::Target)?;
    context.tally.count_added(count(&moved));
    context.tally.count_removed(count(&moved));
    let gone = moved.pairs.iter().map(|(from, _)| *from).collect();
    selected.view.lose(&gone);
    selected.placed = Some((target, placed(&moved)));
    if let Some(code) = copy_uid(&moved) {
        out.ok(code, "Moved");
    }
    if !uid && moved.pairs.len() < uids.len() {
        return Err(crate::mailbox::backend::Error::Expunged.into());
    }
    Ok(Completed::PLAIN)
}

/// What is said when the set names nothing that is there: for UIDs no error (RFC 9051 §6.4.9).
const fn nothing_found() -> Completed {
    Completed {
        code: None,
        text: Some("No messages found"),
    }
}

fn copy_uid(transferred: &Transferred) -> Option<Code> {
    let (from, to): (UidSet, UidSet) = transferred.pairs.iter().copied().unzip();
    (!from.is_empty()).then_some(Code::CopyUid(transferred.uid_validity, from, to))
}

/// Where the messages are now.
fn placed(transferred: &Transferred) -> UidSet {
    transferred.pairs.iter().map(|(_, to)| *to).collect()
}

fn count(transferred: &Transferred) -> u64 {
    u64::try_from(transferred.pairs.len()).unwrap_or(u64::MAX)
}
