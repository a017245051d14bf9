//! resolv.conf(5): where the host itself would ask, as upstreams of a route.
//!
//! [`parse`] reads the bytes, as tolerant as glibc; [`usable()`] refuses what would lead back to us or
//! nowhere; [`watch_file`] follows the file. Only the watcher touches the file
//! system, and nothing here sends a query or lies on the road of one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub mod usable;
pub mod watch;

pub use usable::{Refusal, RefusalReason, Usable, Warning, WarningReason, usable};
pub use watch::{ReadError, read, watch_file};

/// The most bytes of a file that are looked at.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most name servers of a file (glibc itself takes 3).
pub const MAX_NAMESERVERS: usize = 16;
/// The most names of a search list.
pub const MAX_SEARCH: usize = 32;
/// The most skipped lines that are remembered.
pub const MAX_SKIPPED: usize = 16;
/// The longest name in presentation form, final dot included (RFC 1035, 2.3.4).
const MAX_NAME: usize = 254;
/// The greatest ndots; glibc cuts larger ones down to it.
const MAX_NDOTS: u8 = 15;

/// What a resolv.conf file says, as far as it concerns a forwarder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvConf {
    /// In the order of the file; at most [`MAX_NAMESERVERS`]. IPv4 mapped into IPv6 is unmapped.
    pub nameservers: Vec<Nameserver>,
    /// The last `search` or `domain` line; at most [`MAX_SEARCH`] names.
    pub search: Vec<String>,
    /// `options ndots:N`, 0..=15; 1 where the file does not say.
    pub ndots: Option<u8>,
    /// Lines that were meant to say something and did not; at most [`MAX_SKIPPED`].
    pub skipped: Vec<Skipped>,
}

/// A `nameserver` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nameserver {
    /// The server's address.
    pub ip: IpAddr,
    /// The port of the form `[ADDR]:PORT`, which the BSDs know; 53 where there is none.
    pub port: Option<u16>,
}

impl Nameserver {
    /// The address with its port.
    pub fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(53))
    }
}

/// A line that was passed over.
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

/// Why a line was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// `nameserver` without an address that can be read.
    BadAddress,
    /// A link-local IPv6 address, with a zone or without: interfaces' names and numbers do not mean
    /// the same in every network namespace, and without one the address leads nowhere.
    LinkLocal,
    /// More name servers than [`MAX_NAMESERVERS`].
    TooManyNameservers,
    /// More names to search than [`MAX_SEARCH`], or one that is longer than a name can be.
    BadSearch,
    /// Bytes that are not UTF-8.
    NotText,
    /// The file goes on beyond [`MAX_BYTES`]; this line and all after it were not read.
    TooLong,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress => f.write_str("nameserver without a readable address"),
            Self::LinkLocal => f.write_str("link-local IPv6 name servers are not supported"),
            Self::TooManyNameservers => write!(f, "more than {MAX_NAMESERVERS} name servers"),
            Self::BadSearch => write!(f, "more than {MAX_SEARCH} search names, or too long a one"),
            Self::NotText => f.write_str("not text"),
            Self::TooLong => write!(f, "the file is longer than {MAX_BYTES} bytes"),
        }
    }
}

/// Reads a file's bytes. Never fails: like glibc it passes over what it does not understand, here
/// with a reason where the line was meant to name something.
///
/// Comments begin with `#` or `;` in the first column; keywords stand in the first column, and what
/// follows an address is ignored.
pub fn parse(bytes: &[u8]) -> ResolvConf {
    let mut conf = ResolvConf::default();
    let (text, cut) = bounded(bytes);
    let mut number = 0;
    for raw in text.split(|b| *b == b'\n') {
        number += 1;
        match std::str::from_utf8(raw) {
            Ok(line) => conf.line(number, line),
            Err(_) => conf.skip(number, SkipReason::NotText),
        }
    }
    if cut {
        conf.skip(number, SkipReason::TooLong);
    }
    conf
}

/// The whole lines within [`MAX_BYTES`], and whether that is less than all: half an address could
/// be another address.
fn bounded(bytes: &[u8]) -> (&[u8], bool) {
    if bytes.len() <= MAX_BYTES {
        return (bytes, false);
    }
    let head = &bytes[..MAX_BYTES];
    let end = head.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    (&head[..end], true)
}

impl ResolvConf {
    fn skip(&mut self, line: usize, reason: SkipReason) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(Skipped { line, reason });
        }
    }

    fn line(&mut self, number: usize, line: &str) {
        let Some((keyword, rest)) = line.split_once([' ', '\t']) else {
            if line.trim_end() == "nameserver" {
                self.skip(number, SkipReason::BadAddress);
            }
            return;
        };
        let mut words = rest.split_ascii_whitespace();
        match keyword {
            "nameserver" => match nameserver(words.next().unwrap_or_default()) {
                Err(reason) => self.skip(number, reason),
                Ok(_) if self.nameservers.len() == MAX_NAMESERVERS => {
                    self.skip(number, SkipReason::TooManyNameservers);
                }
                Ok(server) => self.nameservers.push(server),
            },
            "domain" => self.set_search(number, words.take(1)),
            "search" => self.set_search(number, words),
            "options" => {
                let ndots = words.filter_map(|word| word.strip_prefix("ndots:"));
                if let Some(n) = ndots.filter_map(|n| n.parse::<u32>().ok()).next_back() {
                    self.ndots = Some(u8::try_from(n).unwrap_or(MAX_NDOTS).min(MAX_NDOTS));
                }
            }
            _ => {}
        }
    }

    fn set_search<'a>(&mut self, number: usize, names: impl Iterator<Item = &'a str>) {
        self.search.clear();
        for name in names {
            if self.search.len() == MAX_SEARCH || name.len() > MAX_NAME {
                self.skip(number, SkipReason::BadSearch);
                return;
            }
            self.search.push(name.to_owned());
        }
    }
}

/// Reads `ADDR`, `ADDR%ZONE` or `[ADDR]:PORT`.
fn nameserver(word: &str) -> Result<Nameserver, SkipReason> {
    let (address, port) = match word.strip_prefix('[') {
        None => (word, None),
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(SkipReason::BadAddress)?;
            let port = match after.strip_prefix(':') {
                Some(digits) => Some(digits.parse().map_err(|_| SkipReason::BadAddress)?),
                None if after.is_empty() => None,
                None => return Err(SkipReason::BadAddress),
            };
            (address, port)
        }
    };
    let (address, zone) = match address.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (address, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| SkipReason::BadAddress)?;
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(SkipReason::LinkLocal),
        // A zone means nothing for any other address.
        _ if zone.is_some() => Err(SkipReason::BadAddress),
        _ => Ok(Nameserver { ip: ip.to_canonical(), port }),
    }
}

#[cfg(test)]
mod tests;
