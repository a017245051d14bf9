//! Timers of exchanges: put in and forgotten, seen again when due. Nearly all are past caring by
//! then, so none is ever taken out.

use std::time::Duration;

use crate::time::Tick;

/// Width of a bucket: timers are late by up to this.
const STEP_US: u64 = 8_000;
/// Buckets; one turn is about 4 s. Longer waits go round again.
const BUCKETS: usize = 512;

/// A wheel of timers that carry a `T`.
pub struct Wheel<T> {
    buckets: Box<[Vec<(Tick, T)>]>,
    /// Number of the bucket that is looked at next, counted from the clock's zero.
    next: u64,
    count: usize,
}

impl<T> Wheel<T> {
    /// An empty wheel that starts at `now`.
    pub fn new(now: Tick) -> Wheel<T> {
        let buckets = (0..BUCKETS).map(|_| Vec::new()).collect();
        Wheel { buckets, next: now.0 / STEP_US, count: 0 }
    }

    /// Has `what` come out at `due`, or at the next look if that is over.
    pub fn add(&mut self, due: Tick, what: T) {
        let step = (due.0.div_ceil(STEP_US)).max(self.next);
        self.buckets[step as usize % BUCKETS].push((due, what));
        self.count += 1;
    }

    /// How long from `now` until the next look is worth it; `None` while the wheel is empty.
    pub fn wait(&self, now: Tick) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let ahead = (0..BUCKETS as u64)
            .find(|ahead| !self.buckets[(self.next + ahead) as usize % BUCKETS].is_empty())?;
        Some(Tick((self.next + ahead) * STEP_US).since(now))
    }

    /// Moves what is due into `out`.
    pub fn due(&mut self, now: Tick, out: &mut Vec<T>) {
        let last = now.0 / STEP_US;
        // After a long sleep one turn over all buckets is enough.
        let steps = (last + 1).saturating_sub(self.next).min(BUCKETS as u64);
        for step in (last + 1 - steps)..=last {
            let bucket = &mut self.buckets[step as usize % BUCKETS];
            let before = bucket.len();
            out.extend(bucket.extract_if(.., |(due, _)| *due <= now).map(|(_, what)| what));
            self.count -= before - bucket.len();
            if bucket.capacity() > 1024 && bucket.len() * 4 < bucket.capacity() {
                bucket.shrink_to(bucket.len());
            }
        }
        self.next = self.next.max(last + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel<u8>, ms: u64) -> Vec<u8> {
        let mut out = Vec::new();
        wheel.due(Tick(ms * 1000), &mut out);
        out
    }

    #[test]
    fn timers_come_out_when_due() {
        let mut wheel = Wheel::new(Tick(0));
        assert_eq!(wheel.wait(Tick(0)), None);
        wheel.add(Tick(100_000), 1);
        wheel.add(Tick(50_000), 2);
        wheel.add(Tick(20_000_000), 3);
        assert_eq!(wheel.wait(Tick(0)), Some(Duration::from_millis(56)));
        assert!(due(&mut wheel, 49).is_empty());
        assert_eq!(due(&mut wheel, 57), [2]);
        assert!(due(&mut wheel, 99).is_empty());
        assert_eq!(due(&mut wheel, 112), [1]);
        for ms in (200..20_000).step_by(500) {
            assert!(due(&mut wheel, ms).is_empty(), "{ms}");
        }
        assert_eq!(due(&mut wheel, 20_010), [3]);
        assert_eq!(wheel.wait(Tick(0)), None);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new(Tick(0));
        for i in 0..200 {
            wheel.add(Tick(u64::from(i) * 37_000), i);
        }
        let mut out = due(&mut wheel, 3_600_000);
        out.sort_unstable();
        assert!(out.into_iter().eq(0..200));
        wheel.add(Tick(0), 7);
        assert_eq!(due(&mut wheel, 3_600_020), [7]);
    }
}
