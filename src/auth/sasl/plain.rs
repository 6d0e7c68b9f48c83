//! PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd` in one message.

use super::{MAX_RESPONSE_OCTETS, Mechanism, Step, text};
use crate::auth::Credentials;
use crate::auth::secret::Secret;

/// PLAIN has no state: one message says all.
#[derive(Debug)]
pub(super) struct Plain;

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn step(&mut self, response: &[u8]) -> Step {
        parse(response).map_or(Step::Failure("invalid PLAIN response"), Step::Verify)
    }
}

/// Takes the message apart. A password may hold any octets but NUL (RFC 4616 §2).
fn parse(response: &[u8]) -> Option<Credentials> {
    if response.len() > MAX_RESPONSE_OCTETS {
        return None;
    }
    let mut parts = response.split(|octet| *octet == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || password.is_empty() {
        return None;
    }
    Some(Credentials {
        authcid: text(authcid)?,
        authzid: if authzid.is_empty() {
            String::new()
        } else {
            text(authzid)?
        },
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_three_parts() {
        for (response, expected) in [
            (&b"\0anna\0secret"[..], Some(("", "anna", &b"secret"[..]))),
            (b"bruno\0anna\0s", Some(("bruno", "anna", b"s"))),
            (b"\0anna\0p\xe4ss \"\\", Some(("", "anna", b"p\xe4ss \"\\"))),
            (b"", None),
            (b"anna\0secret", None),
            (b"\0\0secret", None),
            (b"\0anna\0", None),
            (b"\0anna\0a\0b", None),
            (b"\0\xff\0a", None),
            (b"\xff\0anna\0a", None),
        ] {
            let parsed = parse(response);
            let parts = parsed
                .as_ref()
                .map(|c| (&*c.authzid, &*c.authcid, c.password.expose()));
            assert_eq!(parts, expected, "{}", response.escape_ascii());
        }
        assert!(parse(&[b"\0a\0", &[b'x'; MAX_RESPONSE_OCTETS][..]].concat()).is_none());
    }
}
