//! The table of answers that all threads share: stripes with a lock each, a budget of bytes, and a
//! queue that says what may go.
//!
//! Entries stand in line as they came. Where room is needed the first in line is let go, unless it was
//! used since it came or last stood here: then it loses one use and goes to the end of the line (CLOCK,
//! with up to three uses counted). So names that nobody asks for twice pass through without pushing out
//! those that are asked for, and a hit needs no lock to be noticed. Work under a lock is bounded by what
//! a stripe holds, 1 MiB of the budget unless that is very large, and only growth and clearing away
//! take so much.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::slots::{self, Slots};
use super::{Entry, Hashed};
use crate::sys;
use crate::time::Tick;

mod walk;

pub(super) use walk::Place;

/// A stripe has at least this many bytes of the budget, so that any answer fits into one.
const LEAST_STRIPE: u64 = 1 << 20;
/// More would cost more than it brings; of the greatest budget a stripe has 16 MiB.
const MOST_STRIPES: u64 = 4096;
/// Entries that are looked at for one insertion; then, if it must be, the next is let go, used or not.
const STEPS: usize = 1024;
/// So many may stand in line for nothing, however few entries there are.
const SLACK: usize = 64;
/// Places looked at under one lock when what is past use is cleared away.
const TIDY: usize = 256;

/// Entries and bytes of one route and kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gauge {
    pub entries: u64,
    pub bytes: u64,
}

/// Of one route: gauges by kind, and how many were pushed out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub kinds: [Gauge; 3],
    pub evicted: u64,
}

struct Stripe {
    slots: Slots,
    /// Of the entries.
    bytes: usize,
    /// The hashes of all entries, the first to be looked at first. Those of entries that left in
    /// another way stay until their turn, or until they are more than the rest.
    line: VecDeque<u64>,
    /// Number of the place that is tidied next.
    tidied: usize,
    counts: Box<[Count]>,
}

/// A stripe behind its lock, on cache lines of its own.
#[repr(align(128))]
struct Aligned {
    stripe: Mutex<Stripe>,
    /// Where its places lay last, for whoever wants them fetched before the lock is taken; on lines
    /// that change with growth alone.
    plan: Plan,
}

#[repr(align(128))]
#[derive(Default)]
struct Plan {
    places: AtomicUsize,
    homes: AtomicUsize,
}

impl Plan {
    fn publish(&self, slots: &Slots) {
        let (places, homes) = slots.plan();
        let seen = (self.places.load(Ordering::Relaxed), self.homes.load(Ordering::Relaxed));
        if seen != (places, homes) {
            self.places.store(places, Ordering::Relaxed);
            self.homes.store(homes, Ordering::Relaxed);
        }
    }
}

/// The table.
pub(super) struct Table {
    stripes: Box<[Aligned]>,
    /// Bytes that each stripe may hold.
    share: usize,
}

/// Bytes of an entry, and what the allocator loses between entries of all sizes as they come and go.
fn cost(entry: &Entry) -> usize {
    entry.heap() + entry.heap() / 16
}

impl Stripe {
    fn count(&mut self, entry: &Entry) -> Option<&mut Count> {
        self.counts.get_mut(usize::from(entry.route()))
    }

    fn add(&mut self, entry: &Entry) {
        let bytes = cost(entry);
        self.bytes += bytes;
        if let Some(count) = self.count(entry) {
            let gauge = &mut count.kinds[entry.kind() as usize];
            gauge.entries += 1;
            gauge.bytes += bytes as u64;
        }
    }

    /// Takes an entry that has left its place out of the books.
    fn forget(&mut self, entry: &Entry) {
        let bytes = cost(entry);
        self.bytes -= bytes;
        if let Some(count) = self.count(entry) {
            let gauge = &mut count.kinds[entry.kind() as usize];
            gauge.entries -= 1;
            gauge.bytes -= bytes as u64;
        }
        entry.leave();
    }

    fn take(&mut self, at: usize) -> Option<Entry> {
        let entry = self.slots.remove(at)?;
        self.forget(&entry);
        Some(entry)
    }

    /// Lets go of what is past any use in the next `count` places.
    fn tidy(&mut self, count: usize, now: Tick) {
        for _ in 0..count {
            let at = self.tidied % self.slots.places().max(1);
            self.tidied = at + 1;
            // The next one moves up to this place.
            while self.slots.get(at).is_some_and(|entry| now >= entry.keep_until()) {
                self.take(at);
            }
        }
    }

    /// Bytes held, and to be held when another entry comes.
    fn held(&self) -> usize {
        self.bytes + self.places() + self.slots.growth()
    }

    /// Bytes of what is there to find entries by, and half as much for what they lay in before it
    /// grew: the allocator keeps that until entries have filled it.
    fn places(&self) -> usize {
        (self.slots.bytes() + self.line.capacity() * size_of::<u64>()) * 3 / 2
    }

    /// Lets go until `room` more bytes fit into `share`, better yet with some to spare.
    fn make_room(&mut self, room: usize, share: usize, now: Tick) {
        let mut steps = STEPS;
        // Where many in a row were used, a little of the budget is kept to get past them by and by.
        let enough = share - share / 32;
        while self.held() + room > enough {
            if steps == 0 && self.held() + room <= share {
                return;
            }
            let Some(hash) = self.line.pop_front() else { return };
            let Some(at) = self.slots.find_hash(hash) else { continue };
            let Some(entry) = self.slots.get(at) else { continue };
            let dead = now >= entry.keep_until();
            steps = steps.saturating_sub(1);
            if !dead && steps > 0 && entry.pass() {
                self.line.push_back(hash);
                continue;
            }
            let taken = self.take(at).filter(|_| !dead);
            if let Some(count) = taken.and_then(|e| self.counts.get_mut(usize::from(e.route()))) {
                count.evicted += 1;
            }
        }
    }

