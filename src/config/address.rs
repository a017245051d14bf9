//! Socket addresses as people write them: `10.0.0.1`, `10.0.0.1:53`, `[fd00::1]:53`, `fd00::1`.
//!
//! Only the form is judged here; whether an address may be listened on or asked is for the caller.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why a text is not a socket address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No text.
    #[error("is empty")]
    Empty,
    /// A name; the daemon that answers names cannot ask anyone for them.
    #[error("is a host name")]
    HostName,
    /// An address with something behind its colon that is not 1 to 65535.
    #[error("has a port that is not 1 to 65535")]
    Port,
    /// `fe80::1%eth0`.
    #[error("has a zone")]
    Zone,
    /// `::ffff:10.0.0.1`.
    #[error("is an IPv4 address in IPv6 form")]
    Mapped(Ipv4Addr),
    /// Anything else.
    #[error("is not an address")]
    Malformed,
}

impl AddressError {
    /// What would be right.
    pub fn hint(&self) -> String {
        match self {
            AddressError::HostName => {
                "write the address: names cannot be looked up before this server runs".into()
            }
            AddressError::Port => "write ADDRESS:PORT, like \"10.0.0.1:53\"".into(),
            AddressError::Zone => "zones are not supported, use a unique local address".into(),
            AddressError::Mapped(v4) => format!("write {v4}"),
            AddressError::Empty | AddressError::Malformed => {
                "write ADDRESS or ADDRESS:PORT, like \"10.0.0.1\", \"10.0.0.1:53\" or \
                 \"[fd00::1]:53\""
                    .into()
            }
        }
    }
}

/// Reads an address with or without a port. Port 0 is an error: nobody could find it.
///
/// # Errors
/// Says what the text is instead.
pub fn parse(text: &str, default_port: u16) -> Result<SocketAddr, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let (ip, port) = split(text)?;
    let port = match port {
        None => default_port,
        Some(digits) => port_number(digits).ok_or(AddressError::Port)?,
    };
    match ip.to_canonical() {
        IpAddr::V4(v4) if ip.is_ipv6() => Err(AddressError::Mapped(v4)),
        _ => Ok(SocketAddr::new(ip, port)),
    }
}

fn split(text: &str) -> Result<(IpAddr, Option<&str>), AddressError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip, None));
    }
    if let Some((inside, behind)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        let ip = inside.parse::<Ipv6Addr>().map_err(|_| not_an_ip(inside))?;
        let port = match behind.strip_prefix(':') {
            Some(port) => Some(port),
            None if behind.is_empty() => None,
            None => return Err(AddressError::Malformed),
        };
        return Ok((ip.into(), port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok((ip.into(), Some(port))),
            Err(_) => Err(not_an_ip(host)),
        },
        _ => Err(not_an_ip(text)),
    }
}

fn port_number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}

fn not_an_ip(text: &str) -> AddressError {
    if text.split_once('%').is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok()) {
        return AddressError::Zone;
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // 10.0.0.256 is a mistyped address, not a name: no top-level domain is all digits.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if text.bytes().all(host) && !numeric {
        AddressError::HostName
    } else {
        AddressError::Malformed
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
            ("[fd00::1]", "[fd00::1]:53"),
            ("[fd00::1]:5353", "[fd00::1]:5353"),
        ] {
            assert_eq!(parse(text, 53).map(|addr| addr.to_string()), Ok(shown.into()), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_addresses() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("dns.example", AddressError::HostName),
            ("dns.example:53", AddressError::HostName),
            ("localhost", AddressError::HostName),
            ("10.0.0.1:", AddressError::Port),
            ("10.0.0.1:0", AddressError::Port),
            ("10.0.0.1:65536", AddressError::Port),
            ("10.0.0.1:+53", AddressError::Port),
            ("[fd00::1]:x", AddressError::Port),
            ("[fd00::1]53", AddressError::Malformed),
            ("[fd00::1", AddressError::Malformed),
            ("10.0.0.256", AddressError::Malformed),
            ("10.0.0", AddressError::Malformed),
            (":53", AddressError::Malformed),
            (" 10.0.0.1", AddressError::Malformed),
            ("10.0.0.1/24", AddressError::Malformed),
            ("fe80::1%eth0", AddressError::Zone),
            ("[fe80::1%2]:53", AddressError::Zone),
            ("::ffff:10.0.0.1", AddressError::Mapped(Ipv4Addr::new(10, 0, 0, 1))),
        ] {
            assert_eq!(parse(text, 53), Err(error), "{text:?}");
        }
    }
}
