//! Reading away what broke a limit or is not wanted, up to the end of its command.

use super::event::Refusal;
use crate::imap::framer::Framer;
use crate::imap::parse::{MAX_ANNOUNCEMENT_OCTETS, announced_literal};
use crate::imap::types::command::LiteralHeader;

/// A command that is read away.
#[derive(Debug)]
pub(super) struct Skip {
    /// Octets missing in the present literal.
    literal_left: u64,
    /// Octets of the command so far, announced ones included.
    octets: u64,
    /// It is a raw line: no literals.
    is_raw: bool,
    /// What to tell at its end; nothing if the session has answered.
    refusal: Option<Refusal>,
}

/// How far that has come.
#[derive(Debug)]
pub(super) enum Skipped {
    /// The rest has not come in.
    Waiting,
    /// The command is over.
    Ended(Option<Refusal>),
    /// It is longer than can be borne with.
    TooMuch,
}

impl Skip {
    /// The rest of a line; `octets` of the command have come in before.
    pub(super) const fn line(octets: u64, is_raw: bool, refusal: Refusal) -> Self {
        Self {
            literal_left: 0,
            octets,
            is_raw,
            refusal: Some(refusal),
        }
    }

    /// The rest of a literal, and what follows it.
    pub(super) const fn literal(octets: u64, literal_left: u64, refusal: Option<Refusal>) -> Self {
        Self {
            literal_left,
            octets: octets.saturating_add(literal_left),
            is_raw: false,
            refusal,
        }
    }

    /// Reads on, up to a number of octets of the command. A literal that waits for a continuation request is never sent: the command ends
    /// with its announcement.
    pub(super) fn advance(&mut self, framer: &mut Framer, most: u64) -> Skipped {
        loop {
            self.literal_left -= framer.take(self.literal_left) as u64;
            framer.release();
            if self.octets > most {
                return Skipped::TooMuch;
            }
            if self.literal_left > 0 {
                return Skipped::Waiting;
            }
            let Some(line) = framer.take_line() else {
                self.count(framer.release_but(MAX_ANNOUNCEMENT_OCTETS) as u64);
                if self.octets > most {
                    return Skipped::TooMuch;
                }
                return Skipped::Waiting;
            };
            self.count(line as u64);
            let literal = self.announced(framer);
            framer.release();
            match literal {
                Some(literal) => {
                    self.literal_left = literal.octets;
                    self.count(literal.octets);
                }
                None if self.octets > most => return Skipped::TooMuch,
                None => return Skipped::Ended(self.refusal.take()),
            }
        }
    }

    /// The literal that the line in the frame announces and sends without waiting.
    fn announced(&self, framer: &Framer) -> Option<LiteralHeader> {
        announced_literal(framer.frame())
            .filter(|literal| literal.non_synchronizing && !self.is_raw)
    }

    const fn count(&mut self, octets: u64) {
        self.octets = self.octets.saturating_add(octets);
    }
}
