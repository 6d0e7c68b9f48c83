//! What Courier-IMAP left in a spool, read when there is nothing of ours. Nothing here is ever written.
//!
//! | file | where | gives |
//! |---|---|---|
//! | `courierimapuiddb` | each mailbox | UIDVALIDITY, UIDs |
//! | `courierpop3dsizelist` | root | POP3 unique-ids and sizes |
//! | `courierimapsubscribed` | root | subscriptions |
//! | `courierimapkeywords/` | each mailbox | keywords |
//!
//! Lines that make no sense are passed over. Parsers are pure, readers find a missing file to be nothing.

use super::filename::FileName;
use super::uidlist::UidList;
use crate::durable;
use crate::encoding::utf7;
use crate::mailbox::flag::Keyword;
use crate::mailbox::name::MailboxName;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Most octets read of one file of keywords for one message.
const MAX_KEYWORD_FILE_OCTETS: u64 = 65_536;

/// `courierimapuiddb` of a mailbox, with a GUID since Courier has none; none if there is none that can be read.
///
/// # Errors
/// What the system says.
pub(super) fn uid_list(directory: &Path, guid: [u8; 16]) -> io::Result<Option<UidList>> {
    let path = directory.join("courierimapuiddb");
    let Some(text) = read(&path)? else {
        return Ok(None);
    };
    let list = parse_uid_list(text, guid);
    if list.is_none() {
        tracing::warn!(path = ?path, "courier_uid_list_unreadable");
    }
    Ok(list)
}

/// `1 <uidvalidity> <next uid>`, then `<uid> <file name>` a line. Another version counts for nothing, as Courier has it.
pub(super) fn parse_uid_list(text: Vec<u8>, guid: [u8; 16]) -> Option<UidList> {
    if !text.starts_with(b"1 ") {
        return None;
    }
    let (list, _) = UidList::parse(text, None)?;
    let next = list.uid_next()?;
    let guid = u128::from_be_bytes(guid);
    let mut modern = format!("3 V{} N{next} G{guid:032x}\n", list.uid_validity()).into_bytes();
    for record in list.records() {
        modern.extend_from_slice(format!("{} :", record.uid).as_bytes());
        modern.extend_from_slice(record.base);
        modern.push(b'\n');
    }
    UidList::parse(modern, None).map(|(list, _)| list)
}

/// What `courierpop3dsizelist` tells of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pop3Entry {
    /// The unique-id that clients were told.
    pub(super) unique_id: String,
    /// Octets with CRLF.
    pub(super) crlf_size: u64,
}

/// `courierpop3dsizelist` in the root: by base name, for messages of INBOX.
///
/// # Errors
/// What the system says; a missing file is an empty map.
pub(super) fn pop3_list(root: &Path) -> io::Result<HashMap<Vec<u8>, Pop3Entry>> {
    Ok(read(&root.join("courierpop3dsizelist"))?
        .map(|text| parse_pop3_list(&text))
        .unwrap_or_default())
}

/// `/<version> <next number> <validity>`, then `<file name> <size> <number>:<validity>[:<is utf8>]` a line. Versions 2 and 3.
pub(super) fn parse_pop3_list(text: &[u8]) -> HashMap<Vec<u8>, Pop3Entry> {
    let mut lines = text.split(|octet| *octet == b'\n');
    let is_known = lines
        .next()
        .is_some_and(|header| header.starts_with(b"/3 ") || header.starts_with(b"/2 "));
    if !is_known {
        return HashMap::new();
    }
    lines.filter_map(parse_pop3_line).collect()
}

/// One line; a file name may have blanks, so the last two part it.
fn parse_pop3_line(line: &[u8]) -> Option<(Vec<u8>, Pop3Entry)> {
    let mut words = line.rsplitn(3, |octet| *octet == b' ');
    let (identity, size, name) = (words.next()?, words.next()?, words.next()?);
    let base = FileName::parse(name)?.base;
    let mut numbers = identity.split(|octet| *octet == b':');
    let (number, validity) = (decimal(numbers.next()?)?, decimal(numbers.next()?)?);
    let unique_id = match (number, validity) {
        (0, _) => name_as_unique_id(base),
        (number, 0) => format!("UID{number}"),
        (number, validity) => format!("UID{number}-{validity}"),
    };
    let entry = Pop3Entry {
        unique_id,
        crlf_size: decimal(size)?,
    };
    Some((base.to_vec(), entry))
}

/// The unique-id that Courier makes of a base name: octets outside 0x21..0x7E and `'`, `"`, `+` become `+XX`.
fn name_as_unique_id(base: &[u8]) -> String {
    let mut text = String::with_capacity(base.len());
    for octet in base {
        match octet {
            b'\'' | b'"' | b'+' => text.push_str(&format!("+{octet:02X}")),
            0x21..=0x7E => text.push(char::from(*octet)),
            _ => text.push_str(&format!("+{octet:02X}")),
        }
    }
    text
}

