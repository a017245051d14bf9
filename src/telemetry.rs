//! What the daemon tells about itself: counters, logs, the query log.
//!
//! It stands beside the road of a query. Query threads write into counters of their own
//! ([`stats`]); the admin thread adds them up when somebody looks ([`metrics`]). Nothing here ever
//! holds a query back: no lock, no atomic read-modify-write that threads share, no formatting on
//! the way of an answer; the query log drops lines sooner than it waits.
//!
//! It knows nothing of sockets, caches or upstreams: what it cannot count itself it asks of the
//! core through [`metrics::Facts`].

pub mod histogram;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod querylog;
pub mod snapshot;
pub mod stats;
pub mod upstream;
pub mod utc;
