//! Pods of the real containerd, made over its socket as the kubelet makes them, with the real bridge,
//! host-local and runc; the cluster's DNS, MagicDNS and the internet are the lab's.

mod container;
mod cri;
mod crowd;
mod ends;
mod families;
mod leftovers;
mod refused;
mod runtime;
mod searching;

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Output};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::daemon::Settings;
use crate::fake_coredns::FakeCoreDns;
use crate::lab::{COREDNS, INTERNET, Lab, NODE_V4};
use crate::process::{PATIENCE, Service, checked, wait_for, with_input};
use crate::servers;
use crate::steering::ruleset;
use crate::tap::Taps;
use container::Container;
use runtime::{Containerd, dns};

/// A Service by a short name and by its whole one, a host of the tailnet, one of the internet.
const NAMES: [(&str, [&str; 2]); 4] = [
    ("web.default", ["10.96.0.20", "fd00:10:96::20"]),
    ("web.default.svc.cluster.local", ["10.96.0.20", "fd00:10:96::20"]),
    ("nas.c.binrc.com", ["100.64.0.7", "fd7a:115c:a1e0::7"]),
    ("www.example.com", ["198.51.100.80", "2001:db8:51::80"]),
];
/// What the kubelet tells a pod with the policy `ClusterFirst`.
const KUBELET: &[&str] = &["ndots:5"];

/// The lab with its servers and a runtime; the daemon is started by the tests.
struct Place {
    // Its pods go before the lab goes.
    runtime: Containerd,
    _servers: (FakeCoreDns, Service, Service),
    taps: Taps,
    lab: Lab,
}

impl Place {
    fn new(plugin: Option<Value>) -> Self {
        Self::on(Lab::new(), plugin)
    }

    /// The same on this lab.
    fn on(lab: Lab, plugin: Option<Value>) -> Self {
        let taps = Taps::start(&lab);
        let coredns = servers::fake_coredns(&lab, 1);
        let servers = (coredns, servers::Authority::Nsd.magicdns(&lab), servers::internet(&lab));
        let runtime = Containerd::start(&lab, plugin);
        Self { runtime, _servers: servers, taps, lab }
    }

    /// The daemon; `steer` is that key of `[node]`.
    fn daemon(&self, steer: &str) -> Service {
        let pods = self.runtime.path("pods");
        let node = format!("notrack = true\nsteer = {steer}\n[pods]\ndir = {pods:?}\n");
        Settings { node: &node, ..Settings::default() }.start(&self.lab)
    }

    /// Waits until the daemon knows so many pods.
    fn knows(&self, pods: usize) {
        let control = self.lab.path("control.sock");
        let wanted = if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") };
        wait_for(&format!("the daemon to know {wanted}"), PATIENCE, || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_horizond"));
            let status = checked(command.args(["status", "--control"]).arg(&control));
            let said = status.lines().find_map(|line| line.strip_prefix("pods "));
            (said.expect("a line on pods").trim() == wanted).then_some(())
        });
    }
}

/// Both resolvers find all of them.
#[track_caller]
fn finds_all(pod: &Container<'_>) {
    for (name, addresses) in NAMES {
        assert_eq!(pod.getent(name), addresses, "getent ahosts {name}");
        // busybox's nslookup knows no search list.
        if name != "web.default" {
            let said = pod.nslookup(name);
            assert!(addresses.iter().all(|address| said.contains(address)), "nslookup {said}");
        }
    }
}

/// The names of the cluster's own DNS: it forwards the rest to the internet.
#[track_caller]
fn finds_by_the_cluster(pod: &Container<'_>) {
    assert_eq!(pod.getent("web.default"), NAMES[0].1);
    assert_eq!(pod.getent("www.example.com"), NAMES[3].1);
    assert!(pod.getent("nas.c.binrc.com").is_empty());
}

