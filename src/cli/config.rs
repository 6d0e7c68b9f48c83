//! `restante config`: what is set, and by which line; `check` is in a file of its own.

use super::args::Config as Command;
use super::look::Patience;
use super::{ExitStatus, Failure, check, print};
use crate::config::load::{self, Loaded};
use std::fmt;
use std::path::Path;

/// Runs one of the commands.
pub(super) fn run(command: &Command, path: &Path) -> Result<(), Failure> {
    let wrong = |error: &dyn fmt::Display| Failure::new(ExitStatus::Config, error);
    let file = path.to_owned();
    let loaded = Patience::USUAL
        .look(move || load::load(&file))
        .map_err(|error| wrong(&format!("{}: {error}", path.display())))?
        .map_err(|error| wrong(&error))?;
    match command {
        Command::Check => check::run(&loaded),
        Command::Show => show(&loaded),
    }
}

/// Prints every setting with the place that sets it.
fn show(loaded: &Loaded) -> Result<(), Failure> {
    let settings = load::values(&loaded.config);
    let line = |(key, value): &(String, toml::Value)| {
        let origin = loaded.lines.get(key).map_or_else(
            || "default".to_owned(),
            |line| format!("{}:{line}", loaded.path.display()),
        );
        format!("{key} = {value}  # {origin}")
    };
    print(&settings.iter().map(line).collect::<Vec<_>>())
}
