//! `subscriptions`: version 2 read and written, version 1 read.
//!
//! Version 2 is a line `V<TAB>2`, an empty line, then a name each line: levels parted by TAB, each spelled as in its directory's name,
//! so that Dovecot does not take a dot in a level for the end of it.
//! Version 1 has plain names with the separator of the layout.

use super::courier;
use super::folders::{self, Layout};
use crate::durable::{self, DotLock, Ownership};
use crate::encoding::utf7;
use crate::mailbox::name::MailboxName;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Name of the file.
const NAME: &str = "subscriptions";

/// First line of version 2.
const HEADER: &[u8] = b"V\t2";

/// Longest wait for another process that changes the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A lock that was not touched for so long is of a dead process.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// Reads the subscriptions of an account; Courier's if there are none of Dovecot's form. Lines that are no mailbox names are passed over.
///
/// # Errors
/// What the system says; a missing file is none.
pub(super) fn read(root: &Path, layout: Layout) -> io::Result<BTreeSet<MailboxName>> {
    match read_lines(root, layout)? {
        Some(lines) => Ok(lines
            .into_iter()
            .filter_map(|line| parse_line(&line))
            .collect()),
        None => Ok(courier::subscriptions(root)?.unwrap_or_default()),
    }
}

/// Adds or removes names, durably, under Dovecot's lock. Lines we do not understand stay.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when the lock was not to be had, and what the system says.
pub(super) fn change(
    root: &Path,
    layout: Layout,
    like: &Ownership,
    changes: &[(MailboxName, bool)],
) -> io::Result<()> {
    let path = root.join(NAME);
    let lock = DotLock::acquire(&path, like, LOCK_TIMEOUT, STALE_AFTER)?;
    let before = match read_lines(root, layout)? {
        Some(lines) => lines,
        None => courier::subscriptions(root)?
            .unwrap_or_default()
            .iter()
            .map(|name| print_line(name, layout))
            .collect(),
    };
    let mut lines = before.clone();
    for (name, subscribed) in changes {
        let is_this = |line: &Vec<u8>| parse_line(line).as_ref() == Some(name);
        if !subscribed {
            lines.retain(|line| !is_this(line));
        } else if !lines.iter().any(is_this) {
            lines.push(print_line(name, layout));
        }
    }
    if lines != before || !path.exists() {
        let mut text = [HEADER, b"\n\n"].concat();
        for line in lines {
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        lock.touch()?;
        durable::replace(&path, &text, like)?;
    }
    Ok(())
}

/// The lines of the file in version 2 form; none if there is no file.
fn read_lines(root: &Path, layout: Layout) -> io::Result<Option<Vec<Vec<u8>>>> {
    match durable::read(&root.join(NAME)) {
        Ok(text) => Ok(Some(lines_of(&text, layout))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines of a text, brought to version 2 form.
pub(super) fn lines_of(text: &[u8], layout: Layout) -> Vec<Vec<u8>> {
    let mut lines = text
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .peekable();
    if lines.peek().is_some_and(|first| first.starts_with(b"V\t")) {
        return lines.skip(1).map(<[u8]>::to_vec).collect();
    }
    let separator = match layout {
        Layout::MaildirPlusPlus => b'.',
        Layout::Fs => b'/',
    };
    let level = |octet: &u8| if *octet == separator { b'\t' } else { *octet };
    lines.map(|line| line.iter().map(level).collect()).collect()
}

/// The name in a line of version 2. A level that is not modified UTF-7 is taken as UTF-8.
pub(super) fn parse_line(line: &[u8]) -> Option<MailboxName> {
    let levels: Option<Vec<String>> = line
        .split(|octet| *octet == b'\t')
        .map(|level| {
            let level = unescape(level)?;
            utf7::decode(&level).or_else(|| String::from_utf8(level).ok())
        })
        .collect();
    MailboxName::from_levels(levels?.iter().map(String::as_str)).ok()
}

/// The line of a name.
pub(super) fn print_line(name: &MailboxName, layout: Layout) -> Vec<u8> {
    let levels: Vec<String> = name
        .levels()
        .map(|level| folders::encode(level, layout))
        .collect();
    levels.join("\t").into_bytes()
}

/// Takes off the escapes of a level: 0x01 and a letter. Names of ours have no character that needs one.
fn unescape(level: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(level.len());
    let mut octets = level.iter();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            1 => match octets.next()? {
                b'0' => 0,
                b'1' => 1,
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text, '/').unwrap()
    }

    fn names(text: &[u8], layout: Layout) -> Vec<String> {
        lines_of(text, layout)
            .iter()
            .filter_map(|line| parse_line(line))
            .map(|name| name.to_string())
            .collect()
    }

    #[test]
    fn reads_both_versions() {
        assert_eq!(
            names(b"V\t2\n\nINBOX\nProjects\t2026\nM&APw-ll\n", Layout::Fs),
            ["INBOX", "Projects/2026", "Müll"]
        );
        assert_eq!(
            names(b"inbox\nProjects.2026\n", Layout::MaildirPlusPlus),
            ["INBOX", "Projects/2026"]
        );
        assert_eq!(
            names(b"Projects/2026\na.b\n", Layout::Fs),
            ["Projects/2026", "a.b"]
        );
        assert_eq!(
            names(
                "V\t2\n\nMüll\n\x01x\n\n\t\na\x01tb\n".as_bytes(),
                Layout::Fs
            ),
            ["Müll"]
        );
        assert!(names(b"", Layout::Fs).is_empty());
    }

    #[test]
    fn changes_keep_other_lines() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        durable::replace(&root.join(NAME), b"V\t2\n\nSent\n\x01x\n", &like).unwrap();
        let layout = Layout::MaildirPlusPlus;
        change(
            root,
            layout,
            &like,
            &[
                (name("Work/a.b"), true),
                (name("Müll"), true),
                (name("Sent"), false),
                (name("absent"), false),
            ],
        )
        .unwrap();
        assert_eq!(
            std::fs::read(root.join(NAME)).unwrap(),
            b"V\t2\n\n\x01x\nWork\ta&AC4-b\nM&APw-ll\n"
        );
        assert_eq!(
            read(root, layout).unwrap(),
            [name("Work/a.b"), name("Müll")].into()
        );
    }

    #[test]
    fn the_last_one_taken_away_does_not_bring_couriers_back() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        change(root, Layout::Fs, &like, &[(name("a"), true)]).unwrap();
        change(root, Layout::Fs, &like, &[(name("a"), false)]).unwrap();
        assert!(root.join(NAME).exists());
        assert!(read(root, Layout::Fs).unwrap().is_empty());
    }
}
