//! A connection's socket: watched by the runtime, or by one thread that waits for it alone.
//!
//! Who watches decides who is woken when octets come in: a thread that goes on with a session would else share each wake-up with the runtime.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Octets read at once from an unwatched socket, into space that is cleared before: enough for commands and small messages.
const READ_OCTETS: usize = 16 * 1024;

/// How long a thread looks again and again before it goes to sleep until octets come: to be woken takes a processor that sleeps longer than a client on
/// this machine takes to answer.
const WATCH: Duration = Duration::from_micros(50);

/// A connected socket, never blocking.
#[derive(Debug)]
pub(super) enum Socket {
    /// The runtime watches it, and wakes tasks.
    Watched(TcpStream),
    /// Nobody watches it: what cannot be done at once is not done later either.
    Unwatched(std::net::TcpStream),
    /// It could not be handed over.
    Lost,
}

impl Socket {
    /// Takes it from the runtime.
    pub(super) fn unwatch(&mut self) {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Watched(stream) => stream.into_std().map_or(Self::Lost, Self::Unwatched),
            other => other,
        };
    }

    /// Gives it back to the runtime, from one of its threads.
    pub(super) fn watch(&mut self) {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Unwatched(stream) => {
                TcpStream::from_std(stream).map_or(Self::Lost, Self::Watched)
            }
            other => other,
        };
    }

    /// Waits for octets, or an end, on this thread. True if there are some or it has come.
    pub(super) fn wait_readable(&self, most: Duration) -> bool {
        let Self::Unwatched(stream) = self else {
            return false;
        };
        if let Some(_watch) = Watch::begin() {
            let began = super::now();
            while super::now().saturating_duration_since(began) < WATCH {
                if is_readable(stream, Duration::ZERO) {
                    return true;
                }
                std::thread::yield_now();
            }
        }
        is_readable(stream, most)
    }

    /// Waits until the connection is broken.
    pub(super) async fn broken(&self) -> io::Result<()> {
        match self {
            Self::Watched(stream) => stream.ready(Interest::ERROR).await.map(drop),
            Self::Unwatched(_) | Self::Lost => Ok(()),
        }
    }

    /// Throws away what has come in, also what the runtime has not heard of yet.
    pub(super) fn discard_input(&self) {
        let mut space = [0; 4096];
        let mut read = || match self {
            Self::Watched(stream) => rustix::io::read(stream, &mut space),
            Self::Unwatched(stream) => rustix::io::read(stream, &mut space),
            Self::Lost => Ok(0),
        };
        while read().is_ok_and(|count| count > 0) {}
    }
}

/// Whether there are octets, or an end, within a while.
fn is_readable(stream: &std::net::TcpStream, most: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let most = Timespec::try_from(most).ok();
    let mut descriptors = [PollFd::new(stream, PollFlags::IN)];
    poll(&mut descriptors, most.as_ref()).is_ok_and(|ready| ready > 0)
}

/// The right to look again and again without going to sleep, which one thread of the process has at a time.
struct Watch;

/// True while a thread has it.
static WATCHING: AtomicBool = AtomicBool::new(false);

impl Watch {
    /// Takes it, if nobody has it.
    fn begin() -> Option<Self> {
        (!WATCHING.swap(true, Ordering::Acquire)).then_some(Self)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHING.store(false, Ordering::Release);
    }
}

/// What comes of a call that does not block and that nobody will repeat.
fn at_once<T>(outcome: io::Result<T>) -> Poll<io::Result<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        outcome => Poll::Ready(outcome),
    }
}

/// What a lost socket says.
fn lost<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Watched(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unwatched(stream) => {
                let room = buffer.remaining().min(READ_OCTETS);
                let read = stream.read(buffer.initialize_unfilled_to(room));
                at_once(read.map(|count| buffer.advance(count)))
            }
            Self::Lost => lost(),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Watched(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Unwatched(stream) => at_once(stream.write(octets)),
            Self::Lost => lost(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Watched(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Unwatched(stream) => at_once(stream.write_vectored(pieces)),
            Self::Lost => lost(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Watched(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unwatched(stream) => Poll::Ready(stream.shutdown(std::net::Shutdown::Write)),
            Self::Lost => lost(),
        }
    }
}
