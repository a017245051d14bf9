//! `[[route]]`.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::Section;
use crate::config::units::ShowDuration;
use crate::config::{
    MAX_REBIND_ALLOW, MAX_ROUTES, MAX_SUFFIXES, MAX_UPSTREAMS, Nat64, Policy, Prefix, Route,
    UpstreamSource, suffix,
};
use crate::wire::name::Name;

const DAY: Duration = Duration::from_secs(86_400);
/// The longest path that the system takes, without its closing zero.
const MAX_PATH: usize = 4095;
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// A value and where it stands.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: usize,
    pub(super) key: String,
}

/// A route, with the places that checks across routes have to name.
pub(super) struct Read {
    pub(super) route: Route,
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) name_at: Option<usize>,
    /// Where `headcni_conflist` stands.
    pub(super) conflist_at: Option<usize>,
    pub(super) suffixes: Vec<Placed<Name>>,
    pub(super) reverse: Vec<Placed<Prefix>>,
    pub(super) upstreams: Vec<Placed<UpstreamSource>>,
}

pub(super) fn read(
    root: &Section<'_, '_>,
    cache_stale: Duration,
    report: &mut Report<'_>,
) -> Vec<Read> {
    const NONE: &str = "there is no route, so nothing could be answered";
    const HINT: &str = "add a [[route]] with name, suffixes and upstreams";
    match root.item("route") {
        None => report.error(0, "route", NONE, HINT),
        Some(item) => match item.value {
            DeValue::Array(list) if list.is_empty() => item.error(report, NONE, HINT),
            DeValue::Table(_) => {
                item.error(report, "this is a single table", "write [[route]], in two brackets")
            }
            _ => {
                let items = root.list("route", "tables, [[route]]", MAX_ROUTES, report);
                let tables = items.unwrap_or_default();
                let one = |item: &Item<'_, '_>| {
                    item.table("route", report).map(|table| one(&table, cache_stale, report))
                };
                return tables.iter().filter_map(one).collect();
            }
        },
    }
    Vec::new()
}

fn one(table: &Section<'_, '_>, cache_stale: Duration, report: &mut Report<'_>) -> Read {
    let name = name(table, report);
    let suffixes = placed(table, "suffixes", "domain names", MAX_SUFFIXES, domain, report);
    let reverse = placed(table, "reverse", "prefixes", MAX_SUFFIXES, prefix, report);
    let headcni_conflist = conflist(table, report);
    claims_something(table, report);
    let upstreams = upstreams(table, report);
    let is_root = suffixes.iter().any(|suffix| suffix.value.is_root());
    let private = private(table, is_root, report);
    let (timeout, deadline) = waits(table, report);
    let mut route = Route {
        name: name.unwrap_or_default(),
        suffixes: suffixes.iter().map(|placed| placed.value.clone()).collect(),
        reverse: reverse.iter().map(|placed| placed.value).collect(),
        upstreams: upstreams.iter().map(|placed| placed.value.clone()).collect(),
        headcni_conflist,
        policy: Policy::default(),
        timeout,
        deadline,
        private,
        servfail_as_nxdomain: false,
        max_ttl: DAY,
        max_negative_ttl: Duration::from_secs(if private { 5 } else { 3600 }),
        stale: if private { Duration::from_secs(60) } else { cache_stale },
        ports: 16,
        follow_private: false,
        rebind_protection: false,
        rebind_allow: Vec::new(),
        randomize_case: false,
        dns64: dns64(table, private, report),
    };
    let policies = [
        ("in-order", Policy::InOrder),
        ("round-robin", Policy::RoundRobin),
        ("fastest", Policy::Fastest),
    ];
    table.choice("policy", &policies, &mut route.policy, report);
    table.boolean("servfail_as_nxdomain", &mut route.servfail_as_nxdomain, report);
    table.duration("max_ttl", Duration::ZERO..=7 * DAY, &mut route.max_ttl, report);
    table.duration("max_negative_ttl", Duration::ZERO..=DAY, &mut route.max_negative_ttl, report);
    table.duration("stale", Duration::ZERO..=7 * DAY, &mut route.stale, report);
    table.count("ports", 1..=256, &mut route.ports, report);
    table.boolean("randomize_case", &mut route.randomize_case, report);
    borders(table, &mut route, report);
    let name_at = table.item("name").map(|item| item.at);
    let conflist_at = table.item("headcni_conflist").map(|item| item.at);
    let (at, key) = (table.at, table.key());
    Read { route, at, key, name_at, conflist_at, suffixes, reverse, upstreams }
}

fn name(table: &Section<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "1 to 32 of a-z 0-9 - _";
    let Some(item) = table.item("name") else {
        table.missing("name", &format!("give the route a name, {FORM}"), report);
        return None;
    };
    let name = item.text(report, &format!("a name in quotes, {FORM}"))?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
        return Some(name.into());
    }
    item.error(report, &format!("{} is no route name", quoted(name)), &format!("write {FORM}"));
    None
}

/// The right ones among a list's values.
fn placed<T>(
    table: &Section<'_, '_>,
    key: &str,
    of: &str,
    most: usize,
    read: fn(&Item<'_, '_>, &mut Report<'_>) -> Option<T>,
    report: &mut Report<'_>,
) -> Vec<Placed<T>> {
    let items = table.list(key, of, most, report).unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| {
            read(&item, report).map(|value| Placed { value, at: item.at, key: item.key })
        })
        .collect()
}

