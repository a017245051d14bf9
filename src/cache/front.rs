//! A small table of answers in front of the shared cache, one per thread, touched by no other.
//!
//! It holds counted pointers to entries that the shared cache gave out, at most one per place. An
//! entry in it is used while it is fresh and has not been replaced or flushed in the shared cache
//! ([`Entry::is_current`]), so it never answers what the shared cache would not. Now and then a hit
//! goes to the shared cache all the same, which must know what is asked for to keep the right
//! entries.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::{Entry, Freshness, Key};
use crate::time::Tick;

/// Answers longer than this stay out: what the table can hold on to beyond the shared cache's budget
/// is places times this.
const LONGEST: usize = 512;
/// One in so many hits goes to the shared cache.
const PASS_ON: u8 = 64;
/// Places that one key may be in.
const WAYS: usize = 4;

struct Place {
    hash: u64,
    entry: Arc<Entry>,
    /// Hits until the next one is passed on.
    left: u8,
}

/// The table.
pub struct Front {
    places: Box<[Option<Place>]>,
    hasher: foldhash::fast::RandomState,
    /// Which way is overwritten next.
    turn: usize,
}

impl Front {
    /// A table for `entries` entries: a power of two, at least 4, or 0 for none.
    pub fn new(entries: usize) -> Front {
        debug_assert!(entries == 0 || entries.is_power_of_two() && entries >= WAYS);
        let places = (0..entries).map(|_| None).collect();
        Front { places, hasher: foldhash::fast::RandomState::default(), turn: 0 }
    }

    /// Bytes of a table of `entries` and, at the most, of what only it still holds.
    pub fn most_bytes(entries: usize) -> usize {
        entries * (size_of::<Option<Place>>() + size_of::<Entry>() + LONGEST)
    }

    /// How many entries of `wanted` each of `threads` tables may have, so that all of them together
    /// take no more than `bytes`: a power of two, or 0.
    pub fn fitting(wanted: usize, bytes: u64, threads: usize) -> usize {
        let mut entries = if wanted == 0 { 0 } else { wanted.next_power_of_two().max(WAYS) };
        while entries > 0 && (Front::most_bytes(entries) * threads) as u64 > bytes {
            entries = if entries > WAYS { entries / 2 } else { 0 };
        }
        entries
    }

    /// Where a key's entry would be.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    #[inline]
    fn set(&self, hash: u64) -> usize {
        (hash as usize & (self.places.len() - 1)) & !(WAYS - 1)
    }

    /// A fresh entry for `key` and its age in seconds.
    #[inline]
    pub fn get(&mut self, key: &Key, hash: u64, now: Tick) -> Option<(&Entry, u32)> {
        if self.places.is_empty() {
            return None;
        }
        let set = self.set(hash);
        let found = self.places[set..set + WAYS]
            .iter_mut()
            .flatten()
            .find(|place| place.hash == hash && place.entry.is_for(key))?;
        let Freshness::Fresh(age) = found.entry.freshness(now) else { return None };
        if found.left == 0 || !found.entry.is_current() {
            found.left = PASS_ON;
            return None;
        }
        found.left -= 1;
        Some((&found.entry, age))
    }

    /// Takes in an entry that the shared cache gave out.
    pub fn put(&mut self, key: &Key, hash: u64, entry: &Arc<Entry>) {
        if self.places.is_empty() || entry.answer.heap() > LONGEST {
            return;
        }
        let set = self.set(hash);
        let ways = &mut self.places[set..set + WAYS];
        let same =
            |p: &Option<Place>| p.as_ref().is_some_and(|p| p.hash == hash && p.entry.is_for(key));
        let at = ways
            .iter()
            .position(same)
            .or_else(|| ways.iter().position(Option::is_none))
            .unwrap_or_else(|| {
                self.turn = self.turn.wrapping_add(1);
                self.turn % WAYS
            });
        ways[at] = Some(Place { hash, entry: Arc::clone(entry), left: PASS_ON });
    }
}
