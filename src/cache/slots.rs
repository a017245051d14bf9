//! Places of entries in the order of their hashes (linear probing without wrapping round): a look-up
//! reads a few places in a row and ends at the first greater hash, and one that is taken out leaves
//! nothing behind, so the table stays as small as what is in it, however much passes through. Entries
//! must come and go without regard to their hashes, or they crowd.

use super::{Entry, Hashed};

/// At most so many of five places are taken.
const FULL: usize = 4;
/// Places of the smallest table.
const LEAST: usize = 16;
/// Places behind the last home, for what is pushed beyond it; fewer in a table that has fewer homes.
const TAIL: usize = 64;

#[derive(Default, Clone)]
struct Place {
    hash: u64,
    entry: Option<Entry>,
}

/// What is at a place, for a walk in the order of the hashes. A walk that is interrupted goes on
/// from a hash, not from a place: entries move from place to place, but never past one another.
pub(super) enum Met<'a> {
    /// An entry with this hash.
    Entry(u64, &'a Entry),
    /// Nothing; what lies behind has at least this hash.
    Gap(u64),
    /// Neither this place nor one behind it has an entry.
    End,
}

/// The places.
#[derive(Default)]
pub(super) struct Slots {
    places: Vec<Place>,
    /// How many of the places are homes.
    homes: usize,
    len: usize,
}

impl Slots {
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, taken or not.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// Bytes of the places.
    pub fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// By how many bytes the next insertion makes it grow.
    pub fn growth(&self) -> usize {
        if self.is_full() {
            (Slots::planned(Slots::grown(self.homes)) * size_of::<Place>())
                .saturating_sub(self.bytes())
        } else {
            0
        }
    }

    fn is_full(&self) -> bool {
        (self.len + 1) * 5 > self.homes * FULL
    }

    /// Places of a table with so many homes.
    fn planned(homes: usize) -> usize {
        homes + homes.min(TAIL)
    }

    fn grown(homes: usize) -> usize {
        (homes + homes / 2).max(LEAST)
    }

