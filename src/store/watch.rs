//! Waking connections when a mailbox changes: by the system's watch of `new/` and `cur/`, else on a timer. The list of mailboxes is
//! watched in the same way, in the directory of the account.
//!
//! Each volume has a watcher of its own, since a watcher thread hangs with the volume on which it looks for a directory. A watch that
//! nobody wants any more is taken off at the next call that may touch the disk, so that dropping one never does. Where watching does
//! not work (network file systems, no watches left) a timer wakes the connections, which then look for themselves; the timer's thread
//! never touches a disk.

use super::clock;
use super::failure;
#[cfg(test)]
use super::spool::{Place, Spool};
use crate::mailbox::backend::{Waker, Watch};
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

/// The directories in which a mailbox, or the list of them, is watched; the first tells the volume.
pub(super) type Places = Arc<[PathBuf]>;

/// What wakes the connections to one mailbox, or those that want to hear of all mailboxes.
#[derive(Default)]
pub(super) struct Signal {
    /// Which names in its directories matter; all, if none.
    concerns: Option<fn(&OsStr) -> bool>,
    /// Rises with everything that happens.
    version: AtomicU64,
    wakers: Mutex<Wakers>,
    /// Something happened on disk since the last look began, or nobody knows.
    is_stale: AtomicBool,
    /// The wakers were called for it.
    is_told: AtomicBool,
    /// The system tells when something happens.
    is_watched: AtomicBool,
    /// A watched directory was removed since.
    is_lost: AtomicBool,
    /// The volume of which the watcher tells it, while it does.
    device: AtomicU64,
    /// It stands in the list of watches that nobody wants any more.
    is_released: AtomicBool,
}

/// Who wants to be woken.
#[derive(Default)]
struct Wakers {
    next: u64,
    registered: BTreeMap<u64, Waker>,
}

impl Signal {
    /// One for which only certain names matter.
    pub(super) fn concerning(concerns: fn(&OsStr) -> bool) -> Self {
        Self {
            concerns: Some(concerns),
            ..Self::default()
        }
    }

    /// Rises whenever something may have happened, as far as the watch tells.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// True if nothing happened on disk since the last look.
    pub(super) fn is_current(&self) -> bool {
        self.is_watched.load(Ordering::Acquire) && !self.is_stale.load(Ordering::Acquire)
    }

    /// A look at the disk begins: what happens from now on makes it stale again.
    pub(super) fn look_begins(&self) {
        self.is_stale.store(false, Ordering::Release);
        self.is_told.store(false, Ordering::Release);
    }

