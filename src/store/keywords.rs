//! Keywords of a mailbox: `dovecot-keywords` for the 26 that have letters, `restante-keywords` for the rest.
//!
//! `dovecot-keywords` has a line `<0..25> <keyword>` each. `restante-keywords`, which is there only when a mailbox knows more than 26:
//!
//! ```text
//! 1
//! keyword 26 $label27
//! message 26,27 1721823666.M512901P7788.mx1,S=4310
//! ```
//!
//! Both are changed under the lock of the UID list only, and replaced as a whole.

use crate::durable::{self, Ownership};
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, MAX_KEYWORDS};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many keywords have a letter in file names.
pub(super) const LETTERS: usize = 26;

/// How a file looked when it was read: inode, octets, time of change.
type Stamp = (u64, u64, i64, i64);

/// Both files as last read.
#[derive(Debug)]
pub(super) struct KeywordFiles {
    /// `dovecot-keywords`
    lettered: PathBuf,
    /// `restante-keywords`
    further: PathBuf,
    /// How each looked when it was read.
    stamps: [Option<Stamp>; 2],
    /// Lines of `dovecot-keywords` by position, also those that are no keywords for us.
    lines: BTreeMap<usize, Vec<u8>>,
    /// All keywords.
    table: KeywordTable,
    /// Keywords without letter, by base name.
    extra: HashMap<Vec<u8>, Flags>,
}

impl KeywordFiles {
    /// For the mailbox in a directory; nothing is read yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            lettered: directory.join("dovecot-keywords"),
            further: directory.join("restante-keywords"),
            stamps: [None; 2],
            lines: BTreeMap::new(),
            table: KeywordTable::default(),
            extra: HashMap::new(),
        }
    }

    /// Reads what changed since the last look; true if something did. A missing file is an empty one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        let stamps = [stamp(&self.lettered)?, stamp(&self.further)?];
        if stamps == self.stamps {
            return Ok(false);
        }
        let (lettered, further) = (read(&self.lettered)?, read(&self.further)?);
        self.lines = parse_lettered(&lettered);
        self.table = KeywordTable::default();
        for (index, line) in &self.lines {
            if let Some(keyword) = std::str::from_utf8(line).ok().and_then(Keyword::new) {
                self.table.set(*index, keyword);
            }
        }
        self.extra = parse_further(&further, &mut self.table);
        self.stamps = stamps;
        Ok(true)
    }

    /// The keywords and their positions; those below [`LETTERS`] are letters.
    pub(super) const fn table(&self) -> &KeywordTable {
        &self.table
    }

    /// The keywords without letter that a message has, by the base name of its file. Cheap when there are none.
    pub(super) fn extra(&self, base: &[u8]) -> Flags {
        if self.extra.is_empty() {
            Flags::NONE
        } else {
            self.extra.get(base).copied().unwrap_or_default()
        }
    }

    /// Adds keywords, durably, and returns their positions; those known already keep theirs. `used` has the keyword flags (letters)
    /// that file names of this mailbox hold, so that a letter without a line is not given to a new keyword. None when there is no room
    /// for all of them: then nothing is changed. Call it with the UID list locked, after [`KeywordFiles::look`].
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(
        &mut self,
        keywords: &[Keyword],
        used: Flags,
        like: &Ownership,
    ) -> io::Result<Option<Vec<usize>>> {
        let (mut table, mut lines) = (self.table.clone(), self.lines.clone());
        let mut positions = Vec::with_capacity(keywords.len());
        let mut changed = [false; 2];
        for keyword in keywords {
            if let Some(known) = table.position(keyword) {
                positions.push(known);
                continue;
            }
            let free = |index: &usize| {
                table.keyword(*index).is_none()
                    && !lines.contains_key(index)
                    && !(*index < LETTERS && used.has_keyword(*index))
            };
            let Some(index) = (0..MAX_KEYWORDS).find(free) else {
                return Ok(None);
            };
            if !table.set(index, keyword.clone()) {
                return Ok(None);
            }
            if index < LETTERS {
                lines.insert(index, keyword.as_str().as_bytes().to_vec());
            }
            if let Some(changed) = changed.get_mut(usize::from(index >= LETTERS)) {
                *changed = true;
            }
            positions.push(index);
        }
        if changed[0] {
            replace_newer(&self.lettered, &print_lettered(&lines), like)?;
        }
        if changed[1] {
            durable::replace(&self.further, &print_further(&table, &self.extra), like)?;
        }
        if changed != [false; 2] {
            self.look()?;
        }
        Ok(Some(positions))
    }

    /// Sets the keywords without letter of messages, by base name, durably; an empty set takes the message out. Other bits are passed
    /// over. Call it with the UID list locked, after [`KeywordFiles::look`]. Writes nothing if nothing changes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn set_extra(
        &mut self,
        changes: &BTreeMap<Vec<u8>, Flags>,
        like: &Ownership,
    ) -> io::Result<()> {
        let mut extra = self.extra.clone();
        for (base, flags) in changes {
            let further = without_letters(*flags);
            if further.is_empty() {
                extra.remove(base);
            } else {
                extra.insert(base.clone(), further);
            }
        }
        if extra == self.extra {
            return Ok(());
        }
        durable::replace(&self.further, &print_further(&self.table, &extra), like)?;
        self.look().map(drop)
    }
}

