//! What the daemon keeps on its node: others take it away, a kill leaves it behind, an upgrade comes.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use horizond::node::nft::redirect;

use crate::daemon::{ADMIN, Settings, program};
use crate::http;
use crate::lab::{COREDNS, Lab, NODE_V4, NODE_V6};
use crate::pod::{Pod, addresses};
use crate::process::{PATIENCE, Service, wait_for};
use crate::steering::{
    CLUSTER_V4, CLUSTER_V6, KUBE_PROXY, STAND_IN_V4, STAND_IN_V6, nft, pairs, ruleset,
};
use crate::witness::Witness;

/// What the two answer.
const NODE: &str = "192.0.2.10";
const CLUSTER: &str = "192.0.2.96";
const COREDNS_V6: &str = "fd00:10:96::10";

/// A node with the cluster's DNS behind a kube-proxy.
struct Place {
    lab: Lab,
    pod: Pod,
    _cluster: Witness,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        nft(&lab.node, KUBE_PROXY);
        let cluster = Witness::start(&lab.coredns, CLUSTER, &[COREDNS, COREDNS_V6]);
        let place = Self { pod: Pod::new(&lab), _cluster: cluster, lab };
        // A fresh link carries no IPv6 before duplicate address detection is through.
        wait_for("IPv6", PATIENCE, || (place.who(CLUSTER_V6, "") == CLUSTER).then_some(()));
        place
    }

    /// The daemon's configuration: `node` are lines of `[node]`.
    fn settings(&self, node: &str) -> (String, String) {
        let records = self.records();
        // A record that only the daemon has.
        let listen = format!(
            "[[local.record]]\nname = \"who.example\"\ntype = \"A\"\nvalue = \"{NODE}\"\n\
             [pods]\ndir = \"{}\"\n",
            records.display()
        );
        let cluster = format!("cluster_dns = [\"{CLUSTER_V4}\", \"{CLUSTER_V6}\"]\n");
        (listen, format!("{node}\n{cluster}"))
    }

    fn start(&self, node: &str) -> Service {
        let (listen, node) = self.settings(node);
        Settings { node: &node, listen: &listen, ..Settings::default() }.start(&self.lab)
    }

    fn records(&self) -> std::path::PathBuf {
        self.lab.path("pods")
    }

    /// The plugin's work: the pod is redirected, and there is a record of it.
    fn redirect(&self) {
        self.lab.pod.run(|| redirect::add(&pairs())).unwrap();
        let record = serde_json::json!({
            "version": 1, "network": "cbr0", "container": "c1", "interface": "eth0",
            "netns": "/run/netns/pod", "addresses": ["10.244.1.5"],
            "redirect": [[CLUSTER_V4, STAND_IN_V4], [CLUSTER_V6, STAND_IN_V6]], "when_unix_s": 1,
        });
        self.lab.file("pods/cbr0_c1_eth0.json", &record.to_string());
    }

    /// Who answers a pod that asks `server`; empty without an answer. dig gives up after 1 s.
    fn who(&self, server: &str, options: &str) -> String {
        let dig = self.pod.dig(&format!("+timeout=1 @{server} {options} who.example A"));
        dig.data("A").concat()
    }

    #[track_caller]
    fn becomes(&self, servers: &[&str], who: &str) {
        for server in servers {
            for options in ["+notcp", "+tcp"] {
                let what = format!("{who} @{server} {options}");
                wait_for(&what, PATIENCE, || (self.who(server, options) == who).then_some(()));
            }
        }
    }

    /// `horizond node ...` on the node, with the last configuration.
    fn node(&self, arguments: &[&str]) -> (i32, String) {
        let config = self.lab.path("horizond.toml");
        let (code, out) = on_node(&self.lab, arguments, &config);
        (code.status.code().unwrap(), out)
    }

    fn has(&self, ip: &str) -> bool {
        addresses(&self.lab.node).contains(&format!(" {ip}/"))
    }

    /// The daemon's table without counters and who is alive; empty where there is none.
    fn rules(&self) -> String {
        let list =
            || Command::new("nft").args(["-s", "list", "table", "inet", "horizond_node"]).output();
        let text = String::from_utf8(self.lab.node.run(list).unwrap().stdout).unwrap();
        text.lines().filter(|line| !line.contains("elements")).collect::<Vec<_>>().join("\n")
    }

    fn metric(&self, line: &str) -> bool {
        let (_, text) = http::get(&self.lab.node, ADMIN, "/metrics").unwrap();
        text.lines().any(|l| l == line)
    }
}

