//! horizond: a node-local split-horizon DNS forwarder.

pub mod accept;
pub mod admin;
pub mod admit;
pub mod answer;
pub mod cache;
pub mod coalesce;
pub mod config;
pub mod demo;
pub mod local;
pub mod respond;
pub mod route;
pub mod sys;
pub mod telemetry;
pub mod time;
pub mod upstream;
pub mod wire;
