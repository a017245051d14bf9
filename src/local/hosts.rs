//! hosts(5): names and their addresses as a file of the host has them, and back.
//!
//! [`parse`] reads the bytes, [`Hosts`] answers from them. A name of the file belongs here with all
//! its types; what the file does not name is somebody else's. The file itself is read and followed by
//! [`crate::app`]; nothing here opens one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{POINTER_TO_QUESTION, minimal_any, negative, reverse};
use crate::answer::{Answer, Question, Section, Writer};
use crate::config::Prefix;
use crate::config::local::is_fixed;
use crate::wire::header::{Rcode, flag};
use crate::wire::name::Name;
use crate::wire::{CLASS_IN, rtype};

/// The largest file, in bytes; a larger one is not used at all, since half a list misleads.
pub const MAX_BYTES: usize = 4 << 20;
/// The most pairs of a name and an address of a file; one with more is not used.
pub const MAX_PAIRS: usize = 100_000;
/// The most addresses of one name, in each family; the rest are passed over.
pub const MAX_ADDRESSES: usize = 256;
/// The most passed over lines that are told one by one.
pub const MAX_SKIPPED: usize = 16;

/// Why a file is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// More than [`MAX_BYTES`].
    #[error("it is larger than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    /// More than [`MAX_PAIRS`].
    #[error("it has more than {MAX_PAIRS} pairs of a name and an address")]
    TooMany,
    /// It has lines, and not one that says anything.
    #[error("no line of it can be understood ({0})")]
    Garbage(Skipped),
}

/// A line that was passed over, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// 1 for the first line.
    pub line: usize,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why a line, or a name of it, was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// The first word is no address.
    #[error("it does not begin with an address")]
    NoAddress,
    /// The first word is no address, but the second is.
    #[error("the address stands behind the name: it has to stand in front")]
    Swapped,
    /// An address alone.
    #[error("no name stands behind the address")]
    NoName,
    /// `fe80::1%eth0`: interfaces do not have the same names everywhere.
    #[error("addresses with a zone are not supported")]
    Zone,
    /// A word that is no name which DNS can carry, or a wildcard.
    #[error("a word behind the address is no host name")]
    BadName,
    /// A name that is answered by rule.
    #[error("names under localhost, invalid and onion are not for a file to give")]
    Fixed,
    /// More than [`MAX_ADDRESSES`] of one name.
    #[error("the name has more than {MAX_ADDRESSES} addresses of this family")]
    TooManyAddresses,
    /// Bytes that are not UTF-8.
    #[error("it is not text")]
    NotText,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Its names.
    pub hosts: Hosts,
    /// The first [`MAX_SKIPPED`] of what was passed over.
    pub skipped: Vec<Skipped>,
    /// How many there were in all.
    pub all_skipped: usize,
}

/// Names with their addresses, and addresses with their names.
#[derive(Debug, Default)]
pub struct Hosts {
    names: HashMap<Name, Addresses, foldhash::fast::RandomState>,
    /// The first name of the first line of each address.
    reverse: HashMap<IpAddr, Name, foldhash::fast::RandomState>,
    pairs: usize,
}

/// Addresses in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses {
    v4: SmallVec<[Ipv4Addr; 2]>,
    v6: SmallVec<[Ipv6Addr; 1]>,
}

/// Reads a file's bytes. Comments begin with `#` anywhere in a line; what cannot be understood is
/// passed over with a reason.
///
/// # Errors
/// Says why the file as a whole is not to be used. An empty one, or one of comments alone, is fine.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HostsError> {
    if bytes.len() > MAX_BYTES {
        return Err(HostsError::TooLong);
    }
    let mut parsed = Parsed::default();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for (index, raw) in bytes.split(|b| *b == b'\n').enumerate() {
        parsed.line(index + 1, raw);
        if parsed.hosts.pairs > MAX_PAIRS {
            return Err(HostsError::TooMany);
        }
    }
    match parsed.skipped.first() {
        Some(first) if parsed.hosts.reverse.is_empty() => Err(HostsError::Garbage(*first)),
        _ => Ok(parsed),
    }
}

