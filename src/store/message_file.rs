//! One message's file: its octets, its date, its size with CRLF.
//!
//! A size with CRLF that the name (`,W=`) or the list (`W`) tells counts only if the stored size told beside it (`,S=`, `S`) is the
//! file's true size: MTAs that count before they add a header, and mail that was compressed afterwards, are found out so. Else the
//! octets are counted.

use super::failure::failed;
use super::filename::FileName;
use super::open_mailbox::OpenMailbox;
use crate::durable;
use crate::mailbox::backend::{Message, Result};
use crate::mailbox::id::Uid;
use crate::message::lines::CrlfState;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Octets read at once to count them.
const CHUNK_OCTETS: usize = 65_536;

/// A message opened to read it.
#[derive(Debug)]
struct MessageFile {
    file: File,
    path: PathBuf,
    octets: u64,
}

impl Message for MessageFile {
    fn stored_octets(&self) -> u64 {
        self.octets
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read_at(buffer, position) {
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
        let crlf = self.crlf?;
        let is_possible = crlf >= stored && crlf - stored <= stored;
        (self.stored == Some(stored) && is_possible).then_some(crlf)
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
            let octets = file.metadata()?.len();
            Ok(MessageFile {
                file,
                path: path.to_owned(),
                octets,
            })
        })
        .map(|message| -> Box<dyn Message> { Box::new(message) })
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

    /// Sizes in the list, which has them for names that do not. Asked for only where the name has none.
    fn recorded_sizes(&self, uid: Uid) -> Option<Told> {
        let is_named = {
            let files = self.files();
            let at = files.position(uid)?;
            FileName::parse(files.name(at)).is_some_and(|name| name.crlf_size().is_some())
        };
        if is_named {
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
    let believed = [named, recorded]
        .into_iter()
        .flatten()
        .find_map(|told| told.believed(stored));
    match believed {
        Some(size) => Ok(size),
        None => count(durable::open(path)?),
    }
}

/// Counts octets, with every line end as CRLF.
fn count(mut octets: impl Read) -> io::Result<u64> {
    let mut state = CrlfState::default();
    let mut buffer = vec![0; CHUNK_OCTETS];
    loop {
        match octets.read(&mut buffer) {
            Ok(0) => return Ok(state.octets()),
            Ok(read) => state.feed(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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
