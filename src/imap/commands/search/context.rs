//! Live updates of searches (RFC 5267 §4.3): UPDATE, CANCELUPDATE, ADDTO and REMOVEFROM.
//!
//! Results that are expunged are told before the EXPUNGE, while their numbers hold; everything else when the view has taken in what
//! arrived and what changed, and the client has heard of that. Only those messages are looked at again. Positions in the result list are
//! always given, so that a client need not hold the whole of it.
//!
//! A client may ask for data items of messages that arrive and become results (RFC 5465 §7): they are told by FETCH before ADDTO.
//!
//! A message that cannot be read stays what it was. Criteria that speak of the passing time (OLDER, YOUNGER) mean the moment of the command.

use super::program::Program;
use super::subject::{Facts, examine};
use crate::imap::commands::fetch::FetchCursor;
use crate::imap::commands::messages::collapse;
use crate::imap::encode;
use crate::imap::session::reply::{CommandError, CommandResult, Completed};
use crate::imap::session::{Dialect, Progress, Selected};
use crate::imap::types::core::{Octets, Tag};
use crate::imap::types::fetch::FetchItem;
use crate::imap::types::response::{ContextUpdate, Moved, Untagged};
use crate::mailbox::id::{SeqNum, Uid};
use crate::mailbox::uid_set::UidSet;
use crate::mailbox::view::{Changes, View};
use crate::protocol::{HIGH_WATER_OCTETS, Output};
use std::collections::VecDeque;

/// Most searches of one session that are kept up to date. The RFC asks for one at least; each may hold 8 octets for every other message.
const MAX_CONTEXTS: usize = 8;

/// Messages that are looked at in one piece, and that one response may tell of.
const MAX_MESSAGES_A_PIECE: usize = 4096;

/// The same where messages must be read.
const MAX_FILES_A_PIECE: usize = 256;

/// Octets of messages after which a piece ends.
const MAX_OCTETS_A_PIECE: u64 = 16 * 1024 * 1024;

/// The searches of a session that are kept up to date.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    searches: Vec<Context>,
    /// New results that are being told by FETCH.
    telling: Option<Box<Telling>>,
}

/// Messages that are told by FETCH before they are told to be results.
#[derive(Debug)]
struct Telling {
    /// Whose results they are.
    tag: Tag,
    found: Findings,
    /// Those of which something is told.
    arrived: UidSet,
    cursor: FetchCursor,
}

/// A search that is kept up to date.
#[derive(Debug)]
pub(super) struct Context {
    /// The tag of the command.
    pub(super) tag: Tag,
    /// It was a UID SEARCH.
    pub(super) uid: bool,
    /// What is looked for.
    pub(super) program: Program,
    /// What the client believes that it matches.
    pub(super) results: UidSet,
    /// What has arrived or changed and was not looked at yet.
    pub(super) due: UidSet,
    /// What FETCH is to tell of messages that arrive and match; perhaps nothing.
    pub(super) items: Vec<FetchItem>,
    /// Those among `due` that have arrived, and not by the client's own doing.
    pub(super) arrived: UidSet,
}

/// What a look at messages has found out.
#[derive(Debug, Default)]
struct Findings {
    looked_at: UidSet,
    matching: UidSet,
    others: UidSet,
}

impl Contexts {
    /// True if a command with this tag is kept up to date.
    pub(super) fn has(&self, tag: &Tag) -> bool {
        self.searches.iter().any(|context| context.tag == *tag)
    }

    /// Keeps another search up to date; false if there are too many.
    pub(super) fn open(&mut self, context: Context) -> bool {
        let has_room = self.searches.len() < MAX_CONTEXTS;
        if has_room {
            self.searches.push(context);
        }
        has_room
    }

