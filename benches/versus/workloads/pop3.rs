//! POP3: the whole maildrop.

use super::{fill, fill_to_remove};
use crate::Context;
use crate::client::Client;
use crate::measure::{Measured, measure};
use crate::server::Server;
use crate::spool::Kind;
use std::fs;
use std::io;
use std::time::Duration;

pub fn pop3_list(context: &Context, server: &mut Server, again: bool) -> io::Result<Measured> {
    let count = context.tenth();
    fill(context, server, "u0", Kind::Small, count)?;
    let session = |port| -> io::Result<()> {
        let mut client = Client::pop3(port, None, "u0")?;
        client.write(b"STAT\r\n")?;
        client.pop3_ok()?;
        for command in ["LIST\r\n", "UIDL\r\n"] {
            client.write(command.as_bytes())?;
            client.pop3_ok()?;
            if client.pop3_lines()? < count {
                return Err(io::Error::other("messages are missing"));
            }
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

pub fn pop3_retr(
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
        let (mut sent, mut received) = (0, 0);
        for number in 1..=context.some {
            // half of what may be under way is asked for at once
            if sent < context.some && sent + 1 - number <= ahead / 2 {
                let to = context.some.min(number + ahead - 1);
                let batch: String = (sent + 1..=to)
                    .map(|number| format!("RETR {number}\r\n"))
                    .collect();
                client.write(batch.as_bytes())?;
                sent = to;
            }
            client.pop3_ok()?;
            received += client.pop3_lines()?;
        }
        if received < octets {
            return Err(io::Error::other(format!("{received} octets of {octets}")));
        }
        Ok(())
    })?;
    Ok(measured.per_second(octets as f64 / 1e6))
}

pub fn pop3_delete(context: &Context, server: &mut Server) -> io::Result<Measured> {
    let count = context.tenth();
    fill_to_remove(context, server, "u0", count)?;
    let mut client = Client::pop3(server.ports.pop3, None, "u0")?;
    let measured = measure(server, || {
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
    })?;
    match fs::read_dir(server.maildir("u0").join("cur"))?.count() {
        0 => Ok(measured),
        left => Err(io::Error::other(format!("{left} messages are left"))),
    }
}
