//! The thread that sees changes of the records: a changed password, a disabled or removed account counts within a second, and their
//! sessions can be ended.
//!
//! It also writes what can wait: times of last logins, and hashes made anew. Trouble with the store is logged once, and its end as well.

use super::clock;
use super::database::{StoreError, Version};
use super::service::{STORE_ADVICE, Shared, lock};
use super::user_name::UserName;
use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

/// How often the store is asked whether it was changed.
pub(super) const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// How often what can wait is written.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// Called with the name of an account whose record was changed or removed.
pub(super) type OnChange = Box<dyn Fn(&str) + Send + Sync>;

/// The thread's end of life: it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher(#[expect(dead_code, reason = "its drop is the message")] Sender<()>);

/// Starts the thread.
///
/// # Errors
/// if that cannot be done
pub(super) fn start(shared: Arc<Shared>) -> io::Result<Watcher> {
    let (alive, ended) = channel();
    thread::Builder::new()
        .name("login-watcher".to_owned())
        .spawn(move || Watch::new(&shared).live(&ended))?;
    Ok(Watcher(alive))
}

/// What the thread knows.
struct Watch<'a> {
    /// Store, cache, and whom to tell.
    shared: &'a Shared,
    /// The state of the records when they were last looked at.
    seen: Option<Version>,
    /// The store answered the last time.
    well: bool,
}

impl<'a> Watch<'a> {
    /// Nothing seen yet.
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            seen: None,
            well: true,
        }
    }

    /// Looks and writes until the service is dropped.
    fn live(mut self, ended: &Receiver<()>) {
        let mut written = clock::now();
        while ended.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let looked = self.look();
            self.note(looked.as_ref().err());
            let now = clock::now();
            if looked.is_ok() && now.saturating_duration_since(written) >= WRITE_INTERVAL {
                written = now;
                self.write();
            }
        }
        self.write();
    }

    /// Forgets the accounts whose records are not what they were, and tells of them.
    fn look(&mut self) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let version = store.version()?;
        let mut suspects = lock(&self.shared.cache).take_fresh();
        let found = match self.seen {
            Some(seen) if seen == version => Ok(HashSet::new()),
            Some(seen) if seen.file == version.file && seen.generation < version.generation => {
                let changed = store.changed_since(seen.generation);
                changed.map(|users| users.into_iter().collect())
            }
            // the first look, or another file in its place, such as a backup
            Some(_) | None => Ok(lock(&self.shared.cache).active()),
        };
        let checked = found.and_then(|changed| {
            suspects.extend(changed);
            suspects.iter().try_for_each(|user| self.check(user))
        });
        match checked {
            Ok(()) => self.seen = Some(version),
            // some may be unchecked: look at all of them the next time
            Err(_) => self.seen = None,
        }
        checked
    }

    /// Looks at one account.
    fn check(&self, user: &UserName) -> Result<(), StoreError> {
        let Some(generation) = lock(&self.shared.cache).generation(user) else {
            return Ok(());
        };
        let record = self.shared.store.find(user)?;
        if record.is_some_and(|record| record.generation == generation) {
            return Ok(());
        }
        lock(&self.shared.cache).forget(user);
        tracing::info!(user = user.as_str(), "credentials_changed");
        let callbacks = self.shared.on_change.lock();
        for callback in callbacks.unwrap_or_else(PoisonError::into_inner).iter() {
            callback(user.as_str());
        }
        Ok(())
    }

    /// Logs when trouble begins and when it ends.
    fn note(&mut self, error: Option<&StoreError>) {
        match error {
            Some(error) if self.well => {
                tracing::error!(%error, advice = STORE_ADVICE, "credential_store_unavailable: logins that are not remembered may be refused as temporary failures");
            }
            None if !self.well => tracing::info!("credential_store_available"),
            Some(_) | None => {}
        }
        self.well = error.is_none();
    }

    /// Writes what can wait.
    fn write(&self) {
        let logins = lock(&self.shared.cache).take_logins();
        if !logins.is_empty()
            && let Err(error) = self.shared.store.note_logins(&logins)
        {
            tracing::warn!(%error, "last_logins_not_noted");
        }
        let rehashed = std::mem::take(&mut *lock(&self.shared.rehashed));
        for hash in rehashed {
            if let Err(error) = self
                .shared
                .store
                .replace_hash(&hash.user, &hash.old, &hash.new)
            {
                tracing::warn!(user = hash.user.as_str(), %error, "password_not_rehashed");
            }
        }
    }
}
