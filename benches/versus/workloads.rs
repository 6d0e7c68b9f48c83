//! The rows of the comparison. Each prepares its spool, runs once against a server and gives one number.

use super::Context;
use super::client::Client;
use super::random::Random;
use super::server::{MAIL_UID, Server, Which};
use super::spool::{Kind, Master};
use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What one run gave.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Seconds, or a rate, as the row says.
    pub value: f64,
    /// CPU seconds of the server during the measured part.
    pub server_cpu: f64,
}

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
    /// restante's value over Dovecot's must be at most (Lower) or at least (Higher) this.
    pub goal: f64,
    pub run: Run,
}

const ENVELOPES: &str = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
const HEADERS: &str =
    "UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID References)])";

pub const ROWS: &[Row] = &[
    Row {
        name: "login plain, 16 at once",
        unit: "logins/s",
        better: Better::Higher,
        goal: 4.0,
        run: |c, s| logins(c, s, false),
    },
    Row {
        name: "login TLS, 16 at once",
        unit: "logins/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| logins(c, s, true),
    },
    Row {
        name: "SELECT many, never seen",
        unit: "s",
        better: Better::Lower,
        goal: 0.25,
        run: select_first,
    },
    Row {
        name: "SELECT many, again",
        unit: "s",
        better: Better::Lower,
        goal: 1.0,
        run: select_again,
    },
    Row {
        name: "SELECT many, new process",
        unit: "s",
        better: Better::Lower,
        goal: 0.2,
        run: select_new_process,
    },
    Row {
        name: "SELECT many, foreign change",
        unit: "s",
        better: Better::Lower,
        goal: 0.2,
        run: select_foreign_change,
    },
    Row {
        name: "FETCH 1:* (UID FLAGS)",
        unit: "s",
        better: Better::Lower,
        goal: 0.25,
        run: |c, s| timed(c, s, Kind::Small, c.many, &[], "FETCH 1:* (UID FLAGS)"),
    },
    Row {
        name: "FETCH envelopes, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], ENVELOPES),
    },
    Row {
        name: "FETCH envelopes, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[ENVELOPES], ENVELOPES),
    },
    Row {
        name: "FETCH header fields, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], HEADERS),
    },
    Row {
        name: "FETCH header fields, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[HEADERS], HEADERS),
    },
    Row {
        name: "FETCH BODY.PEEK[] plain",
        unit: "MB/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| bodies(c, s, false, 1),
    },
    Row {
        name: "FETCH BODY.PEEK[] TLS",
        unit: "MB/s",
        better: Better::Higher,
        goal: 4.0,
        run: |c, s| bodies(c, s, true, 1),
    },
    Row {
        name: "FETCH BODY.PEEK[] TLS, 8 connections",
        unit: "MB/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| bodies(c, s, true, 8),
    },
    Row {
        name: "SEARCH SUBJECT, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], "SEARCH SUBJECT budget"),
    },
    Row {
        name: "SEARCH SUBJECT, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Real,
                c.some,
                &["SEARCH SUBJECT lunch"],
                "SEARCH SUBJECT budget",
            )
        },
    },
    Row {
        name: "SEARCH SINCE, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], "SEARCH SINCE 15-Nov-2023"),
    },
    Row {
        name: "SEARCH SINCE, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Real,
                c.some,
                &["SEARCH SINCE 16-Nov-2023"],
                "SEARCH SINCE 15-Nov-2023",
            )
        },
    },
    Row {
        name: "SEARCH SENTSINCE, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Real,
                c.some,
                &[],
                "SEARCH SENTSINCE 15-Nov-2023",
            )
        },
    },
    Row {
        name: "SEARCH SENTSINCE, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Real,
                c.some,
                &["SEARCH SENTSINCE 16-Nov-2023"],
                "SEARCH SENTSINCE 15-Nov-2023",
            )
        },
    },
    Row {
        name: "SEARCH BODY rare word",
        unit: "s",
        better: Better::Lower,
        goal: 0.125,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], "SEARCH BODY xyzzyplugh"),
    },
    Row {
        name: "SEARCH TEXT rare word",
        unit: "s",
        better: Better::Lower,
        goal: 0.125,
        run: |c, s| timed(c, s, Kind::Real, c.some, &[], "SEARCH TEXT xyzzyplugh"),
    },
    Row {
        name: "STORE one by one",
        unit: "stores/s",
        better: Better::Higher,
        goal: 12.0,
        run: store_single,
    },
    Row {
        name: "STORE 1:* +FLAGS",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Small,
                c.many,
                &[],
                "STORE 1:* +FLAGS.SILENT (\\Answered)",
            )
        },
    },
    Row {
        name: "STORE 1:* keyword",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Small,
                c.many,
                &[],
                "STORE 1:* +FLAGS.SILENT ($label1)",
            )
        },
    },
    Row {
        name: "APPEND 8 KiB, one connection",
        unit: "appends/s",
        better: Better::Higher,
        goal: 1.5,
        run: |c, s| appends(c, s, 1, 1),
    },
    Row {
        name: "APPEND 8 KiB, sixteen",
        unit: "appends/s",
        better: Better::Higher,
        goal: 2.0,
        run: |c, s| appends(c, s, 16, 1),
    },
    Row {
        name: "MULTIAPPEND 8 KiB, 20 each",
        unit: "appends/s",
        better: Better::Higher,
        goal: 2.0,
        run: |c, s| appends(c, s, 1, 20),
    },
    Row {
        name: "COPY 10,000",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Small,
                c.tenth(),
                &["CREATE Target"],
                "COPY 1:* Target",
            )
        },
    },
    Row {
        name: "MOVE 10,000",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Small,
                c.tenth(),
                &["CREATE Target"],
                "MOVE 1:* Target",
            )
        },
    },
    Row {
        name: "EXPUNGE 10,000",
        unit: "s",
        better: Better::Lower,
        goal: 0.5,
        run: |c, s| {
            timed(
                c,
                s,
                Kind::Small,
                c.tenth(),
                &["STORE 1:* +FLAGS.SILENT (\\Deleted)"],
                "EXPUNGE",
            )
        },
    },
    Row {
        name: "delivery to 200 idlers, median",
        unit: "ms",
        better: Better::Lower,
        goal: 0.04,
        run: |c, s| idlers(c, s, 0.5),
    },
    Row {
        name: "delivery to 200 idlers, p99",
        unit: "ms",
        better: Better::Lower,
        goal: 0.2,
        run: |c, s| idlers(c, s, 0.99),
    },
    Row {
        name: "memory per idle connection, plain",
        unit: "KiB",
        better: Better::Lower,
        goal: 0.01,
        run: |c, s| idle_memory(c, s, false),
    },
    Row {
        name: "memory per idle connection, TLS",
        unit: "KiB",
        better: Better::Lower,
        goal: 0.02,
        run: |c, s| idle_memory(c, s, true),
    },
    Row {
        name: "POP3 STAT LIST UIDL, first",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| pop3_list(c, s, false),
    },
    Row {
        name: "POP3 STAT LIST UIDL, again",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| pop3_list(c, s, true),
    },
    Row {
        name: "POP3 RETR all, plain",
        unit: "MB/s",
        better: Better::Higher,
        goal: 4.0,
        run: |c, s| pop3_retr(c, s, false, 1),
    },
    Row {
        name: "POP3 RETR all, TLS",
        unit: "MB/s",
        better: Better::Higher,
        goal: 4.0,
        run: |c, s| pop3_retr(c, s, true, 1),
    },
    Row {
        name: "POP3 RETR all, pipelined",
        unit: "MB/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| pop3_retr(c, s, false, 50),
    },
    Row {
        name: "POP3 DELE all, QUIT",
        unit: "s",
        better: Better::Lower,
        goal: 0.25,
        run: pop3_delete,
    },
    Row {
        name: "mix of 50 clients, plain",
        unit: "commands/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| mix(c, s, false, MixFigure::Rate),
    },
    Row {
        name: "mix of 50 clients, TLS",
        unit: "commands/s",
        better: Better::Higher,
        goal: 3.0,
        run: |c, s| mix(c, s, true, MixFigure::Rate),
    },
    Row {
        name: "mix of 50 clients, p99",
        unit: "ms",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| mix(c, s, false, MixFigure::P99),
    },
    Row {
        name: "mix of 50 clients, CPU of 1,000 commands",
        unit: "s",
        better: Better::Lower,
        goal: 0.333,
        run: |c, s| mix(c, s, false, MixFigure::Cpu),
    },
];

