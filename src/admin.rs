//! The doors for operators: HTTP for Prometheus and the kubelet, a Unix socket for `horizond status`.
//!
//! All of it runs on the admin thread (a current-thread runtime that the program makes), so that a
//! costly scrape never stands between a query and its answer. What listens on the network
//! ([`http`]) shows only what is harmless; the rest ([`control`]) is for who may open the socket.
//! A GET reads and changes nothing; what changes something is a POST, and on the control socket.

pub mod cache;
pub mod control;
pub mod http;
pub mod node;
pub mod render;
pub mod server;
pub mod status;
