//! SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 9394 §3.1).
//!
//! What memory can decide is decided for many messages under one lock; the rest message by message, cheap tests first, in pieces that end after
//! a number of messages or of octets read. Where only MIN, MAX or a window of PARTIAL is asked for, the search begins at that end and stops
//! when it has what is to be told.
//!
//! A message that is gone matches nothing. One that cannot be read matches nothing either, and the command ends with NO after the
//! result, so that one damaged file does not make a mailbox unsearchable.

mod context;
mod program;
mod result;
mod subject;

use super::message_limit::MessageLimits;
use crate::encoding::charset;
use crate::imap::encode;
use crate::imap::session::progress::Measure;
use crate::imap::session::reply::{CommandError, text};
use crate::imap::session::{Dialect, Progress, Selected};
use crate::imap::types::core::Tag;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::{Code, Condition, ESearch, Untagged};
use crate::imap::types::search::{Search, SearchKey, SearchReturns};
use crate::mailbox::backend;
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::View;
use crate::protocol::HIGH_WATER_OCTETS;
use context::Context;
use program::{Cost, Program, Terms, Test, bad_charset};
use result::{Found, Order, extended, kept, numbers};
use std::collections::VecDeque;
use subject::{Facts, examine};

pub(crate) use context::Contexts;

/// Messages of one piece where memory decides.
const MAX_MESSAGES_A_PIECE: usize = 65_536;

/// Most tests that are made without a thread of the volume: so many take some hundredths of a second.
const MAX_TESTS_AT_ONCE: usize = 4_000_000;

/// Messages of one piece where what is noted about them may decide.
const MAX_NOTED_A_PIECE: usize = 8_192;

/// Messages of one piece of which something is read.
const MAX_FILES_A_PIECE: usize = 256;

/// Messages of one piece of which only the date is looked at.
const MAX_DATES_A_PIECE: usize = 2_048;

/// Octets of messages after which a piece ends.
const MAX_OCTETS_A_PIECE: u64 = 16 * 1024 * 1024;

/// Messages of which facts are taken under one lock.
const BATCH: usize = 256;

/// Messages that are read together where all of each is wanted, as long as nothing is known of how large they are.
const READ_TOGETHER: usize = 64;

/// Messages that are looked at together where the first that is found may be enough.
const FEW: usize = 16;

/// Most messages that may fail before the command does.
const MAX_FAILURES: usize = 16;

/// A SEARCH in progress.
#[derive(Debug)]
pub(crate) struct SearchCursor {
    program: Program,
    uid: bool,
    tag: Tag,
    returns: Option<SearchReturns>,
    /// What UPDATE asks for of messages that arrive.
    update_items: Vec<FetchItem>,
    /// Messages that were not looked at, rising.
    ahead: VecDeque<Uid>,
    /// How many there were at first.
    goal: usize,
    /// What is known of the next ones, in the order in which they are looked at.
    batch: VecDeque<Facts>,
    order: Order,
    found: Found,
    /// The last change of what was found, if MODSEQ is among the criteria.
    last_change: Option<ModSeq>,
    /// Nothing must be read from disk.
    in_memory: bool,
    /// It would keep others waiting, by reading or by the number of tests.
    needs_thread: bool,
    failures: usize,
    failure: Option<CommandError>,
    answer: Option<Answer>,
}

/// The response, and how much of it was sent.
#[derive(Debug)]
struct Answer {
    octets: Vec<u8>,
    sent: usize,
}

