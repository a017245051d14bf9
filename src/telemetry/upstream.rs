//! Counters of one upstream on one thread.
//!
//! Upstreams come and go (a resolv.conf changes), so these belong to the upstream and not to
//! [`super::stats::Stats`]. The contract is the same: one writer, many readers; the core keeps one
//! per upstream and thread and adds them up into [`UpstreamFacts`] when asked.

use super::histogram::Durations;
use super::labels::{RCODE_COUNT, rcode_index, rcode_label};
use super::metrics::UpstreamFacts;
use super::stats::Counter;

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// ICMP said so, or the connection was refused.
    Unreachable,
    /// The connection ended before the answer.
    Closed,
    /// The answer could not be parsed, or answered another question.
    Malformed,
    /// A local cause: no socket, no memory, a send that failed.
    Local,
}

impl Failure {
    /// Label values in the order of the variants.
    pub const LABELS: [&'static str; 5] =
        ["timeout", "unreachable", "closed", "malformed", "local"];
}

/// One upstream's counters; see [`Counter`] for who may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UpstreamStats {
    requests: Counter,
    hedged: Counter,
    failures: [Counter; Failure::LABELS.len()],
    responses: [Counter; RCODE_COUNT],
    durations: Durations,
}

impl UpstreamStats {
    /// A query was sent to it.
    #[inline]
    pub fn request(&self) {
        self.requests.add(1);
    }

    /// That query was a hedge: another upstream of the route was slow to answer.
    #[inline]
    pub fn hedged(&self) {
        self.hedged.add(1);
    }

    /// It answered, after `nanos`.
    #[inline]
    pub fn response(&self, rcode: u16, nanos: u64) {
        self.responses[rcode_index(rcode)].add(1);
        self.durations.observe(nanos, 1);
    }

    /// The exchange failed.
    #[inline]
    pub fn failure(&self, why: Failure) {
        self.failures[why as usize].add(1);
    }

    /// All failures so far.
    pub fn failures(&self) -> u64 {
        self.failures.iter().map(Counter::get).sum()
    }

    /// Queries sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Adds these counters to `facts`.
    pub fn add_to(&self, facts: &mut UpstreamFacts) {
        facts.requests += self.requests.get();
        facts.hedged += self.hedged.get();
        for (label, counter) in Failure::LABELS.into_iter().zip(&self.failures) {
            *facts.failures.entry(label).or_default() += counter.get();
        }
        for (index, counter) in self.responses.iter().enumerate() {
            *facts.responses.entry(rcode_label(index)).or_default() += counter.get();
        }
        facts.durations.merge(&self.durations.read());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_add_up() {
        let (one, two) = (UpstreamStats::default(), UpstreamStats::default());
        one.request();
        one.response(3, 15_000);
        two.request();
        two.request();
        two.hedged();
        two.failure(Failure::Closed);
        two.response(3, 30_000);
        let mut facts = UpstreamFacts::default();
        one.add_to(&mut facts);
        two.add_to(&mut facts);
        assert_eq!((facts.requests, facts.hedged), (3, 1));
        assert_eq!((facts.failures["closed"], facts.failures["timeout"]), (1, 0));
        assert_eq!((facts.responses["NXDOMAIN"], facts.responses["NOERROR"]), (2, 0));
        assert_eq!((facts.durations.count(), facts.durations.sum), (2, 45_000));
        assert_eq!((two.failures(), two.requests()), (1, 2));
    }
}
