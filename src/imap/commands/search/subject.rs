//! Messages, tested: by what is in memory, by what is noted about them, and by what is read of them where that does not decide.

use super::program::{Program, Test};
use crate::encoding::date::civil_day;
use crate::imap::commands::notes::{self, Notebook, Read, is_noted_field};
use crate::imap::commands::object_ids::{email_id, thread_id};
use crate::imap::session::{Dialect, Selected};
use crate::imap::types::search::{DateTest, Day};
use crate::mailbox::backend::{self, Extent, Mailbox};
use crate::mailbox::flag::Flags;
use crate::mailbox::id::{ModSeq, Uid};
use crate::mailbox::messages::Messages;
use crate::mailbox::notes::{Kind, Sheet};
use crate::message::text;

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

/// What became of messages that were looked at.
#[derive(Debug)]
pub(super) struct Examined {
    /// Which of them meet the condition, in their order.
    pub(super) outcomes: Vec<backend::Result<bool>>,
    /// How many messages were read, and how many octets of them.
    pub(super) read: usize,
    /// See there.
    pub(super) octets: u64,
}

/// Why it cannot be said whether a message meets a condition.
#[derive(Debug)]
enum Stop {
    /// So much of it must be read.
    Lacks(Extent),
    /// What the store gave.
    Failed(backend::Error),
}

impl From<backend::Error> for Stop {
    fn from(error: backend::Error) -> Self {
        Self::Failed(error)
    }
}

/// Finds which of some messages meet a condition: from memory and notes, and of the others as much is read as it takes, many side by side.
pub(super) fn examine(program: &Program, all: &[Facts], mailbox: &dyn Mailbox) -> Examined {
    let mut book = Notebook::new(program.kinds());
    book.turn_to(all.iter().map(|facts| facts.uid), mailbox);
    let mut outcomes: Vec<backend::Result<bool>> = Vec::with_capacity(all.len());
    let mut lacking: Vec<(Extent, usize)> = Vec::new();
    for (at, facts) in all.iter().enumerate() {
        let subject = Subject {
            mailbox,
            facts,
            noted: book.sheet(facts.uid).map(|sheet| (&book, sheet)),
            read: None,
        };
        outcomes.push(match subject.meets(program) {
            Ok(meets) => Ok(meets),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Lacks(extent)) => {
                lacking.push((extent, at));
                Err(backend::Error::Unavailable)
            }
        });
    }
    let mut examined = Examined {
        outcomes,
        read: 0,
        octets: 0,
    };
    // headers first: mostly they decide
    for extent in [Extent::Date, Extent::Header, Extent::Whole] {
        let now: Vec<(usize, &Facts)> = lacking
            .extract_if(.., |(least, _)| *least <= extent)
            .filter_map(|(_, at)| Some((at, all.get(at)?)))
            .collect();
        if !now.is_empty() {
            lacking.extend(examined.read(program, &now, extent, &mut book, mailbox));
        }
    }
    examined
}

impl Examined {
    /// Reads messages, which come with their places, and tests them. Returns those of which more must be read.
    fn read(
        &mut self,
        program: &Program,
        messages: &[(usize, &Facts)],
        extent: Extent,
        book: &mut Notebook,
        mailbox: &dyn Mailbox,
    ) -> Vec<(Extent, usize)> {
        let uids: Vec<Uid> = messages.iter().map(|(_, facts)| facts.uid).collect();
        self.read += uids.len();
        let results = book.read(&uids, extent, mailbox, |at, read| {
            let (_, facts) = messages.get(at)?;
            let subject = Subject {
                mailbox,
                facts,
                noted: None,
                read: Some(read),
            };
            Some((subject.meets(program), read.octets().len() as u64))
        });
        let mut lacking = Vec::new();
        for ((at, _), result) in messages.iter().zip(results) {
            let (outcome, octets) = match result {
                Ok(found) => found.unwrap_or((Ok(false), 0)),
                Err(error) => (Err(Stop::Failed(error)), 0),
            };
            self.octets += octets;
            let outcome = match outcome {
                Ok(meets) => Ok(meets),
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Lacks(extent)) => {
                    lacking.push((extent, *at));
                    continue;
                }
            };
            if let Some(place) = self.outcomes.get_mut(*at) {
                *place = outcome;
            }
        }
        lacking
    }
}

