//! The internet: a root, and under it the domains that documentation may use.
//!
//! It holds one of every kind of answer a forwarder must pass on unharmed: all common types, alias
//! chains that cross zones, loops and loose ends, wildcards, answers too large for UDP. Everything
//! that does not exist, the other horizons' names among it, gets NXDOMAIN from the root, which is
//! what a name that leaked would meet.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::caa::KeyValue;
use hickory_proto::rr::rdata::svcb::{Alpn, IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, CAA, HTTPS, MX, NS, SOA, SRV, SVCB, TXT};
use hickory_proto::rr::{Name, RData, Record};

use super::super::authority::Authority;
use super::super::zone::Zone;
use super::{a, bulk_number, cname, name, nth_v4, nth_v6, ptr, reverse, txt};

/// Of most records (s).
const TTL: u32 = 300;
/// Bulk names, so that a load test's names outlive its run (s).
const BULK_TTL: u32 = 3600;
/// Of a SOA in a negative answer, and its MINIMUM (s).
const NEGATIVE_TTL: u32 = 60;
/// Of the root's (s), as the real one has it.
const ROOT_NEGATIVE_TTL: u32 = 86_400;
/// Addresses of `many.example.com`.
const MANY: u8 = 30;
/// Strings of `big.example.com`, of [`BIG_LEN`] bytes each: well beyond a UDP answer of 1232 bytes.
const BIG: usize = 16;
const BIG_LEN: usize = 200;

/// The internet's authority: the root and what hangs from it.
pub fn internet() -> Authority {
    let mut authority = Authority::new(vec![root(), com(), org(), net(), bulk_zone()]);
    // An address that the internet claims for a name of the tailnet, behind an alias of its own.
    authority.elsewhere(&name("db.c.binrc.com."), TTL, a("203.0.113.66"));
    authority
}

fn zone(apex: &str, negative_ttl: u32) -> Zone {
    let (server, mailbox) = match apex {
        "." => ("a.root-servers.net.".to_owned(), "nstld.root-servers.net.".to_owned()),
        _ => (format!("ns1.{apex}"), format!("hostmaster.{apex}")),
    };
    let server = name(&server);
    let soa =
        SOA::new(server.clone(), name(&mailbox), 2_026_010_100, 1800, 900, 604_800, negative_ttl);
    let mut zone = Zone::new(name(apex), negative_ttl, soa);
    zone.add(&name(apex), TTL, RData::NS(NS(server.clone())));
    if zone.apex().zone_of(&server) {
        zone.add(&server, TTL, a("192.0.2.53"));
        zone.add(&server, TTL, a("2001:db8::53"));
    }
    zone
}

