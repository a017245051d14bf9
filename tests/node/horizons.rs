//! A name in each horizon, found and not found, asked by what a pod asks with.

use crate::daemon::Settings;
use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::pod::Pod;
use crate::servers::{self, Authority};
use crate::tap::Taps;

const WEB: &str = "web.default.svc.cluster.local";

#[test]
fn fake_coredns_over_tcp_and_knot() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let coredns = servers::fake_coredns(&lab, 2);
    let _magicdns = Authority::Knot.magicdns(&lab);
    ask_all(&lab, &taps, "tcp://10.96.0.10");
    assert!(
        taps.coredns.of_node().iter().all(|seen| seen.tcp),
        "a tcp:// upstream is asked over TCP alone"
    );
    taps.coredns.assert_agrees(&coredns);
}

#[test]
fn fake_coredns_over_udp_and_nsd() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let coredns = servers::fake_coredns(&lab, 2);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    ask_all(&lab, &taps, "10.96.0.10");
    assert!(taps.coredns.of_node().iter().any(|seen| !seen.tcp), "UDP is tried first");
    taps.coredns.assert_agrees(&coredns);
}

#[test]
fn nsd_as_coredns_over_udp_and_knot() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = Authority::Nsd.coredns(&lab);
    let _magicdns = Authority::Knot.magicdns(&lab);
    ask_all(&lab, &taps, "udp://10.96.0.10");
}

#[test]
fn knot_as_coredns_over_tcp_and_nsd() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = Authority::Knot.coredns(&lab);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    ask_all(&lab, &taps, "tcp://10.96.0.10");
}

fn ask_all(lab: &Lab, taps: &Taps, coredns: &str) {
    let internet = servers::internet(lab);
    let _daemon = Settings { coredns, ..Settings::default() }.start(lab);
    let pod = Pod::new(lab);
    for server in [NODE_V4, NODE_V6] {
        for transport in ["", "+tcp"] {
            with_dig(&pod, &format!("@{server} {transport}"));
        }
    }
    with_dig(&Pod::host(lab), &format!("@{NODE_V4}"));
    with_glibc(&pod);
    with_busybox(&pod);
    taps.assert_no_leaks();
    for (tap, name) in [
        (&taps.coredns, WEB),
        (&taps.magicdns, "nas.c.binrc.com"),
        (&taps.internet, "www.example.com"),
    ] {
        assert!(tap.count(name) > 0, "{name} reached its server");
    }
    assert!(internet.log().contains("www.example.com. A IN"), "{}", internet.log());
    assert!(!internet.log().contains(" nas.c.binrc.com."), "{}", internet.log());
    assert!(!internet.log().contains("cluster.local. "), "{}", internet.log());
}

fn with_dig(pod: &Pod, how: &str) {
    for (name, rtype, data) in [
        (WEB, "A", "10.96.0.20"),
        ("nas.c.binrc.com", "A", "100.64.0.7"),
        ("nas.c.binrc.com", "AAAA", "fd7a:115c:a1e0::7"),
        ("www.example.com", "A", "198.51.100.80"),
        ("www.example.com", "AAAA", "2001:db8:51::80"),
    ] {
        let reply = pod.dig(&format!("{how} {name} {rtype}")).expect("NOERROR", rtype, &[data]);
        assert!(reply.flags.iter().any(|flag| flag == "ra"), "{}", reply.text);
        assert!(!reply.flags.iter().any(|flag| flag == "aa"), "forwarded data: {}", reply.text);
    }
    pod.dig(&format!("{how} -x 10.96.0.20")).expect("NOERROR", "PTR", &[&format!("{WEB}.")]);
    for absent in ["absent.default.svc.cluster.local", "absent.c.binrc.com", "absent.example.com"] {
        pod.dig(&format!("{how} {absent} A")).expect("NXDOMAIN", "A", &[]);
    }
    // The name is there and the type is not.
    pod.dig(&format!("{how} {WEB} MX")).expect("NOERROR", "MX", &[]);
}

fn with_glibc(pod: &Pod) {
    let has = |name: &str, address: &str| {
        let found = pod.getent("ahosts", name);
        assert!(found.iter().any(|ip| ip == address), "getent ahosts {name}: {found:?}");
    };
    has("web", "10.96.0.20");
    has("web.default", "10.96.0.20");
    has(WEB, "10.96.0.20");
    has("nas.c.binrc.com", "100.64.0.7");
    has("nas.c.binrc.com", "fd7a:115c:a1e0::7");
    has("www.example.com", "198.51.100.80");
    for absent in ["absent", "absent.c.binrc.com", "absent.example.com"] {
        assert_eq!(pod.getent("ahosts", absent), Vec::<String>::new(), "{absent}");
    }
    assert_eq!(pod.getent("hosts", "nas.c.binrc.com"), ["fd7a:115c:a1e0::7"]);
    let reverse = pod.run(&["getent", "hosts", "10.96.0.20"]);
    assert!(String::from_utf8_lossy(&reverse.stdout).contains(WEB), "{reverse:?}");
}

fn with_busybox(pod: &Pod) {
    for (name, address) in [
        (WEB, "10.96.0.20"),
        ("nas.c.binrc.com", "100.64.0.7"),
        ("www.example.com", "198.51.100.80"),
    ] {
        let (found, text) = pod.nslookup(name);
        assert!(found && text.contains(address), "busybox nslookup {name}: {text}");
    }
    for absent in ["absent.c.binrc.com", "absent.example.com"] {
        let (found, text) = pod.nslookup(absent);
        assert!(!found, "busybox nslookup {absent}: {text}");
    }
}
