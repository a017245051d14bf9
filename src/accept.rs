//! Judges what an upstream sent before anything believes it.
//!
//! The exchange has matched socket and id; here the question, the shape of every record, the
//! response code and the TTLs are checked, and what passes becomes an [`Answer`]. Nothing here
//! sends, waits or caches.

mod names;

use names::{is_question_pointer, names_are_sound, owner_is, owner_is_above, parts_all};
use smallvec::SmallVec;

use crate::answer::{Answer, Kind, Question, Section, Writer};
use crate::wire::edns::{Ede, Edns, code};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::records::{NameBuf, Record, Records, names_in, skip_name};
use crate::wire::{read_u16, read_u32, rtype};

/// What was asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The question, folded.
    pub question: Question<'a>,
    /// Whether our query had an OPT.
    pub edns: bool,
}

/// Caps of the route, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// No TTL is greater.
    pub max_ttl: u32,
    /// No negative answer lives longer (RFC 2308, 5).
    pub max_negative_ttl: u32,
}

/// An answer that may be given to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What clients get.
    pub answer: Answer,
    /// For how many seconds it may be kept; `None`: not at all.
    pub lifetime: Option<u32>,
}

/// What a datagram or message from an upstream is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An answer.
    Accepted(Accepted),
    /// Not an answer to this question: over UDP it is ignored, as whoever sent it may be guessing
    /// (RFC 5452, 9.1), and the wait goes on.
    NotOurs,
    /// TC is set: to be asked again over TCP; what came is sound and may serve if TCP fails.
    Truncated(Option<Box<Accepted>>),
    /// Bytes that do not parse: over UDP to be asked again over TCP.
    Malformed,
    /// FORMERR, NOTIMP or BADVERS to a query with OPT: to be asked again without (RFC 6891, 7).
    NoEdns(Rcode),
    /// A response code or content that is no answer: the next upstream is to be asked.
    Failed(Failed),
}

/// An upstream's refusal to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its response code.
    pub rcode: Rcode,
    /// Its own reason, if it gave one.
    pub ede: Option<Ede>,
}

