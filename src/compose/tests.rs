#![allow(clippy::unwrap_used)]
//! Answers small enough to be written down, by the clause that each is about.

use hickory_proto::op::Message;

use super::*;
use crate::answer::Section;
use crate::wire::header::Rcode;
use crate::wire::name::Presentation;
use crate::wire::records::NameBuf;

/// A record: section, owner, type, TTL, RDATA.
type Rr<'a> = (Section, &'a str, u16, u32, Vec<u8>);

const AN: Section = Section::Answer;
const AU: Section = Section::Authority;
const AD: Section = Section::Additional;

fn name(text: &str) -> Vec<u8> {
    // Case is kept, as upstreams keep it.
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

fn question(name: &[u8], qtype: u16) -> Question<'_> {
    Question { name, qtype, qclass: 1 }
}

fn soa(zone: &str) -> Vec<u8> {
    [name(zone), name("."), [0; 20].to_vec()].concat()
}

/// RRSIG RDATA that covers a type; what follows is not looked at.
fn rrsig(covered: u16) -> Vec<u8> {
    [&covered.to_be_bytes()[..], &[8; 16], &name("signer"), b"sig"].concat()
}

fn made(qname: &str, qtype: u16, rcode: Rcode, flags: u16, records: &[Rr<'_>]) -> Answer {
    let qname = name(qname);
    let mut writer = Writer::new(question(&qname, qtype), rcode, flags);
    for (section, owner, rtype, ttl, rdata) in records {
        assert!(writer.record(*section, &name(owner), (*rtype, 1, *ttl), &[rdata]));
    }
    let positive = records.iter().any(|r| r.0 == AN && r.2 == qtype);
    writer.kind = match rcode {
        Rcode::NOERROR if positive => Kind::Positive,
        Rcode::NOERROR | Rcode::NXDOMAIN => Kind::Negative,
        _ => Kind::Failure,
    };
    writer.finish()
}

/// `SECTION OWNER TTL TYPE` of each record, and the target of aliases.
fn shown(answer: &Answer) -> Vec<String> {
    Message::from_vec(answer.wire()).unwrap();
    let [_, counts @ ..] = answer.header().counts;
    let mut walk = Records::new(answer.wire(), answer.question_end(), counts);
    let offsets: Vec<usize> = answer.view().ttls().collect();
    let mut lines = vec![];
    for (record, offset) in walk.by_ref().zip(&offsets) {
        let record = record.unwrap();
        assert_eq!(record.ttl_at, *offset);
        let owner = NameBuf::expand(answer.wire(), record.start).unwrap();
        let target = match record.rtype {
            rtype::CNAME => {
                let target = NameBuf::expand(answer.wire(), record.rdata.start).unwrap();
                format!(" {}", Presentation(target.as_wire()))
            }
            _ => String::new(),
        };
        let owner = Presentation(owner.as_wire());
        lines.push(format!("{} {owner} {} {}{target}", record.section, record.ttl, record.rtype));
    }
    assert_eq!(lines.len(), offsets.len());
    assert_eq!(walk.position(), answer.wire().len());
    lines
}

fn part(answer: &Answer, ttl: Ttl) -> Part<'_> {
    Part { ttl, ..Part::of(answer) }
}

#[test]
fn an_external_name_into_the_tailnet_byte_for_byte() {
    let service = made(
        "db.ns.svc",
        rtype::A,
        Rcode::NOERROR,
        0,
        &[(AN, "db.ns.svc", rtype::CNAME, 30, name("db.c.test"))],
    );
    let host = made(
        "db.c.test",
        rtype::A,
        Rcode::NOERROR,
        flag::AA,
        &[
            (AN, "db.c.test", rtype::A, 600, vec![100, 64, 0, 9]),
            (AN, "db.c.test", rtype::A, 600, vec![100, 64, 0, 8]),
        ],
    );
    let asked = name("db.ns.svc");
    let parts = [part(&service, Ttl::Elapsed(10)), part(&host, Ttl::Elapsed(100))];
    let whole = compose(question(&asked, rtype::A), &parts, false, None).unwrap();
    let expected = [
        &b"\0\0\x80\x80\0\x01\0\x03\0\0\0\0"[..],
        b"\x02db\x02ns\x03svc\0\0\x01\0\x01",
        // The alias, its owner a pointer to the question.
        b"\xc0\x0c\0\x05\0\x01\0\0\0\x14\0\x0b\x02db\x01c\x04test\0",
        // The addresses, their owners pointers to the alias's target.
        b"\xc0\x27\0\x01\0\x01\0\0\x01\xf4\0\x04\x64\x40\0\x09",
        b"\xc0\x27\0\x01\0\x01\0\0\x01\xf4\0\x04\x64\x40\0\x08",
    ]
    .concat();
    assert_eq!(whole.wire(), expected);
    assert_eq!(whole.kind, Kind::Positive);
    assert!(!whole.onward);
    shown(&whole);
}

