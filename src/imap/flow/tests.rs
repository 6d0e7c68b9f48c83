//! The same octets give the same events, however they are cut.

use super::*;

const SMALL: Limits = Limits {
    max_line_octets: 200,
    max_literal_octets: 50,
    max_command_octets: 300,
    literal_minus: false,
    max_append_octets: 1000,
};

/// What a session does with messages.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Taste {
    Accept,
    Refuse,
    /// Accepts, and refuses when the first octets have come.
    Falter,
}

/// A session that notes what it sees.
struct Session {
    flow: Flow,
    taste: Taste,
    lines: bool,
    upload: bool,
    seen: Vec<String>,
    message: Vec<u8>,
}

impl Session {
    fn new(limits: Limits, taste: Taste) -> Self {
        Self {
            flow: Flow::new(limits),
            taste,
            lines: false,
            upload: false,
            seen: Vec::new(),
            message: Vec::new(),
        }
    }

    fn feed(&mut self, octets: &[u8]) {
        self.flow.feed(octets);
        while let Some(event) = self.next() {
            self.see(event);
        }
    }

    fn next(&mut self) -> Option<Event> {
        if self
            .seen
            .last()
            .is_some_and(|seen| seen.starts_with("FATAL"))
        {
            return None;
        }
        let event = match (self.lines, self.upload) {
            (true, _) => self.flow.next_line(),
            (_, true) => self.flow.next_upload(),
            _ => self.flow.next_command(),
        };
        (!matches!(event, Event::More)).then_some(event)
    }

    fn see(&mut self, event: Event) {
        let show = |tag: &Option<Tag>| tag.as_ref().map_or_else(|| "*".to_owned(), Tag::to_string);
        let code = |code: &Option<Code>| {
            code.as_ref()
                .map_or_else(String::new, |c| format!(" {c:?}"))
        };
        let seen = match &event {
            Event::More => return,
            Event::Continue => "+".into(),
            Event::Command(command) => {
                let body = format!("{:?}", command.body);
                let name = body.split([' ', '(']).next().unwrap_or_default();
                format!("{} {name}", command.tag)
            }
            Event::Bad { tag, code: c, .. } => format!("{} BAD{}", show(tag), code(c)),
            Event::No { tag, code, .. } => format!("{tag} NO {code:?}"),
            Event::Line(line) => format!("line {}", String::from_utf8_lossy(line)),
            Event::UploadOctets(octets) => {
                assert!(!octets.is_empty());
                self.message.extend_from_slice(octets);
                if self.taste == Taste::Falter {
                    self.refuse();
                    "faltered".into()
                } else {
                    return;
                }
            }
            Event::UploadEnd => {
                format!(
                    "message {}",
                    String::from_utf8_lossy(&std::mem::take(&mut self.message))
                )
            }
            Event::UploadNext(AppendNext::End) => "end".into(),
            Event::UploadNext(AppendNext::Message(_)) => "next".into(),
            Event::Fatal { code: c, .. } => format!("FATAL{}", code(c)),
        };
        self.seen.push(seen);
        match event {
            Event::Command(command) => match command.body {
                CommandBody::Idle | CommandBody::Authenticate { .. } => self.lines = true,
                CommandBody::Append { .. } => self.decide(),
                _ => {}
            },
            Event::Line(_) => self.lines = false,
            Event::Bad { .. } | Event::No { .. } => {
                self.upload = false;
                self.lines = false;
            }
            Event::UploadNext(AppendNext::End) => self.upload = false,
            Event::UploadNext(AppendNext::Message(_)) => self.decide(),
            _ => {}
        }
    }

    fn decide(&mut self) {
        if self.taste == Taste::Refuse {
            self.refuse();
            return;
        }
        self.upload = true;
        if self.flow.accept_upload() {
            self.seen.push("+".into());
        }
    }

    fn refuse(&mut self) {
        self.upload = false;
        self.message.clear();
        self.flow.refuse_upload();
    }
}

/// Plays octets whole, octet by octet, and cut at each place; all must see the same.
fn play(limits: Limits, taste: Taste, octets: &[u8]) -> Vec<String> {
    let mut whole = Session::new(limits, taste);
    whole.feed(octets);
    let mut single = Session::new(limits, taste);
    for octet in octets {
        single.feed(std::slice::from_ref(octet));
    }
    let shown = String::from_utf8_lossy(&octets[..octets.len().min(200)]);
    assert_eq!(whole.seen, single.seen, "octet by octet: {shown}");
    assert_eq!(whole.flow.has_input(), single.flow.has_input());
    if octets.len() < 3000 {
        for cut in 1..octets.len() {
            let mut two = Session::new(limits, taste);
            two.feed(&octets[..cut]);
            two.feed(&octets[cut..]);
            assert_eq!(whole.seen, two.seen, "cut at {cut}: {shown}");
        }
    }
    whole.seen
}

