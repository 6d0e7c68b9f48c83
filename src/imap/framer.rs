//! The stream of octets as lines and runs of octets. Knows no command.
//!
//! What belongs together, the *frame*, lies in one piece at the beginning of the buffer: a command with its literals is parsed where it
//! came in. Every octet is looked at once and moved at most twice, in pieces of any size; an empty framer holds no memory.

/// Octets that came in, up to [`Framer::release`] of the frame that they belong to.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    /// The frame begins here.
    start: usize,
    /// The frame ends here.
    end: usize,
    /// No line end from the frame's end up to here.
    searched: usize,
}

impl Framer {
    /// Takes octets that came in.
    pub(super) fn feed(&mut self, input: &[u8]) {
        if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.end -= self.start;
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(input);
    }

    /// Lines and octets that were taken into the frame.
    pub(super) fn frame(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The last octets of the frame. A line is looked at without the literal before it, which may end in anything.
    pub(super) fn last(&self, octets: usize) -> &[u8] {
        let frame = self.frame();
        frame
            .get(frame.len().saturating_sub(octets)..)
            .unwrap_or_default()
    }

    /// Octets behind the frame.
    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.end..).unwrap_or_default()
    }

    /// Takes the next line into the frame, with its LF; returns its length. None if its end has not come.
    pub(super) fn take_line(&mut self) -> Option<usize> {
        let from = self.searched.max(self.end);
        let found = memchr::memchr(b'\n', self.buffer.get(from..)?);
        self.searched = self.buffer.len();
        let end = from + found? + 1;
        let octets = end - self.end;
        self.end = end;
        self.searched = end;
        Some(octets)
    }

    /// Takes up to so many octets into the frame; returns how many.
    pub(super) fn take(&mut self, octets: u64) -> usize {
        let taken = usize::try_from(octets)
            .unwrap_or(usize::MAX)
            .min(self.pending().len());
        self.end += taken;
        taken
    }

    /// Forgets the frame.
    pub(super) fn release(&mut self) {
        self.start = self.end;
        if self.end == self.buffer.len() {
            *self = Self::default();
        }
    }

    /// Forgets the frame after having overwritten it.
    pub(super) fn wipe(&mut self) {
        if let Some(frame) = self.buffer.get_mut(self.start..self.end) {
            frame.fill(0);
        }
        self.release();
    }

    /// Hands over the frame.
    pub(super) fn hand_over(&mut self) -> Vec<u8> {
        if self.start == 0 && self.end == self.buffer.len() {
            return std::mem::take(self).buffer;
        }
        let octets = self.frame().to_vec();
        self.release();
        octets
    }

    /// Forgets the frame, and what is behind it but for its last octets; returns how many octets behind the frame were forgotten.
    pub(super) fn release_but(&mut self, last: usize) -> usize {
        let dropped = self.pending().len().saturating_sub(last);
        self.end += dropped;
        self.release();
        dropped
    }

    /// Octets of memory held.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
