//! Pods with an address of each family, whose resolv.conf names the cluster's DNS by both.

use serde_json::json;

use super::container::Container;
use super::runtime::dns;
use super::{KUBELET, Place, finds_all};
use crate::lab::COREDNS;
use crate::steering::{COREDNS_V6, ruleset};

/// The rows of whoami, asked at this server.
fn whoami(pod: &Container<'_>, server: &str, how: &str) -> Vec<String> {
    let dig = pod.dig(&format!("@{server} {how} CH TXT whoami.horizond"));
    dig.data("TXT").iter().map(|row| row.trim_matches('"').to_owned()).collect()
}

#[test]
fn a_pod_of_both_families_is_led_and_known_by_each_of_its_addresses() {
    let place = Place::new(None);
    let runtime = &place.runtime;
    let servers = format!("[\"{COREDNS}\", \"{COREDNS_V6}\"]");
    let _daemon = place.daemon(&format!("[\"cni\"]\ncluster_dns = {servers}"));
    runtime.set_network(true, Some(json!({"clusterDNS": [COREDNS, COREDNS_V6]})));
    for order in [[COREDNS, COREDNS_V6], [COREDNS_V6, COREDNS]] {
        let pod = runtime.pod("both", dns(&order, KUBELET), &[]);
        let record = pod.record().unwrap();
        let addresses = record["addresses"].as_array().unwrap();
        assert!(addresses.iter().any(|ip| ip.as_str().unwrap().starts_with("fd00:10:244:7:")));
        assert_eq!((addresses.len(), runtime.leases().len()), (2, 2), "{record}");
        pod.becomes_known();
        finds_all(&pod);
        for (server, net) in [(COREDNS, "10.244.7."), (COREDNS_V6, "fd00:10:244:7:")] {
            for how in ["+notcp", "+tcp"] {
                let dig = pod.dig(&format!("@{server} {how} nas.c.binrc.com A"));
                dig.expect("NOERROR", "A", &["100.64.0.7"]);
                let rows = whoami(&pod, server, how);
                assert!(rows[0].starts_with(&format!("client {net}")), "{rows:?}");
                assert!(rows.iter().any(|row| row == "pod both"), "{rows:?}");
            }
        }
        let netns = pod.netns();
        assert!(ruleset(&netns).contains("fd00:5353::11"));
        pod.remove();
        runtime.is_left_as_it_was();
    }
}
