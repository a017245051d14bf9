//! The interface and addresses that the daemon listens on: made at the start, kept while it runs,
//! removed at the end.
//!
//! What is there already is adopted. What we make carries a mark, so that the next start knows it
//! again after a crash, and [`Link::remove`] takes away what bears the mark and nothing else:
//!
//! - an interface of ours has the alias [`ALIAS`] (`ip link` shows it);
//! - an address of ours has the address protocol [`PROTOCOL`] (`ip address` shows `proto 53`).
//!
//! A start removes what bears a mark and is not wanted any more: a predecessor with another
//! configuration may have been killed. An address that a process serves on is left alone, since it
//! may be another daemon's. While the daemon runs [`keep`] makes again what others remove.
//!
//! A process killed between making an interface and marking it (microseconds) leaves one that counts
//! as somebody else's and stays. An interface of ours stays while it has ports, or addresses of others.
//!
//! Linux before 5.18 does not keep an address's protocol. On an interface of ours that does not
//! matter: the address goes with the interface. On `lo` it does, so there a listed /32 or /128 counts
//! as ours unless it carries somebody else's protocol: the kernel puts nothing but 127.0.0.1 and ::1
//! there by itself, whoever configures us to make the address has left it to us, and one left behind
//! with no server behind it costs the node its DNS, while one too many removed comes back at the
//! next start.

use std::io;
use std::net::IpAddr;

use tracing::warn;

use super::NodeError;
pub use super::netlink::Kind;
use super::netlink::{Address, Interface, Netlink};

mod build;
mod keep;
mod marked;
mod mend;

pub use keep::keep;
pub use marked::{Outcome, Served, Thing, marked, remove_all};

/// The alias of interfaces that we made.
pub const ALIAS: &str = "made by horizond";

/// The address protocol (IFA_PROTO) of addresses that we added. 1 to 3 are the kernel's own.
pub const PROTOCOL: u8 = 53;

/// What was made on the host, and must be removed from it.
///
/// Dropping it removes nothing (removal has to wait for the kernel): that is `leave_on_exit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what was made stays on the host until `remove` is called"]
pub struct Link {
    interface: String,
    /// What to make of it, in order of preference.
    kinds: Vec<Kind>,
    /// The addresses that the host is to have, each once, loopback not among them.
    wanted: Vec<IpAddr>,
    /// Index of `interface` if we made it.
    made: Option<u32>,
    addresses: Vec<Made>,
}

/// An address that we added, and the interface it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    index: u32,
    ip: IpAddr,
}

/// Makes `interface` if it is absent, sets it up, and gives it each of `addresses` as a /32 or /128.
/// What earlier runs left and is not wanted any more is removed.
///
/// The interface is a dummy; where the kernel has none, a bridge without ports; where it has
/// neither, the addresses go to `lo`. Loopback addresses need nothing; if there are no others,
/// nothing is made. On an error, what was made until then is removed again. Calling it again for the
/// same names is harmless and finds what the first call made.
///
/// Not cancel safe: a call dropped halfway leaves marked things behind, for the next to find.
pub async fn ensure(interface: &str, addresses: &[IpAddr]) -> Result<Link, NodeError> {
    ensure_kinds(interface, addresses, &[Kind::Dummy, Kind::Bridge]).await
}

/// [`ensure`] with the kinds of interface to try, in order, before `lo`.
pub async fn ensure_kinds(
    interface: &str,
    addresses: &[IpAddr],
    kinds: &[Kind],
) -> Result<Link, NodeError> {
    let mut wanted: Vec<IpAddr> = Vec::new();
    for ip in addresses.iter().filter(|ip| !ip.is_loopback()) {
        if !wanted.contains(ip) {
            wanted.push(*ip);
        }
    }
    let (interface, kinds) = (interface.to_owned(), kinds.to_vec());
    let mut link = Link { interface, kinds, wanted, made: None, addresses: Vec::new() };
    if link.wanted.is_empty() {
        return Ok(link);
    }
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    match link.build(&netlink).await {
        Ok(()) => Ok(link),
        Err(error) => {
            if let Err(undo) = link.undo(&netlink).await {
                warn!(%undo, "could not undo a half-made interface");
            }
            Err(error)
        }
    }
}

impl Link {
    /// The interface that carries the addresses: the one asked for, or `lo`.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether the interface is ours to remove.
    pub fn made_interface(&self) -> bool {
        self.made.is_some()
    }

    /// The addresses that are ours to remove; those that others put there are not among them.
    pub fn made_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|made| made.ip)
    }

    /// Removes what we made and nothing else; what has gone meanwhile is no error. Everything is
    /// tried before the first error is returned. Not cancel safe.
    ///
    /// An interface of ours stays, without our addresses, if others have given it ports or addresses.
    pub async fn remove(self) -> Result<(), NodeError> {
        if self.made.is_none() && self.addresses.is_empty() {
            return Ok(());
        }
        let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
        self.undo(&netlink).await
    }
}

async fn remove_address(netlink: &Netlink, made: Made) -> Result<(), NodeError> {
    gone_is_fine(netlink.remove_address(made.index, made.ip).await)
        .map_err(|e| NodeError::new(format!("remove address {}", made.ip), e))
}

async fn remove_interface(netlink: &Netlink, interface: &Interface) -> Result<(), NodeError> {
    gone_is_fine(netlink.remove_interface(interface.index).await)
        .map_err(|e| NodeError::new(format!("remove interface {}", interface.name), e))
}

/// Removing what is not there any more is what was wanted.
fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
        other => other,
    }
}

async fn read_addresses(netlink: &Netlink) -> Result<Vec<Address>, NodeError> {
    netlink.addresses().await.map_err(|e| NodeError::new("read this host's addresses", e))
}

async fn find(netlink: &Netlink, name: &str) -> Result<Option<Interface>, NodeError> {
    let found = netlink.interface(name).await;
    found.map_err(|e| NodeError::new(format!("look for interface {name}"), e))
}

async fn must_find(netlink: &Netlink, name: &str) -> Result<Interface, NodeError> {
    find(netlink, name).await?.ok_or_else(|| {
        let gone = io::Error::from_raw_os_error(libc::ENODEV);
        NodeError::new(format!("use interface {name}"), gone)
    })
}
