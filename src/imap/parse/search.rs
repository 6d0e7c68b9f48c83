//! SEARCH (RFC 9051 §6.4.4).
//!
//! Criteria are read with a stack of our own, not by recursion: OR of hundreds of terms is what clients send. Chains of OR and of AND
//! become one list, so that what nests deeper than [`MAX_DEPTH`] is nonsense.

use super::core::{
    Expected, ParseResult, after_sp, astring, blanks, closing, end, fail, is_atom_char, list0,
    mod_sequence, name, named, number64, nz_number, quoted, sp, word,
};
use super::date::date;
use super::fetch::fetch_atts;
use super::sequence::{partial_range, sequence_set};
use super::store::keyword;
use crate::imap::types::command::CommandBody;
use crate::imap::types::core::Octets;
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::search::{DateKind, DateTest, Search, SearchKey, SearchReturns};
use crate::imap::types::sequence::PartialRange;
use crate::mailbox::flag::SystemFlag;
use crate::mailbox::id::ModSeq;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::char as octet;
use nom::combinator::{cut, map, opt, peek, verify};
use nom::multi::many1;
use nom::sequence::preceded;

/// Deepest nesting of NOT, OR and parentheses, where it is not a chain of the same.
pub(crate) const MAX_DEPTH: usize = 50;

/// Most criteria in one SEARCH.
pub(crate) const MAX_KEYS: usize = 4096;

/// Most tags in one CANCELUPDATE.
const MAX_CANCELLED_TAGS: usize = 64;

/// Most sets of messages in one SEARCH: each of them may name every message.
pub(crate) const MAX_SETS: usize = 128;

/// `search = "SEARCH" [search-return-opts] SP search-program`; what follows the name
///
/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`
pub(super) fn search(uid: bool) -> impl FnMut(&[u8]) -> ParseResult<'_, CommandBody> {
    move |input| {
        let return_opts = preceded(word("RETURN"), cut(after_sp(search_returns)));
        let (rest, returns) = opt(after_sp(return_opts)).parse(input)?;
        let (returns, update_items) = returns.unzip();
        let charset = preceded(word("CHARSET"), cut(after_sp(named("a charset", astring))));
        let (rest, charset) = opt(after_sp(charset)).parse(rest)?;
        let (rest, key) = search_keys(rest)?;
        let search = Search {
            returns,
            charset,
            update_items: update_items.unwrap_or_default(),
            key,
        };
        let search = Box::new(search);
        Ok((rest, CommandBody::Search { uid, search }))
    }
}

/// `search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"`; here the list
///
/// One PARTIAL or one ALL may be among them (RFC 9394 §3.1).
fn search_returns(input: &[u8]) -> ParseResult<'_, (SearchReturns, Vec<FetchItem>)> {
    let (rest, options) = list0(search_return_opt).parse(input)?;
    let mut returns = SearchReturns::default();
    let mut update_items = Vec::new();
    for option in options {
        match option {
            ReturnOption::Min => returns.min = true,
            ReturnOption::Max => returns.max = true,
            ReturnOption::All => returns.all = true,
            ReturnOption::Count => returns.count = true,
            ReturnOption::Save => returns.save = true,
            ReturnOption::Update(items) => {
                returns.update = true;
                update_items = items;
            }
            ReturnOption::Context => returns.context = true,
            ReturnOption::Partial(window) => {
                if returns.partial.replace(window).is_some() {
                    return fail(input, "PARTIAL once");
                }
            }
        }
    }
    if returns.all && returns.partial.is_some() {
        return fail(input, "either PARTIAL or ALL");
    }
    Ok((rest, (returns, update_items)))
}

/// A return option with its value.
#[derive(Debug)]
enum ReturnOption {
    /// MIN
    Min,
    /// MAX
    Max,
    /// ALL
    All,
    /// COUNT
    Count,
    /// SAVE
    Save,
    /// UPDATE, with data items of FETCH
    Update(Vec<FetchItem>),
    /// CONTEXT
    Context,
    /// PARTIAL
    Partial(PartialRange),
}

