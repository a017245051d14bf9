#![allow(clippy::unwrap_used)]
use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::telemetry::upstream::{Failure, UpstreamStats};

/// A core with two routes, whose second has its upstream listed twice.
struct FakeCore;

impl Facts for FakeCore {
    fn routes(&self) -> Vec<String> {
        vec!["cluster".into(), "internet".into()]
    }
    fn cache(&self) -> CacheFacts {
        let part = |route, bytes| CacheEntries { route, kind: Kind::Negative, entries: 2, bytes };
        CacheFacts { entries: vec![part(0, 300), part(1, 500), part(9, 1)], evictions: 4 }
    }
    fn upstreams(&self) -> Vec<UpstreamFacts> {
        let stats = UpstreamStats::default();
        stats.request();
        stats.response(0, 700_000);
        stats.failure(Failure::Timeout);
        let mut facts = UpstreamFacts {
            route: "internet".into(),
            upstream: "[2001:db8::1]:53".into(),
            transport: "udp",
            healthy: true,
            in_flight: 3,
            connections: 16,
            ..UpstreamFacts::default()
        };
        stats.add_to(&mut facts);
        vec![facts.clone(), facts]
    }
    fn in_flight(&self) -> u64 {
        5
    }
    fn waiting(&self) -> u64 {
        6
    }
    fn tcp_connections(&self) -> u64 {
        7
    }
    fn pods(&self) -> u64 {
        3
    }
    fn namespaces(&self) -> Vec<String> {
        vec!["(none)".into(), "other".into(), "default".into()]
    }
    fn config_hash(&self) -> u64 {
        0xabc
    }
    fn repairs(&self) -> RepairFacts {
        RepairFacts {
            link: [("interface", 1), ("up", 0), ("address", 2)],
            rules: 3,
            failures: [("link", 0), ("rules", 4)],
        }
    }
}

fn text(stats: Vec<Arc<Stats>>) -> String {
    Metrics::new(stats, Arc::new(FakeCore)).unwrap().text().unwrap()
}

fn busy() -> Vec<Arc<Stats>> {
    let stats = [Stats::new(2), Stats::new(2), Stats::new(0)].map(Arc::new);
    for stats in &stats[..2] {
        stats.request(0, Proto::Udp, Family::V4, 1);
        stats.request(0, Proto::Udp, Family::V4, 9999);
        stats.response(0, 0, Source::Cache(Kind::Positive));
        stats.response(0, 3, Source::Cache(Kind::Negative));
        stats.response(1, 0, Source::Stale(Kind::Positive));
        stats.response(NO_ROUTE, 5, Source::Refused);
        stats.cache_miss(1);
        stats.duration(0, Source::Cache(Kind::Positive), 10_000, 2);
        stats.duration(0, Source::Cache(Kind::Positive), 6_000_000_000, 1);
        stats.request_size(Proto::Udp, 64);
        stats.dropped(DropReason::Short);
    }
    stats[2].shed(ShedReason::AdminConnections);
    stats.into()
}

#[track_caller]
fn has(text: &str, line: &str) {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let near: Vec<_> = text.lines().filter(|l| l.starts_with(name)).collect();
    assert!(text.lines().any(|l| l == line), "no {line} among\n{}", near.join("\n"));
}

