//! A connection whose session works on a volume: meanwhile the connection writes what was made before, or signs of life, or it lends its stream
//! to the thread that works.

use super::connection::{Connection, aborting, contained, order_where, report_panic};
use super::end::End;
use super::loan::{Loan, Pace};
use super::work::{self, Machine, Worked};
use crate::protocol::{Output, Step, Work};
use crate::storage::Volumes;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::timeout;

/// Work under way, as the connection sees it.
struct Underway {
    /// What is being worked at.
    work: Work,
    /// What the session made before; it is kept back until the work is done, or until there is something to say meanwhile.
    held: Output,
    /// The stream, if it is lent.
    loan: Option<Arc<Loan>>,
}

impl Connection {
    /// Has work done on its volume, and what follows it there, and meanwhile writes the piece made before. Returns the next step.
    pub(super) async fn work(
        &mut self,
        mut machine: Machine,
        mut work: Work,
        mut piece: Output,
    ) -> Result<(Machine, Step), End> {
        loop {
            let next;
            (machine, next) = self.work_once(machine, work, piece).await?;
            match next {
                // its turn was over, or the client did not take everything at once
                Some(Step::Work(next)) => {
                    self.obey_cutting()?;
                    work = next;
                    piece = std::mem::take(&mut machine.output);
                }
                Some(next) => return Ok((machine, next)),
                None => {
                    let next = self.step(&mut machine)?;
                    return Ok((machine, next));
                }
            }
        }
    }

    /// Has a thread work for one turn. If nothing is to be written meanwhile, it sends itself what it makes, and the next step may be known then.
    async fn work_once(
        &mut self,
        mut machine: Machine,
        work: Work,
        piece: Output,
    ) -> Result<(Machine, Option<Step>), End> {
        let held = std::mem::take(&mut machine.output);
        let may_lend = held.is_empty() && piece.is_empty() && self.stream.may_be_lent();
        let loan = may_lend.then(|| {
            Arc::new(Loan::new(
                self.stream.lend(),
                work.clone(),
                self.quickness.pace(),
            ))
        });
        let mut underway = Underway { work, held, loan };
        let worked = self.finish(machine, piece, &mut underway).await;
        self.take_back(&mut underway);
        let Underway { work, held, .. } = underway;
        match worked? {
            Worked::Done(mut machine, next) => {
                machine.precede(held);
                Ok((machine, next))
            }
            Worked::Refused(mut machine, refused) => {
                tracing::debug!(%refused, "work_refused");
                machine.precede(held);
                let Machine { protocol, output } = &mut machine;
                contained(&self.seat.handle, || protocol.work_refused(output))?;
                Ok((machine, None))
            }
            Worked::Hung => Err(self.give_up(work, held).await),
            Worked::Panicked => {
                report_panic(&self.seat.handle);
                Err(End::Panicked)
            }
        }
    }

    /// Queues work and waits for its end.
    async fn finish(
        &mut self,
        machine: Machine,
        piece: Output,
        underway: &mut Underway,
    ) -> Result<Worked, End> {
        let shared = Arc::clone(&self.shared);
        let volumes: &Volumes = &shared.services.volumes;
        let handle = Arc::clone(&self.seat.handle);
        let work = underway.work.clone();
        match work::begin(volumes, machine, work, underway.loan.clone(), &handle) {
            Err((machine, refused)) => {
                self.take_back(underway);
                self.write(piece).await?;
                Ok(Worked::Refused(machine, refused))
            }
            Ok(ticket) => {
                let finish = async {
                    tokio::select! {
                        worked = ticket.finish(volumes) => Ok(worked),
                        reason = order_where(&handle, aborting) => Err(End::Interrupted(reason)),
                    }
                };
                self.write_while(finish, piece, underway).await
            }
        }
    }

    /// Leaves the session on a thread that hangs, with the words that were made for that.
    async fn give_up(&mut self, work: Work, mut held: Output) -> End {
        let deadline = self.shared.services.volumes.deadline();
        tracing::error!(
            path = ?work.place,
            user = %work.account,
            deadline_secs = deadline.as_secs(),
            advice = "the user is answered UNAVAILABLE until the system call returns; look at the disk or file server",
            "disk_job_hung"
        );
        held.extend_from_slice(&work.if_stuck);
        self.last_words(held).await;
        End::VolumeHung
    }

    /// Has the stream again if it was lent, and knows what is being worked at now.
    fn take_back(&mut self, underway: &mut Underway) {
        let Some(returned) = underway.loan.as_deref().map(Loan::take_back) else {
            return;
        };
        underway.work = returned.work;
        if let Some(stream) = returned.stream {
            self.stream = stream;
        }
        if returned.is_taking {
            self.seat.handle.heard();
        }
        if returned.pace == Pace::Heard {
            self.heard();
        }
        self.quickness.returned(returned.pace);
    }

    /// Waits for work to end and writes a piece meanwhile, then signs of life, before the first of them what was held back.
    async fn write_while<Done>(
        &mut self,
        finish: impl Future<Output = Result<Done, End>>,
        piece: Output,
        underway: &mut Underway,
    ) -> Result<Done, End> {
        let mut finish = pin!(finish);
        let interval = self.shared.timeouts.progress;
        let mut words = piece;
        loop {
            // what is being written is always written whole
            let soon = timeout(interval, &mut finish);
            let (written, done) = tokio::join!(self.write(words), soon);
            written?;
            if let Ok(done) = done {
                return done;
            }
            words = Output::default();
            self.take_back(underway);
            if !underway.work.while_working.is_empty() {
                words = std::mem::take(&mut underway.held);
                words.extend_from_slice(&underway.work.while_working);
            }
        }
    }
}
