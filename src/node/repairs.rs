//! How often the node had to be put right: counters, written by those who keep it, read at a scrape.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Repairs {
    /// The interface was gone and was made again.
    pub interface: Count,
    /// The interface was down and was set up again.
    pub up: Count,
    /// An address was gone and was added again.
    pub addresses: Count,
    /// A look at the interface and its addresses, or a repair, failed.
    pub link_failures: Count,
    /// The rules were gone or changed and were made again.
    pub rules: Count,
    /// A beat, a look at the rules, or a repair failed.
    pub rules_failures: Count,
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
