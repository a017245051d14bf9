//! Making the interface and addresses at the start, and taking them away again.

use std::fmt;
use std::net::IpAddr;

use tracing::{info, warn};

use super::marked::{Outcome, Served, Wanted, sweep};
use super::{ALIAS, Link, Made, PROTOCOL, find, must_find, read_addresses, remove_address};
use crate::node::NodeError;
use crate::node::inventory::Inventory;
use crate::node::netlink::{Address, Interface, Kind, Netlink, host_len};

impl Link {
    /// Makes what there is not; `self` tells of it also after an error.
    pub(super) async fn build(&mut self, netlink: &Netlink) -> Result<(), NodeError> {
        let target = match find(netlink, &self.interface).await? {
            Some(found) => self.take(found),
            None => self.make(netlink).await?,
        };
        self.interface.clone_from(&target.name);
        set_up(netlink, &target).await?;
        self.forget_predecessors(netlink, &target).await;
        let present = read_addresses(netlink).await?;
        for ip in self.wanted.clone() {
            match present.iter().find(|there| there.ip == ip) {
                Some(there) => self.adopt(netlink, &target, there).await?,
                None => self.add(netlink, &target, ip).await?,
            }
        }
        Ok(())
    }

    /// Takes note of an interface that is there.
    fn take(&mut self, found: Interface) -> Interface {
        if found.is_ours() {
            info!(interface = found.name, "interface left by an earlier run is taken over");
            self.made = Some(found.index);
        } else {
            info!(interface = found.name, "interface was there already and will be left there");
        }
        found
    }

    /// Makes the interface; `self.made` is set if it is ours.
    pub(super) async fn make(&mut self, netlink: &Netlink) -> Result<Interface, NodeError> {
        self.made = None;
        let name = self.interface.clone();
        for kind in self.kinds.clone() {
            match netlink.add_interface(&name, kind).await {
                Ok(()) => return self.mark(netlink, &name, kind).await,
                // Somebody made it since we looked. It is not ours.
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
                    return must_find(netlink, &name).await;
                }
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    info!(interface = name, %kind, "no such interfaces in this kernel: the next kind is tried");
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

    /// Removes what an earlier run with another configuration left: it may have been killed. What
    /// cannot be removed is no reason not to start.
    async fn forget_predecessors(&self, netlink: &Netlink, target: &Interface) {
        let wanted = Wanted { index: target.index, addresses: &self.wanted };
        match sweep(netlink, Some(wanted), Served::Stay).await {
            Ok(outcomes) => outcomes.iter().for_each(|outcome| match outcome {
                Outcome::Removed(thing) => info!(%thing, "left by an earlier run, and removed"),
                Outcome::Kept(thing, why) => {
                    warn!(%thing, why, "left by an earlier run, and stays");
                }
                Outcome::Failed(thing, error) => {
                    warn!(%thing, %error, "left by an earlier run, and cannot be removed");
                }
            }),
            Err(error) => warn!(%error, "cannot look for what an earlier run left"),
        }
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
            let elsewhere = Inventory::read(netlink).await?.name_of(there.index);
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

    pub(super) async fn add(
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
    pub(super) async fn undo(&self, netlink: &Netlink) -> Result<(), NodeError> {
        let mut first = Ok(());
        for &made in &self.addresses {
            first = first.and(remove_address(netlink, made).await);
        }
        if let Some(index) = self.made {
            first = first.and(self.undo_interface(netlink, index).await);
        }
        first
    }

    async fn undo_interface(&self, netlink: &Netlink, index: u32) -> Result<(), NodeError> {
        let now = Inventory::read(netlink).await?;
        let Some(interface) = now.named(&self.interface).filter(|i| i.index == index) else {
            return Ok(());
        };
        if let Some(why) = now.needed_by_others(index) {
            warn!(interface = self.interface, why, "our interface stays");
            return Ok(());
        }
        super::remove_interface(netlink, interface).await
    }
}

pub(super) async fn set_up(netlink: &Netlink, target: &Interface) -> Result<(), NodeError> {
    if target.up {
        return Ok(());
    }
    let set = netlink.set_up(target.index).await;
    set.map_err(|e| NodeError::new(format!("set interface {} up", target.name), e))
}

/// Whether an address found on the host is one that an earlier run of ours left behind; the reasons
/// are in the documentation of [`super`].
fn is_ours(there: &Address, on_lo: bool) -> bool {
    let single = there.prefix_len == host_len(there.ip);
    match there.protocol {
        Some(protocol) => single && protocol == PROTOCOL,
        None => single && on_lo,
    }
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

    use std::io;

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
