//! When accounts last logged in, for LOGIN-DELAY (RFC 2449 §6.5); shared by all sessions of a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Accounts remembered. When there are more, those whose delay is over are forgotten, and if that does not help, all: an account
/// may then log in once too early.
const MAX_ACCOUNTS: usize = 65_536;

/// Last logins by account.
#[derive(Debug, Default)]
pub struct RecentLogins(Mutex<HashMap<Arc<str>, Instant>>);

impl RecentLogins {
    /// How long the account has to wait until it may log in again; none if it may now.
    pub(crate) fn wait(&self, user: &str, now: Instant, delay: Duration) -> Option<Duration> {
        if delay.is_zero() {
            return None;
        }
        let logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(*logins.get(user)?);
        delay.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    /// Notes a login.
    pub(crate) fn note(&self, user: &Arc<str>, now: Instant, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MAX_ACCOUNTS {
            logins.retain(|_, login| now.saturating_duration_since(*login) < delay);
        }
        if logins.len() >= MAX_ACCOUNTS {
            logins.clear();
        }
        logins.insert(Arc::clone(user), now);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(60);

    #[test]
    fn an_account_waits_for_its_own_delay() {
        let (logins, now) = (RecentLogins::default(), Instant::now());
        logins.note(&"anna".into(), now, DELAY);
        for (user, secs, expected) in [
            ("anna", 0, Some(60)),
            ("anna", 59, Some(1)),
            ("anna", 60, None),
            ("bruno", 0, None),
        ] {
            let wait = logins.wait(user, now + Duration::from_secs(secs), DELAY);
            assert_eq!(
                wait,
                expected.map(Duration::from_secs),
                "{user} after {secs}"
            );
        }
        assert_eq!(logins.wait("anna", now, Duration::ZERO), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (logins, now) = (RecentLogins::default(), Instant::now());
        for number in 0..MAX_ACCOUNTS {
            logins.note(&number.to_string().into(), now, DELAY);
        }
        let later = now + Duration::from_secs(30);
        logins.note(&"anna".into(), later, DELAY);
        assert_eq!(logins.0.lock().unwrap().len(), 1);
        for number in 1..MAX_ACCOUNTS {
            logins.note(&number.to_string().into(), now, DELAY);
        }
        logins.note(&"bruno".into(), now + DELAY, DELAY);
        assert_eq!(logins.0.lock().unwrap().len(), 2);
    }
}
