//! UID list and directory scan, for `crate::pieces`.

use super::files::NameHasher;
use super::scan::Listing;
use super::spool::{Place, Spool};
use super::uidlist::UidList;
use std::io;
use std::path::Path;

/// Parses a UID list; returns how many messages it has, 0 for what is none.
pub(crate) fn uid_list(text: Vec<u8>) -> usize {
    UidList::parse(text, None).map_or(0, |(list, _)| list.len())
}

/// Lists the message files in `cur/`; returns how many there are.
///
/// # Errors
/// What the system says.
pub(crate) fn listed(maildir: &Path) -> io::Result<usize> {
    let mut listing = Listing::default();
    listing.read(&Spool::new(maildir), Place::Cur, &NameHasher::default())?;
    Ok(listing.len())
}