/// A message that is tested.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    mailbox: &'a dyn Mailbox,
    facts: &'a Facts,
    /// What is noted about it.
    noted: Option<(&'a Notebook, &'a Sheet)>,
    /// What was read of it.
    read: Option<&'a Read<'a>>,
}

impl<'a> Subject<'a> {
    /// True if the condition holds. Recursion is as deep as the parser allows.
    fn meets(&self, program: &Program) -> Result<bool, Stop> {
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

    fn passes(&self, test: &Test) -> Result<bool, Stop> {
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
            Test::Arrived(test, day) => compare(*test, day_of(self.date()?), *day),
            Test::ArrivedUntil(moment) => self.date()? <= *moment,
            Test::ArrivedFrom(moment) => self.date()? >= *moment,
            Test::Saved(test, day) => {
                let date = self.mailbox.save_date(self.facts.uid)?;
                compare(*test, day_of(date), *day)
            }
            Test::EmailId(id) => email_id(self.mailbox, self.facts.uid)? == *id,
            Test::ThreadId(id) => {
                let header = self.read(Extent::Header)?.header();
                let email_id = email_id(self.mailbox, self.facts.uid)?;
                thread_id(header, &email_id) == *id
            }
            Test::Sent(test, day) => {
                let sent = self.sent_day()?;
                sent.is_some_and(|sent| compare(*test, sent, *day))
            }
            Test::Field(field, needle) => text::header_contains(self.fields(field)?, field, needle),
            Test::Body(needle) => {
                let read = self.read(Extent::Whole)?;
                text::body_contains(read.octets(), read.outline(), needle)
            }
            Test::Text(needle) => {
                let read = self.read(Extent::Whole)?;
                text::any_contains(read.octets(), read.outline(), needle)
            }
        })
    }

    /// What was read, if it is as much as that.
    fn read(&self, extent: Extent) -> Result<&'a Read<'a>, Stop> {
        self.read
            .filter(|read| read.extent() >= extent)
            .ok_or(Stop::Lacks(extent))
    }

    /// What is noted.
    fn note(&self, kind: Kind) -> Option<&'a [u8]> {
        let (book, sheet) = self.noted?;
        sheet.get(book.place(kind)?, self.facts.uid)
    }

    fn size(&self) -> backend::Result<u64> {
        match self.facts.size {
            Some(size) => Ok(size),
            None => self.mailbox.size(self.facts.uid),
        }
    }

    fn date(&self) -> Result<i64, Stop> {
        match self.note(Kind::InternalDate).and_then(notes::date) {
            Some(date) => Ok(date),
            None => Ok(self.read(Extent::Date)?.date()),
        }
    }

    fn sent_day(&self) -> Result<Option<Day>, Stop> {
        match self.note(Kind::SentDay).and_then(notes::sent_day) {
            Some(day) => Ok(day),
            None => Ok(self.read(Extent::Header)?.sent_day()),
        }
    }

    /// A header in which all fields of that name are.
    fn fields(&self, name: &[u8]) -> Result<&'a [u8], Stop> {
        match self.note(Kind::Fields).filter(|_| is_noted_field(name)) {
            Some(fields) => Ok(fields),
            None => Ok(self.read(Extent::Header)?.header()),
        }
    }
}

/// The day of a moment, in seconds since 1970.
fn day_of(date: i64) -> Day {
    let (year, month, day) = civil_day(date);
    Day { year, month, day }
}

/// Compares days; time and zone are disregarded.
fn compare(test: DateTest, mine: Day, other: Day) -> bool {
    match test {
        DateTest::Before => mine < other,
        DateTest::On => mine == other,
        DateTest::Since => mine >= other,
    }
}
