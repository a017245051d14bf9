//! Rules in the words of DNS: this port, this address, put that address there.
//!
//! The steps are in the order in which `nft` writes them, so that it lists them as one would type
//! them: an address stands behind its family, a port behind its protocol.

use std::net::IpAddr;

use super::expr::{End, Expr, Field, Meta};
use super::table::{Chain, Hook, octets};

/// DNS over UDP and TCP (RFC 1035, 4.2).
const PORT: u16 = 53;

/// Transports that carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Transport {
    Udp = libc::IPPROTO_UDP as u8,
    Tcp = libc::IPPROTO_TCP as u8,
}

/// Both.
pub(super) const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// `ip saddr ADDRESS` or `ip daddr ADDRESS`, for either family.
pub(super) fn address_is(end: End, ip: IpAddr) -> Vec<Expr> {
    let mut steps = address_of_family(end, ip);
    steps.push(Expr::Equals(octets(ip)));
    steps
}

/// `ip saddr @SET` or `ip daddr @SET`, for the family of `like`.
pub(super) fn address_in(end: End, like: IpAddr, set: &str) -> Vec<Expr> {
    let mut steps = address_of_family(end, like);
    steps.push(Expr::InSet(set.to_owned()));
    steps
}

fn address_of_family(end: End, ip: IpAddr) -> Vec<Expr> {
    let family = if ip.is_ipv4() { libc::NFPROTO_IPV4 } else { libc::NFPROTO_IPV6 };
    vec![
        Expr::Meta(Meta::Family),
        Expr::Equals(vec![family as u8]),
        Expr::Load(Field::address(end, ip)),
    ]
}

/// `udp sport 53`, `tcp dport 53` and so on.
pub(super) fn port_is_dns(transport: Transport, end: End) -> Vec<Expr> {
    vec![
        Expr::Meta(Meta::Transport),
        Expr::Equals(vec![transport as u8]),
        Expr::Load(Field::port(end)),
        Expr::Equals(PORT.to_be_bytes().to_vec()),
    ]
}

/// `ip saddr set ADDRESS` or `ip daddr set ADDRESS`.
pub(super) fn set_address(end: End, ip: IpAddr) -> Vec<Expr> {
    vec![Expr::Constant(octets(ip)), Expr::Store(Field::address(end, ip))]
}

/// A chain in a hook (NF_INET_* and a priority), its policy accept.
pub(super) fn base_chain(
    name: &str,
    kind: &str,
    (number, priority): (i32, i32),
    rules: Vec<Vec<Expr>>,
) -> Chain {
    let hook = Hook { kind: kind.to_owned(), number: number.cast_unsigned(), priority };
    Chain { name: name.to_owned(), hook: Some(hook), rules }
}

/// A chain that others jump to.
pub(super) fn plain_chain(name: &str, rules: Vec<Vec<Expr>>) -> Chain {
    Chain { name: name.to_owned(), hook: None, rules }
}
