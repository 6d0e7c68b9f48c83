//! Which commands switch CONDSTORE on, and what a client may believe HIGHESTMODSEQ to be (RFC 7162 §3.1, §6).
//!
//! A client takes for its HIGHESTMODSEQ what the last code says, or the highest mod-sequence of a FETCH response, if that is higher. The code
//! is told at the end of a command wherever that would differ from what the view is sure of: it is lower while expunges are held
//! back (§3.2), and higher after VANISHED, EXPUNGE and EXISTS.

use super::reply::CommandError;
use super::{Dialect, Resync, Selected, Session};
use crate::imap::types::command::CommandBody;
use crate::imap::types::event_groups::Notify;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::list::StatusItem;
use crate::imap::types::response::Code;
use crate::imap::types::search::SearchKey;
use crate::mailbox::id::ModSeq;

impl Session {
    /// Switches CONDSTORE on, if this is the first command that does so, and tells HIGHESTMODSEQ of the mailbox that stays selected.
    ///
    /// # Errors
    /// BAD if the command needs what this session does not have.
    pub(super) fn notice_condstore(
        &mut self,
        body: &CommandBody,
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        if needs_qresync(body) && self.dialect.resync < Resync::Qresync {
            return Err(CommandError::bad("QRESYNC is not enabled"));
        }
        if !enables_condstore(body) {
            return Ok(());
        }
        // QRESYNC brings CONDSTORE, announced or not (RFC 7162 §3.2.3)
        if !self.is_offered("CONDSTORE") && !self.is_offered("QRESYNC") {
            return Err(CommandError::bad("CONDSTORE is not offered"));
        }
        let closes = matches!(body, CommandBody::Select(_) | CommandBody::Examine(_));
        self.raise_resync(Resync::Condstore, !closes, out);
        Ok(())
    }

    /// Switches on what was not on yet; with `tell`, HIGHESTMODSEQ of the selected mailbox is told, if this is the first time.
    pub(super) fn raise_resync(&mut self, resync: Resync, tell: bool, out: &mut Vec<u8>) {
        let before = self.dialect;
        self.dialect.resync = before.resync.max(resync);
        let is_first = self.dialect.tells_mod_seqs() && !before.tells_mod_seqs();
        let mut responses = self.responses(out);
        if let Some(selected) = self.state.selected().filter(|_| is_first && tell) {
            let settled = selected.view.settled();
            selected.client_mod_seq = settled;
            responses.ok(Code::HighestModSeq(settled), "Highest so far");
        }
    }
}

impl Selected {
    /// The client is told that a message has this mod-sequence.
    pub(crate) fn hears_of(&mut self, mod_seq: ModSeq) {
        self.client_mod_seq = self.client_mod_seq.max(mod_seq);
    }

    /// HIGHESTMODSEQ, if the client must be told: it believes otherwise, or messages `vanished`.
    pub(super) fn mod_seq_due(&mut self, vanished: bool, dialect: Dialect) -> Option<ModSeq> {
        let settled = self.view.settled();
        let is_due = dialect.tells_mod_seqs() && (vanished || self.client_mod_seq != settled);
        self.client_mod_seq = settled;
        is_due.then_some(settled)
    }
}

/// True for commands that are BAD without ENABLE QRESYNC (RFC 7162 §3.2.3).
const fn needs_qresync(body: &CommandBody) -> bool {
    match body {
        CommandBody::Select(select) | CommandBody::Examine(select) => select.qresync.is_some(),
        CommandBody::Fetch { modifiers, .. } => modifiers.vanished,
        _ => false,
    }
}

/// True for the commands of RFC 7162 §3.1, ENABLE apart.
fn enables_condstore(body: &CommandBody) -> bool {
    match body {
        CommandBody::Select(select) | CommandBody::Examine(select) => select.condstore,
        CommandBody::Status { items, .. } => items.contains(&StatusItem::HighestModSeq),
        CommandBody::List(list) => list.returns.status.contains(&StatusItem::HighestModSeq),
        CommandBody::Fetch {
            items, modifiers, ..
        } => items.contains(&FetchItem::ModSeq) || modifiers.changed_since.is_some(),
        CommandBody::Search { search, .. } => {
            search.key.any(SearchKey::is_mod_seq)
                || search.update_items.contains(&FetchItem::ModSeq)
        }
        CommandBody::Notify(Notify::Set(set)) => set
            .selected
            .as_ref()
            .is_some_and(|selected| selected.items.contains(&FetchItem::ModSeq)),
        CommandBody::Store(store) => store.unchanged_since.is_some(),
        _ => false,
    }
}
