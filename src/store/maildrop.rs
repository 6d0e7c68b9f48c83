//! The lock that gives a maildrop to one POP3 session alone (RFC 1939 §4).
//!
//! It is Dovecot's (`pop3_lock_session`): the dotlock `dovecot-pop3-session.lock` in the Maildir, which costs two system calls a session
//! and keeps out sessions of other processes, other servers on the same spool, and Dovecot's. A session that died with its process
//! leaves a lock that is taken over at once on this host, and after [`STALE_AFTER`] by other hosts, which is why a session in use
//! touches it. Where the file cannot be made (read-only spool) sessions of this process alone keep each other out.

use super::clock;
use super::failure;
use crate::durable::{DotLock, Ownership};
use crate::mailbox::backend::{MaildropLock, Result};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The file whose lock it is.
const FILE: &str = "dovecot-pop3-session";

/// How long another host leaves a lock alone that nobody touches: Dovecot's value.
const STALE_AFTER: Duration = Duration::from_secs(300);

/// How often a session in use touches its lock.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// True where no file can be made at all, for want of room or of rights.
fn cannot_write(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded
    )
}

/// Whether a session has the maildrop.
#[derive(Debug, Default)]
pub(super) struct Maildrop {
    held: Mutex<Weak<Held>>,
}

/// A session's hold of the maildrop.
#[derive(Debug)]
struct Held {
    /// None where no file can be made.
    lock: Option<DotLock>,
    touched: Mutex<Instant>,
}

/// What a session keeps.
#[derive(Debug)]
struct Session {
    /// Gives the lock back when it is dropped.
    _held: Arc<Held>,
}

impl MaildropLock for Session {}

impl Maildrop {
    /// Takes the maildrop; none if another session has it.
    ///
    /// # Errors
    /// As [`failure::failed`].
    pub(super) fn lock(
        &self,
        directory: &Path,
        like: &Ownership,
    ) -> Result<Option<Box<dyn MaildropLock>>> {
        let mut held = self.held();
        if held.strong_count() > 0 {
            return Ok(None);
        }
        let file = directory.join(FILE);
        let lock = match DotLock::acquire(&file, like, Duration::ZERO, STALE_AFTER) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(None),
            Err(error) if cannot_write(&error) => {
                failure::noted("lock the maildrop for POP3", &file, &error);
                None
            }
            Err(error) => {
                return Err(failure::failed("lock the maildrop for POP3", &file, &error));
            }
        };
        let session = Arc::new(Held {
            lock,
            touched: Mutex::new(clock::monotonic()),
        });
        *held = Arc::downgrade(&session);
        Ok(Some(Box::new(Session { _held: session })))
    }

    /// Tells other hosts, now and then, that the session is alive.
    pub(super) fn keep_alive(&self) {
        let Some(held) = self.held().upgrade() else {
            return;
        };
        let mut touched = held.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if clock::monotonic().duration_since(*touched) < TOUCH_INTERVAL {
            return;
        }
        *touched = clock::monotonic();
        if let Some(Err(error)) = held.lock.as_ref().map(DotLock::touch) {
            tracing::warn!(cause = %error, "maildrop_lock_lost");
        }
    }

    fn held(&self) -> MutexGuard<'_, Weak<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
