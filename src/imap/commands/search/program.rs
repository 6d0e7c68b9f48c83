//! A search as a program: sets resolved, texts decoded and folded, the cheap tests before the dear ones.

use crate::encoding::charset;
use crate::imap::commands::messages::{UidRanges, resolve_uids};
use crate::imap::commands::notes::is_noted_field;
use crate::imap::session::Selected;
use crate::imap::session::reply::CommandError;
use crate::imap::types::response::Code;
use crate::imap::types::search::{DateKind, DateTest, Day, SearchKey};
use crate::imap::types::sequence::SequenceSet;
use crate::mailbox::flag::{Flags, Keyword, KeywordTable, SystemFlag};
use crate::mailbox::id::ModSeq;
use crate::mailbox::messages::Messages;
use crate::mailbox::notes::Kind;
use crate::mailbox::uid_set::UidSet;
use crate::message::text::Needle;
use std::ops::RangeInclusive;

/// A condition on a message.
#[derive(Debug)]
pub(super) enum Program {
    /// One test.
    Test(Test),
    /// The condition must not hold.
    Not(Box<Self>),
    /// All must hold; the cheapest first.
    All(Vec<Self>),
    /// One must hold; the cheapest first.
    Any(Vec<Self>),
}

/// A single test.
#[derive(Debug)]
pub(super) enum Test {
    /// Every message, or none.
    Constant(bool),
    /// All of these flags are set.
    Flags(Flags),
    /// A keyword that the mailbox does not have.
    Unknown(Keyword),
    /// `\Recent`
    Recent,
    /// The mod-sequence is this one or a later one.
    ChangedFrom(ModSeq),
    /// One of these messages.
    Among(UidSet),
    /// One of these UIDs; which `*` is, the mailbox says at that moment.
    Uids(UidRanges),
    /// RFC822.SIZE is above.
    Larger(u64),
    /// RFC822.SIZE is below.
    Smaller(u64),
    /// INTERNALDATE, by its day.
    Arrived(DateTest, Day),
    /// INTERNALDATE is not after this moment, in seconds since 1970.
    ArrivedUntil(i64),
    /// INTERNALDATE is not before this moment, in seconds since 1970.
    ArrivedFrom(i64),
    /// The save date, by its day.
    Saved(DateTest, Day),
    /// The identifier of the message.
    EmailId(String),
    /// The identifier of its thread.
    ThreadId(String),
    /// The Date field, by its day.
    Sent(DateTest, Day),
    /// A header field contains a text.
    Field(Vec<u8>, Box<Needle>),
    /// The body contains a text.
    Body(Box<Needle>),
    /// Header or body contain a text.
    Text(Box<Needle>),
}

/// What a test costs, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// Nothing but what is in memory.
    Memory,
    /// The size, which mostly is in memory.
    Size,
    /// The date of a file.
    Date,
    /// The header.
    Header,
    /// All of the message.
    Body,
}

/// What criteria are understood by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// The charset of texts.
    pub(super) charset: &'a [u8],
    /// This moment, in seconds since 1970.
    pub(super) now: i64,
    /// The mailbox.
    pub(super) selected: &'a Selected,
    /// Its messages.
    pub(super) messages: &'a Messages,
}

