//! Rebinding protection (horizon rule 6): a name of the internet that leads to an address of the inside
//! lets a page from there talk to what stands behind the firewall, under its own origin.
//!
//! Off by default: some publish such addresses on purpose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use super::names::is_name;
use super::survey::{DROPPED, Survey, covered, sane_ttl};
use crate::answer::Question;
use crate::wire::name::{Name, end_of, is_within};
use crate::wire::records::{NameBuf, Record};
use crate::wire::{read_u16, rtype};

/// Which questions of a route may be answered with private addresses although the route is protected.
#[derive(Debug, Clone, Default)]
pub struct Rebinding {
    /// Names at and below which it is allowed. It is the name that was asked for that counts: an alias of
    /// a stranger's to one of these is the very thing.
    pub allow: Box<[Name]>,
}

/// What was removed.
pub(super) struct Removed {
    /// The least TTL among it.
    pub(super) least_ttl: u32,
    /// Whether any of it was what was asked for.
    pub(super) asked_for: bool,
}

impl Survey {
    /// Takes the records with private addresses, and their signatures, from all sections of an answer
    /// to `question`; `None` if there was none or they are allowed.
    pub(super) fn remove_private(
        &mut self,
        message: &[u8],
        question: &Question<'_>,
        protection: &Rebinding,
    ) -> Option<Removed> {
        if !self.kept().any(|record| is_private_record(message, record)) {
            return None;
        }
        if protection.allow.iter().any(|suffix| is_within(question.name, suffix.as_wire())) {
            return None;
        }
        let mut removed = Removed { least_ttl: u32::MAX, asked_for: false };
        // Whose signatures go: owner and type, each once.
        let mut touched: SmallVec<[(NameBuf, u16); 1]> = SmallVec::new();
        for entry in self.entries.iter_mut().filter(|e| e.rank != DROPPED) {
            let record = &entry.record;
            if !is_private_record(message, record) {
                continue;
            }
            removed.least_ttl = removed.least_ttl.min(sane_ttl(record.ttl));
            removed.asked_for |= record.section == 0 && record.rtype == question.qtype;
            entry.rank = DROPPED;
            let known = |(owner, rtype): &(NameBuf, u16)| {
                *rtype == record.rtype && is_name(message, record.start, owner.as_wire())
            };
            if !touched.iter().any(known)
                && let Some(owner) = NameBuf::expand(message, record.start)
            {
                touched.push((owner, record.rtype));
            }
        }
        for entry in self.entries.iter_mut().filter(|e| e.rank != DROPPED) {
            let covered = covered(message, &entry.record);
            let goes = touched.iter().any(|(owner, rtype)| {
                Some(*rtype) == covered && is_name(message, entry.record.start, owner.as_wire())
            });
            if goes {
                entry.rank = DROPPED;
            }
        }
        Some(removed)
    }
}

/// Whether a record carries a private address. What cannot be read of a service binding is not passed
/// on either.
fn is_private_record(message: &[u8], record: &Record) -> bool {
    let data = message.get(record.rdata.clone()).unwrap_or(&[]);
    match record.rtype {
        rtype::A | rtype::AAAA => address(data).is_none_or(is_private),
        rtype::SVCB | rtype::HTTPS => hints(data).is_none_or(|private| private),
        _ => false,
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(data).ok().map(IpAddr::from))
}

/// Whether the address hints of a service binding hold a private address (RFC 9460, 2.2 and 7.3); `None`
/// if it does not parse.
fn hints(data: &[u8]) -> Option<bool> {
    const IPV4HINT: u16 = 4;
    const IPV6HINT: u16 = 6;
    let target = data.get(2..)?;
    let mut rest = target.get(end_of(target)?..)?;
    let mut private = false;
    while !rest.is_empty() {
        let (key, len) = (read_u16(rest, 0)?, usize::from(read_u16(rest, 2)?));
        let value = rest.get(4..4 + len)?;
        let size = match key {
            IPV4HINT => 4,
            IPV6HINT => 16,
            _ => 0,
        };
        if size > 0 {
            private |= value.chunks(size).any(|part| address(part).is_none_or(is_private));
        }
        rest = &rest[4 + len..];
    }
    Some(private)
}

/// Whether an address belongs to this host or to a network of the inside (RFC 6890), also where it is
/// wrapped into one of IPv6.
fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(addr: Ipv4Addr) -> bool {
    let [a, b, ..] = addr.octets();
    match a {
        // "This network", RFC 1918, loopback.
        0 | 10 | 127 => true,
        // Shared between a provider and its customers (RFC 6598); tailnets live there.
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        192 => b == 168,
        255 => addr.is_broadcast(),
        _ => false,
    }
}

fn is_private_v6(addr: Ipv6Addr) -> bool {
    let segments = addr.segments();
    let inner = Ipv4Addr::from_bits(addr.to_bits() as u32);
    match segments {
        // Unspecified, loopback, and the deprecated form of an IPv4 address (RFC 4291, 2.5.5.1).
        [0, 0, 0, 0, 0, 0, ..] => is_private_v4(inner),
        // Mapped (RFC 4291, 2.5.5.2), and translated (RFC 6052; RFC 2765).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => is_private_v4(inner),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_private_v4(inner),
        // For translators of the inside alone (RFC 8215).
        [0x64, 0xff9b, 1, ..] => true,
        // Unique local (RFC 4193), link-local, and site-local (RFC 3879).
        [first, ..] => first & 0xfe00 == 0xfc00 || matches!(first & 0xffc0, 0xfe80 | 0xfec0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn private_addresses() {
        for (text, private) in [
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("127.8.8.8", true),
            ("169.254.169.254", true),
            ("169.253.0.1", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.1.1", true),
            ("192.167.1.1", false),
            ("192.0.0.170", false),
            ("192.0.2.1", false),
            ("255.255.255.255", true),
            ("::", true),
            ("::1", true),
            ("::10.0.0.1", true),
            ("::8.8.8.8", false),
            ("::ffff:127.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("::ffff:0:192.168.0.1", true),
            ("64:ff9b::10.1.2.3", true),
            ("64:ff9b::192.0.0.170", false),
            ("64:ff9b:1::8.8.8.8", true),
            ("fc00::1", true),
            ("fd7a:115c:a1e0::1", true),
            ("fe00::1", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", true),
            ("ff02::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(text.parse().unwrap()), private, "{text}");
        }
    }

    #[test]
    fn hints_of_service_bindings() {
        for (data, private) in [
            (&b"\0\x01\0"[..], Some(false)),
            (b"\0\x01\x01a\0\0\x01\0\x03\x02h2\0\x04\0\x04\x08\x08\x08\x08", Some(false)),
            (b"\0\x01\0\0\x04\0\x08\x08\x08\x08\x08\x0a\0\0\x01", Some(true)),
            (b"\0\x01\0\0\x06\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", Some(true)),
            (b"\0\x01\0\0\x06\0\x10\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", Some(false)),
            // Half an address, and what does not parse.
            (b"\0\x01\0\0\x04\0\x05\x08\x08\x08\x08\x08", Some(true)),
            (b"\0\x01\0\0\x04\0\x08\x08\x08\x08\x08", None),
            (b"\0\x01\xc0\x0c", None),
            (b"\0", None),
        ] {
            assert_eq!(hints(data), private, "{data:02x?}");
        }
    }
}
