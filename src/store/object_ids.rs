//! What names mailboxes and messages for ever: GUIDs, and the time at which a message came (RFC 8474, RFC 8514).
//!
//! A mailbox has the GUID in the first line of its UID list. A message has the one in field `G` of its record, or else the base name of its
//! file, as with Dovecot; COPY and MOVE make a file with a new name and note in that field what the old one was. The time is the one
//! with which names of files begin.

use super::account::AccountState;
use super::failure::failed;
use super::first_list::new_guid;
use super::open_mailbox::{Disk, OpenMailbox};
use super::uidlist_file;
use crate::mailbox::backend::{Error, Result};
use crate::mailbox::id::Uid;
use crate::mailbox::name::MailboxName;
use sha2::{Digest, Sha256};

/// Names that begin with less are no times: 1 January 1980, before the first Maildir.
const EARLIEST: i64 = 315_532_800;

impl AccountState {
    /// MAILBOXID of a mailbox that need not be opened for it; none if that has to be.
    pub(super) fn noted_identifier(&self, name: &MailboxName) -> Option<String> {
        let open = self.if_open(name).and_then(|mailbox| mailbox.known_guid());
        if let Some(guid) = open {
            return Some(hex(guid));
        }
        let directory = self.folders.find(name).ok()??;
        let (_, guid) = uidlist_file::header(&directory).ok()??;
        guid.map(hex)
    }
}

impl OpenMailbox {
    /// The GUID as the list told when it was last looked at; none also while somebody works on the mailbox.
    fn known_guid(&self) -> Option<[u8; 16]> {
        self.disk_at_rest()?.list.list()?.guid()
    }

    /// MAILBOXID: the GUID in hex. A list without one gets one; if that cannot be, there is none.
    ///
    /// # Errors
    /// [`Error::NonExistent`], [`Error::Unavailable`]
    pub(super) fn identifier(&self) -> Result<Option<String>> {
        let mut disk = self.disk()?;
        let known = |disk: &Disk| disk.list.list().and_then(|list| list.guid());
        if known(&disk).is_none() {
            let Disk {
                list, joined, like, ..
            } = &mut *disk;
            let given = Disk::lock_list(list, joined, like, self.lock_timeout())
                .and_then(|mut locked| locked.give_guid(new_guid()?));
            if let Err(error) = given {
                return match failed("give the mailbox a GUID", self.spool().directory(), &error) {
                    Error::NoPermission | Error::NoSpace => Ok(None),
                    error => Err(error),
                };
            }
        }
        Ok(known(&disk).map(hex))
    }

    /// What names the octets of a message; none if it is gone.
    pub(super) fn guid_of(&self, disk: &Disk, uid: Uid) -> Option<Vec<u8>> {
        let record = disk.list.list().and_then(|list| list.record(uid));
        if let Some(guid) = record.and_then(|record| record.field(b'G')) {
            return Some(guid.to_vec());
        }
        let files = self.files();
        Some(named_by(files.base(files.position(uid)?)))
    }

    /// When a message came into this mailbox, in seconds since 1970: by the name of its file, else the date of the file.
    ///
    /// # Errors
    /// As [`OpenMailbox::open_message`].
    pub(super) fn date_of_arrival(&self, uid: Uid) -> Result<i64> {
        let named = {
            let files = self.files();
            let at = files.position(uid).ok_or(Error::Expunged)?;
            leading_time(files.base(at))
        };
        named.map_or_else(|| self.date(uid), Ok)
    }
}

/// A GUID as it is told.
pub(super) fn hex(guid: [u8; 16]) -> String {
    guid.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What a base name says of the octets: itself, or where it has a blank, which no field of a record can hold, 32 hex digits made of it.
fn named_by(base: &[u8]) -> Vec<u8> {
    if !base.contains(&b' ') {
        return base.to_vec();
    }
    let mut short = [0; 16];
    for (octet, from) in short.iter_mut().zip(Sha256::digest(base)) {
        *octet = from;
    }
    hex(short).into_bytes()
}

/// The field of a record that says what names the octets, if that is not the name of the file.
pub(super) fn field(guid: Option<&[u8]>) -> Vec<u8> {
    match guid {
        Some(guid) if !guid.is_empty() && !guid.contains(&b' ') => [b"G", guid].concat(),
        Some(_) | None => Vec::new(),
    }
}

/// The time with which a base name begins: `1700000000.M1P2.host`
fn leading_time(base: &[u8]) -> Option<i64> {
    let end = base.iter().position(|octet| *octet == b'.')?;
    let digits = std::str::from_utf8(base.get(..end)?).ok()?;
    let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
    let time = digits.parse().ok().filter(|_| is_number)?;
    // as many digits as a time has for the next ten thousand years
    (EARLIEST..1_000_000_000_000)
        .contains(&time)
        .then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_times() {
        for (base, expected) in [
            ("1700000000.M1P2.host", Some(1_700_000_000)),
            ("1700000000.77", Some(1_700_000_000)),
            ("1700000000", None),
            ("+1700000000.x", None),
            ("12.x", None),
            ("17000000000000000000.x", None),
            ("x.1700000000", None),
            (".x", None),
        ] {
            assert_eq!(leading_time(base.as_bytes()), expected, "{base}");
        }
    }

    #[test]
    fn every_name_can_go_into_a_field() {
        assert_eq!(named_by(b"1.M2.x,S=3"), b"1.M2.x,S=3");
        let named = named_by(b"1.M2.my host");
        assert!(named.len() == 32 && named != named_by(b"1.M2.myhost "));
    }

    #[test]
    fn names_go_into_a_field_of_their_own() {
        assert_eq!(field(Some(b"1.M2.x,S=3")), b"G1.M2.x,S=3");
        assert_eq!(field(Some(b"1 2")), b"");
        assert_eq!(field(None), b"");
    }
}
