//! The CNI plugin in network namespaces: what it redirects, and that it takes it back.

use std::process::{Command, Output};

use serde_json::{Value, json};

use horizond::node::nft::steer::{NodeTable, Plan};

use crate::lab::{COREDNS, Lab, NODE_V4, NODE_V6};
use crate::pod::Pod;
use crate::process::{PATIENCE, wait_for, with_input};
use crate::steering::{
    CLUSTER, CLUSTER_V4, CLUSTER_V6, COREDNS_V6, KUBE_PROXY, STAND_IN_V4, STAND_IN_V6, ip, nft,
    pairs, ruleset,
};
use crate::witness::Witness;

/// What the node's server answers.
const NODE: &str = "192.0.2.10";

/// A node with a server and a runtime that has one pod.
struct Place {
    lab: Lab,
    pod: Pod,
    records: tempfile::TempDir,
    _server: Option<Witness>,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        lab.node.ip(&format!(
            "addr add {NODE_V4}/32 dev lo\naddr add {STAND_IN_V4}/32 dev lo\n\
             addr add {NODE_V6}/128 dev lo nodad\naddr add {STAND_IN_V6}/128 dev lo nodad\n"
        ));
        let addresses = [NODE_V4, NODE_V6, STAND_IN_V4, STAND_IN_V6];
        let server = Witness::start(&lab.node, NODE, &addresses);
        // What the daemon does, which answers for as long as the test lasts.
        let plan = Plan::new(vec![], pairs(), vec![]).unwrap();
        lab.node.run(|| NodeTable::install(plan)).unwrap();
        nft(
            &lab.node,
            &format!(
                "add element inet horizond_node alive4 {{ {STAND_IN_V4} timeout 1h }}\n\
                 add element inet horizond_node alive6 {{ {STAND_IN_V6} timeout 1h }}\n"
            ),
        );
        Self::of(lab, Some(server))
    }

    /// One whose daemon has never run.
    fn bare() -> Self {
        Self::of(Lab::new(), None)
    }

    fn of(lab: Lab, server: Option<Witness>) -> Self {
        let (pod, records) = (Pod::new(&lab), tempfile::tempdir().unwrap());
        Self { lab, pod, records, _server: server }
    }

    fn netns(&self) -> String {
        format!("/run/netns/{}", self.lab.pod.name())
    }

    /// Has the plugin called on the node for the pod's interface, in the pod's namespace or another's.
    fn call_in(&self, netns: &str, verb: &str, more: Value) -> Output {
        self.call_as(netns, verb, more, &[])
    }

    /// Likewise with these variables, instead of the usual ones.
    fn call_as(&self, netns: &str, verb: &str, more: Value, set: &[(&str, &str)]) -> Output {
        let command = Command::new(env!("CARGO_BIN_EXE_horizond-cni"));
        self.call_by(command, netns, verb, more, set)
    }

    /// Likewise by this command.
    fn call_by(
        &self,
        mut command: Command,
        netns: &str,
        verb: &str,
        more: Value,
        set: &[(&str, &str)],
    ) -> Output {
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": "cbr0", "type": "horizond-cni",
            "podDir": self.records.path(), "redirect": "required",
            "clusterDNS": [CLUSTER_V4, CLUSTER_V6],
            "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.244.1.5/24"}]},
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        command
            .env_clear()
            .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", "c1"), ("CNI_NETNS", netns)])
            .envs([("CNI_IFNAME", "eth0"), ("CNI_PATH", "/opt/cni/bin")])
            .envs(set.iter().copied());
        self.lab.node.run(|| with_input(&mut command, &conf.to_string()))
    }

    #[track_caller]
    fn call(&self, verb: &str, more: Value) {
        let output = self.call_in(&self.netns(), verb, more);
        assert!(output.status.success() && output.stderr.is_empty(), "{verb}: {output:?}");
    }

    #[track_caller]
    fn fails(&self, verb: &str, code: u32) {
        let output = self.call_in(&self.netns(), verb, json!({}));
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(!output.status.success() && error["code"] == code, "{output:?}");
    }

    /// Who answers the pod on the cluster's DNS addresses; nobody is there but for a redirect.
    #[track_caller]
    fn expect(&self, servers: &[&str], who: &str) {
        for server in servers {
            for transport in ["+notcp", "+tcp"] {
                let options = "+timeout=1 +tries=1";
                let dig = self.pod.dig(&format!("{options} @{server} {transport} who.example A"));
                assert_eq!(dig.data("A").concat(), who, "@{server} {transport}");
            }
        }
    }

    fn record(&self) -> Option<Value> {
        let bytes = std::fs::read(self.records.path().join("cbr0_c1_eth0.json")).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }
}

