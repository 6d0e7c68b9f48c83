//! A response of FETCH on its way to the client.

use super::ahead::{Next, Read};
use super::flag_list;
use super::parts::Parts;
use super::plan::Plan;
use super::section::{Answer, Transfer};
use crate::imap::commands::object_ids::{email_id, thread_id};
use crate::imap::commands::open_message::OpenMessage;
use crate::imap::encode::fetch::FetchWriter;
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::fetch::FetchItem;
use crate::mailbox::backend::{self, Mailbox};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::protocol::{HIGH_WATER_OCTETS, Output};

/// A response in progress. All that can fail has been read, octets of literals apart.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) seq_num: SeqNum,
    pub(super) uid: Uid,
    pub(super) flags: Flags,
    pub(super) mod_seq: ModSeq,
    /// As known, or as counted if the whole message is sent.
    size: Option<u64>,
    date: i64,
    /// SAVEDATE
    save_date: i64,
    /// EMAILID
    email_id: String,
    /// THREADID
    thread_id: String,
    pub(super) parts: Parts,
    /// How many items are written.
    pub(super) written: usize,
    transfer: Option<Transfer>,
}

/// How far the octets of a literal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All were sent, or none were to be sent.
    All,
    /// There are more.
    Some,
}

/// What follows after an item was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Following {
    /// The next item.
    Item,
    /// The octets of this one.
    Octets,
    /// The next item: this one has no value.
    UnknownEncoding,
}

impl Response {
    /// Reads what must be known of a message before the first octet of its response goes out.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn prepare(
        plan: &Plan,
        next: Next,
        selected: &mut Selected,
    ) -> backend::Result<Self> {
        let Next { seq_num, uid, read } = next;
        let parts = match read {
            Read::Made(parts) => parts?,
            Read::Failed(error) => return Err(error),
            Read::Left if plan.file => Parts::of_message(plan, open(selected, uid)?)?,
            Read::Left => Parts::default(),
        };
        let mailbox = &*selected.mailbox;
        let (flags, mod_seq, known) = {
            let messages = mailbox.read();
            let position = messages.position(uid).ok_or(backend::Error::Expunged)?;
            (
                messages.flags_at(position),
                messages.mod_seq_at(position),
                messages.size_at(position),
            )
        };
        let size = match parts.octets.or(known) {
            None if plan.size => Some(mailbox.size(uid)?),
            size => size,
        };
        if let Some(counted) = parts.octets.filter(|counted| known != Some(*counted)) {
            mailbox.write().set_size(uid, counted);
        }
        let mut response = Self {
            seq_num,
            uid,
            flags,
            mod_seq,
            size,
            date: parts.date.unwrap_or_default(),
            save_date: 0,
            email_id: String::new(),
            thread_id: String::new(),
            parts,
            written: 0,
            transfer: None,
        };
        response.look_up(plan, mailbox)?;
        Ok(response)
    }

    /// Finds out what is not in the message's octets.
    fn look_up(&mut self, plan: &Plan, mailbox: &dyn Mailbox) -> backend::Result<()> {
        if plan.date && self.parts.date.is_none() {
            self.date = mailbox.internal_date(self.uid)?;
        }
        if plan.save_date {
            self.save_date = mailbox.save_date(self.uid)?;
        }
        if plan.email_id {
            self.email_id = email_id(mailbox, self.uid)?;
        }
        if let Some(message) = self.parts.message.as_mut().filter(|_| plan.thread_id) {
            self.thread_id = thread_id(message.header()?, &self.email_id);
        }
        Ok(())
    }

    /// Sends the next octets of a literal, if one has begun.
    pub(super) fn send(
        &mut self,
        scratch: &mut Vec<u8>,
        out: &mut Output,
    ) -> backend::Result<Sent> {
        let Some(transfer) = &mut self.transfer else {
            return Ok(Sent::All);
        };
        let mut message = self.parts.message.as_deref_mut();
        while transfer.left() > 0 {
            if out.len() >= HIGH_WATER_OCTETS {
                return Ok(Sent::Some);
            }
            transfer.advance(message.as_deref_mut(), scratch, out)?;
        }
        self.transfer = None;
        Ok(Sent::All)
    }

    /// Writes an item; one with octets up to those.
    pub(super) fn item(
        &mut self,
        item: &FetchItem,
        selected: &Selected,
        dialect: Dialect,
        writer: &mut FetchWriter<'_>,
    ) -> Following {
        let utf8 = dialect.is_utf8();
        let message = self.parts.message.as_ref();
        let structure = message.and_then(|message| message.parsed());
        match (item, structure) {
            (FetchItem::Uid, _) => writer.uid(self.uid),
            (FetchItem::Flags, _) => {
                let messages = selected.mailbox.read();
                writer.flags(flag_list(
                    self.flags, self.uid, &messages, selected, dialect,
                ));
            }
            (FetchItem::ModSeq, _) => writer.mod_seq(self.mod_seq),
            (FetchItem::InternalDate, _) => writer.internal_date(self.date),
            (FetchItem::SaveDate, _) => writer.save_date(self.save_date),
            (FetchItem::EmailId, _) => writer.email_id(&self.email_id),
            (FetchItem::ThreadId, _) => writer.thread_id(&self.thread_id),
            (FetchItem::Rfc822Size, _) => writer.rfc822_size(self.size.unwrap_or_default()),
            (FetchItem::Envelope, _) => writer.envelope(&self.parts.envelope, utf8),
            (FetchItem::Body, Some(structure)) => writer.structure(structure, false, utf8),
            (FetchItem::BodyStructure, Some(structure)) => writer.structure(structure, true, utf8),
            (item, _) => return self.octets_item(item, writer),
        }
        Following::Item
    }

    /// Writes the beginning of an item that has octets.
    fn octets_item(&mut self, item: &FetchItem, writer: &mut FetchWriter<'_>) -> Following {
        writer.item(item);
        match self.parts.answers.pop_front().unwrap_or(Answer::Nil) {
            Answer::Nil => writer.nil(),
            Answer::UnknownEncoding => {
                if matches!(item, FetchItem::BinarySize { .. }) {
                    writer.number(0);
                } else {
                    writer.nil();
                }
                return Following::UnknownEncoding;
            }
            Answer::Number(number) => writer.number(number),
            Answer::Octets(transfer) => {
                if transfer.has_nul() {
                    writer.literal8(transfer.left());
                } else {
                    writer.literal(transfer.left());
                }
                self.transfer = Some(transfer);
                return Following::Octets;
            }
        }
        Following::Item
    }
}

/// A message that must be read here: the one that was fetched last may still be open.
fn open(selected: &mut Selected, uid: Uid) -> backend::Result<Box<OpenMessage>> {
    match selected.last_message.take(uid) {
        Some(kept) => Ok(kept),
        None => Ok(Box::new(OpenMessage::open(&*selected.mailbox, uid)?)),
    }
}
