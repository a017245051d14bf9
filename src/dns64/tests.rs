#![allow(clippy::unwrap_used)]
//! What each clause of RFC 6147 and RFC 8880 asks for.

use hickory_proto::op::Message;
use hickory_proto::rr::RData;

use super::*;
use crate::answer::{Kind, Section};
use crate::respond::Ttl;
use crate::wire::name::Name;

/// A record: section, owner, type, TTL, RDATA.
type Rr<'a> = (Section, &'a str, u16, u32, Vec<u8>);

const AN: Section = Section::Answer;
const AU: Section = Section::Authority;

fn name(text: &str) -> Vec<u8> {
    text.parse::<Name>().unwrap().as_wire().to_vec()
}

fn question(name: &[u8], qtype: u16) -> Question<'_> {
    Question { name, qtype, qclass: CLASS_IN }
}

fn soa(ttl: u32) -> Rr<'static> {
    (AU, "x", rtype::SOA, ttl, [name("x"), name("."), vec![0; 20]].concat())
}

fn v4(owner: &str, ttl: u32, octets: [u8; 4]) -> Rr<'_> {
    (AN, owner, rtype::A, ttl, octets.to_vec())
}

fn v6<'a>(owner: &'a str, addr: &str) -> Rr<'a> {
    let addr: Ipv6Addr = addr.parse().unwrap();
    (AN, owner, rtype::AAAA, 60, addr.octets().to_vec())
}

fn alias<'a>(owner: &'a str, to: &str) -> Rr<'a> {
    (AN, owner, rtype::CNAME, 70, name(to))
}

