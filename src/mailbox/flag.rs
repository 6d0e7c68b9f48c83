//! Flags and keywords of messages (RFC 9051 §2.3.2).
//!
//! [`Flags`] is one word per message: five system flags and up to [`MAX_KEYWORDS`] keywords, as positions in the mailbox's
//! [`KeywordTable`]. `\Recent` belongs to a connection's view and is not stored.

use std::fmt;

/// Most keywords that one mailbox can know: what one 64-bit word leaves beside the system flags.
pub const MAX_KEYWORDS: usize = 59;

/// Longest keyword taken, in octets; room in `dovecot-keywords` lines and in FLAGS answers.
pub const MAX_KEYWORD_OCTETS: usize = 128;

/// A system flag (RFC 9051 §2.3.2) other than `\Recent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Answered`
    Answered = 0,
    /// `\Flagged`
    Flagged = 1,
    /// `\Deleted`
    Deleted = 2,
    /// `\Seen`
    Seen = 3,
    /// `\Draft`
    Draft = 4,
}

impl SystemFlag {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Flagged,
        Self::Deleted,
        Self::Seen,
        Self::Draft,
    ];

    /// The flag as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Seen => "\\Seen",
            Self::Draft => "\\Draft",
        }
    }

    /// Finds a flag by its name, in any case, with its backslash.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|flag| flag.as_str().eq_ignore_ascii_case(name))
    }
}

/// The flags of one message, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u64);

const SYSTEM_BITS: u64 = 0b1_1111;
const FIRST_KEYWORD_BIT: usize = 5;

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);

    /// True if the system flag is set.
    pub const fn has(self, flag: SystemFlag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// With one system flag more.
    #[must_use]
    pub const fn with(self, flag: SystemFlag) -> Self {
        Self(self.0 | (1 << flag as u8))
    }

    /// With one system flag less.
    #[must_use]
    pub const fn without(self, flag: SystemFlag) -> Self {
        Self(self.0 & !(1 << flag as u8))
    }

    /// With the keyword at this position of the table; positions past the table's size are ignored.
    #[must_use]
    pub const fn with_keyword(self, index: usize) -> Self {
        if index < MAX_KEYWORDS {
            Self(self.0 | (1 << (index + FIRST_KEYWORD_BIT)))
        } else {
            self
        }
    }

    /// True if the keyword at this position is set.
    pub const fn has_keyword(self, index: usize) -> bool {
        index < MAX_KEYWORDS && self.0 & (1 << (index + FIRST_KEYWORD_BIT)) != 0
    }

    /// Both together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True if every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The system flags alone.
    #[must_use]
    pub const fn system(self) -> Self {
        Self(self.0 & SYSTEM_BITS)
    }

    /// The keywords alone.
    #[must_use]
    pub const fn keywords(self) -> Self {
        Self(self.0 & !SYSTEM_BITS)
    }

    /// The bits: five system flags in the order of [`SystemFlag`], above them the keywords by position.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Flags from their bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// True if no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The positions of the keywords set, rising.
    pub fn keyword_indexes(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0 >> FIRST_KEYWORD_BIT;
        std::iter::from_fn(move || {
            (bits != 0).then(|| {
                let index = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                index
            })
        })
    }

    /// The system flags set, in the order of [`SystemFlag::ALL`].
    pub fn system_flags(self) -> impl Iterator<Item = SystemFlag> {
        SystemFlag::ALL
            .into_iter()
            .filter(move |flag| self.has(*flag))
    }
}

impl FromIterator<SystemFlag> for Flags {
    fn from_iter<I: IntoIterator<Item = SystemFlag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.system_flags().map(SystemFlag::as_str))
            .entries(self.keyword_indexes())
            .finish()
    }
}

/// A keyword: an atom without a leading backslash (RFC 9051 §9, `flag-keyword`). Compared without regard to case.
#[derive(Debug, Clone)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// Checks that the text is an atom of at most [`MAX_KEYWORD_OCTETS`].
    pub fn new(text: &str) -> Option<Self> {
        let atom = |b: u8| b > 0x20 && b < 0x7f && !b"(){%*\"\\]".contains(&b);
        (!text.is_empty() && text.len() <= MAX_KEYWORD_OCTETS && text.bytes().all(atom))
            .then(|| Self(text.into()))
    }

    /// The keyword as it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keywords that a mailbox knows; a position never changes its keyword while the mailbox is open. Positions may be empty
/// (letters of `dovecot-keywords` that have no line).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeywordTable(Vec<Option<Keyword>>);

impl KeywordTable {
    /// The keyword at a position.
    pub fn keyword(&self, index: usize) -> Option<&Keyword> {
        self.0.get(index)?.as_ref()
    }

    /// The position of a keyword.
    pub fn position(&self, keyword: &Keyword) -> Option<usize> {
        self.0
            .iter()
            .position(|known| known.as_ref() == Some(keyword))
    }

    /// The keyword's position, taking the first free one if it is new; none when all [`MAX_KEYWORDS`] are taken.
    pub fn insert(&mut self, keyword: &Keyword) -> Option<usize> {
        if let Some(index) = self.position(keyword) {
            return Some(index);
        }
        let index = self
            .0
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.0.len());
        self.set(index, keyword.clone()).then_some(index)
    }

    /// Puts a keyword at a position; false if the position is taken, past the end of a word, or the keyword is elsewhere.
    pub fn set(&mut self, index: usize, keyword: Keyword) -> bool {
        if index >= MAX_KEYWORDS || self.position(&keyword).is_some() {
            return false;
        }
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        match self.0.get_mut(index) {
            Some(place @ None) => {
                *place = Some(keyword);
                true
            }
            Some(Some(_)) | None => false,
        }
    }

    /// True if another keyword can be added.
    pub fn has_room(&self) -> bool {
        self.iter().count() < MAX_KEYWORDS
    }

    /// Positions and keywords, rising.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Keyword)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(index, keyword)| Some((index, keyword.as_ref()?)))
    }
}

/// A flag as a client names it, before a mailbox has given its keywords positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFlags {
    /// The system flags, as bits.
    pub system: Flags,
    /// The keywords.
    pub keywords: Vec<Keyword>,
}

/// What STORE does with the flags given (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagAction {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

impl FlagAction {
    /// The flags after the change.
    pub const fn apply(self, before: Flags, given: Flags) -> Flags {
        match self {
            Self::Replace => given,
            Self::Add => before.union(given),
            Self::Remove => before.minus(given),
        }
    }
}