/// The keywords at positions that have no letter.
fn without_letters(flags: Flags) -> Flags {
    flags
        .keyword_indexes()
        .filter(|index| *index >= LETTERS)
        .fold(Flags::NONE, Flags::with_keyword)
}

/// How a file looks; none if there is none.
fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(stamp_of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The marks of a file.
fn stamp_of(metadata: &Metadata) -> Stamp {
    (
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// A file's octets; none if there is none.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match durable::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

/// Lines of `dovecot-keywords`. Those without a blank, with a larger index or a name or index seen before are passed over.
pub(super) fn parse_lettered(text: &[u8]) -> BTreeMap<usize, Vec<u8>> {
    let mut lines: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for line in text.split(|octet| *octet == b'\n') {
        let Some(blank) = memchr::memchr(b' ', line) else {
            continue;
        };
        let (index, name) = (
            line.get(..blank).unwrap_or_default(),
            line.get(blank + 1..).unwrap_or_default(),
        );
        let Some(index) = position(index).filter(|index| *index < LETTERS) else {
            continue;
        };
        let known = lines.contains_key(&index)
            || lines.values().any(|known| known.eq_ignore_ascii_case(name));
        if !name.is_empty() && !known {
            lines.insert(index, name.to_vec());
        }
    }
    lines
}

/// A position as decimal text.
fn position(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))?
        .parse()
        .ok()
}

/// `dovecot-keywords` as text.
pub(super) fn print_lettered(lines: &BTreeMap<usize, Vec<u8>>) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, name) in lines {
        text.extend_from_slice(format!("{index} ").as_bytes());
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    text
}

