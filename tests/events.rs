//! The table of events in `src/telemetry/events.rs` names every event from `info` upwards that the code has, with its levels, and no other.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test says what is wrong by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Levels of an event, and the texts of the macros that log it.
#[derive(Debug, Default)]
struct Found {
    levels: BTreeSet<String>,
    texts: Vec<String>,
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The arguments of a macro, up to its closing parenthesis, and the last string in them.
fn arguments(text: &str) -> (&str, &str) {
    let (mut depth, mut string, mut last, mut escaped) = (1_usize, None, "", false);
    for (at, c) in text.char_indices() {
        match (string, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(start), '"') => {
                last = &text[start..at];
                string = None;
            }
            (Some(_), _) => {}
            (None, '"') => string = Some(at + 1),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 {
            return (&text[..at], last);
        }
    }
    (text, last)
}

/// All events of the code.
fn events() -> BTreeMap<String, Found> {
    let mut events = BTreeMap::<String, Found>::new();
    for file in sources(&src()) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for level in ["info", "warn", "error"] {
            let call = format!("tracing::{level}!(");
            for (at, _) in code.match_indices(&call) {
                let (arguments, message) = arguments(&code[at + call.len()..]);
                let name = message.split(':').next().unwrap();
                let good = name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                assert!(good, "{}: {message:?} is no name", file.display());
                let found = events.entry(name.to_owned()).or_default();
                found.levels.insert(level.to_owned());
                found.texts.push(arguments.to_owned());
            }
        }
    }
    assert!(events.len() > 40, "only {} events were found", events.len());
    events
}

/// Words between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_of_events_is_that_of_the_code() {
    let table = fs::read_to_string(src().join("telemetry/events.rs")).unwrap();
    let mut events = events();
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("//! | `")) {
        let cells: Vec<&str> = row.trim_start_matches("//! |").split('|').collect();
        let name = names(cells[0]).remove(0);
        let Some(found) = events.remove(&name) else {
            wrong.push(format!("{name} is in the table but not in the code"));
            continue;
        };
        let levels: BTreeSet<String> = cells[1].split(',').map(|l| l.trim().to_owned()).collect();
        if levels != found.levels {
            wrong.push(format!("{name} has the levels {:?}", found.levels));
        }
        for field in names(cells[2]) {
            let told = |text: &String| {
                text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .any(|word| word == field)
            };
            if !found.texts.iter().any(told) {
                wrong.push(format!("{name} has no field {field}"));
            }
        }
    }
    wrong.extend(
        events
            .keys()
            .map(|name| format!("{name} is not in the table")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
