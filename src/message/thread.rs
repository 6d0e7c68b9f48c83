//! Which thread a message belongs to, told by its header alone: so the answer never changes (RFC 8474 §5.2).

use super::header;

/// The message that began the thread, as far as this one knows: the first of References, else of In-Reply-To, else this message itself.
/// None if it has no identification at all. With its angle brackets.
pub(crate) fn root(header: &[u8]) -> Option<Vec<u8>> {
    let names: [&[u8]; 3] = [b"References", b"In-Reply-To", b"Message-ID"];
    names
        .iter()
        .find_map(|name| first_id(&header::value(header, name)?))
}

/// The first `msg-id` of a field, blanks in it left out (RFC 5322 §3.6.4).
fn first_id(value: &[u8]) -> Option<Vec<u8>> {
    let start = value.iter().position(|octet| *octet == b'<')?;
    let rest = value.get(start..)?;
    let end = rest.iter().position(|octet| *octet == b'>')?;
    let id: Vec<u8> = rest
        .get(..=end)?
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    (id.len() > 2).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_message_of_a_thread() {
        for (header, expected) in [
            ("Message-ID: <a@x>\n\n", Some("<a@x>")),
            (
                "Message-ID: <c@x>\nIn-Reply-To: <b@x>\nReferences:\n <a@x>\n <b@x>\n\n",
                Some("<a@x>"),
            ),
            (
                "Message-ID: <c@x>\nIn-Reply-To: Your mail <b @x> of today\n\n",
                Some("<b@x>"),
            ),
            ("References: nothing\nMessage-ID: <c@x>\n\n", Some("<c@x>")),
            ("References: <\nMessage-ID: <>\n\n", None),
            ("Subject: x\n\n", None),
        ] {
            let found = root(header.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{header}");
        }
    }
}
