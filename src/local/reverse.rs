//! Reverse names: the address that one spells out, and the zones of private addresses, which are
//! answered here as empty ones where the configuration says so (RFC 6303).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{POINTER_TO_QUESTION, negative, start_of_authority};
use crate::answer::{Answer, Question, Section, Writer};
use crate::route::Reverse;
use crate::wire::header::{Rcode, flag};
use crate::wire::name::Labels;
use crate::wire::{CLASS_IN, rtype};

/// The address that a folded name spells out in full, with nothing in front.
pub(super) fn address(name: &[u8]) -> Option<IpAddr> {
    let (reverse, labels) = parse(name)?;
    let whole = if reverse.v4 { (32, 6) } else { (128, 34) };
    ((reverse.known, labels) == whole).then(|| match reverse.v4 {
        true => Ipv4Addr::from_bits((reverse.bits >> 96) as u32).into(),
        false => Ipv6Addr::from_bits(reverse.bits).into(),
    })
}

/// What a reverse name spells out, and how many labels it has.
fn parse(name: &[u8]) -> Option<(Reverse, usize)> {
    if !name.ends_with(b"\x04arpa\0") {
        return None;
    }
    Some((Reverse::parse(name)?, Labels(name).count()))
}

/// Addresses that are used privately: the bits in front, how many there are, and at how many bits
/// the zones begin that hold them.
struct Private(u128, u8, u8);

const fn v4(octets: [u8; 4], len: u8, zone: u8) -> Private {
    Private((u32::from_be_bytes(octets) as u128) << 96, len, zone)
}

const fn v6(first: u128, len: u8, zone: u8) -> Private {
    Private(first << 96, len, zone)
}

/// RFC 6303, 4.1 and 4.2; RFC 7793 for 100.64.0.0/10.
const V4: [Private; 11] = [
    v4([10, 0, 0, 0], 8, 8),
    v4([172, 16, 0, 0], 12, 16),
    v4([192, 168, 0, 0], 16, 16),
    v4([100, 64, 0, 0], 10, 16),
    v4([0, 0, 0, 0], 8, 8),
    v4([127, 0, 0, 0], 8, 8),
    v4([169, 254, 0, 0], 16, 16),
    v4([192, 0, 2, 0], 24, 24),
    v4([198, 51, 100, 0], 24, 24),
    v4([203, 0, 113, 0], 24, 24),
    v4([255, 255, 255, 255], 32, 32),
];

/// RFC 6303, 4.3 to 4.6.
const V6: [Private; 5] = [
    Private(0, 128, 128),
    Private(1, 128, 128),
    v6(0xfd00_0000, 8, 8),
    v6(0xfe80_0000, 10, 12),
    v6(0x2001_0db8, 32, 32),
];

