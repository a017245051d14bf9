#![allow(clippy::unwrap_used)]
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::answer::{Answer, Question, Section, Writer};
use crate::cache::{Cache, Entry, Front, Key, Probe, Scope};
use crate::time::Tick;
use crate::wire::edns::Ede;
use crate::wire::header::Rcode;
use crate::wire::name::Name;

const MIB: u64 = 1 << 20;
const HOUR: Duration = Duration::from_secs(3600);

pub(in crate::cache) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The key of a question for a name.
pub(in crate::cache) fn key(text: &str, qtype: u16, flags: (bool, bool)) -> Key {
    Key::of(name(text).as_wire(), qtype, flags.0, flags.1)
}

pub(in crate::cache) fn entry(key: &Key, rcode: Rcode, route: u16) -> Entry {
    let bytes = key.as_bytes();
    let question = Question { name: Key::name(bytes), qtype: Key::qtype(bytes), qclass: 1 };
    let answer = Writer::new(question, rcode, 0).finish();
    Entry::new(bytes, &answer, route, Tick(0), (HOUR, Duration::ZERO))
}

pub(in crate::cache) fn failure(key: &Key, route: u16) -> Entry {
    let bytes = key.as_bytes();
    let question = Question { name: Key::name(bytes), qtype: Key::qtype(bytes), qclass: 1 };
    let answer = Answer::failure(question, Rcode::SERVFAIL, Ede::new(22, "no answer"));
    Entry::failure(bytes, &answer, route, Tick(0), (HOUR, Duration::ZERO), 1)
}

fn put(cache: &Cache, key: &Key, entry: Entry) {
    cache.put(cache.hashed(key.as_bytes()), entry);
}

fn has(cache: &Cache, key: &Key) -> bool {
    cache.get(cache.hashed(key.as_bytes())).is_some()
}

fn held(cache: &Cache) -> u64 {
    cache.shares().iter().map(|share| share.entries).sum()
}

const PLAIN: (bool, bool) = (false, false);

/// Eleven entries of two routes: three types and flags and a failure for one name, one that does not
/// exist, and neighbours whose names look alike.
fn filled() -> (Cache, Vec<Key>) {
    let cache = Cache::new(4 * MIB, 2);
    let keys = vec![
        key("www.example.com", 1, PLAIN),
        key("www.example.com", 28, PLAIN),
        key("www.example.com", 1, (true, false)),
        key("www.example.com", 1, (true, true)),
        key("a.www.example.com", 1, PLAIN),
        key("xwww.example.com", 1, PLAIN),
        key("wexample.com", 1, PLAIN),
        key("example.com", 15, PLAIN),
        key("api.cluster.local", 1, PLAIN),
    ];
    for key in &keys {
        let route = u16::from(Key::name(key.as_bytes()).ends_with(b"\x05local\0"));
        put(&cache, key, entry(key, Rcode::NOERROR, route));
    }
    let gone = Key::of_name(key("gone.example.com", 1, PLAIN).as_bytes());
    put(&cache, &gone, entry(&gone, Rcode::NXDOMAIN, 0));
    let failed = key("www.example.com", 16, PLAIN);
    put(&cache, &failed, failure(&failed, 0));
    assert_eq!(held(&cache), 11);
    (cache, keys)
}

