//! What CoreDNS does and a plain authority does not: chasing, headless Services, large answers.

use crate::daemon::Settings;
use crate::lab::{COREDNS, Lab, NODE_V4};
use crate::pod::Pod;
use crate::servers::{self, Authority};
use crate::tap::{Horizon, Taps};

/// A CNAME into another horizon is resolved there, whatever CoreDNS has found by asking the internet.
#[test]
fn external_names_are_resolved_in_the_horizon_that_owns_them() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let pod = Pod::new(&lab);

    let ask = |name: &str| pod.dig(&format!("@{NODE_V4} {name}.default.svc.cluster.local A"));
    let internet = ask("site").expect("NOERROR", "A", &["198.51.100.80"]);
    assert_eq!(internet.data("CNAME"), ["www.example.com."], "{}", internet.text);
    let tailnet = ask("nas").expect("NOERROR", "A", &["100.64.0.7"]);
    assert_eq!(tailnet.data("CNAME"), ["nas.c.binrc.com."], "{}", tailnet.text);

    taps.assert_no_leaks();
    assert_eq!(taps.magicdns.count("nas.c.binrc.com"), 1);
    // CoreDNS itself did ask the internet, as it does; the taps tell its questions from ours.
    let by_coredns = taps.internet.seen().into_iter().find(|seen| {
        Horizon::of(&seen.name) == Horizon::Tailnet && seen.from.ip().to_string() == COREDNS
    });
    assert!(by_coredns.is_some(), "the fake chases as CoreDNS does");
}

#[test]
fn headless_services_and_answers_that_udp_cannot_hold() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Knot.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let pod = Pod::new(&lab);
    let ask = |name: &str, how: &str| {
        pod.dig(&format!("@{NODE_V4} {how} {name}.default.svc.cluster.local A"))
    };
    ask("db", "").expect("NOERROR", "A", &["10.244.2.3", "10.244.2.4"]);
    ask("db-0.db", "").expect("NOERROR", "A", &["10.244.2.3"]);
    ask("empty", "").expect("NXDOMAIN", "A", &[]);

    // dig asks again over TCP, and has all of them; a client that does not has a part, not nothing.
    assert_eq!(ask("crowd", "").data("A").len(), 60);
    let part = ask("crowd", "+ignore +bufsize=512");
    assert!(part.flags.iter().any(|flag| flag == "tc"), "{}", part.text);
    assert!((5..60).contains(&part.data("A").len()), "{}", part.text);
    assert!(taps.coredns.seen().iter().any(|seen| seen.tcp), "a cut answer is asked over TCP");
    taps.assert_no_leaks();
}
