//! Mailbox names and the directories that hold them, in two layouts.
//!
//! Levels are in modified UTF-7, as Dovecot writes them. What a layout cannot hold in a level (`.` in Maildir++, a leading dot,
//! `cur`, `new`, `tmp` and the names of control files in fs, `/` in both) is written in base64 as well (`&AC4-`), which we read back.
//! Names that other programs made in another form are found by listing. Of directories that stand for the same name, the one that we
//! would make has it; the others follow as `name (2)` and so on, so that no mail is out of sight.
//!
//! A mailbox is made and removed as a whole: it is prepared in, or taken away to, the root's `tmp/` (`restante-made-…`,
//! `restante-removed-…`) by a rename. [`Folders::sweep`] removes what a crash left there.

use crate::durable::{self, Ownership};
use crate::encoding::{base64, utf7};
use crate::mailbox::name::MailboxName;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The directories that make a Maildir.
const PARTS: [&str; 3] = ["tmp", "new", "cur"];

/// Beginnings of names that files have which lie beside the directories of mailboxes in the fs layout.
const CONTROL_FILES: [&str; 6] = [
    "dovecot",
    "restante-",
    "courier",
    "subscriptions",
    "maildirfolder",
    "maildirsize",
];

/// Longest name of a directory, in octets.
const MAX_NAME_OCTETS: usize = 255;

/// Deepest directories looked at in the fs layout.
const MAX_DEPTH: usize = crate::mailbox::name::MAX_LEVELS;

/// Age at which what was being made counts as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// How long another program may take to make a mailbox.
const GROWTH: Duration = Duration::from_secs(5);

/// Begins the name of a mailbox that is being made.
const MADE: &str = "restante-made-";

/// Begins the name of a mailbox that was removed.
const REMOVED: &str = "restante-removed-";

/// Makes temporary names differ.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// How mailboxes lie below the root. INBOX is the root itself in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Maildir++: `.Sent.2026`
    #[default]
    MaildirPlusPlus,
    /// Directories in directories: `Sent/2026`
    Fs,
}

/// A mailbox, or a name that only has mailboxes below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its name.
    pub(super) name: MailboxName,
    /// Its directory; none for a name without a mailbox.
    pub(super) directory: Option<PathBuf>,
}

/// The mailboxes of one account on disk. Keeps nothing in memory.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    /// Directory of INBOX.
    root: PathBuf,
    /// How the others lie below it.
    layout: Layout,
}

/// True if what has this name in the root says which mailboxes there are, or which are subscribed to.
pub(super) fn is_of_names(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_subscriptions = matches!(name, b"subscriptions" | b"courierimapsubscribed");
    let is_other = PARTS.iter().any(|part| name == part.as_bytes())
        || CONTROL_FILES
            .iter()
            .any(|control| name.starts_with(control.as_bytes()));
    is_subscriptions || !is_other
}

impl Folders {
    /// For the Maildir of an account.
    pub(super) fn new(root: &Path, layout: Layout) -> Self {
        Self {
            root: root.to_owned(),
            layout,
        }
    }

