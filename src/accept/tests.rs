#![allow(clippy::unwrap_used)]
use super::*;
use crate::respond::{Ask, Ttl};
use crate::wire::records::{NameBuf, Records};

mod borders;
mod hostile;
mod made;
mod rebinding;

const NAME: &[u8] = b"\x01a\x07example\0";
const CAPS: Caps = Caps { max_ttl: 1000, max_negative_ttl: 5 };

/// Three horizons: the public route 0, whose are all names but those under `in` and `no`, the private
/// route 1, whose are those under `in`, and nobody's.
pub(super) struct Three;

impl Horizons for Three {
    fn owns(&self, route: u16, name: &[u8]) -> bool {
        self.crossing(route, name) == Crossing::Inside
    }

    fn crossing(&self, route: u16, target: &[u8]) -> Crossing {
        match (route, target.ends_with(b"\x02in\0"), target.ends_with(b"\x02no\0")) {
            (0, false, false) | (1, true, _) => Crossing::Inside,
            (1, false, false) => Crossing::Follow,
            _ => Crossing::Bar(Ede::new(17, "no")),
        }
    }
}

fn asked(qtype: u16) -> Asked<'static> {
    let question = Question { name: NAME, qtype, qclass: 1 };
    Asked { question, edns: true, spelling: Spelling::FOLDED, exact: true }
}

fn rules(route: u16) -> Rules<'static> {
    Rules { route, name: "test", caps: CAPS, horizons: &Three, rebinding: None }
}

fn judge(asked: Asked<'_>, message: &[u8]) -> Verdict {
    super::judge(asked, message, &rules(0))
}

/// A response with this rcode and these records (each: section, bytes).
fn response(flags: u16, qtype: u16, records: &[(usize, &[u8])]) -> Vec<u8> {
    let mut counts = [1, 0, 0, 0];
    records.iter().for_each(|(section, _)| counts[section + 1] += 1);
    let mut bytes = Header { id: 7, flags: flag::QR | flags, counts }.to_bytes().to_vec();
    bytes.extend(NAME);
    bytes.extend(qtype.to_be_bytes());
    bytes.extend([0, 1]);
    records.iter().for_each(|(_, record)| bytes.extend(*record));
    bytes
}

const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\0\0\x01";
const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\0\0\0\0";
const SOA: &[u8] =
    b"\0\0\x06\0\x01\0\0\0\x0a\0\x16\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x07";

