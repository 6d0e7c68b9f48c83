//! UID list and directory scan, for `crate::pieces`.

use super::files::{Files, NameHasher};
use super::helpers::Helpers;
use super::listing::{BaseIndex, Listing, Tools};
use super::spool::{Place, Spool};
use super::uidlist::UidList;
use std::io;
use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The threads that read ahead: one pool for the process, as a server has it.
static HELPERS: LazyLock<Helpers> = LazyLock::new(Helpers::default);

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
    let spool = Spool::new(maildir);
    let hasher = NameHasher::default();
    let mut index = BaseIndex::default();
    let files = RwLock::<Files>::default();
    let tools = Tools {
        hasher: &hasher,
        helpers: &HELPERS,
        files: &|| files.read().unwrap_or_else(PoisonError::into_inner),
    };
    listing.read((&spool, Place::Cur), tools, &mut index, &mut None)?;
    Ok(listing.len())
}