/// Reads `restante-keywords`: adds its keywords to the table, gives those of messages. Lines that make no sense are passed over.
pub(super) fn parse_further(text: &[u8], table: &mut KeywordTable) -> HashMap<Vec<u8>, Flags> {
    let mut extra = HashMap::new();
    let mut lines = text.split(|octet| *octet == b'\n');
    if lines.next() != Some(b"1") {
        return extra;
    }
    for line in lines {
        let mut words = line.splitn(3, |octet| *octet == b' ');
        let (Some(kind), Some(positions), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let further = |index: &usize| (LETTERS..MAX_KEYWORDS).contains(index);
        let mut indexes = positions
            .split(|octet| *octet == b',')
            .filter_map(position)
            .filter(further);
        if kind == b"keyword" {
            if let (Some(index), Some(keyword)) = (
                indexes.next(),
                std::str::from_utf8(rest).ok().and_then(Keyword::new),
            ) {
                table.set(index, keyword);
            }
        } else if kind == b"message" && !rest.is_empty() {
            let known = indexes.filter(|index| table.keyword(*index).is_some());
            let flags = known.fold(Flags::NONE, Flags::with_keyword);
            if !flags.is_empty() {
                extra.insert(rest.to_vec(), flags);
            }
        }
    }
    extra
}

/// `restante-keywords` as text, messages by name.
pub(super) fn print_further(table: &KeywordTable, extra: &HashMap<Vec<u8>, Flags>) -> Vec<u8> {
    let mut text = b"1\n".to_vec();
    for (index, keyword) in table.iter().filter(|(index, _)| *index >= LETTERS) {
        text.extend_from_slice(format!("keyword {index} {keyword}\n").as_bytes());
    }
    let sorted: BTreeMap<_, _> = extra.iter().collect();
    for (base, flags) in sorted {
        let positions: Vec<String> = flags
            .keyword_indexes()
            .map(|index| index.to_string())
            .collect();
        text.extend_from_slice(format!("message {} ", positions.join(",")).as_bytes());
        text.extend_from_slice(base);
        text.push(b'\n');
    }
    text
}

/// Replaces a file so that its time stamp grows by a second at least: Dovecot looks at nothing else.
fn replace_newer(path: &Path, contents: &[u8], like: &Ownership) -> io::Result<()> {
    let before = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok();
    durable::replace(path, contents, like)?;
    let Some(least) = before.and_then(|before| before.checked_add(Duration::from_secs(1))) else {
        return Ok(());
    };
    let file = File::options().write(true).open(path)?;
    if file.metadata()?.modified()? < least {
        file.set_modified(least)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Keyword> {
        names
            .into_iter()
            .map(|name| Keyword::new(name.as_ref()).unwrap())
            .collect()
    }

    fn empty() -> (tempfile::TempDir, KeywordFiles, Ownership) {
        let directory = tempfile::tempdir().unwrap();
        let like = Ownership::of(directory.path()).unwrap();
        let files = KeywordFiles::new(directory.path());
        (directory, files, like)
    }

    #[test]
    fn letters_are_given_in_order_and_shared_with_dovecot() {
        let (directory, mut files, like) = empty();
        assert!(!files.look().unwrap());
        assert_eq!(
            files
                .add(
                    &keywords(["$Forwarded", "NonJunk", "$FORWARDED"]),
                    Flags::NONE,
                    &like
                )
                .unwrap(),
            Some(vec![0, 1, 0])
        );
        assert_eq!(
            fs::read(directory.path().join("dovecot-keywords")).unwrap(),
            b"0 $Forwarded\n1 NonJunk\n"
        );
        let mut other = KeywordFiles::new(directory.path());
        assert!(other.look().unwrap() && !other.look().unwrap());
        assert_eq!(other.table().position(&keywords(["nonjunk"])[0]), Some(1));
        // letter c is in use in some file name without a line: it is not given away
        assert_eq!(
            files
                .add(&keywords(["x"]), Flags::NONE.with_keyword(2), &like)
                .unwrap(),
            Some(vec![3])
        );
        assert!(other.look().unwrap());
    }

    #[test]
    fn the_time_stamp_grows_by_a_second() {
        let (directory, mut files, like) = empty();
        let path = directory.path().join("dovecot-keywords");
        files.add(&keywords(["a"]), Flags::NONE, &like).unwrap();
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        files.add(&keywords(["b"]), Flags::NONE, &like).unwrap();
        assert!(fs::metadata(&path).unwrap().modified().unwrap() >= first + Duration::from_secs(1));
    }

    #[test]
    fn more_than_26_are_kept_beside() {
        let (directory, mut files, like) = empty();
        let many: Vec<String> = (0..MAX_KEYWORDS).map(|n| format!("k{n}")).collect();
        let positions = files
            .add(&keywords(&many), Flags::NONE, &like)
            .unwrap()
            .unwrap();
        assert_eq!(positions, (0..MAX_KEYWORDS).collect::<Vec<_>>());
        assert_eq!(
            files
                .add(
                    &keywords(["one more"].map(|_| "onemore")),
                    Flags::NONE,
                    &like
                )
                .unwrap(),
            None
        );
        let flags = Flags::NONE
            .with_keyword(3)
            .with_keyword(26)
            .with_keyword(58);
        files
            .set_extra(
                &BTreeMap::from([
                    (b"1.a b".to_vec(), flags),
                    (b"2.b".to_vec(), Flags::NONE.with_keyword(1)),
                ]),
                &like,
            )
            .unwrap();
        let mut other = KeywordFiles::new(directory.path());
        other.look().unwrap();
        assert_eq!(
            other.extra(b"1.a b"),
            Flags::NONE.with_keyword(26).with_keyword(58)
        );
        assert_eq!(other.extra(b"2.b"), Flags::NONE);
        assert_eq!(other.table().iter().count(), MAX_KEYWORDS);
        files
            .set_extra(&BTreeMap::from([(b"1.a b".to_vec(), Flags::NONE)]), &like)
            .unwrap();
        other.look().unwrap();
        assert_eq!(other.extra(b"1.a b"), Flags::NONE);
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over_and_kept() {
        let (directory, mut files, like) = empty();
        durable::replace(
            &directory.path().join("dovecot-keywords"),
            b"0 a\nx\n26 z\n1 A\n3 \n4 b(ad\n-1 q\n2 c\n",
            &like,
        )
        .unwrap();
        files.look().unwrap();
        let known: Vec<_> = files
            .table()
            .iter()
            .map(|(index, keyword)| (index, keyword.to_string()))
            .collect();
        assert_eq!(known, [(0, "a".to_owned()), (2, "c".to_owned())]);
        assert_eq!(
            files
                .add(&keywords(["d", "e", "f"]), Flags::NONE, &like)
                .unwrap(),
            Some(vec![1, 3, 5])
        );
        assert!(
            fs::read(directory.path().join("dovecot-keywords"))
                .unwrap()
                .windows(8)
                .any(|window| window == b"4 b(ad\n5")
        );
    }
}
