//! Answers that are past their expiry or nearly so: who gets them, and what is asked anew behind them
//! (RFC 8767).
//!
//! What is asked here is asked for the cache's sake: nobody waits for it, but whoever asks meanwhile
//! joins in.

use std::time::Duration;

use super::{Desk, Joined, Settled};
use crate::answer::Kind;
use crate::cache::{Entry, Key, SharedKey};
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};

/// How often upstreams are asked again for an answer that is past its expiry (RFC 8767, 5).
const RECHECK: Duration = Duration::from_secs(30);
/// The same where a route is private: its addresses are given to others soon.
const PRIVATE_RECHECK: Duration = Duration::from_secs(5);
/// Questions that may stand in line to be asked for the cache's sake; what is beyond is asked for when
/// a client asks again.
const RENEWALS: usize = 256;

impl Desk {
    /// How long an answer past its expiry is given before the upstreams are asked again.
    pub(super) fn recheck(&self, route: u16) -> Duration {
        let policy = self.server.policies.get(usize::from(route));
        if policy.is_some_and(|policy| policy.private) { PRIVATE_RECHECK } else { RECHECK }
    }

    /// Those who wait for an exchange that takes long get the answer that is past its expiry, if there
    /// still is one, and so do those who ask while it goes on.
    pub fn late(&mut self, key: &SharedKey, route: u16, now: Tick) -> Option<Settled> {
        let stale = self.stale(key.hashed(), route, now)?;
        let name = self.server.policies.get(usize::from(route)).map_or("?", |p| &p.name);
        let after = self.server.stale_after.as_millis();
        let text = format!("route {name}: no answer within {after} ms, still asking");
        // Nothing has failed yet: who asks when the answer may not be used any more waits with the
        // exchange. In whole seconds, as entries live.
        let left = stale.keep_until().since(now).as_secs();
        let wait = self.recheck(route).min(Duration::from_secs(left));
        let reason = (Ede::new(ede::NO_REACHABLE_AUTHORITY, text), Some(wait));
        let failure = self.failure(key.as_bytes(), route, reason, false, now);
        self.server.cache.keep(key.hashed(), failure.clone(), now);
        let waiters = self.server.flights.drain(key.hashed());
        Some(self.stale_instead(stale, &failure, waiters))
    }

    /// An answer is about to expire: it is asked for anew if it is used again and again. `may_ask`: see
    /// [`Desk::recall`].
    #[cold]
    pub(super) fn renew_ending(&self, entry: &Entry, may_ask: bool) {
        let wanted = self.server.prefetch
            && entry.kind() == Kind::Positive
            && may_ask
            && self.renewals.borrow().len() < RENEWALS;
        if wanted && entry.claim_renewal() {
            let (dnssec_ok, checking_disabled) = entry.asked_with();
            let key = Key::of(entry.name(), entry.qtype(), dnssec_ok, checking_disabled);
            let key = SharedKey::new(self.server.cache.hashed(key.as_bytes()));
            self.stats.cache_renewal(entry.route());
            self.renew(key, entry.route());
        }
    }

    /// Has a question asked for the cache's sake.
    pub(super) fn renew(&self, key: SharedKey, route: u16) {
        let mut renewals = self.renewals.borrow_mut();
        if renewals.len() < RENEWALS {
            renewals.push((key, route));
        }
    }

    /// Whether [`Desk::take_renewals`] would find something.
    #[inline]
    pub fn has_renewals(&self) -> bool {
        !self.renewals.borrow().is_empty()
    }

    /// The questions to be asked for the cache's sake, and their routes.
    pub fn take_renewals(&mut self) -> Vec<(SharedKey, u16)> {
        self.renewals.take()
    }

    /// Begins a flight for such a question, unless it is being asked already. Those who join it when
    /// the answer has expired wait no longer than they would in one of their own.
    pub fn begin(&self, key: SharedKey, route: u16) -> Joined {
        match self.server.flights.begin(&key, route) {
            true => Joined::Start { key, route, look: false, late: Some(self.server.stale_after) },
            false => Joined::Waits,
        }
    }
}
