//! Commands on mailboxes: CREATE, RENAME, LIST, LSUB, STATUS.

use super::core::{
    ParseResult, after_sp, astring, atom, fail, is_list_char, list0, list1, name, named, string,
    word,
};
use crate::imap::types::command::CommandBody;
use crate::imap::types::core::{MailboxArg, Octets};
use crate::imap::types::list::{List, ListReturns, Selection, StatusItem};
use crate::mailbox::name::SpecialUse;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, opt, peek};
use nom::sequence::preceded;

/// Most patterns in one LIST (RFC 5258 §3).
const MAX_PATTERNS: usize = 64;

/// `mailbox = "INBOX" / astring`
pub(super) fn mailbox(input: &[u8]) -> ParseResult<'_, MailboxArg> {
    map(named("a mailbox name", astring), MailboxArg).parse(input)
}

/// `create = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]` (RFC 4466 §2.2); what follows the name
///
/// `create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"` (RFC 6154 §6)
pub(super) fn create(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let (rest, mailbox) = after_sp(mailbox).parse(input)?;
    let uses = preceded(
        named("USE", word("USE")),
        after_sp(list0(preceded(named("\\", octet('\\')), atom))),
    );
    let params = preceded(peek(octet('(')), cut(list1(uses)));
    let (rest, given) = opt(after_sp(params)).parse(rest)?;
    let mut special_use = Vec::new();
    let mut unknown_use = false;
    for attribute in given.into_iter().flatten().flatten() {
        match use_by_name(attribute) {
            Some(known) if !special_use.contains(&known) => special_use.push(known),
            Some(_) => {}
            None => unknown_use = true,
        }
    }
    Ok((
        rest,
        CommandBody::Create {
            mailbox,
            special_use,
            unknown_use,
        },
    ))
}

/// Finds a use by its name without backslash, in any case.
fn use_by_name(name: &str) -> Option<SpecialUse> {
    SpecialUse::ALL.into_iter().find(|known| {
        let known = known.as_str();
        known
            .strip_prefix('\\')
            .unwrap_or(known)
            .eq_ignore_ascii_case(name)
    })
}

/// `rename = "RENAME" SP mailbox SP mailbox`; what follows the name
pub(super) fn rename(input: &[u8]) -> ParseResult<'_, CommandBody> {
    map((after_sp(mailbox), after_sp(mailbox)), |(from, to)| {
        CommandBody::Rename { from, to }
    })
    .parse(input)
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox` (RFC 3501 §9); what follows the name
pub(super) fn lsub(input: &[u8]) -> ParseResult<'_, CommandBody> {
    map(
        (after_sp(mailbox), after_sp(list_mailbox)),
        |(reference, pattern)| CommandBody::Lsub(reference, pattern),
    )
    .parse(input)
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`; what follows the name
pub(super) fn list(input: &[u8]) -> ParseResult<'_, List> {
    let select_opts = preceded(peek(octet('(')), cut(list_select_opts));
    let (rest, selection) = opt(after_sp(select_opts)).parse(input)?;
    let (rest, reference) = after_sp(mailbox).parse(rest)?;
    let several = map(list1(list_mailbox), |patterns| (patterns, true));
    let one = map(list_mailbox, |pattern| (vec![pattern], false));
    let (rest, (patterns, is_list)) = match after_sp(peek(octet('('))).parse(rest) {
        Ok(_) => after_sp(several).parse(rest)?,
        Err(_) => after_sp(one).parse(rest)?,
    };
    if patterns.len() > MAX_PATTERNS {
        return fail(rest, "fewer patterns");
    }
    let return_opts = preceded(word("RETURN"), cut(after_sp(list0(return_opt))));
    let (rest, given) = opt(after_sp(return_opts)).parse(rest)?;
    let extended = selection.is_some() || is_list || given.is_some();
    let mut returns = ListReturns::default();
    for option in given.into_iter().flatten() {
        match option {
            ReturnOption::Subscribed => returns.subscribed = true,
            ReturnOption::Children => returns.children = true,
            ReturnOption::SpecialUse => returns.special_use = true,
            ReturnOption::Status(items) => returns.status = items,
        }
    }
    Ok((
        rest,
        List {
            selection: selection.unwrap_or_default(),
            reference,
            patterns,
            returns,
            extended,
        },
    ))
}

/// `list-mailbox = 1*list-char / string`
fn list_mailbox(input: &[u8]) -> ParseResult<'_, Octets> {
    named(
        "a mailbox pattern",
        alt((map(take_while1(is_list_char), <[u8]>::to_vec), string)),
    )
    .parse(input)
}

/// `list-select-opts = "(" … ")"`; RECURSIVEMATCH needs an option that selects by itself (RFC 9051 §6.3.9.1, RFC 6154 §6)
fn list_select_opts(input: &[u8]) -> ParseResult<'_, Selection> {
    let (rest, names) = list0(name).parse(input)?;
    let mut selection = Selection::default();
    for name in names {
        match name.as_str() {
            "SUBSCRIBED" => selection.subscribed = true,
            "REMOTE" => selection.remote = true,
            "RECURSIVEMATCH" => selection.recursive_match = true,
            "SPECIAL-USE" => selection.special_use = true,
            _ => return fail(input, "selection options of LIST that are offered"),
        }
    }
    if selection.recursive_match && !selection.subscribed && !selection.special_use {
        return fail(input, "SUBSCRIBED beside RECURSIVEMATCH");
    }
    Ok((rest, selection))
}

/// A return option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReturnOption {
    /// SUBSCRIBED
    Subscribed,
    /// CHILDREN
    Children,
    /// SPECIAL-USE
    SpecialUse,
    /// STATUS (…) (RFC 5819)
    Status(Vec<StatusItem>),
}

/// `return-option = "SUBSCRIBED" / "CHILDREN" / status-option / option-extension`
fn return_opt(input: &[u8]) -> ParseResult<'_, ReturnOption> {
    let (rest, option) = named("a return option", name).parse(input)?;
    match option.as_str() {
        "SUBSCRIBED" => Ok((rest, ReturnOption::Subscribed)),
        "CHILDREN" => Ok((rest, ReturnOption::Children)),
        "SPECIAL-USE" => Ok((rest, ReturnOption::SpecialUse)),
        "STATUS" => map(after_sp(status_items), ReturnOption::Status).parse(rest),
        _ => fail(input, "return options of LIST that are offered"),
    }
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`; what follows the name
pub(super) fn status(input: &[u8]) -> ParseResult<'_, CommandBody> {
    map(
        (after_sp(mailbox), after_sp(status_items)),
        |(mailbox, items)| CommandBody::Status { mailbox, items },
    )
    .parse(input)
}

/// `"(" status-att *(SP status-att) ")"`, each once
fn status_items(input: &[u8]) -> ParseResult<'_, Vec<StatusItem>> {
    let (rest, given) = list1(status_att).parse(input)?;
    let mut items = Vec::new();
    for item in given {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok((rest, items))
}

/// `status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE"`, RECENT of RFC 3501, APPENDLIMIT of RFC 7889,
/// HIGHESTMODSEQ of RFC 7162, MAILBOXID of RFC 8474
fn status_att(input: &[u8]) -> ParseResult<'_, StatusItem> {
    let (rest, att) = named("a status item", name).parse(input)?;
    let item = match att.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "MAILBOXID" => StatusItem::MailboxId,
        _ => return fail(input, "status items that are offered"),
    };
    Ok((rest, item))
}
