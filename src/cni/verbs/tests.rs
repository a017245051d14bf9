#![allow(clippy::unwrap_used)]
use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::cni::record::{NamespaceId, PodRecord, SearchFrom};
use crate::cni::redirect::{Namespace, RedirectError};
use crate::node::nft::NftError;

/// Namespaces' redirects as a table in memory; can be made to fail.
#[derive(Default)]
struct FakeRedirector {
    made: RefCell<Vec<(PathBuf, Vec<Pair>)>>,
    /// What the node leads to the cluster's DNS.
    led: RefCell<Vec<Pair>>,
    broken: Cell<Option<Broken>>,
    held: Cell<bool>,
    /// That of every namespace.
    inode: Cell<u64>,
}

/// What does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Entering a namespace.
    Entering,
    /// Changing its rules.
    Adding,
    /// Leading, because the daemon has other addresses.
    Leading,
    /// Entering, because another process is there.
    Held,
}

impl FakeRedirector {
    fn of(&self, netns: &str) -> Option<String> {
        let made = self.made.borrow();
        let (_, pairs) = made.iter().find(|(path, _)| path == Path::new(netns))?;
        Some(pairs.iter().map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" "))
    }

    fn forget(&self) {
        self.made.borrow_mut().clear();
    }

    fn lead(&self, pairs: &[Pair]) -> Result<bool, RedirectError> {
        if self.broken.get() == Some(Broken::Leading) {
            let (cluster, stand_in) = pairs[0];
            return Err(NftError::NotLed { cluster, stand_in }.into());
        }
        Ok(pairs.iter().all(|pair| self.led.borrow().contains(pair)))
    }
}

struct FakeNamespace<'a> {
    of: &'a FakeRedirector,
    path: PathBuf,
}

impl Redirector for FakeRedirector {
    fn hold<'a>(&'a self, netns: &Path) -> Result<Option<Box<dyn Namespace + 'a>>, RedirectError> {
        assert!(!self.held.replace(true), "one at a time");
        let namespace = FakeNamespace { of: self, path: netns.to_owned() };
        if self.broken.get() == Some(Broken::Entering) {
            let source = io::Error::from_raw_os_error(libc::EPERM);
            return Err(RedirectError::Enter { path: netns.to_owned(), source });
        }
        if self.broken.get() == Some(Broken::Held) {
            return Err(RedirectError::Held { path: netns.to_owned() });
        }
        Ok((!netns.ends_with("gone")).then_some(Box::new(namespace)))
    }

    fn lead(&self, pairs: &[Pair], all: &[Pair]) -> Result<(), RedirectError> {
        if !FakeRedirector::lead(self, pairs)? {
            self.led.borrow_mut().extend(pairs.iter().chain(all));
        }
        Ok(())
    }

    fn leads(&self, pairs: &[Pair]) -> Result<bool, RedirectError> {
        FakeRedirector::lead(self, pairs)
    }
}

impl Drop for FakeNamespace<'_> {
    fn drop(&mut self) {
        self.of.held.set(false);
    }
}

impl Namespace for FakeNamespace<'_> {
    fn id(&self) -> NamespaceId {
        NamespaceId(4, self.of.inode.get())
    }

    fn add(&self, pairs: &[Pair]) -> Result<(), RedirectError> {
        self.remove()?;
        self.of.made.borrow_mut().push((self.path.clone(), pairs.to_vec()));
        // As a kernel that has done it and answers too late.
        match self.of.broken.get() {
            Some(Broken::Adding) => Err(NftError::Timeout { what: "add".into() }.into()),
            _ => Ok(()),
        }
    }

    fn present(&self, pairs: &[Pair]) -> Result<bool, RedirectError> {
        Ok(self.of.made.borrow().contains(&(self.path.clone(), pairs.to_vec())))
    }

    fn remove(&self) -> Result<(), RedirectError> {
        self.of.made.borrow_mut().retain(|(path, _)| *path != self.path);
        Ok(())
    }
}

