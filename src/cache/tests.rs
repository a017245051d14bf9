#![allow(clippy::unwrap_used)]
use super::*;
use crate::answer::{Question, Writer};
use crate::wire::header::Rcode;

const SECOND: u64 = 1_000_000;

fn entry(name: &[u8], fresh_s: u64, keep_s: u64) -> Arc<Entry> {
    let question = Question { name, qtype: 1, qclass: 1 };
    let answer = Writer::new(question, Rcode::NOERROR, 0).finish();
    let key = Key::of(name, 1, false, false);
    let seconds = Duration::from_secs;
    let life = (seconds(fresh_s), seconds(keep_s - fresh_s));
    Arc::new(Entry::new(key.as_bytes(), answer, 0, Tick(0), life))
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

#[test]
fn the_front_answers_what_the_cache_would() {
    let cache = Cache::new(1 << 20, 1);
    let mut front = Front::new(8);
    let key = Key::of(b"\x01A\0", 1, false, false);
    let hash = front.hash(&key);
    assert!(front.get(&key, hash, Tick(0)).is_none());
    cache.put(key.as_bytes(), entry(b"\x01a\0", 10, 20));
    let kept = cache.get(key.as_bytes()).unwrap();
    front.put(&key, hash, &kept);
    let age = |front: &mut Front, s| front.get(&key, hash, Tick(s * SECOND)).map(|(_, age)| age);
    assert_eq!(age(&mut front, 3), Some(3));
    assert_eq!(age(&mut front, 10), None);
    // The same place under another question is not an answer.
    for other in [
        Key::of(b"\x01b\0", 1, false, false),
        Key::of(b"\x01a\0", 28, false, false),
        Key::of(b"\x01a\0", 1, true, false),
        Key::of(b"\x01a\0", 1, false, true),
    ] {
        assert!(front.get(&other, hash, Tick(0)).is_none());
    }
    // Replaced in the cache, or flushed: not current.
    cache.put(key.as_bytes(), entry(b"\x01a\0", 30, 30));
    cache.tidy();
    assert_eq!(age(&mut front, 3), None);
    let kept = cache.get(key.as_bytes()).unwrap();
    front.put(&key, hash, &kept);
    assert_eq!(age(&mut front, 3), Some(3));
    cache.clear();
    assert_eq!(age(&mut front, 3), None);
}

#[test]
fn the_front_passes_some_hits_on_and_holds_no_more_than_its_places() {
    let mut front = Front::new(8);
    let key = Key::of(b"\x01a\0", 1, false, false);
    let hash = front.hash(&key);
    front.put(&key, hash, &entry(b"\x01a\0", 10, 20));
    let hits = (0..1000).filter(|_| front.get(&key, hash, Tick(0)).is_some()).count();
    assert!((950..1000).contains(&hits), "{hits}");
    let names: Vec<Vec<u8>> = (0..100).map(|i| format!("\x03{i:03}\0").into_bytes()).collect();
    let entries: Vec<_> = names.iter().map(|name| entry(name, 10, 20)).collect();
    for (name, entry) in names.iter().zip(&entries) {
        let key = Key::of(name, 1, false, false);
        front.put(&key, front.hash(&key), entry);
    }
    assert!(entries.iter().filter(|entry| Arc::strong_count(entry) > 1).count() <= 8);
    for entry in &entries {
        entry.gone.store(true, Ordering::Relaxed);
    }
    (0..Front::PARTS).for_each(|_| front.clean());
    assert!(entries.iter().all(|entry| Arc::strong_count(entry) == 1));
    let off = &mut Front::new(0);
    off.clean();
    off.put(&key, hash, &entries[0]);
    assert!(off.get(&key, hash, Tick(0)).is_none());
}