#[test]
fn rfc_6604_3_the_code_is_that_of_the_end_of_the_chain() {
    let first = made(
        "a.x",
        rtype::A,
        Rcode::NOERROR,
        0,
        &[
            (AN, "a.x", rtype::CNAME, 30, name("b.y")),
            (AU, "x", rtype::SOA, 30, soa("x")),
            (AD, "ns.x", rtype::A, 30, vec![1; 4]),
        ],
    );
    let end = made("b.y", rtype::A, Rcode::NXDOMAIN, 0, &[(AU, "y", rtype::SOA, 60, soa("y"))]);
    let asked = name("a.x");
    let parts = [Part::of(&first), part(&end, Ttl::Fixed(30))];
    let whole = compose(question(&asked, rtype::A), &parts, false, None).unwrap();
    assert_eq!((whole.rcode(), whole.kind), (Rcode::NXDOMAIN, Kind::Negative));
    // RFC 2308, 2.1: the SOA is that of the zone of the last name.
    assert_eq!(shown(&whole), ["0 a.x. 30 5 b.y.", "1 y. 30 6"]);
}

#[test]
fn the_failure_of_the_last_part_is_that_of_the_whole_with_its_reason() {
    let first =
        made("a.x", rtype::A, Rcode::NOERROR, 0, &[(AN, "a.x", rtype::CNAME, 9, name("b.y"))]);
    let asked = name("b.y");
    let end = Answer::failure(question(&asked, 1), Rcode::SERVFAIL, Ede::new(22, "tailnet"));
    let client = name("a.x");
    let whole =
        compose(question(&client, 1), &[Part::of(&first), Part::of(&end)], false, None).unwrap();
    assert_eq!((whole.rcode(), whole.kind), (Rcode::SERVFAIL, Kind::Failure));
    assert_eq!(whole.ede(), Some(&Ede::new(22, "tailnet")));
    assert_eq!(shown(&whole), ["0 a.x. 9 5 b.y."]);
    // The last one that says something wins; one before it is better than none.
    let whole =
        compose(question(&client, 1), &[Part::of(&end), Part::of(&first)], false, None).unwrap();
    assert_eq!(whole.ede(), Some(&Ede::new(22, "tailnet")));
}

#[test]
fn ad_takes_all_tc_takes_one_aa_is_never() {
    let asked = name("a.x");
    let with = |flags| made("a.x", 1, Rcode::NOERROR, flags, &[(AN, "a.x", 1, 9, vec![1; 4])]);
    let (all, plain, cut) = (with(flag::AD | flag::AA), with(flag::AA), with(flag::AD | flag::TC));
    for (parts, expected) in [
        (vec![&all], flag::AD),
        (vec![&all, &all], flag::AD),
        (vec![&all, &plain], 0),
        (vec![&plain, &all], 0),
        (vec![&cut, &all], flag::AD | flag::TC),
        (vec![&plain, &cut], flag::TC),
    ] {
        let parts: Vec<_> = parts.into_iter().map(Part::of).collect();
        let whole = compose(question(&asked, 1), &parts, false, None).unwrap();
        let flags = whole.header().flags & (flag::AD | flag::TC | flag::AA);
        assert_eq!(flags, expected, "{} parts", parts.len());
    }
}

