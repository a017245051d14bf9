//! Finds the route that owns a name: the longest suffix at label boundaries, or the longest address
//! prefix behind a reverse name, of any length.
//!
//! Names come folded. The table says which route; it does not know upstreams, and it never falls
//! back from one route to another: a name has one owner or none.

use hashbrown::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{Config, Prefix, Route};
use crate::wire::name::{Labels, Name, Presentation};

/// The owner of a name, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index of the route in the configuration.
    pub route: u16,
    /// What matched.
    pub rule: Rule,
}

/// The rule that gave a name its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A suffix of so many labels; 0 is the root.
    Suffix(u8),
    /// A reverse prefix.
    Reverse(Prefix),
}

impl Match {
    /// Whether only the root matched.
    pub fn is_root(&self) -> bool {
        self.rule == Rule::Suffix(0)
    }

    /// Whether the name is the suffix itself.
    pub fn is_apex(&self, name: &[u8]) -> bool {
        matches!(self.rule, Rule::Suffix(labels) if usize::from(labels) == Labels(name).count())
    }

    /// The rule as people read it.
    pub fn describe(&self, name: &[u8]) -> String {
        match self.rule {
            Rule::Suffix(labels) => {
                let skip = Labels(name).count().saturating_sub(usize::from(labels));
                let at: usize = Labels(name).take(skip).map(|l| l.len() + 1).sum();
                format!("suffix {}", Presentation(name.get(at..).unwrap_or(&[])))
            }
            Rule::Reverse(prefix) => format!("reverse {}/{}", prefix.addr, prefix.len),
        }
    }
}

/// Prefixes of one address family, looked up from the longest to the shortest.
#[derive(Default)]
struct Prefixes {
    lengths: Vec<u8>,
    owners: HashMap<(u8, u128), u16, foldhash::fast::RandomState>,
}

impl Prefixes {
    fn insert(&mut self, len: u8, bits: u128, route: u16) {
        if let Err(at) = self.lengths.binary_search_by(|l| len.cmp(l)) {
            self.lengths.insert(at, len);
        }
        self.owners.insert((len, bits), route);
    }

    /// The longest prefix of at most `known` bits; `bits` are left-aligned.
    fn find(&self, known: u8, bits: u128) -> Option<(u8, u16)> {
        self.lengths
            .iter()
            .filter(|&&len| len <= known)
            .find_map(|&len| self.owners.get(&(len, mask(bits, len))).map(|&route| (len, route)))
    }
}

fn mask(bits: u128, len: u8) -> u128 {
    if len == 0 { 0 } else { bits & (u128::MAX << (128 - u32::from(len))) }
}

/// Which route owns which name; built whole, replaced whole, read by all.
pub struct RouteTable {
    suffixes: HashMap<Box<[u8]>, u16, foldhash::fast::RandomState>,
    /// Bit n: there is a suffix of n labels.
    label_counts: u128,
    v4: Prefixes,
    v6: Prefixes,
}

impl RouteTable {
    /// From validated routes: at most `u16::MAX`, no suffix in two of them.
    pub fn new(config: &Config) -> RouteTable {
        RouteTable::of(&config.routes)
    }

    /// The same, from the routes alone.
    pub fn of(routes: &[Route]) -> RouteTable {
        let mut table = RouteTable {
            suffixes: HashMap::default(),
            label_counts: 0,
            v4: Prefixes::default(),
            v6: Prefixes::default(),
        };
        for (index, route) in routes.iter().enumerate() {
            let index = index as u16;
            route.suffixes.iter().for_each(|suffix| table.add_suffix(suffix, index));
            route.reverse.iter().for_each(|prefix| table.add_prefix(*prefix, index));
        }
        table
    }

    /// Gives a route a suffix beside those of the configuration. One that is somebody's stays so.
    pub fn learn(&mut self, suffix: &Name, route: u16) {
        if !self.suffixes.contains_key(suffix.as_wire()) {
            self.add_suffix(suffix, route);
        }
    }

    fn add_suffix(&mut self, suffix: &Name, route: u16) {
        self.suffixes.insert(suffix.as_wire().into(), route);
        self.label_counts |= 1 << suffix.labels();
    }

