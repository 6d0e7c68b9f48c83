//! The service over the real database, and over a store whose answers the test decides.

use super::*;
use crate::auth::Credentials;
use crate::auth::database::{Database, Result as StoreResult, Version};
use crate::auth::secret::Secret;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

const CHEAP: Costs = Costs {
    memory_kib: 8,
    iterations: 1,
    parallelism: 1,
};

const LONG: Duration = Duration::from_secs(30);

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

/// Begins an attempt; its outcome comes through the channel.
fn begin(service: &Service, attempt: Attempt) -> mpsc::Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    service.begin(
        attempt,
        Box::new(move |outcome| sender.send(outcome).unwrap()),
    );
    receiver
}

fn log_in(service: &Service, attempt: Attempt) -> Outcome {
    begin(service, attempt).recv_timeout(LONG).unwrap()
}

/// What the client may know, and what the log says; `None` is a success.
fn refusal(outcome: &Outcome) -> Option<(Denial, &'static str)> {
    let denied = outcome.as_ref().err()?;
    Some((denied.reason, denied.detail))
}

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

fn hash(password: &[u8]) -> String {
    let hasher = Hasher::new(CHEAP).unwrap();
    hasher.hash(&Secret::new(password)).unwrap()
}

/// A database with anna, password `secret`.
fn database() -> (tempfile::TempDir, Arc<Database>) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("credentials.sqlite")).unwrap();
    let spool = Path::new("/srv/anna");
    database
        .add(&name("anna"), &hash(b"secret"), Some(spool), 0)
        .unwrap();
    (directory, Arc::new(database))
}

#[test]
fn right_wrong_unknown_disabled_and_other_identity() {
    let (_directory, database) = database();
    database
        .add(&name("off"), &hash(b"secret"), None, 0)
        .unwrap();
    database.set_enabled(&name("off"), false, 1).unwrap();
    let service = Service::new(database, settings()).unwrap();
    let accepted = log_in(&service, attempt("Anna", "secret")).unwrap();
    assert_eq!(
        (&*accepted.user, accepted.spool.as_deref()),
        ("anna", Some(Path::new("/srv/anna")))
    );
    for (user, password, detail) in [
        ("anna", "wrong", detail::WRONG_PASSWORD),
        ("nobody", "secret", detail::UNKNOWN_USER),
        ("../etc", "secret", detail::UNKNOWN_USER),
        ("off", "secret", detail::DISABLED),
        ("off", "wrong", detail::DISABLED),
    ] {
        let outcome = log_in(&service, attempt(user, password));
        assert_eq!(
            refusal(&outcome),
            Some((Denial::WrongCredentials, detail)),
            "{user}"
        );
    }
    let on_behalf = |authzid: &str| {
        let mut attempt = attempt("anna", "secret");
        attempt.credentials.authzid = authzid.to_owned();
        log_in(&service, attempt)
    };
    assert_eq!(
        refusal(&on_behalf("off")),
        Some((Denial::NotAuthorized, detail::NOT_AUTHORIZED))
    );
    assert!(on_behalf("ANNA").is_ok());
}

#[test]
fn every_refusal_costs_one_check() {
    let (_directory, database) = database();
    database
        .add(&name("off"), &hash(b"secret"), None, 0)
        .unwrap();
    database.set_enabled(&name("off"), false, 1).unwrap();
    let service = Service::new(database, settings()).unwrap();
    let checks = Arc::clone(&service.shared.hasher.checks);
    for (user, password) in [
        ("anna", "wrong"),
        ("nobody", "wrong"),
        ("off", "secret"),
        ("off", "wrong"),
        ("../etc", "wrong"),
        ("", ""),
    ] {
        let before = checks.load(Ordering::Relaxed);
        assert!(log_in(&service, attempt(user, password)).is_err());
        assert_eq!(checks.load(Ordering::Relaxed) - before, 1, "{user}");
    }
}

#[test]
fn a_change_counts_and_is_told() {
    let (_directory, database) = database();
    database
        .add(&name("bruno"), &hash(b"secret"), None, 0)
        .unwrap();
    let service = Service::new(Arc::clone(&database) as _, settings()).unwrap();
    let (sender, changed) = mpsc::channel();
    service.on_change(move |user| sender.send(user.to_owned()).unwrap());
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    // has not logged in: nobody wants to know
    database
        .set_password(&name("bruno"), &hash(b"new"), 1)
        .unwrap();
    database
        .set_password(&name("anna"), &hash(b"new"), 1)
        .unwrap();
    assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    assert!(log_in(&service, attempt("anna", "secret")).is_err());
    assert!(log_in(&service, attempt("anna", "new")).is_ok());
    database.set_enabled(&name("anna"), false, 2).unwrap();
    assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    assert!(log_in(&service, attempt("anna", "new")).is_err());
    database.set_enabled(&name("anna"), true, 3).unwrap();
    assert!(log_in(&service, attempt("anna", "new")).is_ok());
    database.remove(&name("anna")).unwrap();
    assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    assert!(log_in(&service, attempt("anna", "new")).is_err());
}

