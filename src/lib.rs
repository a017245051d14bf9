//! horizond: a node-local split-horizon DNS forwarder.

pub mod accept;
pub mod admin;
pub mod admit;
pub mod answer;
pub mod app;
pub mod cache;
pub mod coalesce;
pub mod config;
pub mod demo;
pub mod listen;
pub mod local;
pub mod node;
pub mod resolv_conf;
pub mod respond;
pub mod route;
pub mod serve;
pub mod sys;
pub mod telemetry;
pub mod time;
pub mod upstream;
pub mod wire;
