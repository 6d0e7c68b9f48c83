//! Dovecot's dotlock: `<file>.lock`, made exclusively, holding `<pid>:<host>`.
//!
//! Who finds one judges it as Dovecot does: a process of this host that is dead has lost its lock at once, one that lives keeps it; of
//! any other host, and where nothing can be read, the lock is stale when its mtime has not changed for a while. Age is measured by the clock
//! of the file system (the mtime of a file just made beside the lock), so hosts that share it need not agree on the time.
//!
//! A lock that is taken often has a lasting file that says whose it is ([`LockFile`]) and is linked as the lock: a link costs a quarter of a file that
//! is made and removed. And ext4 without a journal passes over each inode that was freed within the last minutes when it looks for a new one, so that a
//! server which makes and removes a file for each lock slows all that make files there.
//!
//! Threads of this process keep each other out through a table in memory. So a lock that bears our own process number, but is not in
//! the table, is one that an earlier process of that number left: usual in containers, where the server always has the same number.

use super::{Ownership, beside, create_new, parent, remove_quietly};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// First wait between two tries; each wait is twice the one before, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How often the age of somebody else's lock is measured, which makes a file.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// Most that is read of a lock file; what Dovecot reads.
const MAX_OCTETS: u64 = 512;

/// The locks of this process: directory (device, inode) and name of the lock file.
static HELD: Mutex<BTreeSet<Key>> = Mutex::new(BTreeSet::new());

/// Makes temporary names differ.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Device and inode of the directory, and name of the lock file in it.
type Key = (u64, u64, OsString);

/// Device, inode and, where the file system has it, time of making of a file: an inode that became free is soon another file's.
type Identity = (u64, u64, Option<SystemTime>);

/// A file of ours that lasts and that is linked as a lock.
#[derive(Debug)]
pub(crate) struct LockFile(PathBuf);