    /// The first place that a hash may be at: the upper half of the hash, scaled.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        home(hash, self.homes)
    }

    /// Where the places are and how many of them are homes, for [`address`].
    pub fn plan(&self) -> (usize, usize) {
        (self.places.as_ptr() as usize, self.homes)
    }

    /// Where a key's entry is.
    #[inline]
    pub fn find(&self, key: Hashed<'_>) -> Option<usize> {
        let home = self.home(key.hash);
        for (ahead, place) in self.places.get(home..)?.iter().enumerate() {
            let entry = place.entry.as_ref()?;
            if place.hash >= key.hash {
                if place.hash > key.hash {
                    return None;
                }
                if entry.is_for(key.bytes) {
                    return Some(home + ahead);
                }
            }
        }
        None
    }

    /// Where an entry with this hash is.
    pub fn find_hash(&self, hash: u64) -> Option<usize> {
        let home = self.home(hash);
        let reaches = |place: &Place| place.entry.is_none() || place.hash >= hash;
        let at = home + self.places.get(home..)?.iter().position(reaches)?;
        let place = self.places.get(at)?;
        (place.entry.is_some() && place.hash == hash).then_some(at)
    }

    /// What is at a place.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&Entry> {
        self.places.get(at)?.entry.as_ref()
    }

    /// The first place at which a hash of at least `from` can be.
    pub fn seek(&self, from: u64) -> usize {
        self.home(from)
    }

    /// What a walk in the order of the hashes meets at a place.
    pub fn met(&self, at: usize) -> Met<'_> {
        match self.places.get(at) {
            None => Met::End,
            Some(Place { hash, entry: Some(entry) }) => Met::Entry(*hash, entry),
            // Everything from the home of an entry to its place is taken: what lies behind a gap
            // has its home there too.
            Some(_) if at + 1 >= self.homes => Met::End,
            Some(_) => Met::Gap((((at as u64 + 1) << 32).div_ceil(self.homes as u64)) << 32),
        }
    }

    /// Puts an entry into the place of another of the same key.
    pub fn replace(&mut self, at: usize, entry: Entry) -> Option<Entry> {
        self.places.get_mut(at)?.entry.replace(entry)
    }

    /// Puts in an entry whose key is not there yet.
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        if self.is_full() {
            self.rebuild(Slots::grown(self.homes));
        }
        let home = self.home(hash);
        let taken = |place: &&Place| place.entry.is_some();
        let smaller = |place: &&Place| place.entry.is_some() && place.hash <= hash;
        let at = home + self.places[home..].iter().take_while(smaller).count();
        let free = at + self.places[at..].iter().take_while(taken).count();
        if free == self.places.len() {
            // The last cluster reaches the end, which takes luck.
            self.places.reserve_exact(LEAST);
            self.places.resize(self.places.len() + LEAST, Place::default());
        }
        self.places[at..=free].rotate_right(1);
        self.places[at] = Place { hash, entry: Some(entry) };
        self.len += 1;
    }

    /// Takes out what is at a place; those behind it move up.
    pub fn remove(&mut self, at: usize) -> Option<Entry> {
        let taken = self.places.get_mut(at)?.entry.take()?;
        self.len -= 1;
        let moves = self.places[at + 1..]
            .iter()
            .enumerate()
            .take_while(|(i, place)| place.entry.is_some() && self.home(place.hash) <= at + i)
            .count();
        self.places[at..=at + moves].rotate_left(1);
        Some(taken)
    }

    /// Gives back memory where most of it is empty.
    pub fn shrink(&mut self) {
        if self.homes > 4 * LEAST && self.len * 4 < self.homes {
            self.rebuild(Slots::grown(self.len));
        }
    }

    /// Moves everything into a table of so many homes.
    fn rebuild(&mut self, homes: usize) {
        let old = std::mem::take(&mut self.places);
        let count = Slots::planned(homes);
        self.homes = homes;
        self.places = Vec::with_capacity(count);
        for place in old.into_iter().filter(|place| place.entry.is_some()) {
            // They come in the order of their hashes.
            let home = self.home(place.hash).max(self.places.len());
            self.places.resize(home, Place::default());
            self.places.push(place);
        }
        let count = count.max(self.places.len());
        self.places.resize(count, Place::default());
    }
}

/// The first of so many homes that a hash may be at.
#[inline]
fn home(hash: u64, homes: usize) -> usize {
    (((hash >> 32) * homes as u64) >> 32) as usize
}

