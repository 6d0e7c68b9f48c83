//! Who is connected, how many may be, and how a connection is told to end.
//!
//! The [`Registry`] knows every connection. A connection takes a [`Seat`] when it is accepted and leaves when that is dropped; its
//! [`Handle`] is what others see of it: the session asks it as its [`Host`], the registry gives it orders.
//!
//! Ceilings: connections in all, connections not logged in per address (IPv6: per /64, which is what one customer has), connections per
//! account. The first two refuse the newcomer. The third makes room, since the old connections of an account are most likely dead ones
//! of a telephone that changed its network: the one that was silent for longest is closed.

use super::{millis, now, unix_time};
use crate::protocol::{Host, Interrupt, Tally, Waker};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Connections in all, by default; needs as many open files and, idle, less than 200 MB.
pub const DEFAULT_CONNECTIONS: usize = 10_000;

/// Connections of one account, by default: several devices whose programs each open five and more.
pub const DEFAULT_PER_ACCOUNT: usize = 50;

/// Connections of one address that are not logged in, by default: a webmail server or an office behind one address.
pub const DEFAULT_PER_ADDRESS: usize = 100;

/// Clients turned away that are told so at the same time; further ones are hung up on.
const TURNED_AWAY_AT_ONCE: usize = 64;

/// Time in which one kind of limit is logged once.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Ceilings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one account.
    pub per_account: usize,
    /// Connections of one address (IPv6: of one /64) that are not logged in.
    pub before_login_per_address: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: DEFAULT_CONNECTIONS,
            per_account: DEFAULT_PER_ACCOUNT,
            before_login_per_address: DEFAULT_PER_ADDRESS,
        }
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Registry {
    settings: LimitSettings,
    /// Beginning of [`Handle::heard_ms`].
    epoch: Instant,
    state: Mutex<State>,
    /// The last connection left.
    emptied: Notify,
}

/// The books.
#[derive(Debug, Default)]
struct State {
    next: u64,
    connections: HashMap<u64, Arc<Handle>>,
    accounts: HashMap<Box<str>, Vec<Arc<Handle>>>,
    /// Not logged in, by address.
    strangers: HashMap<IpAddr, usize>,
    turned_away: usize,
    /// When which limit was logged last, and how often it was hit since.
    logged: HashMap<Limit, (Instant, u64)>,
    stopping: bool,
}

/// A ceiling that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    /// Connections in all.
    Connections,
    /// Connections of one account.
    Account,
    /// Connections of one address that are not logged in.
    Address,
}

impl Limit {
    /// As it is logged.
    const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Account => "connections_per_account",
            Self::Address => "connections_before_login_per_address",
        }
    }

    /// Logs that it was hit; to be called without the lock of the books.
    fn log(self, times: Option<u64>, address: IpAddr, account: Option<&str>) {
        if let Some(times) = times {
            tracing::warn!(limit = self.name(), remote = %address, user = account, times, "limit_reached");
        }
    }
}

/// An order to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// End at the next fitting moment.
    End(Interrupt),
    /// End now, whatever is going on.
    Abort(Interrupt),
}

/// What others see of a connection.
#[derive(Debug)]
pub(super) struct Handle {
    /// Its number in this process.
    pub(super) id: u64,
    remote: SocketAddr,
    registry: Arc<Registry>,
    place: Mutex<Place>,
    order: Mutex<Option<Order>>,
    /// An order was given; told to all who wait.
    pub(super) ordered: Notify,
    /// The session is to be stepped.
    pub(super) woken: Arc<Notify>,
    /// When the client last gave a sign of life, in milliseconds since the registry's epoch.
    heard_ms: AtomicU64,
    tally: Tally,
}

/// Where a connection is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Not logged in.
    Stranger,
    /// Logged in.
    Account(Box<str>),
    /// Turned away; counted nowhere.
    TurnedAway,
}

/// A connection's place in the registry, given up when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    /// The connection's handle.
    pub(super) handle: Arc<Handle>,
}

