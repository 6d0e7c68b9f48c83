//! Logins that were right a moment ago, so that a client that polls costs a look-up and no hash.
//!
//! A success is remembered under a keyed digest of everything that the decision used, for minutes, and is dropped as soon as the
//! account's record changes. Failures are never remembered. Bounded.

use super::Accepted;
use super::user_name::UserName;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Remembered successes at most.
pub(super) const MAX_CACHED: usize = 50_000;

/// Keyed digest of what a decision used.
pub(super) type CacheKey = [u8; 32];

/// What is remembered of logins.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// By what the decision used.
    successes: HashMap<CacheKey, Success>,
    /// Accounts that logged in since the start.
    active: HashMap<UserName, Active>,
    /// Of those, the ones decided since the watcher looked last: their record may have changed while they were decided.
    fresh: HashSet<UserName>,
    /// Logins to be noted in the store, in seconds since 1970.
    logins: HashMap<UserName, i64>,
}

/// One success.
#[derive(Debug)]
struct Success {
    /// What it gave.
    accepted: Accepted,
    /// Till when it counts.
    until: Instant,
}

/// An account in use.
#[derive(Debug)]
struct Active {
    /// That of its record when it was last decided.
    generation: i64,
    /// Its successes.
    keys: Vec<CacheKey>,
}

impl Cache {
    /// A success that still counts.
    pub(super) fn find(&self, key: &CacheKey, now: Instant) -> Option<Accepted> {
        let success = self.successes.get(key)?;
        (success.until > now).then(|| success.accepted.clone())
    }

    /// Notes that an account is in use, and, if there is a time to live, that the decision counts for so long.
    pub(super) fn insert(
        &mut self,
        key: CacheKey,
        user: &UserName,
        generation: i64,
        accepted: &Accepted,
        now: Instant,
        ttl: Duration,
    ) {
        self.fresh.insert(user.clone());
        if self.successes.len() >= MAX_CACHED && !self.successes.contains_key(&key) {
            self.make_room(now);
        }
        let active = self.active.entry(user.clone()).or_insert_with(|| Active {
            generation,
            keys: Vec::new(),
        });
        // of two decisions under way, the one that saw the older record is the one to be looked at
        active.generation = active.generation.min(generation);
        if let Some(until) = now.checked_add(ttl).filter(|until| *until > now) {
            if !active.keys.contains(&key) {
                active.keys.push(key);
            }
            let accepted = accepted.clone();
            self.successes.insert(key, Success { accepted, until });
        }
    }

    /// Drops what counts no more, or else any quarter.
    fn make_room(&mut self, now: Instant) {
        self.successes.retain(|_, success| success.until > now);
        let mut number = 0_usize;
        if self.successes.len() >= MAX_CACHED {
            self.successes.retain(|_, _| {
                number += 1;
                !number.is_multiple_of(4)
            });
        }
        let successes = &self.successes;
        for active in self.active.values_mut() {
            active.keys.retain(|key| successes.contains_key(key));
        }
    }

    /// Notes a login.
    pub(super) fn note_login(&mut self, user: &UserName, unix_secs: i64) {
        match self.logins.get_mut(user) {
            Some(last) => *last = unix_secs,
            None => drop(self.logins.insert(user.clone(), unix_secs)),
        }
    }

    /// Logins noted since the last call.
    pub(super) fn take_logins(&mut self) -> Vec<(UserName, i64)> {
        std::mem::take(&mut self.logins).into_iter().collect()
    }

    /// Accounts decided since the last call.
    pub(super) fn take_fresh(&mut self) -> HashSet<UserName> {
        std::mem::take(&mut self.fresh)
    }

    /// All accounts in use.
    pub(super) fn active(&self) -> HashSet<UserName> {
        self.active.keys().cloned().collect()
    }

    /// The generation that an account in use had.
    pub(super) fn generation(&self, user: &UserName) -> Option<i64> {
        self.active.get(user).map(|active| active.generation)
    }

    /// Forgets an account.
    pub(super) fn forget(&mut self, user: &UserName) {
        for key in self
            .active
            .remove(user)
            .into_iter()
            .flat_map(|active| active.keys)
        {
            self.successes.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn accepted(name: &str) -> Accepted {
        Accepted {
            user: name.into(),
            ..Accepted::default()
        }
    }

    fn key(n: usize) -> CacheKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn a_success_counts_for_its_time_and_until_its_account_changes() {
        let (mut cache, now) = (Cache::default(), super::super::clock::now());
        cache.insert(key(1), &user("anna"), 5, &accepted("anna"), now, TTL);
        cache.insert(key(2), &user("anna"), 5, &accepted("anna"), now, TTL);
        cache.insert(key(3), &user("bruno"), 1, &accepted("bruno"), now, TTL);
        let late = TTL - Duration::from_secs(1);
        assert_eq!(cache.find(&key(1), now + late), Some(accepted("anna")));
        assert_eq!(cache.find(&key(1), now + TTL), None);
        assert_eq!(cache.find(&key(4), now), None);
        assert_eq!(cache.take_fresh(), [user("anna"), user("bruno")].into());
        cache.forget(&user("anna"));
        assert!(cache.find(&key(1), now).is_none() && cache.find(&key(2), now).is_none());
        assert!(cache.find(&key(3), now).is_some());
        assert_eq!(cache.active(), [user("bruno")].into());
    }

    #[test]
    fn without_time_to_live_nothing_is_remembered_but_the_account_is_watched() {
        let (mut cache, now) = (Cache::default(), super::super::clock::now());
        cache.insert(
            key(1),
            &user("anna"),
            5,
            &accepted("anna"),
            now,
            Duration::ZERO,
        );
        assert_eq!(cache.find(&key(1), now), None);
        assert_eq!(cache.generation(&user("anna")), Some(5));
    }

    #[test]
    fn is_bounded() {
        let (mut cache, now) = (Cache::default(), super::super::clock::now());
        for n in 0..MAX_CACHED + 10 {
            cache.insert(
                key(n),
                &user(&format!("u{}", n % 100)),
                1,
                &accepted("u"),
                now,
                TTL,
            );
        }
        assert!((MAX_CACHED / 2..=MAX_CACHED).contains(&cache.successes.len()));
        let keys: usize = cache.active.values().map(|active| active.keys.len()).sum();
        assert_eq!(keys, cache.successes.len());
    }

    #[test]
    fn notes_the_last_login_of_each() {
        let mut cache = Cache::default();
        cache.note_login(&user("anna"), 1);
        cache.note_login(&user("anna"), 2);
        assert_eq!(cache.take_logins(), [(user("anna"), 2)]);
        assert!(cache.take_logins().is_empty());
    }
}
