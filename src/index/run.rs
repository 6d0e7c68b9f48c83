//! Who wrote a database last: the run of the machine, and the process.

use std::fmt;
use std::fs;
use std::sync::LazyLock;
use std::time::SystemTime;

/// Where Linux tells which run of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// This process.
pub(super) static THIS: LazyLock<Run> = LazyLock::new(Run::new);

/// A process in a run of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    boot: String,
    process: u32,
    /// Tells processes with one number apart, which in containers all have.
    begun: u128,
}

/// What became of who wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// The machine was started anew since.
    Past,
    /// The process is gone, and said nothing.
    Killed,
    /// It may be there.
    Alive,
}

impl Run {
    fn new() -> Self {
        let boot = fs::read_to_string(BOOT_ID);
        Self {
            boot: boot.map_or_else(|_| "-".to_owned(), |id| id.trim().to_owned()),
            process: std::process::id(),
            begun: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_nanos()),
        }
    }

    /// What became of a process that left this mark.
    pub(super) fn writer(&self, mark: &str) -> Writer {
        let mut words = mark.split(' ');
        if words.next() != Some(&*self.boot) {
            return Writer::Past;
        }
        let process = words.next().and_then(|word| word.parse::<i32>().ok());
        let Some(process) = process.and_then(rustix::process::Pid::from_raw) else {
            return Writer::Killed;
        };
        let is_of_our_number = u32::try_from(process.as_raw_nonzero().get()) == Ok(self.process);
        let is_alive = if is_of_our_number {
            mark == self.to_string()
        } else {
            rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH)
        };
        if is_alive {
            Writer::Alive
        } else {
            Writer::Killed
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.boot, self.process, self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_dead_from_the_living() {
        let this = THIS.clone();
        let of = |boot: &str, process: u32, begun: u128| Run {
            boot: boot.to_owned(),
            process,
            begun,
        };
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let parent = std::os::unix::process::parent_id();
        for (mark, expected) in [
            (this.to_string(), Writer::Alive),
            (of(&this.boot, parent, 1).to_string(), Writer::Alive),
            (of(&this.boot, child.id(), 1).to_string(), Writer::Killed),
            (of(&this.boot, this.process, 1).to_string(), Writer::Killed),
            (
                of("other", this.process, this.begun).to_string(),
                Writer::Past,
            ),
            (this.boot.clone(), Writer::Killed),
            (format!("{} x", this.boot), Writer::Killed),
            ("x".to_owned(), Writer::Past),
        ] {
            assert_eq!(this.writer(&mark), expected, "{mark}");
        }
    }
}
