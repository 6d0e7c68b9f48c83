//! Drives one [`Protocol`](crate::protocol::Protocol) over one stream: reads, steps, writes, and keeps the time.
//!
//! The loop does what [`Step`] says. Three things may happen beside it: the registry gives an order (shutdown, displacement,
//! revocation), a time-out passes, the client hangs up. An order takes effect where it cuts nothing in two: while the session waits; a
//! displaced or revoked connection also in the midst of writing, as nobody is owed the rest.
//!
//! An idle connection costs the task, the session and, with TLS, the keys: input is read into the stack of the thread that reads, and the
//! output buffer is given back before waiting. What compression holds is given back when nothing has happened for [`REST_AFTER`].

use super::end::{Account, End};
use super::limits::{Handle, Order, Seat};
use super::listener::{Door, Service, TlsMode};
use super::loan::Quickness;
use super::stream::Stream;
use super::work::Machine;
use super::{Shared, now};
use crate::protocol::{
    HIGH_WATER_OCTETS, Host, Interrupt, Output, Patience, Peer, Step, TlsInfo, Wait,
};
use std::future::pending;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};

/// Time for a client to close after us, so that it gets the last words.
const FAREWELL: Duration = Duration::from_secs(2);

/// Time for the last words to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Silence after which what compression can do without is given back: the commands of one synchronisation profit from each other.
const REST_AFTER: Duration = Duration::from_secs(1);

/// A connection without its session.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    tls: Option<TlsInfo>,
    remote: SocketAddr,
    door: Door,
    pub(super) seat: Seat,
    pub(super) shared: Arc<Shared>,
    began: Instant,
    /// Since when nobody is logged in, if so.
    stranger_since: Instant,
    /// Somebody was when it was last looked.
    was_authenticated: bool,
    /// Since when the client is silent: since it last sent something or, if that is later, since we had answered it.
    silent_since: Instant,
    /// What the client sent last is still being answered.
    answering: bool,
    /// How soon the client sends something after it was answered.
    pub(super) quickness: Quickness,
    /// When what compression holds is given back.
    rest_at: Option<Instant>,
}

/// Serves a connection to its end and logs it. A `refusal` is told to the client in place of a session.
pub(super) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    door: Door,
    seat: Seat,
    refusal: Option<Interrupt>,
    shared: Arc<Shared>,
) {
    let began = now();
    let mut connection = Connection {
        stream: Stream::new(stream),
        tls: None,
        remote,
        door,
        seat,
        shared,
        began,
        stranger_since: began,
        was_authenticated: false,
        silent_since: began,
        answering: false,
        quickness: Quickness::default(),
        rest_at: None,
    };
    let end = connection.run(refusal).await;
    connection.farewell(&end).await;
    connection.log(&end);
}

impl Connection {
    /// TLS if it comes first, then the session.
    async fn run(&mut self, refusal: Option<Interrupt>) -> End {
        if self.door.tls == TlsMode::Implicit
            && let Err(end) = Box::pin(self.start_tls()).await
        {
            return end;
        }
        match self.open() {
            Err(end) => end,
            Ok(machine) => match refusal {
                Some(reason) => self.interrupt(machine, reason).await,
                None => self.drive(machine).await.unwrap_or_else(|end| end),
            },
        }
    }

    /// Makes the session.
    fn open(&self) -> Result<Machine, End> {
        let peer = Peer {
            id: self.seat.handle.id,
            remote: self.remote,
            local: self.door.address,
            tls: self.tls.clone(),
            may_start_tls: self.door.tls == TlsMode::Start && self.shared.tls.is_some(),
        };
        let services = &self.shared.services;
        let open = match self.door.service {
            Service::Imap => &services.imap,
            Service::Pop3 => &services.pop3,
        };
        let host: Arc<dyn Host> = self.seat.handle.clone();
        let protocol = contained(self.handle(), || open(peer, host))?;
        Ok(Machine {
            protocol,
            output: Output::default(),
        })
    }

