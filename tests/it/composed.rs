//! Answers put together from parts, held against a slow reading of the parts.

use std::net::Ipv4Addr;

use hickory_proto::op::Message;
use horizond::accept::{Asked, Caps, Rules, Spelling, Verdict, judge};
use horizond::answer::{Answer, Kind, Question, View};
use horizond::compose::{Part, compose, denied_below, target};
use horizond::config::Nat64;
use horizond::dns64;
use horizond::respond::Ttl;
use horizond::wire::name::Name;
use horizond::wire::records::Records;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::messages::{response, spoil, spoils};
use crate::promises::accept::One;
use crate::promises::naive::{self, Rr};

/// The question of a message, folded.
fn question_of(message: &Message) -> (Vec<u8>, u16) {
    let query = &message.queries[0];
    let mut name: Vec<u8> = vec![];
    for label in query.name().iter() {
        name.push(label.len() as u8);
        name.extend(label.to_ascii_lowercase());
    }
    name.push(0);
    (name, query.query_type().into())
}

fn question(name: &[u8], qtype: u16) -> Question<'_> {
    Question { name, qtype, qclass: 1 }
}

/// What the daemon would keep of it, if anything.
fn accepted(message: &Message) -> Option<Answer> {
    let (name, qtype) = question_of(message);
    let mut bytes = message.to_vec().ok()?;
    // Upstreams bring back the question as it was sent, which is folded.
    bytes[12..12 + name.len()].copy_from_slice(&name);
    let caps = Caps { max_ttl: u32::MAX, max_negative_ttl: u32::MAX };
    let question = question(&name, qtype);
    let asked = Asked { question, edns: true, spelling: Spelling::FOLDED, exact: false };
    let rules = Rules { route: 0, name: "all", caps, horizons: &One, rebinding: None };
    match judge(asked, &bytes, &rules) {
        Verdict::Accepted(accepted) => Some(accepted.answer),
        Verdict::Truncated(accepted) => accepted.map(|accepted| accepted.answer),
        _ => None,
    }
}

fn ttl() -> impl Strategy<Value = Ttl> {
    prop_oneof![
        3 => (0..200_000u32).prop_map(Ttl::Elapsed),
        1 => Just(Ttl::Elapsed(0)),
        1 => any::<u32>().prop_map(Ttl::Fixed),
    ]
}

fn aged(records: &[Rr], by: Ttl) -> Vec<Rr> {
    let now = |ttl: u32| match by {
        Ttl::Elapsed(seconds) => ttl.saturating_sub(seconds),
        Ttl::Fixed(seconds) => seconds,
    };
    records.iter().map(|rr| Rr { ttl: now(rr.ttl), ..rr.clone() }).collect()
}

/// Where two parts hold the same record, whatever its TTL.
fn same(a: &Rr, b: &Rr) -> bool {
    let key = |rr: &Rr| (rr.section, rr.owner.clone(), rr.rtype, rr.class, rr.rdata.clone());
    key(a) == key(b)
}

/// What the composed answer must hold, by PROTOCOL.md, rule 5.
fn expected(parts: &[(Answer, Ttl)], dnssec_ok: bool) -> Vec<Rr> {
    let mut out: Vec<(usize, Rr)> = vec![];
    let proof = |rr: &Rr| match rr.rtype {
        46 => rr.rdata.starts_with(&[0, 47]) || rr.rdata.starts_with(&[0, 50]),
        rtype => rtype == 47 || rtype == 50,
    };
    for section in 0..3 {
        for (index, (answer, ttl)) in parts.iter().enumerate() {
            let came = naive::parse(answer.wire()).unwrap().records;
            let last = index + 1 == parts.len();
            for rr in aged(&came, *ttl).into_iter().filter(|rr| rr.section == section) {
                let wanted = last || section == 0 || section == 1 && dnssec_ok && proof(&rr);
                // Of the records of earlier parts the first 64 are known again.
                let mut earlier = out.iter().filter(|(of, _)| *of + 1 < parts.len()).take(64);
                let again = earlier.any(|(of, other)| *of < index && same(other, &rr));
                if wanted && !again {
                    out.push((index, rr));
                }
            }
        }
    }
    out.into_iter().map(|(_, rr)| rr).collect()
}

