//! Joins identical questions in flight into one exchange, across all shards.
//!
//! Whoever asks first leads and starts the exchange; the others wait with it. When the exchange
//! ends, its waiters are taken out together and answered by whoever ran it: every shard's socket is
//! bound to the same address and may send to any client. The number of waiters is limited, in all and
//! per route, so that the clients of a dead horizon cannot take the places of the others'.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::{SmallVec, smallvec};

use crate::cache::{Hashed, SharedKey};

/// What became of a question that was to be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// It is the first: the caller must start an exchange, and end it with [`Flights::take`]. True if
    /// another may have ended since [`Flights::ended`] was asked, so that the cache should be looked
    /// at again first.
    Leader(bool),
    /// It waits for an exchange that is under way.
    Follower,
    /// There are too many waiters: it was not taken.
    Full,
}

/// Those who wait for one answer: nearly always one.
pub type Waiters<W> = SmallVec<[W; 1]>;

struct Flight<W> {
    key: SharedKey,
    route: u16,
    waiters: Waiters<W>,
}

impl<W> Flight<W> {
    fn is(&self, key: Hashed<'_>) -> bool {
        self.key.hashed().hash == key.hash && self.key.as_bytes() == key.bytes
    }
}

/// A part of the flights, on a cache line of its own.
#[repr(align(64))]
struct Table<W> {
    flights: Mutex<HashTable<Flight<W>>>,
    /// How many have ended; changed under the lock.
    ended: AtomicUsize,
}

impl<W> Table<W> {
    fn lock(&self) -> MutexGuard<'_, HashTable<Flight<W>>> {
        // A panic elsewhere cannot leave a table half changed: each change is one call.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count on a pair of cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicUsize);

/// Questions in flight and who waits for each.
pub struct Flights<W> {
    tables: Box<[Table<W>]>,
    waiting: Box<[Count]>,
    limit: usize,
    per_route: usize,
}

/// Few enough to cost nothing, many enough that shards seldom meet at one lock.
const TABLES: usize = 64;

impl<W> Flights<W> {
    /// For at most `limit` waiters in all, for `routes` routes; each may have half of the places
    /// where there are several.
    pub fn new(limit: usize, routes: usize) -> Flights<W> {
        Flights {
            tables: (0..TABLES)
                .map(|_| Table { flights: Mutex::default(), ended: AtomicUsize::new(0) })
                .collect(),
            waiting: (0..routes.max(1)).map(|_| Count::default()).collect(),
            limit,
            per_route: if routes > 1 { limit.div_ceil(2) } else { limit },
        }
    }

    fn table(&self, key: Hashed<'_>) -> &Table<W> {
        &self.tables[(key.hash >> 40) as usize % TABLES]
    }

    /// Changes whenever a flight that may have been `key`'s ends. To be asked before the cache is
    /// looked at, for [`Flights::join`].
    #[inline]
    pub fn ended(&self, key: Hashed<'_>) -> usize {
        self.table(key).ended.load(Ordering::Acquire)
    }

    fn count(&self, route: u16) -> &AtomicUsize {
        let last = self.waiting.len() - 1;
        &self.waiting[usize::from(route).min(last)].0
    }

