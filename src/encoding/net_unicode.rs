//! Net-Unicode (RFC 5198): text that looks the same is the same.

use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// The text in Normalization Form C.
pub(crate) fn normalize(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_what_is_apart() {
        for (text, expected) in [
            ("plain", "plain"),
            ("Entw\u{fc}rfe", "Entw\u{fc}rfe"),
            ("Entwu\u{308}rfe", "Entw\u{fc}rfe"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
        ] {
            assert_eq!(normalize(text), expected);
        }
    }
}
