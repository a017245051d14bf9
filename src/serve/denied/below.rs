//! Makes the denial of a name out of that of a name above it.

use crate::answer::{Answer, Kind, Question, Section, View, Writer};
use crate::wire::header::{Header, Rcode};
use crate::wire::name::is_within;
use crate::wire::records::{NameBuf, Record, Records, skip_name};
use crate::wire::{CLASS_IN, rtype};

/// The NXDOMAIN for a name below the one that `view` denies, with the SOA that says for how long.
/// `None` if there is no SOA, or one of a zone that the name is not in.
pub(super) fn denied_below(view: View<'_>, question: Question<'_>) -> Option<Answer> {
    let [_, answers, authorities, _] = Header::read(view.wire)?.counts;
    let soa = Records::new(view.wire, view.question_end, [answers, authorities, 0])
        .map_while(Result::ok)
        .find(|record| record.section == 1 && record.rtype == rtype::SOA)?;
    let mut writer = Writer::new(question, Rcode::NXDOMAIN, 0);
    writer.kind = Kind::Negative;
    copy_soa(&mut writer, view.wire, &soa, question.name)?;
    Some(writer.finish())
}

/// Copies an SOA with its names written out, as the message that they may point into is left behind.
fn copy_soa(writer: &mut Writer, wire: &[u8], soa: &Record, name: &[u8]) -> Option<()> {
    /// The five numbers behind the names (RFC 1035, 3.3.13).
    const NUMBERS: usize = 20;
    let owner = NameBuf::expand(wire, soa.start)?;
    if !is_within(name, owner.as_wire()) {
        return None;
    }
    let server = NameBuf::expand(wire, soa.rdata.start)?;
    let mailbox_at = skip_name(wire, soa.rdata.start)?;
    let mailbox = NameBuf::expand(wire, mailbox_at)?;
    let numbers_at = skip_name(wire, mailbox_at)?;
    let numbers = wire.get(numbers_at..soa.rdata.end).filter(|n| n.len() == NUMBERS)?;
    let fixed = (rtype::SOA, CLASS_IN, soa.ttl);
    let rdata = [server.as_wire(), mailbox.as_wire(), numbers];
    writer.record(Section::Authority, owner.as_wire(), fixed, &rdata).then_some(())
}