impl LockFile {
    /// The file of this path, beside what is locked. It may be removed at any time.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Links it as a lock; none if there is such a lock already. Never a file that another process put in its place meanwhile: whoever reads the lock
    /// would judge that process.
    ///
    /// # Errors
    /// What the system says, for example that there are no links on this file system.
    fn link(&self, lock: &Path, like: &Ownership) -> io::Result<Option<(File, Identity)>> {
        for _ in 0..2 {
            let (file, identity) = self.ours(like)?;
            touch(&file)?;
            match give_another_name(&file, lock) {
                Ok(()) => return Ok(Some((file, identity))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                // somebody removed it
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// The file there, if it is ours, else a new one in its place.
    fn ours(&self, like: &Ownership) -> io::Result<(File, Identity)> {
        match super::open_regular(&self.0) {
            Ok((file, about)) => {
                // what it says counts, not that it was ours once: its inode may be another process's file by now
                if contents(&file)? == whose().as_bytes() {
                    let found = identity(&about);
                    return Ok((file, found));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (begun, file, made) = begin(&self.0, like)?;
        if let Err(error) = std::fs::rename(&begun, &self.0) {
            remove_quietly(&begun);
            return Err(error);
        }
        Ok((file, made))
    }
}

/// A lock held by us; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct DotLock {
    path: PathBuf,
    identity: Identity,
    /// The lock itself: while it is open, nothing else has its inode.
    _file: File,
    /// Other threads are let in only after the file is gone: fields are dropped after `drop`.
    _claim: Claim,
}

impl DotLock {
    /// Takes the lock of a file (`<file>.lock`), waiting for others.
    ///
    /// A lock whose process is dead on this host is taken over at once; one of another host when it has not been touched for
    /// `stale_after`. Threads of this process keep each other out as well.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when it was not to be had in time, else what the system says.
    pub(crate) fn acquire(
        file: &Path,
        like: &Ownership,
        timeout: Duration,
        stale_after: Duration,
    ) -> io::Result<Self> {
        Self::acquire_by(None, file, like, timeout, stale_after)
    }

    /// As [`DotLock::acquire`], by linking a file that lasts, where that can be done.
    ///
    /// # Errors
    /// As [`DotLock::acquire`].
    pub(crate) fn acquire_by(
        by: Option<&LockFile>,
        file: &Path,
        like: &Ownership,
        timeout: Duration,
        stale_after: Duration,
    ) -> io::Result<Self> {
        let path = beside(file, ".lock");
        let mut patience = Patience::new(timeout);
        let claim = loop {
            match Claim::make(&path)? {
                Some(claim) => break claim,
                None => patience.wait(&path)?,
            }
        };
        loop {
            let made = match by.map(|lasting| lasting.link(&path, like)) {
                Some(Ok(linked)) => linked,
                // no links, or no peace
                Some(Err(_)) | None => make(&path, like)?,
            };
            if let Some((file, identity)) = made {
                return Ok(Self {
                    path,
                    identity,
                    _file: file,
                    _claim: claim,
                });
            }
            match judge(&path, like, stale_after, &mut patience)? {
                Verdict::Gone => {}
                Verdict::Stale(identity, modified) => take_away(&path, identity, modified)?,
                Verdict::Held => patience.wait(&path)?,
            }
        }
    }

    /// Tells other hosts that we are alive. Call it every ten seconds or so while holding the lock.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the lock was taken from us.
    pub(crate) fn touch(&self) -> io::Result<()> {
        if !self.is_ours()? {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was taken over by another process", self.path.display()),
            ));
        }
        let (file, _) = super::open_regular(&self.path)?;
        touch(&file)
    }

    /// True if the lock file is still the one we made.
    fn is_ours(&self) -> io::Result<bool> {
        match identity_of(&self.path) {
            Ok(identity) => Ok(identity == self.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        match self.is_ours() {
            Ok(true) => remove_quietly(&self.path),
            Ok(false) => {
                tracing::warn!(path = %self.path.display(), "lock_taken_over");
            }
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "lock_not_removed");
            }
        }
    }
}

/// This thread's entry in the table of locks.
#[derive(Debug)]
struct Claim(Key);

impl Claim {
    /// Enters a lock; none if another thread has it.
    fn make(path: &Path) -> io::Result<Option<Self>> {
        let directory = std::fs::metadata(parent(path))?;
        let name = path.file_name().unwrap_or_default().to_owned();
        let key = (directory.dev(), directory.ino(), name);
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        // a claim made only to be thrown away would take it out of the table again
        Ok(held.insert(key.clone()).then(|| Self(key)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        HELD.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

/// How long we have waited, counted in sleeps, and how much longer we will.
#[derive(Debug)]
struct Patience {
    waited: Duration,
    timeout: Duration,
    next_wait: Duration,
    next_age: Duration,
}

impl Patience {
    const fn new(timeout: Duration) -> Self {
        Self {
            waited: Duration::ZERO,
            timeout,
            next_wait: FIRST_WAIT,
            next_age: Duration::ZERO,
        }
    }

    /// Sleeps a little, or says that it is enough.
    fn wait(&mut self, path: &Path) -> io::Result<()> {
        if self.waited >= self.timeout {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{} is held by another process ({})",
                    path.display(),
                    holder(path)
                ),
            ));
        }
        let wait = self.next_wait.min(self.timeout - self.waited);
        std::thread::sleep(wait);
        self.waited += wait;
        self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
        Ok(())
    }

    /// True if the age of a lock is to be measured now.
    fn measures_age(&mut self) -> bool {
        let due = self.waited >= self.next_age;
        if due {
            self.next_age = self.waited + AGE_INTERVAL;
        }
        due
    }
}

/// What there is to be said of somebody's lock.
#[derive(Debug)]
enum Verdict {
    /// It is no longer there.
    Gone,
    /// Its holder may be alive.
    Held,
    /// Its holder is dead; which file it was, of what time.
    Stale(Identity, SystemTime),
}

/// Looks at a lock that is not ours.
fn judge(
    path: &Path,
    like: &Ownership,
    stale_after: Duration,
    patience: &mut Patience,
) -> io::Result<Verdict> {
    let (metadata, text) = match read(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Gone),
        Err(error) => return Err(error),
    };
    let modified = metadata.modified()?;
    let stale = Verdict::Stale(identity(&metadata), modified);
    match parse(&text, &host()) {
        Some(pid) if is_alive(pid) => return Ok(Verdict::Held),
        Some(_) => return Ok(stale),
        None => {}
    }
    if !patience.measures_age() {
        return Ok(Verdict::Held);
    }
    let age = file_system_time(path, like)?
        .duration_since(modified)
        .unwrap_or_default();
    Ok(if age > stale_after {
        stale
    } else {
        Verdict::Held
    })
}

/// Makes a lock file that says whose it is; none if there is one already. It gets its name when that is written: a process that is killed
/// leaves no lock of which nobody knows whose it is.
fn make(path: &Path, like: &Ownership) -> io::Result<Option<(File, Identity)>> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Ok(None);
    }
    let (begun, file, identity) = begin(path, like)?;
    match give_name(&begun, path) {
        Ok(()) => Ok(Some((file, identity))),
        Err(error) => {
            remove_quietly(&begun);
            match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(None),
                _ => Err(error),
            }
        }
    }
}

/// Makes a file beside a path that says that it is ours.
fn begin(path: &Path, like: &Ownership) -> io::Result<(PathBuf, File, Identity)> {
    let begun = unique(path);
    let mut file = match create_new(&begun, like) {
        // left by an earlier process of our number
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&begun)?;
            create_new(&begun, like)?
        }
        outcome => outcome?,
    };
    let written = file.write_all(whose().as_bytes());
    match written.and_then(|()| file.metadata()) {
        Ok(metadata) => Ok((begun, file, identity(&metadata))),
        Err(error) => {
            remove_quietly(&begun);
            Err(error)
        }
    }
}