#[test]
fn a_pod_is_redirected_from_add_to_del() {
    let place = Place::new();
    let both = [CLUSTER_V4, CLUSTER_V6];
    let rules = ruleset(&place.lab.node);
    place.expect(&both, "");
    place.call("ADD", json!({}));
    place.expect(&both, NODE);
    place.expect(&[NODE_V4, NODE_V6], NODE);
    let pairs = json!([[CLUSTER_V4, STAND_IN_V4], [CLUSTER_V6, STAND_IN_V6]]);
    assert_eq!(place.record().unwrap()["redirect"], pairs);
    place.call("CHECK", json!({}));
    assert_eq!(ruleset(&place.lab.node), rules, "nothing happened in the node's own namespace");
    place.call("DEL", json!({}));
    place.expect(&both, "");
    assert_eq!((ruleset(&place.lab.pod).as_str(), place.record()), ("", None));
    place.call("DEL", json!({}));
}

#[test]
fn check_sees_what_others_did_to_the_redirect() {
    let place = Place::new();
    place.call("ADD", json!({}));
    nft(&place.lab.pod, "add rule inet horizond out accept\n");
    place.fails("CHECK", 102);
    nft(&place.lab.pod, "delete table inet horizond\n");
    place.fails("CHECK", 102);
    // ADD again mends it.
    place.call("ADD", json!({}));
    place.call("CHECK", json!({}));
    place.call("DEL", json!({}));
}

#[test]
fn pods_that_are_left_alone_and_nameservers_that_are_not_the_clusters() {
    let place = Place::new();
    let annotated = |key: &str, value: &str| json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {key: value}}});
    for more in [
        json!({"redirect": "off"}),
        annotated("horizond.io/dns", "off"),
        annotated("sidecar.istio.io/status", "{}"),
        json!({"runtimeConfig": {"dns": {"Servers": ["192.0.2.53"]}}}),
    ] {
        place.call("ADD", more.clone());
        assert_eq!(ruleset(&place.lab.pod), "", "{more}");
        place.call("CHECK", more);
        place.call("DEL", json!({}));
    }
    place.call("ADD", json!({"runtimeConfig": {"dns": {"Servers": [CLUSTER_V6]}}}));
    let rules = ruleset(&place.lab.pod);
    assert!(rules.contains(CLUSTER_V6) && !rules.contains(CLUSTER_V4), "{rules}");
    place.call("DEL", json!({}));
}

#[test]
fn the_nodes_namespace_and_one_that_is_gone() {
    let place = Place::bare();
    let own = format!("/run/netns/{}", place.lab.node.name());
    let output = place.call_in(&own, "ADD", json!({}));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["code"], 100, "{output:?}");
    assert!(error["details"].as_str().unwrap().ends_with("is the network namespace of the node"));
    assert_eq!((ruleset(&place.lab.node).as_str(), place.record()), ("", None));
    // A pod whose namespace went first goes without a word.
    place.call("ADD", json!({}));
    let output = place.call_in("/run/netns/hz-none", "DEL", json!({}));
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    assert_eq!(place.record(), None);
}

/// A container's second attachment, in the same namespace.
const SECOND: [(&str, &str); 1] = [("CNI_IFNAME", "net1")];

#[test]
fn a_pod_of_a_node_whose_daemon_never_ran_is_answered_by_the_cluster() {
    let lab = Lab::new();
    nft(&lab.node, KUBE_PROXY);
    let _cluster = Witness::start(&lab.coredns, CLUSTER, &[COREDNS, COREDNS_V6]);
    let place = Place::of(lab, None);
    wait_for("IPv6", PATIENCE, || {
        let dig = place.pod.dig(&format!("+timeout=1 +tries=1 @{COREDNS_V6} who.example A"));
        (dig.data("A").concat() == CLUSTER).then_some(())
    });
    let both = [CLUSTER_V4, CLUSTER_V6];
    place.call("ADD", json!({}));
    assert!(ruleset(&place.lab.pod).contains(STAND_IN_V4), "it is redirected");
    place.expect(&both, CLUSTER);
    place.call("CHECK", json!({}));
    // And when somebody has flushed the node's rules, that is seen, and mended by the next pod's ADD.
    nft(&place.lab.node, "delete table inet horizond_node\n");
    place.expect(&both, "");
    place.fails("CHECK", 102);
    place.call("ADD", json!({}));
    place.expect(&both, CLUSTER);
}