/// A node: a directory for records, redirects, and one pod's calls.
struct Node {
    home: TempDir,
    redirector: FakeRedirector,
}

impl Node {
    fn new() -> Node {
        Node { home: tempfile::tempdir().unwrap(), redirector: FakeRedirector::default() }
    }

    fn conf(&self, more: Value) -> Value {
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": "cbr0", "type": "horizond-cni",
            "podDir": self.home.path().join("pods"),
            "prevResult": {
                "cniVersion": "1.1.0",
                "ips": [{"address": "10.244.0.5/24", "interface": 0}, {"address": "fd00::5/64"}],
                "of-the-future": {"kept": [1, 2]},
            },
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conf
    }

    fn call(&self, verb: &str, container: &str, interface: &str, conf: &Value) -> Outcome {
        let variables = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", "/run/netns/pod"),
            ("CNI_IFNAME", interface),
            ("CNI_PATH", "/opt/cni/bin"),
            ("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=u-1"),
        ];
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        run(&Call::read(get), conf.to_string().as_bytes(), &self.redirector, now)
    }

    fn pod(&self, verb: &str, more: Value) -> Outcome {
        self.call(verb, "c1", "eth0", &self.conf(more))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.path().join("pods")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn record(&self, file: &str) -> PodRecord {
        let bytes = std::fs::read(self.home.path().join("pods").join(file)).unwrap();
        PodRecord::parse(&bytes).unwrap()
    }
}

#[track_caller]
fn silent(outcome: &Outcome) {
    let nothing = Outcome { stdout: String::new(), warnings: vec![], failed: false };
    assert_eq!(*outcome, nothing);
}

#[track_caller]
fn refused(outcome: &Outcome, code: u32, details: &str) {
    let error: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(outcome.failed && error["code"] == code, "{outcome:?}");
    assert!(error["details"].as_str().unwrap().contains(details), "{outcome:?}");
}

const FILE: &str = "cbr0_c1_eth0.json";
const PAIR: &str = "10.96.0.10>169.254.20.11";

#[test]
fn a_pods_life() {
    let node = Node::new();
    let dns = json!({"dns": {
        "Servers": ["10.96.0.10"], "Searches": ["default.svc.cluster.local", "cluster.local"],
        "Options": ["ndots:5"]}});
    let outcome = node.pod("ADD", json!({"runtimeConfig": dns}));
    assert!(!outcome.failed && outcome.warnings.is_empty(), "{outcome:?}");
    let result: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let expected = json!({
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.244.0.5/24", "interface": 0}, {"address": "fd00::5/64"}],
        "of-the-future": {"kept": [1, 2]},
        "dns": {"nameservers": ["169.254.20.10"], "options": ["ndots:5"],
            "search": ["default.svc.cluster.local", "cluster.local"]},
    });
    assert_eq!(result, expected);
    assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some(PAIR));
    assert_eq!(node.files(), [FILE]);
    let pair = ("10.96.0.10".parse().unwrap(), "169.254.20.11".parse().unwrap());
    let expected = PodRecord {
        version: 1,
        network: "cbr0".into(),
        container: "c1".into(),
        interface: "eth0".into(),
        netns: "/run/netns/pod".into(),
        netns_id: Some(NamespaceId(4, 0)),
        addresses: vec!["10.244.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        namespace: Some("default".into()),
        pod: Some("web-0".into()),
        uid: Some("u-1".into()),
        search: vec!["default.svc.cluster.local".into(), "cluster.local".into()],
        search_from: SearchFrom::Runtime,
        ndots: Some(5),
        redirect: vec![pair],
        when_unix_s: 1_780_000_000,
    };
    assert_eq!(node.record(FILE), expected);
    silent(&node.pod("CHECK", json!({})));
    silent(&node.pod("DEL", json!({})));
    silent(&node.pod("DEL", json!({"prevResult": null})));
    assert_eq!((node.redirector.of("/run/netns/pod"), node.files()), (None, vec![]));
}

