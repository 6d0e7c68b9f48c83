//! Which capabilities are announced: computed here from the state, TLS and the settings, and nowhere else.

use crate::auth::sasl;
use crate::imap::settings::Settings;
use crate::imap::types::capability::Capability;
use std::collections::BTreeSet;

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
const AFTER_LOGIN: &[&str] = &[
    "NAMESPACE",
    "CHILDREN",
    "UNSELECT",
    "UIDPLUS",
    "MOVE",
    "ESEARCH",
    "SEARCHRES",
    "PARTIAL",
    "CONTEXT=SEARCH",
    "NOTIFY",
    "UIDBATCHES",
    "INPROGRESS",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "BINARY",
    "MULTIAPPEND",
    "WITHIN",
    "UTF8=ACCEPT",
    "CONDSTORE",
    "QRESYNC",
    "UIDONLY",
    "OBJECTID",
    "SAVEDATE",
    "SASL-IR",
    "COMPRESS=DEFLATE",
    "UNAUTHENTICATE",
];

/// What cannot be switched off: without the first nothing is IMAP, and the second only says what is so.
const FIXED: [&str; 2] = ["IMAP4REV1", "LOGINDISABLED"];

/// The capabilities of this moment, `IMAP4rev1` first. `disabled` are those switched off for the account, in capitals.
pub(crate) fn capabilities(
    settings: &Settings,
    disabled: &BTreeSet<String>,
    now: Circumstances,
) -> Vec<Capability> {
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
        list.extend(AFTER_LOGIN.iter().copied().map(Capability::Name));
        list.push(Capability::AppendLimit(settings.append_limit_octets));
        list.extend(settings.message_limit.map(Capability::MessageLimit));
        list.extend(settings.save_limit.map(Capability::SaveLimit));
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
    list.retain(|capability| is_offered(settings, disabled, &switch(capability)));
    list
}

/// The name in capitals by which a capability is switched off.
fn switch(capability: &Capability) -> String {
    match capability {
        Capability::Name(name) => name.to_ascii_uppercase(),
        Capability::Auth(name) => format!("AUTH={name}"),
        Capability::AppendLimit(_) => "APPENDLIMIT".to_owned(),
        Capability::MessageLimit(_) => "MESSAGELIMIT".to_owned(),
        Capability::SaveLimit(_) => "SAVELIMIT".to_owned(),
    }
}

/// A capability and another that is nothing without it (RFC 7162 §3.2.3).
const NEEDED: [(&str, &str); 1] = [("CONDSTORE", "QRESYNC")];

/// True if a capability, in capitals, is switched off neither for all nor for the account, and neither is one that it needs.
pub(crate) fn is_offered(settings: &Settings, disabled: &BTreeSet<String>, name: &str) -> bool {
    let is_off =
        |name: &str| settings.disabled_capabilities.contains(name) || disabled.contains(name);
    let needed = NEEDED.iter().filter(|(_, needing)| *needing == name);
    FIXED.contains(&name) || !is_off(name) && !needed.into_iter().any(|(needed, _)| is_off(needed))
}

/// Names in capitals of the capabilities that can be switched off for all.
pub fn switchable() -> BTreeSet<String> {
    [false, true].into_iter().flat_map(names_of).collect()
}

/// Names in capitals of the capabilities that can be switched off for one account: those that are told when it is known whose session it is.
pub fn switchable_for_account() -> BTreeSet<String> {
    names_of(true)
}

/// Names in capitals of what may be announced before or after login, whatever the settings.
fn names_of(authenticated: bool) -> BTreeSet<String> {
    let announced = |tls: bool, literal_minus: bool| {
        let settings = Settings {
            literal_minus,
            message_limit: Some(u32::MAX),
            save_limit: Some(u32::MAX),
            ..Settings::default()
        };
        let now = Circumstances {
            authenticated,
            tls,
            may_start_tls: true,
        };
        capabilities(&settings, &BTreeSet::new(), now)
    };
    [(false, false), (true, true)]
        .into_iter()
        .flat_map(|(tls, literal_minus)| announced(tls, literal_minus))
        .map(|capability| switch(&capability))
        .filter(|name| !FIXED.contains(&name.as_str()))
        .collect()
}

/// True if passwords are taken on this connection.
pub(crate) const fn may_log_in(settings: &Settings, tls: bool) -> bool {
    tls || settings.allow_plaintext
}

/// True if the mechanism, in capitals, is not switched off.
pub(crate) fn announces_mechanism(settings: &Settings, name: &str) -> bool {
    is_offered(settings, &BTreeSet::new(), &format!("AUTH={name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(settings: &Settings, now: Circumstances) -> Vec<String> {
        capabilities(settings, &BTreeSet::new(), now)
            .into_iter()
            .map(|capability| match capability {
                Capability::Name(name) => name.to_owned(),
                Capability::Auth(name) => format!("AUTH={name}"),
                Capability::AppendLimit(octets) => format!("APPENDLIMIT={octets}"),
                Capability::MessageLimit(messages) => format!("MESSAGELIMIT={messages}"),
                Capability::SaveLimit(messages) => format!("SAVELIMIT={messages}"),
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
    fn what_is_off_for_all_or_for_the_account_is_not_announced() {
        let now = Circumstances {
            authenticated: true,
            tls: true,
            may_start_tls: false,
        };
        let announced = |for_all: &BTreeSet<String>, for_account: &BTreeSet<String>| {
            let settings = Settings {
                disabled_capabilities: for_all.clone(),
                message_limit: Some(1000),
                save_limit: Some(1000),
                ..Settings::default()
            };
            let list = capabilities(&settings, for_account, now);
            list.iter().map(switch).collect::<BTreeSet<_>>()
        };
        let nothing = BTreeSet::new();
        let all = announced(&nothing, &nothing);
        for name in switchable_for_account() {
            if name == "LITERAL-" {
                continue;
            }
            let one = BTreeSet::from([name.clone()]);
            for less in [announced(&one, &nothing), announced(&nothing, &one)] {
                let needing = NEEDED.iter().filter(|(needed, _)| *needed == name).count();
                assert!(all.is_superset(&less) && all.len() == less.len() + 1 + needing);
                assert!(!less.contains(&name), "{name}");
            }
        }
        let everything = switchable();
        assert!(everything.is_superset(&switchable_for_account()));
        assert!(everything.contains("AUTH=LOGIN") && everything.contains("STARTTLS"));
        assert!(!switchable_for_account().contains("STARTTLS"));
        assert_eq!(
            announced(&everything, &["IMAP4REV1".to_owned()].into()),
            ["IMAP4REV1".to_owned()].into()
        );
    }

    #[test]
    fn limits_on_messages_are_announced_after_login_where_there_are_some() {
        let mut now = Circumstances {
            authenticated: true,
            tls: true,
            may_start_tls: false,
        };
        let limited = Settings {
            message_limit: Some(5000),
            save_limit: Some(2000),
            ..Settings::default()
        };
        let limits = |settings: &Settings, now| {
            let mut list = names(settings, now);
            list.retain(|name| name.contains("LIMIT=") && !name.starts_with("APPEND"));
            list
        };
        assert_eq!(
            limits(&limited, now),
            ["MESSAGELIMIT=5000", "SAVELIMIT=2000"]
        );
        assert!(limits(&Settings::default(), now).is_empty());
        now.authenticated = false;
        assert!(limits(&limited, now).is_empty());
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
