//! Answers that take more than one question: where an alias leads into another horizon, its target is
//! asked for there, and the client gets one answer made of both (horizon rule 5), and so it is where a
//! server does not follow an alias to its end; where a NAT64 is in use, IPv6 addresses are made of IPv4
//! ones (RFC 6147); where the configuration says so, a name is asked for as another.
//!
//! Each part is asked for, coalesced and cached as a question of its own, under its own route; what is
//! on the way from one to the next travels with the client who waits. Nothing that is put together
//! here is cached.

use super::Settled;
use super::autopath::{Denial, Path};
use super::waiter::Waiter;
use crate::answer::{Answer, Question};
use crate::cache::{Entry, Key, SharedKey};
use crate::compose::{self, Part};
use crate::config::Nat64;
use crate::dns64;
use crate::local::Back;
use crate::respond::Ttl;
use crate::telemetry::labels::Source;
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::Rcode;
use crate::wire::{CLASS_IN, rtype};

/// How often the aliases of one answer may lead on, to another horizon or beyond what a server follows.
const STEPS: usize = 8;

/// What a client's answer is put together from, and how far it has come.
pub(super) struct Journey {
    /// The key of the client's own question.
    pub key: SharedKey,
    /// The beginnings of the answer, in their order.
    pub parts: Vec<Stage>,
    /// Where the name is being looked for by the client's search list: how far that has come.
    pub path: Option<Box<Path>>,
    /// The answer without IPv6 addresses in whose place the name's IPv4 addresses are asked for.
    pub aaaa: Option<Stage>,
    /// Where the client's name is asked for as another: the way back.
    pub back: Option<Back>,
    /// What is to be said beside the answer's own extended error.
    pub note: Option<Ede>,
}

/// One answer on the way.
#[derive(Clone)]
pub(super) struct Stage {
    pub entry: Entry,
    ttl: Ttl,
}

impl Stage {
    pub fn of(found: &Settled) -> Stage {
        Stage { entry: found.entry.clone(), ttl: found.ttl }
    }

    /// Of an answer made here and now.
    pub fn made(entry: Entry) -> Stage {
        Stage { entry, ttl: Ttl::Elapsed(0) }
    }

    /// Its share of the answer at `now`.
    fn part(&self, now: Tick) -> Part<'_> {
        let ttl = match self.ttl {
            Ttl::Elapsed(_) => Ttl::Elapsed(now.secs_since(self.entry.stored())),
            fixed => fixed,
        };
        Part { view: self.entry.view(), ttl, kind: self.entry.kind() }
    }
}

/// An answer made of several.
pub struct Arrived {
    pub(super) answer: Answer,
    /// Folded name and type of the client's question.
    pub(super) key: SharedKey,
    pub(super) note: Option<Ede>,
    pub(super) source: Source,
    pub(super) route: u16,
}

impl Journey {
    pub fn new(key: SharedKey) -> Box<Journey> {
        Box::new(Journey { key, parts: Vec::new(), path: None, aaaa: None, back: None, note: None })
    }

