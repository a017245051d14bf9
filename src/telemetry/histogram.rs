//! Buckets of times and sizes.
//!
//! Bounds are fixed for all histograms of a sort, so that threads' counters add up and dashboards
//! compare. Times have buckets from 10 µs to 5 s, sizes powers of two from 32 bytes to 64 KiB. The
//! count of observations is never stored: it is the sum of the buckets, so a reader never sees a
//! count that disagrees with them.

use super::stats::Counter;

/// Upper bounds of the time buckets in nanoseconds, inclusive; one more bucket has no bound.
pub const DURATION_BOUNDS: [u64; 18] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
];
/// Time buckets, the unbounded one included.
pub const DURATION_BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// Size buckets: 32 B, 64 B, ... 64 KiB. A DNS message has at most 65,535 bytes, so none is needed
/// beyond.
pub const SIZE_BUCKETS: usize = 12;
/// Exponent of the first size bound.
const SIZE_SHIFT: usize = 5;

/// Which bucket a time belongs to.
#[inline]
pub fn duration_bucket(nanos: u64) -> usize {
    DURATION_BOUNDS.partition_point(|&bound| bound < nanos)
}

/// Which bucket a message of `bytes` belongs to; sizes beyond 64 KiB count into the last.
#[inline]
pub fn size_bucket(bytes: usize) -> usize {
    // The least power of two that holds it, from the position of the top bit.
    let power = (usize::BITS - bytes.saturating_sub(1).leading_zeros()) as usize;
    power.saturating_sub(SIZE_SHIFT).min(SIZE_BUCKETS - 1)
}

/// Upper bound of a size bucket in bytes, inclusive.
pub fn size_bound(bucket: usize) -> u64 {
    1 << (bucket + SIZE_SHIFT)
}

/// Observed times of one writer; see [`Counter`] for who may write.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Counter; DURATION_BUCKETS],
    sum_nanos: Counter,
}

impl Durations {
    /// `n` observations of `nanos` each. Two stores.
    #[inline]
    pub fn observe(&self, nanos: u64, n: u64) {
        if let Some(bucket) = self.buckets.get(duration_bucket(nanos)) {
            bucket.add(n);
        }
        self.sum_nanos.add(nanos.saturating_mul(n));
    }

    /// What has been seen so far.
    pub fn read(&self) -> Distribution {
        Distribution {
            buckets: self.buckets.iter().map(Counter::get).collect(),
            sum: self.sum_nanos.get(),
        }
    }
}

/// A histogram as read: how many fell into each bucket (not cumulative), and their sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Per bucket; empty = nothing seen.
    pub buckets: Vec<u64>,
    /// In the unit of the observations: nanoseconds or bytes.
    pub sum: u64,
}

impl Distribution {
    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds another writer's.
    pub fn merge(&mut self, other: &Distribution) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_bounds_are_inclusive() {
        assert_eq!(duration_bucket(0), 0);
        for (at, &bound) in DURATION_BOUNDS.iter().enumerate() {
            assert_eq!(duration_bucket(bound), at);
            assert_eq!(duration_bucket(bound + 1), at + 1);
        }
        assert_eq!(duration_bucket(u64::MAX), DURATION_BUCKETS - 1);
    }

    #[test]
    fn size_bounds_are_inclusive() {
        assert_eq!(size_bucket(0), 0);
        assert_eq!(size_bucket(1), 0);
        for bucket in 0..SIZE_BUCKETS {
            let bound = size_bound(bucket) as usize;
            assert_eq!(size_bucket(bound), bucket);
            assert_eq!(size_bucket(bound + 1), (bucket + 1).min(SIZE_BUCKETS - 1));
        }
        assert_eq!(size_bound(SIZE_BUCKETS - 1), 65_536);
        assert_eq!(size_bucket(usize::MAX), SIZE_BUCKETS - 1);
    }

    #[test]
    fn several_observations_at_once_and_merging() {
        let (one, two) = (Durations::default(), Durations::default());
        one.observe(4_000, 32);
        two.observe(10_001, 1);
        two.observe(u64::MAX, 2);
        let mut all = Distribution::default();
        all.merge(&one.read());
        assert_eq!((all.count(), all.sum), (32, 128_000));
        all.merge(&two.read());
        assert_eq!(all.count(), 35);
        assert_eq!((all.buckets[0], all.buckets[1], all.buckets[18]), (32, 1, 2));
    }
}
