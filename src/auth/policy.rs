//! How long a failed login waits for its answer.
//!
//! Failures count for a pair of account and network (IPv4 /32, IPv6 /64) and for the network alone. The same wrong password again
//! does not count again, so that a phone with an old password locks nobody out. A network from which somebody logged in is not
//! slowed for other accounts. Answers to one pair are queued one behind the other, so that guessing side by side is no faster.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Wait after the first failure.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Longest wait that one more failure adds.
pub const MAX_DELAY: Duration = Duration::from_secs(15);

/// Longest wait in all; below the time that clients give a login.
pub const MAX_TOTAL_DELAY: Duration = Duration::from_secs(60);

/// Silence after which failures are forgotten.
pub const DECAY: Duration = Duration::from_secs(15 * 60);

/// Failures of a network, over all accounts, that are free of the growing wait: an office behind one address mistypes now and then.
pub const FREE_FAILURES: u32 = 10;

/// Entries of each table; the longest unused is dropped for a new one.
pub const MAX_ENTRIES: usize = 20_000;

/// Wrong passwords of a pair that are remembered, as digests.
const REMEMBERED_SECRETS: usize = 8;

/// Settings of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicySettings {
    /// Wait after the first failure; zero turns waiting off.
    pub first_delay: Duration,
    /// Longest wait that one more failure adds.
    pub max_delay: Duration,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            first_delay: FIRST_DELAY,
            max_delay: MAX_DELAY,
        }
    }
}

/// A digest of a wrong password under a key of this process.
pub(super) type Digest = [u8; 16];

/// What is counted for one pair or network.
#[derive(Debug)]
struct Failures {
    /// How many, each wrong password once.
    count: u32,
    /// The last one.
    last: Instant,
    /// When the last answer given for it goes out.
    answered: Instant,
    /// The last wrong passwords.
    secrets: VecDeque<Digest>,
}

/// A table of bounded size.
#[derive(Debug)]
struct Table<K>(HashMap<K, Failures>);

impl<K: Hash + Eq + Clone> Table<K> {
    /// The entry of a key; old ones make room.
    fn entry(&mut self, key: &K, now: Instant) -> &mut Failures {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(key) {
            self.0
                .retain(|_, failures| now.saturating_duration_since(failures.last) < DECAY);
            while self.0.len() >= MAX_ENTRIES {
                let Some(oldest) = self
                    .0
                    .iter()
                    .min_by_key(|(_, failures)| failures.last)
                    .map(|(key, _)| key.clone())
                else {
                    break;
                };
                self.0.remove(&oldest);
            }
        }
        let fresh = || Failures {
            count: 0,
            last: now,
            answered: now,
            secrets: VecDeque::new(),
        };
        let failures = self.0.entry(key.clone()).or_insert_with(fresh);
        if now.saturating_duration_since(failures.last) >= DECAY {
            *failures = fresh();
        }
        failures
    }
}

/// A network that counts as one client.
type Network = IpAddr;

/// Counts failures and gives delays.
#[derive(Debug)]
pub(super) struct Policy {
    /// Waits.
    settings: PolicySettings,
    /// By account and network.
    pairs: Table<(Arc<str>, Network)>,
    /// By network.
    networks: Table<Network>,
    /// Networks from which somebody logged in, and when.
    good: HashMap<Network, Instant>,
}

impl Policy {
    /// Nothing counted yet.
    pub(super) fn new(settings: PolicySettings) -> Self {
        Self {
            settings,
            pairs: Table(HashMap::new()),
            networks: Table(HashMap::new()),
            good: HashMap::new(),
        }
    }

    /// Counts a failure and tells how long its answer waits.
    pub(super) fn fail(
        &mut self,
        account: &Arc<str>,
        address: IpAddr,
        secret: Digest,
        now: Instant,
    ) -> Duration {
        let network = network(address);
        let settings = self.settings;
        let pair = self.pairs.entry(&(Arc::clone(account), network), now);
        let known = pair.secrets.contains(&secret);
        if !known {
            pair.count = pair.count.saturating_add(1);
            pair.secrets.push_back(secret);
            if pair.secrets.len() > REMEMBERED_SECRETS {
                pair.secrets.pop_front();
            }
        }
        pair.last = now;
        let step = if known {
            settings.first_delay
        } else {
            growing(settings, pair.count)
        };
        // one behind the other, but a repeated password only behind itself
        let from = if known { now } else { pair.answered.max(now) };
        let answer = from.checked_add(step).unwrap_or(now);
        pair.answered = pair.answered.max(answer);
        let mut delay = answer.saturating_duration_since(now);
        if !self.is_good(network, now) {
            let failures = self.networks.entry(&network, now);
            failures.count = failures.count.saturating_add(u32::from(!known));
            failures.last = now;
            delay = delay.max(growing(
                settings,
                failures.count.saturating_sub(FREE_FAILURES),
            ));
        }
        delay.min(MAX_TOTAL_DELAY)
    }

