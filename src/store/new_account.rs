//! An account's first login: the spool and its first mailboxes. The MTA may have made the spool before.
//!
//! A POP3 session reaches INBOX alone, so it does not wait for the other mailboxes: it leaves the mark [`AWAITED`], and the first login that can
//! see them makes them. The mark lies beside INBOX's UID list and is made before it, so that the same sync makes both durable. A power cut that
//! leaves the list and not the mark leaves the account without those mailboxes, as one that comes in the middle of their making does. The
//! mark goes, durably, before that login is answered: what the user deletes afterwards is never made again.

use super::account::AccountState;
use super::failure::{failed, noted};
use super::uidlist::UidList;
use super::uidlist_file::UidListFile;
use super::{clock, spool, subscriptions};
use crate::durable;
use crate::mailbox::backend::{Error, Result};
use crate::mailbox::name::MailboxName;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::SystemTime;

/// The file that says that the account was new at its first login, and that its mailboxes are still to be made.
const AWAITED: &str = "restante-new-account";

/// The file that a POP3 login makes as well.
const UID_LIST: &str = "dovecot-uidlist";

/// Other files that some IMAP or POP3 server makes at the first login.
const TRACES: [&str; 5] = [
    "subscriptions",
    "restante-special-use",
    "courierimapuiddb",
    "courierimapsubscribed",
    "courierpop3dsizelist",
];

/// How much of an account was made ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Readiness {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// INBOX is there.
    Inbox,
    /// So are the mailboxes of a new account.
    Mailboxes,
}

/// How much was made ready of which spool.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ready {
    level: Readiness,
    /// INBOX's `cur/`: device, inode, and when it was made, where the system tells, as inodes are used again.
    inbox: Option<(u64, u64, Option<SystemTime>)>,
}

impl AccountState {
    /// Sees that the spool is there, and makes what is `wanted` of it, if that may be. One system call when it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoPermission`]
    pub(super) fn make_ready(&self, user: &str, wanted: Readiness) -> Result<()> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.folders.root();
        let inbox = root.join("cur");
        let look = || match inbox.metadata() {
            Ok(about) => Ok(about
                .is_dir()
                .then(|| (about.dev(), about.ino(), about.created().ok()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at the spool", &inbox, &error)),
        };
        let found = look()?;
        let has_inbox = found.is_some();
        if ready.level >= wanted && has_inbox && ready.inbox == found {
            return Ok(());
        }
        if !has_inbox && !self.store.settings.create_spool {
            tracing::error!(
                user,
                path = ?root,
                advice = "make the Maildir, correct the account's place, or let the server make spools",
                "spool_missing"
            );
            return Err(Error::Unavailable);
        }
        if !has_inbox {
            self.refuse_if_robbed(user)?;
        }
        spool::ensure_parents(root)
            .and_then(|()| self.folders.ensure_root())
            .map_err(|error| failed("make the spool", root, &error))?;
        if has_inbox && !self.is_new()? {
            self.sweep_folders(user);
        } else if wanted == Readiness::Inbox {
            self.put_off_mailboxes();
            if !has_inbox {
                tracing::info!(user, path = ?root, mailboxes = 0, "spool_made");
            }
        } else {
            self.make_mailboxes(user);
        }
        if wanted == Readiness::Mailboxes {
            self.forget_awaited();
        }
        *ready = Ready {
            level: wanted,
            inbox: look()?,
        };
        Ok(())
    }

    /// Removes what a crash left of mailboxes in the making.
    fn sweep_folders(&self, user: &str) {
        let root = self.folders.root();
        match self.folders.sweep(clock::now()) {
            Ok(0) => {}
            Ok(swept) => tracing::info!(user, path = ?root, swept, "left_overs_swept"),
            Err(error) => noted("sweep left-overs of mailboxes", root, &error),
        }
    }

    /// Where the mark of an account lies whose mailboxes are still to be made.
    fn awaited(&self) -> PathBuf {
        self.folders.root().join(AWAITED)
    }

    /// Leaves the mailboxes to a login that can see them.
    fn put_off_mailboxes(&self) {
        let path = self.awaited();
        let made = durable::Ownership::of(self.folders.root())
            .and_then(|like| durable::create_new(&path, &like));
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                noted("note that an account is new", &path, &error);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Sees that mailboxes are not made again, durably.
    fn forget_awaited(&self) {
        let path = self.awaited();
        let forgotten =
            fs::remove_file(&path).and_then(|()| durable::sync_dir(self.folders.root()));
        match forgotten {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                noted("note that an account is not new any more", &path, &error);
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Refuses a spool whose `cur/` is missing though its UID list has messages: making an empty one would give them new UIDs if the old one
    /// comes back, and hide from the owner that their mail is away.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    fn refuse_if_robbed(&self, user: &str) -> Result<()> {
        let root = self.folders.root();
        let mut list = UidListFile::new(root);
        list.look()
            .map_err(|error| failed("read the UID list", root, &error))?;
        let messages = list.list().map_or(0, UidList::len);
        if messages == 0 {
            return Ok(());
        }
        tracing::error!(
            user,
            path = ?root.join("cur"),
            messages,
            advice = "mount the volume or put the directory back; to give its messages up, make it empty, or remove dovecot-uidlist too",
            "spool_incomplete"
        );
        Err(Error::Unavailable)
    }

    /// True if no mail program ever had this spool but for POP3 sessions of ours: the MTA made it with the first delivery, before the first login.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoPermission`]
    fn is_new(&self) -> Result<bool> {
        let root = self.folders.root();
        let has = |name: &str| root.join(name).exists();
        if TRACES.into_iter().any(has) || (has(UID_LIST) && !has(AWAITED)) {
            return Ok(false);
        }
        let folders = self
            .folders
            .list()
            .map_err(|error| failed("list the mailboxes", root, &error))?;
        Ok(folders.len() <= 1)
    }

    /// Makes the mailboxes of a new account. What fails is logged and keeps nobody from their mail.
    fn make_mailboxes(&self, user: &str) {
        let mut subscribed: Vec<(MailboxName, bool)> = Vec::new();
        for new in &self.store.settings.new_account {
            match self.create(&new.name, &new.special_use) {
                Ok(()) | Err(Error::AlreadyExists) => {}
                Err(error) => {
                    tracing::error!(user, mailbox = %new.name, cause = %error, "new_mailbox_failed");
                    continue;
                }
            }
            if new.subscribe {
                subscribed.push((new.name.clone(), true));
            }
        }
        let root = self.folders.root();
        let done = self
            .like()
            .map(|like| subscriptions::change(root, self.folders.layout(), &like, &subscribed));
        if let Ok(Err(error)) = done {
            noted("subscribe to the mailboxes of a new account", root, &error);
        }
        tracing::info!(user, path = ?root, mailboxes = self.store.settings.new_account.len(), "spool_made");
    }
}
