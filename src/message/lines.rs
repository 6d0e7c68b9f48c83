//! Line ends: stored octets to the wire form, where a bare LF becomes CRLF, a lone CR stays and NUL becomes 0x80 (RFC 9051 §4.3 allows no NUL
//! in a literal; 0x80 is what Dovecot sends).
//!
//! Whatever the pieces a message comes in, the wire form is the same.

use memchr::memchr;

/// What stands for NUL in the wire form.
const NUL_REPLACEMENT: u8 = 0x80;

/// Counts octets and lines of the wire form of what is fed, in pieces of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CrlfState {
    /// Octets of the wire form.
    octets: u64,
    /// Line ends.
    lines: u64,
    /// The last octet fed.
    previous: u8,
}

impl CrlfState {
    /// Counts a piece.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        let line_ends = memchr::memchr_iter(b'\n', input).count();
        let is_split = self.previous == b'\r' && input.first() == Some(&b'\n');
        let bare = line_ends - crlf_pairs(input) - usize::from(is_split);
        self.octets += (input.len() + bare) as u64;
        self.lines += line_ends as u64;
        self.previous = last(input, self.previous);
    }

    /// The counts before the line end that came last.
    pub(super) const fn before_line_end(mut self) -> Self {
        self.octets = self.octets.saturating_sub(2);
        self.lines = self.lines.saturating_sub(1);
        self
    }

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
#[cfg(any(test, fuzzing))]
pub(crate) fn crlf_octets(input: &[u8]) -> u64 {
    let mut state = CrlfState::default();
    state.feed(input);
    state.octets()
}

/// How many CRLF there are. Sums of up to 255 comparisons fit an octet, which lets the compiler use vector instructions.
fn crlf_pairs(input: &[u8]) -> usize {
    let from_cr = memchr(b'\r', input).and_then(|at| input.get(at..));
    let Some((from_cr, after)) = from_cr.and_then(|from| Some((from, from.get(1..)?))) else {
        return 0;
    };
    from_cr
        .chunks(255)
        .zip(after.chunks(255))
        .map(|(octets, next)| {
            let pairs = octets.iter().zip(next);
            let sum: u8 = pairs
                .map(|(octet, next)| u8::from(*octet == b'\r') & u8::from(*next == b'\n'))
                .sum();
            usize::from(sum)
        })
        .sum()
}

/// The last octet of a piece, or the one before it if the piece is empty.
fn last(input: &[u8], previous: u8) -> u8 {
    input.last().copied().unwrap_or(previous)
}

/// Appends the wire form of a piece. `previous` is the octet before the piece (0 at the start) and is carried on.
pub(crate) fn push_crlf(input: &[u8], previous: &mut u8, out: &mut Vec<u8>) {
    let start = out.len();
    push_crlf_keeping_nul(input, previous, out);
    replace_nul(out.get_mut(start..).unwrap_or_default());
}

/// As [`push_crlf`], with NUL left as it is (BINARY, RFC 3516).
pub(crate) fn push_crlf_keeping_nul(input: &[u8], previous: &mut u8, out: &mut Vec<u8>) {
    out.reserve(input.len());
    let mut copied = 0;
    for at in bare_offsets(input, *previous) {
        out.extend_from_slice(input.get(copied..at).unwrap_or_default());
        out.push(b'\r');
        copied = at;
    }
    out.extend_from_slice(input.get(copied..).unwrap_or_default());
    *previous = last(input, *previous);
}

/// Offsets of the LF that have no CR before them.
fn bare_offsets(input: &[u8], previous: u8) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\n', input).filter(move |at| octet_before(input, *at, previous) != b'\r')
}

/// The octet before an offset.
fn octet_before(input: &[u8], at: usize, previous: u8) -> u8 {
    at.checked_sub(1)
        .and_then(|before| input.get(before))
        .copied()
        .unwrap_or(previous)
}

/// Replaces every NUL.
pub(crate) fn replace_nul(octets: &mut [u8]) {
    let mut rest = octets;
    while let Some(at) = memchr(0, rest) {
        let (_, from) = rest.split_at_mut(at);
        let Some((nul, after)) = from.split_first_mut() else {
            return;
        };
        *nul = NUL_REPLACEMENT;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stored octets, wire form, line ends.
    const CASES: &[(&[u8], &[u8], u64)] = &[
        (b"", b"", 0),
        (b"a", b"a", 0),
        (b"\n", b"\r\n", 1),
        (b"\r\n", b"\r\n", 1),
        (b"\r", b"\r", 0),
        (b"a\nb\r\nc", b"a\r\nb\r\nc", 2),
        (b"\n\n\r\n\n", b"\r\n\r\n\r\n\r\n", 4),
        (b"a\rb\r\r\n\n\rc", b"a\rb\r\r\n\r\n\rc", 2),
        (b"\0a\0\0\n", b"\x80a\x80\x80\r\n", 1),
        (b"no end\nof line", b"no end\r\nof line", 1),
    ];

    /// The obvious way.
    fn plain(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for octet in input {
            if *octet == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(if *octet == 0 { 0x80 } else { *octet });
        }
        out
    }

    /// Checks one input, cut at one place.
    fn check(input: &[u8], wire: &[u8], lines: u64, cut: usize) {
        let (first, second) = input.split_at(cut);
        let (mut previous, mut out) = (0, Vec::new());
        push_crlf(first, &mut previous, &mut out);
        push_crlf(second, &mut previous, &mut out);
        assert_eq!(out, wire, "{} cut at {cut}", input.escape_ascii());
        let mut state = CrlfState::default();
        state.feed(first);
        state.feed(second);
        assert_eq!((state.octets(), state.lines()), (wire.len() as u64, lines));
    }

    #[test]
    fn wire_form_at_every_cut() {
        for (input, wire, lines) in CASES {
            assert_eq!(plain(input), *wire);
            assert_eq!(crlf_octets(input), wire.len() as u64);
            for cut in 0..=input.len() {
                check(input, wire, *lines, cut);
            }
        }
    }

    #[test]
    fn nul_stays_for_binary() {
        let (mut previous, mut out) = (0, Vec::new());
        push_crlf_keeping_nul(b"\0\n\0", &mut previous, &mut out);
        assert_eq!(out, b"\0\r\n\0");
    }

    proptest! {
        #[test]
        fn sizes_and_octets_agree(input in "[a\r\n\0]{0,600}", cut: prop::sample::Index) {
            let input = input.as_bytes();
            let lines = input.iter().filter(|octet| **octet == b'\n').count();
            check(input, &plain(input), lines as u64, cut.index(input.len() + 1));
        }
    }
}
