//! The smallest pieces: tags, strings as they came, mailbox arguments.

use std::fmt;

/// A command's tag (RFC 9051 §9, `tag`): one or more characters of an astring other than `+`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// Checks the characters.
    pub fn new(text: &str) -> Option<Self> {
        let good = |b: u8| b > 0x20 && b < 0x7f && !b"(){%*\"\\+".contains(&b);
        (!text.is_empty() && text.bytes().all(good)).then(|| Self(text.into()))
    }

    /// The tag as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox argument as the client wrote it, quotes and literal taken off: modified UTF-7 or UTF-8, by what the session has enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxArg(pub Vec<u8>);

/// Octets of an `astring`, `string` or `nstring`.
pub type Octets = Vec<u8>;
