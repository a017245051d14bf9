//! Making again what has gone from the host since.

use tracing::warn;

use super::build::set_up;
use super::{Link, Made, find, read_addresses};
use crate::node::NodeError;
use crate::node::netlink::Netlink;

/// What was made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Repaired {
    /// The interface.
    pub interface: u64,
    /// It was there, and down.
    pub up: u64,
    /// Addresses.
    pub addresses: u64,
}

impl Link {
    /// Makes again what has gone since; what could be repaired is, whatever error is returned.
    pub(super) async fn mend(&mut self, netlink: &Netlink) -> (Repaired, Result<(), NodeError>) {
        let mut repaired = Repaired::default();
        let result = self.mend_each(netlink, &mut repaired).await;
        (repaired, result)
    }

    async fn mend_each(
        &mut self,
        netlink: &Netlink,
        repaired: &mut Repaired,
    ) -> Result<(), NodeError> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let target = match find(netlink, &self.interface).await? {
            Some(found) => {
                self.made = found.is_ours().then_some(found.index);
                found
            }
            None => {
                warn!(interface = self.interface, "the interface has gone; it is made again");
                let made = self.make(netlink).await?;
                self.interface.clone_from(&made.name);
                repaired.interface += 1;
                made
            }
        };
        if !target.up {
            set_up(netlink, &target).await?;
            if repaired.interface == 0 {
                warn!(interface = target.name, "the interface was set down; it is up again");
                repaired.up += 1;
            }
        }
        let present = read_addresses(netlink).await?;
        let is_there =
            |made: &Made| present.iter().any(|t| (t.index, t.ip) == (made.index, made.ip));
        self.addresses.retain(is_there);
        let mut first = Ok(());
        for ip in self.wanted.clone() {
            if present.iter().any(|there| there.ip == ip) {
                continue;
            }
            warn!(address = %ip, interface = target.name, "the address has gone; it is added again");
            match self.add(netlink, &target, ip).await {
                Ok(()) => repaired.addresses += 1,
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }
}
