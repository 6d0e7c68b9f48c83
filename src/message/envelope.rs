//! ENVELOPE (RFC 9051 §7.5.2).
//!
//! Where a field may stand once but stands more often, the first counts; lists of addresses are joined.

use super::address::{self, Address};
use super::header::{self, Field};
use super::limits::Budget;

/// The envelope of a message. Texts are unfolded, encoded words as they stand, NUL replaced; none means NIL. Empty lists mean NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Envelope {
    /// Date
    pub(crate) date: Option<Vec<u8>>,
    /// Subject
    pub(crate) subject: Option<Vec<u8>>,
    /// From
    pub(crate) from: Vec<Address>,
    /// Sender, or From
    pub(crate) sender: Vec<Address>,
    /// Reply-To, or From
    pub(crate) reply_to: Vec<Address>,
    /// To
    pub(crate) to: Vec<Address>,
    /// Cc
    pub(crate) cc: Vec<Address>,
    /// Bcc
    pub(crate) bcc: Vec<Address>,
    /// In-Reply-To
    pub(crate) in_reply_to: Option<Vec<u8>>,
    /// Message-ID
    pub(crate) message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// The envelope of a header.
    pub(crate) fn parse(header: &[u8]) -> Self {
        Self::parse_within(header, &mut Budget::default())
    }

    /// The envelope of a header, as far as the limits allow.
    pub(super) fn parse_within(header: &[u8], budget: &mut Budget) -> Self {
        let mut envelope = Self::default();
        for field in header::fields(header) {
            envelope.take(&field, budget);
        }
        if envelope.sender.is_empty() {
            envelope.sender.clone_from(&envelope.from);
        }
        if envelope.reply_to.is_empty() {
            envelope.reply_to.clone_from(&envelope.from);
        }
        envelope
    }

    /// Takes what a field tells.
    fn take(&mut self, field: &Field<'_>, budget: &mut Budget) {
        if let Some(text) = self.text_mut(field.name) {
            if text.is_none() {
                *text = Some(header::unfold(budget.take(field.value)));
            }
        } else if let Some(list) = self.list_mut(field.name) {
            let value = header::unfold(budget.take(field.value));
            let addresses = address::parse(&value, budget.addresses);
            budget.addresses = budget.addresses.saturating_sub(addresses.len());
            list.extend(addresses);
        }
    }

    /// The text that a field of that name fills.
    fn text_mut(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        let texts: [(&[u8], _); 4] = [
            (b"Date", &mut self.date),
            (b"Subject", &mut self.subject),
            (b"In-Reply-To", &mut self.in_reply_to),
            (b"Message-ID", &mut self.message_id),
        ];
        named(texts, name)
    }

    /// The list that a field of that name fills.
    fn list_mut(&mut self, name: &[u8]) -> Option<&mut Vec<Address>> {
        let lists: [(&[u8], _); 6] = [
            (b"From", &mut self.from),
            (b"Sender", &mut self.sender),
            (b"Reply-To", &mut self.reply_to),
            (b"To", &mut self.to),
            (b"Cc", &mut self.cc),
            (b"Bcc", &mut self.bcc),
        ];
        named(lists, name)
    }
}

/// The entry with that name, in any case.
fn named<'n, T>(entries: impl IntoIterator<Item = (&'n [u8], T)>, name: &[u8]) -> Option<T> {
    entries
        .into_iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use super::super::limits::MAX_ADDRESSES;
    use super::*;

    #[test]
    fn missing_and_empty_fields() {
        let envelope = Envelope::parse(b"Subject:\nTo: \nFrom: a@b\nSender: ,\nMessage-ID:  \n\n");
        assert_eq!(envelope.subject.as_deref(), Some(b"".as_slice()));
        assert_eq!(envelope.message_id.as_deref(), Some(b"".as_slice()));
        assert_eq!(envelope.date, None);
        assert_eq!(envelope.in_reply_to, None);
        assert!(envelope.to.is_empty());
        assert_eq!(envelope.from.len(), 1);
        assert_eq!(envelope.sender, envelope.from);
        assert_eq!(envelope.reply_to, envelope.from);
        assert_eq!(Envelope::parse(b""), Envelope::default());
    }

    #[test]
    fn repeated_fields() {
        let envelope = Envelope::parse(b"subject: one\nSubject: two\nto: a@b\nTO: c@d\n\n");
        assert_eq!(envelope.subject.as_deref(), Some(b"one".as_slice()));
        assert_eq!(envelope.to.len(), 2);
    }

    #[test]
    fn addresses_are_limited() {
        let header = [
            b"To: ".as_slice(),
            &b"a@b,".repeat(MAX_ADDRESSES),
            b"\nCc: c@d\n",
        ]
        .concat();
        let envelope = Envelope::parse(&header);
        assert_eq!(envelope.to.len(), MAX_ADDRESSES);
        assert!(envelope.cc.is_empty());
    }
}
