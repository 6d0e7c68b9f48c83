//! Status responses: OK, NO, BAD, BYE, their codes and texts (RFC 9051 §7.1).

use super::core::{push_joined, push_list, push_ranges, push_string, push_uid_set};
use crate::encoding::decimal::push_number;
use crate::imap::types::capability::Capability;
use crate::imap::types::core::Tag;
use crate::imap::types::response::{Code, Condition, Text};

/// `OK`, `NO` or `BAD`, and the text.
pub(super) fn push_condition(condition: Condition, text: &Text, out: &mut Vec<u8>) {
    out.extend_from_slice(match condition {
        Condition::Ok => b"OK ",
        Condition::No => b"NO ",
        Condition::Bad => b"BAD ",
    });
    push_text(text, out);
}

/// `resp-text = ["[" resp-text-code "]" SP] [text]`
pub(super) fn push_text(text: &Text, out: &mut Vec<u8>) {
    if let Some(code) = &text.code {
        out.push(b'[');
        push_code(code, out);
        out.extend_from_slice(b"] ");
    } else if text.text.starts_with('[') {
        // it would be taken for a code
        out.extend_from_slice(b"- ");
    }
    push_plain(&text.text, out);
}

/// `text = 1*TEXT-CHAR`: ASCII; whatever else would be there is `?`.
pub(super) fn push_plain(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'-');
    }
    out.extend(text.chars().map(|c| {
        u8::try_from(c)
            .ok()
            .filter(|octet| (b' '..=b'~').contains(octet))
            .unwrap_or(b'?')
    }));
}

/// `capability *(SP capability)`
pub(super) fn push_capabilities(capabilities: &[Capability], out: &mut Vec<u8>) {
    push_joined(
        capabilities,
        b" ",
        out,
        |capability, out| match capability {
            Capability::Name(name) => out.extend_from_slice(name.as_bytes()),
            Capability::Auth(mechanism) => {
                out.extend_from_slice(b"AUTH=");
                out.extend_from_slice(mechanism.as_bytes());
            }
            Capability::AppendLimit(octets) => {
                out.extend_from_slice(b"APPENDLIMIT=");
                push_number(*octets, out);
            }
            Capability::MessageLimit(messages) => {
                out.extend_from_slice(b"MESSAGELIMIT=");
                push_number((*messages).into(), out);
            }
            Capability::SaveLimit(messages) => {
                out.extend_from_slice(b"SAVELIMIT=");
                push_number((*messages).into(), out);
            }
        },
    );
}

/// `resp-text-code`
fn push_code(code: &Code, out: &mut Vec<u8>) {
    out.extend_from_slice(name(code).as_bytes());
    match code {
        Code::AppendUid(validity, uids) => {
            push_value(validity.value().into(), out);
            out.push(b' ');
            push_uid_set(uids, out);
        }
        Code::CopyUid(validity, source, target) => {
            push_value(validity.value().into(), out);
            out.push(b' ');
            push_uid_set(source, out);
            out.push(b' ');
            push_uid_set(target, out);
        }
        Code::BadCharset(charsets) => {
            out.push(b' ');
            push_list(charsets, out, |name, out| push_charset(name, out));
        }
        Code::BadEvent(events) => {
            out.push(b' ');
            push_list(*events, out, |name, out| {
                out.extend_from_slice(name.as_bytes());
            });
        }
        Code::Capability(capabilities) => {
            out.push(b' ');
            push_capabilities(capabilities, out);
        }
        Code::PermanentFlags(flags) => {
            out.push(b' ');
            push_list(flags, out, |flag, out| {
                out.extend_from_slice(flag.as_bytes())
            });
        }
        Code::MessageLimit(messages, lowest) => {
            push_value((*messages).into(), out);
            if let Some(uid) = lowest {
                push_value(uid.value().into(), out);
            }
        }
        Code::HighestModSeq(mod_seq) => push_value(mod_seq.0, out),
        Code::MailboxId(id) => {
            out.extend_from_slice(b" (");
            out.extend_from_slice(id.as_bytes());
            out.push(b')');
        }
        Code::Modified(set) => {
            out.push(b' ');
            push_ranges(set.iter().cloned(), out);
        }
        Code::InProgress { tag, measure } => push_progress(tag, *measure, out),
        Code::NoUpdate(tag) => {
            out.push(b' ');
            push_string(tag.as_str().as_bytes(), false, out);
        }
        Code::UidNext(uid) => push_value(uid.value().into(), out),
        Code::UidValidity(validity) => push_value(validity.value().into(), out),
        Code::Unseen(seq_num) => push_value(seq_num.value().into(), out),
        _ => {}
    }
}

