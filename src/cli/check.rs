//! `restante config check`: whether what is configured fits what is on disk.
//!
//! The steps are those of `serve`, in its order: ports first, then, as root, the user of `[process]`, then everything that this user needs.
//! So a right that the server will lack is found here. Nothing is made or changed. A path that does not answer is named, and the rest looked at.

use super::look::Patience;
use super::{ExitStatus, Failure, print, settings, with_causes};
use crate::auth::credential::Credential;
use crate::auth::database::{CredentialStore as _, Database};
use crate::config::load::Loaded;
use crate::config::{Config, TlsMode};
use crate::mailbox::backend::Backend as _;
use crate::server::{self, CertificateFiles, Tls, TlsSettings};
use crate::store::Store;
use crate::telemetry;
use jiff::Timestamp;
use rustix::fs::Access;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Accounts with the same trouble that are named; of the others only the number is told.
const NAMED: usize = 5;

/// Spools that do not answer, after which no more are looked at: each costs the time of a look.
const MAX_HUNG: usize = 3;

/// Days before the end of a certificate when that is told.
const DAYS_BEFORE_END: i64 = 14;

/// What was looked at.
#[derive(Debug, Default)]
struct Findings {
    /// As it should be.
    good: Vec<String>,
    /// Good enough to serve, but worth a look.
    notes: Vec<String>,
    /// Not so, with what to do.
    bad: Vec<String>,
}

impl Findings {
    /// Notes one check: what was looked at, and what is wrong with it.
    fn note(&mut self, what: &str, problem: Option<String>) {
        match problem {
            None => self.good.push(what.to_owned()),
            Some(problem) => self.bad.push(format!("{what}: {problem}")),
        }
    }
}

/// Looks at everything that the configuration names, and prints what it finds.
pub(super) fn run(loaded: &Loaded) -> Result<(), Failure> {
    let findings = look(&loaded.config, Patience::USUAL);
    let mut lines = Vec::new();
    for (mark, texts) in [
        ("ok    ", &findings.good),
        ("NOTE  ", &findings.notes),
        ("WRONG ", &findings.bad),
    ] {
        lines.extend(texts.iter().map(|text| format!("{mark} {text}")));
    }
    print(&lines)?;
    match findings.bad.len() {
        0 => Ok(()),
        wrong => Err(Failure::new(
            ExitStatus::Config,
            format!(
                "{}: {wrong} of {} checks failed",
                loaded.path.display(),
                wrong + findings.notes.len() + findings.good.len()
            ),
        )),
    }
}

/// Looks at everything.
fn look(config: &Config, patience: Patience) -> Findings {
    let mut findings = Findings::default();
    values(config, &mut findings);
    listeners(config, &mut findings);
    become_user(config, &mut findings);
    certificates(config, patience, &mut findings);
    spool_root(config, patience, &mut findings);
    let accounts = database(config, patience, &mut findings);
    index(config, patience, &mut findings);
    spools(config, &accounts, patience, spool, &mut findings);
    findings
}

/// Values that only the layer they are for can read.
fn values(config: &Config, findings: &mut Findings) {
    let form = settings::log_format(config);
    let level = telemetry::subscriber(form, &config.log.level, io::sink).err();
    let level = level.map(|error| Failure::new(ExitStatus::Config, format!("log.level: {error}")));
    let problems = [
        settings::imap(config).err(),
        settings::pop3(config).err(),
        settings::listeners(config).err(),
        level,
    ];
    let problems = problems.into_iter().flatten();
    findings.bad.extend(problems.map(|failure| failure.message));
}

/// Whether the listeners' addresses can be bound.
fn listeners(config: &Config, findings: &mut Findings) {
    for listener in &config.listeners {
        if !listener.systemd.is_empty() {
            let what = format!("listeners: {} comes from systemd", listener.systemd);
            findings.good.push(what);
            continue;
        }
        // an address that is none was found when the file was read
        let Ok(address) = listener.address.parse::<SocketAddr>() else {
            continue;
        };
        let what = format!("listeners: {address}");
        match TcpListener::bind(address) {
            Ok(_) => findings.good.push(what),
            Err(error) => unbound(&what, &error, findings),
        }
    }
}

