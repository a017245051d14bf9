//! The names: every metric of ours with its type, help and labels, and how values become samples.

use std::collections::HashMap;

use prometheus::core::Desc;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::telemetry::histogram::{DURATION_BOUNDS, Distribution, SIZE_BUCKETS, size_bound};

/// One metric name.
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
}

macro_rules! families {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub const $id: Family = Family {
            name: $name, help: $help, kind: MetricType::$kind, labels: &[$($label),*],
        };)+
        /// Every metric of ours.
        pub const ALL: &[Family] = &[$($id),+];
    };
}

families! {
    REQUESTS COUNTER "horizond_requests_total" ["route", "proto", "family", "type"]
        "Queries received.";
    RESPONSES COUNTER "horizond_responses_total" ["route", "rcode", "source"]
        "Answers sent, by where they came from.";
    DURATION HISTOGRAM "horizond_request_duration_seconds" ["route", "source"]
        "Time from receiving a query to handing over its answer; hits are timed by the batch.";
    REQUEST_SIZE HISTOGRAM "horizond_request_size_bytes" ["proto"]
        "Size of queries.";
    RESPONSE_SIZE HISTOGRAM "horizond_response_size_bytes" ["proto"]
        "Size of answers.";
    CACHE_ENTRIES GAUGE "horizond_cache_entries" ["route", "kind"]
        "Entries in the cache.";
    CACHE_BYTES GAUGE "horizond_cache_bytes" ["route", "kind"]
        "Memory that the cache's entries take, overhead included.";
    CACHE_HITS COUNTER "horizond_cache_hits_total" ["route", "kind"]
        "Queries answered from a fresh entry.";
    CACHE_MISSES COUNTER "horizond_cache_misses_total" ["route"]
        "Queries for which the cache had no fresh entry.";
    CACHE_EVICTIONS COUNTER "horizond_cache_evictions_total" []
        "Entries thrown out of the cache to make room.";
    CACHE_STALE COUNTER "horizond_cache_stale_served_total" ["route", "kind"]
        "Queries answered from an expired entry.";
    CACHE_PREFETCH COUNTER "horizond_cache_prefetch_total" ["route"]
        "Answers asked for anew before they expired.";
    UPSTREAM_REQUESTS COUNTER "horizond_upstream_requests_total" ["route", "upstream", "transport"]
        "Queries sent to an upstream.";
    UPSTREAM_RESPONSES COUNTER "horizond_upstream_responses_total"
        ["route", "upstream", "transport", "rcode"]
        "Answers of an upstream.";
    UPSTREAM_DURATION HISTOGRAM "horizond_upstream_duration_seconds"
        ["route", "upstream", "transport"]
        "Time from sending a query to an upstream to its answer.";
    UPSTREAM_FAILURES COUNTER "horizond_upstream_failures_total"
        ["route", "upstream", "transport", "reason"]
        "Exchanges with an upstream that failed.";
    UPSTREAM_HEALTHY GAUGE "horizond_upstream_healthy" ["route", "upstream", "transport"]
        "1 if the upstream answers, 0 after three failures in a row: then others are asked first.";
    UPSTREAM_IN_FLIGHT GAUGE "horizond_upstream_in_flight" ["route", "upstream", "transport"]
        "Queries that the upstream has not answered yet.";
    UPSTREAM_HEDGED COUNTER "horizond_upstream_hedged_total" ["route", "upstream", "transport"]
        "Queries sent to an upstream because another one was slow.";
    UPSTREAM_CONNECTIONS GAUGE "horizond_upstream_connections" ["route", "upstream", "transport"]
        "Open TCP connections to an upstream.";
    IN_FLIGHT GAUGE "horizond_in_flight" []
        "Exchanges in flight.";
    WAITING GAUGE "horizond_waiting" []
        "Clients that wait for an exchange in flight.";
    TCP_CONNECTIONS GAUGE "horizond_tcp_connections" []
        "Open connections of TCP clients.";
    SHED COUNTER "horizond_shed_total" ["reason"]
        "What a ceiling turned away.";
    DROPPED COUNTER "horizond_dropped_total" ["reason"]
        "Queries that got no answer at all.";
    AUTOPATH COUNTER "horizond_autopath_total" ["result"]
        "Names of pods looked for by their search lists, where [pods] autopath is on.";
    NAMESPACE_REQUESTS COUNTER "horizond_namespace_requests_total" ["namespace"]
        "Queries received from a namespace's pods, where [pods] metrics is on.";
    PODS GAUGE "horizond_pods" []
        "Pods known from their records.";
    LINK_REPAIRS COUNTER "horizond_link_repairs_total" ["what"]
        "Repairs of the interface and addresses that clients ask: made again, or set up again.";
    RULES_REPAIRS COUNTER "horizond_rules_repairs_total" []
        "Repairs of the node's nf_tables rules, which others had changed or removed.";
    NODE_FAILURES COUNTER "horizond_node_failures_total" ["what"]
        "Failures to keep the interface and addresses (link) or the rules, and questions to ourselves, four a \
         second where pods are steered, without an answer (self): upon two in a row we step aside.";
    CONFIG_INFO GAUGE "horizond_config_info" ["hash"]
        "The running configuration, always 1.";
    BUILD_INFO GAUGE "horizond_build_info" ["version"]
        "The running program, always 1.";
}

impl Family {
    /// What the registry checks.
    pub fn desc(&self) -> Result<Desc, prometheus::Error> {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }

    /// The family with these samples.
    pub fn of(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        family
    }

    /// A counter's sample.
    pub fn counter(&self, labels: &[&str], value: u64) -> Metric {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = self.sample(labels);
        metric.set_counter(counter);
        metric
    }

    /// A gauge's sample.
    pub fn gauge(&self, labels: &[&str], value: u64) -> Metric {
        let mut gauge = Gauge::default();
        gauge.set_value(value as f64);
        let mut metric = self.sample(labels);
        metric.set_gauge(gauge);
        metric
    }

    /// A sample of a counter or gauge, as the family's type says.
    pub fn value(&self, labels: &[&str], value: u64) -> Metric {
        match self.kind {
            MetricType::COUNTER => self.counter(labels, value),
            _ => self.gauge(labels, value),
        }
    }

    /// A histogram of nanoseconds, shown in seconds.
    pub fn seconds(&self, labels: &[&str], seen: &Distribution) -> Metric {
        let bounds = DURATION_BOUNDS.iter().map(|&nanos| nanos as f64 / 1e9);
        self.histogram(labels, bounds, seen, seen.sum as f64 / 1e9)
    }

    /// A histogram of bytes.
    pub fn bytes(&self, labels: &[&str], seen: &Distribution) -> Metric {
        let bounds = (0..SIZE_BUCKETS).map(|bucket| size_bound(bucket) as f64);
        self.histogram(labels, bounds, seen, seen.sum as f64)
    }

    fn histogram(
        &self,
        labels: &[&str],
        bounds: impl Iterator<Item = f64>,
        seen: &Distribution,
        sum: f64,
    ) -> Metric {
        let mut total = 0;
        // What lies beyond the last bound is in the count alone: the encoder adds `+Inf`.
        let counts = seen.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = bounds.zip(counts).map(|(bound, count)| {
            total += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(total);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(seen.count());
        histogram.set_sample_sum(sum);
        let mut metric = self.sample(labels);
        metric.set_histogram(histogram);
        metric
    }

    fn sample(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        let pairs = self.labels.iter().zip(values).map(|(&name, &value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}
