//! Questions that the cache has no fresh answer to: what can be said without an upstream, and the joining
//! of those who must wait for one.

use super::waiter::Waiting;
use super::{Client, Desk, Joined, Miss, Reply, ReplyTo, Settled, Step, Waiter};
use crate::answer::{Answer, Question};
use crate::cache::{Hashed, Key, SharedKey};
use crate::coalesce::Join;
use crate::config::Nat64;
use crate::dns64;
use crate::local;
use crate::respond::{self, Ask};
use crate::route::Match;
use crate::telemetry::labels::{Family, ShedReason, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{Rcode, flag};
use crate::wire::query::Query;
use crate::wire::rtype;

impl Desk {
    /// What is not in the cache, or not fresh: local names, rules, remembered failures; else a
    /// question for an upstream.
    pub(super) fn miss(
        &mut self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        (key, ended, mut late): (Hashed<'_>, usize, bool),
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        let name = Key::name(key.bytes);
        let question = Question { name, qtype: query.qtype, qclass: query.qclass };
        let owner = self.server.table.load().find(name);
        let route = owner.map_or(NO_ROUTE, |m| m.route);
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        let reply = Reply { query, ask, client, route, now };
        let path = self.path(query, name, client, now);
        if let Some(mut answer) = self.local_answer(question, owner.as_ref()) {
            self.mark_wanting(key.bytes, route, &mut answer);
            if answer.onward || answer.wants_ipv4 {
                let found = Settled::local(key.bytes, &answer, route, now);
                return self.beginning_of(reply, found, out);
            }
            if answer.rcode() == Rcode::NXDOMAIN
                && let Some(path) = path
            {
                let found = Settled::local(key.bytes, &answer, route, now);
                return self.walk(reply, path, found, out);
            }
            return self.reply(reply, &answer, Source::Local, out);
        }
        let Some(owner) = owner else {
            return self.reply(reply, &unowned(question), Source::Refused, out);
        };
        let recursion = query.header.has(flag::RD);
        if let Some(settled) = self.recall(key, &owner, recursion, now, &mut late) {
            if !settled.entry.is_whole() {
                return self.beginning_of(reply, settled, out);
            }
            if settled.entry.rcode() == Rcode::NXDOMAIN
                && let Some(path) = path
            {
                return self.walk(reply, path, settled, out);
            }
            let nsid = self.server.node.as_bytes();
            let entry = &settled.entry;
            let len =
                respond::answer(entry.view(), ask, settled.ttl, settled.note.as_ref(), nsid, out);
            return self.replied(reply, entry.rcode(), settled.source, len);
        }
        if let Some(path) = path {
            return self.set_out(reply, path, (key, ended, late), out);
        }
        self.stats.cache_miss(owner.route);
        if !recursion {
            return self.reply(reply, &not_forwarded(question), Source::Refused, out);
        }
        let waiter = Waiting::new(&reply, name, None);
        Step::Miss(Miss { key: SharedKey::new(key), ended, route: owner.route, late, waiter })
    }

    /// What this server answers without an upstream, by rule.
    pub(super) fn local_answer(
        &self,
        question: Question<'_>,
        owner: Option<&Match>,
    ) -> Option<Answer> {
        if let Some(answer) = self.server.local.answer(question, owner) {
            return Some(answer);
        }
        let owner = owner?;
        let nat64 = self.server.policies.get(usize::from(owner.route))?.dns64.as_ref();
        if let Some(answer) = nat64.and_then(|nat64| dns64_names(question, nat64)) {
            return Some(answer);
        }
        let private = self.server.policies.get(usize::from(owner.route))?.private;
        if question.qtype == rtype::DS && private && owner.is_apex(question.name) {
            return Some(local::ds_at_apex(question));
        }
        (question.qtype == rtype::ANY).then(|| local::minimal_any(question))
    }

    /// Has a miss wait for its answer.
    pub fn join(&mut self, miss: Miss, reply_to: ReplyTo) -> Joined {
        let Miss { key, ended, route, late, waiter } = miss;
        let waiter = Waiter { waiting: waiter, reply_to };
        match self.server.flights.join(&key, route, waiter, ended) {
            Join::Follower => Joined::Waits,
            Join::Full => {
                self.stats.shed(ShedReason::Waiting);
                Joined::Shed
            }
            Join::Leader(look) => {
                let late = late.then_some(self.server.stale_after);
                Joined::Start { key, route, look, late }
            }
        }
    }

    /// Takes back everyone who waits for a key whose exchange could not be started; they get no
    /// answer, so that their resolvers ask again (an overload must not look like a failure of the
    /// name).
    pub fn shed(&mut self, key: &SharedKey, reason: ShedReason) {
        self.server.flights.take(key.hashed()).iter().for_each(|_| self.stats.shed(reason));
    }
}

/// What a route with a NAT64 answers by itself.
fn dns64_names(question: Question<'_>, nat64: &Nat64) -> Option<Answer> {
    dns64::ipv4only(question, nat64).or_else(|| dns64::pointer(question, nat64))
}

/// The answer where nobody may be asked.
pub(super) fn unowned(question: Question<'_>) -> Answer {
    let ede = Ede::new(ede::NOT_AUTHORITATIVE, "no route owns this name");
    Answer::failure(question, Rcode::REFUSED, ede)
}

/// The answer to a question with RD=0 that an upstream would have to be asked (RFC 1035, 4.1.1): what it
/// answered would be kept, and found by the next who asks so.
pub(super) fn not_forwarded(question: Question<'_>) -> Answer {
    let ede = Ede::new(ede::OTHER, "RD=0 and not in the cache: nothing is forwarded");
    Answer::failure(question, Rcode::REFUSED, ede)
}