/// `courierimapsubscribed` in the root; none if there is none.
///
/// # Errors
/// What the system says.
pub(super) fn subscriptions(root: &Path) -> io::Result<Option<BTreeSet<MailboxName>>> {
    Ok(read(&root.join("courierimapsubscribed"))?.map(|text| parse_subscriptions(&text)))
}

/// A name a line: `INBOX`, or `INBOX.` and levels parted by `.` in modified UTF-7.
pub(super) fn parse_subscriptions(text: &[u8]) -> BTreeSet<MailboxName> {
    text.split(|octet| *octet == b'\n')
        .filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_prefixed = line
                .get(..6)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"INBOX."));
            let name = if is_prefixed { line.get(6..)? } else { line };
            let levels: Option<Vec<String>> = name
                .split(|octet| *octet == b'.')
                .map(|level| utf7::decode(level).or_else(|| String::from_utf8(level.to_vec()).ok()))
                .collect();
            MailboxName::from_levels(levels?.iter().map(String::as_str)).ok()
        })
        .collect()
}

/// `courierimapkeywords/` of a mailbox: keywords by base name. Words that are no keywords in IMAP are left out.
///
/// The file of a message goes before the numbered ones (`.<n>.<base>`, greatest number first), and each of them before `:list`.
///
/// # Errors
/// What the system says; a missing directory is an empty map.
pub(super) fn keywords(directory: &Path) -> io::Result<HashMap<Vec<u8>, Vec<Keyword>>> {
    let directory = directory.join("courierimapkeywords");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    // newest file of each message: the plain one counts above all numbers
    let mut newest: HashMap<Vec<u8>, (u64, Vec<u8>)> = HashMap::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.as_bytes();
        let Some((age, base)) = parse_update_name(name) else {
            continue;
        };
        let place = newest
            .entry(base.to_vec())
            .or_insert_with(|| (age, name.to_vec()));
        if age > place.0 {
            *place = (age, name.to_vec());
        }
    }
    let mut keywords = read(&directory.join(":list"))?
        .map(|text| parse_keyword_list(&text))
        .unwrap_or_default();
    for (base, (_, name)) in newest {
        let path = directory.join(std::ffi::OsStr::from_bytes(&name));
        if let Some(text) = read_limited(&path)? {
            keywords.insert(base, parse_keyword_lines(&text));
        }
    }
    keywords.retain(|_, words| !words.is_empty());
    Ok(keywords)
}

/// How new a file in `courierimapkeywords/` is, and the message it is of; none for other files.
pub(super) fn parse_update_name(name: &[u8]) -> Option<(u64, &[u8])> {
    let Some(rest) = name.strip_prefix(b".") else {
        let is_message = FileName::parse(name)?.info.is_empty();
        return is_message.then_some((u64::MAX, name));
    };
    let dot = memchr::memchr(b'.', rest)?;
    let (number, base) = rest.split_at_checked(dot)?;
    let base = base.strip_prefix(b".").filter(|base| !base.is_empty())?;
    Some((decimal(number)?.min(u64::MAX - 1), base))
}

/// `:list`: keywords one a line, an empty line, then `<base>:<position> …` with positions from 0.
pub(super) fn parse_keyword_list(text: &[u8]) -> HashMap<Vec<u8>, Vec<Keyword>> {
    let mut lines = text.split(|octet| *octet == b'\n');
    let names: Vec<Option<Keyword>> = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .map(keyword)
        .collect();
    lines
        .filter_map(|line| {
            let colon = memchr::memrchr(b':', line)?;
            let (base, positions) = (line.get(..colon)?, line.get(colon + 1..)?);
            let words = positions
                .split(|octet| *octet == b' ')
                .filter_map(|word| names.get(usize::try_from(decimal(word)?).ok()?)?.clone());
            Some((base.to_vec(), distinct(words)))
        })
        .collect()
}

/// The file of one message: a keyword a line, none if it has no keywords any more.
pub(super) fn parse_keyword_lines(text: &[u8]) -> Vec<Keyword> {
    distinct(text.split(|octet| *octet == b'\n').filter_map(keyword))
}

/// Keywords, each once.
fn distinct(words: impl Iterator<Item = Keyword>) -> Vec<Keyword> {
    let mut seen = BTreeSet::new();
    words
        .filter(|word| seen.insert(word.as_str().to_ascii_lowercase()))
        .collect()
}

/// A line that is a keyword in IMAP.
fn keyword(line: &[u8]) -> Option<Keyword> {
    Keyword::new(std::str::from_utf8(line).ok()?)
}

