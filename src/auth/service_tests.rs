//! The service over a store whose answers the test decides.

use super::*;
use crate::auth::Credentials;
use crate::auth::credential::Credential;
use crate::auth::database::{Database, Result as StoreResult};
use crate::auth::secret::Secret;
use std::path::Path;
use std::sync::mpsc;

const CHEAP: Costs = Costs {
    memory_kib: 8,
    iterations: 1,
    parallelism: 1,
};

fn settings() -> Settings {
    Settings {
        costs: CHEAP,
        ..Settings::default()
    }
}

fn attempt(user: &str, password: &str) -> Attempt {
    Attempt {
        credentials: Credentials {
            authcid: user.to_owned(),
            authzid: String::new(),
            password: Secret::new(password),
        },
        mechanism: "PLAIN",
        protocol: "imap",
        connection: 1,
        remote: "192.0.2.1:1234".parse().unwrap(),
        tls: None,
    }
}

/// Begins an attempt and waits for its outcome.
fn log_in(service: &Service, attempt: Attempt) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    service.begin(
        attempt,
        Box::new(move |outcome| sender.send(outcome).unwrap()),
    );
    receiver.recv_timeout(Duration::from_secs(30)).unwrap()
}

fn reason(outcome: &Outcome) -> Option<Denial> {
    outcome.as_ref().err().map(|denied| denied.reason)
}

fn database() -> (tempfile::TempDir, Arc<Database>) {
    let directory = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(&directory.path().join("credentials.sqlite")).unwrap());
    let hash = Hasher::new(CHEAP)
        .unwrap()
        .hash(&Secret::new(*b"secret"))
        .unwrap();
    database
        .add(
            &UserName::new("anna").unwrap(),
            &hash,
            Some(Path::new("/srv/anna")),
            0,
        )
        .unwrap();
    (directory, database)
}

#[test]
fn right_wrong_unknown_disabled_and_other_identity() {
    let (_directory, database) = database();
    let service = Service::new(Box::new(Arc::clone(&database)), settings()).unwrap();
    let accepted = log_in(&service, attempt("Anna", "secret")).unwrap();
    assert_eq!(
        (&*accepted.user, accepted.spool.as_deref()),
        ("anna", Some(Path::new("/srv/anna")))
    );
    assert_eq!(
        reason(&log_in(&service, attempt("anna", "wrong"))),
        Some(Denial::WrongCredentials)
    );
    assert_eq!(
        reason(&log_in(&service, attempt("nobody", "secret"))),
        Some(Denial::WrongCredentials)
    );
    assert_eq!(
        reason(&log_in(&service, attempt("../etc", "secret"))),
        Some(Denial::WrongCredentials)
    );
    let mut other = attempt("anna", "secret");
    other.credentials.authzid = "bruno".to_owned();
    assert_eq!(
        reason(&log_in(&service, other)),
        Some(Denial::NotAuthorized)
    );
    let mut same = attempt("anna", "secret");
    same.credentials.authzid = "ANNA".to_owned();
    assert!(log_in(&service, same).is_ok());
    database
        .set_enabled(&UserName::new("anna").unwrap(), false, 1)
        .unwrap();
    let fresh = Service::new(Box::new(database), settings()).unwrap();
    assert_eq!(
        reason(&log_in(&fresh, attempt("anna", "secret"))),
        Some(Denial::WrongCredentials)
    );
}

#[test]
fn a_changed_password_counts_and_is_told() {
    let (_directory, database) = database();
    let service = Service::new(Box::new(Arc::clone(&database)), settings()).unwrap();
    let (sender, changed) = mpsc::channel();
    service.on_change(move |user| drop(sender.send(user.to_owned())));
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    let hash = Hasher::new(CHEAP)
        .unwrap()
        .hash(&Secret::new(*b"new"))
        .unwrap();
    database
        .set_password(&UserName::new("anna").unwrap(), &hash, 1)
        .unwrap();
    assert_eq!(
        changed.recv_timeout(Duration::from_secs(30)).unwrap(),
        "anna"
    );
    assert_eq!(
        reason(&log_in(&service, attempt("anna", "secret"))),
        Some(Denial::WrongCredentials)
    );
    assert!(log_in(&service, attempt("anna", "new")).is_ok());
}

