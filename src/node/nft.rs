//! nf_tables over netlink, without the `nft` program.
//!
//! Two tables of family `inet` are ours, and no other is ever written: [`redirect::TABLE`] in a
//! pod's network namespace, made by the CNI plugin, and [`steer::TABLE`] on the node, kept by the
//! daemon. Each is changed in one transaction, so that no packet meets half of it. What a table
//! should hold is a plain value (`table`); it is made bytes (`message`, `attr`, `expr`) and
//! read back the same way, and `socket` alone does I/O.
//!
//! All calls block, for microseconds as a rule: they belong on a thread of their own, not on a
//! runtime. They need CAP_NET_ADMIN and Linux 5.2 (chains of type `route` in family `inet`).

use std::io;
use std::net::IpAddr;

mod attr;
mod expr;
mod message;
mod pairs;
pub mod redirect;
mod rules;
mod socket;
pub mod steer;
mod table;

pub use pairs::{MAX_ADDRESSES, Pair, PlanError};
pub use socket::REQUEST_TIMEOUT;

use message::Refusal;

/// Why rules could not be read or changed. A change that was refused has changed nothing; after
/// [`NftError::Timeout`] it may have been made.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel refused for want of a capability, or another process owns the table.
    #[error(
        "cannot {what}: not permitted; the process needs CAP_NET_ADMIN in this network namespace, \
         and no other process may own the table{}", told(text.as_ref())
    )]
    NotPermitted {
        /// What was tried, as it follows "cannot".
        what: String,
        /// The kernel's own words, if any.
        text: Option<String>,
    },
    /// The kernel has no nf_tables, or lacks a part of it.
    #[error(
        "cannot {what}: this kernel lacks a part of nf_tables that it needs ({source}{}); \
         Linux 5.2 or newer with nf_tables, its inet family and nft_ct is needed",
        told(text.as_ref())
    )]
    Unsupported {
        /// What was tried.
        what: String,
        /// The kernel's error.
        source: io::Error,
        /// The kernel's own words, if any.
        text: Option<String>,
    },
    /// The kernel did not answer within [`REQUEST_TIMEOUT`].
    #[error("cannot {what}: the kernel did not answer within {REQUEST_TIMEOUT:?}")]
    Timeout {
        /// What was tried.
        what: String,
    },
    /// Anything else the kernel said.
    #[error("cannot {what}: {source}{}", told(text.as_ref()))]
    Failed {
        /// What was tried.
        what: String,
        /// The kernel's error.
        source: io::Error,
        /// The kernel's own words, if any.
        text: Option<String>,
    },
    /// The node's table is there, and does nothing.
    #[error(
        "the table inet {} is switched off (flags dormant), by another program: delete it",
        steer::TABLE
    )]
    SwitchedOff,
    /// The node's table is there, but it does not lead this stand-in to its cluster DNS address.
    #[error(
        "the rules on this node do not lead {stand_in} to {cluster}: the daemon's [node] steer must have \
         \"cni\", and its cluster_dns and stand_ins must be the plugin's clusterDNS and standIns"
    )]
    NotLed {
        /// The address of the cluster's DNS.
        cluster: IpAddr,
        /// What stands in for it.
        stand_in: IpAddr,
    },
    /// The addresses asked for make no sense together; nothing was tried.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

fn told(text: Option<&String>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

impl NftError {
    fn refused(what: &str, refusal: Refusal) -> Self {
        let (what, text) = (what.to_owned(), refusal.text);
        let source = io::Error::from_raw_os_error(refusal.errno);
        match refusal.errno {
            libc::EPERM | libc::EACCES => Self::NotPermitted { what, text },
            libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT => {
                Self::Unsupported { what, source, text }
            }
            // A chain's type or an expression that no module has. What our own transactions name
            // of ours they have made before.
            libc::ENOENT if what.starts_with("make the chain") || what.starts_with("add rule") => {
                Self::Unsupported { what, source, text }
            }
            libc::ETIMEDOUT => Self::Timeout { what },
            _ => Self::Failed { what, source, text },
        }
    }

    fn from_io(what: &str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(errno) => Self::refused(what, Refusal { errno, text: None }),
            None if source.kind() == io::ErrorKind::TimedOut => {
                Self::Timeout { what: what.to_owned() }
            }
            None => Self::Failed { what: what.to_owned(), source, text: None },
        }
    }

    /// Whether the kernel said that something is not there (ENOENT).
    fn is_absent(&self) -> bool {
        self.errno() == Some(libc::ENOENT)
    }

    /// Whether the kernel said that something is there already (EEXIST).
    fn is_present(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Self::Unsupported { source, .. } | Self::Failed { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
