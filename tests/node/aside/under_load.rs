//! What pods notice under load when the daemon goes and comes back, for each way to go and both ways to be
//! steered. The bounds are wide, so that a busy machine does not fail them; the figures are printed.

use std::time::{Duration, Instant};

use horizond::node::nft::steer::PULSE;

use super::figures::{Figures, HEAD};
use super::load::{Load, Way};
use super::{CLUSTER, NODE, Place};
use crate::daemon::Settings;
use crate::process::{PATIENCE, Service, wait_for};
use crate::steering::{CLUSTER_V4, nft};

/// Load before the daemon goes, and after it has come back.
const STEADY: Duration = Duration::from_millis(500);
/// How long it is away.
const AWAY: Duration = Duration::from_millis(1500);
/// What nobody may wait longer for: three times what is promised.
const BOUND: Duration = Duration::from_secs(3);

/// How the daemon goes, and how it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Kill,
    Stop,
    DropUdp,
    DropTcp,
    Reject,
    Terminate,
    Restart,
}

impl Event {
    const ALL: [Event; 7] = [
        Event::Kill,
        Event::Stop,
        Event::DropUdp,
        Event::DropTcp,
        Event::Reject,
        Event::Terminate,
        Event::Restart,
    ];

    fn name(self) -> &'static str {
        match self {
            Event::Kill => "SIGKILL, started again",
            Event::Stop => "SIGSTOP, SIGCONT",
            Event::DropUdp => "own questions over UDP dropped, then not",
            Event::DropTcp => "own questions over TCP dropped, then not",
            Event::Reject => "own questions rejected, then not",
            Event::Terminate => "SIGTERM, started again",
            Event::Restart => "SIGTERM and start at once, `leave_on_exit`",
        }
    }

    fn settings(self) -> &'static str {
        if self == Event::Restart { "leave_on_exit = true" } else { "" }
    }

    fn go(self, place: &Place, daemon: &mut Service) {
        // Only what the node sends to itself: pods come by another interface.
        let deaf = |rule: &str| {
            let chain = "type filter hook input priority -200";
            nft(
                &place.lab.node,
                &format!(
                    "table inet deaf {{\n chain input {{ {chain}; iifname \"lo\" {rule}; }}\n}}\n"
                ),
            );
        };
        match self {
            Event::Kill => daemon.kill(),
            Event::Stop => daemon.freeze(),
            Event::DropUdp => deaf("udp dport 53 drop"),
            Event::DropTcp => deaf("tcp dport 53 drop"),
            Event::Reject => deaf("udp dport 53 reject"),
            Event::Terminate | Event::Restart => {
                daemon.terminate();
                assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
            }
        }
    }

    fn come_back(self, place: &Place, daemon: &mut Service) {
        match self {
            Event::Kill | Event::Terminate | Event::Restart => {
                *daemon = place.start_with(self.settings(), Settings::default());
            }
            Event::Stop => daemon.thaw(),
            Event::DropUdp | Event::DropTcp | Event::Reject => {
                nft(&place.lab.node, "delete table inet deaf");
            }
        }
    }
}

fn measure(place: &Place, event: Event) -> Figures {
    let mut daemon = place.start_with(event.settings(), Settings::default());
    place.becomes(NODE);
    let load = Load::start(&place.lab.pod, CLUSTER_V4);
    // Anywhere between two beats.
    std::thread::sleep(STEADY + PULSE.mul_f64(rand::random()));
    let down = Instant::now();
    event.go(place, &mut daemon);
    if event != Event::Restart {
        std::thread::sleep(AWAY.saturating_sub(down.elapsed()));
    }
    let up = Instant::now();
    event.come_back(place, &mut daemon);
    let so_far = || {
        let (event, mode, asked) = (event.name(), place.mode, load.asked());
        Figures { event, mode, asked, down, up }
    };
    wait_for("answers by the daemon to all clients", PATIENCE, || {
        let figures = so_far();
        Way::ALL.iter().all(|way| figures.back(*way).is_some()).then_some(())
    });
    std::thread::sleep(STEADY);
    let figures = so_far();
    let figures = Figures { asked: load.finish(), ..figures };
    daemon.terminate();
    assert_eq!(daemon.wait(PATIENCE).code(), Some(0), "{}", daemon.log());
    figures
}

fn check(figures: &Figures, event: Event) {
    for way in Way::ALL {
        let what = format!("{}: {}\n{HEAD}\n{figures}", event.name(), way.name());
        assert!(figures.gap(way) < BOUND, "{what}");
        assert!(figures.by(way, NODE) > 0, "{what}");
        assert!(figures.back(way).is_some_and(|back| back < BOUND), "{what}");
        if event != Event::Restart {
            assert!(figures.by(way, CLUSTER) > 0, "{what}");
            assert!(figures.taken_over(way).is_some_and(|time| time < BOUND), "{what}");
        }
    }
}

fn all(mode: &'static str) {
    let place = Place::new(mode);
    let mut table = String::new();
    for event in Event::ALL {
        let figures = measure(&place, event);
        table += &figures.to_string();
        check(&figures, event);
    }
    println!("{HEAD}\n{table}");
}

#[test]
fn redirected_pods_go_to_the_cluster_and_come_back_under_load() {
    all("cni");
}

#[test]
fn pods_at_the_service_address_go_to_the_cluster_and_come_back_under_load() {
    all("service-ip");
}
