//! What a cluster holds, and what CoreDNS' `kubernetes` plugin says about it.
//!
//! `pods insecure` is on: any `10-244-1-5.NAMESPACE.pod.cluster.local` has an address, which gives
//! tests as many names as they like.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::{Query, Record, rtype, wire};

const ORIGIN: &str = "cluster.local";
/// Seconds; CoreDNS' default for what is under the cluster's domain.
const TTL: u32 = 5;
/// Seconds; what a reverse name gets in the common Corefile.
const REVERSE_TTL: u32 = 30;

/// Addresses of one name.
type Addresses = Vec<IpAddr>;

/// The names of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    hosts: HashMap<String, Addresses>,
    external: HashMap<String, String>,
    ports: HashMap<String, (u16, String)>,
    reverse: HashMap<String, String>,
}

/// What a name has.
#[derive(Debug, Clone)]
pub enum Found {
    Records(Vec<Record>),
    /// An ExternalName Service: a CNAME whose target has yet to be chased.
    External(Record),
    NoData,
    NxDomain,
    /// A name of no zone of this cluster.
    NotOurs,
}

impl Zone {
    /// The Services that every cluster has.
    pub fn new() -> Self {
        Self::default().service("kubernetes.default", &["10.96.0.1"], Some(("https", 443))).service(
            "kube-dns.kube-system",
            &["10.96.0.10"],
            Some(("dns", 53)),
        )
    }

    /// A Service (`NAME.NAMESPACE`) with cluster addresses and perhaps a named TCP port.
    pub fn service(mut self, service: &str, ips: &[&str], port: Option<(&str, u16)>) -> Self {
        let name = format!("{service}.svc.{ORIGIN}");
        let ips: Addresses = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        for ip in &ips {
            self.reverse.insert(reverse_name(*ip), name.clone());
        }
        if let Some((port_name, number)) = port {
            self.ports.insert(format!("_{port_name}._tcp.{name}"), (number, name.clone()));
        }
        self.hosts.insert(name, ips);
        self
    }

    /// A headless Service and its ready endpoints; without one the name does not exist.
    pub fn headless(mut self, service: &str, endpoints: &[(&str, &str)]) -> Self {
        let name = format!("{service}.svc.{ORIGIN}");
        for (host, ip) in endpoints {
            let ip: IpAddr = ip.parse().expect("an address");
            let endpoint = format!("{host}.{name}");
            self.hosts.entry(name.clone()).or_default().push(ip);
            self.reverse.insert(reverse_name(ip), endpoint.clone());
            self.hosts.insert(endpoint, vec![ip]);
        }
        self
    }

    /// A Service of type ExternalName.
    pub fn external(mut self, service: &str, target: &str) -> Self {
        self.external.insert(format!("{service}.svc.{ORIGIN}"), target.to_owned());
        self
    }

    /// What the question's name and type have.
    pub fn find(&self, query: &Query) -> Found {
        let name = query.name();
        if let Some(target) = self.reverse.get(&name) {
            return match query.qtype {
                rtype::PTR => Found::Records(vec![Record {
                    owner: query.wire_name(),
                    rtype: rtype::PTR,
                    ttl: REVERSE_TTL,
                    data: wire(target),
                }]),
                _ => Found::NoData,
            };
        }
        if name != ORIGIN && !name.ends_with(&format!(".{ORIGIN}")) {
            return Found::NotOurs;
        }
        let record = |rtype, data| Record { owner: query.wire_name(), rtype, ttl: TTL, data };
        if let Some(target) = self.external.get(&name) {
            let cname = record(rtype::CNAME, wire(target));
            return match query.qtype {
                rtype::CNAME => Found::Records(vec![cname]),
                rtype::A | rtype::AAAA => Found::External(cname),
                _ => Found::NoData,
            };
        }
        if let Some((port, target)) = self.ports.get(&name) {
            let mut data = vec![0, 0, 0, 100];
            data.extend(port.to_be_bytes());
            data.extend(wire(target));
            return some(if query.qtype == rtype::SRV {
                vec![record(rtype::SRV, data)]
            } else {
                vec![]
            });
        }
        if name == format!("dns-version.{ORIGIN}") {
            let text = record(rtype::TXT, b"\x051.1.0".to_vec());
            return some(if query.qtype == rtype::TXT { vec![text] } else { vec![] });
        }
        let Some(ips) = self.hosts.get(&name).cloned().or_else(|| pod(&name)) else {
            return if self.is_above(&name) { Found::NoData } else { Found::NxDomain };
        };
        some(
            ips.iter()
                .filter_map(|ip| Some(record(query.qtype, data(*ip, query.qtype)?)))
                .collect(),
        )
    }

    /// The SOA of the zone that holds the question.
    pub fn soa(&self, query: &Query) -> Record {
        let name = query.name();
        let zone = ["in-addr.arpa", "ip6.arpa"].into_iter().find(|zone| name.ends_with(zone));
        let zone = zone.unwrap_or(ORIGIN);
        let mut data = wire(&format!("ns.dns.{zone}"));
        data.extend(wire(&format!("hostmaster.{zone}")));
        for field in [1_700_000_000_u32, 7200, 1800, 86_400, TTL] {
            data.extend(field.to_be_bytes());
        }
        Record { owner: wire(zone), rtype: rtype::SOA, ttl: TTL, data }
    }

    /// A namespace, `svc` or the zone itself exists and has no data of its own.
    fn is_above(&self, name: &str) -> bool {
        let below = format!(".{name}");
        name == ORIGIN
            || self
                .hosts
                .keys()
                .chain(self.external.keys())
                .any(|host| host.ends_with(&below) && !self.hosts.contains_key(name))
    }
}

fn some(records: Vec<Record>) -> Found {
    if records.is_empty() { Found::NoData } else { Found::Records(records) }
}

fn data(ip: IpAddr, qtype: u16) -> Option<Vec<u8>> {
    match (ip, qtype) {
        (IpAddr::V4(ip), rtype::A) => Some(ip.octets().to_vec()),
        (IpAddr::V6(ip), rtype::AAAA) => Some(ip.octets().to_vec()),
        _ => None,
    }
}

/// `10-244-1-5.NAMESPACE.pod.cluster.local`.
fn pod(name: &str) -> Option<Addresses> {
    let rest = name.strip_suffix(&format!(".pod.{ORIGIN}"))?;
    let (address, namespace) = rest.split_once('.')?;
    if namespace.contains('.') {
        return None;
    }
    let v4 = address.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    let v6 = || address.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6);
    Some(vec![v4.or_else(|_| v6()).ok()?])
}

fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().flat_map(|byte| [byte >> 4, byte & 15]).rev();
            let mut name: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            name.push_str("ip6.arpa");
            name
        }
    }
}
