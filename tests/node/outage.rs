//! A horizon's servers fail in mid-load: the others go on, nothing leaks, and it comes back.

use std::time::{Duration, Instant};

use crate::daemon::Settings;
use crate::fake_coredns::FakeCoreDns;
use crate::lab::{Lab, NODE_V4};
use crate::load::{Load, Outcome};
use crate::pod::Pod;
use crate::process::{PATIENCE, wait_for};
use crate::servers::{self, Authority};
use crate::tap::{Horizon, Taps};

/// Answers of the horizon in question that each phase waits for.
const ENOUGH: usize = 60;

/// Any of these exists where CoreDNS answers for pods' addresses.
fn pod_name(number: usize) -> String {
    format!("10-244-{}-{}.default.pod.cluster.local", number >> 8, number & 255)
}

#[test]
fn magicdns_is_killed_and_comes_back() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 2);
    let mut magicdns = Some(Authority::Nsd.magicdns(&lab));
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    interrupt(&lab, &taps, Horizon::Tailnet, |up| {
        magicdns = up.then(|| Authority::Nsd.magicdns(&lab));
    });
}

#[test]
fn the_internet_is_killed_and_comes_back() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 2);
    let _magicdns = Authority::Knot.magicdns(&lab);
    let mut internet = Some(servers::internet(&lab));
    let _daemon = Settings::default().start(&lab);
    interrupt(&lab, &taps, Horizon::Internet, |up| {
        internet = up.then(|| servers::internet(&lab));
    });
}

#[test]
fn coredns_closes_its_udp_port_and_comes_back() {
    cluster_outage("10.96.0.10", stop_or_resume);
}

#[test]
fn coredns_closes_its_tcp_port_and_comes_back() {
    cluster_outage("tcp://10.96.0.10", stop_or_resume);
}

#[test]
fn coredns_falls_silent_over_udp_and_comes_back() {
    cluster_outage("10.96.0.10", silence);
}

#[test]
fn coredns_falls_silent_over_tcp_and_comes_back() {
    cluster_outage("tcp://10.96.0.10", silence);
}

#[test]
fn coredns_is_not_synced_for_a_while() {
    cluster_outage("10.96.0.10", |coredns, up| {
        for index in 0..2 {
            coredns.replica(index, |replica| replica.synced = up);
        }
    });
}

fn stop_or_resume(coredns: &mut FakeCoreDns, up: bool) {
    if up { coredns.resume().unwrap() } else { coredns.stop() }
}

fn silence(coredns: &mut FakeCoreDns, up: bool) {
    for index in 0..2 {
        coredns.replica(index, |replica| replica.alive = up);
    }
}

fn cluster_outage(upstream: &str, switch: fn(&mut FakeCoreDns, bool)) {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let mut coredns = servers::fake_coredns(&lab, 2);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings { coredns: upstream, ..Settings::default() }.start(&lab);
    interrupt(&lab, &taps, Horizon::Cluster, |up| switch(&mut coredns, up));
}

/// Panics if there are any, with the first of them.
fn none(what: &str, outcomes: &[&Outcome], all: usize) {
    let first = &outcomes[..outcomes.len().min(5)];
    assert!(outcomes.is_empty(), "{what}: {} of {all}, such as {first:#?}", outcomes.len());
}

/// Switches one horizon's server off and on under load, and judges every answer.
fn interrupt(lab: &Lab, taps: &Taps, dead: Horizon, mut switch: impl FnMut(bool)) {
    let load = Load::start(&lab.pod, NODE_V4, pod_name);
    let begun = Instant::now();
    load.wait("answers of every horizon", ENOUGH, dead, begun, Outcome::resolved);
    switch(false);
    let down = Instant::now();
    load.wait("failures that say why", ENOUGH, dead, down, Outcome::failed_with_reason);
    switch(true);
    let up = Instant::now();
    load.wait("answers after the return", ENOUGH, dead, up, Outcome::resolved);
    let outcomes = load.finish();

    taps.assert_no_leaks();
    let (of_dead, of_live): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| outcome.horizon == dead);
    let all = of_dead.len() + of_live.len();
    let lost: Vec<_> = of_live.iter().filter(|outcome| !outcome.resolved()).collect();
    none("lost in a live horizon", &lost, of_live.len());
    let wrong: Vec<_> =
        of_dead.iter().filter(|o| !o.resolved() && !o.failed_with_reason()).collect();
    none("neither an address nor a reason", &wrong, of_dead.len());
    let late: Vec<_> = of_dead.iter().chain(&of_live).filter(|outcome| outcome.late()).collect();
    none("after a stub had given up", &late, all);
}

#[test]
fn one_replica_of_two_dies_and_no_name_is_lost() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let coredns = servers::fake_coredns(&lab, 2);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let load = Load::start(&lab.pod, NODE_V4, pod_name);
    load.wait("answers of both", ENOUGH, Horizon::Cluster, Instant::now(), Outcome::resolved);
    coredns.replica(1, |replica| replica.alive = false);
    let dead = Instant::now();
    load.wait("answers of the other", ENOUGH * 5, Horizon::Cluster, dead, Outcome::resolved);
    let outcomes = load.finish();
    let lost: Vec<_> = outcomes.iter().filter(|outcome| !outcome.resolved()).collect();
    none("lost", &lost, outcomes.len());
    taps.assert_no_leaks();
}

#[test]
fn a_stale_answer_stands_in_for_a_dead_server() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    let magicdns = Authority::Knot.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let pod = Pod::new(&lab);
    let ask = || pod.dig(&format!("@{NODE_V4} brief.c.binrc.com A"));
    ask().expect("NOERROR", "A", &["100.64.0.9"]);
    drop(magicdns);
    let stale = wait_for("a stale answer", PATIENCE, || {
        let reply = ask().expect("NOERROR", "A", &["100.64.0.9"]);
        (!reply.ede.is_empty()).then_some(reply)
    });
    assert_eq!(stale.ede, [3], "{}", stale.text);
    assert_eq!(stale.ttls(), [30], "{}", stale.text);
    // A name that is in no cache fails, with a reason, before a stub's five seconds are over.
    let asked = Instant::now();
    let reply = pod.dig(&format!("@{NODE_V4} nas.c.binrc.com A")).expect("SERVFAIL", "A", &[]);
    assert!(!reply.ede.is_empty(), "{}", reply.text);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let _again = Authority::Knot.magicdns(&lab);
    wait_for("a fresh answer", Duration::from_secs(40), || ask().ede.is_empty().then_some(()));
    taps.assert_no_leaks();
}
