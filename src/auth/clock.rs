//! The clock of the authenticator, which has threads of its own; the only place in `auth` that reads one.

use std::time::{Instant, SystemTime};

/// Now, for queue, cache and policy.
#[expect(
    clippy::disallowed_methods,
    reason = "the authenticator's threads have no caller to bring the time"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for the time of the last login; nothing depends on it.
#[expect(clippy::disallowed_methods, reason = "as above")]
pub(super) fn unix_secs() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
