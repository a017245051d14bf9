//! horizond: a node-local split-horizon DNS forwarder.

pub mod config;
pub mod demo;
pub mod wire;
