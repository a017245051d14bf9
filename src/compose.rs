//! Puts one answer together from the answers of several horizons (PROTOCOL.md, horizon rule 5).
//!
//! An answer whose aliases lead into another horizon is only the beginning of one; what its target
//! has is a part of its own, with its own route and lifetime. Here such parts become the complete
//! message that a client gets. The other things made of answers that are at hand stand beside it:
//! [`target`] tells where an answer's aliases lead, [`denied_below`] what the denial of a name says of
//! those below it.
//!
//! Takes bytes and gives bytes: it asks nobody, keeps nothing, and never panics, whatever the bytes.

mod chain;
mod copy;
mod denied;
mod names;

use smallvec::SmallVec;

pub use chain::target;
pub(crate) use copy::{Copied, Copier};
pub use denied::denied_below;
use names::are_same;

use crate::answer::{Answer, Kind, Question, View, Writer};
use crate::respond::Ttl;
use crate::wire::edns::{Ede, EdeRef};
use crate::wire::header::{Header, flag};
use crate::wire::name::Name;
use crate::wire::records::{Record, Records, names_in, skip_name};
use crate::wire::{read_u16, rtype};

/// An answer to one name of a chain.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The answer.
    pub view: View<'a>,
    /// What time has made of its TTLs.
    pub ttl: Ttl,
    /// See [`Answer::kind`].
    pub kind: Kind,
}

