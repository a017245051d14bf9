//! Private addresses in answers of a protected route.

use super::made::{Line, judged, message, shown};
use super::{Rebinding, Verdict};
use crate::wire::rtype;

const A: u16 = rtype::A;
const AAAA: u16 = rtype::AAAA;
const CNAME: u16 = rtype::CNAME;
const SOA: u16 = rtype::SOA;
const RRSIG: u16 = rtype::RRSIG;
const HTTPS: u16 = rtype::HTTPS;

fn protected(qname: &str, qtype: u16, lines: &[Line]) -> Verdict {
    let protection = Rebinding { allow: ["ok.x".parse().unwrap()].into() };
    judged(0, Some(&protection), &message(0x20, qname, qtype, lines))
}

#[test]
fn private_addresses_are_removed_and_the_rest_stays() {
    let cases: &[(&str, u16, &[Line], &str)] = &[
        ("a.x", A, &[(0, "a.x", 30, A, "192.0.2.1")], "NOERROR Positive ad for 30 | a.x. 1/30"),
        (
            "a.x",
            A,
            &[(0, "a.x", 30, A, "10.0.0.1"), (0, "a.x", 30, A, "192.0.2.1")],
            "NOERROR Positive ede=17 for 30 | a.x. 1/30",
        ),
        // Nothing is left: kept like a negative answer (CAPS: 5 s), no longer than what was there.
        (
            "a.x",
            A,
            &[(0, "a.x", 30, A, "127.0.0.1"), (0, "a.x", 30, RRSIG, "1")],
            "NOERROR Negative ede=17 for 5",
        ),
        ("a.x", A, &[(0, "a.x", 3, A, "127.0.0.1")], "NOERROR Negative ede=17 for 3"),
        ("a.x", A, &[(0, "a.x", 0, A, "127.0.0.1")], "NOERROR Negative ede=17 not kept"),
        ("a.x", AAAA, &[(0, "a.x", 30, AAAA, "::ffff:10.0.0.1")], "NOERROR Negative ede=17 for 5"),
        (
            "a.x",
            AAAA,
            &[(0, "a.x", 30, AAAA, "64:ff9b::10.0.0.1")],
            "NOERROR Negative ede=17 for 5",
        ),
        // The chain stays.
        (
            "a.x",
            A,
            &[(0, "a.x", 30, CNAME, "b.x"), (0, "b.x", 4, A, "192.168.0.1")],
            "NOERROR Negative ede=17 for 4 | a.x. 5/4",
        ),
        // So do signatures of what was not touched.
        (
            "a.x",
            A,
            &[
                (0, "a.x", 30, CNAME, "b.x"),
                (0, "a.x", 30, RRSIG, "5"),
                (0, "b.x", 30, A, "192.168.0.1"),
                (0, "b.x", 30, RRSIG, "1"),
                (0, "b.x", 30, A, "192.0.2.1"),
            ],
            "NOERROR Positive ede=17 for 30 | a.x. 5/30 | a.x. 46/30 | b.x. 1/30",
        ),
        // In every section.
        (
            "a.x",
            15,
            &[
                (0, "a.x", 30, 15, "x000a026d78017800"),
                (2, "mx.x", 30, A, "10.0.0.1"),
                (2, "mx.x", 30, AAAA, "2001:db8::1"),
                (2, "mx.x", 30, RRSIG, "1"),
            ],
            "NOERROR Positive ede=17 for 30 | a.x. 15/30 | add:mx.x. 28/30",
        ),
        // Hints of service bindings.
        (
            "a.x",
            HTTPS,
            &[(0, "a.x", 30, HTTPS, "x00010000040004c0000201")],
            "NOERROR Positive ad for 30 | a.x. 65/30",
        ),
        (
            "a.x",
            HTTPS,
            &[(0, "a.x", 30, HTTPS, "x000100000400040a000001"), (0, "a.x", 30, HTTPS, "x000200")],
            "NOERROR Positive ede=17 for 30 | a.x. 65/30",
        ),
        (
            "a.x",
            HTTPS,
            &[(0, "a.x", 30, HTTPS, "x000100000600100000000000000000000000000000000001")],
            "NOERROR Negative ede=17 for 5",
        ),
        // Allowed is what the question is under, not what an alias leads to.
        ("ok.x", A, &[(0, "ok.x", 30, A, "10.0.0.1")], "NOERROR Positive ad for 30 | ok.x. 1/30"),
        (
            "b.ok.x",
            A,
            &[(0, "b.ok.x", 30, CNAME, "c.x"), (0, "c.x", 30, A, "10.0.0.1")],
            "NOERROR Positive ad for 30 | b.ok.x. 5/30 | c.x. 1/30",
        ),
        (
            "a.x",
            A,
            &[(0, "a.x", 30, CNAME, "b.ok.x"), (0, "b.ok.x", 30, A, "10.0.0.1")],
            "NOERROR Negative ede=17 for 5 | a.x. 5/5",
        ),
        ("bok.x", A, &[(0, "bok.x", 30, A, "10.0.0.1")], "NOERROR Negative ede=17 for 5"),
        // A negative answer stays one.
        ("a.x", A, &[(1, "x", 4, SOA, "9")], "NOERROR Negative ad for 4 | auth:x. 6/4"),
        (
            "a.x",
            A,
            &[(1, "x", 4, SOA, "9"), (2, "b.x", 4, A, "10.0.0.1")],
            "NOERROR Negative ede=17 for 4 | auth:x. 6/4",
        ),
    ];
    for (name, qtype, lines, expected) in cases {
        assert_eq!(shown(&protected(name, *qtype, lines)), *expected, "{name} {qtype} {lines:?}");
    }
}

#[test]
fn other_routes_may_have_private_addresses() {
    let sent = message(0, "a.x", A, &[(0, "a.x", 30, A, "10.0.0.1")]);
    assert_eq!(shown(&judged(0, None, &sent)), "NOERROR Positive for 30 | a.x. 1/30");
}

#[test]
fn the_reason_names_the_route() {
    let Verdict::Accepted(got) = protected("a.x", A, &[(0, "a.x", 30, A, "10.0.0.1")]) else {
        panic!()
    };
    let text = &got.answer.ede().unwrap().text;
    assert_eq!(&**text, "route test: private addresses removed (rebinding protection)");
}
