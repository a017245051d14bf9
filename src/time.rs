//! Time as the core sees it: a number that comes in as an argument, so that tests own the clock.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What [`Clock::unix`] of a manual clock begins with.
const MANUAL_EPOCH: u32 = 1_559_731_985;

/// Microseconds since the process started its clock. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// How long after `earlier` this is; zero if it is not.
    #[inline]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds after `earlier`; zero if it is not after it.
    #[inline]
    pub fn secs_since(self, earlier: Tick) -> u32 {
        (self.0.saturating_sub(earlier.0) / 1_000_000).min(u64::from(u32::MAX)) as u32
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    #[inline]
    fn add(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Shows the time of all ticks: the machine's, or the one that a test sets.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Machine(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// CLOCK_MONOTONIC, zero now.
    pub fn start() -> Clock {
        Clock(Source::Machine(Instant::now()))
    }

    /// A clock that stands still until [`Clock::advance`]; its copies show the same.
    pub fn manual() -> Clock {
        Clock(Source::Manual(Arc::default()))
    }

    /// What it shows.
    #[inline]
    pub fn now(&self) -> Tick {
        Tick(match &self.0 {
            Source::Machine(start) => {
                u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
            }
            Source::Manual(now) => now.load(Ordering::Acquire),
        })
    }

    /// Seconds since 1970 modulo 2^32, as RFC 9018 counts them. A manual clock began on
    /// 2019-06-05 at 10:53:05 UTC, like the examples there.
    pub fn unix(&self) -> u32 {
        match &self.0 {
            Source::Machine(_) => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as u32),
            Source::Manual(now) => {
                MANUAL_EPOCH.wrapping_add((now.load(Ordering::Acquire) / 1_000_000) as u32)
            }
        }
    }

    /// Moves a manual clock; the machine's goes by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
        }
    }
}
