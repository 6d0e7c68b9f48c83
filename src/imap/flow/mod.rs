//! What may come next from a client: a command, a line of AUTHENTICATE or IDLE, the octets of an APPEND; and when it must be asked to
//! go on.
//!
//! Octets go in by [`Flow::feed`] in pieces of any size; the same octets give the same events however they were cut. The session asks for
//! what it can use: [`Flow::next_command`] between commands, [`Flow::next_line`] within AUTHENTICATE and IDLE, [`Flow::next_upload`]
//! within APPEND.
//!
//! A command is in memory as a whole and counts against one budget: lines, literals, quoted strings, parentheses alike. What breaks a limit
//! is read away to the end of its command, for non-synchronizing literals cannot be stopped (RFC 7888 §4); a client that goes on for too
//! long is hung up on.

mod event;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod skip;

pub(crate) use event::{Event, Limits};
use skip::{Skip, Skipped};

use super::framer::Framer;
use super::parse;
use super::types::command::{AppendMessage, AppendNext, CommandBody, LiteralHeader};
use super::types::core::Tag;
use super::types::response::Code;
use event::{
    LITERAL_MINUS_TEXT, MAX_LITERAL_MINUS_OCTETS, MAX_UPLOAD_PIECE_OCTETS, Refusal, TOO_MUCH_TEXT,
};

/// The incoming half of a connection.
#[derive(Debug)]
pub(crate) struct Flow {
    limits: Limits,
    framer: Framer,
    state: State,
    /// Nothing but whole lines of this client were seen to be IMAP yet.
    untried: bool,
}

/// What the next octets are.
#[derive(Debug)]
enum State {
    /// The rest of a command.
    Command(Gathered),
    /// Nothing that anyone wants.
    Skip(Skip),
    /// A message that was announced and not yet accepted or refused.
    Announced(Upload),
    /// The octets of a message.
    Upload(Upload),
    /// What follows a message.
    AfterUpload(Upload),
    /// The connection is given up.
    Dead,
}

/// How far the command in the frame has come.
#[derive(Debug, Default)]
struct Gathered {
    /// Octets missing in the present literal.
    literal_left: u64,
    /// Literals so far.
    literals: usize,
}

/// A message of an APPEND.
#[derive(Debug)]
struct Upload {
    tag: Tag,
    literal: LiteralHeader,
    /// Octets that have not come.
    left: u64,
    /// `)` must follow (RFC 6855 §4).
    utf8: bool,
}

