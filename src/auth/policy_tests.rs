//! The policy over a clock that the test turns.

use super::*;
use proptest::prelude::proptest;

const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// A policy and its clock.
struct Bench {
    policy: Policy,
    now: Instant,
}

/// A digest that stands for a number.
fn digest(n: u64) -> Digest {
    u128::from(n).to_be_bytes()
}

#[expect(
    clippy::disallowed_methods,
    reason = "any moment will do to begin with"
)]
fn bench() -> Bench {
    Bench {
        policy: Policy::new(PolicySettings::default()),
        now: Instant::now(),
    }
}

fn attempt(account: u64, address: IpAddr, secret: u64) -> Try {
    Try {
        account: digest(account),
        address,
        secret: digest(secret),
    }
}

impl Bench {
    /// A wrong password, tried as a patient client does: waits for its turn, is checked, waits for the answer. Seconds it all takes.
    fn guess(&mut self, attempt: Try) -> u64 {
        let begun = self.now;
        let turn = self.policy.admit(&attempt, self.now).unwrap();
        self.now += turn.wait;
        let delay = self.policy.fail(&attempt, turn, self.now);
        self.now += delay;
        (self.now - begun).as_secs()
    }

    fn pass(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }
}

#[test]
fn guessing_grows_slower() {
    let mut bench = bench();
    let times: Vec<u64> = (0..7)
        .map(|secret| bench.guess(attempt(1, OFFICE, secret)))
        .collect();
    assert_eq!(times, [1, 2, 4, 8, 15, 15, 15]);
}

#[test]
fn five_thousand_tries_of_one_old_password_disturb_nobody() {
    let mut bench = bench();
    for _ in 0..5000 {
        assert_eq!(bench.guess(attempt(1, OFFICE, 1)), 1);
    }
    for other in 2..11 {
        let right = attempt(other, OFFICE, 100 + other);
        assert_eq!(
            bench.policy.admit(&right, bench.now).unwrap().wait,
            Duration::ZERO
        );
    }
    let new_password = attempt(1, OFFICE, 2);
    assert_eq!(
        bench.policy.admit(&new_password, bench.now).unwrap().wait,
        Duration::ZERO
    );
}

#[test]
fn guessing_side_by_side_or_hanging_up_is_no_faster() {
    let mut bench = bench();
    let now = bench.now;
    let first = attempt(1, OFFICE, 0);
    let turn = bench.policy.admit(&first, now).unwrap();
    assert_eq!(bench.policy.fail(&first, turn, now).as_secs(), 1);
    // none of these waits for an answer before the next is sent
    let waits: Vec<Option<u64>> = (1..9)
        .map(|secret| {
            let turn = bench.policy.admit(&attempt(1, OFFICE, secret), now)?;
            Some(turn.wait.as_secs())
        })
        .collect();
    assert_eq!(
        waits,
        [
            Some(1),
            Some(3),
            Some(5),
            Some(7),
            Some(9),
            Some(11),
            Some(13),
            Some(15)
        ]
    );
    let refused = (9..40).filter(|secret| {
        bench
            .policy
            .admit(&attempt(1, OFFICE, *secret), now)
            .is_none()
    });
    assert!(
        refused.count() > 20,
        "what would wait too long is sent away"
    );
    assert!(
        bench
            .policy
            .admit(&attempt(1, ELSEWHERE, 50), now)
            .is_some(),
        "but not from elsewhere"
    );
}

#[test]
fn a_password_that_was_right_lately_never_waits() {
    let mut bench = bench();
    let right = attempt(1, OFFICE, 999);
    bench.policy.succeed(&right, bench.now);
    for secret in 0..20 {
        bench.guess(attempt(1, OFFICE, secret));
        assert_eq!(
            bench.policy.admit(&right, bench.now).unwrap(),
            Turn::default()
        );
    }
    assert!(bench.guess(attempt(1, OFFICE, 100)) >= 15, "others do");
    // it was changed: now it is a wrong one
    bench.guess(right);
    let row = bench.policy.pairs.0.values().next().unwrap();
    assert!(row.right.is_empty() && row.wrong.contains(&digest(999)));
}

#[test]
fn many_accounts_from_one_network_are_slowed_unless_somebody_logged_in_there() {
    let mut bench = bench();
    let times: Vec<u64> = (0..14)
        .map(|n| bench.guess(attempt(n, OFFICE, n)))
        .collect();
    assert_eq!(times, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8]);
    let side_by_side = (20..40).filter(|n| {
        let turn = bench.policy.admit(&attempt(*n, OFFICE, *n), bench.now);
        turn.is_none_or(|turn| !turn.wait.is_zero())
    });
    assert!(side_by_side.count() >= 18);
    bench.policy.succeed(&attempt(99, OFFICE, 1), bench.now);
    for n in 50..80 {
        assert_eq!(bench.guess(attempt(n, OFFICE, n)), 1);
    }
}

