//! The maildrop as it was at login: which message has which number, its size, and whether it is marked as deleted.
//!
//! Numbers never change in a session (RFC 1939 §5). A message that somebody else removed keeps its number, and is passed over in
//! listings once that is known.

use super::types::MessageNumber;
use crate::mailbox::backend::Mailbox;
use crate::mailbox::id::{Uid, UidValidity};

/// What is known of a message's being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is there.
    None,
    /// The client has sent DELE.
    Deleted,
    /// Somebody else has removed it.
    Gone,
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its UID.
    pub(crate) uid: Uid,
    /// Octets as they are sent, without doubled dots and without what ends the answer: with a message that lacks its last line
    /// end, that is the CRLF of the `CRLF.CRLF` of RFC 1939 §3. None: not known yet.
    pub(crate) octets: Option<u64>,
    /// Whether it is there.
    pub(crate) mark: Mark,
}

/// The messages of a session, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Maildrop {
    uid_validity: UidValidity,
    entries: Vec<Entry>,
}

impl Maildrop {
    /// Takes down what there is: by stored order where another server left one, then by UID.
    pub(crate) fn take_down(mailbox: &dyn Mailbox) -> Self {
        let (uid_validity, mut entries) = {
            let messages = mailbox.read();
            let entry = |(at, uid): (usize, &Uid)| Entry {
                uid: *uid,
                octets: messages.size_at(at),
                mark: Mark::None,
            };
            let entries: Vec<Entry> = messages.uids().iter().enumerate().map(entry).collect();
            (messages.uid_validity(), entries)
        };
        entries.sort_by_cached_key(|entry| {
            let order = mailbox.pop3_order(entry.uid);
            (order.is_none(), order, entry.uid)
        });
        Self {
            uid_validity,
            entries,
        }
    }

    /// UIDVALIDITY of the mailbox.
    pub(crate) const fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// The message of a number.
    pub(crate) fn entry(&self, number: MessageNumber) -> Option<&Entry> {
        self.entries.get(number.index()?)
    }

    /// Changes the message of a number.
    pub(crate) fn entry_mut(&mut self, number: MessageNumber) -> Option<&mut Entry> {
        self.entries.get_mut(number.index()?)
    }

    /// All messages, with any mark.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Numbers of the messages without mark, from a position counted from zero on.
    pub(crate) fn listed(&self, from: usize) -> impl Iterator<Item = (MessageNumber, &Entry)> {
        let entries = self.entries.iter().enumerate().skip(from);
        entries
            .filter(|(_, entry)| entry.mark == Mark::None)
            .map(|(index, entry)| (MessageNumber::at(index), entry))
    }

    /// Messages without mark, and their octets as far as they are known.
    pub(crate) fn totals(&self) -> [u64; 2] {
        self.listed(0)
            .fold([0, 0], |[messages, octets], (_, entry)| {
                [
                    messages + 1,
                    octets.saturating_add(entry.octets.unwrap_or(0)),
                ]
            })
    }

    /// Messages, from a position on, of which the size is still to be found out.
    pub(crate) fn unmeasured(&self, from: usize) -> impl Iterator<Item = MessageNumber> {
        self.listed(from)
            .filter(|(_, entry)| entry.octets.is_none())
            .map(|(number, _)| number)
    }

    /// Messages marked as deleted.
    pub(crate) fn deleted(&self) -> impl Iterator<Item = Uid> {
        self.entries
            .iter()
            .filter(|entry| entry.mark == Mark::Deleted)
            .map(|entry| entry.uid)
    }

    /// Takes all marks of DELE away.
    pub(crate) fn reset(&mut self) {
        for entry in &mut self.entries {
            if entry.mark == Mark::Deleted {
                entry.mark = Mark::None;
            }
        }
    }
}