/// Puts a fresh copy of generated mail in a user's Maildir.
fn fill(context: &Context, server: &Server, user: &str, kind: Kind, count: u64) -> io::Result<u64> {
    let master = Master::generate(&context.root, kind, count, context.seed)?;
    server.clear(user)?;
    master.link(&server.maildir(user), MAIL_UID)?;
    Ok(master.octets)
}

/// Times an action and what CPU it costs the server.
fn measure(server: &Server, action: impl FnOnce() -> io::Result<()>) -> io::Result<Measured> {
    let cpu = server.cpu_secs();
    let begun = Instant::now();
    action()?;
    Ok(Measured {
        value: begun.elapsed().as_secs_f64(),
        server_cpu: server.cpu_secs() - cpu,
    })
}

fn rate(measured: Measured, amount: f64) -> Measured {
    Measured {
        value: amount / measured.value,
        ..measured
    }
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
    measure(server, || client.command(command).map(drop))
}

fn logins(context: &Context, server: &mut Server, tls: bool) -> io::Result<Measured> {
    let each = if tls {
        context.scaled(40)
    } else {
        context.scaled(100)
    };
    let port = if tls {
        server.ports.imaps
    } else {
        server.ports.imap
    };
    let config = tls.then_some(&context.tls);
    for user in 0..16 {
        fill(context, server, &format!("u{user}"), Kind::Small, 10)?;
        Client::imap(port, config, &format!("u{user}"))?.command("LOGOUT")?;
    }
    let measured = measure(server, || {
        side_by_side(16, |user| {
            for _ in 0..each {
                let mut client = Client::imap(port, config, &format!("u{user}"))?;
                let tag = client.send("LOGOUT")?;
                client.finish(&tag)?;
            }
            Ok(())
        })
    })?;
    Ok(rate(measured, each as f64 * 16.0))
}

