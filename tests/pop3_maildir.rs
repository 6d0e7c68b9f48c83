//! POP3 on a real spool into which an MTA delivers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

#[path = "support/shell.rs"]
#[expect(dead_code, reason = "each test uses its part of it")]
mod shell;

use restante::mailbox::memory::START;
use restante::pop3::{Services, Session, Settings};
use restante::store::{self, Store};
use shell::{Clock, Connection, Cut, TestAuthenticator, TestHost};
use std::path::Path;
use std::sync::Arc;

/// Logs in as anna; the store is a new one, as after a restart.
fn log_in(base: &Path, settings: Settings) -> Client {
    let store = Store::new(store::Settings {
        spool: format!("{}/%{{user}}", base.display()),
        watch: false,
        ..store::Settings::default()
    });
    let host = TestHost::at(START);
    let services = Services {
        backend: Arc::new(store),
        authenticator: Arc::new(TestAuthenticator::default()),
        host: host.clone(),
        recent_logins: Arc::default(),
    };
    let session = Session::new(Arc::new(settings), services, Connection::peer(1, true));
    let mut client = Client {
        connection: Connection::new(Box::new(session), host, Cut::Whole),
        clock: Clock::new(),
    };
    client.say("USER anna\r\nPASS secret");
    client
}

struct Client {
    connection: Connection,
    clock: Clock,
}

impl Client {
    fn say(&mut self, line: &str) -> String {
        let now = self.clock.now();
        self.connection.send(format!("{line}\r\n").as_bytes(), now);
        let output = std::mem::take(&mut self.connection.output);
        String::from_utf8(output.into_octets()).unwrap()
    }
}

/// Names in a directory of the spool.
fn names(base: &Path, directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(base.join("anna").join(directory)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn what_was_delivered_is_read_and_removed() {
    let base = tempfile::tempdir().unwrap();
    let spool = maildir::Maildir::from(base.path().join("anna"));
    spool.create_dirs().unwrap();
    for message in [
        "Subject: one\n\n.\nfirst\n",
        "Subject: two\r\n\r\nsecond",
        "Subject: three\n\nthird\n",
    ] {
        spool.store_new(message.as_bytes()).unwrap();
    }

    let mut client = log_in(base.path(), Settings::default());
    assert_eq!(client.say("STAT"), "+OK 3 73\r\n");
    let retrieved = client.say("RETR 1") + &client.say("RETR 2") + &client.say("RETR 3");
    for expected in [
        "+OK 26 octets\r\nSubject: one\r\n\r\n..\r\nfirst\r\n.\r\n",
        "+OK 22 octets\r\nSubject: two\r\n\r\nsecond\r\n.\r\n",
        "+OK 25 octets\r\nSubject: three\r\n\r\nthird\r\n.\r\n",
    ] {
        assert!(retrieved.contains(expected), "{expected} in {retrieved}");
    }
    let unique_ids = client.say("UIDL");
    client.say("DELE 2");
    // another session of another process is kept out, and gives up after a while
    let mut other = log_in(base.path(), Settings::default());
    other.clock.pass(Settings::default().lock_patience);
    other.connection.run(other.clock.now());
    assert!(other.say("STAT").contains("-ERR [IN-USE] "));
    assert_eq!(names(base.path(), "new").len(), 3);
    assert!(client.say("QUIT").starts_with("+OK 1 messages deleted"));
    assert_eq!(
        names(base.path(), "new").len() + names(base.path(), "cur").len(),
        2
    );

    let mut client = log_in(base.path(), Settings::default());
    let lines: Vec<&str> = unique_ids.lines().collect();
    let third = lines[3].split(' ').next_back().unwrap();
    assert_eq!(client.say("UIDL 2"), format!("+OK 2 {third}\r\n"));
}

#[test]
fn retr_marks_as_seen_if_so_configured() {
    let base = tempfile::tempdir().unwrap();
    let spool = maildir::Maildir::from(base.path().join("anna"));
    spool.create_dirs().unwrap();
    spool.store_new(b"Subject: one\n\nfirst\n").unwrap();
    let settings = Settings {
        mark_seen: true,
        ..Settings::default()
    };
    log_in(base.path(), settings).say("RETR 1\r\nQUIT");
    let cur = names(base.path(), "cur");
    assert!(matches!(&*cur, [name] if name.ends_with(":2,S")), "{cur:?}");
}

#[test]
fn a_message_renamed_by_a_mail_program_is_found() {
    let base = tempfile::tempdir().unwrap();
    let spool = maildir::Maildir::from(base.path().join("anna"));
    spool.create_dirs().unwrap();
    let id = spool.store_new(b"Subject: one\n\nfirst\n").unwrap();
    let mut client = log_in(base.path(), Settings::default());
    spool.move_new_to_cur(&id).unwrap();
    spool.set_flags(&id, "RS").unwrap();
    assert!(client.say("RETR 1").contains("first"));
    spool.delete(&id).unwrap();
    assert!(
        client
            .say("RETR 1")
            .starts_with("-ERR message 1 is no longer there")
    );
    assert_eq!(client.say("NOOP"), "+OK nothing done\r\n");
}
