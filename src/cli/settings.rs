//! What each layer gets of the configuration: its own small settings.

use super::{ExitStatus, Failure, capability};
use crate::auth::password::Costs;
use crate::config::value::Octets;
use crate::config::{self, Config};
use crate::mailbox::name::{MailboxName, SpecialUse};
use crate::protocol::PROGRESS_INTERVAL;
use crate::server::{self, CertificateFiles, LeastTls, LimitSettings, Timeouts, TlsSettings};
use crate::{auth, imap, pop3, storage, store, telemetry};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// For the authenticator.
pub(super) fn auth(config: &Config) -> auth::Settings {
    let auth = &config.auth;
    auth::Settings {
        costs: Costs {
            memory_kib: u32::try_from(auth.argon2_memory.0 / 1024).unwrap_or(u32::MAX),
            iterations: auth.argon2_iterations,
            parallelism: auth.argon2_parallelism,
        },
        threads: auth.hashing_threads,
        queue: auth.hashing_queue,
        deadline: auth.deadline.0,
        cache_ttl: auth.cache.0,
        policy: auth::PolicySettings {
            first_delay: auth.first_delay.0,
            max_delay: auth.max_delay.0,
        },
    }
}

/// For IMAP sessions.
pub(super) fn imap(config: &Config) -> Result<imap::Settings, Failure> {
    let imap = &config.imap;
    let budgets = |line: Octets, literal: Octets, command: Octets| imap::Budgets {
        line_octets: line.in_memory(),
        literal_octets: literal.in_memory(),
        command_octets: command.in_memory(),
    };
    Ok(imap::Settings {
        delimiter: config.storage.separator(),
        inbox_alias: imap.inbox_alias,
        offer_rev2: imap.rev2,
        literal_minus: imap.literal_minus,
        allow_plaintext: config.auth.allow_plaintext,
        disabled_capabilities: capabilities(
            "imap.disabled_capabilities",
            &imap.disabled_capabilities,
            &imap::switchable(),
        )?,
        max_bad_commands: imap.bad_commands,
        max_bad_commands_before_login: imap.bad_commands_before_login,
        max_failed_logins: imap.failed_logins,
        max_append_messages: imap.append_messages,
        append_limit_octets: imap.append_limit.0,
        message_limit: Some(imap.message_limit).filter(|limit| *limit > 0),
        save_limit: Some(imap.save_limit).filter(|limit| *limit > 0),
        idle_keep_alive: imap.idle_keep_alive.non_zero(),
        budgets_before_login: budgets(
            imap.line_before_login,
            imap.literal_before_login,
            imap.command_before_login,
        ),
        budgets: budgets(imap.line, imap.literal, imap.command),
        ..imap::Settings::default()
    })
}

/// Names in capitals, as they are compared; all must be known.
fn capabilities(
    key: &str,
    names: &[String],
    switchable: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    capability::known(names, switchable)
        .map_err(|error| Failure::new(ExitStatus::Config, format!("{key}: {error}")))
}

/// For POP3 sessions.
pub(super) fn pop3(config: &Config) -> Result<pop3::Settings, Failure> {
    let pop3 = &config.pop3;
    Ok(pop3::Settings {
        allow_plaintext: config.auth.allow_plaintext,
        exclusive: pop3.exclusive,
        lock_patience: pop3.lock_patience.0,
        mark_seen: pop3.mark_seen,
        unique_id_format: parsed("pop3.unique_ids", &pop3.unique_ids)?,
        login_delay: pop3.login_delay.0,
        expire_days: Some(pop3.expire_days).filter(|days| *days > 0),
        language: parsed("pop3.language", &pop3.language)?,
        refuse_utf8_headers: pop3.refuse_utf8_headers,
        disabled_capabilities: capabilities(
            "pop3.disabled_capabilities",
            &pop3.disabled_capabilities,
            &pop3::switchable(),
        )?,
        max_bad_commands: pop3.bad_commands,
        max_bad_commands_before_login: pop3.bad_commands_before_login,
        max_failed_logins: pop3.failed_logins,
    })
}

/// For the store of mail.
pub(super) fn store(config: &Config) -> store::Settings {
    let storage = &config.storage;
    store::Settings {
        spool: storage.spool.clone(),
        layout: match storage.layout {
            config::Layout::MaildirPlusPlus => store::Layout::MaildirPlusPlus,
            config::Layout::Fs => store::Layout::Fs,
        },
        create_spool: storage.create_spool,
        new_account: if storage.special_mailboxes {
            special_mailboxes()
        } else {
            Vec::new()
        },
        lock_timeout: storage.lock_timeout.0,
        watch: storage.watch,
        poll_interval: storage.poll_interval.0,
        ..store::Settings::default()
    }
}