#[test]
fn a_password_hashed_with_other_costs_is_hashed_anew() {
    let (_directory, database) = database();
    let costs = Costs {
        iterations: 2,
        ..CHEAP
    };
    let settings = Settings {
        costs,
        ..settings()
    };
    let service = Service::new(Arc::clone(&database) as _, settings).unwrap();
    let before = database.find(&name("anna")).unwrap().unwrap();
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    drop(service);
    let started = clock::now();
    let after = loop {
        let record = database.find(&name("anna")).unwrap().unwrap();
        if record.password_hash != before.password_hash {
            break record;
        }
        assert!(clock::now() - started < LONG, "it was not");
        std::thread::yield_now();
    };
    assert!(
        after
            .password_hash
            .starts_with("$argon2id$v=19$m=8,t=2,p=1$")
    );
    assert_eq!(after.generation, before.generation, "no change to be told");
    let hasher = Hasher::new(CHEAP).unwrap();
    let secret = Secret::new(*b"secret");
    assert_eq!(hasher.verify(&secret, &after.password_hash), Ok(true));
}

/// A store that counts look-ups and answers as it is told.
#[derive(Debug)]
struct Told {
    inner: Arc<Database>,
    finds: AtomicUsize,
    broken: AtomicBool,
    /// Held by the test to make look-ups hang, after they have read.
    gate: Mutex<()>,
}

fn told(inner: &Arc<Database>) -> Arc<Told> {
    Arc::new(Told {
        inner: Arc::clone(inner),
        finds: 0.into(),
        broken: false.into(),
        gate: Mutex::default(),
    })
}

impl CredentialStore for Told {
    fn version(&self) -> StoreResult<Version> {
        self.inner.version()
    }
    fn changed_since(&self, generation: i64) -> StoreResult<Vec<UserName>> {
        self.inner.changed_since(generation)
    }
    fn find(&self, user: &UserName) -> StoreResult<Option<Credential>> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        let found = self.inner.find(user);
        drop(lock(&self.gate));
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Database {
                path: "gone".into(),
                source: rusqlite::Error::InvalidQuery,
            });
        }
        found
    }
    fn list(&self) -> StoreResult<Vec<Credential>> {
        self.inner.list()
    }
    fn add(&self, user: &UserName, hash: &str, spool: Option<&Path>, now: i64) -> StoreResult<()> {
        self.inner.add(user, hash, spool, now)
    }
    fn set_password(&self, user: &UserName, hash: &str, now: i64) -> StoreResult<()> {
        self.inner.set_password(user, hash, now)
    }
    fn replace_hash(&self, user: &UserName, old: &str, new: &str) -> StoreResult<()> {
        self.inner.replace_hash(user, old, new)
    }
    fn set_enabled(&self, user: &UserName, enabled: bool, now: i64) -> StoreResult<()> {
        self.inner.set_enabled(user, enabled, now)
    }
    fn switch_capabilities(
        &self,
        user: &UserName,
        off: &BTreeSet<String>,
        on: &BTreeSet<String>,
        now: i64,
    ) -> StoreResult<()> {
        self.inner.switch_capabilities(user, off, on, now)
    }
    fn remove(&self, user: &UserName) -> StoreResult<()> {
        self.inner.remove(user)
    }
    fn note_logins(&self, logins: &[(UserName, i64)]) -> StoreResult<()> {
        self.inner.note_logins(logins)
    }
}

#[test]
fn a_success_is_remembered_for_all_that_it_used_and_a_failure_is_not() {
    let (_directory, database) = database();
    let service = Service::new(database, settings()).unwrap();
    let checks = Arc::clone(&service.shared.hasher.checks);
    let checked = || checks.load(Ordering::Relaxed);
    let begun = checked();
    for _ in 0..10 {
        assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    }
    assert_eq!(checked(), begun + 1);
    let mut other_protocol = attempt("anna", "secret");
    other_protocol.protocol = "pop3";
    assert!(log_in(&service, other_protocol).is_ok());
    assert_eq!(checked(), begun + 2);
    for _ in 0..3 {
        assert!(log_in(&service, attempt("anna", "wrong")).is_err());
    }
    assert_eq!(checked(), begun + 5);
}

#[test]
fn several_connections_opened_at_once_cost_one_check() {
    let (_directory, database) = database();
    let one_thread = Settings {
        threads: 1,
        ..settings()
    };
    let service = Service::new(database, one_thread).unwrap();
    let checks = Arc::clone(&service.shared.hasher.checks);
    let begun = checks.load(Ordering::Relaxed);
    let outcomes: Vec<_> = (0..20)
        .map(|_| begin(&service, attempt("anna", "secret")))
        .collect();
    for outcome in outcomes {
        assert!(outcome.recv_timeout(LONG).unwrap().is_ok());
    }
    assert_eq!(checks.load(Ordering::Relaxed) - begun, 1);
}

