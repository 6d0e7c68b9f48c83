//! Dovecot's dotlock: `<file>.lock`, made exclusively, holding `pid:host`.

use super::Ownership;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A lock held by us; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct DotLock {}

impl DotLock {
    /// Takes the lock of a file (`<file>.lock`), waiting for others.
    ///
    /// A lock whose process is dead on this host is taken over at once; one of another host when it has not been touched for
    /// `stale_after`. Threads of this process keep each other out as well.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when it was not to be had in time, else what the system says.
    pub(crate) fn acquire(
        _file: &Path,
        _like: &Ownership,
        _timeout: Duration,
        _stale_after: Duration,
    ) -> io::Result<Self> {
        todo!()
    }

    /// Tells other hosts that we are alive. Call it every ten seconds or so while holding the lock.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the lock was taken from us.
    pub(crate) fn touch(&self) -> io::Result<()> {
        todo!()
    }
}
