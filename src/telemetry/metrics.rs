//! `/metrics`: every counter and gauge under its Prometheus name.
//!
//! Work is done at scrape alone, on the admin thread: the threads' [`Stats`] are added up, the rest
//! is asked of the core through [`Facts`]. Label values are routes, upstreams and short fixed
//! lists, never a query's name or a client's address. Series whose labels are known beforehand
//! exist from the start, at 0, so that their first increase is seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{Registry, TextEncoder};

use super::labels::{
    Autopath, DropReason, Family, Kind, Proto, RCODE_COUNT, ShedReason, Source, TYPE_COUNT,
    rcode_label, type_label,
};
use super::snapshot::Snapshot;
use super::stats::{NO_ROUTE, NO_ROUTE_NAME, Stats};

mod facts;
mod families;

pub use facts::{CacheEntries, CacheFacts, Facts, RepairFacts, UpstreamFacts};
use families as family;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Why metrics could not be set up or shown.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// All that is shown at `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics over the counters of all threads, which are fixed from here on, and the core's facts.
    pub fn new(stats: Vec<Arc<Stats>>, facts: Arc<dyn Facts>) -> Result<Metrics, MetricsError> {
        let descs = family::ALL.iter().map(|family| family.desc()).collect::<Result<_, _>>()?;
        let registry = Registry::new();
        registry.register(Box::new(Horizond { stats, facts, descs }))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Metrics { registry })
    }

    /// The metrics of this moment in Prometheus' text format; its type is [`CONTENT_TYPE`].
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

struct Horizond {
    stats: Vec<Arc<Stats>>,
    facts: Arc<dyn Facts>,
    descs: Vec<Desc>,
}

impl Collector for Horizond {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sums = Snapshot::of(&self.stats);
        let names = self.facts.routes();
        // Only routes with a name: two without one would be the same series twice.
        let routes: Vec<(u16, &str)> = sums
            .routes()
            .filter_map(|route| match route {
                NO_ROUTE => Some((route, NO_ROUTE_NAME)),
                _ => names.get(usize::from(route)).map(|name| (route, name.as_str())),
            })
            .collect();
        let mut out = Vec::with_capacity(family::ALL.len());
        queries(&sums, &routes, &mut out);
        sizes(&sums, &mut out);
        turned_away(&sums, &mut out);
        cache_counters(&sums, &routes, &mut out);
        cache_contents(&self.facts.cache(), &names, &mut out);
        upstreams(self.facts.upstreams(), &mut out);
        by_namespace(&sums, &self.facts.namespaces(), &mut out);
        repairs(&self.facts.repairs(), &mut out);
        gauges(self.facts.as_ref(), &mut out);
        out
    }
}

/// Whether a series of this route and source is shown before it has counted anything: nothing of
/// no route can come from an upstream or the cache.
fn expected(route: u16, source: usize) -> bool {
    route != NO_ROUTE || source == Source::Local.index() || source == Source::Refused.index()
}

fn queries(sums: &Snapshot, routes: &[(u16, &str)], out: &mut Vec<MetricFamily>) {
    let (mut requests, mut responses, mut durations) = (Vec::new(), Vec::new(), Vec::new());
    for &(route, name) in routes {
        for &proto in Proto::ALL {
            for &of in Family::ALL {
                for qtype in 0..TYPE_COUNT {
                    let labels = [name, proto.as_str(), of.as_str(), type_label(qtype)];
                    let count = sums.requests(route, proto, of, qtype);
                    requests.push(family::REQUESTS.counter(&labels, count));
                }
            }
        }
        for (source, label) in Source::LABELS.into_iter().enumerate() {
            for rcode in 0..RCODE_COUNT {
                let count = sums.responses(route, source, rcode);
                if count > 0 || expected(route, source) {
                    let labels = [name, rcode_label(rcode), label];
                    responses.push(family::RESPONSES.counter(&labels, count));
                }
            }
            let seen = sums.durations(route, source);
            if seen.count() > 0 || expected(route, source) {
                durations.push(family::DURATION.seconds(&[name, label], &seen));
            }
        }
    }
    out.push(family::REQUESTS.of(requests));
    out.push(family::RESPONSES.of(responses));
    out.push(family::DURATION.of(durations));
}

fn sizes(sums: &Snapshot, out: &mut Vec<MetricFamily>) {
    let of = |family: &family::Family, read: fn(&Snapshot, Proto) -> _| {
        let metrics = Proto::ALL.iter();
        family.of(metrics.map(|&p| family.bytes(&[p.as_str()], &read(sums, p))).collect())
    };
    out.push(of(&family::REQUEST_SIZE, Snapshot::request_sizes));
    out.push(of(&family::RESPONSE_SIZE, Snapshot::response_sizes));
}

fn turned_away(sums: &Snapshot, out: &mut Vec<MetricFamily>) {
    let dropped = DropReason::ALL.iter();
    let dropped = dropped.map(|&r| family::DROPPED.counter(&[r.as_str()], sums.dropped(r)));
    out.push(family::DROPPED.of(dropped.collect()));
    let shed = ShedReason::ALL.iter();
    let shed = shed.map(|&r| family::SHED.counter(&[r.as_str()], sums.shed(r)));
    out.push(family::SHED.of(shed.collect()));
    let walks = Autopath::ALL.iter();
    let walks = walks.map(|&r| family::AUTOPATH.counter(&[r.as_str()], sums.autopath(r)));
    out.push(family::AUTOPATH.of(walks.collect()));
}

