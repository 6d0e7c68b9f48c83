//! Clients that believe every response must hold what a fresh client sees: beside each other, a delivering MTA and a program that renames
//! and removes files, over disconnects and restarts of two servers on one spool, resynchronising as RFC 7162 §6 says.
//!
//! `RESYNC_ROUNDS=1000 cargo test --test resync` plays more rounds; `RESYNC_SEED` plays one of them again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    unreachable_pub,
    dead_code,
    reason = "a test may"
)]

#[path = "support/imap_args.rs"]
mod imap_args;
#[path = "support/random.rs"]
mod random;
#[path = "support/shell.rs"]
mod shell;

mod resync {
    //! Parts of this test.
    pub(crate) mod client;
    pub(crate) mod house;
}

use random::Random;
use resync::client::{Client, Dialect};
use resync::house::House;

/// Rounds of one run.
const ROUNDS: u64 = 30;

/// What happens in one round.
const STEPS: usize = 60;

#[test]
fn believing_clients_hold_what_a_fresh_one_sees() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = setting("RESYNC_SEED") {
        return round(seed);
    }
    let first: u64 = 1;
    for seed in first..first + setting("RESYNC_ROUNDS").unwrap_or(ROUNDS) {
        let played = std::panic::catch_unwind(|| round(seed));
        assert!(played.is_ok(), "failed with RESYNC_SEED={seed}");
    }
}

/// One spool, three clients.
fn round(seed: u64) {
    let mut random = Random::new(seed);
    let mut house = House::new();
    for _ in 0..random.below(12) {
        house.deliver(&mut random);
    }
    let mut clients = [Dialect::QResync, Dialect::Plain, Dialect::CondStore].map(Client::new);
    for client in &mut clients {
        client.connect(&house, &mut random);
    }
    for _ in 0..STEPS {
        step(&mut random, &mut house, &mut clients);
        if random.below(4) == 0 {
            let client = random.below(clients.len() as u64);
            agree(&house, &mut clients[usize::try_from(client).unwrap()]);
        }
    }
    for client in &mut clients {
        agree(&house, client);
        client.disconnect(&mut random);
        client.connect(&house, &mut random);
        agree(&house, client);
    }
}

/// Something happens.
fn step(random: &mut Random, house: &mut House, clients: &mut [Client]) {
    match random.below(20) {
        0..3 => house.deliver(random),
        3..6 => house.meddle(random),
        6..8 => {
            let client = &mut clients[usize::try_from(random.below(3)).unwrap()];
            client.disconnect(random);
            if random.below(2) == 0 {
                house.deliver(random);
                house.meddle(random);
            }
            client.connect(house, random);
        }
        8 if random.below(3) == 0 => {
            for client in &mut *clients {
                client.disconnect(random);
            }
            house.restart(random);
            for client in clients {
                client.connect(house, random);
            }
        }
        _ => {
            let client = &mut clients[usize::try_from(random.below(3)).unwrap()];
            client.act(random);
        }
    }
}

/// The client holds what a fresh one sees. Where something is found between two looks, all look again.
fn agree(house: &House, client: &mut Client) {
    for _ in 0..20 {
        let before = house.fresh(client.server);
        client.catch_up();
        if house.fresh(client.server) == before {
            return client.check(&before);
        }
    }
    panic!("the mailbox does not come to rest");
}