impl Program {
    /// What the dearest part costs.
    pub(super) fn cost(&self) -> Cost {
        match self {
            Self::Test(test) => test.cost(),
            Self::Not(inner) => inner.cost(),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().map(Self::cost).max().unwrap_or(Cost::Memory)
            }
        }
    }

    /// How many tests there are.
    pub(super) fn tests(&self) -> usize {
        match self {
            Self::Test(_) => 1,
            Self::Not(inner) => inner.tests(),
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::tests).sum(),
        }
    }

    /// Makes a program of criteria.
    ///
    /// # Errors
    /// BAD for sequence numbers that are not in the view.
    pub(super) fn compile(key: SearchKey, terms: Terms<'_>) -> Result<Self, CommandError> {
        Ok(match key {
            SearchKey::Not(inner) => Self::Not(Box::new(Self::compile(*inner, terms)?)),
            SearchKey::And(keys) => Self::All(Self::compile_sorted(keys, terms)?),
            SearchKey::Or(keys) => Self::Any(Self::compile_sorted(keys, terms)?),
            SearchKey::Flag(flag, set) => Self::flags(Flags::NONE.with(flag), set),
            SearchKey::Keyword(keyword, set) => {
                match terms.messages.keywords().position(&keyword) {
                    Some(index) => Self::flags(Flags::NONE.with_keyword(index), set),
                    None => Self::of(Test::Unknown(keyword), set),
                }
            }
            SearchKey::New => Self::All(vec![
                Self::Test(Test::Recent),
                Self::flags(Flags::NONE.with(SystemFlag::Seen), false),
            ]),
            SearchKey::Old => Self::Not(Box::new(Self::Test(Test::Recent))),
            other => Self::Test(Test::compile(other, terms)?),
        })
    }

    fn compile_sorted(keys: Vec<SearchKey>, terms: Terms<'_>) -> Result<Vec<Self>, CommandError> {
        let compiled = keys.into_iter().map(|key| Self::compile(key, terms));
        let mut parts = compiled.collect::<Result<Vec<_>, _>>()?;
        parts.sort_by_cached_key(Self::cost);
        Ok(parts)
    }

    fn flags(flags: Flags, set: bool) -> Self {
        Self::of(Test::Flags(flags), set)
    }

    /// A test that must hold, or must not.
    fn of(test: Test, holds: bool) -> Self {
        let test = Self::Test(test);
        if holds {
            test
        } else {
            Self::Not(Box::new(test))
        }
    }

    /// Recognizes keywords that the mailbox did not have before.
    pub(super) fn learn(&mut self, keywords: &KeywordTable) {
        match self {
            Self::Test(test) => {
                if let Test::Unknown(keyword) = test
                    && let Some(index) = keywords.position(keyword)
                {
                    *test = Test::Flags(Flags::NONE.with_keyword(index));
                }
            }
            Self::Not(inner) => inner.learn(keywords),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.learn(keywords);
                }
            }
        }
    }

    /// Those messages of some that the sets of the search name; the last of the mailbox has the UID `last`.
    pub(super) fn named(&self, mut messages: UidSet, last: u32) -> UidSet {
        match self {
            Self::Test(Test::Among(uids)) => messages.intersection(uids),
            Self::Test(Test::Uids(uids)) => uids.among(&messages, last),
            Self::All(parts) => {
                for part in parts {
                    messages = part.named(messages, last);
                }
                messages
            }
            Self::Test(_) | Self::Not(_) | Self::Any(_) => messages,
        }
    }

    /// The kinds of notes that help to test.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        self.collect_kinds(&mut kinds);
        kinds
    }

    fn collect_kinds(&self, kinds: &mut Vec<Kind>) {
        match self {
            Self::Test(test) => kinds.extend(test.kind()),
            Self::Not(inner) => inner.collect_kinds(kinds),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect_kinds(kinds);
                }
            }
        }
    }

    /// True if something must be looked at that is not in memory.
    pub(super) fn reads(&self) -> bool {
        self.cost() > Cost::Memory
    }
}

