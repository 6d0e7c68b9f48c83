//! IDLE (RFC 9051 §6.3.13): tells what happens as it happens, until DONE.
//!
//! The mailbox is watched before it is looked at, so that nothing falls between. A wake-up leads to a look at the disk only if the mailbox is
//! not current, and to at most one per wake-up: a mailbox that nobody watches never is current.

use super::activity::{Activity, Finish, Job};
use super::reply::{CommandError, Completed, plain};
use super::run::NextLine;
use super::sync::Pending;
use super::table::Row;
use super::updates::Updates;
use super::{Progress, Session, State};
use crate::imap::encode;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Untagged};
use crate::mailbox::backend::{Error, Watch};
use crate::mailbox::view::Expunges;
use crate::protocol::{Output, Patience, Step, Wait};
use std::time::{Duration, Instant};

/// After a look that failed, the next one comes so soon.
const RETRY: Duration = Duration::from_secs(5);

/// An IDLE in progress.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) tag: Tag,
    row: &'static Row,
    /// Wakes the connection while the command lasts.
    watch: Option<Box<dyn Watch>>,
    /// What is being told.
    pending: Option<Box<Pending>>,
    /// The disk was looked at since the last wake-up.
    looked: bool,
    /// The last look failed.
    failed: bool,
    /// When something is to be said even if nothing happened.
    words_due: Option<Instant>,
}

impl Idle {
    /// An IDLE that begins.
    pub(super) const fn new(tag: Tag, row: &'static Row) -> Self {
        Self {
            tag,
            row,
            watch: None,
            pending: None,
            looked: false,
            failed: false,
            words_due: None,
        }
    }
}

impl Session {
    /// Answers the command and begins to watch.
    pub(super) fn begin_idle(&mut self, mut idle: Idle, out: &mut Vec<u8>) {
        encode::continuation("idling", out);
        if let State::Selected(_, selected) = &mut self.state {
            selected.last_message.release();
            idle.watch = Some(selected.mailbox.watch(self.services.host.waker()));
        }
        self.activity = Activity::Idle(Box::new(idle));
    }

    /// Looks for DONE, then for news.
    pub(super) fn continue_idle(
        &mut self,
        mut idle: Idle,
        now: Instant,
        out: &mut Output,
    ) -> Option<Step> {
        if let Some(pending) = &mut idle.pending {
            idle.words_due = None;
            if pending.advance(self.state.selected(), self.dialect, out) == Progress::More {
                self.activity = Activity::Idle(Box::new(idle));
                return None;
            }
            let due = self
                .state
                .selected()
                .and_then(|selected| pending.mod_seq_due(selected, self.dialect));
            if let Some(mod_seq) = due {
                self.responses(out)
                    .ok(Code::HighestModSeq(mod_seq), "Highest");
            }
            idle.pending = None;
        }
        if self.is_telling_arrivals() {
            idle.words_due = None;
            if self.arrivals_need_disk() {
                self.activity = Activity::Work(Box::new(Job::Idle(idle)));
            } else {
                self.activity = Activity::Idle(Box::new(idle));
                self.advance_arrivals(out);
            }
            return None;
        }
        if self.is_within_arrival() {
            // of a result of a search: whatever the client has said waits for its end
            return self.look_for_news(idle, now, out);
        }
        let result = match self.next_line(out) {
            NextLine::None => return self.look_for_news(idle, now, out),
            NextLine::Whole(line) if line.eq_ignore_ascii_case(b"DONE") => Ok(Completed::PLAIN),
            NextLine::Whole(_) => Err(CommandError::bad("expected DONE")),
            NextLine::Bad(error) => Err(error),
            NextLine::Fatal => return None,
        };
        self.end(idle.tag, idle.row, result);
        None
    }