fn on_node(lab: &Lab, arguments: &[&str], config: &Path) -> (Output, String) {
    let mut command = Command::new(program());
    command.arg("node").args(arguments).arg("--config").arg(config);
    let output = lab.node.run(|| command.output()).unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(text).unwrap())
}

#[test]
fn clients_get_answers_again_after_addresses_or_the_interface_were_taken_away() {
    let place = Place::new();
    let mut daemon = place.start("steer = [\"cni\"]");
    place.redirect();
    let all = [NODE_V4, NODE_V6, CLUSTER_V4, CLUSTER_V6];
    place.becomes(&all, NODE);
    for damage in [
        format!("addr del {NODE_V4}/32 dev horizond0\naddr del {NODE_V6}/128 dev horizond0\n"),
        "link set horizond0 down\n".to_owned(),
        "link del horizond0\n".to_owned(),
    ] {
        place.lab.node.ip(&damage);
        place.becomes(&all, NODE);
    }
    assert!(place.metric("horizond_link_repairs_total{what=\"interface\"} 1"));
    assert!(place.metric("horizond_link_repairs_total{what=\"up\"} 1"));
    assert!(place.metric("horizond_node_failures_total{what=\"link\"} 0"));
    assert!(place.metric("horizond_rules_repairs_total 0"));
    nft(&place.lab.node, "delete table inet horizond_node\n");
    wait_for("the rules", PATIENCE, || {
        place.metric("horizond_rules_repairs_total 1").then_some(())
    });
    let (code, text) = place.node(&["status"]);
    assert_eq!(code, 0, "{text}");
    daemon.terminate();
    assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
    assert!(!place.has(NODE_V4) && !place.has(STAND_IN_V6), "{}", addresses(&place.lab.node));
}

/// A plugin of another network has its pods led while the table is ours.
#[test]
fn what_a_plugin_adds_for_its_pod_stays() {
    let place = Place::new();
    let _daemon = place.start("steer = [\"cni\"]");
    let record = serde_json::json!({
        "version": 1, "network": "other", "container": "c9", "interface": "eth0",
        "netns": "/run/netns/pod9", "addresses": ["10.244.1.9"],
        "redirect": [["10.97.0.10", "169.254.30.1"]], "when_unix_s": 1,
    });
    let rule = "ip daddr 169.254.30.1 ip daddr set 10.97.0.10";
    let add = format!("add rule inet horizond_node arriving {rule}");
    place.lab.file("pods/other_c9_eth0.json", &record.to_string());
    nft(&place.lab.node, &add);
    // A rule that nobody has written down goes, and by then the other has been looked at too.
    nft(&place.lab.node, "add rule inet horizond_node arriving ip daddr 169.254.30.2 counter");
    wait_for("the odd rule to go", PATIENCE, || {
        (!place.rules().contains("169.254.30.2")).then_some(())
    });
    assert_eq!(place.rules().matches(rule).count(), 1, "{}", place.rules());
    assert!(place.metric("horizond_node_failures_total{what=\"rules\"} 0"));
}

/// The regular look comes after a minute, which this does not wait for.
#[test]
fn rules_that_others_change_are_made_again_at_once() {
    for node in ["notrack = true", "steer = [\"cni\"]"] {
        let place = Place::new();
        let _daemon = place.start(node);
        let whole = place.rules();
        assert!(whole.contains("chain arriving"), "{whole}");
        let damages = [
            "flush table inet horizond_node",
            "flush chain inet horizond_node arriving",
            "delete table inet horizond_node",
            "add rule inet horizond_node arriving counter drop",
            "flush ruleset",
        ];
        for (damage, count) in damages.iter().zip(1..) {
            nft(&place.lab.node, damage);
            wait_for(&format!("the rules after {damage}"), PATIENCE, || {
                (place.rules() == whole).then_some(())
            });
            let line = format!("horizond_rules_repairs_total {count}");
            wait_for(&line, PATIENCE, || place.metric(&line).then_some(()));
        }
        // What others do with rules of their own is no damage.
        nft(&place.lab.node, "add table inet other");
        nft(&place.lab.node, "delete table inet other");
        place.becomes(&[NODE_V4], NODE);
        assert!(place.metric("horizond_rules_repairs_total 5"));
    }
}

