//! Header fields (RFC 5322 §2.2).

use std::ops::Range;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Name without colon; empty if the line is no field.
    pub(crate) name: &'a [u8],
    /// What follows the colon, folded as stored, without the last line end.
    pub(crate) value: &'a [u8],
    /// The whole field with its line ends, as offsets into the header.
    pub(crate) raw: Range<usize>,
}

/// Length of the header at the start of `message`, with the empty line that ends it.
pub(crate) fn octets(_message: &[u8]) -> usize {
    0
}

/// The fields of a header, up to the empty line.
pub(crate) fn fields(_header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::empty()
}

/// The fields with the given names, or with `negate` all others, raw and in order, and the empty line that ends a header. Line ends
/// as stored.
pub(crate) fn select(_header: &[u8], _names: &[&[u8]], _negate: bool) -> Vec<u8> {
    Vec::new()
}

/// The unfolded value of the first field with that name, without white space around it.
pub(crate) fn value(_header: &[u8], _name: &[u8]) -> Option<Vec<u8>> {
    None
}

/// A value without line ends, NUL replaced, without white space around it.
pub(crate) fn unfold(_value: &[u8]) -> Vec<u8> {
    Vec::new()
}
