//! RFC 5322 and MIME, pure: header fields, addresses, envelope, structure, sections, line ends, text search.
//!
//! Everything works on the octets as stored, with LF, CRLF or mixed line ends; ranges are offsets into them, sizes and line counts are those
//! of the wire form, where every line ends in CRLF. Nothing here fails: what cannot be understood is passed over, and raw octets stay
//! reachable. Time is linear, memory bounded by the limits in [`limits`].

pub(crate) mod address;
pub(crate) mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod header;
pub(crate) mod limits;
pub(crate) mod lines;
pub(crate) mod mime;
mod scanner;
pub(crate) mod section;
pub(crate) mod structure;
pub(crate) mod text;
pub(crate) mod thread;
mod token;

#[cfg(test)]
#[path = "../../tests/messages/golden.rs"]
mod golden;
