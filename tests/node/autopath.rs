//! What a pod's look-up of a name costs, by its own libc with the cluster's search list: the pod in round
//! trips, the upstreams in exchanges; with the list walked by the daemon and without.

use crate::daemon::Settings;
use crate::lab::{Lab, NODE_V4};
use crate::pod::Pod;
use crate::process::{PATIENCE, wait_for};
use crate::servers;
use crate::tap::{Tap, Taps};

const POD: &str = "10.244.1.5";

/// As the plugin writes it where the runtime hands the pod's DNS settings over.
const RECORD: &str = r#"{"version":1,"network":"cbr0","container":"c1","interface":"eth0","netns":"",
    "addresses":["10.244.1.5"],"namespace":"default","pod":"web-1","search_from":"runtime","ndots":5,
    "search":["default.svc.cluster.local","svc.cluster.local","cluster.local"],"when_unix_s":1}"#;

struct Place {
    lab: Lab,
    taps: Taps,
    at_node: Tap,
    pod: Pod,
}

/// Questions of the pod, and of the node to its upstreams.
type Cost = (usize, usize);

impl Place {
    fn cost(&self) -> Cost {
        let upstreams = [&self.taps.coredns, &self.taps.internet, &self.taps.magicdns];
        (self.at_node.of_node().len(), upstreams.iter().map(|tap| tap.of_node().len()).sum())
    }

    /// What `getent ahosts NAME` finds and what that costs.
    fn look_up(&self, name: &str) -> (Vec<String>, Cost) {
        let before = self.cost();
        let found = self.pod.getent("ahosts", name);
        let after = self.cost();
        (found, (after.0 - before.0, after.1 - before.1))
    }

    /// The least cost of a second look-up; what is denied is kept for five seconds, and a machine may
    /// stand still for longer.
    fn warm(&self, name: &str) -> Cost {
        let costs = (0..5).map(|_| self.look_up(name).1);
        costs.min_by_key(|(_, exchanges)| *exchanges).unwrap()
    }
}

#[test]
fn a_name_of_the_internet_costs_a_pod_two_round_trips_instead_of_eight() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = servers::Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    lab.file("pods/cbr0_c1_eth0.json", RECORD);
    let at_node = Tap::start(&lab.node, &[NODE_V4], POD);
    let pod = Pod::new(&lab);
    let place = Place { lab, taps, at_node, pod };
    let start = |autopath: bool| {
        let dir = place.lab.path("pods");
        let pods = format!("[pods]\ndir = {dir:?}\nautopath = {autopath}\n");
        let daemon = Settings { node: &pods, ..Settings::default() }.start(&place.lab);
        wait_for("the daemon to know the pod", PATIENCE, || {
            let whoami = place.pod.dig(&format!("@{NODE_V4} CH TXT whoami.horizond"));
            whoami.answer.iter().any(|row| row.contains("pod web-1")).then_some(())
        });
        daemon
    };
    let addresses = ["198.51.100.80", "2001:db8:51::80"];
    let sorted = |mut found: Vec<String>| {
        found.sort();
        found.dedup();
        found
    };

    let mut daemon = start(false);
    let (found, before_cold) = place.look_up("www.example.com");
    assert_eq!(sorted(found), addresses);
    let before_warm = place.warm("www.example.com");
    daemon.kill();

    let _daemon = start(true);
    let (found, cold) = place.look_up("www.example.com");
    assert_eq!(sorted(found), addresses);
    let warm = place.warm("www.example.com");
    println!("round trips of the pod, exchanges with upstreams; cold, warm");
    println!("without: {before_cold:?} {before_warm:?}; with: {cold:?} {warm:?}");
    assert_eq!((before_cold.0, before_warm.0), (8, 8));
    assert_eq!((cold.0, warm), (2, (2, 0)));
    assert!(cold.1 <= 5, "{cold:?}");

    // A Service is found under the second element, a host of the tailnet by its whole name, and what
    // does not exist is denied as ever.
    let (found, cost) = place.look_up("web.default");
    assert_eq!((sorted(found), cost.0), (vec!["10.96.0.20".into(), "fd00:10:96::20".into()], 2));
    let (found, cost) = place.look_up("nas.c.binrc.com");
    assert_eq!((sorted(found), cost.0), (vec!["100.64.0.7".into(), "fd7a:115c:a1e0::7".into()], 2));
    let (found, cost) = place.look_up("web");
    assert_eq!((sorted(found), cost.0), (vec!["10.96.0.20".into(), "fd00:10:96::20".into()], 2));
    assert!(place.look_up("nowhere.example.com").0.is_empty());
    place.taps.assert_no_leaks();
}
