#![allow(clippy::unwrap_used)]
use super::*;
use crate::answer::Answer;
use crate::answer::{Question, Section, Writer};
use crate::wire::edns::Edns;
use crate::wire::records::Records;

const NAME: &[u8] = b"\x01a\x07example\0";

fn stored(records: u8, flags: u16) -> Answer {
    let mut writer =
        Writer::new(Question { name: NAME, qtype: 1, qclass: 1 }, Rcode::NOERROR, flags);
    for i in 0..records {
        writer.record(Section::Answer, b"\xc0\x0c", (1, 1, 300), &[&[10, 0, 0, i]]);
    }
    writer.finish()
}

fn ask(flags: u16, edns: Option<AskEdns>, room: u16) -> Ask<'static> {
    Ask { id: 0x1234, flags, name: b"\x01A\x07eXAMPLE\0", edns, room }
}

const PLAIN: AskEdns = AskEdns { dnssec_ok: false, nsid: false, keepalive: None, cookie: None };
const EDNS: Option<AskEdns> = Some(PLAIN);

fn send(stored: &Answer, ask: &Ask<'_>, ttl: Ttl) -> Vec<u8> {
    let mut out = [0xee; 1232];
    let len = answer(stored.view(), ask, ttl, None, b"node", &mut out);
    out[..len].to_vec()
}

fn ttls(message: &[u8]) -> Vec<u32> {
    let head = Header::read(message).unwrap();
    let [_, sections @ ..] = head.counts;
    Records::new(message, 27, sections)
        .map(|r| r.unwrap())
        .filter(|r| r.rtype != 41)
        .map(|r| r.ttl)
        .collect()
}

#[test]
fn id_case_and_flags_are_the_clients() {
    let message = send(&stored(1, flag::AD), &ask(flag::RD | flag::CD, None, 512), Ttl::Elapsed(0));
    let head = Header::read(&message).unwrap();
    assert_eq!(head.id, 0x1234);
    assert_eq!(head.flags, flag::QR | flag::RA | flag::RD | flag::CD);
    assert_eq!(&message[12..23], b"\x01A\x07eXAMPLE\0");
    let message = send(&stored(1, flag::AD), &ask(flag::AD, None, 512), Ttl::Elapsed(0));
    assert_eq!(Header::read(&message).unwrap().flags, flag::QR | flag::RA | flag::AD);
    let dnssec = Some(AskEdns { dnssec_ok: true, ..PLAIN });
    let message = send(&stored(1, flag::AD), &ask(0, dnssec, 512), Ttl::Elapsed(0));
    assert!(Header::read(&message).unwrap().has(flag::AD));
}

#[test]
fn ttls_count_down_and_never_below_zero() {
    let one = stored(2, 0);
    for (ttl, expected) in [
        (Ttl::Elapsed(0), 300),
        (Ttl::Elapsed(17), 283),
        (Ttl::Elapsed(301), 0),
        (Ttl::Fixed(30), 30),
    ] {
        assert_eq!(ttls(&send(&one, &ask(0, EDNS, 512), ttl)), [expected; 2], "{ttl:?}");
    }
}

#[test]
fn opt_only_when_asked() {
    let one = stored(1, 0);
    assert_eq!(send(&one, &ask(0, None, 512), Ttl::Elapsed(0)).len(), one.wire().len());
    let with = send(&one, &ask(0, EDNS, 512), Ttl::Elapsed(0));
    assert_eq!(with.len(), one.wire().len() + OPT_LEN);
    assert_eq!(Header::read(&with).unwrap().counts, [1, 1, 0, 1]);
    let nsid = Some(AskEdns { dnssec_ok: true, nsid: true, ..PLAIN });
    let with = send(&one, &ask(0, nsid, 512), Ttl::Elapsed(0));
    let rdata = &with[one.wire().len() + OPT_LEN..];
    assert_eq!(Edns::read(0, 0, rdata).unwrap().option(code::NSID), Some(&b"node"[..]));
}

#[test]
fn what_does_not_fit_is_cut_at_a_record() {
    let many = stored(100, 0);
    for (room, edns) in [(512, None), (512, EDNS), (1232, EDNS), (700, EDNS)] {
        let message = send(&many, &ask(0, edns, room), Ttl::Elapsed(1));
        let head = Header::read(&message).unwrap();
        let opt = if edns.is_some() { OPT_LEN } else { 0 };
        let fit = (usize::from(room) - opt - 27) / 16;
        assert_eq!(head.counts, [1, fit as u16, 0, u16::from(edns.is_some())]);
        assert!(head.has(flag::TC));
        assert_eq!(message.len(), 27 + 16 * fit + opt);
        assert_eq!(ttls(&message), vec![299; fit]);
    }
}

