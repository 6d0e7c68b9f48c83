//! Notes about messages, in memory and in the index.
//!
//! What was used last is in memory, within a bound for all accounts; all of it is in the index, if there is one. A mailbox that is opened
//! anew begins with none in memory.
//!
//! In the index a note stands behind a sum over the base name of the message's file: where a UID list was put back from a copy, a UID may
//! be given to another message, of which the note is not.

use super::open_mailbox::OpenMailbox;
use super::scribe;
use crate::index::Index;
use crate::mailbox::notes::{Kind, Page, PageId, PageNumber, Row, Sheet, with_rows};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a page takes beside its own weight, in octets.
const WEIGHT_OF_ENTRY: usize = 100;

/// Pages of notes in memory.
#[derive(Debug)]
pub(super) struct NoteCache {
    max_octets: usize,
    mailboxes: AtomicU64,
    pages: Mutex<Pages>,
}

/// What a mailbox has to do with notes.
#[derive(Debug)]
pub(super) struct NotesOf {
    /// What it is called among the pages in memory.
    id: u64,
    /// The pages that the index has; none as long as nobody asked.
    remembered: Mutex<Option<HashSet<PageId>>>,
}

/// Which page, of which mailbox.
type PageKey = (u64, PageId);

/// The pages. Those that were used since they were looked at last get a second chance when one has to go.
#[derive(Debug, Default)]
struct Pages {
    entries: HashMap<PageKey, Entry>,
    /// In the order in which they are looked at.
    queue: VecDeque<PageKey>,
    octets: usize,
}

/// A page in memory.
#[derive(Debug)]
struct Entry {
    page: Arc<Page>,
    is_used: bool,
}

impl Entry {
    fn weight(&self) -> usize {
        self.page.weight() + WEIGHT_OF_ENTRY
    }
}

impl NoteCache {
    /// A cache of so many octets.
    pub(super) fn new(max_octets: usize) -> Self {
        Self {
            max_octets,
            mailboxes: AtomicU64::new(0),
            pages: Mutex::default(),
        }
    }

    /// A name for a mailbox that no other one had.
    pub(super) fn of_new_mailbox(&self) -> NotesOf {
        NotesOf {
            id: self.mailboxes.fetch_add(1, Ordering::Relaxed),
            remembered: Mutex::default(),
        }
    }

    /// Pages, as far as they are in memory.
    fn find(&self, id: u64, ids: &[PageId]) -> Vec<Option<Arc<Page>>> {
        let mut pages = self.lock();
        let find = |page: &PageId| {
            let entry = pages.entries.get_mut(&(id, *page))?;
            entry.is_used = true;
            Some(Arc::clone(&entry.page))
        };
        ids.iter().map(find).collect()
    }

    /// Puts pages there.
    fn put(&self, id: u64, new: &[(PageId, Arc<Page>)]) {
        let mut pages = self.lock();
        for (page_id, page) in new {
            pages.put((id, *page_id), Arc::clone(page));
        }
        pages.shrink(self.max_octets);
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn put(&mut self, key: PageKey, page: Arc<Page>) {
        let entry = Entry {
            page,
            is_used: false,
        };
        self.octets += entry.weight();
        match self.entries.insert(key, entry) {
            Some(before) => self.octets -= before.weight(),
            None => self.queue.push_back(key),
        }
    }

    fn shrink(&mut self, max_octets: usize) {
        while self.octets > max_octets
            && let Some(key) = self.queue.pop_front()
        {
            match self.entries.get_mut(&key) {
                Some(entry) if entry.is_used => {
                    entry.is_used = false;
                    self.queue.push_back(key);
                }
                Some(_) | None => {
                    let gone = self.entries.remove(&key);
                    self.octets -= gone.map_or(0, |entry| entry.weight());
                }
            }
        }
    }
}

impl OpenMailbox {
    /// See [`crate::mailbox::backend::Mailbox::notes`].
    pub(super) fn find_notes(&self, kinds: &[Kind], numbers: &[PageNumber]) -> Vec<Sheet> {
        let cache = &self.account.store.notes;
        let ids: Vec<PageId> = (numbers.iter())
            .flat_map(|number| kinds.iter().map(|kind| (*kind, *number)))
            .collect();
        let mut found = cache.find(self.notes.id, &ids);
        if found.iter().any(Option::is_none) {
            let mut read = Vec::new();
            let missing = ids
                .iter()
                .zip(&mut found)
                .filter(|(_, page)| page.is_none());
            let (missing, places): (Vec<PageId>, Vec<_>) = missing.unzip();
            for ((id, place), page) in missing
                .iter()
                .zip(places)
                .zip(self.remembered_notes(&missing))
            {
                if let Some(page) = page.map(Arc::new) {
                    read.push((*id, Arc::clone(&page)));
                    *place = Some(page);
                }
            }
            cache.put(self.notes.id, &read);
        }
        found
            .chunks(kinds.len().max(1))
            .map(|pages| {
                Sheet::new(
                    pages
                        .iter()
                        .map(|page| page.clone().unwrap_or_default())
                        .collect(),
                )
            })
            .collect()
    }

