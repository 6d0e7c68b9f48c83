//! restante.
pub mod auth;
pub mod cli;
pub mod config;
mod durable;
mod encoding;
pub mod imap;
pub mod mailbox;
mod message;
pub mod pop3;
pub mod protocol;
pub mod server;
pub mod storage;
pub mod store;
pub mod telemetry;
