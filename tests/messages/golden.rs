//! Golden files: what the messages in this directory are to be read as. A unit test, since `message` is not public.
//!
//! Beside `name.eml` stand `name.structure` (size, BODYSTRUCTURE, then every section with its octets and how it begins) and `name.envelope`.
//! Run with `RESTANTE_BLESS=1` to write what is found; then look at the difference. `README.md` tells where and why the
//! expectations differ from what Dovecot 2.3 answers.

use super::address::Address;
use super::envelope::Envelope;
use super::lines;
use super::section::SectionKind;
use super::structure::{Content, Disposition, Message, Parameter, Part};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

#[test]
fn structures() {
    for_each_message("structure", |message| {
        let structure = Message::parse(message);
        let root = &structure.root;
        let octets = lines::crlf_octets(message);
        assert_eq!(octets, root.header_octets + root.body_octets);
        assert_eq!(super::header::octets(message), root.header.end);
        let mut text = format!("RFC822.SIZE {}\n{}\n", octets, show_part(root));
        show_sections(message, &structure, &mut Vec::new(), &mut text);
        text
    });
}

#[test]
fn envelopes() {
    for_each_message("envelope", |message| {
        let header = super::header::octets(message);
        show_envelope(&Envelope::parse(&message[..header])) + "\n"
    });
}

/// Compares what is shown for each message with its golden file.
fn for_each_message(extension: &str, show: impl Fn(&[u8]) -> String) {
    let paths = messages();
    assert!(paths.len() > 40, "the messages are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let shown = show(&std::fs::read(&path).unwrap());
        let golden = path.with_extension(extension);
        if std::env::var_os("RESTANTE_BLESS").is_some() {
            bless(&golden, &shown);
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if shown != expected {
            let name = golden.file_name().unwrap().display();
            wrong.push(format!("{name}\nexpected:\n{expected}found:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes a golden file.
#[expect(clippy::disallowed_methods, reason = "a source file, not mail")]
fn bless(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// The messages, by name.
fn messages() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    paths.sort();
    paths
}

/// Every section of every part: its octets in wire form, and how they begin.
fn show_sections(
    message: &[u8],
    structure: &Message,
    path: &mut Vec<NonZeroU32>,
    text: &mut String,
) {
    let kinds = [
        ("", SectionKind::Whole),
        ("HEADER", SectionKind::Header),
        ("TEXT", SectionKind::Text),
        ("MIME", SectionKind::Mime),
    ];
    for (name, kind) in kinds {
        if let Some(section) = structure.section(path, kind) {
            let mut wire = Vec::new();
            lines::push_crlf(&message[section.range], &mut 0, &mut wire);
            assert_eq!(wire.len() as u64, section.octets);
            let words = path.iter().map(ToString::to_string);
            let words: Vec<_> = words
                .chain((!name.is_empty()).then(|| name.to_owned()))
                .collect();
            let start = wire[..wire.len().min(48)].escape_ascii();
            text.push_str(&format!(
                "BODY[{}] {} \"{start}\"\n",
                words.join("."),
                wire.len()
            ));
        }
    }
    for number in 1.. {
        path.push(NonZeroU32::new(number).unwrap());
        let is_there = structure.part(path).is_some();
        if is_there {
            show_sections(message, structure, path, text);
        }
        path.pop();
        if !is_there {
            return;
        }
    }
}

/// BODYSTRUCTURE.
fn show_part(part: &Part) -> String {
    let extension = format!(
        "{} {} {}",
        part.disposition
            .as_ref()
            .map_or_else(|| "NIL".into(), show_disposition),
        show_languages(&part.language),
        show_option(part.location.as_ref()),
    );
    if let Content::Multipart(parts) = &part.content {
        let parts: String = parts.iter().map(show_part).collect();
        let subtype = show_octets(&part.media_subtype);
        return format!(
            "({parts} {subtype} {} {extension})",
            show_parameters(&part.parameters)
        );
    }
    let basic = format!(
        "{} {} {} {} {} {} {}",
        show_octets(&part.media_type),
        show_octets(&part.media_subtype),
        show_parameters(&part.parameters),
        show_option(part.id.as_ref()),
        show_option(part.description.as_ref()),
        show_octets(part.encoding.as_deref().unwrap_or(b"7bit")),
        part.body_octets,
    );
    let special = match &part.content {
        Content::Message {
            envelope,
            part: inner,
        } => format!(
            " {} {} {}",
            show_envelope(envelope),
            show_part(inner),
            part.body_lines
        ),
        _ if part.is_text() => format!(" {}", part.body_lines),
        _ => String::new(),
    };
    format!(
        "({basic}{special} {} {extension})",
        show_option(part.md5.as_ref())
    )
}

/// `body-fld-dsp`
fn show_disposition(disposition: &Disposition) -> String {
    let kind = show_octets(&disposition.kind);
    format!("({kind} {})", show_parameters(&disposition.parameters))
}

/// `body-fld-param`
fn show_parameters(parameters: &[Parameter]) -> String {
    let shown: Vec<_> = parameters
        .iter()
        .map(|Parameter { name, value }| format!("{} {}", show_octets(name), show_octets(value)))
        .collect();
    show_list(&shown, " ")
}

/// `body-fld-lang`
fn show_languages(languages: &[Vec<u8>]) -> String {
    let shown: Vec<_> = languages.iter().map(|tag| show_octets(tag)).collect();
    show_list(&shown, " ")
}

/// `envelope`
fn show_envelope(envelope: &Envelope) -> String {
    format!(
        "({} {} {} {} {} {} {} {} {} {})",
        show_option(envelope.date.as_ref()),
        show_option(envelope.subject.as_ref()),
        show_addresses(&envelope.from),
        show_addresses(&envelope.sender),
        show_addresses(&envelope.reply_to),
        show_addresses(&envelope.to),
        show_addresses(&envelope.cc),
        show_addresses(&envelope.bcc),
        show_option(envelope.in_reply_to.as_ref()),
        show_option(envelope.message_id.as_ref()),
    )
}

/// `env-from` and the like
fn show_addresses(addresses: &[Address]) -> String {
    let shown: Vec<_> = addresses
        .iter()
        .map(|address| match address {
            Address::Mailbox {
                name,
                route,
                local,
                domain,
            } => format!(
                "({} {} {} {})",
                show_option(name.as_ref()),
                show_option(route.as_ref()),
                show_octets(local),
                show_octets(domain)
            ),
            Address::GroupStart(name) => format!("(NIL NIL {} NIL)", show_octets(name)),
            Address::GroupEnd => "(NIL NIL NIL NIL)".to_owned(),
        })
        .collect();
    show_list(&shown, "")
}

/// A list in parentheses, or NIL if it is empty.
fn show_list(shown: &[String], between: &str) -> String {
    if shown.is_empty() {
        "NIL".to_owned()
    } else {
        format!("({})", shown.join(between))
    }
}

/// `nstring`
fn show_option(octets: Option<&Vec<u8>>) -> String {
    octets.map_or_else(|| "NIL".into(), |octets| show_octets(octets))
}

/// `string`, always in quotes, with Rust's escapes.
fn show_octets(octets: &[u8]) -> String {
    format!("\"{}\"", octets.escape_ascii())
}
