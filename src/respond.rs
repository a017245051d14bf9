//! Makes the last bytes: id, case of the question, flags, TTLs, EDNS, truncation.
//!
//! Takes an answer's [`View`] and what one client needs to know, and writes into the buffer that is
//! sent.
//! Nothing here allocates, looks up or decides.

use crate::answer::View;
use crate::wire::edns::{Ede, Edns, MIN_PAYLOAD, OPT_LEN, OUR_PAYLOAD, OptWriter, code};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::query::Query;
use crate::wire::{MAX_MESSAGE, read_u16, write_u16};

/// What an answer must know of its question.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The client's id.
    pub id: u16,
    /// The client's flag word.
    pub flags: u16,
    /// The question's name in the client's case; as long as the answer's.
    pub name: &'a [u8],
    /// The client's OPT, if it sent one.
    pub edns: Option<AskEdns>,
    /// Bytes that the answer may have.
    pub room: u16,
}

/// What of the client's OPT shapes the answer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AskEdns {
    /// DO, copied into the answer (RFC 3225, 3).
    pub dnssec_ok: bool,
    /// Whether an NSID was asked for (RFC 5001).
    pub nsid: bool,
    /// What an asked-for keepalive option says: after how long an idle connection is closed, in units
    /// of 100 ms (RFC 7828).
    pub keepalive: Option<u16>,
    /// The client's cookie and ours behind it (RFC 9018), where the client sent one.
    pub cookie: Option<[u8; COOKIE_LEN]>,
}

/// Length of a client's cookie and ours.
pub const COOKIE_LEN: usize = 24;

impl AskEdns {
    /// As asked; keepalive and cookie are for those to fill in who know them.
    #[inline]
    pub fn of(edns: &Edns<'_>) -> AskEdns {
        AskEdns { dnssec_ok: edns.dnssec_ok, nsid: edns.nsid, keepalive: None, cookie: None }
    }

    /// Bytes of the answer's OPT with the options that must be in it. Others give way to records.
    #[inline]
    fn reserve(&self) -> usize {
        let keepalive = if self.keepalive.is_some() { 4 + 2 } else { 0 };
        let cookie = if self.cookie.is_some() { 4 + COOKIE_LEN } else { 0 };
        OPT_LEN + keepalive + cookie
    }
}

/// Bytes that an answer to this query may have; `stream` is true over TCP, where only the length
/// prefix limits it.
#[inline]
pub fn room(edns: Option<&Edns<'_>>, stream: bool) -> u16 {
    match edns {
        _ if stream => MAX_MESSAGE as u16,
        Some(edns) => edns.payload.clamp(MIN_PAYLOAD, OUR_PAYLOAD),
        None => MIN_PAYLOAD,
    }
}

impl<'a> Ask<'a> {
    /// From a query; `stream` is true over TCP.
    #[inline]
    pub fn of(query: &Query<'a>, stream: bool) -> Ask<'a> {
        let edns = query.edns.as_ref();
        Ask {
            id: query.header.id,
            flags: query.header.flags,
            name: query.name,
            edns: edns.map(AskEdns::of),
            room: room(edns, stream),
        }
    }

    /// Whether AD may be set in the answer: where AD or DO was set in the query (RFC 6840, 5.7).
    #[inline]
    fn wants_ad(&self) -> bool {
        self.flags & flag::AD != 0 || self.edns.is_some_and(|e| e.dnssec_ok)
    }
}

/// What happens to the TTLs of an answer on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// So many seconds have passed since it came.
    Elapsed(u32),
    /// All are set to this many seconds (RFC 8767, 4: 30).
    Fixed(u32),
}

/// Writes the answer for one client into `out` and returns its length: at most `ask.room` and
/// `out.len()` bytes. Where records do not fit, TC is set and as many whole records as fit are
/// kept, from the front (RFC 2181, 9). `note` is an extended error beside the answer's own.
/// Returns 0 if not even header, question and OPT fit, which takes an `out` under 316 bytes.
#[inline]
pub fn answer(
    answer: View<'_>,
    ask: &Ask<'_>,
    ttl: Ttl,
    note: Option<&Ede>,
    nsid: &[u8],
    out: &mut [u8],
) -> usize {
    let room = usize::from(ask.room).min(out.len());
    let out = &mut out[..room];
    let wire = answer.wire;
    let reserve = ask.edns.as_ref().map_or(0, AskEdns::reserve);
    let mut end = wire.len();
    if end + reserve > room {
        let Some(kept) = truncate(answer, reserve, out) else { return 0 };
        end = kept;
    } else {
        out[..end].copy_from_slice(wire);
    }
    patch_head(answer, ask, out);
    patch_ttls(answer, ttl, &mut out[..end]);
    if let Some(edns) = &ask.edns {
        end = append_opt(answer, edns, note, nsid, end, out);
    }
    end
}

#[inline]
fn patch_head(answer: View<'_>, ask: &Ask<'_>, out: &mut [u8]) {
    write_u16(out, 0, ask.id);
    let mut flags = u16::from_be_bytes([out[2], out[3]]);
    flags |= ask.flags & (flag::RD | flag::CD);
    if !ask.wants_ad() {
        flags &= !flag::AD;
    }
    write_u16(out, 2, flags);
    if answer.question_end == header::LEN + ask.name.len() + 4 {
        out[header::LEN..header::LEN + ask.name.len()].copy_from_slice(ask.name);
    }
}

