//! What the three demo horizons hold: a cluster, a tailnet and an internet.
//!
//! Each function makes an [`Authority`](super::authority::Authority) that can be served on any
//! socket or asked directly. The addresses are those that documentation may use (RFC 5737, 3849,
//! 2544) and the private ranges of a usual cluster and tailnet, so nothing here leads anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, TXT};
use hickory_proto::rr::{Name, RData};

mod cluster;
mod internet;
mod tailnet;

pub use cluster::cluster;
pub use internet::internet;
pub use tailnet::tailnet;

/// Digits of the largest number in a bulk name: a billion names a horizon.
const BULK_DIGITS: usize = 9;

/// The absolute name that `text` writes. All texts are constants of this module's zones.
pub(super) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("zone data holds valid names");
    name.set_fqdn(true);
    name
}

/// A record's address, from text.
pub(super) fn a(text: &str) -> RData {
    address(text.parse().expect("zone data holds valid addresses"))
}

fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn ptr(target: &Name) -> RData {
    RData::PTR(PTR(target.clone()))
}

fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

/// The reverse name of an address (RFC 1035, 3.5; RFC 3596, 2.5).
fn reverse(address: IpAddr) -> Name {
    let mut name = Name::from(address);
    name.set_fqdn(true);
    name
}

/// N of `<letter>N.<parent>`, for the bulk names that load tests ask: one to nine digits; `n007` and
/// `n7` are two names with one address.
fn bulk_number(asked: &Name, letter: u8, parent: &str) -> Option<u32> {
    let label = asked.iter().next()?;
    let digits = match label.split_first()? {
        (first, digits) if first.eq_ignore_ascii_case(&letter) => digits,
        _ => return None,
    };
    if digits.is_empty() || digits.len() > BULK_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let labels = parent.split('.').filter(|label| !label.is_empty());
    let same = asked.iter().skip(1).map(<[u8]>::to_ascii_lowercase).eq(labels.map(str::as_bytes));
    let value = digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    same.then_some(value)
}

/// The address `n` places above `base`, wrapping within a block of `size` addresses (a power of 2).
fn nth_v4(base: Ipv4Addr, n: u32, size: u32) -> RData {
    RData::A(A(Ipv4Addr::from_bits(base.to_bits() | (n & (size - 1)))))
}

/// The address `n` places above `base`.
fn nth_v6(base: Ipv6Addr, n: u32) -> RData {
    RData::AAAA(AAAA(Ipv6Addr::from_bits(base.to_bits() | u128::from(n))))
}