/// Whether a connection may come in.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may.
    Seated(Seat),
    /// It is to be told that there is no room.
    TurnAway(Seat),
    /// It is to be hung up on.
    HangUp,
}

impl Registry {
    /// An empty registry.
    pub(super) fn new(settings: LimitSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            epoch: now(),
            state: Mutex::default(),
            emptied: Notify::new(),
        })
    }

    /// A connection was accepted.
    pub(super) fn enter(self: &Arc<Self>, remote: SocketAddr) -> Admission {
        let mut state = self.lock();
        if state.stopping {
            return Admission::HangUp;
        }
        let address = network(remote.ip());
        let Some(limit) = self.limit_hit(&state, address) else {
            *state.strangers.entry(address).or_default() += 1;
            return Admission::Seated(self.seat(&mut state, remote, Place::Stranger));
        };
        let times = state.times_to_log(limit);
        let admission = if state.turned_away < TURNED_AWAY_AT_ONCE {
            state.turned_away += 1;
            Admission::TurnAway(self.seat(&mut state, remote, Place::TurnedAway))
        } else {
            Admission::HangUp
        };
        drop(state);
        limit.log(times, remote.ip(), None);
        admission
    }

    /// The ceiling that keeps a newcomer out.
    fn limit_hit(&self, state: &State, address: IpAddr) -> Option<Limit> {
        let strangers = state.strangers.get(&address).copied().unwrap_or_default();
        let seated = state.connections.len().saturating_sub(state.turned_away);
        if seated >= self.settings.connections {
            Some(Limit::Connections)
        } else if strangers >= self.settings.before_login_per_address {
            Some(Limit::Address)
        } else {
            None
        }
    }

    fn seat(self: &Arc<Self>, state: &mut State, remote: SocketAddr, place: Place) -> Seat {
        state.next += 1;
        let handle = Handle::new(state.next, remote, Arc::clone(self), place);
        state.connections.insert(handle.id, Arc::clone(&handle));
        Seat { handle }
    }

    /// Ends all connections of an account.
    pub(super) fn revoke(&self, account: &str) {
        let handles = self.lock().accounts.get(account).cloned();
        for handle in handles.unwrap_or_default() {
            handle.give(Order::End(Interrupt::Revoked));
        }
    }

    /// Lets nobody in any more and ends all connections; with `force` also those that are busy.
    pub(super) fn stop(&self, force: bool) {
        let handles: Vec<_> = {
            let mut state = self.lock();
            state.stopping = true;
            state.connections.values().cloned().collect()
        };
        for handle in handles {
            handle.give(if force {
                Order::Abort(Interrupt::Shutdown)
            } else {
                Order::End(Interrupt::Shutdown)
            });
        }
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Waits until the last connection is gone.
    pub(super) async fn emptied(&self) {
        let mut emptied = std::pin::pin!(self.emptied.notified());
        loop {
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            emptied.as_mut().await;
            emptied.set(self.emptied.notified());
        }
    }

    fn leave(&self, handle: &Handle) {
        let mut state = self.lock();
        let place = std::mem::replace(&mut *handle.lock_place(), Place::TurnedAway);
        match place {
            Place::Stranger => state.forget_stranger(handle.remote.ip()),
            Place::TurnedAway => state.turned_away = state.turned_away.saturating_sub(1),
            Place::Account(account) => state.forget_customer(&account, handle.id),
        }
        let gone = state.connections.remove(&handle.id);
        if state.connections.is_empty() {
            self.emptied.notify_waiters();
        }
        drop(state);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_stranger(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(count) = self.strangers.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&address);
            }
        }
    }

    fn forget_customer(&mut self, account: &str, id: u64) {
        if let Some(handles) = self.accounts.get_mut(account) {
            handles.retain(|other| other.id != id);
            if handles.is_empty() {
                self.accounts.remove(account);
            }
        }
    }

    /// Notes that a limit was hit; how often since it was last logged, if that is to be logged now.
    fn times_to_log(&mut self, limit: Limit) -> Option<u64> {
        let now = now();
        let Some((at, count)) = self.logged.get_mut(&limit) else {
            self.logged.insert(limit, (now, 0));
            return Some(1);
        };
        *count += 1;
        if now.saturating_duration_since(*at) < LOG_EVERY {
            return None;
        }
        *at = now;
        Some(std::mem::take(count))
    }
}

