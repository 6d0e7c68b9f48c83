//! What structured fields are made of (RFC 5322 §3.2, RFC 2045 §5.1): blanks, comments, quoted strings, words. Never goes back, so that
//! reading a field takes time linear in its length.

/// Reads an unfolded value from front to back.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    /// What has not been read.
    rest: &'a [u8],
}

impl<'a> Lexer<'a> {
    /// At the start of a value.
    pub(super) const fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// The next octet, which stays.
    pub(super) const fn peek(&self) -> Option<u8> {
        match self.rest {
            [first, ..] => Some(*first),
            [] => None,
        }
    }

    /// Reads one octet.
    pub(super) const fn bump(&mut self) -> Option<u8> {
        match self.rest {
            [first, rest @ ..] => {
                self.rest = rest;
                Some(*first)
            }
            [] => None,
        }
    }

    /// Reads octets as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().take_while(|octet| wanted(**octet)).count();
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Looks at octets without reading them.
    pub(super) fn peek_while(&self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        self.clone().take_while(wanted)
    }

    /// Reads blanks and line ends.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|octet| octet.is_ascii_whitespace());
    }

    /// Reads blanks and comments; gives the text of the last comment.
    pub(super) fn skip_comments(&mut self) -> Option<Vec<u8>> {
        let mut last = None;
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'(') {
                return last;
            }
            last = Some(self.comment());
        }
    }

    /// Reads a comment, which may hold others, from its parenthesis on; gives its text. One without end goes to the end of the value.
    pub(super) fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0_usize;
        while let Some(octet) = self.bump() {
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            match octet {
                b'(' if depth == 1 => {}
                b')' if depth == 0 => break,
                b'\\' => text.extend(self.bump()),
                _ => text.push(octet),
            }
        }
        text
    }

    /// Reads a quoted string from its quote on; gives its text. One without end goes to the end of the value.
    pub(super) fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.bump();
        while let Some(octet) = self.bump() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(self.bump()),
                _ => text.push(octet),
            }
        }
        text
    }
}

/// `token` of RFC 2045 §5.1.
pub(super) const fn is_token(octet: u8) -> bool {
    octet.is_ascii_graphic()
        && !matches!(
            octet,
            b'(' | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        for (value, text, rest) in [
            ("(a)b", "a", "b"),
            ("(a (b (c)) d)e", "a (b (c)) d", "e"),
            (r"(a \) \( b) c", "a ) ( b", " c"),
            ("(never ended (", "never ended (", ""),
            ("()", "", ""),
        ] {
            let mut lexer = Lexer::new(value.as_bytes());
            assert_eq!(lexer.comment(), text.as_bytes());
            assert_eq!(lexer.rest, rest.as_bytes());
        }
    }

    #[test]
    fn quoted_strings() {
        for (value, text, rest) in [
            (r#""a b"c"#, "a b", "c"),
            (r#""a \"b\" \\ \c""#, r#"a "b" \ c"#, ""),
            (r#""never ended"#, "never ended", ""),
            (r#""ends in a backslash\"#, "ends in a backslash", ""),
        ] {
            let mut lexer = Lexer::new(value.as_bytes());
            assert_eq!(lexer.quoted(), text.as_bytes());
            assert_eq!(lexer.rest, rest.as_bytes());
        }
    }
}
