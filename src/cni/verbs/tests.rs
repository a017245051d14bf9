#![allow(clippy::unwrap_used)]
use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::cni::record::{PodRecord, SearchFrom};
use crate::cni::redirect::RedirectError;

/// Namespaces' redirects as a table in memory; can be made to fail.
#[derive(Default)]
struct FakeRedirector {
    made: RefCell<Vec<(PathBuf, Vec<Pair>)>>,
    broken: Cell<bool>,
}

impl FakeRedirector {
    fn of(&self, netns: &str) -> Option<String> {
        let made = self.made.borrow();
        let (_, pairs) = made.iter().find(|(path, _)| path == Path::new(netns))?;
        Some(pairs.iter().map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" "))
    }

    fn work(&self, netns: &Path) -> Result<(), RedirectError> {
        let source = io::Error::from_raw_os_error(libc::EPERM);
        let error = RedirectError::Enter { path: netns.to_owned(), source };
        if self.broken.get() { Err(error) } else { Ok(()) }
    }
}

impl Redirector for FakeRedirector {
    fn add(&self, netns: &Path, pairs: &[Pair]) -> Result<(), RedirectError> {
        self.remove(netns)?;
        self.made.borrow_mut().push((netns.to_owned(), pairs.to_vec()));
        Ok(())
    }

    fn present(&self, netns: &Path, pairs: &[Pair]) -> Result<bool, RedirectError> {
        self.work(netns)?;
        Ok(self.made.borrow().contains(&(netns.to_owned(), pairs.to_vec())))
    }

    fn remove(&self, netns: &Path) -> Result<(), RedirectError> {
        self.work(netns)?;
        self.made.borrow_mut().retain(|(path, _)| path != netns);
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
    let node = Node::new();
    node.redirector.broken.set(true);
    let outcome = node.pod("ADD", json!({"redirect": "required"}));
    refused(&outcome, 100, "cannot enter the network namespace /run/netns/pod");
    assert!(node.files().is_empty(), "a failed ADD leaves nothing");
    let outcome = node.pod("ADD", json!({"redirect": "preferred"}));
    assert!(!outcome.failed && outcome.warnings.len() == 1, "{outcome:?}");
    assert!(outcome.warnings[0].starts_with("the DNS of container c1 is not redirected"));
    assert!(node.record(FILE).redirect.is_empty());
    silent(&node.pod("CHECK", json!({})));
    silent(&node.pod("DEL", json!({})));
    silent(&node.pod("ADD", json!({"redirect": "off"})).without_result());
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
    node.redirector.remove(Path::new("/run/netns/pod")).unwrap();
    refused(&node.pod("CHECK", json!({})), 102, "not as ADD left them");
    node.redirector.broken.set(true);
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
    node.redirector.broken.set(true);
    let outcome = node.pod("DEL", json!({}));
    assert!(!outcome.failed && outcome.stdout.is_empty() && node.files().is_empty());
    assert!(outcome.warnings[0].starts_with("the redirect may remain: "), "{outcome:?}");
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
