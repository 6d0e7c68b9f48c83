//! Object identifiers (RFC 8474 §7): `objectid = 1*255(ALPHA / DIGIT / "_" / "-")`

use super::base64;
use sha2::{Digest, Sha256};

/// Octets of the hash that are used: with 120 bits nobody finds two names for one id.
const HASH_OCTETS: usize = 15;

/// An identifier of an object that has this name among those of its kind: the same for the same name, everywhere and for ever.
pub(crate) fn of(kind: char, name: &[u8]) -> String {
    let hash = Sha256::digest(name);
    let text = base64::encode(hash.get(..HASH_OCTETS).unwrap_or_default());
    let legal = text.chars().map(|c| match c {
        '+' => '-',
        '/' => '_',
        other => other,
    });
    std::iter::once(kind).chain(legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_legal_and_stays() {
        assert_eq!(of('E', b""), "E47DEQpj8HBSa-_TImW-5");
        for n in 0..1000_u32 {
            let id = of('T', &n.to_be_bytes());
            assert_eq!(id.len(), 21);
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            );
        }
    }
}
