//! Debian's Dovecot on the same spool, before us and after us: it sees the same, and so do we. Passed over where there is no Dovecot.

use super::spool::{Spool, flags, keyword, name, octets, picture, set, uid};
use restante::mailbox::backend::{FlagChange, Intake};
use restante::mailbox::flag::{FlagAction, SystemFlag};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where Debian and others have the IMAP process, which serves a spool over its standard streams without a login.
const BINARIES: [&str; 2] = ["/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap"];

/// Who owns the spool when the tests run as root, which Dovecot refuses to serve.
const NOBODY: u32 = 65_534;

/// Dovecot 2.3 on a spool; none if it is not installed.
struct Dovecot {
    binary: &'static str,
    directory: tempfile::TempDir,
}

impl Dovecot {
    fn new(spool: &Spool) -> Option<Self> {
        let binary = BINARIES
            .into_iter()
            .find(|binary| Path::new(binary).exists())?;
        let directory = tempfile::tempdir().unwrap();
        let root = spool.path("");
        let above = root.parent().unwrap();
        fs::create_dir_all(&root).unwrap();
        let me = fs::metadata(directory.path()).unwrap();
        let owner = if me.uid() == 0 {
            (NOBODY, NOBODY)
        } else {
            (me.uid(), me.gid())
        };
        for path in [above, &root, directory.path()] {
            chown(path, Some(owner.0), Some(owner.1)).unwrap();
        }
        let here = directory.path().display();
        let configuration = format!(
            "protocols = imap\nlog_path = {here}/log\nbase_dir = {here}/run\nstate_dir = {here}/state\n\
             mail_location = maildir:{}\nfirst_valid_uid = 1\nmail_uid = {}\nmail_gid = {}\nssl = no\n\
             stats_writer_socket_path =\n",
            root.display(),
            owner.0,
            owner.1
        );
        fs::write(directory.path().join("dovecot.conf"), configuration).unwrap();
        Some(Self { binary, directory })
    }

    /// Has it compress what it stores from now on.
    fn compress(&self, form: &str) {
        let path = self.directory.path().join("dovecot.conf");
        let plain = fs::read_to_string(&path).unwrap();
        let plain = plain.split("mail_plugins").next().unwrap();
        let plugin = format!("mail_plugins = zlib\nplugin {{\n  zlib_save = {form}\n}}\n");
        fs::write(&path, format!("{plain}{plugin}")).unwrap();
    }

