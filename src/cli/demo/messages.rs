//! The demo's messages: one of each kind that a mail program meets.
//!
//! Line ends are LF, as MTAs write them, except for one with CRLF.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// A message that waits at the start.
struct Sample {
    /// Hours before now that it was sent.
    age_hours: i64,
    /// Who sent it.
    from: &'static str,
    /// Its header fields but From, To, Date and Message-ID, and its body.
    rest: &'static str,
}

/// What waits at the start.
const SAMPLES: &[Sample] = &[
    Sample {
        age_hours: 400,
        from: "Postmaster <postmaster@example.org>",
        rest: "Subject: Welcome\n\nThis mail was delivered into a Maildir, as an MTA does it,\nand restante hands it out.\n\n.\nThe line above has a lonely dot.\n",
    },
    Sample {
        age_hours: 300,
        from: "=?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.net>",
        rest: "Subject: =?UTF-8?B?R3LDvMOfZSBhdXMgS8O2bG4g8J+MiA==?=\n =?ISO-8859-1?Q?_und_Umgebung=E9?=\n\
MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
Sch=C3=B6ne Gr=C3=BC=C3=9Fe =E2=80=94 diese Zeile ist so lang, dass sie weich umbr=\nochen wurde.\n",
    },
    Sample {
        age_hours: 200,
        from: "\"Newsletter, weekly\" <news@example.com>",
        rest: "Subject: This week\nList-Id: The weekly <weekly.example.com>\nPrecedence: bulk\nMIME-Version: 1.0\n\
Content-Type: multipart/alternative; boundary=\"=_alt\"\n\n\
--=_alt\nContent-Type: text/plain; charset=us-ascii\n\nThe week in plain text.\n\
--=_alt\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\
<html><body><h1>The week</h1><p>in <b>HTML</b>, with an é.</p></body></html>\n\
--=_alt--\n",
    },
    Sample {
        age_hours: 150,
        from: "Carla <carla@example.org>",
        rest: "Subject: The picture\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n\nA mail program that shows this line knows no MIME.\n\
--outer\nContent-Type: multipart/related; boundary=inner\n\n\
--inner\nContent-Type: text/html; charset=us-ascii\n\n<p>Look: <img src=\"cid:dot@example.org\"></p>\n\
--inner\nContent-Type: image/png\nContent-ID: <dot@example.org>\nContent-Transfer-Encoding: base64\n\n\
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6\nkgAAAABJRU5ErkJggg==\n\
--inner--\n\
--outer\nContent-Type: application/octet-stream; name=\"data.bin\"\n\
Content-Disposition: attachment; filename*=UTF-8''na%C3%AFve%20data.bin; size=12\nContent-Transfer-Encoding: base64\n\nAAECAwQFBgcICQoL\n\
--outer--\n",
    },
    Sample {
        age_hours: 100,
        from: "Dora <dora@example.org>",
        rest: "Subject: Fwd: The answer\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=fwd\n\n\
--fwd\n\nSee below.\n\
--fwd\nContent-Type: message/rfc822\n\n\
From: Emil <emil@example.net>\nTo: Dora <dora@example.org>\nSubject: The answer\nDate: Thu, 01 Jan 2026 12:00:00 +0100\n\
Message-ID: <answer@example.net>\n\nForty-two.\n\
--fwd--\n",
    },
    Sample {
        age_hours: 80,
        from: "old mailer <legacy@example.com>",
        rest: "Subject: From a machine with other line ends\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
Every line of this one ends with CRLF on the disk.\r\nA letter of Latin-1: =E9.\r\n",
    },
    Sample {
        age_hours: 60,
        from: "calendar@example.org",
        rest: "Subject: Invitation\nMIME-Version: 1.0\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\n\n\
BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example//demo//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1@example.org\n\
DTSTAMP:20260101T000000Z\nDTSTART:20260102T090000Z\nSUMMARY:Coffee\nEND:VEVENT\nEND:VCALENDAR\n",
    },
    Sample {
        age_hours: 30,
        from: "Frieda <frieda@example.org>",
        rest: "In-Reply-To: <answer@example.net>\nReferences: <answer@example.net>\n\nThis one has no subject, and no line end at its end.",
    },
    Sample {
        age_hours: 5,
        from: "用户 <yonghu@example.cn>",
        rest: "Subject: 未编码的主题 (raw UTF-8 in the header)\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n您好！\n",
    },
];

