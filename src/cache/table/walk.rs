//! Walks over the whole table, in the order of the stripes and of the hashes within each, a few
//! places under a lock at a time: an operator who looks into a cache of a million names, or empties
//! it, is not felt by those who ask.
//!
//! Between two slices entries come, go and move. A walk goes on from a hash, so it meets everything
//! that is there from its begin to its end, once; what comes meanwhile it may meet or not.

use super::{Aligned, Stripe, Table, lock};
use crate::cache::Entry;
use crate::cache::slots::Met;

/// Places looked at under one lock: some microseconds, since each entry may be far away in memory.
const SLICE: usize = 64;

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Place {
    /// Number of the stripe.
    pub stripe: usize,
    /// The least hash that has not been looked at.
    pub hash: u64,
}

impl Stripe {
    /// Looks at the entries with hashes of at least `from` in the next `count` places, and takes out
    /// those for which `goes`. Returns from which hash to go on.
    fn slice(
        &mut self,
        from: u64,
        count: usize,
        mut goes: impl FnMut(&Entry) -> bool,
        gone: &mut Vec<Entry>,
    ) -> Option<u64> {
        let mut at = self.slots.seek(from);
        // Pushed to here by those before it. Not counted, so that every slice gets further.
        while matches!(self.slots.met(at), Met::Entry(hash, _) if hash < from) {
            at += 1;
        }
        let (mut left, mut last) = (count.max(1), None);
        loop {
            match self.slots.met(at) {
                Met::End => return None,
                Met::Gap(hash) if left == 0 => return Some(hash),
                Met::Gap(_) => at += 1,
                // Those of one hash stay together.
                Met::Entry(hash, _) if left == 0 && last != Some(hash) => return Some(hash),
                Met::Entry(hash, entry) => {
                    last = Some(hash);
                    if goes(entry) {
                        // The next one moves up, or has its home behind this place.
                        gone.extend(self.take(at));
                    } else {
                        at += 1;
                    }
                }
            }
            left = left.saturating_sub(1);
        }
    }
}

impl Table {
    /// Lets go of every entry for which `goes`, and returns how many that were. What is put in while
    /// it works may stay.
    pub fn flush(&self, goes: impl Fn(&Entry) -> bool) -> u64 {
        self.stripes.iter().map(|stripe| flush(stripe, &goes)).sum()
    }

    /// Up to `most` entries for which `wanted`, from a place on, and where the next are; looks at no
    /// more than about `places` places, so there may be fewer, or none, and yet more behind. Those
    /// that have one hash stay together, even if they are too many.
    pub fn page(
        &self,
        from: Place,
        (most, places): (usize, usize),
        wanted: impl Fn(&Entry) -> bool,
    ) -> (Vec<Entry>, Option<Place>) {
        let (mut found, mut place, mut left) = (Vec::new(), from, places.max(1));
        while let Some(stripe) = self.stripes.get(place.stripe) {
            if found.len() >= most || left == 0 {
                return (found, Some(place));
            }
            let count = SLICE.min(most - found.len()).min(left);
            left -= count;
            let next = lock(stripe).slice(
                place.hash,
                count,
                |entry| {
                    if wanted(entry) {
                        found.push(entry.clone());
                    }
                    false
                },
                &mut Vec::new(),
            );
            place = match next {
                Some(hash) => Place { hash, ..place },
                None => Place { stripe: place.stripe + 1, hash: 0 },
            };
        }
        (found, None)
    }
}

fn flush(stripe: &Aligned, goes: impl Fn(&Entry) -> bool) -> u64 {
    let (mut gone, mut count, mut from) = (Vec::with_capacity(SLICE), 0, Some(0));
    while let Some(hash) = from {
        from = lock(stripe).slice(hash, SLICE, &goes, &mut gone);
        count += gone.len() as u64;
        // Their memory is given back while nobody waits for it.
        gone.clear();
    }
    if count > 0 {
        let mut guard = lock(stripe);
        guard.slots.shrink();
        guard.shorten_line();
        stripe.plan.publish(&guard.slots);
    }
    count
}
