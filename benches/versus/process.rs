//! What processes have used: CPU time and memory, read from the kernel.

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::fs;

/// CPU seconds of all threads of this program so far, ended ones included.
pub fn own_cpu_secs() -> f64 {
    clock(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0.0)
}

/// A process and all below it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut at = 0;
    while let Some(parent) = pids.get(at).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        pids.extend(children.map(|(pid, _)| *pid));
        at += 1;
    }
    pids
}

/// CPU seconds used so far by these processes and by those of their children that have ended.
pub fn cpu_secs(pids: &[u32]) -> f64 {
    let one = |pid: &u32| {
        // to the nanosecond while it runs; what has ended is only told in hundredths of a second
        let running = clock_getcpuclockid(Pid::from_raw(i32::try_from(*pid).ok()?)).ok()?;
        let ended: u64 = stat(*pid)?
            .get(13..15)?
            .iter()
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Some(clock(running)? + ended as f64 / 100.0)
    };
    pids.iter().filter_map(one).sum()
}

/// Proportional share of memory, in KiB, over these processes.
pub fn pss_kib(pids: &[u32]) -> u64 {
    let one = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    pids.iter().filter_map(one).sum()
}

fn clock(clock: ClockId) -> Option<f64> {
    let time = clock_gettime(clock).ok()?;
    Some(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Fields of /proc/pid/stat after the command's name: state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit_once(')')?.1;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
