//! Fields of MIME (RFC 2045, 2183, 3282): Content-Type and its kin, as IMAP tells them: values as they stand, only quotes and comments gone.
//!
//! RFC 2231's pieces of parameters (`name*0*`) stay pieces, since joining and decoding them is up to the client. Broken fields are read as
//! far as they make sense: blanks in unquoted values, missing semicolons, quotes left open.

use super::limits::MAX_PARAMETERS;
use super::token::{Lexer, is_token};

/// `name=value` of a structured field; RFC 2231 names (`name*0*`) as they stand, values without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Name as written.
    pub(crate) name: Vec<u8>,
    /// Value, quotes and their backslashes removed.
    pub(crate) value: Vec<u8>,
}

/// Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// Type as written.
    pub(super) kind: Vec<u8>,
    /// Subtype as written.
    pub(super) subtype: Vec<u8>,
    /// Its parameters.
    pub(super) parameters: Vec<Parameter>,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// `inline`, `attachment` …
    pub(crate) kind: Vec<u8>,
    /// Its parameters.
    pub(crate) parameters: Vec<Parameter>,
}

impl MediaType {
    /// Reads an unfolded Content-Type; none if type or subtype are missing, which makes it text/plain (RFC 2045 §5.2).
    ///
    /// `content = "Content-Type" ":" type "/" subtype *(";" parameter)`
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        let kind = token(&mut lexer)?;
        lexer.skip_comments();
        if lexer.bump() != Some(b'/') {
            return None;
        }
        Some(Self {
            kind,
            subtype: token(&mut lexer)?,
            parameters: parameters(&mut lexer),
        })
    }

    /// What a part without Content-Type is (RFC 2045 §5.2).
    pub(super) fn text_plain() -> Self {
        Self {
            kind: b"text".to_vec(),
            subtype: b"plain".to_vec(),
            parameters: vec![Parameter {
                name: b"charset".to_vec(),
                value: b"us-ascii".to_vec(),
            }],
        }
    }

    /// A type without parameters.
    pub(super) fn plain(kind: &[u8], subtype: &[u8]) -> Self {
        Self {
            kind: kind.to_vec(),
            subtype: subtype.to_vec(),
            parameters: Vec::new(),
        }
    }

    /// True for this type and any of the subtypes.
    pub(super) fn is(&self, kind: &[u8], subtypes: &[&[u8]]) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
            && subtypes
                .iter()
                .any(|subtype| self.subtype.eq_ignore_ascii_case(subtype))
    }
}

impl Disposition {
    /// Reads an unfolded Content-Disposition; none if it tells nothing. Parameters alone mean an attachment (RFC 2183 §2.8).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        lexer.skip_comments();
        let kind = if lexer.peek() == Some(b'"') {
            Some(lexer.quoted())
        } else {
            token(&mut lexer)
        };
        let parameters = parameters(&mut lexer);
        match kind.filter(|kind| !kind.is_empty()) {
            Some(kind) => Some(Self { kind, parameters }),
            None => (!parameters.is_empty()).then(|| Self {
                kind: b"attachment".to_vec(),
                parameters,
            }),
        }
    }
}

/// The first token of a value, as Content-Transfer-Encoding needs it.
pub(super) fn first_token(value: &[u8]) -> Option<Vec<u8>> {
    token(&mut Lexer::new(value))
}

/// The tags of an unfolded Content-Language (RFC 3282).
pub(super) fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new(value);
    let mut languages = Vec::new();
    while languages.len() < MAX_PARAMETERS {
        languages.extend(token(&mut lexer));
        if lexer.bump().is_none() {
            break;
        }
    }
    languages
}

/// Reads a token, and comments before it.
fn token(lexer: &mut Lexer<'_>) -> Option<Vec<u8>> {
    lexer.skip_comments();
    let token = lexer.take_while(is_token);
    (!token.is_empty()).then(|| token.to_vec())
}

/// Reads `*(";" attribute "=" value)`, and whatever else there is.
fn parameters(lexer: &mut Lexer<'_>) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    while parameters.len() < MAX_PARAMETERS {
        lexer.skip_comments();
        let name = lexer.take_while(is_name);
        lexer.skip_comments();
        match lexer.peek() {
            Some(b'=') => {
                lexer.bump();
                let value = value(lexer);
                if !name.is_empty() {
                    let name = name.to_vec();
                    parameters.push(Parameter { name, value });
                }
            }
            Some(_) if !name.is_empty() => {}
            Some(b'"') => {
                lexer.quoted();
            }
            Some(_) => {
                lexer.bump();
            }
            None => break,
        }
    }
    parameters
}

/// Octets of a parameter's name.
const fn is_name(octet: u8) -> bool {
    !octet.is_ascii_whitespace() && !matches!(octet, b'=' | b';' | b'(' | b'"')
}

/// Octets of an unquoted value. Far more than the RFC allows: nothing else could be meant.
const fn is_value(octet: u8) -> bool {
    !octet.is_ascii_whitespace() && !matches!(octet, b';' | b'(' | b'"')
}

