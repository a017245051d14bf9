//! The prefix of a NAT64: IPv4 addresses in IPv6 ones (RFC 6052, 2.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Prefix;
use super::prefix::PrefixError;

/// A prefix under which IPv4 addresses are embedded: IPv6, of one of the six lengths, the `u` octet
/// (bits 64 to 71) zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nat64 {
    addr: Ipv6Addr,
    len: u8,
}

/// Why a text is not the prefix of a NAT64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nat64Error {
    /// It is no prefix at all.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// An IPv4 prefix.
    #[error("is not an IPv6 prefix")]
    Family,
    /// An address cannot be embedded behind so many bits.
    #[error("has a length that is not 32, 40, 48, 56, 64 or 96")]
    Length,
    /// Bits 64 to 71 are not zero (RFC 6052, 2.2).
    #[error("has bits set among its bits 64 to 71, which must be zero")]
    UOctet,
    /// Addresses that no router carries: multicast, link-local, or with only zeros in front.
    #[error("cannot be routed")]
    Unroutable,
}

impl Nat64Error {
    /// What would be right.
    pub fn hint(&self) -> String {
        match self {
            Nat64Error::Prefix(error @ PrefixError::HostBits(_)) => error.hint(),
            // An address without a length is meant as the front of all others: nearly always 96 bits.
            Nat64Error::Prefix(PrefixError::NoLength(Prefix { addr, .. })) => {
                format!("write \"{addr}/96\"")
            }
            _ => "write the prefix of your NAT64, like \"64:ff9b::/96\", or \"\" for none".into(),
        }
    }
}

/// Addresses that are not global, or are no host's: RFC 5735, 3, and RFC 6598.
const NOT_GLOBAL: [Prefix; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

const fn v4([a, b, c, d]: [u8; 4], len: u8) -> Prefix {
    Prefix { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), len }
}

impl Nat64 {
    /// `64:ff9b::/96` (RFC 6052, 2.1).
    pub const WELL_KNOWN: Nat64 =
        Nat64 { addr: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), len: 96 };

    /// The prefix as one of a NAT64.
    ///
    /// # Errors
    /// Where RFC 6052, 2.2, does not allow it, or no router carries its addresses.
    pub fn new(prefix: Prefix) -> Result<Nat64, Nat64Error> {
        let IpAddr::V6(addr) = prefix.addr else { return Err(Nat64Error::Family) };
        if !matches!(prefix.len, 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(Nat64Error::Length);
        }
        if addr.octets()[8] != 0 {
            return Err(Nat64Error::UOctet);
        }
        let nowhere = addr.is_unspecified() || addr.is_multicast();
        if nowhere || addr.is_unicast_link_local() {
            return Err(Nat64Error::Unroutable);
        }
        Ok(Nat64 { addr, len: prefix.len })
    }

    /// The prefix.
    pub fn prefix(&self) -> Prefix {
        Prefix { addr: self.addr.into(), len: self.len }
    }

    /// Whether it is the well-known prefix.
    pub fn is_well_known(&self) -> bool {
        *self == Nat64::WELL_KNOWN
    }

    /// Where in an address the four octets lie: behind the prefix, the `u` octet left out.
    fn places(&self) -> [usize; 4] {
        let first = usize::from(self.len / 8);
        [0, 1, 2, 3].map(|i| if first <= 8 && first + i >= 8 { first + i + 1 } else { first + i })
    }

    /// The IPv6 address that stands for an IPv4 one.
    pub fn embed(&self, addr: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.addr.octets();
        for (at, octet) in self.places().into_iter().zip(addr.octets()) {
            octets[at] = octet;
        }
        octets.into()
    }

    /// The IPv4 address inside one under this prefix; `u` octet and suffix are not looked at, as
    /// RFC 6052, 2.2, has it.
    pub fn extract(&self, addr: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = addr.octets();
        let inside = self.prefix().contains(addr.into());
        inside.then(|| self.places().map(|at| octets[at]).into())
    }

    /// Whether an address may be translated: the well-known prefix stands for global ones only (RFC
    /// 6052, 3.1). Behind any other the site decides what its NAT64 reaches.
    pub fn translates(&self, addr: Ipv4Addr) -> bool {
        !self.is_well_known() || !NOT_GLOBAL.iter().any(|range| range.contains(addr.into()))
    }
}

