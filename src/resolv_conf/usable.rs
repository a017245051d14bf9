//! Which name servers of a resolv.conf file may be asked.
//!
//! Refuses what would lead back to us or nowhere; pure, so that it can be asked again whenever the
//! file or this host's addresses change.
//!
//! # The tailscale loop
//! tailscaled may write `nameserver 100.100.100.100` into the file, and may itself be configured to
//! ask this node's resolver, which is us. What neither side answers then goes round until a deadline
//! ends it. It cannot be seen from the file, because tailscaled's upstreams are set in the tailnet's
//! control plane, so the server is accepted and a [`Warning`] names it. A node is better run with
//! `tailscale up --accept-dns=false`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Nameserver;

/// Which name servers may be asked, and what is to be said about the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usable {
    /// To be asked, in the order of the file.
    pub servers: Vec<SocketAddr>,
    /// Not to be asked.
    pub refused: Vec<Refusal>,
    /// Among `servers`, but a person should look.
    pub warnings: Vec<Warning>,
}

/// A name server that must not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The server.
    pub addr: SocketAddr,
    /// Why.
    pub reason: RefusalReason,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.addr, self.reason)
    }
}

/// Why a name server must not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// We listen there: our queries would come back to us.
    OurListener,
    /// systemd-resolved's stub, which would ask us where it was told to.
    ResolvedStub,
    /// Another loopback address, and loopback is not allowed here.
    Loopback,
    /// `0.0.0.0` or `::`, which mean this host.
    Unspecified,
    /// Multicast or broadcast: not one server.
    Multicast,
    /// Port 0.
    NoPort,
    /// It stands earlier in the list.
    Duplicate,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OurListener => "we listen there, so that queries would go round for ever",
            Self::ResolvedStub => {
                "it is systemd-resolved's stub; its real upstreams are in \
                 /run/systemd/resolve/resolv.conf"
            }
            Self::Loopback => "a loopback address may be a stub that asks us",
            Self::Unspecified => "the unspecified address means this host",
            Self::Multicast => "not the address of one server",
            Self::NoPort => "port 0 cannot be asked",
            Self::Duplicate => "it is listed more than once",
        })
    }
}

/// A name server that is asked, though it may lead back to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// The server.
    pub addr: SocketAddr,
    /// What may be wrong with it.
    pub reason: WarningReason,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is used, but {}", self.addr, self.reason)
    }
}

/// Why a name server may lead back to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningReason {
    /// tailscaled's resolver, see the module's documentation.
    TailscaleLoop,
    /// Another resolver on this host.
    ThisHost,
}

impl fmt::Display for WarningReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TailscaleLoop => {
                "it is tailscaled, which loops if its own upstream is this node's resolver; \
                 run tailscale with --accept-dns=false, or name the upstreams in the configuration"
            }
            Self::ThisHost => "it is this host itself, which loops if that resolver asks us",
        })
    }
}

/// tailscaled's addresses for DNS.
const TAILSCALE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 100)),
    IpAddr::V6(Ipv6Addr::new(0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, 0x53)),
];
/// systemd-resolved's addresses.
const RESOLVED: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];

/// Sorts name servers into those that may be asked and those that may not.
///
/// `own` are our listening addresses, `own_addresses` this host's (a listener on the unspecified
/// address listens on all of them), `allow_loopback` accepts loopback addresses on which we do not
/// listen, except systemd-resolved's.
pub fn usable(
    nameservers: &[Nameserver],
    own: &[SocketAddr],
    own_addresses: &[IpAddr],
    allow_loopback: bool,
) -> Usable {
    let mut result = Usable::default();
    for addr in nameservers.iter().map(|server| server.socket_addr()) {
        let refused = if result.servers.contains(&addr) {
            Some(RefusalReason::Duplicate)
        } else {
            refusal(addr, own, own_addresses, allow_loopback)
        };
        if let Some(reason) = refused {
            result.refused.push(Refusal { addr, reason });
            continue;
        }
        result.servers.push(addr);
        let reason = if TAILSCALE.contains(&addr.ip()) {
            Some(WarningReason::TailscaleLoop)
        } else if own_addresses.contains(&addr.ip()) {
            Some(WarningReason::ThisHost)
        } else {
            None
        };
        result.warnings.extend(reason.map(|reason| Warning { addr, reason }));
    }
    result
}

fn refusal(
    addr: SocketAddr,
    own: &[SocketAddr],
    own_addresses: &[IpAddr],
    allow_loopback: bool,
) -> Option<RefusalReason> {
    let ip = addr.ip().to_canonical();
    let here = ip.is_loopback() || own_addresses.contains(&ip);
    let listened = own.iter().filter(|listener| listener.port() == addr.port()).any(|listener| {
        listener.ip().to_canonical() == ip || (listener.ip().is_unspecified() && here)
    });
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let resolved = matches!(ip, IpAddr::V4(v4) if RESOLVED.contains(&v4));
    if ip.is_unspecified() {
        Some(RefusalReason::Unspecified)
    } else if listened {
        Some(RefusalReason::OurListener)
    } else if resolved {
        Some(RefusalReason::ResolvedStub)
    } else if ip.is_loopback() && !allow_loopback {
        Some(RefusalReason::Loopback)
    } else if ip.is_multicast() || broadcast {
        Some(RefusalReason::Multicast)
    } else if addr.port() == 0 {
        Some(RefusalReason::NoPort)
    } else {
        None
    }
}
