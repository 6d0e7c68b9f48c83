//! restante.
pub mod auth;
pub mod imap;
pub mod mailbox;
pub mod protocol;
