//! What CAPA tells (RFC 2449 §5, §6): computed here from state, TLS and settings, and nowhere else.

use super::settings::Settings;
use crate::auth::sasl;
use std::collections::BTreeSet;

/// What decides besides the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// TLS is up.
    pub(crate) tls: bool,
    /// The client has not logged in, and STLS would be taken.
    pub(crate) stls: bool,
}

/// True if a password may come: over TLS, or where plaintext is allowed (RFC 5034 §4).
pub(crate) const fn takes_passwords(settings: &Settings, tls: bool) -> bool {
    tls || settings.allow_plaintext
}

/// The mechanisms that AUTH takes now.
pub(crate) const fn mechanisms(settings: &Settings, tls: bool) -> &'static [&'static str] {
    if takes_passwords(settings, tls) {
        sasl::NAMES
    } else {
        &[]
    }
}

/// The capability lines.
pub(crate) fn capabilities(settings: &Settings, now: Circumstances) -> Vec<String> {
    let mechanisms = mechanisms(settings, now.tls);
    let expire = settings
        .expire_days
        .map_or_else(|| "NEVER".to_owned(), |days| days.to_string());
    let lines = [
        Some("TOP".to_owned()),
        takes_passwords(settings, now.tls).then(|| "USER".to_owned()),
        (!mechanisms.is_empty()).then(|| format!("SASL {}", mechanisms.join(" "))),
        Some("RESP-CODES".to_owned()),
        Some("AUTH-RESP-CODE".to_owned()),
        // 0 says that a client may come as often as it likes
        Some(format!("LOGIN-DELAY {}", whole_secs(settings))),
        Some("PIPELINING".to_owned()),
        Some(format!("EXPIRE {expire}")),
        Some("UIDL".to_owned()),
        Some(format!("IMPLEMENTATION {}", env!("CARGO_PKG_NAME"))),
        now.stls.then(|| "STLS".to_owned()),
        Some("UTF8 USER".to_owned()),
        Some("LANG".to_owned()),
    ];
    let announced = |line: &String| {
        let word = line.split(' ').next().unwrap_or_default();
        !settings.disabled_capabilities.contains(word)
    };
    lines.into_iter().flatten().filter(announced).collect()
}

/// The words that can be switched off: all that CAPA may tell.
pub fn switchable() -> BTreeSet<String> {
    let settings = Settings {
        allow_plaintext: true,
        ..Settings::default()
    };
    let now = Circumstances {
        tls: false,
        stls: true,
    };
    let word = |line: &String| line.split(' ').next().map(str::to_owned);
    let lines = capabilities(&settings, now);
    lines.iter().filter_map(word).collect()
}

/// The delay between logins in seconds, rounded up: what is announced is not too little.
fn whole_secs(settings: &Settings) -> u64 {
    let delay = settings.login_delay;
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The words of RFC 2449 §6 and of the RFCs after it.
    const WORDS: [&str; 13] = [
        "TOP",
        "USER",
        "SASL",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "LOGIN-DELAY",
        "PIPELINING",
        "EXPIRE",
        "UIDL",
        "IMPLEMENTATION",
        "STLS",
        "UTF8",
        "LANG",
    ];

    fn words(settings: &Settings, tls: bool, stls: bool) -> Vec<String> {
        capabilities(settings, Circumstances { tls, stls })
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn words_come_and_go_with_tls() {
        let strict = Settings::default();
        let open = Settings {
            allow_plaintext: true,
            ..Settings::default()
        };
        let without = |missing: &[&str]| -> Vec<&str> {
            let kept = WORDS.into_iter().filter(|word| !missing.contains(word));
            kept.collect()
        };
        for (settings, tls, stls, missing) in [
            (&strict, false, true, &["USER", "SASL"][..]),
            (&strict, true, false, &["STLS"]),
            (&strict, false, false, &["USER", "SASL", "STLS"]),
            (&open, false, true, &[]),
            (&open, false, false, &["STLS"]),
        ] {
            assert_eq!(words(settings, tls, stls), without(missing), "{tls} {stls}");
        }
    }

    #[test]
    fn every_word_can_be_switched_off() {
        assert_eq!(switchable(), WORDS.map(str::to_owned).into());
        let settings = Settings {
            disabled_capabilities: switchable(),
            ..Settings::default()
        };
        assert!(words(&settings, true, true).is_empty());
    }

    #[test]
    fn arguments_follow_the_settings() {
        let settings = Settings {
            login_delay: Duration::from_millis(59_500),
            expire_days: Some(30),
            disabled_capabilities: ["IMPLEMENTATION".to_owned()].into(),
            ..Settings::default()
        };
        let lines = capabilities(
            &settings,
            Circumstances {
                tls: true,
                stls: false,
            },
        );
        for line in [
            "LOGIN-DELAY 60",
            "EXPIRE 30",
            "SASL PLAIN LOGIN",
            "UTF8 USER",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} in {lines:?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("IMPLEMENTATION")));
        let lines = capabilities(
            &Settings::default(),
            Circumstances {
                tls: true,
                stls: false,
            },
        );
        for line in ["LOGIN-DELAY 0", "EXPIRE NEVER", "IMPLEMENTATION restante"] {
            assert!(lines.iter().any(|l| l == line), "{line} in {lines:?}");
        }
    }
}