    /// The last look did not tell all: another one is wanted.
    pub(super) fn doubt(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// Something may have happened on disk. Calls the wakers, once until the next look.
    fn disk_changed(&self) {
        self.is_stale.store(true, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// A watched directory was removed, and the system's watch with it: one made in its place has to be watched anew.
    fn watch_lost(&self) {
        self.is_watched.store(false, Ordering::Release);
        self.is_lost.store(true, Ordering::Release);
        self.disk_changed();
    }

    /// Calls the wakers: something changed in memory.
    pub(super) fn wake(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        // called without the lock: a waker may drop its watch
        let wakers: Vec<Waker> = lock(&self.wakers).registered.values().cloned().collect();
        for waker in wakers {
            waker();
        }
    }

    pub(super) fn has_wakers(&self) -> bool {
        !lock(&self.wakers).registered.is_empty()
    }

    fn register(&self, waker: Waker) -> u64 {
        let mut wakers = lock(&self.wakers);
        wakers.next += 1;
        let id = wakers.next;
        wakers.registered.insert(id, waker);
        id
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("is_stale", &self.is_stale)
            .field("is_watched", &self.is_watched)
            .finish_non_exhaustive()
    }
}

/// A mutex whose data stay whole when a holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals by watched directory.
type Directories = Arc<RwLock<HashMap<PathBuf, Weak<Signal>>>>;

/// The watcher of one volume; none if the system gives none.
type Volume = Arc<Mutex<Option<RecommendedWatcher>>>;

/// A mailbox that nobody watches any more.
#[derive(Debug)]
struct Released {
    signal: Weak<Signal>,
    device: u64,
    places: Places,
}

/// All watches of a store.
#[derive(Debug)]
pub(super) struct Watcher {
    is_enabled: bool,
    directories: Directories,
    volumes: Mutex<BTreeMap<u64, Volume>>,
    released: Mutex<Vec<Released>>,
    timer: Timer,
    has_warned: AtomicBool,
}

impl Watcher {
    /// For a store; where the system's watch does not work or is not wanted, connections look every `poll_interval`.
    pub(super) fn new(is_enabled: bool, poll_interval: Duration) -> Arc<Self> {
        Arc::new(Self {
            is_enabled,
            directories: Directories::default(),
            volumes: Mutex::default(),
            released: Mutex::default(),
            timer: Timer::new(poll_interval),
            has_warned: AtomicBool::new(false),
        })
    }

    /// Calls a waker when something changes, until the returned value is dropped. Calls it at once if something may have changed since
    /// the last look.
    pub(super) fn watch(
        self: &Arc<Self>,
        signal: &Arc<Signal>,
        places: &Places,
        waker: &Waker,
    ) -> Box<dyn Watch> {
        let id = signal.register(Arc::clone(waker));
        if !signal.is_watched.load(Ordering::Acquire) {
            signal.doubt();
            self.begin(signal, places);
        }
        if !signal.is_current() {
            waker();
        }
        Box::new(Watching {
            signal: Arc::clone(signal),
            id,
            places: Arc::clone(places),
            watcher: Arc::downgrade(self),
        })
    }

    /// Before a look: watches directories that were made in place of removed ones.
    pub(super) fn watch_again(&self, signal: &Arc<Signal>, places: impl FnOnce() -> Places) {
        if signal.is_lost.swap(false, Ordering::AcqRel) && signal.has_wakers() {
            self.begin(signal, &places());
        }
    }

    /// Has the timer wake the connections as well, for what the watch does not reach.
    pub(super) fn poll(&self, signal: &Arc<Signal>) {
        self.timer.poll(signal);
    }

    /// Calls the wakers of a mailbox after some time, so that they look again.
    pub(super) fn wake_later(&self, signal: &Arc<Signal>, after: Duration) {
        if signal.has_wakers() {
            self.timer.once(signal, after);
        }
    }

    /// Follows a mailbox to another directory.
    pub(super) fn follow(&self, signal: &Arc<Signal>, from: &Places, to: &Places) {
        if signal.is_watched.swap(false, Ordering::AcqRel) {
            let owner = Arc::downgrade(signal);
            self.remove(signal.device.load(Ordering::Acquire), from, &owner);
            signal.doubt();
            self.begin(signal, to);
        }
    }

    /// Has the system tell, or else the timer.
    fn begin(&self, signal: &Arc<Signal>, places: &Places) {
        let is_added = match places.first().filter(|_| self.is_enabled) {
            Some(first) => match std::fs::metadata(first) {
                Ok(about) => self.add(about.dev(), signal, places),
                Err(error) => {
                    // one that was deleted or renamed meanwhile is no trouble: the next look tells
                    if error.kind() != io::ErrorKind::NotFound {
                        failure::noted("look at the mailbox to watch it", first, &error);
                    }
                    false
                }
            },
            None => false,
        };
        if is_added {
            signal.is_watched.store(true, Ordering::Release);
        } else {
            self.timer.poll(signal);
        }
    }

    /// Has the system watch the directories; false if it does not.
    fn add(&self, device: u64, signal: &Arc<Signal>, places: &Places) -> bool {
        // only what lies on this volume is touched: another one may hang
        self.take_off_released(device);
        signal.device.store(device, Ordering::Release);
        let volume = self.volume(device);
        let mut volume = lock(&volume);
        let Some(watcher) = volume.as_mut() else {
            return false;
        };
        for directory in &**places {
            self.directories
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(directory.clone(), Arc::downgrade(signal));
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                if !is_gone(&error) {
                    self.warn(directory, &error);
                }
                self.forget(watcher, places, &Arc::downgrade(signal));
                return false;
            }
        }
        true
    }

    /// Ends the system's watch of the directories.
    fn remove(&self, device: u64, places: &Places, owner: &Weak<Signal>) {
        let volume = self.volume(device);
        if let Some(watcher) = lock(&volume).as_mut() {
            self.forget(watcher, places, owner);
        }
    }

    /// Ends the watch of the directories, as far as there is one. Those that are another mailbox's by now stay watched.
    fn forget(&self, watcher: &mut RecommendedWatcher, places: &Places, owner: &Weak<Signal>) {
        for directory in &**places {
            let is_anothers = self
                .directories
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(directory.as_path())
                .is_some_and(|signal| !Weak::ptr_eq(signal, owner));
            if is_anothers {
                continue;
            }
            if let Err(error) = watcher.unwatch(directory) {
                tracing::trace!(path = ?directory, cause = %error, "was_not_watched");
            }
            self.directories
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(directory.as_path());
        }
    }

    /// Ends the watches on a volume that nobody wants any more.
    fn take_off_released(&self, device: u64) {
        let here: Vec<Released> = lock(&self.released)
            .extract_if(.., |released| released.device == device)
            .collect();
        for released in here {
            let signal = released.signal.upgrade();
            if let Some(signal) = &signal {
                signal.is_released.store(false, Ordering::Release);
            }
            if signal.as_ref().is_some_and(|signal| signal.has_wakers()) {
                continue;
            }
            if let Some(signal) = signal {
                signal.is_watched.store(false, Ordering::Release);
            }
            self.remove(device, &released.places, &released.signal);
        }
    }

    /// The watcher of a volume, made at its first use.
    fn volume(&self, device: u64) -> Volume {
        let mut volumes = lock(&self.volumes);
        let made = volumes.entry(device).or_insert_with(|| {
            let directories = Arc::clone(&self.directories);
            let watcher = notify::recommended_watcher(move |event| dispatch(&directories, event));
            Arc::new(Mutex::new(match watcher {
                Ok(watcher) => Some(watcher),
                Err(error) => {
                    self.warn(Path::new("/"), &error);
                    None
                }
            }))
        });
        Arc::clone(made)
    }

    /// Tells the operator, once, that watching does not work.
    fn warn(&self, path: &Path, error: &notify::Error) {
        if !self.has_warned.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                path = ?path,
                cause = %error,
                poll_secs = self.timer.interval.as_secs(),
                advice = "on Linux raise fs.inotify.max_user_watches and max_user_instances; on a network file system this is normal",
                "watch_failed"
            );
        }
    }
}

