//! Packets through the nf_tables rules: a pod's redirect, and the node's table with its pulse.
//!
//! kube-proxy is played by rules of the test's own: the cluster DNS addresses are nobody's, and are
//! translated to the coredns neighbour. The node's server is a witness on the node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use horizond::node::nft::redirect;
use horizond::node::nft::steer::{Beat, LIFETIME, NodeTable, PULSE, Plan};

use crate::fake_coredns::Place as _;
use crate::lab::{COREDNS, Lab, NODE_V4, NODE_V6};
use crate::netns::Netns;
use crate::pod::Pod;
use crate::process::{PATIENCE, checked, checked_with_input, wait_for};
use crate::witness::Witness;

/// The cluster DNS Service, as in a pod's resolv.conf.
pub const CLUSTER_V4: &str = "10.100.0.10";
pub const CLUSTER_V6: &str = "fd00:10:100::10";
/// What stands in for it on the node.
pub const STAND_IN_V4: &str = "169.254.20.11";
pub const STAND_IN_V6: &str = "fd00:5353::11";
pub const COREDNS_V6: &str = "fd00:10:96::10";
/// What the servers answer.
const NODE: &str = "192.0.2.10";
pub const CLUSTER: &str = "192.0.2.96";
/// After the last beat pods must get answers again within this.
const STEP_ASIDE: Duration = Duration::from_secs(1);

/// kube-proxy's part, in its chains of iptables mode: the cluster DNS Service leads to the coredns
/// neighbour, for what comes to the node and for what the node's own programs send; what does not come from
/// a pod's address is masqueraded; packets that no connection explains are not forwarded.
pub const KUBE_PROXY: &str = "
table ip nat {
  chain KUBE-MARK-MASQ { meta mark set meta mark or 0x4000; }
  chain KUBE-SEP-DNS {
    ip saddr 10.96.0.10 jump KUBE-MARK-MASQ
    meta l4proto { tcp, udp } dnat to 10.96.0.10:53
  }
  chain KUBE-SVC-DNS { ip saddr != 10.244.0.0/16 jump KUBE-MARK-MASQ; jump KUBE-SEP-DNS; }
  chain KUBE-SERVICES {
    ip daddr 10.100.0.10 udp dport 53 jump KUBE-SVC-DNS
    ip daddr 10.100.0.10 tcp dport 53 jump KUBE-SVC-DNS
  }
  chain KUBE-POSTROUTING {
    meta mark and 0x4000 != 0x4000 return
    meta mark set meta mark xor 0x4000
    masquerade fully-random
  }
  chain PREROUTING { type nat hook prerouting priority dstnat; jump KUBE-SERVICES; }
  chain OUTPUT { type nat hook output priority -100; jump KUBE-SERVICES; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; jump KUBE-POSTROUTING; }
}
table ip filter {
  chain KUBE-FIREWALL {
    ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct status and dnat == 0 ct state != { established, related } drop
  }
  chain KUBE-FORWARD {
    ct state invalid drop
    meta mark and 0x4000 == 0x4000 accept
    ct state established,related accept
  }
  chain INPUT { type filter hook input priority filter; jump KUBE-FIREWALL; }
  chain OUTPUT { type filter hook output priority filter; jump KUBE-FIREWALL; }
  chain FORWARD { type filter hook forward priority filter; jump KUBE-FORWARD; }
}
table ip6 nat {
  chain KUBE-SERVICES {
    ip6 daddr fd00:10:100::10 udp dport 53 dnat to [fd00:10:96::10]:53
    ip6 daddr fd00:10:100::10 tcp dport 53 dnat to [fd00:10:96::10]:53
  }
  chain PREROUTING { type nat hook prerouting priority dstnat; jump KUBE-SERVICES; }
  chain OUTPUT { type nat hook output priority -100; jump KUBE-SERVICES; }
}
";

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn pairs() -> Vec<(IpAddr, IpAddr)> {
    vec![(ip(CLUSTER_V4), ip(STAND_IN_V4)), (ip(CLUSTER_V6), ip(STAND_IN_V6))]
}

