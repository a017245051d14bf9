//! What the denial of a name says of the names below it.

use super::{Copied, Copier, owned};
use crate::answer::{Answer, Kind, Question, View, Writer};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::name::is_within;
use crate::wire::records::Records;
use crate::wire::{read_u16, rtype};

/// The NXDOMAIN of an ancestor made into one for `question`, a name below it (RFC 8020, 2): the same
/// code, extended error and AD, and of its authority the SOA with what proves it, if it came signed:
/// nothing lies between the two names, so the records that deny the one deny the other. TTLs are
/// as they stand in `view`: the answer is as old as the ancestor's.
///
/// `None` where `view` is no NXDOMAIN of a name above the question's and of its class, where it has
/// records in its answer section (then the name denied is the last of a chain: RFC 6604, 3),
/// where it has no SOA (RFC 2308, 5: it may not be kept), or does not parse.
pub fn denied_below(view: View<'_>, question: Question<'_>) -> Option<Answer> {
    let wire = view.wire;
    let head = Header::read(wire)?;
    let numbers = view.question_end.checked_sub(4)?;
    let denied = wire.get(header::LEN..numbers)?;
    let holds = view.rcode() == Rcode::NXDOMAIN
        && head.counts[1] == 0
        && !head.has(flag::TC)
        && read_u16(wire, numbers + 2)? == question.qclass
        && question.name.len() > denied.len()
        && is_within(question.name, denied);
    if !holds {
        return None;
    }
    let room = view.whole.len() + 8 * view.ttls().len();
    let mut writer = Writer::with_room(question, Rcode::NXDOMAIN, head.flags & flag::AD, room);
    writer.kind = Kind::Negative;
    writer.ede = view.ede.map(owned);
    let mut copier = Copier::new(writer, None);
    let mut has_soa = false;
    for record in Records::new(wire, view.question_end, [0, head.counts[2], 0]) {
        let record = record.ok()?;
        let wanted = matches!(record.rtype, rtype::SOA | rtype::RRSIG | rtype::NSEC | rtype::NSEC3);
        if wanted && copier.record(wire, &record, record.ttl)? == Copied::DoesNotFit {
            return None;
        }
        has_soa |= record.rtype == rtype::SOA;
    }
    has_soa.then(|| copier.writer.finish())
}
