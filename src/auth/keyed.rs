//! Digests under a key that exists in this process only, so that nothing remembered can be turned back into a password.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Digest of an account's name or of a password, for the policy's tables.
pub(super) type Digest = [u8; 16];

/// The key, made anew at each start.
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// A random key; none if the system gives no randomness.
    pub(super) fn random() -> Option<Self> {
        let mut octets = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(octets.as_mut()).ok()?;
        Hmac::new_from_slice(octets.as_ref()).ok().map(Self)
    }

    /// HMAC-SHA-256 over parts, each with its length before it.
    pub(super) fn full(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The same, cut to what a table needs.
    pub(super) fn short(&self, parts: &[&[u8]]) -> Digest {
        let mut short = Digest::default();
        for (to, from) in short.iter_mut().zip(self.full(parts)) {
            *to = from;
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together_and_keys_differ() {
        let key = Key::random().unwrap();
        assert_eq!(key.full(&[b"ab", b"c"]), key.full(&[b"ab", b"c"]));
        assert_ne!(key.full(&[b"ab", b"c"]), key.full(&[b"a", b"bc"]));
        assert_ne!(key.full(&[b"ab"]), key.full(&[b"ab", b""]));
        assert_ne!(key.short(&[b"ab"]), Key::random().unwrap().short(&[b"ab"]));
    }
}