/// `search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" / modifier-update / "CONTEXT" / "PARTIAL" SP partial-range` (RFC 9051
/// §9, RFC 5267 §5, RFC 9394 §4)
///
/// `modifier-update = "UPDATE" ["(" fetch-att *(SP fetch-att) ")"]` (RFC 5465 §8); the examples there have a space as well
fn search_return_opt(input: &[u8]) -> ParseResult<'_, ReturnOption> {
    let (rest, name) = named("a return option", name).parse(input)?;
    let option = match name.as_str() {
        "MIN" => ReturnOption::Min,
        "MAX" => ReturnOption::Max,
        "ALL" => ReturnOption::All,
        "COUNT" => ReturnOption::Count,
        "SAVE" => ReturnOption::Save,
        "UPDATE" => {
            let items = preceded(opt(octet(' ')), preceded(peek(octet('(')), cut(fetch_atts)));
            let (rest, items) = opt(items).parse(rest)?;
            return Ok((rest, ReturnOption::Update(items.unwrap_or_default())));
        }
        "CONTEXT" => ReturnOption::Context,
        "PARTIAL" => return map(after_sp(partial_range), ReturnOption::Partial).parse(rest),
        _ => return fail(input, "return options of SEARCH that are offered"),
    };
    Ok((rest, option))
}

/// `cancel-update = "CANCELUPDATE" 1*(SP quoted)` (RFC 5267 §5); what follows the name
pub(super) fn cancel_update(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let (rest, tags) = many1(after_sp(named("a tag in quotes", quoted))).parse(input)?;
    if tags.len() > MAX_CANCELLED_TAGS {
        return fail(rest, "fewer tags");
    }
    Ok((rest, CommandBody::CancelUpdate(tags)))
}

/// A criterion and how deep it nests.
#[derive(Debug)]
struct Criterion {
    key: SearchKey,
    depth: usize,
}

/// Something that waits for its criteria.
#[derive(Debug)]
enum Open {
    /// Parentheses, or at the bottom the whole program: any number.
    All(Vec<Criterion>),
    /// NOT: one.
    Not,
    /// OR: two; the first, when it is there.
    Or(Option<Criterion>),
}

/// `SP search-key *(SP search-key)`, to the end of the command
fn search_keys(input: &[u8]) -> ParseResult<'_, SearchKey> {
    let (mut rest, ()) = sp(input)?;
    let mut stack = vec![Open::All(Vec::new())];
    let mut sets = 0;
    for _ in 0..MAX_KEYS {
        if let Ok((after, opened)) = opening(rest) {
            stack.push(opened);
            rest = after;
            continue;
        }
        let (after, key) = simple_key(rest)?;
        sets += usize::from(matches!(key, SearchKey::Sequence(_) | SearchKey::Uid(_)));
        if sets > MAX_SETS {
            return fail(rest, "fewer sets of messages");
        }
        (rest, ()) = place(after, Criterion { key, depth: 0 }, &mut stack)?;
        if let ([Open::All(keys)], Ok(_)) = (stack.as_mut_slice(), end(rest)) {
            return Ok((rest, Criterion::all(std::mem::take(keys)).key));
        }
        (rest, ()) = sp(rest)?;
    }
    fail(rest, "fewer search criteria")
}

/// `"("`, `"NOT" SP`, `"OR" SP`
fn opening(input: &[u8]) -> ParseResult<'_, Open> {
    alt((
        map((octet('('), blanks), |_| Open::All(Vec::new())),
        map((word("NOT"), sp), |_| Open::Not),
        map((word("OR"), sp), |_| Open::Or(None)),
    ))
    .parse(input)
}

/// Puts a criterion where one is waited for; what becomes complete by that, with the parentheses that close here, goes the same way.
fn place<'a>(
    mut rest: &'a [u8],
    mut done: Criterion,
    stack: &mut Vec<Open>,
) -> ParseResult<'a, ()> {
    while let Some(open) = stack.pop() {
        if done.depth > MAX_DEPTH {
            return fail(rest, "criteria that nest less deeply");
        }
        match open {
            Open::Not => done = done.negated(),
            Open::Or(Some(first)) => done = first.or(done),
            Open::Or(None) => {
                stack.push(Open::Or(Some(done)));
                return Ok((rest, ()));
            }
            Open::All(mut keys) => {
                keys.push(done);
                match closing(rest) {
                    Ok((after, ())) if !stack.is_empty() => {
                        rest = after;
                        done = Criterion::all(keys);
                    }
                    _ => {
                        stack.push(Open::All(keys));
                        return Ok((rest, ()));
                    }
                }
            }
        }
    }
    fail(rest, "fewer )")
}

