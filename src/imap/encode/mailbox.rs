//! Responses about mailboxes: LIST, STATUS, NAMESPACE, SEARCH (RFC 9051 §7.3).

use super::core::{push_astring, push_joined, push_list, push_ranges, push_string};
use crate::encoding::decimal::push_number;
use crate::imap::types::core::Tag;
use crate::imap::types::list::{ListAttribute, StatusItem, StatusValue};
use crate::imap::types::response::{ContextUpdate, ESearch, ListEntry};
use crate::imap::types::sequence::PartialRange;
use crate::mailbox::id::{ModSeq, Uid};
use std::ops::RangeInclusive;

/// `LIST` or `LSUB` and `mailbox-list`
pub(super) fn push_list_entry(entry: &ListEntry, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if entry.lsub { b"LSUB " } else { b"LIST " });
    push_list(&entry.attributes, out, |attribute, out| {
        out.extend_from_slice(attribute_name(*attribute).as_bytes());
    });
    out.push(b' ');
    match entry.delimiter {
        Some(delimiter) => push_delimiter(delimiter, utf8, out),
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    push_astring(&entry.mailbox, utf8, out);
    if !entry.child_info_subscribed && entry.old_name.is_none() {
        return;
    }
    out.extend_from_slice(b" (");
    if entry.child_info_subscribed {
        out.extend_from_slice(b"\"CHILDINFO\" (\"SUBSCRIBED\")");
    }
    if let Some(old_name) = &entry.old_name {
        if entry.child_info_subscribed {
            out.push(b' ');
        }
        out.extend_from_slice(b"\"OLDNAME\" (");
        push_astring(old_name, utf8, out);
        out.push(b')');
    }
    out.push(b')');
}

/// `DQUOTE QUOTED-CHAR DQUOTE`
fn push_delimiter(delimiter: char, utf8: bool, out: &mut Vec<u8>) {
    push_string(delimiter.encode_utf8(&mut [0; 4]).as_bytes(), utf8, out);
}

/// `mbx-list-flags`
const fn attribute_name(attribute: ListAttribute) -> &'static str {
    match attribute {
        ListAttribute::NonExistent => "\\NonExistent",
        ListAttribute::NoAccess => "\\NoAccess",
        ListAttribute::NoSelect => "\\Noselect",
        ListAttribute::NoInferiors => "\\Noinferiors",
        ListAttribute::HasChildren => "\\HasChildren",
        ListAttribute::HasNoChildren => "\\HasNoChildren",
        ListAttribute::Marked => "\\Marked",
        ListAttribute::Unmarked => "\\Unmarked",
        ListAttribute::Subscribed => "\\Subscribed",
        ListAttribute::Remote => "\\Remote",
        ListAttribute::SpecialUse(special_use) => special_use.as_str(),
    }
}

/// `namespace-response`: one personal namespace, no others
pub(super) fn push_namespace(prefix: &[u8], delimiter: char, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"NAMESPACE ((");
    push_string(prefix, utf8, out);
    out.push(b' ');
    push_delimiter(delimiter, utf8, out);
    out.extend_from_slice(b")) NIL NIL");
}

/// `"STATUS" SP mailbox SP "(" [status-att-list] ")"`
pub(super) fn push_status(
    mailbox: &[u8],
    items: &[(StatusItem, StatusValue)],
    utf8: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"STATUS ");
    push_astring(mailbox, utf8, out);
    out.push(b' ');
    push_list(items, out, |(item, value), out| {
        out.extend_from_slice(status_name(*item));
        out.push(b' ');
        match value {
            StatusValue::Number(number) => push_number(*number, out),
            StatusValue::ObjectId(id) => {
                out.push(b'(');
                out.extend_from_slice(id.as_bytes());
                out.push(b')');
            }
        }
    });
}