/// The mailboxes of a new account that have a use of their own (RFC 6154).
fn special_mailboxes() -> Vec<store::NewMailbox> {
    let mailboxes = [
        ("Sent", SpecialUse::Sent),
        ("Drafts", SpecialUse::Drafts),
        ("Junk", SpecialUse::Junk),
        ("Trash", SpecialUse::Trash),
        ("Archive", SpecialUse::Archive),
    ];
    let new = |(name, special_use)| {
        Some(store::NewMailbox {
            name: MailboxName::from_levels([name]).ok()?,
            special_use: vec![special_use],
            subscribe: true,
        })
    };
    mailboxes.into_iter().filter_map(new).collect()
}

/// For the disk threads.
pub(super) fn storage(config: &Config) -> storage::Settings {
    let settings = &config.storage;
    storage::Settings {
        threads: settings.volume_threads,
        queue: settings.volume_queue,
        deadline: settings.volume_deadline.0,
        places: vec![fixed_part(&settings.spool)],
    }
}

/// The directory that all spools of a template lie in: a volume of its own where the system does not tell its mounts.
pub(super) fn fixed_part(template: &str) -> PathBuf {
    let fixed = template.split("%{").next().unwrap_or(template);
    let directory = fixed.rsplit_once('/').map_or("", |(before, _)| before);
    PathBuf::from(if directory.is_empty() { "/" } else { directory })
}

/// For the I/O shell.
pub(super) const fn server(config: &Config) -> server::Settings {
    let limits = &config.limits;
    server::Settings {
        limits: LimitSettings {
            connections: limits.connections,
            per_account: limits.connections_per_account,
            before_login_per_address: limits.connections_before_login_per_address,
        },
        timeouts: Timeouts {
            handshake: limits.handshake.0,
            before_login: limits.before_login.0,
            imap_idle: limits.imap_idle.0,
            pop3_idle: limits.pop3_idle.0,
            command: limits.command.0,
            write: limits.write.0,
            shutdown: limits.shutdown.0,
            progress: PROGRESS_INTERVAL,
            keepalive: limits.keepalive.0,
        },
    }
}

/// Where to listen.
pub(super) fn listeners(config: &Config) -> Result<Vec<server::Listener>, Failure> {
    let listener = |listener: &config::Listener| {
        Ok(server::Listener {
            at: if listener.systemd.is_empty() {
                server::At::Address(parsed("listeners.address", &listener.address)?)
            } else {
                server::At::Passed(listener.systemd.clone())
            },
            service: match listener.protocol {
                config::Protocol::Imap => server::Service::Imap,
                config::Protocol::Pop3 => server::Service::Pop3,
            },
            tls: match listener.tls {
                config::TlsMode::Implicit => server::TlsMode::Implicit,
                config::TlsMode::Starttls => server::TlsMode::Start,
                config::TlsMode::None => server::TlsMode::Off,
            },
        })
    };
    config.listeners.iter().map(listener).collect()
}

/// For TLS.
pub(super) fn tls(config: &Config) -> TlsSettings {
    let files = config.tls.certificates.iter().map(|pair| CertificateFiles {
        chain: pair.certificate.clone(),
        key: pair.key.clone(),
    });
    TlsSettings {
        certificates: files.collect(),
        least: match config.tls.minimum_version.as_str() {
            "1.3" => LeastTls::V1_3,
            _ => LeastTls::V1_2,
        },
        check: config.tls.check_interval.0,
    }
}

/// The form of log lines.
pub(super) const fn log_format(config: &Config) -> telemetry::Format {
    match config.log.format {
        config::LogFormat::Human => telemetry::Format::Human,
        config::LogFormat::Json => telemetry::Format::Json,
    }
}

/// A value that its layer knows how to read.
fn parsed<T>(key: &str, text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr<Err: fmt::Display>,
{
    text.parse()
        .map_err(|error| Failure::new(ExitStatus::Config, format!("{key}: \"{text}\": {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration cannot name the layers' constants, so this holds them together.
    #[test]
    fn defaults_of_the_configuration_are_those_of_the_layers() {
        let config = Config::default();
        assert_eq!(auth(&config), auth::Settings::default());
        assert_eq!(server(&config).limits, LimitSettings::default());
        assert_eq!(server(&config).timeouts, Timeouts::default());
        let disks = storage::Settings {
            places: vec![PathBuf::from("/var/mail")],
            ..storage::Settings::default()
        };
        assert_eq!(storage(&config), disks);
        let same = |ours: &dyn fmt::Debug, theirs: &dyn fmt::Debug| {
            assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
        };
        same(&pop3(&config).ok(), &Some(pop3::Settings::default()));
        let mails = store::Settings {
            new_account: special_mailboxes(),
            ..store::Settings::default()
        };
        same(&store(&config), &mails);
        let sessions = imap::Settings {
            delimiter: '.',
            ..imap::Settings::default()
        };
        same(&imap(&config).ok(), &Some(sessions));
        let certificates = tls(&config);
        same(&certificates, &TlsSettings::new(Vec::new()));
    }

    #[test]
    fn special_mailboxes_have_each_its_use() {
        let uses: BTreeSet<_> = special_mailboxes()
            .iter()
            .map(|mailbox| format!("{:?}", mailbox.special_use))
            .collect();
        assert_eq!(uses.len(), 5);
    }
}
