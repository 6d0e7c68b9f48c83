//! Commands that are done in one go.

use super::listing::OwnChange;
use super::names::Names;
use super::reply::{CommandError, CommandResult, Completed};
use super::run::NOT_NOW;
use super::{Dialect, Resync, Selected, Session, State};
use crate::encoding::escape::Escaped;
use crate::imap::commands::expunge::{expunge, remove_deleted};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::commands::{Context, copy, list, mailboxes, select, status};
use crate::imap::types::command::CommandBody;
use crate::imap::types::core::{MailboxArg, Octets};
use crate::imap::types::response::{Code, Untagged};
use crate::imap::types::select::Select;
use crate::mailbox::backend::Intake;
use crate::mailbox::uid_set::UidSet;
use std::fmt;
use std::sync::Arc;

/// Most fields of a client's ID that are logged; RFC 2971 §3.3 allows 30.
const MAX_ID_FIELDS: usize = 30;

impl Session {
    /// Does a command that needs no further step.
    pub(super) fn perform(&mut self, body: CommandBody, out: &mut Vec<u8>) -> CommandResult {
        match body {
            CommandBody::Capability => {
                let list = Untagged::Capability(self.capabilities());
                self.responses(out).push(&list);
                Ok(Completed::PLAIN)
            }
            CommandBody::Id(fields) => {
                tracing::info!(
                    protocol = "imap",
                    connection = self.peer.id,
                    client = %Identity(&fields),
                    "client_identified"
                );
                let own = Untagged::Id(self.settings.id.clone());
                self.responses(out).push(&own);
                Ok(Completed::PLAIN)
            }
            CommandBody::Enable(names) => {
                self.enable(&names, out);
                Ok(Completed::PLAIN)
            }
            CommandBody::Namespace => {
                let namespace = Untagged::Namespace {
                    prefix: Vec::new(),
                    delimiter: self.settings.delimiter,
                };
                self.responses(out).push(&namespace);
                Ok(Completed::PLAIN)
            }
            CommandBody::Noop | CommandBody::Check => self.refresh(),
            CommandBody::Notify(notify) => self.notify(notify, out),
            CommandBody::Close => self.close_mailbox(),
            CommandBody::Unselect => {
                self.deselect();
                Ok(Completed::PLAIN)
            }
            CommandBody::Delete(mailbox) => self.delete(&mailbox, out),
            CommandBody::Rename { from, to } => self.rename(&from, &to),
            body => self.perform_in_account(&body, out),
        }
    }

    /// What leaves the state of the session as it is.
    fn perform_in_account(&mut self, body: &CommandBody, out: &mut Vec<u8>) -> CommandResult {
        let mut out = self.responses(out);
        let (context, selected) = self.parts()?;
        match (body, selected) {
            (
                CommandBody::Create {
                    mailbox,
                    special_use,
                    unknown_use,
                },
                _,
            ) => {
                let (name, completed) =
                    mailboxes::create(&context, mailbox, special_use, *unknown_use, &mut out)?;
                self.note_own_change(&OwnChange::Name(name));
                Ok(completed)
            }
            (CommandBody::Subscribe(mailbox), _) => {
                let name = mailboxes::subscribe(&context, mailbox)?;
                self.note_own_change(&OwnChange::Subscription(name));
                Ok(Completed::PLAIN)
            }
            (CommandBody::Unsubscribe(mailbox), _) => {
                let name = mailboxes::unsubscribe(&context, mailbox)?;
                self.note_own_change(&OwnChange::Subscription(name));
                Ok(Completed::PLAIN)
            }
            (CommandBody::Lsub(reference, pattern), _) => {
                list::lsub(&context, reference, pattern, &mut out)
            }
            (CommandBody::Status { mailbox, items }, selected) => {
                status::status(&context, selected.as_deref(), mailbox, items, &mut out)
            }
            (CommandBody::Expunge, Some(selected)) => expunge(&context, selected, None),
            (CommandBody::UidExpunge(set), Some(selected)) => {
                expunge(&context, selected, Some(set))
            }
            (CommandBody::Copy { uid, set, mailbox }, Some(selected)) => {
                copy::copy(&context, selected, *uid, set, mailbox)
            }
            (CommandBody::Move { uid, set, mailbox }, Some(selected)) => {
                copy::move_messages(&context, selected, *uid, set, mailbox, &mut out)
            }
            _ => Err(NOT_NOW),
        }
    }

    /// What handlers work with, and the selected mailbox.
    ///
    /// # Errors
    /// BAD if nobody has logged in.
    pub(super) fn parts(&mut self) -> Result<(Context<'_>, Option<&mut Selected>), CommandError> {
        let names = self.names();
        let (authenticated, selected) = match &mut self.state {
            State::Authenticated(authenticated) => (authenticated, None),
            State::Selected(authenticated, selected) => (authenticated, Some(&mut **selected)),
            State::NotAuthenticated | State::Logout => return Err(NOT_NOW),
        };
        let context = Context {
            settings: &self.settings,
            account: &*authenticated.account,
            dialect: self.dialect,
            names,
            tally: self.services.host.tally(),
        };
        Ok((context, selected))
    }

    /// Does something with the selected mailbox.
    ///
    /// # Errors
    /// BAD if none is selected.
    pub(super) fn with_selected<Done>(
        &mut self,
        action: impl FnOnce(&mut Selected, Dialect) -> Result<Done, CommandError>,
    ) -> Result<Done, CommandError> {
        match &mut self.state {
            State::Selected(_, selected) => action(selected, self.dialect),
            State::NotAuthenticated | State::Authenticated(_) | State::Logout => Err(NOT_NOW),
        }
    }

    /// How names are written now.
    pub(super) fn names(&self) -> Names {
        Names::new(&self.settings, self.dialect)
    }

