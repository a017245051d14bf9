//! `ipv4only.arpa`, by which clients learn that there is a DNS64 and what its prefix is (RFC 7050),
//! and its two reverse names.

use std::net::Ipv4Addr;

use crate::answer::{Answer, Question, Section, Writer};
use crate::config::Nat64;
use crate::local::negative;
use crate::wire::header::{Rcode, flag};
use crate::wire::name::is_within;
use crate::wire::{CLASS_IN, rtype};

const NAME: &[u8] = b"\x08ipv4only\x04arpa\0";
const REVERSE: [&[u8]; 2] = [
    b"\x03170\x010\x010\x03192\x07in-addr\x04arpa\0",
    b"\x03171\x010\x010\x03192\x07in-addr\x04arpa\0",
];
/// What the name has (RFC 7050, 8.2).
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// TTL of what is found, in seconds: clients ask again when it ends (RFC 7050, 3), and so learn of a
/// prefix that has changed.
const TTL: u32 = 600;

/// What a DNS64 answers by itself about `ipv4only.arpa` (RFC 8880, 7.1) and the reverse names of its
/// two addresses (7.2): both addresses to A, both under the prefix to AAAA, though they are not global;
/// the name to PTR; nothing to other types; NXDOMAIN for all names below. `None` for every other name,
/// and for DS, which shows validators that nothing here is signed, and is resolved as ever.
pub fn ipv4only(question: Question<'_>, nat64: &Nat64) -> Option<Answer> {
    let mut apexes = [NAME, REVERSE[0], REVERSE[1]].into_iter();
    let apex = apexes.find(|apex| is_within(question.name, apex))?;
    if question.qclass != CLASS_IN || question.qtype == rtype::DS {
        return None;
    }
    if question.name != apex {
        return Some(negative(question, Rcode::NXDOMAIN, apex));
    }
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    let fixed = (question.qtype, CLASS_IN, TTL);
    let mut put = |rdata: &[u8]| writer.record(Section::Answer, &[0xc0, 0x0c], fixed, &[rdata]);
    match question.qtype {
        rtype::A if apex == NAME => ADDRESSES.iter().for_each(|addr| _ = put(&addr.octets())),
        rtype::AAAA if apex == NAME => {
            ADDRESSES.iter().for_each(|addr| _ = put(&nat64.embed(*addr).octets()));
        }
        rtype::PTR if apex != NAME => _ = put(NAME),
        _ => return Some(negative(question, Rcode::NOERROR, apex)),
    }
    Some(writer.finish())
}