/// Judges one message.
pub fn judge(asked: Asked<'_>, message: &[u8], caps: Caps) -> Verdict {
    let Some(header) = Header::read(message) else { return Verdict::NotOurs };
    if !header.has(flag::QR) || header.opcode() != 0 {
        return Verdict::NotOurs;
    }
    let Some(question_end) = match_question(&asked.question, message, &header) else {
        // A server that does not know EDNS may answer with a bare header (RFC 6891, 7).
        let bare = header.counts[0] == 0 && message.len() == header::LEN;
        return match (bare, header.rcode()) {
            (true, 1 | 4) if asked.edns => Verdict::NoEdns(Rcode(header.rcode())),
            (true, 1..) => failed(Rcode(header.rcode()), None),
            _ => Verdict::NotOurs,
        };
    };
    let mut survey = Survey::new(&header, question_end);
    let sound = survey.walk(message, &header).is_some();
    if header.has(flag::TC) {
        // Any other code would reach the client as a truncated answer that is none.
        let passes = sound && matches!(survey.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        let partial = passes.then(|| survey.answers(&asked.question, message)).flatten();
        let partial = partial.map(|found| {
            let mut accepted = survey.accept(&asked.question, message, found, caps, flag::TC);
            accepted.lifetime = None;
            Box::new(accepted)
        });
        return Verdict::Truncated(partial);
    }
    if !sound {
        return Verdict::Malformed;
    }
    let rcode = survey.rcode;
    match rcode {
        Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS if asked.edns && !survey.has_opt => {
            Verdict::NoEdns(rcode)
        }
        Rcode::FORMERR | Rcode::BADVERS if asked.edns => Verdict::NoEdns(rcode),
        Rcode::NOERROR | Rcode::NXDOMAIN => match survey.answers(&asked.question, message) {
            Some(found) => {
                Verdict::Accepted(survey.accept(&asked.question, message, found, caps, 0))
            }
            None => failed(rcode, survey.ede),
        },
        Rcode(6..=10) => Verdict::Accepted(survey.accept(&asked.question, message, false, caps, 0)),
        _ => failed(rcode, survey.ede),
    }
}

fn failed(rcode: Rcode, ede: Option<Ede>) -> Verdict {
    Verdict::Failed(Failed { rcode, ede })
}

/// Where the question ends, if it is the one that was asked, bit for bit (RFC 5452, 9.1): servers send
/// back the bytes they got, and whoever writes the name in another case has not seen them.
fn match_question(asked: &Question<'_>, message: &[u8], header: &Header) -> Option<usize> {
    if header.counts[0] != 1 {
        return None;
    }
    let at = header::LEN + asked.name.len();
    let name = message.get(header::LEN..at)?;
    let same = name == asked.name
        && read_u16(message, at)? == asked.qtype
        && read_u16(message, at + 2)? == asked.qclass;
    same.then_some(at + 4)
}

/// What one walk over the records finds.
struct Survey {
    records: SmallVec<[Record; 4]>,
    question_end: usize,
    end: usize,
    rcode: Rcode,
    authentic: bool,
    authoritative: bool,
    has_opt: bool,
    ede: Option<Ede>,
}

impl Survey {
    /// Of a message that nothing is known of but its header and question.
    fn new(header: &Header, question_end: usize) -> Survey {
        Survey {
            records: SmallVec::new(),
            question_end,
            end: 0,
            rcode: Rcode(header.rcode()),
            authentic: header.has(flag::AD),
            authoritative: header.has(flag::AA),
            has_opt: false,
            ede: None,
        }
    }

    /// Walks everything; `None` if anything is cut short, broken, or left over.
    fn walk(&mut self, message: &[u8], header: &Header) -> Option<()> {
        let [_, answers, authorities, additionals] = header.counts;
        let counts = [answers, authorities, additionals];
        let mut walk = Records::new(message, self.question_end, counts);
        for record in walk.by_ref() {
            let record = record.ok()?;
            // Nearly every owner is a pointer to the question, which is known to be a name.
            if !is_question_pointer(message, record.start) {
                NameBuf::expand(message, record.start)?;
            }
            names_are_sound(message, &record)?;
            match record.rtype {
                rtype::OPT => self.note_opt(message, &record)?,
                // Nothing may stand behind a TSIG (RFC 8945, 5.1).
                rtype::TSIG if record.section != 2 || record.rdata.end < message.len() => {
                    return None;
                }
                _ => {}
            }
            self.records.push(record);
        }
        self.end = walk.position();
        (self.end == message.len() && self.names_stay(message)).then_some(())
    }

    /// Whether no name is made of bytes that change on the way to the client, the header or a TTL:
    /// it would change with them, or be none any more.
    fn names_stay(&self, message: &[u8]) -> bool {
        let changes = |from: usize, to: usize| {
            let next = self.records.partition_point(|r| r.ttl_at + 4 <= from);
            from < header::LEN || self.records.get(next).is_some_and(|r| r.ttl_at < to)
        };
        self.records.iter().all(|record| {
            let (front, count) = names_in(record.rtype).unwrap_or((0, 0));
            let mut at = record.rdata.start + front;
            let owner = parts_all(message, record.start, |from, to| !changes(from, to));
            owner
                && (0..count).all(|_| {
                    let here = at;
                    at = skip_name(message, here).unwrap_or(here);
                    parts_all(message, here, |from, to| !changes(from, to))
                })
        })
    }

    fn note_opt(&mut self, message: &[u8], opt: &Record) -> Option<()> {
        if self.has_opt || opt.section != 2 {
            return None;
        }
        self.has_opt = true;
        self.rcode = Rcode(self.rcode.0 | ((opt.ttl >> 24) as u16) << 4);
        let edns = Edns::read(opt.class, opt.ttl, &message[opt.rdata.clone()])?;
        self.ede = edns.option(code::EDE).and_then(Ede::read);
        Some(())
    }

    fn section(&self, section: u8) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.section == section)
    }

    /// Follows the CNAMEs of the answer section from the question. `Some(true)`: they lead to a
    /// record of the asked type; `Some(false)`: they end without one; `None`: there are answers,
    /// but none for this name.
    fn chain(&self, question: &Question<'_>, message: &[u8]) -> Option<bool> {
        let mut target: Option<NameBuf> = None;
        for step in 0..=MAX_CHAIN {
            let name = target.as_ref().map_or(question.name, NameBuf::as_wire);
            let own = |at| target.is_none() && is_question_pointer(message, at);
            let mut cname = None;
            for record in self.section(0).filter(|r| r.class == question.qclass) {
                if !own(record.start) && !owner_is(message, record.start, name) {
                    if record.rtype == rtype::DNAME && owner_is_above(message, record.start, name) {
                        return Some(true);
                    }
                    continue;
                }
                if record.rtype == question.qtype || question.qtype == rtype::ANY {
                    return Some(true);
                }
                if record.rtype == rtype::CNAME {
                    cname = Some(record.rdata.start);
                }
            }
            match cname {
                Some(at) => target = Some(NameBuf::expand(message, at)?),
                None if step == 0 && self.section(0).next().is_some() => return None,
                None => return Some(false),
            }
        }
        None
    }

    /// Whether it has records for the question; `None` where it does not answer it at all.
    fn answers(&self, question: &Question<'_>, message: &[u8]) -> Option<bool> {
        if self.is_referral() { None } else { self.chain(question, message) }
    }

    /// Whether it only says who else might know (RFC 2308, 2.2, types 1 and 3): a server that was
    /// to answer has not, and its word is no NODATA.
    fn is_referral(&self) -> bool {
        let has = |rtype| self.section(1).any(|r| r.rtype == rtype);
        self.rcode == Rcode::NOERROR
            && !self.authoritative
            && self.section(0).next().is_none()
            && has(rtype::NS)
            && !has(rtype::SOA)
    }

    /// Seconds that a negative answer may be kept: the lesser of the SOA's TTL and MINIMUM
    /// (RFC 2308, 5). `None` without an SOA.
    fn negative_ttl(&self, message: &[u8]) -> Option<u32> {
        let soa = self.section(1).find(|r| r.rtype == rtype::SOA)?;
        let mname_end = skip_name(message, soa.rdata.start)?;
        let rname_end = skip_name(message, mname_end)?;
        let minimum = read_u32(message, rname_end + 16)?;
        (rname_end + 20 == soa.rdata.end).then_some(sane_ttl(soa.ttl).min(sane_ttl(minimum)))
    }

    /// What clients get; `found`: with records for the question.
    fn accept(
        &mut self,
        question: &Question<'_>,
        message: &[u8],
        found: bool,
        caps: Caps,
        flags: u16,
    ) -> Accepted {
        let kind = match self.rcode {
            Rcode::NOERROR if found => Kind::Positive,
            Rcode::NOERROR | Rcode::NXDOMAIN => Kind::Negative,
            _ => Kind::Failure,
        };
        let least = self.records.iter().filter(|r| r.section < 2).map(|r| sane_ttl(r.ttl)).min();
        let (cap, lifetime) = match kind {
            Kind::Positive => (caps.max_ttl, least),
            Kind::Negative => {
                let negative = self.negative_ttl(message);
                (caps.max_negative_ttl.min(caps.max_ttl), negative.min(least))
            }
            Kind::Failure => (caps.max_ttl, None),
        };
        let ttl_cap = if kind == Kind::Negative { lifetime.unwrap_or(cap).min(cap) } else { cap };
        let flags = flags | if self.authentic { flag::AD } else { 0 };
        // The offsets of the TTLs go behind the records.
        let room = message.len() - self.question_end + 2 * self.records.len();
        let mut writer = Writer::with_room(*question, self.rcode, flags, room);
        writer.kind = kind;
        self.copy_records(message, ttl_cap, &mut writer);
        writer.ede = self.ede.take();
        Accepted {
            answer: writer.finish(),
            lifetime: lifetime.map(|t| t.min(cap)).filter(|&t| t > 0),
        }
    }

    /// Copies all records but OPT and TSIG, which speak of this hop alone (RFC 6891, 6.2.6). Those
    /// in front of the first of them are copied as they lie; those behind it move, so their names
    /// are expanded.
    fn copy_records(&self, message: &[u8], ttl_cap: u32, writer: &mut Writer) {
        let hop = |r: &Record| matches!(r.rtype, rtype::OPT | rtype::TSIG);
        let kept = self.records.iter().position(hop).unwrap_or(self.records.len());
        let cut = self.records.get(kept).map_or(self.end, |r| r.start);
        let (straight, moved) = self.records.split_at(kept);
        let patches =
            straight.iter().map(|r| (r.section, r.ttl_at as u16, sane_ttl(r.ttl).min(ttl_cap)));
        writer.copied(&message[self.question_end..cut], patches);
        // These are additional records alone: what does not fit any more may go without TC.
        for record in moved.iter().filter(|r| !hop(r)) {
            if copy_expanded(message, record, ttl_cap, writer).is_none() {
                break;
            }
        }
    }
}

/// A CNAME chain longer than this is no answer.
const MAX_CHAIN: usize = 16;

/// A TTL with the top bit is zero (RFC 2181, 8).
fn sane_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Copies a record with its names written out; `None` if it does not fit into a message.
fn copy_expanded(message: &[u8], record: &Record, ttl_cap: u32, writer: &mut Writer) -> Option<()> {
    let section = match record.section {
        0 => Section::Answer,
        1 => Section::Authority,
        _ => Section::Additional,
    };
    let owner = NameBuf::expand(message, record.start)?;
    let (front, count) = names_in(record.rtype).unwrap_or((0, 0));
    let mut at = record.rdata.start + front;
    let mut rdata = message.get(record.rdata.start..at)?.to_vec();
    for _ in 0..count {
        rdata.extend(NameBuf::expand(message, at)?.as_wire());
        at = skip_name(message, at)?;
    }
    rdata.extend(message.get(at..record.rdata.end)?);
    let fixed = (record.rtype, record.class, sane_ttl(record.ttl).min(ttl_cap));
    writer.record(section, owner.as_wire(), fixed, &[&rdata]).then_some(())
}

#[cfg(test)]
mod tests;
