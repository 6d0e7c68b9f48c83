//! Signs of life while a command takes long: `* OK [INPROGRESS …]` (RFC 9585).
//!
//! A command that answers in pieces tells between them how far it is. What one job does as a whole has its words ready beforehand, and the
//! shell says them while the job runs.

use super::Session;
use super::activity::{Job, Reading};
use super::reply::text;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Untagged};
use crate::protocol::PROGRESS_INTERVAL;
use std::time::Instant;

/// When a client hears of a command next.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// None before the first step.
    due: Option<Instant>,
    /// The job on which the shell reports was announced then.
    working_since: Option<Instant>,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Messages done.
    pub(crate) done: usize,
    /// Messages in all.
    pub(crate) goal: usize,
}

impl Notices {
    /// True if it is time for a sign of life; it counts as given.
    fn is_due(&mut self, now: Instant) -> bool {
        let next = now.checked_add(PROGRESS_INTERVAL);
        let work = self.working_since.take();
        let shell_spoke =
            work.is_some_and(|since| now.saturating_duration_since(since) >= PROGRESS_INTERVAL);
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.due.is_none() || is_due || shell_spoke {
            self.due = next;
        }
        is_due && !shell_spoke
    }

    /// The shell reports from now on.
    pub(super) const fn work_begins(&mut self, now: Instant) {
        self.working_since = Some(now);
    }
}

impl Session {
    /// Gives a sign of life between two pieces of an answer, if it is time.
    pub(super) fn tell_progress(&self, reading: &mut Reading, now: Instant, out: &mut Vec<u8>) {
        if !reading.cursor.is_within_literal() && reading.notices.is_due(now) {
            self.say_progress(&reading.tag, reading.cursor.measure(), out);
        }
    }

    /// What the shell says while a job goes on; nothing where it would come to stand within something else.
    pub(super) fn words_while_working(&self, job: &Job) -> Vec<u8> {
        let mut out = Vec::new();
        if job.is_within_literal() || matches!(job, Job::Open(_)) {
            return out;
        }
        let measure = match job {
            Job::Reading(reading) => reading.cursor.measure(),
            _ => None,
        };
        if let Some(tag) = job.tag() {
            self.say_progress(tag, measure, &mut out);
        }
        out
    }

    /// `* OK [INPROGRESS …]`, unless that is switched off or all is done.
    fn say_progress(&self, tag: &Tag, measure: Option<Measure>, out: &mut Vec<u8>) {
        if !self.is_offered("INPROGRESS") || measure.is_some_and(|m| m.done >= m.goal) {
            return;
        }
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let code = Code::InProgress {
            tag: tag.clone(),
            measure: measure.map(|m| (number(m.done), number(m.goal))),
        };
        let words = Untagged::Status(Condition::Ok, text(code, "Still working"));
        self.responses(out).push(&words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant cannot be made otherwise; only differences to it are used"
    )]
    fn a_sign_of_life_comes_once_in_each_interval() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut notices = Notices::default();
        let told: Vec<u64> = (0..40).filter(|secs| notices.is_due(at(*secs))).collect();
        assert_eq!(told, [10, 20, 30]);
        // pieces that take long: the shell has spoken meanwhile
        let mut notices = Notices::default();
        assert!(!notices.is_due(at(0)));
        notices.work_begins(at(0));
        assert!(!notices.is_due(at(11)));
        notices.work_begins(at(11));
        assert!(!notices.is_due(at(17)));
        notices.work_begins(at(17));
        assert!(notices.is_due(at(22)));
    }
}
