//! NOTIFY (RFC 5465 §8).

use super::core::{ParseResult, after_sp, atom, fail, list1, name, named, word};
use super::fetch::fetch_atts;
use super::mailbox::mailbox;
use crate::imap::types::core::MailboxArg;
use crate::imap::types::event_groups::{
    EventGroup, Filter, MessageEvents, Notify, NotifySet, SelectedEvents,
};
use crate::imap::types::fetch::FetchItem;
use nom::Parser;
use nom::branch::alt;
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, opt, peek};
use nom::multi::many1;
use nom::sequence::{delimited, preceded};

/// Most event groups of one NOTIFY.
const MAX_GROUPS: usize = 64;

/// Most mailbox names in one group.
const MAX_NAMES: usize = 256;

/// `notify = "NOTIFY" SP (notify-set / notify-none)`; what follows the name
pub(super) fn notify(input: &[u8]) -> ParseResult<'_, Notify> {
    let (rest, kind) = after_sp(named("SET or NONE", name)).parse(input)?;
    match kind.as_str() {
        "NONE" => Ok((rest, Notify::None)),
        "SET" => map(notify_set, Notify::Set).parse(rest),
        _ => fail(input, "SET or NONE"),
    }
}

/// `"SET" [status-indicator] SP event-groups`; what follows SET
fn notify_set(input: &[u8]) -> ParseResult<'_, NotifySet> {
    let (rest, status) = opt(after_sp(word("STATUS"))).parse(input)?;
    let (rest, groups) = many1(after_sp(event_group)).parse(rest)?;
    if groups.len() > MAX_GROUPS {
        return fail(input, "fewer event groups");
    }
    let mut set = NotifySet {
        status: status.is_some(),
        selected: None,
        groups: Vec::new(),
        unsupported: false,
    };
    for (group, unsupported) in groups {
        set.unsupported |= unsupported;
        match group {
            Group::Other(group) => set.groups.push(group),
            Group::Selected(_) if set.selected.is_some() => {
                return fail(input, "SELECTED or SELECTED-DELAYED once");
            }
            Group::Selected(selected) => set.selected = Some(selected),
        }
    }
    Ok((rest, set))
}

/// An event group of either kind.
#[derive(Debug)]
enum Group {
    /// Of the selected mailbox.
    Selected(SelectedEvents),
    /// Of others.
    Other(EventGroup),
}

/// Mailboxes of an event group of either kind.
#[derive(Debug)]
enum AnyFilter {
    /// SELECTED, or SELECTED-DELAYED if true
    Selected(bool),
    /// Any other.
    Other(Filter),
}

/// `event-group = "(" filter-mailboxes SP events ")"`; true if it names an event that is not offered
fn event_group(input: &[u8]) -> ParseResult<'_, (Group, bool)> {
    let opening = named("an event group in parentheses", octet('('));
    let content = (filter_mailboxes, after_sp(events));
    let (rest, (filter, events)) =
        delimited(opening, cut(content), cut(named(")", octet(')')))).parse(input)?;
    let messages = match events.messages() {
        Ok(messages) => messages,
        Err(what) => return give_up(input, what),
    };
    let group = match filter {
        AnyFilter::Selected(_) if events.names || events.subscriptions || events.of_server => {
            return give_up(input, "message events only for the selected mailbox");
        }
        AnyFilter::Selected(delayed) => Group::Selected(SelectedEvents {
            delayed,
            messages,
            items: events.items.unwrap_or_default(),
        }),
        AnyFilter::Other(_) if events.items.is_some() => {
            return give_up(input, "data items of FETCH for the selected mailbox only");
        }
        AnyFilter::Other(filter) => Group::Other(EventGroup {
            filter,
            messages,
            names: events.names,
            subscriptions: events.subscriptions,
        }),
    };
    Ok((rest, (group, events.unsupported)))
}

/// Fails for good: no other reading is possible.
fn give_up<'a, T>(input: &'a [u8], what: &'static str) -> ParseResult<'a, T> {
    cut(|input| fail(input, what)).parse(input)
}

