//! When search results that changed are told of (RFC 5267 §4.3): after what changed them, before the end of the command.

use super::activity::{Activity, Finish, Job};
use super::{Progress, Session};
use crate::imap::commands::search::Contexts;
use crate::protocol::Output;

/// Whether updates are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Updates {
    /// All of them.
    Told,
    /// There are more; call again when the output has been written.
    More,
    /// Messages must be read first, on a thread of the volume.
    NeedDisk,
    /// A message could not be told to its end: the session is over.
    Broken,
}

impl Session {
    /// Tells of results that changed, as far as that can be done without a thread of the volume.
    pub(super) fn tell_updates(&mut self, out: &mut Output) -> Updates {
        let dialect = self.dialect;
        match self.state.selected() {
            Some(selected) if selected.contexts.needs_disk() => Updates::NeedDisk,
            Some(selected) if selected.contexts.is_due() => {
                match Contexts::advance(selected, dialect, out) {
                    Ok(Progress::More) => Updates::More,
                    Ok(Progress::Done) => Updates::Told,
                    Err(_) => {
                        self.break_off();
                        Updates::Broken
                    }
                }
            }
            _ => Updates::Told,
        }
    }

    /// The same for one piece, on a thread of the volume. After it comes this activity.
    pub(super) fn work_on_updates(&mut self, next: Activity, out: &mut Output) {
        let dialect = self.dialect;
        self.activity = next;
        if let Some(selected) = self.state.selected()
            && Contexts::advance(selected, dialect, out).is_err()
        {
            self.break_off();
        }
    }

    /// Tells of results that changed at the end of a command. Returns it back if all is told.
    pub(super) fn finish_updates(
        &mut self,
        finish: Box<Finish>,
        out: &mut Output,
    ) -> Option<Box<Finish>> {
        if finish.updates_later {
            return Some(finish);
        }
        self.activity = match self.tell_updates(out) {
            Updates::Told => return Some(finish),
            Updates::Broken => return None,
            Updates::More => Activity::Finish(finish),
            Updates::NeedDisk => Activity::Work(Box::new(Job::Finish(finish))),
        };
        None
    }
}