/// The answer of an empty zone to a question about a name in it; `None` for a name in none of them,
/// and for the DS of a zone, which its parent has to say (RFC 4035, 3.1.4.1).
pub(super) fn private(question: Question<'_>) -> Option<Answer> {
    let name = question.name;
    let (reverse, labels) = parse(name)?;
    let (known, width, full) = match reverse.v4 {
        true => (&V4[..], 8, 32),
        false => (&V6[..], 4, 128),
    };
    let Private(_, _, zone) = known.iter().find(|Private(first, len, zone)| {
        reverse.known >= *zone && (reverse.bits ^ first) >> (128 - len) == 0
    })?;
    let below = labels - usize::from(zone / width) - 2;
    let at: usize = Labels(name).take(below).map(|label| label.len() + 1).sum();
    let apex = name.get(at..)?;
    if below == 0 {
        return match question.qtype {
            rtype::DS => None,
            rtype::SOA => Some(start_of_authority(question)),
            rtype::NS => {
                let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
                let fixed = (rtype::NS, CLASS_IN, super::TTL);
                writer.record(Section::Answer, POINTER_TO_QUESTION, fixed, &[apex]);
                Some(writer.finish())
            }
            _ => Some(negative(question, Rcode::NOERROR, apex)),
        };
    }
    // Below a part of an address there may be names that a route, a record or the hosts file has:
    // it must not be said that there are none (RFC 8020).
    let part = reverse.known < full && labels == usize::from(reverse.known / width) + 2;
    let rcode = if part { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    Some(negative(question, rcode, apex))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::name::Name;
    use crate::wire::records::{NameBuf, Records};

    /// Code, and the owner of the record that is there.
    fn ask(name: &str, qtype: u16) -> Option<(Rcode, String)> {
        let name: Name = name.parse().unwrap();
        let answer = private(Question { name: name.as_wire(), qtype, qclass: 1 })?;
        let [_, sections @ ..] = answer.header().counts;
        assert_eq!(sections.iter().sum::<u16>(), 1);
        let mut walk = Records::new(answer.wire(), answer.question_end(), sections);
        let record = walk.next().unwrap().unwrap();
        assert_eq!(walk.position(), answer.wire().len());
        let owner = NameBuf::expand(answer.wire(), record.start).unwrap();
        Some((answer.rcode(), Name::from_wire(owner.as_wire()).unwrap().to_string()))
    }

    #[test]
    fn whole_addresses() {
        for (name, expected) in [
            ("4.3.2.1.in-addr.arpa", Some("1.2.3.4")),
            ("3.2.1.in-addr.arpa", None),
            ("5.4.3.2.1.in-addr.arpa", None),
            ("256.3.2.1.in-addr.arpa", None),
            ("04.3.2.1.in-addr.arpa", None),
            ("4.3.2.1.in-addr.arpa.example", None),
            ("4.3.2.1.ip6.arpa", None),
            ("arpa", None),
            (".", None),
        ] {
            let found = address(name.parse::<Name>().unwrap().as_wire());
            assert_eq!(found.map(|a| a.to_string()).as_deref(), expected, "{name}");
        }
        let loopback = format!("1.{}ip6.arpa", "0.".repeat(31));
        let found = address(loopback.parse::<Name>().unwrap().as_wire());
        assert_eq!(found, Some(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn names_of_private_addresses_do_not_exist() {
        for (name, apex) in [
            ("3.2.1.10.in-addr.arpa", "10.in-addr.arpa."),
            ("x.3.2.1.10.in-addr.arpa", "10.in-addr.arpa."),
            ("lb._dns-sd._udp.1.10.in-addr.arpa", "10.in-addr.arpa."),
            ("1.0.31.172.in-addr.arpa", "31.172.in-addr.arpa."),
            ("1.0.168.192.in-addr.arpa", "168.192.in-addr.arpa."),
            ("1.0.127.100.in-addr.arpa", "127.100.in-addr.arpa."),
            ("1.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa."),
            ("1.0.0.127.in-addr.arpa", "127.in-addr.arpa."),
        ] {
            assert_eq!(ask(name, rtype::PTR), Some((Rcode::NXDOMAIN, apex.into())), "{name}");
        }
        let of = |address: &str| {
            let all = crate::config::Prefix { addr: address.parse().unwrap(), len: 128 };
            all.reverse_zone().unwrap().to_string()
        };
        for (address, apex) in [
            ("fd00::1", "d.f.ip6.arpa."),
            ("fe80::1", "8.e.f.ip6.arpa."),
            ("febf::1", "b.e.f.ip6.arpa."),
            ("2001:db8::1", "8.b.d.0.1.0.0.2.ip6.arpa."),
        ] {
            let expected = Some((Rcode::NXDOMAIN, apex.into()));
            assert_eq!(ask(&of(address), rtype::PTR), expected, "{address}");
        }
        assert_eq!(ask(&of("::1"), rtype::PTR), Some((Rcode::NOERROR, of("::1"))));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            "8.8.8.8.in-addr.arpa",
            "1.0.32.172.in-addr.arpa",
            "1.0.63.100.in-addr.arpa",
            "172.in-addr.arpa",
            "in-addr.arpa",
            "ip6.arpa",
            "f.ip6.arpa",
            "0.c.f.ip6.arpa",
            "10.example",
        ] {
            assert_eq!(ask(name, rtype::PTR), None, "{name}");
        }
    }

    #[test]
    fn the_apex_is_a_zone_and_parts_of_addresses_are_empty() {
        let zone = "10.in-addr.arpa.";
        for (name, qtype) in [
            (zone, rtype::SOA),
            (zone, rtype::NS),
            (zone, rtype::PTR),
            ("1.10.in-addr.arpa", rtype::NS),
            ("2.1.10.in-addr.arpa", rtype::DS),
        ] {
            assert_eq!(ask(name, qtype), Some((Rcode::NOERROR, zone.into())), "{name}");
        }
        assert_eq!(ask(zone, rtype::DS), None);
    }
}