#[test]
fn a_service_address_that_a_killed_daemon_left_goes_with_the_next_start() {
    for next in ["", "notrack = true", "steer = [\"cni\"]"] {
        let place = Place::new();
        let clusters = [CLUSTER_V4, CLUSTER_V6];
        let mut daemon = place.start("steer = [\"service-ip\"]");
        place.becomes(&clusters, NODE);
        daemon.kill();
        assert!(place.has(CLUSTER_V4) && place.has(CLUSTER_V6));
        let _daemon = place.start(next);
        assert!(!place.has(CLUSTER_V4) && !place.has(CLUSTER_V6), "{next}");
        place.becomes(&clusters, CLUSTER);
        place.becomes(&[NODE_V4, NODE_V6], NODE);
        let rules = ruleset(&place.lab.node);
        assert_eq!(rules.contains("horizond"), !next.is_empty(), "{next}: {rules}");
        wait_for("status", PATIENCE, || (place.node(&["status"]).0 == 0).then_some(()));
    }
}

#[test]
fn a_daemon_that_is_to_leave_the_host_alone_does_so_and_says_what_is_left() {
    let place = Place::new();
    let mut daemon = place.start("notrack = true");
    daemon.kill();
    let (before, rules) = (addresses(&place.lab.node), ruleset(&place.lab.node));
    let config = place.lab.path("horizond.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let both = format!("[\"{NODE_V4}:53\", \"[{NODE_V6}]:53\"]");
    let text = text
        .replace("interface = \"horizond0\"", "interface = \"\"")
        .replace("notrack = true", "")
        .replace(&both, &format!("[\"{NODE_V4}:53\"]"));
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program());
    command.arg("run").arg("--config").arg(&config);
    let daemon = Service::start(&place.lab.node, &mut command, &place.lab.path("second.log"));
    place.becomes(&[NODE_V4], NODE);
    let left = format!("thing=address {NODE_V6} on horizond0");
    wait_for("the log to tell", PATIENCE, || daemon.log().contains(&left).then_some(()));
    assert!(!daemon.log().contains(&format!("thing=address {NODE_V4}")), "{}", daemon.log());
    assert_eq!((addresses(&place.lab.node), ruleset(&place.lab.node)), (before, rules));
}

#[test]
fn pods_that_are_redirected_outlive_the_mode_that_redirected_them() {
    for next in ["", "notrack = true", "steer = [\"service-ip\"]"] {
        let place = Place::new();
        place.redirect();
        let clusters = [CLUSTER_V4, CLUSTER_V6];
        let mut daemon = place.start("steer = [\"cni\"]");
        place.becomes(&clusters, NODE);
        daemon.kill();
        let mut daemon = place.start(next);
        assert!(!place.has(STAND_IN_V4), "{next}");
        place.becomes(&clusters, CLUSTER);
        let (code, text) = place.node(&["status"]);
        assert_eq!(code, 0, "{next}: {text}");
        let stranded = "169.254.20.11 fd00:5353::11 goes to the cluster's DNS\n";
        assert!(text.contains(stranded), "{text}");
        daemon.terminate();
        assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
        place.becomes(&clusters, CLUSTER);
    }
}

