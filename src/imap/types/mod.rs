//! Commands and responses of IMAP as values that cannot be wrong.

pub mod capability;
pub mod command;
pub mod core;
pub mod event_groups;
pub mod fetch;
pub mod list;
pub mod response;
pub mod search;
pub mod select;
pub mod sequence;
