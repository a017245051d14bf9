//! The chain of aliases from the question to what it asked for, and where it leaves the horizon.
//!
//! Only names on the chain were asked about: what the answer section says of others is dropped, and a
//! chain is followed no further than the route's own names (horizon rule 5).

use super::Rules;
use super::horizons::Crossing;
use super::names::{encloses, is_name};
use super::survey::{DROPPED, Entry, Owner, Survey, covered};
use crate::answer::Question;
use crate::wire::records::NameBuf;
use crate::wire::rtype;

/// A CNAME chain longer than this is no answer.
const MAX_CHAIN: usize = 16;

/// How a chain ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With records of the asked type, or with a DNAME.
    Found,
    /// Without.
    Bare,
    /// At an alias into another horizon; never [`Crossing::Inside`].
    Across(Crossing),
}

/// A chain, followed.
pub(super) struct Chain {
    pub(super) end: End,
    /// The last name that belongs to the route.
    pub(super) last: Last,
}

/// A name of a chain. The usual one is the question's, so this is small.
pub(super) enum Last {
    /// The question's.
    Question,
    /// A CNAME's target, which stands here.
    At(usize),
    /// What a DNAME made.
    Made(Box<NameBuf>),
}

impl Last {
    /// The name written out; `None`: the question's.
    pub(super) fn name(&self, message: &[u8]) -> Option<NameBuf> {
        match self {
            Last::Question => None,
            Last::At(at) => NameBuf::expand(message, *at),
            Last::Made(name) => Some((**name).clone()),
        }
    }
}

/// What the answer section has for one name.
#[derive(Default)]
struct Here {
    found: bool,
    /// Where the target of its CNAME stands.
    cname: Option<usize>,
    /// Owner and target of the DNAME above it.
    dname: Option<(usize, usize)>,
}

impl Survey {
    /// Follows the CNAMEs of the answer section from the question, and ranks the records that it
    /// meets; the others of that section stay [`DROPPED`]. `None`: there are answers, but none for this
    /// name.
    pub(super) fn follow(
        &mut self,
        question: &Question<'_>,
        message: &[u8],
        rules: &Rules<'_>,
    ) -> Option<Chain> {
        let here = self.look_for(question.name, 0, question, message, rules);
        match here {
            Here { found: true, .. } => Some(Chain { end: End::Found, last: Last::Question }),
            Here { cname: None, dname: None, .. } => {
                let empty = self.section(0).next().is_none();
                empty.then_some(Chain { end: End::Bare, last: Last::Question })
            }
            here => self.follow_on(here, question, message, rules),
        }
    }

    /// The same where the question's name is an alias.
    fn follow_on(
        &mut self,
        mut here: Here,
        question: &Question<'_>,
        message: &[u8],
        rules: &Rules<'_>,
    ) -> Option<Chain> {
        let mut last = Last::Question;
        // Whether a DNAME stands for a CNAME that is not there.
        let mut redirected = false;
        for step in 1.. {
            let (target, next) = match (here.cname, here.dname) {
                _ if here.found => return Some(Chain { end: End::Found, last }),
                (Some(at), _) => (NameBuf::expand(message, at)?, Last::At(at)),
                (None, Some(dname)) => {
                    redirected = true;
                    let own = last.name(message);
                    let own = own.as_ref().map_or(question.name, NameBuf::as_wire);
                    match substitute(message, own, dname) {
                        Some(target) => (target.clone(), Last::Made(Box::new(target))),
                        None => return Some(Chain { end: End::Found, last }),
                    }
                }
                (None, None) => {
                    let end = if redirected { End::Found } else { End::Bare };
                    return Some(Chain { end, last });
                }
            };
            if step > MAX_CHAIN {
                return None;
            }
            match rules.horizons.crossing(rules.route, target.as_wire()) {
                Crossing::Inside => last = next,
                // Clients make CNAMEs of a DNAME where servers should have (RFC 6672, 3.1); what this
                // one leads to is not told by it, and nobody else is asked; nor where one stands in the way.
                _ if here.cname.is_none() || redirected => {
                    return Some(Chain { end: End::Found, last });
                }
                crossing => return Some(Chain { end: End::Across(crossing), last }),
            }
            here = self.look_for(target.as_wire(), step, question, message, rules);
        }
        None
    }

    /// Ranks the records of one name, the `step`th of the chain.
    fn look_for(
        &mut self,
        name: &[u8],
        step: usize,
        question: &Question<'_>,
        message: &[u8],
        rules: &Rules<'_>,
    ) -> Here {
        let mut here = Here::default();
        let rank = step as u8 + 1;
        for entry in self.entries.iter_mut().take_while(|e| e.record.section == 0) {
            let record = &entry.record;
            if record.class != question.qclass {
                continue;
            }
            let own = step == 0 && entry.owner == Owner::Question;
            if !own && !is_name(message, record.start, name) {
                if entry.rank != DROPPED {
                    continue;
                }
                if record.rtype == rtype::DNAME && is_dname_of(message, record.start, name, rules) {
                    here.dname = here.dname.or(Some((record.start, record.rdata.start)));
                    entry.rank = rank;
                } else if is_signature_of_dname(message, entry, name, rules) {
                    entry.rank = rank;
                }
                continue;
            }
            if record.rtype == question.qtype || question.qtype == rtype::ANY {
                here.found = true;
            } else if record.rtype == rtype::CNAME {
                // There is one CNAME at a name (RFC 2181, 10.1), and the first is as good as any.
                if here.cname.is_some() {
                    continue;
                }
                here.cname = Some(record.rdata.start);
            }
            entry.rank = rank;
        }
        here
    }
}

/// Whether a DNAME with this owner is one above `name`, and of the route's horizon.
fn is_dname_of(message: &[u8], owner: usize, name: &[u8], rules: &Rules<'_>) -> bool {
    encloses(message, owner, name)
        && NameBuf::expand(message, owner)
            .is_some_and(|owner| rules.horizons.owns(rules.route, owner.as_wire()))
}

/// Whether a record is the signature of such a DNAME.
fn is_signature_of_dname(message: &[u8], entry: &Entry, name: &[u8], rules: &Rules<'_>) -> bool {
    entry.rank == DROPPED
        && covered(message, &entry.record) == Some(rtype::DNAME)
        && is_dname_of(message, entry.record.start, name, rules)
}

/// The name that a DNAME makes of `name` (RFC 6672, 2.2); `None` if it is too long.
fn substitute(message: &[u8], name: &[u8], (owner, target): (usize, usize)) -> Option<NameBuf> {
    let owner = NameBuf::expand(message, owner)?;
    let target = NameBuf::expand(message, target)?;
    let front = name.get(..name.len().checked_sub(owner.as_wire().len())?)?;
    NameBuf::expand(&[front, target.as_wire()].concat(), 0)
}
