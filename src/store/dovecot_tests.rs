//! Dovecot before us and after us on one spool: the same UIDs, keywords and subscriptions.
//!
//! Run with `cargo test --lib -- --ignored dovecot`, where Dovecot 2.3 is installed. As root, mail is that of the user `mail`, since
//! Dovecot does not serve root's.

use super::courier;
use super::filename::FileName;
use super::folders::{Folders, Layout};
use super::keywords::KeywordFiles;
use super::uidlist::{Edit, NewRecord, UidList};
use super::uidlist_file::UidListFile;
use super::{subscriptions, uid_validity};
use crate::durable::{self, Ownership};
use crate::mailbox::flag::{Flags, Keyword, SystemFlag};
use crate::mailbox::id::UidValidity;
use crate::mailbox::name::MailboxName;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const IMAP: &str = "/usr/lib/dovecot/imap";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A spool that Dovecot can serve.
struct Shared {
    directory: tempfile::TempDir,
    root: PathBuf,
    layout: Layout,
}

impl Shared {
    fn new(layout: Layout) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("Maildir");
        let (user, mode) = user_and_location(layout);
        let home = directory.path().display();
        let config = format!(
            "base_dir = {home}/run\nlog_path = /dev/stderr\nssl = no\nmail_location = maildir:{}{mode}\n\
             mail_uid = {user}\nmail_gid = {user}\nfirst_valid_uid = 0\nfirst_valid_gid = 0\nmail_home = {home}\n\
             mailbox_list_index = no\nnamespace inbox {{\n  inbox = yes\n  separator = /\n}}\n",
            root.display()
        );
        fs::create_dir(directory.path().join("run")).unwrap();
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        let shared = Self {
            directory,
            root,
            layout,
        };
        shared.write("dovecot.conf", config.as_bytes());
        // what we make in it belongs to its owner
        if let (true, Ok(id)) = (is_root(), user.parse()) {
            std::os::unix::fs::chown(&shared.root, Some(id), Some(id)).unwrap();
            fs::set_permissions(shared.directory.path(), fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        shared.folders().ensure_root().unwrap();
        shared
    }

    fn write(&self, name: &str, text: &[u8]) {
        let path = self.directory.path().join(name);
        fs::File::create(path).unwrap().write_all(text).unwrap();
    }

    fn folders(&self) -> Folders {
        Folders::new(&self.root, self.layout)
    }

    fn like(&self) -> Ownership {
        Ownership::of(&self.root).unwrap()
    }

    /// Delivers a message under this name, flags included, as an MTA does.
    fn deliver(&self, mailbox: &Path, name: &str) {
        let place = if name.contains(':') { "cur" } else { "new" };
        let mut file = durable::create_new(&mailbox.join(place).join(name), &self.like()).unwrap();
        file.write_all(b"Subject: x\n\nbody\n").unwrap();
    }

    /// Has Dovecot do these commands, and returns all its lines.
    fn dovecot(&self, commands: &[&str]) -> Vec<String> {
        let mut child = Command::new(IMAP)
            .arg("-c")
            .arg(self.directory.path().join("dovecot.conf"))
            .env("HOME", self.directory.path())
            .env("USER", "someone")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for (number, command) in commands.iter().chain(&["LOGOUT"]).enumerate() {
            write!(input, "a{number} {command}\r\n").unwrap();
        }
        drop(input);
        let (mut output, mut errors) = (String::new(), String::new());
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut output)
            .unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        child.wait().unwrap();
        let complaints: Vec<&str> = errors
            .lines()
            .filter(|line| !line.contains("stats-writer") && !line.contains("Info: "))
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}\n{output}");
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        for number in 0..commands.len() {
            let done = format!("a{number} OK");
            assert!(lines.iter().any(|line| line.starts_with(&done)), "{output}");
        }
        lines
    }

    /// What Dovecot has in a mailbox: UIDVALIDITY and `<uid> <flags>` of each message.
    fn seen_by_dovecot(&self, mailbox: &str) -> (u32, Vec<String>) {
        let examine = format!("EXAMINE \"{mailbox}\"");
        let lines = self.dovecot(&[&examine, "UID FETCH 1:* FLAGS"]);
        let validity = lines
            .iter()
            .find_map(|line| line.strip_prefix("* OK [UIDVALIDITY ")?.split(']').next())
            .unwrap();
        let messages = lines
            .iter()
            .filter_map(|line| line.split_once("FETCH (UID "))
            .map(|(_, rest)| {
                let (uid, flags) = rest.split_once(" FLAGS (").unwrap();
                let mut flags: Vec<&str> = flags
                    .trim_end_matches(')')
                    .split(' ')
                    .filter(|flag| *flag != "\\Recent" && !flag.is_empty())
                    .collect();
                flags.sort_unstable();
                format!("{uid} {}", flags.join(" "))
            })
            .collect();
        (validity.parse().unwrap(), messages)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whose mail it is, and what follows the place in `mail_location`.
fn user_and_location(layout: Layout) -> (String, &'static str) {
    let user = if is_root() {
        8
    } else {
        rustix::process::geteuid().as_raw()
    };
    let mode = match layout {
        Layout::MaildirPlusPlus => "",
        Layout::Fs => ":LAYOUT=fs",
    };
    (user.to_string(), mode)
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

fn keyword(text: &str) -> Keyword {
    Keyword::new(text).unwrap()
}

/// A list as `<uid> <base name>`.
fn records(list: &UidList) -> Vec<String> {
    list.records()
        .map(|record| format!("{} {}", record.uid, String::from_utf8_lossy(record.base)))
        .collect()
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn we_read_what_dovecot_wrote() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    for name in ["1000.M1P1.x", "999.M5P1.x", "1001.M1P1.x"] {
        shared.deliver(&shared.root, name);
    }
    shared.dovecot(&[
        "CREATE \"M&APw-ll/2026\"",
        "SUBSCRIBE \"M&APw-ll/2026\"",
        "SUBSCRIBE INBOX",
        "SELECT INBOX",
        "UID STORE 2 +FLAGS (\\Seen $Forwarded NonJunk)",
        "UID COPY 1 \"M&APw-ll/2026\"",
        "SELECT \"M&APw-ll/2026\"",
    ]);
    let (validity, _) = shared.seen_by_dovecot("INBOX");
    let mut file = UidListFile::new(&shared.root);
    file.look().unwrap();
    let list = file.list().unwrap();
    assert_eq!(list.uid_validity().value(), validity);
    assert_eq!(
        records(list),
        ["1 999.M5P1.x", "2 1000.M1P1.x", "3 1001.M1P1.x"]
    );
    assert!(list.guid().is_some());
    let mut keywords = KeywordFiles::new(&shared.root);
    keywords.look().unwrap();
    let in_cur = fs::read_dir(shared.root.join("cur")).unwrap();
    let flags = in_cur
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("1000."))
        .map(|name| {
            FileName::parse(name.as_bytes())
                .unwrap()
                .flags(keywords.table())
        })
        .unwrap();
    let at = |text| keywords.table().position(&keyword(text)).unwrap();
    assert_eq!(
        flags,
        Flags::NONE
            .with(SystemFlag::Seen)
            .with_keyword(at("$Forwarded"))
            .with_keyword(at("NonJunk"))
    );
    assert_eq!(
        subscriptions::read(&shared.root, shared.layout).unwrap(),
        [name("INBOX"), name("Müll/2026")].into()
    );
    let found = shared.folders().find(&name("Müll/2026")).unwrap().unwrap();
    let mut file = UidListFile::new(&found);
    file.look().unwrap();
    assert_eq!(file.list().unwrap().len(), 1);
    // the next value we take lies above those that Dovecot took
    let next = uid_validity::allocate(&shared.root, &shared.like(), 0, None).unwrap();
    assert!(next > file.list().unwrap().uid_validity());
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn dovecot_accepts_what_we_wrote() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let shared = Shared::new(layout);
        let like = shared.like();
        for (mailbox, place) in [("INBOX", "INBOX"), ("Müll/x", "M&APw-ll/x")] {
            let directory = prepare(&shared, mailbox);
            let mut keywords = KeywordFiles::new(&directory);
            let words = [keyword("$Forwarded"), keyword("NonJunk")];
            keywords.look().unwrap();
            keywords.add(&words, Flags::NONE, &like).unwrap();
            for name in ["10.M1P1.x:2,Sb", "11.M1P1.x,S=17,W=20:2,Fa", "12.M1P1.x"] {
                shared.deliver(&directory, name);
            }
            let mut file = UidListFile::new(&directory);
            let mut locked = file.lock(&like, TIMEOUT).unwrap();
            let bases = ["gone", "12.M1P1.x", "11.M1P1.x,S=17,W=20"];
            for base in bases {
                let record = NewRecord {
                    base: base.as_bytes(),
                    fields: if base == "gone" {
                        b""
                    } else {
                        b"Pstored-id O3"
                    },
                };
                locked.append([record]).unwrap();
            }
            drop(locked);
            let written = fs::read(directory.join("dovecot-uidlist")).unwrap();
            let (validity, seen) = shared.seen_by_dovecot(place);
            assert_eq!(validity, file.list().unwrap().uid_validity().value());
            // the one without a record gets the next UID
            assert_eq!(seen, ["2 ", "3 $Forwarded \\Flagged", "4 NonJunk \\Seen"]);
            let after = fs::read(directory.join("dovecot-uidlist")).unwrap();
            assert!(after.starts_with(&written), "appended to, not written anew");
            file.look().unwrap();
            assert_eq!(records(file.list().unwrap()).last().unwrap(), "4 10.M1P1.x");
        }
    }
}

