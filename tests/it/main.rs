//! What no input may do: make the daemon panic, hang, or say what is not so.

#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../fuzz/src/lib.rs"]
mod promises;

mod composed;
mod corpus;
mod daemon;
mod headcni;
mod hostile_upstream;
mod hosts_file;
mod malformed;
mod messages;
mod pods;
mod properties;
