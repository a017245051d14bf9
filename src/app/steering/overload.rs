//! Tells a daemon that has too much to do from one that does not serve.
//!
//! A question that finds the receive buffer full is lost, like any client's. Then the kernel has counted
//! datagrams dropped there, and the shard goes on receiving others. A shard that is stuck may have a full
//! buffer too, but receives nothing; where something else keeps the question from us, nothing is dropped.
//! Looked at only when an answer is missing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::telemetry::labels::Proto;
use crate::telemetry::snapshot::Snapshot;
use crate::telemetry::stats::Stats;

/// The kernel's counts at one moment, and ours.
pub(super) struct Overload {
    addresses: Vec<SocketAddr>,
    /// By shard.
    stats: Vec<Arc<Stats>>,
    before: Option<Counts>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    dropped: u64,
    received: Vec<u64>,
}

impl Overload {
    pub fn new(addresses: Vec<SocketAddr>, stats: Vec<Arc<Stats>>) -> Overload {
        Overload { addresses, stats, before: None }
    }

    /// Notes the counts: something is late.
    pub fn note(&mut self) {
        self.before = Some(self.counts());
    }

    /// Whether what happened since [`Overload::note`] explains why these shards did not answer.
    pub fn explains(&mut self, shards: &[usize]) -> bool {
        let Some(before) = self.before.take() else { return false };
        overloaded(&before, &self.counts(), shards)
    }

    fn counts(&self) -> Counts {
        let table = |path| std::fs::read_to_string(path).unwrap_or_default();
        let wants = |v6| self.addresses.iter().any(|addr| addr.is_ipv6() == v6);
        let mut dropped = 0;
        for (v6, path) in [(false, "/proc/net/udp"), (true, "/proc/net/udp6")] {
            if wants(v6) {
                dropped += drops(&table(path), &self.addresses);
            }
        }
        let one = |stats: &Arc<Stats>| Snapshot::of(std::slice::from_ref(stats));
        let received = |stats| one(stats).request_sizes(Proto::Udp).count();
        Counts { dropped, received: self.stats.iter().map(received).collect() }
    }
}

fn overloaded(before: &Counts, after: &Counts, shards: &[usize]) -> bool {
    let went_on = |shard: &usize| after.received.get(*shard) > before.received.get(*shard);
    after.dropped > before.dropped && !shards.is_empty() && shards.iter().all(went_on)
}

/// Datagrams that the sockets of `addresses` had no room for: the last column of /proc/net/udp
/// (proc_net_udp(5)), whose addresses are words of the machine in hexadecimal.
fn drops(table: &str, addresses: &[SocketAddr]) -> u64 {
    let locals: Vec<String> = addresses.iter().map(local_address).collect();
    let of_line = |line: &str| {
        let local = line.split_ascii_whitespace().nth(1)?;
        locals.iter().any(|ours| ours == local).then_some(())?;
        line.split_ascii_whitespace().next_back()?.parse::<u64>().ok()
    };
    table.lines().skip(1).filter_map(of_line).sum()
}

fn local_address(addr: &SocketAddr) -> String {
    let word = |octets: &[u8]| {
        let octets = octets.first_chunk().copied().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(octets))
    };
    let ip = match addr.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", addr.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn drops_are_read_from_the_kernels_table() {
        let small = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        small.set_recv_buffer_size(2048).unwrap();
        let socket: UdpSocket = small.into();
        let addr = socket.local_addr().unwrap();
        let others = ["127.0.0.1:1".parse().unwrap(), addr];
        let dropped = || drops(&std::fs::read_to_string("/proc/net/udp").unwrap(), &others);
        assert_eq!(dropped(), 0);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            client.send_to(&[0; 500], addr).unwrap();
        }
        assert!((50..100).contains(&dropped()), "{}", dropped());
    }

    #[test]
    fn an_ipv6_address_is_four_words() {
        let addr = "[fd00:5353::10]:53".parse().unwrap();
        let expected = if cfg!(target_endian = "little") {
            "535300FD000000000000000010000000:0035"
        } else {
            "FD005353000000000000000000000010:0035"
        };
        assert_eq!(local_address(&addr), expected);
    }

    #[test]
    fn only_a_shard_that_goes_on_while_datagrams_are_dropped_is_overloaded() {
        let counts = |dropped, received: [u64; 2]| Counts { dropped, received: received.to_vec() };
        let before = counts(5, [10, 10]);
        assert!(overloaded(&before, &counts(6, [11, 10]), &[0]));
        assert!(!overloaded(&before, &counts(6, [11, 10]), &[1]), "stuck");
        assert!(!overloaded(&before, &counts(6, [11, 10]), &[0, 1]), "one is stuck");
        assert!(!overloaded(&before, &counts(5, [11, 11]), &[0]), "deaf");
        assert!(!overloaded(&before, &counts(6, [11, 11]), &[2]), "no such shard");
    }
}
