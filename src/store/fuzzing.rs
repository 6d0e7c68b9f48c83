//! Any octets may stand in the files of a spool and in their names: what is read must print, and read the same again.

use super::compressed::{FIRST_OCTETS, Form, Unreadable};
use super::courier;
use super::filename::{FileName, NameMaker, arrival_order, with_sizes};
use super::folders::Layout;
use super::keywords;
use super::special_use::SpecialUses;
use super::subscriptions;
use super::uidlist::{Edit, NewRecord, UidList};
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, SystemFlag};
use crate::mailbox::id::{Uid, UidValidity};
use std::io;
use std::time::Duration;

/// The first octet chooses flags, the rest is the name of a message's file.
///
/// # Panics
/// If a name loses its base, or a flag.
pub(crate) fn filename(octets: &[u8]) {
    let Some((choice, name)) = octets.split_first() else {
        return;
    };
    let mut table = KeywordTable::default();
    for (index, text) in [(0, "a"), (25, "z")] {
        let keyword = Keyword::new(text);
        assert!(keyword.is_some_and(|keyword| table.set(index, keyword)));
    }
    let is = |bit: u8| choice >> bit & 1 == 1;
    let mut flags: Flags = (0..)
        .zip(SystemFlag::ALL)
        .filter_map(|(bit, flag)| is(bit).then_some(flag))
        .collect();
    if is(7) {
        flags = flags.with_keyword(25);
    }
    if let Some(parsed) = FileName::parse(name) {
        let renamed = parsed.with_flags(flags, &table);
        let again = FileName::parse(&renamed);
        assert_eq!(again.map(|again| again.base), Some(parsed.base));
        if parsed.info.is_empty() || parsed.info.starts_with(b":2,") {
            let found = again.map(|again| again.flags(&table));
            assert_eq!(found, Some(flags));
        }
        let twice = again.map(|again| again.with_flags(flags, &table));
        assert_eq!(twice.as_ref(), Some(&renamed));
        assert_eq!(
            (parsed.size(), parsed.crlf_size()),
            again.map_or((None, None), |again| (again.size(), again.crlf_size()))
        );
    }
    let (a, b) = name.split_at_checked(name.len() / 2).unwrap_or_default();
    assert_eq!(arrival_order(a, b), arrival_order(b, a).reverse());
    made_names(&String::from_utf8_lossy(name));
}

/// A message file, compressed or not, or damaged: it gives octets or says why not, and a plain one gives itself.
///
/// # Panics
/// If an error is of neither kind, or octets of a plain file are missing.
pub(crate) fn compressed(octets: &[u8]) {
    let form = Form::of(octets.get(..FIRST_OCTETS).unwrap_or(octets));
    let mut sink = Sink { room: 1 << 20 };
    let expanded = form.expand(octets, &mut sink);
    let is_full = |error: &io::Error| error.raw_os_error() == Some(FULL);
    match expanded {
        Err(error) => assert!(Unreadable::of(&error).is_some() || is_full(&error)),
        Ok(()) if form == Form::Plain => assert_eq!((1 << 20) - sink.room, octets.len()),
        Ok(()) => {}
    }
}

/// What the system says of a full volume (`ENOSPC`).
const FULL: i32 = 28;

/// A volume with little room.
struct Sink {
    room: usize,
}

impl io::Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let full = || io::Error::from_raw_os_error(FULL);
        self.room = self.room.checked_sub(octets.len()).ok_or_else(full)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whatever a host is called, names made on it are good ones, with the sizes they were given.
fn made_names(host: &str) {
    let maker = NameMaker::new(host, 1, u32::MAX);
    let unique = maker.unique(Duration::from_secs(1));
    assert!(unique != maker.unique(Duration::ZERO));
    let name = with_sizes(&unique, 7, 8);
    let parsed = FileName::parse(name.as_bytes());
    assert!(parsed.is_some_and(|parsed| parsed.info.is_empty()));
    let sizes = parsed.map(|parsed| (parsed.size(), parsed.crlf_size()));
    assert_eq!(sizes, Some((Some(7), Some(8))));
}

