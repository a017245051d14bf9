//! Suffixes that change their owner while queries are served.
//!
//! A name that was the internet's a moment ago and is the tailnet's now must not keep the internet's
//! answer, nor the other way round (horizon rules 1 and 5). Three things see to that. What is cached of
//! such names, or speaks of them, is forgotten. What was asked before that is not kept, as with any
//! flush. And whoever decided on a route before the change and acts on it after finds out: an exchange
//! that is to begin goes to the owner of this moment, and one that ends is thrown away and begun anew
//! there, with those who wait for it.

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
