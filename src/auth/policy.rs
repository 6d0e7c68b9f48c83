//! How long guessing takes.
//!
//! Failures are counted for each pair of account and network (IPv4 address, IPv6 /64), and, with some for free, for the network, for the
//! wider network around it (/24, /48) and for the account as a whole. They cost time twice over:
//!
//! - **Before the check** ([`Policy::admit`]): the next password of a pair is not looked at until the answer to the last failure was
//!   due. Guessing over many connections, or hanging up early, is no faster than guessing over one.
//! - **After it** ([`Policy::fail`]): the answer to a failure waits.
//!
//! What keeps the innocent out of it:
//!
//! - The same wrong password again does not count again: a phone with an old password neither locks out its owner's other devices nor
//!   its neighbours.
//! - A password that was right for its pair lately is checked at once, whatever others behind the same address do.
//! - A network from which somebody logged in within [`TRUST`] is not counted as a network.
//! - Nothing is ever barred: what would have to wait longer than [`MAX_WAIT`] is told to come again, as a temporary failure.
//!
//! Only digests under a key of this process are kept ([`super::keyed`]). Tables are bounded and forget.

use super::keyed::Digest;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wait after the first failure.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Longest wait that one more failure adds.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(15);

/// Longest wait before a check, and after it; together below the minute that clients give a login.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Silence after which failures are forgotten.
const DECAY: Duration = Duration::from_secs(15 * 60);

/// How long a success speaks for its network and its password: a phone that is off for a night stays known.
const TRUST: Duration = Duration::from_secs(24 * 60 * 60);

/// Failures of a network that cost nothing yet: an office behind one address mistypes now and then.
const FREE_OF_NETWORK: u32 = 10;

/// The same for a wider network, and for one account from all networks together.
const FREE_OF_MANY: u32 = 100;

/// Entries of each table; the longest unused make room.
const MAX_ENTRIES: usize = 50_000;

/// Wrong, and right, passwords of a pair that are remembered.
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

impl PolicySettings {
    /// The wait for the n-th failure that costs something: doubling, up to the longest; none for the 0th.
    fn growing(&self, nth: u32) -> Duration {
        match nth.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self
                .first_delay
                .saturating_mul(1 << doublings.min(16))
                .min(self.max_delay),
        }
    }
}

/// Who tries what from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try {
    /// Digest of the account's name, also where there is no such account.
    pub(super) account: Digest,
    /// The client.
    pub(super) address: IpAddr,
    /// Digest of account and password.
    pub(super) secret: Digest,
}

/// A try's place in the queue of its pair and network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// How long the check waits.
    pub(super) wait: Duration,
    /// When the answer is due if it is a failure, where that is settled already.
    answer: Option<Instant>,
}

/// What is remembered of a pair, network or account.
#[derive(Debug)]
struct Row {
    /// Failures, each wrong password once.
    count: u32,
    /// When it was last used.
    last: Instant,
    /// When the last answer to a failure is due.
    answered: Instant,
    /// Until when a success speaks for it.
    trusted: Option<Instant>,
    /// The last wrong passwords; pairs only.
    wrong: VecDeque<Digest>,
    /// The last right passwords; pairs only.
    right: VecDeque<Digest>,
}

impl Row {
    /// Nothing known.
    fn new(now: Instant) -> Self {
        Self {
            count: 0,
            last: now,
            answered: now,
            trusted: None,
            wrong: VecDeque::new(),
            right: VecDeque::new(),
        }
    }

    /// Forgets what is old.
    fn settle(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) >= DECAY {
            self.count = 0;
            self.wrong.clear();
        }
        if self.trusted.is_some_and(|until| until <= now) {
            self.trusted = None;
            self.right.clear();
        }
    }

    /// Takes a place behind the failures so far, those for free left out; none if that is too far off.
    fn queue(&mut self, free: u32, settings: &PolicySettings, now: Instant) -> Option<Turn> {
        let costly = self.count.saturating_sub(free);
        if costly == 0 {
            return Some(Turn::default());
        }
        let wait = self.answered.saturating_duration_since(now);
        if wait > MAX_WAIT {
            return None;
        }
        let answer = self.delay_answer(settings.growing(costly.saturating_add(1)), now);
        Some(Turn {
            wait,
            answer: Some(answer),
        })
    }

    /// Puts one more answer behind the others.
    fn delay_answer(&mut self, delay: Duration, now: Instant) -> Instant {
        let from = self.answered.max(now);
        self.answered = from.checked_add(delay).unwrap_or(from);
        self.answered
    }

    /// Notes a failure; tells how many cost something, those for free left out.
    fn count(&mut self, free: u32, now: Instant) -> u32 {
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.count.saturating_sub(free)
    }

    /// Notes a success.
    fn trust(&mut self, now: Instant) {
        self.count = 0;
        self.last = now;
        self.answered = now;
        self.trusted = now.checked_add(TRUST);
    }
}

/// Puts a digest among the last few.
fn remember(digests: &mut VecDeque<Digest>, digest: Digest) {
    if digests.contains(&digest) {
        return;
    }
    if digests.len() >= REMEMBERED_SECRETS {
        digests.pop_front();
    }
    digests.push_back(digest);
}

/// A table of bounded size.
#[derive(Debug)]
struct Table<K>(HashMap<K, Row>);

impl<K: Hash + Eq + Copy> Table<K> {
    /// The row of a key, if there is one.
    fn find(&mut self, key: &K, now: Instant) -> Option<&mut Row> {
        let row = self.0.get_mut(key)?;
        row.settle(now);
        Some(row)
    }

