//! A connection's octets: plain or through TLS, and within that as they are or compressed.

use super::deflate::{Deflate, Spares};
use super::socket::Socket;
use super::tls::{Tls, version_name};
use crate::protocol::{Output, TlsInfo};
use crate::server::Service;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;
use tokio_rustls::server::TlsStream;

/// Octets read at once. They lie on the stack of the thread that reads, so an idle connection holds no buffer.
const READ_OCTETS: usize = 32 * 1024;

/// Most pieces that are written at once.
const MAX_PIECES: usize = 64;

/// Octets that are thrown away at most while waiting for a client to close.
const DRAIN_OCTETS: usize = 1024 * 1024;

/// A connection's stream.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    deflate: Option<Box<Deflate>>,
    was_compressed: bool,
    /// Octets from the client, on the wire and as the session saw them.
    received: u64,
    plain_in: u64,
    /// Octets to the client, on the wire and as the session made them.
    sent: u64,
    plain_out: u64,
    /// Something was written that is not flushed.
    is_unflushed: bool,
    /// What a read gave that was no octets, for the next one to tell.
    ended: Option<io::Result<usize>>,
}

/// What carries the octets.
#[derive(Debug)]
enum Transport {
    /// Unencrypted.
    Plain(Socket),
    /// Encrypted.
    Tls(Box<TlsStream<Socket>>),
    /// A handshake failed or is in progress.
    Closed,
}

