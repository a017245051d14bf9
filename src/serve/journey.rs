//! Answers that take more than one question: where an alias leads into another horizon, its target is
//! asked for there, and the client gets one answer made of both (horizon rule 5), and so it is where a
//! server does not follow an alias to its end; where a NAT64 is in
//! use, IPv6 addresses are made of IPv4 ones (RFC 6147); where the configuration says so, a name is
//! asked for as another.
//!
//! Each part is asked for, coalesced and cached as a question of its own, under its own route; what is
//! on the way from one to the next travels with the client who waits. Nothing that is put together
//! here is cached.

use super::settle::Rendering;
use super::waiter::{Waiter, Waiting};
use super::{Client, Desk, Joined, Miss, Reply, Settled, Step, not_forwarded, unowned};
use std::sync::Arc;

use crate::answer::{Answer, Question};
use crate::cache::{Entry, Freshness, Hashed, Key, SharedKey};
use crate::compose::{self, Part};
use crate::config::Nat64;
use crate::dns64;
use crate::local::Back;
use crate::respond::{self, Ask, Ttl};
use crate::telemetry::labels::{Family, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{Rcode, flag};
use crate::wire::query::Query;
use crate::wire::{CLASS_IN, rtype};

/// How often the aliases of one answer may lead on, to another horizon or beyond what a server follows.
const STEPS: usize = 8;

/// What a client's answer is put together from, and how far it has come.
pub(super) struct Journey {
    /// The key of the client's own question.
    key: SharedKey,
    /// The beginnings of the answer, in their order.
    parts: Vec<Stage>,
    /// The answer without IPv6 addresses in whose place the name's IPv4 addresses are asked for.
    aaaa: Option<Stage>,
    /// Where the client's name is asked for as another: the way back.
    back: Option<Back>,
    /// What is to be said beside the answer's own extended error.
    note: Option<Ede>,
}

/// One answer on the way.
#[derive(Clone)]
struct Stage {
    entry: Entry,
    ttl: Ttl,
}

impl Stage {
    fn of(found: &Settled) -> Stage {
        Stage { entry: found.entry.clone(), ttl: found.ttl }
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
    answer: Answer,
    /// Folded name and type of the client's question.
    key: SharedKey,
    note: Option<Ede>,
    source: Source,
    route: u16,
}

/// What became of one who waited for a part.
pub enum GoneOn {
    /// The answer is whole.
    Arrived(Arrived, Waiter),
    /// The next part must be asked for.
    Joined(Joined),
}

enum Travel {
    Arrived(Arrived),
    Ask { key: SharedKey, ended: usize, route: u16, late: bool, journey: Box<Journey> },
}

/// Where a question stands.
enum Standing {
    Known(Settled),
    Open { ended: usize, route: u16, late: bool },
}

impl Journey {
    fn new(key: SharedKey) -> Box<Journey> {
        Box::new(Journey { key, parts: Vec::new(), aaaa: None, back: None, note: None })
    }

    fn question(&self) -> Question<'_> {
        let key = self.key.as_bytes();
        Question { name: Key::name(key), qtype: Key::qtype(key), qclass: CLASS_IN }
    }

    /// Takes in an answer and tells what is to be asked for next, if anything.
    ///
    /// # Errors
    /// The aliases lead nowhere: why.
    fn take(&mut self, found: &Settled) -> Result<Option<Key>, Ede> {
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
    fn end(&self, last: &Settled, nat64: Option<&Nat64>, now: Tick) -> Answer {
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

    fn arrive(self, answer: Answer, last: &Settled) -> Arrived {
        let note = self.note.or_else(|| last.note.clone());
        let route = self.parts.first().map_or(last.entry.route(), |stage| stage.entry.route());
        Arrived { answer, key: self.key, note, source: last.source, route }
    }
}

impl Desk {
    /// The client's own question found the beginning of an answer.
    pub(super) fn beginning(
        &mut self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        found: Settled,
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        let route = found.entry.route();
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        self.beginning_of(Reply { query, ask, client, route, now }, found, out)
    }

    /// The same for a question that is counted already.
    #[cold]
    pub(super) fn beginning_of(
        &mut self,
        reply: Reply<'_, '_>,
        found: Settled,
        out: &mut [u8],
    ) -> Step {
        let query = reply.query;
        let cd = query.header.has(flag::CD);
        let key = self.shared(Key::of(query.name, query.qtype, query.dnssec_ok(), cd));
        let travel = self.travel(Journey::new(key), found, reply.now);
        self.travelled(reply, travel, out)
    }

    /// A question whose name is asked for as another; `None` for one that is not.
    #[cold]
    pub(super) fn rewritten(
        &mut self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        now: Tick,
        out: &mut [u8],
    ) -> Option<Step> {
        let (flags, cd) = (query.dnssec_ok(), query.header.has(flag::CD));
        let key = Key::of(query.name, query.qtype, flags, cd);
        let rewritten = self.server.rewrites.find(Key::name(key.as_bytes()))?;
        let asked = Key::of(rewritten.name.as_wire(), query.qtype, flags, cd);
        let mut journey = Journey::new(self.shared(key));
        journey.back = Some(rewritten.back);
        let server = Arc::clone(&self.server);
        let hashed = server.cache.hashed(asked.as_bytes());
        let owner = server.table.find(Key::name(asked.as_bytes()));
        let route = owner.map_or(NO_ROUTE, |owner| owner.route);
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        let travel = match self.standing(hashed, now) {
            Standing::Known(found) => self.travel(journey, found, now),
            Standing::Open { ended, route, late } => {
                let key = SharedKey::new(hashed);
                Travel::Ask { key, ended, route, late, journey }
            }
        };
        Some(self.travelled(Reply { query, ask, client, route, now }, travel, out))
    }

    fn travelled(&mut self, reply: Reply<'_, '_>, travel: Travel, out: &mut [u8]) -> Step {
        let query = reply.query;
        match travel {
            Travel::Arrived(arrived) => self.reply_arrived(reply, &arrived, out),
            Travel::Ask { journey, .. } if !query.header.has(flag::RD) => {
                self.reply(reply, &not_forwarded(journey.question()), Source::Refused, out)
            }
            Travel::Ask { key, ended, route, late, journey } => {
                self.stats.cache_miss(route);
                let folded = journey.key.clone();
                let waiter = Waiting::new(&reply, Key::name(folded.as_bytes()), Some(journey));
                Step::Miss(Miss { key, ended, route, late, waiter })
            }
        }
    }

    fn reply_arrived(&mut self, reply: Reply<'_, '_>, arrived: &Arrived, out: &mut [u8]) -> Step {
        let nsid = self.server.node.as_bytes();
        let (view, note) = (arrived.answer.view(), arrived.note.as_ref());
        let len = respond::answer(view, reply.ask, Ttl::Elapsed(0), note, nsid, out);
        self.replied(reply, view.rcode(), arrived.source, len)
    }

    /// One who waited has got `settled`, which is not all of the answer, or not its beginning.
    pub fn go_on(&mut self, settled: &Settled, waiter: Waiter, now: Tick) -> GoneOn {
        let Waiter { mut waiting, reply_to } = waiter;
        let journey = waiting.journey.take().unwrap_or_else(|| {
            let entry = &settled.entry;
            let dnssec_ok = waiting.edns.is_some_and(|edns| edns.dnssec_ok);
            let cd = waiting.flags & flag::CD != 0;
            Journey::new(self.shared(Key::of(entry.name(), entry.qtype(), dnssec_ok, cd)))
        });
        match self.travel(journey, settled.alone(), now) {
            Travel::Arrived(arrived) => GoneOn::Arrived(arrived, Waiter { waiting, reply_to }),
            Travel::Ask { key, ended, route, late, journey } => {
                if waiting.name.is_none() {
                    waiting.name = Some(Key::name(journey.key.as_bytes()).into());
                }
                waiting.journey = Some(journey);
                let miss = Miss { key, ended, route, late, waiter: waiting };
                GoneOn::Joined(self.join(miss, reply_to))
            }
        }
    }

    fn shared(&self, key: Key) -> SharedKey {
        SharedKey::new(self.server.cache.hashed(key.as_bytes()))
    }

    /// Goes on from `found` until the answer is whole or an upstream must be asked.
    fn travel(&mut self, mut journey: Box<Journey>, mut found: Settled, now: Tick) -> Travel {
        loop {
            if let Some(note) = found.note.take() {
                journey.note.get_or_insert(note);
            }
            let key = match journey.take(&found) {
                Ok(Some(key)) => key,
                Ok(None) => {
                    let nat64 = journey.aaaa.as_ref().and_then(|aaaa| self.nat64(&aaaa.entry));
                    let answer = journey.end(&found, nat64, now);
                    return Travel::Arrived(journey.arrive(answer, &found));
                }
                Err(why) => {
                    let answer = Answer::failure(journey.question(), Rcode::SERVFAIL, why);
                    return Travel::Arrived(journey.arrive(answer, &found));
                }
            };
            let hashed = self.server.cache.hashed(key.as_bytes());
            match self.standing(hashed, now) {
                Standing::Known(next) => found = next,
                Standing::Open { ended, route, late } => {
                    let key = SharedKey::new(hashed);
                    return Travel::Ask { key, ended, route, late, journey };
                }
            }
        }
    }

    fn nat64(&self, entry: &Entry) -> Option<&Nat64> {
        self.server.policies.get(usize::from(entry.route()))?.dns64.as_ref()
    }

    /// What can be said to a question at once, if anything.
    fn standing(&mut self, key: Hashed<'_>, now: Tick) -> Standing {
        let ended = self.server.flights.ended(key);
        let mut late = false;
        if let Some(entry) = self.server.cache.get(key) {
            match entry.freshness(now) {
                Freshness::Fresh(age) => {
                    if entry.is_ending(now) {
                        self.renew_ending(&entry, true);
                    }
                    return Standing::Known(Settled::fresh(entry, age));
                }
                Freshness::Stale => late = true,
                Freshness::Dead => {}
            }
        }
        let (name, qtype) = (Key::name(key.bytes), Key::qtype(key.bytes));
        let question = Question { name, qtype, qclass: CLASS_IN };
        let owner = self.server.table.find(name);
        if let Some(mut answer) = self.local_answer(question, owner.as_ref()) {
            let route = owner.map_or(NO_ROUTE, |owner| owner.route);
            self.mark_wanting(key.bytes, route, &mut answer);
            return Standing::Known(Settled::local(key.bytes, &answer, route, now));
        }
        let Some(owner) = owner else {
            return Standing::Known(Settled::local(key.bytes, &unowned(question), NO_ROUTE, now));
        };
        match self.recall(key, &owner, now, &mut late) {
            Some(settled) => Standing::Known(settled),
            None => Standing::Open { ended, route: owner.route, late },
        }
    }

    /// Writes the answer of one who waited into `out` and counts it; returns its length.
    pub fn render_arrived(
        &mut self,
        arrived: &Arrived,
        waiter: &Waiter,
        now: Tick,
        out: &mut [u8],
    ) -> usize {
        let key = arrived.key.as_bytes();
        let rendering = Rendering {
            view: arrived.answer.view(),
            question: (Key::name(key), Key::qtype(key)),
            ttl: Ttl::Elapsed(0),
            note: arrived.note.as_ref(),
            source: arrived.source,
            route: arrived.route,
        };
        self.render_view(rendering, &waiter.waiting, now, out)
    }
}

impl Settled {
    /// Whether one who waits gets it as it is.
    #[inline]
    pub fn is_whole_for(&self, waiter: &Waiter) -> bool {
        self.entry.is_whole() && waiter.waiting.journey.is_none()
    }

    /// The same with nobody waiting for it.
    fn alone(&self) -> Settled {
        let (entry, note) = (self.entry.clone(), self.note.clone());
        Settled { entry, ttl: self.ttl, note, source: self.source, waiters: Default::default() }
    }
}