/// Says why an address cannot be bound.
fn unbound(what: &str, error: &io::Error, findings: &mut Findings) {
    let problem = match error.kind() {
        // systemd gives the server a right that who runs this check need not have
        io::ErrorKind::PermissionDenied => {
            findings.notes.push(format!(
                "{what}: not looked at, since this user may not bind it ({error}); ports below 1024 need root, CAP_NET_BIND_SERVICE as in \
                 restante.service, or a socket from systemd"
            ));
            return;
        }
        io::ErrorKind::AddrInUse => {
            "in use; by a running restante, or `ss -ltnp` tells by whom".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => format!("{error}; no interface has this address"),
        _ => error.to_string(),
    };
    findings.bad.push(format!("{what}: {problem}"));
}

/// Becomes whom the server will become, to see with those eyes.
fn become_user(config: &Config, findings: &mut Findings) {
    let process = &config.process;
    if process.user.is_empty() {
        return;
    }
    let what = format!("process.user: {}", process.user);
    let group = Some(process.group.as_str()).filter(|group| !group.is_empty());
    match server::give_up(&process.user, group) {
        Ok(true) => findings.good.push(what),
        Ok(false) => findings.notes.push(format!(
            "{what}: the check does not run as root, so rights are those of the user who runs it"
        )),
        Err(error) => findings
            .bad
            .push(format!("{what}: {}", with_causes(&error))),
    }
}

/// Each pair of certificate and key.
fn certificates(config: &Config, patience: Patience, findings: &mut Findings) {
    let wants_tls = |mode: TlsMode| mode != TlsMode::None;
    let wanted = config.listeners.iter().any(|one| wants_tls(one.tls));
    let all = settings::tls(config);
    if all.certificates.is_empty() && wanted {
        findings.notes.push(
            "tls.certificates: none; a self-signed one is made at each start, which no mail program trusts"
                .to_owned(),
        );
    }
    for pair in all.certificates {
        let files = [&pair.chain, &pair.key];
        let problem = files.iter().find_map(|file| unanswered(file, patience));
        if let Some(problem) = problem {
            findings.bad.push(format!("tls.certificates: {problem}"));
            continue;
        }
        certificate(pair, findings);
    }
}

/// That a file cannot be read to its end in time; whatever else is wrong with it is told by those who need it.
fn unanswered(file: &Path, patience: Patience) -> Option<String> {
    let path = file.to_owned();
    let read = patience.look(move || drop(fs::read(path)));
    let error = read.err()?;
    Some(format!("{}: {error}", file.display()))
}

/// One pair of certificate and key.
fn certificate(pair: CertificateFiles, findings: &mut Findings) {
    let what = format!("tls.certificates: {}", pair.chain.display());
    let key = pair.key.clone();
    match Tls::load(&TlsSettings::new(vec![pair])) {
        Err(error) => findings
            .bad
            .push(format!("{what}: {}", with_causes(&error))),
        Ok(tls) => match tls.ends().first().copied().flatten() {
            None => findings.good.push(what),
            Some(end) => certificate_end(&what, end, findings),
        },
    }
    // of a key that cannot be looked at it was said that it cannot be read
    let Ok(file) = fs::metadata(&key) else {
        return;
    };
    let open = file.permissions().mode() & 0o007 != 0;
    findings.note(
        &format!("tls.certificates: rights of {}", key.display()),
        open.then(|| "everybody can read the private key; chmod o= it".to_owned()),
    );
}

/// How long a certificate is still good for.
fn certificate_end(what: &str, end: i64, findings: &mut Findings) {
    let days = end.saturating_sub(Timestamp::now().as_second()) / 86_400;
    if days < 0 {
        let days = days.saturating_neg();
        findings
            .bad
            .push(format!("{what}: ended {days} days ago; renew it"));
    } else if days < DAYS_BEFORE_END {
        findings.notes.push(format!("{what}: ends in {days} days"));
    } else {
        findings.good.push(format!("{what}: {days} days left"));
    }
}

/// The directory above the first variable of the spool's template.
fn spool_root(config: &Config, patience: Patience, findings: &mut Findings) {
    let root = settings::fixed_part(&config.storage.spool);
    let what = format!("storage.spool: {}", root.display());
    let problem = patience.look(move || match fs::metadata(&root) {
        Err(error) => Some(format!("{error}; make it, or correct the template")),
        Ok(metadata) if !metadata.is_dir() => Some("is not a directory".to_owned()),
        Ok(_) => lacks(&root, Access::EXEC_OK),
    });
    findings.note(
        &what,
        problem.unwrap_or_else(|error| Some(error.to_string())),
    );
}

/// The credential database; returns the accounts in it.
fn database(config: &Config, patience: Patience, findings: &mut Findings) -> Vec<Credential> {
    let path = config.auth.database.clone();
    let seen = patience.look(move || {
        let mut findings = Findings::default();
        let accounts = accounts(&path, &mut findings);
        (accounts, findings)
    });
    match seen {
        Ok((accounts, mut found)) => {
            findings.good.append(&mut found.good);
            findings.notes.append(&mut found.notes);
            findings.bad.append(&mut found.bad);
            accounts
        }
        Err(error) => {
            let path = config.auth.database.display();
            findings.bad.push(format!("auth.database: {path}: {error}"));
            Vec::new()
        }
    }
}

/// The accounts in a credential database.
fn accounts(path: &Path, findings: &mut Findings) -> Vec<Credential> {
    let what = format!("auth.database: {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.notes.push(format!(
                "{what}: not there yet; `restante user add` makes it"
            ));
            return Vec::new();
        }
        Err(error) => {
            findings.bad.push(format!("{what}: {error}"));
            return Vec::new();
        }
        Ok(file) => {
            let open = file.permissions().mode() & 0o077 != 0;
            findings.note(
                &format!("auth.database: rights of {}", path.display()),
                open.then(|| "others can read it; chmod 600 it".to_owned()),
            );
        }
    }
    let directory = path.parent().unwrap_or(path);
    let lacking = lacks(path, Access::READ_OK | Access::WRITE_OK)
        .or_else(|| lacks(directory, Access::WRITE_OK | Access::EXEC_OK));
    if lacking.is_some() {
        findings.note(&what, lacking);
        return Vec::new();
    }
    let accounts = Database::open_existing(path).and_then(|database| {
        database.check()?;
        database.list()
    });
    match accounts {
        Ok(accounts) => {
            let what = format!("{what}: {} accounts", accounts.len());
            findings.good.push(what);
            accounts
        }
        Err(error) => {
            findings.bad.push(format!("{what}: {error}"));
            Vec::new()
        }
    }
}