impl Stream {
    /// A connection that was accepted.
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self::of(Transport::Plain(Socket::Watched(tcp)))
    }

    /// The stream itself; what stays is closed until it is back.
    pub(super) const fn lend(&mut self) -> Self {
        std::mem::replace(self, Self::of(Transport::Closed))
    }

    const fn of(transport: Transport) -> Self {
        Self {
            transport,
            deflate: None,
            was_compressed: false,
            received: 0,
            plain_in: 0,
            sent: 0,
            plain_out: 0,
            is_unflushed: false,
            ended: None,
        }
    }

    /// Reads what has come in and hands it on, inflated; returns how many octets, 0 at the end.
    ///
    /// Can be cancelled without losing octets.
    pub(super) async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        std::future::poll_fn(|context| self.poll_receive(context, &mut take)).await
    }

    /// Reads as [`read`](Self::read), on a thread that waits for octets by itself, for at most a while. True if some came; an end is told by the
    /// next `read`.
    pub(super) fn read_within(&mut self, most: Duration, mut take: impl FnMut(&[u8])) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        let mut has_waited = false;
        loop {
            match self.poll_receive(context, &mut take) {
                Poll::Ready(Ok(1..)) => return true,
                Poll::Ready(ended) => {
                    self.ended = Some(ended);
                    return false;
                }
                Poll::Pending if has_waited => return false,
                Poll::Pending => {}
            }
            let Some(socket) = self.transport.socket_mut() else {
                return false;
            };
            socket.unwatch();
            if !socket.wait_readable(most) {
                return false;
            }
            has_waited = true;
        }
    }

    /// Gives the socket back to the runtime, on one of whose threads this is.
    pub(super) fn watch(&mut self) {
        if let Some(socket) = self.transport.socket_mut() {
            socket.watch();
        }
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let count = loop {
            if let Some(count) = ready!(self.poll_inflate(context, take))? {
                break count;
            }
            if let Some(left) = self.deflate.as_mut().and_then(|layer| layer.take_left()) {
                self.deflate = None;
                if !left.is_empty() {
                    take(&left);
                    break left.len();
                }
            }
            let Self {
                transport, deflate, ..
            } = self;
            let mut receive = |octets: &[u8]| match deflate {
                Some(deflate) => deflate.receive(octets),
                None => take(octets),
            };
            let count = ready!(transport.poll_receive(context, &mut receive))?;
            self.received = self.received.saturating_add(count as u64);
            if count == 0 || self.deflate.is_none() {
                break count;
            }
        };
        self.plain_in = self.plain_in.saturating_add(count as u64);
        Poll::Ready(Ok(count))
    }

    /// Hands on the next piece of what has come in compressed; none if there is none. As much as it may become, others have their turn between two
    /// pieces.
    fn poll_inflate(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<Option<usize>>> {
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.has_input()) else {
            return Poll::Ready(Ok(None));
        };
        let turn = ready!(coop::poll_proceed(context));
        let mut space = [0; READ_OCTETS];
        let count = deflate.inflate(&mut space).map_err(io::Error::other)?;
        turn.made_progress();
        if count > 0 {
            take(space.get(..count).unwrap_or_default());
        }
        Poll::Ready(Ok(Some(count).filter(|count| *count > 0)))
    }

    /// What is to be sent for these octets.
    ///
    /// # Errors
    /// if the compressor is broken
    pub(super) fn packed(&mut self, octets: Output) -> io::Result<Output> {
        self.plain_out = self.plain_out.saturating_add(octets.len() as u64);
        match &mut self.deflate {
            Some(deflate) if !deflate.is_finished() => {
                Ok(deflate.deflate(&octets.into_octets())?.into())
            }
            _ => Ok(octets),
        }
    }

    /// Writes some of the octets, which are [packed](Self::packed), and returns how many, or flushes if there are none.
    ///
    /// Can be cancelled without losing or repeating octets.
    pub(super) async fn send(&mut self, octets: &Output) -> io::Result<usize> {
        let count = std::future::poll_fn(|context| {
            if octets.is_empty() {
                ready!(self.transport.poll_flush(context))?;
                self.is_unflushed = false;
                return Poll::Ready(io::Result::Ok(0));
            }
            match ready!(self.transport.poll_write(context, octets))? {
                0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => Poll::Ready(Ok(count)),
            }
        })
        .await?;
        self.sent = self.sent.saturating_add(count as u64);
        Ok(count)
    }

    /// Writes what the system takes at once, from any thread, and takes it out of the octets. True if that was all, and nothing is left to be
    /// flushed. What goes wrong shows at the next [`send`](Self::send).
    pub(super) fn send_at_once(&mut self, octets: &mut Output) -> bool {
        let before = octets.len();
        let is_all = self.send_packed_at_once(octets);
        let count = before - octets.len();
        self.plain_out = self.plain_out.saturating_add(count as u64);
        is_all
    }

    /// As [`send_at_once`](Self::send_at_once), of octets that are [packed](Self::packed).
    pub(super) fn send_packed_at_once(&mut self, octets: &mut Output) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        while !octets.is_empty()
            && let Poll::Ready(Ok(count @ 1..)) = self.transport.poll_write(context, octets)
        {
            octets.advance(count);
            self.sent = self.sent.saturating_add(count as u64);
        }
        self.is_unflushed |= !matches!(self.transport.poll_flush(context), Poll::Ready(Ok(())));
        octets.is_empty() && !self.is_unflushed
    }

    /// True if something was written that is not flushed.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.is_unflushed
    }

    /// True if octets go out as they are made: another thread may send them.
    pub(super) const fn may_be_lent(&self) -> bool {
        self.deflate.is_none() && !self.is_unflushed
    }

    /// Compresses from now on; `waiting` came in already.
    pub(super) fn start_compression(&mut self, waiting: &[u8], spares: &Arc<Spares>) {
        let mut deflate = Box::new(Deflate::new(Arc::clone(spares)));
        deflate.receive(waiting);
        self.deflate = Some(deflate);
        self.was_compressed = true;
    }

    /// What is to be sent for these octets, the last that are compressed. What comes in is compressed until the client ends it too.
    ///
    /// # Errors
    /// if the compressor is broken
    pub(super) fn stop_compression(&mut self, octets: Output) -> io::Result<Output> {
        self.plain_out = self.plain_out.saturating_add(octets.len() as u64);
        match &mut self.deflate {
            Some(deflate) => Ok(deflate.finish(&octets.into_octets())?.into()),
            None => Ok(octets),
        }
    }

    /// True if there is a layer that can [rest](Self::rest).
    pub(super) const fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// Gives back the memory that compression needs only while something is going on.
    pub(super) fn rest(&mut self) {
        if let Some(deflate) = &mut self.deflate {
            deflate.rest();
        }
    }

    /// Octets received and sent, without TLS.
    pub(super) const fn octets(&self) -> [u64; 2] {
        [self.received, self.sent]
    }

    /// What these would have been without compression, if there was any.
    pub(super) fn plain_octets(&self) -> Option<[u64; 2]> {
        self.was_compressed
            .then_some([self.plain_in, self.plain_out])
    }

    /// Waits until the connection is broken; octets that came in, or an end after which the client still reads, do not count.
    pub(super) async fn broken(&self) {
        let Some(socket) = self.transport.socket() else {
            return;
        };
        if socket.broken().await.is_err() {
            tracing::debug!("socket_not_watched");
        }
    }

    /// Throws away what has come in unencrypted and was not yet read (RFC 9051 §6.2.1, RFC 2595 §4).
    pub(super) fn discard_input(&self) {
        if let Transport::Plain(socket) = &self.transport {
            socket.discard_input();
        }
    }

    /// Negotiates TLS as the server. A stream whose handshake fails is closed.
    pub(super) async fn start_tls(&mut self, tls: &Tls, service: Service) -> io::Result<TlsInfo> {
        let Transport::Plain(socket) = std::mem::replace(&mut self.transport, Transport::Closed)
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let accepted = Box::pin(tls.acceptor(service).accept(socket)).await?;
        let info = info(&accepted);
        self.transport = Transport::Tls(Box::new(accepted));
        Ok(info)
    }

    /// Says that nothing more will be sent, then reads until the client closes too, so that it gets the last words: a close with unread
    /// input would be a reset, at which clients throw away what they have not read yet.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.shutdown().await?;
        let mut drained = 0;
        while drained < DRAIN_OCTETS {
            let transport = &mut self.transport;
            let receive = |context: &mut Context<'_>| transport.poll_receive(context, |_| {});
            match std::future::poll_fn(receive).await? {
                0 => break,
                count => drained += count,
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.transport {
            Transport::Plain(socket) => socket.shutdown().await,
            Transport::Tls(tls) => tls.shutdown().await,
            Transport::Closed => Ok(()),
        }
    }
}

impl Transport {
    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Closed => None,
        }
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(tls) => Some(tls.get_mut().0),
            Self::Closed => None,
        }
    }

    /// Reads what has come in and hands it on; returns how many octets, 0 at the end.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_OCTETS];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(self.poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        octets: &Output,
    ) -> Poll<io::Result<usize>> {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let count = octets.fill(&mut pieces);
        let pieces = pieces.get(..count).unwrap_or_default();
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(context, pieces),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

/// What the session may know of the handshake.
fn info(stream: &TlsStream<Socket>) -> TlsInfo {
    let (_, connection) = stream.get_ref();
    TlsInfo {
        version: connection
            .protocol_version()
            .map_or_else(String::new, version_name),
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .to_owned(),
        server_name: connection.server_name().map(str::to_owned),
    }
}
