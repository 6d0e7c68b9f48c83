//! The authenticator: policy, a cache of successes, and a small pool of threads that look records up and hash.
//!
//! The way of an attempt: the [policy](super::policy) tells when its password may be looked at; if that is now and the same login was
//! right a moment ago, that is the answer ([`super::cache`]); else a thread of the [pool](super::pool) looks up and hashes.
//! Unknown user, wrong password and disabled account get the same answer after the same work. Trouble of ours (queue full, disk hung,
//! database damaged) is [`Denial::Unavailable`], and comes in time. The [`super::watcher`] sees changes of the records.

use super::cache::{Cache, CacheKey};
use super::credential::Credential;
use super::database::{CredentialStore, StoreError};
use super::keyed::Key;
use super::password::{Costs, Hasher, PasswordError};
use super::policy::{Policy, PolicySettings, Try, Turn};
use super::pool::{Limits, Pool};
use super::user_name::UserName;
use super::watcher::{self, OnChange, Watcher};
use super::{
    Accepted, Attempt, Authenticator, Denial, Denied, Outcome, clock, detail, unavailable,
};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Hashing threads: with [`super::password::MEMORY_KIB`], the memory that logins can take.
pub const THREADS: usize = 2;

/// Logins that may wait for a thread; with one hash taking a tenth of a second, about what is done within [`DEADLINE`].
pub const QUEUE: usize = 256;

/// Longest time for a decision; below the patience of clients, commonly a minute.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long a success is remembered; most clients poll more often.
pub const CACHE_TTL: Duration = Duration::from_secs(300);

/// How often, at most, each kind of trouble with the store is logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What an operator does about trouble with the store.
pub(super) const STORE_ADVICE: &str =
    "look at the file, its rights and its volume; `restante config check` tells more";

/// Settings of the authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Costs of new hashes.
    pub costs: Costs,
    /// See [`THREADS`].
    pub threads: usize,
    /// See [`QUEUE`].
    pub queue: usize,
    /// See [`DEADLINE`].
    pub deadline: Duration,
    /// See [`CACHE_TTL`]; zero: not at all.
    pub cache_ttl: Duration,
    /// Waits after failures.
    pub policy: PolicySettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            costs: Costs::default(),
            threads: THREADS,
            queue: QUEUE,
            deadline: DEADLINE,
            cache_ttl: CACHE_TTL,
            policy: PolicySettings::default(),
        }
    }
}

/// Why the authenticator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The costs of hashes are impossible.
    #[error(transparent)]
    Costs(#[from] PasswordError),
    /// No thread can be started.
    #[error("no thread for logins can be started")]
    Threads(#[from] io::Error),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Randomness,
}

/// Decides logins by a [`CredentialStore`].
pub struct Service {
    /// Shared with the threads.
    shared: Arc<Shared>,
    /// Threads that decide.
    pool: Pool,
    /// Ends its thread when it is dropped.
    _watcher: Watcher,
}

/// What all threads share.
pub(super) struct Shared {
    /// As given.
    settings: Settings,
    /// Records.
    pub(super) store: Arc<dyn CredentialStore>,
    /// Checks passwords.
    hasher: Hasher,
    /// Of keyed digests.
    key: Key,
    /// Failures.
    policy: Mutex<Policy>,
    /// Successes.
    pub(super) cache: Mutex<Cache>,
    /// Hashes made anew with today's costs, for the watcher to write.
    pub(super) rehashed: Mutex<Vec<Rehashed>>,
    /// Whom to tell of changes.
    pub(super) on_change: Mutex<Vec<OnChange>>,
    /// When trouble with a look-up was last logged.
    complained: Mutex<Option<Instant>>,
}

/// A hash to be put in an older one's place.
pub(super) struct Rehashed {
    /// Whose.
    pub(super) user: UserName,
    /// The one that was checked.
    pub(super) old: String,
    /// The one with today's costs.
    pub(super) new: String,
}

/// An attempt and what is computed of it once.
struct Case {
    /// As it came.
    attempt: Attempt,
    /// The account, if it is a possible name.
    user: Option<UserName>,
    /// For the policy.
    attempted: Try,
    /// For the cache.
    key: CacheKey,
}

impl Service {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn new(store: Arc<dyn CredentialStore>, settings: Settings) -> Result<Self, StartError> {
        let limits = Limits {
            threads: settings.threads,
            queue: settings.queue,
            deadline: settings.deadline,
        };
        let shared = Arc::new(Shared {
            hasher: Hasher::new(settings.costs)?,
            key: Key::random().ok_or(StartError::Randomness)?,
            policy: Mutex::new(Policy::new(settings.policy)),
            settings,
            store,
            cache: Mutex::default(),
            rehashed: Mutex::default(),
            on_change: Mutex::default(),
            complained: Mutex::default(),
        });
        Ok(Self {
            pool: Pool::start(limits)?,
            _watcher: watcher::start(Arc::clone(&shared))?,
            shared,
        })
    }

    /// Has a function called with the name of each account that logged in before and whose record is changed, disabled or removed.
    ///
    /// It is called on the watcher's thread, within a second of the change, and must not block.
    pub fn on_change(&self, callback: impl Fn(&str) + Send + Sync + 'static) {
        lock(&self.shared.on_change).push(Box::new(callback));
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("store", &self.shared.store)
            .finish_non_exhaustive()
    }
}

impl Authenticator for Service {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let now = clock::now();
        let case = self.shared.case(attempt);
        let Some(turn) = lock(&self.shared.policy).admit(&case.attempted, now) else {
            return done(Err(unavailable(detail::THROTTLED)));
        };
        if turn.wait.is_zero()
            && let Some(accepted) = self.shared.remembered(&case, now)
        {
            return done(Ok(accepted));
        }
        let shared = Arc::clone(&self.shared);
        let work = Box::new(move || shared.decide(&case, turn));
        self.pool.run(turn.wait, work, done);
    }
}

