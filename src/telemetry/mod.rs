//! Logging: subscriber set-up and the names of events.

pub mod events;

use std::io;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, fields, name of the event.
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
    let subscriber = subscriber(format, level, io::stderr)?;
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
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, BadLevel>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|cause| BadLevel {
        level: level.to_owned(),
        cause: cause.to_string(),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    Ok(match format {
        Format::Human => Box::new(lines.finish()),
        Format::Json => Box::new(
            lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    })
}
