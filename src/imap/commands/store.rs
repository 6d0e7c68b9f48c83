//! STORE and UID STORE (RFC 9051 §6.4.6), on condition that nobody changed the messages since (RFC 7162 §3.1.3).

use super::READ_ONLY;
use super::fetch::FetchCursor;
use super::messages::{collapse, resolve};
use crate::imap::session::reply::{CommandError, Completed};
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::command::Store;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::Code;
use crate::mailbox::backend::{Error, FlagChange, Stored};
use crate::mailbox::id::{SeqNum, Uid};

/// Changes flags. Returns the FETCH that answers, if there is one, and how the command ends when that is done.
///
/// The change is kept from the next sync: the client knows of it, or is told by that FETCH. What others changed at the same time it
/// hears of by the sync, also with `.SILENT`, and so it hears of the flags of messages that failed UNCHANGEDSINCE, or of all those named
/// by a `.SILENT` that ends with NO.
///
/// # Errors
/// `NO [LIMIT]` when there is no room for a keyword, `NO [EXPUNGEISSUED]` or `NO [MODIFIED …]` if messages named by number are gone: the
/// others are changed all the same (RFC 2180 §4.2).
pub(crate) fn store(
    command: &Store,
    selected: &mut Selected,
    dialect: Dialect,
) -> Result<(Option<FetchCursor>, Completed), CommandError> {
    if selected.read_only {
        return Err(READ_ONLY);
    }
    if command.names_recent {
        return Err(CommandError::no(
            Code::Cannot,
            "\\Recent cannot be changed by a client",
        ));
    }
    let messages = resolve(&command.set, command.uid, selected)?;
    let mut messages = selected.limits.cut(messages, |(_, uid)| *uid);
    if messages.is_empty() {
        return Ok((None, Completed::PLAIN));
    }
    if command.unchanged_since.is_some() && !selected.mailbox.is_current() {
        // what other programs have changed meanwhile fails the test too
        selected.mailbox.refresh(selected.intake())?;
    }
    let change = FlagChange {
        action: command.action,
        flags: command.flags.clone(),
        unchanged_since: command.unchanged_since,
    };
    let uids = messages
        .iter()
        .map(|(_, uid)| uid.value()..=uid.value())
        .collect();
    let stored = selected.mailbox.store(&uids, &change)?;
    // after a NO the client cannot know which of them were changed
    let is_refused = !command.uid && !stored.missing.is_empty();
    let silent = command.silent && !is_refused;
    if let Some(mod_seq) = stored.mod_seq {
        selected.view.silence(mod_seq);
    }
    selected.view.remind(&stored.modified);
    let completed = completed(command.uid, &messages, &stored);
    messages.retain(|(_, uid)| !stored.modified.contains(*uid));
    let items = answered_items(silent, dialect);
    if silent && command.unchanged_since.is_none() {
        // those that had these flags already have no new mod-sequence either
        let shared = selected.mailbox.read();
        let is_changed = |uid| {
            let position = shared.position(uid);
            position.is_some_and(|at| Some(shared.mod_seq_at(at)) >= stored.mod_seq)
        };
        messages.retain(|(_, uid)| stored.mod_seq.is_some() && is_changed(*uid));
    }
    if items.is_empty() || messages.is_empty() {
        return if is_refused {
            Err(CommandError::Store(Error::Expunged).beside(completed))
        } else {
            Ok((None, completed))
        };
    }
    let mut cursor = FetchCursor::of(command.uid, messages, items, selected.read_only, dialect);
    if !stored.missing.is_empty() {
        cursor.note_gone();
    }
    Ok((Some(cursor), completed))
}

/// What is told of messages that were changed: their mod-sequence even if `.SILENT` (RFC 7162 §3.1.3).
fn answered_items(silent: bool, dialect: Dialect) -> Vec<FetchItem> {
    let mut items = Vec::new();
    if !silent {
        items.push(FetchItem::Flags);
    }
    if dialect.tells_mod_seqs() {
        items.push(FetchItem::ModSeq);
        if !dialect.uid_only {
            items.push(FetchItem::Uid);
        }
    }
    items
}

/// OK, with MODIFIED if messages failed UNCHANGEDSINCE.
fn completed(uid: bool, messages: &[(SeqNum, Uid)], stored: &Stored) -> Completed {
    if stored.modified.is_empty() {
        return Completed::PLAIN;
    }
    let modified = messages
        .iter()
        .filter(|(_, uid)| stored.modified.contains(*uid))
        .map(|(seq_num, message)| {
            if uid {
                message.value()
            } else {
                seq_num.value()
            }
        });
    Completed {
        code: Some(Code::Modified(collapse(modified))),
        text: Some("Conditional STORE failed"),
    }
}
