//! Which command is legal when, what it may disturb, and whether it wants a thread of the volume: one row per command, nowhere else.

use crate::imap::types::command::{CommandBody, Store};
use crate::imap::types::search::SearchKey;
use crate::mailbox::view::Expunges;

/// In which states a command is legal (RFC 9051 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Legal {
    /// In any.
    Always,
    /// Before login.
    BeforeLogin,
    /// After login, with or without a mailbox.
    AfterLogin,
    /// With a mailbox selected.
    Selected,
}

/// Whether a command wants a thread of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// It is done from memory, or says by itself when it needs one.
    Never,
    /// Only if something may have happened on disk since the last look.
    IfStale,
    /// Always.
    Always,
}

/// A command's row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name, for answers and the log.
    pub(crate) name: &'static str,
    /// Where it is legal.
    pub(crate) legal: Legal,
    /// Whether EXPUNGE may be told at its end: not by FETCH, STORE and SEARCH (RFC 9051 §7.5.1), which leave the client with
    /// sequence numbers that it has just used.
    pub(crate) expunges: Expunges,
    /// Whether it touches the disk.
    pub(crate) disk: Disk,
}

/// What stands for a line that is no command.
pub(crate) const UNKNOWN: Row = Row {
    name: "Command",
    legal: Legal::Always,
    expunges: Expunges::Hold,
    disk: Disk::Never,
};

/// A UID SEARCH with message numbers among its criteria tells of no expunges (RFC 9051 §7.5.1, RFC 7162 §3.2.10.2).
const UID_SEARCH_BY_NUMBER: Row = Row {
    name: "UID SEARCH",
    legal: Legal::Selected,
    expunges: Expunges::Hold,
    disk: Disk::Never,
};

macro_rules! rows {
    ($command:expr; $($pattern:pat => $name:literal, $legal:ident, $expunges:ident, $disk:ident;)*) => {
        match $command {
            $($pattern => &Row {
                name: $name,
                legal: Legal::$legal,
                expunges: Expunges::$expunges,
                disk: Disk::$disk,
            },)*
        }
    };
}

/// The row of a command. Sections are those of RFC 9051 unless it says otherwise.
pub(crate) fn row(command: &CommandBody) -> &'static Row {
    use CommandBody as C;
    if let C::Search { uid: true, search } = command
        && search.key.any(SearchKey::is_numbers)
    {
        return &UID_SEARCH_BY_NUMBER;
    }
    rows! { command;
        // §6.1
        C::Capability => "CAPABILITY", Always, Tell, Never;
        C::Noop => "NOOP", Always, Tell, IfStale;
        C::Logout => "LOGOUT", Always, Hold, Never;
        C::Id(_) => "ID", Always, Tell, Never; // RFC 2971 §3.1
        // §6.2
        C::StartTls => "STARTTLS", BeforeLogin, Tell, Never;
        C::Authenticate { .. } => "AUTHENTICATE", BeforeLogin, Tell, Never;
        C::Login { .. } => "LOGIN", BeforeLogin, Tell, Never;
        // §6.3; RFC 5161 §3.1 lets a server take ENABLE with a mailbox selected
        C::Enable(_) => "ENABLE", AfterLogin, Tell, Never;
        C::Unauthenticate => "UNAUTHENTICATE", AfterLogin, Hold, Never; // RFC 8437 §6
        C::Compress => "COMPRESS", AfterLogin, Tell, Never; // RFC 4978 §5
        C::Select(_) => "SELECT", AfterLogin, Tell, Always;
        C::Examine(_) => "EXAMINE", AfterLogin, Tell, Always;
        C::Create { .. } => "CREATE", AfterLogin, Tell, Always;
        C::Delete(_) => "DELETE", AfterLogin, Tell, Always;
        C::Rename { .. } => "RENAME", AfterLogin, Tell, Always;
        C::Subscribe(_) => "SUBSCRIBE", AfterLogin, Tell, Always;
        C::Unsubscribe(_) => "UNSUBSCRIBE", AfterLogin, Tell, Always;
        C::List(_) => "LIST", AfterLogin, Tell, Never;
        C::Lsub(..) => "LSUB", AfterLogin, Tell, Always; // RFC 3501 §6.3.9
        C::Namespace => "NAMESPACE", AfterLogin, Tell, Never;
        C::Status { .. } => "STATUS", AfterLogin, Tell, Always;
        C::Append { .. } => "APPEND", AfterLogin, Tell, Never;
        C::Notify(_) => "NOTIFY", AfterLogin, Tell, Always; // RFC 5465 §3.1
        C::Idle => "IDLE", AfterLogin, Tell, Never;
        // §6.4
        C::Check => "CHECK", Selected, Tell, IfStale; // RFC 3501 §6.4.1
        C::Close => "CLOSE", Selected, Tell, Always;
        C::Unselect => "UNSELECT", Selected, Tell, Never;
        C::Expunge => "EXPUNGE", Selected, Tell, Always;
        C::UidExpunge(_) => "UID EXPUNGE", Selected, Tell, Always;
        C::Search { uid: false, .. } => "SEARCH", Selected, Hold, Never;
        C::Search { uid: true, .. } => "UID SEARCH", Selected, Tell, Never;
        C::Fetch { uid: false, .. } => "FETCH", Selected, Hold, Never;
        C::Fetch { uid: true, .. } => "UID FETCH", Selected, Tell, Never;
        C::Store(Store { uid: false, .. }) => "STORE", Selected, Hold, Always;
        C::Store(Store { uid: true, .. }) => "UID STORE", Selected, Tell, Always;
        C::CancelUpdate(_) => "CANCELUPDATE", Selected, Tell, Never; // RFC 5267 §4.3.5
        C::UidBatches(_) => "UIDBATCHES", Selected, Tell, Never; // RFC 10022 §3.1
        C::Copy { uid: false, .. } => "COPY", Selected, Tell, Always;
        C::Copy { uid: true, .. } => "UID COPY", Selected, Tell, Always;
        C::Move { uid: false, .. } => "MOVE", Selected, Tell, Always;
        C::Move { uid: true, .. } => "UID MOVE", Selected, Tell, Always;
    }
}

/// True if a command names messages by number, which UIDONLY forbids (RFC 9586 §3). `$` is no number.
pub(crate) fn names_numbers(command: &CommandBody) -> bool {
    use CommandBody as C;
    match command {
        C::Fetch { uid, .. } | C::Copy { uid, .. } | C::Move { uid, .. } => !uid,
        C::Store(store) => !store.uid,
        C::Search { uid, search } => !uid || search.key.any(SearchKey::is_numbers),
        C::Select(select) | C::Examine(select) => {
            let known = select.qresync.as_ref();
            known.is_some_and(|known| known.matches.is_some())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::types::fetch::FetchModifiers;
    use crate::imap::types::sequence::SequenceSet;

    #[test]
    fn commands_with_sequence_numbers_hold_expunges_back() {
        for (uid, expunges) in [(false, Expunges::Hold), (true, Expunges::Tell)] {
            let fetch = CommandBody::Fetch {
                uid,
                set: SequenceSet::Saved,
                items: Vec::new(),
                modifiers: FetchModifiers::default(),
            };
            assert_eq!(row(&fetch).expunges, expunges);
            assert_eq!(row(&fetch).name, if uid { "UID FETCH" } else { "FETCH" });
        }
        assert_eq!(row(&CommandBody::Expunge).expunges, Expunges::Tell);
    }
}
