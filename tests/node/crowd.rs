//! The plugin called for a hundred pods side by side, as runtimes call it when a node comes up: every record
//! whole and right, every redirect whole, one table on the node; and nothing left when they have gone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use horizond::cni::record::PodRecord;
use horizond::node::nft::redirect;
use horizond::pods::{AT_START, Folder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab::{Lab, NODE_V4};
use crate::netns::Netns;
use crate::process::{checked_with_input, with_input};
use crate::steering::{CLUSTER_V4, CLUSTER_V6, ip, pairs, ruleset};

const PODS: usize = 100;
const WORKERS: usize = 16;
/// Every so many pods one has a second attachment, in another network.
const SECOND: usize = 4;
/// All of it takes a few seconds; a machine that has much else to do may take longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A node with a hundred pods' namespaces and the directory of their records.
struct Crowd {
    lab: Lab,
    records: TempDir,
    pods: Vec<Netns>,
}

/// One interface of a pod: what a call is about.
#[derive(Clone, Copy)]
struct Attachment {
    pod: usize,
    second: bool,
}

impl Attachment {
    fn network(self) -> &'static str {
        if self.second { "storage" } else { "cbr0" }
    }

    fn interface(self) -> &'static str {
        if self.second { "net1" } else { "eth0" }
    }

    fn container(self) -> String {
        format!("{:064x}", self.pod + 0xabc0)
    }

    fn address(self) -> IpAddr {
        ip(&format!("10.244.{}.{}", if self.second { 9 } else { 8 }, self.pod + 2))
    }

    fn file(self) -> String {
        format!("{}_{}_{}.json", self.network(), self.container(), self.interface())
    }
}

impl Crowd {
    fn new() -> Self {
        let lab = Lab::new();
        let pods = (0..PODS).map(|n| Netns::named(format!("{}-{n}", lab.pod.name())));
        let this = Self { pods: pods.collect(), lab, records: tempfile::tempdir().unwrap() };
        this.namespaces("add");
        this
    }

    fn namespaces(&self, what: &str) {
        let mut batch = String::new();
        for pod in &self.pods {
            writeln!(batch, "netns {what} {}", pod.name()).unwrap();
        }
        // It goes on where one fails, and says so at the end.
        let mut ip = Command::new("ip");
        checked_with_input(ip.args(["-force", "-batch", "-"]), &batch);
    }

    fn attachments(&self) -> Vec<Attachment> {
        let of = |pod| {
            let second = (pod % SECOND == 0).then_some(Attachment { pod, second: true });
            [Some(Attachment { pod, second: false }), second].into_iter().flatten()
        };
        (0..PODS).flat_map(of).collect()
    }

    fn netns(&self, pod: usize) -> String {
        format!("/run/netns/{}", self.pods[pod].name())
    }

    /// Calls the plugin as a runtime does.
    fn call(&self, verb: &str, variables: &[(&str, &str)], network: &str, more: Value) -> Output {
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": network, "type": "horizond-cni",
            "podDir": self.records.path(), "redirect": "required",
            "nameservers": [NODE_V4], "clusterDNS": [CLUSTER_V4, CLUSTER_V6],
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut command = Command::new(env!("CARGO_BIN_EXE_horizond-cni"));
        command
            .env_clear()
            .envs([("CNI_COMMAND", verb), ("CNI_PATH", "/opt/cni/bin")])
            .envs(variables.iter().copied());
        self.lab.node.run(|| with_input(&mut command, &conf.to_string()))
    }

    /// Calls it for an attachment; gives what it printed.
    fn attach(&self, verb: &str, of: Attachment) -> String {
        let (container, netns) = (of.container(), self.netns(of.pod));
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop-{};K8S_POD_NAME=web-{}",
            of.pod % 7,
            of.pod
        );
        let variables = [
            ("CNI_CONTAINERID", container.as_str()),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", of.interface()),
            ("CNI_ARGS", &args),
        ];
        let search = format!("shop-{}.svc.cluster.local", of.pod % 7);
        let more = json!({
            "runtimeConfig": {"dns": {
                "Servers": [CLUSTER_V4, CLUSTER_V6], "Searches": [search], "Options": ["ndots:5"],
            }},
            "prevResult": {
                "cniVersion": "1.1.0", "ips": [{"address": format!("{}/24", of.address())}],
            },
        });
        let output = self.call(verb, &variables, of.network(), more);
        assert!(output.status.success() && output.stderr.is_empty(), "{verb}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn gc(&self, network: &str, valid: &[Attachment]) {
        let valid: Vec<Value> = valid
            .iter()
            .map(|of| json!({"containerID": of.container(), "ifname": of.interface()}))
            .collect();
        let output = self.call("GC", &[], network, json!({"cni.dev/valid-attachments": valid}));
        assert!(output.status.success() && output.stderr.is_empty(), "GC: {output:?}");
    }

