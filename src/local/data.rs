//! All that is answered here, in the order in which one wins over the other:
//!
//! 1. a static record at the very name,
//! 2. the hosts file,
//! 3. a static wildcard,
//! 4. special-use and single-label names,
//! 5. reverse names of private addresses, where the configuration says so.
//!
//! A name belongs to the first of them that knows it, with all its types. `localhost`, `invalid` and
//! `onion` cannot be in the first three. Where there is neither record nor file, they cost a look at
//! two lengths.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::hosts::Hosts;
use super::records::{Records, seconds};
use super::{Answer, Question, reverse};
use crate::config::{Local, PrivateReverse, SingleLabel};
use crate::route::Match;
use crate::wire::name::Name;

/// What is answered here. Only the hosts file's part can change, without a lock for those who ask.
#[derive(Debug)]
pub struct Data {
    records: Records,
    /// `None` if the configuration names no file.
    hosts: Option<ArcSwap<Hosts>>,
    /// In seconds.
    hosts_ttl: u32,
    private_reverse: PrivateReverse,
    single_label: SingleLabel,
}

impl Data {
    /// From a validated configuration. The hosts file is empty until [`Data::set_hosts`].
    pub fn new(config: &Local) -> Data {
        Data {
            records: Records::new(&config.records),
            hosts: config.hosts.as_ref().map(|_| ArcSwap::default()),
            hosts_ttl: seconds(config.hosts_ttl),
            private_reverse: config.private_reverse,
            single_label: config.single_label,
        }
    }

    /// What is answered here rather than by an upstream. `owner` is the route of the name, if it has
    /// one. `None`: the name is not local.
    pub fn answer(&self, question: Question<'_>, owner: Option<&Match>) -> Option<Answer> {
        self.look(question, owner).map(|(_, answer)| answer)
    }

    /// By which of the five a question is answered here, for people.
    pub fn explain(&self, question: Question<'_>, owner: Option<&Match>) -> Option<&'static str> {
        self.look(question, owner).map(|(by, _)| by)
    }

    fn look(
        &self,
        question: Question<'_>,
        owner: Option<&Match>,
    ) -> Option<(&'static str, Answer)> {
        if let Some(found) = self.given(question) {
            return Some(found);
        }
        if let Some(answer) = super::answer(question, owner, self.single_label) {
            return Some(("special-use or single-label name", answer));
        }
        let unrouted = owner.is_none_or(Match::is_root);
        if self.private_reverse == PrivateReverse::NxDomain && unrouted {
            return Some(("reverse name of a private address", reverse::private(question)?));
        }
        None
    }

    /// Records and the hosts file.
    fn given(&self, question: Question<'_>) -> Option<(&'static str, Answer)> {
        let name = question.name;
        let records = !self.records.is_empty();
        if records && let Some(found) = self.records.exact(name) {
            return Some(("static record", found.answer(question)));
        }
        if let Some(hosts) = &self.hosts
            && let Some(answer) = hosts.load().answer(question, self.hosts_ttl)
        {
            return Some(("hosts file", answer));
        }
        if records && let Some(found) = self.records.wildcard(name) {
            return Some(("static wildcard", found.answer(question)));
        }
        None
    }

    /// Whether a folded name belongs to a record or to the hosts file: what an upstream may still
    /// say of it must not be kept.
    pub fn owns(&self, name: &[u8]) -> bool {
        self.records.exact(name).is_some()
            || self.hosts.as_ref().is_some_and(|hosts| hosts.load().owns(name))
            || self.records.wildcard(name).is_some()
    }

    /// Takes over what the hosts file says now, in force with the next question. Returns the names,
    /// reverse names among them, of which it said something else before: what is cached of them is
    /// to be forgotten. Does nothing if the configuration names no file.
    pub fn set_hosts(&self, hosts: Hosts) -> Vec<Name> {
        let Some(current) = &self.hosts else { return Vec::new() };
        let new = Arc::new(hosts);
        let old = current.swap(Arc::clone(&new));
        old.changed(&new)
    }
}

#[cfg(test)]
mod tests;
