//! STORE and UID STORE (RFC 9051 §6.4.6).

use super::READ_ONLY;
use super::fetch::FetchCursor;
use super::messages::resolve_uids;
use crate::imap::session::reply::CommandError;
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::command::Store;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::Code;
use crate::mailbox::backend::{Error, FlagChange};

/// Changes flags. Returns the FETCH that answers, unless it was `.SILENT`.
///
/// The change is kept from the next sync: the client knows of it, or is told by that FETCH. What others changed at the same time it
/// hears of by the sync, also with `.SILENT`.
///
/// # Errors
/// `NO [LIMIT]` when there is no room for a keyword, `NO [EXPUNGEISSUED]` if messages named by number are gone: the others are changed all
/// the same (RFC 2180 §4.2).
pub(crate) fn store(
    command: &Store,
    selected: &mut Selected,
    dialect: Dialect,
) -> Result<Option<FetchCursor>, CommandError> {
    if selected.read_only {
        return Err(READ_ONLY);
    }
    if command.names_recent {
        return Err(CommandError::no(
            Code::Cannot,
            "\\Recent cannot be changed by a client",
        ));
    }
    let uids = resolve_uids(&command.set, command.uid, selected)?;
    if uids.is_empty() {
        return Ok(None);
    }
    let change = FlagChange {
        action: command.action,
        flags: command.flags.clone(),
        unchanged_since: None,
    };
    let stored = selected.mailbox.store(&uids, &change)?;
    if let Some(mod_seq) = stored.mod_seq {
        selected.view.silence(mod_seq);
    }
    if !command.silent {
        let items = vec![FetchItem::Flags];
        return FetchCursor::new(command.uid, &command.set, items, selected, &dialect).map(Some);
    }
    if !command.uid && !stored.missing.is_empty() {
        return Err(Error::Expunged.into());
    }
    Ok(None)
}
