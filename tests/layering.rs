//! The layers of `src/` import only what they may, only `parse` knows nom, only the shell knows tokio, files are opened in few
//! places, and each RFC that the code cites stands in README's table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "a test may"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, the modules of ours it may name, the foreign crates of interest it may name.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    (
        "encoding",
        &[],
        &["encoding_rs", "base64", "memchr", "jiff"],
    ),
    ("durable", &[], &["rustix"]),
    ("protocol", &[], &[]),
    ("mailbox", &[], &[]),
    ("storage", &[], &["rustix"]),
    ("message", &["encoding"], &["memchr"]),
    (
        "auth",
        &["encoding", "durable"],
        &[
            "argon2",
            "rusqlite",
            "hmac",
            "sha2",
            "subtle",
            "zeroize",
            "getrandom",
        ],
    ),
    (
        "imap",
        &["protocol", "mailbox", "message", "auth", "encoding"],
        &["nom", "memchr"],
    ),
    (
        "pop3",
        &["protocol", "mailbox", "message", "auth", "encoding"],
        &["nom", "memchr"],
    ),
    ("index", &["mailbox"], &["rusqlite"]),
    (
        "store",
        &["mailbox", "message", "encoding", "durable", "index"],
        &["maildir", "notify", "rustix", "memchr", "getrandom"],
    ),
    ("config", &[], &["serde", "toml", "strsim"]),
    ("telemetry", &[], &["tracing_subscriber", "jiff"]),
    (
        "server",
        &[
            "protocol",
            "mailbox",
            "auth",
            "imap",
            "pop3",
            "store",
            "storage",
            "telemetry",
        ],
        &[
            "tokio",
            "tokio_rustls",
            "flate2",
            "socket2",
            "listenfd",
            "sd_notify",
            "nix",
            "notify",
            "rustix",
        ],
    ),
];

/// Crates whose use is the business of some layers only.
const WATCHED_CRATES: &[&str] = &[
    "tokio",
    "tokio_rustls",
    "nom",
    "rusqlite",
    "maildir",
    "argon2",
    "notify",
    "clap",
    "toml",
    "nix",
    "rcgen",
    "listenfd",
    "sd_notify",
    "socket2",
    "tracing_subscriber",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The top-level module that a file belongs to.
fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(src()).unwrap();
    let first = relative
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without comments and without its tests at the end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Names that follow `prefix` in a text, where the prefix begins a path.
fn names_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            return None;
        }
        let rest = &text[at + prefix.len()..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        Some(&rest[..end])
    })
}

#[test]
fn each_layer_imports_only_what_it_may() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in sources(&src()) {
        let module = module_of(&file);
        let Some((_, ours, _)) = LAYERS.iter().find(|(name, ..)| *name == module) else {
            continue;
        };
        checked += 1;
        let code = code(&file);
        let mut named: BTreeSet<&str> = names_after(&code, "crate::").collect();
        for group in code.split("use crate::{").skip(1) {
            named.extend(
                group
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|n| n.trim().split("::").next().unwrap()),
            );
        }
        for name in named {
            if name != module && !name.is_empty() && !ours.contains(&name) {
                wrong.push(format!(
                    "{}: {module} may not import {name}",
                    file.display()
                ));
            }
        }
    }
    assert!(checked > 50, "only {checked} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_foreign_crate_is_named_where_it_belongs() {
    let mut wrong = Vec::new();
    for file in sources(&src()) {
        let module = module_of(&file);
        let Some((_, _, foreign)) = LAYERS.iter().find(|(name, ..)| *name == module) else {
            continue;
        };
        let code = code(&file);
        for name in WATCHED_CRATES {
            let path = format!("{name}::");
            if names_after(&code, &path).next().is_none() {
                continue;
            }
            let in_parse = file.components().any(|part| part.as_os_str() == "parse");
            if !foreign.contains(name) || (*name == "nom" && !in_parse) {
                wrong.push(format!("{}: {module} may not use {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_opened_in_few_places() {
    let allowed = [
        "durable", "store", "index", "cli", "server", "storage", "fuzzing",
    ];
    for file in sources(&src()) {
        let module = module_of(&file);
        let name = file
            .strip_prefix(src())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if name.ends_with("tests.rs")
            || allowed.contains(&module.as_str())
            || name.starts_with("auth/database")
            || name.starts_with("config/load")
        {
            continue;
        }
        let code = code(&file);
        for opening in [
            "fs::File",
            "File::open",
            "OpenOptions",
            "fs::read",
            "std::fs",
        ] {
            assert!(!code.contains(opening), "{name} uses {opening}");
        }
    }
}

#[test]
fn each_rfc_cited_is_in_the_readme() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut missing = BTreeSet::new();
    let mut cited = 0;
    for file in sources(&src()) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("RFC ") {
            let number: String = text[at + 4..]
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            if number.len() >= 3 {
                cited += 1;
                if !readme.contains(&number) {
                    missing.insert(number);
                }
            }
        }
    }
    assert!(cited > 100, "only {cited} citations were found");
    assert!(missing.is_empty(), "not in README's table: {missing:?}");
}
