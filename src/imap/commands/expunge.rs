//! EXPUNGE, UID EXPUNGE, and the removal that CLOSE does (RFC 9051 §6.4.2, §6.4.3, RFC 4315 §2.1).

use super::messages::resolve_uids;
use super::{Context, READ_ONLY};
use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandError, CommandResult, Completed};
use crate::imap::types::sequence::SequenceSet;
use crate::mailbox::backend::Intake;
use crate::mailbox::flag::SystemFlag;
use crate::mailbox::uid_set::UidSet;

/// Removes the messages marked `\Deleted`, of a set of UIDs only, if one is given. The next sync tells of them.
pub(crate) fn expunge(
    context: &Context<'_>,
    selected: &Selected,
    only: Option<&SequenceSet>,
) -> CommandResult {
    if selected.read_only {
        return Err(READ_ONLY);
    }
    let among = match only {
        Some(set) => resolve_uids(set, true, selected)?,
        None => selected.view.iter().map(|(_, uid)| uid).collect(),
    };
    remove_deleted(context, selected, &among)?;
    Ok(Completed::PLAIN)
}

/// Removes those of the messages that are marked `\Deleted`, by what is on disk now: another program may have taken the mark away.
pub(crate) fn remove_deleted(
    context: &Context<'_>,
    selected: &Selected,
    among: &UidSet,
) -> Result<(), CommandError> {
    if !selected.mailbox.is_current() {
        selected.mailbox.refresh(Intake::Take)?;
    }
    let messages = selected.mailbox.read();
    let is_deleted = |uid| {
        let flags = messages.flags(uid);
        flags.is_some_and(|flags| flags.has(SystemFlag::Deleted))
    };
    let deleted: UidSet = among.iter().filter(|uid| is_deleted(*uid)).collect();
    drop(messages);
    if !deleted.is_empty() {
        let removed = selected.mailbox.expunge(&deleted)?;
        context
            .tally
            .count_removed(u64::try_from(removed.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}