#[test]
fn a_restart_that_leaves_all_in_place_costs_redirected_pods_no_answer() {
    let place = Place::new();
    place.redirect();
    let node = "steer = [\"cni\"]\nnotrack = true\nleave_on_exit = true";
    let mut daemon = place.start(node);
    place.becomes(&[CLUSTER_V4, CLUSTER_V6], NODE);
    let before = ruleset(&place.lab.node);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                for server in [CLUSTER_V4, CLUSTER_V6] {
                    seen.push(place.who(server, "+timeout=2"));
                }
            }
            seen
        });
        for _ in 0..3 {
            daemon.terminate();
            assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
            for ip in [NODE_V4, NODE_V6, STAND_IN_V4, STAND_IN_V6] {
                assert!(place.has(ip), "{ip}");
            }
            let rules = |text: &str| text.lines().filter(|l| !l.contains("elements")).count();
            assert_eq!(rules(&ruleset(&place.lab.node)), rules(&before));
            daemon = place.start(node);
        }
        done.store(true, Ordering::Relaxed);
        let seen = asking.join().unwrap();
        assert!(seen.iter().all(|who| who == NODE || who == CLUSTER), "{seen:?}");
    });
    place.becomes(&[CLUSTER_V4, CLUSTER_V6], NODE);
}

#[test]
fn a_second_daemon_ends_and_the_first_keeps_its_node() {
    let place = Place::new();
    let _daemon = place.start("notrack = true");
    let before = addresses(&place.lab.node);
    let config = place.lab.path("horizond.toml");
    let mut second = Command::new(program());
    second.arg("run").arg("--config").arg(config);
    let output = place.lab.node.run(|| second.output()).unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(addresses(&place.lab.node), before);
    place.becomes(&[NODE_V4, NODE_V6], NODE);
}

#[test]
fn status_says_what_is_amiss_and_what_to_do() {
    let place = Place::new();
    let mut daemon = place.start("notrack = true\nsteer = [\"service-ip\"]");
    let wrong = |part: &str, text: &str| {
        let line = text.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("no {part} in\n{text}"));
        assert!(line.starts_with("WRONG") && line.contains(" -> "), "{line}");
    };
    let (code, text) = place.node(&["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("alive      service-ip: 10.100.0.10 fd00:10:100::10\n"), "{text}");
    assert!(text.contains("address    10.100.0.10 (the cluster's DNS): on horizond0, ours\n"));
    let (code, json) = place.node(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["state"]), (0, &"good".into()), "{json}");

    nft(&place.lab.node, "add rule inet horizond_node queries accept\n");
    let (code, text) = place.node(&["status"]);
    assert_eq!(code, 1, "{text}");
    wrong("inet horizond_node: differs", &text);

    daemon.kill();
    wait_for("the last beat to fade", PATIENCE, || {
        place.node(&["status"]).1.contains("service-ip: not").then_some(())
    });
    let (code, text) = place.node(&["status"]);
    assert_eq!(code, 1, "{text}");
    wrong("horizond   not running", &text);
    wrong(&format!("nobody serves {NODE_V4}:53/udp"), &text);
    wrong("service-ip: not 10.100.0.10 fd00:10:100::10", &text);

    // Another configuration: what the killed one left is left over, and the rest is missing.
    let (listen, node) = place.settings("notrack = true");
    Settings { node: &node, listen: &listen, ..Settings::default() }.write(&place.lab);
    let (code, text) = place.node(&["status"]);
    assert_eq!(code, 1, "{text}");
    wrong(&format!("address {CLUSTER_V6} on horizond0: ours, and not wanted any more"), &text);
    place.lab.node.ip("link del horizond0\n");
    let (_, text) = place.node(&["status"]);
    wrong("interface  horizond0: missing", &text);
    wrong(&format!("address    {NODE_V6}: on no interface"), &text);
}

#[test]
fn what_only_root_may_see_is_said_to_be_unseen() {
    let place = Place::new();
    let _daemon = place.start("notrack = true");
    let run = |verb: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]).arg(program());
        command.args(["node", verb, "--config"]).arg(place.lab.path("horizond.toml"));
        let output = place.lab.node.run(|| command.output()).unwrap();
        let text = String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run("status");
    assert_eq!(code, Some(77), "{text}");
    assert!(text.lines().any(|l| l.starts_with("?      rules") && l.contains("as root")), "{text}");
    assert!(text.contains(&format!("ok     address    {NODE_V6}: on horizond0, ours\n")), "{text}");
    let (code, text) = run("clean");
    assert!(code == Some(69) && text.contains("CAP_NET_ADMIN"), "{text}");
    assert_eq!(place.node(&["status"]).0, 0);
}

