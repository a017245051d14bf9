//! A small table of answers in front of the shared one, one per thread, touched by no other.
//!
//! It holds counted pointers to entries that the shared table gave out, one per place. An entry in it
//! is used while it is fresh and has not been replaced or flushed in the shared table
//! ([`Entry::is_current`]), so it never answers what the shared table would not. A hit in it takes no
//! lock and writes nothing that another thread reads, but for the first few uses of an entry, by
//! which the shared table knows what is asked for.

use super::{Entry, Freshness, Hashed, NameHash, Probe};
use crate::sys;
use crate::time::Tick;

/// Answers longer than this stay out: what the table holds on to beyond the shared table's budget,
/// until it is cleaned, is at most its places times this.
const LONGEST: usize = 512;
/// One in so many entries takes a place that is in use: where more names are asked for than there
/// are places, moving them in and out would cost more than it brings.
const ADMIT: usize = 4;
/// Places that one key may be in.
const WAYS: usize = 8;

/// The places of keys with the same lower bits of their hash: two cache lines, of which a look-up
/// reads the first and one pointer.
#[repr(align(64))]
#[derive(Default)]
struct Set {
    /// Upper bits of the hash.
    tags: [u32; WAYS],
    entries: [Option<Entry>; WAYS],
}

impl Set {
    #[inline]
    fn find(&self, tag: u32, is: impl Fn(&Entry) -> bool) -> Option<usize> {
        (0..WAYS).find(|&way| self.tags[way] == tag && self.entries[way].as_ref().is_some_and(&is))
    }
}

/// The table.
pub struct Front {
    sets: Box<[Set]>,
    /// Places that are taken.
    held: usize,
    /// Counts the entries that found no free place.
    turn: usize,
    /// Number of the set that was cleaned last.
    cleaned: usize,
}

impl Front {
    /// A table for `entries` entries: a power of two, at least 8, or 0 for none.
    pub fn new(entries: usize) -> Front {
        debug_assert!(entries == 0 || entries.is_power_of_two() && entries >= WAYS);
        let sets = (0..entries / WAYS).map(|_| Set::default()).collect();
        Front { sets, held: 0, turn: 0, cleaned: 0 }
    }

    /// Bytes of a table of `entries`. What it points at is counted by the shared table; entries that
    /// have left that are let go by [`Front::clean`].
    pub fn bytes(entries: usize) -> usize {
        entries / WAYS * size_of::<Set>()
    }

    /// How many entries of `wanted` each of `threads` tables may have, so that all of them together
    /// take no more than `bytes`: a power of two, or 0.
    pub fn fitting(wanted: usize, bytes: u64, threads: usize) -> usize {
        let mut entries = if wanted == 0 { 0 } else { wanted.next_power_of_two().max(WAYS) };
        while entries > 0 && (Front::bytes(entries) * threads) as u64 > bytes {
            entries = if entries > WAYS { entries / 2 } else { 0 };
        }
        entries
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Lets go of entries that have left the shared table, in one of [`Front::PARTS`] of the table;
    /// the next call looks at the next part.
    pub fn clean(&mut self) {
        let part = self.sets.len().div_ceil(Front::PARTS);
        for _ in 0..part {
            self.cleaned = (self.cleaned + 1) % self.sets.len().max(1);
            let Some(set) = self.sets.get_mut(self.cleaned) else { return };
            for place in &mut set.entries {
                if place.as_ref().is_some_and(|entry| !entry.is_current()) {
                    *place = None;
                    self.held -= 1;
                }
            }
        }
    }

    /// Calls of [`Front::clean`] for the whole table.
    pub const PARTS: usize = 64;

    #[inline]
    fn place(&self, hash: u64) -> (usize, u32) {
        (hash as usize & (self.sets.len() - 1), (hash >> 32) as u32)
    }

    /// Has the processor fetch the places of a question.
    #[inline]
    pub fn prefetch_places(&self, name: NameHash, qtype: u16) {
        if !self.sets.is_empty() {
            let set: *const Set = &self.sets[self.place(name.with_type(qtype)).0];
            sys::prefetch(set.cast());
            sys::prefetch(set.cast::<u8>().wrapping_add(64));
        }
    }

    /// Has the processor fetch what seems to be the entry of a question. False if there is none.
    #[inline]
    pub fn prefetch_entry(&self, name: NameHash, qtype: u16) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let (at, tag) = self.place(name.with_type(qtype));
        let set = &self.sets[at];
        let way = (0..WAYS).find(|&way| set.tags[way] == tag);
        match way.and_then(|way| set.entries[way].as_ref()) {
            Some(entry) => {
                entry.prefetch();
                true
            }
            None => false,
        }
    }

    /// A fresh entry for a question and its age in seconds.
    #[inline]
    pub fn get(&self, probe: Probe<'_>, now: Tick) -> Option<(&Entry, u32)> {
        if self.sets.is_empty() {
            return None;
        }
        let (at, tag) = self.place(probe.hash.with_type(probe.qtype));
        let set = &self.sets[at];
        let entry = set.entries[set.find(tag, |entry| entry.answers(probe))?].as_ref()?;
        let Freshness::Fresh(age) = entry.freshness(now) else { return None };
        if !entry.is_current() {
            return None;
        }
        entry.touch();
        Some((entry, age))
    }

    /// Takes in an entry that the shared table gave out.
    pub fn put(&mut self, key: Hashed<'_>, entry: &Entry) {
        if self.sets.is_empty() || entry.heap() > LONGEST {
            return;
        }
        let (at, tag) = self.place(key.hash);
        let set = &mut self.sets[at];
        let free = |place: &Option<Entry>| place.as_ref().is_none_or(|e| !e.is_current());
        let way = match set
            .find(tag, |entry| entry.is_for(key.bytes))
            .or_else(|| set.entries.iter().position(free))
        {
            Some(way) => way,
            None => {
                self.turn = self.turn.wrapping_add(1);
                if !self.turn.is_multiple_of(ADMIT) {
                    return;
                }
                self.turn / ADMIT % WAYS
            }
        };
        set.tags[way] = tag;
        if set.entries[way].replace(entry.clone()).is_none() {
            self.held += 1;
        }
    }
}
