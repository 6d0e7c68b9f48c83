//! What the system says, told twice: to the operator in the log, to the client as an [`Error`] without paths.

use super::clock;
use super::compressed::Unreadable;
use crate::mailbox::backend::Error;
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often trouble that lasts is logged.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// Logs what went wrong where, once, and returns what the client may hear of it.
pub(super) fn failed(operation: &'static str, path: &Path, cause: &io::Error) -> Error {
    tracing::error!(
        operation,
        path = ?path,
        %cause,
        euid = rustix::process::geteuid().as_raw(),
        egid = rustix::process::getegid().as_raw(),
        advice = advice(cause),
        "storage_failed"
    );
    for_client(cause)
}

/// Trouble with one thing that is asked for again and again, as by every message of one FETCH: logged when it begins, and again while it lasts.
#[derive(Debug, Default)]
pub(super) struct Lasting(AtomicU64);

impl Lasting {
    /// As [`failed`], but logged only if it was not for [`LOG_AGAIN`].
    pub(super) fn failed(&self, operation: &'static str, path: &Path, cause: &io::Error) -> Error {
        let now = clock::since_epoch(clock::now()).as_secs();
        let logged = self.0.load(Ordering::Relaxed);
        if logged > 0 && now.saturating_sub(logged) < LOG_AGAIN.as_secs() {
            return for_client(cause);
        }
        self.0.store(now.max(1), Ordering::Relaxed);
        failed(operation, path, cause)
    }

    /// What failed was done.
    pub(super) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// As [`failed`], for trouble that costs one message, or is got around, and is mended by itself.
pub(super) fn noted(operation: &'static str, path: &Path, cause: &io::Error) {
    tracing::warn!(
        operation,
        path = ?path,
        %cause,
        advice = advice(cause),
        "storage_trouble"
    );
}

/// By whose fault it is. What this process may not do is no matter of the client's rights, but of the operator's hands.
pub(super) fn for_client(cause: &io::Error) -> Error {
    match Unreadable::of(cause) {
        Some(Unreadable::Damaged | Unreadable::TooLarge) => return Error::Corrupt,
        Some(Unreadable::Unsupported | Unreadable::Encrypted) => {
            let text = "this message is stored in a form that only another mail server can read";
            return Error::Cannot(text.to_owned());
        }
        None => {}
    }
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::NoSpace,
        ErrorKind::ReadOnlyFilesystem => Error::NoPermission,
        ErrorKind::InvalidFilename => {
            Error::Cannot("the name is too long for this mail store".to_owned())
        }
        _ => Error::Unavailable,
    }
}

/// What the operator can do about it.
fn advice(cause: &io::Error) -> &'static str {
    match Unreadable::of(cause) {
        Some(Unreadable::Damaged | Unreadable::TooLarge) => {
            return "put the file back from a backup, or remove it; all other messages are served";
        }
        Some(Unreadable::Unsupported | Unreadable::Encrypted) => {
            return "have Dovecot write the mailbox anew without that plugin (doveadm sync); all other messages are served";
        }
        None => {}
    }
    if let Some(Errno::MFILE | Errno::NFILE) = Errno::from_io_error(cause) {
        return "raise LimitNOFILE of the service, or lower limits.connections";
    }
    match cause.kind() {
        ErrorKind::StorageFull => "make room on the volume",
        ErrorKind::QuotaExceeded => "raise the file system's quota of the spool's owner",
        ErrorKind::PermissionDenied => {
            "give the server's user the right to read, write and search here and in all directories above"
        }
        ErrorKind::ReadOnlyFilesystem => "mount the volume for writing",
        ErrorKind::TimedOut => {
            "see which program holds the lock; a lock of a dead program on another host may be removed"
        }
        ErrorKind::InvalidFilename => {
            "the name is longer than the file system takes; give the account a shorter place (--spool)"
        }
        ErrorKind::NotFound => "see that the volume is mounted and the directory is there",
        _ => "see the system's log for trouble of the volume",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_room_from_rights_from_trouble() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, Error::NoSpace),
            (ErrorKind::QuotaExceeded, Error::NoSpace),
            (ErrorKind::PermissionDenied, Error::Unavailable),
            (ErrorKind::ReadOnlyFilesystem, Error::NoPermission),
            (ErrorKind::TimedOut, Error::Unavailable),
            (ErrorKind::Other, Error::Unavailable),
            (ErrorKind::InvalidData, Error::Unavailable),
        ] {
            assert_eq!(
                failed("test", Path::new("/x"), &io::Error::from(kind)),
                expected
            );
        }
    }

    #[test]
    fn advises_more_files_where_they_are_too_few() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert!(advice(&io::Error::from(errno)).contains("LimitNOFILE"));
        }
        assert!(!advice(&io::Error::from(Errno::IO)).contains("LimitNOFILE"));
    }

    #[test]
    fn tells_what_is_damaged_from_what_is_another_servers() {
        for (why, is_damage) in [
            (Unreadable::Damaged, true),
            (Unreadable::TooLarge, true),
            (Unreadable::Unsupported, false),
            (Unreadable::Encrypted, false),
        ] {
            let error = failed("test", Path::new("/x"), &why.into());
            assert_eq!(error == Error::Corrupt, is_damage, "{why:?}");
            assert_eq!(matches!(error, Error::Cannot(_)), !is_damage, "{why:?}");
        }
    }
}