#[test]
fn clean_takes_away_what_is_ours_and_nothing_else() {
    let place = Place::new();
    let foreign = "table inet foreign {\n chain c { type filter hook input priority 5; }\n}\n";
    nft(&place.lab.node, foreign);
    let before = (addresses(&place.lab.node), ruleset(&place.lab.node));
    let mut daemon = place.start("notrack = true\nsteer = [\"cni\"]");
    let (code, text) = place.node(&["clean"]);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains("horizond runs (pid ") && text.contains("--force"), "{text}");
    assert_eq!(place.node(&["status"]).0, 0);
    daemon.kill();

    // In somebody else's hands is the interface too, for a while.
    place.lab.node.ip("addr add 192.0.2.77/32 dev horizond0\n");
    let (code, text) = place.node(&["clean"]);
    assert_eq!(code, 0, "{text}");
    let expected = [
        "removed: table inet horizond_node".to_owned(),
        format!("removed: address {NODE_V4} on horizond0"),
        format!("removed: address {STAND_IN_V4} on horizond0"),
        format!("removed: address {NODE_V6} on horizond0"),
        format!("removed: address {STAND_IN_V6} on horizond0"),
        "left: interface horizond0: it carries 192.0.2.77, which is not ours".to_owned(),
    ];
    let sorted = |lines: &mut Vec<&str>| lines.sort_unstable();
    let (mut lines, mut wanted): (Vec<_>, Vec<_>) =
        (text.lines().collect(), expected.iter().map(String::as_str).collect());
    sorted(&mut lines);
    sorted(&mut wanted);
    assert_eq!(lines, wanted);
    place.lab.node.ip("addr del 192.0.2.77/32 dev horizond0\n");
    let (code, text) = place.node(&["clean"]);
    assert_eq!((code, text.as_str()), (0, "removed: interface horizond0\n"));
    let (code, text) = place.node(&["clean"]);
    assert_eq!((code, text.as_str()), (0, "nothing of ours is here\n"));
    assert_eq!((addresses(&place.lab.node), ruleset(&place.lab.node)), before);
}

#[test]
fn clean_leaves_redirected_pods_their_way_to_the_cluster_unless_told_otherwise() {
    let place = Place::new();
    place.redirect();
    let clusters = [CLUSTER_V4, CLUSTER_V6];
    let mut daemon = place.start("notrack = true\nsteer = [\"cni\"]");
    place.becomes(&clusters, NODE);
    daemon.kill();
    let (code, text) = place.node(&["clean"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("left: table inet horizond_node: 1 pod of this node would be"), "{text}");
    assert!(!place.has(NODE_V4) && !place.has(STAND_IN_V4));
    assert!(!ruleset(&place.lab.node).contains(NODE_V4));
    place.becomes(&clusters, CLUSTER);
    let (code, again) = place.node(&["clean"]);
    assert!(code == 0 && again.starts_with("left: table") && again.lines().count() == 1, "{again}");

    let (code, text) = place.node(&["clean", "--all"]);
    assert_eq!((code, text.as_str()), (0, "removed: table inet horizond_node\n"));
    assert_eq!(place.who(CLUSTER_V4, ""), "", "with --all it is asked for");
    // Once the pod has gone nothing is left for it.
    std::fs::remove_dir_all(place.records()).unwrap();
    let (_, text) = place.node(&["clean"]);
    assert_eq!(text, "nothing of ours is here\n");
}

#[test]
fn by_force_a_running_daemon_is_cleaned_too_and_makes_all_of_it_again() {
    let place = Place::new();
    let _daemon = place.start("notrack = true\nsteer = [\"cni\"]");
    let (code, text) = place.node(&["clean", "--force"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("removed: interface horizond0\n"), "{text}");
    wait_for("all to be there again", PATIENCE, || (place.node(&["status"]).0 == 0).then_some(()));
    place.becomes(&[NODE_V4, NODE_V6], NODE);
}
