//! VANISHED responses (RFC 7162 §3.2.10): of what is told now, and of what is told of the past.

use super::reply::Responses;
use super::{Dialect, Progress};
use crate::imap::types::response::Untagged;
use crate::protocol::HIGH_WATER_OCTETS;
use std::ops::RangeInclusive;

/// Most ranges in one response, so that no line is endless; there may be several responses.
const MAX_RANGES: usize = 1024;

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
