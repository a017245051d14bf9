//! What everybody who waited gets when an exchange has ended, and what is remembered of it.

use std::time::Duration;

use super::waiter::Waiting;
use super::{Desk, Line, STALE_TTL, Waiter, kind};
use crate::answer::{Answer, Kind, Question, View};
use crate::cache::{Entry, Freshness, Hashed, Key, SharedKey};
use crate::coalesce::Waiters;
use crate::dns64;
use crate::respond::{self, Ttl};
use crate::route::Match;
use crate::telemetry::labels::{Proto, Source};
use crate::time::Tick;
use crate::upstream::{Done, Outcome};
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{Rcode, flag};
use crate::wire::{CLASS_IN, rtype};

/// An answer and those who wait for it.
pub struct Settled {
    /// The answer.
    pub entry: Entry,
    /// What happens to its TTLs.
    pub ttl: Ttl,
    /// An extended error beside its own.
    pub note: Option<Ede>,
    /// What it counts as.
    pub source: Source,
    /// Whom it goes to.
    pub waiters: Waiters<Waiter>,
}

/// An answer on its way to one who waited.
pub(super) struct Rendering<'a> {
    pub view: View<'a>,
    /// Folded name and type.
    pub question: (&'a [u8], u16),
    pub ttl: Ttl,
    pub note: Option<&'a Ede>,
    pub source: Source,
    pub route: u16,
}

/// Longest time that a failure is remembered (RFC 9520, 3.2 allows 5 minutes).
const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// The same where a route is private: what it leads to is restarted all the time.
const LONGEST_PRIVATE_FAILURE: Duration = Duration::from_secs(5);

impl Settled {
    /// A fresh answer out of the cache, with nobody waiting for it.
    pub(super) fn fresh(entry: Entry, age: u32) -> Settled {
        let source = Source::Cache(kind(&entry));
        let ttl = Ttl::Elapsed(age);
        Settled { entry, ttl, note: None, source, waiters: Waiters::new() }
    }

    /// An answer made here.
    pub(super) fn local(key: &[u8], answer: &Answer, route: u16, now: Tick) -> Settled {
        let life = (Duration::ZERO, Duration::ZERO);
        let entry = Entry::new(key, answer, route, now, life);
        let refused = answer.kind == Kind::Failure;
        let source = if refused { Source::Refused } else { Source::Local };
        Settled { entry, ttl: Ttl::Elapsed(0), note: None, source, waiters: Waiters::new() }
    }
}

/// What is known of a name, whatever the type.
enum Look {
    /// An answer to the question.
    Found(Settled),
    /// One that is past its expiry.
    Stale,
    Nothing,
}

impl Desk {
    /// Judges the end of an exchange, fills the cache, and takes out everyone who waited for it.
    pub fn settle(&mut self, done: Done, now: Tick) -> Settled {
        let Done { key, route, outcome, started: asked } = done;
        match outcome {
            Outcome::Answer(mut accepted) => {
                self.mark_wanting(key.as_bytes(), route, &mut accepted.answer);
                let entry = self.entry(&key, &accepted.answer, route, accepted.lifetime, now);
                match accepted.lifetime {
                    Some(_) => {
                        self.keep(key.hashed(), &entry, asked, now);
                        self.forget_taken(key.hashed());
                    }
                    // Part of an answer does not contradict the whole one before it.
                    None if entry.header().has(flag::TC) => {}
                    None => self.forget(key.hashed(), &entry),
                }
                let waiters = self.server.flights.take(key.hashed());
                let ttl = Ttl::Elapsed(0);
                Settled { entry, ttl, note: None, source: Source::Upstream, waiters }
            }
            Outcome::Failure { reason, overload } => {
                let stale = self.stale(key.hashed(), route, now);
                let recheck = stale.as_ref().map(|_| self.recheck(route));
                let failure = self.failure(key.as_bytes(), route, (reason, recheck), overload, now);
                // Our own overload says nothing about the name and is not remembered.
                if !overload {
                    self.server.cache.keep(key.hashed(), failure.clone(), asked);
                }
                let waiters = self.server.flights.take(key.hashed());
                match stale {
                    Some(stale) => self.stale_instead(stale, &failure, waiters),
                    None => {
                        let ttl = Ttl::Elapsed(0);
                        let source = Source::Upstream;
                        Settled { entry: failure, ttl, note: None, source, waiters }
                    }
                }
            }
        }
    }

