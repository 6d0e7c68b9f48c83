//! Modified UTF-7 of mailbox names (RFC 3501 §5.1.3).

/// The modified UTF-7 form of a name.
pub(crate) fn encode(_name: &str) -> String {
    String::new()
}

/// The name that modified UTF-7 stands for; none if it is not valid.
pub(crate) fn decode(_text: &[u8]) -> Option<String> {
    None
}
