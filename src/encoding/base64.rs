//! Base64 (RFC 4648 §4): strict for SASL, lenient for MIME.

/// Base64 of octets, padded.
pub(crate) fn encode(_octets: &[u8]) -> String {
    String::new()
}

/// Decodes canonical, padded base64 without white space; none if it is anything else.
pub(crate) fn decode(_text: &[u8]) -> Option<Vec<u8>> {
    None
}

/// Decodes the body of a base64 MIME part (RFC 2045 §6.8): other characters are passed over, a missing end is tolerated.
pub(crate) fn decode_mime(_text: &[u8]) -> Vec<u8> {
    Vec::new()
}
