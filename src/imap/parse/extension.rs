//! AUTHENTICATE, LOGIN, ID, ENABLE, COMPRESS.

use super::core::{
    ParseResult, after_sp, astring, fail, is_astring_char, list0, name, named, nstring, sp, string,
    word,
};
use crate::auth::secret::Secret;
use crate::imap::types::command::CommandBody;
use crate::imap::types::core::Octets;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::combinator::{map, opt, value};
use nom::multi::many1;
use nom::sequence::separated_pair;

/// Most pairs in ID (RFC 2971 §3.3).
const MAX_ID_PAIRS: usize = 30;

/// Most names in ENABLE.
const MAX_ENABLE_NAMES: usize = 64;

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]` (RFC 4959 §7); what follows the name. The response is not decoded yet.
pub(super) fn authenticate(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let initial_response = map(
        named("an initial response in base64", take_while1(is_base64)),
        <[u8]>::to_vec,
    );
    map(
        (
            after_sp(named("the name of a mechanism", name)),
            opt(after_sp(initial_response)),
        ),
        |(mechanism, initial_response)| CommandBody::Authenticate {
            mechanism,
            initial_response,
        },
    )
    .parse(input)
}

/// `login = "LOGIN" SP userid SP password`; what follows the name
pub(super) fn login(input: &[u8]) -> ParseResult<'_, CommandBody> {
    map(
        (
            after_sp(named("a user name", login_string)),
            after_sp(named("a password", login_string)),
        ),
        |(user, password)| CommandBody::Login {
            user,
            password: Secret::new(password),
        },
    )
    .parse(input)
}

/// `astring`; outside of quotes also `%`, `*` and `\`, since some clients quote no user names and passwords
fn login_string(input: &[u8]) -> ParseResult<'_, Octets> {
    let is_login_char = |b| is_astring_char(b) || matches!(b, b'%' | b'*' | b'\\');
    alt((map(take_while1(is_login_char), <[u8]>::to_vec), string)).parse(input)
}

/// `id = "ID" SP id-params-list`, `id-params-list = "(" *(string SP nstring) ")" / nil` (RFC 2971 §4); what follows the name
pub(super) fn id(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let pair = separated_pair(astring, sp, nstring);
    let (rest, pairs) = after_sp(named(
        "a list of strings or NIL",
        alt((value(Vec::new(), word("NIL")), list0(pair))),
    ))
    .parse(input)?;
    if pairs.len() > MAX_ID_PAIRS {
        return fail(rest, "fewer pairs");
    }
    Ok((rest, CommandBody::Id(pairs)))
}

/// `compress = "COMPRESS" SP algorithm`, `algorithm = "DEFLATE"` (RFC 4978 §5); what follows the name
pub(super) fn compress(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let deflate = named("DEFLATE", word("DEFLATE"));
    map(after_sp(deflate), |_| CommandBody::Compress).parse(input)
}

/// `enable = "ENABLE" 1*(SP capability)` (RFC 5161 §4); what follows the name
pub(super) fn enable(input: &[u8]) -> ParseResult<'_, CommandBody> {
    let (rest, names) = many1(after_sp(named("a capability", name))).parse(input)?;
    if names.len() > MAX_ENABLE_NAMES {
        return fail(rest, "fewer capabilities");
    }
    Ok((rest, CommandBody::Enable(names)))
}
