//! The keys that each table may have, and what to say about any other.

/// Every table and its keys; the tables inside a table are keys of it. `config/horizond.toml`
/// describes each of them, which a test sees to.
pub const KEYS: &[(&str, &[&str])] = &[
    ("", &["listen", "node", "route", "cache", "admit", "local", "pods", "admin", "log"]),
    ("listen", &["addresses", "shards", "receive_buffer", "in_flight", "waiting", "drain", "tcp"]),
    ("listen.tcp", &["connections", "per_client", "pipeline", "idle", "read", "write"]),
    (
        "node",
        &["interface", "leave_on_exit", "notrack", "steer", "cluster_dns", "stand_ins", "name"],
    ),
    (
        "route",
        &[
            "name",
            "suffixes",
            "reverse",
            "upstreams",
            "headcni_conflist",
            "policy",
            "timeout",
            "deadline",
            "private",
            "servfail_as_nxdomain",
            "max_ttl",
            "max_negative_ttl",
            "stale",
            "ports",
            "follow_private",
            "rebind_protection",
            "rebind_allow",
            "randomize_case",
            "dns64",
        ],
    ),
    ("cache", &["memory", "stale", "stale_after", "prefetch", "front"]),
    (
        "admit",
        &["allow", "debug", "refuse", "rate", "burst", "over", "rate_table", "cookie_secret"],
    ),
    ("local", &["single_label", "private_reverse", "hosts", "hosts_ttl", "record", "rewrite"]),
    ("local.record", &["name", "type", "value", "ttl", "ptr"]),
    ("local.rewrite", &["match", "from", "to"]),
    ("pods", &["dir", "metrics", "namespaces", "autopath"]),
    ("admin", &["address", "control"]),
    ("log", &["level", "format", "queries"]),
];

/// The keys of a table by its name in [`KEYS`].
pub(super) fn of(table: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == table).map_or(&[], |(_, keys)| keys)
}

/// What to write instead of `unknown` in `table`: the nearest key, the table where such a key is
/// known, or all there are.
pub(super) fn suggest(table: &str, unknown: &str) -> String {
    let keys = of(table);
    if let Some(near) = nearest(unknown, keys) {
        return format!("did you mean {near}?");
    }
    let elsewhere: Vec<_> = KEYS
        .iter()
        .filter(|(name, keys)| *name != table && keys.contains(&unknown))
        .map(|(name, _)| heading(name))
        .collect();
    if !elsewhere.is_empty() {
        return format!("it belongs {}", elsewhere.join(" or "));
    }
    format!("known here: {}", keys.join(", "))
}

/// The word nearest to `word`, if it is near enough to have been meant.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // The distance costs the product of the lengths, and no key is this long.
    if word.len() > 40 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|key| (strsim::osa_distance(&word, &key.replace('-', "_")), *key))
        .filter(|(distance, key)| *distance <= key.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

fn heading(table: &str) -> String {
    match table {
        "" => "at the top, outside any table".into(),
        "route" | "local.record" | "local.rewrite" => format!("in a [[{table}]]"),
        _ => format!("in [{table}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        for (table, unknown, hint) in [
            ("listen", "adresses", "did you mean addresses?"),
            ("listen", "receive-buffer", "did you mean receive_buffer?"),
            ("route", "Timeout", "did you mean timeout?"),
            ("cache", "timeout", "it belongs in a [[route]]"),
            ("local", "name", "it belongs in [node] or in a [[route]] or in a [[local.record]]"),
            ("listen", "node", "it belongs at the top, outside any table"),
            ("cache", "colour", "known here: memory, stale, stale_after, prefetch, front"),
            ("cache", "", "known here: memory, stale, stale_after, prefetch, front"),
        ] {
            assert_eq!(suggest(table, unknown), hint, "{unknown} in {table}");
        }
    }
}
