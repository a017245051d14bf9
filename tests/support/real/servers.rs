//! How each server is configured and started.
//!
//! The settings make them comparable: no rate limits, no zones of their own, the same largest
//! datagram, the same longest TTL, no validation unless a trust anchor is given.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::service::{Probe, Service};
use super::{Ground, address, find};

/// A zone: its apex without the last dot, and its text.
pub struct Zone {
    pub apex: String,
    pub text: String,
}

/// A query for `apex SOA` with RD, which servers are asked until they answer it.
fn probe(apex: &str, rcodes: &'static [u8]) -> Probe {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in apex.split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 6, 0, 1]);
    Probe { query, rcodes }
}

/// nsd with these zones. An answer about the first one says that it is ready.
pub fn nsd(ground: &Ground, zones: &[Zone]) -> Service {
    let addr = address();
    let folder = folder(ground, "nsd", addr);
    let mut config = format!(
        "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{folder}\"\n\
         \x20 database: \"\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: \"{folder}\"\n\
         \x20 zonelistfile: \"{folder}/zones.list\"\n  server-count: 1\n  tcp-count: 100\n\
         \x20 ipv4-edns-size: 1232\n  minimal-responses: no\n  rrl-ratelimit: 0\n\
         \x20 rrl-whitelist-ratelimit: 0\nremote-control:\n  control-enable: no\n",
        addr.ip(),
        addr.port(),
    );
    for zone in zones {
        let file = ground.file(&format!("{folder}/{}.zone", zone.apex), &zone.text);
        writeln!(config, "zone:\n  name: {}\n  zonefile: \"{}\"", zone.apex, file.display())
            .unwrap();
    }
    let config = ground.file(&format!("{folder}/nsd.conf"), &config);
    let log = Path::new(&folder).join("log");
    let mut command = Command::new(ground.unconfined("nsd"));
    Service::start(
        command.arg("-d").arg("-c").arg(config),
        &log,
        addr,
        &probe(&zones[0].apex, &[0]),
    )
}

/// knot with these zones.
pub fn knot(ground: &Ground, zones: &[Zone]) -> Service {
    let addr = address();
    let folder = folder(ground, "knot", addr);
    let mut config = format!(
        "server:\n    rundir: \"{folder}\"\n    listen: {}@{}\n    udp-max-payload: 1232\n\
         \x20   udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         database:\n    storage: \"{folder}\"\nlog:\n  - target: stderr\n    any: warning\n\
         template:\n  - id: default\n    storage: \"{folder}\"\n    zonefile-sync: -1\n\
         \x20   journal-content: none\nzone:\n",
        addr.ip(),
        addr.port(),
    );
    for zone in zones {
        let file = ground.file(&format!("{folder}/{}.zone", zone.apex), &zone.text);
        writeln!(config, "  - domain: {}\n    file: \"{}\"", zone.apex, file.display()).unwrap();
    }
    let config = ground.file(&format!("{folder}/knot.conf"), &config);
    let log = Path::new(&folder).join("log");
    let mut command = Command::new(ground.unconfined("knotd"));
    Service::start(command.arg("-c").arg(config), &log, addr, &probe(&zones[0].apex, &[0]))
}

