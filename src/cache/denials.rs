//! Guesses, without a look into the table, whether a name above one may be known not to exist.
//!
//! Nearly every miss asks (RFC 8020), and nearly always there is nothing, so the answer must cost
//! next to nothing: names that were denied set a bit each, chosen by their hash, in one of two maps.
//! Every ten minutes the older map is emptied and takes over. So a set bit may mean nothing, but one
//! that is not set means that no such name was denied within [`Denials::KEPT`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::NameHash;
use crate::time::Tick;

/// Bits of a map: with 10,000 denied names in twenty minutes one name in seven is looked up in vain.
const BITS: usize = 1 << 16;
const WORDS: usize = BITS / 64;

#[derive(Debug)]
struct Map {
    words: Box<[AtomicU64]>,
    /// How many of the bits are set, at most.
    set: AtomicUsize,
}

impl Map {
    fn new() -> Map {
        let words = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        Map { words, set: AtomicUsize::new(0) }
    }

    fn place(hash: NameHash) -> (usize, u64) {
        let bit = (hash.0 >> 40) as usize % BITS;
        (bit / 64, 1 << (bit % 64))
    }

    #[inline]
    fn has(&self, hash: NameHash) -> bool {
        let (word, bit) = Map::place(hash);
        self.words[word].load(Ordering::Acquire) & bit != 0
    }

    fn add(&self, hash: NameHash) {
        let (word, bit) = Map::place(hash);
        self.set.fetch_add(1, Ordering::AcqRel);
        if self.words[word].fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            self.set.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The two maps.
#[derive(Debug)]
pub(super) struct Denials {
    maps: [Map; 2],
    /// Which of them takes new names.
    current: AtomicUsize,
    /// When that was last changed.
    turned: AtomicU64,
}

impl Denials {
    /// So long at least is a name remembered.
    pub const KEPT: Duration = Duration::from_secs(600);

    pub fn new() -> Denials {
        let maps = [Map::new(), Map::new()];
        Denials { maps, current: AtomicUsize::new(0), turned: AtomicU64::new(0) }
    }

    /// Whether there is nothing at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.maps.iter().all(|map| map.set.load(Ordering::Acquire) == 0)
    }

    /// Whether a name may have been denied.
    #[inline]
    pub fn may_have(&self, name: NameHash) -> bool {
        self.maps.iter().any(|map| map.has(name))
    }

    /// Notes a name that is denied; to be called before anybody can find that it is.
    pub fn add(&self, name: NameHash) {
        self.maps[self.current.load(Ordering::Acquire) % 2].add(name);
    }

    /// Empties the older map when its time has come. To be called by one thread, every second.
    pub fn tidy(&self, now: Tick) {
        let turned = Tick(self.turned.load(Ordering::Relaxed));
        if now.since(turned) < Denials::KEPT {
            return;
        }
        self.turned.store(now.0, Ordering::Relaxed);
        let older = 1 - self.current.load(Ordering::Acquire) % 2;
        self.maps[older].words.iter().for_each(|word| word.store(0, Ordering::Release));
        self.maps[older].set.store(0, Ordering::Release);
        self.current.store(older, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> NameHash {
        NameHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn a_name_is_remembered_for_ten_minutes_and_gone_after_twenty() {
        let denials = Denials::new();
        assert!(denials.is_empty() && !denials.may_have(hash(1)));
        let at = |seconds: u64| denials.tidy(Tick(seconds * 1_000_000));
        at(599);
        denials.add(hash(1));
        denials.add(hash(1));
        assert!(denials.may_have(hash(1)) && !denials.may_have(hash(2)));
        at(600);
        denials.add(hash(2));
        at(1199);
        assert!(denials.may_have(hash(1)) && denials.may_have(hash(2)));
        at(1200);
        assert!(!denials.may_have(hash(1)) && denials.may_have(hash(2)));
        at(1800);
        assert!(denials.is_empty() && !denials.may_have(hash(2)));
    }

    #[test]
    fn few_names_are_taken_for_others() {
        let denials = Denials::new();
        (0..10_000).for_each(|n| denials.add(hash(n)));
        assert!((0..10_000).all(|n| denials.may_have(hash(n))));
        let wrong = (10_000..110_000).filter(|&n| denials.may_have(hash(n))).count();
        assert!((10_000..20_000).contains(&wrong), "{wrong} of 100,000");
    }
}
