//! Records from one message into another, where their names lie elsewhere.

use smallvec::SmallVec;

use super::Back;
use crate::answer::{Section, Writer};
use crate::wire::header;
use crate::wire::name::{MAX_LABEL, MAX_NAME};
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
    /// Where names stand written out in the message, and their lengths.
    names: SmallVec<[(u16, u8); 16]>,
    /// The owner of the last record, if it was a pointer: where to, and where to now.
    last: Option<(u16, [u8; 2])>,
}

/// RDATA with its names written out.
#[derive(Default)]
struct Spelt {
    bytes: SmallVec<[u8; 256]>,
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
                let spelt = self.spell(wire, record, layout)?;
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

    fn spell(&mut self, wire: &[u8], record: &Record, layout: (usize, usize)) -> Option<Spelt> {
        let (front, count) = layout;
        let mut spelt = Spelt::default();
        let mut at = record.rdata.start + front;
        spelt.bytes.extend_from_slice(wire.get(record.rdata.start..at)?);
        for _ in 0..count {
            let name = self.mapped_back(Spelling::read(wire, at)?);
            spelt.names.push((spelt.bytes.len() as u16, name.len as u8));
            spelt.bytes.extend_from_slice(name.as_wire());
            at = skip_name(wire, at)?;
        }
        spelt.bytes.extend_from_slice(wire.get(at..record.rdata.end)?);
        Some(spelt)
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
        let (pointer, spelling) = match known {
            Some(pointer) => (Some(pointer), None),
            None => {
                let name = self.mapped_back(Spelling::read(wire, record.start)?);
                (self.pointer_to(name.as_wire()), Some(name))
            }
        };
        let owner = match (&pointer, &spelling) {
            (Some(pointer), _) => pointer,
            (None, Some(name)) => name.as_wire(),
            (None, None) => return None,
        };
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

    /// A pointer to a name that stands written out, if there is one.
    fn pointer_to(&self, name: &[u8]) -> Option<[u8; 2]> {
        let written = self.writer.written();
        let is_it = |&&(at, len): &&(u16, u8)| {
            let at = usize::from(at);
            usize::from(len) == name.len()
                && written.get(at..at + name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name))
        };
        // The owner of a set of records is mostly the alias target right before it.
        let (at, _) = self.names.iter().rev().find(is_it)?;
        Some((0xc000 | at).to_be_bytes())
    }

    /// Notes a name that stands at `at` and gives the pointer to it. The root is shorter than one,
    /// and a pointer reaches 14 bits far (RFC 1035, 4.1.4).
    fn remember(&mut self, at: usize, len: usize) -> Option<[u8; 2]> {
        let fits = at < 0x4000 && len > 1 && len <= MAX_NAME;
        if !fits || self.names.len() >= Copier::MOST_NAMES {
            return None;
        }
        self.names.push((at as u16, len as u8));
        Some((0xc000 | at as u16).to_be_bytes())
    }

    fn mapped_back(&mut self, name: Spelling) -> Spelling {
        let Some(back) = self.back else { return name };
        let mut folded = name.bytes;
        let folded = &mut folded[..name.len];
        // Length bytes are below 'A', so folding may run over them.
        folded.make_ascii_lowercase();
        match back(folded) {
            Some(other) => {
                self.mapped |= other.as_wire() != folded;
                Spelling::of(other.as_wire()).unwrap_or(name)
            }
            None => name,
        }
    }
}

/// A name written out, in the case that it came in.
struct Spelling {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Spelling {
    fn of(name: &[u8]) -> Option<Spelling> {
        let mut spelling = Spelling { bytes: [0; MAX_NAME], len: 0 };
        spelling.push(name)?;
        Some(spelling)
    }

    /// The name at `at`; `None` if it is malformed, too long, or a pointer of it does not go
    /// backwards.
    fn read(wire: &[u8], at: usize) -> Option<Spelling> {
        let mut name = Spelling { bytes: [0; MAX_NAME], len: 0 };
        let (mut here, mut limit) = (at, at);
        loop {
            match *wire.get(here)? {
                0 => {
                    name.push(&[0])?;
                    return Some(name);
                }
                len if usize::from(len) <= MAX_LABEL => {
                    let end = here + 1 + usize::from(len);
                    name.push(wire.get(here..end)?)?;
                    here = end;
                }
                0xc0.. => {
                    let to = usize::from(read_u16(wire, here)? & 0x3fff);
                    if to >= limit {
                        return None;
                    }
                    (here, limit) = (to, to);
                }
                _ => return None,
            }
        }
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + label.len())?.copy_from_slice(label);
        self.len += label.len();
        Some(())
    }

    fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
