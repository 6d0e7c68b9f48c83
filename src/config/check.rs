//! What a configuration must fulfil beyond the types of its values; nothing here looks at the disk.

use super::{Config, Listener, TlsMode};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

/// What is wrong with one key, if it is.
type Check = (&'static str, bool, &'static str);

/// The first value that makes no sense: its key, and what would be right.
pub(super) fn problem(config: &Config) -> Option<(&'static str, String)> {
    let checks = spool(config)
        .into_iter()
        .chain(storage(config))
        .chain(index(config))
        .chain(auth(config))
        .chain(limits(config))
        .chain(protocols(config));
    if let Some((key, _, right)) = checks.into_iter().find(|(_, wrong, _)| *wrong) {
        return Some((key, right.to_owned()));
    }
    let listeners = &config.listeners;
    listeners
        .iter()
        .find_map(|one| listener(one, config))
        .or_else(|| twice(listeners))
}

/// A place where two listeners want to listen. A port that the system chooses is another one each time.
fn twice(listeners: &[Listener]) -> Option<(&'static str, String)> {
    let mut seen = BTreeSet::new();
    for Listener {
        address, systemd, ..
    } in listeners
    {
        let socket = address.parse::<SocketAddr>().ok();
        if socket.is_some_and(|socket| socket.port() == 0) {
            continue;
        }
        if !seen.insert((socket, systemd)) {
            let (key, place) = if systemd.is_empty() {
                ("listeners.address", address)
            } else {
                ("listeners.systemd", systemd)
            };
            return Some((key, format!("two listeners have \"{place}\"")));
        }
    }
    None
}

/// Where the Maildirs lie.
fn spool(config: &Config) -> [Check; 4] {
    let template = &config.storage.spool;
    let variables = ["user}", "local}", "domain}"];
    let unknown_variable = template
        .split("%{")
        .skip(1)
        .any(|rest| !variables.iter().any(|name| rest.starts_with(name)));
    let one_for_all = !template.contains("%{user}") && !template.contains("%{local}");
    [
        (
            "storage.spool",
            !template.starts_with('/'),
            "must be an absolute path",
        ),
        (
            "storage.spool",
            unknown_variable,
            "knows the variables %{user}, %{local} and %{domain}",
        ),
        (
            "storage.spool",
            one_for_all,
            "must contain %{user} or %{local}, or all accounts would share one Maildir",
        ),
        (
            "storage.spool",
            template.split('/').any(|part| part == ".."),
            "must not contain \"..\"",
        ),
    ]
}

/// The rest of where the mail lies.
fn storage(config: &Config) -> [Check; 5] {
    let storage = &config.storage;
    let separator = &storage.separator;
    let unusable = |c: char| !c.is_ascii_punctuation() || "\"\\%*&~".contains(c);
    [
        (
            "storage.separator",
            separator.chars().count() > 1 || separator.contains(unusable),
            "is one punctuation character, other than \" \\ % * & ~",
        ),
        (
            "storage.volume_threads",
            storage.volume_threads < 2,
            "at least 2, so that one hanging account leaves a thread to the others",
        ),
        (
            "storage.volume_queue",
            storage.volume_queue == 0,
            "at least 1",
        ),
        (
            "storage.volume_deadline",
            storage.volume_deadline.0.is_zero(),
            "must be longer than nothing",
        ),
        (
            "storage.lock_timeout",
            storage.lock_timeout.0 >= storage.volume_deadline.0,
            "must be shorter than storage.volume_deadline, or a lock held by another program looks like a hung disk",
        ),
    ]
}

/// What is remembered of mailboxes.
fn index(config: &Config) -> [Check; 1] {
    let directory = &config.index.directory;
    [(
        "index.directory",
        !directory.as_os_str().is_empty() && !directory.is_absolute(),
        "must be an absolute path, or empty",
    )]
}

