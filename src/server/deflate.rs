//! COMPRESS=DEFLATE (RFC 4978): both directions of a connection as raw deflate data, between TLS and the session. Octets in, octets out; no
//! socket, no clock.
//!
//! Outgoing: each batch ends with a flush, so that the client can inflate all of it at once. Incoming: what came is kept as it came, and inflated
//! in pieces as the session asks for input. So a client whose kilobyte becomes a megabyte fills no memory, but only talks for longer, within
//! the budgets of whoever sends a megabyte.
//!
//! What a connection holds:
//!
//! | | in use | at rest ([`Deflate::rest`]) |
//! |---|---|---|
//! | outgoing | some 300 KiB: window, hash chains, symbols | nothing: a compressor that looks back at nothing goes on where the old one flushed |
//! | incoming | some 40 KiB: window, code tables; and what came last, twice the window at most | what came last, as the client may refer to it: as much as it has sent, the window of 32 KiB at most |
//!
//! What is given back goes to the next who wants it ([`Spares`]): allocated and freed again and again among the small things that connections
//! keep, blocks of that size would leave holes that nothing fits in.
//!
//! The incoming side can rest only between two deflate blocks, at the beginning of an octet. That is where a client is that flushes each
//! command, as it has to, lest the server wait for the rest. Else it stays as it is.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How hard the compressor tries: IMAP's answers shrink to a third at the least effort, and hardly more at the greatest.
const LEVEL: Compression = Compression::new(3);

/// How far a deflate stream looks back (RFC 1951 §2).
const WINDOW_OCTETS: usize = 32 * 1024;

/// How a flush ends: an empty stored block, of which these are the lengths.
const FLUSH_END: u32 = 0x0000_FFFF;

/// Room that a compressor finds at least: more than one flush takes, or it would flush again.
const LEAST_ROOM: usize = 64;

/// Compressors, and inflaters, that are kept for the next who wants one; 20 MiB at most.
const MAX_SPARES: usize = 64;

/// Compressors and inflaters that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Spares {
    compressors: Mutex<Vec<Compress>>,
    inflaters: Mutex<Vec<Decompress>>,
}

impl Spares {
    /// A compressor at the beginning of a stream.
    fn compressor(&self) -> Compress {
        lock(&self.compressors)
            .pop()
            .unwrap_or_else(|| Compress::new(LEVEL, false))
    }

    /// An inflater that goes on behind a flush, before which the client sent `history`.
    fn inflater(&self, history: &[u8]) -> Result<Decompress, Damaged> {
        let spare = lock(&self.inflaters).pop();
        let mut inflater = spare.unwrap_or_else(|| Decompress::new(false));
        if !history.is_empty() {
            inflater.set_dictionary(history).map_err(|_error| Damaged)?;
        }
        Ok(inflater)
    }

    /// Takes what is used no more.
    fn take(&self, compressor: Option<Compress>, inflater: Option<Decompress>) {
        if let Some(mut compressor) = compressor {
            compressor.reset();
            keep(&self.compressors, compressor);
        }
        if let Some(mut inflater) = inflater {
            inflater.reset(false);
            keep(&self.inflaters, inflater);
        }
    }
}

/// Keeps a spare if there are not enough.
fn keep<T>(spares: &Mutex<Vec<T>>, spare: T) {
    let mut spares = lock(spares);
    if spares.len() < MAX_SPARES {
        spares.push(spare);
    }
}

/// Takes a lock; nothing is half done under it.
fn lock<T>(spares: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    spares.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer.
#[derive(Debug)]
pub(super) struct Deflate {
    spares: Arc<Spares>,
    incoming: Incoming,
    /// None at rest.
    compressor: Option<Compress>,
    /// Nothing more is sent compressed.
    is_finished: bool,
}

/// From the client.
#[derive(Debug, Default)]
struct Incoming {
    /// None at rest.
    inflater: Option<Decompress>,
    /// What was inflated last, up to twice the window.
    history: Vec<u8>,
    /// What came and was not inflated.
    waiting: Vec<u8>,
    /// Octets of it that were.
    used: usize,
    /// Octets of it up to the end of a flush, behind which the client may have ended its compression.
    until_flush: usize,
    /// The last four octets that were inflated.
    last: u32,
    next: Next,
    /// The client is about to end its compression, or has.
    is_leaving: bool,
}

/// What comes next out of the inflater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Next {
    /// Nothing, before more came in.
    #[default]
    Input,
    /// Perhaps more: the last piece filled its room.
    Output,
    /// What came in is no deflate data.
    Damage,
    /// Nothing: the last block was inflated.
    End,
}