/// The directory of the index, or the one it will be made in.
fn index(config: &Config, patience: Patience, findings: &mut Findings) {
    let directory = config.index_directory();
    let what = format!("index.directory: {}", directory.display());
    let problem = patience.look(move || {
        let place = match directory.parent() {
            Some(above) if !directory.exists() => above,
            Some(_) | None => &directory,
        };
        // a directory that is made with the credential database
        place
            .exists()
            .then(|| lacks(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK))
            .flatten()
    });
    findings.note(
        &what,
        problem.unwrap_or_else(|error| Some(error.to_string())),
    );
}

/// The Maildirs of the accounts there are, each by a `look` of its own.
fn spools(
    config: &Config,
    accounts: &[Credential],
    patience: Patience,
    look: fn(&Path) -> Result<(), Trouble>,
    findings: &mut Findings,
) {
    if accounts.is_empty() {
        return;
    }
    let store = Store::new(settings::store(config));
    let mut missing = Vec::new();
    let mut unusable = Vec::new();
    let (mut usable, mut hung) = (0_usize, 0_usize);
    for (seen, account) in accounts.iter().enumerate() {
        if hung == MAX_HUNG {
            let unseen = accounts.len().saturating_sub(seen);
            let what = format!("spools: {unseen} not looked at, since so many do not answer");
            findings.bad.push(what);
            break;
        }
        let owner = store.locate(account.user.as_str(), account.spool.as_deref());
        let place = format!("{} of {}", owner.spool.display(), account.user);
        match patience.look(move || look(&owner.spool)) {
            Ok(Ok(())) => usable += 1,
            Ok(Err(Trouble::Missing)) => missing.push(place),
            Ok(Err(Trouble::Other(problem))) => unusable.push(format!("{place}: {problem}")),
            Err(error) => {
                hung += 1;
                unusable.push(format!("{place}: {error}"));
            }
        }
    }
    if usable > 0 {
        findings.good.push(format!("spools: {usable} usable"));
    }
    let made = config.storage.create_spool;
    let what = match (missing.as_slice(), made) {
        ([], _) => None,
        (places, true) => Some(format!(
            "spools: {} not there yet, made when the account logs in",
            places.len()
        )),
        (places, false) => Some(format!(
            "spools: {} not there, and storage.create_spool is false: {}",
            places.len(),
            few(places)
        )),
    };
    findings.notes.extend(what);
    if !unusable.is_empty() {
        let what = format!(
            "spools: {} cannot be used: {}",
            unusable.len(),
            few(&unusable)
        );
        findings.bad.push(what);
    }
}

/// What is wrong with a spool.
enum Trouble {
    /// It is not there.
    Missing,
    /// Something else.
    Other(String),
}