impl Parsed {
    fn skip(&mut self, line: usize, reason: SkipReason) {
        self.all_skipped += 1;
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(Skipped { line, reason });
        }
    }

    fn line(&mut self, number: usize, raw: &[u8]) {
        let raw = raw.split(|b| *b == b'#').next().unwrap_or_default();
        let Ok(text) = std::str::from_utf8(raw) else {
            return self.skip(number, SkipReason::NotText);
        };
        let mut words = text.split_ascii_whitespace();
        let Some(first) = words.next() else { return };
        let address = match first.parse::<IpAddr>() {
            Ok(address) => address.to_canonical(),
            Err(_) => {
                let reason = match first.split_once('%') {
                    Some((front, _)) if front.parse::<Ipv6Addr>().is_ok() => SkipReason::Zone,
                    _ if words.next().is_some_and(|w| w.parse::<IpAddr>().is_ok()) => {
                        SkipReason::Swapped
                    }
                    _ => SkipReason::NoAddress,
                };
                return self.skip(number, reason);
            }
        };
        let mut any = false;
        for word in words {
            any = true;
            if let Err(reason) = self.hosts.add(address, word) {
                self.skip(number, reason);
            }
        }
        if !any {
            self.skip(number, SkipReason::NoName);
        }
    }
}

impl Hosts {
    fn add(&mut self, address: IpAddr, word: &str) -> Result<(), SkipReason> {
        let name: Name = word.parse().map_err(|_| SkipReason::BadName)?;
        let printable = word.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || name.is_root() || name.as_wire().starts_with(b"\x01*") {
            return Err(SkipReason::BadName);
        }
        self.pairs += 1;
        if is_fixed(name.as_wire()) {
            // What `localhost` is is not the file's to say, but loopback addresses lead back to it.
            if name.as_wire() != b"\x09localhost\0" || !address.is_loopback() {
                return Err(SkipReason::Fixed);
            }
        } else {
            let known = self.names.entry(name.clone()).or_default();
            let added = match address {
                IpAddr::V4(v4) => push(&mut known.v4, v4),
                IpAddr::V6(v6) => push(&mut known.v6, v6),
            };
            if !added {
                return Err(SkipReason::TooManyAddresses);
            }
        }
        self.reverse.entry(address).or_insert(name);
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reverse.is_empty()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The answer to a question, with this TTL in seconds; `None` if the file does not say anything
    /// of its name.
    pub fn answer(&self, question: Question<'_>, ttl: u32) -> Option<Answer> {
        if let Some(known) = self.names.get(question.name) {
            return Some(match question.qtype {
                rtype::A if !known.v4.is_empty() => {
                    records(question, ttl, known.v4.iter().map(Ipv4Addr::octets))
                }
                rtype::AAAA if !known.v6.is_empty() => {
                    records(question, ttl, known.v6.iter().map(Ipv6Addr::octets))
                }
                rtype::ANY => minimal_any(question),
                _ => negative(question, Rcode::NOERROR, question.name),
            });
        }
        let name = self.reverse.get(&reverse::address(question.name)?)?;
        Some(match question.qtype {
            rtype::PTR => records(question, ttl, std::iter::once(name.as_wire())),
            rtype::ANY => minimal_any(question),
            _ => negative(question, Rcode::NOERROR, question.name),
        })
    }

    /// Whether the file says anything of a name.
    pub fn owns(&self, name: &[u8]) -> bool {
        self.names.contains_key(name)
            || reverse::address(name).is_some_and(|address| self.reverse.contains_key(&address))
    }

    /// The names of which `self` and `new` do not say the same, reverse names among them; in no
    /// order, each once.
    pub fn changed(&self, new: &Hosts) -> Vec<Name> {
        let names = differing(&self.names, &new.names).cloned();
        let addresses = differing(&self.reverse, &new.reverse).filter_map(|address| {
            Prefix::of(*address, if address.is_ipv4() { 32 } else { 128 })?.reverse_zone()
        });
        names.chain(addresses).collect()
    }
}

/// False if there are as many as there may be.
fn push<A: smallvec::Array>(known: &mut SmallVec<A>, address: A::Item) -> bool
where
    A::Item: PartialEq,
{
    if known.contains(&address) {
        return true;
    }
    let room = known.len() < MAX_ADDRESSES;
    if room {
        known.push(address);
    }
    room
}

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The keys whose values are not the same in both, or that one of them lacks.
fn differing<'m, K: Eq + std::hash::Hash, V: PartialEq>(
    old: &'m Map<K, V>,
    new: &'m Map<K, V>,
) -> impl Iterator<Item = &'m K> {
    let gone = old.iter().filter(|(key, value)| new.get(*key) != Some(*value));
    let come = new.keys().filter(|key| !old.contains_key(*key));
    gone.map(|(key, _)| key).chain(come)
}

fn records<R: AsRef<[u8]>>(
    question: Question<'_>,
    ttl: u32,
    rdata: impl Iterator<Item = R>,
) -> Answer {
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    let fixed = (question.qtype, CLASS_IN, ttl);
    for rdata in rdata {
        writer.record(Section::Answer, POINTER_TO_QUESTION, fixed, &[rdata.as_ref()]);
    }
    writer.finish()
}

#[cfg(test)]
mod tests;
