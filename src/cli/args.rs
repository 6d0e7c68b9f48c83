//! What can be said on the command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// POP3 and IMAP server for the mail that an MTA delivers into Maildir spools.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, short, global = true, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve mail until SIGTERM; SIGHUP looks at the certificates at once
    Serve,
    /// Serve two accounts with generated mail on loopback, to look around; needs nothing else
    Demo(Demo),
    /// Manage accounts; works while the server runs
    #[command(subcommand)]
    User(User),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
}

/// `restante demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to keep the demo's files; kept afterwards. Default: a new directory, removed at the end
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Seconds between deliveries
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub interval: u64,
}

/// `restante user …`
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make an account; asks for the password
    Add {
        /// Its name, such as anna or anna@example.org
        user: String,
        /// Read the password from standard input, one line, instead of asking
        #[arg(long)]
        stdin: bool,
        /// Where its Maildir lies, if not where the configuration says
        #[arg(long, value_name = "DIR")]
        spool: Option<PathBuf>,
    },
    /// Set the password of an account; asks for it
    Passwd {
        /// Its name
        user: String,
        /// Read the password from standard input, one line, instead of asking
        #[arg(long)]
        stdin: bool,
    },
    /// List all accounts
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one account
    Show {
        /// Its name
        user: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep an account from logging in; its connections end
    Disable {
        /// Its name
        user: String,
    },
    /// Let a disabled account log in again
    Enable {
        /// Its name
        user: String,
    },
    /// Help an account whose mail program has trouble; its connections end, and those that follow are as set
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
    Set {
        /// Its name
        user: String,
        /// No longer announce these IMAP capabilities, such as UTF8=ACCEPT
        #[arg(long, value_name = "NAME", num_args = 1.., group = "change")]
        disable_capability: Vec<String>,
        /// Announce these again
        #[arg(long, value_name = "NAME", num_args = 1.., group = "change")]
        enable_capability: Vec<String>,
    },
    /// Remove an account; its mail stays where it is
    Remove {
        /// Its name
        user: String,
    },
}

/// `restante config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check the file, and what it names on disk: directories, rights, certificates, ports, the credential database
    Check,
    /// Show every setting with the place that sets it
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
