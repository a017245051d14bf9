//! horizond: a node-local split-horizon DNS forwarder.

pub mod accept;
pub mod answer;
pub mod cache;
pub mod config;
pub mod respond;
pub mod sys;
pub mod time;
pub mod wire;