/// Looks at one Maildir.
fn spool(place: &Path) -> Result<(), Trouble> {
    match fs::metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Trouble::Missing),
        Err(error) => return Err(Trouble::Other(error.to_string())),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Trouble::Other("is not a directory".to_owned()));
        }
        Ok(_) => {}
    }
    let needed = ["", "cur", "new", "tmp"].map(|name| -> PathBuf { place.join(name) });
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let existing = needed.iter().filter(|path| path.exists());
    match existing.filter_map(|path| lacks(path, all)).next() {
        Some(problem) => Err(Trouble::Other(problem)),
        None => Ok(()),
    }
}

/// What this user may not do with a path, as far as the rights tell.
fn lacks(path: &Path, access: Access) -> Option<String> {
    let error = rustix::fs::access(path, access).err()?;
    let user = rustix::process::geteuid().as_raw();
    Some(format!(
        "user {user} may not use {}: {}; look at the rights of it and of the directories above",
        path.display(),
        io::Error::from(error)
    ))
}

/// The first few of a list, and how many more there are.
fn few(texts: &[String]) -> String {
    let first: Vec<&str> = texts.iter().take(NAMED).map(String::as_str).collect();
    let more = texts.len().saturating_sub(NAMED);
    let end = match more {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    first.join("; ") + &end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::user_name::UserName;
    use crate::config::load;
    use std::time::Duration;

    /// Short, since tests wait for what never comes.
    const SHORT: Patience = Patience(Duration::from_millis(100));

    fn config(directory: &Path, more: &str) -> Config {
        let here = directory.display();
        let text = format!(
            "[storage]\nspool = \"{here}/%{{user}}\"\n[auth]\ndatabase = \"{here}/users.sqlite\"\n{more}"
        );
        let path = directory.join("restante.toml");
        io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        load::load(&path).unwrap().config
    }

    #[test]
    fn a_port_that_only_the_check_may_not_bind_is_no_mistake() {
        for (kind, notes, bad) in [
            (io::ErrorKind::PermissionDenied, 1, 0),
            (io::ErrorKind::AddrInUse, 0, 1),
            (io::ErrorKind::AddrNotAvailable, 0, 1),
        ] {
            let mut findings = Findings::default();
            unbound("listeners: [::]:993", &kind.into(), &mut findings);
            assert_eq!((findings.notes.len(), findings.bad.len()), (notes, bad));
            let said = [findings.notes, findings.bad].concat();
            assert!(said[0].starts_with("listeners: [::]:993: "), "{said:?}");
        }
    }

    #[test]
    fn a_file_that_never_answers_is_named_and_the_rest_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        // reading a named pipe waits for a writer, who never comes
        let pipe = directory.path().join("chain.pem");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let more = format!(
            "[[tls.certificates]]\ncertificate = \"{0}\"\nkey = \"{0}\"\n",
            pipe.display()
        );
        let findings = look(&config(directory.path(), &more), SHORT);
        let named = format!("tls.certificates: {}: does not answer", pipe.display());
        let told = |texts: &[String], what: &str| texts.iter().any(|text| text.starts_with(what));
        assert!(told(&findings.bad, &named), "{findings:?}");
        assert!(told(&findings.good, "storage.spool: "), "{findings:?}");
        assert!(told(&findings.notes, "auth.database: "), "{findings:?}");
        assert!(told(&findings.good, "index.directory: "), "{findings:?}");
    }

    #[test]
    fn spools_that_never_answer_are_named_and_only_some_are_waited_for() {
        fn hangs(place: &Path) -> Result<(), Trouble> {
            while place.to_string_lossy().contains("hung") {
                std::thread::park();
            }
            spool(place)
        }
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "");
        let users = ["anna", "hung1", "hung2", "bruno", "hung3", "hung4", "carla"];
        let database = Database::open(&config.auth.database).unwrap();
        for user in users {
            fs::create_dir(directory.path().join(user)).unwrap();
            let user = UserName::new(user).unwrap();
            database.add(&user, "$hash", None, 1).unwrap();
        }
        let mut accounts = database.list().unwrap();
        accounts
            .sort_by_key(|account| users.iter().position(|user| *user == account.user.as_str()));
        let mut findings = Findings::default();
        spools(&config, &accounts, SHORT, hangs, &mut findings);
        let said = findings.bad.join("\n");
        for hung in ["hung1", "hung2", "hung3"] {
            let named = format!("{hung} of {hung}: does not answer");
            assert!(said.contains(&named), "{said}");
        }
        assert!(said.contains("2 not looked at"), "{said}");
        assert!(!said.contains("hung4"), "{said}");
        assert_eq!(findings.good, ["spools: 2 usable"]);
    }
}
