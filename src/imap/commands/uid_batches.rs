//! UIDBATCHES (RFC 10022): UID ranges that cut a mailbox into batches of equal size, the newest first.
//!
//! The ranges leave no gap: one begins below the end of the one before, and the last ends with 1. They are read off the view, at the cost of a
//! look-up each.

use crate::imap::session::Selected;
use crate::imap::session::reply::{CommandError, CommandResult, Completed, Responses};
use crate::imap::types::command::UidBatches;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Untagged};
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::view::View;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Smallest batch: the RFC wants no larger minimum (§3.1.3.2).
pub(crate) const MIN_BATCH_MESSAGES: u32 = 500;

/// Most messages that a range of batches may span: as far as clients may go (§3.1.5).
const MAX_SPANNED_MESSAGES: u64 = 100_000;

/// Which batches a connection has been told since the mailbox last changed much: at most one number for each [`MIN_BATCH_MESSAGES`].
#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// Messages in each.
    size: u32,
    /// Messages in the mailbox at that time, and the last of them.
    messages: u32,
    last: u32,
    /// Ordinals.
    told: BTreeSet<u32>,
}

/// Tells the ranges.
///
/// # Errors
/// `BAD [CLIENTBUG]` for ordinals in the wrong order, `NO [TOOFEW]` and `NO [TOOMANY]` for what is too small and too much, `NO [LIMIT]`
/// for batches that were told already.
pub(crate) fn uid_batches(
    tag: &Tag,
    command: &UidBatches,
    selected: &mut Selected,
    out: &mut Responses<'_>,
) -> CommandResult {
    let size = command.messages.get();
    let asked = match command.batches {
        Some((first, last)) => first.get()..=last.get(),
        None => 1..=u32::MAX,
    };
    if asked.is_empty() {
        let text = "batches are asked for from the lower to the higher one".into();
        return Err(CommandError::Bad(Some(Code::ClientBug), text));
    }
    if size < MIN_BATCH_MESSAGES {
        return Err(CommandError::no(
            Code::TooFew,
            "a batch has at least 500 messages",
        ));
    }
    let spanned = u64::from(asked.end() - asked.start()) + 1;
    if command.batches.is_some() && spanned.saturating_mul(size.into()) > MAX_SPANNED_MESSAGES {
        return Err(CommandError::no(
            Code::TooMany,
            "batches that span 100000 messages at most can be asked for",
        ));
    }
    let existing = *asked.start()..=*asked.end().min(&selected.view.len().div_ceil(size));
    selected
        .batches
        .note(size, existing.clone(), &selected.view)?;
    out.push(&Untagged::UidBatches {
        tag: tag.clone(),
        batches: ranges(size, existing, &selected.view),
    });
    Ok(Completed::PLAIN)
}

impl Batches {
    /// Notes what is told now.
    ///
    /// # Errors
    /// `NO [LIMIT]` for a repetition (§3.1.1): nothing of it is new, and neither have half as many messages as a batch holds come or gone.
    fn note(
        &mut self,
        size: u32,
        batches: RangeInclusive<u32>,
        view: &View,
    ) -> Result<(), CommandError> {
        let (arrived, gone) = self.changes(view);
        if self.told.is_empty() || arrived.max(gone) >= size / 2 {
            *self = Self {
                size,
                messages: view.len(),
                last: view.last_uid().map_or(0, Uid::value),
                told: batches.collect(),
            };
            return Ok(());
        }
        let is_repetition =
            size != self.size || batches.clone().all(|batch| self.told.contains(&batch));
        if is_repetition && !batches.is_empty() {
            return Err(CommandError::no(
                Code::Limit,
                "the mailbox has hardly changed since these batches were told",
            ));
        }
        self.told.extend(batches);
        Ok(())
    }

    /// How many messages have come and gone.
    fn changes(&self, view: &View) -> (u32, u32) {
        let after = self.last.saturating_add(1);
        let arrived = view.uids_within(after, u32::MAX).count();
        let arrived = u32::try_from(arrived).unwrap_or(u32::MAX);
        let left = view.len().saturating_sub(arrived);
        (arrived, self.messages.saturating_sub(left))
    }
}

/// The ranges of some batches, all of which exist: the high end first.
fn ranges(size: u32, batches: RangeInclusive<u32>, view: &View) -> Vec<(Uid, Uid)> {
    // the lowest UID of the batch with so many batches above it; 1 for the last one
    let lowest = |batch: u32| {
        let above_and_in = size.saturating_mul(batch);
        let index = view.len().checked_sub(above_and_in);
        let index = index.filter(|index| *index > 0)?;
        view.uid_of(SeqNum::at(index as usize))
    };
    let highest = |batch: u32| match batch.checked_sub(1) {
        None | Some(0) => view.last_uid(),
        Some(before) => lowest(before).and_then(|uid| Uid::new(uid.value() - 1)),
    };
    batches
        .filter_map(|batch| Some((highest(batch)?, lowest(batch).unwrap_or(Uid::MIN))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::backend::Mailbox;
    use crate::mailbox::memory::{Mail, Memory};
    use crate::mailbox::name::MailboxName;
    use crate::mailbox::uid_set::UidSet;

    /// A view of the UIDs 3, 6, 9 … of so many messages.
    fn every_third(messages: u32) -> View {
        let inbox = Memory::new().inbox("anna");
        for _ in 0..messages * 3 {
            inbox.add(Mail::new("x\n"));
        }
        let others: UidSet = (1..=messages * 3)
            .filter(|uid| uid % 3 != 0)
            .filter_map(Uid::new)
            .collect();
        inbox.expunge(&others).unwrap();
        Selected::open(inbox, MailboxName::inbox(), true).view
    }

    #[test]
    fn batches_are_full_and_leave_no_gap() {
        for (messages, size) in [(0, 2), (1, 2), (2, 2), (3, 2), (7, 3), (9, 3), (5, 10)] {
            let view = every_third(messages);
            let count = messages.div_ceil(size);
            let all = ranges(size, 1..=count, &view);
            assert_eq!(all.len(), count as usize, "{messages} by {size}");
            let mut next = view.last_uid().map(Uid::value);
            for (at, (high, low)) in all.iter().enumerate() {
                assert_eq!(Some(high.value()), next);
                let within = view.uids_within(low.value(), high.value()).count();
                let left = messages as usize - at * size as usize;
                assert_eq!(within, left.min(size as usize), "{messages} by {size}");
                next = high.value().checked_sub(high.value() - low.value() + 1);
            }
            assert_eq!(next.unwrap_or(0), 0, "{messages} by {size}");
            for batch in 1..=count {
                let alone = ranges(size, batch..=batch, &view);
                assert_eq!(alone, all[batch as usize - 1..batch as usize]);
            }
        }
    }
}
