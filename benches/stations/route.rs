//! `RouteTable::find`: a folded name to the route that owns it. On the way of a miss only.

use std::hint::black_box;

use anyhow::{Context, ensure};
use criterion::Criterion;
use horizond::route::RouteTable;
use horizond::wire::name::Name;

use crate::made::Numbers;
use crate::{INPUTS, cycle, made};

/// Suffixes beside the three.
const MORE: usize = 10_000 - 3;

pub fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    let few = RouteTable::new(&made::config(0)?);
    let many = RouteTable::new(&made::config(MORE)?);
    run(criterion, "3 suffixes", &few, |i, _| made::name(i))?;
    run(criterion, "10,000 suffixes", &many, |i, numbers| match i % 2 {
        0 => made::name(i),
        _ => {
            let text = format!("host-{i}.{}", made::suffix(numbers.below(MORE)));
            Ok((text.parse().context(text)?, 1))
        }
    })?;
    run(criterion, "reverse names", &few, reverse)
}

/// A reverse name of each route: within its prefixes, or outside of all, IPv4 and IPv6.
fn reverse(number: usize, numbers: &mut Numbers) -> anyhow::Result<(Name, u16)> {
    let route = number % 3;
    let host = numbers.below(0x1_0000);
    let (low, high) = (host & 255, host >> 8);
    let text = match (route, number / 3 % 2) {
        (0, 0) => format!("{low}.{high}.244.10.in-addr.arpa"),
        (1, 0) => format!("{low}.{high}.70.100.in-addr.arpa"),
        (2, 0) => format!("{low}.{high}.0.192.in-addr.arpa"),
        (0, _) => reverse_v6(0xfd00_0010_0096 << 80 | host as u128),
        // The second route has no IPv6 prefix.
        (_, _) => reverse_v6(0x2001_0db8 << 96 | host as u128),
    };
    let name = text.parse().context(text)?;
    Ok((name, if route == 1 && number / 3 % 2 == 1 { 2 } else { route as u16 }))
}

fn reverse_v6(address: u128) -> String {
    let nibbles: String = (0..32).map(|i| format!("{:x}.", address >> (4 * i) & 15)).collect();
    nibbles + "ip6.arpa"
}

/// Names with the routes that own them.
fn run(
    criterion: &mut Criterion,
    title: &str,
    table: &RouteTable,
    mut name: impl FnMut(usize, &mut Numbers) -> anyhow::Result<(Name, u16)>,
) -> anyhow::Result<()> {
    let mut numbers = Numbers(5);
    let mut names = Vec::with_capacity(INPUTS);
    for number in 0..INPUTS {
        let (name, owner) = name(number, &mut numbers)?;
        let found = table.find(name.as_wire()).map(|found| found.route);
        ensure!(found == Some(owner), "{title}: {name} belongs to {found:?}");
        names.push(name);
    }
    criterion.bench_function(&format!("route/{title}"), |bencher| {
        cycle(bencher, &names, |name| {
            black_box(table.find(name.as_wire()));
        });
    });
    Ok(())
}
