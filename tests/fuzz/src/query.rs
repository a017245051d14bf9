//! Bytes from a client: a query is read as anyone else would read it, and every answer is sound.

use hickory_proto::op::Message as Hickory;
use horizond::cache::Key;
use horizond::local::chaos::Topic;
use horizond::respond::{self, Ask, AskEdns, Bare};
use horizond::wire::edns::{Ede, Edns};
use horizond::wire::header::Rcode;
use horizond::wire::name::Name;
use horizond::wire::query::{Fault, Query};
use horizond::wire::records::{NameBuf, Records, skip_name};

use super::naive;

/// Checks one packet.
pub fn check(packet: &[u8]) {
    check_walks(packet);
    match Query::parse(packet) {
        Ok(query) => check_query(packet, &query),
        Err(Fault::Short) => assert!(packet.len() < 12),
        Err(Fault::Response) => assert!(packet[2] & 0x80 != 0),
        Err(Fault::Cookie(edns)) => check_cookie(packet, edns),
        Err(fault @ Fault::Answer { .. }) => check_fault(packet, fault),
    }
}

/// The parts of the reader, at every offset: they end, inside the bytes.
fn check_walks(packet: &[u8]) {
    for at in 0..packet.len().min(600) {
        let expanded = NameBuf::expand(packet, at);
        if let Some(name) = &expanded {
            let end = skip_name(packet, at).expect("what can be expanded can be skipped");
            assert!(at < end && end <= packet.len());
            assert!(Name::from_wire(name.as_wire()).is_some_and(|n| n.as_wire() == name.as_wire()));
        }
        let _ = Topic::of(&packet[at..]);
        let _ = Name::from_wire(&packet[at..]).map(|name| name.to_string());
    }
    let counts = [3, 0, u16::MAX];
    let mut walk = Records::new(packet, 12, counts);
    let mut before = 12;
    for record in walk.by_ref().flatten() {
        assert!(record.start == before && record.rdata.end <= packet.len());
        assert_eq!(record.ttl_at + 6, record.rdata.start);
        before = record.rdata.end;
    }
    assert_eq!(walk.position(), before);
    assert!(walk.next().is_none());
}

fn check_query(packet: &[u8], query: &Query<'_>) {
    assert_eq!(&packet[12..12 + query.name.len()], query.name);
    let name = Name::from_wire(query.name).expect("a query's name is one");
    check_key(query, &name);
    for stream in [false, true] {
        let ask = Ask::of(query, stream);
        assert_eq!(ask.edns.is_some(), query.edns.is_some());
        let payload = query.edns.map_or(512, |edns| edns.payload.clamp(512, 1232));
        assert_eq!(ask.room, if stream { u16::MAX } else { payload });
    }
    let Ok(theirs) = Hickory::from_vec(packet) else { return };
    assert_eq!(theirs.metadata.id, query.header.id);
    let [asked] = &theirs.queries[..] else { panic!("{} questions", theirs.queries.len()) };
    assert_eq!(name_of(&asked.name), name.as_wire());
    assert_eq!(u16::from(asked.query_type), query.qtype);
    assert_eq!(theirs.edns.is_some(), query.edns.is_some());
    if let (Some(theirs), Some(ours)) = (&theirs.edns, &query.edns) {
        assert_eq!(theirs.flags().dnssec_ok, ours.dnssec_ok);
        assert_eq!(theirs.max_payload(), ours.payload.max(512));
        assert_eq!((theirs.version(), ours.version), (0, 0));
    }
}

fn name_of(name: &hickory_proto::rr::Name) -> Vec<u8> {
    let mut wire = vec![];
    for label in name.iter() {
        wire.push(label.len() as u8);
        wire.extend(label.to_ascii_lowercase());
    }
    wire.push(0);
    wire
}

/// Two questions have one key if and only if name, type, DO and CD are the same.
fn check_key(query: &Query<'_>, name: &Name) {
    let cd = query.header.flags & 0x0010 != 0;
    let dnssec_ok = query.dnssec_ok();
    let key = Key::of(query.name, query.qtype, dnssec_ok, cd);
    assert_eq!(Key::name(key.as_bytes()), name.as_wire());
    assert_eq!(Key::qtype(key.as_bytes()), query.qtype);
    assert_eq!(Key::flags(key.as_bytes()), (dnssec_ok, cd));
    let upper = Key::of(&query.name.to_ascii_uppercase(), query.qtype, dnssec_ok, cd);
    assert_eq!(upper.as_bytes(), key.as_bytes());
    for other in [
        Key::of(query.name, query.qtype ^ 1, dnssec_ok, cd),
        Key::of(query.name, query.qtype, !dnssec_ok, cd),
        Key::of(query.name, query.qtype, dnssec_ok, !cd),
        Key::of(&[b"\x01x", query.name].concat(), query.qtype, dnssec_ok, cd),
    ] {
        assert!(other.as_bytes() != key.as_bytes() || query.name.len() > 253);
    }
}

/// No question, and a cookie of a length that one may have (RFC 7873, 5.4).
fn check_cookie(packet: &[u8], edns: Edns<'_>) {
    assert!(packet[4..6] == [0, 0] && packet[2] & 0x78 == 0);
    let cookie = edns.cookie().expect("it has a cookie");
    assert!(cookie.len() == 8 || (16..=40).contains(&cookie.len()));
    let edns = Some(AskEdns { cookie: Some([7; 24]), ..AskEdns::of(&edns) });
    check_bare(packet, 12, Rcode::BADCOOKIE, edns);
}

fn check_fault(packet: &[u8], fault: Fault<'_>) {
    let Fault::Answer { rcode, echo, edns, .. } = fault else { return };
    assert!(matches!(rcode.0, 1 | 4 | 5 | 16), "{rcode}");
    check_bare(packet, echo, rcode, edns.as_ref().map(AskEdns::of));
}

fn check_bare(packet: &[u8], echo: usize, rcode: Rcode, edns: Option<AskEdns>) {
    let ede = Ede::new(21, "x".repeat(200));
    let mut out = [0xee; 512];
    let answer = Bare { echo, rcode, truncated: false, edns, note: Some(&ede) };
    let len = respond::bare(packet, answer, &[b'n'; 255], &mut out);
    assert!((12..=512).contains(&len));
    let left = naive::parse(&out[..len]).expect("a fault is answered with a sound message");
    assert_eq!(&out[..2], &packet[..2]);
    assert_eq!(left.flags & 0x80, 0x80);
    assert_eq!(left.flags & 0x0f, rcode.0 & 0x0f);
    assert_eq!(left.flags & 0x7800, u16::from(packet[2] & 0x78) << 8, "the opcode comes back");
    assert_eq!(left.records.len(), usize::from(edns.is_some()));
    if let [opt] = &left.records[..] {
        assert_eq!((opt.ttl >> 24) as u16, rcode.0 >> 4);
    }
    assert_eq!(left.question, &packet[12..echo]);
    assert!(Hickory::from_vec(&out[..len]).is_ok());
}