/// Lines of the long message.
const LONG_LINES: usize = 4000;

/// What a regular delivery is about.
const SUBJECTS: [&str; 5] = [
    "Backup finished",
    "Lunch?",
    "=?UTF-8?Q?Caf=C3=A9_um_drei?=",
    "Re: Minutes of the meeting",
    "Your parcel",
];

/// The messages that wait for a user at the start.
pub(super) fn first(user: &str, now: Timestamp) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = SAMPLES
        .iter()
        .enumerate()
        .map(|(number, sample)| {
            let at = ago(now, sample.age_hours);
            let ends_in_crlf = sample.rest.contains("\r\n");
            let text = header(user, sample.from, &format!("sample{number}"), at) + sample.rest;
            if ends_in_crlf {
                // The fields above have LF.
                text.replace("\r\n", "\n")
                    .replace('\n', "\r\n")
                    .into_bytes()
            } else {
                text.into_bytes()
            }
        })
        .collect();
    messages.push(long(user, ago(now, 1)));
    messages
}

/// The next regular delivery.
pub(super) fn next(user: &str, number: usize, now: Timestamp) -> Vec<u8> {
    let subject = SUBJECTS
        .get(number % SUBJECTS.len())
        .copied()
        .unwrap_or_default();
    let date = date(now);
    format!(
        "Return-Path: <sender@example.org>\nReceived: from mail.example.org by localhost for <{user}@localhost>; {date}\n\
         {}Subject: {subject}\n\nDelivery number {number}, at {date}.\n",
        header(user, "A sender <sender@example.org>", &format!("delivery{number}.{}", now.as_microsecond()), now)
    )
    .into_bytes()
}

/// A message of a few hundred KiB.
fn long(user: &str, at: Timestamp) -> Vec<u8> {
    let mut text = header(user, "Log <log@example.org>", "long", at);
    text.push_str("Subject: A long log\n\n");
    for line in 0..LONG_LINES {
        text.push_str(&format!(
            "{line:6} The quick brown fox jumps over the lazy dog, as it did yesterday.\n"
        ));
    }
    text.into_bytes()
}

/// The fields that all have.
fn header(user: &str, from: &str, id: &str, at: Timestamp) -> String {
    format!(
        "From: {from}\nTo: {user}@localhost\nDate: {}\nMessage-ID: <{id}.{user}@demo.example>\n",
        date(at)
    )
}

fn ago(now: Timestamp, hours: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(hours))
        .unwrap_or(now)
}

fn date(at: Timestamp) -> String {
    rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{SAMPLES, first, next};
    use jiff::Timestamp;

    const NOW: Timestamp = Timestamp::constant(1_795_435_200, 0);

    #[test]
    fn messages_have_the_line_ends_they_are_meant_to_have() {
        let messages = first("anna", NOW);
        assert_eq!(messages.len(), SAMPLES.len() + 1);
        let with_crlf = messages
            .iter()
            .filter(|message| message.windows(2).any(|two| two == b"\r\n"));
        let with_crlf: Vec<_> = with_crlf.collect();
        assert_eq!(with_crlf.len(), 1);
        let text = std::str::from_utf8(with_crlf[0]).unwrap();
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }

    #[test]
    fn every_message_has_a_header_of_its_own() {
        let mut messages = first("anna", NOW);
        messages.extend((1..10).map(|number| next("anna", number, NOW)));
        let mut ids: Vec<String> = messages
            .iter()
            .map(|message| {
                let text = String::from_utf8(message.clone())
                    .unwrap()
                    .replace("\r\n", "\n");
                let (header, _) = text.split_once("\n\n").unwrap();
                assert!(header.contains("\nDate: "), "{header}");
                assert!(header.contains("From: ") && header.contains("\nTo: anna@localhost\n"));
                let (_, id) = header.split_once("\nMessage-ID: ").unwrap();
                id.lines().next().unwrap().to_owned()
            })
            .collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
