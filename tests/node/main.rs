//! The daemon on a node made of network namespaces, between real programs.
//!
//! A pod asks with dig, glibc and busybox; CoreDNS is played by our own fake, by nsd and by knot,
//! MagicDNS by knot or nsd, the internet by unbound. Nothing leaves the namespaces. Needs root and
//! the programs of [`lab::TOOLS`]; says which is missing, and fails, rather than pass over a test.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing is a failed test")]

#[path = "../support/fake_coredns.rs"]
#[allow(missing_docs, reason = "its names are those of the protocol")]
mod fake_coredns;

mod daemon;
mod http;
mod image;
mod lab;
mod load;
mod netns;
mod pod;
mod process;
mod servers;
mod tap;
mod turns;
mod witness;

mod access;
mod aside;
mod autopath;
mod chasing;
mod containerd;
mod crowd;
mod failover;
mod headcni;
mod horizons;
mod keeping;
mod nft;
mod outage;
mod plugin;
mod podman;
mod prometheus;
mod shutdown;
mod steering;
