//! Holds answers as wire bytes, ready to send, within a budget of bytes.
//!
//! moka decides what stays (TinyLFU) and drops what is past use; when an entry is fresh or stale is
//! decided here, by the clock that comes in as an argument. The cache knows nothing of clients and
//! upstreams; what may be put into it is decided by [`crate::accept`] and [`crate::serve`].

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use crate::answer::{Answer, Kind};
use crate::time::Tick;
use crate::wire::header;

mod front;
mod key;

pub use front::Front;
pub use key::Key;

/// A key as the table owns it; looked up by its bytes.
#[derive(PartialEq, Eq)]
struct Stored(Box<[u8]>);

impl Hash for Stored {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0[..].hash(state);
    }
}

impl Borrow<[u8]> for Stored {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// An answer in the cache.
#[derive(Debug)]
pub struct Entry {
    /// DO and CD, as in the key.
    flags: u8,
    /// Set when it leaves the table, for whoever still holds it.
    gone: AtomicBool,
    /// What it is.
    pub answer: Answer,
    /// Index of the route that it came by.
    pub route: u16,
    /// How many failures in a row it stands for; 0 for an answer.
    pub failures: u8,
    /// When it came; its TTLs count from here.
    pub stored: Tick,
    /// Until when it is fresh.
    pub fresh_until: Tick,
    /// Until when it may be used at all.
    pub keep_until: Tick,
}

/// What an entry is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// To be used; it came so many seconds ago.
    Fresh(u32),
    /// To be used where the upstreams fail.
    Stale,
    /// Not to be used.
    Dead,
}

impl Entry {
    /// An answer to the question of `key`, by way of `route`, that came at `stored`. It is fresh
    /// for `fresh` and may be used for `stale` beyond.
    pub fn new(
        key: &[u8],
        answer: Answer,
        route: u16,
        stored: Tick,
        (fresh, stale): (Duration, Duration),
    ) -> Entry {
        let fresh_until = stored + fresh;
        Entry {
            flags: key.get(2).copied().unwrap_or(0),
            gone: AtomicBool::new(false),
            answer,
            route,
            failures: 0,
            stored,
            fresh_until,
            keep_until: fresh_until + stale,
        }
    }

    /// Whether it answers the question of `key`.
    #[inline]
    pub fn is_for(&self, key: &Key) -> bool {
        let bytes = key.as_bytes();
        let question = &self.answer.wire()[header::LEN..self.answer.question_end()];
        let Some((name, [high, low, _, _])) = question.split_last_chunk() else { return false };
        bytes[..3] == [*high, *low, self.flags] && &bytes[3..] == name
    }

    /// The same for another question about the same name, for what is true of all types.
    pub fn for_type(&self, key: &[u8]) -> Entry {
        let answer = self.answer.with_type(Key::qtype(key));
        let life = (self.fresh_until.since(self.stored), self.keep_until.since(self.fresh_until));
        Entry::new(key, answer, self.route, self.stored, life)
    }

    /// Whether it still is what the table holds for its question.
    #[inline]
    pub fn is_current(&self) -> bool {
        !self.gone.load(Ordering::Relaxed)
    }

    /// What it is good for at `now`.
    #[inline]
    pub fn freshness(&self, now: Tick) -> Freshness {
        if now < self.fresh_until {
            Freshness::Fresh(now.secs_since(self.stored))
        } else if now < self.keep_until {
            Freshness::Stale
        } else {
            Freshness::Dead
        }
    }
}

/// Bytes that the tables need for an entry beyond its key and its answer: moka's node, its share of
/// the hash table, queues and frequency sketch, the counted pointers, and what the allocator rounds
/// up. Measured as growth of the resident set; `tests/memory.rs` holds it to 15%.
const OVERHEAD: usize = 500;

/// Entries and bytes of one route and kind.
#[derive(Debug, Default)]
struct Gauge {
    entries: AtomicI64,
    bytes: AtomicI64,
}

/// How many of each there are, and how many were pushed out.
struct Tally {
    gauges: Box<[[Gauge; 3]]>,
    evictions: Box<[AtomicU64]>,
}

impl Tally {
    fn new(routes: usize) -> Tally {
        let gauges = (0..routes).map(|_| Default::default()).collect();
        Tally { gauges, evictions: (0..routes).map(|_| AtomicU64::new(0)).collect() }
    }

    /// How many failures are remembered.
    fn failures(&self) -> i64 {
        let count = |g: &[Gauge; 3]| g[Kind::Failure as usize].entries.load(Ordering::Relaxed);
        self.gauges.iter().map(count).sum()
    }