/// Runs a closure on so many threads; the first error counts.
fn side_by_side(threads: usize, action: impl Fn(usize) -> io::Result<()> + Sync) -> io::Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn({
                    let action = &action;
                    move || action(number)
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| io::Error::other("a client panicked"))?
        })
    })
}

fn select_first(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    measure(server, || client.command("SELECT INBOX").map(drop))
}

fn select_again(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    // directory time stamps younger than a second are not believed by either server
    std::thread::sleep(Duration::from_millis(2100));
    for _ in 0..3 {
        client.command("SELECT INBOX")?;
    }
    let measured = measure(server, || {
        (0..20).try_for_each(|_| client.command("SELECT INBOX").map(drop))
    })?;
    Ok(Measured {
        value: measured.value / 20.0,
        ..measured
    })
}

fn select_new_process(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    Client::imap(server.ports.imap, None, "u0")?.command("SELECT INBOX")?;
    std::thread::sleep(Duration::from_millis(2100));
    server.restart()?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    measure(server, || client.command("SELECT INBOX").map(drop))
}

fn select_foreign_change(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    std::thread::sleep(Duration::from_millis(2100));
    let cur = server.maildir("u0").join("cur");
    let first = fs::read_dir(&cur)?
        .next()
        .ok_or(io::ErrorKind::NotFound)??
        .path();
    fs::rename(&first, format!("{}T", first.display()))?;
    std::thread::sleep(Duration::from_millis(2100));
    measure(server, || client.command("SELECT INBOX").map(drop))
}

fn bodies(
    context: &Context,
    server: &mut Server,
    tls: bool,
    connections: usize,
) -> io::Result<Measured> {
    let octets = fill(context, server, "u0", Kind::Real, context.some)?;
    let port = if tls {
        server.ports.imaps
    } else {
        server.ports.imap
    };
    Client::imap(port, tls.then_some(&context.tls), "u0")?.command("SELECT INBOX")?;
    let measured = measure(server, || {
        side_by_side(connections, |_| {
            let mut client = Client::imap(port, tls.then_some(&context.tls), "u0")?;
            client.command("SELECT INBOX")?;
            client.command("UID FETCH 1:* (BODY.PEEK[])").map(drop)
        })
    })?;
    Ok(rate(measured, octets as f64 * connections as f64 / 1e6))
}

fn store_single(context: &Context, server: &mut Server) -> io::Result<Measured> {
    let count = context.scaled(2000);
    fill(context, server, "u0", Kind::Small, 5000)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    let measured = measure(server, || {
        (1..=count).try_for_each(|number| {
            client
                .command(&format!("STORE {number} +FLAGS (\\Answered \\Flagged)"))
                .map(drop)
        })
    })?;
    Ok(rate(measured, count as f64))
}

