//! Charsets by their MIME names.

/// Names to tell a client that asked for a charset we do not know (BADCHARSET).
pub(crate) const NAMES: &[&str] = &["UTF-8", "US-ASCII"];

/// Decodes octets; none if the charset is unknown. Malformed octets become U+FFFD.
pub(crate) fn decode(_label: &[u8], _octets: &[u8]) -> Option<String> {
    None
}

/// True if [`decode`] knows the charset.
pub(crate) fn is_known(_label: &[u8]) -> bool {
    false
}