/// What a lock of ours says.
fn whose() -> String {
    format!("{}:{}", std::process::id(), host())
}

/// Which file a path names.
fn identity_of(path: &Path) -> io::Result<Identity> {
    std::fs::symlink_metadata(path).map(|metadata| identity(&metadata))
}

/// Which file it is of which the system says so.
fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

/// Gives a file the time of now.
fn touch(file: &File) -> io::Result<()> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    futimens(file, &times)?;
    Ok(())
}

/// Gives an open file one more name, which must be free. One without any name is not found.
fn give_another_name(file: &File, name: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd as _;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, open, CWD, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

/// Gives a file another name, which must be free, at one stroke for all hosts.
fn give_name(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // file systems without this flag, for example NFS
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

/// Reads a lock file.
fn read(path: &Path) -> io::Result<(Metadata, Vec<u8>)> {
    let (file, about) = super::open_regular(path)?;
    Ok((about, contents(&file)?))
}

/// What a lock file says.
fn contents(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_OCTETS).read_to_end(&mut text)?;
    Ok(text)
}

/// The process that holds a lock, if it is one of this host.
fn parse(text: &[u8], host: &str) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (pid, of) = text.strip_suffix('\n').unwrap_or(text).split_once(':')?;
    (of == host).then(|| pid.parse().ok()).flatten()
}

/// True if there may be another process of this number.
fn is_alive(pid: u32) -> bool {
    if pid == std::process::id() {
        // the table says that no thread of ours has it
        return false;
    }
    match i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        Some(pid) => rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
        None => false,
    }
}

/// What time it is where the lock lies.
fn file_system_time(lock: &Path, like: &Ownership) -> io::Result<SystemTime> {
    let probe = unique(lock);
    let modified = create_new(&probe, like)?.metadata()?.modified();
    remove_quietly(&probe);
    modified
}

/// Removes a stale lock, unless it has become another one meanwhile, or was taken again.
fn take_away(path: &Path, judged: Identity, modified: SystemTime) -> io::Result<()> {
    let aside = unique(path);
    match std::fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let metadata = std::fs::symlink_metadata(&aside)?;
    if (identity(&metadata), metadata.modified()?) == (judged, modified) {
        tracing::info!(path = %path.display(), "stale_lock_removed");
    } else if let Err(error) = std::fs::hard_link(&aside, path) {
        tracing::warn!(path = %path.display(), %error, "lock_not_given_back");
    }
    std::fs::remove_file(&aside)
}

/// A name beside the lock that nobody else uses.
fn unique(lock: &Path) -> PathBuf {
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    beside(lock, &format!(".{}.{}.{n}", host(), std::process::id()))
}

/// Who holds a lock, for the log.
fn holder(path: &Path) -> String {
    read(path).map_or_else(
        |error| error.to_string(),
        |(_, text)| String::from_utf8_lossy(&text).escape_debug().to_string(),
    )
}

