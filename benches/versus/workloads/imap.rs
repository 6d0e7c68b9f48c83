//! IMAP: logging in, opening mailboxes, reading, changing, adding.

use super::{fill, fill_to_remove, imap_port, side_by_side};
use crate::Context;
use crate::client::Client;
use crate::measure::{Measured, measure};
use crate::server::Server;
use crate::spool::Kind;
use std::fs;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

pub fn logins(context: &Context, server: &mut Server, tls: bool) -> io::Result<Measured> {
    let each = if tls {
        context.scaled(200)
    } else {
        context.scaled(400)
    };
    let (port, config) = imap_port(context, server, tls);
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
    Ok(measured.per_second(each as f64 * 16.0))
}

pub fn select_first(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    measure(server, || {
        client.command("SELECT INBOX")?;
        Ok(client)
    })
}

pub fn select_again(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    // directory time stamps younger than a second are not believed by either server
    std::thread::sleep(Duration::from_millis(2100));
    client.command("SELECT INBOX")?;
    // a process of Dovecot that saw the messages first reads all names again at each SELECT, others do not
    server.restart()?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    for _ in 0..3 {
        client.command("SELECT INBOX")?;
    }
    let measured = measure(server, || {
        for _ in 0..20 {
            client.command("SELECT INBOX")?;
        }
        Ok(client)
    })?;
    Ok(measured.with(measured.seconds / 20.0))
}

pub fn select_new_process(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill(context, server, "u0", Kind::Small, context.many)?;
    Client::imap(server.ports.imap, None, "u0")?.command("SELECT INBOX")?;
    std::thread::sleep(Duration::from_millis(2100));
    server.restart()?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    measure(server, || {
        client.command("SELECT INBOX")?;
        Ok(client)
    })
}

pub fn select_foreign_change(context: &Context, server: &mut Server) -> io::Result<Measured> {
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
    measure(server, || {
        client.command("SELECT INBOX")?;
        Ok(client)
    })
}

pub fn bodies(
    context: &Context,
    server: &mut Server,
    tls: bool,
    connections: usize,
) -> io::Result<Measured> {
    let octets = fill(context, server, "u0", Kind::Real, context.some)?;
    let (port, config) = imap_port(context, server, tls);
    Client::imap(port, config, "u0")?.command("SELECT INBOX")?;
    let measured = measure(server, || {
        side_by_side(connections, |_| {
            let mut client = Client::imap(port, config, "u0")?;
            client.command("SELECT INBOX")?;
            let received = client.command("UID FETCH 1:* (BODY.PEEK[])")?;
            if received < octets {
                return Err(io::Error::other(format!("{received} octets of {octets}")));
            }
            Ok(client)
        })
    })?;
    Ok(measured.per_second(octets as f64 * connections as f64 / 1e6))
}

pub fn store_single(context: &Context, server: &mut Server) -> io::Result<Measured> {
    let count = context.scaled(5000);
    fill(context, server, "u0", Kind::Small, 5000)?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    let measured = measure(server, || {
        for number in 1..=count {
            client.command(&format!("STORE {number} +FLAGS (\\Answered \\Flagged)"))?;
        }
        Ok(client)
    })?;
    Ok(measured.per_second(count as f64))
}

pub fn appends(
    context: &Context,
    server: &mut Server,
    connections: usize,
    together: usize,
) -> io::Result<Measured> {
    let each = (context.scaled(1600) as usize / connections / together).max(2);
    let body = format!(
        "Subject: appended\r\n\r\n{}",
        "A line of eight KiB, sixty-four octets long with its line end.\r\n".repeat(128)
    );
    let mut clients = Vec::new();
    for user in 0..connections {
        let user = format!("u{user}");
        fill(context, server, &user, Kind::Small, 10)?;
        let client = Client::imap(server.ports.imap, None, &user)?;
        clients.push(Mutex::new(client));
    }
    let measured = measure(server, || {
        side_by_side(connections, |user| {
            let mut client = clients[user].lock().unwrap();
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
    Ok(measured.per_second((each * together * connections) as f64))
}

pub fn expunge(context: &Context, server: &mut Server) -> io::Result<Measured> {
    fill_to_remove(context, server, "u0", context.tenth())?;
    let mut client = Client::imap(server.ports.imap, None, "u0")?;
    client.command("SELECT INBOX")?;
    client.command("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
    measure(server, || {
        client.command("EXPUNGE")?;
        Ok(client)
    })
}
