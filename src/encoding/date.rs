//! Dates: INTERNALDATE (RFC 9051 §9) and the Date field (RFC 5322 §3.3, §4.3).

/// The date of a message, as its Date field tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageDate {
    /// Year, month and day as written, in the sender's own zone.
    pub(crate) day: (i16, i8, i8),
    /// The moment, in seconds since 1970.
    pub(crate) unix: i64,
}

/// Parses `" 1-Jan-2026 10:00:00 +0100"`, without quotes, into seconds since 1970.
pub(crate) fn parse_internal(_text: &[u8]) -> Option<i64> {
    None
}

/// The INTERNALDATE form of a moment, in UTC: always 26 characters.
pub(crate) fn format_internal(_unix: i64) -> String {
    String::new()
}

/// The day of a moment in UTC: year, month, day.
pub(crate) fn civil_day(_unix: i64) -> (i16, i8, i8) {
    (1970, 1, 1)
}

/// Reads the value of a Date field, obsolete and slightly broken forms included.
pub(crate) fn parse_message_date(_text: &[u8]) -> Option<MessageDate> {
    None
}