/// `status-att`
const fn status_name(item: StatusItem) -> &'static [u8] {
    match item {
        StatusItem::Messages => b"MESSAGES",
        StatusItem::Recent => b"RECENT",
        StatusItem::UidNext => b"UIDNEXT",
        StatusItem::UidValidity => b"UIDVALIDITY",
        StatusItem::Unseen => b"UNSEEN",
        StatusItem::Deleted => b"DELETED",
        StatusItem::Size => b"SIZE",
        StatusItem::AppendLimit => b"APPENDLIMIT",
        StatusItem::HighestModSeq => b"HIGHESTMODSEQ",
        StatusItem::MailboxId => b"MAILBOXID",
    }
}

/// `"SEARCH" [1*(SP nz-number) SP search-sort-mod-seq]` (RFC 7162 §7)
pub(super) fn push_search(numbers: &[u32], mod_seq: Option<ModSeq>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"SEARCH");
    for number in numbers {
        out.push(b' ');
        push_number((*number).into(), out);
    }
    if let Some(mod_seq) = mod_seq {
        out.extend_from_slice(b" (MODSEQ ");
        push_number(mod_seq.0, out);
        out.push(b')');
    }
}

/// `esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)`
pub(super) fn push_esearch(result: &ESearch, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ESEARCH");
    if let Some(tag) = &result.tag {
        push_correlator(tag, out);
    }
    if result.uid {
        out.extend_from_slice(b" UID");
    }
    for (name, value) in [
        (&b" MIN "[..], result.min),
        (b" MAX ", result.max),
        (b" COUNT ", result.count),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(name);
            push_number(value.into(), out);
        }
    }
    if !result.all.is_empty() {
        out.extend_from_slice(b" ALL ");
        push_ranges(result.all.iter().cloned(), out);
    }
    if let Some(mod_seq) = result.mod_seq {
        out.extend_from_slice(b" MODSEQ ");
        push_number(mod_seq.0, out);
    }
    if let Some((window, within)) = &result.partial {
        push_partial(*window, within, out);
    }
}

/// `ret-data-partial = "PARTIAL" SP "(" partial-range SP (sequence-set / "NIL") ")"` (RFC 9394 §4)
fn push_partial(window: PartialRange, within: &[RangeInclusive<u32>], out: &mut Vec<u8>) {
    let sign: &[u8] = if window.from_end { b"-" } else { b"" };
    out.extend_from_slice(b" PARTIAL (");
    out.extend_from_slice(sign);
    push_number(window.first.get().into(), out);
    out.push(b':');
    out.extend_from_slice(sign);
    push_number(window.last.get().into(), out);
    out.push(b' ');
    if within.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        push_ranges(within.iter().cloned(), out);
    }
    out.push(b')');
}

/// `search-correlator = SP "(" "TAG" SP tag-string ")"`
fn push_correlator(tag: &Tag, out: &mut Vec<u8>) {
    out.extend_from_slice(b" (TAG ");
    push_string(tag.as_str().as_bytes(), false, out);
    out.push(b')');
}

/// `uidbatches-response = "UIDBATCHES" search-correlator [SP uid-range *("," uid-range)]` (RFC 10022 §4)
pub(super) fn push_uid_batches(tag: &Tag, batches: &[(Uid, Uid)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"UIDBATCHES");
    push_correlator(tag, out);
    if !batches.is_empty() {
        out.push(b' ');
    }
    push_joined(batches, b",", out, |(high, low), out| {
        push_number(high.value().into(), out);
        out.push(b':');
        push_number(low.value().into(), out);
    });
}

/// ESEARCH with `ret-data-removefrom` and `ret-data-addto` (RFC 5267 §5)
pub(super) fn push_context_update(update: &ContextUpdate, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ESEARCH");
    push_correlator(&update.tag, out);
    if update.uid {
        out.extend_from_slice(b" UID");
    }
    for (name, pairs) in [
        (&b" REMOVEFROM "[..], &update.removed),
        (b" ADDTO ", &update.added),
    ] {
        if pairs.is_empty() {
            continue;
        }
        out.extend_from_slice(name);
        push_list(pairs, out, |pair, out| {
            push_number(pair.position.into(), out);
            out.push(b' ');
            push_ranges(pair.messages.iter().cloned(), out);
        });
    }
}
