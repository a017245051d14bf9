//! The tailnet in a pod's search list, as HeadCNI's clusters have it: short names of both horizons.

use serde_json::json;

use super::container::Container;
use super::cri::DnsConfig;
use super::runtime::{SEARCHES, dns};
use super::{KUBELET, Place, finds_all};
use crate::lab::{COREDNS, NODE_V4};

fn searching(server: &str) -> DnsConfig {
    let mut dns = dns(&[server], KUBELET);
    dns.searches.insert(0, "c.binrc.com".into());
    dns
}

/// glibc's resolver, and the one within busybox.
fn finds_by_short_names(pod: &Container<'_>) {
    assert_eq!(pod.getent("nas"), ["100.64.0.7", "fd7a:115c:a1e0::7"]);
    for (name, address) in [("nas", "100.64.0.7"), ("web.default", "10.96.0.20")] {
        // It says first whom it found.
        let said = pod.run(&["/bin/busybox", "ping", "-4", "-c1", "-w1", name]).stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(&format!("PING {name} ({address})")), "{said}");
    }
    finds_all(pod);
}

#[test]
fn short_names_of_the_tailnet_and_of_the_cluster() {
    let place = Place::new(Some(json!({})));
    let runtime = &place.runtime;
    let _daemon = place.daemon(r#"["kubelet", "cni"]"#);
    for (name, server) in [("steered", COREDNS), ("pointed", NODE_V4)] {
        let pod = runtime.pod(name, searching(server), &[]);
        let text = pod.resolv_conf();
        let search = format!("search c.binrc.com {}\n", SEARCHES.join(" "));
        assert!(text.contains(&search) && text.contains(&format!("nameserver {server}\n")));
        finds_by_short_names(&pod);
        let record = pod.record().unwrap();
        assert_eq!(record["search"][0], "c.binrc.com");
        assert_eq!(record["search"].as_array().unwrap().len(), 1 + SEARCHES.len());
        assert_eq!((&record["search_from"], &record["ndots"]), (&json!("runtime"), &json!(5)));
        pod.remove();
    }
    // Whatever the search list made of a name, it went to its own horizon.
    place.taps.assert_no_leaks();
    runtime.is_left_as_it_was();
}
