//! FETCH responses, written item by item (RFC 9051 §7.5.2).
//!
//! Nothing is allocated for flags, UIDs and sizes. Literals are announced here and sent by the caller, who may do so in pieces and go
//! on with [`FetchWriter::resume`].

use super::core::{push_astring, push_list, push_literal_header};
use super::structure::{Form, push_body, push_envelope};
use crate::encoding::date::format_internal;
use crate::encoding::decimal::push_number;
use crate::imap::types::fetch::{FetchItem, Section, SectionText};
use crate::imap::types::response::FlagList;
use crate::imap::types::sequence::OctetWindow;
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::message::envelope::Envelope;
use crate::message::structure::Message;
use std::num::NonZeroU32;

/// What a response calls a message by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageNumber {
    /// Its number: FETCH.
    Seq(SeqNum),
    /// Its UID, once UIDONLY is enabled: UIDFETCH (RFC 9586 §3.3).
    Uid(Uid),
}

impl From<SeqNum> for MessageNumber {
    fn from(seq_num: SeqNum) -> Self {
        Self::Seq(seq_num)
    }
}

/// Writes one FETCH or UIDFETCH response; ended by [`FetchWriter::finish`].
#[derive(Debug)]
pub(crate) struct FetchWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Nothing stands after the parenthesis yet.
    empty: bool,
}

impl<'a> FetchWriter<'a> {
    /// Begins `* n FETCH (` or `* uid UIDFETCH (`.
    pub(crate) fn new(number: impl Into<MessageNumber>, out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"* ");
        match number.into() {
            MessageNumber::Seq(seq_num) => {
                push_number(seq_num.value().into(), out);
                out.extend_from_slice(b" FETCH (");
            }
            MessageNumber::Uid(uid) => {
                push_number(uid.value().into(), out);
                out.extend_from_slice(b" UIDFETCH (");
            }
        }
        Self { out, empty: true }
    }

    /// Goes on with a response that has at least one item.
    pub(crate) const fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out, empty: false }
    }

    /// `UID n`
    pub(crate) fn uid(&mut self, uid: Uid) {
        self.name(b"UID ");
        push_number(uid.value().into(), self.out);
    }

    /// `FLAGS (…)`
    pub(crate) fn flags(&mut self, list: FlagList<'_>) {
        self.name(b"FLAGS ");
        let system = list.system_flags().map(|flag| flag.as_str());
        let recent = list.recent.then_some("\\Recent");
        let keywords = list
            .flags
            .keyword_indexes()
            .filter_map(|index| Some(list.keywords.keyword(index)?.as_str()));
        let all = system.chain(recent).chain(keywords);
        push_list(all, self.out, |flag, out| {
            out.extend_from_slice(flag.as_bytes())
        });
    }

    /// `MODSEQ (n)`
    pub(crate) fn mod_seq(&mut self, mod_seq: ModSeq) {
        self.name(b"MODSEQ (");
        push_number(mod_seq.0, self.out);
        self.out.push(b')');
    }

    /// `INTERNALDATE date-time`, from seconds since 1970
    pub(crate) fn internal_date(&mut self, date: i64) {
        self.name(b"INTERNALDATE \"");
        self.out.extend_from_slice(format_internal(date).as_bytes());
        self.out.push(b'"');
    }

    /// `SAVEDATE date-time`, from seconds since 1970 (RFC 8514 §5)
    pub(crate) fn save_date(&mut self, date: i64) {
        self.name(b"SAVEDATE \"");
        self.out.extend_from_slice(format_internal(date).as_bytes());
        self.out.push(b'"');
    }

    /// `EMAILID (objectid)` (RFC 8474 §7)
    pub(crate) fn email_id(&mut self, id: &str) {
        self.object_id(b"EMAILID (", id);
    }

    /// `THREADID (objectid)` (RFC 8474 §7)
    pub(crate) fn thread_id(&mut self, id: &str) {
        self.object_id(b"THREADID (", id);
    }

    fn object_id(&mut self, name: &[u8], id: &str) {
        self.name(name);
        self.out.extend_from_slice(id.as_bytes());
        self.out.push(b')');
    }

    /// `RFC822.SIZE n`
    pub(crate) fn rfc822_size(&mut self, octets: u64) {
        self.name(b"RFC822.SIZE ");
        push_number(octets, self.out);
    }

    /// `ENVELOPE (…)`
    pub(crate) fn envelope(&mut self, envelope: &Envelope, utf8: bool) {
        self.name(b"ENVELOPE ");
        push_envelope(envelope, utf8, self.out);
    }

    /// `BODY (…)` or `BODYSTRUCTURE (…)`
    pub(crate) fn structure(&mut self, message: &Message, extended: bool, utf8: bool) {
        self.name(if extended {
            b"BODYSTRUCTURE "
        } else {
            b"BODY "
        });
        push_body(&message.root, Form { extended, utf8 }, self.out);
    }

    /// An item that has a name alone, and octets: [`FetchWriter::literal`] or the like must follow. `BODY[HEADER.FIELDS (Subject)]<0>`
    pub(crate) fn item(&mut self, item: &FetchItem) {
        self.name(b"");
        push_item_name(item, self.out);
        self.out.push(b' ');
    }

    /// An item without section, with a value that was made before.
    pub(crate) fn made(&mut self, item: &FetchItem, value: &[u8]) {
        self.name(simple_name(item));
        self.out.push(b' ');
        self.out.extend_from_slice(value);
    }

    /// An item with octets that hold no NUL.
    pub(crate) fn octets(&mut self, item: &FetchItem, octets: &[u8]) {
        self.item(item);
        self.literal(octets.len() as u64);
        self.out.extend_from_slice(octets);
    }

    /// `NIL`, after [`FetchWriter::item`]
    pub(crate) fn nil(&mut self) {
        self.out.extend_from_slice(b"NIL");
    }

    /// A number, after [`FetchWriter::item`]
    pub(crate) fn number(&mut self, number: u64) {
        push_number(number, self.out);
    }

    /// `{n}`, after [`FetchWriter::item`]; exactly so many octets without NUL must be appended next. `{0}` if there are none: getmail 6 and
    /// OfflineIMAP, which read by Python's imaplib, stumble over `""`.
    pub(crate) fn literal(&mut self, octets: u64) {
        push_literal_header(octets, self.out);
    }

    /// `~{n}`, after [`FetchWriter::item`]; exactly so many octets must be appended next (RFC 3516 §7).
    pub(crate) fn literal8(&mut self, octets: u64) {
        self.out.push(b'~');
        push_literal_header(octets, self.out);
    }

    /// `)` and the line end.
    pub(crate) fn finish(self) {
        self.out.extend_from_slice(b")\r\n");
    }

    /// The separator and the beginning of an item.
    fn name(&mut self, name: &[u8]) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b' ');
        }
        self.out.extend_from_slice(name);
    }
}

