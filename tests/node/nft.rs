//! The nf_tables rules as the kernel has them, told by the `nft` program: made, found whole or not,
//! made again, removed; and nothing of anybody else's touched.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use horizond::node::nft::steer::{self, Beat, NodeTable, Plan};
use horizond::node::nft::{NftError, redirect};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::netns::Netns;
use crate::process::{checked, wait_for};
use crate::steering::{CLUSTER_V4, STAND_IN_V4, ip, nft, pairs, ruleset};

/// The pod's table, as `nft -s list ruleset` tells it.
const REDIRECT: &str = include_str!("nft/redirect.nft");

/// The node's.
const NODE: &str = include_str!("nft/node.nft");

/// Names that are nearly ours, and a table of our name in another family.
const FOREIGN: &str = "\
table inet horizond2 {
	chain out {
		type filter hook output priority raw; policy accept;
		udp dport 53 counter accept
	}
}
table ip horizond {
	chain out {
		ip daddr 10.100.0.10 drop
	}
}
table ip horizond_node {
}
";

fn plan() -> Plan {
    Plan::new(vec![ip(NODE_V4), ip(NODE_V6)], pairs(), Vec::new()).unwrap()
}

fn install(netns: &Netns, plan: Plan) -> NodeTable {
    netns.run(|| NodeTable::install(plan).unwrap())
}

/// With the numbers that the kernel gives to rules, chains and sets.
fn handles(netns: &Netns) -> String {
    netns.run(|| checked(Command::new("nft").args(["-s", "-a", "list", "ruleset"])))
}

/// Rules of each kind, from `nft -j`.
fn objects(netns: &Netns, kind: &str) -> usize {
    let text = netns.run(|| checked(Command::new("nft").args(["-j", "list", "ruleset"])));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = json["nftables"].as_array().unwrap();
    list.iter().filter(|object| object.get(kind).is_some()).count()
}

#[test]
fn the_redirect_is_these_rules_and_goes_without_a_trace() {
    let lab = Lab::new();
    let pod = &lab.pod;
    assert!(!pod.run(|| redirect::present(&pairs())).unwrap());
    assert!(!pod.run(redirect::remove).unwrap(), "there was none");
    for _ in 0..2 {
        pod.run(|| redirect::add(&pairs())).unwrap();
        assert_eq!(ruleset(pod), REDIRECT);
        let counts = ["table", "chain", "rule", "set"].map(|kind| objects(pod, kind));
        assert_eq!(counts, [1, 2, 8, 0]);
        assert!(pod.run(|| redirect::present(&pairs())).unwrap());
    }
    assert!(pod.run(redirect::remove).unwrap());
    assert_eq!(ruleset(pod), "");
    assert_eq!(ruleset(&lab.node), "", "no other namespace is touched");
}

#[test]
fn a_redirect_that_somebody_changed_is_not_present() {
    let lab = Lab::new();
    let pod = &lab.pod;
    let chain = "type filter hook prerouting priority raw; policy";
    let changes = [
        "flush chain inet horizond in".to_owned(),
        "add rule inet horizond out counter".to_owned(),
        "insert rule inet horizond in udp sport 53 accept".to_owned(),
        "add chain inet horizond more".to_owned(),
        "add set inet horizond more { type ipv4_addr; }".to_owned(),
        format!("add chain inet horizond in {{ {chain} drop; }}"),
        "add table inet horizond { flags dormant; }".to_owned(),
        "delete table inet horizond".to_owned(),
    ];
    for change in changes {
        pod.run(|| redirect::add(&pairs())).unwrap();
        assert!(pod.run(|| redirect::present(&pairs())).unwrap());
        nft(pod, &change);
        assert!(!pod.run(|| redirect::present(&pairs())).unwrap(), "{change}");
    }
    pod.run(|| redirect::add(&pairs())).unwrap();
    let one = &pairs()[..1];
    assert!(!pod.run(|| redirect::present(one)).unwrap(), "more than was asked for");
    let elsewhere = [(ip(CLUSTER_V4), ip("169.254.20.12")), pairs()[1]];
    assert!(!pod.run(|| redirect::present(&elsewhere)).unwrap());
}

