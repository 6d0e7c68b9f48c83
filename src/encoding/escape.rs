//! Octets from outside, made safe for a log line.

use std::fmt;

/// Shows octets so that they can break neither a line nor a terminal: printable ASCII as it is, apart from quotes and backslash, the rest
/// escaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_comes_out() {
        let cases: [(&[u8], &str); 4] = [
            (b"anna@example.org", "anna@example.org"),
            (b"a\r\nlogin_finished", r"a\r\nlogin_finished"),
            (b"\x1B[2J\0", r"\x1b[2J\x00"),
            (b"\"\\\xC3\xA9", r#"\"\\\xc3\xa9"#),
        ];
        for (octets, shown) in cases {
            assert_eq!(Escaped(octets).to_string(), shown);
        }
    }
}
