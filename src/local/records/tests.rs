#![allow(clippy::unwrap_used)]

use super::*;
use crate::wire::name::Name;
use crate::wire::records::Records as Walk;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, rtype: u16, rdata: &[&[u8]]) -> LocalRecord {
    let rdata = rdata.iter().map(|rdata| (*rdata).into()).collect();
    LocalRecord { name: name(owner), rtype, rdata, ttl: Duration::from_secs(300) }
}

const ADDRESS: &[&[u8]] = &[&[10, 0, 0, 1]];

/// Records with an address, but for those that begin with "alias.", which lead to `to.example`.
fn table(owners: &[&str]) -> Records {
    let one = |owner: &&str| match owner.contains("alias.") {
        true => record(owner, rtype::CNAME, &[name("to.example").as_wire()]),
        false => record(owner, rtype::A, ADDRESS),
    };
    Records::new(&owners.iter().map(one).collect::<Vec<_>>())
}

/// What is said of a name: its records, what a wildcard has, empty, or nothing.
fn judge(table: &Records, asked: &str) -> &'static str {
    let asked = name(asked);
    match (table.exact(asked.as_wire()), table.wildcard(asked.as_wire())) {
        (Some(_), _) => "its own",
        (None, Some(Found([]))) => "empty",
        (None, Some(_)) => "wildcard",
        (None, None) => "nothing",
    }
}

#[test]
fn names_around_a_record_are_left_alone() {
    let table = table(&["a.b.lan"]);
    for (asked, expected) in [
        ("a.b.lan", "its own"),
        ("A.B.LAN", "its own"),
        ("b.lan", "nothing"),
        ("lan", "nothing"),
        (".", "nothing"),
        ("x.a.b.lan", "nothing"),
        ("xa.b.lan", "nothing"),
    ] {
        assert_eq!(judge(&table, asked), expected, "{asked}");
    }
    assert!(!table.is_empty() && Records::new(&[]).is_empty());
    assert_eq!(judge(&Records::new(&[]), "a.b.lan"), "nothing");
}

/// The zone of RFC 4592, 2.2.1, as far as it can be written here.
#[test]
fn wildcards_as_the_rfc_has_them() {
    let table = table(&["*.example", "host1.example", "_ssh._tcp.host1.example", "a.sub.example"]);
    for (asked, expected) in [
        ("host3.example", "wildcard"),
        ("foo.bar.example", "wildcard"),
        ("host1.example", "its own"),
        ("_telnet._tcp.host1.example", "nothing"),
        ("_tcp.host1.example", "empty"),
        ("x.host1.example", "nothing"),
        ("sub.example", "empty"),
        ("host.sub.example", "nothing"),
        ("ghost.*.example", "nothing"),
        ("*.example", "its own"),
        ("example", "nothing"),
        ("xexample", "nothing"),
    ] {
        assert_eq!(judge(&table, asked), expected, "{asked}");
    }
}

#[test]
fn the_nearest_wildcard_stands_for_a_name() {
    let table = table(&["*.dev.example", "*.a.b.dev.example", "c.other.example"]);
    for (asked, expected) in [
        ("x.dev.example", "wildcard"),
        ("x.y.a.b.dev.example", "wildcard"),
        ("a.b.dev.example", "empty"),
        ("b.dev.example", "empty"),
        ("x.b.dev.example", "nothing"),
        ("dev.example", "nothing"),
        // No wildcard above: nothing exists here but the record.
        ("other.example", "nothing"),
    ] {
        assert_eq!(judge(&table, asked), expected, "{asked}");
    }
}

#[test]
fn very_long_names_come_to_an_end() {
    let table = table(&["*.dev.example"]);
    let long = format!("{}dev.example", "a.".repeat(121));
    assert_eq!(judge(&table, &long), "wildcard");
    let elsewhere = format!("{}dev.test", "a.".repeat(122));
    assert_eq!(judge(&table, &elsewhere), "nothing");
}

/// Code, counts of the sections, and whether more must be asked for.
fn ask(table: &Records, asked: &str, qtype: u16) -> (Rcode, [u16; 3], bool) {
    let asked = name(asked);
    let found = table.exact(asked.as_wire()).or_else(|| table.wildcard(asked.as_wire())).unwrap();
    let answer = found.answer(Question { name: asked.as_wire(), qtype, qclass: 1 });
    let [questions, sections @ ..] = answer.header().counts;
    assert_eq!(questions, 1);
    assert!(answer.header().has(flag::AA) || qtype == rtype::ANY);
    let mut walk = Walk::new(answer.wire(), answer.question_end(), sections);
    for found in walk.by_ref() {
        let found = found.unwrap();
        assert_eq!(found.class, 1);
        assert!(matches!(
            (found.rtype, found.ttl),
            (rtype::SOA, 60) | (rtype::HINFO, _) | (_, 300)
        ));
    }
    assert_eq!(walk.position(), answer.wire().len());
    (answer.rcode(), sections, answer.onward)
}

#[test]
fn answers() {
    let mut records = vec![
        record("a.lan", rtype::A, &[&[10, 0, 0, 1], &[10, 0, 0, 2]]),
        record("a.lan", rtype::TXT, &[b"\x01x"]),
        record("alias.lan", rtype::CNAME, &[name("a.lan").as_wire()]),
        record("*.lan", rtype::CNAME, &[name("b.example").as_wire()]),
        record("c.d.lan", rtype::A, ADDRESS),
    ];
    records.push(record("many.lan", rtype::TXT, &[[255u8; 256].as_slice(); 61]));
    let table = Records::new(&records);
    let (ok, soa) = (Rcode::NOERROR, [0, 1, 0]);
    for (asked, qtype, expected) in [
        ("a.lan", rtype::A, (ok, [2, 0, 0], false)),
        ("a.lan", rtype::TXT, (ok, [1, 0, 0], false)),
        ("a.lan", rtype::AAAA, (ok, soa, false)),
        ("a.lan", rtype::DS, (ok, soa, false)),
        ("a.lan", rtype::ANY, (ok, [1, 0, 0], false)),
        ("alias.lan", rtype::A, (ok, [1, 0, 0], true)),
        ("alias.lan", rtype::CNAME, (ok, [1, 0, 0], false)),
        ("x.lan", rtype::AAAA, (ok, [1, 0, 0], true)),
        ("d.lan", rtype::A, (ok, soa, false)),
        ("d.lan", rtype::ANY, (ok, soa, false)),
        ("many.lan", rtype::TXT, (ok, [61, 0, 0], false)),
    ] {
        assert_eq!(ask(&table, asked, qtype), expected, "{asked} {qtype}");
    }
}