#[test]
fn a_redirect_that_fails() {
    for (broken, why) in [
        (Broken::Entering, "cannot enter the network namespace /run/netns/pod"),
        (Broken::Adding, "cannot add: the kernel did not answer"),
        (Broken::Leading, "the rules on this node do not lead 169.254.20.11 to 10.96.0.10"),
    ] {
        let node = Node::new();
        node.redirector.broken.set(Some(broken));
        let outcome = node.pod("ADD", json!({"redirect": "required"}));
        refused(&outcome, 100, why);
        assert!(node.files().is_empty(), "a failed ADD leaves nothing");
        assert_eq!(node.redirector.of("/run/netns/pod"), None, "nor what came too late");
        node.redirector.held.set(false);
        let outcome = node.pod("ADD", json!({"redirect": "preferred"}));
        assert!(!outcome.failed && outcome.warnings.len() == 1, "{outcome:?}");
        assert!(outcome.warnings[0].starts_with("the DNS of container c1 is not redirected"));
        assert!(outcome.warnings[0].contains(why), "{outcome:?}");
        assert!(node.record(FILE).redirect.is_empty());
        assert_eq!(node.redirector.of("/run/netns/pod"), None);
        silent(&node.pod("CHECK", json!({})));
        silent(&node.pod("DEL", json!({})));
        silent(&node.pod("ADD", json!({"redirect": "off"})).without_result());
    }
}

#[test]
fn an_add_that_fails_leaves_the_other_attachment_redirected() {
    let node = Node::new();
    let second = node.conf(json!({"name": "net2", "clusterDNS": ["10.43.0.10"],
        "standIns": ["169.254.9.9"], "redirect": "required"}));
    silent(&node.pod("ADD", json!({})).without_result());
    node.redirector.broken.set(Some(Broken::Adding));
    refused(&node.call("ADD", "c1", "eth1", &second), 100, "did not answer");
    assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some(PAIR));
    assert_eq!(node.files(), [FILE]);
}

#[test]
fn a_record_that_cannot_be_written() {
    let node = Node::new();
    let taken = node.conf(json!({"name": "a_b", "redirect": "preferred"}));
    silent(&node.call("ADD", "c", "eth0", &taken).without_result());
    // The other one's file has this one's name.
    for redirect in ["preferred", "required", "off"] {
        let conf = node.conf(json!({"name": "a", "redirect": redirect}));
        refused(&node.call("ADD", "b_c", "eth0", &conf), 5, "the record of a_b, c, eth0");
        assert_eq!(node.files(), ["a_b_c_eth0.json"]);
    }
    silent(&node.call("CHECK", "c", "eth0", &taken));
}

#[test]
fn a_pod_has_its_own_word() {
    let word = |word: &str| json!({"io.kubernetes.cri.pod-annotations": {"horizond.io/dns": word}});
    let dns = json!({"nameservers": ["192.0.2.1"], "search": ["its.own"]});
    for (redirect, said, redirected, warns) in [
        ("preferred", "off", false, false),
        ("required", " off ", false, false),
        ("off", "preferred", true, false),
        ("off", "required", true, false),
        ("off", "on", false, true),
        ("preferred", "Off", true, true),
        ("preferred", "x\ny", true, true),
    ] {
        let node = Node::new();
        let previous = json!({"cniVersion": "1.1.0", "dns": dns});
        let keys = json!({"redirect": redirect, "runtimeConfig": word(said),
            "prevResult": previous});
        let outcome = node.pod("ADD", keys);
        assert_eq!(node.redirector.of("/run/netns/pod").is_some(), redirected, "{redirect} {said}");
        assert_eq!(outcome.warnings.len(), usize::from(warns), "{outcome:?}");
        assert!(
            outcome.warnings.iter().all(|line| line.contains("none of \"required\"")
                && line.contains("horizond.io/dns")
                && !line.contains('\n')),
            "{outcome:?}"
        );
        // One that is left alone keeps what the plugins before us said.
        let result: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let (own, ours) = (json!(["192.0.2.1"]), json!(["169.254.20.10"]));
        let left_alone = said.trim() == "off";
        assert_eq!(result["dns"]["nameservers"], if left_alone { own } else { ours }, "{said}");
        assert_eq!(result["dns"]["search"], json!(["its.own"]));
        assert_eq!(node.files(), [FILE]);
    }
    let node = Node::new();
    node.redirector.broken.set(Some(Broken::Leading));
    refused(&node.pod("ADD", json!({"runtimeConfig": word("required")})), 100, "do not lead");
    let preferred = json!({"redirect": "required", "runtimeConfig": word("preferred")});
    let outcome = node.pod("ADD", preferred);
    assert!(!outcome.failed && outcome.warnings.len() == 1, "{outcome:?}");
}

