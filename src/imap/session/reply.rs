//! Errors of commands, and the one place where they become NO or BAD with a response code.

use crate::imap::types::response::Code;
use crate::mailbox::backend;
use std::borrow::Cow;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The client's mistake in form or state: BAD.
    #[error("{0}")]
    Bad(Cow<'static, str>),
    /// Refused: NO, with a code.
    #[error("{1}")]
    No(Option<Code>, Cow<'static, str>),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] backend::Error),
}
