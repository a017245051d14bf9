#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::wire::records::{NameBuf, Records};

fn hosts(text: &str) -> Hosts {
    parse(text.as_bytes()).unwrap().hosts
}

fn reasons(text: &str) -> Vec<(usize, SkipReason)> {
    let skipped = match parse(text.as_bytes()) {
        Ok(parsed) => parsed.skipped,
        Err(HostsError::Garbage(first)) => vec![first],
        Err(error) => panic!("{error}"),
    };
    skipped.iter().map(|skipped| (skipped.line, skipped.reason)).collect()
}

/// The data of the records as people read it; the code where there is none.
fn ask(hosts: &Hosts, name: &str, qtype: u16) -> Option<Vec<String>> {
    let name: Name = name.parse().unwrap();
    let answer = hosts.answer(Question { name: name.as_wire(), qtype, qclass: 1 }, 60)?;
    assert!(!answer.onward && answer.rcode() == Rcode::NOERROR);
    let wire = answer.wire();
    let [_, sections @ ..] = answer.header().counts;
    let show = |record: crate::wire::records::Record| {
        let rdata = &wire[record.rdata.clone()];
        assert_eq!((record.ttl, record.class), (60, 1));
        match record.rtype {
            rtype::A => Ipv4Addr::from(<[u8; 4]>::try_from(rdata).unwrap()).to_string(),
            rtype::AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(rdata).unwrap()).to_string(),
            rtype::PTR => {
                let name = NameBuf::expand(wire, record.rdata.start).unwrap();
                Name::from_wire(name.as_wire()).unwrap().to_string()
            }
            other => format!("type {other}"),
        }
    };
    let walk = Records::new(wire, answer.question_end(), sections);
    Some(walk.map(|record| show(record.unwrap())).collect())
}

const FILE: &str = "\
# a comment
127.0.0.1\tlocalhost
::1 localhost ip6-localhost ip6-loopback  # and another

10.0.0.7   Printer.LAN printer
fd00::7 printer.lan
10.0.0.8 printer.lan scanner # twice: both addresses
10.0.0.8 camera
::ffff:10.0.0.9 mapped\r
10.0.0.7 printer.lan
";

#[test]
fn names_and_addresses() {
    let hosts = hosts(FILE);
    let some = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect());
    let soa = &["type 6"];
    for (name, qtype, expected) in [
        ("printer.lan", rtype::A, some(&["10.0.0.7", "10.0.0.8"])),
        ("PRINTER.lan", rtype::AAAA, some(&["fd00::7"])),
        ("printer", rtype::A, some(&["10.0.0.7"])),
        ("printer", rtype::AAAA, some(soa)),
        ("printer.lan", rtype::MX, some(soa)),
        ("printer.lan", rtype::DS, some(soa)),
        ("scanner", rtype::A, some(&["10.0.0.8"])),
        ("mapped", rtype::A, some(&["10.0.0.9"])),
        ("ip6-localhost", rtype::AAAA, some(&["::1"])),
        ("lan", rtype::A, None),
        ("x.printer.lan", rtype::A, None),
        ("localhost", rtype::A, None),
        ("7.0.0.10.in-addr.arpa", rtype::PTR, some(&["printer.lan."])),
        ("8.0.0.10.in-addr.arpa", rtype::PTR, some(&["printer.lan."])),
        ("8.0.0.10.in-addr.arpa", rtype::A, some(soa)),
        ("1.0.0.127.in-addr.arpa", rtype::PTR, some(&["localhost."])),
        ("9.9.9.10.in-addr.arpa", rtype::PTR, None),
        ("0.0.10.in-addr.arpa", rtype::PTR, None),
    ] {
        assert_eq!(ask(&hosts, name, qtype), expected, "{name} {qtype}");
        let owned = hosts.owns(name.to_lowercase().parse::<Name>().unwrap().as_wire());
        assert_eq!(owned, expected.is_some(), "{name}");
    }
    assert_eq!(hosts.len(), 7);
    let any = hosts.answer(Question { name: b"\x06camera\0", qtype: rtype::ANY, qclass: 1 }, 60);
    assert_eq!(any.unwrap().header().counts, [1, 1, 0, 0]);
}

