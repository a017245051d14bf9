//! A validator behind the daemon: what is signed validates through it, cold and out of the cache, over UDP
//! and TCP, and what has been tampered with does not.
//!
//! delv validates, with a trust anchor of the test's own; ldns signs; nsd serves. For AD and CD an unbound
//! that validates stands between. Needs no root, but the servers.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that unwraps nothing is a failed test"
)]

#[path = "../support/real.rs"]
#[allow(dead_code)]
mod real;

mod chain;
mod delv;
mod flags;
mod tampered;
mod zones;
