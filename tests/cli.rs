//! The command line: accounts, also while a server has the database open, and what it says when something is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says what is wrong by panicking, and its files need not last"
)]

#[path = "support/log.rs"]
mod log;

use assert_cmd::Command;
use restante::auth::database::{CredentialStore, Database};
use restante::auth::password::Costs;
use restante::auth::secret::Secret;
use restante::auth::user_name::UserName;
use restante::auth::{Attempt, Authenticator, Credentials, Denial, Outcome, Service, Settings};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A password that a shell or a quoted string could spoil.
const ODD: &str = " pä\"ss\\w0rd $1 %{x} ";

/// A configuration of its own.
struct Place(tempfile::TempDir);

/// What a run gave.
struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let text = format!(
            "[storage]\nspool = \"{0}/spool/%{{user}}\"\n[auth]\ndatabase = \"{0}/state/credentials.sqlite\"\nargon2_memory = \"8 KiB\"\n{more}",
            place.0.path().display()
        );
        fs::write(place.0.path().join("restante.toml"), text).unwrap();
        place
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("state/credentials.sqlite")
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Run {
        let output = Command::cargo_bin("restante")
            .unwrap()
            .args(arguments)
            .arg("--config")
            .arg(self.0.path().join("restante.toml"))
            .write_stdin(stdin)
            .output()
            .unwrap();
        Run {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A run that must go well; what it printed.
    fn user(&self, arguments: &[&str], stdin: &str) -> String {
        let run = self.run(&[&["user"], arguments].concat(), stdin);
        assert_eq!(run.status, 0, "{arguments:?}: {}", run.stderr);
        run.stdout
    }

    /// A run that must fail with a status and say something.
    fn fails(&self, arguments: &[&str], stdin: &str, status: i32, says: &str) {
        let run = self.run(arguments, stdin);
        assert_eq!(run.status, status, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{arguments:?}: {}", run.stdout);
    }

    /// An authenticator as the server has it, on the same database.
    fn service(&self) -> Service {
        let database = Database::open(&self.database()).unwrap();
        let costs = Costs {
            memory_kib: 8,
            ..Costs::default()
        };
        let settings = Settings {
            costs,
            ..Settings::default()
        };
        Service::new(Arc::new(database), settings).unwrap()
    }
}

/// Whether a login is let in.
fn logs_in(service: &Service, user: &str, password: &str) -> bool {
    log_in(service, user, password).is_ok()
}

/// What comes of a login.
fn log_in(service: &Service, user: &str, password: &str) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let attempt = Attempt {
        credentials: Credentials {
            authcid: user.to_owned(),
            authzid: String::new(),
            password: Secret::new(password),
        },
        mechanism: "PLAIN",
        protocol: "imap",
        connection: 1,
        remote: "192.0.2.1:1234".parse().unwrap(),
        tls: None,
    };
    service.begin(
        attempt,
        Box::new(move |outcome| sender.send(outcome).unwrap()),
    );
    receiver.recv_timeout(LONG).unwrap()
}

#[test]
fn an_account_s_life() {
    let place = Place::new("");
    place.user(&["add", "Anna@Example.org", "--stdin"], "secret\n");
    place.user(
        &["add", "bruno", "--stdin", "--spool", "/srv/bruno"],
        "secret",
    );
    let list = place.user(&["list"], "");
    let names: Vec<_> = list
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(names, ["anna@example.org", "bruno"]);

    let json: serde_json::Value =
        serde_json::from_str(&place.user(&["list", "--json"], "")).unwrap();
    assert_eq!(json[1]["user"], "bruno");
    assert_eq!(json[1]["spool"], "/srv/bruno");
    assert_eq!(json[0]["spool"], serde_json::Value::Null);
    let show = |field: &str| {
        let text = place.user(&["show", "bruno", "--json"], "");
        assert!(!text.contains("$argon2"), "the hash is nobody's business");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[field].clone()
    };
    assert_eq!(show("enabled"), true);
    assert_eq!(show("scheme"), "argon2id");
    place.user(&["disable", "BRUNO"], "");
    assert_eq!(show("enabled"), false);
    place.user(&["enable", "bruno"], "");
    assert_eq!(show("enabled"), true);
    place.user(&["remove", "bruno"], "");
    place.fails(&["user", "show", "bruno"], "", 4, "there is no user bruno");
    assert!(
        !place
            .user(&["show", "anna@example.org"], "")
            .contains("$argon2")
    );
}

#[test]
fn capabilities_are_switched_for_one_account() {
    let place = Place::new("");
    for user in ["anna", "bruno"] {
        place.user(&["add", user, "--stdin"], "secret\n");
    }
    let disabled = |user: &str| {
        let text = place.user(&["show", user, "--json"], "");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["disabled_capabilities"].to_string()
    };
    assert_eq!(disabled("anna"), "[]");
    place.user(
        &["set", "anna", "--disable-capability", "utf8=accept", "IDLE"],
        "",
    );
    assert_eq!(disabled("anna"), "[\"IDLE\",\"UTF8=ACCEPT\"]");
    assert!(
        place
            .user(&["show", "anna"], "")
            .contains("IDLE UTF8=ACCEPT")
    );
    assert_eq!(disabled("bruno"), "[]");
    place.user(
        &[
            "set",
            "anna",
            "--enable-capability=IDLE",
            "--disable-capability=MOVE",
        ],
        "",
    );
    assert_eq!(disabled("anna"), "[\"MOVE\",\"UTF8=ACCEPT\"]");
    for (arguments, status, says) in [
        (
            &["anna", "--disable-capability", "UTF-8=ACCEPT"][..],
            2,
            "unknown capability UTF-8=ACCEPT; did you mean UTF8=ACCEPT?",
        ),
        (
            &["anna", "--disable-capability", "STARTTLS"],
            2,
            "unknown capability STARTTLS",
        ),
        (
            &["anna", "--disable-capability=ID", "--enable-capability=id"],
            2,
            "ID cannot be both",
        ),
        (&["anna"], 2, "--disable-capability"),
        (
            &["carla", "--disable-capability", "IDLE"],
            4,
            "there is no user carla",
        ),
    ] {
        let arguments = [&["user", "set"], arguments].concat();
        place.fails(&arguments, "", status, says);
    }
    assert_eq!(disabled("anna"), "[\"MOVE\",\"UTF8=ACCEPT\"]");
}

#[test]
fn capabilities_in_the_configuration_must_be_known() {
    for (text, says) in [
        (
            "[imap]\ndisabled_capabilities = [\"idle\", \"AUTH=LOGON\"]\n",
            "imap.disabled_capabilities: unknown capability AUTH=LOGON; did you mean AUTH=LOGIN?",
        ),
        (
            "[pop3]\ndisabled_capabilities = [\"implementation\", \"UDIL\"]\n",
            "pop3.disabled_capabilities: unknown capability UDIL; did you mean UIDL?",
        ),
    ] {
        let place = Place::new(text);
        place.fails(&["serve"], "", 3, says);
        let check = place.run(&["config", "check"], "");
        assert!(check.stdout.contains(says), "{}", check.stdout);
    }
}

#[test]
fn a_password_is_taken_as_it_is_from_one_line() {
    let place = Place::new("");
    for (user, input) in [
        ("one", format!("{ODD}\n")),
        ("two", format!("{ODD}\r\n")),
        ("three", ODD.to_owned()),
        ("four", format!("{ODD}\nanother line\n")),
    ] {
        place.user(&["add", user, "--stdin"], &input);
        let service = place.service();
        assert!(logs_in(&service, user, ODD), "{user}");
        assert!(!logs_in(&service, user, ODD.trim()), "{user}");
    }
}

#[test]
fn mistakes_have_a_status_and_a_text() {
    let place = Place::new("");
    place.fails(&["user", "list"], "", 4, "user add");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    for (arguments, stdin, status, says) in [
        (
            &["user", "add", "Anna", "--stdin"][..],
            "x\n",
            4,
            "exists already",
        ),
        (
            &["user", "passwd", "nobody", "--stdin"],
            "x\n",
            4,
            "there is no user nobody",
        ),
        (
            &["user", "remove", "nobody"],
            "",
            4,
            "there is no user nobody",
        ),
        (
            &["user", "add", "../anna", "--stdin"],
            "x\n",
            4,
            "a user name has",
        ),
        (
            &["user", "add", "bruno", "--stdin"],
            "\n",
            1,
            "neither empty",
        ),
        (&["user", "add", "bruno", "--stdin"], "a\0b\n", 1, "NUL"),
        (&["user", "add", "bruno"], "secret\n", 2, "--stdin"),
        // a password never comes as an argument, where all users of the machine could read it
        (
            &["user", "add", "bruno", "secret"],
            "",
            2,
            "unexpected argument",
        ),
        (
            &["user", "passwd", "anna", "--password", "x"],
            "",
            2,
            "unexpected argument",
        ),
    ] {
        place.fails(arguments, stdin, status, says);
    }
    assert_eq!(place.user(&["list"], "").lines().count(), 1);
}

#[test]
fn a_damaged_database_is_told_and_left_alone() {
    let place = Place::new(LISTENER);
    fs::create_dir(place.0.path().join("state")).unwrap();
    fs::write(place.database(), [7; 8192]).unwrap();
    let path = place.database();
    for (arguments, status) in [
        (&["user", "list"][..], 1),
        (&["user", "add", "anna", "--stdin"], 1),
        // a server that could let nobody in does not start, so that whoever started it sees why
        (&["serve"], 1),
    ] {
        for says in [
            path.to_str().unwrap(),
            "not a database",
            "put a backup in its place",
            ".recover",
        ] {
            place.fails(arguments, "secret\n", status, says);
        }
    }
    assert_eq!(fs::read(&path).unwrap(), [7; 8192]);
}

/// For a server that is started, should it start.
const LISTENER: &str = "allow_plaintext = true\n[[listeners]]\naddress = \"127.0.0.1:0\"\nprotocol = \"imap\"\ntls = \"none\"\n";

/// Spoils all but the first page, in place, as a failing disk does.
fn spoil(database: &std::path::Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(database).unwrap();
    let octets = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xa5; octets - 4096], 4096).unwrap();
}

