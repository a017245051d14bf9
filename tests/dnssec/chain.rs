//! Everything that is in the zones, and what is not, validates: cold, and when nothing but the cache is left.

use crate::delv::{Delv, Verdict};
use crate::real::Ground;
use crate::real::servers::{horizond, nsd};
use crate::real::sign::Denial;
use crate::zones::{PARENT, family};
use Verdict::{Insecure, Refused, Secure, SecureDenial};

/// Name, type, what a validator must be sure of, and what it must have printed.
const QUESTIONS: &[(&str, &str, Verdict, &str)] = &[
    ("@", "SOA", Secure, ""),
    ("@", "DNSKEY", Secure, ""),
    ("www", "A", Secure, "192.0.2.80"),
    ("WwW", "AAAA", Secure, "2001:db8::80"),
    ("alias", "A", Secure, "192.0.2.80"),
    ("large", "TXT", Secure, "\"39 x"),
    // Beside the records, proof that no nearer name is there (RFC 4035, 3.1.3.3; RFC 5155, 7.2.6).
    ("any.wild", "A", Secure, "192.0.2.81"),
    ("deeper.any.wild", "A", Secure, "192.0.2.81"),
    ("any.wilder", "A", Secure, "192.0.2.80"),
    ("x.old", "A", Secure, "192.0.2.82"),
    ("www", "MX", SecureDenial, "ncache nxrrset"),
    ("ent", "A", SecureDenial, "ncache nxrrset"),
    ("any.wild", "MX", SecureDenial, "ncache nxrrset"),
    ("alias", "MX", SecureDenial, "ncache nxrrset"),
    ("nowhere", "A", SecureDenial, "ncache nxdomain"),
    ("a.b.c.nowhere", "A", SecureDenial, "ncache nxdomain"),
    ("below.www", "A", SecureDenial, "ncache nxdomain"),
    // Over a delegation: DS in the parent, DNSKEY in the child.
    ("secure", "DS", Secure, ""),
    ("secure", "DNSKEY", Secure, ""),
    ("www.secure", "A", Secure, "192.0.2.80"),
    ("any.wild.secure", "A", Secure, "192.0.2.81"),
    ("www.secure", "MX", SecureDenial, "ncache nxrrset"),
    ("nowhere.secure", "A", SecureDenial, "ncache nxdomain"),
    ("to-child", "A", Secure, "192.0.2.80"),
    // Proof that there is no DS.
    ("insecure", "DS", SecureDenial, "ncache nxrrset"),
    ("www.insecure", "A", Insecure, "192.0.2.80"),
    ("nowhere.insecure", "A", Insecure, ""),
    // The validator is at work.
    ("www.expired", "A", Refused, "RRSIG has expired"),
    ("nowhere.expired", "A", Refused, "RRSIG has expired"),
];

fn ask_all(delv: &Delv, transport: &str, when: &str) {
    for (name, rtype, verdict, shown) in QUESTIONS {
        let text = delv.expect(name, rtype, transport, *verdict);
        assert!(text.contains(shown), "{when}: {name} {rtype} {transport}: {shown} not in\n{text}");
    }
}

/// Asks everything over one transport, then over the other, and once more over both when the server
/// behind the daemon is gone.
fn walk(denial: Denial, first: &str, second: &str) {
    let ground = Ground::new();
    let family = family(&ground, denial);
    let authority = nsd(&ground, &family.zones);
    let daemon = horizond(&ground, &[("", authority.addr)], PARENT);
    let delv = Delv::new(&ground, daemon.addr, &family.anchor);
    ask_all(&delv, first, "cold");
    ask_all(&delv, second, "warm");
    drop(authority);
    ask_all(&delv, first, "from the cache alone");
    ask_all(&delv, second, "from the cache alone");
}

#[test]
fn nsec_asked_over_udp_first() {
    walk(Denial::Nsec, "+notcp", "+tcp");
}

#[test]
fn nsec_asked_over_tcp_first() {
    walk(Denial::Nsec, "+tcp", "+notcp");
}

#[test]
fn nsec3_asked_over_udp_first() {
    walk(Denial::Nsec3, "+notcp", "+tcp");
}

#[test]
fn nsec3_asked_over_tcp_first() {
    walk(Denial::Nsec3, "+tcp", "+notcp");
}
