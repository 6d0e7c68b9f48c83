//! Responses to octets. The only code that formats IMAP.
//!
//! Whatever the values, what comes out is legal by RFC 9051 §9: strings that cannot be quoted become literals, texts are ASCII, octets above
//! 127 stand in quoted strings only if the client has agreed to that.

mod core;
pub(crate) mod fetch;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(any(test, fuzzing))]
pub(crate) mod grammar;
mod mailbox;
mod status;
pub(crate) mod structure;

use self::core::{push_joined, push_list, push_ranges, push_string};
use super::types::response::{Tagged, Untagged};
use crate::encoding::decimal::push_number;

/// Appends an untagged response. `utf8`: 8-bit octets may stand in quoted strings (UTF8=ACCEPT or IMAP4rev2 was enabled).
pub(crate) fn untagged(response: &Untagged, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    match response {
        Untagged::Status(condition, text) => status::push_condition(*condition, text, out),
        Untagged::Bye(text) => {
            out.extend_from_slice(b"BYE ");
            status::push_text(text, out);
        }
        Untagged::Capability(capabilities) => {
            out.extend_from_slice(b"CAPABILITY ");
            status::push_capabilities(capabilities, out);
        }
        Untagged::Enabled(names) => {
            out.extend_from_slice(b"ENABLED");
            for name in names {
                out.push(b' ');
                out.extend_from_slice(name.as_bytes());
            }
        }
        Untagged::List(entry) => mailbox::push_list_entry(entry, utf8, out),
        Untagged::Namespace { prefix, delimiter } => {
            mailbox::push_namespace(prefix, *delimiter, utf8, out);
        }
        Untagged::MailboxStatus { mailbox, items } => {
            mailbox::push_status(mailbox, items, utf8, out);
        }
        Untagged::Flags(flags) => {
            out.extend_from_slice(b"FLAGS ");
            push_list(flags, out, |flag, out| {
                out.extend_from_slice(flag.as_bytes())
            });
        }
        Untagged::Search(numbers, mod_seq) => mailbox::push_search(numbers, *mod_seq, out),
        Untagged::ESearch(result) => mailbox::push_esearch(result, out),
        Untagged::ContextUpdate(update) => mailbox::push_context_update(update, out),
        Untagged::UidBatches { tag, batches } => mailbox::push_uid_batches(tag, batches, out),
        Untagged::Exists(messages) => push_numbered(*messages, b" EXISTS", out),
        Untagged::Recent(messages) => push_numbered(*messages, b" RECENT", out),
        Untagged::Expunge(seq_num) => push_numbered(seq_num.value(), b" EXPUNGE", out),
        Untagged::Vanished { earlier, uids } => {
            out.extend_from_slice(if *earlier {
                b"VANISHED (EARLIER) "
            } else {
                b"VANISHED "
            });
            push_ranges(uids.iter().cloned(), out);
        }
        Untagged::Id(fields) => push_id(fields, utf8, out),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a command.
pub(crate) fn tagged(response: &Tagged, out: &mut Vec<u8>) {
    out.extend_from_slice(response.tag.as_str().as_bytes());
    out.push(b' ');
    status::push_condition(response.condition, &response.text, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a continuation request: `+ text`. For a SASL challenge the text is its base64, which may be empty.
pub(crate) fn continuation(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"+ ");
    if !text.is_empty() {
        status::push_plain(text, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// `number SP word`
fn push_numbered(number: u32, word: &[u8], out: &mut Vec<u8>) {
    push_number(number.into(), out);
    out.extend_from_slice(word);
}

/// `id-response = "ID" SP id-params-list` (RFC 2971 §4)
fn push_id(fields: &[(&'static str, String)], utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ID ");
    if fields.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    push_joined(fields, b" ", out, |(name, value), out| {
        push_string(name.as_bytes(), utf8, out);
        out.push(b' ');
        push_string(value.as_bytes(), utf8, out);
    });
    out.push(b')');
}

#[cfg(test)]
mod tests;
