//! The layer that IMAP and POP3 share: mailboxes, messages and flags as plain data, and the traits a store must meet.
//!
//! No files, no protocol. A store ([`backend::Backend`]) keeps the state of an open mailbox in [`messages::Messages`], shared by all
//! connections; each connection believes a [`view::View`] of it, which changes only when it is told
//! ([`view::View::sync`]). Every change has a [`id::ModSeq`], so "what is new for this connection" is one question for all of them.

pub mod backend;
pub mod expunged;
pub mod flag;
mod flag_column;
pub mod id;
pub mod memory;
pub mod messages;
pub mod name;
pub mod notes;
pub(crate) mod read_ahead;
pub mod remembered;
pub mod uid_set;
pub mod view;

#[cfg(test)]
mod view_tests;
