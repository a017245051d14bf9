//! What the control socket says, for people: a few lines and a table.

use std::fmt::Write;

use super::status::{RouteStatus, Status, UpstreamStatus};

pub mod cache;
pub mod node;

/// What `horizond status` prints. Text that comes from the configuration cannot move the cursor or
/// change colours.
pub fn render_status(status: &Status) -> String {
    let mut out = head(status);
    out.push('\n');
    out.push_str(&table(&routes(&status.routes)));
    printable(&out)
}

/// Text without control characters, other than our own line breaks.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn head(status: &Status) -> String {
    let mut out = String::new();
    let cache = &status.cache;
    let mut line = |name: &str, text: String| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{name:<10}{}", text.replace('\n', " "));
    };
    line(
        "horizond",
        format!(
            "{}, pid {}, up {}, node {}",
            status.version,
            status.pid,
            span(status.uptime_seconds),
            status.node
        ),
    );
    line("config", format!("{} ({})", status.config.path.display(), status.config.hash));
    let shards = counted(status.shards as u64, "shard", "shards");
    line("listen", format!("{}; {shards}", join(&status.listen)));
    line("own", join(&status.own_addresses));
    line(
        "queries",
        format!("{}; {} in flight, {} waiting", status.requests, status.in_flight, status.waiting),
    );
    line(
        "cache",
        format!(
            "{}, {} of {}; {}, {}{}",
            counted(cache.entries, "entry", "entries"),
            bytes(cache.bytes),
            bytes(cache.limit_bytes),
            counted(cache.hits, "hit", "hits"),
            counted(cache.misses, "miss", "misses"),
            share(cache.hits, cache.misses)
        ),
    );
    for route in &status.routes {
        let Some(learnt) = &route.learnt else { continue };
        let key = learnt.key.as_deref().map_or_else(String::new, |key| format!(" ({key})"));
        let trouble = learnt.trouble.as_deref().map_or_else(String::new, |t| format!("; {t}"));
        let named = |list: &[String]| if list.is_empty() { "none".into() } else { list.join(" ") };
        let (suffixes, servers) = (named(&learnt.suffixes), named(&learnt.nameservers));
        let from = format!("{}{key}", learnt.file.display());
        let refused: String =
            learnt.refused.iter().map(|what| format!("; passed over: {what}")).collect();
        line(
            "headcni",
            format!(
                "{}: suffixes {suffixes}, upstreams {servers}, from {from}{refused}{trouble}",
                route.name
            ),
        );
    }
    if status.pods.dir.is_some() {
        let pods = &status.pods;
        let mut text = counted(pods.count as u64, "pod", "pods");
        if pods.refused > 0 {
            let files = counted(pods.refused as u64, "file is", "files are");
            text.push_str(&format!("; {files} no record"));
        }
        line("pods", text);
    }
    out
}

const COLUMNS: [&str; 9] = [
    "ROUTE",
    "SUFFIXES",
    "PRIVATE",
    "UPSTREAM",
    "HEALTH",
    "SRTT",
    "IN FLIGHT",
    "REQUESTS",
    "FAILURES",
];
type Row = [String; COLUMNS.len()];

/// A row per upstream; what belongs to the route stands in its first row alone.
fn routes(routes: &[RouteStatus]) -> Vec<Row> {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for route in routes {
        let private = if route.private { "yes" } else { "no" };
        let mut first = [route.name.clone(), suffixes(route), private.to_owned()];
        if route.upstreams.is_empty() {
            let [name, suffixes, private] = std::mem::take(&mut first);
            let mut row = Row::default();
            (row[0], row[1], row[2], row[3]) = (name, suffixes, private, "none".to_owned());
            rows.push(row);
        }
        for upstream in &route.upstreams {
            rows.push(upstream_row(std::mem::take(&mut first), upstream));
        }
    }
    rows
}

fn upstream_row([route, suffixes, private]: [String; 3], upstream: &UpstreamStatus) -> Row {
    [
        route,
        suffixes,
        private,
        format!("{}://{}", upstream.transport, upstream.address),
        if upstream.healthy { "up" } else { "DOWN" }.to_owned(),
        upstream.srtt_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
        upstream.in_flight.to_string(),
        upstream.requests.to_string(),
        upstream.failures.to_string(),
    ]
}