impl Criterion {
    /// NOT
    fn negated(self) -> Self {
        match self.key {
            SearchKey::Not(key) => Self {
                key: *key,
                depth: self.depth,
            },
            key => Self {
                key: SearchKey::Not(Box::new(key)),
                depth: self.depth + 1,
            },
        }
    }

    /// OR; alternatives of alternatives become one list, whose order is not kept.
    fn or(self, other: Self) -> Self {
        let alternatives = |criterion: Self| match criterion.key {
            SearchKey::Or(keys) => (keys, criterion.depth),
            key => (vec![key], criterion.depth + 1),
        };
        let (mine, my_depth) = alternatives(self);
        let (others, other_depth) = alternatives(other);
        let (mut keys, fewer) = if mine.len() > others.len() {
            (mine, others)
        } else {
            (others, mine)
        };
        keys.extend(fewer);
        Self {
            key: SearchKey::Or(keys),
            depth: my_depth.max(other_depth),
        }
    }

    /// Parentheses, and the whole program; one criterion stands for itself.
    fn all(criteria: Vec<Self>) -> Self {
        let mut depth = 0;
        let mut keys = Vec::with_capacity(criteria.len());
        let alone = criteria.len() == 1;
        for criterion in criteria {
            if alone {
                return criterion;
            }
            match criterion.key {
                SearchKey::And(inner) => {
                    depth = depth.max(criterion.depth);
                    keys.extend(inner);
                }
                key => {
                    depth = depth.max(criterion.depth + 1);
                    keys.push(key);
                }
            }
        }
        Self {
            key: SearchKey::And(keys),
            depth,
        }
    }
}

/// `search-key` without those that hold others; with the keys of RFC 3501 that RFC 9051 dropped, and of RFC 5032.
fn simple_key(input: &[u8]) -> ParseResult<'_, SearchKey> {
    if matches!(input.first(), Some(b'0'..=b'9' | b'*' | b'$')) {
        return map(sequence_set, SearchKey::Sequence).parse(input);
    }
    let is_letter = |b: u8| b.is_ascii_alphabetic();
    let (rest, name) = named("a search criterion", take_while1(is_letter)).parse(input)?;
    let name = name.to_ascii_uppercase();
    let alone = match name.as_slice() {
        b"ALL" => SearchKey::All,
        b"NEW" => SearchKey::New,
        b"OLD" => SearchKey::Old,
        b"RECENT" => SearchKey::Recent,
        b"KEYWORD" => return keyed(rest, keyword, |k| SearchKey::Keyword(k, true)),
        b"UNKEYWORD" => return keyed(rest, keyword, |k| SearchKey::Keyword(k, false)),
        b"BCC" | b"CC" | b"FROM" | b"SUBJECT" | b"TO" => {
            return keyed(rest, astring, |text| SearchKey::Header(name, text));
        }
        b"HEADER" => {
            let field = (named("a header field name", astring), after_sp(astring));
            return keyed(rest, field, |(field, text)| SearchKey::Header(field, text));
        }
        b"BODY" => return keyed(rest, astring, SearchKey::Body),
        b"TEXT" => return keyed(rest, astring, SearchKey::Text),
        b"LARGER" => return keyed(rest, number64, SearchKey::Larger),
        b"SMALLER" => return keyed(rest, number64, SearchKey::Smaller),
        b"UIDAFTER" => return keyed(rest, nz_number, |uid| SearchKey::UidAfter(uid.get())),
        b"UIDBEFORE" => return keyed(rest, nz_number, |uid| SearchKey::UidBefore(uid.get())),
        b"UID" => return keyed(rest, sequence_set, SearchKey::Uid),
        b"MODSEQ" => return keyed(rest, search_mod_sequence, SearchKey::ModSeq),
        b"EMAILID" => return keyed(rest, object_id, SearchKey::EmailId),
        b"THREADID" => return keyed(rest, object_id, SearchKey::ThreadId),
        b"SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        b"OLDER" => return keyed(rest, nz_number, |secs| within(true, secs)),
        b"YOUNGER" => return keyed(rest, nz_number, |secs| within(false, secs)),
        name => match (flag_key(name), date_key(name)) {
            (Some((flag, set)), _) => SearchKey::Flag(flag, set),
            (None, Some((kind, test))) => {
                return keyed(rest, date, |day| SearchKey::Date(kind, test, day));
            }
            (None, None) => return fail(input, "a search criterion that is offered"),
        },
    };
    Ok((rest, alone))
}

