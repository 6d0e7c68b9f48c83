//! NOTIFY (RFC 5465): tells of events while no command is in progress, and during IDLE.
//!
//! What a client wants to hear of the selected mailbox is a matter of its [`crate::mailbox::view::View`], which keeps back the rest: so that
//! neither numbers nor HIGHESTMODSEQ ever speak of what was not told. A NOTIFY SET itself ends with everything that was kept back (§3.1).

use super::activity::{Activity, Finish, Job};
use super::choices::Choices;
use super::listing::OwnChange;
use super::reply::{CommandError, CommandResult};
use super::sync::Pending;
use super::watched::{Asked, OVERFLOW, Others};
use super::{Dialect, Progress, Selected, Session, State};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::types::event_groups::{Notify, NotifySet, SelectedEvents};
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::Code;
use crate::mailbox::backend::{Error, Watch};
use crate::mailbox::id::Uid;
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::{Events, Expunges};
use crate::protocol::{Output, Patience, Step, Wait};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// The events that are offered (RFC 5465 §3.1).
const OFFERED: &[&str] = &[
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
];

/// After a look that failed, the next one comes so soon.
const RETRY: Duration = Duration::from_secs(5);

/// What a client that used NOTIFY is to hear of; by default nothing.
#[derive(Debug, Default)]
pub(super) struct Notices {
    selected: Option<SelectedEvents>,
    others: Others,
    /// Wakes the connection for the selected mailbox.
    watch: Option<Box<dyn Watch>>,
    /// The highest UID in the selected mailbox that is no news.
    last_uid: u32,
    /// New messages that are being told.
    arrivals: Option<Box<FetchCursor>>,
    /// The disk was looked at since the last wake-up.
    looked: bool,
    /// The last look failed.
    failed: bool,
}

impl Notices {
    /// What is told of the selected mailbox.
    fn events(&self) -> Events {
        let messages = self.selected.as_ref().and_then(|events| events.messages);
        match messages {
            None => Events::None,
            Some(events) if events.flags => Events::All,
            Some(_) => Events::Messages,
        }
    }

    /// Whether expunges in the selected mailbox are told while no command is in progress.
    fn expunges(&self) -> Expunges {
        match &self.selected {
            Some(selected) if !selected.delayed => Expunges::Tell,
            Some(_) | None => Expunges::Hold,
        }
    }

    /// What FETCH is to tell of new messages, if anything.
    fn items(&self) -> Option<&[FetchItem]> {
        let selected = self.selected.as_ref()?;
        let items = Some(&*selected.items);
        items.filter(|items| selected.messages.is_some() && !items.is_empty())
    }

    /// Begins to tell the data items of messages that have come, if the client asked for some (§5.2), but for those that it brought
    /// itself. `\Seen` is never set by it.
    fn begin_arrivals(&mut self, selected: &mut Selected, dialect: Dialect) {
        let own = std::mem::take(&mut selected.own_arrivals);
        let last = selected.view.last_uid().map_or(0, Uid::value);
        let first = self.last_uid.saturating_add(1);
        self.last_uid = self.last_uid.max(last);
        let Some(items) = self.items().filter(|_| first <= last) else {
            return;
        };
        let arrived = selected.view.uids_within(first, last);
        let messages: Vec<_> = arrived.filter(|(_, uid)| !own.contains(*uid)).collect();
        if !messages.is_empty() {
            let cursor = FetchCursor::of_arrivals(messages, items.to_vec(), dialect);
            self.arrivals = Some(Box::new(cursor));
        }
    }
}

impl Session {
    /// Does NOTIFY. On a thread of the volume.
    pub(super) fn notify(&mut self, notify: Notify, out: &mut Vec<u8>) -> CommandResult {
        match notify {
            Notify::None => self.notices = Some(Box::default()),
            Notify::Set(set) => {
                self.set_notices(set, out)?;
                if let Some(selected) = self.state.selected() {
                    // what was kept back until now is told at the end of this command
                    selected.view.want(Events::All);
                }
            }
        }
        self.refresh()
    }

    fn set_notices(&mut self, set: NotifySet, out: &mut Vec<u8>) -> Result<(), CommandError> {
        if set.unsupported {
            return Err(CommandError::No(
                Some(Code::BadEvent(OFFERED)),
                Cow::Borrowed("there are no such events"),
            ));
        }
        let waker = self.services.host.waker();
        let asked = Asked {
            status: set.status,
            mod_seqs: self.is_offered("CONDSTORE"),
        };
        let (context, selected) = self.parts()?;
        let choices = Choices::new(&set.groups, &context)?;
        let mut others = Others::new(choices, &context, &waker)?;
        let last_uid = selected
            .as_ref()
            .and_then(|selected| selected.view.last_uid());
        let mailbox = selected.map(|selected| &selected.mailbox);
        others.tell_all(&context, mailbox, asked, out);
        self.notices = Some(Box::new(Notices {
            selected: set.selected,
            others,
            last_uid: last_uid.map_or(0, Uid::value),
            ..Notices::default()
        }));
        Ok(())
    }