/// The name by which an item is told; without `.PEEK`, and of a window only where it begins.
fn push_item_name(item: &FetchItem, out: &mut Vec<u8>) {
    let window = match item {
        FetchItem::BodySection {
            section, window, ..
        } => {
            out.extend_from_slice(b"BODY[");
            push_section(section, out);
            out.push(b']');
            window.as_ref()
        }
        FetchItem::Binary { part, window, .. } => {
            out.extend_from_slice(b"BINARY[");
            push_part(part, out);
            out.push(b']');
            window.as_ref()
        }
        FetchItem::BinarySize { part } => {
            out.extend_from_slice(b"BINARY.SIZE[");
            push_part(part, out);
            out.push(b']');
            None
        }
        other => {
            out.extend_from_slice(simple_name(other));
            None
        }
    };
    if let Some(OctetWindow { origin, .. }) = window {
        out.push(b'<');
        push_number(*origin, out);
        out.push(b'>');
    }
}

/// Names without sections.
const fn simple_name(item: &FetchItem) -> &'static [u8] {
    match item {
        FetchItem::Uid => b"UID",
        FetchItem::Flags => b"FLAGS",
        FetchItem::ModSeq => b"MODSEQ",
        FetchItem::InternalDate => b"INTERNALDATE",
        FetchItem::SaveDate => b"SAVEDATE",
        FetchItem::EmailId => b"EMAILID",
        FetchItem::ThreadId => b"THREADID",
        FetchItem::Rfc822Size => b"RFC822.SIZE",
        FetchItem::Envelope => b"ENVELOPE",
        FetchItem::Body | FetchItem::BodySection { .. } => b"BODY",
        FetchItem::BodyStructure => b"BODYSTRUCTURE",
        FetchItem::Rfc822 => b"RFC822",
        FetchItem::Rfc822Header => b"RFC822.HEADER",
        FetchItem::Rfc822Text => b"RFC822.TEXT",
        FetchItem::Binary { .. } => b"BINARY",
        FetchItem::BinarySize { .. } => b"BINARY.SIZE",
    }
}

/// `section-part = nz-number *("." nz-number)`
fn push_part(part: &[NonZeroU32], out: &mut Vec<u8>) {
    super::core::push_joined(part, b".", out, |number, out| {
        push_number(number.get().into(), out);
    });
}

/// `section-spec`
fn push_section(section: &Section, out: &mut Vec<u8>) {
    push_part(&section.part, out);
    if !section.part.is_empty() && section.text != SectionText::Whole {
        out.push(b'.');
    }
    let names = match &section.text {
        SectionText::Whole => return,
        SectionText::Header => return out.extend_from_slice(b"HEADER"),
        SectionText::Text => return out.extend_from_slice(b"TEXT"),
        SectionText::Mime => return out.extend_from_slice(b"MIME"),
        SectionText::HeaderFields(names) => {
            out.extend_from_slice(b"HEADER.FIELDS ");
            names
        }
        SectionText::HeaderFieldsNot(names) => {
            out.extend_from_slice(b"HEADER.FIELDS.NOT ");
            names
        }
    };
    push_list(names, out, |name, out| push_astring(name, false, out));
}
