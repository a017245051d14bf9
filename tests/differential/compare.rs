//! In what two servers' answers to one question differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ask::Reply;
use crate::message::{AA, AD, CD, Message, RA, RD, Rr, TC};

/// Everything that is compared. The list of explanations has the same names with hyphens. `More`: the
/// daemon has what the other lacks; `Less`: the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// One of them said nothing, or something that is no answer.
    Answered,
    Rcode,
    Aa,
    /// Over UDP; the rest is then compared as TCP has it.
    Tc,
    Rd,
    Ra,
    Ad,
    Cd,
    /// The reserved bit and the opcode.
    Header,
    /// The question section, in its case.
    Question,
    /// Owners, types, classes and data, in any order, whatever the case of names.
    AnswerMore,
    AnswerLess,
    AuthorityMore,
    AuthorityLess,
    AdditionalMore,
    AdditionalLess,
    /// Records that both have, in another case.
    Case,
    /// A TTL of the daemon's is lower by more than time can tell.
    AnswerTtlLower,
    AuthorityTtlLower,
    AdditionalTtlLower,
    AnswerTtlHigher,
    AuthorityTtlHigher,
    AdditionalTtlHigher,
    /// Whether there is an OPT record.
    Opt,
    /// Its version, DO and reserved bits.
    OptFlags,
    /// The codes in it, those aside that speak of one hop alone.
    Options,
    /// Something that the daemon promises of every answer does not hold; see `promises`.
    Promise,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        for (at, letter) in name.char_indices() {
            if letter.is_uppercase() && at > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// More, less, lower, higher.
const SECTIONS: [[Field; 4]; 3] = [
    [Field::AnswerMore, Field::AnswerLess, Field::AnswerTtlLower, Field::AnswerTtlHigher],
    [
        Field::AuthorityMore,
        Field::AuthorityLess,
        Field::AuthorityTtlLower,
        Field::AuthorityTtlHigher,
    ],
    [
        Field::AdditionalMore,
        Field::AdditionalLess,
        Field::AdditionalTtlLower,
        Field::AdditionalTtlHigher,
    ],
];

/// NSID, cookie, keepalive, padding, extended error: each server's own.
const HOP: [u16; 5] = [3, 10, 11, 12, 15];

/// An answer, and where that was truncated over UDP, what the server then said over TCP.
#[derive(Debug, Clone)]
pub struct Told {
    pub first: Reply,
    pub whole: Option<Reply>,
}

impl Told {
    /// The answer that the client ends up with, if it is one.
    pub fn message(&self) -> Option<&Message> {
        match self.whole.as_ref().unwrap_or(&self.first) {
            Reply::Answer(message) => Some(message),
            _ => None,
        }
    }

    /// Whether the first answer was truncated.
    pub fn truncated(&self) -> bool {
        matches!(&self.first, Reply::Answer(message) if message.has(TC))
    }

    pub fn show(&self) -> String {
        match &self.whole {
            Some(whole) => format!("{}  then over TCP: {}", self.first.show(), whole.show()),
            None => self.first.show(),
        }
    }
}

/// Compares what was told; TTLs may be `tolerance` seconds apart.
pub fn differences(ours: &Told, theirs: &Told, tolerance: u32) -> BTreeSet<Field> {
    let mut found = BTreeSet::new();
    let (Some(a), Some(b)) = (ours.message(), theirs.message()) else {
        found.insert(Field::Answered);
        return found;
    };
    let mut differs = |field, differs: bool| {
        if differs {
            found.insert(field);
        }
    };
    differs(Field::Tc, ours.truncated() != theirs.truncated() || (a.flags ^ b.flags) & TC != 0);
    for (field, flag) in
        [(Field::Aa, AA), (Field::Rd, RD), (Field::Ra, RA), (Field::Ad, AD), (Field::Cd, CD)]
    {
        differs(field, (a.flags ^ b.flags) & flag != 0);
    }
    differs(Field::Header, (a.flags ^ b.flags) & 0x7840 != 0);
    differs(Field::Rcode, a.rcode != b.rcode);
    differs(Field::Question, a.question != b.question);
    for ([more, less, lower, higher], (a, b)) in
        SECTIONS.into_iter().zip(a.sections.iter().zip(&b.sections))
    {
        let (ours, theirs) = (by_data(a), by_data(b));
        differs(more, a.len() > b.len() || ours.keys().any(|rr| !theirs.contains_key(rr)));
        differs(less, b.len() > a.len() || theirs.keys().any(|rr| !ours.contains_key(rr)));
        let mut both = ours.iter().filter_map(|(rr, ttl)| Some((*ttl, *theirs.get(rr)?)));
        differs(lower, both.clone().any(|(a, b)| a.saturating_add(tolerance) < b));
        differs(higher, both.any(|(a, b)| b.saturating_add(tolerance) < a));
        let same = ours.keys().eq(theirs.keys());
        differs(Field::Case, same && as_written(a) != as_written(b));
    }
    differs(Field::Opt, a.opt.is_some() != b.opt.is_some());
    if let (Some(a), Some(b)) = (&a.opt, &b.opt) {
        let flags = |opt: &crate::message::Opt| (opt.version, opt.dnssec_ok, opt.rest);
        differs(Field::OptFlags, flags(a) != flags(b));
        let codes = |opt: &crate::message::Opt| -> BTreeSet<u16> {
            opt.options.iter().map(|(code, _)| *code).filter(|code| !HOP.contains(code)).collect()
        };
        differs(Field::Options, codes(a) != codes(b));
    }
    found
}

/// Records with their TTLs.
fn by_data(section: &[Rr]) -> BTreeMap<Rr, u32> {
    section.iter().map(|rr| (Rr { ttl: 0, ..rr.folded() }, rr.ttl)).collect()
}

fn as_written(section: &[Rr]) -> BTreeSet<Rr> {
    section.iter().map(|rr| Rr { ttl: 0, ..rr.clone() }).collect()
}