    /// Sends commands, returns all answers.
    fn run(&self, commands: &[&str]) -> String {
        let mut child = Command::new(self.binary)
            .arg("-c")
            .arg(self.directory.path().join("dovecot.conf"))
            .env("USER", "anna")
            .env("HOME", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for (tag, command) in commands.iter().enumerate() {
            write!(input, "a{tag} {command}\r\nn{tag} NOOP\r\n").unwrap();
        }
        write!(input, "z LOGOUT\r\n").unwrap();
        let answers = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        // while its answers wait to be read, the end of input would end it
        drop(input);
        assert!(answers.contains("z OK"), "{answers}");
        answers
    }

    /// UIDVALIDITY, UIDs and flags of a mailbox as Dovecot tells them.
    fn picture(&self, mailbox: &str) -> (u32, Vec<(u32, String)>) {
        let answers = self.run(&[&format!("EXAMINE {mailbox}"), "UID FETCH 1:* FLAGS"]);
        let validity = between(&answers, "[UIDVALIDITY ", "]").parse().unwrap();
        let rows = answers
            .lines()
            .filter(|line| line.contains(" FETCH (UID"))
            .map(|line| {
                let uid = between(line, "(UID ", " ").parse().unwrap();
                let mut words: Vec<&str> = between(line, "FLAGS (", ")").split(' ').collect();
                words.retain(|word| *word != "\\Recent" && !word.is_empty());
                words.sort_unstable();
                (uid, words.join(" "))
            })
            .collect();
        (validity, rows)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

/// Our own picture with sorted flags.
fn our_picture(spool: &Spool, mailbox: &str) -> (u32, Vec<(u32, String)>) {
    let account = spool.account();
    let mailbox = account.open(&name(mailbox), Intake::Look).unwrap();
    let validity = mailbox.read().uid_validity().value();
    let rows = picture(&*mailbox).into_iter().map(|(uid, flags)| {
        let mut words: Vec<&str> = flags.split(' ').filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        (uid, words.join(" "))
    });
    (validity, rows.collect())
}

/// Takes Dovecot's indexes away, so that it has only what lies in the Maildir.
fn forget_indexes(spool: &Spool, folders: &[&str]) {
    for folder in folders {
        for file in spool.files(folder) {
            if file.starts_with("dovecot.index") || file.starts_with("dovecot.list.index") {
                fs::remove_file(spool.path(folder).join(file)).unwrap();
            }
        }
    }
}

#[test]
fn dovecot_and_we_see_the_same() {
    let spool = Spool::new();
    let Some(dovecot) = Dovecot::new(&spool) else {
        eprintln!("no Dovecot here: not tested");
        return;
    };
    // what Dovecot leaves
    spool.account();
    for _ in 0..3 {
        spool.deliver("INBOX", b"Subject: x\n\nbody\n");
    }
    dovecot.run(&[
        "SELECT INBOX",
        "STORE 1 +FLAGS (\\Seen $Forwarded)",
        "STORE 3 +FLAGS (\\Flagged NonJunk)",
        "STORE 2 +FLAGS \\Deleted",
        "EXPUNGE",
        "CREATE Work.2026",
        "SUBSCRIBE Work.2026",
        "SUBSCRIBE INBOX",
        "COPY 1:2 Work.2026",
    ]);
    for mailbox in ["INBOX", "Work/2026"] {
        assert_eq!(
            our_picture(&spool, mailbox),
            dovecot.picture(&mailbox.replace('/', ".")),
            "{mailbox}"
        );
    }
    assert_eq!(
        our_picture(&spool, "INBOX")
            .1
            .iter()
            .map(|row| row.0)
            .collect::<Vec<_>>(),
        [1, 3]
    );
    let account = spool.account();
    let subscribed: BTreeSet<String> = account
        .subscriptions()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        subscribed,
        ["INBOX", "Work/2026"]
            .map(str::to_owned)
            .into_iter()
            .collect()
    );

    // what we leave
    spool.append(&*account, "INBOX", b"four\r\n", &[SystemFlag::Draft]);
    spool.deliver("INBOX", b"five\n");
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let mut given = flags(&[SystemFlag::Answered]);
    given.keywords.extend([keyword("nonjunk"), keyword("$New")]);
    let change = FlagChange {
        action: FlagAction::Add,
        flags: given,
        unchanged_since: None,
    };
    inbox.store(&set(&[1, 5]), &change).unwrap();
    inbox.move_to(&set(&[3]), &name("Work/2026")).unwrap();
    account.create(&name("Ours"), &[]).unwrap();
    inbox.copy(&set(&[1, 4]), &name("Ours")).unwrap();
    account.set_subscribed(&name("Ours"), true).unwrap();
    let folders = ["INBOX", "Work/2026", "Ours"];
    let directories = ["", ".Work.2026", ".Ours"];
    let before: Vec<_> = folders
        .iter()
        .map(|mailbox| our_picture(&spool, mailbox))
        .collect();
    for indexes in ["with its indexes", "without indexes"] {
        for (mailbox, expected) in folders.iter().zip(&before) {
            assert_eq!(
                &dovecot.picture(&mailbox.replace('/', ".")),
                expected,
                "{mailbox} {indexes}"
            );
        }
        forget_indexes(&spool, &directories);
    }
    let listed = dovecot.run(&["LSUB \"\" \"*\""]);
    for mailbox in ["INBOX", "Work.2026", "Ours"] {
        assert!(
            listed
                .lines()
                .any(|line| line.ends_with(&format!(" {mailbox}"))),
            "{listed}"
        );
    }
    // and Dovecot goes on
    dovecot.run(&[
        "SELECT INBOX",
        "UID STORE 4 +FLAGS \\Seen",
        "UID EXPUNGE 1",
        "COPY 1 Ours",
    ]);
    inbox.refresh(Intake::Take).unwrap();
    for (mailbox, expected) in folders
        .iter()
        .map(|mailbox| (mailbox, our_picture(&spool, mailbox)))
    {
        assert_eq!(
            dovecot.picture(&mailbox.replace('/', ".")),
            expected,
            "{mailbox}"
        );
    }
    assert!(
        picture(&*inbox)
            .iter()
            .any(|(uid, flags)| *uid == 4 && flags.contains("\\Seen"))
    );
}

#[test]
fn both_at_work_at_once() {
    let spool = Spool::new();
    let Some(dovecot) = Dovecot::new(&spool) else {
        eprintln!("no Dovecot here: not tested");
        return;
    };
    spool.account();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..5 {
                let append = format!("APPEND INBOX (kw{n}) {{3+}}\r\nx\r\n");
                dovecot.run(&["SELECT INBOX", &append, "STORE 1:* +FLAGS \\Flagged"]);
            }
        });
        scope.spawn(|| {
            let account = spool.account();
            let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
            for _ in 0..40 {
                spool.append(&*account, "INBOX", b"y\r\n", &[]);
                spool.deliver("INBOX", b"z\n");
                inbox.refresh(Intake::Take).unwrap();
            }
        });
    });
    let (ours, theirs) = (our_picture(&spool, "INBOX"), dovecot.picture("INBOX"));
    assert_eq!(ours, theirs);
    assert_eq!(ours.1.len(), 85);
}

