//! Where the aliases of an answer lead.

use smallvec::SmallVec;

use super::names::are_same;
use crate::answer::View;
use crate::wire::header::{self, Header};
use crate::wire::records::{NameBuf, Records};
use crate::wire::{read_u16, rtype};

/// More aliases than this are no chain that anybody follows; an answer with a longer one is not accepted
/// from upstreams either.
const MOST_ALIASES: usize = 16;

/// How many CNAMEs of an answer are looked at.
const MOST_LOOKED_AT: usize = 32;

/// The last target, folded, of the CNAMEs that lead on from the question of an answer. Nothing is
/// said about whether the answer has records for it.
///
/// `None` where the question has no CNAME or asks for the CNAME itself (RFC 1034, 3.6.2), where the
/// chain is a loop or has more than 16 links, and where the answer does not parse. A DNAME counts
/// by the CNAME that servers make of it (RFC 6672, 3.1).
pub fn target(view: View<'_>) -> Option<NameBuf> {
    let wire = view.wire;
    let head = Header::read(wire)?;
    let numbers = view.question_end.checked_sub(4)?;
    let (qtype, qclass) = (read_u16(wire, numbers)?, read_u16(wire, numbers + 2)?);
    if matches!(qtype, rtype::CNAME | rtype::ANY) {
        return None;
    }
    let mut aliases: SmallVec<[(usize, usize); 4]> = SmallVec::new();
    for record in Records::new(wire, view.question_end, [head.counts[1], 0, 0]) {
        let record = record.ok()?;
        if record.rtype == rtype::CNAME && record.class == qclass {
            aliases.push((record.start, record.rdata.start));
        }
        if aliases.len() == MOST_LOOKED_AT {
            break;
        }
    }
    follow(wire, &aliases)
}

fn follow(wire: &[u8], aliases: &[(usize, usize)]) -> Option<NameBuf> {
    if aliases.is_empty() {
        return None;
    }
    let mut name = header::LEN;
    for step in 0..=MOST_ALIASES {
        // They nearly always stand in their order.
        let (before, from) = aliases.split_at(step.min(aliases.len()));
        let mut all = from.iter().chain(before);
        match all.find(|(owner, _)| are_same((wire, *owner), (wire, name)) == Some(true)) {
            Some((_, target)) => name = *target,
            None if step == 0 => return None,
            None => return NameBuf::expand(wire, name),
        }
    }
    // Too long, or a loop.
    None
}