    /// Notes that addresses are to be made in the place of an answer without any (RFC 6147).
    pub(super) fn mark_wanting(&self, key: &[u8], route: u16, answer: &mut Answer) {
        let policy = self.server.policies.get(usize::from(route));
        if policy.is_none_or(|policy| policy.dns64.is_none()) || answer.onward {
            return;
        }
        let (name, qtype) = (Key::name(key), Key::qtype(key));
        let (dnssec_ok, checking_disabled) = Key::flags(key);
        let question = Question { name, qtype, qclass: CLASS_IN };
        answer.wants_ipv4 =
            dns64::applies(question, dnssec_ok, checking_disabled) && dns64::wants_a(answer.view());
    }

    fn entry(
        &self,
        key: &SharedKey,
        answer: &Answer,
        route: u16,
        lifetime: Option<u32>,
        now: Tick,
    ) -> Entry {
        let fresh = Duration::from_secs(lifetime.unwrap_or(0).into());
        let policy = self.server.policies.get(usize::from(route));
        // Negative answers of private routes are never used stale: what did not exist a minute
        // ago may exist now.
        let stale = policy.filter(|policy| match answer.kind {
            Kind::Positive => true,
            Kind::Negative => !policy.private,
            Kind::Failure => false,
        });
        let stale = stale.map_or(Duration::ZERO, |policy| policy.stale);
        Entry::new(key.as_bytes(), answer, route, now, (fresh, stale))
    }

    /// The failure that is remembered: for 1 s, twice as long each time it is met again (RFC 9520); or
    /// for as long as is said.
    pub(super) fn failure(
        &self,
        key: &[u8],
        route: u16,
        (reason, wait): (Ede, Option<Duration>),
        overload: bool,
        now: Tick,
    ) -> Entry {
        let question = Question { name: Key::name(key), qtype: Key::qtype(key), qclass: CLASS_IN };
        let policy = self.server.policies.get(usize::from(route));
        // It asks to believe a server's SERVFAIL or silence, not to hide trouble of this host.
        let nxdomain = !overload && policy.is_some_and(|p| p.servfail_as_nxdomain);
        let rcode = if nxdomain { Rcode::NXDOMAIN } else { Rcode::SERVFAIL };
        let before = self.server.cache.failure(key);
        let before = before
            .filter(|entry| entry.freshness(now) != Freshness::Dead)
            .map_or(0, |entry| entry.failures());
        let private = policy.is_some_and(|p| p.private);
        let longest = if private { LONGEST_PRIVATE_FAILURE } else { LONGEST_FAILURE };
        let wait = wait.unwrap_or(Duration::from_secs(1 << before.min(5)).min(longest));
        let mut answer = Answer::failure(question, rcode, reason);
        self.mark_wanting(key, route, &mut answer);
        // Kept for another while, so that the next failure, which may take a whole deadline to show,
        // knows that it is not the first.
        let life = (wait, LONGEST_FAILURE * 2);
        Entry::failure(key, &answer, route, now, life, before.saturating_add(1))
    }

    /// An answer past its expiry that may still stand in.
    pub(super) fn stale(&self, key: Hashed<'_>, route: u16, now: Tick) -> Option<Entry> {
        self.known(key, |entry| entry.route() == route && entry.freshness(now) != Freshness::Dead)
    }

    pub(super) fn stale_instead(
        &self,
        entry: Entry,
        failure: &Entry,
        waiters: Waiters<Waiter>,
    ) -> Settled {
        let why = failure.view().ede.map_or("", |ede| ede.text);
        let note = Some(Ede::new(entry.view().stale_code(), format!("stale: {why}")));
        let source = Source::Stale(kind(&entry));
        Settled { entry, ttl: Ttl::Fixed(STALE_TTL), note, source, waiters }
    }

