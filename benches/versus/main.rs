//! restante beside Dovecot: both on copies of the same generated spool, each workload on both in turn, median ratios.
//!
//! ```sh
//! cargo bench --bench versus -- [--quick] [--pairs N] [--rows TEXT] [--root DIR] [--json FILE] [--no-dovecot]
//! ```
//!
//! Needs Debian's dovecot-imapd and dovecot-pop3d; installs nothing. Everything is on loopback and below one directory.
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
    clippy::needless_pass_by_ref_mut,
    reason = "a program for the terminal, ended by the first error"
)]

#[path = "../../tests/support/any_certificate.rs"]
mod any_certificate;
mod client;
#[path = "../../tests/support/random.rs"]
mod random;
mod server;
mod spool;
mod workloads;

use server::{Server, Which};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;
use workloads::{Better, Measured, ROWS, Row};

pub const PASSWORD: &str = "benchmark";
/// Accounts on each server.
pub const USERS: usize = 1000;

/// What the workloads share.
pub struct Context {
    pub root: PathBuf,
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
}

struct Options {
    pairs: usize,
    rows: Option<String>,
    json: Option<PathBuf>,
    dovecot: bool,
}

fn main() -> std::io::Result<()> {
    let mut context = Context {
        root: std::env::temp_dir().join("restante-versus"),
        seed: 1,
        many: 100_000,
        some: 5_000,
        quick: false,
        tls: client::tls_config(),
    };
    let mut options = Options {
        pairs: 5,
        rows: None,
        json: None,
        dovecot: true,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| panic!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--quick" => {
                (context.quick, context.many, context.some, options.pairs) = (true, 10_000, 500, 2)
            }
            "--pairs" => options.pairs = value().parse().unwrap(),
            "--rows" => options.rows = Some(value()),
            "--root" => context.root = value().into(),
            "--json" => options.json = Some(value().into()),
            "--seed" => context.seed = value().parse().unwrap(),
            "--no-dovecot" => options.dovecot = false,
            // what `cargo bench` and `cargo test --benches` add
            "--bench" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    std::fs::create_dir_all(&context.root)?;
    // after an error, logs and configurations stay until the next run for whoever looks for the cause
    clear(&context.root);
    compare(&context, &options)?;
    clear(&context.root);
    Ok(())
}

fn clear(root: &Path) {
    for which in ["restante", "dovecot"] {
        let _ = std::fs::remove_dir_all(root.join(which));
    }
}

/// All values of one row.
struct Values {
    row: &'static Row,
    ours: Vec<Measured>,
    theirs: Vec<Measured>,
}

fn compare(context: &Context, options: &Options) -> std::io::Result<()> {
    let wanted = |row: &&Row| {
        options
            .rows
            .as_ref()
            .is_none_or(|text| row.name.to_lowercase().contains(&text.to_lowercase()))
    };
    let mut ours = Server::new(Which::Restante, &context.root, USERS)?;
    let mut theirs = if options.dovecot {
        Some(Server::new(Which::Dovecot, &context.root, USERS)?)
    } else {
        None
    };
    println!(
        "{:42} {:>11} {:>11} {:>8} {:>17} {:>7}  {:>13}",
        "workload", "restante", "Dovecot", "ratio", "spread", "goal", "server CPU s"
    );
    let mut all = Vec::new();
    for row in ROWS.iter().filter(wanted) {
        let mut values = Values {
            row,
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        for _ in 0..options.pairs {
            values.ours.push(run(row, context, &mut ours)?);
            if let Some(theirs) = &mut theirs {
                values.theirs.push(run(row, context, theirs)?);
            }
        }
        print_row(&values);
        all.push(values);
    }
    if let Some(path) = &options.json {
        let rows: Vec<_> = all.iter().map(to_json).collect();
        std::fs::write(path, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

/// Runs a row once, on a server that knows nothing of what was there before.
fn run(row: &Row, context: &Context, server: &mut Server) -> std::io::Result<Measured> {
    server
        .restart()
        .and_then(|()| (row.run)(context, server))
        .map_err(|error| {
            std::io::Error::other(format!("{}, {:?}: {error}", row.name, server.which))
        })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ratios(values: &Values) -> Vec<f64> {
    values
        .ours
        .iter()
        .zip(&values.theirs)
        .map(|(ours, theirs)| ours.value / theirs.value)
        .collect()
}

fn print_row(values: &Values) {
    let ours = median(values.ours.iter().map(|m| m.value).collect());
    let theirs = median(values.theirs.iter().map(|m| m.value).collect());
    let cpu = [&values.ours, &values.theirs]
        .map(|side| median(side.iter().map(|m| m.server_cpu).collect()));
    let mut ratios = ratios(values);
    ratios.sort_by(f64::total_cmp);
    let ratio = median(ratios.clone());
    let reached = match values.row.better {
        Better::Lower => ratio <= values.row.goal,
        Better::Higher => ratio >= values.row.goal,
    };
    let spread = format!(
        "{:.3}–{:.3}",
        ratios.first().unwrap_or(&f64::NAN),
        ratios.last().unwrap_or(&f64::NAN)
    );
    println!(
        "{:42} {ours:>11.4} {theirs:>11.4} {ratio:>8.3} {spread:>17} {:>7.3}{} {:>6.2}/{:<6.2} {}",
        values.row.name,
        values.row.goal,
        if reached { " " } else { "!" },
        cpu[0],
        cpu[1],
        values.row.unit
    );
}

fn to_json(values: &Values) -> serde_json::Value {
    let side = |side: &[Measured]| {
        side.iter()
            .map(|m| serde_json::json!({ "value": m.value, "server_cpu_secs": m.server_cpu }))
            .collect::<Vec<_>>()
    };
    serde_json::json!({
        "workload": values.row.name, "unit": values.row.unit, "goal": values.row.goal, "ratio": median(ratios(values)),
        "restante": side(&values.ours), "dovecot": side(&values.theirs),
    })
}