    /// All files in the directory of the records, unfinished ones too.
    fn files(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(self.records.path()).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn is_redirected(&self, pod: usize) -> bool {
        self.pods[pod].run(|| redirect::present(&pairs())).unwrap()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for pod in &self.pods {
            crate::netns::remove(pod.name());
        }
    }
}

/// Does the work for each, by sixteen threads.
fn side_by_side<T: Copy + Sync>(all: &[T], work: impl Fn(T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(*one);
                }
            });
        }
    });
}

fn names(all: &[Attachment]) -> BTreeSet<String> {
    all.iter().map(|of| of.file()).collect()
}

/// The record of an attachment, each value as it was told.
fn expect_record(crowd: &Crowd, of: Attachment) {
    let bytes = std::fs::read(crowd.records.path().join(of.file())).unwrap();
    let record = PodRecord::parse(&bytes).unwrap();
    let words = [&record.network, &record.container, &record.interface, &record.netns];
    let (container, netns) = (of.container(), crowd.netns(of.pod));
    assert_eq!(words, [of.network(), &container, of.interface(), &netns]);
    assert_eq!(record.addresses, [of.address()]);
    assert_eq!(record.pod, Some(format!("web-{}", of.pod)));
    assert_eq!(record.namespace, Some(format!("shop-{}", of.pod % 7)));
    assert_eq!(record.search, [format!("shop-{}.svc.cluster.local", of.pod % 7)]);
    assert_eq!((record.ndots, record.redirect), (Some(5), pairs()));
}

#[test]
fn a_hundred_pods_come_and_go_side_by_side() {
    let crowd = Crowd::new();
    let all = crowd.attachments();
    assert_eq!(ruleset(&crowd.lab.node), "");
    let began = Instant::now();
    side_by_side(&all, |of| {
        let result: Value = serde_json::from_str(&crowd.attach("ADD", of)).unwrap();
        assert_eq!(result["dns"]["nameservers"], json!([NODE_V4]));
        assert_eq!(result["ips"][0]["address"], format!("{}/24", of.address()));
    });
    let up = began.elapsed();

    assert_eq!(crowd.files(), names(&all), "every record, and nothing unfinished");
    all.iter().for_each(|of| expect_record(&crowd, *of));
    let rules = ruleset(&crowd.pods[0]);
    assert!(rules.contains(CLUSTER_V4) && rules.contains(CLUSTER_V6), "{rules}");
    side_by_side(&all, |of| {
        assert!(crowd.is_redirected(of.pod), "pod {}", of.pod);
        assert_eq!(crowd.attach("CHECK", of), "");
    });
    // Whichever was first has made the node's table: once, and whole.
    let node = ruleset(&crowd.lab.node);
    assert_eq!(node.matches("table ").count(), 1, "{node}");
    assert!(crowd.lab.node.run(|| horizond::node::nft::steer::has_fallback(&pairs())).unwrap());
    // The daemon's side of it.
    let mut folder = Folder::new(crowd.records.path().to_owned(), 32);
    let table = folder.look(Instant::now(), AT_START).unwrap();
    assert_eq!((table.len(), table.records().len(), table.refused()), (PODS, all.len(), 0));
    for of in &all {
        let pod = table.find(of.address()).unwrap();
        assert_eq!(pod.to_string(), format!("shop-{}/web-{}", of.pod % 7, of.pod));
    }

    // Three of four go, while the rest is added again (a runtime that was restarted) and GC looks on.
    let (stay, go): (Vec<_>, Vec<_>) = all.iter().partition(|of| of.pod % SECOND == 1);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| side_by_side(&stay, |of| drop(crowd.attach("ADD", of))));
        scope.spawn(|| ["cbr0", "storage"].map(|network| crowd.gc(network, &all)));
        side_by_side(&go, |of| assert_eq!(crowd.attach("DEL", of), ""));
    });
    let down = began.elapsed();
    assert_eq!(crowd.files(), names(&stay));
    stay.iter().for_each(|of| expect_record(&crowd, *of));
    for pod in 0..PODS {
        assert_eq!(crowd.is_redirected(pod), pod % SECOND == 1, "pod {pod}");
        assert_eq!(ruleset(&crowd.pods[pod]).is_empty(), pod % SECOND != 1, "pod {pod}");
    }
    assert_eq!(ruleset(&crowd.lab.node), node, "the node's table has nothing to do with one pod");

    // The namespaces of the rest go without a word; half of them are known to be valid.
    crowd.namespaces("del");
    let half = &stay[..stay.len() / 2];
    side_by_side(&[(); 4], |()| crowd.gc("cbr0", half));
    assert_eq!(crowd.files(), names(half));
    crowd.gc("storage", &[]);
    assert_eq!(crowd.files(), names(half), "another network's GC");
    side_by_side(half, |of| assert_eq!(crowd.attach("DEL", of), ""));
    assert_eq!(crowd.files(), BTreeSet::new());
    println!("{} ADDs in {up:.1?}; {} DELs in {down:.1?}", all.len(), go.len());
    assert!(up + down < LIMIT, "{} ADDs in {up:.1?}, {} DELs in {down:.1?}", all.len(), go.len());
}
