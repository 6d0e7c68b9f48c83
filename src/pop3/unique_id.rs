//! Unique-ids (RFC 1939 §7, UIDL): 1 to 70 octets of 0x21 to 0x7E, never changing, no two messages of a maildrop with the same.
//!
//! A format is a template with variables, so that a server that stood here before goes on being imitated:
//!
//! | preset | template | makes |
//! |---|---|---|
//! | `dovecot` | `%{uid | hex(8)}%{uidvalidity | hex(8)}` | `0000001c66a0f1b2` |
//! | `cyrus` | `%{uidvalidity}.%{uid}` | `1721823666.28` |
//! | `courier` | `UID%{uid}-%{uidvalidity}` | `UID28-1721823666` |
//! | `uidonly` | `%{uid}` | `28` |
//! | `filename` | `%{filename}` | `1721823666.M5P77.mx` |
//!
//! `%{uid}` and `%{uidvalidity}` are decimal, with `| hex(n)` lower-case hexadecimal of at least n digits; `%%` is a percent sign.
//! Ids stored for messages ([`crate::mailbox::backend::Mailbox::stored_unique_ids`]) go before any made here. Courier counts its own
//! numbers, so its ids come from there, not from the preset.

use crate::mailbox::id::{Uid, UidValidity};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::str::FromStr;

/// Longest unique-id (RFC 1939 §7).
const MAX_OCTETS: usize = 70;

/// Names for common templates.
const PRESETS: [(&str, &str); 5] = [
    ("dovecot", "%{uid | hex(8)}%{uidvalidity | hex(8)}"),
    ("cyrus", "%{uidvalidity}.%{uid}"),
    ("courier", "UID%{uid}-%{uidvalidity}"),
    ("uidonly", "%{uid}"),
    ("filename", "%{filename}"),
];

/// How unique-ids are made of what is known of a message. Text form: a preset's name or a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIdFormat(Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// As it stands.
    Literal(String),
    /// `%{uid}`
    Uid(Style),
    /// `%{uidvalidity}`
    UidValidity(Style),
    /// `%{filename}`
    FileName,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Decimal,
    /// Lower-case hexadecimal, of at least so many digits.
    Hex(usize),
}

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Neither a preset nor a template.
    #[error(
        "no such format; there are dovecot, cyrus, courier, uidonly, filename, and templates with %{{uid}} or %{{filename}}"
    )]
    UnknownPreset,
    /// A variable that there is not, or one without end.
    #[error(
        "unknown variable %{{{0}}}; there are uid, uidvalidity and filename, the first two with `| hex(n)`"
    )]
    UnknownVariable(String),
    /// A `%` that is neither `%%` nor the beginning of a variable.
    #[error("a % must be followed by a variable in braces, or doubled")]
    LonePercent,
    /// A character that a unique-id cannot have.
    #[error("unique-ids are of visible ASCII characters only")]
    BadCharacter,
    /// Nothing in it differs between messages.
    #[error("without %{{uid}} or %{{filename}} all unique-ids would be the same")]
    NotUnique,
}

impl Default for UniqueIdFormat {
    fn default() -> Self {
        Self(vec![
            Piece::Uid(Style::Hex(8)),
            Piece::UidValidity(Style::Hex(8)),
        ])
    }
}

impl FromStr for UniqueIdFormat {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let preset = PRESETS.iter().find(|(name, _)| *name == text);
        if preset.is_none() && !text.contains('%') {
            return Err(FormatError::UnknownPreset);
        }
        let pieces = pieces(preset.map_or(text, |(_, template)| template))?;
        let unique = |piece: &Piece| matches!(piece, Piece::Uid(_) | Piece::FileName);
        if pieces.iter().any(unique) {
            Ok(Self(pieces))
        } else {
            Err(FormatError::NotUnique)
        }
    }
}

/// Takes a template apart.
fn pieces(template: &str) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('%') {
        push_literal(&mut pieces, literal)?;
        rest = if let Some(after) = after.strip_prefix('%') {
            push_literal(&mut pieces, "%")?;
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let (variable, after) = after
                .split_once('}')
                .ok_or_else(|| FormatError::UnknownVariable(after.to_owned()))?;
            pieces.push(piece(variable)?);
            after
        } else {
            return Err(FormatError::LonePercent);
        };
    }
    push_literal(&mut pieces, rest)?;
    Ok(pieces)
}

/// Adds text that stands for itself.
fn push_literal(pieces: &mut Vec<Piece>, text: &str) -> Result<(), FormatError> {
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(FormatError::BadCharacter);
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
    Ok(())
}

