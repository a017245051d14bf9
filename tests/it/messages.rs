//! Messages that hickory-proto writes, and ways to spoil them.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{
    A, AAAA, CNAME, HINFO, MX, NAPTR, NS, NULL, OPT, PTR, SOA, SRV, SVCB, TXT,
};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

/// A name of up to five labels, now and then long, now and then with odd bytes.
pub fn name() -> impl Strategy<Value = Name> {
    let plain = "[a-zA-Z0-9_-]{1,12}".prop_map(String::into_bytes);
    let odd = vec(any::<u8>(), 1..=63);
    let label = prop_oneof![9 => plain, 1 => odd];
    vec(label, 0..=5).prop_map(|labels| Name::from_labels(labels).unwrap_or_else(|_| Name::root()))
}

/// RDATA of many types.
pub fn rdata() -> impl Strategy<Value = RData> {
    let text = vec("[ -~]{0,200}", 1..4);
    prop_oneof![
        4 => any::<[u8; 4]>().prop_map(|ip| RData::A(A(ip.into()))),
        2 => any::<[u8; 16]>().prop_map(|ip| RData::AAAA(AAAA(ip.into()))),
        3 => name().prop_map(|n| RData::CNAME(CNAME(n))),
        1 => name().prop_map(|n| RData::NS(NS(n))),
        1 => name().prop_map(|n| RData::PTR(PTR(n))),
        1 => (any::<u16>(), name()).prop_map(|(p, n)| RData::MX(MX::new(p, n))),
        1 => (any::<[u16; 3]>(), name())
            .prop_map(|([p, w, q], n)| RData::SRV(SRV::new(p, w, q, n))),
        2 => (name(), name(), any::<[u32; 2]>(), any::<u16>()).prop_map(|(m, r, [s, t], i)| {
            RData::SOA(SOA::new(m, r, s, i.into(), i.into(), i.into(), t))
        }),
        1 => text.prop_map(|rows| RData::TXT(TXT::new(rows))),
        1 => Just(RData::HINFO(HINFO::new("RFC8482".into(), String::new()))),
        1 => name().prop_map(|n| {
            RData::NAPTR(NAPTR::new(1, 2, b"u"[..].into(), b"x"[..].into(), b""[..].into(), n))
        }),
        1 => (any::<u16>(), name())
            .prop_map(|(p, n)| RData::SVCB(SVCB::new(p, n, vec![]))),
        1 => (300..60_000u16, vec(any::<u8>(), 1..300)).prop_map(|(code, bytes)| RData::Unknown {
            code: RecordType::Unknown(code),
            rdata: NULL::with(bytes),
        }),
    ]
}

fn records(most: usize) -> impl Strategy<Value = Vec<(Option<Name>, u32, RData)>> {
    let owner = prop_oneof![3 => Just(None), 1 => name().prop_map(Some)];
    let ttl = prop_oneof![4 => 0..100_000u32, 1 => any::<u32>()];
    vec((owner, ttl, rdata()), 0..most)
}

fn rcode() -> impl Strategy<Value = u16> {
    prop_oneof![6 => Just(0u16), 2 => Just(3), 1 => 0..16u16, 1 => 0..4096u16]
}

/// An answer to some question: most records belong to the question's name, some to others.
pub fn response() -> impl Strategy<Value = Message> {
    let sections = (records(40), records(6), records(8));
    (any::<u16>(), name(), rcode(), sections, any::<[bool; 5]>()).prop_map(
        |(id, owner, rcode, (answers, authorities, additionals), flags)| {
            let [edns, tc, ad, aa, first] = flags;
            let mut message = Message::new(id, MessageType::Response, OpCode::Query);
            let qtype = match answers.first() {
                Some((_, _, data)) if first => data.record_type(),
                _ => RecordType::A,
            };
            let record = |(own, ttl, data): (Option<Name>, u32, RData)| {
                Record::from_rdata(own.unwrap_or_else(|| owner.clone()), ttl, data)
            };
            message.add_query(Query::query(owner.clone(), qtype));
            message.metadata.response_code =
                ResponseCode::from((rcode >> 4) as u8, rcode as u8 & 15);
            message.metadata.truncation = tc && rcode % 2 == 1;
            message.metadata.authentic_data = ad;
            message.metadata.authoritative = aa;
            message.add_answers(answers.into_iter().map(record));
            message.add_authorities(authorities.into_iter().map(record));
            message.add_additionals(additionals.into_iter().map(record));
            if edns && rcode == 0 {
                let at = usize::from(id & 1).min(message.additionals.len());
                message.additionals.insert(at, opt_record());
            } else if edns || rcode > 15 {
                message.set_edns(Edns::new());
            }
            message
        },
    )
}

