//! A checker of FETCH responses against RFC 9051 §9, for tests: strict, independent of the encoder.

use std::collections::BTreeMap;

/// One FETCH response: its number, and items by name with their values; of strings the octets, of all else the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) seq_num: u32,
    pub(crate) items: BTreeMap<String, Vec<u8>>,
}

/// Reads FETCH responses up to the end.
#[cfg(test)]
pub(crate) fn fetches(octets: &[u8]) -> Result<Vec<Fetched>, String> {
    fetches_as(octets, false)
}

/// [`fetches`]; with `utf8`, UTF-8 may stand in quoted strings.
pub(crate) fn fetches_as(octets: &[u8], utf8: bool) -> Result<Vec<Fetched>, String> {
    let mut reader = Reader {
        octets,
        at: 0,
        utf8,
    };
    let mut all = Vec::new();
    while reader.at < octets.len() {
        all.push(reader.fetch().map_err(|what| reader.explain(&what))?);
    }
    Ok(all)
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
    utf8: bool,
}

type Checked<T = ()> = Result<T, String>;

impl Reader<'_> {
    fn explain(&self, what: &str) -> String {
        let from = self.at.saturating_sub(40);
        let to = (self.at + 40).min(self.octets.len());
        format!(
            "expected {what} after `{}`, before `{}`",
            self.between(from, self.at).escape_ascii(),
            self.between(self.at, to).escape_ascii()
        )
    }

    fn between(&self, from: usize, to: usize) -> &[u8] {
        self.octets.get(from..to).unwrap_or_default()
    }

    fn next(&self) -> u8 {
        self.octets.get(self.at).copied().unwrap_or(0)
    }

    fn is(&mut self, text: &str) -> bool {
        let found = self
            .octets
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(text.as_bytes()));
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Checked {
        if self.is(text) {
            Ok(())
        } else {
            Err(format!("`{text}`"))
        }
    }

    fn number(&mut self) -> Checked<u64> {
        let start = self.at;
        while self.next().is_ascii_digit() {
            self.at += 1;
        }
        std::str::from_utf8(self.between(start, self.at))
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| "a number".to_owned())
    }

    fn string(&mut self) -> Checked<Vec<u8>> {
        if self.is("\"") {
            let mut text = Vec::new();
            loop {
                match self.next() {
                    b'"' => {
                        self.at += 1;
                        std::str::from_utf8(&text).map_err(|error| error.to_string())?;
                        return Ok(text);
                    }
                    b'\\' => {
                        self.at += 1;
                        if !matches!(self.next(), b'"' | b'\\') {
                            return Err("a quoted special".into());
                        }
                    }
                    0 | b'\r' | b'\n' => return Err("a quoted character".into()),
                    0x80.. if !self.utf8 => return Err("a quoted character of ASCII".into()),
                    _ => {}
                }
                text.push(self.next());
                self.at += 1;
            }
        }
        let binary = self.is("~");
        self.expect("{")?;
        let octets = usize::try_from(self.number()?).map_err(|error| error.to_string())?;
        self.expect("}\r\n")?;
        let text = self
            .octets
            .get(self.at..)
            .and_then(|rest| rest.get(..octets))
            .ok_or("as many octets as the literal says")?;
        if !binary && text.contains(&0) {
            return Err("no NUL in a literal".into());
        }
        self.at += octets;
        Ok(text.to_vec())
    }

    fn nstring(&mut self) -> Checked<Vec<u8>> {
        if self.is("NIL") {
            Ok(b"NIL".to_vec())
        } else {
            self.string()
        }
    }

    fn sp(&mut self) -> Checked {
        self.expect(" ")
    }

    fn fetch(&mut self) -> Checked<Fetched> {
        self.expect("* ")?;
        let seq_num = u32::try_from(self.number()?).map_err(|error| error.to_string())?;
        self.expect(" FETCH (")?;
        let mut items = BTreeMap::new();
        loop {
            let (name, value) = self.item()?;
            if items.insert(name, value).is_some() {
                return Err("each item once".into());
            }
            if self.is(")\r\n") {
                return Ok(Fetched { seq_num, items });
            }
            self.sp()?;
        }
    }

    fn item(&mut self) -> Checked<(String, Vec<u8>)> {
        let start = self.at;
        while matches!(self.next(), b'A'..=b'Z' | b'0'..=b'9' | b'.') {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(self.between(start, self.at)).into_owned();
        let has_section = self.is("[");
        if has_section {
            while !self.is("]") {
                match self.next() {
                    b'"' | b'{' => drop(self.string()?),
                    0 => return Err("]".into()),
                    _ => self.at += 1,
                }
            }
            if self.is("<") {
                self.number()?;
                self.expect(">")?;
            }
        }
        let name = String::from_utf8_lossy(self.between(start, self.at)).into_owned();
        self.sp()?;
        let value_start = self.at;
        let value = match (word.as_str(), has_section) {
            ("BODY" | "BINARY", true) | ("RFC822" | "RFC822.HEADER" | "RFC822.TEXT", false) => {
                return Ok((name, self.nstring()?));
            }
            ("UID" | "RFC822.SIZE", false) | ("BINARY.SIZE", true) => self.number().map(drop),
            ("INTERNALDATE", false) => self.string().map(drop),
            ("FLAGS", false) => self.flags(),
            ("MODSEQ", false) => {
                self.expect("(")?;
                self.number()?;
                self.expect(")")
            }
            ("ENVELOPE", false) => self.envelope(),
            ("BODY", false) => self.body(false),
            ("BODYSTRUCTURE", false) => self.body(true),
            _ => Err("a data item".into()),
        };
        value?;
        Ok((name, self.between(value_start, self.at).to_vec()))
    }

    fn flags(&mut self) -> Checked {
        self.expect("(")?;
        if self.is(")") {
            return Ok(());
        }
        loop {
            let start = self.at;
            self.is("\\");
            while self.next() > b' ' && !b"(){%*\"\\]\x7f".contains(&self.next()) {
                self.at += 1;
            }
            if self.at == start {
                return Err("a flag".into());
            }
            if self.is(")") {
                return Ok(());
            }
            self.sp()?;
        }
    }

    fn envelope(&mut self) -> Checked {
        self.expect("(")?;
        self.nstring()?;
        self.sp()?;
        self.nstring()?;
        for _ in 0..6 {
            self.sp()?;
            if self.is("NIL") {
                continue;
            }
            self.expect("(")?;
            loop {
                self.expect("(")?;
                self.nstring()?;
                for _ in 0..3 {
                    self.sp()?;
                    self.nstring()?;
                }
                self.expect(")")?;
                if self.is(")") {
                    break;
                }
            }
        }
        self.sp()?;
        self.nstring()?;
        self.sp()?;
        self.nstring()?;
        self.expect(")")
    }

    fn parameters(&mut self) -> Checked {
        if self.is("NIL") {
            return Ok(());
        }
        self.expect("(")?;
        loop {
            self.string()?;
            self.sp()?;
            self.string()?;
            if self.is(")") {
                return Ok(());
            }
            self.sp()?;
        }
    }

    fn extension(&mut self) -> Checked {
        self.sp()?;
        if !self.is("NIL") {
            self.expect("(")?;
            self.string()?;
            self.sp()?;
            self.parameters()?;
            self.expect(")")?;
        }
        self.sp()?;
        if self.is("(") {
            self.string()?;
            while !self.is(")") {
                self.sp()?;
                self.string()?;
            }
        } else {
            self.nstring()?;
        }
        self.sp()?;
        self.nstring().map(drop)
    }

    fn body(&mut self, extended: bool) -> Checked {
        self.expect("(")?;
        if self.next() == b'(' {
            while self.next() == b'(' {
                self.body(extended)?;
            }
            self.sp()?;
            self.string()?;
            if extended {
                self.sp()?;
                self.parameters()?;
                self.extension()?;
            }
            return self.expect(")");
        }
        let kind = self.string()?.to_ascii_lowercase();
        self.sp()?;
        let subtype = self.string()?.to_ascii_lowercase();
        self.sp()?;
        self.parameters()?;
        self.sp()?;
        self.nstring()?;
        self.sp()?;
        self.nstring()?;
        self.sp()?;
        self.string()?;
        self.sp()?;
        self.number()?;
        match (kind.as_slice(), subtype.as_slice()) {
            (b"multipart", _) => return Err("no multipart without parts".into()),
            (b"text", _) => {
                self.sp()?;
                self.number()?;
            }
            (b"message", b"rfc822" | b"global") => {
                self.sp()?;
                self.envelope()?;
                self.sp()?;
                self.body(extended)?;
                self.sp()?;
                self.number()?;
            }
            _ => {}
        }
        if extended {
            self.sp()?;
            self.nstring()?;
            self.extension()?;
        }
        self.expect(")")
    }
}
