//! What a client asks, seen in its own bytes.

use super::edns::Edns;
use super::header::{self, Header, Rcode, flag};
use super::name::end_of;
use super::records::{Records, skip_name};
use super::{CLASS_CH, CLASS_IN, read_u16, rtype};

/// A sound query with one question.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Id and flags as they came.
    pub header: Header,
    /// The question's name, uncompressed, in the client's own case, root label included.
    pub name: &'a [u8],
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS: IN or CH.
    pub qclass: u16,
    /// The client's OPT.
    pub edns: Option<Edns<'a>>,
}

/// Why a packet is no query that can be answered in the ordinary way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'a> {
    /// Fewer than twelve bytes: dropped.
    Short,
    /// QR is set: dropped, or two servers could answer each other for ever.
    Response,
    /// No question, but a cookie: to be answered with ours (RFC 7873, 5.4).
    Cookie(Edns<'a>),
    /// To be answered with `rcode`.
    Answer {
        /// FORMERR, NOTIMP, REFUSED or BADVERS.
        rcode: Rcode,
        /// How many bytes of the packet the answer echoes: the header, or header and question.
        echo: usize,
        /// The query's OPT as far as it could be read, so that the answer has one too: FORMERR
        /// without it would say that there is no EDNS here (RFC 6891, 7).
        edns: Option<Edns<'a>>,
        /// Whether the class was at fault (EDE 21).
        class: bool,
    },
}

impl<'a> Query<'a> {
    /// Parses and judges a packet by its shape alone.
    ///
    /// # Errors
    /// The [`Fault`] that a packet deserves; never panics, whatever the bytes.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Result<Query<'a>, Fault<'a>> {
        let header = Header::read(packet).ok_or(Fault::Short)?;
        if header.has(flag::QR) {
            return Err(Fault::Response);
        }
        let (name, qtype, qclass, end) = match read_question(packet) {
            Some(question) if header.counts[0] == 1 => question,
            _ => return Err(without_question(packet, &header)),
        };
        if header.opcode() != 0 {
            return Err(broken(packet, &header, Rcode::NOTIMP, end));
        }
        let Ok(edns) = read_edns(packet, &header, end) else {
            return Err(broken(packet, &header, Rcode::FORMERR, end));
        };
        let fault = |rcode, class| Err(Fault::Answer { rcode, echo: end, edns, class });
        if edns.is_some_and(|e| e.version > 0) {
            return fault(Rcode::BADVERS, false);
        }
        if qclass != CLASS_IN && qclass != CLASS_CH {
            return fault(Rcode::REFUSED, true);
        }
        match qtype {
            rtype::AXFR | rtype::IXFR => fault(Rcode::REFUSED, false),
            rtype::MAILA | rtype::MAILB => fault(Rcode::NOTIMP, false),
            rtype::OPT | rtype::TSIG | rtype::TKEY => fault(Rcode::FORMERR, false),
            _ => Ok(Query { header, name, qtype, qclass, edns }),
        }
    }

    /// FORMERR for this query: a part of it that is sound over one transport is none over another.
    #[cold]
    pub fn malformed(&self) -> Fault<'a> {
        let echo = header::LEN + self.name.len() + 4;
        Fault::Answer { rcode: Rcode::FORMERR, echo, edns: self.edns, class: false }
    }

    /// Name and type of what may be a sound query, or not.
    #[inline]
    pub fn peek(packet: &'a [u8]) -> Option<(&'a [u8], u16)> {
        read_question(packet).map(|(name, qtype, _, _)| (name, qtype))
    }

    /// Whether DO is set.
    #[inline]
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|e| e.dnssec_ok)
    }
}

/// Name, type, class and end of the question; a compression pointer in it is no question.
#[inline]
fn read_question(packet: &[u8]) -> Option<(&[u8], u16, u16, usize)> {
    let body = packet.get(header::LEN..)?;
    let len = end_of(body)?;
    let at = header::LEN + len;
    let (qtype, qclass) = (read_u16(packet, at)?, read_u16(packet, at + 2)?);
    Some((&body[..len], qtype, qclass, at + 4))
}

/// The OPT of a query, if any. An error if records are cut short, bytes are left over, or there are
/// two OPT, one outside the additional section, one not at the root (RFC 6891, 6.1.1), or one with
/// options that are malformed. Those of a version that we do not know are not looked at.
#[inline]
fn read_edns<'a>(packet: &'a [u8], header: &Header, at: usize) -> Result<Option<Edns<'a>>, ()> {
    let [_, answers, authorities, additionals] = header.counts;
    if answers | authorities | additionals == 0 {
        return if packet.len() == at { Ok(None) } else { Err(()) };
    }
    let mut edns = None;
    let mut records = Records::new(packet, at, [answers, authorities, additionals]);
    for record in records.by_ref() {
        let record = record.map_err(|_| ())?;
        if record.rtype != rtype::OPT {
            continue;
        }
        if edns.is_some() || record.section != 2 || packet[record.start] != 0 {
            return Err(());
        }
        let rdata = &packet[record.rdata.clone()];
        let fixed = Edns::fixed(record.class, record.ttl);
        edns = Some(if rdata.is_empty() || fixed.version > 0 {
            fixed
        } else {
            fixed.with(rdata).filter(Edns::is_cookie_sound).ok_or(())?
        });
    }
    if records.position() == packet.len() { Ok(edns) } else { Err(()) }
}

