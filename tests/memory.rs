//! What the cache says it holds must be what the process grows by: a budget that counts less than
//! it takes is no budget. Alone in its program, since it reads the whole process's memory.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use horizond::answer::{Answer, Question, Section, Writer};
use horizond::cache::{Cache, Entry, Key};
use horizond::time::Tick;
use horizond::wire::edns::Ede;
use horizond::wire::header::Rcode;
use horizond::wire::name::Name;

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Puts `count` names into the cache, with one to four addresses each.
fn fill(cache: &Cache, count: u32) {
    for i in 0..count {
        let name: Name =
            format!("service-{i}.namespace-{}.svc.cluster.local", i % 97).parse().unwrap();
        let question = Question { name: name.as_wire(), qtype: 1, qclass: 1 };
        let mut writer = Writer::new(question, Rcode::NOERROR, 0);
        for host in 0..=i % 4 {
            writer.record(Section::Answer, &[0xc0, 12], (1, 1, 30), &[&[10, 96, 0, host as u8]]);
        }
        let key = Key::of(name.as_wire(), 1, false, false);
        let life = (Duration::from_secs(3600), Duration::ZERO);
        let entry = Entry::new(key.as_bytes(), &writer.finish(), 0, Tick(0), life);
        cache.put(cache.hashed(key.as_bytes()), entry);
    }
}

/// Has a cache remember that `count` names could not be had.
fn fail(cache: &Cache, count: u32) {
    for i in 0..count {
        let name: Name =
            format!("gone-{i}.namespace-{}.svc.cluster.local", i % 97).parse().unwrap();
        let question = Question { name: name.as_wire(), qtype: 1, qclass: 1 };
        let reason = "route cluster: 10.96.0.10:53/udp no answer (4000 ms)";
        let answer = Answer::failure(question, Rcode::SERVFAIL, Ede::new(22, reason));
        let key = Key::of(name.as_wire(), 1, false, false);
        let life = (Duration::from_secs(3600), Duration::ZERO);
        let entry = Entry::failure(key.as_bytes(), &answer, 0, Tick(0), life, 1);
        cache.put(cache.hashed(key.as_bytes()), entry);
    }
    cache.tidy(Tick(0));
}

fn held(cache: &Cache) -> u64 {
    cache.shares().iter().map(|share| share.bytes).sum()
}

#[test]
fn the_process_grows_by_what_the_cache_says() {
    let cache = Cache::new(256 << 20, 1);
    // What is needed once, whatever is held, comes first.
    fill(&cache, 1000);
    let (rss, bytes) = (resident_bytes(), held(&cache));
    fill(&cache, 100_000);
    let (grown, said) = (resident_bytes() - rss, held(&cache) - bytes);
    let ratio = grown as f64 / said as f64;
    println!("grown {grown} bytes, said {said} bytes, ratio {ratio:.3}");
    assert!((0.85..1.15).contains(&ratio), "grown {grown} bytes, said {said} bytes");

    // Failures lie in another table.
    let failing = Cache::new(512 << 20, 1);
    fail(&failing, 1000);
    let (rss, bytes) = (resident_bytes(), held(&failing));
    fail(&failing, 40_000);
    let (grown, said) = (resident_bytes() - rss, held(&failing) - bytes);
    let ratio = grown as f64 / said as f64;
    println!("failures: grown {grown} bytes, said {said} bytes, ratio {ratio:.3}");
    assert!((0.85..1.15).contains(&ratio), "failures: grown {grown} bytes, said {said} bytes");

    // Full: it stays within its budget, and so does the process.
    let small = Cache::new(16 << 20, 1);
    let before = resident_bytes();
    fill(&small, 100_000);
    assert!(held(&small) <= 16 << 20);
    let grown = resident_bytes().saturating_sub(before);
    println!("a cache of 16 MiB, filled six times over, takes {grown} bytes");
    assert!(grown < (16 << 20) * 130 / 100, "{grown} bytes");
}