/// A store that counts look-ups and answers as it is told.
#[derive(Debug)]
struct Told {
    finds: std::sync::atomic::AtomicUsize,
    inner: Option<Arc<Database>>,
    /// Held by the test to make `find` hang.
    gate: Arc<Mutex<()>>,
}

impl CredentialStore for Told {
    fn version(&self) -> StoreResult<i64> {
        Ok(1)
    }
    fn find(&self, user: &UserName) -> StoreResult<Option<Credential>> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        drop(lock(&self.gate));
        match &self.inner {
            Some(inner) => inner.find(user),
            None => Err(StoreError::Database {
                path: "gone".into(),
                source: rusqlite::Error::InvalidQuery,
            }),
        }
    }
    fn list(&self) -> StoreResult<Vec<Credential>> {
        Ok(Vec::new())
    }
    fn add(&self, user: &UserName, _: &str, _: Option<&Path>, _: i64) -> StoreResult<()> {
        Err(StoreError::Exists(user.clone()))
    }
    fn set_password(&self, user: &UserName, _: &str, _: i64) -> StoreResult<()> {
        Err(StoreError::Unknown(user.clone()))
    }
    fn set_enabled(&self, user: &UserName, _: bool, _: i64) -> StoreResult<()> {
        Err(StoreError::Unknown(user.clone()))
    }
    fn remove(&self, user: &UserName) -> StoreResult<()> {
        Err(StoreError::Unknown(user.clone()))
    }
    fn note_logins(&self, _: &[(UserName, i64)]) -> StoreResult<()> {
        Ok(())
    }
}

fn told(inner: Option<Arc<Database>>) -> Arc<Told> {
    Arc::new(Told {
        finds: 0.into(),
        inner,
        gate: Arc::default(),
    })
}

#[test]
fn a_success_is_remembered_and_a_failure_is_not() {
    let (_directory, database) = database();
    let store = told(Some(database));
    let service = Service::new(Box::new(Arc::clone(&store)), settings()).unwrap();
    for _ in 0..10 {
        assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    }
    assert_eq!(store.finds.load(Ordering::Relaxed), 1);
    for _ in 0..3 {
        assert_eq!(
            reason(&log_in(&service, attempt("anna", "wrong"))),
            Some(Denial::WrongCredentials)
        );
    }
    assert_eq!(store.finds.load(Ordering::Relaxed), 4);
}

#[test]
fn trouble_of_the_store_is_not_a_wrong_password() {
    let service = Service::new(Box::new(told(None)), settings()).unwrap();
    assert_eq!(
        reason(&log_in(&service, attempt("anna", "secret"))),
        Some(Denial::Unavailable)
    );
}

#[test]
fn a_damaged_hash_is_not_a_wrong_password() {
    let (_directory, database) = database();
    database
        .set_password(&UserName::new("anna").unwrap(), "damaged", 1)
        .unwrap();
    let service = Service::new(Box::new(database), settings()).unwrap();
    assert_eq!(
        reason(&log_in(&service, attempt("anna", "secret"))),
        Some(Denial::Unavailable)
    );
}

#[test]
fn a_hanging_store_is_answered_for_and_a_full_queue_at_once() {
    let (_directory, database) = database();
    let store = told(Some(database));
    let few = Settings {
        threads: 1,
        queue: 1,
        deadline: Duration::from_millis(300),
        ..settings()
    };
    let service = Service::new(Box::new(Arc::clone(&store)), few).unwrap();
    let gate = Arc::clone(&store.gate);
    let hang = lock(&gate);
    let (sender, outcomes) = mpsc::channel();
    for _ in 0..4 {
        let sender = sender.clone();
        service.begin(
            attempt("anna", "secret"),
            Box::new(move |outcome| drop(sender.send(reason(&outcome)))),
        );
    }
    for _ in 0..4 {
        assert_eq!(
            outcomes.recv_timeout(Duration::from_secs(30)).unwrap(),
            Some(Denial::Unavailable)
        );
    }
    drop(hang);
    assert!(
        log_in(&service, attempt("anna", "secret")).is_ok(),
        "it recovers by itself"
    );
}