impl Flow {
    /// A connection of which nothing was heard yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            framer: Framer::default(),
            state: State::Command(Gathered::default()),
            untried: true,
        }
    }

    /// Other limits, from the next command on.
    pub(crate) const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes octets that came in.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        if !matches!(self.state, State::Dead) {
            self.framer.feed(input);
        }
    }

    /// Forgets all that came in and was not used (STARTTLS).
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Hands over all that came in and was not used, between commands (COMPRESS).
    pub(crate) fn hand_over(&mut self) -> Vec<u8> {
        self.framer.release();
        let pending = self.framer.pending().to_vec();
        self.framer = Framer::default();
        pending
    }

    /// True if something has come in that was not used yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.framer.frame().is_empty() || !self.framer.pending().is_empty()
    }

    /// The next command: [`Event::More`], [`Event::Continue`], [`Event::Command`], [`Event::Bad`], [`Event::No`] or [`Event::Fatal`].
    ///
    /// A message that was neither accepted nor refused is refused.
    pub(crate) fn next_command(&mut self) -> Event {
        self.refuse_upload();
        if let Some(event) = self.skip() {
            return event;
        }
        if let Some(text) = self.foreign_octet() {
            return self.give_up(None, text);
        }
        loop {
            let State::Command(gathered) = &mut self.state else {
                return Event::More;
            };
            gathered.literal_left -= self.framer.take(gathered.literal_left) as u64;
            if gathered.literal_left > 0 {
                return Event::More;
            }
            if let Some(event) = self.command_line() {
                return event;
            }
        }
    }

    /// The next raw line: [`Event::More`], [`Event::Line`], [`Event::Bad`] without a tag for an overlong one, or [`Event::Fatal`].
    pub(crate) fn next_line(&mut self) -> Event {
        if let Some(event) = self.skip() {
            return event;
        }
        match self.framer.take_line() {
            Some(octets) if octets <= self.limits.max_line_octets => {
                let mut line = self.framer.hand_over();
                line.truncate(parse::without_line_end(&line).len());
                Event::Line(line)
            }
            None if self.framer.pending().len() <= self.limits.max_line_octets => Event::More,
            ended => {
                let refusal = Refusal::bad(None, None, "line too long");
                self.read_away(refusal, ended, true)
            }
        }
    }

    /// Takes the message that was announced; then comes [`Flow::next_upload`]. True if the client waits for a continuation request.
    pub(crate) fn accept_upload(&mut self) -> bool {
        match self.take_state() {
            State::Announced(upload) => {
                let waits = !upload.literal.non_synchronizing;
                self.state = State::Upload(upload);
                waits
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    /// Does not take the message announced, or not the rest of the one that is coming. The session answers the command with NO or BAD at
    /// once and goes on with [`Flow::next_command`]; what the client sends of this command is passed over.
    pub(crate) fn refuse_upload(&mut self) {
        let literal_left = match &self.state {
            // the client waits, and takes our answer for an answer
            State::Announced(upload) if !upload.literal.non_synchronizing => {
                self.state = State::Command(Gathered::default());
                return;
            }
            State::Announced(upload) | State::Upload(upload) => upload.left,
            State::AfterUpload(_) => 0,
            State::Command(_) | State::Skip(_) | State::Dead => return,
        };
        self.state = State::Skip(Skip::literal(0, literal_left, None));
    }

    /// The next piece of an accepted message: [`Event::More`], [`Event::UploadOctets`], [`Event::UploadEnd`], then
    /// [`Event::UploadNext`]; [`Event::Bad`], [`Event::No`] and [`Event::Fatal`] end the APPEND.
    pub(crate) fn next_upload(&mut self) -> Event {
        if let Some(event) = self.skip() {
            return event;
        }
        match self.take_state() {
            State::Upload(upload) if upload.left == 0 => {
                self.state = State::AfterUpload(upload);
                Event::UploadEnd
            }
            State::Upload(mut upload) => {
                let taken = self.framer.take(upload.left.min(MAX_UPLOAD_PIECE_OCTETS));
                upload.left -= taken as u64;
                self.state = State::Upload(upload);
                if taken == 0 {
                    return Event::More;
                }
                Event::UploadOctets(self.framer.hand_over())
            }
            State::AfterUpload(upload) => self.after_upload(upload),
            other => {
                self.state = other;
                Event::More
            }
        }
    }

    /// What a message is followed by.
    fn after_upload(&mut self, upload: Upload) -> Event {
        let line = match self.whole_line() {
            Ok(Some(_)) => self.framer.hand_over(),
            Ok(None) => {
                self.state = State::AfterUpload(upload);
                return Event::More;
            }
            Err((ended, text)) => {
                let refusal = Refusal::bad(Some(upload.tag), Some(Code::Limit), text);
                return self.read_away(refusal, ended, false);
            }
        };
        match parse::append_next(&line, upload.utf8) {
            Ok(AppendNext::Message(message)) => match self.announce(upload.tag, &message) {
                Ok(()) => Event::UploadNext(AppendNext::Message(message)),
                Err(event) => event,
            },
            Ok(AppendNext::End) => Event::UploadNext(AppendNext::End),
            Err(error) => {
                let refusal = Refusal::bad(Some(upload.tag), error.code, error.text);
                self.refuse(refusal, parse::announced_literal(&line))
            }
        }
    }

    /// Takes the next line of a command; none if its literal is to be gathered.
    fn command_line(&mut self) -> Option<Event> {
        let line = match self.whole_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Some(Event::More),
            Err((ended, text)) => {
                let refusal = Refusal::bad(self.tag(), Some(Code::Limit), text);
                return Some(self.read_away(refusal, ended, false));
            }
        };
        if std::mem::take(&mut self.untried) && is_http(self.framer.frame()) {
            return Some(self.give_up(None, "this is IMAP, not HTTP"));
        }
        match parse::announced_literal(self.framer.last(line)) {
            Some(literal) => self.command_literal(literal),
            None => Some(self.command(None)),
        }
    }

    /// Decides about a literal that was announced.
    fn command_literal(&mut self, literal: LiteralHeader) -> Option<Event> {
        let above_literal_minus = self.is_above_literal_minus(literal);
        let frame = self.framer.frame();
        let State::Command(gathered) = &mut self.state else {
            return None;
        };
        // the mailbox name of an APPEND may be a literal; later ones of other commands need not be looked at
        if gathered.literals < 2 && parse::announces_message(frame) {
            return Some(self.command(Some(literal)));
        }
        let whole = literal.octets.saturating_add(frame.len() as u64);
        if literal.octets > self.limits.max_literal_octets as u64
            || whole > self.limits.max_command_octets as u64
        {
            let refusal = Refusal::bad(self.tag(), Some(Code::TooBig), "literal too long");
            return Some(self.refuse(refusal, Some(literal)));
        }
        if above_literal_minus {
            let refusal = Refusal::bad(self.tag(), Some(Code::TooBig), LITERAL_MINUS_TEXT);
            return Some(self.refuse(refusal, Some(literal)));
        }
        gathered.literal_left = literal.octets;
        gathered.literals += 1;
        (!literal.non_synchronizing).then_some(Event::Continue)
    }

    /// Parses the command in the frame; `literal` was announced at its end and belongs to no part of it but an APPEND message.
    fn command(&mut self, literal: Option<LiteralHeader>) -> Event {
        let parsed = parse::command(self.framer.frame());
        // it may have held a password, well-formed or not
        self.framer.wipe();
        self.state = State::Command(Gathered::default());
        match parsed {
            Ok(command) => {
                if let CommandBody::Append { message, .. } = &command.body
                    && let Err(event) = self.announce(command.tag.clone(), message)
                {
                    return event;
                }
                Event::Command(command)
            }
            Err(error) => self.refuse(Refusal::bad(error.tag, error.code, error.text), literal),
        }
    }

    /// A message was announced: the session shall say whether it is wanted, unless it is too large.
    fn announce(&mut self, tag: Tag, message: &AppendMessage) -> Result<(), Event> {
        let literal = message.literal;
        let limit = self.limits.max_append_octets;
        if limit > 0 && literal.octets > limit {
            let refusal = Refusal {
                tag: Some(tag),
                code: Some(Code::TooBig),
                text: format!("message larger than {limit} octets").into(),
                no: true,
            };
            return Err(self.refuse(refusal, Some(literal)));
        }
        if self.is_above_literal_minus(literal) {
            let refusal = Refusal::bad(Some(tag), Some(Code::TooBig), LITERAL_MINUS_TEXT);
            return Err(self.refuse(refusal, Some(literal)));
        }
        self.state = State::Announced(Upload {
            tag,
            literal,
            left: literal.octets,
            utf8: message.utf8,
        });
        Ok(())
    }

    /// Takes a line into the frame: its octets, if there was one. An error if a limit is broken: the octets of the line if it has ended,
    /// and which limit.
    fn whole_line(&mut self) -> Result<Option<usize>, (Option<usize>, &'static str)> {
        let before = self.framer.frame().len();
        let line = self.framer.take_line();
        let octets = line.unwrap_or_else(|| self.framer.pending().len());
        let left = self.limits.max_command_octets.saturating_sub(before);
        // the limit that comes first, however much of the line has come in
        if octets > left.min(self.limits.max_line_octets) {
            let is_command = left < self.limits.max_line_octets;
            let text = if is_command {
                "command too long"
            } else {
                "line too long"
            };
            return Err((line, text));
        }
        Ok(line)
    }

    /// Refuses what ended with the announcement of a literal, or without one.
    fn refuse(&mut self, refusal: Refusal, literal: Option<LiteralHeader>) -> Event {
        let octets = self.framer.frame().len() as u64;
        self.framer.release();
        if octets > self.limits.max_skipped_octets() {
            return self.give_up(Some(Code::TooBig), TOO_MUCH_TEXT);
        }
        match literal {
            Some(literal) if literal.non_synchronizing => {
                let skip = Skip::literal(octets, literal.octets, Some(refusal));
                self.state = State::Skip(skip);
                self.skip().unwrap_or(Event::More)
            }
            _ => {
                self.state = State::Command(Gathered::default());
                refusal.into_event()
            }
        }
    }

    /// Reads away a line that is too long; `ended`: its octets, if it is in the frame as a whole.
    fn read_away(&mut self, refusal: Refusal, ended: Option<usize>, raw: bool) -> Event {
        if let Some(line) = ended {
            let literal = parse::announced_literal(self.framer.last(line)).filter(|_| !raw);
            return self.refuse(refusal, literal);
        }
        let octets = self.framer.frame().len() as u64;
        self.framer.release();
        self.state = State::Skip(Skip::line(octets, raw, refusal));
        self.skip().unwrap_or(Event::More)
    }

    /// Reads on to the end of a command that is read away. None if there is no such, or it has ended and nothing is to be told.
    fn skip(&mut self) -> Option<Event> {
        let most = self.limits.max_skipped_octets();
        let skipped = match &mut self.state {
            State::Skip(skip) => skip.advance(&mut self.framer, most),
            State::Dead => return Some(self.give_up(None, "connection is closing")),
            State::Command(_) | State::Announced(_) | State::Upload(_) | State::AfterUpload(_) => {
                return None;
            }
        };
        match skipped {
            Skipped::Waiting => Some(Event::More),
            Skipped::TooMuch => Some(self.give_up(Some(Code::TooBig), TOO_MUCH_TEXT)),
            Skipped::Ended(refusal) => {
                self.state = State::Command(Gathered::default());
                refusal.map(Refusal::into_event)
            }
        }
    }

    /// What the very first octet tells of a client that does not speak IMAP at all.
    fn foreign_octet(&self) -> Option<&'static str> {
        let first = self.untried.then(|| self.framer.pending().first())??;
        match first {
            0x16 => Some("this port expects IMAP without TLS at first; use STARTTLS"),
            b'\r' | b'\n' | 0x20..0x7f => None,
            _ => Some("this is no IMAP"),
        }
    }

    /// The tag of the command that is coming in. Only the octets that are there however the command was cut.
    fn tag(&self) -> Option<Tag> {
        let frame = self.framer.frame();
        let head = if frame.is_empty() {
            self.framer.pending()
        } else {
            frame
        };
        let most = self.limits.max_line_octets.min(head.len());
        parse::tag(head.get(..most)?)
    }

    const fn is_above_literal_minus(&self, literal: LiteralHeader) -> bool {
        self.limits.literal_minus
            && literal.non_synchronizing
            && literal.octets > MAX_LITERAL_MINUS_OCTETS
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Command(Gathered::default()))
    }

    fn give_up(&mut self, code: Option<Code>, text: &'static str) -> Event {
        self.framer = Framer::default();
        self.state = State::Dead;
        Event::Fatal {
            code,
            text: text.into(),
        }
    }
}

/// True for the first line of an HTTP request: a browser that was led here by another's web page (ALPACA).
fn is_http(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ');
    let verbs: [&[u8]; 8] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"PRI",
    ];
    words.next().is_some_and(|verb| verbs.contains(&verb))
        && words.any(|word| word.starts_with(b"HTTP/"))
}

#[cfg(test)]
mod tests;
