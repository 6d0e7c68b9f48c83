//! Encodings of mail and of the wire: base64, modified UTF-7, quoted-printable, encoded words, charsets, dates, numbers. Pure.
//!
//! Strict where a peer must say what it means (SASL, mailbox names), tolerant where the octets come from mail: there a decoder never
//! fails and gives what can be read.

pub(crate) mod base64;
pub(crate) mod charset;
pub(crate) mod date;
pub(crate) mod decimal;
pub(crate) mod encoded_word;
pub(crate) mod escape;
pub(crate) mod net_unicode;
pub(crate) mod object_id;
pub(crate) mod quoted_printable;
pub(crate) mod utf7;
