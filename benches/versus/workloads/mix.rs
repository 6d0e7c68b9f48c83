//! IMAP: many clients doing what clients do.

use super::{fill, imap_port, side_by_side};
use crate::Context;
use crate::client::Client;
use crate::measure::{Measured, measure};
use crate::random::Random;
use crate::server::Server;
use crate::spool::Kind;
use std::io;
use std::sync::Mutex;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixFigure {
    Rate,
    P99,
    Cpu,
}

/// Fifty clients, each on its own account, doing what clients do.
pub fn mix(
    context: &Context,
    server: &mut Server,
    tls: bool,
    figure: MixFigure,
) -> io::Result<Measured> {
    let (clients, each) = (50, context.scaled(400));
    let (port, config) = imap_port(context, server, tls);
    let mut connections = Vec::new();
    for user in 0..clients {
        let name = format!("u{user}");
        fill(context, server, &name, Kind::Real, 200)?;
        let mut client = Client::imap(port, config, &name)?;
        if client.command("STATUS Sent (MESSAGES)").is_err() {
            client.command("CREATE Sent")?;
        }
        client.command("SELECT INBOX")?;
        connections.push(Mutex::new(client));
    }
    let message = format!("Subject: mixed\r\n\r\n{}\r\n", "x".repeat(2000));
    let delays = Mutex::new(Vec::new());
    let measured = measure(server, || {
        side_by_side(clients, |user| {
            let mut random = Random::new(user as u64 + context.seed);
            let mut client = connections[user].lock().unwrap();
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
                    _ => format!("APPEND INBOX (\\Seen) {{{}+}}\r\n{message}", message.len()),
                };
                let begun = Instant::now();
                client.command(&command)?;
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
        MixFigure::Rate => measured.per_second(commands),
        MixFigure::P99 => {
            measured.with(delays[(delays.len() - 1) * 99 / 100].as_secs_f64() * 1000.0)
        }
        MixFigure::Cpu => measured.with(measured.server_cpu / commands * 1000.0),
    })
}
