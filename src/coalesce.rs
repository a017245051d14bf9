//! Joins identical questions in flight into one exchange, across all shards.
//!
//! Whoever asks first leads and starts the exchange; the others wait with it. When the exchange
//! ends, its waiters are taken out together and answered by whoever ran it: every shard's socket is
//! bound to the same address and may send to any client. The number of waiters is limited, in all and
//! per route, so that the clients of a dead horizon cannot take the places of the others'.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// What became of a question that was to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// It is the first: the caller must start an exchange, and end it with [`Flights::take`].
    Leader,
    /// It waits for an exchange that is under way.
    Follower,
    /// There are too many waiters: it was not taken.
    Full,
}

struct Flight<W> {
    route: u16,
    waiters: Vec<W>,
}

type Table<W> = HashMap<Box<[u8]>, Flight<W>, foldhash::fast::RandomState>;

/// Questions in flight and who waits for each.
pub struct Flights<W> {
    tables: Box<[Mutex<Table<W>>]>,
    hasher: foldhash::fast::RandomState,
    waiting: Box<[AtomicUsize]>,
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
            tables: (0..TABLES).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            waiting: (0..routes.max(1)).map(|_| AtomicUsize::new(0)).collect(),
            limit,
            per_route: if routes > 1 { limit.div_ceil(2) } else { limit },
        }
    }

    fn table(&self, key: &[u8]) -> MutexGuard<'_, Table<W>> {
        let at = self.hasher.hash_one(key) as usize % TABLES;
        // A panic elsewhere cannot leave a table half changed: each change is one call.
        self.tables[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, route: u16) -> &AtomicUsize {
        let last = self.waiting.len() - 1;
        &self.waiting[usize::from(route).min(last)]
    }

    /// Adds a waiter for `key`, whose name belongs to `route`.
    pub fn join(&self, key: &[u8], route: u16, waiter: W) -> Join {
        let count = self.count(route);
        let taken = count.load(Ordering::Relaxed) >= self.per_route;
        if taken || self.waiting() >= self.limit {
            return Join::Full;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let mut table = self.table(key);
        if let Some(flight) = table.get_mut(key) {
            flight.waiters.push(waiter);
            return Join::Follower;
        }
        table.insert(key.into(), Flight { route, waiters: vec![waiter] });
        Join::Leader
    }

    /// Ends the flight of `key` and hands over everyone who waits for it; none if there is none.
    pub fn take(&self, key: &[u8]) -> Vec<W> {
        let Some(flight) = self.table(key).remove(key) else { return Vec::new() };
        self.count(flight.route).fetch_sub(flight.waiters.len(), Ordering::Relaxed);
        flight.waiters
    }

    /// How many clients wait.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_and_the_others_wait() {
        let flights = Flights::new(3, 1);
        assert_eq!(flights.join(b"a", 0, 1), Join::Leader);
        assert_eq!(flights.join(b"a", 0, 2), Join::Follower);
        assert_eq!(flights.join(b"b", 0, 3), Join::Leader);
        assert_eq!(flights.join(b"b", 0, 4), Join::Full);
        assert_eq!(flights.take(b"a"), [1, 2]);
        assert!(flights.take(b"a").is_empty());
        assert_eq!(flights.waiting(), 1);
        assert_eq!(flights.join(b"a", 0, 5), Join::Leader);
    }

    #[test]
    fn one_route_cannot_take_all_places() {
        let flights = Flights::new(4, 2);
        assert_eq!(flights.join(b"a", 0, 1), Join::Leader);
        assert_eq!(flights.join(b"a", 0, 2), Join::Follower);
        assert_eq!(flights.join(b"a", 0, 3), Join::Full);
        assert_eq!(flights.join(b"b", 1, 4), Join::Leader);
        assert_eq!(flights.take(b"a"), [1, 2]);
        assert_eq!(flights.join(b"a", 0, 5), Join::Leader);
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
                        if flights.join(b"same", 0, thread * 2500 + i) == Join::Leader {
                            leaders.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(leaders.into_inner(), 1);
        let mut all = flights.take(b"same");
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10_000));
    }
}
