//! Messages that are wrong in one way, and what each comes to: never an answer, never a panic, never
//! long.

use std::time::{Duration, Instant};

use super::made::{judged, message, shown};
use super::*;
use crate::wire::name::MAX_NAME;

const GOOD: &[(usize, &[u8])] = &[(0, A)];

/// Spoils a message.
type Change = dyn Fn(&mut Vec<u8>);

/// A response with these bytes behind the question, and these counts.
fn raw(counts: [u16; 3], tail: &[u8]) -> Vec<u8> {
    let mut bytes = response(0, 1, &[]);
    for (i, count) in counts.into_iter().enumerate() {
        bytes[6 + 2 * i..8 + 2 * i].copy_from_slice(&count.to_be_bytes());
    }
    bytes.extend(tail);
    bytes
}

/// A record with this owner, type and data.
fn record(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 9]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn heads_that_are_no_answers() {
    let good = response(0, 1, GOOD);
    let changed = |change: &Change| {
        let mut other = good.clone();
        change(&mut other);
        judge(asked(1), &other)
    };
    assert!(matches!(changed(&|_| ()), Verdict::Accepted(_)));
    let not_ours: [&Change; 8] = [
        // A query; other opcodes.
        &|m| m[2] &= 0x7f,
        &|m| m[2] |= 0x10,
        &|m| m[2] |= 0x28,
        &|m| m[2] |= 0x78,
        // No question, two, thousands.
        &|m| m[5] = 0,
        &|m| m[5] = 2,
        &|m| m[4] = 0xff,
        // Another class.
        &|m| m[12 + NAME.len() + 3] = 3,
    ];
    for (i, change) in not_ours.iter().enumerate() {
        assert_eq!(changed(change), Verdict::NotOurs, "{i}");
    }
}

#[test]
fn counts_are_believed_as_far_as_the_bytes_go() {
    for counts in [[2, 0, 0], [1, 1, 0], [1, 0, 1], [0xffff; 3], [0xffff, 0, 0], [1, 0xffff, 0]] {
        assert_eq!(judge(asked(1), &raw(counts, A)), Verdict::Malformed, "{counts:?}");
    }
    // Records that nobody counted are garbage.
    assert_eq!(judge(asked(1), &raw([0, 0, 0], A)), Verdict::Malformed);
    assert_eq!(judge(asked(1), &raw([1, 0, 0], &[A, A].concat())), Verdict::Malformed);
}

#[test]
fn owners_that_are_no_names() {
    let here = 12 + NAME.len() + 4;
    let to = |at: usize| [0xc0 | (at >> 8) as u8, at as u8];
    let owners: [&[u8]; 12] = [
        // To itself, ahead, far ahead; into the header; a loop of two; a label with a loop.
        &to(here),
        &to(here + 2),
        &to(0x3fff),
        &to(0),
        &to(5),
        &[&to(here + 2)[..], &to(here)].concat(),
        &[&[1, b'x'][..], &to(here)].concat(),
        // Reserved label types; a label and a name that are too long.
        &[0x40, 0],
        &[0x80, 0],
        &[64; 66],
        &[&[63; 64 * 4][..], &[0]].concat(),
        // The inside of a label, whose bytes are no lengths.
        &to(15),
    ];
    for owner in owners {
        let message = raw([1, 0, 0], &record(owner, 1, &[10, 0, 0, 1]));
        let verdict = judge(asked(1), &message);
        assert!(
            matches!(verdict, Verdict::Malformed | Verdict::NotOurs),
            "{owner:02x?}: {verdict:?}"
        );
    }
}

#[test]
fn data_that_is_not_what_its_type_has() {
    let soa = |names: &[u8], numbers: usize| [names, &vec![1; numbers]].concat();
    for (rtype, data) in [
        (1, vec![]),
        (1, vec![10, 0, 0]),
        (1, vec![10, 0, 0, 1, 0]),
        (28, vec![0; 4]),
        (28, vec![0; 17]),
        (2, vec![]),
        (5, vec![1, b'a']),
        (5, vec![0xc0]),
        (5, vec![0xc0, 0xff]),
        (5, vec![0, 0]),
        (12, vec![0x40]),
        (15, vec![0]),
        (15, vec![0, 10]),
        (15, vec![0, 10, 0, 9]),
        (33, vec![0, 1, 0, 2, 0]),
        (39, vec![0xc0, 0x03]),
        (6, vec![]),
        (6, vec![0]),
        (6, soa(&[0, 0], 0)),
        (6, soa(&[0, 0], 19)),
        (6, soa(&[0, 0], 21)),
        (6, soa(&[0, 0x80], 20)),
        (6, soa(&[0, 0xc0, 0], 20)),
    ] {
        for section in 0..3 {
            let mut counts = [0; 3];
            counts[section] = 1;
            let message = raw(counts, &record(b"\xc0\x0c", rtype, &data));
            let verdict = judge(asked(1), &message);
            assert_eq!(verdict, Verdict::Malformed, "{section} {rtype} {data:02x?}");
        }
    }
    // Cut short by its own length or the end.
    let cut = record(b"\xc0\x0c", 1, &[10, 0, 0, 1]);
    for len in 0..cut.len() {
        assert_eq!(judge(asked(1), &raw([1, 0, 0], &cut[..len])), Verdict::Malformed, "{len}");
    }
}

