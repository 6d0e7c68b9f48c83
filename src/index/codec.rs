//! Snapshots, changes and their sums as octets. Pure.
//!
//! Numbers are in base 128, the low part first, the high bit saying that another octet follows. A column of a million messages is
//! written as runs: UIDs as (gap, length), flags as (value, length), mod-sequences as (difference, length). So a mailbox in which little
//! happened takes some octets, and one in which every message was changed on its own a few octets a message.
//!
//! ```text
//! snapshot = form uid_next highest keywords messages *uid-run *flags-run *mod-seq-run floor entries *(mod-seq uid-set) sum
//! delta    = form mod_seq uid_next keywords what sum
//! ```
//!
//! The sum is FNV-1a with 64 bits: any change of one octet is found, and others but for one in 2^64. It guards against damage, not
//! against somebody who may write there.

use super::{Delta, Snapshot, What};
use crate::mailbox::expunged::Expunged;
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, MAX_KEYWORD_OCTETS, MAX_KEYWORDS};
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::notes::PageNumber;
use crate::mailbox::remembered::{Remembered, translate};
use crate::mailbox::uid_set::UidSet;
use std::ops::RangeInclusive;

/// First octet of a snapshot.
const SNAPSHOT_FORM: u8 = 1;

/// First octet of a change.
const DELTA_FORM: u8 = 2;

/// Marks messages that were set.
const SET: u64 = 0;

/// Marks messages that are gone.
const EXPUNGED: u64 = 1;

/// Most messages of a mailbox: one for each UID.
const MAX_MESSAGES: usize = u32::MAX as usize;

/// Most mod-sequences: 63 bits on the wire (RFC 7162 §7).
const MAX_MOD_SEQ: u64 = u64::MAX >> 1;