/// `SP` and what a key needs.
fn keyed<'a, O>(
    input: &'a [u8],
    argument: impl Parser<&'a [u8], Output = O, Error = Expected>,
    key: impl FnOnce(O) -> SearchKey,
) -> ParseResult<'a, SearchKey> {
    let (rest, value) = after_sp(argument).parse(input)?;
    Ok((rest, key(value)))
}

/// `[entry-name SP entry-type-req SP] mod-sequence-valzer` of MODSEQ (RFC 7162 §7). A message has one mod-sequence for all of its
/// flags, so that the entry changes nothing (§3.1.5).
fn search_mod_sequence(input: &[u8]) -> ParseResult<'_, ModSeq> {
    let is_flag = |name: &Octets| {
        let flag = name.strip_prefix(b"/flags/").unwrap_or_default();
        let flag = flag.strip_prefix(b"\\").unwrap_or(flag);
        !flag.is_empty() && flag.iter().all(|b| is_atom_char(*b))
    };
    let entry_name = named("the name of a flag's entry", verify(quoted, is_flag));
    let entry_type = alt((word("priv"), word("shared"), word("all")));
    let entry = (
        entry_name,
        after_sp(named("priv, shared or all", entry_type)),
        sp,
    );
    let (rest, _) = opt(preceded(peek(octet('"')), cut(entry))).parse(input)?;
    mod_sequence(rest)
}

/// Longest object identifier (RFC 8474 §7).
const MAX_OBJECT_ID_OCTETS: usize = 255;

/// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7)
fn object_id(input: &[u8]) -> ParseResult<'_, Octets> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let (rest, id) = named("an object identifier", take_while1(is_legal)).parse(input)?;
    if id.len() > MAX_OBJECT_ID_OCTETS {
        return fail(input, "an object identifier of at most 255 octets");
    }
    Ok((rest, id.to_vec()))
}

/// `"OLDER" SP nz-number / "YOUNGER" SP nz-number` (RFC 5032 §4)
const fn within(older: bool, secs: std::num::NonZeroU32) -> SearchKey {
    SearchKey::Within {
        older,
        secs: secs.get(),
    }
}

/// ANSWERED, UNANSWERED …: the flag, and whether it must be set
fn flag_key(name: &[u8]) -> Option<(SystemFlag, bool)> {
    let (name, set) = match name.strip_prefix(b"UN") {
        Some(name) => (name, false),
        None => (name, true),
    };
    let flag = match name {
        b"ANSWERED" => SystemFlag::Answered,
        b"DELETED" => SystemFlag::Deleted,
        b"DRAFT" => SystemFlag::Draft,
        b"FLAGGED" => SystemFlag::Flagged,
        b"SEEN" => SystemFlag::Seen,
        _ => return None,
    };
    Some((flag, set))
}

/// BEFORE, SENTBEFORE, SAVEDBEFORE …
fn date_key(name: &[u8]) -> Option<(DateKind, DateTest)> {
    let (name, kind) = match (name.strip_prefix(b"SENT"), name.strip_prefix(b"SAVED")) {
        (Some(name), _) => (name, DateKind::Sent),
        (None, Some(name)) => (name, DateKind::Saved),
        (None, None) => (name, DateKind::Internal),
    };
    let test = match name {
        b"BEFORE" => DateTest::Before,
        b"ON" => DateTest::On,
        b"SINCE" => DateTest::Since,
        _ => return None,
    };
    Some((kind, test))
}