impl Handle {
    fn new(id: u64, remote: SocketAddr, registry: Arc<Registry>, place: Place) -> Arc<Self> {
        let handle = Arc::new(Self {
            id,
            remote,
            registry,
            place: Mutex::new(place),
            order: Mutex::new(None),
            ordered: Notify::new(),
            woken: Arc::default(),
            heard_ms: AtomicU64::new(0),
            tally: Tally::default(),
        });
        handle.heard();
        handle
    }

    /// The client gave a sign of life.
    pub(super) fn heard(&self) {
        let since = now().saturating_duration_since(self.registry.epoch);
        self.heard_ms.store(millis(since), Ordering::Relaxed);
    }

    /// The order given, if any.
    pub(super) fn order(&self) -> Option<Order> {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order; the first counts, but an abort comes before all.
    fn give(&self, order: Order) {
        let mut given = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_none() || matches!(order, Order::Abort(_)) {
            *given = Some(order);
        }
        drop(given);
        self.ordered.notify_waiters();
    }

    fn lock_place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Handle {
    fn waker(&self) -> Waker {
        let woken = Arc::clone(&self.woken);
        Arc::new(move || woken.notify_one())
    }

    fn admit(&self, account: &str) -> Result<(), String> {
        let registry = &self.registry;
        let mut state = registry.lock();
        let mut place = self.lock_place();
        if *place != Place::Stranger {
            return Ok(());
        }
        let Some(this) = state.connections.get(&self.id).cloned() else {
            return Err("The connection is closing".to_owned());
        };
        let others = state.accounts.entry(account.into()).or_default();
        let open = others.iter().filter(|other| other.order().is_none());
        let is_full = open.clone().count() >= registry.settings.per_account;
        let silent = open.min_by_key(|other| other.heard_ms.load(Ordering::Relaxed));
        let has_room = match silent {
            Some(silent) if is_full => {
                silent.give(Order::End(Interrupt::Displaced));
                true
            }
            _ => !is_full,
        };
        if has_room {
            others.push(this);
            *place = Place::Account(account.into());
            state.forget_stranger(self.remote.ip());
        }
        let times = is_full
            .then(|| state.times_to_log(Limit::Account))
            .flatten();
        drop(place);
        drop(state);
        Limit::Account.log(times, self.remote.ip(), Some(account));
        if has_room {
            Ok(())
        } else {
            Err("Too many connections of this account".to_owned())
        }
    }

    fn withdraw(&self) {
        let mut state = self.registry.lock();
        let mut place = self.lock_place();
        if let Place::Account(account) = &*place {
            state.forget_customer(account, self.id);
            *state
                .strangers
                .entry(network(self.remote.ip()))
                .or_default() += 1;
            *place = Place::Stranger;
        }
    }

    fn unix_time(&self) -> i64 {
        unix_time()
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let registry = Arc::clone(&self.handle.registry);
        registry.leave(&self.handle);
    }
}

/// What counts as one address: IPv6 customers have at least a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0_u128 << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, LimitSettings, Order, Registry, Seat, network};
    use crate::protocol::{Host, Interrupt};
    use std::sync::Arc;

    fn registry(connections: usize, per_account: usize, strangers: usize) -> Arc<Registry> {
        Registry::new(LimitSettings {
            connections,
            per_account,
            before_login_per_address: strangers,
        })
    }

    fn seat(registry: &Arc<Registry>, address: &str) -> Seat {
        match registry.enter(address.parse().unwrap()) {
            Admission::Seated(seat) => seat,
            other => panic!("{address}: {other:?}"),
        }
    }

    fn is_turned_away(registry: &Arc<Registry>, address: &str) -> bool {
        matches!(
            registry.enter(address.parse().unwrap()),
            Admission::TurnAway(_)
        )
    }

    #[test]
    fn connections_in_all_are_bounded() {
        let registry = registry(2, 9, 9);
        let first = seat(&registry, "192.0.2.1:1");
        let _second = seat(&registry, "192.0.2.2:1");
        assert!(is_turned_away(&registry, "192.0.2.3:1"));
        drop(first);
        drop(seat(&registry, "192.0.2.3:1"));
    }

    #[test]
    fn strangers_of_one_address_are_bounded_until_they_log_in() {
        let registry = registry(99, 9, 1);
        let first = seat(&registry, "[2001:db8::1]:1");
        assert!(is_turned_away(&registry, "[2001:db8::2]:1"));
        drop(seat(&registry, "[2001:db8:0:1::2]:1"));
        first.handle.admit("anna").unwrap();
        first.handle.admit("anna").unwrap();
        let second = seat(&registry, "[2001:db8::2]:1");
        drop(first);
        assert!(is_turned_away(&registry, "[2001:db8::2]:1"));
        drop(second);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn an_account_makes_room_by_closing_the_longest_silent() {
        let registry = registry(99, 2, 99);
        let seats: Vec<Seat> = (1..=3)
            .map(|n| seat(&registry, &format!("192.0.2.{n}:1")))
            .collect();
        for (seat, heard) in seats.iter().zip([20, 10, 30]) {
            seat.handle
                .heard_ms
                .store(heard, std::sync::atomic::Ordering::Relaxed);
            seat.handle.admit("anna").unwrap();
        }
        let orders: Vec<_> = seats.iter().map(|seat| seat.handle.order()).collect();
        assert_eq!(orders, [None, Some(Order::End(Interrupt::Displaced)), None]);
        let other = seat(&registry, "192.0.2.9:1");
        other.handle.admit("bruno").unwrap();
        registry.revoke("bruno");
        assert_eq!(other.handle.order(), Some(Order::End(Interrupt::Revoked)));
        assert_eq!(seats[0].handle.order(), None);
    }

    #[test]
    fn a_connection_taken_off_its_account_is_a_strangers_again() {
        let registry = registry(99, 1, 2);
        let seat = seat(&registry, "192.0.2.1:1");
        for account in ["anna", "bruno", "anna"] {
            seat.handle.admit(account).unwrap();
            registry.revoke("carla");
            let state = registry.lock();
            assert_eq!(state.accounts.len(), 1);
            assert!(state.accounts.contains_key(account) && state.strangers.is_empty());
            drop(state);
            for _ in 0..2 {
                seat.handle.withdraw();
                let state = registry.lock();
                assert!(state.accounts.is_empty());
                assert_eq!(state.strangers.values().sum::<usize>(), 1);
            }
            registry.revoke(account);
            assert_eq!(seat.handle.order(), None);
        }
        drop(seat);
        assert!(registry.lock().strangers.is_empty());
    }

    #[test]
    fn an_account_without_connections_allowed_is_refused() {
        let registry = registry(99, 0, 99);
        let seat = seat(&registry, "192.0.2.1:1");
        assert!(seat.handle.admit("anna").is_err());
    }

    #[tokio::test]
    async fn stopping_lets_nobody_in_and_waits() {
        let registry = registry(99, 2, 99);
        let first = seat(&registry, "192.0.2.1:1");
        registry.stop(false);
        assert_eq!(first.handle.order(), Some(Order::End(Interrupt::Shutdown)));
        registry.stop(true);
        assert_eq!(
            first.handle.order(),
            Some(Order::Abort(Interrupt::Shutdown))
        );
        assert!(matches!(
            registry.enter("192.0.2.2:1".parse().unwrap()),
            Admission::HangUp
        ));
        let waiting = {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move { registry.emptied().await })
        };
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap();
    }

    #[test]
    fn one_network_counts_as_one_address() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(
                network(address.parse().unwrap()),
                expected.parse::<std::net::IpAddr>().unwrap()
            );
        }
    }
}