/// What stands between the braces: a name, perhaps with a filter.
fn piece(variable: &str) -> Result<Piece, FormatError> {
    let unknown = || FormatError::UnknownVariable(variable.to_owned());
    let (name, style) = match variable.split_once('|') {
        None => (variable.trim(), Style::Decimal),
        Some((name, filter)) => {
            let digits = match filter.trim() {
                "hex" => Some(1),
                filter => filter
                    .strip_prefix("hex(")
                    .and_then(|digits| digits.strip_suffix(')'))
                    .and_then(|digits| digits.parse().ok())
                    .filter(|digits| *digits <= MAX_OCTETS),
            };
            (name.trim(), Style::Hex(digits.ok_or_else(unknown)?))
        }
    };
    match (name, style) {
        ("uid", style) => Ok(Piece::Uid(style)),
        ("uidvalidity", style) => Ok(Piece::UidValidity(style)),
        ("filename", Style::Decimal) => Ok(Piece::FileName),
        _ => Err(unknown()),
    }
}

impl UniqueIdFormat {
    /// True if it needs the name of the message's file.
    fn needs_file_name(&self) -> bool {
        self.0.contains(&Piece::FileName)
    }

    /// Makes an id, which may be too long yet.
    fn make(&self, uid_validity: UidValidity, uid: Uid, file_name: &str) -> String {
        let mut made = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => made.push_str(text),
                Piece::Uid(style) => push_number(&mut made, uid.value(), *style),
                Piece::UidValidity(style) => push_number(&mut made, uid_validity.value(), *style),
                Piece::FileName => made.push_str(file_name),
            }
        }
        made
    }
}

/// Writes a number; writing to a string does not fail.
fn push_number(made: &mut String, number: u32, style: Style) {
    let written = match style {
        Style::Decimal => write!(made, "{number}"),
        Style::Hex(digits) => write!(made, "{number:0digits$x}"),
    };
    debug_assert!(written.is_ok());
}

/// Unique-ids of messages, in their order: stored ones, and made ones for the rest. `file_name` is asked for if the format wants it.
///
/// Who would have the same as one before him gets `-2`, `-3` and so on added; stored ids come before made ones.
pub(crate) fn assign(
    format: &UniqueIdFormat,
    uid_validity: UidValidity,
    uids: &[Uid],
    stored: &[(Uid, String)],
    file_name: impl Fn(Uid) -> String,
) -> Vec<Box<str>> {
    let stored: HashMap<Uid, &str> = stored.iter().map(|(uid, id)| (*uid, &**id)).collect();
    let mut taken = Taken::default();
    let mut ids: Vec<Option<Box<str>>> = uids
        .iter()
        .map(|uid| stored.get(uid).map(|id| taken.take(fit(id))))
        .collect();
    for (uid, id) in uids.iter().zip(&mut ids) {
        if id.is_none() {
            let name = if format.needs_file_name() {
                file_name(*uid)
            } else {
                String::new()
            };
            *id = Some(taken.take(fit(&format.make(uid_validity, *uid, &name))));
        }
    }
    ids.into_iter().map(Option::unwrap_or_default).collect()
}

/// Ids that are given out.
#[derive(Default)]
struct Taken {
    ids: HashSet<Box<str>>,
    /// The next number to try behind an id that several wanted.
    next: HashMap<Box<str>, u32>,
}

impl Taken {
    /// The id, or the first one free with a number behind it.
    fn take(&mut self, wanted: String) -> Box<str> {
        let wanted = wanted.into_boxed_str();
        if self.ids.insert(wanted.clone()) {
            return wanted;
        }
        let next = self.next.entry(wanted.clone()).or_insert(1);
        loop {
            *next = next.saturating_add(1);
            let mut id = wanted.to_string();
            let suffix = format!("-{next}");
            id.truncate(MAX_OCTETS - suffix.len());
            id.push_str(&suffix);
            let id = id.into_boxed_str();
            if self.ids.insert(id.clone()) || *next == u32::MAX {
                return id;
            }
        }
    }
}

/// Makes an id one that may be sent: characters that it cannot have become `+XX` as Courier writes them, and of one that is too long
/// the end is replaced by a hash of the whole.
fn fit(id: &str) -> String {
    let mut fitting = String::with_capacity(id.len());
    for octet in id.bytes() {
        if octet.is_ascii_graphic() {
            fitting.push(char::from(octet));
        } else {
            let written = write!(fitting, "+{octet:02X}");
            debug_assert!(written.is_ok());
        }
    }
    if fitting.is_empty() {
        fitting.push('-');
    }
    if fitting.len() > MAX_OCTETS {
        let hash = format!("-{:032x}", fnv1a(fitting.as_bytes()));
        fitting.truncate(MAX_OCTETS - hash.len());
        fitting.push_str(&hash);
    }
    fitting
}