/// What holds of every answer: the walkers and the TTL list agree, and hickory-proto takes it,
/// if it took the parts.
fn is_sound(answer: &Answer, readable: bool) {
    let [_, counts @ ..] = answer.header().counts;
    let mut walk = Records::new(answer.wire(), answer.question_end(), counts);
    let at: Vec<usize> = walk.by_ref().map(|record| record.unwrap().ttl_at).collect();
    assert_eq!(walk.position(), answer.wire().len());
    assert_eq!(answer.view().ttls().collect::<Vec<_>>(), at);
    assert!(naive::parse(answer.wire()).is_some());
    if readable {
        Message::from_vec(answer.wire()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn composed_answers_hold_the_records_of_their_parts(
        messages in vec((response(), ttl()), 1..5),
        again in any::<bool>(),
        dnssec_ok in any::<bool>(),
    ) {
        let mut parts: Vec<(Answer, Ttl)> =
            messages.iter().filter_map(|(m, ttl)| Some((accepted(m)?, *ttl))).collect();
        if again && let Some(first) = parts.first().cloned() {
            parts.push(first);
        }
        prop_assume!(!parts.is_empty());
        let (name, qtype) = question_of(&messages[0].0);
        let views: Vec<Part<'_>> =
            parts.iter().map(|(answer, ttl)| Part { ttl: *ttl, ..Part::of(answer) }).collect();
        let whole = compose(question(&name, qtype), &views, dnssec_ok, None).unwrap();
        let readable = parts.iter().all(|(part, _)| Message::from_vec(part.wire()).is_ok());
        is_sound(&whole, readable);
        let read = naive::parse(whole.wire()).unwrap();
        prop_assert_eq!(read.records, expected(&parts, dnssec_ok));
        prop_assert_eq!(&read.question[..name.len()], &name);
        let last = &parts.last().unwrap().0;
        prop_assert_eq!((whole.rcode(), whole.kind), (last.rcode(), last.kind));
        let flags = |bit| parts.iter().map(move |(part, _)| part.header().has(bit));
        prop_assert_eq!(whole.header().has(0x20), flags(0x20).all(|on| on));
        prop_assert_eq!(whole.header().has(0x200), flags(0x200).any(|on| on));
        prop_assert!(!whole.header().has(0x400));
    }

    #[test]
    fn names_go_back_everywhere(message in response()) {
        let Some(answer) = accepted(&message) else { return Ok(()) };
        let back = |folded: &[u8]| {
            let front = folded.strip_suffix(&[0])?;
            Name::from_wire(&[front, b"\x04back\0"].concat())
        };
        let (name, qtype) = question_of(&message);
        let asked = back(&name).map_or(name, |name| name.as_wire().to_vec());
        let whole = compose(question(&asked, qtype), &[Part::of(&answer)], false, Some(&back));
        let whole = whole.unwrap();
        is_sound(&whole, Message::from_vec(answer.wire()).is_ok());
        let (came, read) =
            (naive::parse(answer.wire()).unwrap(), naive::parse(whole.wire()).unwrap());
        prop_assert_eq!(came.records.len(), read.records.len());
        for (old, new) in came.records.iter().zip(&read.records) {
            let owner = back(&old.owner).map_or(old.owner.clone(), |n| n.as_wire().to_vec());
            prop_assert_eq!(&owner, &new.owner);
            prop_assert_eq!((old.rtype, old.ttl), (new.rtype, new.ttl));
            if old.rtype == 5 {
                let to = back(&old.rdata).map_or(old.rdata.clone(), |n| n.as_wire().to_vec());
                prop_assert_eq!(&to, &new.rdata);
            }
        }
        let moved = target(answer.view()).map(|name| {
            let name = name.as_wire();
            back(name).map_or(name.to_vec(), |n| n.as_wire().to_vec())
        });
        let found = target(whole.view()).map(|name| name.as_wire().to_vec());
        prop_assert_eq!(found, moved);
    }

    #[test]
    fn no_bytes_make_it_panic(
        message in response(),
        ways in spoils(),
        end in 0..80usize,
        dnssec_ok in any::<bool>(),
    ) {
        let bytes = spoil(message.to_vec().unwrap(), &ways);
        if bytes.len() < 12 {
            return Ok(());
        }
        let view = View {
            whole: &bytes,
            wire: &bytes,
            ttls: &[],
            question_end: end,
            ede: None,
        };
        let part = Part { view, ttl: Ttl::Elapsed(1), kind: Kind::Positive };
        let name = b"\x01a\x07example\0";
        let back = |_: &[u8]| Name::from_wire(b"\x01b\0");
        let made = [
            compose(question(name, 1), &[part, part], dnssec_ok, None),
            compose(question(name, 1), &[part], dnssec_ok, Some(&back)),
            denied_below(view, question(name, 1)),
            dns64::synthesize(question(name, 28), &part, &part, &Nat64::WELL_KNOWN),
        ];
        made.iter().flatten().for_each(|answer| is_sound(answer, false));
        let _ = (target(view), dns64::wants_a(view));
    }

    #[test]
    fn every_a_becomes_an_aaaa_and_all_else_stays(
        message in response(),
        (a_ttl, aaaa_ttl) in (ttl(), ttl()),
    ) {
        let Some(a) = accepted(&message) else { return Ok(()) };
        let (name, _) = question_of(&message);
        let nat64: Nat64 = "2001:db8::/56".parse().unwrap();
        let parts =
            (Part { ttl: aaaa_ttl, ..Part::of(&a) }, Part { ttl: a_ttl, ..Part::of(&a) });
        let made = dns64::synthesize(question(&name, 28), &parts.0, &parts.1, &nat64).unwrap();
        is_sound(&made, Message::from_vec(a.wire()).is_ok());
        let came = naive::parse(a.wire()).unwrap().records;
        let soa = aged(&came, aaaa_ttl).into_iter().find(|rr| rr.section == 1 && rr.rtype == 6);
        let cap = soa.map_or(600, |soa| soa.ttl);
        let expected = aged(&came, a_ttl).into_iter().map(|rr| match (rr.section, rr.rtype) {
            (0, 1) => {
                let octets: [u8; 4] = rr.rdata[..].try_into().unwrap();
                let addr = nat64.embed(Ipv4Addr::from(octets)).octets().to_vec();
                Rr { rtype: 28, ttl: rr.ttl.min(cap), rdata: addr, ..rr }
            }
            _ => rr,
        });
        let expected: Vec<Rr> = expected.collect();
        prop_assert_eq!(naive::parse(made.wire()).unwrap().records, expected);
        prop_assert!(!made.header().has(0x20));
    }

    #[test]
    fn reverse_names_lead_where_the_address_is(addr in any::<u32>(), len in 0..6usize) {
        let len = [32, 40, 48, 56, 64, 96][len];
        let nat64: Nat64 = format!("2001:db8::/{len}").parse().unwrap();
        let addr = Ipv4Addr::from_bits(addr);
        let bits = nat64.embed(addr).to_bits();
        let text: String = (0..32).map(|i| format!("{:x}.", bits >> (4 * i) & 15)).collect();
        let asked: Name = (text + "ip6.arpa").parse().unwrap();
        let answer = dns64::pointer(question(asked.as_wire(), 12), &nat64).unwrap();
        is_sound(&answer, true);
        let [a, b, c, d] = addr.octets();
        let wanted: Name = format!("{d}.{c}.{b}.{a}.in-addr.arpa").parse().unwrap();
        let found = target(answer.view()).unwrap();
        prop_assert_eq!(found.as_wire(), wanted.as_wire());
    }
}
