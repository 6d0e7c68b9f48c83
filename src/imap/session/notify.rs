//! NOTIFY (RFC 5465): tells of events while no command is in progress, and during IDLE.

use super::activity::{Activity, Finish, Job};
use super::reply::{CommandError, CommandResult};
use super::sync::Pending;
use super::watched::Others;
use super::{Session, State};
use crate::imap::types::notify::{Notify, NotifySet, SelectedEvents};
use crate::imap::types::response::Code;
use crate::mailbox::backend::{Error, Watch};
use crate::mailbox::name::MailboxName;
use crate::mailbox::view::Expunges;
use crate::protocol::{Patience, Step, Wait};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// The events that are offered (RFC 5465 §3.1).
const OFFERED: &[&str] = &["MessageNew", "MessageExpunge", "FlagChange"];

/// After a look that failed, the next one comes so soon.
const RETRY: Duration = Duration::from_secs(5);

/// What a client that used NOTIFY SET is to hear of.
#[derive(Debug)]
pub(super) struct Notices {
    selected: Option<SelectedEvents>,
    others: Others,
    /// Wakes the connection for the mailbox that is selected, as long as that is the one of this name.
    watch: Option<(MailboxName, Box<dyn Watch>)>,
    /// The disk was looked at since the last wake-up.
    looked: bool,
    /// The last look failed.
    failed: bool,
}

impl Notices {
    /// Whether expunges in the selected mailbox are told at once; none if nothing is told of it.
    fn expunges(&self) -> Option<Expunges> {
        let selected = self.selected.as_ref()?;
        selected.messages?;
        Some(if selected.delayed {
            Expunges::Hold
        } else {
            Expunges::Tell
        })
    }
}

impl Session {
    /// Does NOTIFY. On a thread of the volume.
    pub(super) fn notify(&mut self, notify: Notify, out: &mut Vec<u8>) -> CommandResult {
        match notify {
            Notify::None => self.notices = None,
            Notify::Set(set) => self.set_notices(set, out)?,
        }
        self.refresh()
    }

    fn set_notices(&mut self, set: NotifySet, out: &mut Vec<u8>) -> Result<(), CommandError> {
        if set.unsupported
            || set
                .groups
                .iter()
                .any(|group| group.names || group.subscriptions)
        {
            return Err(CommandError::No(
                Some(Code::BadEvent(OFFERED)),
                Cow::Borrowed("there are no such events"),
            ));
        }
        let waker = self.services.host.waker();
        let mut out = self.responses(out);
        let (context, selected) = self.parts()?;
        let mut others = Others::new(&set.groups, &context)?;
        others.choose(&context, &waker)?;
        if set.status {
            others.tell_all(&context, selected.map(|selected| &selected.name), &mut out);
        }
        self.notices = Some(Box::new(Notices {
            selected: set.selected,
            others,
            watch: None,
            looked: false,
            failed: false,
        }));
        Ok(())
    }