/// True if there is no such directory (any more).
fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Passes on what the system tells.
fn dispatch(directories: &Directories, event: notify::Result<notify::Event>) {
    let directories = directories.read().unwrap_or_else(PoisonError::into_inner);
    let find = |path: &Path| directories.get(path).and_then(Weak::upgrade);
    let tell = |path: &Path| {
        if let Some(signal) = find(path) {
            signal.disk_changed();
        }
    };
    let tell_parent = |path: &Path| {
        if let (Some(signal), Some(name)) = (path.parent().and_then(find), path.file_name())
            && signal.concerns.is_none_or(|concerns| concerns(name))
        {
            signal.disk_changed();
        }
    };
    match event {
        Ok(event) if event.need_rescan() => directories
            .values()
            .filter_map(Weak::upgrade)
            .for_each(|signal| signal.disk_changed()),
        Ok(event) => {
            let is_name_change = matches!(
                event.kind,
                EventKind::Create(_)
                    | EventKind::Remove(_)
                    | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Any)
                    | EventKind::Any
                    | EventKind::Other
            );
            if is_name_change {
                for path in &event.paths {
                    match find(path) {
                        Some(signal) if event.kind.is_remove() => signal.watch_lost(),
                        Some(signal) => signal.disk_changed(),
                        None => {}
                    }
                    tell_parent(path);
                }
            }
        }
        Err(error) => error.paths.iter().for_each(|path| tell(path)),
    }
}

/// Keeps a waker registered.
struct Watching {
    signal: Arc<Signal>,
    id: u64,
    places: Places,
    watcher: Weak<Watcher>,
}

impl Watch for Watching {}