/// The client's octets are not deflate data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the client sent is not deflate data")
    }
}

impl std::error::Error for Damaged {}

impl Drop for Deflate {
    fn drop(&mut self) {
        let inflater = self.incoming.inflater.take();
        self.spares.take(self.compressor.take(), inflater);
    }
}

impl Deflate {
    /// Both directions at the beginning of their streams, at rest.
    pub(super) fn new(spares: Arc<Spares>) -> Self {
        Self {
            spares,
            incoming: Incoming::default(),
            compressor: None,
            is_finished: false,
        }
    }

    /// Takes octets that came in.
    pub(super) fn receive(&mut self, octets: &[u8]) {
        self.incoming.waiting.extend_from_slice(octets);
    }

    /// True if [`Deflate::inflate`] may give something without any more octets coming in.
    pub(super) fn has_input(&self) -> bool {
        self.incoming.has_input()
    }

    /// Inflates the next piece of what came in to the beginning of `room`; returns its length, 0 if more must come in first.
    ///
    /// # Errors
    /// [`Damaged`], after which nothing makes sense any more
    pub(super) fn inflate(&mut self, room: &mut [u8]) -> Result<usize, Damaged> {
        self.incoming.inflate(room, &self.spares)
    }

    /// Compresses a batch, so that the client can inflate it all.
    ///
    /// # Errors
    /// if the compressor is broken
    pub(super) fn deflate(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        self.compress(plain, FlushCompress::Sync)
    }

    /// Compresses the last batch. From now on what comes in is looked at for the end of the client's compression.
    ///
    /// # Errors
    /// if the compressor is broken
    pub(super) fn finish(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let last = self.compress(plain, FlushCompress::Finish)?;
        self.spares.take(self.compressor.take(), None);
        self.is_finished = true;
        self.incoming.is_leaving = true;
        Ok(last)
    }

    /// True after [`Deflate::finish`].
    pub(super) const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// What came in behind the client's last compressed octet; none as long as it is not known where that is.
    pub(super) fn take_left(&mut self) -> Option<Vec<u8>> {
        self.incoming.take_left()
    }

    fn compress(&mut self, plain: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
        let compressor = self
            .compressor
            .get_or_insert_with(|| self.spares.compressor());
        compress(compressor, plain, flush)
    }

    /// Gives back what can be had again.
    pub(super) fn rest(&mut self) {
        let inflater = self.incoming.rest();
        self.spares.take(self.compressor.take(), inflater);
    }
}

/// Compresses octets and flushes.
fn compress(compressor: &mut Compress, plain: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut wire = Vec::with_capacity(plain.len() / 2 + LEAST_ROOM);
    let mut rest = plain;
    loop {
        if wire.capacity() - wire.len() < LEAST_ROOM {
            wire.reserve(rest.len() / 2 + LEAST_ROOM);
        }
        let before = compressor.total_in();
        let status = compressor
            .compress_vec(rest, &mut wire, flush)
            .map_err(io::Error::other)?;
        let taken = usize::try_from(compressor.total_in() - before).unwrap_or(rest.len());
        rest = rest.get(taken..).unwrap_or_default();
        // room left says that the flush is complete
        let is_done = rest.is_empty() && wire.len() < wire.capacity();
        if is_done || status == Status::StreamEnd {
            wire.shrink_to_fit();
            return Ok(wire);
        }
    }
}

impl Incoming {
    /// What came and was not inflated.
    fn input(&self) -> &[u8] {
        self.waiting.get(self.used..).unwrap_or_default()
    }

    /// See [`Deflate::has_input`].
    fn has_input(&self) -> bool {
        matches!(self.next, Next::Output | Next::Damage) || !self.input().is_empty()
    }

    /// See [`Deflate::inflate`].
    fn inflate(&mut self, room: &mut [u8], spares: &Spares) -> Result<usize, Damaged> {
        while self.has_input() {
            if self.is_over() {
                return Ok(0);
            }
            if matches!(self.next, Next::Damage | Next::End) {
                return Err(Damaged);
            }
            if self.used == self.until_flush {
                self.look_for_flush();
            }
            let (taken, given) = self.inflate_once(room, spares)?;
            if given > 0 {
                self.remember(room.get(..given).unwrap_or_default());
            }
            self.forget(taken);
            if given > 0 {
                return Ok(given);
            }
            if taken == 0 && !self.input().is_empty() {
                return Err(Damaged);
            }
        }
        Ok(0)
    }