    /// Puts an answer into the cache. NXDOMAIN holds for every type of the name (RFC 2308, 5) and is
    /// kept for the name, unless it is the end of an alias (2.1 there). A server that denies a name for
    /// AAAA though it has an A is not believed about both (RFC 4074, 4.2). What was `asked` before a
    /// flush is not kept.
    fn keep(&self, key: Hashed<'_>, entry: &Entry, asked: Tick, now: Tick) {
        let cache = &self.server.cache;
        let place = Key::of_name(key.bytes);
        let whole = key.same_name(place.as_bytes());
        if entry.rcode() == Rcode::NXDOMAIN
            && entry.header().counts[1] == 0
            && !self.has_sibling(key, now)
        {
            // What was known before must not stand in for this when it is past its expiry.
            cache.forget(key);
            self.note_denied(key);
            return cache.keep(whole, entry.for_type(place.as_bytes()), asked);
        }
        cache.keep(key, entry.clone(), asked);
        // The name exists: it has records, or is an alias, or another of its types is known.
        cache.forget(whole);
        self.forget_denials_above(key, entry.route());
    }

    /// Takes away what an answer that may not be kept has made untrue.
    fn forget(&self, key: Hashed<'_>, entry: &Entry) {
        let cache = &self.server.cache;
        cache.forget(key);
        if entry.rcode() == Rcode::NOERROR || entry.header().counts[1] > 0 {
            cache.forget(key.same_name(Key::of_name(key.bytes).as_bytes()));
            self.forget_denials_above(key, entry.route());
        }
    }

    /// The hosts file may have taken the name while it was asked for, and what is cached is looked at
    /// before it. Called behind the keeping: whoever takes the name after this look forgets what was
    /// kept.
    fn forget_taken(&self, key: Hashed<'_>) {
        if self.server.local.owns(Key::name(key.bytes)) {
            let cache = &self.server.cache;
            cache.forget(key);
            cache.forget(key.same_name(Key::of_name(key.bytes).as_bytes()));
        }
    }

    /// Whether the name is known to exist by another type.
    fn has_sibling(&self, key: Hashed<'_>, now: Tick) -> bool {
        self.sibling(key, now).is_some_and(|state| state != Freshness::Dead)
    }

    /// How fresh what is known of the name by another type is, where it says that the name exists.
    pub(super) fn sibling(&self, key: Hashed<'_>, now: Tick) -> Option<Freshness> {
        let (dnssec_ok, checking_disabled) = Key::flags(key.bytes);
        let sibling = match Key::qtype(key.bytes) {
            rtype::A => rtype::AAAA,
            _ => rtype::A,
        };
        let sibling = Key::of(Key::name(key.bytes), sibling, dnssec_ok, checking_disabled);
        let entry = self.server.cache.get(key.same_name(sibling.as_bytes()))?;
        (entry.rcode() == Rcode::NOERROR).then(|| entry.freshness(now))
    }

    /// What can be said to a question that the cache holds no fresh answer of: that its name, or one
    /// above it, does not exist, or that it failed a moment ago. Sets `late` where something past its
    /// expiry comes to light. `may_ask`: whether something may be asked anew behind the answer, which
    /// is not for questions with RD=0.
    pub(super) fn recall(
        &self,
        key: Hashed<'_>,
        owner: &Match,
        may_ask: bool,
        now: Tick,
        late: &mut bool,
    ) -> Option<Settled> {
        match self.no_such_name(key, owner.route, now) {
            Look::Found(settled) => return Some(settled),
            Look::Stale => *late = true,
            Look::Nothing => {}
        }
        self.denied_above(key, owner, now)
            .or_else(|| self.remembered_failure(key, owner.route, may_ask, now))
    }

    /// What is known of the name, whatever the type: that it does not exist. It is put under this
    /// question too, so that the next one finds it at once.
    fn no_such_name(&self, key: Hashed<'_>, route: u16, now: Tick) -> Look {
        let cache = &self.server.cache;
        let place = Key::of_name(key.bytes);
        let whole = cache.get(key.same_name(place.as_bytes())).filter(|e| e.route() == route);
        let Some(whole) = whole else { return Look::Nothing };
        let age = match whole.freshness(now) {
            Freshness::Fresh(age) => age,
            Freshness::Stale => return Look::Stale,
            Freshness::Dead => return Look::Nothing,
        };
        let entry = whole.for_type(key.bytes);
        // If that was contradicted or flushed meanwhile, this must not outlive it.
        cache.keep_copy(key, entry.clone(), &whole);
        Look::Found(Settled::fresh(entry, age))
    }

