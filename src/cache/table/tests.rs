#![allow(clippy::unwrap_used)]
use super::*;
use crate::answer::{Kind, Question, Writer};
use crate::cache::{Cache, Key};
use crate::wire::header::Rcode;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Puts names into a table by a cache's hasher.
struct Names {
    hasher: Cache,
    table: Table,
}

impl Names {
    fn new(memory: u64) -> Names {
        Names { hasher: Cache::new(MIB, 1), table: Table::new(memory, 2) }
    }

    fn key(name: &[u8]) -> Key {
        Key::of(name, 1, false, false)
    }

    fn put(&self, i: u32, route: u16, keep: Duration) {
        let name = format!("\x08{i:08}\0").into_bytes();
        let answer = Writer::new(Question { name: &name, qtype: 1, qclass: 1 }, Rcode::NOERROR, 0);
        let key = Names::key(&name);
        let life = (keep, Duration::ZERO);
        let entry = Entry::new(key.as_bytes(), &answer.finish(), route, Tick(0), life);
        self.table.put(self.hasher.hashed(key.as_bytes()), entry, || true);
    }

    fn get(&self, i: u32) -> Option<Entry> {
        let key = Names::key(&format!("\x08{i:08}\0").into_bytes());
        self.table.get(self.hasher.hashed(key.as_bytes()))
    }

