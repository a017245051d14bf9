//! Time as the core sees it: a number that comes in as an argument, so that tests own the clock.

use std::ops::Add;
use std::time::{Duration, Instant};

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

/// The real clock (CLOCK_MONOTONIC).
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that shows zero now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// What it shows.
    #[inline]
    pub fn now(&self) -> Tick {
        Tick(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}
