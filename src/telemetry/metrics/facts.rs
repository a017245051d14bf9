//! What metrics ask of the core: everything that is not counted in [`crate::telemetry::stats`].

use std::collections::BTreeMap;

use crate::telemetry::histogram::Distribution;
use crate::telemetry::labels::Kind;

/// The core's side of a scrape. Called on the admin thread; may take locks that no query waits for.
pub trait Facts: Send + Sync {
    /// Names of the routes; a route's number in the counters is its place here.
    fn routes(&self) -> Vec<String>;
    /// What the cache holds.
    fn cache(&self) -> CacheFacts;
    /// Every upstream of every route.
    fn upstreams(&self) -> Vec<UpstreamFacts>;
    /// Exchanges in flight.
    fn in_flight(&self) -> u64;
    /// Clients that wait for exchanges.
    fn waiting(&self) -> u64;
    /// Open connections of TCP clients.
    fn tcp_connections(&self) -> u64;
    /// Pods that are known.
    fn pods(&self) -> u64;
    /// Label values of the counters by namespace, by their slots.
    fn namespaces(&self) -> Vec<String>;
    /// [`crate::config::Config::hash`].
    fn config_hash(&self) -> u64;
    /// What had to be put right on the node.
    fn repairs(&self) -> RepairFacts;
}

/// How often the node had to be put right since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairFacts {
    /// Repairs of the interface and its addresses, by what was amiss.
    pub link: [(&'static str, u64); 3],
    /// Repairs of the rules.
    pub rules: u64,
    /// Looks and repairs that failed, by what they were about.
    pub failures: [(&'static str, u64); 2],
}

/// What the cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheFacts {
    /// By route and kind, in any order; what is missing is 0.
    pub entries: Vec<CacheEntries>,
    /// Entries thrown out to make room, since the start.
    pub evictions: u64,
}

/// Entries of one route and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheEntries {
    /// The route's number.
    pub route: u16,
    /// The sort of entry.
    pub kind: Kind,
    /// How many.
    pub entries: u64,
    /// What they take, overhead included.
    pub bytes: u64,
}

/// One upstream of one route, all threads together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamFacts {
    /// The route's name.
    pub route: String,
    /// Its address and port, `10.96.0.10:53`.
    pub upstream: String,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// Whether it is asked when it is its turn.
    pub healthy: bool,
    /// Queries it has not answered yet.
    pub in_flight: u64,
    /// Open sockets or connections to it.
    pub connections: u64,
    /// Queries sent.
    pub requests: u64,
    /// Of those, sent because another upstream was slow.
    pub hedged: u64,
    /// Failed exchanges by reason; a reason is one of a short fixed list.
    pub failures: BTreeMap<&'static str, u64>,
    /// Answers by rcode, named as in [`crate::telemetry::labels::rcode_label`].
    pub responses: BTreeMap<&'static str, u64>,
    /// Times from query to answer, in nanoseconds.
    pub durations: Distribution,
}

impl UpstreamFacts {
    /// The labels that all its series have.
    pub(super) fn labels(&self) -> [&str; 3] {
        [&self.route, &self.upstream, self.transport]
    }

    /// Adds the facts of another entry with the same labels.
    pub(super) fn merge(&mut self, other: UpstreamFacts) {
        self.healthy |= other.healthy;
        self.in_flight += other.in_flight;
        self.connections += other.connections;
        self.requests += other.requests;
        self.hedged += other.hedged;
        for (reason, count) in other.failures {
            *self.failures.entry(reason).or_default() += count;
        }
        for (rcode, count) in other.responses {
            *self.responses.entry(rcode).or_default() += count;
        }
        self.durations.merge(&other.durations);
    }
}