    /// The loop. Ends with the reason in either arm. Work has a future of its own, so that a connection that waits need not hold its room.
    async fn drive(&mut self, mut machine: Machine) -> Result<End, End> {
        let mut step = self.step(&mut machine)?;
        loop {
            step = match step {
                Step::Write => {
                    let piece = std::mem::take(&mut machine.output);
                    match self.step(&mut machine)? {
                        // Reading ahead: the next piece is made while this one is being written.
                        Step::Work(work) => {
                            let next;
                            (machine, next) = Box::pin(self.work(machine, work, piece)).await?;
                            next
                        }
                        next => {
                            self.write(piece).await?;
                            // it takes what it asked for, or is noticed at one of the next pieces
                            self.seat.handle.heard();
                            next
                        }
                    }
                }
                Step::Work(work) => {
                    let next;
                    (machine, next) = Box::pin(self.work(machine, work, Output::default())).await?;
                    next
                }
                Step::Wait(wait) => {
                    self.flush(&mut machine).await?;
                    if let Some(reason) = self.wait(&mut machine, wait).await? {
                        return Ok(self.interrupt(machine, reason).await);
                    }
                    self.step(&mut machine)?
                }
                Step::StartTls => {
                    self.stream.discard_input();
                    self.flush(&mut machine).await?;
                    let info = Box::pin(self.start_tls()).await?;
                    contained(self.handle(), || machine.protocol.tls_started(info))?;
                    self.step(&mut machine)?
                }
                Step::StartCompression => {
                    self.flush(&mut machine).await?;
                    let protocol = &mut machine.protocol;
                    let waiting = contained(self.handle(), || protocol.compression_started())?;
                    self.stream.start_compression(&waiting, &self.shared.spares);
                    self.step(&mut machine)?
                }
                Step::StopCompression => {
                    let octets = std::mem::take(&mut machine.output);
                    let last = self.stream.stop_compression(octets)?;
                    self.write_packed(last).await?;
                    self.step(&mut machine)?
                }
                Step::Close => {
                    self.flush(&mut machine).await?;
                    return Ok(End::BySession);
                }
            };
        }
    }

    pub(super) fn step(&self, machine: &mut Machine) -> Result<Step, End> {
        let Machine { protocol, output } = machine;
        contained(self.handle(), || protocol.step(now(), output))
    }

