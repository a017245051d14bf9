//! More questions than the daemon can take: it is busy, not dead, and does not leave pods to others.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::figures::{Figures, HEAD};
use super::load::{Load, Way};
use super::{NODE, Place};
use crate::daemon::Settings;
use crate::lab::NODE_V4;
use crate::netns::Netns;
use crate::steering::CLUSTER_V4;

const FLOOD: Duration = Duration::from_secs(3);
/// Sockets of the flood: with their ports it comes to every shard.
const SOCKETS: usize = 32;

/// Asks without listening to the answers; how many questions.
fn flood(netns: &Netns, server: &str) -> u64 {
    netns.run(|| {
        let open = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect((server, 53)).unwrap();
            socket
        };
        let sockets: Vec<UdpSocket> = (0..SOCKETS).map(open).collect();
        let question = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03who\x07example\0\0\x01\0\x01";
        let (began, mut sent) = (Instant::now(), 0);
        while began.elapsed() < FLOOD {
            for socket in &sockets {
                sent += u64::from(socket.send(question).is_ok());
            }
        }
        sent
    })
}

fn dropped(netns: &Netns) -> u64 {
    let table = netns.run(|| std::fs::read_to_string("/proc/thread-self/net/udp")).unwrap();
    let drops = |line: &str| line.split_whitespace().next_back()?.parse::<u64>().ok();
    table.lines().skip(1).filter_map(drops).sum()
}

fn stays(mode: &'static str) {
    let place = Place::new(mode);
    // One shard with little room, so that the flood is too much for it on any machine.
    let listen = "shards = 1\nreceive_buffer = \"64KiB\"\n";
    let daemon = place.start_with("", Settings { listen, ..Settings::default() });
    place.becomes(NODE);
    let load = Load::start(&place.lab.pod, CLUSTER_V4);
    std::thread::sleep(Duration::from_millis(500));
    let down = Instant::now();
    let sent: u64 = std::thread::scope(|scope| {
        // Where pods are led to, and where the daemon asks itself.
        let servers = [CLUSTER_V4, NODE_V4];
        let floods = servers.map(|server| scope.spawn(|| flood(&place.lab.pod, server)));
        floods.into_iter().map(|flood| flood.join().unwrap()).sum()
    });
    let up = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    let asked = load.finish();
    let figures = Figures { event: "flood", mode, asked, down, up };
    let lost = dropped(&place.lab.node);
    println!("{sent} questions in {FLOOD:?}, {lost} dropped by full buffers\n{HEAD}\n{figures}");
    assert!(lost > 1000, "no overload: {lost} of {sent}");
    let log = daemon.log();
    assert!(!log.contains("stepping aside"), "{log}");
    assert!(Way::ALL.iter().all(|way| figures.back(*way).is_some()), "{HEAD}\n{figures}");
}

#[test]
fn a_flood_of_redirected_pods_does_not_make_the_daemon_step_aside() {
    stays("cni");
}

#[test]
fn a_flood_at_the_service_address_does_not_make_the_daemon_step_aside() {
    stays("service-ip");
}