    pub fn question(&self) -> Question<'_> {
        let key = self.key.as_bytes();
        Question { name: Key::name(key), qtype: Key::qtype(key), qclass: CLASS_IN }
    }

    /// Takes in an answer and tells what is to be asked for next, if anything.
    ///
    /// # Errors
    /// The aliases lead nowhere: why.
    pub fn take(&mut self, found: &Settled) -> Result<Option<Key>, Ede> {
        // An alias of the A records alone is none of the name's: nothing is made of them.
        if found.entry.is_whole() || self.aaaa.is_some() {
            return Ok(None);
        }
        let (dnssec_ok, checking_disabled) = Key::flags(self.key.as_bytes());
        if found.entry.wants_ipv4() {
            self.aaaa = Some(Stage::of(found));
            return Ok(Some(Key::of(found.entry.name(), rtype::A, dnssec_ok, checking_disabled)));
        }
        let lost = |text: String| Err(Ede::new(ede::OTHER, text));
        let Some(target) = compose::target(found.entry.view()) else {
            return lost("an alias leads nowhere".into());
        };
        let name = target.as_wire();
        let seen = |stage: &Stage| stage.entry.name() == name;
        if found.entry.name() == name || self.parts.iter().any(seen) {
            return lost("aliases lead in a circle".into());
        }
        if self.parts.len() >= STEPS {
            return lost(format!("aliases lead on more than {STEPS} times"));
        }
        self.parts.push(Stage::of(found));
        let qtype = Key::qtype(self.key.as_bytes());
        Ok(Some(Key::of(name, qtype, dnssec_ok, checking_disabled)))
    }

    /// The whole answer, of which `last` is the end; `nat64` is the prefix of the route where addresses
    /// are made of others.
    pub fn end(&self, last: &Settled, nat64: Option<&Nat64>, now: Tick) -> Answer {
        let last = Stage::of(last);
        let (Some(aaaa), Some(nat64)) = (&self.aaaa, nat64) else {
            return self.join(&last.entry, last.part(now), now);
        };
        let (name, qclass) = (aaaa.entry.name(), CLASS_IN);
        let question = Question { name, qtype: rtype::AAAA, qclass };
        if !matches!(last.entry.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
            return self.join(&last.entry, last.part(now), now);
        }
        match &dns64::synthesize(question, &aaaa.part(now), &last.part(now), nat64) {
            Some(made) if self.parts.is_empty() && self.back.is_none() => made.clone(),
            Some(made) => self.join(&last.entry, Part::of(made), now),
            None => self.join(&aaaa.entry, aaaa.part(now), now),
        }
    }

    /// The parts in a row, of which `last`, made of `entry`, is the end.
    fn join(&self, entry: &Entry, last: Part<'_>, now: Tick) -> Answer {
        let question = self.question();
        if !matches!(entry.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
            let why = entry.view().ede;
            let code = why.map_or(ede::NO_REACHABLE_AUTHORITY, |why| why.code);
            let text = why.map_or("no answer", |why| why.text);
            let text = match self.parts.is_empty() {
                true => text.to_owned(),
                false => format!("behind an alias: {text}"),
            };
            return Answer::failure(question, Rcode::SERVFAIL, Ede::new(code, text));
        }
        let parts = self.parts.iter().map(|stage| stage.part(now));
        let parts: Vec<Part<'_>> = parts.chain([last]).collect();
        let (dnssec_ok, _) = Key::flags(self.key.as_bytes());
        let back = self.back.as_ref().map(|back| |name: &[u8]| back.apply(name));
        let back = back.as_ref().map(|back| back as &compose::Back<'_>);
        compose::compose(question, &parts, dnssec_ok, back).unwrap_or_else(|| {
            let why = Ede::new(ede::OTHER, "the parts of the answer do not fit into one message");
            Answer::failure(question, Rcode::SERVFAIL, why)
        })
    }

    /// The end of a walk that has found nothing: the client's own question gets the answer that it got at
    /// first.
    pub fn nowhere(self, denial: Denial, now: Tick) -> Arrived {
        let Denial { stage, note, source } = denial;
        let answer = self.join(&stage.entry, stage.part(now), now);
        Arrived { answer, key: self.key, note, source, route: stage.entry.route() }
    }

    pub fn arrive(self, answer: Answer, last: &Settled) -> Arrived {
        let note = self.note.or_else(|| last.note.clone());
        let route = self.parts.first().map_or(last.entry.route(), |stage| stage.entry.route());
        Arrived { answer, key: self.key, note, source: last.source, route }
    }
}

impl Settled {
    /// Whether one who waits gets it as it is.
    #[inline]
    pub fn is_whole_for(&self, waiter: &Waiter) -> bool {
        self.entry.is_whole() && waiter.waiting.journey.is_none()
    }

    /// The same with nobody waiting for it.
    pub(super) fn alone(&self) -> Settled {
        let (entry, note) = (self.entry.clone(), self.note.clone());
        Settled { entry, ttl: self.ttl, note, source: self.source, waiters: Default::default() }
    }
}
