//! Address prefixes: text to value and back, membership, and the reverse zone that one names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Prefix;
use crate::wire::name::Name;

/// Why a text is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// An address without a length; the prefix is that address alone.
    #[error("has no length")]
    NoLength(Prefix),
    /// What stands before the slash is not an address.
    #[error("does not begin with an IP address")]
    Address,
    /// What stands behind the slash is not a number of bits, of this many at most.
    #[error("has a length that is not 0 to {0}")]
    Length(u8),
    /// Bits are set behind the length; the prefix is the corrected one.
    #[error("has bits set behind its length")]
    HostBits(Prefix),
    /// `::ffff:0:0/96` and below, where clients are known by their IPv4 address.
    #[error("is an IPv4 prefix in IPv6 form")]
    Mapped,
}

impl PrefixError {
    /// What would be right.
    pub fn hint(&self) -> String {
        match self {
            PrefixError::NoLength(right) | PrefixError::HostBits(right) => {
                format!("write \"{right}\"")
            }
            PrefixError::Mapped => "write it as IPv4, like \"10.0.0.0/8\"".into(),
            PrefixError::Address | PrefixError::Length(_) => {
                "write ADDRESS/LENGTH, like \"10.244.0.0/16\" or \"fd00::/8\"".into()
            }
        }
    }
}

impl Prefix {
    /// The prefix of `len` bits that `addr` lies in; bits behind it are cleared. `None` if `len` is
    /// more than the address has.
    pub const fn of(addr: IpAddr, len: u8) -> Option<Prefix> {
        let addr = match addr {
            IpAddr::V4(v4) if len <= 32 => {
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask(len, 32) as u32))
            }
            IpAddr::V6(v6) if len <= 128 => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(len, 128)))
            }
            _ => return None,
        };
        Some(Prefix { addr, len })
    }

    /// Whether `addr` lies in this prefix. An IPv4-mapped IPv6 address counts as the IPv4 address
    /// in it; otherwise a prefix holds addresses of its own family only.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(asked)) => {
                ours.to_bits() == asked.to_bits() & mask(self.len, 32) as u32
            }
            (IpAddr::V6(ours), IpAddr::V6(asked)) => {
                ours.to_bits() == asked.to_bits() & mask(self.len, 128)
            }
            _ => false,
        }
    }

    /// The reverse zone that holds exactly this prefix (RFC 1035, 3.5; RFC 3596, 2.5). `None` where
    /// the length does not end at a label: a multiple of 8 in IPv4, of 4 in IPv6.
    pub fn reverse_zone(&self) -> Option<Name> {
        let mut text = String::new();
        match self.addr {
            IpAddr::V4(v4) if self.len.is_multiple_of(8) => {
                for byte in v4.octets()[..usize::from(self.len / 8)].iter().rev() {
                    text += &format!("{byte}.");
                }
                text += "in-addr.arpa";
            }
            IpAddr::V6(v6) if self.len.is_multiple_of(4) => {
                for nibble in (0..u32::from(self.len / 4)).rev() {
                    text += &format!("{:x}.", v6.to_bits() >> (124 - 4 * nibble) & 0xf);
                }
                text += "ip6.arpa";
            }
            _ => return None,
        }
        text.parse().ok()
    }
}

/// The low `width` bits of a mask of `len` leading ones.
const fn mask(len: u8, width: u8) -> u128 {
    match width - len {
        128 => 0,
        cleared => u128::MAX << cleared,
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| PrefixError::Address)?;
        if addr.to_canonical() != addr {
            return Err(PrefixError::Mapped);
        }
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let Some(len) = len else { return Err(PrefixError::NoLength(Prefix { addr, len: most })) };
        // u8::from_str takes a sign and leading zeros; a length has neither.
        let plain =
            len.bytes().all(|b| b.is_ascii_digit()) && (len == "0" || !len.starts_with('0'));
        let len = len.parse().ok().filter(|_| plain).ok_or(PrefixError::Length(most))?;
        let prefix = Prefix::of(addr, len).ok_or(PrefixError::Length(most))?;
        if prefix.addr != addr { Err(PrefixError::HostBits(prefix)) } else { Ok(prefix) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_back() {
        for text in ["0.0.0.0/0", "10.96.0.0/12", "10.2.0.1/32", "::/0", "fd00::/8", "::1/128"] {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn texts_that_are_no_prefixes() {
        let host_bits = |right| PrefixError::HostBits(prefix(right));
        for (text, error) in [
            ("", PrefixError::Address),
            ("cluster.local/8", PrefixError::Address),
            ("10.0/8", PrefixError::Address),
            ("10.0.0.0/", PrefixError::Length(32)),
            ("10.0.0.0/33", PrefixError::Length(32)),
            ("10.0.0.0/+8", PrefixError::Length(32)),
            ("10.0.0.0/08", PrefixError::Length(32)),
            ("fd00::/129", PrefixError::Length(128)),
            ("fd00::/300", PrefixError::Length(128)),
            ("10.0.0.1", PrefixError::NoLength(prefix("10.0.0.1/32"))),
            ("10.96.0.10/12", host_bits("10.96.0.0/12")),
            ("10.97.0.0/12", host_bits("10.96.0.0/12")),
            ("10.0.0.1/0", host_bits("0.0.0.0/0")),
            ("fd7a:115c:a1e0:1::/48", host_bits("fd7a:115c:a1e0::/48")),
            ("fd00::1/0", host_bits("::/0")),
            ("::ffff:10.0.0.0/104", PrefixError::Mapped),
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(error), "{text}");
        }
    }

    #[test]
    fn membership() {
        for (text, addr, inside) in [
            ("10.96.0.0/12", "10.111.255.255", true),
            ("10.96.0.0/12", "10.112.0.0", false),
            ("10.96.0.0/12", "::ffff:10.96.0.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("::1/128", "::1", true),
            ("::1/128", "::2", false),
            ("10.2.0.1/32", "10.2.0.1", true),
        ] {
            assert_eq!(prefix(text).contains(addr.parse().unwrap()), inside, "{addr} in {text}");
        }
    }

    #[test]
    fn reverse_zones() {
        for (text, zone) in [
            ("0.0.0.0/0", Some("in-addr.arpa.")),
            ("10.244.0.0/16", Some("244.10.in-addr.arpa.")),
            ("10.2.0.1/32", Some("1.0.2.10.in-addr.arpa.")),
            ("10.96.0.0/12", None),
            ("::/0", Some("ip6.arpa.")),
            ("fd7a:115c:a1e0::/48", Some("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa.")),
            ("fc00::/7", None),
        ] {
            let found = prefix(text).reverse_zone().map(|name| name.to_string());
            assert_eq!(found.as_deref(), zone, "{text}");
        }
    }
}