/// A decimal number.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The octets of a file; none if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match durable::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first octets of a small file; none if there is none or if it is no file.
fn read_limited(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let is_file = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_file(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if !is_file {
        return Ok(None);
    }
    let mut text = Vec::new();
    match durable::open(path) {
        Ok(file) => file.take(MAX_KEYWORD_FILE_OCTETS).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Ownership, create_dir, replace};
    use proptest::prelude::*;

    fn words(of: &HashMap<Vec<u8>, Vec<Keyword>>, base: &str) -> Vec<String> {
        of.get(base.as_bytes())
            .map(|words| words.iter().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    #[test]
    fn uids_and_validity_are_kept() {
        let text = b"1 721823000 31\n1 1721823666.M5P7.mx1,S=43:2,S\nrubbish\n7 b\n".to_vec();
        let list = parse_uid_list(text, [0xab; 16]).unwrap();
        assert_eq!(list.uid_validity().value(), 721_823_000);
        assert_eq!(list.uid_next().unwrap().value(), 31);
        assert_eq!(list.guid(), Some([0xab; 16]));
        let records: Vec<_> = list.records().map(|r| (r.uid.value(), r.base)).collect();
        assert_eq!(records, [(1, &b"1721823666.M5P7.mx1,S=43"[..]), (7, b"b")]);
        for text in ["", "2 5 5\n1 a\n", "1 0 5\n", "3 V1 N2\n", "1 x 5\n1 a\n"] {
            assert!(
                parse_uid_list(text.as_bytes().to_vec(), [0; 16]).is_none(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn unique_ids_are_what_courier_told() {
        let list = parse_pop3_list(
            b"/3 44 1721823666\n\
              1.M5P7.mx1,S=4310:2,S 4402 28:1721823666:0\n\
              2.x 10 29:0\n\
              3.x'y+z \xff 11 0:1721823666:1\n\
              4.x a 12 5:1721823666\n\
              5.x notasize 5:1\n\
              6.x 5\n\
              /bad 5 5:1\n",
        );
        let entry = |base: &str| {
            list.get(base.as_bytes())
                .map(|e| (e.unique_id.as_str(), e.crlf_size))
        };
        assert_eq!(entry("1.M5P7.mx1,S=4310"), Some(("UID28-1721823666", 4402)));
        assert_eq!(entry("2.x"), Some(("UID29", 10)));
        assert_eq!(
            list.get(&b"3.x'y+z \xff"[..]).unwrap().unique_id,
            "3.x+27y+2Bz+20+FF"
        );
        assert_eq!(entry("4.x a"), Some(("UID5-1721823666", 12)));
        assert_eq!(list.len(), 4);
        assert_eq!(parse_pop3_list(b"/2 44 17\na 1 2:17\n").len(), 1);
        for other in ["/1 44 17\na 1 2:17\n", "44 17\na 1 2:17\n", ""] {
            assert!(parse_pop3_list(other.as_bytes()).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn subscriptions_lose_their_prefix() {
        let names: Vec<String> =
            parse_subscriptions(b"INBOX\nINBOX.Sent.2026\ninbox.M&APw-ll\nINBOX.a..b\n\n")
                .iter()
                .map(|name| name.join('/'))
                .collect();
        assert_eq!(names, ["INBOX", "M\u{fc}ll", "Sent/2026"]);
    }

    #[test]
    fn newer_files_go_before_the_list_of_keywords() {
        let directory = tempfile::tempdir().unwrap();
        assert!(keywords(directory.path()).unwrap().is_empty());
        let like = Ownership::of(directory.path()).unwrap();
        let inside = directory.path().join("courierimapkeywords");
        create_dir(&inside, &like).unwrap();
        for (name, text) in [
            (
                ":list",
                "$Label1\nNonJunk\nno(atom\n\na:0 1\nb:1 0 1\nc:2 9 x\nd:0\ne:0\nf:0\n",
            ),
            ("d", ""),
            (".5.e", "Old\n"),
            (".40.e", "New\nnew\n"),
            (".7.f", "Old\n"),
            ("f", "Plain\n"),
            ("g", "Only\n"),
            (".x.h", "Never\n"),
        ] {
            replace(&inside.join(name), text.as_bytes(), &like).unwrap();
        }
        create_dir(&inside.join("directory"), &like).unwrap();
        let found = keywords(directory.path()).unwrap();
        for (base, expected) in [
            ("a", &["$Label1", "NonJunk"][..]),
            ("b", &["NonJunk", "$Label1"]),
            ("c", &[]),
            ("d", &[]),
            ("e", &["New"]),
            ("f", &["Plain"]),
            ("g", &["Only"]),
            ("h", &[]),
        ] {
            assert_eq!(words(&found, base), expected, "{base}");
        }
        assert_eq!(found.len(), 5);
    }

    proptest! {
        #[test]
        fn nothing_makes_a_parser_panic(text in proptest::collection::vec(prop_oneof![
            Just(b'\n'), Just(b' '), Just(b':'), Just(b'.'), Just(b'/'), Just(b'1'), any::<u8>()], 0..200)) {
            parse_uid_list([b"1 5 9\n", text.as_slice()].concat(), [1; 16]).unwrap();
            parse_pop3_list(&[b"/3 1 1\n", text.as_slice()].concat());
            parse_subscriptions(&text);
            parse_keyword_list(&text);
            parse_update_name(&text);
        }
    }
}
