//! Where an account's spool lies: a template with the parts of the account's name.

use std::path::PathBuf;

/// The place by a template. `%{user}` is the whole name, `%{local}` and `%{domain}` what is before and after its last `@`; `%%` is `%`.
///
/// A part never leaves its directory: `/`, NUL, `%` and a leading `.` in it are written as `%` and two hex digits.
pub(super) fn expand(template: &str, user: &str) -> PathBuf {
    let (local, domain) = user.rsplit_once('@').unwrap_or((user, ""));
    let mut place = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        place.push_str(before);
        rest = after;
        let known = [("{user}", user), ("{local}", local), ("{domain}", domain)];
        if let Some((part, after)) = known
            .into_iter()
            .find_map(|(name, part)| Some((part, rest.strip_prefix(name)?)))
        {
            push_contained(part, &mut place);
            rest = after;
        } else {
            place.push('%');
            rest = rest.strip_prefix('%').unwrap_or(rest);
        }
    }
    place.push_str(rest);
    PathBuf::from(place)
}

/// Writes a part so that it is at most one level of a path.
fn push_contained(part: &str, place: &mut String) {
    for (index, c) in part.char_indices() {
        match c {
            '/' => place.push_str("%2F"),
            '\0' => place.push_str("%00"),
            '%' => place.push_str("%25"),
            '.' if index == 0 => place.push_str("%2E"),
            _ => place.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn fills_in_names_and_stays_inside() {
        for (template, user, expected) in [
            ("/home/%{user}/Maildir", "anna", "/home/anna/Maildir"),
            (
                "/var/mail/%{domain}/%{local}/Maildir",
                "anna@example.org",
                "/var/mail/example.org/anna/Maildir",
            ),
            ("/m/%{user}", "anna@example.org", "/m/anna@example.org"),
            ("/m/%{local}", "a@b@c", "/m/a@b"),
            ("/m/%{domain}/%{local}", "../x@..", "/m/%2E./%2E.%2Fx"),
            ("/m/%{user}", "a/../../etc", "/m/a%2F..%2F..%2Fetc"),
            ("/m/%{user}", "..", "/m/%2E."),
            ("/m/%{user}", "%{local}", "/m/%25{local}"),
            ("/m/100%%/%{what}", "x", "/m/100%/%{what}"),
            ("/m", "x", "/m"),
        ] {
            assert_eq!(
                expand(template, user),
                Path::new(expected),
                "{template} {user}"
            );
        }
    }
}
