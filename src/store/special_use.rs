//! `restante-special-use`: which mailbox is for what (RFC 6154).
//!
//! A line `1`, then a line for each mailbox: its uses parted by blanks, a TAB, the levels of its name parted by TABs, in UTF-8.
//!
//! ```text
//! 1
//! \Sent<TAB>Sent
//! \Archive \Important<TAB>Projects<TAB>2026
//! ```

use crate::durable::{self, DotLock, Ownership};
use crate::mailbox::name::{MailboxName, SpecialUse};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Name of the file.
const NAME: &str = "restante-special-use";

/// Longest wait for another process that changes the record.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A lock that was not touched for so long is of a dead process.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// Names by which programs know a mailbox of some use; the first that exists gets it.
const WELL_KNOWN: [(SpecialUse, &[&str]); 5] = [
    (
        SpecialUse::Sent,
        &["Sent", "Sent Messages", "Sent Items", "Sent Mail"],
    ),
    (SpecialUse::Drafts, &["Drafts", "Draft"]),
    (
        SpecialUse::Junk,
        &["Junk", "Spam", "Junk E-mail", "Junk Email"],
    ),
    (
        SpecialUse::Trash,
        &["Trash", "Deleted Messages", "Deleted Items"],
    ),
    (SpecialUse::Archive, &["Archive", "Archives"]),
];

/// The uses recorded for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SpecialUses(BTreeMap<MailboxName, Vec<SpecialUse>>);

impl SpecialUses {
    /// Reads the record; a missing file is an empty one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        match durable::read(&root.join(NAME)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads, changes and writes the record durably, under a lock.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the lock was not to be had, and what the system says.
    pub(super) fn update(
        root: &Path,
        like: &Ownership,
        change: impl FnOnce(&mut Self),
    ) -> io::Result<()> {
        let path = root.join(NAME);
        let lock = DotLock::acquire(&path, like, LOCK_TIMEOUT, STALE_AFTER)?;
        let before = Self::read(root)?;
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            lock.touch()?;
            durable::replace(&path, after.print().as_bytes(), like)?;
        }
        Ok(())
    }

    /// Reads the text; lines that make no sense are passed over.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines();
        if lines.next() != Some("1") {
            return Self::default();
        }
        let mut uses = BTreeMap::new();
        for line in lines {
            let Some((words, levels)) = line.split_once('\t') else {
                continue;
            };
            let known: Vec<SpecialUse> =
                words.split(' ').filter_map(SpecialUse::from_name).collect();
            if let (Ok(name), false) = (
                MailboxName::from_levels(levels.split('\t')),
                known.is_empty(),
            ) {
                uses.insert(name, known);
            }
        }
        Self(uses)
    }

    /// The record as text.
    pub(super) fn print(&self) -> String {
        let mut text = "1\n".to_owned();
        for (name, uses) in &self.0 {
            let words: Vec<&str> = uses
                .iter()
                .map(|special_use| special_use.as_str())
                .collect();
            text.push_str(&format!("{}\t{}\n", words.join(" "), name.join('\t')));
        }
        text
    }

    /// What each of these mailboxes is for: as recorded, and by well-known names for uses that are recorded for none of them.
    pub(super) fn assign<'a>(
        &self,
        names: impl IntoIterator<Item = &'a MailboxName>,
    ) -> BTreeMap<&'a MailboxName, Vec<SpecialUse>> {
        let names: Vec<&MailboxName> = names.into_iter().collect();
        let mut assigned: BTreeMap<&MailboxName, Vec<SpecialUse>> = BTreeMap::new();
        for name in &names {
            if let Some(uses) = self.0.get(*name) {
                assigned.insert(name, uses.clone());
            }
        }
        for (special_use, known) in WELL_KNOWN {
            if assigned.values().any(|uses| uses.contains(&special_use)) {
                continue;
            }
            let is_called = |name: &&&MailboxName, text: &str| {
                name.levels().len() == 1 && name.leaf().eq_ignore_ascii_case(text)
            };
            let found = known
                .iter()
                .find_map(|text| names.iter().find(|name| is_called(name, text)));
            if let Some(name) = found {
                assigned.entry(name).or_default().push(special_use);
            }
        }
        assigned
    }

    /// Records what a mailbox is for; nothing takes it out.
    pub(super) fn set(&mut self, name: &MailboxName, uses: &[SpecialUse]) {
        if uses.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.clone(), uses.to_vec());
        }
    }

    /// Follows a rename, of the mailbox and of those below it.
    pub(super) fn rename(&mut self, from: &MailboxName, to: &MailboxName) {
        let moved = |name: MailboxName| name.moved(from, to).unwrap_or(name);
        self.0 = std::mem::take(&mut self.0)
            .into_iter()
            .map(|(name, uses)| (moved(name), uses))
            .collect();
    }

    /// True if nothing is recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text, '/').unwrap()
    }

    #[test]
    fn keeps_what_is_recorded_and_follows_renames() {
        let directory = tempfile::tempdir().unwrap();
        let (root, like) = (directory.path(), Ownership::of(directory.path()).unwrap());
        assert!(SpecialUses::read(root).unwrap().is_empty());
        SpecialUses::update(root, &like, |uses| {
            uses.set(&name("Gesendet"), &[SpecialUse::Sent]);
            uses.set(
                &name("Work/Müll"),
                &[SpecialUse::Junk, SpecialUse::Important],
            );
            uses.set(&name("gone"), &[SpecialUse::All]);
        })
        .unwrap();
        SpecialUses::update(root, &like, |uses| {
            uses.rename(&name("Work"), &name("Office"));
            uses.set(&name("gone"), &[]);
        })
        .unwrap();
        let text = std::fs::read(root.join(NAME)).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "1\n\\Sent\tGesendet\n\\Junk \\Important\tOffice\tMüll\n"
        );
    }

    #[test]
    fn well_known_names_stand_in_for_what_is_not_recorded() {
        let mut uses = SpecialUses::default();
        uses.set(&name("Gesendet"), &[SpecialUse::Sent]);
        let names = [
            "Sent",
            "Gesendet",
            "spam",
            "Deleted Items",
            "Work/Drafts",
            "Archives",
            "Trash",
        ]
        .map(name);
        let assigned = uses.assign(&names);
        let plain: BTreeMap<String, Vec<SpecialUse>> = assigned
            .into_iter()
            .map(|(name, uses)| (name.to_string(), uses))
            .collect();
        let expected = [
            ("Archives", SpecialUse::Archive),
            ("Gesendet", SpecialUse::Sent),
            ("Trash", SpecialUse::Trash),
            ("spam", SpecialUse::Junk),
        ];
        assert_eq!(
            plain,
            expected
                .into_iter()
                .map(|(name, special_use)| (name.to_owned(), vec![special_use]))
                .collect()
        );
    }

    #[test]
    fn rubbish_is_passed_over() {
        for (text, count) in [
            ("", 0),
            ("2\n\\Sent\tSent\n", 0),
            ("1\n\\Sent\n\\Nonsense\tx\n\\Sent\t\t\n\\Junk\tJunk\n", 1),
        ] {
            assert_eq!(SpecialUses::parse(text.as_bytes()).0.len(), count, "{text}");
        }
    }
}
