//! Addresses as they are asked for, checked before the kernel sees them.

use std::collections::HashSet;
use std::net::IpAddr;

/// The most addresses of a kind in one table. A transaction is one datagram, which the kernel takes
/// up to 208 KiB by default; this many of each kind make about 100 KiB.
pub const MAX_ADDRESSES: usize = 32;

/// A cluster DNS address, as pods have it in their resolv.conf, and the address of ours that stands
/// in for it. Both of one family; each address occurs in one pair only, on one side only.
pub type Pair = (IpAddr, IpAddr);

/// What is wrong with the addresses asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No address at all.
    #[error("no address to make rules for")]
    Empty,
    /// More than [`MAX_ADDRESSES`].
    #[error("{0} addresses; at most {MAX_ADDRESSES} of a kind")]
    TooMany(usize),
    /// A pair of different families.
    #[error("{0} and {1} are not of one family: IPv4 is led to IPv4, IPv6 to IPv6")]
    Families(IpAddr, IpAddr),
    /// An address twice: its packets could not be told apart.
    #[error("{0} occurs twice; each cluster DNS address needs a stand-in of its own")]
    Twice(IpAddr),
    /// Not an address that a packet of a pod's DNS can have.
    #[error("{0} is no address of a server (unspecified, multicast, broadcast or mapped IPv4)")]
    Unusable(IpAddr),
}

/// Checks pairs: there may be none.
pub(super) fn check_pairs(pairs: &[Pair]) -> Result<(), PlanError> {
    if let Some((a, b)) = pairs.iter().find(|(a, b)| a.is_ipv4() != b.is_ipv4()) {
        return Err(PlanError::Families(*a, *b));
    }
    let all: Vec<IpAddr> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    if pairs.len() > MAX_ADDRESSES {
        return Err(PlanError::TooMany(pairs.len()));
    }
    check_each(&all)
}

/// Checks plain addresses: there may be none.
pub(super) fn check_addresses(addresses: &[IpAddr]) -> Result<(), PlanError> {
    if addresses.len() > MAX_ADDRESSES {
        return Err(PlanError::TooMany(addresses.len()));
    }
    check_each(addresses)
}

/// Each usable, each once.
pub(super) fn check_each(addresses: &[IpAddr]) -> Result<(), PlanError> {
    let mut seen = HashSet::new();
    for ip in addresses {
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        let mapped = ip.to_canonical() != *ip;
        if ip.is_unspecified() || ip.is_multicast() || broadcast || mapped {
            return Err(PlanError::Unusable(*ip));
        }
        if !seen.insert(*ip) {
            return Err(PlanError::Twice(*ip));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn pairs_that_make_no_sense_are_named() {
        let (a, b, six) = (ip("10.96.0.10"), ip("169.254.20.11"), ip("fd00:5353::11"));
        assert_eq!(check_pairs(&[(a, b), (ip("fd00::a"), six)]), Ok(()));
        assert_eq!(check_pairs(&[(a, six)]), Err(PlanError::Families(a, six)));
        assert_eq!(check_pairs(&[(a, b), (ip("10.96.0.11"), b)]), Err(PlanError::Twice(b)));
        assert_eq!(check_pairs(&[(a, a)]), Err(PlanError::Twice(a)));
        let mapped = ip("::ffff:10.96.0.10");
        assert_eq!(check_pairs(&[(mapped, six)]), Err(PlanError::Unusable(mapped)));
        for bad in ["0.0.0.0", "224.0.0.251", "255.255.255.255"] {
            assert_eq!(check_pairs(&[(ip(bad), b)]), Err(PlanError::Unusable(ip(bad))));
        }
        let many: Vec<Pair> = (0..=MAX_ADDRESSES as u8)
            .map(|n| (IpAddr::from([10, 96, 0, n + 1]), IpAddr::from([169, 254, 20, n + 1])))
            .collect();
        assert_eq!(check_pairs(&many), Err(PlanError::TooMany(33)));
        assert_eq!(check_pairs(&many[1..]), Ok(()));
    }
}
