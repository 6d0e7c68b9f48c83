//! NOTIFY (RFC 5465): tells of events while no command is in progress, and during IDLE.

use super::activity::{Activity, Finish, Job};
use super::reply::{CommandError, CommandResult};
use super::sync::Pending;
use super::watched::Others;
use super::{Dialect, Progress, Selected, Session, State};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::types::event_groups::{Notify, NotifySet, SelectedEvents};
use crate::imap::types::response::Code;
use crate::mailbox::backend::{Error, Watch};
use crate::mailbox::id::Uid;
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
    watch: Option<SelectedWatch>,
    /// New messages that are being told.
    arrivals: Option<Box<FetchCursor>>,
    /// The disk was looked at since the last wake-up.
    looked: bool,
    /// The last look failed.
    failed: bool,
}

/// A watch of the selected mailbox.
#[derive(Debug)]
struct SelectedWatch {
    name: MailboxName,
    /// Wakes the connection.
    _watch: Box<dyn Watch>,
    /// The highest UID that was there when the watch began, or was told by FETCH since.
    last_uid: u32,
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

    /// Begins to tell the data items of messages that have come, if the client asked for some (§5.2). `\Seen` is never set by it.
    fn fetch_arrivals(
        &mut self,
        selected: &Selected,
        dialect: Dialect,
    ) -> Option<Box<FetchCursor>> {
        let items = &self.selected.as_ref()?.items;
        let watch = self.watch.as_mut().filter(|_| !items.is_empty())?;
        let last = selected.view.last_uid()?.value();
        if last <= watch.last_uid {
            return None;
        }
        let first = watch.last_uid.saturating_add(1);
        watch.last_uid = last;
        let messages = selected.view.uids_within(first, last).collect();
        let cursor = FetchCursor::of(false, messages, items.clone(), true, dialect);
        Some(Box::new(cursor))
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
            arrivals: None,
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
            self.activity = Activity::Work(Box::new(Job::Notices {
                is_within_literal: false,
            }));
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
            notices.arrivals = notices.fetch_arrivals(selected, dialect);
            if notices.arrivals.is_some() {
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
            .is_some_and(|watch| watch.name == selected.name);
        if !is_watched {
            let watch = selected.mailbox.watch(self.services.host.waker());
            notices.watch = Some(SelectedWatch {
                name: selected.name.clone(),
                _watch: watch,
                last_uid: selected.view.last_uid().map_or(0, Uid::value),
            });
        }
    }

    /// The selected mailbox is left.
    pub(super) fn stop_watching_selected(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.watch = None;
            notices.arrivals = None;
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
    pub(super) fn look_for_notices(&mut self, out: &mut Vec<u8>) {
        if self.is_telling_arrivals() {
            return self.advance_arrivals(out);
        }
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
            notices.arrivals = None;
        }
    }

    /// True if new messages are being told: nothing else may be said before the last of them.
    pub(super) fn is_telling_arrivals(&self) -> bool {
        let notices = self.notices.as_ref();
        notices.is_some_and(|notices| notices.arrivals.is_some())
    }

    /// True if the client is in the middle of a literal of a new message.
    pub(super) fn is_within_arrival(&self) -> bool {
        let notices = self.notices.as_ref();
        let cursor = notices.and_then(|notices| notices.arrivals.as_ref());
        cursor.is_some_and(|cursor| cursor.is_within_literal())
    }

    /// Goes on to tell new messages, here or on a thread of the volume.
    pub(super) fn continue_arrivals(&mut self, out: &mut Vec<u8>) {
        let notices = self.notices.as_ref();
        let cursor = notices.and_then(|notices| notices.arrivals.as_ref());
        if cursor.is_some_and(|cursor| cursor.needs_disk()) {
            let is_within_literal = self.is_within_arrival();
            self.activity = Activity::Work(Box::new(Job::Notices { is_within_literal }));
        } else {
            self.advance_arrivals(out);
        }
    }

    /// The next piece of new messages.
    fn advance_arrivals(&mut self, out: &mut Vec<u8>) {
        let dialect = self.dialect;
        let (Some(notices), Some(selected)) = (&mut self.notices, self.state.selected()) else {
            return;
        };
        let Some(mut cursor) = notices.arrivals.take() else {
            return;
        };
        let progress = cursor.advance(selected, &dialect, out);
        match progress {
            Ok(Progress::More) => notices.arrivals = Some(cursor),
            Err(_) if cursor.is_within_literal() => self.break_off(),
            // a message that is gone or cannot be read is left out: nobody asked for it by a command
            Ok(Progress::Done) | Err(_) => {}
        }
    }
}