    /// One call of the inflater; returns how many octets it took and gave.
    fn inflate_once(
        &mut self,
        room: &mut [u8],
        spares: &Spares,
    ) -> Result<(usize, usize), Damaged> {
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            none => none.insert(spares.inflater(&self.history)?),
        };
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let input = self.waiting.get(self.used..self.until_flush);
        let input = input.unwrap_or_default();
        let status = inflater.decompress(input, room, FlushDecompress::None);
        let taken = usize::try_from(inflater.total_in() - before_in).map_err(|_error| Damaged)?;
        let given = usize::try_from(inflater.total_out() - before_out).map_err(|_error| Damaged)?;
        self.next = match status {
            // what came before the damage is good
            Err(_) => Next::Damage,
            Ok(Status::StreamEnd) => Next::End,
            Ok(_) if given == room.len() => Next::Output,
            Ok(_) => Next::Input,
        };
        Ok((taken, given))
    }

    /// Finds where the inflater has to stop next: what is behind a flush may be no deflate data any more, which the session knows when it has
    /// seen what is before it.
    fn look_for_flush(&mut self) {
        let mut last = self.last;
        let flush = self.input().iter().position(|octet| {
            last = last << 8 | u32::from(*octet);
            last == FLUSH_END
        });
        self.until_flush = flush.map_or(self.waiting.len(), |at| self.used + at + 1);
    }

    /// True if nothing compressed will come any more: behind the last block; or behind a flush, if what follows is a character. What a
    /// compressor says at its end, having flushed, begins with a control character: an empty block.
    fn is_over(&self) -> bool {
        let is_text = || self.input().first().is_some_and(|octet| *octet >= b' ');
        let is_flushed = self.last == FLUSH_END && self.next == Next::Input;
        self.is_leaving && (self.next == Next::End || is_flushed && is_text())
    }

    /// See [`Deflate::take_left`].
    fn take_left(&mut self) -> Option<Vec<u8>> {
        self.is_over().then(|| self.waiting.split_off(self.used))
    }

    /// Keeps what the client may refer to.
    fn remember(&mut self, plain: &[u8]) {
        self.history.extend_from_slice(plain);
        if self.history.len() > 2 * WINDOW_OCTETS {
            let excess = self.history.len() - WINDOW_OCTETS;
            self.history.drain(..excess);
        }
    }

    /// Octets of the input are done with.
    fn forget(&mut self, taken: usize) {
        let done = self.input().get(..taken).unwrap_or_default();
        let last = done.iter().rev().take(4).rev();
        self.last = last.fold(self.last, |last, octet| last << 8 | u32::from(*octet));
        self.used += taken;
        if self.used == self.waiting.len() {
            self.waiting = Vec::new();
            self.used = 0;
            self.until_flush = 0;
        }
    }

    /// Gives back the inflater, if it is where another one can go on with nothing but the history: behind a flush. That four octets look
    /// like the end of one while the line that they bring ends there too, by chance and unflushed, will not happen.
    fn rest(&mut self) -> Option<Decompress> {
        let is_flushed = self.last == FLUSH_END && self.history.ends_with(b"\n");
        if !is_flushed || self.next != Next::Input || !self.input().is_empty() {
            return None;
        }
        let excess = self.history.len().saturating_sub(WINDOW_OCTETS);
        self.history.drain(..excess);
        self.history.shrink_to_fit();
        self.inflater.take()
    }
}

