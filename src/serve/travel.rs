//! A thread's part in answers that take more than one question: what is known is put together at once,
//! what is not is asked for, and the journey waits there.

use std::sync::Arc;

use super::autopath::{Path, Turn};
use super::journey::{Arrived, Journey};
use super::miss::{not_forwarded, unowned};
use super::settle::Rendering;
use super::waiter::{Waiter, Waiting};
use super::{Client, Desk, Joined, Miss, Reply, Settled, Step};
use crate::answer::{Answer, Question};
use crate::cache::{Entry, Freshness, Hashed, Key, SharedKey};
use crate::config::Nat64;
use crate::respond::{self, Ask, Ttl};
use crate::telemetry::labels::{Family, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::wire::CLASS_IN;
use crate::wire::header::{Rcode, flag};
use crate::wire::query::Query;

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
        let recursion = query.header.has(flag::RD);
        let travel = self.travel(Journey::new(key), found, recursion, reply.now);
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
        let owner = server.table.load().find(Key::name(asked.as_bytes()));
        let route = owner.map_or(NO_ROUTE, |owner| owner.route);
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        let recursion = query.header.has(flag::RD);
        let travel = match self.standing(hashed, recursion, now) {
            Standing::Known(found) => self.travel(journey, found, recursion, now),
            Standing::Open { ended, route, late } => {
                let key = SharedKey::new(hashed);
                Travel::Ask { key, ended, route, late, journey }
            }
        };
        Some(self.travelled(Reply { query, ask, client, route, now }, travel, out))
    }

    /// The client's own question, which may be looked for by its search list, has an answer already.
    #[cold]
    pub(super) fn walk(
        &mut self,
        reply: Reply<'_, '_>,
        path: Box<Path>,
        found: Settled,
        out: &mut [u8],
    ) -> Step {
        let journey = self.journey_by(path, &reply);
        let travel = self.travel(journey, found, true, reply.now);
        self.travelled(reply, travel, out)
    }

    /// The same where it must be asked for.
    #[cold]
    pub(super) fn set_out(
        &mut self,
        reply: Reply<'_, '_>,
        path: Box<Path>,
        (key, ended, late): (Hashed<'_>, usize, bool),
        out: &mut [u8],
    ) -> Step {
        let journey = self.journey_by(path, &reply);
        let route = reply.route;
        // With an answer past its expiry in hand there is nothing to be found out.
        let by_a = if late { None } else { self.led_by(key.bytes) };
        let travel = match by_a {
            None => Travel::Ask { key: SharedKey::new(key), ended, route, late, journey },
            Some(a) => match self.standing(a.hashed(), true, reply.now) {
                Standing::Known(found) => self.travel(journey, found, true, reply.now),
                Standing::Open { ended, route, late } => {
                    Travel::Ask { key: a, ended, route, late, journey }
                }
            },
        };
        self.travelled(reply, travel, out)
    }

    fn journey_by(&self, path: Box<Path>, reply: &Reply<'_, '_>) -> Box<Journey> {
        let query = reply.query;
        let cd = query.header.has(flag::CD);
        let key = Key::of(query.name, query.qtype, query.dnssec_ok(), cd);
        let mut journey = Journey::new(self.shared(key));
        journey.path = Some(path);
        journey
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
        match self.travel(journey, settled.alone(), true, now) {
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

    /// Goes on from `found` until the answer is whole or an upstream must be asked. `may_ask`: see
    /// [`Desk::recall`].
    fn travel(
        &mut self,
        mut journey: Box<Journey>,
        mut found: Settled,
        may_ask: bool,
        now: Tick,
    ) -> Travel {
        loop {
            let next = match self.turn(&mut journey, &found, now) {
                Turn::Ask(key) => Ok(Some(key)),
                Turn::Nowhere(denial) => return Travel::Arrived(journey.nowhere(denial, now)),
                Turn::Take => {
                    if let Some(note) = found.note.take() {
                        journey.note.get_or_insert(note);
                    }
                    journey.take(&found)
                }
            };
            let key = match next {
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
            match self.standing(hashed, may_ask, now) {
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
    fn standing(&mut self, key: Hashed<'_>, may_ask: bool, now: Tick) -> Standing {
        let ended = self.server.flights.ended(key);
        let mut late = false;
        if let Some(entry) = self.server.cache.get(key) {
            match entry.freshness(now) {
                Freshness::Fresh(age) => {
                    if entry.is_ending(now) {
                        self.renew_ending(&entry, may_ask);
                    }
                    return Standing::Known(Settled::fresh(entry, age));
                }
                Freshness::Stale => late = true,
                Freshness::Dead => {}
            }
        }
        let (name, qtype) = (Key::name(key.bytes), Key::qtype(key.bytes));
        let question = Question { name, qtype, qclass: CLASS_IN };
        let owner = self.server.table.load().find(name);
        if let Some(mut answer) = self.local_answer(question, owner.as_ref()) {
            let route = owner.map_or(NO_ROUTE, |owner| owner.route);
            self.mark_wanting(key.bytes, route, &mut answer);
            return Standing::Known(Settled::local(key.bytes, &answer, route, now));
        }
        let Some(owner) = owner else {
            return Standing::Known(Settled::local(key.bytes, &unowned(question), NO_ROUTE, now));
        };
        match self.recall(key, &owner, may_ask, now, &mut late) {
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
