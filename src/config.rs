//! The validated configuration: what the daemon is told to be.
//!
//! Values of these types are made once, by [`mod@file`], from TOML; after that nothing has to be checked
//! again: a route has at least one upstream or a file that names some, a suffix is a folded wire-format
//! name, every number lies in its documented range. Loading a configuration binds nothing and sends
//! nothing.
//!
//! Each field says its range, its default, and (where it is not "at the next start") when a change
//! takes effect.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::cni::standin;
use crate::wire::name::Name;
pub use nat64::Nat64;

pub use secret::{BadSecret, CookieSecret};

pub mod address;
mod defaults;
pub mod file;
pub mod local;
pub mod nat64;
pub mod prefix;
mod secret;
pub mod suffix;
pub mod units;
pub mod upstream;

pub use local::{
    LocalRecord, MAX_LOCAL_BYTES, MAX_LOCAL_RECORDS, MAX_LOCAL_VALUES, MAX_REWRITES,
    PrivateReverse, Rewrite, RewriteKind,
};

/// Everything the daemon needs to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sockets that clients talk to.
    pub listen: Listen,
    /// What is done to the host: interface and addresses.
    pub node: Node,
    /// The horizons; at least one; names and suffixes are unique. At most [`MAX_ROUTES`].
    pub routes: Vec<Route>,
    /// The answer cache.
    pub cache: Cache,
    /// Who may ask.
    pub admit: Admit,
    /// Names answered without an upstream.
    pub local: Local,
    /// Who asks, as the CNI plugin wrote it down.
    pub pods: Pods,
    /// HTTP endpoints and the control socket.
    pub admin: Admin,
    /// Event log and query log.
    pub log: Log,
    /// FNV-1a of the file's bytes, shown in status and metrics, to tell two configurations apart.
    pub hash: u64,
}

/// The most routes a configuration may have.
pub const MAX_ROUTES: usize = 64;
/// The most suffixes and reverse zones of all routes together.
pub const MAX_SUFFIXES: usize = 100_000;
/// The most names in one route's `rebind_allow`.
pub const MAX_REBIND_ALLOW: usize = 1024;
/// The most upstreams of one route.
pub const MAX_UPSTREAMS: usize = 16;

/// `[listen]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    /// UDP and TCP are served on each; 1 to 16, none of them unspecified (answers must leave from
    /// the address that was asked). Default `169.254.20.10:53`. The port defaults to 53.
    pub addresses: Vec<SocketAddr>,
    /// Threads, each with one UDP socket per address. `None` = the CPUs this process may use. 1..=64.
    pub shards: Option<usize>,
    /// SO_RCVBUF of each UDP listening socket in bytes; 64 KiB..=256 MiB, default 4 MiB.
    pub receive_buffer: usize,
    /// Exchanges in flight in all shards together; 64..=1_048_576, default 16_384. Beyond it a new
    /// question is shed.
    pub in_flight: usize,
    /// Clients waiting for those exchanges, all together; 64..=4_194_304, default 65_536.
    pub waiting: usize,
    /// How long a stop may take to finish what is in flight; 0..=60 s, default 5 s.
    pub drain: Duration,
    /// `[listen.tcp]`
    pub tcp: Tcp,
}

