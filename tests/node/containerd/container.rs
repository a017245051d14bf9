//! A container of a pod: what a program in it sees, and what the plugin wrote down about its pod.

use std::fs;

use serde_json::Value;

use super::cri::Executed;
use super::runtime::{Containerd, NETWORK};
use crate::lab::{COREDNS, NODE_V4};
use crate::netns::Netns;
use crate::pod::Dig;
use crate::process::{PATIENCE, wait_for};

/// A pod's container.
pub struct Container<'a> {
    runtime: &'a Containerd,
    pub pod: String,
    container: String,
    pub address: String,
}

impl<'a> Container<'a> {
    pub fn new(runtime: &'a Containerd, pod: String, container: String, address: String) -> Self {
        Self { runtime, pod, container, address }
    }

    /// Runs a program in it to its end.
    pub fn run(&self, command: &[&str]) -> Executed {
        let executed = self.runtime.cri().exec(&self.container, command);
        executed.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The addresses that glibc finds.
    pub fn getent(&self, name: &str) -> Vec<String> {
        let executed = self.run(&["/bin/getent", "ahosts", name]);
        assert!(matches!(executed.exit_code, 0 | 2), "getent {name}: {executed:?}");
        let text = String::from_utf8(executed.stdout).unwrap();
        let mut found: Vec<String> =
            text.lines().filter_map(|line| Some(line.split_whitespace().next()?.into())).collect();
        found.sort();
        found.dedup();
        found
    }

    /// What busybox's nslookup prints.
    pub fn nslookup(&self, name: &str) -> String {
        let executed = self.run(&["/bin/busybox", "nslookup", name]);
        String::from_utf8_lossy(&[executed.stdout, executed.stderr].concat()).into_owned()
    }

    pub fn dig(&self, arguments: &str) -> Dig {
        let mut command = vec!["/bin/dig", "+tries=1", "+timeout=6"];
        command.extend(arguments.split_whitespace());
        let executed = self.run(&command);
        Dig::parse(arguments, &String::from_utf8_lossy(&executed.stdout))
    }

    pub fn resolv_conf(&self) -> String {
        let executed = self.run(&["/bin/busybox", "cat", "/etc/resolv.conf"]);
        String::from_utf8(executed.stdout).unwrap()
    }

    /// Its network namespace.
    pub fn netns(&self) -> Netns {
        let record = self.record().expect("a record");
        // The runtime's own path; names in `ip netns` are relative to their directory.
        Netns::named(record["netns"].as_str().unwrap().to_owned())
    }

    /// Its record, as it lies there.
    pub fn record(&self) -> Option<Value> {
        let name = format!("{NETWORK}_{}_eth0.json", self.pod);
        let text = fs::read(self.runtime.path("pods").join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Whether it is led to us when it asks its nameserver: only we know `whoami.horizond`.
    pub fn is_ours(&self) -> bool {
        self.dig(&format!("@{COREDNS} CH TXT whoami.horizond")).status == "NOERROR"
    }

    /// Waits until that is so.
    pub fn becomes_ours(&self) {
        wait_for("the pod to be led to us", PATIENCE, || self.is_ours().then_some(()));
    }

    /// The rows of whoami.
    pub fn whoami(&self) -> Vec<String> {
        let dig = self.dig(&format!("@{NODE_V4} CH TXT whoami.horizond"));
        dig.data("TXT").iter().map(|row| row.trim_matches('"').to_owned()).collect()
    }

    /// Waits until the daemon knows it.
    pub fn becomes_known(&self) -> Vec<String> {
        wait_for("the daemon to know the pod", PATIENCE, || {
            let rows = self.whoami();
            (rows.len() > 1).then_some(rows)
        })
    }

    /// Stops and removes the pod.
    pub fn remove(self) {
        self.runtime.cri().stop_pod(&self.pod).unwrap();
        self.runtime.cri().remove_pod(&self.pod).unwrap();
    }
}