fn domain(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<Name> {
    let text = item.text(report, "a domain name in quotes, like \"cluster.local\"")?;
    suffix::parse(text)
        .map_err(|error| {
            item.error(report, &format!("{} {error}", quoted(text)), error.hint());
        })
        .ok()
}

fn prefix(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<Prefix> {
    let text = item.text(report, "a prefix in quotes, like \"10.96.0.0/12\"")?;
    text.parse::<Prefix>()
        .map_err(|error| {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
        })
        .ok()
}

/// A list that is there and is wrong has been reported already; here it counts as something.
fn claims_something(table: &Section<'_, '_>, report: &mut Report<'_>) {
    let nothing = |key| {
        table.item(key).is_none_or(|item| item.value.as_array().is_some_and(|list| list.is_empty()))
    };
    if nothing("suffixes") && nothing("reverse") && table.item("headcni_conflist").is_none() {
        let what = "the route has neither suffixes nor reverse, so no name would take it";
        report.error(table.at, &table.key(), what, "write suffixes = [\".\"] for everything else");
    }
}

fn upstreams(table: &Section<'_, '_>, report: &mut Report<'_>) -> Vec<Placed<UpstreamSource>> {
    const HINT: &str = "write at least one address or the path of a resolv.conf file";
    if table.item("headcni_conflist").is_some() {
        if let Some(item) = table.item("upstreams") {
            let what = "the servers of this route are those that HeadCNI's file names";
            item.error(report, what, "leave out upstreams, or headcni_conflist");
        }
        return Vec::new();
    }
    match table.item("upstreams") {
        None => table.missing("upstreams", HINT, report),
        Some(item) if item.value.as_array().is_some_and(|list| list.is_empty()) => {
            item.error(report, "the list is empty", HINT);
        }
        Some(_) => {}
    }
    placed(table, "upstreams", "addresses", MAX_UPSTREAMS, upstream, report)
}

/// `headcni_conflist`.
fn conflist(table: &Section<'_, '_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const PLACE: &str = "/etc/cni/net.d/10-headcni.conflist";
    let item = table.item("headcni_conflist")?;
    let text = item.text(report, "the path of HeadCNI's conflist in quotes")?;
    let what = if !text.starts_with('/') {
        format!("{} is no absolute path", quoted(text))
    } else if text.len() > MAX_PATH || text.contains('\0') {
        format!("{} is no path of a file", quoted(text))
    } else {
        return Some(PathBuf::from(text));
    };
    item.error(report, &what, &format!("write an absolute path, like {PLACE:?}"));
    None
}

fn upstream(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<UpstreamSource> {
    let text = item.text(report, "an address in quotes, or the path of a resolv.conf file")?;
    text.parse::<UpstreamSource>()
        .map_err(|error| {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
        })
        .ok()
}

fn private(table: &Section<'_, '_>, is_root: bool, report: &mut Report<'_>) -> bool {
    let mut private = !is_root;
    table.boolean("private", &mut private, report);
    if !private
        && !is_root
        && let Some(item) = table.item("private")
    {
        let what = "names of this route may be sent to another route's upstreams";
        report.warning(item.at, &item.key, what, "leave the key out unless that is meant");
    }
    private
}

/// What passes between this horizon and the private ones.
fn borders(table: &Section<'_, '_>, route: &mut Route, report: &mut Report<'_>) {
    table.boolean("follow_private", &mut route.follow_private, report);
    table.boolean("rebind_protection", &mut route.rebind_protection, report);
    let of = "domain names";
    let allow = placed(table, "rebind_allow", of, MAX_REBIND_ALLOW, domain, report);
    route.rebind_allow = allow.into_iter().map(|placed| placed.value).collect();
    let mut idle = |key: &str, what: &str, hint: &str| {
        if let Some(item) = table.item(key) {
            report.warning(item.at, &item.key, what, hint);
        }
    };
    if route.private && route.follow_private {
        let what = "a private route follows its aliases in any case";
        idle("follow_private", what, "leave the key out");
    }
    if !route.rebind_protection && !route.rebind_allow.is_empty() {
        let what = "nothing is removed that this could allow";
        idle("rebind_allow", what, "add rebind_protection = true, or leave the key out");
    }
}

fn dns64(table: &Section<'_, '_>, private: bool, report: &mut Report<'_>) -> Option<Nat64> {
    let item = table.item("dns64")?;
    let text = item.text(report, "a prefix in quotes, like \"64:ff9b::/96\", or \"\" for none")?;
    if text.is_empty() {
        return None;
    }
    match text.parse::<Nat64>() {
        Ok(nat64) => {
            if private && nat64.is_well_known() {
                let what = "private addresses are not translated with the well-known prefix";
                let hint = "use a prefix of your own, unless the addresses here are public";
                report.warning(item.at, &item.key, what, hint);
            }
            Some(nat64)
        }
        Err(error) => {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
            None
        }
    }
}

/// `timeout` and `deadline`.
fn waits(table: &Section<'_, '_>, report: &mut Report<'_>) -> (Duration, Duration) {
    let (mut timeout, mut deadline) = (Duration::from_secs(2), Duration::from_secs(4));
    // A wait that is wrong in itself says nothing about the other.
    let mut readable = true;
    for (key, most, slot) in [("timeout", 10, &mut timeout), ("deadline", 30, &mut deadline)] {
        let Some(item) = table.item(key) else { continue };
        match item.duration(LEAST_WAIT..=Duration::from_secs(most), report) {
            Some(wait) => *slot = wait,
            None => readable = false,
        }
    }
    if readable
        && deadline < timeout
        && let Some(item) = table.item("deadline").or_else(|| table.item("timeout"))
    {
        let (short, long) = (ShowDuration(deadline), ShowDuration(timeout));
        let what = format!("the deadline ({short}) is shorter than the timeout ({long})");
        item.error(report, &what, "the deadline is for all upstreams together: write more");
    }
    (timeout, deadline)
}
