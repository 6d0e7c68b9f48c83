//! Names and directories, in both layouts.

use super::*;
use std::os::unix::ffi::OsStringExt as _;

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

fn account(layout: Layout) -> (tempfile::TempDir, Folders, Ownership) {
    let directory = tempfile::tempdir().unwrap();
    let folders = Folders::new(&directory.path().join("deep/er/Maildir"), layout);
    let like = folders.ensure_root().unwrap();
    (directory, folders, like)
}

fn listed(folders: &Folders) -> Vec<(String, bool)> {
    folders
        .list()
        .unwrap()
        .into_iter()
        .map(|folder| (folder.name.to_string(), folder.directory.is_some()))
        .collect()
}

fn create(folders: &Folders, text: &str, like: &Ownership) -> io::Result<PathBuf> {
    folders.create(&name(text), like, |directory| {
        durable::create_new(&directory.join("prepared"), like).map(drop)
    })
}

const LAYOUTS: [Layout; 2] = [Layout::MaildirPlusPlus, Layout::Fs];

/// Names that are hard for one layout or another.
const NAMES: [&str; 13] = [
    "Sent",
    "Work",
    "Work/a.b",
    "Work/x\\y",
    "Müll & Co",
    "cur",
    "new/tmp",
    ".hidden",
    "INBOX/x",
    "日本語",
    "a&-b",
    "~",
    "...",
];

#[test]
fn of_two_who_make_a_mailbox_at_once_one_hears_that_it_exists() {
    for layout in LAYOUTS {
        for text in ["Sent", "Work/a"] {
            let (_directory, folders, like) = account(layout);
            create(&folders, "Work/a/b", &like).unwrap();
            let mut first = None;
            let second = folders.create(&name(text), &like, |directory| {
                first = Some(create(&folders, text, &like)?);
                fs::create_dir(directory.join("prepared"))
            });
            assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert!(
                first.unwrap().join("prepared").is_file(),
                "{layout:?} {text}"
            );
        }
    }
}

#[test]
fn any_name_is_made_found_listed_renamed_and_removed() {
    for layout in LAYOUTS {
        let (_directory, folders, like) = account(layout);
        for text in NAMES {
            let path =
                create(&folders, text, &like).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(
                path.starts_with(folders.root())
                    && path.join("prepared").exists()
                    && path.join("maildirfolder").exists()
            );
            assert_eq!(folders.find(&name(text)).unwrap(), Some(path), "{text}");
            assert_eq!(
                create(&folders, text, &like).unwrap_err().kind(),
                io::ErrorKind::AlreadyExists
            );
        }
        let mut expected: Vec<String> = NAMES
            .iter()
            .map(|text| (*text).to_owned())
            .chain(["new".to_owned()])
            .collect();
        expected.sort_by_key(|text| name(text));
        let all = listed(&folders);
        assert_eq!(all[0], ("INBOX".to_owned(), true));
        assert_eq!(
            all[1..]
                .iter()
                .map(|(text, _)| text.clone())
                .collect::<Vec<_>>(),
            expected,
            "{layout:?}"
        );
        assert!(all.contains(&("new".to_owned(), false)));
        rename_and_remove_all(&folders, &like);
        assert_eq!(directories(&folders.root().join("tmp")).unwrap(), []);
    }
}

