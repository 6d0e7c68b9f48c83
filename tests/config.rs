//! `conf/restante.toml` and the code name the same keys with the same defaults, and `config check` and `show` tell what is so.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says what is wrong by panicking"
)]

use assert_cmd::Command;
use restante::config::load::{self, Loaded};
use restante::config::{Config, Listener};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The reference configuration with every setting taken out of its comment: `#key = value`, `#[[section]]`; prose has a blank after `#`.
fn uncommented() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/restante.toml");
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn parse(text: &str) -> Loaded {
    load::parse(text, Path::new("restante.toml")).unwrap()
}

#[test]
fn the_reference_configuration_as_it_stands_sets_nothing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/restante.toml");
    let loaded = load::load(&path).unwrap();
    assert_eq!(loaded.config, parse("").config);
    let sections: Vec<_> = loaded
        .lines
        .keys()
        .filter(|key| key.contains('.'))
        .collect();
    assert!(sections.is_empty(), "{sections:?}");
}

#[test]
fn the_reference_configuration_tells_every_default() {
    let mut config = parse(&uncommented()).config;
    // an example, since there is none by default
    assert_eq!(config.tls.certificates.len(), 1);
    config.tls.certificates.clear();
    let expected = Config {
        listeners: Listener::defaults(),
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn the_reference_configuration_names_every_key() {
    let loaded = parse(&uncommented());
    let told: BTreeSet<&str> = loaded.lines.keys().map(String::as_str).collect();
    let known = load::known_keys();
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(told, known);
    assert!(known.len() > 70, "only {} keys", known.len());
}

#[test]
fn the_reference_configuration_explains_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/restante.toml");
    let text = fs::read_to_string(path).unwrap();
    let mut explained = false;
    let mut settings = 0;
    for (number, line) in text.lines().enumerate() {
        let setting = line.strip_prefix('#').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ")
        });
        settings += usize::from(setting);
        assert!(
            !setting || explained,
            "line {}: {line} follows no explanation",
            number + 1
        );
        // one text may be for several settings below it, up to the next empty line
        explained = line.starts_with("# ") || line.starts_with("#[[") || (setting && explained);
    }
    assert!(settings > 70);
}

