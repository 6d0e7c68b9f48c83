//! Text search in messages (RFC 9051 §6.4.4): decoded, without regard to case.

use super::structure::Message;

/// What is looked for, folded.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    folded: Vec<u8>,
}

impl Needle {
    /// Prepares a search; an empty text is in everything.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            folded: text.as_bytes().to_vec(),
        }
    }

    /// True for the empty text.
    pub(crate) const fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }
}

/// True if a field with that name contains the text; for the empty text, if there is such a field.
pub(crate) fn header_contains(_header: &[u8], _field: &[u8], _needle: &Needle) -> bool {
    false
}

/// True if the body contains the text: text parts, and headers of messages inside.
pub(crate) fn body_contains(_octets: &[u8], _message: &Message, _needle: &Needle) -> bool {
    false
}

/// True if header or body contains the text, headers of parts included.
pub(crate) fn any_contains(_octets: &[u8], _message: &Message, _needle: &Needle) -> bool {
    false
}
