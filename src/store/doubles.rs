//! Two files with one base name: left by a rename during the reading, a hard link, or a program that gave a name twice.

use super::clock;
use super::failure::noted;
use super::listing::{BaseIndex, Listing};
use super::open_mailbox::OpenMailbox;
use super::spool::{Place, Spool, move_file};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How old a second hard link must be to be removed: a program that delivers by link and unlink may be at work.
const LINK_AGE: Duration = Duration::from_secs(30);

/// Leaves one file of each base name in the listing.
///
/// Of two names of one file the one in `new/` is removed when it is old. Of two files one gets a fresh name in `new/`, and so is another
/// message at the next look.
pub(super) fn part(mailbox: &OpenMailbox, spool: &Spool, listing: &mut Listing, index: &BaseIndex) {
    let mut out: Vec<usize> = index
        .doubles()
        .iter()
        .map(|(second, first)| part_two(mailbox, spool, listing, *first, *second))
        .collect();
    out.sort_unstable();
    out.dedup();
    for i in out.into_iter().rev() {
        listing.remove(i);
    }
}

/// True if a name was read twice: there is one file, and nothing to be done to it.
fn is_read_twice(listing: &Listing, first: usize, second: usize) -> bool {
    let at = |i| (listing.place(i), listing.name(i));
    at(first) == at(second)
}

/// Decides which of two files goes out of the listing.
fn part_two(
    mailbox: &OpenMailbox,
    spool: &Spool,
    listing: &Listing,
    first: usize,
    second: usize,
) -> usize {
    if is_read_twice(listing, first, second) {
        return second;
    }
    // the one that stays is in cur, if one of them is
    let (stays, goes) = if listing.place(first) == Place::New {
        (second, first)
    } else {
        (first, second)
    };
    let path = |i: usize| -> PathBuf { spool.file(listing.place(i), listing.name(i)) };
    let (kept, other) = (path(stays), path(goes));
    let (Ok(kept_about), Ok(other_about)) =
        (fs::symlink_metadata(&kept), fs::symlink_metadata(&other))
    else {
        // renamed while we read: the name that is still there counts
        return if kept.exists() { goes } else { stays };
    };
    let is_one_file =
        (kept_about.dev(), kept_about.ino()) == (other_about.dev(), other_about.ino());
    let done = if is_one_file {
        let age = clock::since_epoch(clock::now())
            .as_secs()
            .saturating_sub(u64::try_from(other_about.ctime()).unwrap_or(u64::MAX));
        if age < LINK_AGE.as_secs() {
            Ok(())
        } else {
            fs::remove_file(&other)
        }
    } else {
        let fresh = mailbox
            .account
            .store
            .names
            .unique(clock::since_epoch(clock::now()));
        tracing::warn!(first = ?kept, second = ?other, new_name = fresh, "two_messages_with_one_name");
        move_file(&other, &spool.file(Place::New, fresh.as_bytes()))
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            noted("part two files with one name", &other, &error);
        }
        Ok(()) | Err(_) => {}
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::NameHasher;

    #[test]
    fn a_name_that_was_read_twice_is_one_file() {
        let hasher = NameHasher::default();
        let mut listing = Listing::default();
        for (name, place) in [
            ("a:2,S", Place::Cur),
            ("a:2,S", Place::Cur),
            ("a:2,", Place::Cur),
            ("a", Place::New),
            ("a", Place::New),
        ] {
            listing.push(name.as_bytes(), place, &hasher).unwrap();
        }
        let twice = |first, second| is_read_twice(&listing, first, second);
        assert!(twice(0, 1) && twice(3, 4));
        assert!(!twice(0, 2) && !twice(2, 3));
    }
}
