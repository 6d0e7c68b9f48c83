//! A connection's stream, lent to the thread of the volume that does its work: what that thread has made it sends itself, as far as the
//! client takes it at once. So an answer waits for no other thread.
//!
//! The stream is only ever in one of two places, and held for one write that cannot block, or for the moment in which the next command of a quick
//! client is waited for; the connection takes it back whenever it needs it.

use super::stream::Stream;
use crate::protocol::{Output, Step, Work};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread waits for the next command of a client that is quick: longer than such a client thinks, shorter than anybody notices.
const LINGER: Duration = Duration::from_micros(500);

/// A stream that is lent.
#[derive(Debug)]
pub(super) struct Loan(Mutex<Lent>);

/// What is lent.
#[derive(Debug)]
struct Lent {
    /// None once it was taken back.
    stream: Option<Stream>,
    /// What is being worked at, and so what is to be said of it.
    work: Work,
    /// How often all of the output was sent.
    sends: u32,
    /// Whether the client is quick to give the next command.
    pace: Pace,
}

/// Whether the next command of a client is waited for, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is not.
    Slow,
    /// It is, as the client was quick with some before.
    Quick,
    /// It was, and came.
    Heard,
    /// It was, in vain.
    Missed,
}

/// How many commands of a client came soon, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quickness(u8);

impl Quickness {
    /// How many it must be, so that a client which only logs in and then waits is not waited for.
    const ENOUGH: u8 = 3;

    /// A command came so long after the answer before.
    pub(super) fn heard_after(&mut self, silence: Duration) {
        self.0 = if silence < LINGER {
            self.0.saturating_add(1)
        } else {
            0
        };
    }

    /// Something was read, or not, while the stream was lent.
    pub(super) const fn returned(&mut self, pace: Pace) {
        match pace {
            Pace::Missed => self.0 = 0,
            Pace::Heard => self.0 = self.0.saturating_add(1),
            Pace::Slow | Pace::Quick => {}
        }
    }

    /// Whether the next one is waited for.
    pub(super) const fn pace(self) -> Pace {
        if self.0 < Self::ENOUGH {
            Pace::Slow
        } else {
            Pace::Quick
        }
    }
}

/// What comes back.
#[derive(Debug)]
pub(super) struct Returned {
    /// The stream; none if it is back already.
    pub(super) stream: Option<Stream>,
    /// What is being worked at, or was last.
    pub(super) work: Work,
    /// The client took one piece after the other.
    pub(super) is_taking: bool,
    /// How the client was.
    pub(super) pace: Pace,
}

impl Loan {
    /// Lends a stream for some work of a client whose pace is known.
    pub(super) const fn new(stream: Stream, work: Work, pace: Pace) -> Self {
        Self(Mutex::new(Lent {
            stream: Some(stream),
            work,
            sends: 0,
            pace,
        }))
    }

    /// Takes the stream back, on a thread of the runtime, which watches it again.
    pub(super) fn take_back(&self) -> Returned {
        let mut lent = self.lock();
        let mut stream = lent.stream.take();
        if let Some(stream) = &mut stream {
            stream.watch();
        }
        Returned {
            stream,
            work: lent.work.clone(),
            is_taking: lent.sends > 1,
            pace: lent.pace,
        }
    }

    /// Waits a moment for a quick client, and reads what it sends. True if it sent something.
    pub(super) fn read_soon(&self, take: impl FnMut(&[u8])) -> bool {
        let mut lent = self.lock();
        let Lent { stream, pace, .. } = &mut *lent;
        let is_waited_for = matches!(pace, Pace::Quick | Pace::Heard);
        let Some(stream) = stream.as_mut().filter(|_| is_waited_for) else {
            return false;
        };
        let is_heard = stream.read_within(LINGER, take);
        *pace = if is_heard { Pace::Heard } else { Pace::Missed };
        is_heard
    }

    /// Sends what the client takes at once, and takes that out of the output. True if that was all and the thread may go on with the `next` step.
    pub(super) fn send(&self, output: &mut Output, next: &Step) -> bool {
        let mut lent = self.lock();
        let Lent {
            stream,
            work,
            sends,
            ..
        } = &mut *lent;
        let Some(stream) = stream else {
            return false;
        };
        let is_all = stream.send_at_once(output);
        *sends = sends.saturating_add(u32::from(is_all));
        if !is_all {
            // whatever was said now would come to stand within what was sent in part
            work.while_working.clear();
            work.if_stuck.clear();
            return false;
        }
        match next {
            // what was sent may end within an answer
            Step::Write => {
                work.while_working.clear();
                work.if_stuck.clear();
                true
            }
            Step::Work(next) if next.place == work.place && next.account == work.account => {
                *work = next.clone();
                true
            }
            // between two commands there is nothing to be said
            Step::Wait(_) => {
                work.while_working.clear();
                work.if_stuck.clear();
                true
            }
            Step::Work(_)
            | Step::StartTls
            | Step::StartCompression
            | Step::StopCompression
            | Step::Close => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Patience, Wait};
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    fn work(place: &str) -> Work {
        Work {
            place: Path::new(place).into(),
            account: "anna".into(),
            if_stuck: place.as_bytes().to_vec(),
            while_working: b"still at it".to_vec(),
        }
    }

    /// A stream that is lent, and its client.
    async fn lent() -> (Loan, TcpStream) {
        lent_by(Pace::Slow).await
    }

    async fn lent_by(pace: Pace) -> (Loan, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let stream = Stream::new(accepted.unwrap().0);
        (Loan::new(stream, work("one"), pace), client.unwrap())
    }

    #[tokio::test]
    async fn what_the_client_takes_is_sent_and_work_goes_on_in_its_place() {
        let (loan, mut client) = lent().await;
        let mut output = Output::from(b"abc".to_vec());
        assert!(loan.send(&mut output, &Step::Write));
        assert!(output.is_empty());
        // more is to come of what may be an answer in parts
        assert!(loan.lock().work.if_stuck.is_empty());
        assert!(loan.send(&mut b"d".to_vec().into(), &Step::Work(work("one"))));
        assert!(!loan.send(&mut b"e".to_vec().into(), &Step::Work(work("two"))));
        assert!(!loan.send(&mut b"f".to_vec().into(), &Step::Close));
        let mut heard = [0; 6];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"abcdef");
    }