    fn add_prefix(&mut self, prefix: Prefix, route: u16) {
        match prefix.addr {
            IpAddr::V4(addr) => self.v4.insert(prefix.len, left_v4(addr.to_bits()), route),
            IpAddr::V6(addr) => self.v6.insert(prefix.len, addr.to_bits(), route),
        }
    }

    /// The owner of a folded name; `None` if no route wants it.
    pub fn find(&self, name: &[u8]) -> Option<Match> {
        let by_suffix = self.find_suffix(name);
        match (by_suffix, self.find_reverse(name)) {
            // A suffix written out under the reverse tree wins where it says more than the prefix.
            (Some(suffix), Some((bits, reverse))) => {
                let Rule::Suffix(labels) = suffix.rule else { return Some(suffix) };
                let per_label = if is_v4(&reverse) { 8 } else { 4 };
                let written = u16::from(labels).saturating_sub(2) * per_label;
                Some(if written > u16::from(bits) { suffix } else { reverse })
            }
            (suffix, reverse) => reverse.map(|(_, found)| found).or(suffix),
        }
    }

    fn find_suffix(&self, name: &[u8]) -> Option<Match> {
        let mut left = Labels(name).count();
        let mut rest = name;
        loop {
            if left < 128
                && self.label_counts >> left & 1 == 1
                && let Some(&route) = self.suffixes.get(rest)
            {
                return Some(Match { route, rule: Rule::Suffix(left as u8) });
            }
            if left == 0 {
                return None;
            }
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
            left -= 1;
        }
    }

    fn find_reverse(&self, name: &[u8]) -> Option<(u8, Match)> {
        if self.v4.lengths.is_empty() && self.v6.lengths.is_empty() {
            return None;
        }
        let reverse = Reverse::parse(name)?;
        let table = if reverse.v4 { &self.v4 } else { &self.v6 };
        let (len, route) = table.find(reverse.known, reverse.bits)?;
        let bits = mask(reverse.bits, len);
        let addr = if reverse.v4 {
            Ipv4Addr::from_bits((bits >> 96) as u32).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        };
        Some((len, Match { route, rule: Rule::Reverse(Prefix { addr, len }) }))
    }
}

fn left_v4(bits: u32) -> u128 {
    u128::from(bits) << 96
}

fn is_v4(found: &Match) -> bool {
    matches!(found.rule, Rule::Reverse(Prefix { addr: IpAddr::V4(_), .. }))
}

/// The address bits that a reverse name spells out (RFC 1035, 3.5; RFC 3596, 2.5).
pub(crate) struct Reverse {
    /// Under `in-addr.arpa`, not `ip6.arpa`.
    pub(crate) v4: bool,
    /// How many bits it spells out.
    pub(crate) known: u8,
    /// Left-aligned.
    pub(crate) bits: u128,
}

impl Reverse {
    /// Reads from the right as many octets or nibbles as there are; labels in front of them (RFC
    /// 2317, DNS-SD) lie below the address and are left out. `None` for names elsewhere.
    pub(crate) fn parse(name: &[u8]) -> Option<Reverse> {
        let v4 = name.ends_with(b"\x07in-addr\x04arpa\0");
        if !v4 && !name.ends_with(b"\x03ip6\x04arpa\0") {
            return None;
        }
        let mut labels: [&[u8]; 128] = [&[]; 128];
        let mut count = 0;
        for label in Labels(name) {
            *labels.get_mut(count)? = label;
            count += 1;
        }
        if count < 2 || labels[count - 1] != b"arpa" {
            return None;
        }
        let (most, width) = if v4 { (4, 8) } else { (32, 4) };
        let (mut bits, mut known) = (0u128, 0u8);
        for label in labels[..count - 2].iter().rev().take(most) {
            let part = if v4 { octet(label) } else { nibble(label) };
            let Some(part) = part else { break };
            known += width;
            bits |= u128::from(part) << (128 - known);
        }
        let family_label: &[u8] = if v4 { b"in-addr" } else { b"ip6" };
        (labels[count - 2] == family_label).then_some(Reverse { v4, known, bits })
    }
}

fn octet(label: &[u8]) -> Option<u8> {
    let plain = matches!(label, [b'0'] | [b'1'..=b'9', ..]) && label.len() <= 3;
    plain.then(|| std::str::from_utf8(label).ok()?.parse().ok()).flatten()
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [letter @ b'a'..=b'f'] => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
