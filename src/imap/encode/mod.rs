//! Responses to octets. The only code that formats IMAP.

pub(crate) mod fetch;

use super::types::response::{Tagged, Untagged};

/// Appends an untagged response. `utf8`: 8-bit octets may stand in quoted strings (UTF8=ACCEPT or IMAP4rev2 was enabled).
pub(crate) fn untagged(_response: &Untagged, _utf8: bool, _out: &mut Vec<u8>) {}

/// Appends the end of a command.
pub(crate) fn tagged(_response: &Tagged, _out: &mut Vec<u8>) {}

/// Appends a continuation request: `+ text`. For a SASL challenge the text is its base64, which may be empty.
pub(crate) fn continuation(_text: &str, _out: &mut Vec<u8>) {}
