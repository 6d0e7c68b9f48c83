//! Names of mailboxes: levels of a hierarchy, independent of the delimiter that a client sees and of the layout on disk.

use std::fmt;

/// Deepest hierarchy accepted, in levels.
pub const MAX_LEVELS: usize = 64;

/// Longest level accepted, in octets of UTF-8: a directory name holds 255, of which modified UTF-7 may need several per character.
pub const MAX_LEVEL_OCTETS: usize = 255;

/// A mailbox name. `INBOX` as the first level is in capitals, whatever the client wrote (RFC 9051 §5.1).
///
/// Levels are UTF-8, neither empty nor with control characters. They may hold `.` and `/` where the delimiter is another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Vec<Box<str>>);

/// Why a text is not a mailbox name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between two delimiters, or nothing at all.
    #[error("mailbox name has an empty level")]
    EmptyLevel,
    /// Too many levels or too long a level.
    #[error("mailbox name is too long")]
    TooLong,
    /// A control character, U+2028 or U+2029 (RFC 9755 §3), or a level `.` or `..`.
    #[error("mailbox name has a character that is not allowed")]
    BadCharacter,
}

impl MailboxName {
    /// The mailbox that everyone has.
    pub fn inbox() -> Self {
        Self(vec!["INBOX".into()])
    }

    /// Takes a name apart at the delimiter. One trailing delimiter is passed over (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// [`NameError`]
    pub fn parse(text: &str, delimiter: char) -> Result<Self, NameError> {
        let text = text.strip_suffix(delimiter).unwrap_or(text);
        Self::from_levels(text.split(delimiter))
    }

    /// Makes a name of its levels.
    ///
    /// # Errors
    /// [`NameError`]
    pub fn from_levels<'a>(levels: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let mut checked: Vec<Box<str>> = Vec::new();
        for level in levels {
            if level.is_empty() {
                return Err(NameError::EmptyLevel);
            }
            if level.len() > MAX_LEVEL_OCTETS || checked.len() == MAX_LEVELS {
                return Err(NameError::TooLong);
            }
            let forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if level == "." || level == ".." || level.chars().any(forbidden) {
                return Err(NameError::BadCharacter);
            }
            let is_inbox = checked.is_empty() && level.eq_ignore_ascii_case("INBOX");
            checked.push(if is_inbox {
                "INBOX".into()
            } else {
                level.into()
            });
        }
        if checked.is_empty() {
            return Err(NameError::EmptyLevel);
        }
        Ok(Self(checked))
    }

    /// True for INBOX itself.
    pub fn is_inbox(&self) -> bool {
        matches!(self.0.as_slice(), [only] if &**only == "INBOX")
    }

    /// The levels, outermost first; at least one.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|level| &**level)
    }

    /// The innermost level.
    pub fn leaf(&self) -> &str {
        self.0.last().map_or("", |level| level)
    }

    /// The name one level up; none at the top.
    pub fn parent(&self) -> Option<Self> {
        match self.0.as_slice() {
            [] | [_] => None,
            [parents @ .., _] => Some(Self(parents.to_vec())),
        }
    }

    /// The names above, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        (1..self.0.len()).map(|n| Self(self.0.iter().take(n).cloned().collect()))
    }

    /// True if this name lies below `other`, at any depth.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// This name with its leading levels `from` replaced by those of `to`; none if it is neither `from` nor below.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(from.0.as_slice())?;
        Some(Self(to.0.iter().chain(rest).cloned().collect()))
    }

    /// The name with a delimiter between its levels.
    pub fn join(&self, delimiter: char) -> String {
        let mut text = String::new();
        for (index, level) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(delimiter);
            }
            text.push_str(level);
        }
        text
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.join('/'))
    }
}

/// What a mailbox is for (RFC 6154 §2, RFC 8457 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Important`
    Important,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Important,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// The attribute as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Important => "\\Important",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// Finds a use by its attribute, in any case, with its backslash.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|special_use| special_use.as_str().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart_and_puts_them_together() {
        for (text, delimiter, expected) in [
            ("inbox", '.', Ok("INBOX")),
            ("InBox.Sent", '.', Ok("INBOX/Sent")),
            ("a.b/c", '.', Ok("a/b/c")),
            ("a.b", '/', Ok("a.b")),
            ("a/", '/', Ok("a")),
            ("Work/inbox", '/', Ok("Work/inbox")),
            ("", '/', Err(NameError::EmptyLevel)),
            ("a//b", '/', Err(NameError::EmptyLevel)),
            ("/a", '/', Err(NameError::EmptyLevel)),
            ("..", '/', Err(NameError::BadCharacter)),
            ("a\u{7}", '/', Err(NameError::BadCharacter)),
        ] {
            assert_eq!(
                MailboxName::parse(text, delimiter).map(|n| n.join('/')),
                expected.map(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn moves_children_with_their_parent() {
        let name = |text| MailboxName::parse(text, '/').unwrap();
        assert_eq!(
            name("a/b/c").moved(&name("a/b"), &name("x")),
            Some(name("x/c"))
        );
        assert_eq!(name("ab").moved(&name("a"), &name("x")), None);
        assert!(
            name("a/b").is_below(&name("a"))
                && !name("a").is_below(&name("a"))
                && !name("ab").is_below(&name("a"))
        );
    }
}