/// Where a forwarder sends what: suffixes without the last dot (the root is empty), and the server.
pub type Forwards<'a> = &'a [(&'a str, SocketAddr)];

/// horizond with a route for each suffix. TTLs and negative TTLs are capped no lower than unbound's.
pub fn horizond(ground: &Ground, forwards: Forwards<'_>, probe_apex: &str) -> Service {
    let addr = address();
    let folder = folder(ground, "horizond", addr);
    let mut config = format!(
        "[listen]\naddresses = [\"{addr}\"]\nshards = 1\n[admit]\nallow = [\"node\"]\n\
         [admin]\naddress = \"\"\ncontrol = \"\"\n"
    );
    for (number, (suffix, server)) in forwards.iter().enumerate() {
        write!(
            config,
            "[[route]]\nname = \"route-{number}\"\nsuffixes = [\"{suffix}.\"]\nprivate = false\n\
             upstreams = [\"{server}\"]\nmax_ttl = \"7d\"\nmax_negative_ttl = \"1d\"\n"
        )
        .unwrap();
    }
    let config = ground.file(&format!("{folder}/horizond.toml"), &config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_horizond"));
    command.arg("run").arg("--config").arg(config).env_remove("HORIZOND_LOG");
    let log = Path::new(&folder).join("log");
    Service::start(&mut command, &log, addr, &probe(probe_apex, &[0]))
}

/// unbound that forwards; it validates where it is given a trust anchor (a DS or DNSKEY record).
pub fn unbound(
    ground: &Ground,
    forwards: Forwards<'_>,
    anchor: Option<&str>,
    probe_apex: &str,
) -> Service {
    let addr = address();
    let folder = folder(ground, "unbound", addr);
    let log = Path::new(&folder).join("log");
    let mut config = format!(
        "server:\n  interface: {}@{}\n  access-control: 127.0.0.0/8 allow_snoop\n\
         \x20 do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{folder}\"\n\
         \x20 pidfile: \"\"\n  use-syslog: no\n  verbosity: 1\n  num-threads: 1\n\
         \x20 do-not-query-localhost: no\n  do-ip6: no\n  unblock-lan-zones: yes\n\
         \x20 insecure-lan-zones: yes\n  qname-minimisation: no\n  minimal-responses: yes\n\
         \x20 rrset-roundrobin: no\n  prefetch: no\n  aggressive-nsec: no\n  deny-any: yes\n\
         \x20 harden-below-nxdomain: no\n  harden-referral-path: no\n  use-caps-for-id: no\n\
         \x20 edns-buffer-size: 1232\n  max-udp-size: 1232\n  cache-max-ttl: 604800\n\
         \x20 cache-max-negative-ttl: 86400\n  ede: yes\n  so-reuseport: no\n\
         \x20 trust-anchor-signaling: no\n  root-key-sentinel: no\n",
        addr.ip(),
        addr.port(),
    );
    match anchor {
        Some(anchor) => {
            writeln!(
                config,
                "  module-config: \"validator iterator\"\n  trust-anchor: \"{anchor}\""
            )
        }
        None => writeln!(config, "  module-config: \"iterator\""),
    }
    .unwrap();
    config += "remote-control:\n  control-enable: no\n";
    for (suffix, server) in forwards {
        writeln!(
            config,
            "forward-zone:\n  name: \"{suffix}.\"\n  forward-first: no\n  forward-addr: {}@{}",
            server.ip(),
            server.port()
        )
        .unwrap();
    }
    let config = ground.file(&format!("{folder}/unbound.conf"), &config);
    let mut command = Command::new(ground.unconfined("unbound"));
    command.arg("-d").arg("-c").arg(config);
    // SERVFAIL is an answer where a validator is given a zone that it must refuse.
    Service::start(&mut command, &log, addr, &probe(probe_apex, &[0, 2]))
}

/// dnsdist with a packet cache.
pub fn dnsdist(ground: &Ground, forwards: Forwards<'_>, probe_apex: &str) -> Service {
    let addr = address();
    let folder = folder(ground, "dnsdist", addr);
    let mut config = format!(
        "setLocal(\"{addr}\")\nsetACL(\"127.0.0.0/8\")\nsetSecurityPollSuffix(\"\")\n\
         setMaxTCPClientThreads(2)\n"
    );
    for (suffix, server) in forwards {
        // No health checks: their names are not among the zones.
        writeln!(
            config,
            "newServer({{address=\"{server}\", pool=\"{suffix}\"}}):setUp()\n\
             getPool(\"{suffix}\"):setCache(newPacketCache(100000, {{maxTTL=604800}}))\n\
             addAction(\"{suffix}.\", PoolAction(\"{suffix}\"))"
        )
        .unwrap();
    }
    let config = ground.file(&format!("{folder}/dnsdist.lua"), &config);
    let mut command = Command::new(ground.unconfined("dnsdist"));
    command.args(["--supervised", "--disable-syslog", "-C"]).arg(config);
    let log = Path::new(&folder).join("log");
    Service::start(&mut command, &log, addr, &probe(probe_apex, &[0]))
}

/// A tool that runs to its end.
pub fn tool(name: &str) -> Command {
    Command::new(find(name).unwrap())
}

/// The absolute path of a new directory.
fn folder(ground: &Ground, program: &str, addr: SocketAddr) -> String {
    let folder = ground.path(&format!("{program}-{}", addr.ip()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.to_str().unwrap().to_owned()
}
