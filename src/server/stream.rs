//! A connection's octets, plain or through TLS.

use super::tls::{Tls, version_name};
use crate::protocol::TlsInfo;
use crate::server::Service;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Octets read at once. They lie on the stack of the thread that reads, so an idle connection holds no buffer.
const READ_OCTETS: usize = 32 * 1024;

/// Octets that are thrown away at most while waiting for a client to close.
const DRAIN_OCTETS: usize = 1024 * 1024;

/// A connection's stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// Unencrypted.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
    /// A handshake failed or is in progress.
    Closed,
}

impl Stream {
    /// Reads what has come in and hands it on; returns how many octets, 0 at the end.
    ///
    /// Can be cancelled without losing octets.
    pub(super) async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        std::future::poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; READ_OCTETS];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(self.poll_read(context, &mut buffer))?;
            take(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
        .await
    }

    /// Writes some of the octets and returns how many, or flushes if there are none.
    ///
    /// Can be cancelled without losing or repeating octets.
    pub(super) async fn send(&mut self, octets: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|context| {
            if octets.is_empty() {
                return self.poll_flush(context).map_ok(|()| 0);
            }
            match ready!(self.poll_write(context, octets))? {
                0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => Poll::Ready(Ok(count)),
            }
        })
        .await
    }

    /// Waits until the connection is broken; octets that came in, or an end after which the client still reads, do not count.
    pub(super) async fn broken(&self) {
        let Some(tcp) = self.tcp() else { return };
        if tcp.ready(Interest::ERROR).await.is_err() {
            tracing::debug!("socket_not_watched");
        }
    }

    /// Throws away what has come in unencrypted and was not yet read (RFC 9051 §6.2.1, RFC 2595 §4).
    pub(super) fn discard_input(&self) {
        if let Self::Plain(tcp) = self {
            let mut space = [0; 4096];
            while tcp.try_read(&mut space).is_ok_and(|count| count > 0) {}
        }
    }

    /// Negotiates TLS as the server. A stream whose handshake fails is closed.
    pub(super) async fn start_tls(&mut self, tls: &Tls, service: Service) -> io::Result<TlsInfo> {
        let Self::Plain(tcp) = std::mem::replace(self, Self::Closed) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let accepted = Box::pin(tls.acceptor(service).accept(tcp)).await?;
        let info = info(&accepted);
        *self = Self::Tls(Box::new(accepted));
        Ok(info)
    }

    /// Says that nothing more will be sent, then reads until the client closes too, so that it gets the last words: a close with unread
    /// input would be a reset, at which clients throw away what they have not read yet.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.shutdown().await?;
        let mut drained = 0;
        while drained < DRAIN_OCTETS {
            match self.read(|_| {}).await? {
                0 => break,
                count => drained += count,
            }
        }
        Ok(())
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Closed => None,
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, octets),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, octets),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more will be sent.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.shutdown().await,
            Self::Tls(tls) => tls.shutdown().await,
            Self::Closed => Ok(()),
        }
    }
}

/// What the session may know of the handshake.
fn info(stream: &TlsStream<TcpStream>) -> TlsInfo {
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
