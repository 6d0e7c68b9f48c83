//! Names of message files: unique names, sizes, flags. Octets, since names need not be UTF-8. Pure.

use crate::mailbox::flag::{Flags, KeywordTable};
use std::cmp::Ordering;
use std::sync::Mutex;
use std::time::Duration;

/// Makes names that no other program and no earlier call makes.
#[derive(Debug)]
pub(super) struct NameMaker {
    host: String,
    pid: u32,
    /// Time of the last name in microseconds since 1970, and the counter.
    last: Mutex<(u64, u64)>,
}

impl NameMaker {
    /// For this process. `first` is where the counter begins: random, so that a process with the same number after a restart and a
    /// clock set back still gives other names.
    pub(super) fn new(_host: &str, _pid: u32, _first: u32) -> Self {
        todo!()
    }

    /// A new name, `secs.M<usec>P<pid>Q<counter>.<host>`; `now` is the time since 1970. Times in names only rise.
    pub(super) fn unique(&self, _now: Duration) -> String {
        todo!()
    }
}

/// A base name with its sizes: `<unique>,S=<stored octets>,W=<octets with CRLF>`.
pub(super) fn with_sizes(_unique: &str, _stored: u64, _crlf: u64) -> String {
    todo!()
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
    /// Takes a name apart; none if no message can have it (empty, `.` first, `:` first, a `/` in it).
    pub(super) fn parse(_name: &'a [u8]) -> Option<Self> {
        todo!()
    }

    /// Octets as stored, if the name tells (`,S=`).
    pub(super) fn size(&self) -> Option<u64> {
        todo!()
    }

    /// Octets with every line end as CRLF, if the name tells (`,W=`).
    pub(super) fn crlf_size(&self) -> Option<u64> {
        todo!()
    }

    /// The flags its letters stand for. Letters whose keyword the table does not know count for nothing.
    pub(super) fn flags(&self, _keywords: &KeywordTable) -> Flags {
        todo!()
    }

    /// The name with other flags: letters in ASCII order; letters that stand for no flag we know, and text after a further comma, stay.
    /// Keywords at positions of 26 and above have no letter.
    pub(super) fn with_flags(&self, _flags: Flags, _keywords: &KeywordTable) -> Vec<u8> {
        todo!()
    }
}

/// The order in which new files get their UIDs; total. For base names.
pub(super) fn arrival_order(_a: &[u8], _b: &[u8]) -> Ordering {
    todo!()
}
