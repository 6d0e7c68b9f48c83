//! One message on its way to the client, in pieces (RETR and TOP).
//!
//! The status line is sent when the first octets have been read, so that a message that cannot be read is refused and not cut off.
//! What goes wrong later leaves the answer without its end, and the connection is closed: a client that believed the end would
//! take half a message for the whole.

use super::ahead::Ready;
use super::encode;
use super::encode::body::BodyEncoder;
use super::session::Connection;
use super::texts::{Language, Text};
use super::types::{Code, MessageNumber, Reply};
use crate::mailbox::backend::{Error, Mailbox, Message};
use crate::mailbox::id::Uid;
use crate::protocol::{HIGH_WATER_OCTETS, Output};

/// Octets read at once.
const PIECE_OCTETS: usize = 64 * 1024;

/// What is wanted of which message.
#[derive(Debug)]
pub(crate) struct Retrieval {
    /// The message's number.
    pub(crate) number: MessageNumber,
    /// Its UID.
    pub(crate) uid: Uid,
    /// Its size, if known.
    pub(crate) octets: Option<u64>,
    /// TOP: lines of the body; none: RETR.
    pub(crate) body_lines: Option<u64>,
    /// Refuse a header that is not ASCII (RFC 6856 §2.1).
    pub(crate) ascii_only: bool,
    /// Where it is read; none before the status line is sent.
    pub(crate) open: Option<Open>,
}

/// A message that is being read.
#[derive(Debug)]
pub(crate) struct Open {
    message: Box<dyn Message>,
    position: u64,
    encoder: BodyEncoder,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The output is full.
    More,
    /// All is sent.
    Done,
    /// Nothing was sent but this refusal is to be.
    Refused(Reply),
    /// The answer cannot be brought to its end.
    Broken,
}

impl Retrieval {
    /// Reads and appends the next piece.
    pub(crate) fn advance(
        &mut self,
        mailbox: &dyn Mailbox,
        language: Language,
        out: &mut Vec<u8>,
    ) -> Progress {
        let open = match self.open.take() {
            Some(open) => open,
            None => match self.begin(mailbox, language, out) {
                Ok(Some(open)) => open,
                Ok(None) => return Progress::Done,
                Err(reply) => return Progress::Refused(reply),
            },
        };
        self.go_on(open, out)
    }

    /// Sends a message that is ready.
    pub(super) fn send(&self, ready: Ready, connection: &Connection, out: &mut Output) {
        if self.ascii_only && !ready.has_ascii_header {
            let refusal = Reply::coded(Code::Utf8, Text::NeedsUtf8).about(self.number);
            return connection.reply(&refusal, out);
        }
        let octets = self.octets.unwrap_or(ready.octets);
        connection.reply(&Reply::ok(Text::Octets).with([octets, 0]), out);
        out.push(ready.text);
        connection.services.host.tally().count_sent();
    }

    /// Opens the message, reads its first piece and sends it behind the status line. None if that was all.
    fn begin(
        &self,
        mailbox: &dyn Mailbox,
        language: Language,
        out: &mut Vec<u8>,
    ) -> Result<Option<Open>, Reply> {
        let refuse = |error: Error| refusal(&error, self.number);
        let mut message = mailbox.message(self.uid).map_err(refuse)?;
        if self.ascii_only && !has_ascii_header(&mut *message).map_err(refuse)? {
            return Err(Reply::coded(Code::Utf8, Text::NeedsUtf8).about(self.number));
        }
        let reply = match (self.body_lines, self.octets) {
            (Some(_), _) => Reply::ok(Text::Top),
            (None, Some(octets)) => Reply::ok(Text::Octets).with([octets, 0]),
            (None, None) => {
                let octets = mailbox.size(self.uid).map_err(refuse)?;
                Reply::ok(Text::Octets).with([octets, 0])
            }
        };
        let mut piece = piece_buffer(&*message, 0);
        let read = message.read_at(0, &mut piece).map_err(refuse)?;
        encode::reply(&reply, language, out);
        let mut encoder = BodyEncoder::new(self.body_lines);
        if read == 0 || !encoder.push(piece.get(..read).unwrap_or_default(), out) {
            encoder.finish(out);
            return Ok(None);
        }
        Ok(Some(Open {
            message,
            position: read as u64,
            encoder,
        }))
    }

    /// Sends further pieces until the output is full or the message at its end.
    fn go_on(&mut self, mut open: Open, out: &mut Vec<u8>) -> Progress {
        let mut piece = piece_buffer(&*open.message, open.position);
        loop {
            if out.len() >= HIGH_WATER_OCTETS {
                self.open = Some(open);
                return Progress::More;
            }
            let read = match open.message.read_at(open.position, &mut piece) {
                Ok(read) => read,
                Err(error) => {
                    tracing::debug!(uid = %self.uid, %error, "message_cut_off");
                    return Progress::Broken;
                }
            };
            open.position += read as u64;
            let octets = piece.get(..read).unwrap_or_default();
            if read == 0 || !open.encoder.push(octets, out) {
                open.encoder.finish(out);
                return Progress::Done;
            }
        }
    }
}

/// A buffer for the next piece, of one octet at least, so that the end of the message is seen.
fn piece_buffer(message: &dyn Message, position: u64) -> Vec<u8> {
    let left = message.stored_octets().saturating_sub(position);
    let octets = usize::try_from(left).unwrap_or(PIECE_OCTETS);
    vec![0; octets.clamp(1, PIECE_OCTETS)]
}

/// True if all octets up to the first empty line are ASCII.
fn has_ascii_header(message: &mut dyn Message) -> Result<bool, Error> {
    let mut piece = piece_buffer(message, 0);
    let mut position = 0;
    let mut line_is_empty = true;
    loop {
        let read = message.read_at(position, &mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        for octet in piece.iter().take(read) {
            match octet {
                b'\n' if line_is_empty => return Ok(true),
                b'\n' => line_is_empty = true,
                b'\r' => {}
                0x80.. => return Ok(false),
                _ => line_is_empty = false,
            }
        }
        position += read as u64;
    }
}

/// What the client hears when the store could not do something with a message.
pub(super) fn refusal(error: &Error, number: MessageNumber) -> Reply {
    match error {
        Error::Expunged => Reply::err(Text::Gone).about(number),
        Error::Corrupt | Error::Cannot(_) => {
            Reply::coded(Code::SysPerm, Text::Unreadable).about(number)
        }
        error => store_refusal(error),
    }
}

/// What the client hears when the store could not do something: `[SYS/PERM]` where somebody must look at it, else `[SYS/TEMP]`.
pub(crate) const fn store_refusal(error: &Error) -> Reply {
    match error {
        Error::Corrupt | Error::Damaged(_) | Error::NoPermission | Error::Cannot(_) => {
            Reply::coded(Code::SysPerm, Text::Damaged)
        }
        Error::NonExistent
        | Error::AlreadyExists
        | Error::InUse(_)
        | Error::Limit(_)
        | Error::NoSpace
        | Error::Expunged
        | Error::Unavailable => Reply::coded(Code::SysTemp, Text::StorageUnavailable),
    }
}
