//! The zones: everything that a name can be, several times over.

use std::fmt::Write;

use crate::real::Ground;
use crate::real::servers::Zone;
use crate::real::sign::{Denial, sign};

/// Apexes of the zones that nsd serves.
pub const PLAIN: &str = "plain.example";
pub const NSEC: &str = "nsec.example";
pub const NSEC3: &str = "nsec3.example";
/// The apex of the zone that knot serves.
pub const KNOT: &str = "knot.example";
/// A reverse zone of nsd's.
pub const REVERSE: &str = "2.0.192.in-addr.arpa";
/// Zones with all that [`full`] has.
pub const FULL: [&str; 4] = [PLAIN, NSEC, NSEC3, KNOT];

/// A label of 63 bytes.
pub fn long_label(byte: char) -> String {
    String::from(byte).repeat(63)
}

/// What is left of 255 bytes under an apex, in labels of at most 63, so that the name has exactly 255
/// in wire format; under the one with NSEC3 two fewer: for each name there nsd 4.6 hashes the wildcard
/// below it too, and ends where that is no name.
pub fn longest(apex: &str) -> String {
    let most = if apex == NSEC3 { 253 } else { 255 };
    let mut room = most - (apex.len() + 2);
    let mut labels = Vec::new();
    while room > 0 {
        // One byte cannot be left over: a label needs two.
        let take = match room {
            65 => 63,
            _ => room.min(64),
        };
        labels.push("l".repeat(take - 1));
        room -= take;
    }
    labels.join(".")
}

/// Everything, as a template for an apex without the last dot.
const TEMPLATE: &str = r#"
$TTL 3600
@ IN SOA ns1 Hostmaster 1 7200 3600 1209600 1800
@ NS ns1
@ NS ns2.Elsewhere.example.
@ MX 10 mail
@ MX 20 mail.Elsewhere.example.
@ TXT "v=spf1 -all" "and a second string"
@ CAA 0 issue "ca.example.net"
@ A 192.0.2.1
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
www A 192.0.2.80
www A 192.0.2.81
www A 192.0.2.82
www AAAA 2001:db8::80
MiXed TXT "Case Is Kept"
*.wild A 192.0.2.10
*.wild TXT "from the wildcard"
known.wild A 192.0.2.11
ent.below.wild TXT "below.wild is an empty non-terminal"
*.deep.er.wild AAAA 2001:db8::10
*.walias CNAME www
*.wvoid CNAME missing
*.wchain CNAME x.wild
*.wout CNAME www.unserved.example.net.
alias 100 CNAME WWW
alias2 200 CNAME alias
nodata CNAME mail
dangling CNAME missing
outside CNAME www.unserved.example.net.
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
a.b.c.ent A 192.0.2.12
*.b.went A 192.0.2.13
dname 600 DNAME other
dname TXT "beside the DNAME"
x.other A 192.0.2.14
alias.other CNAME www
*.sub.other TXT "a wildcard behind a DNAME"
dout DNAME unserved.example.net.
away NS ns.away
away NS ns.elsewhere.example.
ns.away A 192.0.2.99
child NS ns1
zero 0 A 192.0.2.15
zero 0 TXT "not to be kept"
zalias 0 CNAME www
one 1 A 192.0.2.16
week 604800 A 192.0.2.17
longer 604801 A 192.0.2.18
longest 2147483647 A 192.0.2.19
strings TXT "" "" "x" "\000\001\255" "quote \" and backslash \\"
unknown TYPE65280 \# 4 0a000001
unknown TYPE65280 \# 5 0a00000102
unknown TYPE65281 \# 0
unknown TYPE65282 \# 3 c00c00
srv SRV 1 2 53 ns1
srv SRV 1 2 54 .
naptr NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:info@example.com!" _sip._udp
loc LOC 51 30 12.748 N 0 7 39.612 W 0.00m 1m 10000m 10m
hinfo HINFO "CPU" "OS"
rp RP Hostmaster txt.Elsewhere.example.
sshfp SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
tlsa TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
uri TYPE256 \# 24 000a0001687474703a2f2f7777772e6578616d706c652f21
svcb TYPE64 \# 10 00010000010003026832
https TYPE65 \# 16 000100000100030268320003000201bb
ptr PTR WWW
mx MX 10 WWW
mx MX 10 mail
mx MX 20 alias
dual A 192.0.2.20
dual AAAA 2001:db8::20
dual TXT "three types"
a\000b A 192.0.2.21
sp\032ace A 192.0.2.22
d\.ot A 192.0.2.23
\255\254 TXT "high bytes"
\092back A 192.0.2.24
\064at A 192.0.2.26
-_-.9 A 192.0.2.27
mid.*.star A 192.0.2.28
escape CNAME a\000b
"#;

