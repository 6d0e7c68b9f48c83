//! What a FETCH needs for each message, found once.

use crate::imap::types::fetch::{FetchItem, Section, SectionText};
use crate::mailbox::backend::Extent;

/// The items of a FETCH, and what they ask for.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent needs, each asked for alone"
)]
pub(super) struct Plan {
    /// In the order in which they are answered: UID first, MODSEQ behind FLAGS.
    pub(super) items: Vec<FetchItem>,
    /// MODSEQ is among them.
    pub(super) mod_seq: bool,
    /// RFC822.SIZE is among them.
    pub(super) size: bool,
    /// INTERNALDATE is among them.
    pub(super) date: bool,
    /// SAVEDATE is among them.
    pub(super) save_date: bool,
    /// EMAILID, or THREADID, for which that of some messages stands, is among them.
    pub(super) email_id: bool,
    /// THREADID is among them.
    pub(super) thread_id: bool,
    /// ENVELOPE is among them.
    pub(super) envelope: bool,
    /// The structure is needed.
    pub(super) structure: bool,
    /// The message must be opened.
    pub(super) file: bool,
    /// `\Seen` is to be set.
    pub(super) sets_seen: bool,
    /// Other commands about the same message are likely to follow: it asks for parts or windows.
    pub(super) comes_again: bool,
    /// The whole message is sent.
    pub(super) whole: bool,
    /// Nothing else of it is needed.
    pub(super) only_whole: bool,
    /// Messages that were read can be answered without touching the disk.
    pub(super) may_be_ready: bool,
    /// How much of a message must be read, if it must be opened.
    pub(super) extent: Extent,
}

impl Plan {
    /// Finds what items need; `uid`: UID is answered whether asked for or not (RFC 9051 §6.4.9).
    pub(super) fn new(mut items: Vec<FetchItem>, uid: bool, read_only: bool) -> Self {
        let asks_uid = items.contains(&FetchItem::Uid);
        let mod_seq = items.contains(&FetchItem::ModSeq);
        items.retain(|item| !matches!(item, FetchItem::Uid | FetchItem::ModSeq));
        if mod_seq {
            let after_flags = items.iter().position(|item| *item == FetchItem::Flags);
            items.insert(after_flags.map_or(0, |at| at + 1), FetchItem::ModSeq);
        }
        if uid || asks_uid {
            items.insert(0, FetchItem::Uid);
        }
        let any = |what: fn(&FetchItem) -> bool| items.iter().any(what);
        let only_whole = items.iter().all(|item| is_whole(item) || !needs_file(item));
        let looks_up = any(|item| matches!(item, FetchItem::SaveDate | FetchItem::EmailId));
        let sets_seen = !read_only && any(sets_seen);
        Self {
            may_be_ready: only_whole && !looks_up && !sets_seen,
            mod_seq,
            size: any(|item| *item == FetchItem::Rfc822Size),
            date: any(|item| *item == FetchItem::InternalDate),
            save_date: any(|item| *item == FetchItem::SaveDate),
            email_id: any(|item| matches!(item, FetchItem::EmailId | FetchItem::ThreadId)),
            thread_id: any(|item| *item == FetchItem::ThreadId),
            envelope: any(|item| *item == FetchItem::Envelope),
            structure: any(|item| matches!(item, FetchItem::Body | FetchItem::BodyStructure)),
            file: any(needs_file),
            sets_seen,
            comes_again: any(comes_again),
            whole: any(is_whole),
            extent: if any(needs_body) {
                Extent::Small
            } else {
                Extent::Header
            },
            only_whole,
            items,
        }
    }
}

const fn needs_file(item: &FetchItem) -> bool {
    !matches!(
        item,
        FetchItem::Uid
            | FetchItem::Flags
            | FetchItem::ModSeq
            | FetchItem::Rfc822Size
            | FetchItem::InternalDate
            | FetchItem::SaveDate
            | FetchItem::EmailId
    )
}

/// True for items that need more of the file than its header.
fn needs_body(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope | FetchItem::ThreadId | FetchItem::Rfc822Header => false,
        FetchItem::BodySection { section, .. } => {
            let is_of_header = matches!(
                section.text,
                SectionText::Header
                    | SectionText::HeaderFields(_)
                    | SectionText::HeaderFieldsNot(_)
            );
            !is_of_header || !section.part.is_empty()
        }
        item => needs_file(item),
    }
}

/// RFC 9051 §6.4.5: BODY[…] and BINARY[…] without `.PEEK`; RFC 3501 §6.4.5: RFC822 and RFC822.TEXT.
const fn sets_seen(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::BodySection { peek: false, .. }
            | FetchItem::Binary { peek: false, .. }
            | FetchItem::Rfc822
            | FetchItem::Rfc822Text
    )
}

const fn comes_again(item: &FetchItem) -> bool {
    match item {
        FetchItem::BodySection {
            window: Some(_), ..
        }
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize { .. }
        | FetchItem::BodyStructure => true,
        FetchItem::BodySection {
            section: Section { part, text },
            ..
        } => !part.is_empty() || matches!(text, SectionText::Text),
        _ => false,
    }
}

/// True for items whose value is sent by an answer made for it.
pub(super) const fn has_octets(item: &FetchItem) -> bool {
    needs_file(item)
        && !matches!(
            item,
            FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure | FetchItem::ThreadId
        )
}

/// True for items that are the whole message, from its first octet to its last.
pub(super) fn is_whole(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822 => true,
        FetchItem::BodySection {
            section,
            window: None,
            ..
        } => *section == Section::default(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse;
    use crate::imap::types::command::CommandBody;

    #[test]
    fn bodies_are_read_only_where_they_are_needed() {
        for (items, extent) in [
            ("BODY.PEEK[HEADER]", Extent::Header),
            ("(UID FLAGS RFC822.HEADER ENVELOPE)", Extent::Header),
            ("BODY.PEEK[HEADER.FIELDS (Subject)]<0.5>", Extent::Header),
            (
                "(BODY.PEEK[HEADER.FIELDS.NOT (To)] THREADID)",
                Extent::Header,
            ),
            (
                "(RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])",
                Extent::Header,
            ),
            ("BODY.PEEK[1.HEADER]", Extent::Small),
            ("(BODY.PEEK[HEADER] BODY.PEEK[TEXT])", Extent::Small),
            ("BODY.PEEK[]<0.100>", Extent::Small),
            ("(ENVELOPE BODYSTRUCTURE)", Extent::Small),
            ("BINARY.SIZE[1]", Extent::Small),
            ("RFC822", Extent::Small),
        ] {
            let command = parse::command(format!("a FETCH 1 {items}\r\n").as_bytes()).unwrap();
            let CommandBody::Fetch { items: parsed, .. } = command.body else {
                panic!("{items}")
            };
            let plan = Plan::new(parsed, false, true);
            assert!(plan.file, "{items}");
            assert_eq!(plan.extent, extent, "{items}");
        }
    }
}