impl SearchCursor {
    /// Begins a SEARCH. Touches no disk. `now` is in seconds since 1970, for OLDER and YOUNGER (RFC 5032).
    ///
    /// # Errors
    /// [`CommandError::Bad`] for numbers that are not in the view, for CHARSET after UTF8=ACCEPT (RFC 6855 §3), and for UPDATE under a
    /// tag that has updates already (RFC 5267 §4.3). An unknown charset is told by [`SearchCursor::advance`], since it empties what SAVE would have set.
    pub(crate) fn new(
        uid: bool,
        tag: &Tag,
        search: Search,
        now: i64,
        selected: &mut Selected,
        dialect: &Dialect,
    ) -> Result<Self, CommandError> {
        let window = search.returns.and_then(|returns| returns.partial);
        selected.limits.check_window(window)?;
        if dialect.utf8 && search.charset.is_some() {
            return Err(CommandError::bad(
                "CHARSET is not allowed once UTF8=ACCEPT is enabled",
            ));
        }
        if search.returns.is_some_and(|returns| returns.update) && selected.contexts.has(tag) {
            return Err(CommandError::bad("a search with this tag is updated"));
        }
        let given = search.charset.as_deref().unwrap_or(DEFAULT_CHARSET);
        let is_known = charset::is_known(given);
        let messages = selected.mailbox.read();
        let terms = Terms {
            charset: if is_known { given } else { DEFAULT_CHARSET },
            now,
            selected,
            messages: &messages,
        };
        let by_mod_seq = search.key.any(SearchKey::is_mod_seq);
        let last_change = by_mod_seq.then_some(ModSeq::ZERO);
        let program = Program::compile(search.key, terms)?;
        let mut limits = selected.limits;
        let ahead = if is_known {
            VecDeque::from(to_look_at(&program, &mut limits, &selected.view))
        } else {
            VecDeque::new()
        };
        let in_memory = match program.cost() {
            Cost::Memory => true,
            Cost::Size => ahead.iter().all(|uid| is_size_known(&messages, *uid)),
            Cost::Date | Cost::Header | Cost::Body => ahead.is_empty(),
        };
        drop(messages);
        selected.limits = limits;
        let is_quick = ahead.len().saturating_mul(program.tests()) <= MAX_TESTS_AT_ONCE;
        Ok(Self {
            program,
            uid,
            tag: tag.clone(),
            order: Order::of(search.returns),
            returns: search.returns,
            update_items: search.update_items,
            goal: ahead.len(),
            ahead,
            batch: VecDeque::new(),
            found: Found::default(),
            last_change,
            in_memory,
            needs_thread: !in_memory || !is_quick,
            failures: 0,
            failure: (!is_known).then(bad_charset),
            answer: None,
        })
    }

    /// True if [`SearchCursor::advance`] may touch the disk or take long; else it may be called without a thread of the volume.
    pub(crate) const fn needs_disk(&self) -> bool {
        self.needs_thread && self.answer.is_none()
    }

    /// True if the output ends within the response: nothing else may be said before it is complete.
    pub(crate) const fn is_within_response(&self) -> bool {
        self.answer.is_some()
    }

    /// How far it is.
    pub(crate) fn measure(&self) -> Measure {
        let left = self.ahead.len() + self.batch.len();
        Measure {
            done: self.goal.saturating_sub(left),
            goal: self.goal,
        }
    }