#[test]
fn what_dovecot_compressed_is_the_same_message_to_both() {
    let spool = Spool::new();
    let Some(dovecot) = Dovecot::new(&spool) else {
        eprintln!("no Dovecot here: not tested");
        return;
    };
    spool.account();
    let lines: String = (0..20_000_u32)
        .map(|n| format!("line {} {n}\r\n", n.wrapping_mul(2_654_435_761)))
        .collect();
    let message = format!("Subject: compressed\r\n\r\n{lines}");
    let forms = [
        ("gz", &b"\x1f\x8b"[..]),
        ("bz2", b"BZh"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("lz4", b"Dovecot-LZ4"),
    ];
    for (number, (form, magic)) in (1..).zip(forms) {
        dovecot.compress(form);
        let append = format!("APPEND INBOX (\\Seen) {{{}+}}\r\n{message}", message.len());
        dovecot.run(&[&append]);
        let account = spool.account();
        let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
        let uid = uid(number);
        let stored = fs::read(spool.file_of(&*inbox, uid)).unwrap();
        assert!(stored.starts_with(magic), "{form} was not used");
        let read = String::from_utf8(octets(&*inbox, uid)).unwrap();
        assert!(read == message.replace("\r\n", "\n"), "{form}");
        assert_eq!(inbox.size(uid), Ok(message.len() as u64), "{form}");
    }
    let account = spool.account();
    account.create(&name("Copies"), &[]).unwrap();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    inbox.copy(&set(&[1, 2, 3, 4]), &name("Copies")).unwrap();
    let answers = dovecot.run(&["SELECT Copies", "FETCH 1:* (RFC822.SIZE BODY.PEEK[])"]);
    let size = format!("RFC822.SIZE {} BODY[]", message.len());
    assert_eq!(answers.matches(&size).count(), 4);
    assert_eq!(answers.matches(&message).count(), 4);
}

#[test]
fn message_guids_are_those_of_dovecot() {
    let spool = Spool::new();
    let Some(dovecot) = Dovecot::new(&spool) else {
        return;
    };
    spool.account();
    for (base, text) in [("1234567890.M1P1.mx", "one"), ("1234567891.M1P1.mx", "two")] {
        fs::write(spool.path("new").join(base), text).unwrap();
    }
    dovecot.run(&["CREATE theirs", "SELECT INBOX", "COPY 1 theirs"]);
    let guids = |mailbox: &str| -> Vec<String> {
        let answers = dovecot.run(&[&format!("EXAMINE {mailbox}"), "FETCH 1:* X-GUID"]);
        let rows = answers.lines().filter(|line| line.contains("(X-GUID "));
        rows.map(|line| between(line, "(X-GUID ", ")").to_owned())
            .collect()
    };
    let originals = guids("INBOX");
    assert_eq!(guids("theirs"), originals[..1]);
    let account = spool.account();
    let inbox = account.open(&name("INBOX"), Intake::Take).unwrap();
    let ids = [1, 2].map(|number| inbox.guid(uid(number)).unwrap());
    let theirs = account.open(&name("theirs"), Intake::Take).unwrap();
    // a copy that Dovecot made
    assert_eq!(theirs.guid(uid(1)), Ok(ids[0].clone()));
    // copies that we make, one of them of a copy
    account.create(&name("ours"), &[]).unwrap();
    inbox.copy(&set(&[2]), &name("ours")).unwrap();
    theirs.move_to(&set(&[1]), &name("ours")).unwrap();
    let ours = account.open(&name("ours"), Intake::Take).unwrap();
    assert_eq!([2, 1].map(|number| ours.guid(uid(number)).unwrap()), ids);
    assert_eq!(guids("ours"), [originals[1].clone(), originals[0].clone()]);
    // what we appended, and what Dovecot made of it
    spool.append(&*account, "INBOX", b"three", &[]);
    dovecot.run(&["SELECT INBOX", "COPY 3 theirs"]);
    inbox.refresh(Intake::Take).unwrap();
    theirs.refresh(Intake::Take).unwrap();
    assert_eq!(theirs.guid(uid(2)), inbox.guid(uid(3)));
}
