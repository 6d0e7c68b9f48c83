//! Reading `new/` and `cur/`: when it is needed. What is found is in [`super::listing`].
//!
//! A directory is read when its time stamp is not the one of the last reading, or when that stamp cannot be trusted:
//!
//! - A change in the same tick of the file system's clock as the last one leaves the stamp as it is. A stamp that was younger than one
//!   tick when the reading began is *suspect*: the next look reads again. Where stamps have nanoseconds a tick is at most
//!   [`FINE_TICK`] (the kernel's own clock steps by 1 to 10 ms); where the nanoseconds are zero, [`COARSE_TICK`]. A stamp in the
//!   future (another machine's clock) counts as suspect until it has been seen unchanged for [`COARSE_TICK`].
//! - Our own renames change the stamp. If it was the known one just before, the new one is taken over without reading. What another
//!   program did in the same moment would stay hidden, so such a directory is read at the first look after the tick of the last change of ours, or,
//!   where reading is long work ([`LARGE`]), after [`OWN_CHANGE_TRUST`]. Where mail is delivered (`new/`), and where ticks are long, it is read at the
//!   next look.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Longest tick of a file system whose time stamps have nanoseconds: twice the 10 ms of a kernel with 100 Hz.
pub(super) const FINE_TICK: Duration = Duration::from_millis(20);

/// Longest tick of other file systems: the 2 s of FAT.
pub(super) const COARSE_TICK: Duration = Duration::from_secs(2);

/// How long a large directory that only we have changed, as far as we know, is not read again.
pub(super) const OWN_CHANGE_TRUST: Duration = Duration::from_secs(5);

/// From how many messages on a directory is large: reading fewer takes less than some 2 ms.
pub(super) const LARGE: usize = 2000;

/// The state of a directory as far as `stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Duration,
    /// When what the system says of it was changed last: who sets `modified` changes this.
    changed: Duration,
    device: u64,
    inode: u64,
}

/// A time since 1970.
fn time(secs: i64, nanos: i64) -> Duration {
    Duration::new(
        u64::try_from(secs).unwrap_or(0),
        u32::try_from(nanos).unwrap_or(0),
    )
}

impl Stamp {
    /// Looks at a directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let about = fs::metadata(directory)?;
        if !about.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            modified: time(about.mtime(), about.mtime_nsec()),
            changed: time(about.ctime(), about.ctime_nsec()),
            device: about.dev(),
            inode: about.ino(),
        })
    }

    /// All of it.
    pub(super) fn octets(&self) -> Vec<u8> {
        [
            &self.device.to_le_bytes()[..],
            &self.inode.to_le_bytes(),
            &self.modified.as_nanos().to_le_bytes(),
            &self.changed.as_nanos().to_le_bytes(),
        ]
        .concat()
    }

    /// The directory's inode.
    pub(super) const fn inode(&self) -> u64 {
        self.inode
    }

    /// The file system's tick, judged by the stamp.
    const fn tick(&self) -> Duration {
        if self.modified.subsec_nanos() == 0 {
            COARSE_TICK
        } else {
            FINE_TICK
        }
    }

    /// When a reading is not in the stamp's tick any more, in time since 1970, if that is soon.
    fn settles_soon(&self, now: Duration) -> Option<Duration> {
        let is_soon = self.tick() == FINE_TICK && self.modified <= now;
        is_soon.then(|| self.modified + FINE_TICK)
    }

    /// How long from `now`, in time since 1970, until a reading is not in the stamp's tick any more; none if it is not now.
    pub(super) fn settles_in(&self, now: Duration) -> Option<Duration> {
        let settled = self.modified + self.tick();
        (now < settled).then(|| settled - now)
    }
}

/// How far the last reading of a directory may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// While the stamp stays.
    Full,
    /// Not at all: a change in the same tick may have followed.
    None,
    /// We changed it ourselves, and nobody else did as far as the stamp tells: until this time since 1970.
    Until(Duration),
}

