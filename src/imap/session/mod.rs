//! An IMAP connection's states and the way of a command through them.
//!
//! [`Session`] is a [`Protocol`]: octets in, octets out, no clock, no socket, no thread. `run` is the loop: it takes the next command from the
//! flow, asks [`table`] whether it is legal now, and either does it at once, from memory, or announces work for the volume. What takes more
//! than one step — an answer in pieces, an APPEND, IDLE, a login that is being decided — is an [`activity::Activity`], of which there is exactly
//! one at any time; so commands run strictly in order, and pipelined ones wait in the flow.
//!
//! Every command with a mailbox selected ends with a [`sync`], then its tagged response ([`reply`]).
//!
//! A client that used NOTIFY is told of what happens whenever no command is in progress ([`notices`]), of other mailboxes too ([`watched`]).
//!
//! A mailbox that is deleted under a session: IMAP4rev2 clients are told `* OK [CLOSED]` and are in the authenticated state (RFC 9051 §3); others
//! get BYE, since nothing in RFC 3501 takes a client out of the selected state unasked, and one that reconnects looks at the list anew.

mod activity;
pub(crate) mod capabilities;
mod choices;
mod compression;
mod condstore;
mod ending;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod idle;
mod listing;
mod login;
pub(crate) mod names;
mod notices;
mod perform;
pub(crate) mod progress;
pub(crate) mod reply;
mod run;
pub(crate) mod sync;
pub(crate) mod table;
mod unauthenticate;
mod updates;
mod upload;
pub(crate) mod vanished;
mod watched;
mod work;

use super::commands::fetch::LastMessage;
use super::commands::message_limit::MessageLimits;
use super::commands::search::Contexts;
use super::commands::uid_batches::Batches;
use super::encode::fetch::MessageNumber;
use super::flow::Flow;
use super::settings::Settings;
use super::types::fetch::FetchItem;
use crate::auth::Authenticator;
use crate::mailbox::backend::{Account, Backend, Mailbox};
use crate::mailbox::id::{ModSeq, SeqNum, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::View;
use crate::protocol::{Host, Interrupt, Output, Peer, Protocol, Step, TlsInfo};
use activity::Activity;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What a session works with, shared by all of them but for the host.
#[derive(Debug, Clone)]
pub struct Services {
    /// Where the mail is.
    pub backend: Arc<dyn Backend>,
    /// Who may log in.
    pub authenticator: Arc<dyn Authenticator>,
    /// The I/O shell of this connection.
    pub host: Arc<dyn Host>,
}

/// One IMAP connection.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    services: Services,
    peer: Peer,
    flow: Flow,
    state: State,
    dialect: Dialect,
    activity: Activity,
    /// NOTIFY SET was accepted.
    notices: Option<Box<notices::Notices>>,
    /// COMPRESS was accepted.
    is_compressed: bool,
    /// BAD answers since the last good command.
    bad_commands: u32,
    failed_logins: u32,
}

/// The states of RFC 9051 §3.
#[derive(Debug)]
enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has, and no mailbox is selected.
    Authenticated(Authenticated),
    /// A mailbox is selected.
    Selected(Authenticated, Box<Selected>),
    /// The last words are said.
    Logout,
}

impl State {
    /// The selected mailbox, if there is one.
    fn selected(&mut self) -> Option<&mut Selected> {
        match self {
            Self::Selected(_, selected) => Some(selected),
            Self::NotAuthenticated | Self::Authenticated(_) | Self::Logout => None,
        }
    }
}

/// What is true from login to logout.
#[derive(Debug, Clone)]
struct Authenticated {
    account: Arc<dyn Account>,
    user: Arc<str>,
    place: Arc<Path>,
    /// Capabilities switched off for the account, in capitals.
    disabled_capabilities: Arc<BTreeSet<String>>,
}

/// What the selected state holds (RFC 9051 §3.3).
#[derive(Debug)]
pub(crate) struct Selected {
    /// The mailbox, shared with other connections.
    pub(crate) mailbox: Arc<dyn Mailbox>,
    /// What this connection believes of it.
    pub(crate) view: View,
    /// Its name when it was selected.
    pub(crate) name: MailboxName,
    /// EXAMINE: nothing may be changed.
    pub(crate) read_only: bool,
    /// HIGHESTMODSEQ as the client has it, by what it was told (RFC 7162 §6).
    pub(crate) client_mod_seq: ModSeq,
    /// What the last SEARCH saved (`$`).
    pub(crate) saved: UidSet,
    /// How many keywords the client has been told of by FLAGS.
    pub(crate) told_keywords: usize,
    /// The message that FETCH may be asked for again.
    pub(crate) last_message: LastMessage,
    /// How many messages one command may process.
    pub(crate) limits: MessageLimits,
    /// Searches that are kept up to date.
    pub(crate) contexts: Contexts,
    /// What UIDBATCHES has told.
    pub(crate) batches: Batches,
    /// New messages of which NOTIFY need not tell: this connection brought them itself, or was told with the results of a search.
    pub(crate) own_arrivals: UidSet,
    /// What NOTIFY asked FETCH to tell of new messages; perhaps nothing.
    pub(crate) arrival_items: Vec<FetchItem>,
    /// What COPY or MOVE has just put into which mailbox.
    pub(crate) placed: Option<(MailboxName, UidSet)>,
}

