//! The authenticator: a cache of successes in front of a small pool of hashing threads.
//!
//! - A success is remembered for minutes under a keyed hash of everything that the decision used. It is dropped as soon as the
//!   account's record changes; a failure is never remembered.
//! - Everything else goes through a bounded queue to the pool, so that a flood of logins costs `threads × Argon2 memory` and slows
//!   logins only. Full queue, slow disk, damaged database: [`Denial::Unavailable`], and in time: a watchman answers for threads that hang.
//! - A watcher looks a few times a second whether the store was changed, and tells whoever asked ([`Service::on_change`]).

use super::database::{CredentialStore, StoreError};
use super::password::{Costs, Hasher, PasswordError};
use super::policy::{Digest, Policy, PolicySettings};
use super::user_name::UserName;
use super::{Accepted, Attempt, Authenticator, Denial, Denied, Outcome, detail};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How often the store is asked whether it was changed; a change counts within a second.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// How often the times of last logins are written.
const NOTE_INTERVAL: Duration = Duration::from_secs(5);

/// Remembered successes at most.
pub const MAX_CACHED: usize = 50_000;

/// Settings of the authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Costs of new hashes.
    pub costs: Costs,
    /// Hashing threads: with `costs.memory_kib`, the memory that logins can take.
    pub threads: usize,
    /// Logins that may wait for a thread.
    pub queue: usize,
    /// Longest time for a decision.
    pub deadline: Duration,
    /// How long a success is remembered; zero: not at all.
    pub cache_ttl: Duration,
    /// Waits after failures.
    pub policy: PolicySettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            costs: Costs::default(),
            threads: 2,
            queue: 256,
            deadline: Duration::from_secs(20),
            cache_ttl: Duration::from_secs(300),
            policy: PolicySettings::default(),
        }
    }
}

/// Called with the name of an account whose record was changed or removed.
type OnChange = Box<dyn Fn(&str) + Send + Sync>;

/// How an attempt's answer goes back; taken by whoever answers first.
type Reply = Mutex<Option<Box<dyn FnOnce(Outcome) + Send>>>;

/// Decides logins by a [`CredentialStore`].
pub struct Service {
    /// Shared with the threads, which end when it is gone.
    shared: Arc<Shared>,
}

/// What all threads share.
struct Shared {
    settings: Settings,
    store: Box<dyn CredentialStore>,
    hasher: Hasher,
    /// Of keyed hashes; made anew at each start.
    key: [u8; 32],
    policy: Mutex<Policy>,
    cache: Mutex<Cache>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    on_change: Mutex<Vec<OnChange>>,
    stopping: AtomicBool,
    /// Told by the store's last answer; a change of it is logged once.
    store_ok: AtomicBool,
}

/// Attempts waiting and in work.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Ticket>>,
    /// All that have no answer yet, oldest first.
    open: VecDeque<Weak<Ticket>>,
}

/// One attempt on its way.
struct Ticket {
    attempt: Attempt,
    begun: Instant,
    reply: Reply,
}

/// Remembered successes.
#[derive(Default)]
struct Cache {
    successes: HashMap<[u8; 32], Success>,
    /// Accounts that logged in since the start, with the generation of their record then.
    active: HashMap<UserName, i64>,
    /// Of those, the ones decided since the watcher looked last: their record may have changed while it was being hashed.
    fresh: Vec<(UserName, i64)>,
    /// Logins to be noted in the store.
    logins: HashMap<UserName, i64>,
}

/// One success.
struct Success {
    user: UserName,
    accepted: Accepted,
    until: Instant,
}

impl Service {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`PasswordError::Costs`]
    pub fn new(store: Box<dyn CredentialStore>, settings: Settings) -> Result<Self, PasswordError> {
        let mut key = [0; 32];
        // without randomness nothing can be hashed either: refused like impossible costs
        getrandom::fill(&mut key).map_err(|_none| PasswordError::Costs)?;
        let shared = Arc::new(Shared {
            hasher: Hasher::new(settings.costs)?,
            policy: Mutex::new(Policy::new(settings.policy)),
            settings,
            store,
            key,
            cache: Mutex::default(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            on_change: Mutex::default(),
            stopping: AtomicBool::new(false),
            store_ok: AtomicBool::new(true),
        });
        for _ in 0..shared.settings.threads.max(1) {
            spawn("hashing", &shared, |shared| {
                while let Some(ticket) = shared.next_ticket() {
                    let outcome = shared.decide(&ticket.attempt);
                    ticket.answer(outcome);
                }
            });
        }
        spawn("login-watchman", &shared, |shared| {
            while !shared.stopped() {
                thread::sleep(WATCH_INTERVAL);
                shared.answer_overdue(clock());
            }
        });
        spawn("credential-watcher", &shared, |shared| shared.watch());
        Ok(Self { shared })
    }

    /// Has a function called with the name of each account that logged in before and whose record is changed, disabled or removed.
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

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.arrived.notify_all();
    }
}

