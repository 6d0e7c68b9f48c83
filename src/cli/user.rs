//! `restante user`: accounts in the credential database.

use super::args::User;
use super::{ExitStatus, Failure, capability, home, print, settings};
use crate::auth::credential::Credential;
use crate::auth::database::{CredentialStore as _, Database, StoreError};
use crate::auth::password::Hasher;
use crate::auth::secret::Secret;
use crate::auth::user_name::UserName;
use crate::config::load::{self, Loaded};
use crate::imap;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

/// Runs one of the commands.
pub(super) fn run(command: &User, config: &Path) -> Result<(), Failure> {
    let loaded = load::load(config).map_err(|error| Failure::new(ExitStatus::Config, error))?;
    let now = Timestamp::now().as_second();
    match command {
        User::Add { user, stdin, spool } => {
            let name = user_name(user)?;
            let database = open(&loaded, true)?;
            if database.find(&name)?.is_some() {
                return Err(StoreError::Exists(name).into());
            }
            let spool = spool.as_deref().map(absolute).transpose()?;
            let hash = hash(&loaded, *stdin)?;
            Ok(database.add(&name, &hash, spool.as_deref(), now)?)
        }
        User::Passwd { user, stdin } => {
            let name = user_name(user)?;
            let database = open(&loaded, false)?;
            if database.find(&name)?.is_none() {
                return Err(StoreError::Unknown(name).into());
            }
            let hash = hash(&loaded, *stdin)?;
            Ok(database.set_password(&name, &hash, now)?)
        }
        User::List { json } => list(&open(&loaded, false)?, *json),
        User::Show { user, json } => show(&open(&loaded, false)?, user_name(user)?, *json),
        User::Disable { user } => {
            Ok(open(&loaded, false)?.set_enabled(&user_name(user)?, false, now)?)
        }
        User::Enable { user } => {
            Ok(open(&loaded, false)?.set_enabled(&user_name(user)?, true, now)?)
        }
        User::Set {
            user,
            disable_capability,
            enable_capability,
        } => {
            let name = user_name(user)?;
            let off = capabilities(disable_capability)?;
            let on = capabilities(enable_capability)?;
            if let Some(both) = off.intersection(&on).next() {
                let message = format!("{both} cannot be both enabled and disabled");
                return Err(Failure::new(ExitStatus::Usage, message));
            }
            Ok(open(&loaded, false)?.switch_capabilities(&name, &off, &on, now)?)
        }
        User::Remove { user } => Ok(open(&loaded, false)?.remove(&user_name(user)?)?),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Exists(_) | StoreError::Unknown(_) => ExitStatus::User,
            StoreError::Database { .. }
            | StoreError::Damaged { .. }
            | StoreError::File { .. }
            | StoreError::TooNew { .. }
            | StoreError::SpoolNotText(_) => ExitStatus::Failed,
        };
        Self::new(status, error)
    }
}

/// Opens the database, making it only for the first account.
fn open(loaded: &Loaded, make: bool) -> Result<Database, Failure> {
    let path = &loaded.config.auth.database;
    if !make && !path.exists() {
        let message = format!(
            "there is no credential database at {} yet; `restante user add` makes it",
            path.display()
        );
        return Err(Failure::new(ExitStatus::User, message));
    }
    home::make(&loaded.config)?;
    Ok(Database::open(path)?)
}

/// Checks a name.
fn user_name(text: &str) -> Result<UserName, Failure> {
    UserName::new(text)
        .map_err(|error| Failure::new(ExitStatus::User, format!("\"{text}\": {error}")))
}

/// Checks names of capabilities.
fn capabilities(names: &[String]) -> Result<BTreeSet<String>, Failure> {
    capability::known(names, &imap::switchable_for_account())
        .map_err(|error| Failure::new(ExitStatus::Usage, error))
}

/// A path that means the same for the server, wherever it runs.
fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::general(format!("{}: {error}", path.display())))
}

