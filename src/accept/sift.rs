//! Authority and additional records: those of the route's own horizon are passed on, others are not.

use super::Rules;
use super::chain::{Chain, End};
use super::names::encloses;
use super::survey::{Owner, Survey};
use crate::answer::Question;
use crate::wire::records::{NameBuf, Record};
use crate::wire::rtype;

impl Survey {
    /// Ranks the records behind the answer section. OPT and TSIG speak of this hop alone (RFC 6891,
    /// 6.2.6) and stay behind.
    pub(super) fn sift(
        &mut self,
        question: &Question<'_>,
        message: &[u8],
        rules: &Rules<'_>,
        chain: Option<&Chain>,
    ) {
        let across = chain.is_some_and(|c| matches!(c.end, End::Across(_)));
        let last = chain.and_then(|c| c.last.name(message));
        let last = last.as_ref().map_or(question.name, NameBuf::as_wire);
        let ours = |record: &Record| {
            NameBuf::expand(message, record.start)
                .is_some_and(|owner| rules.horizons.owns(rules.route, owner.as_wire()))
        };
        for entry in self.entries.iter_mut().filter(|e| e.record.section > 0) {
            let record = &entry.record;
            let stays = match (record.section, record.rtype) {
                // With it goes the proof that the far end of a chain has nothing: whoever is asked there
                // has a word of its own.
                (1, rtype::SOA) if across => false,
                // An SOA speaks for a zone that the name is in (RFC 2308, 3), and for no other.
                (1, rtype) => {
                    entry.owner != Owner::Other
                        || encloses(message, record.start, question.name)
                        || encloses(message, record.start, last)
                        || rtype != rtype::SOA && ours(record)
                }
                (_, rtype::OPT | rtype::TSIG) => false,
                _ => entry.owner == Owner::Question || ours(record),
            };
            entry.rank = stays.into();
        }
    }
}
