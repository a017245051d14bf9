//! DNS64 (RFC 6147): IPv6 addresses for names that only have IPv4 ones, for clients behind a NAT64.
//!
//! Of a route whose configuration names the NAT64's prefix. The order of things, which the caller
//! keeps: a question that [`applies`] is answered as ever; where that answer [`wants_a`], the same
//! name is asked for A, and [`synthesize`] makes the answer of both. Reverse names under the prefix
//! become aliases of IPv4 ones ([`pointer`]), and `ipv4only.arpa`, by which clients learn the prefix, is
//! answered here ([`ipv4only`]).
//!
//! Takes bytes and gives bytes: it asks nobody and keeps nothing.

mod discovery;
mod reverse;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use discovery::ipv4only;
pub use reverse::pointer;

use crate::answer::{Answer, Question, View, Writer};
use crate::compose::{Copied, Copier, Part, now, owned};
use crate::config::Nat64;
use crate::wire::header::{Header, Rcode, flag};
use crate::wire::records::{Record, Records};
use crate::wire::{CLASS_IN, read_u16, rtype};

/// TTL of what is made where the answer without IPv6 addresses came without an SOA (RFC 6147, 5.1.7).
const TTL_WITHOUT_SOA: u32 = 600;

/// Whether DNS64 has to do with a question at all: AAAA in class IN (RFC 6147, 5.1), unless the client
/// sets both DO and CD: it validates by itself, and what is made here has no signature; it must get the
/// data as they are (5.5, third case).
pub fn applies(question: Question<'_>, dnssec_ok: bool, checking_disabled: bool) -> bool {
    question.qtype == rtype::AAAA
        && question.qclass == CLASS_IN
        && !(dnssec_ok && checking_disabled)
}

/// Whether an answer to a question for AAAA has to be replaced by one made of the name's A records:
///
/// - no, where it has an AAAA that counts (RFC 6147, 5.1.1). Those under `::ffff:0:0/96` do not
///   (5.1.4): no host with IPv6 alone can use them;
/// - no, where it is NXDOMAIN: the name has no A either (5.1.2);
/// - yes, where it is empty, be it at the end of a chain (5.1.5), or any other failure, which counts as
///   an empty answer (5.1.2; 5.1.3 for silence).
///
/// No, too, where it is cut short (what is missing may be addresses) or does not parse.
pub fn wants_a(aaaa: View<'_>) -> bool {
    match aaaa.rcode() {
        Rcode::NXDOMAIN => false,
        Rcode::NOERROR => has_no_address(aaaa).unwrap_or(false),
        _ => true,
    }
}

fn has_no_address(aaaa: View<'_>) -> Option<bool> {
    let head = Header::read(aaaa.wire)?;
    for record in Records::new(aaaa.wire, aaaa.question_end, [head.counts[1], 0, 0]) {
        let record = record.ok()?;
        if record.rtype == rtype::AAAA && record.class == CLASS_IN {
            let octets: [u8; 16] = aaaa.wire.get(record.rdata)?.try_into().ok()?;
            if Ipv6Addr::from(octets).to_ipv4_mapped().is_none() {
                return Some(false);
            }
        }
    }
    Some(!head.has(flag::TC))
}

/// The answer to a `question` for AAAA, made of the answer to the same name's A (RFC 6147, 5.1.6 and
/// 5.4), `aaaa` being the answer that [`wants_a`]:
///
/// - each A becomes an AAAA under the prefix, with the lesser TTL of the A and of the SOA that came
///   with `aaaa`, 600 s where none came (5.1.7). Those that the prefix must not stand for
///   are left out ([`Nat64::translates`]), and so are the signatures of the A records;
/// - CNAME and DNAME stay (5.1.5), as do authority and additional section (5.3.2);
/// - where `a` is empty or an error, that is the answer (5.1.6);
/// - AD is cleared: nobody has validated what is made here (5.5).
///
/// `None`, so that `aaaa` stands, where none of the A records may be translated, where `a` does not
/// parse, or where what is made does not fit into a message.
pub fn synthesize(
    question: Question<'_>,
    aaaa: &Part<'_>,
    a: &Part<'_>,
    nat64: &Nat64,
) -> Option<Answer> {
    let wire = a.view.wire;
    let head = Header::read(wire)?;
    let cap = soa_ttl(aaaa).unwrap_or(TTL_WITHOUT_SOA);
    let room = a.view.whole.len() + 20 * a.view.ttls().len();
    let mut writer =
        Writer::with_room(question, a.view.rcode(), head.flags & flag::TC, room.min(1 << 16));
    writer.kind = a.kind;
    writer.ede = a.view.ede.map(owned);
    let mut copier = Copier::new(writer, None);
    let (mut made, mut left_out) = (false, false);
    let [_, sections @ ..] = head.counts;
    for record in Records::new(wire, a.view.question_end, sections) {
        let record = record.ok()?;
        let ttl = now(record.ttl, a.ttl);
        let copied = if is_a(&record) {
            let Some(v4) = address(wire, &record).filter(|v4| nat64.translates(*v4)) else {
                left_out = true;
                continue;
            };
            made = true;
            let fixed = (rtype::AAAA, CLASS_IN, ttl.min(cap));
            copier.replaced(wire, &record, fixed, &nat64.embed(v4).octets())?
        } else if is_signature_of_a(wire, &record) {
            continue;
        } else {
            copier.record(wire, &record, ttl)?
        };
        match (copied, record.section) {
            (Copied::Fits, _) => {}
            // Additional records alone may go without TC (RFC 2181, 9).
            (Copied::DoesNotFit, 2) => break,
            (Copied::DoesNotFit, _) => return None,
        }
    }
    (made || !left_out).then(|| copier.writer.finish())
}

fn is_a(record: &Record) -> bool {
    record.section == 0 && record.rtype == rtype::A && record.class == CLASS_IN
}

fn address(wire: &[u8], a: &Record) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = wire.get(a.rdata.clone())?.try_into().ok()?;
    Some(octets.into())
}

fn is_signature_of_a(wire: &[u8], record: &Record) -> bool {
    let covered = read_u16(wire, record.rdata.start);
    record.section == 0 && record.rtype == rtype::RRSIG && covered == Some(rtype::A)
}

/// What is left of the TTL of the SOA in a negative answer.
fn soa_ttl(part: &Part<'_>) -> Option<u32> {
    let head = Header::read(part.view.wire)?;
    let counts = [head.counts[1], head.counts[2], 0];
    let mut records = Records::new(part.view.wire, part.view.question_end, counts);
    let is_soa = |r: &Record| r.section == 1 && r.rtype == rtype::SOA;
    let soa = records.find_map(|record| record.ok().filter(is_soa))?;
    Some(now(soa.ttl, part.ttl))
}

#[cfg(test)]
mod tests;