/// `[listen.tcp]`: ceilings and deadlines of TCP clients (RFC 7766).
#[derive(Debug, Clone, PartialEq)]
pub struct Tcp {
    /// Open connections in all; 1..=100_000, default 1024.
    pub connections: usize,
    /// Open connections per client address; 1..=100_000, default 64.
    pub per_client: usize,
    /// Questions of one connection in flight; 1..=4096, default 128. Beyond it the connection is
    /// not read until one is answered.
    pub pipeline: usize,
    /// An idle connection is closed after this; 1 s..=10 min, default 10 s.
    pub idle: Duration,
    /// The whole of a message must have come this long after its first byte; 100 ms..=1 min,
    /// default 3 s.
    pub read: Duration,
    /// The client must take an answer within this; 100 ms..=1 min, default 5 s.
    pub write: Duration,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Interface that is made when absent and given the listening addresses; `None` (`""`, the
    /// default) leaves the host alone. At most 15 bytes, no slash or space.
    pub interface: Option<String>,
    /// Keep the interface and addresses at exit. Default false.
    pub leave_on_exit: bool,
    /// Ask the kernel not to track DNS connections to our addresses. Default false.
    pub notrack: bool,
    /// How pods come here; default none.
    pub steer: Vec<Steer>,
    /// The cluster's DNS addresses, as pods have them in their resolv.conf; for `cni` and `service-ip`, at
    /// most 8. Default `10.96.0.10`.
    pub cluster_dns: Vec<IpAddr>,
    /// What stands in for each where the CNI plugin redirects to; default: derived, as the plugin does.
    pub stand_ins: Vec<IpAddr>,
    /// Answer to `id.server`, `hostname.bind` and NSID; default: `$NODE_NAME`, else the host name.
    /// 1..=255 bytes.
    pub name: Option<String>,
}

/// What packets of pods meet on the node, by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steering {
    /// Addresses that we alone answer on.
    pub local: Vec<IpAddr>,
    /// Addresses of the cluster's DNS and what stands in for them (`cni`).
    pub stand_ins: Vec<(IpAddr, IpAddr)>,
    /// Addresses of the cluster's DNS that we bind (`service-ip`).
    pub services: Vec<IpAddr>,
}

impl Steering {
    /// Whether rules that depend on whether we serve lead pods to this address.
    pub fn leads_to(&self, ip: IpAddr) -> bool {
        self.services.contains(&ip) || self.stand_ins.iter().any(|(_, stand_in)| *stand_in == ip)
    }
}

impl Node {
    /// How packets are steered; `listen` are the addresses listened on. `None` where nothing is to be
    /// done to any.
    pub fn steering(&self, listen: &[SocketAddr]) -> Option<Steering> {
        let listen: Vec<IpAddr> = listen.iter().map(SocketAddr::ip).collect();
        let mut steering = Steering::default();
        if self.steer.contains(&Steer::Cni) {
            // What the parser has let through makes pairs.
            let pairs = standin::pairs(&self.cluster_dns, &self.stand_ins, &[]);
            steering.stand_ins = pairs.unwrap_or_default();
        }
        if self.steer.contains(&Steer::ServiceIp) {
            steering.services.clone_from(&self.cluster_dns);
        }
        if self.notrack {
            steering.local = listen.into_iter().filter(|ip| !steering.leads_to(*ip)).collect();
            steering.local.sort_unstable();
            steering.local.dedup();
        }
        (steering != Steering::default()).then_some(steering)
    }

    /// Where the daemon asks itself whether it serves, and so from where: its own listening addresses, where
    /// pods are led to others by rules that depend on it.
    fn asks_itself(&self, listen: &[SocketAddr]) -> Vec<IpAddr> {
        let Some(steering) = self.steering(listen) else { return vec![] };
        if steering.stand_ins.is_empty() && steering.services.is_empty() {
            return vec![];
        }
        let own = listen.iter().map(SocketAddr::ip);
        own.filter(|ip| !ip.is_unspecified() && !steering.leads_to(*ip)).collect()
    }

    /// The addresses to listen on: those given, and those that pods are led to.
    fn listening(&self, given: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut all = given.to_vec();
        let Some(steering) = self.steering(given) else { return all };
        let led = steering.stand_ins.iter().map(|(_, stand_in)| *stand_in);
        for ip in led.chain(steering.services) {
            let addr = SocketAddr::new(ip, 53);
            if !all.contains(&addr) {
                all.push(addr);
            }
        }
        all
    }
}