#[test]
fn damage_behind_the_first_page_is_found_at_the_start_and_by_the_check() {
    let place = Place::new(LISTENER);
    place.user(&["add", "anna", "--stdin"], "secret\n");
    spoil(&place.database());
    place.fails(&["serve"], "", 1, "put a backup in its place");
    let check = place.run(&["config", "check"], "");
    assert_eq!(check.status, 3, "{}", check.stdout);
    assert!(check.stdout.contains(".recover"), "{}", check.stdout);
}

#[test]
fn damage_while_the_server_runs_is_a_temporary_failure_that_says_what_to_do() {
    let log = log::errors();
    let place = Place::new("");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    let service = place.service();
    spoil(&place.database());
    let denied = log_in(&service, "anna", "secret").unwrap_err();
    assert_eq!(denied.reason, Denial::Unavailable);
    let lines = log.lines("credential_lookup_failed");
    let path = place.database().display().to_string();
    let own = lines.iter().find(|line| line.contains(&path)).unwrap();
    for says in [
        "is damaged",
        "put a backup in its place",
        ".recover",
        "advice=",
    ] {
        assert!(own.contains(says), "{own}");
    }
}

#[test]
fn a_change_counts_in_a_running_server() {
    let place = Place::new("");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    let service = place.service();
    let (sender, changed) = mpsc::channel();
    service.on_change(move |user| sender.send(user.to_owned()).unwrap());
    assert!(logs_in(&service, "anna", "secret"));
    place.user(&["passwd", "anna", "--stdin"], "new\n");
    assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    assert!(!logs_in(&service, "anna", "secret"));
    assert!(logs_in(&service, "anna", "new"));
    place.user(&["disable", "anna"], "");
    assert_eq!(changed.recv_timeout(LONG).unwrap(), "anna");
    assert!(!logs_in(&service, "anna", "new"));
    // one that is added is there at once
    place.user(&["add", "bruno", "--stdin"], "secret\n");
    assert!(logs_in(&service, "bruno", "secret"));
}

