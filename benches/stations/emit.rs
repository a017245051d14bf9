//! `SendBatch`: taking a buffer and queueing it with its length and address. The batch is neither
//! written to nor sent.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use criterion::{BatchSize, Criterion, Throughput};
use horizond::sys::SendBatch;
use horizond::wire::edns::OUR_PAYLOAD;

/// As many as a shard sends at a time.
const BATCH: usize = 32;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("emit");
    group.throughput(Throughput::Elements(BATCH as u64));
    let v4 = |i| IpAddr::from(Ipv4Addr::from_bits(0x0af4_0000 | i));
    let v6 = |i| IpAddr::from(Ipv6Addr::from_bits(0xfd << 120 | u128::from(i)));
    let addresses: [(&str, &dyn Fn(u32) -> IpAddr); 2] = [("IPv4", &v4), ("IPv6", &v6)];
    for (title, address) in addresses {
        let client = |i| (60 + i as usize, SocketAddr::new(address(i), 1024 + i as u16));
        let clients: Vec<(usize, SocketAddr)> = (0..BATCH as u32).map(client).collect();
        group.bench_function(format!("queue 32 answers, {title}"), |bencher| {
            let batch = || SendBatch::new(BATCH, OUR_PAYLOAD.into());
            let queue = |batch: &mut SendBatch| {
                for &(len, client) in black_box(&clients) {
                    black_box(batch.next_buffer());
                    batch.queue(len, client);
                }
                assert!(batch.is_full());
            };
            bencher.iter_batched_ref(batch, queue, BatchSize::NumIterations(16));
        });
    }
    group.finish();
}
