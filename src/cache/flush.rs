//! Emptying the cache, in whole or in part, so that what was wrong does not come back.
//!
//! Three things could bring it back, and none does. A thread's own table holds the entry, which is
//! marked as gone ([`Entry::is_current`]). An exchange that began before the flush ends after it:
//! its answer goes to those who wait for it and is not kept ([`Cache::keep`]), whatever the flush
//! was about. And a copy that was made of an entry before its turn came ([`Cache::keep_copy`]).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::{Cache, Entry, Hashed, Scope};
use crate::time::Tick;

/// What those who put entries in must know of flushes.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// The tick of the last one, plus one; 0 before the first.
    last: AtomicU64,
    /// How many are under way.
    running: AtomicUsize,
}

impl Flushes {
    /// Whether none has begun at or after `asked`.
    #[inline]
    fn none_since(&self, asked: Tick) -> bool {
        asked.0 >= self.last.load(Ordering::Acquire)
    }
}

impl Cache {
    /// Forgets what `scope` covers, and returns how many entries that were. Answers to what was
    /// asked of upstreams at or before `now` are not kept from here on ([`Cache::keep`]).
    ///
    /// For a thread that answers no queries: of a million names it takes a fraction of a second. No
    /// lock is held for longer than some microseconds.
    pub fn flush(&self, scope: &Scope, now: Tick) -> u64 {
        self.flushes.running.fetch_add(1, Ordering::AcqRel);
        self.flushes.last.fetch_max(now.0.saturating_add(1), Ordering::AcqRel);
        // Either this walk sees what another thread puts in, or that thread sees this flush: for the
        // answers the locks see to that, for the failures the fences here and in `keep`.
        fence(Ordering::SeqCst);
        let count = self.answers.flush(|entry| scope.covers(entry))
            + self.failures.flush(|entry| scope.covers(entry));
        if *scope == Scope::All {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        self.flushes.running.fetch_sub(1, Ordering::AcqRel);
        count
    }

    /// [`Cache::put`] for what an upstream was asked at `asked`, unless there was a flush since: what
    /// was asked before it may be what it was meant to get rid of.
    pub fn keep(&self, key: Hashed<'_>, entry: Entry, asked: Tick) {
        let may = || self.flushes.none_since(asked);
        if entry.failures() == 0 {
            // Whatever becomes of the answer, there is one.
            self.failures.remove(key.bytes);
            return self.answers.put(key, entry, may);
        }
        self.failures.put(key.bytes, entry);
        fence(Ordering::SeqCst);
        if !may() {
            self.failures.remove(key.bytes);
        }
    }

    /// [`Cache::put`] for what was made of another entry, unless that has left the cache, or may
    /// be about to.
    pub fn keep_copy(&self, key: Hashed<'_>, copy: Entry, of: &Entry) {
        self.put(key, copy);
        // In this order: once no flush is under way, what it took has left.
        if self.flushes.running.load(Ordering::Acquire) > 0 || !of.is_current() {
            self.forget(key);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
