//! Address lists of header fields (RFC 5322 §3.4, §4.4), as ENVELOPE tells them (RFC 9051 §7.5.2).
//!
//! Tolerant: semicolons separate addresses outside groups too, words before a bare address are its name, a comment after it is its name if
//! there is none else, what is left open ends with the field.

use super::token::Lexer;

/// One entry of an address list. A group is its start, its members, its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `name <@route:local@domain>`
    Mailbox {
        /// Display name without quotes, encoded words as they stand.
        name: Option<Vec<u8>>,
        /// Obsolete source route, `@a,@b`.
        route: Option<Vec<u8>>,
        /// Local part, without quotes; empty if there is none.
        local: Vec<u8>,
        /// Domain; empty if there is none.
        domain: Vec<u8>,
    },
    /// `name:`; the members follow
    GroupStart(Vec<u8>),
    /// `;`, also where the field ends without it
    GroupEnd,
}

/// Parses the start of an address list, up to a number of addresses and group marks.
pub(crate) fn parse(value: &[u8], limit: usize) -> Vec<Address> {
    let mut parser = Parser {
        lexer: Lexer::new(value),
        addresses: Vec::new(),
        limit,
        words: Words::default(),
        is_complete: false,
        in_group: false,
    };
    while parser.addresses.len() < limit && parser.step().is_some() {}
    parser.finish();
    parser.addresses
}

/// Reads an address list.
struct Parser<'a> {
    /// What is left of it.
    lexer: Lexer<'a>,
    /// What has been found.
    addresses: Vec<Address>,
    /// Most that may be found.
    limit: usize,
    /// Words of the address that is being read.
    words: Words,
    /// That address has been found already; what still comes before the separator says nothing.
    is_complete: bool,
    /// Within a group.
    in_group: bool,
}

/// The words before `<`, `@`, `:` or a separator, which are a name or a local part.
#[derive(Default)]
struct Words {
    /// All of them, with one blank where there were some.
    phrase: Vec<u8>,
    /// How much of the phrase stands before the last word.
    before_last: usize,
    /// The last word, joined over dots: what a local part would be.
    last: Vec<u8>,
    /// Blanks or comments came after the last word.
    gap: bool,
    /// The last word ends in a dot that is not quoted.
    dot: bool,
    /// The last comment.
    comment: Option<Vec<u8>>,
}

impl Words {
    /// Adds a word, or a piece of one.
    fn push(&mut self, text: &[u8], quoted: bool) {
        let starts_with_dot = !quoted && text.starts_with(b".");
        if self.gap && !self.phrase.is_empty() {
            if !(self.dot || starts_with_dot) {
                self.before_last = self.phrase.len();
                self.last.clear();
            }
            self.phrase.push(b' ');
        }
        self.phrase.extend_from_slice(text);
        self.last.extend_from_slice(text);
        self.gap = false;
        self.dot = !quoted && text.ends_with(b".");
    }

    /// The whole phrase, as a name.
    fn into_name(self) -> Option<Vec<u8>> {
        Some(self.phrase).filter(|name| !name.is_empty())
    }

    /// The words before the last one, as a name, and the last one.
    fn into_name_and_local(mut self) -> (Option<Vec<u8>>, Vec<u8>) {
        self.phrase.truncate(self.before_last);
        (Some(self.phrase).filter(|name| !name.is_empty()), self.last)
    }
}