/// `SP "(" cmd-tag SP progress SP goal ")"` (RFC 9585 §5); a tag that holds `]` would end the code
fn push_progress(tag: &Tag, measure: Option<(u32, u32)>, out: &mut Vec<u8>) {
    out.extend_from_slice(b" (");
    if tag.as_str().contains(']') {
        out.extend_from_slice(b"NIL");
    } else {
        push_string(tag.as_str().as_bytes(), false, out);
    }
    match measure {
        Some((done, goal)) => {
            push_value(done.into(), out);
            push_value(goal.into(), out);
        }
        None => out.extend_from_slice(b" NIL NIL"),
    }
    out.push(b')');
}

/// `SP number`
fn push_value(number: u64, out: &mut Vec<u8>) {
    out.push(b' ');
    push_number(number, out);
}

/// `charset = atom / quoted`
fn push_charset(name: &str, out: &mut Vec<u8>) {
    if name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    {
        out.extend_from_slice(name.as_bytes());
    } else {
        push_string(name.as_bytes(), false, out);
    }
}

/// The atom with which a code begins.
const fn name(code: &Code) -> &'static str {
    match code {
        Code::Alert => "ALERT",
        Code::AlreadyExists => "ALREADYEXISTS",
        Code::AppendUid(..) => "APPENDUID",
        Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
        Code::BadCharset(_) => "BADCHARSET",
        Code::BadEvent(_) => "BADEVENT",
        Code::Cannot => "CANNOT",
        Code::Capability(_) => "CAPABILITY",
        Code::ClientBug => "CLIENTBUG",
        Code::Closed => "CLOSED",
        Code::CompressionActive => "COMPRESSIONACTIVE",
        Code::ContactAdmin => "CONTACTADMIN",
        Code::CopyUid(..) => "COPYUID",
        Code::Corruption => "CORRUPTION",
        Code::Expired => "EXPIRED",
        Code::ExpungeIssued => "EXPUNGEISSUED",
        Code::HasChildren => "HASCHILDREN",
        Code::HighestModSeq(_) => "HIGHESTMODSEQ",
        Code::InProgress { .. } => "INPROGRESS",
        Code::InUse => "INUSE",
        Code::Limit => "LIMIT",
        Code::MessageLimit(..) => "MESSAGELIMIT",
        Code::MailboxId(_) => "MAILBOXID",
        Code::Modified(_) => "MODIFIED",
        Code::NonExistent => "NONEXISTENT",
        Code::NoPerm => "NOPERM",
        Code::NoUpdate(_) => "NOUPDATE",
        Code::NotSaved => "NOTSAVED",
        Code::OverQuota => "OVERQUOTA",
        Code::Parse => "PARSE",
        Code::PermanentFlags(_) => "PERMANENTFLAGS",
        Code::PrivacyRequired => "PRIVACYREQUIRED",
        Code::ReadOnly => "READ-ONLY",
        Code::ReadWrite => "READ-WRITE",
        Code::ServerBug => "SERVERBUG",
        Code::TooBig => "TOOBIG",
        Code::TooFew => "TOOFEW",
        Code::NotificationOverflow => "NOTIFICATIONOVERFLOW",
        Code::TooMany => "TOOMANY",
        Code::TryCreate => "TRYCREATE",
        Code::UidNext(_) => "UIDNEXT",
        Code::UidRequired => "UIDREQUIRED",
        Code::UidValidity(_) => "UIDVALIDITY",
        Code::Unavailable => "UNAVAILABLE",
        Code::UnknownCte => "UNKNOWN-CTE",
        Code::Unseen(_) => "UNSEEN",
        Code::UseAttr => "USEATTR",
    }
}