#[test]
fn rfc_4035_3_1_3_3_proofs_of_earlier_parts_come_with_do() {
    let first = made(
        "a.x",
        1,
        Rcode::NOERROR,
        0,
        &[
            (AN, "a.x", rtype::CNAME, 30, name("b.y")),
            (AN, "a.x", rtype::RRSIG, 30, rrsig(rtype::CNAME)),
            (AU, "n.x", rtype::NSEC, 30, name("z.x")),
            (AU, "n.x", rtype::RRSIG, 30, rrsig(rtype::NSEC)),
            (AU, "x", rtype::NS, 30, name("ns.x")),
            (AU, "x", rtype::RRSIG, 30, rrsig(rtype::NS)),
            (AD, "ns.x", rtype::A, 30, vec![1; 4]),
        ],
    );
    let end = made(
        "b.y",
        1,
        Rcode::NOERROR,
        0,
        &[
            (AN, "b.y", 1, 30, vec![2; 4]),
            (AU, "y", rtype::NS, 30, name("ns.y")),
            (AD, "ns.y", 1, 30, vec![3; 4]),
        ],
    );
    let asked = name("a.x");
    let parts = [Part::of(&first), Part::of(&end)];
    let common = ["0 a.x. 30 5 b.y.", "0 a.x. 30 46", "0 b.y. 30 1"];
    let proofs = ["1 n.x. 30 47", "1 n.x. 30 46"];
    let last = ["1 y. 30 2", "2 ns.y. 30 1"];
    let plain = compose(question(&asked, 1), &parts, false, None).unwrap();
    assert_eq!(shown(&plain), [&common[..], &last].concat());
    let secure = compose(question(&asked, 1), &parts, true, None).unwrap();
    assert_eq!(shown(&secure), [&common[..], &proofs, &last].concat());
}

#[test]
fn a_record_that_two_parts_hold_comes_once() {
    let first = made(
        "a.x",
        1,
        Rcode::NOERROR,
        0,
        &[(AN, "a.x", rtype::CNAME, 30, name("b.x")), (AN, "b.x", rtype::CNAME, 30, name("c.y"))],
    );
    let end = made(
        "b.x",
        1,
        Rcode::NOERROR,
        0,
        &[
            (AN, "B.x", rtype::CNAME, 20, name("C.Y")),
            (AN, "c.y", 1, 20, vec![1; 4]),
            // Twice in one part is that upstream's affair.
            (AN, "c.y", 1, 20, vec![1; 4]),
        ],
    );
    let asked = name("a.x");
    let whole =
        compose(question(&asked, 1), &[Part::of(&first), Part::of(&end)], false, None).unwrap();
    let expected = ["0 a.x. 30 5 b.x.", "0 b.x. 30 5 c.y.", "0 c.y. 20 1", "0 c.y. 20 1"];
    assert_eq!(shown(&whole), expected);
}

#[test]
fn rfc_3597_4_what_is_not_known_is_copied_byte_for_byte() {
    let odd = b"\xc0\x0c\0\xff\xc0\x00".to_vec();
    let first = made(
        "a.x",
        65_300,
        Rcode::NOERROR,
        0,
        &[(AN, "A.x", rtype::CNAME, 5, name("Very.Long.Target"))],
    );
    let end = made(
        "very.long.target",
        65_300,
        Rcode::NOERROR,
        0,
        &[
            (AN, "very.long.target", 65_300, 5, odd.clone()),
            (AN, "very.long.target", 65_300, 5, vec![]),
        ],
    );
    let asked = name("a.x");
    let whole = compose(question(&asked, 65_300), &[Part::of(&first), Part::of(&end)], false, None)
        .unwrap();
    assert!(whole.wire().windows(odd.len()).any(|w| w == odd));
    // Names keep their case.
    assert!(whole.wire().windows(18).any(|w| w == name("Very.Long.Target")));
    assert_eq!(whole.header().counts, [1, 3, 0, 0]);
    assert_eq!(&whole.wire()[whole.wire().len() - 2..], [0, 0]);
}

