//! Whatever a message holds, its envelope and structure must be told in legal IMAP.

use super::fetch::FetchWriter;
use super::grammar::fetches_as;
use crate::mailbox::id::SeqNum;
use crate::message::envelope::Envelope;
use crate::message::structure::Message;

/// Tells of a message, to clients of both kinds, and reads it strictly.
///
/// # Panics
/// If a client could not read it.
pub(crate) fn structure(message: &[u8]) {
    for utf8 in [false, true] {
        let told = told(message, utf8);
        let read = fetches_as(&told, utf8);
        assert!(
            read.as_ref().is_ok_and(|read| read.len() == 1),
            "{read:?} in {}",
            told.escape_ascii()
        );
    }
}

/// ENVELOPE, BODY and BODYSTRUCTURE of a message.
pub(super) fn told(octets: &[u8], utf8: bool) -> Vec<u8> {
    let message = Message::parse(octets);
    let header = octets.get(message.root.header.clone()).unwrap_or_default();
    let mut out = Vec::new();
    let mut writer = FetchWriter::new(SeqNum::at(0), &mut out);
    writer.envelope(&Envelope::parse(header), utf8);
    writer.structure(&message, false, utf8);
    writer.structure(&message, true, utf8);
    writer.finish();
    out
}
