//! `Query::parse`: a packet to a borrowed question.

use std::hint::black_box;

use criterion::Criterion;
use horizond::wire::query::Query;
use horizond::wire::rtype;

use crate::{INPUTS, cycle, made};

pub fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("parse");
    for (title, long, edns) in [
        ("plain, short name", false, false),
        ("plain, name of 200 bytes", true, false),
        ("EDNS, short name", false, true),
        ("EDNS, name of 200 bytes", true, true),
    ] {
        let packet = |i: usize| {
            let name = if long { made::long_name(i)? } else { made::name(i)?.0 };
            made::query(i as u16, name.as_wire(), rtype::A, edns)
        };
        let packets = (0..INPUTS).map(packet).collect::<anyhow::Result<Vec<_>>>()?;
        let sound = |packet: &Vec<u8>| Query::parse(packet).is_ok_and(|q| q.edns.is_some() == edns);
        anyhow::ensure!(packets.iter().all(sound), "{title}: a query is not sound");
        group.bench_function(title, |bencher| {
            cycle(bencher, &packets, |packet| {
                black_box(&Query::parse(packet));
            });
        });
    }
    group.finish();
    Ok(())
}