/// Logins.
fn auth(config: &Config) -> [Check; 8] {
    let auth = &config.auth;
    let memory = auth.argon2_memory.0;
    [
        (
            "auth.database",
            !Path::new(&auth.database).is_absolute(),
            "must be an absolute path",
        ),
        (
            "auth.argon2_parallelism",
            auth.argon2_parallelism == 0,
            "at least 1",
        ),
        (
            "auth.argon2_memory",
            memory < 8192 * u64::from(auth.argon2_parallelism) || memory > 1 << 30,
            "at least 8 KiB for each lane, at most 1 GiB",
        ),
        (
            "auth.argon2_iterations",
            !(1..=64).contains(&auth.argon2_iterations),
            "from 1 to 64",
        ),
        (
            "auth.hashing_threads",
            auth.hashing_threads == 0,
            "at least 1",
        ),
        ("auth.hashing_queue", auth.hashing_queue == 0, "at least 1"),
        (
            "auth.deadline",
            auth.deadline.0.is_zero(),
            "must be longer than nothing",
        ),
        (
            "auth.max_delay",
            auth.max_delay.0 < auth.first_delay.0,
            "must not be shorter than auth.first_delay",
        ),
    ]
}

/// Limits.
fn limits(config: &Config) -> [Check; 4] {
    let limits = &config.limits;
    let times = [
        limits.handshake,
        limits.before_login,
        limits.imap_idle,
        limits.pop3_idle,
        limits.command,
        limits.write,
    ];
    [
        ("limits.connections", limits.connections == 0, "at least 1"),
        (
            "limits.connections_per_account",
            limits.connections_per_account == 0,
            "at least 1",
        ),
        (
            "limits.connections_before_login_per_address",
            limits.connections_before_login_per_address == 0,
            "at least 1",
        ),
        (
            "limits",
            times.iter().any(|time| time.0.is_zero()),
            "handshake, before_login, imap_idle, pop3_idle, command and write must be longer than nothing",
        ),
    ]
}

/// TLS, IMAP and POP3.
fn protocols(config: &Config) -> [Check; 8] {
    let imap = &config.imap;
    [
        (
            "tls.minimum_version",
            !["1.2", "1.3"].contains(&config.tls.minimum_version.as_str()),
            "is \"1.2\" or \"1.3\"",
        ),
        (
            "tls.check_interval",
            config.tls.check_interval.0.is_zero(),
            "must be longer than nothing",
        ),
        (
            "imap.line",
            imap.line.0 < 8192,
            "at least 8 KiB, which clients may send (RFC 7162 §4)",
        ),
        (
            "imap.command",
            imap.command.0 < imap.line.0.max(imap.literal.0),
            "must not be less than imap.line and imap.literal",
        ),
        (
            "imap.command_before_login",
            imap.command_before_login.0 < imap.line_before_login.0.max(imap.literal_before_login.0),
            "must not be less than imap.line_before_login and imap.literal_before_login",
        ),
        (
            "imap.line_before_login",
            imap.line_before_login.0 < 1024,
            "at least 1 KiB, or passwords do not fit",
        ),
        (
            "imap.message_limit",
            (1..1000).contains(&imap.message_limit),
            MESSAGE_LIMIT,
        ),
        (
            "imap.save_limit",
            (1..1000).contains(&imap.save_limit),
            MESSAGE_LIMIT,
        ),
    ]
}

/// What a limit on the messages of a command must be.
const MESSAGE_LIMIT: &str = "0, or at least 1000, which clients may count on (RFC 9738 §3)";

/// One listener.
fn listener(listener: &Listener, config: &Config) -> Option<(&'static str, String)> {
    let address = &listener.address;
    if listener.systemd.is_empty() == address.is_empty() {
        let problem = "each listener has either an address or the name of a systemd socket";
        return Some(("listeners", problem.to_owned()));
    }
    if !address.is_empty() && address.parse::<SocketAddr>().is_err() {
        let problem = format!(
            "\"{address}\" is not an address with a port, such as \"0.0.0.0:993\" or \"[::]:993\""
        );
        return Some(("listeners.address", problem));
    }
    if listener.tls == TlsMode::None && !config.auth.allow_plaintext {
        let place = if address.is_empty() {
            &listener.systemd
        } else {
            address
        };
        let problem = format!(
            "without TLS nobody can log in at \"{place}\", unless auth.allow_plaintext is true"
        );
        return Some(("listeners.tls", problem));
    }
    None
}
