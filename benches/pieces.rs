//! Times of the hot inner pieces, each against its last run.
//!
//! ```sh
//! cargo bench --features bench --bench pieces [-- NAME]
//! cargo bench --features bench --bench pieces -- --save-baseline before       # then change something
//! cargo bench --features bench --bench pieces -- --baseline before
//! ```
//!
//! Messages are those of `benches/versus`, the same octets each time.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::let_underscore_must_use,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "a program for the terminal, ended by the first error"
)]

#[path = "../tests/support/random.rs"]
mod random;
#[path = "versus/spool.rs"]
mod spool;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use random::Random;
use restante::mailbox::flag::Flags;
use restante::mailbox::id::{ModSeq, SeqNum, Uid, UidValidity};
use restante::mailbox::messages::Messages;
use restante::mailbox::uid_set::UidSet;
use restante::mailbox::view::View;
use restante::pieces::{self, Parsed};
use spool::Kind;
use std::fmt::Write;
use std::hint::black_box;

/// Messages in the mailboxes: large enough that what costs more than once for each is seen.
const MESSAGES: u32 = 100_000;
/// What a socket gives at once.
const PIECE_OCTETS: usize = 16 * 1024;

/// Messages of one kind, one after the other until they have so many octets.
fn mail(kind: Kind, octets: usize) -> Vec<Vec<u8>> {
    let (mut random, mut threads) = (Random::new(1), Vec::new());
    let (mut all, mut sum) = (Vec::new(), 0);
    while sum < octets {
        let message = spool::message(&mut random, kind, all.len() as u64, &mut threads);
        sum += message.len();
        all.push(message);
    }
    all
}

/// Commands as mail programs send them, and one with a set of many numbers.
fn commands() -> Vec<(&'static str, Vec<u8>)> {
    let mut set = String::new();
    for number in 0..1000_u32 {
        let comma = if number == 0 { "" } else { "," };
        write!(set, "{comma}{}:{}", number * 10 + 1, number * 10 + 4).unwrap();
    }
    vec![
        ("NOOP", b"a1 NOOP\r\n".to_vec()),
        ("FETCH", b"a2 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (References)])\r\n".to_vec()),
        ("SEARCH", b"a3 UID SEARCH OR FROM anna SUBJECT \"of the day\" SINCE 15-Nov-2023 NOT DELETED\r\n".to_vec()),
        ("STORE of 1,000 ranges", format!("a4 STORE {set} +FLAGS.SILENT (\\Seen $label1)\r\n").into_bytes()),
    ]
}

fn protocol(criterion: &mut Criterion) {
    let stream = b"a1 UID FETCH 4711 (FLAGS BODY.PEEK[])\r\n".repeat(10_000);
    let mut group = criterion.benchmark_group("framer");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("lines", |b| {
        b.iter(|| pieces::framed(black_box(&stream), PIECE_OCTETS));
    });
    group.finish();

    let mut group = criterion.benchmark_group("parser");
    for (name, command) in commands() {
        assert!(pieces::parsed(&command), "{name}");
        group.throughput(Throughput::Bytes(command.len() as u64));
        group.bench_function(name, |b| b.iter(|| pieces::parsed(black_box(&command))));
    }
    group.finish();
}

fn encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encoder");
    let mut out = Vec::new();
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("FETCH (UID FLAGS)", |b| {
        b.iter(|| {
            out.clear();
            pieces::encode_flags(black_box(10_000), &mut out);
        });
    });
    let parsed: Vec<_> = mail(Kind::Real, 1 << 20)
        .iter()
        .map(|message| Parsed::new(message))
        .collect();
    group.throughput(Throughput::Elements(parsed.len() as u64));
    for (name, encode) in [
        (
            "ENVELOPE",
            Parsed::encode_envelope as fn(&Parsed, &mut Vec<u8>),
        ),
        ("BODYSTRUCTURE", Parsed::encode_structure),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                for message in black_box(&parsed) {
                    encode(message, &mut out);
                }
            });
        });
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    for (kind, octets) in [(Kind::Small, 1 << 18), (Kind::Real, 1 << 21)] {
        let mail = mail(kind, octets);
        let sum: usize = mail.iter().map(Vec::len).sum();
        let mut group = criterion.benchmark_group(format!("{kind:?} messages"));
        group.throughput(Throughput::Bytes(sum as u64));
        group.bench_function("CRLF counting", |b| {
            b.iter(|| {
                let octets = |message: &Vec<u8>| pieces::crlf_octets(message);
                black_box(&mail).iter().map(octets).sum::<u64>()
            });
        });
        let mut out = Vec::new();
        group.bench_function("CRLF conversion", |b| {
            b.iter(|| {
                out.clear();
                for message in black_box(&mail) {
                    pieces::convert(message, &mut out);
                }
            });
        });
        group.bench_function("structure", |b| {
            b.iter(|| {
                let parts = |message: &Vec<u8>| pieces::parts(message);
                black_box(&mail).iter().map(parts).sum::<usize>()
            });
        });
        group.finish();
    }
}