#[test]
fn the_nodes_table_is_these_rules_and_is_adopted_as_it_is() {
    let lab = Lab::new();
    let node = &lab.node;
    let mut table = install(node, plan());
    assert_eq!(ruleset(node), NODE);
    assert!(table.is_whole().unwrap());
    let before = handles(node);
    // The table of a daemon that was killed: the same one stays, with its counters.
    drop(table);
    let mut table = install(node, plan());
    assert_eq!(handles(node), before);
    assert!(!table.repair().unwrap());
    // Another plan replaces it.
    let fewer = || Plan::new(vec![ip(NODE_V4)], Vec::new(), Vec::new()).unwrap();
    drop(table);
    let mut table = install(node, fewer());
    assert!(table.is_whole().unwrap());
    assert!(!ruleset(node).contains(STAND_IN_V4));
    table.change(plan()).unwrap();
    assert_eq!((ruleset(node).as_str(), table.plan()), (NODE, &plan()));
    table.remove().unwrap();
    assert_eq!(ruleset(node), "");
}

#[test]
fn a_beat_holds_both_families_and_survives_a_flush_of_all_rules() {
    let lab = Lab::new();
    let node = &lab.node;
    let alive = || {
        let text = node.run(|| checked(Command::new("nft").args(["list", "ruleset"])));
        let lines = text.lines().filter(|line| line.contains("timeout 700ms expires"));
        lines.map(|line| line.split_whitespace().nth(3).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut table = install(node, plan());
    assert_eq!(alive(), [""; 0], "to be installed is not to be alive");
    for _ in 0..20 {
        assert_eq!(table.beat().unwrap(), Beat::Kept);
    }
    assert_eq!(alive(), [STAND_IN_V4, "fd00:5353::11"], "once each, however often");
    nft(node, "flush ruleset");
    assert!(!table.is_whole().unwrap());
    assert_eq!(table.beat().unwrap(), Beat::Repaired);
    assert_eq!(alive().len(), 2, "alive by the same transaction");
    assert_eq!(table.beat().unwrap(), Beat::Kept);
    nft(node, "delete chain inet horizond_node filter_input");
    assert!(table.repair().unwrap());
    assert!(table.is_whole().unwrap());
    assert_eq!(alive().len(), 2);
    table.rest().unwrap();
    assert_eq!(alive().len(), 0);
    assert!(table.repair().is_ok_and(|broken| !broken), "who is alive does not count");
}

#[test]
fn what_others_change_is_known_and_what_we_change_is_not_theirs() {
    let lab = Lab::new();
    let node = &lab.node;
    let mut table = install(node, plan());
    assert!(table.is_touched().unwrap(), "nothing is known at first");
    for _ in 0..3 {
        table.beat().unwrap();
        table.change(plan()).unwrap();
        table.beat().unwrap();
        assert!(!table.is_touched().unwrap());
    }
    for change in [
        "flush chain inet horizond_node queries",
        "add table inet other",
        "delete table inet horizond_node",
        "flush ruleset",
    ] {
        nft(node, change);
        table.beat().unwrap();
        assert!(table.is_touched().unwrap(), "{change}");
        assert!(!table.is_touched().unwrap(), "{change}");
    }
    // Another namespace's are no matter.
    nft(&lab.pod, "add table inet other");
    assert!(!table.is_touched().unwrap());
}

#[test]
fn nobody_elses_table_is_touched() {
    let lab = Lab::new();
    let node = &lab.node;
    nft(node, FOREIGN);
    let before = handles(node);
    node.run(|| redirect::add(&pairs())).unwrap();
    let mut table = install(node, plan());
    table.beat().unwrap();
    assert!(table.is_whole().unwrap());
    assert!(node.run(|| redirect::present(&pairs())).unwrap());
    table.remove().unwrap();
    assert!(node.run(redirect::remove).unwrap());
    assert_eq!(handles(node), before);
}

#[test]
fn the_way_around_is_there_before_the_daemon_and_after_it() {
    let lab = Lab::new();
    let node = &lab.node;
    let present = || ruleset(node).contains("ip daddr 169.254.20.11 ip daddr set 10.100.0.10");
    let ensure = |pairs: &[_]| node.run(|| steer::ensure_fallback(pairs, pairs));
    assert!(ensure(&pairs()).unwrap());
    assert!(present());
    let before = handles(node);
    assert!(!ensure(&pairs()).unwrap());
    assert_eq!(handles(node), before, "what is there stays");
    assert!(node.run(|| steer::has_fallback(&pairs())).unwrap());
    nft(node, "add table inet horizond_node { flags dormant; }\n");
    assert!(!node.run(|| steer::has_fallback(&pairs())).unwrap(), "one that is switched off");
    let error = ensure(&pairs()).unwrap_err();
    assert!(error.to_string().contains("is switched off"), "{error}");
    let table = install(node, plan());
    // A daemon's that leads elsewhere would leave the pod without an answer.
    let before = handles(node);
    let other = vec![(pairs()[0].0, "169.254.20.99".parse().unwrap())];
    let error = ensure(&other).unwrap_err();
    let text = "the rules on this node do not lead 169.254.20.99 to 10.100.0.10: the daemon's";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(node.run(|| steer::has_fallback(&other)).is_err());
    assert_eq!(handles(node), before);
    // So does one without addresses of its own that is alive.
    table.remove().unwrap();
    let mut table = install(node, Plan::new(Vec::new(), pairs(), Vec::new()).unwrap());
    table.beat().unwrap();
    assert!(matches!(ensure(&other), Err(NftError::NotLed { .. })));
    table.change(plan()).unwrap();
    table.retire().unwrap();
    assert!(present());
    assert!(!ruleset(node).contains(NODE_V4));
    assert!(node.run(|| steer::retire_leftover(&pairs())).unwrap());
    assert!(present());
    assert!(node.run(|| steer::retire_leftover(&[])).unwrap());
    assert_eq!(ruleset(node), "");
    assert!(!node.run(|| steer::retire_leftover(&[])).unwrap());
}

/// Without a daemon: pods of one family first, then of the other, then of a corrected configuration.
#[test]
fn a_way_around_that_no_daemon_keeps_grows_with_the_pods() {
    let lab = Lab::new();
    let node = &lab.node;
    let leads = |stand_in: &str, to: &str| {
        let family = if to.contains(':') { "ip6" } else { "ip" };
        ruleset(node).contains(&format!("{family} daddr {stand_in} {family} daddr set {to}\n"))
    };
    let ensure =
        |needed: &[_], all: &[_]| node.run(|| steer::ensure_fallback(needed, all)).unwrap();
    let [v4, v6] = [pairs()[0], pairs()[1]];
    assert!(ensure(&[v4], &[v4]));
    assert!(!node.run(|| steer::has_fallback(&[v6])).unwrap());
    assert!(ensure(&[v6], &[v4, v6]), "another family's");
    assert!(leads(STAND_IN_V4, CLUSTER_V4) && leads("fd00:5353::11", "fd00:10:100::10"));
    assert!(!ensure(&[v4], &[v4, v6]));
    // The cluster's DNS was written wrongly, and the pods that came of it lead nowhere.
    let corrected = (ip("10.43.0.10"), v4.1);
    assert!(!node.run(|| steer::has_fallback(&[corrected])).unwrap());
    assert!(ensure(&[corrected], &[corrected]));
    assert!(leads(STAND_IN_V4, "10.43.0.10") && !leads(STAND_IN_V4, CLUSTER_V4));
    assert!(leads("fd00:5353::11", "fd00:10:100::10"), "what is not in the way stays");
    assert!(node.run(|| steer::has_fallback(&[corrected, v6])).unwrap());
    // With all pairs at the first pod.
    nft(node, "delete table inet horizond_node\n");
    assert!(ensure(&[v4], &pairs()));
    assert!(leads(STAND_IN_V4, CLUSTER_V4) && leads("fd00:5353::11", "fd00:10:100::10"));
    // Not without end.
    let many = |n: u8| (ip(&format!("10.97.0.{n}")), ip(&format!("169.254.30.{n}")));
    for n in 1..=62 {
        assert!(ensure(&[many(n)], &[]), "{n}");
    }
    let error = node.run(|| steer::ensure_fallback(&[many(63)], &[])).unwrap_err();
    assert!(error.to_string().contains("65 addresses; at most"), "{error}");
}

#[test]
fn without_the_capability_the_error_says_what_and_why() {
    let lab = Lab::new();
    let error = lab.pod.run(|| {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        redirect::add(&pairs()).unwrap_err()
    });
    assert!(matches!(error, NftError::NotPermitted { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("cannot commit the changes to nf_tables: not permitted"), "{text}");
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
    assert_eq!(ruleset(&lab.pod), "");
}

/// `nft` with a table of our name that nobody else may change while it runs.
struct Owner(Child);

impl Owner {
    fn start(netns: &Netns) -> Self {
        let mut command = Command::new("nft");
        command.arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = netns.run(|| command.spawn()).unwrap();
        let table = b"add table inet horizond { flags owner; }\n";
        child.stdin.as_mut().unwrap().write_all(table).unwrap();
        let owned = || ruleset(netns).contains("horizond").then_some(());
        wait_for("the table of another process", crate::process::PATIENCE, owned);
        Self(child)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_table_that_another_process_owns_is_refused_whole() {
    let lab = Lab::new();
    let owner = Owner::start(&lab.pod);
    let before = ruleset(&lab.pod);
    let error = lab.pod.run(|| redirect::add(&pairs()).unwrap_err());
    let text = error.to_string();
    assert!(text.starts_with("cannot make the table inet horizond: not permitted"), "{text}");
    assert!(text.contains("no other process may own the table"), "{text}");
    assert_eq!(ruleset(&lab.pod), before, "nothing was changed");
    drop(owner);
    wait_for("the table to go with its owner", crate::process::PATIENCE, || {
        ruleset(&lab.pod).is_empty().then_some(())
    });
    lab.pod.run(|| redirect::add(&pairs())).unwrap();
}

#[test]
fn a_reader_beside_a_writer_sees_whole_tables_only() {
    let lab = Lab::new();
    let pod = &lab.pod;
    let many = |last: u8| -> Vec<(IpAddr, IpAddr)> {
        let pair = |n| (IpAddr::from([10, 96, 0, n]), IpAddr::from([169, 254, 20, n]));
        (1..=last).map(pair).collect()
    };
    pod.run(|| redirect::add(&many(32))).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // What is there already would not be written again.
            for last in [30, 32].into_iter().cycle().take(50) {
                pod.run(|| redirect::add(&many(last))).unwrap();
            }
        });
        // The reading is of several lists: a swap between them makes it not whole, a swap within
        // each of five readings of one is told; never is it a redirect that nobody asked for.
        let read = |pairs: &[(IpAddr, IpAddr)]| match pod.run(|| redirect::present(pairs)) {
            Ok(present) => present,
            Err(error) => {
                assert!(error.to_string().contains("the rules changed each time"), "{error}");
                false
            }
        };
        while !writer.is_finished() {
            read(&many(32));
            assert!(!read(&many(31)));
        }
        writer.join().unwrap();
    });
    assert!(pod.run(|| redirect::present(&many(32))).unwrap());
}
