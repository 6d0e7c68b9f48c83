//! An account's first login: the spool and its first mailboxes. The MTA may have made the spool before.

use super::account::AccountState;
use super::failure::{failed, noted};
use super::uidlist::UidList;
use super::uidlist_file::UidListFile;
use super::{clock, spool, subscriptions};
use crate::mailbox::backend::{Error, Result};
use crate::mailbox::name::MailboxName;
use std::io;
use std::sync::PoisonError;

/// Files that some IMAP or POP3 server makes at the first login.
const TRACES: [&str; 6] = [
    "dovecot-uidlist",
    "subscriptions",
    "restante-special-use",
    "courierimapuiddb",
    "courierimapsubscribed",
    "courierpop3dsizelist",
];

impl AccountState {
    /// Sees that the spool is there, and makes it if that is wanted. One system call when it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoPermission`]
    pub(super) fn make_ready(&self, user: &str) -> Result<()> {
        let mut is_ready = self.is_ready.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.folders.root();
        let inbox = root.join("cur");
        let has_inbox = match inbox.metadata() {
            Ok(about) => about.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed("look at the spool", &inbox, &error)),
        };
        if *is_ready && has_inbox {
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
        if has_inbox && !self.is_unused()? {
            match self.folders.sweep(clock::now()) {
                Ok(0) => {}
                Ok(swept) => tracing::info!(user, path = ?root, swept, "left_overs_swept"),
                Err(error) => noted("sweep left-overs of mailboxes", root, &error),
            }
        } else {
            self.make_mailboxes(user);
        }
        *is_ready = true;
        Ok(())
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

    /// True if no mail program ever had this spool: the MTA made it with the first delivery, before the first login.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NoPermission`]
    fn is_unused(&self) -> Result<bool> {
        let root = self.folders.root();
        if TRACES.iter().any(|name| root.join(name).exists()) {
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
