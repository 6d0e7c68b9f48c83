//! A protocol that does each thing a protocol can ask of the shell, one per line.
//!
//! ```text
//! echo TEXT       answers TEXT
//! login NAME      counts the connection against the account
//! leave           does no longer
//! work GATE       works on the volume /GATE's first part until the test opens the gate
//! wait            waits without reading until the test wakes it
//! big COUNT       sends COUNT pieces, each made by work
//! half GATE       sends half a line made by work, then, with nothing to say meanwhile, works until the test opens the gate
//! starttls, compress, quit, panic, panicwork
//! ```

use restante::protocol::{
    Host, Interrupt, Output, Patience, Peer, Protocol, Step, TlsInfo, Wait, Waker, Work,
};
use restante::server::{Open, Services};
use restante::storage::{Settings, Volumes};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Octets of one piece of `big`.
pub const PIECE: usize = 256 * 1024;

/// What the test shares with all parrots.
#[derive(Default)]
pub struct Hub {
    gates: Mutex<HashMap<String, Gatepost>>,
    wakers: Mutex<Vec<Waker>>,
    waiting: Mutex<Option<Sender<()>>>,
}

/// The side of a gate that the work sees: tells that it began, waits for the test.
type Gatepost = (Sender<()>, Receiver<()>);

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

/// Holds back work until it is dropped.
#[derive(Debug)]
pub struct Gate {
    started: Receiver<()>,
    _open: Sender<()>,
}

impl Gate {
    /// Waits until the work has begun.
    pub fn started(&self) {
        self.started.recv_timeout(super::SOON).unwrap();
    }
}

impl Hub {
    /// A gate for one `work`.
    pub fn gate(&self, name: &str) -> Gate {
        let (tell, started) = channel();
        let (open, wait) = channel();
        self.gates
            .lock()
            .unwrap()
            .insert(name.to_owned(), (tell, wait));
        Gate {
            started,
            _open: open,
        }
    }

    /// Goes through a gate if it is there.
    fn pass(&self, name: &str) {
        let gate = self.gates.lock().unwrap().remove(name);
        if let Some((tell, wait)) = gate {
            tell.send(()).unwrap();
            assert!(wait.recv().is_err(), "nothing is sent");
        }
    }

    /// Tells when the next `wait` has begun.
    pub fn next_wait(&self) -> Receiver<()> {
        let (tell, told) = channel();
        *self.waiting.lock().unwrap() = Some(tell);
        told
    }

    /// Wakes all that wait.
    pub fn wake(&self) {
        for waker in self.wakers.lock().unwrap().drain(..) {
            waker();
        }
    }

    /// Services of parrots on volumes of these settings; `/one` and `/two` are volumes.
    pub fn services(self: &Arc<Self>, settings: &Settings) -> Services {
        let volumes = Arc::new(Volumes::new(Settings {
            places: vec!["/one".into(), "/two".into()],
            ..settings.clone()
        }));
        let hub = Arc::clone(self);
        let open: Open =
            Arc::new(move |peer, host| Box::new(Parrot::new(peer, host, Arc::clone(&hub))));
        Services {
            volumes,
            imap: Arc::clone(&open),
            pop3: open,
        }
    }
}

/// The protocol.
struct Parrot {
    hub: Arc<Hub>,
    host: Arc<dyn Host>,
    peer: Peer,
    input: VecDeque<u8>,
    state: State,
    is_authenticated: bool,
    account: Arc<str>,
}

enum State {
    Greeting,
    Ready,
    Working(String),
    Waiting,
    Big(usize),
    Half(String),
    Whole(String),
}

impl fmt::Debug for Parrot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parrot")
    }
}

impl Parrot {
    fn new(peer: Peer, host: Arc<dyn Host>, hub: Arc<Hub>) -> Self {
        Self {
            hub,
            account: format!("stranger{}", peer.id).into(),
            host,
            peer,
            input: VecDeque::new(),
            state: State::Greeting,
            is_authenticated: false,
        }
    }

    fn line(&mut self) -> Option<String> {
        let end = self.input.iter().position(|&octet| octet == b'\n')?;
        let line: Vec<u8> = self.input.drain(..=end).collect();
        Some(String::from_utf8(line).unwrap().trim_end().to_owned())
    }

    fn work_at(&self, place: &str) -> Step {
        let place = format!("/{}/spool", place.split('-').next().unwrap());
        Step::Work(Work {
            place: Path::new(&place).into(),
            account: Arc::clone(&self.account),
            if_stuck: b"stuck\r\n".to_vec(),
            while_working: b"working\r\n".to_vec(),
        })
    }