fn accepted(qtype: u16, message: &[u8]) -> Accepted {
    match judge(asked(qtype), message) {
        Verdict::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_question_must_come_back_bit_for_bit() {
    let good = response(0x0080, 1, &[(0, A)]);
    accepted(1, &good);
    let end = 12 + NAME.len() + 4;
    for at in 12..end {
        let mut other = good.clone();
        // The bit that makes capitals, and another.
        other[at] ^= 0x20;
        let letter = good[at].is_ascii_alphabetic();
        let respelled = if letter { Verdict::Respelled } else { Verdict::NotOurs };
        assert_eq!(judge(asked(1), &other), respelled, "byte {at}");
        let over_tcp = Asked { exact: false, ..asked(1) };
        let judged = judge(over_tcp, &other);
        assert_eq!(judged, if letter { judge(asked(1), &good) } else { Verdict::NotOurs });
        assert_eq!(is_respelled(over_tcp, &other), letter);
        other[at] ^= 0x01;
        assert_eq!(judge(asked(1), &other), Verdict::NotOurs, "byte {at}");
    }
}

#[test]
fn an_answer_loses_its_opt_and_keeps_its_records() {
    let with = accepted(1, &response(0x0480, 1, &[(0, A), (2, OPT)]));
    let without = accepted(1, &response(0x0080, 1, &[(0, A)]));
    assert_eq!(with, without);
    assert_eq!((with.answer.kind, with.lifetime), (Kind::Positive, Some(300)));
    assert_eq!(with.answer.header().counts, [1, 1, 0, 0]);
    assert_eq!(with.answer.header().flags, flag::QR | flag::RA);
}

#[test]
fn records_behind_an_opt_move_and_stay_right() {
    // An MX whose names point at the question and at a record behind the OPT.
    let glue = b"\x02mx\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x02";
    let ns = b"\xc0\x0c\0\x02\0\x01\0\0\0\x09\0\x05\x02ns\xc0\x0c";
    let message = response(0, 1, &[(0, A), (2, OPT), (2, glue), (2, ns)]);
    let answer = accepted(1, &message).answer;
    assert_eq!(answer.header().counts, [1, 1, 0, 2]);
    let records: Vec<_> =
        Records::new(answer.wire(), answer.question_end(), [1, 0, 2]).map(|r| r.unwrap()).collect();
    assert_eq!(records[2].rdata.end, answer.wire().len());
    let owner = NameBuf::expand(answer.wire(), records[1].start).unwrap();
    assert_eq!(owner.as_wire(), b"\x02mx\x01a\x07example\0");
    let target = NameBuf::expand(answer.wire(), records[2].rdata.start).unwrap();
    assert_eq!(target.as_wire(), b"\x02ns\x01a\x07example\0");
    assert_eq!(answer.view().ttls().len(), 3);
}

#[test]
fn lifetimes() {
    let long = b"\xc0\x0c\0\x01\0\x01\0\x01\0\0\0\x04\x0a\0\0\x01";
    let huge = b"\xc0\x0c\0\x01\0\x01\xff\xff\xff\xff\0\x04\x0a\0\0\x01";
    for (flags, records, kind, lifetime) in [
        (0, &[(0usize, A)][..], Kind::Positive, Some(300)),
        (0, &[(0, A), (1, SOA)], Kind::Positive, Some(10)),
        (0, &[(0, long)], Kind::Positive, Some(1000)),
        (0, &[(0, huge)], Kind::Positive, None),
        (3, &[(1, SOA)], Kind::Negative, Some(5)),
        (0, &[(1, SOA)], Kind::Negative, Some(5)),
        (3, &[], Kind::Negative, None),
        (0, &[], Kind::Negative, None),
        (6, &[], Kind::Failure, None),
    ] {
        let got = accepted(1, &response(flags, 1, records));
        assert_eq!((got.answer.kind, got.lifetime), (kind, lifetime), "{flags} {records:?}");
    }
}

#[test]
fn a_negative_answer_shows_no_more_than_its_lifetime() {
    let got = accepted(1, &response(3, 1, &[(1, SOA)]));
    let ask = Ask { id: 1, flags: 0, name: NAME, edns: None, room: 512 };
    let mut out = [0; 512];
    let len = crate::respond::answer(got.answer.view(), &ask, Ttl::Elapsed(2), None, b"", &mut out);
    let soa = Records::new(&out[..len], got.answer.question_end(), [0, 1, 0]).next();
    assert_eq!(soa.unwrap().unwrap().ttl, 3);
}

#[test]
fn chains() {
    let cname = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x04\x01b\xc0\x0e";
    let target = b"\x01b\xc0\x0e\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01";
    let stray = b"\x01z\xc0\x0e\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01";
    let full = accepted(1, &response(0, 1, &[(0, target), (0, cname)]));
    assert_eq!(full.answer.kind, Kind::Positive);
    // A server that does not recurse leaves the rest to whoever asks; one that does has found nothing.
    let mut half = response(0, 1, &[(0, cname)]);
    let begun = accepted(1, &half);
    assert_eq!((begun.answer.kind, begun.lifetime), (Kind::Positive, Some(5)));
    assert!(begun.answer.onward);
    half[3] |= 0x80;
    let ended = accepted(1, &half);
    assert_eq!((ended.answer.kind, ended.lifetime), (Kind::Negative, None));
    assert!(!ended.answer.onward);
    assert!(matches!(judge(asked(1), &response(0, 1, &[(0, stray)])), Verdict::Failed(_)));
    let loops = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x0c";
    assert!(matches!(judge(asked(1), &response(0, 1, &[(0, loops)])), Verdict::Failed(_)));
}

#[test]
fn what_is_no_answer() {
    let good = response(0, 1, &[(0, A)]);
    let judged = |message: &[u8]| judge(asked(1), message);
    assert_eq!(judged(&good[..11]), Verdict::NotOurs);
    assert_eq!(judge(asked(28), &good), Verdict::NotOurs);
    let mut other = good.clone();
    other[13] = b'b';
    assert_eq!(judged(&other), Verdict::NotOurs);
    let mut query = good.clone();
    query[2] &= 0x7f;
    assert_eq!(judged(&query), Verdict::NotOurs);
    for cut in 27..good.len() {
        assert_eq!(judged(&good[..cut]), Verdict::Malformed, "{cut}");
    }
    assert_eq!(judged(&[&good[..], b"x"].concat()), Verdict::Malformed);
    let two_opts = response(0, 1, &[(0, A), (2, OPT), (2, OPT)]);
    assert_eq!(judged(&two_opts), Verdict::Malformed);
    let servfail = Verdict::Failed(Failed { rcode: Rcode::SERVFAIL, ede: None });
    assert_eq!(judged(&response(2, 1, &[])), servfail);
    assert_eq!(judged(&response(1, 1, &[])), Verdict::NoEdns(Rcode::FORMERR));
    assert_eq!(judged(&response(4, 1, &[])), Verdict::NoEdns(Rcode::NOTIMP));
    let bare = Header { id: 7, flags: flag::QR | 1, counts: [0; 4] }.to_bytes();
    assert_eq!(judged(&bare), Verdict::NoEdns(Rcode::FORMERR));
}

#[test]
fn a_truncated_answer_is_kept_in_case_tcp_fails() {
    let message = response(flag::TC, 1, &[(0, A)]);
    let Verdict::Truncated(Some(kept)) = judge(asked(1), &message) else { panic!() };
    assert!(kept.answer.header().has(flag::TC));
    assert_eq!(kept.lifetime, None);
    assert_eq!(judge(asked(1), &message[..30]), Verdict::Truncated(None));
}

#[test]
fn the_upstreams_reason_is_read() {
    let opt = b"\0\0\x29\x10\0\0\0\0\0\0\x0a\0\x0f\0\x06\0\x09why?";
    let got = judge(asked(1), &response(2, 1, &[(2, opt)]));
    let ede = Some(Ede::new(9, "why?"));
    assert_eq!(got, Verdict::Failed(Failed { rcode: Rcode::SERVFAIL, ede }));
}

#[test]
fn records_of_another_class_are_copied_as_carefully() {
    // Behind an OPT, an MX of class CH without any RDATA, and one whose name runs past its end.
    for bad in [&b"\0\0\x0f\0\x03\0\0\0\x01\0\0"[..], b"\0\0\x0f\0\x03\0\0\0\x01\0\x04\0\x01\x05a"]
    {
        let message = response(0, 1, &[(0, A), (2, OPT), (2, bad)]);
        assert_eq!(judge(asked(1), &message), Verdict::Malformed);
    }
    let good = b"\0\0\x0f\0\x03\0\0\0\x01\0\x04\0\x01\xc0\x0c";
    let answer = accepted(1, &response(0, 1, &[(0, A), (2, OPT), (2, good)])).answer;
    assert!(answer.wire().ends_with(b"\0\x01\x01a\x07example\0"));
}

#[test]
fn names_made_of_what_changes_are_malformed() {
    // An owner that is the id, and one that is the TTL of the record before.
    let id = b"\xc0\x00\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\0\0\x01";
    let mut message = response(0, 1, &[(0, A), (2, id)]);
    message[0] = 0;
    assert_eq!(judge(asked(1), &message), Verdict::Malformed);
    let ttl = b"\xc0\x21\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\0\0\x01";
    let message = response(0, 1, &[(0, A), (2, ttl)]);
    assert_eq!(message[0x21..0x25], [0, 0, 1, 0x2c]);
    assert_eq!(judge(asked(1), &message), Verdict::Malformed);
    // So is a name in RDATA; one that leads to a name in RDATA is as good as any.
    let target = b"\xc0\x0c\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x21";
    let message = response(0, 1, &[(0, A), (2, target)]);
    assert_eq!(judge(asked(1), &message), Verdict::Malformed);
    let ns = b"\xc0\x0c\0\x02\0\x01\0\0\0\x05\0\x05\x02ns\xc0\x0c";
    let glue = b"\xc0\x37\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01";
    let message = response(0, 1, &[(0, A), (1, ns), (2, glue)]);
    assert_eq!(message[0x37..0x3a], *b"\x02ns");
    assert!(matches!(judge(asked(1), &message), Verdict::Accepted(_)));
}

#[test]
fn a_tsig_stands_last() {
    let tsig = b"\0\0\xfa\0\xff\0\0\0\0\0\x01x";
    let last = response(0, 1, &[(0, A), (2, tsig)]);
    assert_eq!(accepted(1, &last).answer.header().counts, [1, 1, 0, 0]);
    for records in [&[(0usize, &tsig[..]), (0, A)][..], &[(0, A), (2, tsig), (2, A)]] {
        assert_eq!(judge(asked(1), &response(0, 1, records)), Verdict::Malformed);
    }
}

#[test]
fn only_answers_are_kept_in_case_tcp_fails() {
    // BADVERS: its lower four bits would be NOERROR.
    let badvers = b"\0\0\x29\x10\0\x01\0\0\0\0\0";
    let message = response(flag::TC, 1, &[(0, A), (2, badvers)]);
    assert_eq!(judge(asked(1), &message), Verdict::Truncated(None));
    assert_eq!(judge(asked(1), &response(flag::TC | 2, 1, &[])), Verdict::Truncated(None));
}

#[test]
fn a_referral_is_no_answer() {
    let ns = b"\xc0\x0c\0\x02\0\x01\0\0\0\x05\0\x05\x02ns\xc0\x0c";
    let referral = judge(asked(1), &response(0, 1, &[(1, ns)]));
    assert_eq!(referral, Verdict::Failed(Failed { rcode: Rcode::NOERROR, ede: None }));
    for good in [response(flag::AA, 1, &[(1, ns)]), response(0, 1, &[(1, ns), (1, SOA)])] {
        assert_eq!(accepted(1, &good).answer.kind, Kind::Negative);
    }
}