    /// Looks at the disk, if something may have happened there.
    pub(super) fn refresh(&self) -> CommandResult {
        if let State::Selected(_, selected) = &self.state
            && !selected.mailbox.is_current()
        {
            selected.mailbox.refresh(selected.intake())?;
        }
        Ok(Completed::PLAIN)
    }

    /// Switches on what is known of the names, and tells what was switched on.
    fn enable(&mut self, names: &[String], out: &mut Vec<u8>) {
        let before = self.dialect;
        let mut after = before;
        let mut enabled: Vec<&'static str> = Vec::new();
        for name in names.iter().filter(|name| self.is_offered(name)) {
            let name = match name.as_str() {
                "IMAP4REV2" if self.settings.offer_rev2 && !before.rev2 => {
                    after.rev2 = true;
                    "IMAP4rev2"
                }
                "UTF8=ACCEPT" if !before.utf8 => {
                    after.utf8 = true;
                    "UTF8=ACCEPT"
                }
                "UIDONLY" if !before.uid_only => {
                    after.uid_only = true;
                    "UIDONLY"
                }
                "CONDSTORE" if before.resync < Resync::Condstore => {
                    after.resync = after.resync.max(Resync::Condstore);
                    "CONDSTORE"
                }
                "QRESYNC" if before.resync < Resync::Qresync => {
                    after.resync = Resync::Qresync;
                    "QRESYNC"
                }
                _ => continue,
            };
            if !enabled.contains(&name) {
                enabled.push(name);
            }
        }
        self.responses(out).push(&Untagged::Enabled(enabled));
        self.dialect = Dialect {
            resync: before.resync,
            ..after
        };
        if let Some(selected) = self.state.selected().filter(|_| after.uid_only) {
            selected.contexts.forget_numbers();
        }
        self.raise_resync(after.resync, true, out);
    }

    /// Selects a mailbox. Returns what a client that knew it hears next, and how the command ends then.
    ///
    /// # Errors
    /// What the store gives; then no mailbox is selected.
    pub(super) fn select(
        &mut self,
        select: &Select,
        read_only: bool,
        out: &mut Vec<u8>,
    ) -> Result<(Option<FetchCursor>, Completed), CommandError> {
        // one that is selected again need not be read anew
        let _before = match &self.state {
            State::Selected(_, selected) => Some(Arc::clone(&selected.mailbox)),
            State::NotAuthenticated | State::Authenticated(_) | State::Logout => None,
        };
        let mut out = self.responses(out);
        if self.deselect() {
            out.ok(Code::Closed, "Previous mailbox closed");
        }
        let limits = self.message_limits();
        let (context, _) = self.parts()?;
        let (mut selected, news, completed) =
            select::select(&context, select, read_only, &mut out)?;
        selected.limits = limits;
        let state = std::mem::replace(&mut self.state, State::Logout);
        self.state = match state {
            State::Authenticated(authenticated) => {
                State::Selected(authenticated, Box::new(selected))
            }
            other => other,
        };
        self.begin_notices_of_selected();
        Ok((news, completed))
    }

    /// Leaves the selected mailbox; false if there is none.
    pub(super) fn deselect(&mut self) -> bool {
        self.deselect_after(&UidSet::new())
    }

    /// The same, after the client has removed messages of it.
    fn deselect_after(&mut self, removed: &UidSet) -> bool {
        self.end_notices_of_selected(removed);
        let state = std::mem::replace(&mut self.state, State::Logout);
        let (state, was_selected) = match state {
            State::Selected(authenticated, _) => (State::Authenticated(authenticated), true),
            other => (other, false),
        };
        self.state = state;
        was_selected
    }

    fn close_mailbox(&mut self) -> CommandResult {
        let (context, selected) = self.parts()?;
        let mut removed = UidSet::new();
        if let Some(selected) = selected
            && !selected.read_only
        {
            let all: UidSet = selected.view.iter().map(|(_, uid)| uid).collect();
            removed = remove_deleted(&context, selected, &all)?;
        }
        self.deselect_after(&removed);
        Ok(Completed::PLAIN)
    }

    fn delete(&mut self, mailbox: &MailboxArg, out: &mut Vec<u8>) -> CommandResult {
        let (context, selected) = self.parts()?;
        let name = mailboxes::delete(&context, mailbox)?;
        if selected.is_some_and(|selected| selected.name == name) {
            self.deselect();
            self.responses(out).ok(Code::Closed, "Mailbox was deleted");
        }
        self.note_own_change(&OwnChange::Name(name));
        Ok(Completed::PLAIN)
    }

    fn rename(&mut self, from: &MailboxArg, to: &MailboxArg) -> CommandResult {
        let (context, selected) = self.parts()?;
        let (from, to) = mailboxes::rename(&context, from, to)?;
        if let Some(selected) = selected
            && !from.is_inbox()
            && let Some(name) = selected.name.moved(&from, &to)
        {
            selected.name = name;
        }
        let own = if from.is_inbox() {
            OwnChange::Name(to)
        } else {
            OwnChange::Rename(from, to)
        };
        self.note_own_change(&own);
        Ok(Completed::PLAIN)
    }
}

impl Selected {
    /// Whether a look at the disk takes messages out of `new/`.
    pub(crate) const fn intake(&self) -> Intake {
        if self.read_only {
            Intake::Look
        } else {
            Intake::Take
        }
    }
}

/// What a client tells of itself, for the log.
struct Identity<'a>(&'a [(Octets, Option<Octets>)]);

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, value)) in self.0.iter().take(MAX_ID_FIELDS).enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            let value = value.as_deref().unwrap_or_default();
            write!(f, "{separator}{}={}", Escaped(field), Escaped(value))?;
        }
        Ok(())
    }
}
