//! Generated mail: the same octets for the same seed, with sizes, attachments and threads as real mail has them, LF line ends.

use super::random::Random;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const WORDS: &[&str] = &[
    "report", "meeting", "budget", "the", "and", "of", "invoice", "release", "server", "please",
    "with", "for", "agenda", "Tuesday", "lunch", "photo", "contract", "draft", "review", "travel",
    "ticket", "customer", "delivery", "we", "will", "from", "about", "attached", "version",
    "question", "answer", "today", "tomorrow", "kind", "regards", "number",
];
const PEOPLE: &[&str] = &[
    "anna", "bruno", "carla", "dmitri", "elena", "farid", "grete", "hugo", "ines", "jan",
];

/// How large the messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// About 1 KiB each, for mailboxes of very many.
    Small,
    /// As real mail has them: most 2–20 KiB, some with attachments up to 1 MiB.
    Real,
}

/// A generated Maildir; made once, then linked or copied.
#[derive(Debug)]
pub struct Master {
    pub path: PathBuf,
    pub octets: u64,
}

impl Master {
    /// Makes `count` messages in `cur/` of a new Maildir.
    pub fn generate(root: &Path, kind: Kind, count: u64, seed: u64) -> io::Result<Self> {
        let path = root.join(format!("master-{kind:?}-{count}-{seed}"));
        let mut octets = 0;
        let finished = path.join("finished");
        if let Ok(text) = fs::read_to_string(&finished) {
            return Ok(Self {
                path,
                octets: text.trim().parse().unwrap_or(0),
            });
        }
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(path.join(name))?;
        }
        let mut random = Random::new(seed);
        let mut subjects: Vec<(String, u64)> = Vec::new();
        for number in 0..count {
            let text = message(&mut random, kind, number, &mut subjects);
            octets +=
                text.len() as u64 + text.iter().filter(|octet| **octet == b'\n').count() as u64;
            let flags = flags(random.below(6));
            let date = 1_700_000_000 + number * 60;
            let name = file_name(date, number, text.len() as u64, flags);
            let file = path.join("cur").join(name);
            fs::write(&file, &text)?;
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(date);
            fs::File::options()
                .write(true)
                .open(&file)?
                .set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))?;
        }
        fs::write(finished, octets.to_string())?;
        // else the rows that use it first would share the disk with its writing
        rustix::fs::sync();
        Ok(Self { path, octets })
    }

    /// Reads all messages, so that the system has them in memory whoever comes first, and whatever it gave up meanwhile.
    pub fn warm_up(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join("cur"))? {
            fs::read(entry?.path())?;
        }
        Ok(())
    }

    /// Links all messages into a new Maildir that belongs to the mail user.
    pub fn link(&self, maildir: &Path, owner: u32) -> io::Result<()> {
        lay_out(maildir, owner)?;
        for entry in fs::read_dir(self.path.join("cur"))? {
            let entry = entry?;
            fs::hard_link(entry.path(), maildir.join("cur").join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Copies all messages into a new Maildir, and waits until they are on the disk.
    pub fn copy(&self, maildir: &Path, owner: u32) -> io::Result<()> {
        lay_out(maildir, owner)?;
        for entry in fs::read_dir(self.path.join("cur"))? {
            let entry = entry?;
            fs::copy(entry.path(), maildir.join("cur").join(entry.file_name()))?;
        }
        rustix::fs::sync();
        Ok(())
    }

    /// The same as [`Master::link`] with `count` messages, however few there are here: each is linked many times, under names of its own. A link takes a
    /// third of the time of a file, and no room.
    pub fn link_often(&self, maildir: &Path, owner: u32, count: u64) -> io::Result<()> {
        lay_out(maildir, owner)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path.join("cur"))? {
            let entry = entry?;
            files.push((entry.path(), entry.metadata()?.len()));
        }
        files.sort();
        for (number, (file, octets)) in (0..count).zip(files.iter().cycle()) {
            let name = file_name(1_600_000_000 + number, number, *octets, flags(number));
            fs::hard_link(file, maildir.join("cur").join(name))?;
        }
        Ok(())
    }
}

fn lay_out(maildir: &Path, owner: u32) -> io::Result<()> {
    for name in ["", "cur", "new", "tmp"] {
        let directory = maildir.join(name);
        fs::create_dir_all(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        own(&directory, owner)?;
    }
    Ok(())
}

fn file_name(date: u64, number: u64, octets: u64, flags: &str) -> String {
    format!(
        "{date}.M{}P{}.bench,S={octets}:2,{flags}",
        number % 1_000_000,
        1000 + number % 7
    )
}

fn flags(number: u64) -> &'static str {
    ["", "S", "S", "S", "RS", "FS"][usize::try_from(number % 6).unwrap()]
}

/// Gives a file to the mail user, where we may.
pub fn own(path: &Path, owner: u32) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(owner), Some(owner))?;
    }
    Ok(())
}