#[test]
fn additional_records_may_go_without_tc() {
    let mut writer = Writer::new(Question { name: NAME, qtype: 1, qclass: 1 }, Rcode::NOERROR, 0);
    writer.record(Section::Answer, b"\xc0\x0c", (1, 1, 300), &[&[10, 0, 0, 1]]);
    for _ in 0..40 {
        writer.record(Section::Additional, b"\xc0\x0c", (1, 1, 300), &[&[10, 0, 0, 1]]);
    }
    let message = send(&writer.finish(), &ask(0, None, 512), Ttl::Elapsed(0));
    let head = Header::read(&message).unwrap();
    assert!(!head.has(flag::TC));
    assert_eq!(head.counts, [1, 1, 0, 29]);
}

#[test]
fn faults_echo_what_could_be_read() {
    let packet =
        [&[0x12, 0x34, 0x21, 0x10, 0, 1, 0, 0, 0, 0, 0, 0][..], NAME, &[0, 1, 0, 1]].concat();
    let mut out = [0; 128];
    let say = |echo, rcode, edns| Bare { echo, rcode, truncated: false, edns, note: None };
    let whole = packet.len();
    let len = bare(&packet, say(whole, Rcode::NOTIMP, None), b"node", &mut out);
    assert_eq!(len, packet.len());
    assert_eq!(&out[..4], &[0x12, 0x34, 0xa1, 0x94]);
    assert_eq!(&out[12..len], &packet[12..]);
    let len = bare(&packet, say(12, Rcode::FORMERR, None), b"node", &mut out);
    assert_eq!((len, &out[4..12]), (12, &[0u8; 8][..]));
    let len = bare(&packet, say(whole, Rcode::BADVERS, EDNS), b"node", &mut out);
    assert_eq!(len, packet.len() + OPT_LEN);
    assert_eq!(out[packet.len() + 5], 1);
    assert_eq!(out[3] & 0x0f, 0);
    let over = Bare { truncated: true, ..say(whole, Rcode::NOERROR, None) };
    bare(&packet, over, b"node", &mut out);
    assert_eq!(&out[..4], &[0x12, 0x34, 0xa3, 0x90]);
    assert_eq!(bare(&packet, say(whole, Rcode::NOTIMP, None), b"node", &mut [0; 20]), 0);
}

const ALL: AskEdns =
    AskEdns { dnssec_ok: false, nsid: true, keepalive: Some(100), cookie: Some([7; COOKIE_LEN]) };

/// The options of an answer's OPT, which is its last record.
fn options(message: &[u8]) -> Vec<u16> {
    let head = Header::read(message).unwrap();
    let [_, sections @ ..] = head.counts;
    let mut records = Records::new(message, 27, sections);
    let opt = records.by_ref().map(|r| r.unwrap()).last().unwrap();
    assert_eq!((opt.rtype, records.position()), (41, message.len()));
    let edns = Edns::read(opt.class, opt.ttl, &message[opt.rdata]).unwrap();
    edns.options().map(|(code, _)| code).collect()
}

#[test]
fn options_that_must_be_there_have_room_and_others_give_way() {
    let node = [b'n'; 255];
    let note = Ede::new(3, "a reason that is somewhat longer than two bytes");
    let required = OPT_LEN + 6 + 4 + COOKIE_LEN;
    for room in 300..=1232usize {
        let ask = ask(0, Some(ALL), room as u16);
        for records in [0, 10, 28, 29, 30, 100] {
            let stored = stored(records, 0);
            let mut out = [0xee; 1232];
            let len = answer(stored.view(), &ask, Ttl::Elapsed(0), Some(&note), &node, &mut out);
            assert!(len <= room && out[len..].iter().all(|&b| b == 0xee), "{room} {records}");
            let found = options(&out[..len]);
            assert_eq!(found[..2], [code::COOKIE, code::KEEPALIVE], "{room} {records}");
            let fit = ((room - required - 27) / 16).min(records.into());
            let head = Header::read(&out).unwrap();
            assert_eq!(usize::from(head.counts[1]), fit, "{room} {records}");
            assert_eq!(head.has(flag::TC), fit < usize::from(records), "{room} {records}");
            let left = room - required - 27 - 16 * fit;
            assert_eq!(found.contains(&code::NSID), left >= 4 + 255, "{room} {records}");
        }
    }
}