#[test]
fn rewritten_names_go_back_everywhere_and_the_chain_holds() {
    let first = made(
        "web.new",
        rtype::SRV,
        Rcode::NOERROR,
        flag::AD,
        &[
            (AN, "web.new", rtype::CNAME, 5, name("srv.new")),
            (AN, "srv.new", rtype::SRV, 5, [&[0; 6][..], &name("Host.new")].concat()),
            (AN, "srv.new", rtype::TXT, 5, name("srv.new")),
            (AD, "host.new", 1, 5, vec![1; 4]),
        ],
    );
    let back = |folded: &[u8]| {
        let front = folded.strip_suffix(b"\x03new\0")?;
        Name::from_wire(&[front, b"\x03old\x07example\0"].concat())
    };
    let asked = name("web.old.example");
    let whole =
        compose(question(&asked, rtype::SRV), &[Part::of(&first)], false, Some(&back)).unwrap();
    assert_eq!(
        shown(&whole),
        [
            "0 web.old.example. 5 5 srv.old.example.",
            "0 srv.old.example. 5 33",
            "0 srv.old.example. 5 16",
            "2 host.old.example. 5 1",
        ]
    );
    assert!(whole.wire().windows(9).any(|w| w == name("srv.new")), "TXT is opaque");
    assert!(!whole.header().has(flag::AD), "no signature covers the new names");
    let target = target(whole.view()).unwrap();
    assert_eq!(target.as_wire(), name("srv.old.example"));
    let same = |_: &[u8]| None;
    let whole =
        compose(question(&asked, rtype::SRV), &[Part::of(&first)], false, Some(&same)).unwrap();
    assert!(whole.header().has(flag::AD));
}

#[test]
fn rfc_2181_9_what_does_not_fit_goes_with_tc_but_additional_records() {
    let big = |section, ttl| -> Vec<Rr<'static>> {
        let text = |i: u8| [&[199][..], &[i; 199]].concat();
        (0..200u8).map(|i| (section, "b.y", rtype::TXT, ttl, text(i))).collect()
    };
    let first = made("a.x", rtype::TXT, Rcode::NOERROR, 0, &big(AN, 1));
    let (end, extra) = (
        made("b.y", rtype::TXT, Rcode::NOERROR, 0, &big(AN, 2)),
        made("b.y", rtype::TXT, Rcode::NOERROR, 0, &big(AD, 2)),
    );
    let asked = name("a.x");
    for (end, cut) in [(&end, true), (&extra, false)] {
        let parts = [Part::of(&first), Part::of(end)];
        let whole = compose(question(&asked, rtype::TXT), &parts, false, None).unwrap();
        assert_eq!(whole.header().has(flag::TC), cut);
        let lines = shown(&whole);
        assert!((250..400).contains(&lines.len()), "{} records", lines.len());
        assert!(whole.wire().len() > 65_300);
    }
}

#[test]
fn what_does_not_parse_is_not_composed() {
    let good = made("a.x", 1, Rcode::NOERROR, 0, &[(AN, "a.x", 1, 5, vec![1; 4])]);
    let asked = name("a.x");
    assert!(compose(question(&asked, 1), &[], false, None).is_none());
    let view = good.view();
    for cut in 0..view.wire.len() {
        let part = Part { view: View { wire: &view.wire[..cut], ..view }, ..Part::of(&good) };
        let parts = [Part::of(&good), part];
        assert!(compose(question(&asked, 1), &parts, false, None).is_none(), "{cut}");
    }
}