#[test]
fn a_flush_takes_what_its_scope_covers_and_nothing_else() {
    for (scope, left) in [
        (Scope::Name(name("WWW.Example.COM")), &[4, 5, 6, 7, 8][..]),
        (Scope::Suffix(name("www.EXAMPLE.com.")), &[5, 6, 7, 8]),
        (Scope::Suffix(name("example.com")), &[6, 8]),
        (Scope::Suffix(name("com")), &[8]),
        (Scope::Suffix(name(".")), &[]),
        (Scope::Route(1), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (Scope::Route(0), &[8]),
        (Scope::Name(name("nobody.example")), &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Scope::All, &[]),
    ] {
        let (cache, keys) = filled();
        let gone = cache.flush(&scope, Tick(5));
        let found: Vec<usize> = (0..keys.len()).filter(|&i| has(&cache, &keys[i])).collect();
        assert_eq!(found, left, "{scope:?}");
        assert_eq!(held(&cache) + gone, 11, "{scope:?}");
        let failed = key("www.example.com", 16, PLAIN);
        let kept = cache.failure(failed.as_bytes()).is_some();
        assert_eq!(kept, left.contains(&0), "{scope:?}");
    }
}

#[test]
fn with_a_name_goes_what_says_that_it_cannot_exist() {
    for (scope, gone) in [
        (Scope::Name(name("gone.example.com")), 1),
        (Scope::Name(name("a.b.gone.example.com")), 1),
        (Scope::Suffix(name("a.gone.example.com")), 1),
        (Scope::Suffix(name("gone.example.com")), 1),
        (Scope::Name(name("xgone.example.com")), 0),
        // A name that exists denies nothing below it.
        (Scope::Name(name("x.api.cluster.local")), 0),
    ] {
        let (cache, _) = filled();
        assert_eq!(cache.flush(&scope, Tick(0)), gone, "{scope:?}");
    }
}

#[test]
fn what_is_flushed_leaves_the_threads_own_tables_too() {
    let cache = Cache::new(MIB, 1);
    let mut front = Front::new(8);
    let keys = [key("a.example", 1, PLAIN), key("b.example", 1, PLAIN)];
    for key in &keys {
        put(&cache, key, entry(key, Rcode::NOERROR, 0));
        let hashed = cache.hashed(key.as_bytes());
        front.put(hashed, &cache.get(hashed).unwrap());
    }
    let found = |front: &Front, key: &Key| {
        let name = Key::name(key.as_bytes());
        front.get(Probe::new(name, 1, PLAIN, cache.name_hash(name)), Tick(0)).is_some()
    };
    assert!(found(&front, &keys[0]) && found(&front, &keys[1]));
    let epoch = cache.epoch();
    assert_eq!(cache.flush(&Scope::Name(name("a.example")), Tick(0)), 1);
    assert!(!found(&front, &keys[0]) && found(&front, &keys[1]));
    assert_eq!(cache.epoch(), epoch);
    assert_eq!(cache.flush(&Scope::All, Tick(0)), 1);
    assert!(!found(&front, &keys[1]) && cache.epoch() != epoch);
}

#[test]
fn what_was_asked_before_a_flush_is_not_kept_after_it() {
    let cache = Cache::new(MIB, 1);
    let (answered, failed) = (key("a.example", 1, PLAIN), key("b.example", 1, PLAIN));
    let keep = |asked| {
        let hashed = cache.hashed(answered.as_bytes());
        cache.keep(hashed, entry(&answered, Rcode::NOERROR, 0), Tick(asked));
        let hashed = cache.hashed(failed.as_bytes());
        cache.keep(hashed, failure(&failed, 0), Tick(asked));
        (has(&cache, &answered), cache.failure(failed.as_bytes()).is_some())
    };
    assert_eq!(keep(0), (true, true));
    assert_eq!(cache.flush(&Scope::Name(name("a.example")), Tick(7)), 1);
    assert_eq!(cache.flush(&Scope::All, Tick(3)), 1);
    assert_eq!(keep(6), (false, false));
    assert_eq!(keep(7), (false, false));
    assert_eq!(keep(8), (true, true));
}

#[test]
fn a_copy_goes_with_what_it_was_made_of() {
    let cache = Cache::new(MIB, 1);
    let asked = key("gone.example", 1, PLAIN);
    let place = Key::of_name(asked.as_bytes());
    put(&cache, &place, entry(&place, Rcode::NXDOMAIN, 0));
    let whole = cache.get(cache.hashed(place.as_bytes())).unwrap();
    let copy = || {
        let hashed = cache.hashed(asked.as_bytes());
        cache.keep_copy(hashed, whole.for_type(asked.as_bytes()), &whole);
        has(&cache, &asked)
    };
    assert!(copy());
    // While a flush goes on, its turn may be yet to come, and that of the copy over.
    cache.flushes.running.fetch_add(1, Ordering::AcqRel);
    assert!(!copy() && has(&cache, &place));
    cache.flushes.running.fetch_sub(1, Ordering::AcqRel);
    assert!(copy());
    assert_eq!(cache.flush(&Scope::Name(name("gone.example")), Tick(0)), 2);
    assert!(!copy());
}

#[test]
fn a_flush_misses_nothing_while_others_put_in_and_take_out() {
    const COUNT: u32 = 4000;
    let cache = Cache::new(2 * MIB, 2);
    let put = |text: String| {
        let key = key(&text, 1, PLAIN);
        self::put(&cache, &key, entry(&key, Rcode::NOERROR, 0));
    };
    for round in 0..4 {
        (0..COUNT).for_each(|i| put(format!("n{i}.old.example")));
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (put, cache, start) = (&put, &cache, &start);
                scope.spawn(move || {
                    start.wait();
                    // The places grow, shrink and move under the walk.
                    for i in 0..2000 {
                        put(format!("n{i}-{thread}.new.example"));
                        if i >= 500 {
                            let past = key(&format!("n{}-{thread}.new.example", i - 500), 1, PLAIN);
                            cache.forget(cache.hashed(past.as_bytes()));
                        }
                    }
                });
            }
            start.wait();
            let gone = cache.flush(&Scope::Suffix(name("old.example")), Tick(0));
            assert_eq!(gone, u64::from(COUNT), "round {round}");
        });
        let old = (0..COUNT).filter(|i| has(&cache, &key(&format!("n{i}.old.example"), 1, PLAIN)));
        assert_eq!(old.count(), 0);
        assert_eq!(held(&cache), 1000, "round {round}");
        assert_eq!(cache.flush(&Scope::Suffix(name("new.example")), Tick(0)), 1000);
    }
    let bytes: u64 = cache.shares().iter().map(|share| share.bytes).sum();
    assert_eq!((held(&cache), bytes), (0, 0));
}

