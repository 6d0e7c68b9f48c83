//! The real sessions on real spools; any password that is [`PASSWORD`] opens them.

use restante::auth::{Accepted, Attempt, Authenticator, Denial, Denied, Outcome};
use restante::mailbox::backend::Backend;
use restante::server::Services;
use restante::storage::{self, Volumes};
use restante::store::{self, Store};
use restante::{imap, pop3};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// Lets in whoever knows the password. A user `anna@one` has the spool `one/anna` below a directory.
#[derive(Debug)]
struct Doorman(PathBuf);

impl Authenticator for Doorman {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        let credentials = attempt.credentials;
        let (local, volume) = credentials.authcid.split_once('@').unwrap();
        done(if credentials.password.expose() == PASSWORD.as_bytes() {
            Ok(Accepted {
                user: credentials.authcid.as_str().into(),
                spool: Some(self.0.join(volume).join(local)),
                ..Accepted::default()
            })
        } else {
            Err(Denied {
                reason: Denial::WrongCredentials,
                detail: restante::auth::detail::WRONG_PASSWORD,
                delay: Duration::ZERO,
            })
        });
    }
}

/// Services of both protocols; each directory in `directory` that is named is a volume.
pub fn services(directory: &Path, volumes: &[&str], settings: &storage::Settings) -> Services {
    let backend: Arc<dyn Backend> = Arc::new(Store::new(store::Settings::default()));
    let authenticator: Arc<dyn Authenticator> = Arc::new(Doorman(directory.to_owned()));
    let imap_settings = Arc::new(imap::Settings::default());
    let pop3_settings = Arc::new(pop3::Settings::default());
    let recent_logins = Arc::new(pop3::RecentLogins::default());
    let for_pop3 = (Arc::clone(&backend), Arc::clone(&authenticator));
    Services {
        volumes: Arc::new(Volumes::new(storage::Settings {
            places: volumes.iter().map(|name| directory.join(name)).collect(),
            ..settings.clone()
        })),
        imap: Arc::new(move |peer, host| {
            let services = imap::Services {
                backend: Arc::clone(&backend),
                authenticator: Arc::clone(&authenticator),
                host,
            };
            Box::new(imap::Session::new(
                Arc::clone(&imap_settings),
                services,
                peer,
            ))
        }),
        pop3: Arc::new(move |peer, host| {
            let services = pop3::Services {
                backend: Arc::clone(&for_pop3.0),
                authenticator: Arc::clone(&for_pop3.1),
                host,
                recent_logins: Arc::clone(&recent_logins),
            };
            Box::new(pop3::Session::new(
                Arc::clone(&pop3_settings),
                services,
                peer,
            ))
        }),
    }
}