impl Outcome {
    fn without_result(self) -> Outcome {
        assert!(!self.stdout.is_empty());
        Outcome { stdout: String::new(), ..self }
    }
}

#[test]
fn check_finds_what_is_gone() {
    let node = Node::new();
    refused(&node.pod("CHECK", json!({})), 101, "cbr0_c1_eth0.json: not there");
    silent(&node.pod("ADD", json!({})).without_result());
    node.redirector.led.borrow_mut().clear();
    refused(&node.pod("CHECK", json!({})), 102, "the node's rules are gone");
    node.redirector.broken.set(Some(Broken::Leading));
    refused(&node.pod("CHECK", json!({})), 102, "the rules on this node do not lead");
    node.redirector.forget();
    refused(&node.pod("CHECK", json!({})), 102, "not as ADD left them");
    node.redirector.broken.set(Some(Broken::Entering));
    refused(&node.pod("CHECK", json!({})), 102, "Operation not permitted");
    std::fs::write(node.home.path().join("pods").join(FILE), "{}").unwrap();
    refused(&node.pod("CHECK", json!({})), 101, "missing field `version`");
    refused(&node.pod("CHECK", json!({"cniVersion": "0.3.1"})), 1, "CHECK is of 0.4.0");
    refused(&node.pod("CHECK", json!({"prevResult": null})), 7, "prevResult");
}

#[test]
fn a_redirect_that_cannot_be_removed_keeps_no_pod() {
    let node = Node::new();
    silent(&node.pod("ADD", json!({})).without_result());
    node.redirector.broken.set(Some(Broken::Entering));
    let outcome = node.pod("DEL", json!({}));
    assert!(!outcome.failed && outcome.stdout.is_empty() && node.files().is_empty());
    assert!(outcome.warnings[0].starts_with("the redirect may remain: "), "{outcome:?}");
}

#[test]
fn a_record_that_cannot_be_removed_keeps_no_pod() {
    let node = Node::new();
    // What no unlink removes; a read-only directory would be the like for others than root.
    std::fs::create_dir_all(node.home.path().join("pods").join(FILE)).unwrap();
    let outcome = node.pod("DEL", json!({}));
    assert!(!outcome.failed && outcome.stdout.is_empty(), "{outcome:?}");
    let warning = &outcome.warnings[0];
    assert!(warning.starts_with("the record remains: ") && warning.contains(FILE), "{warning}");
}

#[test]
fn attachments_in_one_namespace_share_its_redirect() {
    let node = Node::new();
    let first = node.conf(json!({}));
    let more = json!({"name": "net2", "clusterDNS": ["10.43.0.10"], "standIns": ["169.254.9.9"]});
    let second = node.conf(more);
    silent(&node.call("ADD", "c1", "eth0", &first).without_result());
    silent(&node.call("ADD", "c1", "eth1", &second).without_result());
    let both = format!("{PAIR} 10.43.0.10>169.254.9.9");
    assert_eq!(node.redirector.of("/run/netns/pod"), Some(both));
    silent(&node.call("CHECK", "c1", "eth0", &first));
    silent(&node.call("CHECK", "c1", "eth1", &second));
    silent(&node.call("DEL", "c1", "eth0", &first));
    assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some("10.43.0.10>169.254.9.9"));
    silent(&node.call("CHECK", "c1", "eth1", &second));
    silent(&node.call("DEL", "c1", "eth1", &second));
    assert_eq!(node.redirector.of("/run/netns/pod"), None);
}

