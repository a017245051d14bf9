//! The lab: a node with its neighbours, each in a namespace, on veth pairs.
//!
//! ```text
//! pod      10.244.1.5     ─┐
//! stranger 192.0.2.7      ─┤        ┌─ coredns  10.96.0.10
//!                          ├─ node ─┼─ magicdns 10.2.0.1
//!                                   └─ internet 198.51.100.53
//! ```
//!
//! Every test has a lab of its own, so tests run side by side with the same addresses.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::netns::{self, Netns};
use crate::process::checked_with_input;
use crate::turns::Turn;

/// Programs that the tests need, with the Debian package of each.
pub const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("getent", "libc-bin"),
    ("dig", "bind9-dnsutils"),
    ("busybox", "busybox-static"),
    ("nsd", "nsd"),
    ("knotd", "knot"),
    ("unbound", "unbound"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
];

/// Where pods ask: the node's own addresses.
pub const NODE_V4: &str = "169.254.20.10";
pub const NODE_V6: &str = "fd00:5353::10";
/// CoreDNS' stand-in.
pub const COREDNS: &str = "10.96.0.10";
/// MagicDNS' stand-in.
pub const MAGICDNS: &str = "10.2.0.1";
/// The internet's name server.
pub const INTERNET: &str = "198.51.100.53";
pub const INTERNET_V6: &str = "2001:db8:51::53";

const PREFIX: &str = "hz";

/// A neighbour: its address and the node's on their link.
struct Link {
    neighbour: &'static str,
    v4: [&'static str; 2],
    v6: [&'static str; 2],
}

const LINKS: [Link; 5] = [
    Link {
        neighbour: "pod",
        v4: ["10.244.1.5", "10.244.1.1"],
        v6: ["fd00:10:244:1::5", "fd00:10:244:1::1"],
    },
    Link {
        neighbour: "stranger",
        v4: ["192.0.2.7", "192.0.2.1"],
        v6: ["2001:db8:77::7", "2001:db8:77::1"],
    },
    Link {
        neighbour: "coredns",
        v4: [COREDNS, "10.96.0.254"],
        v6: ["fd00:10:96::10", "fd00:10:96::fe"],
    },
    Link {
        neighbour: "magicdns",
        v4: [MAGICDNS, "10.2.0.254"],
        v6: ["fd00:10:2::1", "fd00:10:2::fe"],
    },
    Link {
        neighbour: "internet",
        v4: [INTERNET, "198.51.100.1"],
        v6: [INTERNET_V6, "2001:db8:51::1"],
    },
];

/// A node and its neighbours. Dropping it removes them, after a panic too.
pub struct Lab {
    directory: TempDir,
    _turn: Turn,
    pub node: Netns,
    pub pod: Netns,
    pub stranger: Netns,
    pub coredns: Netns,
    pub magicdns: Netns,
    pub internet: Netns,
}

impl Lab {
    /// Makes the namespaces, links, addresses and routes; starts no server.
    pub fn new() -> Self {
        Self::with(Turn::take(false))
    }

    /// The same for a test beside which no other runs: one that measures, or floods.
    pub fn alone() -> Self {
        Self::with(Turn::take(true))
    }

    fn with(turn: Turn) -> Self {
        static ONCE: Once = Once::new();
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        require_root_and_tools();
        ONCE.call_once(|| netns::sweep(PREFIX));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name =
            |role: &str| Netns::named(format!("{PREFIX}{}-{number}-{role}", std::process::id()));
        let lab = Self {
            _turn: turn,
            directory: TempDir::with_prefix("horizond-node-").unwrap(),
            node: name("node"),
            pod: name("pod"),
            stranger: name("stranger"),
            coredns: name("coredns"),
            magicdns: name("magicdns"),
            internet: name("internet"),
        };
        lab.build();
        lab
    }

    /// A path in the lab's own directory, which goes when the lab goes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the lab's directory.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The lab's directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn all(&self) -> [&Netns; 6] {
        [&self.node, &self.pod, &self.stranger, &self.coredns, &self.magicdns, &self.internet]
    }

    fn build(&self) {
        let mut host = String::new();
        for netns in self.all() {
            writeln!(host, "netns add {}", netns.name()).unwrap();
        }
        for link in &LINKS {
            let (node, neighbour) = (self.node.name(), self.neighbour(link).name());
            let device = link.neighbour;
            let ends = format!("{device} netns {node} type veth peer name eth0 netns {neighbour}");
            writeln!(host, "link add {ends}").unwrap();
        }
        checked_with_input(Command::new("ip").args(["-batch", "-"]), &host);
        self.node.sysctl("ipv4/ip_forward", "1");
        self.node.sysctl("ipv6/conf/all/forwarding", "1");
        let mut node = "link set lo up\n".to_owned();
        for link in &LINKS {
            let device = link.neighbour;
            writeln!(node, "addr add {}/24 dev {device}", link.v4[1]).unwrap();
            writeln!(node, "addr add {}/64 dev {device} nodad", link.v6[1]).unwrap();
            writeln!(node, "link set {device} up").unwrap();
        }
        self.node.ip(&node);
        for link in &LINKS {
            let ([v4, gateway4], [v6, gateway6]) = (link.v4, link.v6);
            self.neighbour(link).ip(&format!(
                "link set lo up\n\
                 addr add {v4}/24 dev eth0\n\
                 addr add {v6}/64 dev eth0 nodad\n\
                 link set eth0 up\n\
                 route add default via {gateway4}\n\
                 route add ::/0 via {gateway6}\n"
            ));
        }
    }

    fn neighbour(&self, link: &Link) -> &Netns {
        let suffix = format!("-{}", link.neighbour);
        self.all().into_iter().find(|netns| netns.name().ends_with(&suffix)).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for netns in self.all() {
            netns::remove(netns.name());
        }
    }
}

fn require_root_and_tools() {
    assert!(
        rustix::process::geteuid().is_root(),
        "the namespace tests must run as root: `sudo tests/all`, or `cargo test --test node` as root"
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |tool: &str| path.split(':').any(|dir| Path::new(dir).join(tool).is_file());
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(tool, _)| !found(tool))
        .map(|(tool, package)| format!("{tool} (Debian package {package})"))
        .collect();
    assert!(missing.is_empty(), "the namespace tests need, in PATH: {}", missing.join(", "));
}