#[cfg(any(test, fuzzing))]
#[path = "deflate_fuzzing.rs"]
pub(super) mod fuzzing;

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's side, by the same crate but in one piece for its whole life.
    struct Peer {
        compressor: Compress,
        inflater: Decompress,
    }

    impl Peer {
        fn new() -> Self {
            Self {
                compressor: Compress::new(Compression::best(), false),
                inflater: Decompress::new(false),
            }
        }

        fn deflate(&mut self, plain: &[u8], flush: FlushCompress) -> Vec<u8> {
            compress(&mut self.compressor, plain, flush).unwrap()
        }

        fn inflate(&mut self, wire: &[u8]) -> Vec<u8> {
            let mut plain = Vec::with_capacity(1 << 20);
            let before = self.inflater.total_in();
            self.inflater
                .decompress_vec(wire, &mut plain, FlushDecompress::Sync)
                .unwrap();
            assert_eq!(self.inflater.total_in() - before, wire.len() as u64);
            plain
        }
    }

    /// A layer with spares of its own.
    fn layer() -> Deflate {
        Deflate::new(Arc::default())
    }

    /// Everything that can be inflated now, in pieces of this size.
    fn inflated(deflate: &mut Deflate, piece: usize) -> Result<Vec<u8>, Damaged> {
        let mut plain = Vec::new();
        let mut room = vec![0; piece];
        loop {
            match deflate.inflate(&mut room)? {
                0 => return Ok(plain),
                count => plain.extend_from_slice(&room[..count]),
            }
        }
    }

    /// Octets that do not compress.
    fn noise(octets: usize) -> Vec<u8> {
        let next = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        };
        std::iter::repeat_with({
            let mut state = 1;
            move || next(&mut state).unwrap()
        })
        .take(octets)
        .collect()
    }

    #[test]
    fn every_batch_can_be_inflated_at_once() {
        let (mut deflate, mut peer) = (layer(), Peer::new());
        for (number, batch) in [
            b"* OK\r\n".to_vec(),
            Vec::new(),
            noise(300_000),
            vec![b'x'; 500_000],
            b"* OK\r\n".to_vec(),
        ]
        .iter()
        .cycle()
        .take(20)
        .enumerate()
        {
            let wire = deflate.deflate(batch).unwrap();
            assert_eq!(peer.inflate(&wire), *batch, "batch {number}");
            if number % 3 == 0 {
                deflate.rest();
                assert!(deflate.compressor.is_none());
            }
        }
    }

    #[test]
    fn commands_come_out_however_they_were_cut_and_flushed() {
        for flush in [
            FlushCompress::Sync,
            FlushCompress::Partial,
            FlushCompress::Full,
        ] {
            for piece in [1, 7, 32 * 1024] {
                let (mut deflate, mut peer) = (layer(), Peer::new());
                for round in 0..6 {
                    let command = format!("a{round} FETCH 1:* (UID FLAGS)\r\n").into_bytes();
                    let mut plain = Vec::new();
                    for octet in peer.deflate(&command, flush) {
                        deflate.receive(&[octet]);
                        plain.extend(inflated(&mut deflate, piece).unwrap());
                    }
                    assert_eq!(plain, command, "{flush:?} {piece}");
                    deflate.rest();
                    assert!(!deflate.has_input());
                }
            }
        }
    }

    #[test]
    fn at_rest_only_what_the_client_may_refer_to_is_held() {
        let (mut deflate, mut peer) = (layer(), Peer::new());
        deflate.rest();
        for octets in [10, WINDOW_OCTETS, 100_000] {
            let mut text = noise(octets);
            text.extend_from_slice(b"\r\n");
            // the second time it is all references to the first
            for _ in 0..2 {
                let wire = peer.deflate(&text, FlushCompress::Sync);
                deflate.receive(&wire);
                assert_eq!(inflated(&mut deflate, 5_000).unwrap(), text);
                deflate.rest();
                assert!(deflate.incoming.inflater.is_none());
                assert!(deflate.incoming.history.capacity() <= WINDOW_OCTETS);
                assert_eq!(deflate.incoming.waiting.capacity(), 0);
            }
        }
    }

    #[test]
    fn the_inflater_does_not_rest_within_a_block() {
        let (mut deflate, mut peer) = (layer(), Peer::new());
        let wire = peer.deflate(b"a NOOP\r\nb NOOP\r\n", FlushCompress::Sync);
        let (first, second) = wire.split_at(wire.len() - 3);
        deflate.receive(first);
        let begun = inflated(&mut deflate, 100).unwrap();
        deflate.rest();
        assert!(deflate.incoming.inflater.is_some());
        deflate.receive(second);
        let rest = inflated(&mut deflate, 100).unwrap();
        assert_eq!([begun, rest].concat(), b"a NOOP\r\nb NOOP\r\n");
        deflate.rest();
        assert!(deflate.incoming.inflater.is_none());
    }

    #[test]
    fn a_spare_knows_nothing_of_who_had_it() {
        let spares = Arc::new(Spares::default());
        let secret = noise(20_000);
        let mut text = secret.clone();
        text.extend_from_slice(b"\r\n");
        let mut peer = Peer::new();
        let first = peer.deflate(&text, FlushCompress::Sync);
        let mut deflate = Deflate::new(Arc::clone(&spares));
        deflate.receive(&first);
        assert_eq!(inflated(&mut deflate, 32_768).unwrap(), text);
        let batch = deflate.deflate(&secret).unwrap();
        deflate.rest();
        let count = |spares: &Spares| {
            let inflaters = lock(&spares.inflaters).len();
            (lock(&spares.compressors).len(), inflaters)
        };
        assert_eq!(count(&spares), (1, 1));

        // another client of the same server, which refers to what it has not sent
        let mut other = Deflate::new(Arc::clone(&spares));
        assert_eq!(other.deflate(&secret).unwrap().len(), batch.len());
        other.receive(&peer.deflate(&text, FlushCompress::Sync));
        assert_eq!(inflated(&mut other, 32_768), Err(Damaged));
        assert_eq!(count(&spares), (0, 0));
        drop(other);
        assert_eq!(count(&spares), (1, 1));
        // and the first goes on
        deflate.receive(&peer.deflate(b"a NOOP\r\n", FlushCompress::Sync));
        assert_eq!(inflated(&mut deflate, 32_768).unwrap(), b"a NOOP\r\n");

        let many: Vec<_> = (0..MAX_SPARES + 5)
            .map(|_| {
                let mut deflate = Deflate::new(Arc::clone(&spares));
                deflate.deflate(b"* OK\r\n").unwrap();
                deflate
            })
            .collect();
        drop(many);
        assert_eq!(count(&spares).0, MAX_SPARES);
    }

    #[test]
    fn what_swells_comes_in_pieces() {
        let (mut deflate, mut peer) = (layer(), Peer::new());
        let bomb = peer.deflate(&vec![0; 30_000_000], FlushCompress::Sync);
        assert!(bomb.len() < 100_000);
        deflate.receive(&bomb);
        let mut room = vec![0; WINDOW_OCTETS];
        let mut pieces = 0;
        while deflate.has_input() {
            pieces += usize::from(deflate.inflate(&mut room).unwrap() > 0);
            let held = deflate.incoming.history.capacity() + deflate.incoming.waiting.len();
            assert!(held < 100_000 + 4 * WINDOW_OCTETS);
        }
        assert!(pieces >= 30_000_000 / WINDOW_OCTETS);
    }

    #[test]
    fn the_client_ends_its_compression_in_one_of_several_ways() {
        let ends: [&[FlushCompress]; 3] = [
            &[FlushCompress::Finish],
            &[FlushCompress::Sync],
            &[FlushCompress::Sync, FlushCompress::Finish],
        ];
        for flushes in ends {
            for plain in [&b"b LOGIN anna secret\r\n"[..], b""] {
                let mut peer = Peer::new();
                let mut wire = peer.deflate(b"a UNAUTHENTICATE\r\n", flushes[0]);
                for flush in &flushes[1..] {
                    wire.extend(peer.deflate(b"", *flush));
                }
                let wire = [&wire[..], plain].concat();
                // all at once, and cut anywhere
                for cut in 0..=wire.len() {
                    let mut deflate = layer();
                    let (first, second) = wire.split_at(cut);
                    let (mut heard, mut left) = (Vec::new(), Vec::new());
                    let mut is_over = false;
                    for octets in [first, second] {
                        if is_over {
                            left.extend_from_slice(octets);
                            continue;
                        }
                        deflate.receive(octets);
                        let mut room = [0; 100];
                        loop {
                            let count = deflate.inflate(&mut room).unwrap();
                            heard.extend_from_slice(&room[..count]);
                            if count == 0 {
                                let rest = deflate.take_left();
                                is_over = rest.is_some();
                                left.extend(rest.unwrap_or_default());
                                break;
                            }
                            if heard.ends_with(b"\n") && !deflate.is_finished() {
                                deflate.finish(b"a OK\r\n").unwrap();
                            }
                        }
                    }
                    assert_eq!(heard, b"a UNAUTHENTICATE\r\n", "{flushes:?} {cut}");
                    assert_eq!(left, plain, "{flushes:?} {cut}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_deflate_data_is_an_error() {
        let mut peer = Peer::new();
        let ended = peer.deflate(b"a LOGOUT\r\n", FlushCompress::Finish);
        for (wire, plain) in [
            (&b"a NOOP\r\n"[..], None),
            (&[0xFF; 20], None),
            (&[&ended[..], b"x"].concat(), Some(&b"a LOGOUT\r\n"[..])),
        ] {
            let mut deflate = layer();
            deflate.receive(wire);
            let mut room = [0; 100];
            if let Some(plain) = plain {
                let count = deflate.inflate(&mut room).unwrap();
                assert_eq!(&room[..count], plain);
            }
            assert_eq!(inflated(&mut deflate, 100), Err(Damaged), "{wire:?}");
        }
        // its end alone is no damage: the client is about to hang up
        let mut deflate = layer();
        deflate.receive(&ended);
        assert_eq!(inflated(&mut deflate, 100).unwrap(), b"a LOGOUT\r\n");
    }
}