/// What a packet deserves whose question is not one, or not the only one.
#[cold]
fn without_question<'a>(packet: &'a [u8], header: &Header) -> Fault<'a> {
    if header.opcode() != 0 {
        return broken(packet, header, Rcode::NOTIMP, header::LEN);
    }
    if header.counts[0] == 0
        && let Ok(Some(edns)) = read_edns(packet, header, header::LEN)
    {
        if edns.version > 0 {
            return broken(packet, header, Rcode::BADVERS, header::LEN);
        }
        if edns.cookie().is_some() {
            return Fault::Cookie(edns);
        }
    }
    broken(packet, header, Rcode::FORMERR, header::LEN)
}

#[cold]
fn broken<'a>(packet: &'a [u8], header: &Header, rcode: Rcode, echo: usize) -> Fault<'a> {
    Fault::Answer { rcode, echo, edns: find_edns(packet, header), class: false }
}

/// The OPT of a packet that is wrong somewhere: the first in its place that is reached, with its
/// options if they are sound.
fn find_edns<'a>(packet: &'a [u8], header: &Header) -> Option<Edns<'a>> {
    let [questions, sections @ ..] = header.counts;
    let mut at = header::LEN;
    for _ in 0..questions {
        at = skip_name(packet, at)? + 4;
    }
    let record = Records::new(packet, at, sections)
        .map_while(Result::ok)
        .find(|r| r.rtype == rtype::OPT && r.section == 2 && packet[r.start] == 0)?;
    let fixed = Edns::fixed(record.class, record.ttl);
    let edns = Edns::read(record.class, record.ttl, &packet[record.rdata]);
    let sound = edns.filter(|edns| edns.version == 0 && edns.is_cookie_sound());
    Some(sound.unwrap_or(fixed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn query(tail: &[u8], counts: [u8; 4]) -> Vec<u8> {
        let [qd, an, ns, ar] = counts;
        let mut packet = vec![0xab, 0xcd, 1, 0, 0, qd, 0, an, 0, ns, 0, ar];
        packet.extend(tail);
        packet
    }

    const A: &[u8] = b"\x03WWW\x07example\0\0\x01\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";

    fn rcode_of(packet: &[u8]) -> Rcode {
        match Query::parse(packet) {
            Err(Fault::Answer { rcode, .. }) => rcode,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_and_an_edns_question() {
        let packet = query(A, [1, 0, 0, 0]);
        let asked = Query::parse(&packet).unwrap();
        assert_eq!(asked.name, b"\x03WWW\x07example\0");
        assert_eq!((asked.qtype, asked.qclass, asked.header.id), (1, 1, 0xabcd));
        assert!(asked.edns.is_none());
        let packet = query(&[A, OPT].concat(), [1, 0, 0, 1]);
        let asked = Query::parse(&packet).unwrap();
        assert!(asked.dnssec_ok());
        assert_eq!(asked.edns.unwrap().payload, 4096);
    }

    #[test]
    fn faults() {
        assert_eq!(Query::parse(&[0; 11]).unwrap_err(), Fault::Short);
        let mut response = query(A, [1, 0, 0, 0]);
        response[2] |= 0x80;
        assert_eq!(Query::parse(&response).unwrap_err(), Fault::Response);
        let mut notify = query(A, [1, 0, 0, 0]);
        notify[2] |= 4 << 3;
        assert_eq!(rcode_of(&notify), Rcode::NOTIMP);
        for (tail, counts) in [
            (A, [0, 0, 0, 0]),
            (A, [2, 0, 0, 0]),
            (&[A, b"x"].concat(), [1, 0, 0, 0]),
            (b"\xc0\x0c\0\x01\0\x01", [1, 0, 0, 0]),
            (b"\x40", [1, 0, 0, 0]),
            (A, [1, 0, 0, 1]),
            (&[A, OPT, OPT].concat(), [1, 0, 0, 2]),
            (&[A, OPT].concat(), [1, 1, 0, 0]),
            (&[A, b"\0\0\x29\x10\0\0\0\0\0\0\x01x"].concat(), [1, 0, 0, 1]),
            (b"\x01a\0\0\x29\0\x01", [1, 0, 0, 0]),
        ] {
            assert_eq!(rcode_of(&query(tail, counts)), Rcode::FORMERR, "{tail:?} {counts:?}");
        }
        let version1 = b"\0\0\x29\x10\0\0\x01\0\0\0\0";
        assert_eq!(rcode_of(&query(&[A, version1].concat(), [1, 0, 0, 1])), Rcode::BADVERS);
        for (question, rcode) in [
            (&b"\x01a\0\0\x01\0\x04"[..], Rcode::REFUSED),
            (b"\x01a\0\0\xfc\0\x01", Rcode::REFUSED),
            (b"\x01a\0\0\xfb\0\x01", Rcode::REFUSED),
            (b"\x01a\0\0\xfd\0\x01", Rcode::NOTIMP),
            (b"\x01a\0\0\xfe\0\x01", Rcode::NOTIMP),
        ] {
            assert_eq!(rcode_of(&query(question, [1, 0, 0, 0])), rcode, "{question:?}");
        }
    }
}
