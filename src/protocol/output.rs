//! What a protocol has to send.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::{Deref, DerefMut};

/// Fewest octets that are worth being kept as they are; fewer are copied.
const MIN_RUN_OCTETS: usize = 8 * 1024;

/// Text, and between it long runs of octets that were made elsewhere, which are sent from where they lie.
///
/// Stands for the text behind the last run where a [`Vec`] is wanted: that is where things are appended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// What comes before the text.
    runs: VecDeque<Vec<u8>>,
    /// How many octets that is.
    run_octets: usize,
    /// Nothing of it is gone.
    text: Vec<u8>,
    /// How many of the first octets of the first run are gone.
    gone: usize,
}

impl Output {
    /// How many octets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.run_octets - self.gone + self.text.len()
    }

    /// True if there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends octets, without copying them if they are many.
    pub fn push(&mut self, octets: Vec<u8>) {
        if octets.len() < MIN_RUN_OCTETS {
            self.text.extend_from_slice(&octets);
            return;
        }
        self.end_text();
        self.run_octets += octets.len();
        self.runs.push_back(octets);
    }

    /// Makes the text a run.
    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            self.run_octets += text.len();
            self.runs.push_back(text);
        }
    }

    /// Appends all of what another holds.
    pub fn append(&mut self, mut later: Self) {
        if let Some(first) = later.runs.front_mut() {
            first.drain(..later.gone);
        }
        for run in later.runs {
            self.push(run);
        }
        self.text.append(&mut later.text);
    }

    /// What is to be sent, piece by piece.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut gone = self.gone;
        let all = self.runs.iter().chain([&self.text]);
        all.map(move |octets| {
            let gone = std::mem::take(&mut gone);
            octets.get(gone..).unwrap_or_default()
        })
        .filter(|octets| !octets.is_empty())
    }

    /// The first pieces, for a vectored write.
    pub fn fill<'a>(&'a self, pieces: &mut [IoSlice<'a>]) -> usize {
        let slots = pieces.iter_mut().zip(self.slices());
        slots
            .map(|(slot, octets)| *slot = IoSlice::new(octets))
            .count()
    }

    /// Forgets the first octets, which were sent.
    pub fn advance(&mut self, octets: usize) {
        if octets >= self.len() {
            self.runs.clear();
            self.text.clear();
            (self.run_octets, self.gone) = (0, 0);
            return;
        }
        if self.gone + octets > self.run_octets {
            self.end_text();
        }
        self.gone += octets;
        while let Some(run) = self.runs.pop_front_if(|run| run.len() <= self.gone) {
            self.gone -= run.len();
            self.run_octets -= run.len();
        }
    }

    /// All of it in one piece.
    #[must_use]
    pub fn into_octets(mut self) -> Vec<u8> {
        if self.runs.is_empty() {
            return std::mem::take(&mut self.text);
        }
        let slices: Vec<&[u8]> = self.slices().collect();
        slices.concat()
    }
}

impl Deref for Output {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.text
    }
}

impl DerefMut for Output {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }
}

impl From<Vec<u8>> for Output {
    fn from(text: Vec<u8>) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a test does with an output.
    #[derive(Debug, Clone)]
    enum Deed {
        Write(usize),
        Push(usize),
        Advance(usize),
        Append(Vec<usize>),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let octets = || prop_oneof![0..9_usize, MIN_RUN_OCTETS - 2..MIN_RUN_OCTETS + 2];
        prop_oneof![
            octets().prop_map(Deed::Write),
            octets().prop_map(Deed::Push),
            (0..3 * MIN_RUN_OCTETS).prop_map(Deed::Advance),
            prop::collection::vec(octets(), 0..3).prop_map(Deed::Append),
        ]
    }

    proptest! {
        #[test]
        fn is_what_a_plain_buffer_would_be(deeds in prop::collection::vec(deed(), 0..20)) {
            let (mut output, mut plain) = (Output::default(), Vec::new());
            let mut next = 0_u32;
            let mut make = |octets: usize| -> Vec<u8> {
                next += 1;
                next.to_be_bytes().into_iter().cycle().take(octets).collect()
            };
            for deed in deeds {
                match deed {
                    Deed::Write(octets) => {
                        let octets = make(octets);
                        output.extend_from_slice(&octets);
                        plain.extend(octets);
                    }
                    Deed::Push(octets) => {
                        let octets = make(octets);
                        output.push(octets.clone());
                        plain.extend(octets);
                    }
                    Deed::Advance(octets) => {
                        let octets = octets.min(output.len());
                        output.advance(octets);
                        plain.drain(..octets);
                    }
                    Deed::Append(all) => {
                        let mut later = Output::default();
                        let before = make(100);
                        later.extend_from_slice(&before);
                        for octets in all {
                            let octets = make(octets);
                            later.push(octets.clone());
                            plain.extend(octets);
                        }
                        later.advance(before.len());
                        output.append(later);
                    }
                }
                prop_assert_eq!(output.len(), plain.len());
                prop_assert_eq!(output.is_empty(), plain.is_empty());
                prop_assert_eq!(output.slices().collect::<Vec<_>>().concat(), plain.as_slice());
                let mut pieces = [IoSlice::new(&[]); 3];
                let count = output.fill(&mut pieces);
                let filled: Vec<u8> = pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect();
                prop_assert_eq!(&filled, &plain[..filled.len()]);
                prop_assert_eq!(count == 0, plain.is_empty());
            }
            prop_assert_eq!(output.into_octets(), plain);
        }
    }

    #[test]
    fn long_runs_are_not_copied() {
        let run = vec![b'a'; MIN_RUN_OCTETS];
        let place = run.as_ptr();
        let mut output = Output::default();
        output.extend_from_slice(b"before");
        output.push(run);
        output.extend_from_slice(b"after");
        let slices: Vec<&[u8]> = output.slices().collect();
        assert_eq!(slices.len(), 3);
        assert_eq!(slices[1].as_ptr(), place);
    }
}
