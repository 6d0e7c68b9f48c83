//! Views against clients: whatever happens to a mailbox, a client that believes what its view tells it ends up with the truth.

use super::flag::{FlagAction, Flags, SystemFlag};
use super::id::{ModSeq, Uid, UidValidity};
use super::messages::{MAX_CHANGES, Messages};
use super::uid_set::UidSet;
use super::view::{Changes, Events, Expunges, View};
use proptest::prelude::*;

/// What a client keeps: the flags of each message by number, and what it was last told of recent ones. UIDs only to compare.
#[derive(Debug, Default)]
struct Client {
    messages: Vec<(Uid, Flags)>,
    recent: u32,
}

/// A connection: the server's side and the client's.
#[derive(Debug)]
struct Connection {
    view: View,
    client: Client,
    claims: bool,
    /// Every UID that this connection was ever shown as recent.
    shown_recent: UidSet,
}

impl Connection {
    fn open(messages: &mut Messages, claims: bool) -> Self {
        let view = View::open(messages, claims);
        let client = Client {
            messages: view
                .iter()
                .map(|(_, uid)| (uid, messages.flags(uid).unwrap()))
                .collect(),
            recent: view.recent_count(),
        };
        let mut connection = Self {
            view,
            client,
            claims,
            shown_recent: UidSet::new(),
        };
        connection.note_recent();
        connection
    }

    fn note_recent(&mut self) {
        let recent = self.view.iter().map(|(_, uid)| uid);
        self.shown_recent
            .extend(recent.filter(|uid| self.view.is_recent(*uid)));
    }

    fn sync(&mut self, messages: &mut Messages, expunges: Expunges) -> Changes {
        let changes = self.view.sync(messages, expunges, self.claims);
        if expunges == Expunges::Hold {
            assert!(changes.expunged.is_empty());
        }
        let mut before = u32::MAX;
        for (seq_num, uid) in &changes.expunged {
            assert!(seq_num.value() < before, "falling: {changes:?}");
            before = seq_num.value();
            let (removed, _) = self.client.messages.remove(seq_num.index());
            assert_eq!(removed, *uid);
        }
        if let Some(exists) = changes.exists {
            assert!(exists as usize > self.client.messages.len());
            for seq in self.client.messages.len()..exists as usize {
                let uid = self.view.uid_of(super::id::SeqNum::at(seq)).unwrap();
                // a client fetches what is new at once
                self.client
                    .messages
                    .push((uid, messages.flags(uid).unwrap()));
            }
        }
        assert_eq!(self.client.messages.len(), self.view.len() as usize);
        for (seq_num, uid) in &changes.flags {
            let (known, flags) = &mut self.client.messages[seq_num.index()];
            assert_eq!(known, uid);
            *flags = messages.flags(*uid).unwrap();
        }
        self.client.recent = changes.recent.unwrap_or(self.client.recent);
        assert_eq!(self.client.recent, self.view.recent_count());
        self.note_recent();
        self.check_numbers();
        assert!(self.view.is_current(messages, expunges));
        assert!(self.view.sync(messages, expunges, self.claims).is_empty());
        self.check_settled(messages);
        changes
    }

    /// Up to the mod-sequence that the view is sure of, the client knows the truth.
    fn check_settled(&self, messages: &Messages) {
        let settled = self.view.settled();
        for (at, uid) in messages.uids().iter().enumerate() {
            if messages.mod_seq_at(at) <= settled {
                let believed = self.client.messages.iter().find(|(known, _)| known == uid);
                assert_eq!(believed, Some(&(*uid, messages.flags_at(at))));
            }
        }
        if let Some(expunged) = messages.expunged_since(settled) {
            let unknown = (self.client.messages.iter())
                .find(|(uid, _)| messages.position(*uid).is_none() && !expunged.contains(*uid));
            assert_eq!(unknown, None);
        }
    }

