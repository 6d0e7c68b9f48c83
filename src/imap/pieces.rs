//! Framer and encoder, for `crate::pieces`.

use super::encode::fetch::FetchWriter;
use super::framer::Framer;
use super::types::response::FlagList;
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, SystemFlag};
use crate::mailbox::id::{SeqNum, Uid};
use crate::message::envelope::Envelope;
use crate::message::structure::Message;

/// Takes a stream of lines in pieces of so many octets; returns how many lines it had.
pub(crate) fn framed(stream: &[u8], piece_octets: usize) -> usize {
    let mut framer = Framer::default();
    let mut lines = 0;
    for piece in stream.chunks(piece_octets) {
        framer.feed(piece);
        while framer.take_line().is_some() {
            framer.release();
            lines += 1;
        }
    }
    lines
}

/// Encodes UID and FLAGS of so many messages.
pub(crate) fn encode_flags(messages: u32, out: &mut Vec<u8>) {
    let mut keywords = KeywordTable::default();
    let keyword = Keyword::new("$label1").and_then(|keyword| keywords.insert(&keyword));
    for (at, uid) in (1..=messages).filter_map(Uid::new).enumerate() {
        let system: Flags = (0..)
            .zip(SystemFlag::ALL)
            .filter_map(|(bit, flag)| (at >> bit & 1 == 1).then_some(flag))
            .collect();
        let flags = keyword.map_or(system, |index| system.with_keyword(index));
        let mut writer = FetchWriter::new(SeqNum::at(at), out);
        writer.uid(uid);
        writer.flags(FlagList {
            flags,
            recent: false,
            keywords: &keywords,
        });
        writer.finish();
    }
}

/// Encodes ENVELOPE of one message.
pub(crate) fn encode_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    let mut writer = FetchWriter::new(SeqNum::at(0), out);
    writer.envelope(envelope, false);
    writer.finish();
}

/// Encodes BODYSTRUCTURE of one message.
pub(crate) fn encode_structure(message: &Message, out: &mut Vec<u8>) {
    let mut writer = FetchWriter::new(SeqNum::at(0), out);
    writer.structure(message, true, false);
    writer.finish();
}