/// The rules of a namespace as the `nft` program tells them, without counters' values and times.
pub fn ruleset(netns: &Netns) -> String {
    let list = || checked(Command::new("nft").args(["-s", "list", "ruleset"]));
    netns.run(list)
}

pub fn nft(netns: &Netns, rules: &str) {
    netns.run(|| checked_with_input(Command::new("nft").args(["-f", "-"]), rules));
}

/// A daemon's pulse; ends when dropped, as if the daemon had been killed.
struct Pulse {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<NodeTable>>,
}

impl Pulse {
    /// Returns after the first beat.
    fn start(mut table: NodeTable) -> Self {
        assert_eq!(table.beat().unwrap(), Beat::Kept);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(PULSE) == Err(RecvTimeoutError::Timeout) {
                assert_eq!(table.beat().unwrap(), Beat::Kept);
            }
            table
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Ends it; what is alive stays so for a while.
    fn stop(mut self) -> NodeTable {
        drop(self.stop.take());
        self.thread.take().unwrap().join().expect("no beat fails")
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "a beat failed");
        }
    }
}

/// A lab in which the node has its addresses, and kube-proxy leads to the cluster's DNS.
struct Place {
    lab: Lab,
    pod: Pod,
    cluster: Witness,
    server: Option<Witness>,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        lab.node.ip(&format!(
            "addr add {NODE_V4}/32 dev lo\naddr add {STAND_IN_V4}/32 dev lo\n\
             addr add {NODE_V6}/128 dev lo nodad\naddr add {STAND_IN_V6}/128 dev lo nodad\n"
        ));
        nft(&lab.node, KUBE_PROXY);
        let cluster = Witness::start(&lab.coredns, CLUSTER, &[COREDNS, COREDNS_V6]);
        let pod = Pod::new(&lab);
        let mut place = Self { lab, pod, cluster, server: None };
        place.serve(&[NODE_V4, NODE_V6, STAND_IN_V4, STAND_IN_V6]);
        // A fresh link carries no IPv6 before duplicate address detection is through.
        for server in [COREDNS_V6, NODE_V6] {
            wait_for("IPv6", PATIENCE, || (!place.who(server, "").is_empty()).then_some(()));
        }
        place
    }

    fn serve(&mut self, addresses: &[&str]) {
        self.server = None;
        self.server = Some(Witness::start(&self.lab.node, NODE, addresses));
    }

    fn redirect(&self) {
        self.lab.pod.run(|| redirect::add(&pairs()).unwrap());
    }

    fn install(&self, plan: Plan) -> NodeTable {
        self.lab.node.run(|| NodeTable::install(plan).unwrap())
    }

    /// Who answers a pod that asks `server`; empty without an answer. dig gives up after 1 s.
    fn who(&self, server: &str, options: &str) -> String {
        let dig = self.pod.dig(&format!("+timeout=1 @{server} {options} who.example A"));
        dig.data("A").concat()
    }

    fn expect(&self, servers: &[&str], who: &str) {
        for server in servers {
            for options in ["+notcp", "+tcp"] {
                assert_eq!(self.who(server, options), who, "@{server} {options}");
            }
        }
    }

    fn tracked(&self) -> String {
        let read = || std::fs::read_to_string("/proc/thread-self/net/nf_conntrack");
        self.lab.node.run(read).unwrap_or_default()
    }
}

fn steered() -> Plan {
    Plan::new(vec![ip(NODE_V4), ip(NODE_V6)], pairs(), Vec::new()).unwrap()
}