#[test]
fn gc_drops_its_own_networks_strays_alone() {
    let node = Node::new();
    let off = |name: &str| node.conf(json!({"name": name, "redirect": "off"}));
    for (network, container) in [("cbr0", "c1"), ("cbr0", "c2"), ("cbr0_b", "c1"), ("net2", "c1")] {
        silent(&node.call("ADD", container, "eth0", &off(network)).without_result());
    }
    std::fs::write(node.home.path().join("pods/cbr0_x_eth0.json"), "damaged").unwrap();
    let mut conf = off("cbr0");
    let outcome = node.call("GC", "", "", &conf);
    assert!(!outcome.failed && outcome.warnings.len() == 1 && node.files().len() == 5);
    conf["cni.dev/valid-attachments"] = json!([{"containerID": "c2", "ifname": "eth0"}]);
    let outcome = node.call("GC", "", "", &conf);
    assert!(!outcome.failed && outcome.stdout.is_empty());
    assert!(outcome.warnings[0].starts_with("left alone: cbr0_x_eth0.json: "), "{outcome:?}");
    let left =
        ["cbr0_b_c1_eth0.json", "cbr0_c2_eth0.json", "cbr0_x_eth0.json", "net2_c1_eth0.json"];
    assert_eq!(node.files(), left);
    conf["cniVersion"] = json!("1.0.0");
    refused(&node.call("GC", "", "", &conf), 1, "GC is of 1.1.0");
}

#[test]
fn status_fails_where_add_would() {
    let node = Node::new();
    silent(&node.pod("STATUS", json!({"prevResult": null})));
    assert!(node.files().is_empty());
    refused(&node.pod("STATUS", json!({"cniVersion": "1.0.0"})), 1, "STATUS is of 1.1.0");
    refused(&node.pod("STATUS", json!({"redirect": "maybe"})), 7, "redirect");
    let file = node.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&node.pod("STATUS", json!({"podDir": file.join("pods")})), 50, "File exists");
    refused(&node.pod("ADD", json!({"podDir": file.join("pods")})), 5, "File exists");
}

#[test]
fn status_of_a_required_redirect() {
    let node = Node::new();
    let ask = |redirect: &str| node.pod("STATUS", json!({"redirect": redirect}));
    // Rules that are not there yet ADD makes.
    silent(&ask("required"));
    node.redirector.broken.set(Some(Broken::Leading));
    refused(&ask("required"), 50, "the rules on this node do not lead 169.254.20.11");
    silent(&ask("preferred"));
    silent(&node.pod("STATUS", json!({"redirect": "required", "clusterDNS": []})));
    assert!(node.redirector.led.borrow().is_empty(), "it only looks");
}

#[test]
fn attachments_with_one_address_to_redirect_share_it() {
    let node = Node::new();
    let second = node.conf(json!({"name": "net2"}));
    silent(&node.pod("ADD", json!({})).without_result());
    silent(&node.call("ADD", "c1", "eth1", &second).without_result());
    assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some(PAIR), "each once");
    silent(&node.call("DEL", "c1", "eth1", &second));
    assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some(PAIR), "the first one's");
    silent(&node.pod("CHECK", json!({})));
    silent(&node.pod("DEL", json!({})));
    assert_eq!(node.redirector.of("/run/netns/pod"), None);
}

#[test]
fn what_was_never_finished_goes_with_a_pod() {
    let node = Node::new();
    silent(&node.pod("ADD", json!({"redirect": "off"})).without_result());
    let unfinished = node.home.path().join("pods/.horizond-1-0");
    std::fs::write(&unfinished, "").unwrap();
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_779_990_000);
    std::fs::File::options().write(true).open(&unfinished).unwrap().set_modified(old).unwrap();
    silent(&node.pod("DEL", json!({})));
    assert!(node.files().is_empty());
}

