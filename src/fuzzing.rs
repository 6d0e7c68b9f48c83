//! Bodies of all fuzz targets (`fuzz/`), also run on every seed by `cargo test`. A body panics when something is wrong.

/// The framer gives the same events however its input is cut.
pub fn framer(octets: &[u8]) {
    crate::imap::flow::fuzzing::framer(octets);
}

/// The parser of IMAP commands.
pub fn imap_command(octets: &[u8]) {
    crate::imap::parse::fuzzing::imap_command(octets);
}

/// An IMAP session in each state over the store in memory.
pub fn imap_session(octets: &[u8]) {
    crate::imap::session::fuzzing::session(octets);
}

/// A POP3 session over the store in memory.
pub fn pop3_session(octets: &[u8]) {
    crate::pop3::fuzzing::session(octets);
}

/// A message: structure, sections, line ends, search.
pub fn mime(octets: &[u8]) {
    crate::message::fuzzing::message(octets);
}

/// Names of Maildir files.
pub fn filename(octets: &[u8]) {
    crate::store::fuzzing::filename(octets);
}

/// The list of UIDs.
pub fn uidlist(octets: &[u8]) {
    crate::store::fuzzing::uidlist(octets);
}

/// Keywords, subscriptions, special uses.
pub fn text_formats(octets: &[u8]) {
    crate::store::fuzzing::text_formats(octets);
}

/// SASL mechanisms, user names, stored hashes.
pub fn sasl(octets: &[u8]) {
    crate::auth::fuzzing::sasl(octets);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A target's name and body.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 9] = [
        ("framer", framer),
        ("imap_command", imap_command),
        ("imap_session", imap_session),
        ("pop3_session", pop3_session),
        ("mime", mime),
        ("filename", filename),
        ("uidlist", uidlist),
        ("text_formats", text_formats),
        ("sasl", sasl),
    ];

    #[test]
    fn every_seed_passes() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, body) in TARGETS {
            assert!(
                fuzz.join(format!("fuzz_targets/{name}.rs")).exists(),
                "{name} is no target"
            );
            let mut seeds = 0;
            for entry in std::fs::read_dir(fuzz.join("seeds").join(name)).unwrap() {
                let octets = std::fs::read(entry.unwrap().path()).unwrap();
                body(&octets);
                seeds += 1;
            }
            assert!(seeds > 0, "no seeds for {name}");
        }
    }
}
