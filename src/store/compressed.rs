//! Message files that Dovecot's zlib plugin compressed: gzip, bzip2, zstd, and LZ4 in a form of Dovecot's own.
//!
//! What a file is, its first octets tell: none of these beginnings can be that of a mail header, and APPEND takes no message that begins so. A
//! message is expanded whole when it is opened, since clients read at any place: in memory if it is small, else in a file without name in
//! `tmp/`. What is damaged, encrypted, of another form or grows beyond [`MAX_OCTETS`] is [`Unreadable`]: that costs this message, nothing else.

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

/// Largest message that is expanded: more than any MTA takes by default, and what a small file can make us write.
pub(super) const MAX_OCTETS: u64 = 256 * 1024 * 1024;

/// Octets that tell what a file is.
pub(super) const FIRST_OCTETS: usize = 64;

/// Octets written at once.
const CHUNK_OCTETS: usize = 65_536;

/// Beginning of an LZ4 file of Dovecot's: a magic, then four octets for the greatest size of a block, then blocks.
const LZ4_MAGIC: &[u8] = b"Dovecot-LZ4\x0d\x2a\x9b\xc5";

/// Largest block of such a file, compressed and not, as Dovecot has it.
const MAX_LZ4_BLOCK_OCTETS: usize = 1024 * 1024;

/// What the octets of a message file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The message.
    Plain,
    /// RFC 1952
    Gzip,
    /// bzip2
    Bzip2,
    /// RFC 8878
    Zstd,
    /// LZ4 blocks behind Dovecot's header.
    Lz4,
    /// xz, which old versions of Dovecot wrote.
    Xz,
    /// Encrypted by Dovecot's mail_crypt plugin.
    Encrypted,
}

/// Why a message file cannot be read, though the system reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// The octets make no sense, or the end is missing.
    #[error("the compressed message is damaged")]
    Damaged,
    /// See [`MAX_OCTETS`].
    #[error("the compressed message is larger than {MAX_OCTETS} octets")]
    TooLarge,
    /// See [`Form::Xz`].
    #[error("the message is compressed with xz, which is not supported")]
    Unsupported,
    /// See [`Form::Encrypted`].
    #[error("the message is encrypted by Dovecot's mail_crypt plugin")]
    Encrypted,
}

impl From<Unreadable> for io::Error {
    fn from(why: Unreadable) -> Self {
        Self::new(io::ErrorKind::InvalidData, why)
    }
}

impl Unreadable {
    /// If that is what an error is.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl Form {
    /// By the first octets of a file, [`FIRST_OCTETS`] or all there are.
    pub(super) fn of(first: &[u8]) -> Self {
        let bzip2_level = first
            .get(3)
            .is_some_and(|level| (b'1'..=b'9').contains(level));
        match first {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            // text until here: a header field could begin so
            [
                b'B',
                b'Z',
                b'h',
                _,
                b'1',
                b'A',
                b'Y',
                b'&',
                b'S',
                b'Y',
                after @ ..,
            ] if bzip2_level && !may_be_text(after) => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
            first if first.starts_with(LZ4_MAGIC) => Self::Lz4,
            first if first.starts_with(b"CRYPTED\x03\x07") => Self::Encrypted,
            _ => Self::Plain,
        }
    }

    /// By the beginning of a file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::FileExt;
        let mut first = [0; FIRST_OCTETS];
        let mut filled = 0;
        while let Some(rest) = first.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::of(first.get(..filled).unwrap_or_default()))
    }

    /// Writes the message that is in a file of this form.
    ///
    /// # Errors
    /// [`Unreadable`] in an [`io::Error`], and what the system says of the file or of where it is written to.
    pub(super) fn expand(self, file: impl Read, out: impl Write) -> io::Result<()> {
        let trouble = Cell::new(None);
        let source = BufReader::with_capacity(
            CHUNK_OCTETS,
            Watched {
                file,
                trouble: &trouble,
            },
        );
        let mut out = Bounded {
            out,
            left: MAX_OCTETS,
        };
        let expanded = match self {
            Self::Plain => copy(source, &mut out),
            Self::Gzip => copy(MultiGzDecoder::new(source), &mut out),
            Self::Bzip2 => copy(MultiBzDecoder::new(source), &mut out),
            Self::Zstd => expand_zstd(source, &mut out),
            Self::Lz4 => expand_lz4(source, &mut out),
            Self::Xz => Err(Unreadable::Unsupported.into()),
            Self::Encrypted => Err(Unreadable::Encrypted.into()),
        };
        expanded.map_err(|error| {
            if let Some(number) = trouble.get() {
                return io::Error::from_raw_os_error(number);
            }
            // what has no number of the system's was found by a decoder
            if error.raw_os_error().is_some() || Unreadable::of(&error).is_some() {
                error
            } else {
                Unreadable::Damaged.into()
            }
        })
    }
}

/// True if octets could be the rest of a header field's name, and what follows it.
fn may_be_text(octets: &[u8]) -> bool {
    octets
        .iter()
        .all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace())
}

/// Copies all octets.
fn copy(mut source: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_OCTETS];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => out.write_all(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Frame after frame.
fn expand_zstd(mut source: impl BufRead, out: &mut impl Write) -> io::Result<()> {
    while !source.fill_buf()?.is_empty() {
        let mut frame = StreamingDecoder::new(&mut source).map_err(io::Error::other)?;
        copy(&mut frame, out)?;
        // the decoder leaves it to us to compare
        let told = frame.decoder.get_checksum_from_data();
        if told.is_some() && told != frame.decoder.get_calculated_checksum() {
            return Err(Unreadable::Damaged.into());
        }
    }
    Ok(())
}

/// Block after block, each behind its size.
fn expand_lz4(mut source: impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let mut magic = [0; LZ4_MAGIC.len()];
    source.read_exact(&mut magic)?;
    let block_octets = lz4_size(&mut source)?;
    let (mut packed, mut block) = (Vec::new(), vec![0; block_octets]);
    while !source.fill_buf()?.is_empty() {
        packed.resize(lz4_size(&mut source)?, 0);
        source.read_exact(&mut packed)?;
        let octets =
            lz4_flex::block::decompress_into(&packed, &mut block).map_err(io::Error::other)?;
        out.write_all(block.get(..octets).unwrap_or_default())?;
    }
    Ok(())
}

/// Four octets, the highest first.
fn lz4_size(source: &mut impl Read) -> io::Result<usize> {
    let mut octets = [0; 4];
    source.read_exact(&mut octets)?;
    usize::try_from(u32::from_be_bytes(octets))
        .ok()
        .filter(|size| (1..=MAX_LZ4_BLOCK_OCTETS).contains(size))
        .ok_or_else(|| Unreadable::Damaged.into())
}

/// A file that is read, and what the system said of it: not every decoder passes that on.
struct Watched<'a, R> {
    file: R,
    trouble: &'a Cell<Option<i32>>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.trouble.set(error.raw_os_error());
            }
        })
    }
}

/// Takes no more than so many octets.
struct Bounded<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(octets.len() as u64)
            .ok_or(Unreadable::TooLarge)?;
        self.out.write_all(octets)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[path = "compressed_tests.rs"]
mod tests;