impl FromStr for Nat64 {
    type Err = Nat64Error;

    fn from_str(text: &str) -> Result<Nat64, Nat64Error> {
        Nat64::new(text.parse()?)
    }
}

impl fmt::Display for Nat64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nat64(text: &str) -> Nat64 {
        text.parse().unwrap()
    }

    /// The table of RFC 6052, 2.4.
    #[test]
    fn rfc_6052_2_4_embedding_by_length() {
        let v4: Ipv4Addr = "192.0.2.33".parse().unwrap();
        for (prefix, v6) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
        ] {
            let v6: Ipv6Addr = v6.parse().unwrap();
            assert_eq!(nat64(prefix).embed(v4), v6, "{prefix}");
            assert_eq!(nat64(prefix).extract(v6), Some(v4), "{prefix}");
            assert_eq!(nat64(prefix).to_string(), prefix);
        }
    }

    #[test]
    fn every_address_comes_back_and_leaves_the_u_octet_alone() {
        for len in [32, 40, 48, 56, 64, 96] {
            let prefix = nat64(&format!("2001:db8::/{len}"));
            for v4 in [0, u32::MAX, 0x0102_0304, 0xff00_ff00].map(Ipv4Addr::from_bits) {
                let v6 = prefix.embed(v4);
                assert_eq!(v6.octets()[8], 0, "{v6}");
                assert_eq!(prefix.extract(v6), Some(v4));
            }
        }
        assert_eq!(nat64("64:ff9b::/96").extract("64:ff9b:1::1".parse().unwrap()), None);
        // RFC 6052, 2.2: the suffix is not looked at.
        let odd = "2001:db8:c000:221:ff::1".parse().unwrap();
        assert_eq!(nat64("2001:db8::/32").extract(odd), Some("192.0.2.33".parse().unwrap()));
    }

    #[test]
    fn texts_that_are_no_nat64_prefixes() {
        for (text, error) in [
            ("10.0.0.0/8", Nat64Error::Family),
            ("64:ff9b::/95", Nat64Error::Length),
            ("64:ff9b::/128", Nat64Error::Length),
            ("::/0", Nat64Error::Length),
            ("2001:db8::/72", Nat64Error::Length),
            ("2001:db8:0:0:100::/96", Nat64Error::UOctet),
            ("::/96", Nat64Error::Unroutable),
            ("fe80::/64", Nat64Error::Unroutable),
            ("ff0e::/96", Nat64Error::Unroutable),
            ("::ffff:0:0/96", Nat64Error::Prefix(PrefixError::Mapped)),
            ("x/96", Nat64Error::Prefix(PrefixError::Address)),
            (
                "64:ff9b::",
                Nat64Error::Prefix(PrefixError::NoLength("64:ff9b::/128".parse().unwrap())),
            ),
            (
                "64:ff9b::1/96",
                Nat64Error::Prefix(PrefixError::HostBits("64:ff9b::/96".parse().unwrap())),
            ),
        ] {
            assert_eq!(text.parse::<Nat64>(), Err(error), "{text}");
        }
    }

    #[test]
    fn rfc_6052_3_1_the_well_known_prefix_is_for_global_addresses() {
        for (addr, global) in [
            ("8.8.8.8", true),
            ("9.255.255.255", true),
            ("10.0.0.1", false),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("172.15.255.255", true),
            ("172.31.255.255", false),
            ("192.0.0.170", false),
            ("192.0.2.33", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("198.51.100.1", false),
            ("203.0.113.9", false),
            ("223.255.255.255", true),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("0.0.0.0", false),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(Nat64::WELL_KNOWN.translates(addr), global, "{addr}");
            // RFC 8215: the prefix for local use has no such rule, nor have those of a site.
            assert!(nat64("64:ff9b:1::/96").translates(addr));
            assert!(nat64("2001:db8::/96").translates(addr));
        }
    }
}