/// Adds `data` at each owner.
fn fill(zone: &mut Zone, records: impl IntoIterator<Item = (&'static str, RData)>) {
    for (owner, data) in records {
        zone.add(&name(owner), TTL, data);
    }
}

fn root() -> Zone {
    let mut zone = zone(".", ROOT_NEGATIVE_TTL);
    for top in ["com.", "org.", "net.", "example.", "arpa.", "in-addr.arpa."] {
        zone.exists(&name(top));
    }
    for (address, target) in
        [("192.0.2.80", "www.example.com."), ("192.0.2.53", "ns1.example.com.")]
    {
        let address: Ipv4Addr = address.parse().expect("zone data holds valid addresses");
        zone.add(&reverse(address.into()), TTL, ptr(&name(target)));
    }
    zone
}

fn com() -> Zone {
    let mut zone = zone("example.com.", NEGATIVE_TTL);
    let mail = |preference, host| RData::MX(MX::new(preference, name(host)));
    // A relative name: the value is text, in which a dot at the end would not be the same issuer.
    let issuer = Name::from_ascii("ca.example.net").ok();
    let issuer = CAA::new_issue(false, issuer, Vec::<KeyValue>::new());
    fill(
        &mut zone,
        [
            ("example.com.", a("192.0.2.1")),
            ("example.com.", a("2001:db8::1")),
            ("example.com.", mail(10, "mail.example.com.")),
            ("example.com.", mail(20, "mail.example.net.")),
            ("example.com.", txt("v=spf1 mx -all")),
            ("example.com.", RData::CAA(issuer)),
            ("example.com.", RData::HTTPS(HTTPS(https()))),
            ("www.example.com.", a("192.0.2.80")),
            ("www.example.com.", a("2001:db8::80")),
            ("www.example.com.", RData::HTTPS(HTTPS(https()))),
            ("mail.example.com.", a("192.0.2.25")),
            ("v4only.example.com.", a("192.0.2.4")),
            ("_sip._tcp.example.com.", RData::SRV(SRV::new(0, 5, 5060, name("www.example.com.")))),
            ("*.apps.example.com.", a("192.0.2.200")),
            ("deep.empty.example.com.", txt("empty.example.com exists without records")),
            // Aliases: a chain through three zones, a loose end, a loop, one into the tailnet.
            ("cdn.example.com.", cname("edge.example.net.")),
            ("dangling.example.com.", cname("nowhere.example.net.")),
            ("loop.example.com.", cname("loop.example.net.")),
            ("trap.example.com.", cname("db.c.binrc.com.")),
        ],
    );
    for n in 1..=MANY {
        zone.add(&name("many.example.com."), TTL, RData::A(A(Ipv4Addr::new(198, 51, 100, n))));
    }
    for n in 0..BIG {
        let text = format!("{n:02} {}", "x".repeat(BIG_LEN - 3));
        zone.add(&name("big.example.com."), TTL, RData::TXT(TXT::new(vec![text])));
    }
    zone
}

fn org() -> Zone {
    let mut zone = zone("example.org.", NEGATIVE_TTL);
    fill(
        &mut zone,
        [
            ("example.org.", a("192.0.2.2")),
            ("example.org.", a("2001:db8::2")),
            ("www.example.org.", cname("example.org.")),
            ("pop.example.org.", cname("node.example.org.")),
            ("node.example.org.", a("198.51.100.77")),
            ("node.example.org.", a("2001:db8::77")),
        ],
    );
    zone
}

fn net() -> Zone {
    let mut zone = zone("example.net.", NEGATIVE_TTL);
    let doh = SVCB::new(
        1,
        name("dns.example.net."),
        vec![
            (SvcParamKey::Alpn, alpn(&["dot", "h2"])),
            (SvcParamKey::Port, SvcParamValue::Port(853)),
        ],
    );
    fill(
        &mut zone,
        [
            ("example.net.", a("192.0.2.3")),
            ("example.net.", a("2001:db8::3")),
            ("www.example.net.", a("192.0.2.3")),
            ("mail.example.net.", a("192.0.2.26")),
            ("dns.example.net.", a("192.0.2.54")),
            ("_dns.dns.example.net.", RData::SVCB(doh)),
            ("edge.example.net.", cname("pop.example.org.")),
            ("loop.example.net.", cname("loop.example.com.")),
        ],
    );
    zone
}

fn bulk_zone() -> Zone {
    zone("bulk.example.", NEGATIVE_TTL).compute(bulk)
}

/// `nN.bulk.example`: a name for every number, in 198.18.0.0/15 and 2001:db8:b::/96.
fn bulk(asked: &Name) -> Option<Vec<Record>> {
    let n = bulk_number(asked, b'n', "bulk.example")?;
    let v6 = nth_v6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0), n);
    let found = [nth_v4(Ipv4Addr::new(198, 18, 0, 0), n, 1 << 17), v6];
    Some(found.map(|data| Record::from_rdata(asked.clone(), BULK_TTL, data)).into())
}

/// The service binding of a web site with HTTP/3 (RFC 9460, 9).
fn https() -> SVCB {
    let v4 = IpHint(vec![A(Ipv4Addr::new(192, 0, 2, 80))]);
    let v6 = IpHint(vec![AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80))]);
    SVCB::new(
        1,
        Name::root(),
        vec![
            (SvcParamKey::Alpn, alpn(&["h3", "h2"])),
            (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(v4)),
            (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(v6)),
        ],
    )
}

fn alpn(protocols: &[&str]) -> SvcParamValue {
    SvcParamValue::Alpn(Alpn(protocols.iter().map(|protocol| (*protocol).to_owned()).collect()))
}
