//! The configuration that puts the forwarder in front of the demo's servers.
//!
//! It is the shape of a node's configuration with loopback addresses in it: the same three routes,
//! in memory instead of a file, nothing done to the host.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Servers;
use crate::config::{
    Admin, Admit, Cache, Config, Listen, Local, Log, Node, Pods, Policy, Prefix, Refuse, Route,
    Source, Tcp, Transport, UpstreamAddr, UpstreamSource,
};
use crate::wire::name::Name;

const CLUSTER_REVERSE: [(&str, u8); 4] =
    [("10.96.0.0", 12), ("10.244.0.0", 16), ("fd00:10:96::", 112), ("fd00:10:244::", 56)];
const TAILNET_REVERSE: [(&str, u8); 2] = [("100.64.0.0", 10), ("fd7a:115c:a1e0::", 48)];

const SECOND: Duration = Duration::from_secs(1);

/// The demo's configuration: clients on `listen`, the three horizons behind it, `/metrics` on
/// `admin` and the control socket at `control` if they are given. Only this host may ask.
pub fn config(
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    control: Option<PathBuf>,
    servers: &Servers,
) -> Config {
    Config {
        listen: listening(listen),
        node: Node {
            interface: None,
            leave_on_exit: false,
            notrack: false,
            steer: Vec::new(),
            cluster_dns: Vec::new(),
            stand_ins: Vec::new(),
            name: Some("demo".to_owned()),
        },
        routes: vec![
            // The cluster over TCP, as on a node: no truncation there, and no lost datagrams.
            Route {
                policy: Policy::Fastest,
                reverse: prefixes(&CLUSTER_REVERSE),
                ..private("cluster", "cluster.local", servers.cluster, Transport::Tcp)
            },
            Route {
                servfail_as_nxdomain: true,
                reverse: prefixes(&TAILNET_REVERSE),
                ..private("tailnet", "c.binrc.com", servers.tailnet, Transport::Udp)
            },
            Route {
                private: false,
                max_negative_ttl: SECOND * 3600,
                stale: SECOND * 86_400,
                ..private("internet", ".", servers.internet, Transport::Udp)
            },
        ],
        cache: Cache::default(),
        admit: Admit {
            allow: vec![Source::Node],
            debug: vec![Source::Node],
            refuse: Refuse::default(),
            ..Admit::default()
        },
        local: Local::default(),
        pods: Pods { dir: None, ..Pods::default() },
        admin: Admin { address: admin, control },
        log: Log {
            level: Default::default(),
            format: Default::default(),
            queries: Default::default(),
        },
        hash: 0,
    }
}

fn listening(address: SocketAddr) -> Listen {
    Listen {
        addresses: vec![address],
        shards: None,
        receive_buffer: 4 << 20,
        in_flight: 16_384,
        waiting: 65_536,
        drain: SECOND * 5,
        tcp: Tcp {
            connections: 1024,
            per_client: 64,
            pipeline: 128,
            idle: SECOND * 10,
            read: SECOND * 3,
            write: SECOND * 5,
        },
    }
}

/// A private route with the defaults of its kind.
fn private(route: &str, suffix: &str, server: SocketAddr, transport: Transport) -> Route {
    let suffix: Name = suffix.parse().expect("the demo's suffixes are names");
    Route {
        name: route.to_owned(),
        suffixes: vec![suffix],
        reverse: Vec::new(),
        upstreams: vec![UpstreamSource::Server(UpstreamAddr { addr: server, transport })],
        headcni_conflist: None,
        policy: Policy::default(),
        timeout: SECOND * 2,
        deadline: SECOND * 4,
        private: true,
        servfail_as_nxdomain: false,
        max_ttl: SECOND * 86_400,
        max_negative_ttl: SECOND * 5,
        stale: SECOND * 60,
        ports: 16,
        follow_private: false,
        rebind_protection: false,
        rebind_allow: Vec::new(),
        randomize_case: false,
        dns64: None,
    }
}

fn prefixes(texts: &[(&str, u8)]) -> Vec<Prefix> {
    let parse = |text: &str| -> IpAddr { text.parse().expect("the demo's prefixes are addresses") };
    texts.iter().map(|(text, len)| Prefix { addr: parse(text), len: *len }).collect()
}
