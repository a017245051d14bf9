//! Messages of the tests, written from text, and answers shown as text.

use std::fmt::Write;

use super::super::*;
use super::{CAPS, Three};
use crate::wire::name::{Name, Presentation};
use crate::wire::records::{NameBuf, Records};

/// A record: section, owner, TTL, type, and data: a name, numbers and a name, or `x` and hex.
pub type Line = (usize, &'static str, u32, u16, &'static str);

pub fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().unwrap().as_wire().to_vec()
}

fn data(rtype: u16, text: &str) -> Vec<u8> {
    if let Some(hex) = text.strip_prefix('x') {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        return pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    }
    match rtype {
        1 => text.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        28 => text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
        // Minimum as given, everything else small.
        6 => [&[0, 0][..], &[0; 16], &text.parse::<u32>().unwrap().to_be_bytes()].concat(),
        // The type covered as given, the rest of the fixed fields zero, signed by the root.
        46 => [&text.parse::<u16>().unwrap().to_be_bytes()[..], &[0; 16], &[0, 0xab]].concat(),
        _ => wire(text),
    }
}

/// A response to `name` and `qtype`, names written out but for owners that are the question's.
pub fn message(flags: u16, name: &str, qtype: u16, lines: &[Line]) -> Vec<u8> {
    let mut counts = [1, 0, 0, 0];
    lines.iter().for_each(|line| counts[line.0 + 1] += 1);
    let mut bytes = Header { id: 7, flags: flag::QR | flags, counts }.to_bytes().to_vec();
    bytes.extend(wire(name));
    bytes.extend(qtype.to_be_bytes());
    bytes.extend([0, 1]);
    for (_, owner, ttl, rtype, text) in lines {
        let owner = if *owner == name { vec![0xc0, 0x0c] } else { wire(owner) };
        let data = data(*rtype, text);
        bytes.extend(owner);
        bytes.extend(rtype.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

/// What is made of a message from a route.
pub fn judged(route: u16, rebinding: Option<&Rebinding>, message: &[u8]) -> Verdict {
    let name = NameBuf::expand(message, 12).unwrap();
    let end = 12 + name.as_wire().len();
    let qtype = read_u16(message, end).unwrap();
    let question = Question { name: name.as_wire(), qtype, qclass: 1 };
    let asked = Asked { question, edns: true, spelling: Spelling::FOLDED, exact: true };
    let rules = Rules { route, name: "test", caps: CAPS, horizons: &Three, rebinding };
    judge(asked, message, &rules)
}

/// An answer in one line: rcode, kind, what it is beside, and its records.
pub fn shown(verdict: &Verdict) -> String {
    let (accepted, mut out) = match verdict {
        Verdict::Accepted(accepted) => (accepted, String::new()),
        Verdict::Truncated(Some(accepted)) => (&**accepted, "truncated ".to_owned()),
        other => return format!("{other:?}"),
    };
    let answer = &accepted.answer;
    write!(out, "{} {:?}", answer.rcode(), answer.kind).unwrap();
    for (is, what) in [
        (answer.onward, " onward"),
        (answer.header().has(flag::TC), " tc"),
        (answer.header().has(flag::AD), " ad"),
    ] {
        out.push_str(if is { what } else { "" });
    }
    if let Some(ede) = answer.ede() {
        write!(out, " ede={}", ede.code).unwrap();
    }
    match accepted.lifetime {
        Some(seconds) => write!(out, " for {seconds}").unwrap(),
        None => out.push_str(" not kept"),
    }
    let counts = answer.header().counts;
    for record in
        Records::new(answer.wire(), answer.question_end(), [counts[1], counts[2], counts[3]])
    {
        let record = record.unwrap();
        let owner = NameBuf::expand(answer.wire(), record.start).unwrap();
        let mark = ["", "auth:", "add:"][usize::from(record.section)];
        let owner = Presentation(owner.as_wire());
        write!(out, " | {mark}{owner} {}/{}", record.rtype, record.ttl).unwrap();
    }
    assert_eq!(
        answer.view().ttls().len(),
        counts[1..].iter().map(|c| usize::from(*c)).sum::<usize>()
    );
    out
}
