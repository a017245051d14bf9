//! Upstreams as people write them: `10.0.0.1`, `udp://…`, `tcp://…`, `/etc/resolv.conf`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::address::{self, AddressError};
use super::{Transport, UpstreamAddr, UpstreamSource};

/// Longest path of a resolver file, as the kernel has it (PATH_MAX with its closing zero).
const MAX_PATH: usize = 4095;

/// Why a text is not an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// An address that no server can have.
    #[error("is {0}, which no server can have")]
    NoServer(&'static str),
    /// `fe80::1` without a way to say on which link.
    #[error("is a link-local IPv6 address, which needs a zone")]
    LinkLocal,
    /// A transport that exists, but not here.
    #[error("asks for {0}, but this version speaks udp and tcp only")]
    Encrypted(&'static str),
    /// Something else in front of `://`.
    #[error("has an unknown transport in front of ://")]
    Scheme,
    /// A path that does not begin with a slash.
    #[error("is a relative path")]
    RelativePath,
    /// A path with a zero byte, or of more than 4095 bytes.
    #[error("is a path that no file can have")]
    Path,
}

impl UpstreamError {
    /// What would be right.
    pub fn hint(&self) -> String {
        match self {
            UpstreamError::Address(AddressError::Empty | AddressError::Malformed)
            | UpstreamError::Scheme => {
                "write ADDRESS, ADDRESS:PORT, udp://ADDRESS, tcp://ADDRESS or the absolute path \
                 of a resolv.conf file"
                    .into()
            }
            UpstreamError::Address(error) => error.hint(),
            UpstreamError::NoServer(_) => "write the address of a DNS server".into(),
            UpstreamError::LinkLocal => "use the server's unique local or global address".into(),
            UpstreamError::Encrypted(_) => "write udp://ADDRESS or tcp://ADDRESS".into(),
            UpstreamError::RelativePath | UpstreamError::Path => {
                "write the absolute path, like \"/etc/resolv.conf\"".into()
            }
        }
    }
}

impl FromStr for UpstreamSource {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<UpstreamSource, UpstreamError> {
        if text.starts_with('/') {
            return match text.len() <= MAX_PATH && !text.contains('\0') {
                true => Ok(UpstreamSource::ResolvConf(PathBuf::from(text))),
                false => Err(UpstreamError::Path),
            };
        }
        if !text.contains("://") && text.contains('/') && text.parse::<IpNet>().is_err() {
            return Err(UpstreamError::RelativePath);
        }
        text.parse().map(UpstreamSource::Server)
    }
}

/// Only to tell `10.0.0.0/8`, which is no path, from `etc/resolv.conf`, which is one.
struct IpNet;

impl FromStr for IpNet {
    type Err = ();

    fn from_str(text: &str) -> Result<IpNet, ()> {
        let ip = text.split('/').next().unwrap_or_default();
        ip.parse::<IpAddr>().map(|_| IpNet).map_err(|_| ())
    }
}

impl FromStr for UpstreamAddr {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<UpstreamAddr, UpstreamError> {
        let (transport, rest) = match text.split_once("://") {
            None => (Transport::Udp, text),
            Some(("udp", rest)) => (Transport::Udp, rest),
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some(("tls", _)) => return Err(UpstreamError::Encrypted("TLS")),
            Some(("https", _)) => return Err(UpstreamError::Encrypted("HTTPS")),
            Some(("quic", _)) => return Err(UpstreamError::Encrypted("QUIC")),
            Some(_) => return Err(UpstreamError::Scheme),
        };
        let addr = askable(address::parse(rest, 53)?)?;
        Ok(UpstreamAddr { addr, transport })
    }
}

fn askable(addr: SocketAddr) -> Result<SocketAddr, UpstreamError> {
    match addr.ip() {
        ip if ip.is_unspecified() => Err(UpstreamError::NoServer("the unspecified address")),
        ip if ip.is_multicast() => Err(UpstreamError::NoServer("a multicast address")),
        IpAddr::V4(v4) if v4.is_broadcast() => {
            Err(UpstreamError::NoServer("the broadcast address"))
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(UpstreamError::LinkLocal),
        _ => Ok(addr),
    }
}

/// `10.0.0.1:53`, or `tcp://10.0.0.1:53`.
impl fmt::Display for UpstreamAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Udp => self.addr.fmt(f),
            Transport::Tcp => write!(f, "tcp://{}", self.addr),
        }
    }
}

impl fmt::Display for UpstreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamSource::Server(server) => server.fmt(f),
            UpstreamSource::ResolvConf(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1:53"),
            ("10.0.0.1:5353", "10.0.0.1:5353"),
            ("fd00::1", "[fd00::1]:53"),
            ("[fd00::1]:5353", "[fd00::1]:5353"),
            ("udp://10.0.0.1", "10.0.0.1:53"),
            ("tcp://10.0.0.1", "tcp://10.0.0.1:53"),
            ("tcp://[fd00::1]:5353", "tcp://[fd00::1]:5353"),
            ("/etc/resolv.conf", "/etc/resolv.conf"),
        ] {
            let read = text.parse::<UpstreamSource>();
            assert_eq!(read.map(|source| source.to_string()), Ok(shown.into()), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_upstreams() {
        let long = format!("/{}", "a".repeat(4095));
        for (text, error) in [
            ("", UpstreamError::Address(AddressError::Empty)),
            ("udp://", UpstreamError::Address(AddressError::Empty)),
            ("dns.example", UpstreamError::Address(AddressError::HostName)),
            ("tcp://dns.example:53", UpstreamError::Address(AddressError::HostName)),
            ("10.0.0.1:0", UpstreamError::Address(AddressError::Port)),
            ("10.0.0.0/8", UpstreamError::Address(AddressError::Malformed)),
            ("0.0.0.0", UpstreamError::NoServer("the unspecified address")),
            ("[::]:53", UpstreamError::NoServer("the unspecified address")),
            ("224.0.0.251", UpstreamError::NoServer("a multicast address")),
            ("ff02::fb", UpstreamError::NoServer("a multicast address")),
            ("255.255.255.255", UpstreamError::NoServer("the broadcast address")),
            ("fe80::1", UpstreamError::LinkLocal),
            ("tls://1.1.1.1#one.one.one.one", UpstreamError::Encrypted("TLS")),
            ("https://dns.example/dns-query@1.1.1.1", UpstreamError::Encrypted("HTTPS")),
            ("ftp://1.1.1.1", UpstreamError::Scheme),
            ("etc/resolv.conf", UpstreamError::RelativePath),
            ("./resolv.conf", UpstreamError::RelativePath),
            ("/etc/\0", UpstreamError::Path),
            (&long, UpstreamError::Path),
        ] {
            assert_eq!(text.parse::<UpstreamSource>(), Err(error), "{text:?}");
        }
    }
}
