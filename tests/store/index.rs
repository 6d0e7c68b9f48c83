//! What is remembered over a restart, what several processes learn of each other, and what damage of the index does: nothing.

use super::spool::{Spool, change, flags, keyword, name, picture, set, uid, uids};
use restante::index::sqlite::Databases;
use restante::index::{Change, Index, Key, StatusNote, Unavailable, Version};
use restante::mailbox::backend::{Account, Backend as _, Intake, Mailbox, Status};
use restante::mailbox::flag::{FlagAction, NamedFlags, SystemFlag};
use restante::mailbox::id::ModSeq;
use restante::mailbox::notes::{Kind, Page, PageId, PageNumber};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const SEEN: &[SystemFlag] = &[SystemFlag::Seen];

fn inbox(account: &dyn Account) -> Arc<dyn Mailbox> {
    account.open(&name("INBOX"), Intake::Look).unwrap()
}

fn mod_seqs(mailbox: &dyn Mailbox) -> Vec<ModSeq> {
    let messages = mailbox.read();
    (0..messages.len())
        .map(|at| messages.mod_seq_at(at))
        .collect()
}

fn highest(mailbox: &dyn Mailbox) -> ModSeq {
    mailbox.read().highest_mod_seq()
}

fn add_seen(mailbox: &dyn Mailbox, uid: u32) -> ModSeq {
    let change = change(FlagAction::Add, flags(SEEN));
    mailbox
        .store(&set(&[uid]), &change)
        .unwrap()
        .mod_seq
        .unwrap()
}

/// A spool with five messages.
fn five(spool: &Spool) -> Arc<dyn Account> {
    let account = spool.account();
    for n in 0..5 {
        spool.append(
            &*account,
            "INBOX",
            format!("Subject: {n}\n\n").as_bytes(),
            &[],
        );
    }
    account
}

#[test]
fn mod_sequences_and_expunged_uids_outlive_the_process() {
    let spool = Spool::new();
    let account = five(&spool);
    let mailbox = inbox(&*account);
    add_seen(&*mailbox, 2);
    let since = highest(&*mailbox);
    mailbox.expunge(&set(&[3])).unwrap();
    add_seen(&*mailbox, 4);
    let (before, last) = (mod_seqs(&*mailbox), highest(&*mailbox));
    drop((mailbox, account));

    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(mod_seqs(&*mailbox), before);
    assert_eq!(highest(&*mailbox), last);
    assert_eq!(mailbox.read().expunged_since(since), Some(set(&[3])));
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[])));
}

#[test]
fn what_others_changed_while_nobody_looked_changed_at_the_next_look() {
    let spool = Spool::new();
    let account = five(&spool);
    let mailbox = inbox(&*account);
    let (before, last) = (mod_seqs(&*mailbox), highest(&*mailbox));
    let files: Vec<_> = (1..=5).map(|n| spool.file_of(&*mailbox, uid(n))).collect();
    drop((mailbox, account));

    spool.rename_with_flags(&files[0], "S");
    fs::remove_file(&files[2]).unwrap();
    spool.deliver("INBOX", b"Subject: new\n\n");
    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(uids(&*mailbox), [1, 2, 4, 5, 6]);
    let now = mod_seqs(&*mailbox);
    assert_eq!(now[1..4], [before[1], before[3], before[4]]);
    assert!(now[0] > last && now[4] > last, "{now:?} after {last}");
    assert_eq!(highest(&*mailbox), now[0].max(now[4]));
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[3])));
}

#[test]
fn messages_that_came_and_went_while_nobody_looked_are_expunged() {
    let spool = Spool::new();
    let account = five(&spool);
    let last = highest(&*inbox(&*account));
    drop(account);

    // a process without index shows 6 to 8 to a client, and expunges 6 and 7
    let without = spool.account_without_index();
    let mailbox = inbox(&*without);
    for _ in 0..3 {
        spool.append(&*without, "INBOX", b"\n", &[]);
    }
    mailbox.expunge(&set(&[6, 7])).unwrap();
    drop((mailbox, without));

    let account = spool.account();
    let mailbox = inbox(&*account);
    assert_eq!(uids(&*mailbox), [1, 2, 3, 4, 5, 8]);
    assert_eq!(mailbox.read().expunged_since(last), Some(set(&[6, 7])));
}

/// STATUS of INBOX, and whether the mailbox was opened for it.
fn status(spool: &Spool, with_size: bool) -> (Status, bool) {
    let index = Watched::new(spool);
    let account = spool.account_with_index(index.clone());
    let status = account.status(&name("INBOX"), with_size).unwrap();
    index.index.close();
    (status, index.changes.load(Ordering::Relaxed) > 0)
}