    /// What is kept for a question, or for its name whatever the type, and is usable.
    pub(super) fn known(&self, key: Hashed<'_>, usable: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let cache = &self.server.cache;
        cache.get(key).filter(&usable).or_else(|| {
            let place = Key::of_name(key.bytes);
            let entry = cache.get(key.same_name(place.as_bytes())).filter(&usable)?;
            Some(entry.for_type(key.bytes))
        })
    }

    /// A failure that is remembered for this question: what is answered instead of asking again. With an
    /// answer past its expiry in hand nobody waits for the recheck either, which goes on behind it.
    fn remembered_failure(
        &self,
        key: Hashed<'_>,
        route: u16,
        may_ask: bool,
        now: Tick,
    ) -> Option<Settled> {
        let failure = self.server.cache.failure(key.bytes)?;
        let state = failure.freshness(now);
        if state == Freshness::Dead {
            return None;
        }
        if let Some(stale) = self.stale(key, route, now) {
            if state == Freshness::Stale && may_ask {
                self.renew(SharedKey::new(key), route);
            }
            return Some(self.stale_instead(stale, &failure, Waiters::new()));
        }
        if state == Freshness::Stale {
            return None;
        }
        let source = Source::Cache(crate::telemetry::labels::Kind::Failure);
        let note = Some(Ede::new(ede::CACHED_ERROR, "remembered failure"));
        let ttl = Ttl::Elapsed(0);
        Some(Settled { entry: failure, ttl, note, source, waiters: Waiters::new() })
    }

    /// A fresh answer for a question that was about to be asked, with all who wait for it: an
    /// exchange that ended between the look into the cache and the joining has left it.
    pub fn ready(&self, key: &SharedKey, route: u16, now: Tick) -> Option<Settled> {
        let fresh = |entry: &Entry| {
            entry.route() == route && matches!(entry.freshness(now), Freshness::Fresh(_))
        };
        let Some(entry) = self.known(key.hashed(), fresh) else {
            let mut settled = self.remembered_failure(key.hashed(), route, true, now)?;
            settled.waiters = self.server.flights.take(key.hashed());
            return Some(settled);
        };
        let age = now.secs_since(entry.stored());
        let waiters = self.server.flights.take(key.hashed());
        let source = Source::Cache(kind(&entry));
        Some(Settled { entry, ttl: Ttl::Elapsed(age), note: None, source, waiters })
    }

    /// Writes one waiter's answer into `out` and counts it; returns its length.
    pub fn render(
        &mut self,
        settled: &Settled,
        waiter: &Waiter,
        now: Tick,
        out: &mut [u8],
    ) -> usize {
        let entry = &settled.entry;
        let rendering = Rendering {
            view: entry.view(),
            question: (entry.name(), entry.qtype()),
            ttl: settled.ttl,
            note: settled.note.as_ref(),
            source: settled.source,
            route: entry.route(),
        };
        self.render_view(rendering, &waiter.waiting, now, out)
    }

    pub(super) fn render_view(
        &mut self,
        what: Rendering<'_>,
        waiting: &Waiting,
        now: Tick,
        out: &mut [u8],
    ) -> usize {
        let Rendering { view, question: (folded, qtype), ttl, note, source, route } = what;
        let whole;
        let view = if waiting.client.proto == Proto::Tcp && view.is_truncated() {
            // TC would say nothing to a client that has come over TCP already (RFC 7766, 5).
            let text = "no more than a truncated answer could be had";
            let question = Question { name: folded, qtype, qclass: CLASS_IN };
            let why = Ede::new(ede::NO_REACHABLE_AUTHORITY, text);
            whole = Answer::failure(question, Rcode::SERVFAIL, why);
            whole.view()
        } else {
            view
        };
        let ask = waiting.ask(folded);
        let nsid = self.server.node.as_bytes();
        let len = respond::answer(view, &ask, ttl, note, nsid, out);
        let rcode = view.rcode();
        self.count(route, waiting.client, rcode, source, len);
        let took = now.since(waiting.since);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stats.duration(route, source, nanos, 1);
        if self.log.wants(rcode.0) {
            let line = Line { route, rcode, source, size: len, took };
            self.log_query(ask.name, qtype, waiting.client, line);
        }
        len
    }
}
