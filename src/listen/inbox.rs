//! Work that other threads hand to a shard.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cache::SharedKey;
use crate::sys::{Sleeper, Waker};
use crate::time::Tick;

/// Something for a shard to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Job {
    /// Start the exchange of a question whose leader sits on another thread.
    Start {
        /// Its key.
        key: SharedKey,
        /// Its route.
        route: u16,
        /// Whether the cache should be looked at first.
        look: bool,
        /// After how long an answer past its expiry is given instead.
        late: Option<Duration>,
    },
    /// Ask a question for the cache's sake.
    Renew {
        /// Its key.
        key: SharedKey,
        /// Its route.
        route: u16,
    },
}

/// A bounded list of jobs, and the means to wake the shard. On cache lines of its own: a shard notes
/// here with each batch that it sleeps, and another's inbox may be its neighbour.
#[repr(align(128))]
pub struct Inbox {
    jobs: Mutex<Vec<Job>>,
    limit: usize,
    waker: Waker,
    sleeper: Sleeper,
    /// Whether something was said that the shard has not looked at.
    news: AtomicBool,
    /// Whether the shard wants to be woken now and then.
    wants_turns: AtomicBool,
    leaving: AtomicBool,
    /// Zero: not yet.
    stops_at: AtomicU64,
    in_flight: AtomicUsize,
}

impl Inbox {
    /// An inbox for at most `limit` jobs.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(limit: usize) -> io::Result<Inbox> {
        Ok(Inbox {
            jobs: Mutex::default(),
            limit,
            waker: Waker::new()?,
            sleeper: Sleeper::default(),
            news: AtomicBool::new(false),
            wants_turns: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            stops_at: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Hands over a job.
    ///
    /// # Errors
    /// The job comes back if the inbox is full.
    pub fn push(&self, job: Job) -> Result<(), Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= self.limit {
            return Err(job);
        }
        jobs.push(job);
        // Whoever finds the list empty wakes; the others' jobs are seen with the first.
        if jobs.len() == 1 {
            drop(jobs);
            self.wake();
        }
        Ok(())
    }

    /// Has the shard look at everything it has to do.
    pub fn wake(&self) {
        // In this order: news that the shard has heard of before it waits by epoll must already make
        // that return.
        self.waker.wake();
        self.news.store(true, Ordering::SeqCst);
        self.sleeper.wake();
    }

    /// Whether there is something that [`Inbox::heard`] has not been called for.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.news.load(Ordering::SeqCst)
    }

    /// The shard is about to look at everything.
    pub fn heard(&self) {
        self.news.store(false, Ordering::SeqCst);
    }

    /// How the shard sleeps.
    pub fn sleeper(&self) -> &Sleeper {
        &self.sleeper
    }

    /// Says whether the shard has something to do that no datagram will remind it of.
    pub fn want_turns(&self, wanted: bool) {
        self.wants_turns.store(wanted, Ordering::Relaxed);
    }

    /// To be called every second by a thread that serves no clients: wakes a shard that asked for it.
    pub fn tick(&self) {
        if self.wants_turns.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Takes all jobs into `out`, which is empty. For the shard itself.
    pub fn take(&self, out: &mut Vec<Job>) {
        self.waker.clear();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *jobs, out);
    }

    /// Has the shard take no new packets, but go on with what is in flight and with its jobs.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the shard shall take no new packets.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Has the shard finish what is in flight until `at`, and end.
    pub fn stop(&self, at: Tick) {
        self.leaving.store(true, Ordering::Release);
        self.stops_at.store(at.0.max(1), Ordering::Release);
        self.wake();
    }

    /// When it shall end at the latest; `None` while it shall go on.
    pub fn stops_at(&self) -> Option<Tick> {
        match self.stops_at.load(Ordering::Acquire) {
            0 => None,
            at => Some(Tick(at)),
        }
    }

    /// The descriptor to be watched.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Publishes how many exchanges the shard has in flight.
    pub fn set_in_flight(&self, count: usize) {
        self.in_flight.store(count, Ordering::Relaxed);
    }

    /// How many exchanges the shard has in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cache::Hashed;

    #[test]
    fn jobs_are_bounded_and_come_out_in_order() {
        let inbox = Inbox::new(2).unwrap();
        let key = SharedKey::new(Hashed::raw(&[1], 1));
        let job = |route| Job::Renew { key: key.clone(), route };
        inbox.push(job(0)).unwrap();
        inbox.push(job(1)).unwrap();
        assert_eq!(inbox.push(job(2)), Err(job(2)));
        let mut out = Vec::new();
        inbox.take(&mut out);
        assert_eq!(out, [job(0), job(1)]);
        inbox.push(job(3)).unwrap();
    }
}
