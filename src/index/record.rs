//! The small part of a mailbox's record: which mailbox it is of, and which snapshot and changes make it up. Pure.

use super::codec::{NOTHING, Reader, Writer, sum};
use super::{Key, Version};
use crate::mailbox::id::{ModSeq, UidValidity};

/// Form of the octets.
const FORM: u64 = 1;

/// Most changes after a snapshot, so that reading them takes a millisecond or so.
const MAX_DELTAS: u64 = 1000;

/// How many octets of changes are left in peace whatever the size of the snapshot.
const FREE_OCTETS: u64 = 64 << 10;

/// What a record is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Which mailbox.
    pub(super) key: Key,
    /// The version that snapshot and changes make up.
    pub(super) version: Version,
    /// The last mod-sequence.
    pub(super) highest_mod_seq: ModSeq,
    /// The generation of the snapshot; changes after it are in rows of their own.
    pub(super) snapshot: u64,
    /// Octets of the snapshot.
    pub(super) snapshot_octets: u64,
    /// Octets of the changes after it.
    pub(super) delta_octets: u64,
}

impl State {
    /// For a snapshot that replaces what there was.
    pub(super) fn of_snapshot(
        key: Key,
        before: Option<&Self>,
        octets: &[u8],
        highest_mod_seq: ModSeq,
    ) -> Self {
        let generation = before.map_or(1, |before| before.version.generation.wrapping_add(1));
        Self {
            key,
            version: Version {
                generation,
                sum: sum(NOTHING, octets),
            },
            highest_mod_seq: before.map_or(highest_mod_seq, |before| {
                before.highest_mod_seq.max(highest_mod_seq)
            }),
            snapshot: generation,
            snapshot_octets: octets.len() as u64,
            delta_octets: 0,
        }
    }

    /// With one change more.
    pub(super) fn add(&mut self, octets: &[u8], mod_seq: ModSeq) {
        self.version = self.version.after(octets);
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
        self.delta_octets = self.delta_octets.saturating_add(octets.len() as u64);
    }

    /// True if writing the whole anew is due, since reading the changes becomes more work than that.
    pub(super) const fn wants_whole(&self) -> bool {
        self.delta_octets > FREE_OCTETS.saturating_add(self.snapshot_octets)
            || self.version.generation.wrapping_sub(self.snapshot) >= MAX_DELTAS
    }

    /// As octets.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for number in [
            FORM,
            u64::from(self.key.uid_validity.value()),
            self.key.directory,
            self.version.generation,
            self.version.sum,
            self.highest_mod_seq.0,
            self.snapshot,
            self.snapshot_octets,
            self.delta_octets,
        ] {
            out.number(number);
        }
        out.sealed(seed(&self.key.guid))
    }

    /// From octets; none if they are damaged.
    pub(super) fn decode(sealed: &[u8], guid: [u8; 16]) -> Option<Self> {
        let mut from = Reader::open(sealed, seed(&guid))?;
        if from.number()? != FORM {
            return None;
        }
        Some(Self {
            key: Key {
                guid,
                uid_validity: UidValidity::new(from.number_32()?)?,
                directory: from.number()?,
            },
            version: Version {
                generation: from.number()?,
                sum: from.number()?,
            },
            highest_mod_seq: from.mod_seq()?,
            snapshot: from.number()?,
            snapshot_octets: from.number()?,
            delta_octets: from.number()?,
        })
    }
}

impl Version {
    /// The version after a change.
    pub(super) fn after(self, octets: &[u8]) -> Self {
        Self {
            generation: self.generation.wrapping_add(1),
            sum: sum(self.sum, octets),
        }
    }
}

/// Binds octets to the mailbox they are of.
pub(super) fn seed(guid: &[u8; 16]) -> u64 {
    sum(NOTHING, guid)
}

/// The same for octets that are of one mailbox only, whoever has its GUID too.
pub(super) fn seed_of(key: &Key) -> u64 {
    let parts = [u64::from(key.uid_validity.value()), key.directory];
    let add = |seed, part: &u64| sum(seed, &part.to_le_bytes());
    parts.iter().fold(seed(&key.guid), add)
}
