//! The real servers: unbound as the internet, nsd and knot as authorities.

use std::fmt::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::fake_coredns::FakeCoreDns;
use crate::fake_coredns::message::{question, rtype, wire};
use crate::fake_coredns::zone::Zone;
use crate::lab::{COREDNS, INTERNET, INTERNET_V6, Lab, MAGICDNS};
use crate::netns::Netns;
use crate::process::{Service, checked};

/// The tailnet's zone: a host with both families, a short-lived one, and as many as one likes.
pub const TAILNET_ZONE: &str = "\
$ORIGIN c.binrc.com.
$TTL 600
@      IN SOA ns hostmaster 1 3600 900 86400 5
@      IN NS  ns
ns     IN A    10.2.0.1
nas    IN A    100.64.0.7
nas    IN AAAA fd7a:115c:a1e0::7
brief  1 IN A  100.64.0.9
*.many IN A    100.64.1.1
";

/// A small cluster for the authorities that are not CoreDNS.
pub const CLUSTER_ZONE: &str = "\
$ORIGIN cluster.local.
$TTL 5
@               IN SOA ns.dns hostmaster 1 7200 1800 86400 5
@               IN NS  ns.dns
ns.dns          IN A   10.96.0.10
web.default.svc IN A   10.96.0.20
*.many.default.svc IN A 10.96.0.21
";
pub const CLUSTER_REVERSE: &str = "\
$ORIGIN 96.10.in-addr.arpa.
$TTL 30
@    IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5
@    IN NS  ns.dns.cluster.local.
20.0 IN PTR web.default.svc.cluster.local.
";

/// The cluster as our fake has it.
pub fn cluster() -> Zone {
    let many: Vec<String> = (1..=60).map(|i| format!("10.244.9.{i}")).collect();
    let many: Vec<(String, &str)> =
        many.iter().enumerate().map(|(i, ip)| (format!("replica-{i}"), ip.as_str())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(host, ip)| (host.as_str(), *ip)).collect();
    Zone::new()
        .service("web.default", &["10.96.0.20", "fd00:10:96::20"], Some(("http", 80)))
        .headless("db.default", &[("db-0", "10.244.2.3"), ("db-1", "10.244.2.4")])
        .headless("empty.default", &[])
        .headless("crowd.default", &many)
        .external("nas.default", "nas.c.binrc.com")
        .external("site.default", "www.example.com")
        .external("lost.default", "nowhere.c.binrc.com")
}

/// Our CoreDNS, which forwards to the internet's server as the common Corefile does.
pub fn fake_coredns(lab: &Lab, replicas: usize) -> FakeCoreDns {
    let upstream = SocketAddr::new(INTERNET.parse().unwrap(), 53);
    let at = SocketAddr::new(COREDNS.parse().unwrap(), 53);
    FakeCoreDns::start(Arc::new(lab.coredns.clone()), at, cluster(), Some(upstream), replicas)
        .unwrap()
}

/// Unbound with a small internet of its own: `www.example.com`, anything under `many.example.com`,
/// and NXDOMAIN for the rest. Its query log is on.
pub fn internet(lab: &Lab) -> Service {
    let log = lab.path("unbound.log");
    let config = format!(
        "server:\n\
         \x20 interface: {INTERNET}\n interface: {INTERNET_V6}\n\
         \x20 access-control: 0.0.0.0/0 allow\n access-control: ::/0 allow\n\
         \x20 do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n\
         \x20 use-syslog: no\n logfile: \"{}\"\n log-queries: yes\n verbosity: 1\n\
         \x20 module-config: \"iterator\"\n num-threads: 1\n\
         \x20 local-zone: \".\" static\n\
         \x20 local-data: \". 3600 IN SOA a.root. hostmaster.root. 1 1800 900 604800 60\"\n\
         \x20 local-zone: \"example.com.\" static\n\
         \x20 local-data: \"example.com. 3600 IN SOA ns.example.com. h.example.com. 1 1800 900 604800 60\"\n\
         \x20 local-data: \"www.example.com. 300 IN A 198.51.100.80\"\n\
         \x20 local-data: \"www.example.com. 300 IN AAAA 2001:db8:51::80\"\n\
         \x20 local-zone: \"many.example.com.\" redirect\n\
         \x20 local-data: \"many.example.com. 300 IN A 198.51.100.81\"\n\
         remote-control:\n  control-enable: no\n",
        lab.directory().display(),
        log.display(),
    );
    let config = lab.file("unbound.conf", &config);
    let mut command = Command::new(unconfined(lab, "unbound"));
    let mut service = Service::start(&lab.internet, command.arg("-d").arg("-c").arg(config), &log);
    service.wait_ready(|| answers(&lab.internet, INTERNET, "www.example.com"));
    service
}

