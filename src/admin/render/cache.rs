//! The cache for people: tables of entries and of figures.

use super::{bytes, counted, printable, share, table};
use crate::admin::cache::{CacheStats, EntryStatus};
use crate::wire::name::{Labels, Name};

/// What `horizond cache stats` prints.
pub fn render_cache_stats(stats: &CacheStats) -> String {
    let mut rows = vec![
        ["ROUTE", "POSITIVE", "NEGATIVE", "FAILURES", "SIZE", "HITS", "MISSES"].map(str::to_owned),
    ];
    rows.extend(stats.routes.iter().map(|route| {
        [
            route.route.clone(),
            route.positive.to_string(),
            route.negative.to_string(),
            route.failures.to_string(),
            bytes(route.bytes),
            route.hits.to_string(),
            format!("{}{}", route.misses, share(route.hits, route.misses)),
        ]
    }));
    let head = format!(
        "{}, {} of {}; {} pushed out since the start\n\n",
        counted(stats.entries, "entry", "entries"),
        bytes(stats.bytes),
        bytes(stats.limit_bytes),
        stats.evictions
    );
    printable(&(head + &table(&rows)))
}

/// What `horizond cache dump` prints: a row per entry, below each name those that lie below it.
pub fn render_entries(mut entries: Vec<EntryStatus>) -> String {
    entries.sort_by_cached_key(|entry| {
        (order(&entry.name), entry.qtype.clone(), entry.dnssec_ok, entry.checking_disabled)
    });
    let mut rows = vec![
        ["NAME", "TYPE", "ASKED", "ROUTE", "RCODE", "AGE", "LEFT", "STALE", "SIZE", "USES", "EDE"]
            .map(str::to_owned),
    ];
    rows.extend(entries.into_iter().map(row));
    printable(&table(&rows))
}

fn row(entry: EntryStatus) -> [String; 11] {
    let asked = match (entry.dnssec_ok, entry.checking_disabled) {
        (false, false) => "-",
        (true, false) => "do",
        (false, true) => "cd",
        (true, true) => "do,cd",
    };
    let rcode = match (entry.kind.as_str(), entry.failures) {
        ("failure", 1..) => format!("{} x{}", entry.rcode, entry.failures),
        // NODATA has no rcode of its own (RFC 2308, 2.2).
        ("negative", _) if entry.rcode == "NOERROR" => "NODATA".to_owned(),
        _ => entry.rcode,
    };
    let seconds = |seconds: u64| format!("{seconds} s");
    [
        entry.name,
        entry.qtype,
        asked.to_owned(),
        entry.route,
        rcode,
        seconds(entry.age_s),
        if entry.ttl_s > 0 { seconds(entry.ttl_s) } else { "stale".to_owned() },
        if entry.stale_s > 0 { seconds(entry.stale_s) } else { "-".to_owned() },
        entry.bytes.to_string(),
        entry.uses.to_string(),
        entry.ede.map_or_else(|| "-".to_owned(), |code| code.to_string()),
    ]
}

/// What names are sorted by: label after label from the right (RFC 4034, 6.1).
fn order(name: &str) -> Vec<Vec<u8>> {
    let Ok(name) = name.parse::<Name>() else { return Vec::new() };
    let mut labels: Vec<Vec<u8>> = Labels(name.as_wire()).map(<[u8]>::to_vec).collect();
    labels.reverse();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::cache::RouteCache;

    fn entry(name: &str, qtype: &str) -> EntryStatus {
        EntryStatus {
            name: name.into(),
            qtype: qtype.into(),
            dnssec_ok: false,
            checking_disabled: false,
            route: "internet".into(),
            kind: "positive".into(),
            rcode: "NOERROR".into(),
            age_s: 5,
            ttl_s: 295,
            stale_s: 86_400,
            bytes: 160,
            uses: 2,
            failures: 0,
            ede: None,
        }
    }

    #[test]
    fn entries_stand_by_name_and_type() {
        let shown = render_entries(vec![
            entry("www.example.com.", "AAAA"),
            EntryStatus { ttl_s: 0, dnssec_ok: true, ..entry("www.example.com.", "A") },
            entry("www.example.com.", "A"),
            EntryStatus {
                kind: "failure".into(),
                rcode: "SERVFAIL".into(),
                failures: 3,
                stale_s: 0,
                ede: Some(22),
                ..entry("b.net.", "A")
            },
            EntryStatus { kind: "negative".into(), ..entry("example.com.", "MX") },
            EntryStatus {
                kind: "negative".into(),
                rcode: "NXDOMAIN".into(),
                ..entry("a.a.example.com.", "*")
            },
        ]);
        let expected = "\
NAME              TYPE  ASKED  ROUTE     RCODE        AGE  LEFT   STALE    SIZE  USES  EDE
example.com.      MX    -      internet  NODATA       5 s  295 s  86400 s  160   2     -
a.a.example.com.  *     -      internet  NXDOMAIN     5 s  295 s  86400 s  160   2     -
www.example.com.  A     -      internet  NOERROR      5 s  295 s  86400 s  160   2     -
www.example.com.  A     do     internet  NOERROR      5 s  stale  86400 s  160   2     -
www.example.com.  AAAA  -      internet  NOERROR      5 s  295 s  86400 s  160   2     -
b.net.            A     -      internet  SERVFAIL x3  5 s  295 s  -        160   2     22
";
        assert_eq!(shown, expected, "\n{shown}");
    }

    #[test]
    fn figures_stand_by_route() {
        let route = |route: &str, hits, misses| RouteCache {
            route: route.into(),
            positive: 10,
            negative: 2,
            failures: 1,
            bytes: 2048,
            hits,
            misses,
        };
        let shown = render_cache_stats(&CacheStats {
            entries: 26,
            bytes: 4096,
            limit_bytes: 64 << 20,
            evictions: 3,
            routes: vec![route("cluster", 90, 10), route("a\x1b[2J", 0, 0)],
        });
        let expected = "\
26 entries, 4.0 KiB of 64.0 MiB; 3 pushed out since the start

ROUTE    POSITIVE  NEGATIVE  FAILURES  SIZE     HITS  MISSES
cluster  10        2         1         2.0 KiB  90    10 (90.0% hits)
a\u{fffd}[2J    10        2         1         2.0 KiB  0     0
";
        assert_eq!(shown, expected, "\n{shown}");
    }
}
