//! `restante config`: what is set, by which line, and whether it fits what is on disk.

use super::args::Config as Command;
use super::{ExitStatus, Failure};
use crate::auth::database::{CredentialStore as _, Database};
use crate::config::load::{self, Loaded};
use crate::config::{Config, Listener};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Runs one of the commands.
pub(super) fn run(command: &Command, path: &Path) -> Result<(), Failure> {
    let loaded = load::load(path).map_err(|error| Failure::new(ExitStatus::Config, error))?;
    match command {
        Command::Check => check(&loaded),
        Command::Show => {
            show(&loaded);
            Ok(())
        }
    }
}

/// Prints every setting with the place that sets it.
#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn show(loaded: &Loaded) {
    for (key, value) in load::values(&loaded.config) {
        let origin = loaded.lines.get(&key).map_or_else(
            || "default".to_owned(),
            |line| format!("{}:{line}", loaded.path.display()),
        );
        println!("{key} = {value}  # {origin}");
    }
}

/// Looks at everything that the configuration names, prints what it finds.
#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn check(loaded: &Loaded) -> Result<(), Failure> {
    let config = &loaded.config;
    let mut findings = Findings::default();
    check_spool(config, &mut findings);
    check_database(config, &mut findings);
    config
        .listeners
        .iter()
        .for_each(|listener| check_listener(listener, &mut findings));
    for good in &findings.good {
        println!("ok     {good}");
    }
    for bad in &findings.bad {
        println!("WRONG  {bad}");
    }
    match findings.bad.len() {
        0 => Ok(()),
        wrong => Err(Failure::new(
            ExitStatus::Config,
            format!(
                "{}: {wrong} of {} checks failed",
                loaded.path.display(),
                wrong + findings.good.len()
            ),
        )),
    }
}

/// What was looked at.
#[derive(Debug, Default)]
struct Findings {
    /// As it should be.
    good: Vec<String>,
    /// Not so, with what to do.
    bad: Vec<String>,
}

impl Findings {
    /// Notes one check.
    fn note(&mut self, good: bool, what: String, remedy: &str) {
        if good {
            self.good.push(what)
        } else {
            self.bad.push(format!("{what}: {remedy}"))
        }
    }
}

/// The directory above the first variable of the spool's template.
fn check_spool(config: &Config, findings: &mut Findings) {
    let template = &config.storage.spool;
    let fixed = template.split("%{").next().unwrap_or(template);
    let root = Path::new(
        fixed
            .rsplit_once('/')
            .map_or("/", |(root, _)| if root.is_empty() { "/" } else { root }),
    );
    let what = format!("storage.spool: {}", root.display());
    match fs::metadata(root) {
        Err(error) => findings
            .bad
            .push(format!("{what}: {error}; make it, or correct the template")),
        Ok(metadata) if !metadata.is_dir() => {
            findings.bad.push(format!("{what}: is not a directory"))
        }
        Ok(_) => {
            let usable = fs::read_dir(root).is_ok();
            findings.note(usable, what, "cannot be read by this user; run the check as the user of [process], or change its rights");
        }
    }
}

/// The credential database.
fn check_database(config: &Config, findings: &mut Findings) {
    let path = &config.auth.database;
    let what = format!("auth.database: {}", path.display());
    if !path.exists() {
        findings.good.push(format!(
            "{what}: not there yet, `restante user add` makes it"
        ));
        return;
    }
    match Database::open_existing(path).and_then(|database| database.list()) {
        Ok(accounts) => findings
            .good
            .push(format!("{what}: {} accounts", accounts.len())),
        Err(error) => findings.bad.push(format!("{what}: {error}")),
    }
    let open_to_others =
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    findings.note(
        !open_to_others,
        format!("{what}: rights"),
        "others can read it; chmod 600",
    );
}

/// Whether a listener's address can be bound.
fn check_listener(listener: &Listener, findings: &mut Findings) {
    if !listener.systemd.is_empty() {
        findings.good.push(format!(
            "listeners: socket {} comes from systemd",
            listener.systemd
        ));
        return;
    }
    let what = format!("listeners: {}", listener.address);
    let Ok(address) = listener.address.parse::<SocketAddr>() else {
        return;
    };
    match TcpListener::bind(address) {
        Ok(_) => findings.good.push(format!("{what}: free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            findings.bad.push(format!(
                "{what}: in use; by a running restante, or `ss -ltnp` tells by whom"
            ));
        }
        Err(error) => findings.bad.push(format!("{what}: {error}")),
    }
}
