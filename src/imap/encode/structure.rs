//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 §7.5.2, §9), legal for any message.

use super::core::{push_list, push_nstring, push_string};
use crate::encoding::decimal::push_number;
use crate::message::address::Address;
use crate::message::envelope::Envelope;
use crate::message::structure::{Content, Disposition, Parameter, Part};

/// How a structure is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// With extension data (BODYSTRUCTURE), or without (BODY).
    pub(crate) extended: bool,
    /// Octets above 127 may stand in quoted strings.
    pub(crate) utf8: bool,
}

/// `envelope`
pub(crate) fn push_envelope(envelope: &Envelope, utf8: bool, out: &mut Vec<u8>) {
    out.push(b'(');
    push_nstring(envelope.date.as_deref(), utf8, out);
    out.push(b' ');
    push_nstring(envelope.subject.as_deref(), utf8, out);
    for addresses in [
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ] {
        out.push(b' ');
        push_addresses(addresses, utf8, out);
    }
    out.push(b' ');
    push_nstring(envelope.in_reply_to.as_deref(), utf8, out);
    out.push(b' ');
    push_nstring(envelope.message_id.as_deref(), utf8, out);
    out.push(b')');
}

/// `"(" 1*address ")" / nil`
fn push_addresses(addresses: &[Address], utf8: bool, out: &mut Vec<u8>) {
    if addresses.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in addresses {
        push_address(address, utf8, out);
    }
    out.push(b')');
}

/// `address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"`
///
/// A NIL host marks groups, so that a missing domain is an empty string.
fn push_address(address: &Address, utf8: bool, out: &mut Vec<u8>) {
    let (name, route, local, domain) = match address {
        Address::Mailbox {
            name,
            route,
            local,
            domain,
        } => (
            name.as_deref(),
            route.as_deref(),
            Some(local.as_slice()),
            Some(domain.as_slice()),
        ),
        Address::GroupStart(name) => (None, None, Some(name.as_slice()), None),
        Address::GroupEnd => (None, None, None, None),
    };
    push_list([name, route, local, domain], out, |field, out| {
        push_nstring(field, utf8, out);
    });
}

/// `body = "(" (body-type-1part / body-type-mpart) ")"`; nesting is bounded by the parser of messages
pub(crate) fn push_body(part: &Part, form: Form, out: &mut Vec<u8>) {
    out.push(b'(');
    match &part.content {
        Content::Multipart(parts) if !parts.is_empty() => push_multipart(part, parts, form, out),
        Content::Multipart(_) | Content::Leaf => push_leaf(part, form, out),
        Content::Message {
            envelope,
            part: inner,
        } => {
            push_fields(part, &part.media_type, &part.media_subtype, form, out);
            out.push(b' ');
            push_envelope(envelope, form.utf8, out);
            out.push(b' ');
            push_body(inner, form, out);
            out.push(b' ');
            push_number(part.body_lines, out);
            push_single_extension(part, form, out);
        }
    }
    out.push(b')');
}

/// `body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]`
fn push_multipart(part: &Part, parts: &[Part], form: Form, out: &mut Vec<u8>) {
    for inner in parts {
        push_body(inner, form, out);
    }
    out.push(b' ');
    push_string(&part.media_subtype, form.utf8, out);
    if form.extended {
        out.push(b' ');
        push_parameters(&part.parameters, form, out);
        push_extension(part, form, out);
    }
}

/// `body-type-basic` or `body-type-text`
///
/// What calls itself a multipart or a message but was not taken apart is told as application/octet-stream, since the grammar has no
/// other place for it.
fn push_leaf(part: &Part, form: Form, out: &mut Vec<u8>) {
    let is = |kind: &[u8]| part.media_type.eq_ignore_ascii_case(kind);
    let is_sub = |kind: &[u8]| part.media_subtype.eq_ignore_ascii_case(kind);
    if is(b"multipart") || is(b"message") && (is_sub(b"rfc822") || is_sub(b"global")) {
        push_fields(part, b"application", b"octet-stream", form, out);
    } else {
        push_fields(part, &part.media_type, &part.media_subtype, form, out);
        if is(b"text") {
            out.push(b' ');
            push_number(part.body_lines, out);
        }
    }
    push_single_extension(part, form, out);
}

/// Media type and `body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets`
fn push_fields(part: &Part, media_type: &[u8], subtype: &[u8], form: Form, out: &mut Vec<u8>) {
    push_string(media_type, form.utf8, out);
    out.push(b' ');
    push_string(subtype, form.utf8, out);
    out.push(b' ');
    push_parameters(&part.parameters, form, out);
    for field in [&part.id, &part.description] {
        out.push(b' ');
        push_nstring(field.as_deref(), form.utf8, out);
    }
    out.push(b' ');
    push_string(part.encoding.as_deref().unwrap_or(b"7bit"), form.utf8, out);
    out.push(b' ');
    push_number(part.body_octets, out);
}

/// `body-ext-1part = body-fld-md5 [SP body-fld-dsp …]`, with the blank before
fn push_single_extension(part: &Part, form: Form, out: &mut Vec<u8>) {
    if form.extended {
        out.push(b' ');
        push_nstring(part.md5.as_deref(), form.utf8, out);
        push_extension(part, form, out);
    }
}

/// `SP body-fld-dsp SP body-fld-lang SP body-fld-loc`
fn push_extension(part: &Part, form: Form, out: &mut Vec<u8>) {
    out.push(b' ');
    match &part.disposition {
        Some(Disposition { kind, parameters }) => {
            out.push(b'(');
            push_string(kind, form.utf8, out);
            out.push(b' ');
            push_parameters(parameters, form, out);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    match part.language.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        languages => push_list(languages, out, |language, out| {
            push_string(language, form.utf8, out);
        }),
    }
    out.push(b' ');
    push_nstring(part.location.as_deref(), form.utf8, out);
}

/// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
fn push_parameters(parameters: &[Parameter], form: Form, out: &mut Vec<u8>) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    push_list(parameters, out, |parameter, out| {
        push_string(&parameter.name, form.utf8, out);
        out.push(b' ');
        push_string(&parameter.value, form.utf8, out);
    });
}