impl Drop for Watching {
    fn drop(&mut self) {
        lock(&self.signal.wakers).registered.remove(&self.id);
        if !self.signal.has_wakers()
            && self.signal.is_watched.load(Ordering::Acquire)
            && let Some(watcher) = self.watcher.upgrade()
            && !self.signal.is_released.swap(true, Ordering::AcqRel)
        {
            lock(&watcher.released).push(Released {
                signal: Arc::downgrade(&self.signal),
                device: self.signal.device.load(Ordering::Acquire),
                places: Arc::clone(&self.places),
            });
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// One thread that wakes connections at their time; started when first wanted, ends with the store.
#[derive(Debug)]
struct Timer {
    interval: Duration,
    shared: Arc<(Mutex<Schedule>, Condvar)>,
}

/// Whom to wake when.
#[derive(Debug, Default)]
struct Schedule {
    is_running: bool,
    is_over: bool,
    next_poll: Option<Instant>,
    polled: Vec<Weak<Signal>>,
    once: Vec<(Instant, Weak<Signal>)>,
}

impl Timer {
    fn new(interval: Duration) -> Self {
        Self {
            interval: interval.max(Duration::from_millis(10)),
            shared: Arc::default(),
        }
    }

    /// Wakes a mailbox's connections at every interval, while there are some.
    fn poll(&self, signal: &Arc<Signal>) {
        let interval = self.interval;
        self.schedule(|schedule| {
            let signal = Arc::downgrade(signal);
            if !schedule.polled.iter().any(|known| known.ptr_eq(&signal)) {
                schedule.polled.push(signal);
            }
            schedule
                .next_poll
                .get_or_insert_with(|| clock::monotonic() + interval);
        });
    }

    /// Wakes a mailbox's connections once, unless they are woken before anyhow.
    fn once(&self, signal: &Arc<Signal>, after: Duration) {
        self.schedule(|schedule| {
            let (when, signal) = (clock::monotonic() + after, Arc::downgrade(signal));
            let mut once = schedule.once.iter();
            if !once.any(|(before, known)| *before <= when && known.ptr_eq(&signal)) {
                schedule.once.push((when, signal));
            }
        });
    }

    fn schedule(&self, change: impl FnOnce(&mut Schedule)) {
        let (schedule, changed) = &*self.shared;
        let mut schedule = lock(schedule);
        change(&mut schedule);
        if schedule.is_running {
            changed.notify_one();
            return;
        }
        let shared = Arc::clone(&self.shared);
        let interval = self.interval;
        match std::thread::Builder::new()
            .name("mail-timer".to_owned())
            .spawn(move || run(&shared, interval))
        {
            Ok(_) => schedule.is_running = true,
            Err(error) => {
                tracing::error!(cause = %error, advice = "raise the limit of threads", "timer_failed");
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let (schedule, changed) = &*self.shared;
        lock(schedule).is_over = true;
        changed.notify_one();
    }
}

/// The timer's thread.
fn run(shared: &(Mutex<Schedule>, Condvar), interval: Duration) {
    let (schedule, changed) = shared;
    let mut held = lock(schedule);
    while !held.is_over {
        let due = held.due(clock::monotonic(), interval);
        if !due.is_empty() {
            drop(held);
            for signal in due {
                signal.is_told.store(false, Ordering::Release);
                signal.disk_changed();
            }
            held = lock(schedule);
            continue;
        }
        held = match held.next() {
            Some(next) => {
                let wait = next.saturating_duration_since(clock::monotonic());
                let waited = changed.wait_timeout(held, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => changed.wait(held).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl Schedule {
    /// Takes out what is due.
    fn due(&mut self, now: Instant, interval: Duration) -> Vec<Arc<Signal>> {
        let mut due = Vec::new();
        self.once.retain(|(when, signal)| {
            let is_due = *when <= now;
            if is_due {
                due.extend(signal.upgrade());
            }
            !is_due
        });
        if self.next_poll.is_some_and(|when| when <= now) {
            self.polled
                .retain(|signal| signal.upgrade().is_some_and(|signal| signal.has_wakers()));
            due.extend(self.polled.iter().filter_map(Weak::upgrade));
            self.next_poll = (!self.polled.is_empty()).then(|| now + interval);
        }
        due
    }

    /// When something is due next.
    fn next(&self) -> Option<Instant> {
        self.once
            .iter()
            .map(|(when, _)| *when)
            .chain(self.next_poll)
            .min()
    }
}

/// A waker that tells through a channel, for tests.
#[cfg(test)]
pub(super) fn channel_waker() -> (Waker, std::sync::mpsc::Receiver<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = Mutex::new(sender);
    let waker: Waker = Arc::new(move || {
        // the receiver is gone at the end of a test
        lock(&sender).send(()).unwrap_or_default();
    });
    (waker, receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LONG: Duration = Duration::from_secs(20);

    fn maildir() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        fs::create_dir(spool.place(Place::New)).unwrap();
        fs::create_dir(spool.place(Place::Cur)).unwrap();
        (directory, spool)
    }

    #[test]
    fn wakes_once_until_the_next_look() -> io::Result<()> {
        let (_directory, spool) = maildir();
        let watcher = Watcher::new(true, LONG);
        let signal = Arc::new(Signal::default());
        let (waker, woken) = channel_waker();
        let watch = watcher.watch(&signal, &spool.watched(), &waker);
        woken.recv_timeout(LONG).expect("nobody has looked yet");
        signal.look_begins();
        assert!(signal.is_current());
        fs::File::create(spool.file(Place::New, b"a"))?;
        woken.recv_timeout(LONG).expect("a file came");
        assert!(!signal.is_current());
        signal.look_begins();
        fs::rename(
            spool.file(Place::New, b"a"),
            spool.file(Place::Cur, b"a:2,"),
        )?;
        woken.recv_timeout(LONG).expect("a file went");
        drop(watch);
        assert!(!signal.has_wakers());
        Ok(())
    }

    #[test]
    fn directories_made_in_place_of_removed_ones_are_watched() -> io::Result<()> {
        let (_directory, spool) = maildir();
        let watcher = Watcher::new(true, LONG);
        let signal = Arc::new(Signal::default());
        let (waker, woken) = channel_waker();
        let _watch = watcher.watch(&signal, &spool.watched(), &waker);
        woken.recv_timeout(LONG).expect("nobody has looked yet");
        signal.look_begins();
        fs::remove_dir(spool.place(Place::New))?;
        woken.recv_timeout(LONG).expect("a directory went");
        fs::create_dir(spool.place(Place::New))?;
        watcher.watch_again(&signal, || spool.watched());
        signal.look_begins();
        fs::File::create(spool.file(Place::New, b"a"))?;
        woken.recv_timeout(LONG / 4).expect("a file came");
        Ok(())
    }

    #[test]
    fn the_end_of_one_watch_leaves_that_of_another_mailbox_of_the_same_name() -> io::Result<()> {
        let (_directory, spool) = maildir();
        let (_other_directory, other) = maildir();
        let watcher = Watcher::new(true, LONG);
        let (waker, woken) = channel_waker();
        let of_old = Arc::new(Signal::default());
        let old = watcher.watch(&of_old, &spool.watched(), &waker);
        for place in [Place::New, Place::Cur] {
            fs::remove_dir(spool.place(place))?;
            fs::create_dir(spool.place(place))?;
        }
        let of_new = Arc::new(Signal::default());
        let _new = watcher.watch(&of_new, &spool.watched(), &waker);
        drop(old);
        let of_other = Arc::new(Signal::default());
        let _other = watcher.watch(&of_other, &other.watched(), &waker);
        while woken.try_recv().is_ok() {}
        of_new.look_begins();
        fs::File::create(spool.file(Place::New, b"a"))?;
        woken.recv_timeout(LONG / 4).expect("a file came");
        assert!(!of_new.is_current());
        Ok(())
    }

    #[test]
    fn a_timer_stands_in_for_the_watch() {
        let (_directory, spool) = maildir();
        let watcher = Watcher::new(false, Duration::from_millis(10));
        let signal = Arc::new(Signal::default());
        let (waker, woken) = channel_waker();
        let _watch = watcher.watch(&signal, &spool.watched(), &waker);
        for _ in 0..4 {
            woken.recv_timeout(LONG).expect("the timer wakes");
            signal.look_begins();
            assert!(!signal.is_current());
        }
    }

    #[test]
    fn a_watch_is_taken_off_when_nobody_wants_it() {
        let (_directory, spool) = maildir();
        let (_other_directory, other) = maildir();
        let watcher = Watcher::new(true, LONG);
        let signal = Arc::new(Signal::default());
        let (waker, _woken) = channel_waker();
        drop(watcher.watch(&signal, &spool.watched(), &waker));
        assert!(signal.is_watched.load(Ordering::Acquire));
        let other_signal = Arc::new(Signal::default());
        let _watch = watcher.watch(&other_signal, &other.watched(), &waker);
        assert!(!signal.is_watched.load(Ordering::Acquire));
        let directories = watcher.directories.read().unwrap();
        assert!(!directories.contains_key(spool.place(Place::New)));
        assert!(directories.contains_key(other.place(Place::Cur)));
    }
}
