//! Whose names an answer may speak of. Route 0 is public and has all names but those under `in` and
//! `no`; route 1 is private and has those under `in`; those under `no` nobody has.

use super::made::{Line, judged, message, shown};

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const DNAME: u16 = 39;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;

/// Route, flags and rcode, question, records, and what becomes of them.
type Case = (u16, u16, (&'static str, u16), &'static [Line], &'static str);

fn check(cases: &[Case]) {
    for (route, flags, (name, qtype), lines, expected) in cases {
        let verdict = judged(*route, None, &message(*flags, name, *qtype, lines));
        assert_eq!(shown(&verdict), *expected, "{route} {flags:x} {name} {lines:?}");
    }
}

#[test]
fn a_chain_is_cut_where_it_leaves_the_horizon() {
    check(&[
        // Chased or not, with or without a word about the target.
        (
            1,
            0,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            0,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x"), (0, "b.x", 9, A, "192.0.2.1")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            0,
            ("a.in", A),
            &[
                (0, "a.in", 30, CNAME, "b.x"),
                (1, "x", 5, NS, "ns.x"),
                (2, "ns.x", 5, A, "192.0.2.1"),
            ],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        // Its response code speaks of the last name: NXDOMAIN, SERVFAIL, REFUSED, YXDOMAIN.
        (
            1,
            3,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x"), (1, "x", 5, SOA, "5")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            3,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x"), (1, ".", 5, SOA, "5")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            2,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            5,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        (
            1,
            6,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x")],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        // Without such a chain it speaks of the question.
        (
            1,
            2,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.in")],
            "Failed(Failed { rcode: Rcode(2), ede: None })",
        ),
        (
            1,
            5,
            ("a.in", A),
            &[(0, "b.in", 30, CNAME, "b.x")],
            "Failed(Failed { rcode: Rcode(5), ede: None })",
        ),
        // Further along, and back again: what follows is for others to say.
        (
            1,
            0,
            ("a.in", A),
            &[
                (0, "a.in", 30, CNAME, "b.in"),
                (0, "b.in", 20, CNAME, "c.x"),
                (0, "c.x", 5, CNAME, "d.in"),
                (0, "d.in", 5, A, "10.0.0.1"),
            ],
            "NOERROR Positive onward for 20 | a.in. 5/30 | b.in. 5/20",
        ),
        // Signatures and proofs of ours stay.
        (
            1,
            0x20,
            ("a.in", A),
            &[
                (0, "a.in", 30, CNAME, "b.x"),
                (0, "a.in", 30, RRSIG, "5"),
                (0, "b.x", 5, A, "192.0.2.1"),
                (0, "b.x", 5, RRSIG, "1"),
                (1, "z.in", 40, NSEC, "zz.in"),
                (1, "z.in", 40, RRSIG, "47"),
                (1, "z.x", 5, NSEC, "zz.x"),
                (1, "in", 50, SOA, "5"),
            ],
            "NOERROR Positive onward ad for 30 | a.in. 5/30 | a.in. 46/30 | auth:z.in. 47/40 \
             | auth:z.in. 46/40",
        ),
        // In any order the last CNAME stands last.
        (
            1,
            0,
            ("a.in", A),
            &[
                (0, "c.x", 5, A, "192.0.2.1"),
                (0, "b.in", 20, CNAME, "c.x"),
                (0, "a.in", 30, CNAME, "b.in"),
            ],
            "NOERROR Positive onward for 20 | a.in. 5/30 | b.in. 5/20",
        ),
        // The first of two CNAMEs, whichever it is.
        (
            1,
            0,
            ("a.in", A),
            &[
                (0, "a.in", 30, CNAME, "b.x"),
                (0, "a.in", 5, CNAME, "c.in"),
                (0, "c.in", 5, A, "10.0.0.1"),
            ],
            "NOERROR Positive onward for 30 | a.in. 5/30",
        ),
        // Whole as far as it goes: what was truncated lies behind it.
        (
            1,
            0x200,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "b.x")],
            "truncated NOERROR Positive onward not kept | a.in. 5/30",
        ),
    ]);
}

#[test]
fn a_stranger_leads_nobody_inside() {
    check(&[
        (
            0,
            0x20,
            ("a.x", A),
            &[(0, "a.x", 30, CNAME, "b.in"), (0, "b.in", 5, A, "10.0.0.1")],
            "NOERROR Positive ede=17 for 30 | a.x. 5/30",
        ),
        (
            0,
            3,
            ("a.x", A),
            &[(0, "a.x", 30, CNAME, "b.in"), (1, "in", 5, SOA, "5")],
            "NOERROR Positive ede=17 for 30 | a.x. 5/30",
        ),
        (
            0,
            2,
            ("a.x", A),
            &[(0, "a.x", 30, CNAME, "b.in")],
            "NOERROR Positive ede=17 for 30 | a.x. 5/30",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "a.x", 30, CNAME, "b.no"), (0, "b.no", 5, A, "192.0.2.1")],
            "NOERROR Positive ede=17 for 30 | a.x. 5/30",
        ),
        // Nor by addresses beside the answer.
        (
            0,
            0,
            ("x", MX),
            &[
                (0, "x", 30, MX, "x000a0161026e6f00"),
                (2, "a.no", 5, A, "10.0.0.1"),
                (2, "b.in", 5, A, "10.0.0.1"),
                (2, "c.x", 5, A, "192.0.2.1"),
            ],
            "NOERROR Positive for 30 | x. 15/30 | add:c.x. 1/5",
        ),
    ]);
}

