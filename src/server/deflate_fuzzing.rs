//! Any octets after COMPRESS, and commands that a client compressed, however they are cut.

use super::{Damaged, Deflate, LEVEL, Spares, compress};
use flate2::{Compress, FlushCompress};
use std::sync::Arc;

/// More than this is not looked at: the rest of a stream that swells brings nothing new.
const MAX_PLAIN_OCTETS: usize = 1 << 20;

/// The first octet says how the input is cut, the others are what the client sends; then, compressed as the first octet says, what it means.
///
/// # Panics
/// If the same octets become something else when they are cut, if something that was compressed does not come out as it was, or if
/// more is held than may be.
pub(crate) fn body(octets: &[u8]) {
    let Some((choice, octets)) = octets.split_first() else {
        return;
    };
    let piece = 1 + usize::from(choice >> 3);
    assert_eq!(
        inflated(octets, octets.len(), false),
        inflated(octets, piece, false)
    );
    if let Some(wire) = compressed(octets, piece, *choice) {
        for cut in [wire.len(), piece] {
            let (plain, error) = inflated(&wire, cut, true);
            assert_eq!((plain.as_slice(), error), (octets, None));
        }
    }
}

/// What becomes of octets that come in so many at a time, with rests between or not: what was inflated, and what went wrong.
fn inflated(wire: &[u8], piece: usize, rests: bool) -> (Vec<u8>, Option<Damaged>) {
    let spares = Arc::new(Spares::default());
    let mut deflate = Deflate::new(spares);
    let (mut plain, mut room) = (Vec::new(), vec![0; 1024]);
    for octets in wire.chunks(piece.max(1)) {
        deflate.receive(octets);
        while deflate.has_input() {
            match deflate.inflate(&mut room) {
                Ok(count) => plain.extend(room.iter().take(count)),
                Err(damaged) => return (plain, Some(damaged)),
            }
            if plain.len() > MAX_PLAIN_OCTETS {
                plain.truncate(MAX_PLAIN_OCTETS);
                return (plain, None);
            }
        }
        assert!(deflate.incoming.history.len() <= 2 * super::WINDOW_OCTETS);
        if rests {
            deflate.rest();
        }
    }
    (plain, None)
}

/// What a client sends that flushes every so many octets, in the way that the choice says.
fn compressed(plain: &[u8], piece: usize, choice: u8) -> Option<Vec<u8>> {
    let flush = match choice & 3 {
        0 => FlushCompress::Partial,
        1 => FlushCompress::Full,
        _ => FlushCompress::Sync,
    };
    let mut compressor = Compress::new(LEVEL, false);
    let mut wire = Vec::new();
    for octets in plain.chunks(piece) {
        wire.extend(compress(&mut compressor, octets, flush).ok()?);
    }
    Some(wire)
}
