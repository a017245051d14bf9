//! Writes what is passed on of an upstream's message.
//!
//! As long as nothing in front is left out, records are copied as they lie. Those behind a gap move, so
//! their names are written out; owners that stand there already become pointers again.

use super::names::is_name;
use super::survey::{DROPPED, Entry, Survey, sane_ttl};
use crate::answer::{Question, Section, Writer};
use crate::wire::header;
use crate::wire::records::{NameBuf, Record, names_in, skip_name};
use crate::wire::rtype;

impl Survey {
    /// Puts the records of the chain into its order, if they do not have it: in an answer that is only
    /// a beginning, the last CNAME is to be the last.
    pub(super) fn straighten(&mut self) -> bool {
        let ranks = || {
            let answers = self.entries.iter().filter(|e| e.record.section == 0);
            answers.map(|e| e.rank).filter(|&rank| rank != DROPPED)
        };
        if ranks().is_sorted() {
            return false;
        }
        self.entries
            .sort_by_key(|e| (e.record.section, if e.record.section == 0 { e.rank } else { 0 }));
        true
    }

    /// Copies the records that are passed on; `moved`: none of them stands where it stood. `None` if an
    /// answer or authority record does not fit into a message.
    pub(super) fn copy(
        &self,
        message: &[u8],
        question: &Question<'_>,
        moved: bool,
        ttl_cap: u32,
        writer: &mut Writer,
    ) -> Option<()> {
        let ttl = |r: &Record| sane_ttl(r.ttl).min(ttl_cap);
        let gap = self.entries.iter().position(|e| e.rank == DROPPED);
        let straight = if moved { 0 } else { gap.unwrap_or(self.entries.len()) };
        let (front, behind) = self.entries.split_at(straight);
        let cut = match behind.first() {
            _ if moved => self.question_end,
            Some(entry) => entry.record.start,
            None => self.end,
        };
        let patches =
            front.iter().map(|Entry { record: r, .. }| (r.section, r.ttl_at as u16, ttl(r)));
        writer.copied(&message[self.question_end..cut], patches);
        let mut mover = Mover { message, question: question.name, known: [None, None] };
        for Entry { record, .. } in behind.iter().filter(|e| e.rank != DROPPED) {
            if mover.copy(record, ttl(record), writer).is_none() {
                // Additional records may be left out without TC (RFC 2181, 9).
                return (record.section == 2).then_some(());
            }
        }
        Some(())
    }
}

/// Copies records to where they did not stand.
struct Mover<'a> {
    message: &'a [u8],
    question: &'a [u8],
    /// The last owner and the last target of a CNAME that were written out, and where.
    known: [Option<(u16, NameBuf)>; 2],
}

impl Mover<'_> {
    /// `None` if it does not fit into a message.
    fn copy(&mut self, record: &Record, ttl: u32, writer: &mut Writer) -> Option<()> {
        let section = match record.section {
            0 => Section::Answer,
            1 => Section::Authority,
            _ => Section::Additional,
        };
        let message = self.message;
        let (front, count) = names_in(record.rtype).unwrap_or((0, 0));
        let mut at = record.rdata.start + front;
        let mut rdata = message.get(record.rdata.start..at)?.to_vec();
        for _ in 0..count {
            rdata.extend(NameBuf::expand(message, at)?.as_wire());
            at = skip_name(message, at)?;
        }
        rdata.extend(message.get(at..record.rdata.end)?);
        let fixed = (record.rtype, record.class, ttl);
        let start = writer.position();
        let pointer = self.pointer(record.start).map(u16::to_be_bytes);
        let owner = match pointer {
            Some(_) => None,
            None => Some(NameBuf::expand(message, record.start)?),
        };
        let written = match (&pointer, &owner) {
            (Some(pointer), _) => &pointer[..],
            (None, Some(owner)) => owner.as_wire(),
            (None, None) => return None,
        };
        if !writer.record(section, written, fixed, &[&rdata]) {
            return None;
        }
        let target_at = start + written.len() + 10;
        if let Some(owner) = owner {
            self.known[0] = place(start, owner);
        }
        if record.rtype == rtype::CNAME {
            self.known[1] = place(target_at, NameBuf::expand(message, record.rdata.start)?);
        }
        Some(())
    }

    /// A pointer to the name at `at`, if that has been written.
    fn pointer(&self, at: usize) -> Option<u16> {
        let question = (self.question.len() > 1 && is_name(self.message, at, self.question))
            .then_some(header::LEN as u16);
        let known = || {
            let mut known = self.known.iter().flatten();
            known.find(|(_, name)| is_name(self.message, at, name.as_wire())).map(|(at, _)| *at)
        };
        question.or_else(known).map(|to| 0xc000 | to)
    }
}

/// A name, if a pointer can lead there and is shorter.
fn place(at: usize, name: NameBuf) -> Option<(u16, NameBuf)> {
    let at = u16::try_from(at).ok().filter(|at| *at < 0x4000)?;
    (name.as_wire().len() > 2).then_some((at, name))
}
