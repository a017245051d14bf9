//! The stand-ins: the addresses that a pod's DNS is redirected to, one for each cluster DNS address.
//!
//! They are not the address of the node's server itself: the redirect rewrites whatever comes back
//! from a stand-in, so what a pod asks of the server by its own address would never be answered.
//! The plugin redirects to them and the daemon listens on them, each from its own settings, and this
//! is the one place where both learn which is whose.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most cluster DNS addresses, of both families together.
pub const MAX_PAIRS: usize = 32;
/// Stands in for the first IPv4 address of the cluster's DNS; the second has the next address, and
/// so on.
pub const FIRST_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 20, 11);
/// The same for IPv6.
pub const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x5353, 0, 0, 0, 0, 0, 0x11);

/// An address of the cluster's DNS, and what stands in for it.
pub type Pair = (IpAddr, IpAddr);

/// Why addresses cannot be paired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandInError {
    /// More than [`MAX_PAIRS`].
    #[error("{0} cluster DNS addresses; at most {MAX_PAIRS} can be redirected")]
    TooMany(usize),
    /// More stand-ins of a family than cluster DNS addresses of it: one of the lists is wrong.
    #[error("{0} stands in for nothing: there are fewer cluster DNS addresses of its family")]
    Idle(IpAddr),
    /// An address that packets could not be told apart by.
    #[error("{0} occurs twice among cluster DNS addresses, stand-ins and servers of the node")]
    Twice(IpAddr),
}

/// Pairs each cluster DNS address with its stand-in, in the order given: the first of `given` of its
/// family that is not taken yet; where there is none, the address as many after [`FIRST_V4`] or
/// [`FIRST_V6`] as it has others of its family before it. An address in `servers`, those of the node's server itself, needs no
/// stand-in and gets none, but keeps its place in the count.
///
/// # Errors
/// Names the address that makes no sense, or says that there are too many.
pub fn pairs(
    cluster_dns: &[IpAddr],
    given: &[IpAddr],
    servers: &[IpAddr],
) -> Result<Vec<Pair>, StandInError> {
    if cluster_dns.len() > MAX_PAIRS {
        return Err(StandInError::TooMany(cluster_dns.len()));
    }
    let (mut v4, mut v6) = (of_family(given, true), of_family(given, false));
    let mut all = Vec::with_capacity(cluster_dns.len());
    for (at, ip) in cluster_dns.iter().enumerate() {
        let before = cluster_dns[..at].iter().filter(|other| other.is_ipv4() == ip.is_ipv4());
        let place = before.count();
        let family = if ip.is_ipv4() { &mut v4 } else { &mut v6 };
        let stand_in = family.next().unwrap_or_else(|| derived(ip.is_ipv4(), place));
        all.push((*ip, stand_in));
    }
    if let Some(idle) = v4.chain(v6).next() {
        return Err(StandInError::Idle(idle));
    }
    all.retain(|(ip, _)| !servers.contains(ip));
    check(&all, servers)?;
    Ok(all)
}

fn of_family(list: &[IpAddr], v4: bool) -> impl Iterator<Item = IpAddr> {
    list.iter().copied().filter(move |ip| ip.is_ipv4() == v4)
}

/// The stand-in of the address in this place, below [`MAX_PAIRS`], among those of its family.
fn derived(v4: bool, place: usize) -> IpAddr {
    if v4 {
        Ipv4Addr::from_bits(FIRST_V4.to_bits() + place as u32).into()
    } else {
        Ipv6Addr::from_bits(FIRST_V6.to_bits() + place as u128).into()
    }
}

fn check(pairs: &[Pair], servers: &[IpAddr]) -> Result<(), StandInError> {
    let mut seen: HashSet<IpAddr> = servers.iter().copied().collect();
    match pairs.iter().flat_map(|(ip, stand_in)| [*ip, *stand_in]).find(|ip| !seen.insert(*ip)) {
        Some(twice) => Err(StandInError::Twice(twice)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn shown(pairs: &[Pair]) -> String {
        pairs.iter().map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_address_has_its_own() {
        let node = "169.254.20.10 fd00:5353::10";
        for (cluster, given, expected) in [
            ("", "", ""),
            ("10.96.0.10", "", "10.96.0.10>169.254.20.11"),
            (
                "10.96.0.10 fd00:a::a 10.96.0.11 fd00:a::b",
                "",
                "10.96.0.10>169.254.20.11 fd00:a::a>fd00:5353::11 \
                 10.96.0.11>169.254.20.12 fd00:a::b>fd00:5353::12",
            ),
            // Given for one family, derived for the other.
            (
                "10.96.0.10 fd00:a::a",
                "169.254.1.1",
                "10.96.0.10>169.254.1.1 fd00:a::a>fd00:5353::11",
            ),
            // What already is the node's server keeps its place.
            ("169.254.20.10 10.96.0.10", "", "10.96.0.10>169.254.20.12"),
        ] {
            let pairs = pairs(&ips(cluster), &ips(given), &ips(node)).unwrap();
            assert_eq!(shown(&pairs), expected, "{cluster} | {given}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let node = ips("169.254.20.10");
        let of = |cluster: &str, given: &str| pairs(&ips(cluster), &ips(given), &node).unwrap_err();
        let twice = |ip: &str| StandInError::Twice(ip.parse().unwrap());
        assert_eq!(of("10.96.0.10 10.96.0.10", ""), twice("10.96.0.10"));
        assert_eq!(of("10.96.0.10", "169.254.20.10"), twice("169.254.20.10"));
        assert_eq!(of("10.96.0.10", "10.96.0.10"), twice("10.96.0.10"));
        assert_eq!(of("10.96.0.10 10.96.0.11", "10.0.0.1 10.0.0.1"), twice("10.0.0.1"));
        let idle = StandInError::Idle("fd00::1".parse().unwrap());
        assert_eq!(of("10.96.0.10", "169.254.20.11 fd00::1"), idle);
        let many: Vec<IpAddr> = (1..=33).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert_eq!(pairs(&many, &[], &node), Err(StandInError::TooMany(33)));
        assert_eq!(pairs(&many[1..], &[], &node).unwrap().len(), MAX_PAIRS);
    }
}