/// A zone with all of [`TEMPLATE`], large RRsets, long names and long chains; `largest`: as large as a
/// message can hold, which is more than the signer can.
pub fn full(apex: &str, largest: bool) -> Zone {
    let mut text = format!("$ORIGIN {apex}.{TEMPLATE}");
    // Aliases that lead from one server's names to the other's.
    let other = if apex == KNOT { PLAIN } else { KNOT };
    for (owner, target) in [("xwww", "www"), ("xalias", "alias"), ("xnone", "missing")] {
        writeln!(text, "{owner} CNAME {target}.{other}.").unwrap();
    }
    for number in 1..=250 {
        // 57, 120 and 250 addresses: beyond 512, 1232 and 4096 bytes.
        for (owner, many) in [("a57", 57), ("a120", 120), ("a250", 250)] {
            if number <= many {
                writeln!(text, "{owner} A 198.51.100.{number}").unwrap();
            }
        }
        let filler = "t".repeat(240);
        if number <= 200 || largest {
            writeln!(text, "t250 TXT \"{number} {filler}\"").unwrap();
        }
        if number <= 40 {
            writeln!(text, "t40 TXT \"{number} {filler}\"").unwrap();
            writeln!(text, "mx40 MX {number} host-{number}.a-rather-long-label-for-a-name")
                .unwrap();
        }
    }
    let strings: String = (0..100).map(|i| format!(" \"string {i}\"")).collect();
    writeln!(text, "many TXT{strings}").unwrap();
    if largest {
        let hex = "5a".repeat(60_000);
        writeln!(text, "giant TYPE65280 \\# 60000 {hex}").unwrap();
    }
    for step in 1..=20 {
        writeln!(text, "chain{step} CNAME chain{}", step - 1).unwrap();
    }
    writeln!(text, "chain0 A 192.0.2.29").unwrap();
    writeln!(text, "{} A 192.0.2.30", long_label('m')).unwrap();
    writeln!(text, "{} A 192.0.2.31", longest(apex)).unwrap();
    // A DNAME whose target is so long that most of what lies below does not fit (RFC 6672, 2.2).
    let target = format!("{}.{}.{}", long_label('d'), long_label('e'), long_label('f'));
    writeln!(text, "dlong DNAME {target}").unwrap();
    Zone { apex: apex.into(), text }
}

fn child(parent: &str) -> Zone {
    let text = format!(
        "$ORIGIN child.{parent}.\n$TTL 3600\n\
         @ IN SOA ns1 hostmaster 1 7200 3600 1209600 900\n@ NS ns1.{parent}.\n\
         @ TXT \"the child\"\nns1 A 192.0.2.53\nwww A 192.0.2.60\n*.wild A 192.0.2.61\n\
         up CNAME www.{parent}.\n"
    );
    Zone { apex: format!("child.{parent}"), text }
}

fn reverse() -> Zone {
    let mut text = format!(
        "$ORIGIN {REVERSE}.\n$TTL 3600\n@ IN SOA ns1.{PLAIN}. hostmaster.{PLAIN}. 1 7200 3600 \
         1209600 900\n@ NS ns1.{PLAIN}.\n"
    );
    for host in [1, 53, 80, 81] {
        writeln!(text, "{host} PTR host-{host}.{PLAIN}.").unwrap();
    }
    // RFC 2317.
    writeln!(text, "130 CNAME 130.128/26\n130.128/26 PTR classless.{PLAIN}.").unwrap();
    Zone { apex: REVERSE.into(), text }
}

/// Zones for nsd: a plain one, one signed with NSEC and one with NSEC3, each with a child; a reverse
/// one.
pub fn of_nsd(ground: &Ground) -> Vec<Zone> {
    let mut zones = vec![full(PLAIN, true), child(PLAIN), reverse()];
    for (apex, denial) in [(NSEC, Denial::Nsec), (NSEC3, Denial::Nsec3)] {
        let child = sign(ground, &child(apex), denial, false);
        let mut parent = full(apex, false);
        writeln!(parent.text, "{}", child.ds).unwrap();
        zones.push(sign(ground, &parent, denial, false).zone);
        zones.push(child.zone);
    }
    zones
}

/// Zones for knot.
pub fn of_knot() -> Vec<Zone> {
    vec![full(KNOT, true), child(KNOT)]
}
