//! What a connection must hear before the end of a command: messages gone, arrived, changed (RFC 9051 §5.2, §7.5).
//!
//! [`Pending::take`] brings the view up to date at once; the responses are then written in pieces, and the view does not change again before
//! the last one, so that their sequence numbers stay right.

use super::reply::Responses;
use super::vanished::Vanished;
use super::{Dialect, Progress, Selected};
use crate::imap::commands::messages::collapse;
use crate::imap::encode::fetch::FetchWriter;
use crate::imap::types::response::{Code, Condition, ContextUpdate, FlagList, Untagged};
use crate::mailbox::flag::{KeywordTable, SystemFlag};
use crate::mailbox::id::ModSeq;
use crate::mailbox::messages::Messages;
use crate::mailbox::view::{Changes, Expunges};
use crate::protocol::HIGH_WATER_OCTETS;
use std::collections::VecDeque;

/// Changes that the view has taken in and the client has not heard of yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    first: Option<Box<Untagged>>,
    /// Results of searches that are expunged; told before that.
    updates: VecDeque<ContextUpdate>,
    changes: Changes,
    with_uids: bool,
    told_expunges: usize,
    vanished: Vanished,
    told_counts: bool,
    told_flags: usize,
}

impl Pending {
    /// One response, and nothing of a mailbox.
    pub(crate) fn only(response: Untagged) -> Self {
        Self {
            first: Some(Box::new(response)),
            ..Self::default()
        }
    }

    /// Has a response told before everything else.
    pub(crate) fn say_first(&mut self, response: Untagged) {
        self.first = Some(Box::new(response));
    }

    /// Brings the view up to date, as far as `expunges` allows.
    ///
    /// FETCH responses carry the UID after a UID command (RFC 9051 §6.4.9) or a NOTIFY (RFC 5465 §5.1), and always in IMAP4rev2 (§7.5.2)
    /// and with CONDSTORE (RFC 7162 §3.2.4).
    pub(crate) fn take(
        selected: &mut Selected,
        expunges: Expunges,
        with_uids: bool,
        dialect: Dialect,
    ) -> Self {
        let is_current = {
            let messages = selected.mailbox.read();
            selected.view.is_current(&messages, expunges)
        };
        let mut pending = Self {
            with_uids: !dialect.uid_only && (with_uids || dialect.rev2 || dialect.tells_mod_seqs()),
            ..Self::default()
        };
        if !is_current {
            let last_before = selected.view.last_uid();
            let mut messages = selected.mailbox.write();
            pending.changes = selected
                .view
                .sync(&mut messages, expunges, !selected.read_only);
            pending.updates = selected.contexts.note(
                &pending.changes,
                last_before,
                &selected.view,
                &selected.own_arrivals,
            );
            if dialect.tells_vanished() {
                let gone = pending.changes.expunged.iter().rev();
                pending.vanished = Vanished::now(collapse(gone.map(|(_, uid)| uid.value())));
                pending.told_expunges = pending.changes.expunged.len();
            }
        }
        pending
    }

    /// Writes what is still to be said, as far as there is room.
    pub(crate) fn advance(
        &mut self,
        selected: Option<&mut Selected>,
        dialect: Dialect,
        out: &mut Vec<u8>,
    ) -> Progress {
        if let Some(response) = self.first.take() {
            Responses::new(dialect, out).push(&response);
        }
        let Some(selected) = selected else {
            return Progress::Done;
        };
        while let Some(update) = self.updates.pop_front() {
            Responses::new(dialect, out).push(&Untagged::ContextUpdate(update));
            if out.len() >= HIGH_WATER_OCTETS {
                return Progress::More;
            }
        }
        if self.vanished.advance(dialect, out) == Progress::More {
            return Progress::More;
        }
        let gone = self.changes.expunged.get(self.told_expunges..);
        for (seq_num, _) in gone.unwrap_or_default() {
            if out.len() >= HIGH_WATER_OCTETS {
                return Progress::More;
            }
            Responses::new(dialect, out).push(&Untagged::Expunge(*seq_num));
            self.told_expunges += 1;
        }
        if !self.told_counts {
            self.tell_counts(&mut Responses::new(dialect, out), dialect);
            tell_new_keywords(selected, &mut Responses::new(dialect, out));
            self.told_counts = true;
        }
        self.tell_flags(selected, dialect, out)
    }

    /// Flags that changed, as far as there is room.
    fn tell_flags(
        &mut self,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Vec<u8>,
    ) -> Progress {
        let messages = selected.mailbox.read();
        let mut highest = ModSeq::ZERO;
        let mut progress = Progress::Done;
        let changed = self.changes.flags.get(self.told_flags..);
        for (seq_num, uid) in changed.unwrap_or_default() {
            if out.len() >= HIGH_WATER_OCTETS {
                progress = Progress::More;
                break;
            }
            self.told_flags += 1;
            let Some(position) = messages.position(*uid) else {
                continue;
            };
            let mut writer = FetchWriter::new(dialect.number(*seq_num, *uid), out);
            if self.with_uids {
                writer.uid(*uid);
            }
            writer.flags(FlagList {
                flags: messages.flags_at(position),
                recent: !dialect.rev2 && selected.view.is_recent(*uid),
                keywords: messages.keywords(),
            });
            if dialect.tells_mod_seqs() {
                let mod_seq = messages.mod_seq_at(position);
                writer.mod_seq(mod_seq);
                highest = highest.max(mod_seq);
            }
            writer.finish();
        }
        drop(messages);
        selected.hears_of(highest);
        progress
    }

    /// HIGHESTMODSEQ, if the client must be told now that all is said.
    pub(super) fn mod_seq_due(&self, selected: &mut Selected, dialect: Dialect) -> Option<ModSeq> {
        selected.mod_seq_due(!self.changes.expunged.is_empty(), dialect)
    }

    fn tell_counts(&self, out: &mut Responses<'_>, dialect: Dialect) {
        if let Some(exists) = self.changes.exists {
            out.push(&Untagged::Exists(exists));
        }
        if let Some(recent) = self.changes.recent.filter(|_| !dialect.rev2) {
            out.push(&Untagged::Recent(recent));
        }
    }
}

/// FLAGS and PERMANENTFLAGS again, if keywords were added since they were told: before any FETCH that may name one (RFC 9051 §7.3.5).
pub(crate) fn tell_new_keywords(selected: &mut Selected, out: &mut Responses<'_>) {
    let messages = selected.mailbox.read();
    let keywords = messages.keywords().iter().count();
    if keywords != selected.told_keywords {
        tell_flags(&messages, selected.read_only, out);
        selected.told_keywords = keywords;
    }
}

/// FLAGS and PERMANENTFLAGS: what there is, and what the client may change.
pub(crate) fn tell_flags(messages: &Messages, read_only: bool, out: &mut Responses<'_>) {
    let flags = flag_names(messages.keywords());
    out.push(&Untagged::Flags(flags.clone()));
    let permanent = if read_only {
        Vec::new()
    } else {
        let more = messages.keywords().has_room().then(|| "\\*".to_owned());
        flags.into_iter().chain(more).collect()
    };
    let text = if read_only {
        "Read-only mailbox"
    } else {
        "Flags permitted"
    };
    out.push(&Untagged::Status(
        Condition::Ok,
        super::reply::text(Code::PermanentFlags(permanent), text),
    ));
}

fn flag_names(keywords: &KeywordTable) -> Vec<String> {
    let system = SystemFlag::ALL.iter().map(|flag| flag.as_str().to_owned());
    let keywords = keywords.iter().map(|(_, keyword)| keyword.to_string());
    system.chain(keywords).collect()
}
