//! Capability names, written once.

/// A capability as it stands in CAPABILITY answers, the `IMAP4rev1` first; see [`crate::imap`] for which are announced when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// A name without a value.
    Name(&'static str),
    /// `AUTH=` with a mechanism.
    Auth(&'static str),
    /// `APPENDLIMIT=` with octets (RFC 7889).
    AppendLimit(u64),
    /// `MESSAGELIMIT=` with messages (RFC 9738).
    MessageLimit(u32),
    /// `SAVELIMIT=` with messages (RFC 9738).
    SaveLimit(u32),
}
