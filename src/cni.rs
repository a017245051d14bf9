//! The chained CNI plugin: what a container runtime tells it, as validated types.
//!
//! [`types`] reads the network configuration on standard input, [`environment`] the variables,
//! [`dns`] merges blocks of DNS settings into the one of the result, and [`error`] is what a runtime
//! is told where something is wrong. All of it takes values and gives values: nothing here opens
//! a file, enters a namespace or prints. No input makes it panic, and none is read past
//! [`json::MAX_STDIN`].

pub mod dns;
pub mod environment;
pub mod error;
pub mod json;
pub mod names;
pub mod record;
pub mod settings;
pub mod standin;
pub mod types;
