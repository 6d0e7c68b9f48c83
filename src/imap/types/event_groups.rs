//! NOTIFY (RFC 5465): which events of which mailboxes a client wants to hear of.

use super::core::MailboxArg;
use super::fetch::FetchItem;

/// A NOTIFY command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// NONE: no events at all.
    None,
    /// SET: these instead of those before.
    Set(NotifySet),
}

/// What NOTIFY SET asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySet {
    /// STATUS: the client wants to know first how its mailboxes are.
    pub status: bool,
    /// What of the selected mailbox; none is as `SELECTED NONE` (§3.1).
    pub selected: Option<SelectedEvents>,
    /// What of the others.
    pub groups: Vec<EventGroup>,
    /// An event was among them that is not offered: refused with `[BADEVENT (…)]` (§3.1).
    pub unsupported: bool,
}

/// What of the selected mailbox (§6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedEvents {
    /// SELECTED-DELAYED: no expunges but where a command lets them be told.
    pub delayed: bool,
    /// Which events; none stands for NONE.
    pub messages: Option<MessageEvents>,
    /// What FETCH tells of a new message; perhaps nothing.
    pub items: Vec<FetchItem>,
}

/// Message events; `MessageNew` and `MessageExpunge` always come together (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageEvents {
    /// `FlagChange` besides them.
    pub flags: bool,
}

/// Events of some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: Filter,
    /// Which events of their messages.
    pub messages: Option<MessageEvents>,
    /// `MailboxName`
    pub names: bool,
    /// `SubscriptionChange`
    pub subscriptions: bool,
}

/// Mailboxes that need not be selected (§6.2–6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// INBOXES: as PERSONAL here, since an MTA may deliver anywhere (§6.3).
    Inboxes,
    /// PERSONAL
    Personal,
    /// SUBSCRIBED
    Subscribed,
    /// SUBTREE: these and all below them
    Subtree(Vec<MailboxArg>),
    /// MAILBOXES: just these
    Mailboxes(Vec<MailboxArg>),
}