    #[tokio::test]
    async fn what_the_client_does_not_take_stays() {
        let (loan, mut client) = lent().await;
        let expected: Vec<u8> = (0..=250).cycle().take(40_000_000).collect();
        let mut output = Output::default();
        for run in expected.chunks(300_000) {
            output.extend_from_slice(&run[..7]);
            output.push(run[7..].to_vec());
        }
        assert!(!loan.send(&mut output, &Step::Work(work("one"))));
        let sent = expected.len() - output.len();
        assert!(0 < sent && sent < expected.len());
        assert_eq!(output.into_octets(), expected[sent..]);
        let mut heard = vec![0; sent];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, expected[..sent]);
        // nothing may be said before the rest
        let Work {
            if_stuck,
            while_working,
            ..
        } = loan.take_back().work;
        assert_eq!((if_stuck, while_working), (Vec::new(), Vec::new()));
    }

    #[tokio::test]
    async fn nothing_is_sent_once_the_stream_was_taken_back() {
        let (loan, client) = lent().await;
        let next = Work {
            if_stuck: b"of the next".to_vec(),
            ..work("one")
        };
        assert!(loan.send(&mut Output::default(), &Step::Work(next)));
        let returned = loan.take_back();
        assert!(returned.stream.is_some());
        assert_eq!(returned.work.if_stuck, b"of the next");
        let mut output = Output::from(b"abc".to_vec());
        assert!(!loan.send(&mut output, &Step::Write));
        assert_eq!(output.into_octets(), b"abc");
        assert!(loan.take_back().stream.is_none());
        drop(client);
    }

    /// What is read of a client's next command at once.
    fn read_soon(loan: &Loan) -> Option<Vec<u8>> {
        let mut read = Vec::new();
        loan.read_soon(|octets| read.extend_from_slice(octets))
            .then_some(read)
    }

    #[tokio::test]
    async fn the_next_command_of_a_quick_client_is_read_by_the_same_thread() {
        let (loan, mut client) = lent_by(Pace::Quick).await;
        for command in ["a", "b"] {
            client.write_all(command.as_bytes()).await.unwrap();
            assert_eq!(read_soon(&loan), Some(command.into()));
            let wait = Wait::for_input(Patience::Idle);
            let mut answer = Output::from(command.as_bytes().to_vec());
            assert!(loan.send(&mut answer, &Step::Wait(wait)));
        }
        let returned = loan.take_back();
        assert_eq!(returned.pace, Pace::Heard);
        // and the runtime watches it again
        let mut stream = returned.stream.unwrap();
        client.write_all(b"c").await.unwrap();
        let mut read = Vec::new();
        let count = stream.read(|octets| read.extend_from_slice(octets)).await;
        assert_eq!((count.unwrap(), &read[..]), (1, &b"c"[..]));
        let mut heard = [0; 2];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ab");
    }

    #[tokio::test]
    async fn a_client_that_is_not_quick_is_not_waited_for_twice() {
        let (loan, mut client) = lent_by(Pace::Quick).await;
        assert_eq!(read_soon(&loan), None);
        client.write_all(b"late").await.unwrap();
        assert_eq!(read_soon(&loan), None);
        let returned = loan.take_back();
        assert_eq!(returned.pace, Pace::Missed);
        let mut stream = returned.stream.unwrap();
        assert_eq!(stream.read(|_| {}).await.unwrap(), 4);
    }

    #[test]
    fn a_client_is_quick_when_some_commands_came_soon() {
        let mut quickness = Quickness::default();
        for expected in [Pace::Slow, Pace::Slow, Pace::Quick, Pace::Quick] {
            quickness.heard_after(Duration::ZERO);
            assert_eq!(quickness.pace(), expected);
        }
        quickness.returned(Pace::Heard);
        quickness.returned(Pace::Quick);
        assert_eq!(quickness.pace(), Pace::Quick);
        for slow in [
            |quickness: &mut Quickness| quickness.heard_after(LINGER),
            |quickness: &mut Quickness| quickness.returned(Pace::Missed),
        ] {
            let mut quickness = quickness;
            slow(&mut quickness);
            quickness.heard_after(Duration::ZERO);
            assert_eq!(quickness.pace(), Pace::Slow);
        }
    }

    #[tokio::test]
    async fn an_end_is_told_by_the_next_read() {
        let (loan, client) = lent_by(Pace::Quick).await;
        drop(client);
        assert_eq!(read_soon(&loan), None);
        let mut stream = loan.take_back().stream.unwrap();
        assert_eq!(stream.read(|_| {}).await.unwrap(), 0);
    }
}
