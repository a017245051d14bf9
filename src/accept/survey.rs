//! One walk over the records of an upstream's message: whether they are sound, whatever they say.

use smallvec::SmallVec;

use super::names::{is_in_question, is_question_pointer, parts_all, rdata_is_sound};
use crate::wire::edns::{Ede, Edns, code};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::records::{NameBuf, Record, Records, names_in, skip_name};
use crate::wire::{read_u16, read_u32, rtype};

/// A record, and what becomes of it.
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) owner: Owner,
    /// [`DROPPED`], or where it stands: 1 and more; in the answer section the step of the chain that its
    /// owner is.
    pub(super) rank: u8,
}

/// Whose a record is, as far as that can be seen at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A pointer to the question's name.
    Question,
    /// A pointer into it: to a zone that the name lies in.
    Above,
    /// A name written out, or pieced together.
    Other,
}

/// The rank of a record that is not passed on.
pub(super) const DROPPED: u8 = 0;

/// What one walk over the records finds.
pub(super) struct Survey {
    pub(super) entries: SmallVec<[Entry; 4]>,
    pub(super) question_end: usize,
    /// Where the last record ends.
    pub(super) end: usize,
    pub(super) rcode: Rcode,
    pub(super) authentic: bool,
    authoritative: bool,
    recursive: bool,
    pub(super) has_opt: bool,
    pub(super) ede: Option<Ede>,
}

impl Survey {
    /// Of a message that nothing is known of but its header and question.
    pub(super) fn new(header: &Header, question_end: usize) -> Survey {
        Survey {
            entries: SmallVec::new(),
            question_end,
            end: 0,
            rcode: Rcode(header.rcode()),
            authentic: header.has(flag::AD),
            authoritative: header.has(flag::AA),
            recursive: header.has(flag::RA),
            has_opt: false,
            ede: None,
        }
    }

    /// Walks everything; `None` if anything is cut short, broken, or left over.
    pub(super) fn walk(&mut self, message: &[u8], header: &Header, name: &[u8]) -> Option<()> {
        let [_, answers, authorities, additionals] = header.counts;
        let counts = [answers, authorities, additionals];
        let mut walk = Records::new(message, self.question_end, counts);
        // Whether there are names that may be made of anything but the question.
        let mut others = false;
        for record in walk.by_ref() {
            let record = record.ok()?;
            // Nearly every owner is a pointer to the question, which is known to be a name; an OPT's is
            // the root.
            let owner = match message.get(record.start) {
                _ if is_question_pointer(message, record.start) => Owner::Question,
                Some(0) => Owner::Other,
                _ if is_in_question(message, record.start, name) => Owner::Above,
                _ => {
                    NameBuf::expand(message, record.start)?;
                    others = true;
                    Owner::Other
                }
            };
            others |= rdata_is_sound(message, &record)?;
            match record.rtype {
                rtype::OPT => self.note_opt(message, &record)?,
                // Nothing may stand behind a TSIG (RFC 8945, 5.1).
                rtype::TSIG if record.section != 2 || record.rdata.end < message.len() => {
                    return None;
                }
                _ => {}
            }
            self.entries.push(Entry { record, owner, rank: DROPPED });
        }
        self.end = walk.position();
        (self.end == message.len() && (!others || self.names_stay(message))).then_some(())
    }

    /// Whether no name is made of bytes that change on the way to the client, the header or a TTL:
    /// it would change with them, or be none any more.
    fn names_stay(&self, message: &[u8]) -> bool {
        let changes = |from: usize, to: usize| {
            let next = self.entries.partition_point(|e| e.record.ttl_at + 4 <= from);
            from < header::LEN || self.entries.get(next).is_some_and(|e| e.record.ttl_at < to)
        };
        self.entries.iter().all(|Entry { record, .. }| {
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

    /// All records of a section.
    pub(super) fn section(&self, section: u8) -> impl Iterator<Item = &Record> {
        self.entries.iter().map(|e| &e.record).filter(move |r| r.section == section)
    }

    /// The records that are passed on.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Record> {
        self.entries.iter().filter(|e| e.rank != DROPPED).map(|e| &e.record)
    }

    /// The least TTL of the answer and authority records that are passed on.
    pub(super) fn least_ttl(&self) -> Option<u32> {
        self.kept().filter(|r| r.section < 2).map(|r| sane_ttl(r.ttl)).min()
    }

    /// Whether a chain that ends without the asked type may go on: the server follows aliases no further
    /// than its own zones, and does not say that there is nothing at the end (RFC 1034, 4.3.2).
    pub(super) fn may_go_on(&self) -> bool {
        let has_soa = self.section(1).any(|r| r.rtype == rtype::SOA);
        self.rcode == Rcode::NOERROR && !self.recursive && !has_soa
    }

    /// Whether it only says who else might know (RFC 2308, 2.2, types 1 and 3): a server that was
    /// to answer has not, and its word is no NODATA.
    pub(super) fn is_referral(&self) -> bool {
        let has = |rtype| self.section(1).any(|r| r.rtype == rtype);
        self.rcode == Rcode::NOERROR
            && !self.authoritative
            && self.section(0).next().is_none()
            && has(rtype::NS)
            && !has(rtype::SOA)
    }

    /// Seconds that a negative answer may be kept: the lesser of the SOA's TTL and MINIMUM
    /// (RFC 2308, 5). `None` without an SOA that is passed on.
    pub(super) fn negative_ttl(&self, message: &[u8]) -> Option<u32> {
        let soa = self.kept().find(|r| r.section == 1 && r.rtype == rtype::SOA)?;
        let minimum = read_u32(message, soa.rdata.end.checked_sub(4)?)?;
        Some(sane_ttl(soa.ttl).min(sane_ttl(minimum)))
    }
}

/// A TTL with the top bit is zero (RFC 2181, 8).
pub(super) fn sane_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// The type that an RRSIG covers (RFC 4034, 3.1.1); `None` for other records.
pub(super) fn covered(message: &[u8], record: &Record) -> Option<u16> {
    let is_signature = record.rtype == rtype::RRSIG && record.rdata.len() >= 2;
    is_signature.then(|| read_u16(message, record.rdata.start)).flatten()
}
