//! IMAP: connections that wait.

use super::{fill, imap_port};
use crate::Context;
use crate::client::Client;
use crate::measure::{Measured, measure};
use crate::server::{MAIL_UID, Server, Which};
use crate::spool::{self, Kind};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn idlers(context: &Context, server: &mut Server, quantile: f64) -> io::Result<Measured> {
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
    let measured = measure(server, || {
        for delivery in 0..5 {
            let exists = format!("* {} EXISTS", 101 + delivery);
            let begun = Instant::now();
            std::thread::scope(|scope| -> io::Result<()> {
                let running: Vec<_> = clients
                    .chunks_mut(50)
                    .map(|chunk| {
                        scope.spawn(|| -> io::Result<Vec<Duration>> {
                            let told = chunk.iter_mut().map(|client| {
                                client.wait_for(&exists)?;
                                Ok(begun.elapsed())
                            });
                            told.collect()
                        })
                    })
                    .collect();
                deliver(&maildir, delivery)?;
                for thread in running {
                    let told = thread.join().map_err(|_| io::Error::other("panicked"))?;
                    delays.extend(told?);
                }
                Ok(())
            })?;
            std::thread::sleep(Duration::from_millis(700));
        }
        Ok(())
    })?;
    delays.sort();
    let at = ((delays.len() - 1) as f64 * quantile) as usize;
    Ok(measured.with(delays[at].as_secs_f64() * 1000.0))
}

pub fn idle_memory(context: &Context, server: &mut Server, tls: bool) -> io::Result<Measured> {
    let users = context.users();
    let connections = match server.which {
        Which::Restante => context.scaled(10_000) as usize,
        // a process each: fewer, and per connection all the same
        Which::Dovecot | Which::Other => context.scaled(1_000) as usize,
    };
    for user in 0..users {
        fill(context, server, &format!("u{user}"), Kind::Small, 10)?;
    }
    let (port, config) = imap_port(context, server, tls);
    let open = |user: usize| -> io::Result<Client> {
        let mut client = Client::imap(port, config, &format!("u{user}"))?;
        client.command("SELECT INBOX")?;
        client.send("IDLE")?;
        client.wait_for("+")?;
        client.shrink();
        Ok(client)
    };
    drop(open(0)?);
    let before = server.pss_kib();
    let measured = measure(server, || {
        let clients: Vec<_> = (0..connections)
            .map(|number| open(number % users))
            .collect::<io::Result<_>>()?;
        // what was needed to open them is given back by then
        std::thread::sleep(Duration::from_secs(2));
        Ok(clients)
    })?;
    Ok(measured.with(measured.pss_kib.saturating_sub(before) as f64 / connections as f64))
}

/// Delivers as an MTA does; returns the moment of the delivery.
pub fn deliver(maildir: &Path, number: usize) -> io::Result<Instant> {
    let name = format!("{}.M{number}P1.idle", 1_800_000_000 + number);
    let tmp = maildir.join("tmp").join(&name);
    let mut file = fs::File::create(&tmp)?;
    write!(file, "Subject: delivery {number}\n\nbody\n")?;
    spool::own(&tmp, MAIL_UID)?;
    let begun = Instant::now();
    fs::rename(tmp, maildir.join("new").join(name))?;
    Ok(begun)
}