impl Authenticator for Service {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let now = clock();
        if let Some(accepted) = self.shared.remembered(&attempt, now) {
            done(Ok(accepted));
            return;
        }
        if let Err(done) = self.shared.enqueue(attempt, done, now) {
            tracing::warn!(queue = self.shared.settings.queue, "login_queue_full");
            done(Err(unavailable(detail::QUEUE_FULL)));
        }
    }
}

/// The answer when the trouble is ours.
const fn unavailable(detail: &'static str) -> Denied {
    Denied {
        reason: Denial::Unavailable,
        detail,
        delay: Duration::ZERO,
    }
}

impl Ticket {
    /// Gives the answer, unless somebody has.
    fn answer(&self, outcome: Outcome) {
        let reply = lock(&self.reply).take();
        if let Some(reply) = reply {
            reply(outcome);
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Queues an attempt; gives the reply back when the queue is full.
    fn enqueue(
        &self,
        attempt: Attempt,
        done: Box<dyn FnOnce(Outcome) + Send>,
        begun: Instant,
    ) -> Result<(), Box<dyn FnOnce(Outcome) + Send>> {
        let mut queue = lock(&self.queue);
        if queue.waiting.len() >= self.settings.queue {
            return Err(done);
        }
        let ticket = Arc::new(Ticket {
            attempt,
            begun,
            reply: Mutex::new(Some(done)),
        });
        queue.open.push_back(Arc::downgrade(&ticket));
        queue.waiting.push_back(ticket);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the next attempt; none when the service has ended.
    fn next_ticket(&self) -> Option<Arc<Ticket>> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stopped() {
                return None;
            }
            if let Some(ticket) = queue.waiting.pop_front() {
                return Some(ticket);
            }
            queue = self
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Answers for attempts whose time is over: they waited too long, or their thread hangs.
    fn answer_overdue(&self, now: Instant) {
        let mut overdue = Vec::new();
        let mut queue = lock(&self.queue);
        while let Some(oldest) = queue.open.front() {
            match oldest.upgrade() {
                Some(ticket)
                    if now.saturating_duration_since(ticket.begun) < self.settings.deadline =>
                {
                    break;
                }
                Some(ticket) => overdue.push(ticket),
                None => {}
            }
            queue.open.pop_front();
        }
        let begun_too_early = |ticket: &Arc<Ticket>| {
            now.saturating_duration_since(ticket.begun) < self.settings.deadline
        };
        queue.waiting.retain(begun_too_early);
        drop(queue);
        for ticket in overdue {
            if lock(&ticket.reply).is_some() {
                tracing::error!(deadline_secs = self.settings.deadline.as_secs(), store = ?self.store, "login_overdue: is the disk of the credential database hanging?");
            }
            ticket.answer(Err(unavailable(detail::OVERDUE)));
        }
    }

    /// A success remembered for exactly this attempt.
    fn remembered(&self, attempt: &Attempt, now: Instant) -> Option<Accepted> {
        let user = UserName::new(&attempt.credentials.authcid).ok()?;
        let key = self.cache_key(&user, attempt);
        let mut cache = lock(&self.cache);
        let success = cache
            .successes
            .get(&key)
            .filter(|success| success.until > now)?;
        let accepted = success.accepted.clone();
        cache.logins.insert(user, unix_time());
        drop(cache);
        lock(&self.policy).succeed(&accepted.user, attempt.remote.ip(), now);
        Some(accepted)
    }

    /// The decision, on a hashing thread.
    fn decide(&self, attempt: &Attempt) -> Outcome {
        let credentials = &attempt.credentials;
        let user = UserName::new(&credentials.authcid).ok();
        let record = match user.as_ref().map(|user| self.store.find(user)).transpose() {
            Ok(record) => record.flatten(),
            Err(error) => return self.store_failed(&error),
        };
        let Some(record) = record else {
            self.hasher.verify_nobody(&credentials.password);
            return self.failed(attempt, detail::UNKNOWN_USER);
        };
        match self
            .hasher
            .verify(&credentials.password, &record.password_hash)
        {
            Ok(true) if record.enabled => {}
            Ok(_) if !record.enabled => return self.failed(attempt, detail::DISABLED),
            Ok(_) => return self.failed(attempt, detail::WRONG_PASSWORD),
            Err(error) => {
                tracing::error!(user = %record.user, %error, "password_hash_unusable: set the password with `restante user passwd`");
                return Err(unavailable(detail::HASH_UNUSABLE));
            }
        }
        if !credentials.authzid.is_empty()
            && UserName::new(&credentials.authzid).as_ref() != Ok(&record.user)
        {
            return Err(Denied {
                reason: Denial::NotAuthorized,
                detail: detail::NOT_AUTHORIZED,
                delay: self.settings.policy.first_delay,
            });
        }
        let accepted = Accepted {
            user: record.user.shared(),
            spool: record.spool,
        };
        self.remember(attempt, record.user, record.generation, &accepted);
        Ok(accepted)
    }

    /// Remembers a success.
    fn remember(&self, attempt: &Attempt, user: UserName, generation: i64, accepted: &Accepted) {
        let now = clock();
        lock(&self.policy).succeed(&accepted.user, attempt.remote.ip(), now);
        let key = self.cache_key(&user, attempt);
        let mut cache = lock(&self.cache);
        cache.active.insert(user.clone(), generation);
        cache.fresh.push((user.clone(), generation));
        cache.logins.insert(user.clone(), unix_time());
        if cache.successes.len() >= MAX_CACHED {
            cache.successes.retain(|_, success| success.until > now);
            if cache.successes.len() >= MAX_CACHED {
                cache.successes.clear();
            }
        }
        if let Some(until) = now
            .checked_add(self.settings.cache_ttl)
            .filter(|_| !self.settings.cache_ttl.is_zero())
        {
            cache.successes.insert(
                key,
                Success {
                    user,
                    accepted: accepted.clone(),
                    until,
                },
            );
        }
    }

    /// A wrong name or password.
    fn failed(&self, attempt: &Attempt, detail: &'static str) -> Outcome {
        let account: Arc<str> = attempt.credentials.authcid.to_lowercase().into();
        let digest = self.keyed(&[account.as_bytes(), attempt.credentials.password.expose()]);
        let mut secret = Digest::default();
        secret
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        let delay = lock(&self.policy).fail(&account, attempt.remote.ip(), secret, clock());
        Err(Denied {
            reason: Denial::WrongCredentials,
            detail,
            delay,
        })
    }

    /// Trouble with the store.
    fn store_failed(&self, error: &StoreError) -> Outcome {
        self.note_store(Err(error));
        Err(unavailable(detail::STORE_UNAVAILABLE))
    }

    /// Logs when the store begins to fail and when it answers again.
    fn note_store(&self, answer: Result<(), &StoreError>) {
        let was_ok = self.store_ok.swap(answer.is_ok(), Ordering::Relaxed);
        match answer {
            Err(error) if was_ok => {
                tracing::error!(%error, "credential_store_unavailable: logins not remembered are refused as temporary failures")
            }
            Ok(()) if !was_ok => tracing::info!("credential_store_available"),
            Ok(()) | Err(_) => {}
        }
    }

    /// What a success is remembered under: all that the decision used.
    fn cache_key(&self, user: &UserName, attempt: &Attempt) -> [u8; 32] {
        self.keyed(&[
            user.as_str().as_bytes(),
            attempt.credentials.authzid.as_bytes(),
            attempt.credentials.password.expose(),
        ])
    }

    /// A keyed hash of parts, each with its length.
    fn keyed(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return [0; 32];
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The watcher's life: drops what changed, tells of it, notes logins.
    fn watch(&self) {
        let mut seen = None;
        let mut noted = clock();
        while !self.stopped() {
            thread::sleep(WATCH_INTERVAL);
            match self.store.version() {
                Ok(version) => {
                    self.note_store(Ok(()));
                    if self.drop_changed(seen != Some(version)) {
                        seen = Some(version);
                    }
                }
                Err(error) => self.note_store(Err(&error)),
            }
            if clock().saturating_duration_since(noted) >= NOTE_INTERVAL {
                noted = clock();
                self.note_logins();
            }
        }
        self.note_logins();
    }

    /// Forgets successes of accounts whose record is not what it was; looks at `all` accounts, or at those decided a moment ago. False
    /// if the store failed.
    fn drop_changed(&self, all: bool) -> bool {
        let fresh = std::mem::take(&mut lock(&self.cache).fresh);
        let active = if all {
            lock(&self.cache).active.clone().into_iter().collect()
        } else {
            fresh
        };
        for (user, generation) in active {
            match self.store.find(&user) {
                Ok(Some(record)) if record.generation == generation => {}
                Ok(_) => {
                    let mut cache = lock(&self.cache);
                    cache.active.remove(&user);
                    cache.successes.retain(|_, success| success.user != user);
                    drop(cache);
                    lock(&self.on_change)
                        .iter()
                        .for_each(|callback| callback(user.as_str()));
                }
                Err(error) => {
                    self.note_store(Err(&error));
                    return false;
                }
            }
        }
        true
    }

    /// Writes the times of last logins.
    fn note_logins(&self) {
        let logins: Vec<(UserName, i64)> = std::mem::take(&mut lock(&self.cache).logins)
            .into_iter()
            .collect();
        if !logins.is_empty()
            && let Err(error) = self.store.note_logins(&logins)
        {
            tracing::debug!(%error, "last_logins_not_noted");
        }
    }
}

/// Starts a thread of the service.
fn spawn(name: &str, shared: &Arc<Shared>, life: impl FnOnce(&Shared) + Send + 'static) {
    let shared = Arc::clone(shared);
    let started = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || life(&shared));
    if let Err(error) = started {
        tracing::error!(thread = name, %error, "thread_not_started: raise the limit of threads of this service");
    }
}

/// Takes a lock; a thread that panicked leaves nothing half done under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock of queue and policy.
#[expect(
    clippy::disallowed_methods,
    reason = "the service has threads of its own and is the clock of its callers"
)]
fn clock() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for the time of the last login.
#[expect(
    clippy::disallowed_methods,
    reason = "only noted, nothing depends on it"
)]
fn unix_time() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
