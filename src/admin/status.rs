//! What `/status` says: one picture of the daemon, read by people and by programs.
//!
//! Fields may be added; none changes its meaning. Unknown fields are ignored when read, so that the
//! command of one version can ask the daemon of another.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::UpstreamAddr;
use crate::headcni::Learnt;
use crate::pods::Table;

/// The most suffixes of a route that are listed.
pub const SUFFIXES: usize = 100;

/// The daemon at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whole seconds since its start.
    pub uptime_seconds: u64,
    /// The running configuration.
    pub config: ConfigStatus,
    /// The node's name, as `id.server` gives it.
    pub node: String,
    /// Addresses that clients ask.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve them.
    pub shards: usize,
    /// Addresses of this host as known now: what `node` in an ACL stands for.
    pub own_addresses: Vec<IpAddr>,
    /// Queries received since the start.
    pub requests: u64,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// Clients that wait for exchanges.
    pub waiting: u64,
    /// The cache.
    pub cache: CacheStatus,
    /// The pods; none where the daemon is of a version that knows none.
    #[serde(default)]
    pub pods: PodsStatus,
    /// The routes in the order of the configuration.
    pub routes: Vec<RouteStatus>,
}

/// The running configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Its file.
    pub path: PathBuf,
    /// [`crate::config::Config::hash`] in 16 hexadecimal digits, as in the metrics.
    pub hash: String,
}

/// The cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Entries.
    pub entries: u64,
    /// What they take, overhead included.
    pub bytes: u64,
    /// What they may take.
    pub limit_bytes: u64,
    /// Queries answered from fresh entries since the start.
    pub hits: u64,
    /// Queries that were not.
    pub misses: u64,
}

/// The most records of pods that are listed.
pub const PODS: usize = 100;

/// The pods that are known from their records.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PodsStatus {
    /// The directory of the records; `None` where it is not looked at.
    pub dir: Option<PathBuf>,
    /// Pods; one in several networks counts once.
    pub count: usize,
    /// Records that are used.
    pub records: usize,
    /// Files in the directory that are called like records and are none.
    pub refused: usize,
    /// The [`PODS`] records that were written last, the last first.
    pub last: Vec<PodStatus>,
}

/// A pod in one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodStatus {
    /// Its namespace, where known.
    pub namespace: Option<String>,
    /// Its name, where known.
    pub name: Option<String>,
    /// Its UID, where known.
    pub uid: Option<String>,
    /// The network.
    pub network: String,
    /// Its addresses in it.
    pub addresses: Vec<IpAddr>,
}

impl PodsStatus {
    /// Of the pods of a directory, which is not looked at where it is `None`.
    pub fn of(dir: Option<PathBuf>, table: &Table) -> PodsStatus {
        let last = table.records().iter().rev().take(PODS).map(|pod| PodStatus {
            namespace: pod.namespace.as_deref().map(str::to_owned),
            name: pod.name.as_deref().map(str::to_owned),
            uid: pod.uid.as_deref().map(str::to_owned),
            network: pod.network.to_string(),
            addresses: pod.addresses.to_vec(),
        });
        PodsStatus {
            dir,
            count: table.len(),
            records: table.records().len(),
            refused: table.refused(),
            last: last.collect(),
        }
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// Whether its names are kept from other routes' upstreams.
    pub private: bool,
    /// The first [`SUFFIXES`] of its suffixes, reverse zones included.
    pub suffixes: Vec<String>,
    /// How many it has in all.
    pub suffix_count: usize,
    /// In the order of the configuration.
    pub upstreams: Vec<UpstreamStatus>,
    /// Where suffixes and upstreams come from that are not in the configuration; `None` mostly.
    #[serde(default)]
    pub learnt: Option<LearntStatus>,
}

/// What a route has from HeadCNI's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearntStatus {
    /// The file.
    pub file: PathBuf,
    /// The key of HeadCNI's block; `None` before it was read.
    pub key: Option<String>,
    /// Suffixes from its `search_domains`.
    pub suffixes: Vec<String>,
    /// Servers of its `nameservers` that are asked.
    pub nameservers: Vec<String>,
    /// Search domains that other routes own, and which.
    pub left: Vec<String>,
    /// Values that were passed over, and why.
    pub refused: Vec<String>,
    /// Why the file is not followed now, or gives nothing.
    pub trouble: Option<String>,
}

impl LearntStatus {
    /// Of what is known, and who of it is asked.
    pub fn of(learnt: &Learnt, asked: impl Fn(SocketAddr) -> bool) -> LearntStatus {
        let (used, unused): (Vec<&UpstreamAddr>, Vec<&UpstreamAddr>) =
            learnt.servers.iter().partition(|server| asked(server.addr));
        let unused = unused.iter().map(|server| format!("nameservers: {server} is not asked"));
        LearntStatus {
            file: learnt.file.clone(),
            key: learnt.key.clone(),
            suffixes: learnt.suffixes.iter().map(ToString::to_string).collect(),
            nameservers: used.iter().map(ToString::to_string).collect(),
            left: learnt.left.clone(),
            refused: learnt.refused.iter().cloned().chain(unused).collect(),
            trouble: learnt.trouble(),
        }
    }
}

impl RouteStatus {
    /// A route with its suffixes cut to what is listed.
    pub fn new<S: ToString>(
        name: &str,
        private: bool,
        suffixes: impl ExactSizeIterator<Item = S>,
        upstreams: Vec<UpstreamStatus>,
    ) -> RouteStatus {
        RouteStatus {
            name: name.to_owned(),
            private,
            suffix_count: suffixes.len(),
            suffixes: suffixes.take(SUFFIXES).map(|suffix| suffix.to_string()).collect(),
            upstreams,
            learnt: None,
        }
    }
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Address and port.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Whether it is asked when it is its turn.
    pub healthy: bool,
    /// Smoothed round-trip time in milliseconds; `None` before the first answer.
    pub srtt_ms: Option<f64>,
    /// Queries it has not answered yet.
    pub in_flight: u64,
    /// Queries sent since the start.
    pub requests: u64,
    /// Of those, failed.
    pub failures: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_suffix_lists_are_cut_and_counted() {
        let route = RouteStatus::new("big", true, 0..1000, Vec::new());
        assert_eq!((route.suffixes.len(), route.suffix_count), (SUFFIXES, 1000));
        assert_eq!(route.suffixes[99], "99");
        let route = RouteStatus::new("small", false, ["."].iter(), Vec::new());
        assert_eq!((route.suffixes, route.suffix_count), (vec![".".to_owned()], 1));
    }
}