impl<'a> Part<'a> {
    /// An answer that has just come.
    pub fn of(answer: &'a Answer) -> Part<'a> {
        Part { view: answer.view(), ttl: Ttl::Elapsed(0), kind: answer.kind }
    }
}

/// The name that stands in the composed answer for a folded one of the parts; `None`: the same.
pub type Back<'a> = dyn Fn(&[u8]) -> Option<Name> + 'a;

/// One answer to `question` (the client's own) from parts each of which leads to the next:
///
/// - response code, kind, authority and additional section are those of the last part (RFC 2308,
///   2.1; RFC 6604, 3);
/// - the answer section has the records of all, in their order; one that an earlier part has is left
///   out (looked for among the first 64 records of the earlier parts);
/// - of the earlier parts' authority come, with `dnssec_ok`, the proofs that a wildcard was rightly
///   expanded (RFC 4035, 3.1.3.3): NSEC, NSEC3 and their signatures, and nothing else;
/// - AD where all parts have it and `back` has changed no name, since no signature covers the new
///   one; TC where one has it; AA never. The extended error is that of the last part with one;
/// - TTLs are counted down part by part: the answer's own begin now.
///
/// `back` is applied to all owners and to the names in the RDATA of types that RFC 3597, 4, lets
/// servers read, so that chains hold; all other RDATA is copied byte for byte. Owners are compressed
/// where an equal name stands written out before; everything else is written out.
///
/// What does not fit into 65,535 bytes is left out from the end, with TC unless only additional
/// records are missing (RFC 2181, 9). `None` where there is no part, or one does not parse.
pub fn compose(
    question: Question<'_>,
    parts: &[Part<'_>],
    dnssec_ok: bool,
    back: Option<&Back<'_>>,
) -> Option<Answer> {
    let last = parts.last()?;
    let mut flags = flag::AD;
    let mut room = 0;
    for part in parts {
        let head = Header::read(part.view.wire)?;
        flags = (flags & head.flags & flag::AD) | ((flags | head.flags) & flag::TC);
        // Written-out names take more than pointers do; TTL offsets go behind.
        room += part.view.whole.len() + 8 * part.view.ttls().len();
    }
    let mut writer = Writer::with_room(question, last.view.rcode(), flags, room.min(1 << 16));
    writer.kind = last.kind;
    writer.ede = parts.iter().rev().find_map(|part| part.view.ede).map(owned);
    let mut copier = Copier::new(writer, back);
    match sections(parts, dnssec_ok, &mut copier)? {
        Fit::All | Fit::NotAdditional => {}
        Fit::Cut => copier.writer.set_flags(flag::TC, true),
    }
    if copier.has_mapped() {
        copier.writer.set_flags(flag::AD, false);
    }
    Some(copier.writer.finish())
}

/// What of the records has fitted.
enum Fit {
    All,
    NotAdditional,
    Cut,
}

pub(crate) fn owned(ede: EdeRef<'_>) -> Ede {
    Ede { code: ede.code, text: ede.text.into() }
}

/// Copies the three sections; `None` if a part does not parse.
fn sections(parts: &[Part<'_>], dnssec_ok: bool, copier: &mut Copier<'_>) -> Option<Fit> {
    let mut walks: SmallVec<[(Part<'_>, Header, usize); 8]> = SmallVec::new();
    for part in parts {
        let head = Header::read(part.view.wire)?;
        walks.push((*part, head, part.view.question_end));
    }
    let mut seen = Seen::default();
    let count = parts.len();
    for section in 0..3 {
        for (index, (part, head, at)) in walks.iter_mut().enumerate() {
            let is_last = index + 1 == count;
            if !is_last && (section == 2 || section == 1 && !dnssec_ok) {
                continue;
            }
            let mut counts = [0; 3];
            counts[section] = head.counts[1 + section];
            let wire = part.view.wire;
            let mut walk = Records::new(wire, *at, counts);
            copier.begin();
            for record in walk.by_ref() {
                let record = record.ok()?;
                let left_out = section == 1 && !is_last && !is_proof(wire, &record);
                if left_out || seen.has(index, wire, &record) {
                    continue;
                }
                match copier.record(wire, &record, now(record.ttl, part.ttl))? {
                    Copied::Fits => seen.note(index, is_last, wire, record),
                    Copied::DoesNotFit if section == 2 => return Some(Fit::NotAdditional),
                    Copied::DoesNotFit => return Some(Fit::Cut),
                }
            }
            *at = walk.position();
        }
    }
    Some(Fit::All)
}

/// What is left of a TTL.
pub(crate) fn now(ttl: u32, by: Ttl) -> u32 {
    match by {
        Ttl::Elapsed(seconds) => ttl.saturating_sub(seconds),
        Ttl::Fixed(seconds) => seconds,
    }
}

/// Whether a record tells by itself, or signs one that tells, that a name does not exist.
fn is_proof(wire: &[u8], record: &Record) -> bool {
    let proves = |rtype| matches!(rtype, rtype::NSEC | rtype::NSEC3);
    match record.rtype {
        rtype::RRSIG => read_u16(wire, record.rdata.start).is_some_and(proves),
        other => proves(other),
    }
}

/// Records of earlier parts, to know them again. Chains are short; what a part has beyond
/// [`Seen::MOST`] is not remembered, so that no answer makes this costly.
#[derive(Default)]
struct Seen<'a>(SmallVec<[(usize, &'a [u8], Record); 8]>);

impl<'a> Seen<'a> {
    const MOST: usize = 64;

    fn note(&mut self, part: usize, is_last: bool, wire: &'a [u8], record: Record) {
        if !is_last && self.0.len() < Seen::MOST {
            self.0.push((part, wire, record));
        }
    }

    /// Whether an earlier part has had this record in the same section.
    fn has(&self, part: usize, wire: &[u8], record: &Record) -> bool {
        let earlier = self.0.iter().filter(|(of, ..)| *of < part);
        earlier.into_iter().any(|(_, theirs, other)| is_same((theirs, other), (wire, record)))
    }
}

fn is_same((a, one): (&[u8], &Record), (b, two): (&[u8], &Record)) -> bool {
    let kind = |r: &Record| (r.section, r.rtype, r.class);
    kind(one) == kind(two)
        && rdata_is_same((a, one), (b, two)).unwrap_or(false)
        && are_same((a, one.start), (b, two.start)).unwrap_or(false)
}

fn rdata_is_same((a, one): (&[u8], &Record), (b, two): (&[u8], &Record)) -> Option<bool> {
    let Some((front, names)) = names_in(one.rtype) else {
        return Some(a.get(one.rdata.clone())? == b.get(two.rdata.clone())?);
    };
    let (mut at, mut other) = (one.rdata.start + front, two.rdata.start + front);
    let mut same = a.get(one.rdata.start..at)? == b.get(two.rdata.start..other)?;
    for _ in 0..names {
        same = same && are_same((a, at), (b, other))?;
        (at, other) = (skip_name(a, at)?, skip_name(b, other)?);
    }
    Some(same && a.get(at..one.rdata.end)? == b.get(other..two.rdata.end)?)
}

#[cfg(test)]
mod tests;
