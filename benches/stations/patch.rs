//! `respond::answer`: what is kept of an answer to the bytes for one client.

use std::hint::black_box;

use anyhow::{Context, ensure};
use criterion::Criterion;
use horizond::cache::Entry;
use horizond::respond::Ask;
use horizond::wire::edns::OUR_PAYLOAD;
use horizond::wire::header::{Header, flag};
use horizond::wire::query::Query;
use horizond::wire::rtype;

use crate::made::Numbers;
use crate::{INPUTS, cycle, made};

pub fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("patch");
    for (title, addresses, edns, cut) in [
        ("one TTL", 1, false, false),
        ("one TTL, OPT", 1, true, false),
        ("16 TTLs", 16, false, false),
        ("16 TTLs, OPT", 16, true, false),
        ("60 TTLs, truncated to 512 bytes", 60, false, true),
    ] {
        let mut numbers = Numbers(4);
        let mut made = |number| entry_and_packet(number, addresses, edns, &mut numbers);
        let made = (0..INPUTS).map(&mut made).collect::<anyhow::Result<Vec<_>>>()?;
        let ask = |(entry, packet)| match Query::parse(packet) {
            Ok(query) => Ok((entry, Ask::of(&query, false))),
            Err(fault) => Err(anyhow::anyhow!("{title}: {fault:?}")),
        };
        let pairs = made.iter().map(|(e, p)| ask((e, p))).collect::<anyhow::Result<Vec<_>>>()?;
        let mut out = [0u8; OUR_PAYLOAD as usize];
        for (entry, ask) in &pairs {
            let len = made::patch(entry, ask, &mut out);
            let head = Header::read(&out[..len]).context("no answer")?;
            ensure!(head.has(flag::TC) == cut, "{title}: TC is {}", !cut);
            ensure!(head.counts[3] == u16::from(edns), "{title}: {head:?}");
            ensure!(cut || head.counts[1] == u16::from(addresses), "{title}: {head:?}");
        }
        group.bench_function(title, |bencher| {
            cycle(bencher, &pairs, |(entry, ask)| {
                black_box(made::patch(entry, ask, black_box(&mut out)));
            });
        });
    }
    group.finish();
    Ok(())
}

fn entry_and_packet(
    number: usize,
    addresses: u8,
    edns: bool,
    numbers: &mut Numbers,
) -> anyhow::Result<(Entry, Vec<u8>)> {
    let (name, route) = made::name(number)?;
    let asked = made::mixed_case(name.as_wire(), numbers);
    let packet = made::query(number as u16, &asked, rtype::A, edns)?;
    let answer = made::answer(name.as_wire(), rtype::A, addresses);
    let key = made::key(name.as_wire(), rtype::A);
    Ok((made::entry(&key, &answer, route), packet))
}
