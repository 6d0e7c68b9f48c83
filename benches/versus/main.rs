//! restante beside Dovecot: both on copies of the same generated spool, each workload on both in turn, median ratios.
//!
//! ```sh
//! cargo bench --bench versus -- --help
//! ```
//!
//! Needs Debian's dovecot-imapd and dovecot-pop3d; installs nothing. Everything is on loopback and below one directory, and for rows where
//! syncs decide below one on a tmpfs too. CPU time is that of all threads or processes during the measured part, those that ended included;
//! memory is the proportional share of all processes of a server at its end, with its connections still open.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::map_err_ignore,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::let_underscore_must_use,
    clippy::allow_attributes,
    unreachable_pub,
    missing_debug_implementations,
    clippy::too_many_lines,
    clippy::panic,
    clippy::exit,
    clippy::needless_pass_by_ref_mut,
    reason = "a program for the terminal, ended by the first error"
)]

#[path = "../../tests/support/any_certificate.rs"]
mod any_certificate;
mod client;
mod growth;
mod measure;
mod options;
mod process;
#[path = "../../tests/support/random.rs"]
mod random;
mod report;
mod server;
mod spool;
mod stream;
mod tmpfs;
mod workloads;

use measure::Measured;
use options::Options;
use report::Values;
use server::{Server, Which};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tmpfs::Tmpfs;
use tokio_rustls::rustls::ClientConfig;
use workloads::{ROWS, Row};

pub const PASSWORD: &str = "benchmark";
/// Accounts that rows on a tmpfs need.
const TMPFS_USERS: usize = 16;

/// What the workloads share.
pub struct Context {
    pub seed: u64,
    /// Messages of the large mailbox.
    pub many: u64,
    /// Messages of the mailbox with real sizes.
    pub some: u64,
    pub quick: bool,
    pub tls: Arc<ClientConfig>,
}

impl Context {
    /// A count, a tenth of it with --quick.
    pub fn scaled(&self, count: u64) -> u64 {
        if self.quick {
            (count / 10).max(1)
        } else {
            count
        }
    }

    pub fn tenth(&self) -> u64 {
        self.many / 10
    }

    /// Accounts on each server.
    pub fn users(&self) -> usize {
        self.scaled(1000) as usize
    }
}

/// The two servers, on one file system.
struct Pair {
    ours: Server,
    theirs: Option<Server>,
}

impl Pair {
    fn new(options: &Options, root: &Path, users: usize) -> io::Result<Self> {
        let ours = Server::new(Which::Restante, options, root, users)?;
        let theirs = match &options.against {
            Some(running) => Some(Server::running(running, options)),
            None if options.dovecot => Some(Server::new(Which::Dovecot, options, root, users)?),
            None => None,
        };
        Ok(Self { ours, theirs })
    }
}

fn main() -> io::Result<()> {
    let options = Options::read();
    let (many, some) = if options.quick {
        (10_000, 500)
    } else {
        (100_000, 5_000)
    };
    let context = Context {
        seed: options.seed,
        many,
        some,
        quick: options.quick,
        tls: client::tls_config(),
    };
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    std::fs::create_dir_all(&options.root)?;
    // after an error, logs and configurations stay until the next run for whoever looks for the cause
    clear(&options.root);
    let failed = compare(&context, &options)?;
    if failed > 0 {
        return Err(io::Error::other(format!("{failed} rows gave no figure")));
    }
    clear(&options.root);
    Ok(())
}

fn clear(root: &Path) {
    for which in ["restante", "dovecot"] {
        let _ = std::fs::remove_dir_all(root.join(which));
    }
}

/// Runs all rows that are wanted; returns how many of them failed.
fn compare(context: &Context, options: &Options) -> io::Result<usize> {
    let wanted: Vec<_> = ROWS
        .iter()
        .flat_map(|row| {
            let again = row.syncs_decide && !options.without_tmpfs;
            let on_tmpfs = again.then(|| (row, format!("{}, tmpfs", row.name), true));
            std::iter::once((row, row.name.to_owned(), false)).chain(on_tmpfs)
        })
        .filter(|(_, name, _)| options.wants(name))
        .collect();
    let mut disk = Pair::new(options, &options.root, context.users())?;
    let tmpfs = if wanted.iter().any(|(_, _, on_tmpfs)| *on_tmpfs) {
        find_tmpfs(options)?
    } else {
        None
    };
    let mut memory = match &tmpfs {
        Some(tmpfs) => Some(Pair::new(options, &tmpfs.root, TMPFS_USERS)?),
        None => None,
    };
    report::print_head(options.against.is_some());
    let (mut all, mut failed) = (Vec::new(), 0);
    for (row, name, on_tmpfs) in wanted {
        let pair = if on_tmpfs {
            memory.as_mut()
        } else {
            Some(&mut disk)
        };
        let Some(pair) = pair else { continue };
        match run_row(context, options, row, name, pair) {
            Ok(values) => {
                report::print_row(&values);
                all.push(values);
            }
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
    }
    // servers before the directory they lie in
    drop(memory);
    drop(tmpfs);
    let mut growth = Vec::new();
    if let Err(error) = growth::run(context, options, &mut disk, &mut growth) {
        eprintln!("{error}");
        failed += 1;
    }
    report::print_growth(&growth, options.against.is_some());
    if let Some(path) = &options.json {
        let json = report::to_json(&all, &growth, options.against.is_some());
        std::fs::write(path, serde_json::to_string_pretty(&json)?)?;
    }
    Ok(failed)
}

/// A place in memory; without one that was asked for, only a remark.
fn find_tmpfs(options: &Options) -> io::Result<Option<Tmpfs>> {
    match Tmpfs::new(options.tmpfs.as_deref()) {
        Ok(tmpfs) => Ok(Some(tmpfs)),
        Err(error) if options.tmpfs.is_some() => Err(error),
        Err(error) => {
            eprintln!("no rows on a tmpfs: {error}");
            Ok(None)
        }
    }
}

fn run_row(
    context: &Context,
    options: &Options,
    row: &'static Row,
    name: String,
    pair: &mut Pair,
) -> io::Result<Values> {
    let mut values = Values {
        name,
        row,
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    for _ in 0..options.pairs {
        values.ours.push(run(row, context, &mut pair.ours)?);
        if let Some(theirs) = &mut pair.theirs {
            values.theirs.push(run(row, context, theirs)?);
        }
    }
    Ok(values)
}

/// Runs a row once, on a server that knows nothing of what was there before.
fn run(row: &Row, context: &Context, server: &mut Server) -> io::Result<Measured> {
    server
        .restart()
        .and_then(|()| (row.run)(context, server))
        .map_err(|error| io::Error::other(format!("{}, {:?}: {error}", row.name, server.which)))
}
