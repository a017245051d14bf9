//! Reverse names of addresses under the prefix (RFC 6147, 5.3.1).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::answer::{Answer, Question, Section, Writer};
use crate::config::Nat64;
use crate::wire::header::{Rcode, flag};
use crate::wire::{CLASS_IN, rtype};

/// TTL of the alias, in seconds: long enough for a client's retries, short enough for a prefix that
/// is changed.
const TTL: u32 = 600;

/// A PTR question for an address under the prefix is answered by an alias to the reverse name of
/// the IPv4 address inside (RFC 6147, 5.3.1, second way): the beginning of an answer
/// ([`Answer::onward`]), whose target belongs to whoever owns that address. `None` for every other
/// question.
pub fn pointer(question: Question<'_>, nat64: &Nat64) -> Option<Answer> {
    if question.qtype != rtype::PTR || question.qclass != CLASS_IN {
        return None;
    }
    let addr = nat64.extract(address(question.name)?)?;
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    writer.onward = true;
    let fixed = (rtype::CNAME, CLASS_IN, TTL);
    writer.record(Section::Answer, &[0xc0, 0x0c], fixed, &[&reverse_name(addr)]);
    Some(writer.finish())
}

/// The address that a folded name under `ip6.arpa` spells out to the last nibble (RFC 3596, 2.5).
fn address(name: &[u8]) -> Option<Ipv6Addr> {
    let nibbles = name.strip_suffix(b"\x03ip6\x04arpa\0").filter(|n| n.len() == 64)?;
    let (labels, _) = nibbles.as_chunks::<2>();
    let mut bits = 0u128;
    for (i, [len, digit]) in labels.iter().enumerate() {
        let value = char::from(*digit).to_digit(16).filter(|_| *len == 1)?;
        bits |= u128::from(value) << (4 * i);
    }
    Some(Ipv6Addr::from_bits(bits))
}

/// `d.c.b.a.in-addr.arpa` of `a.b.c.d` (RFC 1035, 3.5).
fn reverse_name(addr: Ipv4Addr) -> Vec<u8> {
    let mut name = Vec::with_capacity(30);
    for octet in addr.octets().into_iter().rev() {
        let digits = octet.to_string();
        name.push(digits.len() as u8);
        name.extend(digits.bytes());
    }
    name.extend(b"\x07in-addr\x04arpa\0");
    name
}