#[test]
fn rules_of_a_daemon_that_has_other_addresses() {
    let place = Place::bare();
    let other = vec![(ip(CLUSTER_V4), ip("169.254.20.99"))];
    let plan = Plan::new(vec![ip(NODE_V4)], other, vec![]).unwrap();
    place.lab.node.run(|| NodeTable::install(plan)).unwrap();
    let rules = ruleset(&place.lab.node);
    let why = "the rules on this node do not lead 169.254.20.11 to 10.100.0.10";
    let told = |output: &Output| String::from_utf8_lossy(&output.stdout).contains(why);
    let output = place.call_in(&place.netns(), "ADD", json!({}));
    assert!(!output.status.success() && told(&output), "{output:?}");
    let output = place.call_in(&place.netns(), "STATUS", json!({}));
    assert!(!output.status.success() && told(&output), "{output:?}");
    assert_eq!((ruleset(&place.lab.pod).as_str(), place.record()), ("", None));
    let output = place.call_in(&place.netns(), "ADD", json!({"redirect": "preferred"}));
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains(why));
    assert_eq!(ruleset(&place.lab.pod), "");
    assert_eq!(place.record().unwrap()["redirect"], json!([]));
    assert_eq!(ruleset(&place.lab.node), rules, "the daemon's rules are its own");
    place.call("STATUS", json!({"redirect": "preferred"}));
}

#[test]
fn attachments_made_side_by_side_are_all_redirected() {
    let place = Place::bare();
    let netns = place.netns();
    let network = |n: usize| {
        json!({"name": format!("net{n}"), "clusterDNS": [format!("10.100.1.{n}")],
            "standIns": [format!("169.254.21.{n}")], "redirect": "required"})
    };
    let all = |verb: &str| {
        std::thread::scope(|scope| {
            let one = |n| {
                let (place, netns, verb) = (&place, &netns, verb);
                scope.spawn(move || {
                    let name = format!("net{n}");
                    place.call_as(netns, verb, network(n), &[("CNI_IFNAME", &name)])
                })
            };
            let calls: Vec<_> = (1..=8).map(one).collect();
            for call in calls {
                let output = call.join().unwrap();
                assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            }
        });
    };
    for _ in 0..5 {
        all("ADD");
        // Each has its own addresses to lead, and the first one's table lacked the others'.
        let rules = ruleset(&place.lab.node);
        for n in 1..=8 {
            let rule = format!("ip daddr 169.254.21.{n} ip daddr set 10.100.1.{n}\n");
            assert!(rules.contains(&rule), "{n}: {rules}");
        }
        let rules = ruleset(&place.lab.pod);
        for n in 1..=8 {
            assert!(rules.contains(&format!("ip daddr set 169.254.21.{n}\n")), "{n}: {rules}");
        }
        all("CHECK");
        all("DEL");
        assert_eq!(ruleset(&place.lab.pod), "");
        nft(&place.lab.node, "delete table inet horizond_node\n");
    }
}

#[test]
fn a_second_attachment_shares_the_redirect_and_takes_none_away() {
    let place = Place::new();
    let netns = place.netns();
    let second = |verb: &str| {
        let output = place.call_as(&netns, verb, json!({"name": "net2"}), &SECOND);
        assert!(output.status.success() && output.stderr.is_empty(), "{verb}: {output:?}");
    };
    place.call("ADD", json!({}));
    let rules = ruleset(&place.lab.pod);
    second("ADD");
    assert_eq!(ruleset(&place.lab.pod), rules, "not twice");
    second("DEL");
    place.expect(&[CLUSTER_V4, CLUSTER_V6], NODE);
    place.call("CHECK", json!({}));
    // The other way round: the first one goes first.
    second("ADD");
    place.call("DEL", json!({}));
    place.expect(&[CLUSTER_V4, CLUSTER_V6], NODE);
    second("CHECK");
    second("DEL");
    assert_eq!(ruleset(&place.lab.pod), "");
}

#[test]
fn without_the_capability_add_says_so_and_leaves_nothing() {
    let place = Place::bare();
    let netns = place.netns();
    for (redirect, succeeds) in [("required", false), ("preferred", true)] {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--bounding-set", "-net_admin", env!("CARGO_BIN_EXE_horizond-cni")]);
        let output = place.call_by(command, &netns, "ADD", json!({"redirect": redirect}), &[]);
        assert_eq!(output.status.success(), succeeds, "{output:?}");
        let text = if succeeds { &output.stderr } else { &output.stdout };
        let text = String::from_utf8_lossy(text);
        assert!(text.contains("CAP_NET_ADMIN"), "{text}");
        assert_eq!(ruleset(&place.lab.pod), "");
        assert_eq!(ruleset(&place.lab.node), "");
        assert_eq!(place.record().is_some(), succeeds);
    }
}