    /// CANCELUPDATE: all of the tags, or none.
    ///
    /// # Errors
    /// BAD for a tag of which nothing is kept up to date.
    pub(crate) fn cancel(&mut self, tags: &[Octets]) -> CommandResult {
        let is_named = |context: &Context, tag: &Octets| context.tag.as_str().as_bytes() == *tag;
        let is_known = |tag: &Octets| self.searches.iter().any(|context| is_named(context, tag));
        if !tags.iter().all(is_known) {
            return Err(CommandError::bad("no search with this tag is updated"));
        }
        self.searches
            .retain(|context| !tags.iter().any(|tag| is_named(context, tag)));
        Ok(Completed::PLAIN)
    }

    /// Ends the updates that would tell message numbers: after ENABLE UIDONLY there are none (RFC 9586 §3).
    pub(crate) fn forget_numbers(&mut self) {
        self.searches.retain(|context| context.uid);
    }

    /// Notes what a view has taken in that had `last_before` as its last message. Returns what must be told before the expunges are.
    pub(crate) fn note(
        &mut self,
        changes: &Changes,
        last_before: Option<Uid>,
        view: &View,
        own_arrivals: &UidSet,
    ) -> VecDeque<ContextUpdate> {
        let mut updates = VecDeque::new();
        if self.searches.is_empty() {
            return updates;
        }
        let mut due: UidSet = changes.flags.iter().map(|(_, uid)| *uid).collect();
        due.unite(&changes.silent);
        let after = last_before.map_or(1, |uid| uid.value().saturating_add(1));
        let arrived: UidSet = (view.uids_within(after, u32::MAX))
            .map(|(_, uid)| uid)
            .collect();
        due.unite(&arrived);
        let arrived = arrived.difference(own_arrivals);
        if view.last_uid() != last_before {
            // `*` is another one now
            let both = [last_before, view.last_uid()].into_iter().flatten();
            due.extend(both.filter(|uid| view.seq_of(*uid).is_some()));
        }
        for context in &mut self.searches {
            context.due.unite(&due);
            if !context.items.is_empty() {
                context.arrived.unite(&arrived);
            }
            for gone in changes.expunged.rchunks(MAX_MESSAGES_A_PIECE) {
                updates.extend(context.lose(gone));
            }
        }
        updates
    }

    /// True if something was not looked at yet.
    pub(crate) fn is_due(&self) -> bool {
        self.telling.is_some() || self.searches.iter().any(|context| !context.due.is_empty())
    }

    /// True if [`Contexts::advance`] may touch the disk.
    pub(crate) fn needs_disk(&self) -> bool {
        if let Some(telling) = &self.telling {
            return telling.cursor.needs_disk();
        }
        let reads = |context: &Context| !context.due.is_empty() && context.program.reads();
        self.searches.iter().any(reads)
    }

    /// True if the output ends within a response that tells of a message.
    pub(crate) fn is_within_literal(&self) -> bool {
        let telling = self.telling.as_ref();
        telling.is_some_and(|telling| telling.cursor.is_within_literal())
    }

    /// What is being told by FETCH cannot be told now: it is looked at again another time.
    pub(crate) fn put_off(&mut self) {
        if let Some(telling) = self.telling.take()
            && let Some(context) = self.find(&telling.tag)
        {
            context.due.unite(&telling.found.looked_at);
            context.arrived.unite(&telling.arrived);
        }
    }

    fn find(&mut self, tag: &Tag) -> Option<&mut Context> {
        self.searches.iter_mut().find(|context| context.tag == *tag)
    }