fn sentence(random: &mut Random, words: u64, out: &mut String) {
    let mut column = 0;
    for _ in 0..words {
        let word = random.pick(WORDS);
        column += word.len() + 1;
        out.push_str(word);
        if column > 70 {
            out.push('\n');
            column = 0;
        } else {
            out.push(' ');
        }
    }
    out.push('\n');
}

pub fn message(
    random: &mut Random,
    kind: Kind,
    number: u64,
    threads: &mut Vec<(String, u64)>,
) -> Vec<u8> {
    let reply = !threads.is_empty() && random.below(3) > 0;
    let (subject, parent) = if reply {
        let at = usize::try_from(random.below(threads.len() as u64)).unwrap();
        (format!("Re: {}", threads[at].0), Some(threads[at].1))
    } else {
        let subject = format!(
            "{} {} {}",
            random.pick(WORDS),
            random.pick(WORDS),
            random.below(1000)
        );
        if threads.len() < 500 {
            threads.push((subject.clone(), number));
        }
        (subject, None)
    };
    let (from, to) = (random.pick(PEOPLE), random.pick(PEOPLE));
    let day = 1 + number / 1440 % 28;
    let mut text = format!(
        "Return-Path: <{from}@example.org>\nReceived: from mx.example.org (mx.example.org [192.0.2.1])\n\tby mail.example.net (Postfix) with \
         ESMTPS id {number:08X}\n\tfor <{to}@example.net>; Wed, {day:02} Nov 2023 {:02}:{:02}:00 +0000 (UTC)\nMessage-ID: <{number}.bench@example.org>\n\
         Date: Wed, {day:02} Nov 2023 {:02}:{:02}:00 +0100\nFrom: {from} Example <{from}@example.org>\nTo: {to}@example.net\nSubject: {subject}\n",
        number / 60 % 24,
        number % 60,
        number / 60 % 24,
        number % 60
    );
    if let Some(parent) = parent {
        text.push_str(&format!(
            "In-Reply-To: <{parent}.bench@example.org>\nReferences: <{parent}.bench@example.org>\n"
        ));
    }
    text.push_str("MIME-Version: 1.0\n");
    let attachment = kind == Kind::Real && random.below(10) == 0;
    let words = if kind == Kind::Small {
        40
    } else {
        200 + random.below(40) * random.below(60)
    };
    if attachment {
        text.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=\"b{number}\"\n\n--b{number}\n"
        ));
    }
    if kind == Kind::Real && random.below(2) == 0 {
        text.push_str(&format!(
            "Content-Type: multipart/alternative; boundary=\"a{number}\"\n\n--a{number}\n"
        ));
        text.push_str("Content-Type: text/plain; charset=utf-8\n\n");
        sentence(random, words, &mut text);
        text.push_str(&format!(
            "--a{number}\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>"
        ));
        sentence(random, words, &mut text);
        text.push_str(&format!("</p></body></html>\n--a{number}--\n"));
    } else {
        text.push_str("Content-Type: text/plain; charset=utf-8\n\n");
        sentence(random, words, &mut text);
    }
    if number % 997 == 5 {
        text.push_str("xyzzyplugh\n");
    }
    if attachment {
        let lines = 50 + random.below(200) * random.below(70);
        text.push_str(&format!("--b{number}\nContent-Type: application/pdf; name=\"{}.pdf\"\nContent-Transfer-Encoding: base64\n\
                                Content-Disposition: attachment; filename=\"{}.pdf\"\n\n", random.pick(WORDS), random.pick(WORDS)));
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for _ in 0..lines {
            let (mut bits, mut left) = (random.next(), 10);
            for _ in 0..76 {
                text.push(char::from(DIGITS[usize::try_from(bits & 63).unwrap()]));
                bits >>= 6;
                left -= 1;
                if left == 0 {
                    (bits, left) = (random.next(), 10);
                }
            }
            text.push('\n');
        }
        text.push_str(&format!("--b{number}--\n"));
    }
    text.into_bytes()
}