#[test]
fn what_cannot_be_read_and_is_truncated_is_asked_for_over_tcp() {
    for tail in [&A[..9], b"\xff\xff", b"x"] {
        let mut message = raw([1, 0, 0], tail);
        message[2] |= 2;
        assert_eq!(judge(asked(1), &message), Verdict::Truncated(None));
    }
}

#[test]
fn a_record_of_another_class_answers_nothing() {
    let chaos = b"\xc0\x0c\0\x01\0\x03\0\0\x01\x2c\0\x04\x0a\0\0\x01";
    let none = judge(asked(1), &response(0, 1, &[(0, chaos)]));
    assert_eq!(none, Verdict::Failed(Failed { rcode: Rcode::NOERROR, ede: None }));
    let both = accepted(1, &response(0, 1, &[(0, chaos), (0, A)]));
    assert_eq!(both.answer.header().counts, [1, 1, 0, 0]);
}

#[test]
fn extended_response_codes_are_no_answers() {
    let opt = |upper: u8| [&b"\0\0\x29\x10\0"[..], &[upper, 0, 0, 0, 0, 0]].concat();
    for (upper, lower, expected) in [
        (1, 0, Verdict::NoEdns(Rcode::BADVERS)),
        (1, 7, Verdict::Failed(Failed { rcode: Rcode(23), ede: None })),
        (1, 3, Verdict::Failed(Failed { rcode: Rcode(19), ede: None })),
        (0xff, 0, Verdict::Failed(Failed { rcode: Rcode(0xff0), ede: None })),
        (0, 11, Verdict::Failed(Failed { rcode: Rcode(11), ede: None })),
    ] {
        let message = response(lower, 1, &[(0, A), (2, &opt(upper))]);
        assert_eq!(judge(asked(1), &message), expected, "{upper} {lower}");
    }
}

#[test]
fn ttls_with_the_top_bit_are_zero() {
    for (ttl, shown_as) in [(0x8000_0000, 0), (u32::MAX, 0), (0x7fff_ffff, CAPS.max_ttl), (0, 0)] {
        let sent = message(0, "a.x", 1, &[(0, "a.x", ttl, 1, "192.0.2.1")]);
        let kept = if shown_as == 0 { "not kept".into() } else { format!("for {shown_as}") };
        let expected = format!("NOERROR Positive {kept} | a.x. 1/{shown_as}");
        assert_eq!(shown(&judged(0, None, &sent)), expected, "{ttl:x}");
    }
}

#[test]
fn the_longest_message_is_read_in_no_time() {
    let mut sound = Vec::new();
    while 12 + NAME.len() + 4 + sound.len() + A.len() <= 65_535 {
        sound.extend(A);
    }
    let count = (sound.len() / A.len()) as u16;
    let full = accepted(1, &raw([count, 0, 0], &sound));
    assert_eq!(full.answer.header().counts[1], count);
    // A chain of pointers as long as pointers reach, and thousands of owners at its end.
    let mut chain = vec![0xc0, 0x0c];
    let start = 12 + NAME.len() + 4 + 12;
    while start + chain.len() < 0x3ff0 {
        let before = start + chain.len() - 2;
        chain.extend([0xc0 | (before >> 8) as u8, before as u8]);
    }
    let last = start + chain.len() - 2;
    let mut hops = record(b"\xc0\x0c", 16, &chain);
    let mut owners = 1;
    while hops.len() < 65_000 {
        hops.extend(record(&[0xc0 | (last >> 8) as u8, last as u8], 1, &[10, 0, 0, 1]));
        owners += 1;
    }
    // As long as it may be without being refused: every owner compared with every name of a chain.
    let mut aliases = Vec::new();
    for step in 0..40u8 {
        let owner = [&[3, b'x', b'x', step][..], b"\xc0\x0c"].concat();
        let owner = if step == 0 { b"\xc0\x0c".to_vec() } else { owner };
        let target = [&[3, b'x', b'x', step + 1][..], b"\xc0\x0c"].concat();
        aliases.extend(record(&owner, 5, &target));
    }
    let mut strays = 40;
    while aliases.len() < 65_000 {
        aliases.extend(record(b"\x02xx\xc0\x0c", 1, &[10, 0, 0, 1]));
        strays += 1;
    }
    let began = Instant::now();
    assert_eq!(judge(asked(1), &raw([owners, 0, 0], &hops)), Verdict::Malformed);
    assert!(matches!(judge(asked(1), &raw([strays, 0, 0], &aliases)), Verdict::Failed(_)));
    // In a build without optimisation, on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn what_does_not_fit_when_written_out_is_no_answer() {
    // A stray in front moves all others, and each has a target of 250 bytes behind a pointer.
    let long: Vec<u8> = [&[49][..], &[b'y'; 49]].concat().repeat(4);
    assert!(long.len() + NAME.len() < MAX_NAME);
    let stray = record(b"\x01z\0", 2, &[&long[..], b"\xc0\x0c"].concat());
    let target = 12 + NAME.len() + 4 + 3 + 10;
    let pointer = [0xc0, target as u8];
    let mut tail = stray;
    for _ in 0..1000 {
        tail.extend(record(b"\xc0\x0c", 2, &pointer));
    }
    let failed = Verdict::Failed(Failed { rcode: Rcode::NOERROR, ede: None });
    assert_eq!(
        judge(asked(2), &{
            let mut message = raw([1001, 0, 0], &tail);
            message[12 + NAME.len() + 1] = 2;
            message
        }),
        failed
    );
}
