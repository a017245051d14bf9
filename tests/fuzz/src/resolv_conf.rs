//! Text of a resolv.conf: read line by line as a second, slower reader reads it, and sorted into what
//! may be asked and what may not.

use std::net::{IpAddr, SocketAddr};

use horizond::resolv_conf::{
    MAX_BYTES, MAX_NAMESERVERS, MAX_SEARCH, MAX_SKIPPED, ResolvConf, SkipReason, parse, usable,
};

/// Checks one file.
pub fn check(data: &[u8]) {
    let conf = parse(data);
    check_limits(&conf, data);
    let said = (conf.nameservers.clone(), conf.search.clone(), conf.ndots);
    assert_eq!(said, line_by_line(data));
    check_rewritten(&conf);
    for loopback in [false, true] {
        check_usable(&conf, loopback);
    }
}

fn check_limits(conf: &ResolvConf, data: &[u8]) {
    assert!(conf.nameservers.len() <= MAX_NAMESERVERS && conf.search.len() <= MAX_SEARCH);
    assert!(conf.skipped.len() <= MAX_SKIPPED && conf.ndots.is_none_or(|n| n <= 15));
    assert!(conf.search.iter().all(|name| !name.is_empty() && name.len() <= 254));
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(conf.skipped.is_sorted_by_key(|skipped| skipped.line));
    assert!(conf.skipped.iter().all(|s| (1..=lines).contains(&s.line)));
    assert!(conf.skipped.iter().all(|s| !s.to_string().is_empty()));
    let cut = conf.skipped.iter().any(|s| s.reason == SkipReason::TooLong);
    assert!(!cut || data.len() > MAX_BYTES);
}

type Said = (Vec<horizond::resolv_conf::Nameserver>, Vec<String>, Option<u8>);

/// No line changes what another means, but for those that replace: a file says what its lines say.
fn line_by_line(data: &[u8]) -> Said {
    let whole = &data[..data.len().min(MAX_BYTES)];
    let mut lines: Vec<&[u8]> = whole.split(|byte| *byte == b'\n').collect();
    if data.len() > MAX_BYTES {
        lines.pop();
    }
    let mut said: Said = (vec![], vec![], None);
    for line in lines {
        let alone = parse(line);
        said.0.extend(alone.nameservers);
        let replaces = [&b"search "[..], b"search\t", b"domain ", b"domain\t"];
        if replaces.iter().any(|k| line.starts_with(k)) && std::str::from_utf8(line).is_ok() {
            said.1 = alone.search;
        } else {
            assert!(alone.search.is_empty());
        }
        said.2 = alone.ndots.or(said.2);
    }
    said.0.truncate(MAX_NAMESERVERS);
    said
}

/// Written out again it says the same, and nothing is passed over.
fn check_rewritten(conf: &ResolvConf) {
    let mut text = String::new();
    for server in &conf.nameservers {
        text += &match server.port {
            Some(port) => format!("nameserver [{}]:{port}\n", server.ip),
            None => format!("nameserver {} # not a comment, but passed over\n", server.ip),
        };
    }
    if !conf.search.is_empty() {
        text += &format!("search {}\n", conf.search.join(" "));
    }
    if let Some(ndots) = conf.ndots {
        text += &format!("options rotate ndots:{ndots}\n");
    }
    if text.len() <= MAX_BYTES {
        assert_eq!(parse(text.as_bytes()), ResolvConf { skipped: vec![], ..conf.clone() });
    }
}

fn check_usable(conf: &ResolvConf, loopback: bool) {
    let all: Vec<SocketAddr> = conf.nameservers.iter().map(|s| s.socket_addr()).collect();
    let own_addresses: Vec<IpAddr> = all.iter().step_by(3).map(|addr| addr.ip()).collect();
    let any = SocketAddr::from(([0, 0, 0, 0], 5300));
    let own: Vec<SocketAddr> = all.iter().skip(1).step_by(3).copied().chain([any]).collect();
    let sorted = usable(&conf.nameservers, &own, &own_addresses, loopback);
    assert_eq!(sorted.servers.len() + sorted.refused.len(), all.len());
    let mut refused = sorted.refused.iter().map(|refusal| refusal.addr).peekable();
    let mut asked = sorted.servers.iter().copied().peekable();
    for addr in all {
        assert!(asked.next_if_eq(&addr).or_else(|| refused.next_if_eq(&addr)).is_some());
    }
    for server in &sorted.servers {
        let ip = server.ip();
        assert!(!own.contains(server) && server.port() != 0);
        assert!(!ip.is_unspecified() && !ip.is_multicast());
        assert!(loopback || !ip.is_loopback());
        assert!(server.port() != 5300 || !(ip.is_loopback() || own_addresses.contains(&ip)));
        assert_eq!(sorted.servers.iter().filter(|other| *other == server).count(), 1);
    }
    assert!(sorted.warnings.iter().all(|warning| sorted.servers.contains(&warning.addr)));
    assert!(sorted.warnings.iter().all(|warning| !warning.to_string().is_empty()));
    assert!(sorted.refused.iter().all(|refusal| !refusal.to_string().is_empty()));
}
