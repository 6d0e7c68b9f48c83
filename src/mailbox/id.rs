//! Numbers that must not be mixed up: UIDs, sequence numbers, UIDVALIDITY, mod-sequences.

use std::fmt;
use std::num::NonZeroU32;

/// A message's unique identifier in its mailbox (RFC 9051 §2.3.1.1): never zero, never reused, strictly rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

/// A message's place in one connection's view, from 1 (RFC 9051 §2.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNum(NonZeroU32);

/// UIDVALIDITY of a mailbox (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

macro_rules! number {
    ($name:ident) => {
        impl $name {
            /// The value, unless it is zero.
            pub const fn new(value: u32) -> Option<Self> {
                match NonZeroU32::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The number.
            pub const fn value(self) -> u32 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<NonZeroU32> for $name {
            fn from(value: NonZeroU32) -> Self {
                Self(value)
            }
        }
    };
}

number!(Uid);
number!(SeqNum);
number!(UidValidity);

impl Uid {
    /// The first UID of a mailbox.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The highest UID that is given to a message: 2^32-1 is refused by Dovecot's UID list and kept free as an end mark.
    pub const MAX: Self = match Self::new(u32::MAX - 1) {
        Some(uid) => uid,
        None => Self::MIN,
    };

    /// The next one, or none after [`Uid::MAX`].
    pub fn next(self) -> Option<Self> {
        (self < Self::MAX).then(|| Self(self.0.saturating_add(1)))
    }
}

impl SeqNum {
    /// The number of the message at a position counted from zero.
    pub fn at(index: usize) -> Self {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        Self(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }

    /// The position counted from zero.
    pub const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

/// A mod-sequence (RFC 7162 §3): rises with every change in a mailbox. 63 bits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

impl ModSeq {
    /// Before any change.
    pub const ZERO: Self = Self(0);

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