/// Makes a mailbox with an empty list, as the store does.
fn prepare(shared: &Shared, mailbox: &str) -> PathBuf {
    let like = shared.like();
    let make_list = |directory: &Path| {
        let floor = uid_validity::highest(&shared.folders())?;
        let value = uid_validity::allocate(&shared.root, &like, 1_800_000_000, floor)?;
        UidListFile::new(directory)
            .lock(&like, TIMEOUT)?
            .create(&UidList::new(value, [7; 16]))
    };
    if mailbox == "INBOX" {
        make_list(&shared.root).unwrap();
        return shared.root.clone();
    }
    shared
        .folders()
        .create(&name(mailbox), &like, make_list)
        .unwrap()
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn both_take_turns() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    let like = shared.like();
    prepare(&shared, "INBOX");
    let mut file = UidListFile::new(&shared.root);
    for turn in 0..6 {
        let base = format!("{}.M1P1.x", 1000 + turn);
        shared.deliver(&shared.root, &base);
        if turn % 2 == 0 {
            shared.dovecot(&["SELECT INBOX"]);
        } else {
            let mut locked = file.lock(&like, TIMEOUT).unwrap();
            let record = NewRecord {
                base: base.as_bytes(),
                fields: b"",
            };
            locked.append([record]).unwrap();
            if turn == 3 {
                locked.rewrite(|_| Edit::Keep).unwrap();
            }
        }
        file.look().unwrap();
        let expected: Vec<String> = (0..=turn)
            .map(|n| format!("{} {}.M1P1.x", n + 1, 1000 + n))
            .collect();
        assert_eq!(records(file.list().unwrap()), expected);
    }
    let (validity, seen) = shared.seen_by_dovecot("INBOX");
    assert_eq!(validity, file.list().unwrap().uid_validity().value());
    assert_eq!(seen, ["1 ", "2 ", "3 ", "4 ", "5 ", "6 "]);
    let owner = fs::metadata(&shared.root).unwrap().uid();
    for entry in fs::read_dir(&shared.root).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), owner, "{:?}", entry.path());
    }
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn subscriptions_mailboxes_and_uidvalidity_are_shared() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    let (root, like, layout) = (&shared.root, shared.like(), shared.layout);
    let create = |text: &str| prepare(&shared, text);
    for text in ["Sent", "Müll/x", "a.b", "Gone"] {
        create(text);
    }
    shared.folders().remove(&name("Gone")).unwrap();
    let changes = [name("Sent"), name("Müll/x"), name("a.b")].map(|name| (name, true));
    subscriptions::change(root, layout, &like, &changes).unwrap();
    let lines = shared.dovecot(&[
        "LIST \"\" *",
        "LSUB \"\" *",
        "CREATE Theirs",
        "UNSUBSCRIBE Sent",
    ]);
    let told = |kind: &str| {
        let mut names: Vec<&str> = lines
            .iter()
            .filter(|line| line.starts_with(kind))
            .filter_map(|line| line.split("\"/\" ").nth(1))
            .collect();
        names.sort_unstable();
        names
    };
    // Dovecot shows the escape of a dot as it stands, as one level all the same
    assert_eq!(told("* LIST"), ["INBOX", "M&APw-ll/x", "Sent", "a&-AC4-b"]);
    // a parent without a mailbox is told by LSUB only when asked with `%`
    assert_eq!(told("* LSUB"), ["M&APw-ll/x", "Sent", "a&-AC4-b"]);
    assert_eq!(
        subscriptions::read(root, layout).unwrap(),
        [name("Müll/x"), name("a.b")].into()
    );
    shared.dovecot(&["SELECT Theirs"]);
    let theirs = shared.seen_by_dovecot("Theirs").0;
    let ours = uid_validity::highest(&shared.folders()).unwrap();
    assert!(ours.is_some_and(|ours| ours >= UidValidity::new(theirs).unwrap()));
    let next = uid_validity::allocate(root, &like, 0, None).unwrap();
    assert!(Some(next) > ours, "{next} {ours:?}");
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn dovecot_goes_on_after_we_mended_a_damaged_list() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    let like = shared.like();
    for n in 1..=5 {
        shared.deliver(&shared.root, &format!("{}.M1P1.x:2,S", 1000 + n));
    }
    shared.dovecot(&["SELECT INBOX"]);
    let (validity, _) = shared.seen_by_dovecot("INBOX");
    let mut file = UidListFile::new(&shared.root);
    file.lock(&like, TIMEOUT).unwrap();
    let path = shared.root.join("dovecot-uidlist");
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let damaged = text
        .replacen("3 V", "\u{7} V9", 1)
        .replace("3 :1003", "x :1003");
    durable::replace(&path, damaged.as_bytes(), &like).unwrap();
    let mut later = UidListFile::new(&shared.root);
    let mut locked = later.lock(&like, TIMEOUT).unwrap();
    assert!(locked.wants_rewrite(5));
    locked.rewrite(|_| Edit::Keep).unwrap();
    drop(locked);
    let (after, seen) = shared.seen_by_dovecot("INBOX");
    assert_eq!(after, validity);
    let uids: Vec<u32> = seen
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(uids[..4], [1, 2, 4, 5]);
    assert!(uids[4] > 5 && uids.len() == 5, "{uids:?}");
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn dovecot_goes_on_where_courier_was() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    let like = shared.like();
    for name in ["1000.a:2,S", "1001.b:2,"] {
        shared.deliver(&shared.root, name);
    }
    let text = b"1 721823000 31\n12 1000.a\n30 1001.b\n";
    durable::replace(&shared.root.join("courierimapuiddb"), text, &like).unwrap();
    let list = courier::uid_list(&shared.root, [3; 16]).unwrap().unwrap();
    let mut file = UidListFile::new(&shared.root);
    file.lock(&like, TIMEOUT).unwrap().create(&list).unwrap();
    assert_eq!(
        shared.seen_by_dovecot("INBOX"),
        (721_823_000, vec!["12 \\Seen".to_owned(), "30 ".to_owned()])
    );
}

#[test]
#[ignore = "needs Dovecot 2.3"]
fn dovecot_takes_over_the_lock_of_a_process_of_ours_that_died() {
    let shared = Shared::new(Layout::MaildirPlusPlus);
    prepare(&shared, "INBOX");
    shared.deliver(&shared.root, "1000.a");
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let host = rustix::system::uname();
    let text = format!("{}:{}", dead.id(), host.nodename().to_string_lossy());
    let lock = shared.root.join("dovecot-uidlist.lock");
    durable::replace(&lock, text.as_bytes(), &shared.like()).unwrap();
    shared.dovecot(&["SELECT INBOX"]);
    assert!(!lock.exists());
    let mut file = UidListFile::new(&shared.root);
    file.look().unwrap();
    assert_eq!(records(file.list().unwrap()), ["1 1000.a"]);
}
