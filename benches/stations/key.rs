//! `Key::of`, a name in mixed case to the key it is kept under, and the hash of a key.

use std::hint::black_box;

use criterion::Criterion;
use horizond::cache::Key;
use horizond::wire::rtype;

use crate::made::Numbers;
use crate::{INPUTS, cycle, made};

pub fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("key");
    let tables = made::Tables::new(1 << 20, 8);
    let mut numbers = Numbers(2);
    for (title, long) in [("short name", false), ("name of 200 bytes", true)] {
        let mut name = |i: usize| {
            let name = if long { made::long_name(i)? } else { made::name(i)?.0 };
            Ok(made::mixed_case(name.as_wire(), &mut numbers))
        };
        let names = (0..INPUTS).map(&mut name).collect::<anyhow::Result<Vec<_>>>()?;
        group.bench_function(format!("fold, {title}"), |bencher| {
            cycle(bencher, &names, |name| {
                black_box(&Key::of(name, rtype::A, false, false));
            });
        });
        let keys: Vec<Key> = names.iter().map(|name| made::key(name, rtype::A)).collect();
        group.bench_function(format!("hash, {title}"), |bencher| {
            cycle(bencher, &keys, |key| {
                black_box(tables.hash(key));
            });
        });
    }
    group.finish();
    Ok(())
}
