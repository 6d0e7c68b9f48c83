//! The clock of the store: the only place here that reads it.

use std::time::{Duration, Instant, SystemTime};

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the store names files and judges time stamps of directories by the time of day"
)]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// A clock that only goes forward.
#[expect(
    clippy::disallowed_methods,
    reason = "the timer of the watch waits, and syncs are timed, by a clock that only goes forward"
)]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

/// Time since 1970; zero before.
pub(super) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
}

/// A point in time from seconds since 1970, which may lie before; none if the system cannot express it.
pub(super) fn from_unix(secs: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(secs.unsigned_abs());
    if secs < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_before_1970_are_dates() {
        assert_eq!(
            from_unix(-1),
            SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1))
        );
        assert_eq!(from_unix(0), Some(SystemTime::UNIX_EPOCH));
        assert_eq!(since_epoch(from_unix(-5).unwrap()), Duration::ZERO);
        assert_eq!(since_epoch(from_unix(7).unwrap()), Duration::from_secs(7));
    }
}