#[test]
fn one_account_from_many_networks_is_slowed_but_not_where_it_is_known() {
    let mut bench = bench();
    let home = attempt(1, OFFICE, 999);
    bench.policy.succeed(&home, bench.now);
    let bot = |n: u64| {
        IpAddr::V6(Ipv6Addr::from_bits(
            (0x2001_0db8_u128 << 96) | (u128::from(n) << 80),
        ))
    };
    for n in 0..110 {
        bench.guess(attempt(1, bot(n), n));
    }
    let wait = |bench: &mut Bench, attempt: Try| {
        bench
            .policy
            .admit(&attempt, bench.now)
            .unwrap()
            .wait
            .as_secs()
    };
    assert_eq!(wait(&mut bench, attempt(1, bot(999), 999)), 15);
    assert_eq!(wait(&mut bench, home), 0);
    assert_eq!(
        wait(&mut bench, attempt(1, OFFICE, 7)),
        0,
        "another device at home"
    );
    assert_eq!(wait(&mut bench, attempt(2, bot(999), 1)), 0);
}

#[test]
fn a_wider_network_counts_as_well() {
    let mut bench = bench();
    for n in 0..=255 {
        bench.guess(attempt(
            u64::from(n),
            IpAddr::V4(Ipv4Addr::new(203, 0, 113, n)),
            u64::from(n),
        ));
    }
    let next = attempt(1000, IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 1000);
    assert_eq!(
        bench.policy.admit(&next, bench.now).unwrap().wait.as_secs(),
        15
    );
}

#[test]
fn success_and_silence_forgive() {
    let mut bench = bench();
    for secret in 0..5 {
        bench.guess(attempt(1, OFFICE, secret));
    }
    bench.policy.succeed(&attempt(1, OFFICE, 999), bench.now);
    assert_eq!(bench.guess(attempt(1, OFFICE, 9)), 1);
    assert_eq!(bench.guess(attempt(1, OFFICE, 10)), 2);
    bench.pass(DECAY.as_secs());
    assert_eq!(bench.guess(attempt(1, OFFICE, 11)), 1);
    bench.pass(TRUST.as_secs());
    assert!(!bench.policy.networks.is_trusted(&OFFICE, bench.now));
}

#[test]
fn an_ipv6_network_is_one_client_and_a_mapped_address_an_ipv4_one() {
    let mut bench = bench();
    let address = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | n));
    assert_eq!(bench.guess(attempt(1, address(1), 1)), 1);
    assert_eq!(bench.guess(attempt(1, address(2), 2)), 2);
    assert_eq!(bench.guess(attempt(1, address(1 << 64), 3)), 1);
    assert_eq!(bench.guess(attempt(1, OFFICE, 1)), 1);
    assert_eq!(
        bench.guess(attempt(1, "::ffff:192.0.2.1".parse().unwrap(), 2)),
        2
    );
}

#[test]
fn tables_are_bounded_and_drop_the_untrusted_first() {
    let mut bench = bench();
    bench.policy.succeed(&attempt(1, OFFICE, 1), bench.now);
    let now = bench.now;
    for n in 0..MAX_ENTRIES as u64 + 10 {
        let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64));
        let attempt = attempt(n, address, 1);
        bench.policy.fail(&attempt, Turn::default(), now);
    }
    for length in [
        bench.policy.pairs.0.len(),
        bench.policy.networks.0.len(),
        bench.policy.accounts.0.len(),
    ] {
        assert!(
            (MAX_ENTRIES / 2..=MAX_ENTRIES).contains(&length),
            "{length}"
        );
    }
    assert!(bench.policy.networks.is_trusted(&OFFICE, now));
}

#[test]
fn waiting_can_be_turned_off() {
    let mut bench = bench();
    bench.policy.settings.first_delay = Duration::ZERO;
    for secret in 0..50 {
        assert_eq!(bench.guess(attempt(1, OFFICE, secret)), 0);
    }
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_clients_bear(tries: Vec<(u8, u8, u8, bool)>) {
        let mut bench = bench();
        for (account, network, secret, right) in tries {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, network % 4));
            let attempt = attempt(u64::from(account % 4), address, u64::from(secret % 32));
            let Some(turn) = bench.policy.admit(&attempt, bench.now) else { continue };
            assert!(turn.wait <= MAX_WAIT);
            if right {
                bench.policy.succeed(&attempt, bench.now);
            } else {
                assert!(bench.policy.fail(&attempt, turn, bench.now) <= MAX_WAIT);
            }
        }
    }
}
