//! VANISHED responses (RFC 7162 §3.2.10): of what is told now, and of what is told of the past.

use super::reply::Responses;
use super::{Dialect, Progress};
use crate::imap::types::response::Untagged;
use crate::mailbox::expunged::MAX_EXPUNGED_RANGES;
use crate::protocol::HIGH_WATER_OCTETS;
use std::ops::RangeInclusive;

/// Most ranges in one response, so that no line is endless. All that is remembered of a mailbox fits into one: there are clients, such as
/// Mailspring before 2026, that hear only the first of several.
const MAX_RANGES: usize = MAX_EXPUNGED_RANGES;

/// What is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Vanished {
    earlier: bool,
    ranges: std::vec::IntoIter<RangeInclusive<u32>>,
}

impl Vanished {
    /// Messages that are gone from the view.
    pub(crate) fn now(ranges: Vec<RangeInclusive<u32>>) -> Self {
        Self {
            earlier: false,
            ranges: ranges.into_iter(),
        }
    }

    /// UIDs of the past, which are not in the view.
    pub(crate) fn earlier(ranges: Vec<RangeInclusive<u32>>) -> Self {
        Self {
            earlier: true,
            ranges: ranges.into_iter(),
        }
    }

    /// Writes what there is room for.
    pub(crate) fn advance(&mut self, dialect: Dialect, out: &mut Vec<u8>) -> Progress {
        while !self.ranges.as_slice().is_empty() {
            if out.len() >= HIGH_WATER_OCTETS {
                return Progress::More;
            }
            let uids = self.ranges.by_ref().take(MAX_RANGES).collect();
            let earlier = self.earlier;
            Responses::new(dialect, out).push(&Untagged::Vanished { earlier, uids });
        }
        Progress::Done
    }
}
