//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051).

mod commands;
mod encode;
pub(crate) mod flow;
mod framer;
pub(crate) mod parse;
#[cfg(any(test, feature = "bench"))]
pub(crate) mod pieces;
pub(crate) mod session;
pub mod settings;
pub mod types;

#[cfg(any(test, fuzzing))]
pub(crate) use encode::fuzzing::structure as fuzz_structure;
pub use session::capabilities::{switchable, switchable_for_account};
pub use session::{Services, Session};
pub use settings::{Budgets, Settings};