    fn look_for_news(&mut self, mut idle: Idle, now: Instant, out: &mut Output) -> Option<Step> {
        let updates = if idle.failed {
            Updates::Told
        } else {
            self.tell_updates(out)
        };
        match updates {
            Updates::Told => {}
            Updates::Broken => return None,
            Updates::More => {
                self.activity = Activity::Idle(Box::new(idle));
                return None;
            }
            Updates::NeedDisk => {
                self.activity = Activity::Work(Box::new(Job::Idle(idle)));
                return None;
            }
        }
        if !idle.looked && self.others_need_disk() {
            self.activity = Activity::Work(Box::new(Job::Idle(idle)));
            return None;
        }
        if !self.tell_of_others(out) {
            self.activity = Activity::Idle(Box::new(idle));
            return None;
        }
        let with_uids = self.notices.is_some();
        if self.wants_selected()
            && let State::Selected(_, selected) = &mut self.state
        {
            if !idle.looked && !selected.mailbox.is_current() {
                self.activity = Activity::Work(Box::new(Job::Idle(idle)));
                return None;
            }
            let is_current = selected
                .view
                .is_current(&selected.mailbox.read(), Expunges::Tell);
            if !is_current {
                let pending = Pending::take(selected, Expunges::Tell, with_uids, self.dialect);
                idle.pending = Some(Box::new(pending));
                self.activity = Activity::Idle(Box::new(idle));
                return None;
            }
        }
        if self.begin_arrivals() {
            self.activity = Activity::Idle(Box::new(idle));
            return None;
        }
        idle.looked = false;
        let at = self.next_moment(&mut idle, now, out);
        self.activity = Activity::Idle(Box::new(idle));
        Some(Step::Wait(Wait {
            input: true,
            at,
            patience: Patience::Idle,
        }))
    }

    /// When to come back without being woken; says something if it is time to.
    fn next_moment(&self, idle: &mut Idle, now: Instant, out: &mut Vec<u8>) -> Option<Instant> {
        if idle.words_due.is_some_and(|due| due <= now) {
            let words = Untagged::Status(Condition::Ok, plain("Still here"));
            self.responses(out).push(&words);
            idle.words_due = None;
        }
        if idle.words_due.is_none() {
            let silence = self.settings.idle_keep_alive;
            idle.words_due = silence.and_then(|silence| now.checked_add(silence));
        }
        let retry = std::mem::take(&mut idle.failed)
            .then(|| now.checked_add(RETRY))
            .flatten();
        [idle.words_due, retry].into_iter().flatten().min()
    }

    /// Looks at the disk, on a thread of the volume.
    pub(super) fn look(&mut self, mut idle: Idle, out: &mut Output) {
        if self.is_telling_arrivals() {
            self.activity = Activity::Idle(Box::new(idle));
            return self.advance_arrivals(out);
        }
        if let State::Selected(_, selected) = &self.state
            && selected.contexts.is_due()
        {
            return self.work_on_updates(Activity::Idle(Box::new(idle)), out);
        }
        let seen = match &self.state {
            State::Selected(_, selected) => selected.mailbox.refresh(selected.intake()),
            State::NotAuthenticated | State::Authenticated(_) | State::Logout => Ok(()),
        };
        if seen == Err(Error::NonExistent) {
            let mut pending = Pending::default();
            idle.watch = None;
            if let Some(bye) = self.lose_mailbox(&mut pending) {
                self.activity = Activity::Finish(Box::new(Finish {
                    bye: Some(bye),
                    ..Finish::of(pending)
                }));
                return;
            }
            idle.pending = Some(Box::new(pending));
        }
        idle.looked = true;
        idle.failed = seen.is_err() | !self.look_at_others(out);
        self.activity = Activity::Idle(Box::new(idle));
    }

    /// The look could not be had now.
    pub(super) fn look_later(&mut self, mut idle: Idle) {
        self.look_for_notices_later();
        idle.looked = true;
        idle.failed = true;
        self.activity = Activity::Idle(Box::new(idle));
    }
}