/// What is known of a directory from its last reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryState {
    stamp: Option<Stamp>,
    /// When this stamp was seen first, in time since 1970.
    seen: Duration,
    trust: Trust,
}

impl DirectoryState {
    /// Never read.
    pub(super) const UNKNOWN: Self = Self {
        stamp: None,
        seen: Duration::ZERO,
        trust: Trust::None,
    };

    /// True if the directory has to be read, given its stamp and the time since 1970.
    pub(super) fn needs_reading(&self, stamp: &Stamp, now: Duration) -> bool {
        self.stamp.as_ref() != Some(stamp)
            || match self.trust {
                Trust::Full => false,
                Trust::None => true,
                Trust::Until(_) => self.is_put_off(now).is_none(),
            }
    }

    /// Notes a whole reading that began at this time since 1970, when the directory had this stamp.
    pub(super) fn was_read(&mut self, stamp: Stamp, began: Duration) {
        let is_ours = self.stamp == Some(stamp) && matches!(self.trust, Trust::Until(_));
        if self.stamp != Some(stamp) {
            self.seen = began;
        }
        self.stamp = Some(stamp);
        let old_in_our_eyes = began >= self.seen + COARSE_TICK;
        self.trust = if stamp.settles_in(began).is_none() || old_in_our_eyes {
            Trust::Full
        } else {
            let end = stamp.settles_soon(began).filter(|_| is_ours);
            end.map_or(Trust::None, Trust::Until)
        };
    }

    /// How long from `now`, in time since 1970, a reading is put off that our own change made necessary. A clock that was set back does not put it
    /// off further.
    pub(super) fn is_put_off(&self, now: Duration) -> Option<Duration> {
        match self.trust {
            Trust::Until(end) => {
                (end.checked_sub(now)).filter(|wait| !wait.is_zero() && *wait <= OWN_CHANGE_TRUST)
            }
            Trust::Full | Trust::None => None,
        }
    }

    /// The last reading is not to be trusted: something does not fit.
    pub(super) const fn doubt(&mut self) {
        self.trust = Trust::None;
    }

    /// Before a change of our own: true if nobody else has changed the directory since it was read, by its stamp.
    pub(super) fn is_known(&self, stamp: &Stamp) -> bool {
        self.stamp.as_ref() == Some(stamp)
    }

    /// True if the last reading tells all, given the directory's stamp: any change after it would change that.
    pub(super) fn is_trusted(&self, stamp: &Stamp) -> bool {
        self.trusted().as_ref() == Some(stamp)
    }

    /// The stamp of a reading that tells all: any change after it has changed the stamp.
    pub(super) fn trusted(&self) -> Option<Stamp> {
        self.stamp.filter(|_| self.trust == Trust::Full)
    }