impl Parser<'_> {
    /// Reads one element; none at the end.
    fn step(&mut self) -> Option<()> {
        match self.lexer.peek()? {
            octet if octet.is_ascii_whitespace() => {
                self.lexer.skip_blanks();
                self.words.gap = true;
            }
            b'(' => {
                let comment = self.lexer.comment();
                self.words.comment = Some(comment);
                self.words.gap = true;
            }
            b'"' => {
                let text = self.lexer.quoted();
                self.words.push(&text, true);
            }
            b',' => self.separate(),
            b';' => {
                self.separate();
                self.end_group();
            }
            b':' if !self.in_group && !self.is_complete => self.start_group(),
            b'<' if !self.is_complete => self.angle(),
            b'@' if !self.is_complete => self.bare(),
            b':' | b'<' | b'>' | b'@' => {
                self.lexer.bump();
            }
            _ => {
                let text = self.lexer.take_while(is_word);
                if text.is_empty() {
                    // whatever is no word and nothing else: every step reads something
                    self.lexer.bump();
                } else {
                    self.words.push(text, false);
                }
            }
        }
        Some(())
    }

    /// Adds an address.
    fn push(&mut self, address: Address) {
        self.addresses.push(address);
        self.is_complete = true;
    }

    /// Reads a separator and ends the address before it.
    fn separate(&mut self) {
        self.end_address();
        self.lexer.bump();
    }

    /// Ends an address: words that nothing followed are a local part if there is but one, else a name.
    fn end_address(&mut self) {
        let words = std::mem::take(&mut self.words);
        if std::mem::take(&mut self.is_complete) {
            self.name_by_comment(words.comment);
        } else if !words.phrase.is_empty() {
            let is_single = words.before_last == 0;
            let (name, local) = if is_single {
                (words.comment, words.last)
            } else {
                (words.into_name(), Vec::new())
            };
            self.addresses.push(Address::Mailbox {
                name,
                route: None,
                local,
                domain: Vec::new(),
            });
        }
    }

    /// Gives the address just read the name that a comment behind it tells.
    fn name_by_comment(&mut self, comment: Option<Vec<u8>>) {
        if let Some(Address::Mailbox { name, .. }) = self.addresses.last_mut()
            && name.is_none()
        {
            *name = comment.filter(|comment| !comment.is_empty());
        }
    }

    /// `display-name ":"`
    fn start_group(&mut self) {
        self.lexer.bump();
        let name = std::mem::take(&mut self.words).phrase;
        self.addresses.push(Address::GroupStart(name));
        self.in_group = true;
    }

    /// Ends the group, if there is one.
    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.addresses.push(Address::GroupEnd);
        }
    }

    /// The end of the field ends everything.
    fn finish(&mut self) {
        if self.addresses.len() < self.limit {
            self.end_address();
        }
        self.end_group();
    }

    /// `local-part "@" domain` without angle brackets, from the `@` on.
    fn bare(&mut self) {
        let mut words = std::mem::take(&mut self.words);
        let comment = words.comment.take();
        let (name, local) = words.into_name_and_local();
        let domain = self.domain();
        self.words.comment = self.words.comment.take().or(comment);
        self.push(Address::Mailbox {
            name,
            route: None,
            local,
            domain,
        });
    }

    /// `angle-addr`, with an obsolete route or not, from the `<` on. A separator ends it where `>` is missing.
    fn angle(&mut self) {
        let words = std::mem::take(&mut self.words);
        self.lexer.take_while(|octet| octet == b'<');
        self.lexer.skip_comments();
        let route = (self.lexer.peek() == Some(b'@')).then(|| self.route());
        let (local, domain, route) = match route {
            Some((route, true)) => {
                let (local, domain) = self.addr_spec();
                (local, domain, Some(route))
            }
            Some((mut domain, false)) => {
                domain.drain(..domain.len().min(1));
                (Vec::new(), domain, None)
            }
            None => {
                let (local, domain) = self.addr_spec();
                (local, domain, None)
            }
        };
        self.words.comment.clone_from(&words.comment);
        self.push(Address::Mailbox {
            name: words.into_name(),
            route,
            local,
            domain,
        });
    }

    /// `obs-route = "@" domain *("," ["@" domain]) ":"`; false if no colon ends it.
    fn route(&mut self) -> (Vec<u8>, bool) {
        let mut route = Vec::new();
        loop {
            self.lexer.skip_comments();
            match self.lexer.peek() {
                Some(b':') => {
                    self.lexer.bump();
                    return (route, true);
                }
                Some(octet @ (b'@' | b',')) => {
                    self.lexer.bump();
                    route.push(octet);
                }
                Some(octet) if is_word(octet) => {
                    route.extend_from_slice(self.lexer.take_while(is_word));
                }
                _ => return (route, false),
            }
        }
    }

    /// `addr-spec` within angle brackets.
    fn addr_spec(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut local = Vec::new();
        loop {
            self.lexer.skip_comments();
            match self.lexer.peek() {
                Some(b'"') => local.extend(self.lexer.quoted()),
                Some(b'@') => return (local, self.domain()),
                Some(octet) if is_word(octet) => {
                    local.extend_from_slice(self.lexer.take_while(is_word));
                }
                _ => return (local, Vec::new()),
            }
        }
    }

    /// `domain`, from the `@` on: what stands up to the next word that no dot joins to it.
    fn domain(&mut self) -> Vec<u8> {
        self.lexer.bump();
        let mut domain = Vec::new();
        loop {
            if let Some(comment) = self.lexer.skip_comments() {
                self.words.comment = Some(comment);
            }
            if domain.is_empty() && self.lexer.peek() == Some(b'[') {
                return self.domain_literal();
            }
            let text = self.lexer.peek_while(is_word);
            let is_joined = domain.is_empty() || domain.ends_with(b".") || text.starts_with(b".");
            if text.is_empty() || !is_joined {
                return domain;
            }
            domain.extend_from_slice(self.lexer.take_while(is_word));
        }
    }

    /// `domain-literal`, which may hold colons: `[IPv6:2001:db8::1]`.
    fn domain_literal(&mut self) -> Vec<u8> {
        let is_inside = |octet| !matches!(octet, b']' | b',' | b'>' | b';');
        let mut literal = self.lexer.take_while(is_inside).to_vec();
        if self.lexer.peek() == Some(b']') {
            literal.extend(self.lexer.bump());
        }
        literal
    }
}