    /// Numbers and UIDs of the view are those of the client, by every way of asking.
    fn check_numbers(&self) {
        let known: Vec<(u32, u32)> = (1..)
            .zip(&self.client.messages)
            .map(|(number, (uid, _))| (number, uid.value()))
            .collect();
        let plain = |(seq, uid): (super::id::SeqNum, Uid)| (seq.value(), uid.value());
        assert_eq!(self.view.iter().map(plain).collect::<Vec<_>>(), known);
        assert_eq!(
            self.view
                .numbered(1, u32::MAX)
                .map(plain)
                .collect::<Vec<_>>(),
            known
        );
        for (number, uid) in &known {
            let (seq, uid) = (
                super::id::SeqNum::new(*number).unwrap(),
                Uid::new(*uid).unwrap(),
            );
            assert_eq!(self.view.seq_of(uid), Some(seq));
            assert_eq!(self.view.uid_of(seq), Some(uid));
        }
        for (first, last) in [(2, 3), (0, 1), (3, 2), (4, u32::MAX)] {
            let within = |key: fn(&(u32, u32)) -> u32| {
                let inside = known
                    .iter()
                    .filter(move |pair| (first..=last).contains(&key(pair)));
                inside.copied().collect::<Vec<_>>()
            };
            let by_uid = self.view.uids_within(first, last).map(plain);
            assert_eq!(by_uid.collect::<Vec<_>>(), within(|pair| pair.1));
            let by_number = self.view.numbered(first, last).map(plain);
            assert_eq!(by_number.collect::<Vec<_>>(), within(|pair| pair.0));
        }
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// Messages arrive; the gap is left out in the UIDs before them.
    Arrive {
        messages: u32,
        gap: u32,
        recent: bool,
    },
    /// A connection stores flags in messages that it believes in; silently or not.
    Store {
        connection: usize,
        which: u64,
        flag: usize,
        action: FlagAction,
        silent: bool,
    },
    /// Somebody else removes messages.
    Expunge { which: u64 },
    /// More changes than the log remembers.
    Flood,
    /// A connection is told.
    Sync {
        connection: usize,
        expunges: Expunges,
    },
    /// A connection wants to hear of other things.
    Want { connection: usize, events: Events },
    /// A connection selects anew.
    Reopen { connection: usize, claims: bool },
}

const CONNECTIONS: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    let expunges = prop_oneof![Just(Expunges::Tell), Just(Expunges::Hold)];
    let events = prop_oneof![
        Just(Events::None),
        Just(Events::Messages),
        Just(Events::All)
    ];
    let action = prop_oneof![
        Just(FlagAction::Add),
        Just(FlagAction::Remove),
        Just(FlagAction::Replace)
    ];
    prop_oneof![
        4 => (1..4_u32, 0..3_u32, any::<bool>())
            .prop_map(|(messages, gap, recent)| Event::Arrive { messages, gap, recent }),
        6 => (0..CONNECTIONS, any::<u64>(), 0..7_usize, action, any::<bool>())
            .prop_map(|(connection, which, flag, action, silent)| {
                Event::Store { connection, which, flag, action, silent }
            }),
        4 => any::<u64>().prop_map(|which| Event::Expunge { which }),
        1 => Just(Event::Flood),
        6 => (0..CONNECTIONS, expunges)
            .prop_map(|(connection, expunges)| Event::Sync { connection, expunges }),
        2 => (0..CONNECTIONS, events)
            .prop_map(|(connection, events)| Event::Want { connection, events }),
        1 => (0..CONNECTIONS, any::<bool>())
            .prop_map(|(connection, claims)| Event::Reopen { connection, claims }),
    ]
}

/// True for about a quarter of the messages, chosen by the bits.
fn chosen(which: u64, uid: Uid) -> bool {
    let place = uid.value() % 32;
    which >> place & 1 == 1 && which >> (place + 32) & 1 == 1
}

fn flag(number: usize) -> Flags {
    match SystemFlag::ALL.get(number) {
        Some(flag) => Flags::NONE.with(*flag),
        None => Flags::NONE.with_keyword(number),
    }
}

fn mailbox() -> Messages {
    Messages::new(UidValidity::new(1).unwrap(), Uid::MIN, ModSeq(1))
}

/// The mailbox, its connections, and who claimed what.
struct World {
    messages: Messages,
    connections: Vec<Connection>,
    /// Every UID that was ever marked as recent.
    marked: UidSet,
    /// Shown as recent by connections that have been closed since, and claimed.
    claimed_before: Vec<UidSet>,
}

impl World {
    fn new() -> Self {
        let mut messages = mailbox();
        let connections = (0..CONNECTIONS)
            .map(|n| Connection::open(&mut messages, n != 1))
            .collect();
        Self {
            messages,
            connections,
            marked: UidSet::new(),
            claimed_before: Vec::new(),
        }
    }