    fn stand_in_line(&mut self, hash: u64) {
        self.shorten_line();
        if self.line.len() == self.line.capacity() {
            // By less than double, which memory this size would feel.
            self.line.reserve_exact(self.line.len() / 2 + 16);
        }
        self.line.push_back(hash);
    }

    /// Has everyone who left go out of line, and who stands in it more than once keep the last place,
    /// once these are more than the rest.
    fn shorten_line(&mut self) {
        if self.line.len() <= 2 * self.slots.len() + SLACK {
            return;
        }
        let mut seen = vec![false; self.slots.places()];
        let mut kept = VecDeque::with_capacity(self.slots.len() + SLACK);
        while let Some(hash) = self.line.pop_back() {
            let place = self.slots.find_hash(hash).and_then(|at| seen.get_mut(at));
            if place.is_some_and(|seen| !std::mem::replace(seen, true)) {
                kept.push_front(hash);
            }
        }
        self.line = kept;
    }
}

impl Table {
    /// A table of at most `memory` bytes for `routes` routes.
    pub fn new(memory: u64, routes: usize) -> Table {
        let most = (memory / LEAST_STRIPE).clamp(1, MOST_STRIPES);
        let stripes = 1 << most.ilog2();
        let stripe = || Stripe {
            slots: Slots::default(),
            bytes: 0,
            line: VecDeque::new(),
            tidied: 0,
            counts: vec![Count::default(); routes].into(),
        };
        let aligned = || Aligned { stripe: Mutex::new(stripe()), plan: Plan::default() };
        let share = usize::try_from(memory / stripes).unwrap_or(usize::MAX);
        Table { stripes: (0..stripes).map(|_| aligned()).collect(), share }
    }

    #[inline]
    fn aligned(&self, hash: u64) -> &Aligned {
        // The places are chosen by the upper half.
        &self.stripes[hash as usize & (self.stripes.len() - 1)]
    }

    #[inline]
    fn stripe(&self, hash: u64) -> MutexGuard<'_, Stripe> {
        lock(self.aligned(hash))
    }

    /// Has the processor fetch where an entry of this hash would be found.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let plan = &self.aligned(hash).plan;
        let seen = (plan.places.load(Ordering::Relaxed), plan.homes.load(Ordering::Relaxed));
        sys::prefetch(slots::address(seen, hash));
    }

    /// The entry of a key, whatever its age; it counts as used.
    #[inline]
    pub fn get(&self, key: Hashed<'_>) -> Option<Entry> {
        let stripe = self.stripe(key.hash);
        let entry = stripe.slots.get(stripe.slots.find(key)?)?;
        entry.touch();
        Some(entry.clone())
    }

    /// Puts in an entry, which replaces what was there, and lets go what has no room beside it,
    /// unless `may` forbids it, which is asked under the lock: of what a flush does with the same
    /// stripe, either `may` knows, or it is yet to come.
    pub fn put(&self, key: Hashed<'_>, entry: Entry, may: impl FnOnce() -> bool) {
        let room = cost(&entry);
        if room > self.share / 2 {
            return self.remove(key);
        }
        let aligned = self.aligned(key.hash);
        let mut guard = lock(aligned);
        if !may() {
            return;
        }
        let stripe = &mut *guard;
        stripe.make_room(room, self.share, entry.stored());
        stripe.add(&entry);
        match stripe.slots.find(key) {
            Some(at) => {
                if let Some(old) = stripe.slots.replace(at, entry) {
                    stripe.forget(&old);
                }
            }
            None => {
                stripe.slots.insert(key.hash, entry);
                stripe.stand_in_line(key.hash);
                aligned.plan.publish(&stripe.slots);
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&self, key: Hashed<'_>) {
        let mut stripe = self.stripe(key.hash);
        if let Some(at) = stripe.slots.find(key) {
            stripe.take(at);
        }
    }

    /// Lets go of what is past any use at `now`, in one part of the table; [`Table::PARTS`] calls go
    /// over all of it.
    pub fn tidy(&self, now: Tick) {
        for stripe in &self.stripes {
            let mut left = lock(stripe).slots.places().div_ceil(Table::PARTS);
            while left > 0 {
                lock(stripe).tidy(left.min(TIDY), now);
                left = left.saturating_sub(TIDY);
            }
            let mut guard = lock(stripe);
            guard.slots.shrink();
            guard.shorten_line();
            stripe.plan.publish(&guard.slots);
        }
    }

    /// Calls of [`Table::tidy`] for the whole table.
    pub const PARTS: usize = 32;

    /// How much each route and kind holds, and how many of each route were pushed out.
    pub fn counts(&self, routes: usize) -> Vec<Count> {
        let mut sums = vec![Count::default(); routes];
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            // The places are everybody's, in the proportion of entries.
            let (places, len) = (stripe.places() as u64, stripe.slots.len().max(1) as u64);
            for (sum, count) in sums.iter_mut().zip(&stripe.counts) {
                sum.evicted += count.evicted;
                for (sum, gauge) in sum.kinds.iter_mut().zip(count.kinds) {
                    sum.entries += gauge.entries;
                    sum.bytes += gauge.bytes + gauge.entries * places / len;
                }
            }
        }
        sums
    }
}

fn lock(stripe: &Aligned) -> MutexGuard<'_, Stripe> {
    // A thread that panics ends the process; nobody goes on with a stripe half changed.
    stripe.stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
