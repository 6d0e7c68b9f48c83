//! Names of message files: unique names, sizes, flags. Octets, since names need not be UTF-8. Pure.
//!
//! ```text
//! 1721823666.M512901P7788Q3.mx1,S=4310,W=4402:2,FSab
//! └──────────────── base ───────────────────┘└info─┘
//! ```

use super::keywords::LETTERS;
use crate::mailbox::flag::{Flags, KeywordTable, SystemFlag};
use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// System flags and their letters, in ASCII order. `P` (passed) is in the convention, but no flag of IMAP; it stays where it is found.
const SYSTEM_LETTERS: [(u8, SystemFlag); 5] = [
    (b'D', SystemFlag::Draft),
    (b'F', SystemFlag::Flagged),
    (b'R', SystemFlag::Answered),
    (b'S', SystemFlag::Seen),
    (b'T', SystemFlag::Deleted),
];

/// Makes names that no other program and no earlier call makes.
#[derive(Debug)]
pub(super) struct NameMaker {
    /// The host as it stands in names.
    host: String,
    /// This process.
    pid: u32,
    /// Time of the last name in microseconds since 1970, and the counter.
    last: Mutex<(u64, u64)>,
}

impl NameMaker {
    /// For this process. `first` is where the counter begins: random, so that a process with the same number after a restart and a
    /// clock set back still gives other names.
    pub(super) fn new(host: &str, pid: u32, first: u32) -> Self {
        // the characters that part a name, as the Maildir convention writes them
        let host = host
            .replace('/', "\\057")
            .replace(':', "\\072")
            .replace(',', "\\054")
            .replace(';', "\\073")
            .replace(['\n', '\r', '\0'], "_");
        Self {
            host,
            pid,
            last: Mutex::new((0, u64::from(first))),
        }
    }

    /// A new name, `secs.M<usec>P<pid>Q<counter>.<host>`; `now` is the time since 1970. Times in names only rise.
    pub(super) fn unique(&self, now: Duration) -> String {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (last.0.max(micros), last.1.wrapping_add(1));
        let (micros, counter) = *last;
        drop(last);
        format!(
            "{}.M{}P{}Q{counter}.{}",
            micros / 1_000_000,
            micros % 1_000_000,
            self.pid,
            self.host
        )
    }
}

/// A base name with its sizes: `<unique>,S=<stored octets>,W=<octets with CRLF>`.
pub(super) fn with_sizes(unique: &str, stored: u64, crlf: u64) -> String {
    format!("{unique},S={stored},W={crlf}")
}

/// A file name taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    /// What stays the same for the life of the message: all before the info.
    pub(super) base: &'a [u8],
    /// Separator and info as they stand (`:2,FS`), or empty.
    pub(super) info: &'a [u8],
}

impl<'a> FileName<'a> {
    /// Takes a name apart; none if no message can have it: empty, `.` or `:` first, a `/` or line end in it (no UID list could hold it).
    pub(super) fn parse(name: &'a [u8]) -> Option<Self> {
        if matches!(name.first(), None | Some(b'.' | b':'))
            || memchr::memchr3(b'/', b'\n', b'\r', name).is_some()
        {
            return None;
        }
        // `;2,` stands on file systems that cannot hold a colon
        let at = memchr::memchr(b':', name)
            .or_else(|| memchr::memmem::rfind(name, b";2,"))
            .unwrap_or(name.len());
        let (base, info) = name.split_at_checked(at)?;
        (!base.is_empty()).then_some(Self { base, info })
    }

    /// Octets as stored, if the name tells (`,S=`).
    pub(super) fn size(&self) -> Option<u64> {
        self.number(b",S=")
    }

    /// Octets with every line end as CRLF, if the name tells (`,W=`).
    pub(super) fn crlf_size(&self) -> Option<u64> {
        self.number(b",W=")
    }