#[test]
fn rfc_1034_3_6_2_where_aliases_lead() {
    let long = |links: usize| -> Vec<(String, String)> {
        (0..links).map(|i| (format!("n{i}"), format!("n{}", i + 1))).collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    for (qtype, links, expected) in [
        (1, pairs(&[]), None),
        (1, pairs(&[("n0", "X.y")]), Some("x.y")),
        (1, pairs(&[("N0", "a"), ("A", "b")]), Some("b")),
        (1, pairs(&[("b", "c"), ("a", "b"), ("n0", "a")]), Some("c")),
        (1, pairs(&[("other", "a")]), None),
        (1, pairs(&[("n0", "n0")]), None),
        (1, pairs(&[("n0", "a"), ("a", "n0")]), None),
        (rtype::CNAME, pairs(&[("n0", "a")]), None),
        (rtype::ANY, pairs(&[("n0", "a")]), None),
        (1, long(16), Some("n16")),
        (1, long(17), None),
        (1, long(200), None),
    ] {
        let records: Vec<Rr<'_>> =
            links.iter().map(|(a, b)| (AN, a.as_str(), rtype::CNAME, 5, name(b))).collect();
        let answer = made("n0", qtype, Rcode::NOERROR, 0, &records);
        let found = target(answer.view()).map(|name| name.as_wire().to_vec());
        assert_eq!(found, expected.map(name), "{links:?}");
    }
}

#[test]
fn rfc_6672_3_1_a_dname_counts_by_its_alias_and_is_carried_along() {
    let first = made(
        "a.old.x",
        1,
        Rcode::NOERROR,
        0,
        &[
            (AN, "old.x", rtype::DNAME, 5, name("new.y")),
            (AN, "a.old.x", rtype::CNAME, 5, name("a.new.y")),
        ],
    );
    assert_eq!(target(first.view()).unwrap().as_wire(), name("a.new.y"));
    let end = made("a.new.y", 1, Rcode::NOERROR, 0, &[(AN, "a.new.y", 1, 5, vec![1; 4])]);
    let asked = name("a.old.x");
    let parts = [Part::of(&first), Part::of(&end)];
    let whole = compose(question(&asked, 1), &parts, false, None).unwrap();
    assert_eq!(shown(&whole), ["0 old.x. 5 39", "0 a.old.x. 5 5 a.new.y.", "0 a.new.y. 5 1"]);
}

#[test]
fn rfc_8020_2_nothing_lies_below_what_does_not_exist() {
    let denied = made(
        "no.x",
        1,
        Rcode::NXDOMAIN,
        flag::AD,
        &[
            (AU, "x", rtype::SOA, 60, soa("x")),
            (AU, "x", rtype::RRSIG, 60, rrsig(rtype::SOA)),
            (AU, "n.x", rtype::NSEC, 60, name("o.x")),
            (AU, "x", rtype::NS, 60, name("ns.x")),
            (AD, "ns.x", 1, 60, vec![1; 4]),
        ],
    );
    let below = name("a.b.no.x");
    let made_one = denied_below(denied.view(), question(&below, 28)).unwrap();
    assert_eq!((made_one.rcode(), made_one.kind), (Rcode::NXDOMAIN, Kind::Negative));
    assert!(made_one.header().has(flag::AD));
    assert_eq!(shown(&made_one), ["1 x. 60 6", "1 x. 60 46", "1 n.x. 60 47"]);
    let read = Message::from_vec(made_one.wire()).unwrap();
    assert_eq!(read.queries[0].name().to_string(), "a.b.no.x.");
}

#[test]
fn denied_below_byte_for_byte() {
    let denied = made("no", 1, Rcode::NXDOMAIN, 0, &[(AU, "", rtype::SOA, 60, soa("."))]);
    let below = name("a.no");
    let made_one = denied_below(denied.view(), question(&below, 28)).unwrap();
    let expected = [
        &b"\0\0\x80\x83\0\x01\0\0\0\x01\0\0\x01a\x02no\0\0\x1c\0\x01"[..],
        b"\0\0\x06\0\x01\0\0\0\x3c\0\x16\0\0",
        &[0; 20],
    ];
    assert_eq!(made_one.wire(), expected.concat());
}

#[test]
fn what_denies_nothing_below() {
    let soa_of = |zone| (AU, "x", rtype::SOA, 60, soa(zone));
    let good = made("no.x", 1, Rcode::NXDOMAIN, 0, &[soa_of("x")]);
    let alias = (AN, "no.x", rtype::CNAME, 5, name("gone.y"));
    let below = name("a.no.x");
    assert!(denied_below(good.view(), question(&below, 1)).is_some());
    for (answer, asked) in [
        (made("no.x", 1, Rcode::NXDOMAIN, 0, &[soa_of("x")]), "no.x"),
        (made("no.x", 1, Rcode::NXDOMAIN, 0, &[soa_of("x")]), "ano.x"),
        (made("no.x", 1, Rcode::NXDOMAIN, 0, &[soa_of("x")]), "x"),
        (made("no.x", 1, Rcode::NXDOMAIN, 0, &[]), "a.no.x"),
        (made("no.x", 1, Rcode::NXDOMAIN, 0, &[alias, soa_of("y")]), "a.no.x"),
        (made("no.x", 1, Rcode::NXDOMAIN, flag::TC, &[soa_of("x")]), "a.no.x"),
        (made("no.x", 1, Rcode::NOERROR, 0, &[soa_of("x")]), "a.no.x"),
        (made("no.x", 1, Rcode::SERVFAIL, 0, &[soa_of("x")]), "a.no.x"),
    ] {
        let asked = name(asked);
        assert_eq!(denied_below(answer.view(), question(&asked, 1)), None);
    }
    let chaos = Question { qclass: 3, ..question(&below, 1) };
    assert_eq!(denied_below(good.view(), chaos), None);
}