    /// After a change of our own to a directory that was [`DirectoryState::is_known`] before, with `files` in it. Mail is `delivered` to some.
    pub(super) fn own_change(
        &mut self,
        stamp: Stamp,
        now: Duration,
        files: usize,
        delivered: bool,
    ) {
        self.seen = now;
        self.stamp = Some(stamp);
        let is_large = files >= LARGE;
        self.trust = match self.trust {
            Trust::Full if is_large => Trust::Until(now + OWN_CHANGE_TRUST),
            Trust::Full if !delivered => {
                (stamp.settles_soon(now)).map_or(Trust::None, Trust::Until)
            }
            Trust::Until(end) if is_large || !delivered => Trust::Until(end),
            Trust::Full | Trust::None | Trust::Until(_) => Trust::None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stamp(secs: u64, nanos: u32) -> Stamp {
        Stamp {
            modified: Duration::new(secs, nanos),
            changed: Duration::new(secs, nanos),
            device: 1,
            inode: 1,
        }
    }

    const fn at(secs: u64, millis: u32) -> Duration {
        Duration::new(secs, millis * 1_000_000)
    }

    #[test]
    fn stamps_are_trusted_when_they_are_older_than_a_tick() {
        // (stamp, when the reading began, a later look, must read again?)
        for (stamp, began, look, expected) in [
            (stamp(100, 500_000_000), at(100, 530), at(100, 531), false),
            (stamp(100, 500_000_000), at(100, 505), at(100, 531), true),
            (stamp(100, 0), at(101, 900), at(200, 0), true),
            (stamp(100, 0), at(102, 0), at(200, 0), false),
            // a clock elsewhere that is ahead
            (stamp(900, 7), at(100, 0), at(101, 0), true),
        ] {
            let mut state = DirectoryState::UNKNOWN;
            assert!(state.needs_reading(&stamp, began));
            state.was_read(stamp, began);
            assert_eq!(state.needs_reading(&stamp, look), expected, "{stamp:?}");
        }
        let ahead = stamp(900, 7);
        let mut state = DirectoryState::UNKNOWN;
        state.was_read(ahead, at(100, 0));
        state.was_read(ahead, at(102, 0));
        assert!(!state.needs_reading(&ahead, at(103, 0)));
        assert!(state.needs_reading(&stamp(900, 8), at(103, 0)));
    }

    #[test]
    fn own_changes_are_read_again_at_leisure_where_that_is_long_work() {
        let (old, new, newer) = (stamp(100, 1), stamp(200, 1), stamp(203, 1));
        for (files, delivered, expected) in [
            (LARGE, true, [false, false, true]),
            (LARGE, false, [false, false, true]),
            (LARGE - 1, true, [true, true, true]),
        ] {
            let mut state = DirectoryState::UNKNOWN;
            state.was_read(old, at(150, 0));
            assert!(state.is_known(&old));
            state.own_change(new, at(200, 1), files, delivered);
            state.own_change(newer, at(203, 1), files, delivered);
            let looks = [at(203, 2), at(205, 0), at(205, 1)];
            assert_eq!(
                looks.map(|look| state.needs_reading(&newer, look)),
                expected
            );
        }
    }

    #[test]
    fn own_changes_are_read_again_after_their_tick() {
        let mut state = DirectoryState::UNKNOWN;
        state.was_read(stamp(100, 1), at(150, 0));
        // (our change, a look before its tick is over, one after)
        let first = stamp(200, 1);
        state.own_change(first, at(200, 1), 10, false);
        assert!(!state.needs_reading(&first, at(200, 19)));
        assert_eq!(
            state.is_put_off(at(200, 19)),
            Some(Duration::new(0, 1_000_001))
        );
        // a clock that was set back does not put it off
        assert!(state.needs_reading(&first, at(100, 0)));
        // another change does not put it off further
        let second = stamp(200, 10_000_000);
        state.own_change(second, at(200, 11), 10, false);
        assert!(!state.needs_reading(&second, at(200, 19)));
        assert!(state.needs_reading(&second, at(200, 21)));
        assert_eq!(state.is_put_off(at(200, 21)), None);
        // read within the tick of the second: once more after that
        state.was_read(second, at(200, 21));
        assert!(!state.needs_reading(&second, at(200, 29)));
        assert!(state.needs_reading(&second, at(200, 31)));
        state.was_read(second, at(200, 31));
        assert!(state.is_trusted(&second));
        // what somebody else changed is read at once, and again while that is young
        let theirs = stamp(201, 1);
        state.own_change(stamp(200, 999_000_000), at(200, 999), 10, false);
        assert!(state.needs_reading(&theirs, at(201, 1)));
        state.was_read(theirs, at(201, 1));
        assert!(state.needs_reading(&theirs, at(201, 2)));
        // long ticks, and clocks that are ahead
        for odd in [stamp(300, 0), stamp(900, 7)] {
            let mut state = DirectoryState::UNKNOWN;
            state.was_read(stamp(100, 1), at(150, 0));
            state.own_change(odd, at(300, 1), 10, false);
            assert!(state.needs_reading(&odd, at(300, 2)), "{odd:?}");
        }
    }
}
