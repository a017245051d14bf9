#![allow(clippy::unwrap_used)]
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::telemetry::labels::Kind;
use crate::telemetry::snapshot::Snapshot;

#[test]
fn every_call_counts_where_it_should_and_nowhere_else() {
    let stats = Arc::new(Stats::new(2));
    stats.request(1, Proto::Tcp, Family::V6, 28);
    stats.response(1, 3, Source::Cache(Kind::Negative));
    stats.response(1, 0, Source::Stale(Kind::Positive));
    stats.duration(1, Source::Cache(Kind::Negative), 3_000, 7);
    stats.request_size(Proto::Tcp, 40);
    stats.response_size(Proto::Udp, 1232);
    stats.cache_miss(0);
    stats.dropped(DropReason::Response);
    stats.shed(ShedReason::QueryLog);

    let sum = Snapshot::of(std::slice::from_ref(&stats));
    assert_eq!(sum.requests(1, Proto::Tcp, Family::V6, type_index(28)), 1);
    assert_eq!(sum.all_requests(1), 1);
    assert_eq!(sum.all_requests(0) + sum.all_requests(NO_ROUTE), 0);
    assert_eq!(sum.responses(1, Source::Cache(Kind::Positive).index(), 3), 1);
    assert_eq!(sum.answered(1, Source::Cache(Kind::Negative)), 1);
    assert_eq!(sum.answered(1, Source::Cache(Kind::Positive)), 0);
    assert_eq!(sum.answered(1, Source::Stale(Kind::Positive)), 1);
    assert_eq!((sum.hits(1), sum.hits(0)), (1, 0));
    assert_eq!((sum.misses(0), sum.misses(1)), (1, 0));
    let durations = sum.durations(1, 0);
    assert_eq!((durations.count(), durations.sum, durations.buckets[0]), (7, 21_000, 7));
    assert_eq!(sum.request_sizes(Proto::Tcp).sum, 40);
    assert_eq!(sum.request_sizes(Proto::Udp).count(), 0);
    assert_eq!(sum.response_sizes(Proto::Udp).buckets[6], 1);
    assert_eq!(sum.dropped(DropReason::Response), 1);
    assert_eq!(sum.shed(ShedReason::QueryLog), 1);

    // One counter a call, and a bucket and a sum a histogram: nothing else moved.
    let moved = stats.read().filter(|&value| value != 0).count();
    assert_eq!(moved, 1 + 2 + 2 + 2 + 2 + 1 + 1 + 1);
}

#[test]
fn a_hit_moves_six_counters() {
    let stats = Stats::new(1);
    stats.request(0, Proto::Udp, Family::V4, 1);
    stats.request_size(Proto::Udp, 50);
    stats.response(0, 0, Source::Cache(Kind::Positive));
    stats.response_size(Proto::Udp, 90);
    assert_eq!(stats.read().filter(|&value| value != 0).count(), 6);
}

#[test]
fn routes_beyond_the_configuration_count_as_none() {
    let stats = Arc::new(Stats::new(2));
    for route in [NO_ROUTE, 2, 64, 65_000] {
        stats.cache_miss(route);
    }
    let sum = Snapshot::of(&[stats]);
    assert_eq!(sum.misses(NO_ROUTE), 4);
    assert_eq!(sum.misses(0) + sum.misses(1), 0);
    assert_eq!(sum.routes().collect::<Vec<_>>(), [0, 1, NO_ROUTE]);
    assert_eq!(Snapshot::of(&[Arc::new(Stats::new(1000))]).routes().count(), MAX_ROUTES + 1);
}

#[test]
fn the_last_counter_of_the_last_route_is_inside() {
    let stats = Arc::new(Stats::new(MAX_ROUTES));
    let last = MAX_ROUTES as u16 - 1;
    stats.duration(last, Source::Refused, u64::MAX, 1);
    let durations = Snapshot::of(&[stats]).durations(last, Source::Refused.index());
    assert_eq!((durations.buckets[DURATION_BUCKETS - 1], durations.sum), (1, u64::MAX));
}

#[test]
fn threads_add_up_even_with_fewer_routes() {
    let (shard, admin) = (Arc::new(Stats::new(3)), Arc::new(Stats::new(0)));
    shard.cache_miss(2);
    shard.cache_miss(NO_ROUTE);
    admin.cache_miss(NO_ROUTE);
    admin.shed(ShedReason::AdminConnections);
    let sum = Snapshot::of(&[shard, admin]);
    assert_eq!((sum.misses(2), sum.misses(NO_ROUTE)), (1, 2));
    assert_eq!(sum.shed(ShedReason::AdminConnections), 1);
}

#[test]
fn two_writers_share_no_cache_line() {
    let all: Vec<_> = (0..8).map(|_| Stats::new(1)).collect();
    let mut lines: Vec<_> = all
        .iter()
        .flat_map(|stats| stats.lines.iter().map(|line| std::ptr::from_ref(line) as usize / 128))
        .collect();
    let before = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), before);
    assert_eq!((size_of::<Line>(), align_of::<Line>()), (128, 128));
}

#[test]
fn readers_see_numbers_that_only_grow_and_end_exact() {
    const ROUNDS: u64 = 200_000;
    let stats: Vec<_> = (0..2).map(|_| Arc::new(Stats::new(1))).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = stats
            .iter()
            .map(|mine| {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        mine.cache_miss(0);
                        mine.duration(0, Source::Upstream, 20_000, 2);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let now = Snapshot::of(&stats).misses(0);
                assert!(now >= last && now <= 2 * ROUNDS);
                last = now;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    let sum = Snapshot::of(&stats);
    assert_eq!(sum.misses(0), 2 * ROUNDS);
    assert_eq!(sum.durations(0, 2).count(), 4 * ROUNDS);
    assert_eq!(sum.durations(0, 2).sum, 4 * ROUNDS * 20_000);
}
