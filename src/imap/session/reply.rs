//! What a command says: untagged responses on the way, and the one place where its end becomes OK, NO or BAD with a response code.

use super::Dialect;
use crate::imap::encode;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Tagged, Text, Untagged};
use crate::mailbox::backend;
use std::borrow::Cow;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The client's mistake in form or state: BAD, perhaps with a code.
    #[error("{1}")]
    Bad(Option<Code>, Cow<'static, str>),
    /// Refused: NO, with a code.
    #[error("{1}")]
    No(Option<Code>, Cow<'static, str>),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] backend::Error),
    /// The store could not, for want of the mailbox that is the target of APPEND, COPY or MOVE.
    #[error(transparent)]
    Target(backend::Error),
}

impl CommandError {
    /// NO with a code and a fixed text.
    pub(crate) const fn no(code: Code, text: &'static str) -> Self {
        Self::No(Some(code), Cow::Borrowed(text))
    }

    /// BAD with a fixed text.
    pub(crate) const fn bad(text: &'static str) -> Self {
        Self::Bad(None, Cow::Borrowed(text))
    }

    /// Trouble of ours that may pass.
    pub(crate) const UNAVAILABLE: Self = Self::Store(backend::Error::Unavailable);

    /// This error at the end of a command that has a code to tell: expunged messages may stand beside those that were changed by others
    /// (RFC 7162 §3.1.3, example 11).
    pub(crate) fn beside(self, completed: Completed) -> Self {
        match (self, completed.code) {
            (Self::Store(error @ backend::Error::Expunged), Some(code)) => {
                Self::No(Some(code), error.to_string().into())
            }
            (error, _) => error,
        }
    }

    /// Condition and text for the client.
    pub(crate) fn into_reply(self) -> (Condition, Text) {
        match self {
            Self::Bad(code, text) => (Condition::Bad, Text { code, text }),
            Self::No(code, text) => (Condition::No, Text { code, text }),
            Self::Store(error) => (Condition::No, store_text(&error)),
            Self::Target(backend::Error::NonExistent) => {
                let error = backend::Error::NonExistent;
                (Condition::No, text(Code::TryCreate, error.to_string()))
            }
            Self::Target(error) => (Condition::No, store_text(&error)),
        }
    }
}

/// The response code for what a store says (RFC 5530).
fn store_text(error: &backend::Error) -> Text {
    let code = match error {
        backend::Error::NonExistent => Code::NonExistent,
        backend::Error::AlreadyExists => Code::AlreadyExists,
        backend::Error::Cannot(_) => Code::Cannot,
        backend::Error::InUse(_) => Code::InUse,
        backend::Error::Limit(_) => Code::Limit,
        backend::Error::NoSpace => Code::OverQuota,
        backend::Error::NoPermission => Code::NoPerm,
        backend::Error::Expunged => Code::ExpungeIssued,
        backend::Error::Unavailable => Code::Unavailable,
        backend::Error::Corrupt => Code::Corruption,
        backend::Error::Damaged(_) => Code::ServerBug,
    };
    text(code, error.to_string())
}

/// A text with a code.
pub(crate) fn text(code: Code, text: impl Into<Cow<'static, str>>) -> Text {
    Text {
        code: Some(code),
        text: text.into(),
    }
}

/// A text without a code.
pub(crate) fn plain(text: impl Into<Cow<'static, str>>) -> Text {
    Text {
        code: None,
        text: text.into(),
    }
}

/// A command that did what it was asked: OK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Completed {
    /// The response code.
    pub(crate) code: Option<Code>,
    /// What else than "… completed" is to be said.
    pub(crate) text: Option<&'static str>,
}

impl Completed {
    /// Done, nothing special to say.
    pub(crate) const PLAIN: Self = Self {
        code: None,
        text: None,
    };

    /// Done, with a code.
    pub(crate) const fn with(code: Code) -> Self {
        Self {
            code: Some(code),
            text: None,
        }
    }
}

/// What a handler gives.
pub(crate) type CommandResult = Result<Completed, CommandError>;

/// The tagged end of a command of this name.
pub(crate) fn tagged(tag: Tag, name: &str, result: CommandResult) -> Tagged {
    let (condition, text) = match result {
        Ok(Completed { code, text }) => {
            let text = text.map_or_else(|| Cow::Owned(format!("{name} completed")), Cow::Borrowed);
            (Condition::Ok, Text { code, text })
        }
        Err(error) => error.into_reply(),
    };
    Tagged {
        tag,
        condition,
        text,
    }
}

/// Where handlers put their untagged responses.
#[derive(Debug)]
pub(crate) struct Responses<'a> {
    octets: &'a mut Vec<u8>,
    utf8: bool,
}

impl<'a> Responses<'a> {
    /// Responses as this dialect writes them.
    pub(crate) const fn new(dialect: Dialect, octets: &'a mut Vec<u8>) -> Self {
        Self {
            octets,
            utf8: dialect.is_utf8(),
        }
    }

    /// Adds a response.
    pub(crate) fn push(&mut self, response: &Untagged) {
        encode::untagged(response, self.utf8, self.octets);
    }

    /// Adds `* OK` with a code.
    pub(crate) fn ok(&mut self, code: Code, words: &'static str) {
        self.push(&Untagged::Status(Condition::Ok, text(code, words)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::Error;

    #[test]
    fn every_trouble_has_its_code() {
        let cases = [
            (CommandError::Store(Error::NonExistent), Code::NonExistent),
            (CommandError::Target(Error::NonExistent), Code::TryCreate),
            (CommandError::Target(Error::NoSpace), Code::OverQuota),
            (CommandError::Store(Error::Expunged), Code::ExpungeIssued),
            (CommandError::UNAVAILABLE, Code::Unavailable),
            (CommandError::Store(Error::Corrupt), Code::Corruption),
            (
                CommandError::Store(Error::Damaged("x1".into())),
                Code::ServerBug,
            ),
        ];
        for (error, code) in cases {
            let (condition, text) = error.into_reply();
            assert_eq!((condition, text.code), (Condition::No, Some(code)));
        }
        let (condition, text) = CommandError::bad("no").into_reply();
        assert_eq!((condition, text), (Condition::Bad, plain("no")));
    }
}