    /// Adds a waiter for `key`, whose name belongs to `route`; `ended` is what [`Flights::ended`] said
    /// before the cache had no answer.
    pub fn join(&self, key: &SharedKey, route: u16, waiter: W, ended: usize) -> Join {
        let count = self.count(route);
        let taken = count.load(Ordering::Relaxed) >= self.per_route;
        if taken || self.waiting() >= self.limit {
            return Join::Full;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let hashed = key.hashed();
        let table = self.table(hashed);
        let mut flights = table.lock();
        match flights.entry(hashed.hash, |f| f.is(hashed), |f| f.key.hashed().hash) {
            Entry::Occupied(mut flight) => {
                let flight = flight.get_mut();
                // A name may have come to another route since its flight began; all of a flight's
                // waiters are taken off one count in the end.
                if flight.route != route {
                    self.count(flight.route).fetch_add(1, Ordering::Relaxed);
                    count.fetch_sub(1, Ordering::Relaxed);
                }
                flight.waiters.push(waiter);
                Join::Follower
            }
            Entry::Vacant(place) => {
                let key = key.clone();
                place.insert(Flight { key, route, waiters: smallvec![waiter] });
                Join::Leader(table.ended.load(Ordering::Relaxed) != ended)
            }
        }
    }

    /// Begins a flight that nobody waits for, so that whoever asks meanwhile joins it. False if there is
    /// one already.
    pub fn begin(&self, key: &SharedKey, route: u16) -> bool {
        let hashed = key.hashed();
        let mut flights = self.table(hashed).lock();
        match flights.entry(hashed.hash, |f| f.is(hashed), |f| f.key.hashed().hash) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Flight { key: key.clone(), route, waiters: Waiters::new() });
                true
            }
        }
    }

    /// Whether there is a flight of `key`.
    pub fn is_under_way(&self, key: Hashed<'_>) -> bool {
        self.table(key).lock().find(key.hash, |f| f.is(key)).is_some()
    }

    /// Hands over everyone who waits for `key` now; its flight goes on.
    pub fn drain(&self, key: Hashed<'_>) -> Waiters<W> {
        let mut flights = self.table(key).lock();
        let Ok(mut flight) = flights.find_entry(key.hash, |f| f.is(key)) else {
            return Waiters::new();
        };
        let route = flight.get().route;
        let waiters = std::mem::take(&mut flight.get_mut().waiters);
        drop(flights);
        self.count(route).fetch_sub(waiters.len(), Ordering::Relaxed);
        waiters
    }

    /// Ends the flight of `key` and hands over everyone who waits for it; none if there is none.
    pub fn take(&self, key: Hashed<'_>) -> Waiters<W> {
        let table = self.table(key);
        let mut flights = table.lock();
        let flight = match flights.find_entry(key.hash, |f| f.is(key)) {
            Ok(place) => place.remove().0,
            Err(_) => return Waiters::new(),
        };
        table.ended.store(table.ended.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        drop(flights);
        self.count(flight.route).fetch_sub(flight.waiters.len(), Ordering::Relaxed);
        flight.waiters
    }

    /// How many clients wait.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with a hash that differs enough.
    fn key(bytes: &[u8]) -> SharedKey {
        let step = |sum: u64, b: &u8| (sum ^ u64::from(*b)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        SharedKey::new(Hashed::raw(bytes, bytes.iter().fold(0, step)))
    }

    fn join<W>(flights: &Flights<W>, name: &[u8], waiter: W) -> Join {
        flights.join(&key(name), 0, waiter, flights.ended(key(name).hashed()))
    }

    fn take<W>(flights: &Flights<W>, name: &[u8]) -> Vec<W> {
        flights.take(key(name).hashed()).into_vec()
    }

    #[test]
    fn one_leads_and_the_others_wait() {
        let flights = Flights::new(3, 1);
        assert_eq!(join(&flights, b"a", 1), Join::Leader(false));
        assert_eq!(join(&flights, b"a", 2), Join::Follower);
        assert_eq!(join(&flights, b"b", 3), Join::Leader(false));
        assert_eq!(join(&flights, b"b", 4), Join::Full);
        assert_eq!(take(&flights, b"a"), [1, 2]);
        assert!(take(&flights, b"a").is_empty());
        assert_eq!(flights.waiting(), 1);
        assert_eq!(join(&flights, b"a", 5), Join::Leader(false));
    }

    #[test]
    fn one_route_cannot_take_all_places() {
        let flights = Flights::new(4, 2);
        assert_eq!(join(&flights, b"a", 1), Join::Leader(false));
        assert_eq!(join(&flights, b"a", 2), Join::Follower);
        assert_eq!(join(&flights, b"a", 3), Join::Full);
        assert_eq!(flights.join(&key(b"b"), 1, 4, 0), Join::Leader(false));
        assert_eq!(take(&flights, b"a"), [1, 2]);
        assert_eq!(join(&flights, b"a", 5), Join::Leader(false));
    }

    #[test]
    fn who_joins_by_another_route_is_counted_where_the_flight_is() {
        let flights = Flights::new(4, 2);
        assert_eq!(flights.join(&key(b"a"), 0, 1, 0), Join::Leader(false));
        assert_eq!(flights.join(&key(b"a"), 1, 2, 0), Join::Follower);
        assert_eq!(join(&flights, b"b", 3), Join::Full);
        assert_eq!(take(&flights, b"a"), [1, 2]);
        assert_eq!(flights.waiting(), 0);
        let ended = flights.ended(key(b"b").hashed());
        assert_eq!(flights.join(&key(b"b"), 1, 3, ended), Join::Leader(false));
        assert_eq!(flights.waiting(), 1);
    }

    #[test]
    fn a_flight_goes_on_without_those_who_were_answered_meanwhile() {
        let flights = Flights::new(9, 1);
        assert!(flights.begin(&key(b"a"), 0));
        assert!(!flights.begin(&key(b"a"), 0));
        assert_eq!(join(&flights, b"a", 1), Join::Follower);
        assert_eq!(flights.drain(key(b"a").hashed()).into_vec(), [1]);
        assert_eq!(flights.waiting(), 0);
        assert_eq!(join(&flights, b"a", 2), Join::Follower);
        assert_eq!(take(&flights, b"a"), [2]);
        assert!(flights.drain(key(b"a").hashed()).is_empty());
    }

    #[test]
    fn one_that_ended_after_the_look_into_the_cache_is_told() {
        let flights = Flights::new(9, 1);
        let ended = flights.ended(key(b"a").hashed());
        assert_eq!(join(&flights, b"a", 1), Join::Leader(false));
        take(&flights, b"a");
        assert_eq!(flights.join(&key(b"a"), 0, 2, ended), Join::Leader(true));
    }

    #[test]
    fn ten_thousand_from_many_threads_have_one_leader() {
        let flights = Flights::new(100_000, 1);
        let leaders = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (flights, leaders) = (&flights, &leaders);
                scope.spawn(move || {
                    for i in 0..2500 {
                        if join(flights, b"same", thread * 2500 + i) == Join::Leader(false) {
                            leaders.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(leaders.into_inner(), 1);
        let mut all = take(&flights, b"same");
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10_000));
    }
}