    /// Nothing has come from the client: tells what is to be told, or waits. None if there is more to do at once.
    pub(super) fn wait_for_command(
        &mut self,
        patience: Patience,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Step> {
        let Some(mut notices) = self.notices.take() else {
            return Some(Step::Wait(Wait::for_input(patience)));
        };
        let step = self.tell_notices(&mut notices, patience, now, out);
        self.notices = Some(notices);
        step
    }

    fn tell_notices(
        &mut self,
        notices: &mut Notices,
        patience: Patience,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Step> {
        let expunges = notices.expunges();
        self.watch_selected(notices);
        if !notices.looked && !notices.failed && self.must_look(notices) {
            self.activity = Activity::Work(Box::new(Job::Notices));
            return None;
        }
        self.tell_news_of(&mut notices.others, out);
        let dialect = self.dialect;
        if let (Some(expunges), Some(selected)) = (expunges, self.state.selected()) {
            let is_current = selected.view.is_current(&selected.mailbox.read(), expunges);
            if !is_current {
                self.activity = Activity::Finish(Box::new(Finish {
                    pending: Pending::take(selected, expunges, true, dialect),
                    tagged: None,
                    bye: None,
                    updates_later: false,
                }));
                return None;
            }
        }
        notices.looked = false;
        let retry = std::mem::take(&mut notices.failed);
        Some(Step::Wait(Wait {
            input: true,
            at: retry.then(|| now.checked_add(RETRY)).flatten(),
            patience,
        }))
    }

    /// Tells what has changed in other mailboxes.
    fn tell_news_of(&mut self, others: &mut Others, out: &mut Vec<u8>) {
        let mut out = self.responses(out);
        if let Ok((context, selected)) = self.parts() {
            let name = selected.map(|selected| &selected.name);
            others.tell_news(&context, name, &mut out);
        }
    }

    /// The same during IDLE (RFC 5465 §4).
    pub(super) fn tell_of_others(&mut self, out: &mut Vec<u8>) {
        if let Some(mut notices) = self.notices.take() {
            self.tell_news_of(&mut notices.others, out);
            self.notices = Some(notices);
        }
    }

    /// True if another mailbox must be looked at on the disk.
    pub(super) fn others_need_disk(&self) -> bool {
        let notices = self.notices.as_ref();
        notices.is_some_and(|notices| notices.others.needs_disk())
    }

    /// Looks at the other mailboxes, on a thread of the volume. Returns false if one could not be looked at.
    pub(super) fn look_at_others(&mut self) -> bool {
        let notices = self.notices.as_mut();
        notices.is_none_or(|notices| notices.others.look())
    }

    /// True if IDLE tells of the selected mailbox: unless the client has said by NOTIFY that it does not want to hear of it.
    pub(super) fn wants_selected(&self) -> bool {
        let notices = self.notices.as_ref();
        notices.is_none_or(|notices| notices.expunges().is_some())
    }

    /// Watches the selected mailbox, if the client wants to hear of it.
    fn watch_selected(&self, notices: &mut Notices) {
        let wanted = match &self.state {
            State::Selected(_, selected) if notices.expunges().is_some() => Some(selected),
            _ => None,
        };
        let Some(selected) = wanted else {
            notices.watch = None;
            return;
        };
        let is_watched = notices
            .watch
            .as_ref()
            .is_some_and(|(name, _)| *name == selected.name);
        if !is_watched {
            let watch = selected.mailbox.watch(self.services.host.waker());
            notices.watch = Some((selected.name.clone(), watch));
        }
    }

    /// The selected mailbox is left.
    pub(super) fn stop_watching_selected(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.watch = None;
        }
    }

    /// True if something may have happened on a disk.
    fn must_look(&self, notices: &Notices) -> bool {
        let is_stale = match &self.state {
            State::Selected(_, selected) if notices.watch.is_some() => {
                !selected.mailbox.is_current()
            }
            _ => false,
        };
        is_stale || notices.others.needs_disk()
    }

    /// Looks at the disk, on a thread of the volume.
    pub(super) fn look_for_notices(&mut self) {
        let Some(mut notices) = self.notices.take() else {
            return;
        };
        notices.looked = true;
        notices.failed = !notices.others.look();
        if let (State::Selected(_, selected), Some(_)) = (&self.state, &notices.watch) {
            let seen = selected.mailbox.refresh(selected.intake());
            notices.failed |= seen.is_err();
            if seen == Err(Error::NonExistent) {
                notices.watch = None;
                let mut pending = Pending::default();
                let bye = self.lose_mailbox(&mut pending);
                self.activity = Activity::Finish(Box::new(Finish {
                    pending,
                    tagged: None,
                    bye,
                    updates_later: false,
                }));
            }
        }
        self.notices = Some(notices);
    }

    /// The look could not be had now.
    pub(super) fn look_for_notices_later(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.failed = true;
        }
    }
}
