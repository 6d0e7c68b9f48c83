//! Mailbox names on the wire: modified UTF-7 or UTF-8, the delimiter, INBOX, and the `INBOX.` alias.
//!
//! Names are modified UTF-7 (RFC 3501 §5.1.3) until the client has enabled UTF8=ACCEPT or IMAP4rev2. What is not valid modified UTF-7 is taken as
//! it stands, so that a mailbox with such a name can still be reached, to rename or delete it. New names are made in Normalization Form C
//! (RFC 9051 §5.1), and the other forms name the same mailbox, unless there is one of just that name.
//!
//! The alias: servers with a personal namespace `INBOX.` had their clients write `INBOX.Sent`. Here such a name, and one with our delimiter
//! after `INBOX`, names the top-level mailbox when nothing is named so literally. The alias with a dot is a view of the whole hierarchy with dots
//! between the levels, as Courier showed it.

use super::Dialect;
use crate::encoding::net_unicode::normalize;
use crate::encoding::utf7;
use crate::imap::settings::Settings;
use crate::imap::types::core::MailboxArg;
use crate::mailbox::name::{MailboxName, NameError};
use std::borrow::Cow;

/// How names are written on one connection at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Between levels.
    pub(crate) delimiter: char,
    inbox_alias: bool,
    utf8: bool,
}

/// A second way to write the names below the top: a prefix, and the delimiter after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alias {
    /// Between levels, also the last character of the prefix.
    pub(crate) delimiter: char,
}

impl Names {
    /// As the settings and what was enabled want it.
    pub(crate) const fn new(settings: &Settings, dialect: Dialect) -> Self {
        Self {
            delimiter: settings.delimiter,
            inbox_alias: settings.inbox_alias,
            utf8: dialect.is_utf8(),
        }
    }

    /// The text of an argument or pattern, decoded. None if it is not UTF-8.
    pub(crate) fn text<'a>(&self, octets: &'a [u8]) -> Option<Cow<'a, str>> {
        if !self.utf8
            && octets.contains(&b'&')
            && let Some(text) = utf7::decode(octets)
        {
            return Some(Cow::Owned(text));
        }
        std::str::from_utf8(octets).ok().map(Cow::Borrowed)
    }

    /// The name that an argument says literally.
    ///
    /// # Errors
    /// [`NameError`]
    pub(crate) fn decode(&self, argument: &MailboxArg) -> Result<MailboxName, NameError> {
        let text = self.text(&argument.0).ok_or(NameError::BadCharacter)?;
        MailboxName::parse(&text, self.delimiter)
    }

    /// A name as it is sent; none if a level holds the delimiter, which no client could send back.
    pub(crate) fn encode(&self, name: &MailboxName) -> Option<Vec<u8>> {
        self.encode_joined(name, self.delimiter)
    }

    /// A name as it is sent under an alias.
    pub(crate) fn encode_alias(&self, name: &MailboxName, alias: Alias) -> Option<Vec<u8>> {
        self.encode_joined(&alias.outward(name)?, alias.delimiter)
    }

    fn encode_joined(&self, name: &MailboxName, delimiter: char) -> Option<Vec<u8>> {
        if name.levels().any(|level| level.contains(delimiter)) {
            return None;
        }
        Some(self.encode_text(name.join(delimiter)))
    }

    /// A text as it is sent.
    pub(crate) fn encode_text(&self, text: String) -> Vec<u8> {
        if self.utf8 {
            text.into_bytes()
        } else {
            utf7::encode(&text).into_bytes()
        }
    }

    /// The aliases under which names can be written.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = Alias> {
        let dot = (self.delimiter != '.').then_some('.');
        [Some(self.delimiter), dot]
            .into_iter()
            .flatten()
            .filter(|_| self.inbox_alias)
            .map(|delimiter| Alias { delimiter })
    }

    /// The name that an argument says, as a new mailbox is to be called.
    ///
    /// # Errors
    /// [`NameError`]
    pub(crate) fn decode_new(&self, argument: &MailboxArg) -> Result<MailboxName, NameError> {
        let text = self.text(&argument.0).ok_or(NameError::BadCharacter)?;
        MailboxName::parse(&normalize(&text), self.delimiter)
    }

    /// The names that an argument may stand for besides the literal one, likeliest first.
    pub(crate) fn candidates(&self, argument: &MailboxArg) -> Vec<MailboxName> {
        let Some(text) = self.text(&argument.0) else {
            return Vec::new();
        };
        let text = normalize(&text);
        let mut found = Vec::new();
        if let Cow::Owned(normalized) = &text {
            found.extend(MailboxName::parse(normalized, self.delimiter));
        }
        for alias in self.aliases() {
            let Some(rest) = alias.strip(&text) else {
                continue;
            };
            // the rest may be written with either delimiter: clients learn ours from LIST and keep the prefix from their set-up
            for delimiter in [alias.delimiter, self.delimiter] {
                let below_inbox = MailboxName::parse(&format!("INBOX{delimiter}{rest}"), delimiter);
                let top = MailboxName::parse(rest, delimiter);
                for name in [below_inbox, top].into_iter().flatten() {
                    if !found.contains(&name) {
                        found.push(name);
                    }
                }
            }
        }
        found
    }
}

