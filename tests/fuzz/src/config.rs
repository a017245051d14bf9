//! Text of a configuration file: taken or refused in words, and the routes are who it says.

use std::path::Path;

use horizond::config::file::{self, MAX_ERRORS};
use horizond::config::{Config, Prefix};
use horizond::route::RouteTable;
use horizond::wire::name::{Labels, Name};

/// Checks one text, and where it is a configuration, its route table.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::parse(text, Path::new("fuzz.toml")) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
            assert!(!loaded.config.routes.is_empty());
            check_routes(&loaded.config);
        }
        Err(errors) => {
            let said = errors.to_string();
            assert!(!said.is_empty() && said.len() < 1000 * (MAX_ERRORS + 1) + text.len());
        }
    }
}

/// Asks for every suffix and prefix of the configuration, and for their neighbours.
fn check_routes(config: &Config) {
    let table = RouteTable::new(config);
    for route in config.routes.iter().take(50) {
        for suffix in route.suffixes.iter().take(50) {
            check_name(&table, config, suffix.as_wire());
            check_name(&table, config, &[b"\x01x", suffix.as_wire()].concat());
            check_name(&table, config, suffix.as_wire().get(2..).unwrap_or(&[0]));
        }
        for prefix in route.reverse.iter().take(50) {
            check_name(&table, config, &reverse_name(*prefix));
        }
    }
}

/// Checks who owns a name against a plain search through all routes.
pub fn check_name(table: &RouteTable, config: &Config, name: &[u8]) {
    let Some(name) = Name::from_wire(name) else { return };
    let found = table.find(name.as_wire()).map(|found| usize::from(found.route));
    assert_eq!(found, naive_owner(config, name.as_wire()), "{name}");
    if let Some(found) = table.find(name.as_wire()) {
        assert!(!found.describe(name.as_wire()).is_empty());
    }
}

/// The address whose reverse name is asked for, and the longest prefix that says the same.
fn reverse_name(prefix: Prefix) -> Vec<u8> {
    let mut labels: Vec<String> = match prefix.addr {
        std::net::IpAddr::V4(addr) => addr.octets().iter().map(u8::to_string).collect(),
        std::net::IpAddr::V6(addr) => {
            addr.octets().iter().flat_map(|b| [b >> 4, b & 15]).map(|n| format!("{n:x}")).collect()
        }
    };
    labels.reverse();
    let zone = if prefix.addr.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    let name: Name = format!("{}.{zone}", labels.join(".")).parse().expect("labels of digits");
    name.as_wire().to_vec()
}

/// Written from the words of the configuration's manual: of all suffixes and prefixes that cover
/// the name the one that says most wins; between a suffix and a prefix that say as much the prefix.
fn naive_owner(config: &Config, name: &[u8]) -> Option<usize> {
    let labels: Vec<&[u8]> = Labels(name).collect();
    let reverse = spelled(&labels);
    let mut best: Option<((usize, u8), usize)> = None;
    for (index, route) in config.routes.iter().enumerate() {
        for suffix in &route.suffixes {
            let theirs: Vec<&[u8]> = Labels(suffix.as_wire()).collect();
            if labels.ends_with(&theirs) {
                let bits = if let Some((width, _)) = &reverse { *width } else { 1 };
                let base =
                    if reverse.is_some() { theirs.len().saturating_sub(2) } else { theirs.len() };
                // Among suffixes the longer wins even where none of them says a bit.
                let rank = (base * bits, theirs.len().min(2) as u8);
                best = best.max(Some((rank, index)).filter(|&(r, _)| best.is_none_or(|b| r > b.0)));
            }
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        for prefix in &route.reverse {
            let Some((width, bits)) = &reverse else { continue };
            let same_family = (*width == 8) == prefix.addr.is_ipv4();
            let wanted = prefix_bits(*prefix);
            if same_family && bits.starts_with(&wanted) {
                let rank = (wanted.len(), 3);
                best = best.filter(|b| b.0 > rank).or(Some((rank, index)));
            }
        }
    }
    best.map(|(_, index)| index)
}

fn prefix_bits(prefix: Prefix) -> Vec<bool> {
    let octets = match prefix.addr {
        std::net::IpAddr::V4(addr) => addr.octets().to_vec(),
        std::net::IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    let all = octets.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    all.take(prefix.len.into()).collect()
}

/// The bits that a reverse name spells, and how many a label stands for.
fn spelled(labels: &[&[u8]]) -> Option<(usize, Vec<bool>)> {
    let (zone, front) = (labels.len() >= 2)
        .then(|| labels.split_at(labels.len() - 2))
        .map(|(front, zone)| (zone, front))?;
    let width = match zone {
        [b"in-addr", b"arpa"] => 8,
        [b"ip6", b"arpa"] => 4,
        _ => return None,
    };
    let most = if width == 8 { 4 } else { 32 };
    let mut bits = vec![];
    for label in front.iter().rev().take(most) {
        let Some(value) = std::str::from_utf8(label).ok().and_then(|text| digit(text, width))
        else {
            break;
        };
        bits.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }
    Some((width, bits))
}

/// An octet in decimal or a nibble in hexadecimal, in the one way to write it.
fn digit(text: &str, width: usize) -> Option<u8> {
    let value = u8::from_str_radix(text, if width == 8 { 10 } else { 16 }).ok()?;
    let written = if width == 8 { value.to_string() } else { format!("{value:x}") };
    (written == text && u32::from(value) < 1 << width).then_some(value)
}
