//! Hashing and checking passwords with Argon2id (RFC 9106).

use super::secret::Secret;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization as _;

/// Memory of one hash, in KiB: second recommended option of RFC 9106 §4.
pub const MEMORY_KIB: u32 = 64 * 1024;

/// Passes over the memory: second recommended option of RFC 9106 §4.
pub const ITERATIONS: u32 = 3;

/// Lanes; one thread computes them all. RFC 9106 §4 has 4; with one thread fewer lanes cost an attacker more.
pub const PARALLELISM: u32 = 1;

/// Costs above which a stored hash is not checked, in KiB and passes: what came into the database from elsewhere must not take all memory.
const MOST: (u32, u32) = (1024 * 1024, 64);

/// Costs of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// In KiB; at least eight times the lanes.
    pub memory_kib: u32,
    /// At least 1.
    pub iterations: u32,
    /// Lanes, at least 1.
    pub parallelism: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            memory_kib: MEMORY_KIB,
            iterations: ITERATIONS,
            parallelism: PARALLELISM,
        }
    }
}

/// Why a password could not be hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The costs are out of Argon2's range.
    #[error(
        "Argon2 costs are out of range (memory at least 8 KiB for each lane, iterations at least 1)"
    )]
    Costs,
    /// The stored hash is not one that we can check.
    #[error("the stored password hash is damaged or of an unknown scheme; set the password anew")]
    Hash,
}

/// Brings a password to the one form that is hashed: normal form C, other blanks as U+0020 (RFC 8265 §4.2.2). What is not UTF-8 stays.
pub fn prepare(password: &Secret) -> Secret {
    match std::str::from_utf8(password.expose()) {
        Ok(text) if !text.is_ascii() => {
            let blank = |c: char| {
                if c.is_whitespace() && !c.is_control() {
                    ' '
                } else {
                    c
                }
            };
            Secret::new(text.chars().map(blank).nfc().collect::<String>())
        }
        Ok(_) | Err(_) => password.clone(),
    }
}

/// Hashes and checks with given costs.
#[derive(Debug, Clone)]
pub struct Hasher {
    /// Argon2id with the costs for new hashes.
    argon2: Argon2<'static>,
    /// A hash of no password, of equal cost, checked for users who do not exist.
    dummy: String,
    /// Checks made, so that tests can compare the work for known and unknown users.
    #[cfg(test)]
    pub(super) checks: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Hasher {
    /// Checks the costs and makes the dummy hash.
    ///
    /// # Errors
    /// [`PasswordError::Costs`]
    pub fn new(costs: Costs) -> Result<Self, PasswordError> {
        let params = Params::new(costs.memory_kib, costs.iterations, costs.parallelism, None)
            .map_err(|_out_of_range| PasswordError::Costs)?;
        let mut hasher = Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            dummy: String::new(),
            #[cfg(test)]
            checks: std::sync::Arc::default(),
        };
        hasher.dummy = hasher.hash(&Secret::new(*b"nobody has this password"))?;
        Ok(hasher)
    }

    /// A PHC string of a password, with a random salt.
    ///
    /// # Errors
    /// [`PasswordError::Costs`]
    pub fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        let hash = self
            .argon2
            .hash_password(prepare(password).expose())
            .map_err(|_failed| PasswordError::Costs)?;
        Ok(hash.to_string())
    }

    /// True if the password is the one hashed; in constant time for equal costs.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] if the stored hash cannot be used
    pub fn verify(&self, password: &Secret, stored: &str) -> Result<bool, PasswordError> {
        let (hash, _) = parse(stored)?;
        #[cfg(test)]
        self.checks
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match self
            .argon2
            .verify_password(prepare(password).expose(), &hash)
        {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(PasswordError::Hash),
        }
    }

    /// True if a stored hash is not what [`Hasher::hash`] would make today.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let Ok((hash, params)) = parse(stored) else {
            return false;
        };
        let ours = self.argon2.params();
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        hash.algorithm.as_str() != "argon2id" || costs(&params) != costs(ours)
    }

    /// Does the work of a check for a user who does not exist.
    pub fn verify_nobody(&self, password: &Secret) {
        let never = self.verify(password, &self.dummy);
        debug_assert_eq!(never, Ok(false));
    }
}

/// Takes a stored hash apart, if it is one of Argon2's that can be checked here.
fn parse(stored: &str) -> Result<(PasswordHash, Params), PasswordError> {
    let hash = PasswordHash::new(stored).map_err(|_malformed| PasswordError::Hash)?;
    let params = Params::try_from(&hash).map_err(|_malformed| PasswordError::Hash)?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).is_ok();
    let bearable = params.m_cost() <= MOST.0 && params.t_cost() <= MOST.1;
    if algorithm && bearable && hash.hash.is_some() {
        Ok((hash, params))
    } else {
        Err(PasswordError::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Costs = Costs {
        memory_kib: 8,
        iterations: 1,
        parallelism: 1,
    };

    #[test]
    fn a_password_matches_its_hash_only() {
        let hasher = Hasher::new(CHEAP).unwrap();
        for password in [
            &b"secret"[..],
            b"p\xe4ss",
            "pässwörd \u{1f600}".as_bytes(),
            b" ",
            &[0xff; 300],
        ] {
            let hash = hasher.hash(&Secret::new(password)).unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
            assert_eq!(hasher.verify(&Secret::new(password), &hash), Ok(true));
            assert_eq!(
                hasher.verify(&Secret::new([password, b"x"].concat()), &hash),
                Ok(false)
            );
            assert_eq!(hasher.verify(&Secret::new(*b""), &hash), Ok(false));
        }
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let hasher = Hasher::new(CHEAP).unwrap();
        let hash = hasher.hash(&Secret::new("p\u{e4}ss w".as_bytes())).unwrap();
        assert_eq!(
            hasher.verify(&Secret::new("pa\u{308}ss\u{a0}w".as_bytes()), &hash),
            Ok(true)
        );
        assert_eq!(
            hasher.verify(&Secret::new("pass w".as_bytes()), &hash),
            Ok(false)
        );
    }

    #[test]
    fn hashes_of_other_costs_are_checked_and_others_refused() {
        let other = Hasher::new(Costs {
            memory_kib: 32,
            iterations: 2,
            parallelism: 2,
        })
        .unwrap();
        let hasher = Hasher::new(CHEAP).unwrap();
        let hash = other.hash(&Secret::new(*b"secret")).unwrap();
        assert_eq!(hasher.verify(&Secret::new(*b"secret"), &hash), Ok(true));
        assert!(hasher.is_outdated(&hash) && !other.is_outdated(&hash));
        for damaged in [
            "",
            "$",
            "secret",
            "$argon2id$v=19$m=8,t=1,p=1$",
            "$6$salt$hash",
            "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=8,t=1000,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2x$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            hash.get(..20).unwrap(),
        ] {
            assert_eq!(
                hasher.verify(&Secret::new(*b"secret"), damaged),
                Err(PasswordError::Hash),
                "{damaged}"
            );
        }
        assert!(
            Hasher::new(Costs {
                memory_kib: 1,
                iterations: 1,
                parallelism: 1
            })
            .is_err()
        );
    }
}
