//! Logging: subscriber set-up and the names of events.
//!
//! Lines go to standard error, and where that is systemd's journal each begins with its priority (`<6>`), so that
//! `journalctl --priority` works.

pub mod events;

use std::fmt;
use std::io;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What others' code may say unless it is asked for more: rustls warns of each peer that does not speak TLS.
const QUIET: &str = "rustls=error";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, name of the event, fields.
    Human,
    /// One JSON object each line.
    Json,
}

/// A level or filter that is not one.
#[derive(Debug, thiserror::Error)]
#[error("log level \"{level}\" is not one: {cause}")]
pub struct BadLevel {
    /// What was given.
    level: String,
    /// What is wrong with it.
    cause: String,
}

/// Sends events to standard error from now on; once in a process.
///
/// # Errors
/// [`BadLevel`]
pub fn install(format: Format, level: &str) -> Result<(), BadLevel> {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let subscriber = build(format, level, io::stderr, journal)?;
    subscriber.try_init().map_err(|cause| BadLevel {
        level: level.to_owned(),
        cause: cause.to_string(),
    })
}

/// A subscriber that writes lines to a writer.
///
/// # Errors
/// [`BadLevel`]
pub fn subscriber<W>(
    format: Format,
    level: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, BadLevel>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    build(format, level, writer, false)
}

/// The same; for systemd's journal, or not.
fn build<W>(
    format: Format,
    level: &str,
    writer: W,
    journal: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, BadLevel>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let bad = |cause: String| BadLevel {
        level: level.to_owned(),
        cause,
    };
    if let Some(word) = level.split(',').find(|word| is_mistyped(word)) {
        let cause = format!("{word:?} is none of error, warn, info, debug, trace, off");
        return Err(bad(cause));
    }
    let filter =
        EnvFilter::try_new(format!("{QUIET},{level}")).map_err(|cause| bad(cause.to_string()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // it would be told on standard error, where the lines go: a full disk or a dead log reader would end in a panic at each event
        .log_internal_errors(false)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    let inner = tracing_subscriber::fmt::format()
        .with_ansi(false)
        .with_target(false);
    Ok(match format {
        Format::Human => Box::new(lines.event_format(Lines { journal, inner }).finish()),
        Format::Json => {
            let inner = inner
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            Box::new(lines.json().event_format(Lines { journal, inner }).finish())
        }
    })
}

/// True for a word that is no level. A filter would take it for the name of a module, whose events alone are logged then: nothing at all.
fn is_mistyped(word: &str) -> bool {
    let word = word.trim();
    let names_module = word.contains(['=', '[']);
    !word.is_empty() && !names_module && word.parse::<LevelFilter>().is_err()
}

/// Lines of a form, with their priority before them where the journal reads it.
struct Lines<F> {
    /// The journal reads them.
    journal: bool,
    /// The form.
    inner: F,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.journal {
            write!(writer, "<{}>", priority(*event.metadata().level()))?;
        }
        self.inner.format_event(context, writer, event)
    }
}

/// The priority that syslog has for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Takes the lines.
    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<u8>>>);

    impl Write for Taken {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of a few events.
    fn lines(format: Format, level: &str, journal: bool) -> String {
        let taken = Taken::default();
        let writer = taken.clone();
        let subscriber = build(format, level, move || writer.clone(), journal).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(path = "/x", "one");
            tracing::info!(user = "an\n\"na\u{1b}[2J", octets = 7, "two");
            tracing::debug!("three");
            tracing::warn!(target: "rustls::conn", "four");
        });
        let text = taken.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn human_lines_are_one_for_each_event_and_escaped() {
        let text = lines(Format::Human, "info", false);
        let found: Vec<&str> = text
            .lines()
            .map(|line| line.split_once('Z').unwrap().1.trim_start())
            .collect();
        assert_eq!(
            found,
            [
                r#"ERROR one path="/x""#,
                r#"INFO two user="an\n\"na\u{1b}[2J" octets=7"#
            ]
        );
    }

    #[test]
    fn json_lines_are_flat_objects() {
        let text = lines(Format::Json, "info", false);
        let objects: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[1]["message"], "two");
        assert_eq!(objects[1]["level"], "INFO");
        assert_eq!(objects[1]["user"], "an\n\"na\u{1b}[2J");
        assert_eq!(objects[1]["octets"], 7);
    }

    #[test]
    fn the_journal_gets_priorities() {
        for format in [Format::Human, Format::Json] {
            let text = lines(format, "debug", true);
            let starts: Vec<&str> = text.lines().map(|line| line.get(..3).unwrap()).collect();
            assert_eq!(starts, ["<3>", "<6>", "<7>"]);
        }
    }

    #[test]
    fn others_are_quiet_unless_asked() {
        assert!(!lines(Format::Human, "debug", false).contains("four"));
        assert!(lines(Format::Human, "debug,rustls=warn", false).contains("four"));
        assert!(subscriber(Format::Human, "info,,=", io::sink).is_err());
    }

    #[test]
    fn a_mistyped_level_does_not_silence_the_log() {
        for (level, good) in [
            ("info", true),
            ("WARN", true),
            ("off", true),
            ("info,restante::store=debug", true),
            ("restante::store=debug, warn", true),
            ("loud", false),
            ("informational", false),
            ("restante::store", false),
            ("info,restante", false),
        ] {
            let made = subscriber(Format::Human, level, io::sink);
            assert_eq!(made.is_ok(), good, "{level}");
        }
    }
}
