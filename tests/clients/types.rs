//! Every type that a dig knows by name, and some that it does not, with real data: each passes unharmed
//! (RFC 3597, 2 and 3; RFC 5625, 4.5).

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::ADMIT;
use crate::answers::Answers;
use crate::table::{Client, bytes, name};
use crate::world::World;

/// Number and RDATA, in the notation of the tables.
#[rustfmt::skip]
pub const TYPES: &[(u16, &str)] = &[
    (1, "c0000201"), // A
    (2, "'ns.example.net'"), // NS
    (3, "'a.example.net'"), // MD
    (4, "'a.example.net'"), // MF
    (6, "'ns.example.net' 'hm.example.net' 00000001 00000e10 00000384 00093a80 0000012c"), // SOA
    (7, "'a.example.net'"), // MB
    (8, "'a.example.net'"), // MG
    (9, "'a.example.net'"), // MR
    (10, "00ff c00c"), // NULL
    (11, "c0000201 06 0000 40"), // WKS
    (12, "'a.example.net'"), // PTR
    (13, "03 \"VAX\" 04 \"UNIX\""), // HINFO
    (14, "'a.example.net' 'b.example.net'"), // MINFO
    (15, "000a 'mx.example.net'"), // MX
    (16, "05 \"hello\" 00 03 \"you\""), // TXT
    (17, "'a.example.net' 'b.example.net'"), // RP
    (18, "0001 'a.example.net'"), // AFSDB
    (19, "07 \"3110617\""), // X25
    (20, "06 \"150862\" 03 \"004\""), // ISDN
    (21, "0002 'a.example.net'"), // RT
    (22, "47000580005a0000000001e133ffffff00016100"), // NSAP
    (23, "'a.example.net'"), // NSAP-PTR
    (24, "0001 05 02 00000e10 65000000 64000000 1234 'example.net' 00112233"), // SIG
    (25, "0100 03 05 01020304"), // KEY
    (26, "000a 'a.example.net' 'b.example.net'"), // PX
    (27, "03 \"-32\" 03 \"116\" 02 \"10\""), // GPOS
    (28, "20010db8000000000000000000000001"), // AAAA
    (29, "00 12 16 13 80000000 80000000 00989680"), // LOC
    (30, "'a.example.net' 40000000"), // NXT
    (31, "0102"), // EID
    (32, "0102"), // NIMLOC
    (33, "0001 0002 0050 'a.example.net'"), // SRV
    (34, "00 4700"), // ATMA
    (35, "0064 000a 01 \"u\" 07 \"E2U+sip\" 0b \"!^.*$!sip:!\" 00"), // NAPTR
    (36, "0001 'a.example.net'"), // KX
    (37, "0001 1234 05 0102"), // CERT
    (38, "40 0000000000000001 'a.example.net'"), // A6
    (40, "01 02 03"), // SINK
    (42, "0001 18 03 c00002"), // APL
    (43, "1234 08 02 e2d3c916f6deeac73294e8268fb5885044a833fc5459588f4a9184cfc41a5766"), // DS
    (44, "01 02 00112233"), // SSHFP
    (45, "0a 01 02 c0000201 0102"), // IPSECKEY
    (46, "0001 08 02 00000e10 65000000 64000000 1234 'example.net' 00112233"), // RRSIG
    (47, "'b.example.net' 00 06 400000000003"), // NSEC
    (48, "0101 03 08 01020304"), // DNSKEY
    (49, "000201636fc0b8271c82825bb1ac5c41cf5351aa69b4febd94e8f17cdb95000da48c40"), // DHCID
    (50, "01 00 000a 02 aabb 04 01020304 00 01 40"), // NSEC3
    (51, "01 00 000a 02 aabb"), // NSEC3PARAM
    (52, "03 01 01 00112233"), // TLSA
    (53, "03 01 01 00112233"), // SMIMEA
    (55, "04 02 0004 01020304 05060708"), // HIP
    (56, "05 \"hello\""), // NINFO
    (57, "0100 03 05 0102"), // RKEY
    (58, "'a.example.net' 'b.example.net'"), // TALINK
    (59, "0000 00 00 00"), // CDS
    (60, "0000 03 00 00"), // CDNSKEY
    (61, "99010d"), // OPENPGPKEY
    (62, "00000001 0003 00 01 40"), // CSYNC
    (63, "00000001 01 01 00112233"), // ZONEMD
    (64, "0001 'a.example.net' 0001 { 02 \"h2\" }"), // SVCB
    (65, "0001 00 0001 { 02 \"h2\" 02 \"h3\" } 0004 { c0000201 }"), // HTTPS
    (99, "06 \"v=spf1\""), // SPF
    (104, "000a 0014 4fff ff20 ee64"), // NID
    (105, "000a 0a010200"), // L32
    (106, "000a 2001 0db8 1140 1000"), // L64
    (107, "000a 'a.example.net'"), // LP
    (108, "00005e00532a"), // EUI48
    (109, "00005eef1000002a"), // EUI64
    (256, "000a 0001 \"ftp://a.example.net/\""), // URI
    (257, "00 05 \"issue\" \"ca.example.net\""), // CAA
    (258, "05 \"hello\""), // AVC
    (259, "00000000 00000001 01 00 0102"), // DOA
    (260, "0a 01 c0000201"), // AMTRELAY
    (261, "09 \"qnamemin.\""), // RESINFO
    (32768, "1234 08 02 00112233"), // TA
    (32769, "1234 08 02 00112233"), // DLV
    (666, "c00c 00 ff"), // TYPE666
    (1000, "00"), // TYPE1000
    (65280, "c00cc0ff00"), // TYPE65280
    (65534, ""), // TYPE65534
];

#[test]
fn every_type_passes_unharmed_as_a_miss_and_as_a_hit() {
    let answers = Answers::start();
    let route = "[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\n";
    let toml = format!("{ADMIT}{route}upstreams = [\"{}\"]\n", answers.addr);
    let world = World::start(&toml, 1).unwrap();
    let from = Ipv4Addr::LOCALHOST.into();
    let mut clients = [false, true].map(|tcp| Client::new(world.addr, from, tcp));
    let mut seen = std::collections::BTreeSet::new();
    for (qtype, rdata) in TYPES {
        assert!(seen.insert(qtype), "{qtype} twice");
        let words = HashMap::from([("name".to_owned(), name("Types.example.com"))]);
        let question = format!("$name {qtype:04x} 0001");
        let query = bytes(&format!("1234 0100 0001 0000 0000 0000 {question}"), &words);
        let answer = format!(
            "1234 8180 0001 0001 0000 0000 {question} c00c {qtype:04x} 0001 0000012c {{ {rdata} }}"
        );
        let answer = bytes(&answer, &words);
        for client in &mut clients {
            client.send(&query);
            assert_eq!(client.receive(), Some(answer.clone()), "TYPE{qtype}");
        }
    }
}
