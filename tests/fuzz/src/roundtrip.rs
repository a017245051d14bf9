//! What hickory-proto can read and write again, the daemon must read too, and alike; and what it has
//! taken through the cache, hickory-proto must read as what it wrote.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, Record};
use horizond::accept::{Caps, Verdict, judge};
use horizond::answer::{Kind, Question};
use horizond::cache::{Entry, Freshness, Key};
use horizond::respond::{self, Ask, AskEdns, Ttl};
use horizond::time::Tick;
use horizond::wire::query::{Fault, Query};
use horizond::wire::records::names_in;

use super::{accept, believed, naive, query};

/// Checks one message as hickory-proto writes it: as a query, and as an answer.
pub fn check(data: &[u8]) {
    let Ok(message) = Message::from_vec(data) else { return };
    let Ok(wire) = message.to_vec() else { return };
    // What hickory-proto writes it does not always read: then it proves nothing.
    let Ok(again) = Message::from_vec(&wire) else { return };
    query::check(&wire);
    let one = again.queries.len() == 1;
    match again.metadata.message_type {
        MessageType::Query if one && again.metadata.op_code == OpCode::Query => {
            check_query(&wire, &again)
        }
        MessageType::Query => assert!(Query::parse(&wire).is_err()),
        MessageType::Response => {
            check_response(&wire);
            check_through_the_cache(again);
        }
    }
}

fn check_query(wire: &[u8], message: &Message) {
    let asked = &message.queries[0];
    let qtype = u16::from(asked.query_type);
    let special = matches!(qtype, 41 | 249..=254) || !matches!(u16::from(asked.query_class), 1 | 3);
    let version = message.edns.as_ref().map_or(0, |edns| edns.version());
    // A cookie may have a length that none has.
    let options = message.edns.as_ref().map(|edns| edns.options().as_ref());
    let cookie = options.is_some_and(|all| all.iter().any(|(code, _)| u16::from(*code) == 10));
    match Query::parse(wire) {
        Ok(_) => assert!(!special && version == 0),
        Err(Fault::Answer { .. }) => {
            assert!(special || version > 0 || cookie, "a sound query is refused");
        }
        Err(fault) => panic!("{fault:?}"),
    }
}

fn check_response(wire: &[u8]) {
    assert!(naive::parse(wire).is_some() || wire[4..6] != [0, 1]);
    let parameters = [0x3f, 9, 1, 0, 1, 0x10, 0, 60];
    accept::check(&[&parameters[..], wire].concat());
}

/// The longest TTL of the route, in seconds.
const MAX_TTL: u32 = 86_400;
/// How old the answer is when it is used, in seconds.
const AGE: u32 = 9;

/// From hickory-proto through accept, the cache and respond to hickory-proto.
fn check_through_the_cache(mut message: Message) {
    let [asked] = &mut message.queries[..] else { return };
    // Upstreams are asked in lower case.
    asked.name = asked.name.to_lowercase();
    let Ok(wire) = message.to_vec() else { return };
    let Ok(came) = Message::from_vec(&wire) else { return };
    let Some((name, qtype, qclass)) = accept::question_of(&wire) else { return };
    let question = Question { name: &name, qtype, qclass };
    let caps = Caps { max_ttl: MAX_TTL, max_negative_ttl: MAX_TTL };
    let answer = match judge(accept::asked(question), &wire, &accept::rules(caps)) {
        Verdict::Accepted(accepted) => accepted.answer,
        Verdict::Truncated(Some(accepted)) => accepted.answer,
        verdict => return assert!(!is_plain_answer(&came), "{verdict:?}"),
    };
    let key = Key::of(&name, qtype, true, false);
    let life = (Duration::from_secs(60), Duration::ZERO);
    let entry = Entry::new(key.as_bytes(), &answer, 0, Tick(5), life);
    let now = Tick(5) + Duration::from_secs(AGE.into());
    assert_eq!(entry.freshness(now), Freshness::Fresh(AGE));
    let edns = Some(AskEdns { dnssec_ok: true, ..AskEdns::default() });
    let ask = Ask { id: 77, flags: 0x0100, name: &name, edns, room: u16::MAX };
    let mut out = vec![0; usize::from(u16::MAX)];
    let len = respond::answer(entry.view(), &ask, Ttl::Elapsed(AGE), None, b"", &mut out);
    let left = Message::from_vec(&out[..len]).expect("hickory-proto reads what it wrote");
    // There is always room, but beside 64 KiB of records there is none for an OPT.
    if wire.len() < 65_000 {
        check_same(&wire, &came, &left, answer.kind);
    }
}

fn check_same(wire: &[u8], came: &Message, left: &Message, kind: Kind) {
    assert_eq!((left.metadata.id, &left.queries), (77, &came.queries));
    assert_eq!(left.metadata.truncation, came.metadata.truncation);
    assert_eq!(left.metadata.response_code.low(), came.metadata.response_code.low());
    let sections = [
        (&came.answers, &left.answers),
        (&came.authorities, &left.authorities),
        (&came.additionals, &left.additionals),
    ];
    let plain = naive::parse(wire).expect("only what is sound is accepted");
    let passed_on = believed::passed_on(&plain);
    // The TTLs of a negative answer are cut to what its SOA says.
    let ttl_known = kind != Kind::Negative;
    for (section, (came, left)) in sections.into_iter().enumerate() {
        let hop = |rtype: u16| matches!(rtype, 41 | 250);
        let theirs = plain.records.iter().zip(&passed_on);
        let theirs = theirs.filter(|(rr, _)| rr.section == section && !hop(rr.rtype));
        let came = came.iter().filter(|record| !hop(record.record_type().into()));
        let kept = came.zip(theirs).filter(|(_, (_, passed_on))| **passed_on);
        let kept: Vec<&Record> = kept.map(|(record, _)| record).collect();
        assert_eq!(kept.len(), left.len());
        kept.into_iter().zip(left).for_each(|(came, left)| same(came, left, ttl_known));
    }
}

/// The same record; `ttl_known`: with no other cap than the route's.
fn same(came: &Record, left: &Record, ttl_known: bool) {
    assert_eq!((&came.name, came.dns_class), (&left.name, left.dns_class));
    // A name in the RDATA of a DNAME, bytes to hickory-proto, is written out where it moves.
    if !is_opaque(came) {
        assert_eq!(came.data, left.data);
    }
    let sane = if came.ttl >> 31 == 1 { 0 } else { came.ttl };
    let due = sane.min(MAX_TTL).saturating_sub(AGE);
    assert!(if ttl_known { left.ttl == due } else { left.ttl <= due });
}

/// Whether hickory-proto does not know the names in its RDATA.
fn is_opaque(record: &Record) -> bool {
    matches!(record.data, RData::Unknown { code, .. } if names_in(code.into()).is_some())
}

/// One that nobody may turn away: NOERROR, and its first record is what was asked for.
fn is_plain_answer(message: &Message) -> bool {
    let (asked, head) = (&message.queries[0], &message.metadata);
    // Without RDATA it is no record of its type, and what is opaque may be no name.
    let sound = |record: &Record| !matches!(record.data, RData::Update0(_)) && !is_opaque(record);
    let records = [&message.answers, &message.authorities, &message.additionals];
    head.op_code == OpCode::Query
        && head.response_code == ResponseCode::NoError
        && !head.truncation
        && message.answers.first().is_some_and(|first| {
            first.name == asked.name
                && first.record_type() == asked.query_type
                && first.dns_class == asked.query_class
        })
        && records.into_iter().flatten().all(sound)
}