/// Reads a value: a quoted string, or words up to the next semicolon or to what looks like the next parameter.
fn value(lexer: &mut Lexer<'_>) -> Vec<u8> {
    lexer.skip_comments();
    if lexer.peek() == Some(b'"') {
        return lexer.quoted();
    }
    let mut value = lexer.take_while(is_value).to_vec();
    loop {
        lexer.skip_comments();
        let word = lexer.peek_while(is_value);
        if word.is_empty() || value.is_empty() || memchr::memchr(b'=', word).is_some() {
            return value;
        }
        value.push(b' ');
        value.extend_from_slice(lexer.take_while(is_value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name=value` joined by `|`.
    fn show(parameters: &[Parameter]) -> String {
        let shown: Vec<_> = parameters
            .iter()
            .map(|Parameter { name, value }| {
                format!("{}={}", name.escape_ascii(), value.escape_ascii())
            })
            .collect();
        shown.join("|")
    }

    #[test]
    fn content_types() {
        for (value, expected) in [
            ("text/plain", "text/plain "),
            ("TEXT/Plain; Charset=UTF-8", "TEXT/Plain Charset=UTF-8"),
            (
                "text / (x) plain (y) ; (z) charset = utf-8 (end)",
                "text/plain charset=utf-8",
            ),
            (r#"a/b; c="d e"; f="g\"h\\""#, r#"a/b c=d e|f=g\"h\\"#),
            (
                "a/b; n*0*=utf-8'de'x%20; n*1=y; n*=z",
                "a/b n*0*=utf-8\\'de\\'x%20|n*1=y|n*=z",
            ),
            (
                "multipart/mixed; boundary=--=_:a/b?",
                "multipart/mixed boundary=--=_:a/b?",
            ),
            ("a/b charset=utf-8", "a/b charset=utf-8"),
            ("a/b; charset", "a/b "),
            ("a/b; charset; d=e", "a/b d=e"),
            ("a/b; c=; d=e", "a/b c=|d=e"),
            ("a/b; c=\"\"; d=\"open; e=f", "a/b c=|d=open; e=f"),
            ("a/b;; ;c=d;", "a/b c=d"),
            ("a/b; name=two words.txt; c=d", "a/b name=two words.txt|c=d"),
            ("a/b; c=\"d\"e=f;=g;\"x\" h=i", "a/b c=d|e=f|h=i"),
            ("a/b; c=d; c=e", "a/b c=d|c=e"),
            ("a/b (open; c=d", "a/b "),
        ] {
            let parsed = MediaType::parse(value.as_bytes()).unwrap();
            let (kind, subtype) = (parsed.kind.escape_ascii(), parsed.subtype.escape_ascii());
            assert_eq!(
                format!("{kind}/{subtype} {}", show(&parsed.parameters)),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn no_content_types() {
        for value in [
            "",
            "text",
            "text/",
            "/plain",
            "text plain",
            "\"text\"/plain",
            ";c=d",
            "(text/plain)",
        ] {
            assert_eq!(MediaType::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn dispositions() {
        for (value, expected) in [
            ("inline", Some("inline ")),
            (
                "(x) Attachment ; filename=\"a b\"; size=3",
                Some("Attachment filename=a b|size=3"),
            ),
            ("attachment filename=x", Some("attachment filename=x")),
            ("\"attachment\"; filename=", Some("attachment filename=")),
            ("; filename=x", Some("attachment filename=x")),
            ("filename=x", Some("filename ")),
            ("", None),
            (";;", None),
        ] {
            let shown = Disposition::parse(value.as_bytes()).map(|parsed| {
                format!(
                    "{} {}",
                    parsed.kind.escape_ascii(),
                    show(&parsed.parameters)
                )
            });
            assert_eq!(shown.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn other_fields() {
        let tags = |value: &[u8]| languages(value).join(&b'|');
        assert_eq!(tags(b"en"), b"en");
        assert_eq!(tags(b"en (English), , de-CH;"), b"en|de-CH");
        assert_eq!(tags(b"\"en-GB\""), b"en-GB");
        assert_eq!(tags(b" , (x)"), b"");
        assert_eq!(
            first_token(b" (x) 7bit (y)").as_deref(),
            Some(b"7bit".as_slice())
        );
        assert_eq!(
            first_token(b"8bit; charset=x").as_deref(),
            Some(b"8bit".as_slice())
        );
        assert_eq!(first_token(b" "), None);
    }

    #[test]
    fn parameters_are_limited() {
        let value = [b"a/b".as_slice(), &b";c=d".repeat(1_000)].concat();
        assert_eq!(
            MediaType::parse(&value).unwrap().parameters.len(),
            MAX_PARAMETERS
        );
        assert_eq!(languages(&b"en,".repeat(1_000)).len(), MAX_PARAMETERS);
    }

    proptest! {
        #[test]
        fn any_octets_are_read(value in "[ab/=;(),\"\\\\ \n]{0,60}") {
            MediaType::parse(value.as_bytes());
            Disposition::parse(value.as_bytes());
            languages(value.as_bytes());
            first_token(value.as_bytes());
        }
    }
}