#[test]
fn no_answer_slips_in_behind_a_flush() {
    let cache = Cache::new(2 * MIB, 1);
    let keys: Vec<Key> = (0..600).map(|i| key(&format!("n{i}.example"), 1, PLAIN)).collect();
    for round in 0..30u64 {
        let (asked, flushed) = (Tick(10 * round + 1), Tick(10 * round + 5));
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            let (cache, keys, start) = (&cache, &keys, &start);
            scope.spawn(move || {
                start.wait();
                for (i, key) in keys.iter().enumerate() {
                    let hashed = cache.hashed(key.as_bytes());
                    match i % 3 {
                        0 => cache.keep(hashed, failure(key, 0), asked),
                        _ => cache.keep(hashed, entry(key, Rcode::NOERROR, 0), asked),
                    }
                }
            });
            scope.spawn(move || {
                let place = Key::of_name(key("gone.example", 1, PLAIN).as_bytes());
                let place = cache.hashed(place.as_bytes());
                cache.keep(place, entry(&Key::of_name(place.bytes), Rcode::NXDOMAIN, 0), asked);
                start.wait();
                // Each question for it makes a copy, as long as it is there.
                for qtype in 1..600 {
                    let Some(whole) = cache.get(place) else { return };
                    let key = key("gone.example", qtype, PLAIN);
                    let copy = whole.for_type(key.as_bytes());
                    cache.keep_copy(cache.hashed(key.as_bytes()), copy, &whole);
                }
            });
            start.wait();
            cache.flush(&Scope::Suffix(name("example")), flushed);
        });
        assert_eq!(held(&cache), 0, "round {round}");
    }
}

/// An answer with these records, each an owner, a type and RDATA.
fn answer(question: &Key, section: Section, records: &[(&str, u16, &[u8])]) -> Entry {
    let bytes = question.as_bytes();
    let (qname, qtype) = (Key::name(bytes), Key::qtype(bytes));
    let mut writer = Writer::new(Question { name: qname, qtype, qclass: 1 }, Rcode::NOERROR, 0);
    for (owner, rtype, rdata) in records {
        assert!(writer.record(section, name(owner).as_wire(), (*rtype, 1, 60), &[rdata]));
    }
    Entry::new(bytes, &writer.finish(), 0, Tick(0), (HOUR, Duration::ZERO))
}

#[test]
fn with_names_that_moved_goes_what_speaks_of_them() {
    const ADDRESS: &[u8] = &[192, 0, 2, 1];
    let (moved, other) = (name("db.Moved.example"), name("db.xmoved.example"));
    let scope = || Scope::Moved(vec![name("moved.example"), name("b.test")]);
    let www = || key("www.example", 1, PLAIN);
    for (section, records, goes) in [
        (Section::Answer, &[("www.example", 1, ADDRESS)][..], false),
        (Section::Answer, &[("www.example", 5, moved.as_wire())], true),
        (Section::Answer, &[("www.example", 39, moved.as_wire())], true),
        (Section::Answer, &[("www.example", 5, other.as_wire())], false),
        (Section::Answer, &[("www.example", 5, other.as_wire()), ("a.b.test", 1, ADDRESS)], true),
        (Section::Additional, &[("Moved.example", 1, ADDRESS)], true),
        (Section::Additional, &[("example", 1, ADDRESS)], false),
        // Names in other data are asked for by whoever reads them.
        (Section::Answer, &[("www.example", 16, moved.as_wire())], false),
    ] {
        let cache = Cache::new(4 * MIB, 1);
        put(&cache, &www(), answer(&www(), section, records));
        assert_eq!(cache.flush(&scope(), Tick(1)), u64::from(goes), "{records:?}");
    }
    for (asked, goes) in
        [("moved.example", 1), ("a.b.test", 1), ("xb.test", 0), ("example", 0), ("test", 0)]
    {
        let (cache, key) = (Cache::new(4 * MIB, 1), key(asked, 1, PLAIN));
        put(&cache, &key, entry(&key, Rcode::NOERROR, 0));
        let denied = Key::of_name(key.as_bytes());
        put(&cache, &denied, entry(&denied, Rcode::NXDOMAIN, 0));
        put(&cache, &key, failure(&key, 0));
        // A denial of a name above goes, too.
        let denial = u64::from(goes == 0 && asked != "xb.test");
        assert_eq!(cache.flush(&scope(), Tick(1)), 3 * goes + denial, "{asked}");
    }
}
