//! The cache as operators see it, and how they empty it.

use super::Picture;
use crate::admin::cache::{CachePage, CacheSource, CacheStats, EntryStatus, RouteCache};
use crate::answer::Kind;
use crate::cache::{Cursor, Filter, Scope};
use crate::telemetry::snapshot::Snapshot;

impl CacheSource for Picture {
    fn route_names(&self) -> Vec<String> {
        self.server.policies.iter().map(|policy| policy.name.to_string()).collect()
    }

    fn flush(&self, scope: &Scope) -> u64 {
        self.server.cache.flush(scope, self.server.clock.now())
    }

    fn page(&self, from: Cursor, filter: &Filter, most: usize) -> CachePage {
        let now = self.server.clock.now();
        let (entries, next) = self.server.cache.page(from, filter, most, now);
        let shown = entries.iter().map(|entry| {
            let policy = self.server.policies.get(usize::from(entry.route()));
            EntryStatus::new(entry, policy.map_or("?", |policy| &policy.name), now)
        });
        CachePage { entries: shown.collect(), next: next.map(|next| next.to_string()) }
    }

    fn cache_stats(&self) -> CacheStats {
        let (cache, seen) = (&self.server.cache, Snapshot::of(&self.stats));
        let shares = cache.shares();
        let routes = self.server.policies.iter().enumerate().map(|(index, policy)| {
            let index = index as u16;
            let mut route = RouteCache {
                route: policy.name.to_string(),
                hits: seen.hits(index),
                misses: seen.misses(index),
                ..RouteCache::default()
            };
            for share in shares.iter().filter(|share| share.route == index) {
                let entries = match share.kind {
                    Kind::Positive => &mut route.positive,
                    Kind::Negative => &mut route.negative,
                    Kind::Failure => &mut route.failures,
                };
                *entries += share.entries;
                route.bytes += share.bytes;
            }
            route
        });
        CacheStats {
            entries: shares.iter().map(|share| share.entries).sum(),
            bytes: shares.iter().map(|share| share.bytes).sum(),
            limit_bytes: cache.memory(),
            evictions: cache.evictions(),
            routes: routes.collect(),
        }
    }
}