    /// Directory of INBOX, and of the files that concern the account.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The layout.
    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Makes what is missing of the root: the directories above, itself, `cur`, `new`, `tmp`. What is made belongs to the owner of the
    /// nearest directory that was there, and is for that owner alone.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn ensure_root(&self) -> io::Result<Ownership> {
        let missing: Vec<&Path> = self
            .root
            .ancestors()
            .take_while(|path| !path.exists())
            .collect();
        for path in missing.into_iter().rev() {
            let above = path.parent().unwrap_or_else(|| Path::new("/"));
            match durable::create_dir(path, &Ownership::of(above)?) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) if path == self.root => {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?
                }
                Ok(()) | Err(_) => {}
            }
            durable::sync_dir(above)?;
        }
        let like = Ownership::of(&self.root)?;
        make_parts(&self.root, &like)?;
        Ok(like)
    }

    /// All mailboxes and the names above them, INBOX first, then by name. One reading of the directory in Maildir++.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn list(&self) -> io::Result<Vec<Folder>> {
        let mut found: BTreeMap<MailboxName, Option<PathBuf>> = self
            .mailboxes()?
            .into_iter()
            .map(|(name, directory)| (name, Some(directory)))
            .collect();
        let parents: Vec<MailboxName> = found.keys().flat_map(MailboxName::ancestors).collect();
        for parent in parents {
            found.entry(parent).or_default();
        }
        let inbox = MailboxName::inbox();
        found.remove(&inbox);
        let first = Folder {
            name: inbox,
            directory: is_mailbox(&self.root).then(|| self.root.clone()),
        };
        let others = found
            .into_iter()
            .map(|(name, directory)| Folder { name, directory });
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// Names and directories of all mailboxes but INBOX.
    fn mailboxes(&self) -> io::Result<BTreeMap<MailboxName, PathBuf>> {
        let found = match self.layout {
            Layout::MaildirPlusPlus => self.list_maildir_plus_plus()?,
            Layout::Fs => self.list_fs()?,
        };
        let mut mailboxes = BTreeMap::new();
        let mut doubles = Vec::new();
        for (name, path) in found {
            match mailboxes.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(path);
                }
                Entry::Occupied(mut place) => {
                    let is_ours = self.canonical(place.key()).as_ref() == Some(&path);
                    let name = place.key().clone();
                    doubles.push((name, if is_ours { place.insert(path) } else { path }));
                }
            }
        }
        // in the order of their octets, so that they are called the same each time
        doubles.sort();
        for (name, path) in doubles {
            // one of so many numbers is free, unless the name is too long for any
            let free = (2..=u32::MAX)
                .map_while(|number| numbered(&name, number))
                .find(|name| !mailboxes.contains_key(name));
            match free {
                Some(name) => {
                    mailboxes.insert(name, path);
                }
                None => tracing::debug!(path = ?path, "mailbox_without_name"),
            }
        }
        Ok(mailboxes)
    }

    /// True if something in the root may become a mailbox soon: other programs make the directory first, then what is in it.
    pub(super) fn is_growing(&self, now: SystemTime) -> bool {
        let is_fresh = |path: &Path| {
            let modified = fs::metadata(path).and_then(|about| about.modified());
            modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age < GROWTH))
        };
        directories(&self.root).is_ok_and(|found| {
            found
                .iter()
                .filter(|(name, _)| is_of_names(name))
                .map(|(name, _)| self.root.join(name))
                .any(|path| !is_mailbox(&path) && is_fresh(&path))
        })
    }

    /// Directories `.a.b` in the root.
    fn list_maildir_plus_plus(&self) -> io::Result<Vec<(MailboxName, PathBuf)>> {
        let mut found = Vec::new();
        for (name, _) in directories(&self.root)? {
            let Some(levels) = name.as_bytes().strip_prefix(b".") else {
                continue;
            };
            let path = self.root.join(&name);
            if let Some(name) = decode(levels.split(|octet| *octet == b'.'))
                && is_mailbox(&path)
            {
                found.push((name, path));
            }
        }
        Ok(found)
    }

    /// Directories below the root, at any depth, that are Maildirs.
    fn list_fs(&self) -> io::Result<Vec<(MailboxName, PathBuf)>> {
        let mut found = Vec::new();
        let mut pending: Vec<Vec<OsString>> = vec![Vec::new()];
        while let Some(levels) = pending.pop() {
            let directory: PathBuf = std::iter::once(self.root.clone().into_os_string())
                .chain(levels.iter().cloned())
                .collect();
            for (name, kind) in directories(&directory)? {
                let is_part = PARTS.iter().any(|part| name == *part);
                if is_part || name.as_bytes().starts_with(b".") || levels.len() == MAX_DEPTH {
                    continue;
                }
                let path = directory.join(&name);
                let below: Vec<OsString> = levels.iter().cloned().chain([name]).collect();
                if is_mailbox(&path)
                    && let Some(name) = decode(below.iter().map(|level| level.as_bytes()))
                {
                    found.push((name, path));
                }
                // a link is a mailbox at most: those that lead upwards would never end
                if kind == Kind::Directory {
                    pending.push(below);
                }
            }
        }
        Ok(found)
    }

    /// Directory of a mailbox; none if there is no such mailbox.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn find(&self, name: &MailboxName) -> io::Result<Option<PathBuf>> {
        if let Some(path) = self.canonical(name).filter(|path| is_mailbox(path)) {
            return Ok(Some(path));
        }
        if name.is_inbox() {
            return Ok(None);
        }
        Ok(self.mailboxes()?.remove(name))
    }

    /// The directory that we would make for a name; none if a level is too long for the layout.
    fn canonical(&self, name: &MailboxName) -> Option<PathBuf> {
        if name.is_inbox() {
            return Some(self.root.clone());
        }
        let levels: Vec<String> = name
            .levels()
            .map(|level| encode(level, self.layout))
            .collect();
        let path = match self.layout {
            Layout::MaildirPlusPlus => {
                let directory = format!(".{}", levels.join("."));
                (directory.len() <= MAX_NAME_OCTETS).then(|| self.root.join(directory))?
            }
            Layout::Fs => {
                let fits = levels.iter().all(|level| level.len() <= MAX_NAME_OCTETS);
                fits.then(|| {
                    levels
                        .iter()
                        .fold(self.root.clone(), |path, level| path.join(level))
                })?
            }
        };
        Some(path)
    }

    /// As [`Folders::canonical`], as an error for the caller.
    fn place_for(&self, name: &MailboxName) -> io::Result<PathBuf> {
        self.canonical(name)
            .ok_or_else(|| io::ErrorKind::InvalidFilename.into())
    }

    /// Makes a mailbox: it is there as a whole, with what `prepare` put into its directory, or not at all. Durable when it returns.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidFilename`] for a name too long, and what the system says.
    pub(super) fn create(
        &self,
        name: &MailboxName,
        like: &Ownership,
        prepare: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        if self.find(name)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let target = self.place_for(name)?;
        let prepared = self.temporary(MADE);
        durable::create_dir(&prepared, like)?;
        let made = make_parts(&prepared, like)
            .and_then(|()| durable::create_new(&prepared.join("maildirfolder"), like).map(drop))
            .and_then(|()| prepare(&prepared))
            .and_then(|()| durable::sync_dir(&prepared))
            .and_then(|()| self.put_in_place(&prepared, &target, like));
        if made.is_err() {
            discard(&prepared);
        }
        made.map(|()| target)
    }

    /// Moves a prepared mailbox to its place. A directory that is there already has mailboxes below: its `cur` comes last.
    fn put_in_place(&self, prepared: &Path, target: &Path, like: &Ownership) -> io::Result<()> {
        let above = target.parent().unwrap_or(&self.root);
        make_above(above, like)?;
        if is_mailbox(target) {
            // somebody else made it meanwhile
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !target.is_dir() {
            return match durable::rename_synced(prepared, target) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    Err(io::ErrorKind::AlreadyExists.into())
                }
                result => result,
            };
        }
        join_directories(prepared, target)
    }

    /// Renames a mailbox, or a name without one, and all below it. Durable when it returns. Not for INBOX. In Maildir++ each mailbox is a
    /// rename of its own: after a crash some of those below may have the old name.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidInput`] to a name below itself,
    /// [`io::ErrorKind::InvalidFilename`] and what the system says.
    pub(super) fn rename(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        like: &Ownership,
    ) -> io::Result<()> {
        if from.is_inbox() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let all = self.mailboxes()?;
        let mut moves = Vec::new();
        for (name, path) in &all {
            if let Some(new_name) = name.moved(from, to) {
                moves.push((path, new_name));
            }
        }
        if moves.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if to.is_below(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_taken = |new: &MailboxName| new.is_inbox() || all.contains_key(new);
        if is_taken(to) || moves.iter().any(|(_, new)| is_taken(new)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let moves: Vec<(PathBuf, PathBuf)> = moves
            .into_iter()
            .map(|(path, new)| Ok((path.clone(), self.place_for(&new)?)))
            .collect::<io::Result<_>>()?;
        if self.layout == Layout::Fs {
            return self.rename_fs(from, to, &moves, like);
        }
        moves
            .iter()
            .try_for_each(|(from, to)| fs::rename(from, to))?;
        durable::sync_dir(&self.root)
    }

    /// Renames the directory with all below it.
    fn rename_fs(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        moves: &[(PathBuf, PathBuf)],
        like: &Ownership,
    ) -> io::Result<()> {
        let depth = from.levels().len();
        let root_depth = self.root.components().count();
        // the directory as it is spelled on disk: that of any mailbox in it, cut at its level
        let spelled = moves.first().map(|(path, _)| {
            path.components()
                .take(root_depth + depth)
                .collect::<PathBuf>()
        });
        let old = spelled.ok_or(io::ErrorKind::NotFound)?;
        let new = self.place_for(to)?;
        make_above(new.parent().unwrap_or(&self.root), like)?;
        if new.is_dir() {
            // a name without a mailbox: what is moved joins what lies below it
            return join_directories(&old, &new);
        }
        durable::rename_synced(&old, &new)
    }

    /// Removes a mailbox; mailboxes below stay. It is gone when it returns, whatever happens to its files.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] and what the system says; [`io::ErrorKind::InvalidInput`] for INBOX.
    pub(super) fn remove(&self, name: &MailboxName) -> io::Result<()> {
        if name.is_inbox() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = self.find(name)?.ok_or(io::ErrorKind::NotFound)?;
        let away = self.temporary(REMOVED);
        let below = |(name, _): &(OsString, Kind)| !PARTS.iter().any(|part| name == *part);
        if self.layout == Layout::Fs && directories(&path)?.iter().any(below) {
            self.empty_out(&path, &away)?;
        } else {
            durable::rename_synced(&path, &away)?;
        }
        discard(&away);
        Ok(())
    }

    /// Takes all but the mailboxes below out of a directory, `cur` first: with it the mailbox is gone.
    fn empty_out(&self, path: &Path, away: &Path) -> io::Result<()> {
        durable::create_dir(away, &Ownership::of(path)?)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if !entry.file_type()?.is_dir() || PARTS.iter().any(|part| name == *part) {
                names.push(name);
            }
        }
        names.sort_by_key(|name| name != "cur");
        names
            .iter()
            .try_for_each(|name| fs::rename(path.join(name), away.join(name)))?;
        durable::sync_dir(path)
    }

    /// A name in the root's `tmp/` that nobody has.
    fn temporary(&self, kind: &str) -> PathBuf {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 8];
        if getrandom::fill(&mut random).is_err() {
            // process and counter still differ from all that live now
            tracing::debug!("no_randomness");
        }
        self.root.join("tmp").join(format!(
            "{kind}{}-{number}-{:016x}",
            std::process::id(),
            u64::from_ne_bytes(random)
        ))
    }

    /// Removes what an interrupted [`Folders::create`] (older than an hour) or [`Folders::remove`] left. Returns how many.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn sweep(&self, now: SystemTime) -> io::Result<usize> {
        let mut swept = 0;
        let directory = self.root.join("tmp");
        for (name, _) in directories(&directory)? {
            let path = directory.join(&name);
            let age = fs::symlink_metadata(&path)?
                .modified()
                .ok()
                .and_then(|modified| now.duration_since(modified).ok());
            let old = age.is_some_and(|age| age >= LEFT_BEHIND);
            let ours = name.as_bytes().starts_with(REMOVED.as_bytes())
                || name.as_bytes().starts_with(MADE.as_bytes());
            if ours && old {
                discard(&path);
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// True for a directory with `cur`.
fn is_mailbox(path: &Path) -> bool {
    path.join("cur").is_dir()
}

/// Whether an entry is a directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is.
    Directory,
    /// It leads to one.
    Link,
}

/// Names of the directories in a directory; links to directories count, as shared mailboxes are made of them.
fn directories(path: &Path) -> io::Result<Vec<(OsString, Kind)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            // it vanished meanwhile
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            names.push((entry.file_name(), Kind::Directory));
        } else if kind.is_symlink() && entry.path().is_dir() {
            names.push((entry.file_name(), Kind::Link));
        }
    }
    Ok(names)
}