    /// What the client wants to hear of the selected mailbox.
    pub(super) fn wanted_events(&self) -> Events {
        let notices = self.notices.as_ref();
        notices.map_or(Events::All, |notices| notices.events())
    }

    /// Has the view keep back what the client does not want to hear of.
    pub(super) fn want_events(&mut self) {
        let events = self.wanted_events();
        let notices = self.notices.as_ref();
        let items = notices.and_then(|notices| notices.items());
        let items = items.unwrap_or_default().to_vec();
        if let Some(selected) = self.state.selected() {
            selected.view.want(events);
            if items.is_empty() {
                selected.own_arrivals = UidSet::new();
            }
            selected.arrival_items = items;
        }
    }

    /// Nothing has come from the client: tells what is to be told, or waits. None if there is more to do at once.
    pub(super) fn wait_for_command(
        &mut self,
        patience: Patience,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Step> {
        if self.notices.is_none() {
            return Some(Step::Wait(Wait::for_input(patience)));
        }
        self.watch_selected();
        if self.must_look() {
            self.activity = Activity::Work(Box::new(Job::Notices));
            return None;
        }
        if !self.tell_of_others(out) {
            return None;
        }
        let dialect = self.dialect;
        let (Some(notices), selected) = (&mut self.notices, self.state.selected()) else {
            return None;
        };
        let expunges = notices.expunges();
        if let Some(selected) = selected.filter(|_| notices.events() != Events::None) {
            let is_current = selected.view.is_current(&selected.mailbox.read(), expunges);
            if !is_current {
                let pending = Pending::take(selected, expunges, true, dialect);
                self.activity = Activity::Finish(Box::new(Finish::of(pending)));
                return None;
            }
            notices.begin_arrivals(selected, dialect);
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

    /// Tells what has changed besides the selected mailbox; during IDLE too (§4). Returns false if there is more to tell when the output has
    /// been written.
    pub(super) fn tell_of_others(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(mut notices) = self.notices.take() else {
            return true;
        };
        let is_told = self.parts().is_ok_and(|(context, selected)| {
            let mailbox = selected.map(|selected| &selected.mailbox);
            notices.others.tell_news(&context, mailbox, out)
        });
        self.notices = Some(notices);
        is_told || matches!(self.state, State::NotAuthenticated | State::Logout)
    }

    /// True if something besides the selected mailbox must be looked at on the disk.
    pub(super) fn others_need_disk(&mut self) -> bool {
        let Some(notices) = self.notices.take() else {
            return false;
        };
        let needs_disk = self
            .parts()
            .is_ok_and(|(context, _)| notices.others.needs_disk(&context));
        self.notices = Some(notices);
        needs_disk
    }

    /// Looks at it, on a thread of the volume. Returns false if something could not be looked at. If there is too much to tell, the client
    /// hears that, and nothing more after it (§5.8).
    pub(super) fn look_at_others(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(mut notices) = self.notices.take() else {
            return true;
        };
        let waker = self.services.host.waker();
        let looked = match self.parts() {
            Ok((context, _)) => notices.others.look(&context, &waker),
            Err(error) => Err(error),
        };
        if looked == Err(OVERFLOW) {
            let code = Code::NotificationOverflow;
            self.responses(out)
                .ok(code, "Too much to tell; NOTIFY has ended");
            notices = Box::default();
        }
        self.notices = Some(notices);
        self.want_events();
        looked.unwrap_or(false)
    }

    /// True if IDLE tells of the selected mailbox: unless the client has said by NOTIFY that it does not want to hear of it.
    pub(super) fn wants_selected(&self) -> bool {
        self.wanted_events() != Events::None
    }

    /// Watches the selected mailbox, if the client wants to hear of it.
    fn watch_selected(&mut self) {
        let (Some(notices), selected) = (&mut self.notices, self.state.selected()) else {
            return;
        };
        let Some(selected) = selected.filter(|_| notices.events() != Events::None) else {
            notices.watch = None;
            return;
        };
        if notices.watch.is_none() {
            notices.watch = Some(selected.mailbox.watch(self.services.host.waker()));
        }
    }

    /// A mailbox was selected: what is in it is no news.
    pub(super) fn begin_notices_of_selected(&mut self) {
        if let (Some(notices), Some(selected)) = (&mut self.notices, self.state.selected()) {
            notices.last_uid = selected.view.last_uid().map_or(0, Uid::value);
        }
    }

    /// The selected mailbox is left; the client has `removed` messages of it before.
    pub(super) fn end_notices_of_selected(&mut self, removed: &UidSet) {
        if let Some(notices) = &mut self.notices {
            notices.watch = None;
            notices.arrivals = None;
            if let Some(selected) = self.state.selected() {
                let settled = selected.view.settled();
                notices.others.leave(&selected.mailbox, settled, removed);
            }
        }
    }

    /// The client has put messages into a mailbox itself.
    pub(super) fn note_own_messages(&mut self, name: &MailboxName, uids: &UidSet) {
        if let Some(selected) = self.state.selected().filter(|open| open.name == *name) {
            selected.own_arrivals.unite(uids);
        }
        if let Some(notices) = &mut self.notices {
            notices.others.note_own(name, uids);
        }
    }

    /// The client has changed names or subscriptions itself. On a thread of the volume.
    pub(super) fn note_own_change(&mut self, own: &OwnChange) {
        if let Some(mut notices) = self.notices.take() {
            if let Ok((context, _)) = self.parts() {
                notices.others.note_own_change(own, &context);
            }
            self.notices = Some(notices);
        }
    }

    /// True if something may have happened on a disk, and was not looked for since the last wake-up.
    fn must_look(&mut self) -> bool {
        let is_watched = match &self.notices {
            Some(notices) if !notices.looked && !notices.failed => notices.watch.is_some(),
            Some(_) | None => return false,
        };
        let selected = self.state.selected().filter(|_| is_watched);
        selected.is_some_and(|selected| !selected.mailbox.is_current()) || self.others_need_disk()
    }

    /// Looks at the disk, on a thread of the volume.
    pub(super) fn look_for_notices(&mut self, out: &mut Output) {
        if self.is_telling_arrivals() {
            return self.advance_arrivals(out);
        }
        let mut failed = !self.look_at_others(out);
        if let (State::Selected(_, selected), true) = (&self.state, self.wants_selected()) {
            let seen = selected.mailbox.refresh(selected.intake());
            failed |= seen.is_err();
            if seen == Err(Error::NonExistent) {
                let mut pending = Pending::default();
                let bye = self.lose_mailbox(&mut pending);
                self.activity = Activity::Finish(Box::new(Finish {
                    bye,
                    ..Finish::of(pending)
                }));
            }
        }
        if let Some(notices) = &mut self.notices {
            notices.looked = true;
            notices.failed = failed;
        }
    }

    /// The look could not be had now; new messages that were being told are left out.
    pub(super) fn look_for_notices_later(&mut self) {
        if let Some(notices) = &mut self.notices {
            notices.failed = true;
            notices.arrivals = None;
        }
        if let Some(selected) = self.state.selected() {
            selected.contexts.put_off();
        }
    }

    /// Begins to tell new messages during IDLE; true if there are some to be told.
    pub(super) fn begin_arrivals(&mut self) -> bool {
        let dialect = self.dialect;
        if let (Some(notices), Some(selected)) = (&mut self.notices, self.state.selected()) {
            notices.begin_arrivals(selected, dialect);
        }
        self.is_telling_arrivals()
    }

    /// True if new messages are being told: nothing else may be said before the last of them.
    pub(super) fn is_telling_arrivals(&self) -> bool {
        let notices = self.notices.as_ref();
        notices.is_some_and(|notices| notices.arrivals.is_some())
    }

    /// True if the client is in the middle of a response that tells of a new message unasked.
    pub(super) fn is_within_arrival(&self) -> bool {
        let notices = self.notices.as_ref();
        let cursor = notices.and_then(|notices| notices.arrivals.as_ref());
        let is_within_result = match &self.state {
            State::Selected(_, selected) => selected.contexts.is_within_literal(),
            State::NotAuthenticated | State::Authenticated(_) | State::Logout => false,
        };
        is_within_result || cursor.is_some_and(|cursor| cursor.is_within_literal())
    }

    /// True if new messages cannot be told further without a thread of the volume.
    pub(super) fn arrivals_need_disk(&self) -> bool {
        let notices = self.notices.as_ref();
        let cursor = notices.and_then(|notices| notices.arrivals.as_ref());
        cursor.is_some_and(|cursor| cursor.needs_disk())
    }

    /// Goes on to tell new messages, here or on a thread of the volume.
    pub(super) fn continue_arrivals(&mut self, out: &mut Output) {
        if self.arrivals_need_disk() {
            self.activity = Activity::Work(Box::new(Job::Notices));
        } else {
            self.advance_arrivals(out);
        }
    }

    /// The next piece of new messages.
    pub(super) fn advance_arrivals(&mut self, out: &mut Output) {
        let dialect = self.dialect;
        let (Some(notices), Some(selected)) = (&mut self.notices, self.state.selected()) else {
            return;
        };
        let Some(mut cursor) = notices.arrivals.take() else {
            return;
        };
        match cursor.advance(selected, &dialect, out) {
            Ok(Progress::More) => notices.arrivals = Some(cursor),
            Err(_) if cursor.is_within_literal() => self.break_off(),
            // a message that is gone or cannot be read is left out: nobody asked for it by a command
            Ok(Progress::Done) | Err(_) => {
                if let Some(mod_seq) = selected.mod_seq_due(false, dialect) {
                    let code = Code::HighestModSeq(mod_seq);
                    self.responses(out).ok(code, "Highest");
                }
            }
        }
    }
}
