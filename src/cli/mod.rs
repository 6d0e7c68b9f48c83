//! The command line. Printing happens only here.

pub mod args;
mod capability;
mod check;
mod config;
mod demo;
mod home;
mod look;
mod self_signed;
mod serve;
mod settings;
mod user;

use args::{Arguments, Command};
use clap::Parser as _;
use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a run of the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// All went well.
    Ok = 0,
    /// It failed; the reason is on standard error.
    Failed = 1,
    /// The arguments make no sense (clap's own status).
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// There is no such account, or there is one already.
    User = 4,
}

/// Why a command failed: a status and what the person at the terminal should read.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    status: ExitStatus,
    /// What went wrong and what to do.
    message: String,
}

impl Failure {
    /// A failure with this status.
    pub(crate) fn new(status: ExitStatus, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    /// A failure of the common kind.
    pub(crate) fn general(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Failed, message)
    }
}

/// An error and what caused it, for the person at the terminal.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The same as a failure of the common kind.
pub(crate) fn failure(error: impl Error) -> Failure {
    Failure::general(with_causes(&error))
}

/// Prints what was asked for, line by line. That nobody reads on, as behind `| head`, is no failure.
pub(crate) fn print(lines: &[String]) -> Result<(), Failure> {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::general(format!("cannot print: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads the arguments and does as told.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve => serve::run(&arguments.config),
        Command::Demo(demo) => demo::run(&demo),
        Command::User(command) => user::run(&command, &arguments.config),
        Command::Config(command) => config::run(&command, &arguments.config),
    };
    match outcome {
        Ok(()) => ExitCode::from(ExitStatus::Ok as u8),
        Err(failure) => {
            // where nobody can be told, the status tells
            drop(writeln!(io::stderr(), "restante: {}", failure.message));
            ExitCode::from(failure.status as u8)
        }
    }
}