    fn obey(&mut self, line: &str, output: &mut Output) -> Option<Step> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        self.host.tally().count_command();
        match verb {
            "echo" => say(output, argument),
            "login" => match self.host.admit(argument) {
                Ok(()) => {
                    self.is_authenticated = true;
                    self.account = argument.into();
                    say(output, "welcome");
                }
                Err(text) => say(output, &text),
            },
            "leave" => {
                self.host.withdraw();
                self.is_authenticated = false;
                say(output, "left");
            }
            "work" => {
                self.state = State::Working(argument.to_owned());
                return Some(self.work_at(argument));
            }
            "wait" => {
                self.state = State::Waiting;
                self.hub.wakers.lock().unwrap().push(self.host.waker());
                if let Some(tell) = self.hub.waiting.lock().unwrap().take() {
                    tell.send(()).unwrap();
                }
                return Some(Step::Wait(Wait {
                    input: false,
                    at: None,
                    patience: Patience::Ours,
                }));
            }
            "half" => {
                self.state = State::Half(argument.to_owned());
                return Some(self.work_at(argument));
            }
            "big" => self.state = State::Big(argument.parse().unwrap()),
            "panicwork" => {
                self.state = State::Working("panic".to_owned());
                return Some(self.work_at("one"));
            }
            "panic" => panic!("as the test wants"),
            "starttls" => {
                say(output, "go");
                return Some(Step::StartTls);
            }
            "compress" => {
                say(output, "squeezing");
                return Some(Step::StartCompression);
            }
            "quit" => {
                say(output, "goodbye");
                return Some(Step::Close);
            }
            other => say(output, &format!("what is {other}?")),
        }
        None
    }
}

impl Protocol for Parrot {
    fn feed(&mut self, input: &[u8]) {
        self.input.extend(input);
    }

    fn step(&mut self, _now: Instant, output: &mut Output) -> Step {
        loop {
            match &self.state {
                State::Greeting => {
                    let tls = self.peer.tls.clone().unwrap_or_default();
                    say(output, &format!("hello {}", tls.version));
                    self.state = State::Ready;
                }
                State::Waiting => {
                    say(output, "woken");
                    self.state = State::Ready;
                }
                State::Big(_) if output.len() >= PIECE => return Step::Write,
                State::Big(0) => {
                    say(output, "done");
                    self.state = State::Ready;
                }
                State::Big(_) => return self.work_at("one"),
                State::Half(_) => unreachable!("work comes first"),
                State::Whole(gate) => {
                    let Step::Work(work) = self.work_at(gate) else {
                        unreachable!()
                    };
                    return Step::Work(Work {
                        if_stuck: Vec::new(),
                        while_working: Vec::new(),
                        ..work
                    });
                }
                State::Working(_) => self.state = State::Ready,
                State::Ready => {
                    let Some(line) = self.line() else {
                        let patience = match (self.is_authenticated, self.input.is_empty()) {
                            (_, false) => Patience::Command,
                            (true, true) => Patience::Idle,
                            (false, true) => Patience::Greeted,
                        };
                        return Step::Wait(Wait::for_input(patience));
                    };
                    if let Some(step) = self.obey(&line, output) {
                        return step;
                    }
                }
            }
        }
    }

    fn work(&mut self, output: &mut Output) {
        match &mut self.state {
            State::Working(gate) if gate == "panic" => panic!("as the test wants"),
            State::Working(gate) => {
                self.hub.pass(gate);
                say(output, "worked");
            }
            State::Half(gate) => {
                output.extend_from_slice(b"half ");
                self.state = State::Whole(std::mem::take(gate));
            }
            State::Whole(gate) => {
                self.hub.pass(gate);
                say(output, "whole");
                self.state = State::Ready;
            }
            State::Big(left) => {
                *left -= 1;
                output.extend(std::iter::repeat_n(b'x', PIECE));
            }
            State::Greeting | State::Ready | State::Waiting => unreachable!(),
        }
    }

    fn work_refused(&mut self, output: &mut Output) {
        self.state = State::Ready;
        say(output, "refused");
    }

    fn tls_started(&mut self, tls: TlsInfo) {
        self.input.clear();
        self.peer.tls = Some(tls);
    }

    fn compression_started(&mut self) -> Vec<u8> {
        self.input.drain(..).collect()
    }

    fn interrupt(&mut self, reason: Interrupt, output: &mut Output) {
        say(output, &format!("bye {reason:?}"));
    }

    fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }
}

fn say(output: &mut Output, text: &str) {
    output.extend_from_slice(text.as_bytes());
    output.extend_from_slice(b"\r\n");
}
