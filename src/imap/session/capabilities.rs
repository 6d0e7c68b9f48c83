//! Which capabilities are announced: computed here from the state, TLS and the settings, and nowhere else.

use crate::auth::sasl;
use crate::imap::settings::Settings;
use crate::imap::types::capability::Capability;

/// What decides besides the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// The client has logged in.
    pub(crate) authenticated: bool,
    /// TLS is up.
    pub(crate) tls: bool,
    /// TLS may be started by STARTTLS.
    pub(crate) may_start_tls: bool,
}

/// After login: what the extensions in README's table bring. `STATUS=SIZE` is RFC 8438, the rest names itself.
const AFTER_LOGIN: [&str; 17] = [
    "NAMESPACE",
    "CHILDREN",
    "UNSELECT",
    "UIDPLUS",
    "MOVE",
    "ESEARCH",
    "SEARCHRES",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "BINARY",
    "MULTIAPPEND",
    "WITHIN",
    "UTF8=ACCEPT",
    "SASL-IR",
];

/// The capabilities of this moment, `IMAP4rev1` first.
pub(crate) fn capabilities(settings: &Settings, now: Circumstances) -> Vec<Capability> {
    let mut list = vec![Capability::Name("IMAP4rev1")];
    if settings.offer_rev2 {
        list.push(Capability::Name("IMAP4rev2"));
    }
    list.push(Capability::Name(if settings.literal_minus {
        "LITERAL-"
    } else {
        "LITERAL+"
    }));
    // IDLE before login too: some clients read the greeting and never ask again
    list.extend(["ID", "ENABLE", "IDLE"].map(Capability::Name));
    if now.authenticated {
        list.extend(AFTER_LOGIN.map(Capability::Name));
        list.push(Capability::AppendLimit(settings.append_limit_octets));
    } else {
        list.push(Capability::Name("SASL-IR"));
        if now.may_start_tls && !now.tls {
            list.push(Capability::Name("STARTTLS"));
        }
        if may_log_in(settings, now.tls) {
            list.extend(sasl::NAMES.iter().copied().map(Capability::Auth));
        } else {
            list.push(Capability::Name("LOGINDISABLED"));
        }
    }
    list.retain(|capability| match capability {
        Capability::Name(name) => !settings.disabled_capabilities.contains(*name),
        Capability::Auth(name) => announces_mechanism(settings, name),
        Capability::AppendLimit(_) => !settings.disabled_capabilities.contains("APPENDLIMIT"),
    });
    list
}

/// True if passwords are taken on this connection.
pub(crate) const fn may_log_in(settings: &Settings, tls: bool) -> bool {
    tls || settings.allow_plaintext
}

/// True if the mechanism, in capitals, is not switched off.
pub(crate) fn announces_mechanism(settings: &Settings, name: &str) -> bool {
    !settings
        .disabled_capabilities
        .contains(&format!("AUTH={name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(settings: &Settings, now: Circumstances) -> Vec<String> {
        capabilities(settings, now)
            .into_iter()
            .map(|capability| match capability {
                Capability::Name(name) => name.to_owned(),
                Capability::Auth(name) => format!("AUTH={name}"),
                Capability::AppendLimit(octets) => format!("APPENDLIMIT={octets}"),
            })
            .collect()
    }

    #[test]
    fn passwords_are_offered_where_they_are_taken() {
        let plain = Circumstances {
            authenticated: false,
            tls: false,
            may_start_tls: true,
        };
        let tls = Circumstances { tls: true, ..plain };
        let settings = Settings::default();
        let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
        let before = names(&settings, plain);
        assert!(has(&before, "STARTTLS") && has(&before, "LOGINDISABLED"));
        assert!(!before.iter().any(|name| name.starts_with("AUTH=")));
        let after = names(&settings, tls);
        assert!(!has(&after, "STARTTLS") && !has(&after, "LOGINDISABLED"));
        assert!(has(&after, "AUTH=PLAIN") && has(&after, "AUTH=LOGIN"));
        let without = Settings {
            disabled_capabilities: ["AUTH=LOGIN".to_owned(), "ID".to_owned()].into(),
            ..Settings::default()
        };
        let after = names(&without, tls);
        assert!(has(&after, "AUTH=PLAIN") && !has(&after, "AUTH=LOGIN") && !has(&after, "ID"));
    }

    #[test]
    fn the_list_does_not_repeat_itself() {
        for authenticated in [false, true] {
            let now = Circumstances {
                authenticated,
                tls: true,
                may_start_tls: false,
            };
            let mut list = names(&Settings::default(), now);
            assert_eq!(list.first().map(String::as_str), Some("IMAP4rev1"));
            let before = list.len();
            list.sort();
            list.dedup();
            assert_eq!(list.len(), before);
        }
    }
}
