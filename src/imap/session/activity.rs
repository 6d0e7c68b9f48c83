//! What a session is about at a moment; exactly one thing.

use super::idle::Idle;
use super::login::{Decision, Exchange, Opening};
use super::progress::{Measure, Notices};
use super::reply::{CommandError, Completed, Responses};
use super::sync::Pending;
use super::table::Row;
use super::upload::Upload;
use super::{Authenticated, Dialect, Progress, Selected};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::commands::list::ListCursor;
use crate::imap::commands::search::SearchCursor;
use crate::imap::types::command::Command;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Tagged, Text};
use crate::mailbox::id::ModSeq;
use crate::protocol::Output;
use std::time::Instant;

/// What a session is about.
#[derive(Debug)]
pub(super) enum Activity {
    /// Nothing was said yet.
    Greeting,
    /// The next command is waited for.
    Ready,
    /// AUTHENTICATE waits for the client.
    Exchange(Exchange),
    /// The authenticator has not decided yet.
    Decision(Decision),
    /// A refused login is answered later.
    Delay(Option<Instant>, Box<Finish>),
    /// A thread of the volume was asked for.
    Work(Box<Job>),
    /// A command answers in pieces.
    Reading(Box<Reading>),
    /// APPEND.
    Upload(Box<Upload>),
    /// IDLE.
    Idle(Box<Idle>),
    /// A command ends.
    Finish(Box<Finish>),
    /// STARTTLS was answered.
    TlsAgreed,
    /// COMPRESS was answered.
    CompressionAgreed,
    /// UNAUTHENTICATE was answered on a connection that is compressed.
    CompressionOver,
    /// BYE was said.
    Closed,
}

/// What a thread of the volume is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// The whole of a command.
    Command(Command),
    /// Open the account of a client that may log in.
    Open(Opening),
    /// The next piece of an answer.
    Reading(Box<Reading>),
    /// Write what came in.
    Upload(Upload),
    /// Look whether there is something new.
    Idle(Idle),
    /// Look whether there is something to notify of.
    Notices,
    /// Look what became of search results, before a command ends.
    Finish(Box<Finish>),
}

impl Job {
    /// The tag that waits for an answer.
    pub(super) const fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Command(command) => Some(&command.tag),
            Self::Open(opening) => Some(&opening.tag),
            Self::Reading(reading) => Some(&reading.tag),
            Self::Upload(upload) => Some(&upload.tag),
            Self::Idle(_) | Self::Notices | Self::Finish(_) => None,
        }
    }

    /// True if the client is in the middle of a literal of ours: whatever is said now, it would take for a part of that.
    pub(super) const fn is_within_literal(&self) -> bool {
        match self {
            Self::Reading(reading) => reading.cursor.is_within_literal(),
            Self::Command(_)
            | Self::Open(_)
            | Self::Upload(_)
            | Self::Idle(_)
            | Self::Notices
            | Self::Finish(_) => false,
        }
    }
}

/// A command that answers in pieces.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) tag: Tag,
    pub(super) row: &'static Row,
    pub(super) cursor: Cursor,
    /// How the command ends when all is said.
    pub(super) completed: Completed,
    /// Signs of life meanwhile.
    pub(super) notices: Notices,
}

/// Where the answer is.
#[derive(Debug)]
pub(super) enum Cursor {
    /// FETCH, and the answer to STORE.
    Fetch(FetchCursor),
    /// SEARCH.
    Search(SearchCursor),
    /// LIST.
    List(ListCursor),
}

impl Cursor {
    /// True if [`Cursor::advance`] may touch the disk.
    pub(super) fn needs_disk(&self) -> bool {
        match self {
            Self::Fetch(cursor) => cursor.needs_disk(),
            Self::Search(cursor) => cursor.needs_disk(),
            Self::List(cursor) => cursor.needs_disk(),
        }
    }

    /// True if the last piece ended within a literal or a line.
    pub(super) const fn is_within_literal(&self) -> bool {
        match self {
            Self::Fetch(cursor) => cursor.is_within_literal(),
            Self::Search(cursor) => cursor.is_within_response(),
            Self::List(_) => false,
        }
    }

    /// How far it is, if that can be told.
    pub(super) fn measure(&self) -> Option<Measure> {
        match self {
            Self::Fetch(cursor) => Some(cursor.measure()),
            Self::Search(cursor) => Some(cursor.measure()),
            Self::List(_) => None,
        }
    }

    /// How many messages were sent whole since the last call.
    pub(super) const fn take_sent(&mut self) -> u64 {
        match self {
            Self::Fetch(cursor) => cursor.take_sent(),
            Self::Search(_) | Self::List(_) => 0,
        }
    }

    /// Appends the next piece.
    pub(super) fn advance(
        &mut self,
        authenticated: &Authenticated,
        selected: Option<&mut Selected>,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<Progress, CommandError> {
        match (self, selected) {
            (Self::Fetch(cursor), Some(selected)) => cursor.advance(selected, &dialect, out),
            (Self::Search(cursor), Some(selected)) => cursor.advance(selected, &dialect, out),
            (Self::List(cursor), _) => cursor.advance(&*authenticated.account, dialect, out),
            (Self::Fetch(_) | Self::Search(_), None) => Ok(Progress::Done),
        }
    }
}

/// The end of a command: what the client must hear, then the tagged response, then perhaps BYE.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) pending: Pending,
    pub(super) tagged: Option<Tagged>,
    pub(super) bye: Option<Text>,
    /// Search results that changed are told of another time: the volume takes no work.
    pub(super) updates_later: bool,
}

impl Finish {
    /// Only what the client must hear, with no command in progress.
    pub(super) const fn of(pending: Pending) -> Self {
        Self {
            pending,
            tagged: None,
            bye: None,
            updates_later: false,
        }
    }

    /// Tells HIGHESTMODSEQ, by the tagged response where that is OK and has no other code.
    pub(super) fn tell_mod_seq(&mut self, mod_seq: ModSeq, out: &mut Responses<'_>) {
        let code = Code::HighestModSeq(mod_seq);
        match &mut self.tagged {
            Some(Tagged {
                condition: Condition::Ok,
                text,
                ..
            }) if text.code.is_none() => text.code = Some(code),
            _ => out.ok(code, "Highest"),
        }
    }
}