#[test]
fn a_redirected_pod_is_answered_by_the_node_under_the_clusters_address() {
    let place = Place::new();
    place.expect(&[CLUSTER_V4, CLUSTER_V6], CLUSTER);
    place.redirect();
    let before = place.cluster.asked();
    // dig takes an answer only from the address that it asked.
    place.expect(&[CLUSTER_V4, CLUSTER_V6], NODE);
    // Whoever asks the node by its own name gets it too, and so does who asks the cluster's server.
    place.expect(&[NODE_V4, NODE_V6], NODE);
    assert_eq!(place.cluster.asked(), before);
    place.expect(&[COREDNS], CLUSTER);
    for server in [CLUSTER_V4, CLUSTER_V6] {
        let dig = place.pod.dig(&format!("@{server} +ignore long.example TXT"));
        assert!(dig.flags.iter().any(|flag| flag == "tc"), "{}", dig.text);
        let dig = place.pod.dig(&format!("@{server} long.example TXT"));
        let size: usize = dig.data("TXT").iter().map(String::len).sum();
        assert!(size > 58_000, "{size} bytes: {:.500}", dig.text);
    }
    assert!(place.lab.pod.run(redirect::remove).unwrap());
    place.expect(&[CLUSTER_V4, CLUSTER_V6], CLUSTER);
}

#[test]
fn with_the_pulse_queries_come_to_us_and_without_it_they_go_to_the_cluster() {
    let place = Place::new();
    place.redirect();
    let all = [CLUSTER_V4, CLUSTER_V6];
    let table = place.install(steered());
    place.expect(&all, CLUSTER);
    let pulse = Pulse::start(table);
    place.expect(&all, NODE);
    let began = Instant::now();
    while began.elapsed() < LIFETIME * 3 {
        place.expect(&[CLUSTER_V4], NODE);
    }
    // The daemon hangs: it holds its sockets, but beats no more.
    drop(pulse);
    wait_for("the cluster's answers", STEP_ASIDE, || {
        (place.who(CLUSTER_V4, "") == CLUSTER).then_some(())
    });
    place.expect(&all, CLUSTER);
    place.expect(&[NODE_V4, NODE_V6], NODE);
    // The next start finds the table, adopts it, and goes on; and says itself when it rests.
    let mut table = place.install(steered());
    assert!(table.is_whole().unwrap());
    let pulse = Pulse::start(table);
    place.expect(&all, NODE);
    table = pulse.stop();
    table.rest().unwrap();
    place.expect(&all, CLUSTER);
}

#[test]
fn a_killed_server_is_gone_around_though_its_pods_are_redirected() {
    let mut place = Place::new();
    place.redirect();
    let pulse = Pulse::start(place.install(steered()));
    let all = [CLUSTER_V4, CLUSTER_V6];
    place.expect(&all, NODE);
    place.server = None;
    drop(pulse);
    // One query may wait its second for nothing before the addresses cease to be alive.
    for server in all {
        wait_for("the cluster's answers", STEP_ASIDE * 2, || {
            (place.who(server, "") == CLUSTER).then_some(())
        });
    }
    place.expect(&all, CLUSTER);
    place.serve(&[STAND_IN_V4, STAND_IN_V6]);
    let _pulse = Pulse::start(place.install(steered()));
    place.expect(&all, NODE);
}

#[test]
fn no_query_goes_astray_while_a_beat_follows_the_other() {
    let place = Place::new();
    place.redirect();
    let mut table = place.install(steered());
    table.beat().unwrap();
    let before = place.cluster.asked();
    let (stop, stopped) = channel::<()>();
    let beating = std::thread::spawn(move || {
        let mut beats = 0u32;
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            table.beat().unwrap();
            beats += 1;
        }
        beats
    });
    let socket = place.lab.pod.udp("0.0.0.0:0".parse().unwrap()).unwrap();
    socket.connect((ip(CLUSTER_V4), 53)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    // Header, `a.` A IN (RFC 1035, 4.1).
    let mut query = *b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    let mut answer = [0; 512];
    for id in 0..5000u16 {
        query[..2].copy_from_slice(&id.to_be_bytes());
        socket.send(&query).unwrap();
        let length = socket.recv(&mut answer).unwrap_or_else(|e| panic!("query {id}: {e}"));
        assert_eq!(answer[..2], id.to_be_bytes());
        assert_eq!(answer[length - 4..length], ip_octets(NODE), "query {id}");
    }
    drop(stop);
    let beats = beating.join().unwrap();
    assert!(beats > 10, "{beats} beats");
    assert_eq!(place.cluster.asked(), before);
}

