//! SASL mechanisms (RFC 4422) as small machines over octets already freed of base64.

mod login;
mod plain;

use super::Credentials;
use std::fmt;

/// Names of the mechanisms, strongest first, as they are announced.
pub const NAMES: &[&str] = &["PLAIN", "LOGIN"];

/// Longest response taken, in octets after decoding: two names and a password, generously.
pub const MAX_RESPONSE_OCTETS: usize = 4096;

/// What a mechanism wants next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge; the client's answer goes into the next step.
    Challenge(Vec<u8>),
    /// The client has said all: check it.
    Verify(Credentials),
    /// The response is not what the mechanism allows; the text is for the client.
    Failure(&'static str),
}

/// One exchange of one mechanism.
pub trait Mechanism: Send + fmt::Debug {
    /// The registered name.
    fn name(&self) -> &'static str;

    /// Takes a response; the first is the initial response, or the answer to the empty challenge that asks for it.
    fn step(&mut self, response: &[u8]) -> Step;

    /// The challenge that is sent when the client gave no initial response.
    fn first_challenge(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Begins an exchange; the name in any case.
pub fn mechanism(name: &str) -> Option<Box<dyn Mechanism>> {
    match name.to_ascii_uppercase().as_str() {
        "PLAIN" => Some(Box::new(plain::Plain)),
        "LOGIN" => Some(Box::<login::Login>::default()),
        _ => None,
    }
}

/// A name or password as text: UTF-8, not empty, no NUL.
fn text(octets: &[u8]) -> Option<String> {
    std::str::from_utf8(octets)
        .ok()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    #[test]
    fn every_announced_name_begins_its_mechanism() {
        for name in NAMES {
            let lower = name.to_ascii_lowercase();
            assert_eq!(mechanism(name).unwrap().name(), *name);
            assert_eq!(mechanism(&lower).unwrap().name(), *name);
        }
        for name in ["", "PLAINX", "SCRAM-SHA-256"] {
            assert!(mechanism(name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_exchange_ends_and_gives_names_that_are_text(responses: [Vec<u8>; 2], which in 0..NAMES.len()) {
            let mut machine = mechanism(NAMES[which]).unwrap();
            for (at, response) in responses.iter().enumerate() {
                match machine.step(response) {
                    Step::Challenge(_) => assert_eq!(at, 0),
                    Step::Failure(text) => {
                        assert!(!text.is_empty());
                        return Ok(());
                    }
                    Step::Verify(found) => {
                        assert!(!found.authcid.is_empty() && !found.authcid.contains('\0'));
                        return Ok(());
                    }
                }
            }
        }
    }
}