    /// The row of a key; others make room for a new one.
    fn row(&mut self, key: K, now: Instant) -> &mut Row {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let row = self.0.entry(key).or_insert_with(|| Row::new(now));
        row.settle(now);
        row
    }

    /// Drops what has nothing to tell, or else a quarter: the longest unused, trusted ones last. Rare enough to cost nothing on average.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, row| {
            row.settle(now);
            row.count > 0 || row.trusted.is_some()
        });
        let Some(mut excess) = self.0.len().checked_sub(MAX_ENTRIES / 4 * 3) else {
            return;
        };
        let rank = |row: &Row| (row.trusted.is_some(), row.last);
        let mut ranks: Vec<_> = self.0.values().map(rank).collect();
        let at = excess.min(ranks.len().saturating_sub(1));
        let (_, limit, _) = ranks.select_nth_unstable(at);
        let limit = *limit;
        self.0.retain(|_, row| {
            let goes = excess > 0 && rank(row) <= limit;
            excess -= usize::from(goes);
            !goes
        });
    }

    /// Whether a success speaks for a key.
    fn is_trusted(&mut self, key: &K, now: Instant) -> bool {
        self.find(key, now).is_some_and(|row| row.trusted.is_some())
    }
}

/// Counts failures and gives delays.
#[derive(Debug)]
pub(super) struct Policy {
    /// Waits.
    settings: PolicySettings,
    /// By account and network.
    pairs: Table<(Digest, IpAddr)>,
    /// By network.
    networks: Table<IpAddr>,
    /// By wider network.
    wide: Table<IpAddr>,
    /// By account.
    accounts: Table<Digest>,
}

impl Policy {
    /// Nothing counted yet.
    pub(super) fn new(settings: PolicySettings) -> Self {
        Self {
            settings,
            pairs: Table(HashMap::new()),
            networks: Table(HashMap::new()),
            wide: Table(HashMap::new()),
            accounts: Table(HashMap::new()),
        }
    }

    /// When a password may be looked at; none if that is so far off that the client should come again.
    pub(super) fn admit(&mut self, attempt: &Try, now: Instant) -> Option<Turn> {
        let settings = self.settings;
        if settings.first_delay.is_zero() {
            return Some(Turn::default());
        }
        let network = network(attempt.address);
        let mut turn = Turn::default();
        let mut pair_is_trusted = false;
        if let Some(pair) = self.pairs.find(&(attempt.account, network), now) {
            let known = |digests: &VecDeque<Digest>| digests.contains(&attempt.secret);
            if known(&pair.right) || known(&pair.wrong) {
                return Some(Turn::default());
            }
            turn = pair.queue(0, &settings, now)?;
            pair_is_trusted = pair.trusted.is_some();
        }
        let mut many = 0;
        if !self.networks.is_trusted(&network, now) {
            if let Some(row) = self.networks.find(&network, now) {
                turn = turn.later_of(row.queue(FREE_OF_NETWORK, &settings, now)?);
            }
            let wide = self.wide.find(&wider(network), now);
            many = wide.map_or(0, |row| row.count);
        }
        if !pair_is_trusted {
            let account = self.accounts.find(&attempt.account, now);
            many = many.max(account.map_or(0, |row| row.count));
        }
        turn.wait = turn
            .wait
            .max(settings.growing(many.saturating_sub(FREE_OF_MANY)));
        Some(turn)
    }

    /// Counts a failure and tells how long its answer waits.
    pub(super) fn fail(&mut self, attempt: &Try, turn: Turn, now: Instant) -> Duration {
        let settings = self.settings;
        let network = network(attempt.address);
        let pair = self.pairs.row((attempt.account, network), now);
        pair.right.retain(|secret| *secret != attempt.secret);
        if pair.wrong.contains(&attempt.secret) {
            pair.last = now;
            return settings.first_delay;
        }
        remember(&mut pair.wrong, attempt.secret);
        let nth = pair.count(0, now);
        let settled = turn.answer;
        let mut answer = settled.unwrap_or_else(|| pair.delay_answer(settings.growing(nth), now));
        if pair.trusted.is_none() {
            self.accounts.row(attempt.account, now).count(0, now);
        }
        if !self.networks.is_trusted(&network, now) {
            self.wide.row(wider(network), now).count(0, now);
            let row = self.networks.row(network, now);
            let costly = row.count(FREE_OF_NETWORK, now);
            if settled.is_none() && costly > 0 {
                answer = answer.max(row.delay_answer(settings.growing(costly), now));
            }
        }
        answer.saturating_duration_since(now).min(MAX_WAIT)
    }

    /// Notes a success: it speaks for its password and its network.
    pub(super) fn succeed(&mut self, attempt: &Try, now: Instant) {
        let network = network(attempt.address);
        let pair = self.pairs.row((attempt.account, network), now);
        pair.trust(now);
        pair.wrong.retain(|secret| *secret != attempt.secret);
        remember(&mut pair.right, attempt.secret);
        self.networks.row(network, now).trust(now);
    }
}

impl Turn {
    /// What satisfies both.
    fn later_of(self, other: Self) -> Self {
        Self {
            wait: self.wait.max(other.wait),
            answer: self.answer.max(other.answer),
        }
    }
}

/// What counts as one client: an IPv4 address, an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// What commonly belongs to one provider's customer or host: a /24, a /48.
fn wider(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() >> 8 << 8)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
