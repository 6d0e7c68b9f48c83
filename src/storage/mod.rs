//! Volumes: bounded threads with a deadline, so that a file system that hangs stops only its own users.
//!
//! Whatever may touch a spool is a job for the volume that the spool lies on ([`Volumes::run`]). A volume has a fixed number of
//! threads and a queue of fixed length. What holds at all times:
//!
//! - Jobs wait in the queue while the volume is busy. When every thread has been in one job for longer than the deadline, the volume
//!   counts as hung and takes no further jobs ([`Refused::VolumeHung`]) until one of those calls returns.
//! - An account whose job is past the deadline gets no further thread ([`Refused::AccountHung`]), and no account has more than half of
//!   the threads, so that one bad mailbox cannot take a volume from the others.
//! - Finding the volume of a path never touches a file system that might hang (see `mounts`).
//! - A job that panics ends only itself.
//! - A job that could go on with more may ask whether others want its thread ([`Turn`]).
//!
//! Nothing here waits for a hung call; it is left to its thread, which goes back to work when the call returns.

mod mounts;
mod volume;

use mounts::{Mounts, VolumeKey};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub use volume::Turn;
use volume::Volume;

/// Threads of one volume, by default: enough for a disk array's queue, few enough that a hundred volumes are no burden.
pub const DEFAULT_THREADS: usize = 16;

/// Jobs that wait for one volume, by default; each connection has at most one.
pub const DEFAULT_QUEUE: usize = 4096;

/// Time after which a job counts as hung, by default: longer than a cold disk needs to list a very large mailbox, shorter than a mail
/// program's patience (commonly 60 seconds).
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// Age at which the table of mounts is read again, when it is next used.
const MOUNTS_AGE: Duration = Duration::from_secs(10);

/// How disk jobs are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Threads of each volume; at least one.
    pub threads: usize,
    /// Jobs that may wait for each volume.
    pub queue: usize,
    /// Time after which a job counts as hung.
    pub deadline: Duration,
    /// Directories that count as volumes of their own besides the mount points; the only ones where the system has no table of mounts
    /// that can be read without touching them.
    pub places: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: DEFAULT_THREADS,
            queue: DEFAULT_QUEUE,
            deadline: DEFAULT_DEADLINE,
            places: Vec::new(),
        }
    }
}

/// Why a volume does not take a job. All of it is trouble of ours, and temporary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// All threads are past the deadline.
    #[error("the volume does not answer")]
    VolumeHung,
    /// An earlier job of this account is past the deadline.
    #[error("an earlier operation of this account does not return")]
    AccountHung,
    /// The queue is full.
    #[error("too many operations wait for the volume")]
    QueueFull,
    /// The system gives us no thread.
    #[error("no thread could be started")]
    NoThread,
}

/// A disk job.
pub type Job = Box<dyn FnOnce(&Turn) + Send>;

/// All volumes.
#[derive(Debug)]
pub struct Volumes {
    inner: Arc<Inner>,
}

/// What the thread that reads the mounts again shares with [`Volumes`].
#[derive(Debug)]
struct Inner {
    settings: Settings,
    table: Mutex<Table>,
    /// A thread is reading the mounts.
    refreshing: AtomicBool,
}

/// The mounts as they were last read, and the volumes in use.
#[derive(Debug)]
struct Table {
    mounts: Arc<Mounts>,
    read_at: Instant,
    /// Which volume a place lies on; forgotten with the mounts, since links may be changed.
    known: HashMap<PathBuf, VolumeKey>,
    volumes: HashMap<VolumeKey, Arc<Volume>>,
}

impl Volumes {
    /// Volumes for this process; threads are started when they are first needed.
    pub fn new(settings: Settings) -> Self {
        let mounts = Arc::new(Mounts::read(&settings.places));
        let table = Mutex::new(Table {
            mounts,
            read_at: now(),
            known: HashMap::new(),
            volumes: HashMap::new(),
        });
        Self {
            inner: Arc::new(Inner {
                settings,
                table,
                refreshing: AtomicBool::new(false),
            }),
        }
    }

    /// Has a job run on a thread of the volume that a place lies on, on behalf of an account.
    ///
    /// # Errors
    /// [`Refused`] at once if the volume or the account hangs or the queue is full; the job is dropped unrun.
    pub fn run(&self, place: &Path, account: &str, job: Job) -> Result<(), Refused> {
        self.inner.volume_of(place).submit(account, job, now())
    }

    /// Whether a job of this kind would be taken now.
    ///
    /// # Errors
    /// As of [`Self::run`].
    pub fn check(&self, place: &Path, account: &str) -> Result<(), Refused> {
        self.inner.volume_of(place).check(account, now())
    }

    /// Time after which a job counts as hung.
    pub fn deadline(&self) -> Duration {
        self.inner.settings.deadline
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for volume in self.inner.lock().volumes.values() {
            volume.close();
        }
    }
}

impl Inner {
    /// The volume of a place, made if it is new.
    fn volume_of(self: &Arc<Self>, place: &Path) -> Arc<Volume> {
        let table = self.lock();
        let is_old = now().saturating_duration_since(table.read_at) > MOUNTS_AGE;
        if is_old && !self.refreshing.swap(true, Ordering::AcqRel) {
            self.refresh();
        }
        if let Some(volume) = table
            .known
            .get(place)
            .and_then(|key| table.volumes.get(key))
        {
            return Arc::clone(volume);
        }
        let mounts = Arc::clone(&table.mounts);
        drop(table);
        let key = mounts.volume_of(place);
        let mut table = self.lock();
        table.known.insert(place.to_owned(), key.clone());
        let volume = table
            .volumes
            .entry(key)
            .or_insert_with_key(|key| Arc::new(Volume::new(key.to_string(), &self.settings)));
        Arc::clone(volume)
    }

    /// Reads the mounts again on a thread of its own, since even that may block while an unmount hangs.
    fn refresh(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("mounts".to_owned())
            .spawn(move || {
                let mounts = Arc::new(Mounts::read(&inner.settings.places));
                let mut table = inner.lock();
                table.mounts = mounts;
                table.read_at = now();
                table.known.clear();
                table.volumes.retain(|_, volume| !volume.is_vacant());
                inner.refreshing.store(false, Ordering::Release);
            });
        if spawned.is_err() {
            self.refreshing.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines are measured here and nowhere else"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
