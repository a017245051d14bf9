//! The small tables: `[cache]`, `[admit]`, `[pods]`, `[admin]`, `[log]`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::{Section, keep};
use crate::config::{
    Admin, Admit, Cache, CookieSecret, Level, Log, LogFormat, Over, Pods, QueryLog, Refuse, Source,
    address,
};

/// The most entries of `allow`, and of `debug`.
const MAX_SOURCES: usize = 1024;
/// Longest path of a Unix socket: `sun_path` without its closing zero.
const MAX_SOCKET_PATH: usize = 107;
/// The longest path of a directory in which a file may have the longest name there is.
const MAX_DIR: usize = 4095 - 256;
/// The port of NodeLocal DNSCache's metrics.
const ADMIN_PORT: u16 = 9253;

pub(super) fn cache(root: &Section<'_, '_>, report: &mut Report<'_>) -> Cache {
    let table = root.section("cache", report);
    let mut cache = Cache::default();
    keep(
        &mut cache.memory,
        table.item("memory").and_then(|item| item.size(1 << 20..=64 << 30, report)),
    );
    let week = Duration::from_secs(7 * 86_400);
    table.duration("stale", Duration::ZERO..=week, &mut cache.stale, report);
    let after = Duration::from_millis(50)..=Duration::from_secs(10);
    table.duration("stale_after", after, &mut cache.stale_after, report);
    table.boolean("prefetch", &mut cache.prefetch, report);
    table.count("front", 0..=1_048_576, &mut cache.front, report);
    cache
}

/// `own` are the addresses from which the daemon asks itself, if it does.
pub(super) fn admit(root: &Section<'_, '_>, own: &[IpAddr], report: &mut Report<'_>) -> Admit {
    let table = root.section("admit", report);
    let mut admit = Admit::default();
    keep(&mut admit.allow, sources(&table, "allow", report));
    if admit.allow.is_empty()
        && let Some(item) = table.item("allow")
        && item.value.as_array().is_some_and(|list| list.is_empty())
    {
        let hint = "leave the key out for this node and the private ranges";
        item.error(report, "the list is empty: nobody could ask", hint);
    }
    let is_let_in = |ip: &IpAddr| {
        admit.allow.iter().any(|source| match source {
            Source::Node => true,
            Source::Prefix(prefix) => prefix.contains(*ip),
        })
    };
    if let Some(item) = table.item("allow")
        && !admit.allow.is_empty()
        && let Some(ip) = own.iter().find(|ip| !is_let_in(ip))
    {
        let what = format!(
            "this server's own questions, which come from {ip} too, will be refused: it will leave the \
             pods of cni and service-ip to the cluster's DNS"
        );
        report.warning(item.at, "admit.allow", &what, "add \"node\"");
    }
    keep(&mut admit.debug, sources(&table, "debug", report));
    let words = [("refused", Refuse::Refused), ("drop", Refuse::Drop)];
    table.choice("refuse", &words, &mut admit.refuse, report);
    table.count("rate", 0..=1_000_000, &mut admit.rate, report);
    table.count("burst", 1..=1_000_000, &mut admit.burst, report);
    let words = [("truncate", Over::Truncate), ("drop", Over::Drop)];
    table.choice("over", &words, &mut admit.over, report);
    table.count("rate_table", 1024..=16_777_216, &mut admit.rate_table, report);
    admit.cookie_secret = table.item("cookie_secret").and_then(|item| cookie_secret(&item, report));
    admit
}

