//! The interface and addresses that the daemon listens on: made at the start, removed at the end.
//!
//! What is there already is adopted. What we make carries a mark, so that the next start knows it
//! again after a crash, and [`Link::remove`] takes away what bears the mark and nothing else:
//!
//! - an interface of ours has the alias [`ALIAS`] (`ip link` shows it);
//! - an address of ours has the address protocol [`PROTOCOL`] (`ip address` shows `proto 53`).
//!
//! A process killed between making an interface and marking it (microseconds) leaves one that counts
//! as somebody else's and stays.
//!
//! Linux before 5.18 does not keep an address's protocol. On an interface of ours that does not
//! matter: the address goes with the interface. On `lo` it does, so there a listed /32 or /128 counts
//! as ours unless it carries somebody else's protocol: the kernel puts nothing but 127.0.0.1 and ::1
//! there by itself, whoever configures us to make the address has left it to us, and one left behind
//! with no server behind it costs the node its DNS, while one too many removed comes back at the
//! next start.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tracing::{info, warn};

use super::NodeError;
pub use super::netlink::Kind;
use super::netlink::{Address, Interface, Netlink, host_len};

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
    let mut link = Link { interface: interface.to_owned(), made: None, addresses: Vec::new() };
    let mut wanted: Vec<IpAddr> = Vec::new();
    for ip in addresses.iter().filter(|ip| !ip.is_loopback()) {
        if !wanted.contains(ip) {
            wanted.push(*ip);
        }
    }
    if wanted.is_empty() {
        return Ok(link);
    }
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    match link.build(&netlink, &wanted, kinds).await {
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
    /// An interface of ours takes with it any address that others added to it, but it stays, without
    /// our addresses, if it has become a bridge with ports.
    pub async fn remove(self) -> Result<(), NodeError> {
        if self.made.is_none() && self.addresses.is_empty() {
            return Ok(());
        }
        let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
        self.undo(&netlink).await
    }

    async fn build(
        &mut self,
        netlink: &Netlink,
        wanted: &[IpAddr],
        kinds: &[Kind],
    ) -> Result<(), NodeError> {
        let target = self.interface_for(netlink, kinds).await?;
        self.interface.clone_from(&target.name);
        if !target.up {
            netlink
                .set_up(target.index)
                .await
                .map_err(|e| NodeError::new(format!("set interface {} up", target.name), e))?;
        }
        let present = read_addresses(netlink).await?;
        if self.made.is_some() {
            self.prune(netlink, &present, wanted).await?;
        }
        for &ip in wanted {
            match present.iter().find(|there| there.ip == ip) {
                Some(there) => self.adopt(netlink, &target, there).await?,
                None => self.add(netlink, &target, ip).await?,
            }
        }
        Ok(())
    }

    /// Finds or makes the interface; `self.made` is set if it is ours.
    async fn interface_for(
        &mut self,
        netlink: &Netlink,
        kinds: &[Kind],
    ) -> Result<Interface, NodeError> {
        let name = self.interface.clone();
        if let Some(found) = find(netlink, &name).await? {
            if found.alias.as_deref() == Some(ALIAS) {
                info!(interface = name, "interface left by an earlier run is taken over");
                self.made = Some(found.index);
            } else {
                info!(interface = name, "interface was there already and will be left there");
            }
            return Ok(found);
        }
        for &kind in kinds {
            match netlink.add_interface(&name, kind).await {
                Ok(()) => return self.mark(netlink, &name, kind).await,
                // Somebody made it since we looked. It is not ours.
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
                    return must_find(netlink, &name).await;
                }
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    warn!(interface = name, %kind, "this kernel has no such interfaces");
                }
                Err(e) => {
                    return Err(NodeError::new(format!("make interface {name} ({kind})"), e));
                }
            }
        }
        warn!(
            interface = name,
            "the kernel can make no interface for our addresses, so they are put on lo: they work \
             the same, but `ip link` shows no {name}, and on a kernel before 5.18 an address of \
             ours there that somebody else had added is removed at exit"
        );
        must_find(netlink, "lo").await
    }

    /// Marks the interface just made.
    async fn mark(
        &mut self,
        netlink: &Netlink,
        name: &str,
        kind: Kind,
    ) -> Result<Interface, NodeError> {
        let interface = must_find(netlink, name).await?;
        netlink
            .set_alias(interface.index, ALIAS)
            .await
            .map_err(|e| NodeError::new(format!("set the alias of interface {name}"), e))?;
        self.made = Some(interface.index);
        info!(interface = name, %kind, "interface made");
        Ok(interface)
    }

    /// Removes marked addresses of an earlier run, which may have had another configuration, from
    /// an interface of ours.
    async fn prune(
        &self,
        netlink: &Netlink,
        present: &[Address],
        wanted: &[IpAddr],
    ) -> Result<(), NodeError> {
        let stale = present.iter().filter(|there| {
            Some(there.index) == self.made
                && there.protocol == Some(PROTOCOL)
                && !wanted.contains(&there.ip)
        });
        for there in stale {
            info!(address = %there.ip, interface = self.interface, "address of an earlier run removed");
            remove_address(netlink, Made { index: there.index, ip: there.ip }).await?;
        }
        Ok(())
    }

    /// Takes note of an address that this host has already.
    async fn adopt(
        &mut self,
        netlink: &Netlink,
        target: &Interface,
        there: &Address,
    ) -> Result<(), NodeError> {
        let ip = there.ip;
        if there.index != target.index {
            let elsewhere = name_of(netlink, there.index).await?;
            warn!(
                address = %ip, interface = elsewhere, wanted = target.name,
                "address is on another interface already; it is used where it is"
            );
        }
        if is_ours(there, there.index == target.index && target.loopback) {
            self.addresses.push(Made { index: there.index, ip });
        } else {
            info!(address = %ip, "address was there already and will be left there");
        }
        Ok(())
    }

    async fn add(
        &mut self,
        netlink: &Netlink,
        target: &Interface,
        ip: IpAddr,
    ) -> Result<(), NodeError> {
        match netlink.add_address(target.index, ip, PROTOCOL).await {
            Ok(()) => {
                self.addresses.push(Made { index: target.index, ip });
                info!(address = %ip, interface = target.name, "address added");
                Ok(())
            }
            // Added by somebody else since we looked: not ours.
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            // IPv6 off on the interface (EACCES) or in the kernel (EOPNOTSUPP, EAFNOSUPPORT).
            Err(e)
                if ip.is_ipv6()
                    && matches!(
                        e.raw_os_error(),
                        Some(libc::EACCES | libc::EOPNOTSUPP | libc::EAFNOSUPPORT)
                    ) =>
            {
                Err(NodeError::Ipv6Disabled { address: ip, interface: target.name.clone() })
            }
            Err(e) => Err(NodeError::new(format!("add {ip} to interface {}", target.name), e)),
        }
    }

    /// Removes addresses and interface; all are tried, the first error is returned.
    async fn undo(&self, netlink: &Netlink) -> Result<(), NodeError> {
        let mut first = Ok(());
        for &made in &self.addresses {
            first = first.and(remove_address(netlink, made).await);
        }
        if let Some(index) = self.made {
            first = first.and(self.remove_interface(netlink, index).await);
        }
        first
    }

    async fn remove_interface(&self, netlink: &Netlink, index: u32) -> Result<(), NodeError> {
        let what = || format!("remove interface {}", self.interface);
        let interfaces = netlink.interfaces().await.map_err(|e| NodeError::new(what(), e))?;
        let still_ours = interfaces.iter().any(|i| i.index == index && i.name == self.interface);
        if !still_ours {
            return Ok(());
        }
        if let Some(port) = interfaces.iter().find(|i| i.master == Some(index)) {
            warn!(
                interface = self.interface,
                port = port.name,
                "our interface has been given ports by somebody else and is left there"
            );
            return Ok(());
        }
        gone_is_fine(netlink.remove_interface(index).await).map_err(|e| NodeError::new(what(), e))
    }
}

