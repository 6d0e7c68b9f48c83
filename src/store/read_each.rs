//! Reading many messages, side by side or one after the other.
//!
//! Files are opened by their names within `new/` and `cur/`, as last seen; one that is not there any more is looked for as any message that is
//! opened.

use super::compressed::{FIRST_OCTETS, Form};
use super::helpers::MAX_BUFFER_OCTETS;
use super::open_mailbox::OpenMailbox;
use super::spool::{Place, Spool};
use crate::durable::Directory;
use crate::mailbox::backend::{Extent, MAX_SMALL_OCTETS, Mailbox, Next, Reader, Reading};
use crate::mailbox::id::Uid;
use crate::message::header;
use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many messages a thread takes on at once where little is read of each.
const STRIDE: usize = 8;

/// Fewest messages for which another thread is worth its while.
const WORTH_A_THREAD: usize = 4 * STRIDE;

/// How much is read first where a header is wanted, as long as headers are smaller, and after one that was not.
const FIRST_READ_OCTETS: [usize; 2] = [4 * 1024, 16 * 1024];

/// What a thread needs for reading.
struct Desk {
    spool: Spool,
    /// `new/` and `cur/`, opened when they are needed first.
    directories: [OnceCell<Option<Directory>>; 2],
    /// Larger than what is in it.
    buffer: Vec<u8>,
    /// Octets in the buffer.
    filled: usize,
    /// The header read last was a large one.
    was_large: bool,
    /// Names of files, one after the other.
    names: Vec<u8>,
}

/// A file's name, in the octets of [`Desk::names`].
struct Named {
    place: Place,
    start: usize,
    end: usize,
}

impl OpenMailbox {
    /// See [`Mailbox::read_each`].
    pub(super) fn read_many(&self, uids: &[Uid], extent: Extent, reader: &Reader<'_>) {
        // the first that nobody has taken on
        let first = AtomicUsize::new(0);
        let read = || {
            self.read_strides(extent, reader, &|| {
                let from = first.fetch_add(STRIDE, Ordering::Relaxed);
                let rest = uids.get(from..).unwrap_or_default();
                let stride = rest.get(..STRIDE).unwrap_or(rest);
                (from..).zip(stride.iter().copied()).collect()
            });
        };
        let helpers = &self.account.store.helpers;
        helpers.side_by_side(uids.len() / WORTH_A_THREAD, &read);
    }

    /// See [`Mailbox::read_while`].
    pub(super) fn read_one_by_one(&self, extent: Extent, next: &Next<'_>, reader: &Reader<'_>) {
        self.read_strides(extent, reader, &|| next().into_iter().collect());
    }

    /// Reads the next messages, each with its place, until there are none.
    fn read_strides(
        &self,
        extent: Extent,
        reader: &Reader<'_>,
        next: &dyn Fn() -> Vec<(usize, Uid)>,
    ) {
        let helpers = &self.account.store.helpers;
        let mut desk = None;
        loop {
            let messages = next();
            if messages.is_empty() {
                break;
            }
            let desk = desk.get_or_insert_with(|| Desk::new(self.spool(), helpers.take_buffer()));
            let named = self.look_up(&messages, &mut desk.names);
            for ((at, uid), named) in messages.into_iter().zip(named) {
                let found = named.and_then(|named| desk.read(&named, extent).ok().flatten());
                if let Some((date, stored)) = found {
                    let octets = desk.octets();
                    let reading = Reading {
                        date,
                        stored,
                        octets,
                    };
                    reader(at, Ok(reading));
                } else {
                    (self as &dyn Mailbox).read_one(at, uid, extent, reader);
                }
            }
        }
        if let Some(desk) = desk {
            helpers.give_buffer(desk.buffer);
        }
    }

    /// The names of files.
    fn look_up(&self, messages: &[(usize, Uid)], names: &mut Vec<u8>) -> Vec<Option<Named>> {
        names.clear();
        let files = self.files();
        let named = |(_, uid): &(usize, Uid)| {
            let at = files.position(*uid)?;
            let start = names.len();
            names.extend_from_slice(files.name(at));
            Some(Named {
                place: files.place(at),
                start,
                end: names.len(),
            })
        };
        messages.iter().map(named).collect()
    }
}

impl Desk {
    /// For a mailbox's directories.
    fn new(spool: Spool, buffer: Vec<u8>) -> Self {
        Self {
            spool,
            directories: Default::default(),
            buffer,
            filled: 0,
            was_large: false,
            names: Vec::new(),
        }
    }

    /// What was read.
    fn octets(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// Reads a file into the buffer; returns its date and how many octets are stored, or none if it has to be read another way.
    fn read(&mut self, named: &Named, extent: Extent) -> io::Result<Option<(i64, u64)>> {
        let [new, cur] = &self.directories;
        let directory = match named.place {
            Place::New => new,
            Place::Cur => cur,
        };
        let open = || Directory::open(self.spool.place(named.place)).ok();
        let Some(directory) = directory.get_or_init(open) else {
            return Ok(None);
        };
        let name = self.names.get(named.start..named.end).unwrap_or_default();
        if self.buffer.len() > MAX_BUFFER_OCTETS {
            self.buffer = Vec::new();
        }
        self.filled = 0;
        if extent == Extent::Date {
            return Ok(directory.modified(name)?.map(|date| (date, 0)));
        }
        let (file, about) = directory.open_file(name)?;
        let stored = usize::try_from(about.size()).unwrap_or(usize::MAX);
        let is_read = match extent {
            Extent::Header => self.read_header(&file, stored)?,
            Extent::Small if about.size() > MAX_SMALL_OCTETS => {
                self.read_until(&file, FIRST_OCTETS)?
            }
            Extent::Date | Extent::Small | Extent::Whole => self.read_until(&file, stored)?,
        };
        let octets = self.octets();
        let first = octets.get(..FIRST_OCTETS).unwrap_or(octets);
        Ok((is_read && Form::of(first) == Form::Plain).then(|| (about.mtime(), about.size())))
    }

    /// Reads until the header ends.
    fn read_header(&mut self, file: &File, stored: usize) -> io::Result<bool> {
        let [first, large] = FIRST_READ_OCTETS;
        let mut wanted = if self.was_large { large } else { first }.min(stored);
        loop {
            let is_read = self.read_until(file, wanted)?;
            let octets = header::octets(self.octets());
            if octets < self.filled || wanted == stored || !is_read {
                self.was_large = octets >= first;
                return Ok(is_read);
            }
            wanted = wanted.saturating_mul(4).min(stored);
        }
    }

    /// Reads on until so many octets are there; false if the file ends before.
    fn read_until(&mut self, file: &File, wanted: usize) -> io::Result<bool> {
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < wanted {
            let room = self.buffer.get_mut(self.filled..wanted).unwrap_or_default();
            match file.read_at(room, self.filled as u64) {
                Ok(0) => return Ok(false),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