    /// What the index has, in the order of the pages.
    fn remembered_notes(&self, ids: &[PageId]) -> Vec<Option<Page>> {
        let nothing = || vec![None; ids.len()];
        if let Some(remembered) = &*self.noted()
            && !ids.iter().any(|id| remembered.contains(id))
        {
            return nothing();
        }
        let Ok(mut disk) = self.disk() else {
            return nothing();
        };
        let Some((index, key)) = self.indexed(&mut disk) else {
            return nothing();
        };
        let root = self.account.folders.root();
        let remembered = match index.noted(root, &key) {
            Ok(pages) => pages.into_iter().collect::<HashSet<_>>(),
            Err(_) => return nothing(),
        };
        let is_any = ids.iter().any(|id| remembered.contains(id));
        *self.noted() = Some(remembered);
        let found = is_any.then(|| index.notes(root, &key, ids));
        let mut found = found.and_then(Result::ok).unwrap_or_else(nothing);
        for (page, (_, number)) in found.iter_mut().zip(ids) {
            *page = page.take().map(|page| self.unbound(&page, *number));
        }
        found
    }

    /// Binds notes to the messages that they are about.
    fn bound(&self, page: &Page, number: PageNumber) -> Page {
        let files = self.files();
        let mut octets = Vec::with_capacity(2 * page.weight());
        let mut ends = Vec::new();
        for (uid, note) in page.entries(number) {
            if let Some(at) = files.position(uid) {
                let start = octets.len();
                octets.extend(name_sum(files.base(at)));
                octets.extend_from_slice(note);
                ends.push((uid, start..octets.len()));
            }
        }
        let notes = ends.into_iter();
        Page::default().with(notes.filter_map(|(uid, range)| Some((uid, octets.get(range)?))))
    }

    /// The notes that are about messages that are there.
    fn unbound(&self, page: &Page, number: PageNumber) -> Page {
        let files = self.files();
        Page::default().with(page.entries(number).filter_map(|(uid, bound)| {
            let sum = name_sum(files.base(files.position(uid)?));
            Some((uid, bound.strip_prefix(&sum)?))
        }))
    }

    /// See [`crate::mailbox::backend::Mailbox::keep_notes`].
    pub(super) fn add_notes(&self, kinds: &[Kind], rows: &[(PageNumber, Vec<Row>)]) -> Vec<Sheet> {
        let numbers: Vec<PageNumber> = rows.iter().map(|(number, _)| *number).collect();
        let mut sheets = self.find_notes(kinds, &numbers);
        let mut pages = Vec::new();
        for (sheet, (number, rows)) in sheets.iter_mut().zip(rows) {
            *sheet = with_rows(sheet, rows);
            let of_sheet = kinds.iter().zip(sheet.pages());
            pages.extend(of_sheet.map(|(kind, page)| ((*kind, *number), Arc::clone(page))));
        }
        self.account.store.notes.put(self.notes.id, &pages);
        self.write_notes(&pages);
        sheets
    }

    /// Has pages of notes written to the index.
    fn write_notes(&self, pages: &[(PageId, Arc<Page>)]) {
        let Ok(mut disk) = self.disk() else {
            return;
        };
        let Some((index, key)) = self.indexed(&mut disk) else {
            return;
        };
        drop(disk);
        let bound = (pages.iter()).map(|(id, page)| (*id, Arc::new(self.bound(page, id.1))));
        let bound = scribe::Pages {
            root: self.account.folders.root().into(),
            key,
            pages: bound.collect(),
        };
        // if that fails, they are not found there, and made again when they are wanted
        if let Some(remembered) = &mut *self.noted() {
            remembered.extend(pages.iter().map(|(id, _)| *id));
        }
        if let Some(bound) = self.account.store.scribe.take(bound) {
            write(index, &bound);
        }
    }

    /// The pages that the index has.
    fn noted(&self) -> MutexGuard<'_, Option<HashSet<PageId>>> {
        self.notes
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes pages of notes to the index.
pub(super) fn write(index: &dyn Index, pages: &scribe::Pages) {
    if let Err(error) = index.keep_notes(&pages.root, &pages.key, &pages.pages) {
        tracing::debug!(%error, "notes_not_kept");
    }
}

/// A sum over a base name. Another release may count another way: then notes are made anew.
fn name_sum(base: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(base);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::id::Uid;

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    #[test]
    fn what_is_used_stays_longest_within_the_bound() {
        let note = [0_u8; 1000];
        let page = Arc::new(Page::default().with([(uid(1), note.as_slice())]));
        let room = 3 * (page.weight() + WEIGHT_OF_ENTRY);
        let cache = NoteCache::new(room);
        let (of, other) = (cache.of_new_mailbox().id, cache.of_new_mailbox().id);
        let id = |n: u32| (Kind::Size, PageNumber::new(n));
        let has = |of, n| cache.find(of, &[id(n)]) != [None];
        for n in 1..=3 {
            cache.put(of, &[(id(n), Arc::clone(&page))]);
        }
        assert!(has(of, 1) && !has(other, 1));
        cache.put(of, &[(id(4), page)]);
        assert_eq!(
            [1, 2, 3, 4].map(|n| has(of, n)),
            [true, false, true, true],
            "the one that nobody used goes first"
        );
        assert!(cache.lock().octets <= room);
        // the same page again takes no more room
        cache.put(of, &[(id(4), Arc::default())]);
        assert_eq!(cache.lock().entries.len(), 3);
    }
}