/// A UID list: read, printed, read again, added to, cut short.
///
/// # Panics
/// If UIDVALIDITY or a record is lost, or a UID could be given twice.
pub(crate) fn uidlist(text: &[u8]) {
    let before = UidValidity::new(7);
    let read = UidList::parse(text.to_vec(), before);
    assert!(read.is_some(), "lost though UIDVALIDITY was known");
    let Some((list, damage)) = read else { return };
    assert_eq!(damage.header, !UidList::has_header(text));
    assert!(!damage.header || Some(list.uid_validity()) == before);
    check_uids(&list);
    assert_eq!(list.text(), text);

    let printed = list.print(|_| Edit::Keep);
    let again = UidList::parse(printed.clone(), None);
    assert!(again.as_ref().is_some_and(|(_, damage)| !damage.any()));
    let Some((mut again, _)) = again else { return };
    assert_eq!(again.uid_validity(), list.uid_validity());
    assert_eq!(again.guid(), list.guid());
    assert_eq!(again.uid_next(), list.uid_next());
    assert!(again.records().eq(list.records()));
    assert_eq!(again.print(|_| Edit::Keep), printed);

    let new = NewRecord {
        base: b"new",
        fields: b"P1",
    };
    let old = again.len();
    if let Some(added) = again.add([new]) {
        assert_eq!(again.len(), old + 1);
        let record = (added.uids.first()).and_then(|uid| again.record(*uid));
        assert!(record.is_some_and(|found| found.base == new.base && found.fields() == new.fields));
        check_uids(&again);
        let lines = again.lines_of(&added).to_vec();
        again.take_back(&added);
        assert_eq!(again.len(), old);
        assert!(!again.extend(&lines).any());
        let read = (added.uids.first()).and_then(|uid| again.record(*uid));
        assert!(read.is_some_and(|found| found.base == new.base && found.fields() == new.fields));
    }

    if let Some(end) = memchr::memchr(b'\n', text).filter(|_| !damage.header) {
        let cut = end + (text.len() - end) / 2;
        let short = text.get(..cut).unwrap_or_default();
        let short = UidList::parse(short.to_vec(), None);
        let kept = short.map(|(short, damage)| (short.uid_validity(), damage.header));
        assert_eq!(kept, Some((list.uid_validity(), false)));
    }
}

/// UIDs rise, and the next is above all.
fn check_uids(list: &UidList) {
    let mut last = None;
    for record in list.records() {
        assert!(last < Some(record.uid), "UIDs do not rise");
        assert!(!record.base.is_empty(), "a record of no file");
        assert_eq!(list.record(record.uid), Some(record));
        last = Some(record.uid);
    }
    let next = list.uid_next();
    assert!(next.is_none() || last < next, "a UID given twice");
    assert!(last.is_none_or(|last| last <= Uid::MAX));
}

/// Every smaller file of a spool.
///
/// # Panics
/// If something is lost by reading and printing.
pub(crate) fn text_formats(text: &[u8]) {
    keyword_files(text);
    subscription_files(text);
    special_uses(text);
    courier_files(text);
}

/// `dovecot-keywords` and `restante-keywords`
fn keyword_files(text: &[u8]) {
    let lettered = keywords::parse_lettered(text);
    let printed = keywords::print_lettered(&lettered);
    assert_eq!(keywords::parse_lettered(&printed), lettered);

    let mut table = KeywordTable::default();
    let extra = keywords::parse_further(text, &mut table);
    let printed = keywords::print_further(&table, &extra);
    for flags in extra.values() {
        assert!(!flags.is_empty() && flags.system().is_empty());
    }
    let mut table_again = KeywordTable::default();
    let extra_again = keywords::parse_further(&printed, &mut table_again);
    assert_eq!(extra_again, extra);
    assert!(table_again.iter().eq(table.iter()));
}

/// `subscriptions`
fn subscription_files(text: &[u8]) {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        for line in subscriptions::lines_of(text, layout) {
            if let Some(name) = subscriptions::parse_line(&line) {
                let printed = subscriptions::print_line(&name, layout);
                assert!(!printed.contains(&b'\n'));
                assert_eq!(subscriptions::parse_line(&printed), Some(name));
            }
        }
    }
}

/// `restante-special-use`
fn special_uses(text: &[u8]) {
    let uses = SpecialUses::parse(text);
    assert!(uses.assign([]).is_empty());
    let printed = uses.print();
    assert_eq!(SpecialUses::parse(printed.as_bytes()), uses);
}

/// Courier's lists, which are read and never written.
fn courier_files(text: &[u8]) {
    const GUID: [u8; 16] = [1; 16];
    if let Some(list) = courier::parse_uid_list(text.to_vec(), GUID) {
        check_uids(&list);
        assert_eq!((list.version(), list.guid()), (3, Some(GUID)));
    }
    for (base, entry) in courier::parse_pop3_list(text) {
        assert!(!base.is_empty());
        let unique_id = entry.unique_id.as_bytes();
        assert!(!unique_id.is_empty() && unique_id.iter().all(u8::is_ascii_graphic));
    }
    drop(courier::parse_subscriptions(text));
    drop(courier::parse_keyword_list(text));
    drop(courier::parse_keyword_lines(text));
    if let Some((_, base)) = courier::parse_update_name(text) {
        assert!(!base.is_empty());
    }
}