#[test]
fn threads_are_added_up_under_the_documented_names() {
    let text = text(busy());
    for line in [
        r#"horizond_requests_total{route="cluster",proto="udp",family="ipv4",type="A"} 2"#,
        r#"horizond_requests_total{route="cluster",proto="udp",family="ipv4",type="other"} 2"#,
        r#"horizond_responses_total{route="cluster",rcode="NXDOMAIN",source="cache"} 2"#,
        r#"horizond_responses_total{route="(none)",rcode="REFUSED",source="refused"} 2"#,
        r#"horizond_cache_hits_total{route="cluster",kind="positive"} 2"#,
        r#"horizond_cache_hits_total{route="cluster",kind="negative"} 2"#,
        r#"horizond_cache_stale_served_total{route="internet",kind="positive"} 2"#,
        r#"horizond_cache_misses_total{route="internet"} 2"#,
        r#"horizond_request_size_bytes_bucket{proto="udp",le="32"} 0"#,
        r#"horizond_request_size_bytes_bucket{proto="udp",le="64"} 2"#,
        r#"horizond_request_size_bytes_sum{proto="udp"} 128"#,
        r#"horizond_dropped_total{reason="short"} 2"#,
        r#"horizond_shed_total{reason="admin_connections"} 1"#,
        r#"horizond_cache_entries{route="cluster",kind="negative"} 2"#,
        r#"horizond_cache_bytes{route="internet",kind="negative"} 500"#,
        "horizond_cache_evictions_total 4",
        "horizond_in_flight 5",
        r#"horizond_link_repairs_total{what="address"} 2"#,
        r#"horizond_link_repairs_total{what="up"} 0"#,
        "horizond_rules_repairs_total 3",
        r#"horizond_node_failures_total{what="rules"} 4"#,
        "horizond_waiting 6",
        "horizond_tcp_connections 7",
        r#"horizond_config_info{hash="0000000000000abc"} 1"#,
        concat!(r#"horizond_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        has(&text, line);
    }
    assert!(text.contains("\nprocess_resident_memory_bytes "));
}

#[test]
fn histograms_are_cumulative_and_in_seconds() {
    let text = text(busy());
    let labels = r#"route="cluster",source="cache""#;
    for (suffix, le, value) in [
        ("bucket", r#",le="0.00001""#, "4"),
        ("bucket", r#",le="0.000025""#, "4"),
        ("bucket", r#",le="5""#, "4"),
        ("bucket", r#",le="+Inf""#, "6"),
        ("sum", "", "12.00004"),
        ("count", "", "6"),
    ] {
        has(&text, &format!("horizond_request_duration_seconds_{suffix}{{{labels}{le}}} {value}"));
    }
}

#[test]
fn an_upstream_listed_twice_is_one_set_of_series() {
    let text = text(busy());
    let labels = r#"route="internet",upstream="[2001:db8::1]:53",transport="udp""#;
    for (name, more, value) in [
        ("requests_total", "", 2),
        ("healthy", "", 1),
        ("in_flight", "", 6),
        ("connections", "", 32),
        ("failures_total", r#",reason="timeout""#, 2),
        ("failures_total", r#",reason="closed""#, 0),
        ("responses_total", r#",rcode="NOERROR""#, 2),
        ("duration_seconds_bucket", r#",le="0.001""#, 2),
    ] {
        has(&text, &format!("horizond_upstream_{name}{{{labels}{more}}} {value}"));
    }
}

#[test]
fn known_series_start_at_zero() {
    let text = text(vec![Arc::new(Stats::new(2))]);
    for line in [
        r#"horizond_requests_total{route="internet",proto="tcp",family="ipv6",type="HTTPS"} 0"#,
        r#"horizond_responses_total{route="internet",rcode="SERVFAIL",source="upstream"} 0"#,
        r#"horizond_cache_hits_total{route="internet",kind="failure"} 0"#,
        r#"horizond_cache_entries{route="internet",kind="positive"} 0"#,
        r#"horizond_shed_total{reason="in_flight"} 0"#,
        r#"horizond_dropped_total{reason="denied"} 0"#,
    ] {
        has(&text, line);
    }
    assert!(!text.contains(r#"route="(none)",rcode="NOERROR",source="upstream""#));
}

#[test]
fn no_series_twice_and_counters_end_in_total() {
    let text = text(busy());
    let mut seen = HashSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series), "{series} is there twice");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
    for family in family::ALL {
        assert!(family.desc().is_ok());
    }
}

#[test]
fn promtool_has_nothing_to_say() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool must be installed (Debian: package prometheus)");
    promtool.stdin.take().unwrap().write_all(text(busy()).as_bytes()).unwrap();
    let out = promtool.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn namespaces_are_shown_where_they_are_counted() {
    let off = text(busy());
    assert!(!off.contains("horizond_namespace_requests_total"));
    has(&off, "horizond_pods 3");
    let stats = [7, 5].map(|times| {
        let stats = Stats::new(2).with_namespaces(3);
        (0..times).for_each(|_| stats.namespace(2));
        stats.namespace(0);
        // A slot that nobody has.
        stats.namespace(u16::MAX);
        Arc::new(stats)
    });
    let text = text(stats.into());
    has(&text, r#"horizond_namespace_requests_total{namespace="default"} 12"#);
    has(&text, r#"horizond_namespace_requests_total{namespace="other"} 0"#);
    has(&text, r#"horizond_namespace_requests_total{namespace="(none)"} 2"#);
    assert_eq!(text.matches("\nhorizond_namespace_requests_total{").count(), 3);
}