/// FNV-1a of 128 bits: no two file names of one spool that end in different hosts are likely to meet, and nobody gains by making
/// them meet in his own.
fn fnv1a(octets: &[u8]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    octets.iter().fold(OFFSET_BASIS, |hash, octet| {
        (hash ^ u128::from(*octet)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn ids(format: &str, uids: &[u32], stored: &[(u32, &str)], name: &str) -> Vec<String> {
        let uids: Vec<Uid> = uids.iter().map(|value| uid(*value)).collect();
        let stored: Vec<(Uid, String)> = stored
            .iter()
            .map(|(value, id)| (uid(*value), (*id).to_owned()))
            .collect();
        assign(
            &format.parse().unwrap(),
            UidValidity::new(0x66a0_f1b2).unwrap(),
            &uids,
            &stored,
            |_| name.to_owned(),
        )
        .into_iter()
        .map(String::from)
        .collect()
    }

    #[test]
    fn formats_imitate_other_servers() {
        for (format, expected) in [
            ("dovecot", "0000001c66a0f1b2"),
            ("cyrus", "1721823666.28"),
            ("courier", "UID28-1721823666"),
            ("uidonly", "28"),
            ("filename", "1721823666.M5P77.mx"),
            ("%{uidvalidity}%{uid}", "172182366628"),
            ("%{uidvalidity}-%{ uid|hex }", "1721823666-1c"),
            ("%{uid|hex(3)}%%", "01c%"),
        ] {
            assert_eq!(
                ids(format, &[28], &[], "1721823666.M5P77.mx"),
                [expected],
                "{format}"
            );
        }
        assert_eq!("dovecot".parse(), Ok(UniqueIdFormat::default()));
    }

    #[test]
    fn what_is_no_format_is_refused() {
        let unknown = |variable: &str| FormatError::UnknownVariable(variable.to_owned());
        for (text, expected) in [
            ("", FormatError::UnknownPreset),
            ("Dovecot", FormatError::UnknownPreset),
            ("%{uidvalidity}", FormatError::NotUnique),
            ("%{guid}", unknown("guid")),
            ("%{uid | hex(71)}", unknown("uid | hex(71)")),
            ("%{uid | md5}", unknown("uid | md5")),
            ("%{filename | hex}", unknown("filename | hex")),
            ("%{uid", unknown("uid")),
            ("%08Xu%08Xv", FormatError::LonePercent),
            ("%{uid} x", FormatError::BadCharacter),
            ("ü%{uid}", FormatError::BadCharacter),
        ] {
            assert_eq!(text.parse::<UniqueIdFormat>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn stored_ids_go_first_and_no_two_are_the_same() {
        assert_eq!(
            ids(
                "uidonly",
                &[1, 2, 3, 4],
                &[(3, "2"), (4, "2"), (9, "x")],
                ""
            ),
            ["1", "2-3", "2", "2-2"]
        );
        assert_eq!(
            ids("filename", &[1, 2, 3], &[], "same"),
            ["same", "same-2", "same-3"]
        );
        let long = "x".repeat(70);
        let twice = ids("filename", &[1, 2], &[], &long);
        assert_eq!(twice, [long, format!("{}-2", "x".repeat(68))]);
    }

    #[test]
    fn ids_are_what_the_rfc_allows() {
        let long = format!("1.M2P3.{}", "a".repeat(80));
        let longer = format!("{long}b");
        for (stored, expected) in [
            ("", "-".to_owned()),
            ("a b\u{e9}\n", "a+20b+C3+A9+0A".to_owned()),
            ("a'\"+", "a'\"+".to_owned()),
        ] {
            assert_eq!(ids("dovecot", &[1], &[(1, stored)], ""), [expected]);
        }
        let [first, second] = [&long, &longer].map(|name| ids("filename", &[1], &[], name));
        assert_ne!(first, second);
        assert_eq!(first[0].len(), 70);
        assert!(first[0].starts_with("1.M2P3.aaa"));
    }

    #[test]
    fn many_equal_ids_take_linear_time() {
        let uids: Vec<u32> = (1..=20_000).collect();
        let given = ids("filename", &uids, &[], "same");
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), 20_000);
        assert_eq!(given.last().unwrap(), "same-20000");
    }
}
