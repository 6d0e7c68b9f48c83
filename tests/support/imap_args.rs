//! IMAP responses taken apart into arguments, and arguments compared with what a transcript expects.

use std::collections::BTreeMap;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arg {
    /// An atom, number, flag, `BODY[…]<…>`; compared without regard to case.
    Atom(String),
    /// A quoted string or literal.
    String(Vec<u8>),
    /// `( … )`
    List(Vec<Self>),
    /// `[ … ]`: a response code.
    Code(Vec<Self>),
}

/// Values that variables have taken.
pub(crate) type Variables = BTreeMap<String, String>;

/// Takes octets apart. Blocks are literals that stand outside the octets: `\x01` is the next one.
pub(crate) fn parse(octets: &[u8], blocks: &[Vec<u8>]) -> Vec<Arg> {
    let mut parser = Parser {
        octets,
        blocks: blocks.iter(),
    };
    parser.list(None)
}

struct Parser<'a> {
    octets: &'a [u8],
    blocks: std::slice::Iter<'a, Vec<u8>>,
}

impl Parser<'_> {
    fn list(&mut self, end: Option<u8>) -> Vec<Arg> {
        let mut args = Vec::new();
        loop {
            while let [b' ' | b'\r' | b'\n', rest @ ..] = self.octets {
                self.octets = rest;
            }
            let Some((first, rest)) = self.octets.split_first() else {
                return args;
            };
            if Some(*first) == end {
                self.octets = rest;
                return args;
            }
            args.push(self.arg(*first, rest));
        }
    }

    fn arg(&mut self, first: u8, rest: &[u8]) -> Arg {
        let start = self.octets;
        let len = start.len() - rest.len();
        match first {
            b'(' => {
                self.octets = &start[len..];
                Arg::List(self.list(Some(b')')))
            }
            b'[' => {
                self.octets = &start[len..];
                Arg::Code(self.list(Some(b']')))
            }
            b'"' => {
                self.octets = &start[len..];
                self.quoted()
            }
            1 => {
                self.octets = &start[len..];
                Arg::String(self.blocks.next().cloned().unwrap_or_default())
            }
            b'{' => self.literal(),
            b'~' if rest.first() == Some(&b'{') => {
                self.octets = &start[len..];
                self.literal()
            }
            _ => self.atom(),
        }
    }

    fn quoted(&mut self) -> Arg {
        let mut text = Vec::new();
        let mut octets = self.octets.iter();
        while let Some(octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(octets.next()),
                other => text.push(*other),
            }
        }
        self.octets = octets.as_slice();
        Arg::String(text)
    }

    fn literal(&mut self) -> Arg {
        let end = self.octets.iter().position(|o| *o == b'}').unwrap_or(0);
        let number = std::str::from_utf8(&self.octets[1..end.max(1)]).unwrap();
        match number.parse::<usize>() {
            Ok(len) => {
                let from = end + 3;
                let literal = self.octets[from..from + len].to_vec();
                self.octets = &self.octets[from + len..];
                Arg::String(literal)
            }
            Err(_) => self.atom(),
        }
    }

    fn atom(&mut self) -> Arg {
        let mut depth = 0_usize;
        let mut len = 0;
        for octet in self.octets {
            match octet {
                b'[' => depth += 1,
                b']' if depth == 0 => break,
                b']' => depth -= 1,
                b' ' | b'(' | b')' if depth == 0 => break,
                b'\r' | b'\n' => break,
                _ => {}
            }
            len += 1;
        }
        let (atom, rest) = self.octets.split_at(len.max(1));
        self.octets = rest;
        Arg::Atom(String::from_utf8_lossy(atom).into_owned())
    }
}

/// True if what came is what is expected; then variables that were free are bound. `…` at the end of a list stands for anything.
pub(crate) fn matches(expected: &[Arg], came: &[Arg], variables: &mut Variables) -> bool {
    let mut bound = variables.clone();
    let is_same = lists_match(expected, came, &mut bound);
    if is_same {
        *variables = bound;
    }
    is_same
}

fn lists_match(expected: &[Arg], came: &[Arg], variables: &mut Variables) -> bool {
    let (expected, is_open) = match expected {
        [some @ .., Arg::Atom(last)] if last == "..." => (some, true),
        all => (all, false),
    };
    if is_set(expected) {
        let mut left: Vec<&Arg> = came.iter().collect();
        for wanted in expected {
            match left
                .iter()
                .position(|arg| arg_matches(wanted, arg, variables))
            {
                Some(at) => drop(left.remove(at)),
                None => return false,
            }
        }
        return is_open || left.is_empty();
    }
    (is_open || expected.len() == came.len())
        && expected.len() <= came.len()
        && expected
            .iter()
            .zip(came)
            .all(|(wanted, arg)| arg_matches(wanted, arg, variables))
}

/// Lists of flags and attributes have no order.
fn is_set(list: &[Arg]) -> bool {
    matches!(list.first(), Some(Arg::Atom(first)) if first.starts_with('\\'))
}

fn arg_matches(expected: &Arg, came: &Arg, variables: &mut Variables) -> bool {
    match (expected, came) {
        (Arg::Atom(atom), Arg::Atom(came)) if atom.starts_with("$$") => {
            atom[1..].eq_ignore_ascii_case(came)
        }
        (Arg::Atom(atom), _) if atom == "$" => true,
        (Arg::Atom(atom), came) if atom.starts_with('$') => {
            let text = match came {
                Arg::Atom(text) => text.clone(),
                Arg::String(text) => String::from_utf8_lossy(text).into_owned(),
                Arg::List(_) | Arg::Code(_) => return false,
            };
            let bound = variables
                .entry(atom[1..].to_owned())
                .or_insert_with(|| text.clone());
            *bound == text
        }
        (Arg::Atom(wanted), Arg::Atom(came)) => wanted.eq_ignore_ascii_case(came),
        (Arg::Atom(wanted), Arg::String(came)) => wanted.as_bytes().eq_ignore_ascii_case(came),
        (Arg::String(wanted), Arg::String(came)) => wanted == came,
        (Arg::String(wanted), Arg::Atom(came)) => wanted == came.as_bytes(),
        (Arg::List(wanted), Arg::List(came)) | (Arg::Code(wanted), Arg::Code(came)) => {
            lists_match(wanted, came, variables)
        }
        (Arg::List(_) | Arg::Code(_) | Arg::String(_), _) | (Arg::Atom(_), _) => false,
    }
}
