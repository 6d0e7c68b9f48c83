//! What the commands do, one file per command or family.
//!
//! A handler is a plain function: it takes typed arguments, pushes typed untagged responses and returns how the command ended. The
//! session ([`super::session`]) checks the state, finds the thread, syncs, tags and sends. FETCH, SEARCH and LIST are cursors, which make
//! their answer in pieces; APPEND takes its messages in pieces.

pub(crate) mod append;
pub(crate) mod copy;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod mailboxes;
pub(crate) mod message_limit;
pub(crate) mod messages;
mod notes;
mod object_ids;
mod open_message;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod uid_batches;

use super::session::Dialect;
use super::session::names::{Names, choose};
use super::session::reply::CommandError;
use super::settings::Settings;
use super::types::core::MailboxArg;
use super::types::response::Code;
use crate::mailbox::backend::{Account, Error};
use crate::mailbox::name::MailboxName;
use crate::protocol::Tally;
use std::collections::HashSet;

/// What a command of a client that has logged in works with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The client's mailboxes.
    pub(crate) account: &'a dyn Account,
    /// What is enabled.
    pub(crate) dialect: Dialect,
    /// How names are written.
    pub(crate) names: Names,
    /// What is counted.
    pub(crate) tally: &'a Tally,
}

impl Context<'_> {
    /// The mailbox that an argument names, literally or by the alias. That it exists is not said.
    ///
    /// # Errors
    /// `NO [NONEXISTENT]` for what cannot be a name; what the store gives, if the alias had to be looked up.
    pub(crate) fn existing(&self, argument: &MailboxArg) -> Result<MailboxName, CommandError> {
        let literal = self
            .names
            .decode(argument)
            .map_err(|_not_a_name| CommandError::Store(Error::NonExistent))?;
        choose(literal, self.names.candidates(argument), || {
            let listed = self.account.mailboxes()?;
            let known: HashSet<MailboxName> =
                listed.into_iter().map(|listed| listed.name).collect();
            Ok(move |name: &MailboxName| known.contains(name))
        })
    }

    /// The mailbox that an argument names, to be made.
    ///
    /// # Errors
    /// `NO [CANNOT]` for what cannot be a name.
    pub(crate) fn new_name(&self, argument: &MailboxArg) -> Result<MailboxName, CommandError> {
        self.names
            .decode_new(argument)
            .map_err(|error| CommandError::No(Some(Code::Cannot), error.to_string().into()))
    }
}

/// What a command that would change a mailbox opened by EXAMINE gets.
pub(crate) const READ_ONLY: CommandError = CommandError::no(Code::ReadOnly, "mailbox is read-only");