/// `filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" / ("subtree" SP one-or-more-mailbox) /
/// ("mailboxes" SP one-or-more-mailbox)`
fn filter_mailboxes(input: &[u8]) -> ParseResult<'_, AnyFilter> {
    let (rest, filter) = named("a choice of mailboxes", name).parse(input)?;
    Ok(match filter.as_str() {
        "SELECTED" => (rest, AnyFilter::Selected(false)),
        "SELECTED-DELAYED" => (rest, AnyFilter::Selected(true)),
        "INBOXES" => (rest, AnyFilter::Other(Filter::Inboxes)),
        "PERSONAL" => (rest, AnyFilter::Other(Filter::Personal)),
        "SUBSCRIBED" => (rest, AnyFilter::Other(Filter::Subscribed)),
        "SUBTREE" => {
            let (rest, names) = after_sp(one_or_more_mailbox).parse(rest)?;
            (rest, AnyFilter::Other(Filter::Subtree(names)))
        }
        "MAILBOXES" => {
            let (rest, names) = after_sp(one_or_more_mailbox).parse(rest)?;
            (rest, AnyFilter::Other(Filter::Mailboxes(names)))
        }
        _ => return fail(input, "a choice of mailboxes"),
    })
}

/// `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn one_or_more_mailbox(input: &[u8]) -> ParseResult<'_, Vec<MailboxArg>> {
    let many = preceded(peek(octet('(')), cut(list1(mailbox)));
    let (rest, names) = alt((many, map(mailbox, |name| vec![name]))).parse(input)?;
    if names.len() > MAX_NAMES {
        return fail(input, "fewer mailboxes");
    }
    Ok((rest, names))
}

/// The events of a group as they are read.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent events of the RFC"
)]
struct Events {
    new: bool,
    items: Option<Vec<FetchItem>>,
    expunge: bool,
    flags: bool,
    annotations: bool,
    names: bool,
    subscriptions: bool,
    /// An event that is of no message, and not offered.
    of_server: bool,
    unsupported: bool,
}

impl Events {
    /// Adds one by its name.
    fn add(&mut self, event: &str, items: Option<Vec<FetchItem>>) {
        match event.to_ascii_uppercase().as_str() {
            "MESSAGENEW" => {
                self.new = true;
                self.items = items.or_else(|| self.items.take());
            }
            "MESSAGEEXPUNGE" => self.expunge = true,
            "FLAGCHANGE" => self.flags = true,
            "ANNOTATIONCHANGE" => {
                self.annotations = true;
                self.unsupported = true;
            }
            "MAILBOXNAME" => self.names = true,
            "SUBSCRIPTIONCHANGE" => self.subscriptions = true,
            "MAILBOXMETADATACHANGE" | "SERVERMETADATACHANGE" => {
                self.of_server = true;
                self.unsupported = true;
            }
            _ => self.unsupported = true,
        }
    }

    /// The message events, if they are such as may stand together (§5).
    fn messages(&self) -> Result<Option<MessageEvents>, &'static str> {
        let flags = self.flags;
        match (self.new, self.expunge, flags || self.annotations) {
            (true, true, _) => Ok(Some(MessageEvents { flags })),
            (false, false, false) => Ok(None),
            _ => Err("MessageNew and MessageExpunge together, and with changes of messages"),
        }
    }
}

/// `events = ("(" event *(SP event) ")") / "NONE"`
fn events(input: &[u8]) -> ParseResult<'_, Events> {
    let none = map(word("NONE"), |()| Events::default());
    let some = map(list1(event), |given| {
        let mut events = Events::default();
        for (event, items) in given {
            events.add(event, items);
        }
        events
    });
    named("events in parentheses or NONE", alt((none, some))).parse(input)
}

/// `event = message-event / mailbox-event / user-event / event-ext`; data items follow `MessageNew` only
fn event(input: &[u8]) -> ParseResult<'_, (&str, Option<Vec<FetchItem>>)> {
    let (rest, event) = named("an event", atom).parse(input)?;
    if !event.eq_ignore_ascii_case("MessageNew") {
        return Ok((rest, (event, None)));
    }
    let items = preceded(peek(octet('(')), cut(fetch_atts));
    let (rest, items) = opt(after_sp(items)).parse(rest)?;
    Ok((rest, (event, items)))
}
