//! What transcripts cannot show: steps, pieces, memory.

use super::{Services, Session};
use crate::auth::{Accepted, Attempt, Authenticator, Outcome};
use crate::imap::settings::Settings;
use crate::mailbox::backend::{Backend, FlagChange, Mailbox};
use crate::mailbox::flag::{FlagAction, Flags, NamedFlags, SystemFlag};
use crate::mailbox::id::Uid;
use crate::mailbox::memory::{Mail, Memory, START};
use crate::mailbox::name::MailboxName;
use crate::mailbox::uid_set::UidSet;
use crate::protocol::{
    HIGH_WATER_OCTETS, Host, Interrupt, Output, Patience, Peer, Protocol, Step, Tally, TlsInfo,
    Waker,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[derive(Debug, Default)]
struct TestHost {
    wakes: Arc<AtomicUsize>,
    tally: Tally,
}

impl Host for TestHost {
    fn waker(&self) -> Waker {
        let wakes = Arc::clone(&self.wakes);
        Arc::new(move || {
            wakes.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn admit(&self, _account: &str) -> Result<(), String> {
        Ok(())
    }

    fn withdraw(&self) {}

    fn unix_time(&self) -> i64 {
        START
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Lets everybody in.
#[derive(Debug)]
struct OpenDoor;

impl Authenticator for OpenDoor {
    fn begin(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>) {
        done(Ok(Accepted {
            user: attempt.credentials.authcid.as_str().into(),
            ..Accepted::default()
        }));
    }
}

/// A session with what it sends, and how it went.
struct Client {
    session: Session,
    host: Arc<TestHost>,
    now: Instant,
    output: Vec<u8>,
    /// Octets that were to be written at once.
    pieces: Vec<usize>,
    works: usize,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "only differences to it are used")]
    fn new(memory: &Memory) -> Self {
        let host = Arc::new(TestHost::default());
        let services = Services {
            backend: Arc::new(memory.clone()),
            authenticator: Arc::new(OpenDoor),
            host: host.clone(),
        };
        let peer = Peer {
            id: 1,
            remote: "192.0.2.7:40000".parse().unwrap(),
            local: "192.0.2.1:993".parse().unwrap(),
            tls: Some(TlsInfo::default()),
            may_start_tls: false,
        };
        Self {
            session: Session::new(Arc::new(Settings::default()), services, peer),
            host,
            now: Instant::now(),
            output: Vec::new(),
            pieces: Vec::new(),
            works: 0,
        }
    }

    /// Logged in, with INBOX selected.
    fn selected(memory: &Memory) -> Self {
        let mut client = Self::new(memory);
        client.say(b"a LOGIN anna secret\r\nb SELECT INBOX\r\n");
        assert!(String::from_utf8_lossy(&client.output).contains("b OK [READ-WRITE]"));
        client
    }

    /// Sends, and returns what it waits for, or nothing if it closes.
    fn say(&mut self, octets: &[u8]) -> Option<crate::protocol::Wait> {
        self.session.feed(octets);
        self.output.clear();
        self.pieces.clear();
        self.works = 0;
        loop {
            let mut piece = Output::default();
            let step = loop {
                match self.session.step(self.now, &mut piece) {
                    Step::Work(_) => {
                        self.works += 1;
                        self.session.work(&mut piece);
                    }
                    other => break other,
                }
            };
            self.pieces.push(piece.len());
            self.output.extend(piece.into_octets());
            match step {
                Step::Write => {}
                Step::Wait(wait) => return Some(wait),
                Step::Close => return None,
                Step::Work(_) | Step::StartTls | Step::StartCompression | Step::StopCompression => {
                    panic!("{step:?}")
                }
            }
        }
    }
}

fn inbox_with(memory: &Memory, messages: usize) -> Arc<dyn Mailbox> {
    let inbox = memory.inbox("anna");
    for _ in 0..messages {
        inbox.add(Mail::new("x\n"));
    }
    inbox
}

fn mark(inbox: &Arc<dyn Mailbox>, flag: SystemFlag) {
    let all = inbox.read().uids().iter().copied().collect();
    let change = FlagChange {
        action: FlagAction::Add,
        flags: NamedFlags {
            system: Flags::NONE.with(flag),
            keywords: Vec::new(),
        },
        unchanged_since: None,
    };
    inbox.store(&all, &change).unwrap();
}

#[test]
fn many_news_come_in_pieces() {
    let memory = Memory::new();
    let inbox = inbox_with(&memory, 20_000);
    let mut client = Client::selected(&memory);
    mark(&inbox, SystemFlag::Seen);
    client.say(b"c NOOP\r\n");
    let count = |client: &Client, text: &str| {
        String::from_utf8_lossy(&client.output)
            .matches(text)
            .count()
    };
    assert_eq!(count(&client, "FETCH (FLAGS (\\Seen"), 20_000);
    assert!(client.pieces.len() > 2);
    assert!(
        client
            .pieces
            .iter()
            .all(|len| *len < HIGH_WATER_OCTETS + 200)
    );
    assert!(client.output.ends_with(b"c OK NOOP completed\r\n"));

    let all = inbox.read().uids().iter().copied().collect();
    inbox.expunge(&all).unwrap();
    client.say(b"d NOOP\r\ne NOOP\r\n");
    assert_eq!(count(&client, " EXPUNGE\r\n"), 20_000);
    assert!(
        client
            .output
            .starts_with(b"* 20000 EXPUNGE\r\n* 19999 EXPUNGE\r\n")
    );
    assert!(
        client
            .pieces
            .iter()
            .all(|len| *len < HIGH_WATER_OCTETS + 200)
    );
    assert!(client.output.ends_with(b"e OK NOOP completed\r\n"));
}

#[test]
fn a_forgotten_past_is_told_in_pieces() {
    let memory = Memory::new();
    let inbox = inbox_with(&memory, 40_000);
    let odd = |uid: &&Uid| uid.value() % 2 == 1;
    let gone: UidSet = inbox.read().uids().iter().filter(odd).copied().collect();
    inbox.expunge(&gone).unwrap();
    let validity = inbox.read().uid_validity();
    let mut client = Client::selected(&memory);
    client.say(b"c ENABLE QRESYNC\r\n");
    client.say(format!("d SELECT INBOX (QRESYNC ({validity} 0))\r\n").as_bytes());
    let told = String::from_utf8(std::mem::take(&mut client.output)).unwrap();
    let (vanished, fetched) = told.split_once("FETCH").unwrap();
    assert!(!fetched.contains("VANISHED"));
    let lines = vanished.lines().filter(|line| line.contains("VANISHED"));
    assert_eq!(lines.clone().count(), 2);
    let sets = lines.map(|line| {
        assert!(line.len() < 256 * 1024);
        line.strip_prefix("* VANISHED (EARLIER) ").unwrap()
    });
    let uids: Vec<u32> = sets
        .flat_map(|set| set.split(','))
        .map(|uid| uid.parse().unwrap())
        .collect();
    assert_eq!(uids, gone.iter().map(Uid::value).collect::<Vec<_>>());
    assert_eq!(told.matches(" FETCH (UID ").count(), 20_000);
    assert!(client.pieces.len() > 2);
    assert!(
        client
            .pieces
            .iter()
            .all(|len| *len < HIGH_WATER_OCTETS + 256 * 1024)
    );
    assert!(told.ends_with("d OK [READ-WRITE] SELECT completed\r\n"));
}

#[test]
fn a_small_message_is_one_piece_of_work_and_a_large_one_many() {
    let memory = Memory::new();
    let inbox = inbox_with(&memory, 0);
    let mut client = Client::selected(&memory);
    client.say(b"c APPEND INBOX {5+}\r\nabcde {3+}\r\nxyz\r\n");
    assert_eq!(client.works, 1);
    assert_eq!(inbox.read().len(), 2);

    let octets = vec![b'x'; 1_000_000];
    client.say(b"d APPEND INBOX {1000000}\r\n");
    // whether it can be stored is looked up before it is asked for
    assert_eq!((client.works, client.output.starts_with(b"+ ")), (1, true));
    let mut works = 0;
    for piece in octets.chunks(10_000) {
        client.say(piece);
        works += client.works;
        assert_eq!(client.output, b"");
    }
    assert!((10..=20).contains(&works), "{works}");
    client.say(b"\r\n");
    assert!(String::from_utf8_lossy(&client.output).contains("d OK [APPENDUID"));
    assert_eq!(inbox.read().len(), 3);

    // one that breaks off leaves nothing
    client.say(b"e APPEND INBOX {1000000+}\r\n");
    client.say(&octets[..500_000]);
    drop(client);
    assert_eq!(inbox.read().len(), 3);
}

#[test]
fn an_upload_that_fails_is_read_away() {
    let memory = Memory::new();
    let inbox = inbox_with(&memory, 0);
    let mut client = Client::selected(&memory);
    client.say(b"c APPEND nowhere {200000+}\r\n");
    let octets = vec![b'x'; 100_000];
    client.say(&octets);
    assert!(client.output.starts_with(b"c NO [TRYCREATE]"));
    client.say(&octets);
    client.say(b"\r\nd NOOP\r\n");
    assert_eq!(client.output, b"d OK NOOP completed\r\n");
    assert!(inbox.read().is_empty());
}

#[test]
fn it_waits_for_the_right_thing() {
    let memory = Memory::new();
    let mut client = Client::new(&memory);
    let patience = |wait: Option<crate::protocol::Wait>| wait.map(|wait| wait.patience);
    assert_eq!(patience(client.say(b"")), Some(Patience::Greeted));
    assert_eq!(patience(client.say(b"a LOG")), Some(Patience::Command));
    assert_eq!(patience(client.say(b"IN anna x\r\n")), Some(Patience::Idle));
    assert!(client.session.is_authenticated());
    assert_eq!(
        patience(client.say(b"b APPEND INBOX {3}\r\n")),
        Some(Patience::Command)
    );
    assert_eq!(patience(client.say(b"abc\r\n")), Some(Patience::Idle));
    let wait = client.say(b"c IDLE\r\n").unwrap();
    assert!(wait.input && wait.at.is_some() && wait.patience == Patience::Idle);
    client.say(b"DONE\r\n");
    assert_eq!(client.say(b"d LOGOUT\r\n"), None);
    assert_eq!(client.host.tally.user().as_deref(), Some("anna"));
    assert_eq!(client.host.tally.totals(), [4, 0, 0, 1]);
}

#[test]
fn idle_is_woken_by_others() {
    let memory = Memory::new();
    let inbox = inbox_with(&memory, 1);
    let mut client = Client::selected(&memory);
    client.say(b"c IDLE\r\n");
    let before = client.host.wakes.load(Ordering::Relaxed);
    mark(&inbox, SystemFlag::Flagged);
    assert!(client.host.wakes.load(Ordering::Relaxed) > before);
    client.say(b"");
    assert_eq!(client.output, b"* 1 FETCH (FLAGS (\\Flagged \\Recent))\r\n");
    // a change in memory needs no look at the disk
    assert_eq!(client.works, 0);
    client.say(b"DONE\r\n");
    let after = client.host.wakes.load(Ordering::Relaxed);
    mark(&inbox, SystemFlag::Seen);
    assert_eq!(client.host.wakes.load(Ordering::Relaxed), after);
}

#[test]
fn what_hangs_has_its_last_words_ready() {
    let memory = Memory::new();
    let mut client = Client::selected(&memory);
    client.session.feed(b"c STATUS INBOX (MESSAGES)\r\n");
    let mut output = Output::default();
    let Step::Work(work) = client.session.step(client.now, &mut output) else {
        panic!("STATUS is work");
    };
    assert_eq!(&*work.account, "anna");
    let words = String::from_utf8(work.if_stuck).unwrap();
    assert!(words.starts_with("c NO [UNAVAILABLE] "), "{words}");
    assert!(words.contains("\r\n* BYE [UNAVAILABLE] "), "{words}");
    client.session.work_refused(&mut output);
    client.say(b"");
    assert!(client.output.starts_with(b"c NO [UNAVAILABLE] "));
}

#[test]
fn parting_words_are_said_once() {
    let memory = Memory::new();
    let mut client = Client::selected(&memory);
    let mut output = Output::default();
    client.session.interrupt(Interrupt::Shutdown, &mut output);
    assert!(output.starts_with(b"* BYE [UNAVAILABLE] "));
    output.clear();
    client.session.interrupt(Interrupt::Timeout, &mut output);
    assert!(output.is_empty());
    assert!(matches!(
        client.session.step(client.now, &mut output),
        Step::Close
    ));
}

#[test]
fn an_idle_session_is_small() {
    // the state of the mailbox is shared, the view a few ranges: what is left is this, the buffers of the flow, and what is boxed
    assert!(size_of::<Session>() <= 1024, "{}", size_of::<Session>());
    assert!(size_of::<super::idle::Idle>() <= 256);
}

/// How many mailboxes a connection may watch.
const MANY: usize = super::watched::MAX_WATCHED;

#[test]
fn too_much_to_watch_is_refused_and_later_told() {
    let memory = Memory::new();
    let name = |number| MailboxName::parse(&format!("m{number:03}"), '/').unwrap();
    for number in 1..=MANY {
        memory.mailbox("anna", &name(number));
    }
    let mut client = Client::new(&memory);
    client.say(b"a LOGIN anna secret\r\n");
    let said = |client: &mut Client, octets: &[u8]| {
        assert!(client.say(octets).is_some());
        String::from_utf8_lossy(&client.output).into_owned()
    };
    let all = b"b NOTIFY SET (PERSONAL (MessageNew MessageExpunge))\r\n";
    assert!(said(&mut client, all).starts_with("b NO [NOTIFICATIONOVERFLOW] "));
    let fewer =
        b"c NOTIFY SET (SUBTREE INBOX (MessageNew MessageExpunge)) (PERSONAL (MailboxName))\r\n";
    assert!(said(&mut client, fewer).starts_with("c OK "));

    let account = memory.open_account(&memory.locate("anna", None)).unwrap();
    account.delete(&name(MANY)).unwrap();
    assert_eq!(
        said(&mut client, b""),
        "* LIST (\\NonExistent) \"/\" m256\r\n"
    );
    assert!(said(&mut client, all).starts_with("b OK "));
    memory.mailbox("anna", &name(1)).add(Mail::new("x\n"));
    assert_eq!(
        said(&mut client, b""),
        "* STATUS m001 (UIDNEXT 2 MESSAGES 1)\r\n"
    );
    account.create(&name(MANY), &[]).unwrap();
    assert!(said(&mut client, b"").starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    memory.mailbox("anna", &name(1)).add(Mail::new("x\n"));
    assert_eq!(said(&mut client, b""), "");
    assert!(said(&mut client, b"d SELECT INBOX\r\n").contains("d OK "));
    memory.inbox("anna").add(Mail::new("x\n"));
    assert!(said(&mut client, b"e NOOP\r\n").starts_with("e OK "));
}
