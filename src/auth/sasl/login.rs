//! LOGIN: name and password in two messages. Never standardised, and what Outlook asks for.

use super::{MAX_RESPONSE_OCTETS, Mechanism, Step, text};
use crate::auth::Credentials;
use crate::auth::secret::Secret;

/// What has been said so far.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// The user name, once it is known.
    user: Option<String>,
}

impl Mechanism for Login {
    fn name(&self) -> &'static str {
        "LOGIN"
    }

    fn first_challenge(&self) -> Vec<u8> {
        b"Username:".to_vec()
    }

    fn step(&mut self, response: &[u8]) -> Step {
        if response.len() > MAX_RESPONSE_OCTETS {
            return Step::Failure("invalid LOGIN response");
        }
        match self.user.take() {
            None => match text(response) {
                Some(user) => {
                    self.user = Some(user);
                    Step::Challenge(b"Password:".to_vec())
                }
                None => Step::Failure("invalid user name"),
            },
            Some(_) if response.is_empty() || response.contains(&0) => {
                Step::Failure("invalid password")
            }
            Some(authcid) => Step::Verify(Credentials {
                authcid,
                authzid: String::new(),
                password: Secret::new(response),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_name_and_password() {
        let mut login = Login::default();
        assert_eq!(login.first_challenge(), b"Username:");
        assert!(matches!(login.step(b"anna"), Step::Challenge(text) if text == b"Password:"));
        let Step::Verify(credentials) = login.step(b"secret") else {
            panic!("not verified")
        };
        assert_eq!(
            (credentials.authcid.as_str(), credentials.password.expose()),
            ("anna", &b"secret"[..])
        );
    }

    #[test]
    fn refuses_nothing_and_nul() {
        assert!(matches!(Login::default().step(b""), Step::Failure(_)));
        assert!(matches!(Login::default().step(b"an\0na"), Step::Failure(_)));
        let mut login = Login::default();
        assert!(matches!(login.step(b"anna"), Step::Challenge(_)));
        assert!(matches!(login.step(b""), Step::Failure(_)));
    }
}
