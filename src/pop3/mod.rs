//! POP3 (RFC 1939), as a state machine over octets.
//!
//! ```text
//! octets ──► flow ──► parse ──► Command ──► table ──► session: AUTHORIZATION │ TRANSACTION (commands) ──► mailbox
//!        ◄────────── encode ◄── Reply, listings, messages in pieces ◄────────────────┘
//! ```
//!
//! | command | RFC |
//! |---|---|
//! | QUIT, USER, PASS, STAT, LIST, RETR, DELE, NOOP, RSET, TOP, UIDL | 1939 §4-§7; APOP is not offered, since it needs passwords in plain |
//! | CAPA, response codes `[IN-USE]` and `[LOGIN-DELAY]`, pipelining | 2449 |
//! | STLS | 2595 §4 |
//! | response codes `[AUTH]`, `[SYS/TEMP]`, `[SYS/PERM]` | 3206 |
//! | AUTH with initial response; without mechanism it lists them, for old Outlook | 5034 |
//! | UTF8 with `USER`, LANG, response code `[UTF8]` | 6856 |
//!
//! Message numbers and sizes are those of the moment of login. Nothing is removed but by QUIT. A session never waits inside
//! [`crate::protocol::Protocol::step`]: passwords are checked by the authenticator's threads, disks are touched in
//! [`crate::protocol::Protocol::work`], and a message goes out in pieces.

mod ahead;
mod capabilities;
mod commands;
mod encode;
mod flow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod login;
mod maildrop;
mod parse;
mod recent_logins;
mod retrieval;
mod session;
mod settings;
mod table;
mod texts;
mod types;
mod unique_id;

pub use capabilities::switchable;
pub use recent_logins::RecentLogins;
pub use session::{Services, Session};
pub use settings::{
    LOCK_PATIENCE, MAX_BAD_COMMANDS, MAX_BAD_COMMANDS_BEFORE_LOGIN, MAX_FAILED_LOGINS, Settings,
};
pub use texts::{Language, UnknownLanguage};
pub use unique_id::{FormatError, UniqueIdFormat};
