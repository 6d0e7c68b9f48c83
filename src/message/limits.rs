//! How much of a message's headers is interpreted. Everything beyond is still there to be fetched, it only tells nothing.

/// Most octets of one field that are interpreted: a To with some thousand recipients.
pub(crate) const MAX_FIELD_OCTETS: usize = 262_144;

/// Most octets of fields that are interpreted for one structure or envelope.
pub(crate) const MAX_FIELDS_OCTETS: usize = 1_048_576;

/// Most addresses that one structure or envelope tells.
pub(crate) const MAX_ADDRESSES: usize = 8_192;

/// Most parameters of one Content-Type or Content-Disposition, and most languages of one Content-Language.
pub(crate) const MAX_PARAMETERS: usize = 64;

/// Most parts of a message.
pub(crate) const MAX_PARTS: usize = 10_000;

/// Deepest nesting of multiparts and messages.
pub(crate) const MAX_DEPTH: usize = 100;

/// What may still be interpreted.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// Octets of fields.
    octets: usize,
    /// Addresses.
    pub(super) addresses: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            octets: MAX_FIELDS_OCTETS,
            addresses: MAX_ADDRESSES,
        }
    }
}

impl Budget {
    /// The start of a field's value that may be interpreted.
    pub(super) fn take<'a>(&mut self, value: &'a [u8]) -> &'a [u8] {
        let octets = value.len().min(MAX_FIELD_OCTETS).min(self.octets);
        self.octets -= octets;
        value.get(..octets).unwrap_or(value)
    }
}
