//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051).

mod commands;
mod encode;
mod flow;
mod framer;
mod parse;
pub mod session;
pub mod types;
