//! For the fuzzer: any responses to any mechanism, any user name, any stored hash must be borne.

use super::password::{Costs, Hasher};
use super::sasl::{self, Step};
use super::user_name::UserName;
use super::{Accepted, Attempt, Authenticator, Denial, Denied, Outcome};
use std::sync::OnceLock;
use std::time::Duration;

/// A mechanism (first octet) gets responses (parted by 0xFF); then the same octets stand for a name and a hash.
///
/// # Panics
/// If something is wrong.
#[expect(clippy::panic, reason = "that is how a fuzz target tells")]
pub(crate) fn sasl(octets: &[u8]) {
    let Some((which, rest)) = octets.split_first() else {
        return;
    };
    let names = sasl::NAMES;
    let name = names.get(usize::from(*which) % names.len());
    let Some(mut mechanism) = name.and_then(|name| sasl::mechanism(name)) else {
        panic!("an announced mechanism does not begin");
    };
    let mut steps = 0;
    for response in rest.split(|octet| *octet == 0xFF) {
        steps += 1;
        match mechanism.step(response) {
            Step::Challenge(_) => assert!(steps < 2, "the exchange does not end"),
            Step::Failure(text) => {
                assert!(!text.is_empty());
                break;
            }
            Step::Verify(found) => {
                assert!(!found.authcid.is_empty() && !found.authcid.contains('\0'));
                assert!(!found.authzid.contains('\0'));
                assert!(!found.password.expose().contains(&0));
                break;
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        text_forms(text);
    }
}

/// A name taken is one part of a path; a hash is checked or refused.
fn text_forms(text: &str) {
    if let Ok(name) = UserName::new(text) {
        assert!(!name.as_str().contains(['/', '\0', '%']) && !name.as_str().contains(".."));
        assert_eq!(UserName::new(name.as_str()).as_ref(), Ok(&name));
    }
    static HASHER: OnceLock<Option<Hasher>> = OnceLock::new();
    let cheap = Costs {
        memory_kib: 8,
        iterations: 1,
        parallelism: 1,
    };
    if let Some(hasher) = HASHER.get_or_init(|| Hasher::new(cheap).ok()) {
        hasher.is_outdated(text);
    }
}

/// Lets in whose password is his name, for the targets of sessions.
#[derive(Debug)]
pub(crate) struct Doorkeeper;

impl Authenticator for Doorkeeper {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let credentials = &attempt.credentials;
        done(
            if credentials.password.expose() == credentials.authcid.as_bytes() {
                Ok(Accepted {
                    user: credentials.authcid.as_str().into(),
                    ..Accepted::default()
                })
            } else {
                Err(Denied {
                    reason: Denial::WrongCredentials,
                    detail: "fuzzing",
                    delay: Duration::ZERO,
                })
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn seeds() {
        for seed in [
            &b""[..],
            b"\0",
            b"\0\0anna\0secret",
            b"\0bruno\0anna\0secret",
            b"\x01anna\xFFsecret",
            b"\x01\xFF\xFF\xFF",
            b"\0$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "\0müller@例え.jp".as_bytes(),
        ] {
            sasl(seed);
        }
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            sasl(&octets);
        }
    }
}
