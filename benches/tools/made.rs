//! What the micro benches and `bench-hit` measure with: names, packets, answers, a server, all made
//! from fixed seeds. The one place of theirs that knows how the library builds these things.

#![allow(dead_code, reason = "each program that includes it uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use horizond::answer::{Answer, Kind, Question, Section, Writer};
use horizond::cache::{Cache, Entry, Front, Key, Probe};
use horizond::config::{Config, file};
use horizond::respond::{self, Ask, Ttl};
use horizond::serve::{Desk, Server};
use horizond::telemetry::querylog::QueryLog;
use horizond::telemetry::stats::Stats;
use horizond::time::{Clock, Tick};
use horizond::upstream::RouteState;
use horizond::wire::edns::OptWriter;
use horizond::wire::header::Rcode;
use horizond::wire::name::Name;
use horizond::wire::{CLASS_IN, rtype};

/// TTL of all records, in seconds.
pub const TTL: u32 = 3600;
/// Points at the question's name.
const OWNER: [u8; 2] = [0xc0, 12];

/// SplitMix64: the same numbers on every machine.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }
}

/// A name of the kind that is asked for, and the route that owns it.
pub fn name(number: usize) -> anyhow::Result<(Name, u16)> {
    let route = number % 3;
    let text = match route {
        0 => format!("service-{number}.team-{}.svc.cluster.local", number % 97),
        1 => format!("host-{number}.c.binrc.com"),
        _ => format!("www.example-{number}.{}", ["com", "org", "co.uk"][number / 3 % 3]),
    };
    let name = text.parse().with_context(|| format!("{text} is not a name"))?;
    Ok((name, route as u16))
}

/// A name of 200 bytes.
pub fn long_name(number: usize) -> anyhow::Result<Name> {
    let label = |i: usize| format!("{:a>39}", number * 7 + i);
    let text = format!("{}.{}.{}.{}.{:b>34}.net", label(0), label(1), label(2), label(3), number);
    let name: Name = text.parse().with_context(|| format!("{text} is not a name"))?;
    anyhow::ensure!(name.as_wire().len() == 200, "{text} has {} bytes", name.as_wire().len());
    Ok(name)
}

/// The same name with about half of its letters in upper case.
pub fn mixed_case(name: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let upper = |byte: &u8| if numbers.below(2) == 0 { byte.to_ascii_uppercase() } else { *byte };
    name.iter().map(upper).collect()
}

/// A query with RD; with an OPT where `edns`.
pub fn query(id: u16, name: &[u8], qtype: u16, edns: bool) -> anyhow::Result<Vec<u8>> {
    let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    packet[..2].copy_from_slice(&id.to_be_bytes());
    packet.extend(name);
    packet.extend(qtype.to_be_bytes());
    packet.extend(CLASS_IN.to_be_bytes());
    if edns {
        let end = packet.len();
        packet.resize(end + 64, 0);
        let opt = OptWriter::begin(&mut packet, end, 0, false).context("no room for an OPT")?;
        let end = opt.finish();
        packet.truncate(end);
    }
    Ok(packet)
}

