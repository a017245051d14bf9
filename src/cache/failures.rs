//! Failures that are remembered (RFC 9520), apart from the answers, which they must not push out.
//!
//! Few most of the time, each with a short life of its own, and looked at only behind a miss: moka's
//! table with its timers serves them as it is.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use super::Entry;

/// Bytes that the table needs for a failure beyond its key and its entry: node, share of the hash
/// table, queues and timer. Measured as growth of the resident set; `tests/memory.rs` holds it to 15%.
const OVERHEAD: usize = 330;

/// A key as the table owns it; looked up by its bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Stored(Box<[u8]>);

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0[..].hash(state);
    }
}

impl Borrow<[u8]> for Stored {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

fn weight(key: &Stored, entry: &Entry) -> u32 {
    (key.0.len() + entry.heap() + OVERHEAD) as u32
}

/// A failure goes when it is past any use.
struct Keep;

impl moka::Expiry<Stored, Entry> for Keep {
    fn expire_after_create(&self, _: &Stored, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.keep_until().since(entry.stored()))
    }

    fn expire_after_update(
        &self,
        key: &Stored,
        entry: &Entry,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

/// What one route has in the table.
#[derive(Debug, Default)]
struct Gauge {
    entries: AtomicI64,
    bytes: AtomicI64,
    evicted: AtomicU64,
}

/// How much each route has.
struct Tally(Box<[Gauge]>);

impl Tally {
    fn add(&self, key: &Stored, entry: &Entry, sign: i64) {
        if let Some(gauge) = self.0.get(usize::from(entry.route())) {
            gauge.entries.fetch_add(sign, Ordering::Relaxed);
            gauge.bytes.fetch_add(sign * i64::from(weight(key, entry)), Ordering::Relaxed);
        }
    }
}

/// The table.
pub(super) struct Failures {
    inner: moka::sync::Cache<Stored, Entry, foldhash::fast::RandomState>,
    tally: Arc<Tally>,
}

impl Failures {
    /// A table of at most `memory` bytes for `routes` routes.
    pub fn new(memory: u64, routes: usize) -> Failures {
        let tally = Arc::new(Tally((0..routes).map(|_| Gauge::default()).collect()));
        let listener = Arc::clone(&tally);
        let inner = moka::sync::Cache::builder()
            .max_capacity(memory)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|key: &Stored, entry: &Entry| weight(key, entry))
            .expire_after(Keep)
            .eviction_listener(move |key: Arc<Stored>, entry: Entry, cause| {
                listener.add(&key, &entry, -1);
                if cause == RemovalCause::Size
                    && let Some(gauge) = listener.0.get(usize::from(entry.route()))
                {
                    gauge.evicted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Failures { inner, tally }
    }

    /// Whether there is none, which is nearly always so.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tally.0.iter().all(|gauge| gauge.entries.load(Ordering::Relaxed) <= 0)
    }

    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        if self.is_empty() { None } else { self.inner.get(key) }
    }

    pub fn put(&self, key: &[u8], entry: Entry) {
        let key = Stored(key.into());
        self.tally.add(&key, &entry, 1);
        self.inner.insert(key, entry);
    }

    pub fn remove(&self, key: &[u8]) {
        if !self.is_empty() {
            self.inner.invalidate(key);
        }
    }

    /// Lets go of every failure for which `goes`, and returns how many that were.
    pub fn flush(&self, goes: impl Fn(&Entry) -> bool) -> u64 {
        let mut count = 0;
        // A part of the table at a time, without a lock.
        for (key, entry) in self.inner.iter() {
            if goes(&entry) {
                self.inner.invalidate(&key.0[..]);
                count += 1;
            }
        }
        self.inner.run_pending_tasks();
        count
    }

    /// Up to `most` failures for which `wanted`, with what `hash` makes of their keys, in its order,
    /// from a hash on.
    pub fn page(
        &self,
        from: u64,
        most: usize,
        hash: impl Fn(&[u8]) -> u64,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<(u64, Entry)> {
        let mut least = BTreeMap::new();
        for (key, entry) in self.inner.iter().filter(|(_, entry)| wanted(entry)) {
            let hash = hash(&key.0);
            if hash >= from {
                least.insert((hash, key), entry);
            }
            if least.len() > most {
                least.pop_last();
            }
        }
        least.into_iter().map(|((hash, _), entry)| (hash, entry)).collect()
    }

    pub fn tidy(&self) {
        self.inner.run_pending_tasks();
    }

    /// Entries, bytes and evictions of a route.
    pub fn counts(&self, route: usize) -> (u64, u64, u64) {
        let count = |n: &AtomicI64| n.load(Ordering::Relaxed).max(0) as u64;
        self.tally.0.get(route).map_or((0, 0, 0), |gauge| {
            (count(&gauge.entries), count(&gauge.bytes), gauge.evicted.load(Ordering::Relaxed))
        })
    }
}
