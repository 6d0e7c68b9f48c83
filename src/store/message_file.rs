//! One message's file: its octets, its date, its size with CRLF.
//!
//! A size with CRLF that the name (`,W=`) or the list (`W`) tells counts only if the stored size told beside it (`,S=`, `S`) is the
//! file's true size: MTAs that count before they add a header, and mail that was compressed afterwards, are found out so. Else the
//! octets are counted. Of a compressed file the sizes told are those of the message that is in it, and are believed if they fit each other.

use super::clock;
use super::compressed::{Form, Unreadable};
use super::expanded::{self, Octets};
use super::failure::{failed, noted};
use super::filename::FileName;
use super::open_mailbox::OpenMailbox;
use crate::durable;
use crate::mailbox::backend::{Message, Result};
use crate::mailbox::id::Uid;
use crate::message::lines::CrlfState;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A message opened to read it.
#[derive(Debug)]
struct MessageFile {
    octets: Octets,
    path: PathBuf,
    count: u64,
}

impl Message for MessageFile {
    fn stored_octets(&self) -> u64 {
        self.count
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.octets.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    return outcome.map_err(|error| failed("read a message", &self.path, &error));
                }
            }
        }
    }
}

/// Sizes that a name or a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    stored: Option<u64>,
    crlf: Option<u64>,
}

impl Told {
    /// The size with CRLF, if it can be believed for a file of so many octets.
    fn believed(self, stored: u64) -> Option<u64> {
        self.fitting().filter(|_| self.stored == Some(stored))
    }

    /// The size with CRLF, if it fits the stored size told beside it.
    fn fitting(self) -> Option<u64> {
        let (stored, crlf) = (self.stored?, self.crlf?);
        let is_possible = crlf >= stored && crlf - stored <= stored;
        is_possible.then_some(crlf)
    }
}

impl OpenMailbox {
    /// Opens a message to read it.
    ///
    /// # Errors
    /// [`crate::mailbox::backend::Error::Expunged`], [`crate::mailbox::backend::Error::Unavailable`]
    pub(super) fn open_message(&self, uid: Uid) -> Result<Box<dyn Message>> {
        self.with_file(uid, "open a message", |path| {
            let file = durable::open(path)?;
            let (octets, count) = match Form::of_file(&file)? {
                Form::Plain => {
                    let count = file.metadata()?.len();
                    (Octets::File(file), count)
                }
                form => expanded::expand(form, &file, self.spill())?,
            };
            Ok(MessageFile {
                octets,
                path: path.to_owned(),
                count,
            })
        })
        .map(|message| -> Box<dyn Message> { Box::new(message) })
    }

    /// Where a large compressed message is put while it is open.
    fn spill(&self) -> PathBuf {
        let names = &self.account.store.names;
        let unique = names.unique(clock::since_epoch(clock::now()));
        self.spool().tmp().join(unique)
    }

    /// INTERNALDATE: the modification time.
    ///
    /// # Errors
    /// As [`OpenMailbox::open_message`].
    pub(super) fn date(&self, uid: Uid) -> Result<i64> {
        self.with_file(uid, "look at a message", |path| {
            let about = fs::metadata(path)?;
            if !about.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(about.mtime())
        })
    }

    /// The size with CRLF, noted for the next time.
    ///
    /// # Errors
    /// As [`OpenMailbox::open_message`].
    pub(super) fn crlf_size(&self, uid: Uid) -> Result<u64> {
        {
            let messages = self.read();
            if let Some(known) = messages.position(uid).and_then(|at| messages.size_at(at)) {
                return Ok(known);
            }
        }
        let recorded = self.recorded_sizes(uid);
        let size = self.with_file(uid, "measure a message", |path| measure(path, recorded))?;
        self.write().set_size(uid, size);
        Ok(size)
    }

    /// True if name or list tell a size with CRLF, believed or not.
    pub(super) fn is_size_told(&self, uid: Uid) -> bool {
        let is_recorded = || self.recorded_sizes(uid)?.crlf;
        self.is_named(uid) || is_recorded().is_some()
    }

    /// True if the name tells a size with CRLF.
    fn is_named(&self, uid: Uid) -> bool {
        let files = self.files();
        let name = files.position(uid).map(|at| files.name(at));
        name.and_then(FileName::parse)
            .is_some_and(|name| name.crlf_size().is_some())
    }

    /// Sizes in the list, which has them for names that do not. Asked for only where the name has none.
    fn recorded_sizes(&self, uid: Uid) -> Option<Told> {
        if self.is_named(uid) {
            return None;
        }
        let disk = self.disk().ok()?;
        let record = disk.list.list()?.record(uid)?;
        let name = FileName::parse(record.base)?;
        let number = |key| {
            let digits = record.field(key)?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        Some(Told {
            stored: name.size().or_else(|| number(b'S')),
            crlf: number(b'W'),
        })
    }
}

/// The size with CRLF of a file.
fn measure(path: &Path, recorded: Option<Told>) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;
    let stored = fs::metadata(path)?.len();
    let name = path.file_name().map_or(&[][..], OsStrExt::as_bytes);
    let named = FileName::parse(name).map(|name| Told {
        stored: name.size(),
        crlf: name.crlf_size(),
    });
    let told = || [named, recorded].into_iter().flatten();
    if let Some(size) = told().find_map(|told| told.believed(stored)) {
        return Ok(size);
    }
    let file = durable::open(path)?;
    let form = Form::of_file(&file)?;
    if form != Form::Plain
        && let Some(size) = told().find_map(Told::fitting)
    {
        return Ok(size);
    }
    let mut count = Count(CrlfState::default());
    match form.expand(&file, &mut count) {
        Ok(()) => Ok(count.0.octets()),
        // whoever reads it is refused; the sizes of all messages must be to be had without it
        Err(error) if Unreadable::of(&error).is_some() => {
            noted("measure a message", path, &error);
            Ok(stored)
        }
        Err(error) => Err(error),
    }
}

/// Counts octets, with every line end as CRLF.
struct Count(CrlfState);

impl Write for Count {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.feed(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn believes_sizes_only_beside_a_true_one() {
        let directory = tempfile::tempdir().unwrap();
        // 6 octets stored, 8 with CRLF
        for (name, recorded, expected) in [
            ("a", None, 8),
            ("a,S=6,W=7:2,S", None, 7),
            ("a,S=5,W=7:2,S", None, 8),
            ("a,W=7", None, 8),
            ("a,S=6,W=13", None, 8),
            ("a,S=6,W=5", None, 8),
            ("a,S=6", Some((Some(6), Some(9))), 9),
            ("b", Some((Some(6), Some(9))), 9),
            ("b", Some((Some(7), Some(9))), 8),
            ("b", Some((None, Some(9))), 8),
        ] {
            let path = directory.path().join(name);
            File::create(&path).unwrap().write_all(b"a\nb\ncd").unwrap();
            let recorded = recorded.map(|(stored, crlf)| Told { stored, crlf });
            assert_eq!(measure(&path, recorded).unwrap(), expected, "{name}");
        }
    }
}