fn appends(
    context: &Context,
    server: &mut Server,
    connections: usize,
    together: usize,
) -> io::Result<Measured> {
    let each = (context.scaled(320) as usize / connections / together).max(2);
    let body = format!(
        "Subject: appended\r\n\r\n{}",
        "A line of eight KiB, sixty-four octets long with its line end.\r\n".repeat(128)
    );
    for user in 0..connections {
        fill(context, server, &format!("u{user}"), Kind::Small, 10)?;
    }
    let measured = measure(server, || {
        side_by_side(connections, |user| {
            let mut client = Client::imap(server.ports.imap, None, &format!("u{user}"))?;
            for _ in 0..each {
                let mut command = "APPEND INBOX".to_owned();
                for _ in 0..together {
                    command.push_str(&format!(" (\\Seen) {{{}+}}\r\n{body}", body.len()));
                }
                client.command(&command)?;
            }
            Ok(())
        })
    })?;
    Ok(rate(measured, (each * together * connections) as f64))
}

fn deliver(maildir: &std::path::Path, number: usize) -> io::Result<()> {
    let name = format!("{}.M{number}P1.idle", 1_800_000_000 + number);
    let tmp = maildir.join("tmp").join(&name);
    let mut file = fs::File::create(&tmp)?;
    write!(file, "Subject: delivery {number}\n\nbody\n")?;
    super::spool::own(&tmp, MAIL_UID)?;
    fs::rename(tmp, maildir.join("new").join(name))
}

fn idlers(context: &Context, server: &mut Server, quantile: f64) -> io::Result<Measured> {
    let connections = 200;
    fill(context, server, "u0", Kind::Small, 100)?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::imap(server.ports.imap, None, "u0")?;
        client.command("SELECT INBOX")?;
        client.send("IDLE")?;
        client.wait_for("+")?;
        clients.push(client);
    }
    std::thread::sleep(Duration::from_millis(1100));
    let maildir = server.maildir("u0");
    let mut delays = Vec::new();
    let cpu = server.cpu_secs();
    for delivery in 0..5 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let begun = Instant::now();
        std::thread::scope(|scope| -> io::Result<()> {
            for chunk in clients.chunks_mut(50) {
                let sender = sender.clone();
                scope.spawn(move || {
                    for client in chunk {
                        if client
                            .wait_for(&format!("* {} EXISTS", 101 + delivery))
                            .is_ok()
                        {
                            let _ = sender.send(begun.elapsed());
                        }
                    }
                });
            }
            deliver(&maildir, delivery)
        })?;
        drop(sender);
        delays.extend(receiver);
        std::thread::sleep(Duration::from_millis(700));
    }
    delays.sort();
    if delays.len() < connections * 5 {
        return Err(io::Error::other("some idlers heard nothing"));
    }
    let at = ((delays.len() - 1) as f64 * quantile) as usize;
    Ok(Measured {
        value: delays[at].as_secs_f64() * 1000.0,
        server_cpu: server.cpu_secs() - cpu,
    })
}

fn idle_memory(context: &Context, server: &mut Server, tls: bool) -> io::Result<Measured> {
    let users = super::USERS;
    let connections = match server.which {
        Which::Restante => context.scaled(10_000) as usize,
        // a process each: fewer, and per connection all the same
        Which::Dovecot => context.scaled(1_000) as usize,
    };
    for user in 0..users {
        fill(context, server, &format!("u{user}"), Kind::Small, 10)?;
    }
    server.restart()?;
    let port = if tls {
        server.ports.imaps
    } else {
        server.ports.imap
    };
    let mut clients = Vec::new();
    let open = |user: usize| -> io::Result<Client> {
        let mut client = Client::imap(port, tls.then_some(&context.tls), &format!("u{user}"))?;
        client.command("SELECT INBOX")?;
        client.send("IDLE")?;
        client.wait_for("+")?;
        client.shrink();
        Ok(client)
    };
    drop(open(0)?);
    let before = server.pss_kib();
    for number in 0..connections {
        clients.push(open(number % users)?);
    }
    std::thread::sleep(Duration::from_secs(2));
    let used = server.pss_kib().saturating_sub(before);
    drop(clients);
    server.restart()?;
    Ok(Measured {
        value: used as f64 / connections as f64,
        server_cpu: 0.0,
    })
}

fn pop3_list(context: &Context, server: &mut Server, again: bool) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.tenth())?;
    let session = |port| -> io::Result<()> {
        let mut client = Client::pop3(port, None, "u0")?;
        client.write(b"STAT\r\n")?;
        client.pop3_ok()?;
        for command in ["LIST\r\n", "UIDL\r\n"] {
            client.write(command.as_bytes())?;
            client.pop3_ok()?;
            client.pop3_lines()?;
        }
        client.write(b"QUIT\r\n")?;
        client.pop3_ok().map(drop)
    };
    if again {
        session(server.ports.pop3)?;
        std::thread::sleep(Duration::from_millis(1100));
    }
    measure(server, || session(server.ports.pop3))
}

