//! The cluster: what CoreDNS's kubernetes plugin answers for a small cluster.
//!
//! Services are published as the plugin publishes them (Kubernetes DNS specification 1.1.0, and the
//! plugin's own habits where it goes beyond or falls short of it): the name of a Service has the
//! SRV records of all its ports, `_port._proto` names have addresses too, the weights of SRV
//! records share 100, `_proto` alone does not exist, and a headless Service without ready endpoints
//! does not exist either. Names outside of its zones are refused, so that a question that came to
//! the wrong horizon shows.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::rr::rdata::{NS, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record};

use super::super::authority::Authority;
use super::super::zone::{Aliases, Zone};
use super::{a, address, bulk_number, cname, name, nth_v4, ptr, reverse, txt};

/// The plugin's default for Services and pods, and of its SOA (s).
const TTL: u32 = 5;
/// Bulk Services, so that a load test's names outlive its run (s); CoreDNS's cache has 30 as well.
const BULK_TTL: u32 = 30;
/// The schema version's TTL is fixed in the plugin (s).
const VERSION_TTL: u32 = 28_800;
/// What the plugin's SOA says besides: serial, refresh, retry, expire.
const SERIAL: (u32, i32, i32, i32) = (1_767_225_600, 7200, 1800, 86_400);

const NAMESPACES: [&str; 4] = ["default", "kube-system", "monitoring", "bulk"];

/// A named port: name, protocol, number.
type Port = (&'static str, &'static str, u16);

/// A Service with ClusterIPs: its name within `svc`, its addresses, its ports.
const SERVICES: [(&str, &[&str], &[Port]); 5] = [
    ("kubernetes.default", &["10.96.0.1"], &[("https", "tcp", 443)]),
    (
        "kube-dns.kube-system",
        &["10.96.0.10", "fd00:10:96::a"],
        &[("dns", "udp", 53), ("dns-tcp", "tcp", 53), ("metrics", "tcp", 9153)],
    ),
    (
        "api.default",
        &["10.96.12.7", "fd00:10:96::c07"],
        &[("http", "tcp", 80), ("grpc", "tcp", 9090)],
    ),
    ("v4only.default", &["10.96.12.8"], &[("http", "tcp", 80)]),
    ("prometheus.monitoring", &["10.96.40.1", "fd00:10:96::4001"], &[("web", "tcp", 9090)]),
];

