//! What the daemon does with the host it runs on.
//!
//! [`link`] makes the interface and addresses that are listened on, keeps them and takes them away
//! again, [`addresses`] follows the host's own addresses, [`holder`] tells who holds a port that could
//! not be bound, [`nft`] leads DNS packets past connection tracking and around a dead server, [`repairs`]
//! counts what had to be put right. Nothing here lies on the road of a query: these run at the start, at
//! the end, and on the watching runtime in between. Netlink types stay inside this module.

use std::io;
use std::net::IpAddr;

pub mod addresses;
pub mod holder;
mod inventory;
pub mod link;
mod netlink;
pub mod nft;
mod notices;
pub mod repairs;
pub mod survey;

/// Why the host could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The kernel refused for want of a capability.
    #[error(
        "cannot {what}: not permitted; the process needs CAP_NET_ADMIN in this network namespace"
    )]
    NotPermitted {
        /// What was tried, as it follows "cannot".
        what: String,
    },
    /// An IPv6 address was refused because IPv6 is off.
    #[error(
        "cannot add {address} to {interface}: IPv6 is disabled there \
         (net.ipv6.conf.{interface}.disable_ipv6, or ipv6.disable=1 at boot)"
    )]
    Ipv6Disabled {
        /// The address asked for.
        address: IpAddr,
        /// Where it should have gone.
        interface: String,
    },
    /// The kernel did not answer within [`REQUEST_TIMEOUT`].
    #[error(
        "cannot {what}: the kernel did not answer a netlink request within {REQUEST_TIMEOUT:?}"
    )]
    Timeout {
        /// What was tried.
        what: String,
    },
    /// Anything else the kernel said.
    #[error("cannot {what}: {source}")]
    Failed {
        /// What was tried.
        what: String,
        /// The kernel's error.
        source: io::Error,
    },
}

pub use netlink::REQUEST_TIMEOUT;

impl NodeError {
    /// Puts a kernel error beside what was tried.
    fn new(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        if source.raw_os_error() == Some(libc::EPERM) {
            Self::NotPermitted { what }
        } else if source.kind() == io::ErrorKind::TimedOut {
            Self::Timeout { what }
        } else {
            Self::Failed { what, source }
        }
    }
}