fn made(qname: &str, qtype: u16, rcode: Rcode, flags: u16, records: &[Rr<'_>]) -> Answer {
    let qname = name(qname);
    let mut writer = Writer::new(question(&qname, qtype), rcode, flags);
    for (section, owner, rtype, ttl, rdata) in records {
        assert!(writer.record(*section, &name(owner), (*rtype, 1, *ttl), &[rdata]));
    }
    let positive = records.iter().any(|r| r.0 == AN && r.2 == qtype);
    writer.kind = if positive { Kind::Positive } else { Kind::Negative };
    writer.finish()
}

fn empty() -> Answer {
    made("h.x", rtype::AAAA, Rcode::NOERROR, 0, &[soa(300)])
}

fn synthesized(a: &Answer, prefix: &str) -> Option<Answer> {
    let (asked, aaaa) = (name("h.x"), empty());
    let nat64: Nat64 = prefix.parse().unwrap();
    synthesize(question(&asked, rtype::AAAA), &Part::of(&aaaa), &Part::of(a), &nat64)
}

/// `OWNER TTL DATA` of the answer section.
fn shown(answer: &Answer) -> Vec<String> {
    let read = Message::from_vec(answer.wire()).unwrap();
    assert_eq!(u16::from(read.queries[0].query_type()), rtype::AAAA);
    read.answers.iter().map(|r| format!("{} {} {}", r.name, r.ttl, r.data)).collect()
}

#[test]
fn rfc_6147_5_1_which_questions() {
    let asked = name("h.x");
    for (qtype, qclass, dnssec_ok, cd, expected) in [
        (rtype::AAAA, 1, false, false, true),
        (rtype::A, 1, false, false, false),
        (rtype::ANY, 1, false, false, false),
        (rtype::AAAA, 3, false, false, false),
        // 5.5: with DO alone and with CD alone yes, with both the client does it all by itself.
        (rtype::AAAA, 1, true, false, true),
        (rtype::AAAA, 1, false, true, true),
        (rtype::AAAA, 1, true, true, false),
    ] {
        let question = Question { name: &asked, qtype, qclass };
        assert_eq!(applies(question, dnssec_ok, cd), expected, "{qtype} {qclass} {dnssec_ok} {cd}");
    }
}

#[test]
fn which_answers_want_a() {
    let ok = Rcode::NOERROR;
    for (clause, rcode, flags, records, expected) in [
        ("5.1.1 there is one", ok, 0, vec![v6("h.x", "2001:db8::1")], false),
        ("5.1.1 in a chain", ok, 0, vec![alias("h.x", "i.x"), v6("i.x", "2001:db8::1")], false),
        ("5.1.1 there is none", ok, 0, vec![soa(5)], true),
        ("5.1.1 nor an SOA", ok, 0, vec![], true),
        ("5.1.2 NXDOMAIN", Rcode::NXDOMAIN, 0, vec![soa(5)], false),
        ("5.1.2 SERVFAIL", Rcode::SERVFAIL, 0, vec![], true),
        ("5.1.2 REFUSED", Rcode::REFUSED, 0, vec![], true),
        ("5.1.4 an excluded one", ok, 0, vec![v6("h.x", "::ffff:1.2.3.4")], true),
        ("5.1.4 and another", ok, 0, vec![v6("h.x", "::ffff:1.2.3.4"), v6("h.x", "::1")], false),
        ("5.1.5 an empty end", ok, 0, vec![alias("h.x", "i.x"), soa(5)], true),
        ("cut short", ok, flag::TC, vec![alias("h.x", "i.x")], false),
    ] {
        let aaaa = made("h.x", rtype::AAAA, rcode, flags, &records);
        assert_eq!(wants_a(aaaa.view()), expected, "{clause}");
    }
}

#[test]
fn rfc_6147_5_1_7_an_address_byte_for_byte() {
    let a = made("h.x", rtype::A, Rcode::NOERROR, flag::AD, &[v4("h.x", 100, [9, 8, 7, 6])]);
    let answer = synthesized(&a, "64:ff9b::/96").unwrap();
    let expected = [
        &b"\0\0\x80\x80\0\x01\0\x01\0\0\0\0\x01h\x01x\0\0\x1c\0\x01"[..],
        b"\xc0\x0c\0\x1c\0\x01\0\0\0\x64\0\x10",
        b"\0\x64\xff\x9b\0\0\0\0\0\0\0\0\x09\x08\x07\x06",
    ];
    assert_eq!(answer.wire(), expected.concat());
    assert_eq!(answer.kind, Kind::Positive);
    // 5.5: what was vouched for was the A.
    assert!(!answer.header().has(flag::AD));
}

#[test]
fn rfc_6147_5_1_7_the_ttl_is_the_lesser_of_a_and_soa() {
    let asked = name("h.x");
    let nat64 = Nat64::WELL_KNOWN;
    let bare = made("h.x", rtype::AAAA, Rcode::NOERROR, 0, &[]);
    for (soa_ttl, soa_age, a_ttl, a_age, expected) in [
        (Some(300), 0, 100, 0, 100),
        (Some(50), 0, 100, 0, 50),
        (Some(50), 20, 100, 0, 30),
        (Some(300), 0, 100, 40, 60),
        (Some(50), 60, 100, 0, 0),
        // No SOA: at most ten minutes.
        (None, 0, 900, 0, 600),
        (None, 0, 100, 0, 100),
    ] {
        let aaaa = soa_ttl
            .map_or(bare.clone(), |ttl| made("h.x", rtype::AAAA, Rcode::NOERROR, 0, &[soa(ttl)]));
        let a = made("h.x", rtype::A, Rcode::NOERROR, 0, &[v4("h.x", a_ttl, [9; 4])]);
        let aaaa = Part { ttl: Ttl::Elapsed(soa_age), ..Part::of(&aaaa) };
        let a = Part { ttl: Ttl::Elapsed(a_age), ..Part::of(&a) };
        let made = synthesize(question(&asked, rtype::AAAA), &aaaa, &a, &nat64).unwrap();
        assert_eq!(shown(&made), [format!("h.x. {expected} 64:ff9b::909:909")]);
    }
}

#[test]
fn rfc_6147_5_1_5_the_chain_stays() {
    let a = made(
        "h.x",
        rtype::A,
        Rcode::NOERROR,
        0,
        &[
            (AN, "x", rtype::DNAME, 70, name("y")),
            alias("h.x", "h.y"),
            alias("h.y", "i.y"),
            v4("i.y", 100, [9, 0, 0, 1]),
            v4("i.y", 100, [9, 0, 0, 2]),
            (AU, "y", rtype::NS, 100, name("ns.y")),
            (Section::Additional, "ns.y", rtype::A, 100, vec![9, 0, 0, 3]),
        ],
    );
    let answer = synthesized(&a, "2001:db8::/32").unwrap();
    assert_eq!(
        shown(&answer),
        [
            // The target of the DNAME, which the reader shows as bytes: 01 79 00.
            "x. 70 AXkA",
            "h.x. 70 h.y.",
            "h.y. 70 i.y.",
            "i.y. 100 2001:db8:900:1::",
            "i.y. 100 2001:db8:900:2::",
        ]
    );
    // 5.3.2: the additional section is passed on unchanged.
    let read = Message::from_vec(answer.wire()).unwrap();
    assert!(matches!(read.additionals[0].data, RData::A(a) if a.0 == Ipv4Addr::new(9, 0, 0, 3)));
    assert_eq!(read.authorities.len(), 1);
}

#[test]
fn signatures_of_what_is_not_there_go() {
    let sig = |covered: u16| [&covered.to_be_bytes()[..], &[8; 16], &name("x"), b"s"].concat();
    let a = made(
        "h.x",
        rtype::A,
        Rcode::NOERROR,
        0,
        &[
            alias("h.x", "i.x"),
            (AN, "h.x", rtype::RRSIG, 70, sig(rtype::CNAME)),
            v4("i.x", 100, [9; 4]),
            (AN, "i.x", rtype::RRSIG, 100, sig(rtype::A)),
        ],
    );
    let answer = synthesized(&a, "64:ff9b::/96").unwrap();
    let [_, counts @ ..] = answer.header().counts;
    let walk = Records::new(answer.wire(), answer.question_end(), counts);
    let types: Vec<u16> = walk.map(|r| r.unwrap().rtype).collect();
    assert_eq!(types, [rtype::CNAME, rtype::RRSIG, rtype::AAAA]);
}

#[test]
fn rfc_6052_3_1_private_addresses_do_not_get_the_well_known_prefix() {
    let all = [v4("h.x", 9, [10, 0, 0, 1]), v4("h.x", 9, [9; 4]), v4("h.x", 9, [127, 0, 0, 1])];
    let a = made("h.x", rtype::A, Rcode::NOERROR, 0, &all);
    assert_eq!(shown(&synthesized(&a, "64:ff9b::/96").unwrap()), ["h.x. 9 64:ff9b::909:909"]);
    assert_eq!(shown(&synthesized(&a, "2001:db8::/96").unwrap()).len(), 3);
    // None left: the answer without addresses stands, whose SOA lets it be kept.
    let a = made("h.x", rtype::A, Rcode::NOERROR, 0, &all[..1]);
    assert_eq!(synthesized(&a, "64:ff9b::/96"), None);
}

#[test]
fn rfc_6147_5_1_6_an_empty_answer_or_error_is_passed_on() {
    for (rcode, records) in [
        (Rcode::NOERROR, vec![soa(60)]),
        (Rcode::NXDOMAIN, vec![soa(60)]),
        (Rcode::SERVFAIL, vec![]),
    ] {
        let a = made("h.x", rtype::A, rcode, 0, &records);
        let answer = synthesized(&a, "64:ff9b::/96").unwrap();
        assert_eq!((answer.rcode(), answer.kind), (rcode, Kind::Negative));
        assert!(shown(&answer).is_empty());
        assert_eq!(answer.header().counts[2], records.len() as u16);
    }
}

#[test]
fn what_does_not_parse_makes_nothing() {
    let (asked, aaaa) = (name("h.x"), empty());
    let a = made("h.x", rtype::A, Rcode::NOERROR, 0, &[v4("h.x", 9, [9; 4])]);
    let view = a.view();
    for cut in 0..view.wire.len() {
        let part = Part { view: View { wire: &view.wire[..cut], ..view }, ..Part::of(&a) };
        let made =
            synthesize(question(&asked, rtype::AAAA), &Part::of(&aaaa), &part, &Nat64::WELL_KNOWN);
        assert_eq!(made, None, "{cut}");
    }
}

/// The reverse name of an IPv6 address.
fn reverse(addr: &str) -> String {
    let bits = addr.parse::<Ipv6Addr>().unwrap().to_bits();
    (0..32).map(|i| format!("{:x}.", bits >> (4 * i) & 15)).collect::<String>() + "ip6.arpa"
}

#[test]
fn rfc_6147_5_3_1_reverse_names_become_aliases() {
    let nat64 = Nat64::WELL_KNOWN;
    let asked = name(&reverse("64:ff9b::192.0.2.33"));
    let answer = pointer(question(&asked, rtype::PTR), &nat64).unwrap();
    assert!(answer.onward);
    assert_eq!(answer.kind, Kind::Positive);
    let target = crate::compose::target(answer.view()).unwrap();
    assert_eq!(target.as_wire(), name("33.2.0.192.in-addr.arpa"));
    let read = Message::from_vec(answer.wire()).unwrap();
    assert_eq!(read.answers[0].name, read.queries[0].name);
    let odd: Nat64 = "2001:db8:122::/48".parse().unwrap();
    let asked = name(&reverse("2001:db8:122:c000:2:2100::"));
    let answer = pointer(question(&asked, rtype::PTR), &odd).unwrap();
    let target = crate::compose::target(answer.view()).unwrap();
    assert_eq!(target.as_wire(), name("33.2.0.192.in-addr.arpa"));
}

#[test]
fn other_reverse_names_are_left_alone() {
    let inside = reverse("64:ff9b::1.2.3.4");
    for (text, qtype, qclass) in [
        (inside.clone(), rtype::TXT, 1),
        (inside.clone(), rtype::PTR, 3),
        (reverse("64:ff9c::1.2.3.4"), rtype::PTR, 1),
        (inside[2..].to_owned(), rtype::PTR, 1),
        (format!("a.{inside}"), rtype::PTR, 1),
        (inside.replacen("4.0.", "g.0.", 1), rtype::PTR, 1),
        (inside.replacen("4.0.", "4.00.", 1)[2..].to_owned(), rtype::PTR, 1),
        (inside.replace("ip6", "ip4"), rtype::PTR, 1),
        ("ip6.arpa".into(), rtype::PTR, 1),
        ("4.3.2.1.in-addr.arpa".into(), rtype::PTR, 1),
        (".".into(), rtype::PTR, 1),
    ] {
        let asked = name(&text);
        let question = Question { name: &asked, qtype, qclass };
        assert_eq!(pointer(question, &Nat64::WELL_KNOWN), None, "{text}");
    }
}

#[test]
fn rfc_8880_7_1_and_7_2_what_is_answered_here() {
    let (ok, nx) = (Rcode::NOERROR, Rcode::NXDOMAIN);
    let site: Nat64 = "2001:db8::/96".parse().unwrap();
    for (text, qtype, expected) in [
        ("ipv4only.arpa", rtype::A, Some((ok, vec!["192.0.0.170", "192.0.0.171"]))),
        ("ipv4only.arpa", rtype::AAAA, Some((ok, vec!["2001:db8::c000:aa", "2001:db8::c000:ab"]))),
        ("ipv4only.arpa", rtype::NS, Some((ok, vec![]))),
        ("ipv4only.arpa", rtype::PTR, Some((ok, vec![]))),
        ("ipv4only.arpa", rtype::DS, None),
        ("a.ipv4only.arpa", rtype::A, Some((nx, vec![]))),
        ("a.b.ipv4only.arpa", rtype::TXT, Some((nx, vec![]))),
        ("a.ipv4only.arpa", rtype::DS, None),
        ("xipv4only.arpa", rtype::A, None),
        ("arpa", rtype::A, None),
        ("170.0.0.192.in-addr.arpa", rtype::PTR, Some((ok, vec!["ipv4only.arpa."]))),
        ("171.0.0.192.in-addr.arpa", rtype::PTR, Some((ok, vec!["ipv4only.arpa."]))),
        ("171.0.0.192.in-addr.arpa", rtype::A, Some((ok, vec![]))),
        ("171.0.0.192.in-addr.arpa", rtype::DS, None),
        ("a.171.0.0.192.in-addr.arpa", rtype::PTR, Some((nx, vec![]))),
        ("172.0.0.192.in-addr.arpa", rtype::PTR, None),
        ("0.0.192.in-addr.arpa", rtype::PTR, None),
    ] {
        let asked = name(text);
        let found = ipv4only(question(&asked, qtype), &site).map(|answer| {
            let read = Message::from_vec(answer.wire()).unwrap();
            let soas = read.authorities.len();
            let data: Vec<_> = read.answers.iter().map(|r| r.data.to_string()).collect();
            assert_eq!(soas, usize::from(data.is_empty()), "{text}: an SOA with what is negative");
            (answer.rcode(), data)
        });
        let expected =
            expected.map(|(rcode, data)| (rcode, data.into_iter().map(String::from).collect()));
        assert_eq!(found, expected, "{text} {qtype}");
    }
    let asked = name("ipv4only.arpa");
    assert_eq!(ipv4only(Question { qclass: 3, ..question(&asked, 1) }, &site), None);
}

#[test]
fn rfc_7050_the_well_known_prefix_is_shown_although_the_addresses_are_not_global() {
    let asked = name("ipv4only.arpa");
    let answer = ipv4only(question(&asked, rtype::AAAA), &Nat64::WELL_KNOWN).unwrap();
    let shown = shown(&answer);
    assert_eq!(
        shown,
        ["ipv4only.arpa. 600 64:ff9b::c000:aa", "ipv4only.arpa. 600 64:ff9b::c000:ab"]
    );
}
