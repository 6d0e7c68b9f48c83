//! STORE, and lists of flags.

use super::core::{ParseResult, after_sp, atom, fail, list0, list1, mod_sequence, named, sp, word};
use super::sequence::sequence_set;
use crate::imap::types::command::Store;
use crate::mailbox::flag::{FlagAction, Keyword, NamedFlags, SystemFlag};
use crate::mailbox::id::ModSeq;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, opt, peek, value};
use nom::multi::separated_list1;
use nom::sequence::preceded;

/// Most flags in one list; a mailbox holds 64.
const MAX_FLAGS: usize = 512;

/// A flag as written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flag {
    /// `\Seen` …
    System(SystemFlag),
    /// `\Recent`
    Recent,
    /// An atom.
    Keyword(Keyword),
}

/// Flags of a STORE or APPEND.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FlagList {
    /// All but `\Recent`.
    flags: NamedFlags,
    /// `\Recent` was among them.
    recent: bool,
}

/// `store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags`; what follows the name
///
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
pub(super) fn store(uid: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, Store> {
    move |input| {
        let (rest, set) = after_sp(sequence_set).parse(input)?;
        let modifiers = preceded(peek(octet('(')), cut(store_modifiers));
        let (rest, unchanged_since) = opt(after_sp(modifiers)).parse(rest)?;
        let (rest, (action, silent)) =
            after_sp(named("FLAGS, +FLAGS or -FLAGS", action)).parse(rest)?;
        let bare = separated_list1(sp, flag);
        let (rest, flags) = after_sp(alt((list0(flag), bare))).parse(rest)?;
        let Some(list) = collect(flags) else {
            return fail(input, "fewer flags");
        };
        Ok((
            rest,
            Store {
                uid,
                set,
                action,
                silent,
                flags: list.flags,
                names_recent: list.recent,
                unchanged_since,
            },
        ))
    }
}

/// `store-modifiers = SP "(" store-modifier *(SP store-modifier) ")"` (RFC 4466 §2.5); the only one is UNCHANGEDSINCE, once
/// (RFC 7162 §7)
fn store_modifiers(input: &[u8]) -> ParseResult<'_, ModSeq> {
    let modifier = preceded(
        named(
            "a modifier of STORE that is offered",
            word("UNCHANGEDSINCE"),
        ),
        after_sp(mod_sequence),
    );
    let (rest, given) = list1(modifier).parse(input)?;
    match given.as_slice() {
        [mod_seq] => Ok((rest, *mod_seq)),
        _ => fail(input, "UNCHANGEDSINCE once"),
    }
}

/// `["+" / "-"] "FLAGS" [".SILENT"]`
fn action(input: &[u8]) -> ParseResult<'_, (FlagAction, bool)> {
    let sign = opt(alt((
        value(FlagAction::Add, octet('+')),
        value(FlagAction::Remove, octet('-')),
    )));
    let (rest, (sign, _, silent)) =
        (sign, tag_no_case("FLAGS"), opt(tag_no_case(".SILENT"))).parse(input)?;
    Ok((
        rest,
        (sign.unwrap_or(FlagAction::Replace), silent.is_some()),
    ))
}

/// `flag-list = "(" [flag *(SP flag)] ")"` of flags for a new message; `flag` "Does not include "\Recent"" (RFC 9051 §9), which is ours to set
pub(super) fn settable_flags(input: &[u8]) -> ParseResult<'_, NamedFlags> {
    let (rest, flags) = list0(flag).parse(input)?;
    match collect(flags) {
        None => fail(input, "fewer flags"),
        Some(list) if list.recent => {
            fail(input, "flags without \\Recent, which only the server sets")
        }
        Some(list) => Ok((rest, list.flags)),
    }
}

/// `flag = "\Answered" / … / flag-keyword`; system flags that we do not know are refused
fn flag(input: &[u8]) -> ParseResult<'_, Flag> {
    if let Some(after) = input.strip_prefix(b"\\") {
        let (rest, name) = atom(after)?;
        if name.eq_ignore_ascii_case("Recent") {
            return Ok((rest, Flag::Recent));
        }
        let known = SystemFlag::ALL.into_iter().find(|flag| {
            flag.as_str()
                .get(1..)
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        });
        return known.map_or_else(
            || fail(input, "\\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft or a keyword without backslash"),
            |flag| Ok((rest, Flag::System(flag))),
        );
    }
    map(keyword, Flag::Keyword).parse(input)
}

/// `flag-keyword = "$MDNSent" / … / atom`
pub(super) fn keyword(input: &[u8]) -> ParseResult<'_, Keyword> {
    let (rest, text) = named("a flag", atom).parse(input)?;
    match Keyword::new(text) {
        Some(keyword) => Ok((rest, keyword)),
        None => fail(input, "a shorter keyword"),
    }
}

/// Sorts flags by kind, each once; none if there are too many.
fn collect(given: Vec<Flag>) -> Option<FlagList> {
    if given.len() > MAX_FLAGS {
        return None;
    }
    let mut list = FlagList::default();
    for flag in given {
        match flag {
            Flag::System(flag) => list.flags.system = list.flags.system.with(flag),
            Flag::Recent => list.recent = true,
            Flag::Keyword(keyword) => {
                if !list.flags.keywords.contains(&keyword) {
                    list.flags.keywords.push(keyword);
                }
            }
        }
    }
    Some(list)
}
