//! The filter in `conf/fail2ban` matches what the server logs, in both forms, and nothing that a client can write into a line.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use restante::auth::{Denial, Denied, LoginFacts, LoginResult, detail, log_login};
use restante::telemetry::{self, Format};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Takes the lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the real subscriber writes for a login.
fn line(format: Format, remote: &str, user: &str, result: LoginResult<'_>) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = telemetry::subscriber(format, "info", move || writer.clone()).unwrap();
    let facts = LoginFacts {
        protocol: "imap",
        user,
        mechanism: "PLAIN",
        tls: Some("TLSv1.3"),
        remote: remote.parse().unwrap(),
        connection: 7,
    };
    tracing::subscriber::with_default(subscriber, || {
        let _connection = tracing::info_span!("connection", id = 7, protocol = "imap").entered();
        log_login(&facts, result);
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "not one line: {text}");
    text
}

fn denied(detail: &'static str) -> Denied {
    Denied {
        reason: Denial::WrongCredentials,
        detail,
        delay: Duration::ZERO,
    }
}

fn filter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/fail2ban/filter.d/restante.conf")
}

/// Names that try to look like more than a name.
const FORGERIES: &[&str] = &[
    "x\n2026-01-01T00:00:00.000000Z  INFO login_failed remote=203.0.113.9 reason=\"wrong_password\"",
    "INFO login_failed remote=203.0.113.9 reason=\"wrong_password\" protocol=\"imap\"",
    "\",\"level\":\"INFO\",\"message\":\"login_failed\",\"remote\":\"203.0.113.9\",\"reason\":\"wrong_password\"",
    "\u{1b}[2J\u{202e}\r",
];

/// Lines that count, with the address that is to be banned for each.
fn counted(format: Format) -> Vec<(String, &'static str)> {
    let mut lines = Vec::new();
    for reason in [
        detail::UNKNOWN_USER,
        detail::WRONG_PASSWORD,
        detail::DISABLED,
    ] {
        for (remote, banned) in [
            ("192.0.2.1:40000", "192.0.2.1"),
            ("[2001:db8::1]:40000", "2001:db8::1"),
            ("[::ffff:192.0.2.7]:40000", "192.0.2.7"),
        ] {
            let result = denied(reason);
            lines.push((
                line(format, remote, "anna", LoginResult::Denied(&result)),
                banned,
            ));
        }
    }
    for user in FORGERIES {
        let result = denied(detail::WRONG_PASSWORD);
        lines.push((
            line(
                format,
                "192.0.2.1:40000",
                user,
                LoginResult::Denied(&result),
            ),
            "192.0.2.1",
        ));
    }
    lines
}

/// Lines that do not.
fn not_counted(format: Format) -> Vec<String> {
    let remote = "192.0.2.1:40000";
    let mut lines = vec![line(format, remote, "anna", LoginResult::Ok)];
    for reason in [
        detail::NOT_AUTHORIZED,
        detail::QUEUE_FULL,
        detail::OVERDUE,
        detail::THROTTLED,
        detail::STORE_UNAVAILABLE,
        detail::HASH_UNUSABLE,
        detail::INTERNAL,
    ] {
        lines.push(line(
            format,
            remote,
            "anna",
            LoginResult::Denied(&denied(reason)),
        ));
    }
    for user in FORGERIES {
        lines.push(line(format, remote, user, LoginResult::Ok));
        lines.push(line(
            format,
            remote,
            user,
            LoginResult::Failed("connection_limit"),
        ));
    }
    lines
}

/// The fixed parts of the filter's patterns, for one address: what must stand in a line as it is.
fn texts(address: &str) -> Vec<String> {
    let filter = std::fs::read_to_string(filter()).unwrap();
    let patterns: Vec<&str> = filter
        .lines()
        .filter(|line| line.contains("<ADDR>"))
        .collect();
    assert_eq!(patterns.len(), 2);
    let mut texts = Vec::new();
    for pattern in patterns {
        let fixed = pattern
            .rsplit_once(".*?")
            .unwrap()
            .1
            .replace("\\b", "")
            .replace("<ADDR>", address);
        let (before, rest) = fixed.split_once("(?:").unwrap();
        let (reasons, after) = rest.split_once(')').unwrap();
        texts.extend(
            reasons
                .split('|')
                .map(|reason| format!("{before}{reason}{after}")),
        );
    }
    texts
}

#[test]
fn the_lines_have_the_form_that_the_filter_names() {
    for format in [Format::Human, Format::Json] {
        for (line, address) in counted(format) {
            assert!(
                texts(address)
                    .iter()
                    .any(|text| line.contains(text.as_str())),
                "{line}"
            );
        }
        for line in not_counted(format) {
            for address in ["192.0.2.1", "203.0.113.9"] {
                assert!(
                    !texts(address)
                        .iter()
                        .any(|text| line.contains(text.as_str())),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn fail2ban_itself_agrees() {
    if Command::new("fail2ban-regex")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("SKIPPED: fail2ban-regex is not installed");
        return;
    }
    for format in [Format::Human, Format::Json] {
        for prefix in ["", "Nov 23 04:36:08 mail restante[123]: "] {
            let directory = tempfile::tempdir().unwrap();
            let (good, bad) = (counted(format), not_counted(format));
            let text: String = good
                .iter()
                .map(|(line, _)| line)
                .chain(&bad)
                .map(|line| format!("{prefix}{line}"))
                .collect();
            let log = directory.path().join("log");
            std::fs::File::create(&log)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            let run = Command::new("fail2ban-regex")
                .args(["-o", "ip"])
                .args([&log, &filter()])
                .output()
                .unwrap();
            let found = String::from_utf8(run.stdout).unwrap();
            let found: Vec<&str> = found.split_whitespace().collect();
            let expected: Vec<&str> = good.iter().map(|(_, address)| *address).collect();
            assert_eq!(
                found,
                expected,
                "{text}\n{}",
                String::from_utf8_lossy(&run.stderr)
            );
        }
    }
}
