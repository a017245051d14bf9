//! Holds answers as wire bytes, ready to send, within a budget of bytes.
//!
//! Answers lie in a table of our own (`cache::table`), failures apart from them (`cache::failures`).
//! Each thread has a small table of its own in front ([`Front`]). When an entry is fresh or stale is
//! decided by the clock that comes in as an argument. The cache knows nothing of clients and upstreams;
//! what may be put into it is decided by [`crate::accept`] and [`crate::serve`]. Operators look into it
//! (`cache::look`) and empty it (`cache::flush`) without anybody who asks noticing.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::Kind;
use crate::time::Tick;

mod denials;
mod entry;
mod failures;
mod flush;
mod front;
mod key;
mod look;
mod scope;
mod slots;
mod table;

use denials::Denials;
use failures::Failures;
use flush::Flushes;
use table::Table;

pub use entry::{Entry, Freshness};
pub use front::Front;
pub use key::{Key, Probe, SharedKey};
pub use look::{Cursor, NoCursor};
pub use scope::{Filter, Scope};

/// The hash of a folded name, by the cache's own hasher: differs from process to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameHash(u64);

impl NameHash {
    /// The hash of a key with this name and a type. DO and CD do not count, so that it can be had
    /// before the whole question is read.
    #[inline]
    fn with_type(self, qtype: u16) -> u64 {
        // The golden ratio spreads the types; folding the product mixes all bits into all.
        let mixed = self.0 ^ (u64::from(qtype) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let product = u128::from(mixed) * 0xd6e8_feb8_6659_fd93;
        (product >> 64) as u64 ^ product as u64
    }
}

/// The bytes of a key and their hash, by the cache's own hasher ([`Cache::hashed`]).
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    /// See [`Key`].
    pub bytes: &'a [u8],
    /// Of the whole.
    pub hash: u64,
    /// Of the name alone.
    pub name: NameHash,
}

impl<'a> Hashed<'a> {
    /// A key whose name has this hash.
    #[inline]
    pub fn new(bytes: &'a [u8], name: NameHash) -> Hashed<'a> {
        // The flags change bits that no place is chosen by: they only tell its keys apart.
        let marks = u64::from(Key::marks(bytes)) << 28;
        Hashed { bytes, hash: name.with_type(Key::qtype(bytes)) ^ marks, name }
    }

    /// Another key of the same name.
    #[inline]
    pub fn same_name<'b>(&self, bytes: &'b [u8]) -> Hashed<'b> {
        Hashed::new(bytes, self.name)
    }

    /// One with a hash of one's choice.
    #[cfg(test)]
    pub(crate) fn raw(bytes: &'a [u8], hash: u64) -> Hashed<'a> {
        Hashed { bytes, hash, name: NameHash(0) }
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

/// The part of the budget that failures may take.
const FAILURES: u64 = 16;

/// The cache; shared by all threads.
pub struct Cache {
    answers: Table,
    failures: Failures,
    hasher: foldhash::quality::RandomState,
    memory: u64,
    routes: usize,
    epoch: AtomicU64,
    flushes: Flushes,
    denials: Denials,
}

impl Cache {
    /// A cache of at most `memory` bytes, overhead included, for `routes` routes.
    pub fn new(memory: u64, routes: usize) -> Cache {
        let for_failures = memory / FAILURES;
        Cache {
            answers: Table::new(memory - for_failures, routes),
            failures: Failures::new(for_failures, routes),
            hasher: foldhash::quality::RandomState::default(),
            memory,
            routes,
            epoch: AtomicU64::new(0),
            flushes: Flushes::default(),
            denials: Denials::new(),
        }
    }

    /// A key's bytes with their hash, for the other calls.
    #[inline]
    pub fn hashed<'a>(&self, bytes: &'a [u8]) -> Hashed<'a> {
        Hashed::new(bytes, self.name_hash(Key::name(bytes)))
    }

    /// The hash of a folded name.
    #[inline]
    pub fn name_hash(&self, name: &[u8]) -> NameHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        NameHash(hasher.finish())
    }

    /// Has the processor fetch where a question of this name and type, and the name itself, would be
    /// found.
    #[inline]
    pub fn prefetch(&self, name: NameHash, qtype: u16) {
        self.answers.prefetch(name.with_type(qtype));
        self.answers.prefetch(name.with_type(0));
    }

    /// The entry of a key, whatever its age.
    #[inline]
    pub fn get(&self, key: Hashed<'_>) -> Option<Entry> {
        self.answers.get(key)
    }

    /// The failure remembered for a question, whatever its age.
    pub fn failure(&self, key: &[u8]) -> Option<Entry> {
        self.failures.get(key)
    }

    /// Puts an entry under a key; what was there is replaced. A failure goes to a place of its own,
    /// and an answer takes away the failure remembered for its question.
    pub fn put(&self, key: Hashed<'_>, entry: Entry) {
        if entry.failures() > 0 {
            self.failures.put(key.bytes, entry);
        } else {
            self.failures.remove(key.bytes);
            self.answers.put(key, entry, || true);
        }
    }

    /// Takes away what an answer that may not be kept has made untrue: the answer before it, which
    /// would still be used stale, and the failure.
    pub fn forget(&self, key: Hashed<'_>) {
        self.failures.remove(key.bytes);
        self.answers.remove(key);
    }

    /// Notes that a name is about to be kept as one that does not exist, so that names below it
    /// are not asked for: [`Cache::may_deny`] is true of it for [`Cache::DENIES_FOR`] at least.
    pub fn note_denied(&self, name: NameHash) {
        self.denials.add(name);
    }

    /// How long after it came an NXDOMAIN may be held against names below: for as long it is sure
    /// that who learns of such a name finds the NXDOMAIN and takes it away.
    pub const DENIES_FOR: Duration = Denials::KEPT;

    /// Whether there can be a name for which [`Cache::may_deny`] is true.
    #[inline]
    pub fn denies_any(&self) -> bool {
        !self.denials.is_empty()
    }

    /// Whether a name may be known not to exist ([`Cache::note_denied`]): a guess that takes no lock,
    /// and that errs on the side of yes.
    #[inline]
    pub fn may_deny(&self, name: NameHash) -> bool {
        self.denials.may_have(name)
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

    /// Does a part of the housekeeping, to be called every second by a thread that answers no
    /// queries: what is past any use at `now` is gone after half a minute.
    pub fn tidy(&self, now: Tick) {
        self.answers.tidy(now);
        self.failures.tidy();
        self.denials.tidy(now);
    }

    /// How much each route and kind holds.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares = Vec::new();
        for (route, count) in self.answers.counts(self.routes).into_iter().enumerate() {
            for kind in [Kind::Positive, Kind::Negative, Kind::Failure] {
                let mut gauge = count.kinds[kind as usize];
                if kind == Kind::Failure {
                    let (entries, bytes, _) = self.failures.counts(route);
                    (gauge.entries, gauge.bytes) = (gauge.entries + entries, gauge.bytes + bytes);
                }
                let (entries, bytes) = (gauge.entries, gauge.bytes);
                shares.push(Share { route: route as u16, kind, entries, bytes });
            }
        }
        shares
    }

    /// Entries pushed out because the budget was full.
    pub fn evictions(&self) -> u64 {
        let counts = self.answers.counts(self.routes).into_iter().enumerate();
        counts.map(|(route, count)| count.evicted + self.failures.counts(route).2).sum()
    }
}

#[cfg(test)]
mod tests;