fn spools(criterion: &mut Criterion) {
    let name = |number: u32| {
        format!(
            "{}.M{}P7.mx,S=1024",
            1_700_000_000 + number * 60,
            number % 1_000_000
        )
    };
    let mut list = format!(
        "3 V1700000000 N{} G{}\n",
        MESSAGES + 1,
        "0123456789abcdef".repeat(2)
    );
    for uid in 1..=MESSAGES {
        writeln!(list, "{uid} :{}", name(uid)).unwrap();
    }
    let list = list.into_bytes();
    assert_eq!(pieces::uid_list(list.clone()), MESSAGES as usize);
    let mut group = criterion.benchmark_group("store");
    group.sample_size(20);
    group.throughput(Throughput::Elements(MESSAGES.into()));
    group.bench_function("UID list", |b| {
        b.iter_batched(|| list.clone(), pieces::uid_list, BatchSize::LargeInput);
    });

    let files = MESSAGES / 10;
    let maildir = tempfile::tempdir().unwrap();
    let cur = maildir.path().join("cur");
    std::fs::create_dir(&cur).unwrap();
    for number in 0..files {
        std::fs::write(cur.join(format!("{}:2,S", name(number))), b"").unwrap();
    }
    assert_eq!(pieces::listed(maildir.path()).unwrap(), files as usize);
    group.throughput(Throughput::Elements(files.into()));
    group.bench_function("directory scan", |b| {
        b.iter(|| pieces::listed(black_box(maildir.path())).unwrap());
    });
    group.finish();
}

/// Work on sets of UIDs and of sequence numbers, in a mailbox in which every tenth message was expunged.
fn sets(criterion: &mut Criterion) {
    let uids: Vec<_> = (1..=MESSAGES)
        .filter(|uid| uid % 10 != 0)
        .filter_map(Uid::new)
        .collect();
    let all: UidSet = uids.iter().copied().collect();
    let odd: UidSet = uids
        .iter()
        .copied()
        .filter(|uid| uid.value() % 2 == 1)
        .collect();
    let mut group = criterion.benchmark_group("sets");
    group.throughput(Throughput::Elements(uids.len() as u64));
    group.bench_function("collect", |b| {
        b.iter(|| black_box(&uids).iter().copied().collect::<UidSet>());
    });
    group.bench_function("unite", |b| {
        b.iter_batched(
            || all.clone(),
            |mut set| {
                set.unite(black_box(&odd));
                set
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("intersection", |b| {
        b.iter(|| all.intersection(black_box(&odd)))
    });
    group.bench_function("difference", |b| b.iter(|| all.difference(black_box(&odd))));

    let mut mailbox = Messages::new(UidValidity::new(1).unwrap(), Uid::MIN, ModSeq::ZERO);
    mailbox.arrive(uids.iter().map(|uid| (*uid, Flags::NONE, None)));
    let view = View::open(&mut mailbox, false);
    group.throughput(Throughput::Elements(1000));
    group.bench_function("UID of number", |b| {
        b.iter(|| {
            let uid = |at: usize| {
                view.uid_of(SeqNum::at(at * 83))
                    .map_or(0, |uid| u64::from(uid.value()))
            };
            black_box(0..1000).map(uid).sum::<u64>()
        });
    });
    group.bench_function("number of UID", |b| {
        b.iter(|| {
            let found = |uid: &&Uid| view.seq_of(**uid).is_some();
            black_box(&uids).iter().step_by(90).filter(found).count()
        });
    });
    group.finish();
}

criterion_group!(benches, protocol, encoder, messages, spools, sets);
criterion_main!(benches);