/// A way in which pods are led to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// The kubelet's `clusterDNS` names us.
    Kubelet,
    /// The CNI plugin redirects inside each pod.
    Cni,
    /// The kube-dns ClusterIP is bound on the node.
    ServiceIp,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// 1..=32 of `a-z 0-9 - _`; unique.
    pub name: String,
    /// Folded names; the root means "everything else". A suffix belongs to one route alone.
    pub suffixes: Vec<Name>,
    /// Prefixes whose reverse zones belong to this route, any length.
    pub reverse: Vec<Prefix>,
    /// 1..=16 entries, in order of preference; none where there is a `headcni_conflist`.
    pub upstreams: Vec<UpstreamSource>,
    /// HeadCNI's conflist, an absolute path, which need not be there: its `magic_dns` block names the
    /// servers, and suffixes beside those above. Followed while it changes. At most one route has it,
    /// and not the one with the root. `None`, the default: none.
    pub headcni_conflist: Option<PathBuf>,
    /// Which upstream is asked first.
    pub policy: Policy,
    /// The longest wait for one upstream's answer before the next is tried; 50 ms..=10 s,
    /// default 2 s.
    pub timeout: Duration,
    /// Everything together: when this is over the client gets its failure; >= timeout, <= 30 s,
    /// default 4 s (a stub resolver gives up at 5 s).
    pub deadline: Duration,
    /// Names of this route are never sent to another route's upstreams, negatives are short, and
    /// the stale window is short. Default: true unless `suffixes` has the root.
    pub private: bool,
    /// Failures of all upstreams are answered NXDOMAIN instead of SERVFAIL. Default false.
    pub servfail_as_nxdomain: bool,
    /// Cap of a positive TTL; 0..=7 d, default 1 d.
    pub max_ttl: Duration,
    /// Cap of a negative TTL; 0..=1 d, default 5 s where private, else 1 h (RFC 2308, 5).
    pub max_negative_ttl: Duration,
    /// How long past its expiry a positive answer may stand in for a dead upstream (RFC 8767);
    /// 0..=7 d; default 1 min where private, else `[cache] stale`.
    pub stale: Duration,
    /// Connected UDP sockets, each at a random port, per upstream and shard; 1..=256, default 16.
    pub ports: usize,
    /// Whether aliases of this route, which is not private, into private routes are followed there.
    /// Default false; private routes follow all of theirs.
    pub follow_private: bool,
    /// Whether private addresses are removed from its answers. Default false.
    pub rebind_protection: bool,
    /// Names at and below which they are not; at most [`MAX_REBIND_ALLOW`], default none.
    pub rebind_allow: Vec<Name>,
    /// Whether names are sent to its upstreams over UDP in random case, which must come back. Default
    /// false.
    pub randomize_case: bool,
    /// Names without IPv6 addresses get some made of their IPv4 addresses under this prefix (DNS64,
    /// RFC 6147); `None` (`""`, the default): they do not.
    pub dns64: Option<Nat64>,
}

/// Which upstream of a route is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The first healthy one in the order of the file.
    #[default]
    InOrder,
    /// Each in turn.
    RoundRobin,
    /// The one with the lowest smoothed round-trip time.
    Fastest,
}

/// Where a route's queries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamSource {
    /// One server.
    Server(UpstreamAddr),
    /// The `nameserver` lines of a resolv.conf(5) file, re-read when it changes.
    ResolvConf(PathBuf),
}

/// One server of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamAddr {
    /// Never unspecified, multicast or port 0. The port defaults to 53.
    pub addr: SocketAddr,
    /// How it is asked.
    pub transport: Transport,
}

/// How an upstream is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, and TCP where an answer was truncated.
    Udp,
    /// TCP alone.
    Tcp,
}

/// An address prefix, host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// First address.
    pub addr: IpAddr,
    /// 0..=32 or 0..=128.
    pub len: u8,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Bytes of all entries together, overhead included; 1 MiB..=64 GiB, default 64 MiB.
    pub memory: u64,
    /// Stale window of routes that are not private; 0..=7 d, default 1 d.
    pub stale: Duration,
    /// How long an answer past its expiry is held back while the upstreams are asked (RFC 8767, 5);
    /// 50 ms..=10 s, default 1.8 s.
    pub stale_after: Duration,
    /// Whether an answer that is asked for again and again is asked for anew before it expires.
    /// Default true.
    pub prefetch: bool,
    /// Entries of each thread's own table in front of the shared cache; 0 (none)..=1_048_576,
    /// rounded up to a power of two, default 16_384. The tables (16 bytes an entry) come out of
    /// `memory`, a quarter of it at the most, else they are made smaller.
    pub front: usize,
}

