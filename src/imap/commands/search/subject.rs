//! One message, tested: what must be read of it is read when a test asks for it, once.

use super::program::{Program, Test};
use crate::encoding::date::{civil_day, parse_message_date};
use crate::imap::commands::object_ids::{email_id, thread_id};
use crate::imap::commands::open_message::OpenMessage;
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::search::{DateTest, Day};
use crate::mailbox::backend::{self, Mailbox};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::messages::Messages;
use crate::message::structure::Message;
use crate::message::{header, text};

/// What is known of a message without looking at the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// Which one.
    pub(super) uid: Uid,
    /// The UID of the last message there is.
    pub(super) last: u32,
    /// Its flags.
    pub(super) flags: Flags,
    /// When it was changed last.
    pub(super) mod_seq: ModSeq,
    /// `\Recent`
    pub(super) recent: bool,
    /// RFC822.SIZE, if it is known.
    pub(super) size: Option<u64>,
}

impl Facts {
    /// Those of a message that is there.
    pub(super) fn of(
        uid: Uid,
        messages: &Messages,
        selected: &Selected,
        dialect: Dialect,
    ) -> Option<Self> {
        let position = messages.position(uid)?;
        Some(Self {
            uid,
            last: selected.view.last_uid().map_or(0, Uid::value),
            flags: messages.flags_at(position),
            mod_seq: messages.mod_seq_at(position),
            recent: !dialect.rev2 && selected.view.is_recent(uid),
            size: messages.size_at(position),
        })
    }
}

/// A message and what was read of it.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    mailbox: &'a dyn Mailbox,
    facts: Facts,
    date: Option<i64>,
    file: Option<OpenMessage>,
    whole: Option<(Vec<u8>, Message)>,
}

impl<'a> Subject<'a> {
    /// A message of which nothing was read.
    pub(super) const fn new(mailbox: &'a dyn Mailbox, facts: Facts) -> Self {
        Self {
            mailbox,
            facts,
            date: None,
            file: None,
            whole: None,
        }
    }

    /// How many octets were read, about.
    pub(super) fn octets_read(&self) -> u64 {
        let file = self.file.as_ref().map_or(0, OpenMessage::held);
        let whole = self.whole.as_ref().map_or(0, |(octets, _)| octets.len());
        (file + whole) as u64
    }

    /// True if the condition holds. Recursion is as deep as the parser allows.
    ///
    /// # Errors
    /// What the store gives.
    pub(super) fn meets(&mut self, program: &Program) -> backend::Result<bool> {
        match program {
            Program::Test(test) => self.passes(test),
            Program::Not(inner) => Ok(!self.meets(inner)?),
            Program::All(parts) => {
                for part in parts {
                    if !self.meets(part)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Program::Any(parts) => {
                for part in parts {
                    if self.meets(part)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn passes(&mut self, test: &Test) -> backend::Result<bool> {
        Ok(match test {
            Test::Constant(passes) => *passes,
            Test::Flags(flags) => self.facts.flags.contains(*flags),
            Test::Recent => self.facts.recent,
            Test::ChangedFrom(mod_seq) => self.facts.mod_seq >= *mod_seq,
            Test::Unknown(_) => false,
            Test::Among(uids) => uids.contains(self.facts.uid),
            Test::Uids(uids) => uids.contains(self.facts.uid, self.facts.last),
            Test::Larger(octets) => self.size()? > *octets,
            Test::Smaller(octets) => self.size()? < *octets,
            Test::Arrived(test, day) => compare(*test, civil_day(self.date()?), *day),
            Test::ArrivedUntil(moment) => self.date()? <= *moment,
            Test::ArrivedFrom(moment) => self.date()? >= *moment,
            Test::Saved(test, day) => {
                let date = self.mailbox.save_date(self.facts.uid)?;
                compare(*test, civil_day(date), *day)
            }
            Test::EmailId(id) => email_id(self.mailbox, self.facts.uid)? == *id,
            Test::ThreadId(id) => {
                let email_id = email_id(self.mailbox, self.facts.uid)?;
                thread_id(self.header()?, &email_id) == *id
            }
            Test::Sent(test, day) => {
                let date = header::value(self.header()?, b"Date");
                date.and_then(|value| parse_message_date(&value))
                    .is_some_and(|date| compare(*test, date.day, *day))
            }
            Test::Field(field, needle) => text::header_contains(self.header()?, field, needle),
            Test::Body(needle) => {
                let (octets, message) = self.whole()?;
                text::body_contains(octets, message, needle)
            }
            Test::Text(needle) => {
                let (octets, message) = self.whole()?;
                text::any_contains(octets, message, needle)
            }
        })
    }

    fn size(&mut self) -> backend::Result<u64> {
        match self.facts.size {
            Some(size) => Ok(size),
            None => {
                let size = self.mailbox.size(self.facts.uid)?;
                self.facts.size = Some(size);
                Ok(size)
            }
        }
    }

    fn date(&mut self) -> backend::Result<i64> {
        match self.date {
            Some(date) => Ok(date),
            None => {
                let date = self.mailbox.internal_date(self.facts.uid)?;
                self.date = Some(date);
                Ok(date)
            }
        }
    }

    fn header(&mut self) -> backend::Result<&[u8]> {
        if let Some((octets, message)) = &self.whole {
            let header = octets.get(message.root.header.clone());
            return Ok(header.unwrap_or_default());
        }
        if self.file.is_none() {
            self.file = Some(OpenMessage::open(self.mailbox, self.facts.uid)?);
        }
        match &mut self.file {
            Some(file) => file.header(),
            None => Ok(&[]),
        }
    }

    fn whole(&mut self) -> backend::Result<&(Vec<u8>, Message)> {
        if self.whole.is_none() {
            let file = match self.file.take() {
                Some(file) => file,
                None => OpenMessage::open(self.mailbox, self.facts.uid)?,
            };
            let octets = file.into_octets()?;
            let message = Message::parse(&octets);
            self.whole = Some((octets, message));
        }
        self.whole.as_ref().ok_or(backend::Error::Unavailable)
    }
}

/// Compares days; time and zone are disregarded.
fn compare(test: DateTest, (year, month, day): (i16, i8, i8), other: Day) -> bool {
    let mine = Day { year, month, day };
    match test {
        DateTest::Before => mine < other,
        DateTest::On => mine == other,
        DateTest::Since => mine >= other,
    }
}