fn cache_counters(sums: &Snapshot, routes: &[(u16, &str)], out: &mut Vec<MetricFamily>) {
    let (mut hits, mut misses, mut stale) = (Vec::new(), Vec::new(), Vec::new());
    let mut renewals = Vec::new();
    for &(route, name) in routes.iter().filter(|(route, _)| *route != NO_ROUTE) {
        for &kind in Kind::ALL {
            let labels = [name, kind.as_str()];
            let count = sums.answered(route, Source::Cache(kind));
            hits.push(family::CACHE_HITS.counter(&labels, count));
            let count = sums.answered(route, Source::Stale(kind));
            // A remembered failure is never served stale.
            if count > 0 || kind != Kind::Failure {
                stale.push(family::CACHE_STALE.counter(&labels, count));
            }
        }
        misses.push(family::CACHE_MISSES.counter(&[name], sums.misses(route)));
        renewals.push(family::CACHE_PREFETCH.counter(&[name], sums.renewals(route)));
    }
    out.push(family::CACHE_HITS.of(hits));
    out.push(family::CACHE_MISSES.of(misses));
    out.push(family::CACHE_STALE.of(stale));
    out.push(family::CACHE_PREFETCH.of(renewals));
}

fn cache_contents(cache: &CacheFacts, names: &[String], out: &mut Vec<MetricFamily>) {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for name in names {
        for kind in Kind::ALL {
            sums.insert((name, kind.as_str()), (0, 0));
        }
    }
    for part in &cache.entries {
        if let Some(name) = names.get(usize::from(part.route)) {
            let sum = sums.entry((name, part.kind.as_str())).or_default();
            *sum = (sum.0 + part.entries, sum.1 + part.bytes);
        }
    }
    let gauges = |family: &family::Family, pick: fn(&(u64, u64)) -> u64| {
        let metrics = sums.iter();
        family.of(metrics.map(|(&(r, k), sum)| family.gauge(&[r, k], pick(sum))).collect())
    };
    out.push(gauges(&family::CACHE_ENTRIES, |sum| sum.0));
    out.push(gauges(&family::CACHE_BYTES, |sum| sum.1));
    let evictions = family::CACHE_EVICTIONS.counter(&[], cache.evictions);
    out.push(family::CACHE_EVICTIONS.of(vec![evictions]));
}

fn upstreams(facts: Vec<UpstreamFacts>, out: &mut Vec<MetricFamily>) {
    // One upstream listed twice (a resolv.conf may) is one set of series.
    let mut by_label: BTreeMap<_, UpstreamFacts> = BTreeMap::new();
    for facts in facts {
        let key = (facts.route.clone(), facts.upstream.clone(), facts.transport);
        match by_label.entry(key) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(facts)),
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge(facts),
        }
    }
    let facts = || by_label.values();
    let simple = |family: &family::Family, read: fn(&UpstreamFacts) -> u64| {
        family.of(facts().map(|f| family.value(&f.labels(), read(f))).collect())
    };
    let by = |family: &family::Family, read: fn(&UpstreamFacts) -> &BTreeMap<&'static str, u64>| {
        let of_one = |f: &UpstreamFacts| -> Vec<Metric> {
            let [route, upstream, transport] = f.labels();
            let labels = |last| [route, upstream, transport, last];
            read(f).iter().map(|(last, &count)| family.counter(&labels(last), count)).collect()
        };
        family.of(facts().flat_map(of_one).collect())
    };
    out.push(simple(&family::UPSTREAM_REQUESTS, |f| f.requests));
    out.push(simple(&family::UPSTREAM_HEDGED, |f| f.hedged));
    out.push(simple(&family::UPSTREAM_HEALTHY, |f| u64::from(f.healthy)));
    out.push(simple(&family::UPSTREAM_IN_FLIGHT, |f| f.in_flight));
    out.push(simple(&family::UPSTREAM_CONNECTIONS, |f| f.connections));
    out.push(by(&family::UPSTREAM_RESPONSES, |f| &f.responses));
    out.push(by(&family::UPSTREAM_FAILURES, |f| &f.failures));
    let durations = facts().map(|f| family::UPSTREAM_DURATION.seconds(&f.labels(), &f.durations));
    out.push(family::UPSTREAM_DURATION.of(durations.collect()));
}

/// Nothing at all where it is not counted.
fn by_namespace(sums: &Snapshot, names: &[String], out: &mut Vec<MetricFamily>) {
    let counted = |(slot, name): (usize, &String)| {
        Some(family::NAMESPACE_REQUESTS.counter(&[name.as_str()], sums.namespace(slot)?))
    };
    let metrics: Vec<_> = names.iter().enumerate().filter_map(counted).collect();
    if !metrics.is_empty() {
        out.push(family::NAMESPACE_REQUESTS.of(metrics));
    }
}

fn repairs(facts: &RepairFacts, out: &mut Vec<MetricFamily>) {
    let by = |family: &family::Family, counts: &[(&str, u64)]| {
        family.of(counts.iter().map(|(what, count)| family.counter(&[what], *count)).collect())
    };
    out.push(by(&family::LINK_REPAIRS, &facts.link));
    let rules = family::RULES_REPAIRS.counter(&[], facts.rules);
    out.push(family::RULES_REPAIRS.of(vec![rules]));
    out.push(by(&family::NODE_FAILURES, &facts.failures));
}

fn gauges(facts: &dyn Facts, out: &mut Vec<MetricFamily>) {
    let hash = format!("{:016x}", facts.config_hash());
    for (family, labels, value) in [
        (&family::IN_FLIGHT, &[][..], facts.in_flight()),
        (&family::WAITING, &[], facts.waiting()),
        (&family::TCP_CONNECTIONS, &[], facts.tcp_connections()),
        (&family::PODS, &[], facts.pods()),
        (&family::CONFIG_INFO, &[hash.as_str()], 1),
        (&family::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1),
    ] {
        out.push(family.of(vec![family.gauge(labels, value)]));
    }
}

#[cfg(test)]
mod tests;
