//! How the cost of one small operation grows with the mailbox, once it is open.

use super::client::Client;
use super::options::Options;
use super::server::{MAIL_UID, Server};
use super::spool::Master;
use super::workloads::deliver;
use super::{Context, Pair};
use std::io;
use std::time::{Duration, Instant};

/// One operation, at all sizes.
pub struct Growth {
    pub name: &'static str,
    pub sizes: Vec<Size>,
}

/// One operation at one size.
pub struct Size {
    pub messages: u64,
    /// Microseconds of each run: restante's, Dovecot's.
    pub micros: [Vec<f64>; 2],
}

const USER: &str = "u0";
/// Files that all the names of a large mailbox are links to: ext4 allows 65,000 for each.
const FILES: u64 = 1000;
/// Time stamps of a directory that are younger are not believed by either server.
const SETTLE: Duration = Duration::from_millis(2100);

type Operation = fn(&mut Grown<'_>) -> io::Result<Duration>;

/// Name, the operation, and how often it runs in a round. Those that change the mailbox come last.
const OPERATIONS: &[(&str, Operation, u32)] = &[
    ("growth: SELECT", |grown| grown.select(), 20),
    ("growth: FETCH of one message", |grown| grown.fetch(), 20),
    ("growth: STATUS, open elsewhere", |grown| grown.status(), 20),
    (
        "growth: STATUS, not selected",
        |grown| grown.status_closed(),
        20,
    ),
    ("growth: STORE of one message", |grown| grown.store(), 20),
    (
        "growth: arrival told to an idler",
        |grown| grown.arrival(),
        5,
    ),
];

/// Runs the operations that are wanted at each size, in turn on both servers. What was found before an error stays in `all`.
pub fn run(
    context: &Context,
    options: &Options,
    pair: &mut Pair,
    all: &mut Vec<Growth>,
) -> io::Result<()> {
    let wanted: Vec<_> = OPERATIONS
        .iter()
        .filter(|(name, ..)| options.wants(name))
        .collect();
    all.extend(wanted.iter().map(|(name, ..)| Growth {
        name,
        sizes: Vec::new(),
    }));
    if wanted.is_empty() {
        return Ok(());
    }
    let million = options.million.then_some(1_000_000);
    for messages in [1_000, 10_000, 100_000].into_iter().chain(million) {
        for one in all.iter_mut() {
            let micros = [Vec::new(), Vec::new()];
            one.sizes.push(Size { messages, micros });
        }
        let mut servers = vec![&mut pair.ours];
        servers.extend(pair.theirs.as_mut());
        let mut grown = Vec::new();
        for server in servers {
            let which = server.which;
            let failed = |error| {
                io::Error::other(format!("growth, {which:?}, {messages} messages: {error}"))
            };
            grown.push(Grown::new(context, server, messages).map_err(failed)?);
        }
        for _ in 0..options.pairs {
            for (which, grown) in grown.iter_mut().enumerate() {
                let server = grown.server.which;
                grown.settle()?;
                for ((name, operation, times), one) in wanted.iter().zip(all.iter_mut()) {
                    let failed = |error| io::Error::other(format!("{name}, {server:?}: {error}"));
                    // what the one before has left is not this one's
                    operation(grown).map_err(failed)?;
                    let Some(size) = one.sizes.last_mut() else {
                        continue;
                    };
                    for _ in 0..*times {
                        let took = operation(grown).map_err(failed)?;
                        size.micros[which].push(took.as_secs_f64() * 1e6);
                    }
                }
            }
        }
        for grown in grown {
            grown.server.clear(USER)?;
        }
    }
    Ok(())
}

/// A server with a large mailbox, open on one connection and not on the other.
struct Grown<'a> {
    server: &'a mut Server,
    inside: Client,
    outside: Client,
    messages: u64,
    arrived: u64,
    turn: u64,
}

impl<'a> Grown<'a> {
    fn new(context: &Context, server: &'a mut Server, messages: u64) -> io::Result<Self> {
        server.restart()?;
        server.clear(USER)?;
        Master::generate(&server.root, super::spool::Kind::Small, FILES, context.seed)?
            .link_often(&server.maildir(USER), MAIL_UID, messages)?;
        let mut inside = Client::imap(server.ports.imap, None, USER)?;
        inside.command("SELECT INBOX")?;
        Ok(Self {
            inside,
            outside: Client::imap(server.ports.imap, None, USER)?,
            server,
            messages,
            arrived: 0,
            turn: 0,
        })
    }

    /// Lets time pass until the servers believe what they have seen, and starts them anew: a process of Dovecot that has seen messages for the
    /// first time reads all names again at each SELECT and STATUS, others do not.
    fn settle(&mut self) -> io::Result<()> {
        self.inside.command("SELECT INBOX")?;
        std::thread::sleep(SETTLE);
        self.inside.command("SELECT INBOX")?;
        self.server.restart()?;
        self.inside = Client::imap(self.server.ports.imap, None, USER)?;
        self.outside = Client::imap(self.server.ports.imap, None, USER)?;
        self.inside.command("SELECT INBOX").map(drop)
    }

    /// A sequence number, all over the mailbox, the same only after all others.
    fn next(&mut self) -> u64 {
        self.turn += 1;
        self.turn * 7919 % self.messages + 1
    }

    fn select(&mut self) -> io::Result<Duration> {
        timed(&mut self.inside, "SELECT INBOX")
    }

    fn fetch(&mut self) -> io::Result<Duration> {
        let command = format!("FETCH {} (FLAGS BODY.PEEK[])", self.next());
        timed(&mut self.inside, &command)
    }

    fn store(&mut self) -> io::Result<Duration> {
        let command = format!("STORE {} +FLAGS (\\Draft)", self.next());
        timed(&mut self.inside, &command)
    }

    fn status(&mut self) -> io::Result<Duration> {
        timed(&mut self.outside, "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)")
    }

    fn status_closed(&mut self) -> io::Result<Duration> {
        self.inside.command("UNSELECT")?;
        let took = self.status()?;
        self.inside.command("SELECT INBOX")?;
        Ok(took)
    }

    fn arrival(&mut self) -> io::Result<Duration> {
        let idle = self.inside.send("IDLE")?;
        self.inside.wait_for("+")?;
        self.arrived += 1;
        let number = usize::try_from(self.arrived).map_err(io::Error::other)?;
        let begun = deliver(&self.server.maildir(USER), number)?;
        let exists = format!("* {} EXISTS", self.messages + self.arrived);
        self.inside.wait_for(&exists)?;
        let took = begun.elapsed();
        self.inside.write(b"DONE\r\n")?;
        self.inside.finish(&idle)?;
        Ok(took)
    }
}

fn timed(client: &mut Client, command: &str) -> io::Result<Duration> {
    let begun = Instant::now();
    client.command(command)?;
    Ok(begun.elapsed())
}