#[test]
fn guessing_learns_nothing_from_what_is_remembered() {
    let (_directory, database) = database();
    let hour = Duration::from_secs(3600);
    let policy = PolicySettings {
        first_delay: hour,
        max_delay: hour,
    };
    let slow = Settings {
        policy,
        ..settings()
    };
    let service = Service::new(database, slow).unwrap();
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    let from_elsewhere = |password: &str| {
        let mut attempt = attempt("anna", password);
        attempt.remote = "198.51.100.1:1234".parse().unwrap();
        log_in(&service, attempt)
    };
    assert!(!from_elsewhere("wrong").unwrap_err().delay.is_zero());
    assert_eq!(
        refusal(&from_elsewhere("secret")),
        Some((Denial::Unavailable, detail::THROTTLED))
    );
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
}

#[test]
fn trouble_of_the_store_is_not_a_wrong_password() {
    let (_directory, database) = database();
    database
        .add(&name("bruno"), &hash(b"secret"), None, 0)
        .unwrap();
    database.add(&name("damaged"), "$1$x", None, 0).unwrap();
    let store = told(&database);
    let service = Service::new(Arc::clone(&store) as _, settings()).unwrap();
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    assert_eq!(
        refusal(&log_in(&service, attempt("damaged", "secret"))),
        Some((Denial::Unavailable, detail::HASH_UNUSABLE))
    );
    store.broken.store(true, Ordering::Relaxed);
    for user in ["bruno", "nobody"] {
        assert_eq!(
            refusal(&log_in(&service, attempt(user, "secret"))),
            Some((Denial::Unavailable, detail::STORE_UNAVAILABLE))
        );
    }
    assert!(
        log_in(&service, attempt("anna", "secret")).is_ok(),
        "remembered"
    );
    store.broken.store(false, Ordering::Relaxed);
    assert!(log_in(&service, attempt("bruno", "secret")).is_ok());
}

#[test]
fn a_change_while_the_old_record_is_decided_is_not_missed() {
    let (_directory, database) = database();
    let store = told(&database);
    let service = Service::new(Arc::clone(&store) as _, settings()).unwrap();
    let (sender, changed) = mpsc::channel();
    service.on_change(move |user| sender.send(user.to_owned()).unwrap());
    let gate = lock(&store.gate);
    let outcome = begin(&service, attempt("anna", "secret"));
    while store.finds.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    database.set_enabled(&name("anna"), false, 1).unwrap();
    drop(gate);
    // it may have read the old record or the new one, but the old one does not last
    if outcome.recv_timeout(LONG).unwrap().is_ok() {
        assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    }
    assert!(log_in(&service, attempt("anna", "secret")).is_err());
}

#[test]
fn capabilities_switched_off_count_from_the_next_login() {
    let (_directory, database) = database();
    let service = Service::new(Arc::clone(&database) as _, settings()).unwrap();
    let (sender, changed) = mpsc::channel();
    service.on_change(move |user| sender.send(user.to_owned()).unwrap());
    let accepted = || log_in(&service, attempt("anna", "secret")).unwrap();
    assert!(accepted().disabled_capabilities.is_empty());
    let (idle, nothing) = (BTreeSet::from(["IDLE".to_owned()]), BTreeSet::new());
    for (off, on, disabled) in [(&idle, &nothing, &idle), (&nothing, &idle, &nothing)] {
        database
            .switch_capabilities(&name("anna"), off, on, 1)
            .unwrap();
        assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
        assert_eq!(*accepted().disabled_capabilities, *disabled);
    }
}

#[test]
fn a_hanging_store_is_answered_for_and_remembered_logins_go_on() {
    let (_directory, database) = database();
    database
        .add(&name("bruno"), &hash(b"secret"), None, 0)
        .unwrap();
    let store = told(&database);
    let impatient = Settings {
        threads: 2,
        deadline: Duration::from_millis(100),
        ..settings()
    };
    let service = Service::new(Arc::clone(&store) as _, impatient).unwrap();
    while log_in(&service, attempt("anna", "secret")).is_err() {}
    let gate = lock(&store.gate);
    let outcomes: Vec<_> = (0..4)
        .map(|_| begin(&service, attempt("bruno", "secret")))
        .collect();
    for outcome in outcomes {
        assert_eq!(
            refusal(&outcome.recv_timeout(LONG).unwrap()),
            Some((Denial::Unavailable, detail::OVERDUE))
        );
    }
    assert!(log_in(&service, attempt("anna", "secret")).is_ok());
    drop(gate);
    while log_in(&service, attempt("bruno", "secret")).is_err() {}
}
