//! Transcripts as they are written: a head of settings, then what clients send and what must and must not come back.

use crate::shell::Cut;
use std::path::{Path, PathBuf};

/// What is wrong, and where.
pub(crate) type Played = Result<(), String>;

/// Plays each transcript below a directory of `tests/transcripts`, cut in each way; only those whose path has `$TRANSCRIPT` in it, if
/// that is set.
pub(crate) fn play_all(directory: &str, play: impl Fn(&Script, Cut) -> Played) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(directory);
    let files = find(&directory);
    assert!(
        !files.is_empty(),
        "no transcripts in {}",
        directory.display()
    );
    let mut failures = Vec::new();
    for file in &files {
        let script = parse(&std::fs::read_to_string(file).unwrap());
        assert!(!script.steps.is_empty(), "{} is empty", file.display());
        for cut in [Cut::Whole, Cut::Lines, Cut::Octets] {
            if let Err(failure) = play(&script, cut) {
                let name = file.strip_prefix(&directory).unwrap().display();
                failures.push(format!("{name} ({cut:?}) {failure}"));
                break;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} transcripts failed\n\n{}",
        failures.len(),
        files.len(),
        failures.join("\n\n")
    );
}

/// All transcripts below a directory.
fn find(directory: &Path) -> Vec<PathBuf> {
    let wanted = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt")
                && path.to_string_lossy().contains(&wanted)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// One transcript.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// `key: value` lines before the first step.
    pub(crate) head: Vec<(String, String)>,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

/// Something that happens, and what is expected of it.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where it stands in the file.
    pub(crate) line: usize,
    /// The connection concerned, from 0.
    pub(crate) connection: usize,
    /// The words.
    pub(crate) text: Text,
    /// What must and must not come.
    pub(crate) expectations: Vec<Expectation>,
}

/// A line, with the blocks that it holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    /// The line; `\x01` stands for a block that is sent as a synchronizing literal, `\x02` for a non-synchronizing one.
    pub(crate) line: String,
    /// The octets between `{{{` and `}}}`, with CRLF.
    pub(crate) blocks: Vec<Vec<u8>>,
}

/// What is expected.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// Where it stands in the file.
    pub(crate) line: usize,
    /// How it is meant.
    pub(crate) kind: Kind,
    /// The words.
    pub(crate) text: Text,
}

/// How an expectation is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `*`: this untagged response comes, at any place.
    Untagged,
    /// `*>`: it comes after the one expected before.
    Then,
    /// `!`: it does not come.
    Never,
    /// `!*`: nothing else untagged comes.
    NothingElse,
    /// `+`: a continuation request with this text.
    Continuation,
    /// `=`: a line that begins like this, each after the one before.
    Line,
}

/// Reads a transcript.
pub(crate) fn parse(text: &str) -> Script {
    let mut script = Script::default();
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if script.steps.is_empty()
            && let Some((key, value)) = trimmed.split_once(": ")
            && key
                .bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
        {
            script.head.push((key.to_owned(), value.to_owned()));
            continue;
        }
        let text = read_blocks(line.trim_start(), &mut lines);
        match expectation(number, &text) {
            Some(expectation) => script
                .steps
                .last_mut()
                .unwrap_or_else(|| panic!("line {number}: nothing has happened yet"))
                .expectations
                .push(expectation),
            None => script.steps.push(step(number, text)),
        }
    }
    script
}

/// Takes `{{{ … }}}` out of a line and those that follow it.
fn read_blocks<'a>(line: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Text {
    let mut text = Text::default();
    let mut rest = line.to_owned();
    loop {
        let (before, mark) = if let Some(before) = rest.strip_suffix("{{{") {
            (before, '\u{1}')
        } else if let Some(before) = rest.strip_suffix("{{{+") {
            (before, '\u{2}')
        } else {
            text.line.push_str(&rest);
            return text;
        };
        text.line.push_str(before);
        text.line.push(mark);
        let mut block = Vec::new();
        rest = loop {
            let (_, line) = lines.next().expect("a block ends with }}}");
            if let Some(rest) = line.strip_prefix("}}}") {
                break rest.to_owned();
            }
            block.extend_from_slice(line.as_bytes());
            block.extend_from_slice(b"\r\n");
        };
        text.blocks.push(block);
    }
}

fn expectation(line: usize, text: &Text) -> Option<Expectation> {
    let marks = [
        ("*>", Kind::Then),
        ("!*", Kind::NothingElse),
        ("*", Kind::Untagged),
        ("!", Kind::Never),
        ("+", Kind::Continuation),
        ("=", Kind::Line),
    ];
    let (word, rest) = text.line.split_once(' ').unwrap_or((&text.line, ""));
    let (_, kind) = marks.into_iter().find(|(mark, _)| *mark == word)?;
    Some(Expectation {
        line,
        kind,
        text: Text {
            line: rest.to_owned(),
            blocks: text.blocks.clone(),
        },
    })
}

fn step(line: usize, text: Text) -> Step {
    let numbered = text
        .line
        .split_once(' ')
        .and_then(|(first, rest)| Some((first.parse::<usize>().ok()?, rest.to_owned())));
    let (connection, rest) = numbered.unwrap_or((1, text.line));
    Step {
        line,
        connection: connection.checked_sub(1).expect("connections count from 1"),
        text: Text {
            line: rest,
            blocks: text.blocks,
        },
        expectations: Vec::new(),
    }
}
