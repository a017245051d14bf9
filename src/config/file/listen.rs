//! `[listen]` and `[listen.tcp]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::{Section, keep};
use crate::config::{Listen, Tcp, address};

/// The most listening addresses.
const MAX_ADDRESSES: usize = 16;
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn read(root: &Section<'_, '_>, report: &mut Report<'_>) -> Listen {
    let table = root.section("listen", report);
    let mut listen = Listen { tcp: tcp(&table, report), ..Listen::default() };
    if let Some(items) = table.list("addresses", "addresses", MAX_ADDRESSES, report) {
        listen.addresses = addresses(&table, &items, report);
    }
    listen.shards = table.item("shards").and_then(|item| shards(&item, report));
    if let Some(item) = table.item("receive_buffer") {
        let bytes = item.size(64 << 10..=256 << 20, report);
        keep(&mut listen.receive_buffer, bytes.and_then(|bytes| usize::try_from(bytes).ok()));
    }
    table.count("in_flight", 64..=1_048_576, &mut listen.in_flight, report);
    table.count("waiting", 64..=4_194_304, &mut listen.waiting, report);
    table.duration("drain", Duration::ZERO..=MINUTE, &mut listen.drain, report);
    listen
}

fn tcp(listen: &Section<'_, '_>, report: &mut Report<'_>) -> Tcp {
    const TENTH: Duration = Duration::from_millis(100);
    let table = listen.section("tcp", report);
    let mut tcp = Tcp::default();
    table.count("connections", 1..=100_000, &mut tcp.connections, report);
    table.count("per_client", 1..=100_000, &mut tcp.per_client, report);
    table.count("pipeline", 1..=4096, &mut tcp.pipeline, report);
    table.duration("idle", Duration::from_secs(1)..=10 * MINUTE, &mut tcp.idle, report);
    table.duration("read", TENTH..=MINUTE, &mut tcp.read, report);
    table.duration("write", TENTH..=MINUTE, &mut tcp.write, report);
    tcp
}

fn shards(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<usize> {
    match item.value {
        DeValue::Integer(_) => item.count(1..=64, report),
        DeValue::String(text) if text == "auto" => None,
        DeValue::String(text) => {
            let what = format!("{} is not known", quoted(text));
            item.error(report, &what, "write \"auto\" or an integer, 1 to 64");
            None
        }
        _ => {
            item.wrong_type(report, "\"auto\" or an integer, 1 to 64");
            None
        }
    }
}

fn addresses(
    table: &Section<'_, '_>,
    items: &[Item<'_, '_>],
    report: &mut Report<'_>,
) -> Vec<SocketAddr> {
    let mut found: Vec<(SocketAddr, usize)> = Vec::new();
    for item in items {
        let Some(addr) = address(item, report) else { continue };
        match found.iter().find(|(other, _)| *other == addr) {
            Some((_, at)) => {
                let what = format!("{addr} is listed already, in line {}", report.line(*at));
                item.error(report, &what, "remove one of them");
            }
            None => found.push((addr, item.at)),
        }
    }
    if items.is_empty()
        && let Some(list) = table.item("addresses")
    {
        let hint = "write at least one address, or leave the key out for 169.254.20.10:53";
        list.error(report, "the list is empty", hint);
    }
    found.into_iter().map(|(addr, _)| addr).collect()
}

fn address(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let text = item.text(report, "an address in quotes, like \"169.254.20.10:53\"")?;
    let addr = match address::parse(text, 53) {
        Ok(addr) => addr,
        Err(error) => {
            item.error(report, &format!("{} {error}", quoted(text)), &error.hint());
            return None;
        }
    };
    match unfit(addr.ip()) {
        None => Some(addr),
        Some((what, hint)) => {
            item.error(report, &format!("{} is {what}", quoted(text)), hint);
            None
        }
    }
}

/// Why nobody can be answered from `ip`, and what to do.
fn unfit(ip: IpAddr) -> Option<(&'static str, &'static str)> {
    const HINT: &str = "write an address of this node, like \"169.254.20.10\"";
    match ip {
        _ if ip.is_unspecified() => Some((
            "the unspecified address",
            "write the addresses one by one: an answer must leave from the address that was asked",
        )),
        _ if ip.is_multicast() => Some(("a multicast address", HINT)),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(("the broadcast address", HINT)),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some((
            "a link-local IPv6 address, which needs a zone",
            "write a unique local address, like \"fd00:5353::10\"",
        )),
        _ => None,
    }
}
