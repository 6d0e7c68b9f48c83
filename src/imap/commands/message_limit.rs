//! How many messages one command may process (RFC 9738).
//!
//! A command that names more does its work on the last of them, from the highest UID downwards, and ends with
//! `[MESSAGELIMIT n uid]`, where `uid` is the last one it came to; COPY and APPEND, which do all or nothing, do nothing.

use crate::imap::session::reply::CommandError;
use crate::imap::types::response::Code;
use crate::imap::types::sequence::PartialRange;
use crate::mailbox::id::Uid;
use crate::mailbox::uid_set::UidSet;

/// The limits of a session, and whether the command in progress has met one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MessageLimits {
    /// MESSAGELIMIT: for every command that it is meant for.
    pub(crate) messages: Option<u32>,
    /// SAVELIMIT: for COPY and APPEND.
    pub(crate) saved: Option<u32>,
    /// Where the command in progress stopped.
    pub(crate) cut: Option<Cut>,
}

/// Where a command stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    limit: u32,
    lowest: Uid,
}

impl Cut {
    /// What the client is told of it.
    pub(crate) const fn code(self) -> Code {
        Code::MessageLimit(self.limit, Some(self.lowest))
    }
}

impl MessageLimits {
    /// How many messages COPY and APPEND may take.
    pub(crate) fn to_save(self) -> Option<u32> {
        [self.messages, self.saved].into_iter().flatten().min()
    }

    /// Keeps the messages that one command may process, and notes where it stops. They come rising, and are falling after a cut.
    pub(crate) fn cut<T>(&mut self, mut rising: Vec<T>, uid: impl Fn(&T) -> Uid) -> Vec<T> {
        let Some(limit) = self.messages else {
            return rising;
        };
        let Some(beyond) = rising.len().checked_sub(limit as usize) else {
            return rising;
        };
        if beyond == 0 {
            return rising;
        }
        let mut kept = rising.split_off(beyond);
        kept.reverse();
        self.cut = kept.last().map(uid).map(|lowest| Cut { limit, lowest });
        kept
    }

    /// The same for a set.
    pub(crate) fn cut_set(&mut self, uids: UidSet) -> UidSet {
        let is_beyond = self
            .messages
            .is_some_and(|limit| uids.len() > limit as usize);
        if !is_beyond {
            return uids;
        }
        let kept = self.cut(uids.iter().collect(), |uid| *uid);
        kept.into_iter().rev().collect()
    }

    /// Refuses a window that is wider than one command may process.
    ///
    /// # Errors
    /// `NO [MESSAGELIMIT n]`
    pub(crate) fn check_window(self, window: Option<PartialRange>) -> Result<(), CommandError> {
        match (self.messages, window) {
            (Some(limit), Some(window)) if window.size() > u64::from(limit) => {
                let text = "the window is wider than one command may process";
                Err(CommandError::no(Code::MessageLimit(limit, None), text))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to copy more messages than one command may.
    ///
    /// # Errors
    /// `NO [MESSAGELIMIT n uid]`
    pub(crate) fn check_copy(self, uids: &UidSet) -> Result<(), CommandError> {
        let Some(limit) = self.to_save().filter(|limit| uids.len() > *limit as usize) else {
            return Ok(());
        };
        let lowest = uids.iter().rev().nth(limit.saturating_sub(1) as usize);
        let code = Code::MessageLimit(limit, lowest);
        Err(CommandError::no(code, "too many messages to copy at once"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(values: &[u32]) -> Vec<Uid> {
        values.iter().copied().filter_map(Uid::new).collect()
    }

    #[test]
    fn the_last_messages_are_kept() {
        for (limit, expected, lowest) in [
            (Some(2), &[9, 7][..], Some(7)),
            (Some(3), &[9, 7, 4], Some(4)),
            (Some(4), &[2, 4, 7, 9], None),
            (Some(5), &[2, 4, 7, 9], None),
            (None, &[2, 4, 7, 9], None),
        ] {
            let mut limits = MessageLimits {
                messages: limit,
                ..MessageLimits::default()
            };
            let kept = limits.cut(uids(&[2, 4, 7, 9]), |uid| *uid);
            assert_eq!(kept, uids(expected));
            assert_eq!(limits.cut.map(|cut| cut.lowest.value()), lowest);
            let set: UidSet = uids(&[2, 4, 7, 9]).into_iter().collect();
            let kept: UidSet = kept.into_iter().collect();
            assert_eq!(limits.cut_set(set), kept);
        }
    }
}
