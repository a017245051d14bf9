//! Below a name that does not exist there is nothing (RFC 8020), where a name is the internet's.
//!
//! Only for names that no suffix but the root owns: a cluster's DNS denies headless Services that have
//! no ready endpoints, and names above others. Only for questions without DO, whose clients would want
//! a proof for the name itself. What is derived for a name is not kept: an attacker who asks for
//! names below one that does not exist would fill the cache with nothing.
//!
//! Whoever learns that a name exists takes away the denials above it.

use std::time::Duration;

use super::Desk;
use super::settle::Settled;
use crate::answer::Question;
use crate::cache::{Cache, Entry, Freshness, Hashed, Key, NameHash};
use crate::compose::denied_below;
use crate::route::Match;
use crate::time::Tick;
use crate::wire::CLASS_IN;
use crate::wire::name::Labels;

/// So many names above one are looked for, those nearest to the root: a name of a hundred labels
/// shall not cost its miss as many hashes.
const ABOVE: usize = 16;

impl Desk {
    /// The denial of a name that has none of its own, from that of a name above it which is known not
    /// to exist.
    pub(super) fn denied_above(
        &self,
        key: Hashed<'_>,
        owner: &Match,
        now: Tick,
    ) -> Option<Settled> {
        let (cache, route) = (&self.server.cache, owner.route);
        if !owner.is_root() || !cache.denies_any() {
            return None;
        }
        let (dnssec_ok, checking_disabled) = Key::flags(key.bytes);
        if dnssec_ok {
            return None;
        }
        let name = Key::name(key.bytes);
        let (entry, age) = suspects(cache, name).find_map(|(above, hash)| {
            let entry = cache.get(Hashed::new(place(above, checking_disabled).as_bytes(), hash))?;
            let Freshness::Fresh(age) = entry.freshness(now) else { return None };
            let trusted = entry.route() == route && now.since(entry.stored()) < Cache::DENIES_FOR;
            trusted.then_some((entry, age))
        })?;
        let question = Question { name, qtype: Key::qtype(key.bytes), qclass: CLASS_IN };
        let answer = denied_below(entry.view(), question)?;
        let life = (entry.fresh_until().since(entry.stored()), Duration::ZERO);
        let entry = Entry::new(key.bytes, &answer, route, entry.stored(), life);
        Some(Settled::fresh(entry, age))
    }

    /// Notes a name whose denial is about to be kept, so that names below it find that.
    pub(super) fn note_denied(&self, key: Hashed<'_>) {
        let by_root =
            || self.server.table.load().find(Key::name(key.bytes)).is_some_and(|m| m.is_root());
        if !Key::flags(key.bytes).0 && by_root() {
            self.server.cache.note_denied(key.name);
        }
    }

    /// A name exists by what came by a route, so those above it do: takes away what came by the same
    /// route and says that they do not, for questions with and without CD.
    pub(super) fn forget_denials_above(&self, key: Hashed<'_>, route: u16) {
        let cache = &self.server.cache;
        if !cache.denies_any() {
            return;
        }
        for (above, hash) in suspects(cache, Key::name(key.bytes)) {
            for checking_disabled in [false, true] {
                let place = place(above, checking_disabled);
                let denied = Hashed::new(place.as_bytes(), hash);
                if cache.get(denied).is_some_and(|entry| entry.route() == route) {
                    cache.forget(denied);
                }
            }
        }
    }
}

/// Where the denial of a name is kept.
fn place(name: &[u8], checking_disabled: bool) -> Key {
    Key::of_name(Key::of(name, 0, false, checking_disabled).as_bytes())
}

/// Names above `name`, the root left out, that may be known not to exist.
fn suspects<'a>(
    cache: &'a Cache,
    name: &'a [u8],
) -> impl Iterator<Item = (&'a [u8], NameHash)> + 'a {
    let labels = Labels(name).count();
    let mut rest = name;
    let above = Labels(name).map(move |label| {
        rest = rest.get(1 + label.len()..).unwrap_or(&[]);
        rest
    });
    above
        .take(labels.saturating_sub(1))
        .skip(labels.saturating_sub(1 + ABOVE))
        .map(|above| (above, cache.name_hash(above)))
        .filter(|(_, hash)| cache.may_deny(*hash))
}
