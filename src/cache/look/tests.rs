#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::cache::flush::tests::{entry, failure, key, name};
use crate::wire::header::Rcode;
use crate::wire::name::Name;

const PLAIN: (bool, bool) = (false, false);

/// Names and how often they were shown, on pages of `most`.
fn shown(cache: &Cache, filter: &Filter, most: usize, now: Tick) -> BTreeMap<String, usize> {
    let (mut seen, mut next) = (BTreeMap::new(), Some(Cursor::default()));
    while let Some(from) = next {
        // Through text, as it travels.
        let from: Cursor = from.to_string().parse().unwrap();
        let (entries, after) = cache.page(from, filter, most, now);
        assert!(entries.len() <= most, "{} of {most}", entries.len());
        for entry in entries {
            *seen.entry(Name::from_wire(entry.name()).unwrap().to_string()).or_default() += 1;
        }
        next = after;
    }
    seen
}

fn filled(cache: &Cache, count: usize) {
    for i in 0..count {
        let route = (i % 2) as u16;
        let key = key(&format!("n{i}.r{route}.example"), 1, PLAIN);
        let entry =
            if i % 10 < 2 { failure(&key, route) } else { entry(&key, Rcode::NOERROR, route) };
        cache.put(cache.hashed(key.as_bytes()), entry);
    }
}

#[test]
fn pages_of_any_size_show_everything_once() {
    let cache = Cache::new(16 << 20, 2);
    filled(&cache, 1000);
    for most in [1, 7, 64, 1000, 5000] {
        let seen = shown(&cache, &Filter::default(), most, Tick(0));
        assert_eq!(seen.len(), 1000, "{most}");
        assert!(seen.values().all(|&times| times == 1), "{most}");
    }
    let route = Filter { route: Some(1), suffix: None };
    assert_eq!(shown(&cache, &route, 50, Tick(0)).len(), 500);
    let suffix = Filter { route: None, suffix: Some(name("R0.example")) };
    assert_eq!(shown(&cache, &suffix, 50, Tick(0)).len(), 500);
    let none = Filter { route: Some(1), suffix: Some(name("r0.example")) };
    assert_eq!(shown(&cache, &none, 50, Tick(0)).len(), 0);
    let one = Filter { route: None, suffix: Some(name("n10.r0.example")) };
    assert_eq!(shown(&cache, &one, 50, Tick(0)).len(), 1);
    // Past its use, if not gone yet.
    let later = Tick(3600 * 1_000_000);
    assert_eq!(shown(&cache, &Filter::default(), 50, later).len(), 0);
}

#[test]
fn all_parts_of_a_large_cache_are_shown() {
    // 32 parts: the sixteenth is the first whose number has a letter.
    let cache = Cache::new(64 << 20, 2);
    filled(&cache, 1000);
    for most in [1, 100, 5000] {
        let seen = shown(&cache, &Filter::default(), most, Tick(0));
        assert_eq!(seen.len(), 1000, "{most}");
        assert!(seen.values().all(|&times| times == 1), "{most}");
    }
}

#[test]
fn what_stays_is_shown_once_whatever_comes_and_goes() {
    let cache = Cache::new(16 << 20, 2);
    filled(&cache, 1000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let text = |i: u64| format!("n{}.passing", i % 2000);
                let (comes, goes) = (key(&text(i), 1, PLAIN), key(&text(i + 1000), 1, PLAIN));
                let comes_hash = cache.hashed(comes.as_bytes());
                cache.put(comes_hash, entry(&comes, Rcode::NOERROR, 0));
                cache.forget(cache.hashed(goes.as_bytes()));
                i += 1;
            }
        });
        for _ in 0..5 {
            let mut seen = shown(&cache, &Filter::default(), 13, Tick(0));
            assert!(seen.values().all(|&times| times == 1));
            seen.retain(|name, _| name.ends_with(".example."));
            assert_eq!(seen.len(), 1000);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_cursor_that_nobody_wrote_is_an_error_or_an_end() {
    for text in [
        "",
        "1",
        ".",
        "x.1",
        "1.x",
        "f.",
        "failures.",
        "failures.g",
        "1.2.3",
        "-1.0",
        "100000000.0",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
    }
    let cache = Cache::new(1 << 20, 1);
    for text in ["ffffffff.ffffffffffffffff", "failures.ffffffffffffffff", "0.ffffffffffffffff"] {
        let (found, _) = cache.page(text.parse().unwrap(), &Filter::default(), 5, Tick(0));
        assert!(found.is_empty());
    }
}
