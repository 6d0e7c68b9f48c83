//! Sizes of many messages, with CRLF at the ends of lines.
//!
//! What is not known is noted in the index, or measured side by side and noted then.

use super::open_mailbox::OpenMailbox;
use crate::mailbox::backend::{Extent, Result};
use crate::mailbox::id::Uid;
use crate::mailbox::notes::{self, Kind, PageNumber, Row};
use crate::message::lines::CrlfState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// How many messages a thread measures at a time.
const MEASURED_AT_ONCE: usize = 8;

impl OpenMailbox {
    /// See [`Mailbox::sizes`](crate::mailbox::backend::Mailbox::sizes).
    pub(super) fn crlf_sizes(&self, uids: &[Uid]) -> Vec<Result<u64>> {
        let mut known = self.known_sizes(uids);
        self.take_noted_sizes(uids, &mut known);
        let lacking = (uids.iter().zip(&known)).filter(|(_, size)| size.is_none());
        let lacking: Vec<Uid> = lacking.map(|(uid, _)| *uid).collect();
        let mut measured = self.measure_many(&lacking).into_iter();
        let size = |known: Option<u64>| known.map(Ok).or_else(|| measured.next());
        known.into_iter().filter_map(size).collect()
    }

    /// Sizes that are in memory.
    fn known_sizes(&self, uids: &[Uid]) -> Vec<Option<u64>> {
        let messages = self.read();
        let known = |uid: &Uid| messages.size_at(messages.position(*uid)?);
        uids.iter().map(known).collect()
    }

    /// Takes over sizes that are noted, where they are not known.
    fn take_noted_sizes(&self, uids: &[Uid], sizes: &mut [Option<u64>]) {
        let lacking = (uids.iter().zip(sizes)).filter(|(_, size)| size.is_none());
        let lacking: Vec<(&Uid, &mut Option<u64>)> = lacking.collect();
        let pages: BTreeSet<PageNumber> =
            (lacking.iter().map(|(uid, _)| PageNumber::of(**uid))).collect();
        let pages: Vec<PageNumber> = pages.into_iter().collect();
        if pages.is_empty() {
            return;
        }
        let sheets = self.find_notes(&[Kind::Size], &pages);
        let mut messages = self.write();
        for (uid, size) in lacking {
            let page = pages.binary_search(&PageNumber::of(*uid)).ok();
            let note = page.and_then(|at| sheets.get(at)?.get(0, *uid));
            *size = note.and_then(notes::size);
            if let Some(octets) = *size {
                messages.set_size(*uid, octets);
            }
        }
    }

    /// Measures messages side by side, and notes their sizes.
    fn measure_many(&self, uids: &[Uid]) -> Vec<Result<u64>> {
        let counted = self.count_many(uids);
        let mut sizes: Vec<Option<Result<u64>>> = vec![None; uids.len()];
        let helpers = &self.account.store.helpers;
        helpers.fill(&mut sizes, MEASURED_AT_ONCE, &|at| {
            let counted = counted.get(at).and_then(OnceLock::get);
            let uid = uids.get(at)?;
            Some(counted.map_or_else(|| self.crlf_size(*uid), |octets| Ok(*octets)))
        });
        let sizes: Vec<Result<u64>> = sizes.into_iter().flatten().collect();
        let mut found = BTreeMap::<PageNumber, Vec<Row>>::new();
        for (uid, size) in uids.iter().zip(&sizes) {
            if let Ok(octets) = size {
                let row = (*uid, vec![Some(notes::of_size(*octets))]);
                found.entry(PageNumber::of(*uid)).or_default().push(row);
            }
        }
        let mut messages = self.write();
        for (uid, octets) in uids.iter().zip(&counted) {
            if let Some(octets) = octets.get() {
                messages.set_size(*uid, *octets);
            }
        }
        drop(messages);
        if !found.is_empty() {
            let rows: Vec<(PageNumber, Vec<Row>)> = found.into_iter().collect();
            self.add_notes(&[Kind::Size], &rows);
        }
        sizes
    }

    /// Counts the octets of messages whose sizes nothing tells, as far as they are read as a whole.
    fn count_many(&self, uids: &[Uid]) -> Vec<OnceLock<u64>> {
        let counted: Vec<OnceLock<u64>> = uids.iter().map(|_| OnceLock::new()).collect();
        let (places, untold): (Vec<&OnceLock<u64>>, Vec<Uid>) = (counted.iter().zip(uids))
            .filter(|(_, uid)| !self.is_size_told(**uid))
            .unzip();
        self.read_many(&untold, Extent::Small, &|at, reading| {
            if let (Some(place), Ok(reading)) = (places.get(at), reading)
                && reading.is_whole()
            {
                let mut count = CrlfState::default();
                count.feed(reading.octets);
                place.get_or_init(|| count.octets());
            }
        });
        counted
    }
}