    /// Looks at the next messages that are due, and tells what became of the results.
    ///
    /// # Errors
    /// What the store gives in the middle of a message: the connection must be closed.
    pub(crate) fn advance(
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<Progress, CommandError> {
        let mut contexts = std::mem::take(&mut selected.contexts);
        let advanced = contexts.advance_one(selected, dialect, out);
        selected.contexts = contexts;
        advanced?;
        Ok(if selected.contexts.is_due() {
            Progress::More
        } else {
            Progress::Done
        })
    }

    /// The next piece.
    fn advance_one(
        &mut self,
        selected: &mut Selected,
        dialect: Dialect,
        out: &mut Output,
    ) -> Result<(), CommandError> {
        if out.len() >= HIGH_WATER_OCTETS {
            return Ok(());
        }
        let (tag, found) = if let Some(mut telling) = self.telling.take() {
            match telling.cursor.advance(selected, &dialect, out) {
                Ok(Progress::More) => {
                    self.telling = Some(telling);
                    return Ok(());
                }
                Err(error) if telling.cursor.is_within_literal() => return Err(error),
                // what is gone or cannot be read is left out: no command asked for it
                Ok(Progress::Done) | Err(_) => (telling.tag, telling.found),
            }
        } else {
            let mut searches = self.searches.iter_mut();
            let Some(context) = searches.find(|context| !context.due.is_empty()) else {
                return Ok(());
            };
            let found = context.look(selected, dialect);
            let tag = context.tag.clone();
            let arrived = context.arrived.intersection(&found.matching);
            context.arrived = context.arrived.difference(&found.looked_at);
            if !arrived.is_empty() {
                let cursor = context.tell_arrivals(&arrived, selected, dialect);
                self.telling = Some(Box::new(Telling {
                    tag,
                    found,
                    arrived,
                    cursor,
                }));
                return Ok(());
            }
            (tag, found)
        };
        if let Some(context) = self.find(&tag)
            && let Some(update) = context.apply(&found, selected)
        {
            encode::untagged(&Untagged::ContextUpdate(update), dialect.is_utf8(), out);
        }
        Ok(())
    }
}

impl Context {
    /// Messages are expunged; they come with their numbers, falling.
    fn lose(&mut self, gone: &[(SeqNum, Uid)]) -> Option<ContextUpdate> {
        let uids: UidSet = gone.iter().rev().map(|(_, uid)| *uid).collect();
        self.due = self.due.difference(&uids);
        let lost = self.results.intersection(&uids);
        if lost.is_empty() {
            return None;
        }
        self.results = self.results.difference(&lost);
        let rising = gone.iter().rev().filter(|(_, uid)| lost.contains(*uid));
        let removed = moved(&self.results, rising.copied(), self.uid, false);
        Some(self.update(removed, Vec::new()))
    }

    /// Looks at some of the messages that are due.
    fn look(&mut self, selected: &Selected, dialect: Dialect) -> Findings {
        let most = if self.program.reads() {
            MAX_FILES_A_PIECE
        } else {
            MAX_MESSAGES_A_PIECE
        };
        let mut found = Findings::default();
        let facts: Vec<Facts> = {
            let messages = selected.mailbox.read();
            self.program.learn(messages.keywords());
            let next = self.due.iter().take(most);
            next.filter_map(|uid| {
                let facts = Facts::of(uid, &messages, selected, dialect);
                if facts.is_none() {
                    // gone; the results lose it when the client hears of that
                    found.looked_at.insert(uid);
                }
                facts
            })
            .collect()
        };
        let mut octets = 0;
        for group in facts.chunks(super::READ_TOGETHER) {
            let examined = examine(&self.program, group, &*selected.mailbox);
            for (facts, outcome) in group.iter().zip(examined.outcomes) {
                found.looked_at.insert(facts.uid);
                match outcome {
                    Ok(true) => found.matching.insert(facts.uid),
                    Ok(false) => found.others.insert(facts.uid),
                    Err(_) => {}
                }
            }
            octets += examined.octets;
            if octets >= MAX_OCTETS_A_PIECE {
                break;
            }
        }
        self.due = self.due.difference(&found.looked_at);
        found
    }

    /// Begins to tell the data items of results that have arrived, together with those that NOTIFY asked for (RFC 5465 §5.2).
    fn tell_arrivals(
        &self,
        arrived: &UidSet,
        selected: &mut Selected,
        dialect: Dialect,
    ) -> FetchCursor {
        let mut items = self.items.clone();
        if !selected.arrival_items.is_empty() {
            items.extend(selected.arrival_items.iter().cloned());
            selected.own_arrivals.unite(arrived);
        }
        let numbered = |uid| selected.view.seq_of(uid).map(|seq_num| (seq_num, uid));
        let messages = arrived.iter().filter_map(numbered).collect();
        FetchCursor::of_arrivals(messages, items, dialect)
    }