/// Takes each mailbox to another name, and away.
fn rename_and_remove_all(folders: &Folders, like: &Ownership) {
    for (at, text) in NAMES
        .iter()
        .enumerate()
        .filter(|(_, text)| **text != "Work")
    {
        let to = format!("moved/{at}");
        folders
            .rename(&name(text), &name(&to), like)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(folders.find(&name(text)).unwrap(), None);
        folders.remove(&name(&to)).unwrap();
        assert_eq!(folders.find(&name(&to)).unwrap(), None);
        assert_eq!(
            folders.remove(&name(&to)).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}

#[test]
fn children_stay_when_their_parent_goes_and_move_when_it_moves() {
    for layout in LAYOUTS {
        let (_directory, folders, like) = account(layout);
        for text in ["a", "a/b", "a/b/c", "ab"] {
            create(&folders, text, &like).unwrap();
        }
        folders.remove(&name("a")).unwrap();
        let there = |text: &str, mailbox: bool| (text.to_owned(), mailbox);
        assert_eq!(
            listed(&folders),
            [
                there("INBOX", true),
                there("a", false),
                there("a/b", true),
                there("a/b/c", true),
                there("ab", true)
            ]
        );
        create(&folders, "a", &like).unwrap();
        folders.rename(&name("a"), &name("x/y"), &like).unwrap();
        assert_eq!(
            listed(&folders),
            [
                there("INBOX", true),
                there("ab", true),
                there("x", false),
                there("x/y", true),
                there("x/y/b", true),
                there("x/y/b/c", true)
            ]
        );
        folders.remove(&name("x/y")).unwrap();
        folders.rename(&name("x/y"), &name("z"), &like).unwrap();
        assert_eq!(
            folders
                .find(&name("z/b"))
                .unwrap()
                .map(|path| path.is_dir()),
            Some(true),
            "{layout:?}"
        );
    }
}

#[test]
fn renames_that_cannot_be_are_refused() {
    for layout in LAYOUTS {
        let (_directory, folders, like) = account(layout);
        for text in ["a", "b/c"] {
            create(&folders, text, &like).unwrap();
        }
        for (from, to, kind) in [
            ("a", "a/x", io::ErrorKind::InvalidInput),
            ("INBOX", "x", io::ErrorKind::InvalidInput),
            ("a", "INBOX", io::ErrorKind::AlreadyExists),
            ("a", "b/c", io::ErrorKind::AlreadyExists),
            ("a", "a", io::ErrorKind::AlreadyExists),
            ("none", "x", io::ErrorKind::NotFound),
        ] {
            assert_eq!(
                folders
                    .rename(&name(from), &name(to), &like)
                    .unwrap_err()
                    .kind(),
                kind,
                "{from} {to}"
            );
        }
        let long = "ä".repeat(120);
        assert_eq!(
            create(&folders, &long, &like).unwrap_err().kind(),
            io::ErrorKind::InvalidFilename
        );
        assert_eq!(
            folders
                .rename(&name("a"), &name(&long), &like)
                .unwrap_err()
                .kind(),
            io::ErrorKind::InvalidFilename
        );
        assert!(folders.find(&name("a")).unwrap().is_some());
        assert!(folders.remove(&MailboxName::inbox()).is_err());
    }
}

#[test]
fn names_of_other_programs_are_found() {
    let (_directory, folders, like) = account(Layout::MaildirPlusPlus);
    for octets in [
        &b".&bad"[..],
        b".M&APw-ll.&AOQ-&APY-",
        b".caf\xe9",
        ".grün".as_bytes(),
        b".INBOX",
        b"..hidden",
        b".no-maildir",
        b".a..b",
    ] {
        let path = folders.root().join(OsString::from_vec(octets.to_vec()));
        durable::create_dir(&path, &like).unwrap();
        if octets != b".no-maildir" {
            durable::create_dir(&path.join("cur"), &like).unwrap();
        }
    }
    let all: Vec<String> = listed(&folders).into_iter().map(|(text, _)| text).collect();
    assert_eq!(
        all,
        ["INBOX", "&bad", "Müll", "Müll/äö", "caf\u{fffd}", "grün"]
    );
    assert_eq!(
        folders.find(&name("&bad")).unwrap(),
        Some(folders.root().join(".&bad"))
    );
    folders.rename(&name("&bad"), &name("good"), &like).unwrap();
    folders.remove(&name("caf\u{fffd}")).unwrap();
    assert!(folders.find(&name("good")).unwrap().is_some());
}

#[test]
fn what_a_crash_left_is_swept_when_it_is_old() {
    let (_directory, folders, like) = account(Layout::Fs);
    for kind in [MADE, REMOVED, "other-"] {
        durable::create_dir(&folders.temporary(kind), &like).unwrap();
    }
    let made = fs::metadata(folders.root().join("tmp"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(folders.sweep(made).unwrap(), 0);
    assert_eq!(folders.sweep(made + LEFT_BEHIND * 2).unwrap(), 2);
    assert_eq!(directories(&folders.root().join("tmp")).unwrap().len(), 1);
}

#[test]
fn a_new_root_is_for_its_owner_alone() {
    let (_directory, folders, _) = account(Layout::MaildirPlusPlus);
    assert_eq!(
        fs::metadata(folders.root()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(is_mailbox(folders.root()) && folders.list().unwrap().len() == 1);
}

#[test]
fn names_of_control_files_are_no_directories() {
    let (_directory, folders, like) = account(Layout::Fs);
    for text in [
        "subscriptions",
        "dovecot-uidlist",
        "restante-keywords",
        "courierimapuiddb",
        "maildirfolder",
        "maildirsize.old",
        "Sent/subscriptions.lock",
    ] {
        let path = create(&folders, text, &like).unwrap();
        assert!(
            path.file_name().unwrap().as_bytes().starts_with(b"&A"),
            "{path:?}"
        );
        assert_eq!(folders.find(&name(text)).unwrap(), Some(path));
    }
    assert_eq!(listed(&folders).len(), 9);
    assert_eq!(
        listed(&folders)
            .iter()
            .filter(|(_, is_mailbox)| *is_mailbox)
            .count(),
        8
    );
}

#[test]
fn links_in_a_circle_end() {
    for layout in LAYOUTS {
        let (_directory, folders, like) = account(layout);
        create(&folders, "a", &like).unwrap();
        for link in ["x", "y", ".z"] {
            std::os::unix::fs::symlink(folders.root(), folders.root().join(link)).unwrap();
        }
        assert!(listed(&folders).len() <= 4, "{:?}", listed(&folders));
    }
}

#[test]
fn directories_with_one_name_are_all_found() {
    for (layout, prefix) in [(Layout::MaildirPlusPlus, "."), (Layout::Fs, "")] {
        let (_directory, folders, like) = account(layout);
        create(&folders, "Müll", &like).unwrap();
        for octets in ["Müll".as_bytes(), b"caf\xe9", b"caf\xff", b"be\x07ll"] {
            let name = [prefix.as_bytes(), octets].concat();
            let path = folders.root().join(OsString::from_vec(name));
            durable::create_dir(&path, &like).unwrap();
            durable::create_dir(&path.join("cur"), &like).unwrap();
        }
        let all = listed(&folders);
        let names: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            names,
            [
                "INBOX",
                "Müll",
                "Müll (2)",
                "be\u{fffd}ll",
                "caf\u{fffd}",
                "caf\u{fffd} (2)"
            ]
        );
        let places: std::collections::BTreeSet<_> = names
            .iter()
            .map(|text| folders.find(&name(text)).unwrap().unwrap())
            .collect();
        assert_eq!(places.len(), names.len());
        folders.remove(&name("Müll (2)")).unwrap();
        assert!(folders.find(&name("Müll")).unwrap().is_some());
        assert_eq!(folders.find(&name("Müll (2)")).unwrap(), None);
    }
}

#[test]
fn what_tells_of_names_is_told_from_control_files() {
    for (name, expected) in [
        (".Work", true),
        ("Work", true),
        ("subscriptions", true),
        ("courierimapsubscribed", true),
        ("subscriptions.lock", false),
        ("dovecot-uidlist", false),
        ("restante-keywords", false),
        ("tmp", false),
        ("cur", false),
    ] {
        assert_eq!(is_of_names(OsStr::new(name)), expected, "{name}");
    }
}
