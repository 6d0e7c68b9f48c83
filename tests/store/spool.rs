//! A spool for one test, and other programs that work in it.

use restante::index::Index;
use restante::index::sqlite::Databases;
use restante::mailbox::backend::{Account, Backend, FlagChange, Mailbox, Owner, Result};
use restante::mailbox::flag::{FlagAction, Flags, Keyword, NamedFlags, SystemFlag};
use restante::mailbox::id::Uid;
use restante::mailbox::name::{MailboxName, SpecialUse};
use restante::mailbox::uid_set::UidSet;
use restante::store::{NewMailbox, Settings, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A mailbox name with `/` between levels.
pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::parse(text, '/').unwrap()
}

/// The mailboxes of new accounts: Sent.
fn sent() -> Vec<NewMailbox> {
    vec![NewMailbox {
        name: name("Sent"),
        special_use: vec![SpecialUse::Sent],
        subscribe: true,
    }]
}

/// A UID.
pub(crate) fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

/// A set of UIDs.
pub(crate) fn set(values: &[u32]) -> UidSet {
    values.iter().map(|value| uid(*value)).collect()
}

/// System flags.
pub(crate) fn flags(flags: &[SystemFlag]) -> NamedFlags {
    NamedFlags {
        system: flags.iter().copied().collect::<Flags>(),
        keywords: Vec::new(),
    }
}

/// A change of flags for STORE.
pub(crate) fn change(action: FlagAction, flags: NamedFlags) -> FlagChange {
    FlagChange {
        action,
        flags,
        unchanged_since: None,
    }
}

/// A keyword.
pub(crate) fn keyword(text: &str) -> Keyword {
    Keyword::new(text).unwrap()
}

/// UIDs of a mailbox.
pub(crate) fn uids(mailbox: &dyn Mailbox) -> Vec<u32> {
    mailbox
        .read()
        .uids()
        .iter()
        .map(|uid| uid.value())
        .collect()
}

/// UIDs and flags of a mailbox, flags as words.
pub(crate) fn picture(mailbox: &dyn Mailbox) -> Vec<(u32, String)> {
    let messages = mailbox.read();
    let mut rows = Vec::new();
    for uid in messages.uids() {
        let flags = messages.flags(*uid).unwrap();
        let mut words: Vec<&str> = flags.system_flags().map(SystemFlag::as_str).collect();
        for at in flags.keyword_indexes() {
            words.push(messages.keywords().keyword(at).unwrap().as_str());
        }
        rows.push((uid.value(), words.join(" ")));
    }
    rows
}

/// The stored octets of a message.
pub(crate) fn octets(mailbox: &dyn Mailbox, uid: Uid) -> Vec<u8> {
    mailbox.message(uid).unwrap().read_all().unwrap()
}

/// The spool of the user `anna`.
pub(crate) struct Spool {
    directory: tempfile::TempDir,
}

impl Spool {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A path in it.
    pub(crate) fn path(&self, rest: &str) -> PathBuf {
        self.directory.path().join("anna").join(rest)
    }

    /// The account as a process of its own sees it.
    pub(crate) fn account(&self) -> Arc<dyn Account> {
        self.account_with(Vec::new())
    }

    /// As [`Spool::account`], with a mailbox Sent for new accounts.
    pub(crate) fn new_account(&self) -> Arc<dyn Account> {
        self.account_with(sent())
    }

    /// As [`Spool::new_account`], as a POP3 session opens it.
    pub(crate) fn new_maildrop(&self) -> Arc<dyn Account> {
        let (store, owner) = self.new_store();
        store.open_maildrop(&owner).unwrap()
    }

    /// The store of [`Spool::new_account`], and whose account it is.
    pub(crate) fn new_store(&self) -> (Store, Owner) {
        self.store(sent(), Some(self.databases()))
    }

    fn account_with(&self, new_account: Vec<NewMailbox>) -> Arc<dyn Account> {
        self.open(new_account, Some(self.databases())).unwrap()
    }

    /// The account as a process sees it that has no index.
    pub(crate) fn account_without_index(&self) -> Arc<dyn Account> {
        self.open(Vec::new(), None).unwrap()
    }

    /// As [`Spool::account`], where that may fail.
    pub(crate) fn try_account(&self) -> Result<Arc<dyn Account>> {
        self.open(Vec::new(), Some(self.databases()))
    }

    /// The account as a process sees it that has this index.
    pub(crate) fn account_with_index(&self, index: Arc<dyn Index>) -> Arc<dyn Account> {
        self.open(Vec::new(), Some(index)).unwrap()
    }

    /// A store with this index, and whose account it is.
    pub(crate) fn store_with_index(&self, index: Arc<dyn Index>) -> (Store, Owner) {
        self.store(Vec::new(), Some(index))
    }

    /// The index, opened.
    pub(crate) fn databases(&self) -> Arc<dyn Index> {
        Arc::new(Databases::new(&self.index()).unwrap())
    }

    fn open(
        &self,
        new_account: Vec<NewMailbox>,
        index: Option<Arc<dyn Index>>,
    ) -> Result<Arc<dyn Account>> {
        let (store, owner) = self.store(new_account, index);
        store.open_account(&owner)
    }

    /// A store of its own, and whose account it is.
    fn store(&self, new_account: Vec<NewMailbox>, index: Option<Arc<dyn Index>>) -> (Store, Owner) {
        let settings = Settings {
            spool: format!("{}/%{{user}}", self.directory.path().display()),
            new_account,
            poll_interval: Duration::from_secs(60),
            ..Settings::default()
        };
        let store = Store::with_index(settings, index);
        let owner = store.locate("anna", None);
        (store, owner)
    }

    /// The directory of the index.
    pub(crate) fn index(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    /// Appends a message by the store.
    pub(crate) fn append(
        &self,
        account: &dyn Account,
        mailbox: &str,
        octets: &[u8],
        given: &[SystemFlag],
    ) -> Uid {
        self.append_with(account, mailbox, octets, &flags(given))
    }

    /// Appends a message by the store.
    pub(crate) fn append_with(
        &self,
        account: &dyn Account,
        mailbox: &str,
        octets: &[u8],
        given: &NamedFlags,
    ) -> Uid {
        let mut upload = account.upload(&name(mailbox)).unwrap();
        upload.write(octets).unwrap();
        upload.finish(given, None).unwrap();
        account.deliver(&name(mailbox), vec![upload]).unwrap().uids[0]
    }

    /// Delivers a message as an MTA does.
    pub(crate) fn deliver(&self, mailbox: &str, octets: &[u8]) {
        let directory = if mailbox == "INBOX" {
            self.path("")
        } else {
            self.path(&format!(".{}", mailbox.replace('/', ".")))
        };
        maildir::Maildir::from(directory).store_new(octets).unwrap();
    }

    /// Names of files in a directory, sorted.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The file of a message of INBOX, as it is called now.
    pub(crate) fn file_of(&self, inbox: &dyn Mailbox, uid: Uid) -> PathBuf {
        let base = inbox.base_name(uid);
        ["cur", "new"]
            .into_iter()
            .flat_map(|directory| {
                self.files(directory)
                    .into_iter()
                    .map(|file| self.path(directory).join(file))
            })
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(&base)
            })
            .unwrap()
    }

    /// Gives a file other flags, as a mail reader does.
    pub(crate) fn rename_with_flags(&self, file: &Path, letters: &str) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let base = name.split(':').next().unwrap();
        fs::rename(file, self.path("cur").join(format!("{base}:2,{letters}"))).unwrap();
    }
}
