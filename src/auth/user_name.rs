//! Names of accounts: one validated type, since a name becomes part of a path and of queries.

use std::fmt;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization as _;

/// Longest name, in octets: local part (64) and domain (255) of RFC 5321 §4.5.3.1, with the `@`.
pub const MAX_OCTETS: usize = 320;

/// An account's name, in lower case and normal form C (as RFC 8265 §3.3 asks): letters and digits of any script, and `.`, `-`, `_`, `+`,
/// `=`, `@`, `'`, `!`, `#`, `&`, `~`. Neither it nor its domain begins with a sign other than `_`, no part of it is empty, and it does
/// not end with a dot, so that it can stand in a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// Why a text is not an account's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name has at most 320 octets: letters, digits and .-_+=@'!#&~, one @ at most, on both sides of it a letter, digit or underscore first, \
     no two dots side by side and none at the end"
)]
pub struct InvalidUserName;

impl UserName {
    /// Checks a name and puts it in lower case and normal form C.
    ///
    /// # Errors
    /// [`InvalidUserName`]
    pub fn new(text: &str) -> Result<Self, InvalidUserName> {
        // no normal form is shorter than a third of another, so hostile lengths stop here
        if text.len() > 3 * MAX_OCTETS {
            return Err(InvalidUserName);
        }
        let lower: String = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            text.nfc()
                .collect::<String>()
                .to_lowercase()
                .nfc()
                .collect()
        };
        let allowed = |c: char| c.is_alphanumeric() || ".-_+=@'!#&~".contains(c);
        let begins_well = |part: &str| {
            part.chars()
                .next()
                .is_some_and(|c| c.is_alphanumeric() || c == '_')
        };
        let parts = lower.split('@').count();
        let good = lower.len() <= MAX_OCTETS
            && parts <= 2
            && lower.split('@').all(begins_well)
            && lower.chars().all(allowed)
            && !lower.contains("..")
            && !lower.ends_with('.');
        if good {
            Ok(Self(lower.into()))
        } else {
            Err(InvalidUserName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_can_stand_in_a_path() {
        for (text, expected) in [
            ("Anna", Some("anna")),
            ("anna.b+c@Example.ORG", Some("anna.b+c@example.org")),
            ("müller@例え.jp", Some("müller@例え.jp")),
            ("MU\u{308}LLER", Some("m\u{fc}ller")),
            ("a.", None),
            ("a\u{202e}b", None),
            ("a\u{2f}b", None),
            ("a\u{ff0f}b", None),
            ("\u{ff0e}\u{ff0e}", None),
            ("_service", Some("_service")),
            ("", None),
            (".", None),
            ("..", None),
            ("a/../b", None),
            ("a/b", None),
            ("a..b", None),
            ("@example.org", None),
            ("a@", None),
            ("a@b@c", None),
            ("-rf", None),
            ("a b", None),
            ("a\0b", None),
            ("a%b", None),
            ("a'b", Some("a'b")),
        ] {
            assert_eq!(
                UserName::new(text).ok().as_ref().map(UserName::as_str),
                expected,
                "{text:?}"
            );
        }
        assert!(UserName::new(&"a".repeat(320)).is_ok());
        assert!(UserName::new(&"a".repeat(321)).is_err());
        assert!(UserName::new(&"e\u{301}".repeat(1_000_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_taken_is_one_part_of_a_path_and_taken_as_it_is(text in "[a-zA-ZäÖßİ@._/%\\\\\u{0}\u{308}-]{1,12}") {
            if let Ok(name) = UserName::new(&text) {
                let path = std::path::Path::new("/x").join(name.as_str());
                assert_eq!(path.components().count(), 3);
                assert_eq!(path.parent(), Some(std::path::Path::new("/x")));
                assert!(!name.as_str().contains(['/', '\\', '%', '\0']) && !name.as_str().contains(".."));
                assert_eq!(UserName::new(name.as_str()), Ok(name));
            }
        }
    }
}
