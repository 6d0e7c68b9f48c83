//! restante: a POP3 and IMAP server for the mail that an MTA delivers into Maildir spools.
//!
//! ```text
//!  server/:      ┌──────────────────────── no sockets, no clock, no async ────────────────────────
//!  sockets, ───► │ framer ──► parser ──► Command ──► Session ──► handler ──► mailbox::View ──► store
//!  TLS, timers,  │ lines,     nom,       typed       state,      one file    snapshot,         index,
//!  threads       │ literals   ABNF                   table.rs    / command   seq ↔ UID         Maildir
//!          ◄──── │ encoder ◄── Response, typed ◄───── sync ◄──── Changes: EXISTS, EXPUNGE, FETCH ◄──┘
//! ```
//!
//! | module | what it is | may import |
//! |---|---|---|
//! | [`protocol`] | contract between the I/O shell and a protocol: octets in, steps out | nothing |
//! | [`mailbox`] | what IMAP and POP3 share: messages, flags, names, views; the traits of a store; a store in memory | nothing |
//! | `encoding` | base64, modified UTF-7, encoded words, charsets, dates | nothing |
//! | `durable` | the only code that makes a change of a file final; locks | nothing |
//! | `storage` | volumes: bounded threads and a deadline for every disk job | nothing |
//! | `message` | RFC 5322 and MIME: header, envelope, structure, sections, line ends | `encoding` |
//! | [`auth`] | credentials, mechanisms, hashing pool, policy | `encoding`, `durable` |
//! | [`imap`], [`pop3`] | the two protocols, never importing each other | `protocol`, `mailbox`, `message`, `auth`, `encoding` |
//! | [`index`] | what may be lost: mod-sequences, expunged UIDs, STATUS; a trait, and SQLite behind it | `mailbox` |
//! | [`store`] | Maildir behind the traits of `mailbox` | `mailbox`, `message`, `encoding`, `durable`, `index` |
//! | [`config`], [`telemetry`] | settings as plain data; logging | serde; tracing set-up |
//! | [`server`] | sockets, TLS, timers, limits, shutdown | all above |
//! | [`cli`] | the command line | everything |
//!
//! `tests/layering.rs` holds the code to this table. Handlers are synchronous; what may touch a disk runs on the bounded threads of
//! its volume ([`protocol::Step::Work`]), so that a hung file system stops only those whose mail lies on it.

pub mod auth;
pub mod cli;
pub mod config;
mod durable;
mod encoding;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod imap;
pub mod index;
pub mod mailbox;
mod message;
#[cfg(any(test, feature = "bench"))]
#[doc(hidden)]
pub mod pieces;
pub mod pop3;
pub mod protocol;
pub mod server;
pub mod storage;
pub mod store;
pub mod telemetry;
