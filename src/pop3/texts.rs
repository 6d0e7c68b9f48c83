//! Everything that this server says to humans, in each of its languages (RFC 6856 §3).
//!
//! English texts are ASCII, since a client that has not chosen a language expects nothing else (RFC 1939 §3). No text begins with
//! `[`, which would be a response code.

use std::str::FromStr;

/// A language of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// `i-default` (RFC 2277 §4.5): what everybody should understand, in English.
    #[default]
    Default,
    /// `en`
    English,
    /// `de`
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::English, Self::German];

    /// The language tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Default => "i-default",
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What the language calls itself.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Default => "English for all",
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Finds the language for a basic language range, by looking for ever shorter ones (RFC 4647 §3.4): `de-AT` gives `de`.
    pub(crate) fn find(range: &str) -> Option<Self> {
        let mut range = range;
        loop {
            let found = Self::ALL
                .into_iter()
                .find(|language| language.tag().eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

/// A language that there are no texts in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no texts in language {0:?}; there are i-default, en and de")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        Self::find(tag).ok_or_else(|| UnknownLanguage(tag.to_owned()))
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $english:literal, $german:literal;)*) => {
        /// Something to say. `{}` stands for a number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Text {
            $($(#[$doc])* $name,)*
        }

        impl Text {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text in a language.
            pub(crate) const fn in_language(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Default | Language::English) => $english,
                    (Self::$name, Language::German) => $german,)*
                }
            }
        }
    };
}

