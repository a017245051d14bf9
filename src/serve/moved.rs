//! Suffixes that change their owner while queries are served.
//!
//! A name that was the internet's a moment ago and is the tailnet's now must not keep the internet's
//! answer, nor the other way round (horizon rules 1 and 5). Three things see to that. What is cached of
//! such names, or speaks of them, is forgotten. What was asked before that is not kept, as with any
//! flush. And whoever decided on a route before the change and acts on it after finds out: an exchange
//! that is to begin goes to the owner of this moment, one under way asks no further server
//! ([`crate::upstream`]), and one that ends is thrown away and begun anew at the owner's, with those who
//! wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Desk, Server};
use crate::cache::{Key, Scope, SharedKey};
use crate::headcni::Learnt;
use crate::route::RouteTable;
use crate::upstream::Done;
use crate::wire::name::Name;

impl Server {
    /// Takes over who owns which name; `moved` are the suffixes of which that has changed. Returns how
    /// many cached answers were forgotten. For a thread that answers no queries.
    pub fn set_suffixes(&self, table: RouteTable, moved: Vec<Name>) -> u64 {
        self.table.store(Arc::new(table));
        self.moves.fetch_add(1, Ordering::Release);
        // The time of the flush comes last: who has read the old table, or that it was never replaced,
        // has begun before it, and what comes of that is not kept.
        self.cache.flush(&Scope::Moved(moved), self.clock.now())
    }

    /// What is told of the route that learns from HeadCNI.
    pub fn set_learnt(&self, learnt: Learnt) {
        self.learnt.store(Some(Arc::new(learnt)));
    }

    fn has_moved(&self) -> bool {
        self.moves.load(Ordering::Acquire) > 0
    }
}

impl Desk {
    /// The route that a question is to be asked by which `route` was found for a while ago; `None` where
    /// nobody owns it any more.
    #[inline]
    pub fn owner_now(&self, key: &SharedKey, route: u16) -> Option<u16> {
        if !self.server.has_moved() {
            return Some(route);
        }
        let table = self.server.table.load();
        table.find(Key::name(key.as_bytes())).map(|owner| owner.route)
    }

    /// The route that an exchange is to be begun anew by, because its name has another owner than when it
    /// began.
    #[inline]
    pub fn moved_to(&self, done: &Done) -> Option<u16> {
        self.owner_now(&done.key, done.route).filter(|owner| *owner != done.route)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::config::{Route, file};
    use crate::telemetry::querylog::QueryLog;
    use crate::telemetry::stats::Stats;
    use crate::time::Clock;
    use crate::upstream::Outcome;
    use crate::wire::edns::{Ede, ede};
    use crate::wire::rtype;

    fn desk(root: &str) -> (Desk, Vec<Route>) {
        let route = |name: &str, suffix: &str| {
            format!(
                "[[route]]\nname = \"{name}\"\nsuffixes = [\"{suffix}\"]\n\
                 upstreams = [\"10.0.0.1\"]\n"
            )
        };
        let text = route("tailnet", "c.binrc.com") + &route("internet", root);
        let config = file::parse(&text, Path::new("t.toml")).unwrap().config;
        let server = Server::new(&config, "here".into(), Vec::new(), Vec::new(), Clock::manual());
        let stats = Arc::new(Stats::new(2));
        (Desk::new(Arc::new(server), stats, QueryLog::off()), config.routes)
    }

    /// The tailnet has this suffix more from here on.
    fn learn(desk: &Desk, routes: &[Route], suffix: &str) {
        let (mut table, suffix) = (RouteTable::of(routes), suffix.parse().unwrap());
        table.learn(&suffix, 0);
        desk.server.set_suffixes(table, vec![suffix]);
    }

    /// What was decided before a change is acted upon after it: a question handed over by a connection,
    /// one that stands in line to be asked for the cache's sake.
    #[test]
    fn who_acts_late_acts_by_the_table_of_the_moment() {
        let (desk, routes) = desk(".");
        let shared = |name: &str| {
            let key = Key::of(name.parse::<Name>().unwrap().as_wire(), rtype::A, false, false);
            SharedKey::new(desk.server.cache.hashed(key.as_bytes()))
        };
        let (moved, other) = (shared("db.new.example"), shared("db.xnew.example"));
        let ended = |key: &SharedKey, route: u16| {
            let reason = Ede::new(ede::OTHER, "any");
            let outcome = Outcome::Failure { reason, overload: false };
            let started = desk.server.clock.now();
            desk.moved_to(&Done { key: key.clone(), route, outcome, started })
        };
        assert_eq!((desk.owner_now(&moved, 1), ended(&moved, 1)), (Some(1), None));
        learn(&desk, &routes, "new.example");
        assert_eq!((desk.owner_now(&moved, 1), ended(&moved, 1)), (Some(0), Some(0)));
        assert_eq!((desk.owner_now(&moved, 0), ended(&moved, 0)), (Some(0), None));
        assert_eq!((desk.owner_now(&other, 1), ended(&other, 1)), (Some(1), None));
    }

    #[test]
    fn a_name_that_nobody_owns_any_more_is_asked_of_nobody() {
        let (desk, routes) = desk("example.com");
        let key = Key::of(b"\x01a\x04test\0", rtype::A, false, false);
        let key = SharedKey::new(desk.server.cache.hashed(key.as_bytes()));
        learn(&desk, &routes, "test");
        assert_eq!(desk.owner_now(&key, 1), Some(0));
        desk.server.set_suffixes(RouteTable::of(&routes), vec!["test".parse().unwrap()]);
        assert_eq!(desk.owner_now(&key, 0), None);
    }
}
