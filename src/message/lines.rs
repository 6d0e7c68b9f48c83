//! Line ends: stored octets to the wire form, where a bare LF becomes CRLF, a lone CR stays and NUL becomes 0x80.

/// Counts octets and lines of the wire form of what is fed, in pieces of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CrlfState {
    octets: u64,
    lines: u64,
    previous: u8,
}

impl CrlfState {
    /// Counts a piece.
    pub(crate) fn feed(&mut self, _input: &[u8]) {}

    /// Octets of the wire form so far.
    pub(crate) const fn octets(&self) -> u64 {
        self.octets
    }

    /// Line ends so far.
    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }
}

/// Length of the wire form.
pub(crate) fn crlf_octets(_input: &[u8]) -> u64 {
    0
}

/// Appends the wire form of a piece. `previous` is the octet before the piece (0 at the start) and is carried on.
pub(crate) fn push_crlf(_input: &[u8], _previous: &mut u8, _out: &mut Vec<u8>) {}

/// As [`push_crlf`], with NUL left as it is (BINARY, RFC 3516).
pub(crate) fn push_crlf_keeping_nul(_input: &[u8], _previous: &mut u8, _out: &mut Vec<u8>) {}

/// Where octet `origin` of the wire form comes from: offset into the stored octets, and `previous` for going on there with
/// [`push_crlf`].
pub(crate) fn seek(_input: &[u8], _origin: u64) -> (usize, u8) {
    (0, 0)
}

/// Appends at most `octets` octets of the wire form from its octet `origin` on.
pub(crate) fn push_crlf_window(_input: &[u8], _origin: u64, _octets: u64, _out: &mut Vec<u8>) {}