/// The name of this host, as Dovecot has it.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    const STALE: Duration = Duration::from_secs(120);
    const BRIEF: Duration = Duration::from_millis(20);
    const AMPLE: Duration = Duration::from_secs(30);

    struct Place {
        _root: tempfile::TempDir,
        like: Ownership,
        file: PathBuf,
        lock: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            Self {
                like: Ownership::of(root.path()).unwrap(),
                file: root.path().join("list"),
                lock: root.path().join("list.lock"),
                _root: root,
            }
        }

        fn acquire(&self, timeout: Duration) -> io::Result<DotLock> {
            DotLock::acquire(&self.file, &self.like, timeout, STALE)
        }

        fn acquire_by(&self, by: &LockFile, timeout: Duration) -> io::Result<DotLock> {
            DotLock::acquire_by(Some(by), &self.file, &self.like, timeout, STALE)
        }

        fn put(&self, text: &str, age: Duration) {
            let mut file = File::create(&self.lock).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - age).unwrap();
        }
    }

    fn write(path: &Path, text: &str) {
        File::create(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .unwrap();
    }

    #[test]
    fn a_lock_always_says_whose_it_is() {
        let place = Place::new();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    if let Ok(text) = fs::read_to_string(&place.lock) {
                        assert!(text.ends_with(&host()), "{text:?}");
                        seen += 1;
                    }
                }
                seen
            });
            for _ in 0..3000 {
                place.acquire(BRIEF).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            assert_ne!(watcher.join().unwrap(), 0);
        });
        assert_eq!(
            fs::read_dir(place.lock.parent().unwrap()).unwrap().count(),
            0
        );
    }

    #[test]
    fn holds_and_gives_back() {
        let place = Place::new();
        let lock = place.acquire(BRIEF).unwrap();
        assert_eq!(
            fs::read_to_string(&place.lock).unwrap(),
            format!("{}:{}", std::process::id(), host())
        );
        assert_eq!(
            place.acquire(BRIEF).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        lock.touch().unwrap();
        drop(lock);
        assert!(!place.lock.exists());
        place.acquire(BRIEF).unwrap();
    }

    #[test]
    fn a_lasting_file_is_linked_as_the_lock() {
        let place = Place::new();
        let path = place.file.with_file_name("lasting");
        let own = format!("{}:{}", std::process::id(), host());
        let lasting = LockFile::new(path.clone());
        let mut first = None;
        // a dead process's, none, and our own from then on
        for left in [Some("1:elsewhere.example"), None, None] {
            if let Some(text) = left {
                write(&path, text);
            }
            let lock = place.acquire_by(&lasting, BRIEF).unwrap();
            assert_eq!(fs::read_to_string(&place.lock).unwrap(), own);
            let identity = identity_of(&place.lock).unwrap();
            assert_eq!(identity_of(&path).unwrap(), identity);
            assert_eq!(*first.get_or_insert(identity), identity);
            let refused = place.acquire(BRIEF).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
            drop(lock);
            assert!(!place.lock.exists());
        }
        let after_restart = LockFile::new(path);
        drop(place.acquire_by(&after_restart, BRIEF).unwrap());
        assert_eq!(identity_of(&after_restart.0).ok(), first);
    }

    #[test]
    fn a_lasting_file_that_is_removed_or_replaced_is_made_again() {
        let place = Place::new();
        let path = place.file.with_file_name("lasting");
        let own = format!("{}:{}", std::process::id(), host());
        let lasting = LockFile::new(path.clone());
        for other in [None, Some("1:elsewhere.example"), Some("")] {
            drop(place.acquire_by(&lasting, BRIEF).unwrap());
            fs::remove_file(&path).unwrap();
            if let Some(text) = other {
                write(&path, text);
            }
            let lock = place.acquire_by(&lasting, BRIEF).unwrap();
            assert_eq!(fs::read_to_string(&place.lock).unwrap(), own, "{other:?}");
            lock.touch().unwrap();
            drop(lock);
            assert!(!place.lock.exists(), "{other:?}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_never_linked_though_it_is_the_same() {
        let place = Place::new();
        let path = place.file.with_file_name("lasting");
        let lasting = LockFile::new(path.clone());
        drop(place.acquire_by(&lasting, BRIEF).unwrap());
        // as if another process's file had got its inode
        write(&path, "1:elsewhere.example");
        let lock = place.acquire_by(&lasting, BRIEF).unwrap();
        assert_eq!(fs::read_to_string(&place.lock).unwrap(), whose());
        drop(lock);
        assert!(!place.lock.exists());
    }

    #[test]
    fn a_file_that_lost_its_name_is_never_linked() {
        let place = Place::new();
        let path = place.file.with_file_name("lasting");
        let lasting = LockFile::new(path.clone());
        let (file, _) = lasting.ours(&place.like).unwrap();
        // another process puts its own there at this moment
        fs::remove_file(&path).unwrap();
        write(&path, "1:elsewhere.example");
        let refused = give_another_name(&file, &place.lock).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(!place.lock.exists());
    }

    #[test]
    fn without_a_lasting_file_a_lock_is_made() {
        let place = Place::new();
        // a directory cannot be linked, nor replaced by a file
        let path = place.file.with_file_name("lasting");
        fs::create_dir(&path).unwrap();
        let lasting = LockFile::new(path);
        let lock = place.acquire_by(&lasting, BRIEF).unwrap();
        assert!(place.lock.exists());
        drop(lock);
        assert_eq!(
            fs::read_dir(place.lock.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn judges_others_as_dovecot_does() {
        let mut alive = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let (alive_pid, dead_pid, own, host) = (alive.id(), dead.id(), std::process::id(), host());
        let hour = Duration::from_secs(3600);
        let none = Duration::ZERO;
        for (text, age, taken) in [
            (format!("{alive_pid}:{host}"), none, false),
            // however old: the process is there
            (format!("{alive_pid}:{host}"), hour, false),
            (format!("{dead_pid}:{host}"), none, true),
            (format!("{dead_pid}:{host}\n"), none, true),
            // left by an earlier process with our number
            (format!("{own}:{host}"), none, true),
            (format!("{own}:elsewhere.example"), none, false),
            (format!("{own}:elsewhere.example"), hour, true),
            // Dovecot writes new contents into the lock file of some files
            ("V\t2\n\nINBOX\n".into(), none, false),
            ("V\t2\n\nINBOX\n".into(), hour, true),
            (String::new(), none, false),
            (String::new(), hour, true),
        ] {
            let place = Place::new();
            place.put(&text, age);
            let result = place.acquire(BRIEF);
            assert_eq!(result.is_ok(), taken, "{text:?} {age:?}: {result:?}");
            drop(result);
            assert_eq!(place.lock.exists(), !taken);
            let directory = place.file.parent().unwrap();
            let left = fs::read_dir(directory).unwrap().count();
            assert_eq!(left, usize::from(!taken), "leftovers");
        }
        alive.kill().unwrap();
        alive.wait().unwrap();
    }

    #[test]
    fn a_lock_taken_over_is_not_removed() {
        let place = Place::new();
        let lock = place.acquire(BRIEF).unwrap();
        fs::remove_file(&place.lock).unwrap();
        place.put("1:elsewhere.example", Duration::ZERO);
        assert_eq!(lock.touch().unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(lock);
        assert!(place.lock.exists());
    }

    #[test]
    fn a_lock_that_changed_since_it_was_judged_is_given_back() {
        let place = Place::new();
        place.put("1:elsewhere.example", Duration::ZERO);
        let identity = identity_of(&place.lock).unwrap();
        let modified = fs::metadata(&place.lock).unwrap().modified().unwrap();
        // another file, or the same one taken again
        for judged in [((0, 0, None), modified), (identity, modified - BRIEF)] {
            take_away(&place.lock, judged.0, judged.1).unwrap();
            assert_eq!(
                fs::read_to_string(&place.lock).unwrap(),
                "1:elsewhere.example"
            );
        }
    }

    #[test]
    fn threads_keep_each_other_out() {
        let place = Arc::new(Place::new());
        let (inside, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (place, inside, done) = (place.clone(), inside.clone(), done.clone());
                std::thread::spawn(move || {
                    for _ in 0..20 {
                        let _lock = place.acquire(AMPLE).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(done.load(Ordering::SeqCst), 80);
    }
}
