//! Patterns of LIST and LSUB: `*` matches anything, `%` anything but the delimiter (RFC 9051 §6.3.9).
//!
//! Matching keeps the set of places in the pattern that can be reached, so its time is at most the product of both lengths.

/// Longest pattern that can match anything, and all patterns of a command together, in characters; names are shorter.
pub(super) const MAX_PATTERN_CHARS: usize = 4096;

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Character(char),
    /// `%`
    WithinLevel,
    /// `*`
    Anything,
}

/// A pattern, reference and mailbox argument put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    delimiter: char,
}

impl Pattern {
    /// Takes a pattern apart.
    pub(crate) fn new(text: &str, delimiter: char) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        for character in text.chars() {
            let token = match character {
                '*' => Token::Anything,
                '%' => Token::WithinLevel,
                other => Token::Character(other),
            };
            match (tokens.last_mut(), token) {
                // runs of wildcards mean what the strongest of them means
                (Some(Token::Anything), Token::Anything | Token::WithinLevel)
                | (Some(Token::WithinLevel), Token::WithinLevel) => {}
                (Some(last @ Token::WithinLevel), Token::Anything) => *last = Token::Anything,
                _ => tokens.push(token),
            }
        }
        Self { tokens, delimiter }
    }

    /// True if the last wildcard of LSUB's rule stands at the end (RFC 3501 §6.3.9).
    pub(crate) fn ends_within_level(&self) -> bool {
        self.tokens.last() == Some(&Token::WithinLevel)
    }

    /// True if a name matches. INBOX as the first level matches in any case.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.tokens.len() > MAX_PATTERN_CHARS {
            return false;
        }
        let folded = match name.strip_prefix("INBOX") {
            Some(rest) if rest.is_empty() || rest.starts_with(self.delimiter) => 5,
            _ => 0,
        };
        let mut reached = vec![false; self.tokens.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.pass_wildcards(&mut reached);
        for (index, character) in name.chars().enumerate() {
            let mut next = vec![false; reached.len()];
            let here = self.tokens.iter().zip(&reached).enumerate();
            for (at, (token, _)) in here.filter(|(_, (_, reached))| **reached) {
                let (stays, goes) = match token {
                    Token::Anything => (true, false),
                    Token::WithinLevel => (character != self.delimiter, false),
                    Token::Character(wanted) if index < folded => {
                        (false, wanted.eq_ignore_ascii_case(&character))
                    }
                    Token::Character(wanted) => (false, *wanted == character),
                };
                if let Some(place) = next.get_mut(at + usize::from(goes)) {
                    *place |= stays || goes;
                }
            }
            self.pass_wildcards(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// A wildcard also matches nothing: whoever reaches it has reached what follows.
    fn pass_wildcards(&self, reached: &mut [bool]) {
        let mut passed = false;
        for (at, place) in reached.iter_mut().enumerate() {
            *place |= passed;
            let token = self.tokens.get(at);
            passed = *place && matches!(token, Some(Token::Anything | Token::WithinLevel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_the_rfc_says() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("", "a", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false),
            ("a*", "a", true),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("*2", "foo2/bar2", true),
            ("*2", "foo2/bar1", false),
            ("%b*d", "ab/cd", true),
            ("%%a%", "xxay", true),
            ("*%", "a/b", true),
            ("%*", "a/b", true),
            ("inbox", "INBOX", true),
            ("In%", "INBOX", true),
            ("inbox/X", "INBOX/X", true),
            ("inbox/x", "INBOX/X", false),
            ("sent", "Sent", false),
            ("inboxes", "INBOXES", false),
            ("Entwü%", "Entwürfe", true),
        ] {
            let found = Pattern::new(pattern, '/').matches(name);
            assert_eq!(found, expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn hostile_patterns_take_their_time_but_no_more() {
        let pattern = Pattern::new(&"a%*".repeat(300), '/');
        assert!(!pattern.matches(&"a".repeat(250)));
        assert!(!Pattern::new(&"ab".repeat(3000), '/').matches(&"ab".repeat(3000)));
    }
}