/// A place for a server, where all is well.
struct Place {
    directory: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("spool")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let place = Self { directory, port };
        place.certificate("cert.pem", "key.pem");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a certificate and its key.
    fn certificate(&self, certificate: &str, key: &str) {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path(certificate), pair.cert.pem()).unwrap();
        fs::write(self.path(key), pair.signing_key.serialize_pem()).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.path(key), private).unwrap();
    }

    /// Runs `restante config …` with more lines in the file; status and all output.
    fn config(&self, command: &str, more: &str) -> (i32, String) {
        let text = format!(
            "[storage]\nspool = \"{0}/spool/%{{user}}\"\n[auth]\ndatabase = \"{0}/credentials.sqlite\"\n\
             [[tls.certificates]]\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n\
             [[listeners]]\naddress = \"127.0.0.1:{1}\"\nprotocol = \"imap\"\ntls = \"implicit\"\n{more}",
            self.directory.path().display(),
            self.port
        );
        fs::write(self.path("restante.toml"), text).unwrap();
        let output = Command::cargo_bin("restante")
            .unwrap()
            .args(["config", command, "--config"])
            .arg(self.path("restante.toml"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }

    /// `config check` fails and says this.
    fn fails(&self, more: &str, expected: &str) {
        let (status, text) = self.config("check", more);
        assert_eq!(status, 3, "{text}");
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn check_is_content_where_all_is_well() {
    let place = Place::new();
    let (status, text) = place.config("check", "");
    assert_eq!(status, 0, "{text}");
    assert!(!text.contains("WRONG"), "{text}");
    for what in [
        "spool",
        "cert.pem",
        &place.port.to_string(),
        "credentials.sqlite",
    ] {
        assert!(text.contains(what), "{what} is not in:\n{text}");
    }
}

#[test]
fn check_finds_a_port_in_use() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    place.fails("", "in use");
}

#[test]
fn check_finds_a_key_of_another_certificate() {
    let place = Place::new();
    place.certificate("other.pem", "key.pem");
    place.fails("", "cert.pem");
}

#[test]
fn check_finds_a_missing_certificate_and_a_key_that_others_can_read() {
    let place = Place::new();
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(place.path("key.pem"), open).unwrap();
    place.fails("", "chmod");
    fs::remove_file(place.path("cert.pem")).unwrap();
    place.fails("", "cert.pem");
}

#[test]
fn check_says_nothing_good_of_a_key_that_is_not_there() {
    let place = Place::new();
    fs::remove_file(place.path("key.pem")).unwrap();
    let (status, text) = place.config("check", "");
    assert_eq!(status, 3, "{text}");
    assert!(!text.contains("rights of"), "{text}");
}

#[test]
fn check_finds_two_listeners_at_one_place() {
    let place = Place::new();
    let listener =
        |at: &str| format!("[[listeners]]\n{at}\nprotocol = \"pop3\"\ntls = \"implicit\"\n");
    let same = format!("address = \"127.0.0.1:{}\"", place.port);
    place.fails(&listener(&same), "two listeners have \"127.0.0.1:");
    let passed = listener("systemd = \"imaps\"").repeat(2);
    place.fails(&passed, "listeners.systemd: two listeners have \"imaps\"");
    // the system chooses another port each time
    let (status, text) = place.config("check", &listener("address = \"127.0.0.1:0\"").repeat(2));
    assert_eq!(status, 0, "{text}");
}

#[test]
fn check_names_the_listener_where_nobody_could_log_in() {
    let place = Place::new();
    place.fails(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nprotocol = \"pop3\"\ntls = \"none\"\n",
        "nobody can log in at \"127.0.0.1:0\"",
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    place.config("show", "");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = std::process::Command::new(assert_cmd::cargo::cargo_bin!("restante"))
        .args(["config", "show", "--config"])
        .arg(place.path("restante.toml"))
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn check_finds_a_missing_spool_directory() {
    let place = Place::new();
    fs::remove_dir(place.path("spool")).unwrap();
    place.fails("", "storage.spool");
}

#[test]
fn check_finds_a_damaged_database_and_one_that_others_can_read() {
    let place = Place::new();
    fs::write(place.path("credentials.sqlite"), [7; 8192]).unwrap();
    place.fails("", "auth.database");
    place.fails("", "chmod 600");
}

#[test]
fn check_finds_values_that_only_a_layer_can_read() {
    let place = Place::new();
    place.fails("[pop3]\nunique_ids = \"nonsense\"\n", "pop3.unique_ids");
    place.fails("[pop3]\nlanguage = \"xx\"\n", "pop3.language");
    place.fails("[log]\nlevel = \"info,,=\"\n", "log");
    place.fails(
        "[log]\nlevel = \"verbose\"\n",
        "\"verbose\" is none of error,",
    );
    place.fails("[process]\nuser = \"no-such-user\"\n", "no-such-user");
}

#[test]
fn mistakes_are_told_with_line_column_and_what_was_meant() {
    let place = Place::new();
    for command in ["check", "show"] {
        let (status, text) = place.config(command, "[limits]\nconections = 5\n");
        assert_eq!(status, 3);
        assert!(
            text.contains(
                "restante.toml:13:1: unknown key limits.conections; did you mean limits.connections?"
            ),
            "{text}"
        );
    }
    let (status, text) = place.config("check", "[limits]\nhandshake = \"5 parsecs\"\n");
    assert_eq!(status, 3);
    assert!(text.contains("restante.toml:13:13: "), "{text}");
}

#[test]
fn show_tells_the_origin_of_every_value() {
    let place = Place::new();
    let (status, text) = place.config("show", "[limits]\nhandshake = \"5 s\"\n");
    assert_eq!(status, 0, "{text}");
    let line = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("{key} is not in:\n{text}"))
    };
    assert!(line("limits.handshake = ").ends_with("restante.toml:13"));
    assert!(line("limits.write = ").ends_with("default"));
    assert!(line("storage.spool = ").ends_with("restante.toml:2"));
    // what is shown can be put into a file again, apart from the sections of keys
    for (key, _) in load::default_values() {
        line(&key);
    }
}

#[test]
fn a_missing_file_is_told() {
    let output = Command::cargo_bin("restante")
        .unwrap()
        .args(["config", "check", "--config", "/nowhere/restante.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("/nowhere/restante.toml: cannot be read"),
        "{text}"
    );
}