/// Makes `tmp`, `new` and `cur`.
fn make_parts(directory: &Path, like: &Ownership) -> io::Result<()> {
    let mut made = false;
    for part in PARTS {
        match durable::create_dir(&directory.join(part), like) {
            Ok(()) => made = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    if made {
        durable::sync_dir(directory)
    } else {
        Ok(())
    }
}

/// Makes directories above a mailbox, which then are names without a mailbox.
fn make_above(directory: &Path, like: &Ownership) -> io::Result<()> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    for path in missing.into_iter().rev() {
        match durable::create_dir(path, like) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => durable::sync_dir(path.parent().unwrap_or_else(|| Path::new("/")))?,
        }
    }
    Ok(())
}

/// Removes a directory that is no mailbox any more; what cannot be removed is left for the next sweep.
fn discard(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "leftover_not_removed");
    }
}

/// Moves all that is in a directory into another, `cur` last, and removes the first.
fn join_directories(from: &Path, to: &Path) -> io::Result<()> {
    let mut names: Vec<OsString> = fs::read_dir(from)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort_by_key(|name| name == "cur");
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        if to.is_dir() && from.is_dir() && !PARTS.iter().any(|part| name == *part) {
            join_directories(&from, &to)?;
        } else {
            fs::rename(from, to)?;
        }
    }
    durable::sync_dir(to)?;
    fs::remove_dir(from)
}

