//! Bodies of the fuzz targets for names and text files of a spool.

use super::filename::{FileName, arrival_order};
use super::folders::Layout;
use super::special_use::SpecialUses;
use super::uidlist::{Edit, UidList};
use super::{keywords, subscriptions};
use crate::mailbox::flag::{Flags, KeywordTable, SystemFlag};
use crate::mailbox::id::UidValidity;

/// Any octets as the name of a file: its base stays whatever flags it gets, and gives no sizes that it does not hold.
///
/// # Panics
/// If something is wrong.
pub(crate) fn filename(octets: &[u8]) {
    let mut table = KeywordTable::default();
    let text = octets
        .split(|octet| *octet == b'\0')
        .next_back()
        .unwrap_or_default();
    keywords::parse_further(text, &mut table);
    let name = octets
        .split(|octet| *octet == b'\0')
        .next()
        .unwrap_or_default();
    assert!(arrival_order(name, name).is_eq());
    let Some(parsed) = FileName::parse(name) else {
        return;
    };
    let flags = parsed.flags(&table);
    let seen = flags.with(SystemFlag::Seen);
    let renamed = parsed.with_flags(seen, &table);
    let again = FileName::parse(&renamed);
    assert_eq!(again.map(|again| again.base), Some(parsed.base));
    assert_eq!(again.and_then(|again| again.size()), parsed.size());
    assert_eq!(
        again.and_then(|again| again.crlf_size()),
        parsed.crlf_size()
    );
    if parsed.info.is_empty() || parsed.info.starts_with(b":2,") {
        assert_eq!(again.map(|again| again.flags(&table)), Some(seen));
    }
    assert_eq!(
        again.map(|again| again.with_flags(seen, &table)),
        Some(renamed.clone())
    );
}

/// Any octets as a UID list: UIDVALIDITY that is known stays, and what is written is read again the same.
///
/// # Panics
/// If something is wrong.
pub(crate) fn uidlist(octets: &[u8]) {
    let known = UidValidity::new(77);
    let Some((list, _)) = UidList::parse(octets.to_vec(), known) else {
        return;
    };
    let printed = list.print(|_| Edit::Keep);
    let again = UidList::parse(printed, None);
    let (again, damage) = again
        .as_ref()
        .map_or((None, None), |(list, damage)| (Some(list), Some(damage)));
    assert_eq!(damage.map(super::uidlist::Damage::any), Some(false));
    assert_eq!(again.map(UidList::uid_validity), Some(list.uid_validity()));
    assert_eq!(again.map(UidList::uid_next), Some(list.uid_next()));
    assert!(again.is_some_and(|again| again.records().eq(list.records())));
    let rising = list
        .records()
        .zip(list.records().skip(1))
        .all(|(one, next)| one.uid < next.uid);
    assert!(rising);
    assert!(
        list.uid_next()
            .is_none_or(|next| list.records().all(|record| record.uid < next))
    );
}

/// Any octets as each of the other text files.
///
/// # Panics
/// If something is wrong.
pub(crate) fn text_formats(octets: &[u8]) {
    keywords::parse_lettered(octets);
    let mut table = KeywordTable::default();
    for flags in keywords::parse_further(octets, &mut table).values() {
        assert!(*flags != Flags::NONE && flags.system().is_empty());
    }
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        for line in subscriptions::lines_of(octets, layout) {
            subscriptions::parse_line(&line);
        }
    }
    let uses = SpecialUses::parse(octets);
    uses.assign([]);
}