impl Shared {
    /// Computes what is needed more than once.
    fn case(&self, attempt: Attempt) -> Case {
        let credentials = &attempt.credentials;
        let password = credentials.password.expose();
        let user = UserName::new(&credentials.authcid).ok();
        let authzid = UserName::new(&credentials.authzid).ok();
        let spelt = |user: &Option<UserName>, text: &str| {
            let user = user.as_ref().map(UserName::shared);
            user.unwrap_or_else(|| text.into())
        };
        let name = spelt(&user, &credentials.authcid);
        let on_behalf_of = spelt(&authzid, &credentials.authzid);
        Case {
            attempted: Try {
                account: self.key.short(&[b"account", name.as_bytes()]),
                address: attempt.remote.ip(),
                secret: self.key.short(&[b"secret", name.as_bytes(), password]),
            },
            key: self.key.full(&[
                b"login",
                name.as_bytes(),
                on_behalf_of.as_bytes(),
                attempt.protocol.as_bytes(),
                attempt.mechanism.as_bytes(),
                password,
            ]),
            user,
            attempt,
        }
    }

    /// A success remembered for exactly this attempt.
    fn remembered(&self, case: &Case, now: Instant) -> Option<Accepted> {
        let user = case.user.as_ref()?;
        let mut cache = lock(&self.cache);
        let accepted = cache.find(&case.key, now)?;
        cache.note_login(user, clock::unix_secs());
        drop(cache);
        lock(&self.policy).succeed(&case.attempted, now);
        Some(accepted)
    }

    /// The decision, on a thread of the pool.
    fn decide(&self, case: &Case, turn: Turn) -> Outcome {
        // a client that opens several connections at once has been let in by another meanwhile
        if let Some(accepted) = self.remembered(case, clock::now()) {
            return Ok(accepted);
        }
        let password = &case.attempt.credentials.password;
        let found = case.user.as_ref().map(|user| self.store.find(user));
        let record = match found.transpose() {
            Ok(record) => record.flatten(),
            Err(error) => return Err(self.store_failed(&error)),
        };
        let Some(record) = record else {
            self.hasher.verify_nobody(password);
            return Err(self.refuse(case, turn, detail::UNKNOWN_USER));
        };
        match self.hasher.verify(password, &record.password_hash) {
            Ok(_) if !record.enabled => Err(self.refuse(case, turn, detail::DISABLED)),
            Ok(false) => Err(self.refuse(case, turn, detail::WRONG_PASSWORD)),
            Ok(true) => self.accept(case, record),
            Err(error) => {
                tracing::error!(user = %record.user, %error, "password_hash_unusable: set the password anew with `restante user passwd`");
                Err(unavailable(detail::HASH_UNUSABLE))
            }
        }
    }

    /// The password is right.
    fn accept(&self, case: &Case, record: Credential) -> Outcome {
        let credentials = &case.attempt.credentials;
        let now = clock::now();
        lock(&self.policy).succeed(&case.attempted, now);
        if !credentials.authzid.is_empty()
            && UserName::new(&credentials.authzid).as_ref() != Ok(&record.user)
        {
            return Err(Denied {
                reason: Denial::NotAuthorized,
                detail: detail::NOT_AUTHORIZED,
                delay: self.settings.policy.first_delay,
            });
        }
        self.rehash(&record, case);
        let accepted = Accepted {
            user: record.user.shared(),
            spool: record.spool,
            disabled_capabilities: Arc::new(record.disabled_capabilities),
        };
        let mut cache = lock(&self.cache);
        cache.note_login(&record.user, clock::unix_secs());
        let (generation, ttl) = (record.generation, self.settings.cache_ttl);
        cache.insert(case.key, &record.user, generation, &accepted, now, ttl);
        Ok(accepted)
    }

    /// Hashes anew what was hashed with other costs.
    fn rehash(&self, record: &Credential, case: &Case) {
        if !self.hasher.is_outdated(&record.password_hash) {
            return;
        }
        if let Ok(new) = self.hasher.hash(&case.attempt.credentials.password) {
            lock(&self.rehashed).push(Rehashed {
                user: record.user.clone(),
                old: record.password_hash.clone(),
                new,
            });
        }
    }

    /// The refusal that says no more than it should.
    fn refuse(&self, case: &Case, turn: Turn, detail: &'static str) -> Denied {
        Denied {
            reason: Denial::WrongCredentials,
            detail,
            delay: lock(&self.policy).fail(&case.attempted, turn, clock::now()),
        }
    }

    /// The refusal for trouble with the store, which is logged now and then.
    fn store_failed(&self, error: &StoreError) -> Denied {
        let now = clock::now();
        let mut complained = lock(&self.complained);
        if complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_INTERVAL) {
            *complained = Some(now);
            tracing::error!(%error, advice = STORE_ADVICE, "credential_lookup_failed: logins are refused as temporary failures");
        }
        unavailable(detail::STORE_UNAVAILABLE)
    }
}

/// Takes a lock; a thread that panicked leaves nothing half done under it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