/// An endpoint: hostname, addresses.
type Endpoint = (&'static str, &'static [&'static str]);

/// A headless Service: its name within `svc`, its ready endpoints, its ports. `web` is the governing
/// Service of a StatefulSet; the endpoints of `workers` have no hostname, so their dashed address is
/// their name. (`idle.default` would stand here without endpoints: it does not exist.)
const HEADLESS: [(&str, &[Endpoint], &[Port]); 2] = [
    (
        "web.default",
        &[
            ("web-0", &["10.244.1.5", "fd00:10:244:1::5"]),
            ("web-1", &["10.244.2.5", "fd00:10:244:2::5"]),
            ("web-2", &["10.244.3.5", "fd00:10:244:3::5"]),
        ],
        &[("http", "tcp", 8080)],
    ),
    (
        "workers.default",
        &[
            ("10-244-1-20", &["10.244.1.20"]),
            ("10-244-1-21", &["10.244.1.21"]),
            ("10-244-2-20", &["10.244.2.20"]),
            ("10-244-2-21", &["10.244.2.21"]),
            ("10-244-3-20", &["10.244.3.20"]),
            ("10-244-3-21", &["10.244.3.21"]),
        ],
        &[("work", "tcp", 7000)],
    ),
];

/// ExternalName Services. The cluster's DNS chases them through a forwarder of its own, which knows
/// the internet but not the tailnet: `vpn-db` it could not complete, and for `vpn-web` it came back
/// with an address that somebody on the internet made up ([`CHASED`]).
const EXTERNAL: [(&str, &str); 3] = [
    ("vpn-db.default", "db.c.binrc.com."),
    ("vpn-web.default", "web.c.binrc.com."),
    ("docs.default", "www.example.com."),
];

/// What that forwarder found.
const CHASED: [(&str, &str); 3] = [
    ("web.c.binrc.com.", "203.0.113.66"),
    ("www.example.com.", "192.0.2.80"),
    ("www.example.com.", "2001:db8::80"),
];

/// The cluster's authority: `cluster.local` and the reverse zones, as CoreDNS has them.
pub fn cluster() -> Authority {
    let mut zones = Zones {
        forward: zone("cluster.local.").compute(pod).compute(bulk),
        v4: zone("in-addr.arpa."),
        v6: zone("ip6.arpa."),
    };
    zones.fixed_names();
    for (service, addresses, ports) in SERVICES {
        zones.cluster_ip(service, addresses, ports);
    }
    for (service, endpoints, ports) in HEADLESS {
        zones.headless(service, endpoints, ports);
    }
    for (service, target) in EXTERNAL {
        zones.forward.add(&service_name(service), TTL, cname(target));
    }
    let mut authority = Authority::new(vec![zones.forward, zones.v4, zones.v6]);
    for (owner, found) in CHASED {
        authority.elsewhere(&name(owner), TTL, a(found));
    }
    authority
}

struct Zones {
    forward: Zone,
    v4: Zone,
    v6: Zone,
}

impl Zones {
    /// Names that every cluster has.
    fn fixed_names(&mut self) {
        let forward = &mut self.forward;
        forward.add(&name("dns-version.cluster.local."), VERSION_TTL, txt("1.1.0"));
        let dns = service_name("kube-dns.kube-system");
        forward.add(&name("cluster.local."), TTL, RData::NS(NS(dns)));
        for address in ["10.96.0.10", "fd00:10:96::a"] {
            forward.add(&name("ns.dns.cluster.local."), TTL, a(address));
        }
        // The levels that exist without records. `_tcp.NAME` is not among them: the plugin takes
        // it for the hostname of an endpoint.
        for kind in ["svc", "pod"] {
            forward.exists(&name(&format!("{kind}.cluster.local.")));
            for namespace in NAMESPACES {
                forward.exists(&name(&format!("{namespace}.{kind}.cluster.local.")));
            }
        }
    }

    fn cluster_ip(&mut self, service: &str, addresses: &[&str], ports: &[Port]) {
        let owner = service_name(service);
        let targets: Vec<(Name, IpAddr)> =
            addresses.iter().map(|address| (owner.clone(), parse(address))).collect();
        self.publish(&owner, &targets, ports);
        for (_, address) in targets {
            self.point_back(address, &owner);
        }
    }

    fn headless(&mut self, service: &str, endpoints: &[Endpoint], ports: &[Port]) {
        let owner = service_name(service);
        let mut targets = Vec::new();
        for (hostname, addresses) in endpoints {
            let endpoint = name(&format!("{hostname}.{owner}"));
            let own: Vec<(Name, IpAddr)> =
                addresses.iter().map(|address| (endpoint.clone(), parse(address))).collect();
            self.put(&endpoint, &own, ports);
            for (_, address) in &own {
                self.point_back(*address, &endpoint);
            }
            targets.extend(own);
        }
        self.publish(&owner, &targets, ports);
    }

    /// A Service's own name and those of its ports.
    fn publish(&mut self, owner: &Name, targets: &[(Name, IpAddr)], ports: &[Port]) {
        self.put(owner, targets, ports);
        for port in ports {
            let owner = name(&format!("_{}._{}.{owner}", port.0, port.1));
            self.put(&owner, targets, std::slice::from_ref(port));
        }
    }

    /// The addresses of `targets` at `owner`, and a SRV record for each target and port, with a
    /// weight that shares 100 among all pairs of address and port, as the plugin counts.
    fn put(&mut self, owner: &Name, targets: &[(Name, IpAddr)], ports: &[Port]) {
        let pairs = u16::try_from(targets.len() * ports.len()).unwrap_or(u16::MAX).max(1);
        let weight = (100 / pairs).max(1);
        for (_, target) in targets {
            self.forward.add(owner, TTL, address(*target));
        }
        for (_, _, port) in ports {
            let mut last = None;
            for (target, _) in targets {
                if last != Some(target) {
                    let srv = SRV::new(0, weight, *port, target.clone());
                    self.forward.add(owner, TTL, RData::SRV(srv));
                }
                last = Some(target);
            }
        }
    }

    fn point_back(&mut self, address: IpAddr, target: &Name) {
        let zone = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        zone.add(&reverse(address), TTL, ptr(target));
    }
}

/// An empty zone with the plugin's SOA, in which only the plugin's names exist.
fn zone(apex: &str) -> Zone {
    let (serial, refresh, retry, expire) = SERIAL;
    let (primary, mailbox) = (format!("ns.dns.{apex}"), format!("hostmaster.{apex}"));
    let soa = SOA::new(name(&primary), name(&mailbox), serial, refresh, retry, expire, TTL);
    Zone::new(name(apex), TTL, soa).without_empty_non_terminals().follow(Aliases::AddressesAndText)
}

fn service_name(service: &str) -> Name {
    name(&format!("{service}.svc.cluster.local."))
}

fn parse(address: &str) -> IpAddr {
    address.parse().expect("zone data holds valid addresses")
}

/// `A-B-C-D.NAMESPACE.pod.cluster.local`, for any address, as with the plugin's `pods insecure`.
fn pod(asked: &Name) -> Option<Vec<Record>> {
    let mut labels = asked.iter();
    let dashed = std::str::from_utf8(labels.next()?).ok()?;
    let namespace = labels.next()?;
    if !NAMESPACES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(namespace))
        || !labels
            .map(<[u8]>::to_ascii_lowercase)
            .eq(["pod", "cluster", "local"].map(str::as_bytes))
    {
        return None;
    }
    let is_v4 = dashed.matches('-').count() == 3 && !dashed.contains("--");
    let found: IpAddr = dashed.replace('-', if is_v4 { "." } else { ":" }).parse().ok()?;
    Some(vec![Record::from_rdata(asked.clone(), TTL, address(found))])
}

/// `sN.bulk.svc.cluster.local`: a Service for every number, in 10.100.0.0/14.
fn bulk(asked: &Name) -> Option<Vec<Record>> {
    let n = bulk_number(asked, b's', "bulk.svc.cluster.local")?;
    let found = nth_v4(Ipv4Addr::new(10, 100, 0, 0), n, 1 << 18);
    Some(vec![Record::from_rdata(asked.clone(), BULK_TTL, found)])
}
