//! Messages that this process gave a UID before their mailbox was read: the first session that is told of them sees them as `\Recent`.
//!
//! Maildir knows recent messages by their lying in `new/`, and one that comes with flags must lie in `cur/`. So what APPEND, COPY and MOVE put
//! there is remembered here until somebody opens the mailbox (RFC 3501 §2.3.2, §6.3.11). A restart forgets it, as does a process of many
//! accounts that has more than [`MAX_MAILBOXES`] mailboxes waiting.

use crate::mailbox::id::{Uid, UidValidity};
use crate::mailbox::uid_set::UidSet;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most mailboxes remembered; when there is one more, all are forgotten.
const MAX_MAILBOXES: usize = 1024;

/// Which mailbox: the spool, and a UIDVALIDITY that this spool has once, whatever the mailbox's name is by now.
type Key = (PathBuf, UidValidity);

/// What nobody was told of yet, of all mailboxes.
#[derive(Debug, Default)]
pub(super) struct Fresh(Mutex<HashMap<Key, UidSet>>);

impl Fresh {
    /// Remembers messages.
    pub(super) fn note(&self, root: &Path, uid_validity: UidValidity, uids: &[Uid]) {
        let mut waiting = self.lock();
        let key = (root.to_owned(), uid_validity);
        if waiting.len() >= MAX_MAILBOXES && !waiting.contains_key(&key) {
            waiting.clear();
        }
        waiting.entry(key).or_default().extend(uids.iter().copied());
    }

    /// Hands over what is remembered of a mailbox.
    pub(super) fn take(&self, root: &Path, uid_validity: UidValidity) -> UidSet {
        let mut waiting = self.lock();
        if waiting.is_empty() {
            return UidSet::new();
        }
        waiting
            .remove(&(root.to_owned(), uid_validity))
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, UidSet>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_handed_over_once_and_the_rest_is_bounded() {
        let fresh = Fresh::default();
        let validity = |value: u32| UidValidity::from(std::num::NonZeroU32::new(value).unwrap());
        let uids = |values: &[u32]| -> Vec<Uid> {
            values.iter().filter_map(|value| Uid::new(*value)).collect()
        };
        let root = Path::new("/v/anna");
        fresh.note(root, validity(1), &uids(&[3, 4]));
        fresh.note(root, validity(1), &uids(&[7]));
        assert!(fresh.take(root, validity(2)).is_empty());
        assert!(fresh.take(Path::new("/v/bruno"), validity(1)).is_empty());
        assert_eq!(
            fresh.take(root, validity(1)),
            uids(&[3, 4, 7]).into_iter().collect()
        );
        assert!(fresh.take(root, validity(1)).is_empty());
        for value in 1..5000 {
            fresh.note(root, validity(value), &uids(&[1]));
        }
        assert!(fresh.lock().len() <= MAX_MAILBOXES);
        assert!(!fresh.take(root, validity(4999)).is_empty());
    }
}