/// Whether an address found on the host is one that an earlier run of ours left behind; the reasons
/// are in the module's documentation.
fn is_ours(there: &Address, on_lo: bool) -> bool {
    let single = there.prefix_len == host_len(there.ip);
    match there.protocol {
        Some(protocol) => single && protocol == PROTOCOL,
        None => single && on_lo,
    }
}

async fn remove_address(netlink: &Netlink, made: Made) -> Result<(), NodeError> {
    gone_is_fine(netlink.remove_address(made.index, made.ip).await)
        .map_err(|e| NodeError::new(format!("remove address {}", made.ip), e))
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

/// The name of an interface for a log line.
async fn name_of(netlink: &Netlink, index: u32) -> Result<String, NodeError> {
    let interfaces =
        netlink.interfaces().await.map_err(|e| NodeError::new("read this host's interfaces", e))?;
    let found = interfaces.into_iter().find(|i| i.index == index);
    Ok(found.map_or_else(|| format!("number {index}"), |i| i.name))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dummy => "dummy",
            Self::Bridge => "bridge",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn there(ip: &str, prefix_len: u8, protocol: Option<u8>) -> Address {
        Address { index: 1, ip: ip.parse().unwrap(), prefix_len, protocol }
    }

    #[test]
    fn marked_addresses_are_ours_anywhere() {
        assert!(is_ours(&there("169.254.20.10", 32, Some(PROTOCOL)), false));
        assert!(is_ours(&there("fd00::10", 128, Some(PROTOCOL)), true));
        assert!(!is_ours(&there("169.254.20.10", 16, Some(PROTOCOL)), true));
    }

    #[test]
    fn unmarked_addresses_are_ours_on_lo_alone() {
        assert!(is_ours(&there("169.254.20.10", 32, None), true));
        assert!(is_ours(&there("fd00::10", 128, None), true));
        assert!(!is_ours(&there("169.254.20.10", 32, None), false));
        assert!(!is_ours(&there("169.254.20.10", 24, None), true));
        assert!(!is_ours(&there("fd00::10", 64, None), true));
    }

    #[test]
    fn somebody_elses_mark_is_respected_on_lo() {
        assert!(!is_ours(&there("169.254.20.10", 32, Some(3)), true));
    }

    #[test]
    fn want_of_permission_names_the_capability() {
        let eperm = io::Error::from_raw_os_error(libc::EPERM);
        let said = NodeError::new("make interface h0", eperm).to_string();
        assert!(said.contains("make interface h0") && said.contains("CAP_NET_ADMIN"), "{said}");
    }
}
