//! Records from one message into another, where their names lie elsewhere.

use smallvec::SmallVec;

use super::Back;
use super::names::{Bytes, are_same, write_out};
use crate::answer::{Section, Writer};
use crate::wire::header;
use crate::wire::read_u16;
use crate::wire::records::{Record, names_in, skip_name};

/// Whether a record found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    /// It is written.
    Fits,
    /// The message would become too long; nothing is written.
    DoesNotFit,
}

/// Writes copies of records. Names that stand written out are remembered, the first
/// [`Copier::MOST_NAMES`] of them, so that owners can point at them.
pub(crate) struct Copier<'b> {
    pub(crate) writer: Writer,
    back: Option<&'b Back<'b>>,
    mapped: bool,
    /// Where names stand written out in the message.
    names: SmallVec<[u16; 32]>,
    /// The owner of the last record, if it was a pointer: where to, and where to now.
    last: Option<(u16, [u8; 2])>,
}

/// RDATA with its names written out.
#[derive(Default)]
struct Spelt {
    bytes: Bytes,
    /// Where in it the names lie, and their lengths.
    names: SmallVec<[(u16, u8); 2]>,
}

impl<'b> Copier<'b> {
    const MOST_NAMES: usize = 32;

    /// Behind header and question.
    pub(crate) fn new(writer: Writer, back: Option<&'b Back<'b>>) -> Copier<'b> {
        let question = writer.position().saturating_sub(header::LEN + 4);
        let mut copier = Copier { writer, back, mapped: false, names: SmallVec::new(), last: None };
        copier.remember(header::LEN, question);
        copier
    }

    /// Records of another message follow, or of another section.
    pub(crate) fn begin(&mut self) {
        self.last = None;
    }

    /// Whether a name has been replaced.
    pub(crate) fn has_mapped(&self) -> bool {
        self.mapped
    }

    /// Copies one record; `None` if a name in it does not parse.
    pub(crate) fn record(&mut self, wire: &[u8], record: &Record, ttl: u32) -> Option<Copied> {
        let fixed = (record.rtype, record.class, ttl);
        match names_in(record.rtype) {
            None => self.put(wire, record, fixed, wire.get(record.rdata.clone())?, &[]),
            Some(layout) => {
                let mut spelt = Spelt::default();
                self.spell(wire, record, layout, &mut spelt)?;
                self.put(wire, record, fixed, &spelt.bytes, &spelt.names)
            }
        }
    }

    /// Writes a record with other RDATA in the place of this one.
    pub(crate) fn replaced(
        &mut self,
        wire: &[u8],
        record: &Record,
        fixed: (u16, u16, u32),
        rdata: &[u8],
    ) -> Option<Copied> {
        self.put(wire, record, fixed, rdata, &[])
    }

    fn spell(
        &mut self,
        wire: &[u8],
        record: &Record,
        (front, count): (usize, usize),
        spelt: &mut Spelt,
    ) -> Option<()> {
        let mut at = record.rdata.start + front;
        spelt.bytes.extend_from_slice(wire.get(record.rdata.start..at)?);
        for _ in 0..count {
            let start = spelt.bytes.len();
            self.write_name(wire, at, &mut spelt.bytes)?;
            spelt.names.push((start as u16, (spelt.bytes.len() - start) as u8));
            at = skip_name(wire, at)?;
        }
        spelt.bytes.extend_from_slice(wire.get(at..record.rdata.end)?);
        Some(())
    }

    fn put(
        &mut self,
        wire: &[u8],
        record: &Record,
        fixed: (u16, u16, u32),
        rdata: &[u8],
        names: &[(u16, u8)],
    ) -> Option<Copied> {
        let section = match record.section {
            0 => Section::Answer,
            1 => Section::Authority,
            _ => Section::Additional,
        };
        let start = self.writer.position();
        let from = read_u16(wire, record.start).filter(|&to| to >= 0xc000);
        let known = self.last.filter(|(to, _)| Some(*to) == from).map(|(_, pointer)| pointer);
        let mut name = Bytes::new();
        let pointer = match known {
            Some(pointer) => Some(pointer),
            None if self.back.is_some() => {
                self.write_name(wire, record.start, &mut name)?;
                self.pointer_to(&name, 0)
            }
            None => self.pointer_to(wire, record.start),
        };
        if pointer.is_none() && name.is_empty() {
            self.write_name(wire, record.start, &mut name)?;
        }
        let owner = pointer.as_ref().map_or(&name[..], |pointer| pointer);
        if !self.writer.record(section, owner, fixed, &[rdata]) {
            return Some(Copied::DoesNotFit);
        }
        let rdata_at = start + owner.len() + 10;
        let now = pointer.or_else(|| self.remember(start, owner.len()));
        self.last = from.zip(now);
        for &(at, len) in names {
            self.remember(rdata_at + usize::from(at), usize::from(len));
        }
        Some(Copied::Fits)
    }

    /// A pointer to a name equal to the one at `at`, if it stands written out.
    fn pointer_to(&self, wire: &[u8], at: usize) -> Option<[u8; 2]> {
        let written = self.writer.written();
        let is_it =
            |&&known: &&u16| are_same((wire, at), (written, usize::from(known))) == Some(true);
        // The owner of a set of records is mostly the alias target right before it.
        let known = self.names.iter().rev().find(is_it)?;
        Some((0xc000 | known).to_be_bytes())
    }

    /// Notes a name that stands at `at` and gives the pointer to it. The root is shorter than one,
    /// and a pointer reaches 14 bits far (RFC 1035, 4.1.4).
    fn remember(&mut self, at: usize, len: usize) -> Option<[u8; 2]> {
        let fits = at < 0x4000 && len > 1;
        if !fits || self.names.len() >= Copier::MOST_NAMES {
            return None;
        }
        self.names.push(at as u16);
        Some((0xc000 | at as u16).to_be_bytes())
    }

    /// Writes out the name at `at`, or what it goes back to.
    fn write_name(&mut self, wire: &[u8], at: usize, out: &mut Bytes) -> Option<()> {
        let start = out.len();
        write_out(wire, at, out)?;
        let Some(back) = self.back else { return Some(()) };
        let mut folded = Bytes::from_slice(&out[start..]);
        // Length bytes are below 'A', so folding may run over them.
        folded.make_ascii_lowercase();
        if let Some(other) = back(&folded) {
            self.mapped |= other.as_wire() != &folded[..];
            out.truncate(start);
            out.extend_from_slice(other.as_wire());
        }
        Some(())
    }
}
