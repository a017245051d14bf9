//! Decides whether a client may ask: membership in lists of address prefixes, its [`rate`]; and
//! makes its [`cookies`].
//!
//! "node" stands for the host's own addresses, which come in from outside and may change; a list is
//! then built anew and swapped. Looking up is a binary search and allocates nothing.

use std::net::IpAddr;

use crate::config::{Prefix, Source};

pub mod cookies;
pub mod rate;

/// A set of addresses as disjoint ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// The union of `sources`, with `own` in the place of "node". Loopback is always one of the
    /// host's own.
    pub fn new(sources: &[Source], own: &[IpAddr]) -> AddressSet {
        let mut set = AddressSet::default();
        for source in sources {
            match source {
                Source::Prefix(prefix) => set.add(*prefix),
                Source::Node => {
                    set.add(Prefix { addr: [127, 0, 0, 0].into(), len: 8 });
                    set.add(Prefix { addr: std::net::Ipv6Addr::LOCALHOST.into(), len: 128 });
                    own.iter().for_each(|addr| set.add(single(*addr)));
                }
            }
        }
        merge(&mut set.v4, |end| end.checked_add(1));
        merge(&mut set.v6, |end| end.checked_add(1));
        set
    }

    fn add(&mut self, prefix: Prefix) {
        match prefix.addr {
            IpAddr::V4(addr) => {
                let host = u32::MAX.checked_shr(prefix.len.into()).unwrap_or(0);
                self.v4.push((addr.to_bits() & !host, addr.to_bits() | host));
            }
            IpAddr::V6(addr) => {
                let host = u128::MAX.checked_shr(prefix.len.into()).unwrap_or(0);
                self.v6.push((addr.to_bits() & !host, addr.to_bits() | host));
            }
        }
    }

    /// Whether `addr` is in it; an IPv4 address in IPv6 clothes counts as IPv4.
    #[inline]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match addr.to_canonical() {
            IpAddr::V4(addr) => within(&self.v4, addr.to_bits()),
            IpAddr::V6(addr) => within(&self.v6, addr.to_bits()),
        }
    }
}

fn single(addr: IpAddr) -> Prefix {
    Prefix { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
}

/// Sorts, and joins ranges that touch.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, kept| {
        let touches = next(kept.1).is_none_or(|after| later.0 <= after);
        if touches {
            kept.1 = kept.1.max(later.1);
        }
        touches
    });
}

#[inline]
fn within<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let at = ranges.partition_point(|range| range.1 < value);
    ranges.get(at).is_some_and(|range| range.0 <= value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prefix(text: &str) -> Source {
        let (addr, len) = text.split_once('/').unwrap();
        Source::Prefix(Prefix { addr: addr.parse().unwrap(), len: len.parse().unwrap() })
    }

    #[test]
    fn members_and_strangers() {
        let sources = [
            Source::Node,
            prefix("10.244.0.0/16"),
            prefix("10.245.0.0/16"),
            prefix("10.244.7.0/24"),
            prefix("fd00::/8"),
        ];
        let set = AddressSet::new(&sources, &["192.0.2.7".parse().unwrap()]);
        assert_eq!(set.v4.len(), 3);
        for (addr, member) in [
            ("10.244.0.0", true),
            ("10.245.255.255", true),
            ("10.243.255.255", false),
            ("10.246.0.0", false),
            ("127.0.0.53", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("::1", true),
            ("::2", false),
            ("fdff::1", true),
            ("fe80::1", false),
            ("::ffff:10.244.1.1", true),
        ] {
            assert_eq!(set.contains(addr.parse().unwrap()), member, "{addr}");
        }
    }

    #[test]
    fn everything_and_nothing() {
        let all = AddressSet::new(&[prefix("0.0.0.0/0"), prefix("::/0"), prefix("0.0.0.0/0")], &[]);
        for addr in ["0.0.0.0", "255.255.255.255", "::", "ffff::ffff"] {
            assert!(all.contains(addr.parse().unwrap()), "{addr}");
            assert!(!AddressSet::default().contains(addr.parse().unwrap()));
        }
    }
}
