//! The daemon steps aside by itself: dead, stopped or told to end, it leaves pods to the cluster's own
//! DNS behind a simulated kube-proxy, and takes them back when it answers again.
//!
//! With `--nocapture` the tests under load print what became of it (`benches/README.md`):
//! `cargo test --release --test node -- --nocapture --test-threads 1 aside::under_load`.

use std::time::Duration;

use horizond::node::nft::redirect;

use crate::daemon::{ADMIN, Settings};
use crate::http;
use crate::lab::{COREDNS, INTERNET, Lab, NODE_V4};
use crate::pod::Pod;
use crate::process::{PATIENCE, Service, wait_for};
use crate::steering::{CLUSTER_V4, KUBE_PROXY, STAND_IN_V4, ip, nft, ruleset};
use crate::witness::Witness;

mod figures;
mod load;
mod overload;
mod under_load;

/// What the two answer.
const NODE: &str = "192.0.2.10";
const CLUSTER: &str = "192.0.2.96";
/// A record that only the daemon has; it stands behind `[listen]`.
const RECORD: &str =
    "[[local.record]]\nname = \"who.example\"\ntype = \"A\"\nvalue = \"192.0.2.10\"\n";
/// A pod's question may wait its second for nothing before the addresses cease to be alive.
const SOON: Duration = Duration::from_secs(2);

/// The counter of questions to itself without an answer.
const COUNTER: &str = "horizond_node_failures_total{what=\"self\"}";

struct Place {
    lab: Lab,
    pod: Pod,
    _cluster: Witness,
    mode: &'static str,
}

impl Place {
    fn new(mode: &'static str) -> Place {
        let lab = Lab::alone();
        nft(&lab.node, KUBE_PROXY);
        // As a node has it; who asks a Service from there needs any route at all.
        lab.node.ip(&format!("route add default via {INTERNET}\n"));
        let cluster = Witness::start(&lab.coredns, CLUSTER, &[COREDNS]);
        let pod = Pod::new(&lab);
        if mode == "cni" {
            lab.pod.run(|| redirect::add(&[(ip(CLUSTER_V4), ip(STAND_IN_V4))])).unwrap();
        }
        Place { lab, pod, _cluster: cluster, mode }
    }

    fn start(&self) -> Service {
        self.start_with("", Settings::default())
    }

    /// With further lines of `[node]`, and other settings.
    fn start_with(&self, more: &str, settings: Settings<'_>) -> Service {
        let steer = format!("notrack = true\nsteer = [\"{}\"]\n", self.mode);
        let node = format!("{steer}cluster_dns = [\"{CLUSTER_V4}\"]\n{more}\n");
        let listen = format!("{}\n{RECORD}", settings.listen);
        Settings { node: &node, listen: &listen, ..settings }.start(&self.lab)
    }

    /// Who answers a pod that asks the cluster's DNS.
    fn who(&self, options: &str) -> String {
        let question = format!("+timeout=1 @{CLUSTER_V4} {options} who.example A");
        self.pod.dig(&question).data("A").concat()
    }

    /// The same for a pod in the node's own network, or a program of the node.
    fn who_for_host(&self, options: &str) -> String {
        let question = format!("+timeout=1 @{CLUSTER_V4} {options} who.example A");
        Pod::host(&self.lab).dig(&question).data("A").concat()
    }

    fn becomes(&self, who: &str) {
        wait_for(who, SOON, || (self.who("+notcp") == who).then_some(()));
        assert_eq!(self.who("+tcp"), who);
        assert_eq!(self.who("+notcp"), who);
    }
}

fn steps_aside(mode: &'static str) {
    let place = Place::new(mode);
    let mut daemon = place.start();
    place.becomes(NODE);
    // The plugin redirects no pod that is in the node's own network.
    let host = if mode == "cni" { CLUSTER } else { NODE };
    assert_eq!([place.who_for_host("+notcp"), place.who_for_host("+tcp")], [host; 2]);
    let own = format!("+timeout=1 @{NODE_V4} who.example A");
    assert_eq!(place.pod.dig(&own).data("A").concat(), NODE);

    daemon.freeze();
    place.becomes(CLUSTER);
    assert_eq!([place.who_for_host("+notcp"), place.who_for_host("+tcp")], [CLUSTER; 2]);
    daemon.thaw();
    place.becomes(NODE);

    daemon.kill();
    place.becomes(CLUSTER);
    let mut daemon = place.start();
    place.becomes(NODE);

    daemon.terminate();
    assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
    assert_eq!(place.who("+notcp"), CLUSTER);
    assert_eq!(place.who("+tcp"), CLUSTER);
    let left = ruleset(&place.lab.node);
    match mode {
        // Pods that are redirected still need to be led somewhere.
        "cni" => assert!(left.contains(STAND_IN_V4) && !left.contains(NODE_V4), "{left}"),
        _ => assert!(!left.contains("horizond"), "{left}"),
    }
}

/// Alive and deaf: what the node asks itself is thrown away on its way.
#[test]
fn a_deaf_daemon_steps_aside_and_counts_it() {
    let place = Place::new("cni");
    let _daemon = place.start();
    place.becomes(NODE);
    let counted = || {
        let (_, text) = http::get(&place.lab.node, ADMIN, "/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(COUNTER));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap()
    };
    let before = counted();
    nft(
        &place.lab.node,
        "table inet deaf {\n chain input {\n  type filter hook input priority -200\n  \
         iifname lo udp dport 53 drop\n }\n}\n",
    );
    place.becomes(CLUSTER);
    assert!(counted() > before);
    nft(&place.lab.node, "delete table inet deaf\n");
    place.becomes(NODE);
}

#[test]
fn redirected_pods_are_left_to_the_cluster_while_the_daemon_does_not_answer() {
    steps_aside("cni");
}

#[test]
fn with_the_service_address_bound_here_pods_fall_through_while_the_daemon_does_not_answer() {
    steps_aside("service-ip");
}

/// Where the node itself may not ask, nothing shows that the daemon serves. It says what to do.
#[test]
fn a_daemon_that_refuses_its_own_question_takes_no_pods() {
    let place = Place::new("service-ip");
    let settings = Settings { allow: "\"10.244.0.0/16\"", ..Settings::default() };
    let daemon = place.start_with("", settings);
    let hint = "\"node\" in [admit] allow";
    wait_for("the reason", PATIENCE, || daemon.log().contains(hint).then_some(()));
    place.becomes(CLUSTER);
}