    /// Waits for something to do; a reason if the session is to be ended.
    async fn wait(&mut self, machine: &mut Machine, wait: Wait) -> Result<Option<Interrupt>, End> {
        if std::mem::take(&mut self.answering) {
            self.silent_since = now();
        }
        let is_authenticated = machine.protocol.is_authenticated();
        if std::mem::replace(&mut self.was_authenticated, is_authenticated) && !is_authenticated {
            self.stranger_since = now();
        }
        let patience_ends = self.patience_ends(wait.patience, is_authenticated);
        let handle = Arc::clone(&self.seat.handle);
        loop {
            let next = [patience_ends, wait.at, self.rest_at]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                reason = order_where(&handle, |order| heeded(order, wait)) => return Ok(Some(reason)),
                read = input(&mut self.stream, machine, wait.input) => {
                    if read? == 0 {
                        return Err(End::ByClient);
                    }
                    let silence = now().saturating_duration_since(self.silent_since);
                    self.quickness.heard_after(silence);
                    self.heard();
                    return Ok(None);
                }
                () = handle.woken.notified() => return Ok(None),
                () = until(next) => {}
            }
            let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now());
            if is_due(patience_ends) {
                return Ok(Some(Interrupt::Timeout));
            }
            if is_due(wait.at) {
                return Ok(None);
            }
            self.stream.rest();
            self.rest_at = None;
            tracing::debug!(connection = handle.id, "compression_rested");
        }
    }

    /// Octets came in.
    pub(super) fn heard(&mut self) {
        self.silent_since = now();
        self.answering = true;
        self.seat.handle.heard();
        self.rest_later();
    }

    /// What compression holds is wanted for a while.
    fn rest_later(&mut self) {
        if self.stream.is_compressed() {
            self.rest_at = now().checked_add(REST_AFTER);
        }
    }

    /// When the client's silence has lasted too long.
    fn patience_ends(&self, patience: Patience, is_authenticated: bool) -> Option<Instant> {
        let timeouts = &self.shared.timeouts;
        let silence = match (patience, self.door.service) {
            (Patience::Ours, _) => return None,
            (Patience::Greeted, _) => timeouts.before_login,
            (Patience::Command, _) => timeouts.command,
            (Patience::Idle, Service::Imap) => timeouts.imap_idle,
            (Patience::Idle, Service::Pop3) => timeouts.pop3_idle,
        };
        let end = self.silent_since.checked_add(silence);
        if is_authenticated {
            return end;
        }
        let before_login = self.stranger_since.checked_add(timeouts.before_login);
        [end, before_login].into_iter().flatten().min()
    }

    /// Writes what the session has made, and gives the buffer back.
    async fn flush(&mut self, machine: &mut Machine) -> Result<(), End> {
        self.write(std::mem::take(&mut machine.output)).await
    }

    /// Writes octets, compressed or not.
    pub(super) async fn write(&mut self, octets: Output) -> Result<(), End> {
        if octets.is_empty() && !self.stream.is_unflushed() {
            return Ok(());
        }
        if octets.is_empty() || !self.stream.is_compressed() {
            return self.write_piece(octets).await;
        }
        // compressing takes long, and others have their turn between two pieces
        for piece in octets.into_octets().chunks(HIGH_WATER_OCTETS) {
            self.write_piece(piece.to_vec().into()).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Writes octets, compressed or not, that may be compressed at once.
    async fn write_piece(&mut self, octets: Output) -> Result<(), End> {
        let packed = self.stream.packed(octets)?;
        self.rest_later();
        self.write_packed(packed).await
    }

    /// Writes octets; fails if the client takes nothing for too long or the connection is to end. Most are taken at once: room for waiting is made
    /// only where it is needed.
    async fn write_packed(&mut self, mut rest: Output) -> Result<(), End> {
        self.obey_cutting()?;
        if self.stream.send_packed_at_once(&mut rest) {
            return Ok(());
        }
        Box::pin(self.write_slowly(rest)).await
    }

    /// Ends a connection that is to end even in the midst of an answer.
    pub(super) fn obey_cutting(&self) -> Result<(), End> {
        match self.seat.handle.order().and_then(cutting) {
            Some(reason) => Err(End::Interrupted(reason)),
            None => Ok(()),
        }
    }

    /// Writes octets that the client does not take at once.
    async fn write_slowly(&mut self, mut rest: Output) -> Result<(), End> {
        let handle = Arc::clone(&self.seat.handle);
        let patience = self.shared.timeouts.write;
        let mut is_first = true;
        loop {
            let count = tokio::select! {
                biased;
                reason = order_where(&handle, cutting) => return Err(End::Interrupted(reason)),
                sent = self.stream.send(&rest) => sent?,
                () = sleep(patience) => return Err(End::NotReading),
            };
            if count == 0 {
                return Ok(());
            }
            if !std::mem::take(&mut is_first) {
                // More than the system's buffer: the client must have taken some.
                handle.heard();
            }
            rest.advance(count);
        }
    }

    /// Negotiates TLS.
    async fn start_tls(&mut self) -> Result<TlsInfo, End> {
        let shared = Arc::clone(&self.shared);
        let Some(tls) = &shared.tls else {
            return Err(End::NoTls);
        };
        let handle = Arc::clone(&self.seat.handle);
        let handshake = self.stream.start_tls(tls, self.door.service);
        let info = tokio::select! {
            done = timeout(shared.timeouts.handshake, handshake) => match done {
                Err(_) => return Err(End::HandshakeTimeout),
                Ok(shaken) => shaken.map_err(End::Handshake)?,
            },
            reason = order_where(&handle, any) => return Err(End::Interrupted(reason)),
        };
        self.tls = Some(info.clone());
        Ok(info)
    }

    /// Ends a session that waits, in its own words.
    async fn interrupt(&mut self, mut machine: Machine, reason: Interrupt) -> End {
        let Machine { protocol, output } = &mut machine;
        if contained(self.handle(), || protocol.interrupt(reason, output)).is_err() {
            return End::Panicked;
        }
        self.last_words(machine.output).await;
        End::Interrupted(reason)
    }

    /// Writes what the client may still read; what becomes of it no longer matters.
    pub(super) async fn last_words(&mut self, octets: Output) {
        let mut rest = self.stream.packed(octets).unwrap_or_default();
        while let Ok(Ok(count @ 1..)) = timeout(LAST_WORDS, self.stream.send(&rest)).await {
            rest.advance(count);
        }
    }

    /// Closes as the end demands: after last words with care that they arrive, after the client's close with a close.
    async fn farewell(&mut self, end: &End) {
        let close = async {
            match end {
                End::BySession | End::Interrupted(_) | End::VolumeHung | End::Panicked => {
                    self.stream.close().await
                }
                End::ByClient | End::NotDeflate => self.stream.shutdown().await,
                End::NotReading
                | End::HandshakeTimeout
                | End::Handshake(_)
                | End::NoTls
                | End::Io(_) => Ok(()),
            }
        };
        if let Ok(Err(error)) = timeout(FAREWELL, close).await {
            tracing::debug!(%error, "close_failed");
        }
    }

    fn log(&self, end: &End) {
        let account = Account {
            id: self.seat.handle.id,
            remote: self.remote,
            door: self.door,
            tls: self.tls.as_ref().map(|tls| tls.version.as_str()),
            octets: self.stream.octets(),
            plain_octets: self.stream.plain_octets(),
            duration: now().saturating_duration_since(self.began),
            tally: self.seat.handle.tally(),
        };
        account.close(end);
    }

    fn handle(&self) -> &Handle {
        &self.seat.handle
    }
}

/// Whether an order is obeyed by a session that waits.
///
/// At a shutdown, commands in progress finish: one that we owe an answer, and one that the client is in the middle of sending.
const fn heeded(order: Order, wait: Wait) -> Option<Interrupt> {
    match (order, wait.patience) {
        (Order::Abort(reason), _) => Some(reason),
        (Order::End(_), Patience::Ours) | (Order::End(Interrupt::Shutdown), Patience::Command) => {
            None
        }
        (Order::End(reason), _) => Some(reason),
    }
}

/// Whether an order ends even a connection in the midst of writing.
const fn cutting(order: Order) -> Option<Interrupt> {
    match order {
        Order::Abort(reason) | Order::End(reason @ (Interrupt::Displaced | Interrupt::Revoked)) => {
            Some(reason)
        }
        Order::End(_) => None,
    }
}

/// Whether an order ends even a connection whose work is in progress.
pub(super) const fn aborting(order: Order) -> Option<Interrupt> {
    match order {
        Order::Abort(reason) => Some(reason),
        Order::End(_) => None,
    }
}

/// Whether an order ends a connection that has no session yet: always.
#[expect(clippy::unnecessary_wraps, reason = "of the shape of its siblings")]
const fn any(order: Order) -> Option<Interrupt> {
    let (Order::Abort(reason) | Order::End(reason)) = order;
    Some(reason)
}

/// Waits for an order that is to be heeded. Any number may wait.
pub(super) async fn order_where(
    handle: &Handle,
    heed: impl Fn(Order) -> Option<Interrupt>,
) -> Interrupt {
    let mut ordered = pin!(handle.ordered.notified());
    loop {
        ordered.as_mut().enable();
        if let Some(reason) = handle.order().and_then(&heed) {
            return reason;
        }
        ordered.as_mut().await;
        ordered.set(handle.ordered.notified());
    }
}

/// Reads for the session if it wants input; if not, waits until the connection is broken.
async fn input(
    stream: &mut Stream,
    machine: &mut Machine,
    is_wanted: bool,
) -> std::io::Result<usize> {
    if is_wanted {
        stream.read(|octets| machine.protocol.feed(octets)).await
    } else {
        // seldom, and so without room in each connection
        Box::pin(stream.broken()).await;
        Ok(0)
    }
}

/// Sleeps until a moment, or for ever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => pending().await,
    }
}

/// Calls into a session; a panic ends only this session.
pub(super) fn contained<T>(handle: &Handle, call: impl FnOnce() -> T) -> Result<T, End> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_panic| {
        report_panic(handle);
        End::Panicked
    })
}

/// The message of the panic itself was written where it happened.
pub(super) fn report_panic(handle: &Handle) {
    tracing::error!(
        connection = handle.id,
        user = handle.tally().user().as_deref(),
        advice = "a bug in this server; please report it with the lines around this one",
        "session_panicked"
    );
}
