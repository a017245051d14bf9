#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::LocalRecord;
use crate::local::hosts;
use crate::route::Rule;
use crate::wire::header::Rcode;
use crate::wire::rtype;

const ROOT: Match = Match { route: 0, rule: Rule::Suffix(0) };
const ROUTED: Match = Match { route: 1, rule: Rule::Suffix(1) };

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn data(records: &[&str], file: &str, private_reverse: PrivateReverse) -> Data {
    let record = |owner: &&str| LocalRecord {
        name: name(owner),
        rtype: rtype::A,
        rdata: vec![[10, 0, 0, 1].as_slice().into()],
        ttl: Duration::from_secs(300),
    };
    let config = Local {
        records: records.iter().map(record).collect(),
        hosts: Some(PathBuf::from("/hosts")),
        private_reverse,
        ..Local::default()
    };
    let data = Data::new(&config);
    data.set_hosts(hosts::parse(file.as_bytes()).unwrap().hosts);
    data
}

fn by(data: &Data, asked: &str, qtype: u16, owner: Match) -> Option<&'static str> {
    let asked = name(asked);
    let question = Question { name: asked.as_wire(), qtype, qclass: 1 };
    let by = data.explain(question, Some(&owner));
    assert_eq!(data.answer(question, Some(&owner)).is_some(), by.is_some());
    by
}

#[test]
fn the_order() {
    let file = "10.0.0.9 a.test printer.test web b.dev.test\n127.0.0.1 localhost\n";
    let data = data(&["a.test", "*.dev.test", "x.y.dev.test"], file, PrivateReverse::NxDomain);
    for (asked, expected) in [
        ("a.test", Some("static record")),
        ("printer.test", Some("hosts file")),
        ("b.dev.test", Some("hosts file")),
        ("c.dev.test", Some("static wildcard")),
        ("y.dev.test", Some("static wildcard")),
        ("other.test", Some("special-use or single-label name")),
        ("web", Some("hosts file")),
        ("mail", Some("special-use or single-label name")),
        ("localhost", Some("special-use or single-label name")),
        ("a.example", None),
        ("9.0.0.10.in-addr.arpa", Some("hosts file")),
        ("8.0.0.10.in-addr.arpa", Some("reverse name of a private address")),
        ("8.8.8.8.in-addr.arpa", None),
    ] {
        assert_eq!(by(&data, asked, rtype::A, ROOT), expected, "{asked}");
        let ours = expected.is_some_and(|by| by != "special-use or single-label name")
            && expected != Some("reverse name of a private address");
        assert_eq!(data.owns(name(asked).as_wire()), ours, "{asked}");
    }
}

#[test]
fn routes_own_their_names_but_not_what_is_written_down_here() {
    let data = data(&["a.test"], "10.0.0.9 b.test\n", PrivateReverse::NxDomain);
    for (asked, expected) in [
        ("a.test", Some("static record")),
        ("b.test", Some("hosts file")),
        ("c.test", None),
        ("8.0.0.10.in-addr.arpa", None),
    ] {
        assert_eq!(by(&data, asked, rtype::A, ROUTED), expected, "{asked}");
    }
}

#[test]
fn private_reverse_names_are_forwarded_unless_told_otherwise() {
    let asked = "8.0.0.10.in-addr.arpa";
    let forwarded = data(&[], "", PrivateReverse::Forward);
    assert_eq!(by(&forwarded, asked, rtype::PTR, ROOT), None);
    let asked = name(asked);
    let question = Question { name: asked.as_wire(), qtype: rtype::PTR, qclass: 1 };
    // A name that no route owns is answered, too.
    let answer = data(&[], "", PrivateReverse::NxDomain).answer(question, None).unwrap();
    assert_eq!(answer.rcode(), Rcode::NXDOMAIN);
}

#[test]
fn new_hosts_are_in_force_at_once_and_tell_what_changed() {
    let data = data(&[], "10.0.0.9 a.lan\n", PrivateReverse::Forward);
    let new = hosts::parse(b"10.0.0.9 a.lan\n10.0.0.10 b.lan\n").unwrap().hosts;
    assert_eq!(by(&data, "b.lan", rtype::A, ROOT), None);
    let mut changed = data.set_hosts(new);
    changed.sort();
    let mut expected = [name("b.lan"), name("10.0.0.10.in-addr.arpa")];
    expected.sort();
    assert_eq!(changed, expected);
    assert_eq!(by(&data, "b.lan", rtype::A, ROOT), Some("hosts file"));
    // Without a file in the configuration there is nothing to replace.
    let none = Data::new(&Local::default());
    let hosts = hosts::parse(b"10.0.0.9 a.lan\n").unwrap().hosts;
    assert_eq!(none.set_hosts(hosts), []);
    assert_eq!(by(&none, "a.lan", rtype::A, ROOT), None);
}
