//! This host's interfaces and addresses at one moment, and which of them are ours.
//!
//! Ours is what bears a mark of ours: the alias [`ALIAS`] on an interface, the address protocol
//! [`PROTOCOL`] on an address. Reads only, and needs no privilege.

use std::fs;
use std::net::IpAddr;

use super::NodeError;
use super::link::{ALIAS, PROTOCOL};
use super::netlink::{Address, Interface, Netlink, host_len};

/// What a look found.
pub(super) struct Inventory {
    pub interfaces: Vec<Interface>,
    pub addresses: Vec<Address>,
    /// Whether the kernel keeps the mark of an address.
    marks: bool,
}

impl Inventory {
    /// Looks once.
    pub async fn read(netlink: &Netlink) -> Result<Self, NodeError> {
        let failed = |what| move |e| NodeError::new(what, e);
        let interfaces =
            netlink.interfaces().await.map_err(failed("read this host's interfaces"))?;
        let addresses = netlink.addresses().await.map_err(failed("read this host's addresses"))?;
        // A kernel may have the mark of a later version: then some of its own addresses bear one.
        let marks = addresses.iter().any(|there| there.protocol.is_some())
            || fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|text| has_marks(&text));
        Ok(Self { interfaces, addresses, marks })
    }

    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The name of an interface, for a person.
    pub fn name_of(&self, index: u32) -> String {
        let found = self.interfaces.iter().find(|interface| interface.index == index);
        found.map_or_else(|| format!("number {index}"), |interface| interface.name.clone())
    }

    /// The interfaces that we made.
    pub fn our_interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(|interface| interface.is_ours())
    }

    /// The addresses that we added, wherever they are.
    pub fn our_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|there| self.is_ours(there))
    }

    /// Whether we added it. Where the kernel keeps no marks, a single address on an interface of ours
    /// is taken for one of ours, and one elsewhere cannot be told.
    pub fn is_ours(&self, there: &Address) -> bool {
        let single = there.prefix_len == host_len(there.ip);
        single
            && match there.protocol {
                Some(protocol) => protocol == PROTOCOL,
                None => !self.marks && self.our_interfaces().any(|i| i.index == there.index),
            }
    }

    /// Why an interface of ours must stay, if others have come to need it.
    pub fn needed_by_others(&self, index: u32) -> Option<String> {
        if let Some(port) = self.interfaces.iter().find(|i| i.master == Some(index)) {
            return Some(format!("{} is a port of it", port.name));
        }
        let stranger = |there: &&Address| {
            there.index == index && !self.is_ours(there) && !is_automatic(there.ip)
        };
        let stranger = self.addresses.iter().find(stranger)?;
        Some(format!("it carries {}, which is not ours", stranger.ip))
    }
}

/// What the kernel gives each interface that is up.
fn is_automatic(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether the kernel of this release keeps the mark of an address: Linux 5.18 and later do.
fn has_marks(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 18),
        _ => false,
    }
}

impl Interface {
    /// Whether we made it.
    pub fn is_ours(&self) -> bool {
        self.alias.as_deref() == Some(ALIAS)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn interface(index: u32, alias: Option<&str>) -> Interface {
        let (name, alias) = (format!("if{index}"), alias.map(str::to_owned));
        Interface { index, name, alias, kind: None, up: true, loopback: false, master: None }
    }

    fn address(index: u32, ip: &str, prefix_len: u8, protocol: Option<u8>) -> Address {
        Address { index, ip: ip.parse().unwrap(), prefix_len, protocol }
    }

    fn inventory(marks: bool, addresses: Vec<Address>) -> Inventory {
        let interfaces = vec![interface(1, None), interface(2, Some(ALIAS)), interface(3, None)];
        Inventory { interfaces, addresses, marks }
    }

    fn ours(inventory: &Inventory) -> Vec<String> {
        inventory.our_addresses().map(|there| there.ip.to_string()).collect()
    }

    #[test]
    fn a_mark_makes_an_address_ours_and_nothing_else_does() {
        let mut inventory = inventory(
            true,
            vec![
                address(2, "169.254.20.10", 32, Some(PROTOCOL)),
                address(3, "fd00:5353::10", 128, Some(PROTOCOL)),
                address(2, "192.0.2.1", 32, None),
                address(2, "192.0.2.2", 32, Some(3)),
                address(2, "192.0.2.3", 24, Some(PROTOCOL)),
            ],
        );
        assert_eq!(ours(&inventory), ["169.254.20.10", "fd00:5353::10"]);
        let why = "it carries 192.0.2.1, which is not ours".to_owned();
        assert_eq!(inventory.needed_by_others(2), Some(why));
        inventory.addresses.truncate(2);
        inventory.addresses.push(address(2, "fe80::1", 64, None));
        assert_eq!(inventory.needed_by_others(2), None);
        inventory.interfaces[2].master = Some(2);
        assert_eq!(inventory.needed_by_others(2), Some("if3 is a port of it".to_owned()));
    }

    #[test]
    fn without_marks_the_interface_tells() {
        let addresses = vec![
            address(1, "169.254.20.10", 32, None),
            address(2, "169.254.20.11", 32, None),
            address(2, "192.0.2.3", 24, None),
        ];
        assert_eq!(ours(&inventory(false, addresses)), ["169.254.20.11"]);
    }

    #[test]
    fn the_kernels_release_tells_whether_it_keeps_marks() {
        for (release, marks) in [
            ("5.18.0\n", true),
            ("6.1.0-18-amd64\n", true),
            ("5.15.0-91-generic\n", false),
            ("4.18.0-553.el8", false),
            ("", false),
        ] {
            assert_eq!(has_marks(release), marks, "{release}");
        }
    }
}