    /// Brings the results up to date; what is to be told of that.
    fn apply(&mut self, found: &Findings, selected: &Selected) -> Option<ContextUpdate> {
        let lost = self.results.intersection(&found.others);
        let won = found.matching.difference(&self.results);
        if lost.is_empty() && won.is_empty() {
            return None;
        }
        let numbered = |uid| selected.view.seq_of(uid).map(|seq_num| (seq_num, uid));
        self.results = self.results.difference(&lost);
        let removed = moved(
            &self.results,
            lost.iter().filter_map(numbered),
            self.uid,
            false,
        );
        let added = moved(
            &self.results,
            won.iter().filter_map(numbered),
            self.uid,
            true,
        );
        self.results.unite(&won);
        Some(self.update(removed, added))
    }

    fn update(&self, removed: Vec<Moved>, added: Vec<Moved>) -> ContextUpdate {
        ContextUpdate {
            tag: self.tag.clone(),
            uid: self.uid,
            removed,
            added,
        }
    }
}

/// Where messages stand in a result list of which they are not, or not any more: those that are neighbours there together. Each position
/// is that after the pairs before it were followed.
fn moved(
    others: &UidSet,
    messages: impl Iterator<Item = (SeqNum, Uid)>,
    uid: bool,
    added: bool,
) -> Vec<Moved> {
    let mut ranges = others.ranges().peekable();
    let (mut below, mut before) = (0_u32, 0_u32);
    let mut groups: Vec<(u32, Vec<u32>)> = Vec::new();
    for (seq_num, message) in messages {
        while let Some(range) = ranges.next_if(|range| *range.end() < message.value()) {
            below = below.saturating_add(range.end() - range.start() + 1);
        }
        let number = if uid {
            message.value()
        } else {
            seq_num.value()
        };
        match groups.last_mut() {
            Some((at, numbers)) if *at == below => numbers.push(number),
            _ => groups.push((below, vec![number])),
        }
    }
    let place = |(below, numbers): (u32, Vec<u32>)| {
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let position = below.saturating_add(before).saturating_add(1);
        before = before.saturating_add(if added { count } else { 0 });
        Moved {
            position,
            messages: collapse(numbers),
        }
    };
    groups.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn uids(values: &BTreeSet<u32>) -> UidSet {
        values.iter().copied().filter_map(Uid::new).collect()
    }

    /// Does what a client does with the pairs: inserts or removes at positions.
    fn follow(list: &mut Vec<u32>, pairs: &[Moved], added: bool) {
        for pair in pairs {
            let at = pair.position as usize - 1;
            for (offset, number) in pair.messages.iter().cloned().flatten().enumerate() {
                if added {
                    list.insert(at + offset, number);
                } else {
                    assert_eq!(list.remove(at), number);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_client_that_follows_positions_has_the_results(
            before in prop::collection::btree_set(1_u32..40, 0..20),
            after in prop::collection::btree_set(1_u32..40, 0..20),
        ) {
            let numbered = |uid: Uid| (SeqNum::at(uid.value() as usize - 1), uid);
            let (old, new) = (uids(&before), uids(&after));
            let kept = old.intersection(&new);
            let (lost, won) = (old.difference(&new), new.difference(&old));
            for uid in [false, true] {
                let mut list: Vec<u32> = before.iter().copied().collect();
                follow(&mut list, &moved(&kept, lost.iter().map(numbered), uid, false), false);
                follow(&mut list, &moved(&kept, won.iter().map(numbered), uid, true), true);
                prop_assert_eq!(&list, &after.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn neighbours_are_told_together() {
        let results = uids(&BTreeSet::from([2734, 2735]));
        let won = [2731, 2732, 2733, 2740].map(|uid| (SeqNum::at(0), Uid::new(uid).unwrap()));
        let told = moved(&results, won.into_iter(), true, true);
        let expected = [(1, vec![2731..=2733]), (6, vec![2740..=2740])];
        let expected = expected.map(|(position, messages)| Moved { position, messages });
        assert_eq!(told, expected);
    }
}
