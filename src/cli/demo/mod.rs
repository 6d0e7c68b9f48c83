//! `restante demo`: a house with two accounts, furnished in a moment, and then served by the code of `serve`.
//!
//! All of it lies in one directory: configuration, credential database, certificate, spools. A thread plays the MTA and delivers a message
//! every few seconds through the `maildir` crate, which knows nothing of this server.

mod messages;

use super::args::Demo;
use super::{ExitStatus, Failure, self_signed, serve, settings};
use crate::auth::database::{CredentialStore as _, Database};
use crate::auth::password::Hasher;
use crate::auth::secret::Secret;
use crate::auth::user_name::UserName;
use crate::config::Config;
use crate::config::load;
use crate::mailbox::backend::{Backend as _, Owner};
use crate::server::{Door, Service, TlsMode};
use crate::store::Store;
use jiff::Timestamp;
use maildir::Maildir;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The accounts.
const USERS: [&str; 2] = ["anna", "bruno"];

/// Ports that are tried first: the standard ones and a thousand; protocol, TLS.
const PORTS: [(u16, &str, &str); 4] = [
    (1143, "imap", "starttls"),
    (1993, "imap", "implicit"),
    (1110, "pop3", "starttls"),
    (1995, "pop3", "implicit"),
];

/// Connections that the demo takes: what fits the common limit of 1024 open files.
const CONNECTIONS: usize = 500;

/// Characters of passwords: no two that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters of one password, 5 bits each.
const PASSWORD_CHARACTERS: usize = 16;

/// Serves generated mail until Ctrl-C.
pub(super) fn run(demo: &Demo) -> Result<(), Failure> {
    let directory = Directory::make(demo.dir.as_deref())?;
    let path = directory.path();
    let config = lay_out(path)?;
    let accounts = accounts(&config)?;
    let spools = spools(&config)?;
    for spool in &spools {
        for message in messages::first(&spool.user, Timestamp::now()) {
            deliver(spool, &message)?;
        }
    }
    let mta = Mta::start(spools, Duration::from_secs(demo.interval.max(1)))?;
    let outcome = serve::serve(&config, |doors| show(path, &accounts, doors));
    mta.stop();
    outcome
}

/// The demo's directory.
#[derive(Debug)]
enum Directory {
    /// Named by the user, kept.
    Given(PathBuf),
    /// Made by us, removed at the end.
    Ours(PathBuf),
}

impl Directory {
    fn make(given: Option<&Path>) -> Result<Self, Failure> {
        let path = match given {
            Some(path) => std::path::absolute(path),
            None => Ok(std::env::temp_dir().join(format!("restante-demo-{}", random_text(8)?))),
        };
        let path = path.map_err(|error| Failure::general(format!("--dir: {error}")))?;
        let made = fs::DirBuilder::new()
            .recursive(given.is_some())
            .mode(0o700)
            .create(&path);
        made.map_err(|error| failed("make", &path, &error))?;
        Ok(match given {
            Some(_) => Self::Given(path),
            None => Self::Ours(path),
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Ours(path) => path,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Self::Ours(path) = self
            && let Err(error) = fs::remove_dir_all(&*path)
        {
            tracing::warn!(path = %path.display(), %error, "demo_not_removed");
        }
    }
}

/// Writes certificate and configuration, and reads the latter as `serve` does.
fn lay_out(directory: &Path) -> Result<Config, Failure> {
    let made = self_signed::make(&["localhost", "127.0.0.1"])?;
    let certificate = directory.join("certificate.pem");
    let key = directory.join("key.pem");
    write(&certificate, made.chain.as_bytes())?;
    write(&key, made.key.as_bytes())?;
    let path = directory.join("restante.toml");
    let quoted = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    let mut text = format!(
        "[storage]\nspool = {}\n\n[auth]\ndatabase = {}\n\n[limits]\nconnections = {CONNECTIONS}\n\n\
         [[tls.certificates]]\ncertificate = {}\nkey = {}\n",
        quoted(&directory.join("spool/%{user}/Maildir")),
        quoted(&directory.join("credentials.sqlite")),
        quoted(&certificate),
        quoted(&key),
    );
    for (port, protocol, tls) in PORTS {
        let port = free_port(port)?;
        write!(
            text,
            "\n[[listeners]]\naddress = \"127.0.0.1:{port}\"\nprotocol = \"{protocol}\"\ntls = \"{tls}\"\n"
        )
        .map_err(Failure::general)?;
    }
    write(&path, text.as_bytes())?;
    load::load(&path)
        .map(|loaded| loaded.config)
        .map_err(|error| Failure::new(ExitStatus::Config, error))
}

/// This port, or any other if it is in use.
fn free_port(wanted: u16) -> Result<u16, Failure> {
    TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_in_use| TcpListener::bind(("127.0.0.1", 0)))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::general(format!("no port on 127.0.0.1: {error}")))
}

/// Writes a file that only its owner can read.
fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(octets))
        .map_err(|error| failed("write", path, &error))
}

/// An account and its password.
#[derive(Debug)]
struct Account {
    user: UserName,
    password: String,
}