impl Alias {
    /// What follows the prefix in a text, in any case.
    pub(crate) fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        let inbox = text.get(..5)?;
        let rest = text.get(5..)?.strip_prefix(self.delimiter)?;
        (inbox.eq_ignore_ascii_case("INBOX") && !rest.is_empty()).then_some(rest)
    }

    /// A name under the alias, not encoded.
    pub(crate) fn text(self, name: &MailboxName) -> Option<String> {
        Some(self.outward(name)?.join(self.delimiter))
    }

    /// A name with `INBOX` before it, if it is not INBOX or below.
    fn outward(self, name: &MailboxName) -> Option<MailboxName> {
        let mut levels = name.levels().peekable();
        if levels.peek() == Some(&"INBOX") {
            return (!name.is_inbox()).then(|| name.clone());
        }
        MailboxName::from_levels(std::iter::once("INBOX").chain(levels)).ok()
    }
}

/// Chooses what an argument stands for: the literal name if it exists, else the first candidate that does, else the literal name.
///
/// `look_up` gives the test for existence, and is asked only if there is a choice.
///
/// # Errors
/// as `look_up`
pub(crate) fn choose<Exists: Fn(&MailboxName) -> bool, Trouble>(
    literal: MailboxName,
    candidates: Vec<MailboxName>,
    look_up: impl FnOnce() -> Result<Exists, Trouble>,
) -> Result<MailboxName, Trouble> {
    if candidates.iter().all(|candidate| *candidate == literal) {
        return Ok(literal);
    }
    let exists = look_up()?;
    if exists(&literal) {
        return Ok(literal);
    }
    Ok(candidates
        .into_iter()
        .find(|name| exists(name))
        .unwrap_or(literal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(delimiter: char, rev2: bool) -> Names {
        let settings = Settings {
            delimiter,
            ..Settings::default()
        };
        let dialect = Dialect {
            rev2,
            ..Dialect::default()
        };
        Names::new(&settings, dialect)
    }

    fn argument(text: &str) -> MailboxArg {
        MailboxArg(text.as_bytes().to_vec())
    }

    #[test]
    fn names_are_written_as_the_dialect_wants() {
        for (wire, rev2, decoded, again) in [
            ("inBOX", false, "INBOX", "INBOX"),
            ("Entw&APw-rfe", false, "Entwürfe", "Entw&APw-rfe"),
            ("Entwürfe", true, "Entwürfe", "Entwürfe"),
            ("a&b", false, "a&b", "a&-b"),
            ("a&b", true, "a&b", "a&b"),
            ("&", false, "&", "&-"),
            ("x/Inbox/", false, "x/Inbox", "x/Inbox"),
        ] {
            let names = names('/', rev2);
            let name = names.decode(&argument(wire)).unwrap();
            assert_eq!(name.join('/'), decoded, "{wire}");
            assert_eq!(names.encode(&name), Some(again.as_bytes().to_vec()));
        }
        assert!(names('/', true).decode(&MailboxArg(vec![0xff])).is_err());
    }

    #[test]
    fn a_level_that_holds_the_delimiter_is_not_shown() {
        let name = MailboxName::parse("a.b", '/').unwrap();
        assert_eq!(names('.', false).encode(&name), None);
        assert_eq!(names('/', false).encode(&name), Some(b"a.b".to_vec()));
    }

    #[test]
    fn a_name_below_inbox_may_mean_one_at_the_top() {
        let exists = ["INBOX", "Sent", "Work/Projects", "INBOX/Both", "Both"];
        for (delimiter, wire, expected) in [
            ('/', "INBOX.Sent", "Sent"),
            ('/', "inbox/Sent", "Sent"),
            ('.', "INBOX.Sent", "Sent"),
            ('/', "INBOX.Work.Projects", "Work/Projects"),
            ('/', "INBOX.Work/Projects", "Work/Projects"),
            ('.', "INBOX.Work.Projects", "Work/Projects"),
            ('/', "INBOX.Both", "INBOX/Both"),
            ('/', "INBOX/Both", "INBOX/Both"),
            ('/', "INBOX.New", "INBOX.New"),
            ('/', "Sent", "Sent"),
            ('/', "INBOX", "INBOX"),
        ] {
            let names = names(delimiter, false);
            let argument = argument(wire);
            let literal = names.decode(&argument).unwrap();
            let known = exists.map(|name| MailboxName::parse(name, '/').unwrap());
            let look_up = || Ok::<_, ()>(move |name: &MailboxName| known.contains(name));
            let chosen = choose(literal, names.candidates(&argument), look_up).unwrap();
            assert_eq!(chosen.join('/'), expected, "{wire} with {delimiter}");
        }
    }

    #[test]
    fn the_alias_shows_all_below_inbox() {
        let alias = Alias { delimiter: '.' };
        for (name, expected) in [
            ("Sent", Some("INBOX.Sent")),
            ("Work/Projects", Some("INBOX.Work.Projects")),
            ("INBOX/x", Some("INBOX.x")),
            ("INBOX", None),
            ("a.b", None),
        ] {
            let name = MailboxName::parse(name, '/').unwrap();
            let shown = names('/', false).encode_alias(&name, alias);
            assert_eq!(shown, expected.map(|text| text.as_bytes().to_vec()));
        }
    }
}
