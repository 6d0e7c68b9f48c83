//! The rows of the comparison. Each prepares its spool, runs once against a server and gives one number.

mod idle;
mod imap;
mod mix;
mod pop3;

use super::Context;
use super::client::Client;
use super::measure::{Measured, measure};
use super::server::{MAIL_UID, Server};
use super::spool::{Kind, Master};
pub use idle::deliver;
use idle::{idle_memory, idlers};
use imap::{
    appends, bodies, expunge, logins, select_again, select_first, select_foreign_change,
    select_new_process, store_single,
};
use mix::{MixFigure, mix};
use pop3::{pop3_delete, pop3_list, pop3_retr};
use std::io;
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A time, or memory.
    Lower,
    /// A rate.
    Higher,
}

type Run = fn(&Context, &mut Server) -> io::Result<Measured>;

/// One row.
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    /// restante's value over Dovecot's must be at most (Lower) or at least (Higher) this; its own value, if that `is_absolute`.
    pub goal: f64,
    pub is_absolute: bool,
    pub run: Run,
    /// Whether waiting for the disk makes up much of it, so that it is run on a tmpfs too.
    pub syncs_decide: bool,
}

impl Row {
    const fn lower(name: &'static str, unit: &'static str, goal: f64, run: Run) -> Self {
        Self {
            name,
            unit,
            better: Better::Lower,
            goal,
            is_absolute: false,
            run,
            syncs_decide: false,
        }
    }

    /// With a goal for restante's own value.
    const fn at_most(name: &'static str, unit: &'static str, goal: f64, run: Run) -> Self {
        Self {
            is_absolute: true,
            ..Self::lower(name, unit, goal, run)
        }
    }

    const fn higher(name: &'static str, unit: &'static str, goal: f64, run: Run) -> Self {
        Self {
            better: Better::Higher,
            ..Self::lower(name, unit, goal, run)
        }
    }

    const fn where_syncs_decide(self) -> Self {
        Self {
            syncs_decide: true,
            ..self
        }
    }
}

const ENVELOPES: &str = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
const HEADERS: &str =
    "UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID References)])";

