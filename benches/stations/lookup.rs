//! A key to its entry, hashing included: in the thread's own table and in the shared cache.

use std::cell::OnceCell;
use std::hint::black_box;

use anyhow::ensure;
use criterion::Criterion;
use horizond::cache::Key;
use horizond::wire::rtype;

use crate::made::{Numbers, Tables};
use crate::{cycle, made, measures};

/// Names in the tables, and places of the thread's own: the default of the configuration.
const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const PLACES: usize = 16_384;
/// Different keys that are asked for: more than the processor's caches have room for.
const ASKED: usize = 65_536;

pub fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    near(criterion)?;
    shared(criterion, FEW, "10,000 names")?;
    shared(criterion, if measures() { MANY } else { FEW }, "1,000,000 names")
}

/// `count` answers; where `near`, as many of them in the thread's table as it keeps.
fn filled(count: usize, near: bool) -> anyhow::Result<Tables> {
    let mut tables = Tables::new(4 << 30, PLACES);
    for number in 0..count {
        let (name, route) = made::name(number)?;
        tables.put(name.as_wire(), route, near);
    }
    Ok(tables)
}

/// Keys of names drawn from `range`.
fn drawn(range: std::ops::Range<usize>, count: usize) -> anyhow::Result<Vec<Key>> {
    let mut numbers = Numbers(3);
    let mut key = |_| {
        let (name, _) = made::name(range.start + numbers.below(range.len()))?;
        Ok(made::key(name.as_wire(), rtype::A))
    };
    (0..count).map(&mut key).collect()
}

fn near(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("lookup in the thread's table");
    let tables = filled(FEW, true)?;
    // Where nine keys share the eight places of a set, one of them is not there.
    let mut kept = drawn(0..FEW, PLACES)?;
    kept.retain(|key| tables.find_near(key));
    ensure!(kept.len() > PLACES * 3 / 4, "{} of {PLACES} keys are found", kept.len());
    kept.truncate(PLACES / 2);
    group.bench_function("hit, 10,000 names", |bencher| {
        cycle(bencher, &kept, |key| {
            black_box(tables.find_near(key));
        });
    });
    let absent = drawn(MANY..2 * MANY, PLACES / 2)?;
    ensure!(!absent.iter().any(|key| tables.find_near(key)), "a name that is not there is found");
    group.bench_function("miss, 10,000 names", |bencher| {
        cycle(bencher, &absent, |key| {
            black_box(tables.find_near(key));
        });
    });
    group.finish();
    Ok(())
}

fn shared(criterion: &mut Criterion, count: usize, title: &str) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("lookup in the shared cache");
    // Filled when the first bench wants it: a filter may have left it out.
    let tables = OnceCell::new();
    let bytes = |key: &Key| Box::<[u8]>::from(key.as_bytes());
    for (what, range, found) in [("hit", 0..count, true), ("miss", MANY..2 * MANY, false)] {
        let keys: Vec<_> = drawn(range, ASKED)?.iter().map(bytes).collect();
        group.bench_function(format!("{what}, {title}"), |bencher| {
            let tables = tables.get_or_init(|| filled(count, false).expect("names are sound"));
            assert!(keys.iter().all(|key| tables.find_shared(key).is_some() == found), "{what}");
            cycle(bencher, &keys, |key| {
                black_box(tables.find_shared(key));
            });
        });
    }
    group.finish();
    Ok(())
}
