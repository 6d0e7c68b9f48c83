//! Any octets must be parsed or refused, without panic and in bounded depth.

use super::{announced_literal, announces_message, append_next, command};
use crate::imap::types::command::CommandBody;

/// Parses octets as a command, as what follows an APPEND message, and as a line.
///
/// # Panics
/// If a command that was understood does not print, or an error cannot be told.
pub(crate) fn imap_command(octets: &[u8]) {
    match command(octets) {
        Ok(command) => {
            let is_append = matches!(command.body, CommandBody::Append { .. });
            assert!(!is_append || announces_message(octets), "a message unseen");
            assert!(!format!("{command:?}").is_empty(), "a silent command");
        }
        Err(error) => {
            let is_plain = error
                .text
                .bytes()
                .all(|octet| (b' '..=b'~').contains(&octet));
            assert!(
                is_plain && !error.text.is_empty(),
                "an error that cannot be told"
            );
        }
    }
    for utf8 in [false, true] {
        drop(append_next(octets, utf8));
    }
    assert!(
        announced_literal(octets).is_none()
            || octets.ends_with(b"}\n")
            || octets.ends_with(b"}\r\n"),
        "a literal out of nothing"
    );
}

#[cfg(test)]
mod tests {
    use super::imap_command;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_in_any_order(
            words in prop::collection::vec(
                prop_oneof![
                    Just("a"), Just("UID"), Just("FETCH"), Just("SEARCH"), Just("STORE"), Just("LIST"), Just("APPEND"), Just("ID"),
                    Just("1:*"), Just("(FLAGS"), Just("BODY[1.2]<0.1>"), Just(")"), Just("("), Just("OR"), Just("NOT"), Just("SEEN"),
                    Just("\"x\""), Just("{1}\r\nx"), Just("{1+}\r\n"), Just("UTF8"), Just("(~{0}"), Just("RETURN"), Just("CHARSET"),
                    Just("FROM"), Just("SINCE"), Just("1-Jan-2026"), Just("\\Seen"), Just("+FLAGS"), Just("INBOX"), Just("\r\n"),
                ],
                0..12,
            ),
        ) {
            imap_command(words.join(" ").as_bytes());
            imap_command(format!("a {}\r\n", words.join(" ")).as_bytes());
        }

        #[test]
        fn any_octets(octets: Vec<u8>) {
            imap_command(&octets);
        }
    }
}
