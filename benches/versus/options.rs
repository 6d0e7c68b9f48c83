//! What the command line says.

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

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| refuse(&format!("{text} is not a number")))
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}\n\n{HELP}");
    std::process::exit(2);
}
