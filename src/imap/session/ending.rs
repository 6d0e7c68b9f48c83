//! How commands and sessions end: the sync, the tagged response, BYE.

use super::activity::{Activity, Finish};
use super::reply::{CommandError, CommandResult, Completed, plain, tagged, text};
use super::sync::Pending;
use super::table::{Legal, Row};
use super::{Progress, Session, State};
use crate::imap::encode;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Tagged, Text, Untagged};
use crate::mailbox::backend::Error;
use crate::mailbox::uid_set::UidSet;
use crate::protocol::{Interrupt, Output};

impl Session {
    /// A command ends: brings the view up to date, and has everything said.
    pub(super) fn end(&mut self, tag: Tag, row: &'static Row, mut result: CommandResult) {
        if let Some((name, uids)) = self.state.selected().and_then(|open| open.placed.take()) {
            self.note_own_messages(&name, &uids);
        }
        let cut_beside = self.tell_cut(&mut result);
        let is_gone = matches!(result, Err(CommandError::Store(Error::NonExistent)))
            && (row.legal == Legal::Selected || row.name == "NOOP");
        // These know no NO (RFC 9051 §6.1.2, RFC 3501 §6.4.1), and have found out what was to be found out.
        let result = if is_gone && matches!(row.name, "NOOP" | "CHECK") {
            Ok(Completed::PLAIN)
        } else {
            result
        };
        match result {
            Err(CommandError::Bad(..)) => self.count_bad(),
            Ok(_) | Err(_) => self.bad_commands = 0,
        }
        let mut finish = Finish {
            pending: Pending::default(),
            tagged: Some(tagged(tag, row.name, result)),
            bye: self.patience_with_mistakes(),
            updates_later: false,
        };
        if is_gone {
            finish.bye = self.lose_mailbox(&mut finish.pending);
        } else if let State::Selected(_, selected) = &mut self.state {
            let with_uids = row.name.starts_with("UID ") || self.notices.is_some();
            finish.pending = Pending::take(selected, row.expunges, with_uids, self.dialect);
            self.want_events();
        }
        if let Some(notice) = cut_beside {
            finish.pending.say_first(notice);
        }
        tracing::debug!(
            command = row.name,
            result = ?finish.tagged.as_ref().map(|tagged| tagged.condition),
            code = ?finish.tagged.as_ref().and_then(|tagged| tagged.text.code.as_ref()),
            "command_finished"
        );
        self.activity = Activity::Finish(Box::new(finish));
    }

    /// Tells where a command stopped that may process only so many messages: in its end, or, where that has another code, by an untagged NO,
    /// which is returned (RFC 9738 §3.1).
    fn tell_cut(&mut self, result: &mut CommandResult) -> Option<Untagged> {
        let selected = self.state.selected()?;
        let cut = selected.limits.cut.take()?;
        let words = "One command processes no more messages";
        match result {
            Ok(completed) if completed.code.is_none() => {
                completed.code = Some(cut.code());
                completed.text = Some(words);
                None
            }
            _ => {
                let text = text(cut.code(), words);
                Some(Untagged::Status(Condition::No, text))
            }
        }
    }

    /// The selected mailbox is no more. Returns the BYE, if the client cannot be told otherwise.
    pub(super) fn lose_mailbox(&mut self, pending: &mut Pending) -> Option<Text> {
        self.end_notices_of_selected(&UidSet::new());
        let state = std::mem::replace(&mut self.state, State::Logout);
        self.state = match state {
            State::Selected(authenticated, _) => State::Authenticated(authenticated),
            other => other,
        };
        if self.dialect.rev2 {
            let closed = text(Code::Closed, "Mailbox was deleted");
            *pending = Pending::only(Untagged::Status(Condition::Ok, closed));
            return None;
        }
        Some(plain("Mailbox was deleted"))
    }

    pub(super) fn finish(&mut self, mut finish: Box<Finish>, out: &mut Output) {
        let dialect = self.dialect;
        let selected = self.state.selected();
        if finish.pending.advance(selected, dialect, out) == Progress::More {
            self.activity = Activity::Finish(finish);
            return;
        }
        let Some(mut finish) = self.finish_updates(finish, out) else {
            return;
        };
        if let Some(selected) = self.state.selected()
            && let Some(mod_seq) = finish.pending.mod_seq_due(selected, dialect)
        {
            finish.tell_mod_seq(mod_seq, &mut self.responses(out));
        }
        if let Some(tagged) = finish.tagged {
            encode::tagged(&tagged, out);
        }
        if let Some(text) = finish.bye {
            self.say_bye(text, out);
        }
    }

    /// BAD for what is no command.
    pub(super) fn refuse_line(&mut self, tag: Option<Tag>, text: Text) {
        self.count_bad();
        let bye = self.patience_with_mistakes();
        let condition = Condition::Bad;
        let mut finish = Finish {
            pending: Pending::default(),
            tagged: None,
            bye,
            updates_later: false,
        };
        match tag {
            Some(tag) => {
                finish.tagged = Some(Tagged {
                    tag,
                    condition,
                    text,
                });
            }
            None => finish.pending = Pending::only(Untagged::Status(condition, text)),
        }
        self.activity = Activity::Finish(Box::new(finish));
    }

    const fn count_bad(&mut self) {
        self.bad_commands = self.bad_commands.saturating_add(1);
    }

    /// The BYE for a client that has made too many mistakes.
    fn patience_with_mistakes(&self) -> Option<Text> {
        let limit = match self.state {
            State::NotAuthenticated => self.settings.max_bad_commands_before_login,
            State::Authenticated(_) | State::Selected(..) | State::Logout => {
                self.settings.max_bad_commands
            }
        };
        (self.bad_commands >= limit).then(|| {
            tracing::info!(
                protocol = "imap",
                remote = %self.peer.remote.ip(),
                limit,
                "too_many_bad_commands"
            );
            text(Code::ClientBug, "Too many bad commands")
        })
    }

    /// Says BYE and has the connection closed.
    pub(super) fn say_bye(&mut self, text: Text, out: &mut Vec<u8>) {
        let why = format!("hung_up: {}", text.text);
        self.services.host.tally().set_parting(why);
        self.responses(out).push(&Untagged::Bye(text));
        self.close();
    }

    /// Ends the session in the middle of an answer: only the end of the connection tells that the rest will not come.
    pub(super) fn break_off(&mut self) {
        let why = "hung_up: a message could not be read to its end";
        self.services.host.tally().set_parting(why);
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.state = State::Logout;
        self.activity = Activity::Closed;
    }

    /// See [`crate::protocol::Protocol::interrupt`].
    pub(super) fn part(&mut self, reason: Interrupt, out: &mut Vec<u8>) {
        let is_silent = match &self.activity {
            Activity::Closed | Activity::TlsAgreed | Activity::CompressionAgreed => true,
            Activity::Reading(reading) => reading.cursor.is_within_literal(),
            Activity::Work(job) => job.is_within_literal(),
            _ => false,
        };
        if is_silent || self.is_within_arrival() {
            return self.close();
        }
        let text = match reason {
            Interrupt::Full => text(Code::Limit, "Too many connections, try again later"),
            Interrupt::Shutdown => text(Code::Unavailable, "Server is shutting down"),
            Interrupt::Timeout => plain("Disconnected for inactivity"),
            Interrupt::Displaced => text(Code::Limit, "Too many connections of this account"),
            Interrupt::Revoked => plain("Account was changed; log in again"),
        };
        self.say_bye(text, out);
    }
}