texts! {
    /// Greeting.
    Ready: "POP3 server ready", "POP3-Server bereit";
    /// QUIT.
    Bye: "goodbye", "auf Wiedersehen";
    /// NOOP.
    Nothing: "nothing done", "nichts getan";
    /// CAPA.
    Capabilities: "capabilities follow", "Fähigkeiten folgen";
    /// AUTH without mechanism.
    Mechanisms: "mechanisms follow", "Verfahren folgen";
    /// LANG without language.
    Languages: "languages follow", "Sprachen folgen";
    /// LANG; the tag goes before it.
    LanguageChosen: "language chosen", "Sprache gewählt";
    /// LANG with a language that we have no texts in.
    UnknownLanguage: "no texts in this language", "keine Texte in dieser Sprache";
    /// UTF8.
    Utf8Mode: "UTF-8 it is", "ab jetzt UTF-8";
    /// STLS.
    BeginTls: "begin TLS negotiation", "TLS-Aushandlung beginnen";
    /// STLS while TLS is up.
    TlsIsUp: "TLS is up already", "TLS besteht schon";
    /// STLS where there is no certificate.
    NoTls: "no TLS here", "hier gibt es kein TLS";
    /// A password is about to come in plain.
    TlsFirst: "start TLS before you send a password", "vor dem Passwort TLS beginnen";
    /// USER.
    SendPassword: "send the password", "Passwort senden";
    /// PASS without USER.
    UserFirst: "send USER first", "zuerst USER senden";
    /// APOP.
    NoApop: "no APOP here", "hier gibt es kein APOP";
    /// AUTH with a mechanism that is not offered.
    UnknownMechanism: "mechanism is not offered", "dieses Verfahren wird nicht angeboten";
    /// `*` in AUTH.
    Cancelled: "authentication cancelled", "Anmeldung abgebrochen";
    /// Data of AUTH.
    NotBase64: "this is not base64", "das ist nicht base64";
    /// Data of AUTH that the mechanism does not know what to do with.
    BadExchange: "this is not what the mechanism wants", "das Verfahren erwartet etwas anderes";
    /// Name or password.
    NotUtf8: "this is not UTF-8", "das ist nicht UTF-8";
    /// Login.
    WrongCredentials: "wrong user name or password", "Benutzername oder Passwort falsch";
    /// Login in the name of somebody else.
    NotAuthorized: "you may not open this maildrop", "dieses Postfach dürfen Sie nicht öffnen";
    /// Trouble of ours at login.
    LoginUnavailable: "logins are not possible for the moment", "Anmelden ist im Augenblick nicht möglich";
    /// LOGIN-DELAY: seconds.
    LoginTooSoon: "too soon after the last login, wait {} seconds", "zu bald nach der letzten Anmeldung, bitte {} Sekunden warten";
    /// A second session.
    InUse: "maildrop is in use by another session", "Postfach ist in einer anderen Sitzung geöffnet";
    /// The account's connections.
    TooManyConnections: "too many connections of this account", "zu viele Verbindungen dieses Kontos";
    /// Login: messages.
    LoggedIn: "{} messages", "{} Nachrichten";
    /// Trouble of ours with the disk.
    StorageUnavailable: "mail storage is unavailable for the moment", "der Speicher ist im Augenblick nicht erreichbar";
    /// Damage.
    Damaged: "maildrop needs a repair by the administrator", "das Postfach muss vom Verwalter repariert werden";
    /// A message that is damaged, or in a form that is not read here.
    Unreadable: "message {} cannot be read, the administrator must look at it", "Nachricht {} ist nicht lesbar, der Verwalter muss sie ansehen";
    /// No such command.
    UnknownCommand: "unknown command", "unbekannter Befehl";
    /// Arguments.
    BadArguments: "wrong arguments", "falsche Argumente";
    /// A command in the wrong state, before login.
    NotLoggedIn: "log in first", "zuerst anmelden";
    /// A command in the wrong state, after login.
    IsLoggedIn: "you are logged in already", "Sie sind schon angemeldet";
    /// Line length.
    LineTooLong: "line is too long", "Zeile ist zu lang";
    /// Octets that are no text at all.
    NoPop3: "this port expects POP3 without TLS at first; use STLS", "hier wird zuerst POP3 ohne TLS erwartet, dann STLS";
    /// The limit of bad commands.
    TooManyBadCommands: "too many bad commands", "zu viele falsche Befehle";
    /// An HTTP request.
    Http: "this is not a web server", "das ist kein Webserver";
    /// STAT and LIST of one message, where the form is fixed: two numbers.
    Numbers: "{} {}", "{} {}";
    /// LIST: messages, octets.
    Totals: "{} messages ({} octets)", "{} Nachrichten ({} Oktette)";
    /// UIDL.
    UniqueIds: "unique-ids follow", "Kennungen folgen";
    /// RETR: octets.
    Octets: "{} octets", "{} Oktette";
    /// TOP.
    Top: "top of message follows", "Anfang der Nachricht folgt";
    /// A number that is none.
    NoSuchMessage: "no message has this number", "keine Nachricht hat diese Nummer";
    /// A number that was one.
    IsDeleted: "message {} is marked as deleted", "Nachricht {} ist zum Löschen vorgemerkt";
    /// A message that somebody else removed.
    Gone: "message {} is no longer there", "Nachricht {} gibt es nicht mehr";
    /// RETR without UTF8.
    NeedsUtf8: "message {} can only be had in UTF-8 mode", "Nachricht {} gibt es nur mit UTF8";
    /// DELE.
    Deleted: "message {} will be deleted by QUIT", "Nachricht {} wird mit QUIT gelöscht";
    /// RSET.
    Reset: "no message is marked as deleted", "keine Nachricht ist zum Löschen vorgemerkt";
    /// QUIT: messages removed.
    Removed: "{} messages deleted, goodbye", "{} Nachrichten gelöscht, auf Wiedersehen";
    /// QUIT.
    NotRemoved: "some deleted messages not removed", "einige gelöschte Nachrichten wurden nicht entfernt";
    /// The server stops.
    ShuttingDown: "server is shutting down, come again", "der Server wird beendet, bitte später wiederkommen";
    /// The server's connections.
    Full: "too many connections, come again", "zu viele Verbindungen, bitte später wiederkommen";
    /// The account's connections.
    Displaced: "a newer connection needs this place", "eine neuere Verbindung braucht den Platz";
    /// Changes of the account.
    Revoked: "account was changed, log in again", "das Konto wurde geändert, bitte neu anmelden";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_whole_in_every_language() {
        for text in Text::ALL {
            let english = text.in_language(Language::English);
            assert_eq!(english, text.in_language(Language::Default));
            assert!(english.is_ascii(), "{english}");
            for language in Language::ALL {
                let said = text.in_language(language);
                assert!(!said.is_empty() && said.len() < 200);
                assert!(!said.starts_with('[') && !said.chars().any(char::is_control));
                assert_eq!(
                    said.matches("{}").count(),
                    english.matches("{}").count(),
                    "{said}"
                );
            }
        }
        // a translation that was forgotten would be the same
        let same = |text: &&Text| {
            text.in_language(Language::English) == text.in_language(Language::German)
        };
        let same: Vec<&Text> = Text::ALL.iter().filter(same).collect();
        assert_eq!(same, [&Text::Numbers]);
    }

    #[test]
    fn languages_are_found_by_range() {
        for (range, expected) in [
            ("de", Some(Language::German)),
            ("DE", Some(Language::German)),
            ("de-AT", Some(Language::German)),
            ("de-Latn-CH-1996", Some(Language::German)),
            ("en-GB", Some(Language::English)),
            ("i-default", Some(Language::Default)),
            ("i", None),
            ("deu", None),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(Language::find(range), expected, "{range}");
        }
        assert!("fr".parse::<Language>().is_err());
    }
}