/// The address of a hash's home in a table of this plan. The table may be gone: good for nothing but
/// a hint.
#[inline]
pub(super) fn address((places, homes): (usize, usize), hash: u64) -> *const u8 {
    std::ptr::without_provenance(places.wrapping_add(home(hash, homes) * size_of::<Place>()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::answer::{Question, Writer};
    use crate::cache::Key;
    use crate::time::Tick;
    use crate::wire::header::Rcode;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn entry(n: u16) -> (Vec<u8>, Entry) {
        let name = format!("\x05{n:05}\0").into_bytes();
        let key = Key::of(&name, 1, false, false);
        let answer = Writer::new(Question { name: &name, qtype: 1, qclass: 1 }, Rcode::NOERROR, 0);
        let life = (Duration::ZERO, Duration::ZERO);
        let entry = Entry::new(key.as_bytes(), &answer.finish(), 0, Tick(0), life);
        (key.as_bytes().to_vec(), entry)
    }

    /// Hashes that crowd: equal ones, neighbours, and the ends.
    fn hash(n: u16) -> u64 {
        match n % 4 {
            0 => u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            1 => u64::MAX - u64::from(n / 64),
            2 => u64::from(n / 64) << 32,
            _ => 1 << 63 | u64::from(n),
        }
    }

    #[test]
    fn it_holds_what_a_map_would() {
        let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
        let mut random = 1u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (random >> 20) as u16 % 512;
            let (key, entry) = entry(n);
            let key = Hashed::raw(&key, hash(n));
            match slots.find(key) {
                Some(at) if random & 0x400 != 0 => {
                    assert!(slots.remove(at).unwrap().is_for(key.bytes));
                    model.remove(key.bytes);
                }
                Some(at) => assert!(slots.replace(at, entry).is_some()),
                None => {
                    assert!(!model.contains_key(key.bytes));
                    slots.insert(key.hash, entry);
                    model.insert(key.bytes.to_vec(), key.hash);
                }
            }
            assert_eq!(slots.len(), model.len());
        }
        for (key, &hash) in &model {
            let at = slots.find(Hashed::raw(key, hash)).unwrap();
            assert!(slots.get(at).unwrap().is_for(key));
        }
        while slots.len() > 0 {
            let at = (0..slots.places()).find(|&at| slots.get(at).is_some()).unwrap();
            assert!(slots.remove(at).is_some() && slots.remove(slots.places()).is_none());
        }
        let before = slots.bytes();
        slots.shrink();
        assert!(slots.bytes() < before && slots.growth() == 0);
    }

    /// The hashes that a walk meets which stops at every place, and does `between` there.
    fn walk(slots: &mut Slots, mut between: impl FnMut(&mut Slots, u64)) -> Vec<u64> {
        let (mut met, mut from) = (Vec::new(), 0u64);
        loop {
            let mut at = slots.seek(from);
            while matches!(slots.met(at), Met::Entry(hash, _) if hash < from) {
                at += 1;
            }
            let next = match slots.met(at) {
                Met::End => return met,
                Met::Gap(hash) => hash,
                Met::Entry(hash, _) => {
                    met.push(hash);
                    match hash.checked_add(1) {
                        Some(next) => next,
                        None => return met,
                    }
                }
            };
            assert!(next > from || from == 0, "{next:x} after {from:x}");
            from = next;
            between(slots, from);
        }
    }

    #[test]
    fn a_walk_by_hash_meets_everything_that_stays_however_it_moves() {
        let mut random = 7u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random ^ random >> 29
        };
        let (_, entry) = entry(1);
        for round in 0..40 {
            let mut slots = Slots::default();
            // Some crowd at a few places, and at the very end.
            let crowd = |hash: u64| if hash.is_multiple_of(3) { hash | 0xffff << 48 } else { hash };
            let mut stay: Vec<u64> = (0..300).map(|_| crowd(next())).collect();
            stay.sort_unstable();
            stay.dedup();
            stay.iter().for_each(|&hash| slots.insert(hash, entry.clone()));
            let mut others = Vec::new();
            let mut turns = 0;
            let met = walk(&mut slots, |slots, _| {
                // Not for ever: the walk meets these too.
                turns += 1;
                for _ in 0..if turns < 200 { round % 4 } else { 0 } {
                    let hash = crowd(next());
                    if stay.binary_search(&hash).is_err() {
                        slots.insert(hash, entry.clone());
                        others.push(hash);
                    }
                }
                if round % 3 == 0
                    && let Some(hash) = others.pop()
                {
                    let at = slots.find_hash(hash).unwrap();
                    assert!(slots.remove(at).is_some());
                }
            });
            assert!(met.is_sorted());
            let met: Vec<u64> =
                met.into_iter().filter(|hash| stay.binary_search(hash).is_ok()).collect();
            assert_eq!(met, stay, "round {round}");
        }
        assert!(walk(&mut Slots::default(), |_, _| {}).is_empty());
    }

    #[test]
    fn it_grows_with_what_is_in_it_and_not_with_what_passed_through() {
        let mut slots = Slots::default();
        assert!(slots.find(Hashed::raw(&[], 7)).is_none());
        let spread = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (_, entry) = entry(1);
        for n in 0..1000 {
            slots.insert(spread(n), entry.clone());
        }
        let bytes = slots.bytes();
        assert!(bytes <= 1000 * 16 * 15 / 8 + 1024, "{bytes}");
        for n in 1000..50_000 {
            let oldest = slots.find_hash(spread(n - 1000)).unwrap();
            assert!(slots.remove(oldest).is_some());
            slots.insert(spread(n), entry.clone());
        }
        assert_eq!((slots.bytes(), slots.len()), (bytes, 1000));
    }
}
