//! The tailnet: what a stock MagicDNS answers for the hosts of a tailnet.
//!
//! With a node that does not accept the tailnet's DNS settings, an unknown name under the base
//! domain comes back SERVFAIL and not NXDOMAIN; that is the property which `servfail_as_nxdomain`
//! is for. Negative answers carry no SOA, so nobody may keep them (RFC 2308, 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record};

use super::super::authority::Authority;
use super::super::zone::Zone;
use super::{address, bulk_number, name, nth_v4, ptr, reverse};

/// MagicDNS answers with 5 to 10 s.
const TTL: u32 = 10;
/// Bulk hosts, so that a load test's names outlive its run (s).
const BULK_TTL: u32 = 30;

/// Hosts: name, last two bytes of 100.64.0.0/16, last group of fd7a:115c:a1e0::.
const HOSTS: [(&str, [u8; 2], u16); 6] = [
    ("db", [0, 10], 0x10),
    ("web", [0, 11], 0x11),
    ("nas", [0, 12], 0x12),
    ("laptop", [1, 20], 0x20),
    ("phone", [1, 21], 0x21),
    ("node-1", [2, 1], 0x201),
];

/// The tailnet's authority: `c.binrc.com` and its reverse zones.
pub fn tailnet() -> Authority {
    let mut hosts = Zone::bare(name("c.binrc.com."), ResponseCode::ServFail).compute(bulk);
    let mut v4: Vec<Zone> =
        (64..128).map(|octet| bare_reverse(&format!("{octet}.100.in-addr.arpa."))).collect();
    let mut v6 = bare_reverse("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa.");
    for (host, [third, fourth], group) in HOSTS {
        let owner = name(&format!("{host}.c.binrc.com."));
        let addresses: [IpAddr; 2] = [
            Ipv4Addr::new(100, 64, third, fourth).into(),
            Ipv6Addr::new(0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, group).into(),
        ];
        for found in addresses {
            hosts.add(&owner, TTL, address(found));
            // All hosts are in 100.64.0.0/16, the first of the reverse zones.
            let zone = if found.is_ipv4() { &mut v4[0] } else { &mut v6 };
            zone.add(&reverse(found), TTL, ptr(&owner));
        }
    }
    v4.extend([hosts, v6]);
    Authority::new(v4)
}

fn bare_reverse(apex: &str) -> Zone {
    Zone::bare(name(apex), ResponseCode::NXDomain).without_empty_non_terminals()
}

/// `hN.bulk.c.binrc.com`: a host for every number, in 100.80.0.0/12.
fn bulk(asked: &Name) -> Option<Vec<Record>> {
    let n = bulk_number(asked, b'h', "bulk.c.binrc.com")?;
    let found = nth_v4(Ipv4Addr::new(100, 80, 0, 0), n, 1 << 20);
    Some(vec![Record::from_rdata(asked.clone(), BULK_TTL, found)])
}