fn ip_octets(text: &str) -> [u8; 4] {
    text.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

#[test]
fn a_service_address_that_is_bound_here_is_ours_only_while_we_are_alive() {
    let mut place = Place::new();
    let bind = format!("addr add {CLUSTER_V4}/32 dev lo\naddr add {CLUSTER_V6}/128 dev lo nodad\n");
    place.lab.node.ip(&bind);
    place.serve(&[CLUSTER_V4, CLUSTER_V6]);
    let services = vec![ip(CLUSTER_V4), ip(CLUSTER_V6)];
    let plan = Plan::new(Vec::new(), Vec::new(), services).unwrap();
    let mut table = place.install(plan);
    let all = [CLUSTER_V4, CLUSTER_V6];
    place.expect(&all, CLUSTER);
    let pulse = Pulse::start(table);
    place.expect(&all, NODE);
    table = pulse.stop();
    // The address stays behind, as after a kill -9, and nobody beats any more.
    wait_for("the cluster's answers", STEP_ASIDE, || {
        (place.who(CLUSTER_V4, "") == CLUSTER).then_some(())
    });
    place.expect(&all, CLUSTER);
    table.retire().unwrap();
    assert!(!ruleset(&place.lab.node).contains("horizond"));
}

#[test]
fn queries_to_a_local_address_leave_no_trace_in_connection_tracking() {
    let place = Place::new();
    place.redirect();
    let local = Plan::new(vec![ip(NODE_V4), ip(NODE_V6)], Vec::new(), Vec::new()).unwrap();
    place.expect(&[NODE_V4], NODE);
    assert!(place.tracked().contains(NODE_V4), "without rules it is tracked");
    let table = place.install(local);
    // Ports of the questions: old entries may go meanwhile, new ones must not come.
    let flows = || -> BTreeSet<String> {
        let tracked = place.tracked();
        let ours = tracked
            .lines()
            .filter(|line| line.contains("169.254.20.10") || line.contains("fd00:5353"));
        let sport =
            |line: &str| line.split(' ').find(|word| word.starts_with("sport=")).map(str::to_owned);
        ours.filter_map(sport).collect()
    };
    let before = flows();
    place.expect(&[NODE_V4, NODE_V6], NODE);
    let host = Pod::host(&place.lab);
    host.dig(&format!("@{NODE_V4} who.example A")).expect("NOERROR", "A", &[NODE]);
    assert!(flows().is_subset(&before), "{}", place.tracked());
    let counted = place.lab.node.run(|| checked(Command::new("nft").args(["list", "ruleset"])));
    let v4 = counted.lines().find(|line| line.contains("ip daddr 169.254.20.10 counter")).unwrap();
    assert!(!v4.contains("packets 0 "), "{v4}");
    table.remove().unwrap();
}

#[test]
fn at_the_end_redirected_pods_are_led_to_the_cluster_and_stay_so() {
    let mut place = Place::new();
    place.redirect();
    let pulse = Pulse::start(place.install(steered()));
    place.expect(&[CLUSTER_V4], NODE);
    pulse.stop().retire().unwrap();
    place.server = None;
    let gone = format!("addr del {STAND_IN_V4}/32 dev lo\naddr del {STAND_IN_V6}/128 dev lo\n");
    place.lab.node.ip(&gone);
    place.expect(&[CLUSTER_V4, CLUSTER_V6], CLUSTER);
    let left = ruleset(&place.lab.node);
    assert!(!left.contains(NODE_V4) && left.contains(STAND_IN_V4), "{left}");
}
