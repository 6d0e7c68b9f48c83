//! COMPRESS (RFC 4978): the session agrees, the shell compresses.

use super::Session;
use super::activity::Activity;
use super::reply::{CommandError, Completed, tagged};
use super::table::Row;
use crate::imap::encode;
use crate::imap::types::core::Tag;
use crate::imap::types::response::Code;

impl Session {
    /// COMPRESS DEFLATE. The tagged OK is the last that is sent as it is (RFC 4978 §3), so nothing may be told after it.
    pub(super) fn compress(&mut self, tag: Tag, row: &'static Row, out: &mut Vec<u8>) {
        if !self.is_offered("COMPRESS=DEFLATE") {
            let error = CommandError::bad("compression is not offered");
            return self.end(tag, row, Err(error));
        }
        if self.is_compressed {
            let error = CommandError::no(Code::CompressionActive, "DEFLATE is active already");
            return self.end(tag, row, Err(error));
        }
        let completed = Completed {
            code: None,
            text: Some("DEFLATE active"),
        };
        encode::tagged(&tagged(tag, row.name, Ok(completed)), out);
        self.bad_commands = 0;
        self.activity = Activity::CompressionAgreed;
    }

    /// See [`crate::protocol::Protocol::compression_started`].
    pub(super) fn begin_compression(&mut self) -> Vec<u8> {
        self.is_compressed = true;
        self.activity = Activity::Ready;
        self.flow.hand_over()
    }
}
