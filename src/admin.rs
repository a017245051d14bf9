//! The doors for operators: HTTP for Prometheus and the kubelet, a Unix socket for `horizond status`.
//!
//! All of it runs on the admin thread (a current-thread runtime that the program makes), so that a
//! costly scrape never stands between a query and its answer. What listens on the network
//! ([`http`]) shows only what is harmless; the rest ([`control`]) is for who may open the socket.
//! Nothing here changes anything: every endpoint is a GET that reads.

pub mod control;
pub mod http;
pub mod render;
pub mod server;
pub mod status;
