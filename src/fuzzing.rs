//! Bodies of all fuzz targets (`fuzz/`), also run on every seed by `cargo test`. A body panics when something is wrong.

/// Pieces of input to IMAP, with sessions that accept, refuse and falter: the same events however they are cut.
///
/// # Panics
/// If something is wrong.
pub fn framer(octets: &[u8]) {
    crate::imap::flow::fuzzing::framer(octets);
}

/// One IMAP command, whole.
///
/// # Panics
/// If something is wrong.
pub fn imap_command(octets: &[u8]) {
    crate::imap::parse::fuzzing::imap_command(octets);
}

/// An IMAP connection on a store in memory.
///
/// # Panics
/// If something is wrong.
pub fn imap_session(octets: &[u8]) {
    crate::imap::session::fuzzing::session(octets);
}

/// A POP3 connection on a store in memory.
///
/// # Panics
/// If something is wrong.
pub fn pop3_session(octets: &[u8]) {
    crate::pop3::fuzzing::session(octets);
}

/// A message: its parts, and what IMAP tells of them.
///
/// # Panics
/// If something is wrong.
pub fn mime(octets: &[u8]) {
    crate::message::fuzzing::message(octets);
    crate::imap::fuzz_structure(octets);
}

/// Names of message files.
///
/// # Panics
/// If something is wrong.
pub fn filename(octets: &[u8]) {
    crate::store::fuzzing::filename(octets);
}

/// Message files that are compressed.
///
/// # Panics
/// If something is wrong.
pub fn compressed(octets: &[u8]) {
    crate::store::fuzzing::compressed(octets);
}

/// What a client sends after COMPRESS.
///
/// # Panics
/// If something is wrong.
pub fn deflate(octets: &[u8]) {
    crate::server::fuzz_deflate(octets);
}

/// UID lists.
///
/// # Panics
/// If something is wrong.
pub fn uidlist(octets: &[u8]) {
    crate::store::fuzzing::uidlist(octets);
}

/// Keywords, subscriptions, special uses, and Courier's files.
///
/// # Panics
/// If something is wrong.
pub fn text_formats(octets: &[u8]) {
    crate::store::fuzzing::text_formats(octets);
}

/// SASL mechanisms, user names, stored hashes.
///
/// # Panics
/// If something is wrong.
pub fn sasl(octets: &[u8]) {
    crate::auth::fuzzing::sasl(octets);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// What a target does with octets.
    type Body = fn(&[u8]);

    /// Every target and its body.
    const TARGETS: [(&str, Body); 11] = [
        ("compressed", super::compressed),
        ("deflate", super::deflate),
        ("filename", super::filename),
        ("framer", super::framer),
        ("imap_command", super::imap_command),
        ("imap_session", super::imap_session),
        ("mime", super::mime),
        ("pop3_session", super::pop3_session),
        ("sasl", super::sasl),
        ("text_formats", super::text_formats),
        ("uidlist", super::uidlist),
    ];

    /// Files below `fuzz/`; there must be some.
    fn files(directory: &str) -> Vec<PathBuf> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz")
            .join(directory);
        let mut files: Vec<_> = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!files.is_empty(), "{}: empty", directory.display());
        files.sort();
        files
    }

    #[test]
    fn every_seed_is_borne() {
        for (target, body) in TARGETS {
            for file in files(&format!("seeds/{target}")) {
                let octets = fs::read(&file).unwrap();
                let outcome = std::panic::catch_unwind(|| body(&octets));
                assert!(outcome.is_ok(), "{}", file.display());
            }
        }
    }

    #[test]
    fn every_target_is_here_and_has_seeds() {
        let here: BTreeSet<_> = TARGETS.iter().map(|(target, _)| (*target).into()).collect();
        let name = |file: &PathBuf| file.file_stem().unwrap().to_os_string();
        let targets: BTreeSet<_> = files("fuzz_targets").iter().map(name).collect();
        let seeded: BTreeSet<_> = files("seeds").iter().map(name).collect();
        assert_eq!(targets, here);
        assert_eq!(seeded, here);
    }
}