pub const ROWS: &[Row] = &[
    Row::higher("login plain, 16 at once", "logins/s", 4.0, |c, s| {
        logins(c, s, false)
    }),
    Row::higher("login TLS, 16 at once", "logins/s", 3.0, |c, s| {
        logins(c, s, true)
    }),
    Row::lower("SELECT many, never seen", "s", 0.25, select_first).where_syncs_decide(),
    Row::lower("SELECT many, again", "s", 1.0, select_again),
    Row::lower("SELECT many, new process", "s", 0.2, select_new_process),
    Row::lower(
        "SELECT many, foreign change",
        "s",
        0.2,
        select_foreign_change,
    ),
    Row::lower("FETCH 1:* (UID FLAGS)", "s", 0.25, |c, s| {
        timed(c, s, Kind::Small, c.many, &[], "FETCH 1:* (UID FLAGS)")
    }),
    Row::lower("FETCH envelopes, first", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], ENVELOPES)
    }),
    Row::lower("FETCH envelopes, again", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[ENVELOPES], ENVELOPES)
    }),
    Row::lower("FETCH header fields, first", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], HEADERS)
    }),
    Row::lower("FETCH header fields, again", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[HEADERS], HEADERS)
    }),
    Row::higher("FETCH BODY.PEEK[] plain", "MB/s", 3.0, |c, s| {
        bodies(c, s, false, 1)
    }),
    Row::higher("FETCH BODY.PEEK[] TLS", "MB/s", 4.0, |c, s| {
        bodies(c, s, true, 1)
    }),
    Row::higher(
        "FETCH BODY.PEEK[] TLS, 8 connections",
        "MB/s",
        3.0,
        |c, s| bodies(c, s, true, 8),
    ),
    Row::lower("SEARCH SUBJECT, first", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], "SEARCH SUBJECT budget")
    }),
    Row::lower("SEARCH SUBJECT, again", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Real,
            c.some,
            &["SEARCH SUBJECT lunch"],
            "SEARCH SUBJECT budget",
        )
    }),
    Row::lower("SEARCH SINCE, first", "s", 0.333, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], "SEARCH SINCE 15-Nov-2023")
    }),
    Row::lower("SEARCH SINCE, again", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Real,
            c.some,
            &["SEARCH SINCE 16-Nov-2023"],
            "SEARCH SINCE 15-Nov-2023",
        )
    }),
    Row::lower("SEARCH SENTSINCE, first", "s", 0.333, |c, s| {
        timed(
            c,
            s,
            Kind::Real,
            c.some,
            &[],
            "SEARCH SENTSINCE 15-Nov-2023",
        )
    }),
    Row::lower("SEARCH SENTSINCE, again", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Real,
            c.some,
            &["SEARCH SENTSINCE 16-Nov-2023"],
            "SEARCH SENTSINCE 15-Nov-2023",
        )
    }),
    Row::lower("SEARCH BODY rare word", "s", 0.125, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], "SEARCH BODY xyzzyplugh")
    }),
    Row::lower("SEARCH TEXT rare word", "s", 0.125, |c, s| {
        timed(c, s, Kind::Real, c.some, &[], "SEARCH TEXT xyzzyplugh")
    }),
    Row::higher("STORE one by one", "stores/s", 12.0, store_single).where_syncs_decide(),
    Row::lower("STORE 1:* +FLAGS", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Small,
            c.many,
            &[],
            "STORE 1:* +FLAGS.SILENT (\\Answered)",
        )
    }),
    Row::lower("STORE 1:* keyword", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Small,
            c.many,
            &[],
            "STORE 1:* +FLAGS.SILENT ($label1)",
        )
    }),
    Row::higher("APPEND 8 KiB, one connection", "appends/s", 1.5, |c, s| {
        appends(c, s, 1, 1)
    })
    .where_syncs_decide(),
    Row::higher("APPEND 8 KiB, sixteen", "appends/s", 2.0, |c, s| {
        appends(c, s, 16, 1)
    })
    .where_syncs_decide(),
    Row::higher("MULTIAPPEND 8 KiB, 20 each", "appends/s", 2.0, |c, s| {
        appends(c, s, 1, 20)
    })
    .where_syncs_decide(),
    Row::lower("COPY 10,000", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Small,
            c.tenth(),
            &["CREATE Target"],
            "COPY 1:* Target",
        )
    })
    .where_syncs_decide(),
    Row::lower("MOVE 10,000", "s", 0.5, |c, s| {
        timed(
            c,
            s,
            Kind::Small,
            c.tenth(),
            &["CREATE Target"],
            "MOVE 1:* Target",
        )
    })
    .where_syncs_decide(),
    Row::at_most("delivery to 200 idlers, median", "ms", 20.0, |c, s| {
        idlers(c, s, 0.5)
    }),
    Row::at_most("delivery to 200 idlers, p99", "ms", 100.0, |c, s| {
        idlers(c, s, 0.99)
    }),
    Row::at_most("memory per idle connection, plain", "KiB", 8.0, |c, s| {
        idle_memory(c, s, false)
    }),
    Row::at_most("memory per idle connection, TLS", "KiB", 20.0, |c, s| {
        idle_memory(c, s, true)
    }),
    Row::lower("POP3 STAT LIST UIDL, first", "s", 0.333, |c, s| {
        pop3_list(c, s, false)
    }),
    Row::lower("POP3 STAT LIST UIDL, again", "s", 0.333, |c, s| {
        pop3_list(c, s, true)
    }),
    Row::higher("POP3 RETR all, plain", "MB/s", 4.0, |c, s| {
        pop3_retr(c, s, false, 1)
    }),
    Row::higher("POP3 RETR all, TLS", "MB/s", 4.0, |c, s| {
        pop3_retr(c, s, true, 1)
    }),
    Row::higher("POP3 RETR all, pipelined", "MB/s", 3.0, |c, s| {
        pop3_retr(c, s, false, 50)
    }),
    Row::higher("mix of 50 clients, plain", "commands/s", 3.0, |c, s| {
        mix(c, s, false, MixFigure::Rate)
    }),
    Row::higher("mix of 50 clients, TLS", "commands/s", 3.0, |c, s| {
        mix(c, s, true, MixFigure::Rate)
    }),
    Row::lower("mix of 50 clients, p99", "ms", 0.333, |c, s| {
        mix(c, s, false, MixFigure::P99)
    }),
    Row::lower(
        "mix of 50 clients, CPU of 1,000 commands",
        "s",
        0.333,
        |c, s| mix(c, s, false, MixFigure::Cpu),
    ),
    // the last ones, since what they remove is in the way of new files
    Row::lower("EXPUNGE 10,000", "s", 0.5, expunge).where_syncs_decide(),
    Row::lower("POP3 DELE all, QUIT", "s", 0.25, pop3_delete).where_syncs_decide(),
];

/// Puts generated mail in a user's Maildir, by links to the same files each time.
pub fn fill(
    context: &Context,
    server: &Server,
    user: &str,
    kind: Kind,
    count: u64,
) -> io::Result<u64> {
    let master = Master::generate(&server.root, kind, count, context.seed)?;
    server.clear(user)?;
    master.link(&server.maildir(user), MAIL_UID)?;
    // of the largest only names are needed
    if count < context.many {
        master.warm_up()?;
    }
    Ok(master.octets)
}

/// The same by files of its own, for rows that remove them.
fn fill_to_remove(context: &Context, server: &Server, user: &str, count: u64) -> io::Result<()> {
    let master = Master::generate(&server.root, Kind::Small, count, context.seed)?;
    server.clear(user)?;
    master.copy(&server.maildir(user), MAIL_UID)
}

/// Fills, selects, sends what goes before, times one command.
fn timed(
    context: &Context,
    server: &mut Server,
    kind: Kind,
    count: u64,
    before: &[&str],
    command: &str,
) -> io::Result<Measured> {
    fill(context, server, "u0", kind, count)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    for command in before {
        client.command(command)?;
    }
    measure(server, || {
        client.command(command)?;
        Ok(client)
    })
}

/// The port and the settings of IMAP, in plain or by TLS.
fn imap_port<'a>(
    context: &'a Context,
    server: &Server,
    tls: bool,
) -> (u16, Option<&'a Arc<ClientConfig>>) {
    if tls {
        (server.ports.imaps, Some(&context.tls))
    } else {
        (server.ports.imap, None)
    }
}

/// Runs a closure on so many threads; the first error counts.
fn side_by_side<T: Send>(
    threads: usize,
    action: impl Fn(usize) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let action = &action;
        let running: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || action(number)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| io::Error::other("a client panicked"))?
            })
            .collect()
    })
}