/// Sets the time stamps of INBOX's directories, as if what is in them had been there for long.
fn set_stamps(spool: &Spool, secs: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_nanos(1);
    for place in ["new", "cur"] {
        let directory = fs::File::open(spool.path(place)).unwrap();
        directory
            .set_times(fs::FileTimes::new().set_modified(time))
            .unwrap();
    }
}

#[test]
fn status_is_told_without_opening_while_the_mailbox_looks_the_same() {
    let spool = Spool::new();
    let account = five(&spool);
    let mailbox = inbox(&*account);
    add_seen(&*mailbox, 2);
    let last = highest(&*mailbox);
    let file = spool.file_of(&*mailbox, uid(5));
    drop((mailbox, account));
    settle(&spool);
    let (told, is_opened) = status(&spool, true);
    assert!(is_opened);
    assert_eq!((told.counts.messages, told.counts.unseen), (5, 4));
    assert_eq!((told.uid_next, told.highest_mod_seq), (uid(6), last));
    assert!(told.size.is_some());
    assert_eq!(status(&spool, true), (told, false));
    let without_size = Status { size: None, ..told };
    assert_eq!(status(&spool, false), (without_size, false));

    // a file less, and the stamp of its directory as it was, as a restored copy may have it
    let cur = spool.path("cur");
    let before = fs::metadata(&cur).unwrap().modified().unwrap();
    fs::remove_file(&file).unwrap();
    fs::File::open(&cur).unwrap().set_modified(before).unwrap();
    let (now, is_opened) = status(&spool, true);
    assert!(is_opened);
    assert_eq!(now.counts.messages, 4);
    assert!(now.highest_mod_seq > last && now.size < told.size);
}

#[test]
fn status_of_a_directory_that_was_just_changed_is_not_noted() {
    let spool = Spool::new();
    let account = five(&spool);
    let file = spool.file_of(&*inbox(&*account), uid(5));
    drop(account);
    // a stamp in the future is never old enough
    set_stamps(&spool, 30_000_000_000);
    for _ in 0..2 {
        let (told, is_opened) = status(&spool, false);
        assert_eq!((told.counts.messages, is_opened), (5, true));
    }
    fs::remove_file(file).unwrap();
    set_stamps(&spool, 30_000_000_000);
    assert_eq!(status(&spool, false).0.counts.messages, 4);
}

#[test]
fn changes_of_keywords_alone_are_seen_by_status() {
    let spool = Spool::new();
    let account = five(&spool);
    drop(account);
    settle(&spool);
    let before = spool.account().status(&name("INBOX"), false).unwrap();
    let account = spool.account();
    let mailbox = inbox(&*account);
    let mut words = NamedFlags::default();
    words.keywords.push(keyword("$Work"));
    let change = change(FlagAction::Add, words);
    let mod_seq = mailbox.store(&set(&[1]), &change).unwrap().mod_seq.unwrap();
    drop((mailbox, account));
    settle(&spool);
    let now = spool.account().status(&name("INBOX"), false).unwrap();
    assert!(mod_seq > before.highest_mod_seq);
    assert_eq!(now.highest_mod_seq, mod_seq);
}

#[test]
fn a_deleted_mailbox_is_forgotten() {
    let spool = Spool::new();
    let account = spool.account();
    account.create(&name("Old"), &[]).unwrap();
    spool.append(&*account, "Old", b"\n", &[]);
    let size = |mailbox: &str| {
        account
            .status(&name(mailbox), true)
            .unwrap()
            .counts
            .messages
    };
    assert_eq!(size("Old"), 1);
    account.delete(&name("Old")).unwrap();
    account.create(&name("Old"), &[]).unwrap();
    assert_eq!(size("Old"), 0);
    let old = account.open(&name("Old"), Intake::Look).unwrap();
    assert_eq!(old.read().expunged_since(highest(&*old)), Some(set(&[])));
}

#[test]
fn an_index_that_cannot_be_made_is_done_without() {
    let spool = Spool::new();
    fs::create_dir_all(spool.index()).unwrap();
    let account = five(&spool);
    drop(account);
    // a directory stands where the database should be
    for entry in fs::read_dir(spool.index()).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), b"").unwrap();
    }
    let account = spool.account();
    let mailbox = inbox(&*account);
    let before = highest(&*mailbox);
    assert!(add_seen(&*mailbox, 1) > before);
    assert_eq!(mailbox.expunge(&set(&[2])).unwrap(), set(&[2]));
    assert_eq!(uids(&*mailbox), [1, 3, 4, 5]);
    assert_eq!(mailbox.read().expunged_since(before), Some(set(&[2])));
    let status = account.status(&name("INBOX"), true).unwrap();
    assert_eq!(status.counts.messages, 4);
}