impl Selected {
    /// As [`Selected::open_telling`], in silence.
    #[cfg(test)]
    pub(crate) fn open(mailbox: Arc<dyn Mailbox>, name: MailboxName, read_only: bool) -> Self {
        Self::open_telling(mailbox, name, read_only, |_, _| ())
    }

    /// The state of a connection that opens a mailbox. `tell` sees the very messages that the view has taken in.
    pub(crate) fn open_telling(
        mailbox: Arc<dyn Mailbox>,
        name: MailboxName,
        read_only: bool,
        tell: impl FnOnce(&Messages, &View),
    ) -> Self {
        let mut messages = mailbox.write();
        let view = View::open(&mut messages, !read_only);
        tell(&messages, &view);
        let told_keywords = messages.keywords().iter().count();
        drop(messages);
        Self {
            client_mod_seq: view.settled(),
            mailbox,
            view,
            name,
            read_only,
            saved: UidSet::new(),
            told_keywords,
            last_message: LastMessage::default(),
            limits: MessageLimits::default(),
            contexts: Contexts::default(),
            batches: Batches::default(),
            own_arrivals: UidSet::new(),
            arrival_items: Vec::new(),
            placed: None,
        }
    }
}

/// What the client has switched on by ENABLE, and what follows from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// `ENABLE IMAP4rev2`: no RECENT, ESEARCH instead of SEARCH, UTF-8 names.
    pub(crate) rev2: bool,
    /// `ENABLE UTF8=ACCEPT`: UTF-8 in quoted strings.
    pub(crate) utf8: bool,
    /// `ENABLE UIDONLY`: no message numbers in either direction (RFC 9586).
    pub(crate) uid_only: bool,
    /// What the client wants to hear of mod-sequences.
    pub(crate) resync: Resync,
}

/// What a client has shown to understand of RFC 7162; each includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Resync {
    /// Nothing.
    #[default]
    No,
    /// CONDSTORE: FETCH responses that tell flags tell the mod-sequence too.
    Condstore,
    /// QRESYNC: VANISHED instead of EXPUNGE.
    Qresync,
}

impl Dialect {
    /// True if names and quoted strings are UTF-8.
    pub(crate) const fn is_utf8(self) -> bool {
        self.rev2 || self.utf8
    }

    /// True if VANISHED is told instead of EXPUNGE.
    pub(crate) fn tells_vanished(self) -> bool {
        self.resync >= Resync::Qresync || self.uid_only
    }

    /// What responses call a message by.
    pub(crate) const fn number(self, seq_num: SeqNum, uid: Uid) -> MessageNumber {
        if self.uid_only {
            MessageNumber::Uid(uid)
        } else {
            MessageNumber::Seq(seq_num)
        }
    }

    /// True if mod-sequences are told with flags.
    pub(crate) fn tells_mod_seqs(self) -> bool {
        self.resync >= Resync::Condstore
    }
}

/// Whether a command has more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The output is full for now; call again when it has been written.
    More,
    /// The command is done.
    Done,
}

impl Session {
    /// A connection that has just been made. The first [`Protocol::step`] greets.
    pub fn new(settings: Arc<Settings>, services: Services, peer: Peer) -> Self {
        let flow = Flow::new(settings.limits(false));
        Self {
            settings,
            services,
            peer,
            flow,
            state: State::NotAuthenticated,
            dialect: Dialect::default(),
            activity: Activity::Greeting,
            notices: None,
            is_compressed: false,
            bad_commands: 0,
            failed_logins: 0,
        }
    }
}

impl Protocol for Session {
    fn feed(&mut self, input: &[u8]) {
        self.flow.feed(input);
    }

    fn step(&mut self, now: Instant, output: &mut Output) -> Step {
        self.run(now, output)
    }

    fn work(&mut self, output: &mut Output) {
        self.do_work(output);
    }

    fn work_refused(&mut self, _output: &mut Output) {
        self.give_up_work();
    }

    fn tls_started(&mut self, tls: TlsInfo) {
        self.peer.tls = Some(tls);
        self.flow = Flow::new(self.settings.limits(false));
        self.activity = Activity::Ready;
    }

    fn compression_started(&mut self) -> Vec<u8> {
        self.begin_compression()
    }

    fn interrupt(&mut self, reason: Interrupt, output: &mut Output) {
        self.part(reason, output);
    }

    fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Authenticated(_) | State::Selected(..))
    }
}

#[cfg(test)]
mod tests;
