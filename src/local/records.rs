//! Static records: what the configuration says of single names, and of all names below one.
//!
//! This is no zone: a name that has no record here is somebody else's, whatever stands above, below
//! or beside it. A name that has one belongs here with all its types. Only below a wildcard is it as
//! in a zone (RFC 4592): a wildcard stands for the names below its own that have no nearer existing
//! name above them, and a name that exists only because others lie below it is empty.

use std::time::Duration;

use hashbrown::HashMap;

use super::{POINTER_TO_QUESTION, minimal_any, negative};
use crate::answer::{Answer, Question, Section, Writer};
use crate::config::LocalRecord;
use crate::wire::header::{Rcode, flag};
use crate::wire::name::Labels;
use crate::wire::{CLASS_IN, rtype};

type ByName<T> = HashMap<Box<[u8]>, T, foldhash::fast::RandomState>;

/// The records of one name; none where it only has names below it.
type Sets = Vec<Rrset>;

/// All records of one name and type.
#[derive(Debug, Clone)]
struct Rrset {
    rtype: u16,
    /// In seconds.
    ttl: u32,
    rdata: Vec<Box<[u8]>>,
}

/// The table of static records; built once, read by all.
#[derive(Debug, Default)]
pub struct Records {
    /// By owner. Wildcards are among them, so that names below one find that it exists, and below
    /// wildcards the names that are empty.
    names: ByName<Sets>,
    /// The wildcards, by the name that they stand below.
    wildcards: ByName<Sets>,
    /// Bit n: one of the keys has n labels.
    depths: u128,
}

/// The records that a name has.
#[derive(Clone, Copy)]
pub struct Found<'a>(&'a [Rrset]);

impl Records {
    /// From validated records.
    pub fn new(records: &[LocalRecord]) -> Records {
        let mut table = Records::default();
        for record in records {
            let name = record.name.as_wire();
            let ttl = seconds(record.ttl);
            let set = Rrset { rtype: record.rtype, ttl, rdata: record.rdata.clone() };
            if let Some(parent) = wildcard_parent(name) {
                add(&mut table.wildcards, &mut table.depths, parent).push(set.clone());
            }
            add(&mut table.names, &mut table.depths, name).push(set);
        }
        for record in records {
            table.add_empty_above(record.name.as_wire());
        }
        table
    }

    /// The names between `name` and the highest wildcard above it exist, too (RFC 4592, 2.2.2).
    fn add_empty_above(&mut self, name: &[u8]) {
        let highest = Above(name).filter(|above| self.wildcards.contains_key(*above)).last();
        let Some(highest) = highest else { return };
        for above in Above(name).take_while(|above| above.len() > highest.len()) {
            add(&mut self.names, &mut self.depths, above);
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.depths == 0
    }

    /// The records that stand at this very name (folded).
    pub fn exact(&self, name: &[u8]) -> Option<Found<'_>> {
        self.names.get(name).filter(|sets| !sets.is_empty()).map(|sets| Found(sets))
    }

    /// What wildcards have for a name (folded) that has no records of its own: their records, or
    /// none where names below it make it exist. `None`: nothing is said of it here.
    pub fn wildcard(&self, name: &[u8]) -> Option<Found<'_>> {
        if self.wildcards.is_empty() {
            return None;
        }
        if let Some(sets) = self.names.get(name) {
            return Some(Found(sets));
        }
        let mut left = Labels(name).count();
        for above in Above(name) {
            left -= 1;
            if self.depths >> left.min(127) & 1 == 0 {
                continue;
            }
            if let Some(sets) = self.wildcards.get(above) {
                return Some(Found(sets));
            }
            // The closest encloser: no wildcard above it reaches below it (RFC 4592, 3.3.1).
            if self.names.contains_key(above) {
                return None;
            }
        }
        None
    }
}

/// A duration as a TTL.
pub(super) fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

fn add<'t>(table: &'t mut ByName<Sets>, depths: &mut u128, name: &[u8]) -> &'t mut Sets {
    *depths |= 1 << Labels(name).count().min(127);
    table.entry_ref(name).or_default()
}

/// The name that a wildcard's records stand below.
fn wildcard_parent(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(b"\x01*")
}

/// The names above a name, from the nearest; the root is the last.
struct Above<'a>(&'a [u8]);

impl<'a> Iterator for Above<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(*self.0.first()?);
        self.0 = if len == 0 { &[] } else { self.0.get(1 + len..).unwrap_or_default() };
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl Found<'_> {
    /// The answer to a question about the name. A CNAME answers every type but its own only as far
    /// as it goes ([`Answer::onward`]).
    pub fn answer(self, question: Question<'_>) -> Answer {
        let of = |rtype| self.0.iter().find(|set| set.rtype == rtype);
        if question.qtype == rtype::ANY && !self.0.is_empty() {
            return minimal_any(question);
        }
        let Some(set) = of(question.qtype).or_else(|| of(rtype::CNAME)) else {
            return negative(question, Rcode::NOERROR, question.name);
        };
        let room = set.rdata.iter().map(|rdata| rdata.len() + 12).sum();
        let mut writer = Writer::with_room(question, Rcode::NOERROR, flag::AA, room);
        let fixed = (set.rtype, CLASS_IN, set.ttl);
        for rdata in &set.rdata {
            writer.record(Section::Answer, POINTER_TO_QUESTION, fixed, &[rdata]);
        }
        writer.onward = set.rtype == rtype::CNAME && question.qtype != rtype::CNAME;
        writer.finish()
    }
}

#[cfg(test)]
mod tests;
