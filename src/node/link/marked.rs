//! Removing what bears our marks: what an earlier run left, or everything.

use std::fmt;
use std::net::IpAddr;

use super::{Made, remove_address, remove_interface};
use crate::node::NodeError;
use crate::node::holder;
use crate::node::inventory::Inventory;
use crate::node::netlink::Netlink;

/// Something of ours on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// An address that we added.
    Address {
        /// Which.
        ip: IpAddr,
        /// The interface it is on.
        interface: String,
    },
    /// An interface that we made, by name.
    Interface(String),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { ip, interface } => write!(f, "address {ip} on {interface}"),
            Self::Interface(name) => write!(f, "interface {name}"),
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// It is gone.
    Removed(Thing),
    /// It stays, and why.
    Kept(Thing, String),
    /// It was to go, and the kernel refused.
    Failed(Thing, NodeError),
}

/// Whether addresses that a process serves on are removed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// They are left alone.
    Stay,
    /// They go.
    Go,
}

/// What is not to be removed.
pub(super) struct Wanted<'a> {
    /// The interface, by index.
    pub index: u32,
    /// The addresses on it.
    pub addresses: &'a [IpAddr],
}

/// Everything of ours on this host, nothing removed.
///
/// # Errors
/// The host cannot be read.
pub async fn marked() -> Result<Vec<Thing>, NodeError> {
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    let inventory = Inventory::read(&netlink).await?;
    let addresses = inventory
        .our_addresses()
        .map(|there| Thing::Address { ip: there.ip, interface: inventory.name_of(there.index) });
    let interfaces = inventory.our_interfaces().map(|i| Thing::Interface(i.name.clone()));
    Ok(addresses.chain(interfaces).collect())
}

/// Removes everything of ours from this host, and says what became of each. What others have come to
/// need stays. Not cancel safe.
///
/// # Errors
/// The host cannot be read; something may have been removed before.
pub async fn remove_all(served: Served) -> Result<Vec<Outcome>, NodeError> {
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    sweep(&netlink, None, served).await
}

/// Removes what bears our marks, but what is `wanted`.
pub(super) async fn sweep(
    netlink: &Netlink,
    wanted: Option<Wanted<'_>>,
    served: Served,
) -> Result<Vec<Outcome>, NodeError> {
    let inventory = Inventory::read(netlink).await?;
    let is_wanted = |index: u32, ip: Option<IpAddr>| {
        wanted.as_ref().is_some_and(|wanted| {
            wanted.index == index && ip.is_none_or(|ip| wanted.addresses.contains(&ip))
        })
    };
    let mut outcomes = Vec::new();
    let mut busy = Vec::new();
    for there in inventory.our_addresses().filter(|t| !is_wanted(t.index, Some(t.ip))) {
        let thing = Thing::Address { ip: there.ip, interface: inventory.name_of(there.index) };
        let server = holder::server_on(there.ip).filter(|_| served == Served::Stay);
        outcomes.push(match server {
            Some(server) => {
                busy.push(there.index);
                Outcome::Kept(thing, server.to_string())
            }
            None => tell(
                thing,
                remove_address(netlink, Made { index: there.index, ip: there.ip }).await,
            ),
        });
    }
    let ours: Vec<_> = inventory.our_interfaces().filter(|i| !is_wanted(i.index, None)).collect();
    if ours.is_empty() {
        return Ok(outcomes);
    }
    let now = Inventory::read(netlink).await?;
    for interface in ours {
        let thing = Thing::Interface(interface.name.clone());
        let others = now.needed_by_others(interface.index);
        let busy = busy.contains(&interface.index).then(|| "its address is in use".to_owned());
        outcomes.push(match others.or(busy) {
            Some(why) => Outcome::Kept(thing, why),
            None => tell(thing, remove_interface(netlink, interface).await),
        });
    }
    Ok(outcomes)
}

fn tell(thing: Thing, result: Result<(), NodeError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Removed(thing),
        Err(error) => Outcome::Failed(thing, error),
    }
}