/// Makes the accounts; those of an earlier run get new passwords.
fn accounts(config: &Config) -> Result<Vec<Account>, Failure> {
    let database = Database::open(&config.auth.database)?;
    let hasher = Hasher::new(settings::auth(config).costs).map_err(Failure::general)?;
    let now = Timestamp::now().as_second();
    let account = |user| {
        let user = UserName::new(user).map_err(Failure::general)?;
        let password = random_text(PASSWORD_CHARACTERS)?;
        let hash = hasher
            .hash(&Secret::new(password.as_bytes()))
            .map_err(Failure::general)?;
        if database.find(&user)?.is_some() {
            database.set_password(&user, &hash, now)?;
        } else {
            database.add(&user, &hash, None, now)?;
        }
        Ok(Account { user, password })
    };
    USERS.into_iter().map(account).collect()
}

/// So many random characters.
fn random_text(characters: usize) -> Result<String, Failure> {
    let mut octets = vec![0; characters];
    getrandom::fill(&mut octets)
        .map_err(|error| Failure::general(format!("no randomness: {error}")))?;
    let character = |octet: &u8| {
        ALPHABET
            .get(usize::from(octet & 31))
            .map(|&c| char::from(c))
    };
    Ok(octets.iter().filter_map(character).collect())
}

/// Makes the spools with the mailboxes of a new account, as a first login would.
fn spools(config: &Config) -> Result<Vec<Owner>, Failure> {
    let store = Store::new(settings::store(config));
    let spool = |user| {
        let owner = store.locate(user, None);
        store
            .open_account(&owner)
            .map(|_account| ())
            .map_err(|error| Failure::general(format!("{}: {error}", owner.spool.display())))?;
        Ok(owner)
    };
    USERS.into_iter().map(spool).collect()
}

/// Delivers a message as an MTA does: into `tmp/`, then into `new/`.
fn deliver(owner: &Owner, message: &[u8]) -> Result<(), Failure> {
    Maildir::from(owner.spool.clone())
        .store_new(message)
        .map(|_id| ())
        .map_err(|error| Failure::general(format!("{}: {error}", owner.spool.display())))
}

/// The thread that delivers.
#[derive(Debug)]
struct Mta {
    /// Dropped to end it.
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Mta {
    fn start(spools: Vec<Owner>, interval: Duration) -> Result<Self, Failure> {
        let (end, ended) = channel::<()>();
        let deliver_all = move || {
            let due = |number| {
                let is_over = ended.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                (!is_over).then_some(number)
            };
            for number in (1..).map_while(due) {
                let Some(spool) = spools.get(number % spools.len().max(1)) else {
                    break;
                };
                let message = messages::next(&spool.user, number, Timestamp::now());
                if let Err(failure) = deliver(spool, &message) {
                    tracing::warn!(user = %spool.user, failure = failure.message, "demo_not_delivered");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("mta".to_owned())
            .spawn(deliver_all)
            .map_err(|error| Failure::general(format!("cannot start a thread: {error}")))?;
        Ok(Self { end, thread })
    }

    fn stop(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::warn!("demo_mta_panicked");
        }
    }
}

/// Prints how to get in.
#[expect(clippy::print_stdout, reason = "this is what the demo is for")]
fn show(directory: &Path, accounts: &[Account], doors: &[Door]) {
    let port = |service, tls| {
        doors
            .iter()
            .find(|door| (door.service, door.tls) == (service, tls))
            .map_or(0, |door| door.address.port())
    };
    let imap = port(Service::Imap, TlsMode::Start);
    let imaps = port(Service::Imap, TlsMode::Implicit);
    let pop3 = port(Service::Pop3, TlsMode::Start);
    let pop3s = port(Service::Pop3, TlsMode::Implicit);
    let certificate = directory.join("certificate.pem");
    let certificate = certificate.display();
    println!("\nrestante serves two accounts on 127.0.0.1; Ctrl-C ends it.\n");
    for Account { user, password } in accounts {
        println!("  user {:8} password {password}", user.as_str());
    }
    println!("\n  IMAP {imap} (STARTTLS), IMAPS {imaps}, POP3 {pop3} (STLS), POP3S {pop3s}");
    println!("  everything lies in {}\n", directory.display());
    let Some(Account { user, password }) = accounts.first() else {
        return;
    };
    let directory = directory.display();
    println!(
        "# which messages are unread, the first message, and all mailboxes
curl --cacert {certificate} -u {user}:{password} 'imaps://localhost:{imaps}/INBOX?UNSEEN'
curl --cacert {certificate} -u {user}:{password} 'imaps://localhost:{imaps}/INBOX;MAILINDEX=1'
curl --cacert {certificate} -u {user}:{password} --ssl-reqd imap://localhost:{imap}/
# the same mail by POP3: the list, and the first message
curl --cacert {certificate} -u {user}:{password} pop3s://localhost:{pop3s}/
curl --cacert {certificate} -u {user}:{password} --ssl-reqd pop3://localhost:{pop3}/1
# read it
mutt -n -F /dev/null -e 'set ssl_ca_certificates_file={certificate} folder={directory}' -f imaps://{user}:{password}@localhost:{imaps}/INBOX
# speak IMAP by hand, and see mail arrive: type the lines after the #
openssl s_client -quiet -crlf -CAfile {certificate} -connect localhost:{imaps}
#   a login {user} {password}
#   b select inbox
#   c idle
"
    );
}

/// An operation on a file that failed.
fn failed(operation: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::general(format!("cannot {operation} {}: {error}", path.display()))
}