#[test]
fn the_alias_itself_is_not_followed() {
    check(&[
        (
            1,
            0,
            ("a.in", CNAME),
            &[(0, "a.in", 30, CNAME, "b.x"), (0, "b.x", 5, CNAME, "c.x")],
            "NOERROR Positive for 30 | a.in. 5/30",
        ),
        (
            0,
            0,
            ("a.x", CNAME),
            &[(0, "a.x", 30, CNAME, "b.in")],
            "NOERROR Positive for 30 | a.x. 5/30",
        ),
    ]);
}

#[test]
fn a_dname_leads_no_further_than_a_cname() {
    check(&[
        (
            1,
            0,
            ("a.b.in", A),
            &[
                (0, "b.in", 40, DNAME, "y"),
                (0, "b.in", 40, RRSIG, "39"),
                (0, "a.b.in", 30, CNAME, "a.y"),
                (0, "a.y", 5, A, "192.0.2.1"),
            ],
            "NOERROR Positive onward for 30 | b.in. 39/40 | b.in. 46/40 | a.b.in. 5/30",
        ),
        // Without the CNAME that it makes nothing of another horizon passes.
        (
            1,
            0,
            ("a.b.in", A),
            &[(0, "b.in", 40, DNAME, "y"), (0, "a.y", 5, A, "192.0.2.1")],
            "NOERROR Positive for 40 | b.in. 39/40",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "x", 40, DNAME, "in"), (0, "a.in", 5, A, "10.0.0.1")],
            "NOERROR Positive for 40 | x. 39/40",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "x", 40, DNAME, "y"), (0, "a.y", 5, A, "192.0.2.1")],
            "NOERROR Positive for 5 | x. 39/40 | a.y. 1/5",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "x", 40, DNAME, "y"), (0, "b.y", 5, A, "192.0.2.1")],
            "NOERROR Positive for 40 | x. 39/40",
        ),
        // One above our horizon is not ours.
        (
            1,
            0,
            ("a.in", A),
            &[(0, ".", 40, DNAME, "y"), (0, "a.in", 30, A, "10.0.0.1")],
            "NOERROR Positive for 30 | a.in. 1/30",
        ),
        (
            1,
            0,
            ("a.in", A),
            &[(0, ".", 40, DNAME, "y"), (0, "a.in.y", 30, A, "10.0.0.1")],
            "Failed(Failed { rcode: Rcode(0), ede: None })",
        ),
    ]);
}

