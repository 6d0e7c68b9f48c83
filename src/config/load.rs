//! Reading the file: what it says, where it says it, and what is wrong with it.

use super::check::problem;
use super::{Config, Listener};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A configuration with the line of each key that the file sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The settings, with the standard listeners if the file names none.
    pub config: Config,
    /// The file.
    pub path: PathBuf,
    /// Keys such as `storage.spool` and the line that sets them, from 1.
    pub lines: BTreeMap<String, usize>,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1; none if it concerns the whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(
                f,
                "{}:{line}:{column}: {}",
                self.path.display(),
                self.problem
            ),
            None => write!(f, "{}: {}", self.path.display(), self.problem),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// [`ConfigError`] with the first thing that is wrong
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        path: path.to_owned(),
        place: None,
        problem: format!("cannot be read: {error}"),
    })?;
    parse(&text, path)
}

/// Reads the text of a file; `path` is for messages.
///
/// # Errors
/// [`ConfigError`] with the first thing that is wrong
pub fn parse(text: &str, path: &Path) -> Result<Loaded, ConfigError> {
    let at = |offset: Option<usize>, problem: String| ConfigError {
        path: path.to_owned(),
        place: offset.map(|offset| place(text, offset)),
        problem,
    };
    let from_toml = |error: &toml::de::Error| {
        at(
            error.span().map(|span| span.start),
            in_words(error.message().trim()),
        )
    };
    let table = DeTable::parse(text).map_err(|error| from_toml(&error))?;
    let known = known_keys();
    let mut found = Vec::new();
    collect(table.get_ref(), "", &mut found);
    if let Some((key, offset)) = found.iter().find(|(key, _)| !known.contains(key)) {
        return Err(at(Some(*offset), unknown(key, &known)));
    }
    let mut config: Config = toml::from_str(text).map_err(|error| from_toml(&error))?;
    if config.listeners.is_empty() {
        config.listeners = Listener::defaults();
    }
    if let Some((key, problem)) = problem(&config) {
        let offset = found
            .iter()
            .find(|(found, _)| found == key)
            .map(|(_, offset)| *offset);
        return Err(at(offset, format!("{key}: {problem}")));
    }
    let lines = found
        .into_iter()
        .map(|(key, offset)| (key, place(text, offset).0))
        .collect();
    Ok(Loaded {
        config,
        path: path.to_owned(),
        lines,
    })
}

/// What TOML's reader says, without the names that types have in this program.
fn in_words(message: &str) -> String {
    ["usize", "u32", "u64"]
        .iter()
        .find_map(|name| message.strip_suffix(&format!("expected {name}")))
        .map_or_else(
            || message.to_owned(),
            |start| format!("{start}expected a whole number, 0 or more"),
        )
}

/// Line and column of an offset, from 1; the column in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before.get(line_start..).unwrap_or("").chars().count() + 1,
    )
}

/// All keys below a table, with their offsets. Elements of an array share the array's keys.
fn collect(table: &DeTable<'_>, prefix: &str, found: &mut Vec<(String, usize)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) => {
                found.push((key.clone(), name.span().start));
                collect(inner, &key, found);
            }
            DeValue::Array(elements) => {
                found.push((key.clone(), name.span().start));
                for element in elements {
                    if let DeValue::Table(inner) = element.get_ref() {
                        collect(inner, &key, found);
                    }
                }
            }
            _ => found.push((key, name.span().start)),
        }
    }
}

/// All keys that there are, sections included.
pub fn known_keys() -> Vec<String> {
    let mut keys: Vec<String> = default_values().into_iter().map(|(key, _)| key).collect();
    let sections: Vec<String> = keys
        .iter()
        .filter_map(|key| Some(key.rsplit_once('.')?.0.to_owned()))
        .collect();
    keys.extend(sections);
    for (array, names) in [
        ("listeners", &["address", "protocol", "tls", "systemd"][..]),
        ("tls.certificates", &["certificate", "key"]),
    ] {
        keys.extend(names.iter().map(|name| format!("{array}.{name}")));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// Keys outside arrays of tables, with their defaults as TOML.
pub fn default_values() -> Vec<(String, toml::Value)> {
    values(&Config::default())
}

/// Keys of a configuration and their values, in the order of the file.
pub fn values(config: &Config) -> Vec<(String, toml::Value)> {
    let mut out = Vec::new();
    if let Ok(toml::Value::Table(table)) = toml::Value::try_from(config) {
        flatten(&table, "", &mut out);
    }
    out
}

/// Takes tables apart.
fn flatten(table: &toml::Table, prefix: &str, out: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(inner) => flatten(inner, &key, out),
            other => out.push((key, other.clone())),
        }
    }
}

/// The message for an unknown key, with the nearest known one.
fn unknown(key: &str, known: &[String]) -> String {
    match nearest(key, known) {
        Some(name) => format!("unknown key {key}; did you mean {name}?"),
        None => format!("unknown key {key}"),
    }
}