    /// Looks at the next messages. [`Progress::More`] with nothing in `out` only means that time passed; on [`Progress::Done`] the result is in
    /// `out` and, with SAVE, in `selected.saved`.
    ///
    /// # Errors
    /// `NO [BADCHARSET]`; what the store gives.
    pub(crate) fn advance(
        &mut self,
        selected: &mut Selected,
        dialect: &Dialect,
        out: &mut Vec<u8>,
    ) -> Result<Progress, CommandError> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None => {
                let looked = self.look(selected, *dialect);
                if looked.is_ok() && !(self.ahead.is_empty() && self.batch.is_empty()) {
                    return Ok(Progress::More);
                }
                self.save(looked.is_ok(), selected);
                looked?;
                let mut octets = self.response(selected, *dialect);
                self.open_context(selected, *dialect, &mut octets);
                Answer { octets, sent: 0 }
            }
        };
        self.answer = answer.send(out);
        if self.answer.is_some() {
            return Ok(Progress::More);
        }
        self.failure.take().map_or(Ok(Progress::Done), Err)
    }

    /// Looks at the messages of one piece.
    fn look(&mut self, selected: &Selected, dialect: Dialect) -> Result<(), CommandError> {
        let most = if self.in_memory {
            MAX_MESSAGES_A_PIECE
        } else {
            MAX_NOTED_A_PIECE
        };
        let (mut looked_at, mut read, mut octets) = (0, 0, 0);
        let most_files = self.most_files();
        while looked_at < most && read < most_files && octets < MAX_OCTETS_A_PIECE {
            let together = self.together(read, octets);
            let group: Vec<Facts> = std::iter::from_fn(|| self.next(selected, dialect))
                .take(together)
                .collect();
            if group.is_empty() {
                return Ok(());
            }
            looked_at += group.len();
            let examined = examine(&self.program, &group, &*selected.mailbox);
            read += examined.read;
            octets += examined.octets;
            self.take_up(&group, examined.outcomes)?;
        }
        Ok(())
    }

    /// Messages of one piece of which something is looked at on the disk.
    fn most_files(&self) -> usize {
        if self.program.cost() <= Cost::Date {
            MAX_DATES_A_PIECE
        } else {
            MAX_FILES_A_PIECE
        }
    }

    /// How many messages are looked at together: fewer where much is read, as those show that were read in this piece, or where the first
    /// one may end the search.
    fn together(&self, read: usize, octets: u64) -> usize {
        match self.order {
            Order::All if self.program.cost() == Cost::Body => {
                let room = MAX_OCTETS_A_PIECE.saturating_sub(octets);
                let of_size = |mean| usize::try_from(room / mean).unwrap_or(usize::MAX);
                let fitting = (octets.checked_div(read as u64))
                    .map_or(READ_TOGETHER, |mean| of_size(mean.max(1)));
                let most = self.most_files().saturating_sub(read);
                fitting.clamp(1, most.max(1))
            }
            Order::All => self.most_files(),
            Order::First(_) | Order::Last(_) | Order::FirstAndLast => FEW,
        }
    }

    /// Takes up what became of messages, in order, until enough were found.
    fn take_up(
        &mut self,
        group: &[Facts],
        outcomes: Vec<backend::Result<bool>>,
    ) -> Result<(), CommandError> {
        for (at, (facts, outcome)) in group.iter().zip(outcomes).enumerate() {
            match outcome {
                Ok(true) => {
                    let rest = group.get(at + 1..).unwrap_or_default();
                    if self.find(*facts, rest) {
                        break;
                    }
                }
                Ok(false) | Err(backend::Error::Expunged) => {}
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    /// The next message in order that is still there.
    fn next(&mut self, selected: &Selected, dialect: Dialect) -> Option<Facts> {
        if self.batch.is_empty() {
            let messages = selected.mailbox.read();
            while self.batch.len() < BATCH {
                let next = if matches!(self.order, Order::Last(_)) {
                    self.ahead.pop_back()
                } else {
                    self.ahead.pop_front()
                };
                let Some(uid) = next else {
                    break;
                };
                self.batch
                    .extend(Facts::of(uid, &messages, selected, dialect));
            }
        }
        self.batch.pop_front()
    }

    /// A message matches; `rest` were looked at together with it. True if they do not count.
    fn find(&mut self, Facts { uid, mod_seq, .. }: Facts, rest: &[Facts]) -> bool {
        self.last_change = self.last_change.map(|last| last.max(mod_seq));
        let is_enough = match self.order {
            Order::All => false,
            Order::First(enough) => self.found.count() + 1 >= enough,
            Order::Last(enough) => {
                self.found.push_before(uid);
                return self.stop_if(self.found.count() >= enough);
            }
            Order::FirstAndLast => {
                // the last one is looked for from the end
                let ahead = self.batch.drain(..).map(|facts| facts.uid);
                let ahead: Vec<Uid> = rest.iter().map(|facts| facts.uid).chain(ahead).collect();
                for uid in ahead.into_iter().rev() {
                    self.ahead.push_front(uid);
                }
                self.order = Order::Last(2);
                self.found.push(uid);
                return true;
            }
        };
        self.found.push(uid);
        self.stop_if(is_enough)
    }

    /// Looks at no further message, if enough were found; returns whether that is so.
    fn stop_if(&mut self, is_enough: bool) -> bool {
        if is_enough {
            self.ahead.clear();
            self.batch.clear();
        }
        is_enough
    }

    /// A message could not be read; an error if the command is given up.
    fn note(&mut self, error: backend::Error) -> Result<(), CommandError> {
        self.failures += 1;
        if self.failures == MAX_FAILURES || error == backend::Error::NonExistent {
            return Err(error.into());
        }
        self.failure.get_or_insert_with(|| error.into());
        Ok(())
    }

    /// Sets `$`, where it was asked for; a search that fails empties it (RFC 9051 §6.4.4.1).
    fn save(&mut self, succeeds: bool, selected: &mut Selected) {
        if let Some(returns) = self.returns.filter(|returns| returns.save) {
            selected.saved = if succeeds && self.failure.is_none() {
                kept(returns, self.found.uids())
            } else {
                UidSet::new()
            };
        }
    }

    /// Keeps the results up to date from now on, where that was asked for and the search succeeds; tells if that cannot be.
    fn open_context(&mut self, selected: &mut Selected, dialect: Dialect, out: &mut Vec<u8>) {
        if !self.returns.is_some_and(|returns| returns.update) || self.failure.is_some() {
            return;
        }
        let nothing = Program::Test(Test::Constant(false));
        // where not all messages were looked at, changes mean nothing
        let is_whole = selected.limits.cut.is_none();
        let is_open = is_whole
            && selected.contexts.open(Context {
                tag: self.tag.clone(),
                uid: self.uid,
                program: std::mem::replace(&mut self.program, nothing),
                results: self.found.uids().clone(),
                due: UidSet::new(),
                items: std::mem::take(&mut self.update_items),
                arrived: UidSet::new(),
            });
        if !is_open {
            let code = Code::NoUpdate(self.tag.clone());
            let refusal = Untagged::Status(Condition::No, text(code, "No updates will be told"));
            encode::untagged(&refusal, dialect.is_utf8(), out);
        }
    }

    /// The response; none where only SAVE was asked for, or the search cannot be done.
    fn response(&mut self, selected: &Selected, dialect: Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        if self.failures == 0 && self.failure.is_some() {
            return out;
        }
        let (uid, found) = (self.uid, self.found.uids());
        let mod_seq = self.last_change.filter(|_| !found.is_empty());
        let response = match self.returns {
            None if !dialect.rev2 => {
                Untagged::Search(numbers(uid, found, selected).collect(), mod_seq)
            }
            Some(returns) if returns.save && !returns.tells() => return out,
            returns => {
                let returns = returns.unwrap_or_default();
                let answer = extended(&self.tag, uid, returns, found, selected);
                Untagged::ESearch(ESearch { mod_seq, ..answer })
            }
        };
        encode::untagged(&response, dialect.is_utf8(), &mut out);
        out
    }
}

/// What texts are in if nothing is said: RFC 9051 §6.4.4; the US-ASCII of RFC 3501 is part of it.
const DEFAULT_CHARSET: &[u8] = b"UTF-8";

impl Answer {
    /// Sends what there is room for, and returns what is left.
    fn send(mut self, out: &mut Vec<u8>) -> Option<Self> {
        let room = HIGH_WATER_OCTETS.saturating_sub(out.len()).max(1);
        let rest = self.octets.get(self.sent..).unwrap_or_default();
        let piece = rest.get(..room).unwrap_or(rest);
        out.extend_from_slice(piece);
        self.sent += piece.len();
        (self.sent < self.octets.len()).then_some(self)
    }
}

/// The messages that a search looks at, rising: all, unless one command may process only so many.
fn to_look_at(program: &Program, limits: &mut MessageLimits, view: &View) -> Vec<Uid> {
    let all: Vec<Uid> = view.iter().map(|(_, uid)| uid).collect();
    if limits
        .messages
        .is_none_or(|limit| all.len() <= limit as usize)
    {
        return all;
    }
    let last = view.last_uid().map_or(0, Uid::value);
    let named = program.named(all.into_iter().collect(), last);
    limits.cut_set(named).iter().collect()
}

/// True if a message's size needs no look at the disk, or the message is gone.
fn is_size_known(messages: &Messages, uid: Uid) -> bool {
    messages
        .position(uid)
        .is_none_or(|position| messages.size_at(position).is_some())
}

#[cfg(test)]
mod tests;
