//! The host beside what is wanted of it, for a person: where each address is, and what is left over.
//!
//! Reads only, and needs no privilege.

use std::net::IpAddr;

use super::NodeError;
use super::inventory::Inventory;
use super::link::Thing;
use super::netlink::Netlink;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The interface asked about, if it is there.
    pub interface: Option<Carrier>,
    /// Where each of the addresses asked about is.
    pub places: Vec<Place>,
    /// What we made and nobody asked about.
    pub leftovers: Vec<Thing>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// `bridge`, `dummy` and the like; `None` for hardware and `lo`.
    pub kind: Option<String>,
    /// Whether it is up.
    pub up: bool,
    /// Whether we made it.
    pub ours: bool,
}

/// An address, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub ip: IpAddr,
    /// The interface it is on; `None` if no interface has it.
    pub on: Option<Carrier>,
    /// Whether we added it.
    pub ours: bool,
}

/// Looks once, in the thread's network namespace.
///
/// # Errors
/// The host cannot be read.
pub async fn survey(interface: Option<&str>, wanted: &[IpAddr]) -> Result<Survey, NodeError> {
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    Ok(compare(&Inventory::read(&netlink).await?, interface, wanted))
}

fn compare(inventory: &Inventory, interface: Option<&str>, wanted: &[IpAddr]) -> Survey {
    let carrier = |index: u32| {
        let found = inventory.interfaces.iter().find(|i| i.index == index)?;
        let (name, kind) = (found.name.clone(), found.kind.clone());
        Some(Carrier { name, kind, up: found.up, ours: found.is_ours() })
    };
    let place = |&ip: &IpAddr| {
        let found = inventory.addresses.iter().find(|there| there.ip == ip);
        let ours = found.is_some_and(|there| inventory.is_ours(there));
        Place { ip, on: found.and_then(|there| carrier(there.index)), ours }
    };
    let addresses = inventory.our_addresses().filter(|there| !wanted.contains(&there.ip));
    let addresses =
        addresses.map(|t| Thing::Address { ip: t.ip, interface: inventory.name_of(t.index) });
    let interfaces = inventory.our_interfaces().filter(|i| Some(i.name.as_str()) != interface);
    let interfaces = interfaces.map(|i| Thing::Interface(i.name.clone()));
    Survey {
        interface: interface.and_then(|name| carrier(inventory.named(name)?.index)),
        places: wanted.iter().map(place).collect(),
        leftovers: addresses.chain(interfaces).collect(),
    }
}