/// The path of a namespace that is gone may be another pod's by the time that the first one goes.
#[test]
fn a_namespace_whose_path_another_has_now_is_left_alone() {
    let node = Node::new();
    node.redirector.inode.set(1);
    assert!(!node.call("ADD", "c1", "eth0", &node.conf(json!({}))).failed);
    node.redirector.forget();
    node.redirector.inode.set(2);
    assert!(!node.call("ADD", "c2", "eth0", &node.conf(json!({}))).failed);
    refused(&node.call("CHECK", "c1", "eth0", &node.conf(json!({}))), 102, "is another network");
    silent(&node.call("DEL", "c1", "eth0", &node.conf(json!({}))));
    assert_eq!(node.files(), ["cbr0_c2_eth0.json"]);
    silent(&node.call("CHECK", "c2", "eth0", &node.conf(json!({}))));
    silent(&node.call("DEL", "c2", "eth0", &node.conf(json!({}))));
    assert_eq!((node.redirector.of("/run/netns/pod"), node.files()), (None, vec![]));
}

#[test]
fn an_add_that_is_repeated_and_fails_leaves_the_first_ones_record() {
    let node = Node::new();
    assert!(!node.pod("ADD", json!({})).failed);
    let record = node.record(FILE);
    for broken in [Broken::Entering, Broken::Leading] {
        node.redirector.broken.set(Some(broken));
        assert!(node.pod("ADD", json!({"redirect": "required"})).failed);
        assert_eq!(node.record(FILE), record);
    }
    node.redirector.broken.set(None);
    silent(&node.pod("CHECK", json!({})));
    silent(&node.pod("DEL", json!({})));
    assert_eq!((node.redirector.of("/run/netns/pod"), node.files()), (None, vec![]));
}

#[test]
fn a_namespace_that_others_hold_is_for_later() {
    let node = Node::new();
    assert!(!node.pod("ADD", json!({})).failed);
    node.redirector.broken.set(Some(Broken::Held));
    let required = || json!({"redirect": "required"});
    for verb in ["ADD", "CHECK"] {
        refused(&node.pod(verb, required()), 11, "locked by another process");
    }
    let outcome = node.pod("DEL", required());
    assert!(!outcome.failed && outcome.warnings[0].contains("may remain"), "{outcome:?}");
}

#[test]
fn all_pairs_of_the_configuration_are_led_with_the_first_pods() {
    let node = Node::new();
    let more = json!({"clusterDNS": ["10.96.0.10", "fd00::a"], "redirect": "required",
        "runtimeConfig": {"dns": {"Servers": ["10.96.0.10"]}}});
    assert!(!node.pod("ADD", more.clone()).failed);
    assert_eq!(node.record(FILE).redirect.len(), 1);
    let led = node.redirector.led.borrow();
    assert!(led.iter().any(|(cluster, _)| cluster.is_ipv6()), "{led:?}");
}

#[test]
fn a_pod_goes_where_the_configuration_has_no_place_for_records() {
    let node = Node::new();
    let outcome = node.pod("DEL", json!({"podDir": "pods"}));
    assert_eq!((outcome.failed, outcome.stdout.as_str()), (false, ""));
    let why = "no record is looked for: podDir: \"pods\" is not an absolute path";
    assert_eq!(outcome.warnings, [why]);
    refused(&node.pod("GC", json!({"podDir": "pods"})), 7, "is not an absolute path");
}

/// Kubernetes lets a pod's dnsConfig have what no resolver takes.
#[test]
fn no_pods_own_settings_keep_it_from_starting() {
    let node = Node::new();
    let options: Vec<String> = (0..65).map(|n| format!("o{n}")).collect();
    for options in [json!(options), json!(["a\tb", "ndots:3", "x".repeat(5000)])] {
        let dns = json!({"Servers": ["10.96.0.10"], "Options": options});
        let outcome = node.pod("ADD", json!({"runtimeConfig": {"dns": dns}}));
        assert!(!outcome.failed, "{outcome:?}");
        assert_eq!(node.redirector.of("/run/netns/pod").as_deref(), Some(PAIR));
    }
    assert_eq!(node.record(FILE).ndots, Some(3));
}