#[test]
fn names_that_were_not_asked_about_are_left_out() {
    check(&[
        (
            0,
            0,
            ("a.x", A),
            &[
                (0, "www.bank.y", 900, A, "203.0.113.66"),
                (0, "a.x", 30, A, "192.0.2.1"),
                (0, "www.bank.y", 900, RRSIG, "1"),
                (0, "a.x", 30, A, "192.0.2.2"),
            ],
            "NOERROR Positive for 30 | a.x. 1/30 | a.x. 1/30",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[
                (0, "a.x", 30, CNAME, "b.y"),
                (0, "b.x", 5, A, "203.0.113.66"),
                (0, "b.y", 20, A, "192.0.2.1"),
            ],
            "NOERROR Positive for 20 | a.x. 5/30 | b.y. 1/20",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "b.x", 5, A, "203.0.113.66")],
            "Failed(Failed { rcode: Rcode(0), ede: None })",
        ),
        // A zone above is not the name.
        (
            0,
            0,
            ("a.x", A),
            &[(0, "x", 5, A, "203.0.113.66")],
            "Failed(Failed { rcode: Rcode(0), ede: None })",
        ),
    ]);
}

#[test]
fn authority_speaks_for_zones_of_the_name() {
    check(&[
        (
            1,
            3,
            ("a.b.in", A),
            &[(1, "b.in", 4, SOA, "9")],
            "NXDOMAIN Negative for 4 | auth:b.in. 6/4",
        ),
        (1, 3, ("a.b.in", A), &[(1, ".", 4, SOA, "9")], "NXDOMAIN Negative for 4 | auth:. 6/4"),
        (
            1,
            3,
            ("a.b.in", A),
            &[(1, "x", 4, SOA, "9"), (1, "c.in", 4, SOA, "9")],
            "NXDOMAIN Negative not kept",
        ),
        (
            1,
            3,
            ("a.b.in", A),
            &[(1, "ab.in", 4, SOA, "9"), (1, "b.in", 3, SOA, "9")],
            "NXDOMAIN Negative for 3 | auth:b.in. 6/3",
        ),
        (
            0,
            0x400,
            ("a.x", A),
            &[
                (0, "a.x", 30, A, "192.0.2.1"),
                (1, "x", 40, NS, "ns.y"),
                (1, "in", 40, NS, "ns.y"),
                (2, "ns.y", 50, A, "192.0.2.9"),
                (2, "x", 50, A, "192.0.2.9"),
            ],
            "NOERROR Positive for 30 | a.x. 1/30 | auth:x. 2/40 | add:ns.y. 1/50 | add:x. 1/50",
        ),
        // Of the end of a chain inside.
        (
            1,
            3,
            ("a.in", A),
            &[(0, "a.in", 30, CNAME, "a.b.in"), (1, "b.in", 4, SOA, "9")],
            "NXDOMAIN Negative for 4 | a.in. 5/4 | auth:b.in. 6/4",
        ),
    ]);
}

#[test]
fn chains_without_an_end_are_no_answer() {
    check(&[
        (
            0,
            0,
            ("a.x", A),
            &[(0, "a.x", 5, CNAME, "a.x")],
            "Failed(Failed { rcode: Rcode(0), ede: None })",
        ),
        (
            0,
            0,
            ("a.x", A),
            &[(0, "a.x", 5, CNAME, "b.x"), (0, "b.x", 5, CNAME, "a.x")],
            "Failed(Failed { rcode: Rcode(0), ede: None })",
        ),
        // A DNAME is used once.
        (0, 0, ("a.x", A), &[(0, "x", 5, DNAME, "b.x")], "NOERROR Positive for 5 | x. 39/5"),
    ]);
}

#[test]
fn what_moves_up_is_as_short_as_it_was() {
    let lines: Vec<Line> = [(0, "stray.y", 5, A, "192.0.2.9"), (0, "a.x", 5, CNAME, "long.name.y")]
        .into_iter()
        .chain((0..200).map(|_| (0, "long.name.y", 5, A, "192.0.2.1")))
        .chain([(2, "ns.y", 5, A, "192.0.2.1"), (2, "ns.y", 5, A, "192.0.2.2")])
        .collect();
    let sent = message(0, "a.x", A, &lines);
    let super::Verdict::Accepted(accepted) = judged(0, None, &sent) else { panic!() };
    assert_eq!(accepted.answer.header().counts, [1, 201, 0, 2]);
    // Owners of 2 bytes instead of 13, and none of the stray.
    let ns = 6 + 14 + 2 + 14;
    assert_eq!(accepted.answer.wire().len(), 12 + 5 + 4 + 12 + 13 + 200 * 16 + ns);
}