    fn held(&self) -> u64 {
        self.table.counts(2).iter().flat_map(|c| c.kinds).map(|gauge| gauge.entries).sum()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_flood_of_new_names_does_not_push_out_what_is_asked_for() {
    let names = Names::new(MIB);
    for i in 0..1000 {
        names.put(i, 0, HOUR);
    }
    // Ten times what there is room for, each asked once; the thousand are asked now and then.
    for i in 1000..80_000 {
        names.put(i, 1, HOUR);
        if i % 500 == 0 {
            assert!((0..1000).all(|i| names.get(i).is_some()), "after {i}");
        }
    }
    let [kept, flood] = names.table.counts(2)[..] else { panic!() };
    assert_eq!((kept.kinds[0].entries, kept.evicted), (1000, 0));
    assert_eq!(flood.evicted + flood.kinds[0].entries, 79_000);
    assert!(flood.kinds[0].bytes + kept.kinds[0].bytes <= MIB);
    // Nobody asks any more, and others come.
    for i in 80_000..120_000 {
        names.put(i, 1, HOUR);
    }
    let left = names.table.counts(2)[0].kinds[0].entries;
    assert!(left < 100, "{left}");
}

#[test]
fn what_is_past_use_goes_first_and_goes_by_itself() {
    let names = Names::new(4 * MIB);
    for i in 0..3000 {
        names.put(i, (i % 2) as u16, if i % 2 == 0 { HOUR } else { Duration::from_secs(10) });
    }
    (0..Table::PARTS).for_each(|_| names.table.tidy(Tick(9_999_999)));
    assert_eq!(names.held(), 3000);
    (0..Table::PARTS).for_each(|_| names.table.tidy(Tick(10_000_000)));
    assert_eq!(names.held(), 1500);
    assert!((0..3000).all(|i| names.get(i).is_some() == (i % 2 == 0)));
    assert_eq!(names.table.counts(2)[1].evicted, 0);
}

#[test]
fn one_insertion_passes_by_a_bounded_number_of_entries_in_use() {
    let names = Names::new(MIB);
    let mut last = 0;
    while names.table.counts(2)[0].evicted == 0 {
        names.put(last, 0, HOUR);
        last += 1;
    }
    for _ in 0..5 {
        (0..last).for_each(|i| drop(names.get(i)));
    }
    // Takes room for many: the spare part of the budget is not enough.
    let before = names.held();
    let name = b"\x08aaaaaaaa\0";
    let mut writer = Writer::new(Question { name, qtype: 16, qclass: 1 }, Rcode::NOERROR, 0);
    let rdata: &[u8] = &[0; 60_000];
    assert!(writer.record(crate::answer::Section::Answer, &[0xc0, 12], (16, 1, 9), &[rdata]));
    let key = Key::of(name, 16, false, false);
    let entry = Entry::new(key.as_bytes(), &writer.finish(), 1, Tick(0), (HOUR, Duration::ZERO));
    names.table.put(names.hasher.hashed(key.as_bytes()), entry, || true);
    assert_eq!(names.table.counts(2)[1].kinds[Kind::Positive as usize].entries, 1);
    // Those looked at lost one use, no more than the bound; the rest were let go in use.
    let stripe = lock(&names.table.stripes[0]);
    let lost = |at: &usize| stripe.slots.get(*at).is_some_and(|entry| entry.uses() == 2);
    assert!((1..=STEPS).contains(&(0..stripe.slots.places()).filter(lost).count()));
    assert!((stripe.slots.len() as u64) < before);
}

#[test]
fn an_answer_larger_than_a_stripe_is_not_kept() {
    let names = Names::new(1000);
    let name = b"\x08aaaaaaaa\0";
    let mut writer = Writer::new(Question { name, qtype: 16, qclass: 1 }, Rcode::NOERROR, 0);
    assert!(writer.record(crate::answer::Section::Answer, &[0xc0, 12], (16, 1, 9), &[&[0; 900]]));
    let key = Key::of(name, 16, false, false);
    let life = (HOUR, Duration::ZERO);
    let entry = Entry::new(key.as_bytes(), &writer.finish(), 0, Tick(0), life);
    names.table.put(names.hasher.hashed(key.as_bytes()), entry, || true);
    assert_eq!(names.held(), 0);
    names.put(1, 0, HOUR);
    assert_eq!(names.held(), 1);
}

#[test]
fn a_name_that_comes_and_goes_takes_one_place_in_line() {
    let names = Names::new(MIB);
    let key = Names::key(b"\x0800000001\0");
    for _ in 0..60_000 {
        names.put(1, 0, HOUR);
        names.table.remove(names.hasher.hashed(key.as_bytes()));
    }
    let line = |names: &Names| {
        let stripe = lock(&names.table.stripes[0]);
        (stripe.line.len(), stripe.line.capacity())
    };
    assert!(line(&names).0 <= 2 + SLACK && line(&names).1 <= 4 * SLACK, "{:?}", line(&names));
    (0..3000).for_each(|i| names.put(i, 0, HOUR));
    assert_eq!(names.held(), 3000);
    assert!(line(&names).0 <= 3000 + 2 * SLACK);
}

#[test]
fn names_that_do_not_exist_can_be_kept_and_forgotten_for_ever() {
    // What happens to such names as they expire and are asked again: one key is forgotten, another
    // and the first are put.
    let cache = Cache::new(MIB, 1);
    let make = |key: &[u8], name: &[u8]| {
        let question = Question { name, qtype: 1, qclass: 1 };
        let answer = Writer::new(question, Rcode::NXDOMAIN, 0).finish();
        Entry::new(key, &answer, 0, Tick(0), (Duration::from_secs(5), Duration::ZERO))
    };
    for _ in 0..500 {
        for i in 0..200u32 {
            let name = format!("\x08{i:08}\0").into_bytes();
            let key = Key::of(&name, 1, false, false);
            let whole = Key::of_name(key.as_bytes());
            let (key, whole) = (cache.hashed(key.as_bytes()), cache.hashed(whole.as_bytes()));
            cache.forget(key);
            let entry = make(whole.bytes, &name);
            cache.put(whole, entry.for_type(whole.bytes));
            cache.put(key, entry.for_type(key.bytes));
        }
    }
    let stripe = lock(&cache.answers.stripes[0]);
    assert_eq!((stripe.slots.len(), stripe.counts[0].evicted), (400, 0));
    assert!(stripe.line.len() <= 800 + SLACK);
}

#[test]
fn many_threads_leave_the_books_right() {
    let names = Names::new(2 * MIB);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let names = &names;
            scope.spawn(move || {
                for i in 0..20_000 {
                    names.put((i * 7 + thread) % 9000, (i % 2) as u16, HOUR);
                    names.get(i % 9000);
                }
                names.table.tidy(Tick(0));
            });
        }
    });
    let counts = names.table.counts(2);
    let held = (0..9000).filter(|&i| names.get(i).is_some()).count() as u64;
    assert_eq!(names.held(), held);
    assert!(counts.iter().flat_map(|c| c.kinds).map(|g| g.bytes).sum::<u64>() <= 2 * MIB);
    assert_eq!(names.table.flush(|_| true), held);
    assert_eq!(names.held(), 0);
    assert!(names.table.stripes.iter().all(|stripe| lock(stripe).bytes == 0));
}