    fn run(&mut self, event: &Event) {
        match *event {
            Event::Arrive {
                messages,
                gap,
                recent,
            } => self.arrive(messages, gap, recent),
            Event::Store {
                connection,
                which,
                flag: number,
                action,
                silent,
            } => {
                self.store(connection, which, flag(number), action, silent);
            }
            Event::Expunge { which } => {
                let uids = self.messages.uids().iter().copied();
                let gone: UidSet = uids.filter(|uid| chosen(which, *uid)).collect();
                self.messages.expunge(&gone);
            }
            Event::Flood => {
                let Some(uid) = self.messages.uids().first().copied() else {
                    return;
                };
                for n in 0..=MAX_CHANGES {
                    self.messages.set_flags([(uid, flag(n % 2))]);
                }
            }
            Event::Sync {
                connection,
                expunges,
            } => {
                self.connections[connection].sync(&mut self.messages, expunges);
            }
            Event::Want { connection, events } => self.connections[connection].view.want(events),
            Event::Reopen { connection, claims } => {
                let opened = Connection::open(&mut self.messages, claims);
                let closed = std::mem::replace(&mut self.connections[connection], opened);
                if closed.claims {
                    self.claimed_before.push(closed.shown_recent);
                }
            }
        }
    }

    fn arrive(&mut self, messages: u32, gap: u32, recent: bool) {
        let first = self.messages.uid_next().value() + gap;
        let uids: Vec<Uid> = (first..first + messages).filter_map(Uid::new).collect();
        self.messages
            .arrive(uids.iter().map(|uid| (*uid, Flags::NONE, None)));
        if recent {
            self.marked.extend(uids.iter().copied());
            self.messages.mark_recent(uids);
        }
    }

    /// STORE as a session does it.
    fn store(
        &mut self,
        connection: usize,
        which: u64,
        given: Flags,
        action: FlagAction,
        silent: bool,
    ) {
        let Connection { view, client, .. } = &mut self.connections[connection];
        let mut new_flags = Vec::new();
        for (uid, believed) in &mut client.messages {
            let Some(flags) = self.messages.flags(*uid).filter(|_| chosen(which, *uid)) else {
                continue;
            };
            new_flags.push((*uid, action.apply(flags, given)));
            if silent {
                *believed = action.apply(*believed, given);
            }
        }
        if let Some(mod_seq) = self.messages.set_flags(new_flags)
            && silent
        {
            view.silence(mod_seq);
        }
    }

