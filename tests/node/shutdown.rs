//! SIGTERM: what is in flight is answered, the exit is clean, the addresses go or stay as told.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::daemon::{Settings, program};
use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::pod::{Pod, addresses};
use crate::process::{PATIENCE, wait_for};
use crate::servers::{self, Authority};

/// `[listen] drain`.
const DRAIN: Duration = Duration::from_secs(3);

fn has_addresses(lab: &Lab) -> [bool; 2] {
    let shown = addresses(&lab.node);
    [NODE_V4, NODE_V6].map(|address| shown.contains(&format!(" {address}/")))
}

#[test]
fn a_stop_answers_what_is_in_flight_and_takes_the_addresses_away() {
    let lab = Lab::new();
    let coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    assert_eq!(has_addresses(&lab), [false, false]);
    let mut daemon = Settings { listen: "drain = \"3s\"", ..Settings::default() }.start(&lab);
    assert_eq!(has_addresses(&lab), [true, true]);
    coredns.delay(Duration::from_secs(1));
    let pod = Pod::new(&lab);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| pod.dig(&format!("@{NODE_V4} web.default.svc.cluster.local A")));
        wait_for("the question to reach CoreDNS", PATIENCE, || {
            coredns.seen().iter().any(|seen| seen.name.starts_with("web.")).then_some(())
        });
        let stopped = Instant::now();
        daemon.terminate();
        let status = daemon.wait(DRAIN + Duration::from_secs(1));
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
        assert!(
            stopped.elapsed() < DRAIN,
            "it went on after all was answered: {:?}",
            stopped.elapsed()
        );
        asked.join().unwrap().expect("NOERROR", "A", &["10.96.0.20"]);
    });
    assert_eq!(has_addresses(&lab), [false, false], "{}", addresses(&lab.node));
}

#[test]
fn a_stop_ends_at_its_deadline_whatever_is_in_flight() {
    let lab = Lab::new();
    let coredns = servers::fake_coredns(&lab, 1);
    let mut daemon = Settings { listen: "drain = \"1s\"", ..Settings::default() }.start(&lab);
    coredns.replica(0, |replica| replica.alive = false);
    let pod = Pod::new(&lab);
    std::thread::scope(|scope| {
        scope.spawn(|| pod.dig(&format!("@{NODE_V4} web.default.svc.cluster.local A")));
        wait_for("the question to reach CoreDNS", PATIENCE, || {
            (!coredns.seen().is_empty()).then_some(())
        });
        daemon.terminate();
        let status = daemon.wait(Duration::from_secs(2));
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
    });
    assert_eq!(has_addresses(&lab), [false, false], "{}", addresses(&lab.node));
}

#[test]
fn addresses_stay_where_so_configured_and_are_taken_up_again() {
    let lab = Lab::new();
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let settings = Settings { node: "leave_on_exit = true", ..Settings::default() };
    for _ in 0..2 {
        let mut daemon = settings.start(&lab);
        let pod = Pod::new(&lab);
        pod.dig(&format!("@{NODE_V4} nas.c.binrc.com A")).expect("NOERROR", "A", &["100.64.0.7"]);
        daemon.terminate();
        assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
        assert_eq!(has_addresses(&lab), [true, true], "{}", addresses(&lab.node));
    }
    // Without it, what was left behind is adopted and taken away.
    let mut daemon = Settings::default().start(&lab);
    daemon.terminate();
    assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
    assert_eq!(has_addresses(&lab), [false, false], "{}", addresses(&lab.node));
}

#[test]
fn a_kill_leaves_the_addresses_and_the_next_start_takes_them_up() {
    let lab = Lab::new();
    let _coredns = servers::fake_coredns(&lab, 1);
    let mut daemon = Settings::default().start(&lab);
    daemon.kill();
    assert_eq!(has_addresses(&lab), [true, true]);
    let _daemon = Settings::default().start(&lab);
    Pod::new(&lab).dig(&format!("@{NODE_V4} web.default.svc.cluster.local A")).expect(
        "NOERROR",
        "A",
        &["10.96.0.20"],
    );
}

#[test]
fn check_judges_the_configuration_and_touches_nothing() {
    let lab = Lab::new();
    let good = Settings::default().write(&lab);
    let bad = Settings { listen: "shardss = 2", ..Settings::default() };
    let check = |config: &Path| {
        let mut command = Command::new(program());
        command.arg("check").arg("--config").arg(config);
        lab.node.run(|| command.output()).unwrap()
    };
    let output = check(&good);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = check(&bad.write(&lab));
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("shardss") && said.contains("shards"), "the key and the nearest: {said}");
    assert_eq!(has_addresses(&lab), [false, false]);
}
