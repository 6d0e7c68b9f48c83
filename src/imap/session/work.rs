//! Work for the volume: what it needs, what it does, and what if it cannot be had.

use super::activity::{Activity, Job};
use super::reply::{CommandError, tagged, text};
use super::table::row;
use super::{Session, State};
use crate::imap::encode;
use crate::imap::types::response::{Code, Untagged};
use crate::protocol::{Output, Work};
use std::sync::Arc;

impl Session {
    /// What a job needs of the shell; none if there is nobody whose volume it could be.
    pub(super) fn announce(&self, job: &Job) -> Option<Work> {
        let (place, account) = match (job, &self.state) {
            (Job::Open(opening), _) => (opening.place(), opening.user()),
            (_, State::Authenticated(authenticated) | State::Selected(authenticated, _)) => (
                Arc::clone(&authenticated.place),
                Arc::clone(&authenticated.user),
            ),
            (_, State::NotAuthenticated | State::Logout) => return None,
        };
        Some(Work {
            place,
            account,
            if_stuck: self.words_if_stuck(job),
            while_working: self.words_while_working(job),
        })
    }

    /// What the client hears if the job hangs.
    fn words_if_stuck(&self, job: &Job) -> Vec<u8> {
        let mut out = Vec::new();
        if job.is_within_literal() || self.is_within_arrival() {
            return out;
        }
        if let Some(tag) = job.tag() {
            let result = Err(CommandError::UNAVAILABLE);
            encode::tagged(&tagged(tag.clone(), "", result), &mut out);
        }
        let bye = text(Code::Unavailable, "Mail storage does not answer");
        self.responses(&mut out).push(&Untagged::Bye(bye));
        out
    }

    /// See [`crate::protocol::Protocol::work`].
    pub(super) fn do_work(&mut self, out: &mut Output) {
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Work(job) => match *job {
                Job::Command(command) => self.execute(command, out),
                Job::Open(opening) => self.open_account(opening),
                Job::Reading(reading) => self.read_piece(*reading, out),
                Job::Upload(upload) => self.write_upload(upload, out),
                Job::Idle(idle) => self.look(idle, out),
                Job::Notices => self.look_for_notices(out),
                Job::Finish(finish) => self.work_on_updates(Activity::Finish(finish), out),
            },
            other => self.activity = other,
        }
    }

    /// See [`crate::protocol::Protocol::work_refused`].
    pub(super) fn give_up_work(&mut self) {
        let error = CommandError::UNAVAILABLE;
        match std::mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Work(job) if job.is_within_literal() || self.is_within_arrival() => {
                self.break_off();
            }
            Activity::Work(job) => match *job {
                Job::Command(command) => {
                    let row = row(&command.body);
                    self.end(command.tag, row, Err(error));
                }
                Job::Open(opening) => self.refuse_opening(opening, error),
                Job::Reading(reading) => self.end(reading.tag, reading.row, Err(error)),
                Job::Upload(upload) => self.abandon_upload(upload, error),
                Job::Idle(idle) => self.look_later(idle),
                Job::Notices => self.look_for_notices_later(),
                Job::Finish(mut finish) => {
                    self.look_for_notices_later();
                    finish.updates_later = true;
                    self.activity = Activity::Finish(finish);
                }
            },
            other => self.activity = other,
        }
    }
}