#[test]
fn mistakes_are_passed_over_with_their_reason() {
    use SkipReason::*;
    for (line, reason) in [
        ("printer.lan 10.0.0.7", Swapped),
        ("printer.lan", NoAddress),
        ("10.0.0 printer.lan", NoAddress),
        ("010.0.0.1 printer.lan", NoAddress),
        ("10.0.0.7", NoName),
        ("fe80::1%eth0 printer.lan", Zone),
        ("10.0.0.7 a..b", BadName),
        ("10.0.0.7 .", BadName),
        ("10.0.0.7 *.lan", BadName),
        ("10.0.0.7 caf\u{e9}.lan", BadName),
        ("10.0.0.7 a.onion", Fixed),
        ("10.0.0.7 localhost", Fixed),
        ("127.0.0.1 x.localhost", Fixed),
        ("10.0.0.7 a\u{0}b", BadName),
    ] {
        // A good line before and after is taken all the same.
        let text = format!("10.0.0.1 one\n{line}\n10.0.0.2 two\n");
        assert_eq!(reasons(&text), [(2, reason)], "{line}");
        assert!(hosts(&text).owns(b"\x03two\0"), "{line}");
    }
    let mixed = hosts("10.0.0.7 a..b good\n");
    assert_eq!(ask(&mixed, "7.0.0.10.in-addr.arpa", rtype::PTR), Some(vec!["good.".into()]));
    // What is passed over is not what the address leads back to either.
    let fixed = hosts("10.0.0.7 a.onion good\n10.0.0.8 localhost\n127.0.0.1 localhost\n");
    assert_eq!(ask(&fixed, "7.0.0.10.in-addr.arpa", rtype::PTR), Some(vec!["good.".into()]));
    assert_eq!(ask(&fixed, "8.0.0.10.in-addr.arpa", rtype::PTR), None);
    assert_eq!(ask(&fixed, "1.0.0.127.in-addr.arpa", rtype::PTR), Some(vec!["localhost.".into()]));
    let bytes = [b"10.0.0.1 one\n10.0.0.2 \xff\n".as_slice()].concat();
    let parsed = parse(&bytes).unwrap();
    assert_eq!(parsed.skipped[0].to_string(), "line 2: it is not text");
}

#[test]
fn files_that_are_not_used() {
    assert!(hosts("").is_empty() && hosts("# nothing\n\n").is_empty());
    let garbage = parse(b"\x7fELF\0\x01\x02\nfoo\n").unwrap_err().to_string();
    assert!(garbage.starts_with("no line of it can be understood (line 1: "), "{garbage}");
    assert_eq!(parse(&vec![b'#'; MAX_BYTES + 1]).unwrap_err(), HostsError::TooLong);
    assert!(parse(&vec![b'#'; MAX_BYTES]).is_ok());
    let lines = |count: usize| -> String {
        (0..count).map(|i| format!("10.{}.{}.{} h{i}\n", i >> 16, i >> 8 & 255, i & 255)).collect()
    };
    assert_eq!(hosts(&lines(MAX_PAIRS)).len(), MAX_PAIRS);
    assert_eq!(parse(lines(MAX_PAIRS + 1).as_bytes()).unwrap_err(), HostsError::TooMany);
    // Localhost has no addresses of the file's, but the addresses lead to it.
    let loopback: String = (0..=MAX_PAIRS as u32)
        .map(|i| format!("{} localhost\n", Ipv4Addr::from_bits(127 << 24 | i)))
        .collect();
    assert_eq!(parse(loopback.as_bytes()).unwrap_err(), HostsError::TooMany);
}

#[test]
fn addresses_of_one_name_have_a_limit() {
    let text: String =
        (0..MAX_ADDRESSES + 20).map(|i| format!("10.0.{}.{} many\n", i >> 8, i & 255)).collect();
    let parsed = parse(text.as_bytes()).unwrap();
    assert_eq!((parsed.all_skipped, parsed.skipped.len()), (20, MAX_SKIPPED));
    let first = parsed.skipped[0];
    assert_eq!((first.line, first.reason), (MAX_ADDRESSES + 1, SkipReason::TooManyAddresses));
    assert_eq!(ask(&parsed.hosts, "many", rtype::A).unwrap().len(), MAX_ADDRESSES);
    assert_eq!(parsed.hosts.reverse.len(), MAX_ADDRESSES);
}

#[test]
fn changes_name_what_is_no_longer_the_same() {
    let old = hosts("10.0.0.1 a b\n10.0.0.2 c\nfd00::1 d\n");
    let new = hosts("10.0.0.1 a\n10.0.0.3 c\nfd00::1 d e\n");
    let changed = |old: &Hosts, new: &Hosts| {
        let mut names: Vec<_> = old.changed(new).iter().map(Name::to_string).collect();
        names.sort();
        names
    };
    let expected = ["2.0.0.10.in-addr.arpa.", "3.0.0.10.in-addr.arpa.", "b.", "c.", "e."];
    assert_eq!(changed(&old, &new), expected);
    assert_eq!(changed(&new, &old), expected);
    assert_eq!(changed(&new, &new), [""; 0]);
    assert_eq!(
        changed(&hosts("10.0.0.1 a\n10.0.0.1 b"), &hosts("10.0.0.1 b a")),
        ["1.0.0.10.in-addr.arpa."]
    );
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        if let Ok(parsed) = parse(&bytes) {
            prop_assert!(parsed.skipped.len() <= MAX_SKIPPED);
        }
    }

    #[test]
    fn any_lines(
        lines in prop::collection::vec("(10.0.0.[0-9]|::[0-9a-f]|#)?[ \t]{0,2}[ -~]{0,20}", 0..40),
    ) {
        if let Ok(parsed) = parse(lines.join("\n").as_bytes()) {
            for name in parsed.hosts.names.keys() {
                for qtype in [rtype::A, rtype::AAAA, rtype::MX] {
                    let question = Question { name: name.as_wire(), qtype, qclass: 1 };
                    prop_assert!(parsed.hosts.answer(question, 60).is_some());
                }
            }
        }
    }
}
