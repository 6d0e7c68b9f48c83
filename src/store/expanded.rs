//! The octets of a compressed message while it is open.

use super::compressed::Form;
use crate::durable::{self, Ownership};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Largest message that is held in memory; a client reads few at a time, but many clients may.
const MAX_HELD_OCTETS: usize = 256 * 1024;

/// The octets of a message, to be read at any place.
#[derive(Debug)]
pub(super) enum Octets {
    /// In a file: the message's own, or one without name.
    File(File),
    /// In memory.
    Memory(Vec<u8>),
}

impl Octets {
    /// Reads from a position into a buffer; returns how many octets, 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buffer, position),
            Self::Memory(octets) => {
                let from = usize::try_from(position).unwrap_or(usize::MAX);
                let mut rest = octets.get(from..).unwrap_or_default();
                rest.read(buffer)
            }
        }
    }
}

/// Expands a message file of a form; returns the octets and how many they are. `spill` is a name that no file has, for a large message.
///
/// # Errors
/// [`super::compressed::Unreadable`] in an [`io::Error`], and what the system says.
pub(super) fn expand(form: Form, file: &File, spill: PathBuf) -> io::Result<(Octets, u64)> {
    let mut expansion = Expansion {
        octets: Octets::Memory(Vec::new()),
        count: 0,
        spill,
    };
    form.expand(file, &mut expansion)?;
    Ok((expansion.octets, expansion.count))
}

/// A message that is being expanded.
struct Expansion {
    octets: Octets,
    count: u64,
    spill: PathBuf,
}

impl Expansion {
    /// A file without a name, so that nothing is left when it is closed; a crash right here leaves one in `tmp/`, where it is swept.
    fn nameless(&self) -> io::Result<File> {
        let directory = self.spill.parent().unwrap_or(&self.spill);
        let file = durable::create_new(&self.spill, &Ownership::of(directory)?)?;
        fs::remove_file(&self.spill)?;
        Ok(file)
    }
}

impl Write for Expansion {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Octets::Memory(held) = &self.octets
            && held.len() + octets.len() > MAX_HELD_OCTETS
        {
            let mut file = self.nameless()?;
            file.write_all(held)?;
            self.octets = Octets::File(file);
        }
        match &mut self.octets {
            Octets::Memory(held) => held.extend_from_slice(octets),
            Octets::File(file) => file.write_all(octets)?,
        }
        self.count += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
