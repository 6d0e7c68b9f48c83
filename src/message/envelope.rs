//! ENVELOPE (RFC 9051 §7.5.2).

use super::address::Address;

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
    pub(crate) fn parse(_header: &[u8]) -> Self {
        Self::default()
    }
}