fn pop3_retr(
    context: &Context,
    server: &mut Server,
    tls: bool,
    ahead: u64,
) -> io::Result<Measured> {
    let octets = fill(context, server, "u0", Kind::Real, context.some)?;
    let port = if tls {
        server.ports.pop3s
    } else {
        server.ports.pop3
    };
    let mut client = Client::pop3(port, tls.then_some(&context.tls), "u0")?;
    let measured = measure(server, || {
        let mut sent = 0;
        for number in 1..=context.some {
            while sent < context.some.min(number + ahead - 1) {
                let to = context.some.min(number + ahead - 1);
                let batch: String = (sent + 1..=to)
                    .map(|number| format!("RETR {number}\r\n"))
                    .collect();
                client.write(batch.as_bytes())?;
                sent = to;
            }
            client.pop3_ok()?;
            client.pop3_lines()?;
        }
        Ok(())
    })?;
    client.write(b"QUIT\r\n")?;
    Ok(rate(measured, octets as f64 / 1e6))
}

fn pop3_delete(context: &Context, server: &mut Server) -> io::Result<Measured> {
    let count = context.tenth();
    fill(context, server, "u0", Kind::Small, count)?;
    let mut client = Client::pop3(server.ports.pop3, None, "u0")?;
    measure(server, || {
        for from in (1..=count).step_by(100) {
            let to = count.min(from + 99);
            client.write(
                (from..=to)
                    .map(|number| format!("DELE {number}\r\n"))
                    .collect::<String>()
                    .as_bytes(),
            )?;
            for _ in from..=to {
                client.pop3_ok()?;
            }
        }
        client.write(b"QUIT\r\n")?;
        client.pop3_ok().map(drop)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MixFigure {
    Rate,
    P99,
    Cpu,
}

/// Fifty clients, each on its own account, doing what clients do.
fn mix(
    context: &Context,
    server: &mut Server,
    tls: bool,
    figure: MixFigure,
) -> io::Result<Measured> {
    let (clients, each) = (50, context.scaled(60));
    let port = if tls {
        server.ports.imaps
    } else {
        server.ports.imap
    };
    for user in 0..clients {
        fill(context, server, &format!("u{user}"), Kind::Real, 200)?;
        Client::imap(port, tls.then_some(&context.tls), &format!("u{user}"))?
            .command("SELECT INBOX")?;
    }
    let delays = std::sync::Mutex::new(Vec::new());
    let measured = measure(server, || {
        side_by_side(clients, |user| {
            let mut random = Random::new(user as u64 + context.seed);
            let mut client = Client::imap(port, tls.then_some(&context.tls), &format!("u{user}"))?;
            client.command("SELECT INBOX")?;
            let mut own = Vec::new();
            for _ in 0..each {
                let number = 1 + random.below(200);
                let command = match random.below(20) {
                    0..=4 => "NOOP".to_owned(),
                    5..=7 => format!("FETCH {number} (FLAGS BODY.PEEK[])"),
                    8..=10 => format!("FETCH {number}:* (UID FLAGS)"),
                    11 => "FETCH 1:50 (UID FLAGS ENVELOPE BODYSTRUCTURE)".to_owned(),
                    12..=14 => format!("STORE {number} +FLAGS (\\Seen)"),
                    15 => "SEARCH UNSEEN".to_owned(),
                    16 => "STATUS Sent (MESSAGES UNSEEN)".to_owned(),
                    17 => "LIST \"\" \"*\"".to_owned(),
                    18 => "SEARCH SUBJECT budget".to_owned(),
                    _ => format!(
                        "APPEND INBOX (\\Seen) {{2023+}}\r\nSubject: mixed\r\n\r\n{}\r\n",
                        "x".repeat(2001)
                    ),
                };
                let begun = Instant::now();
                let tag = client.send(&command)?;
                let done = client.wait_for(&format!("{tag} "))?;
                if !done.contains(" OK") && !command.starts_with("STATUS") {
                    return Err(io::Error::other(done));
                }
                own.push(begun.elapsed());
            }
            delays.lock().unwrap().extend(own);
            Ok(())
        })
    })?;
    let mut delays = delays.into_inner().unwrap();
    delays.sort();
    let commands = delays.len() as f64;
    Ok(match figure {
        MixFigure::Rate => rate(measured, commands),
        MixFigure::P99 => Measured {
            value: delays[(delays.len() - 1) * 99 / 100].as_secs_f64() * 1000.0,
            ..measured
        },
        MixFigure::Cpu => Measured {
            value: measured.server_cpu / commands * 1000.0,
            ..measured
        },
    })
}