/// An answer with so many addresses; without any it is NODATA with its SOA (RFC 2308, 2.2).
pub fn answer(name: &[u8], qtype: u16, addresses: u8) -> Answer {
    let mut writer = Writer::new(Question { name, qtype, qclass: CLASS_IN }, Rcode::NOERROR, 0);
    for host in 0..addresses {
        let v6 = [0xfd, 0, 0, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
        let v4 = [10, 96, 0, host];
        let rdata: &[u8] = if qtype == rtype::AAAA { &v6 } else { &v4 };
        writer.record(Section::Answer, &OWNER, (qtype, CLASS_IN, TTL), &[rdata]);
    }
    if addresses == 0 {
        let numbers = [1, 7200, 900, 86_400, TTL].map(u32::to_be_bytes);
        let names: &[u8] = b"\x02ns\xc0\x0c\x05admin\xc0\x0c";
        let fixed = (rtype::SOA, CLASS_IN, TTL);
        writer.record(Section::Authority, &OWNER, fixed, &[names, numbers.as_flattened()]);
        writer.kind = Kind::Negative;
    }
    writer.finish()
}

/// The key of a question without DO and CD.
pub fn key(name: &[u8], qtype: u16) -> Key {
    Key::of(name, qtype, false, false)
}

/// An answer as the cache holds it: fresh for [`TTL`] from the clock's zero.
pub fn entry(key: &Key, answer: &Answer, route: u16) -> Entry {
    let life = (Duration::from_secs(TTL.into()), Duration::from_secs(86_400));
    Entry::new(key.as_bytes(), answer, route, Tick(0), life)
}

/// Puts an answer into the shared cache.
pub fn put(cache: &Cache, key: &Key, answer: &Answer, route: u16) -> Entry {
    let entry = entry(key, answer, route);
    cache.put(cache.hashed(key.as_bytes()), entry.clone());
    entry
}

/// What is made of an entry for one client: [`respond::answer`] at an age of seven seconds.
#[inline]
pub fn patch(entry: &Entry, ask: &Ask<'_>, out: &mut [u8]) -> usize {
    respond::answer(entry.view(), ask, Ttl::Elapsed(7), None, b"here", out)
}

/// The shared cache, and one thread's table in front of it.
pub struct Tables {
    cache: Cache,
    front: Front,
}

impl Tables {
    /// With room for all that the benches put into them; `front` is a power of two.
    pub fn new(memory: u64, front: usize) -> Tables {
        Tables { cache: Cache::new(memory, 3), front: Front::new(front) }
    }

    /// Puts an answer for A into the shared cache, and `near` also into the thread's table.
    pub fn put(&mut self, name: &[u8], route: u16, near: bool) {
        let key = key(name, rtype::A);
        let entry = put(&self.cache, &key, &answer(name, rtype::A, 1), route);
        if near {
            self.front.put(self.cache.hashed(key.as_bytes()), &entry);
        }
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        self.cache.hashed(key.as_bytes()).hash
    }

    /// Whether the thread's table has a fresh entry: hashing and searching.
    #[inline]
    pub fn find_near(&self, key: &Key) -> bool {
        let (name, qtype) = (Key::name(key.as_bytes()), Key::qtype(key.as_bytes()));
        let flags = Key::flags(key.as_bytes());
        let probe = Probe::new(name, qtype, flags, self.cache.hashed(key.as_bytes()).name);
        self.front.get(probe, Tick(1)).is_some()
    }

    /// The shared cache's entry: hashing, searching and counting one more pointer to it.
    #[inline]
    pub fn find_shared(&self, key: &[u8]) -> Option<Entry> {
        self.cache.get(self.cache.hashed(key))
    }
}

/// Three routes, one shard, no address bound; with `more` suffixes under the second.
pub fn config(more: usize) -> anyhow::Result<Config> {
    let more: String = (0..more).map(|i| format!(", \"{}\"", suffix(i))).collect();
    let text = format!(
        r#"
        [listen]
        shards = 1
        [[route]]
        name = "cluster"
        suffixes = ["cluster.local"]
        reverse = ["10.96.0.0/12", "10.244.0.0/16", "fd00:10:96::/112"]
        upstreams = ["127.0.0.1:9"]
        [[route]]
        name = "tailnet"
        suffixes = ["c.binrc.com"{more}]
        reverse = ["100.64.0.0/10"]
        upstreams = ["127.0.0.1:9"]
        [[route]]
        name = "internet"
        suffixes = ["."]
        upstreams = ["127.0.0.1:9"]
        "#
    );
    let loaded = file::parse(&text, Path::new("made")).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(loaded.config)
}

/// One of the `more` suffixes of [`config`]: of two, three or four labels.
pub fn suffix(number: usize) -> String {
    let inner = ["", "b.", "a.b."][number % 3];
    format!("{inner}zone-{number}.example")
}

/// A server without upstreams, and a desk of it as a shard has one.
pub fn desk(clock: Clock) -> anyhow::Result<Desk> {
    let config = config(0)?;
    let routes = config.routes.iter().enumerate();
    let routes = routes.map(|(i, route)| RouteState::new(i as u16, route, Vec::new())).collect();
    let server = Arc::new(Server::new(&config, "here".into(), routes, Vec::new(), clock));
    let stats = Arc::new(Stats::new(server.policies.len()));
    Ok(Desk::new(server, stats, QueryLog::off()))
}
