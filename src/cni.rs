//! The chained CNI plugin, `horizond-cni`: it makes every new pod use this node's server.
//!
//! [`types`] reads the network configuration on standard input ([`input`]), [`environment`] the variables,
//! [`magic_dns`] HeadCNI's block, [`dns`] merges blocks of DNS settings into the one of the result, and
//! [`error`] is what a runtime
//! is told where something is wrong: they take values and give values. [`verbs`] does what a runtime
//! asks for: [`records`] keeps the pod records ([`record`]) that the daemon reads, and [`redirect`]
//! leads the pod's DNS to the addresses of [`standin`]. [`install`] puts the plugin on a node and
//! into its network configuration ([`conflist`]).
//!
//! None of it talks to the daemon, which may be down, or to the network. No input makes it panic,
//! and none is read past [`json::MAX_STDIN`].

pub mod command;
pub mod conflist;
pub mod dns;
pub mod environment;
pub mod error;
pub mod input;
pub mod install;
pub mod json;
pub mod magic_dns;
pub mod names;
pub mod record;
pub mod records;
pub mod redirect;
pub mod replace;
pub mod settings;
pub mod standin;
pub mod types;
pub mod verbs;