#[test]
fn many_processes_may_add_accounts_at_once() {
    let place = Place::new("");
    std::thread::scope(|scope| {
        for number in 0..6 {
            let place = &place;
            scope.spawn(move || {
                place.user(&["add", &format!("user{number}"), "--stdin"], "secret\n");
            });
        }
    });
    assert_eq!(place.user(&["list"], "").lines().count(), 6);
}

#[test]
fn only_its_owner_can_read_the_database() {
    let place = Place::new("");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.database()), 0o600);
    assert_eq!(mode(place.0.path().join("state")), 0o700);
}

#[test]
fn as_root_the_database_belongs_to_whom_the_server_becomes() {
    // a user without an entry, so that the test needs none
    let place = Place::new("[process]\nuser = \"54321\"\ngroup = \"54322\"\n");
    if fs::metadata(place.0.path()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: not root");
        return;
    }
    let owner = |path: PathBuf| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    };
    let state = || place.0.path().join("state");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    assert_eq!(owner(state()), (54321, 54322));
    assert_eq!(owner(place.database()), (54321, 54322));
    fs::remove_dir_all(state()).unwrap();
    // made by the service manager, as root's, with an index of a server that ran as root
    fs::create_dir_all(state().join("index/anna")).unwrap();
    place.user(&["add", "anna", "--stdin"], "secret\n");
    assert_eq!(owner(state()), (54321, 54322));
    assert_eq!(owner(place.database()), (54321, 54322));
    fs::remove_dir_all(state()).unwrap();
    // a directory of root's with other things in it is not given away
    fs::create_dir(state()).unwrap();
    fs::write(state().join("shadow"), "x").unwrap();
    place.user(&["add", "anna", "--stdin"], "secret\n");
    assert_eq!(owner(state()), (0, 0));
    assert_eq!(owner(state().join("shadow")), (0, 0));
}

#[test]
fn last_logins_are_kept() {
    let place = Place::new("");
    place.user(&["add", "anna", "--stdin"], "secret\n");
    assert!(place.user(&["list"], "").contains("never"));
    let service = place.service();
    assert!(logs_in(&service, "anna", "secret"));
    // written at the latest when the server stops, on a thread of its own
    drop(service);
    let database = Database::open(&place.database()).unwrap();
    let anna = UserName::new("anna").unwrap();
    let end = std::time::Instant::now() + LONG;
    while database.find(&anna).unwrap().unwrap().last_login.is_none() {
        assert!(std::time::Instant::now() < end, "not written");
        std::thread::yield_now();
    }
    assert!(!place.user(&["list"], "").contains("never"));
}

#[test]
fn help_names_every_command() {
    let help = |arguments: &[&str]| {
        let output = Command::cargo_bin("restante")
            .unwrap()
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = help(&["--help"]);
    for command in ["serve", "demo", "user", "config", "--config"] {
        assert!(text.contains(command), "{command}");
    }
    let text = help(&["user", "--help"]);
    for command in [
        "add", "passwd", "list", "show", "disable", "enable", "remove",
    ] {
        assert!(text.contains(command), "{command}");
    }
    assert!(help(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}