    fn add(&self, key: &Stored, entry: &Entry, sign: i64) {
        let kind = entry.answer.kind as usize;
        if let Some(gauge) = self.gauges.get(usize::from(entry.route)).map(|g| &g[kind]) {
            gauge.entries.fetch_add(sign, Ordering::Relaxed);
            gauge.bytes.fetch_add(sign * i64::from(weight(key, entry)), Ordering::Relaxed);
        }
    }
}

fn weight(key: &Stored, entry: &Entry) -> u32 {
    (key.0.len() + entry.answer.heap() + OVERHEAD) as u32
}

/// moka lets an entry go when it is past any use.
struct Keep;

impl moka::Expiry<Stored, Arc<Entry>> for Keep {
    fn expire_after_create(&self, _: &Stored, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.keep_until.since(entry.stored))
    }

    fn expire_after_update(
        &self,
        key: &Stored,
        entry: &Arc<Entry>,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

/// One route's share of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Index of the route.
    pub route: u16,
    /// Which entries.
    pub kind: Kind,
    /// How many.
    pub entries: u64,
    /// Their bytes, overhead included.
    pub bytes: u64,
}

/// The table; shared by all threads.
pub struct Cache {
    inner: moka::sync::Cache<Stored, Arc<Entry>, foldhash::fast::RandomState>,
    tally: Arc<Tally>,
    memory: u64,
    epoch: AtomicU64,
}

impl Cache {
    /// A cache of at most `memory` bytes, overhead included, for `routes` routes.
    pub fn new(memory: u64, routes: usize) -> Cache {
        let tally = Arc::new(Tally::new(routes));
        let listener = Arc::clone(&tally);
        let inner = moka::sync::Cache::builder()
            .max_capacity(memory)
            .eviction_policy(EvictionPolicy::tiny_lfu())
            .weigher(|key: &Stored, entry: &Arc<Entry>| weight(key, entry))
            .expire_after(Keep)
            .eviction_listener(move |key: Arc<Stored>, entry: Arc<Entry>, cause| {
                listener.add(&key, &entry, -1);
                entry.gone.store(true, Ordering::Relaxed);
                if cause == RemovalCause::Size
                    && let Some(count) = listener.evictions.get(usize::from(entry.route))
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Cache { inner, tally, memory, epoch: AtomicU64::new(0) }
    }

    /// The entry under a key's bytes, whatever its age.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Arc<Entry>> {
        self.inner.get(key)
    }

    /// The failure remembered for a question, whatever its age.
    pub fn failure(&self, key: &[u8]) -> Option<Arc<Entry>> {
        // Nearly always there are none, and a miss need not look.
        if self.tally.failures() == 0 {
            return None;
        }
        self.inner.get(&Stored(Key::of_failure(key)))
    }

    /// Puts an entry under a key's bytes; what was there is replaced. A failure goes to a place of
    /// its own, and an answer takes away the failure remembered for its question.
    pub fn put(&self, key: &[u8], entry: Arc<Entry>) {
        let stored =
            if entry.failures > 0 { Stored(Key::of_failure(key)) } else { Stored(key.into()) };
        if entry.failures == 0 {
            self.end_failures(key);
        }
        self.tally.add(&stored, &entry, 1);
        self.inner.insert(stored, entry);
    }

    /// Takes away what an answer that may not be kept has made untrue: the answer before it, which
    /// would still be used stale, and the failure.
    pub fn forget(&self, key: &[u8]) {
        self.end_failures(key);
        if self.inner.contains_key(key) {
            self.inner.invalidate(key);
        }
    }

    fn end_failures(&self, key: &[u8]) {
        if self.tally.failures() > 0 {
            self.inner.invalidate(&Stored(Key::of_failure(key)));
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.inner.invalidate_all();
        self.inner.run_pending_tasks();
    }

    /// Changes whenever everything is forgotten.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The budget in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Does the housekeeping that is due; for a thread that answers no queries.
    pub fn tidy(&self) {
        self.inner.run_pending_tasks();
    }

    /// How much each route and kind holds.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares = Vec::new();
        for (route, gauges) in self.tally.gauges.iter().enumerate() {
            for kind in [Kind::Positive, Kind::Negative, Kind::Failure] {
                let gauge = &gauges[kind as usize];
                let count = |n: &AtomicI64| n.load(Ordering::Relaxed).max(0) as u64;
                shares.push(Share {
                    route: route as u16,
                    kind,
                    entries: count(&gauge.entries),
                    bytes: count(&gauge.bytes),
                });
            }
        }
        shares
    }

    /// Entries of a route pushed out because the budget was full.
    pub fn evictions(&self, route: u16) -> u64 {
        self.tally.evictions.get(usize::from(route)).map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
