//! Jobs that block until a channel says otherwise; a deadline of zero makes every running job a hung one.

use super::{Refused, Settings, Turn, Volumes};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);
/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(20);

fn volumes(threads: usize, queue: usize, deadline: Duration) -> Volumes {
    Volumes::new(Settings {
        threads,
        queue,
        deadline,
        places: vec!["/v/one".into(), "/v/two".into()],
    })
}

/// A job that tells that it runs, and ends when its sender is dropped.
struct Blocking {
    started: Receiver<()>,
    release: Sender<()>,
}

impl Blocking {
    fn submit(volumes: &Volumes, place: &str, account: &str) -> Result<Self, Refused> {
        let (tell, started) = channel();
        let (release, wait) = channel::<()>();
        volumes.run(
            Path::new(place),
            account,
            Box::new(move |_| {
                tell.send(()).unwrap();
                assert!(wait.recv().is_err(), "nothing is sent");
                drop(tell);
            }),
        )?;
        Ok(Self { started, release })
    }

    fn running(volumes: &Volumes, place: &str, account: &str) -> Self {
        let job = Self::submit(volumes, place, account).unwrap();
        job.started.recv_timeout(SOON).unwrap();
        job
    }

    /// Lets the job end, and waits until it has.
    fn finish(self) {
        drop(self.release);
        assert_eq!(
            self.started.recv_timeout(SOON),
            Err(RecvTimeoutError::Disconnected)
        );
    }
}

/// Runs a quick job to its end.
fn quick(volumes: &Volumes, place: &str, account: &str) -> Result<(), Refused> {
    let (tell, told) = channel();
    volumes.run(
        Path::new(place),
        account,
        Box::new(move |_| tell.send(()).unwrap()),
    )?;
    told.recv_timeout(SOON).unwrap();
    Ok(())
}

/// Asks until the answer is no longer a refusal; a job that came back is booked a moment after its last statement.
fn until_taken(volumes: &Volumes, place: &str, account: &str) {
    while volumes.check(Path::new(place), account).is_err() {
        std::thread::yield_now();
    }
    quick(volumes, place, account).unwrap();
}

#[test]
fn a_hung_volume_refuses_and_the_others_go_on() {
    let volumes = volumes(2, 10, Duration::ZERO);
    let first = Blocking::running(&volumes, "/v/one/a", "a");
    let second = Blocking::running(&volumes, "/v/one/b", "b");
    assert_eq!(quick(&volumes, "/v/one/c", "c"), Err(Refused::VolumeHung));
    assert_eq!(
        volumes.check(Path::new("/v/one/c"), "c"),
        Err(Refused::VolumeHung)
    );
    assert_eq!(quick(&volumes, "/v/two/c", "c"), Ok(()));
    first.finish();
    until_taken(&volumes, "/v/one/c", "c");
    second.finish();
    until_taken(&volumes, "/v/one/b", "b");
}

#[test]
fn a_hung_account_gets_no_further_thread() {
    let volumes = volumes(4, 10, Duration::ZERO);
    let hung = Blocking::running(&volumes, "/v/one/a", "a");
    assert_eq!(quick(&volumes, "/v/one/a", "a"), Err(Refused::AccountHung));
    assert_eq!(quick(&volumes, "/v/one/b", "b"), Ok(()));
    hung.finish();
    until_taken(&volumes, "/v/one/a", "a");
}

#[test]
fn an_account_has_at_most_half_of_the_threads() {
    let volumes = volumes(4, 10, LONG);
    let first = Blocking::running(&volumes, "/v/one/a", "a");
    let second = Blocking::running(&volumes, "/v/one/a", "a");
    let third = Blocking::submit(&volumes, "/v/one/a", "a").unwrap();
    // The third waits in front of this one, which passes it by.
    assert_eq!(quick(&volumes, "/v/one/b", "b"), Ok(()));
    assert!(third.started.try_recv().is_err());
    first.finish();
    third.started.recv_timeout(SOON).unwrap();
    second.finish();
    third.finish();
}

#[test]
fn a_busy_queue_waits_and_is_bounded() {
    let volumes = volumes(1, 2, LONG);
    let running = Blocking::running(&volumes, "/v/one/a", "a");
    let second = Blocking::submit(&volumes, "/v/one/b", "b").unwrap();
    let third = Blocking::submit(&volumes, "/v/one/c", "c").unwrap();
    assert_eq!(
        Blocking::submit(&volumes, "/v/one/d", "d").err(),
        Some(Refused::QueueFull)
    );
    running.finish();
    second.started.recv_timeout(SOON).unwrap();
    second.finish();
    third.started.recv_timeout(SOON).unwrap();
    third.finish();
}

#[test]
fn many_jobs_use_many_threads() {
    let volumes = volumes(8, 100, LONG);
    let jobs: Vec<Blocking> = (0..8)
        .map(|n| Blocking::submit(&volumes, "/v/one", &format!("user{n}")).unwrap())
        .collect();
    for job in &jobs {
        job.started.recv_timeout(SOON).unwrap();
    }
    jobs.into_iter().for_each(Blocking::finish);
}

#[test]
fn a_panic_ends_only_its_job() {
    let volumes = volumes(1, 10, LONG);
    let place = Path::new("/v/one");
    volumes
        .run(place, "a", Box::new(|_| panic!("as the test wants")))
        .unwrap();
    assert_eq!(quick(&volumes, "/v/one", "a"), Ok(()));
}

#[test]
fn dropping_the_volumes_drops_what_waits() {
    let volumes = volumes(1, 10, LONG);
    let running = Blocking::running(&volumes, "/v/one", "a");
    let waiting = Blocking::submit(&volumes, "/v/one", "b").unwrap();
    drop(volumes);
    assert_eq!(
        waiting.started.recv_timeout(SOON),
        Err(RecvTimeoutError::Disconnected)
    );
    running.finish();
}

#[test]
fn a_job_knows_whether_its_thread_is_wanted() {
    let volumes = volumes(2, 10, LONG);
    let (tell, told) = channel();
    let (ask, asked) = channel::<()>();
    let job = move |turn: &Turn| {
        while asked.recv().is_ok() {
            tell.send((turn.is_wanted(), turn.may_linger())).unwrap();
        }
    };
    volumes
        .run(Path::new("/v/one"), "a", Box::new(job))
        .unwrap();
    let look = || {
        ask.send(()).unwrap();
        told.recv_timeout(SOON).unwrap()
    };
    assert_eq!(look(), (false, true));
    // the other thread works, so that the next job would have to wait
    let second = Blocking::running(&volumes, "/v/one", "b");
    assert_eq!(look(), (false, false));
    let third = Blocking::submit(&volumes, "/v/one", "c").unwrap();
    assert_eq!(look(), (true, false));
    second.finish();
    third.started.recv_timeout(SOON).unwrap();
    third.finish();
}
