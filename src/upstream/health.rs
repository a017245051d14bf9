//! Whether an upstream is fit to be asked: failures in a row, a pause that doubles, smoothed
//! round-trip time. Shared by all shards; time comes in as an argument.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Tick;

/// So many failures in a row, with no answer between them, and an upstream is down.
const FAILURES: u32 = 3;
/// First pause of an upstream that is down; it doubles with each failed probe.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a probe may take before another query may make one.
const PROBE: Duration = Duration::from_millis(200);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// State of one upstream.
#[derive(Debug, Default)]
pub struct Health {
    failures: AtomicU32,
    /// Until when it is passed over, in microseconds of the process's clock.
    pause_until: AtomicU64,
    srtt_us: AtomicU32,
}

/// What an upstream's health says about asking it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers, or nobody knows better.
    Up,
    /// It is down, but its pause is over: one query may try it.
    Probe,
    /// It is down.
    Down,
}

impl Health {
    /// What to think of it at `now`.
    pub fn state(&self, now: Tick) -> State {
        match self.failures.load(Ordering::Relaxed) {
            0..FAILURES => State::Up,
            _ if now.0 >= self.pause_until.load(Ordering::Relaxed) => State::Probe,
            _ => State::Down,
        }
    }

    /// Claims the probe that is due, so that no other query makes it too for a while. True for one
    /// caller.
    pub fn claim_probe(&self, now: Tick) -> bool {
        let due = self.pause_until.load(Ordering::Relaxed);
        let next = (now + PROBE).0;
        due <= now.0
            && self
                .pause_until
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// It answered after `rtt`. Writes shared memory only where something changes much: an
    /// eighth of the difference is taken over (as RFC 6298, 2.3, does).
    pub fn answered(&self, rtt: Duration) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        let sample = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        let old = self.srtt_us.load(Ordering::Relaxed);
        let new = if old == 0 {
            sample
        } else {
            (u64::from(old) * 7 / 8 + u64::from(sample) / 8).max(1) as u32
        };
        if old.abs_diff(new) > old / 64 {
            self.srtt_us.store(new, Ordering::Relaxed);
        }
    }

    /// It did not answer in time, or could not be reached. True if this put it down.
    ///
    /// Failures inside a pause are the late ends of queries that were under way when it went down,
    /// and say nothing new: a hundred of them are one blip, not a hundred probes.
    pub fn failed(&self, now: Tick) -> bool {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures >= FAILURES && now.0 < self.pause_until.load(Ordering::Relaxed) {
            return false;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES {
            return false;
        }
        let doubled = FIRST_PAUSE * 2u32.pow((failures - FAILURES).min(4));
        let until = (now + doubled.min(LONGEST_PAUSE)).0;
        self.pause_until.fetch_max(until, Ordering::Relaxed);
        failures == FAILURES
    }

    /// Whether it is asked when it is its turn.
    pub fn is_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES
    }

    /// Smoothed round-trip time; `None` before the first answer.
    pub fn srtt(&self) -> Option<Duration> {
        match self.srtt_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn three_failures_put_it_down_and_one_answer_brings_it_back() {
        let health = Health::default();
        assert!(!health.failed(Tick(0)));
        assert!(!health.failed(Tick(0)));
        assert_eq!(health.state(Tick(0)), State::Up);
        assert!(health.failed(Tick(0)));
        assert_eq!(health.state(Tick(SECOND - 1)), State::Down);
        assert_eq!(health.state(Tick(SECOND)), State::Probe);
        health.answered(Duration::from_millis(3));
        assert_eq!(health.state(Tick(0)), State::Up);
    }

    #[test]
    fn one_query_probes_and_pauses_grow() {
        let health = Health::default();
        for _ in 0..3 {
            health.failed(Tick(0));
        }
        assert!(!health.claim_probe(Tick(SECOND / 2)));
        assert!(health.claim_probe(Tick(SECOND)));
        assert!(!health.claim_probe(Tick(SECOND)));
        health.failed(Tick(2 * SECOND));
        assert_eq!(health.state(Tick(4 * SECOND - 1)), State::Down);
        assert_eq!(health.state(Tick(4 * SECOND)), State::Probe);
        for probe in 0..10 {
            health.failed(Tick((10 + 20 * probe) * SECOND));
        }
        assert_eq!(health.state(Tick((190 + 16) * SECOND - 1)), State::Down);
        assert_eq!(health.state(Tick((190 + 16) * SECOND)), State::Probe);
    }

    #[test]
    fn a_blip_with_many_queries_in_flight_is_one_failure() {
        let health = Health::default();
        for late in 0..100 {
            health.failed(Tick(late));
        }
        assert_eq!(health.state(Tick(SECOND + 2)), State::Probe);
    }

    #[test]
    fn the_round_trip_time_is_smoothed() {
        let health = Health::default();
        assert_eq!(health.srtt(), None);
        health.answered(Duration::from_micros(800));
        assert_eq!(health.srtt(), Some(Duration::from_micros(800)));
        health.answered(Duration::from_micros(8000));
        assert_eq!(health.srtt(), Some(Duration::from_micros(1700)));
    }
}