    /// Notes a success: the pair starts anew, and the network is known to be good.
    pub(super) fn succeed(&mut self, account: &Arc<str>, address: IpAddr, now: Instant) {
        let network = network(address);
        self.pairs.0.remove(&(Arc::clone(account), network));
        self.networks.0.remove(&network);
        if self.good.len() >= MAX_ENTRIES && !self.good.contains_key(&network) {
            self.good
                .retain(|_, at| now.saturating_duration_since(*at) < DECAY);
            if self.good.len() >= MAX_ENTRIES {
                self.good.clear();
            }
        }
        self.good.insert(network, now);
    }

    /// True if somebody logged in from there not long ago.
    fn is_good(&self, network: Network, now: Instant) -> bool {
        self.good
            .get(&network)
            .is_some_and(|at| now.saturating_duration_since(*at) < DECAY)
    }
}

/// The wait for the n-th failure: doubling, up to the longest; none for the 0th.
fn growing(settings: PolicySettings, count: u32) -> Duration {
    match count.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => settings
            .first_delay
            .saturating_mul(1 << doublings.min(16))
            .min(settings.max_delay),
    }
}

/// What counts as one client: an IPv4 address, an IPv6 /64.
fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn account(name: &str) -> Arc<str> {
        name.into()
    }

    fn secs(delay: Duration) -> u64 {
        delay.as_secs()
    }

    #[test]
    fn guessing_grows_slower_and_one_old_password_does_not() {
        let (mut policy, mut now) = (Policy::new(PolicySettings::default()), Instant::now());
        for _ in 0..5000 {
            assert_eq!(secs(policy.fail(&account("anna"), OFFICE, [1; 16], now)), 1);
            now += Duration::from_secs(2);
        }
        assert_eq!(
            secs(policy.fail(&account("bruno"), OFFICE, [1; 16], now)),
            1,
            "others are undisturbed"
        );
        let mut guesses = Vec::new();
        for guess in 0..6 {
            now += Duration::from_secs(100);
            guesses.push(secs(policy.fail(
                &account("anna"),
                OFFICE,
                [100 + guess; 16],
                now,
            )));
        }
        assert_eq!(guesses, [2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn guessing_side_by_side_is_no_faster() {
        let (mut policy, now) = (Policy::new(PolicySettings::default()), Instant::now());
        let delays: Vec<_> = (0..5)
            .map(|guess| secs(policy.fail(&account("anna"), OFFICE, [guess; 16], now)))
            .collect();
        assert_eq!(delays, [1, 3, 7, 15, 30]);
    }

    #[test]
    fn many_accounts_from_one_network_are_slowed_unless_it_is_known() {
        let (mut policy, now) = (Policy::new(PolicySettings::default()), Instant::now());
        let spray = |policy: &mut Policy, at: Instant| {
            (0..20)
                .map(|n| secs(policy.fail(&account(&format!("u{n}")), OFFICE, [n; 16], at)))
                .max()
        };
        assert_eq!(spray(&mut policy, now), Some(15));
        policy.succeed(&account("anna"), OFFICE, now);
        assert_eq!(
            spray(&mut policy, now + DECAY - Duration::from_secs(1)),
            Some(1),
            "the same wrong passwords"
        );
        assert_eq!(
            spray(&mut policy, now + DECAY * 3),
            Some(15),
            "forgotten after a while"
        );
    }

    #[test]
    fn success_and_silence_forgive() {
        let (mut policy, now) = (Policy::new(PolicySettings::default()), Instant::now());
        for guess in 0..5 {
            policy.fail(&account("anna"), OFFICE, [guess; 16], now);
        }
        policy.succeed(&account("anna"), OFFICE, now);
        assert_eq!(secs(policy.fail(&account("anna"), OFFICE, [9; 16], now)), 1);
        assert_eq!(
            secs(policy.fail(&account("anna"), OFFICE, [10; 16], now + DECAY)),
            1
        );
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_tables_are_bounded() {
        let (mut policy, now) = (Policy::new(PolicySettings::default()), Instant::now());
        let address = |n: u128| IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | n));
        assert_eq!(
            secs(policy.fail(&account("anna"), address(1), [1; 16], now)),
            1
        );
        assert_eq!(
            secs(policy.fail(
                &account("anna"),
                address(2),
                [2; 16],
                now + Duration::from_secs(9)
            )),
            2
        );
        for n in 0..MAX_ENTRIES as u128 + 10 {
            policy.fail(
                &account("anna"),
                address(n << 64),
                [1; 16],
                now + Duration::from_secs(10),
            );
        }
        assert!(policy.pairs.0.len() <= MAX_ENTRIES && policy.networks.0.len() <= MAX_ENTRIES);
    }
}