/// An index whose first change comes after what somebody else does, and which counts.
struct Watched {
    index: Databases,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// How often something was changed, as whoever opens a mailbox does.
    changes: AtomicUsize,
    /// How often names were kept.
    kept: AtomicUsize,
}

impl Watched {
    fn new(spool: &Spool) -> Arc<Self> {
        Arc::new(Self {
            index: Databases::new(&spool.index()).unwrap(),
            meanwhile: Mutex::default(),
            changes: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Index for Watched {
    fn change(
        &self,
        account: &Path,
        key: &Key,
        known: Option<Version>,
        change: &mut Change<'_>,
    ) -> Result<Option<Version>, Unavailable> {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.index.change(account, key, known, change)
    }

    fn status(
        &self,
        account: &Path,
        key: &Key,
    ) -> Result<Option<(StatusNote, ModSeq)>, Unavailable> {
        self.index.status(account, key)
    }

    fn note_status(&self, account: &Path, key: &Key, note: &StatusNote) -> Result<(), Unavailable> {
        self.index.note_status(account, key, note)
    }

    fn noted(&self, account: &Path, key: &Key) -> Result<Vec<PageId>, Unavailable> {
        self.index.noted(account, key)
    }

    fn notes(
        &self,
        account: &Path,
        key: &Key,
        pages: &[PageId],
    ) -> Result<Vec<Option<Page>>, Unavailable> {
        self.index.notes(account, key, pages)
    }

    fn keep_notes(
        &self,
        account: &Path,
        key: &Key,
        pages: &[(PageId, Arc<Page>)],
    ) -> Result<(), Unavailable> {
        self.index.keep_notes(account, key, pages)
    }

    fn names(
        &self,
        account: &Path,
        key: &Key,
        disk: &[u8],
    ) -> Result<Option<Vec<u8>>, Unavailable> {
        self.index.names(account, key, disk)
    }

    fn keep_names(
        &self,
        account: &Path,
        key: &Key,
        disk: &[u8],
        names: Vec<u8>,
    ) -> Result<(), Unavailable> {
        self.kept.fetch_add(1, Ordering::Relaxed);
        self.index.keep_names(account, key, disk, names)
    }

    fn forget(&self, account: &Path, guid: &[u8; 16]) -> Result<(), Unavailable> {
        self.index.forget(account, guid)
    }
}

/// Between reading the list and asking the index, another process takes in a message: it is not gone, only younger than the look.
#[test]
fn what_another_process_takes_in_during_the_first_look_stays() {
    let spool = Arc::new(Spool::new());
    let first = five(&spool);
    let mailbox = inbox(&*first);
    let before = highest(&*mailbox);
    let (delivering, of) = (first.clone(), spool.clone());
    let slow = Watched::new(&spool);
    *slow.meanwhile.lock().unwrap() = Some(Box::new(move || {
        of.append(&*delivering, "INBOX", b"Subject: sixth\n\n", &[]);
    }));
    let second = spool.account_with_index(slow);
    let seen = inbox(&*second);
    assert_eq!(uids(&*seen), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seen.read().expunged_since(before), Some(set(&[])));
    mailbox.refresh(Intake::Look).unwrap();
    assert_eq!(uids(&*mailbox), [1, 2, 3, 4, 5, 6]);
    assert_eq!(highest(&*seen), highest(&*mailbox));
}

/// A list that was put back from a copy is behind the index for good: it is served as it is.
#[test]
fn a_list_that_was_set_back_is_served() {
    let spool = Spool::new();
    let account = five(&spool);
    let list = spool.path("dovecot-uidlist");
    let copy = fs::read(&list).unwrap();
    spool.append(&*account, "INBOX", b"Subject: sixth\n\n", &[]);
    let told = highest(&*inbox(&*account));
    fs::write(&list, copy).unwrap();
    let mailbox = inbox(&*spool.account());
    assert_eq!(uids(&*mailbox).len(), 6);
    assert_eq!(uids(&*mailbox)[..5], [1, 2, 3, 4, 5]);
    assert!(highest(&*mailbox) >= told);
}

/// Where a list was put back from a copy, a UID that was given may be given again, to another message: what was noted is not about it.
#[test]
fn notes_are_not_about_another_message_with_the_uid() {
    let spool = Spool::new();
    let account = five(&spool);
    let list = spool.path("dovecot-uidlist");
    let copy = fs::read(&list).unwrap();
    spool.append(&*account, "INBOX", b"Subject: sixth\n\n", &[]);
    let page = PageNumber::of(uid(6));
    let note = |value: u32| (uid(value), vec![Some(b"noted".to_vec())]);
    inbox(&*account).keep_notes(&[Kind::Envelope], &[(page, vec![note(5), note(6)])]);
    let noted = |account: &dyn Account| {
        let notes = inbox(account).notes(&[Kind::Envelope], &[page]);
        [5, 6].map(|value| notes[0].get(0, uid(value)).is_some())
    };
    assert_eq!(noted(&*spool.account()), [true, true]);
    fs::write(&list, copy).unwrap();
    // it comes before the sixth in the order in which UIDs are given
    fs::write(spool.path("cur/1.M1P1.other"), "Subject: other\n\n").unwrap();
    let account = spool.account();
    assert_eq!(uids(&*inbox(&*account)), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(noted(&*account), [true, false]);
}

/// Waits until no directory of the mailbox was changed within a tick.
fn settle(spool: &Spool) {
    loop {
        let age = |directory| {
            let changed = fs::metadata(spool.path(directory)).unwrap().modified();
            SystemTime::now().duration_since(changed.unwrap())
        };
        let is_old = |age: Duration| age > Duration::from_millis(30);
        if ["new", "cur"]
            .map(age)
            .iter()
            .all(|age| age.as_ref().is_ok_and(|age| is_old(*age)))
        {
            return;
        }
        std::thread::yield_now();
    }
}

/// What a process does with a large mailbox, which then ends in order: what it sees, and how often it kept names.
fn one_process(spool: &Spool) -> (Vec<(u32, String)>, usize) {
    settle(spool);
    let index = Watched::new(spool);
    let (store, owner) = spool.store_with_index(index.clone());
    let account = store.open_account(&owner).unwrap();
    let mailbox = inbox(&*account);
    let seen = picture(&*mailbox);
    let recent: Vec<u32> = mailbox
        .read()
        .recent()
        .iter()
        .map(|uid| uid.value())
        .collect();
    let other = inbox(&*spool.account_without_index());
    assert_eq!(seen, picture(&*other));
    assert_eq!(uids(&*mailbox), uids(&*other));
    let recent_there: Vec<u32> = other
        .read()
        .recent()
        .iter()
        .map(|uid| uid.value())
        .collect();
    assert_eq!(recent, recent_there);
    for uid in mailbox.read().uids() {
        assert_eq!(mailbox.base_name(*uid), other.base_name(*uid));
    }
    assert_eq!(mailbox.pop3_order(uid(9)), other.pop3_order(uid(9)));
    store.rest();
    index.index.close();
    (seen, index.kept.load(Ordering::Relaxed))
}

#[test]
fn the_names_of_a_large_mailbox_are_believed_while_nobody_changed_them() {
    let spool = Spool::new();
    let account = spool.account();
    let cur = spool.path("cur");
    for n in 1..=2200 {
        fs::write(cur.join(format!("{n}.x:2,S")), b"x").unwrap();
    }
    fs::write(spool.path("new/3000.x"), b"x").unwrap();
    drop(account);
    let (first, kept) = one_process(&spool);
    assert_eq!((first.len(), kept), (2201, 1));
    assert_eq!(one_process(&spool), (first, 0), "nothing changed");
    // what comes to new/ is read, and the rest is believed
    spool.deliver("INBOX", b"y");
    assert_eq!(one_process(&spool).0.len(), 2202);
    let renamed = cur.join("7.x:2,FS");
    let list = spool.path("dovecot-uidlist");
    let changes: [(&str, &dyn Fn(), usize); 6] = [
        (
            "a message was flagged",
            &|| fs::rename(cur.join("7.x:2,S"), &renamed).unwrap(),
            2202,
        ),
        (
            "one was removed",
            &|| fs::remove_file(&renamed).unwrap(),
            2201,
        ),
        (
            "one came to cur",
            &|| fs::write(cur.join("5000.x:2,"), b"x").unwrap(),
            2202,
        ),
        (
            "the time of change was set back",
            &|| {
                let before = fs::metadata(&cur).unwrap().modified().unwrap();
                fs::rename(cur.join("8.x:2,S"), cur.join("8.x:2,R")).unwrap();
                fs::File::open(&cur).unwrap().set_modified(before).unwrap();
            },
            2202,
        ),
        (
            "a program gave orders for POP3",
            &|| {
                let text = fs::read_to_string(&list).unwrap();
                let line = text.lines().find(|line| line.starts_with("9 ")).unwrap();
                let text = text.replace(line, &line.replace("9 ", "9 O7 "));
                fs::write(list.with_extension("new"), text).unwrap();
                fs::rename(list.with_extension("new"), &list).unwrap();
            },
            2202,
        ),
        (
            "another process took in a message",
            &|| {
                spool.append(&*spool.account(), "INBOX", b"z", SEEN);
            },
            2203,
        ),
    ];
    for (what, change, count) in changes {
        change();
        let (seen, kept) = one_process(&spool);
        assert_eq!((seen.len(), kept), (count, 1), "{what}");
        assert_eq!(one_process(&spool), (seen, 0), "after: {what}");
    }
}