/// The first suffix, and how many more there are.
fn suffixes(route: &RouteStatus) -> String {
    match (route.suffixes.first(), route.suffix_count) {
        (None, _) => "-".to_owned(),
        (Some(first), 0 | 1) => first.clone(),
        (Some(first), count) => format!("{first} +{}", count - 1),
    }
}

/// Columns as wide as their widest cell, two spaces apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.replace('\n', " ").trim_end());
        out.push('\n');
    }
    out
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn share(hits: u64, misses: u64) -> String {
    match hits.saturating_add(misses) {
        0 => String::new(),
        all => format!(" ({:.1}% hits)", hits as f64 * 100.0 / all as f64),
    }
}

/// A number and what it counts.
fn counted(n: u64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// `3d 4h`, `5m 6s`: the two greatest units.
fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0 && units.len() > 0 {
        value /= 1024.0;
        unit = units.next();
    }
    format!("{value:.1} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::admin::status::{CacheStatus, ConfigStatus, PodsStatus};

    /// A daemon with three routes.
    pub(in crate::admin) fn example() -> Status {
        let upstream = |address: &str, healthy, srtt_ms| UpstreamStatus {
            address: address.parse().unwrap(),
            transport: "udp".into(),
            healthy,
            srtt_ms,
            in_flight: 2,
            requests: 1000,
            failures: 3,
        };
        Status {
            version: "0.1.0".into(),
            pid: 77,
            uptime_seconds: 90_061,
            config: ConfigStatus {
                path: "/etc/horizond/horizond.toml".into(),
                hash: "00000000deadbeef".into(),
            },
            node: "worker-1".into(),
            listen: vec!["169.254.20.10:53".parse().unwrap(), "[fd00::a]:53".parse().unwrap()],
            shards: 2,
            own_addresses: vec!["10.0.0.4".parse().unwrap(), "::1".parse().unwrap()],
            requests: 5000,
            in_flight: 4,
            waiting: 5,
            cache: CacheStatus {
                entries: 12,
                bytes: 1536,
                limit_bytes: 64 << 20,
                hits: 3,
                misses: 1,
            },
            pods: PodsStatus {
                dir: Some("/run/horizond/pods".into()),
                count: 2,
                records: 3,
                refused: 1,
                last: Vec::new(),
            },
            routes: vec![
                RouteStatus::new(
                    "cluster",
                    true,
                    ["cluster.local.", "96.10.in-addr.arpa."].iter(),
                    vec![
                        upstream("10.96.0.10:53", true, Some(0.42)),
                        upstream("[fd00::1]:53", false, None),
                    ],
                ),
                RouteStatus::new("internet", false, ["."].iter(), Vec::new()),
            ],
        }
    }

    #[test]
    fn what_people_see() {
        let shown = render_status(&example());
        let expected = "\
horizond  0.1.0, pid 77, up 1d 1h, node worker-1
config    /etc/horizond/horizond.toml (00000000deadbeef)
listen    169.254.20.10:53 [fd00::a]:53; 2 shards
own       10.0.0.4 ::1
queries   5000; 4 in flight, 5 waiting
cache     12 entries, 1.5 KiB of 64.0 MiB; 3 hits, 1 miss (75.0% hits)
pods      2 pods; 1 file is no record

ROUTE     SUFFIXES           PRIVATE  UPSTREAM             HEALTH  SRTT    IN FLIGHT  REQUESTS  FAILURES
cluster   cluster.local. +1  yes      udp://10.96.0.10:53  up      0.4 ms  2          1000      3
                                      udp://[fd00::1]:53   DOWN    -       2          1000      3
internet  .                  no       none
";
        assert_eq!(shown, expected, "\n{shown}");
    }

    #[test]
    fn text_of_the_configuration_cannot_drive_the_terminal() {
        let mut status = example();
        status.node = "a\x1b[2Jb\nc\r".into();
        let shown = render_status(&status);
        assert!(!shown.contains(['\x1b', '\r']), "{shown:?}");
        assert_eq!(shown.lines().count(), render_status(&example()).lines().count());
    }

    #[test]
    fn spans_and_sizes() {
        for (seconds, text) in [(0, "0s"), (61, "1m 1s"), (3_600, "1h 0m"), (172_800, "2d 0h")] {
            assert_eq!(span(seconds), text);
        }
        for (n, text) in
            [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1.0 MiB"), (1 << 50, "1024.0 TiB")]
        {
            assert_eq!(bytes(n), text);
        }
    }
}
