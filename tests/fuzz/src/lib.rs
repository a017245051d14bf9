//! What must hold for every input, one module for each entry into the daemon.
//!
//! Each `check` takes bytes and panics where a promise is broken. The fuzz targets feed it what the
//! fuzzer makes up; the tests of the daemon feed it the saved corpus and what proptest makes up. The
//! checks read messages with a parser of their own ([`naive`]) or with hickory-proto, so that an
//! error in the daemon's parser does not hide itself.

pub mod accept;
pub mod believed;
pub mod cni;
pub mod config;
pub mod entry;
pub mod naive;
pub mod query;
pub mod rendered;
pub mod resolv_conf;
pub mod respond;
pub mod roundtrip;
pub mod source;
pub mod wire;