/// A level as it stands on disk.
pub(super) fn encode(level: &str, layout: Layout) -> String {
    let text = utf7::encode(level).replace('/', "&AC8-");
    match layout {
        Layout::MaildirPlusPlus => text.replace('.', "&AC4-"),
        Layout::Fs => {
            let is_taken = text.starts_with('.')
                || PARTS.contains(&text.as_str())
                || CONTROL_FILES.iter().any(|name| text.starts_with(name));
            if is_taken { shift_first(&text) } else { text }
        }
    }
}

/// The text with its first character, an ASCII one, in base64: another name for every other program, the same one when decoded.
fn shift_first(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next().and_then(|first| u8::try_from(first).ok()) {
        Some(first) => {
            let shifted = base64::encode(&[0, first]);
            format!("&{}-{}", shifted.trim_end_matches('='), rest.as_str())
        }
        None => text.to_owned(),
    }
}

/// A name with a number after it; none if that would be no name.
fn numbered(name: &MailboxName, number: u32) -> Option<MailboxName> {
    let leaf = format!("{} ({number})", name.leaf());
    let above = name.levels().len() - 1;
    let levels = name.levels().take(above).chain([leaf.as_str()]);
    MailboxName::from_levels(levels).ok()
}

/// The name that levels on disk stand for. A level that is not modified UTF-7 is taken as it stands; what cannot be shown of it becomes
/// U+FFFD. None for what cannot be a name of a mailbox other than INBOX.
fn decode<'a>(levels: impl Iterator<Item = &'a [u8]>) -> Option<MailboxName> {
    let level = |octets: &[u8]| {
        let text =
            utf7::decode(octets).unwrap_or_else(|| String::from_utf8_lossy(octets).into_owned());
        let is_hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        text.replace(is_hidden, "\u{fffd}")
    };
    let levels: Vec<String> = levels.map(level).collect();
    MailboxName::from_levels(levels.iter().map(String::as_str))
        .ok()
        .filter(|name| !name.is_inbox())
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
