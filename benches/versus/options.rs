//! What the command line says.

use super::server::{Ports, Running};
use std::path::PathBuf;

const HELP: &str = "\
restante beside Dovecot: both on copies of the same generated spool, each workload on both in turn, median ratios.

    cargo bench --bench versus -- [OPTIONS]

    --root DIR       where spools, indexes and configurations lie; the mail user (uid 5000) must reach it [a directory of the system for
                     temporary files]
    --tmpfs DIR      a tmpfs on which rows where syncs decide are run once more [/dev/shm, if it is one]
    --no-tmpfs       all rows on the disk alone
    --quick          a tenth of the messages, connections and commands, two pairs
    --pairs N        how often each row runs on each server, in turn [5]
    --rows TEXT      only rows whose name has this text; `growth` for those that ask how cost grows with the mailbox
    --million        growth up to 1,000,000 messages [100,000]
    --json FILE      all values of all runs
    --seed N         other mail, the same for the same number [1]
    --restante FILE  another build of restante than the one beside this benchmark
    --no-dovecot     restante alone
    --against SPEC   another server instead of Dovecot, which runs already: imap=PORT,imaps=PORT,pop3=PORT,pop3s=PORT,spool=DIR[,pid=PID].
                     It has the users u0 to u999 with the password `benchmark`, their Maildirs DIR/u0 and so on belong to uid 5000 and are made
                     and removed at will, on the file system of --root. It is not started anew between rows, and has none on a tmpfs
";

pub struct Options {
    pub root: PathBuf,
    /// None: look for one.
    pub tmpfs: Option<PathBuf>,
    pub without_tmpfs: bool,
    pub quick: bool,
    pub pairs: usize,
    pub rows: String,
    pub million: bool,
    pub json: Option<PathBuf>,
    pub seed: u64,
    pub restante: PathBuf,
    pub dovecot: bool,
    /// Another server instead of Dovecot.
    pub against: Option<Running>,
}

impl Options {
    /// From the arguments of this program; ends it for --help and for what it does not know.
    pub fn read() -> Self {
        let mut options = Self {
            root: std::env::temp_dir().join("restante-versus"),
            tmpfs: None,
            without_tmpfs: false,
            quick: false,
            pairs: 0,
            rows: String::new(),
            million: false,
            json: None,
            seed: 1,
            restante: env!("CARGO_BIN_EXE_restante").into(),
            dovecot: true,
            against: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .unwrap_or_else(|| refuse(&format!("{argument} needs a value")))
            };
            match argument.as_str() {
                "--root" => options.root = value().into(),
                "--tmpfs" => options.tmpfs = Some(value().into()),
                "--no-tmpfs" => options.without_tmpfs = true,
                "--quick" => options.quick = true,
                "--pairs" => options.pairs = number(&value()),
                "--rows" => options.rows = value().to_lowercase(),
                "--million" => options.million = true,
                "--json" => options.json = Some(value().into()),
                "--seed" => options.seed = number(&value()),
                "--restante" => options.restante = value().into(),
                "--no-dovecot" => options.dovecot = false,
                "--against" => {
                    options.against = Some(running(&value()));
                    options.without_tmpfs = true;
                }
                // what `cargo bench` and `cargo test --benches` add
                "--bench" => {}
                "--help" => {
                    print!("{HELP}");
                    std::process::exit(0);
                }
                other => refuse(&format!("unknown argument {other}")),
            }
        }
        if options.pairs == 0 {
            options.pairs = if options.quick { 2 } else { 5 };
        }
        options
    }

    pub fn wants(&self, row: &str) -> bool {
        row.to_lowercase().contains(&self.rows)
    }
}

fn running(spec: &str) -> Running {
    let mut running = Running {
        ports: Ports::default(),
        spool: PathBuf::new(),
        pid: None,
    };
    for part in spec.split(',') {
        match part.split_once('=') {
            Some(("imap", port)) => running.ports.imap = number(port),
            Some(("imaps", port)) => running.ports.imaps = number(port),
            Some(("pop3", port)) => running.ports.pop3 = number(port),
            Some(("pop3s", port)) => running.ports.pop3s = number(port),
            Some(("spool", directory)) => running.spool = directory.into(),
            Some(("pid", pid)) => running.pid = Some(number(pid)),
            _ => refuse(&format!("--against does not know {part}")),
        }
    }
    if running.spool.as_os_str().is_empty() {
        refuse("--against needs a spool");
    }
    running
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| refuse(&format!("{text} is not a number")))
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}\n\n{HELP}");
    std::process::exit(2);
}
