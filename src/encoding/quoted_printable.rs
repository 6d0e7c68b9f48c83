//! Quoted-printable (RFC 2045 §6.7).

/// Decodes the body of a quoted-printable MIME part; what is malformed stays as it stands.
pub(crate) fn decode(_text: &[u8]) -> Vec<u8> {
    Vec::new()
}