    /// A number in the base name; it counts only if the digits end at `,` or at the end.
    fn number(&self, key: &[u8]) -> Option<u64> {
        let rest = self
            .base
            .get(memchr::memmem::find(self.base, key)? + key.len()..)?;
        let digits = rest.get(..memchr::memchr(b',', rest).unwrap_or(rest.len()))?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The letters of version 2 info, and what follows them after a further comma.
    fn letters(&self) -> (&'a [u8], &'a [u8]) {
        let Some(rest) = self
            .info
            .strip_prefix(b":2,")
            .or_else(|| self.info.strip_prefix(b";2,"))
        else {
            return (&[], &[]);
        };
        let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
        rest.split_at_checked(end).unwrap_or((rest, &[]))
    }

    /// The flags its letters stand for. Letters whose keyword the table does not know count for nothing.
    pub(super) fn flags(&self, keywords: &KeywordTable) -> Flags {
        known_flags(self.letter_flags(), keywords)
    }

    /// The flags its letters stand for if all letters are of keywords that are known.
    pub(super) fn letter_flags(&self) -> Flags {
        let mut flags = Flags::NONE;
        for letter in self.letters().0 {
            if let Some((_, flag)) = SYSTEM_LETTERS.iter().find(|(known, _)| known == letter) {
                flags = flags.with(*flag);
            } else if let Some(index) = keyword_index(*letter) {
                flags = flags.with_keyword(index);
            }
        }
        flags
    }

    /// The name with other flags: letters in ASCII order; letters that stand for no flag we know, and text after a further comma, stay.
    /// Keywords at positions of 26 and above have no letter.
    pub(super) fn with_flags(&self, flags: Flags, keywords: &KeywordTable) -> Vec<u8> {
        let (old, tail) = self.letters();
        let mut name = Vec::with_capacity(self.base.len() + 16);
        name.extend_from_slice(self.base);
        if !self.info.is_empty() && !self.info.starts_with(b":2,") && !self.info.starts_with(b";2,")
        {
            // info of another version: nothing can be said in it, and it must not be lost
            name.extend_from_slice(self.info);
            return name;
        }
        name.extend_from_slice(if self.info.starts_with(b";") {
            b";2,"
        } else {
            b":2,"
        });
        let start = name.len();
        name.extend(
            SYSTEM_LETTERS
                .iter()
                .filter(|(_, flag)| flags.has(*flag))
                .map(|(letter, _)| *letter),
        );
        name.extend(
            flags
                .keyword_indexes()
                .take_while(|index| *index < LETTERS)
                .filter_map(letter_of),
        );
        let unknown = |letter: &&u8| match keyword_index(**letter) {
            Some(index) => keywords.keyword(index).is_none(),
            None => !SYSTEM_LETTERS.iter().any(|(known, _)| known == *letter),
        };
        name.extend(old.iter().filter(unknown));
        if let Some(letters) = name.get_mut(start..) {
            letters.sort_unstable();
        }
        let end = start + dedup(name.get_mut(start..).unwrap_or_default());
        name.truncate(end);
        name.extend_from_slice(tail);
        name
    }
}

/// Moves equal neighbours out; how many octets are left.
fn dedup(sorted: &mut [u8]) -> usize {
    let mut kept: Vec<u8> = sorted.to_vec();
    kept.dedup();
    for (place, letter) in sorted.iter_mut().zip(&kept) {
        *place = *letter;
    }
    kept.len()
}

/// Flags that letters stand for, without those of keywords that the table does not know.
pub(super) fn known_flags(letters: Flags, keywords: &KeywordTable) -> Flags {
    letters
        .keyword_indexes()
        .filter(|index| keywords.keyword(*index).is_some())
        .fold(letters.system(), Flags::with_keyword)
}

/// The keyword position of a letter.
fn keyword_index(letter: u8) -> Option<usize> {
    letter
        .is_ascii_lowercase()
        .then(|| usize::from(letter - b'a'))
}

/// The letter of a keyword position below 26.
fn letter_of(index: usize) -> Option<u8> {
    u8::try_from(index)
        .ok()
        .filter(|index| usize::from(*index) < LETTERS)
        .map(|index| b'a' + index)
}

/// The order in which new files get their UIDs; total. For base names: the number at the start, then the microseconds where both have
/// them, then the octets, as Dovecot has it.
pub(super) fn arrival_order(a: &[u8], b: &[u8]) -> Ordering {
    let ((a_secs, a_rest), (b_secs, b_rest)) = (leading_number(a), leading_number(b));
    let micros = |rest: &[u8]| {
        rest.strip_prefix(b".M")
            .map(|digits| leading_number(digits).0)
    };
    let by_micros = match (micros(a_rest), micros(b_rest)) {
        (Some(a_micros), Some(b_micros)) => a_micros.cmp(&b_micros),
        // names without microseconds among names with them: first, so that the order stays total
        (a_micros, b_micros) => a_micros.is_some().cmp(&b_micros.is_some()),
    };
    a_secs.cmp(&b_secs).then(by_micros).then_with(|| a.cmp(b))
}

/// The number at the start, as large as it gets, and what follows.
pub(super) fn leading_number(text: &[u8]) -> (u64, &[u8]) {
    let digits = text
        .iter()
        .position(|octet| !octet.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits).unwrap_or((text, &[]));
    let push = |value: u64, digit: &u8| value * 10 + u64::from(digit - b'0');
    let push_to_large =
        |value: u64, digit: &u8| (value.saturating_mul(10)).saturating_add(u64::from(digit - b'0'));
    // nineteen digits always have room
    let (first, others) = number.split_at_checked(19).unwrap_or((number, &[]));
    let first = first.iter().fold(0, push);
    (others.iter().fold(first, push_to_large), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::flag::Keyword;
    use proptest::prelude::*;

    fn table(names: &[(usize, &str)]) -> KeywordTable {
        let mut table = KeywordTable::default();
        for (index, name) in names {
            assert!(table.set(*index, Keyword::new(name).unwrap()));
        }
        table
    }

    #[test]
    fn takes_names_apart() {
        for (name, expected) in [
            ("1.a", Some(("1.a", ""))),
            ("1.a:2,FS", Some(("1.a", ":2,FS"))),
            ("1.a:2,FS:2,X", Some(("1.a", ":2,FS:2,X"))),
            ("1.a;2,S", Some(("1.a", ";2,S"))),
            ("1.a:1,x", Some(("1.a", ":1,x"))),
            ("1.a:", Some(("1.a", ":"))),
            ("", None),
            (".hidden", None),
            (":2,S", None),
            ("a/b", None),
            ("a\nb", None),
        ] {
            let parts = FileName::parse(name.as_bytes()).map(|n| (n.base, n.info));
            assert_eq!(
                parts,
                expected.map(|(base, info)| (base.as_bytes(), info.as_bytes())),
                "{name}"
            );
        }
    }

    #[test]
    fn believes_only_sizes_that_are_whole() {
        for (name, size, crlf) in [
            ("1.a,S=4310,W=4402:2,S", Some(4310), Some(4402)),
            ("1.a,W=4402,S=4310", Some(4310), Some(4402)),
            ("1.a,S=", None, None),
            ("1.a,S=12x,W=-1", None, None),
            ("1.a,S=99999999999999999999", None, None),
            ("1.aS=1", None, None),
            ("1.a,S=7.mx", None, None),
        ] {
            let name = FileName::parse(name.as_bytes()).unwrap();
            assert_eq!((name.size(), name.crlf_size()), (size, crlf), "{name:?}");
        }
    }

    #[test]
    fn reads_and_writes_letters() {
        let table = table(&[(0, "$Forwarded"), (2, "NonJunk"), (27, "late")]);
        let seen = Flags::NONE.with(SystemFlag::Seen);
        for (name, flags, new, expected) in [
            ("1.a", Flags::NONE, seen, "1.a:2,S"),
            ("1.a:2,S", seen, Flags::NONE, "1.a:2,"),
            (
                "1.a:2,PST",
                seen.with(SystemFlag::Deleted),
                seen,
                "1.a:2,PS",
            ),
            (
                "1.a:2,Sac",
                seen.with_keyword(0).with_keyword(2),
                seen.with_keyword(2),
                "1.a:2,Sc",
            ),
            (
                "1.a:2,bS",
                seen,
                seen.with(SystemFlag::Flagged).with_keyword(0),
                "1.a:2,FSab",
            ),
            ("1.a:2,S,x=1", seen, Flags::NONE, "1.a:2,,x=1"),
            ("1.a;2,S", seen, seen.with(SystemFlag::Draft), "1.a;2,DS"),
            ("1.a:1,S", Flags::NONE, seen, "1.a:1,S"),
            ("1.a:2,SS", seen, seen, "1.a:2,S"),
            ("1.a", Flags::NONE, seen.with_keyword(27), "1.a:2,S"),
        ] {
            let parsed = FileName::parse(name.as_bytes()).unwrap();
            assert_eq!(parsed.flags(&table), flags, "{name}");
            assert_eq!(
                String::from_utf8(parsed.with_flags(new, &table)).unwrap(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn sorts_as_messages_arrived() {
        let sorted = [
            "9.a",
            "10.M1P1.x",
            "10.M5P1.a",
            "10.M5P2.a",
            "10.M20P1.x",
            "11.x",
            "100000000000000000000.x",
        ];
        for (at, a) in sorted.iter().enumerate() {
            for (bt, b) in sorted.iter().enumerate() {
                assert_eq!(
                    arrival_order(a.as_bytes(), b.as_bytes()),
                    at.cmp(&bt),
                    "{a} {b}"
                );
            }
        }
    }

    #[test]
    fn gives_no_name_twice_when_the_clock_goes_back() {
        let maker = NameMaker::new("a/b:c,d\r\n", 7, 5);
        let first = maker.unique(Duration::from_micros(10_000_123));
        let second = maker.unique(Duration::from_secs(1));
        assert_eq!(first, "10.M123P7Q6.a\\057b\\072c\\054d__");
        assert_eq!(second, "10.M123P7Q7.a\\057b\\072c\\054d__");
        assert!(
            FileName::parse(with_sizes(&first, 1, 2).as_bytes())
                .is_some_and(|n| n.size() == Some(1) && n.crlf_size() == Some(2))
        );
    }

    proptest! {
        #[test]
        fn any_name_keeps_its_base_and_takes_any_flags(name in proptest::collection::vec(any::<u8>(), 0..40), bits in any::<[bool; 5]>()) {
            let table = table(&[(0, "a"), (25, "z")]);
            if let Some(parsed) = FileName::parse(&name) {
                let flags: Flags = SystemFlag::ALL.into_iter().zip(bits).filter(|(_, on)| *on).map(|(flag, _)| flag).collect();
                let renamed = parsed.with_flags(flags.with_keyword(25), &table);
                let again = FileName::parse(&renamed).unwrap();
                prop_assert_eq!(again.base, parsed.base);
                if parsed.info.is_empty() || parsed.info.starts_with(b":2,") {
                    prop_assert_eq!(again.flags(&table), flags.with_keyword(25));
                }
            }
        }

        #[test]
        fn leading_numbers_are_read_up_to_the_largest(value in any::<u64>(), more in "[0-9]{0,3}") {
            let text = format!("{value}{more}.M1");
            let expected = format!("{value}{more}").parse::<u128>().unwrap();
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            prop_assert_eq!(leading_number(text.as_bytes()), (expected, &b".M1"[..]));
        }

        #[test]
        fn the_order_is_total(names in proptest::collection::vec("[0-9]{0,3}(\\.M[0-9]{1,3})?[a-c]?", 3)) {
            let [a, b, c] = [0, 1, 2].map(|at| names[at].as_bytes());
            prop_assert_eq!(arrival_order(a, b), arrival_order(b, a).reverse());
            if arrival_order(a, b).is_le() && arrival_order(b, c).is_le() {
                prop_assert!(arrival_order(a, c).is_le());
            }
        }
    }
}
