//! What an answer will be: kind, response code and flags, how long it may be kept, and what is said
//! beside it.

use super::horizons::Crossing;
use super::rebind::Removed;
use super::survey::Survey;
use super::{Accepted, Caps};
use crate::answer::{Kind, Question, Writer};
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{Rcode, flag};

/// What an answer will be, beside its records.
pub(super) struct Draft {
    kind: Kind,
    rcode: Rcode,
    flags: u16,
    ede: Option<Ede>,
    onward: bool,
    /// Whether records do not stand in the order in which they came.
    moved: bool,
    /// The least TTL of what was removed, where nothing of the kind that was asked for is left.
    emptied: Option<u32>,
}

impl Draft {
    pub(super) fn of(survey: &mut Survey, kind: Kind, truncated: bool) -> Draft {
        let tc = if truncated { flag::TC } else { 0 };
        let ad = if survey.authentic { flag::AD } else { 0 };
        Draft {
            kind,
            rcode: survey.rcode,
            flags: tc | ad,
            ede: survey.ede.take(),
            onward: false,
            moved: false,
            emptied: None,
        }
    }

    /// The chain ends at an alias into another horizon.
    pub(super) fn cut(&mut self, survey: &mut Survey, crossing: Crossing) {
        self.moved = survey.straighten();
        self.rcode = Rcode::NOERROR;
        // What was truncated lies behind the alias, and so does what an extended error is about.
        self.flags &= !flag::TC;
        self.ede = None;
        self.onward = crossing == Crossing::Follow;
        if let Crossing::Bar(why) = crossing {
            self.flags &= !flag::AD;
            self.ede = Some(why);
        }
    }

    /// The chain ends within the route, and its server has followed it no further.
    pub(super) fn go_on(&mut self) {
        self.onward = true;
    }

    /// Records with private addresses were removed. An answer without any of those asked for is kept like
    /// a negative one, no longer than what was removed would have been.
    pub(super) fn without(&mut self, removed: Removed, survey: &Survey, qtype: u16, route: &str) {
        self.flags &= !flag::AD;
        let text = format!("route {route}: private addresses removed (rebinding protection)");
        self.ede = Some(Ede::new(ede::FILTERED, text));
        let left = survey.kept().any(|r| r.section == 0 && r.rtype == qtype);
        if self.kind == Kind::Positive && removed.asked_for && !left {
            self.kind = Kind::Negative;
            self.emptied = Some(removed.least_ttl);
        }
    }

    /// Writes it. `None` if its records, names written out, do not fit into a message.
    pub(super) fn finish(
        self,
        survey: &Survey,
        message: &[u8],
        question: &Question<'_>,
        caps: Caps,
    ) -> Option<Accepted> {
        let least = survey.least_ttl();
        let (cap, lifetime) = match self.kind {
            Kind::Positive => (caps.max_ttl, least),
            Kind::Negative => {
                let negative = self.emptied.or_else(|| survey.negative_ttl(message));
                let lifetime = negative.map(|ttl| least.map_or(ttl, |least| least.min(ttl)));
                (caps.max_negative_ttl.min(caps.max_ttl), lifetime)
            }
            Kind::Failure => (caps.max_ttl, None),
        };
        let shortened = self.kind == Kind::Negative;
        let ttl_cap = if shortened { lifetime.unwrap_or(cap).min(cap) } else { cap };
        // The offsets of the TTLs go behind the records.
        let room = message.len() - survey.question_end + 2 * survey.entries.len();
        let mut writer = Writer::with_room(*question, self.rcode, self.flags, room);
        writer.kind = self.kind;
        writer.onward = self.onward;
        survey.copy(message, question, self.moved, ttl_cap, &mut writer)?;
        writer.ede = self.ede;
        let lifetime = lifetime.map(|t| t.min(cap)).filter(|&t| t > 0);
        Some(Accepted { answer: writer.finish(), lifetime })
    }
}