impl Test {
    /// The kind of note by which it can be made without reading.
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Arrived(..) | Self::ArrivedUntil(_) | Self::ArrivedFrom(_) => {
                Some(Kind::InternalDate)
            }
            Self::Sent(..) => Some(Kind::SentDay),
            Self::Field(name, _) => is_noted_field(name).then_some(Kind::Fields),
            _ => None,
        }
    }

    /// What it costs.
    const fn cost(&self) -> Cost {
        match self {
            Self::Constant(_)
            | Self::Flags(_)
            | Self::Recent
            | Self::ChangedFrom(_)
            | Self::Unknown(_)
            | Self::Uids(_)
            | Self::Among(_) => Cost::Memory,
            Self::Larger(_) | Self::Smaller(_) => Cost::Size,
            Self::Arrived(..)
            | Self::ArrivedUntil(_)
            | Self::ArrivedFrom(_)
            | Self::Saved(..)
            | Self::EmailId(_) => Cost::Date,
            Self::Sent(..) | Self::Field(..) | Self::ThreadId(_) => Cost::Header,
            Self::Body(_) | Self::Text(_) => Cost::Body,
        }
    }

    fn compile(key: SearchKey, terms: Terms<'_>) -> Result<Self, CommandError> {
        let needle = |text: &[u8]| {
            charset::decode(terms.charset, text)
                .map(|text| Box::new(Needle::new(&text)))
                .ok_or_else(bad_charset)
        };
        Ok(match key {
            SearchKey::Recent => Self::Recent,
            SearchKey::ModSeq(mod_seq) => Self::ChangedFrom(mod_seq),
            SearchKey::Date(DateKind::Internal, test, day) => Self::Arrived(test, day),
            SearchKey::Date(DateKind::Sent, test, day) => Self::Sent(test, day),
            SearchKey::Date(DateKind::Saved, test, day) => Self::Saved(test, day),
            SearchKey::EmailId(id) => Self::EmailId(String::from_utf8_lossy(&id).into_owned()),
            SearchKey::ThreadId(id) => Self::ThreadId(String::from_utf8_lossy(&id).into_owned()),
            SearchKey::Within { older: true, secs } => {
                Self::ArrivedUntil(terms.now.saturating_sub(i64::from(secs)))
            }
            SearchKey::Within { older: false, secs } => {
                Self::ArrivedFrom(terms.now.saturating_sub(i64::from(secs)))
            }
            SearchKey::Header(field, text) => Self::Field(field, needle(&text)?),
            SearchKey::Body(text) => Self::Body(needle(&text)?),
            SearchKey::Text(text) => Self::Text(needle(&text)?),
            SearchKey::Larger(octets) => Self::Larger(octets),
            SearchKey::Smaller(octets) => Self::Smaller(octets),
            SearchKey::Sequence(set) => Self::Among(numbered(&set, terms.selected)?),
            SearchKey::Uid(SequenceSet::Ranges(ranges)) => Self::Uids(UidRanges::new(&ranges)),
            SearchKey::UidAfter(uid) => Self::among(uid.checked_add(1).map(|uid| uid..=u32::MAX)),
            SearchKey::UidBefore(uid) => Self::among(Some(1..=uid.saturating_sub(1))),
            SearchKey::Uid(set) => Self::Among(resolve_uids(&set, true, terms.selected)?),
            SearchKey::All
            | SearchKey::SaveDateSupported
            | SearchKey::Flag(..)
            | SearchKey::Keyword(..)
            | SearchKey::New
            | SearchKey::Old
            | SearchKey::Not(_)
            | SearchKey::Or(_)
            | SearchKey::And(_) => Self::Constant(true),
        })
    }
}

impl Test {
    /// One of the UIDs of a range, if there is one.
    fn among(range: Option<RangeInclusive<u32>>) -> Self {
        Self::Among(range.into_iter().collect())
    }
}

/// Messages by number. In an empty mailbox no number means anything, `*` neither; clients ask for `1:*` without looking, and get nothing.
fn numbered(set: &SequenceSet, selected: &Selected) -> Result<UidSet, CommandError> {
    if selected.view.is_empty() {
        return Ok(UidSet::new());
    }
    resolve_uids(set, false, selected)
}

/// `NO [BADCHARSET (…)]`
pub(super) fn bad_charset() -> CommandError {
    CommandError::No(
        Some(Code::BadCharset(charset::NAMES.to_vec())),
        "Unknown charset".into(),
    )
}
