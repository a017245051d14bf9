//! horizond: a node-local split-horizon DNS forwarder.

pub mod admin;
pub mod config;
pub mod telemetry;
pub mod wire;