    /// In the end all are told, and all know the truth.
    fn settle(mut self) {
        let truth: Vec<(Uid, Flags)> = self
            .messages
            .uids()
            .iter()
            .map(|uid| (*uid, self.messages.flags(*uid).unwrap()))
            .collect();
        for connection in &mut self.connections {
            connection.view.want(Events::All);
            connection.sync(&mut self.messages, Expunges::Tell);
            assert_eq!(connection.client.messages, truth);
        }
        // a recent message belongs to one claiming connection, or to none if it was gone before anyone looked
        let claims: Vec<&UidSet> = self
            .connections
            .iter()
            .filter(|connection| connection.claims)
            .map(|connection| &connection.shown_recent)
            .chain(&self.claimed_before)
            .collect();
        for uid in self.marked.iter() {
            let owners = claims.iter().filter(|shown| shown.contains(uid)).count();
            assert!(owners <= 1, "{uid} is recent {owners} times");
            let there = self.messages.position(uid).is_some();
            let waiting = self.messages.recent().contains(uid);
            assert!(!there || owners == 1 || waiting, "{uid} is recent nowhere");
        }
        for shown in claims {
            assert!(shown.iter().all(|uid| self.marked.contains(uid)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clients_end_with_the_truth(events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new();
        for event in &events {
            world.run(event);
        }
        world.settle();
    }
}

/// A mailbox of so many messages and one connection to it.
fn opened(messages: u32) -> World {
    let mut world = World::new();
    world.arrive(messages, 0, true);
    for connection in &mut world.connections {
        connection.sync(&mut world.messages, Expunges::Tell);
    }
    world
}

fn uids(values: impl IntoIterator<Item = u32>) -> UidSet {
    values.into_iter().filter_map(Uid::new).collect()
}

fn numbers<A: Copy, B>(pairs: &[(super::id::SeqNum, B)], of: fn(&B) -> A) -> Vec<(u32, A)> {
    pairs.iter().map(|(seq, b)| (seq.value(), of(b))).collect()
}

#[test]
fn held_expunges_keep_their_numbers_when_messages_arrive() {
    let mut world = opened(4);
    world.messages.expunge(&uids([2, 4]));
    world.arrive(2, 0, false);
    let connection = &mut world.connections[0];
    let held = connection.sync(&mut world.messages, Expunges::Hold);
    assert_eq!(held.exists, Some(6));
    assert_eq!(connection.view.last_uid(), Uid::new(6));
    let told = connection.sync(&mut world.messages, Expunges::Tell);
    assert_eq!(numbers(&told.expunged, |uid| uid.value()), [(4, 4), (2, 2)]);
    assert_eq!((told.exists, told.flags.len()), (None, 0));
    world.settle();
}

#[test]
fn a_message_that_came_and_went_is_never_heard_of() {
    let mut world = opened(1);
    world.arrive(2, 0, true);
    world.messages.expunge(&uids([2]));
    let changes = world.connections[0].sync(&mut world.messages, Expunges::Tell);
    assert_eq!(
        (changes.expunged.len(), changes.exists, changes.recent),
        (0, Some(2), Some(2))
    );
    world.arrive(1, 0, true);
    world.messages.expunge(&uids([4]));
    let changes = world.connections[0].sync(&mut world.messages, Expunges::Tell);
    assert!(changes.is_empty(), "{changes:?}");
    world.settle();
}

#[test]
fn recent_messages_that_go_are_no_longer_counted() {
    let mut world = opened(3);
    assert_eq!(world.connections[0].view.recent_count(), 3);
    world.messages.expunge(&uids([1]));
    let held = world.connections[0].sync(&mut world.messages, Expunges::Hold);
    assert!(held.is_empty(), "{held:?}");
    let told = world.connections[0].sync(&mut world.messages, Expunges::Tell);
    assert_eq!(told.recent, Some(2));
    world.settle();
}

#[test]
fn a_log_that_overflows_while_expunges_are_held_loses_none() {
    let mut world = opened(5);
    world.messages.expunge(&uids([2]));
    world.run(&Event::Flood);
    world.connections[0].sync(&mut world.messages, Expunges::Hold);
    world.messages.expunge(&uids([4]));
    world.run(&Event::Flood);
    assert!(world.messages.changes_since(ModSeq(3)).is_none());
    let told = world.connections[0].sync(&mut world.messages, Expunges::Tell);
    assert_eq!(numbers(&told.expunged, |uid| uid.value()), [(4, 4), (2, 2)]);
    assert_eq!(numbers(&told.flags, |uid| uid.value()), [(1, 1)]);
    world.settle();
}

#[test]
fn silence_covers_the_own_change_only() {
    let mut world = opened(2);
    let first = Uid::MIN;
    world.messages.set_flags([(first, flag(0))]);
    let own = world.messages.set_flags([(first, flag(0).union(flag(1)))]);
    world.connections[0].view.silence(own.unwrap());
    world.connections[0].client.messages[0].1 = flag(1);
    let changes = world.connections[0].sync(&mut world.messages, Expunges::Hold);
    assert_eq!(numbers(&changes.flags, |uid| uid.value()), [(1, 1)]);

    let own = world.messages.set_flags([(first, Flags::NONE)]);
    world.connections[0].view.silence(own.unwrap());
    world.connections[0].client.messages[0].1 = Flags::NONE;
    let changes = world.connections[0].sync(&mut world.messages, Expunges::Hold);
    assert!(changes.is_empty(), "{changes:?}");
    world.settle();
}

#[test]
fn many_gaps_are_removed_in_linear_time() {
    const MESSAGES: u32 = 300_000;
    let mut world = opened(0);
    world.arrive(MESSAGES, 0, false);
    world.messages.expunge(&uids((1..MESSAGES).step_by(3)));
    let mut view = View::open(&mut world.messages, false);
    world.messages.expunge(&uids((2..MESSAGES).step_by(3)));
    let changes = view.sync(&mut world.messages, Expunges::Tell, false);
    assert_eq!(changes.expunged.len(), (MESSAGES / 3) as usize);
    assert_eq!(view.len(), MESSAGES / 3);
}