/// The known key that was most likely meant: one of the same name elsewhere, or one of the same section that is written nearly so or
/// has the unknown name in it.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a String> {
    let (section, leaf) = split(key);
    let distance = |name: &&String| strsim::damerau_levenshtein(key, name);
    let near = |name: &&String| distance(name) <= 2.max(leaf.chars().count() / 3);
    let neighbours = || known.iter().filter(|name| split(name).0 == section);
    let in_it = |name: &&String| split(name).1.contains(leaf);
    let typo = neighbours().filter(near).min_by_key(distance);
    let elsewhere = || known.iter().find(|name| split(name).1 == leaf);
    let longer = || neighbours().filter(in_it).min_by_key(distance);
    typo.or_else(elsewhere)
        .or_else(longer)
        .or_else(|| known.iter().filter(near).min_by_key(distance))
}

/// A key's section and its own name.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        parse(text, Path::new("r.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_has_all_defaults() {
        let loaded = parse("", Path::new("r.toml")).unwrap();
        assert_eq!(
            loaded.config,
            Config {
                listeners: Listener::defaults(),
                ..Config::default()
            }
        );
        assert!(loaded.lines.is_empty());
    }

    #[test]
    fn knows_which_line_set_a_key() {
        let text = "[storage]\nspool = \"/x/%{user}\"\n\n[[listeners]]\naddress = \"127.0.0.1:1143\"\nprotocol = \"imap\"\ntls = \"implicit\"\n";
        let loaded = parse(text, Path::new("r.toml")).unwrap();
        assert_eq!(loaded.lines.get("storage.spool"), Some(&2));
        assert_eq!(loaded.config.listeners.len(), 1);
        assert_eq!(loaded.config.storage.spool, "/x/%{user}");
    }

    /// A file and what is said of it.
    const MISTAKES: &[(&str, &str)] = &[
        (
            "[storage]\nspol = \"/x\"\n",
            "r.toml:2:1: unknown key storage.spol; did you mean storage.spool?",
        ),
        (
            "[storrage]\n",
            "r.toml:1:2: unknown key storrage; did you mean storage?",
        ),
        (
            "spool = \"/x\"\n",
            "r.toml:1:1: unknown key spool; did you mean storage.spool?",
        ),
        (
            "[[listeners]]\n  adress = \"x\"\n",
            "r.toml:2:3: unknown key listeners.adress; did you mean listeners.address?",
        ),
        (
            "[storage]\nspool = \"/var/mail\"\n",
            "r.toml:2:1: storage.spool: must contain %{user} or %{local}, or all accounts would share one Maildir",
        ),
        (
            "[storage]\nspool = \"/x/%{user}/%{home}\"\n",
            "r.toml:2:1: storage.spool: knows the variables %{user}, %{local} and %{domain}",
        ),
        (
            "[tls]\nminimum_version = \"1.1\"\n",
            "r.toml:2:1: tls.minimum_version: is \"1.2\" or \"1.3\"",
        ),
        (
            "[limits]\nidle = 5\n",
            "r.toml:2:1: unknown key limits.idle; did you mean limits.imap_idle?",
        ),
        (
            "[imap]\nmessage_limit = 10\n",
            "r.toml:2:1: imap.message_limit: 0, or at least 1000, which clients may count on (RFC 9738 §3)",
        ),
        (
            "[imap]\nfrobnicate = 5\n",
            "r.toml:2:1: unknown key imap.frobnicate",
        ),
        (
            "[tls]\n[[tls.certificates]]\ncert = \"x\"\n",
            "r.toml:3:1: unknown key tls.certificates.cert; did you mean tls.certificates.certificate?",
        ),
        (
            "[storage]\nspool = \"/x/%{user}/../y\"\n",
            "r.toml:2:1: storage.spool: must not contain \"..\"",
        ),
        (
            "[auth]\nmax_delay = \"500 ms\"\n",
            "r.toml:2:1: auth.max_delay: must not be shorter than auth.first_delay",
        ),
        (
            "[auth]\nfirst_delay = \"1 h\"\n",
            "r.toml: auth.max_delay: must not be shorter than auth.first_delay",
        ),
        (
            "[[listeners]]\nprotocol = \"imap\"\ntls = \"implicit\"\n",
            "r.toml:1:3: listeners: each listener has either an address or the name of a systemd socket",
        ),
        (
            "[[listeners]]\naddress = \"[::1]:143\"\nprotocol = \"imap\"\ntls = \"none\"\n",
            "r.toml:4:1: listeners.tls: without TLS nobody can log in at \"[::1]:143\", unless auth.allow_plaintext is true",
        ),
    ];

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, expected) in MISTAKES {
            assert_eq!(fails(text), *expected, "{text}");
        }
        assert!(
            fails("[limits]\nhandshake = 5\n").starts_with("r.toml:2:13: "),
            "{}",
            fails("[limits]\nhandshake = 5\n")
        );
        assert!(fails("[limits]\nhandshake = \"5\"\n").contains("30 s"));
        for key in ["limits.connections", "imap.bad_commands"] {
            let said = fails(&format!("{key} = -1\n"));
            assert!(
                said.ends_with("`-1`, expected a whole number, 0 or more"),
                "{said}"
            );
        }
        assert!(fails("[storage\n").starts_with("r.toml:1:"));
        assert!(
            fails("[[listeners]]\naddress = \"x\"\nprotocol = \"imap\"\ntls = \"none\"\n")
                .contains("is not an address with a port")
        );
        assert!(fails("[[listeners]]\nprotocol = \"smtp\"\ntls = \"none\"\n").contains("imap"));
    }

    #[test]
    fn every_value_is_written_as_it_is_read() {
        let text = toml::to_string(&Config::default()).unwrap();
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(read, Config::default());
    }
}