#[inline]
fn patch_ttls(answer: View<'_>, ttl: Ttl, out: &mut [u8]) {
    if ttl == Ttl::Elapsed(0) {
        return;
    }
    for at in answer.ttls() {
        let Some(field) = out.get_mut(at..at + 4).and_then(|f| f.first_chunk_mut::<4>()) else {
            return;
        };
        *field = match ttl {
            Ttl::Elapsed(seconds) => u32::from_be_bytes(*field).saturating_sub(seconds),
            Ttl::Fixed(seconds) => seconds,
        }
        .to_be_bytes();
    }
}

#[inline]
fn append_opt(
    answer: View<'_>,
    edns: &AskEdns,
    note: Option<&Ede>,
    nsid: &[u8],
    end: usize,
    out: &mut [u8],
) -> usize {
    let Some(mut opt) = OptWriter::begin(out, end, 0, edns.dnssec_ok) else { return end };
    write_options(&mut opt, edns, nsid);
    for error in note.map(Ede::as_ref).into_iter().chain(answer.ede) {
        opt.ede(error);
    }
    let end = opt.finish();
    let additionals = u16::from_be_bytes([out[10], out[11]]);
    write_u16(out, 10, additionals.saturating_add(1));
    end
}

/// The options but for extended errors: first those that must be there, then what fits.
#[inline]
fn write_options(opt: &mut OptWriter<'_>, edns: &AskEdns, nsid: &[u8]) {
    if let Some(cookie) = &edns.cookie {
        opt.option(code::COOKIE, &[cookie]);
    }
    if let Some(timeout) = edns.keepalive {
        opt.option(code::KEEPALIVE, &[&timeout.to_be_bytes()]);
    }
    if edns.nsid {
        opt.option(code::NSID, &[nsid]);
    }
}

/// Copies header, question and as many whole records as fit beside an OPT of `reserve` bytes, sets TC
/// and the counts. Additional records alone may go without TC (RFC 2181, 9).
#[cold]
fn truncate(answer: View<'_>, reserve: usize, out: &mut [u8]) -> Option<usize> {
    let wire = answer.wire;
    let limit = out.len().checked_sub(reserve)?;
    let mut head = Header::read(wire)?;
    let [questions, sections @ ..] = head.counts;
    let mut end = answer.question_end;
    if end > limit {
        return None;
    }
    // Every record has its TTL in the list, and behind that the length of its RDATA.
    let record_end = |at: usize| {
        let length = read_u16(wire, at + 4).unwrap_or(u16::MAX);
        at + 6 + usize::from(length)
    };
    let mut kept = answer.ttls_within(|at| record_end(at) <= limit);
    if let Some(last) = kept.checked_sub(1).and_then(|last| answer.ttls().nth(last)) {
        end = record_end(last);
    }
    let counts = sections.map(|count| {
        let count = usize::from(count).min(kept);
        kept -= count;
        count as u16
    });
    if counts[..2] != sections[..2] {
        head.flags |= flag::TC;
    }
    head.counts = [questions, counts[0], counts[1], counts[2]];
    out[..end].copy_from_slice(&wire[..end]);
    out[..header::LEN].copy_from_slice(&head.to_bytes());
    Some(end)
}

/// An answer without records: to a packet that is no ordinary query, or to a query that is turned away.
#[derive(Debug, Clone, Copy)]
pub struct Bare<'a> {
    /// How many bytes of the packet come back: the header, or header and question.
    pub echo: usize,
    /// The response code.
    pub rcode: Rcode,
    /// Whether TC is set: ask again over TCP.
    pub truncated: bool,
    /// The client's OPT, if it could be read.
    pub edns: Option<AskEdns>,
    /// Why, if there is more to say than the response code does.
    pub note: Option<&'a Ede>,
}

/// Writes a [`Bare`] answer to `packet` into `out`, which is as long as the answer may be. Returns the
/// length; 0 if `out` is too small.
pub fn bare(packet: &[u8], answer: Bare<'_>, nsid: &[u8], out: &mut [u8]) -> usize {
    let Bare { echo, rcode, truncated, edns, note } = answer;
    let (Some(head), Some(room)) = (Header::read(packet), out.get_mut(..echo)) else { return 0 };
    let Some(echoed) = packet.get(..echo) else { return 0 };
    room.copy_from_slice(echoed);
    let kept = head.flags & (flag::OPCODE | flag::RD | flag::CD);
    let tc = if truncated { flag::TC } else { 0 };
    let questions = u16::from(echo > header::LEN);
    let answer = Header {
        id: head.id,
        flags: flag::QR | flag::RA | tc | kept | (rcode.0 & flag::RCODE),
        counts: [questions, 0, 0, u16::from(edns.is_some())],
    };
    out[..header::LEN].copy_from_slice(&answer.to_bytes());
    let Some(edns) = edns else { return echo };
    let extended = (rcode.0 >> 4) as u8;
    let Some(mut opt) = OptWriter::begin(out, echo, extended, edns.dnssec_ok) else { return 0 };
    write_options(&mut opt, &edns, nsid);
    if let Some(ede) = note {
        opt.ede(ede.as_ref());
    }
    opt.finish()
}

#[cfg(test)]
mod tests;
