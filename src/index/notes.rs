//! Pages of notes as octets. Pure.
//!
//! ```text
//! page = form present *length *octets sum
//! ```
//!
//! The sum runs over mailbox, kind and number of the page too, so that it is not taken for another one.

use super::Key;
use super::codec::{Reader, Writer, sum};
use super::record::seed_of;
use crate::mailbox::notes::{Kind, Page, PageNumber};

/// What notes mean; another number when any kind is made in another way, so that old ones are not believed.
const FORM: u64 = 2;

/// A page as octets.
pub(super) fn encode(key: &Key, kind: Kind, number: PageNumber, page: &Page) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(FORM);
    out.number(page.present());
    for note in page.notes() {
        out.number(note.len() as u64);
    }
    for note in page.notes() {
        out.octets(note);
    }
    out.sealed_wide(seed_of_page(key, kind, number))
}

/// What is in the index is not what was written there, or is of another mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// A page from octets; none if its notes were made in another way.
pub(super) fn decode(
    key: &Key,
    kind: Kind,
    number: PageNumber,
    sealed: &[u8],
) -> Result<Option<Page>, Damaged> {
    let seed = seed_of_page(key, kind, number);
    // pages of the first form have the other sum
    let opened = Reader::open_wide(sealed, seed).or_else(|| Reader::open(sealed, seed));
    let mut from = opened.ok_or(Damaged)?;
    if from.number().ok_or(Damaged)? != FORM {
        return Ok(None);
    }
    page(&mut from).map(Some).ok_or(Damaged)
}

/// The notes of a page, and which messages they are about.
fn page(from: &mut Reader<'_>) -> Option<Page> {
    let present = from.number()?;
    let mut lengths = Vec::with_capacity(present.count_ones() as usize);
    for _ in 0..present.count_ones() {
        lengths.push(usize::try_from(from.number()?).ok()?);
    }
    let notes = lengths.into_iter().map(|length| from.octets(length));
    Page::from_parts(present, notes.collect::<Option<Vec<&[u8]>>>()?)
}

/// Binds octets to the page they are of.
fn seed_of_page(key: &Key, kind: Kind, number: PageNumber) -> u64 {
    let parts = [u64::from(kind.code()), u64::from(number.value())];
    let add = |seed, part: &u64| sum(seed, &part.to_le_bytes());
    parts.iter().fold(seed_of(key), add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::id::{Uid, UidValidity};

    #[test]
    fn pages_are_read_as_written_and_only_in_their_place() {
        let key = Key {
            guid: [7; 16],
            uid_validity: UidValidity::new(5).unwrap(),
            directory: 9,
        };
        let uid = |value| Uid::new(value).unwrap();
        let number = PageNumber::of(uid(130));
        let long = vec![b'x'; 1000];
        let page = Page::default().with([(uid(130), b"a".as_slice()), (uid(191), &long)]);
        let octets = encode(&key, Kind::Fields, number, &page);
        assert_eq!(decode(&key, Kind::Fields, number, &octets), Ok(Some(page)));
        assert_eq!(decode(&key, Kind::Envelope, number, &octets), Err(Damaged));
        let other = PageNumber::of(uid(1));
        assert_eq!(decode(&key, Kind::Fields, other, &octets), Err(Damaged));
        let moved = Key {
            directory: 10,
            ..key
        };
        assert_eq!(decode(&moved, Kind::Fields, number, &octets), Err(Damaged));
        for at in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[at] ^= 1;
            assert_eq!(
                decode(&key, Kind::Fields, number, &damaged),
                Err(Damaged),
                "{at}"
            );
            assert_eq!(
                decode(&key, Kind::Fields, number, &octets[..at]),
                Err(Damaged)
            );
        }
        let of_form = |form| {
            let mut out = Writer::default();
            out.number(form);
            out
        };
        let seed = seed_of_page(&key, Kind::Fields, number);
        let others = [of_form(1).sealed(seed), of_form(FORM + 1).sealed_wide(seed)];
        for other in others {
            assert_eq!(decode(&key, Kind::Fields, number, &other), Ok(None));
        }
    }
}