/// Octets of atoms, dots and domain literals; others are read as if they were of a word too, apart from those that mean something.
const fn is_word(octet: u8) -> bool {
    !octet.is_ascii_whitespace()
        && !matches!(octet, b'(' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name <route:local@domain>`, `name{`, `}`, with `-` for what is none.
    fn show(addresses: &[Address]) -> String {
        let show_octets = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let show_option =
            |octets: &Option<Vec<u8>>| octets.as_deref().map_or_else(|| "-".into(), show_octets);
        addresses
            .iter()
            .map(|address| match address {
                Address::GroupStart(name) => format!("{}{{ ", show_octets(name)),
                Address::GroupEnd => "} ".to_owned(),
                Address::Mailbox {
                    name,
                    route,
                    local,
                    domain,
                } => format!(
                    "{} <{}:{}@{}> ",
                    show_option(name),
                    show_option(route),
                    show_octets(local),
                    show_octets(domain)
                ),
            })
            .collect::<String>()
            .trim_end()
            .to_owned()
    }

    #[test]
    fn as_the_rfc_wants_them() {
        for (value, expected) in [
            ("", ""),
            ("nora@feld.example", "- <-:nora@feld.example>"),
            ("<nora@feld.example>", "- <-:nora@feld.example>"),
            (
                "Nora Feld <nora@feld.example>",
                "Nora Feld <-:nora@feld.example>",
            ),
            (
                "\"Feld, Nora\" <nora@feld.example>",
                "Feld, Nora <-:nora@feld.example>",
            ),
            (r#""a \"b\" c" <a@b>"#, r#"a "b" c <-:a@b>"#),
            (
                "Nora Q. Feld <nora@feld.example>",
                "Nora Q. Feld <-:nora@feld.example>",
            ),
            (
                "Nora \"Q.\"  Feld (x) <nora@feld.example>",
                "Nora Q. Feld <-:nora@feld.example>",
            ),
            (
                "nora@feld.example (Nora (Q.) Feld)",
                "Nora (Q.) Feld <-:nora@feld.example>",
            ),
            (
                "(who) nora (x) . feld @ (y) feld . example (z)",
                "z <-:nora.feld@feld.example>",
            ),
            ("\"nora feld\"@feld.example", "- <-:nora feld@feld.example>"),
            (
                "<\"nora feld\".x@feld.example>",
                "- <-:nora feld.x@feld.example>",
            ),
            (
                "x@[192.0.2.7], <y@[IPv6:2001:db8::1]>",
                "- <-:x@[192.0.2.7]> - <-:y@[IPv6:2001:db8::1]>",
            ),
            (
                "a <@r.example,@s.example:b@c>",
                "a <@r.example,@s.example:b@c>",
            ),
            (
                "a <@r.example , , @s.example : b@c>",
                "a <@r.example,,@s.example:b@c>",
            ),
            ("Crew:a@b,c@d;,e@f", "Crew{ - <-:a@b> - <-:c@d> } - <-:e@f>"),
            ("The Crew: Ann <a@b>;", "The Crew{ Ann <-:a@b> }"),
            ("nobody:;", "nobody{ }"),
            (
                "=?utf-8?Q?Zo=C3=AB?= =?utf-8?Q?_K?= <z@k>",
                "=?utf-8?Q?Zo=C3=AB?= =?utf-8?Q?_K?= <-:z@k>",
            ),
        ] {
            assert_eq!(show(&parse(value.as_bytes(), 100)), expected, "{value}");
        }
    }

    #[test]
    fn as_they_come() {
        for (value, expected) in [
            ("root", "- <-:root@>"),
            ("root (charlie)", "charlie <-:root@>"),
            ("name only", "name only <-:@>"),
            (
                "Nora Feld nora@feld.example",
                "Nora Feld <-:nora@feld.example>",
            ),
            (
                "Nora Feld nora@feld.example, root",
                "Nora Feld <-:nora@feld.example> - <-:root@>",
            ),
            ("<>", "- <-:@>"),
            (",, ;,", ""),
            ("(comment alone)", ""),
            ("a@b; c@d", "- <-:a@b> - <-:c@d>"),
            ("<a@b, c@d", "- <-:a@b> - <-:c@d>"),
            ("<<a@b>>, c@d", "- <-:a@b> - <-:c@d>"),
            ("a <b@c> d <e@f>, g@h", "a <-:b@c> - <-:g@h>"),
            ("a@b@c, d@e", "- <-:a@b> - <-:d@e>"),
            ("@b, a@", "- <-:@b> - <-:a@>"),
            ("<@b>", "- <-:@b>"),
            ("Crew: a@b, c@d", "Crew{ - <-:a@b> - <-:c@d> }"),
            ("Crew: Inner: a@b;, c@d;", "Crew{ Inner <-:a@b> } - <-:c@d>"),
            ("\"open <a@b>, c@d", "- <-:open <a@b>, c@d@>"),
            ("(open <a@b>, c@d", ""),
            ("a@[open, b@c", "- <-:a@[open> - <-:b@c>"),
        ] {
            assert_eq!(show(&parse(value.as_bytes(), 100)), expected, "{value}");
        }
    }

    #[test]
    fn a_form_feed_is_a_blank() {
        assert_eq!(
            show(&parse(b"a\x0cb\x0c <c\x0c@d>\x0c", 9)),
            show(&parse(b"a b <c@d>", 9))
        );
    }

    #[test]
    fn no_more_than_wanted() {
        assert_eq!(parse(&b"a@b, ".repeat(1_000), 10).len(), 10);
        assert!(parse(&b"g: a@b; ".repeat(1_000), 10).len() <= 12);
    }

    proptest! {
        #[test]
        fn any_octets_are_read(value in "[ab\\[\\]<>@,;:.()\"\\\\ \n\x0b\x0c]{0,60}", limit in 0_usize..9) {
            let addresses = parse(value.as_bytes(), limit);
            prop_assert!(addresses.len() <= limit + 2);
            let starts = addresses.iter().filter(|address| matches!(address, Address::GroupStart(_))).count();
            let ends = addresses.iter().filter(|address| matches!(address, Address::GroupEnd)).count();
            prop_assert_eq!(starts, ends);
        }
    }
}