/// `[admit]`
#[derive(Debug, Clone, PartialEq)]
pub struct Admit {
    /// Who may ask. Default: `node` and the private ranges (RFC 1918, 6598, 4193, 3927 and
    /// loopback).
    pub allow: Vec<Source>,
    /// Who may ask `explain`, `routes`, `upstreams`, `cache` in CH TXT. Default `node`.
    pub debug: Vec<Source>,
    /// What the others get.
    pub refuse: Refuse,
    /// Questions a second that one client may ask over UDP; 0 (no limit, the default)..=1_000_000.
    pub rate: usize,
    /// Questions that it may ask at once before that; 1..=1_000_000, default 1000.
    pub burst: usize,
    /// What it gets beyond that.
    pub over: Over,
    /// Places of the table that counts; 1024..=16_777_216, rounded up to a power of two, default
    /// 65_536. 8 bytes each, where there is a limit.
    pub rate_table: usize,
    /// What server cookies are made with (RFC 9018, 5); `None` = drawn at random at each start.
    pub cookie_secret: Option<CookieSecret>,
}

/// What a client over its rate gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Over {
    /// An empty answer with TC: over TCP there is no limit, and no forged address.
    #[default]
    Truncate,
    /// Silence.
    Drop,
}

/// A set of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This host's own addresses, loopback among them; followed when they change.
    Node,
    /// Addresses under a prefix.
    Prefix(Prefix),
}

/// What a client outside `allow` gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refuse {
    /// REFUSED with EDE 18.
    #[default]
    Refused,
    /// Silence.
    Drop,
}

/// `[local]`
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Single-label names asked for A or AAAA: answered NODATA here (`"nodata"`, the default), or
    /// routed like others (`"forward"`).
    pub single_label: SingleLabel,
    /// Reverse names of private addresses that no route owns: routed like others (`"forward"`, the
    /// default), or answered NXDOMAIN here (`"nxdomain"`).
    pub private_reverse: PrivateReverse,
    /// A hosts(5) file that names are answered from, followed while it changes; an absolute path.
    /// `None` (`""`, the default) = none.
    pub hosts: Option<PathBuf>,
    /// TTL of its names; 0..=1 d, default 1 min.
    pub hosts_ttl: Duration,
    /// `[[local.record]]`; at most [`MAX_LOCAL_RECORDS`] tables. Reverse records that `ptr = true`
    /// asks for are among them.
    pub records: Vec<LocalRecord>,
    /// `[[local.rewrite]]`; at most [`MAX_REWRITES`].
    pub rewrites: Vec<Rewrite>,
}

/// What happens to single-label names asked for A or AAAA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SingleLabel {
    /// NODATA with an SOA; nothing is sent out.
    #[default]
    NoData,
    /// Routed like any name.
    Forward,
}

/// `[pods]`
#[derive(Debug, Clone, PartialEq)]
pub struct Pods {
    /// Where the CNI plugin writes the pods' records, followed while they change; an absolute path,
    /// which need not be there. `None` (`""`) = off. Default `/run/horizond/pods`.
    pub dir: Option<PathBuf>,
    /// Whether requests are counted by namespace; default false.
    pub metrics: bool,
    /// Namespaces that are counted apart, the rest together; 1..=1000, default 64.
    pub namespaces: usize,
    /// Whether the search lists of pods are walked for them; default false.
    pub autopath: bool,
}

impl Pods {
    /// Where the plugin writes records, whether they are followed or not.
    pub fn records(&self) -> PathBuf {
        self.dir.clone().or(Pods::default().dir).unwrap_or_default()
    }
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `/metrics /healthz /readyz` over HTTP; `None` (`""`) = off. Default `127.0.0.1:9253`.
    pub address: Option<SocketAddr>,
    /// Unix socket of `horizond status`; `None` (`""`) = off. Default `/run/horizond/control.sock`.
    pub control: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Log {
    /// `"error"`, `"warn"`, `"info"` (default), `"debug"`, `"trace"`.
    pub level: Level,
    /// `"text"` (default) or `"json"`.
    pub format: LogFormat,
    /// The query log; off by default.
    pub queries: QueryLog,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which queries are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryLog {
    /// None.
    #[default]
    Off,
    /// Those answered SERVFAIL, REFUSED, FORMERR or NOTIMP.
    Failures,
    /// Every one.
    All,
}
