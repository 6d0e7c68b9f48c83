//! What each layer gets of the configuration: its own small settings.

use crate::auth::password::Costs;
use crate::config::Config;
use crate::config::value::Octets;
use crate::{auth, imap};

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
pub(super) fn imap(config: &Config) -> imap::Settings {
    let imap = &config.imap;
    let budgets = |line: Octets, literal: Octets, command: Octets| imap::Budgets {
        line_octets: line.in_memory(),
        literal_octets: literal.in_memory(),
        command_octets: command.in_memory(),
    };
    imap::Settings {
        delimiter: config.storage.separator(),
        inbox_alias: imap.inbox_alias,
        offer_rev2: imap.rev2,
        literal_minus: imap.literal_minus,
        allow_plaintext: config.auth.allow_plaintext,
        disabled_capabilities: capabilities(&imap.disabled_capabilities),
        max_bad_commands: imap.bad_commands,
        max_bad_commands_before_login: imap.bad_commands_before_login,
        max_failed_logins: imap.failed_logins,
        max_append_messages: imap.append_messages,
        append_limit_octets: imap.append_limit.0,
        idle_keep_alive: imap.idle_keep_alive.non_zero(),
        budgets_before_login: budgets(
            imap.line_before_login,
            imap.literal_before_login,
            imap.command_before_login,
        ),
        budgets: budgets(imap.line, imap.literal, imap.command),
        ..imap::Settings::default()
    }
}

/// Names in capitals, as they are compared.
fn capabilities(names: &[String]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| name.to_ascii_uppercase()).collect()
}
