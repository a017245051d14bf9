//! The CNI plugin in network namespaces: what it redirects, and that it takes it back.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::pod::Pod;
use crate::steering::{CLUSTER_V4, CLUSTER_V6, STAND_IN_V4, STAND_IN_V6, nft, ruleset};
use crate::witness::Witness;

/// What the node's server answers.
const NODE: &str = "192.0.2.10";

/// A node with a server and a runtime that has one pod.
struct Place {
    lab: Lab,
    pod: Pod,
    records: tempfile::TempDir,
    _server: Witness,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        lab.node.ip(&format!(
            "addr add {NODE_V4}/32 dev lo\naddr add {STAND_IN_V4}/32 dev lo\n\
             addr add {NODE_V6}/128 dev lo nodad\naddr add {STAND_IN_V6}/128 dev lo nodad\n"
        ));
        let addresses = [NODE_V4, NODE_V6, STAND_IN_V4, STAND_IN_V6];
        let _server = Witness::start(&lab.node, NODE, &addresses);
        let (pod, records) = (Pod::new(&lab), tempfile::tempdir().unwrap());
        Self { lab, pod, records, _server }
    }

    fn netns(&self) -> String {
        format!("/run/netns/{}", self.lab.pod.name())
    }

    /// Has the plugin called on the node for the pod's interface, in the pod's namespace or another's.
    fn call_in(&self, netns: &str, verb: &str, more: Value) -> Output {
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": "cbr0", "type": "horizond-cni",
            "podDir": self.records.path(), "redirect": "required",
            "clusterDNS": [CLUSTER_V4, CLUSTER_V6],
            "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.244.1.5/24"}]},
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut command = Command::new(env!("CARGO_BIN_EXE_horizond-cni"));
        command
            .env_clear()
            .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", "c1"), ("CNI_NETNS", netns)])
            .envs([("CNI_IFNAME", "eth0"), ("CNI_PATH", "/opt/cni/bin")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.lab.node.run(|| {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(conf.to_string().as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        })
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
    place.expect(&both, "");
    place.call("ADD", json!({}));
    place.expect(&both, NODE);
    place.expect(&[NODE_V4, NODE_V6], NODE);
    let pairs = json!([[CLUSTER_V4, STAND_IN_V4], [CLUSTER_V6, STAND_IN_V6]]);
    assert_eq!(place.record().unwrap()["redirect"], pairs);
    place.call("CHECK", json!({}));
    // Nothing happened in the node's own namespace.
    assert_eq!(ruleset(&place.lab.node), "");
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
    let place = Place::new();
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
