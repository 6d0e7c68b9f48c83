//! The Maildir store as connections use it: with other programs at work in the spool, several processes, and what a crash leaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "a test may"
)]

#[path = "support/log.rs"]
mod log;

mod store {
    //! Parts of this test.
    mod compressed;
    mod dovecot;
    mod index;
    mod index_model;
    mod mailboxes;
    mod messages;
    mod notes;
    mod object_ids;
    mod others;
    mod recent;
    pub(crate) mod spool;
    mod trouble;
}
