#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;
use crate::cni::types::Conf;

/// The pairs for a plugin's keys and a runtime's `runtimeConfig`.
fn wanted_for(keys: Value, runtime: Value) -> String {
    let mut conf = json!({"cniVersion": "1.0.0", "name": "n", "type": "horizond-cni"});
    conf.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    conf["runtimeConfig"] = runtime;
    let conf = Conf::parse(conf.to_string().as_bytes()).unwrap();
    let pairs = wanted(&conf.settings, &conf.runtime).pairs;
    pairs.iter().map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" ")
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"io.kubernetes.cri.pod-annotations": {key: value}})
}

#[test]
fn only_a_pods_own_cluster_nameservers() {
    let two = || json!({"clusterDNS": ["10.96.0.10", "10.96.0.11", "fd00::a"]});
    let servers = |list: &[&str]| json!({"dns": {"Servers": list, "Searches": null}});
    let all = "10.96.0.10>169.254.20.11 10.96.0.11>169.254.20.12 fd00::a>fd00:5353::11";
    assert_eq!(wanted_for(two(), json!({})), all);
    assert_eq!(wanted_for(two(), json!({"dns": {"Servers": null, "Searches": ["x"]}})), all);
    assert_eq!(wanted_for(two(), servers(&["10.96.0.11"])), "10.96.0.11>169.254.20.12");
    assert_eq!(wanted_for(two(), servers(&["fd00:0::a", "fe80::1%eth0"])), "fd00::a>fd00:5353::11");
    assert_eq!(wanted_for(two(), servers(&["192.0.2.1"])), "");
    assert_eq!(wanted_for(json!({"clusterDNS": []}), json!({})), "");
    assert_eq!(wanted_for(json!({"clusterDNS": ["169.254.20.10"]}), json!({})), "");
    let own = json!({"clusterDNS": ["10.43.0.10"], "standIns": ["169.254.30.1"]});
    assert_eq!(wanted_for(own, json!({})), "10.43.0.10>169.254.30.1");
}

#[test]
fn pods_that_are_left_alone() {
    for runtime in [
        annotated("horizond.io/dns", "off"),
        annotated("sidecar.istio.io/status", "{\"initContainers\":[\"istio-init\"]}"),
        annotated("ambient.istio.io/redirection", "enabled"),
        annotated("kuma.io/builtin-dns", "enabled"),
        annotated("consul.hashicorp.com/transparent-proxy-status", "waiting"),
    ] {
        assert_eq!(wanted_for(json!({"redirect": "required"}), runtime.clone()), "", "{runtime}");
    }
    for runtime in [
        annotated("horizond.io/dns", "on"),
        annotated("sidecar.istio.io/inject", "false"),
        annotated("ambient.istio.io/redirection", "disabled"),
        annotated("kuma.io/builtin-dns", "disabled"),
    ] {
        let one = "10.96.0.10>169.254.20.11";
        assert_eq!(wanted_for(json!({}), runtime.clone()), one, "{runtime}");
    }
    assert_eq!(wanted_for(json!({"redirect": "off"}), json!({})), "");
}

#[test]
fn the_nodes_own_namespace_is_never_touched() {
    let refused = |path: &str| Entrance::open(Path::new(path)).unwrap_err();
    assert!(matches!(refused("/proc/self/ns/net"), RedirectError::Node { .. }));
    // The rules are of one process; a thread's file is the same namespace.
    assert!(matches!(refused("/proc/thread-self/ns/net"), RedirectError::Node { .. }));
}

#[test]
fn what_is_no_namespace() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Entrance::open(&file).unwrap().unwrap().within(|| Ok(())).unwrap_err();
    assert!(matches!(error, RedirectError::Enter { .. }), "{error}");
    assert!(Nft.hold(&home.path().join("none")).unwrap().is_none());
}

#[test]
fn one_attachment_at_a_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let first = Entrance::open(file.path()).unwrap().unwrap();
    let error = Entrance::open(file.path()).unwrap_err();
    assert!(error.to_string().ends_with("locked by another process for more than 2s"), "{error}");
    drop(first);
    assert!(Entrance::open(file.path()).unwrap().is_some());
}