/// Asks for a password and hashes it.
fn hash(loaded: &Loaded, stdin: bool) -> Result<String, Failure> {
    let password = if stdin { read_line()? } else { ask()? };
    let hasher = Hasher::new(settings::auth(&loaded.config).costs).map_err(Failure::general)?;
    hasher.hash(&password).map_err(Failure::general)
}

/// Takes the password from the first line of standard input.
fn read_line() -> Result<Secret, Failure> {
    let mut line = Vec::new();
    std::io::stdin()
        .lock()
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::general(format!("standard input: {error}")))?;
    let end = line
        .iter()
        .rposition(|octet| !matches!(octet, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    line.truncate(end);
    usable(Secret::new(line))
}

/// Asks for the password twice, without showing it.
fn ask() -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            ExitStatus::Usage,
            "no terminal to ask for the password; use --stdin",
        ));
    }
    let prompt = |text| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::general(format!("password: {error}")))
    };
    let first = prompt("Password: ")?;
    if prompt("Once more: ")? != first {
        return Err(Failure::general(
            "the two passwords differ; nothing was changed",
        ));
    }
    usable(Secret::new(first))
}

/// Refuses what no mechanism can carry.
fn usable(password: Secret) -> Result<Secret, Failure> {
    if password.expose().is_empty() || password.expose().contains(&0) {
        return Err(Failure::general(
            "a password is neither empty nor has it NUL octets; nothing was changed",
        ));
    }
    Ok(password)
}

/// A time for people and scripts.
fn time(secs: i64) -> String {
    Timestamp::from_second(secs).map_or_else(|_| secs.to_string(), |time| time.to_string())
}

/// An account as JSON, without its hash.
fn to_json(record: &Credential) -> serde_json::Value {
    serde_json::json!({
        "user": record.user.as_str(),
        "enabled": record.enabled,
        "spool": record.spool,
        "disabled_capabilities": record.disabled_capabilities,
        "created": time(record.created),
        "changed": time(record.changed),
        "last_login": record.last_login.map(time),
        "scheme": record.password_hash.split('$').nth(1),
    })
}

/// Prints all accounts.
fn list(database: &Database, json: bool) -> Result<(), Failure> {
    let records = database.list()?;
    if json {
        let all = serde_json::Value::Array(records.iter().map(to_json).collect());
        return print(&[all.to_string()]);
    }
    let line = |record: &Credential| {
        let state = if record.enabled {
            "enabled"
        } else {
            "disabled"
        };
        let last = record.last_login.map_or_else(|| "never".to_owned(), time);
        let user = record.user.as_str();
        format!("{user:40} {state:8} last login {last}")
    };
    print(&records.iter().map(line).collect::<Vec<_>>())
}

/// Prints one account.
fn show(database: &Database, user: UserName, json: bool) -> Result<(), Failure> {
    let record = database.find(&user)?.ok_or(StoreError::Unknown(user))?;
    if json {
        return print(&[to_json(&record).to_string()]);
    }
    let spool = record.spool.as_ref();
    let disabled: Vec<&str> = record
        .disabled_capabilities
        .iter()
        .map(String::as_str)
        .collect();
    let hash = &record.password_hash;
    let rows = [
        ("user", record.user.to_string()),
        ("enabled", if record.enabled { "yes" } else { "no" }.into()),
        (
            "spool",
            spool.map_or_else(
                || "by the template".into(),
                |path| path.display().to_string(),
            ),
        ),
        ("created", time(record.created)),
        ("changed", time(record.changed)),
        (
            "last login",
            record.last_login.map_or_else(|| "never".into(), time),
        ),
        ("scheme", hash.split('$').nth(1).unwrap_or("unknown").into()),
        ("disabled", disabled.join(" ")),
    ];
    let told = rows.iter().filter(|(_, value)| !value.is_empty());
    let line = |(name, value): &(&str, String)| format!("{name:11} {value}");
    print(&told.map(line).collect::<Vec<_>>())
}
