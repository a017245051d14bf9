//! One upstream as one shard sees it: which of the shard's sockets and connections lead there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::slots::Ticket;
use super::{LaneStats, Upstream};
use crate::time::Tick;

/// How long an upstream that could not do EDNS is asked without (RFC 6891, 7).
const PLAIN_FOR: Duration = Duration::from_secs(900);
/// How long an upstream that does not keep the case of names is sent folded ones.
const FOLDED_FOR: Duration = Duration::from_secs(900);

/// The least time between two warnings about one upstream from one shard.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Sockets and connections to one upstream.
pub struct Lane {
    /// The shard's counters.
    pub stats: Arc<LaneStats>,
    /// UDP sockets; a place is filled when it is first drawn.
    pub ports: Vec<Option<Ticket>>,
    /// TCP connections, the newest last.
    pub connections: Vec<Ticket>,
    plain_until: Tick,
    folded_until: Tick,
    silent_until: Tick,
}

impl Lane {
    /// A lane without sockets.
    pub fn new(upstream: &Upstream, ports: usize) -> Lane {
        let stats = upstream.register();
        let ports = vec![None; ports.max(1)];
        Lane {
            stats,
            ports,
            connections: Vec::new(),
            plain_until: Tick(0),
            folded_until: Tick(0),
            silent_until: Tick(0),
        }
    }

    /// Whether it is to be asked without EDNS.
    pub fn is_plain(&self, now: Tick) -> bool {
        now < self.plain_until
    }

    /// It answered a query without EDNS after it had choked on one with.
    pub fn learn_plain(&mut self, now: Tick) {
        self.plain_until = now + PLAIN_FOR;
    }

    /// Whether it is not known to change the case of names.
    pub fn keeps_case(&self, now: Tick) -> bool {
        now >= self.folded_until
    }

    /// It answered over TCP, where nobody else can, in another case than it was asked in.
    pub fn learn_folding(&mut self, now: Tick) {
        self.folded_until = now + FOLDED_FOR;
    }

    /// Whether a warning about it may be logged: packets must not be able to fill a disk.
    pub fn may_warn(&mut self, now: Tick) -> bool {
        let may = now >= self.silent_until;
        if may {
            self.silent_until = now + WARN_EVERY;
        }
        may
    }

    /// A try began; `hedge`: while another of its exchange was still open.
    pub fn began(&self, hedge: bool) {
        self.stats.counts.request();
        if hedge {
            self.stats.counts.hedged();
        }
        // One writer: a plain store is enough, and a reader sees the number whole.
        let count = self.stats.in_flight.load(Ordering::Relaxed);
        self.stats.in_flight.store(count + 1, Ordering::Relaxed);
    }

    /// A try ended, in whatever way.
    pub fn ended(&self) {
        let count = self.stats.in_flight.load(Ordering::Relaxed);
        self.stats.in_flight.store(count.saturating_sub(1), Ordering::Relaxed);
    }

    /// Publishes how many connections are open.
    pub fn count_connections(&self) {
        self.stats.connections.store(self.connections.len(), Ordering::Relaxed);
    }
}
