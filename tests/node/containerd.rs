//! Pods of the real containerd, made as the kubelet makes them.

mod cri;
mod runtime;

use serde_json::json;

use crate::daemon::Settings;
use crate::lab::{COREDNS, Lab, NODE_V4};
use crate::servers;
use runtime::{Containerd, SEARCHES, dns};

const ADDRESSES: [(&str, &[&str]); 4] = [
    ("web.default", &["10.96.0.20", "fd00:10:96::20"]),
    ("web.default.svc.cluster.local", &["10.96.0.20", "fd00:10:96::20"]),
    ("nas.c.binrc.com", &["100.64.0.7", "fd7a:115c:a1e0::7"]),
    ("www.example.com", &["198.51.100.80", "2001:db8:51::80"]),
];

#[test]
fn first() {
    let lab = Lab::new();
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = servers::Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let runtime = Containerd::start(&lab, Some(json!({})));
    let node =
        format!("notrack = true\nsteer = [\"cni\"]\n[pods]\ndir = {:?}\n", runtime.path("pods"));
    let _daemon = Settings { node: &node, ..Settings::default() }.start(&lab);
    let pod = runtime.pod("web-1", dns(&[COREDNS], &["ndots:5"]), &[]);
    println!("{} {}", pod.address, pod.resolv_conf());
    println!("{:?}", pod.record());
    println!("{:?}", pod.becomes_known());
    for (name, addresses) in ADDRESSES {
        assert_eq!(pod.getent(name), addresses, "{name}");
    }
    println!("{}", pod.nslookup("nas.c.binrc.com"));
    assert!(pod.is_ours());
    let _ = (SEARCHES, NODE_V4);
    pod.remove();
    assert!(runtime.records().is_empty() && runtime.leases().is_empty());
}
