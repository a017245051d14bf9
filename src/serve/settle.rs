//! What everybody who waited gets when an exchange has ended, and what is remembered of it.

use std::time::Duration;

use super::{Desk, Line, STALE_TTL, Waiter, kind};
use crate::answer::{Answer, Kind, Question};
use crate::cache::{Entry, Freshness, Hashed, Key, SharedKey};
use crate::coalesce::Waiters;
use crate::respond::{self, Ask, Ttl};
use crate::telemetry::labels::Source;
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

/// Longest time that a failure is remembered (RFC 9520, 3.2 allows 5 minutes).
const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// The same where a route is private: what it leads to is restarted all the time.
const LONGEST_PRIVATE_FAILURE: Duration = Duration::from_secs(5);

impl Desk {
    /// Judges the end of an exchange, fills the cache, and takes out everyone who waited for it.
    pub fn settle(&mut self, done: Done, now: Tick) -> Settled {
        let Done { key, route, outcome, started: asked } = done;
        match outcome {
            Outcome::Answer(accepted) => {
                let entry = self.entry(&key, &accepted.answer, route, accepted.lifetime, now);
                match accepted.lifetime {
                    Some(_) => self.keep(key.hashed(), &entry, asked, now),
                    // Part of an answer does not contradict the whole one before it.
                    None if entry.header().has(flag::TC) => {}
                    None => self.forget(key.hashed(), &entry),
                }
                let waiters = self.server.flights.take(key.hashed());
                let ttl = Ttl::Elapsed(0);
                Settled { entry, ttl, note: None, source: Source::Upstream, waiters }
            }
            Outcome::Failure { reason, overload } => {
                let failure = self.failure(key.as_bytes(), route, reason, overload, now);
                // Our own overload says nothing about the name and is not remembered.
                if !overload {
                    self.server.cache.keep(key.hashed(), failure.clone(), asked);
                }
                let waiters = self.server.flights.take(key.hashed());
                match self.stale(key.hashed(), route, now) {
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

    /// The failure that is remembered: for 1 s, twice as long each time it is met again (RFC 9520).
    fn failure(&self, key: &[u8], route: u16, reason: Ede, overload: bool, now: Tick) -> Entry {
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
        let wait = Duration::from_secs(1 << before.min(5)).min(longest);
        let answer = Answer::failure(question, rcode, reason);
        // Kept for another while, so that the next failure, which may take a whole deadline to show,
        // knows that it is not the first.
        let life = (wait, LONGEST_FAILURE * 2);
        Entry::failure(key, &answer, route, now, life, before.saturating_add(1))
    }

    /// An answer past its expiry that may still stand in.
    fn stale(&self, key: Hashed<'_>, route: u16, now: Tick) -> Option<Entry> {
        self.known(key, |entry| entry.route() == route && entry.freshness(now) != Freshness::Dead)
    }

    fn stale_instead(&self, entry: Entry, failure: &Entry, waiters: Waiters<Waiter>) -> Settled {
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

    /// Whether the name is known to exist by another type.
    fn has_sibling(&self, key: Hashed<'_>, now: Tick) -> bool {
        let (dnssec_ok, checking_disabled) = Key::flags(key.bytes);
        let sibling = match Key::qtype(key.bytes) {
            rtype::A => rtype::AAAA,
            _ => rtype::A,
        };
        let sibling = Key::of(Key::name(key.bytes), sibling, dnssec_ok, checking_disabled);
        self.server.cache.get(key.same_name(sibling.as_bytes())).is_some_and(|entry| {
            entry.rcode() == Rcode::NOERROR && entry.freshness(now) != Freshness::Dead
        })
    }

    /// What is known of the name, whatever the type: that it does not exist. It is put under this
    /// question too, so that the next one finds it at once.
    pub(super) fn no_such_name(&self, key: Hashed<'_>, route: u16, now: Tick) -> Option<Settled> {
        let cache = &self.server.cache;
        let place = Key::of_name(key.bytes);
        let whole = cache.get(key.same_name(place.as_bytes())).filter(|e| e.route() == route)?;
        let Freshness::Fresh(age) = whole.freshness(now) else { return None };
        let entry = whole.for_type(key.bytes);
        // If that was contradicted or flushed meanwhile, this must not outlive it.
        cache.keep_copy(key, entry.clone(), &whole);
        let source = Source::Cache(kind(&entry));
        let ttl = Ttl::Elapsed(age);
        Some(Settled { entry, ttl, note: None, source, waiters: Waiters::new() })
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

    /// A failure that is remembered for this question: what is answered instead of asking again.
    pub(super) fn remembered_failure(&self, key: &[u8], route: u16, now: Tick) -> Option<Settled> {
        let failure = self.server.cache.failure(key)?;
        if !matches!(failure.freshness(now), Freshness::Fresh(_)) {
            return None;
        }
        if let Some(stale) = self.stale(self.server.cache.hashed(key), route, now) {
            return Some(self.stale_instead(stale, &failure, Waiters::new()));
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
            let mut settled = self.remembered_failure(key.as_bytes(), route, now)?;
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
        let waiting = &waiter.waiting;
        let entry = &settled.entry;
        let folded = entry.name();
        let ask = Ask {
            id: waiting.id,
            flags: waiting.flags,
            name: waiting.name.as_deref().unwrap_or(folded),
            edns: waiting.edns,
            room: waiting.room,
        };
        let nsid = self.server.node.as_bytes();
        let note = settled.note.as_ref();
        let len = respond::answer(entry.view(), &ask, settled.ttl, note, nsid, out);
        let rcode = entry.rcode();
        self.count(entry.route(), waiting.client, rcode, settled.source, len);
        let took = now.since(waiting.since);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stats.duration(entry.route(), settled.source, nanos, 1);
        if self.log.wants(rcode.0) {
            let line =
                Line { route: entry.route(), rcode, source: settled.source, size: len, took };
            self.log_query(ask.name, entry.qtype(), waiting.client, line);
        }
        len
    }
}