/// Which authority plays a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    Nsd,
    Knot,
}

impl Authority {
    /// MagicDNS' stand-in.
    pub fn magicdns(self, lab: &Lab) -> Service {
        self.start(lab, &lab.magicdns, MAGICDNS, &[("c.binrc.com", TAILNET_ZONE)])
    }

    /// CoreDNS' stand-in.
    pub fn coredns(self, lab: &Lab) -> Service {
        let zones = [("cluster.local", CLUSTER_ZONE), ("96.10.in-addr.arpa", CLUSTER_REVERSE)];
        self.start(lab, &lab.coredns, COREDNS, &zones)
    }

    fn start(self, lab: &Lab, netns: &Netns, ip: &str, zones: &[(&str, &str)]) -> Service {
        let directory = format!("{}/{self:?}-{ip}", lab.directory().display());
        let mut list = String::new();
        for (zone, text) in zones {
            let file = lab.file(&format!("{self:?}-{ip}/{zone}.zone"), text);
            let file = file.display();
            match self {
                Self::Nsd => {
                    writeln!(list, "zone:\n  name: {zone}\n  zonefile: \"{file}\"").unwrap()
                }
                Self::Knot => writeln!(list, "  - domain: {zone}\n    file: \"{file}\"").unwrap(),
            }
        }
        let log = lab.path(&format!("{self:?}-{ip}/log"));
        let (program, config) = match self {
            Self::Nsd => ("nsd", nsd_config(ip, &directory, &list)),
            Self::Knot => ("knotd", knot_config(ip, &directory, &list)),
        };
        let config = lab.file(&format!("{self:?}-{ip}/conf"), &config);
        let mut command = Command::new(unconfined(lab, program));
        if self == Self::Nsd {
            command.arg("-d");
        }
        let mut service = Service::start(netns, command.arg("-c").arg(config), &log);
        service.wait_ready(|| answers(netns, ip, zones[0].0));
        service
    }
}

fn nsd_config(ip: &str, directory: &str, zones: &str) -> String {
    format!(
        "server:\n\
         \x20 ip-address: {ip}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{directory}\"\n\
         \x20 database: \"\"\n pidfile: \"\"\n xfrdfile: \"\"\n xfrdir: \"{directory}\"\n\
         \x20 zonelistfile: \"{directory}/zones.list\"\n server-count: 1\n\
         remote-control:\n  control-enable: no\n{zones}"
    )
}

fn knot_config(ip: &str, directory: &str, zones: &str) -> String {
    format!(
        "server:\n    rundir: \"{directory}\"\n    user: root:root\n    listen: {ip}@53\n\
         \x20   udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         database:\n    storage: \"{directory}\"\n\
         log:\n  - target: stderr\n    any: info\n\
         template:\n  - id: default\n    storage: \"{directory}\"\n    zonefile-sync: -1\n\
         \x20   journal-content: none\n\
         zone:\n{zones}"
    )
}

/// A copy of a program in the lab's directory. Debian confines some servers to their own files by
/// their path (AppArmor); a copy is not confined and can read the lab's.
fn unconfined(lab: &Lab, program: &str) -> PathBuf {
    let copy = lab.path(&format!("bin/{program}"));
    if !copy.exists() {
        let path = checked(Command::new("sh").args(["-c", &format!("command -v {program}")]));
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        // Not by this process: a child that another test starts meanwhile would inherit the file
        // open for writing, and a program that is open for writing cannot be run (ETXTBSY).
        checked(Command::new("cp").arg(path.trim()).arg(&copy));
    }
    copy
}

/// A server answers anything at all about `name`, asked from its own namespace.
fn answers(netns: &Netns, ip: &str, name: &str) -> bool {
    let ask = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect((ip, 53))?;
        socket.send(&question(1, &wire(name), rtype::SOA))?;
        socket.recv(&mut [0; 1500])
    };
    netns.run(ask).is_ok()
}
