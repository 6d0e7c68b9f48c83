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
    selected: &mut Selected,
    only: Option<&SequenceSet>,
) -> CommandResult {
    if selected.read_only {
        return Err(READ_ONLY);
    }
    let mut deleted = match only {
        Some(set) => resolve_uids(set, true, selected)?,
        None => selected.view.iter().map(|(_, uid)| uid).collect(),
    };
    deleted = find_deleted(selected, &deleted)?;
    if only.is_some() {
        // EXPUNGE knows no limit (RFC 9738 §3.1)
        deleted = selected.limits.cut_set(deleted);
    }
    remove(context, selected, &deleted)?;
    Ok(Completed::PLAIN)
}

/// Removes those of the messages that are marked `\Deleted`. Returns those removed.
pub(crate) fn remove_deleted(
    context: &Context<'_>,
    selected: &mut Selected,
    among: &UidSet,
) -> Result<UidSet, CommandError> {
    let deleted = find_deleted(selected, among)?;
    remove(context, selected, &deleted)
}

/// Those of the messages that are marked `\Deleted`, by what is on disk now: another program may have taken the mark away.
fn find_deleted(selected: &Selected, among: &UidSet) -> Result<UidSet, CommandError> {
    if !selected.mailbox.is_current() {
        selected.mailbox.refresh(Intake::Take)?;
    }
    let messages = selected.mailbox.read();
    let is_deleted = |uid| {
        let flags = messages.flags(uid);
        flags.is_some_and(|flags| flags.has(SystemFlag::Deleted))
    };
    Ok(among.iter().filter(|uid| is_deleted(*uid)).collect())
}

/// Removes messages; returns those removed.
fn remove(
    context: &Context<'_>,
    selected: &mut Selected,
    deleted: &UidSet,
) -> Result<UidSet, CommandError> {
    if deleted.is_empty() {
        return Ok(UidSet::new());
    }
    let removed = selected.mailbox.expunge(deleted)?;
    context
        .tally
        .count_removed(u64::try_from(removed.len()).unwrap_or(u64::MAX));
    selected.view.lose(&removed);
    Ok(removed)
}