/// Inputs and what is seen of them.
const CASES: &[(&str, &[&str])] = &[
    (
        "a NOOP\r\nb CHECK\nc NOOP\r\n",
        &["a Noop", "b Check", "c Noop"],
    ),
    ("a NOOP\r\nb CH", &["a Noop"]),
    ("\r\na NOOP\r\n", &["* BAD", "a Noop"]),
    ("a FOO\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
    ("* FOO\r\nb NOOP\r\n", &["* BAD", "b Noop"]),
    (
        "a LOGIN {3}\r\njoe {4+}\r\nsec\n\r\nb NOOP\r\n",
        &["+", "a Login", "b Noop"],
    ),
    (
        "a LOGIN {0}\r\n {0+}\r\n\r\nb NOOP\r\n",
        &["+", "a Login", "b Noop"],
    ),
    (
        "a FOO {3+}\r\nx\r\n {2+}\r\nab c\r\nb NOOP\r\n",
        &["a BAD", "b Noop"],
    ),
    (
        "a IDLE\r\nDONE\r\nb NOOP\r\n",
        &["a Idle", "line DONE", "b Noop"],
    ),
    (
        "a AUTHENTICATE PLAIN\r\nabc {3}\nb NOOP\r\n",
        &["a Authenticate", "line abc {3}", "b Noop"],
    ),
    // the end of a literal and the line after it announce nothing together
    ("a LOGIN {3+}\r\nab{4+}\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
    // over a limit: a literal that waits is refused at once, one that does not is read away
    ("a LOGIN {51}\r\nb NOOP\r\n", &["a BAD TooBig", "b Noop"]),
    (
        "a LOGIN {51+}\r\n012345678901234567890123456789012345678901234567\n\n. x\r\nb NOOP\r\n",
        &["a BAD TooBig", "b Noop"],
    ),
    (
        "a LOGIN {60+}\r\n012345678901234567890123456789012345678901234567890123456789 {3+}\r\na\r\n {0+}\r\n {2}\r\nb NOOP\r\n",
        &["a BAD TooBig", "b Noop"],
    ),
    ("a LOGIN {9223372036854775807+}\r\nxx", &["FATAL TooBig"]),
    (
        "a LOGIN {99999999999999999999+}\r\nb NOOP\r\n",
        &["a BAD", "b Noop"],
    ),
    // foreign tongues
    ("\x16\x03\x01\x02\x00", &["FATAL"]),
    (
        "GET /index.html HTTP/1.1\r\nHost: x\r\na NOOP\r\n",
        &["FATAL"],
    ),
    ("GET NOOP\r\n", &["GET Noop"]),
    // NUL
    ("a NOOP\0\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
    ("a LOGIN {1+}\r\n\0 x\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
];

#[test]
fn commands() {
    for (input, expected) in CASES {
        assert_eq!(
            play(SMALL, Taste::Accept, input.as_bytes()),
            *expected,
            "{input}"
        );
    }
}

/// APPENDs, and what is seen of them by a session that accepts.
const APPENDS: &[(&str, &[&str])] = &[
    (
        "a APPEND INBOX {5}\r\nhello\r\nb NOOP\r\n",
        &["a Append", "+", "message hello", "end", "b Noop"],
    ),
    (
        "a APPEND INBOX (\\Seen) {5+}\r\nhe\r\nl\r\nb NOOP\r\n",
        &["a Append", "message he\r\nl", "end", "b Noop"],
    ),
    (
        "a APPEND {5}\r\nINBOX {2+}\r\nhi \r\nb NOOP\r\n",
        &["+", "a Append", "message hi", "end", "b Noop"],
    ),
    (
        "a APPEND x {1}\r\n1 (\\Seen) {2}\r\n22 {3+}\r\n333\r\nb NOOP\r\n",
        &[
            "a Append",
            "+",
            "message 1",
            "next",
            "+",
            "message 22",
            "next",
            "message 333",
            "end",
            "b Noop",
        ],
    ),
    (
        "a APPEND x UTF8 (~{2}\r\nhi)\r\nb NOOP\r\n",
        &["a Append", "+", "message hi", "end", "b Noop"],
    ),
    (
        "a APPEND x {0+}\r\n\r\nb NOOP\r\n",
        &["a Append", "message ", "end", "b Noop"],
    ),
    (
        "a APPEND x {1+}\r\n1 {1001+}\r\n",
        &["a Append", "message 1"],
    ),
    (
        "a APPEND x {1001}\r\nb NOOP\r\n",
        &["a NO TooBig", "b Noop"],
    ),
    ("a APPEND x foo {11}\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
    (
        "a APPEND x foo {4+}\r\na\r\nb {2+}\r\n\r\n\r\nb NOOP\r\n",
        &["a BAD", "b Noop"],
    ),
    (
        "a APPEND x {1+}\r\n1 foo\r\nb NOOP\r\n",
        &["a Append", "message 1", "a BAD", "b Noop"],
    ),
    (
        "a APPEND x {1+}\r\n1 foo {2+}\r\n\r\n\r\nb NOOP\r\n",
        &["a Append", "message 1", "a BAD", "b Noop"],
    ),
    (
        "a APPEND x {1+}\r\n1 foo {2}\r\nb NOOP\r\n",
        &["a Append", "message 1", "a BAD", "b Noop"],
    ),
    ("a APPEND x\r\nb NOOP\r\n", &["a BAD", "b Noop"]),
];

#[test]
fn messages() {
    for (input, expected) in APPENDS {
        assert_eq!(
            play(SMALL, Taste::Accept, input.as_bytes()),
            *expected,
            "{input}"
        );
    }
}

#[test]
fn messages_refused() {
    for (input, expected) in [
        // a literal that waits is never sent
        ("a APPEND x {5}\r\nb NOOP\r\n", &["a Append", "b Noop"][..]),
        (
            "a APPEND x {5+}\r\nhello\r\nb NOOP\r\n",
            &["a Append", "b Noop"],
        ),
        (
            "a APPEND x {5+}\r\n\r\n\r\n. (\\Seen) {1+}\r\n2\r\nb NOOP\r\n",
            &["a Append", "b Noop"],
        ),
        (
            "a APPEND x {5+}\r\nhello {1}\r\nb NOOP\r\n",
            &["a Append", "b Noop"],
        ),
    ] {
        assert_eq!(
            play(SMALL, Taste::Refuse, input.as_bytes()),
            expected,
            "{input}"
        );
    }
    for input in [
        "a APPEND x {5}\r\nhello\r\nb NOOP\r\n",
        "a APPEND x {5}\r\nhello (\\Seen) {3+}\r\nabc\r\nb NOOP\r\n",
    ] {
        let seen = play(SMALL, Taste::Falter, input.as_bytes());
        assert_eq!(seen, ["a Append", "+", "faltered", "b Noop"], "{input}");
    }
}

/// Inputs that break a limit, or nearly, and what is seen of them.
#[expect(clippy::too_many_lines, reason = "a table")]
fn long_inputs() -> Vec<(String, Vec<&'static str>)> {
    let long = |n: usize| "x".repeat(n);
    let most = usize::try_from(SMALL.max_skipped_octets()).unwrap();
    vec![
        (
            format!("a NOOP {}\r\nb NOOP\r\n", long(150)),
            vec!["a BAD", "b Noop"],
        ),
        (
            format!("a SELECT {}\r\nb NOOP\r\n", long(189)),
            vec!["a Select", "b Noop"],
        ),
        (
            format!("a SELECT {}\r\nb NOOP\r\n", long(190)),
            vec!["a BAD Limit", "b Noop"],
        ),
        (
            format!("{} NOOP\r\nb NOOP\r\n", long(190)),
            vec!["BAD", "b Noop"],
        ),
        (
            format!("{} NOOP\r\nb NOOP\r\n", long(250)),
            vec!["* BAD Limit", "b Noop"],
        ),
        (
            format!(
                "a SELECT {} {{5+}}\r\n\r\n\r\n. x\r\nb NOOP\r\n",
                long(1000)
            ),
            vec!["a BAD Limit", "b Noop"],
        ),
        (
            format!("a SELECT {} {{5}}\r\nb NOOP\r\n", long(1000)),
            vec!["a BAD Limit", "b Noop"],
        ),
        (
            format!("a SELECT {}\r\nb NOOP\r\n", long(most + 100)),
            vec!["FATAL TooBig"],
        ),
        (
            format!(
                "a LOGIN {{40+}}\r\n{} {}\r\nb NOOP\r\n",
                long(40),
                long(100)
            ),
            vec!["a Login", "b Noop"],
        ),
        // each line and literal is within its limit, the whole is not
        (
            format!(
                "a SEARCH TEXT {{50+}}\r\n{} {}\r\nb NOOP\r\n",
                long(50),
                "TEXT {50+}\r\n".to_owned() + &long(50) + " SUBJECT " + &long(180)
            ),
            vec!["a BAD Limit", "b Noop"],
        ),
        (
            "a SEARCH TEXT ".to_owned()
                + &format!("{{40+}}\r\n{} TEXT ", long(40)).repeat(6)
                + "x\r\nb NOOP\r\n",
            vec!["a BAD TooBig", "b Noop"],
        ),
        (
            format!("a SEARCH {}\r\nb NOOP\r\n", "(".repeat(150)),
            vec!["a BAD", "b Noop"],
        ),
        (
            format!("a IDLE\r\n{}\r\nb NOOP\r\n", long(300)),
            vec!["a Idle", "* BAD", "b Noop"],
        ),
        (
            format!("a IDLE\r\n{} {{5+}}\r\nb NOOP\r\n", long(300)),
            vec!["a Idle", "* BAD", "b Noop"],
        ),
    ]
}

#[test]
fn lines_and_commands_too_long() {
    for (input, expected) in long_inputs() {
        let seen = play(SMALL, Taste::Accept, input.as_bytes());
        let seen: Vec<&str> = seen
            .iter()
            .map(|line| if line.starts_with("xxx") { "BAD" } else { line })
            .collect();
        assert_eq!(seen, expected, "{input}");
    }
}

#[test]
fn a_message_over_the_limit_is_read_away() {
    let input = format!(
        "a APPEND x {{1001+}}\r\n{}\r\nb NOOP\r\n",
        "\n".repeat(1001)
    );
    assert_eq!(
        play(SMALL, Taste::Accept, input.as_bytes()),
        ["a NO TooBig", "b Noop"]
    );
    let endless = "a APPEND x {5201+}\r\n";
    assert_eq!(
        play(SMALL, Taste::Accept, endless.as_bytes()),
        ["FATAL TooBig"]
    );
    let second = format!(
        "a APPEND x {{1+}}\r\n1 {{1001+}}\r\n{}\r\nb NOOP\r\n",
        "\n".repeat(1001)
    );
    assert_eq!(
        play(SMALL, Taste::Accept, second.as_bytes()),
        ["a Append", "message 1", "a NO TooBig", "b Noop"]
    );
}

#[test]
fn literal_minus() {
    let limits = Limits {
        literal_minus: true,
        ..Limits::AFTER_LOGIN
    };
    let login = |n: usize| format!("a LOGIN {{{n}+}}\r\n{} x\r\nb NOOP\r\n", "x".repeat(n));
    assert_eq!(
        play(limits, Taste::Accept, login(4096).as_bytes()),
        ["a Login", "b Noop"]
    );
    assert_eq!(
        play(limits, Taste::Accept, login(4097).as_bytes()),
        ["a BAD TooBig", "b Noop"]
    );
    let append = format!("a APPEND x {{4097+}}\r\n{}\r\nb NOOP\r\n", "x".repeat(4097));
    assert_eq!(
        play(limits, Taste::Accept, append.as_bytes()),
        ["a BAD TooBig", "b Noop"]
    );
    let append = format!("a APPEND x {{4097}}\r\n{}\r\nb NOOP\r\n", "x".repeat(4097));
    assert_eq!(play(limits, Taste::Accept, append.as_bytes()).len(), 5);
}

#[test]
fn a_large_message_comes_in_bounded_pieces_and_in_order() {
    let message: Vec<u8> = (0..300_000_u32)
        .map(|n| b'a' + u8::try_from(n % 26).unwrap())
        .collect();
    for size in [1000, 70_000, 400_000] {
        let mut flow = Flow::new(Limits::AFTER_LOGIN);
        let octets = [b"a APPEND x {300000+}\r\n", message.as_slice(), b"\r\n"].concat();
        let mut got = Vec::new();
        let mut accepted = false;
        for chunk in octets.chunks(size) {
            flow.feed(chunk);
            loop {
                match if accepted {
                    flow.next_upload()
                } else {
                    flow.next_command()
                } {
                    Event::Command(_) => {
                        accepted = true;
                        assert!(!flow.accept_upload());
                    }
                    Event::UploadOctets(piece) => {
                        assert!(piece.len() as u64 <= MAX_UPLOAD_PIECE_OCTETS);
                        got.extend(piece);
                    }
                    Event::UploadEnd => assert_eq!(got, message),
                    Event::UploadNext(AppendNext::End) => got.clear(),
                    Event::More => break,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(got.is_empty() && !flow.has_input());
    }
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut flow = Flow::new(SMALL);
    for _ in 0..50 {
        flow.feed(&[b'x'; 100]);
        drop(flow.next_command());
        assert!(flow.framer.pending().len() + flow.framer.frame().len() <= 400);
    }
    let mut flow = Flow::new(SMALL);
    flow.feed(b"a NOOP\r\n");
    assert!(flow.has_input());
    drop(flow.next_command());
    assert!(!flow.has_input());
    assert_eq!(flow.framer.capacity(), 0);
    flow.feed(b"b NOOP\r\nc NO");
    flow.reset();
    assert!(!flow.has_input());
}

#[test]
fn many_pipelined_commands_take_linear_time() {
    // quadratic copying of 16 MB would take minutes
    let mut flow = Flow::new(Limits::AFTER_LOGIN);
    flow.feed(&b"a NOOP\r\n".repeat(2_000_000));
    let mut commands = 0;
    while let Event::Command(_) = flow.next_command() {
        commands += 1;
    }
    assert_eq!(commands, 2_000_000);
}
