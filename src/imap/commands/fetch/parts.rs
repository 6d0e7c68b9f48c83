//! What is read of a message before the first octet of its response goes out.

use super::plan::{Plan, has_octets, is_whole};
use super::section::{Answer, Transfer, answer};
use crate::imap::commands::open_message::OpenMessage;
use crate::mailbox::backend::{self, Reading};
use crate::mailbox::id::Uid;
use crate::message::envelope::Envelope;
use std::collections::VecDeque;

/// What was read of a message.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// INTERNALDATE, if it came along.
    pub(super) date: Option<i64>,
    /// RFC822.SIZE, if it was counted.
    pub(super) octets: Option<u64>,
    /// ENVELOPE, if it was asked for.
    pub(super) envelope: Envelope,
    /// For those items that have octets, in their order.
    pub(super) answers: VecDeque<Answer>,
    /// Where the rest comes from; none if nothing else is needed.
    pub(super) message: Option<Box<OpenMessage>>,
}

impl Parts {
    /// Reads what a plan needs of a message.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn of_message(plan: &Plan, mut message: Box<OpenMessage>) -> backend::Result<Self> {
        let mut parts = Self::default();
        if plan.envelope {
            parts.envelope = Envelope::parse(message.header()?);
        }
        if plan.structure {
            message.structure()?;
        }
        for item in plan.items.iter().filter(|item| has_octets(item)) {
            let answer = answer(item, &mut message)?;
            if let (true, Answer::Octets(transfer)) = (is_whole(item), &answer) {
                parts.octets = Some(transfer.left());
            }
            parts.answers.push_back(answer);
        }
        parts.message = Some(message);
        Ok(parts)
    }

    /// Finds what a plan needs of a message of which as much was read.
    ///
    /// # Errors
    /// As [`Parts::of_message`].
    pub(super) fn of_reading(plan: &Plan, reading: Reading<'_>, uid: Uid) -> backend::Result<Self> {
        let parts = if plan.only_whole {
            let items = plan.items.iter().filter(|item| is_whole(item));
            let transfers: Vec<_> = items
                .map(|_| Transfer::of_message(reading.octets))
                .collect();
            Self {
                octets: transfers.first().map(Transfer::left),
                answers: transfers.into_iter().map(Answer::Octets).collect(),
                ..Self::default()
            }
        } else {
            let message = OpenMessage::of_octets(reading.octets.to_vec(), uid);
            Self::of_message(plan, Box::new(message))?
        };
        Ok(Self {
            date: Some(reading.date),
            ..parts
        })
    }

    /// How many octets of memory it takes, small things apart.
    pub(super) fn weight(&self) -> u64 {
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::Octets(transfer) => transfer.left(),
            Answer::Nil | Answer::Number(_) | Answer::UnknownEncoding => 0,
        });
        let message = self.message.as_ref().map_or(0, |message| message.stored());
        answers.fold(message, u64::saturating_add)
    }
}