/// An OPT as a record like others, which may stand in front of them.
fn opt_record() -> Record {
    let mut opt = Record::from_rdata(Name::root(), 0, RData::OPT(OPT::new(vec![])));
    opt.dns_class = DNSClass::OPT(1232);
    opt
}

/// A query, mostly with an OPT.
pub fn query() -> impl Strategy<Value = Message> {
    (any::<u16>(), name(), any::<u16>(), any::<[bool; 5]>(), any::<u16>()).prop_map(
        |(id, name, payload, [rd, cd, ad, edns, dnssec_ok], qtype)| {
            let mut message = Message::new(id, MessageType::Query, OpCode::Query);
            let known = [1, 28, 12, 33, 65, 255, qtype % 300, qtype];
            let qtype = known[usize::from(qtype) % known.len()];
            message.add_query(Query::query(name, RecordType::from(qtype)));
            message.metadata.recursion_desired = rd;
            message.metadata.checking_disabled = cd;
            message.metadata.authentic_data = ad;
            if edns {
                let mut opt = Edns::new();
                opt.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
                message.set_edns(opt);
            }
            message
        },
    )
}

/// A way to spoil bytes.
#[derive(Debug, Clone)]
pub enum Spoil {
    Flip(usize, u8),
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Point(usize, u16),
    Count(usize, u16),
    Repeat(usize, usize),
    /// Puts this many of the last bytes in front of others: records change places.
    Move(usize, usize),
}

/// Some ways, one after another.
pub fn spoils() -> impl Strategy<Value = Vec<Spoil>> {
    let at = 0..700usize;
    let spoil = prop_oneof![
        (at.clone(), 0..8u8).prop_map(|(at, bit)| Spoil::Flip(at, bit)),
        (at.clone(), prop_oneof![Just(0), Just(0xc0), Just(63), Just(64), any::<u8>()])
            .prop_map(|(at, byte)| Spoil::Set(at, byte)),
        at.clone().prop_map(Spoil::Cut),
        (at.clone(), vec(any::<u8>(), 1..20)).prop_map(|(at, new)| Spoil::Insert(at, new)),
        (at.clone(), 1..20usize).prop_map(|(at, len)| Spoil::Remove(at, len)),
        (at.clone(), any::<u16>()).prop_map(|(at, to)| Spoil::Point(at, to % 600)),
        (0..4usize, prop_oneof![0..4u16, any::<u16>()]).prop_map(|(n, to)| Spoil::Count(n, to)),
        (at.clone(), 1..60usize).prop_map(|(at, len)| Spoil::Repeat(at, len)),
        (at, 1..60usize).prop_map(|(at, len)| Spoil::Move(at, len)),
    ];
    vec(spoil, 0..5)
}

/// Does so.
pub fn spoil(mut bytes: Vec<u8>, spoils: &[Spoil]) -> Vec<u8> {
    for spoil in spoils {
        let place = |at: usize| if bytes.is_empty() { 0 } else { at % bytes.len() };
        match spoil {
            Spoil::Flip(at, bit) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
            }
            Spoil::Set(at, to) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = *to);
            }
            Spoil::Cut(at) => bytes.truncate(place(*at)),
            Spoil::Insert(at, new) => {
                let at = place(*at);
                bytes.splice(at..at, new.iter().copied());
            }
            Spoil::Remove(at, len) => {
                let at = place(*at);
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Spoil::Point(at, to) => {
                let at = place(*at);
                let pointer = (0xc000 | to).to_be_bytes();
                bytes.iter_mut().skip(at).zip(pointer).for_each(|(old, new)| *old = new);
            }
            Spoil::Count(which, to) => {
                let count = bytes.iter_mut().skip(4 + 2 * which);
                count.zip(to.to_be_bytes()).for_each(|(old, new)| *old = new);
            }
            Spoil::Repeat(at, len) => {
                let at = place(*at);
                let again = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Spoil::Move(at, len) => {
                let at = place(*at);
                let tail = bytes.split_off(bytes.len().saturating_sub(*len));
                let at = at.min(bytes.len());
                bytes.splice(at..at, tail);
            }
        }
    }
    bytes
}