/// The value is in no message: a secret with a typing mistake is nearly one.
fn cookie_secret(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<CookieSecret> {
    const FORM: &str = "32 hexadecimal digits in quotes, from `openssl rand -hex 16`";
    match item.text(report, FORM)?.parse() {
        Ok(secret) => Some(secret),
        Err(error) => {
            item.error(report, &error.to_string(), &format!("write {FORM}"));
            None
        }
    }
}

fn sources(table: &Section<'_, '_>, key: &str, report: &mut Report<'_>) -> Option<Vec<Source>> {
    let items = table.list(key, "\"node\" and prefixes", MAX_SOURCES, report)?;
    Some(items.iter().filter_map(|item| source(item, report)).collect())
}

fn source(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<Source> {
    let text = item.text(report, "\"node\" or a prefix in quotes, like \"10.244.0.0/16\"")?;
    if text == "node" {
        return Some(Source::Node);
    }
    match text.parse() {
        Ok(prefix) => Some(Source::Prefix(prefix)),
        Err(error) => {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
            None
        }
    }
}

pub(super) fn pods(root: &Section<'_, '_>, report: &mut Report<'_>) -> Pods {
    let table = root.section("pods", report);
    let mut pods = Pods::default();
    keep(&mut pods.dir, table.item("dir").map(|item| directory(&item, report)));
    table.boolean("metrics", &mut pods.metrics, report);
    table.count("namespaces", 1..=1000, &mut pods.namespaces, report);
    table.boolean("autopath", &mut pods.autopath, report);
    for (key, on) in [("metrics", pods.metrics), ("autopath", pods.autopath)] {
        if on && pods.dir.is_none() {
            let at = table.item(key).map_or(table.at, |item| item.at);
            let what = "without pod records no pod is known, and this has no effect";
            report.warning(at, &format!("pods.{key}"), what, "set dir, or leave this out");
        }
    }
    pods
}

fn directory(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<PathBuf> {
    let text = item.text(report, "a path in quotes, or \"\" for off")?;
    if text.is_empty() {
        return None;
    }
    let what = if !Path::new(text).is_absolute() {
        format!("{} is a relative path", quoted(text))
    } else if text.len() > MAX_DIR || text.contains('\0') {
        format!("{} is no path of a directory", quoted(text))
    } else {
        return Some(PathBuf::from(text));
    };
    item.error(report, &what, "write an absolute path, like \"/run/horizond/pods\"");
    None
}

/// The table, and where its address stands if it is not the default.
pub(super) fn admin(root: &Section<'_, '_>, report: &mut Report<'_>) -> (Admin, Option<usize>) {
    let table = root.section("admin", report);
    let mut admin = Admin::default();
    if let Some(item) = table.item("address") {
        admin.address = admin_address(&item, report);
    }
    if let Some(item) = table.item("control") {
        admin.control = control(&item, report);
    }
    (admin, table.item("address").map(|item| item.at))
}

fn admin_address(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let text =
        item.text(report, "an address in quotes, like \"127.0.0.1:9253\", or \"\" for off")?;
    if text.is_empty() {
        return None;
    }
    let addr = match address::parse(text, ADMIN_PORT) {
        Ok(addr) => addr,
        Err(error) => {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
            return None;
        }
    };
    let broadcast = matches!(addr.ip(), IpAddr::V4(v4) if v4.is_broadcast());
    if addr.ip().is_multicast() || broadcast {
        let what = format!("{} is a multicast or broadcast address", quoted(text));
        item.error(report, &what, "write an address of this node, like \"127.0.0.1:9253\"");
        return None;
    }
    Some(addr)
}

fn control(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<PathBuf> {
    let text = item.text(report, "a path in quotes, or \"\" for off")?;
    if text.is_empty() {
        return None;
    }
    let what = if !Path::new(text).is_absolute() {
        format!("{} is a relative path", quoted(text))
    } else if text.len() > MAX_SOCKET_PATH || text.contains('\0') {
        format!("{} is no path of a Unix socket", quoted(text))
    } else {
        return Some(PathBuf::from(text));
    };
    let hint = "write an absolute path of at most 107 bytes, like \"/run/horizond/control.sock\"";
    item.error(report, &what, hint);
    None
}

pub(super) fn log(root: &Section<'_, '_>, report: &mut Report<'_>) -> Log {
    let table = root.section("log", report);
    let mut log = Log::default();
    let levels = [
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
    table.choice("level", &levels, &mut log.level, report);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    table.choice("format", &formats, &mut log.format, report);
    let queries =
        [("off", QueryLog::Off), ("failures", QueryLog::Failures), ("all", QueryLog::All)];
    table.choice("queries", &queries, &mut log.queries, report);
    log
}
