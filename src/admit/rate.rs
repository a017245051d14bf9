//! How many questions a second a client may ask.
//!
//! Each client has a bucket that holds `burst` questions and is refilled at `rate` a second (GCRA: one
//! number, the time at which the bucket would be full again). There is one table for all threads and
//! of a fixed size, without locks and without allocation: a client's buckets are found by a keyed hash
//! of its whole address. An IPv6 client is not its /64, because all pods of a node share that.
//!
//! Two clients may share a bucket. So each has two, at unrelated places, and is turned away only if
//! both are empty: who shares one with a client that asks too much still has the other.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

use crate::config::{Admit, Over};
use crate::time::Tick;

/// The buckets of all clients.
pub struct Rate {
    /// When each bucket will be full again, in nanoseconds of the clock. A power of two of them.
    full_at: Box<[AtomicU64]>,
    hasher: SipHasher13,
    /// Nanoseconds until one question is refilled.
    interval: u64,
    /// Nanoseconds until an empty bucket is full.
    depth: u64,
    /// What those get who are over it.
    pub over: Over,
}

impl Rate {
    /// The limit of the configuration; `None` where it has none.
    pub fn new(admit: &Admit) -> Option<Rate> {
        Rate::keyed(admit, &rand::random())
    }

    fn keyed(admit: &Admit, key: &[u8; 16]) -> Option<Rate> {
        let interval = 1_000_000_000u64.checked_div(admit.rate as u64)?;
        let places = admit.rate_table.next_power_of_two().max(2);
        Some(Rate {
            full_at: (0..places).map(|_| AtomicU64::new(0)).collect(),
            hasher: SipHasher13::new_with_key(key),
            interval,
            depth: interval * admit.burst as u64,
            over: admit.over,
        })
    }

    /// Takes one question out of the client's buckets; false if both are empty.
    #[inline]
    pub fn admits(&self, client: IpAddr, now: Tick) -> bool {
        let now = now.0.saturating_mul(1000);
        let hash = match client.to_canonical() {
            IpAddr::V4(v4) => self.hasher.hash(&v4.octets()),
            IpAddr::V6(v6) => self.hasher.hash(&v6.octets()),
        };
        let mask = self.full_at.len() - 1;
        let (one, other) = (hash as u32 as usize & mask, (hash >> 32) as usize & mask);
        let other = if one == other { one ^ 1 } else { other };
        // Out of both, so that neither is a reserve for later.
        self.take(one, now) | self.take(other, now)
    }

    fn take(&self, place: usize, now: u64) -> bool {
        let Some(bucket) = self.full_at.get(place) else { return true };
        let latest = now.saturating_add(self.depth);
        // An empty bucket is not written to: to turn a flood away costs two loads.
        let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let then = full_at.max(now).saturating_add(self.interval);
            (then <= latest).then_some(then)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn rate(rate: usize, burst: usize, rate_table: usize) -> Rate {
        let admit = Admit { rate, burst, rate_table, ..Admit::default() };
        Rate::keyed(&admit, b"0123456789abcdef").unwrap()
    }

    fn admitted(rate: &Rate, client: &str, times: usize, at: u64) -> usize {
        let client = client.parse().unwrap();
        (0..times).filter(|_| rate.admits(client, Tick(at))).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = rate(100, 20, 1024);
        assert_eq!(admitted(&rate, "10.0.0.1", 50, 0), 20);
        assert_eq!(admitted(&rate, "10.0.0.1", 50, 9_999), 0);
        assert_eq!(admitted(&rate, "10.0.0.1", 50, 10_000), 1);
        assert_eq!(admitted(&rate, "10.0.0.1", 50, 60_000), 5);
        // What is not used fills the bucket and no more.
        assert_eq!(admitted(&rate, "10.0.0.1", 50, 60 * SECOND), 20);
        // In the long run it is the rate, whatever the steps.
        let times = (0..1000).map(|step| admitted(&rate, "10.0.0.2", 2, step * 3_000));
        assert_eq!(times.sum::<usize>(), 20 + 299);
    }

    #[test]
    fn clients_do_not_share_a_fate() {
        let rate = rate(1, 5, 1 << 16);
        assert_eq!(admitted(&rate, "10.0.0.1", 100, 0), 5);
        let others = (0..=255).map(|i| format!("10.0.1.{i}"));
        assert_eq!(others.map(|ip| admitted(&rate, &ip, 6, 0)).sum::<usize>(), 256 * 5);
        for (one, other) in [("fd00::1", "fd00::2"), ("::ffff:10.9.9.9", "10.9.9.8")] {
            assert_eq!(admitted(&rate, one, 9, 0), 5);
            assert_eq!(admitted(&rate, other, 9, 0), 5);
        }
        // The same client in other clothes.
        assert_eq!(admitted(&rate, "10.9.9.9", 9, 0), 0);
    }

    #[test]
    fn the_least_table_and_the_highest_rate() {
        let rate = rate(1_000_000, 1, 1);
        assert_eq!(rate.full_at.len(), 2);
        assert_eq!((0..9).map(|at| admitted(&rate, "10.0.0.1", 9, at)).sum::<usize>(), 9);
        assert_eq!(admitted(&rate, "10.0.0.2", 9, 8), 0, "they share both buckets");
        assert!(Rate::new(&Admit::default()).is_none(), "off by default");
    }

    #[test]
    fn threads_together_admit_no_more() {
        let rate = rate(1, 1000, 64);
        let count = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| admitted(&rate, "10.0.0.1", 1000, 0))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        // The two buckets are not one step: at worst each question finds another of them.
        assert!((1000..=2000).contains(&count), "{count}");
    }
}