#[test]
fn pods_are_led_to_us_and_known_until_they_go() {
    let place = Place::new(None);
    let runtime = &place.runtime;
    let before = runtime.pod("before", dns(&[COREDNS], KUBELET), &[]);
    finds_by_the_cluster(&before);

    // The plugin works while the daemon has never run: its pods are left to the cluster's DNS.
    runtime.set_plugin(Some(json!({})));
    let early = runtime.pod("early", dns(&[COREDNS], KUBELET), &[]);
    finds_by_the_cluster(&early);
    assert!(!early.is_ours());

    let _daemon = place.daemon(r#"["cni"]"#);
    early.becomes_ours();
    let web = runtime.pod("web-1", dns(&[COREDNS], KUBELET), &[]);
    let over_tcp = runtime.pod("web-2", dns(&[COREDNS], &["ndots:5", "use-vc"]), &[]);
    for pod in [&early, &web, &over_tcp] {
        assert!(pod.resolv_conf().contains("nameserver 10.96.0.10\n"), "{}", pod.resolv_conf());
        finds_all(pod);
    }
    assert!(over_tcp.resolv_conf().contains("use-vc"));
    let ask = |pod: &Container<'_>, how: &str| pod.dig(&format!("{how} nas.c.binrc.com A"));
    for how in ["@10.96.0.10 +notcp", "@10.96.0.10 +tcp", "@169.254.20.10", "@169.254.20.10 +tcp"] {
        ask(&web, how).expect("NOERROR", "A", &["100.64.0.7"]);
    }
    let rows = web.becomes_known();
    for row in ["namespace shop", "pod web-1", "network cbr0", "ndots 5"] {
        assert!(rows.iter().any(|have| have == row), "{row} is not in {rows:?}");
    }
    let from = format!("client {} port ", web.address);
    assert!(rows.iter().any(|row| row.starts_with(&from)), "{from}: {rows:?}");

    // Opted out by its annotation: it asks whom its resolv.conf names.
    let out = runtime.pod("out", dns(&[COREDNS], KUBELET), &[("horizond.io/dns", "off")]);
    finds_by_the_cluster(&out);
    assert!(!out.is_ours());
    // So does one that is pointed elsewhere by its own settings.
    let own = runtime.pod("own", dns(&[INTERNET], KUBELET), &[]);
    assert_eq!(own.getent("www.example.com"), NAMES[3].1);
    assert!(own.getent("web.default").is_empty());
    // And one that was there before goes on as it was.
    finds_by_the_cluster(&before);
    assert!(!before.is_ours());

    // The pod goes: record, lease and rules go with it, however often that is asked for.
    let held = File::open(web.netns().name()).unwrap();
    assert!(in_netns(&held, || ruleset_here().contains("169.254.20.11")));
    let (id, records) = (web.pod.clone(), runtime.records().len());
    place.knows(records);
    for _ in 0..2 {
        runtime.cri().stop_pod(&id).unwrap();
    }
    assert!(!in_netns(&held, || ruleset_here().contains("horizond")));
    assert!(web.record().is_none());
    assert_eq!(runtime.records().len(), records - 1);
    web.remove();
    let said = call(&place, &id, "DEL", "", json!({}));
    assert!(said.status.success() && said.stdout.is_empty(), "{said:?}");
    place.knows(records - 1);
    for pod in [before, early, over_tcp, out, own] {
        pod.remove();
    }
    place.knows(0);
    runtime.is_left_as_it_was();
}

/// The kubelet's own setting names us, and nothing else on the node has to.
#[test]
fn with_the_kubelets_setting_a_pods_resolv_conf_names_us() {
    let place = Place::new(None);
    let _daemon = place.daemon(r#"["kubelet"]"#);
    for (name, options) in [("web-1", KUBELET), ("web-2", &["ndots:5", "use-vc"])] {
        let pod = place.runtime.pod(name, dns(&[NODE_V4], options), &[]);
        let text = pod.resolv_conf();
        assert!(text.contains("nameserver 169.254.20.10\n"), "{text}");
        assert!(text.contains("search shop.svc.cluster.local svc.cluster.local cluster.local\n"));
        finds_all(&pod);
        for how in ["+notcp", "+tcp"] {
            let dig = pod.dig(&format!("@{NODE_V4} {how} nas.c.binrc.com A"));
            dig.expect("NOERROR", "A", &["100.64.0.7"]);
        }
        assert!(pod.whoami()[0].starts_with("client 10.244.7."));
        pod.remove();
    }
    // With the plugin beside it for the records alone, the pods have names.
    place.runtime.set_plugin(Some(json!({"redirect": "off"})));
    let pod = place.runtime.pod("web-3", dns(&[NODE_V4], KUBELET), &[]);
    assert!(pod.becomes_known().iter().any(|row| row == "pod web-3"));
    finds_all(&pod);
    assert!(!ruleset(&pod.netns()).contains("horizond"));
    pod.remove();
    place.runtime.is_left_as_it_was();
}

/// Calls the plugin for a pod of the runtime as the runtime would.
fn call(place: &Place, container: &str, verb: &str, netns: &str, more: Value) -> Output {
    let cached = format!("/var/lib/cni/results/cbr0-{container}-eth0");
    let cached = std::fs::read(cached).ok();
    let cached: Option<Value> = cached.map(|text| serde_json::from_slice(&text).unwrap());
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "cbr0", "type": "horizond-cni",
        "podDir": place.runtime.path("pods"), "redirect": "required",
        "clusterDNS": [COREDNS], "nameservers": [NODE_V4],
        "runtimeConfig": {"dns": {"Servers": [COREDNS], "Searches": runtime::SEARCHES,
            "Options": KUBELET}},
    });
    let keys = conf.as_object_mut().unwrap();
    keys.extend(more.as_object().unwrap().clone());
    if let Some(cached) = cached {
        keys.insert("prevResult".into(), cached["result"].clone());
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_horizond-cni"));
    command
        .env_clear()
        .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", container), ("CNI_NETNS", netns)])
        .envs([("CNI_IFNAME", "eth0"), ("CNI_PATH", "/usr/lib/cni")]);
    place.lab.node.run(|| with_input(&mut command, &conf.to_string()))
}

/// Does something in a namespace that is held open, whether or not it still has a name.
fn in_netns<T: Send>(held: &File, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(held.as_fd(), kind).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ruleset_here() -> String {
    checked(Command::new("nft").args(["-s", "list", "ruleset"]))
}
