//! Any octets, in two ways of cutting them, must give the same events within bounded memory.

use super::{Event, Flow, Limits};
use crate::imap::types::command::{AppendNext, CommandBody};

/// Limits small enough to be met by the fuzzer.
const LIMITS: Limits = Limits {
    max_line_octets: 256,
    max_literal_octets: 64,
    max_command_octets: 512,
    literal_minus: false,
    max_append_octets: 512,
};

/// The first octet chooses what the session does with messages, the second the size of the pieces; the rest comes from the client.
///
/// # Panics
/// If the cuts matter.
pub(crate) fn framer(octets: &[u8]) {
    let [choice, piece, input @ ..] = octets else {
        return;
    };
    let whole = events(*choice, input, usize::MAX);
    let pieces = events(*choice, input, usize::from(*piece).max(1));
    assert_eq!(whole, pieces, "cuts matter");
}

/// What a session sees that accepts, refuses or falters by the bits of `choice` in turn.
fn events(choice: u8, input: &[u8], piece_octets: usize) -> Vec<String> {
    let mut listener = Listener {
        flow: Flow::new(LIMITS),
        choice,
        mode: Mode::Commands,
        seen: Vec::new(),
        message: Vec::new(),
    };
    for piece in input.chunks(piece_octets) {
        listener.flow.feed(piece);
        while listener.step() {}
    }
    listener.seen
}

/// What is asked for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Commands,
    Lines,
    Upload,
    Over,
}

/// A session without a mailbox.
struct Listener {
    flow: Flow,
    choice: u8,
    mode: Mode,
    seen: Vec<String>,
    message: Vec<u8>,
}

impl Listener {
    /// Takes an event; false if more input is needed.
    fn step(&mut self) -> bool {
        let event = match self.mode {
            Mode::Commands => self.flow.next_command(),
            Mode::Lines => self.flow.next_line(),
            Mode::Upload => self.flow.next_upload(),
            Mode::Over => return false,
        };
        match &event {
            Event::More => return false,
            Event::UploadOctets(octets) => {
                assert!(!octets.is_empty(), "an empty piece");
                self.message.extend_from_slice(octets);
                return true;
            }
            Event::UploadEnd => {
                let message = std::mem::take(&mut self.message);
                self.seen.push(format!("{message:?}"));
            }
            other => self.seen.push(format!("{other:?}")),
        }
        self.mode = match event {
            Event::Fatal { .. } => Mode::Over,
            Event::Command(command) => match command.body {
                CommandBody::Idle | CommandBody::Authenticate { .. } => Mode::Lines,
                CommandBody::Append { .. } => self.decide(),
                _ => Mode::Commands,
            },
            Event::UploadNext(AppendNext::Message(_)) => self.decide(),
            Event::UploadEnd => self.falter(),
            Event::Bad { .. }
            | Event::No { .. }
            | Event::Line(_)
            | Event::UploadNext(AppendNext::End) => Mode::Commands,
            Event::Continue | Event::More | Event::UploadOctets(_) => self.mode,
        };
        true
    }

    fn next_choice(&mut self) -> bool {
        let yes = self.choice & 1 == 1;
        self.choice = self.choice.rotate_right(1);
        yes
    }

    fn decide(&mut self) -> Mode {
        if self.next_choice() {
            let waits = self.flow.accept_upload();
            self.seen.push(format!("accepted {waits}"));
            Mode::Upload
        } else {
            self.flow.refuse_upload();
            Mode::Commands
        }
    }

    fn falter(&mut self) -> Mode {
        if self.next_choice() {
            Mode::Upload
        } else {
            self.flow.refuse_upload();
            Mode::Commands
        }
    }
}

#[cfg(test)]
mod tests {
    use super::framer;
    use proptest::prelude::*;

    #[test]
    fn a_line_over_both_limits_is_told_the_same() {
        let literal = format!(" {{64+}}\r\n{}", "x".repeat(64));
        for last in 200..300 {
            let line = format!("a LOGIN{}{}\r\n", literal.repeat(4), "x".repeat(last));
            for piece in [1, 7, 100, 255] {
                framer(&[&[0, piece], line.as_bytes()].concat());
            }
        }
    }

    proptest! {
        #[test]
        fn cuts_never_matter(
            choice: u8,
            piece: u8,
            parts in prop::collection::vec(
                prop_oneof![
                    Just("a NOOP".to_owned()), Just("a APPEND x ".to_owned()), Just("\r\n".to_owned()), Just("\n".to_owned()),
                    Just("a IDLE\r\n".to_owned()), Just("a LOGIN {3}\r\nabc x".to_owned()), Just("UTF8 (~{3+}\r\nabc)".to_owned()),
                    (0..80_u32).prop_map(|n| format!("{{{n}}}\r\n")),
                    (0..1200_u32).prop_map(|n| format!("{{{n}+}}\r\n")),
                    (0..400_usize).prop_map(|n| "x".repeat(n)),
                    "[ -~]{0,8}",
                ],
                0..12,
            ),
        ) {
            let input = [&[choice, piece][..], parts.concat().as_bytes()].concat();
            framer(&input);
        }
    }
}
