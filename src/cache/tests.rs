#![allow(clippy::unwrap_used)]
use super::*;
use crate::answer::{Question, Writer};
use crate::wire::header::Rcode;

const SECOND: u64 = 1_000_000;

fn entry(name: &[u8], fresh_s: u64, keep_s: u64) -> Arc<Entry> {
    let question = Question { name, qtype: 1, qclass: 1 };
    Arc::new(Entry {
        answer: Writer::new(question, Rcode::NOERROR, 0).finish(),
        route: 0,
        failures: 0,
        stored: Tick(0),
        fresh_until: Tick(fresh_s * SECOND),
        keep_until: Tick(keep_s * SECOND),
    })
}

#[test]
fn a_key_folds_case_and_tells_type_and_flags_apart() {
    let key = |name: &[u8], qtype, d, c| Key::of(name, qtype, d, c).as_bytes().to_vec();
    let plain = key(b"\x01a\x03COM\0", 1, false, false);
    assert_eq!(plain, key(b"\x01A\x03com\0", 1, false, false));
    assert_eq!(Key::name(&plain), b"\x01a\x03com\0");
    for other in [
        key(b"\x01b\x03com\0", 1, false, false),
        key(b"\x01a\x03com\0", 28, false, false),
        key(b"\x01a\x03com\0", 1, true, false),
        key(b"\x01a\x03com\0", 1, false, true),
    ] {
        assert_ne!(plain, other);
    }
    let key = key(b"\x01a\0", 0x1234, true, false);
    assert_eq!((Key::qtype(&key), Key::flags(&key)), (0x1234, (true, false)));
}

#[test]
fn an_entry_ages_by_the_clock_it_is_given() {
    let cache = Cache::new(1 << 20, 1);
    let key = Key::of(b"\x01a\0", 1, false, false);
    cache.put(key.as_bytes(), entry(b"\x01a\0", 10, 20));
    let kept = cache.get(key.as_bytes()).unwrap();
    for (at, expected) in [
        (0, Freshness::Fresh(0)),
        (9 * SECOND + 999_999, Freshness::Fresh(9)),
        (10 * SECOND, Freshness::Stale),
        (20 * SECOND, Freshness::Dead),
    ] {
        assert_eq!(kept.freshness(Tick(at)), expected, "{at}");
    }
}

#[test]
fn a_failure_does_not_push_out_an_answer() {
    let cache = Cache::new(1 << 20, 1);
    let key = Key::of(b"\x01a\0", 1, false, false);
    cache.put(key.as_bytes(), entry(b"\x01a\0", 10, 20));
    let mut failure = Arc::try_unwrap(entry(b"\x01a\0", 1, 1)).unwrap();
    failure.failures = 1;
    failure.answer.kind = Kind::Failure;
    cache.put(key.as_bytes(), Arc::new(failure));
    assert_eq!(cache.get(key.as_bytes()).unwrap().failures, 0);
    assert_eq!(cache.failure(key.as_bytes()).unwrap().failures, 1);
    cache.put(key.as_bytes(), entry(b"\x01a\0", 10, 20));
    assert!(cache.failure(key.as_bytes()).is_none());
}

#[test]
fn the_budget_holds_and_the_tally_agrees() {
    let cache = Cache::new(1 << 20, 1);
    for i in 0..20_000u32 {
        let name = format!("\x08{i:08}\0").into_bytes();
        cache.put(Key::of(&name, 1, false, false).as_bytes(), entry(&name, 100, 100));
    }
    cache.tidy();
    let share = cache.shares()[0];
    assert!(share.bytes <= 1 << 20, "{share:?}");
    assert!(share.entries > 1000, "{share:?}");
    assert_eq!(cache.inner.weighted_size(), share.bytes);
    assert_eq!(cache.evictions(0) + share.entries, 20_000);
    cache.clear();
    assert_eq!((cache.shares()[0].entries, cache.shares()[0].bytes), (0, 0));
}
