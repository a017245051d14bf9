#![allow(clippy::unwrap_used)]
use super::*;
use crate::answer::{Answer, Question, Writer};
use crate::time::Tick;
use crate::wire::edns::Ede;
use crate::wire::header::Rcode;
use std::time::Duration;

const SECOND: u64 = 1_000_000;

fn entry(name: &[u8], fresh_s: u64, keep_s: u64) -> Entry {
    let key = Key::of(name, 1, false, false);
    let (answer, life) = answer(name, fresh_s, keep_s);
    Entry::new(key.as_bytes(), &answer, 0, Tick(0), life)
}

fn answer(name: &[u8], fresh_s: u64, keep_s: u64) -> (Answer, (Duration, Duration)) {
    let question = Question { name, qtype: 1, qclass: 1 };
    let seconds = Duration::from_secs;
    let answer = Writer::new(question, Rcode::NOERROR, 0).finish();
    (answer, (seconds(fresh_s), seconds(keep_s - fresh_s)))
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
fn folding_is_ascii_lower_case_for_all_bytes_and_lengths() {
    for len in 0..40usize {
        for start in 0..=255u8 {
            let name: Vec<u8> =
                (0..len).map(|i| start.wrapping_add((i as u8).wrapping_mul(7))).collect();
            let key = Key::of(&name, 1, false, false);
            let folded = name.to_ascii_lowercase();
            assert_eq!(&key.as_bytes()[3..], folded);
            assert!(key::folds_to(&name, &folded));
            for at in 0..len {
                let mut other = folded.clone();
                other[at] ^= 0x20;
                assert_eq!(key::folds_to(&name, &other), other == name.to_ascii_lowercase());
                assert!(!key::folds_to(&name, &folded[..at]));
            }
        }
    }
}

#[test]
fn an_entry_ages_by_the_clock_it_is_given() {
    let cache = Cache::new(1 << 20, 1);
    let key = Key::of(b"\x01a\0", 1, false, false);
    let key = cache.hashed(key.as_bytes());
    cache.put(key, entry(b"\x01a\0", 10, 20));
    let kept = cache.get(key).unwrap();
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
fn an_entry_gives_back_what_it_was_made_of() {
    let question = Question { name: b"\x01a\0", qtype: 28, qclass: 1 };
    let mut writer = Writer::new(question, Rcode::NXDOMAIN, 0);
    writer.kind = Kind::Negative;
    writer.ede = Some(Ede::new(15, "blocked: n\u{e4}me"));
    assert!(writer.record(crate::answer::Section::Answer, &[0xc0, 12], (5, 1, 60), &[b"\x01b\0"]));
    let answer = writer.finish();
    let key = Key::of(question.name, 28, true, false);
    let life = (Duration::from_millis(1500), Duration::ZERO);
    let made = Entry::new(key.as_bytes(), &answer, 3, Tick(7), life);
    assert_eq!((made.view().wire, made.view().ttls), (answer.wire(), answer.view().ttls));
    assert_eq!(made.view().ede, answer.ede().map(Ede::as_ref));
    assert_eq!((made.name(), made.qtype(), made.rcode()), (question.name, 28, Rcode::NXDOMAIN));
    assert_eq!((made.kind(), made.route(), made.stored()), (Kind::Negative, 3, Tick(7)));
    assert_eq!(
        (made.fresh_until(), made.keep_until()),
        (Tick(7 + 2 * SECOND), Tick(7 + 2 * SECOND))
    );
    assert!(made.is_for(key.as_bytes()));
    let place = Key::of_name(key.as_bytes());
    let other = made.for_type(place.as_bytes());
    assert!(other.is_for(place.as_bytes()) && !other.is_for(key.as_bytes()));
    assert_eq!((other.view().ede, other.view().ttls), (made.view().ede, made.view().ttls));
    assert!(!made.is_for(b""));
}

#[test]
fn a_failure_does_not_push_out_an_answer() {
    let cache = Cache::new(1 << 20, 1);
    let key = Key::of(b"\x01a\0", 1, false, false);
    let key = cache.hashed(key.as_bytes());
    cache.put(key, entry(b"\x01a\0", 10, 20));
    let (mut answer, life) = answer(b"\x01a\0", 1, 1);
    answer.kind = Kind::Failure;
    cache.put(key, Entry::failure(key.bytes, &answer, 0, Tick(0), life, 1));
    assert_eq!(cache.get(key).unwrap().failures(), 0);
    assert_eq!(cache.failure(key.bytes).unwrap().failures(), 1);
    let failures = cache.shares()[Kind::Failure as usize];
    assert_eq!((failures.kind, failures.entries), (Kind::Failure, 1));
    cache.put(key, entry(b"\x01a\0", 10, 20));
    assert!(cache.failure(key.bytes).is_none());
}

#[test]
fn the_budget_holds_and_the_tally_agrees() {
    let cache = Cache::new(1 << 20, 1);
    for i in 0..20_000u32 {
        let name = format!("\x08{i:08}\0").into_bytes();
        let key = Key::of(&name, 1, false, false);
        cache.put(cache.hashed(key.as_bytes()), entry(&name, 100, 100));
    }
    let share = cache.shares()[0];
    assert!(share.bytes <= 1 << 20, "{share:?}");
    assert!(share.entries > 5000, "{share:?}");
    assert_eq!(cache.evictions() + share.entries, 20_000);
    cache.flush(&Scope::All, Tick(0));
    assert_eq!((cache.shares()[0].entries, cache.shares()[0].bytes), (0, 0));
}

#[test]
fn the_front_answers_what_the_cache_would() {
    let cache = Cache::new(1 << 20, 1);
    let mut front = Front::new(8);
    let key = Key::of(b"\x01A\0", 1, false, false);
    let key = cache.hashed(key.as_bytes());
    let probe = Probe::new(b"\x01A\0", 1, (false, false), key.name);
    assert!(front.get(probe, Tick(0)).is_none());
    cache.put(key, entry(b"\x01a\0", 10, 20));
    front.put(key, &cache.get(key).unwrap());
    let age = |front: &mut Front, s| front.get(probe, Tick(s * SECOND)).map(|(_, age)| age);
    assert_eq!(age(&mut front, 3), Some(3));
    assert_eq!(age(&mut front, 10), None);
    // The same place under another question is not an answer.
    for (name, flags) in [
        (&b"\x01b\0"[..], (false, false)),
        (b"\x01a\0", (true, false)),
        (b"\x01a\0", (false, true)),
        (b"\x01a\x01a\0", (false, false)),
    ] {
        assert!(front.get(Probe::new(name, 1, flags, key.name), Tick(0)).is_none());
    }
    assert!(front.get(Probe::new(b"\x01a\0", 28, (false, false), key.name), Tick(0)).is_none());
    // Replaced in the cache, or flushed: not current.
    cache.put(key, entry(b"\x01a\0", 30, 30));
    assert_eq!(age(&mut front, 3), None);
    front.put(key, &cache.get(key).unwrap());
    assert_eq!(age(&mut front, 3), Some(3));
    cache.flush(&Scope::All, Tick(0));
    assert_eq!(age(&mut front, 3), None);
}

#[test]
fn the_front_holds_no_more_than_its_places_and_lets_go() {
    let cache = Cache::new(1 << 20, 1);
    let mut front = Front::new(8);
    let names: Vec<Vec<u8>> = (0..100).map(|i| format!("\x03{i:03}\0").into_bytes()).collect();
    let entries: Vec<_> = names.iter().map(|name| entry(name, 10, 20)).collect();
    for (name, entry) in names.iter().zip(&entries) {
        let key = Key::of(name, 1, false, false);
        front.put(cache.hashed(key.as_bytes()), entry);
    }
    let held = |entries: &[Entry]| entries.iter().filter(|entry| entry.holders() > 1).count();
    assert_eq!(held(&entries), 8);
    // One that is asked for comes in, if not at once.
    let late = Key::of(&names[99], 1, false, false);
    let late = cache.hashed(late.as_bytes());
    (0..8).for_each(|_| front.put(late, &entries[99]));
    let asked = Probe::new(&names[99], 1, (false, false), late.name);
    assert!(front.get(asked, Tick(0)).is_some());
    entries.iter().for_each(Entry::leave);
    (0..Front::PARTS).for_each(|_| front.clean());
    assert_eq!(held(&entries), 0);
    let off = &mut Front::new(0);
    off.clean();
    off.put(late, &entries[0]);
    assert!(off.get(asked, Tick(0)).is_none());
}