/// The sum over octets that come after others with a given sum.
pub(super) fn sum(before: u64, octets: &[u8]) -> u64 {
    octets.iter().fold(before, |sum, octet| {
        (sum ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The sum over nothing.
pub(super) const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// The sum over many octets, eight at a time: it finds damage, as [`sum`] does, in a fifth of the time.
fn wide_sum(seed: u64, octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks();
    let wide = words.iter().fold(seed, |sum, word| {
        (sum ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    });
    sum(wide, rest)
}

/// Adds a sum to many octets.
pub(super) fn seal_wide(octets: &mut Vec<u8>, seed: u64) {
    let sum = wide_sum(seed, octets);
    octets.extend_from_slice(&sum.to_le_bytes());
}

/// Takes the sum off octets that [`seal_wide`] was given; false if they are not those, or of another seed.
pub(super) fn open_wide(octets: &mut Vec<u8>, seed: u64) -> bool {
    let Some((sealed, expected)) = octets.split_last_chunk() else {
        return false;
    };
    let is_whole = wide_sum(seed, sealed) == u64::from_le_bytes(*expected);
    octets.truncate(octets.len() - expected.len());
    is_whole
}

/// Octets being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Writes a number.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Writes octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// Writes a column as values and how often each stands after the other.
    fn runs<T: PartialEq>(
        &mut self,
        column: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let mut column = column.into_iter().peekable();
        while let Some(value) = column.next() {
            let mut length = 1;
            while column.next_if(|next| *next == value).is_some() {
                length += 1;
            }
            write(self, value);
            self.number(length);
        }
    }

    /// Writes a set of UIDs.
    fn uids(&mut self, uids: &UidSet) {
        self.number(uids.ranges().len() as u64);
        let mut end = 0;
        for range in uids.ranges() {
            self.number(u64::from(range.start() - end));
            self.number(u64::from(range.end() - range.start()));
            end = *range.end();
        }
    }

    /// Writes a table of keywords.
    fn keywords(&mut self, keywords: &KeywordTable) {
        self.number(keywords.iter().count() as u64);
        for (at, keyword) in keywords.iter() {
            self.number(at as u64);
            self.number(keyword.as_str().len() as u64);
            self.octets(keyword.as_str().as_bytes());
        }
    }

    /// The octets with their sum.
    pub(super) fn sealed(mut self, seed: u64) -> Vec<u8> {
        let sum = sum(seed, &self.0);
        self.0.extend_from_slice(&sum.to_le_bytes());
        self.0
    }

    /// The same where they are many.
    pub(super) fn sealed_wide(mut self, seed: u64) -> Vec<u8> {
        seal_wide(&mut self.0, seed);
        self.0
    }
}

/// Octets being read. Everything is none where they end too early or make no sense.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of octets that [`Writer::sealed`] made with the same seed.
    pub(super) fn open(sealed: &'a [u8], seed: u64) -> Option<Self> {
        let (octets, expected) = sealed.split_last_chunk()?;
        (sum(seed, octets) == u64::from_le_bytes(*expected)).then_some(Self(octets))
    }

    /// Of octets that [`Writer::sealed_wide`] made with the same seed.
    pub(super) fn open_wide(sealed: &'a [u8], seed: u64) -> Option<Self> {
        let (octets, expected) = sealed.split_last_chunk()?;
        (wide_sum(seed, octets) == u64::from_le_bytes(*expected)).then_some(Self(octets))
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a number of 32 bits.
    pub(super) fn number_32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// Reads how many there are, at most `max`.
    pub(super) fn count(&mut self, max: usize) -> Option<usize> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= max)
    }

    /// Reads octets as they are.
    pub(super) fn octets(&mut self, length: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets)
    }

    /// Reads a mod-sequence.
    pub(super) fn mod_seq(&mut self) -> Option<ModSeq> {
        self.number()
            .filter(|value| *value <= MAX_MOD_SEQ)
            .map(ModSeq)
    }

    /// Reads a UID.
    fn uid(&mut self) -> Option<Uid> {
        Uid::new(self.number_32()?)
    }

    /// Reads a column of so many.
    fn runs<T: Copy>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut column = Vec::with_capacity(count);
        while column.len() < count {
            let value = read(self)?;
            let length = self.count(count - column.len())?;
            if length == 0 {
                return None;
            }
            column.resize(column.len() + length, value);
        }
        Some(column)
    }

    /// Reads a set of UIDs.
    fn uids(&mut self) -> Option<UidSet> {
        let count = self.count(MAX_MESSAGES)?;
        let mut uids = UidSet::new();
        let mut end: u32 = 0;
        for _ in 0..count {
            let first = end.checked_add(self.number_32()?)?;
            end = first.checked_add(self.number_32()?)?;
            uids.push_range(first..=end);
        }
        Some(uids)
    }

    /// Reads a table of keywords.
    fn keywords(&mut self) -> Option<KeywordTable> {
        let mut keywords = KeywordTable::default();
        for _ in 0..self.count(MAX_KEYWORDS)? {
            let at = self.count(MAX_KEYWORDS)?;
            let length = self.count(MAX_KEYWORD_OCTETS)?;
            let word = std::str::from_utf8(self.octets(length)?).ok()?;
            keywords.set(at, Keyword::new(word)?);
        }
        Some(keywords)
    }

    /// True at the end.
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The whole of a mailbox, to be remembered.
pub fn encode(messages: &Messages) -> Snapshot {
    let mut out = Writer(vec![SNAPSHOT_FORM]);
    out.number(u64::from(messages.uid_next().value()));
    out.number(messages.highest_mod_seq().0);
    out.keywords(messages.keywords());
    out.number(messages.len() as u64);
    let uids = messages.uids().iter().zip(0_u32..);
    let mut before = 0;
    // UIDs without gaps have the same distance from their position
    out.runs(uids.map(|(uid, at)| uid.value() - at), |out, distance| {
        out.number(u64::from(distance - before));
        before = distance;
    });
    let flags = (0..messages.len()).map(|at| messages.flags_at(at).bits());
    out.runs(flags, Writer::number);
    let mut before = 0;
    let mod_seqs = (0..messages.len()).map(|at| messages.mod_seq_at(at).0);
    out.runs(mod_seqs, |out, mod_seq| {
        out.number(zigzag(mod_seq.wrapping_sub(before)));
        before = mod_seq;
    });
    expunged(&mut out, messages.expunged());
    Snapshot {
        octets: out.sealed(NOTHING),
        highest_mod_seq: messages.highest_mod_seq(),
        pages: pages(messages.uids()),
    }
}

/// The pages on which notes about messages may stand.
fn pages(uids: &[Uid]) -> Vec<RangeInclusive<u32>> {
    let mut pages: Vec<RangeInclusive<u32>> = Vec::new();
    for uid in uids {
        let page = PageNumber::of(*uid).value();
        match pages.last_mut() {
            Some(last) if *last.end() == page => {}
            Some(last) if last.end().checked_add(1) == Some(page) => *last = *last.start()..=page,
            Some(_) | None => pages.push(page..=page),
        }
    }
    pages
}

/// The memory of expunged messages.
fn expunged(out: &mut Writer, expunged: &Expunged) {
    out.number(expunged.floor().0);
    out.number(expunged.entries().count() as u64);
    let mut before = expunged.floor().0;
    for (mod_seq, uids) in expunged.entries() {
        out.number(mod_seq.0.saturating_sub(before));
        out.uids(uids);
        before = mod_seq.0;
    }
}

/// A mailbox from its octets.
pub(super) fn decode(sealed: &[u8]) -> Option<Remembered> {
    let mut from = Reader::open(sealed, NOTHING)?;
    if from.octets(1)? != [SNAPSHOT_FORM] {
        return None;
    }
    let uid_next = from.uid()?;
    let highest_mod_seq = from.mod_seq()?;
    let keywords = from.keywords()?;
    let count = from.count(MAX_MESSAGES)?;
    let mut before: u32 = 0;
    let distances = from.runs(count, |from| {
        before = before.checked_add(from.number_32()?)?;
        Some(before)
    })?;
    let uid = |(distance, at): (u32, u32)| Uid::new(distance.checked_add(at)?);
    let uids: Vec<Uid> = (distances.into_iter().zip(0..))
        .map(uid)
        .collect::<Option<_>>()?;
    let flags = from.runs(count, |from| from.number().map(Flags::from_bits))?;
    let mut before: u64 = 0;
    let mod_seqs = from.runs(count, |from| {
        before = before.wrapping_add(unzigzag(from.number()?));
        (before <= MAX_MOD_SEQ).then_some(ModSeq(before))
    })?;
    let expunged = read_expunged(&mut from)?;
    from.is_empty().then_some(Remembered {
        uid_next,
        highest_mod_seq,
        keywords,
        uids,
        flags,
        mod_seqs,
        expunged,
        may_lack: false,
    })
}

/// Reads the memory of expunged messages.
fn read_expunged(from: &mut Reader<'_>) -> Option<Expunged> {
    let mut mod_seq = from.mod_seq()?.0;
    let mut expunged = Expunged::new(ModSeq(mod_seq));
    for _ in 0..from.count(MAX_MESSAGES)? {
        mod_seq = mod_seq.checked_add(from.number()?)?;
        expunged.note(ModSeq(mod_seq), from.uids()?);
    }
    Some(expunged)
}

/// A difference with its sign in the lowest bit, so that small ones of either sign are short.
const fn zigzag(difference: u64) -> u64 {
    if difference >> 63 == 0 {
        difference << 1
    } else {
        !(difference << 1)
    }
}

/// The difference again.
const fn unzigzag(value: u64) -> u64 {
    if value & 1 == 0 {
        value >> 1
    } else {
        !(value >> 1)
    }
}

/// A change as octets; `before` is the sum of all before it.
pub(super) fn encode_delta(delta: &Delta, before: u64) -> Vec<u8> {
    let mut out = Writer(vec![DELTA_FORM]);
    out.number(delta.mod_seq.0);
    out.number(u64::from(delta.uid_next.value()));
    out.keywords(&delta.keywords);
    match &delta.what {
        What::Set(set) => {
            out.number(SET);
            out.uids(&set.iter().map(|(uid, _)| *uid).collect());
            out.runs(set.iter().map(|(_, flags)| flags.bits()), Writer::number);
        }
        What::Expunged(uids) => {
            out.number(EXPUNGED);
            out.uids(uids);
        }
    }
    out.sealed(before)
}

/// A change from its octets.
pub(super) fn decode_delta(sealed: &[u8], before: u64) -> Option<Delta> {
    let mut from = Reader::open(sealed, before)?;
    if from.octets(1)? != [DELTA_FORM] {
        return None;
    }
    let mod_seq = from.mod_seq()?;
    let uid_next = from.uid()?;
    let keywords = from.keywords()?;
    let what = match from.number()? {
        SET => {
            let uids = from.uids()?;
            let flags = from.runs(uids.len(), |from| from.number().map(Flags::from_bits))?;
            What::Set(uids.iter().zip(flags).collect())
        }
        EXPUNGED => What::Expunged(from.uids()?),
        _ => return None,
    };
    from.is_empty().then_some(Delta {
        mod_seq,
        uid_next,
        what,
        keywords,
    })
}

/// A snapshot with the changes after it.
pub(super) fn replay(
    mut remembered: Remembered,
    deltas: impl IntoIterator<Item = Delta>,
) -> Remembered {
    let mut gone = UidSet::new();
    for delta in deltas {
        remembered.highest_mod_seq = remembered.highest_mod_seq.max(delta.mod_seq);
        remembered.uid_next = remembered.uid_next.max(delta.uid_next);
        match delta.what {
            What::Set(set) => {
                for (_, keyword) in delta.keywords.iter() {
                    remembered.keywords.insert(keyword);
                }
                for (uid, flags) in set {
                    let flags = translate(flags, &delta.keywords, &remembered.keywords);
                    remembered.set(uid, flags, delta.mod_seq);
                }
            }
            What::Expunged(uids) => {
                gone.unite(&uids);
                remembered.expunged.note(delta.mod_seq, uids);
            }
        }
    }
    remembered.remove(&gone);
    remembered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::flag::SystemFlag;
    use crate::mailbox::id::UidValidity;

    const SEEN: Flags = Flags::NONE.with(SystemFlag::Seen);

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    /// A mailbox in which everything happened.
    fn busy() -> Messages {
        let mut messages = Messages::new(UidValidity::new(9).unwrap(), uid(1), ModSeq(1 << 50));
        let keyword = Keyword::new("$Junk").unwrap();
        let at = messages.keywords_mut().insert(&keyword).unwrap();
        let arrived = (1..500).map(|n| (uid(n * n), Flags::NONE, None));
        messages.arrive(arrived);
        messages.set_flags(
            (1..500)
                .step_by(3)
                .map(|n| (uid(n * n), SEEN.with_keyword(at))),
        );
        messages.expunge(&(1..500).step_by(7).map(|n| uid(n * n)).collect());
        messages.set_flags([(uid(9), SEEN)]);
        messages.expunge(&[uid(9), uid(16)].into_iter().collect());
        messages.raise_uid_next(uid(300_000));
        messages
    }

    fn remembered(messages: &Messages) -> Remembered {
        Remembered {
            uid_next: messages.uid_next(),
            highest_mod_seq: messages.highest_mod_seq(),
            keywords: messages.keywords().clone(),
            uids: messages.uids().to_vec(),
            flags: (0..messages.len())
                .map(|at| messages.flags_at(at))
                .collect(),
            mod_seqs: (0..messages.len())
                .map(|at| messages.mod_seq_at(at))
                .collect(),
            expunged: messages.expunged().clone(),
            may_lack: false,
        }
    }

    #[test]
    fn a_snapshot_is_the_mailbox_again() {
        let empty = Messages::new(UidValidity::new(9).unwrap(), uid(1), ModSeq(5));
        for messages in [empty, busy()] {
            let octets = encode(&messages).octets;
            assert_eq!(decode(&octets), Some(remembered(&messages)));
        }
    }

    #[test]
    fn a_snapshot_and_the_changes_after_it_are_the_mailbox_again() {
        let mut messages = Messages::new(UidValidity::new(9).unwrap(), uid(1), ModSeq(100));
        messages.arrive((1..=9).map(|n| (uid(n), Flags::NONE, None)));
        let snapshot = encode(&messages).octets;
        let since = messages.highest_mod_seq();
        let word = Keyword::new("Work").unwrap();
        let at = messages.keywords_mut().insert(&word).unwrap();
        messages.set_flags([(uid(2), SEEN), (uid(5), SEEN.with_keyword(at))]);
        messages.expunge(&[uid(1), uid(9)].into_iter().collect());
        messages.arrive([(uid(12), SEEN, None)]);
        messages.expunge(&[uid(3)].into_iter().collect());
        let deltas = Delta::since(&messages, since).unwrap();
        let mut before = 77;
        let mut read = Vec::new();
        for delta in &deltas {
            let octets = encode_delta(delta, before);
            assert_eq!(decode_delta(&octets, before).as_ref(), Some(delta));
            // the sum binds it to what was before
            assert_eq!(decode_delta(&octets, before + 1), None);
            read.extend(decode_delta(&octets, before));
            before = sum(before, &octets);
        }
        assert_eq!(
            replay(decode(&snapshot).unwrap(), read),
            remembered(&messages)
        );
    }

    #[test]
    fn any_damage_is_found() {
        let octets = encode(&busy()).octets;
        for at in 0..octets.len() {
            for bit in 0..8 {
                let mut damaged = octets.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(decode(&damaged), None, "octet {at}, bit {bit}");
            }
            assert_eq!(decode(&octets[..at]), None, "{at} octets");
        }
    }

    #[test]
    fn octets_that_make_no_sense_are_refused() {
        // with a right sum, as a bug might leave them
        for octets in [
            &[][..],
            &[9],
            &[SNAPSHOT_FORM, 1, 1, 0, 5],
            &[SNAPSHOT_FORM, 0, 1, 0, 0, 0, 0],
            &[SNAPSHOT_FORM, 1, 1, 0, 1, 1, 2, 0, 1, 0, 1, 0, 0],
            &[SNAPSHOT_FORM, 1, 1, 0, 1, 1, 0],
            &[SNAPSHOT_FORM, 1, 1, 0, 0, 0, 0, 0],
            &[0xff; 40],
        ] {
            let mut writer = Writer::default();
            writer.octets(octets);
            let sealed = writer.sealed(NOTHING);
            assert_eq!(decode(&sealed), None, "{octets:?}");
            assert_eq!(decode_delta(&sealed, NOTHING), None, "{octets:?}");
        }
    }

    #[test]
    fn a_million_messages_are_few_octets() {
        let mut messages = Messages::new(UidValidity::new(9).unwrap(), uid(1), ModSeq(1 << 50));
        messages.arrive((1..=1_000_000).map(|n| (uid(n), Flags::NONE, None)));
        assert!(encode(&messages).octets.len() < 100);
        messages.set_flags(
            (1..=1_000_000)
                .filter(|n| n % 3 == 0)
                .map(|n| (uid(n), SEEN)),
        );
        let octets = encode(&messages).octets;
        assert!(octets.len() < 5_000_000, "{}", octets.len());
        assert_eq!(decode(&octets).unwrap().uids.len(), 1_000_000);
    }
}
