//! horizond: a node-local split-horizon DNS forwarder.

pub mod config;
pub mod sys;
pub mod time;
pub mod wire;
